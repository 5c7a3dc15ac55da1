/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The closer. stranger.h and usher.h say what it is for, closer.h who may call it.
 *
 * It is a process with one thread, and takes no message itself. It forks a child for each, so that
 * what comes with a message can hold up only that child. At most CLOSING_MAX children close at a
 * time. An usher stays as long as its connection; one name may have USHERS_A_NAME of them.
 */
#include "base/closer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/code_pages.h"
#include "base/fd.h"
#include "base/stranger.h"
#include "base/usher.h"

/* Sockets that are being closed at the same time; those that have lasted longest are cut short. */
#define CLOSING_MAX 32

/* Connections with an usher at the same time. */
#define USHERS_MAX 256

static int closer_lines[CLOSER_LINES] = {-1, -1};

struct usher_child {
	pid_t pid;
	char name[USHER_NAME];
};

struct closer {
	pid_t closing[CLOSING_MAX]; /* the oldest first */
	unsigned n_closing, n_killed;
	struct usher_child ushers[USHERS_MAX];
	unsigned n_ushers;
};

static void closer_forget(struct closer *c, pid_t pid)
{
	for (unsigned i = 0; i < c->n_closing; i++) {
		if (c->closing[i] != pid)
			continue;
		c->n_closing--;
		c->n_killed -= i < c->n_killed;
		memmove(c->closing + i, c->closing + i + 1,
			(c->n_closing - i) * sizeof(c->closing[0]));
		return;
	}
	for (unsigned i = 0; i < c->n_ushers; i++)
		if (c->ushers[i].pid == pid) {
			c->ushers[i] = c->ushers[--c->n_ushers];
			return;
		}
}

static void closer_reap(struct closer *c, int signals)
{
	struct signalfd_siginfo info;
	pid_t pid;

	while (read(signals, &info, sizeof(info)) > 0)
		;
	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		closer_forget(c, pid);
}

/* A child with fds[] as its descriptors from 3 on, and no others. */
static void keep_only(const int *fds, unsigned n)
{
	int moved[4];

	for (unsigned i = 0; i < n; i++)
		moved[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 64);
	for (unsigned i = 0; i < n; i++)
		dup2(moved[i], 3 + (int)i);
	close_range(3 + n, ~0u, 0);
}

/*
 * Take one socket from the line, say that it was taken, and let go of it once its sender has. The
 * end of a process does not wait for a socket that lingers; whatever else takes long takes it here.
 */
static _Noreturn void closing_child(int line, int taken)
{
	unsigned n = 0;
	int fds[2];
	char byte;

	if (fd_receive(line, &byte, 1, fds, 2, &n, MSG_DONTWAIT) > 0 && n == 2 &&
	    write(taken, &byte, 1) == 1) {
		/* The reader of our starter's log must not wait for this process's end. */
		for (int i = 0; i < 3; i++)
			dup2(fds[1], i);
		while (read(fds[1], &byte, 1) < 0)
			;
	}
	_exit(0);
}

static bool too_many(const struct closer *c, const char *name)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->n_ushers; i++)
		n += !strncmp(c->ushers[i].name, name, USHER_NAME);
	return n >= USHERS_A_NAME || c->n_ushers == USHERS_MAX;
}

static _Noreturn void usher_child(const struct closer *c, int line, int taken)
{
	char name[USHER_NAME] = {0};
	unsigned n = 0;
	int fds[3];

	if (fd_receive(line, name, sizeof(name), fds, 3, &n, MSG_DONTWAIT) > 0 && n == 3 &&
	    write(taken, name, sizeof(name)) == sizeof(name)) {
		keep_only(fds, 3);
		usher_main(3, 4, 5, too_many(c, name));
	}
	_exit(0);
}

/*
 * Fork a child for what has come over a line. The parent never has the socket, for the last one to
 * close it may have to wait.
 *
 * Return: its id, and what it wrote once it had taken the socket; -1: nothing was taken.
 */
static pid_t closer_fork(const struct closer *c, int line, bool usher, char *ret, size_t size)
{
	int taken[2];
	ssize_t n = 0;
	pid_t pid;

	if (pipe2(taken, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		close(taken[0]);
		if (usher)
			usher_child(c, line, taken[1]);
		closing_child(line, taken[1]);
	}
	close(taken[1]);
	if (pid > 0)
		n = read(taken[0], ret, size);
	close(taken[0]);
	return n == (ssize_t)size ? pid : -1;
}

static bool closing_begin(struct closer *c, int line)
{
	char byte;
	pid_t pid = closer_fork(c, line, false, &byte, 1);

	if (pid > 0)
		c->closing[c->n_closing++] = pid;
	return pid > 0;
}

static bool usher_begin(struct closer *c, int line)
{
	struct usher_child child;

	child.pid = closer_fork(c, line, true, child.name, sizeof(child.name));
	/* An usher without a place here was told so, and ends. */
	if (child.pid > 0 && c->n_ushers < USHERS_MAX)
		c->ushers[c->n_ushers++] = child;
	return child.pid > 0;
}

/*
 * The closer reads no stranger's bytes, but it takes their descriptors; its ushers read bytes, too.
 */
static int closer_give_up(const struct sandbox_user *user)
{
	int r = user && geteuid() == 0 ? sandbox_become(user, NULL, 0) : 0;

	if (r == 0)
		r = sandbox_keep_caps(0);
	if (r == 0)
		r = sandbox_files(NULL, 0);
	return r == 0 ? sandbox_calls(SANDBOX_CLOSER) : r;
}

static _Noreturn void closer_main(const int lines[CLOSER_LINES], const struct sandbox_user *user)
{
	static struct closer c;
	struct pollfd p[3] = {{.events = POLLIN}, {.events = POLLIN}, {.events = POLLIN}};
	sigset_t all;

	prctl(PR_SET_NAME, "usbrouted-close");
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	/* It keeps nothing else of its starter's open. */
	keep_only(lines, CLOSER_LINES);
	sigemptyset(&all);
	sigaddset(&all, SIGCHLD);
	p[1].fd = 4;
	p[2].fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (closer_give_up(user) < 0 || write(3, "", 1) != 1)
		_exit(1);
	code_pages_give_back();
	for (;;) {
		bool full = c.n_closing == CLOSING_MAX;

		/* A child that can't be killed keeps its place. */
		if (full && c.n_killed < c.n_closing)
			kill(c.closing[c.n_killed++], SIGKILL);
		p[0].fd = full ? -1 : 3;
		if (poll(p, 3, full && c.n_killed < c.n_closing ? 100 : -1) < 0)
			continue;
		if (p[2].revents)
			closer_reap(&c, p[2].fd);
		if (!full && p[0].revents && !closing_begin(&c, 3) && (p[0].revents & POLLHUP))
			break;
		if (p[1].revents && !usher_begin(&c, 4) && (p[1].revents & POLLHUP))
			break;
	}
	for (unsigned i = 0; i < c.n_closing; i++)
		kill(c.closing[i], SIGKILL);
	_exit(0);
}

/* It says so once it has given up its rights; if the line ends first, it has ended. */
static int closer_stands(void)
{
	struct pollfd p = {.fd = closer_lines[CLOSER_CLOSE], .events = POLLIN};
	char byte;

	while (poll(&p, 1, -1) < 0)
		;
	return read(p.fd, &byte, 1) == 1 ? 0 : -EPERM;
}

/**
 * strangers_start() - start the closer
 * @user:	whose it becomes, where this process is root's; NULL: it stays
 *
 * Once, before any thread. Without it stranger_close() closes what it has to by itself, and usher_start()
 * has no usher.
 *
 * Return: 0 or a negative errno.
 */
int strangers_start(const struct sandbox_user *user)
{
	int theirs[CLOSER_LINES] = {-1, -1}, pair[2], r = 0;
	pid_t pid = -1;

	for (unsigned i = 0; i < CLOSER_LINES && r == 0; i++) {
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) <
		    0) {
			r = -errno;
			continue;
		}
		closer_lines[i] = pair[0];
		theirs[i] = pair[1];
	}
	if (r == 0) {
		pid = fork();
		if (pid == 0)
			closer_main(theirs, user);
		r = pid < 0 ? -errno : 0;
	}
	for (unsigned i = 0; i < CLOSER_LINES; i++)
		theirs[i] = fd_close(theirs[i]);
	if (r == 0)
		r = closer_stands();
	for (unsigned i = 0; i < CLOSER_LINES && r < 0; i++)
		closer_lines[i] = fd_close(closer_lines[i]);
	return r;
}

/**
 * closer_runs() - whether strangers_start() has started it
 */
bool closer_runs(void)
{
	return closer_lines[0] >= 0;
}

/**
 * closer_send() - hand descriptors to the closer
 * @line:	what for
 * @data:	what goes with them
 * @len:	its length in bytes
 * @fds:	the descriptors; stay the caller's
 * @n_fds:	how many
 *
 * Any thread; never waits.
 *
 * Return: 0 or a negative errno; -EAGAIN where the closer has too much to do.
 */
int closer_send(enum closer_line line, const void *data, size_t len, const int *fds, unsigned n_fds)
{
	return fd_send(closer_lines[line], data, len, fds, n_fds);
}
