/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The usher; see usher.h.
 *
 * What each question reaches in the kernel (6.1 to 6.18): F_GET_SEALS looks at the file's own operations
 * (mm/memfd.c, memfd_file_seals_ptr()) and knows files of tmpfs and hugetlbfs only, memfds among them; for
 * an eventfd see bell.h. Neither calls a file system, needs /proc, or takes a lock that a stranger may hold.
 *
 * The stranger's descriptors come with the first byte that was sent with them, and a read ends
 * behind that message. So they are passed on with the last byte of the read, which was sent with
 * them, too.
 */
#include "base/usher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bell.h"
#include "base/closer.h"
#include "base/fd.h"
#include "base/stranger.h"

/* As many as the kernel carries with one message: it would close here what there is no room for. */
#define FDS_SENT 253
#define FDS_MAX	 8

struct way {
	char bytes[4096];
	size_t at, len;
};

struct ushering {
	int sock, line, report;
	struct bell bell;
	struct way in, out; /* from the stranger; to him */
	bool in_ended;
	int fds[FDS_MAX]; /* to go with the last byte of @in */
	unsigned n_fds;
};

/*
 * The process ends, and what it was handed with it. The end of a process does not wait for a socket
 * that lingers, and nobody waits for whatever else closes slowly.
 */
static _Noreturn void usher_leave(struct ushering *u, enum usher_end why)
{
	uint8_t byte = (uint8_t)why;

	shutdown(u->sock, SHUT_RDWR);
	if (write(u->report, &byte, 1) == 1)
		close(u->report);
	close(u->line);
	_exit(0);
}

static bool usher_fits(struct ushering *u, int fd)
{
	return fcntl(fd, F_GET_SEALS) >= 0 || bell_fits(&u->bell, fd) == 0;
}

static void usher_look(struct ushering *u, struct msghdr *msg)
{
	if (msg->msg_flags & MSG_CTRUNC)
		usher_leave(u, USHER_TOO_MANY);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		if (n > FDS_MAX - u->n_fds)
			usher_leave(u, USHER_TOO_MANY);
		memcpy(u->fds + u->n_fds, CMSG_DATA(c), n * sizeof(int));
		u->n_fds += (unsigned)n;
	}
	for (unsigned i = 0; i < u->n_fds; i++)
		if (!usher_fits(u, u->fds[i]))
			usher_leave(u, USHER_UNFIT);
}

/* From the stranger. */
static void usher_take(struct ushering *u)
{
	union {
		char buf[CMSG_SPACE(FDS_SENT * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = u->in.bytes, .iov_len = sizeof(u->in.bytes)};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	ssize_t n = recvmsg(u->sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return;
		usher_leave(u, USHER_LEFT);
	}
	usher_look(u, &msg);
	u->in.at = 0;
	u->in.len = (size_t)n;
	if (n == 0) {
		u->in_ended = true;
		shutdown(u->line, SHUT_WR);
	}
}

/* Return: whether all of it is out. */
static bool usher_send(struct ushering *u, int to, struct way *way, size_t keep)
{
	while (way->len - way->at > keep) {
		ssize_t n = send(to, way->bytes + way->at, way->len - way->at - keep,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0 && errno != EINTR)
			usher_leave(u, USHER_LEFT);
		if (n > 0)
			way->at += (size_t)n;
	}
	return true;
}

static void usher_pass_on(struct ushering *u)
{
	int r;

	if (!usher_send(u, u->line, &u->in, u->n_fds ? 1 : 0) || !u->n_fds)
		return;
	r = fd_send(u->line, u->in.bytes + u->in.at, 1, u->fds, u->n_fds);
	if (r == -EAGAIN)
		return;
	if (r < 0)
		usher_leave(u, USHER_LEFT);
	u->in.at++;
	while (u->n_fds)
		fd_close(u->fds[--u->n_fds]);
}

/* From whoever is served, to the stranger. */
static void usher_fetch(struct ushering *u)
{
	ssize_t n = recv(u->line, u->out.bytes, sizeof(u->out.bytes), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		usher_leave(u, USHER_LEFT);
	u->out.at = 0;
	u->out.len = n < 0 ? 0 : (size_t)n;
}

static bool waiting(const struct way *way)
{
	return way->at < way->len;
}

static void usher_turn(struct ushering *u)
{
	bool in = waiting(&u->in), out = waiting(&u->out);
	struct pollfd p[] = {
		{.fd = u->in_ended && !out ? -1 : u->sock,
		 .events = (short)((in || u->in_ended ? 0 : POLLIN) | (out ? POLLOUT : 0))},
		{.fd = u->line, .events = (short)((out ? 0 : POLLIN) | (in ? POLLOUT : 0))},
	};

	if (poll(p, ARRAY_SIZE(p), -1) < 0)
		return;
	if (out && (p[0].revents & (POLLOUT | POLLERR | POLLHUP)))
		usher_send(u, u->sock, &u->out, 0);
	if (in && p[1].revents)
		usher_pass_on(u);
	if (!in && !u->in_ended && p[0].revents) {
		usher_take(u);
		usher_pass_on(u);
	}
	if (!out && p[1].revents) {
		usher_fetch(u);
		usher_send(u, u->sock, &u->out, 0);
	} else if (p[1].revents & (POLLHUP | POLLERR)) {
		usher_leave(u, USHER_LEFT);
	}
}

/**
 * usher_main() - be an usher
 * @sock:	the stranger's socket
 * @line:	the other end of usher->line, non-blocking; a byte comes when @sock is nobody else's
 * @report:	the other end of usher->report
 * @busy:	end the connection unread
 *
 * In a process of its own, which has no other descriptors.
 */
_Noreturn void usher_main(int sock, int line, int report, bool busy)
{
	static struct ushering u;
	struct pollfd begin = {.fd = line, .events = POLLIN};
	char byte;

	prctl(PR_SET_NAME, "usbrouted-usher");
	u.sock = sock;
	u.line = line;
	u.report = report;
	/* The reader of our starter's log must not wait for an usher. */
	for (int i = 0; i < 3; i++)
		dup2(report, i);
	while (poll(&begin, 1, -1) < 0)
		;
	if (read(line, &byte, 1) != 1)
		usher_leave(&u, USHER_LEFT);
	if (busy)
		usher_leave(&u, USHER_BUSY);
	if (bell_init(&u.bell) < 0)
		usher_leave(&u, USHER_FAILED);
	for (;;)
		usher_turn(&u);
}

/* ------------------------------------------------------------- the other end */

/**
 * usher_start() - have a stranger's socket served by an usher
 * @usher:	to be closed by usher_close() where this succeeds
 * @sock:	the socket; given away in any case
 * @name:	whose it is; at most 31 characters of it count
 *
 * Without a closer the line is the socket itself.
 *
 * Return: 0 or a negative errno.
 */
int usher_start(struct usher *usher, int sock, const char *name)
{
	char padded[USHER_NAME] = {0};
	int pair[2], report[2], r;

	*usher = (struct usher){.line = sock, .report = -1};
	if (!closer_runs())
		return 0;
	strncpy(padded, name, sizeof(padded) - 1);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		r = -errno;
		stranger_close(sock);
		return r;
	}
	if (pipe2(report, O_CLOEXEC | O_NONBLOCK) < 0) {
		r = -errno;
		close(pair[0]);
		close(pair[1]);
		stranger_close(sock);
		return r;
	}
	r = closer_send(CLOSER_USHER, padded, sizeof(padded), (int[]){sock, pair[1], report[1]}, 3);
	close(pair[1]);
	close(report[1]);
	if (r < 0) {
		close(pair[0]);
		close(report[0]);
		stranger_close(sock);
		return r;
	}
	/* The usher begins once it alone has the socket, so this close is not the last one. */
	close(sock);
	*usher = (struct usher){.line = pair[0], .report = report[0]};
	/* If that can't be sent, the usher has ended, and so has the line. */
	(void)!send(pair[0], "", 1, MSG_NOSIGNAL);
	return 0;
}

/**
 * usher_end() - why a line has ended
 * @usher:	whose line is at its end
 *
 * Return: the reason, told once.
 */
enum usher_end usher_end(const struct usher *usher)
{
	uint8_t why;

	if (usher->report < 0 || read(usher->report, &why, 1) != 1 || why > USHER_FAILED)
		return USHER_LEFT;
	return why;
}

/**
 * usher_close() - end a connection
 * @usher:	started; its descriptors are -1 afterwards
 */
void usher_close(struct usher *usher)
{
	usher->line = usher->report < 0 ? stranger_close(usher->line) : fd_close(usher->line);
	usher->report = fd_close(usher->report);
}
