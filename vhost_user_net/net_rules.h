/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest may send. Pure: a copy of a frame's first bytes goes in, a verdict comes out.
 *
 * The rules are those of the contract ("From a guest's port the private switch takes"): nobody on
 * the segment can pose as the daemon, or as another card. A frame whose headers can't be read to
 * their end within the copy is refused, so that only judged bytes are passed on.
 *
 * On a further network ("plain") a frame may be of any protocol, and say anything: the port checks its
 * source MAC, and nothing else. What is found of its headers says where a checksum may go, and no more.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* So much of a frame is copied and judged; headers that go on beyond it are refused. */
#define NET_RULES_HEAD 256

/* The longest frame: Ethernet, IPv6, and what its 16-bit length can say. */
#define NET_FRAME_MAX (14 + 40 + 65535)

/* The daemon's card on the segment: the same for every guest, locally administered. */
#define NET_DAEMON_MAC                             \
	{                                          \
		0x02, 0x75, 0x73, 0x62, 0x72, 0x64 \
	}
extern const uint8_t net_daemon_mac[6];

/* The port decides which Ethernet source addresses are the guest's (net_card.c). */
struct net_rules {
	uint8_t address[4]; /* the guest's */
	uint8_t daemon[4];
	bool plain; /* of a further network: all protocols, all addresses of IP */
};

enum net_verdict {
	NET_PASS,
	NET_DHCP, /* a request to the DHCP server: for the daemon, whatever its destination */
	NET_REFUSE,
};

/* Where a judged frame's headers are; offsets from the frame's start. */
struct net_headers {
	uint16_t type;	  /* EtherType */
	uint8_t protocol; /* of IP's payload; 0: none known */
	bool fragment;	  /* the payload is not whole */
	uint16_t l3, l4;  /* l4 is 0 where no transport header is there */
	uint32_t ip_end;  /* of the IP packet, without padding; 0: none */
	/* IPv6 addresses that the sender says are its own; 0: none. */
	uint16_t source6, target6;
	bool as_daemon;	    /* refused: ARP says that the guest has the daemon's IPv4 address */
	bool from_daemon;   /* refused: its source address is that of the daemon's card */
	bool to_daemon;	    /* it asks for that address, or sends to it */
	const char *reason; /* why refused; a literal */
};

enum net_verdict net_rules_judge(const struct net_rules *rules, const uint8_t *head,
				 size_t head_len, size_t frame_len,
				 struct net_headers *ret_headers);
