/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which pages of a guest's memory were written by its card: a bit a page, in memory of the front-end's.
 *
 * The front-end wants to know it while it copies the guest's memory elsewhere, to a file or to another
 * front-end ("Migration" in "Vhost-user Protocol"). Where a bit is set, it copies the page again. It
 * clears bits meanwhile, so that each is set by one atomic step, and after the write that it tells of.
 *
 * Invariant: no bit outside of the log is touched, whatever address is given.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vhost_user_net/vu_map.h"

#define VU_LOG_PAGE 4096u

/* Bytes: a bit for each page of 32 TiB. */
#define VU_LOG_MAX (1ull << 30)

struct vu_log {
	struct vu_map map;
	uint64_t pages;	  /* that there are bits for; 0: there is no log */
	atomic_bool lost; /* its file was cut off */
};

void vu_log_init(struct vu_log *log);
int vu_log_set(struct vu_log *log, int fd, uint64_t offset, uint64_t size);
void vu_log_clear(struct vu_log *log);
void vu_log_write(struct vu_log *log, uint64_t gpa, uint64_t len);

static inline bool vu_log_lost(struct vu_log *log)
{
	return atomic_load_explicit(&log->lost, memory_order_relaxed);
}
