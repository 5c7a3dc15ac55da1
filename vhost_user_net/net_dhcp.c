/* SPDX-License-Identifier: BSD-2-Clause */
/* DHCP: reading a request's options, deciding, and writing the answer down to Ethernet. */
#include "vhost_user_net/net_dhcp.h"

#include <stdbool.h>
#include <string.h>

#include "base/cursor.h"
#include "vhost_user_net/net_checksum.h"
#include "vhost_user_net/net_rules.h"
#include "vhost_user_net/net_spec.h"

struct request {
	const struct dhcp_message *msg;
	uint8_t type;	       /* 0: none, BOOTP */
	const uint8_t *asked;  /* option 50, or NULL */
	const uint8_t *server; /* option 54, or NULL */
};

/*
 * The options field alone; sname and file are not read (option 52, overload, is for servers with
 * more to say). The first of several counts.
 */
static bool read_options(struct cursor c, struct request *rq)
{
	const uint8_t *code, *len, *value;

	while ((code = cursor_take(&c, 1))) {
		if (*code == DHCP_PAD)
			continue;
		if (*code == DHCP_END)
			return true;
		len = cursor_take(&c, 1);
		value = len ? cursor_take(&c, *len) : NULL;
		if (!value)
			return false;
		if (*code == DHCP_MESSAGE_TYPE && *len == 1 && !rq->type)
			rq->type = *value;
		else if (*code == DHCP_REQUESTED && *len == 4 && !rq->asked)
			rq->asked = value;
		else if (*code == DHCP_SERVER_ID && *len == 4 && !rq->server)
			rq->server = value;
	}
	return true;
}

static bool read_request(const struct net_dhcp *dhcp, struct cursor c, struct request *rq)
{
	*rq = (struct request){.msg = cursor_take(&c, sizeof(*rq->msg))};
	if (!rq->msg || rq->msg->op != DHCP_BOOTREQUEST || rq->msg->htype != 1 ||
	    rq->msg->hlen != 6 || be32_get(rq->msg->cookie) != DHCP_COOKIE ||
	    memcmp(rq->msg->chaddr, dhcp->mac, 6))
		return false;
	/* There is no relay on a wire with two ends. */
	for (unsigned i = 0; i < 4; i++)
		if (rq->msg->giaddr[i])
			return false;
	return read_options(c, rq);
}

static bool is_zero(const uint8_t a[4])
{
	return !(a[0] | a[1] | a[2] | a[3]);
}

/* The answer's type, or 0: silence. RFC 2131, 4.3. */
static uint8_t decide(const struct net_dhcp *dhcp, const struct request *rq)
{
	const uint8_t *wanted;

	switch (rq->type) {
	case DHCP_DISCOVER:
		return DHCP_OFFER;
	case DHCP_REQUEST:
		if (rq->server && memcmp(rq->server, dhcp->daemon, 4))
			return 0; /* it chose another server */
		wanted = rq->asked ? rq->asked : rq->msg->ciaddr;
		return memcmp(wanted, dhcp->address, 4) ? DHCP_NAK : DHCP_ACK;
	case DHCP_INFORM:
		return DHCP_ACK;
	default:
		return 0;
	}
}

static uint8_t *put_option(uint8_t *p, uint8_t code, const void *value, uint8_t len)
{
	*p++ = code;
	*p++ = len;
	memcpy(p, value, len);
	return p + len;
}

static void put_message(const struct net_dhcp *dhcp, const struct request *rq, uint8_t type,
			uint8_t *to)
{
	struct dhcp_message m = {.op = DHCP_BOOTREPLY,
				 .htype = 1,
				 .hlen = 6,
				 .xid = rq->msg->xid,
				 .flags = rq->msg->flags,
				 .cookie = be32_of(DHCP_COOKIE)};
	be32 mask = be32_of(dhcp->prefix ? ~0u << (32 - dhcp->prefix) : 0);
	be32 lease = be32_of(NET_DHCP_LEASE_SECONDS);
	uint8_t *p = to + sizeof(m);

	memcpy(m.chaddr, rq->msg->chaddr, sizeof(m.chaddr));
	if (type != DHCP_NAK)
		memcpy(m.ciaddr, rq->msg->ciaddr, 4);
	if (type != DHCP_NAK && rq->type != DHCP_INFORM)
		memcpy(m.yiaddr, dhcp->address, 4);
	memcpy(to, &m, sizeof(m));
	p = put_option(p, DHCP_MESSAGE_TYPE, &type, 1);
	p = put_option(p, DHCP_SERVER_ID, dhcp->daemon, 4);
	if (type != DHCP_NAK) {
		p = put_option(p, DHCP_SUBNET_MASK, &mask, 4);
		if (rq->type != DHCP_INFORM)
			p = put_option(p, DHCP_LEASE_TIME, &lease, 4);
	}
	*p = DHCP_END;
}

/* Where the answer goes, RFC 2131, 4.1. */
static void put_destination(const struct net_dhcp *dhcp, const struct request *rq, uint8_t type,
			    struct ethernet_header *eth, struct ipv4_header *ip)
{
	static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	memcpy(eth->destination, dhcp->mac, 6);
	if (type != DHCP_NAK && !is_zero(rq->msg->ciaddr)) {
		memcpy(ip->destination, rq->msg->ciaddr, 4);
	} else if (type == DHCP_NAK || (be16_get(rq->msg->flags) & DHCP_BROADCAST)) {
		memcpy(eth->destination, all, 6);
		memcpy(ip->destination, all, 4);
	} else {
		memcpy(ip->destination, dhcp->address, 4);
	}
}

/**
 * net_dhcp_answer() - answer a DHCP request
 * @dhcp:	what to give
 * @frame:	the request, from its Ethernet header on
 * @len:	bytes of it that are IP
 * @udp:	where its UDP header starts; it is within the frame
 * @reply:	room for the answer
 *
 * The request's UDP checksum isn't looked at: with checksum offload it is not there yet.
 *
 * Return: length of the answer's frame, with all checksums filled in; 0 where there is none.
 */
size_t net_dhcp_answer(const struct net_dhcp *dhcp, const uint8_t *frame, size_t len, size_t udp,
		       uint8_t reply[NET_DHCP_REPLY_MAX])
{
	const size_t body = 300, transport = sizeof(struct udp_header) + body;
	struct cursor c = cursor_of(frame, len);
	struct ethernet_header eth = {.type = be16_of(ETHERTYPE_IPV4)};
	struct ipv4_header ip = {.version_ihl = 0x45,
				 .tos = 0x10,
				 .total_length = be16_of((uint16_t)(sizeof(ip) + transport)),
				 .ttl = 64,
				 .protocol = IP_UDP};
	struct udp_header u = {.source_port = be16_of(UDP_DHCP_SERVER),
			       .destination_port = be16_of(UDP_DHCP_CLIENT),
			       .length = be16_of((uint16_t)transport)};
	uint8_t *p = reply + sizeof(eth) + sizeof(ip), type;
	struct request rq;
	uint32_t sum;
	uint16_t x;

	if (!cursor_take(&c, udp) || !cursor_take(&c, sizeof(u)) || !read_request(dhcp, c, &rq))
		return 0;
	type = decide(dhcp, &rq);
	if (!type)
		return 0;

	memset(reply, 0, NET_DHCP_REPLY_MAX);
	put_message(dhcp, &rq, type, p + sizeof(u));
	put_destination(dhcp, &rq, type, &eth, &ip);
	memcpy(eth.source, net_daemon_mac, 6);
	memcpy(ip.source, dhcp->daemon, 4);
	ip.checksum = be16_of(net_checksum_fold(net_checksum_add(0, &ip, sizeof(ip))));
	sum = net_checksum_pseudo4(ip.source, ip.destination, IP_UDP, transport);
	sum = net_checksum_add(sum, &u, sizeof(u));
	x = net_checksum_fold(net_checksum_add(sum, p + sizeof(u), body));
	u.checksum = be16_of(x ? x : 0xffff);
	memcpy(p, &u, sizeof(u));
	memcpy(reply + sizeof(eth), &ip, sizeof(ip));
	memcpy(reply, &eth, sizeof(eth));
	return NET_DHCP_REPLY_MAX;
}
