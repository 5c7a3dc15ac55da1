/* SPDX-License-Identifier: BSD-2-Clause */
/* See frame-maker.h. */
#include "frame-maker.h"

#include <string.h>

#include "base/mem.h"
#include "vhost_user_net/net_checksum.h"
#include "vhost_user_net/net_rules.h"
#include "vhost_user_net/net_spec.h"

enum kind {
	KIND_ARP,
	KIND_DHCP,
	KIND_UDP4,
	KIND_TCP4,
	KIND_ICMP4,
	KIND_UDP6,
	KIND_TCP6,
	KIND_ICMP6,
	KIND_NEIGHBOUR,
	KIND_ROUTER,
	KINDS,
};

/* The second byte of a frame's input. */
#define WITH_VLAN     0x01
#define WITH_OFFLOAD  0x02 /* its checksum is left to be done */
#define WITH_GSO      0x04 /* it is to be cut; of TCP alone */
#define WITH_OPTIONS  0x08 /* IPv4's, extension headers, TCP's, of neighbour discovery */
#define WITH_FRAGMENT 0x10
#define WITH_CHANGES  0x20
#define FROM_NOWHERE  0x40
#define WITH_PADDING  0x80

struct maker {
	struct made_frame *f;
	struct cursor *c;
	unsigned from, to, with;
	enum kind kind;
	size_t l3, l4;
	uint8_t source6[16], target6[16];
	uint8_t source4[4], target4[4];
};

static uint8_t byte(struct maker *m)
{
	const uint8_t *p = cursor_take(m->c, 1);

	return p ? *p : 0;
}

static unsigned word(struct maker *m)
{
	unsigned high = byte(m);

	return high << 8 | byte(m);
}

static void *put(struct made_frame *f, const void *bytes, size_t len)
{
	void *at = f->bytes + f->len;

	memcpy(at, bytes, len);
	f->len += len;
	return at;
}

static void put_zeros(struct made_frame *f, size_t len)
{
	memset(f->bytes + f->len, 0, len);
	f->len += len;
}

void frame_mac(uint8_t mac[6], unsigned who)
{
	if (who == MADE_DAEMON)
		memcpy(mac, net_daemon_mac, 6);
	else
		memcpy(mac, (uint8_t[6]){2, 0, 0, 0, 0, (uint8_t)(10 + who)}, 6);
}

static void addresses(unsigned who, uint8_t v4[4], uint8_t v6[16])
{
	memset(v6, 0, 16);
	v6[0] = 0xfe;
	v6[1] = 0x80;
	v6[15] = who == MADE_DAEMON ? 1 : (uint8_t)(10 + who);
	memcpy(v4, (uint8_t[4]){10, 77, 0, v6[15]}, 4);
}

/* ------------------------------------------------------------- layers */

static void put_ethernet(struct maker *m, unsigned type)
{
	struct ethernet_header eth = {.type = be16_of((uint16_t)type)};

	frame_mac(eth.source, m->from);
	if (m->to == 2)
		memset(eth.destination, 0xff, 6);
	else
		frame_mac(eth.destination, m->to == 3 ? MADE_DAEMON : m->to + 1);
	put(m->f, &eth, 12);
	if (m->with & WITH_VLAN)
		put(m->f, (uint8_t[4]){0x81, 0, 0, 1}, 4);
	put(m->f, &eth.type, 2);
	m->l3 = m->f->len;
}

static void put_arp(struct maker *m)
{
	struct arp_packet arp = {.hrd = be16_of(ARP_HRD_ETHERNET),
				 .pro = be16_of(ETHERTYPE_IPV4),
				 .hln = 6,
				 .pln = 4,
				 .op = be16_of(1 + (byte(m) & 1u))};

	frame_mac(arp.sha, m->from);
	memcpy(arp.spa, m->source4, 4);
	memcpy(arp.tpa, m->target4, 4);
	put(m->f, &arp, sizeof(arp));
}

static void put_ipv4(struct maker *m, uint8_t protocol)
{
	struct ipv4_header ip = {
		.version_ihl = 0x45, .identification = be16_of(7), .ttl = 64, .protocol = protocol};

	if (m->with & WITH_FRAGMENT)
		ip.fragment = be16_of((uint16_t)(word(m) & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET)));
	memcpy(ip.source, m->source4, 4);
	memcpy(ip.destination, m->target4, 4);
	if (m->with & WITH_OPTIONS)
		ip.version_ihl = 0x46;
	put(m->f, &ip, sizeof(ip));
	if (m->with & WITH_OPTIONS)
		put(m->f, (uint8_t[4]){1, 1, 1, 0}, 4); /* no operation */
	m->l4 = m->f->len;
}

/* The extension headers that the input names, each of them of the least length. */
static void put_ipv6(struct maker *m, uint8_t protocol)
{
	static const uint8_t kinds[] = {IP_HOP_BY_HOP, IP_ROUTING, IP_DESTINATION, IP_MOBILITY,
					IP_HIP,	       IP_SHIM6,   IP_AUTH,	   IP_FRAGMENT};
	struct ipv6_header ip = {.version_class_label = be32_of(6u << 28),
				 .next_header = protocol,
				 .hop_limit = 255};
	unsigned n = m->with & WITH_OPTIONS ? byte(m) % 10u : 0;
	uint8_t *next;

	memcpy(ip.source, m->source6, 16);
	memcpy(ip.destination, m->target6, 16);
	next = (uint8_t *)put(m->f, &ip, sizeof(ip)) + offsetof(struct ipv6_header, next_header);
	if (m->with & WITH_FRAGMENT) {
		unsigned at = word(m);

		*next = IP_FRAGMENT;
		next = put(m->f, (uint8_t[8]){protocol, 0, (uint8_t)(at >> 8 & 0x0f), (uint8_t)at},
			   8);
	}
	while (n--) {
		uint8_t kind = kinds[byte(m) % ARRAY_SIZE(kinds)];

		*next = kind;
		next = put(m->f, (uint8_t[8]){protocol}, 8);
	}
	m->l4 = m->f->len;
}

static void put_udp(struct maker *m, size_t payload, unsigned from, unsigned to)
{
	struct udp_header udp = {.source_port = be16_of((uint16_t)from),
				 .destination_port = be16_of((uint16_t)to),
				 .length = be16_of((uint16_t)(sizeof(udp) + payload))};

	put(m->f, &udp, sizeof(udp));
}

static void put_tcp(struct maker *m)
{
	struct tcp_header tcp = {.source_port = be16_of(0xc000),
				 .destination_port = be16_of(3240),
				 .sequence = be32_of(0xfffffff0u + byte(m)),
				 .offset = m->with & WITH_OPTIONS ? 0x80 : 0x50,
				 .flags = byte(m),
				 .window = be16_of(0xffff)};

	put(m->f, &tcp, sizeof(tcp));
	if (m->with & WITH_OPTIONS)
		put(m->f, (uint8_t[12]){1, 1, 8, 10, 0, 0, 0, 1}, 12); /* timestamps */
}

static void put_dhcp(struct maker *m)
{
	static const uint8_t types[] = {DHCP_DISCOVER, DHCP_REQUEST, DHCP_INFORM, DHCP_NAK};
	struct dhcp_message msg = {
		.op = DHCP_BOOTREQUEST, .htype = 1, .hlen = 6, .cookie = be32_of(DHCP_COOKIE)};
	unsigned what = byte(m);
	uint8_t type = types[what & 3];

	frame_mac(msg.chaddr, m->from);
	if (what & 4)
		msg.flags = be16_of(DHCP_BROADCAST);
	if (what & 8)
		memcpy(msg.ciaddr, m->source4, 4);
	put(m->f, &msg, sizeof(msg));
	if (what & 0x10)
		put(m->f, (uint8_t[6]){DHCP_REQUESTED, 4, 10, 77, 0, (uint8_t)(10 + m->from)}, 6);
	if (what & 0x20)
		put(m->f, (uint8_t[6]){DHCP_SERVER_ID, 4, 10, 77, 0, 1}, 6);
	put(m->f, (uint8_t[3]){DHCP_MESSAGE_TYPE, 1, type}, 3);
	put_zeros(m->f, what >> 6); /* pads */
	put(m->f, (uint8_t[1]){DHCP_END}, 1);
	m->f->dhcp = type == DHCP_DISCOVER && !(m->with & WITH_FRAGMENT);
}

/* Of neighbour discovery and its routers: type, target, options of the sender's own card. */
static void put_discovery(struct maker *m, uint8_t type)
{
	uint8_t icmp[ICMPV6_HEADER] = {type}, option[8] = {ND_SOURCE_LINK, 1};
	bool targets = type == ICMPV6_NEIGHBOR_SOLICITATION ||
		       type == ICMPV6_NEIGHBOR_ADVERTISEMENT || type == ICMPV6_REDIRECT;
	unsigned options = m->with & WITH_OPTIONS ? byte(m) % 4u : 0;

	put(m->f, icmp, sizeof(icmp));
	if (targets)
		put(m->f, byte(m) & 1 ? m->source6 : m->target6, 16);
	frame_mac(option + 2, m->from);
	while (options--) {
		option[0] = (uint8_t)(byte(m) % 5u);
		put(m->f, option, sizeof(option));
	}
}

static void put_payload(struct maker *m, size_t len)
{
	for (size_t i = 0; i < len; i++)
		m->f->bytes[m->f->len + i] = (uint8_t)(i * 7);
	m->f->len += len;
}

/* ------------------------------------------------------------- lengths and checksums */

static void set16(uint8_t *at, unsigned v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

/* Where a transport's checksum stands in its header; 0: it has none. */
static size_t checksum_at(uint8_t protocol)
{
	switch (protocol) {
	case IP_TCP:
		return offsetof(struct tcp_header, checksum);
	case IP_UDP:
		return offsetof(struct udp_header, checksum);
	default:
		return protocol == IP_ICMP || protocol == IP_ICMPV6 ? 2 : 0;
	}
}

static uint32_t pseudo(const struct maker *m, uint8_t protocol, size_t len)
{
	if (protocol == IP_ICMP)
		return 0;
	return m->kind >= KIND_UDP6 ? net_checksum_pseudo6(m->source6, m->target6, protocol, len)
				    : net_checksum_pseudo4(m->source4, m->target4, protocol, len);
}

static void finish(struct maker *m, uint8_t protocol)
{
	struct made_frame *f = m->f;
	size_t at = checksum_at(protocol), transport = f->len - m->l4;
	uint8_t *l4 = f->bytes + m->l4;
	uint32_t sum = pseudo(m, protocol, transport);
	uint16_t x;

	if (m->kind >= KIND_UDP6) {
		set16(f->bytes + m->l3 + 4, (unsigned)(f->len - m->l3 - 40));
	} else {
		uint8_t *ip = f->bytes + m->l3;

		set16(ip + 2, (unsigned)(f->len - m->l3));
		set16(ip + 10, net_checksum_fold(net_checksum_add(0, ip, m->l4 - m->l3)));
	}
	if ((m->with & WITH_OFFLOAD) && (protocol == IP_TCP || protocol == IP_UDP)) {
		sum = (sum & 0xffff) + (sum >> 16);
		set16(l4 + at, (sum & 0xffff) + (sum >> 16));
		f->hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		f->hdr.csum_start = le16_of((uint16_t)m->l4);
		f->hdr.csum_offset = le16_of((uint16_t)at);
		return;
	}
	x = net_checksum_fold(net_checksum_add(sum, l4, transport));
	set16(l4 + at, x ? x : 0xffff);
}

static void ask_for_cutting(struct maker *m)
{
	struct virtio_net_hdr *hdr = &m->f->hdr;
	bool udp = m->kind == KIND_UDP4 || m->kind == KIND_UDP6;

	if (!(m->with & WITH_GSO) || !hdr->flags ||
	    (!udp && m->kind != KIND_TCP4 && m->kind != KIND_TCP6))
		return;
	hdr->gso_type = udp		       ? VIRTIO_NET_HDR_GSO_UDP_L4
			: m->kind == KIND_TCP4 ? VIRTIO_NET_HDR_GSO_TCPV4
					       : VIRTIO_NET_HDR_GSO_TCPV6;
	hdr->gso_size = le16_of((uint16_t)(word(m) % 1600));
	hdr->hdr_len = le16_of((uint16_t)(m->l4 + (udp ? 8 : 20)));
}

/* Some bytes become others: of the frame, its header, or the frame's end is cut off. */
static void change(struct maker *m)
{
	unsigned n = byte(m) % 4u;

	while (n--) {
		unsigned where = byte(m), value = byte(m);

		m->f->changed = true;
		if (where < 0xf0 && where < m->f->len)
			m->f->bytes[where] = (uint8_t)value;
		else if (where < 0xfc)
			((uint8_t *)&m->f->hdr)[where % 12] = (uint8_t)value;
		else
			m->f->len -= min_t(size_t, value, m->f->len);
	}
}

/* ------------------------------------------------------------- the whole */

static size_t payload_of(struct maker *m)
{
	size_t n = word(m);

	/* Long only where it is to be cut: a fuzzer's time goes into bytes else. */
	return m->with & WITH_GSO ? n % 60000 : n % 1400;
}

static void make_v4(struct maker *m)
{
	static const unsigned ports[] = {67, 68, 53, 547, 1000, 3240};
	uint8_t protocol = m->kind == KIND_TCP4 ? IP_TCP : m->kind == KIND_ICMP4 ? IP_ICMP : IP_UDP;

	put_ethernet(m, ETHERTYPE_IPV4);
	put_ipv4(m, protocol);
	if (m->kind == KIND_DHCP) {
		uint8_t *udp = m->f->bytes + m->f->len;

		put_udp(m, 0, UDP_DHCP_CLIENT, UDP_DHCP_SERVER);
		put_dhcp(m);
		set16(udp + 4, (unsigned)(m->f->bytes + m->f->len - udp));
	} else if (m->kind == KIND_TCP4) {
		put_tcp(m);
		put_payload(m, payload_of(m));
	} else if (m->kind == KIND_UDP4) {
		unsigned from = ports[byte(m) % 6u], to = ports[byte(m) % 6u];
		size_t n = payload_of(m);

		put_udp(m, n, from, to);
		put_payload(m, n);
	} else {
		put(m->f, (uint8_t[8]){8}, 8);
		put_payload(m, payload_of(m));
	}
	finish(m, protocol);
}

static void make_v6(struct maker *m)
{
	uint8_t protocol = m->kind == KIND_UDP6	  ? IP_UDP
			   : m->kind == KIND_TCP6 ? IP_TCP
						  : IP_ICMPV6;

	put_ethernet(m, ETHERTYPE_IPV6);
	put_ipv6(m, protocol);
	if (m->kind == KIND_UDP6) {
		unsigned from = byte(m) & 1 ? UDP_DHCPV6_SERVER : 1000;
		size_t n = payload_of(m);

		put_udp(m, n, from, 1000);
		put_payload(m, n);
	} else if (m->kind == KIND_TCP6) {
		put_tcp(m);
		put_payload(m, payload_of(m));
	} else if (m->kind == KIND_ICMP6) {
		put(m->f, (uint8_t[8]){128}, 8);
		put_payload(m, payload_of(m));
	} else if (m->kind == KIND_NEIGHBOUR) {
		put_discovery(m, (uint8_t)(ICMPV6_NEIGHBOR_SOLICITATION + (byte(m) & 1u)));
	} else {
		put_discovery(m, (uint8_t)(ICMPV6_ROUTER_SOLICITATION + byte(m) % 5u));
	}
	finish(m, protocol);
}

/**
 * frame_make() - make a frame as the input says
 * @f:		the frame
 * @c:		the input: kind and where to, what is with it, and what these need
 * @from:	which guest sends it
 *
 * Return: false where the input has ended.
 */
bool frame_make(struct made_frame *f, struct cursor *c, unsigned from)
{
	struct maker m = {.f = f, .c = c, .from = from};
	const uint8_t *head = cursor_take(c, 2);

	if (!head)
		return false;
	f->len = 0;
	f->hdr = (struct virtio_net_hdr){0};
	f->changed = f->dhcp = false;
	m.kind = head[0] % KINDS;
	m.to = head[0] / KINDS % 4u; /* a neighbour, the other one, all, the daemon */
	m.with = head[1];
	addresses(from, m.source4, m.source6);
	addresses(m.to == 3 ? MADE_DAEMON : m.to + 1, m.target4, m.target6);
	if (m.with & FROM_NOWHERE) {
		memset(m.source4, 0, 4);
		memset(m.source6, 0, 16);
	}
	if (m.kind == KIND_NEIGHBOUR && (head[0] & 0x80))
		/* The group of those who may have it (RFC 4291, 2.7.1). */
		memcpy(m.target6, (uint8_t[13]){0xff, 2, [11] = 1, 0xff}, 13);
	if (m.kind == KIND_ARP) {
		put_ethernet(&m, ETHERTYPE_ARP);
		put_arp(&m);
	} else if (m.kind < KIND_UDP6) {
		make_v4(&m);
	} else {
		make_v6(&m);
	}
	ask_for_cutting(&m);
	if ((m.with & WITH_PADDING) && !f->hdr.gso_type)
		put_zeros(f, 18);
	if (m.with & WITH_CHANGES)
		change(&m);
	return true;
}

/**
 * frame_checksums_hold() - whether IPv4's, and TCP's or UDP's checksum are right
 * @frame:	IPv4 or IPv6 without extension headers and not in fragments; others are taken for right
 * @len:	its bytes
 */
bool frame_checksums_hold(const uint8_t *frame, size_t len)
{
	const struct ethernet_header *eth = (const void *)frame;
	const uint8_t *ip = frame + sizeof(*eth);
	size_t l4, end, type = len < sizeof(*eth) + 40 ? 0 : be16_get(eth->type);
	uint8_t protocol;
	uint32_t sum;

	if (type == ETHERTYPE_IPV4) {
		l4 = (ip[0] & 0xfu) * 4u;
		end = (size_t)ip[2] << 8 | ip[3];
		protocol = ip[9];
		if (net_checksum_fold(net_checksum_add(0, ip, l4)))
			return false;
		if ((ip[6] & 0x3f) | ip[7])
			return true;
		sum = net_checksum_pseudo4(ip + 12, ip + 16, protocol, end - l4);
	} else if (type == ETHERTYPE_IPV6) {
		l4 = sizeof(struct ipv6_header);
		end = l4 + ((size_t)ip[4] << 8 | ip[5]);
		protocol = ip[6];
		sum = net_checksum_pseudo6(ip + 8, ip + 24, protocol, end - l4);
	} else {
		return true;
	}
	if (protocol != IP_TCP && protocol != IP_UDP)
		return true;
	return end <= len - sizeof(*eth) &&
	       !net_checksum_fold(net_checksum_add(sum, ip + l4, end - l4));
}
