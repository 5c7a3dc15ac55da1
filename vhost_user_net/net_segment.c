/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Software segmentation: each segment repeats the headers, with lengths, IPv4 identification and all checksums
 * its own; of TCP, with sequence number and flags of its own, too.
 */
#include "vhost_user_net/net_segment.h"

#include <string.h>

#include "base/mem.h"
#include "vhost_user_net/net_checksum.h"
#include "vhost_user_net/net_spec.h"

/**
 * net_segment_begin() - get ready to cut a frame
 * @s:		the state
 * @f:		the frame, with gso; must outlive @s
 * @flat:	its bytes in one piece; must outlive @s
 *
 * Return: false where it would be too many segments.
 */
bool net_segment_begin(struct net_segmenter *s, const struct net_frame *f, const uint8_t *flat)
{
	*s = (struct net_segmenter){.frame = flat,
				    .len = f->len,
				    .at = f->offload.hdr_len,
				    .headers = &f->headers,
				    .offload = &f->offload};
	return (f->len - s->at) / f->offload.gso_size < NET_SEGMENTS;
}

static uint32_t finish_ip(const struct net_segmenter *s, uint8_t *head, size_t payload)
{
	size_t l3 = s->headers->l3, l4 = s->headers->l4;
	size_t transport = s->offload->hdr_len - l4 + payload;

	if (s->headers->type == ETHERTYPE_IPV4) {
		struct ipv4_header *ip = (void *)(head + l3);

		ip->total_length = be16_of((uint16_t)(l4 - l3 + transport));
		ip->identification = be16_of((uint16_t)(be16_get(ip->identification) + s->index));
		ip->checksum = be16_of(0);
		ip->checksum = be16_of(net_checksum_fold(net_checksum_add(0, ip, l4 - l3)));
		return net_checksum_pseudo4(ip->source, ip->destination, s->headers->protocol,
					    transport);
	} else {
		struct ipv6_header *ip = (void *)(head + l3);

		ip->payload_length = be16_of((uint16_t)(l4 - l3 - sizeof(*ip) + transport));
		return net_checksum_pseudo6(ip->source, ip->destination, s->headers->protocol,
					    transport);
	}
}

/* Return: where the checksum goes. */
static be16 *finish_tcp(const struct net_segmenter *s, uint8_t *head, size_t payload)
{
	struct tcp_header *tcp = (void *)head;

	tcp->sequence = be32_of(be32_get(tcp->sequence) + (uint32_t)(s->at - s->offload->hdr_len));
	if (s->at + payload < s->len)
		tcp->flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (s->index > 0)
		tcp->flags &= (uint8_t)~TCP_CWR;
	return &tcp->checksum;
}

static be16 *finish_udp(uint8_t *head, size_t payload)
{
	struct udp_header *udp = (void *)head;

	udp->length = be16_of((uint16_t)(sizeof(*udp) + payload));
	return &udp->checksum;
}

/**
 * net_segment_next() - the next segment
 * @s:		the state
 * @head:	its headers go here, the frame's hdr_len bytes
 * @ret_payload: its payload, in the frame
 *
 * Return: length of the payload; 0 where there are no more segments, but for a frame without any
 * payload, whose one segment is that of length 0 and isn't returned.
 */
size_t net_segment_next(struct net_segmenter *s, uint8_t head[NET_RULES_HEAD],
			const uint8_t **ret_payload)
{
	size_t l4 = s->headers->l4, hdr_len = s->offload->hdr_len;
	size_t n = min_t(size_t, s->offload->gso_size, s->len - s->at);
	be16 *checksum;
	uint32_t sum;

	if (n == 0)
		return 0;
	memcpy(head, s->frame, hdr_len);
	sum = finish_ip(s, head, n);
	checksum = s->headers->protocol == IP_UDP ? finish_udp(head + l4, n)
						  : finish_tcp(s, head + l4, n);
	*checksum = be16_of(0);
	sum = net_checksum_add(sum, head + l4, hdr_len - l4);
	sum = net_checksum_add(sum, s->frame + s->at, n);
	*checksum = be16_of(net_checksum_filled(sum));
	*ret_payload = s->frame + s->at;
	s->at += n;
	s->index++;
	return n;
}
