/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands: from the request to the answer. route_change.c has what they write down, route_member.c
 * how each of their devices fares.
 *
 * A command is about one device or several, and moves all or none of them. What forbids it is found
 * before anything is written; then all its wishes are written at once; if one of the devices can't
 * be had, all go back to where they were. It is answered once: when all are where they should be,
 * when the wait is over, when one can't be had, or when a newer command on one of the devices
 * overtakes it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/route_call.h"

#define NS_PER_SECOND 1000000000ull
/* How long a command without a wait of its own may take to have the devices exported … */
#define EXPORT_SECONDS 20
/* … and where something in the guest takes them, to have them there. */
#define GUEST_SECONDS 10
#define TEXT_MAX      4096

/**
 * commands_init() - nobody has said anything yet
 * @commands:	the commands
 * @routing:	what they change
 * @ops:	who hears of refusals
 * @ctx:	what with
 */
void commands_init(struct commands *commands, struct routing *routing,
		   const struct commands_ops *ops, void *ctx)
{
	*commands = (struct commands){.core = routing->core,
				      .books = routing->books,
				      .devices = routing->devices,
				      .vms = routing->vms,
				      .routing = routing,
				      .ops = ops,
				      .ops_ctx = ctx};
	list_init(&commands->calls);
	list_init(&commands->port_jobs);
}

/**
 * commands_started() - end what the last run did not get to
 * @commands:	the commands; control is ready, and devices are where they were
 */
void commands_started(struct commands *commands)
{
	port_jobs_started(commands);
}

/**
 * commands_stop() - control ends: nobody waits any longer
 * @commands:	the commands
 */
void commands_stop(struct commands *commands)
{
	route_calls_end(commands);
	port_jobs_end(commands);
}

/**
 * commands_moved() - a device's route has moved on
 * @commands:	the commands
 * @device:	the device
 */
void commands_moved(struct commands *commands, struct device *device)
{
	port_jobs_changed(commands);
	route_calls_check(commands, device);
}

/**
 * commands_judge() - more is known of a device: who wished it somewhere may have no right to that
 * @commands:	the commands
 * @device:	the device
 */
void commands_judge(struct commands *commands, struct device *device)
{
	if (!device->judge || !commands->core->ready || commands->core->stopping)
		return;
	device->judge = false;
	route_calls_forbid(commands, device);
	route_wish_judge(commands, device);
}

/**
 * commands_removed() - a device is about to be freed
 * @commands:	the commands
 * @device:	the device
 */
void commands_removed(struct commands *commands, struct device *device)
{
	port_jobs_changed(commands);
	route_calls_removed(commands, device);
}

static void call_free(struct route_call *call)
{
	wish_book_deinit(&call->before);
	wish_book_deinit(&call->undo);
	free(call->members);
	free(call);
}

/* The members as the caller sees them, in room of the caller's. */
static size_t call_subjects(const struct route_call *call,
			    struct route_subject subjects[ROUTE_SUBJECTS_MAX])
{
	for (size_t i = 0; i < call->n_members; i++)
		subjects[i] = call->members[i].subject;
	return call->n_members;
}

static void call_answer(struct route_call *call, enum route_outcome outcome, const char *text,
			struct route_times times)
{
	struct route_subject subjects[ROUTE_SUBJECTS_MAX];
	struct route_result result = {
		.outcome = outcome, .text = text, .subjects = subjects, .times = times};

	result.n_subjects = call_subjects(call, subjects);
	list_remove(&call->link);
	loop_cancel(call->commands->core->loop, &call->deadline);
	if (call->handle)
		*call->handle = NULL;
	call->done(call->ctx, &result);
	call_free(call);
}

static void call_end(struct route_call *call, enum route_outcome outcome, const char *format, ...)
	_printf_(3, 4);

static void call_end(struct route_call *call, enum route_outcome outcome, const char *format, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	call_answer(call, outcome, text, (struct route_times){.total = -1});
}

/* ------------------------------------------------------------- all of it */

/* Whether a command says where its devices should be. */
static bool call_places(const struct route_call *call)
{
	return call->ask.verb == ROUTE_ATTACH || call->ask.verb == ROUTE_ASSIGN;
}

/* All go back to where they were. */
static void call_take_back(struct route_call *call, enum route_outcome outcome, const char *why)
{
	route_change_roll_back(call);
	for (size_t i = 0; i < call->n_members; i++)
		if (call->members[i].subject.device)
			route_wish_changed(call->members[i].subject.device);
	call_end(call, outcome, "%s", why);
}

/* One of the devices can't be had: all go back. */
static void call_fail(struct route_call *call, const struct call_member *failed)
{
	const struct route_status route = route_status(failed->subject.device);
	enum route_outcome outcome = route.failure == -EBUSY ? ROUTE_BUSY : ROUTE_NOT_DONE;
	char reason[400];

	snprintf(reason, sizeof(reason), "%s%s%s",
		 call->n_members > 1 ? failed->subject.device->tag : "",
		 call->n_members > 1 ? ": " : "", route.reason);
	if ((call_places(call) && failed->vm) || call->ask.verb == ROUTE_RESERVE)
		call_take_back(call, outcome, reason);
	else
		call_end(call, outcome, "%s", reason);
}

static void call_check(struct route_call *call)
{
	struct route_times slowest = {.total = -1};
	char text[TEXT_MAX] = "";
	size_t len = 0;

	for (size_t i = 0; i < call->n_members; i++) {
		struct call_member *m = &call->members[i];

		if (!m->arrived && m->subject.device &&
		    route_status(m->subject.device).state == ROUTE_FAILED) {
			call_fail(call, m);
			return;
		}
		if (!m->arrived)
			route_member_check(call, m);
	}
	for (size_t i = 0; i < call->n_members; i++) {
		const struct call_member *m = &call->members[i];

		if (!m->arrived)
			return;
		if (m->times.total > slowest.total)
			slowest = m->times;
		if (len < sizeof(text))
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
						len ? "\n" : "", m->text);
	}
	if (!call->n_members)
		snprintf(text, sizeof(text), "undone: %s; no device that is plugged in moves",
			 call->undo_text);
	call_answer(call, ROUTE_DONE, text, slowest);
}

static void call_late(void *ctx, int res _unused_)
{
	struct route_call *call = ctx;
	char text[TEXT_MAX] = "";
	size_t len = 0;

	for (size_t i = 0; i < call->n_members && len < sizeof(text) - 1; i++) {
		const struct call_member *m = &call->members[i];

		if (i)
			text[len++] = '\n';
		if (m->arrived)
			snprintf(text + len, sizeof(text) - len, "%s", m->text);
		else
			route_member_late(call, m, text + len, sizeof(text) - len);
		len += strlen(text + len);
	}
	call_end(call, ROUTE_PENDING, "%s", text);
}

/* ------------------------------------------------------------- asked */

static bool call_is_about(const struct route_call *call, const struct route_subject *s)
{
	for (size_t i = 0; i < call->n_members; i++) {
		const struct route_subject *own = &call->members[i].subject;

		if (s->device ? own->device == s->device
			      : !own->device && !strcmp(own->alias, s->alias) &&
					!strcmp(own->wish_on, s->wish_on))
			return true;
	}
	return false;
}

/* A newer command on the same device takes the older one's place. */
static void calls_supersede(struct commands *commands, const struct route_call *by)
{
	list_for_each_safe(it, &commands->calls) {
		struct route_call *call = list_entry(it, struct route_call, link);

		for (size_t i = 0; i < by->n_members; i++) {
			if (!call_is_about(call, &by->members[i].subject))
				continue;
			call_end(call, ROUTE_SUPERSEDED, "a newer command wants %s elsewhere",
				 route_member_name(&by->members[i]));
			break;
		}
	}
}

/* What would be done. */
static void call_say_only(const struct route_call *call, char *text, size_t size)
{
	const struct route_ask *ask = &call->ask;
	bool has_target = ask->verb == ROUTE_ATTACH || ask->verb == ROUTE_ASSIGN;
	size_t len = 0;

	*text = 0;
	for (size_t i = 0; i < call->n_members && len < size - 1; i++) {
		const struct call_member *m = &call->members[i];
		const char *to = ask->vm ? ask->vm->name : "host";

		if (!has_target)
			len += (size_t)snprintf(text + len, size - len,
						"%s%s: what was said of it would be changed",
						i ? "\n" : "", route_member_name(m));
		else if (!strcmp(m->from, to))
			len += (size_t)snprintf(text + len, size - len, "%s%s: already at %s",
						i ? "\n" : "", route_member_name(m), to);
		else
			len += (size_t)snprintf(text + len, size - len, "%s%s: would go %s -> %s",
						i ? "\n" : "", route_member_name(m), m->from, to);
	}
}

/* The VM that has the device, even if it is on its way out of there. */
static void member_is_from(struct call_member *m)
{
	struct route_status route = {.at = NULL};

	if (m->subject.device)
		route = route_status(m->subject.device);
	snprintf(m->from, sizeof(m->from), "%s",
		 !route.at || !route.exported ? "host"
		 : route.at->is_lan	      ? "the LAN"
					      : route.at->name);
}

static int call_new(struct route_call **ret_call, struct commands *commands,
		    const struct route_ask *ask)
{
	struct route_call *call = calloc(1, sizeof(*call));
	int r;

	if (!call)
		return -ENOMEM;
	call->commands = commands;
	call->ask = *ask;
	call->ask.subjects = NULL;
	call->started_ns = loop_now();
	wish_book_init(&call->before);
	wish_book_init(&call->undo);
	list_init(&call->link);
	/* An undo is about all devices, until it is known which. */
	call->members = calloc(ROUTE_SUBJECTS_MAX, sizeof(*call->members));
	r = !call->members ? -ENOMEM : ask->n_subjects > ROUTE_SUBJECTS_MAX ? -E2BIG : 0;
	if (r < 0) {
		call_free(call);
		return r;
	}
	for (size_t i = 0; i < ask->n_subjects; i++) {
		struct call_member *m = &call->members[call->n_members++];

		m->subject = ask->subjects[i];
		m->times.total = -1;
		member_is_from(m);
	}
	*ret_call = call;
	return 0;
}

static bool reserved_before(const struct route_call *call, const struct device *d)
{
	return route_wish(d, &call->before, WISHES_RESERVED) != NULL;
}

/* An undo is about the devices that are wanted elsewhere than before, or kept otherwise. */
static void call_find_members(struct route_call *call)
{
	list_for_each(it, &call->commands->devices->all) {
		struct device *d = list_entry(it, struct device, link);
		struct route_want want = route_wanted(d);
		struct call_member *m;

		if ((!strcmp(want.target, route_status(d).aimed) &&
		     route_reserved(d) == reserved_before(call, d)) ||
		    call->n_members == ROUTE_SUBJECTS_MAX)
			continue;
		m = &call->members[call->n_members++];
		m->subject.device = d;
		m->times.total = -1;
		member_is_from(m);
	}
}

/* Written down: set its devices going. */
static void call_start(struct route_call *call)
{
	double seconds = call->ask.has_wait ? call->ask.wait_seconds : EXPORT_SECONDS;

	for (size_t i = 0; i < call->n_members; i++) {
		struct call_member *m = &call->members[i];

		route_member_aim(call, m);
		log_notice("%s: wanted at %s, says %s", route_member_name(m), m->to, call->ask.who);
		if (!call->ask.has_wait && route_member_waits(call, m))
			seconds = GUEST_SECONDS;
		if (m->subject.device && call->ask.verb != ROUTE_RESERVE &&
		    call->ask.verb != ROUTE_UNRESERVE)
			route_give_again(m->subject.device);
	}
	calls_supersede(call->commands, call);
	list_append(&call->commands->calls, &call->link);
	loop_watch_time(call->commands->core->loop, &call->deadline, (uint64_t)(seconds * 1e9) + 1,
			call_late, call);
	for (size_t i = 0; i < call->n_members; i++)
		if (call->members[i].subject.device)
			route_wish_changed(call->members[i].subject.device);
	call_check(call);
}

static void refuse(const struct route_ask *ask, route_done done, void *ctx,
		   enum route_outcome outcome, const char *text)
{
	struct route_result result = {.outcome = outcome,
				      .text = text,
				      .subjects = ask->subjects,
				      .n_subjects = ask->n_subjects,
				      .times = {.total = -1}};

	done(ctx, &result);
}

/**
 * route_command() - change what is said of devices, and hear how it went
 * @commands:	the commands
 * @ask:	what, of which devices, how long to wait, and who says so
 * @done:	called once with @ctx, perhaps before this returns
 * @ret_call:	set to the waiting command until it ends; stays where it is meanwhile. NULL: it is
 *		never cancelled
 */
void route_command(struct commands *commands, const struct route_ask *ask, route_done done,
		   void *ctx, struct route_call **ret_call)
{
	struct route_call *call = NULL;
	struct wish_book next;
	enum route_outcome outcome;
	char text[TEXT_MAX] = "nothing was changed yet";
	int r;

	if (ret_call)
		*ret_call = NULL;
	if (ask->verb == ROUTE_UNDO && !commands->books->undo_text[0]) {
		refuse(ask, done, ctx, ROUTE_NOT_DONE, "nothing was changed since the start");
		return;
	}
	r = call_new(&call, commands, ask);
	if (r < 0) {
		refuse(ask, done, ctx, ROUTE_NOT_DONE,
		       r == -E2BIG ? "too many devices" : "out of memory");
		return;
	}
	if (route_change_make(call, &next, text, sizeof(text)) < 0) {
		call_free(call);
		refuse(ask, done, ctx, ROUTE_NOT_DONE, text);
		return;
	}
	outcome = route_call_forbidden(call, &next, text, sizeof(text));
	if (outcome == ROUTE_DONE && ask->dry_run)
		call_say_only(call, text, sizeof(text));
	if (outcome != ROUTE_DONE || ask->dry_run)
		wish_book_deinit(&next);
	else if (route_change_commit(call, &next, text, sizeof(text)) < 0)
		outcome = ROUTE_NOT_DONE;
	if (outcome != ROUTE_DONE || ask->dry_run) {
		call_free(call);
		refuse(ask, done, ctx, outcome, text);
		return;
	}
	call->ask.caller = NULL; /* the wish has it */
	call->done = done;
	call->ctx = ctx;
	call->handle = ret_call;
	if (ret_call)
		*ret_call = call;
	if (ask->verb == ROUTE_UNDO) {
		devices_name_anew(commands->devices);
		call_find_members(call);
	}
	call_start(call);
}

/**
 * route_call_cancel() - nobody waits for a command's answer any more; the wish stands
 * @call:	the waiting command, or NULL
 */
void route_call_cancel(struct route_call *call)
{
	if (!call)
		return;
	list_remove(&call->link);
	loop_cancel(call->commands->core->loop, &call->deadline);
	if (call->handle)
		*call->handle = NULL;
	call_free(call);
}

/* ------------------------------------------------------------- what happens meanwhile */

static struct call_member *call_member_of(struct route_call *call, const struct device *device)
{
	for (size_t i = 0; i < call->n_members; i++)
		if (call->members[i].subject.device == device)
			return &call->members[i];
	return NULL;
}

/* A device's route has moved on. There is one command about it at most: a newer one supersedes. */
void route_calls_check(struct commands *commands, struct device *device)
{
	list_for_each(it, &commands->calls) {
		struct route_call *call = list_entry(it, struct route_call, link);

		if (call_member_of(call, device)) {
			call_check(call); /* there is no second one: it was superseded */
			return;
		}
	}
}

/* More is known of a device: a command on its way may not be what anybody would be allowed. */
void route_calls_forbid(struct commands *commands, struct device *device)
{
	list_for_each(it, &commands->calls) {
		struct route_call *call = list_entry(it, struct route_call, link);
		struct call_member *m = call_member_of(call, device);
		char by[256], text[300];

		if (!m || m->arrived || !call_places(call) || !call->ask.vm)
			continue;
		if (!route_permits(device, call->ask.vm->name, by, sizeof(by)))
			snprintf(text, sizeof(text), "%s", by);
		else if (!route_asker_may(device, by, sizeof(by)))
			snprintf(text, sizeof(text), "your user: %s", by);
		else
			continue;
		call_take_back(call, ROUTE_DENIED, text);
		return; /* there is no second one */
	}
}

/* A device bears a name, perhaps only now, that a waiting command may have meant. */
void route_calls_named(struct commands *commands, struct device *device)
{
	const char *alias = device_alias(device);

	list_for_each(it, &commands->calls) {
		struct route_call *call = list_entry(it, struct route_call, link);

		for (size_t i = 0; alias && i < call->n_members; i++) {
			struct call_member *m = &call->members[i];

			if (m->subject.device || strcmp(m->subject.alias, alias))
				continue;
			m->subject.device = device;
			m->arrived = false;
			return;
		}
	}
}

/* A device is about to be freed. */
void route_calls_removed(struct commands *commands, struct device *device)
{
	list_for_each_safe(it, &commands->calls) {
		struct route_call *call = list_entry(it, struct route_call, link);
		struct call_member *m = call_member_of(call, device);

		if (!m)
			continue;
		m->subject.device = NULL;
		if (call->n_members == 1) {
			call_end(call, ROUTE_UNPLUGGED, "%s was unplugged meanwhile", device->tag);
			continue;
		}
		route_member_arrive(m, "%s: unplugged meanwhile", device->tag);
		call_check(call);
	}
}

/**
 * route_calls_vm_left() - a VM leaves: nobody waits for it any longer
 * @commands:	the commands
 * @vm:		the VM
 */
void route_calls_vm_left(struct commands *commands, struct vm *vm)
{
	list_for_each_safe(it, &commands->calls) {
		struct route_call *call = list_entry(it, struct route_call, link);
		bool about = call->ask.vm == vm;

		for (size_t i = 0; i < call->n_members; i++)
			about = about || call->members[i].vm == vm;
		if (about)
			call_end(call, ROUTE_NOT_DONE, "%s: %s; the wish stands", vm->name,
				 vm_why_left(vm));
	}
}

/* The daemon ends. */
void route_calls_end(struct commands *commands)
{
	list_for_each_safe(it, &commands->calls) {
		struct route_call *call = list_entry(it, struct route_call, link);

		call_end(call, ROUTE_NOT_DONE, "the daemon is being stopped; the wish stands");
	}
}
