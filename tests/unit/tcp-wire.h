/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames between a test and a struct tcp: kept as bytes, and taken as a port takes them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhost_user_net/net_frame.h"
#include "vhost_user_net/net_rules.h"
#include "vhost_user_net/tcp.h"
#include "vhost_user_net/vu_vring.h"

/* A frame with its virtio-net header before it. */
struct wire_packet {
	size_t len; /* of both */
	uint8_t bytes[];
};

/* A frame as tcp_input() wants it, and what it lies in. */
struct wire_frame {
	struct net_frame frame;
	struct iovec segs[VU_SEGMENTS];
};

struct wire_packet *wire_pack(const struct net_offload *offload, const struct iovec *parts,
			      unsigned n_parts, size_t len);
bool wire_unpack(struct wire_frame *to, const struct net_rules *rules, struct wire_packet *packet,
		 unsigned pieces);
