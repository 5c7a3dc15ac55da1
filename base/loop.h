/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One thread's event loop on its own io_uring.
 *
 * The ring waits for descriptors to become ready and for the thread's mailbox, until the first
 * timer is due. Data moves by ordinary non-blocking calls, because their results decide what comes
 * next. The only other thing that the ring does is ringing bells (bell.h).
 *
 * A watch is a slot of the loop's table. user_data is kind:8, generation:24, slot:32; cancelling a
 * watch makes a new generation, so that a completion that was already under way finds nobody and is
 * dropped. The object may be freed at once. A loop is used by its own thread only, but for
 * loop_post().
 *
 * Polls that keep on (LOOP_KEEP) are edge-triggered: their handler must go on until the descriptor
 * has no more. Other polls fire once and are armed again with loop_watch_again().
 *
 * Of two descriptors, and of a descriptor and a letter, what came first may be told last: Linux 6.1 hands
 * over in reverse order what came since the last turn (io_uring/io_uring.c, __io_run_local_work()).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/mailbox.h"

#define LOOP_KEEP 1u

struct bell;
struct loop;

/* A handle on a watch; {0} is none. Cancelling none, or one that has gone, does nothing. */
struct loop_watch {
	uint32_t slot, generation;
};

/**
 * typedef loop_fn - what a watch calls
 * @ctx:	as given
 * @res:	poll: the ready events (EPOLLIN …) or a negative errno; timer: 0
 */
typedef void (*loop_fn)(void *ctx, int res);

int loop_new(struct loop **ret_loop);
struct loop *loop_free(struct loop *loop);

int loop_watch_fd(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events,
		  unsigned flags, loop_fn fn, void *ctx);
int loop_watch_again(struct loop *loop, struct loop_watch *watch);
int loop_watch_time(struct loop *loop, struct loop_watch *watch, uint64_t after_ns, loop_fn fn,
		    void *ctx);
void loop_cancel(struct loop *loop, struct loop_watch *watch);
static inline bool loop_watching(const struct loop_watch *watch)
{
	return watch->generation != 0;
}

void loop_ring(struct loop *loop, struct bell *bell);
void loop_post(struct loop *loop, struct letter *letter, letter_fn deliver);
int loop_turn(struct loop *loop, bool wait);
uint64_t loop_turns(const struct loop *loop);
uint64_t loop_now(void);
