/* SPDX-License-Identifier: BSD-2-Clause */
/* See control-script.h. The daemon is that of route-fixture.h. */
#include <stdio.h>
#include "tests/unit/control-script.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/control/monitor.h"
#include "daemon/control/varlink.h"
#include "tests/unit/interface.h"
#include "tests/unit/route-fixture.h"

static struct log_limit limit;
static struct monitor *monitor;

/* ------------------------------------------------------------- what is told to who listens */

static void moved(const struct device *device)
{
	monitor_moved(monitor, device);
}

static void removed(const struct device *device)
{
	monitor_removed(monitor, device);
}

static void link_changed(const struct vm *vm, bool up)
{
	monitor_vm_link(monitor, vm, up);
}

static void refused(const struct device *device, const char *vm, const char *reason)
{
	monitor_refused(monitor, device, NULL, vm, reason);
}

static const struct fixture_ears ears = {moved, removed, link_changed, refused};

/* Callers may listen to what happens to the fixture's devices, as daemon.c has it. */
void control_monitor_begin(struct fixture *f)
{
	monitor = monitor_new(&f->rooms.devices);
	assert_non_null(monitor);
	fixture_ears = &ears;
}

/* All callers have gone. */
void control_monitor_end(void)
{
	fixture_ears = NULL;
	monitor = monitor_free(monitor);
}

/* ------------------------------------------------------------- calls */

/* A call; it is answered now, or its caller waits. */
void control_call(struct control_caller *caller, const struct varlink_call *call)
{
	assert_false(caller->called);
	caller->called = true;
	caller->method = interface_method(call->method);
	control_method(caller, call);
	turn_ends();
	assert_true(caller->answered || caller->waits_for || caller->series);
}

/* Its caller hangs up; it may call again. */
void control_caller_gone(struct control_caller *caller)
{
	if (caller->waits_for)
		caller->cancel(take_ptr(caller->waits_for));
	if (caller->series)
		caller->series->free(caller->series_ctx);
	json_decref(caller->said);
	*caller = (struct control_caller){.facts = caller->facts};
}

static void answered(struct control_caller *caller, int r, char *message, size_t len)
{
	assert_true(caller->called && !caller->answered);
	if (r == 0) {
		assert_true(message && len && !message[len - 1]);
		caller->said = json_loads(message, 0, NULL);
		assert_non_null(caller->said);
		free(message);
	} else {
		assert_int_equal(r, -EMSGSIZE);
	}
	caller->answered = true;
	caller->waits_for = NULL;
}

void control_reply(struct control_caller *caller, json_t *parameters)
{
	char *message = NULL;
	size_t len = 0;
	int r;

	interface_check_reply(caller->method, parameters);
	r = varlink_reply(&message, &len, parameters);
	answered(caller, r, message, len);
}

void control_reply_series(struct control_caller *caller, const struct control_series *series,
			  void *ctx)
{
	assert_true(caller->called && !caller->answered && !caller->series);
	caller->series = series;
	caller->series_ctx = ctx;
	while (!caller->reads_slowly && control_next_reply(caller))
		;
}

void control_series_due(struct control_caller *caller)
{
	while (!caller->reads_slowly && control_next_reply(caller))
		;
}

void control_drop(struct control_caller *caller, const char *why)
{
	assert_true(*why);
	caller->dropped = true;
	caller->series->free(caller->series_ctx);
	caller->series = NULL;
}

/* The next reply of a series that its caller reads. Return: whether there was one. */
bool control_next_reply(struct control_caller *caller)
{
	bool last = false;
	json_t *parameters;
	char *message;
	size_t len;

	if (!caller->series || (caller->series->due && !caller->series->due(caller->series_ctx)))
		return false;
	parameters = caller->series->next(caller->series_ctx, &last);
	interface_check_reply(caller->method, parameters);
	if (caller->hears)
		caller->hears(parameters);
	assert_int_equal(varlink_reply_more(&message, &len, parameters), 0);
	assert_true(len && !message[len - 1]);
	free(message);
	if (!last)
		return true;
	caller->series->free(caller->series_ctx);
	caller->series = NULL;
	caller->answered = true;
	return false;
}

void control_error(struct control_caller *caller, const char *error, json_t *parameters)
{
	char *message = NULL;
	size_t len = 0;
	json_t *none = NULL;
	int r;

	interface_check_error(error, parameters ? parameters : (none = json_object()));
	json_decref(none);
	r = varlink_error(&message, &len, error, parameters);
	answered(caller, r, message, len);
}

const struct control_rooms *control_rooms(struct control_caller *caller _unused_)
{
	static struct control_rooms rooms;
	struct fixture *f = the_fixture;

	rooms = (struct control_rooms){
		.core = &f->rooms.core,
		.books = &f->rooms.books,
		.devices = &f->rooms.devices,
		.vms = &f->rooms.vms,
		.routing = &f->rooms.routing,
		.commands = &f->rooms.commands,
		.monitor = monitor,
	};
	return &rooms;
}

bool control_may_change(const struct control_caller *caller)
{
	return caller->facts.has_all_rights;
}

const struct policy_caller *control_caller_facts(const struct control_caller *caller)
{
	return &caller->facts;
}

const char *control_who(const struct control_caller *caller _unused_)
{
	return "the test";
}

struct log_limit *control_log_limit(struct control_caller *caller _unused_)
{
	return &limit;
}

void control_wait(struct control_caller *caller, void *what, void (*cancel)(void *what))
{
	assert_true(caller->called && !caller->answered && !caller->waits_for);
	caller->waits_for = what;
	caller->cancel = cancel;
}
