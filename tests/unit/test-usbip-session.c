/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session on a scripted device, spoken to over a socketpair: what the client sees and what the
 * device is asked, for each order in which things can happen.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/stream.h"
#include "script-backend.h"
#include "usb/hid_input.h"
#include "usbip/usbip_urb_pool.h"

/* All stories are told twice: over a socket, and by a stream that keeps no copy. */
static bool by_stream;

struct world {
	struct script script;
	struct usbip_session *session;
	int server, client;
	struct list on_stream; /* of struct stream_buffer: not through yet */
	size_t head_sent;      /* bytes of the first */
	unsigned cuts;	       /* where what comes is cut */
	char seen[16384];      /* what the client was answered: "S1=0/4 U101=-104" */
};

static void open_world(struct world *w)
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

static void close_world(struct world *w)
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

static void put(struct world *w, const void *data, size_t len)
{
	assert_int_equal(write(w->client, data, len), len);
}

static void ask(struct world *w, const struct pdu_submit *s, const void *payload)
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

static int receive(struct world *w)
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

static int answers(struct world *w)
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

static int send_all(struct world *w)
{
	int r;

	do {
		r = answers(w);
		listen_to(w);
	} while (r == USBIP_SESSION_BLOCKED);
	return r;
}

static const struct pdu_submit bulk_in = {.in = true, .ep = 2, .length = 64};
static const struct pdu_submit intr_in = {.in = true, .ep = 1, .length = 8};
static const struct pdu_submit get_descriptor = {
	.in = true, .length = 18, .setup = {0x80, 6, 0, 1, 0, 0, 18, 0}};
static const struct pdu_submit set_configuration = {.setup = {0, 9, 1}};
static const struct pdu_submit set_interface = {.setup = {1, 11, 1, 0, 1}};
static const struct pdu_submit clear_halt = {.setup = {2, 1, 0, 0, 0x82}};
static const struct pdu_submit port_reset = {.setup = {0x23, 3, 4, 0, 1}};

static void ask_kind(struct world *w, char kind, uint32_t seqnum)
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
static void play(struct world *w, const char *story)
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

struct row {
	const char *what, *story, *answers, *device;
};

static const struct row unlinks[] = {
	{"in flight", "b1 u1 x1", "U101=-104", "+1 -1"},
	{"held keys: interrupt", "i1 u1 x1", "U101=-104", "+1 -1"},
	{"control", "e1 u1 x1", "U101=-104", "+1 -1"},
	{"answered and sent", "b1 d1 . u1", "S1=0/4 U101=0", "+1"},
	{"answered and not sent", "b1 d1 u1", "S1=0/4 U101=0", "+1"},
	{"stalled and not sent", "b1 s1 u1", "S1=-32/0 U101=0", "+1"},
	{"never heard of", "u9", "U109=0", ""},
	{"long gone", "b5 d5 . u3", "S5=0/4 U103=0", "+5"},
	{"before it comes", "b1 u3 b3 d1", "U103=-104 S1=0/4", "+1"},
	{"before it comes, out", "b1 u4 o4 d1", "U104=-104 S1=0/4", "+1"},
	{"before it comes, twice", "b1 u3 v3 b3 d1", "U203=-104 U103=0 S1=0/4", "+1"},
	{"before what never comes", "b1 u3 b5 d5 d1", "U103=0 S5=0/4 S1=0/4", "+1 +5"},
	{"before it comes, then held ones", "e1 C2 u5 b3 b5 d1 !0 d3",
	 "U105=-104 S1=0/4 S2=0/0 S3=0/4", "+1 #3 +3"},
	{"done while cancelling", "b1 u1 d1", "S1=0/4 U101=0", "+1 -1"},
	{"done empty while cancelling", "b1 u1 z1", "S1=0/0 U101=0", "+1 -1"},
	{"stalled while cancelling", "b1 u1 s1", "S1=-32/0 U101=0", "+1 -1"},
	{"cancelled after some bytes in", "b1 u1 p1", "S1=-104/2 U101=0", "+1 -1"},
	{"cancelled after some bytes out", "o2 u2 p2", "S2=-104/2 U102=0", "+2 -2"},
	{"gone while cancelling", "b1 u1 g1", "S1=-108/0 U101=0", "+1 -1"},
	{"gone, then unlinked", "b1 g1 u1", "S1=-108/0 U101=0", "+1"},
	{"twice", "b1 u1 v1 x1", "U201=0 U101=-104", "+1 -1"},
	{"twice, done meanwhile", "b1 u1 v1 d1", "U201=0 U101=-104", "+1 -1"},
	{"twice, some bytes", "b1 u1 v1 p1", "U201=0 U101=-104", "+1 -1"},
	{"twice, between", "b1 u1 x1 v1", "U101=-104 U201=0", "+1 -1"},
	{"three times", "b1 u1 v1 v1 x1", "U201=0 U201=0 U101=-104", "+1 -1"},
	{"answered, unlinked twice", "b1 d1 u1 v1", "S1=0/4 U101=0 U201=0", "+1"},
	{"one of a queue", "b1 b3 b5 u3 x3 d1 d5", "U103=-104 S1=0/4 S5=0/4", "+1 +3 +5 -3"},
	{"two of a queue", "b1 b3 b5 u1 u3 x1 d5 x3", "U101=-104 S5=0/4 U103=-104",
	 "+1 +3 +5 -1 -3"},
	{"others answer meanwhile", "b1 i3 u1 d3 x1", "S3=0/4 U101=-104", "+1 +3 -1"},
	{"an answer's seqnum again", "b1 d1 . b1 u1 x1", "S1=0/4 U101=-104", "+1 +1 -1"},
	{"an unlinked seqnum again", "b1 u1 x1 b1 d1", "U101=-104 S1=0/4", "+1 -1 +1"},
	/* behind and among requests that block */
	{"held", "e1 C2 b3 u3 d1 !0", "U103=-104 S1=0/4 S2=0/0", "+1 #3"},
	{"held, of two", "e1 C2 b3 b5 u3 d1 !0 d5", "U103=-104 S1=0/4 S2=0/0 S5=0/4", "+1 #3 +5"},
	{"the blocking one, waiting", "e1 C2 u2 d1", "U102=-104 S1=0/4", "+1"},
	{"the blocking one, and the held go on", "e1 C2 b3 u2 d3 d1", "U102=-104 S3=0/4 S1=0/4",
	 "+1 +3"},
	{"what the blocking one waits for", "e1 C2 u1 x1 !0", "U101=-104 S2=0/0", "+1 -1 #3"},
	{"the blocking one, done", "C2 !0 u2", "S2=0/0 U102=0", "#3"},
	{"while it runs: afterwards", "C2 b3 u3 !0 x3", "S2=0/0 U103=-104", "#3 +3 -3"},
	{"revoked", "b1 C2 u1 x1 !0", "U101=-104 S2=0/0", "+1 -1 #3"},
	{"revoked, done meanwhile", "b1 C2 u1 d1 !0", "S1=0/4 U101=0 S2=0/0", "+1 -1 #3"},
	{"unlinked, then to be revoked", "b1 u1 C2 x1 !0", "U101=-104 S2=0/0", "+1 -1 #3"},
	{"revoked and answered", "b1 C2 x1 u1 !0", "S1=-108/0 S2=0/0 U101=0", "+1 -1 #3"},
};

static const struct row blocking[] = {
	{"alone", "C2 !0", "S2=0/0", "#3"},
	{"failed", "C2 ?0", "S2=-32/0", "#3"},
	{"waits for control before it", "e1 C2 d1 !0", "S1=0/4 S2=0/0", "+1 #3"},
	{"waits for all control before it", "e1 e3 C2 d3 d1 !0", "S3=0/4 S1=0/4 S2=0/0",
	 "+1 +3 #3"},
	{"kills all for a configuration", "b1 i3 C2 x3 x1 !0", "S3=-108/0 S1=-108/0 S2=0/0",
	 "+1 +3 -1 -3 #3"},
	{"kills all for a reset", "b1 i3 R2 x1 x3 !0", "S1=-108/0 S3=-108/0 S2=0/0",
	 "+1 +3 -1 -3 #6"},
	{"kills its own for an interface", "b1 i3 I2 x1 !0 d3", "S1=-108/0 S2=0/0 S3=0/4",
	 "+1 +3 -1 #4"},
	{"kills none for a halt", "b1 i3 H2 !0 d1 d3", "S2=0/0 S1=0/4 S3=0/4", "+1 +3 #5"},
	{"killed with some bytes", "b1 C2 p1 !0", "S1=-108/2 S2=0/0", "+1 -1 #3"},
	{"killed too late", "b1 C2 d1 !0", "S1=0/4 S2=0/0", "+1 -1 #3"},
	{"later ones wait, in order", "e1 C2 b3 e5 o6 d1 !0 d5 d3 z6",
	 "S1=0/4 S2=0/0 S5=0/4 S3=0/4 S6=0/0", "+1 #3 +3 +5 +6"},
	{"one blocks behind another", "C2 I4 e5 !0 !0 d5", "S2=0/0 S4=0/0 S5=0/4", "#3 #4 +5"},
	{"… and waits for what is between", "C2 e5 I4 b7 !0 d5 !0 d7",
	 "S2=0/0 S5=0/4 S4=0/0 S7=0/4", "#3 +5 #4 +7"},
	{"failed, and the held go on", "e1 I2 b3 d1 ?0 d3", "S1=0/4 S2=-32/0 S3=0/4", "+1 #4 +3"},
	{"the device is cancelled by itself", "b1 x1", "S1=-71/0", "+1"},
};

static void play_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct usbip_session_counters counters;
		struct world w;

		open_world(&w);
		play(&w, rows[i].story);
		if (strcmp(w.seen, rows[i].answers) || strcmp(w.script.log, rows[i].device))
			print_error(
				"%s: %s\n  answers %s\n  wanted  %s\n  device %s\n  wanted %s\n",
				rows[i].what, rows[i].story, w.seen, rows[i].answers, w.script.log,
				rows[i].device);
		assert_string_equal(w.seen, rows[i].answers);
		assert_string_equal(w.script.log, rows[i].device);
		usbip_session_count(w.session, &counters);
		assert_int_equal(counters.in_flight, 0);
		close_world(&w);
		/* The same, and the client goes away after each word. */
		for (const char *p = rows[i].story; (p = strchr(p, ' ')); p++) {
			char part[128];

			snprintf(part, sizeof(part), "%.*s", (int)(p - rows[i].story),
				 rows[i].story);
			open_world(&w);
			play(&w, part);
			usbip_session_close(w.session);
			assert_int_equal(receive(&w), USBIP_SESSION_CLOSED);
			assert_false(usbip_session_has_answers(w.session));
			close_world(&w);
		}
	}
}

static void unlink_orders(void **state)
{
	play_rows(unlinks, ARRAY_SIZE(unlinks));
}

static void blocking_orders(void **state)
{
	play_rows(blocking, ARRAY_SIZE(blocking));
}

/* As many unlinks before their submits as a client may have URBs: each is answered once. */
static void unlinks_before_all_their_submits(void **state)
{
	unsigned answers = 0;
	uint8_t header[48];
	struct world w;

	open_world(&w);
	play(&w, "b1");
	for (uint32_t i = 0; i < 200; i++)
		put(&w, header, pdu_unlink(header, 5000 + i, 1001 + 2 * i));
	while (receive(&w) > 0)
		;
	assert_int_equal(send_all(&w), 0);
	assert_string_equal(w.seen, "");
	for (uint32_t i = 0; i < 200; i++)
		ask_kind(&w, 'b', 1001 + 2 * i);
	while (receive(&w) > 0)
		;
	assert_int_equal(send_all(&w), 0);
	assert_null(strchr(w.seen, 'S'));
	for (const char *p = w.seen; (p = strstr(p, "=-104")); p++)
		answers++;
	assert_int_equal(answers, 200);
	assert_string_equal(w.script.log, "+1");
	close_world(&w);
	/* One more than that is no client's. */
	open_world(&w);
	play(&w, "b1");
	for (uint32_t i = 0; i < USBIP_SESSION_MAX_URBS; i++) {
		put(&w, header, pdu_unlink(header, 5000 + i, 1001 + 2 * i));
		assert_true(receive(&w) >= 0);
	}
	put(&w, header, pdu_unlink(header, 9999, 9001));
	assert_int_equal(receive(&w), -EPROTO);
	assert_non_null(strstr(usbip_session_fault(w.session), "before they came"));
	close_world(&w);
}

/* A device whose blocking requests end at once, hundreds of them in a row. */
static void blocking_in_a_row(void **state)
{
	struct world w;

	open_world(&w);
	play(&w, "e1");
	for (uint32_t i = 0; i < 300; i++)
		ask_kind(&w, 'I', 1000 + 2 * i);
	while (receive(&w) > 0)
		;
	w.script.finish_at_once = true;
	play(&w, "d1");
	assert_string_equal(w.script.log + strlen(w.script.log) - 2, "#4");
	assert_non_null(strstr(w.seen, "S1598=0/0"));
	close_world(&w);
}

/* Not while it is parked: nothing is read; the closing waits for the worker. */
static void parked(void **state)
{
	struct world w;

	open_world(&w);
	play(&w, "i1 I2");
	assert_true(w.script.carrier.parked);
	assert_int_equal(receive(&w), USBIP_SESSION_HELD);
	put(&w, "garbage", 7);
	assert_int_equal(receive(&w), USBIP_SESSION_HELD);
	usbip_session_close(w.session);
	assert_string_equal(w.script.log, "+1 #4 -1");
	w.session = usbip_session_free(w.session);
	assert_non_null(w.script.carrier.client);
	script_finish(&w.script, 0);
	assert_non_null(w.script.carrier.client);
	close_world(&w);
}

static void start_refused(void **state)
{
	struct world w;

	open_world(&w);
	w.script.start_result = -ENODEV;
	play(&w, "C2 b1 d1");
	assert_string_equal(w.seen, "S2=-19/0 S1=0/4");
	w.script.submit_result = -ENOMEM;
	play(&w, "b3");
	assert_string_equal(w.seen, "S2=-19/0 S1=0/4 S3=-12/0");
	close_world(&w);
}

/* The kernel's memory is used up, and comes back: m and M in the stories, t a retry. */
static const struct row starved[] = {
	{"until it comes back", "b1 m0 b3 M0 d1 d3", "S1=0/4 S3=0/4", "+1 +3"},
	{"in order", "b1 m0 b3 b5 b7 M0 d1 d3 d5 d7", "S1=0/4 S3=0/4 S5=0/4 S7=0/4", "+1 +3 +5 +7"},
	{"not yet", "b1 i9 m0 b3 b5 d9 M0 d1 d3 d5", "S9=0/4 S1=0/4 S3=0/4 S5=0/4", "+1 +9 +3 +5"},
	{"one endpoint's order, another's go on", "b1 m0 b3 M0 b5 i7 d7 d3 d5 d1",
	 "S7=0/4 S3=0/4 S5=0/4 S1=0/4", "+1 +7 +3 +5"},
	{"by a retry", "m0 b1 t0 M0 t0 d1", "S1=0/4", "+1"},
	{"never", "m0 b1 i3 t0 t0 t0 M0 b5 d5", "S1=-12/0 S3=-12/0 S5=0/4", "+5"},
	{"unlinked", "b1 m0 b3 b5 u3 M0 d1 d5", "U103=-104 S1=0/4 S5=0/4", "+1 +5"},
	{"control before what blocks", "b1 m0 e3 H2 u1 M0 x1 d3 !0", "U101=-104 S3=0/4 S2=0/0",
	 "+1 -1 +3 #5"},
	{"control before what blocks, unlinked", "b1 m0 e3 H2 u3 !0 M0 d1",
	 "U103=-104 S2=0/0 S1=0/4", "+1 #5"},
	{"control before what blocks, by a retry", "m0 e3 C2 M0 t0 d3 !0", "S3=0/4 S2=0/0",
	 "+3 #3"},
	{"control before what blocks, never", "m0 e3 C2 t0 t0 t0 !0", "S3=-12/0 S2=0/0", "#3"},
	{"killed by what blocks", "i1 m0 b3 I2 M0 !0 d1", "S3=-108/0 S2=0/0 S1=0/4", "+1 #4"},
	{"not killed by what blocks", "b1 m0 i3 I2 x1 M0 !0 d3", "S1=-108/0 S2=0/0 S3=0/4",
	 "+1 -1 #4 +3"},
	{"and held", "b1 m0 i3 H2 b5 M0 !0 d1 d3 d5", "S2=0/0 S1=0/4 S3=0/4 S5=0/4", "+1 #5 +3 +5"},
};

static void starved_orders(void **state)
{
	play_rows(starved, ARRAY_SIZE(starved));
}

/* Where the user doesn't promise retries, they are refused at once; see start_refused(). Progress
 * of one lets the others wait on. */
static void starved_patience(void **state)
{
	struct world w;

	open_world(&w);
	play(&w, "m0 b1 i3 e5 t0 t0");
	assert_true(usbip_session_starved(w.session));
	assert_int_equal(w.script.n_asked, 9);
	w.script.submit_result = 0;
	w.script.submit_limit = 1;
	play(&w, "t0");
	assert_string_equal(w.script.log, "+1");
	play(&w, "t0 t0 t0");
	assert_string_equal(w.seen, "S3=-12/0 S5=-12/0");
	assert_false(usbip_session_starved(w.session));
	close_world(&w);
}

struct refusal {
	const char *what;
	struct pdu_submit pdu;
	const char *answer;
};

/* Read whole, refused, and the stream goes on. */
static void refusals(void **state)
{
	static const struct refusal rows[] = {
		{"no such endpoint, out", {.ep = 9, .length = 700}, "S50=-2/0"},
		{"no such endpoint, in", {.in = true, .ep = 9, .length = 700}, "S50=-2/0"},
		{"the endpoint's other direction", {.ep = 1, .length = 8}, "S50=-2/0"},
		{"direction out, request in",
		 {.length = 18, .setup = {0x80, 6, 0, 1, 0, 0, 18, 0}},
		 "S50=-32/0"},
		{"direction in, request out",
		 {.in = true, .length = 8, .setup = {0x21, 9, 0, 2, 0, 0, 8, 0}},
		 "S50=-32/0"},
		{"more than the buffer",
		 {.length = 7, .setup = {0x21, 9, 0, 2, 0, 0, 8, 0}},
		 "S50=-32/0"},
		{"more than 4096",
		 {.length = 4097, .setup = {0x40, 1, 0, 0, 0, 0, 1, 16}},
		 "S50=-32/0"},
		{"all that wLength can say",
		 {.in = true, .length = 65535, .setup = {0xc0, 1, 0, 0, 0, 0, 255, 255}},
		 "S50=-32/0"},
		{"address", {.setup = {0, 5, 9}}, "S50=0/0"},
		{"a hub's port", {.setup = {0x23, 1, 16, 0, 1}}, "S50=-32/0"},
	};
	static const uint8_t payload[8192];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct pdu_submit pdu = rows[i].pdu;
		struct world w;

		pdu.seqnum = 50;
		open_world(&w);
		ask(&w, &pdu, pdu.in ? NULL : payload);
		play(&w, "b1 d1");
		if (strncmp(w.seen, rows[i].answer, strlen(rows[i].answer)))
			print_error("%s: %s\n", rows[i].what, w.seen);
		assert_memory_equal(w.seen, rows[i].answer, strlen(rows[i].answer));
		assert_string_equal(w.seen + strlen(rows[i].answer), " S1=0/4");
		assert_string_equal(w.script.log, "+1");
		close_world(&w);
	}
}

static void control_details(void **state)
{
	struct pdu_submit out = {.seqnum = 2, .length = 16, .setup = {0x21, 9, 0, 2, 0, 0, 1, 0}};
	struct pdu_submit long_config = {.seqnum = 5,
					 .in = true,
					 .length = 9000,
					 .setup = {0x80, 6, 0, 2, 0, 0, 9000 & 255, 9000 >> 8}};
	struct pdu_submit empty_in = {
		.seqnum = 4, .in = true, .setup = {0x80, 0, 0, 0, 0, 0, 0, 0}};
	struct usb_urb *urb;
	struct world w;

	/* wLength below the buffer's length: all is read, and wLength counts. */
	open_world(&w);
	ask(&w, &out, "0123456789abcdef");
	ask(&w, &empty_in, NULL);
	play(&w, "b1");
	urb = script_find(&w.script, 2);
	assert_non_null(urb);
	assert_int_equal(urb->type, USB_CONTROL);
	assert_int_equal(urb->length, 16);
	assert_memory_equal(urb->data, "0123456789abcdef", 16);
	assert_memory_equal(urb->setup, out.setup, 8);
	assert_non_null(script_find(&w.script, 4));
	/* A long configuration: what can be had of it. The whole buffer stays the client's. */
	ask(&w, &long_config, NULL);
	assert_int_equal(receive(&w), 0);
	urb = script_find(&w.script, 5);
	assert_non_null(urb);
	assert_int_equal(urb->length, 9000);
	assert_int_equal(urb->setup[6] | urb->setup[7] << 8, 4096);
	close_world(&w);
}

static void zero_packet(void **state)
{
	struct pdu_submit out = {.seqnum = 2, .ep = 2, .length = 64, .flags = 0x40 | 0x1 | 0x40000};
	struct pdu_submit in = bulk_in;
	uint8_t payload[64] = {};
	struct world w;

	open_world(&w);
	ask(&w, &out, payload);
	in.seqnum = 1;
	in.flags = 0x40;
	ask(&w, &in, NULL);
	assert_int_equal(receive(&w), 0);
	assert_true(script_find(&w.script, 2)->zero_packet);
	assert_false(script_find(&w.script, 1)->zero_packet);
	close_world(&w);
}

/* Ask for an isochronous URB whose packets are given as {offset, length}. */
static void ask_packets(struct world *w, const struct pdu_submit *s, const uint8_t *payload,
			const uint32_t (*packets)[2])
{
	uint8_t descriptors[16 * 1024];

	for (int32_t i = 0; i < s->n_packets; i++)
		pdu_packet(descriptors + 16 * i, packets[i][0], packets[i][1]);
	ask(w, s, s->in ? NULL : payload);
	if (s->n_packets > 0)
		put(w, descriptors, 16 * (size_t)s->n_packets);
}

/* Three packets out, by bytes: as on the wire, as the device gets them, as they are answered. */
static void iso_out_golden(void **state)
{
	static const uint8_t wire[48 + 16 + 48] = {
		0,    0,    0,	  1,	0x00, 0x00, 0x00, 0x22, 0x00, 0x03, 0x00, 0x07, /* SUBMIT */
		0,    0,    0,	  0,	0,    0,    0,	  4, /* out, ep 4 */
		0,    0,    0,	  2,	0,    0,    0,	  16,	0,    0,    0,	  99, /* ASAP, 16 */
		0,    0,    0,	  3,	0,    0,    0,	  1,	/* 3 packets */
		0,    0,    0,	  0,	0,    0,    0,	  0,	/* setup */
		0xa0, 0xa1, 0xa2, 0xff, 0xff, 0xff, 0xb0, 0xb1, /* gaps: ff */
		0xb2, 0xb3, 0xff, 0xc0, 0xff, 0xff, 0xff, 0xff, 0,    0,    0,	  0,	0, 0,
		0,    3,    0,	  0,	0,    0,    0,	  0,	0,    0,    0,	  0,	0, 6,
		0,    0,    0,	  4,	0,    0,    0,	  0,	0,    0,    0,	  0,	0, 0,
		0,    11,   0,	  0,	0,    1,    0,	  0,	0,    0,    0,	  0,	0, 0,
	};
	static const uint8_t device[] = {0xa0, 0xa1, 0xa2, 0xb0, 0xb1, 0xb2, 0xb3, 0xc0};
	static const uint8_t answer[48 + 48] = {
		0,    0,    0, 3,  0x00, 0x00, 0x00, 0x22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,
		0,    0,    0, 0,  0,	 0,    0,    0,	   4,	       /* status, actual: 3 + 1 */
		0,    0,    0, 99, 0,	 0,    0,    3,	   0, 0, 0, 1, /* frame, packets, errors */
		0,    0,    0, 0,  0,	 0,    0,    0,	   0, 0, 0, 0, 0, 0, 0, 3, 0, 0,    0,
		3,    0,    0, 0,  0,	 0,    0,    0,	   6, 0, 0, 0, 4, 0, 0, 0, 0, 0xff, 0xff,
		0xff, 0xee, 0, 0,  0,	 11,   0,    0,	   0, 1, 0, 0, 0, 1, 0, 0, 0, 0,
	};
	static const struct script_packet done[] = {{3, 0}, {0, -EXDEV}, {1, 0}};
	uint8_t buf[256];
	struct usb_urb *urb;
	struct world w;

	open_world(&w);
	put(&w, wire, sizeof(wire));
	assert_int_equal(receive(&w), 0);
	urb = script_find(&w.script, 0x22);
	assert_non_null(urb);
	assert_int_equal(urb->type, USB_ISOCHRONOUS);
	assert_int_equal(urb->packets_length, sizeof(device));
	assert_memory_equal(urb->data, device, sizeof(device));
	assert_true(script_complete_packets(&w.script, 0x22, done));
	script_settle(&w.script);
	assert_int_equal(answers(&w), 0);
	assert_int_equal(recv(w.client, buf, sizeof(buf), MSG_DONTWAIT), sizeof(answer));
	assert_memory_equal(buf, answer, sizeof(answer));
	close_world(&w);
}

/* Four packets in, one short, one failed with bytes, one empty. */
static void iso_in_golden(void **state)
{
	static const uint8_t wire[48 + 64] =
		{
			0, 0, 0, 1,  0x00, 0x00, 0x00, 0x21, 0x00, 0x03, 0x00, 0x07,
			0, 0, 0, 1,  0,	   0,	 0,    3,    0,	   0,	 0,    2,
			0, 0, 0, 32, 0xff, 0xff, 0xff, 0xfe, 0,	   0,	 0,    4,
			0, 0, 0, 1,  0,	   0,	 0,    0,    0,	   0,	 0,    0,
			0, 0, 0, 0,  0,	   0,	 0,    4,    0,	   0,	 0,    0,
			0, 0, 0, 0,  0,	   0,	 0,    8,    0,	   0,	 0,    4,
			0, 0, 0, 9,  0,	   0,	 0,    9, /* nonsense, written over */
			0, 0, 0, 16, 0,	   0,	 0,    4,    0,	   0,	 0,    0,
			0, 0, 0, 0,  0,	   0,	 0,    24,   0,	   0,	 0,    8,
			0, 0, 0, 0,  0,	   0,	 0,    0,
		};
	static const uint8_t answer[48 + 12 + 64] = {
		0,    0,    0,	  3,	0x00, 0x00, 0x00, 0x21, 0,    0,    0, 0, 0,  0,    0,
		0,    0,    0,	  0,	0,    0,    0,	  0,	0,    0,    0, 0, 12, 0xff, 0xff,
		0xff, 0xfe, 0,	  0,	0,    4,    0,	  0,	0,    1,    0, 0, 0,  0,    0,
		0,    0,    0,	  0x00, 0x01, 0x10, 0x11, /* compacted */
		0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0,    0,    0, 0, 0,  0,    0,
		4,    0,    0,	  0,	2,    0,    0,	  0,	0,    0,    0, 0, 8,  0,    0,
		0,    4,    0,	  0,	0,    2,    0xff, 0xff, 0xff, 0xb5, 0, 0, 0,  16,   0,
		0,    0,    4,	  0,	0,    0,    0,	  0,	0,    0,    0, 0, 0,  0,    24,
		0,    0,    0,	  8,	0,    0,    0,	  8,	0,    0,    0, 0,
	};
	static const struct script_packet done[] = {{2, 0}, {2, -EOVERFLOW}, {0, 0}, {99, 0}};
	uint8_t buf[256];
	struct world w;

	open_world(&w);
	put(&w, wire, sizeof(wire));
	assert_int_equal(receive(&w), 0);
	assert_int_equal(script_find(&w.script, 0x21)->packets_length, 20);
	/* The last packet's 99 bytes of 8 are a device's lie, cut down. */
	assert_true(script_complete_packets(&w.script, 0x21, done));
	script_settle(&w.script);
	assert_int_equal(answers(&w), 0);
	assert_int_equal(recv(w.client, buf, sizeof(buf), MSG_DONTWAIT), sizeof(answer));
	assert_memory_equal(buf, answer, sizeof(answer));
	close_world(&w);
}

/* As usbip-win2 checks what comes back for an isochronous IN (wsk_receive.cpp). */
static void check_as_windows(const uint8_t *request, const uint8_t *answer, size_t len)
{
	uint32_t n = pdu_u32(request + 32), actual = pdu_u32(answer + 24), sum = 0;

	assert_int_equal(pdu_u32(answer + 4), pdu_u32(request + 4));
	assert_int_equal(pdu_u32(answer + 32), n);
	assert_true(actual <= pdu_u32(request + 24));
	assert_int_equal(len, 48 + actual + 16 * n);
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *asked = request + 48 + (size_t)i * 16;
		const uint8_t *got = answer + 48 + actual + (size_t)i * 16;

		assert_int_equal(pdu_u32(got), pdu_u32(asked));
		assert_true(pdu_u32(got + 8) <= pdu_u32(asked + 4));
		assert_true(pdu_u32(got) + pdu_u32(got + 8) <= pdu_u32(request + 24));
		sum += pdu_u32(got + 8);
	}
	assert_int_equal(sum, actual);
}

/* usbip-win2, by bytes: the direction is the seqnum's lowest bit (1 is IN), URBs that aren't
 * isochronous have -1 packets, a reset is SET_FEATURE(PORT_RESET), unlinks are numbered as well. */
static void windows_golden(void **state)
{
	static const uint8_t interrupt_in[48] = {
		0, 0, 0, 1, 0, 0, 0, 0x2b, 0, 3, 0, 7, 0,    0,	   0,	 1,    0, 0, 0, 1,
		0, 0, 0, 1, 0, 0, 0, 8,	   0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 10,
	};
	static const uint8_t interrupt_answer[56] = {
		0, 0, 0, 3, 0, 0, 0, 0x2b, 0, 0, 0,    0,    0,	   0,	 0,    0,    0,	   0,	 0,
		0, 0, 0, 0, 0, 0, 0, 0,	   8, 0, 0,    0,    0,	   0xff, 0xff, 0xff, 0xff, 0,	 0,
		0, 0, 0, 0, 0, 0, 0, 0,	   0, 0, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f, 0x30, 0x31, 0x32,
	};
	static const uint8_t reset[48] = {
		0,    0,    0,	  1,	0, 0, 0, 0x2c, 0,    3, 0, 7, 0, 0, 0, 0,
		0,    0,    0,	  0,	0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0, 0,
		0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0,    0x23, 3, 4, 0, 1, 0, 0, 0,
	};
	static const uint8_t reset_answer[48] = {
		0, 0, 0, 3, 0, 0, 0, 0x2c, 0, 0, 0, 0, 0, 0, 0,	   0,	 0,    0,
		0, 0, 0, 0, 0, 0, 0, 0,	   0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
	};
	static const uint8_t interrupt_again[48] = {
		0, 0, 0, 1, 0, 0, 0, 0x2f, 0, 3, 0, 7, 0,    0,	   0,	 1,    0, 0, 0, 1,
		0, 0, 0, 1, 0, 0, 0, 8,	   0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 10,
	};
	static const uint8_t unlink_in[48] = {
		0, 0, 0, 2, 0, 0, 0, 0x31, 0, 3, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x2f,
	};
	static const uint8_t unlink_answer[48] = {
		0, 0, 0, 4, 0, 0, 0, 0x31, 0,	 0,    0,    0,
		0, 0, 0, 0, 0, 0, 0, 0,	   0xff, 0xff, 0xff, 0x98,
	};
	static const uint8_t iso_in[48 + 48] = {
		0, 0, 0, 1,  0, 0, 0, 0x33, 0, 3, 0, 7,	 0, 0, 0, 1,  0, 0, 0, 3,  0, 0, 0, 2,
		0, 0, 0, 48, 0, 0, 0, 0,    0, 0, 0, 3,	 0, 0, 0, 1,  0, 0, 0, 0,  0, 0, 0, 0,
		0, 0, 0, 0,  0, 0, 0, 16,   0, 0, 0, 0,	 0, 0, 0, 0,  0, 0, 0, 16, 0, 0, 0, 16,
		0, 0, 0, 0,  0, 0, 0, 0,    0, 0, 0, 32, 0, 0, 0, 16, 0, 0, 0, 0,  0, 0, 0, 0,
	};
	static const struct script_packet done[] = {{16, 0}, {0, -EXDEV}, {5, 0}};
	uint8_t buf[256];
	struct world w;
	ssize_t n;

	open_world(&w);
	put(&w, interrupt_in, 48);
	assert_int_equal(receive(&w), 0);
	assert_true(script_complete(&w.script, 0x2b, 0, 8, false));
	script_settle(&w.script);
	assert_int_equal(answers(&w), 0);
	assert_int_equal(recv(w.client, buf, sizeof(buf), MSG_DONTWAIT), 56);
	assert_memory_equal(buf, interrupt_answer, 56);

	put(&w, reset, 48);
	assert_int_equal(receive(&w), USBIP_SESSION_HELD);
	assert_int_equal(w.script.request.kind, USB_REQUEST_RESET);
	script_finish(&w.script, 0);
	assert_int_equal(answers(&w), 0);
	assert_int_equal(recv(w.client, buf, sizeof(buf), MSG_DONTWAIT), 48);
	assert_memory_equal(buf, reset_answer, 48);

	put(&w, interrupt_again, 48);
	put(&w, unlink_in, 48);
	assert_int_equal(receive(&w), 0);
	assert_true(script_complete(&w.script, 0x2f, -ECONNRESET, 0, true));
	script_settle(&w.script);
	assert_int_equal(answers(&w), 0);
	assert_int_equal(recv(w.client, buf, sizeof(buf), MSG_DONTWAIT), 48);
	assert_memory_equal(buf, unlink_answer, 48);

	put(&w, iso_in, sizeof(iso_in));
	assert_int_equal(receive(&w), 0);
	assert_true(script_complete_packets(&w.script, 0x33, done));
	script_settle(&w.script);
	assert_int_equal(answers(&w), 0);
	n = recv(w.client, buf, sizeof(buf), MSG_DONTWAIT);
	assert_int_equal(n, 48 + 21 + 48);
	check_as_windows(iso_in, buf, (size_t)n);
	close_world(&w);
}

/* Packets in any order, and twice the same bytes. */
static void iso_out_gathered(void **state)
{
	static const struct {
		uint32_t packets[4][2];
		int32_t n;
		const char *device;
	} rows[] = {
		{{{0, 4}, {4, 4}, {8, 4}, {12, 4}}, 4, "0123456789abcdef"},
		{{{12, 4}, {8, 4}, {4, 4}, {0, 4}}, 4, "cdef89ab45670123"},
		{{{4, 4}, {0, 4}}, 2, "45670123"},
		{{{1, 3}, {2, 3}, {9, 1}}, 3, "1232349"},
		{{{15, 1}, {0, 0}, {16, 0}, {0, 15}}, 4, "f0123456789abcde"},
		{{{16, 0}}, 1, ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct pdu_submit out = {
			.seqnum = 2, .ep = 4, .length = 16, .n_packets = rows[i].n};
		struct usb_urb *urb;
		struct world w;

		open_world(&w);
		ask_packets(&w, &out, (const uint8_t *)"0123456789abcdef", rows[i].packets);
		assert_int_equal(receive(&w), 0);
		urb = script_find(&w.script, 2);
		assert_non_null(urb);
		assert_int_equal(urb->packets_length, strlen(rows[i].device));
		assert_memory_equal(urb->data, rows[i].device, urb->packets_length);
		close_world(&w);
	}
}

/* Descriptors that don't fit: the device sees nothing, all of them come back, the stream goes on.
 */
static void iso_hostile(void **state)
{
	static const struct {
		const char *what;
		uint32_t packets[3][2];
		int32_t n, length;
		int status;
	} rows[] = {
		{"behind the end", {{0, 4}, {17, 0}}, 2, 16, -EINVAL},
		{"across the end", {{0, 4}, {13, 4}}, 2, 16, -EINVAL},
		{"longer than all", {{0, 17}}, 1, 16, -EINVAL},
		{"sum wraps at 32 bits", {{0xfffffff8, 16}}, 1, 16, -EINVAL},
		{"both at their most", {{UINT32_MAX, UINT32_MAX}}, 1, 16, -EINVAL},
		{"a negative length", {{0, 0x80000000}}, 1, 16, -EINVAL},
		{"of an empty buffer", {{0, 1}}, 1, 0, -EINVAL},
		{"overlap beyond the buffer", {{0, 16}, {0, 16}}, 2, 16, -EINVAL},
		{"sums wrap", {{0, 1 << 24}, {0, 1 << 24}, {0, 1 << 24}}, 3, 1 << 24, -EINVAL},
		{"no packets", {}, 0, 16, -EINVAL},
		{"no packets, as Windows says it", {}, -1, 16, -EINVAL},
	};
	static uint8_t payload[1 << 24], buf[512];

	for (unsigned i = 0; i < ARRAY_SIZE(rows) * 2; i++) {
		bool in = i & 1;
		struct pdu_submit pdu = {.seqnum = 50,
					 .in = in,
					 .ep = in ? 3 : 4,
					 .length = rows[i / 2].length,
					 .start_frame = 5,
					 .n_packets = rows[i / 2].n};
		uint32_t n = rows[i / 2].n > 0 ? (uint32_t)rows[i / 2].n : 0;
		struct world w;

		if (!in && pdu.length > 4096)
			continue;
		open_world(&w);
		ask_packets(&w, &pdu, payload, rows[i / 2].packets);
		assert_int_equal(receive(&w), 0);
		assert_string_equal(w.script.log, "");
		assert_int_equal(answers(&w), 0);
		assert_int_equal(recv(w.client, buf, sizeof(buf), MSG_DONTWAIT), 48 + n * 16);
		assert_int_equal((int)pdu_u32(buf + 20), rows[i / 2].status);
		assert_int_equal(pdu_u32(buf + 24), 0);
		assert_int_equal(pdu_u32(buf + 28), 5);
		assert_int_equal((int)pdu_u32(buf + 32), rows[i / 2].n);
		assert_int_equal(pdu_u32(buf + 36), n);
		for (uint32_t k = 0; k < n; k++) {
			const uint8_t *d = buf + 48 + 16 * k;

			assert_int_equal(pdu_u32(d), rows[i / 2].packets[k][0]);
			assert_int_equal(pdu_u32(d + 4), rows[i / 2].packets[k][1]);
			assert_int_equal(pdu_u32(d + 8), 0);
			assert_int_equal((int)pdu_u32(d + 12), -EXDEV);
		}
		play(&w, "b1 d1");
		assert_string_equal(w.seen, "S1=0/4");
		close_world(&w);
	}
}

/* As many packets as may be, several URBs in flight, and the memory of the first for all others. */
static void iso_stream(void **state)
{
	static struct script_packet done[1024];
	static uint32_t packets[1024][2];
	static uint8_t buf[48 + 1024 * 12 + 1024 * 16];
	struct pdu_submit in = {.in = true, .ep = 3, .length = 1024 * 12, .n_packets = 1024};
	const struct usb_urb *seen[4] = {};
	struct world w;

	for (uint32_t i = 0; i < 1024; i++) {
		packets[i][0] = i * 12;
		packets[i][1] = 12;
		done[i].actual = i % 13;
		done[i].status = i % 13 == 12 ? -EXDEV : 0;
	}
	open_world(&w);
	for (uint32_t i = 0; i < 40; i++) {
		uint32_t seqnum = 1 + 2 * (i - 3);
		uint32_t actual = 0, errors = 0;
		bool known = i < 4;

		in.seqnum = 1 + 2 * i;
		ask_packets(&w, &in, NULL, packets);
		assert_int_equal(receive(&w), 0);
		if (i < 4)
			seen[i] = script_find(&w.script, in.seqnum);
		for (unsigned k = 0; k < 4; k++)
			known |= seen[k] == script_find(&w.script, in.seqnum);
		assert_true(known);
		if (i < 3)
			continue;
		assert_int_equal(w.script.n_aloft, 4);
		assert_true(script_complete_packets(&w.script, seqnum, done));
		script_settle(&w.script);
		assert_int_equal(answers(&w), 0);
		for (uint32_t k = 0; k < 1024; k++) {
			actual += done[k].actual;
			errors += done[k].status != 0;
		}
		assert_int_equal(recv(w.client, buf, sizeof(buf), MSG_DONTWAIT),
				 48 + actual + 1024 * 16);
		assert_int_equal(pdu_u32(buf + 4), seqnum);
		assert_int_equal(pdu_u32(buf + 24), actual);
		assert_int_equal(pdu_u32(buf + 36), errors);
		for (uint32_t k = 0, at = 48; k < 1024; at += done[k++].actual) {
			for (uint32_t b = 0; b < done[k].actual; b++)
				assert_int_equal(buf[at + b], (uint8_t)(16 * k + b));
		}
	}
	close_world(&w);
}

/* Unlinks of isochronous URBs end as all others do. */
static void iso_unlinked(void **state)
{
	static const uint32_t packets[2][2] = {{0, 4}, {4, 4}};
	static const struct script_packet none[] = {{0, -EXDEV}, {0, -EXDEV}};
	static const struct script_packet some[] = {{3, 0}, {0, -EXDEV}};
	struct pdu_submit in = {.seqnum = 1, .in = true, .ep = 3, .length = 8, .n_packets = 2};
	uint8_t buf[256], header[48];

	for (unsigned i = 0; i < 2; i++) {
		struct usb_urb *urb;
		struct world w;

		open_world(&w);
		ask_packets(&w, &in, NULL, packets);
		put(&w, header, pdu_unlink(header, 9, 1));
		assert_int_equal(receive(&w), 0);
		assert_string_equal(w.script.log, "+1 -1");
		urb = script_find(&w.script, 1);
		urb->cancelled = true;
		urb->status = -ECONNRESET;
		assert_true(script_complete_packets(&w.script, 1, i ? some : none));
		script_settle(&w.script);
		assert_int_equal(answers(&w), 0);
		if (i == 0) {
			assert_int_equal(recv(w.client, buf, sizeof(buf), MSG_DONTWAIT), 48);
			assert_int_equal(pdu_u32(buf), 4);
			assert_int_equal((int)pdu_u32(buf + 20), -ECONNRESET);
		} else {
			assert_int_equal(recv(w.client, buf, sizeof(buf), MSG_DONTWAIT),
					 48 + 3 + 32 + 48);
			assert_int_equal(pdu_u32(buf), 3);
			assert_int_equal((int)pdu_u32(buf + 20), -ECONNRESET);
			assert_int_equal(pdu_u32(buf + 24), 3);
			assert_int_equal(pdu_u32(buf + 36), 1);
			assert_int_equal(pdu_u32(buf + 83), 4);
			assert_int_equal(pdu_u32(buf + 83 + 20), 0);
		}
		close_world(&w);
	}
}

/* To an endpoint that isn't there: payload and descriptors are read, the descriptors come back. */
static void iso_nowhere(void **state)
{
	static const uint32_t packets[2][2] = {{0, 4}, {4, 4}};
	struct pdu_submit out = {.seqnum = 2, .ep = 9, .length = 8, .n_packets = 2};
	uint8_t payload[8] = {}, buf[256];
	struct world w;

	open_world(&w);
	ask_packets(&w, &out, payload, packets);
	assert_int_equal(receive(&w), 0);
	assert_int_equal(answers(&w), 0);
	assert_int_equal(recv(w.client, buf, sizeof(buf), MSG_DONTWAIT), 48 + 32);
	assert_int_equal((int)pdu_u32(buf + 20), -ENOENT);
	assert_int_equal(pdu_u32(buf + 36), 2);
	play(&w, "b1 d1");
	assert_string_equal(w.seen, "S1=0/4");
	close_world(&w);
}

/* What can't be followed any more: an error, and its text. */
static void faults(void **state)
{
	static const struct {
		struct pdu_submit pdu;
		const char *fault;
	} rows[] = {
		{{.devid = 5, .ep = 2}, "named device 0x5, which it doesn't have"},
		{{.ep = 16}, "sent a SUBMIT to an endpoint above 15"},
		{{.ep = 2, .length = -1}, "sent a SUBMIT whose length is negative or above 16 MiB"},
		{{.ep = 2, .length = (16 << 20) + 1},
		 "sent a SUBMIT whose length is negative or above 16 MiB"},
		{{.ep = 4, .n_packets = 1025}, "sent a SUBMIT of 1025 packets"},
		{{.ep = 4, .n_packets = -2}, "sent a SUBMIT of -2 packets"},
		{{.ep = 9, .n_packets = 70000}, "sent a SUBMIT of 70000 packets"},
		{{.seqnum = 1, .in = true, .ep = 2, .length = 64}, "used seqnum 1 twice"},
	};
	uint8_t header[48];
	struct world w;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		open_world(&w);
		play(&w, "b1");
		assert_string_equal(usbip_session_fault(w.session), "");
		ask(&w, &rows[i].pdu, NULL);
		assert_int_equal(receive(&w), -EPROTO);
		assert_string_equal(usbip_session_fault(w.session), rows[i].fault);
		/* It stays so. */
		assert_int_equal(receive(&w), -EPROTO);
		assert_int_equal(answers(&w), -EPROTO);
		close_world(&w);
	}
	open_world(&w);
	memset(header, 0x47, sizeof(header));
	put(&w, header, sizeof(header));
	assert_int_equal(receive(&w), -EPROTO);
	assert_string_equal(usbip_session_fault(w.session), "sent an unknown command");
	close_world(&w);
}

/*
 * A mouse at 8 kHz: each reading of the socket finds the submits for what was answered last, and
 * eight reports wait by then. Each URB comes back once, in order, with its own bytes.
 */
static void eight_kilohertz(void **state)
{
	const uint32_t n = 16000, in_flight = 8;
	struct pdu_submit report = {.in = true, .ep = 1, .length = 8};
	uint32_t asked = 0, back = 0;
	uint8_t buf[56];
	struct world w;

	open_world(&w);
	report.devid = SCRIPT_DEVID;
	while (back < n) {
		for (; asked < n && asked < back + in_flight; asked++) {
			report.seqnum = asked + 1;
			put(&w, buf, pdu_submit(buf, &report));
		}
		assert_int_equal(receive(&w), 0);
		assert_int_equal(w.script.n_aloft, asked - back);
		for (uint32_t i = back; i < asked; i++) {
			uint8_t bytes[8] = {(uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16)};

			assert_true(script_complete_with(&w.script, i + 1, bytes, sizeof(bytes)));
		}
		script_settle(&w.script);
		assert_int_equal(answers(&w), 0);
		for (; back < asked; back++) {
			assert_int_equal(recv(w.client, buf, sizeof(buf), MSG_DONTWAIT),
					 sizeof(buf));
			assert_int_equal(pdu_u32(buf), 3); /* RET_SUBMIT */
			assert_int_equal(pdu_u32(buf + 4), back + 1);
			assert_int_equal(pdu_u32(buf + 24), 8); /* actual_length */
			assert_int_equal(buf[48] | buf[49] << 8 | buf[50] << 16, back);
		}
		assert_int_equal(recv(w.client, buf, 1, MSG_DONTWAIT), -1);
	}
	close_world(&w);
}

static void client_closes(void **state)
{
	struct world w;
	uint8_t header[48];

	open_world(&w);
	play(&w, "b1");
	pdu_submit(header, &bulk_in);
	put(&w, header, 20);
	w.client = fd_close(w.client);
	/* The end is for the next call. */
	assert_int_equal(receive(&w), 0);
	assert_int_equal(receive(&w), USBIP_SESSION_CLOSED);
	script_complete(&w.script, 1, 0, 4, false);
	assert_true(answers(&w) < 0);
	close_world(&w);
}

/* Each byte by itself. */
static void byte_by_byte_in(void **state)
{
	uint8_t bytes[48 + 700 + 48 + 48], *p = bytes;
	struct pdu_submit out = {.seqnum = 2, .ep = 2, .length = 700};
	struct pdu_submit in = bulk_in;
	struct usb_urb *urb;
	struct world w;

	in.seqnum = 1;
	p += pdu_submit(p, &out);
	for (unsigned i = 0; i < 700; i++)
		*p++ = (uint8_t)i;
	p += pdu_submit(p, &in);
	p += pdu_unlink(p, 101, 1);
	open_world(&w);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		put(&w, bytes + i, 1);
		assert_int_equal(receive(&w), 0);
	}
	assert_string_equal(w.script.log, "+2 +1 -1");
	urb = script_find(&w.script, 2);
	for (unsigned i = 0; i < 700; i++)
		assert_int_equal(urb->data[i], (uint8_t)i);
	close_world(&w);
}

/* Bytes that came with the IMPORT; and payloads larger than the input buffer. */
static void early_and_large(void **state)
{
	static uint8_t payload[1 << 20];
	struct pdu_submit out = {.seqnum = 2, .ep = 2, .length = sizeof(payload)};
	uint8_t early[48 + 100];
	struct usb_urb *urb;
	struct world w;
	size_t at = 100;

	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7 >> 3);
	open_world(&w);
	close_world(&w);
	open_world(&w);
	usbip_session_free(w.session);
	pdu_submit(early, &out);
	memcpy(early + 48, payload, 100);
	assert_int_equal(usbip_session_new_on(&w.session, "test", &w.script.carrier, SCRIPT_DEVID,
					      early, sizeof(early)),
			 0);
	while (at < sizeof(payload)) {
		ssize_t n = send(w.client, payload + at, sizeof(payload) - at, MSG_DONTWAIT);

		if (n > 0)
			at += (size_t)n;
		assert_true(receive(&w) >= 0);
	}
	play(&w, "b1");
	urb = script_find(&w.script, 2);
	assert_memory_equal(urb->data, payload, sizeof(payload));
	assert_non_null(script_find(&w.script, 1));
	close_world(&w);
}

/* A socket that takes little at a time, and a client that reads byte by byte. */
static void byte_by_byte_out(void **state)
{
	static uint8_t got[600000];
	size_t have = 0, wanted = 3 * 48 + 40000 + 0 + 500000, sends = 0;
	struct pdu_submit in = bulk_in;
	int small = 4096, r;
	struct world w;

	open_world(&w);
	setsockopt(w.server, SOL_SOCKET, SO_SNDBUFFORCE, &small, sizeof(small));
	in.length = 500000;
	for (uint32_t seqnum = 1; seqnum <= 5; seqnum += 2) {
		in.seqnum = seqnum;
		ask(&w, &in, NULL);
	}
	assert_int_equal(receive(&w), 0);
	script_complete(&w.script, 5, 0, 40000, false);
	script_complete(&w.script, 3, -EPIPE, 0, false);
	script_complete(&w.script, 1, 0, 500000, false);
	do {
		ssize_t n;

		r = answers(&w);
		assert_true(r >= 0);
		sends++;
		n = recv(w.client, got + have, sends % 3 ? 1 : 7001, MSG_DONTWAIT);
		if (n > 0)
			have += (size_t)n;
	} while (have < wanted);
	assert_int_equal(answers(&w), 0);
	assert_int_equal(pdu_u32(got + 4), 5);
	for (uint32_t i = 0; i < 40000; i++)
		assert_int_equal(got[48 + i], (uint8_t)(5 + i));
	assert_int_equal(pdu_u32(got + 48 + 40000 + 4), 3);
	assert_int_equal(pdu_u32(got + 96 + 40000 + 4), 1);
	for (uint32_t i = 0; i < 500000; i++)
		assert_int_equal(got[3 * 48 + 40000 + i], (uint8_t)(1 + i));
	close_world(&w);
}

/* The 1025th URB is refused, and accepted again after one was answered. */
static void too_many(void **state)
{
	struct usbip_session_counters counters;
	struct pdu_submit in = bulk_in;
	struct world w;

	open_world(&w);
	for (uint32_t i = 0; i < USBIP_SESSION_MAX_URBS; i++) {
		in.seqnum = 1 + 2 * i;
		ask(&w, &in, NULL);
		assert_true(receive(&w) >= 0);
	}
	usbip_session_count(w.session, &counters);
	assert_int_equal(counters.in_flight, USBIP_SESSION_MAX_URBS);
	play(&w, "o60000");
	assert_string_equal(w.seen, "S60000=-12/0");
	play(&w, "d1 . o60002 z60002");
	assert_string_equal(w.seen, "S60000=-12/0 S1=0/4 S60002=0/0");
	close_world(&w);
}

static void too_many_bytes(void **state)
{
	struct pdu_submit in = bulk_in;
	struct world w;

	open_world(&w);
	in.length = 16 << 20;
	for (uint32_t i = 0; i < 5; i++) {
		in.seqnum = 1 + 2 * i;
		ask(&w, &in, NULL);
	}
	assert_int_equal(receive(&w), 0);
	send_all(&w);
	assert_string_equal(w.seen, "S9=-12/0");
	play(&w, "u1 x1 b11 d11");
	assert_string_equal(w.seen, "S9=-12/0 U101=-104 S11=0/4");
	close_world(&w);
}

/* A client that asks and never reads: at some point nothing is read from it any more. */
static void never_reads(void **state)
{
	static uint8_t pdus[4096 * 48];
	struct usbip_session_counters counters;
	struct world w;
	int r = 0;

	open_world(&w);
	for (uint32_t i = 0; i < 4096; i++)
		pdu_unlink(pdus + i * 48, i, 70000);
	for (unsigned round = 0; round < 50 && r != USBIP_SESSION_HELD; round++) {
		ssize_t n = send(w.client, pdus, sizeof(pdus), MSG_DONTWAIT | MSG_NOSIGNAL);

		(void)n;
		do
			r = receive(&w);
		while (r == USBIP_SESSION_MORE);
	}
	assert_int_equal(r, USBIP_SESSION_HELD);
	usbip_session_count(w.session, &counters);
	assert_true(counters.unlinks <= 600);
	close_world(&w);
}

/* Work of one call is bounded. */
static void bounded(void **state)
{
	struct world w;
	uint8_t header[48];

	open_world(&w);
	for (uint32_t i = 0; i < 300; i++)
		put(&w, header, pdu_unlink(header, i, 70000));
	assert_int_equal(receive(&w), USBIP_SESSION_MORE);
	send_all(&w);
	while (receive(&w) == USBIP_SESSION_MORE)
		send_all(&w);
	send_all(&w);
	assert_non_null(strstr(w.seen, "U299=0"));
	close_world(&w);
}

/* Reused memory: the same buffers again and again. */
static void steady(void **state)
{
	struct usbip_urb_pool pool;
	struct usbip_urb *urb;
	void *first;

	usbip_urb_pool_init(&pool);
	urb = usbip_urb_pool_take(&pool);
	assert_int_equal(usbip_urb_pool_add_data(&pool, urb, 100000), 0);
	first = urb->usb.data;
	for (unsigned i = 0; i < 100; i++) {
		struct usbip_urb *again;

		urb->state = USBIP_URB_IDLE;
		usbip_urb_pool_give(&pool, urb);
		again = usbip_urb_pool_take(&pool);
		assert_ptr_equal(again, urb);
		assert_int_equal(usbip_urb_pool_add_data(&pool, again, 70000), 0);
		assert_ptr_equal(again->usb.data, first);
	}
	urb->state = USBIP_URB_IDLE;
	usbip_urb_pool_give(&pool, urb);
	assert_int_equal(pool.live_bytes, 0);
	/* What lies idle is bounded. */
	for (unsigned round = 0; round < 2; round++) {
		struct usbip_urb *urbs[8];

		for (unsigned i = 0; i < 8; i++) {
			urbs[i] = usbip_urb_pool_take(&pool);
			assert_int_equal(usbip_urb_pool_add_data(&pool, urbs[i], 1 << 20), 0);
		}
		for (unsigned i = 0; i < 8; i++) {
			urbs[i]->state = USBIP_URB_IDLE;
			usbip_urb_pool_give(&pool, urbs[i]);
		}
		assert_true(pool.kept <= USBIP_URB_POOL_KEEP);
	}
	usbip_urb_pool_deinit(&pool);
}

/* The table's promises, for each state and event. */
static void table(void **state)
{
	for (unsigned s = 0; s < USBIP_URB_STATES; s++) {
		assert_string_not_equal(usbip_urb_state_name(s), "?");
		for (unsigned e = 0; e < USBIP_URB_EVENTS; e++) {
			struct usbip_urb_step step = usbip_urb_look_up(s, e);
			bool answers = step.todo & USBIP_URB_DO_RET_SUBMIT;

			if (step.next == USBIP_URB_NOWHERE) {
				assert_int_equal(step.todo, 0);
				continue;
			}
			/* Freed exactly when idle; an answer is queued exactly on becoming
			 * answered. */
			assert_int_equal(!!(step.todo & USBIP_URB_DO_FREE),
					 step.next == USBIP_URB_IDLE);
			assert_int_equal(answers,
					 step.next == USBIP_URB_ANSWERED && s != step.next);
			/* Cancelled once, on leaving FLYING. */
			assert_int_equal(!!(step.todo & USBIP_URB_DO_CANCEL),
					 s == USBIP_URB_FLYING && step.next != USBIP_URB_ANSWERED);
			/* Given back to the client by one of the two. */
			assert_false(answers && step.todo & USBIP_URB_DO_UNLINK_RESET);
			if (e == USBIP_URB_CLOSE)
				assert_int_equal(
					step.todo & ~(USBIP_URB_DO_CANCEL | USBIP_URB_DO_FREE), 0);
		}
		/* What the device has can come back, and can be closed. */
		if (s >= USBIP_URB_FLYING && s <= USBIP_URB_ABANDONED) {
			assert_int_not_equal(usbip_urb_look_up(s, USBIP_URB_BACK).next, 0);
			assert_int_not_equal(usbip_urb_look_up(s, USBIP_URB_BACK_VOID).next, 0);
		}
	}
}

struct keyboard {
	struct world w;
	struct hid_listener listener;
	unsigned n_struck;
	uint32_t seqnum;
};

static void on_struck(struct hid_listener *listener, unsigned chord)
{
	struct keyboard *k = container_of(listener, struct keyboard, listener);

	assert_int_equal(chord, 0);
	k->n_struck++;
}

/* The keyboard of interface 0 sends a report; all that the client gets, byte for byte. */
static void type(struct keyboard *k, const char *in, const char *out)
{
	uint8_t want[56] = {0, 0, 0, 3}, got[128];
	uint32_t seqnum = k->seqnum += 2;

	ask(&k->w, &(struct pdu_submit){.seqnum = seqnum, .in = true, .ep = 1, .length = 8}, NULL);
	assert_int_equal(receive(&k->w), 0);
	assert_true(script_complete_with(&k->w.script, seqnum, in, 8));
	script_settle(&k->w.script);
	assert_int_equal(answers(&k->w), 0);
	want[6] = (uint8_t)(seqnum >> 8);
	want[7] = (uint8_t)seqnum;
	want[27] = 8; /* actual_length */
	memcpy(want + 48, out, 8);
	assert_int_equal(recv(k->w.client, got, sizeof(got), MSG_DONTWAIT), sizeof(want));
	/* The number of packets of what has none is as asked, or -1. */
	memcpy(want + 28, got + 28, 8);
	assert_memory_equal(got, want, sizeof(want));
}

static void ask_raw(struct keyboard *k, const uint8_t setup[8], int status)
{
	struct pdu_submit s = {.seqnum = k->seqnum += 2};

	memcpy(s.setup, setup, 8);
	ask(&k->w, &s, NULL);
	assert_int_equal(receive(&k->w), 0);
	assert_true(script_complete(&k->w.script, s.seqnum, status, 0, false));
	script_settle(&k->w.script);
	assert_int_equal(send_all(&k->w), 0);
}

#define UP "\0\0\0\0\0\0\0\0"

/* A keyboard whose reports have ids, until it is told to speak the boot protocol. */
static void test_chord(void **state)
{
	static const uint8_t descriptor[] = {0x85, 1,	 0x05, 7,    0x19, 0xe0, 0x29, 0xe7, 0x15,
					     0,	   0x25, 1,    0x75, 1,	   0x95, 8,    0x81, 2};
	static const uint8_t boot[8] = {0x21, 0x0b};
	struct keyboard k = {.listener.struck = on_struck};

	k.listener.chords.at[0] = (struct hid_chord){{0xe0, 0xe4, 0x29}};
	open_world(&k.w);
	assert_int_equal(hid_input_new(&k.w.script.carrier.input, &k.listener), 0);
	assert_true(hid_input_add(k.w.script.carrier.input, 0, HID_BOOT_KEYBOARD, descriptor,
				  sizeof(descriptor)));

	type(&k, "\x11\0\x29\0\0\0\0\0", "\x11\0\x29\0\0\0\0\0");
	ask_raw(&k, boot, -EPIPE); /* refused by the device: nothing has changed */
	type(&k, "\x11\0\x29\0\0\0\0\0", "\x11\0\x29\0\0\0\0\0");
	assert_int_equal(k.n_struck, 0);
	ask_raw(&k, boot, 0);
	type(&k, "\0\0\x04\x05\0\0\0\0", "\0\0\x04\x05\0\0\0\0");
	type(&k, UP, UP);
	type(&k, "\x01\0\0\0\0\0\0\0", "\x01\0\0\0\0\0\0\0");
	type(&k, "\x11\x7f\0\0\0\0\0\0", "\x11\x7f\0\0\0\0\0\0");
	type(&k, "\x11\x7f\x29\0\0\0\0\0", "\0\x7f\0\0\0\0\0\0");
	assert_int_equal(k.n_struck, 1);
	type(&k, "\x11\0\x29\x04\0\0\0\0", UP);
	type(&k, "\0\0\x29\0\0\0\0\0", UP);
	type(&k, UP, UP);
	type(&k, "\0\0\x29\0\0\0\0\0", "\0\0\x29\0\0\0\0\0");
	assert_int_equal(k.n_struck, 1);

	/* Out of the boot protocol by a reset, and by another setting. */
	ask(&k.w, &(struct pdu_submit){.seqnum = k.seqnum += 2, .setup = {0x23, 3, 4, 0, 1}}, NULL);
	assert_int_equal(receive(&k.w), USBIP_SESSION_HELD);
	script_finish(&k.w.script, 0);
	assert_int_equal(send_all(&k.w), 0);
	type(&k, "\x11\0\x29\0\0\0\0\0", "\x11\0\x29\0\0\0\0\0");
	ask_raw(&k, boot, 0);
	type(&k, "\x11\0\x29\0\0\0\0\0", UP);
	type(&k, UP, UP);
	ask(&k.w, &(struct pdu_submit){.seqnum = k.seqnum += 2, .setup = {1, 11, 1}}, NULL);
	assert_int_equal(receive(&k.w), USBIP_SESSION_HELD);
	script_finish(&k.w.script, 0);
	assert_int_equal(send_all(&k.w), 0);
	type(&k, "\x11\0\x29\0\0\0\0\0", "\x11\0\x29\0\0\0\0\0");
	assert_int_equal(k.n_struck, 2);
	hid_input_free(k.w.script.carrier.input);
	k.w.script.carrier.input = NULL;
	close_world(&k.w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chord),
		cmocka_unit_test(table),
		cmocka_unit_test(unlink_orders),
		cmocka_unit_test(unlinks_before_all_their_submits),
		cmocka_unit_test(blocking_orders),
		cmocka_unit_test(blocking_in_a_row),
		cmocka_unit_test(parked),
		cmocka_unit_test(start_refused),
		cmocka_unit_test(starved_orders),
		cmocka_unit_test(starved_patience),
		cmocka_unit_test(refusals),
		cmocka_unit_test(control_details),
		cmocka_unit_test(zero_packet),
		cmocka_unit_test(iso_out_golden),
		cmocka_unit_test(iso_in_golden),
		cmocka_unit_test(windows_golden),
		cmocka_unit_test(iso_out_gathered),
		cmocka_unit_test(iso_hostile),
		cmocka_unit_test(iso_stream),
		cmocka_unit_test(iso_unlinked),
		cmocka_unit_test(iso_nowhere),
		cmocka_unit_test(faults),
		cmocka_unit_test(eight_kilohertz),
		cmocka_unit_test(byte_by_byte_in),
		cmocka_unit_test(early_and_large),
		cmocka_unit_test(byte_by_byte_out),
		cmocka_unit_test(too_many),
		cmocka_unit_test(too_many_bytes),
		cmocka_unit_test(never_reads),
		cmocka_unit_test(steady),
	};
	/* What only a socket's reader promises. */
	const struct CMUnitTest of_sockets[] = {
		cmocka_unit_test(client_closes),
		cmocka_unit_test(bounded),
	};
	int failed = cmocka_run_group_tests_name("by a socket", tests, NULL, NULL) +
		     cmocka_run_group_tests_name("by a socket alone", of_sockets, NULL, NULL);

	by_stream = true;
	return failed + cmocka_run_group_tests_name("by a stream", tests, NULL, NULL);
}
