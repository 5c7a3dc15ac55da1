/* SPDX-License-Identifier: BSD-2-Clause */
/* Workers; see worker.h. */
#include "dataplane/worker.h"

#include <pthread.h>

#include "base/log.h"
#include "usbip/usb_device.h"

#define WORKER_STACK (256 * 1024)

static void worker_back(struct letter *letter)
{
	struct worker *w = container_of(letter, struct worker, letter);
	struct usb_job *job = take_ptr(w->job);

	w->back(w->ctx);
	job->done(job);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	w->job->run(w->job);
	loop_post(w->home, &w->letter, worker_back);
	return NULL;
}

/**
 * worker_run() - run a job in a thread of its own
 * @worker:	idle; stays where it is until @back was called
 * @job:	run() in the worker, done() in @home's thread afterwards
 * @home:	the caller's loop
 * @back:	called with @ctx in @home's thread, just before done()
 *
 * Where no thread can be had, the call is made here: late is better than never.
 */
void worker_run(struct worker *worker, struct usb_job *job, struct loop *home,
		void (*back)(void *ctx), void *ctx)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	*worker = (struct worker){.job = job, .home = home, .back = back, .ctx = ctx};
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, WORKER_STACK);
	r = pthread_create(&thread, &attr, worker_main, worker);
	pthread_attr_destroy(&attr);
	if (r == 0)
		return;
	log_warning("no thread for \"%s\": %s; its guest waits meanwhile", job->what,
		    errno_text(r));
	worker_main(worker);
}
