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
#include "usbip/hid_keyboard.h"
#include "usbip/hid_report.h"

/* Which keys a report says are down: "e0 04", in order of usage; "-" where it isn't a keyboard's.
 */
static const char *read_keys(const void *descriptor, size_t len, const char *report, size_t n)
{
	struct hid_keys keys[HID_REPORTS_MAX] = {};
	struct hid_layout layout;
	static char text[2048];
	int r;

	assert_int_equal(hid_report_parse(&layout, descriptor, len), 0);
	r = hid_keyboard_read(&layout, (const uint8_t *)report, n, keys);
	if (r < 0)
		return "-";
	text[0] = '\0';
	for (unsigned usage = 0; usage < 256; usage++)
		if (hid_keys_has(&keys[r], (uint8_t)usage))
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%02x",
				 text[0] ? " " : "", usage);
	return text;
}

#define KEYS(descriptor, report) \
	read_keys(descriptor, sizeof(descriptor), report, sizeof(report) - 1)

static void test_keys(void **state)
{
	assert_string_equal(KEYS(boot_keyboard, "\0\0\0\0\0\0\0\0"), "");
	assert_string_equal(KEYS(boot_keyboard, "\x11\0\x29\0\0\0\0\0"), "29 e0 e4");
	assert_string_equal(KEYS(boot_keyboard, "\x82\xff\0\x65\0\x66\0\x04"), "04 65 e1 e7");
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
	assert_string_equal(KEYS(composite, "\x01\x11\x26\x10\0"), "04 29 e0 e4");
	assert_string_equal(KEYS(composite, "\x01\0\xa1\x20\x0a"), "a4");
	assert_string_equal(KEYS(composite, "\x10\x11\x26\x10\0\0\0"), "-");

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
		{composite, sizeof(composite), "\x01\x11\x26\xf0\xff", "\x01\0\0\xf0\xff", 5},
		{nkro_keyboard, sizeof(nkro_keyboard),
		 "\x06\x11\1\1\1\1\1\x02\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\x80\xee",
		 "\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xee", 33},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hid_keys keys[HID_REPORTS_MAX] = {};
		struct hid_layout layout;
		uint8_t data[64];
		int r;

		assert_int_equal(hid_report_parse(&layout, cases[i].descriptor, cases[i].len), 0);
		memcpy(data, cases[i].in, cases[i].n);
		r = hid_keyboard_read(&layout, data, cases[i].n, keys);
		assert_true(r >= 0);
		hid_keyboard_release(&layout, r, data);
		assert_memory_equal(data, cases[i].out, cases[i].n);
		hid_keyboard_read(&layout, data, cases[i].n, keys);
		assert_int_equal(hid_keys_count(&keys[r]), 0);
	}
}

/* More keys than it can tell: modifiers still count, the others stay as they were. */
static void test_rollover(void **state)
{
	struct hid_keys keys[HID_REPORTS_MAX] = {};
	struct hid_layout layout;

	hid_report_boot(&layout);
	hid_keyboard_read(&layout, (const uint8_t *)"\x01\0\x29\x04\0\0\0\0", 8, keys);
	assert_int_equal(hid_keys_count(&keys[0]), 3);
	hid_keyboard_read(&layout, (const uint8_t *)"\x10\0\1\1\1\1\1\1", 8, keys);
	assert_int_equal(hid_keys_count(&keys[0]), 3);
	assert_true(hid_keys_has(&keys[0], 0xe4) && hid_keys_has(&keys[0], 0x29));
	assert_false(hid_keys_has(&keys[0], 0xe0));
	hid_keyboard_read(&layout, (const uint8_t *)"\0\0\0\0\0\0\0\0", 8, keys);
	assert_int_equal(hid_keys_count(&keys[0]), 0);
}

#define TEXT(s) s, sizeof(s) - 1

static const struct {
	const char *descriptor;
	size_t len;
	int r;
	unsigned fields;
} shapes[] = {
	{TEXT(""), 0, 0},
	/* Cut off, unbalanced, too deep. */
	{TEXT("\x05"), -EBADMSG, 0},
	{TEXT("\x17\1\2\3"), -EBADMSG, 0},
	{TEXT("\xa1\x01"), -EBADMSG, 0},
	{TEXT("\xc0"), -EBADMSG, 0},
	{TEXT("\xb4"), -EBADMSG, 0},
	{TEXT("\xa4\xa4\xa4\xa4\xa4"), -EBADMSG, 0},
	{TEXT("\xa4\xa4\xa4\xa4\xb4\xb4\xb4\xb4"), 0, 0},
	/* Ids 0 and above 255. */
	{TEXT("\x85\0"), -EBADMSG, 0},
	{TEXT("\x86\0\1"), -EBADMSG, 0},
	/* Keys before the first id, and by POP. */
	{TEXT("\x05\x07\x09\4\x75\1\x95\1\x81\2\x85\1"), -EBADMSG, 0},
	{TEXT("\x05\x07\x75\1\x95\1\xa4\x85\1\xb4\x09\4\x81\2"), 0, 0},
	/* A report beyond all bounds, by one field and by many. */
	{TEXT("\x77\xff\xff\xff\xff\x97\xff\xff\xff\xff\x81\x02"), -EBADMSG, 0},
	{TEXT("\x76\0\x80\x95\x03\x81\x02\x81\x02"), -EBADMSG, 0},
	/* Long items are passed over, and may be cut off. */
	{TEXT("\xfe\3\1abc\x05\x07\x19\xe0\x29\xe7\x75\1\x95\x08\x81\2"), 0, 1},
	{TEXT("\xfe\4\1abc"), -EBADMSG, 0},
	{TEXT("\xfe\4"), -EBADMSG, 0},
	/* Constant, relative, without a usage, of another page: no keys. */
	{TEXT("\x05\x07\x19\xe0\x29\xe7\x75\1\x95\x08\x81\3"), 0, 0},
	{TEXT("\x05\x07\x19\xe0\x29\xe7\x75\1\x95\x08\x81\6"), 0, 0},
	{TEXT("\x05\x07\x75\1\x95\x08\x81\2"), 0, 0},
	{TEXT("\x05\x08\x19\xe0\x29\xe7\x75\1\x95\x08\x81\2"), 0, 0},
	{TEXT("\x05\x07\x29\xe7\x75\1\x95\x08\x81\2"), 0, 0},
	{TEXT("\x05\x07\x19\xe7\x29\xe0\x75\1\x95\x08\x81\2"), 0, 0},
	/* The page may come after the usages, and usages may have their own. */
	{TEXT("\x19\xe0\x29\xe7\x05\x07\x75\1\x95\x08\x81\2"), 0, 1},
	{TEXT("\x05\x09\x1b\xe0\0\7\0\x2b\xe7\0\7\0\x75\1\x95\x08\x81\2"), 0, 1},
	/* Usages given one by one: runs. Of alternatives the first. */
	{TEXT("\x05\x07\x09\4\x09\5\x09\7\x09\x08\x75\1\x95\4\x81\2"), 0, 2},
	{TEXT("\x05\x07\xa9\1\x09\4\x09\x20\xa9\0\x09\5\x75\1\x95\2\x81\2"), 0, 1},
	/* Arrays whose every value is a key can't be released: left alone. With room above, or
	 * below, they can. */
	{TEXT("\x05\x07\x19\4\x29\x0b\x15\0\x25\7\x75\3\x95\2\x81\0"), 0, 0},
	{TEXT("\x05\x07\x19\4\x29\x0b\x15\0\x25\7\x75\4\x95\2\x81\0"), 0, 1},
	{TEXT("\x05\x07\x19\4\x29\x0a\x15\1\x25\7\x75\3\x95\2\x81\0"), 0, 1},
	{TEXT("\x05\x07\x19\4\x29\x0a\x15\xff\x25\7\x75\x08\x95\2\x81\0"), 0, 0},
	{TEXT("\x05\x07\x19\4\x29\x0b\x15\7\x25\0\x75\x08\x95\2\x81\0"), 0, 0},
	{TEXT("\x05\x07\x19\4\x29\x0b\x15\0\x25\7\x75\x11\x95\2\x81\0"), 0, 0},
	{TEXT("\x05\x07\x19\4\x29\x0b\x15\0\x25\7\x75\x08\x95\x41\x81\0"), 0, 0},
	/* Usages beyond the page's 8 bits. */
	{TEXT("\x05\x07\x1a\0\1\x2a\xff\1\x75\1\x95\x08\x81\2"), 0, 0},
	{TEXT("\x05\x07\x19\xfe\x2a\xff\1\x75\1\x95\x08\x81\2"), 0, 1},
};

static void test_shapes(void **state)
{
	struct hid_layout layout;

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		int r = hid_report_parse(&layout, shapes[i].descriptor, shapes[i].len);

		if (r != shapes[i].r || layout.n_fields != shapes[i].fields)
			fail_msg("shape %zu: %d, %u fields", i, r, layout.n_fields);
	}
}

/* As many reports and runs as there is room for, and one more. */
static void test_bounds(void **state)
{
	static char text[HID_DESCRIPTOR_MAX + 1];
	struct hid_layout layout;
	size_t n = 0;

	memcpy(text, TEXT("\x05\x07\x75\1\x95\1"));
	n = 6;
	for (unsigned id = 1; id <= HID_REPORTS_MAX + 1; id++) {
		char one[] = {(char)0x85, (char)id, 0x09, 4, (char)0x81, 2};

		memcpy(text + n, one, sizeof(one));
		n += sizeof(one);
		assert_int_equal(hid_report_parse(&layout, text, n),
				 id <= HID_REPORTS_MAX ? 0 : -E2BIG);
	}
	assert_int_equal(layout.n_fields, 0);
	n = 6;
	for (unsigned i = 1; i <= HID_FIELDS_MAX + 1; i++) {
		memcpy(text + n, TEXT("\x09\4\x81\2"));
		n += 4;
		assert_int_equal(hid_report_parse(&layout, text, n),
				 i <= HID_FIELDS_MAX ? 0 : -E2BIG);
	}
	memset(text, 0xc4, sizeof(text)); /* reserved items without data */
	assert_int_equal(hid_report_parse(&layout, text, HID_DESCRIPTOR_MAX), 0);
	assert_int_equal(hid_report_parse(&layout, text, sizeof(text)), -E2BIG);
}

static void test_length(void **state)
{
	static const struct {
		const char *extra;
		size_t len, result;
	} cases[] = {
		{TEXT(""), 0},
		{TEXT("\x09\x21\x11\1\0\1\x22\x3f\0"), 63},
		{TEXT("\3\x24\1\x09\x21\x11\1\0\1\x22\x3f\1"), 0x13f},
		{TEXT("\x0c\x21\x11\1\0\2\x23\1\0\x22\x3f\0"), 63},
		{TEXT("\x09\x21\x11\1\0\1\x22\x3f"), 0},
		{TEXT("\x08\x21\x11\1\0\1\x22\x3f"), 0},
		{TEXT("\x09\x21\x11\1\0\1\x22\1\x10"), 0},
		{TEXT("\x09\x21\x11\1\0\1\x22\0\x10"), 4096},
		{TEXT("\0\x21"), 0},
		{TEXT("\1"), 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(hid_report_descriptor_length(cases[i].extra, cases[i].len),
				 cases[i].result);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),	 cmocka_unit_test(test_release),
		cmocka_unit_test(test_rollover), cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_bounds),	 cmocka_unit_test(test_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
