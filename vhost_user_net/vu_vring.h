/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One virtqueue from the device's side, split or packed (virtio 1.2, 2.7 and 2.8).
 *
 * Buffers are looked at (peek), passed on or filled by the caller, taken, put on the used ring
 * (push) and shown to the driver (publish); then the driver is told if it wants to be (signal).
 * Nothing stays under way between calls of the owner: between bursts, what was taken was published.
 *
 * Where what is written is logged (vu_log.h), the ring logs its own parts, and its user says which bytes
 * of buffers it has written (vu_vring_wrote()).
 *
 * All that the driver writes is read once, into locals, and checked there. A ring that breaks the
 * rules is marked broken, with what was wrong, and yields nothing from then on; its owner reports
 * it. A ring is used by one thread at a time; the owner sees to it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vhost_user_net/vu_log.h"
#include "vhost_user_net/vu_memory.h"

#define VU_VRING_MAX 1024

/* Room that a caller of vu_vring_peek() keeps: a longest chain, and pieces at region borders. */
#define VU_SEGMENTS (VU_VRING_MAX + VU_REGIONS)

/* What a broken ring did: said with numbers, never with payload. */
struct vu_vring_fault {
	const char *what; /* NULL: nothing */
	uint16_t index, flags;
	uint64_t addr;
	uint32_t len;
};

/* Where writes are logged. */
struct vu_vring_log {
	struct vu_log *log; /* NULL: nowhere */
	bool used;	    /* those into the used ring are, too */
	uint64_t used_gpa;  /* and it counts as lying there */
};

struct vu_vring {
	const struct vu_memory *mem;
	struct vu_memory_hint hint, table_hint, log_hint;
	struct vu_vring_log log;
	uint8_t *desc, *avail, *used; /* NULL: not started */
	unsigned num;
	bool event_idx, indirect, packed;

	/* What differs in a packed ring, whose positions have a wrap counter in bit 15: */
	uint16_t
		last_avail; /* the next entry of the avail ring that is not yet taken; a position */
	uint16_t avail_seen; /* avail->idx as last read; descriptors seen from last_avail on */
	uint16_t used_idx;   /* used->idx as last published; descriptors used since the start */
	uint16_t pushed;     /* entries behind used_idx that are not yet published */
	uint16_t signalled;  /* used_idx when the driver was last thought of */
	bool signal_due;     /* whatever the driver says: after a start */
	bool kicks_off;	     /* used->flags says so; without event_idx only; of packed always */
	struct vu_vring_fault fault;

	struct vu_packed *p; /* what only a packed ring has; NULL: it is split, or stopped */
};

/* One chain of descriptors, a buffer. */
struct vu_chain {
	uint16_t head;	/* what it is given back by */
	uint16_t descs; /* entries of a packed ring that it takes */
	unsigned n_segs;
	size_t len;
};

/* Where a ring lies, in the front-end's address space. Of a packed one: descriptors, driver's area, device's. */
struct vu_vring_place {
	uint64_t desc, avail, used;
};

struct vu_vring_how {
	unsigned num;  /* entries */
	uint32_t base; /* where the front-end says it stands: as vu_vring_position() */
	bool event_idx, indirect, packed;
};

int vu_vring_start(struct vu_vring *v, const struct vu_memory *mem,
		   const struct vu_vring_place *place, const struct vu_vring_how *how,
		   const struct vu_vring_log *log);
void vu_vring_stop(struct vu_vring *v);
void vu_vring_log_to(struct vu_vring *v, const struct vu_vring_log *log);

unsigned vu_vring_available(struct vu_vring *v);
int vu_vring_peek(struct vu_vring *v, unsigned ahead, bool writable, struct iovec *segs,
		  unsigned max, struct vu_chain *ret_chain);
void vu_vring_take(struct vu_vring *v, const struct vu_chain *chains, unsigned n);
void vu_vring_push(struct vu_vring *v, const struct vu_chain *chains, unsigned n, size_t len);
void vu_vring_publish(struct vu_vring *v);

bool vu_vring_awaits_signal(struct vu_vring *v);
bool vu_vring_wants_signal(struct vu_vring *v);
void vu_vring_kicks_off(struct vu_vring *v);
bool vu_vring_kicks_on(struct vu_vring *v, unsigned n);

void vu_vring_log_buffer(struct vu_vring *v, const void *bytes, size_t len);

/* Bytes of a buffer were written: some that lie in one piece. */
static inline void vu_vring_wrote(struct vu_vring *v, const void *bytes, size_t len)
{
	if (v->log.log)
		vu_vring_log_buffer(v, bytes, len);
}

/*
 * Where the ring stands, as the front-end is told it and tells it ("Vring state description" in
 * "Vhost-user Protocol"): of a packed ring, in the low half where it takes buffers, in the high one where it
 * gives them back. They are the same: between bursts, nothing is taken and not given back.
 */
static inline uint32_t vu_vring_position(const struct vu_vring *v)
{
	return v->packed ? (uint32_t)v->last_avail << 16 | v->last_avail : v->last_avail;
}

/* Published, and the driver wasn't thought of yet. */
static inline unsigned vu_vring_unsignalled(const struct vu_vring *v)
{
	return v->used ? (uint16_t)(v->used_idx - v->signalled) : 0;
}

/* Started, and not broken. */
static inline bool vu_vring_works(const struct vu_vring *v)
{
	return v->desc && !v->fault.what;
}
