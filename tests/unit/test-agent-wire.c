/* SPDX-License-Identifier: BSD-2-Clause */
/* The agent's lines: each verb both ways, what is no line, and a peer that says too much. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/agent_line.h"
#include "protocol/agent_wire.h"
#include "base/mem.h"
#include "vhost_user_net/net_rules.h"

enum { GUEST = 1, DAEMON = 2, BOTH = 3 };

/* Lines that are read and, written again, are the same. */
static const struct {
	const char *line;
	unsigned from;
} good[] = {
	{"HELLO 1 0.1.0 hs=8 ss=8", GUEST},
	{"HELLO 9999 0.1~rc1+2 hs=0 ss=4096", GUEST},
	{"HELLO 1 0.1.0 hs=8 ss=8 boot=0123456789abcdef", GUEST},
	{"PORTS hs=7 ss=8", GUEST},
	{"TRYING 1-1.2", GUEST},
	{"HAS 1-1.2 3", GUEST},
	{"FAILED 1-1.2 no free port", GUEST},
	{"FAILED 1-1.2 ", GUEST},
	{"GONE 1-1.2", GUEST},
	{"LETGO 1-1.2", GUEST},
	{"SLEEP", GUEST},
	{"AWAKE", GUEST},
	{"WELCOME 1 vm1 0.1.0", DAEMON},
	{"WELCOME 1 vm1 0.1.0 let-go", DAEMON},
	{"REFUSED speak plainly", DAEMON},
	{"ROUTE 1-1.2 low 0001000a free keyboard", DAEMON},
	{"ROUTE 1-1 full ffffffff held -", DAEMON},
	{"ROUTE 1-1 high 00010002 free -", DAEMON},
	{"ROUTE 2-1 super 00020002 free 1234567890123456789012345678901", DAEMON},
	{"UNROUTE 1-1.2", DAEMON},
	{"SYNCED", DAEMON},
	{"PING", BOTH},
	{"PONG", BOTH},
};

static void test_good(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct agent_message m;
		char again[AGENT_LINE_MAX + 1];
		size_t len = strlen(good[i].line), n;

		for (unsigned from = GUEST; from <= DAEMON; from++)
			assert_int_equal(agent_wire_parse(good[i].line, len, from == GUEST, &m),
					 good[i].from & from ? 0 : -EPROTO);
		assert_int_equal(agent_wire_parse(good[i].line, len, good[i].from & GUEST, &m), 0);
		n = agent_wire_format(again, sizeof(again), &m);
		assert_int_equal(n, len + 1);
		assert_memory_equal(again, good[i].line, len);
		assert_int_equal(again[len], '\n');
	}
}

static void test_bad(void **state)
{
	static const char *const bad[] = {
		"HELLO",
		"HELLO 1",
		"HELLO 1 0.1.0 hs=8",
		"HELLO x 0.1.0 hs=8 ss=8",
		"HELLO 10000 0.1.0 hs=8 ss=8",
		"HELLO 1 0.1.0 ss=8 hs=8",
		"HELLO 1 0.1.0 hs= ss=8",
		"HELLO 1 0.1.0 hs=4097 ss=8",
		"HELLO 1 0.1.0 hs=-1 ss=8",
		"HELLO 1 0/1 hs=8 ss=8",
		"PORTS hs=7 ss=8 more",
		"TRYING",
		"TRYING ",
		"TRYING ../../x",
		"TRYING ..",
		"TRYING .",
		"TRYING 12345678901234567890123456789012",
		"HAS 1-1",
		"HAS 1-1 4097",
		"HAS 1-1 99999999999999",
		"HAS  1-1 1",
		"GONE 1-1 1",
		"LETGO",
		"LETGO 1-1 by hand",
		"SLEEP 1",
		"AWAKE 1",
		"FAILED",
		"FAILED 1-1 \x7f",
		"PING 1",
		"GONE 1-1\r",
	};
	static const char *const bad_daemon[] = {
		"WELCOME 1",
		"WELCOME 1 v.m 0.1.0",
		"ROUTE 1-1 fast 00010002 free -",
		"ROUTE 1-1 high 10002 free -",
		"ROUTE 1-1 high 0001000G free -",
		"ROUTE 1-1 high 00010002 gone -",
		"ROUTE 1-1 high 00010002 free",
		"ROUTE 1-1 high 00010002 free a/b",
		"ROUTE 1-1 high 00010002 free a b",
		"SYNCED 1",
	};
	struct agent_message m;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (agent_wire_parse(bad[i], strlen(bad[i]), true, &m) != -EPROTO)
			fail_msg("taken: %s", bad[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad_daemon); i++)
		if (agent_wire_parse(bad_daemon[i], strlen(bad_daemon[i]), false, &m) != -EPROTO)
			fail_msg("taken: %s", bad_daemon[i]);
}

static void test_unknown(void **state)
{
	static const char *const unknown[] = {"", "hello 1", "HELLOO", "SUSPEND 1-1 now"};
	struct agent_message m;

	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
		assert_int_equal(agent_wire_parse(unknown[i], strlen(unknown[i]), true, &m),
				 AGENT_WIRE_UNKNOWN);
}

/* What a later version adds to the greeting does not keep the two from comparing versions. */
static void test_greeting_grows(void **state)
{
	static const char hello[] = "HELLO 2 1.0 hs=8 ss=8 streams=yes";
	struct agent_message m;

	assert_int_equal(agent_wire_parse(hello, strlen(hello), true, &m), 0);
	assert_int_equal(m.protocol, 2);
}

static void test_long_text(void **state)
{
	char line[AGENT_LINE_MAX + 1], again[AGENT_LINE_MAX + 1];
	struct agent_message m;

	memset(line, 'x', sizeof(line));
	memcpy(line, "FAILED 1-1 ", 11);
	assert_int_equal(agent_wire_parse(line, AGENT_LINE_MAX, true, &m), -EPROTO);
	assert_int_equal(agent_wire_parse(line, AGENT_LINE_MAX - 1, true, &m), 0);
	assert_int_equal(strlen(m.text), AGENT_TEXT_SIZE - 1);
	/* What is written never holds what would not be read. */
	m.text[3] = '\n';
	m.text[4] = (char)0xc3;
	assert_true(agent_wire_format(again, sizeof(again), &m) > 0);
	assert_non_null(strstr(again, "xxx??xxx"));
	assert_int_equal(agent_wire_format(again, 10, &m), 0);
}

/* ------------------------------------------------------------- a connection */

static void pair_of(struct agent_line *line, int *ret_peer)
{
	int pair[2], size = 4096;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	agent_line_init(line, pair[0], true);
	*ret_peer = pair[1];
}

static void put(int peer, const char *text)
{
	assert_int_equal(send(peer, text, strlen(text), 0), (ssize_t)strlen(text));
}

static void test_line_in_pieces(void **state)
{
	_cleanup_free_ struct agent_line *line = malloc(sizeof(*line));
	struct agent_message m;
	int peer;

	pair_of(line, &peer);
	assert_int_equal(agent_line_next(line, &m), AGENT_LINE_MORE);
	put(peer, "PI");
	assert_int_equal(agent_line_next(line, &m), AGENT_LINE_MORE);
	put(peer, "NG\nNEWS of a later version\nGONE 1-1\nGO");
	assert_int_equal(agent_line_next(line, &m), 0);
	assert_int_equal(m.verb, AGENT_PING);
	assert_int_equal(agent_line_next(line, &m), 0);
	assert_int_equal(m.verb, AGENT_VERBS);
	assert_int_equal(agent_line_next(line, &m), 0);
	assert_int_equal(m.verb, AGENT_GONE);
	assert_int_equal(agent_line_next(line, &m), AGENT_LINE_MORE);
	close(peer);
	assert_int_equal(agent_line_next(line, &m), -EPIPE);
	assert_int_equal(agent_line_next(line, &m), -EPIPE);
	agent_line_deinit(line);
}

static void test_line_without_end(void **state)
{
	_cleanup_free_ struct agent_line *line = malloc(sizeof(*line));
	char text[AGENT_LINE_MAX + 2];
	struct agent_message m;
	int peer;

	pair_of(line, &peer);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	put(peer, text);
	assert_int_equal(agent_line_next(line, &m), -EPROTO);
	agent_line_deinit(line);
	close(peer);
}

/* A peer that does not read is cut off once it has been told more than there ever is to tell. */
static void test_peer_does_not_read(void **state)
{
	_cleanup_free_ struct agent_line *line = malloc(sizeof(*line));
	struct agent_message m = {.verb = AGENT_UNROUTE, .busid = "1-1"};
	char heard[8192];
	size_t said = 0, got = 0;
	ssize_t n;
	int peer, r;

	pair_of(line, &peer);
	while ((r = agent_line_say(line, &m)) == 0 && said < 1u << 24)
		said += strlen("UNROUTE 1-1\n");
	assert_int_equal(r, -ENOBUFS);
	assert_true(said > AGENT_LINE_OUT);
	agent_line_deinit(line);
	close(peer);

	/* One that reads late misses nothing. */
	pair_of(line, &peer);
	said = 0;
	for (unsigned more = 0; more < 1000; more += agent_line_pending(line)) {
		assert_int_equal(agent_line_say(line, &m), 0);
		said += strlen("UNROUTE 1-1\n");
	}
	while ((n = recv(peer, heard, sizeof(heard), MSG_DONTWAIT)) > 0 ||
	       agent_line_pending(line)) {
		got += n > 0 ? (size_t)n : 0;
		assert_int_equal(agent_line_flush(line), 0);
	}
	assert_int_equal(got, said);
	agent_line_deinit(line);
	close(peer);
}

/* The guest's side knows the daemon's card without seeing the room that makes it. */
static void test_mac(void **state)
{
	static const uint8_t mac[6] = AGENT_DAEMON_MAC;

	assert_memory_equal(mac, net_daemon_mac, sizeof(mac));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_greeting_grows),
		cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_line_in_pieces),
		cmocka_unit_test(test_line_without_end),
		cmocka_unit_test(test_peer_does_not_read),
		cmocka_unit_test(test_mac),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
