/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's connections to the daemon: a thread as it is in the product, a driver with rings and a TCP of
 * ten lines, and control as the test.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "protocol/agent_wire.h"
#include "base/fd.h"
#include "base/loop.h"
#include "base/stranger.h"
#include "dataplane/agent_relay.h"
#include "dataplane/client.h"
#include "dataplane/guest.h"
#include "tests/unit/tcp-end.h"
#include "vhost_user_net/net_port.h"

#define PATIENCE_MS 20000
#define FIRST_SEQ   1000u

struct rig {
	struct loop *loop;
	struct guest *guest;
	char path[64];
	struct fe fe;
	unsigned ups, ended, agents;
	uint32_t last_agent;
	unsigned n_asked;
	uint32_t client;
	char name[40];
};

/* ------------------------------------------------------------- control */

static void on_link(void *ctx, const struct guest_card *card)
{
	((struct rig *)ctx)->ups += card->up;
}

static void on_import_asked(void *ctx, uint32_t client, const char *busid)
{
	struct rig *rig = ctx;

	rig->n_asked++;
	rig->client = client;
	snprintf(rig->name, sizeof(rig->name), "%s", busid);
}

static void on_agent_asked(void *ctx)
{
	((struct rig *)ctx)->agents++;
}

static void on_ended(void *ctx)
{
	((struct rig *)ctx)->ended++;
}

static void on_mac_wanted(void *ctx, const uint8_t mac[6])
{
	struct rig *rig = ctx;

	guest_mac_granted(rig->guest, mac, true);
}

static const struct guest_events events = {.link = on_link,
					   .import_asked = on_import_asked,
					   .agent_asked = on_agent_asked,
					   .ended = on_ended,
					   .mac_wanted = on_mac_wanted};

static void until(struct rig *rig, const unsigned *count, unsigned n)
{
	for (unsigned ms = 0; *count < n; ms++) {
		assert_true(ms < PATIENCE_MS);
		loop_turn(rig->loop, false);
		poll(NULL, 0, 1);
	}
	assert_int_equal(*count, n);
}

/* ------------------------------------------------------------- the guest */

static int connects_to(struct rig *rig)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", rig->path);
	assert_int_equal(connect(sock, (struct sockaddr *)&address, sizeof(address)), 0);
	return sock;
}

static void starts(struct rig *rig)
{
	unsigned ups = rig->ups;

	fe_start(&rig->fe, FE_FEATURES, 256);
	fe_rx_fill(&rig->fe, 256, 2048);
	eventfd_write(rig->fe.ring[VIRTIO_NET_RX].kick, 1);
	until(rig, &rig->ups, ups + 1);
}

static void boots(struct rig *rig)
{
	fe_open_far(&rig->fe, connects_to(rig));
	starts(rig);
}

static void says(struct rig *rig, const struct end *e, uint8_t flags, const void *data, size_t len)
{
	end_says(&rig->fe, e, flags, data, len);
}

/* The next segment for the guest. Return: false where none comes within so many ms. */
static bool comes(struct rig *rig, struct seen *s, unsigned ms)
{
	for (; !end_sees(&rig->fe, s); ms--) {
		if (!ms)
			return false;
		loop_turn(rig->loop, false);
		poll(NULL, 0, 1);
	}
	return true;
}

/* The next one that says more than an acknowledgement does; it is acknowledged by what is said next. */
static struct seen hears(struct rig *rig, struct end *e)
{
	struct seen s;

	do
		assert_true(comes(rig, &s, PATIENCE_MS));
	while (!s.len && !(s.flags & ~TCP_ACK));
	assert_int_equal(s.to, e->from);
	if (!(s.flags & (TCP_SYN | TCP_RST)))
		assert_int_equal(s.seq, e->rcv);
	e->rcv = s.seq + (uint32_t)s.len + !!(s.flags & (TCP_SYN | TCP_FIN));
	return s;
}

static struct end connects(struct rig *rig, uint16_t from, uint16_t to)
{
	struct end e = {.from = from, .to = to, .snd = FIRST_SEQ};

	says(rig, &e, TCP_SYN, NULL, 0);
	e.snd++;
	assert_int_equal(hears(rig, &e).flags, TCP_SYN | TCP_ACK);
	says(rig, &e, TCP_ACK, NULL, 0);
	return e;
}

static void sends(struct rig *rig, struct end *e, const void *data, size_t len)
{
	says(rig, e, TCP_ACK | TCP_PSH, data, len);
	e->snd += (uint32_t)len;
}

/* ------------------------------------------------------------- both */

static int set_up(void **state)
{
	struct guest_config config = {.name = "vm1", .prefix = 24, .memory = {1 << 20, 1 << 20}};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct rig *rig = calloc(1, sizeof(*rig));

	inet_pton(AF_INET, "10.77.0.11", &config.address);
	inet_pton(AF_INET, "10.77.0.1", &config.daemon);
	snprintf(rig->path, sizeof(rig->path), "/tmp/test-guest-net-%d.sock", (int)getpid());
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", rig->path);
	unlink(rig->path);
	config.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(config.listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(config.listener, 4), 0);
	assert_int_equal(loop_new(&rig->loop), 0);
	assert_int_equal(guest_start(&rig->guest, &config, rig->loop, &events, rig), 0);
	boots(rig);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	guest_stop(rig->guest);
	until(rig, &rig->ended, 1);
	guest_free(rig->guest);
	fe_close(&rig->fe);
	loop_free(rig->loop);
	unlink(rig->path);
	free(rig);
	return 0;
}

/* ------------------------------------------------------------- USB/IP clients */

static const uint8_t ask_list[8] = {1, 0x11, 0x80, 5};
static const uint8_t ask_import[40] = {1, 0x11, 0x80, 3, [8] = 'k', 'e', 'y', 's'};

static void a_list_is_answered_in_the_thread(void **state)
{
	static const uint8_t nothing[12] = {1, 0x11, 0, 5};
	struct rig *rig = *state;
	struct end e = connects(rig, 40000, USBIP_PORT);
	struct seen s;

	/* A byte, and the rest. */
	sends(rig, &e, ask_list, 1);
	sends(rig, &e, ask_list + 1, 7);
	s = hears(rig, &e);
	assert_int_equal(s.len, 12);
	assert_memory_equal(s.data, nothing, 12);
	assert_true(s.flags & TCP_FIN);
	says(rig, &e, TCP_ACK | TCP_FIN, NULL, 0);
	assert_int_equal(rig->n_asked, 0);
}

static void who_gets_a_device_is_controls_to_say(void **state)
{
	struct rig *rig = *state;
	struct end e = connects(rig, 40000, USBIP_PORT);
	struct seen s;

	sends(rig, &e, ask_import, 30);
	sends(rig, &e, ask_import + 30, 10);
	until(rig, &rig->n_asked, 1);
	assert_string_equal(rig->name, "keys");
	/* It has to wait for that. */
	assert_false(comes(rig, &s, 100) && s.len);
	guest_refuse(rig->guest, rig->client, USBIP_ST_NODEV);
	s = hears(rig, &e);
	assert_int_equal(s.len, 8);
	assert_int_equal(s.data[7], USBIP_ST_NODEV);
	says(rig, &e, TCP_ACK | TCP_FIN, NULL, 0);
}

/* Its slot is free only when control has answered: the answer must not meet another client. */
static void one_that_goes_before_the_answer(void **state)
{
	struct rig *rig = *state;
	struct end e = connects(rig, 40000, USBIP_PORT);
	uint32_t first;

	sends(rig, &e, ask_import, 40);
	until(rig, &rig->n_asked, 1);
	first = rig->client;
	says(rig, &e, TCP_RST | TCP_ACK, NULL, 0);
	e = connects(rig, 40001, USBIP_PORT);
	sends(rig, &e, ask_import, 40);
	until(rig, &rig->n_asked, 2);
	assert_true(rig->client != first);
	guest_refuse(rig->guest, first, USBIP_ST_NODEV);
	guest_refuse(rig->guest, rig->client, USBIP_ST_DEV_BUSY);
	assert_int_equal(hears(rig, &e).data[7], USBIP_ST_DEV_BUSY);
	says(rig, &e, TCP_ACK | TCP_FIN, NULL, 0);
	/* Free again, under another number. */
	for (uint16_t port = 40002; port < 40002 + 2 * GUEST_CLIENTS; port++) {
		e = connects(rig, port, USBIP_PORT);
		sends(rig, &e, ask_list, 8);
		assert_int_equal(hears(rig, &e).len, 12);
		says(rig, &e, TCP_ACK | TCP_FIN, NULL, 0);
	}
}

static void something_else_is_hung_up_on(void **state)
{
	struct rig *rig = *state;
	struct end e = connects(rig, 40000, USBIP_PORT);

	sends(rig, &e, "GET / HTTP/1.0\r\n\r\n", 18);
	assert_true(hears(rig, &e).flags & (TCP_FIN | TCP_RST));
	e = connects(rig, 40001, USBIP_PORT);
	sends(rig, &e, ask_list, 8);
	assert_int_equal(hears(rig, &e).len, 12);
}

static void so_many_clients_and_no_more(void **state)
{
	struct rig *rig = *state;
	struct end silent[GUEST_CLIENTS], e;

	for (uint16_t i = 0; i < GUEST_CLIENTS; i++)
		silent[i] = connects(rig, (uint16_t)(40000 + i), USBIP_PORT);
	e = connects(rig, 41000, USBIP_PORT);
	assert_true(hears(rig, &e).flags & TCP_RST);
	/* One goes, one comes. */
	says(rig, &silent[3], TCP_ACK | TCP_FIN, NULL, 0);
	silent[3].snd++;
	assert_true(hears(rig, &silent[3]).flags & TCP_FIN);
	e = connects(rig, 41001, USBIP_PORT);
	sends(rig, &e, ask_list, 8);
	assert_int_equal(hears(rig, &e).len, 12);
}

static void other_ports_are_closed(void **state)
{
	struct rig *rig = *state;
	struct end e = {.from = 40000, .to = 22, .snd = FIRST_SEQ};

	says(rig, &e, TCP_SYN, NULL, 0);
	assert_int_equal(hears(rig, &e).flags, TCP_RST | TCP_ACK);
}

/* ------------------------------------------------------------- the agent */

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

static void stops(struct rig *rig, uint32_t base[VIRTIO_NET_RINGS])
{
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++)
		base[i] = fe_stop_ring(&rig->fe, i);
}

static void goes_on(struct rig *rig, const uint32_t base[VIRTIO_NET_RINGS])
{
	unsigned ups = rig->ups;

	fe_go_on(&rig->fe, base);
	until(rig, &rig->ups, ups + 1);
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

static void a_clients_connection_outlives_a_pause(void **state)
{
	struct rig *rig = *state;
	struct end e = connects(rig, 40000, USBIP_PORT);
	uint32_t base[VIRTIO_NET_RINGS];

	sends(rig, &e, ask_list, 1);
	for (unsigned i = 0; i < 3; i++) {
		stops(rig, base);
		goes_on(rig, base);
	}
	sends(rig, &e, ask_list + 1, 7);
	assert_int_equal(hears(rig, &e).len, 12);
}

static void connects_anew(struct rig *rig)
{
	close(rig->fe.sock);
	rig->fe.sock = connects_to(rig);
}

/* Saved to a file and restored, by another front-end. */
static void so_it_does_over_another_front_end(void **state)
{
	struct rig *rig = *state;
	struct end e = connects(rig, 40000, USBIP_PORT);
	uint32_t base[VIRTIO_NET_RINGS];

	sends(rig, &e, ask_list, 1);
	stops(rig, base);
	connects_anew(rig);
	goes_on(rig, base);
	sends(rig, &e, ask_list + 1, 7);
	assert_int_equal(hears(rig, &e).len, 12);
}

static void is_dead(struct rig *rig, struct end *e)
{
	struct seen s;

	sends(rig, e, ask_list + 1, 7);
	do
		assert_true(comes(rig, &s, PATIENCE_MS));
	while (!(s.flags & TCP_RST));
	assert_int_equal(s.to, e->from);
}

/* Neither an older state of the guest, nor one whose front-end has died. */
static void it_does_not_outlive_its_guest(void **state)
{
	static uint8_t before[FE_SIZE];
	struct rig *rig = *state;
	uint32_t base[VIRTIO_NET_RINGS], later[VIRTIO_NET_RINGS];
	struct fe_ring rings[VIRTIO_NET_RINGS];
	struct end e = connects(rig, 40000, USBIP_PORT), old = e;

	stops(rig, base);
	memcpy(before, rig->fe.mem, sizeof(before));
	memcpy(rings, rig->fe.ring, sizeof(rings));
	goes_on(rig, base);
	sends(rig, &e, ask_list, 1);
	stops(rig, later);
	memcpy(rig->fe.mem, before, sizeof(before));
	memcpy(rig->fe.ring, rings, sizeof(rings));
	goes_on(rig, base);
	is_dead(rig, &old);

	e = connects(rig, 40001, USBIP_PORT);
	sends(rig, &e, ask_list, 1);
	connects_anew(rig);
	goes_on(rig, (uint32_t[]){fe_position(&rig->fe, 0), fe_position(&rig->fe, 1)});
	is_dead(rig, &e);
}

/* The second one is answered while the first has the card, and a third is hung up on. */
static void two_front_ends_and_no_more(void **state)
{
	struct rig *rig = *state;
	struct fe second;
	int third;
	char byte;

	fe_open_far(&second, connects_to(rig));
	for (unsigned i = 0; i < 2; i++) {
		struct pollfd pfd = {.events = POLLIN};

		fe_send(&second, VHOST_USER_GET_FEATURES, VHOST_USER_VERSION, NULL, 0, NULL, 0);
		pfd.fd = second.sock;
		assert_int_equal(poll(&pfd, 1, PATIENCE_MS), 1);
		assert_true(fe_reply(&second, VHOST_USER_GET_FEATURES) != 0);
		third = connects_to(rig);
		assert_int_equal(recv(third, &byte, 1, 0), 0);
		close(third);
	}
	connects(rig, 40000, USBIP_PORT);
	fe_close(&second);
}

/* Return: whether it is a front-end of the card, and has not been hung up on. */
static bool is_answered(struct fe *fe)
{
	struct vhost_user_header ask = {.request = VHOST_USER_GET_FEATURES,
					.flags = VHOST_USER_VERSION};
	char byte;

	if (send(fe->sock, &ask, sizeof(ask), MSG_NOSIGNAL) != sizeof(ask) ||
	    recv(fe->sock, &byte, 1, MSG_PEEK) != 1)
		return false;
	return fe_reply(fe, VHOST_USER_GET_FEATURES) != 0;
}

static void comes_in(struct rig *rig, struct fe *fe)
{
	for (unsigned ms = 0; ms < PATIENCE_MS; ms++) {
		fe_open_far(fe, connects_to(rig));
		if (is_answered(fe))
			return;
		fe_close(fe);
		poll(NULL, 0, 1);
	}
	fail_msg("nobody else may connect");
}

/* When one of two has gone, there is room for another one. */
static void there_is_room_again(void **state)
{
	struct rig *rig = *state;
	struct fe second;

	for (unsigned i = 0; i < 4; i++) {
		comes_in(rig, &second);
		fe_close(&second);
	}
	/* Both go; it may be the first that goes first. */
	for (unsigned i = 0; i < 4; i++) {
		comes_in(rig, &second);
		fe_close(i & 1 ? &second : &rig->fe);
		fe_close(i & 1 ? &rig->fe : &second);
		comes_in(rig, &rig->fe);
		comes_in(rig, &second);
		fe_close(&second);
	}
	fe_close(&rig->fe);
	comes_in(rig, &rig->fe);
	starts(rig);
	connects(rig, 40000, USBIP_PORT);
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

/* ------------------------------------------------------------- dead connections */

static void a_dead_connection_is_hung_up(void **state)
{
	const struct guest_peer peer = {.address = {10, 77, 0, 11}, .port = 50000};
	struct rig *rig = *state;
	struct end e = {.from = 40000, .to = 22, .snd = FIRST_SEQ};
	struct seen s;

	/* Where the card's address is not known yet, it waits for that. */
	assert_int_equal(guest_hang_up(rig->guest, &peer), 0);
	assert_false(comes(rig, &s, 100));
	says(rig, &e, TCP_SYN, NULL, 0);
	do
		assert_true(comes(rig, &s, PATIENCE_MS));
	while (s.to != 50000);
	assert_int_equal(s.flags, TCP_SYN);
	assert_int_equal(s.from, USBIP_PORT);
	/* What a guest answers that believes in it. */
	e = (struct end){.from = 50000, .to = USBIP_PORT, .snd = 7000, .rcv = 9000};
	says(rig, &e, TCP_ACK, NULL, 0);
	s = hears(rig, &e);
	assert_int_equal(s.flags, TCP_RST);
	assert_int_equal(s.seq, 9000);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_list_is_answered_in_the_thread),
		T(who_gets_a_device_is_controls_to_say),
		T(one_that_goes_before_the_answer),
		T(something_else_is_hung_up_on),
		T(so_many_clients_and_no_more),
		T(other_ports_are_closed),
		T(the_agent_is_relayed_both_ways),
		T(the_agents_connection_outlives_the_card),
		T(a_clients_connection_outlives_a_pause),
		T(so_it_does_over_another_front_end),
		T(it_does_not_outlive_its_guest),
		T(two_front_ends_and_no_more),
		T(there_is_room_again),
		T(the_agents_connection_outlives_control),
		T(an_end_that_was_said_holds),
		T(an_end_that_was_said_holds_for_every_line),
		T(greeting_agents_without_control),
		T(a_hello_that_control_heard_half_of),
		T(much_is_said_without_control),
		T(a_dead_connection_is_hung_up),
	};

	/* It closes what front-ends have sent. */
	if (strangers_start(NULL) < 0)
		return 1;
	return cmocka_run_group_tests_name("guest-net", tests, NULL, NULL);
}
