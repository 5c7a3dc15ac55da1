/* SPDX-License-Identifier: BSD-2-Clause */
/* How long URBs took; see urb_stats.h. */
#include "base/urb_stats.h"

#include "base/mem.h"

#define NS_PER_US 1000u
/* Below this each microsecond has a class of its own. */
#define FINE 4u

static unsigned class_of(uint64_t us)
{
	unsigned octave, class;

	if (us < FINE)
		return (unsigned)us;
	octave = 63u - (unsigned)__builtin_clzll(us);
	class = 4 * (octave - 1) + (unsigned)(us >> (octave - 2) & 3);
	return min_t(unsigned, class, LATENCY_CLASSES - 1);
}

/**
 * latency_bound() - where a class ends
 * @class:	less than LATENCY_CLASSES
 *
 * Return: microseconds; what is in the class took less than that.
 */
uint64_t latency_bound(unsigned class)
{
	if (class < FINE)
		return class + 1;
	return (uint64_t)(4 + class % 4 + 1) << (class / 4 - 1);
}

/**
 * latency_add() - count one
 * @latency:	the histogram
 * @ns:		how long it took
 */
void latency_add(struct latency *latency, uint64_t ns)
{
	uint64_t us = ns / NS_PER_US;

	latency->at[class_of(us)]++;
	latency->sum_us += us;
	us = min_t(uint64_t, us, UINT32_MAX);
	latency->most_us = max_t(uint32_t, (uint32_t)us, latency->most_us);
}

/**
 * latency_count() - how many were counted
 * @latency:	the histogram
 */
uint64_t latency_count(const struct latency *latency)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < LATENCY_CLASSES; i++)
		n += latency->at[i];
	return n;
}

/**
 * latency_quantile() - how long so many took at most
 * @latency:	the histogram
 * @permille:	how many of a thousand
 *
 * Return: microseconds: the end of the class that the last of them is in, and never more than the
 * longest took; 0: none was counted.
 */
uint64_t latency_quantile(const struct latency *latency, unsigned permille)
{
	uint64_t n = latency_count(latency), due = (n * permille + 999) / 1000, seen = 0;

	for (unsigned i = 0; n && i < LATENCY_CLASSES; i++) {
		seen += latency->at[i];
		if (seen >= due)
			return min_t(uint64_t, latency_bound(i), latency->most_us);
	}
	return 0;
}
