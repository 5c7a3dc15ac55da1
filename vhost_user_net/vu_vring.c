/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The split virtqueue: reading chains, giving them back, and not telling the driver too often.
 *
 * Barriers, each with its partner in the driver:
 *   A  avail->idx is read with acquire	    driver: ring entry and descriptors, then avail->idx
 *   B  used->idx is written with release   driver: reads used->idx, then the elements
 *   C  used->idx, full fence, used_event   driver: used_event, full fence, used->idx
 *   D  avail_event, full fence, avail->idx driver: avail->idx, full fence, avail_event
 */
#include "vhost_user_net/vu_vring.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "vhost_user_net/shared_word.h"
#include "vhost_user_net/virtio_spec.h"

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

static int fault(struct vu_vring *v, const char *what, unsigned index, const struct virtq_desc *d)
{
	v->fault = (struct vu_vring_fault){.what = what, .index = (uint16_t)index};
	if (d) {
		v->fault.addr = le64_get(d->addr);
		v->fault.len = le32_get(d->len);
		v->fault.flags = le16_get(d->flags);
	}
	return -EPROTO;
}

/**
 * vu_vring_start() - take a ring up where its last user left it
 * @v:		the ring; whatever it was before is forgotten
 * @mem:	where it lies; stays the same until vu_vring_stop()
 * @place:	its three parts, unchecked
 * @num:	entries, unchecked
 * @event_idx:	VIRTIO_F_RING_EVENT_IDX was agreed on
 * @indirect:	VIRTIO_F_RING_INDIRECT_DESC was agreed on
 * @log:	where writes are logged; copied
 *
 * The position is used->idx: this device never keeps a buffer between bursts, so all entries before
 * it are finished, and all after it are not, whoever served the ring before and however he ended.
 * The front-end's idea (SET_VRING_BASE) is the same number in every orderly case; where a back-end
 * died between taking and publishing it is the larger one, and going by it would lose those buffers
 * for ever. The driver is told once, whatever it asked for, since a signal may have died with the
 * last user. Kicks are off.
 *
 * Return: 0; -EINVAL for a bad @num; -EFAULT where a part is not mapped in one piece, or
 * misaligned.
 */
int vu_vring_start(struct vu_vring *v, const struct vu_memory *mem,
		   const struct vu_vring_place *place, unsigned num, bool event_idx, bool indirect,
		   const struct vu_vring_log *log)
{
	size_t event = event_idx ? 2 : 0;

	*v = (struct vu_vring){
		.mem = mem, .num = num, .event_idx = event_idx, .indirect = indirect, .log = *log};
	if (num == 0 || num > VU_VRING_MAX || (num & (num - 1)))
		return -EINVAL;
	v->avail = vu_memory_at_user(mem, place->avail, VIRTQ_AVAIL_RING + 2 * num + event,
				     VIRTQ_AVAIL_ALIGN);
	v->used = vu_memory_at_user(mem, place->used,
				    VIRTQ_USED_RING + sizeof(struct virtq_used_elem) * num + event,
				    VIRTQ_USED_ALIGN);
	v->desc = vu_memory_at_user(mem, place->desc, sizeof(struct virtq_desc) * num,
				    VIRTQ_DESC_ALIGN);
	if (!v->desc || !v->avail || !v->used) {
		vu_vring_stop(v);
		return -EFAULT;
	}
	v->used_idx = v->last_avail = v->avail_seen = v->signalled =
		shared_le16(v->used + VIRTQ_USED_IDX);
	v->signal_due = true;
	if (event_idx)
		store_used(v, avail_event(v), (uint16_t)(v->last_avail - 1));
	store_used(v, VIRTQ_USED_FLAGS, (uint16_t)(event_idx ? 0 : VIRTQ_USED_F_NO_NOTIFY));
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
		fault(v, "avail index is ahead by more than the ring", idx, NULL);
		return false;
	}
	v->avail_seen = idx;
	return true;
}

/**
 * vu_vring_available() - how many buffers the driver has posted
 * @v:	the ring
 *
 * Return: their number; 0 for a ring that is stopped or broken.
 */
unsigned vu_vring_available(struct vu_vring *v)
{
	if (!vu_vring_works(v) || !refresh(v))
		return 0;
	return (uint16_t)(v->avail_seen - v->last_avail);
}

/* One descriptor's bytes, appended to @segs piece by piece. */
static int add_segments(struct vu_vring *v, const struct virtq_desc *d, unsigned index,
			struct iovec *segs, unsigned max, struct vu_chain *chain)
{
	uint64_t addr = le64_get(d->addr);
	size_t len = le32_get(d->len);

	if (len == 0)
		return fault(v, "buffer of no length", index, d);
	if (len - 1 > UINT64_MAX - addr || len > SIZE_MAX - chain->len)
		return fault(v, "buffer's address wraps", index, d);
	chain->len += len;
	while (len) {
		size_t n = len;
		void *p = vu_memory_at(v->mem, &v->hint, addr, &n);

		if (!p)
			return fault(v, "buffer is outside of the guest's memory", index, d);
		if (chain->n_segs >= max)
			return max < VU_SEGMENTS
				       ? -ENOBUFS
				       : fault(v, "buffer is in too many pieces", index, d);
		segs[chain->n_segs++] = (struct iovec){.iov_base = p, .iov_len = n};
		addr += n;
		len -= n;
	}
	return 0;
}

static int walk(struct vu_vring *v, unsigned i, bool writable, struct iovec *segs, unsigned max,
		struct vu_chain *chain)
{
	uint64_t table = 0;
	unsigned entries = v->num;
	bool in_table = false;

	for (unsigned steps = 0;; steps++) {
		struct virtq_desc d;
		unsigned flags;
		int r;

		/* A longest chain has a descriptor for each entry of the ring, 2.7.5.3.1; the
		 * one that refers to a table doesn't count. */
		if (steps > v->num - (in_table ? 0 : 1))
			return fault(v, "chain is longer than the ring, or a loop", i, NULL);
		if (!in_table) {
			memcpy(&d, v->desc + sizeof(d) * i, sizeof(d));
			vu_read_once();
		} else if (!vu_memory_read(v->mem, &v->table_hint, table + sizeof(d) * i, &d,
					   sizeof(d))) {
			return fault(v, "indirect table is outside of the guest's memory", i, NULL);
		}
		flags = le16_get(d.flags);
		if (flags & VIRTQ_DESC_F_INDIRECT) {
			uint32_t len = le32_get(d.len);

			if (!v->indirect || in_table)
				return fault(v, "indirect descriptor not allowed here", i, &d);
			if (flags & VIRTQ_DESC_F_NEXT)
				return fault(v, "indirect descriptor with a next", i, &d);
			if (len == 0 || len % sizeof(d) || len - 1 > UINT64_MAX - le64_get(d.addr))
				return fault(v, "indirect table of a bad length", i, &d);
			table = le64_get(d.addr);
			entries = (unsigned)(len / sizeof(d));
			in_table = true;
			i = 0;
			continue;
		}
		if (!(flags & VIRTQ_DESC_F_WRITE) == writable)
			return fault(v, "buffer of the wrong direction", i, &d);
		r = add_segments(v, &d, i, segs, max, chain);
		if (r < 0)
			return r;
		if (!(flags & VIRTQ_DESC_F_NEXT))
			return 0;
		i = le16_get(d.next);
		if (i >= entries)
			return fault(v, "next descriptor is outside of the table", i, &d);
	}
}

/**
 * vu_vring_peek() - look at a buffer without taking it
 * @v:		the ring
 * @ahead:	how many posted buffers to skip
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
	if ((uint16_t)(v->avail_seen - v->last_avail) <= ahead) {
		if (!refresh(v))
			return -EPROTO;
		if ((uint16_t)(v->avail_seen - v->last_avail) <= ahead)
			return 0;
	}
	head = shared_le16(v->avail + VIRTQ_AVAIL_RING + 2 * (at & (v->num - 1)));
	if (head >= v->num)
		return fault(v, "head is outside of the table", head, NULL);
	*ret_chain = (struct vu_chain){.head = (uint16_t)head};
	r = walk(v, head, writable, segs, max, ret_chain);
	return r < 0 ? r : 1;
}

/**
 * vu_vring_take() - take the next buffers
 * @v:	the ring
 * @n:	how many, all of them peeked at before
 */
void vu_vring_take(struct vu_vring *v, unsigned n)
{
	v->last_avail = (uint16_t)(v->last_avail + n);
}

/**
 * vu_vring_push() - give a buffer back; the driver sees it after vu_vring_publish()
 * @v:		the ring
 * @head:	which
 * @len:	bytes written into it
 */
void vu_vring_push(struct vu_vring *v, uint16_t head, uint32_t len)
{
	struct virtq_used_elem e = {.id = le32_of(head), .len = le32_of(len)};
	unsigned slot = (uint16_t)(v->used_idx + v->pushed++) & (v->num - 1);
	size_t at = VIRTQ_USED_RING + sizeof(e) * slot;

	memcpy(v->used + at, &e, sizeof(e));
	wrote_used(v, at, sizeof(e));
}

/**
 * vu_vring_publish() - show the driver what was pushed
 * @v:	the ring
 */
void vu_vring_publish(struct vu_vring *v)
{
	if (!v->pushed || !v->used)
		return;
	v->used_idx = (uint16_t)(v->used_idx + v->pushed);
	v->pushed = 0;
	shared_le16_release(v->used + VIRTQ_USED_IDX, v->used_idx); /* B */
	wrote_used(v, VIRTQ_USED_IDX, sizeof(v->used_idx));
}

/* Whether the driver wants to be told that used_idx went from @old to @new: 2.7.10 of virtio 1.2. */
static bool wants(const struct vu_vring *v, uint16_t old, uint16_t new)
{
	shared_fence(); /* C */
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
	if (!v->event_idx)
		store_used(v, VIRTQ_USED_FLAGS, VIRTQ_USED_F_NO_NOTIFY);
}

/**
 * vu_vring_kicks_on() - ask for a kick
 * @v:	the ring
 * @n:	once this many buffers are posted, 1 to num; drivers without the event index kick at each
 *
 * Return: true where they are there already, and no kick may come; also for a ring just found
 * broken.
 */
bool vu_vring_kicks_on(struct vu_vring *v, unsigned n)
{
	if (!vu_vring_works(v))
		return false;
	v->kicks_off = false;
	if (v->event_idx)
		store_used(v, avail_event(v), (uint16_t)(v->last_avail + n - 1));
	else
		store_used(v, VIRTQ_USED_FLAGS, 0);
	shared_fence(); /* D */
	return !refresh(v) || (uint16_t)(v->avail_seen - v->last_avail) >= n;
}
