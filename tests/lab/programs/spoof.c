// SPDX-License-Identifier: BSD-2-Clause
/*
 * spoof - sends frames that a guest has no right to send, and one that it may.
 *
 *	spoof IFACE OWN-ADDRESS VICTIM-MAC VICTIM-ADDRESS
 *
 * Each frame carries "spoof:NAME;", by which framewatch in the victim knows it. The last one,
 * "honest", is allowed: where it has come, all before it would have. Prints the name of each frame
 * that was sent.
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define DAEMON4 "10.77.0.1"
#define DAEMON6 "fe80::1"

static int sock, ifindex;
static uint8_t own[6], victim[6];
static const uint8_t *card = own; /* what neighbour discovery says that the sender's card is */
static const uint8_t foreign[6] = {0x02, 0xde, 0xad, 0xbe, 0xef, 0x01};
static const uint8_t everyone[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t all_nodes[6] = {0x33, 0x33, 0, 0, 0, 1};
static uint8_t frame[512];
static size_t len;

static void put(const void *data, size_t n)
{
	memcpy(frame + len, data, n);
	len += n;
}

static void put8(uint8_t x)
{
	put(&x, 1);
}

static void put16(uint16_t x)
{
	x = htons(x);
	put(&x, 2);
}

static void put4(const char *address)
{
	struct in_addr a;

	inet_pton(AF_INET, address, &a);
	put(&a, 4);
}

static void put6(const char *address)
{
	struct in6_addr a;

	inet_pton(AF_INET6, address, &a);
	put(&a, 16);
}

static void ether(const uint8_t *to, const uint8_t *from, uint16_t type)
{
	len = 0;
	put(to, 6);
	put(from, 6);
	put16(type);
}

static void mark(const char *name)
{
	char text[64];

	put(text, (size_t)snprintf(text, sizeof(text), "spoof:%s;", name));
}

static void emit(const char *name)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = ifindex, .sll_halen = 6};

	while (len < 60)
		put8(0);
	memcpy(to.sll_addr, frame, 6);
	if (sendto(sock, frame, len, 0, (struct sockaddr *)&to, sizeof(to)) != (ssize_t)len)
		perror(name);
	printf("sent %s\n", name);
	usleep(20000); /* none is to be lost for want of room */
}

static uint16_t sum(const uint8_t *data, size_t n, uint32_t s)
{
	for (size_t i = 0; i < n; i++)
		s += i & 1 ? data[i] : data[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static void arp(const char *name, const uint8_t *to, uint16_t op, const uint8_t *sender_mac,
		const char *sender, const uint8_t *target_mac, const char *target)
{
	ether(to, own, ETHERTYPE_ARP);
	put16(1);
	put16(ETHERTYPE_IP);
	put8(6);
	put8(4);
	put16(op);
	put(sender_mac, 6);
	put4(sender);
	put(target_mac, 6);
	put4(target);
	mark(name);
	emit(name);
}

static void udp(const char *name, const uint8_t *to, const uint8_t *from, const char *source,
		const char *target, uint16_t source_port, uint16_t target_port)
{
	char text[64];
	size_t n = (size_t)snprintf(text, sizeof(text), "spoof:%s;", name), ip;
	size_t data = target_port == 68 ? 240 + n : n;
	uint16_t check;

	ether(to, from, ETHERTYPE_IP);
	ip = len;
	put16(0x4500);
	put16((uint16_t)(28 + data));
	put16(0);
	put16(0x4000);
	put8(64);
	put8(IPPROTO_UDP);
	put16(0);
	put4(source);
	put4(target);
	check = htons(sum(frame + ip, 20, 0));
	memcpy(frame + ip + 10, &check, 2);
	put16(source_port);
	put16(target_port);
	put16((uint16_t)(8 + data));
	put16(0);
	if (target_port ==
	    68) { /* a DHCP OFFER as far as anybody looks: op, htype, hlen, …, cookie */
		static const uint8_t head[] = {2, 1, 6, 0}, cookie[] = {0x63, 0x82, 0x53, 0x63};

		put(head, 4);
		for (int i = 0; i < 232; i++)
			put8(0);
		put(cookie, 4);
	}
	put(text, n);
	emit(name);
}

/* Neighbour or router advertisement, straight or behind an extension header. */
static void icmp6(const char *name, const uint8_t *to, const char *source, uint8_t type,
		  const char *target, uint8_t extension)
{
	uint8_t body[128];
	char text[64];
	size_t n = 0, at, mark_len = (size_t)snprintf(text, sizeof(text), "spoof:%s;", name), icmp;
	uint16_t check;
	struct in6_addr a;

	body[n++] = type;
	body[n++] = 0;
	body[n++] = 0;
	body[n++] = 0;
	memset(body + n, 0, 12);
	if (type == 136) {
		body[n] = 0x60; /* solicited, override */
		n += 4;
		inet_pton(AF_INET6, target, &a);
		memcpy(body + n, &a, 16);
		n += 16;
	} else {
		body[n] = 64;	  /* hop limit */
		body[n + 3] = 30; /* lifetime */
		n += 12;
	}
	body[n++] = type == 136 ? 2 : 1; /* link-layer address: target's, source's */
	body[n++] = 1;
	memcpy(body + n, card, 6);
	n += 6;
	/* The mark, as an option that nobody knows. */
	at = n;
	body[n++] = 253;
	body[n++] = (uint8_t)((mark_len + 2 + 7) / 8);
	memset(body + n, 0, 64);
	memcpy(body + n, text, mark_len);
	n = at + (mark_len + 2 + 7) / 8 * 8;

	ether(to, own, ETHERTYPE_IPV6);
	put16(0x6000);
	put16(0);
	put16((uint16_t)(n + (extension != 255 ? 8 : 0)));
	put8(extension != 255 ? extension : 58);
	put8(255);
	put6(source);
	put6("ff02::1");
	if (extension != 255) {
		static const uint8_t padding[6] = {
			1, 4}; /* PadN; of a fragment header: offset 0, last */
		static const uint8_t fragment[6] = {0, 0, 1, 2, 3, 4};

		put8(58);
		put8(0);
		put(extension == 44 ? fragment : padding, 6);
	}
	icmp = len;
	put(body, n);
	{
		uint8_t pseudo[40] = {0};

		memcpy(pseudo, frame + 14 + 8, 32);
		pseudo[34] = (uint8_t)(n >> 8);
		pseudo[35] = (uint8_t)n;
		pseudo[39] = 58;
		check = sum(pseudo, 40, 0);
		check = htons(sum(frame + icmp, n, (uint16_t)~check));
		memcpy(frame + icmp + 2, &check, 2);
	}
	emit(name);
}

int main(int argc, char **argv)
{
	struct ifreq ifr = {0};
	unsigned int m[6];
	const char *me, *his;
	char his6[64];

	if (argc != 5 ||
	    sscanf(argv[3], "%x:%x:%x:%x:%x:%x", m, m + 1, m + 2, m + 3, m + 4, m + 5) != 6) {
		fprintf(stderr, "usage: spoof IFACE OWN-ADDRESS VICTIM-MAC VICTIM-ADDRESS\n");
		return 2;
	}
	for (int i = 0; i < 6; i++)
		victim[i] = (uint8_t)m[i];
	me = argv[2];
	his = argv[4];
	sock = socket(AF_PACKET, SOCK_RAW, 0);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", argv[1]);
	if (sock < 0 || ioctl(sock, SIOCGIFHWADDR, &ifr)) {
		perror(argv[1]);
		return 1;
	}
	memcpy(own, ifr.ifr_hwaddr.sa_data, 6);
	ifindex = (int)if_nametoindex(argv[1]);

	arp("gratuitous-arp", everyone, 1, own, DAEMON4, everyone, DAEMON4);
	arp("gratuitous-arp-reply", everyone, 2, own, DAEMON4, everyone, DAEMON4);
	arp("arp-reply", victim, 2, own, DAEMON4, victim, his);
	arp("arp-request-as-daemon", victim, 1, own, DAEMON4, everyone, his);
	arp("arp-foreign-sender", victim, 2, foreign, me, victim, his);
	arp("arp-of-third", victim, 2, own, "10.77.0.99", victim, his);
	icmp6("neighbour-advertisement", all_nodes, DAEMON6, 136, DAEMON6, 255);
	icmp6("neighbour-advertisement-own-source", victim, "fe80::77", 136, DAEMON6, 255);
	icmp6("neighbour-advertisement-hop-by-hop", victim, "fe80::77", 136, DAEMON6, 0);
	icmp6("neighbour-advertisement-options", victim, "fe80::77", 136, DAEMON6, 60);
	icmp6("neighbour-advertisement-fragment", victim, "fe80::77", 136, DAEMON6, 44);
	card = victim;
	icmp6("neighbour-advertisement-of-his-card", all_nodes, "fe80::77", 136, "fe80::77", 255);
	card = own;
	/* His address, as IPv6 makes one of a card's. */
	snprintf(his6, sizeof(his6), "fe80::%02x%02x:%02xff:fe%02x:%02x%02x", victim[0] ^ 2,
		 victim[1], victim[2], victim[3], victim[4], victim[5]);
	icmp6("neighbour-advertisement-for-him", all_nodes, "fe80::77", 136, his6, 255);
	icmp6("his-address-over-ipv6", all_nodes, his6, 136, "fe80::77", 255);
	icmp6("router-advertisement", all_nodes, "fe80::77", 134, DAEMON6, 255);
	icmp6("router-advertisement-hop-by-hop", all_nodes, "fe80::77", 134, DAEMON6, 0);
	icmp6("router-advertisement-fragment", all_nodes, "fe80::77", 134, DAEMON6, 44);
	udp("dhcp-offer", victim, own, me, his, 67, 68);
	udp("dhcp-offer-broadcast", everyone, own, me, "255.255.255.255", 67, 68);
	udp("his-mac", everyone, victim, me, "255.255.255.255", 9, 9);
	udp("foreign-address", victim, own, "10.77.0.99", his, 9, 9);
	udp("daemons-address", victim, own, DAEMON4, his, 3240, 9);
	/* Inside a VLAN tag. */
	ether(victim, own, ETHERTYPE_VLAN);
	put16(0);
	put16(ETHERTYPE_ARP);
	mark("vlan");
	emit("vlan");
	udp("honest", victim, own, me, his, 9, 9);
	return 0;
}
