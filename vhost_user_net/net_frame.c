/* SPDX-License-Identifier: BSD-2-Clause */
/* Taking a frame out of a chain of buffers, and judging its virtio-net header. */
#include "vhost_user_net/net_frame.h"

#include <string.h>

#include "base/mem.h"
#include "vhost_user_net/net_checksum.h"
#include "vhost_user_net/net_spec.h"
#include "vhost_user_net/vu_memory.h"

/**
 * net_gather() - copy bytes out of pieces, and move past them
 * @segs:	the pieces; the first is shortened in place
 * @n_segs:	how many
 * @to:		where to
 * @len:	bytes wanted
 *
 * Return: bytes copied.
 */
size_t net_gather(struct iovec **segs, unsigned *n_segs, void *to, size_t len)
{
	uint8_t *p = to;

	while (len && *n_segs) {
		struct iovec *s = *segs;
		size_t n = min_t(size_t, len, s->iov_len);

		memcpy(p, s->iov_base, n);
		p += n;
		len -= n;
		s->iov_base = (uint8_t *)s->iov_base + n;
		s->iov_len -= n;
		if (s->iov_len == 0) {
			(*segs)++;
			(*n_segs)--;
		}
	}
	vu_read_once();
	return (size_t)(p - (uint8_t *)to);
}

/**
 * net_scatter() - copy bytes into pieces
 * @segs:	the pieces
 * @n_segs:	how many
 * @at:		how far into them
 * @from:	the bytes
 * @len:	how many
 *
 * Return: bytes copied.
 */
size_t net_scatter(const struct iovec *segs, unsigned n_segs, size_t at, const void *from,
		   size_t len)
{
	const uint8_t *p = from;

	for (unsigned i = 0; i < n_segs && len; i++) {
		size_t n = segs[i].iov_len;

		if (at >= n) {
			at -= n;
			continue;
		}
		n = min_t(size_t, n - at, len);
		memcpy((uint8_t *)segs[i].iov_base + at, p, n);
		at = 0;
		p += n;
		len -= n;
	}
	return (size_t)(p - (const uint8_t *)from);
}

/**
 * net_frame_take() - copy what is to be judged
 * @f:		the frame to be
 * @segs:	the buffer's pieces, virtio-net header first; used up, and kept as the frame's rest
 * @n_segs:	how many
 * @len:	bytes in them
 * @ret_hdr:	the virtio-net header, unchecked
 *
 * Return: false where it is too short or too long for a frame.
 */
bool net_frame_take(struct net_frame *f, struct iovec *segs, unsigned n_segs, size_t len,
		    struct virtio_net_hdr *ret_hdr)
{
	if (len < sizeof(*ret_hdr) + sizeof(struct ethernet_header) ||
	    len - sizeof(*ret_hdr) > NET_FRAME_MAX)
		return false;
	if (net_gather(&segs, &n_segs, ret_hdr, sizeof(*ret_hdr)) < sizeof(*ret_hdr))
		return false;
	f->len = len - sizeof(*ret_hdr);
	f->head_len = net_gather(&segs, &n_segs, f->head, min_t(size_t, f->len, NET_RULES_HEAD));
	f->rest = segs;
	f->n_rest = n_segs;
	return true;
}

/*
 * The receiver writes the checksum into the frame, and the sender can choose its value. It must not
 * land in anything that was judged.
 */
static const char *check_csum(const struct net_frame *f, const struct net_offload *o)
{
	const struct net_headers *h = &f->headers;
	size_t field = (size_t)o->csum_start + o->csum_offset;

	if (!h->l4 || h->fragment)
		return "checksum offload without a transport header";
	if (o->csum_start < h->l4 || o->csum_start >= f->len || field > f->len - 2)
		return "checksum offload outside of the frame";
	if (o->csum_start == h->l4) {
		if ((h->protocol == IP_TCP &&
		     o->csum_offset == offsetof(struct tcp_header, checksum)) ||
		    (h->protocol == IP_UDP &&
		     o->csum_offset == offsetof(struct udp_header, checksum)))
			return NULL;
		return "checksum offload into something else";
	}
	/* The inner checksum of a tunnel: beyond all that was judged. */
	if (h->protocol == IP_ICMPV6 || o->csum_start - h->l4 < 8)
		return "checksum offload into a judged header";
	return NULL;
}

static const char *check_gso(const struct net_frame *f, struct net_offload *o, uint64_t features)
{
	const struct net_headers *h = &f->headers;
	unsigned type = o->gso & ~VIRTIO_NET_HDR_GSO_ECN;
	bool udp = o->gso == VIRTIO_NET_HDR_GSO_UDP_L4;
	const struct tcp_header *tcp;
	size_t hdr_len;

	if (udp) {
		if (!(features >> VIRTIO_NET_F_HOST_USO & 1))
			return "UDP segmentation not agreed on";
	} else if (type == VIRTIO_NET_HDR_GSO_TCPV4) {
		if (h->type != ETHERTYPE_IPV4 || !(features >> VIRTIO_NET_F_HOST_TSO4 & 1))
			return "IPv4 segmentation not agreed on, or not IPv4";
	} else if (type == VIRTIO_NET_HDR_GSO_TCPV6) {
		if (h->type != ETHERTYPE_IPV6 || !(features >> VIRTIO_NET_F_HOST_TSO6 & 1))
			return "IPv6 segmentation not agreed on, or not IPv6";
	} else {
		return "unknown kind of segmentation";
	}
	if ((o->gso & VIRTIO_NET_HDR_GSO_ECN) && !(features >> VIRTIO_NET_F_HOST_ECN & 1))
		return "segmentation with ECN not agreed on";
	if (!o->csum || o->csum_start != h->l4 || h->protocol != (udp ? IP_UDP : IP_TCP) ||
	    h->ip_end != f->len)
		return "segmentation of something else than was said";
	if (o->gso_size == 0)
		return "segments of no length";
	if (udp) {
		hdr_len = h->l4 + sizeof(struct udp_header);
		if (hdr_len > f->head_len || hdr_len > f->len)
			return "UDP header is not whole";
		o->hdr_len = (uint16_t)hdr_len;
		return NULL;
	}
	/* The rules saw to it that the fixed part of TCP's header is in the copy. */
	tcp = (const void *)(f->head + h->l4);
	hdr_len = h->l4 + (tcp->offset >> 4) * 4u;
	if (hdr_len < h->l4 + sizeof(*tcp) || hdr_len > f->head_len)
		return "TCP header is malformed";
	o->hdr_len = (uint16_t)hdr_len; /* the driver's is a hint, and it may lie */
	return NULL;
}

/**
 * net_frame_offload() - judge what the driver asks to be done with a frame
 * @f:		the frame, passed by the rules; its offload is set
 * @hdr:	the driver's header
 * @features:	what was agreed on
 *
 * Return: NULL, or why the frame is refused; a literal.
 */
const char *net_frame_offload(struct net_frame *f, const struct virtio_net_hdr *hdr,
			      uint64_t features)
{
	struct net_offload *o = &f->offload;
	const char *why;

	*o = (struct net_offload){.gso = hdr->gso_type};
	/* 5.1.6.2: other flags are for the other direction; a device ignores them. */
	if (hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		if (!(features >> VIRTIO_NET_F_CSUM & 1))
			return "checksum offload not agreed on";
		o->csum = true;
		o->csum_start = le16_get(hdr->csum_start);
		o->csum_offset = le16_get(hdr->csum_offset);
		why = check_csum(f, o);
		if (why)
			return why;
	}
	if (o->gso == VIRTIO_NET_HDR_GSO_NONE)
		return NULL;
	o->gso_size = le16_get(hdr->gso_size);
	return check_gso(f, o, features);
}

/**
 * net_frame_header() - the virtio-net header for a receiver, from checked fields alone
 * @o:	what is left to do
 */
struct virtio_net_hdr net_frame_header(const struct net_offload *o)
{
	return (struct virtio_net_hdr){
		.flags = o->csum ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0,
		.gso_type = o->gso,
		.hdr_len = le16_of(o->hdr_len),
		.gso_size = le16_of(o->gso_size),
		.csum_start = le16_of(o->csum_start),
		.csum_offset = le16_of(o->csum_offset),
		.num_buffers = le16_of(1),
	};
}

/**
 * net_frame_flatten() - the whole frame in one piece
 * @f:	the frame
 * @to:	room for its length
 */
void net_frame_flatten(const struct net_frame *f, uint8_t *to)
{
	memcpy(to, f->head, f->head_len);
	to += f->head_len;
	for (unsigned i = 0; i < f->n_rest; i++) {
		memcpy(to, f->rest[i].iov_base, f->rest[i].iov_len);
		to += f->rest[i].iov_len;
	}
	vu_read_once();
}

/**
 * net_frame_fill_checksum() - do what the driver left to do
 * @o:		checked, with csum
 * @flat:	the frame in one piece
 * @len:	its length
 *
 * The field holds the pseudo-header's sum (5.1.6.2), which is thereby part of what is summed.
 */
void net_frame_fill_checksum(const struct net_offload *o, uint8_t *flat, size_t len)
{
	uint32_t sum = net_checksum_add(0, flat + o->csum_start, len - o->csum_start);
	be16 wire = be16_of(net_checksum_filled(sum));

	memcpy(flat + o->csum_start + o->csum_offset, &wire, sizeof(wire));
}
