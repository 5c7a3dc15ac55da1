/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket's part of a call, without a socket: callers, and what they are answered. Each
 * call is answered once, or its caller has gone; an answer fits a message, or is too long for one, and
 * is as configs/io.usbrouted.varlink describes it.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "daemon/control/control_method.h"
#include "policy/decision.h"

struct control_caller {
	struct policy_caller facts;
	bool called, answered;
	const char *method; /* as the interface describes it; NULL: it does not */
	json_t *said;	    /* the answer, {"parameters": …} */
	void *waits_for;    /* the answer comes later */
	void (*cancel)(void *what);
	bool reads_slowly; /* of a series one reply at a time, by control_next_reply() */
	const struct control_series *series;
	void *series_ctx;
	bool dropped;				 /* by the daemon, in the middle of a series */
	void (*hears)(const json_t *parameters); /* each reply of a series; may be NULL */
};

struct fixture;

void control_monitor_begin(struct fixture *f);
void control_monitor_end(void);

void control_call(struct control_caller *caller, const struct varlink_call *call);
bool control_next_reply(struct control_caller *caller);
void control_caller_gone(struct control_caller *caller);
