/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which card addresses (MACs) are a port's own, and what the guest tells of the daemon's address.
 *
 * A port has one MAC, which control has granted (net_roster.h): the configured one, else the last
 * one that its guest asked for by sending from it. If none is configured, and no other port is
 * known to have that one, control is asked; until it answers, only the daemon hears the guest.
 *
 * A frame from a MAC that is not the port's, or from an IPv6 address that is made of another port's
 * MAC, is *confined*: it goes to the daemon, and to no other guest. So a clash costs the later
 * guest its frames to other guests, and nobody the wire to the daemon. On a further network,
 * where there is no daemon, it goes nowhere.
 *
 * A port with others behind it (any_mac) may send from all MACs that are no other port's.
 */
#include "vhost_user_net/net_port_private.h"

#include <string.h>
#include <time.h>

#include "vhost_user_net/net_spec.h"

/* After so many frames from its own MAC, a guest counts as done with the other one. */
#define OWN_AGAIN 64

/*
 * A guest may try another MAC with each frame. Control is asked about so many at once, and so
 * often.
 */
#define ASKS   16
#define ASK_NS 250000000ull
#define NS     1000000000ull

static void tell_foreign(struct net_port *port, const uint8_t mac[6])
{
	uint64_t key = mac ? net_mac_key(mac) : 0;

	port->own_again = 0;
	if (key == port->foreign)
		return;
	port->foreign = key;
	port->ops->foreign(port->ctx, mac);
}

static bool may_ask(struct net_port *port)
{
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	now = (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
	/* One question at a time, unless its answer doesn't come. */
	if (port->wanted && now - port->asked_at < NS)
		return false;
	if (now - port->asks_from >= ASKS * ASK_NS)
		port->asks_from = now - ASKS * ASK_NS;
	if (now - port->asks_from < ASK_NS)
		return false;
	port->asks_from += ASK_NS;
	port->asked_at = now;
	return true;
}

/*
 * The guest sends from @mac, which is not the port's own: ask for it, where that has not been done.
 * Return: whether it may be the port's, by now or soon.
 */
static bool may_become_own(struct net_port *port, const uint8_t mac[6])
{
	uint64_t key = net_mac_key(mac);

	if (port->fixed_mac || key == port->denied || net_peers_find(&port->peers, key) >= 0)
		return false;
	if (!may_ask(port))
		return true;
	port->wanted = key;
	port->ops->mac_wanted(port->ctx, mac);
	return key != port->denied;
}

/**
 * net_port_mac_granted() - control says whose a MAC is
 * @port:	the port
 * @mac:	the MAC
 * @granted:	it is the port's own from here on; else it is not, even where it was
 */
void net_port_mac_granted(struct net_port *port, const uint8_t mac[6], bool granted)
{
	uint64_t key = net_mac_key(mac);

	if (key == port->wanted)
		port->wanted = 0;
	if (granted) {
		port->own = key;
		port->denied = 0;
		tell_foreign(port, NULL);
		return;
	}
	port->denied = key;
	if (key == port->own)
		port->own = 0;
}

/**
 * net_port_mac() - the port's own MAC
 * @port:	the port
 *
 * Return: it, as a number; 0: none.
 */
uint64_t net_port_mac(const struct net_port *port)
{
	return port->own;
}

/**
 * net_card_mac_is_anothers() - whether a MAC is a card's, and not that of whoever sends from it
 * @port:	the port that asks
 * @number:	the sender's, or NET_CARD_OWN
 * @mac:	the MAC
 */
bool net_card_mac_is_anothers(const struct net_port *port, unsigned number, const uint8_t mac[6])
{
	uint64_t key = net_mac_key(mac);
	int owner = key == port->own ? (int)NET_CARD_OWN : net_peers_find(&port->peers, key);

	return owner >= 0 && (unsigned)owner != number;
}

/**
 * net_card_is_anothers() - whether an IPv6 address is made of a MAC that is not a sender's own
 * @port:	the port that asks
 * @number:	the sender's, or NET_CARD_OWN
 * @address:	the address (RFC 4291, appendix A)
 */
bool net_card_is_anothers(const struct net_port *port, unsigned number, const uint8_t address[16])
{
	const uint8_t *id = address + 8;
	const uint8_t mac[6] = {(uint8_t)(id[0] ^ 2), id[1], id[2], id[5], id[6], id[7]};

	return id[3] == 0xff && id[4] == 0xfe && net_card_mac_is_anothers(port, number, mac);
}

/**
 * net_card_confines() - whether a frame may go to the daemon only
 * @port:	its port, with the frame judged; the frame's MAC may become the port's
 */
bool net_card_confines(struct net_port *port)
{
	const struct net_frame *f = &port->frame;
	const uint8_t *source = f->head + 6;
	uint64_t key = net_mac_key(source);

	/* With others behind it, it asks for the first one alone. */
	if (port->any_mac && key != port->own && (port->own || port->fixed_mac) &&
	    !net_card_mac_is_anothers(port, NET_CARD_OWN, source))
		return false;
	if (key != port->own && !may_become_own(port, source))
		tell_foreign(port, source);
	if (key != port->own)
		return true;
	if (port->foreign && ++port->own_again >= OWN_AGAIN)
		tell_foreign(port, NULL);
	return (f->headers.source6 &&
		net_card_is_anothers(port, NET_CARD_OWN, f->head + f->headers.source6)) ||
	       (f->headers.target6 &&
		net_card_is_anothers(port, NET_CARD_OWN, f->head + f->headers.target6));
}

/* ------------------------------------------------------------- the daemon's addresses */

/**
 * net_card_hears() - see what a judged frame tells of the daemon's addresses
 * @port:	its port
 *
 * A guest that has the daemon's IPv4 address can't reach the daemon by it. A guest that has its MAC
 * reaches nobody: its frames are refused.
 */
void net_card_hears(struct net_port *port)
{
	const struct net_headers *h = &port->frame.headers;
	bool has = h->as_daemon || (port->has_daemon && !h->to_daemon);

	if (h->from_daemon)
		tell_foreign(port, net_daemon_mac);
	if (has == port->has_daemon)
		return;
	port->has_daemon = has;
	port->ops->has_daemon(port->ctx, has);
}

/**
 * net_port_probe() - ask the guest whether it has the daemon's IPv4 address itself
 * @port:	the port
 *
 * By ARP, as a host asks that wants the address (RFC 5227, 2.1.1): a guest that has it answers,
 * whichever of its interfaces has it. The answer is refused, like all frames that speak for the
 * daemon, and has_daemon() tells of it.
 */
void net_port_probe(struct net_port *port)
{
	static const struct net_offload none;
	struct {
		struct ethernet_header eth;
		struct arp_packet arp;
		uint8_t padding[18];
	} ask = {
		.eth = {.destination = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
			.source = NET_DAEMON_MAC,
			.type = be16_of(ETHERTYPE_ARP)},
		.arp = {.hrd = be16_of(ARP_HRD_ETHERNET),
			.pro = be16_of(ETHERTYPE_IPV4),
			.hln = 6,
			.pln = 4,
			.op = be16_of(ARP_REQUEST),
			.sha = NET_DAEMON_MAC},
	};
	struct iovec part = {.iov_base = &ask, .iov_len = sizeof(ask)};

	if (!port->up)
		return;
	memcpy(ask.arp.tpa, port->rules.daemon, 4);
	net_port_place(port, &none, &part, 1, sizeof(ask));
	net_port_rx_shown(port);
}
