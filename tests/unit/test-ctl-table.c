/* SPDX-License-Identifier: BSD-2-Clause */
/* Text and tables for a terminal: nothing that it would obey, widths right, nothing too wide. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "ctl/table.h"
#include "ctl/text.h"

static const struct {
	const char *text, *clean;
	size_t width;
} texts[] = {
	{"", "", 0},
	{"USB Keyboard", "USB Keyboard", 12},
	{"a\033[2Jb", "a?[2Jb", 6},
	{"a\nb\tc\rd\x7f", "a?b?c?d?", 8},
	{"\xc2\x9b"
	 "31m",
	 "?31m", 4}, /* C1: the same as ESC [ */
	{"\xe2\x80\xae"
	 "drowssap",
	 "?drowssap", 9}, /* right to left from here on */
	{"a\xe2\x80\x8b"
	 "b",
	 "a?b", 3}, /* zero width space */
	{"\xff\xc3"
	 "a\xe4\xbd",
	 "??a??", 5}, /* no UTF-8 */
	{"\xc3\xa4\xc3\xb6", "\xc3\xa4\xc3\xb6", 2},
	{"\xe4\xbd\xa0\xe5\xa5\xbd", "\xe4\xbd\xa0\xe5\xa5\xbd", 4}, /* two wide characters */
	{"e\xcc\x81", "e\xcc\x81", 1},				     /* an accent on its own */
	{"\xf0\x9f\x8e\xb9", "\xf0\x9f\x8e\xb9", 2},
};

static void test_text(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_free_ char *clean = text_clean(texts[i].text, false);

		if (strcmp(clean, texts[i].clean) || text_width(clean) != texts[i].width)
			fail_msg("%zu: \"%s\", width %zu", i, clean, text_width(clean));
	}
	{
		_cleanup_free_ char *lines = text_clean("a\nb\033", true);

		assert_string_equal(lines, "a\nb?");
	}
}

static void test_fit(void **state)
{
	assert_int_equal(text_fit("abc", 0), 0);
	assert_int_equal(text_fit("abc", 2), 2);
	assert_int_equal(text_fit("abc", 9), 3);
	assert_int_equal(text_fit("\xe4\xbd\xa0\xe5\xa5\xbd", 3), 3);
	assert_int_equal(text_fit("e\xcc\x81x", 1), 3);
}

static void assert_table(size_t width, bool colours, const char *expected)
{
	static const char *const titles[] = {"ALIAS", "DEVICE", "STATE"};
	_cleanup_(table_freep) struct table *t = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_int_equal(table_new(&t, titles, 3, 1), 0);
	assert_int_equal(table_add(t, "keyboard", COLOUR_NONE), 0);
	assert_int_equal(table_add(t, "Tast\xc3\xa4tur \xe4\xbd\xa0\xe5\xa5\xbd with a long name",
				   COLOUR_NONE),
			 0);
	assert_int_equal(table_add(t, "attached", COLOUR_GREEN), 0);
	assert_int_equal(table_add(t, NULL, COLOUR_NONE), 0);
	assert_int_equal(table_add(t, "Stick\033[0m", COLOUR_NONE), 0);
	assert_int_equal(table_add(t, "pending: vm2 is off", COLOUR_YELLOW), 0);
	assert_int_equal(table_add(t, "half a row", COLOUR_NONE), 0);
	table_print(t, f, width, colours);
	fclose(f);
	assert_string_equal(text, expected);
}

static void test_table(void **state)
{
	assert_table(
		0, false,
		"ALIAS     DEVICE                          STATE\n"
		"keyboard  Tast\xc3\xa4tur \xe4\xbd\xa0\xe5\xa5\xbd with a long name  attached\n"
		"-         Stick?[0m                       pending: vm2 is off\n");
}

static void test_narrow_table(void **state)
{
	assert_table(50, false,
		     "ALIAS     DEVICE               STATE\n"
		     "keyboard  Tast\xc3\xa4tur \xe4\xbd\xa0\xe5\xa5\xbd with…  attached\n"
		     "-         Stick?[0m            pending: vm2 is off\n");
	/* A wide character that does not fit leaves a blank; the last column is cut too. */
	assert_table(36, true,
		     "\033[1mALIAS\033[0m     \033[1mDEVICE\033[0m        \033[1mSTATE\033[0m\n"
		     "keyboard  Tast\xc3\xa4tur \xe4\xbd\xa0…  \033[32mattached\033[0m\n"
		     "-         Stick?[0m     \033[33mpending: vm…\033[0m\n");
}

static int setup(void **state)
{
	text_init();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_fit),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_narrow_table),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
