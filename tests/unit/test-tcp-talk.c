/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plays the conversations of tests/unit/tcp/: text files, each with many, each named for what it
 * shows. tests/unit/tcp/README says how they are written.
 *
 *   test-tcp-talk DIRECTORY [WORD]    plays those alone whose name has WORD
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/unit/tcp-wire.h"
#include "vhost_user_net/net_checksum.h"
#include "vhost_user_net/tcp_isn.h"
#include "vhost_user_net/tcp_private.h"
#include "vhost_user_net/tcp_state.h"

#define OUR_PORT   3240
#define GUEST_PORT 40000
#define WORDS	   32

struct sent {
	struct list link;
	struct wire_packet *packet;
};

struct bytes {
	struct stream_buffer buffer;
	uint8_t data[];
};

struct talk {
	const char *file;
	char name[200];
	unsigned line;
	jmp_buf failed;

	struct tcp *tcp;
	struct tcp_connection *c;
	uint64_t now;
	struct list out; /* of struct sent */
	uint32_t iss, our_iss;
	bool v6, full, burst, accepted, ended, refuse_accept, no_offload, close_on_data;
	uint64_t got, take, sent, released;
	int closed; /* 1: not */
	struct wire_frame frame;
	struct tcp_counters before;
};

/* One word of a line with what follows it. */
struct line {
	const char *word[WORDS];
	unsigned n;
};

static void wrong(struct talk *t, const char *format, ...) _printf_(2, 3);
static void wrong(struct talk *t, const char *format, ...)
{
	va_list args;

	printf("FAIL %s:%u: %s: ", t->file, t->line, t->name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	longjmp(t->failed, 1);
}

static uint64_t number(struct talk *t, const char *text)
{
	char *end;
	uint64_t n = text ? strtoull(text, &end, 0) : 0;

	if (!text || *end)
		wrong(t, "a number is expected, not '%s'", text ? text : "");
	return n;
}

/* The number behind a word of the line. */
static uint64_t value(struct talk *t, const struct line *l, const char *word, uint64_t otherwise)
{
	for (unsigned i = 0; i + 1 < l->n; i++)
		if (!strcmp(l->word[i], word))
			return number(t, l->word[i + 1]);
	return otherwise;
}

static bool has(const struct line *l, const char *word)
{
	for (unsigned i = 0; i < l->n; i++)
		if (!strcmp(l->word[i], word))
			return true;
	return false;
}

static const char *word_at(struct talk *t, const struct line *l, unsigned i)
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

static const struct tcp_ops ops = {
	.frame = on_frame,
	.accept = on_accept,
	.receive = on_receive,
	.ended = on_ended,
	.release = on_release,
	.closed = on_closed,
};

static const struct tcp_config config = {
	.mac = {2, 0, 0, 0, 0, 1},
	.address4 = {10, 77, 0, 1},
	.address6 = {0xfe, 0x80, [15] = 10},
	.key = {1, 2, 3, 4},
};

/* As seen from the guest. */
static const struct tcp_config guest_config = {
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

static void nothing_left(struct talk *t)
{
	if (!list_empty(&t->out))
		wrong(t, "a frame of ours was sent that nobody expected before this line");
}

static void end_turn(struct talk *t)
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
static void guest(struct talk *t, const struct line *l)
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

static void expect(struct talk *t, const char *what, uint64_t is, uint64_t wanted)
{
	if (is != wanted)
		wrong(t, "%s is %lld, not %lld", what, (long long)is, (long long)wanted);
}

/* ours FLAGS SEQ ACK … */
static void ours(struct talk *t, const struct line *l)
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

/* ------------------------------------------------------------- what lines say */

static void say_open(struct talk *t, const struct line *l)
{
	struct line syn = *l, synack = {{"ours", "SA", "0", "1", "win", "65535"}, 6};
	struct line ack = {{"guest", "A", "1", "1", "win", "512"}, 6};
	static char words[8][16];

	syn.n = 0;
	syn.word[syn.n++] = "guest";
	syn.word[syn.n++] = "S";
	syn.word[syn.n++] = "0";
	for (unsigned i = 1; i < l->n; i++)
		syn.word[syn.n++] = l->word[i];
	if (!has(l, "mss") && !has(l, "bare")) {
		syn.word[syn.n++] = "mss";
		syn.word[syn.n++] = "1460";
	}
	if (!has(l, "ws") && !has(l, "bare")) {
		syn.word[syn.n++] = "ws";
		syn.word[syn.n++] = "7";
	}
	guest(t, &syn);
	if (!has(l, "bare")) {
		synack.word[synack.n++] = "ws";
		synack.word[synack.n++] = "8";
	}
	ours(t, &synack);
	if (has(l, "then")) {
		snprintf(words[0], sizeof(words[0]), "%llu",
			 (unsigned long long)value(t, l, "then", 512));
		ack.word[5] = words[0];
	}
	guest(t, &ack);
	if (!t->accepted)
		wrong(t, "the connection is not open");
}

static uint64_t span(struct talk *t, const char *text)
{
	char *end;
	double n = strtod(text, &end);

	if (!strcmp(end, "us"))
		return (uint64_t)(n * 1000);
	if (!strcmp(end, "ms"))
		return (uint64_t)(n * 1e6);
	if (!strcmp(end, "s"))
		return (uint64_t)(n * 1e9);
	if (!strcmp(end, "h"))
		return (uint64_t)(n * 3600e9);
	wrong(t, "a time is expected, not '%s'", text);
	return 0;
}

static void say_wait(struct talk *t, const struct line *l)
{
	uint64_t until = t->now + span(t, word_at(t, l, 1));

	nothing_left(t);
	for (;;) {
		uint64_t at = tcp_deadline(t->tcp);

		if (at > until)
			break;
		t->now = at > t->now ? at : t->now;
		tcp_flush(t->tcp, t->now);
		if (!list_empty(&t->out) && t->now != until && !has(l, "more"))
			wrong(t, "a frame was sent %llu ms before that",
			      (unsigned long long)((until - t->now) / MS));
	}
	t->now = until;
	tcp_flush(t->tcp, t->now);
}

static void need(struct talk *t)
{
	if (!t->c)
		wrong(t, "there is no connection");
}

static void say_send(struct talk *t, const struct line *l)
{
	uint64_t len = number(t, word_at(t, l, 1)), in = value(t, l, "in", 1);

	need(t);
	nothing_left(t);
	for (uint64_t i = 0; i < in; i++) {
		size_t n = len / in + (i == in - 1 ? len % in : 0);
		struct bytes *b = malloc(sizeof(*b) + n);
		int r;

		for (size_t j = 0; j < n; j++)
			b->data[j] = (uint8_t)((t->sent + j) * 3);
		b->buffer = (struct stream_buffer){.data = b->data, .len = (uint32_t)n};
		t->sent += n;
		r = tcp_send(t->c, &b->buffer);
		if (r < 0) {
			free(b);
			expect(t, "error", (uint64_t)r,
			       (uint64_t) - (int64_t)value(t, l, "error", 0));
		}
	}
	end_turn(t);
}

static void say_shutdown(struct talk *t, const struct line *l)
{
	need(t);
	nothing_left(t);
	tcp_shutdown(t->c);
	end_turn(t);
}

static void say_close(struct talk *t, const struct line *l)
{
	need(t);
	if (has(l, "on-data")) {
		t->close_on_data = true;
		return;
	}
	nothing_left(t);
	tcp_close(t->c);
	end_turn(t);
}

static void say_abort(struct talk *t, const struct line *l)
{
	need(t);
	nothing_left(t);
	tcp_abort(t->c);
	t->c = NULL;
	end_turn(t);
}

static void say_drop(struct talk *t, const struct line *l)
{
	nothing_left(t);
	tcp_drop_all(t->tcp);
	t->c = NULL;
	end_turn(t);
}

static void say_resume(struct talk *t, const struct line *l)
{
	need(t);
	nothing_left(t);
	tcp_resume(t->c);
	end_turn(t);
}

static void say_room(struct talk *t, const struct line *l)
{
	need(t);
	nothing_left(t);
	tcp_set_room(t->c, (uint32_t)number(t, word_at(t, l, 1)));
	end_turn(t);
}

static void say_hold(struct talk *t, const struct line *l)
{
	need(t);
	tcp_hold_final(t->c);
}

static void say_final(struct talk *t, const struct line *l)
{
	need(t);
	nothing_left(t);
	tcp_set_final(t->c, number(t, word_at(t, l, 1)));
	end_turn(t);
}

static void say_take(struct talk *t, const struct line *l)
{
	t->take = !strcmp(word_at(t, l, 1), "all") ? UINT64_MAX : number(t, l->word[1]);
}

static void say_full(struct talk *t, const struct line *l)
{
	t->full = !strcmp(word_at(t, l, 1), "yes");
	if (!t->full)
		end_turn(t);
}

static void say_offload(struct talk *t, const struct line *l)
{
	t->no_offload = !has(l, "csum");
	tcp_set_offloads(t->tcp, has(l, "csum"), has(l, "tso"), has(l, "tso"));
}

static void say_v6(struct talk *t, const struct line *l)
{
	t->v6 = true;
}

static void say_iss(struct talk *t, const struct line *l)
{
	t->iss = (uint32_t)number(t, word_at(t, l, 1));
}

/* Choose the time at which our first number is that. */
static void say_our_iss(struct talk *t, const struct line *l)
{
	struct tcp_path path = {.v6 = t->v6, .peer_port = GUEST_PORT, .port = OUR_PORT};
	uint32_t wanted = (uint32_t)number(t, word_at(t, l, 1));

	memcpy(path.peer, t->v6 ? guest_config.address6 : guest_config.address4, t->v6 ? 16 : 4);
	t->now -= t->now % 4000;
	t->now += (uint64_t)(wanted - tcp_isn(config.key, &path, t->now)) * 4000;
}

static void say_burst(struct talk *t, const struct line *l)
{
	t->burst = true;
}

static void say_turn(struct talk *t, const struct line *l)
{
	t->burst = false;
	tcp_flush(t->tcp, t->now);
}

static void say_refuse(struct talk *t, const struct line *l)
{
	t->refuse_accept = true;
}

static void say_got(struct talk *t, const struct line *l)
{
	expect(t, "what was taken", t->got, number(t, word_at(t, l, 1)));
}

static void say_released(struct talk *t, const struct line *l)
{
	expect(t, "what was given back", t->released, number(t, word_at(t, l, 1)));
}

static void say_accepted(struct talk *t, const struct line *l)
{
	expect(t, "accepted", t->accepted, strcmp(l->word[l->n - 1], "no") != 0);
}

static void say_ended(struct talk *t, const struct line *l)
{
	expect(t, "ended", t->ended, strcmp(l->word[l->n - 1], "no") != 0);
}

static void say_closed(struct talk *t, const struct line *l)
{
	static const struct {
		const char *word;
		int why;
	} words[] = {{"no", 1}, {"both", 0}, {"reset", -ECONNRESET}, {"timeout", -ETIMEDOUT}};
	const char *word = word_at(t, l, 1);

	nothing_left(t);
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(word, words[i].word))
			continue;
		expect(t, "closed", (uint64_t)t->closed, (uint64_t)words[i].why);
		return;
	}
	wrong(t, "closed is no, both, reset or timeout");
}

static void say_state(struct talk *t, const struct line *l)
{
	static const char *const names[TCP_STATES] = {"closed",	    "syn-received", "established",
						      "fin-wait-1", "fin-wait-2",   "closing",
						      "close-wait", "last-ack",	    "time-wait"};

	need(t);
	if (strcmp(names[t->c->state], word_at(t, l, 1)))
		wrong(t, "the state is %s", names[t->c->state]);
}

static const struct {
	const char *name;
	size_t at;
} counters[] = {
#define COUNTER(n)                                   \
	{                                            \
#n, offsetof(struct tcp_counters, n) \
	}
	COUNTER(malformed),  COUNTER(bad_checksum),	COUNTER(resets_out),
	COUNTER(challenges), COUNTER(suppressed),	COUNTER(retransmits),
	COUNTER(timeouts),   COUNTER(fast_retransmits), COUNTER(half_open_evicted),
	COUNTER(no_slot),    COUNTER(refused_bytes),	COUNTER(forced_final),
	COUNTER(acks_alone),
};

static void say_count(struct talk *t, const struct line *l)
{
	struct tcp_counters now;
	uint64_t n;

	tcp_count(t->tcp, &now);
	for (unsigned i = 0; i < ARRAY_SIZE(counters); i++) {
		if (strcmp(counters[i].name, word_at(t, l, 1)))
			continue;
		memcpy(&n, (uint8_t *)&now + counters[i].at, sizeof(n));
		expect(t, counters[i].name, n, number(t, word_at(t, l, 2)));
		return;
	}
	wrong(t, "no such counter");
}

/* Another process takes the connection up. */
static void say_move(struct talk *t, const struct line *l)
{
	struct tcp_state s;
	struct bytes *b = NULL;
	struct stream_buffer *list[1];
	int r;

	need(t);
	nothing_left(t);
	r = tcp_export(t->c, &s);
	expect(t, "export", (uint64_t)r, 0);
	if (has(l, "unfinal")) {
		tcp_state_forget_unfinal(&s);
		t->got = s.taken_bytes;
	}
	tcp_drop(t->c);
	tcp_free(t->tcp);
	tcp_new(&t->tcp, &config, &ops, t);
	tcp_listen(t->tcp, OUR_PORT);
	tcp_set_offloads(t->tcp, true, true, true);
	if (s.queued) {
		b = malloc(sizeof(*b) + s.queued);
		for (size_t i = 0; i < s.queued; i++)
			b->data[i] = (uint8_t)((s.acked_bytes + i) * 3);
		b->buffer = (struct stream_buffer){.data = b->data, .len = s.queued};
		list[0] = &b->buffer;
	}
	r = tcp_import(t->tcp, &s, list, s.queued ? 1 : 0, NULL, t->now, &t->c);
	expect(t, "import", (uint64_t)r, 0);
	end_turn(t);
}

/* flood N: SYNs from N ports, answers thrown away. */
static void say_flood(struct talk *t, const struct line *l)
{
	uint64_t n = number(t, word_at(t, l, 1)), first = value(t, l, "first", 10000);
	char port[16];
	struct line syn = {{"guest", "S", "0", "from", port}, 5};
	struct list *it;

	for (uint64_t i = 0; i < n; i++) {
		snprintf(port, sizeof(port), "%u", (unsigned)(first + i));
		guest(t, &syn);
		while ((it = list_pop(&t->out))) {
			struct sent *s = list_entry(it, struct sent, link);

			free(s->packet);
			free(s);
		}
	}
}

static void say_probe(struct talk *t, const struct line *l)
{
	need(t);
	nothing_left(t);
	tcp_probe(t->c);
	end_turn(t);
}

/* As if another process had had the connection. */
static void say_hang_up(struct talk *t, const struct line *l)
{
	struct tcp_peer peer = {.port = GUEST_PORT, .local_port = OUR_PORT, .v6 = t->v6};
	const uint8_t *address = t->v6 ? guest_config.address6 : guest_config.address4;

	nothing_left(t);
	memcpy(peer.address, address, t->v6 ? 16 : 4);
	if (tcp_hang_up(t->tcp, &peer, guest_config.mac, t->now) !=
	    (t->full ? TCP_FRAME_FULL : TCP_FRAME_SENT))
		wrong(t, "it says otherwise");
	end_turn(t);
}

static const struct {
	const char *word;
	void (*say)(struct talk *t, const struct line *l);
} says[] = {
	{"guest", guest},	    {"ours", ours},	  {"open", say_open},
	{"wait", say_wait},	    {"send", say_send},	  {"shutdown", say_shutdown},
	{"close", say_close},	    {"abort", say_abort}, {"drop", say_drop},
	{"resume", say_resume},	    {"room", say_room},	  {"hold", say_hold},
	{"final", say_final},	    {"take", say_take},	  {"full", say_full},
	{"offload", say_offload},   {"v6", say_v6},	  {"iss", say_iss},
	{"our-iss", say_our_iss},   {"burst", say_burst}, {"turn", say_turn},
	{"refuse", say_refuse},	    {"got", say_got},	  {"released", say_released},
	{"accepted", say_accepted}, {"ended", say_ended}, {"closed", say_closed},
	{"state", say_state},	    {"count", say_count}, {"move", say_move},
	{"flood", say_flood},	    {"probe", say_probe}, {"hang-up", say_hang_up},
};

static void play_line(struct talk *t, char *text)
{
	struct line l = {.n = 0};
	char *rest = NULL, *comment = strchr(text, '#');

	if (comment)
		*comment = '\0';
	for (char *w = strtok_r(text, " \t\n", &rest); w; w = strtok_r(NULL, " \t\n", &rest)) {
		if (l.n == WORDS)
			wrong(t, "the line is too long");
		l.word[l.n++] = w;
	}
	if (!l.n)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(says); i++) {
		if (!strcmp(says[i].word, l.word[0])) {
			says[i].say(t, &l);
			return;
		}
	}
	wrong(t, "no such word: %s", l.word[0]);
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
