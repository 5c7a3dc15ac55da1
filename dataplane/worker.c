/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Workers; see worker.h.
 *
 * @kept is the thread that waits for its next call, or NULL. Whoever takes it out has it. A thread
 * puts itself there before it sends its letter, so that the next call finds it even if the letter's
 * reader makes that call at once.
 */
#include "dataplane/worker.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "base/log.h"
#include "usb/usb_device.h"

#define WORKER_STACK (256 * 1024)

/* A thread between two calls. On its stack. */
struct worker_thread {
	sem_t called;
	struct worker *next; /* set by the caller before @called */
};

static _Atomic(struct worker_thread *) kept;

static void worker_back(struct letter *letter)
{
	struct worker *w = container_of(letter, struct worker, letter);
	struct usb_job *job = take_ptr(w->job);

	w->back(w->ctx);
	job->done(job);
}

/* @w is its owner's afterwards. */
static void worker_post(struct worker *w)
{
	loop_post(w->home, &w->letter, worker_back);
}

static void *worker_main(void *arg)
{
	struct worker_thread self = {.next = arg};
	bool stays;

	sem_init(&self.called, 0, 0);
	do {
		struct worker *w = self.next;
		struct worker_thread *none = NULL;

		w->job->run(w->job);
		stays = atomic_compare_exchange_strong(&kept, &none, &self);
		worker_post(w);
		while (stays && sem_wait(&self.called) < 0)
			;
	} while (stays);
	sem_destroy(&self.called);
	return NULL;
}

/* Return: 0 or an errno. */
static int worker_start(struct worker *worker)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, WORKER_STACK);
	r = pthread_create(&thread, &attr, worker_main, worker);
	pthread_attr_destroy(&attr);
	return r;
}

/**
 * worker_run() - run a job in a thread of its own
 * @worker:	idle; stays where it is until @back was called
 * @job:	run() in the worker, done() in @home's thread afterwards
 * @home:	the caller's loop
 * @back:	called with @ctx in @home's thread, just before done()
 *
 * If no thread can be had, the call is made here.
 */
void worker_run(struct worker *worker, struct usb_job *job, struct loop *home,
		void (*back)(void *ctx), void *ctx)
{
	struct worker_thread *thread = atomic_exchange(&kept, NULL);
	int r;

	*worker = (struct worker){.job = job, .home = home, .back = back, .ctx = ctx};
	if (thread) {
		thread->next = worker;
		sem_post(&thread->called);
		return;
	}
	r = worker_start(worker);
	if (r == 0)
		return;
	log_warning("no thread for \"%s\": %s; its guest waits meanwhile", job->what,
		    errno_text(r));
	job->run(job);
	worker_post(worker);
}
