/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Workers: a thread for the length of one call that may block in the kernel.
 *
 * The call's owner goes on with everything else, and leaves alone what the call works on. Nobody
 * waits for a worker: if the kernel keeps one for ever, its object is given up, and the process's
 * exit ends it.
 *
 * One thread stays when its call has ended, and takes the next one: making a thread costs more than
 * most calls do, and a guest's driver waits for it. Calls at the same time have a thread each, so that
 * a stuck one holds up no other; of those that have ended, one stays.
 */
#pragma once

#include "base/loop.h"

struct usb_job;

/* Embedded in the object that the call is about: one call at a time. */
struct worker {
	struct letter letter;
	struct usb_job *job;
	struct loop *home;
	void (*back)(void *ctx);
	void *ctx;
};

void worker_run(struct worker *worker, struct usb_job *job, struct loop *home,
		void (*back)(void *ctx), void *ctx);
