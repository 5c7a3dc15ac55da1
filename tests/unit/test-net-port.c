/* SPDX-License-Identifier: BSD-2-Clause */
/* A port's rings: what receivers are spared, who is told and when, and what the daemon sends. */
#include "tests/unit/net-port-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define BIT(n) (1ull << (n))

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

#define GUEST_USO (BIT(VIRTIO_NET_F_GUEST_USO4) | BIT(VIRTIO_NET_F_GUEST_USO6))

static void datagrams_in_one_frame_are_cut_for_others(void **state _unused_)
{
	static uint8_t f[70000];

	start(&a, FE_FEATURES | BIT(VIRTIO_NET_F_HOST_USO));
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		struct virtio_net_hdr h = uso_of(ipv6);
		size_t len = long_udp_frame(f, 0, mac_of(1), 60300, ipv6);

		fe_connect(&b);
		start(&b, FE_FEATURES | GUEST_USO);

		send_frame(&a, &h, f, len);
		assert_received(&b, f, len);
		assert_int_equal(hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_int_equal(hdr.gso_type, VIRTIO_NET_HDR_GSO_UDP_L4);
		assert_int_equal(le16_get(hdr.gso_size), 1000);
		assert_int_equal(le16_get(hdr.hdr_len), ipv6 ? 62 : 42);
		fe_connect(&b);
		start(&b, FE_FEATURES);
		send_frame(&a, &h, f, len);
		for (unsigned i = 0; i < 61; i++) {
			size_t n = fe_rx(&b, &hdr, buf, sizeof(buf));

			assert_int_equal(hdr.flags, 0);
			assert_int_equal(hdr.gso_type, 0);
			assert_datagram(buf, n, f, len, ipv6, i);
		}
		assert_nothing(&b);
	}
}

/* What the driver takes of one kind says nothing of another. */
static void each_kind_of_cutting_is_agreed_on_by_itself(void **state _unused_)
{
	static uint8_t f[70000];
	struct virtio_net_hdr h4 = uso_of(false), h6 = uso_of(true), ecn = h4, bad = h4;
	size_t len;

	start(&a, FE_FEATURES | BIT(VIRTIO_NET_F_HOST_USO) | BIT(VIRTIO_NET_F_HOST_ECN));
	start(&b, (FE_FEATURES & ~BIT(VIRTIO_NET_F_GUEST_TSO4)) | BIT(VIRTIO_NET_F_GUEST_USO4));
	len = long_udp_frame(f, 0, mac_of(1), 3000, false);
	send_frame(&a, &h4, f, len);
	assert_received(&b, f, len);
	len = long_udp_frame(f, 0, mac_of(1), 3000, true);
	send_frame(&a, &h6, f, len);
	for (unsigned i = 0; i < 3; i++)
		assert_datagram(buf, fe_rx(&b, &hdr, buf, sizeof(buf)), f, len, true, i);
	len = tcp_frame(f, 0, mac_of(1), 3000);
	send_frame(&a, &tso4, f, len);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fe_rx(&b, &hdr, buf, sizeof(buf)), 54 + 1000);
	assert_nothing(&b);

	/* Not agreed on; with TCP's congestion bit; of another protocol; without its checksum; of no length. */
	start(&c, FE_FEATURES);
	len = long_udp_frame(f, 2, mac_of(1), 3000, false);
	send_frame(&c, &h4, f, len);
	assert_int_equal(counters(&c).tx_refused, 1);
	fe_connect(&c);
	len = long_udp_frame(f, 0, mac_of(1), 3000, false);
	ecn.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	send_frame(&a, &ecn, f, len);
	bad.flags = 0;
	send_frame(&a, &bad, f, len);
	bad = h4;
	bad.gso_size = le16_of(0);
	send_frame(&a, &bad, f, len);
	send_frame(&a, &tso4, f, len);
	len = tcp_frame(f, 0, mac_of(1), 3000);
	bad = tso4;
	bad.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
	send_frame(&a, &bad, f, len);
	assert_int_equal(counters(&a).tx_refused, 5);
	assert_nothing(&b);
	/* One datagram alone is that. */
	len = long_udp_frame(f, 0, mac_of(1), 900, true);
	send_frame(&a, &h6, f, len);
	assert_datagram(buf, fe_rx(&b, &hdr, buf, sizeof(buf)), f, len, true, 0);
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

	of_split_rings();
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

	of_split_rings();
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

	of_split_rings();
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

	of_split_rings();
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

	of_split_rings();
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
		T(long_frames_go_whole_to_those_who_take_them),
		T(others_get_segments_and_checksums),
		T(datagrams_in_one_frame_are_cut_for_others),
		T(each_kind_of_cutting_is_agreed_on_by_itself),
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

	if (vu_map_guard() < 0 || sigaction(SIGBUS, NULL, &guard) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
