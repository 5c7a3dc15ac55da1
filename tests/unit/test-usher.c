/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ushers, with descriptors that strangers might hand over. Where this program had one of the bad ones, it would not
 * end. usage: test-usher MUTE-FUSE
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/stranger.h"
#include "base/usher.h"
#include "tests/unit/blocker.h"

static const char *mute_fuse;

static int connect_as(struct usher *usher, const char *name)
{
	int pair[2];

	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), errno);
	assert_int_equal(usher_start(usher, pair[1], name), 0);
	assert_true(usher->report >= 0);
	return pair[0];
}

/* A connection in whose queue something is already; it has the last reference to the last one. */
static int connect_with(struct usher *usher, const int *fds, unsigned n)
{
	int pair[2];

	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), errno);
	assert_int_equal(fd_send(pair[0], "x", 1, fds, n), 0);
	close(fds[n - 1]);
	assert_int_equal(usher_start(usher, pair[1], "vm1"), 0);
	return pair[0];
}

static void wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	assert_int_equal(poll(&p, 1, 30000), 1);
}

static void assert_text(int fd, const char *text)
{
	char buf[64];
	size_t n = 0, len = strlen(text);

	while (n < len) {
		ssize_t r;

		wait_for(fd, POLLIN);
		r = recv(fd, buf + n, len - n, MSG_DONTWAIT);
		assert_true(r > 0);
		n += (size_t)r;
	}
	assert_memory_equal(buf, text, len);
}

/* Both sides see the end; the reason is told. */
static void assert_ended(struct usher *usher, int theirs, enum usher_end why)
{
	char byte;

	wait_for(usher->line, POLLIN);
	assert_int_equal(recv(usher->line, &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(usher_end(usher), why);
	wait_for(theirs, POLLIN);
	assert_true(recv(theirs, &byte, 1, MSG_DONTWAIT) <= 0);
	usher_close(usher);
	assert_int_equal(usher->line, -1);
	close(theirs);
}

static void bytes_pass_both_ways(void **state _unused_)
{
	static char big[1 << 20], got[1 << 20];
	struct usher usher;
	int theirs = connect_as(&usher, "vm1");
	size_t sent = 0, n = 0;

	assert_int_equal(write(theirs, "question", 8), 8);
	assert_text(usher.line, "question");
	assert_int_equal(write(usher.line, "answer", 6), 6);
	assert_text(theirs, "answer");

	/* More than all buffers hold: nothing is lost, and who doesn't read is waited for. */
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 + i / 4096);
	while (n < sizeof(big)) {
		ssize_t r = sent < sizeof(big)
				    ? send(theirs, big + sent, sizeof(big) - sent, MSG_DONTWAIT)
				    : -1;

		if (r > 0) {
			sent += (size_t)r;
			continue;
		}
		wait_for(usher.line, POLLIN);
		r = recv(usher.line, got + n, sizeof(got) - n, MSG_DONTWAIT);
		assert_true(r > 0);
		n += (size_t)r;
	}
	assert_memory_equal(big, got, sizeof(big));

	/* The one end, and then the other. */
	assert_int_equal(write(theirs, "last", 4), 4);
	shutdown(theirs, SHUT_WR);
	assert_text(usher.line, "last");
	wait_for(usher.line, POLLIN);
	assert_int_equal(recv(usher.line, got, 1, MSG_DONTWAIT), 0);
	assert_int_equal(usher_end(&usher), USHER_LEFT);
	assert_int_equal(write(usher.line, "reply", 5), 5);
	assert_text(theirs, "reply");
	usher_close(&usher);
	wait_for(theirs, POLLIN);
	assert_int_equal(read(theirs, got, 1), 0);
	close(theirs);
}

/* They arrive within the message that they were sent with, whatever was sent before and behind it. */
static void eventfds_and_memory_pass(void **state _unused_)
{
	struct usher usher;
	int theirs = connect_as(&usher, "vm1"), fds[4], got[8];
	char name[] = "/dev/shm/test-usher-XXXXXX", buf[8];
	eventfd_t x = 0;
	unsigned n, total = 0;
	size_t at = 0;

	fds[0] = eventfd(7, 0);
	fds[1] = memfd_create("guest", MFD_ALLOW_SEALING);
	fds[2] = memfd_create("guest", 0);
	fds[3] = mkstemp(name); /* on tmpfs */
	unlink(name);
	assert_int_equal(write(theirs, "first", 5), 5);
	assert_int_equal(fd_send(theirs, "second", 6, fds, 4), 0);
	assert_int_equal(write(theirs, "third", 5), 5);
	while (at < 16) {
		ssize_t r;

		wait_for(usher.line, POLLIN);
		/* As the card reads: no further than a message's end. */
		r = fd_receive(usher.line, buf,
			       at < 5	 ? 5 - at
			       : at < 11 ? 11 - at
					 : 16 - at,
			       got + total, 8 - total, &n, MSG_DONTWAIT);
		assert_true(r > 0);
		if (n)
			assert_in_range(at, 5, 10);
		at += (size_t)r;
		total += n;
	}
	assert_int_equal(total, 4);
	assert_int_equal(eventfd_read(got[0], &x), 0);
	assert_int_equal(x, 7);
	for (unsigned i = 0; i < 4; i++) {
		close(fds[i]);
		close(got[i]);
	}
	close(theirs);
	wait_for(usher.line, POLLIN);
	assert_int_equal(read(usher.line, buf, 1), 0);
	usher_close(&usher);
}

static void all_else_ends_the_connection(void **state _unused_)
{
	char name[] = "/var/tmp/test-usher-XXXXXX";
	int bad[12], n = 0, ends[2], pair[2], good = eventfd(0, 0);
	struct blocker blocker;

	assert_return_code(pipe(ends), errno);
	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), errno);
	bad[n++] = ends[0];
	bad[n++] = ends[1];
	bad[n++] = pair[0];
	bad[n++] = open("/dev/null", O_RDWR);
	bad[n++] = open("/proc/self/maps", O_RDONLY);
	bad[n++] = open("/", O_PATH);
	bad[n++] = mkstemp(name); /* on a disk, or on what lies over one */
	unlink(name);
	bad[n++] = blocker_new(&blocker);
	for (int i = 0; i < n; i++) {
		struct usher usher;
		int both[2] = {good, bad[i]}, theirs;

		assert_return_code(bad[i], errno);
		theirs = connect_with(&usher, both, 2);
		assert_ended(&usher, theirs, USHER_UNFIT);
	}
	blocker_end(&blocker);
	close(good);
	close(pair[1]);
}

static void too_many_end_the_connection(void **state _unused_)
{
	static const unsigned counts[] = {9, 16};
	int fds[16];

	for (unsigned i = 0; i < 16; i++)
		fds[i] = eventfd(0, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
		struct usher usher;
		int theirs = connect_as(&usher, "vm1");

		assert_int_equal(fd_send(theirs, "x", 1, fds, counts[i]), 0);
		assert_ended(&usher, theirs, USHER_TOO_MANY);
	}
	for (unsigned i = 0; i < 16; i++)
		close(fds[i]);
}

/* What is left unread in a connection, or in a listener's queue, is nobody's time here either. */
static void what_was_not_read_is_not_closed_here(void **state _unused_)
{
	struct usher usher;
	struct blocker blocker;
	int bad = blocker_new(&blocker), theirs = connect_with(&usher, &bad, 1);

	usher_close(&usher);
	close(theirs);
	blocker_end(&blocker);
}

struct mute {
	char folder[32];
	pid_t pid;
	int in;
};

static bool mute_begin(struct mute *m)
{
	int in[2], out[2];
	char line[32] = "";
	ssize_t n;

	strcpy(m->folder, "/tmp/test-usher-XXXXXX");
	assert_non_null(mkdtemp(m->folder));
	assert_return_code(pipe2(in, O_CLOEXEC), errno);
	assert_return_code(pipe2(out, O_CLOEXEC), errno);
	m->pid = fork();
	if (m->pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		execl(mute_fuse, mute_fuse, m->folder, NULL);
		_exit(1);
	}
	close(in[0]);
	close(out[1]);
	m->in = in[1];
	n = read(out[0], line, sizeof(line) - 1);
	close(out[0]);
	return n > 0 && !strncmp(line, "ready", 5);
}

static void mute_end(struct mute *m)
{
	close(m->in);
	waitpid(m->pid, NULL, 0);
	rmdir(m->folder);
}

/* Send a file of the mute file system. Whoever has it can't close it: a child, which waits for that. */
static pid_t give_mute_file(const struct mute *m, int to)
{
	char path[64];
	pid_t pid = fork();

	if (pid == 0) {
		int fd;

		close(m->in);
		snprintf(path, sizeof(path), "%s/file", m->folder);
		fd = open(path, O_RDWR);
		_exit(fd < 0 || fd_send(to, "x", 1, &fd, 1) < 0);
	}
	return pid;
}

static void a_file_that_nobody_can_close(void **state _unused_)
{
	pid_t givers[USHERS_A_NAME + 1];
	struct usher usher;
	struct mute m;
	int theirs, status;

	if (!mute_begin(&m)) {
		mute_end(&m);
		print_message("no FUSE can be mounted here\n");
		skip();
	}
	for (unsigned i = 0; i < USHERS_A_NAME; i++) {
		theirs = connect_as(&usher, "vm1");
		givers[i] = give_mute_file(&m, theirs);
		assert_ended(&usher, theirs, USHER_UNFIT);
	}
	/* Its own name has to wait for them; others do not. */
	theirs = connect_as(&usher, "vm1");
	assert_ended(&usher, theirs, USHER_BUSY);
	theirs = connect_as(&usher, "vm2");
	assert_int_equal(write(theirs, "hello", 5), 5);
	assert_text(usher.line, "hello");
	usher_close(&usher);
	close(theirs);
	/* As does whoever closes what was never taken. */
	theirs = connect_as(&usher, "vm1");
	givers[USHERS_A_NAME] = give_mute_file(&m, theirs);
	assert_ended(&usher, theirs, USHER_BUSY);

	mute_end(&m);
	for (unsigned i = 0; i <= USHERS_A_NAME; i++)
		waitpid(givers[i], &status, 0);
	for (;;) {
		char byte;

		theirs = connect_as(&usher, "vm1");
		assert_int_equal(write(theirs, "x", 1), 1);
		wait_for(usher.line, POLLIN);
		if (recv(usher.line, &byte, 1, MSG_DONTWAIT) == 1)
			break;
		assert_ended(&usher, theirs, USHER_BUSY);
	}
	usher_close(&usher);
	close(theirs);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_pass_both_ways),
		cmocka_unit_test(eventfds_and_memory_pass),
		cmocka_unit_test(all_else_ends_the_connection),
		cmocka_unit_test(too_many_end_the_connection),
		cmocka_unit_test(what_was_not_read_is_not_closed_here),
		cmocka_unit_test(a_file_that_nobody_can_close),
	};

	if (argc != 2)
		return 2;
	mute_fuse = argv[1];
	signal(SIGPIPE, SIG_IGN);
	if (strangers_start(NULL) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
