/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A port's vhost-user connections: one, or two while a guest moves from one front-end to another.
 *
 *   free -> connected: its rings may run -> free
 *           connected: held -> its rings may run -> …
 *
 * QEMU's second front-end sets its card up while the first one's rings run, as far as that goes without
 * its guest, and waits for answers to that before it does anything else. So the second connection is
 * served in all but its rings. They run once both rings of the first have stopped and its own are set
 * up, or once the first has gone. What the first sets up after that waits in the same way.
 */
#include <errno.h>
#include <string.h>

#include "vhost_user_net/net_port_private.h"

/* Messages that may wait at once; a front-end's whole set-up is some forty. */
#define MESSAGES 1024

/*
 * The guest can't use its card, though the front-end has accepted everything. Logged once a
 * connection.
 */
static void tell_unusable(struct net_port *port)
{
	const struct vu_ring *ring = port->dev->ring;
	const char *why = NULL;

	if (port->told_unusable)
		return;
	if (ring[0].unmapped || ring[1].unmapped)
		why = "its rings are not in the memory that it shares";
	else if (ring[0].kick >= 0 && ring[0].placed && port->dev->features &&
		 !vu_device_has(port->dev, VIRTIO_F_VERSION_1))
		why = "its driver is older than virtio 1.0 (VERSION_1 not agreed on); update it, or give the card disable-legacy=on (virtio over MMIO: QEMU takes -global virtio-mmio.force-legacy=false)";
	if (!why)
		return;
	port->told_unusable = true;
	log_limited(&port->ring_limit, LOG_LEVEL_WARNING, "%s: the guest's card can't be used: %s",
		    port->name, why);
}

static void on_watch_kick(void *ctx, unsigned ring, int fd)
{
	struct net_front *front = ctx;
	struct net_port *port = front->port;

	/* Those of rings that wait are watched when they may run. */
	if (&front->dev == port->dev)
		port->ops->watch_kick(port->ctx, ring, fd);
}

static void on_announce(void *ctx, const uint8_t mac[6])
{
	struct net_front *front = ctx;

	if (&front->dev == front->port->dev)
		net_port_announce(front->port, mac);
}

static int make(struct net_port *port, struct net_front *front)
{
	static const struct vu_device_ops ops = {.watch_kick = on_watch_kick,
						 .announce = on_announce};
	int r;

	if (front->made)
		return 0;
	front->port = port;
	r = vu_device_init(&front->dev, &ops, front);
	if (r < 0)
		vu_device_deinit(&front->dev);
	front->made = r == 0;
	return r;
}

static void unmake(struct net_front *front)
{
	if (front->made)
		vu_device_deinit(&front->dev);
	front->made = false;
}

/**
 * net_fronts_init() - begin without connections
 * @port:	the port
 *
 * Return: 0 or a negative errno; net_fronts_deinit() is due in both cases.
 */
int net_fronts_init(struct net_port *port)
{
	port->dev = &port->front[0].dev;
	return make(port, &port->front[0]);
}

/**
 * net_fronts_deinit() - free what net_fronts_init() and connections made
 * @port:	the port, without connections
 */
void net_fronts_deinit(struct net_port *port)
{
	for (unsigned i = 0; i < NET_PORT_CONNECTIONS; i++)
		unmake(&port->front[i]);
}

static struct net_front *other_front(struct net_port *port)
{
	return &port->front[port->dev == &port->front[0].dev];
}

static bool is_connected(const struct net_front *front)
{
	return front->made && front->dev.sock >= 0;
}

/* The card is the other connection's from here on. */
static void change(struct net_port *port)
{
	struct net_front *other = other_front(port);

	vu_device_hold(port->dev, true);
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++)
		port->ops->watch_kick(port->ctx, i, -1);
	port->dev = &other->dev;
	port->told_unusable = false;
	for (unsigned i = 0; i < VIRTIO_NET_RINGS; i++) {
		port->reported[i] = false;
		if (port->dev->ring[i].kick >= 0)
			port->ops->watch_kick(port->ctx, i, port->dev->ring[i].kick);
	}
	vu_device_hold(port->dev, false);
	net_port_follow(port);
}

static void choose(struct net_port *port)
{
	struct net_front *other = other_front(port);

	if (is_connected(other) && !vu_device_runs(port->dev) && vu_device_ready(&other->dev)) {
		log_debug("%s: its card goes to its other front-end", port->name);
		change(port);
	}
}

/**
 * net_port_connect() - serve a front-end
 * @port:	the port
 * @sock:	the connection; stays the caller's, who calls net_port_message() when it is readable
 *
 * Return: which of its connections it is, 0 to NET_PORT_CONNECTIONS - 1; -EISCONN where it has them all;
 * or another negative errno.
 */
int net_port_connect(struct net_port *port, int sock)
{
	struct net_front *front = other_front(port);
	bool held = port->dev->sock >= 0;
	int r;

	if (!held)
		front = &port->front[port->dev != &port->front[0].dev];
	else if (is_connected(front))
		return -EISCONN;
	r = make(port, front);
	if (r < 0)
		return r;
	if (!held)
		port->told_unusable = false;
	vu_device_connect(&front->dev, sock);
	vu_device_hold(&front->dev, held);
	return (int)(front - port->front);
}

/**
 * net_port_message() - serve what arrived over a connection
 * @port:	the port
 * @which:	of its connections, as net_port_connect() returned it
 *
 * It serves all of it, so that edges are enough to watch the socket. A front-end that sends faster
 * than it is served is disconnected. Where the card goes up, link() was called on the way; then
 * net_port_transmit() and net_port_flush() want to be called in the same turn, as after kicks:
 * buffers may have been waiting since before a restart.
 *
 * Return: 0; NET_PORT_CLOSED where the front-end closed the connection; a negative errno where it
 * can't go on. In both cases net_port_disconnect() is due.
 */
int net_port_message(struct net_port *port, unsigned which)
{
	struct net_front *front = &port->front[which];
	struct vu_device *dev = &front->dev;

	if (!is_connected(front))
		return -ENOTCONN;
	for (unsigned i = 0; i < MESSAGES; i++) {
		int r = vu_device_message(dev);

		if (r == VU_DEVICE_PART)
			return 0;
		net_port_follow(port);
		choose(port);
		tell_unusable(port);
		if (r == VU_DEVICE_END)
			return NET_PORT_CLOSED;
		if (r < 0) {
			if (dev->refused)
				log_limited(
					&port->limit, LOG_LEVEL_WARNING,
					"%s: connection closed: vhost-user message %s (%u) refused: %s",
					port->name, vu_device_request_name(dev->request),
					dev->request, dev->refused);
			return r;
		}
	}
	log_limited(
		&port->limit, LOG_LEVEL_WARNING,
		"%s: connection closed: more vhost-user messages at once than any front-end sends",
		port->name);
	return -EOVERFLOW;
}

/* The connection whose rings may run has ended. */
static void leaves(struct net_port *port)
{
	bool in_order = !port->up;

	/* Other guests are to see what they got from this one. */
	net_port_flush(port);
	net_port_signal(port);
	vu_device_disconnect(port->dev);
	net_port_follow(port);
	if (!in_order)
		net_port_guest_gone(port);
	if (is_connected(other_front(port)))
		change(port);
}

/**
 * net_port_disconnect() - forget a connection and all that came over it
 * @port:	the port
 * @which:	of its connections; it may have ended before. link() tells where the card is down
 */
void net_port_disconnect(struct net_port *port, unsigned which)
{
	struct net_front *front = &port->front[which];

	if (&front->dev == port->dev)
		leaves(port);
	else if (front->made)
		vu_device_disconnect(&front->dev);
	if (&front->dev != port->dev)
		unmake(front);
}
