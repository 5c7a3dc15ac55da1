/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Strangers' sockets, on a pair that takes descriptors on every kernel. The stranger's descriptor is a TCP
 * socket whose last close blocks for ever: where this program closed it, the test would not end.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/stranger.h"
#include "tests/unit/blocker.h"

struct pair {
	int ours, theirs;
};

static struct pair pair_new(void)
{
	int s[2];

	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s), errno);
	return (struct pair){s[0], s[1]};
}

static void say(int sock, const char *text)
{
	assert_int_equal(write(sock, text, strlen(text)), strlen(text));
}

static void give(int sock, const char *text, struct blocker *b)
{
	int fd = blocker_new(b);

	assert_int_equal(fd_send(sock, text, strlen(text), &fd, 1), 0);
	close(fd); /* the queue's is the last one now */
}

static void bytes_come(void **state)
{
	struct pair p = pair_new();
	char buf[8];

	assert_int_equal(stranger_receive(p.ours, buf, sizeof(buf)), -EAGAIN);
	say(p.theirs, "0123456789");
	assert_int_equal(stranger_receive(p.ours, buf, sizeof(buf)), 8);
	assert_memory_equal(buf, "01234567", 8);
	assert_int_equal(stranger_receive(p.ours, buf, sizeof(buf)), 2);
	close(p.theirs);
	assert_int_equal(stranger_receive(p.ours, buf, sizeof(buf)), 0);
	assert_int_equal(stranger_close(p.ours), -1);
	assert_int_equal(stranger_close(-1), -1);
}

static void a_descriptor_is_told_and_left(void **state)
{
	struct pair p = pair_new();
	struct blocker b;
	char buf[64];

	give(p.theirs, "call", &b);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(stranger_receive(p.ours, buf, sizeof(buf)), -EBADMSG);
	assert_int_equal(stranger_close(p.ours), -1);
	/* Our end has gone all the same. */
	while (write(p.theirs, "x", 1) >= 0)
		usleep(1000);
	assert_int_equal(errno, EPIPE);
	blocker_end(&b);
	close(p.theirs);
}

static void a_descriptor_behind_bytes(void **state)
{
	struct pair p = pair_new();
	struct blocker b;
	char buf[4];

	say(p.theirs, "abcdef");
	assert_int_equal(stranger_receive(p.ours, buf, sizeof(buf)), 4);
	give(p.theirs, "g", &b);
	assert_int_equal(stranger_receive(p.ours, buf, sizeof(buf)), -EBADMSG);
	stranger_close(p.ours);
	blocker_end(&b);
	close(p.theirs);
}

static void a_queue_that_nobody_has_read(void **state)
{
	struct pair p = pair_new();
	struct blocker b[3];

	say(p.theirs, "first");
	for (unsigned i = 0; i < 3; i++)
		give(p.theirs, "later", &b[i]);
	close(p.theirs);
	stranger_close(p.ours);
	for (unsigned i = 0; i < 3; i++)
		blocker_end(&b[i]);
}

/* More than are closed at a time: the oldest is cut short, and nobody waits. */
static void many(void **state)
{
	enum { MANY = 80 };
	static struct blocker b[MANY];

	for (unsigned i = 0; i < MANY; i++) {
		struct pair p = pair_new();

		give(p.theirs, "x", &b[i]);
		close(p.theirs);
		stranger_close(p.ours);
	}
	for (unsigned i = 0; i < MANY; i++)
		blocker_end(&b[i]);
}

static void not_yet_accepted(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int theirs = socket(AF_UNIX, SOCK_STREAM, 0);
	socklen_t len = sizeof(address);
	struct blocker b;

	assert_return_code(bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)), errno);
	assert_return_code(listen(listener, 4), errno);
	assert_return_code(getsockname(listener, (struct sockaddr *)&address, &len), errno);
	assert_return_code(connect(theirs, (struct sockaddr *)&address, len), errno);
	give(theirs, "x", &b);
	close(theirs);
	assert_int_equal(stranger_listener_close(listener), -1);
	blocker_end(&b);
}

static void a_listener_refuses_where_it_can(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int theirs = socket(AF_UNIX, SOCK_STREAM, 0), zero = open("/dev/zero", O_RDONLY), sock, r;
	socklen_t len = sizeof(address);
	char buf[4];

	assert_return_code(bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)), errno);
	assert_return_code(listen(listener, 4), errno);
	stranger_listener(listener);
	assert_return_code(getsockname(listener, (struct sockaddr *)&address, &len), errno);
	assert_return_code(connect(theirs, (struct sockaddr *)&address, len), errno);
	sock = stranger_accept(listener);
	assert_return_code(sock, errno);
	assert_int_equal(stranger_accept(listener), -EAGAIN);
	r = fd_send(theirs, "x", 1, &zero, 1);
	assert_true(r == 0 || r == -EPERM);
	assert_int_equal(stranger_receive(sock, buf, sizeof(buf)), r == 0 ? -EBADMSG : -EAGAIN);
	stranger_close(sock);
	stranger_listener_close(listener);
	close(theirs);
	close(zero);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_come),
		cmocka_unit_test(a_descriptor_is_told_and_left),
		cmocka_unit_test(a_descriptor_behind_bytes),
		cmocka_unit_test(a_queue_that_nobody_has_read),
		cmocka_unit_test(many),
		cmocka_unit_test(not_yet_accepted),
		cmocka_unit_test(a_listener_refuses_where_it_can),
	};

	signal(SIGPIPE, SIG_IGN);
	if (strangers_start(NULL) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
