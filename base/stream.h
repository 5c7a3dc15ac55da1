/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes on their way out by a stream that keeps no copy of them.
 *
 * Whoever sends keeps the buffer and what it points at, unchanged, until the stream gives it back:
 * then the other end has them, or the stream is over. Buffers come back in the order in which they
 * were sent.
 */
#pragma once

#include <stdint.h>

#include "base/list.h"

struct stream_buffer {
	struct list link; /* the stream's */
	const void *data;
	uint32_t len; /* at least 1 */
};
