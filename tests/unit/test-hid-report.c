/* SPDX-License-Identifier: BSD-2-Clause */
/* Report descriptors: where the keys of real keyboards are, and what broken ones come to. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "hid-keyboards.h"
#include "usb/hid_found.h"
#include "usb/hid_keyboard.h"
#include "usb/hid_report.h"

static struct hid_keyboard *keyboard_of(const void *descriptor, size_t len)
{
	struct hid_keyboard *keyboard;
	struct hid_layout *layout;

	assert_int_equal(hid_report_parse(&layout, descriptor, len), 0);
	assert_int_equal(hid_keyboard_new(&keyboard, layout), 0);
	return keyboard;
}

/* Which keys are down: "e0 04", in order of usage. */
static const char *down(const struct hid_keyboard *keyboard)
{
	static char text[2048];
	struct hid_keys keys = {};

	text[0] = '\0';
	hid_keyboard_down(keyboard, &keys);
	for (unsigned usage = 0; usage < 256; usage++)
		if (hid_keys_has(&keys, (uint8_t)usage))
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%02x",
				 text[0] ? " " : "", usage);
	return text;
}

/* Which keys one report says are down; "-" where it isn't a keyboard's. */
static const char *read_keys(const void *descriptor, size_t len, const char *report, size_t n)
{
	struct hid_keyboard *keyboard = keyboard_of(descriptor, len);
	const char *text = "-";

	if (hid_keyboard_read(keyboard, (const uint8_t *)report, n) >= 0)
		text = down(keyboard);
	hid_keyboard_free(keyboard);
	return text;
}

#define KEYS(descriptor, report) \
	read_keys(descriptor, sizeof(descriptor), report, sizeof(report) - 1)

static void test_keys(void **state)
{
	assert_string_equal(KEYS(boot_keyboard, "\0\0\0\0\0\0\0\0"), "");
	assert_string_equal(KEYS(boot_keyboard, "\x11\0\x29\0\0\0\0\0"), "29 e0 e4");
	assert_string_equal(KEYS(boot_keyboard, "\x82\xff\0\x65\0\x66\0\x04"), "04 65 e1 e7");
	/* Too short. */
	assert_string_equal(KEYS(boot_keyboard, "\x11\0\x29\0\0\0\0"), "-");
	assert_string_equal(KEYS(boot_keyboard, "\x11\0\x29\0\0\0\0\0\x04"), "29 e0 e4");
	assert_string_equal(KEYS(boot_keyboard, ""), "-");

	assert_string_equal(KEYS(qemu_keyboard, "\x11\0\x29\xff\0\0\0\x04"), "04 29 e0 e4 ff");

	assert_string_equal(KEYS(nkro_keyboard,
				 "\x06\x11\0\0\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				 "\0\0\0\0\0\0\0\0\x80"),
			    "29 e0 e4 ef");
	assert_string_equal(KEYS(nkro_keyboard, "\x06\x11\0\0\0\0\0\x02"), "-");
	assert_string_equal(KEYS(nkro_keyboard, "\x04\x29\0"), "-");
	assert_string_equal(KEYS(nkro_keyboard, "\x02\x11\x29\x29"), "-");
	assert_string_equal(KEYS(nkro_keyboard, "\x07\x11\x29\x29"), "-");

	/* Elements of 12 bits; 1 means key 04, so 0x26 means 29. */
	assert_string_equal(KEYS(receiver, "\x01\x11\x26\x10\0"), "04 29 e0 e4");
	assert_string_equal(KEYS(receiver, "\x01\0\xa1\x20\x0a"), "a4");
	assert_string_equal(KEYS(receiver, "\x10\x11\x26\x10\0\0\0"), "-");

	assert_string_equal(KEYS(mouse, "\x11\x29\0\0"), "-");
}

static void test_release(void **state)
{
	static const struct {
		const uint8_t *descriptor;
		size_t len;
		const char *in, *out;
		size_t n;
	} cases[] = {
		{boot_keyboard, sizeof(boot_keyboard), "\x11\xaa\x29\0\x66\x01\x65\0",
		 "\0\xaa\0\0\x66\0\0\0", 8},
		{receiver, sizeof(receiver), "\x01\x11\x26\xf0\xff", "\x01\0\0\xf0\xff", 5},
		{nkro_keyboard, sizeof(nkro_keyboard),
		 "\x06\x11\1\1\1\1\1\x02\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\x80\xee",
		 "\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xee", 33},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hid_keyboard *keyboard = keyboard_of(cases[i].descriptor, cases[i].len);
		uint8_t data[64];
		int r;

		memcpy(data, cases[i].in, cases[i].n);
		r = hid_keyboard_read(keyboard, data, cases[i].n);
		assert_true(r >= 0);
		hid_keyboard_release(keyboard, r, data);
		assert_memory_equal(data, cases[i].out, cases[i].n);
		hid_keyboard_read(keyboard, data, cases[i].n);
		assert_string_equal(down(keyboard), "");
		hid_keyboard_free(keyboard);
	}
}

/* More keys than it can tell: modifiers still count, the others stay as they were. */
static void test_rollover(void **state)
{
	struct hid_keyboard *keyboard;
	struct hid_layout *layout;

	assert_int_equal(hid_report_boot(&layout), 0);
	assert_int_equal(hid_keyboard_new(&keyboard, layout), 0);
	hid_keyboard_read(keyboard, (const uint8_t *)"\x01\0\x29\x04\0\0\0\0", 8);
	assert_string_equal(down(keyboard), "04 29 e0");
	hid_keyboard_read(keyboard, (const uint8_t *)"\x10\0\1\1\1\1\1\1", 8);
	assert_string_equal(down(keyboard), "04 29 e4");
	hid_keyboard_read(keyboard, (const uint8_t *)"\0\0\0\0\0\0\0\0", 8);
	assert_string_equal(down(keyboard), "");
	hid_keyboard_free(keyboard);
}

#define TEXT(s) s, sizeof(s) - 1

/* Inside a keyboard's application; tests/uhid/hidpair.c has Linux read the same. */
static const struct {
	const char *descriptor;
	size_t len;
	int r;
	unsigned fields, runs;
} shapes[] = {
	{TEXT(""), 0, 0, 0},
	/* Cut off, unbalanced, too deep. */
	{TEXT("\x17\1\2"), -EBADMSG, 0, 0},
	{TEXT("\xa1\x01"), -EBADMSG, 0, 0},
	{TEXT("\xc0"), -EBADMSG, 0, 0},
	{TEXT("\xb4"), -EBADMSG, 0, 0},
	{TEXT("\xa4\xa4\xa4\xa4\xa4"), -EBADMSG, 0, 0},
	{TEXT("\xa4\xa4\xa4\xa4\xb4\xb4\xb4\xb4"), 0, 0, 0},
	/* Sizes, counts and ids that Linux refuses; items that nobody knows. */
	{TEXT("\x76\1\1"), -EBADMSG, 0, 0},
	{TEXT("\x96\1\x30"), -EBADMSG, 0, 0},
	{TEXT("\x85\0"), -EBADMSG, 0, 0},
	{TEXT("\x86\0\1"), -EBADMSG, 0, 0},
	{TEXT("\xc4"), -EBADMSG, 0, 0},
	{TEXT("\xfe\3\1abc"), -EBADMSG, 0, 0},
	{TEXT("\xf5\1"), -EBADMSG, 0, 0},
	{TEXT("\xd0\x0c\x98\x78"), 0, 0, 0},
	/* A maximum below the minimum, of any report; signed where the minimum is. */
	{TEXT("\x15\7\x25\0\x91\2"), -EBADMSG, 0, 0},
	{TEXT("\x15\xff\x25\xfe\xb1\2"), -EBADMSG, 0, 0},
	{TEXT("\x15\7\x25\xff\x81\2"), 0, 0, 0},
	{TEXT("\x25\xff\x15\xff\x81\2"), 0, 0, 0},
	/* A report beyond all bounds, by one field and by many. */
	{TEXT("\x76\0\1\x96\0\x30\x81\x02"), -EBADMSG, 0, 0},
	{TEXT("\x75\x80\x96\xff\3\x81\x02"), 0, 0, 0},
	{TEXT("\x75\x80\x96\xff\3\x81\x02\x75\x79\x95\1\x81\2"), -EBADMSG, 0, 0},
	{TEXT("\x75\x80\x96\xff\3\x91\x02\x75\x79\x95\1\x81\2"), 0, 0, 0},
	/* Keys before the first id, and again by POP: a report of id 0 among others. */
	{TEXT("\x05\x07\x09\4\x75\1\x95\1\x81\2\x85\1"), 0, 1, 1},
	{TEXT("\x05\x07\x75\1\x95\1\xa4\x85\1\xb4\x09\4\x81\2"), 0, 1, 1},
	/* Constant, without a usage, of another page: no keys. Relative ones are. */
	{TEXT("\x05\x07\x19\xe0\x29\xe7\x75\1\x95\x08\x81\3"), 0, 0, 0},
	{TEXT("\x05\x07\x75\1\x95\x08\x81\2"), 0, 0, 0},
	{TEXT("\x05\x08\x19\xe0\x29\xe7\x75\1\x95\x08\x81\2"), 0, 0, 0},
	{TEXT("\x05\x07\x19\xe0\x29\xe7\x75\1\x95\0\x81\2"), 0, 0, 0},
	{TEXT("\x05\x07\x19\xe0\x29\xe7\x75\1\x95\x08\x81\6"), 0, 1, 1},
	/* A maximum without a minimum: from 0. Below the minimum: up to the bound, unless others
	 * came before. */
	{TEXT("\x05\x07\x29\xe7\x75\1\x95\x08\x81\2"), 0, 1, 1},
	{TEXT("\x05\x07\x19\xe7\x29\xe0\x75\1\x95\x08\x81\2"), 0, 1, 1},
	{TEXT("\x05\7\x19\4\x29\x0b\x19\xe7\x29\xe0\x75\1\x95\x08\x81\2"), 0, 1, 1},
	{TEXT("\x05\x07\x19\xe0\x29\x30\x19\0\x29\xff\x75\1\x95\1\x81\2"), -EBADMSG, 0, 0},
	{TEXT("\x05\x07\x19\xe0\x29\x30\x19\2\x29\xff\x75\1\x95\1\x81\2"), 0, 1, 1},
	{TEXT("\x05\x07\x1a\0\1\x2a\0\x40\x09\4\x75\1\x95\1\x81\2"), -EBADMSG, 0, 0},
	/* The page that comes after usages holds for those right before it; usages may have their
	 * own. */
	{TEXT("\x19\xe0\x29\xe7\x05\x07\x75\1\x95\x08\x81\2"), 0, 1, 1},
	{TEXT("\x05\7\x09\4\x05\x08\x09\1\x75\1\x95\2\x81\2"), 0, 1, 1},
	{TEXT("\x05\x08\x09\4\x05\7\x09\5\x75\1\x95\2\x81\2"), 0, 1, 1},
	{TEXT("\x05\x09\x1b\xe0\0\7\0\x2b\xe7\0\7\0\x75\1\x95\x08\x81\2"), 0, 1, 1},
	{TEXT("\x05\7\x1b\xe0\0\7\0\x29\xe7\x75\1\x95\x08\x81\2"), 0, 1, 1},
	/* Usages given one by one: runs. Of alternatives the first set, whole; nothing after the
	 * second. */
	{TEXT("\x05\x07\x09\4\x09\5\x09\7\x09\x08\x75\1\x95\4\x81\2"), 0, 1, 2},
	{TEXT("\x05\x07\xa9\1\x09\4\x09\x20\xa9\0\x09\x30\x75\1\x95\3\x81\2"), 0, 1, 3},
	{TEXT("\x05\7\xa9\1\x09\4\xa9\0\xa9\1\x09\6\xa9\0\x09\x08\x75\1\x95\1\x81\2"), 0, 1, 1},
	{TEXT("\xa9\1\xa9\1"), -EBADMSG, 0, 0},
	{TEXT("\xa9\0"), -EBADMSG, 0, 0},
	{TEXT("\xa9\1\x81\2"), 0, 0, 0},
	/* More elements than usages: the last goes on. */
	{TEXT("\x05\x07\x19\4\x29\5\x75\1\x95\x08\x81\2"), 0, 1, 2},
	/* Arrays of any shape. */
	{TEXT("\x05\x07\x19\4\x29\x0b\x15\0\x25\7\x75\3\x95\2\x81\0"), 0, 1, 1},
	{TEXT("\x05\x07\x19\4\x29\x0a\x15\xff\x25\7\x75\x08\x95\2\x81\0"), 0, 1, 1},
	{TEXT("\x05\x07\x19\4\x29\x0b\x15\0\x25\7\x75\x21\x95\x41\x81\0"), 0, 1, 2},
	/* Usages beyond the page's 8 bits, and those that are no keys. */
	{TEXT("\x05\x07\x1a\0\1\x2a\xff\1\x75\1\x95\x08\x81\2"), 0, 0, 0},
	{TEXT("\x05\x07\x19\xfe\x2a\xff\1\x75\1\x95\x08\x81\2"), 0, 1, 1},
	{TEXT("\x05\x07\x19\0\x29\3\x75\1\x95\4\x81\2"), 0, 0, 0},
};

static void test_shapes(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		struct hid_layout *layout = NULL;
		char text[128] = "\x05\x01\x09\x06\xa1\x01";
		int r;

		memcpy(text + 6, shapes[i].descriptor, shapes[i].len);
		text[6 + shapes[i].len] = (char)0xc0;
		r = hid_report_parse(&layout, text, shapes[i].len + 7);
		if (r != shapes[i].r || (layout && (layout->n_fields != shapes[i].fields ||
						    layout->n_runs != shapes[i].runs)))
			fail_msg("shape %zu: %d, %u fields, %u runs", i, r,
				 layout ? layout->n_fields : 0, layout ? layout->n_runs : 0);
		hid_layout_free(layout);
	}
}

/* As much as a descriptor can hold, and a byte more. */
static void test_bounds(void **state)
{
	static char text[HID_DESCRIPTOR_MAX + 1];
	struct hid_layout *layout;
	size_t n = 6;

	memcpy(text, TEXT("\x05\1\x09\6\xa1\1"));
	memcpy(text + n, TEXT("\x05\x07\x75\1\x95\1"));
	n += 6;
	for (unsigned id = 1; id <= 255; id++) {
		char one[] = {(char)0x85, (char)id, 0x09, 4, (char)0x81, 2};

		memcpy(text + n, one, sizeof(one));
		n += sizeof(one);
	}
	text[n++] = (char)0xc0;
	assert_int_equal(hid_report_parse(&layout, text, n), 0);
	assert_int_equal(layout->n_reports, 255);
	layout = hid_layout_free(layout);

	/* Of one report Linux keeps 256 fields. */
	for (n = 12; n + 5 < HID_DESCRIPTOR_MAX; n += 4)
		memcpy(text + n, TEXT("\x09\4\x81\2"));
	text[n++] = (char)0xc0;
	assert_int_equal(hid_report_parse(&layout, text, n), 0);
	assert_int_equal(layout->n_fields, 256);
	layout = hid_layout_free(layout);

	/* Collections without end. */
	memset(text, 0xa0, sizeof(text) / 2);
	memset(text + sizeof(text) / 2, 0xc0, sizeof(text) / 2);
	assert_int_equal(hid_report_parse(&layout, text, HID_DESCRIPTOR_MAX), 0);
	layout = hid_layout_free(layout);
	memset(text, 0x0c, sizeof(text)); /* reserved items without data */
	assert_int_equal(hid_report_parse(&layout, text, HID_DESCRIPTOR_MAX), 0);
	layout = hid_layout_free(layout);
	assert_int_equal(hid_report_parse(&layout, text, sizeof(text)), -E2BIG);
	assert_int_equal(hid_report_parse(&layout, text, 0), -EBADMSG);
}

/* Fields without any bits, each with as many elements as there can be: a report of one byte would
 * have all of them looked at. */
static void test_too_many_elements(void **state)
{
	char text[HID_DESCRIPTOR_MAX];
	struct hid_keyboard *keyboard = NULL;

	for (unsigned fields = 1; fields <= 256; fields += 255)
		for (char flags = 0; flags <= 2; flags += 2) {
			_cleanup_(hid_layout_freep) struct hid_layout *layout = NULL;
			size_t n = 0;

			memcpy(text, TEXT("\5\1\x09\6\xa1\1\5\7\x25\1\x75\0\x96\0\x30"));
			n += sizeof("\5\1\x09\6\xa1\1\5\7\x25\1\x75\0\x96\0\x30") - 1;
			for (unsigned i = 0; i < fields; i++) {
				memcpy(text + n, TEXT("\x09\4\x81\0"));
				text[n + 3] = flags;
				n += 4;
			}
			text[n++] = (char)0xc0;
			assert_int_equal(hid_report_parse(&layout, text, n), 0);
			assert_int_equal(layout->n_fields, fields);
			assert_int_equal(hid_keyboard_new(&keyboard, layout),
					 fields == 1 ? 0 : -E2BIG);
			if (fields > 1)
				continue;
			layout = NULL;
			keyboard = hid_keyboard_free(keyboard);
		}
}

/* Buttons of nothing that Linux knows, numbered from BTN_MISC on: the 17th is BTN_LEFT. */
#define BUTTONS_AND_AXES(n)                                                                      \
	{                                                                                        \
		0x05, 0x01, 0xa1, 0x01, 0x05, 0x09, 0x19, 0x01, 0x29, n, 0x15, 0x00, 0x25, 0x01, \
			0x75, 0x01, 0x95, n, 0x81, 0x02, 0x95, 32 - n, 0x81, 0x03, 0x05, 0x01,   \
			0x09, 0x01, 0xa1, 0x00, 0x09, 0x30, 0x09, 0x31, 0x26, 0xff, 0x00, 0x75,  \
			0x08, 0x95, 0x02, 0x81, 0x02, 0xc0, 0xc0                                 \
	}
static const uint8_t buttons_16[] = BUTTONS_AND_AXES(16), buttons_17[] = BUTTONS_AND_AXES(17);

#define KIND(descriptor, kinds)                       \
	{                                             \
		descriptor, sizeof(descriptor), kinds \
	}

static void test_kinds(void **state)
{
	static const struct {
		const uint8_t *descriptor;
		size_t len;
		unsigned kinds;
	} cases[] = {
		KIND(boot_keyboard, HID_KEYBOARD),
		KIND(qemu_keyboard, HID_KEYBOARD),
		KIND(nkro_keyboard, HID_KEYBOARD | HID_POINTER),
		KIND(receiver, HID_KEYBOARD),
		KIND(nested_keyboard, HID_KEYBOARD),
		KIND(vendor_keyboard, 0),
		KIND(keypad, HID_KEYBOARD),
		KIND(media_keys, 0),
		KIND(mouse, HID_POINTER),
		KIND(mouse_with_keys, HID_POINTER),
		KIND(tablet, HID_POINTER),
		KIND(pen, HID_POINTER),
		KIND(game_pad, 0),
		KIND(joystick, 0),
		KIND(power_supply, 0),
		KIND(buttons_16, 0),
		KIND(buttons_17, HID_POINTER),
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned kinds = hid_report_kinds(cases[i].descriptor, cases[i].len);

		if (kinds != cases[i].kinds)
			fail_msg("case %zu is of kinds %u", i, kinds);
		/* Cut short at any byte it is no other thing, and read within its bytes. */
		for (size_t len = 0; len < cases[i].len; len++) {
			uint8_t *cut = malloc(len + 1);

			memcpy(cut, cases[i].descriptor, len);
			assert_int_equal(hid_report_kinds(cut, len) & ~cases[i].kinds, 0);
			free(cut);
		}
	}
}

static void test_length(void **state)
{
	static const struct {
		const char *hid;
		size_t result;
	} cases[] = {
		{"\x09\x21\x11\1\0\1\x22\x3f\0", 63},
		{"\x09\x21\x11\1\0\1\x22\x3f\1", 0x13f},
		{"\x09\x21\x11\1\0\1\x22\1\x10", 0},
		{"\x09\x21\x11\1\0\1\x22\0\x10", 4096},
		{"\x09\x21\x11\1\0\1\x23\x3f\0", 0},
		/* The last one counts, of as many as are said and there. */
		{"\x0c\x21\x11\1\0\2\x23\1\0\x22\x3f\0", 63},
		{"\x0c\x21\x11\1\0\2\x22\x3f\0\x22\x41\0", 65},
		{"\x0c\x21\x11\1\0\1\x22\x3f\0\x22\x41\0", 63},
		{"\x0b\x21\x11\1\0\2\x22\x3f\0\x22\x41", 63},
		{"\x09\x21\x11\1\0\0\x22\x3f\0", 0},
		{"\x09\x21\x11\1\0\xff\x22\x3f\0", 63},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(hid_report_length((const uint8_t *)cases[i].hid), cases[i].result);
}

static void test_found(void **state)
{
	struct hid_found found = {}, more = {};
	char text[80];

	assert_int_equal(hid_protocol_kinds(3, 1, 1), HID_KEYBOARD);
	assert_int_equal(hid_protocol_kinds(3, 1, 2), HID_POINTER);
	assert_int_equal(hid_protocol_kinds(3, 0, 1), 0);
	assert_int_equal(hid_protocol_kinds(8, 1, 1), 0);
	assert_false(hid_found_join(&found, &more));
	assert_int_equal(hid_found_kinds(&found), 0);
	assert_string_equal(hid_found_text(&found, HID_KEYBOARD, text, sizeof(text)), "");
	more.kinds[HID_BY_REPORTS][7] = HID_KEYBOARD | HID_POINTER;
	more.kinds[HID_BY_PROTOCOL][255] = HID_POINTER;
	assert_true(hid_found_join(&found, &more));
	assert_false(hid_found_join(&found, &more));
	assert_int_equal(hid_found_kinds(&found), HID_KEYBOARD | HID_POINTER);
	assert_string_equal(hid_found_text(&found, HID_KEYBOARD, text, sizeof(text)),
			    "from the report descriptor of interface 7");
	assert_string_equal(hid_found_text(&found, HID_POINTER, text, sizeof(text)),
			    "from the protocol of interface 255");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_rollover),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_too_many_elements),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
