/* SPDX-License-Identifier: BSD-2-Clause */
/* Echo: the request's bytes go back under exchanged addresses, checksums made anew. */
#include "vhost_user_net/net_echo.h"

#include <stdbool.h>
#include <string.h>

#include "base/cursor.h"
#include "vhost_user_net/net_checksum.h"
#include "vhost_user_net/net_spec.h"

#define ECHO_HEADER   8
#define ECHO_REQUEST4 8
#define ECHO_REPLY4   0
#define ECHO_REQUEST6 128
#define ECHO_REPLY6   129

/* May the answer go there: one host? */
static bool one_host4(const uint8_t a[4])
{
	return a[0] && a[0] != 127 && a[0] < 224;
}

static void write_icmp(uint8_t *to, const uint8_t *asked, size_t len, uint8_t type, uint32_t sum)
{
	be16 checksum;

	memcpy(to, asked, len);
	to[0] = type;
	to[2] = to[3] = 0;
	checksum = be16_of(net_checksum_fold(net_checksum_add(sum, to, len)));
	memcpy(to + 2, &checksum, 2);
}

static size_t answer4(const uint8_t address[4], struct cursor c, uint8_t *to)
{
	const struct ipv4_header *ip = cursor_peek(&c, sizeof(*ip));
	size_t ihl, total;
	struct ipv4_header answer = {.version_ihl = 0x45, .ttl = 64, .protocol = IP_ICMP};
	const uint8_t *icmp;

	if (!ip || ip->version_ihl >> 4 != 4 || ip->protocol != IP_ICMP ||
	    (be16_get(ip->fragment) & (IPV4_OFFSET | IPV4_MORE_FRAGMENTS)))
		return 0;
	ihl = (ip->version_ihl & 0xfu) * 4u;
	total = be16_get(ip->total_length);
	if (ihl < sizeof(*ip) || total > c.left || total < ihl || total - ihl < ECHO_HEADER ||
	    memcmp(ip->destination, address, 4) || !one_host4(ip->source))
		return 0;
	icmp = c.p + ihl;
	if (icmp[0] != ECHO_REQUEST4 || icmp[1] ||
	    net_checksum_fold(net_checksum_add(0, icmp, total - ihl)))
		return 0;
	/* Options of the request are not repeated. */
	answer.total_length = be16_of((uint16_t)(sizeof(answer) + total - ihl));
	memcpy(answer.source, address, 4);
	memcpy(answer.destination, ip->source, 4);
	answer.checksum = be16_of(net_checksum_fold(net_checksum_add(0, &answer, sizeof(answer))));
	memcpy(to, &answer, sizeof(answer));
	write_icmp(to + sizeof(answer), icmp, total - ihl, ECHO_REPLY4, 0);
	return sizeof(answer) + total - ihl;
}

static size_t answer6(const uint8_t address[16], struct cursor c, uint8_t *to)
{
	static const uint8_t nowhere[16];
	const struct ipv6_header *ip = cursor_take(&c, sizeof(*ip));
	struct ipv6_header answer = {.version_class_label = be32_of(6u << 28),
				     .next_header = IP_ICMPV6,
				     .hop_limit = 64};
	size_t len;
	uint32_t sum;

	if (!ip || ip->next_header != IP_ICMPV6 || memcmp(ip->destination, address, 16) ||
	    ip->source[0] == 0xff || !memcmp(ip->source, nowhere, 16))
		return 0;
	len = be16_get(ip->payload_length);
	if (len > c.left || len < ECHO_HEADER || c.p[0] != ECHO_REQUEST6 || c.p[1])
		return 0;
	sum = net_checksum_pseudo6(ip->source, ip->destination, IP_ICMPV6, len);
	if (net_checksum_fold(net_checksum_add(sum, c.p, len)))
		return 0;
	answer.payload_length = be16_of((uint16_t)len);
	memcpy(answer.source, address, 16);
	memcpy(answer.destination, ip->source, 16);
	memcpy(to, &answer, sizeof(answer));
	/* The pseudo-header's sum does not change with the direction. */
	write_icmp(to + sizeof(answer), c.p, len, ECHO_REPLY6, sum);
	return sizeof(answer) + len;
}

/**
 * net_echo_answer() - answer an echo request
 * @mac:	the daemon's card
 * @address4:	its address
 * @address6:	and over IPv6
 * @frame:	from its Ethernet header on, passed by the rules
 * @len:	bytes
 * @reply:	room for the answer
 *
 * Requests to groups are not answered (RFC 1122, 3.2.2.6, allows it), nor are fragments.
 *
 * Return: length of the answer; 0 where there is none.
 */
size_t net_echo_answer(const uint8_t mac[6], const uint8_t address4[4], const uint8_t address6[16],
		       const uint8_t *frame, size_t len, uint8_t reply[NET_ECHO_MAX])
{
	struct cursor c = cursor_of(frame, len);
	const struct ethernet_header *eth = cursor_take(&c, sizeof(*eth));
	struct ethernet_header to;
	size_t n = 0;

	if (!eth || len > NET_ECHO_MAX)
		return 0;
	to.type = eth->type;
	memcpy(to.destination, eth->source, 6);
	memcpy(to.source, mac, 6);
	if (be16_get(eth->type) == ETHERTYPE_IPV4)
		n = answer4(address4, c, reply + sizeof(to));
	else if (be16_get(eth->type) == ETHERTYPE_IPV6)
		n = answer6(address6, c, reply + sizeof(to));
	if (!n)
		return 0;
	memcpy(reply, &to, sizeof(to));
	return sizeof(to) + n;
}
