/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether a card's guest is the one that it was: paused, saved, moved; reset, gone back, dead. */
#include "tests/unit/net-port-fixture.h"

#include <errno.h>
#include <string.h>

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

static void stop(uint16_t base[VIRTIO_NET_RINGS])
{
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++)
		base[i] = fe_stop_ring(&b, i);
	assert_false(net_port_up(b.port));
}

static void go_on(const uint16_t base[VIRTIO_NET_RINGS])
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
	uint16_t base[VIRTIO_NET_RINGS];

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

/* Saved, and restored by another front-end, which may not even be there for a while. */
static void one_that_was_saved_is_the_same(void **state _unused_)
{
	uint16_t base[VIRTIO_NET_RINGS];

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
	uint16_t base[VIRTIO_NET_RINGS];

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
	uint16_t base[VIRTIO_NET_RINGS], later[VIRTIO_NET_RINGS];
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
	uint16_t base[VIRTIO_NET_RINGS];

	starts();
	base[0] = fe_used_idx(&b, 0);
	base[1] = fe_used_idx(&b, 1);
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

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(one_that_was_paused_is_the_same),
		T(one_that_was_saved_is_the_same),
		T(one_that_has_reset_its_card_is_not),
		T(nor_one_that_went_back_in_time),
		T(one_whose_front_end_died_is_gone_at_once),
		T(one_with_a_broken_ring_is_gone_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
