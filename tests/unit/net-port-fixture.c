/* SPDX-License-Identifier: BSD-2-Clause */
/* Three cards and their drivers; see net-port-fixture.h. */
#include "tests/unit/net-port-fixture.h"

#include <stdlib.h>
#include <string.h>

const uint8_t everyone[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

struct fe_net net;

struct fe a, b, c;

uint8_t buf[70000];

struct virtio_net_hdr hdr;

/* What a test looks at are a split ring's words; those of a packed one are test-vu-packed.c's. */
void of_split_rings(void)
{
	if (getenv("FE_PACKED"))
		skip();
}

int set_up(void **state _unused_)
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

int tear_down(void **state _unused_)
{
	fe_close(&a);
	fe_close(&b);
	fe_close(&c);
	fe_net_deinit(&net);
	return 0;
}

/* A frame of guest @from to @dst: UDP between the guests' addresses, payload counting up. */
size_t udp_frame(uint8_t *f, unsigned from, const uint8_t dst[6], size_t payload)
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

size_t tcp_frame(uint8_t *f, unsigned from, const uint8_t dst[6], size_t payload)
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

/* Many datagrams in one frame, as a driver leaves them; IPv6 from an address that is made of no MAC. */
size_t long_udp_frame(uint8_t *f, unsigned from, const uint8_t dst[6], size_t payload, bool ipv6)
{
	static const uint8_t source[16] = {0xfd, [15] = 7}, destination[16] = {0xfd, [15] = 8};
	size_t len = udp_frame(f, from, dst, payload), l4 = ipv6 ? 54 : 34;
	struct udp_header *udp = (void *)(f + l4);
	struct ipv4_header *ip = (void *)(f + 14);
	uint32_t sum;

	ip->identification = be16_of(0xfffe);
	sum = net_checksum_pseudo4(ip->source, ip->destination, IP_UDP, 8 + payload);
	if (ipv6) {
		struct ipv6_header ip6 = {.version_class_label = be32_of(6u << 28),
					  .payload_length = be16_of((uint16_t)(8 + payload)),
					  .next_header = IP_UDP,
					  .hop_limit = 64};

		memcpy(ip6.source, source, 16);
		memcpy(ip6.destination, destination, 16);
		memmove(f + 54, f + 34, 8 + payload);
		memcpy(f + 14, &ip6, sizeof(ip6));
		f[12] = 0x86;
		f[13] = 0xdd;
		sum = net_checksum_pseudo6(source, destination, IP_UDP, 8 + payload);
		len += 20;
	}
	udp->checksum = be16_of((uint16_t)~net_checksum_fold(sum));
	return len;
}

struct virtio_net_hdr uso_of(bool ipv6)
{
	return (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				       .gso_type = VIRTIO_NET_HDR_GSO_UDP_L4,
				       .gso_size = le16_of(1000),
				       .csum_start = le16_of(ipv6 ? 54 : 34),
				       .csum_offset = le16_of(6)};
}

/* The checksum of TCP or UDP in a frame. */
void assert_checksums(const uint8_t *f, size_t len)
{
	const struct ipv4_header *ip = (const void *)(f + 14);
	const struct ipv6_header *ip6 = (const void *)(f + 14);
	bool ipv6 = ip->version_ihl == 0x60;
	size_t l4 = ipv6 ? 54 : 34, n = len - l4;
	uint32_t sum =
		ipv6 ? net_checksum_pseudo6(ip6->source, ip6->destination, ip6->next_header, n)
		     : net_checksum_pseudo4(ip->source, ip->destination, ip->protocol, n);

	assert_int_equal(net_checksum_fold(net_checksum_add(sum, f + l4, n)), 0);
}

/* Datagram @i of 1000 bytes out of a long frame of UDP. */
void assert_datagram(const uint8_t *got, size_t len, const uint8_t *f, size_t f_len, bool ipv6,
		     unsigned i)
{
	size_t l4 = ipv6 ? 54 : 34, left = f_len - l4 - 8 - i * 1000, n = min_t(size_t, left, 1000);
	const struct udp_header *udp = (const void *)(got + l4);
	const struct ipv4_header *ip = (const void *)(got + 14);
	const struct ipv6_header *ip6 = (const void *)(got + 14);

	assert_int_equal(len, l4 + 8 + n);
	assert_memory_equal(got + l4 + 8, f + l4 + 8 + i * 1000, n);
	assert_memory_equal(got + l4, f + l4, 4);
	assert_int_equal(be16_get(udp->length), 8 + n);
	assert_checksums(got, len);
	if (ipv6) {
		assert_int_equal(be16_get(ip6->payload_length), 8 + n);
		return;
	}
	assert_int_equal(be16_get(ip->total_length), 28 + n);
	assert_int_equal(be16_get(ip->identification), (0xfffe + i) & 0xffff);
	assert_int_equal(net_checksum_fold(net_checksum_add(0, ip, 20)), 0);
}

const uint8_t *mac_of(unsigned n)
{
	static uint8_t mac[NET_PORTS][6];

	mac[n][0] = 2;
	mac[n][5] = (uint8_t)(10 + n);
	return mac[n];
}

void start(struct fe *fe, uint64_t features)
{
	fe_start(fe, features, 256);
	assert_true(net_port_up(fe->port));
	fe_rx_fill(fe, 256, 2048);
	net_port_transmit(fe->port);
	net_port_flush(fe->port);
}

void send_frame(struct fe *fe, const struct virtio_net_hdr *h, const void *f, size_t len)
{
	fe_tx(fe, h, f, len);
	net_port_kicked(fe->port, VIRTIO_NET_TX);
	assert_false(net_port_transmit(fe->port));
}

struct net_port_counters counters(struct fe *fe)
{
	struct net_port_counters n;

	net_port_count(fe->port, &n);
	return n;
}

void assert_received(struct fe *fe, const void *f, size_t len)
{
	assert_int_equal(fe_rx(fe, &hdr, buf, sizeof(buf)), len);
	assert_memory_equal(buf, f, len);
}

void assert_nothing(struct fe *fe)
{
	assert_int_equal(fe_rx(fe, &hdr, buf, sizeof(buf)), 0);
}

/* Guest @from's frame to @dst with another MAC. */
size_t frame_from(uint8_t *f, unsigned from, const uint8_t mac[6], const uint8_t dst[6])
{
	size_t len = udp_frame(f, from, dst, 10);

	memcpy(f + 6, mac, 6);
	return len;
}

/* The frame of @fe is the daemon's to have, and nobody else's. */
void assert_confined(struct fe *fe, const uint8_t mac[6], unsigned from)
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

const struct virtio_net_hdr tso4 = {
	.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
	.hdr_len = {{0xff, 0xff}}, /* a lie: recomputed */
	.gso_size = {{0xe8, 0x03}},
	.csum_start = {{34, 0}},
	.csum_offset = {{16, 0}},
};
