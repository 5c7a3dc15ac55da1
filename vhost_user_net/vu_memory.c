/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mapping and translating a guest's memory.
 *
 * The guard: a front-end may cut its file off at any time, and the next touch of the mapping raises
 * SIGBUS in whichever thread it was. One process-wide handler looks the address up in a table of
 * all mapped regions, puts anonymous memory over the whole region, and marks its owner's memory
 * lost; the interrupted copy goes on with zeros, and the owner finds the mark after its burst. The
 * table is read without locks: a slot's length and owner are written before its start, and a region
 * is out of the table before it is unmapped. A region is touched only by threads that its removal
 * keeps out, so a slot that a fault hit can't change meanwhile. Any other SIGBUS takes its default
 * action. SIGBUS must not be blocked in threads that touch guests' memory.
 */
#include "vhost_user_net/vu_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "vhost_user_net/vhost_user_spec.h"

/* More than one process ever has: 64 cards with all their regions. */
#define GUARDS (64 * VU_REGIONS)

struct guard {
	atomic_uintptr_t start; /* 0: free; 1: being filled */
	atomic_size_t len;
	_Atomic(atomic_bool *) lost;
};

static struct guard guards[GUARDS];

static void on_sigbus(int sig, siginfo_t *info, void *context _unused_)
{
	uintptr_t at = (uintptr_t)info->si_addr;
	int saved = errno;

	/* Positive: the kernel tells of a fault, not a process. */
	for (unsigned i = 0; info->si_code > 0 && i < GUARDS; i++) {
		struct guard *g = &guards[i];
		uintptr_t start = atomic_load_explicit(&g->start, memory_order_acquire);
		size_t len = atomic_load_explicit(&g->len, memory_order_relaxed);
		void *p;

		if (start <= 1 || at < start || at - start >= len)
			continue;
		p = mmap((void *)start, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
		if (p == MAP_FAILED)
			break;
		atomic_store_explicit(atomic_load_explicit(&g->lost, memory_order_relaxed), true,
				      memory_order_relaxed);
		errno = saved;
		return;
	}
	signal(sig, SIG_DFL);
	if (info->si_code <= 0)
		raise(sig);
	/* Otherwise the access is done again, and faults for good. */
	errno = saved;
}

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

static int guard_status;

static void guard_install(void)
{
	struct sigaction sa = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	sigemptyset(&sa.sa_mask);
	guard_status = sigaction(SIGBUS, &sa, NULL) < 0 ? -errno : 0;
}

/**
 * vu_memory_guard() - survive front-ends that cut their memory file off
 *
 * Installs the handler of SIGBUS, once for the process. Any thread.
 *
 * Return: 0 or a negative errno.
 */
int vu_memory_guard(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, guard_install);
	return guard_status;
}

static int guard_enter(void *start, size_t len, atomic_bool *lost, unsigned *ret_guard)
{
	for (unsigned i = 0; i < GUARDS; i++) {
		struct guard *g = &guards[i];
		uintptr_t free_slot = 0;

		if (!atomic_compare_exchange_strong(&g->start, &free_slot, 1))
			continue;
		atomic_store_explicit(&g->len, len, memory_order_relaxed);
		atomic_store_explicit(&g->lost, lost, memory_order_relaxed);
		atomic_store_explicit(&g->start, (uintptr_t)start, memory_order_release);
		*ret_guard = i;
		return 0;
	}
	return -ENOSPC;
}

static void region_drop(struct vu_region *r)
{
	atomic_store_explicit(&guards[r->guard].start, 0, memory_order_release);
	munmap(r->map, r->map_len);
	*r = (struct vu_region){0};
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
		region_drop(&m->region[--m->n]);
	atomic_store_explicit(&m->lost, false, memory_order_relaxed);
}

/*
 * Asking for a file's size, mapping it and touching the mapping must not wait for anyone, and a
 * file system whose server is somebody's program could make us wait. So the file must be memory: a
 * memfd, or a file on tmpfs or hugetlbfs. Only these have seals, and asking for seals calls no file
 * system (mm/memfd.c, memfd_fcntl()).
 */
static bool is_memory(int fd)
{
	return fcntl(fd, F_GET_SEALS) >= 0;
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
	uint64_t size = region->memory_size, offset = region->mmap_offset, align, skip;
	uint64_t room = mapped_max();
	struct vu_region r = {
		.gpa = region->guest_phys_addr, .uva = region->userspace_addr, .size = size};
	struct stat st;
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
	if (!is_memory(fd))
		return -EMEDIUMTYPE;
	if (fd_stat(fd, &st) < 0)
		return -errno;
	if (st.st_size < 0 || size > (uint64_t)st.st_size || offset > (uint64_t)st.st_size - size)
		return -EINVAL;

	/* Huge pages are mapped, and later replaced, whole; their file's block is the page. */
	align = (uint64_t)sysconf(_SC_PAGESIZE);
	if (st.st_blksize > 0 && (uint64_t)st.st_blksize > align &&
	    ((uint64_t)st.st_blksize & ((uint64_t)st.st_blksize - 1)) == 0)
		align = (uint64_t)st.st_blksize;
	skip = offset & (align - 1);
	if (size > SIZE_MAX - skip - align)
		return -EINVAL;
	r.map_len = (size_t)((size + skip + align - 1) & ~(align - 1));
	r.map = mmap(NULL, r.map_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		     (off_t)(offset - skip));
	if (r.map == MAP_FAILED)
		return -errno;
	/* A core dump must not have the guest's memory. */
	(void)madvise(r.map, r.map_len, MADV_DONTDUMP);
	r.host = (uint8_t *)r.map + skip;
	res = guard_enter(r.map, r.map_len, &m->lost, &r.guard);
	if (res < 0) {
		munmap(r.map, r.map_len);
		return res;
	}
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
		region_drop(r);
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
		atomic_store_explicit(&guards[to->region[i].guard].lost, &to->lost,
				      memory_order_relaxed);
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
