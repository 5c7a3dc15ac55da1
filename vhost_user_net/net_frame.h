/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A frame on its way out of a guest: a private copy of its virtio-net header and of its first
 * bytes, judged; and the rest, still in the guest's memory, of which nobody here believes anything.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vhost_user_net/net_rules.h"
#include "vhost_user_net/virtio_spec.h"

/* What is left for the receiver to do; all fields checked against the frame. */
struct net_offload {
	bool csum; /* to be filled in at start + offset, over all from start on */
	uint16_t csum_start, csum_offset;
	uint8_t gso;	   /* VIRTIO_NET_HDR_GSO_*, with the ECN bit */
	uint16_t gso_size; /* payload of one segment */
	uint16_t hdr_len;  /* headers that each segment repeats; with gso only */
};

struct net_frame {
	size_t len; /* without the virtio-net header */
	size_t head_len;
	uint8_t head[NET_RULES_HEAD];
	struct iovec *rest;
	unsigned n_rest;
	struct net_headers headers;
	struct net_offload offload;
};

size_t net_gather(struct iovec **segs, unsigned *n_segs, void *to, size_t len);
size_t net_scatter(const struct iovec *segs, unsigned n_segs, size_t at, const void *from,
		   size_t len);

bool net_frame_take(struct net_frame *f, struct iovec *segs, unsigned n_segs, size_t len,
		    struct virtio_net_hdr *ret_hdr);
const char *net_frame_offload(struct net_frame *f, const struct virtio_net_hdr *hdr,
			      uint64_t features);
struct virtio_net_hdr net_frame_header(const struct net_offload *o);
void net_frame_flatten(const struct net_frame *f, uint8_t *to);
void net_frame_fill_checksum(const struct net_offload *o, uint8_t *flat, size_t len);
