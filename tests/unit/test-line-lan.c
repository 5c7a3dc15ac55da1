/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The LAN export's process, with a scripted control, a device that is a script, and clients by the
 * kernel's TCP: each has a loopback address of its own.
 */
#include "tests/unit/line-rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/ip.h"
#include "base/mem.h"
#include "dataplane/guest_private.h"
#include "usb/usb_backend.h"
#include "usb/usb_device.h"
#include "script-node.h"

#define DEVICE	 7
#define PATIENCE 60000 /* looks, of a millisecond each */

static const struct usb_backend_ops *const backends[] = {&usb_backend_script, NULL};

/* For what a worker or the kernel's TCP does meanwhile. */
static void look_again(struct rig *rig)
{
	turns(rig);
	poll(NULL, 0, 1);
}

/* The next message of a kind; others are passed over. */
static union vm_wire_message awaits(struct rig *rig, uint32_t kind)
{
	union vm_wire_message m;

	for (unsigned i = 0; i < PATIENCE; i++) {
		memset(&m, 0, sizeof(m));
		if (recv(rig->control, &m, sizeof(m), MSG_DONTWAIT) > 0 && m.kind == kind)
			return m;
		if (!m.kind)
			look_again(rig);
	}
	fail_msg("%s was not said", vm_wire_name(kind));
	return m;
}

/* ------------------------------------------------------------- clients */

static uint16_t port_of(int sock)
{
	struct sockaddr_in in;
	socklen_t len = sizeof(in);

	assert_int_equal(getsockname(sock, (struct sockaddr *)&in, &len), 0);
	return in.sin_port;
}

static int makes_listener(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

/* From 127.0.0.@last. */
static int waits_at(uint16_t port, uint8_t last)
{
	struct sockaddr_in from = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(0x7f000000u | last)},
			   to = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(0x7f000001),
				 .sin_port = port};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static int connects(struct rig *rig, uint16_t port, uint8_t last)
{
	int fd = waits_at(port, last);

	turns(rig);
	return fd;
}

/* So many bytes. Return: how many came before the end; -1: it was reset. */
static ssize_t gets(struct rig *rig, int sock, void *to, size_t len)
{
	size_t n = 0;

	for (unsigned i = 0; n < len && i < PATIENCE; i++) {
		ssize_t r = recv(sock, (uint8_t *)to + n, len - n, MSG_DONTWAIT);

		if (r == 0)
			return (ssize_t)n;
		if (r < 0 && errno == ECONNRESET)
			return -1;
		if (r < 0)
			look_again(rig);
		else
			n += (size_t)r;
	}
	assert_int_equal(n, len);
	return (ssize_t)n;
}

static uint32_t word(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* How many devices this client sees. */
static uint32_t listed(struct rig *rig, int sock)
{
	static const uint8_t devlist[8] = {0x01, 0x11, 0x80, 0x05};
	uint8_t answer[12];

	assert_int_equal(send(sock, devlist, sizeof(devlist), 0), sizeof(devlist));
	assert_int_equal(gets(rig, sock, answer, sizeof(answer)), sizeof(answer));
	assert_int_equal(word(answer), 0x01110005);
	assert_int_equal(word(answer + 4), 0);
	close(sock);
	return word(answer + 8);
}

static uint32_t sees(struct rig *rig, uint16_t port, uint8_t last)
{
	return listed(rig, connects(rig, port, last));
}

static int asks_import(struct rig *rig, uint16_t port, uint8_t last, const char *name)
{
	uint8_t request[40] = {0x01, 0x11, 0x80, 0x03};
	int sock = connects(rig, port, last);

	snprintf((char *)request + 8, 32, "%s", name);
	assert_int_equal(send(sock, request, sizeof(request), 0), sizeof(request));
	return sock;
}

static uint32_t status_of(struct rig *rig, int sock)
{
	uint8_t answer[8];

	assert_int_equal(gets(rig, sock, answer, sizeof(answer)), sizeof(answer));
	assert_int_equal(word(answer), 0x01110003);
	return word(answer + 4);
}

/* ------------------------------------------------------------- the process */

static int be_lan(struct rig *rig)
{
	struct vm_wire_lan m = {.kind = VM_ASK_LAN, .memory = {.large = 1 << 20, .small = 1 << 16}};
	int door = listens(rig, "lan");

	asks_with(rig, &m, &door, 1);
	close(door);
	return hears(rig, VM_SAY_STARTED).started.r;
}

/* Return: the port of its listener. */
static uint16_t listens_tcp(struct rig *rig)
{
	int fd = makes_listener();
	uint16_t port = port_of(fd);

	asks_with(rig, &(struct vm_wire_plain){.kind = VM_ASK_LAN_LISTEN}, &fd, 1);
	close(fd);
	return port;
}

static void may_have(struct rig *rig, const char *to)
{
	struct vm_wire_lan_may m = {.kind = VM_ASK_LAN_MAY, .device = DEVICE, .n = 1};

	assert_int_equal(ip_prefix_parse(to, &m.to[0]), 0);
	asks(rig, &m);
}

static void has_device(struct rig *rig)
{
	struct vm_wire_give give = {.kind = VM_ASK_GIVE, .device = DEVICE, .tag = "keyboard"};
	int node = script_node_open();

	strcpy(give.info.busid, "1-1");
	give.info.busnum = 1;
	give.info.devnum = 2;
	give.info.speed = 3;
	asks_with(rig, &give, &node, 1);
	close(node);
	assert_int_equal(awaits(rig, VM_SAY_OPENED).result.r, 0);
	asks(rig, &(struct vm_wire_export){.kind = VM_ASK_EXPORT, .device = DEVICE, .exported = 1});
}

static void says_may_import(struct rig *rig, uint32_t client)
{
	asks(rig,
	     &(struct vm_wire_client){.kind = VM_ASK_IMPORT, .device = DEVICE, .client = client});
}

static struct rig *begin_lan(uint16_t *ret_port)
{
	struct rig *rig = begin_line(true);

	assert_int_equal(be_lan(rig), 0);
	*ret_port = listens_tcp(rig);
	has_device(rig);
	may_have(rig, "127.0.0.7");
	return rig;
}

static void done(struct rig *rig)
{
	asks(rig, &(struct vm_wire_plain){.kind = VM_ASK_END});
	for (unsigned i = 0; rig->serves && i < PATIENCE; i++)
		look_again(rig);
	assert_false(rig->serves);
	end_line(rig);
}

/* ------------------------------------------------------------- tests */

static void who_may_sees_it_and_has_it(void **state)
{
	/* CMD_SUBMIT: sequence number 1, devid 1-2, IN, endpoint 0, 18 bytes of GET_DESCRIPTOR. */
	uint8_t device[312], ret[66],
		submit[48] = {
			[3] = 1,   [7] = 1,	[9] = 1,  [11] = 2, [15] = 1,
			[27] = 18, [40] = 0x80, [41] = 6, [43] = 1, [46] = 18,
		};
	union vm_wire_message m;
	uint16_t port;
	struct rig *rig = begin_lan(&port);
	int sock;

	assert_int_equal(sees(rig, port, 7), 1);
	sock = asks_import(rig, port, 7, "1-1");
	m = awaits(rig, VM_SAY_LAN_ASKED);
	assert_string_equal(m.lan_asked.busid, "1-1");
	assert_false(m.lan_asked.peer.v6);
	assert_memory_equal(m.lan_asked.peer.address, "\x7f\0\0\7", 4);
	says_may_import(rig, m.lan_asked.client);
	assert_int_equal(status_of(rig, sock), 0);
	assert_int_equal(gets(rig, sock, device, sizeof(device)), sizeof(device));
	assert_string_equal((char *)device + 256, "1-1");
	m = awaits(rig, VM_SAY_IMPORTED);
	assert_int_equal(m.imported.r, 0);
	assert_memory_equal(m.imported.peer.address, "\x7f\0\0\7", 4);
	assert_int_equal(send(sock, submit, sizeof(submit), 0), sizeof(submit));
	assert_int_equal(gets(rig, sock, ret, sizeof(ret)), sizeof(ret));
	assert_int_equal(word(ret), 3);
	assert_int_equal(word(ret + 20), 0);
	assert_memory_equal(ret + 48 + 8, "\x34\x12\x78\x56", 4);
	/* It is in no list while a client has it; and its end is told. */
	assert_int_equal(sees(rig, port, 7), 0);
	close(sock);
	assert_int_equal(awaits(rig, VM_SAY_SESSION_ENDED).result.r, 0);
	assert_int_equal(sees(rig, port, 7), 1);
	done(rig);
}

static void who_may_not_sees_nothing(void **state)
{
	union vm_wire_message m;
	uint16_t port;
	struct rig *rig = begin_lan(&port);
	int sock;

	assert_int_equal(sees(rig, port, 8), 0);
	sock = asks_import(rig, port, 8, "1-1");
	m = awaits(rig, VM_SAY_LAN_ASKED);
	assert_memory_equal(m.lan_asked.peer.address, "\x7f\0\0\x08", 4);
	asks(rig, &(struct vm_wire_refuse){.kind = VM_ASK_REFUSE,
					   .client = m.lan_asked.client,
					   .status = USBIP_ST_NODEV});
	assert_int_equal(status_of(rig, sock), USBIP_ST_NODEV);
	assert_int_equal(gets(rig, sock, &m, 1), 0);
	close(sock);
	/* It is said otherwise. */
	may_have(rig, "127.0.0.8");
	assert_int_equal(sees(rig, port, 8), 1);
	assert_int_equal(sees(rig, port, 7), 0);
	done(rig);
}

/* Whether a connection was reset without a word. */
static bool is_reset(struct rig *rig, int sock)
{
	uint8_t byte;

	return gets(rig, sock, &byte, 1) == -1;
}

static void silent_machines_are_bounded(void **state)
{
	int silent[16], more;
	uint16_t port;
	struct rig *rig = begin_lan(&port);

	/* 4 of one machine … */
	for (unsigned i = 0; i < 4; i++)
		silent[i] = connects(rig, port, 20);
	more = connects(rig, port, 20);
	assert_true(is_reset(rig, more));
	close(more);
	/* … 8 of machines that may have nothing … */
	for (unsigned i = 4; i < 8; i++)
		silent[i] = connects(rig, port, 21);
	more = connects(rig, port, 22);
	assert_true(is_reset(rig, more));
	close(more);
	/* … and none of that is to the harm of one that may. */
	assert_int_equal(sees(rig, port, 7), 1);
	for (unsigned i = 0; i < 8; i++)
		close(silent[i]);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(sees(rig, port, 20), 0);
	done(rig);
}

static void all_together_are_bounded(void **state)
{
	int silent[LAN_CLIENTS], more;
	uint16_t port;
	struct rig *rig = begin_lan(&port);

	may_have(rig, "127.0.0.0/8");
	for (unsigned i = 0; i < LAN_CLIENTS; i++)
		silent[i] = connects(rig, port, (uint8_t)(20 + i / 4));
	more = connects(rig, port, 7);
	assert_true(is_reset(rig, more));
	close(more);
	for (unsigned i = 0; i < LAN_CLIENTS; i++)
		close(silent[i]);
	assert_int_equal(sees(rig, port, 7), 1);
	done(rig);
}

static void garbage_ends_its_connection(void **state)
{
	uint16_t port;
	struct rig *rig = begin_lan(&port);
	int sock = connects(rig, port, 7);
	uint8_t byte;

	assert_int_equal(send(sock, "GET / HTTP/1.0\r\n\r\n", 18, 0), 18);
	assert_true(gets(rig, sock, &byte, 1) <= 0);
	close(sock);
	assert_int_equal(sees(rig, port, 7), 1);
	done(rig);
}

static bool is_refused(struct rig *rig, uint16_t port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001), .sin_port = port};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	turns(rig);
	r = connect(fd, (struct sockaddr *)&to, sizeof(to));
	close(fd);
	return r < 0;
}

static void it_outlives_control(void **state)
{
	union vm_wire_message m;
	uint16_t port, next;
	struct rig *rig = begin_lan(&port);
	int sock = asks_import(rig, port, 7, "keyboard");

	m = awaits(rig, VM_SAY_LAN_ASKED);
	says_may_import(rig, m.lan_asked.client);
	assert_int_equal(status_of(rig, sock), 0);
	next_control(rig);
	/* The next control brings the sockets anew; until then, who connects is served. */
	assert_int_equal(be_lan(rig), 0);
	assert_int_equal(sees(rig, port, 7), 0);
	asks(rig, &(struct vm_wire_plain){.kind = VM_ASK_HELD});
	m = hears(rig, VM_SAY_HELD);
	assert_int_equal(m.held.device, DEVICE);
	assert_true(m.held.held & VM_HELD_SESSION);
	assert_memory_equal(m.held.peer.address, "\x7f\0\0\7", 4);
	awaits(rig, VM_SAY_HELD_ALL);
	next = listens_tcp(rig);
	asks(rig, &(struct vm_wire_number){.kind = VM_ASK_LAN_DEAF, .number = 1});
	assert_true(is_refused(rig, port));
	assert_int_equal(sees(rig, next, 7), 0);
	asks(rig, &(struct vm_wire_number){.kind = VM_ASK_LAN_DEAF});
	assert_true(is_refused(rig, next));
	close(sock);
	done(rig);
}

/* A socket that is closed resets who waits there: they are taken first. */
static void who_waits_is_taken(void **state)
{
	uint16_t port;
	struct rig *rig = begin_lan(&port);
	int socks[7];

	for (uint8_t i = 0; i < ARRAY_SIZE(socks); i++)
		socks[i] = waits_at(port, (uint8_t)(i + 2));
	asks(rig, &(struct vm_wire_number){.kind = VM_ASK_LAN_DEAF});
	assert_true(is_refused(rig, port));
	for (uint8_t i = 0; i < ARRAY_SIZE(socks); i++)
		assert_int_equal(listed(rig, socks[i]), i + 2 == 7);
	done(rig);
}

/* Controls may be killed, each when it has given its sockets and not yet had the old ones closed. */
static void old_sockets_are_bounded(void **state)
{
	uint16_t port, next = 0;
	struct rig *rig = begin_lan(&port);

	for (unsigned i = 0; i < 40; i++)
		next = listens_tcp(rig);
	assert_true(is_refused(rig, port));
	assert_int_equal(sees(rig, next, 7), 1);
	asks(rig, &(struct vm_wire_number){.kind = VM_ASK_LAN_DEAF, .number = ~0u});
	assert_int_equal(sees(rig, next, 7), 1);
	done(rig);
}

static void it_is_nothing_else(void **state)
{
	struct vm_wire_start start = {.kind = VM_ASK_START, .name = "vm1"};
	struct vm_wire_lan lan = {.kind = VM_ASK_LAN};
	struct rig *rig = begin_line(true);
	int fds[2] = {listens(rig, "a"), dup(0)};

	asks_with(rig, &start, fds, 2);
	assert_int_equal(hears(rig, VM_SAY_STARTED).started.r, -EEXIST);
	assert_int_equal(be_lan(rig), 0);
	/* No card, no other guests, no agent. */
	asks(rig, &(struct vm_wire_number){.kind = VM_ASK_PEER_GONE});
	line_is_over(rig);
	end_line(rig);

	rig = begin_line(false);
	asks_with(rig, &lan, fds, 1);
	assert_int_equal(hears(rig, VM_SAY_STARTED).started.r, -EEXIST);
	assert_false(rig->serves);
	end_line(rig);
	rig = begin_line(false);
	asks_with(rig, &(struct vm_wire_plain){.kind = VM_ASK_LAN_LISTEN}, fds, 1);
	assert_false(rig->serves);
	end_line(rig);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_may_sees_it_and_has_it),
		cmocka_unit_test(who_may_not_sees_nothing),
		cmocka_unit_test(silent_machines_are_bounded),
		cmocka_unit_test(all_together_are_bounded),
		cmocka_unit_test(garbage_ends_its_connection),
		cmocka_unit_test(it_outlives_control),
		cmocka_unit_test(who_waits_is_taken),
		cmocka_unit_test(old_sockets_are_bounded),
		cmocka_unit_test(it_is_nothing_else),
	};

	usb_device_use(backends);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
