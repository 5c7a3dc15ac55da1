/* SPDX-License-Identifier: BSD-2-Clause */
/* A session's world; see usbip-world.h. */
#include "tests/unit/usbip-world.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* All stories are told twice: over a socket, and by a stream that keeps no copy. */
bool by_stream;

void open_world(struct world *w)
{
	int sv[2], size = 4 << 20;

	memset(w, 0, sizeof(*w));
	list_init(&w->on_stream);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	setsockopt(sv[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	setsockopt(sv[1], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	w->server = sv[0];
	w->client = sv[1];
	script_init(&w->script);
	assert_int_equal(usbip_session_new_on(&w->session, "test", &w->script.carrier, SCRIPT_DEVID,
					      NULL, 0),
			 0);
}

/* The stream is over: all that it has comes back. */
static void end_stream(struct world *w)
{
	struct list *l;

	while ((l = list_pop(&w->on_stream)))
		usbip_session_sent(w->session, list_entry(l, struct stream_buffer, link));
}

void close_world(struct world *w)
{
	end_stream(w);
	w->session = usbip_session_free(w->session);
	while (!list_empty(&w->script.aloft)) {
		struct usb_urb *urb =
			list_entry(list_first(&w->script.aloft), struct usb_urb, device_link);

		script_complete(&w->script, script_seqnum(urb), -ESHUTDOWN, 0, true);
	}
	if (w->script.carrier.parked)
		script_finish(&w->script, 0);
	script_settle(&w->script);
	assert_null(w->script.carrier.client);
	w->server = fd_close(w->server);
	w->client = fd_close(w->client);
}

void put(struct world *w, const void *data, size_t len)
{
	assert_int_equal(write(w->client, data, len), len);
}

void ask(struct world *w, const struct pdu_submit *s, const void *payload)
{
	uint8_t header[48];

	put(w, header, pdu_submit(header, s));
	if (payload)
		put(w, payload, (size_t)s->length);
}

/* Bytes in pieces of all sizes, in frames of all sizes. Return: as usbip_session_take(). */
static int take(struct world *w, uint8_t *bytes, size_t len)
{
	int r = 0;

	do {
		size_t frame = len, at = 0, taken, n = 0;
		struct iovec parts[8];

		w->cuts = w->cuts * 1103515245 + 12345;
		if (w->cuts & 1 << 16)
			frame = min_t(size_t, len, w->cuts >> 17 & 127);
		for (; n < ARRAY_SIZE(parts) - 1 && at < frame; n++) {
			size_t part = min_t(size_t, frame - at, w->cuts >> (8 + n) & 63);

			parts[n] = (struct iovec){bytes + at, part};
			at += part;
		}
		parts[n] = (struct iovec){bytes + at, frame - at};
		r = usbip_session_take(w->session, parts, frame, &taken);
		if (r < 0 || r == USBIP_SESSION_CLOSED)
			return r;
		assert_int_equal(taken, frame);
		bytes += frame;
		len -= frame;
	} while (len);
	return r;
}

int receive(struct world *w)
{
	static uint8_t bytes[1 << 20];
	size_t takes = usbip_session_takes(w->session);
	ssize_t n;
	int r;

	if (!by_stream)
		return usbip_session_receive(w->session, w->server);
	r = take(w, NULL, 0);
	if (r < 0 || r == USBIP_SESSION_CLOSED)
		return r;
	takes = min_t(size_t, usbip_session_takes(w->session), sizeof(bytes));
	n = takes ? recv(w->server, bytes, takes, MSG_DONTWAIT) : -1;
	if (n == 0)
		return USBIP_SESSION_CLOSED;
	if (n < 0)
		return r;
	r = take(w, bytes, (size_t)n);
	return r == 0 ? receive(w) : r;
}

static int put_on_stream(void *ctx, struct stream_buffer *buffer)
{
	struct world *w = ctx;

	assert_true(buffer->len > 0);
	list_append(&w->on_stream, &buffer->link);
	return 0;
}

/* What a stream has leaves as far as the client reads. Return: as usbip_session_send(). */
static int flow(struct world *w)
{
	struct list *l;

	while ((l = list_first(&w->on_stream))) {
		struct stream_buffer *b = list_entry(l, struct stream_buffer, link);
		ssize_t n = send(w->server, (const uint8_t *)b->data + w->head_sent,
				 b->len - w->head_sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN ? USBIP_SESSION_BLOCKED : -errno;
		w->head_sent += (size_t)n;
		if (w->head_sent < b->len)
			continue;
		w->head_sent = 0;
		list_remove(l);
		usbip_session_sent(w->session, b);
	}
	return 0;
}

int answers(struct world *w)
{
	int r;

	if (!by_stream)
		return usbip_session_send(w->session, w->server);
	r = usbip_session_answer(w->session, put_on_stream, w);
	return r < 0 ? r : flow(w);
}

/* Take what the client gets and write it down. IN data have to be seqnum, seqnum + 1, … */
static void listen_to(struct world *w)
{
	static uint8_t buf[4 << 20];
	size_t have = 0, at = 0;
	ssize_t n;

	while ((n = recv(w->client, buf + have, sizeof(buf) - have, MSG_DONTWAIT)) > 0)
		have += (size_t)n;
	while (have - at >= 48) {
		uint32_t command = pdu_u32(buf + at), seqnum = pdu_u32(buf + at + 4);
		int status = (int)pdu_u32(buf + at + 20);
		uint32_t actual = pdu_u32(buf + at + 24);
		size_t used = strlen(w->seen);

		at += 48;
		if (command == 3) {
			snprintf(w->seen + used, sizeof(w->seen) - used, "%sS%u=%d/%u",
				 used ? " " : "", seqnum, status, actual);
			/* Odd seqnums are IN in these tests. */
			if (seqnum & 1) {
				assert_true(have - at >= actual);
				for (uint32_t i = 0; i < actual; i++)
					assert_int_equal(buf[at + i], (uint8_t)(seqnum + i));
				at += actual;
			}
		} else {
			assert_int_equal(command, 4);
			snprintf(w->seen + used, sizeof(w->seen) - used, "%sU%u=%d",
				 used ? " " : "", seqnum, status);
		}
	}
	assert_int_equal(at, have);
}

int send_all(struct world *w)
{
	int r;

	do {
		r = answers(w);
		listen_to(w);
	} while (r == USBIP_SESSION_BLOCKED);
	return r;
}

const struct pdu_submit bulk_in = {.in = true, .ep = 2, .length = 64};

static const struct pdu_submit intr_in = {.in = true, .ep = 1, .length = 8};

static const struct pdu_submit get_descriptor = {
	.in = true, .length = 18, .setup = {0x80, 6, 0, 1, 0, 0, 18, 0}};

static const struct pdu_submit set_configuration = {.setup = {0, 9, 1}};

static const struct pdu_submit set_interface = {.setup = {1, 11, 1, 0, 1}};

static const struct pdu_submit clear_halt = {.setup = {2, 1, 0, 0, 0x82}};

static const struct pdu_submit port_reset = {.setup = {0x23, 3, 4, 0, 1}};

void ask_kind(struct world *w, char kind, uint32_t seqnum)
{
	static const struct {
		char kind;
		const struct pdu_submit *pdu;
	} kinds[] = {
		{'b', &bulk_in},	   {'i', &intr_in},	  {'e', &get_descriptor},
		{'C', &set_configuration}, {'I', &set_interface}, {'H', &clear_halt},
		{'R', &port_reset},
	};
	static const uint8_t payload[512];

	if (kind == 'o') {
		ask(w, &(struct pdu_submit){.seqnum = seqnum, .ep = 2, .length = 512}, payload);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct pdu_submit pdu = *kinds[i].pdu;

		pdu.seqnum = seqnum;
		if (kinds[i].kind == kind)
			ask(w, &pdu, NULL);
	}
}

/*
 * One story: words of a letter and a seqnum.
 * Client:  b bulk IN, o bulk OUT, i interrupt IN, e control IN; C I H R requests that block;
 *	    u unlink (own seqnum 100 + n), v a second one (200 + n).
 * Device:  d done with 4 bytes, z done with none, s stall, x cancelled, p cancelled after 2 bytes,
 *	    g gone, ! the blocking request is done, ? it has failed.
 *	    m its memory is used up (from now on 3 retries), M no more.
 * Us:	    . send, t retry.
 */
void play(struct world *w, const char *story)
{
	uint8_t header[48];
	const char *p = story;

	while (*p) {
		char what = *p++;
		uint32_t n = (uint32_t)strtoul(p, (char **)(uintptr_t)&p, 10);
		struct script *script = &w->script;

		while (*p == ' ')
			p++;
		switch (what) {
		case 'u':
			put(w, header, pdu_unlink(header, 100 + n, n));
			break;
		case 'v':
			put(w, header, pdu_unlink(header, 200 + n, n));
			break;
		case 'd':
			assert_true(script_complete(script, n, 0, 4, false));
			break;
		case 'z':
			assert_true(script_complete(script, n, 0, 0, false));
			break;
		case 's':
			assert_true(script_complete(script, n, -EPIPE, 0, false));
			break;
		case 'x':
			assert_true(script_complete(script, n, -ECONNRESET, 0, true));
			break;
		case 'p':
			assert_true(script_complete(script, n, -ECONNRESET, 2, true));
			break;
		case 'g':
			assert_true(script_complete(script, n, -ESHUTDOWN, 0, false));
			break;
		case '!':
			script_finish(script, 0);
			break;
		case '?':
			script_finish(script, -EPIPE);
			break;
		case 'm':
			script->submit_result = -ENOMEM;
			usbip_session_set_retries(w->session, 3);
			break;
		case 'M':
			script->submit_result = 0;
			break;
		case 't':
			usbip_session_retry(w->session);
			break;
		case '.':
			send_all(w);
			break;
		default:
			ask_kind(w, what, n);
		}
		if (strchr("dzsxpg", what))
			script_settle(script);
		assert_true(receive(w) >= 0);
	}
	send_all(w);
}
