/* SPDX-License-Identifier: BSD-2-Clause */
/* usbrouted-vm without control, and with one after the other. usage: test-vm-control PROGRAM */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "protocol/agent_wire.h"
#include "protocol/vm_wire.h"
#include "tests/device/vm-rig.h"
#include "tests/unit/tcp-end.h"
#include "tests/unit/vu-frontend.h"
#include "usbip/usbip_spec.h"

static union vm_wire_message next_hears(int line)
{
	union vm_wire_message m;
	struct pollfd wait = {.fd = line, .events = POLLIN};
	const char *fault;
	ssize_t n;

	memset(&m, 0, sizeof(m));
	assert_int_equal(poll(&wait, 1, SECONDS * 1000), 1);
	n = recv(line, &m, sizeof(m), 0);
	assert_true(n > 0);
	assert_int_equal(vm_wire_check(&m, (size_t)n, 0, VM_WIRE_VM, &fault), 0);
	return m;
}

/* Control goes, and the guest notices nothing; the next one hears how things stand. */
static void test_it_outlives_control(void **state)
{
	struct rig *rig = rig_new();
	struct vm_wire_hello hello = {.kind = VM_ASK_HELLO, .version = 1, .least = 1};
	union vm_wire_message m;
	struct fe fe;
	int line;

	machine_boots(rig, &fe);
	until(rig, &rig->ups, 1, "the card is up");
	rig->guest = guest_free(rig->guest);
	frame_passes(&fe);
	for (unsigned i = 0; i < 3; i++) {
		line = unix_connect(rig->next_path, SOCK_SEQPACKET);
		assert_int_equal(fd_send(line, &hello, sizeof(hello), NULL, 0), 0);
		m = next_hears(line);
		assert_int_equal(m.kind, VM_SAY_HELLO);
		assert_int_equal(m.hello.serves, 1);
		assert_int_equal(fd_send(line, &(struct vm_wire_plain){.kind = VM_ASK_HELD},
					 sizeof(struct vm_wire_plain), NULL, 0),
				 0);
		m = next_hears(line);
		assert_int_equal(m.kind, VM_SAY_CARD);
		assert_int_equal(m.card.up, 1);
		assert_int_equal(next_hears(line).kind, VM_SAY_HELD_ALL);
		frame_passes(&fe);
		if (i < 2)
			close(line);
	}
	/* The real end. */
	assert_int_equal(fd_send(line, &(struct vm_wire_plain){.kind = VM_ASK_END},
				 sizeof(struct vm_wire_plain), NULL, 0),
			 0);
	do
		m = next_hears(line);
	while (m.kind == VM_SAY_CARD || m.kind == VM_SAY_MAC_WANTED);
	assert_int_equal(m.kind, VM_SAY_ENDED);
	assert_int_equal(process_ends(rig), 0);
	close(line);
	fe_close(&fe);
	rig_free(rig);
}

/* A control that has connected and said HELLO. */
static int greets(const char *path)
{
	struct vm_wire_hello hello = {.kind = VM_ASK_HELLO, .version = 1, .least = 1};
	int line = unix_connect(path, SOCK_SEQPACKET);

	assert_int_equal(fd_send(line, &hello, sizeof(hello), NULL, 0), 0);
	assert_int_equal(next_hears(line).hello.serves, 1);
	return line;
}

/* A control that dies before its own door has the name leaves the one that it came by. */
static void test_the_door_that_control_came_by_stays(void **state)
{
	struct rig *rig = rig_new();
	struct vm_wire_start start = {.kind = VM_ASK_START, .name = "vm1", .prefix = 24};
	char doors[4][120];
	int line;

	inet_pton(AF_INET, "10.77.0.11", start.address);
	inet_pton(AF_INET, "10.77.0.1", start.daemon);
	rig->guest = guest_free(rig->guest);
	snprintf(doors[0], sizeof(doors[0]), "%s", rig->next_path);
	for (unsigned i = 1; i < 4; i++) {
		int fds[2];

		snprintf(doors[i], sizeof(doors[i]), "%s.%u", rig->next_path, i);
		/* The first two die early; the third one's door counts from then on. */
		line = greets(doors[i < 3 ? 0 : 2]);
		fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		fds[1] = unix_listen(doors[i], SOCK_SEQPACKET);
		assert_int_equal(fd_send(line, &start, sizeof(start), fds, 2), 0);
		assert_int_equal(next_hears(line).started.r, 0);
		close(fds[0]);
		close(fds[1]);
		close(line);
	}
	close(greets(doors[2]));
	close(greets(doors[3]));
	for (unsigned i = 1; i < 4; i++)
		unlink(doors[i]);
	rig_free(rig);
}

/* The next segment that says more than an acknowledgement does. */
static struct seen end_hears(struct fe *fe, struct end *e)
{
	struct seen s = {0};

	for (unsigned i = 0; i < SECONDS * 1000; i++) {
		if (end_sees(fe, &s) && (s.len || s.flags & ~TCP_ACK)) {
			e->rcv = s.seq + (uint32_t)s.len + !!(s.flags & (TCP_SYN | TCP_FIN));
			return s;
		}
		poll(NULL, 0, 1);
	}
	fail_msg("no segment came");
	return s;
}

static void reads(int sock, const char *text)
{
	struct timeval patience = {.tv_sec = SECONDS};
	char got[100];

	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(recv(sock, got, strlen(text), MSG_WAITALL), strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

/* A control that has just connected, asks what there is, and is asked for the agent's socket. */
static int asks_for_the_agent(const struct rig *rig, unsigned number, int *ret_sock)
{
	struct vm_wire_hello hello = {.kind = VM_ASK_HELLO, .version = 1, .least = 1};
	struct vm_wire_number give = {.kind = VM_ASK_AGENT, .number = number};
	int line = unix_connect(rig->next_path, SOCK_SEQPACKET), pair[2];

	assert_int_equal(fd_send(line, &hello, sizeof(hello), NULL, 0), 0);
	assert_int_equal(next_hears(line).kind, VM_SAY_HELLO);
	assert_int_equal(fd_send(line, &(struct vm_wire_plain){.kind = VM_ASK_HELD},
				 sizeof(struct vm_wire_plain), NULL, 0),
			 0);
	/* Not before it knows what there is. */
	assert_int_equal(next_hears(line).kind, VM_SAY_CARD);
	assert_int_equal(next_hears(line).kind, VM_SAY_HELD_ALL);
	assert_int_equal(next_hears(line).kind, VM_SAY_AGENT_ASKED);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(fd_send(line, &give, sizeof(give), &pair[1], 1), 0);
	close(pair[1]);
	*ret_sock = pair[0];
	return line;
}

/* A guest's client asks for a device where there is no control, and the next one is asked. */
static void test_a_client_waits_for_control(void **state)
{
	struct {
		struct op_common op;
		struct op_import_request request;
	} ask = {.op = {.version = be16_of(USBIP_VERSION), .code = be16_of(OP_REQ_IMPORT)}};
	struct end e = {.from = 40000, .to = USBIP_PORT, .snd = 1000};
	struct vm_wire_refuse refuse = {.kind = VM_ASK_REFUSE, .status = USBIP_ST_ERROR};
	struct rig *rig = rig_new();
	union vm_wire_message m;
	struct seen s;
	struct fe fe;
	int line;

	snprintf(ask.request.busid, sizeof(ask.request.busid), "1-1");
	machine_boots(rig, &fe);
	fe_rx_fill(&fe, 64, 2048);
	until(rig, &rig->ups, 1, "the card is up");
	rig->guest = guest_free(rig->guest);
	end_says(&fe, &e, TCP_SYN, NULL, 0);
	e.snd++;
	assert_int_equal(end_hears(&fe, &e).flags, TCP_SYN | TCP_ACK);
	end_says(&fe, &e, TCP_ACK | TCP_PSH, &ask, sizeof(ask));
	e.snd += sizeof(ask);
	/* One that dies before it has answered is followed by another. */
	for (unsigned i = 0; i < 3; i++) {
		line = greets(rig->next_path);
		assert_int_equal(fd_send(line, &(struct vm_wire_plain){.kind = VM_ASK_HELD},
					 sizeof(struct vm_wire_plain), NULL, 0),
				 0);
		assert_int_equal(next_hears(line).kind, VM_SAY_CARD);
		assert_int_equal(next_hears(line).kind, VM_SAY_HELD_ALL);
		/* Whose MAC it is was asked of the one that went, too. */
		do
			m = next_hears(line);
		while (m.kind == VM_SAY_MAC_WANTED);
		assert_int_equal(m.kind, VM_SAY_IMPORT_ASKED);
		assert_string_equal(m.import_asked.busid, "1-1");
		if (i < 2)
			close(line);
	}
	refuse.client = m.import_asked.client;
	assert_int_equal(fd_send(line, &refuse, sizeof(refuse), NULL, 0), 0);
	s = end_hears(&fe, &e);
	assert_int_equal(s.len, sizeof(struct op_common));
	assert_int_equal(s.data[7], USBIP_ST_ERROR);
	close(line);
	/* None comes: in the end it is refused. */
	e = (struct end){.from = 40001, .to = USBIP_PORT, .snd = 1000};
	end_says(&fe, &e, TCP_SYN, NULL, 0);
	e.snd++;
	while (end_hears(&fe, &e).to != e.from)
		;
	end_says(&fe, &e, TCP_ACK | TCP_PSH, &ask, sizeof(ask));
	e.snd += sizeof(ask);
	do
		s = end_hears(&fe, &e);
	while (s.to != e.from);
	assert_int_equal(s.len, sizeof(struct op_common));
	assert_int_equal(s.data[7], USBIP_ST_NODEV);
	fe_close(&fe);
	rig_free(rig);
}

/* Controls come and go, and the guest's agent has the same connection to all of them. */
static void test_an_agent_outlives_control(void **state)
{
	struct end e = {.from = 40000, .to = AGENT_PORT, .snd = 1000};
	struct vm_wire_number end = {.kind = VM_ASK_AGENT_END, .number = 3};
	struct rig *rig = rig_new();
	int line = -1, pair[2];
	struct seen s;
	struct fe fe;

	machine_boots(rig, &fe);
	fe_rx_fill(&fe, 64, 2048);
	until(rig, &rig->ups, 1, "the card is up");
	end_says(&fe, &e, TCP_SYN, NULL, 0);
	e.snd++;
	assert_int_equal(end_hears(&fe, &e).flags, TCP_SYN | TCP_ACK);
	end_says(&fe, &e, TCP_ACK | TCP_PSH, "HELLO 1 x\n", 10);
	e.snd += 10;
	until(rig, &rig->n_agents, 1, "an agent asks");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	guest_agent(rig->guest, 1, pair[1]);
	reads(pair[0], "HELLO 1 x\n");
	rig->guest = guest_free(rig->guest);
	close(pair[0]);
	for (unsigned i = 0; i < 4; i++) {
		if (line >= 0) {
			close(line);
			close(pair[0]);
		}
		line = asks_for_the_agent(rig, i, &pair[0]);
		reads(pair[0], "HELLO 1 x\n");
		assert_int_equal(send(pair[0], "WELCOME\nhalf", 12, MSG_NOSIGNAL), 12);
		s = end_hears(&fe, &e);
		assert_int_equal(s.len, 8);
		assert_memory_equal(s.data, "WELCOME\n", 8);
		end_says(&fe, &e, TCP_ACK, NULL, 0);
	}
	close(pair[0]);
	assert_int_equal(fd_send(line, &end, sizeof(end), NULL, 0), 0);
	assert_true(end_hears(&fe, &e).flags & TCP_FIN);
	close(line);
	fe_close(&fe);
	rig_free(rig);
}

/* A control that was taken over costs its line, and no guest. */
static void test_nonsense_from_control(void **state)
{
	struct rig *rig = rig_new();
	static const union vm_wire_message said[] = {
		{.device = {.kind = VM_ASK_TAKE, .device = 77}},
		{.device = {.kind = VM_ASK_RESET, .device = 77}},
		{.hello = {.kind = VM_ASK_HELLO, .version = 9, .least = 8}},
		{.device = {.kind = VM_ASK_GIVE}}, /* too short, and without its node */
	};
	struct fe fe;

	machine_boots(rig, &fe);
	until(rig, &rig->ups, 1, "the card is up");
	for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
		struct vm_wire_hello hello = {.kind = VM_ASK_HELLO, .version = 1, .least = 1};
		int line = unix_connect(rig->next_path, SOCK_SEQPACKET);
		size_t len = said[i].kind == VM_ASK_HELLO ? sizeof(hello) : sizeof(said[i].device);
		char byte;

		fd_send(line, &hello, sizeof(hello), NULL, 0);
		next_hears(line);
		assert_int_equal(fd_send(line, &said[i], len, NULL, 0), 0);
		if (said[i].kind == VM_ASK_HELLO) {
			/* Of a version that it does not speak it takes END, and nothing else. */
			next_hears(line);
			assert_int_equal(fd_send(line, &(struct vm_wire_plain){.kind = VM_ASK_HELD},
						 sizeof(struct vm_wire_plain), NULL, 0),
					 0);
		}
		assert_int_equal(recv(line, &byte, 1, 0), 0);
		close(line);
		frame_passes(&fe);
	}
	fe_close(&fe);
	rig_free(rig);
}

/* Without anything to do, it ends with its control. */
static void test_control_goes_at_once(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	rig->pid = fork();
	if (rig->pid == 0) {
		dup2(pair[1], 3);
		close_range(4, ~0u, 0);
		execl(vm_program, vm_program, "vm1", NULL);
		_exit(127);
	}
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(process_ends(rig), 0);
	free(rig);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_outlives_control),
		cmocka_unit_test(test_the_door_that_control_came_by_stays),
		cmocka_unit_test(test_a_client_waits_for_control),
		cmocka_unit_test(test_an_agent_outlives_control),
		cmocka_unit_test(test_nonsense_from_control),
		cmocka_unit_test(test_control_goes_at_once),
	};

	if (argc < 2)
		return 2;
	vm_program = argv[1];
	log_init(LOG_LEVEL_INFO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
