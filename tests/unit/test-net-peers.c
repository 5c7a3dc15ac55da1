/* SPDX-License-Identifier: BSD-2-Clause */
/* Links to other guests: made anew, handed over, and in the hands of a process that its guest has taken over. */
#include "tests/unit/net-port-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

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
	net_port_disconnect(b.port, (unsigned)b.which);
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

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_link_is_made_anew_with_its_process),
		T(another_control_takes_the_ports_up),
		T(what_is_in_a_link_is_judged_again),
		T(what_came_while_the_card_was_down_is_not_shown),
		T(a_wake_up_never_waits),
		T(a_link_that_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
