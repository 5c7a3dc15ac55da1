/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest's connections to the daemon: its USB/IP clients, and what becomes of them with the card. */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/stranger.h"
#include "dataplane/client.h"
#include "tests/unit/guest-net-rig.h"

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

/* ------------------------------------------------------------- its card goes and comes */

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
	is_heard(rig, &e);
	stops(rig, later);
	memcpy(rig->fe.mem, before, sizeof(before));
	memcpy(rig->fe.ring, rings, sizeof(rings));
	goes_on(rig, base);
	is_dead(rig, &old);

	e = connects(rig, 40001, USBIP_PORT);
	sends(rig, &e, ask_list, 1);
	is_heard(rig, &e);
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
		T(a_clients_connection_outlives_a_pause),
		T(so_it_does_over_another_front_end),
		T(it_does_not_outlive_its_guest),
		T(two_front_ends_and_no_more),
		T(there_is_room_again),
		T(a_dead_connection_is_hung_up),
	};

	/* It closes what front-ends have sent. */
	if (strangers_start(NULL) < 0)
		return 1;
	return cmocka_run_group_tests_name("guest-net", tests, NULL, NULL);
}
