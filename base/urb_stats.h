/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What has gone through a device, and how long it took: plain numbers. The session counts them, the
 * line to control carries them, people read them.
 *
 * Times are counted in a histogram over microseconds, with four classes for each doubling. A class's
 * bounds lie within a quarter of each other, so a quantile is off by no more. Times beyond the last
 * class are counted in it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define LATENCY_CLASSES 96 /* up to 33 s */

struct latency {
	uint64_t sum_us;
	uint32_t at[LATENCY_CLASSES];
	uint32_t most_us; /* the longest */
	uint32_t unused;
};

struct urb_stats {
	uint64_t urbs,
		errors; /* answered; of these with an error that is not the client's own unlink */
	uint64_t in_bytes, out_bytes;
	bool timed;	       /* somebody looks: the two below are counted */
	struct latency answer; /* from a SUBMIT's last byte to its answer */
	struct latency
		device; /* of that, with the device; a poll lasts until the device has something */
};

void latency_add(struct latency *latency, uint64_t ns);
uint64_t latency_count(const struct latency *latency);
uint64_t latency_bound(unsigned class);
uint64_t latency_quantile(const struct latency *latency, unsigned permille);
