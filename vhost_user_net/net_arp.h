/* SPDX-License-Identifier: BSD-2-Clause */
/* Answering ARP for the daemon's address (RFC 826). Pure, no state. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define NET_ARP_REPLY (14 + 28)

size_t net_arp_answer(const uint8_t mac[6], const uint8_t address[4], const uint8_t *frame,
		      size_t len, uint8_t reply[NET_ARP_REPLY]);
