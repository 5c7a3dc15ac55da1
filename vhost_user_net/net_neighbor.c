/* SPDX-License-Identifier: BSD-2-Clause */
/* Neighbour discovery: one solicitation, one advertisement. Nothing is ever asked or stored. */
#include "vhost_user_net/net_neighbor.h"

#include <stdbool.h>
#include <string.h>

#include "base/cursor.h"
#include "vhost_user_net/net_checksum.h"
#include "vhost_user_net/net_spec.h"

#define HOP_LIMIT      255 /* RFC 4861, 7.1.1: it has passed no router */
#define OPTION_SOURCE  1
#define OPTION_TARGET  2
#define FLAG_SOLICITED 0x40
#define FLAG_OVERRIDE  0x20

/* RFC 4861, 7.1.1: options' lengths are not 0; a solicitation from no address names no card. */
static bool options_hold(struct cursor c, bool from_nowhere)
{
	const uint8_t *option;

	while (c.left) {
		option = cursor_peek(&c, 8);
		if (!option || !option[1] || (from_nowhere && option[0] == OPTION_SOURCE) ||
		    !cursor_take(&c, option[1] * 8u))
			return false;
	}
	return true;
}

/* The checks of RFC 4861, 7.1.1. @c: from the ICMPv6 header to the end of the packet. */
static bool holds(const struct ipv6_header *ip, struct cursor c, const uint8_t address[16],
		  bool from_nowhere)
{
	const uint8_t *icmp = cursor_peek(&c, ICMPV6_HEADER + 16);
	uint8_t all[16] = {0xff, 2, [11] = 1, 0xff};
	uint32_t sum;

	if (!icmp || icmp[0] != ICMPV6_NEIGHBOR_SOLICITATION || icmp[1] ||
	    ip->hop_limit != HOP_LIMIT || memcmp(icmp + ICMPV6_HEADER, address, 16))
		return false;
	/* RFC 4291, 2.7.1: the address that is asked, or its solicited-node group. */
	memcpy(all + 13, address + 13, 3);
	if (memcmp(ip->destination, all, 16) &&
	    (from_nowhere || memcmp(ip->destination, address, 16)))
		return false;
	sum = net_checksum_pseudo6(ip->source, ip->destination, IP_ICMPV6, c.left);
	if (net_checksum_fold(net_checksum_add(sum, c.p, c.left)))
		return false;
	cursor_take(&c, ICMPV6_HEADER + 16);
	return options_hold(c, from_nowhere);
}

static void write_reply(const uint8_t mac[6], const uint8_t address[16],
			const struct ethernet_header *from, const struct ipv6_header *asked,
			bool from_nowhere, uint8_t *reply)
{
	static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};
	struct ethernet_header eth = {.type = be16_of(ETHERTYPE_IPV6)};
	struct ipv6_header ip = {.version_class_label = be32_of(6u << 28),
				 .payload_length = be16_of(32),
				 .next_header = IP_ICMPV6,
				 .hop_limit = HOP_LIMIT};
	uint8_t icmp[32] = {ICMPV6_NEIGHBOR_ADVERTISEMENT, [24] = OPTION_TARGET, [25] = 1};
	be16 sum;

	/* RFC 4861, 7.2.4 */
	memcpy(eth.destination, from->source, 6);
	memcpy(eth.source, mac, 6);
	memcpy(ip.source, address, 16);
	memcpy(ip.destination, from_nowhere ? all_nodes : asked->source, 16);
	icmp[4] = (uint8_t)(FLAG_OVERRIDE | (from_nowhere ? 0 : FLAG_SOLICITED));
	memcpy(icmp + ICMPV6_HEADER, address, 16);
	memcpy(icmp + 26, mac, 6);
	sum = be16_of(net_checksum_fold(net_checksum_add(
		net_checksum_pseudo6(ip.source, ip.destination, IP_ICMPV6, sizeof(icmp)), icmp,
		sizeof(icmp))));
	memcpy(icmp + 2, &sum, 2);
	memcpy(reply, &eth, sizeof(eth));
	memcpy(reply + sizeof(eth), &ip, sizeof(ip));
	memcpy(reply + sizeof(eth) + sizeof(ip), icmp, sizeof(icmp));
}

/**
 * net_neighbor_answer() - answer a neighbour solicitation
 * @mac:	the daemon's card
 * @address:	its address
 * @frame:	from its Ethernet header on, passed by the rules
 * @len:	bytes
 * @reply:	room for the answer
 *
 * Duplicate address detection is answered too (RFC 4862, 5.4.4): the address is taken.
 *
 * Return: length of the answer; 0 where there is none.
 */
size_t net_neighbor_answer(const uint8_t mac[6], const uint8_t address[16], const uint8_t *frame,
			   size_t len, uint8_t reply[NET_NEIGHBOR_REPLY])
{
	static const uint8_t nowhere[16];
	struct cursor c = cursor_of(frame, len);
	const struct ethernet_header *eth = cursor_take(&c, sizeof(*eth));
	const struct ipv6_header *ip = eth ? cursor_take(&c, sizeof(*ip)) : NULL;
	bool from_nowhere;

	/* RFC 6980: never in fragments; nor does any sender put extension headers before it. */
	if (!ip || be16_get(eth->type) != ETHERTYPE_IPV6 || ip->next_header != IP_ICMPV6 ||
	    be16_get(ip->payload_length) > c.left)
		return 0;
	c.left = be16_get(ip->payload_length);
	from_nowhere = !memcmp(ip->source, nowhere, 16);
	if (ip->source[0] == 0xff || !holds(ip, c, address, from_nowhere))
		return 0;
	write_reply(mac, address, eth, ip, from_nowhere, reply);
	return NET_NEIGHBOR_REPLY;
}
