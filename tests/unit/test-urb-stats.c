/* SPDX-License-Identifier: BSD-2-Clause */
/* How long URBs took: classes without a gap, quantiles, and what a session counts. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/urb_stats.h"

static unsigned class_of(uint64_t us)
{
	struct latency l = {0};

	latency_add(&l, us * 1000);
	for (unsigned i = 0; i < LATENCY_CLASSES; i++)
		if (l.at[i])
			return i;
	fail_msg("it is in no class");
	return 0;
}

static void classes_have_no_gap(void **state)
{
	(void)state;
	for (unsigned i = 0; i + 1 < LATENCY_CLASSES; i++) {
		uint64_t bound = latency_bound(i);

		assert_int_equal(class_of(bound - 1), i);
		assert_int_equal(class_of(bound), i + 1);
		/* No class is wider than a quarter of what is in it, once there is more than a unit. */
		if (i >= 8)
			assert_true((bound - latency_bound(i - 1)) * 4 <= bound);
	}
	assert_int_equal(class_of(UINT64_MAX / 1000), LATENCY_CLASSES - 1);
	assert_true(latency_bound(LATENCY_CLASSES - 1) > 30000000);
}

static void quantiles(void **state)
{
	struct latency l = {0};

	(void)state;
	assert_int_equal(latency_quantile(&l, 500), 0);
	for (unsigned i = 0; i < 98; i++)
		latency_add(&l, 100 * 1000);
	latency_add(&l, 5000 * 1000);
	latency_add(&l, 700000 * 1000);
	assert_int_equal(latency_count(&l), 100);
	assert_int_equal(l.sum_us, 98 * 100 + 5000 + 700000);
	assert_in_range(latency_quantile(&l, 500), 100, 125);
	assert_in_range(latency_quantile(&l, 980), 100, 125);
	assert_in_range(latency_quantile(&l, 990), 5000, 6250);
	/* Never more than there was. */
	assert_int_equal(latency_quantile(&l, 1000), 700000);
	assert_int_equal(l.most_us, 700000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes_have_no_gap),
		cmocka_unit_test(quantiles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
