/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames out of links, into the guest's RX ring.
 *
 * The other guest's process has judged what is in a link, but that guest may have taken the process
 * over. So each frame's header is copied and judged again here, by that guest's rules: its length,
 * its source addresses, what is left to do with it. The judged copy is what is passed on. The rest
 * is copied from the link once, and not trusted.
 *
 * A frame for which the guest has no buffers stays in its link until it has some. The link may fill up
 * meanwhile; its writer then drops frames.
 */
#include "vhost_user_net/net_port_private.h"

#include <string.h>

#include "base/mem.h"
#include "vhost_user_net/net_segment.h"
#include "vhost_user_net/net_spec.h"

/* Frames of one link before the next one's turn. */
#define AT_ONCE 16

/* Return: NULL, or why the frame that is on its way can't be the other guest's; a literal. */
static const char *judge(struct net_port *port, unsigned number, const struct virtio_net_hdr *hdr)
{
	const struct net_peer *peer = &port->peers.peer[number];
	struct net_frame *f = &port->frame;
	struct net_rules rules = {.plain = port->plain};
	enum net_verdict verdict;

	if (peer->isolated)
		return "the two may not reach each other";
	memcpy(rules.address, &peer->address, 4);
	memcpy(rules.daemon, port->rules.daemon, 4);
	verdict = net_rules_judge(&rules, f->head, f->head_len, f->len, &f->headers);
	if (verdict == NET_REFUSE)
		return f->headers.reason;
	if (verdict == NET_DHCP)
		return "DHCP request to another guest";
	if (peer->any ? net_card_mac_is_anothers(port, number, f->head + 6)
		      : memcmp(f->head + 6, peer->mac, 6) != 0)
		return "source address is not its card's";
	if ((f->headers.source6 &&
	     net_card_is_anothers(port, number, f->head + f->headers.source6)) ||
	    (f->headers.target6 &&
	     net_card_is_anothers(port, number, f->head + f->headers.target6)))
		return "IPv6 address is another card's";
	return net_frame_offload(f, hdr, NET_OFFLOADS);
}

static bool takes_gso(const struct net_port *port, const struct net_offload *o)
{
	bool ipv4 = port->frame.headers.type == ETHERTYPE_IPV4;

	if (port->uplink)
		return net_tap_takes(port, o);
	if (!net_port_has(port, VIRTIO_NET_F_GUEST_CSUM) ||
	    ((o->gso & VIRTIO_NET_HDR_GSO_ECN) && !net_port_has(port, VIRTIO_NET_F_GUEST_ECN)))
		return false;
	if (o->gso == VIRTIO_NET_HDR_GSO_UDP_L4)
		return net_port_has(port, ipv4 ? VIRTIO_NET_F_GUEST_USO4 : VIRTIO_NET_F_GUEST_USO6);
	return net_port_has(port, ipv4 ? VIRTIO_NET_F_GUEST_TSO4 : VIRTIO_NET_F_GUEST_TSO6);
}

static int place_part(struct net_port *port, const struct net_offload *o, const struct iovec *parts,
		      unsigned n_parts, size_t len)
{
	return port->uplink ? net_tap_place(port, o, parts, n_parts, len)
			    : net_port_place(port, o, parts, n_parts, len);
}

static int place_segments(struct net_port *port)
{
	static const struct net_offload none;
	struct net_frame *f = &port->frame;
	uint8_t head[NET_RULES_HEAD];
	struct net_segmenter s;
	const uint8_t *payload;
	size_t n;

	if (!net_segment_begin(&s, f, net_port_flat(port)))
		return NET_PLACE_FULL;
	for (; (n = net_segment_next(&s, head, &payload)); port->n_segments++) {
		struct iovec parts[2] = {
			{.iov_base = head, .iov_len = f->offload.hdr_len},
			{.iov_base = (void *)payload, .iov_len = n},
		};
		int r = place_part(port, &none, parts, 2, f->offload.hdr_len + n);

		if (r)
			return r;
	}
	return 0;
}

static int place_filled(struct net_port *port)
{
	static const struct net_offload none;
	struct net_frame *f = &port->frame;
	struct iovec part = {.iov_base = port->flat, .iov_len = f->len};

	net_port_flat(port);
	net_frame_fill_checksum(&f->offload, port->flat, f->len);
	return net_port_place(port, &none, &part, 1, f->len);
}

/* Beside the outcomes of net_port_place(): nothing was given, and a kick will tell. */
#define PLACE_WAITS (-1)

/*
 * What the guest's driver can't do is done for it. A frame that has to be cut for that does not
 * wait for room.
 */
static int place(struct net_port *port)
{
	const struct net_offload *o = &port->frame.offload;

	if (o->gso && !takes_gso(port, o))
		return place_segments(port);
	if (port->uplink) {
		int r = net_tap_place(port, o, port->out_segs, net_port_parts(port, port->out_segs),
				      port->frame.len);

		return r == NET_PLACE_CUT ? place_segments(port) : r;
	}
	if (o->csum && !net_port_has(port, VIRTIO_NET_F_GUEST_CSUM))
		return place_filled(port);
	return net_port_give(port, o, port->out_segs, net_port_parts(port, port->out_segs),
			     port->frame.len) == NET_PORT_SENT
		       ? 0
		       : PLACE_WAITS;
}

/* Outcomes of arrive_one(). */
enum { ARRIVED, EMPTY, WAITS, DOWN };

static int arrive_one(struct net_port *port, unsigned number)
{
	struct net_link *link = &port->peers.end[number].link;
	struct net_link_frame in;
	struct virtio_net_hdr hdr;
	const char *why;
	int r;

	r = net_link_peek(link, &in);
	if (r <= 0)
		return EMPTY;
	port->flat_is_frame = false;
	port->n_segments = 0;
	r = 0;
	if (!net_frame_take(&port->frame, in.segs, in.n_segs, in.len, &hdr))
		why = "too short or too long";
	else
		why = judge(port, number, &hdr);
	if (why) {
		port->count.rx_refused++;
		log_debug("%s: frame from port %u refused: %s", port->name, number, why);
	} else {
		r = place(port);
	}
	if (r == PLACE_WAITS)
		return WAITS;
	net_link_take(link);
	return r == NET_PLACE_DOWN ? DOWN : ARRIVED;
}

/*
 * A frame counts as what it was cut into: each is a write into a tap.
 *
 * Return: how that ended; ARRIVED where there may be more.
 */
static int arrive_some(struct net_port *port, unsigned number, unsigned *budget)
{
	struct net_link *link = &port->peers.end[number].link;
	int r = ARRIVED;

	for (unsigned n = 0, cost; n < AT_ONCE && *budget && r == ARRIVED; n += cost) {
		r = arrive_one(port, number);
		cost = r == ARRIVED ? max_t(unsigned, port->n_segments, 1) : 0;
		*budget -= min_t(unsigned, *budget, cost);
	}
	if (r != EMPTY)
		return r;
	if (link->fault)
		net_port_link_broken(port, number);
	else if (!net_link_sleep(link))
		port->peers.ready &= ~(1ull << number);
	return r;
}

/**
 * net_port_arrive() - pass on what other guests have sent
 * @port:	the port
 *
 * A burst of bounded length, of all links by turns. Where the guest has no buffers for the next
 * frame, it is asked to kick its RX ring when it has: then net_port_kicked() and this again.
 *
 * Return: true where there may be more: call again next turn.
 */
bool net_port_arrive(struct net_port *port)
{
	unsigned budget = NET_BURST;
	int r = ARRIVED;

	if (!port->up || port->rx_waits || !port->peers.ready)
		return false;
	/* Each is tried again as long as it has something. */
	while (budget && port->peers.ready && (r == ARRIVED || r == EMPTY)) {
		uint64_t after = port->peers.ready & ~0ull << port->next_peer;
		unsigned i = (unsigned)__builtin_ctzll(after ? after : port->peers.ready);

		port->next_peer = (i + 1) % NET_PORTS;
		r = arrive_some(port, i, &budget);
	}
	port->rx_waits = r == WAITS;
	if (!net_port_rx_shown(port)) {
		net_port_check(port);
		return false;
	}
	return port->peers.ready && r != WAITS;
}
