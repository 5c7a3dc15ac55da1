/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Strangers' sockets; see stranger.h.
 *
 * What the kernel does (net/unix/af_unix.c, net/core/scm.c, 6.1): a read without room for descriptors
 * sets MSG_CTRUNC where there were some, and drops its references to them; a peek took references of
 * its own, so that those of the queue stay. A peek goes on to the first message that has descriptors,
 * also where that is beyond the room that it was given. So as many bytes as a peek without MSG_CTRUNC
 * has shown can be read, and no descriptor comes with them, whatever was sent meanwhile.
 */
#include "base/stranger.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

/* Sockets that are being closed at the same time; the one that has lasted longest is cut short. */
#define CLOSING_MAX 32

static int closer_line = -1;
static struct log_limit closer_limit;

/* ------------------------------------------------------------- the closer */

struct closing {
	pid_t children[CLOSING_MAX]; /* the oldest first */
	unsigned n;
};

static void closing_remove(struct closing *c, unsigned i)
{
	c->n--;
	memmove(c->children + i, c->children + i + 1, (c->n - i) * sizeof(c->children[0]));
}

static void closing_reap(struct closing *c)
{
	for (unsigned i = c->n; i-- > 0;)
		if (waitpid(c->children[i], NULL, WNOHANG) != 0)
			closing_remove(c, i);
}

/* Take one socket from the line, say that it was taken, and close it once its sender has. */
static _Noreturn void closing_child(int line, int taken)
{
	unsigned n = 0;
	int fds[2];
	char byte;

	if (fd_receive(line, &byte, 1, fds, 2, &n, MSG_DONTWAIT) > 0 && n == 2 &&
	    write(taken, &byte, 1) == 1 && read(fds[1], &byte, 1) == 0)
		close(fds[0]); /* for as long as it takes */
	_exit(0);
}

/*
 * One socket for a new child. Its parent never has it: the last one to close it is who has to wait.
 *
 * Return: whether a child took it.
 */
static bool closing_begin(struct closing *c, int line)
{
	int taken[2];
	ssize_t n = 0;
	char byte;
	pid_t pid;

	if (c->n == CLOSING_MAX) {
		kill(c->children[0], SIGKILL);
		waitpid(c->children[0], NULL, 0);
		closing_remove(c, 0);
	}
	if (pipe2(taken, O_CLOEXEC) < 0)
		return false;
	pid = fork();
	if (pid == 0) {
		close(taken[0]);
		closing_child(line, taken[1]);
	}
	close(taken[1]);
	if (pid > 0) {
		c->children[c->n++] = pid;
		n = read(taken[0], &byte, 1);
	}
	close(taken[0]);
	return n == 1;
}

static _Noreturn void closer_main(int line)
{
	struct pollfd wait = {.fd = line, .events = POLLIN};
	struct closing closing = {.n = 0};
	sigset_t all;

	prctl(PR_SET_NAME, "usbrouted-close");
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	/* Nothing else of its starter's is kept open by it. */
	if (line != 3)
		dup2(line, 3);
	close_range(4, ~0u, 0);
	wait.fd = 3;
	for (;;) {
		/* Children that have ended are few, and may wait a while. */
		if (poll(&wait, 1, closing.n ? 1000 : -1) < 0 && errno != EINTR)
			break;
		closing_reap(&closing);
		/* The line's end can be read, too. */
		if (wait.revents && !closing_begin(&closing, 3) && (wait.revents & POLLHUP))
			break;
	}
	for (unsigned i = 0; i < closing.n; i++)
		kill(closing.children[i], SIGKILL);
	_exit(0);
}

/**
 * strangers_start() - start the closer
 *
 * Once, before any thread. Without it stranger_close() closes what it has to by itself.
 *
 * Return: 0 or a negative errno.
 */
int strangers_start(void)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		closer_main(pair[1]);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return -EAGAIN;
	}
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	closer_line = pair[0];
	return 0;
}

/* ------------------------------------------------------------- sockets */

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

	/* Nothing more comes in from here on: what was sent is bounded by the sender's buffer. */
	shutdown(sock, SHUT_RD);
	do {
		n = stranger_receive(sock, scratch, sizeof(scratch));
	} while (n > 0);
	return n == -EBADMSG;
}

/*
 * Hand a socket to the closer. Who closes it last is who waits: the closer waits for the end of a pipe,
 * which comes when our own descriptor has gone.
 *
 * Return: whether the closer has it.
 */
static bool closer_take(int sock)
{
	int ours_closed[2], r;

	if (pipe2(ours_closed, O_CLOEXEC) < 0)
		return false;
	r = fd_send(closer_line, "", 1, (int[]){sock, ours_closed[0]}, 2);
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

	if (sock < 0 || closer_line < 0 || !holds_descriptor(sock))
		fd_close(sock);
	else if (!closer_take(sock))
		/* To keep one socket open is better than to stand still. */
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

	/* Who has not been accepted would be closed with the listener, queue and all. */
	while (listener >= 0 && (sock = stranger_accept(listener)) >= 0)
		stranger_close(sock);
	return fd_close(listener);
}
