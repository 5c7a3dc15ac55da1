/* SPDX-License-Identifier: BSD-2-Clause */
/* Who has which number, MAC and links. */
#include "vhost_user_net/net_roster.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "vhost_user_net/net_rules.h"

#define BIT(n) (1ull << (n))

static bool are_isolated(const struct net_roster *roster, unsigned a, unsigned b)
{
	return (roster->port[a].isolate || roster->port[b].isolate) &&
	       !(roster->port[a].talk & BIT(b));
}

static void tell(const struct net_roster *roster, unsigned to, unsigned of)
{
	struct net_peer peer = roster->port[of].peer;

	peer.isolated = are_isolated(roster, to, of);
	roster->ops->peer(roster->ctx, to, &peer);
}

static void tell_all(const struct net_roster *roster, unsigned of)
{
	for (unsigned i = 0; i < NET_PORTS; i++)
		if (i != of && roster->port[i].there)
			tell(roster, i, of);
}

static int owner(const struct net_roster *roster, const uint8_t mac[6])
{
	for (unsigned i = 0; i < NET_PORTS; i++)
		if (roster->port[i].entered && !memcmp(roster->port[i].peer.mac, mac, 6))
			return (int)i;
	return -1;
}

/* Whether a guest's card may have such a MAC at all. */
static bool is_a_cards(const uint8_t mac[6])
{
	return net_mac_key(mac) && !(mac[0] & 1) && memcmp(mac, net_daemon_mac, 6) != 0;
}

/* A guest loses a MAC that it had taken if another VM is configured with it. */
static void take_away(struct net_roster *roster, unsigned number)
{
	struct net_roster_port *port = &roster->port[number];
	uint8_t mac[6];

	memcpy(mac, port->peer.mac, 6);
	memset(port->peer.mac, 0, 6);
	tell_all(roster, number);
	roster->ops->mac(roster->ctx, number, mac, false);
}

/**
 * net_roster_init() - a roster without ports
 * @roster:	the roster
 * @ops:	what it asks of its user; outlives it
 * @ctx:	given to them
 */
void net_roster_init(struct net_roster *roster, const struct net_roster_ops *ops, void *ctx)
{
	*roster = (struct net_roster){.ops = ops, .ctx = ctx};
}

/**
 * net_roster_enter() - a VM is configured
 * @roster:	the roster
 * @entry:	its address and MAC. A MAC that it had before, and that is another port's by now, is
 *		left out
 * @ret_number:	its port's number, until net_roster_leave()
 *
 * A configured MAC is taken from a port whose guest just uses it.
 *
 * Return: 0; -ENOSPC; -EADDRINUSE where another port is configured with the MAC; -EINVAL where the
 * MAC is no card's, or the daemon's.
 */
int net_roster_enter(struct net_roster *roster, const struct net_roster_entry *entry,
		     unsigned *ret_number)
{
	bool has_mac = net_mac_key(entry->mac) != 0;
	int other = has_mac ? owner(roster, entry->mac) : -1;
	struct net_roster_port *port;
	unsigned n = 0;

	if (has_mac && !is_a_cards(entry->mac))
		return -EINVAL;
	if (other >= 0 && entry->fixed && roster->port[other].fixed)
		return -EADDRINUSE;
	while (n < NET_PORTS && roster->port[n].entered)
		n++;
	if (n == NET_PORTS)
		return -ENOSPC;
	if (other >= 0 && entry->fixed)
		take_away(roster, (unsigned)other);
	else if (other >= 0)
		has_mac = false;
	port = &roster->port[n];
	*port = (struct net_roster_port){
		.entered = true,
		.fixed = has_mac && entry->fixed,
		.isolate = entry->isolate,
		.peer = {.number = n, .address = entry->address, .any = entry->any},
	};
	if (has_mac)
		memcpy(port->peer.mac, entry->mac, 6);
	tell_all(roster, n);
	*ret_number = n;
	return 0;
}

/**
 * net_roster_leave() - a VM is no longer configured
 * @roster:	the roster
 * @number:	its port's; free from here on
 */
void net_roster_leave(struct net_roster *roster, unsigned number)
{
	net_roster_ended(roster, number);
	roster->port[number] = (struct net_roster_port){0};
	for (unsigned i = 0; i < NET_PORTS; i++) {
		roster->port[i].talk &= ~BIT(number);
		if (roster->port[i].there)
			roster->ops->gone(roster->ctx, i, number);
	}
}

/**
 * net_roster_talk() - whether two ports reach each other though they are isolated
 * @roster:	the roster
 * @a:		the one's number, entered
 * @b:		the other's, entered
 * @may:	they do from here on; else no longer. Both are told of it where it changes
 */
void net_roster_talk(struct net_roster *roster, unsigned a, unsigned b, bool may)
{
	struct net_roster_port *one = &roster->port[a], *other = &roster->port[b];

	if (a == b || may == !!(one->talk & BIT(b)))
		return;
	one->talk ^= BIT(b);
	other->talk ^= BIT(a);
	if (one->there)
		tell(roster, a, b);
	if (other->there)
		tell(roster, b, a);
}

/**
 * net_roster_started() - a port has a process, whose card counts as down until net_roster_up()
 * @roster:	the roster
 * @number:	the port's; it is told of all others
 *
 * A process that has served another control before knows others by other numbers: it forgets all,
 * and its links are made anew.
 */
void net_roster_started(struct net_roster *roster, unsigned number)
{
	roster->port[number].there = true;
	for (unsigned i = 0; i < NET_PORTS; i++) {
		roster->ops->gone(roster->ctx, number, i);
		if (i != number && roster->port[i].entered)
			tell(roster, number, i);
	}
}

/**
 * net_roster_ended() - a port's process is gone, with its ends of all links
 * @roster:	the roster
 * @number:	the port's; its number, MAC and address stay
 */
void net_roster_ended(struct net_roster *roster, unsigned number)
{
	struct net_roster_port *port = &roster->port[number];

	if (!port->there)
		return;
	port->there = port->peer.up = false;
	for (unsigned i = 0; i < NET_PORTS; i++) {
		if (i == number || !roster->port[i].there)
			continue;
		roster->ops->gone(roster->ctx, i, number);
		roster->port[i].links &= ~BIT(number);
		tell(roster, i, number);
	}
	port->links = 0;
}

/**
 * net_roster_up() - a port's card went up or down
 * @roster:	the roster
 * @number:	the port's, which is there
 * @up:		it went up
 */
void net_roster_up(struct net_roster *roster, unsigned number, bool up)
{
	struct net_roster_port *port = &roster->port[number];

	if (!port->there || port->peer.up == up)
		return;
	port->peer.up = up;
	tell_all(roster, number);
}

/**
 * net_roster_mac_wanted() - a port's guest sends from a MAC that isn't its own
 * @roster:	the roster
 * @number:	the port's, which is there; it is answered
 * @mac:	the MAC
 *
 * It is its own from here on where none is configured for it and no other port has it. The others
 * are told first.
 */
void net_roster_mac_wanted(struct net_roster *roster, unsigned number, const uint8_t mac[6])
{
	struct net_roster_port *port = &roster->port[number];
	bool own = !memcmp(port->peer.mac, mac, 6);
	bool granted = own || (!port->fixed && is_a_cards(mac) && owner(roster, mac) < 0);

	if (!port->there)
		return;
	if (granted && !own) {
		memcpy(port->peer.mac, mac, 6);
		tell_all(roster, number);
	}
	roster->ops->mac(roster->ctx, number, mac, granted);
}

/**
 * net_roster_link_wanted() - a port wants a link to another
 * @roster:	the roster
 * @number:	the port's, which is there
 * @other:	the other's, unchecked
 */
void net_roster_link_wanted(struct net_roster *roster, unsigned number, unsigned other)
{
	struct net_roster_port *a = &roster->port[number], *b;

	if (other >= NET_PORTS || other == number)
		return;
	b = &roster->port[other];
	if (!a->there || !b->there || !a->peer.up || !b->peer.up ||
	    are_isolated(roster, number, other) || (a->links & BIT(other)))
		return;
	if (roster->ops->link(roster->ctx, min_t(unsigned, number, other),
			      max_t(unsigned, number, other)) < 0)
		return;
	a->links |= BIT(other);
	b->links |= BIT(number);
}
