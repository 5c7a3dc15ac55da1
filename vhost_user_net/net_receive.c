/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames into a guest, from other guests and from the daemon: copied once into its RX ring.
 *
 * Mergeable buffers (virtio 1.2, 5.1.6.4): a frame may take several buffers, the number stands in
 * the first one's header.
 */
#include "vhost_user_net/net_port_private.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "vhost_user_net/net_spec.h"

#define HDR sizeof(struct virtio_net_hdr)

/* Buffers looked up and not yet taken: what they hold, piece by piece. */
struct room {
	unsigned chains, segs;
	size_t len;
};

static unsigned most_chains(const struct net_port *port)
{
	return vu_device_has(port->dev, VIRTIO_NET_F_MRG_RXBUF) ? NET_MERGE_MAX : 1;
}

/* Outcomes of find_room(), beside a negative errno. */
enum { ROOM_FOUND, ROOM_LATER, ROOM_NEVER };

/*
 * Look up buffers until there is room for @want bytes. Return: ROOM_FOUND; ROOM_LATER where
 * the guest has not posted as much; ROOM_NEVER where one frame can't take as many buffers; -EPROTO
 * where the ring is broken.
 */
static int find_room(struct net_port *port, size_t want, struct room *room)
{
	struct vu_vring *q = &port->dev->ring[VIRTIO_NET_RX].q;

	while (room->len < want) {
		struct vu_chain *chain = &port->rx_chains[room->chains];
		int r;

		if (room->chains >= most_chains(port))
			return ROOM_NEVER;
		/* Less than all of the array only where something stands in it already. */
		r = vu_vring_peek(q, room->chains, true, port->rx_segs + room->segs,
				  VU_SEGMENTS - room->segs, chain);
		if (r == 0)
			return ROOM_LATER;
		if (r == -ENOBUFS)
			return ROOM_NEVER;
		if (r < 0)
			return r;
		room->chains++;
		room->segs += chain->n_segs;
		room->len += chain->len;
	}
	return ROOM_FOUND;
}

/* Copy a frame into buffers that were looked up. */
static void fill(struct net_port *port, const struct room *room, const struct net_offload *offload,
		 const struct iovec *parts, unsigned n_parts, size_t len)
{
	struct vu_vring *q = &port->dev->ring[VIRTIO_NET_RX].q;
	struct virtio_net_hdr hdr = net_frame_header(offload);
	struct iovec *seg = port->rx_segs;
	size_t at = 0;

	hdr.num_buffers = le16_of((uint16_t)room->chains);
	port->count.rx_frames++;
	port->count.rx_bytes += len;
	/* None of them is left over: the last one was looked up because the others were too small. */
	vu_vring_push(q, port->rx_chains, room->chains, HDR + len);
	vu_vring_take(q, port->rx_chains, room->chains);

	/* One pass over both lists of pieces; @at: how far into *seg. */
	for (unsigned i = 0; i <= n_parts; i++) {
		const uint8_t *from = i ? parts[i - 1].iov_base : (const void *)&hdr;
		size_t left = i ? parts[i - 1].iov_len : sizeof(hdr);

		while (left) {
			size_t n = min_t(size_t, left, seg->iov_len - at);

			memcpy((uint8_t *)seg->iov_base + at, from, n);
			vu_vring_wrote(q, (uint8_t *)seg->iov_base + at, n);
			from += n;
			left -= n;
			at += n;
			if (at == seg->iov_len) {
				seg++;
				at = 0;
			}
		}
	}
}

/**
 * net_port_place() - copy a frame into the guest's RX ring
 * @port:	the port
 * @offload:	what is left for it to do, which its driver must have agreed on
 * @parts:	the frame; may lie in shared memory
 * @n_parts:	how many
 * @len:	bytes in them
 *
 * The driver sees it after net_port_rx_shown().
 *
 * Return: 0; NET_PLACE_FULL where there is no room (counted, and the frame is lost); NET_PLACE_DOWN
 * where the card is down, or the ring was found broken: net_port_rx_shown() deals with that.
 */
int net_port_place(struct net_port *port, const struct net_offload *offload,
		   const struct iovec *parts, unsigned n_parts, size_t len)
{
	struct room room = {0};
	int r = -EPIPE;

	if (port->up && vu_vring_works(&port->dev->ring[VIRTIO_NET_RX].q))
		r = find_room(port, HDR + len, &room);
	if (r < 0)
		return NET_PLACE_DOWN;
	if (r != ROOM_FOUND) {
		port->count.rx_full++;
		return NET_PLACE_FULL;
	}
	fill(port, &room, offload, parts, n_parts, len);
	return 0;
}

/*
 * How many buffers to wait for. Those that will come are counted as large as those that are there.
 * A driver posts new ones once half of its ring is empty, not before, so no more than that is waited
 * for at once.
 */
static unsigned wanted_buffers(struct vu_vring *q, const struct room *room, size_t len)
{
	size_t wanted = 1;

	if (room->len)
		wanted = (len * room->chains + room->len - 1) / room->len;
	wanted = min_t(size_t, wanted, q->num / 2);
	return (unsigned)max_t(size_t, wanted, vu_vring_available(q) + 1);
}

/**
 * net_port_give() - copy a frame into the guest's RX ring, or have it kick when there is room
 * @port:	the port
 * @offload:	what is left for the guest to do, which its driver must have agreed on
 * @parts:	the frame
 * @n_parts:	how many
 * @len:	bytes in them
 *
 * Where the guest has not posted enough buffers it is asked to kick its RX ring when it has. A frame
 * that its ring can never take is lost. The driver sees it after net_port_rx_shown().
 *
 * Return: NET_PORT_SENT; NET_PORT_FULL, and nothing was given: again after the next kick, or after
 * link() where the card is down.
 */
int net_port_give(struct net_port *port, const struct net_offload *offload,
		  const struct iovec *parts, unsigned n_parts, size_t len)
{
	struct vu_vring *q = &port->dev->ring[VIRTIO_NET_RX].q;
	int r;

	if (!port->up || !vu_vring_works(q))
		return NET_PORT_FULL;
	for (;;) {
		struct room room = {0};
		unsigned wanted;

		r = find_room(port, HDR + len, &room);
		if (r == ROOM_FOUND)
			fill(port, &room, offload, parts, n_parts, len);
		if (r != ROOM_LATER)
			break;
		wanted = wanted_buffers(q, &room, HDR + len);
		if (wanted > q->num)
			r = ROOM_NEVER;
		/* Posted meanwhile: each time more, so this ends. */
		if (wanted > q->num || !vu_vring_kicks_on(q, wanted))
			break;
	}
	if (r == ROOM_NEVER)
		port->count.rx_full++;
	return r == ROOM_FOUND || r == ROOM_NEVER ? NET_PORT_SENT : NET_PORT_FULL;
}

/**
 * net_port_send() - give the guest a frame from the daemon
 * @port:	the port
 * @offload:	what is left for the guest to do, no more than link() said that it takes
 * @parts:	the frame
 * @n_parts:	how many
 * @len:	bytes in them
 *
 * Where the guest has not posted enough buffers it is asked to kick its RX ring when it has. A frame
 * that its ring can never take is lost.
 *
 * Return: NET_PORT_SENT; NET_PORT_FULL, and nothing was given: again after the next kick, or after
 * link() where the card is down.
 */
int net_port_send(struct net_port *port, const struct net_offload *offload,
		  const struct iovec *parts, unsigned n_parts, size_t len)
{
	int r = net_port_give(port, offload, parts, n_parts, len);

	net_port_rx_shown(port);
	return r;
}
