/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An eventfd of somebody else's, rung without ever waiting.
 *
 * The owner of an eventfd may have filled its counter, and may turn O_NONBLOCK off at any time.
 * write(2) may then wait for ever. A bell is an io_uring with that eventfd registered: the kernel
 * adds one to the counter at each completion, and what the counter has no room for is dropped.
 * Ringing it completes an operation that does nothing. Only an eventfd can be registered, and the
 * kernel finds that out without calling the descriptor's own code. So a bell also says whether a
 * descriptor is an eventfd.
 *
 * A loop can ring a bell in its next turn (loop_ring()), without a system call for it.
 *
 * States: detached -> attached -> detached … One thread at a time; its owner sees to that.
 */
#pragma once

#include <liburing.h>
#include <stdbool.h>

struct bell {
	struct io_uring ring;
	bool up, attached;
	bool asked; /* a loop's turn was to ring it, and may not have done so yet */
};

int bell_init(struct bell *bell);
void bell_deinit(struct bell *bell);

int bell_attach(struct bell *bell, int fd);
void bell_detach(struct bell *bell);
int bell_fits(struct bell *bell, int fd);
void bell_ring(struct bell *bell);
void bell_clear(struct bell *bell);
