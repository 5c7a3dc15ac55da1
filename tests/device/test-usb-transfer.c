/* SPDX-License-Identifier: BSD-2-Clause */
/* URBs on the real libusb: what a client asks, what the kernel answers, and whose memory they take. */
#include "tests/device/usb-user.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void control_transfers(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);
	uint8_t data[64], leds = 5;

	user_open(u);
	user_attach(u);
	/* 64 asked, 18 come. */
	ask(u, with_seqnum(get_descriptor, 1), NULL);
	expect(u, 3, 1, 0, 18, data);
	assert_int_equal(data[0], 18);
	assert_int_equal(data[8] | data[9] << 8, 0x046d);
	/* SET_IDLE stalls. */
	ask(u, (struct pdu_submit){.seqnum = 2, .setup = {0x21, 10}}, NULL);
	expect(u, 3, 2, -EPIPE, 0, NULL);
	/* LEDs, with a buffer that is longer than wLength. */
	ask(u, (struct pdu_submit){.seqnum = 3, .length = 1, .setup = {0x21, 9, 0, 2, 0, 0, 1, 0}},
	    &leds);
	expect(u, 3, 3, 0, 0, NULL);
	assert_int_equal(u->mock.leds, 5);
	ask(u, (struct pdu_submit){.seqnum = 4, .ep = 2, .length = 3}, "abc");
	expect(u, 3, 4, 0, 0, NULL);
	user_free(u);
}

/* As much as libusb takes, and more. */
static void long_control(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);
	static const uint8_t payload[65535];

	user_open(u);
	user_attach(u);
	ask(u,
	    (struct pdu_submit){.seqnum = 1, .length = 4096, .setup = {0x40, 1, 0, 0, 0, 0, 0, 16}},
	    payload);
	expect(u, 3, 1, 0, 0, NULL);
	assert_int_equal(u->mock.control_length, 4096);
	ask(u,
	    (struct pdu_submit){
		    .seqnum = 2, .length = 65535, .setup = {0x40, 1, 0, 0, 0, 0, 255, 255}},
	    payload);
	expect(u, 3, 2, -EPIPE, 0, NULL);
	assert_int_equal(u->mock.control_length, 4096);
	ask(u,
	    (struct pdu_submit){.seqnum = 3,
				.in = true,
				.length = 5000,
				.setup = {0x80, 6, 0, 1, 0, 0, 5000 & 255, 5000 >> 8}},
	    NULL);
	expect(u, 3, 3, 0, 18, (uint8_t[18]){});
	assert_int_equal(u->mock.control_length, 4096);
	user_free(u);
}

static void keys(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);
	uint8_t report[8];

	user_open(u);
	user_attach(u);
	for (uint32_t i = 0; i < 200; i++) {
		ask(u, with_seqnum(interrupt_in, i), NULL);
		turn_until(u, mock_key(&u->mock, (uint8_t)i));
		expect(u, 3, i, 0, 8, report);
		assert_int_equal(report[2], (uint8_t)i);
	}
	user_free(u);
}

/* Ask for @n packets of @length bytes with @gap between them. */
static void ask_packets(struct user *u, uint32_t seqnum, bool in, uint32_t n, uint32_t length,
			uint32_t gap)
{
	static uint8_t payload[131072], descriptors[16 * 1024];
	struct pdu_submit pdu = {.seqnum = seqnum,
				 .in = in,
				 .ep = in ? 4 : 5,
				 .length = (int32_t)(n * (length + gap)),
				 .n_packets = (int32_t)n};

	for (uint32_t i = 0; i < n; i++) {
		pdu_packet(descriptors + 16 * (size_t)i, i * (length + gap), length);
		memset(payload + i * (length + gap), 0xee, length + gap);
		for (uint32_t b = 0; b < length; b++)
			payload[i * (length + gap) + b] = (uint8_t)(i * length + b);
	}
	ask(u, pdu, in ? NULL : payload);
	assert_int_equal(write(u->client, descriptors, 16 * (size_t)n), 16 * n);
}

/* Wait for the answer to ask_packets() of mock_packets(). */
static void expect_packets(struct user *u, uint32_t seqnum, bool in, uint32_t n, uint32_t length,
			   uint32_t gap, uint32_t *n_seen, uint8_t *next)
{
	uint32_t actual, errors = 0, sum = 0;
	size_t data, whole;

	turn_until(u, u->n_got >= 48);
	actual = pdu_u32(u->got + 24);
	data = in ? actual : 0;
	whole = 48 + data + 16 * (size_t)n;
	turn_until(u, u->n_got >= whole);
	assert_int_equal(pdu_u32(u->got), 3);
	assert_int_equal(pdu_u32(u->got + 4), seqnum);
	assert_int_equal(pdu_u32(u->got + 20), 0);
	assert_int_equal(pdu_u32(u->got + 32), n);
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *d = u->got + 48 + data + 16 * (size_t)i;
		bool lost = in && (*n_seen)++ % 5 == 4;
		uint32_t wanted = lost ? 0 : in ? length - *n_seen % 3 : length;

		assert_int_equal(pdu_u32(d), i * (length + gap));
		assert_int_equal(pdu_u32(d + 4), length);
		assert_int_equal(pdu_u32(d + 8), wanted);
		assert_int_equal((int)pdu_u32(d + 12), lost ? -EXDEV : 0);
		sum += wanted;
		errors += lost;
	}
	assert_int_equal(actual, sum);
	assert_int_equal(pdu_u32(u->got + 36), errors);
	for (uint32_t i = 0; i < data; i++)
		assert_int_equal(u->got[48 + i], (*next)++);
	u->n_got -= whole;
	memmove(u->got, u->got + whole, u->n_got);
}

/* Three URBs in flight, of one usbfs URB each and of several; out with gaps, in with losses. */
static void isochronous(void **state)
{
	static const uint32_t counts[] = {1, 8, 128, 129, 300};
	struct user *u = user_new(0x046d, 0xc31c);
	uint32_t n_seen = 0, seqnum = 1;
	uint8_t next = 0;

	user_open(u);
	user_attach(u);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		uint32_t n = counts[i], first = seqnum;

		while (seqnum < first + 3)
			ask_packets(u, seqnum++, true, n, 10, 6);
		turn_until(u, usb_device_in_flight(u->dev) == 3);
		while (mock_packets(&u->mock))
			;
		for (uint32_t s = first; s < seqnum; s++)
			expect_packets(u, s, true, n, 10, 6, &n_seen, &next);
		u->mock.n_out = 0;
		ask_packets(u, seqnum, false, n, 10, 3);
		turn_until(u, usb_device_in_flight(u->dev) == 1);
		while (mock_packets(&u->mock))
			;
		expect_packets(u, seqnum++, false, n, 10, 3, NULL, NULL);
		assert_int_equal(u->mock.n_out, n * 10);
		for (uint32_t b = 0; b < n * 10; b++)
			assert_int_equal(u->mock.out[b], (uint8_t)b);
	}
	user_free(u);
}

static void isochronous_errors(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);

	user_open(u);
	user_attach(u);
	/* Unlinked; nothing has moved. */
	ask_packets(u, 1, true, 8, 10, 0);
	turn_until(u, usb_device_in_flight(u->dev) == 1);
	unlink_urb(u, 2, 1);
	expect(u, 4, 2, -ECONNRESET, 0, NULL);
	/* Of three parts one is done: whose bytes are whose isn't known. */
	ask_packets(u, 3, true, 300, 10, 0);
	turn_until(u, usb_device_in_flight(u->dev) == 1);
	pthread_mutex_lock(&u->mock.lock);
	assert_int_equal(u->mock.n_urbs, 3);
	pthread_mutex_unlock(&u->mock.lock);
	unlink_urb(u, 4, 3);
	expect(u, 4, 4, -ECONNRESET, 0, NULL);
	/* More than usbfs takes for one packet, and what it refuses itself. */
	ask_packets(u, 5, true, 1, 98305, 0);
	turn_until(u, u->n_got >= 64);
	assert_int_equal(pdu_u32(u->got + 4), 5);
	assert_int_equal((int)pdu_u32(u->got + 20), -EMSGSIZE);
	assert_int_equal(pdu_u32(u->got + 36), 1);
	assert_int_equal((int)pdu_u32(u->got + 48 + 12), -EXDEV);
	u->n_got = 0;
	/* An unplugged device's. */
	ask_packets(u, 6, true, 2, 10, 0);
	turn_until(u, usb_device_in_flight(u->dev) == 1);
	mock_unplug(&u->mock);
	turn_until(u, u->n_got >= 80);
	assert_int_equal((int)pdu_u32(u->got + 20), -ESHUTDOWN);
	assert_int_equal(pdu_u32(u->got + 36), 2);
	user_free(u);
}

static void unlinked(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);

	user_open(u);
	user_attach(u);
	ask(u, with_seqnum(interrupt_in, 1), NULL);
	turn_until(u, usb_device_in_flight(u->dev) == 1);
	unlink_urb(u, 2, 1);
	expect(u, 4, 2, -ECONNRESET, 0, NULL);
	assert_int_equal(usb_device_in_flight(u->dev), 0);
	assert_int_equal(u->mock.n_discarded, 1);
	user_free(u);
}

static void blocking_requests(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);

	user_open(u);
	user_attach(u);
	mock_forget(&u->mock);
	/* The other setting has endpoint 3 instead of 1. */
	ask(u, with_seqnum(interrupt_in, 1), NULL);
	ask(u, (struct pdu_submit){.seqnum = 2, .setup = {1, 11, 1, 0, 0, 0}}, NULL);
	ask(u, (struct pdu_submit){.seqnum = 3, .in = true, .ep = 3, .length = 8}, NULL);
	expect(u, 3, 1, -ESHUTDOWN, 0, NULL);
	expect(u, 3, 2, 0, 0, NULL);
	assert_true(mock_logged(&u->mock, "setting1"));
	assert_int_equal(u->n_resumed, 1);
	turn_until(u, usb_device_in_flight(u->dev) == 1);
	ask(u, with_seqnum(interrupt_in, 4), NULL);
	expect(u, 3, 4, -ENOENT, 0, NULL);
	assert_true(mock_key(&u->mock, 9));
	expect(u, 3, 3, 0, 8, (uint8_t[8]){});
	/* Clear a halt; endpoint 0's goes to the device, which stalls. */
	ask(u, (struct pdu_submit){.seqnum = 5, .setup = {2, 1, 0, 0, 0x82}}, NULL);
	expect(u, 3, 5, 0, 0, NULL);
	assert_true(mock_logged(&u->mock, "unhalt130"));
	ask(u, (struct pdu_submit){.seqnum = 6, .setup = {2, 1}}, NULL);
	expect(u, 3, 6, -EPIPE, 0, NULL);
	/* Another configuration: the bulk interface isn't there. */
	mock_forget(&u->mock);
	ask(u, (struct pdu_submit){.seqnum = 7, .setup = {0, 9, 2}}, NULL);
	expect(u, 3, 7, 0, 0, NULL);
	assert_string_equal(u->mock.log, "release0 release1 configuration2 claim0 reports0 ");
	ask(u, (struct pdu_submit){.seqnum = 8, .in = true, .ep = 2, .length = 8}, NULL);
	expect(u, 3, 8, -ENOENT, 0, NULL);
	/* A reset, as usbip-win2 asks for it. */
	ask(u, (struct pdu_submit){.seqnum = 9, .setup = {0x23, 3, 4, 0, 1}}, NULL);
	expect(u, 3, 9, 0, 0, NULL);
	assert_true(mock_logged(&u->mock, "reset"));
	/* Refused by the device. */
	mock_set(&u->mock, &u->mock.set_interface_errno, EPIPE);
	ask(u, (struct pdu_submit){.seqnum = 10, .setup = {1, 11, 1, 0, 0, 0}}, NULL);
	expect(u, 3, 10, -EPIPE, 0, NULL);
	mock_set(&u->mock, &u->mock.set_configuration_errno, EINVAL);
	ask(u, (struct pdu_submit){.seqnum = 11, .setup = {0, 9, 7}}, NULL);
	expect(u, 3, 11, -EPIPE, 0, NULL);
	ask(u, with_seqnum(interrupt_in, 12), NULL);
	turn_until(u, mock_key(&u->mock, 9));
	expect(u, 3, 12, 0, 8, (uint8_t[8]){});
	user_free(u);
}

/* What its guest's share has no room for waits until another of that guest comes back. */
static void share_of_memory(void **state)
{
	struct usb_memory memory = {0};
	struct usb_memory_share share = {.large = 2 * (8192 + 512), .small = 4096};
	struct user *u = user_new(0x046d, 0xc31c);
	uint8_t data[8];

	usb_memory_set_share(&memory, &share);
	user_open(u);
	usb_device_charge_to(u->dev, &memory);
	user_attach(u);
	for (uint32_t seqnum = 1; seqnum <= 3; seqnum++)
		ask(u, (struct pdu_submit){.seqnum = seqnum, .in = true, .ep = 2, .length = 8192},
		    NULL);
	/* They hold up no other endpoint's: there is the reserve. */
	ask(u, (struct pdu_submit){.seqnum = 4, .setup = {0x40, 1}}, NULL);
	expect(u, 3, 4, 0, 0, NULL);
	assert_int_equal(usb_device_in_flight(u->dev), 2);
	assert_int_equal(memory.large, share.large);
	assert_int_equal(memory.small, 0);
	/* It isn't the kernel that they wait for. */
	assert_false(usbip_session_starved(u->session));
	unlink_urb(u, 101, 1);
	expect(u, 4, 101, -ECONNRESET, 0, NULL);
	turn_until(u, usb_device_in_flight(u->dev) == 2);
	unlink_urb(u, 102, 2);
	expect(u, 4, 102, -ECONNRESET, 0, NULL);
	unlink_urb(u, 103, 3);
	expect(u, 4, 103, -ECONNRESET, 0, NULL);
	assert_int_equal(memory.large, 0);
	/* The kernel refuses one: it isn't charged. */
	mock_set(&u->mock, &u->mock.submit_errno, ENOMEM);
	ask(u, with_seqnum(interrupt_in, 6), NULL);
	expect(u, 3, 6, -ENOMEM, 0, NULL);
	assert_int_equal(memory.small, 0);
	mock_set(&u->mock, &u->mock.submit_errno, 0);
	ask(u, with_seqnum(interrupt_in, 7), NULL);
	turn_until(u, usb_device_in_flight(u->dev) == 1);
	assert_int_equal(memory.small, 8 + 512);
	assert_true(mock_key(&u->mock, 4));
	expect(u, 3, 7, 0, 8, data);
	assert_int_equal(memory.small, 0);
	user_free(u);
}

/* usbfs' memory is used up: told as such, for each type, and waited for. */
static void no_memory(void **state)
{
	struct user *u = user_new(0x046d, 0xc31c);

	user_open(u);
	user_attach(u);
	mock_set(&u->mock, &u->mock.submit_errno, ENOMEM);
	ask(u, with_seqnum(interrupt_in, 1), NULL);
	expect(u, 3, 1, -ENOMEM, 0, NULL);
	ask(u, with_seqnum(get_descriptor, 2), NULL);
	expect(u, 3, 2, -ENOMEM, 0, NULL);
	ask(u, (struct pdu_submit){.seqnum = 3, .ep = 2, .length = 3}, "abc");
	expect(u, 3, 3, -ENOMEM, 0, NULL);
	ask_packets(u, 4, true, 1, 10, 0);
	turn_until(u, u->n_got >= 64);
	assert_int_equal((int)pdu_u32(u->got + 20), -ENOMEM);
	u->n_got = 0;
	usbip_session_set_retries(u->session, 1000);
	ask(u, (struct pdu_submit){.seqnum = 5, .ep = 2, .length = 3}, "abc");
	turn_until(u, usbip_session_starved(u->session));
	usbip_session_retry(u->session);
	assert_true(usbip_session_starved(u->session));
	mock_set(&u->mock, &u->mock.submit_errno, 0);
	usbip_session_retry(u->session);
	assert_false(usbip_session_starved(u->session));
	expect(u, 3, 5, 0, 0, NULL);
	user_free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(control_transfers),
		cmocka_unit_test(long_control),
		cmocka_unit_test(keys),
		cmocka_unit_test(isochronous),
		cmocka_unit_test(isochronous_errors),
		cmocka_unit_test(unlinked),
		cmocka_unit_test(blocking_requests),
		cmocka_unit_test(share_of_memory),
		cmocka_unit_test(no_memory),
	};

	if (usb_device_library_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("usb-transfer", tests, NULL, NULL);
}
