/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports and their links: where frames go, what receivers are spared, who is told and when. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "vhost_user_net/net_checksum.h"
#include "vhost_user_net/net_rules.h"
#include "vhost_user_net/net_frame.h"
#include "vhost_user_net/net_spec.h"
#include "vhost_user_net/vu_memory.h"
#include "vu-frontend.h"

#define BIT(n) (1ull << (n))

static const uint8_t everyone[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static struct fe_net net;
static struct fe a, b, c;

static uint8_t buf[70000];
static struct virtio_net_hdr hdr;

static int set_up(void **state _unused_)
{
	struct net_port_config config;

	fe_net_init(&net);
	config = fe_config(0);
	fe_open(&a, &net, &config);
	config = fe_config(1);
	fe_open(&b, &net, &config);
	config = fe_config(2);
	fe_open(&c, &net, &config);
	return 0;
}

static int tear_down(void **state _unused_)
{
	fe_close(&a);
	fe_close(&b);
	fe_close(&c);
	fe_net_deinit(&net);
	return 0;
}

/* A frame of guest @from to @dst: UDP between the guests' addresses, payload counting up. */
static size_t udp_frame(uint8_t *f, unsigned from, const uint8_t dst[6], size_t payload)
{
	struct ethernet_header eth = {.source = {2, 0, 0, 0, 0, (uint8_t)(10 + from)},
				      .type = be16_of(ETHERTYPE_IPV4)};
	struct ipv4_header ip = {.version_ihl = 0x45,
				 .total_length = be16_of((uint16_t)(28 + payload)),
				 .ttl = 64,
				 .protocol = IP_UDP,
				 .source = {10, 77, 0, (uint8_t)(10 + from)},
				 .destination = {10, 77, 0, 99}};
	struct udp_header udp = {.source_port = be16_of(1000),
				 .destination_port = be16_of(2000),
				 .length = be16_of((uint16_t)(8 + payload))};

	memcpy(eth.destination, dst, 6);
	memcpy(f, &eth, 14);
	memcpy(f + 14, &ip, 20);
	memcpy(f + 34, &udp, 8);
	for (size_t i = 0; i < payload; i++)
		f[42 + i] = (uint8_t)(i * 7 + from);
	return 42 + payload;
}

static size_t tcp_frame(uint8_t *f, unsigned from, const uint8_t dst[6], size_t payload)
{
	size_t len = udp_frame(f, from, dst, payload + 12);
	struct ipv4_header *ip = (void *)(f + 14);
	struct tcp_header *tcp = (void *)(f + 34);
	uint16_t sum;

	ip->protocol = IP_TCP;
	ip->identification = be16_of(0xfffe);
	*tcp = (struct tcp_header){.sequence = be32_of(0xfffffff0u),
				   .offset = 0x50,
				   .flags = TCP_PSH | TCP_CWR | 0x10};
	for (size_t i = 0; i < payload; i++)
		f[54 + i] = (uint8_t)(i * 7 + from);
	/* As a driver leaves it: the pseudo-header's sum, not inverted. */
	sum = (uint16_t)~net_checksum_fold(
		net_checksum_pseudo4(ip->source, ip->destination, IP_TCP, 20 + payload));
	tcp->checksum = be16_of(sum);
	return len;
}

static const uint8_t *mac_of(unsigned n)
{
	static uint8_t mac[NET_PORTS][6];

	mac[n][0] = 2;
	mac[n][5] = (uint8_t)(10 + n);
	return mac[n];
}

static void start(struct fe *fe, uint64_t features)
{
	fe_start(fe, features, 256);
	assert_true(net_port_up(fe->port));
	fe_rx_fill(fe, 256, 2048);
	net_port_transmit(fe->port);
	net_port_flush(fe->port);
}

static void send_frame(struct fe *fe, const struct virtio_net_hdr *h, const void *f, size_t len)
{
	fe_tx(fe, h, f, len);
	net_port_kicked(fe->port, VIRTIO_NET_TX);
	assert_false(net_port_transmit(fe->port));
}

static struct net_port_counters counters(struct fe *fe)
{
	struct net_port_counters n;

	net_port_count(fe->port, &n);
	return n;
}

static void assert_received(struct fe *fe, const void *f, size_t len)
{
	assert_int_equal(fe_rx(fe, &hdr, buf, sizeof(buf)), len);
	assert_memory_equal(buf, f, len);
}

static void assert_nothing(struct fe *fe)
{
	assert_int_equal(fe_rx(fe, &hdr, buf, sizeof(buf)), 0);
}

/* Features that change under running rings: the daemon must not send what the driver no longer takes. */
static void other_features_set_the_card_up_anew(void **state _unused_)
{
	start(&a, FE_FEATURES);
	assert_int_equal(a.takes, NET_TAKES_CSUM | NET_TAKES_TSO4 | NET_TAKES_TSO6);
	fe_set_features(&a, FE_FEATURES & ~(1ull << VIRTIO_NET_F_GUEST_TSO6));
	assert_int_equal(fe_message(&a), 0);
	assert_true(net_port_up(a.port));
	assert_int_equal(a.takes, NET_TAKES_CSUM | NET_TAKES_TSO4);
	assert_int_equal(a.downs, 1);
	assert_int_equal(a.ups, 2);
	/* The same once more is no news, nor are features that the daemon has no use for. */
	fe_set_features(&a, FE_FEATURES & ~(1ull << VIRTIO_NET_F_GUEST_TSO6));
	assert_int_equal(fe_message(&a), 0);
	fe_set_features(&a, FE_FEATURES & ~(1ull << VIRTIO_NET_F_GUEST_TSO6 |
					    1ull << VIRTIO_NET_F_HOST_TSO6));
	assert_int_equal(fe_message(&a), 0);
	assert_int_equal(a.downs, 1);
	fe_set_features(&a, FE_FEATURES & ~(1ull << VIRTIO_NET_F_GUEST_CSUM));
	assert_int_equal(fe_message(&a), 0);
	assert_int_equal(a.takes, 0);
}

static void frames_find_their_card(void **state _unused_)
{
	uint8_t f[2000];
	size_t len;

	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	start(&c, FE_FEATURES);
	assert_int_equal(a.takes, NET_TAKES_CSUM | NET_TAKES_TSO4 | NET_TAKES_TSO6);

	/* Nobody's address is known: to all cards that could have it, and not to the daemon. */
	len = udp_frame(f, 0, mac_of(1), 100);
	send_frame(&a, NULL, f, len);
	assert_int_equal(a.macs, 1);
	assert_memory_equal(a.mac, mac_of(0), 6);
	assert_received(&b, f, len);
	assert_received(&c, f, len);
	assert_int_equal(fe_daemon_gets(&a, &hdr, buf, sizeof(buf)), 0);

	/* b's is known now. */
	len = udp_frame(f, 1, mac_of(0), 60);
	send_frame(&b, NULL, f, len);
	assert_received(&a, f, len);
	assert_nothing(&c);
	len = udp_frame(f, 0, mac_of(1), 1400);
	send_frame(&a, NULL, f, len);
	assert_received(&b, f, len);
	assert_nothing(&c);

	/* To all, and the daemon. */
	len = udp_frame(f, 0, everyone, 10);
	send_frame(&a, NULL, f, len);
	assert_received(&b, f, len);
	assert_received(&c, f, len);
	assert_int_equal(fe_daemon_gets(&a, &hdr, buf, sizeof(buf)), len);
	assert_memory_equal(buf, f, len);
	assert_int_equal(fe_daemon_gets(&b, &hdr, buf, sizeof(buf)), 0);

	/* To the daemon alone. */
	len = udp_frame(f, 0, net_daemon_mac, 10);
	send_frame(&a, NULL, f, len);
	assert_nothing(&b);
	assert_int_equal(fe_daemon_gets(&a, &hdr, buf, sizeof(buf)), len);

	/* Nobody, once all are known. */
	len = udp_frame(f, 2, mac_of(0), 10);
	send_frame(&c, NULL, f, len);
	assert_received(&a, f, len);
	len = udp_frame(f, 0, mac_of(9), 10);
	send_frame(&a, NULL, f, len);
	assert_nothing(&b);
	assert_nothing(&c);
	assert_int_equal(counters(&a).tx_nowhere, 1);

	/* A card that is down has no address to send to. */
	fe_send_state(&b, VHOST_USER_GET_VRING_BASE, 0, 0);
	assert_int_equal(fe_message(&b), 0);
	assert_false(net_port_up(b.port));
	len = udp_frame(f, 0, mac_of(1), 10);
	send_frame(&a, NULL, f, len);
	assert_nothing(&c);
	assert_int_equal(counters(&a).tx_nowhere, 2);
}

/* Guest @from's frame to @dst with another MAC. */
static size_t frame_from(uint8_t *f, unsigned from, const uint8_t mac[6], const uint8_t dst[6])
{
	size_t len = udp_frame(f, from, dst, 10);

	memcpy(f + 6, mac, 6);
	return len;
}

/* The frame of @fe is the daemon's to have, and nobody else's. */
static void assert_confined(struct fe *fe, const uint8_t mac[6], unsigned from)
{
	uint8_t f[200];
	size_t len = frame_from(f, from, mac, everyone);

	while (fe_daemon_gets(fe, &hdr, buf, sizeof(buf)))
		;
	send_frame(fe, NULL, f, len);
	assert_nothing(&a);
	assert_int_equal(fe_daemon_gets(fe, &hdr, buf, sizeof(buf)), len);
	len = frame_from(f, from, mac, net_daemon_mac);
	send_frame(fe, NULL, f, len);
	assert_int_equal(fe_daemon_gets(fe, &hdr, buf, sizeof(buf)), len);
	len = frame_from(f, from, mac, mac_of(0));
	send_frame(fe, NULL, f, len);
	assert_nothing(&a);
	assert_int_equal(fe_daemon_gets(fe, &hdr, buf, sizeof(buf)), 0);
	assert_true(fe->is_foreign);
	assert_memory_equal(fe->foreign, mac, 6);
}

static void one_card_cannot_take_another_ones_address(void **state _unused_)
{
	uint8_t f[200];
	size_t len = udp_frame(f, 0, everyone, 10);

	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	send_frame(&a, NULL, f, len);
	assert_received(&b, f, len);
	/* b's address for IP, a's for Ethernet. */
	assert_confined(&b, mac_of(0), 1);
	assert_int_equal(b.macs, 0);
	assert_int_equal(b.foreigns, 1);
	/* Its own is still free to it. */
	len = udp_frame(f, 1, everyone, 10);
	send_frame(&b, NULL, f, len);
	assert_received(&a, f, len);
	assert_int_equal(b.macs, 1);
	assert_false(b.is_foreign);
	/* Nor when it has one, nor while the other's card is down. */
	assert_confined(&b, mac_of(0), 1);
	fe_send_state(&a, VHOST_USER_GET_VRING_BASE, 0, 0);
	assert_int_equal(fe_message(&a), 0);
	assert_false(net_port_up(a.port));
	assert_confined(&b, mac_of(0), 1);
	len = frame_from(f, 1, mac_of(2), mac_of(0));
	send_frame(&b, NULL, f, len);
	fe_send_state(&a, VHOST_USER_GET_VRING_BASE, 1, 0);
	start(&a, FE_FEATURES);
	assert_confined(&b, mac_of(0), 1);
}

static void a_card_may_change_to_an_address_that_nobody_has(void **state _unused_)
{
	static const uint8_t later[6] = {2, 0, 0, 0, 7, 7};
	uint8_t f[200];
	size_t len = udp_frame(f, 1, everyone, 10);

	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	start(&c, FE_FEATURES);
	send_frame(&b, NULL, f, len);
	assert_received(&a, f, len);
	assert_received(&c, f, len);
	len = udp_frame(f, 2, everyone, 10);
	send_frame(&c, NULL, f, len);
	assert_received(&a, f, len);
	assert_received(&b, f, len);
	len = frame_from(f, 1, later, everyone);
	send_frame(&b, NULL, f, len);
	assert_received(&a, f, len);
	assert_received(&c, f, len);
	assert_int_equal(b.macs, 2);
	assert_memory_equal(b.mac, later, 6);
	assert_int_equal(b.foreigns, 0);
	/* It is found by the new one alone, and the old one is free. */
	len = udp_frame(f, 0, later, 10);
	send_frame(&a, NULL, f, len);
	assert_received(&b, f, len);
	assert_nothing(&c);
	len = frame_from(f, 2, mac_of(1), everyone);
	send_frame(&c, NULL, f, len);
	assert_received(&b, f, len);
	assert_memory_equal(c.mac, mac_of(1), 6);
	assert_received(&a, f, len);
	assert_confined(&b, mac_of(1), 1);
}

/* The daemon's, many cards' and no card's: no guest's, and of the daemon's it is told why nothing goes. */
static void what_is_no_guests_address_is_never_taken(void **state _unused_)
{
	static const uint8_t group[6] = {3, 0, 0, 0, 7, 7}, zero[6], later[6] = {2, 0, 0, 0, 7, 7};
	const uint8_t *const tries[] = {net_daemon_mac, group, everyone, zero};
	uint8_t f[200];
	size_t len;

	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	for (unsigned first = 0; first < 2; first++) {
		for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
			len = frame_from(f, 1, tries[i], everyone);
			send_frame(&b, NULL, f, len);
			assert_nothing(&a);
			assert_int_equal(fe_daemon_gets(&b, &hdr, buf, sizeof(buf)), 0);
			assert_int_equal(b.macs, first);
			assert_true(b.is_foreign);
			assert_memory_equal(b.foreign, net_daemon_mac, 6);
			assert_int_equal(b.foreigns, 2 * first + 1);
		}
		len = udp_frame(f, 1, everyone, 10);
		send_frame(&b, NULL, f, len);
		assert_received(&a, f, len);
		for (unsigned i = 0; i < 64 && b.is_foreign; i++) {
			send_frame(&b, NULL, f, len);
			assert_received(&a, f, len);
		}
		assert_false(b.is_foreign);
		while (fe_daemon_gets(&b, &hdr, buf, sizeof(buf)))
			;
	}
	/* One after the other, and back to the first: each is its own while it is used. */
	for (unsigned i = 0; i < 6; i++) {
		len = frame_from(f, 1, i % 2 ? mac_of(1) : later, everyone);
		send_frame(&b, NULL, f, len);
		assert_received(&a, f, len);
		assert_int_equal(b.macs, 2 + i);
		assert_memory_equal(b.mac, i % 2 ? mac_of(1) : later, 6);
		assert_int_equal(b.foreigns, 4);
	}
}

/* The address in the configuration is its VM's, whatever a guest uses, and comes before all. */
static void a_configured_address_is_its_ports(void **state _unused_)
{
	static const uint8_t other[6] = {2, 0, 0, 0, 7, 7};
	struct net_port_config config = fe_config(3);
	uint8_t f[200];
	size_t len = frame_from(f, 1, mac_of(3), everyone);
	struct fe d;

	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	send_frame(&b, NULL, f, len);
	assert_received(&a, f, len);
	memcpy(config.mac, mac_of(3), 6);
	config.fixed_mac = true;
	fe_open(&d, &net, &config);
	assert_confined(&b, mac_of(3), 1);
	start(&d, FE_FEATURES);
	assert_int_equal(d.macs, 0);
	assert_confined(&b, mac_of(3), 1);
	assert_confined(&d, other, 3);
	assert_int_equal(d.macs, 0);
	/* Told no longer, once it keeps to its own. */
	len = udp_frame(f, 3, everyone, 10);
	for (unsigned i = 0; i < 64; i++) {
		assert_true(d.is_foreign);
		send_frame(&d, NULL, f, len);
		assert_received(&a, f, len);
		while (fe_daemon_gets(&d, &hdr, buf, sizeof(buf)))
			;
	}
	assert_false(d.is_foreign);
	fe_close(&d);
}

/* What its guest had before the daemon's start is a port's until it takes another one. */
static void an_address_of_before_is_kept(void **state _unused_)
{
	static const uint8_t other[6] = {2, 0, 0, 0, 7, 7};
	struct net_port_config config = fe_config(3);
	uint8_t f[200];
	struct fe d;
	size_t len;

	memcpy(config.mac, mac_of(3), 6);
	fe_open(&d, &net, &config);
	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	assert_confined(&b, mac_of(3), 1);
	start(&d, FE_FEATURES);
	len = frame_from(f, 3, other, everyone);
	send_frame(&d, NULL, f, len);
	assert_received(&a, f, len);
	len = frame_from(f, 1, mac_of(3), everyone);
	send_frame(&b, NULL, f, len);
	assert_received(&a, f, len);
	fe_close(&d);
	/* And is nobody's who comes too late. */
	fe_open(&d, &net, &config);
	fe_close(&d);
}

/* fe80:: and a MAC: as a source, as what an answer is for, as what is claimed. */
static void ipv6_addresses_of_another_card_stay_its_own(void **state _unused_)
{
	static const struct {
		uint8_t type;
		bool from_nowhere;
	} tries[] = {{0, false}, {136, false}, {135, true}, {135, false}};
	uint8_t f[200];
	size_t len = udp_frame(f, 0, everyone, 10);

	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	send_frame(&a, NULL, f, len);
	assert_received(&b, f, len);
	for (unsigned i = 0; i < ARRAY_SIZE(tries); i++) {
		uint8_t theirs[16] = {0xfe, 0x80, [11] = 0xff, [12] = 0xfe};
		struct ethernet_header eth = {.type = be16_of(ETHERTYPE_IPV6)};
		struct ipv6_header ip = {.version_class_label = be32_of(6u << 28),
					 .payload_length = be16_of(24),
					 .next_header = IP_ICMPV6,
					 .hop_limit = 255,
					 .destination = {0xff, 2, [15] = 1}};
		uint8_t icmp[24] = {tries[i].type ? tries[i].type : 128};
		/* Asking where another one is, is no claim. */
		bool claims = i != 3;

		theirs[15] = mac_of(0)[5];
		memcpy(eth.destination, everyone, 6);
		memcpy(eth.source, mac_of(1), 6);
		if (tries[i].type)
			memcpy(icmp + 8, theirs, 16);
		if (!tries[i].type)
			memcpy(ip.source, theirs, 16);
		else if (!tries[i].from_nowhere)
			memcpy(ip.source, (uint8_t[16]){0xfe, 0x80, [15] = 9}, 16);
		memcpy(f, &eth, 14);
		memcpy(f + 14, &ip, 40);
		memcpy(f + 54, icmp, 24);
		send_frame(&b, NULL, f, 78);
		if (claims)
			assert_nothing(&a);
		else
			assert_received(&a, f, 78);
		assert_int_equal(fe_daemon_gets(&b, &hdr, buf, sizeof(buf)), 78);
	}
}

static void a_guest_with_the_daemons_address_is_found(void **state _unused_)
{
	struct ethernet_header *eth = (void *)buf;
	struct arp_packet *arp = (void *)(buf + 14);
	uint8_t f[200];
	size_t len;

	start(&a, FE_FEATURES);
	net_port_probe(a.port);
	assert_int_equal(fe_rx(&a, &hdr, buf, sizeof(buf)), 60);
	assert_int_equal(be16_get(eth->type), ETHERTYPE_ARP);
	assert_memory_equal(eth->source, net_daemon_mac, 6);
	assert_int_equal(be16_get(arp->op), ARP_REQUEST);
	assert_memory_equal(arp->spa, "\0\0\0\0", 4);
	assert_memory_equal(arp->tpa, "\x0a\x4d\x00\x01", 4);
	assert_false(a.has_daemon);
	/* The answer goes nowhere, and is told. */
	memcpy(arp->tha, arp->sha, 6);
	memcpy(arp->sha, mac_of(0), 6);
	memcpy(arp->spa, arp->tpa, 4);
	arp->op = be16_of(ARP_REPLY);
	memcpy(eth->destination, net_daemon_mac, 6);
	memcpy(eth->source, mac_of(0), 6);
	memcpy(f, buf, 60);
	send_frame(&a, NULL, f, 60);
	assert_true(a.has_daemon);
	assert_int_equal(fe_daemon_gets(&a, &hdr, buf, sizeof(buf)), 0);
	/* Other frames say nothing of it; one to the daemon's address does. */
	len = udp_frame(f, 0, everyone, 10);
	send_frame(&a, NULL, f, len);
	assert_true(a.has_daemon);
	len = udp_frame(f, 0, net_daemon_mac, 10);
	memcpy(f + 30, "\x0a\x4d\x00\x01", 4);
	send_frame(&a, NULL, f, len);
	assert_false(a.has_daemon);
}

static void isolated_guests_reach_the_daemon_alone(void **state _unused_)
{
	struct net_port_config config = fe_config(3);
	uint8_t f[200];
	struct fe d;
	size_t len;

	net.isolate = true;
	memcpy(config.mac, mac_of(3), 6);
	config.fixed_mac = true;
	fe_open(&d, &net, &config);
	start(&a, FE_FEATURES);
	start(&d, FE_FEATURES);
	assert_int_equal(d.macs, 0);
	len = udp_frame(f, 3, everyone, 10);
	send_frame(&d, NULL, f, len);
	assert_nothing(&a);
	assert_int_equal(fe_daemon_gets(&d, &hdr, buf, sizeof(buf)), len);
	len = udp_frame(f, 0, everyone, 10);
	send_frame(&a, NULL, f, len);
	assert_nothing(&d);
	len = udp_frame(f, 0, mac_of(3), 10);
	send_frame(&a, NULL, f, len);
	assert_nothing(&d);
	assert_int_equal(counters(&a).tx_nowhere, 1);
	fe_close(&d);
}

static const struct virtio_net_hdr tso4 = {
	.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
	.hdr_len = {{0xff, 0xff}}, /* a lie: recomputed */
	.gso_size = {{0xe8, 0x03}},
	.csum_start = {{34, 0}},
	.csum_offset = {{16, 0}},
};

static void long_frames_go_whole_to_those_who_take_them(void **state _unused_)
{
	static uint8_t f[70000];
	size_t len = tcp_frame(f, 0, mac_of(1), 60000);

	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	send_frame(&a, &tso4, f, len);
	assert_received(&b, f, len);
	assert_int_equal(le16_get(hdr.num_buffers), (12 + len + 2047) / 2048);
	assert_int_equal(hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(le16_get(hdr.gso_size), 1000);
	assert_int_equal(le16_get(hdr.hdr_len), 54);

	memcpy(f, net_daemon_mac, 6);
	send_frame(&a, &tso4, f, len);
	assert_int_equal(fe_daemon_gets(&a, &hdr, buf, sizeof(buf)), len);
	assert_memory_equal(buf, f, len);
	assert_int_equal(hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
}

static void assert_checksums(const uint8_t *f, size_t len)
{
	const struct ipv4_header *ip = (const void *)(f + 14);
	size_t n = len - 34;
	uint32_t sum = net_checksum_pseudo4(ip->source, ip->destination, ip->protocol, n);

	assert_int_equal(net_checksum_fold(net_checksum_add(sum, f + 34, n)), 0);
}

static void others_get_segments_and_checksums(void **state _unused_)
{
	static uint8_t f[70000];
	size_t len = tcp_frame(f, 0, mac_of(1), 2500);

	start(&a, FE_FEATURES);
	start(&b, BIT(VIRTIO_F_VERSION_1)); /* nothing but the least */
	send_frame(&a, &tso4, f, len);
	for (unsigned i = 0; i < 3; i++) {
		size_t n = i < 2 ? 1000 : 500;
		const struct ipv4_header *ip = (const void *)(buf + 14);
		const struct tcp_header *tcp = (const void *)(buf + 34);

		assert_int_equal(fe_rx(&b, &hdr, buf, sizeof(buf)), 54 + n);
		assert_int_equal(hdr.flags, 0);
		assert_int_equal(hdr.gso_type, 0);
		assert_memory_equal(buf + 54, f + 54 + i * 1000, n);
		assert_int_equal(be32_get(tcp->sequence), 0xfffffff0u + i * 1000);
		assert_int_equal(tcp->flags & TCP_CWR, i == 0 ? TCP_CWR : 0);
		assert_int_equal(tcp->flags & TCP_PSH, i == 2 ? TCP_PSH : 0);
		assert_int_equal(be16_get(ip->total_length), 40 + n);
		assert_int_equal(be16_get(ip->identification), (0xfffe + i) & 0xffff);
		assert_int_equal(net_checksum_fold(net_checksum_add(0, ip, 20)), 0);
		assert_checksums(buf, 54 + n);
	}
	assert_nothing(&b);

	/* A checksum alone. */
	struct virtio_net_hdr csum = tso4;

	csum.gso_type = 0;
	len = tcp_frame(f, 0, mac_of(1), 999);
	send_frame(&a, &csum, f, len);
	assert_int_equal(fe_rx(&b, &hdr, buf, sizeof(buf)), len);
	assert_int_equal(hdr.flags, 0);
	assert_checksums(buf, len);
	assert_memory_equal(buf + 54, f + 54, 999);

	/* More segments than anyone sends. */
	csum = tso4;
	csum.gso_size = le16_of(1);
	len = tcp_frame(f, 0, mac_of(1), 2500);
	send_frame(&a, &csum, f, len);
	assert_nothing(&b);
}

static void a_full_ring_costs_the_frame_alone(void **state _unused_)
{
	const unsigned n = NET_LINK_RING / ((16 + 1042 + 15) / 16 * 16);
	uint8_t f[2000];
	size_t len = udp_frame(f, 0, mac_of(1), 1000);

	start(&a, FE_FEATURES);
	start(&c, FE_FEATURES);
	/* All addresses are known. */
	send_frame(&a, NULL, f, len);
	assert_received(&c, f, len);
	fe_start(&b, FE_FEATURES, 256);
	net_port_mac_granted(b.port, mac_of(1), true);
	net_roster_mac_wanted(&net.roster, b.number, mac_of(1));
	fe_control(&a);
	fe_control(&b);
	fe_rx_fill(&b, 3, 512); /* room for one */
	/* As many as a link holds wait for room. */
	for (unsigned i = 0; i < n; i++)
		send_frame(&a, NULL, f, len);
	assert_int_equal(counters(&a).tx_full, 0);
	send_frame(&a, NULL, f, len);
	send_frame(&a, NULL, f, len);
	assert_int_equal(counters(&a).tx_full, 2);
	fe_arrive(&b);
	assert_int_equal(counters(&b).rx_frames, 1);
	/* Others don't wait for that one. */
	memcpy(f, mac_of(2), 6);
	send_frame(&a, NULL, f, len);
	assert_received(&c, f, len);
	memcpy(f, mac_of(1), 6);
	for (unsigned i = 0; i < n; i++) {
		/* The three buffers are there again, and the guest kicks for the last of them. */
		assert_received(&b, f, len);
		assert_int_equal(le16_get(hdr.num_buffers), 2 + 1);
	}
	assert_nothing(&b);
	assert_int_equal(counters(&b).rx_full, 0);
	send_frame(&a, NULL, f, len);
	assert_received(&b, f, len);
	/* Room that never will be is not waited for. */
	len = udp_frame(f, 0, mac_of(1), 1500 - 28);
	fe_connect(&b);
	fe_start(&b, FE_FEATURES, 4);
	fe_rx_fill(&b, 4, 100);
	send_frame(&a, NULL, f, len);
	assert_nothing(&b);
	assert_int_equal(counters(&b).rx_full, 1);
}

static const struct net_offload long4 = {.csum = true,
					 .csum_start = 34,
					 .csum_offset = 16,
					 .gso = VIRTIO_NET_HDR_GSO_TCPV4,
					 .gso_size = 1000,
					 .hdr_len = 54};
static const struct net_offload whole;

/* In three pieces. */
static int daemon_sends(struct fe *fe, const struct net_offload *o, uint8_t *f, size_t len)
{
	struct iovec parts[] = {{f, 20}, {f + 20, 14}, {f + 34, len - 34}};

	return net_port_send(fe->port, o, parts, 3, len);
}

static void the_daemon_sends(void **state _unused_)
{
	static uint8_t f[70000];

	start(&a, FE_FEATURES);
	for (unsigned i = 0; i < 100; i++) {
		size_t len = tcp_frame(f, 5, mac_of(0), i % 7 == 3 ? 64000 - i : 50 + i * 11);

		assert_int_equal(daemon_sends(&a, &long4, f, len), NET_PORT_SENT);
		assert_received(&a, f, len);
		assert_int_equal(le16_get(hdr.num_buffers), (12 + len + 2047) / 2048);
		assert_int_equal(hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
		assert_int_equal(le16_get(hdr.gso_size), 1000);
	}
	assert_int_equal(counters(&a).rx_frames, 100);
	assert_int_equal(counters(&a).rx_full, 0);
}

static uint16_t avail_event(struct fe *fe)
{
	return le16toh(*fe_used_word(fe, VIRTIO_NET_RX, VIRTQ_USED_RING + 8 * 256));
}

/* Where there is no room nothing is lost, and the guest is asked to tell of it. */
static void the_daemon_waits_for_room(void **state _unused_)
{
	static uint8_t f[70000];
	size_t len = tcp_frame(f, 5, mac_of(0), 60000);

	assert_int_equal(daemon_sends(&a, &whole, f, 100), NET_PORT_FULL); /* the card is down */
	fe_start(&a, FE_FEATURES, 256);
	assert_int_equal(daemon_sends(&a, &whole, f, 100), NET_PORT_FULL);
	assert_int_equal(avail_event(&a), 1 - 1);
	fe_rx_fill(&a, 2, 2048);
	/* As many of 2 KiB as it takes. */
	assert_int_equal(daemon_sends(&a, &long4, f, len), NET_PORT_FULL);
	assert_int_equal(avail_event(&a), (12 + len + 2047) / 2048 - 1);
	assert_nothing(&a);
	for (unsigned i = 2; i < 40; i++) {
		fe_put_desc(&a, VIRTIO_NET_RX, i, FE_GPA + FE_RX_BUF + i * 2048, 2048,
			    VIRTQ_DESC_F_WRITE, 0);
		fe_post(&a, VIRTIO_NET_RX, i);
	}
	net_port_kicked(a.port, VIRTIO_NET_RX);
	assert_int_equal(daemon_sends(&a, &long4, f, len), NET_PORT_SENT);
	assert_received(&a, f, len);
	assert_int_equal(counters(&a).rx_full, 0);

	/* Without the event index: by the flag, which is on only while the daemon waits. */
	fe_connect(&b);
	fe_start(&b, FE_FEATURES & ~BIT(VIRTIO_F_EVENT_IDX), 256);
	assert_int_equal(*fe_used_word(&b, 0, VIRTQ_USED_FLAGS), VIRTQ_USED_F_NO_NOTIFY);
	assert_int_equal(daemon_sends(&b, &whole, f, 100), NET_PORT_FULL);
	assert_int_equal(*fe_used_word(&b, 0, VIRTQ_USED_FLAGS), 0);
	fe_rx_fill(&b, 100, 2048);
	net_port_kicked(b.port, VIRTIO_NET_RX);
	assert_int_equal(*fe_used_word(&b, 0, VIRTQ_USED_FLAGS), VIRTQ_USED_F_NO_NOTIFY);
	assert_int_equal(daemon_sends(&b, &whole, f, 100), NET_PORT_SENT);
	assert_received(&b, f, 100);

	/* A ring of 16 can't take the longest, and is not asked to; what it can never take is lost. */
	fe_start(&c, FE_FEATURES, 16);
	assert_int_equal(c.takes, NET_TAKES_CSUM);
	fe_rx_fill(&c, 16, 1536);
	assert_int_equal(daemon_sends(&c, &whole, f, 1514), NET_PORT_SENT);
	assert_received(&c, f, 1514);
	assert_int_equal(daemon_sends(&c, &long4, f, len), NET_PORT_SENT);
	assert_nothing(&c);
	assert_int_equal(counters(&c).rx_full, 1);
}

/* One buffer a frame: one that is too small for it is no reason to wait. */
static void the_daemon_does_not_wait_for_a_larger_buffer(void **state _unused_)
{
	static uint8_t f[2000];

	fe_start(&a, FE_FEATURES & ~BIT(VIRTIO_NET_F_MRG_RXBUF), 256);
	fe_rx_fill(&a, 10, 800);
	assert_int_equal(daemon_sends(&a, &whole, f, 1000), NET_PORT_SENT);
	assert_int_equal(counters(&a).rx_full, 1);
	assert_int_equal(daemon_sends(&a, &whole, f, 700), NET_PORT_SENT);
	assert_received(&a, f, 700);
}

static size_t arp_frame(uint8_t *f, unsigned from, uint8_t asked)
{
	static const uint8_t head[] = {8, 6, 0, 1, 8, 0, 6, 4, 0, 1};

	memset(f, 0xff, 6);
	memcpy(f + 6, mac_of(from), 6);
	memcpy(f + 12, head, sizeof(head));
	memcpy(f + 22, mac_of(from), 6);
	memcpy(f + 28, (uint8_t[]){10, 77, 0, (uint8_t)(10 + from)}, 4);
	memset(f + 32, 0, 6);
	memcpy(f + 38, (uint8_t[]){10, 77, 0, asked}, 4);
	return 42;
}

/* Who asks for the daemon's card is answered, and the daemon sees that, too. */
static void the_daemon_is_found(void **state _unused_)
{
	static uint8_t f[2000];
	struct ipv4_header *ip;
	size_t len;

	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	len = arp_frame(f, 0, 1);
	send_frame(&a, NULL, f, len);
	assert_int_equal(fe_rx(&a, &hdr, buf, sizeof(buf)), 42);
	assert_memory_equal(buf, mac_of(0), 6);
	assert_memory_equal(buf + 6, net_daemon_mac, 6);
	assert_int_equal(buf[21], 2); /* a reply */
	assert_memory_equal(buf + 22, net_daemon_mac, 6);
	assert_int_equal(fe_daemon_gets(&a, &hdr, buf, sizeof(buf)), len);
	assert_received(&b, f, len);
	/* One that asks for another guest is that guest's. */
	send_frame(&a, NULL, f, arp_frame(f, 0, 11));
	assert_nothing(&a);

	/* Echo. */
	len = udp_frame(f, 0, net_daemon_mac, 10);
	ip = (void *)(f + 14);
	memcpy(ip->destination, (uint8_t[]){10, 77, 0, 1}, 4);
	ip->protocol = IP_ICMP;
	ip->checksum = be16_of(0);
	ip->checksum = be16_of(net_checksum_fold(net_checksum_add(0, ip, 20)));
	memset(f + 34, 0, 18);
	f[34] = 8;
	f[36] = 0xf7;
	f[37] = 0xff;
	send_frame(&a, NULL, f, len);
	assert_int_equal(fe_rx(&a, &hdr, buf, sizeof(buf)), len);
	assert_int_equal(buf[34], 0);
	assert_memory_equal(buf + 26, ((uint8_t[]){10, 77, 0, 1}), 4);
}

static void buffers_without_merging_must_hold_the_frame(void **state _unused_)
{
	uint8_t f[2000];
	size_t len = udp_frame(f, 0, mac_of(1), 1000);

	start(&a, FE_FEATURES);
	fe_start(&b, FE_FEATURES & ~BIT(VIRTIO_NET_F_MRG_RXBUF), 256);
	fe_rx_fill(&b, 10, 800);
	send_frame(&a, NULL, f, len);
	assert_nothing(&b);
	assert_int_equal(counters(&b).rx_full, 1);
	len = udp_frame(f, 0, mac_of(1), 700);
	send_frame(&a, NULL, f, len);
	assert_received(&b, f, len);
}

/* Whether the receiver's guest is told of what has arrived. */
static unsigned rx_calls(struct fe *receiver)
{
	fe_calls(receiver, VIRTIO_NET_RX);
	fe_arrive(receiver);
	net_port_flush(receiver->port);
	return fe_calls(receiver, VIRTIO_NET_RX);
}

static void set_used_event(struct fe *fe, unsigned ring, uint16_t x)
{
	__atomic_store_n(fe_avail_word(fe, ring, VIRTQ_AVAIL_RING + 2 * fe->ring[ring].num),
			 htole16(x), __ATOMIC_RELAXED);
}

static void guests_are_told_when_they_want_to_be(void **state _unused_)
{
	uint8_t f[200];
	size_t len = udp_frame(f, 0, mac_of(1), 10);

	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	/* From the start on the ring's whole number range and over its wrap. */
	for (unsigned i = 0; i < 70000; i++) {
		uint16_t used = fe_used_idx(&b, VIRTIO_NET_RX);

		/* every third frame wants an interrupt */
		set_used_event(&b, VIRTIO_NET_RX, (uint16_t)(i % 3 == 0 ? used : used + 5));
		send_frame(&a, NULL, f, len);
		assert_int_equal(rx_calls(&b), i % 3 == 0);
		assert_received(&b, f, len);
		assert_true(fe_used(&a, VIRTIO_NET_TX, &(uint32_t){0}, &(uint32_t){0}));
		if (i == 300)
			assert_int_equal(rx_calls(&b), 0);
	}

	/* Several in a turn are one interrupt. */
	set_used_event(&b, VIRTIO_NET_RX, fe_used_idx(&b, VIRTIO_NET_RX));
	for (unsigned i = 0; i < 5; i++)
		send_frame(&a, NULL, f, len);
	assert_int_equal(rx_calls(&b), 1);
}

static void news_of_few_sent_frames_can_wait(void **state _unused_)
{
	uint8_t f[200];
	size_t len = udp_frame(f, 0, mac_of(1), 10);

	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	net_port_signal(a.port);
	assert_false(net_port_signal_due(a.port));
	fe_calls(&a, VIRTIO_NET_TX);
	set_used_event(&a, VIRTIO_NET_TX, fe_used_idx(&a, VIRTIO_NET_TX));
	send_frame(&a, NULL, f, len);
	net_port_flush(a.port);
	assert_int_equal(fe_calls(&a, VIRTIO_NET_TX), 0);
	assert_true(net_port_signal_due(a.port));
	net_port_signal(a.port);
	assert_int_equal(fe_calls(&a, VIRTIO_NET_TX), 1);
	assert_false(net_port_signal_due(a.port));

	/* The driver has looked by itself meanwhile, and wants to know of later ones only. */
	set_used_event(&a, VIRTIO_NET_TX, fe_used_idx(&a, VIRTIO_NET_TX));
	send_frame(&a, NULL, f, len);
	net_port_flush(a.port);
	assert_true(net_port_signal_due(a.port));
	set_used_event(&a, VIRTIO_NET_TX, fe_used_idx(&a, VIRTIO_NET_TX));
	assert_false(net_port_signal_due(a.port));
	net_port_signal(a.port);
	assert_int_equal(fe_calls(&a, VIRTIO_NET_TX), 0);
	assert_false(net_port_signal_due(a.port));

	/* Many don't wait. */
	for (unsigned i = 0; i < 16; i++) {
		net_port_flush(a.port);
		assert_int_equal(fe_calls(&a, VIRTIO_NET_TX), 0);
		send_frame(&a, NULL, f, len);
	}
	net_port_flush(a.port);
	assert_int_equal(fe_calls(&a, VIRTIO_NET_TX), 1);
	assert_false(net_port_signal_due(a.port));
}

/* Its front-end keeps the counter full, and made it one that waits: who tells the guest does not. */
static void a_full_call_stops_nobody(void **state _unused_)
{
	uint8_t f[200];
	size_t len = udp_frame(f, 0, mac_of(1), 10);

	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	fe_calls(&b, VIRTIO_NET_RX);
	assert_return_code(eventfd_write(b.ring[VIRTIO_NET_RX].call, UINT64_MAX - 1), errno);
	assert_return_code(fcntl(b.ring[VIRTIO_NET_RX].call, F_SETFL, 0), errno);
	for (unsigned i = 0; i < 3; i++) {
		set_used_event(&b, VIRTIO_NET_RX, fe_used_idx(&b, VIRTIO_NET_RX));
		send_frame(&a, NULL, f, len);
		fe_arrive(&b);
		net_port_flush(b.port);
		assert_received(&b, f, len);
	}
	/* With room in it, it is told. */
	assert_return_code(fcntl(b.ring[VIRTIO_NET_RX].call, F_SETFL, O_NONBLOCK), errno);
	fe_calls(&b, VIRTIO_NET_RX);
	set_used_event(&b, VIRTIO_NET_RX, fe_used_idx(&b, VIRTIO_NET_RX));
	send_frame(&a, NULL, f, len);
	assert_int_equal(rx_calls(&b), 1);
}

static void guests_are_told_by_the_flag_too(void **state _unused_)
{
	uint8_t f[200];
	size_t len = udp_frame(f, 0, mac_of(1), 10);

	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES & ~BIT(VIRTIO_F_EVENT_IDX));
	send_frame(&a, NULL, f, len);
	assert_int_equal(rx_calls(&b), 1);
	assert_int_equal(rx_calls(&b), 0);
	*fe_avail_word(&b, 0, VIRTQ_AVAIL_FLAGS) = htole16(VIRTQ_AVAIL_F_NO_INTERRUPT);
	send_frame(&a, NULL, f, len);
	assert_int_equal(rx_calls(&b), 0);
}

static void kicks_are_off_while_the_ring_is_served(void **state _unused_)
{
	uint8_t f[200];
	size_t len = udp_frame(f, 0, net_daemon_mac, 10);

	start(&a, FE_FEATURES & ~BIT(VIRTIO_F_EVENT_IDX));
	assert_int_equal(*fe_used_word(&a, 1, VIRTQ_USED_FLAGS), 0);
	for (unsigned i = 0; i < 100; i++)
		fe_tx(&a, NULL, f, len);
	/* More than a burst: there is more, and no kick is asked for. */
	assert_true(net_port_transmit(a.port));
	assert_int_equal(*fe_used_word(&a, 1, VIRTQ_USED_FLAGS), VIRTQ_USED_F_NO_NOTIFY);
	assert_false(net_port_transmit(a.port));
	assert_int_equal(*fe_used_word(&a, 1, VIRTQ_USED_FLAGS), 0);
	assert_int_equal(fe_used_idx(&a, 1), 100);

	/* With the event index: the next buffer. */
	start(&b, FE_FEATURES);
	fe_tx(&b, NULL, f, len);
	assert_false(net_port_transmit(b.port));
	assert_int_equal(le16toh(*fe_used_word(&b, 1, VIRTQ_USED_RING + 8 * 256)), 1);
}

static void dhcp_is_answered_and_goes_nowhere(void **state _unused_)
{
	uint8_t f[600];
	struct udp_header *udp = (void *)(f + 34);
	struct dhcp_message m = {
		.op = 1, .htype = 1, .hlen = 6, .xid = be32_of(7), .cookie = be32_of(DHCP_COOKIE)};
	size_t len = udp_frame(f, 0, everyone, sizeof(m) + 4);
	const struct dhcp_message *r = (const void *)(buf + 42);

	memset(f + 26, 0, 4);
	udp->source_port = be16_of(68);
	udp->destination_port = be16_of(67);
	memcpy(m.chaddr, mac_of(0), 6);
	memcpy(f + 42, &m, sizeof(m));
	memcpy(f + 42 + sizeof(m), "\x35\x01\x01\xff", 4);
	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	send_frame(&a,
		   &(struct virtio_net_hdr){.flags = 1, .csum_start = {{34}}, .csum_offset = {{6}}},
		   f, len);
	assert_nothing(&b);
	assert_int_equal(fe_daemon_gets(&a, &hdr, buf, sizeof(buf)), 0);
	assert_int_equal(fe_rx(&a, &hdr, buf, sizeof(buf)), 342);
	assert_memory_equal(r->yiaddr, "\x0a\x4d\x00\x0a", 4);
	assert_checksums(buf, 342);
}

/* Fields of the virtio-net header that would make someone write or read where he must not. */
static void bad_headers_cost_the_frame(void **state _unused_)
{
	static const struct {
		uint8_t flags, gso;
		uint16_t size, start, offset;
	} bad[] = {
		{1, 1, 0, 34, 16},	 /* segments of no length */
		{0, 1, 1000, 34, 16},	 /* segmentation without a checksum */
		{1, 3, 1000, 34, 16},	 /* UDP fragmentation: not offered */
		{1, 5, 1000, 34, 16},	 /* unknown */
		{1, 0x81, 1000, 34, 16}, /* ECN: not agreed on here */
		{1, 4, 1000, 34, 16},	 /* IPv6 in IPv4 */
		{1, 0, 0, 34, 6},	 /* UDP's place in TCP */
		{1, 0, 0, 14, 12},	 /* into the source address */
		{1, 0, 0, 0, 28},	 /* the same from the start */
		{1, 0, 0, 35, 15},	 /* odd place in the header */
		{1, 0, 0, 60000, 16},	 /* beyond the end */
		{1, 0, 0, 34, 60000},	 {1, 0, 0, 0xffff, 0xffff},
		{1, 0, 0, 152, 1}, /* the last byte and the one behind it */
		{1, 0, 0, 154, 0},
	};
	uint8_t f[200];
	size_t len = tcp_frame(f, 0, mac_of(1), 100);

	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	assert_int_equal(len, 154);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct virtio_net_hdr h = {.flags = bad[i].flags,
					   .gso_type = bad[i].gso,
					   .gso_size = le16_of(bad[i].size),
					   .csum_start = le16_of(bad[i].start),
					   .csum_offset = le16_of(bad[i].offset)};

		send_frame(&a, &h, f, len);
		assert_nothing(&b);
		assert_int_equal(counters(&a).tx_refused, i + 1);
		assert_true(net_port_up(a.port));
	}
	/* The last place that fits. */
	send_frame(&a,
		   &(struct virtio_net_hdr){
			   .flags = 1, .csum_start = le16_of(150), .csum_offset = le16_of(2)},
		   f, len);
	assert_received(&b, f, len);
	/* Too short for a header, for a frame; a header in pieces of one byte. */
	fe_put_desc(&a, 1, 200, FE_GPA + FE_TX_BUF, 5, 0, 0);
	fe_post(&a, 1, 200);
	fe_put_desc(&a, 1, 201, FE_GPA + FE_TX_BUF, 25, 0, 0);
	fe_post(&a, 1, 201);
	memset(fe_at(&a, FE_GPA + FE_TX_BUF), 0, 12);
	memcpy(fe_at(&a, FE_GPA + FE_TX_BUF + 12), f, len);
	for (unsigned i = 0; i < 30; i++)
		fe_put_desc(&a, 1, 210 + i, FE_GPA + FE_TX_BUF + i, i < 29 ? 1 : 12 + 154 - 29,
			    i < 29 ? VIRTQ_DESC_F_NEXT : 0, 210 + i + 1);
	fe_post(&a, 1, 210);
	assert_false(net_port_transmit(a.port));
	assert_received(&b, f, len);
	assert_int_equal(counters(&a).tx_refused, ARRAY_SIZE(bad) + 2);
	assert_true(net_port_up(a.port));
}

static void a_broken_receiver_is_its_own_trouble(void **state _unused_)
{
	uint8_t f[200];
	size_t len = udp_frame(f, 0, everyone, 10);

	start(&a, FE_FEATURES);
	start(&c, FE_FEATURES);
	fe_start(&b, FE_FEATURES, 256);
	fe_put_desc(&b, 0, 0, FE_GPA, 2048, 0, 0); /* not writable */
	fe_post(&b, 0, 0);
	send_frame(&a, NULL, f, len);
	assert_received(&c, f, len);
	assert_true(net_port_up(b.port));
	fe_arrive(&b);
	assert_int_equal(net_port_check(b.port), -EPROTO);
	assert_false(net_port_up(b.port));
	send_frame(&a, NULL, f, len);
	assert_received(&c, f, len);
	assert_int_equal(b.downs, 1);

	/* The guest resets its card. */
	fe_send_state(&b, VHOST_USER_GET_VRING_BASE, 0, 0);
	fe_send_state(&b, VHOST_USER_GET_VRING_BASE, 1, 0);
	start(&b, FE_FEATURES);
	assert_int_equal(b.ups, 2);
	send_frame(&a, NULL, f, len);
	assert_received(&b, f, len);
	assert_int_equal(net_port_check(b.port), 0);
}

/* Until control has answered, the guest is heard by the daemon, and not told of as a stranger. */
static void an_address_is_asked_for(void **state _unused_)
{
	uint8_t f[200];
	size_t len = udp_frame(f, 1, everyone, 10);

	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	net.late = true;
	for (unsigned i = 0; i < 3; i++) {
		send_frame(&b, NULL, f, len);
		assert_nothing(&a);
		assert_int_equal(fe_daemon_gets(&b, &hdr, buf, sizeof(buf)), len);
	}
	assert_int_equal(b.macs_wanted, 1);
	assert_int_equal(b.foreigns, 0);
	fe_control(&a);
	fe_control(&b);
	send_frame(&b, NULL, f, len);
	assert_received(&a, f, len);
	assert_int_equal(b.macs_wanted, 1);
	/* What is another's by the time that it is asked for is denied. */
	len = udp_frame(f, 2, everyone, 10);
	start(&c, FE_FEATURES);
	fe_control(&a);
	fe_control(&b);
	fe_control(&c);
	send_frame(&c, NULL, f, len);
	len = frame_from(f, 0, mac_of(2), everyone);
	send_frame(&a, NULL, f, len);
	fe_control(&c);
	fe_control(&a);
	send_frame(&a, NULL, f, len);
	assert_true(a.is_foreign);
	assert_int_equal(a.macs_wanted, 1);
	assert_int_equal(a.macs, 0);
	assert_int_equal(c.macs, 1);
}

/* Control is not asked for each address that a guest makes up. */
static void many_addresses_are_asked_for_slowly(void **state _unused_)
{
	uint8_t mac[6] = {2, 0, 0, 1}, f[200];

	start(&a, FE_FEATURES);
	for (unsigned i = 0; i < 2000; i++) {
		mac[4] = (uint8_t)(i >> 8);
		mac[5] = (uint8_t)i;
		send_frame(&a, NULL, f, frame_from(f, 0, mac, everyone));
		while (fe_daemon_gets(&a, &hdr, buf, sizeof(buf)))
			;
		fe_used(&a, VIRTIO_NET_TX, &(uint32_t){0}, &(uint32_t){0});
	}
	assert_true(a.macs_wanted >= 10 && a.macs_wanted < 1000);
	assert_false(a.is_foreign);
}

/* A process that ends takes its ends of links with it, and nothing else. */
static void a_link_is_made_anew_with_its_process(void **state _unused_)
{
	struct net_port_config config = fe_config(1);
	uint8_t f[200];
	size_t len = udp_frame(f, 1, everyone, 10);

	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	start(&c, FE_FEATURES);
	send_frame(&b, NULL, f, len);
	assert_received(&a, f, len);
	assert_received(&c, f, len);
	config.mac[0] = 2;
	config.mac[5] = 11;
	net_port_disconnect(b.port);
	net_roster_ended(&net.roster, b.number);
	fe_control(&a);
	fe_control(&c);
	/* Its address stays its own meanwhile. */
	assert_confined(&c, mac_of(1), 2);
	len = udp_frame(f, 0, everyone, 10);
	send_frame(&a, NULL, f, len);
	assert_received(&c, f, len);
	fe_close(&b);
	fe_open(&b, &net, &config);
	start(&b, FE_FEATURES);
	len = udp_frame(f, 0, mac_of(1), 10);
	send_frame(&a, NULL, f, len);
	assert_received(&b, f, len);
	assert_nothing(&c);
}

/* Another control may know the ports by other numbers; nobody's frames go astray. */
static void another_control_takes_the_ports_up(void **state _unused_)
{
	struct fe *const order[] = {&c, &a, &b};
	uint8_t f[200];
	size_t len;

	for (unsigned i = 0; i < 3; i++)
		start(order[i], FE_FEATURES);
	for (unsigned i = 0; i < 3; i++) {
		len = udp_frame(f, order[i] == &a ? 0 : order[i] == &b ? 1 : 2, everyone, 10);
		send_frame(order[i], NULL, f, len);
		for (unsigned k = 0; k < 3; k++)
			if (k != i)
				assert_received(order[k], f, len);
	}
	net.late = true;
	net_roster_init(&net.roster, net.roster.ops, &net);
	for (unsigned i = 0; i < 3; i++) {
		struct net_port_config config = fe_config(order[i] == &a   ? 0
							  : order[i] == &b ? 1
									   : 2);
		struct net_roster_entry entry = {.address = config.address};

		memcpy(entry.mac, order[i]->mac, 6);
		assert_int_equal(net_roster_enter(&net.roster, &entry, &order[i]->number), 0);
		assert_int_equal(order[i]->number, i);
		net.fe[i] = order[i];
	}
	for (unsigned i = 0; i < 3; i++) {
		net_roster_started(&net.roster, i);
		net_roster_up(&net.roster, i, true);
	}
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < 3; i++)
			fe_control(order[i]);
	for (unsigned i = 0; i < 3; i++) {
		len = udp_frame(f,
				order[i] == &a	 ? 0
				: order[i] == &b ? 1
						 : 2,
				order[(i + 1) % 3]->mac, 10);
		send_frame(order[i], NULL, f, len);
		assert_received(order[(i + 1) % 3], f, len);
		assert_nothing(order[(i + 2) % 3]);
		assert_int_equal(counters(order[i]).rx_refused, 0);
	}
	net.late = false;
}

/* ------------------------------------------------------------- a process that its guest has taken over */

/* The end of a link to @fe that the process of guest 1 would have. */
static void take_over(struct fe *fe, struct net_link *evil, int wake[2])
{
	int memory;

	assert_int_equal(net_link_make(&memory, wake), 0);
	assert_int_equal(net_link_open(evil, memory, 1), 0);
	assert_int_equal(net_port_link(fe->port, b.number, 0, memory, dup(wake[0]), dup(wake[1])),
			 0);
}

static void evil_send(struct net_link *evil, const struct virtio_net_hdr *h, const uint8_t *f,
		      size_t len)
{
	static const struct virtio_net_hdr none;
	struct iovec part = {(void *)f, len};

	assert_int_equal(net_link_send(evil, h ? h : &none, &part, 1, len), 0);
	net_link_show(evil);
	net_port_link_ready(a.port, b.number);
}

static size_t arp_answer(uint8_t *f, const uint8_t address[4])
{
	struct ethernet_header eth = {.type = be16_of(ETHERTYPE_ARP)};
	struct arp_packet arp = {.hrd = be16_of(1),
				 .pro = be16_of(ETHERTYPE_IPV4),
				 .hln = 6,
				 .pln = 4,
				 .op = be16_of(ARP_REPLY)};

	memcpy(eth.destination, mac_of(0), 6);
	memcpy(eth.source, mac_of(1), 6);
	memcpy(arp.sha, mac_of(1), 6);
	memcpy(arp.spa, address, 4);
	memcpy(f, &eth, sizeof(eth));
	memcpy(f + sizeof(eth), &arp, sizeof(arp));
	return sizeof(eth) + sizeof(arp);
}

/* A neighbour advertisement of guest 1 for an address. */
static size_t neighbour_frame(uint8_t *f, const uint8_t target[16])
{
	struct ethernet_header eth = {.type = be16_of(ETHERTYPE_IPV6)};
	struct ipv6_header ip = {.version_class_label = be32_of(6u << 28),
				 .payload_length = be16_of(24),
				 .next_header = IP_ICMPV6,
				 .hop_limit = 255,
				 .source = {0xfe, 0x80, [15] = 7}};

	memcpy(eth.destination, mac_of(0), 6);
	memcpy(eth.source, mac_of(1), 6);
	memcpy(f, &eth, 14);
	memcpy(f + 14, &ip, 40);
	memset(f + 54, 0, 24);
	f[54] = ICMPV6_NEIGHBOR_ADVERTISEMENT;
	memcpy(f + 62, target, 16);
	return 78;
}

static void what_is_in_a_link_is_judged_again(void **state _unused_)
{
	static const uint8_t theirs[4] = {10, 77, 0, 11}, mine[4] = {10, 77, 0, 10},
			     daemons[4] = {10, 77, 0, 1},
			     mine6[16] = {0xfe, 0x80, [8] = 0, [11] = 0xff, [12] = 0xfe, [15] = 10},
			     daemons6[16] = {0xfe, 0x80, [15] = 1},
			     any6[16] = {0xfe, 0x80, [15] = 7};
	struct net_port_counters before = {0};
	struct virtio_net_hdr bad = tso4;
	struct net_link evil = {0};
	uint8_t f[2000];
	unsigned n = 0;
	int wake[2];
	size_t len;

	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	start(&c, FE_FEATURES);
	send_frame(&a, NULL, f, udp_frame(f, 0, everyone, 10));
	send_frame(&b, NULL, f, udp_frame(f, 1, everyone, 10));
	while (fe_rx(&a, &hdr, buf, sizeof(buf)))
		;
	take_over(&a, &evil, wake);
#define REFUSED(h)                                              \
	do {                                                    \
		evil_send(&evil, h, f, len);                    \
		assert_nothing(&a);                             \
		assert_int_equal(counters(&a).rx_refused, ++n); \
	} while (0)
#define TAKEN(h)                                              \
	do {                                                  \
		evil_send(&evil, h, f, len);                  \
		assert_received(&a, f, len);                  \
		assert_int_equal(counters(&a).rx_refused, n); \
	} while (0)
	len = udp_frame(f, 1, mac_of(0), 100);
	TAKEN(NULL);
	/* Another one's MAC: a third's, the receiver's, the daemon's, nobody's. */
	memcpy(f + 6, mac_of(2), 6);
	REFUSED(NULL);
	memcpy(f + 6, mac_of(0), 6);
	REFUSED(NULL);
	memcpy(f + 6, net_daemon_mac, 6);
	REFUSED(NULL);
	memcpy(f + 6, mac_of(9), 6);
	REFUSED(NULL);
	/* Another one's IPv4 address. */
	len = udp_frame(f, 1, mac_of(0), 100);
	memcpy(f + 26, mine, 4);
	REFUSED(NULL);
	memcpy(f + 26, daemons, 4);
	REFUSED(NULL);
	len = arp_answer(f, theirs);
	TAKEN(NULL);
	len = arp_answer(f, mine);
	REFUSED(NULL);
	len = arp_answer(f, daemons);
	REFUSED(NULL);
	/* And IPv6. */
	len = neighbour_frame(f, any6);
	TAKEN(NULL);
	len = neighbour_frame(f, mine6);
	f[62 + 8] = 0; /* the universal bit of 02:… is inverted */
	REFUSED(NULL);
	len = neighbour_frame(f, daemons6);
	REFUSED(NULL);
	f[54] = ICMPV6_ROUTER_ADVERTISEMENT;
	REFUSED(NULL);
	/* DHCP, as a server and as a client. */
	len = udp_frame(f, 1, mac_of(0), 300);
	f[34] = 0;
	f[35] = UDP_DHCP_SERVER;
	REFUSED(NULL);
	len = udp_frame(f, 1, mac_of(0), 300);
	f[36] = 0;
	f[37] = UDP_DHCP_SERVER;
	REFUSED(NULL);
	/* What would make the guest write where it must not. */
	len = tcp_frame(f, 1, mac_of(0), 100);
	TAKEN(&tso4);
	bad.gso_size = le16_of(0);
	REFUSED(&bad);
	bad = tso4;
	bad.csum_start = le16_of(14);
	REFUSED(&bad);
	bad = tso4;
	bad.csum_offset = le16_of(60000);
	REFUSED(&bad);
	bad = tso4;
	bad.gso_type = 3;
	REFUSED(&bad);
	bad = tso4;
	bad.flags = 0;
	REFUSED(&bad);
	/* Lengths that IP does not agree with. */
	len = udp_frame(f, 1, mac_of(0), 100) - 1;
	REFUSED(NULL);
	/* A frame to somebody else is no frame that does harm. */
	len = udp_frame(f, 1, mac_of(2), 100);
	TAKEN(NULL);
#undef REFUSED
#undef TAKEN
	/* A record that can't be: that link is broken, and the others are not. */
	before = counters(&a);
	len = udp_frame(f, 1, mac_of(0), 100);
	memset(evil.out_bytes + (evil.tail & (NET_LINK_RING - 1)), 0xff, 4);
	atomic_store(&evil.out->tail, evil.tail + 64);
	net_port_link_ready(a.port, b.number);
	assert_nothing(&a);
	assert_nothing(&a);
	assert_int_equal(counters(&a).rx_refused, before.rx_refused);
	len = udp_frame(f, 0, mac_of(1), 10);
	send_frame(&a, NULL, f, len);
	assert_int_equal(counters(&a).tx_nowhere, before.tx_nowhere + 1);
	len = udp_frame(f, 2, everyone, 10);
	send_frame(&c, NULL, f, len);
	assert_received(&a, f, len);
	assert_true(net_port_up(a.port));
	net_link_close(&evil);
	close(wake[0]);
	close(wake[1]);
}

/* Frames of a time when the card was down are for nobody. */
static void what_came_while_the_card_was_down_is_not_shown(void **state _unused_)
{
	struct net_link evil = {0};
	uint8_t f[200];
	size_t len = udp_frame(f, 1, everyone, 10);
	int wake[2];

	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	send_frame(&b, NULL, f, len);
	assert_received(&a, f, len);
	take_over(&a, &evil, wake);
	fe_connect(&a);
	assert_false(net_port_up(a.port));
	evil_send(&evil, NULL, f, len);
	fe_arrive(&a);
	start(&a, FE_FEATURES);
	assert_nothing(&a);
	evil_send(&evil, NULL, f, len);
	assert_received(&a, f, len);
	net_link_close(&evil);
	close(wake[0]);
	close(wake[1]);
}

/* An eventfd of the other side's that would make whoever wakes it wait. */
static void a_wake_up_never_waits(void **state _unused_)
{
	struct net_link evil = {0};
	uint8_t f[200];
	size_t len = udp_frame(f, 1, everyone, 10);
	struct net_link_frame in;
	int wake[2];

	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	send_frame(&b, NULL, f, len);
	assert_received(&a, f, len);
	take_over(&a, &evil, wake);
	assert_return_code(eventfd_write(wake[1], UINT64_MAX - 1), errno);
	assert_return_code(fcntl(wake[1], F_SETFL, 0), errno);
	for (unsigned i = 0; i < 3; i++) {
		assert_false(net_link_sleep(&evil));
		len = udp_frame(f, 0, mac_of(1), 10);
		send_frame(&a, NULL, f, len);
		net_port_flush(a.port);
		assert_int_equal(net_link_peek(&evil, &in), 1);
		net_link_take(&evil);
	}
	net_link_close(&evil);
	close(wake[0]);
	close(wake[1]);
}

/* What is no link, and no number, changes nothing. */
static void a_link_that_is_none_is_refused(void **state _unused_)
{
	uint8_t f[200];
	size_t len = udp_frame(f, 1, everyone, 10);
	unsigned fds;

	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	fds = fe_open_fds();
	assert_int_equal(net_port_link(a.port, NET_PORTS, 0, dup(a.memfd), dup(0), dup(0)),
			 -EINVAL);
	assert_int_equal(net_port_link(a.port, 7, 2, dup(a.memfd), dup(0), dup(0)), -EINVAL);
	assert_int_equal(net_port_link(a.port, 7, 1, dup(a.memfd), dup(0), dup(0)), -EINVAL);
	net_port_link_ready(a.port, 1000);
	net_port_link_ready(a.port, 7);
	net_port_peer_gone(a.port, 1000);
	net_port_peer_gone(a.port, 7);
	net_port_peer_set(a.port, &(struct net_peer){.number = NET_PORTS, .up = true});
	assert_int_equal(fe_open_fds(), fds);
	send_frame(&b, NULL, f, len);
	assert_received(&a, f, len);
}

/* cmocka has its own idea of SIGBUS; ours is taken before it starts. */
static struct sigaction guard;

static void memory_that_is_cut_off_costs_its_owner_alone(void **state _unused_)
{
	uint8_t f[200];
	size_t len = udp_frame(f, 0, everyone, 10);
	struct sigaction cmockas;

	sigaction(SIGBUS, &guard, &cmockas);
	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	start(&c, FE_FEATURES);
	/* b's receive buffers are in both halves, rings in the file's second. */
	assert_int_equal(ftruncate(b.memfd, FE_HALF), 0);
	send_frame(&a, NULL, f, len);
	assert_received(&c, f, len);
	fe_arrive(&b);
	assert_int_equal(net_port_check(b.port), -EPROTO);
	assert_false(net_port_up(b.port));

	/* And where its own thread finds out. */
	len = udp_frame(f, 2, everyone, 10);
	fe_tx(&c, NULL, f, len);
	assert_int_equal(ftruncate(c.memfd, 0), 0);
	assert_false(net_port_transmit(c.port));
	assert_false(net_port_up(c.port));
	assert_nothing(&a);
	assert_true(net_port_up(a.port));

	/* And where the daemon sends. */
	assert_int_equal(ftruncate(a.memfd, FE_HALF + 0x140000), 0);
	daemon_sends(&a, &whole, f, len);
	assert_int_equal(net_port_check(a.port), -EPROTO);
	assert_false(net_port_up(a.port));
	sigaction(SIGBUS, &cmockas, NULL);
}

/* A fault that no guest's memory is to blame for still ends the process, as it would have. */
static void any_other_bus_error_is_fatal(void **state _unused_)
{
	int status, fd = memfd_create("short", MFD_CLOEXEC);
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		struct rlimit none = {0};
		volatile char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

		setrlimit(RLIMIT_CORE, &none);
		sigaction(SIGBUS, &guard, NULL);
		_exit(*p);
	}
	close(fd);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(other_features_set_the_card_up_anew),
		T(frames_find_their_card),
		T(one_card_cannot_take_another_ones_address),
		T(a_card_may_change_to_an_address_that_nobody_has),
		T(what_is_no_guests_address_is_never_taken),
		T(a_configured_address_is_its_ports),
		T(an_address_of_before_is_kept),
		T(an_address_is_asked_for),
		T(many_addresses_are_asked_for_slowly),
		T(a_link_is_made_anew_with_its_process),
		T(another_control_takes_the_ports_up),
		T(what_is_in_a_link_is_judged_again),
		T(what_came_while_the_card_was_down_is_not_shown),
		T(a_wake_up_never_waits),
		T(a_link_that_is_none_is_refused),
		T(ipv6_addresses_of_another_card_stay_its_own),
		T(a_guest_with_the_daemons_address_is_found),
		T(isolated_guests_reach_the_daemon_alone),
		T(long_frames_go_whole_to_those_who_take_them),
		T(others_get_segments_and_checksums),
		T(a_full_ring_costs_the_frame_alone),
		T(the_daemon_sends),
		T(the_daemon_waits_for_room),
		T(the_daemon_does_not_wait_for_a_larger_buffer),
		T(the_daemon_is_found),
		T(buffers_without_merging_must_hold_the_frame),
		T(guests_are_told_when_they_want_to_be),
		T(news_of_few_sent_frames_can_wait),
		T(a_full_call_stops_nobody),
		T(guests_are_told_by_the_flag_too),
		T(kicks_are_off_while_the_ring_is_served),
		T(dhcp_is_answered_and_goes_nowhere),
		T(bad_headers_cost_the_frame),
		T(a_broken_receiver_is_its_own_trouble),
		T(memory_that_is_cut_off_costs_its_owner_alone),
		T(any_other_bus_error_is_fatal),
	};

	if (vu_memory_guard() < 0 || sigaction(SIGBUS, NULL, &guard) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
