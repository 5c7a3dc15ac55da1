/* SPDX-License-Identifier: BSD-2-Clause */
/* A loop with a clock of the target's; see clock-loop.h. */
#include "tests/fuzz/clock-loop.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/loop.h"
#include "base/mem.h"
#include "tests/fuzz/promise.h"

#define WATCHES	  512
#define TURNS_MAX 10000 /* of what is due at one time: more would never end */

static struct watch {
	bool armed, timer, keep;
	int fd;
	uint32_t events, generation;
	uint64_t at;
	loop_fn fn;
	void *ctx;
} watches[WATCHES];

static uint64_t now_ns, turns;
static uint32_t last_generation;
static struct letter *first_letter, **next_letter = &first_letter;

/* ------------------------------------------------------------- base/loop.h */

struct loop {
	int unused;
};

int loop_new(struct loop **ret_loop)
{
	*ret_loop = calloc(1, sizeof(**ret_loop));
	return *ret_loop ? 0 : -1;
}

struct loop *loop_free(struct loop *loop)
{
	free(loop);
	return NULL;
}

static int watch_new(struct loop_watch *handle, struct watch as)
{
	uint32_t i = 0;

	/* As the real one: a watch that is set again is another one. */
	loop_cancel(NULL, handle);
	while (i < WATCHES && watches[i].generation)
		i++;
	promise(i < WATCHES);
	as.generation = ++last_generation;
	as.armed = true;
	watches[i] = as;
	*handle = (struct loop_watch){.slot = i, .generation = as.generation};
	return 0;
}

int loop_watch_fd(struct loop *loop _unused_, struct loop_watch *watch, int fd, uint32_t events,
		  unsigned flags, loop_fn fn, void *ctx)
{
	return watch_new(watch, (struct watch){.keep = flags & LOOP_KEEP,
					       .fd = fd,
					       .events = events,
					       .fn = fn,
					       .ctx = ctx});
}

int loop_watch_time(struct loop *loop _unused_, struct loop_watch *watch, uint64_t after_ns,
		    loop_fn fn, void *ctx)
{
	uint64_t at = after_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + after_ns;

	return watch_new(watch, (struct watch){.timer = true, .at = at, .fn = fn, .ctx = ctx});
}

int loop_watch_again(struct loop *loop _unused_, struct loop_watch *watch)
{
	struct watch *w = &watches[watch->slot];

	promise(w->generation && w->generation == watch->generation);
	w->armed = true;
	return 0;
}

void loop_cancel(struct loop *loop _unused_, struct loop_watch *watch)
{
	if (watch->generation && watches[watch->slot].generation == watch->generation)
		watches[watch->slot] = (struct watch){0};
	*watch = (struct loop_watch){0};
}

void loop_post(struct loop *loop _unused_, struct letter *letter, letter_fn deliver)
{
	letter->next = NULL;
	letter->deliver = deliver;
	*next_letter = letter;
	next_letter = &letter->next;
}

int loop_turn(struct loop *loop _unused_, bool wait)
{
	promise(!wait);
	clock_turn();
	return 0;
}

uint64_t loop_turns(const struct loop *loop _unused_)
{
	return turns;
}

uint64_t loop_now(void)
{
	return now_ns;
}

/* ------------------------------------------------------------- what the target does */

static bool is_due(const struct watch *w)
{
	struct pollfd p = {.fd = w->fd, .events = (short)w->events};

	if (!w->generation || !w->armed)
		return false;
	return w->timer ? w->at <= now_ns : poll(&p, 1, 0) > 0;
}

static bool deliver_letter(void)
{
	struct letter *letter = first_letter;

	if (!letter)
		return false;
	first_letter = letter->next;
	if (!first_letter)
		next_letter = &first_letter;
	letter->deliver(letter);
	return true;
}

static bool call_due(void)
{
	bool called = false;

	for (unsigned i = 0; i < WATCHES; i++) {
		struct watch w = watches[i];

		if (!is_due(&w))
			continue;
		called = true;
		if (w.timer)
			watches[i] = (struct watch){0};
		else if (!w.keep)
			watches[i].armed = false;
		w.fn(w.ctx, w.timer ? 0 : (int)w.events);
	}
	return called;
}

/* All that is due, until nothing is. */
void clock_turn(void)
{
	unsigned n = 0;

	while (deliver_letter() || call_due()) {
		promise(++n < TURNS_MAX);
		turns++;
	}
}

void clock_pass(uint64_t ns)
{
	now_ns += ns;
}

/* Whether anybody still waits for anything. */
bool clock_waits(void)
{
	for (unsigned i = 0; i < WATCHES; i++)
		if (watches[i].generation)
			return true;
	return first_letter != NULL;
}

/* Another run of the target. */
void clock_begin(void)
{
	memset(watches, 0, sizeof(watches));
	first_letter = NULL;
	next_letter = &first_letter;
	now_ns = 1000000000;
	turns = 0;
}
