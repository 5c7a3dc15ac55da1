/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Addresses of IPv4 and IPv6 as people write them, and which network has which. Pure. An IPv4 address that
 * is mapped into IPv6 (::ffff:192.168.1.7, RFC 4291 2.5.5.2) is that IPv4 address.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "[", an address, "]:65535", and the end. */
#define IP_TEXT_SIZE 56

struct sockaddr_storage;

/* A network, or one address. It goes over the line to a process (protocol/vm_wire.h) as it is. */
struct ip_prefix {
	uint8_t v6; /* 0 or 1 */
	uint8_t bits;
	uint8_t address[16]; /* IPv4: the first 4; all bits behind @bits are zero */
};
static_assert(sizeof(struct ip_prefix) == 18, "as it goes over the line");

/* An address and a TCP port. */
struct ip_endpoint {
	bool v6;
	uint16_t port;
	uint8_t address[16]; /* IPv4: the first 4 */
};

int ip_prefix_parse(const char *text, struct ip_prefix *ret_prefix);
bool ip_prefix_has(const struct ip_prefix *prefix, bool v6, const uint8_t *address);
const char *ip_prefix_text(const struct ip_prefix *prefix, char text[IP_TEXT_SIZE]);
int ip_endpoint_parse(const char *text, uint16_t port, struct ip_endpoint *ret_endpoint);
const char *ip_endpoint_text(const struct ip_endpoint *endpoint, char text[IP_TEXT_SIZE]);
size_t ip_endpoint_to(const struct ip_endpoint *endpoint, struct sockaddr_storage *ret_address);
int ip_endpoint_from(const struct sockaddr_storage *address, struct ip_endpoint *ret_endpoint);

static inline bool ip_endpoint_same(const struct ip_endpoint *a, const struct ip_endpoint *b)
{
	return a->v6 == b->v6 && a->port == b->port &&
	       !__builtin_memcmp(a->address, b->address, a->v6 ? 16 : 4);
}
