/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames from a guest: out of its TX ring, through its rules, to the DHCP server, to the daemon,
 * into links.
 */
#include "vhost_user_net/net_port_private.h"

#include <string.h>
#include <time.h>

#include "vhost_user_net/net_spec.h"

static void refused(struct net_port *port, const char *why)
{
	port->count.tx_refused++;
	log_debug("%s: frame refused: %s", port->name, why);
}

/**
 * net_port_flat() - the frame on its way, in one piece
 * @port:	its port
 *
 * Return: its bytes, until the next frame.
 */
const uint8_t *net_port_flat(struct net_port *port)
{
	if (!port->flat_is_frame) {
		net_frame_flatten(&port->frame, port->flat);
		port->flat_is_frame = true;
	}
	return port->flat;
}

/**
 * net_port_parts() - the frame that is on its way, as it is: judged copy, then the rest
 * @port:	the port
 * @parts:	room for 1 + VU_SEGMENTS pieces
 *
 * Return: how many there are.
 */
unsigned net_port_parts(struct net_port *port, struct iovec *parts)
{
	struct net_frame *f = &port->frame;

	parts[0] = (struct iovec){.iov_base = f->head, .iov_len = f->head_len};
	memcpy(parts + 1, f->rest, f->n_rest * sizeof(*parts));
	return 1 + f->n_rest;
}

/* To one card, by its link. Return: whether the card was there. */
static bool to_peer(struct net_port *port, unsigned number)
{
	struct virtio_net_hdr hdr = net_frame_header(&port->frame.offload);
	struct net_link *link = &port->peers.end[number].link;
	unsigned n = net_port_parts(port, port->out_segs);

	switch (net_link_send(link, &hdr, port->out_segs, n, port->frame.len)) {
	case 0:
		break;
	case NET_LINK_FULL:
		port->count.tx_full++;
		break;
	default:
		net_port_link_broken(port, number);
		return false;
	}
	port->peers.touched |= 1ull << number;
	/* Much was written and shown: the other side need not wait for the burst's end. */
	if (!link->looked)
		net_port_wake(port, number);
	return true;
}

enum others {
	ALL,
	UNKNOWN, /* whose address isn't known */
	BEYOND,	 /* that have others behind them */
};

/* To cards that are up. Return: whether any was. */
static bool to_others(struct net_port *port, enum others which)
{
	bool any = false;

	for (uint64_t left = port->peers.usable; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctzll(left);

		if ((which == UNKNOWN && port->peers.mac[i]) ||
		    (which == BEYOND && !port->peers.peer[i].any))
			continue;
		if (to_peer(port, i))
			any = true;
	}
	return any;
}

/* To the daemon and nobody else. */
static void forward_confined(struct net_port *port)
{
	const uint8_t *dst = port->frame.head;

	if (!port->plain && (!memcmp(dst, net_daemon_mac, 6) || (dst[0] & 1)))
		net_daemon_frame(port);
	else
		refused(port, "source address is another card's");
}

/* A frame to all is copied for each: a port may send so many at once, and so many a second. */
#define FLOOD_BURST 2048u
#define FLOOD_NS    (1000000000ull / 2048)

static bool may_flood(struct net_port *port)
{
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
	if (now - port->floods_from >= FLOOD_BURST * FLOOD_NS)
		port->floods_from = now - FLOOD_BURST * FLOOD_NS;
	if (now - port->floods_from < FLOOD_NS)
		return false;
	port->floods_from += FLOOD_NS;
	return true;
}

static void forward(struct net_port *port)
{
	const uint8_t *dst = port->frame.head;
	bool there = false;
	int i;

	if (!port->plain && !memcmp(dst, net_daemon_mac, 6)) {
		net_daemon_frame(port);
		return;
	}
	if (dst[0] & 1) {
		if (may_flood(port))
			to_others(port, ALL);
		else
			refused(port, "more frames to all than a port may send");
		if (!port->plain)
			net_daemon_frame(port);
		return;
	}
	i = net_peers_find(&port->peers, net_mac_key(dst));
	if (i >= 0)
		there = (port->peers.usable >> i & 1) && to_peer(port, (unsigned)i);
	else if (net_mac_key(dst) != port->own)
		/* A card that has not sent anything yet has no address that is known. */
		there = to_others(port, port->plain ? BEYOND : UNKNOWN);
	if (!there)
		port->count.tx_nowhere++;
}

static void answer_dhcp(struct net_port *port)
{
	static const struct net_offload none;
	uint8_t reply[NET_DHCP_REPLY_MAX];
	struct iovec part = {.iov_base = reply};

	memcpy(port->dhcp.mac, port->frame.head + 6, 6);
	part.iov_len = net_dhcp_answer(&port->dhcp, net_port_flat(port), port->frame.headers.ip_end,
				       port->frame.headers.l4, reply);
	if (!part.iov_len)
		return;
	net_port_place(port, &none, &part, 1, part.iov_len);
	net_port_probe(port);
}

static uint64_t offloads_of(const struct net_port *port)
{
	return port->uplink ? NET_OFFLOADS : port->dev->features;
}

/**
 * net_port_one_frame() - judge a frame, and pass it on
 * @port:	whose guest, or tap, it comes from
 * @len:	its bytes and the virtio-net header's, in tx_segs
 * @n_segs:	pieces there
 */
void net_port_one_frame(struct net_port *port, size_t len, unsigned n_segs)
{
	struct net_frame *f = &port->frame;
	struct virtio_net_hdr hdr;
	enum net_verdict verdict;
	const char *why;
	bool confined;

	port->flat_is_frame = false;
	if (!net_frame_take(f, port->tx_segs, n_segs, len, &hdr)) {
		refused(port, "too short or too long");
		return;
	}
	verdict = net_rules_judge(&port->rules, f->head, f->head_len, f->len, &f->headers);
	net_card_hears(port);
	if (verdict == NET_REFUSE) {
		refused(port, f->headers.reason);
		return;
	}
	why = net_frame_offload(f, &hdr, offloads_of(port));
	if (why) {
		refused(port, why);
		return;
	}
	confined = net_card_confines(port);
	port->count.tx_frames++;
	port->count.tx_bytes += f->len;
	if (verdict == NET_DHCP)
		answer_dhcp(port);
	else if (confined)
		forward_confined(port);
	else
		forward(port);
}

/**
 * net_port_show_links() - let the others see what they were sent
 * @port:	the port
 */
void net_port_show_links(struct net_port *port)
{
	for (uint64_t left = port->peers.touched; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctzll(left);

		net_link_show(&port->peers.end[i].link);
		net_port_wake(port, i);
	}
}

/**
 * net_port_announce() - have bridges learn where a guest is that has moved
 * @port:	the port
 * @mac:	its card's
 *
 * By a reverse ARP request (RFC 903), as if the guest had sent it, since it can't. On the private segment
 * control says whose an address is, and nobody learns it from frames.
 */
void net_port_announce(struct net_port *port, const uint8_t mac[6])
{
	struct {
		struct virtio_net_hdr hdr;
		struct ethernet_header eth;
		struct arp_packet arp;
		uint8_t padding[18];
	} ask = {
		.eth = {.destination = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
			.type = be16_of(ETHERTYPE_RARP)},
		.arp = {.hrd = be16_of(ARP_HRD_ETHERNET),
			.pro = be16_of(ETHERTYPE_IPV4),
			.hln = 6,
			.pln = 4,
			.op = be16_of(ARP_REVERSE_REQUEST)},
	};

	if (!port->up || !port->plain)
		return;
	memcpy(ask.eth.source, mac, 6);
	memcpy(ask.arp.sha, mac, 6);
	memcpy(ask.arp.tha, mac, 6);
	port->tx_segs[0] = (struct iovec){.iov_base = &ask, .iov_len = sizeof(ask)};
	net_port_one_frame(port, sizeof(ask), 1);
	net_port_show_links(port);
}

/**
 * net_port_transmit() - pass on what the guest wants sent
 * @port:	the port
 *
 * A burst of bounded length; the guest's kicks are off until its ring was found empty.
 *
 * Return: true where there may be more: call again next turn, no kick will come.
 */
bool net_port_transmit(struct net_port *port)
{
	struct vu_vring *q = &port->dev->ring[VIRTIO_NET_TX].q;
	unsigned n;
	int r = 0;

	if (!port->up)
		return false;
	if (port->uplink)
		return net_tap_transmit(port);
	vu_vring_kicks_off(q);
	for (n = 0; n < NET_BURST; n++) {
		struct vu_chain chain;

		r = vu_vring_peek(q, 0, false, port->tx_segs, VU_SEGMENTS, &chain);
		if (r <= 0)
			break;
		net_port_one_frame(port, chain.len, chain.n_segs);
		vu_vring_take(q, &chain, 1);
		vu_vring_push(q, &chain, 1, 0);
	}
	net_port_show_links(port);
	if (r >= 0)
		vu_vring_publish(q);
	if (!net_port_rx_shown(port) || r < 0 || vu_device_lost(port->dev)) {
		net_port_check(port);
		return false;
	}
	return n == NET_BURST || vu_vring_kicks_on(q, 1);
}
