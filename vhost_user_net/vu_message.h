/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One vhost-user message as it arrives: bytes in any portions, descriptors with any of them.
 *
 * States: empty -> some bytes -> whole; whole is left by vu_message_clear(). Descriptors are the
 * message's until a handler takes them (take_fd()); the rest is closed when it is cleared.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "vhost_user_net/vhost_user_spec.h"

#define VU_MESSAGE_FDS VHOST_MEMORY_BASELINE_NREGIONS

union vu_payload {
	uint64_t u64;
	struct vhost_vring_state state;
	struct vhost_vring_addr addr;
	struct vhost_user_memory memory;
	struct vhost_user_single_memory_region single;
	struct vhost_user_log log;
};

struct vu_message {
	struct vhost_user_header header;
	union vu_payload payload;
	int fds[VU_MESSAGE_FDS];
	unsigned n_fds;
	size_t got; /* bytes so far, header and payload */
};

/* Outcomes of vu_message_receive(), beside 0: a message is whole. */
enum { VU_MESSAGE_PART = 1, VU_MESSAGE_END };

void vu_message_init(struct vu_message *msg);
void vu_message_clear(struct vu_message *msg);
int vu_message_receive(struct vu_message *msg, int sock);
int vu_message_reply(int sock, uint32_t request, const void *payload, uint32_t size);
