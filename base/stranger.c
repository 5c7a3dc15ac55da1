/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Strangers' sockets; see stranger.h.
 *
 * What the kernel does (net/unix/af_unix.c, net/core/scm.c, 6.1): a read without room for
 * descriptors sets MSG_CTRUNC where there were some, and drops its references to them; a peek took
 * references of its own, so that those of the queue stay. A peek goes on to the first message that
 * has descriptors, even if that is beyond the room that it was given. So as many bytes as a peek
 * without MSG_CTRUNC has shown can be read, and no descriptor comes with them, whatever was sent
 * meanwhile.
 */
#include "base/stranger.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/closer.h"
#include "base/fd.h"
#include "base/log.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

static struct log_limit closer_limit;

/**
 * stranger_listener() - have a listener refuse descriptors, where the kernel can
 * @listener:	a listening Unix socket; what it accepts refuses them, too
 */
void stranger_listener(int listener)
{
	int no = 0;

	setsockopt(listener, SOL_SOCKET, SO_PASSRIGHTS, &no, sizeof(no));
}

/**
 * stranger_accept() - the next connection
 * @listener:	a listening Unix socket, non-blocking
 *
 * Return: the socket, non-blocking, for stranger_close(); or a negative errno.
 */
int stranger_accept(int listener)
{
	int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return sock < 0 ? -errno : sock;
}

/**
 * stranger_receive() - read bytes that have come without a descriptor
 * @sock:	a connected Unix stream socket
 * @buf:	where they go
 * @size:	room there, at least 1
 *
 * Return: how many; 0 at the end; -EBADMSG where a descriptor is in the queue, which stays there:
 * the socket is of no further use; another negative errno, -EAGAIN where there is nothing.
 */
ssize_t stranger_receive(int sock, void *buf, size_t size)
{
	struct iovec iov = {.iov_base = buf, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n = recvmsg(sock, &msg, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	if (msg.msg_flags & MSG_CTRUNC)
		return -EBADMSG;
	if (n == 0)
		return 0;
	n = recv(sock, buf, (size_t)n, MSG_DONTWAIT);
	return n < 0 ? -errno : n;
}

/* Whether closing a socket closes a descriptor that a stranger has sent. */
static bool holds_descriptor(int sock)
{
	char scratch[4096];
	ssize_t n;

	/*
	 * Nothing more comes in from here on; what was sent before is bounded by the sender's
	 * buffer.
	 */
	shutdown(sock, SHUT_RD);
	do {
		n = stranger_receive(sock, scratch, sizeof(scratch));
	} while (n > 0);
	return n == -EBADMSG;
}

/*
 * Hand a socket to the closer. Whoever closes it last has to wait. That must be the closer: it
 * waits for the end of a pipe, which comes when our own descriptor has gone.
 *
 * Return: whether the closer has it.
 */
static bool closer_take(int sock)
{
	int ours_closed[2], r;

	if (pipe2(ours_closed, O_CLOEXEC) < 0)
		return false;
	r = closer_send(CLOSER_CLOSE, "", 1, (int[]){sock, ours_closed[0]}, 2);
	close(ours_closed[0]);
	if (r == 0)
		close(sock);
	close(ours_closed[1]);
	return r == 0;
}

/**
 * stranger_close() - close a stranger's socket without waiting for anything that it has sent
 * @sock:	the socket, or -1
 *
 * Return: -1, to be stored where the socket stood.
 */
int stranger_close(int sock)
{
	int saved = errno;

	if (sock < 0 || !closer_runs() || !holds_descriptor(sock))
		fd_close(sock);
	else if (!closer_take(sock))
		/* Keeping one socket open is better than standing still. */
		log_limited(&closer_limit, LOG_LEVEL_WARNING,
			    "a stranger's socket can't be closed now; it stays open");
	errno = saved;
	return -1;
}

/**
 * stranger_listener_close() - close a listener, and whoever has not been accepted yet
 * @listener:	a listening Unix socket, non-blocking, or -1
 *
 * Return: -1, to be stored where the listener stood.
 */
int stranger_listener_close(int listener)
{
	int sock;

	/*
	 * Connections that were not accepted yet would be closed with the listener, and their
	 * queues with them.
	 */
	while (listener >= 0 && (sock = stranger_accept(listener)) >= 0)
		stranger_close(sock);
	return fd_close(listener);
}
