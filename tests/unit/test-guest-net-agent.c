/* SPDX-License-Identifier: BSD-2-Clause */
/* The agent's connection: relayed both ways, beyond the card's comings and goings, and beyond control's. */
#include <poll.h>
#include <string.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/agent_wire.h"
#include "base/stranger.h"
#include "dataplane/agent_relay.h"
#include "tests/unit/guest-net-rig.h"

static int let_in(struct rig *rig)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	guest_agent(rig->guest, ++rig->last_agent, pair[1]);
	return pair[0];
}

/* Control closes the connection that it was given last. */
static void ends(struct rig *rig, int sock)
{
	close(sock);
	guest_agent_end(rig->guest, rig->last_agent);
}

static void control_reads(struct rig *rig, int sock, const char *text)
{
	char buf[5000];
	size_t have = 0;

	for (unsigned ms = 0; have < strlen(text); ms++) {
		ssize_t n = recv(sock, buf + have, sizeof(buf) - have, MSG_DONTWAIT);

		assert_true(n != 0 && ms < PATIENCE_MS);
		if (n > 0)
			have += (size_t)n;
		else
			poll(NULL, 0, 1);
	}
	assert_int_equal(have, strlen(text));
	assert_memory_equal(buf, text, have);
}

static void control_reads_the_end(int sock)
{
	struct pollfd wait = {.fd = sock, .events = POLLIN};
	char byte;

	assert_int_equal(poll(&wait, 1, PATIENCE_MS), 1);
	assert_int_equal(recv(sock, &byte, 1, MSG_DONTWAIT), 0);
}

static void the_agent_is_relayed_both_ways(void **state)
{
	struct rig *rig = *state;
	struct end e = connects(rig, 40000, AGENT_PORT), other;
	struct seen s;
	int sock;

	/* It speaks before it is let in; who comes second waits for the first. */
	sends(rig, &e, "HELLO\n", 6);
	until(rig, &rig->agents, 1);
	other = connects(rig, 40001, AGENT_PORT);
	sends(rig, &e, "MORE\n", 5);
	assert_int_equal(rig->agents, 1);
	sock = let_in(rig);
	control_reads(rig, sock, "HELLO\nMORE\n");
	until(rig, &rig->agents, 2);
	/* Refused: no more is said, and no more heard. */
	ends(rig, let_in(rig));
	assert_true(hears(rig, &other).flags & (TCP_FIN | TCP_RST));

	assert_int_equal(send(sock, "WELCOME\n", 8, 0), 8);
	s = hears(rig, &e);
	assert_int_equal(s.len, 8);
	assert_memory_equal(s.data, "WELCOME\n", 8);
	sends(rig, &e, "HAS\n", 4);
	control_reads(rig, sock, "HAS\n");
	/* Control closes: what it said goes before the end. */
	assert_int_equal(send(sock, "BYE\n", 4, 0), 4);
	close(sock);
	guest_agent_end(rig->guest, 1);
	s = hears(rig, &e);
	assert_memory_equal(s.data, "BYE\n", 4);
	if (!(s.flags & TCP_FIN)) {
		says(rig, &e, TCP_ACK, NULL, 0);
		assert_true(hears(rig, &e).flags & TCP_FIN);
	}
	says(rig, &e, TCP_ACK | TCP_FIN, NULL, 0);
	/* And the guest. */
	e = connects(rig, 40002, AGENT_PORT);
	until(rig, &rig->agents, 3);
	sock = let_in(rig);
	says(rig, &e, TCP_ACK | TCP_FIN, NULL, 0);
	control_reads_the_end(sock);
	ends(rig, sock);
	assert_true(hears(rig, &e).flags & TCP_FIN);
}

/* A guest that was stopped for a while has its agent's connection yet. */
static void the_agents_connection_outlives_the_card(void **state)
{
	struct rig *rig = *state;
	struct end e = connects(rig, 40000, AGENT_PORT);
	uint32_t base[VIRTIO_NET_RINGS];
	struct seen s;
	int sock;

	until(rig, &rig->agents, 1);
	sock = let_in(rig);
	sends(rig, &e, "HELLO\n", 6);
	control_reads(rig, sock, "HELLO\n");
	stops(rig, base);
	assert_int_equal(send(sock, "PING\n", 5, 0), 5);
	goes_on(rig, base);
	s = hears(rig, &e);
	assert_memory_equal(s.data, "PING\n", 5);
	/* Another guest has not, nor one that went back in time. */
	fe_close(&rig->fe);
	control_reads_the_end(sock);
	close(sock);
	boots(rig);
}

static void speaks(struct rig *rig, struct end *e, const char *text)
{
	sends(rig, e, text, strlen(text));
}

/* No word of control's, and no end, reaches the guest. */
static void hears_nothing(struct rig *rig)
{
	struct seen s;

	for (unsigned i = 0; i < 3; i++)
		if (comes(rig, &s, 50))
			assert_false(s.len || s.flags & (TCP_FIN | TCP_RST));
}

static void says_to_guest(struct rig *rig, int sock, struct end *e, const char *text,
			  const char *heard)
{
	struct seen s;

	assert_int_equal(send(sock, text, strlen(text), 0), strlen(text));
	s = hears(rig, e);
	assert_int_equal(s.len, strlen(heard));
	assert_memory_equal(s.data, heard, s.len);
	says(rig, e, TCP_ACK, NULL, 0);
}

/* Control dies again and again; to each the agent is introduced by its HELLO. */
static void the_agents_connection_outlives_control(void **state)
{
	struct rig *rig = *state;
	struct end e = connects(rig, 40000, AGENT_PORT);
	int sock;

	until(rig, &rig->agents, 1);
	speaks(rig, &e, "HELLO 1 x");
	sock = let_in(rig);
	speaks(rig, &e, " boot\nHAS 1-1 0\n");
	control_reads(rig, sock, "HELLO 1 x boot\nHAS 1-1 0\n");
	for (unsigned i = 0; i < 3; i++) {
		/* Of what control says the guest hears whole lines. */
		says_to_guest(rig, sock, &e, "WELCOME\nSYNC", "WELCOME\n");
		/* And of what the guest says half a line is with the control that dies. */
		speaks(rig, &e, "PING\nGO");
		control_reads(rig, sock, "PING\nGO");
		close(sock);
		hears_nothing(rig);
		assert_int_equal(rig->agents, 1 + i);
		speaks(rig, &e, "NE 1-1\nTRYING 2-1\nFAI");
		guest_agents_left(rig->guest);
		until(rig, &rig->agents, 2 + i);
		/* An end that was meant for the one before is nobody's. */
		guest_agent_end(rig->guest, rig->last_agent);
		speaks(rig, &e, "LED 2-1 no\n");
		sock = let_in(rig);
		control_reads(rig, sock, "HELLO 1 x boot\nTRYING 2-1\nFAILED 2-1 no\n");
	}
	says_to_guest(rig, sock, &e, "PONG\n", "PONG\n");
	/* One that hangs is not waited for; and half a line may have no end until the next one is there. */
	speaks(rig, &e, "HA");
	control_reads(rig, sock, "HA");
	guest_agents_left(rig->guest);
	until(rig, &rig->agents, 5);
	control_reads_the_end(sock);
	close(sock);
	sock = let_in(rig);
	control_reads(rig, sock, "HELLO 1 x boot\n");
	speaks(rig, &e, "S 1-1 0\nGONE 1-1\n");
	control_reads(rig, sock, "GONE 1-1\n");
	/* It ends by word: before the socket does, or after. */
	ends(rig, sock);
	assert_true(hears(rig, &e).flags & TCP_FIN);
}

/* Control says that a connection ends, and dies before it has closed it. */
static void an_end_that_was_said_holds(void **state)
{
	struct rig *rig = *state;
	struct end e = connects(rig, 40000, AGENT_PORT);
	int sock;

	speaks(rig, &e, "HELLO\n");
	until(rig, &rig->agents, 1);
	sock = let_in(rig);
	control_reads(rig, sock, "HELLO\n");
	guest_agent_end(rig->guest, rig->last_agent);
	guest_agents_left(rig->guest);
	assert_true(hears(rig, &e).flags & TCP_FIN);
	control_reads_the_end(sock);
	close(sock);
	assert_int_equal(rig->agents, 1);
}

/* … also for what the guest has not made room for yet. */
static void an_end_that_was_said_holds_for_every_line(void **state)
{
	static char line[1000];
	struct rig *rig = *state;
	struct end e = connects(rig, 40000, AGENT_PORT);
	size_t got = 0;
	struct seen s;
	int sock;

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	speaks(rig, &e, "HELLO\n");
	until(rig, &rig->agents, 1);
	sock = let_in(rig);
	control_reads(rig, sock, "HELLO\n");
	/* More than the relay holds of what is not acknowledged. */
	for (unsigned i = 0; i < 2 * AGENT_RELAY_PIECES; i++)
		assert_int_equal(send(sock, line, sizeof(line), 0), sizeof(line));
	guest_agent_end(rig->guest, rig->last_agent);
	close(sock);
	guest_agents_left(rig->guest);
	do {
		s = hears(rig, &e);
		got += s.len;
		says(rig, &e, TCP_ACK, NULL, 0);
	} while (!(s.flags & (TCP_FIN | TCP_RST)));
	assert_int_equal(got, 2 * AGENT_RELAY_PIECES * sizeof(line));
	assert_true(s.flags & TCP_FIN);
}

/* Who has not said HELLO has nothing that is worth waiting for; who is not let in yet waits on. */
static void greeting_agents_without_control(void **state)
{
	struct rig *rig = *state;
	struct end silent = connects(rig, 40000, AGENT_PORT), e, gone;
	int sock;

	until(rig, &rig->agents, 1);
	sock = let_in(rig);
	speaks(rig, &silent, "HELL");
	control_reads(rig, sock, "HELL");
	e = connects(rig, 40001, AGENT_PORT);
	until(rig, &rig->agents, 2);
	gone = connects(rig, 40002, AGENT_PORT);
	speaks(rig, &gone, "HELLO\n");
	close(sock);
	guest_agents_left(rig->guest);
	assert_true(hears(rig, &silent).flags & (TCP_FIN | TCP_RST));
	/* Whoever closes is not introduced to anybody. */
	says(rig, &gone, TCP_ACK | TCP_FIN, NULL, 0);
	gone.snd++;
	assert_true(hears(rig, &gone).flags & TCP_FIN);
	speaks(rig, &e, "HELLO\n");
	sock = let_in(rig);
	control_reads(rig, sock, "HELLO\n");
	says_to_guest(rig, sock, &e, "WELCOME\n", "WELCOME\n");
	assert_int_equal(rig->agents, 2);
	close(sock);
}

/* Control dies in the middle of it, and the rest comes before that is known. */
static void a_hello_that_control_heard_half_of(void **state)
{
	struct rig *rig = *state;
	struct end e = connects(rig, 40000, AGENT_PORT);
	int sock;

	until(rig, &rig->agents, 1);
	sock = let_in(rig);
	speaks(rig, &e, "HELL");
	control_reads(rig, sock, "HELL");
	close(sock);
	hears_nothing(rig);
	speaks(rig, &e, "O 1 x\nHAS 1-1");
	/* Without a whole HELLO it would be let go of. */
	is_heard(rig, &e);
	guest_agents_left(rig->guest);
	until(rig, &rig->agents, 2);
	sock = let_in(rig);
	speaks(rig, &e, " 0\n");
	control_reads(rig, sock, "HELLO 1 x\nHAS 1-1 0\n");
	ends(rig, sock);
}

/* What an agent says to nobody is kept within a bound; the rest stays in the guest, and nothing is lost. */
static void much_is_said_without_control(void **state)
{
	static char said[40][101], all[40 * 100 + 10];
	struct rig *rig = *state;
	struct end e = connects(rig, 40000, AGENT_PORT);
	uint32_t first;
	struct seen s;
	unsigned n = 0;
	int sock;

	speaks(rig, &e, "HELLO\n");
	until(rig, &rig->agents, 1);
	sock = let_in(rig);
	control_reads(rig, sock, "HELLO\n");
	close(sock);
	guest_agents_left(rig->guest);
	until(rig, &rig->agents, 2);
	snprintf(all, sizeof(all), "HELLO\n");
	first = e.snd;
	for (unsigned i = 0; i < ARRAY_SIZE(said); i++) {
		snprintf(said[i], sizeof(said[i]), "FAILED 1-1 %088u\n", i);
		strcat(all, said[i]);
		sends(rig, &e, said[i], 100);
	}
	/* A part of it is acknowledged, and no more. */
	while (n < 1000 || comes(rig, &s, 200)) {
		assert_true(n >= 1000 || comes(rig, &s, PATIENCE_MS));
		n = s.ack - first;
	}
	assert_true(n <= AGENT_LINE_MAX + 1024);
	sock = let_in(rig);
	/* As a guest does: all that was not acknowledged, again. */
	while (n < 100 * ARRAY_SIZE(said)) {
		size_t len = min_t(size_t, 1000, 100 * ARRAY_SIZE(said) - n);

		e.snd = first + n;
		says(rig, &e, TCP_ACK | TCP_PSH, all + 6 + n, len);
		while (comes(rig, &s, 100))
			n = s.ack - first;
	}
	control_reads(rig, sock, all);
	close(sock);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(the_agent_is_relayed_both_ways),
		T(the_agents_connection_outlives_the_card),
		T(the_agents_connection_outlives_control),
		T(an_end_that_was_said_holds),
		T(an_end_that_was_said_holds_for_every_line),
		T(greeting_agents_without_control),
		T(a_hello_that_control_heard_half_of),
		T(much_is_said_without_control),
	};

	/* It closes what front-ends have sent. */
	if (strangers_start(NULL) < 0)
		return 1;
	return cmocka_run_group_tests_name("guest-net-agent", tests, NULL, NULL);
}
