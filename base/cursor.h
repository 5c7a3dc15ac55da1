/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bounded reader over bytes that somebody else chose. Checks are by subtraction; after a read
 * that does not fit, nothing moves and the caller gets NULL.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct cursor {
	const uint8_t *p;
	size_t left;
};

static inline struct cursor cursor_of(const void *data, size_t len)
{
	return (struct cursor){.p = data, .left = len};
}

/* The next @n bytes, and move past them; NULL where fewer are left. */
static inline const void *cursor_take(struct cursor *c, size_t n)
{
	const uint8_t *p = c->p;

	if (c->left < n)
		return NULL;
	c->p += n;
	c->left -= n;
	return p;
}

/* The next @n bytes without moving; NULL where fewer are left. */
static inline const void *cursor_peek(const struct cursor *c, size_t n)
{
	return c->left < n ? NULL : c->p;
}
