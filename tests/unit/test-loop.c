/* SPDX-License-Identifier: BSD-2-Clause */
/* The loop: polls of both kinds, timers, completions for what has gone, signals, letters. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/bell.h"
#include "base/loop.h"
#include "base/mem.h"

static void count(void *ctx, int res)
{
	assert_true(res >= 0);
	(*(unsigned *)ctx)++;
}

static uint64_t counter(int fd)
{
	eventfd_t x = 0;

	return eventfd_read(fd, &x) < 0 ? 0 : x;
}

static void turn_until(struct loop *loop, unsigned *n, unsigned want)
{
	while (*n < want)
		assert_true(loop_turn(loop, true) >= 0);
}

static void a_kept_poll_sees_each_edge(void **state _unused_)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct loop_watch w = {0};
	struct loop *loop;
	unsigned n = 0;

	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(loop_watch_fd(loop, &w, fd, POLLIN, LOOP_KEEP, count, &n), 0);
	for (unsigned i = 1; i <= 5; i++) {
		eventfd_write(fd, 1); /* never read: each write is an edge all the same */
		turn_until(loop, &n, i);
	}
	loop_cancel(loop, &w);
	eventfd_write(fd, 1);
	loop_turn(loop, false);
	loop_turn(loop, false);
	assert_int_equal(n, 5);
	loop_free(loop);
	close(fd);
}

static void a_single_poll_waits_to_be_armed_again(void **state _unused_)
{
	int fd = eventfd(1, EFD_NONBLOCK);
	struct loop_watch w = {0};
	struct loop *loop;
	unsigned n = 0;

	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(loop_watch_fd(loop, &w, fd, POLLIN, 0, count, &n), 0);
	turn_until(loop, &n, 1);
	loop_turn(loop, false);
	assert_int_equal(n, 1);
	assert_int_equal(loop_watch_again(loop, &w), 0);
	turn_until(loop, &n, 2);
	loop_cancel(loop, &w);
	assert_int_equal(loop_watch_again(loop, &w), -ENOENT);
	loop_free(loop);
	close(fd);
}

/* Both were ready in one turn; the first handler cancels the second and reuses its slot. */
struct two {
	struct loop *loop;
	struct loop_watch a, b, c;
	int fd;
	unsigned first, other, later;
};

static void cancel_the_other(void *ctx, int res _unused_)
{
	struct two *t = ctx;

	t->first++;
	loop_cancel(t->loop, &t->a);
	loop_cancel(t->loop, &t->b);
	assert_int_equal(loop_watch_time(t->loop, &t->c, 1000000, count, &t->later), 0);
}

static void a_completion_for_what_has_gone_finds_nobody(void **state _unused_)
{
	struct two t = {.fd = eventfd(1, EFD_NONBLOCK)};

	assert_int_equal(loop_new(&t.loop), 0);
	assert_int_equal(loop_watch_fd(t.loop, &t.a, t.fd, POLLIN, 0, cancel_the_other, &t), 0);
	assert_int_equal(loop_watch_fd(t.loop, &t.b, t.fd, POLLIN, 0, count, &t.other), 0);
	turn_until(t.loop, &t.later, 1);
	assert_int_equal(t.first, 1);
	assert_int_equal(t.other, 0);
	assert_false(loop_watching(&t.c));
	loop_free(t.loop);
	close(t.fd);
}

static void a_full_table_is_an_error_and_slots_come_back(void **state _unused_)
{
	static struct loop_watch w[2000];
	struct rlimit lim = {8192, 8192};
	struct loop *loop;
	unsigned n = 0, made = 0;

	setrlimit(RLIMIT_NOFILE, &lim);
	assert_int_equal(loop_new(&loop), 0);
	while (made < 2000 && !loop_watch_time(loop, &w[made], 3600000000000, count, &n))
		made++;
	assert_in_range(made, 1000, 1100);
	assert_int_equal(loop_watch_time(loop, &w[made], 1, count, &n), -ENOSPC);
	for (unsigned i = 0; i < made; i++)
		loop_cancel(loop, &w[i]);
	assert_int_equal(loop_watch_time(loop, &w[0], 1, count, &n), 0);
	turn_until(loop, &n, 1);
	loop_free(loop);
}

/* Set in one order and due in another. The first that is due cancels one that is due, too, and sets one. */
struct timers {
	struct loop *loop;
	struct loop_watch w[6];
	char order[8];
	unsigned n;
};

static void due(struct timers *t, char who)
{
	assert_true(t->n < sizeof(t->order));
	t->order[t->n++] = who;
}

static void due_a(void *ctx, int res)
{
	assert_int_equal(res, 0);
	due(ctx, 'a');
}

static void due_b(void *ctx, int res _unused_)
{
	due(ctx, 'b');
}

static void due_first(void *ctx, int res _unused_)
{
	struct timers *t = ctx;

	due(t, '1');
	loop_cancel(t->loop, &t->w[1]);
	assert_int_equal(loop_watch_time(t->loop, &t->w[4], 0, due_b, t), 0);
}

static void timers_fire_in_order(void **state _unused_)
{
	struct timers t = {0};
	uint64_t end;

	assert_int_equal(loop_new(&t.loop), 0);
	assert_int_equal(loop_watch_time(t.loop, &t.w[0], 3000000, due_a, &t), 0);
	assert_int_equal(loop_watch_time(t.loop, &t.w[1], 2000000, due_b, &t), 0);
	assert_int_equal(loop_watch_time(t.loop, &t.w[2], UINT64_MAX, due_b, &t), 0);
	assert_int_equal(loop_watch_time(t.loop, &t.w[3], 1000000, due_first, &t), 0);
	for (end = loop_now() + 4000000; loop_now() < end;)
		;
	assert_int_equal(loop_turn(t.loop, true), 2);
	assert_memory_equal(t.order, "1a", 2);
	assert_false(loop_watching(&t.w[0]) || loop_watching(&t.w[1]) || loop_watching(&t.w[3]));
	/* What a handler sets is for the next turn. */
	assert_int_equal(loop_turn(t.loop, false), 1);
	assert_memory_equal(t.order, "1ab", 3);
	assert_true(loop_watching(&t.w[2]));
	loop_free(t.loop);
}

/* Put off again and again, as with each URB: nothing wakes but what was set last. */
static void a_timer_that_is_moved_wakes_once(void **state _unused_)
{
	struct loop_watch w = {0};
	struct loop *loop;
	unsigned n = 0;
	uint64_t set;

	assert_int_equal(loop_new(&loop), 0);
	for (unsigned i = 0; i < 5000; i++)
		assert_int_equal(loop_watch_time(loop, &w, 100000000 + i, count, &n), 0);
	assert_int_equal(loop_turn(loop, false), 0);
	set = loop_now();
	assert_int_equal(loop_watch_time(loop, &w, 20000000, count, &n), 0);
	assert_int_equal(loop_turn(loop, true), 1);
	assert_true(loop_now() - set >= 20000000);
	assert_int_equal(n, 1);
	assert_false(loop_watching(&w));
	loop_free(loop);
}

struct post {
	struct letter letter;
	struct loop *loop;
	unsigned n;
};

static void posted(struct letter *l)
{
	container_of(l, struct post, letter)->n++;
}

static void *post_one(void *arg)
{
	struct post *p = arg;

	loop_post(p->loop, &p->letter, posted);
	return NULL;
}

static void a_letter_wakes_the_loop(void **state _unused_)
{
	struct post p = {0};

	assert_int_equal(loop_new(&p.loop), 0);
	for (unsigned i = 1; i <= 100; i++) {
		pthread_t t;

		assert_int_equal(pthread_create(&t, NULL, post_one, &p), 0);
		turn_until(p.loop, &p.n, i);
		pthread_join(t, NULL);
	}
	loop_free(p.loop);
}

/* More often than there is room for completions, and without waking the loop itself. */
static void a_turn_rings_bells(void **state _unused_)
{
	int a = eventfd(0, EFD_NONBLOCK), b = eventfd(0, EFD_NONBLOCK);
	struct loop_watch w = {0};
	struct bell bell;
	struct loop *loop;
	unsigned n = 0;

	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(bell_init(&bell), 0);
	loop_ring(loop, &bell);
	assert_int_equal(bell_attach(&bell, a), 0);
	loop_turn(loop, false);
	assert_int_equal(counter(a), 0);
	for (unsigned i = 0; i < 1000; i++) {
		loop_ring(loop, &bell);
		assert_int_equal(counter(a), 0);
		loop_turn(loop, false);
		assert_int_equal(counter(a), 1);
	}

	loop_watch_time(loop, &w, 1000000, count, &n);
	loop_ring(loop, &bell);
	assert_int_equal(loop_turn(loop, true), 1);
	assert_int_equal(n, 1);
	assert_int_equal(counter(a), 1);

	/* What was asked for is done, whatever comes between. */
	loop_ring(loop, &bell);
	assert_int_equal(bell_attach(&bell, b), 0);
	assert_int_equal(counter(a), 1);
	loop_turn(loop, false);
	counter(b);
	loop_ring(loop, &bell);
	bell_deinit(&bell);
	assert_int_equal(counter(b), 1);
	loop_turn(loop, false);
	loop_free(loop);
	close(a);
	close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kept_poll_sees_each_edge),
		cmocka_unit_test(a_turn_rings_bells),
		cmocka_unit_test(timers_fire_in_order),
		cmocka_unit_test(a_timer_that_is_moved_wakes_once),
		cmocka_unit_test(a_single_poll_waits_to_be_armed_again),
		cmocka_unit_test(a_completion_for_what_has_gone_finds_nobody),
		cmocka_unit_test(a_full_table_is_an_error_and_slots_come_back),
		cmocka_unit_test(a_letter_wakes_the_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
