/* SPDX-License-Identifier: BSD-2-Clause */
/* Answering echo requests, ICMP and ICMPv6 (RFC 792, RFC 4443). Pure, no state. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A request of one Ethernet frame; longer ones are not answered. */
#define NET_ECHO_MAX 1514

size_t net_echo_answer(const uint8_t mac[6], const uint8_t address4[4], const uint8_t address6[16],
		       const uint8_t *frame, size_t len, uint8_t reply[NET_ECHO_MAX]);
