/* SPDX-License-Identifier: BSD-2-Clause */
/* A port of a further network; see lan_port.h. */
#include "dataplane/lan_port.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/stranger.h"
#include "dataplane/front_ends.h"

/* How long a guest may be left without the news that its frames were sent. */
#define SIGNAL_LATEST_NS 10000000ull

/* Where the thread is woken by the other side of a link. */
struct link_watch {
	struct lan_port *port;
	struct loop_watch watch;
};

struct lan_port {
	char name[72];
	struct loop *loop;
	const struct lan_port_events *events;
	void *ctx;
	struct net_port *net;
	struct lan_port_state state;

	/* A card. */
	struct front_ends fronts;
	struct loop_watch kick_watch[2], signal_timer;
	/* An uplink. */
	int tap; /* the port's; to be watched */
	struct loop_watch tap_watch;

	bool sends;    /* the TX ring, or the tap, may have frames */
	bool receives; /* links may have frames, and there may be room for them */
	struct link_watch link_watch[NET_PORTS];
};

/* ------------------------------------------------------------- what the port asks for */

static void kicked_rx(void *ctx, int res _unused_)
{
	struct lan_port *port = ctx;

	net_port_kicked(port->net, 0);
	port->receives = true;
}

static void kicked_tx(void *ctx, int res _unused_)
{
	struct lan_port *port = ctx;

	net_port_kicked(port->net, 1);
	port->sends = true;
}

static void watch_kick(void *ctx, unsigned ring, int fd)
{
	struct lan_port *port = ctx;

	loop_cancel(port->loop, &port->kick_watch[ring]);
	if (fd < 0)
		return;
	/* Edges will do: a counter that nobody reads still wakes at each write. */
	if (loop_watch_fd(port->loop, &port->kick_watch[ring], fd, POLLIN, LOOP_KEEP,
			  ring ? kicked_tx : kicked_rx, port) < 0)
		log_err("%s: no room to watch its rings", port->name);
	/* What is there already: after a restart under a running guest no kick may come. */
	if (ring == 1)
		port->sends = true;
}

static void on_link(void *ctx, bool up, unsigned takes _unused_)
{
	struct lan_port *port = ctx;

	port->state.up = up;
	memset(port->state.foreign, 0, sizeof(port->state.foreign));
	port->sends = port->receives = up;
	port->events->changed(port->ctx, &port->state);
}

static void on_gone(void *ctx _unused_)
{
}

static void on_daemon(void *ctx _unused_, const struct net_frame *frame _unused_)
{
}

static void on_mac_wanted(void *ctx, const uint8_t mac[6])
{
	struct lan_port *port = ctx;

	port->events->mac_wanted(port->ctx, mac);
}

static void on_link_wanted(void *ctx, unsigned number)
{
	struct lan_port *port = ctx;

	port->events->link_wanted(port->ctx, number);
}

static void link_woken(void *ctx, int res _unused_)
{
	struct link_watch *w = ctx;

	net_port_link_ready(w->port->net, (unsigned)(w - w->port->link_watch));
	w->port->receives = true;
}

static void watch_link(void *ctx, unsigned number, int fd)
{
	struct lan_port *port = ctx;
	struct link_watch *w = &port->link_watch[number];

	w->port = port;
	loop_cancel(port->loop, &w->watch);
	/* Edges will do, as for kicks. */
	if (fd >= 0 &&
	    loop_watch_fd(port->loop, &w->watch, fd, POLLIN, LOOP_KEEP, link_woken, w) < 0)
		log_err("%s: no room to watch a link to another port", port->name);
}

static void on_foreign(void *ctx, const uint8_t *mac)
{
	struct lan_port *port = ctx;

	memset(port->state.foreign, 0, sizeof(port->state.foreign));
	if (mac)
		memcpy(port->state.foreign, mac, sizeof(port->state.foreign));
	port->events->changed(port->ctx, &port->state);
}

static void on_has_daemon(void *ctx _unused_, bool has _unused_)
{
}

static void on_interrupt(void *ctx, struct bell *bell)
{
	struct lan_port *port = ctx;

	loop_ring(port->loop, bell);
}

static const struct net_port_ops port_ops = {
	.watch_kick = watch_kick,
	.link = on_link,
	.gone = on_gone,
	.daemon = on_daemon,
	.mac_wanted = on_mac_wanted,
	.link_wanted = on_link_wanted,
	.watch_link = watch_link,
	.foreign = on_foreign,
	.has_daemon = on_has_daemon,
	.interrupt = on_interrupt,
};

/* ------------------------------------------------------------- the vhost-user connections */

/**
 * lan_port_listen() - have QEMU connect at a socket
 * @port:	a card; who is connected stays so
 * @listener:	the port's from here on; the one before is closed
 */
void lan_port_listen(struct lan_port *port, int listener)
{
	int r = front_ends_listen(&port->fronts, listener);

	if (r == 0)
		return;
	stranger_listener_close(listener);
	log_err("%s: its socket can't be listened at: %s", port->name, errno_text(r));
}

/* ------------------------------------------------------------- the tap */

static void tap_readable(void *ctx, int res _unused_)
{
	struct lan_port *port = ctx;

	port->sends = true;
}

static void drop_tap(struct lan_port *port)
{
	loop_cancel(port->loop, &port->tap_watch);
	port->tap = -1;
	net_port_tap(port->net, -1);
}

/**
 * lan_port_tap() - give an uplink its tap
 * @port:	an uplink; the tap before is closed
 * @tap:	as of net_port_tap(); the port's where this succeeds
 *
 * Return: 0 or a negative errno.
 */
int lan_port_tap(struct lan_port *port, int tap)
{
	int r;

	drop_tap(port);
	r = loop_watch_fd(port->loop, &port->tap_watch, tap, POLLIN, LOOP_KEEP, tap_readable, port);
	if (r < 0)
		return r;
	port->tap = tap;
	net_port_tap(port->net, tap);
	return 0;
}

/* ------------------------------------------------------------- other ports */

/**
 * lan_port_peer_set() - another port of the network, as it is now
 * @port:	the port
 * @peer:	the other; copied
 */
void lan_port_peer_set(struct lan_port *port, const struct net_peer *peer)
{
	net_port_peer_set(port->net, peer);
}

/**
 * lan_port_peer_gone() - forget another port, and close the link to it
 * @port:	the port
 * @number:	the other's
 */
void lan_port_peer_gone(struct lan_port *port, unsigned number)
{
	net_port_peer_gone(port->net, number);
}

/**
 * lan_port_link() - its end of a link to another port; as net_port_link()
 */
void lan_port_link(struct lan_port *port, unsigned number, unsigned side, int memory, int wake_mine,
		   int wake_theirs)
{
	if (net_port_link(port->net, number, side, memory, wake_mine, wake_theirs) == 0)
		port->receives = true;
}

/**
 * lan_port_mac_granted() - control says whose a MAC is; as net_port_mac_granted()
 */
void lan_port_mac_granted(struct lan_port *port, const uint8_t mac[6], bool granted)
{
	uint64_t own;

	net_port_mac_granted(port->net, mac, granted);
	own = net_port_mac(port->net);
	if (own == net_mac_key(port->state.mac))
		return;
	for (unsigned i = 0; i < sizeof(port->state.mac); i++)
		port->state.mac[i] = (uint8_t)(own >> (8 * (5 - i)));
	port->events->changed(port->ctx, &port->state);
}

/**
 * lan_port_state() - how a port is
 * @port:	the port
 * @ret_state:	a copy
 */
void lan_port_state(const struct lan_port *port, struct lan_port_state *ret_state)
{
	*ret_state = port->state;
}

/**
 * lan_port_count() - what went through a port so far
 * @port:	the port
 * @ret_counters: since it was made
 */
void lan_port_count(const struct lan_port *port, struct net_port_counters *ret_counters)
{
	net_port_count(port->net, ret_counters);
}

/* ------------------------------------------------------------- its work */

static void signal_time(void *ctx, int res _unused_)
{
	struct lan_port *port = ctx;

	net_port_signal(port->net);
}

static void flush(struct lan_port *port)
{
	bool due;

	net_port_flush(port->net);
	due = front_ends_any(&port->fronts) && net_port_signal_due(port->net);
	/* What the guest has looked after by itself, it need not be told. */
	if (!due)
		loop_cancel(port->loop, &port->signal_timer);
	else if (!loop_watching(&port->signal_timer))
		loop_watch_time(port->loop, &port->signal_timer, SIGNAL_LATEST_NS, signal_time,
				port);
}

/**
 * lan_port_turn() - one turn of a port's work
 * @port:	the port
 *
 * Return: whether there is more to do without waiting.
 */
bool lan_port_turn(struct lan_port *port)
{
	if (port->state.up && port->sends)
		port->sends = net_port_transmit(port->net);
	if (port->state.up && port->receives)
		port->receives = net_port_arrive(port->net);
	flush(port);
	/* Its device is gone. */
	if (port->tap >= 0 && !port->state.up)
		drop_tap(port);
	return port->state.up && (port->sends || port->receives);
}

/**
 * lan_port_new() - make a port, down
 * @ret_port:	the port
 * @loop:	the thread's
 * @config:	copied
 * @events:	called with @ctx
 *
 * Return: 0 or a negative errno.
 */
int lan_port_new(struct lan_port **ret_port, struct loop *loop,
		 const struct lan_port_config *config, const struct lan_port_events *events,
		 void *ctx)
{
	struct lan_port *port = calloc(1, sizeof(*port));
	struct net_port_config net = {.plain = true,
				      .any_mac = config->any_mac || config->uplink,
				      .uplink = config->uplink,
				      /* It has none of its own, and asks for none. */
				      .fixed_mac = config->uplink};
	int r;

	if (!port)
		return -ENOMEM;
	snprintf(port->name, sizeof(port->name), "%s", config->name);
	port->loop = loop;
	port->events = events;
	port->ctx = ctx;
	port->tap = -1;
	memcpy(port->state.mac, config->mac, sizeof(port->state.mac));
	net.name = port->name;
	memcpy(net.mac, config->mac, sizeof(net.mac));
	r = net_port_new(&port->net, &net, &port_ops, port);
	if (r < 0) {
		free(port);
		return r;
	}
	front_ends_init(&port->fronts, port->name, loop, port->net);
	*ret_port = port;
	return 0;
}

/**
 * lan_port_free() - disconnect, and close all that it has
 * @port:	the port, or NULL; its events are called for the last time
 *
 * Return: NULL.
 */
struct lan_port *lan_port_free(struct lan_port *port)
{
	if (!port)
		return NULL;
	if (front_ends_any(&port->fronts))
		net_port_flush(port->net);
	front_ends_close(&port->fronts);
	drop_tap(port);
	front_ends_shut(&port->fronts);
	for (unsigned i = 0; i < ARRAY_SIZE(port->kick_watch); i++)
		loop_cancel(port->loop, &port->kick_watch[i]);
	loop_cancel(port->loop, &port->signal_timer);
	net_port_free(port->net);
	free(port);
	return NULL;
}
