/* SPDX-License-Identifier: BSD-2-Clause */
/* Names, ports, ids and classes: what is one and what is not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/mem.h"
#include "policy/name.h"
#include "policy/usb_class.h"

enum { NAME = 1, ALIAS = 2, BUSID = 4, STABLE = 8, ID = 16 };

static const struct {
	const char *text;
	unsigned is;
} texts[] = {
	{"vm1", NAME | ALIAS},
	{"_-A9z", NAME | ALIAS},
	{"1234567890123456789012345678901", NAME | ALIAS},
	{"12345678901234567890123456789012", 0},
	{"", 0},
	{"a b", 0},
	{"a.b", 0},
	{"tast\xc3\xa9", 0},
	{"host", 0},
	{"next", 0},
	{"prev", 0},
	{"all", 0},
	{"none", 0},
	{"control", 0},
	{"hosts", NAME | ALIAS},
	{"Host", NAME | ALIAS},
	/* A VM may be called like a port; a device may not. */
	{"1-1", NAME | BUSID},
	{"12-3", NAME | BUSID},
	{"1-1.2", BUSID},
	{"1-1.2.3.4.5.6", BUSID},
	{"1-1.2.3.4.5.6.7", BUSID},
	{"1-1.2.3.4.5.6.7.8", 0},
	{"1-0", NAME | ALIAS},
	{"01-1", NAME | ALIAS},
	{"1-1.", 0},
	{"1-", NAME | ALIAS},
	{"1-1000", NAME | ALIAS},
	{"usb1", NAME | ALIAS},
	{"0000:00:14.0/usb2:1.2", STABLE},
	{"38100000.usb/usb3:1", STABLE},
	{"xhci-hcd.0.auto/usb2:1", STABLE},
	{"/usb2:1", 0},
	{"x/usb1:1", 0},
	{"x/usb2:", 0},
	{"x/usb2:1.", 0},
	{"x y/usb2:1", 0},
	{"x/y/usb2:1", 0},
	{"port=x/usb2:1", 0},
	{"046d:c31c", ID},
	{"046D:C31C", ID},
	{"046d:c31", 0},
	{"046d:c31cc", 0},
	{"046g:c31c", 0},
	{"046dc31c", NAME | ALIAS},
};

static void test_forms(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const char *t = texts[i].text;
		unsigned is = (name_valid(t) ? NAME : 0) | (name_valid_alias(t) ? ALIAS : 0) |
			      (name_is_busid(t) ? BUSID : 0) |
			      (name_is_stable_port(t) ? STABLE : 0) | (name_is_id(t) ? ID : 0);

		if (is != texts[i].is)
			fail_msg("\"%s\": is %#x, should be %#x", t, is, texts[i].is);
	}
}

static void test_classes(void **state)
{
	assert_int_equal(usb_class_of(3, 1, 1), 1 << USB_CLASS_HID | 1 << USB_CLASS_HID_KEYBOARD);
	assert_int_equal(usb_class_of(3, 1, 2), 1 << USB_CLASS_HID | 1 << USB_CLASS_HID_MOUSE);
	assert_int_equal(usb_class_of(3, 0, 1), 1 << USB_CLASS_HID);
	assert_int_equal(usb_class_of(8, 6, 0x50), 1 << USB_CLASS_STORAGE);
	assert_int_equal(usb_class_of(2, 6, 0), 1 << USB_CLASS_COMM | 1 << USB_CLASS_NETWORK);
	assert_int_equal(usb_class_of(2, 2, 1), 1 << USB_CLASS_COMM);
	assert_int_equal(usb_class_of(2, 2, 0xff), 1 << USB_CLASS_COMM | 1 << USB_CLASS_NETWORK);
	assert_int_equal(usb_class_of(0xef, 4, 1), 1 << USB_CLASS_NETWORK);
	assert_int_equal(usb_class_of(0xef, 2, 1), 0);
	assert_int_equal(usb_class_of(0, 0, 0), 0);
	for (int c = 0; c < USB_CLASSES; c++)
		assert_int_equal(usb_class_parse(usb_class_name((enum usb_class)c)), c);
	assert_int_equal(usb_class_parse("keyboard"), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
