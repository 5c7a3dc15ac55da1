/* SPDX-License-Identifier: BSD-2-Clause */
/* Selectors: which words make one, which devices it means. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/selector.h"

static const struct device_facts keyboard = {
	.id_vendor = 0x046d,
	.id_product = 0xc31c,
	.product = "USB Keyboard",
	.busid = "1-1.2",
	.stable_port = "0000:00:14.0/usb2:1.2",
	.classes = 1 << USB_CLASS_HID | 1 << USB_CLASS_HID_KEYBOARD,
};
static const struct device_facts stick = {
	.id_vendor = 0x0951,
	.id_product = 0x1666,
	.serial = "E0D55EA5",
	.product = "DataTraveler 3.0",
	.busid = "2-2",
	.stable_port = "0000:00:14.0/usb3:2",
	.classes = 1 << USB_CLASS_STORAGE,
};

static const struct {
	const char *words[4];
	bool keyboard, stick;
} good[] = {
	{{"046d:c31c"}, true, false},
	{{"id=046D:C31C"}, true, false},
	{{"1-1.2"}, true, false},
	{{"port=1-1.2"}, true, false},
	{{"port=0000:00:14.0/usb2:1.2"}, true, false},
	{{"0000:00:14.0/usb3:2"}, false, true},
	{{"port=1-1"}, false, false},
	{{"class=hid"}, true, false},
	{{"class=hid.keyboard"}, true, false},
	{{"class=storage"}, false, true},
	{{"class=hub"}, false, false},
	{{"serial=E0D55EA5"}, false, true},
	{{"serial=e0d55ea5"}, false, false},
	{{"serial=E0D*"}, false, true},
	{{"serial=*"}, false, true}, /* no serial is not an empty serial */
	{{"product=*"}, true, true},
	{{"product=USB Keyboard"}, true, false},
	{{"product=USB ?eyboard"}, true, false},
	{{"product=a=b"}, false, false},
	{{"id=046d:c31c", "product=USB*"}, true, false},
	{{"id=046d:c31c", "serial=*"}, false, false},
	{{"id=0951:1666", "class=storage", "port=2-2"}, false, true},
	{{"id=0951:1666", "class=storage", "port=2-3"}, false, false},
};

static void test_good(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct selector s = SELECTOR_INIT;
		const char *expected = "";

		for (unsigned w = 0; good[i].words[w]; w++)
			assert_int_equal(selector_parse_word(&s, good[i].words[w], &expected), 0);
		assert_false(selector_empty(&s));
		if (selector_matches(&s, &keyboard) != good[i].keyboard ||
		    selector_matches(&s, &stick) != good[i].stick)
			fail_msg("%s …: matches wrongly", good[i].words[0]);
		selector_deinit(&s);
		assert_true(selector_empty(&s));
	}
}

static const struct {
	const char *words[2];
	const char *expected; /* how it begins */
} bad[] = {
	{{""}, "an id such as"},
	{{"keyboard"}, "an id such as"},
	{{"averyveryverylongkey=1"}, "an id such as"},
	{{"group=desk"}, "one of id="},
	{{"=x"}, "one of id="},
	{{"id="}, "id=VVVV:PPPP"},
	{{"id=46d:c31c"}, "id=VVVV:PPPP"},
	{{"id=046d:*"}, "id=VVVV:PPPP"},
	{{"serial="}, "a serial number"},
	{{"product="}, "a product's name"},
	{{"port=usb1/1.2"}, "port=BUS-PORT"},
	{{"port=1-*"}, "port=BUS-PORT"},
	{{"class=keyboard"}, "class= with one of audio"},
	{{"id=046d:c31c", "046d:c31d"}, "id= only once"},
	{{"serial=a", "serial=b"}, "serial= only once"},
	{{"product=a", "product=b"}, "product= only once"},
	{{"port=1-1", "port=1-2"}, "port= only once"},
	{{"class=hid", "class=hub"}, "class= only once"},
};

static void test_bad(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct selector s = SELECTOR_INIT;
		const char *expected = "", *last = bad[i].words[0];

		if (bad[i].words[1]) {
			assert_int_equal(selector_parse_word(&s, last, &expected), 0);
			last = bad[i].words[1];
		}
		assert_int_equal(selector_parse_word(&s, last, &expected), -EINVAL);
		if (strncmp(expected, bad[i].expected, strlen(bad[i].expected)))
			fail_msg("%s: expected %s", last, expected);
		selector_deinit(&s);
	}
}

static void test_empty_matches_nothing(void **state)
{
	struct selector s = SELECTOR_INIT;

	assert_true(selector_empty(&s));
	assert_false(selector_matches(&s, &keyboard));
}

static const struct {
	const char *pattern, *text;
	bool matches;
} patterns[] = {
	{"", "", true},
	{"", "a", false},
	{"a", "", false},
	{"*", "", true},
	{"**", "abc", true},
	{"?", "", false},
	{"a*c", "abbbc", true},
	{"a*c", "abbbd", false},
	{"*a*b*", "xxaxxbxx", true},
	{"*ab", "aab", true},
	{"*aab", "aaab", true},
	{"a?c",
	 "a\xc3\xa4"
	 "c",
	 true}, /* one character, two bytes */
	{"a??c",
	 "a\xc3\xa4"
	 "c",
	 false},
	{"[a]", "[a]", true},
	{"[a]", "a", false},
	{"*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
};

static void test_patterns(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++)
		if (pattern_matches(patterns[i].pattern, patterns[i].text) != patterns[i].matches)
			fail_msg("%s, %s", patterns[i].pattern, patterns[i].text);
}

/* A manual's words without its layout: what classes there are stands in it as in the list. */
static void expect_classes_in(const char *manual)
{
	char path[512], words[65536] = "", *to = words;
	FILE *f;
	int c;

	snprintf(path, sizeof(path), "%s/%s", getenv("SHIPPED_MANUALS"), manual);
	f = fopen(path, "re");
	assert_non_null(f);
	while ((c = fgetc(f)) != EOF && to < words + sizeof(words) - 1) {
		bool blank = c == '\n' || c == '\t' || c == ' ' || c == ',';

		/* * is how the words look. */
		if (c != '*' && (!blank || (to > words && to[-1] != ' ')))
			*to++ = blank ? ' ' : (char)c;
	}
	fclose(f);
	*to = '\0';
	if (!strstr(words, USB_CLASS_NAMES " "))
		fail_msg("%s does not list" USB_CLASS_NAMES, path);
}

static void test_manuals_list_the_classes(void **state)
{
	if (!getenv("SHIPPED_MANUALS"))
		skip();
	expect_classes_in("usbroutectl.1.scd");
	expect_classes_in("usbrouted-policy.5.scd");
}

static void test_class_names(void **state)
{
	char names[256] = "";

	for (int c = 0; c < USB_CLASSES; c++) {
		strcat(strcat(names, " "), usb_class_name((enum usb_class)c));
		assert_int_equal(usb_class_parse(usb_class_name((enum usb_class)c)), c);
	}
	assert_string_equal(names, USB_CLASS_NAMES);
	assert_int_equal(usb_class_parse("camera"), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_manuals_list_the_classes),
		cmocka_unit_test(test_class_names),
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_empty_matches_nothing),
		cmocka_unit_test(test_patterns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
