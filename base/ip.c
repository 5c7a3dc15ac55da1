/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses as people write them; see ip.h. */
#include "base/ip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

/* A decimal number without a sign or leading zeros, at most @most. Return: it, or -1. */
static int number(const char *text, int most)
{
	int n = 0;

	if (!*text || (text[0] == '0' && text[1]))
		return -1;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		n = n * 10 + (*text - '0');
		if (n > most)
			return -1;
	}
	return n;
}

/* An address alone. Return: 0 or -EINVAL. */
static int parse_address(const char *text, size_t len, bool *ret_v6, uint8_t ret_address[16])
{
	char copy[INET6_ADDRSTRLEN];

	if (len >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text, len);
	copy[len] = 0;
	memset(ret_address, 0, 16);
	*ret_v6 = memchr(copy, ':', len) != NULL;
	return inet_pton(*ret_v6 ? AF_INET6 : AF_INET, copy, ret_address) == 1 ? 0 : -EINVAL;
}

/* Whether no bit behind the first @bits is set. */
static bool is_network(const uint8_t *address, unsigned bits, unsigned len)
{
	for (unsigned i = bits / 8; i < len; i++) {
		uint8_t mask = (uint8_t)(i == bits / 8 ? 0xff >> bits % 8 : 0xff);

		if (address[i] & mask)
			return false;
	}
	return true;
}

/**
 * ip_prefix_parse() - read a network or an address
 * @text:	"192.168.1.0/24", "192.168.1.7", "2001:db8::/32"; nothing behind the prefix may be set
 * @ret_prefix:	written only on success
 *
 * Return: 0 or -EINVAL.
 */
int ip_prefix_parse(const char *text, struct ip_prefix *ret_prefix)
{
	const char *slash = strchr(text, '/');
	struct ip_prefix p = {0};
	bool v6;
	int bits;

	if (parse_address(text, slash ? (size_t)(slash - text) : strlen(text), &v6, p.address) < 0)
		return -EINVAL;
	bits = slash ? number(slash + 1, v6 ? 128 : 32) : v6 ? 128 : 32;
	if (bits < 0 || !is_network(p.address, (unsigned)bits, v6 ? 16 : 4))
		return -EINVAL;
	p.v6 = v6;
	p.bits = (uint8_t)bits;
	*ret_prefix = p;
	return 0;
}

/**
 * ip_prefix_has() - whether an address is in a network
 * @prefix:	the network; @bits of it that its family has not count as all
 * @v6:		the address's family
 * @address:	4 or 16 bytes
 */
bool ip_prefix_has(const struct ip_prefix *prefix, bool v6, const uint8_t *address)
{
	unsigned bits = prefix->bits, most = v6 ? 128 : 32, whole;

	if ((prefix->v6 != 0) != v6)
		return false;
	bits = bits > most ? most : bits;
	whole = bits / 8;
	if (memcmp(prefix->address, address, whole))
		return false;
	return bits % 8 == 0 ||
	       !((prefix->address[whole] ^ address[whole]) & (uint8_t)(0xff00 >> bits % 8));
}

/**
 * ip_prefix_text() - a network as it would be written
 * @prefix:	the network
 * @text:	gets it; one address without "/32" or "/128"
 *
 * Return: @text.
 */
const char *ip_prefix_text(const struct ip_prefix *prefix, char text[IP_TEXT_SIZE])
{
	char address[INET6_ADDRSTRLEN] = "";

	inet_ntop(prefix->v6 ? AF_INET6 : AF_INET, prefix->address, address, sizeof(address));
	if (prefix->bits < (prefix->v6 ? 128 : 32))
		snprintf(text, IP_TEXT_SIZE, "%s/%u", address, prefix->bits);
	else
		snprintf(text, IP_TEXT_SIZE, "%s", address);
	return text;
}

/**
 * ip_endpoint_parse() - read an address with a port
 * @text:	"192.168.1.10:3240", "[2001:db8::1]:3240"; either may lack the port
 * @port:	the port where @text has none
 * @ret_endpoint: written only on success
 *
 * Return: 0 or -EINVAL.
 */
int ip_endpoint_parse(const char *text, uint16_t port, struct ip_endpoint *ret_endpoint)
{
	struct ip_endpoint e = {.port = port};
	const char *end, *behind;
	bool bracket = text[0] == '[';
	int n;

	text += bracket;
	end = text + strcspn(text, bracket ? "]" : ":");
	behind = end;
	if (bracket && *behind++ != ']')
		return -EINVAL;
	if (*behind) {
		n = *behind == ':' ? number(behind + 1, 65535) : -1;
		if (n <= 0)
			return -EINVAL;
		e.port = (uint16_t)n;
	}
	if (parse_address(text, (size_t)(end - text), &e.v6, e.address) < 0 || e.v6 != bracket)
		return -EINVAL;
	*ret_endpoint = e;
	return 0;
}

/**
 * ip_endpoint_text() - an address with its port as it would be written
 * @endpoint:	the address
 * @text:	gets it
 *
 * Return: @text.
 */
const char *ip_endpoint_text(const struct ip_endpoint *endpoint, char text[IP_TEXT_SIZE])
{
	char address[INET6_ADDRSTRLEN] = "";

	inet_ntop(endpoint->v6 ? AF_INET6 : AF_INET, endpoint->address, address, sizeof(address));
	snprintf(text, IP_TEXT_SIZE, endpoint->v6 ? "[%s]:%u" : "%s:%u", address, endpoint->port);
	return text;
}

/**
 * ip_endpoint_to() - an address in the kernel's form
 * @endpoint:	the address
 * @ret_address: gets it
 *
 * Return: its length.
 */
size_t ip_endpoint_to(const struct ip_endpoint *endpoint, struct sockaddr_storage *ret_address)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret_address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret_address;

	memset(ret_address, 0, sizeof(*ret_address));
	if (!endpoint->v6) {
		in->sin_family = AF_INET;
		in->sin_port = htons(endpoint->port);
		memcpy(&in->sin_addr, endpoint->address, sizeof(in->sin_addr));
		return sizeof(*in);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(endpoint->port);
	memcpy(&in6->sin6_addr, endpoint->address, sizeof(in6->sin6_addr));
	return sizeof(*in6);
}

/**
 * ip_endpoint_from() - an address from the kernel's form
 * @address:	as getpeername(2) gives it
 * @ret_endpoint: written only on success
 *
 * Return: 0; -EAFNOSUPPORT where it is of neither family.
 */
int ip_endpoint_from(const struct sockaddr_storage *address, struct ip_endpoint *ret_endpoint)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
	struct ip_endpoint e = {0};

	if (address->ss_family == AF_INET) {
		e.port = ntohs(in->sin_port);
		memcpy(e.address, &in->sin_addr, sizeof(in->sin_addr));
	} else if (address->ss_family == AF_INET6) {
		const uint8_t *a = in6->sin6_addr.s6_addr;

		e.port = ntohs(in6->sin6_port);
		e.v6 = memcmp(a, mapped, sizeof(mapped)) != 0;
		memcpy(e.address, e.v6 ? a : a + sizeof(mapped), e.v6 ? 16 : 4);
	} else {
		return -EAFNOSUPPORT;
	}
	*ret_endpoint = e;
	return 0;
}
