/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames into a guest: from other guests' threads, copied once into its RX ring; from its own tap,
 * read straight into it.
 *
 * Mergeable buffers (virtio 1.2, 5.1.6.4): a frame may take several buffers, the number stands in
 * the first one's header.
 */
#include "vhost_user_net/net_port_private.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/mem.h"
#include "vhost_user_net/net_spec.h"

#define HDR	      sizeof(struct virtio_net_hdr)
#define NUM_BUFFERS   offsetof(struct virtio_net_hdr, num_buffers)
#define ORDINARY      (HDR + 14 + 1500)
#define LONGEST	      (HDR + NET_FRAME_MAX)
#define SMALL_AT_ONCE 16 /* so many short frames, and a long one isn't expected any more */

/* Buffers looked up and not yet taken: what they hold, piece by piece. */
struct room {
	unsigned chains, segs;
	size_t len;
};

static unsigned most_chains(const struct net_port *port)
{
	return vu_device_has(&port->dev, VIRTIO_NET_F_MRG_RXBUF) ? NET_MERGE_MAX : 1;
}

/*
 * Look up buffers of @of until there is room for @want bytes. Return: 1; 0 where there isn't as
 * much; -EPROTO where the ring is broken.
 */
static int find_room(struct net_port *port, struct net_port *of, size_t want, struct room *room)
{
	struct vu_vring *q = &of->dev.ring[VIRTIO_NET_RX].q;

	while (room->len < want) {
		struct vu_chain *chain = &port->rx_chains[room->chains];
		int r;

		if (room->chains >= most_chains(of))
			return 0;
		/* Less than all of the array only where something stands in it already. */
		r = vu_vring_peek(q, room->chains, true, port->rx_segs + room->segs,
				  VU_SEGMENTS - room->segs, chain);
		if (r == 0 || r == -ENOBUFS)
			return 0;
		if (r < 0)
			return r;
		room->chains++;
		room->segs += chain->n_segs;
		room->len += chain->len;
	}
	return 1;
}

/* Take as many of the buffers as @len bytes fill. */
static void fill_room(struct net_port *port, struct net_port *of, size_t len)
{
	struct vu_vring *q = &of->dev.ring[VIRTIO_NET_RX].q;
	unsigned n = 0;

	of->count.rx_frames++;
	of->count.rx_bytes += len - HDR;
	for (size_t left = len; left; n++) {
		size_t part = min_t(size_t, left, port->rx_chains[n].len);

		vu_vring_push(q, port->rx_chains[n].head, (uint32_t)part);
		left -= part;
	}
	vu_vring_take(q, n);
}

static unsigned chains_for(const struct net_port *port, size_t len)
{
	unsigned n = 0;

	for (size_t room = 0; room < len; n++)
		room += port->rx_chains[n].len;
	return n;
}

/**
 * net_port_place() - copy a frame into a guest's RX ring
 * @port:	whose thread this is
 * @to:		the guest, held by net_port_hold()
 * @offload:	what is left for it to do, which its driver must have agreed on
 * @parts:	the frame; may lie in shared memory
 * @n_parts:	how many
 * @len:	bytes in them
 *
 * Return: 0; NET_PLACE_FULL where there is no room (counted, and the frame is lost); NET_PLACE_DOWN
 * where the ring was found broken: net_port_let_go() deals with that.
 */
int net_port_place(struct net_port *port, struct net_port *to, const struct net_offload *offload,
		   const struct iovec *parts, unsigned n_parts, size_t len)
{
	struct virtio_net_hdr hdr = net_frame_header(offload);
	struct iovec *seg = port->rx_segs;
	struct room room = {0};
	size_t at = 0;
	int r;

	r = find_room(port, to, HDR + len, &room);
	if (r <= 0) {
		to->count.rx_full += r == 0;
		return r < 0 ? NET_PLACE_DOWN : NET_PLACE_FULL;
	}
	hdr.num_buffers = le16_of((uint16_t)room.chains);
	fill_room(port, to, HDR + len);

	/* One pass over both lists of pieces; @at: how far into *seg. */
	for (unsigned i = 0; i <= n_parts; i++) {
		const uint8_t *from = i ? parts[i - 1].iov_base : &hdr;
		size_t left = i ? parts[i - 1].iov_len : sizeof(hdr);

		while (left) {
			size_t n = min_t(size_t, left, seg->iov_len - at);

			memcpy((uint8_t *)seg->iov_base + at, from, n);
			from += n;
			left -= n;
			at += n;
			if (at == seg->iov_len) {
				seg++;
				at = 0;
			}
		}
	}
	return 0;
}

/*
 * Is there room for the longest frame that the tap may give? Buffers are counted as large as those
 * looked up. A driver posts new ones once half of its ring is empty, not before, so no more than
 * that is waited for; what then doesn't fit is lost.
 * Return: 0, or how many buffers to wait for.
 */
static unsigned missing_room(struct net_port *port, size_t longest, const struct room *room)
{
	struct vu_vring *q = &port->dev.ring[VIRTIO_NET_RX].q;
	size_t wanted = 1, most = max_t(size_t, q->num / 2, 1);

	if (room->len && room->len < longest)
		wanted = (longest * room->chains + room->len - 1) / room->len;
	wanted = min_t(size_t, wanted, most_chains(port));
	wanted = min_t(size_t, wanted, most);
	return vu_vring_available(q) >= wanted ? 0 : (unsigned)wanted;
}

/* Room for the next read is looked up for as much as the last frames needed. */
static void learn_length(struct net_port *port, size_t got, size_t longest)
{
	if (got > port->tap_direct)
		port->tap_direct = longest;
	if (got > ORDINARY) {
		port->tap_small = 0;
	} else if (port->tap_small < SMALL_AT_ONCE) {
		if (++port->tap_small == SMALL_AT_ONCE)
			port->tap_direct = ORDINARY;
	}
}

/* A frame of @got bytes was read, @direct of them into the buffers, the rest to port->flat. */
static int finish_read(struct net_port *port, struct room *room, size_t got, size_t direct)
{
	le16 num;
	int r;

	if (got < HDR + sizeof(struct ethernet_header))
		return 0;
	r = find_room(port, port, got, room);
	if (r < 0)
		return r;
	if (r == 0) {
		port->count.rx_full++;
		return 0;
	}
	if (got > direct)
		net_scatter(port->rx_segs, room->segs, direct, port->flat, got - direct);
	/* The tap leaves this to us. */
	num = le16_of((uint16_t)chains_for(port, got));
	net_scatter(port->rx_segs, room->segs, NUM_BUFFERS, &num, sizeof(num));
	fill_room(port, port, got);
	return 0;
}

/* Outcomes of read_one(), beside a negative errno. */
enum { READ_ONE, READ_EMPTY, READ_WAITS };

static int read_one(struct net_port *port, int tap)
{
	struct vu_vring *q = &port->dev.ring[VIRTIO_NET_RX].q;
	bool tso = vu_device_has(&port->dev, VIRTIO_NET_F_GUEST_TSO4) ||
		   vu_device_has(&port->dev, VIRTIO_NET_F_GUEST_TSO6);
	size_t longest = tso ? LONGEST : ORDINARY, direct;
	struct room room = {0};
	unsigned missing, n;
	struct iovec bounce;
	ssize_t got;
	int r;

	if (!port->tap_direct)
		port->tap_direct = ORDINARY;
	r = find_room(port, port, min_t(size_t, port->tap_direct, longest), &room);
	if (r < 0)
		return r;
	missing = missing_room(port, longest, &room);
	if (missing)
		return vu_vring_kicks_on(q, missing) ? READ_ONE : READ_WAITS;

	/* The entry behind the pieces holds the bounce buffer for this one call. */
	n = min_t(unsigned, room.segs, IOV_MAX - 1);
	direct = 0;
	for (unsigned i = 0; i < n; i++)
		direct += port->rx_segs[i].iov_len;
	bounce = port->rx_segs[n];
	port->rx_segs[n] = (struct iovec){.iov_base = port->flat, .iov_len = LONGEST};
	do {
		got = readv(tap, port->rx_segs, (int)n + 1);
	} while (got < 0 && errno == EINTR);
	port->rx_segs[n] = bounce;
	if (got < 0)
		return errno == EAGAIN ? READ_EMPTY : -errno;
	learn_length(port, (size_t)got, longest);
	return finish_read(port, &room, (size_t)got, direct);
}

/**
 * net_port_receive() - pass on what the tap has for the guest
 * @port:	the port
 * @tap:	the guest's tap, with IFF_VNET_HDR and headers of 12 bytes, non-blocking
 *
 * A burst of bounded length. Where the guest has no room for the next frame it is left in the tap,
 * and the guest asked to kick its RX ring when it has: then net_port_kicked() and this again. So
 * the tap is to be watched for edges, not levels: it may stay readable.
 *
 * Return: true where there may be more: call again next turn.
 */
bool net_port_receive(struct net_port *port, int tap)
{
	unsigned n;
	int r = READ_ONE;

	if (!net_port_hold(port, port->index))
		return false;
	for (n = 0; n < NET_BURST && r == READ_ONE; n++)
		r = read_one(port, tap);
	if (r == -EFAULT)
		vu_device_break(&port->dev, VIRTIO_NET_RX, "the guest's memory was cut off");
	net_port_let_go(port);
	if (r == -EFAULT || r == -EPROTO || vu_memory_lost(&port->dev.mem))
		net_port_check(port);
	return r == READ_ONE;
}
