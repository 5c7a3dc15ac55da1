/* SPDX-License-Identifier: BSD-2-Clause */
/* Rings of a hostile driver: each breaks its own card, none takes more or goes on for ever. */
#include <errno.h>

#include "tests/unit/hostile-driver.h"

static int set_up(void **state _unused_)
{
	return set_up_with(FE_FEATURES);
}

static void put_entry(unsigned i, uint64_t gpa, uint32_t len, unsigned flags, unsigned next)
{
	struct virtq_desc d = {le64_of(gpa), le32_of(len), le16_of((uint16_t)flags),
			       le16_of((uint16_t)next)};
	const uint8_t *from = (const void *)&d;

	for (unsigned k = 0; k < sizeof(d); k++)
		*fe_at(&fe, TABLE + 16ull * i + k) = from[k];
}

struct desc {
	uint64_t addr;
	uint32_t len;
	unsigned flags, next;
};

/* What the driver puts into its table, and perhaps an indirect one; the head is 0. */
static const struct ring_case {
	const char *name;
	struct desc desc[4], table[4];
	bool rx, good;
	unsigned head;
} cases[] = {
	{"one piece", {{BUF, 72, 0, 0}}, .good = true},
	{"split in the header", {{BUF, 5, NEXT, 3}, [3] = {BUF + 5, 67, 0, 0}}, .good = true},
	{"unknown flags", {{BUF, 72, 0xfff8, 0}}, .good = true},
	{"head outside", {{BUF, 72, 0, 0}}, .head = 256},
	{"head far outside", {{BUF, 72, 0, 0}}, .head = 65535},
	{"next outside", {{BUF, 12, NEXT, 256}}},
	{"next far outside", {{BUF, 12, NEXT, 65535}}},
	{"loop of one", {{BUF, 12, NEXT, 0}}},
	{"loop of two", {{BUF, 12, NEXT, 1}, {BUF, 12, NEXT, 0}}},
	{"no length", {{BUF, 0, 0, 0}}},
	{"no length behind", {{BUF, 72, NEXT, 1}, {BUF, 0, 0, 0}}},
	{"4 GiB", {{BUF, 0xffffffffu, 0, 0}}},
	{"wraps", {{UINT64_MAX - 5, 72, 0, 0}}},
	{"up to the last address", {{UINT64_MAX - 71, 72, 0, 0}}},
	{"before memory", {{FE_GPA - 1, 72, 0, 0}}},
	{"behind memory", {{END, 72, 0, 0}}},
	{"over the end", {{END - 71, 72, 0, 0}}},
	{"nowhere", {{0, 72, 0, 0}}},
	{"writable in TX", {{BUF, 72, WR, 0}}},
	{"writable behind", {{BUF, 12, NEXT, 1}, {BUF + 12, 60, WR, 0}}},
	{"read-only in RX", {{BUF, 2048, 0, 0}}, .rx = true},
	{"indirect", {{TABLE, 16, IND, 0}}, {{BUF, 72, 0, 0}}, .good = true},
	{"indirect over the border",
	 {{TABLE, 64, IND, 0}},
	 {{BUF, 3, NEXT, 3}, [3] = {BUF + 3, 69, 0, 0}},
	 .good = true},
	{"indirect behind an ordinary one",
	 {{BUF, 12, NEXT, 2}, [2] = {TABLE, 16, IND, 0}},
	 {{BUF + 12, 60, 0, 0}},
	 .good = true},
	{"indirect, write-only flag ignored",
	 {{TABLE, 16, IND | WR, 0}},
	 {{BUF, 72, 0, 0}},
	 .good = true},
	{"indirect in indirect", {{TABLE, 32, IND, 0}}, {{TABLE, 16, IND, 0}}},
	{"indirect with next", {{TABLE, 16, IND | NEXT, 1}, {BUF, 72, 0, 0}}, {{BUF, 72, 0, 0}}},
	{"indirect of 15 bytes", {{TABLE, 15, IND, 0}}, {{BUF, 72, 0, 0}}},
	{"indirect of 17 bytes", {{TABLE, 17, IND, 0}}, {{BUF, 72, 0, 0}}},
	{"indirect of no length", {{TABLE, 0, IND, 0}}, {{BUF, 72, 0, 0}}},
	{"indirect next outside", {{TABLE, 32, IND, 0}}, {{BUF, 12, NEXT, 2}}},
	{"indirect loop", {{TABLE, 32, IND, 0}}, {{BUF, 12, NEXT, 1}, {BUF, 12, NEXT, 0}}},
	{"indirect behind memory", {{END, 16, IND, 0}}},
	{"indirect over the end", {{END - 8, 16, IND, 0}}},
	{"indirect wraps", {{UINT64_MAX - 7, 32, IND, 0}}},
	{"indirect of 4 GiB", {{TABLE, 0xfffffff0u, IND, 0}}, {{BUF, 12, NEXT, 60000}}},
	{"indirect, wrong direction", {{TABLE, 16, IND, 0}}, {{BUF, 72, WR, 0}}},
};

static void each_bad_ring_breaks_its_card(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct ring_case *c = &cases[i];
		unsigned ring = c->rx ? VIRTIO_NET_RX : VIRTIO_NET_TX;
		uint32_t head, len;

		print_message("%s\n", c->name);
		assert_int_equal(set_up(state), 0);
		put_frame();
		for (unsigned k = 0; k < 4; k++) {
			fe_put_desc(&fe, ring, k, c->desc[k].addr, c->desc[k].len, c->desc[k].flags,
				    c->desc[k].next);
			put_entry(k, c->table[k].addr, c->table[k].len, c->table[k].flags,
				  c->table[k].next);
		}
		fe_post(&fe, ring, c->head);
		if (c->rx)
			fe_daemon_sends(&fe, "01234567890123456789", 20);
		assert_false(net_port_transmit(fe.port));
		assert_int_equal(net_port_up(fe.port), c->good);
		assert_int_equal(fe_used(&fe, ring, &head, &len), c->good);
		if (c->good) {
			struct virtio_net_hdr hdr;
			uint8_t frame[100];

			assert_int_equal(fe_daemon_gets(&fe, &hdr, frame, sizeof(frame)), 60);
			assert_memory_equal(frame, fe_at(&fe, BUF) + 12, 60);
		}
		tear_down(state);
	}
}

static void the_avail_index_may_not_jump(void **state _unused_)
{
	put_frame();
	for (unsigned i = 0; i < 256; i++)
		fe_put_desc(&fe, 1, i, BUF, 72, 0, 0);
	/* As many as the ring has are just right. */
	fe.ring[1].avail_idx = 255;
	fe_post(&fe, 1, 0);
	while (net_port_transmit(fe.port))
		;
	assert_true(net_port_up(fe.port));
	assert_int_equal(fe_used_idx(&fe, 1), 256);

	fe.ring[1].avail_idx = 256 + 256;
	fe_post(&fe, 1, 0);
	assert_false(net_port_transmit(fe.port));
	assert_false(net_port_up(fe.port));
	assert_int_equal(net_port_check(fe.port), -EPROTO);
}

static void the_longest_chain_is_as_long_as_the_ring(void **state)
{
	put_frame();
	for (unsigned i = 0; i < 256; i++)
		fe_put_desc(&fe, 1, i, i < 71 ? BUF + i : BUF + 71, 1, i < 255 ? NEXT : 0, i + 1);
	fe_post(&fe, 1, 0);
	assert_false(net_port_transmit(fe.port));
	assert_true(net_port_up(fe.port));
	assert_int_equal(fe_used_idx(&fe, 1), 1);
	/* One more. */
	fe_put_desc(&fe, 1, 255, BUF, 1, NEXT, 0);
	fe_post(&fe, 1, 0);
	assert_false(net_port_transmit(fe.port));
	assert_false(net_port_up(fe.port));
}

/* Without the feature the flag has no meaning that the driver could rely on. */
static void indirect_must_be_agreed_on(void **state _unused_)
{
	fe_connect(&fe);
	fe_start(&fe, FE_FEATURES & ~(1ull << VIRTIO_F_INDIRECT_DESC), 256);
	put_frame();
	put_entry(0, BUF, 72, 0, 0);
	fe_put_desc(&fe, 1, 0, TABLE, 16, IND, 0);
	fe_post(&fe, 1, 0);
	assert_false(net_port_transmit(fe.port));
	assert_false(net_port_up(fe.port));
}

/* A frame that crosses from one region to the other, both ways. */
static void buffers_may_cross_regions(void **state _unused_)
{
	struct virtio_net_hdr hdr;
	uint8_t frame[2000] = {0}, got[2000];
	uint64_t at = FE_GPA + FE_HALF - 700;

	put_frame();
	for (unsigned i = 0; i < 1012; i++)
		*fe_at(&fe, at + i) = i < 72 ? *fe_at(&fe, BUF + i) : (uint8_t)i;
	fe_put_desc(&fe, 1, 0, at, 1012, 0, 0);
	fe_post(&fe, 1, 0);
	assert_false(net_port_transmit(fe.port));
	assert_int_equal(fe_daemon_gets(&fe, &hdr, got, sizeof(got)), 1000);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(got[i], *fe_at(&fe, at + 12 + i));

	for (unsigned i = 0; i < 1500; i++)
		frame[i] = (uint8_t)(i * 3);
	fe_put_desc(&fe, 0, 0, at, 5, WR | NEXT, 1); /* the header in two pieces */
	fe_put_desc(&fe, 0, 1, at + 5, 2043, WR, 0);
	for (unsigned i = 0; i < 40; i++)
		fe_post(&fe, 0, 0);
	assert_int_equal(fe_daemon_sends(&fe, frame, 1500), NET_PORT_SENT);
	assert_int_equal(fe_used_idx(&fe, 0), 1);
	for (unsigned i = 0; i < 1500; i++)
		assert_int_equal(*fe_at(&fe, at + 12 + i), frame[i]);
	assert_int_equal(*fe_at(&fe, at + 10), 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_bad_ring_breaks_its_card),
		T(the_avail_index_may_not_jump),
		T(the_longest_chain_is_as_long_as_the_ring),
		T(indirect_must_be_agreed_on),
		T(buffers_may_cross_regions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
