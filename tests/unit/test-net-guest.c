/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether a card's guest is the one that it was: paused, saved, moved; reset, gone back, dead. */
#include "tests/unit/net-port-fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static void some_traffic(void)
{
	uint8_t f[200];
	size_t len = udp_frame(f, 0, mac_of(1), 50);

	send_frame(&a, NULL, f, len);
	assert_received(&b, f, len);
	len = udp_frame(f, 1, mac_of(0), 50);
	send_frame(&b, NULL, f, len);
	assert_received(&a, f, len);
	net_port_flush(b.port);
}

static void stop(uint32_t base[VIRTIO_NET_RINGS])
{
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++)
		base[i] = fe_stop_ring(&b, i);
	assert_false(net_port_up(b.port));
}

static void go_on(const uint32_t base[VIRTIO_NET_RINGS])
{
	fe_go_on(&b, base);
	assert_true(net_port_up(b.port));
}

static void starts(void)
{
	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	some_traffic();
	assert_int_equal(b.gones, 0);
}

static void one_that_was_paused_is_the_same(void **state _unused_)
{
	uint32_t base[VIRTIO_NET_RINGS];

	starts();
	for (unsigned i = 1; i < 4; i++) {
		stop(base);
		assert_int_equal(b.downs, i);
		go_on(base);
		assert_int_equal(b.ups, 1 + i);
		some_traffic();
	}
	assert_int_equal(b.gones, 0);
}

/* Its front-end takes @n frames from the TX ring, and drops them. */
static void into_nowhere(uint32_t base[VIRTIO_NET_RINGS], unsigned n)
{
	struct fe_ring *tx = &b.ring[VIRTIO_NET_TX];

	tx->avail_idx = (uint16_t)(tx->avail_idx + n);
	tx->used_seen = tx->avail_idx;
	base[VIRTIO_NET_TX] = tx->avail_idx;
	*fe_avail_word(&b, VIRTIO_NET_TX, VIRTQ_AVAIL_IDX) = htole16(tx->avail_idx);
	*fe_used_word(&b, VIRTIO_NET_TX, VIRTQ_USED_IDX) = htole16(tx->avail_idx);
}

/* Its link was down meanwhile, and it has sent all the same. */
static void one_that_sent_into_nowhere_is_the_same(void **state _unused_)
{
	uint32_t base[VIRTIO_NET_RINGS];

	of_split_rings();
	starts();
	for (unsigned i = 1; i < 300; i += 100) {
		stop(base);
		into_nowhere(base, i);
		go_on(base);
		some_traffic();
	}
	assert_int_equal(b.gones, 0);
	stop(base);
	into_nowhere(base, 0x4000);
	go_on(base);
	assert_int_equal(b.gones, 1);
}

/* Saved, and restored by another front-end, which may not even be there for a while. */
static void one_that_was_saved_is_the_same(void **state _unused_)
{
	uint32_t base[VIRTIO_NET_RINGS];

	starts();
	stop(base);
	fe_connect(&b);
	fe_connect(&b);
	assert_int_equal(b.gones, 0);
	go_on(base);
	some_traffic();
	assert_int_equal(b.gones, 0);
}

static void one_that_has_reset_its_card_is_not(void **state _unused_)
{
	uint32_t base[VIRTIO_NET_RINGS];

	starts();
	stop(base);
	start(&b, FE_FEATURES);
	assert_int_equal(b.gones, 1);
	assert_int_equal(b.ups, 2);
	stop(base);
	fe_connect(&b);
	start(&b, FE_FEATURES);
	/* Nothing has happened between, and the rings stand where they began. */
	some_traffic();
	assert_int_equal(b.gones, 1);
	stop(base);
	fe_connect(&b);
	start(&b, FE_FEATURES);
	assert_int_equal(b.gones, 2);
}

static void nor_one_that_went_back_in_time(void **state _unused_)
{
	static uint8_t memory[FE_SIZE];
	uint32_t base[VIRTIO_NET_RINGS], later[VIRTIO_NET_RINGS];
	struct fe_ring rings[VIRTIO_NET_RINGS];

	starts();
	stop(base);
	memcpy(memory, b.mem, sizeof(memory));
	memcpy(rings, b.ring, sizeof(rings));
	go_on(base);
	some_traffic();
	stop(later);
	memcpy(b.mem, memory, sizeof(memory));
	memcpy(b.ring, rings, sizeof(rings));
	go_on(base);
	assert_int_equal(b.gones, 1);
	some_traffic();
}

static void one_whose_front_end_died_is_gone_at_once(void **state _unused_)
{
	uint32_t base[VIRTIO_NET_RINGS];

	starts();
	base[0] = fe_position(&b, 0);
	base[1] = fe_position(&b, 1);
	fe_connect(&b);
	assert_int_equal(b.gones, 1);
	go_on(base);
	some_traffic();
	assert_int_equal(b.gones, 1);
}

static void one_with_a_broken_ring_is_gone_at_once(void **state _unused_)
{
	starts();
	fe_put_desc(&b, VIRTIO_NET_TX, 5, FE_GPA, 0, 0, 0);
	fe_post(&b, VIRTIO_NET_TX, 5);
	assert_false(net_port_transmit(b.port));
	assert_false(net_port_up(b.port));
	assert_int_equal(b.gones, 1);
	fe_connect(&b);
	assert_int_equal(b.gones, 1);
}

/* ------------------------------------------------------------- two front-ends */

/* b's guest on its way: another front-end of the same card, with memory of its own. */
static struct fe moved;

static void second_connects(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fe_open_far(&moved, pair[0]);
	moved.back_sock = pair[1];
	moved.port = b.port;
	moved.net = &net;
	moved.number = b.number;
	moved.features = b.features;
	moved.rx_size = b.rx_size;
	memcpy(moved.watched_link, b.watched_link, sizeof(b.watched_link));
	moved.which = net_port_connect(b.port, pair[1]);
	assert_true(moved.which >= 0 && moved.which != b.which);
}

static void second_leaves(void)
{
	net_port_disconnect(b.port, (unsigned)moved.which);
	moved.port = NULL;
	fe_close(&moved);
}

/* b's memory arrives there, and what its driver knows with it. */
static void memory_moves(struct fe *from, struct fe *to)
{
	memcpy(to->mem, from->mem, FE_SIZE);
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++) {
		int kick = to->ring[i].kick, call = to->ring[i].call;

		to->ring[i] = from->ring[i];
		to->ring[i].kick = kick;
		to->ring[i].call = call;
	}
}

static void assert_b_gets(struct fe *at)
{
	uint8_t f[200];
	size_t len = udp_frame(f, 0, mac_of(1), 50);

	send_frame(&a, NULL, f, len);
	assert_received(at, f, len);
}

static void a_second_front_end_waits(void **state _unused_)
{
	starts();
	second_connects();
	fe_send(&moved, VHOST_USER_GET_FEATURES, VHOST_USER_VERSION, NULL, 0, NULL, 0);
	assert_int_equal(fe_message(&moved), 0);
	assert_int_equal(fe_reply(&moved, VHOST_USER_GET_FEATURES) & FE_FEATURES, FE_FEATURES);
	fe_start(&moved, FE_FEATURES, 256);
	fe_rx_fill(&moved, 256, 2048);
	some_traffic();
	assert_int_equal(fe_used_idx(&moved, VIRTIO_NET_RX), 0);
	assert_int_equal(*fe_used_word(&moved, VIRTIO_NET_RX, VIRTQ_USED_FLAGS), 0);
	assert_int_equal(b.ups, 1);
	second_leaves();
	some_traffic();
	assert_int_equal(b.downs, 0);
}

static void a_guest_moves(void **state _unused_)
{
	uint32_t base[VIRTIO_NET_RINGS];

	starts();
	second_connects();
	stop(base);
	memory_moves(&b, &moved);
	fe_go_on(&moved, base);
	assert_true(net_port_up(b.port));
	assert_int_equal(b.gones, 0);
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++)
		assert_true(b.watched[i] >= 0);
	assert_b_gets(&moved);
	net_port_disconnect(b.port, (unsigned)b.which);
	assert_b_gets(&moved);
	assert_int_equal(b.ups, 2);
	assert_int_equal(b.downs, 1);
	assert_int_equal(b.gones, 0);
	/* And back. */
	b.which = net_port_connect(b.port, b.back_sock);
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++)
		base[i] = fe_stop_ring(&moved, i);
	memory_moves(&moved, &b);
	fe_go_on(&b, base);
	assert_b_gets(&b);
	assert_int_equal(b.gones, 0);
	second_leaves();
	assert_b_gets(&b);
}

/* It was set up before the first has stopped. */
static void the_second_begins_when_the_first_has_stopped(void **state _unused_)
{
	uint32_t base[VIRTIO_NET_RINGS];

	starts();
	second_connects();
	base[0] = fe_position(&b, 0);
	base[1] = fe_position(&b, 1);
	memory_moves(&b, &moved);
	fe_go_on(&moved, base);
	assert_int_equal(fe_stop_ring(&b, 0), base[0]);
	assert_false(net_port_up(b.port));
	assert_int_equal(fe_stop_ring(&b, 1), base[1]);
	assert_true(net_port_up(b.port));
	assert_int_equal(b.gones, 0);
	assert_b_gets(&moved);
	second_leaves();
	assert_false(net_port_up(b.port));
	assert_int_equal(b.gones, 1);
}

/* The move has failed, and the first goes on; the second was not ready. */
static void or_the_first_goes_on(void **state _unused_)
{
	uint32_t base[VIRTIO_NET_RINGS];

	starts();
	second_connects();
	stop(base);
	fe_set_features(&moved, FE_FEATURES);
	fe_set_memory(&moved);
	assert_int_equal(fe_message(&moved), 0);
	go_on(base);
	second_leaves();
	some_traffic();
	assert_int_equal(b.gones, 0);
}

static void the_first_waits_once_the_second_has_it(void **state _unused_)
{
	uint32_t base[VIRTIO_NET_RINGS];

	starts();
	second_connects();
	stop(base);
	memory_moves(&b, &moved);
	fe_go_on(&moved, base);
	assert_b_gets(&moved);
	fe_go_on(&b, base);
	assert_b_gets(&moved);
	assert_int_equal(b.ups, 2);
	/* The second dies; the first is an older state of the guest. */
	second_leaves();
	assert_int_equal(b.gones, 1);
	assert_true(net_port_up(b.port));
	assert_b_gets(&b);
}

static void if_the_first_dies_the_second_begins(void **state _unused_)
{
	starts();
	second_connects();
	fe_start(&moved, FE_FEATURES, 256);
	fe_rx_fill(&moved, 256, 2048);
	net_port_disconnect(b.port, (unsigned)b.which);
	assert_int_equal(b.gones, 1);
	assert_true(net_port_up(b.port));
	assert_b_gets(&moved);
	b.which = net_port_connect(b.port, b.back_sock);
	second_leaves();
	assert_false(net_port_up(b.port));
}

static void a_third_is_not_taken(void **state _unused_)
{
	unsigned fds = fe_open_fds();

	second_connects();
	assert_int_equal(net_port_connect(b.port, b.back_sock), -EISCONN);
	second_leaves();
	assert_int_equal(fe_open_fds(), fds);
	for (unsigned i = 0; i < 500; i++) {
		second_connects();
		second_leaves();
	}
	assert_int_equal(fe_open_fds(), fds);
	starts();
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(one_that_was_paused_is_the_same),
		T(one_that_sent_into_nowhere_is_the_same),
		T(one_that_was_saved_is_the_same),
		T(one_that_has_reset_its_card_is_not),
		T(nor_one_that_went_back_in_time),
		T(one_whose_front_end_died_is_gone_at_once),
		T(one_with_a_broken_ring_is_gone_at_once),
		T(a_second_front_end_waits),
		T(a_guest_moves),
		T(the_second_begins_when_the_first_has_stopped),
		T(or_the_first_goes_on),
		T(the_first_waits_once_the_second_has_it),
		T(if_the_first_dies_the_second_begins),
		T(a_third_is_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
