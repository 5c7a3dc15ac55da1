/* SPDX-License-Identifier: BSD-2-Clause */
/* Isochronous URBs: their packets as Linux and Windows write and read them, and what hostile ones cost. */
#include "tests/unit/usbip-world.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(iso_out_golden),  cmocka_unit_test(iso_in_golden),
		cmocka_unit_test(windows_golden),  cmocka_unit_test(iso_out_gathered),
		cmocka_unit_test(iso_hostile),	   cmocka_unit_test(iso_stream),
		cmocka_unit_test(iso_unlinked),	   cmocka_unit_test(iso_nowhere),
		cmocka_unit_test(eight_kilohertz),
	};
	int failed = cmocka_run_group_tests_name("by a socket", tests, NULL, NULL);

	by_stream = true;
	return failed + cmocka_run_group_tests_name("by a stream", tests, NULL, NULL);
}
