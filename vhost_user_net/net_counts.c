/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers of ports in a shared memory; see net_counts.h. */
#include "vhost_user_net/net_counts.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/* What somebody else could cut off would end whoever looks there. */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static_assert(sizeof(struct net_port_counters) == NET_COUNTS * sizeof(uint64_t), "one each");

static int map(struct net_counts **ret_counts, int fd)
{
	void *at = mmap(NULL, sizeof(struct net_counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	*ret_counts = at;
	return 0;
}

/**
 * net_counts_make() - a memory for the numbers, all zero
 * @ret_counts:	mapped; net_counts_close() ends that
 * @ret_fd:	for the other side; the caller's
 *
 * Return: 0 or a negative errno.
 */
int net_counts_make(struct net_counts **ret_counts, int *ret_fd)
{
	_cleanup_close_ int fd = memfd_create("counts", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0 || ftruncate(fd, sizeof(struct net_counts)) < 0 ||
	    fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	r = map(ret_counts, fd);
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

/**
 * net_counts_open() - map a memory that the other side has made
 * @ret_counts:	mapped; net_counts_close() ends that
 * @fd:		of net_counts_make(); may be closed afterwards
 *
 * Return: 0; -EINVAL where the file is none of net_counts_make(); or another negative errno.
 */
int net_counts_open(struct net_counts **ret_counts, int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || (seals & SEALS) != SEALS || fd_stat(fd, &st) < 0 ||
	    st.st_size != (off_t)sizeof(struct net_counts))
		return -EINVAL;
	return map(ret_counts, fd);
}

/**
 * net_counts_close() - unmap it
 * @counts:	mapped; or NULL
 *
 * Return: NULL.
 */
struct net_counts *net_counts_close(struct net_counts *counts)
{
	if (counts)
		munmap(counts, sizeof(*counts));
	return NULL;
}

/**
 * net_counts_put() - write a port's numbers
 * @counts:	mapped
 * @port:	which, below NET_COUNTS_PORTS
 * @numbers:	they
 */
void net_counts_put(struct net_counts *counts, unsigned port,
		    const struct net_port_counters *numbers)
{
	uint64_t words[NET_COUNTS];

	memcpy(words, numbers, sizeof(words));
	for (unsigned i = 0; i < NET_COUNTS; i++)
		atomic_store_explicit(&counts->at[port][i], words[i], memory_order_relaxed);
}

/**
 * net_counts_get() - read a port's numbers
 * @counts:	mapped; or NULL, and there are none
 * @port:	which, below NET_COUNTS_PORTS
 * @ret_numbers:	they, which may be anything
 */
void net_counts_get(const struct net_counts *counts, unsigned port,
		    struct net_port_counters *ret_numbers)
{
	uint64_t words[NET_COUNTS] = {0};

	for (unsigned i = 0; counts && i < NET_COUNTS; i++)
		words[i] = atomic_load_explicit(&counts->at[port][i], memory_order_relaxed);
	memcpy(ret_numbers, words, sizeof(*ret_numbers));
}
