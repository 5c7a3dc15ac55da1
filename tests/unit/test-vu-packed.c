/* SPDX-License-Identifier: BSD-2-Clause */
/* Packed rings: positions, events, who died when; and hostile drivers, of which each breaks its own card alone. */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/hostile-driver.h"
#include "vhost_user_net/vu_memory.h"
#include "vhost_user_net/vu_vring.h"

#define BIT(n)	 (1ull << (n))
#define FEATURES (FE_FEATURES | BIT(VIRTIO_F_RING_PACKED))

#define RX VIRTIO_NET_RX
#define TX VIRTIO_NET_TX

static int set_up(void **state _unused_)
{
	return set_up_with(FEATURES);
}

static struct pvirtq_desc desc(uint64_t gpa, uint32_t len, unsigned id, unsigned flags)
{
	return (struct pvirtq_desc){le64_of(gpa), le32_of(len), le16_of((uint16_t)id),
				    le16_of((uint16_t)flags)};
}

static void assert_frame_came(void)
{
	struct virtio_net_hdr hdr;
	uint8_t frame[100];

	assert_int_equal(fe_daemon_gets(&fe, &hdr, frame, sizeof(frame)), 60);
	assert_memory_equal(frame, fe_at(&fe, BUF) + 12, 60);
}

/* ------------------------------------------------------------- hostile drivers */

struct element {
	uint64_t addr;
	uint32_t len;
	unsigned flags;
};

/* One chain, of all elements that have flags or a length or an address, and perhaps an indirect table. */
static const struct packed_case {
	const char *name;
	struct element chain[3], table[4];
	unsigned n; /* of chain; 0: one */
	bool rx, good;
	unsigned id;
} cases[] = {
	{"one piece", {{BUF, 72, 0}}, .good = true},
	{"split in the header", {{BUF, 5, NEXT}, {BUF + 5, 67, 0}}, .n = 2, .good = true},
	{"unknown flags", {{BUF, 72, 0x7f78}}, .good = true},
	{"an id far outside", {{BUF, 72, 0}}, .id = 65535, .good = true},
	{"an id outside", {{BUF, 5, NEXT}, {BUF + 5, 67, 0}}, .n = 2, .id = 256, .good = true},
	{"no length", {{BUF, 0, 0}}},
	{"no length behind", {{BUF, 72, NEXT}, {BUF, 0, 0}}, .n = 2},
	{"4 GiB", {{BUF, 0xffffffffu, 0}}},
	{"wraps", {{UINT64_MAX - 5, 72, 0}}},
	{"up to the last address", {{UINT64_MAX - 71, 72, 0}}},
	{"before memory", {{FE_GPA - 1, 72, 0}}},
	{"behind memory", {{END, 72, 0}}},
	{"over the end", {{END - 71, 72, 0}}},
	{"nowhere", {{0, 72, 0}}},
	{"writable in TX", {{BUF, 72, WR}}},
	{"writable behind", {{BUF, 12, NEXT}, {BUF + 12, 60, WR}}, .n = 2},
	{"read-only in RX", {{BUF, 2048, 0}}, .rx = true},
	{"indirect", {{TABLE, 16, IND}}, {{BUF, 72, 0}}, .good = true},
	{"indirect over the border",
	 {{TABLE, 64, IND}},
	 {{BUF, 3, 0}, {BUF + 3, 9, 0}, {BUF + 12, 1, 0}, {BUF + 13, 59, 0}},
	 .good = true},
	{"indirect, write-only flag ignored",
	 {{TABLE, 16, IND | WR}},
	 {{BUF, 72, 0}},
	 .good = true},
	{"indirect, other flags in the table ignored",
	 {{TABLE, 32, IND}},
	 {{BUF, 3, 0xfffd}, {BUF + 3, 69, 0xfffd}},
	 .good = true},
	{"indirect behind an ordinary one",
	 {{BUF, 12, NEXT}, {TABLE, 16, IND}},
	 {{BUF + 12, 60, 0}},
	 .n = 2},
	{"indirect with next", {{TABLE, 16, IND | NEXT}, {BUF, 72, 0}}, {{BUF, 72, 0}}, .n = 2},
	{"indirect of 15 bytes", {{TABLE, 15, IND}}, {{BUF, 72, 0}}},
	{"indirect of 17 bytes", {{TABLE, 17, IND}}, {{BUF, 72, 0}}},
	{"indirect of no length", {{TABLE, 0, IND}}, {{BUF, 72, 0}}},
	{"indirect behind memory", {{END, 16, IND}}},
	{"indirect over the end", {{END - 8, 16, IND}}},
	{"indirect wraps", {{UINT64_MAX - 7, 32, IND}}},
	{"indirect longer than the ring", {{TABLE, 16 * 257, IND}}, {{BUF, 72, 0}}},
	{"indirect of 4 GiB", {{TABLE, 0xfffffff0u, IND}}, {{BUF, 12, 0}}},
	{"indirect, wrong direction", {{TABLE, 16, IND}}, {{BUF, 72, WR}}},
	{"indirect, no length behind", {{TABLE, 32, IND}}, {{BUF, 72, 0}, {BUF, 0, 0}}},
};

static void each_bad_ring_breaks_its_card(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct packed_case *c = &cases[i];
		unsigned ring = c->rx ? RX : TX, n = c->n ? c->n : 1;
		struct pvirtq_desc chain[3];
		uint32_t head = 0, len;

		print_message("%s\n", c->name);
		assert_int_equal(set_up(state), 0);
		put_frame();
		/* The last one's id is the buffer's. */
		for (unsigned k = 0; k < n; k++)
			chain[k] = desc(c->chain[k].addr, c->chain[k].len,
					k == n - 1 ? c->id : 0xdead, c->chain[k].flags);
		for (unsigned k = 0; k < 4; k++) {
			struct pvirtq_desc d =
				desc(c->table[k].addr, c->table[k].len, 7, c->table[k].flags);

			for (unsigned b = 0; b < sizeof(d); b++)
				*fe_at(&fe, TABLE + 16ull * k + b) = ((const uint8_t *)&d)[b];
		}
		fe_packed_post(&fe, ring, chain, n);
		if (c->rx)
			fe_daemon_sends(&fe, "01234567890123456789", 20);
		assert_false(net_port_transmit(fe.port));
		assert_int_equal(net_port_up(fe.port), c->good);
		assert_int_equal(fe_used(&fe, ring, &head, &len), c->good);
		if (c->good) {
			assert_int_equal(head, c->id);
			assert_frame_came();
		}
		tear_down(state);
	}
}

static void the_longest_chain_is_as_long_as_the_ring(void **state _unused_)
{
	struct pvirtq_desc chain[256];
	uint32_t head, len;

	put_frame();
	for (unsigned i = 0; i < 256; i++)
		chain[i] = desc(i < 71 ? BUF + i : BUF + 71, 1, i, i < 255 ? NEXT : 0);
	/* From each place, over the ring's end and not. */
	for (unsigned i = 0; i < 3; i++) {
		struct pvirtq_desc one = desc(BUF, FRAME, 5, 0);

		fe_packed_post(&fe, TX, chain, 256);
		assert_false(net_port_transmit(fe.port));
		assert_true(fe_used(&fe, TX, &head, &len));
		assert_int_equal(head, 255);
		fe_packed_post(&fe, TX, &one, 1);
		assert_false(net_port_transmit(fe.port));
		assert_true(fe_used(&fe, TX, &head, &len));
		assert_int_equal(head, 5);
	}
	assert_true(net_port_up(fe.port));
	/* One more. */
	chain[255] = desc(BUF, 1, 255, NEXT);
	fe_packed_post(&fe, TX, chain, 256);
	assert_false(net_port_transmit(fe.port));
	assert_false(net_port_up(fe.port));
	assert_false(fe_used(&fe, TX, &head, &len));
}

static void indirect_must_be_agreed_on(void **state _unused_)
{
	struct pvirtq_desc d = desc(BUF, FRAME, 0, 0), table = desc(FE_GPA + FE_RX_BUF, 16, 0, IND);

	fe_connect(&fe);
	fe_start(&fe, FEATURES & ~BIT(VIRTIO_F_INDIRECT_DESC), 256);
	put_frame();
	memcpy(fe_at(&fe, FE_GPA + FE_RX_BUF), &d, sizeof(d));
	fe_packed_post(&fe, TX, &table, 1);
	assert_false(net_port_transmit(fe.port));
	assert_false(net_port_up(fe.port));
}

/* The driver says at each place that it is available, whatever the device does: no more than its ring is taken. */
static void what_is_not_given_back_is_not_taken_again(void **state _unused_)
{
	static const uint8_t frame[1000];

	fe_rx_fill(&fe, 256, 100);
	for (unsigned i = 0; i < 1000; i++) {
		for (unsigned k = 0; k < 256; k++) {
			struct pvirtq_desc *d = fe_packed_desc(&fe, RX, k);

			*d = desc(FE_GPA + FE_RX_BUF, 100, k,
				  WR | (i & 1 ? PVIRTQ_DESC_F_AVAIL : PVIRTQ_DESC_F_USED));
		}
		fe_daemon_sends(&fe, frame, sizeof(frame));
		net_port_flush(fe.port);
		net_port_check(fe.port);
	}
}

/* A word that is misaligned is no reason to touch what lies beside it. */
static void areas_must_be_aligned(void **state _unused_)
{
	struct vhost_vring_addr addr = fe_ring_at(TX);

	addr.avail_user_addr += 2;
	fe_send(&fe, VHOST_USER_SET_VRING_ADDR, VHOST_USER_VERSION, &addr, sizeof(addr), NULL, 0);
	assert_int_equal(fe_message(&fe), 0);
	assert_false(net_port_up(fe.port));
	addr = fe_ring_at(TX);
	fe_send(&fe, VHOST_USER_SET_VRING_ADDR, VHOST_USER_VERSION, &addr, sizeof(addr), NULL, 0);
	assert_int_equal(fe_message(&fe), 0);
	assert_true(net_port_up(fe.port));
}

/* ------------------------------------------------------------- positions */

static unsigned drawn = 1;

static unsigned draw(unsigned below)
{
	drawn = drawn * 1103515245u + 12345u;
	return (drawn >> 16) % below;
}

/* A frame in so many descriptors; a number is its id. */
static void post_frame(unsigned n, unsigned id)
{
	struct pvirtq_desc chain[8];

	for (unsigned i = 0; i < n; i++) {
		unsigned from = i * FRAME / n, to = (i + 1) * FRAME / n;

		chain[i] = desc(BUF + from, to - from, i == n - 1 ? id : 0xdead,
				i == n - 1 ? 0 : NEXT);
	}
	fe_packed_post(&fe, TX, chain, n);
}

static void rings_have_any_size(void **state _unused_)
{
	static const unsigned sizes[] = {3, 5, 8, 100, 1000, 1024};

	for (unsigned s = 0; s < ARRAY_SIZE(sizes); s++) {
		unsigned num = sizes[s], id = 0, seen = 0, in_ring = 0, descs[1024];

		fe_connect(&fe);
		fe_start(&fe, FEATURES, num);
		assert_true(net_port_up(fe.port));
		put_frame();
		while (seen < 3000) {
			uint32_t head, len;

			for (unsigned n = 1 + draw(3); in_ring + n <= num && draw(8);
			     n = 1 + draw(3)) {
				descs[id % 1024] = n;
				in_ring += n;
				post_frame(n, id++);
			}
			while (net_port_transmit(fe.port))
				;
			for (; fe_used(&fe, TX, &head, &len); seen++) {
				assert_int_equal(head, seen);
				in_ring -= descs[seen % 1024];
				assert_frame_came();
			}
			assert_int_equal(seen, id);
		}
		assert_int_equal(fe_stop_ring(&fe, TX),
				 (uint32_t)fe.ring[TX].avail_at << 16 | fe.ring[TX].avail_at);
	}
}

/* All is set up anew with the memory as it is, and what the front-end says of the rings is old, or nonsense. */
static void comes_back(uint32_t base)
{
	fe_connect(&fe);
	fe_set_features(&fe, fe.features);
	fe_set_memory(&fe);
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++)
		fe_set_ring(&fe, i, fe.ring[i].num, base);
	assert_int_equal(fe_message(&fe), 0);
	assert_true(net_port_up(fe.port));
}

static void a_ring_goes_on_where_it_was_left(void **state _unused_)
{
	static const uint32_t said[] = {FE_BASE_PACKED, 0,	    0x8000,	UINT32_MAX,
					0x00030003,	0x80048004, 0x7fff7fff, 0x80008001};
	unsigned id = 0, seen = 0, num = 16;

	fe_connect(&fe);
	fe_start(&fe, FEATURES, num);
	put_frame();
	for (unsigned round = 0; round < 2000; round++) {
		uint32_t head, len;

		/* Some, with which it dies, and perhaps some that it never saw. */
		for (unsigned n = draw(6); n; n--)
			post_frame(1 + draw(2), id++ & 0xffff);
		if (draw(2))
			while (net_port_transmit(fe.port))
				;
		comes_back(draw(4) ? said[draw(ARRAY_SIZE(said))]
				   : (uint32_t)fe.ring[TX].used_at << 16 | fe.ring[TX].used_at);
		while (net_port_transmit(fe.port))
			;
		for (; fe_used(&fe, TX, &head, &len); seen++) {
			assert_int_equal(head, seen & 0xffff);
			assert_frame_came();
		}
		assert_int_equal(seen, id);
	}
}

/* ------------------------------------------------------------- what dies between two steps */

/* A ring by itself: eight entries, memory of 64 KiB at 0. */
struct alone {
	struct vu_memory memory;
	struct vu_vring v;
	struct pvirtq_desc *d;
	uint32_t *driver;
};

static void start_alone(struct alone *a, unsigned num)
{
	const struct vu_vring_place place = {0, 0x4000, 0x5000};
	const struct vu_vring_how how = {
		.num = num, .base = FE_BASE_PACKED, .event_idx = true, .packed = true};

	assert_int_equal(vu_vring_start(&a->v, &a->memory, &place, &how, &(struct vu_vring_log){0}),
			 0);
}

static void open_alone(struct alone *a, unsigned num)
{
	const struct vhost_user_memory_region region = {.memory_size = 65536};
	int fd = memfd_create("guest", MFD_CLOEXEC);

	assert_true(fd >= 0 && ftruncate(fd, 65536) == 0);
	vu_memory_init(&a->memory);
	assert_int_equal(vu_memory_add(&a->memory, &region, fd), 0);
	close(fd);
	a->d = (void *)a->memory.region[0].host;
	a->driver = (void *)(a->memory.region[0].host + 0x4000);
	start_alone(a, num);
}

static void close_alone(struct alone *a)
{
	vu_vring_stop(&a->v);
	vu_memory_clear(&a->memory);
}

static void post_alone(struct alone *a, unsigned at, unsigned flags)
{
	unsigned i = at % a->v.num, lap = at / a->v.num & 1;

	a->d[i] = desc(0x8000, 100, at, flags | (lap ? PVIRTQ_DESC_F_USED : PVIRTQ_DESC_F_AVAIL));
}

/* Until it is published, nothing in the ring says that anything was done. */
static void what_is_pushed_is_not_seen(void **state _unused_)
{
	struct iovec segs[VU_SEGMENTS];
	struct pvirtq_desc before[8];
	struct vu_chain chain[2];
	struct alone a;

	open_alone(&a, 8);
	post_alone(&a, 0, WR | NEXT);
	post_alone(&a, 1, WR);
	post_alone(&a, 2, WR);
	memcpy(before, a.d, sizeof(before));
	assert_int_equal(vu_vring_peek(&a.v, 0, true, segs, VU_SEGMENTS, &chain[0]), 1);
	assert_int_equal(vu_vring_peek(&a.v, 1, true, segs, VU_SEGMENTS, &chain[1]), 1);
	assert_int_equal(chain[0].descs, 2);
	vu_vring_take(&a.v, chain, 2);
	vu_vring_push(&a.v, chain, 2, 250);
	assert_memory_equal(before, a.d, sizeof(before));
	/* It dies here. The next one begins there. */
	vu_vring_stop(&a.v);
	start_alone(&a, 8);
	assert_int_equal(vu_vring_position(&a.v), FE_BASE_PACKED);
	assert_int_equal(vu_vring_peek(&a.v, 0, true, segs, VU_SEGMENTS, &chain[0]), 1);
	assert_int_equal(vu_vring_peek(&a.v, 1, true, segs, VU_SEGMENTS, &chain[1]), 1);
	vu_vring_take(&a.v, chain, 2);
	vu_vring_push(&a.v, chain, 2, 250);
	vu_vring_publish(&a.v);
	assert_int_equal(le16_get(a.d[0].id), 1);
	assert_int_equal(le32_get(a.d[0].len), 200);
	assert_int_equal(le16_get(a.d[0].flags), PVIRTQ_DESC_F_AVAIL | PVIRTQ_DESC_F_USED | WR);
	assert_int_equal(le16_get(a.d[2].id), 2);
	assert_int_equal(le32_get(a.d[2].len), 50);
	/* Where the buffers lie is the driver's. */
	assert_int_equal(le64_get(a.d[0].addr), 0x8000);
	assert_int_equal(vu_vring_position(&a.v), 0x80038003);
	vu_vring_stop(&a.v);
	start_alone(&a, 8);
	assert_int_equal(vu_vring_position(&a.v), 0x80038003);
	close_alone(&a);
}

/* As QEMU uses frames of a guest whose link is down: of a chain, the first descriptor alone. */
static void what_others_have_used_is_behind_it(void **state _unused_)
{
	const struct vu_vring_place place = {0, 0x4000, 0x5000};
	struct vu_vring_how how = {.num = 8, .packed = true, .base = 0x80068006};
	struct alone a;

	open_alone(&a, 8);
	vu_vring_stop(&a.v);
	for (unsigned i = 0; i < 7; i++)
		post_alone(&a, i, i % 3 == 2 ? 0 : NEXT);
	for (unsigned i = 0; i < 6; i += 3)
		a.d[i].flags = le16_of(PVIRTQ_DESC_F_AVAIL | PVIRTQ_DESC_F_USED);
	assert_int_equal(vu_vring_start(&a.v, &a.memory, &place, &how, &(struct vu_vring_log){0}),
			 0);
	assert_int_equal(vu_vring_position(&a.v), 0x80068006);
	vu_vring_stop(&a.v);
	/* And not where the front-end's word is none. */
	how.base = 0xfff8fff8;
	assert_int_equal(vu_vring_start(&a.v, &a.memory, &place, &how, &(struct vu_vring_log){0}),
			 0);
	close_alone(&a);
}

/* ------------------------------------------------------------- events */

/* The driver waits for each place of two laps, and so many are given back at once: told, if it is among them. */
static void the_driver_is_told_of_the_descriptor_that_it_waits_for(void **state _unused_)
{
	enum { NUM = 5 };
	struct iovec segs[VU_SEGMENTS];
	struct alone a;

	open_alone(&a, NUM);
	assert_true(vu_vring_wants_signal(&a.v)); /* once, after the start */
	for (unsigned at = 0; at < 400;) {
		unsigned n = 1 + draw(NUM), event = draw(2 * NUM);
		uint16_t word = (uint16_t)(event % NUM | (event < NUM ? FE_WRAP : 0));
		bool among = false;

		*a.driver = htole32(word | PVIRTQ_EVENT_DESC << PVIRTQ_EVENT_FLAGS);
		for (unsigned i = 0; i < n; i++) {
			struct vu_chain chain;

			post_alone(&a, at + i, WR);
			assert_int_equal(vu_vring_peek(&a.v, 0, true, segs, VU_SEGMENTS, &chain),
					 1);
			vu_vring_take(&a.v, &chain, 1);
			vu_vring_push(&a.v, &chain, 1, 10);
			among = among || (at + i) % (2 * NUM) == event;
		}
		vu_vring_publish(&a.v);
		assert_int_equal(vu_vring_awaits_signal(&a.v), among);
		assert_int_equal(vu_vring_wants_signal(&a.v), among);
		assert_false(vu_vring_wants_signal(&a.v));
		at += n;
	}
	close_alone(&a);
}

/* Its word may be anything. */
static void other_words_of_the_driver(void **state _unused_)
{
	static const struct {
		uint32_t word;
		bool told;
	} words[] = {
		{PVIRTQ_EVENT_ENABLE << 16, true},
		{PVIRTQ_EVENT_DISABLE << 16, false},
		{3u << 16, true},
		{PVIRTQ_EVENT_DISABLE << 16 | 0xffff, false},
		{0xfffcffffu, true},
		{0xfffdffffu, false},
		{PVIRTQ_EVENT_DESC << 16 | 8, true},
		{PVIRTQ_EVENT_DESC << 16 | 0x7fff, true},
	};
	struct iovec segs[VU_SEGMENTS];
	struct vu_chain chain;
	struct alone a;

	open_alone(&a, 8);
	assert_true(vu_vring_wants_signal(&a.v));
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		*a.driver = htole32(words[i].word);
		post_alone(&a, i, WR);
		assert_int_equal(vu_vring_peek(&a.v, 0, true, segs, VU_SEGMENTS, &chain), 1);
		vu_vring_take(&a.v, &chain, 1);
		vu_vring_push(&a.v, &chain, 1, 10);
		vu_vring_publish(&a.v);
		assert_int_equal(vu_vring_wants_signal(&a.v), words[i].told);
	}
	close_alone(&a);
}

static uint32_t device_word(unsigned ring)
{
	return le32toh(*(uint32_t *)(void *)fe_used_word(&fe, ring, 0));
}

/* Kicks are asked for while nothing is left to do, and for the buffer that the next frame needs. */
static void kicks_are_asked_for(void **state _unused_)
{
	static const uint8_t frame[3000];

	put_frame();
	for (unsigned i = 0; i < 300; i++) {
		post_frame(1 + i % 3, i);
		assert_false(net_port_transmit(fe.port));
		assert_int_equal(device_word(TX),
				 fe.ring[TX].avail_at | PVIRTQ_EVENT_DESC << PVIRTQ_EVENT_FLAGS);
	}
	assert_int_equal(device_word(RX) >> PVIRTQ_EVENT_FLAGS, PVIRTQ_EVENT_DISABLE);
	assert_int_equal(fe_daemon_sends(&fe, frame, sizeof(frame)), NET_PORT_FULL);
	assert_int_equal(device_word(RX), 0x8000 | PVIRTQ_EVENT_DESC << PVIRTQ_EVENT_FLAGS);
	fe_rx_fill(&fe, 2, 100);
	/* 3012 bytes in such buffers. */
	assert_int_equal(fe_daemon_sends(&fe, frame, sizeof(frame)), NET_PORT_FULL);
	assert_int_equal(device_word(RX), (0x8000 + 30) | PVIRTQ_EVENT_DESC << PVIRTQ_EVENT_FLAGS);
	net_port_kicked(fe.port, RX);
	assert_int_equal(device_word(RX) >> PVIRTQ_EVENT_FLAGS, PVIRTQ_EVENT_DISABLE);

	fe_connect(&fe);
	fe_start(&fe, FEATURES & ~BIT(VIRTIO_F_EVENT_IDX), 256);
	net_port_transmit(fe.port);
	assert_int_equal(device_word(TX) >> PVIRTQ_EVENT_FLAGS, PVIRTQ_EVENT_ENABLE);
	assert_int_equal(device_word(RX) >> PVIRTQ_EVENT_FLAGS, PVIRTQ_EVENT_DISABLE);
	assert_int_equal(fe_daemon_sends(&fe, frame, sizeof(frame)), NET_PORT_FULL);
	assert_int_equal(device_word(RX) >> PVIRTQ_EVENT_FLAGS, PVIRTQ_EVENT_ENABLE);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_bad_ring_breaks_its_card),
		T(the_longest_chain_is_as_long_as_the_ring),
		T(indirect_must_be_agreed_on),
		T(what_is_not_given_back_is_not_taken_again),
		T(areas_must_be_aligned),
		T(rings_have_any_size),
		T(a_ring_goes_on_where_it_was_left),
		cmocka_unit_test(what_is_pushed_is_not_seen),
		cmocka_unit_test(what_others_have_used_is_behind_it),
		cmocka_unit_test(the_driver_is_told_of_the_descriptor_that_it_waits_for),
		cmocka_unit_test(other_words_of_the_driver),
		T(kicks_are_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
