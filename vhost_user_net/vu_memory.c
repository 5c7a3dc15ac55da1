/* SPDX-License-Identifier: BSD-2-Clause */
/* Translating addresses into a guest's memory. */
#include "vhost_user_net/vu_memory.h"

#include <errno.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "base/mem.h"
#include "vhost_user_net/vhost_user_spec.h"

/*
 * How many bytes one memory may map: regions of a sparse file can be as large as the front-end
 * says, and address space is limited. It is twice the machine's memory: a guest has at most that,
 * and memory that can be plugged in later is mapped before it is there.
 */
static uint64_t mapped_max(void)
{
	struct sysinfo info;

	if (sysinfo(&info) < 0)
		return 0;
	return 2 * ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
}

/**
 * vu_memory_init() - begin with no memory
 * @m:	the memory
 */
void vu_memory_init(struct vu_memory *m)
{
	memset(m->region, 0, sizeof(m->region));
	m->n = 0;
	atomic_init(&m->lost, false);
}

/**
 * vu_memory_clear() - unmap everything
 * @m:	the memory; empty and usable again afterwards
 */
void vu_memory_clear(struct vu_memory *m)
{
	while (m->n)
		vu_map_close(&m->region[--m->n].map);
	atomic_store_explicit(&m->lost, false, memory_order_relaxed);
}

/**
 * vu_memory_add() - map one region
 * @m:		the memory
 * @region:	as the front-end sent it, unchecked
 * @fd:		its file; stays the caller's
 *
 * Return: 0; -EINVAL where the region is empty, wraps, or reaches beyond its file; -EEXIST where it
 * overlaps another; -ENOSPC where there are too many; -E2BIG where all of them together are more than
 * the machine could hold; -EMEDIUMTYPE for what is neither a memfd nor a file on tmpfs or hugetlbfs; or
 * mmap's error. Nothing has changed then.
 */
int vu_memory_add(struct vu_memory *m, const struct vhost_user_memory_region *region, int fd)
{
	uint64_t size = region->memory_size, room = mapped_max();
	struct vu_region r = {
		.gpa = region->guest_phys_addr, .uva = region->userspace_addr, .size = size};
	int res;

	if (m->n >= VU_REGIONS)
		return -ENOSPC;
	if (size == 0 || size > UINT64_MAX - r.gpa || size > UINT64_MAX - r.uva)
		return -EINVAL;
	for (unsigned i = 0; i < m->n; i++) {
		const struct vu_region *o = &m->region[i];

		if (r.gpa < o->gpa ? o->gpa - r.gpa < size : r.gpa - o->gpa < o->size)
			return -EEXIST;
		room -= min_t(uint64_t, room, o->size);
	}
	if (size > room)
		return -E2BIG;
	res = vu_map_open(&r.map, fd, region->mmap_offset, size, &m->lost);
	if (res < 0)
		return res;
	r.host = r.map.at;
	m->region[m->n++] = r;
	return 0;
}

/**
 * vu_memory_remove() - unmap one region
 * @m:		the memory
 * @region:	names it by its addresses and size; the offset doesn't count (REM_MEM_REG)
 *
 * Return: 0, or -ENOENT.
 */
int vu_memory_remove(struct vu_memory *m, const struct vhost_user_memory_region *region)
{
	for (unsigned i = 0; i < m->n; i++) {
		struct vu_region *r = &m->region[i];

		if (r->gpa != region->guest_phys_addr || r->size != region->memory_size ||
		    r->uva != region->userspace_addr)
			continue;
		vu_map_close(&r->map);
		*r = m->region[--m->n];
		if (m->n == 0)
			atomic_store_explicit(&m->lost, false, memory_order_relaxed);
		return 0;
	}
	return -ENOENT;
}

/**
 * vu_memory_move() - replace one memory by another
 * @to:		what it had is unmapped
 * @from:	its regions go to @to; empty afterwards
 */
void vu_memory_move(struct vu_memory *to, struct vu_memory *from)
{
	vu_memory_clear(to);
	for (unsigned i = 0; i < from->n; i++) {
		to->region[i] = from->region[i];
		vu_map_blame(&to->region[i].map, &to->lost);
	}
	to->n = from->n;
	atomic_store_explicit(&to->lost, vu_memory_lost(from), memory_order_relaxed);
	vu_memory_init(from);
}

/**
 * vu_memory_at() - translate a guest-physical address
 * @m:		the memory
 * @hint:	the caller's, zero at first; only speed depends on it
 * @gpa:	the address, unchecked
 * @len:	in: bytes wanted, at least 1; out: how many of them lie there in one piece
 *
 * Return: the bytes, or NULL where the address is nowhere.
 */
void *vu_memory_at(const struct vu_memory *m, struct vu_memory_hint *hint, uint64_t gpa,
		   size_t *len)
{
	unsigned i = hint->region;

	if (i >= m->n || gpa - m->region[i].gpa >= m->region[i].size) {
		for (i = 0; i < m->n; i++)
			if (gpa - m->region[i].gpa < m->region[i].size)
				break;
		if (i == m->n)
			return NULL;
		hint->region = i;
	}
	/* gpa below the region's start wraps to a difference that is larger than any size. */
	gpa -= m->region[i].gpa;
	if (*len > m->region[i].size - gpa)
		*len = (size_t)(m->region[i].size - gpa);
	return m->region[i].host + gpa;
}

/**
 * vu_memory_at_user() - translate an address of the front-end's own address space
 * @m:		the memory
 * @uva:	the address, unchecked
 * @len:	bytes that must lie there in one piece
 * @align:	what the result must be a multiple of
 *
 * Return: the bytes, or NULL.
 */
void *vu_memory_at_user(const struct vu_memory *m, uint64_t uva, size_t len, size_t align)
{
	for (unsigned i = 0; i < m->n; i++) {
		const struct vu_region *r = &m->region[i];
		uint64_t at = uva - r->uva;

		if (at >= r->size || len > r->size - at)
			continue;
		if (((uintptr_t)r->host + at) % align)
			return NULL;
		return r->host + at;
	}
	return NULL;
}

/**
 * vu_memory_read() - copy from a guest-physical address, over region borders
 * @m:		the memory
 * @hint:	see vu_memory_at()
 * @gpa:	the address, unchecked
 * @data:	where to
 * @len:	how much
 *
 * Return: false where a byte of it is nowhere.
 */
bool vu_memory_read(const struct vu_memory *m, struct vu_memory_hint *hint, uint64_t gpa,
		    void *data, size_t len)
{
	uint8_t *to = data;

	if (len && len - 1 > UINT64_MAX - gpa)
		return false;
	while (len) {
		size_t n = len;
		const void *p = vu_memory_at(m, hint, gpa, &n);

		if (!p)
			return false;
		memcpy(to, p, n);
		to += n;
		gpa += n;
		len -= n;
	}
	vu_read_once();
	return true;
}

/**
 * vu_memory_find() - the guest-physical address of bytes that were translated
 * @m:		the memory
 * @hint:	see vu_memory_at()
 * @host:	as vu_memory_at() or vu_memory_at_user() returned it
 * @ret_gpa:	the address
 *
 * Return: false where the bytes are not in this memory.
 */
bool vu_memory_find(const struct vu_memory *m, struct vu_memory_hint *hint, const void *host,
		    uint64_t *ret_gpa)
{
	for (unsigned i = 0; i < m->n; i++) {
		/* The one of the hint first. */
		unsigned at = hint->region < m->n ? (hint->region + i) % m->n : i;
		const struct vu_region *r = &m->region[at];
		uint64_t in = (uint64_t)((uintptr_t)host - (uintptr_t)r->host);

		if (in >= r->size)
			continue;
		hint->region = at;
		*ret_gpa = r->gpa + in;
		return true;
	}
	return false;
}
