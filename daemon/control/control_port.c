/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The methods about the port that a device is in: it is reset, or its power switched. Whoever may
 * give the device away where it is may do this, too.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "daemon/control/control_json.h"
#include "daemon/control/control_method.h"
#include "daemon/commands/port_job.h"
#include "daemon/routing/port_off.h"

#define WAIT_MAX_SECONDS 86400.0

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

/* What is plugged in comes first, but for what is to be switched on. */
static bool device_parameter(struct port_call *c, const struct varlink_call *call)
{
	struct daemon *daemon = control_daemon(c->caller);
	const char *expected = NULL, *text = control_text_parameter(c->caller, call, "device");
	struct device *present = NULL;
	enum device_by by;
	int r, off;

	if (!text)
		return false;
	off = port_off_resolve(daemon, text, &c->ask.device);
	if (off == 0 && c->ask.verb == PORT_ON)
		return true;
	r = device_resolve(daemon, text, &present, &by, &expected);
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

static bool how_parameter(struct port_call *c, const struct varlink_call *call)
{
	static const struct {
		const char *how;
		enum port_verb verb;
	} hows[] = {{"off", PORT_OFF}, {"on", PORT_ON}, {"cycle", PORT_CYCLE}};
	const char *text = control_text_parameter(c->caller, call, "how");

	for (size_t i = 0; text && i < ARRAY_SIZE(hows); i++)
		if (!strcmp(hows[i].how, text)) {
			c->ask.verb = hows[i].verb;
			return true;
		}
	if (text)
		control_invalid(c->caller, "how");
	return false;
}

static bool flag(struct port_call *c, const struct varlink_call *call, const char *name, bool *ret)
{
	const json_t *value = json_object_get(call->parameters, name);

	*ret = json_is_true(value);
	if (!value || json_is_null(value) || json_is_boolean(value))
		return true;
	control_invalid(c->caller, name);
	return false;
}

static bool options(struct port_call *c, const struct varlink_call *call)
{
	const json_t *wait = json_object_get(call->parameters, "wait_seconds");
	double seconds = json_number_value(wait);

	if (!flag(c, call, "force", &c->ask.force) || !flag(c, call, "dry_run", &c->ask.dry_run))
		return false;
	c->ask.has_wait = wait && !json_is_null(wait);
	c->ask.wait_seconds = seconds;
	if (!c->ask.has_wait ||
	    (json_is_number(wait) && seconds >= 0 && seconds <= WAIT_MAX_SECONDS))
		return true;
	control_invalid(c->caller, "wait_seconds");
	return false;
}

static bool allowed(struct port_call *c)
{
	struct route_subject s = {.device = c->ask.device};

	return control_may_route(c->caller, &s, 1, NULL);
}

/* ------------------------------------------------------------- methods */

static struct port_call *port_call_new(struct control_caller *caller,
				       const struct varlink_call *call, enum port_verb verb,
				       const char *const *names)
{
	struct port_call *c;

	if (!control_only_parameters(caller, call, names))
		return NULL;
	c = calloc(1, sizeof(*c));
	if (!c) {
		control_error(caller, "Failed", json_pack("{s:s}", "reason", "out of memory"));
		return NULL;
	}
	c->caller = caller;
	c->ask.verb = verb;
	snprintf(c->ask.who, sizeof(c->ask.who), "%s", control_who(caller));
	return c;
}

static void port_call_begin(struct port_call *c)
{
	struct port_ask ask = c->ask;

	/* Before it is asked: the answer may come at once, and then there is no call any more. */
	control_wait(c->caller, c, port_call_cancel);
	port_command(control_daemon(c->caller), &ask, port_call_done, c, &c->job);
}

void method_reset(struct control_caller *caller, const struct varlink_call *call)
{
	static const char *const names[] = {"device", "force", "dry_run", "wait_seconds", NULL};
	_cleanup_port_call_ struct port_call *c = port_call_new(caller, call, PORT_RESET, names);

	if (c && options(c, call) && device_parameter(c, call) && allowed(c))
		port_call_begin(take_ptr(c));
}

void method_power(struct control_caller *caller, const struct varlink_call *call)
{
	static const char *const names[] = {"device",  "how",	       "force",
					    "dry_run", "wait_seconds", NULL};
	_cleanup_port_call_ struct port_call *c = port_call_new(caller, call, PORT_OFF, names);

	if (c && how_parameter(c, call) && options(c, call) && device_parameter(c, call) &&
	    allowed(c))
		port_call_begin(take_ptr(c));
}
