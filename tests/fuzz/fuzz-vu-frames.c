/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames from a guest's ring to the other guests' rings, the daemon and the DHCP, and from the daemon
 * into the ring. They are whole (frame-maker.h) until the input changes them, so that rules,
 * segmentation and checksums see what they are for.
 *
 * Three guests: the one that the input is, one that agreed on all offloads, and a plain one, which
 * agreed on nothing: whatever it gets is whole, with all checksums filled in.
 *
 * Input: steps, each a byte that says what, and what it needs.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "../unit/vu-frontend.h"
#include "frame-maker.h"
#include "tests/fuzz/promise.h"
#include "vhost_user_net/net_arp.h"
#include "vhost_user_net/net_echo.h"
#include "vhost_user_net/net_neighbor.h"
#include "vhost_user_net/net_rules.h"

#define USO                                                                \
	(1ull << VIRTIO_NET_F_HOST_USO | 1ull << VIRTIO_NET_F_GUEST_USO4 | \
	 1ull << VIRTIO_NET_F_GUEST_USO6)
#define ALL   (FE_FEATURES | USO)
#define PLAIN (1ull << VIRTIO_F_VERSION_1 | 1ull << VHOST_USER_F_PROTOCOL_FEATURES)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SENDER, NEIGHBOUR, PLAIN_ONE, GUESTS };

static struct fe_net net;
static struct fe guests[GUESTS];
static struct made_frame made;
static bool restarted; /* the sender's receive buffers may be too small now */
static uint8_t buf[70000];

static void begin(uint8_t how)
{
	log_init(LOG_LEVEL_ERR);
	restarted = false;
	fe_net_init(&net);
	for (unsigned i = 0; i < GUESTS; i++) {
		struct net_port_config config = fe_config(i);
		struct fe *fe = &guests[i];

		net.isolate = i == NEIGHBOUR && (how & 1);
		/* By the configuration, or from the first frame on. */
		config.fixed_mac = i != SENDER || (how & 2);
		if (config.fixed_mac)
			frame_mac(config.mac, i);
		fe_open(fe, &net, &config);
		fe_start(fe, i == PLAIN_ONE ? PLAIN : ALL, 256);
		/* A plain card has one buffer for a frame, and some are too small for it. */
		fe_rx_fill(fe, 256, i == PLAIN_ONE && (how & 4) ? 600 : 2048);
	}
}

static void end(void)
{
	for (unsigned i = 0; i < GUESTS; i++)
		fe_close(&guests[i]);
	fe_net_deinit(&net);
}

/* What the daemon would answer it, of ARP, neighbour discovery and echo. */
static void answers(const struct made_frame *f)
{
	static const uint8_t ours4[4] = {10, 77, 0, 1};
	static const uint8_t ours6[16] = {0xfe, 0x80, [15] = 1};
	/* Exactly as long, so that a sanitizer sees what goes beyond. */
	_cleanup_free_ uint8_t *frame = malloc(f->len ? f->len : 1);
	static uint8_t reply[NET_ECHO_MAX];
	size_t n;

	if (!frame)
		return;
	memcpy(frame, f->bytes, f->len);
	n = net_arp_answer(net_daemon_mac, ours4, frame, f->len, reply);
	promise(n == 0 || n == NET_ARP_REPLY);
	n = net_neighbor_answer(net_daemon_mac, ours6, frame, f->len, reply);
	promise(n == 0 || n == NET_NEIGHBOR_REPLY);
	n = net_echo_answer(net_daemon_mac, ours4, ours6, frame, f->len, reply);
	promise(n <= f->len && (!n || frame_checksums_hold(reply, n)));
}

/* What has come to whom; @whole: nothing of it was changed. */
static void receive(bool whole)
{
	struct net_port_counters c;
	struct virtio_net_hdr hdr;
	size_t n;

	for (unsigned i = 0; i < GUESTS; i++) {
		struct fe *fe = &guests[i];

		while ((n = fe_rx(fe, &hdr, buf, sizeof(buf)))) {
			promise(n >= 14);
			if (i != PLAIN_ONE)
				continue;
			promise(!hdr.flags && !hdr.gso_type);
			promise(!whole || frame_checksums_hold(buf, n));
		}
		promise(i == SENDER || (net_port_up(fe->port) && !net_port_check(fe->port)));
		/* What the sender's process lets pass is what the receiver's takes. */
		net_port_count(fe->port, &c);
		promise(!c.rx_refused);
	}
	while (fe_daemon_gets(&guests[SENDER], &hdr, buf, sizeof(buf)))
		;
}

static bool turn(void)
{
	struct net_port *port = guests[SENDER].port;
	bool more = net_port_transmit(port);

	for (unsigned i = 0; i < GUESTS; i++) {
		net_port_flush(guests[i].port);
		net_port_check(guests[i].port);
	}
	return more;
}

static void transmit(struct cursor *c, unsigned as)
{
	struct net_port_counters before, after;
	struct virtio_net_hdr hdr;
	struct fe *fe = &guests[SENDER];

	/* A piece of no length breaks the ring, which is fuzz-vu-device's matter. */
	if (!frame_make(&made, c, as) || !made.len)
		return;
	answers(&made);
	net_port_count(fe->port, &before);
	fe_tx(fe, &made.hdr, made.bytes, made.len);
	turn();
	net_port_count(fe->port, &after);
	/* Refused or passed on, once. */
	promise(after.tx_frames + after.tx_refused > before.tx_frames + before.tx_refused);
	if (made.dhcp && !made.changed && after.tx_refused == before.tx_refused && !restarted)
		promise(fe_rx(fe, &hdr, buf, sizeof(buf)) > 300 && frame_checksums_hold(buf, 342));
	receive(!made.changed);
}

static void from_daemon(struct cursor *c)
{
	if (!frame_make(&made, c, MADE_DAEMON) || made.len < 14)
		return;
	fe_daemon_sends(&guests[SENDER], made.bytes, made.len);
	turn();
	receive(false);
}

/* The guest starts anew, and agrees on other things. */
static void restart(uint8_t how)
{
	struct fe *fe = &guests[SENDER];
	uint64_t features = ALL;

	if (how & 1)
		features &= ~(1ull << VIRTIO_NET_F_MRG_RXBUF);
	if (how & 2)
		features &= ~(1ull << VIRTIO_NET_F_HOST_TSO4 | 1ull << VIRTIO_NET_F_HOST_TSO6);
	if (how & 4)
		features &= ~(1ull << VIRTIO_NET_F_GUEST_CSUM);
	if (how & 8)
		features = PLAIN;
	if (how & 64)
		features |= 1ull << VIRTIO_F_RING_PACKED;
	if (how & 128)
		features &= ~USO;
	restarted = true;
	fe_connect(fe);
	fe_start(fe, features, how & 16 ? 16 : 256);
	fe_rx_fill(fe, fe->ring[VIRTIO_NET_RX].num, how & 32 ? 128 : 2048);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	const uint8_t *step = cursor_take(&c, 1), *how;

	if (!step)
		return 0;
	begin(*step);
	/* More of them are more of the same. */
	for (unsigned n = 0; n < 64 && (step = cursor_take(&c, 1)); n++) {
		switch (*step % 8) {
		case 0:
			from_daemon(&c);
			break;
		case 1:
			how = cursor_take(&c, 1);
			if (how)
				restart(*how);
			break;
		case 2: /* from its neighbour's card */
			transmit(&c, NEIGHBOUR);
			break;
		case 3:
			net_port_probe(guests[SENDER].port);
			receive(true);
			break;
		default:
			transmit(&c, SENDER);
			break;
		}
	}
	end();
	return 0;
}
