/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices that leave their ports on purpose: by somebody's hand (by_hand.h), and for a sleep
 * (sleep.h).
 *
 * The daemon is told of a device that was let go of by hand. When it has heard that, the device is
 * forgotten here, and comes back when the daemon names it again. With a daemon that does not
 * understand LETGO, the device is taken back at once, as always.
 */
#include <errno.h>

#include "base/fd.h"
#include "base/log.h"
#include "agent/attachment.h"

/* If a write names no known port, a port that gets free within this time counts as the one. */
#define UNNAMED_NS (2 * NS_PER_SECOND)

/**
 * routes_hands() - see whether somebody has detached something
 * @agent:	the agent
 */
void routes_hands(struct agent *agent)
{
	bool named = false;

	by_hand_watch(&agent->hand, agent->vhci.folder);
	if (!by_hand_news(&agent->hand))
		return;
	list_for_each(it, &agent->routes) {
		struct route *route = list_entry(it, struct route, link);
		struct vhci_peer peer;

		if (route->state < STARTING || !route->filed ||
		    vhci_peer_read(&agent->vhci, route->port, &peer) != -ENOENT)
			continue;
		route->by_hand = named = true;
	}
	if (!named)
		agent->hand.unnamed_until = agent_now() + UNNAMED_NS;
}

/**
 * route_was_let_go() - whether a device has left its port by somebody's hand
 * @agent:	the agent
 * @route:	the device
 * @port:	its port as it is now, or NULL
 */
bool route_was_let_go(struct agent *agent, const struct route *route, const struct vhci_port *port)
{
	struct vhci_peer peer;

	/* A controller that has gone takes all with it, and a broken port breaks by itself. */
	if (!port || port->status != VHCI_FREE)
		return false;
	if (route->by_hand)
		return true;
	/* If writes can't be seen, only the file can tell. */
	if (agent->hand.watch < 0)
		return route->filed && vhci_peer_read(&agent->vhci, route->port, &peer) == -ENOENT;
	if (agent->hand.unnamed_until <= agent_now())
		return false;
	agent->hand.unnamed_until = 0;
	return true;
}

/**
 * route_lets_go() - tell the daemon that a device was let go of by hand
 * @agent:	the agent
 * @route:	the device, on no port
 *
 * Until the daemon has answered what is said after that (routes_heard()), it may not have heard it.
 *
 * Return: whether that is so; else the daemon would not understand, or is not there at the moment.
 */
bool route_lets_go(struct agent *agent, struct route *route)
{
	struct agent_message ping = {.verb = AGENT_PING};

	if (agent->state != AGENT_TALKING || !agent->daemon_lets_go || !route->told)
		return false;
	log_notice("%s: detached by somebody here; it comes back when the host says so",
		   route_name(route));
	route_say(agent, route, AGENT_LETGO);
	agent_say(agent, &ping);
	agent->pong_ns = min_t(uint64_t, agent->pong_ns, agent_now() + AGENT_PONG_NS);
	route->sock = fd_close(route->sock);
	route->state = WAITING;
	route->due_ns = NEVER;
	route->let_go = true;
	return true;
}

/**
 * routes_heard() - the daemon has heard all that was said
 * @agent:	the agent; what was let go of by hand is the daemon's to name again
 */
void routes_heard(struct agent *agent)
{
	list_for_each_safe(it, &agent->routes) {
		struct route *route = list_entry(it, struct route, link);

		if (route->let_go && route->told)
			route_forget(agent, route);
	}
}

/* ------------------------------------------------------------- for a sleep */

/**
 * routes_rest() - let go of all, for a sleep
 * @agent:	the agent; nothing is attached until routes_wake()
 */
void routes_rest(struct agent *agent)
{
	list_for_each(it, &agent->routes) {
		struct route *route = list_entry(it, struct route, link);

		route->leaving = route->state >= STARTING;
		if (route->leaving)
			route_take_off(agent, route->port);
		route->sock = fd_close(route->sock);
		route->state = WAITING;
		route->due_ns = NEVER;
	}
}

/**
 * routes_resting() - whether all that was let go of has left its port
 * @agent:	the agent
 */
bool routes_resting(struct agent *agent)
{
	bool resting = true;

	if (vhci_read(&agent->vhci, &agent->status) < 0)
		return true;
	list_for_each(it, &agent->routes) {
		struct route *route = list_entry(it, struct route, link);
		const struct vhci_port *port = vhci_find(&agent->status, route->port);

		route->leaving = route->leaving && port && port->status != VHCI_FREE;
		resting = resting && !route->leaving;
	}
	return resting;
}

/**
 * routes_in_use() - a port that keeps vhci-hcd from sleeping all the same
 * @agent:	the agent, resting
 *
 * Return: its number, or -1.
 */
int routes_in_use(const struct agent *agent)
{
	for (unsigned i = 0; i < agent->status.n; i++)
		if (agent->status.ports[i].status != VHCI_FREE)
			return (int)agent->status.ports[i].number;
	return -1;
}

/**
 * routes_wake() - take back what is this guest's
 * @agent:	the agent, awake
 */
void routes_wake(struct agent *agent)
{
	list_for_each(it, &agent->routes) {
		struct route *route = list_entry(it, struct route, link);

		route->leaving = false;
		if (route->state != WAITING || route->let_go)
			continue;
		route->failures = 0;
		route->held = false;
		route->due_ns = agent_now();
	}
}
