/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The packed virtqueue (virtio 1.2, 2.8): one ring of descriptors, into which both sides write.
 *
 * A position is an index into it, and the wrap counter of that lap in bit 15. The driver makes a chain
 * available by its first descriptor's flags, after all else of it. The device gives a buffer back by
 * writing over that descriptor, its flags last. Buffers are used in order, so that what is given back stands
 * where it was taken. Who is told of what, and when, stands in two words, one a side (2.8.14).
 *
 * What was pushed is kept aside (struct used) until it is published: so a process that dies leaves
 * descriptors that say truly what was done, at each moment. Two things are for that:
 *
 *   - frames are published one after the other, from the first. Of one frame's buffers, the first is the last
 *     to be shown (2.8.11).
 *   - of a chain's other descriptors, which drivers pass over, the used bit is turned, too.
 *
 * So the used bits of all descriptors before the ring's position are those of this lap, and of all behind it
 * those of the lap before: the position is found by them. A front-end's word for it (SET_VRING_BASE) may be old:
 * QEMU 7.2 has none where its back-end has died (hw/virtio/virtio.c,
 * virtio_queue_packed_restore_last_avail_idx()). It is right where QEMU itself has used what a guest sent while its
 * link was down, and QEMU leaves a chain's other descriptors as they were. Only where a process dies amid one frame
 * of several buffers, in the few nanoseconds that publishing it takes, may the position be a wrong one.
 *
 * Barriers, each with its partner in the driver:
 *   A  a chain's first flags are read with acquire    driver: the chain, then these flags
 *   B  a used descriptor's flags, with release	       driver: reads them, then the rest
 *   C  used descriptor, full fence, driver's word     driver: its word, full fence, used descriptor
 *   D  device's word, full fence, flags	       driver: flags, full fence, device's word
 *
 * Invariant: what was looked at, and what was given back and not yet published, are no more descriptors than the
 * ring has.
 */
#include "vhost_user_net/vu_vring_private.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vhost_user_net/shared_word.h"

#define WRAP  0x8000u
#define INDEX 0x7fffu

/* A buffer that was given back, and is not yet published. */
struct used {
	uint16_t at, id, descs;
	uint16_t frame; /* how many buffers its frame has, from this one on; of the frame's first */
	uint32_t len;
};

struct vu_packed {
	uint64_t desc_gpa; /* where the descriptors lie, for the log */
	uint16_t push_at;  /* the position that the next buffer is given back at */
	uint16_t used_at;  /* the same, as published */
	uint16_t kept;	   /* descriptors from used_at to push_at */
	uint16_t look_at;  /* the position behind the buffers that were looked at */
	uint16_t looked;   /* descriptors from last_avail to there */
	struct used used[];
};

static uint16_t step(const struct vu_vring *v, uint16_t at, unsigned n)
{
	unsigned i = (at & INDEX) + n;

	if (i < v->num)
		return (uint16_t)(at + n);
	return (uint16_t)((i - v->num) | ((at ^ WRAP) & WRAP));
}

static uint8_t *desc_at(const struct vu_vring *v, uint16_t at)
{
	return v->desc + sizeof(struct pvirtq_desc) * (at & INDEX);
}

static uint8_t *flags_at(const struct vu_vring *v, uint16_t at)
{
	return desc_at(v, at) + offsetof(struct pvirtq_desc, flags);
}

static bool used_bit(const struct vu_vring *v, unsigned index)
{
	return shared_le16(flags_at(v, (uint16_t)index)) & PVIRTQ_DESC_F_USED;
}

/* By its flags; both bits, since a used one, and one of the lap before, differ in one. */
static bool is_available(uint16_t flags, uint16_t at)
{
	bool wrap = at & WRAP;

	return !(flags & PVIRTQ_DESC_F_AVAIL) == !wrap && !(flags & PVIRTQ_DESC_F_USED) == wrap;
}

/* What is logged, of the ring itself. */
static void wrote(struct vu_vring *v, uint64_t gpa, size_t len)
{
	if (v->log.log && v->log.used)
		vu_log_write(v->log.log, gpa, len);
}

static void store_event(struct vu_vring *v, uint16_t at, unsigned flags)
{
	shared_le32_set(v->used, at | flags << PVIRTQ_EVENT_FLAGS);
	wrote(v, v->log.used_gpa, sizeof(uint32_t));
}

/* ------------------------------------------------------------- where it stands */

/* Whether the ring may stand there, by the used bits beside it. */
static bool fits(const struct vu_vring *v, uint16_t at)
{
	unsigned i = at & INDEX;
	bool wrap = at & WRAP;

	if (i >= v->num || used_bit(v, i) == wrap)
		return false;
	return i ? used_bit(v, i - 1) == wrap : used_bit(v, v->num - 1) != wrap;
}

/* By the used bits alone. Where they change more than once, others have used chains: then by the front-end's word. */
static uint16_t find(const struct vu_vring *v, uint16_t told)
{
	bool first = used_bit(v, 0), last = first;
	unsigned changes = 0, at = 0;

	for (unsigned i = 1; i < v->num; i++) {
		if (used_bit(v, i) != last && ++changes == 1)
			at = i;
		last = used_bit(v, i);
	}
	if (changes > 1 && (told & INDEX) < v->num)
		return told;
	if (changes)
		return (uint16_t)(at | (first ? WRAP : 0));
	return first ? 0 : WRAP;
}

/**
 * vu_packed_start() - vu_vring_start() of a packed ring
 * @v:		the ring
 * @place:	its three parts, unchecked
 * @base:	where the front-end says it stands, unchecked
 *
 * Return: 0; -EFAULT; -ENOMEM.
 */
int vu_packed_start(struct vu_vring *v, const struct vu_vring_place *place, uint32_t base)
{
	uint16_t told = (uint16_t)(base >> 16), at;

	v->desc = vu_memory_at_user(v->mem, place->desc, sizeof(struct pvirtq_desc) * v->num,
				    VIRTQ_DESC_ALIGN);
	v->avail = vu_memory_at_user(v->mem, place->avail, sizeof(uint32_t), PVIRTQ_EVENT_ALIGN);
	v->used = vu_memory_at_user(v->mem, place->used, sizeof(uint32_t), PVIRTQ_EVENT_ALIGN);
	if (!v->desc || !v->avail || !v->used)
		return -EFAULT;
	v->p = calloc(1, sizeof(*v->p) + sizeof(v->p->used[0]) * v->num);
	if (!v->p)
		return -ENOMEM;
	if (!vu_memory_find(v->mem, &v->log_hint, v->desc, &v->p->desc_gpa))
		return -EFAULT;
	at = fits(v, told) ? told : find(v, told);
	v->last_avail = v->p->push_at = v->p->used_at = at;
	store_event(v, 0, PVIRTQ_EVENT_DISABLE);
	return 0;
}

/**
 * vu_packed_stop() - free what vu_packed_start() made
 * @v:	the ring, of either kind
 */
void vu_packed_stop(struct vu_vring *v)
{
	free(v->p);
	v->p = NULL;
}

/* ------------------------------------------------------------- what the driver has posted */

/*
 * Whether so many descriptors are available. What was once seen counts from then on, whatever the driver
 * makes of it: so those who wait for more come to an end.
 */
static bool see(struct vu_vring *v, unsigned n)
{
	while (v->avail_seen < n && v->avail_seen < v->num - v->p->kept) {
		uint16_t at = step(v, v->last_avail, v->avail_seen);

		if (!is_available(shared_le16_acquire(flags_at(v, at)), at)) /* A */
			break;
		v->avail_seen++;
	}
	return v->avail_seen >= n;
}

/**
 * vu_packed_available() - how many descriptors the driver has made available
 * @v:	the ring, which works
 *
 * Return: their number.
 */
unsigned vu_packed_available(struct vu_vring *v)
{
	see(v, v->num);
	return v->avail_seen;
}

static struct vu_element element_of(const struct pvirtq_desc *d, unsigned index)
{
	return (struct vu_element){.addr = le64_get(d->addr),
				   .len = le32_get(d->len),
				   .flags = le16_get(d->flags),
				   .index = index};
}

/* A table's descriptors are one chain, in their order, and nothing but their direction counts: 2.8.7. */
static int walk_table(struct vu_vring *v, const struct vu_element *table, bool writable,
		      struct iovec *segs, unsigned max, struct vu_chain *chain)
{
	unsigned n = table->len / sizeof(struct pvirtq_desc);

	if (!v->indirect)
		return vu_vring_fault(v, "indirect descriptor not allowed here", table->index,
				      table);
	if (table->len == 0 || table->len % sizeof(struct pvirtq_desc) ||
	    table->len - 1 > UINT64_MAX - table->addr)
		return vu_vring_fault(v, "indirect table of a bad length", table->index, table);
	if (n > v->num)
		return vu_vring_fault(v, "chain is longer than the ring, or a loop", table->index,
				      table);
	for (unsigned i = 0; i < n; i++) {
		struct pvirtq_desc d;
		struct vu_element e;
		int r;

		if (!vu_memory_read(v->mem, &v->table_hint, table->addr + sizeof(d) * i, &d,
				    sizeof(d)))
			return vu_vring_fault(v, "indirect table is outside of the guest's memory",
					      table->index, table);
		e = element_of(&d, i);
		if (!(e.flags & VIRTQ_DESC_F_WRITE) == writable)
			return vu_vring_fault(v, "buffer of the wrong direction", i, &e);
		r = vu_vring_add(v, &e, segs, max, chain);
		if (r < 0)
			return r;
	}
	return 0;
}

/* @flags: the first one's, as they were when it was found available; @most: descriptors. */
static int walk(struct vu_vring *v, uint16_t at, uint16_t flags, unsigned most, bool writable,
		struct iovec *segs, unsigned max, struct vu_chain *chain)
{
	for (;;) {
		struct pvirtq_desc d;
		struct vu_element e;
		int r;

		memcpy(&d, desc_at(v, at), sizeof(d));
		vu_read_once();
		e = element_of(&d, at & INDEX);
		if (chain->descs++ == 0)
			e.flags = flags;
		chain->head = le16_get(d.id);
		if (e.flags & VIRTQ_DESC_F_INDIRECT) {
			if (chain->descs > 1 || (e.flags & VIRTQ_DESC_F_NEXT))
				return vu_vring_fault(v, "indirect descriptor in a chain", e.index,
						      &e);
			return walk_table(v, &e, writable, segs, max, chain);
		}
		if (!(e.flags & VIRTQ_DESC_F_WRITE) == writable)
			return vu_vring_fault(v, "buffer of the wrong direction", e.index, &e);
		r = vu_vring_add(v, &e, segs, max, chain);
		if (r < 0)
			return r;
		if (!(e.flags & VIRTQ_DESC_F_NEXT))
			return 0;
		if (chain->descs == most)
			return vu_vring_fault(v, "chain is longer than the ring, or a loop",
					      e.index, &e);
		at = step(v, at, 1);
	}
}

/**
 * vu_packed_peek() - vu_vring_peek() of a packed ring
 * @v:		the ring, which works
 * @ahead:	how many posted buffers to skip
 * @writable:	the direction that all of it must have
 * @segs:	where its pieces go
 * @max:	room there
 * @ret_chain:	the buffer
 *
 * Return: as vu_vring_peek().
 */
int vu_packed_peek(struct vu_vring *v, unsigned ahead, bool writable, struct iovec *segs,
		   unsigned max, struct vu_chain *ret_chain)
{
	struct vu_packed *p = v->p;
	unsigned most;
	uint16_t flags;
	int r;

	if (ahead == 0) {
		p->look_at = v->last_avail;
		p->looked = 0;
	}
	most = v->num - p->kept - p->looked;
	if (most == 0)
		return 0;
	flags = shared_le16_acquire(flags_at(v, p->look_at)); /* A */
	if (!is_available(flags, p->look_at))
		return 0;
	*ret_chain = (struct vu_chain){0};
	r = walk(v, p->look_at, flags, most, writable, segs, max, ret_chain);
	if (r < 0)
		return r;
	p->look_at = step(v, p->look_at, ret_chain->descs);
	p->looked = (uint16_t)(p->looked + ret_chain->descs);
	return 1;
}

/**
 * vu_packed_take() - vu_vring_take() of a packed ring
 * @v:		the ring
 * @chains:	the buffers
 * @n:		how many
 */
void vu_packed_take(struct vu_vring *v, const struct vu_chain *chains, unsigned n)
{
	unsigned descs = 0;

	for (unsigned i = 0; i < n; i++)
		descs += chains[i].descs;
	v->last_avail = step(v, v->last_avail, descs);
	v->avail_seen = (uint16_t)(v->avail_seen - min_t(unsigned, descs, v->avail_seen));
}

/* ------------------------------------------------------------- what is given back */

/**
 * vu_packed_push() - vu_vring_push() of a packed ring
 * @v:		the ring
 * @chains:	the buffers of a frame
 * @n:		how many
 * @len:	bytes written into them
 */
void vu_packed_push(struct vu_vring *v, const struct vu_chain *chains, unsigned n, size_t len)
{
	struct vu_packed *p = v->p;

	for (unsigned i = 0; i < n; i++) {
		size_t part = min_t(size_t, len, chains[i].len);

		p->used[v->pushed++] = (struct used){.at = p->push_at,
						     .id = chains[i].head,
						     .descs = chains[i].descs,
						     .frame = (uint16_t)(n - i),
						     .len = (uint32_t)part};
		p->push_at = step(v, p->push_at, chains[i].descs);
		p->kept = (uint16_t)(p->kept + chains[i].descs);
		len -= part;
	}
}

static void mark(struct vu_vring *v, const struct used *u)
{
	uint8_t *d = desc_at(v, u->at);
	unsigned flags = u->at & WRAP ? PVIRTQ_DESC_F_AVAIL | PVIRTQ_DESC_F_USED : 0;
	le32 len = le32_of(u->len);
	le16 id = le16_of(u->id);

	for (unsigned i = u->descs - 1u; i; i--) {
		uint16_t at = step(v, u->at, i);
		uint16_t old = shared_le16(flags_at(v, at));

		shared_le16_set(flags_at(v, at), at & WRAP ? old | PVIRTQ_DESC_F_USED
							   : old & (uint16_t)~PVIRTQ_DESC_F_USED);
	}
	memcpy(d + offsetof(struct pvirtq_desc, len), &len, sizeof(len));
	memcpy(d + offsetof(struct pvirtq_desc, id), &id, sizeof(id));
	shared_le16_release(d + offsetof(struct pvirtq_desc, flags), /* B */
			    (uint16_t)(flags | (u->len ? VIRTQ_DESC_F_WRITE : 0)));
}

/* The descriptors from used_at to push_at were written. */
static void log_marked(struct vu_vring *v)
{
	const size_t size = sizeof(struct pvirtq_desc);
	unsigned first = v->p->used_at & INDEX, n = v->p->kept;
	unsigned until_end = min_t(unsigned, n, v->num - first);

	wrote(v, v->p->desc_gpa + size * first, size * until_end);
	wrote(v, v->p->desc_gpa, size * (n - until_end));
}

/**
 * vu_packed_publish() - vu_vring_publish() of a packed ring
 * @v:	the ring, with something pushed
 */
void vu_packed_publish(struct vu_vring *v)
{
	struct vu_packed *p = v->p;

	for (unsigned i = 0; i < v->pushed;) {
		unsigned n = p->used[i].frame;

		for (unsigned k = n; k--;)
			mark(v, &p->used[i + k]);
		i += n;
	}
	log_marked(v);
	v->used_idx = (uint16_t)(v->used_idx + p->kept);
	v->pushed = 0;
	p->kept = 0;
	p->used_at = p->push_at;
}

/* ------------------------------------------------------------- who is told */

/* Positions in the order of two laps: that of wrap counter 1 first. */
static unsigned in_laps(const struct vu_vring *v, uint16_t at)
{
	return (at & INDEX) + (at & WRAP ? 0 : v->num);
}

/**
 * vu_packed_wants() - whether the driver wants to be told
 * @v:	the ring
 * @n:	of so many descriptors that were given back last, after a full fence
 */
bool vu_packed_wants(const struct vu_vring *v, unsigned n)
{
	uint32_t word = shared_le32(v->avail);
	unsigned flags = word >> PVIRTQ_EVENT_FLAGS & 3, laps = 2 * v->num;
	uint16_t at = (uint16_t)word;

	if (flags == PVIRTQ_EVENT_DISABLE)
		return false;
	if (flags != PVIRTQ_EVENT_DESC || !v->event_idx || (at & INDEX) >= v->num)
		return true;
	/* How far behind the last one the event lies. A driver never waits for what is older than a lap. */
	return (in_laps(v, v->p->used_at) + laps - in_laps(v, at) - 1) % laps <
	       min_t(unsigned, n, v->num);
}

/**
 * vu_packed_kicks_off() - vu_vring_kicks_off() of a packed ring
 * @v:	the ring
 */
void vu_packed_kicks_off(struct vu_vring *v)
{
	store_event(v, 0, PVIRTQ_EVENT_DISABLE);
}

/**
 * vu_packed_kicks_on() - vu_vring_kicks_on() of a packed ring
 * @v:	the ring
 * @n:	descriptors
 *
 * Return: true where they are available already.
 */
bool vu_packed_kicks_on(struct vu_vring *v, unsigned n)
{
	store_event(v, step(v, v->last_avail, n - 1),
		    v->event_idx ? PVIRTQ_EVENT_DESC : PVIRTQ_EVENT_ENABLE);
	shared_fence(); /* D */
	return see(v, n);
}
