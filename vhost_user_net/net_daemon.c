/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames for the daemon: what needs no state is answered here, the rest goes to the user.
 *
 * The daemon has the same card on each guest's segment, its IPv4 address and fe80::1. It never asks
 * for a guest's address: an answer goes to where the question came from.
 */
#include "vhost_user_net/net_port_private.h"

#include "vhost_user_net/net_arp.h"
#include "vhost_user_net/net_echo.h"
#include "vhost_user_net/net_neighbor.h"
#include "vhost_user_net/net_spec.h"

const uint8_t net_daemon_address6[16] = {0xfe, 0x80, [15] = 1};

/* Return: length of the answer; 0 where there is none. */
static size_t answer(struct net_port *port, uint8_t reply[NET_ECHO_MAX])
{
	const struct net_frame *f = &port->frame;
	size_t n = 0;

	if (f->len > NET_ECHO_MAX)
		return 0;
	if (f->headers.type == ETHERTYPE_ARP)
		return net_arp_answer(net_daemon_mac, port->rules.daemon, net_port_flat(port),
				      f->len, reply);
	if (f->headers.protocol != IP_ICMP && f->headers.protocol != IP_ICMPV6)
		return 0;
	if (f->headers.protocol == IP_ICMPV6)
		n = net_neighbor_answer(net_daemon_mac, net_daemon_address6, net_port_flat(port),
					f->len, reply);
	return n ? n
		 : net_echo_answer(net_daemon_mac, port->rules.daemon, net_daemon_address6,
				   net_port_flat(port), f->len, reply);
}

/**
 * net_daemon_frame() - a frame is for the daemon
 * @port:	its port, with the frame judged
 */
void net_daemon_frame(struct net_port *port)
{
	static const struct net_offload none;
	uint8_t reply[NET_ECHO_MAX];
	struct iovec part = {.iov_base = reply, .iov_len = answer(port, reply)};

	if (part.iov_len)
		net_port_place(port, &none, &part, 1, part.iov_len);
	port->ops->daemon(port->ctx, &port->frame);
}
