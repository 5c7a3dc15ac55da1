/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ownership of memory and of small things: cleanup by attribute, handing over, counting arrays.
 *
 * A local that owns something is declared with a cleanup attribute and leaves its scope by
 * take_ptr() or take_fd(), so that an early return is always right.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define _cleanup_(f)   __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_       __attribute__((unused))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(1 ? (ptr) : &((type *)0)->member) - offsetof(type, member)))

#define min_t(type, a, b)                \
	({                               \
		type a_ = (a), b_ = (b); \
		a_ < b_ ? a_ : b_;       \
	})
#define max_t(type, a, b)                \
	({                               \
		type a_ = (a), b_ = (b); \
		a_ > b_ ? a_ : b_;       \
	})

/* Hand a pointer over: its value, and NULL is left behind. */
#define take_ptr(p)                     \
	({                              \
		__typeof__(p) p_ = (p); \
		(p) = NULL;             \
		p_;                     \
	})

static inline void freep(void *p)
{
	free(*(void **)p);
}

#define _cleanup_free_ _cleanup_(freep)
