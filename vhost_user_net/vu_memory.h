/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's memory as its front-end shares it: regions mapped from files, and the only way from an
 * address that a peer named to bytes that may be touched.
 *
 * Invariants: regions never overlap in guest-physical addresses; each lies wholly in its file at
 * the time of mapping. A file that is cut off later costs only its own memory: see vu_map.h.
 * Readers may be several threads; adding and removing needs all of them kept out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhost_user_net/vu_map.h"

struct vhost_user_memory_region;

#define VU_REGIONS 32

struct vu_region {
	uint64_t gpa, uva, size; /* size > 0; neither gpa + size nor uva + size wraps */
	uint8_t *host;		 /* where gpa lies here */
	struct vu_map map;
};

struct vu_memory {
	struct vu_region region[VU_REGIONS];
	unsigned n;
	atomic_bool lost; /* a region's file shrank: its bytes are zeros of ours now */
};

/* Each user's own: the region that its last address was in. */
struct vu_memory_hint {
	unsigned region;
};

void vu_memory_init(struct vu_memory *m);
void vu_memory_clear(struct vu_memory *m);
int vu_memory_add(struct vu_memory *m, const struct vhost_user_memory_region *region, int fd);
int vu_memory_remove(struct vu_memory *m, const struct vhost_user_memory_region *region);
void vu_memory_move(struct vu_memory *to, struct vu_memory *from);

void *vu_memory_at(const struct vu_memory *m, struct vu_memory_hint *hint, uint64_t gpa,
		   size_t *len);
void *vu_memory_at_user(const struct vu_memory *m, uint64_t uva, size_t len, size_t align);
bool vu_memory_read(const struct vu_memory *m, struct vu_memory_hint *hint, uint64_t gpa,
		    void *data, size_t len);
bool vu_memory_find(const struct vu_memory *m, struct vu_memory_hint *hint, const void *host,
		    uint64_t *ret_gpa);

static inline bool vu_memory_lost(struct vu_memory *m)
{
	return atomic_load_explicit(&m->lost, memory_order_relaxed);
}

/*
 * What was copied out of shared memory stays as copied: without this the compiler may read the
 * source again in place of the copy.
 */
static inline void vu_read_once(void)
{
	__asm__ volatile("" : : : "memory");
}
