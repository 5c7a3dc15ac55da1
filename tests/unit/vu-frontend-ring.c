/* SPDX-License-Identifier: BSD-2-Clause */
/* The front-end's rings: buffers are posted and taken back, in split rings and packed ones. */
#include <endian.h>

#include "tests/unit/vu-frontend-private.h"

uint8_t *fe_at(struct fe *fe, uint64_t gpa)
{
	uint64_t at = gpa - FE_GPA;

	return fe->mem + (at < FE_HALF ? at + FE_HALF : at - FE_HALF);
}

void fe_put_desc(struct fe *fe, unsigned ring, unsigned i, uint64_t gpa, uint32_t len,
		 unsigned flags, unsigned next)
{
	struct virtq_desc d = {le64_of(gpa), le32_of(len), le16_of((uint16_t)flags),
			       le16_of((uint16_t)next)};

	if (fe->ring[ring].packed)
		fe->ring[ring].table[i % FE_RING_MAX] = d;
	else
		memcpy(fe_at(fe, FE_GPA + RING_AT(ring)) + sizeof(d) * i, &d, sizeof(d));
}

/* ------------------------------------------------------------- packed rings */

struct pvirtq_desc *fe_packed_desc(struct fe *fe, unsigned ring, unsigned index)
{
	uint8_t *at = fe_at(fe, FE_GPA + RING_AT(ring)) + sizeof(struct pvirtq_desc) * index;

	return (struct pvirtq_desc *)(void *)at;
}

static uint16_t *packed_flags(struct fe *fe, unsigned ring, unsigned index)
{
	return (uint16_t *)(void *)&fe_packed_desc(fe, ring, index)->flags;
}

static uint16_t packed_step(const struct fe_ring *r, uint16_t at, unsigned n)
{
	unsigned i = (at & ~FE_WRAP) + n;

	return i < r->num ? (uint16_t)(at + n) : (uint16_t)((i - r->num) | (~at & FE_WRAP));
}

/* A chain as it is, but for the two bits that say whose it is; the first one's are written last. */
void fe_packed_post(struct fe *fe, unsigned ring, const struct pvirtq_desc *descs, unsigned n)
{
	struct fe_ring *r = &fe->ring[ring];

	for (unsigned i = n; i--;) {
		uint16_t at = packed_step(r, r->avail_at, i),
			 flags = le16_get(descs[i].flags) |
				 (at & FE_WRAP ? PVIRTQ_DESC_F_AVAIL : PVIRTQ_DESC_F_USED);
		struct pvirtq_desc *d = fe_packed_desc(fe, ring, at & ~FE_WRAP);

		d->addr = descs[i].addr;
		d->len = descs[i].len;
		d->id = descs[i].id;
		__atomic_store_n(packed_flags(fe, ring, at & ~FE_WRAP), htole16(flags),
				 __ATOMIC_RELEASE);
	}
	r->descs[r->avail_at & ~FE_WRAP] = (uint16_t)n;
	r->avail_at = packed_step(r, r->avail_at, n);
	r->avail_idx++;
}

static void packed_post(struct fe *fe, unsigned ring, unsigned head)
{
	static _Thread_local struct pvirtq_desc chain[FE_RING_MAX];
	struct fe_ring *r = &fe->ring[ring];
	unsigned n = 0;

	for (unsigned i = head;; i = le16_get(r->table[i].next)) {
		const struct virtq_desc *d = &r->table[i % FE_RING_MAX];

		chain[n++] = (struct pvirtq_desc){.addr = d->addr,
						  .len = d->len,
						  .id = le16_of((uint16_t)head),
						  .flags = d->flags};
		if (!(le16_get(d->flags) & VIRTQ_DESC_F_NEXT) || n == r->num)
			break;
		i %= FE_RING_MAX;
	}
	fe_packed_post(fe, ring, chain, n);
}

static bool packed_used(struct fe *fe, unsigned ring, uint16_t at)
{
	uint16_t flags =
		le16toh(__atomic_load_n(packed_flags(fe, ring, at & ~FE_WRAP), __ATOMIC_ACQUIRE));

	return !(flags & PVIRTQ_DESC_F_USED) == !(at & FE_WRAP) &&
	       !(flags & PVIRTQ_DESC_F_AVAIL) == !(at & FE_WRAP);
}

static uint16_t packed_used_idx(struct fe *fe, unsigned ring)
{
	const struct fe_ring *r = &fe->ring[ring];
	uint16_t n = r->used_seen;

	for (uint16_t at = r->used_at; n != r->avail_idx && packed_used(fe, ring, at); n++)
		at = packed_step(r, at, r->descs[at & ~FE_WRAP]);
	return n;
}

static bool packed_take_used(struct fe *fe, unsigned ring, uint32_t *ret_head, uint32_t *ret_len)
{
	struct fe_ring *r = &fe->ring[ring];
	const struct pvirtq_desc *d = fe_packed_desc(fe, ring, r->used_at & ~FE_WRAP);

	if (r->used_seen == r->avail_idx || !packed_used(fe, ring, r->used_at))
		return false;
	*ret_head = le16_get(d->id);
	*ret_len = le32_get(d->len);
	MUST(!(le16_get(d->flags) & VIRTQ_DESC_F_WRITE) == !*ret_len);
	r->used_at = packed_step(r, r->used_at, r->descs[r->used_at & ~FE_WRAP]);
	r->used_seen++;
	return true;
}

/* ------------------------------------------------------------- rings of both kinds */

uint16_t *fe_avail_word(struct fe *fe, unsigned ring, size_t at)
{
	return (uint16_t *)(void *)(fe_at(fe, FE_GPA + RING_AT(ring) + AVAIL) + at);
}

uint16_t *fe_used_word(struct fe *fe, unsigned ring, size_t at)
{
	return (uint16_t *)(void *)(fe_at(fe, FE_GPA + RING_AT(ring) + USED) + at);
}

void fe_post(struct fe *fe, unsigned ring, unsigned head)
{
	struct fe_ring *r = &fe->ring[ring];
	size_t at = VIRTQ_AVAIL_RING + 2u * (r->avail_idx & (r->num - 1));

	if (r->packed) {
		packed_post(fe, ring, head);
		return;
	}
	__atomic_store_n(fe_avail_word(fe, ring, at), htole16((uint16_t)head), __ATOMIC_RELAXED);
	r->avail_idx++;
	__atomic_store_n(fe_avail_word(fe, ring, VIRTQ_AVAIL_IDX), htole16(r->avail_idx),
			 __ATOMIC_RELEASE);
}

/* How many buffers were given back since the start. */
uint16_t fe_used_idx(struct fe *fe, unsigned ring)
{
	if (fe->ring[ring].packed)
		return packed_used_idx(fe, ring);
	return le16toh(__atomic_load_n(fe_used_word(fe, ring, VIRTQ_USED_IDX), __ATOMIC_ACQUIRE));
}

/* Where the ring stands, by its own words: as a front-end has it from GET_VRING_BASE. */
uint32_t fe_position(struct fe *fe, unsigned ring)
{
	const struct fe_ring *r = &fe->ring[ring];
	uint16_t at = r->used_at;

	if (!r->packed)
		return fe_used_idx(fe, ring);
	for (uint16_t n = packed_used_idx(fe, ring); n != r->used_seen; n--)
		at = packed_step(r, at, r->descs[at & ~FE_WRAP]);
	return (uint32_t)at << 16 | at;
}

bool fe_used(struct fe *fe, unsigned ring, uint32_t *ret_head, uint32_t *ret_len)
{
	struct fe_ring *r = &fe->ring[ring];
	struct virtq_used_elem e;

	if (r->packed)
		return packed_take_used(fe, ring, ret_head, ret_len);
	if (fe_used_idx(fe, ring) == r->used_seen)
		return false;
	memcpy(&e,
	       (uint8_t *)fe_used_word(fe, ring, VIRTQ_USED_RING) +
		       sizeof(e) * (r->used_seen & (r->num - 1)),
	       sizeof(e));
	r->used_seen++;
	*ret_head = le32_get(e.id);
	*ret_len = le32_get(e.len);
	return true;
}
