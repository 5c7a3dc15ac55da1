/* SPDX-License-Identifier: BSD-2-Clause */
/* A client as a stranger: its bytes one by one, too many of them, and answers that it does not read. */
#include "tests/unit/usbip-world.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/urb_stats.h"

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

/* What has gone through is counted always, and how long it took where somebody looks. */
static void counted(void **state)
{
	struct urb_stats stats = {0};
	struct world w;

	open_world(&w);
	usbip_session_set_stats(w.session, &stats);
	play(&w, "b1 d1 o2 d2 b3 s3 b5 u5 x5 C7 ! i9");
	/* URB 5 was taken back, and 9 is with the device: neither is answered. */
	assert_int_equal(stats.urbs, 4);
	assert_int_equal(stats.errors, 1);
	assert_int_equal(stats.in_bytes, 4);
	assert_int_equal(stats.out_bytes, 4);
	assert_int_equal(latency_count(&stats.answer), 0);
	stats.timed = true;
	/* Of one that came before, it is not known. */
	play(&w, "d9");
	assert_int_equal(latency_count(&stats.answer), 0);
	play(&w, "b11 d11 C13 !");
	assert_int_equal(stats.urbs, 7);
	assert_int_equal(latency_count(&stats.answer), 2);
	assert_int_equal(latency_count(&stats.device), 1);
	stats.timed = false;
	play(&w, "b15 d15");
	assert_int_equal(stats.urbs, 8);
	assert_int_equal(latency_count(&stats.answer), 2);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counted),	   cmocka_unit_test(byte_by_byte_in),
		cmocka_unit_test(early_and_large), cmocka_unit_test(byte_by_byte_out),
		cmocka_unit_test(too_many),	   cmocka_unit_test(too_many_bytes),
		cmocka_unit_test(never_reads),	   cmocka_unit_test(steady),
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
