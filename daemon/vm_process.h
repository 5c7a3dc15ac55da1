/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's process, as control has it: the calls and events of dataplane/guest.h, made messages.
 *
 * Control's thread only. A struct guest outlives its processes: who made it is told when one is lost,
 * and brings the line to the next one with guest_connect(). What a process had is lost with it: its
 * devices come back as "taken", closed, and its card as down. What control has given and no process has
 * had yet waits for the next one.
 *
 *   guest_start() -> (guest_connect() -> HELLO, START, STARTED -> … -> lost) … -> guest_stop() -> ended
 *
 * A line may also lead to a process that the last control has left behind: it is told to end, and is lost.
 */
#pragma once

#include "dataplane/guest.h"

/* What control hears beside struct guest_events. @ctx is the guest's. */
struct guest_process_events {
	/* The process has ended, or is not heard any more: another one is needed. */
	void (*lost)(void *ctx, const char *why);
	/* It stands. */
	void (*stands)(void *ctx);
};

void guest_connect(struct guest *guest, int line, const struct guest_process_events *events);
void guest_disconnect(struct guest *guest, const char *why);
void guest_set_next(struct guest *guest, int listener);
