/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/tcp-wire.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* What the offload says goes with the frame. Freed by the caller. */
struct wire_packet *wire_pack(const struct net_offload *offload, const struct iovec *parts,
			      unsigned n_parts, size_t len)
{
	struct virtio_net_hdr hdr = net_frame_header(offload);
	struct wire_packet *p = malloc(sizeof(*p) + sizeof(hdr) + len);
	uint8_t *to = p->bytes;

	p->len = sizeof(hdr) + len;
	memcpy(to, &hdr, sizeof(hdr));
	to += sizeof(hdr);
	for (unsigned i = 0; i < n_parts; i++) {
		memcpy(to, parts[i].iov_base, parts[i].iov_len);
		to += parts[i].iov_len;
	}
	if ((size_t)(to - p->bytes) != p->len)
		abort();
	return p;
}

/*
 * As net_port_transmit() does it, with the chain in about @pieces pieces. The packet must outlive
 * what is taken. Return: whether the rules pass it.
 */
bool wire_unpack(struct wire_frame *to, const struct net_rules *rules, struct wire_packet *packet,
		 unsigned pieces)
{
	size_t piece = packet->len / pieces + 1, at = 0;
	struct virtio_net_hdr hdr;
	unsigned n = 0;

	while (at < packet->len) {
		size_t len = min_t(size_t, piece, packet->len - at);

		to->segs[n++] = (struct iovec){packet->bytes + at, len};
		at += len;
	}
	if (!net_frame_take(&to->frame, to->segs, n, packet->len, &hdr))
		return false;
	if (net_rules_judge(rules, to->frame.head, to->frame.head_len, to->frame.len,
			    &to->frame.headers) != NET_PASS)
		return false;
	return net_frame_offload(&to->frame, &hdr, UINT64_MAX) == NULL;
}
