/* SPDX-License-Identifier: BSD-2-Clause */
/* What is UTF-8, what of it is shown, and how much room it takes as JSON. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

static const struct {
	const char *text;
	size_t valid; /* bytes before the first that is none */
} texts[] = {
	{"", 0},
	{"plain", 5},
	{"\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x8c", 9},
	{"a\xe4"
	 "b",
	 1},		 /* Latin-1 */
	{"\x80", 0},	 /* a tail without a head */
	{"\xc0\x80", 0}, /* overlong */
	{"\xc1\xbf", 0},
	{"\xe0\x9f\xbf", 0},
	{"\xf0\x8f\xbf\xbf", 0},
	{"\xed\xa0\x80", 0},		 /* a surrogate */
	{"\xed\x9f\xbf\xee\x80\x80", 6}, /* on both sides of them */
	{"\xf4\x8f\xbf\xbf", 4},	 /* the last one */
	{"\xf4\x90\x80\x80", 0},
	{"\xf5\x80\x80\x80", 0},
	{"ab\xe2\x82", 2}, /* cut off */
	{"\xff\xfe[\x01v", 0},
};

static void what_is_utf8(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (utf8_valid_len(texts[i].text, strlen(texts[i].text)) != texts[i].valid)
			fail_msg("%zu: %s", i, texts[i].text);
	assert_int_equal(utf8_valid_len("a\0b", 3), 3);
}

static void what_is_not_shown_becomes_a_question_mark(void **state)
{
	static const char *const hostile[] = {
		"\x01",		"\x1b",		"\n",		"\x7f",		"\xc2\x80",
		"\xc2\x9b",	"\xc2\x9f",	"\xd8\x9c",	"\xe2\x80\x8e", "\xe2\x80\x8f",
		"\xe2\x80\xaa", "\xe2\x80\xab", "\xe2\x80\xac", "\xe2\x80\xad", "\xe2\x80\xae",
		"\xe2\x81\xa6", "\xe2\x81\xa7", "\xe2\x81\xa8", "\xe2\x81\xa9", "\xef\xbb\xbf",
		"\xff",
	};
	char text[64];

	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		snprintf(text, sizeof(text), "\xc3\xa4%sb", hostile[i]);
		utf8_make_safe(text, false);
		assert_string_equal(text, "\xc3\xa4?b");
	}
	strcpy(text, "a\nb\tc\r");
	utf8_make_safe(text, true);
	assert_string_equal(text, "a\nb?c?");
	/* U+00A0 is the first that is shown after the C1 controls. */
	strcpy(text, "\xc2\xa0\xf0\x9f\x94\x8c");
	utf8_make_safe(text, false);
	assert_string_equal(text, "\xc2\xa0\xf0\x9f\x94\x8c");
}

static size_t json_len(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '"' || *text == '\\' || *text == '\n' ? 2 : 1;
	return n;
}

static void a_copy_has_a_bound_as_json(void **state)
{
	static const char *const pieces[] = {
		"a",	"\"",	"\\", "\xc3\xa4",  "\xe2\x82\xac", "\xf0\x9f\x94\x8c",
		"\x01", "\xff", "\n", "\"\xc3\xa4"};

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++)
		for (unsigned n = 0; n < 60; n++)
			for (size_t max = 8; max < 40; max++) {
				char text[60 * 4] = "";
				_cleanup_free_ char *copy = NULL;
				size_t len;

				for (unsigned k = 0; k < n; k++)
					strcat(text, pieces[i]);
				copy = utf8_safe_copy(text, max, true);
				assert_non_null(copy);
				len = strlen(copy);
				assert_int_equal(utf8_valid_len(copy, len), len);
				assert_true(json_len(copy) <= max);
				utf8_make_safe(text, true);
				if (json_len(text) <= max)
					assert_string_equal(copy, text);
				else
					assert_string_equal(copy + len - strlen("…"), "…");
			}
}

static void cut_between_characters(void **state)
{
	assert_int_equal(utf8_cut("abc", 5), 3);
	assert_int_equal(utf8_cut("abc", 2), 2);
	assert_int_equal(utf8_cut("a\xe2\x82\xac", 4), 4);
	assert_int_equal(utf8_cut("a\xe2\x82\xac", 3), 1);
	assert_int_equal(utf8_cut("a\xe2\x82\xac", 1), 1);
	assert_int_equal(utf8_cut("", 0), 0);
	assert_int_equal(utf8_cut("a\xf0\x9f\x98\x80", 4), 1);
	/* No character is so long: what is no text is cut, and not left out whole. */
	assert_int_equal(utf8_cut("a\x80\x80\x80\x80\x80\x80\x80", 6), 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_utf8),
		cmocka_unit_test(what_is_not_shown_becomes_a_question_mark),
		cmocka_unit_test(a_copy_has_a_bound_as_json),
		cmocka_unit_test(cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
