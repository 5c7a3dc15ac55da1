/* SPDX-License-Identifier: BSD-2-Clause */
/* Whose address is whose: what a guest may send from, who asks whom for it, and where frames go. */
#include "tests/unit/net-port-fixture.h"

#include <string.h>

/* A third card, whose address is configured. */
static void open_third(struct fe *d)
{
	struct net_port_config config = fe_config(3);

	memcpy(config.mac, mac_of(3), 6);
	config.fixed_mac = true;
	fe_open(d, &net, &config);
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
	uint8_t f[200];
	size_t len = frame_from(f, 1, mac_of(3), everyone);
	struct fe d;

	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	send_frame(&b, NULL, f, len);
	assert_received(&a, f, len);
	open_third(&d);
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
	uint8_t f[200];
	struct fe d;
	size_t len;

	net.isolate = true;
	open_third(&d);
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

/* More of them than a port may send reach the daemon, and nobody else; frames to one are not held up. */
static void frames_to_all_are_bounded(void **state _unused_)
{
	uint8_t f[200];
	size_t len;

	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	len = udp_frame(f, 1, everyone, 10);
	send_frame(&b, NULL, f, len);
	len = udp_frame(f, 0, everyone, 10);
	for (unsigned n = 0; !counters(&a).tx_refused; n++) {
		assert_true(n < 200000);
		send_frame(&a, NULL, f, len);
		assert_int_equal(fe_daemon_gets(&a, &hdr, buf, sizeof(buf)), len);
		while (fe_rx(&b, &hdr, buf, sizeof(buf)))
			;
	}
	assert_true(counters(&a).tx_frames >= 2048);
	len = udp_frame(f, 0, mac_of(1), 10);
	send_frame(&a, NULL, f, len);
	assert_received(&b, f, len);
	/* It costs the port that sends, and no other. */
	len = udp_frame(f, 1, everyone, 10);
	send_frame(&b, NULL, f, len);
	assert_received(&a, f, len);
}

/* A pair that may all the same does, for as long as it may; others don't. */
static void isolated_guests_may_talk_in_pairs(void **state _unused_)
{
	uint8_t f[200];
	struct fe d;
	size_t len;

	net.isolate = true;
	open_third(&d);
	start(&a, FE_FEATURES);
	start(&b, FE_FEATURES);
	start(&d, FE_FEATURES);
	net_roster_talk(&net.roster, d.number, a.number, true);
	fe_control(&a);
	fe_control(&d);
	len = udp_frame(f, 3, everyone, 10);
	send_frame(&d, NULL, f, len);
	assert_received(&a, f, len);
	assert_nothing(&b);
	len = udp_frame(f, 0, mac_of(3), 10);
	send_frame(&a, NULL, f, len);
	assert_received(&d, f, len);
	/* Both ways it ends, too. */
	net_roster_talk(&net.roster, a.number, d.number, false);
	fe_control(&a);
	fe_control(&d);
	send_frame(&a, NULL, f, len);
	assert_nothing(&d);
	len = udp_frame(f, 3, everyone, 10);
	send_frame(&d, NULL, f, len);
	assert_nothing(&a);
	fe_close(&d);
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

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(frames_find_their_card),
		T(one_card_cannot_take_another_ones_address),
		T(a_card_may_change_to_an_address_that_nobody_has),
		T(what_is_no_guests_address_is_never_taken),
		T(a_configured_address_is_its_ports),
		T(an_address_of_before_is_kept),
		T(ipv6_addresses_of_another_card_stay_its_own),
		T(a_guest_with_the_daemons_address_is_found),
		T(isolated_guests_reach_the_daemon_alone),
		T(frames_to_all_are_bounded),
		T(isolated_guests_may_talk_in_pairs),
		T(an_address_is_asked_for),
		T(many_addresses_are_asked_for_slowly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
