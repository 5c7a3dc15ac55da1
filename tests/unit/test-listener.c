/* SPDX-License-Identifier: BSD-2-Clause */
/* A listening socket in a loop: what happens when there is no descriptor left for a connection. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/listener.h"

struct rig {
	struct loop *loop;
	struct listener listener;
	int fd, client;
	unsigned calls, accepted;
	struct rlimit limit;
};

static void on_connection(void *ctx, int res _unused_)
{
	struct rig *g = ctx;
	int sock = listener_accept(&g->listener, "the test");

	g->calls++;
	g->accepted += sock >= 0;
	fd_close(sock);
}

static int set_up(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(address.sun_family);

	/* The kernel gives it a name of its own, in no folder. */
	g->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(g->fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(g->fd, 4), 0);
	len = sizeof(address);
	assert_int_equal(getsockname(g->fd, (struct sockaddr *)&address, &len), 0);
	assert_int_equal(loop_new(&g->loop), 0);
	assert_int_equal(listener_start(&g->listener, g->loop, g->fd, on_connection, g), 0);
	g->client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(g->client, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &g->limit), 0);
	*state = g;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *g = *state;

	setrlimit(RLIMIT_NOFILE, &g->limit);
	listener_stop(&g->listener);
	loop_free(g->loop);
	fd_close(g->fd);
	fd_close(g->client);
	free(g);
	return 0;
}

/* No descriptor can be had any more. */
static void use_up(struct rig *g)
{
	int next = dup(g->fd);
	struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = g->limit.rlim_max};

	assert_true(next >= 0);
	close(next);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
}

static void a_connection_is_accepted(void **state)
{
	struct rig *g = *state;

	while (!g->accepted)
		loop_turn(g->loop, true);
	assert_int_equal(g->calls, 1);
}

static void without_descriptors_it_waits_and_does_not_spin(void **state)
{
	struct rig *g = *state;

	use_up(g);
	while (!g->calls)
		loop_turn(g->loop, true);
	assert_int_equal(g->accepted, 0);
	/* The connection is still there, and each turn would be a call. */
	for (unsigned i = 0; i < 10000; i++)
		loop_turn(g->loop, false);
	assert_true(g->calls < 1000);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &g->limit), 0);
	while (!g->accepted)
		loop_turn(g->loop, true);
}

static void it_stops_while_it_waits(void **state)
{
	struct rig *g = *state;

	use_up(g);
	while (!g->calls)
		loop_turn(g->loop, true);
	listener_stop(&g->listener);
	setrlimit(RLIMIT_NOFILE, &g->limit);
	g->calls = 0;
	for (unsigned i = 0; i < 100; i++)
		loop_turn(g->loop, false);
	assert_int_equal(g->calls, 0);
	assert_int_equal(listener_start(&g->listener, g->loop, g->fd, on_connection, g), 0);
	while (!g->accepted)
		loop_turn(g->loop, true);
}

#define L(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		L(a_connection_is_accepted),
		L(without_descriptors_it_waits_and_does_not_spin),
		L(it_stops_while_it_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
