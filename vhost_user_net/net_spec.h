/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames on the private segment: Ethernet, ARP, IPv4, IPv6, UDP, TCP, ICMPv6, DHCP, as far as the
 * rules, the segmentation and the DHCP server read them.
 */
#pragma once

#include <assert.h>
#include <stddef.h>

#include "base/endian_types.h"

struct ethernet_header {
	uint8_t destination[6];
	uint8_t source[6];
	be16 type;
};
static_assert(sizeof(struct ethernet_header) == 14, "IEEE 802.3");

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_ARP  0x0806
#define ETHERTYPE_RARP 0x8035
#define ETHERTYPE_IPV6 0x86dd
/* IEEE 802.1Q: a tag follows, and the type of what is in it */
#define ETHERTYPE_VLAN	       0x8100
#define ETHERTYPE_SERVICE_VLAN 0x88a8

/* IEEE 802.1Q, 9.6 */
struct vlan_tag {
	be16 control, type;
};
static_assert(sizeof(struct vlan_tag) == 4, "IEEE 802.1Q, 9.6");

/* RFC 826, for IPv4 over Ethernet */
struct arp_packet {
	be16 hrd, pro;
	uint8_t hln, pln;
	be16 op;
	uint8_t sha[6], spa[4], tha[6], tpa[4];
};
static_assert(sizeof(struct arp_packet) == 28, "RFC 826");
#define ARP_HRD_ETHERNET 1
#define ARP_REQUEST	 1
#define ARP_REPLY	 2

/* RFC 903 */
#define ARP_REVERSE_REQUEST 3

/* RFC 791 */
struct ipv4_header {
	uint8_t version_ihl, tos;
	be16 total_length, identification, fragment;
	uint8_t ttl, protocol;
	be16 checksum;
	uint8_t source[4], destination[4];
};
static_assert(sizeof(struct ipv4_header) == 20, "RFC 791, 3.1");
#define IPV4_DONT_FRAGMENT  0x4000
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_OFFSET	    0x1fff

/* RFC 8200 */
struct ipv6_header {
	be32 version_class_label;
	be16 payload_length;
	uint8_t next_header, hop_limit;
	uint8_t source[16], destination[16];
};
static_assert(sizeof(struct ipv6_header) == 40, "RFC 8200, 3");

struct ipv6_fragment_header {
	uint8_t next_header, reserved;
	be16 offset_more; /* offset in units of 8 bytes << 3, more in bit 0 */
	be32 identification;
};
static_assert(sizeof(struct ipv6_fragment_header) == 8, "RFC 8200, 4.5");

#define IP_HOP_BY_HOP  0
#define IP_ICMP	       1
#define IP_TCP	       6
#define IP_UDP	       17
#define IP_ROUTING     43
#define IP_FRAGMENT    44
#define IP_AUTH	       51
#define IP_ICMPV6      58
#define IP_NO_NEXT     59
#define IP_DESTINATION 60
#define IP_MOBILITY    135
#define IP_HIP	       139
#define IP_SHIM6       140

/* RFC 9293 */
struct tcp_header {
	be16 source_port, destination_port;
	be32 sequence, acknowledgment;
	uint8_t offset, flags;
	be16 window, checksum, urgent;
};
static_assert(sizeof(struct tcp_header) == 20, "RFC 9293, 3.1");
#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_CWR 0x80

/* RFC 768 */
struct udp_header {
	be16 source_port, destination_port, length, checksum;
};
static_assert(sizeof(struct udp_header) == 8, "RFC 768");
#define UDP_DHCP_SERVER	  67
#define UDP_DHCP_CLIENT	  68
#define UDP_DHCPV6_SERVER 547

/* RFC 4861, 4: type, code, checksum, 32 bits, and from some types a target address */
#define ICMPV6_HEADER		      8
#define ICMPV6_ROUTER_SOLICITATION    133
#define ICMPV6_ROUTER_ADVERTISEMENT   134
#define ICMPV6_NEIGHBOR_SOLICITATION  135
#define ICMPV6_NEIGHBOR_ADVERTISEMENT 136
#define ICMPV6_REDIRECT		      137
/* RFC 4861, 4.6: type, length in units of 8 bytes, a card's address */
#define ND_SOURCE_LINK 1
#define ND_TARGET_LINK 2

/* RFC 2131, 2 */
struct dhcp_message {
	uint8_t op, htype, hlen, hops;
	be32 xid;
	be16 secs, flags;
	uint8_t ciaddr[4], yiaddr[4], siaddr[4], giaddr[4];
	uint8_t chaddr[16], sname[64], file[128];
	be32 cookie;
};
static_assert(sizeof(struct dhcp_message) == 240, "RFC 2131, 2");
#define DHCP_BOOTREQUEST 1
#define DHCP_BOOTREPLY	 2
#define DHCP_BROADCAST	 0x8000
#define DHCP_COOKIE	 0x63825363u
/* RFC 2132 */
#define DHCP_PAD	  0
#define DHCP_SUBNET_MASK  1
#define DHCP_REQUESTED	  50
#define DHCP_LEASE_TIME	  51
#define DHCP_MESSAGE_TYPE 53
#define DHCP_SERVER_ID	  54
#define DHCP_END	  255
#define DHCP_DISCOVER	  1
#define DHCP_OFFER	  2
#define DHCP_REQUEST	  3
#define DHCP_ACK	  5
#define DHCP_NAK	  6
#define DHCP_INFORM	  8
