/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages with descriptors over a Unix socket. Received descriptors are close-on-exec, and either
 * all of them are handed to the caller or none stays open.
 */
#include "base/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#define FD_MAX 16

/**
 * fd_read_file() - read the beginning of a file
 * @path:	the file
 * @data:	where its bytes go
 * @size:	room there; more of the file is not read
 *
 * Return: how many bytes, or a negative errno.
 */
ssize_t fd_read_file(const char *path, void *data, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;

	if (fd < 0)
		return -errno;
	while (len < size) {
		ssize_t n = read(fd, (char *)data + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

/**
 * fd_send() - send one message with descriptors
 * @sock:	a connected Unix socket
 * @data:	the message
 * @len:	its length in bytes, at least 1
 * @fds:	the descriptors; stay the caller's
 * @n_fds:	how many, at most 16
 *
 * Return: 0, or a negative errno; -EAGAIN where the socket would block. Never raises SIGPIPE.
 */
int fd_send(int sock, const void *data, size_t len, const int *fds, unsigned n_fds)
{
	union {
		char buf[CMSG_SPACE(FD_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {.iov_base = (void *)data, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (n_fds > FD_MAX)
		return -E2BIG;
	if (n_fds) {
		struct cmsghdr *c;

		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	do {
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

/**
 * fd_receive() - receive bytes and the descriptors that came with them
 * @sock:	a connected Unix socket
 * @data:	where the bytes go
 * @size:	room there
 * @fds:	where descriptors go; the caller owns them afterwards
 * @max_fds:	room there, at most 16; more arriving is -EMSGSIZE and all of them are closed
 * @ret_n:	how many arrived
 * @flags:	of recvmsg(2), such as MSG_DONTWAIT
 *
 * Return: bytes received, 0 at the end, or a negative errno.
 */
ssize_t fd_receive(int sock, void *data, size_t size, int *fds, unsigned max_fds, unsigned *ret_n,
		   int flags)
{
	union {
		char buf[CMSG_SPACE(FD_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = data, .iov_len = size};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	int got[FD_MAX];
	unsigned n_got = 0;
	ssize_t n;

	*ret_n = 0;
	do {
		n = recvmsg(sock, &msg, flags | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		unsigned k;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		k = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (unsigned i = 0; i < k; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (n_got < FD_MAX)
				got[n_got++] = fd;
			else
				close(fd);
		}
	}
	if (n_got > max_fds || (msg.msg_flags & MSG_CTRUNC)) {
		for (unsigned i = 0; i < n_got; i++)
			close(got[i]);
		return -EMSGSIZE;
	}
	memcpy(fds, got, n_got * sizeof(int));
	*ret_n = n_got;
	return n;
}
