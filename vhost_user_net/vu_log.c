/* SPDX-License-Identifier: BSD-2-Clause */
/* The log of written pages; see vu_log.h. */
#include "vhost_user_net/vu_log.h"

#include <errno.h>

#include "base/mem.h"

/**
 * vu_log_init() - begin without a log
 * @log:	the log
 */
void vu_log_init(struct vu_log *log)
{
	log->map = (struct vu_map){0};
	log->pages = 0;
	atomic_init(&log->lost, false);
}

/**
 * vu_log_set() - log into a file
 * @log:	what it was before is unmapped
 * @fd:		the file; stays the caller's
 * @offset:	where the log begins there, bytes, unchecked
 * @size:	its length, bytes, unchecked
 *
 * Return: 0; -EINVAL where it has no length, or reaches beyond its file; -E2BIG where it is longer than
 * VU_LOG_MAX; or as vu_map_open(). Nothing has changed then.
 */
int vu_log_set(struct vu_log *log, int fd, uint64_t offset, uint64_t size)
{
	struct vu_map map;
	int r;

	if (size == 0)
		return -EINVAL;
	if (size > VU_LOG_MAX)
		return -E2BIG;
	r = vu_map_open(&map, fd, offset, size, &log->lost);
	if (r < 0)
		return r;
	vu_log_clear(log);
	log->map = map;
	log->pages = size * 8;
	return 0;
}

/**
 * vu_log_clear() - log no more
 * @log:	the log
 */
void vu_log_clear(struct vu_log *log)
{
	vu_map_close(&log->map);
	log->pages = 0;
	atomic_store_explicit(&log->lost, false, memory_order_relaxed);
}

/**
 * vu_log_write() - bytes of the guest's memory were written
 * @log:	the log
 * @gpa:	where, a guest-physical address, unchecked
 * @len:	how many
 *
 * Pages that it has no bits for are passed over.
 */
void vu_log_write(struct vu_log *log, uint64_t gpa, uint64_t len)
{
	uint64_t page = gpa / VU_LOG_PAGE, last;

	if (len == 0 || page >= log->pages)
		return;
	last = len - 1 > UINT64_MAX - gpa ? UINT64_MAX : gpa + (len - 1);
	last = min_t(uint64_t, last / VU_LOG_PAGE, log->pages - 1);
	/* Not asked before whether a bit is set: what is read may be older than the page's copy. */
	for (; page <= last; page++)
		__atomic_fetch_or(&log->map.at[page / 8], (uint8_t)(1u << page % 8),
				  __ATOMIC_SEQ_CST);
}
