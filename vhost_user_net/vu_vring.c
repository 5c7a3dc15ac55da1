/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The split virtqueue: reading chains, giving them back, and not telling the driver too often. A packed one
 * is vu_packed.c's, from the first lines of the same functions on.
 *
 * Barriers, each with its partner in the driver:
 *   A  avail->idx is read with acquire	    driver: ring entry and descriptors, then avail->idx
 *   B  used->idx is written with release   driver: reads used->idx, then the elements
 *   C  used->idx, full fence, used_event   driver: used_event, full fence, used->idx
 *   D  avail_event, full fence, avail->idx driver: avail->idx, full fence, avail_event
 */
#include "vhost_user_net/vu_vring_private.h"

#include <stddef.h>
#include <string.h>

#include "base/mem.h"
#include "vhost_user_net/shared_word.h"

/* Where it is logged, of the used ring: some bytes were written. */
static void wrote_used(struct vu_vring *v, size_t at, size_t len)
{
	if (v->log.log && v->log.used)
		vu_log_write(v->log.log, v->log.used_gpa + at, len);
}

static void store_used(struct vu_vring *v, size_t at, uint16_t x)
{
	shared_le16_set(v->used + at, x);
	wrote_used(v, at, sizeof(x));
}

static uint8_t *used_event(const struct vu_vring *v)
{
	return v->avail + VIRTQ_AVAIL_RING + 2 * v->num;
}

/* In the used ring. */
static size_t avail_event(const struct vu_vring *v)
{
	return VIRTQ_USED_RING + sizeof(struct virtq_used_elem) * v->num;
}

/**
 * vu_vring_fault() - a ring is broken
 * @v:		the ring
 * @what:	by what, a literal
 * @index:	where it stands
 * @e:		the descriptor that does it, or NULL
 *
 * Return: -EPROTO.
 */
int vu_vring_fault(struct vu_vring *v, const char *what, unsigned index, const struct vu_element *e)
{
	v->fault = (struct vu_vring_fault){.what = what, .index = (uint16_t)index};
	if (e) {
		v->fault.addr = e->addr;
		v->fault.len = e->len;
		v->fault.flags = e->flags;
	}
	return -EPROTO;
}

static int start_split(struct vu_vring *v, const struct vu_vring_place *place)
{
	size_t event = v->event_idx ? 2 : 0;
	unsigned num = v->num;

	if (num & (num - 1))
		return -EINVAL;
	v->avail = vu_memory_at_user(v->mem, place->avail, VIRTQ_AVAIL_RING + 2 * num + event,
				     VIRTQ_AVAIL_ALIGN);
	v->used = vu_memory_at_user(v->mem, place->used,
				    VIRTQ_USED_RING + sizeof(struct virtq_used_elem) * num + event,
				    VIRTQ_USED_ALIGN);
	v->desc = vu_memory_at_user(v->mem, place->desc, sizeof(struct virtq_desc) * num,
				    VIRTQ_DESC_ALIGN);
	if (!v->desc || !v->avail || !v->used)
		return -EFAULT;
	v->used_idx = v->last_avail = v->avail_seen = shared_le16(v->used + VIRTQ_USED_IDX);
	if (v->event_idx)
		store_used(v, avail_event(v), (uint16_t)(v->last_avail - 1));
	store_used(v, VIRTQ_USED_FLAGS, (uint16_t)(v->event_idx ? 0 : VIRTQ_USED_F_NO_NOTIFY));
	return 0;
}

/**
 * vu_vring_start() - take a ring up where its last user left it
 * @v:		the ring; stopped; whatever it was before is forgotten
 * @mem:	where it lies; stays the same until vu_vring_stop()
 * @place:	its three parts, unchecked
 * @how:	its size and position, unchecked, and what was agreed on
 * @log:	where writes are logged; copied
 *
 * A split ring's position is used->idx: this device never keeps a buffer between bursts, so all entries
 * before it are finished, and all after it are not, whoever served the ring before and however he ended.
 * The front-end's idea (SET_VRING_BASE) is the same number in every orderly case; where a back-end
 * died between taking and publishing it is the larger one, and going by it would lose those buffers
 * for ever. A packed ring's is found in the same way; see vu_packed_start(). The driver is told once,
 * whatever it asked for, since a signal may have died with the last user. Kicks are off.
 *
 * Return: 0; -EINVAL for a bad size; -EFAULT where a part is not mapped in one piece, or
 * misaligned; -ENOMEM.
 */
int vu_vring_start(struct vu_vring *v, const struct vu_memory *mem,
		   const struct vu_vring_place *place, const struct vu_vring_how *how,
		   const struct vu_vring_log *log)
{
	int r;

	*v = (struct vu_vring){.mem = mem,
			       .num = how->num,
			       .event_idx = how->event_idx,
			       .indirect = how->indirect,
			       .packed = how->packed,
			       .log = *log};
	if (v->num == 0 || v->num > VU_VRING_MAX)
		return -EINVAL;
	r = v->packed ? vu_packed_start(v, place, how->base) : start_split(v, place);
	if (r < 0) {
		vu_vring_stop(v);
		return r;
	}
	v->signalled = v->used_idx;
	v->signal_due = true;
	v->kicks_off = true;
	return 0;
}

/**
 * vu_vring_stop() - touch the ring no more
 * @v:	the ring; its position and its fault stay readable
 */
void vu_vring_stop(struct vu_vring *v)
{
	v->desc = v->avail = v->used = NULL;
	v->mem = NULL;
	vu_packed_stop(v);
}

/**
 * vu_vring_log_to() - log what is written elsewhere from here on, or not at all
 * @v:		the ring, started or not
 * @log:	copied
 */
void vu_vring_log_to(struct vu_vring *v, const struct vu_vring_log *log)
{
	v->log = *log;
}

/**
 * vu_vring_log_buffer() - what vu_vring_wrote() does where writes are logged
 * @v:		the ring
 * @bytes:	in a buffer of it, as vu_vring_peek() showed it
 * @len:	how many
 */
void vu_vring_log_buffer(struct vu_vring *v, const void *bytes, size_t len)
{
	uint64_t gpa;

	if (v->mem && vu_memory_find(v->mem, &v->log_hint, bytes, &gpa))
		vu_log_write(v->log.log, gpa, len);
}

static bool refresh(struct vu_vring *v)
{
	uint16_t idx = shared_le16_acquire(v->avail + VIRTQ_AVAIL_IDX); /* A */

	if ((uint16_t)(idx - v->last_avail) > v->num) {
		vu_vring_fault(v, "avail index is ahead by more than the ring", idx, NULL);
		return false;
	}
	v->avail_seen = idx;
	return true;
}

/**
 * vu_vring_available() - how many buffers the driver has posted
 * @v:	the ring
 *
 * Return: their number, or, in a packed ring, their descriptors'; 0 for a ring that is stopped or broken.
 */
unsigned vu_vring_available(struct vu_vring *v)
{
	if (!vu_vring_works(v))
		return 0;
	if (v->packed)
		return vu_packed_available(v);
	if (!refresh(v))
		return 0;
	return (uint16_t)(v->avail_seen - v->last_avail);
}

static int walk(struct vu_vring *v, unsigned i, bool writable, struct iovec *segs, unsigned max,
		struct vu_chain *chain)
{
	uint64_t table = 0;
	unsigned entries = v->num;
	bool in_table = false;

	for (unsigned steps = 0;; steps++) {
		struct vu_element e;
		struct virtq_desc d;
		int r;

		/* A longest chain has a descriptor for each entry of the ring, 2.7.5.3.1; the
		 * one that refers to a table doesn't count. */
		if (steps > v->num - (in_table ? 0 : 1))
			return vu_vring_fault(v, "chain is longer than the ring, or a loop", i,
					      NULL);
		if (!in_table) {
			memcpy(&d, v->desc + sizeof(d) * i, sizeof(d));
			vu_read_once();
		} else if (!vu_memory_read(v->mem, &v->table_hint, table + sizeof(d) * i, &d,
					   sizeof(d))) {
			return vu_vring_fault(v, "indirect table is outside of the guest's memory",
					      i, NULL);
		}
		e = (struct vu_element){.addr = le64_get(d.addr),
					.len = le32_get(d.len),
					.flags = le16_get(d.flags),
					.index = i};
		if (e.flags & VIRTQ_DESC_F_INDIRECT) {
			if (!v->indirect || in_table)
				return vu_vring_fault(v, "indirect descriptor not allowed here", i,
						      &e);
			if (e.flags & VIRTQ_DESC_F_NEXT)
				return vu_vring_fault(v, "indirect descriptor with a next", i, &e);
			if (e.len == 0 || e.len % sizeof(d) || e.len - 1 > UINT64_MAX - e.addr)
				return vu_vring_fault(v, "indirect table of a bad length", i, &e);
			table = e.addr;
			entries = (unsigned)(e.len / sizeof(d));
			in_table = true;
			i = 0;
			continue;
		}
		if (!(e.flags & VIRTQ_DESC_F_WRITE) == writable)
			return vu_vring_fault(v, "buffer of the wrong direction", i, &e);
		r = vu_vring_add(v, &e, segs, max, chain);
		if (r < 0)
			return r;
		if (!(e.flags & VIRTQ_DESC_F_NEXT))
			return 0;
		i = le16_get(d.next);
		if (i >= entries)
			return vu_vring_fault(v, "next descriptor is outside of the table", i, &e);
	}
}

/**
 * vu_vring_peek() - look at a buffer without taking it
 * @v:		the ring
 * @ahead:	how many posted buffers to skip: none, or one more than in the call before
 * @writable:	the direction that all of it must have
 * @segs:	where its pieces go
 * @max:	room there
 * @ret_chain:	the buffer
 *
 * Return: 1; 0 where there is no such buffer; -ENOBUFS where @max is less than VU_SEGMENTS and the
 * buffer's pieces don't fit; -EPROTO where the ring is broken.
 */
int vu_vring_peek(struct vu_vring *v, unsigned ahead, bool writable, struct iovec *segs,
		  unsigned max, struct vu_chain *ret_chain)
{
	uint16_t at = (uint16_t)(v->last_avail + ahead);
	unsigned head;
	int r;

	if (!vu_vring_works(v))
		return v->fault.what ? -EPROTO : 0;
	if (v->packed)
		return vu_packed_peek(v, ahead, writable, segs, max, ret_chain);
	if ((uint16_t)(v->avail_seen - v->last_avail) <= ahead) {
		if (!refresh(v))
			return -EPROTO;
		if ((uint16_t)(v->avail_seen - v->last_avail) <= ahead)
			return 0;
	}
	head = shared_le16(v->avail + VIRTQ_AVAIL_RING + 2 * (at & (v->num - 1)));
	if (head >= v->num)
		return vu_vring_fault(v, "head is outside of the table", head, NULL);
	*ret_chain = (struct vu_chain){.head = (uint16_t)head};
	r = walk(v, head, writable, segs, max, ret_chain);
	return r < 0 ? r : 1;
}

/**
 * vu_vring_take() - take the next buffers
 * @v:		the ring
 * @chains:	they, as peeked at
 * @n:		how many
 */
void vu_vring_take(struct vu_vring *v, const struct vu_chain *chains, unsigned n)
{
	if (v->packed)
		vu_packed_take(v, chains, n);
	else
		v->last_avail = (uint16_t)(v->last_avail + n);
}

static void put_used(struct vu_vring *v, unsigned slot, uint16_t head, uint32_t len)
{
	struct virtq_used_elem e = {.id = le32_of(head), .len = le32_of(len)};

	memcpy(v->used + VIRTQ_USED_RING + sizeof(e) * (slot & (v->num - 1)), &e, sizeof(e));
}

/* Several, or logged. */
static __attribute__((noinline)) void push_more(struct vu_vring *v, const struct vu_chain *chains,
						unsigned n, size_t len)
{
	const size_t size = sizeof(struct virtq_used_elem);
	unsigned slot = v->used_idx + v->pushed;

	v->pushed = (uint16_t)(v->pushed + n);
	for (unsigned i = 0; i < n; i++, slot++) {
		size_t part = min_t(size_t, len, chains[i].len);

		put_used(v, slot, chains[i].head, (uint32_t)part);
		if (v->log.log)
			wrote_used(v, VIRTQ_USED_RING + size * (slot & (v->num - 1)), size);
		len -= part;
	}
}

/**
 * vu_vring_push() - give the buffers of one frame back; the driver sees them after vu_vring_publish()
 * @v:		the ring
 * @chains:	they, in the order in which they were taken
 * @n:		how many
 * @len:	bytes written into them, one after the other; no more than they have
 */
void vu_vring_push(struct vu_vring *v, const struct vu_chain *chains, unsigned n, size_t len)
{
	unsigned slot = v->used_idx + v->pushed;

	if (v->packed) {
		vu_packed_push(v, chains, n, len);
		return;
	}
	if (n > 1 || v->log.log) {
		push_more(v, chains, n, len);
		return;
	}
	v->pushed++;
	put_used(v, slot, chains->head, (uint32_t)len);
}

/**
 * vu_vring_publish() - show the driver what was pushed
 * @v:	the ring
 */
void vu_vring_publish(struct vu_vring *v)
{
	if (!v->pushed || !v->used)
		return;
	if (v->packed) {
		vu_packed_publish(v);
		return;
	}
	v->used_idx = (uint16_t)(v->used_idx + v->pushed);
	v->pushed = 0;
	shared_le16_release(v->used + VIRTQ_USED_IDX, v->used_idx); /* B */
	wrote_used(v, VIRTQ_USED_IDX, sizeof(v->used_idx));
}

/* Whether the driver wants to be told that used_idx went from @old to @new: 2.7.10 of virtio 1.2. */
static bool wants(const struct vu_vring *v, uint16_t old, uint16_t new)
{
	shared_fence(); /* C */
	if (v->packed)
		return vu_packed_wants(v, (uint16_t)(new - old));
	if (v->event_idx)
		/* The event lies among what was published, over the wrap-around too. */
		return (uint16_t)(new - shared_le16(used_event(v)) - 1) < (uint16_t)(new - old);
	return !(shared_le16(v->avail + VIRTQ_AVAIL_FLAGS) & VIRTQ_AVAIL_F_NO_INTERRUPT);
}

/**
 * vu_vring_awaits_signal() - ask whether the driver still wants an interrupt that was put off
 * @v:	the ring
 *
 * A driver that has looked by itself meanwhile asks for the next event: then it need not be told of
 * what was published. It looks again after it has asked, so that nothing is missed.
 */
bool vu_vring_awaits_signal(struct vu_vring *v)
{
	if (!v->used || v->signalled == v->used_idx)
		return false;
	if (v->signal_due || wants(v, v->signalled, v->used_idx))
		return true;
	v->signalled = v->used_idx;
	return false;
}

/**
 * vu_vring_wants_signal() - ask whether the driver wants an interrupt for what was published
 * @v:	the ring
 *
 * The caller signals, or remembers that it must: this does not say it again for what was published
 * before.
 */
bool vu_vring_wants_signal(struct vu_vring *v)
{
	uint16_t old = v->signalled, new = v->used_idx;

	if (!v->used)
		return false;
	if (v->signal_due) {
		v->signal_due = false;
		v->signalled = new;
		return true;
	}
	if (old == new)
		return false;
	v->signalled = new;
	return wants(v, old, new);
}

/**
 * vu_vring_kicks_off() - say that the ring is being looked at anyway
 * @v:	the ring
 *
 * With the event index nothing needs be written: the event of the last vu_vring_kicks_on() lies
 * behind, and one kick in 65536 buffers does no harm.
 */
void vu_vring_kicks_off(struct vu_vring *v)
{
	if (v->kicks_off || !v->used)
		return;
	v->kicks_off = true;
	if (v->packed)
		vu_packed_kicks_off(v);
	else if (!v->event_idx)
		store_used(v, VIRTQ_USED_FLAGS, VIRTQ_USED_F_NO_NOTIFY);
}

/**
 * vu_vring_kicks_on() - ask for a kick
 * @v:	the ring
 * @n:	once this many buffers are posted, 1 to num, or descriptors of a packed ring; drivers without the
 *	event index kick at each
 *
 * Return: true where they are there already, and no kick may come; also for a ring just found
 * broken.
 */
bool vu_vring_kicks_on(struct vu_vring *v, unsigned n)
{
	if (!vu_vring_works(v))
		return false;
	v->kicks_off = false;
	if (v->packed)
		return vu_packed_kicks_on(v, n);
	if (v->event_idx)
		store_used(v, avail_event(v), (uint16_t)(v->last_avail + n - 1));
	else
		store_used(v, VIRTQ_USED_FLAGS, 0);
	shared_fence(); /* D */
	return !refresh(v) || (uint16_t)(v->avail_seen - v->last_avail) >= n;
}
