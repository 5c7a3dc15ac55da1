/* SPDX-License-Identifier: BSD-2-Clause */
/* Eventfds of somebody else's, on this machine's kernel. A bell that waits would end no test. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/bell.h"
#include "base/mem.h"

static struct bell bell;

static int set_up(void **state _unused_)
{
	return bell_init(&bell);
}

static int tear_down(void **state _unused_)
{
	bell_deinit(&bell);
	return 0;
}

static uint64_t counter(int fd)
{
	eventfd_t x = 0;

	return eventfd_read(fd, &x) < 0 ? 0 : x;
}

static void rings_what_it_is_attached_to(void **state _unused_)
{
	int a = eventfd(0, EFD_NONBLOCK), b = eventfd(0, EFD_NONBLOCK);

	bell_ring(&bell);
	assert_int_equal(bell_attach(&bell, a), 0);
	assert_int_equal(counter(a), 0);
	bell_ring(&bell);
	assert_int_equal(counter(a), 1);
	for (unsigned i = 0; i < 1000; i++)
		bell_ring(&bell);
	assert_int_equal(counter(a), 1000);

	assert_int_equal(bell_attach(&bell, b), 0);
	bell_ring(&bell);
	assert_int_equal(counter(a), 0);
	assert_int_equal(counter(b), 1);
	bell_detach(&bell);
	bell_ring(&bell);
	assert_int_equal(counter(b), 0);
	close(a);
	close(b);
}

static void a_full_counter_is_not_waited_for(void **state _unused_)
{
	int fd = eventfd(0, 0), other;

	other = dup(fd);
	assert_int_equal(bell_attach(&bell, fd), 0);
	close(fd); /* the bell keeps what it needs */
	assert_return_code(eventfd_write(other, UINT64_MAX - 1), errno);
	for (unsigned i = 0; i < 3; i++)
		bell_ring(&bell);
	assert_true(counter(other) >= UINT64_MAX - 1);
	bell_ring(&bell);
	assert_int_equal(counter(other), 1);
	close(other);
}

static void nothing_else_fits(void **state _unused_)
{
	char name[] = "/tmp/test-bell-XXXXXX";
	int fds[16], n = 0, good = eventfd(0, 0), pair[2], ends[2];
	sigset_t none;

	sigemptyset(&none);
	assert_return_code(pipe(ends), errno);
	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), errno);
	fds[n++] = ends[0];
	fds[n++] = ends[1];
	fds[n++] = pair[0];
	fds[n++] = pair[1];
	fds[n++] = socket(AF_INET, SOCK_STREAM, 0);
	fds[n++] = epoll_create1(0);
	fds[n++] = timerfd_create(CLOCK_MONOTONIC, 0);
	fds[n++] = signalfd(-1, &none, 0);
	fds[n++] = memfd_create("test", 0);
	fds[n++] = open("/dev/null", O_RDWR);
	fds[n++] = open("/", O_PATH);
	fds[n++] = mkstemp(name);
	unlink(name);
	for (int i = 0; i < n; i++) {
		assert_return_code(fds[i], errno);
		if (bell_attach(&bell, fds[i]) == 0 || bell_fits(&bell, fds[i]) == 0)
			fail_msg("descriptor %d of the list", i);
		bell_ring(&bell);
		close(fds[i]);
	}
	assert_int_equal(bell_fits(&bell, good), 0);
	bell_ring(&bell);
	assert_int_equal(fcntl(good, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(counter(good), 0);
	close(good);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rings_what_it_is_attached_to, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_full_counter_is_not_waited_for, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(nothing_else_fits, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
