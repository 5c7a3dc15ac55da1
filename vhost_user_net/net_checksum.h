/* SPDX-License-Identifier: BSD-2-Clause */
/* The Internet checksum (RFC 1071), by parts. */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint32_t net_checksum_add(uint32_t sum, const void *data, size_t len);
uint32_t net_checksum_pseudo4(const uint8_t src[4], const uint8_t dst[4], uint8_t proto,
			      size_t len);
uint32_t net_checksum_pseudo6(const uint8_t src[16], const uint8_t dst[16], uint8_t proto,
			      size_t len);

/* The 16 bits to be stored, in the machine's order. */
static inline uint16_t net_checksum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* The same for a field of TCP's or UDP's. Zero would say "no checksum" in UDP (RFC 768), and is the same number. */
static inline uint16_t net_checksum_filled(uint32_t sum)
{
	uint16_t x = net_checksum_fold(sum);

	return x ? x : 0xffff;
}
