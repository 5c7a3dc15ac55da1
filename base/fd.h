/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ownership of file descriptors. An fd that is not there is -1; closing keeps errno.
 */
#pragma once

#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

/**
 * fd_close() - close an fd that may be absent
 * @fd:		the fd, or -1
 *
 * Return: -1, to be stored where the fd stood.
 */
static inline int fd_close(int fd)
{
	if (fd >= 0) {
		int saved = errno;

		close(fd);
		errno = saved;
	}
	return -1;
}

static inline void fd_closep(int *fd)
{
	*fd = fd_close(*fd);
}

/* Hand an fd over: its value, and -1 is left behind. */
static inline int take_fd(int *fd)
{
	int r = *fd;

	*fd = -1;
	return r;
}

#define _cleanup_close_ _cleanup_(fd_closep)

ssize_t fd_read_file(const char *path, void *data, size_t size);
/**
 * fd_stat() - stat an open file
 * @fd:		the file
 * @st:		filled in
 *
 * libc's fstat() uses a system call that also takes paths, which a VM's process must not make
 * (sandbox.h).
 *
 * Return: 0, or -1 with errno.
 */
static inline int fd_stat(int fd, struct stat *st)
{
	return (int)syscall(SYS_fstat, fd, st);
}

int fd_send(int sock, const void *data, size_t len, const int *fds, unsigned n_fds);
ssize_t fd_receive(int sock, void *data, size_t size, int *fds, unsigned max_fds, unsigned *ret_n,
		   int flags);
