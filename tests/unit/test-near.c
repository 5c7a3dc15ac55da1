/* SPDX-License-Identifier: BSD-2-Clause */
/* Which words a person may have meant. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "base/near.h"

static const struct {
	const char *typed, *word;
	enum near near;
} pairs[] = {
	{"e0d5", "E0D5", NEAR_CASE},
	{"List", "list", NEAR_CASE},
	{"E0D5", "E0D55EA573DCF450", NEAR_PREFIX},
	{"keyboards", "keyboard", NEAR_PREFIX},
	{"lsit", "list", NEAR_SLIP}, /* two changed places */
	{"lst", "list", NEAR_SLIP},
	{"liist", "list", NEAR_SLIP},
	{"lost", "list", NEAR_SLIP},
	{"kyebaord", "keyboard", NEAR_SLIP}, /* two slips in a long word */
	{"atach", "attach", NEAR_SLIP},
	{"vm1", "vm2", NEAR_SLIP},
	{"attach", "detach", NEAR_NOT},
	{"show", "undo", NEAR_NOT},
	{"a", "b", NEAR_NOT},
	{"a", "ab", NEAR_NOT},
	{"", "list", NEAR_NOT},
	{"list", "", NEAR_NOT},
};

static void how_near(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		if (near_word(pairs[i].typed, pairs[i].word) != pairs[i].near)
			fail_msg("%s, %s", pairs[i].typed, pairs[i].word);
}

static void the_nearest_of_several(void **state)
{
	static const char *const words[] = {"vms", NULL, "list", "VM1", "vm10"};

	assert_string_equal(near_best("vm1", words, ARRAY_SIZE(words)), "VM1");
	assert_string_equal(near_best("lits", words, ARRAY_SIZE(words)), "list");
	assert_null(near_best("reload", words, ARRAY_SIZE(words)));
	assert_null(near_best("x", words, 0));
}

static void long_words_are_bounded(void **state)
{
	char a[1000], b[1000];

	memset(a, 'a', sizeof(a));
	a[sizeof(a) - 1] = '\0';
	memcpy(b, a, sizeof(b));
	b[500] = 'b';
	assert_int_equal(near_word(a, b), NEAR_PREFIX); /* as far as it is looked at */
	b[0] = 'b';
	assert_int_equal(near_word(a, b), NEAR_NOT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(how_near),
		cmocka_unit_test(the_nearest_of_several),
		cmocka_unit_test(long_words_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
