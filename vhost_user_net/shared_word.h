/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Words in memory that two threads share, often of two programs: a ring's indices, flags and events.
 * Each is written by one side alone. What makes the order certain, on machines that reorder what
 * they may (arm64) and on those that reorder less (x86-64: a store, and a later load of another
 * word):
 *
 *   passed on    the writer's bytes, then the word with release
 *                the reader: the word with acquire, then the bytes
 *   crossing     each side: its own word, shared_fence(), then the other's word
 *
 * Of two that cross, at least one sees what the other wrote: so nobody falls asleep over work that
 * the other thought was seen. tests/unit/test-ring-threads.c tries both with four threads, and
 * tests/unit/test-arm64.py looks for the instructions in arm64's code.
 */
#pragma once

#include <endian.h>
#include <stdatomic.h>
#include <stdint.h>

/* Little-endian words at even addresses, as virtio's rings have them. */
static inline uint16_t shared_le16(const uint8_t *p)
{
	return le16toh(__atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_RELAXED));
}

static inline uint16_t shared_le16_acquire(const uint8_t *p)
{
	return le16toh(__atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE));
}

static inline void shared_le16_set(uint8_t *p, uint16_t x)
{
	__atomic_store_n((uint16_t *)(void *)p, htole16(x), __ATOMIC_RELAXED);
}

static inline void shared_le16_release(uint8_t *p, uint16_t x)
{
	__atomic_store_n((uint16_t *)(void *)p, htole16(x), __ATOMIC_RELEASE);
}

/* And at addresses that four divides. */
static inline uint32_t shared_le32(const uint8_t *p)
{
	return le32toh(__atomic_load_n((const uint32_t *)(const void *)p, __ATOMIC_RELAXED));
}

static inline void shared_le32_set(uint8_t *p, uint32_t x)
{
	__atomic_store_n((uint32_t *)(void *)p, htole32(x), __ATOMIC_RELAXED);
}

/* Words of this machine's own, as links have them. */
static inline uint32_t shared_u32(const _Atomic uint32_t *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

static inline uint32_t shared_u32_acquire(const _Atomic uint32_t *p)
{
	return atomic_load_explicit(p, memory_order_acquire);
}

static inline void shared_u32_set(_Atomic uint32_t *p, uint32_t x)
{
	atomic_store_explicit(p, x, memory_order_relaxed);
}

static inline void shared_u32_release(_Atomic uint32_t *p, uint32_t x)
{
	atomic_store_explicit(p, x, memory_order_release);
}

/* ThreadSanitizer does not follow it, which costs nothing here: the words alone are compared. */
static inline void shared_fence(void)
{
#if defined(__SANITIZE_THREAD__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"
#endif
	atomic_thread_fence(memory_order_seq_cst);
#if defined(__SANITIZE_THREAD__)
#pragma GCC diagnostic pop
#endif
}
