/* SPDX-License-Identifier: BSD-2-Clause */
/* Judging a frame's headers, from Ethernet inwards. */
#include "vhost_user_net/net_rules.h"

#include <string.h>

#include "base/cursor.h"
#include "vhost_user_net/net_spec.h"

/* More extension headers than any sender has use for. */
#define EXTENSIONS 8

/*
 * A later IPv6 fragment may not begin where another's headers were judged. A first one that fills
 * IPv6's least MTU reaches far beyond this.
 */
#define FRAGMENT_LEAST 128

const uint8_t net_daemon_mac[6] = NET_DAEMON_MAC;

static const uint8_t daemon_ipv6[16] = {0xfe, 0x80, [15] = 1};
static const uint8_t nowhere[16];

struct judge {
	const struct net_rules *rules;
	struct net_headers *h;
	struct cursor c;
	const uint8_t *head;
	size_t frame_len;
};

static enum net_verdict refuse(struct judge *j, const char *reason)
{
	j->h->reason = reason;
	return NET_REFUSE;
}

static uint16_t here(const struct judge *j)
{
	return (uint16_t)(j->c.p - j->head);
}

static enum net_verdict judge_arp(struct judge *j)
{
	const struct arp_packet *arp = cursor_take(&j->c, sizeof(*arp));
	const struct ethernet_header *eth = (const void *)j->head;
	unsigned op;

	if (!arp)
		return refuse(j, "ARP packet is too short");
	op = be16_get(arp->op);
	j->h->as_daemon = !memcmp(arp->spa, j->rules->daemon, 4);
	j->h->to_daemon = op == ARP_REQUEST && !memcmp(arp->tpa, j->rules->daemon, 4) &&
			  memcmp(arp->spa, nowhere, 4);
	if (be16_get(arp->hrd) != ARP_HRD_ETHERNET || be16_get(arp->pro) != ETHERTYPE_IPV4 ||
	    arp->hln != 6 || arp->pln != 4 || (op != ARP_REQUEST && op != ARP_REPLY))
		return refuse(j, "ARP of another kind than IPv4 over Ethernet");
	if (memcmp(arp->sha, eth->source, 6))
		return refuse(j, "ARP for another card");
	if (!memcmp(arp->spa, nowhere, 4))
		return op == ARP_REQUEST ? NET_PASS : refuse(j, "ARP answer for no address");
	if (memcmp(arp->spa, j->rules->address, 4) || !memcmp(arp->spa, j->rules->daemon, 4))
		return refuse(j, "ARP for an address that is not the guest's");
	return NET_PASS;
}

static enum net_verdict judge_udp(struct judge *j)
{
	const struct udp_header *udp = cursor_peek(&j->c, sizeof(*udp));
	unsigned from;

	if (!udp)
		return refuse(j, "UDP header is not whole");
	from = be16_get(udp->source_port);
	if (from == UDP_DHCP_SERVER || from == UDP_DHCPV6_SERVER)
		return refuse(j, "DHCP server's frame");
	if (j->h->type == ETHERTYPE_IPV4 && be16_get(udp->destination_port) == UDP_DHCP_SERVER)
		return j->h->fragment ? refuse(j, "DHCP in fragments") : NET_DHCP;
	return NET_PASS;
}

static enum net_verdict judge_ipv4(struct judge *j)
{
	const struct ipv4_header *ip = cursor_peek(&j->c, sizeof(*ip));
	enum net_verdict v = NET_PASS;
	size_t ihl, total;
	unsigned fragment;

	if (!ip)
		return refuse(j, "IPv4 header is not whole");
	ihl = (ip->version_ihl & 0xfu) * 4u;
	total = be16_get(ip->total_length);
	if (ip->version_ihl >> 4 != 4 || ihl < sizeof(*ip) || total < ihl ||
	    total > j->frame_len - j->h->l3 || !cursor_take(&j->c, ihl))
		return refuse(j, "IPv4 header is malformed");
	j->h->ip_end = (uint32_t)(j->h->l3 + total);
	/* Padding is no transport header. */
	if (j->c.left > total - ihl)
		j->c.left = total - ihl;
	fragment = be16_get(ip->fragment) & (IPV4_OFFSET | IPV4_MORE_FRAGMENTS);
	j->h->fragment = fragment != 0;
	j->h->protocol = ip->protocol;

	if ((fragment & IPV4_OFFSET) == 0) {
		if (ip->protocol == IP_UDP)
			v = judge_udp(j);
		else if (ip->protocol == IP_TCP && !cursor_peek(&j->c, sizeof(struct tcp_header)))
			v = refuse(j, "TCP header is not whole");
		else if (fragment && j->c.left < 8)
			v = refuse(j, "first fragment is too short");
		j->h->l4 = here(j);
	} else if (ip->protocol == IP_TCP && (fragment & IPV4_OFFSET) == 1) {
		v = refuse(j, "fragment would change a TCP header"); /* RFC 1858 */
	}
	/* A request for an address may well come from another one. */
	if (v != NET_PASS)
		return v;
	j->h->to_daemon = !memcmp(ip->destination, j->rules->daemon, 4);
	if (memcmp(ip->source, nowhere, 4) &&
	    (memcmp(ip->source, j->rules->address, 4) || !memcmp(ip->source, j->rules->daemon, 4)))
		return refuse(j, "IPv4 source is not the guest's address");
	return NET_PASS;
}

/*
 * Options of neighbour discovery, from @at on (RFC 4861, 4.6). Whose card an address is behind may
 * only be said of the sender's own.
 */
static enum net_verdict judge_neighbour_options(struct judge *j, size_t at)
{
	const struct ethernet_header *eth = (const void *)j->head;
	struct cursor c = j->c;

	if (!cursor_take(&c, at))
		return refuse(j, "neighbour discovery is not whole");
	/* What is not in the copy can't be judged. */
	if (j->h->ip_end > (size_t)(c.p - j->head) + c.left)
		return refuse(j, "neighbour discovery is too long");
	while (c.left) {
		const uint8_t *option = cursor_peek(&c, 2);

		if (!option || !option[1] || !cursor_take(&c, option[1] * 8u))
			return refuse(j, "option of neighbour discovery is malformed");
		if ((option[0] == ND_SOURCE_LINK || option[0] == ND_TARGET_LINK) &&
		    (option[1] != 1 || memcmp(option + 2, eth->source, 6)))
			return refuse(j, "neighbour discovery for another card");
	}
	return NET_PASS;
}

/* Whether the packet comes from no address: then what it asks for is what it wants to be its own. */
static bool from_nowhere6(const struct judge *j)
{
	const struct ipv6_header *ip = (const void *)(j->head + j->h->l3);

	return !memcmp(ip->source, nowhere, 16);
}

static enum net_verdict judge_icmpv6(struct judge *j)
{
	const uint8_t *icmp = cursor_peek(&j->c, ICMPV6_HEADER);

	if (j->h->fragment)
		return refuse(j, "ICMPv6 in fragments"); /* RFC 6980 */
	if (!icmp)
		return refuse(j, "ICMPv6 header is not whole");
	switch (icmp[0]) {
	case ICMPV6_ROUTER_ADVERTISEMENT:
		return refuse(j, "router advertisement");
	case ICMPV6_REDIRECT:
		return refuse(j, "ICMPv6 redirect");
	case ICMPV6_ROUTER_SOLICITATION:
		return judge_neighbour_options(j, ICMPV6_HEADER);
	case ICMPV6_NEIGHBOR_SOLICITATION:
		if (from_nowhere6(j))
			j->h->target6 = (uint16_t)(here(j) + ICMPV6_HEADER);
		return judge_neighbour_options(j, ICMPV6_HEADER + 16);
	case ICMPV6_NEIGHBOR_ADVERTISEMENT:
		icmp = cursor_peek(&j->c, ICMPV6_HEADER + 16);
		if (!icmp)
			return refuse(j, "neighbour advertisement is not whole");
		if (!memcmp(icmp + ICMPV6_HEADER, daemon_ipv6, 16))
			return refuse(j, "neighbour advertisement for the daemon");
		j->h->target6 = (uint16_t)(here(j) + ICMPV6_HEADER);
		return judge_neighbour_options(j, ICMPV6_HEADER + 16);
	default:
		return NET_PASS;
	}
}

/* A fragment header: NET_PASS where the chain goes on behind it. @ret_later: nothing is behind it.
 */
static enum net_verdict judge_fragment(struct judge *j, uint8_t *next, bool *ret_later)
{
	const struct ipv6_fragment_header *f = cursor_take(&j->c, sizeof(*f));
	unsigned offset;

	if (!f)
		return refuse(j, "IPv6 fragment header is not whole");
	if (j->h->fragment)
		return refuse(j, "two IPv6 fragment headers");
	j->h->fragment = true;
	*next = f->next_header;
	offset = be16_get(f->offset_more) & 0xfff8u;
	*ret_later = offset != 0;
	if (!offset)
		return NET_PASS;
	if (*next == IP_ICMPV6)
		return refuse(j, "ICMPv6 in fragments");
	if (offset < FRAGMENT_LEAST)
		return refuse(j, "fragment would change judged headers");
	return NET_PASS;
}

static enum net_verdict judge_ipv6_payload(struct judge *j, uint8_t next)
{
	for (unsigned n = 0; n <= EXTENSIONS; n++) {
		const uint8_t *ext;
		enum net_verdict v;
		bool later;
		size_t len;

		j->h->protocol = next;
		switch (next) {
		case IP_HOP_BY_HOP:
		case IP_ROUTING:
		case IP_DESTINATION:
		case IP_MOBILITY:
		case IP_HIP:
		case IP_SHIM6:
		case IP_AUTH:
			ext = cursor_peek(&j->c, 8);
			if (!ext)
				return refuse(j, "IPv6 extension header is not whole");
			len = next == IP_AUTH ? (ext[1] + 2u) * 4u : (ext[1] + 1u) * 8u;
			next = ext[0];
			if (!cursor_take(&j->c, len))
				return refuse(j, "IPv6 extension header is too long");
			continue;
		case IP_FRAGMENT:
			v = judge_fragment(j, &next, &later);
			if (v != NET_PASS)
				return v;
			if (!later)
				continue;
			j->h->protocol = next;
			return NET_PASS;
		case IP_UDP:
			j->h->l4 = here(j);
			return judge_udp(j);
		case IP_ICMPV6:
			j->h->l4 = here(j);
			return judge_icmpv6(j);
		case IP_TCP:
			j->h->l4 = here(j);
			return cursor_peek(&j->c, sizeof(struct tcp_header))
				       ? NET_PASS
				       : refuse(j, "TCP header is not whole");
		default:
			j->h->l4 = here(j);
			return NET_PASS;
		}
	}
	return refuse(j, "too many IPv6 extension headers");
}

static enum net_verdict judge_ipv6(struct judge *j)
{
	const struct ipv6_header *ip = cursor_take(&j->c, sizeof(*ip));
	size_t payload;

	if (!ip)
		return refuse(j, "IPv6 header is not whole");
	payload = be16_get(ip->payload_length);
	if (be32_get(ip->version_class_label) >> 28 != 6 ||
	    payload > j->frame_len - j->h->l3 - sizeof(*ip) ||
	    (payload == 0 && ip->next_header != IP_NO_NEXT))
		return refuse(j, "IPv6 header is malformed");
	if (ip->source[0] == 0xff || !memcmp(ip->source, daemon_ipv6, 16))
		return refuse(j, "IPv6 source is the daemon's address, or none");
	j->h->ip_end = (uint32_t)(j->h->l3 + sizeof(*ip) + payload);
	j->h->source6 = (uint16_t)(j->h->l3 + offsetof(struct ipv6_header, source));
	if (j->c.left > payload)
		j->c.left = payload;
	return judge_ipv6_payload(j, ip->next_header);
}

/* Tags of virtual LANs that are looked behind (IEEE 802.1Q); with more, a frame has no offloads. */
#define VLAN_TAGS 2

static void skip_vlan_tags(struct judge *j)
{
	for (unsigned n = 0; n < VLAN_TAGS; n++) {
		const struct vlan_tag *tag;

		if (j->h->type != ETHERTYPE_VLAN && j->h->type != ETHERTYPE_SERVICE_VLAN)
			return;
		tag = cursor_take(&j->c, sizeof(*tag));
		if (!tag)
			return;
		j->h->type = be16_get(tag->type);
		j->h->l3 = here(j);
	}
}

/* A header that can't be read is no fault here: it is none that anything could be left to do with. */
static enum net_verdict judge_plain(struct judge *j)
{
	size_t head_len = here(j) + j->c.left;
	struct net_headers *h = j->h;

	skip_vlan_tags(j);
	if (h->type == ETHERTYPE_IPV4)
		judge_ipv4(j);
	else if (h->type == ETHERTYPE_IPV6)
		judge_ipv6(j);
	h->source6 = h->target6 = 0;
	h->as_daemon = h->from_daemon = h->to_daemon = false;
	h->reason = NULL;
	if (h->protocol == IP_TCP && h->l4 + sizeof(struct tcp_header) > head_len)
		h->l4 = 0;
	return NET_PASS;
}

/**
 * net_rules_judge() - decide about a frame from a guest
 * @rules:	the guest's
 * @head:	a private copy of the frame's first bytes
 * @head_len:	how many: the whole frame, or NET_RULES_HEAD
 * @frame_len:	length of the frame
 * @ret_headers: what was found; always written
 *
 * Return: the verdict.
 */
enum net_verdict net_rules_judge(const struct net_rules *rules, const uint8_t *head,
				 size_t head_len, size_t frame_len, struct net_headers *ret_headers)
{
	struct judge j = {.rules = rules,
			  .h = ret_headers,
			  .c = cursor_of(head, head_len),
			  .head = head,
			  .frame_len = frame_len};
	const struct ethernet_header *eth = cursor_take(&j.c, sizeof(*eth));

	*ret_headers = (struct net_headers){.l3 = sizeof(*eth)};
	if (!eth || frame_len > NET_FRAME_MAX)
		return refuse(&j, "frame is too short or too long");
	ret_headers->from_daemon = !memcmp(eth->source, net_daemon_mac, 6);
	if ((eth->source[0] & 1) || !memcmp(eth->source, nowhere, 6) ||
	    (ret_headers->from_daemon && !rules->plain))
		return refuse(&j, "source address is no guest's card's");
	ret_headers->type = be16_get(eth->type);
	if (rules->plain)
		return judge_plain(&j);
	switch (ret_headers->type) {
	case ETHERTYPE_ARP:
		return judge_arp(&j);
	case ETHERTYPE_IPV4:
		return judge_ipv4(&j);
	case ETHERTYPE_IPV6:
		return judge_ipv6(&j);
	default:
		return refuse(&j, "neither ARP nor IP");
	}
}
