/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A way to QEMU's guest agent: lines of JSON over a Unix socket. The socket's other end is the
 * agent itself, as QEMU's character device shows it, or a program that passes lines on to it.
 *
 * It waits for each answer, so it is for programs that a person runs, not for a loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "qemu_agent/guest_agent.h"

#define GUEST_CHANNEL_MS 30000 /* how long an answer may take */

struct guest_channel {
	struct guest_agent agent;
	int fd;
	char *buf; /* what has come and is not read yet */
	size_t len, size;
	bool ended; /* the other end has closed it */
};

void guest_channel_init(struct guest_channel *channel, int fd);
int guest_channel_connect(struct guest_channel *channel, const char *path);
void guest_channel_deinit(struct guest_channel *channel);
