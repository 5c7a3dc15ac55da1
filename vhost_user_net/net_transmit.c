/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames from a guest: out of its TX ring, through its rules, to the DHCP, its tap, other cards.
 */
#include "vhost_user_net/net_port_private.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "vhost_user_net/net_segment.h"
#include "vhost_user_net/net_spec.h"

static int refused(struct net_port *port, const char *why)
{
	port->count.tx_refused++;
	log_debug("%s: frame refused: %s", port->name, why);
	return 0;
}

static bool has(const struct net_port *port, unsigned feature)
{
	return vu_device_has(&port->dev, feature);
}

static const uint8_t *flat_frame(struct net_port *port)
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

	if (!net_segment_begin(&s, f, flat_frame(port)))
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

	flat_frame(port);
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

/* Return: -EFAULT where the guest's memory isn't there; else 0, also for a frame that was dropped.
 */
static int to_tap(struct net_port *port, int tap)
{
	struct net_frame *f = &port->frame;
	struct virtio_net_hdr hdr = net_frame_header(&f->offload);
	struct iovec *out = port->out_segs;
	unsigned n;
	ssize_t r;

	net_port_let_go(port);
	out[0] = (struct iovec){.iov_base = &hdr, .iov_len = sizeof(hdr)};
	n = 1 + frame_parts(port, out + 1);
	if (n > IOV_MAX) {
		if (port->flat_is_filled)
			port->flat_is_frame = port->flat_is_filled = false;
		out[1] = (struct iovec){.iov_base = (void *)flat_frame(port), .iov_len = f->len};
		n = 2;
	}
	do {
		r = writev(tap, out, (int)n);
	} while (r < 0 && errno == EINTR);
	if (r >= 0)
		return 0;
	if (errno == EFAULT)
		return -EFAULT;
	if (errno == EINVAL)
		port->count.tx_refused++;
	else
		port->count.tx_nowhere++;
	return 0;
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

/* To the daemon and nobody else: by the port's own tap. */
static int forward_confined(struct net_port *port, int tap)
{
	const uint8_t *dst = port->frame.head;

	if (!memcmp(dst, net_daemon_mac, 6) || (dst[0] & 1))
		return to_tap(port, tap);
	return refused(port, "source address is another card's");
}

static int forward(struct net_port *port, int tap)
{
	const uint8_t *dst = port->frame.head;
	bool there = false;
	int i;

	if (!memcmp(dst, net_daemon_mac, 6))
		return to_tap(port, tap);
	if (dst[0] & 1) {
		if (!port->isolate)
			to_others(port, false);
		return to_tap(port, tap);
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
	return 0;
}

static void answer_dhcp(struct net_port *port)
{
	static const struct net_offload none;
	uint8_t reply[NET_DHCP_REPLY_MAX];
	struct iovec part = {.iov_base = reply};
	struct net_port *to;

	net_port_let_go(port);
	memcpy(port->dhcp.mac, port->frame.head + 6, 6);
	part.iov_len = net_dhcp_answer(&port->dhcp, flat_frame(port), port->frame.headers.ip_end,
				       port->frame.headers.l4, reply);
	if (!part.iov_len)
		return;
	to = net_port_hold(port, port->index);
	if (to)
		net_port_place(port, to, &none, &part, 1, part.iov_len);
	net_port_let_go(port);
	net_port_probe(port);
}

static int one_frame(struct net_port *port, int tap, const struct vu_chain *chain)
{
	struct net_frame *f = &port->frame;
	struct virtio_net_hdr hdr;
	enum net_verdict verdict;
	const char *why;
	bool confined;

	port->flat_is_frame = port->flat_is_filled = false;
	if (!net_frame_take(f, port->tx_segs, chain->n_segs, chain->len, &hdr))
		return refused(port, "too short or too long");
	verdict = net_rules_judge(&port->rules, f->head, f->head_len, f->len, &f->headers);
	net_card_hears(port);
	if (verdict == NET_REFUSE)
		return refused(port, f->headers.reason);
	why = net_frame_offload(f, &hdr, port->dev.features);
	if (why)
		return refused(port, why);
	confined = net_card_confines(port);
	port->count.tx_frames++;
	port->count.tx_bytes += f->len;
	if (verdict == NET_DHCP) {
		answer_dhcp(port);
		return 0;
	}
	return confined ? forward_confined(port, tap) : forward(port, tap);
}

/**
 * net_port_transmit() - pass on what the guest wants sent
 * @port:	the port
 * @tap:	the guest's tap, with IFF_VNET_HDR and headers of 12 bytes, non-blocking
 *
 * A burst of bounded length; the guest's kicks are off until its ring was found empty.
 *
 * Return: true where there may be more: call again next turn, no kick will come.
 */
bool net_port_transmit(struct net_port *port, int tap)
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
		r = one_frame(port, tap, &chain);
		vu_vring_take(q, 1);
		vu_vring_push(q, chain.head, 0);
		if (r < 0) {
			vu_device_break(&port->dev, VIRTIO_NET_TX,
					"the guest's memory was cut off");
			break;
		}
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
