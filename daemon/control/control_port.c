/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The methods about the port that a device is in: a reset, and switching its power. Whoever may
 * take the device away from where it is may do this, too.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "daemon/control/control_json.h"
#include "daemon/control/control_method.h"
#include "daemon/commands/port_job.h"
#include "daemon/devices/port_off.h"

/* A job under way, from the caller's side. */
struct port_call {
	struct control_caller *caller;
	struct port_job *job;
	struct port_ask ask;
};

static void port_call_freep(struct port_call **call)
{
	free(*call);
}

#define _cleanup_port_call_ _cleanup_(port_call_freep)

static void port_call_done(void *ctx, enum route_outcome outcome, const char *text,
			   const struct device *device)
{
	struct port_call *c = ctx;
	struct control_caller *caller = c->caller;

	free(c);
	if (outcome == ROUTE_DONE)
		control_reply(caller, json_pack("{s:o, s:o}", "device",
						device ? json_device(device) : json_null(),
						"message", json_lines(text)));
	else
		control_refuse(caller, outcome, text);
}

static void port_call_cancel(void *what)
{
	struct port_call *c = what;

	port_job_forget(c->job);
	free(c);
}

/* ------------------------------------------------------------- parameters */

/* A plugged-in device comes first, unless something is to be switched on. */
static bool device_parameter(struct port_call *c, const struct varlink_call *call)
{
	const struct control_rooms *rooms = control_rooms(c->caller);
	const char *expected = NULL, *text = control_text(call, "device");
	struct device *present = NULL;
	enum device_by by;
	int r, off;

	off = port_off_resolve(rooms->devices, text, &c->ask.device);
	if (off == 0 && c->ask.verb == PORT_ON)
		return true;
	r = device_resolve(rooms->devices, text, &present, &by, &expected);
	if (r == 0)
		c->ask.device = present;
	if (r == 0 || off == 0)
		return true;
	if (r == RESOLVE_AMBIGUOUS || off == RESOLVE_AMBIGUOUS)
		control_ambiguous(c->caller, text);
	else if (r < 0)
		control_invalid_device(c->caller, text, expected);
	else
		control_no_device(c->caller, text);
	return false;
}

static enum port_verb power_verb(const char *how)
{
	return !strcmp(how, "on") ? PORT_ON : !strcmp(how, "off") ? PORT_OFF : PORT_CYCLE;
}

static bool allowed(struct port_call *c)
{
	struct route_subject s = {.device = c->ask.device};

	return control_may_route(c->caller, &s, 1, NULL);
}

/* ------------------------------------------------------------- methods */

static struct port_call *port_call_new(struct control_caller *caller,
				       const struct varlink_call *call, enum port_verb verb)
{
	struct port_call *c = calloc(1, sizeof(*c));

	if (!c) {
		control_error(caller, "Failed", json_pack("{s:s}", "reason", "out of memory"));
		return NULL;
	}
	c->caller = caller;
	c->ask.verb = verb;
	c->ask.force = control_flag(call, "force");
	c->ask.dry_run = control_flag(call, "dry_run");
	c->ask.has_wait = control_seconds(call, "wait_seconds", &c->ask.wait_seconds);
	snprintf(c->ask.who, sizeof(c->ask.who), "%s", control_who(caller));
	return c;
}

static void port_call_begin(struct port_call *c)
{
	struct port_ask ask = c->ask;

	/* This comes first: the answer may come at once, and then there is no call any more. */
	control_wait(c->caller, c, port_call_cancel);
	port_command(control_rooms(c->caller)->commands, &ask, port_call_done, c, &c->job);
}

static void call_about_port(struct control_caller *caller, const struct varlink_call *call,
			    enum port_verb verb)
{
	_cleanup_port_call_ struct port_call *c = port_call_new(caller, call, verb);

	if (c && device_parameter(c, call) && allowed(c))
		port_call_begin(take_ptr(c));
}

static void method_reset(struct control_caller *caller, const struct varlink_call *call)
{
	call_about_port(caller, call, PORT_RESET);
}

static void method_power(struct control_caller *caller, const struct varlink_call *call)
{
	call_about_port(caller, call, power_verb(control_text(call, "how")));
}

const struct control_method control_port_methods[] = {
	{"Reset",
	 CONTROL_ROUTE,
	 method_reset,
	 {{"device", CONTROL_TEXT},
	  {"wait_seconds", CONTROL_WAIT, true},
	  {"force", CONTROL_FLAG, true},
	  {"dry_run", CONTROL_FLAG, true}}},
	{"Power",
	 CONTROL_ROUTE,
	 method_power,
	 {{"device", CONTROL_TEXT},
	  {"how", CONTROL_POWER},
	  {"wait_seconds", CONTROL_WAIT, true},
	  {"force", CONTROL_FLAG, true},
	  {"dry_run", CONTROL_FLAG, true}}},
	{},
};
