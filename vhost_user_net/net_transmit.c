/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames from a guest: out of its TX ring, through its rules, to the DHCP, the daemon, other cards.
 */
#include "vhost_user_net/net_port_private.h"

#include <string.h>

#include "vhost_user_net/net_segment.h"
#include "vhost_user_net/net_spec.h"

static void refused(struct net_port *port, const char *why)
{
	port->count.tx_refused++;
	log_debug("%s: frame refused: %s", port->name, why);
}

static bool has(const struct net_port *port, unsigned feature)
{
	return vu_device_has(&port->dev, feature);
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

/* The frame as it is, header in front: judged copy, then the rest. */
static unsigned frame_parts(struct net_port *port, struct iovec *parts)
{
	struct net_frame *f = &port->frame;

	parts[0] = (struct iovec){.iov_base = f->head, .iov_len = f->head_len};
	memcpy(parts + 1, f->rest, f->n_rest * sizeof(*parts));
	return 1 + f->n_rest;
}

static int place_segments(struct net_port *port, struct net_port *to)
{
	static const struct net_offload none;
	struct net_frame *f = &port->frame;
	uint8_t head[NET_RULES_HEAD];
	struct net_segmenter s;
	const uint8_t *payload;
	size_t n;

	if (!net_segment_begin(&s, f, net_port_flat(port)))
		return NET_PLACE_FULL;
	while ((n = net_segment_next(&s, head, &payload))) {
		struct iovec parts[2] = {
			{.iov_base = head, .iov_len = f->offload.hdr_len},
			{.iov_base = (void *)payload, .iov_len = n},
		};
		int r = net_port_place(port, to, &none, parts, 2, f->offload.hdr_len + n);

		if (r)
			return r;
	}
	return 0;
}

static int place_filled(struct net_port *port, struct net_port *to)
{
	static const struct net_offload none;
	struct net_frame *f = &port->frame;
	struct iovec part = {.iov_base = port->flat, .iov_len = f->len};

	net_port_flat(port);
	if (!port->flat_is_filled) {
		net_frame_fill_checksum(&f->offload, port->flat, f->len);
		port->flat_is_filled = true;
	}
	return net_port_place(port, to, &none, &part, 1, f->len);
}

static bool takes_gso(const struct net_port *to, unsigned gso)
{
	if ((gso & VIRTIO_NET_HDR_GSO_ECN) && !has(to, VIRTIO_NET_F_GUEST_ECN))
		return false;
	return has(to, (gso & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_TCPV4
			       ? VIRTIO_NET_F_GUEST_TSO4
			       : VIRTIO_NET_F_GUEST_TSO6);
}

/* To one card; what it can't take is done for it. Return: whether the card was there. */
static bool to_port(struct net_port *port, unsigned index)
{
	struct net_port *to = net_port_hold(port, index);
	const struct net_offload *o = &port->frame.offload;

	if (!to)
		return false;
	if (o->gso && (!takes_gso(to, o->gso) || !has(to, VIRTIO_NET_F_GUEST_CSUM)))
		place_segments(port, to);
	else if (o->csum && !has(to, VIRTIO_NET_F_GUEST_CSUM))
		place_filled(port, to);
	else
		net_port_place(port, to, o, port->out_segs, frame_parts(port, port->out_segs),
			       port->frame.len);
	return true;
}

/* To all cards that are up, or to those alone whose address isn't known. Return: whether any was.
 */
static bool to_others(struct net_port *port, bool unknown_only)
{
	unsigned n = atomic_load_explicit(&port->sw->n, memory_order_acquire);
	bool any = false;

	for (unsigned i = 0; i < n; i++) {
		uint64_t key = net_switch_key(port->sw, i);

		if (i == port->index || !(key & NET_KEY_UP) || (key & NET_KEY_ISOLATED) ||
		    (unknown_only && (key & NET_KEY_KNOWN)))
			continue;
		if (to_port(port, i))
			any = true;
	}
	return any;
}

/* To the daemon and nobody else. */
static void forward_confined(struct net_port *port)
{
	const uint8_t *dst = port->frame.head;

	if (!memcmp(dst, net_daemon_mac, 6) || (dst[0] & 1))
		net_daemon_frame(port);
	else
		refused(port, "source address is another card's");
}

static void forward(struct net_port *port)
{
	const uint8_t *dst = port->frame.head;
	bool there = false;
	int i;

	if (!memcmp(dst, net_daemon_mac, 6)) {
		net_daemon_frame(port);
		return;
	}
	if (dst[0] & 1) {
		if (!port->isolate)
			to_others(port, false);
		net_daemon_frame(port);
		return;
	}
	if (!port->isolate) {
		i = net_switch_find(port->sw, net_mac_key(dst));
		if (i < 0)
			/* After a restart neighbours still know addresses that we don't. */
			there = to_others(port, true);
		else if ((unsigned)i != port->index &&
			 !(net_switch_key(port->sw, (unsigned)i) & NET_KEY_ISOLATED))
			there = to_port(port, (unsigned)i);
	}
	if (!there)
		port->count.tx_nowhere++;
}

static void answer_dhcp(struct net_port *port)
{
	static const struct net_offload none;
	uint8_t reply[NET_DHCP_REPLY_MAX];
	struct iovec part = {.iov_base = reply};
	struct net_port *to;

	net_port_let_go(port);
	memcpy(port->dhcp.mac, port->frame.head + 6, 6);
	part.iov_len = net_dhcp_answer(&port->dhcp, net_port_flat(port), port->frame.headers.ip_end,
				       port->frame.headers.l4, reply);
	if (!part.iov_len)
		return;
	to = net_port_hold(port, port->index);
	if (to)
		net_port_place(port, to, &none, &part, 1, part.iov_len);
	net_port_let_go(port);
	net_port_probe(port);
}

static void one_frame(struct net_port *port, const struct vu_chain *chain)
{
	struct net_frame *f = &port->frame;
	struct virtio_net_hdr hdr;
	enum net_verdict verdict;
	const char *why;
	bool confined;

	port->flat_is_frame = port->flat_is_filled = false;
	if (!net_frame_take(f, port->tx_segs, chain->n_segs, chain->len, &hdr)) {
		refused(port, "too short or too long");
		return;
	}
	verdict = net_rules_judge(&port->rules, f->head, f->head_len, f->len, &f->headers);
	net_card_hears(port);
	if (verdict == NET_REFUSE) {
		refused(port, f->headers.reason);
		return;
	}
	why = net_frame_offload(f, &hdr, port->dev.features);
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
 * net_port_transmit() - pass on what the guest wants sent
 * @port:	the port
 *
 * A burst of bounded length; the guest's kicks are off until its ring was found empty.
 *
 * Return: true where there may be more: call again next turn, no kick will come.
 */
bool net_port_transmit(struct net_port *port)
{
	struct vu_vring *q = &port->dev.ring[VIRTIO_NET_TX].q;
	unsigned n;
	int r = 0;

	if (!port->up)
		return false;
	vu_vring_kicks_off(q);
	for (n = 0; n < NET_BURST; n++) {
		struct vu_chain chain;

		r = vu_vring_peek(q, 0, false, port->tx_segs, VU_SEGMENTS, &chain);
		if (r <= 0)
			break;
		one_frame(port, &chain);
		vu_vring_take(q, 1);
		vu_vring_push(q, chain.head, 0);
	}
	net_port_let_go(port);
	if (r >= 0)
		vu_vring_publish(q);
	if (r < 0 || vu_memory_lost(&port->dev.mem)) {
		net_port_check(port);
		return false;
	}
	return n == NET_BURST || vu_vring_kicks_on(q, 1);
}
