/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A port's job: the reset of the device in it, or its power switched, by command.
 *
 *   reset  RESETTING ------------------------------------------------.
 *             | it came back as another one, or went                  v
 *             `--------------------------> RETURNING ----------> SETTLING
 *   cycle  SWITCHING_OFF -> LEAVING -> DARK -> SWITCHING_ON -> RETURNING
 *   off    SWITCHING_OFF -> LEAVING
 *   on                                         SWITCHING_ON -> RETURNING
 *
 * Up to RETURNING something is being done, and another job on that port is refused; from there on a
 * job only waits, and a newer one takes its place. A job goes on where its caller has gone: what was
 * switched off is switched on again. Wishes are not touched: what comes back goes where it was
 * wanted.
 *
 * Control thread only. What may end a wait is told by port_jobs_changed() (route_call.h), from
 * anywhere; it is looked at on the loop's next turn.
 */
#pragma once

#include "daemon/commands/commands.h"

struct port_job;

enum port_verb { PORT_RESET, PORT_OFF, PORT_ON, PORT_CYCLE };

struct port_ask {
	enum port_verb verb;
	struct device *device; /* plugged in, or switched off (port_off.h) */
	bool force;	       /* also the host's last keyboard, and a disk in use */
	bool dry_run;
	bool has_wait; /* else: WAIT_SECONDS of port_job.c */
	double wait_seconds;
	char who[64];
};

/* A job has ended; @device: what is in the port then, or what is switched off there, or NULL. */
typedef void (*port_job_done)(void *ctx, enum route_outcome outcome, const char *text,
			      const struct device *device);

void port_command(struct commands *commands, const struct port_ask *ask, port_job_done done,
		  void *ctx, struct port_job **ret_job);
void port_job_forget(struct port_job *job);
