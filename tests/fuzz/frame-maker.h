/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames that are what they should be: the input chooses kind, addresses, options and length, and
 * lengths and checksums are made to fit. Then the input may change some bytes of it, so that a
 * fuzzer need not find a checksum before it reaches what is behind it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "vhost_user_net/virtio_spec.h"

#define MADE_MAX 66000

/* Who is on the segment: guests 0, 1, … of fe_config(), and the daemon. */
#define MADE_DAEMON 0xff

struct made_frame {
	uint8_t bytes[MADE_MAX];
	size_t len;
	struct virtio_net_hdr hdr;
	bool changed; /* no longer what it should be */
	bool dhcp;    /* a request that is to be answered */
};

bool frame_make(struct made_frame *f, struct cursor *c, unsigned from);
void frame_mac(uint8_t mac[6], unsigned who);
bool frame_checksums_hold(const uint8_t *frame, size_t len);
