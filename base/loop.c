/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One thread's event loop on its own io_uring; see loop.h.
 *
 * Invariants: a slot in use has at most one operation in the kernel, whose user_data names its
 * generation; a slot whose generation has moved on is never dispatched to. Completions that are
 * there at the start of a turn are all handled in that turn, at most the completion queue's size.
 *
 * The kernel knows no timers: the loop waits until the first one is due. So a timer that is set and
 * taken back, as happens with each URB, costs no call, no operation and no turn.
 *
 * Kernel facts relied on: DEFER_TASKRUN and SINGLE_ISSUER are of Linux 6.1; a multishot poll whose
 * completion lacks CQE_F_MORE has ended and must be added again; with DEFER_TASKRUN completions are
 * posted only while the owner is in io_uring_enter(2) with GETEVENTS. A message from one ring to another
 * is a completion there, with all that follows from one (io_uring/msg_ring.c, io_msg_ring_data(): Linux
 * 5.18), posted while the message is handed in; for a ring without DEFER_TASKRUN that takes no other thread.
 */
#include "base/loop.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/bell.h"
#include "base/list.h"
#include "base/log.h"

#define LOOP_ENTRIES 128
#define LOOP_CQ	     1024
#define LOOP_SLOTS   1024

/* Cancellations carry NONE, too: nobody needs their results. */
enum loop_kind { LOOP_NONE, LOOP_POLL, LOOP_TIMER };

union loop_data {
	uint64_t u64;
	struct {
		uint64_t slot : 32;
		uint64_t generation : 24;
		uint64_t kind : 8;
	};
};
static_assert(sizeof(union loop_data) == 8, "user_data is 64 bits");

struct loop_slot {
	loop_fn fn;
	void *ctx;
	struct loop_watch *owner;
	struct list due; /* of a timer: in loop->timers */
	uint64_t at;	 /* ns of loop_now() */
	uint32_t generation, events;
	int fd; /* borrowed */
	uint8_t kind;
	bool keep, armed;
	uint32_t next_free;
};

struct loop {
	struct io_uring ring;
	bool ring_up;
	struct mailbox box;
	struct loop_watch box_watch;
	struct loop_slot *slots;
	struct list timers;	    /* the first that is due first */
	uint32_t n_used, free_head; /* UINT32_MAX: none */
	uint64_t turns;
};

static struct io_uring_sqe *loop_sqe(struct loop *loop)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);

	if (!sqe) {
		io_uring_submit(&loop->ring);
		sqe = io_uring_get_sqe(&loop->ring);
	}
	return sqe;
}

/* Allow only the operations that the loop needs: seccomp can't see what a ring does. */
static int loop_restrict(struct loop *loop)
{
	static const uint8_t ops[] = {IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL,
				      IORING_OP_MSG_RING};
	struct io_uring_restriction res[ARRAY_SIZE(ops) + 1];
	int r;

	memset(res, 0, sizeof(res));
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		res[i].opcode = IORING_RESTRICTION_SQE_OP;
		res[i].sqe_op = ops[i];
	}
	res[ARRAY_SIZE(ops)].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	res[ARRAY_SIZE(ops)].sqe_flags = IOSQE_CQE_SKIP_SUCCESS;
	/* liburing 2.3's shared library doesn't export its functions for these two. */
	r = (int)syscall(__NR_io_uring_register, loop->ring.ring_fd, IORING_REGISTER_RESTRICTIONS,
			 res, ARRAY_SIZE(res));
	if (r == 0)
		r = (int)syscall(__NR_io_uring_register, loop->ring.ring_fd,
				 IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	return r < 0 ? -errno : 0;
}

static void loop_mail(void *ctx, int res _unused_)
{
	struct loop *loop = ctx;

	mailbox_deliver(&loop->box);
}

/**
 * loop_new() - make the calling thread's loop
 * @ret_loop:	the loop; freed with loop_free() by the same thread
 *
 * Return: 0 or a negative errno: -ENOSYS or -EPERM where io_uring is off, -EINVAL where the kernel
 * is older than 6.1.
 */
int loop_new(struct loop **ret_loop)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		.cq_entries = LOOP_CQ,
	};
	struct loop *loop = calloc(1, sizeof(*loop));
	int r;

	if (!loop)
		return -ENOMEM;
	loop->box.wake = -1;
	loop->free_head = UINT32_MAX;
	list_init(&loop->timers);
	loop->slots = calloc(LOOP_SLOTS, sizeof(*loop->slots));
	if (!loop->slots) {
		r = -ENOMEM;
		goto fail;
	}
	r = io_uring_queue_init_params(LOOP_ENTRIES, &loop->ring, &p);
	if (r < 0)
		goto fail;
	loop->ring_up = true;
	r = loop_restrict(loop);
	if (r < 0)
		goto fail;
	r = mailbox_init(&loop->box);
	if (r < 0)
		goto fail;
	r = loop_watch_fd(loop, &loop->box_watch, loop->box.wake, 1 /* POLLIN */, LOOP_KEEP,
			  loop_mail, loop);
	if (r < 0)
		goto fail;
	*ret_loop = loop;
	return 0;
fail:
	loop_free(loop);
	return r;
}

/**
 * loop_free() - take a loop down
 * @loop:	the loop, or NULL; nobody posts to it any more
 *
 * Return: NULL.
 */
struct loop *loop_free(struct loop *loop)
{
	if (!loop)
		return NULL;
	if (loop->ring_up)
		io_uring_queue_exit(&loop->ring);
	mailbox_deinit(&loop->box);
	free(loop->slots);
	free(loop);
	return NULL;
}

static struct loop_slot *loop_slot_get(struct loop *loop, struct loop_watch *watch)
{
	struct loop_slot *s;
	uint32_t i, generation;

	if (loop->free_head != UINT32_MAX) {
		i = loop->free_head;
		loop->free_head = loop->slots[i].next_free;
	} else if (loop->n_used < LOOP_SLOTS) {
		i = loop->n_used++;
	} else {
		return NULL;
	}
	s = &loop->slots[i];
	generation = s->generation ? s->generation : 1;
	*s = (struct loop_slot){.generation = generation, .owner = watch, .fd = -1};
	list_init(&s->due);
	*watch = (struct loop_watch){.slot = i, .generation = generation};
	return s;
}

static void loop_slot_put(struct loop *loop, struct loop_slot *s)
{
	list_remove(&s->due);
	s->kind = LOOP_NONE;
	s->fn = NULL;
	s->generation = (s->generation + 1) & 0xffffff;
	if (!s->generation)
		s->generation = 1;
	s->next_free = loop->free_head;
	loop->free_head = (uint32_t)(s - loop->slots);
	*s->owner = (struct loop_watch){0};
}

static struct loop_slot *loop_slot_of(struct loop *loop, const struct loop_watch *watch)
{
	struct loop_slot *s;

	if (!watch->generation || watch->slot >= loop->n_used)
		return NULL;
	s = &loop->slots[watch->slot];
	return s->kind != LOOP_NONE && s->generation == watch->generation ? s : NULL;
}

static uint64_t loop_data_of(struct loop *loop, const struct loop_slot *s)
{
	union loop_data d = {.slot = (uint32_t)(s - loop->slots),
			     .generation = s->generation & 0xffffff,
			     .kind = s->kind};

	return d.u64;
}

static int loop_arm(struct loop *loop, struct loop_slot *s)
{
	struct io_uring_sqe *sqe = loop_sqe(loop);

	if (!sqe)
		return -EBUSY;
	if (s->keep)
		io_uring_prep_poll_multishot(sqe, s->fd, s->events);
	else
		io_uring_prep_poll_add(sqe, s->fd, s->events);
	io_uring_sqe_set_data64(sqe, loop_data_of(loop, s));
	s->armed = true;
	return 0;
}

/**
 * loop_watch_fd() - be told when a descriptor is ready
 * @loop:	the calling thread's loop
 * @watch:	the handle; a watch it already holds is cancelled. Stays where it is while watching
 * @fd:		the descriptor; stays the caller's, who cancels before closing it
 * @events:	EPOLLIN, EPOLLOUT … (hang-ups and errors are always told)
 * @flags:	LOOP_KEEP: keep on, edge-triggered; else once until loop_watch_again()
 * @fn:		called with @ctx
 *
 * Return: 0, -ENOSPC where the loop has no room, or another negative errno.
 */
int loop_watch_fd(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events,
		  unsigned flags, loop_fn fn, void *ctx)
{
	struct loop_slot *s;

	loop_cancel(loop, watch);
	s = loop_slot_get(loop, watch);
	if (!s)
		return -ENOSPC;
	s->kind = LOOP_POLL;
	s->fd = fd;
	s->events = events;
	s->keep = flags & LOOP_KEEP;
	s->fn = fn;
	s->ctx = ctx;
	return loop_arm(loop, s);
}

/**
 * loop_watch_again() - arm a poll that has fired
 * @loop:	the calling thread's loop
 * @watch:	the watch
 *
 * Return: 0 (also where it is armed already), or a negative errno: -ENOENT where it is none.
 */
int loop_watch_again(struct loop *loop, struct loop_watch *watch)
{
	struct loop_slot *s = loop_slot_of(loop, watch);

	if (!s)
		return -ENOENT;
	return s->armed || s->kind == LOOP_TIMER ? 0 : loop_arm(loop, s);
}

/* Most timers are set for later than those that are there. */
static void loop_timer_insert(struct loop *loop, struct loop_slot *s)
{
	struct list *before = loop->timers.prev;

	while (before != &loop->timers && list_entry(before, struct loop_slot, due)->at > s->at)
		before = before->prev;
	list_insert_after(before, &s->due);
}

/**
 * loop_watch_time() - be called once, later
 * @loop:	the calling thread's loop
 * @watch:	the handle; a watch it already holds is cancelled. Empty again once it fired
 * @after_ns:	nanoseconds from now
 * @fn:		called with @ctx
 *
 * Return: 0, -ENOSPC where the loop has no room, or another negative errno.
 */
int loop_watch_time(struct loop *loop, struct loop_watch *watch, uint64_t after_ns, loop_fn fn,
		    void *ctx)
{
	struct loop_slot *s;

	loop_cancel(loop, watch);
	s = loop_slot_get(loop, watch);
	if (!s)
		return -ENOSPC;
	s->kind = LOOP_TIMER;
	s->at = loop_now();
	s->at += min_t(uint64_t, after_ns, UINT64_MAX - s->at);
	s->fn = fn;
	s->ctx = ctx;
	loop_timer_insert(loop, s);
	return 0;
}

/**
 * loop_cancel() - watch no more
 * @loop:	the calling thread's loop
 * @watch:	the handle, may be empty; empty afterwards
 *
 * Nothing is called for it after this returns. The kernel lets go of the descriptor at the loop's
 * next turn; closing it at once is fine.
 */
void loop_cancel(struct loop *loop, struct loop_watch *watch)
{
	struct loop_slot *s = loop_slot_of(loop, watch);

	if (!s) {
		*watch = (struct loop_watch){0};
		return;
	}
	if (s->armed) {
		struct io_uring_sqe *sqe = loop_sqe(loop);

		if (sqe) {
			io_uring_prep_cancel64(sqe, loop_data_of(loop, s), 0);
			io_uring_sqe_set_data64(sqe, LOOP_NONE);
		}
	}
	loop_slot_put(loop, s);
}

/**
 * loop_ring() - ring a bell with the next turn, before it waits
 * @loop:	the calling thread's loop
 * @bell:	the bell; it may be detached, attached anew or freed meanwhile. It rings before that, and
 *		perhaps once more than it was asked to
 *
 * It is rung by a message to the bell's own ring, so that no system call of its own is needed. That
 * wakes nobody here: only a message that fails has a completion.
 */
void loop_ring(struct loop *loop, struct bell *bell)
{
	struct io_uring_sqe *sqe = bell->attached ? loop_sqe(loop) : NULL;

	if (!sqe) {
		bell_ring(bell);
		return;
	}
	bell->asked = true;
	/* If there were no room, the kernel would keep the completion in memory of its own. */
	bell_clear(bell);
	io_uring_prep_msg_ring(sqe, bell->ring.ring_fd, 0, 0, 0);
	io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
	io_uring_sqe_set_data64(sqe, LOOP_NONE);
}

/**
 * loop_post() - send a letter to a loop's thread
 * @loop:	the receiver's loop
 * @letter:	see mailbox.h
 * @deliver:	run in the receiver's thread
 *
 * Any thread.
 */
void loop_post(struct loop *loop, struct letter *letter, letter_fn deliver)
{
	mailbox_post(&loop->box, letter, deliver);
}

/* Return: whether anybody cares. */
static bool loop_dispatch(struct loop *loop, union loop_data d, int res, unsigned flags)
{
	struct loop_slot *s;
	loop_fn fn;
	void *ctx;

	if (d.kind != LOOP_POLL || d.slot >= loop->n_used)
		return false;
	s = &loop->slots[d.slot];
	if (s->generation != d.generation || s->kind != d.kind)
		return false;

	fn = s->fn;
	ctx = s->ctx;
	if (!(flags & IORING_CQE_F_MORE)) {
		s->armed = false;
		/* Ended by itself, as after an overflow: what was missed shows on arming. */
		if (s->keep && res >= 0)
			loop_arm(loop, s);
	}
	fn(ctx, res);
	return true;
}

/* Return: how many of the completions that are there somebody cared for. */
static unsigned loop_dispatch_all(struct loop *loop)
{
	struct io_uring_cqe *cqe;
	unsigned n = 0;

	for (unsigned i = 0; i < LOOP_CQ && io_uring_peek_cqe(&loop->ring, &cqe) == 0; i++) {
		union loop_data d = {.u64 = io_uring_cqe_get_data64(cqe)};
		int res = cqe->res;
		unsigned flags = cqe->flags;

		io_uring_cqe_seen(&loop->ring, cqe);
		n += loop_dispatch(loop, d, res, flags);
	}
	return n;
}

/*
 * Take out what is due first: a timer that a handler sets is for the next turn, and one that it
 * cancels is not called. Return: how many timers were due.
 */
static unsigned loop_dispatch_timers(struct loop *loop)
{
	struct list due = LIST_INIT(due), *l;
	uint64_t now = list_empty(&loop->timers) ? 0 : loop_now();
	unsigned n = 0;

	while ((l = list_first(&loop->timers)) && list_entry(l, struct loop_slot, due)->at <= now) {
		list_remove(l);
		list_append(&due, l);
	}
	while ((l = list_first(&due))) {
		struct loop_slot *s = list_entry(l, struct loop_slot, due);
		loop_fn fn = s->fn;
		void *ctx = s->ctx;

		loop_slot_put(loop, s);
		fn(ctx, 0);
		n++;
	}
	return n;
}

/* Hands in what is there, and waits until something comes or the first timer is due. */
static int loop_wait(struct loop *loop)
{
	struct list *l = list_first(&loop->timers);
	struct io_uring_cqe *cqe;
	struct __kernel_timespec ts;
	uint64_t at, now;

	if (!l)
		return io_uring_submit_and_wait(&loop->ring, 1);
	at = list_entry(l, struct loop_slot, due)->at;
	now = loop_now();
	if (at <= now)
		return io_uring_submit_and_get_events(&loop->ring);
	ts.tv_sec = (long long)((at - now) / 1000000000u);
	ts.tv_nsec = (long long)((at - now) % 1000000000u);
	return io_uring_submit_and_wait_timeout(&loop->ring, &cqe, 1, &ts, NULL);
}

/**
 * loop_turn() - hand in what is to be waited for, and handle all that has come
 * @loop:	the calling thread's loop
 * @wait:	wait for something to come; else only look
 *
 * Return: how many calls it led to, or a negative errno. Not more than one batch of them: what
 * they bring about is for the next turn.
 */
int loop_turn(struct loop *loop, bool wait)
{
	unsigned n;
	int r;

	loop->turns++;
	/* What has come already is not waited for. */
	n = loop_dispatch_all(loop);
	r = wait && n == 0 ? loop_wait(loop) : io_uring_submit_and_get_events(&loop->ring);
	if (r < 0 && r != -EINTR && r != -EAGAIN && r != -EBUSY && r != -ETIME)
		return r;
	n += loop_dispatch_all(loop);
	n += loop_dispatch_timers(loop);
	return (int)n;
}

/**
 * loop_turns() - which turn it is, for work that is bounded a turn
 * @loop:	the calling thread's loop
 *
 * Return: how many have begun.
 */
uint64_t loop_turns(const struct loop *loop)
{
	return loop->turns;
}

/**
 * loop_now() - the time, for measuring spans
 *
 * Return: nanoseconds of the monotonic clock.
 */
uint64_t loop_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}
