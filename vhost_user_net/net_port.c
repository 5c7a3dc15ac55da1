/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A port's life: the connection, going up and down, breaking, telling the driver.
 */
#include "vhost_user_net/net_port_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* Frames that were sent of which the guest may not know yet, unless its ring is small. */
#define UNSIGNALLED 16

/* Messages that may wait at once; a front-end's whole set-up is some forty. */
#define MESSAGES 1024

static struct vu_ring *rx_ring(struct net_port *port)
{
	return &port->dev.ring[VIRTIO_NET_RX];
}

/**
 * net_port_hold() - take another port's, or the own, RX ring
 * @port:	whose thread this is; what it held before is let go
 * @index:	the slot
 *
 * Return: the port there, to be used until net_port_let_go(); NULL where the slot is empty or its
 * card is down, and then nothing is held.
 */
struct net_port *net_port_hold(struct net_port *port, unsigned index)
{
	struct net_slot *slot = &port->sw->slot[index];

	if (port->held != (int)index) {
		net_port_let_go(port);
		pthread_mutex_lock(&slot->lock);
		port->held = (int)index;
	}
	if (!slot->port || !slot->port->up || !vu_vring_works(&rx_ring(slot->port)->q)) {
		net_port_let_go(port);
		return NULL;
	}
	return slot->port;
}

/* The RX ring or the memory turned out bad: out of use at once; the rest is its own thread's. */
static void break_held(struct net_port *to, const char *what)
{
	vu_device_break(&to->dev, VIRTIO_NET_RX, what);
	to->ops->poke(to->ctx);
}

/**
 * net_port_let_go() - give back what is held; what was placed there is shown to its driver
 * @port:	whose thread this is
 */
void net_port_let_go(struct net_port *port)
{
	struct net_slot *slot;
	struct net_port *to;

	if (port->held < 0)
		return;
	slot = &port->sw->slot[port->held];
	to = slot->port;
	if (to && rx_ring(to)->running) {
		vu_vring_publish(&rx_ring(to)->q);
		if (vu_memory_lost(&to->dev.mem))
			break_held(to, "the guest's memory was cut off");
		else if (rx_ring(to)->q.fault.what)
			break_held(to, NULL);
	}
	port->touched |= 1ull << port->held;
	port->held = -1;
	pthread_mutex_unlock(&slot->lock);
}

/*
 * Long frames take up to 43 buffers of the least size. A driver posts new ones once half of its ring
 * is empty: in a smaller ring there might never be as many.
 */
#define RING_FOR_LONG 128

static unsigned takes_of(struct net_port *port)
{
	const struct vu_device *dev = &port->dev;
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

static void set_link(struct net_port *port, bool up)
{
	struct net_slot *slot = &port->sw->slot[port->index];

	pthread_mutex_lock(&slot->lock);
	port->up = up;
	pthread_mutex_unlock(&slot->lock);
	port->foreign = 0;
	port->has_daemon = false;
	net_switch_link(port->sw, port->index, up);
	log_debug("%s: card %s", port->name, up ? "up" : "down");
	port->takes = up ? takes_of(port) : 0;
	port->ops->link(port->ctx, up, port->takes);
	if (up && port->fixed_mac)
		port->ops->mac(port->ctx, port->fixed);
}

static void report_faults(struct net_port *port)
{
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++) {
		struct vu_vring_fault f;

		pthread_mutex_lock(port->dev.lock);
		f = port->dev.ring[i].q.fault;
		pthread_mutex_unlock(port->dev.lock);
		if (!f.what) {
			port->reported[i] = false;
			continue;
		}
		if (port->reported[i])
			continue;
		port->reported[i] = true;
		log_limited(
			&port->limit, LOG_LEVEL_WARNING,
			"%s: the guest's %s ring is broken: %s (index %u, address 0x%llx, length "
			"%u, flags 0x%x); its card is down until the guest sets it up anew",
			port->name, i == VIRTIO_NET_RX ? "RX" : "TX", f.what, f.index,
			(unsigned long long)f.addr, f.len, f.flags);
	}
}

/* What the user is told follows from how the rings stand. */
static void follow(struct net_port *port)
{
	const struct vu_ring *rx = rx_ring(port), *tx = &port->dev.ring[VIRTIO_NET_TX];
	bool up;

	report_faults(port);
	pthread_mutex_lock(port->dev.lock);
	up = rx->running && tx->running;
	pthread_mutex_unlock(port->dev.lock);
	/* A ring that was started has a signal due. */
	port->touched |= 1ull << port->index;
	/* Other features under running rings: they were started anew, and so is the card. */
	if (up && port->up && takes_of(port) != port->takes)
		set_link(port, false);
	if (up != port->up)
		set_link(port, up);
}

/* The guest can't have a card, though the front-end is content. Said once a connection. */
static void tell_unusable(struct net_port *port)
{
	const struct vu_ring *ring = port->dev.ring;
	const char *why = NULL;

	if (port->told_unusable)
		return;
	if (ring[0].unmapped || ring[1].unmapped)
		why = "its rings are not in the memory that it shares";
	else if (ring[0].kick >= 0 && ring[0].placed && port->dev.features &&
		 !vu_device_has(&port->dev, VIRTIO_F_VERSION_1))
		why = "its driver is older than virtio 1.0 (VERSION_1 not agreed on); update it, "
		      "or "
		      "give the card disable-legacy=on";
	if (!why)
		return;
	port->told_unusable = true;
	log_limited(&port->limit, LOG_LEVEL_WARNING, "%s: the guest's card can't be used: %s",
		    port->name, why);
}

static void on_watch_kick(void *ctx, unsigned ring, int fd)
{
	struct net_port *port = ctx;

	port->ops->watch_kick(port->ctx, ring, fd);
}

/**
 * net_port_new() - a port without a connection
 * @ret_port:	the port
 * @sw:		its switch; outlives it
 * @config:	what it may do; copied
 * @ops:	what it asks of its user; outlives it
 * @ctx:	given to them
 *
 * Any thread; from then on all calls come from one thread. None of @ops is called yet, but poke()
 * by other ports' threads may be at any time from the first link-up on, with a lock held: it must
 * not call back, nor wait.
 *
 * Return: 0; -ENOMEM; -ENOSPC where the switch is full; -EADDRINUSE where another port has the
 * configured card address; -EINVAL where that is no card's address, or the daemon's; or io_uring's error.
 */
int net_port_new(struct net_port **ret_port, struct net_switch *sw,
		 const struct net_port_config *config, const struct net_port_ops *ops, void *ctx)
{
	static const struct vu_device_ops device_ops = {.watch_kick = on_watch_kick};
	bool fixed = net_mac_key(config->mac) != 0;
	const uint8_t *mac = fixed ? config->mac : config->mac_before;
	struct net_port *port;
	uint64_t key;
	int r;

	if ((mac[0] & 1) || !memcmp(mac, net_daemon_mac, 6) || config->prefix > 32)
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
	port->sw = sw;
	port->ops = ops;
	port->ctx = ctx;
	port->held = -1;
	port->isolate = config->isolate;
	memcpy(port->fixed, config->mac, 6);
	port->fixed_mac = fixed;
	memcpy(port->rules.address, &config->address, 4);
	memcpy(port->rules.daemon, &config->daemon, 4);
	port->dhcp.prefix = config->prefix;
	memcpy(port->dhcp.address, &config->address, 4);
	memcpy(port->dhcp.daemon, &config->daemon, 4);

	key = (port->isolate ? NET_KEY_ISOLATED : 0) | (fixed ? NET_KEY_FIXED : 0);
	r = net_switch_enter(sw, key | (net_mac_key(mac) ? NET_KEY_KNOWN | net_mac_key(mac) : 0),
			     &port->index);
	/* What the guest had before is another one's by now. */
	if (r == -EADDRINUSE && !fixed)
		r = net_switch_enter(sw, key, &port->index);
	if (r < 0) {
		free(port->flat);
		free(port);
		return r;
	}
	r = vu_device_init(&port->dev, &device_ops, port, &sw->slot[port->index].lock);
	if (r < 0) {
		vu_device_deinit(&port->dev);
		net_switch_leave(sw, port->index);
		free(port->flat);
		free(port);
		return r;
	}
	pthread_mutex_lock(&sw->slot[port->index].lock);
	sw->slot[port->index].port = port;
	pthread_mutex_unlock(&sw->slot[port->index].lock);
	*ret_port = port;
	return 0;
}

/**
 * net_port_free() - disconnect, leave the switch, and free
 * @port:	the port, or NULL
 *
 * Other threads keep it waiting for no longer than one burst each.
 *
 * Return: NULL.
 */
struct net_port *net_port_free(struct net_port *port)
{
	struct net_slot *slot;

	if (!port)
		return NULL;
	net_port_disconnect(port);
	slot = &port->sw->slot[port->index];
	pthread_mutex_lock(&slot->lock);
	slot->port = NULL;
	pthread_mutex_unlock(&slot->lock);
	net_switch_leave(port->sw, port->index);
	vu_device_deinit(&port->dev);
	free(port->flat);
	free(port);
	return NULL;
}

/**
 * net_port_connect() - serve a front-end
 * @port:	the port, not connected
 * @sock:	the connection; stays the caller's, who calls net_port_message() when it is readable
 *
 * Return: 0; -EISCONN.
 */
int net_port_connect(struct net_port *port, int sock)
{
	if (port->dev.sock >= 0)
		return -EISCONN;
	port->told_unusable = false;
	vu_device_connect(&port->dev, sock);
	return 0;
}

/**
 * net_port_message() - serve what arrived over the connection
 * @port:	the port, connected
 *
 * All of it, so that edges will do to watch the socket; a front-end that sends faster than it is
 * served is let go. Where the card goes up, link() was called on the way; then net_port_transmit()
 * and net_port_flush() want to be called in the same turn, as after kicks:
 * buffers may have been waiting since before a restart.
 *
 * Return: 0; NET_PORT_CLOSED where the front-end closed the connection; a negative errno where it
 * can't go on. In both cases net_port_disconnect() is due.
 */
int net_port_message(struct net_port *port)
{
	if (port->dev.sock < 0)
		return -ENOTCONN;
	for (unsigned i = 0; i < MESSAGES; i++) {
		int r = vu_device_message(&port->dev);

		if (r == VU_DEVICE_PART)
			return 0;
		follow(port);
		tell_unusable(port);
		if (r == VU_DEVICE_END)
			return NET_PORT_CLOSED;
		if (r < 0) {
			if (port->dev.refused)
				log_limited(&port->limit, LOG_LEVEL_WARNING,
					    "%s: connection closed: vhost-user message %s (%u) "
					    "refused: %s",
					    port->name, vu_device_request_name(port->dev.request),
					    port->dev.request, port->dev.refused);
			return r;
		}
	}
	log_limited(&port->limit, LOG_LEVEL_WARNING,
		    "%s: connection closed: more vhost-user messages at once than any front-end "
		    "sends",
		    port->name);
	return -EOVERFLOW;
}

/**
 * net_port_disconnect() - forget the connection and all that came over it
 * @port:	the port, connected or not; link() tells that the card is down
 */
void net_port_disconnect(struct net_port *port)
{
	net_port_let_go(port);
	/* What others got from this guest they shall know of. */
	net_port_flush(port);
	net_port_signal(port);
	vu_device_disconnect(&port->dev);
	follow(port);
}

/**
 * net_port_kicked() - the guest kicked a ring
 * @port:	the port
 * @ring:	0 RX: it posted buffers; 1 TX: it posted frames
 *
 * What net_port_send() had no room for may be sent again, for RX; net_port_transmit() is next for TX.
 */
void net_port_kicked(struct net_port *port, unsigned ring)
{
	if (ring != VIRTIO_NET_RX)
		return;
	pthread_mutex_lock(port->dev.lock);
	vu_vring_kicks_off(&rx_ring(port)->q);
	pthread_mutex_unlock(port->dev.lock);
}

/* With the slot of @of held where it is an RX ring. */
static void signal_ring(struct net_port *of, unsigned i)
{
	struct vu_ring *ring = &of->dev.ring[i];

	if (ring->running && vu_vring_wants_signal(&ring->q))
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
 * It need not have them at once: whoever sends seldom waits for that, and an answer's interrupt
 * mostly comes first, at which drivers look after what was sent as well. So net_port_flush() leaves
 * them for a while, but not many.
 *
 * Return: whether net_port_signal() is due, some milliseconds from now at the latest.
 */
bool net_port_signal_due(const struct net_port *port)
{
	const struct vu_ring *ring = &port->dev.ring[VIRTIO_NET_TX];

	return ring->running && vu_vring_unsignalled(&ring->q);
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
 * net_port_flush() - end a turn: interrupt the guests that want to know
 * @port:	whose thread this is
 *
 * The own rings, and those of other guests that got frames from this one. Few frames that were sent
 * are left to net_port_signal().
 */
void net_port_flush(struct net_port *port)
{
	const struct vu_ring *tx = &port->dev.ring[VIRTIO_NET_TX];

	if (tx->q.signal_due || vu_vring_unsignalled(&tx->q) >= most_unsignalled(&tx->q))
		net_port_signal(port);
	while (port->touched) {
		unsigned i = (unsigned)__builtin_ctzll(port->touched);
		struct net_slot *slot = &port->sw->slot[i];

		port->touched &= port->touched - 1;
		pthread_mutex_lock(&slot->lock);
		if (slot->port)
			signal_ring(slot->port, VIRTIO_NET_RX);
		pthread_mutex_unlock(&slot->lock);
	}
}

/**
 * net_port_check() - see whether somebody found this port broken
 * @port:	the port
 *
 * Logs what is wrong, once, and takes the card down. To be called after ops->poke(); the port does
 * it by itself where its own thread finds the fault.
 *
 * Return: 0; -EPROTO where a ring is broken.
 */
int net_port_check(struct net_port *port)
{
	bool broken, up;

	pthread_mutex_lock(port->dev.lock);
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++) {
		const struct vu_ring *ring = &port->dev.ring[i];

		/* Zeros in place of the ring look like all sorts of faults. */
		if (vu_memory_lost(&port->dev.mem) && (ring->running || ring->q.fault.what))
			vu_device_break(&port->dev, i, "the guest's memory was cut off");
		else if (ring->q.fault.what)
			vu_device_break(&port->dev, i, NULL);
	}
	broken = port->dev.ring[0].q.fault.what || port->dev.ring[1].q.fault.what;
	up = port->dev.ring[0].running && port->dev.ring[1].running;
	pthread_mutex_unlock(port->dev.lock);
	if (broken || up != port->up)
		follow(port);
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
	pthread_mutex_lock(port->dev.lock);
	*ret_counters = port->count;
	pthread_mutex_unlock(port->dev.lock);
}
