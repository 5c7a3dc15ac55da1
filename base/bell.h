/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An eventfd of somebody else's, rung without ever waiting.
 *
 * Who has an eventfd may have filled its counter, and may turn O_NONBLOCK off at any time: then write(2)
 * waits for as long as he likes. A bell is an io_uring with that eventfd registered: the kernel adds one to
 * the counter at each completion, and what the counter has no room for is dropped. To ring is to complete
 * an operation that does nothing. No other descriptor can be registered, and to find that out the kernel
 * calls nothing that belongs to the descriptor: so a bell also tells an eventfd from all else.
 *
 * Whoever has a loop may have its next turn ring the bell (loop_ring()), which takes no call of its own.
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
