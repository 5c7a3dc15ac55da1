/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices whose descriptors are odd, and those that libusb refuses. */
#include "tests/device/usb-user.h"

#include <errno.h>
#include <string.h>

#define INTERFACE(number, alternate, endpoints) 9, 4, number, alternate, endpoints, 255, 0, 0, 0

/* Descriptors that Linux works with: what is claimed, and what is there to submit to. usbfs leaves
 * holes, here zeros, where a configuration is shorter than it says. */
static void odd_descriptors(void **state)
{
	static const uint8_t padded[] = {DEVICE(1), CONFIG(26, 1), INTERFACE(0, 0, 1),
					 INTERRUPT(0x81), 0};
	static const uint8_t hole[18 + 200] = {DEVICE(1), CONFIG(200, 1), INTERFACE(0, 0, 1),
					       INTERRUPT(0x81)};
	static const uint8_t zero[] = {
		DEVICE(1), CONFIG(43, 1),      INTERFACE(0, 0, 1), INTERRUPT(0x81), 0,
		4,	   INTERFACE(1, 0, 1), INTERRUPT(0x82),
	};
	static const uint8_t second[18 + 60 + 25] = {
		DEVICE(2),
		CONFIG(60, 1),
		INTERFACE(0, 0, 1),
		INTERRUPT(0x82),
		[18 + 60] = CONFIG(25, 2),
		INTERFACE(0, 0, 1),
		INTERRUPT(0x81),
	};
	static const uint8_t numbered_0[] = {DEVICE(1), CONFIG(25, 0), INTERFACE(0, 0, 1),
					     INTERRUPT(0x81)};
	/* libusb claims none above 31, usbfs none above 63. */
	static const uint8_t high[] = {DEVICE(1),	CONFIG(41, 1),	      INTERFACE(40, 0, 1),
				       INTERRUPT(0x81), INTERFACE(200, 0, 1), INTERRUPT(0x82)};
	static const uint8_t long_endpoint[] = {
		DEVICE(1), CONFIG(27, 1), INTERFACE(0, 0, 1), 9, 5, 0x81, 3, 8, 0, 10, 0, 0,
	};
	static const uint8_t twice[] = {DEVICE(1),	 CONFIG(48, 1),	  INTERFACE(0, 0, 1),
					INTERRUPT(0x81), INTERRUPT(0x82), INTERFACE(0, 0, 1),
					INTERRUPT(0x83)};
	static const uint8_t none[] = {DEVICE(1), CONFIG(9, 1)};
	/* The first one says 4 bytes, so usbfs shows 4. */
	static const uint8_t first_short[] = {
		DEVICE(2), 9, 2, 4, 0, CONFIG(25, 2), INTERFACE(0, 0, 1), INTERRUPT(0x81)};
	static const struct {
		const char *name;
		const uint8_t *node;
		size_t len;
		uint8_t configuration;
		const char *claims;
		bool has_1, has_2; /* IN endpoints */
	} rows[] = {
		{"padded", padded, sizeof(padded), 1, "claim0 ", true, false},
		{"hole", hole, sizeof(hole), 1, "claim0 ", true, false},
		{"zero", zero, sizeof(zero), 1, "claim0 ", true, false},
		{"second", second, sizeof(second), 2, "claim0 ", true, false},
		{"numbered 0", numbered_0, sizeof(numbered_0), 0, "claim0 ", true, false},
		{"high", high, sizeof(high), 1, "claim40 claim200 ", true, false},
		{"long endpoint", long_endpoint, sizeof(long_endpoint), 1, "claim0 ", true, false},
		{"twice", twice, sizeof(twice), 1, "claim0 ", true, false},
		{"none", none, sizeof(none), 1, "", false, false},
		{"first short", first_short, sizeof(first_short), 2, "claim0 ", true, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct user *u = user_new_of(rows[i].node, rows[i].len, rows[i].configuration);

		print_message("%s\n", rows[i].name);
		user_open(u);
		if (strncmp(u->mock.log, rows[i].claims, strlen(rows[i].claims)))
			fail_msg("%s: claimed: %s", rows[i].name, u->mock.log);
		user_attach(u);
		ask(u, (struct pdu_submit){.seqnum = 1, .in = true, .ep = 2, .length = 8}, NULL);
		expect(u, 3, 1, -ENOENT, 0, NULL);
		ask(u, (struct pdu_submit){.seqnum = 2, .in = true, .ep = 1, .length = 8}, NULL);
		if (rows[i].has_1) {
			turn_until(u, mock_key(&u->mock, 9));
			expect(u, 3, 2, 0, 8, (uint8_t[8]){[2] = 9});
		} else {
			expect(u, 3, 2, -ENOENT, 0, NULL);
		}
		/* Its own configuration anew, as each guest sets it. */
		ask(u, (struct pdu_submit){.seqnum = 3, .setup = {0, 9, rows[i].configuration}},
		    NULL);
		expect(u, 3, 3, 0, 0, NULL);
		assert_false(mock_logged(&u->mock, "unconfigured"));
		user_free(u);
	}
}

/* Asked which configuration it has, it stalls: what sysfs said counts. */
static void configuration_not_told(void **state)
{
	static const uint8_t node[] = {DEVICE(2),	CONFIG(25, 1), INTERFACE(0, 0, 1),
				       INTERRUPT(0x82), CONFIG(25, 2), INTERFACE(3, 0, 1),
				       INTERRUPT(0x81)};
	static const struct {
		int expected; /* < 0: nobody says */
		const char *claims;
	} rows[] = {{2, "claim3 "}, {1, "claim0 "}, {7, "claim0 "}, {-1, "claim0 "}, {0, ""}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct user *u = user_new_of(node, sizeof(node), 2);

		mock_set(&u->mock, &u->mock.get_configuration_errno, EPIPE);
		if (rows[i].expected >= 0)
			usb_device_expect(u->dev, (uint8_t)rows[i].expected);
		user_open(u);
		if (strncmp(u->mock.log, rows[i].claims, strlen(rows[i].claims)) ||
		    (!*rows[i].claims && mock_logged(&u->mock, "claim")))
			fail_msg("%d expected: %s", rows[i].expected, u->mock.log);
		user_free(u);
		/* It answers: that counts. */
		u = user_new_of(node, sizeof(node), 2);
		usb_device_expect(u->dev, 1);
		user_open(u);
		assert_true(mock_logged(&u->mock, "claim3 "));
		user_free(u);
	}
}

/* More than a page, and in none of its 30 interfaces is anything lost. */
static void long_descriptors(void **state)
{
	uint8_t node[18 + 9 + 30 * (9 + 200 + 7)] = {DEVICE(1), CONFIG(0, 1)}, *p = node + 18 + 9;
	struct user *u;

	node[18 + 2] = (uint8_t)(sizeof(node) - 18);
	node[18 + 3] = (uint8_t)((sizeof(node) - 18) >> 8);
	for (uint8_t n = 0; n < 30; n++) {
		const uint8_t interface[] = {INTERFACE(n, 0, 1), 200, 0xff};
		const uint8_t end[] = {INTERRUPT(n < 15 ? 0x81 + n : n - 14)};

		memcpy(p, interface, sizeof(interface));
		memset(p + sizeof(interface), 0, 200 - 2);
		memcpy(p + 9 + 200, end, sizeof(end));
		p += 9 + 200 + sizeof(end);
	}
	u = user_new_of(node, sizeof(node), 1);
	user_open(u);
	assert_true(mock_logged(&u->mock, "claim28 claim29 release0"));
	user_attach(u);
	ask(u, (struct pdu_submit){.seqnum = 1, .in = true, .ep = 15, .length = 8}, NULL);
	turn_until(u, mock_key(&u->mock, 9));
	expect(u, 3, 1, 0, 8, (uint8_t[8]){[2] = 9});
	user_free(u);
}

/* An interface that has no setting 0 begins with its first, and any of its settings can be set. */
static void settings_without_0(void **state)
{
	static const uint8_t node[] = {
		DEVICE(1),	 CONFIG(41, 1),	     INTERFACE(0, 3, 1),
		INTERRUPT(0x81), INTERFACE(0, 7, 1), INTERRUPT(0x82),
	};
	struct user *u = user_new_of(node, sizeof(node), 1);

	user_open(u);
	user_attach(u);
	ask(u, (struct pdu_submit){.seqnum = 1, .in = true, .ep = 1, .length = 8}, NULL);
	turn_until(u, mock_key(&u->mock, 9));
	expect(u, 3, 1, 0, 8, (uint8_t[8]){[2] = 9});
	ask(u, (struct pdu_submit){.seqnum = 2, .setup = {1, 11, 7, 0, 0, 0}}, NULL);
	expect(u, 3, 2, 0, 0, NULL);
	assert_true(mock_logged(&u->mock, "setting7"));
	ask(u, (struct pdu_submit){.seqnum = 3, .in = true, .ep = 1, .length = 8}, NULL);
	expect(u, 3, 3, -ENOENT, 0, NULL);
	ask(u, (struct pdu_submit){.seqnum = 4, .in = true, .ep = 2, .length = 8}, NULL);
	turn_until(u, mock_key(&u->mock, 9));
	expect(u, 3, 4, 0, 8, (uint8_t[8]){[2] = 9});
	user_free(u);
}

/* libusb refuses a device of which one configuration is shorter than its own descriptor; usbfs shows
 * nothing of that one. Linux works with the others, and so do we. */
static void without_libusb(void **state)
{
	static const uint8_t node[] = {DEVICE(2), CONFIG(25, 1), INTERFACE(0, 0, 1),
				       INTERRUPT(0x81)};
	struct user *u = user_new_of(node, sizeof(node), 1);
	uint8_t data[64];

	user_open(u);
	assert_true(mock_logged(&u->mock, "claim0 release0 reset claim0"));
	user_attach(u);
	/* Control, in and out, and one that stalls. */
	ask(u, with_seqnum(get_descriptor, 1), NULL);
	expect(u, 3, 1, 0, 18, data);
	assert_int_equal(data[0], 18);
	ask(u, (struct pdu_submit){.seqnum = 2, .setup = {0, 9, 1}}, NULL);
	expect(u, 3, 2, 0, 0, NULL);
	ask(u,
	    (struct pdu_submit){
		    .seqnum = 3, .in = true, .length = 4, .setup = {0xc0, 1, 0, 0, 0, 0, 4}},
	    NULL);
	expect(u, 3, 3, -EPIPE, 0, NULL);
	/* A key, one that is taken back, and the next. */
	ask(u, with_seqnum(interrupt_in, 4), NULL);
	turn_until(u, mock_key(&u->mock, 9));
	expect(u, 3, 4, 0, 8, (uint8_t[8]){[2] = 9});
	ask(u, with_seqnum(interrupt_in, 5), NULL);
	turn_until(u, usb_device_in_flight(u->dev) == 1);
	unlink_urb(u, 6, 5);
	expect(u, 4, 6, -ECONNRESET, 0, NULL);
	ask(u, with_seqnum(interrupt_in, 7), NULL);
	turn_until(u, usb_device_in_flight(u->dev) == 1);
	mock_unplug(&u->mock);
	expect(u, 3, 7, -ESHUTDOWN, 0, NULL);
	user_free(u);
}

/* A device whose only configuration is like that has no interface at all, and answers all the same. */
static void without_interfaces(void **state)
{
	static const uint8_t node[] = {DEVICE(1)};
	struct user *u = user_new_of(node, sizeof(node), 1);

	user_open(u);
	user_attach(u);
	ask(u, (struct pdu_submit){.seqnum = 1, .setup = {0, 9, 1}}, NULL);
	expect(u, 3, 1, 0, 0, NULL);
	ask(u, (struct pdu_submit){.seqnum = 2, .setup = {0x40, 1}}, NULL);
	expect(u, 3, 2, 0, 0, NULL);
	assert_false(mock_logged(&u->mock, "unconfigured"));
	user_free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(odd_descriptors),  cmocka_unit_test(configuration_not_told),
		cmocka_unit_test(long_descriptors), cmocka_unit_test(settings_without_0),
		cmocka_unit_test(without_libusb),   cmocka_unit_test(without_interfaces),
	};

	if (usb_device_library_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("usb-odd", tests, NULL, NULL);
}
