/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's end of TCP in ten lines: segments over a front-end's rings, of the guest at 10.77.0.11. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>

#include "tests/unit/vu-frontend.h"
#include "vhost_user_net/net_checksum.h"
#include "vhost_user_net/net_rules.h"
#include "vhost_user_net/net_spec.h"
#include "vhost_user_net/tcp_segment.h"

/* The guest's end of a connection. */
struct end {
	uint16_t from, to;
	uint32_t snd, rcv; /* the next numbers */
};

/* A segment that came. */
struct seen {
	uint8_t flags;
	uint32_t seq, ack;
	uint16_t from, to;
	size_t len;
	uint8_t data[16384];
};

static inline void end_says(struct fe *fe, const struct end *e, uint8_t flags, const void *data,
			    size_t len)
{
	static const uint8_t mac[6] = {0x52, 0x54, 0, 0, 0, 9};
	uint8_t f[54 + 2000] = {0};
	struct ethernet_header eth = {.type = be16_of(ETHERTYPE_IPV4)};
	struct ipv4_header ip = {.version_ihl = 0x45,
				 .total_length = be16_of((uint16_t)(40 + len)),
				 .ttl = 64,
				 .protocol = IP_TCP,
				 .source = {10, 77, 0, 11},
				 .destination = {10, 77, 0, 1}};
	struct tcp_header tcp = {.source_port = be16_of(e->from),
				 .destination_port = be16_of(e->to),
				 .sequence = be32_of(e->snd),
				 .acknowledgment = be32_of(flags & TCP_ACK ? e->rcv : 0),
				 .offset = 0x50,
				 .flags = flags,
				 .window = be16_of(60000)};
	uint32_t sum = net_checksum_pseudo4(ip.source, ip.destination, IP_TCP, 20 + len);

	memcpy(eth.destination, net_daemon_mac, 6);
	memcpy(eth.source, mac, 6);
	ip.checksum = be16_of(net_checksum_fold(net_checksum_add(0, &ip, sizeof(ip))));
	memcpy(f, &eth, 14);
	memcpy(f + 14, &ip, 20);
	memcpy(f + 34, &tcp, 20);
	if (len)
		memcpy(f + 54, data, len);
	tcp.checksum = be16_of(net_checksum_fold(net_checksum_add(sum, f + 34, 20 + len)));
	memcpy(f + 34, &tcp, 20);
	fe_tx(fe, NULL, f, 54 + len);
	eventfd_write(fe->ring[VIRTIO_NET_TX].kick, 1);
}

/* A segment that is there. Return: false where there is none. */
static inline bool end_sees(struct fe *fe, struct seen *s)
{
	static uint8_t f[70000];
	struct virtio_net_hdr hdr;
	struct tcp_header tcp;
	size_t n;

	while ((n = fe_rx(fe, &hdr, f, sizeof(f))) >= 54) {
		if (f[12] != 8 || f[13] || f[23] != IP_TCP)
			continue;
		memcpy(&tcp, f + 34, sizeof(tcp));
		s->flags = tcp.flags;
		s->seq = be32_get(tcp.sequence);
		s->ack = be32_get(tcp.acknowledgment);
		s->from = be16_get(tcp.source_port);
		s->to = be16_get(tcp.destination_port);
		s->len = ((size_t)f[16] << 8 | f[17]) - 20 - (tcp.offset >> 4) * 4u;
		assert(s->len <= sizeof(s->data));
		memcpy(s->data, f + 34 + (tcp.offset >> 4) * 4, s->len);
		return true;
	}
	return false;
}
