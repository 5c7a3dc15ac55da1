/* SPDX-License-Identifier: BSD-2-Clause */
/* Cutting a long frame of TCP or UDP into segments, for a card that takes no long ones. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "vhost_user_net/net_frame.h"

/* More segments of one frame are refused: 64 KiB in the least that IPv4 must carry, 536 bytes. */
#define NET_SEGMENTS 128

struct net_segmenter {
	const uint8_t *frame;
	size_t len, at; /* at: where the next segment's payload starts */
	const struct net_headers *headers;
	const struct net_offload *offload;
	unsigned index;
};

bool net_segment_begin(struct net_segmenter *s, const struct net_frame *f, const uint8_t *flat);
size_t net_segment_next(struct net_segmenter *s, uint8_t head[NET_RULES_HEAD],
			const uint8_t **ret_payload);
