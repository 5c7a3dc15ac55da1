/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A port's life: going up and down, breaking, telling the driver.
 */
#include "vhost_user_net/net_port_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"

/* Frames that were sent of which the guest may not know yet, unless its ring is small. */
#define UNSIGNALLED 16

static struct vu_ring *rx_ring(struct net_port *port)
{
	return &port->dev->ring[VIRTIO_NET_RX];
}

/**
 * net_port_rx_shown() - show the driver what was placed into its RX ring
 * @port:	the port
 *
 * Return: false where the ring, or the memory, turned out bad: it is out of use, and
 * net_port_check() is due.
 */
bool net_port_rx_shown(struct net_port *port)
{
	struct vu_ring *rx = rx_ring(port);

	if (!rx->running)
		return !rx->q.fault.what;
	vu_vring_publish(&rx->q);
	if (vu_device_lost(port->dev))
		vu_device_break(
			port->dev, VIRTIO_NET_RX,
			"the guest's memory, or the log of what is written there, was cut off");
	else if (rx->q.fault.what)
		vu_device_break(port->dev, VIRTIO_NET_RX, NULL);
	return rx->running;
}

/*
 * Long frames take up to 43 buffers of the least size. A driver posts new ones once half of its ring
 * is empty: in a smaller ring there might never be as many.
 */
#define RING_FOR_LONG 128

static unsigned takes_of(struct net_port *port)
{
	const struct vu_device *dev = port->dev;
	unsigned takes = NET_TAKES_CSUM;

	/* Segmentation is agreed on together with checksums only (virtio 1.2, 5.1.3.1). */
	if (!vu_device_has(dev, VIRTIO_NET_F_GUEST_CSUM))
		return 0;
	if (vu_device_has(dev, VIRTIO_NET_F_MRG_RXBUF) && rx_ring(port)->q.num < RING_FOR_LONG)
		return takes;
	if (vu_device_has(dev, VIRTIO_NET_F_GUEST_TSO4))
		takes |= NET_TAKES_TSO4;
	if (vu_device_has(dev, VIRTIO_NET_F_GUEST_TSO6))
		takes |= NET_TAKES_TSO6;
	return takes;
}

/* With the card up: a link to each other card that is, too. */
static void want_links(struct net_port *port)
{
	uint64_t want = port->up ? net_peers_want(&port->peers) : 0;

	for (; want; want &= want - 1)
		port->ops->link_wanted(port->ctx, (unsigned)__builtin_ctzll(want));
}

/* Frames that came while the card was down were for a guest that has gone. */
static void skip_links(struct net_port *port)
{
	for (unsigned i = 0; i < NET_PORTS; i++) {
		net_link_skip(&port->peers.end[i].link);
		if (port->peers.end[i].link.memory)
			port->peers.ready |= 1ull << i;
	}
}

/* Of a packed ring, both halves of its position are the same. */
static uint16_t stands_at(const struct vu_ring *ring)
{
	return ring->running ? ring->q.last_avail : (uint16_t)ring->base;
}

static void guest_leaves(struct net_port *port)
{
	port->left = true;
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++)
		port->left_at[i] = stands_at(&port->dev->ring[i]);
}

/**
 * net_port_guest_gone() - whoever comes next is another guest
 * @port:	the port, down; gone() is told, if there was a guest
 */
void net_port_guest_gone(struct net_port *port)
{
	if (port->left)
		port->ops->gone(port->ctx);
	port->left = false;
}

/* Frames that a guest may send before it has seen that its link is down. */
#define INTO_NOWHERE 4096

/*
 * Nobody else gives the guest frames. What it sends while its link is down, QEMU takes from the ring itself, and
 * drops (hw/net/virtio-net.c, virtio_net_handle_tx_bh(), 7.2): so its TX ring may be ahead. An older state of the
 * guest is behind. Of a packed ring that can't be told, which stands at so few places.
 */
static bool goes_on(const struct net_port *port)
{
	const struct vu_ring *ring = port->dev->ring;
	uint16_t ahead = (uint16_t)(stands_at(&ring[VIRTIO_NET_TX]) - port->left_at[VIRTIO_NET_TX]);

	if (stands_at(&ring[VIRTIO_NET_RX]) != port->left_at[VIRTIO_NET_RX])
		return false;
	return ahead == 0 || (ahead <= INTO_NOWHERE && !net_port_has(port, VIRTIO_F_RING_PACKED));
}

/**
 * net_port_set_up() - a port's card goes up or down
 * @port:	the port
 * @up:		it goes up; link() is told
 */
void net_port_set_up(struct net_port *port, bool up)
{
	if (port->uplink)
		port->left = false;
	else if (!up)
		guest_leaves(port);
	else if (!goes_on(port))
		net_port_guest_gone(port);
	port->up = up;
	port->foreign = 0;
	port->has_daemon = false;
	port->rx_waits = false;
	if (up)
		skip_links(port);
	log_debug("%s: card %s", port->name, up ? "up" : "down");
	port->takes = up && !port->uplink ? takes_of(port) : 0;
	port->ops->link(port->ctx, up, port->takes);
	want_links(port);
}

static void report_faults(struct net_port *port)
{
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++) {
		struct vu_vring_fault f = port->dev->ring[i].q.fault;

		if (!f.what) {
			port->reported[i] = false;
			continue;
		}
		if (port->reported[i])
			continue;
		port->reported[i] = true;
		log_limited(
			&port->ring_limit, LOG_LEVEL_WARNING,
			"%s: the guest's %s ring is broken: %s (index %u, address 0x%llx, length %u, flags 0x%x); its card is down until the guest sets it up anew",
			port->name, i == VIRTIO_NET_RX ? "RX" : "TX", f.what, f.index,
			(unsigned long long)f.addr, f.len, f.flags);
	}
}

/**
 * net_port_follow() - tell the user what follows from the state of the rings
 * @port:	the port
 */
void net_port_follow(struct net_port *port)
{
	const struct vu_ring *rx = rx_ring(port), *tx = &port->dev->ring[VIRTIO_NET_TX];
	bool up = rx->running && tx->running;

	if (port->uplink)
		return;
	report_faults(port);
	/* Other features under running rings: they were started anew, and so is the card. */
	if (up && port->up && takes_of(port) != port->takes)
		net_port_set_up(port, false);
	if (up != port->up)
		net_port_set_up(port, up);
	if (rx->q.fault.what || tx->q.fault.what)
		net_port_guest_gone(port);
}

/**
 * net_port_new() - a port without a connection
 * @ret_port:	the port
 * @config:	what it may do; copied
 * @ops:	what it asks of its user; outlives it
 * @ctx:	given to them
 *
 * SIGBUS gets a handler, so that a guest that cuts off its memory doesn't end the process. Any
 * thread; from then on all calls come from one thread. None of @ops is called yet.
 *
 * Return: 0; -EINVAL where the MAC is no card's, or the daemon's, or the prefix is none;
 * or another negative errno.
 */
int net_port_new(struct net_port **ret_port, const struct net_port_config *config,
		 const struct net_port_ops *ops, void *ctx)
{
	struct net_port *port;
	int r = vu_map_guard();

	if (r < 0)
		return r;
	if ((config->mac[0] & 1) || !memcmp(config->mac, net_daemon_mac, 6) || config->prefix > 32)
		return -EINVAL;
	port = calloc(1, sizeof(*port));
	if (!port)
		return -ENOMEM;
	port->flat = malloc(NET_FRAME_MAX + sizeof(struct virtio_net_hdr));
	if (!port->flat) {
		free(port);
		return -ENOMEM;
	}
	snprintf(port->name, sizeof(port->name), "%s", config->name);
	port->ops = ops;
	port->ctx = ctx;
	port->plain = port->rules.plain = config->plain;
	port->any_mac = config->any_mac;
	port->uplink = config->uplink;
	port->tap = -1;
	port->fixed_mac = config->fixed_mac;
	port->own = net_mac_key(config->mac);
	memcpy(port->rules.address, &config->address, 4);
	memcpy(port->rules.daemon, &config->daemon, 4);
	port->dhcp.prefix = config->prefix;
	memcpy(port->dhcp.address, &config->address, 4);
	memcpy(port->dhcp.daemon, &config->daemon, 4);
	net_peers_init(&port->peers);
	port->waker_at = NET_PORTS;
	r = bell_init(&port->waker);
	if (r == 0)
		r = net_fronts_init(port);
	if (r < 0) {
		bell_deinit(&port->waker);
		net_fronts_deinit(port);
		free(port->flat);
		free(port);
		return r;
	}
	*ret_port = port;
	return 0;
}

/**
 * net_port_free() - disconnect, close all links, and free
 * @port:	the port, or NULL
 *
 * Return: NULL.
 */
struct net_port *net_port_free(struct net_port *port)
{
	if (!port)
		return NULL;
	for (unsigned i = 0; i < NET_PORT_CONNECTIONS; i++)
		net_port_disconnect(port, i);
	net_port_tap(port, -1);
	for (unsigned i = 0; i < NET_PORTS; i++)
		net_port_peer_gone(port, i);
	bell_deinit(&port->waker);
	net_fronts_deinit(port);
	free(port->flat);
	free(port);
	return NULL;
}

/* ------------------------------------------------------------- other guests' cards */

/**
 * net_port_peer_set() - another guest's card, as it is now
 * @port:	the port
 * @peer:	the card; copied. A number that is none is passed over
 */
void net_port_peer_set(struct net_port *port, const struct net_peer *peer)
{
	if (!net_peers_set(&port->peers, peer))
		return;
	/* Another card's MAC may be free now. */
	port->denied = 0;
	want_links(port);
}

/* Return: 0, or a negative errno where that is no eventfd. */
static int waker_attach(struct net_port *port, unsigned number, int fd)
{
	int r = 0;

	if (port->waker_at != number)
		r = bell_attach(&port->waker, fd);
	port->waker_at = r < 0 ? NET_PORTS : number;
	return r;
}

static void waker_leave(struct net_port *port, unsigned number)
{
	if (port->waker_at != number)
		return;
	bell_detach(&port->waker);
	port->waker_at = NET_PORTS;
}

static void close_link(struct net_port *port, unsigned number)
{
	waker_leave(port, number);
	if (port->peers.end[number].mine >= 0)
		port->ops->watch_link(port->ctx, number, -1);
	net_peers_close(&port->peers, number);
}

/**
 * net_port_peer_gone() - forget another guest's card, and close the link to it
 * @port:	the port
 * @number:	its port's; nothing happens where it isn't known
 */
void net_port_peer_gone(struct net_port *port, unsigned number)
{
	if (number >= NET_PORTS)
		return;
	close_link(port, number);
	net_peers_forget(&port->peers, number);
	port->denied = 0;
}

/**
 * net_port_link() - the own end of a link to another guest's card
 * @port:	the port
 * @number:	the other port's; its last link is closed
 * @side:	which side of the link is this one, 0 or 1
 * @memory:	of net_link_make(), as the other two
 * @wake_mine:	what the other side wakes this one by
 * @wake_theirs: what this side wakes the other one by; all three are the port's from here on
 *
 * Then net_port_arrive() wants to be called.
 *
 * Return: 0, or a negative errno and there is no link.
 */
int net_port_link(struct net_port *port, unsigned number, unsigned side, int memory, int wake_mine,
		  int wake_theirs)
{
	_cleanup_close_ int fd = memory, mine = wake_mine, theirs = wake_theirs;
	int r;

	if (number >= NET_PORTS || side > 1)
		return -EINVAL;
	close_link(port, number);
	r = waker_attach(port, number, theirs);
	if (r == 0)
		r = net_peers_open(&port->peers, number, fd, side, mine, theirs);
	if (r < 0) {
		waker_leave(port, number);
		log_limited(
			&port->link_limit, LOG_LEVEL_WARNING,
			"%s: a link to another guest can't be had: %s; their cards do not reach each other",
			port->name, errno_text(r));
		return r;
	}
	take_fd(&theirs);
	port->ops->watch_link(port->ctx, number, take_fd(&mine));
	return 0;
}

/**
 * net_port_link_ready() - the other side of a link has woken this one
 * @port:	the port
 * @number:	whose
 *
 * Call net_port_arrive() next.
 */
void net_port_link_ready(struct net_port *port, unsigned number)
{
	if (number < NET_PORTS && port->peers.end[number].link.memory)
		port->peers.ready |= 1ull << number;
}

/**
 * net_port_link_broken() - say what is wrong with a link, once
 * @port:	the port
 * @number:	whose. It stays, and carries nothing, until control brings another one
 */
void net_port_link_broken(struct net_port *port, unsigned number)
{
	struct net_peer_end *end = &port->peers.end[number];
	char dotted[INET_ADDRSTRLEN] = "";

	port->peers.ready &= ~(1ull << number);
	port->peers.usable &= ~(1ull << number);
	if (end->reported)
		return;
	end->reported = true;
	inet_ntop(AF_INET, &port->peers.peer[number].address, dotted, sizeof(dotted));
	log_limited(
		&port->link_limit, LOG_LEVEL_WARNING,
		"%s: its link to the guest %s is broken: %s; the two do not reach each other until one of the two VMs is started anew",
		port->name, dotted, end->link.fault);
}

/**
 * net_port_wake() - wake the other side of a link, if it sleeps
 * @port:	the port
 * @number:	whose
 */
void net_port_wake(struct net_port *port, unsigned number)
{
	struct net_peer_end *end = &port->peers.end[number];

	if (net_link_wakes(&end->link) && waker_attach(port, number, end->theirs) == 0)
		bell_ring(&port->waker);
}

/* ------------------------------------------------------------- notifications */

/**
 * net_port_kicked() - the guest kicked a ring
 * @port:	the port
 * @ring:	0 RX: it posted buffers; 1 TX: it posted frames
 *
 * What net_port_send() had no room for may be sent again, for RX, and net_port_arrive() called; net_port_transmit() is next for TX.
 */
void net_port_kicked(struct net_port *port, unsigned ring)
{
	if (ring != VIRTIO_NET_RX)
		return;
	port->rx_waits = false;
	vu_vring_kicks_off(&rx_ring(port)->q);
}

static void signal_ring(struct net_port *port, unsigned i)
{
	struct vu_ring *ring = &port->dev->ring[i];

	if (!ring->running || !vu_vring_wants_signal(&ring->q))
		return;
	if (port->ops->interrupt)
		port->ops->interrupt(port->ctx, &ring->call);
	else
		bell_ring(&ring->call);
}

/* How many sent frames the guest may be left without news of. */
static unsigned most_unsignalled(const struct vu_vring *q)
{
	return min_t(unsigned, UNSIGNALLED, q->num / 4);
}

/**
 * net_port_signal_due() - does the guest wait for news of frames that were sent?
 * @port:	the port
 *
 * It need not know at once: senders seldom wait for that, and mostly an answer's interrupt comes
 * first, at which drivers also look at what was sent. So net_port_flush() leaves them for a while,
 * but not many.
 *
 * Return: whether net_port_signal() is due, some milliseconds from now at the latest. Where the guest has
 * looked by itself meanwhile, it no longer is.
 */
bool net_port_signal_due(struct net_port *port)
{
	struct vu_ring *ring = &port->dev->ring[VIRTIO_NET_TX];

	return ring->running && vu_vring_awaits_signal(&ring->q);
}

/**
 * net_port_signal() - interrupt the guest for the frames that were sent, if it still wants to know
 * @port:	the port
 */
void net_port_signal(struct net_port *port)
{
	signal_ring(port, VIRTIO_NET_TX);
}

/**
 * net_port_flush() - end a turn: interrupt the guest if it wants to know, wake who has got frames
 * @port:	the port
 *
 * Few frames that were sent are left to net_port_signal().
 */
void net_port_flush(struct net_port *port)
{
	const struct vu_ring *rx = rx_ring(port), *tx = &port->dev->ring[VIRTIO_NET_TX];

	if (rx->q.fault.what || tx->q.fault.what)
		net_port_check(port);
	if (tx->q.signal_due || vu_vring_unsignalled(&tx->q) >= most_unsignalled(&tx->q))
		net_port_signal(port);
	signal_ring(port, VIRTIO_NET_RX);
	net_port_show_links(port);
	port->peers.touched = 0;
}

/**
 * net_port_check() - see whether a ring was found broken
 * @port:	the port
 *
 * Logs what is wrong, once, and takes the card down. The port does it by itself at the end of each
 * call that may find the fault.
 *
 * Return: 0; -EPROTO where a ring is broken.
 */
int net_port_check(struct net_port *port)
{
	bool broken, up;

	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++) {
		const struct vu_ring *ring = &port->dev->ring[i];

		/* Zeros in the place of the ring look like other faults. */
		if (vu_device_lost(port->dev) && (ring->running || ring->q.fault.what))
			vu_device_break(
				port->dev, i,
				"the guest's memory, or the log of what is written there, was cut off");
		else if (ring->q.fault.what)
			vu_device_break(port->dev, i, NULL);
	}
	broken = port->dev->ring[0].q.fault.what || port->dev->ring[1].q.fault.what;
	up = port->dev->ring[0].running && port->dev->ring[1].running;
	if (broken || up != port->up)
		net_port_follow(port);
	return broken ? -EPROTO : 0;
}

/**
 * net_port_up() - is the card up?
 * @port:	the port
 */
bool net_port_up(const struct net_port *port)
{
	return port->up;
}

/**
 * net_port_count() - what went through so far
 * @port:	the port
 * @ret_counters:	since it was made
 */
void net_port_count(const struct net_port *port, struct net_port_counters *ret_counters)
{
	*ret_counters = port->count;
}
