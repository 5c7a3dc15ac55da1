/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which card addresses (MACs) are a port's own, and what the guest tells of the daemon's address.
 *
 * A port has one MAC: the configured one, else the last one that its guest took. A guest that sends
 * from another MAC takes that one, where none is configured and no other port has it, up or down. A
 * port keeps its MAC while its card is down, and for as long as it is in the switch, unless another one comes that is
 * configured with it.
 *
 * A frame from a MAC that is not the port's, or from an IPv6 address that is made of another port's
 * MAC, is *confined*: it goes to the daemon, and to no other guest. So a
 * clash costs who came later its frames to other guests, and nobody the wire to the daemon.
 */
#include "vhost_user_net/net_port_private.h"

#include <string.h>

#include "vhost_user_net/net_spec.h"

/* So many frames of its own, and a guest counts as done with the MAC that was not its. */
#define OWN_AGAIN 64

/* Whether a MAC is the port's. The switch knows, for a configured port may have taken it away. */
static bool is_own(const struct net_port *port, const uint8_t mac[6])
{
	uint64_t key = net_switch_key(port->sw, port->index);

	return (key & (NET_KEY_KNOWN | NET_KEY_MAC)) == (NET_KEY_KNOWN | net_mac_key(mac));
}

static void tell_foreign(struct net_port *port, const uint8_t mac[6])
{
	uint64_t key = mac ? net_mac_key(mac) : 0;

	port->own_again = 0;
	if (key == port->foreign)
		return;
	port->foreign = key;
	port->ops->foreign(port->ctx, mac);
}

/* The guest sends from @mac, which is not the port's. Return: whether it is from here on. */
static bool take(struct net_port *port, const uint8_t mac[6])
{
	uint64_t key = net_mac_key(mac);

	/* Without the table's lock first, for a guest may try this with every frame. */
	if (port->fixed_mac || net_switch_find(port->sw, key) >= 0 ||
	    net_switch_take(port->sw, port->index, key) < 0)
		return false;
	port->ops->mac(port->ctx, mac);
	return true;
}

/* Whether an IPv6 address is made of another port's MAC (RFC 4291, appendix A). */
static bool is_anothers(const struct net_port *port, const uint8_t address[16])
{
	const uint8_t *id = address + 8;
	const uint8_t mac[6] = {(uint8_t)(id[0] ^ 2), id[1], id[2], id[5], id[6], id[7]};
	int i;

	if (id[3] != 0xff || id[4] != 0xfe)
		return false;
	i = net_switch_find(port->sw, net_mac_key(mac));
	return i >= 0 && (unsigned)i != port->index;
}

/**
 * net_card_confines() - whether a frame may go to the daemon only
 * @port:	its port, with the frame judged; the frame's MAC becomes the port's where it may
 */
bool net_card_confines(struct net_port *port)
{
	const struct net_frame *f = &port->frame;
	const uint8_t *source = f->head + 6;

	if (!is_own(port, source)) {
		if (!take(port, source)) {
			tell_foreign(port, source);
			return true;
		}
		tell_foreign(port, NULL);
	} else if (port->foreign && ++port->own_again >= OWN_AGAIN) {
		tell_foreign(port, NULL);
	}
	return (f->headers.source6 && is_anothers(port, f->head + f->headers.source6)) ||
	       (f->headers.target6 && is_anothers(port, f->head + f->headers.target6));
}

/* ------------------------------------------------------------- the daemon's addresses */

/**
 * net_card_hears() - see what a judged frame tells of the daemon's addresses
 * @port:	its port
 *
 * A guest that has its IPv4 address never reaches the daemon by it. One that has its MAC reaches
 * nobody: what it sends is refused.
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
 * @port:	the port, nothing held
 *
 * By ARP, as who wants the address for himself would ask (RFC 5227, 2.1.1): whoever has it answers,
 * on whichever of his interfaces it is. The answer is refused like all that is said for the daemon,
 * and told by has_daemon().
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
	struct net_port *to = net_port_hold(port, port->index);

	memcpy(ask.arp.tpa, port->rules.daemon, 4);
	if (to)
		net_port_place(port, to, &none, &part, 1, sizeof(ask));
	net_port_let_go(port);
}
