/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon's end of the line to its broker: answers, and one for which there is no descriptor. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "daemon/broker/broker_line.h"

static unsigned n_answers, n_lost;
static int answered, node;
static char said[160];

static void on_answer(struct broker_request *req, int r, int *fds, const char *text)
{
	assert_non_null(req);
	n_answers++;
	answered = r;
	node = fds[0];
	snprintf(said, sizeof(said), "%s", text);
}

static void on_lost(void *ctx _unused_)
{
	n_lost++;
}

/* Asks for a node, and answers as the broker does. */
static void ask_and_answer(struct broker *broker, struct broker_request *req, int theirs)
{
	struct broker_device device = {.busid = "1-1", .busnum = 1, .devnum = 2};
	struct helper_answer answer = {0};
	struct broker_ask ask;
	_cleanup_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_int_equal(broker_open(broker, req, &device, on_answer), 0);
	assert_int_equal(recv(theirs, &ask, sizeof(ask), 0), sizeof(ask));
	answer.id = ask.id;
	assert_int_equal(fd_send(theirs, &answer, sizeof(answer), &fd, 1), 0);
}

/* It is an error of that request; the line, and all else, go on. */
static void test_no_descriptor_is_left(void **state _unused_)
{
	struct broker_request req = {0};
	struct broker *broker;
	struct rlimit all, none;
	struct loop *loop;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(broker_new(&broker, loop, pair[0], on_lost, NULL), 0);

	ask_and_answer(broker, &req, pair[1]);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	none = all;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	while (!n_answers && !n_lost)
		assert_true(loop_turn(loop, true) >= 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	assert_int_equal(n_lost, 0);
	assert_int_equal(answered, -EMFILE);
	assert_int_equal(node, -1);
	assert_string_not_equal(said, "");

	ask_and_answer(broker, &req, pair[1]);
	while (n_answers < 2 && !n_lost)
		assert_true(loop_turn(loop, true) >= 0);
	assert_int_equal(answered, 0);
	assert_true(node >= 0);
	fd_close(node);

	fd_close(pair[1]);
	while (!n_lost)
		assert_true(loop_turn(loop, true) >= 0);
	broker_free(broker);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_descriptor_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
