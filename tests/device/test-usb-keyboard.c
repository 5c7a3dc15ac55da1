/* SPDX-License-Identifier: BSD-2-Clause */
/* Which devices are keyboards by what they say, and their chords. */
#include "tests/device/usb-user.h"

#include <errno.h>
#include <string.h>

#define UP "\0\0\0\0\0\0\0\0"

/* Struck in a session, still down in the next; its descriptor is asked for once, or isn't had. */
static void chords(void **state)
{
	static const struct hid_chords wanted = {{{{0xe0, 0xe4, 0x29}}, {{0xe0, 0xe4, 0x2c}}}};

	for (int r = 0; r <= EPIPE; r += EPIPE) {
		struct user *u = user_new(0x046d, 0xc31c);

		mock_set(&u->mock, &u->mock.report_descriptor_errno, r);
		usb_device_watch_for(u->dev, &wanted);
		user_open(u);
		assert_true(mock_logged(&u->mock, r ? "reset claim0 claim1 noreports0"
						    : "reset claim0 claim1 reports0"));
		mock_forget(&u->mock);
		user_attach(u);
		ask(u, (struct pdu_submit){.seqnum = 1, .setup = {0, 9, 1}}, NULL);
		expect(u, 3, 1, 0, 0, NULL);
		report(u, 2, "\x11\0\x04\0\0\0\0\0", "\x11\0\x04\0\0\0\0\0");
		assert_int_equal(u->n_struck, 0);
		report(u, 3, "\x11\0\x2c\0\0\0\0\0", UP);
		assert_int_equal(u->n_struck, 101);
		user_detach(u);
		usb_device_end_session(u->dev);
		turn_until(u, u->was_ended);

		user_attach(u);
		report(u, 4, "\x11\0\x2c\0\0\0\0\0", UP);
		report(u, 5, "\x10\0\0\0\0\0\0\0", UP);
		report(u, 6, UP, UP);
		report(u, 7, "\0\0\x2c\0\0\0\0\0", "\0\0\x2c\0\0\0\0\0");
		assert_int_equal(u->n_struck, 101);
		/* Other chords from now on. */
		usb_device_watch_for(u->dev, &(struct hid_chords){{{{0x2c}}}});
		report(u, 8, "\x11\0\x29\0\0\0\0\0", "\x11\0\x29\0\0\0\0\0");
		report(u, 9, "\0\0\x2c\0\0\0\0\0", UP);
		assert_int_equal(u->n_struck, 102);
		assert_false(mock_logged(&u->mock, "reports"));

		/* The second configuration has the keyboard, too, and is asked anew. */
		ask(u, (struct pdu_submit){.seqnum = 10, .setup = {0, 9, 2}}, NULL);
		expect(u, 3, 10, 0, 0, NULL);
		assert_true(mock_logged(&u->mock, r ? "noreports0" : "reports0"));
		report(u, 11, "\0\0\x2c\0\0\0\0\0", UP);
		assert_int_equal(u->n_struck, 103);
		user_free(u);
	}
}

/* One that comes short is asked for four times, as by Linux, and goes on in zeros. */
static void short_report_descriptor(void **state)
{
	for (int cut = 0; cut < 4; cut++) {
		struct user *u = user_new(0x046d, 0xc31c);
		const struct hid_found *found;

		mock_set(&u->mock, &u->mock.report_descriptor_cut, cut);
		user_open(u);
		assert_true(mock_logged(&u->mock, cut ? "reports0 reports0 reports0 reports0"
						      : "claim1 reports0"));
		assert_false(
			mock_logged(&u->mock, cut ? "reports0 reports0 reports0 reports0 reports0"
						  : "reports0 reports0"));
		found = usb_device_found(u->dev);
		assert_int_equal(found->kinds[HID_BY_PROTOCOL][0], HID_KEYBOARD);
		/* Without the end of its collection it is refused. */
		assert_int_equal(found->kinds[HID_BY_REPORTS][0], cut < 3 ? HID_KEYBOARD : 0);
		assert_int_equal(found->kinds[HID_BY_PROTOCOL][1], 0);
		user_free(u);
	}
}

#define HID_INTERFACE(number, endpoints) 9, 4, number, 0, endpoints, 3, 0, 0, 0

#define HID_DESCRIPTOR 9, 0x21, 0x10, 1, 0, 1, 0x22, 67, 0

/* The chord is seen on the keyboard that an interface is by its reports, and swallowed. */
static void expect_keyboard(const char *name, const uint8_t *node, size_t len, uint8_t interface,
			    int cut)
{
	static const struct hid_chords panic = {{{{0xe0, 0xe4, 0x29}}}};
	struct user *u = user_new_of(node, len, 1);
	const struct hid_found *found;

	print_message("%s\n", name);
	mock_set(&u->mock, &u->mock.keyboard, interface);
	mock_set(&u->mock, &u->mock.report_descriptor_cut, cut);
	usb_device_watch_for(u->dev, &panic);
	user_open(u);
	found = usb_device_found(u->dev);
	for (unsigned i = 0; i < ARRAY_SIZE(found->kinds[0]); i++) {
		assert_int_equal(found->kinds[HID_BY_PROTOCOL][i], 0);
		assert_int_equal(found->kinds[HID_BY_REPORTS][i],
				 i == interface ? HID_KEYBOARD : 0);
	}
	user_attach(u);
	report(u, 1, "\x11\0\x04\0\0\0\0\0", "\x11\0\x04\0\0\0\0\0");
	assert_int_equal(u->n_struck, 0);
	report(u, 2, "\x11\0\x29\0\0\0\0\0", UP);
	assert_int_equal(u->n_struck, 1);
	user_free(u);
}

/* 03/00/00, with the HID descriptor where devices have it, and of three configurations' lengths. */
static void keyboards_by_their_reports(void **state)
{
	static const uint8_t front[] = {DEVICE(1),	CONFIG(41, 1),	 HID_INTERFACE(0, 2),
					HID_DESCRIPTOR, INTERRUPT(0x81), INTERRUPT(0x01)};
	static const uint8_t behind_first[] = {DEVICE(1),	CONFIG(41, 1),	HID_INTERFACE(0, 2),
					       INTERRUPT(0x81), HID_DESCRIPTOR, INTERRUPT(0x01)};
	static const uint8_t behind_second[] = {DEVICE(1),	     CONFIG(41, 1),
						HID_INTERFACE(0, 2), INTERRUPT(0x01),
						INTERRUPT(0x81),     HID_DESCRIPTOR};
	static const uint8_t behind_others[] = {
		DEVICE(1), CONFIG(43, 1),   HID_INTERFACE(0, 1), 4, 0x24, 1, 2, 5, 0x21, 1, 2,
		3,	   INTERRUPT(0x81), HID_DESCRIPTOR};
	/* What HID descriptor there is, is cut off with its configuration. */
	static const uint8_t hole[18 + 200] = {DEVICE(1), CONFIG(200, 1), HID_INTERFACE(0, 1),
					       INTERRUPT(0x81), HID_DESCRIPTOR};

	expect_keyboard("in front", front, sizeof(front), 0, 0);
	expect_keyboard("behind the first endpoint", behind_first, sizeof(behind_first), 0, 0);
	expect_keyboard("behind the second", behind_second, sizeof(behind_second), 0, 0);
	expect_keyboard("behind others of its type", behind_others, sizeof(behind_others), 0, 0);
	expect_keyboard("before a hole", hole, sizeof(hole), 0, 0);
	expect_keyboard("a byte short", front, sizeof(front), 0, 1);
	expect_keyboard("two bytes short", behind_first, sizeof(behind_first), 0, 2);
}

/* So many HID interfaces, of which one alone answers: it counts wherever it stands. */
static void keyboards_among_many(void **state)
{
	static const struct {
		const char *name;
		uint8_t n, keyboard;
	} rows[] = {{"the first of two", 2, 0},
		    {"the ninth of nine", 9, 8},
		    {"the ninth of 32", 32, 8},
		    {"the 32nd of 32", 32, 31}};

	for (size_t r = 0; r < ARRAY_SIZE(rows); r++) {
		uint8_t node[18 + 9 + 32 * 25] = {DEVICE(1), CONFIG(0, 1)}, *p = node + 18 + 9;
		size_t total = 9u + rows[r].n * 25u;

		node[18 + 2] = (uint8_t)total;
		node[18 + 3] = (uint8_t)(total >> 8);
		/* Endpoint 1 is the keyboard's, the others share what there are. */
		for (uint8_t n = 0, address = 0x82; n < rows[r].n; n++) {
			const uint8_t interface[] = {HID_INTERFACE(n, 1), HID_DESCRIPTOR,
						     INTERRUPT(n == rows[r].keyboard ? 0x81
							       : address < 0x90	     ? address++
										     : 0x80)};

			memcpy(p, interface, sizeof(interface));
			p += sizeof(interface);
		}
		expect_keyboard(rows[r].name, node, 18 + total, rows[r].keyboard, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chords),
		cmocka_unit_test(short_report_descriptor),
		cmocka_unit_test(keyboards_by_their_reports),
		cmocka_unit_test(keyboards_among_many),
	};

	if (usb_device_library_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("usb-keyboard", tests, NULL, NULL);
}
