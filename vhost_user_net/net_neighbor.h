/* SPDX-License-Identifier: BSD-2-Clause */
/* Answering neighbour discovery for the daemon's IPv6 address (RFC 4861). Pure, no state. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Ethernet, IPv6, the advertisement, and the option with the card's address. */
#define NET_NEIGHBOR_REPLY (14 + 40 + 24 + 8)

size_t net_neighbor_answer(const uint8_t mac[6], const uint8_t address[16], const uint8_t *frame,
			   size_t len, uint8_t reply[NET_NEIGHBOR_REPLY]);
