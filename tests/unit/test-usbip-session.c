/* SPDX-License-Identifier: BSD-2-Clause */
/* A session's URBs: every order of submits, unlinks, blocking requests and answers. Over a socket, and by a stream. */
#include "tests/unit/usbip-world.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
		cmocka_unit_test(faults),
	};
	int failed = cmocka_run_group_tests_name("by a socket", tests, NULL, NULL);

	by_stream = true;
	return failed + cmocka_run_group_tests_name("by a stream", tests, NULL, NULL);
}
