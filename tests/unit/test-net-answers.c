/* SPDX-License-Identifier: BSD-2-Clause */
/* ARP, neighbour discovery, echo: each request and its answer, and what gets none. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vhost_user_net/net_arp.h"
#include "vhost_user_net/net_checksum.h"
#include "vhost_user_net/net_echo.h"
#include "vhost_user_net/net_neighbor.h"
#include "vhost_user_net/net_spec.h"

static const uint8_t ours[6] = {2, 0, 0, 0, 0, 1}, guest[6] = {2, 0, 0, 0, 0, 10};
static const uint8_t our4[4] = {10, 77, 0, 1}, guest4[4] = {10, 77, 0, 11};
static const uint8_t our6[16] = {0xfe, 0x80, [15] = 1}, guest6[16] = {0xfe, 0x80, [15] = 11};
static const uint8_t nowhere[16], group6[16] = {0xff, 2, [11] = 1, 0xff, 0, 0, 1};

/* The answer to a frame of exactly @len bytes, so that a sanitizer sees a read past its end. */
#define ANSWERED(call, frame_, len_)                          \
	({                                                    \
		uint8_t *frame = malloc((len_) ? (len_) : 1); \
		size_t len = (len_), got;                     \
		memcpy(frame, (frame_), len);                 \
		got = (call);                                 \
		free(frame);                                  \
		got;                                          \
	})

/* ------------------------------------------------------------- ARP */

struct arp_frame {
	struct ethernet_header eth;
	struct arp_packet arp;
};

static struct arp_frame arp_request(void)
{
	struct arp_frame f = {.eth.type = be16_of(ETHERTYPE_ARP),
			      .arp = {.hrd = be16_of(1),
				      .pro = be16_of(ETHERTYPE_IPV4),
				      .hln = 6,
				      .pln = 4,
				      .op = be16_of(ARP_REQUEST)}};

	memset(f.eth.destination, 0xff, 6);
	memcpy(f.eth.source, guest, 6);
	memcpy(f.arp.sha, guest, 6);
	memcpy(f.arp.spa, guest4, 4);
	memcpy(f.arp.tpa, our4, 4);
	return f;
}

static size_t arp_answer(const struct arp_frame *f, size_t n, struct arp_frame *reply)
{
	return ANSWERED(net_arp_answer(ours, our4, frame, len, (uint8_t *)reply), f, n);
}

static void arp_tells_the_daemons_card(void **state)
{
	struct arp_frame f = arp_request(), r;

	assert_int_equal(arp_answer(&f, sizeof(f), &r), sizeof(r));
	assert_memory_equal(r.eth.destination, guest, 6);
	assert_memory_equal(r.eth.source, ours, 6);
	assert_int_equal(be16_get(r.arp.op), ARP_REPLY);
	assert_memory_equal(r.arp.sha, ours, 6);
	assert_memory_equal(r.arp.spa, our4, 4);
	assert_memory_equal(r.arp.tha, guest, 6);
	assert_memory_equal(r.arp.tpa, guest4, 4);
	/* A probe finds the address taken. */
	memset(f.arp.spa, 0, 4);
	assert_int_equal(arp_answer(&f, sizeof(f), &r), sizeof(r));
}

static void arp_is_silent_to_anything_else(void **state)
{
	struct arp_frame f = arp_request(), g, r;

	for (size_t n = 0; n < sizeof(f); n++)
		assert_int_equal(arp_answer(&f, n, &r), 0);
	g = f;
	g.arp.op = be16_of(ARP_REPLY);
	assert_int_equal(arp_answer(&g, sizeof(g), &r), 0);
	g = f;
	g.arp.tpa[3] = 2;
	assert_int_equal(arp_answer(&g, sizeof(g), &r), 0);
	g = f;
	g.arp.hrd = be16_of(6);
	assert_int_equal(arp_answer(&g, sizeof(g), &r), 0);
	g = f;
	g.arp.hln = 8;
	assert_int_equal(arp_answer(&g, sizeof(g), &r), 0);
	g = f;
	g.eth.type = be16_of(ETHERTYPE_IPV4);
	assert_int_equal(arp_answer(&g, sizeof(g), &r), 0);
}

/* ------------------------------------------------------------- neighbour discovery */

struct frame6 {
	struct ethernet_header eth;
	struct ipv6_header ip;
	uint8_t icmp[64];
};

static void seal6(struct frame6 *f, size_t len)
{
	be16 sum = be16_of(0);

	f->ip.payload_length = be16_of((uint16_t)len);
	memcpy(f->icmp + 2, &sum, 2);
	sum = be16_of(net_checksum_fold(net_checksum_add(
		net_checksum_pseudo6(f->ip.source, f->ip.destination, IP_ICMPV6, len), f->icmp,
		len)));
	memcpy(f->icmp + 2, &sum, 2);
}

static struct frame6 solicitation(void)
{
	struct frame6 f = {.eth.type = be16_of(ETHERTYPE_IPV6),
			   .ip = {.version_class_label = be32_of(6u << 28),
				  .next_header = IP_ICMPV6,
				  .hop_limit = 255},
			   .icmp = {135, [24] = 1, 1}};

	memcpy(f.eth.source, guest, 6);
	memcpy(f.ip.source, guest6, 16);
	memcpy(f.ip.destination, group6, 16);
	memcpy(f.icmp + 8, our6, 16);
	memcpy(f.icmp + 26, guest, 6);
	seal6(&f, 32);
	return f;
}

static size_t nd_answer(const struct frame6 *f, size_t n, uint8_t *reply)
{
	return ANSWERED(net_neighbor_answer(ours, our6, frame, len, reply), f, 54 + n);
}

static void neighbour_discovery_tells_the_daemons_card(void **state)
{
	struct frame6 f = solicitation(), r;
	uint8_t *to = (uint8_t *)&r;

	assert_int_equal(nd_answer(&f, 32, to), NET_NEIGHBOR_REPLY);
	assert_memory_equal(r.eth.destination, guest, 6);
	assert_memory_equal(r.ip.source, our6, 16);
	assert_memory_equal(r.ip.destination, guest6, 16);
	assert_int_equal(r.ip.hop_limit, 255);
	assert_int_equal(r.icmp[0], 136);
	assert_int_equal(r.icmp[4], 0x60);
	assert_memory_equal(r.icmp + 8, our6, 16);
	assert_int_equal(r.icmp[24], 2);
	assert_memory_equal(r.icmp + 26, ours, 6);
	assert_int_equal(net_checksum_fold(net_checksum_add(
				 net_checksum_pseudo6(r.ip.source, r.ip.destination, IP_ICMPV6, 32),
				 r.icmp, 32)),
			 0);
	/* Unreachability detection asks at the address itself. */
	memcpy(f.ip.destination, our6, 16);
	seal6(&f, 32);
	assert_int_equal(nd_answer(&f, 32, to), NET_NEIGHBOR_REPLY);
	/* Duplicate address detection: everybody hears it, and it is not said to be solicited. */
	f = solicitation();
	memcpy(f.ip.source, nowhere, 16);
	seal6(&f, 24);
	assert_int_equal(nd_answer(&f, 24, to), NET_NEIGHBOR_REPLY);
	assert_int_equal(r.ip.destination[0], 0xff);
	assert_int_equal(r.icmp[4], 0x20);
}

static void neighbour_discovery_is_silent_to_anything_else(void **state)
{
	static const struct {
		unsigned at; /* of the frame */
		uint8_t value;
	} wrong[] = {
		{21, 254} /* hop limit */,
		{20, 58 + 1} /* next header */,
		{54, 136},
		{55, 1},
		{54 + 8, 0xfd} /* target */,
		{22, 0xff} /* source is a group */,
		{38 + 15, 2} /* another group */,
		{54 + 25, 0} /* option of no length */,
		{54 + 25, 2} /* option beyond the end */,
		{12, 8} /* IPv4 */,
	};
	struct frame6 f = solicitation();
	uint8_t reply[NET_NEIGHBOR_REPLY];

	for (size_t n = 0; n < 32; n++)
		assert_int_equal(nd_answer(&f, n, reply), 0);
	assert_int_equal(ANSWERED(net_neighbor_answer(ours, our6, frame, len, reply), &f, 20), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		f = solicitation();
		((uint8_t *)&f)[wrong[i].at] = wrong[i].value;
		seal6(&f, 32);
		assert_int_equal(nd_answer(&f, 32, reply), 0);
	}
	/* From no address: no option with a card, and only to the group. */
	f = solicitation();
	memcpy(f.ip.source, nowhere, 16);
	seal6(&f, 32);
	assert_int_equal(nd_answer(&f, 32, reply), 0);
	memcpy(f.ip.destination, our6, 16);
	seal6(&f, 24);
	assert_int_equal(nd_answer(&f, 24, reply), 0);
	f = solicitation();
	f.icmp[2] ^= 1;
	assert_int_equal(nd_answer(&f, 32, reply), 0);
}

/* ------------------------------------------------------------- echo */

static size_t echo4(uint8_t *to, size_t payload)
{
	struct ethernet_header eth = {.type = be16_of(ETHERTYPE_IPV4)};
	struct ipv4_header ip = {.version_ihl = 0x45,
				 .total_length = be16_of((uint16_t)(28 + payload)),
				 .ttl = 1,
				 .protocol = IP_ICMP};
	uint8_t *icmp = to + 34;
	be16 sum;

	memcpy(eth.source, guest, 6);
	memcpy(ip.source, guest4, 4);
	memcpy(ip.destination, our4, 4);
	memcpy(to, &eth, 14);
	memcpy(to + 14, &ip, 20);
	memset(icmp, 0, 8);
	icmp[0] = 8;
	for (size_t i = 0; i < payload; i++)
		icmp[8 + i] = (uint8_t)i;
	sum = be16_of(net_checksum_fold(net_checksum_add(0, icmp, 8 + payload)));
	memcpy(icmp + 2, &sum, 2);
	return 42 + payload;
}

static size_t echo_answer(const uint8_t *f, size_t n, uint8_t *reply)
{
	return ANSWERED(net_echo_answer(ours, our4, our6, frame, len, reply), f, n);
}

static void echo_comes_back_over_ipv4(void **state)
{
	static const size_t sizes[] = {0, 1, 56, 1472};
	uint8_t f[1600], r[NET_ECHO_MAX];

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t n = echo4(f, sizes[i]);

		assert_int_equal(echo_answer(f, n, r), n);
		assert_memory_equal(r, guest, 6);
		assert_memory_equal(r + 6, ours, 6);
		assert_memory_equal(r + 26, our4, 4);
		assert_memory_equal(r + 30, guest4, 4);
		assert_int_equal(r[34], 0);
		assert_int_equal(net_checksum_fold(net_checksum_add(0, r + 14, 20)), 0);
		assert_int_equal(net_checksum_fold(net_checksum_add(0, r + 34, n - 34)), 0);
		assert_memory_equal(r + 38, f + 38, n - 38);
	}
}

static void echo_comes_back_over_ipv6(void **state)
{
	union {
		struct frame6 frame;
		uint8_t bytes[NET_ECHO_MAX];
	} room;
	struct frame6 f = solicitation(), r;

	memset(f.icmp, 0x5a, sizeof(f.icmp));
	f.icmp[0] = 128;
	f.icmp[1] = 0;
	memcpy(f.ip.destination, our6, 16);
	seal6(&f, 64);
	assert_int_equal(echo_answer((uint8_t *)&f, sizeof(f), room.bytes), sizeof(r));
	r = room.frame;
	assert_int_equal(r.icmp[0], 129);
	assert_memory_equal(r.ip.destination, guest6, 16);
	assert_memory_equal(r.icmp + 4, f.icmp + 4, 60);
	assert_int_equal(net_checksum_fold(net_checksum_add(
				 net_checksum_pseudo6(r.ip.source, r.ip.destination, IP_ICMPV6, 64),
				 r.icmp, 64)),
			 0);
	f.icmp[9] ^= 1;
	assert_int_equal(echo_answer((uint8_t *)&f, sizeof(f), room.bytes), 0);
	f.icmp[9] ^= 1;
	memcpy(f.ip.source, nowhere, 16);
	seal6(&f, 64);
	assert_int_equal(echo_answer((uint8_t *)&f, sizeof(f), room.bytes), 0);
	memcpy(f.ip.source, guest6, 16);
	f.icmp[0] = 129;
	seal6(&f, 64);
	assert_int_equal(echo_answer((uint8_t *)&f, sizeof(f), room.bytes), 0);
	f.ip.payload_length = be16_of(65);
	assert_int_equal(echo_answer((uint8_t *)&f, sizeof(f), room.bytes), 0);
}

static void echo_is_silent_to_anything_else(void **state)
{
	static const struct {
		unsigned at;
		uint8_t value;
	} wrong[] = {
		{14, 0x44} /* header of 16 bytes */,
		{14, 0x65} /* version */,
		{17, 200} /* length */,
		{16, 0} /* length, with 17 */,
		{20, 0x20} /* fragment */,
		{21, 1} /* fragment */,
		{23, 17} /* UDP */,
		{26, 224} /* source */,
		{30, 255} /* destination */,
		{34, 0} /* an answer */,
		{35, 1} /* code */,
		{36, 0xaa} /* checksum */,
	};
	uint8_t f[1600], r[NET_ECHO_MAX];
	size_t n = echo4(f, 8);

	for (size_t i = 0; i < n; i++)
		assert_int_equal(echo_answer(f, i, r), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		echo4(f, 8);
		if (wrong[i].at == 16)
			f[17] = 19;
		f[wrong[i].at] = wrong[i].value;
		assert_int_equal(echo_answer(f, n, r), 0);
	}
	assert_int_equal(echo_answer(f, echo4(f, 1473), r), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arp_tells_the_daemons_card),
		cmocka_unit_test(arp_is_silent_to_anything_else),
		cmocka_unit_test(neighbour_discovery_tells_the_daemons_card),
		cmocka_unit_test(neighbour_discovery_is_silent_to_anything_else),
		cmocka_unit_test(echo_comes_back_over_ipv4),
		cmocka_unit_test(echo_comes_back_over_ipv6),
		cmocka_unit_test(echo_is_silent_to_anything_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
