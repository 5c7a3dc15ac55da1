/* SPDX-License-Identifier: BSD-2-Clause */
/* Sums of 16-bit words in network order; a sum is kept below 2^17, so that sums can be added. */
#include "vhost_user_net/net_checksum.h"

#include <endian.h>
#include <string.h>

/**
 * net_checksum_add() - add bytes to a sum
 * @sum:	so far, 0 at first
 * @data:	the bytes, which start at an even place of what is summed
 * @len:	how many; an odd number only for the last
 *
 * Return: the sum, to be ended by net_checksum_fold().
 */
uint32_t net_checksum_add(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t s = 0;

	/* Words of the machine's order: swapping the sum's bytes at the end is the same (RFC 1071,
	 * 2 B), and a 64-bit sum of 32-bit words can't overflow below 16 GiB. */
	for (; len >= 4; p += 4, len -= 4) {
		uint32_t w;

		memcpy(&w, p, 4);
		s += w;
	}
	if (len >= 2) {
		uint16_t w;

		memcpy(&w, p, 2);
		s += w;
		p += 2;
		len -= 2;
	}
	if (len)
		s += htole16(*p);
	s = (s & 0xffffffff) + (s >> 32);
	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	sum += be16toh((uint16_t)s);
	return (sum & 0xffff) + (sum >> 16);
}

/**
 * net_checksum_pseudo4() - the sum of TCP's or UDP's pseudo-header over IPv4 (RFC 9293, 3.1)
 * @src:	source address
 * @dst:	destination
 * @proto:	protocol
 * @len:	of header and payload of the transport, bytes
 */
uint32_t net_checksum_pseudo4(const uint8_t src[4], const uint8_t dst[4], uint8_t proto, size_t len)
{
	uint32_t sum = net_checksum_add(0, src, 4);

	sum = net_checksum_add(sum, dst, 4) + proto + (uint32_t)(len & 0xffff);
	return sum + (uint32_t)(len >> 16);
}

/**
 * net_checksum_pseudo6() - the same over IPv6 (RFC 8200, 8.1)
 * @src:	source address
 * @dst:	destination
 * @proto:	protocol
 * @len:	of header and payload of the transport, bytes
 */
uint32_t net_checksum_pseudo6(const uint8_t src[16], const uint8_t dst[16], uint8_t proto,
			      size_t len)
{
	uint32_t sum = net_checksum_add(0, src, 16);

	sum = net_checksum_add(sum, dst, 16) + proto + (uint32_t)(len & 0xffff);
	return sum + (uint32_t)(len >> 16);
}
