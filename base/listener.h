/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A listening socket in a loop. It owns no descriptor; its owner accepts one connection a call.
 *
 * If a connection can't be accepted for want of descriptors or memory, it stays in the backlog, and
 * the socket stays readable: waiting for it at once would spin. So the listener pauses, and logs
 * that now and then.
 */
#pragma once

#include "base/log.h"
#include "base/loop.h"

struct listener {
	struct loop *loop;
	int fd;
	struct loop_watch watch; /* for a connection, or for the pause's end */
	loop_fn fn;
	void *ctx;
	struct log_limit limit;
};

int listener_start(struct listener *listener, struct loop *loop, int fd, loop_fn fn, void *ctx);
int listener_accept(struct listener *listener, const char *who);
void listener_stop(struct listener *listener);
