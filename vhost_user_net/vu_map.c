/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mapping a front-end's files.
 *
 * The guard: a front-end may cut its file off at any time, and the next touch of the mapping raises
 * SIGBUS in whichever thread it was. One process-wide handler looks the address up in a table of
 * all mapped pieces, puts anonymous memory over the whole piece, and marks its owner's memory
 * lost; the interrupted copy goes on with zeros, and the owner finds the mark after its burst. The
 * table is read without locks: a slot's length and owner are written before its start, and a piece
 * is out of the table before it is unmapped. A piece is touched only by threads that its removal
 * keeps out, so a slot that a fault hit can't change meanwhile. Any other SIGBUS takes its default
 * action. SIGBUS must not be blocked in threads that touch guests' memory.
 */
#include "vhost_user_net/vu_map.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

/* More than one process ever has: 64 cards, with all their regions for each of two connections. */
#define GUARDS 4096

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

static int guard_status;

static void guard_install(void)
{
	struct sigaction sa = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	sigemptyset(&sa.sa_mask);
	guard_status = sigaction(SIGBUS, &sa, NULL) < 0 ? -errno : 0;
}

/**
 * vu_map_guard() - survive front-ends that cut their memory file off
 *
 * Installs the handler of SIGBUS, once for the process. Any thread.
 *
 * Return: 0 or a negative errno.
 */
int vu_map_guard(void)
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
 * vu_map_open() - map a piece of a file
 * @map:	the piece
 * @fd:		the file; stays the caller's
 * @offset:	where the piece begins, bytes, unchecked
 * @size:	its length, bytes, not 0, unchecked
 * @lost:	set where the file turns out shorter later; outlives the mapping
 *
 * Return: 0; -EINVAL where the piece reaches beyond its file; -EMEDIUMTYPE for what is neither a memfd
 * nor a file on tmpfs or hugetlbfs; -ENOSPC where too much is mapped; or mmap's error.
 */
int vu_map_open(struct vu_map *map, int fd, uint64_t offset, uint64_t size, atomic_bool *lost)
{
	struct vu_map m;
	struct stat st;
	uint64_t align, skip;
	int r;

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
	m.len = (size_t)((size + skip + align - 1) & ~(align - 1));
	m.start = mmap(NULL, m.len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(offset - skip));
	if (m.start == MAP_FAILED)
		return -errno;
	/* A core dump must not have the guest's memory. */
	(void)madvise(m.start, m.len, MADV_DONTDUMP);
	m.at = (uint8_t *)m.start + skip;
	r = guard_enter(m.start, m.len, lost, &m.guard);
	if (r < 0) {
		munmap(m.start, m.len);
		return r;
	}
	*map = m;
	return 0;
}

/**
 * vu_map_close() - unmap
 * @map:	the piece, or one of which nothing is mapped
 */
void vu_map_close(struct vu_map *map)
{
	if (map->at) {
		atomic_store_explicit(&guards[map->guard].start, 0, memory_order_release);
		munmap(map->start, map->len);
	}
	*map = (struct vu_map){0};
}

/**
 * vu_map_blame() - have another owner's mark set
 * @map:	the piece, mapped
 * @lost:	as of vu_map_open()
 */
void vu_map_blame(const struct vu_map *map, atomic_bool *lost)
{
	atomic_store_explicit(&guards[map->guard].lost, lost, memory_order_relaxed);
}
