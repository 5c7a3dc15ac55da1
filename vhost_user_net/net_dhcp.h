/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The DHCP server of one guest (RFC 2131): its one address, always. Pure: a request's frame goes
 * in, the answer's frame comes out; there is no state, so a restart loses nothing.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct net_dhcp {
	uint8_t mac[6];	    /* the guest's card */
	uint8_t address[4]; /* what it gets */
	uint8_t daemon[4];  /* the server's identifier */
	unsigned prefix;
};

#define NET_DHCP_LEASE_SECONDS (24 * 3600u)

/* Ethernet, IPv4, UDP, and a message of the least length that every client takes. */
#define NET_DHCP_REPLY_MAX (14 + 20 + 8 + 300)

size_t net_dhcp_answer(const struct net_dhcp *dhcp, const uint8_t *frame, size_t len, size_t udp,
		       uint8_t reply[NET_DHCP_REPLY_MAX]);
