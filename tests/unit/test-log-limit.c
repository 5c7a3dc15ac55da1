/* SPDX-License-Identifier: BSD-2-Clause */
/* What bounds the lines that a peer can trigger, on a clock of the test's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/log.h"

#define SECOND 1000000000ull

/* How many of @n lines at that time go out; how many were left out before the first of them. */
static unsigned try(struct log_limit *limit, uint64_t now_ns, unsigned n, unsigned *ret_left_out)
{
	unsigned passed = 0;

	*ret_left_out = 0;
	for (unsigned i = 0; i < n; i++) {
		unsigned left_out;

		if (!log_limit_pass_at(limit, now_ns, &left_out)) {
			assert_int_equal(left_out, 0);
			continue;
		}
		if (!passed++)
			*ret_left_out = left_out;
		else
			assert_int_equal(left_out, 0);
	}
	return passed;
}

static void five_then_one_in_ten_seconds(void **state)
{
	struct log_limit limit = {0};
	uint64_t now = 1000 * SECOND;
	unsigned left_out;

	assert_int_equal(try(&limit, now, 100, &left_out), 5);
	assert_int_equal(left_out, 0);
	assert_int_equal(try(&limit, now + 10 * SECOND - 1, 1, &left_out), 0);
	for (unsigned i = 1; i <= 20; i++) {
		assert_int_equal(try(&limit, now + i * 10 * SECOND, 3, &left_out), 1);
		/* What was left out is told once. */
		assert_int_equal(left_out, i == 1 ? 96 : 2);
	}
}

/* A burst of an hour ago takes nothing from the next one. */
static void quiet_fills_it_again(void **state)
{
	struct log_limit limit = {0};
	uint64_t now = 1000 * SECOND;
	unsigned left_out;

	assert_int_equal(try(&limit, now, 7, &left_out), 5);
	assert_int_equal(try(&limit, now + 20 * SECOND, 7, &left_out), 2);
	assert_int_equal(left_out, 2);
	assert_int_equal(try(&limit, now + 70 * SECOND, 7, &left_out), 5);
	assert_int_equal(left_out, 5);
	/* Not more than five, for however long it was quiet. */
	assert_int_equal(try(&limit, now + 3600 * SECOND, 7, &left_out), 5);
	assert_int_equal(left_out, 2);
}

/* One a minute is below the limit for ever. */
static void seldom_ones_all_pass(void **state)
{
	struct log_limit limit = {0};
	unsigned left_out;

	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(try(&limit, i * 60 * SECOND, 3, &left_out), 3);
		assert_int_equal(left_out, 0);
	}
}

/* A machine that has just been started has a clock near zero. */
static void from_the_start_of_the_clock(void **state)
{
	struct log_limit limit = {0};
	unsigned left_out;

	assert_int_equal(try(&limit, 0, 6, &left_out), 5);
	assert_int_equal(try(&limit, 10 * SECOND, 6, &left_out), 1);
	assert_int_equal(left_out, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(five_then_one_in_ten_seconds),
		cmocka_unit_test(quiet_fills_it_again),
		cmocka_unit_test(seldom_ones_all_pass),
		cmocka_unit_test(from_the_start_of_the_clock),
	};

	return cmocka_run_group_tests_name("log-limit", tests, NULL, NULL);
}
