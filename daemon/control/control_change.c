/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The methods that change what is said of devices: each is a route_ask made from its parameters,
 * once the caller's rights to it are clear.
 *
 * Root and the group "usbrouted" may do all. For methods with CONTROL_ROUTE the policy's rules with
 * user= and group= give others the right to a device at a VM. A caller needs it for the VM that
 * gets a device, and for the one that loses it.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/control/control_json.h"
#include "daemon/control/control_method.h"
#include "daemon/control/monitor.h"
#include "daemon/devices/device_registry.h"
#include "daemon/routing/policy_subject.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/subjects.h"
#include "policy/name.h"

/* A command under way, from the caller's side. */
struct change {
	struct control_caller *caller;
	struct route_call *call;
	struct route_ask ask;
	struct route_subject subjects[ROUTE_SUBJECTS_MAX];
	const char *device; /* as the caller said it */
	bool takes_back;    /* what was said before, also of devices that are not there */
};

static void change_freep(struct change **change)
{
	free(*change);
}

#define _cleanup_change_ _cleanup_(change_freep)

/* ------------------------------------------------------------- answers */

static json_t *json_subject(const struct control_rooms *rooms, const struct route_subject *s)
{
	if (s->device)
		return json_device(s->device);
	return s->alias[0] ? json_absent(rooms, s->alias) : json_lost(rooms, s->wish_on);
}

static json_t *change_reply(const struct control_rooms *rooms, const struct route_result *result)
{
	const struct route_times *t = &result->times;
	json_t *reply, *devices = json_array();
	json_t *message = json_lines(result->text);
	/* The first one is in it twice. */
	size_t room = JSON_LIST_MAX - json_size(message), left_out = 0;

	for (size_t i = 0; i < result->n_subjects; i++) {
		json_t *device = json_subject(rooms, &result->subjects[i]);

		room -= i ? 0 : min_t(size_t, json_size(device), room);
		left_out += !json_append_within(devices, device, &room);
	}
	reply = json_pack("{s:o, s:I, s:o, s:o, s:o, s:o, s:o}", "devices", devices,
			  "devices_left_out", (json_int_t)left_out, "message", message,
			  "milliseconds", json_ms(t->total), "daemon_ms",
			  json_ms(t->total < 0 ? -1 : t->daemon), "import_ms",
			  json_ms(t->total < 0 ? -1 : t->wire), "guest_ms",
			  json_ms(t->total < 0 ? -1 : t->guest));
	if (reply && json_array_size(devices))
		json_object_set(reply, "device", json_array_get(devices, 0));
	return reply;
}

/**
 * control_refuse() - answer that a command did not do what was asked
 * @caller:	the caller
 * @outcome:	not ROUTE_DONE
 * @text:	why
 */
void control_refuse(struct control_caller *caller, enum route_outcome outcome, const char *text)
{
	static const struct {
		const char *error, *parameter;
	} errors[] = {
		[ROUTE_PENDING] = {"Pending", "reason"},   [ROUTE_BUSY] = {"Busy", "reason"},
		[ROUTE_SUPERSEDED] = {"Superseded", NULL}, [ROUTE_DENIED] = {"Denied", "by"},
		[ROUTE_NOT_DONE] = {"Failed", "reason"},   [ROUTE_UNPLUGGED] = {"Failed", "reason"},
	};

	control_error(caller, errors[outcome].error,
		      errors[outcome].parameter
			      ? json_pack("{s:o}", errors[outcome].parameter, json_lines(text))
			      : NULL);
}

/* Whoever listens hears of it, and by which device and VM. */
static void tell_refused(const struct change *change, const char *reason)
{
	const struct route_ask *ask = &change->ask;
	const struct device *device = ask->n_subjects == 1 ? change->subjects[0].device : NULL;

	if (!ask->dry_run)
		monitor_refused(control_rooms(change->caller)->monitor, device, change->device,
				ask->vm ? ask->vm->name : "host", reason);
}

static void answer(struct control_caller *caller, const struct route_result *result)
{
	if (result->outcome == ROUTE_DONE)
		control_reply(caller, change_reply(control_rooms(caller), result));
	else
		control_refuse(caller, result->outcome, result->text);
}

static void change_done(void *ctx, const struct route_result *result)
{
	/* The result may tell of the subjects that are in it. */
	_cleanup_change_ struct change *change = ctx;

	if (result->outcome == ROUTE_DENIED || result->outcome == ROUTE_BUSY)
		tell_refused(change, result->text);
	answer(change->caller, result);
}

static void change_cancel(void *what)
{
	struct change *change = what;

	route_call_cancel(change->call);
	free(change);
}

/* ------------------------------------------------------------- parameters */

/* Read a selector of a device that need not be there; a port gets its stable spelling. */
int control_selector(const struct control_rooms *rooms, const char *text,
		     struct selector *ret_selector)
{
	struct selector s = SELECTOR_INIT;
	const char *expected;
	char *stable = NULL;
	int r = selector_parse_word(&s, text, &expected);

	if (r == 0 && s.port && !name_is_stable_port(s.port)) {
		r = device_registry_stable_port(rooms->devices->registry, s.port, &stable);
		free(s.port);
		s.port = stable;
	}
	if (r < 0)
		selector_deinit(&s);
	else
		*ret_selector = s;
	return r;
}

/* Find what was said of a device that is not there; it can only be taken back. */
static int lost_subjects(struct change *change, const char *text)
{
	const struct control_rooms *rooms = control_rooms(change->caller);
	struct selector s;
	size_t n = 0;
	int r;

	if (subject_of_lost_name(rooms->commands, text, change->subjects)) {
		change->ask.n_subjects = 1;
		return 0;
	}
	if (control_selector(rooms, text, &s) < 0)
		return RESOLVE_UNKNOWN;
	n = subjects_of_lost_wishes(rooms->commands, &s, change->subjects);
	change->ask.n_subjects = n;
	r = !n ? RESOLVE_UNKNOWN : n > 1 && !s.port ? RESOLVE_AMBIGUOUS : 0;
	selector_deinit(&s);
	return r;
}

static bool subjects(struct change *change, const struct varlink_call *call)
{
	const char *expected = NULL, *text = control_text(call, "device");
	int r;

	change->device = text;
	r = subjects_resolve(control_rooms(change->caller)->commands, text, change->subjects,
			     &change->ask.n_subjects, &expected);
	change->ask.subjects = change->subjects;
	if (r == RESOLVE_UNKNOWN && change->takes_back)
		r = lost_subjects(change, text);
	/*
	 * A wish for a name that several devices could bear, and none does, belongs to none of
	 * them.
	 */
	if (r == RESOLVE_AMBIGUOUS && change->takes_back &&
	    subject_of_lost_name(control_rooms(change->caller)->commands, text, change->subjects)) {
		change->ask.n_subjects = 1;
		r = 0;
	}
	if (r == RESOLVE_AMBIGUOUS && change->ask.n_subjects)
		control_ambiguous_wishes(change->caller, change->subjects, change->ask.n_subjects);
	else if (r == RESOLVE_AMBIGUOUS)
		control_ambiguous(change->caller, text);
	else if (r < 0)
		control_invalid_device(change->caller, text, expected);
	else if (r > 0)
		control_no_device(change->caller, text);
	return r == 0;
}

static bool vm_parameter(struct change *change, const struct varlink_call *call)
{
	const char *vm = control_text(call, "vm");

	change->ask.vm = vm_find(control_rooms(change->caller)->vms, vm);
	if (!change->ask.vm)
		control_no_vm(change->caller, vm);
	return change->ask.vm != NULL;
}

/* ------------------------------------------------------------- rights */

static bool has_right(struct control_caller *caller, const struct route_subject *s, const char *vm,
		      char *by, size_t size)
{
	const struct control_rooms *rooms = control_rooms(caller);
	struct policy_subject subject;

	if (s->device)
		policy_subject_of(&subject, s->device);
	else
		policy_subject_absent(&subject, rooms->core->config, s->alias,
				      config_find_device(rooms->core->config, s->alias));
	return policy_right(rooms->core->policy, control_caller_facts(caller), &subject.facts, vm,
			    by, size);
}

static bool subject_allowed(struct control_caller *caller, const struct route_subject *s,
			    const struct vm *to, char *by, size_t size)
{
	const struct control_rooms *rooms = control_rooms(caller);
	const struct vm *from = NULL;

	if (s->device) {
		struct route_status route = route_status(s->device);

		from = vm_find(rooms->vms, route_wanted(s->device).target);
		if (route.at && route.exported)
			from = route.at;
	}
	if (to && !has_right(caller, s, to->name, by, size))
		return false;
	if (from && from != to)
		return has_right(caller, s, from->name, by, size);
	if (to)
		return true;
	/* It is at no VM and goes to none: whoever may route it to any VM may do this. */
	list_for_each(it, &rooms->vms->all) {
		if (has_right(caller, s, list_entry(it, struct vm, link)->name, by, size))
			return true;
	}
	return false;
}

/**
 * control_may_route() - whether a caller may change something about devices
 * @caller:	the caller; answered where it may not
 * @subjects:	the devices
 * @n:		how many
 * @to:		the VM that gets them; NULL: none does
 *
 * Return: whether.
 */
bool control_may_route(struct control_caller *caller, const struct route_subject *subjects,
		       size_t n, const struct vm *to)
{
	char by[256] = "", text[400];
	bool all = n > 0;

	if (control_may_change(caller))
		return true;
	for (size_t i = 0; all && i < n; i++)
		all = subject_allowed(caller, &subjects[i], to, by, sizeof(by));
	if (all)
		return true;
	log_limited(control_log_limit(caller), LOG_LEVEL_NOTICE, "%s may not do that%s%s",
		    control_who(caller), *by ? ": " : "", by);
	snprintf(
		text, sizeof(text),
		"your user: only root, members of the group \"usbrouted\" and those whom a rule names may%s%s",
		*by ? "; " : "", by);
	control_error(caller, "Denied", json_pack("{s:o}", "by", json_text(text)));
	return false;
}

static bool allowed(const struct change *change)
{
	return control_may_route(change->caller, change->subjects, change->ask.n_subjects,
				 change->ask.vm);
}

/* ------------------------------------------------------------- methods */

static struct change *change_new(struct control_caller *caller, const struct varlink_call *call,
				 enum route_verb verb)
{
	struct change *change = calloc(1, sizeof(*change));
	struct route_ask *ask;

	if (!change) {
		control_error(caller, "Failed", json_pack("{s:s}", "reason", "out of memory"));
		return NULL;
	}
	change->caller = caller;
	ask = &change->ask;
	ask->verb = verb;
	if (!control_caller_facts(caller)->has_all_rights)
		ask->caller = control_caller_facts(caller);
	snprintf(ask->who, sizeof(ask->who), "%s", control_who(caller));
	ask->has_wait = control_seconds(call, "wait_seconds", &ask->wait_seconds);
	control_seconds(call, "for_seconds", &ask->for_seconds);
	ask->until_unplug = control_flag(call, "until_unplug");
	ask->force = control_flag(call, "force");
	ask->dry_run = control_flag(call, "dry_run");
	return change;
}

static void change_begin(struct change *change)
{
	/* This comes first: the answer may come at once, and then there is no change any more. */
	control_wait(change->caller, change, change_cancel);
	route_command(control_rooms(change->caller)->commands, &change->ask, change_done, change,
		      &change->call);
}

static void method_attach(struct control_caller *caller, const struct varlink_call *call)
{
	_cleanup_change_ struct change *c = change_new(caller, call, ROUTE_ATTACH);

	if (c && subjects(c, call) && vm_parameter(c, call) && allowed(c))
		change_begin(take_ptr(c));
}

static void method_detach(struct control_caller *caller, const struct varlink_call *call)
{
	_cleanup_change_ struct change *c = change_new(caller, call, ROUTE_ATTACH);

	if (!c)
		return;
	c->takes_back = c->ask.for_seconds <= 0 && !c->ask.until_unplug;
	if (subjects(c, call) && allowed(c))
		change_begin(take_ptr(c));
}

static void method_assign(struct control_caller *caller, const struct varlink_call *call)
{
	_cleanup_change_ struct change *c = change_new(caller, call, ROUTE_ASSIGN);

	if (c && subjects(c, call) &&
	    (!strcmp(control_text(call, "vm"), "host") || vm_parameter(c, call)))
		change_begin(take_ptr(c));
}

static void method_unassign(struct control_caller *caller, const struct varlink_call *call)
{
	_cleanup_change_ struct change *c = change_new(caller, call, ROUTE_UNASSIGN);

	if (!c)
		return;
	c->takes_back = true;
	if (subjects(c, call))
		change_begin(take_ptr(c));
}

static void method_release(struct control_caller *caller, const struct varlink_call *call)
{
	_cleanup_change_ struct change *c = change_new(caller, call, ROUTE_RELEASE);

	if (!c)
		return;
	c->takes_back = true;
	if (subjects(c, call) && allowed(c))
		change_begin(take_ptr(c));
}

static void method_reserve(struct control_caller *caller, const struct varlink_call *call)
{
	bool off = control_flag(call, "off");
	_cleanup_change_ struct change *c =
		change_new(caller, call, off ? ROUTE_UNRESERVE : ROUTE_RESERVE);

	if (!c)
		return;
	c->takes_back = off;
	if (subjects(c, call))
		change_begin(take_ptr(c));
}

/* Find where `to` leads; false, and answered, if it leads nowhere. */
static bool switch_target(struct change *change, const struct varlink_call *call)
{
	const char *to = control_text(call, "to");
	const struct control_rooms *rooms = control_rooms(change->caller);
	struct route_ask *ask = &change->ask;
	bool next = !strcmp(to, "next"), prev = !strcmp(to, "prev");

	if (next || prev)
		ask->vm = route_next_vm(rooms->commands, ask->subjects, ask->n_subjects, prev);
	else
		ask->vm = vm_find(rooms->vms, to);
	if (ask->vm || !strcmp(to, "host"))
		return true;
	if (next || prev)
		control_error(
			change->caller, "Failed",
			json_pack("{s:s}", "reason", "no VM is connected that may have it next"));
	else
		control_no_vm(change->caller, to);
	return false;
}

static void method_switch(struct control_caller *caller, const struct varlink_call *call)
{
	_cleanup_change_ struct change *c = change_new(caller, call, ROUTE_ATTACH);

	if (c && subjects(c, call) && switch_target(c, call) && allowed(c))
		change_begin(take_ptr(c));
}

static void method_undo(struct control_caller *caller, const struct varlink_call *call)
{
	_cleanup_change_ struct change *c = change_new(caller, call, ROUTE_UNDO);

	if (c)
		change_begin(take_ptr(c));
}

const struct control_method control_change_methods[] = {
	{"Attach",
	 CONTROL_ROUTE,
	 method_attach,
	 {{"device", CONTROL_TEXT},
	  {"vm", CONTROL_TEXT},
	  {"wait_seconds", CONTROL_WAIT, true},
	  {"for_seconds", CONTROL_FOR, true},
	  {"until_unplug", CONTROL_FLAG, true},
	  {"force", CONTROL_FLAG, true},
	  {"dry_run", CONTROL_FLAG, true}}},
	{"Detach",
	 CONTROL_ROUTE,
	 method_detach,
	 {{"device", CONTROL_TEXT},
	  {"for_seconds", CONTROL_FOR, true},
	  {"until_unplug", CONTROL_FLAG, true},
	  {"dry_run", CONTROL_FLAG, true}}},
	{"Switch",
	 CONTROL_ROUTE,
	 method_switch,
	 {{"device", CONTROL_TEXT},
	  {"to", CONTROL_TEXT},
	  {"wait_seconds", CONTROL_WAIT, true},
	  {"force", CONTROL_FLAG, true},
	  {"dry_run", CONTROL_FLAG, true}}},
	{"Assign",
	 CONTROL_ALL,
	 method_assign,
	 {{"device", CONTROL_TEXT},
	  {"vm", CONTROL_TEXT},
	  {"wait_seconds", CONTROL_WAIT, true},
	  {"dry_run", CONTROL_FLAG, true}}},
	{"Unassign",
	 CONTROL_ALL,
	 method_unassign,
	 {{"device", CONTROL_TEXT}, {"dry_run", CONTROL_FLAG, true}}},
	{"Release",
	 CONTROL_ROUTE,
	 method_release,
	 {{"device", CONTROL_TEXT}, {"dry_run", CONTROL_FLAG, true}}},
	{"Reserve",
	 CONTROL_ALL,
	 method_reserve,
	 {{"device", CONTROL_TEXT}, {"off", CONTROL_FLAG, true}, {"dry_run", CONTROL_FLAG, true}}},
	{"Undo", CONTROL_ALL, method_undo, {}},
	{},
};
