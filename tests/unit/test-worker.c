/* SPDX-License-Identifier: BSD-2-Clause */
/* Workers: which thread a call gets, and where its end is told. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/mem.h"
#include "dataplane/worker.h"
#include "usb/usb_device.h"

/* Of the program itself before any call: sanitizers have some of their own. */
static unsigned own_threads;

struct call {
	struct usb_job job;
	struct worker worker;
	struct loop *home;
	pid_t ran, back, done;
	unsigned again; /* so many times more, from done() */
	bool same;	/* … and always in the thread that ran it first */
	sem_t *until;
};

static void run(struct usb_job *job)
{
	struct call *c = container_of(job, struct call, job);

	c->same = c->ran == 0 || (c->same && c->ran == gettid());
	c->ran = gettid();
	if (c->until)
		sem_wait(c->until);
}

static void back(void *ctx)
{
	((struct call *)ctx)->back = gettid();
}

static void begin(struct call *c)
{
	c->back = c->done = 0;
	worker_run(&c->worker, &c->job, c->home, back, c);
}

static void done(struct usb_job *job)
{
	struct call *c = container_of(job, struct call, job);

	assert_int_equal(c->back, gettid());
	c->done = gettid();
	if (c->again) {
		c->again--;
		begin(c);
	}
}

static struct call call_of(struct loop *home, sem_t *until)
{
	return (struct call){
		.job = {.run = run, .done = done, .what = "a call"}, .home = home, .until = until};
}

static void turn_until_done(struct call *c)
{
	while (!c->done || c->again)
		assert_true(loop_turn(c->home, true) >= 0);
}

static unsigned threads(void)
{
	DIR *folder = opendir("/proc/self/task");
	unsigned n = 0;

	assert_non_null(folder);
	while (readdir(folder))
		n++;
	closedir(folder);
	return n - 2; /* . and .. */
}

static void a_call_runs_elsewhere_and_is_told_at_home(void **state)
{
	struct call c = call_of(*state, NULL);

	begin(&c);
	turn_until_done(&c);
	assert_int_not_equal(c.ran, gettid());
	assert_int_equal(c.done, gettid());
}

/* Also where the next call is made as soon as the end of the last one is told. */
static void calls_one_after_the_other_have_one_thread(void **state)
{
	struct call c = call_of(*state, NULL), later = call_of(*state, NULL);

	c.again = 2000;
	begin(&c);
	turn_until_done(&c);
	assert_true(c.same);
	begin(&later);
	turn_until_done(&later);
	assert_int_equal(later.ran, c.ran);
}

static void a_call_that_lasts_holds_up_no_other(void **state)
{
	struct call stuck, c = call_of(*state, NULL);
	sem_t let_go;

	sem_init(&let_go, 0, 0);
	stuck = call_of(*state, &let_go);
	begin(&stuck);
	c.again = 100;
	begin(&c);
	turn_until_done(&c);
	assert_int_equal(stuck.done, 0);
	sem_post(&let_go);
	turn_until_done(&stuck);
	assert_int_not_equal(stuck.ran, c.ran);
	sem_destroy(&let_go);
}

static void of_many_threads_one_stays(void **state)
{
	struct call calls[8], next;
	sem_t let_go;

	sem_init(&let_go, 0, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
		calls[i] = call_of(*state, &let_go);
		begin(&calls[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(calls); i++)
		sem_post(&let_go);
	for (unsigned i = 0; i < ARRAY_SIZE(calls); i++)
		turn_until_done(&calls[i]);
	/* The others leave in their own time. */
	while (threads() > own_threads + 1)
		usleep(1000);
	next = call_of(*state, NULL);
	begin(&next);
	turn_until_done(&next);
	assert_int_equal(threads(), own_threads + 1);
	sem_destroy(&let_go);
}

static void *no_work(void *tid)
{
	*(pid_t *)tid = gettid();
	return NULL;
}

/* TSan starts a thread of its own with the first of the program's, so there has been one. */
static void count_own_threads(void)
{
	char path[64];
	pthread_t thread;
	pid_t tid;

	assert_int_equal(pthread_create(&thread, NULL, no_work, &tid), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	snprintf(path, sizeof(path), "/proc/self/task/%d", (int)tid);
	while (access(path, F_OK) == 0)
		usleep(1000);
	own_threads = threads();
}

static int set_up(void **state)
{
	struct loop *loop;

	count_own_threads();
	assert_int_equal(loop_new(&loop), 0);
	*state = loop;
	return 0;
}

static int tear_down(void **state)
{
	loop_free(*state);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_runs_elsewhere_and_is_told_at_home),
		cmocka_unit_test(calls_one_after_the_other_have_one_thread),
		cmocka_unit_test(a_call_that_lasts_holds_up_no_other),
		cmocka_unit_test(of_many_threads_one_stays),
	};

	return cmocka_run_group_tests_name("worker", tests, set_up, tear_down);
}
