/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plays the conversations of tests/unit/tcp/: text files, each with many, each named for what it
 * shows. tests/unit/tcp/README says how they are written.
 *
 *   test-tcp-talk DIRECTORY [WORD]    plays those alone whose name has WORD
 */
#include "tests/unit/tcp-talk.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhost_user_net/net_checksum.h"

void wrong(struct talk *t, const char *format, ...)
{
	va_list args;

	printf("FAIL %s:%u: %s: ", t->file, t->line, t->name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	longjmp(t->failed, 1);
}

uint64_t number(struct talk *t, const char *text)
{
	char *end;
	uint64_t n = text ? strtoull(text, &end, 0) : 0;

	if (!text || *end)
		wrong(t, "a number is expected, not '%s'", text ? text : "");
	return n;
}

/* The number behind a word of the line. */
uint64_t value(struct talk *t, const struct line *l, const char *word, uint64_t otherwise)
{
	for (unsigned i = 0; i + 1 < l->n; i++)
		if (!strcmp(l->word[i], word))
			return number(t, l->word[i + 1]);
	return otherwise;
}

bool has(const struct line *l, const char *word)
{
	for (unsigned i = 0; i < l->n; i++)
		if (!strcmp(l->word[i], word))
			return true;
	return false;
}

const char *word_at(struct talk *t, const struct line *l, unsigned i)
{
	if (i >= l->n)
		wrong(t, "something is missing");
	return l->word[i];
}

static unsigned flags_of(struct talk *t, const char *text)
{
	static const char letters[] = "FSRPAUEC";
	unsigned flags = 0;

	for (; *text; text++) {
		const char *at = strchr(letters, *text);

		if (*text == '-')
			continue;
		if (!at)
			wrong(t, "no such flag: %c", *text);
		flags |= 1u << (at - letters);
	}
	return flags;
}

/* ------------------------------------------------------------- the user's side */

static int on_frame(void *ctx, const struct net_offload *offload, const struct iovec *parts,
		    unsigned n_parts, size_t len)
{
	struct talk *t = ctx;
	struct sent *s;

	if (t->full)
		return TCP_FRAME_FULL;
	s = malloc(sizeof(*s));
	s->packet = wire_pack(offload, parts, n_parts, len);
	list_init(&s->link);
	list_append(&t->out, &s->link);
	return TCP_FRAME_SENT;
}

static void on_accept(void *ctx, struct tcp_connection *c)
{
	struct talk *t = ctx;

	t->c = c;
	t->accepted = true;
	t->closed = 1;
	if (t->refuse_accept) {
		tcp_abort(c);
		t->c = NULL;
	}
}

static size_t on_receive(void *ctx, struct tcp_connection *c, const struct iovec *parts,
			 unsigned n_parts, size_t len)
{
	struct talk *t = ctx;
	size_t n = min_t(uint64_t, len, t->take), at = 0;

	/* The guest's byte number i of the stream is i & 0xff. */
	for (unsigned i = 0; i < n_parts; i++)
		for (size_t j = 0; j < parts[i].iov_len; j++, at++)
			if (at < n && ((uint8_t *)parts[i].iov_base)[j] != (uint8_t)(t->got + at))
				wrong(t, "byte %llu of the stream is another",
				      (unsigned long long)(t->got + at));
	t->got += n;
	if (t->take != UINT64_MAX)
		t->take -= n;
	if (c->orphan)
		wrong(t, "the user is shown bytes of a connection that it has closed");
	if (t->close_on_data)
		tcp_close(c);
	return n;
}

static void on_ended(void *ctx, struct tcp_connection *c)
{
	struct talk *t = ctx;

	t->ended = true;
}

static void on_release(void *ctx, struct tcp_connection *c, struct stream_buffer *buffer)
{
	struct talk *t = ctx;

	t->released += buffer->len;
	free(container_of(buffer, struct bytes, buffer));
}

static void on_closed(void *ctx, struct tcp_connection *c, int why)
{
	struct talk *t = ctx;

	if (c != t->c)
		return;
	t->closed = why;
	t->c = NULL;
}

const struct tcp_ops ops = {
	.frame = on_frame,
	.accept = on_accept,
	.receive = on_receive,
	.ended = on_ended,
	.release = on_release,
	.closed = on_closed,
};

const struct tcp_config config = {
	.mac = {2, 0, 0, 0, 0, 1},
	.address4 = {10, 77, 0, 1},
	.address6 = {0xfe, 0x80, [15] = 10},
	.key = {1, 2, 3, 4},
};

/* As seen from the guest. */
const struct tcp_config guest_config = {
	.mac = {2, 0, 0, 0, 0, 11},
	.address4 = {10, 77, 0, 11},
	.address6 = {0xfe, 0x80, [15] = 11},
};

static const struct net_rules guest_sends = {
	.address = {10, 77, 0, 11},
	.daemon = {10, 77, 0, 99},
};

static const struct net_rules we_send = {
	.address = {10, 77, 0, 1},
	.daemon = {10, 77, 0, 99},
};

/* ------------------------------------------------------------- frames */

void nothing_left(struct talk *t)
{
	if (!list_empty(&t->out))
		wrong(t, "a frame of ours was sent that nobody expected before this line");
}

void end_turn(struct talk *t)
{
	if (!t->burst)
		tcp_flush(t->tcp, t->now);
}

static size_t put_options(struct talk *t, const struct line *l, uint8_t *to)
{
	size_t n = 0;

	for (unsigned i = 0; i + 1 < l->n; i++) {
		if (strcmp(l->word[i], "option"))
			continue;
		for (const char *p = l->word[i + 1]; p[0] && p[1] && n < 40; p += 2) {
			char byte[3] = {p[0], p[1]};

			to[n++] = (uint8_t)strtoul(byte, NULL, 16);
		}
	}
	if (has(l, "mss")) {
		uint64_t mss = value(t, l, "mss", 0);

		memcpy(to + n, (uint8_t[]){2, 4, (uint8_t)(mss >> 8), (uint8_t)mss}, 4);
		n += 4;
	}
	if (has(l, "ws")) {
		memcpy(to + n, (uint8_t[]){1, 3, 3, (uint8_t)value(t, l, "ws", 0)}, 4);
		n += 4;
	}
	while (n % 4)
		to[n++] = 0;
	return n;
}

/* guest FLAGS SEQ ACK … */
void guest(struct talk *t, const struct line *l)
{
	size_t len = value(t, l, "len", 0), l3 = t->v6 ? 40 : 20, options;
	struct tcp_path path = {.mac = {2, 0, 0, 0, 0, 1},
				.v6 = t->v6,
				.peer_port = (uint16_t)value(t, l, "port", OUR_PORT),
				.port = (uint16_t)value(t, l, "from", GUEST_PORT)};
	struct tcp_config as_guest = guest_config;
	uint8_t head[TCP_HEAD_MAX + 8], *bytes = malloc(14 + 40 + 60 + len + 1);
	struct tcp_said said = {.wscale = -1};
	struct net_offload offload;
	struct wire_packet *p;
	struct tcp_head h;
	struct tcp_header *tcp;
	struct iovec part;
	uint64_t seq = number(t, word_at(t, l, 2));

	nothing_left(t);
	memcpy(path.peer, t->v6 ? config.address6 : config.address4, t->v6 ? 16 : 4);
	tcp_head_init(&h, &as_guest, &path);
	tcp_head_write(&h, &said, NULL, 0, 0, head, &offload);
	memcpy(bytes, head, h.len);
	options = put_options(t, l, bytes + h.len);
	for (size_t i = 0; i < len; i++)
		bytes[h.len + options + i] = (uint8_t)(seq - 1 + i);
	tcp = (void *)(bytes + h.l4);
	tcp->sequence = be32_of(t->iss + (uint32_t)seq);
	if (l->n > 3 && strchr(l->word[1], 'A'))
		tcp->acknowledgment = be32_of(t->our_iss + (uint32_t)number(t, l->word[3]));
	tcp->flags = (uint8_t)flags_of(t, l->word[1]);
	tcp->offset = (uint8_t)((20 + options) / 4 << 4);
	tcp->window = be16_of((uint16_t)value(t, l, "win", 512));
	if (has(l, "offset"))
		tcp->offset = (uint8_t)(value(t, l, "offset", 5) << 4);
	if (has(l, "urgent"))
		tcp->urgent = be16_of((uint16_t)value(t, l, "urgent", 0));
	len += 20 + options;
	if (t->v6)
		((struct ipv6_header *)(bytes + 14))->payload_length = be16_of((uint16_t)len);
	else
		((struct ipv4_header *)(bytes + 14))->total_length = be16_of((uint16_t)(20 + len));
	tcp->checksum = be16_of(0);
	tcp->checksum = be16_of(net_checksum_fold(net_checksum_add(
		(t->v6 ? net_checksum_pseudo6(as_guest.address6, path.peer, IP_TCP, len)
		       : net_checksum_pseudo4(as_guest.address4, path.peer, IP_TCP, len)),
		tcp, len)));
	if (has(l, "spoilt"))
		tcp->checksum.b[1] ^= 1;
	offload = (struct net_offload){};
	if (has(l, "partial")) {
		tcp->checksum.b[1] ^= 1;
		offload = (struct net_offload){
			.csum = true, .csum_start = (uint16_t)(14 + l3), .csum_offset = 16};
	}
	part = (struct iovec){bytes, 14 + l3 + len};
	p = wire_pack(&offload, &part, 1, part.iov_len);
	free(bytes);
	if (!wire_unpack(&t->frame, &guest_sends, p, 1 + t->line % 7)) {
		free(p);
		wrong(t, "the port's rules refuse this frame");
	}
	tcp_input(t->tcp, &t->frame.frame, t->now);
	free(p);
	end_turn(t);
}

void expect(struct talk *t, const char *what, uint64_t is, uint64_t wanted)
{
	if (is != wanted)
		wrong(t, "%s is %lld, not %lld", what, (long long)is, (long long)wanted);
}

/* ours FLAGS SEQ ACK … */
void ours(struct talk *t, const struct line *l)
{
	struct list *first = list_pop(&t->out);
	unsigned flags = flags_of(t, word_at(t, l, 1));
	struct wire_packet *p;
	struct tcp_segment s;
	struct iovec parts[64];
	struct sent *sent;
	enum tcp_parse r;

	if (!first)
		wrong(t, "we sent nothing");
	sent = list_entry(first, struct sent, link);
	p = sent->packet;
	free(sent);
	if (!wire_unpack(&t->frame, &we_send, p, 3))
		wrong(t, "our frame is malformed");
	r = tcp_segment_parse(&guest_config, &t->frame.frame, parts, ARRAY_SIZE(parts), &s);
	if (r != TCP_PARSE_OK)
		wrong(t, "our segment is not one: %d", r);
	if (has(l, "same"))
		expect(t, "the first number", s.seq, t->our_iss);
	if ((s.flags & TCP_SYN) && s.path.peer_port == OUR_PORT)
		t->our_iss = s.seq;
	expect(t, "flags", s.flags, flags);
	if (flags & TCP_RST && !(flags & TCP_ACK))
		expect(t, "seq", s.seq, (uint32_t)(t->our_iss + number(t, word_at(t, l, 2))));
	else if (flags & TCP_RST && !t->our_iss)
		expect(t, "seq", s.seq, number(t, word_at(t, l, 2)));
	else
		expect(t, "seq", s.seq - t->our_iss, (uint32_t)number(t, word_at(t, l, 2)));
	if (flags & TCP_ACK)
		expect(t, "ack", s.ack - t->iss, (uint32_t)number(t, word_at(t, l, 3)));
	expect(t, "len", s.len, value(t, l, "len", 0));
	expect(t, "gso", t->frame.frame.offload.gso ? t->frame.frame.offload.gso_size : 0,
	       value(t, l, "gso", 0));
	if (has(l, "win"))
		expect(t, "win", s.window, value(t, l, "win", 0));
	if (flags & TCP_SYN) {
		expect(t, "mss", s.mss, value(t, l, "mss", t->v6 ? 1440 : 1460));
		expect(t, "ws", (uint64_t)s.wscale, value(t, l, "ws", (uint64_t)-1));
	}
	expect(t, "to", s.path.port, value(t, l, "to", GUEST_PORT));
	expect(t, "checksum filled in", !t->frame.frame.offload.csum, t->no_offload);
	/* Ours are i * 3. */
	if (s.len) {
		uint64_t at = s.seq - t->our_iss - 1;

		for (unsigned i = 0; i < s.n_parts; i++)
			for (size_t j = 0; j < s.parts[i].iov_len; j++, at++)
				if (((uint8_t *)s.parts[i].iov_base)[j] != (uint8_t)(at * 3))
					wrong(t, "byte %llu that we sent is another",
					      (unsigned long long)at);
	}
	free(p);
}

/* ------------------------------------------------------------- files */

static unsigned n_played, n_failed;

static void begin(struct talk *t)
{
	t->now = 5000000 * MS;
	t->iss = 1000000;
	t->our_iss = 0;
	t->take = UINT64_MAX;
	t->closed = 1;
	list_init(&t->out);
	tcp_new(&t->tcp, &config, &ops, t);
	tcp_listen(t->tcp, OUR_PORT);
	tcp_set_offloads(t->tcp, true, true, true);
	tcp_set_card(t->tcp, guest_config.mac);
}

static void finish(struct talk *t)
{
	struct list *it;

	tcp_free(t->tcp);
	while ((it = list_pop(&t->out))) {
		struct sent *s = list_entry(it, struct sent, link);

		free(s->packet);
		free(s);
	}
}

/* Play from the line behind a name to the next name. @whole is used up. */
static void play(const char *file, const char *name, unsigned line, char *whole)
{
	static struct talk t;
	static char *text, *rest; /* static: setjmp() */

	t = (struct talk){.file = file, .line = line};
	snprintf(t.name, sizeof(t.name), "%s", name);
	begin(&t);
	text = whole;
	n_played++;
	if (setjmp(t.failed)) {
		n_failed++;
	} else {
		while (text) {
			rest = strchr(text, '\n');
			if (rest)
				*rest++ = '\0';
			t.line++;
			play_line(&t, text);
			text = rest;
		}
		nothing_left(&t);
		printf("ok   %s\n", name);
	}
	finish(&t);
}

static void play_file(const char *path, const char *only)
{
	FILE *f = fopen(path, "re");
	_cleanup_free_ char *all = calloc(1, 1 << 20);
	const char *file = strrchr(path, '/') + 1;
	unsigned line = 0, n = 0;
	char *at = all;

	if (!f || !all || !fread(all, 1, (1 << 20) - 1, f)) {
		printf("FAIL %s: it can't be read\n", path);
		n_failed++;
		if (f)
			fclose(f);
		return;
	}
	fclose(f);
	while (at) {
		char *name_end, *next;

		if (strncmp(at, "== ", 3)) {
			at = strchr(at, '\n');
			at = at ? at + 1 : NULL;
			line++;
			continue;
		}
		name_end = strchr(at, '\n');
		if (!name_end)
			break;
		*name_end = '\0';
		next = strstr(name_end + 1, "\n== ");
		if (next)
			*next++ = '\0';
		for (const char *p = name_end + 1; p && (p = strchr(p, '\n')); p++)
			n++;
		if (!only || strstr(at + 3, only))
			play(file, at + 3, line + 1, name_end + 1);
		line += n + 2;
		n = 0;
		at = next;
	}
}

int main(int argc, char **argv)
{
	struct dirent **list;
	int n = scandir(argc > 1 ? argv[1] : ".", &list, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		const char *dot = strrchr(list[i]->d_name, '.');
		char path[4096];

		if (dot && !strcmp(dot, ".txt")) {
			snprintf(path, sizeof(path), "%s/%s", argv[1], list[i]->d_name);
			play_file(path, argc > 2 ? argv[2] : NULL);
		}
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	printf("%u conversations, %u failed\n", n_played, n_failed);
	return n_failed || !n_played;
}
