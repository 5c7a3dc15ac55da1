/* SPDX-License-Identifier: BSD-2-Clause */
/* Resets, and ports' power; see port_job.h. */
#include "daemon/commands/port_job.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/devices/host_inputs.h"
#include "daemon/devices/port_off.h"
#include "daemon/commands/route_call.h"

#define NS_PER_SECOND 1000000000ull
/* How long something may take to come back, and then to be where it is wanted. */
#define WAIT_SECONDS 10
/* How long the kernel may take for a reset or a switch; then nobody waits any longer. */
#define KERNEL_SECONDS 40
/* How long a port stays off: a device's capacitors must be empty. */
#define DARK_SECONDS 2

enum stage {
	RESETTING,     /* route_reset.c is at it */
	SWITCHING_OFF, /* the broker is */
	LEAVING,       /* it is off, and the device is listed yet */
	DARK,
	SWITCHING_ON,
	RETURNING, /* nothing is in the port yet, or no more */
	SETTLING,  /* something is, and goes where it is wanted */
};

struct port_job {
	struct list link;
	struct commands *commands;
	struct port_ask ask; /* without its device */
	enum stage stage;
	char busid[BROKER_BUSID_SIZE], peer[PORT_PEER_SIZE];
	char name[72]; /* what the device was called */
	uint16_t devnum;
	bool another; /* a reset has made another device of it */
	bool again;   /* what was back has gone once more; the wait goes on as it was */
	struct broker_request req;
	struct loop_watch timer;
	port_job_done done; /* NULL: nobody waits */
	void *ctx;
	struct port_job **handle;
};

/* ------------------------------------------------------------- what is there */

static struct device *device_in(const struct commands *commands, const char *busid)
{
	list_for_each(it, &commands->devices->all) {
		struct device *d = list_entry(it, struct device, link);

		if (*busid && !strcmp(d->busid, busid))
			return d;
	}
	return NULL;
}

/* In either half of the connector. */
static struct device *job_device(const struct port_job *job)
{
	struct device *d = device_in(job->commands, job->busid);

	return d ? d : device_in(job->commands, job->peer);
}

static const struct device *job_subject(const struct port_job *job)
{
	const struct port_off *off = port_off_find(job->commands->devices, job->busid);
	const struct device *d = job_device(job);

	if (d)
		return d;
	return off ? &off->device : NULL;
}

static bool only_waits(const struct port_job *job)
{
	return job->stage == RETURNING || job->stage == SETTLING;
}

static struct port_job *job_on(const struct commands *commands, const char *busid)
{
	list_for_each(it, &commands->port_jobs) {
		struct port_job *job = list_entry(it, struct port_job, link);

		if (!strcmp(job->busid, busid) || !strcmp(job->peer, busid))
			return job;
	}
	return NULL;
}

/* ------------------------------------------------------------- its end */

static void job_end(struct port_job *job, enum route_outcome outcome, const char *format, ...)
	_printf_(3, 4);

static void job_end(struct port_job *job, enum route_outcome outcome, const char *format, ...)
{
	const struct device *device = job_subject(job);
	char text[500];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	list_remove(&job->link);
	loop_cancel(job->commands->core->loop, &job->timer);
	broker_forget(job->commands->routing->broker, &job->req);
	if (job->handle)
		*job->handle = NULL;
	if (job->done)
		job->done(job->ctx, outcome, text, device);
	else if (outcome != ROUTE_DONE)
		log_warning("%s: %s", job->name, text);
	free(job);
}

/* What the broker could not do; its text is complete if the host uses the device. */
static void job_refused(struct port_job *job, int r, const char *text)
{
	enum route_outcome outcome = r == -EBUSY   ? ROUTE_BUSY
				     : r == -EPERM ? ROUTE_DENIED
						   : ROUTE_NOT_DONE;
	bool whole = r == -EBUSY || r == -EPERM || r == -EOPNOTSUPP || r == -ENODEV;

	job_end(job, outcome, "%s%s%s", text, whole ? "" : ": ", whole ? "" : errno_text(r));
}

/* ------------------------------------------------------------- stages */

static void job_late(void *ctx, int res);

static double job_patience(const struct port_job *job)
{
	return job->ask.has_wait ? job->ask.wait_seconds : WAIT_SECONDS;
}

static void job_enter(struct port_job *job, enum stage stage)
{
	double seconds = KERNEL_SECONDS;

	job->stage = stage;
	if (stage == DARK)
		seconds = DARK_SECONDS;
	else if (stage == LEAVING)
		seconds = WAIT_SECONDS;
	else if (only_waits(job))
		seconds = job_patience(job);
	port_jobs_changed(job->commands);
	if (job->again)
		return;
	loop_cancel(job->commands->core->loop, &job->timer);
	loop_watch_time(job->commands->core->loop, &job->timer, (uint64_t)(seconds * 1e9) + 1,
			job_late, job);
}

/*
 * What was back has gone once more: a slow plug bounces, a modem changes what it is, and the kernel
 * enumerates some devices twice. It has the rest of the wait to be back for good.
 */
static void job_went_again(struct port_job *job, const struct device *d)
{
	if (d)
		job->devnum = d->devnum;
	job->another = job->ask.verb == PORT_RESET;
	job->again = true;
	job_enter(job, RETURNING);
}

static void job_switched_on(struct broker_request *req, int r, int *fds _unused_, const char *text)
{
	struct port_job *job = container_of(req, struct port_job, req);

	/* A port that has gone is not off any more. */
	if (r == 0 || r == -ENODEV)
		port_off_forget(job->commands->devices, job->busid);
	if (r < 0) {
		job_refused(job, r, text);
		return;
	}
	log_notice("%s: its port %s is switched on", job->name, job->busid);
	job_enter(job, RETURNING);
}

static void job_switch_on(struct port_job *job)
{
	int r = broker_power_on(job->commands->routing->broker, &job->req, job->busid,
				job_switched_on);

	if (r < 0)
		job_refused(job, r, "asking the broker to switch its port on");
	else
		job_enter(job, SWITCHING_ON);
}

static void job_switched_off(struct broker_request *req, int r, int *fds _unused_, const char *text)
{
	struct port_job *job = container_of(req, struct port_job, req);

	if (r == 0)
		r = port_off_confirm(job->commands->devices, job->busid);
	if (r < 0) {
		port_off_forget(job->commands->devices, job->busid);
		job_refused(job, r, *text ? text : "it went meanwhile");
		return;
	}
	log_notice("%s: its port %s is switched off", job->name, job->busid);
	job_enter(job, LEAVING);
}

static void job_switch_off(struct port_job *job, const struct device *device)
{
	struct broker_device identity = route_identity(device);
	char error[200];
	int r = port_off_add(device, job->ask.verb == PORT_CYCLE, error, sizeof(error));

	if (r < 0) {
		job_end(job, ROUTE_NOT_DONE, "%s", error);
		return;
	}
	snprintf(job->peer, sizeof(job->peer), "%s",
		 port_off_find(job->commands->devices, job->busid)->peer);
	r = broker_power_off(job->commands->routing->broker, &job->req, &identity, job->ask.force,
			     job_switched_off);
	if (r < 0) {
		port_off_forget(job->commands->devices, job->busid);
		job_refused(job, r, "asking the broker to switch its port off");
	} else {
		job_enter(job, SWITCHING_OFF);
	}
}

/* Its caller has waited long enough; the kernel goes on. */
static void job_stuck(struct port_job *job)
{
	port_job_done done = job->done;
	void *ctx = job->ctx;
	char text[200];

	snprintf(text, sizeof(text),
		 "after %d s the kernel is still %s; pull the device out where that lasts",
		 KERNEL_SECONDS, job->stage == RESETTING ? "resetting it" : "switching its port");
	if (!done)
		return;
	port_job_forget(job);
	done(ctx, ROUTE_NOT_DONE, text, job_subject(job));
}

/* Nothing is in the port yet, or what is there is not where it is wanted. */
static void job_waited(struct port_job *job)
{
	bool reset = job->ask.verb == PORT_RESET;
	const struct device *d = job_device(job);
	double patience = job_patience(job);
	char reason[300] = "";

	if (d)
		route_shown(d, reason, sizeof(reason));
	if (reset && job->stage == RETURNING && patience <= 0)
		job_end(job, ROUTE_DONE,
			"%s: reset; it has left port %s, and nothing has come back there yet",
			job->name, job->busid);
	else if (reset && job->stage == RETURNING)
		job_end(job, ROUTE_NOT_DONE, "it did not come back from the reset within %g s",
			patience);
	else if (reset && patience <= 0)
		job_end(job, ROUTE_DONE, "%s: reset", job->name);
	else if (reset)
		job_end(job, ROUTE_PENDING,
			"it was reset; within %g s it did not come to where it is wanted%s%s",
			patience, *reason ? ": " : "", reason);
	else if (patience <= 0)
		job_end(job, ROUTE_DONE, "%s: its port %s is on", job->name, job->busid);
	else if (job->stage == SETTLING)
		job_end(job, ROUTE_PENDING,
			"its port %s is on; within %g s it did not come to where it is wanted%s%s",
			job->busid, patience, *reason ? ": " : "", reason);
	else if (job->ask.verb == PORT_ON)
		job_end(job, ROUTE_DONE, "%s: its port %s is on; nothing has come back there yet",
			job->name, job->busid);
	else
		job_end(job, ROUTE_PENDING,
			"its port %s is on again; nothing has come back there within %g s",
			job->busid, patience);
}

static void job_late(void *ctx, int res _unused_)
{
	struct port_job *job = ctx;

	switch (job->stage) {
	case RESETTING:
	case SWITCHING_OFF:
	case SWITCHING_ON:
		job_stuck(job);
		break;
	case LEAVING:
		job_end(job, ROUTE_NOT_DONE,
			"its port is switched off, and the kernel still has it after %d s",
			WAIT_SECONDS);
		break;
	case DARK:
		job_switch_on(job);
		break;
	case RETURNING:
	case SETTLING:
		job_waited(job);
		break;
	}
}

/* ------------------------------------------------------------- waiting */

static void job_settled(struct port_job *job, const struct device *d, const char *line)
{
	const char *where = route_actual(d);

	if (job->another)
		job_end(job, ROUTE_DONE,
			"%s: reset; %s came back, as if plugged in anew: it is at %s%s", job->name,
			d->tag, where, line);
	else if (job->ask.verb == PORT_RESET)
		job_end(job, ROUTE_DONE, "%s: reset; it is at %s%s", job->name, where, line);
	else
		job_end(job, ROUTE_DONE, "%s: its port %s is on again; it is at %s%s", job->name,
			job->busid, where, line);
}

static void job_check(struct port_job *job)
{
	struct device *d = job_device(job);
	char line[320];

	switch (job->stage) {
	case RESETTING:
		if (!d || d->devnum != job->devnum) {
			job->another = true;
			job_enter(job, RETURNING);
		} else if (route_status(d).state == ROUTE_FAILED) {
			job_end(job, ROUTE_NOT_DONE, "%s", route_status(d).reason);
		}
		break;
	case LEAVING:
		if (d && d->devnum == job->devnum)
			break;
		if (job->ask.verb == PORT_CYCLE)
			job_enter(job, DARK);
		else
			job_end(job, ROUTE_DONE, "%s: its port %s is switched off", job->name,
				job->busid);
		break;
	case RETURNING:
		/* What was reset and has gone stays listed until udev tells. */
		if (d && d->devnum != job->devnum)
			job_enter(job, SETTLING);
		break;
	case SETTLING:
		if (!d ||
		    (route_status(d).state == ROUTE_FAILED && route_status(d).failure == -ENODEV))
			job_went_again(job, d);
		else if (route_status(d).state == ROUTE_FAILED)
			job_end(job, ROUTE_NOT_DONE, "%s", route_status(d).reason);
		else if (route_member_settled(job->commands, d, line, sizeof(line)))
			job_settled(job, d, line);
		break;
	case SWITCHING_OFF:
	case DARK:
	case SWITCHING_ON:
		break;
	}
}

/**
 * port_jobs_check() - look whether what jobs wait for has happened
 * @commands:	the commands
 */
void port_jobs_check(struct commands *commands)
{
	list_for_each_safe(it, &commands->port_jobs)
		job_check(list_entry(it, struct port_job, link));
}

/**
 * port_jobs_changed() - something has happened that a job may wait for
 * @commands:	the commands
 */
void port_jobs_changed(struct commands *commands)
{
	if (!list_empty(&commands->port_jobs))
		events_raise_whole(&commands->core->events, EVENT_JOBS_CHANGED);
}

/* A device's reset has ended; it is where it was. */
static void job_was_reset(void *ctx, struct device *device, int r, const char *reason)
{
	struct port_job *job = job_on(ctx, device->busid);

	if (!job || job->stage != RESETTING)
		return;
	if (r == 0) {
		job_enter(job, SETTLING);
	} else if (r == -ENODEV) {
		job->another = true;
		job_enter(job, RETURNING);
	} else {
		job_end(job, r == -EBUSY ? ROUTE_BUSY : ROUTE_NOT_DONE, "%s", reason);
	}
}

/* ------------------------------------------------------------- asked */

static enum route_outcome forbidden(const struct commands *commands, const struct port_ask *ask,
				    char *text, size_t size)
{
	const struct device *d = ask->device;
	const struct port_job *job = job_on(commands, d->busid);

	if (job && !only_waits(job)) {
		snprintf(text, size, "it is being %s already; try again in a moment",
			 job->ask.verb == PORT_RESET ? "reset" : "switched");
		return ROUTE_BUSY;
	}
	if (ask->verb == PORT_RESET && d->unpowered) {
		snprintf(text, size,
			 "its port is switched off; `usbroutectl power %s on` switches it on",
			 d->busid);
		return ROUTE_NOT_DONE;
	}
	if (ask->verb == PORT_RESET && !device_stands_reset(d)) {
		snprintf(text, size, "this model is known not to stand a reset");
		return ROUTE_NOT_DONE;
	}
	if ((ask->verb == PORT_OFF || ask->verb == PORT_CYCLE) && !d->unpowered && !ask->force &&
	    !d->ours && host_is_last_keyboard(d)) {
		snprintf(text, size, "it is the host's last keyboard");
		return ROUTE_BUSY;
	}
	return ROUTE_DONE;
}

/* Answer where there is nothing to do, or only something to say; false if there is. */
static bool idle(const struct port_ask *ask, char *text, size_t size)
{
	static const char *const would[] = {
		[PORT_RESET] = "would be reset",
		[PORT_OFF] = "its port would be switched off",
		[PORT_ON] = "its port would be switched on",
		[PORT_CYCLE] = "its port would be switched off and on",
	};
	const struct device *d = ask->device;

	if (ask->verb == PORT_OFF && d->unpowered)
		snprintf(text, size, "%s: its port %s is switched off already", d->tag, d->busid);
	else if (ask->verb == PORT_ON && !d->unpowered)
		snprintf(text, size, "%s: its port %s is on already", d->tag, d->busid);
	else if (ask->dry_run)
		snprintf(text, size, "%s: %s", d->tag, would[ask->verb]);
	else
		return false;
	return true;
}

static struct port_job *job_new(struct commands *commands, const struct port_ask *ask)
{
	struct port_job *job = calloc(1, sizeof(*job));
	const struct port_off *off = port_off_find(commands->devices, ask->device->busid);

	if (!job)
		return NULL;
	job->commands = commands;
	job->ask = *ask;
	job->ask.device = NULL;
	job->devnum = ask->device->devnum;
	snprintf(job->busid, sizeof(job->busid), "%s", ask->device->busid);
	snprintf(job->peer, sizeof(job->peer), "%s", off ? off->peer : "");
	snprintf(job->name, sizeof(job->name), "%s", ask->device->tag);
	list_append(&commands->port_jobs, &job->link);
	return job;
}

static void job_begin_reset(struct port_job *job)
{
	struct device *d = device_in(job->commands, job->busid);
	const char *text = "it went meanwhile";
	int r = d ? route_reset(d, job->ask.force, job_was_reset, job->commands, &text) : -ENODEV;

	if (r < 0)
		job_refused(job, r, text);
	else
		job_enter(job, RESETTING);
}

/**
 * port_command() - reset a device, or switch its port, and hear how it went
 * @commands:	the commands
 * @ask:	what, of which device, how long to wait, and who says so
 * @done:	called once with @ctx, perhaps before this returns
 * @ret_job:	set to the job until it ends; stays where it is meanwhile
 */
void port_command(struct commands *commands, const struct port_ask *ask, port_job_done done,
		  void *ctx, struct port_job **ret_job)
{
	static const char *const names[] = {
		[PORT_RESET] = "to be reset",
		[PORT_OFF] = "its port is to be switched off",
		[PORT_ON] = "its port is to be switched on",
		[PORT_CYCLE] = "its port is to be switched off and on",
	};
	struct port_job *job, *older = job_on(commands, ask->device->busid);
	enum route_outcome outcome;
	char text[300];

	*ret_job = NULL;
	outcome = forbidden(commands, ask, text, sizeof(text));
	if (outcome != ROUTE_DONE || idle(ask, text, sizeof(text))) {
		done(ctx, outcome, text, ask->device);
		return;
	}
	log_notice("%s: %s, says %s", ask->device->tag, names[ask->verb], ask->who);
	if (older)
		job_end(older, ROUTE_SUPERSEDED, "a newer command about it came");
	job = job_new(commands, ask);
	if (!job) {
		done(ctx, ROUTE_NOT_DONE, "out of memory", ask->device);
		return;
	}
	job->done = done;
	job->ctx = ctx;
	job->handle = ret_job;
	*ret_job = job;
	if (ask->verb == PORT_RESET)
		job_begin_reset(job);
	else if (ask->device->unpowered)
		job_switch_on(job);
	else
		job_switch_off(job, ask->device);
}

/**
 * port_job_forget() - nobody waits for a job's end any more; it goes on
 * @job:	the job, or NULL
 */
void port_job_forget(struct port_job *job)
{
	if (!job)
		return;
	if (job->handle)
		*job->handle = NULL;
	job->handle = NULL;
	job->done = NULL;
	job->ctx = NULL;
}

/**
 * port_jobs_started() - switch on what the last run of the daemon did not get to
 * @commands:	the commands, ready
 */
void port_jobs_started(struct commands *commands)
{
	list_for_each_safe(it, &commands->devices->off) {
		struct port_off *off = list_entry(it, struct port_off, device.link);
		struct port_ask ask = {.verb = PORT_ON, .device = &off->device};
		struct port_job *job = off->cycling ? job_new(commands, &ask) : NULL;

		if (job)
			job_switch_on(job);
	}
}

/**
 * port_jobs_end() - the daemon ends
 * @commands:	the commands; what is switched off stays so
 */
void port_jobs_end(struct commands *commands)
{
	list_for_each_safe(it, &commands->port_jobs)
		job_end(list_entry(it, struct port_job, link), ROUTE_NOT_DONE,
			"the daemon is being stopped");
}
