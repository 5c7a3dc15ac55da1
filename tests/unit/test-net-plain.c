/* SPDX-License-Identifier: BSD-2-Clause */
/* A further network: cards that nothing of the daemon answers, and an uplink with a scripted tap. */
#include "tests/unit/net-port-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vhost_user_net/net_spec.h"

static struct fe up;
static int lan = -1; /* the other end of the tap */
static int tap = -1;

static void open_card(struct fe *fe, unsigned n, bool any_mac)
{
	struct net_port_config config = fe_config(n);

	config.plain = true;
	config.any_mac = any_mac;
	fe_open(fe, &net, &config);
	start(fe, FE_FEATURES);
}

/* The tap is Linux 6.1's, which takes no long frames of UDP; later ones do, and this machine's may be one. */
static bool is_old;
static unsigned tried;

ssize_t writev(int fd, const struct iovec *parts, int n)
{
	const struct virtio_net_hdr *h = parts[0].iov_base;

	if (fd == tap && h->gso_type == VIRTIO_NET_HDR_GSO_UDP_L4) {
		tried++;
		if (is_old) {
			errno = EINVAL;
			return -1;
		}
	}
	return syscall(SYS_writev, fd, parts, n);
}

static void tap_comes(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
			 0);
	lan = pair[1];
	tap = pair[0];
	net_port_tap(up.port, tap);
}

static int begin(void **state _unused_)
{
	struct net_port_config config = fe_config(9);

	fe_net_init(&net);
	open_card(&a, 0, false);
	open_card(&b, 1, false);
	open_card(&c, 2, true);
	config.plain = config.any_mac = config.uplink = config.fixed_mac = true;
	fe_open(&up, &net, &config);
	tap_comes();
	return 0;
}

static int end(void **state _unused_)
{
	fe_close(&a);
	fe_close(&b);
	fe_close(&c);
	fe_close(&up);
	close(lan);
	fe_net_deinit(&net);
	return 0;
}

/* The host sends by the tap's device. */
static void lan_sends(const struct virtio_net_hdr *h, const void *f, size_t len)
{
	static const struct virtio_net_hdr plain;
	struct iovec iov[2] = {{(void *)(h ? h : &plain), sizeof(*h)}, {(void *)f, len}};

	assert_int_equal(writev(lan, iov, 2), sizeof(*h) + len);
	net_port_transmit(up.port);
	net_port_flush(up.port);
}

/* Return: length of a frame that has reached the host, in buf and hdr; 0: none. */
static size_t lan_gets(void)
{
	struct iovec iov[2] = {{&hdr, sizeof(hdr)}, {buf, sizeof(buf)}};
	ssize_t n;

	fe_arrive(&up);
	n = readv(lan, iov, 2);
	assert_true(n > 0 || errno == EAGAIN);
	return n < 0 ? 0 : (size_t)n - sizeof(hdr);
}

static void assert_lan_gets(const void *f, size_t len)
{
	assert_int_equal(lan_gets(), len);
	assert_memory_equal(buf, f, len);
}

static const uint8_t stranger[6] = {0x52, 0x54, 0, 1, 2, 3};

/* From a machine out there to @dst. */
static size_t lan_frame(uint8_t *f, const uint8_t dst[6], size_t payload)
{
	size_t len = udp_frame(f, 40, dst, payload);

	memcpy(f + 6, stranger, 6);
	return len;
}

/* Cards learn that they are there. */
static void all_are_known(void)
{
	struct fe *const cards[] = {&a, &b, &c};
	uint8_t f[200];

	for (unsigned i = 0; i < 3; i++) {
		size_t len = udp_frame(f, i, everyone, 10);

		send_frame(cards[i], NULL, f, len);
		assert_lan_gets(f, len);
	}
	while (fe_rx(&a, &hdr, buf, sizeof(buf)) + fe_rx(&b, &hdr, buf, sizeof(buf)) +
	       fe_rx(&c, &hdr, buf, sizeof(buf)))
		;
}

static void frames_find_their_way(void **state _unused_)
{
	uint8_t f[2000];
	size_t len;

	all_are_known();
	/* To a card: there alone. */
	len = udp_frame(f, 0, mac_of(1), 1000);
	send_frame(&a, NULL, f, len);
	assert_received(&b, f, len);
	assert_nothing(&c);
	assert_int_equal(lan_gets(), 0);
	/* To nobody's address: to the uplink, and to the guest that has others behind it. */
	len = udp_frame(f, 0, stranger, 1000);
	send_frame(&a, NULL, f, len);
	assert_lan_gets(f, len);
	assert_nothing(&b);
	assert_received(&c, f, len);
	/* From there: to a card alone, or to all. */
	len = lan_frame(f, mac_of(0), 1000);
	lan_sends(NULL, f, len);
	assert_received(&a, f, len);
	assert_nothing(&b);
	assert_nothing(&c);
	len = lan_frame(f, everyone, 10);
	lan_sends(NULL, f, len);
	assert_received(&a, f, len);
	assert_received(&b, f, len);
	assert_received(&c, f, len);
	/* To nobody's: never to a card that has an address of its own alone. */
	len = lan_frame(f, mac_of(30), 10);
	lan_sends(NULL, f, len);
	assert_nothing(&a);
	assert_nothing(&b);
	assert_received(&c, f, len);
	assert_int_equal(lan_gets(), 0);
}

/* What the private segment refuses passes: it is a network like any other. */
static void any_protocol_passes(void **state _unused_)
{
	uint8_t f[200];
	size_t len;

	all_are_known();
	/* DHCP, both ways, from addresses that are nobody's. */
	len = udp_frame(f, 0, everyone, 100);
	memset(f + 26, 0, 4);
	f[35] = 68;
	f[34] = 0;
	f[36] = 0;
	f[37] = 67;
	send_frame(&a, NULL, f, len);
	assert_lan_gets(f, len);
	len = lan_frame(f, mac_of(0), 100);
	f[34] = 0;
	f[35] = 67;
	f[36] = 0;
	f[37] = 68;
	lan_sends(NULL, f, len);
	assert_received(&a, f, len);
	/* Neither ARP nor IP, and nothing that can be read. */
	len = lan_frame(f, mac_of(0), 60);
	f[12] = 0x88;
	f[13] = 0xcc;
	lan_sends(NULL, f, len);
	assert_received(&a, f, len);
	memset(f + 12, 0xff, 100);
	f[12] = 0x86;
	f[13] = 0xdd;
	lan_sends(NULL, f, 90);
	assert_received(&a, f, 90);
	/* To the daemon's address there is nobody but what is beyond the uplink. */
	len = udp_frame(f, 1, net_daemon_mac, 10);
	send_frame(&b, NULL, f, len);
	assert_lan_gets(f, len);
	assert_int_equal(fe_daemon_gets(&b, &hdr, buf, sizeof(buf)), 0);
	len = udp_frame(f, 1, everyone, 10);
	send_frame(&b, NULL, f, len);
	assert_int_equal(fe_daemon_gets(&b, &hdr, buf, sizeof(buf)), 0);
}

static void long_segments_cross_whole(void **state _unused_)
{
	static uint8_t f[70000];
	struct virtio_net_hdr h = tso4;
	size_t len;

	all_are_known();
	len = tcp_frame(f, 0, stranger, 30000);
	send_frame(&a, &h, f, len);
	assert_lan_gets(f, len);
	assert_int_equal(hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(le16_get(hdr.hdr_len), 54);
	len = tcp_frame(f, 40, mac_of(1), 30000);
	memcpy(f + 6, stranger, 6);
	lan_sends(&h, f, len);
	assert_received(&b, f, len);
	assert_int_equal(hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	/* In a virtual LAN, too: the checksum goes behind the tag. */
	memmove(f + 18, f + 14, len - 14);
	memcpy(f + 12, "\x81\x00\x00\x07\x08\x00", 6);
	memcpy(f, stranger, 6);
	memcpy(f + 6, mac_of(0), 6);
	h = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				    .csum_start = le16_of(38),
				    .csum_offset = le16_of(16)};
	f[20] = 0x05;
	f[21] = 0xdc - 20;
	send_frame(&a, &h, f, 18 + 0x5dc - 20);
	assert_lan_gets(f, 18 + 0x5dc - 20);
	assert_int_equal(le16_get(hdr.csum_start), 38);
}

static void datagrams_in_one_frame_are_cut_for_an_old_host(void **state _unused_)
{
	struct virtio_net_hdr h = uso_of(false);
	static uint8_t f[70000];
	size_t len;

	all_are_known();
	fe_connect(&a);
	start(&a, FE_FEATURES | 1ull << VIRTIO_NET_F_HOST_USO);
	len = long_udp_frame(f, 0, stranger, 30500, false);
	/* It is asked once, until there is another tap. */
	tried = 0;
	is_old = true;
	for (unsigned round = 0; round < 2; round++) {
		send_frame(&a, &h, f, len);
		for (unsigned i = 0; i < 31; i++) {
			assert_datagram(buf, lan_gets(), f, len, false, i);
			assert_int_equal(hdr.flags, 0);
			assert_int_equal(hdr.gso_type, 0);
		}
		assert_int_equal(lan_gets(), 0);
	}
	assert_int_equal(tried, 1);
	is_old = false;
	net_port_tap(up.port, -1);
	close(lan);
	tap_comes();
	send_frame(&a, &h, f, len);
	assert_lan_gets(f, len);
	assert_int_equal(hdr.gso_type, VIRTIO_NET_HDR_GSO_UDP_L4);
	/* A host that has taken one is not old: what it refuses after it is that frame alone. */
	is_old = true;
	send_frame(&a, &h, f, len);
	for (unsigned i = 0; i < 31; i++)
		assert_datagram(buf, lan_gets(), f, len, false, i);
	is_old = false;
	send_frame(&a, &h, f, len);
	assert_lan_gets(f, len);
	assert_int_equal(hdr.gso_type, VIRTIO_NET_HDR_GSO_UDP_L4);
	assert_int_equal(tried, 4);
	assert_int_equal(counters(&up).rx_full, 0);
	/* The host's own, for a guest. */
	len = long_udp_frame(f, 40, mac_of(1), 2500, false);
	memcpy(f + 6, stranger, 6);
	lan_sends(&h, f, len);
	for (unsigned i = 0; i < 3; i++)
		assert_datagram(buf, fe_rx(&b, &hdr, buf, sizeof(buf)), f, len, false, i);
	assert_nothing(&b);
}

/* Its turn is as long as another's, in what the host is given. */
static void datagrams_that_are_cut_count_each(void **state _unused_)
{
	struct virtio_net_hdr h = uso_of(false);
	static uint8_t f[70000];
	uint8_t small[200];
	size_t len, small_len;

	all_are_known();
	fe_connect(&a);
	start(&a, FE_FEATURES | 1ull << VIRTIO_NET_F_HOST_USO);
	len = long_udp_frame(f, 0, stranger, 30500, false);
	small_len = udp_frame(small, 1, stranger, 10);
	is_old = true;
	for (unsigned i = 0; i < 3; i++)
		send_frame(&a, &h, f, len);
	send_frame(&b, NULL, small, small_len);
	for (unsigned i = 0; i < 31; i++)
		assert_datagram(buf, lan_gets(), f, len, false, i);
	assert_lan_gets(small, small_len);
	for (unsigned i = 0; i < 2 * 31; i++)
		assert_datagram(buf, lan_gets(), f, len, false, i % 31);
	assert_int_equal(lan_gets(), 0);
	is_old = false;
}

/* Offloads that nothing was found for, or too much, cost the frame. */
static void bad_headers_cost_the_frame(void **state _unused_)
{
	struct virtio_net_hdr h = tso4;
	uint8_t f[300];
	size_t len;

	all_are_known();
	len = tcp_frame(f, 0, stranger, 100);
	f[13] = 0xcc;
	send_frame(&a, &h, f, len);
	assert_int_equal(lan_gets(), 0);
	/* TCP whose header is not there. */
	len = tcp_frame(f, 0, stranger, 100);
	f[16] = 0;
	f[17] = 24;
	send_frame(&a, &h, f, 38);
	assert_int_equal(lan_gets(), 0);
	/* The same out of the tap. */
	len = lan_frame(f, mac_of(0), 100);
	f[13] = 0xcc;
	lan_sends(&h, f, len);
	assert_nothing(&a);
	assert_int_equal(counters(&up).tx_refused, 1);
	assert_int_equal(counters(&a).tx_refused, 2);
}

/* A frame counts as its sender's only from its own MAC, whoever sends it. */
static void nobody_sends_from_a_cards_address(void **state _unused_)
{
	uint8_t f[200];
	size_t len;

	all_are_known();
	/* A card from another's, and from a stranger's: it has its own by now. */
	len = frame_from(f, 0, mac_of(1), everyone);
	send_frame(&a, NULL, f, len);
	assert_int_equal(lan_gets(), 0);
	assert_nothing(&c);
	assert_true(a.is_foreign);
	assert_memory_equal(a.foreign, mac_of(1), 6);
	/* One that bridges: from a stranger's, not from another card's. */
	len = frame_from(f, 2, stranger, everyone);
	send_frame(&c, NULL, f, len);
	assert_lan_gets(f, len);
	assert_received(&a, f, len);
	assert_false(c.is_foreign);
	assert_memory_equal(c.mac, mac_of(2), 6);
	len = frame_from(f, 2, mac_of(1), everyone);
	send_frame(&c, NULL, f, len);
	assert_int_equal(lan_gets(), 0);
	assert_true(c.is_foreign);
	/* And what is beyond the uplink not from a card's. */
	len = udp_frame(f, 0, mac_of(1), 10);
	while (fe_rx(&b, &hdr, buf, sizeof(buf)))
		;
	lan_sends(NULL, f, len);
	assert_nothing(&b);
	assert_true(up.is_foreign);
}

/* The later one of two with the same MAC is not heard. */
static void the_same_address_twice(void **state _unused_)
{
	uint8_t f[200];
	struct fe d;
	size_t len;

	all_are_known();
	open_card(&d, 3, false);
	len = frame_from(f, 3, mac_of(0), everyone);
	send_frame(&d, NULL, f, len);
	assert_int_equal(lan_gets(), 0);
	assert_nothing(&b);
	assert_int_equal(d.macs, 0);
	assert_true(d.is_foreign);
	/* The earlier one still is. */
	len = udp_frame(f, 0, mac_of(1), 10);
	send_frame(&a, NULL, f, len);
	assert_received(&b, f, len);
	fe_close(&d);
}

static void a_tap_comes_and_goes(void **state _unused_)
{
	uint8_t f[200];
	size_t len = udp_frame(f, 0, stranger, 10);

	all_are_known();
	net_port_tap(up.port, -1);
	close(lan);
	assert_false(net_port_up(up.port));
	assert_int_equal(up.downs, 1);
	send_frame(&a, NULL, f, len);
	assert_received(&c, f, len);
	tap_comes();
	assert_int_equal(up.ups, 2);
	assert_int_equal(lan_gets(), 0);
	send_frame(&a, NULL, f, len);
	assert_lan_gets(f, len);
}

/* What the tap does not take is lost, and nothing else. */
static void a_full_tap_costs_the_frame(void **state _unused_)
{
	uint8_t f[2000];
	size_t len = udp_frame(f, 0, stranger, 1900);
	unsigned n = 0;

	all_are_known();
	while (!counters(&up).rx_full) {
		assert_true(n++ < 10000);
		send_frame(&a, NULL, f, len);
		while (fe_rx(&c, &hdr, buf, sizeof(buf)))
			;
		fe_arrive(&up);
	}
	len = udp_frame(f, 0, mac_of(1), 10);
	send_frame(&a, NULL, f, len);
	assert_received(&b, f, len);
	assert_true(net_port_up(up.port));
}

#undef T
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

/* A guest that can't announce itself has moved: who is behind the uplink learns where it is. */
static void a_guest_that_moved_is_announced(void **state _unused_)
{
	static const uint8_t rarp[42] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0,  0, 0, 10, 0x80, 0x35, 0, 1, 8, 0, 6,
		4,    0,    3,	  2,	0,    0,    0, 0, 10, 0, 0, 0,	0,    2,    0, 0, 0, 0, 10};
	uint64_t mac = 0;
	uint8_t f[200];
	ssize_t n;

	while (recv(lan, f, sizeof(f), 0) > 0)
		;
	/* The card has its address. */
	send_frame(&a, NULL, f, frame_from(f, 0, mac_of(0), everyone));
	fe_arrive(&up);
	while (recv(lan, f, sizeof(f), 0) > 0)
		;
	memcpy(&mac, mac_of(0), 6);
	fe_send_u64(&a, VHOST_USER_SET_PROTOCOL_FEATURES, 1ull << VHOST_USER_PROTOCOL_F_RARP);
	fe_send_u64(&a, VHOST_USER_SEND_RARP, mac);
	assert_int_equal(fe_message(&a), 0);
	fe_arrive(&up);
	n = recv(lan, f, sizeof(f), 0);
	assert_int_equal(n, 12 + 60);
	assert_memory_equal(f + 12, rarp, sizeof(rarp));
	/* Not from another card's address. */
	memcpy(&mac, mac_of(1), 6);
	send_frame(&b, NULL, f, frame_from(f, 1, mac_of(1), mac_of(0)));
	fe_send_u64(&a, VHOST_USER_SEND_RARP, mac);
	assert_int_equal(fe_message(&a), 0);
	fe_arrive(&up);
	assert_true(recv(lan, f, sizeof(f), 0) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(frames_find_their_way),
		T(any_protocol_passes),
		T(long_segments_cross_whole),
		T(datagrams_in_one_frame_are_cut_for_an_old_host),
		T(datagrams_that_are_cut_count_each),
		T(bad_headers_cost_the_frame),
		T(nobody_sends_from_a_cards_address),
		T(the_same_address_twice),
		T(a_tap_comes_and_goes),
		T(a_full_tap_costs_the_frame),
		T(a_guest_that_moved_is_announced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
