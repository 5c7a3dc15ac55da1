/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One device of a command: where it goes, whether it has arrived, and the words for a person. A
 * member is its command's (route_call.c), and reads the device's route without changing it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/commands/route_call.h"

/**
 * route_member_name() - what a device of a command is called
 * @m:		the member
 */
const char *route_member_name(const struct call_member *m)
{
	const struct route_subject *s = &m->subject;

	return s->device ? s->device->tag : s->alias[0] ? s->alias : s->wish_on;
}

/**
 * route_member_arrive() - a command has no more to wait for in a device
 * @m:		the member
 * @format:	what is told of it
 */
void route_member_arrive(struct call_member *m, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(m->text, sizeof(m->text), format, ap);
	va_end(ap);
	m->arrived = true;
}

static const char *member_line(const struct call_member *m, char *text, size_t size)
{
	return route_import_line(m->subject.device, m->vm, text, size);
}

/* Whether something in its guest takes what is routed there. */
static bool takes(const struct route_call *call, const struct call_member *m)
{
	const struct routing *routing = call->commands->routing;

	return routing->ops->takes(routing->ctx, m->vm);
}

/**
 * route_member_waits() - whether a command waits until the guest has a device, not only until the
 * guest may take it
 * @call:	the command
 * @m:		the member
 */
bool route_member_waits(const struct route_call *call, const struct call_member *m)
{
	if (call->ask.has_wait)
		return call->ask.wait_seconds > 0;
	return m->vm && takes(call, m);
}

static double ms_between(uint64_t from, uint64_t to)
{
	return to > from ? (double)(to - from) / 1e6 : 0;
}

/* From where to where; a device that was let go of in a guest never left it. */
static void member_way(const struct call_member *m, char *way, size_t size)
{
	if (strcmp(m->from, m->to))
		snprintf(way, size, "%s -> %s", m->from, m->to);
	else
		snprintf(way, size, "given to %s again", m->to);
}

/* It is in the guest; how long each part took. */
static void member_in_guest(struct route_call *call, struct call_member *m)
{
	const struct route_status r = route_status(m->subject.device);
	uint64_t end = r.guest_has ? r.guest_ns : r.session_ns;
	struct route_times *t = &m->times;
	char way[80];

	if (!m->moved) {
		route_member_arrive(m, "%s: already in %s", route_member_name(m), m->to);
		return;
	}
	t->total = ms_between(call->started_ns, end);
	t->daemon = ms_between(call->started_ns, r.held_ns);
	t->wire = ms_between(max_t(uint64_t, call->started_ns, r.held_ns), r.session_ns);
	t->guest = r.guest_has ? ms_between(r.session_ns, r.guest_ns) : -1;
	member_way(m, way, sizeof(way));
	if (t->guest >= 0)
		route_member_arrive(m, "%s: %s in %.0f ms (daemon %.0f, import %.0f, guest %.0f)",
				    route_member_name(m), way, t->total, t->daemon, t->wire,
				    t->guest);
	else
		route_member_arrive(m, "%s: %s in %.0f ms", route_member_name(m), way, t->total);
}

static void member_exported(struct route_call *call, struct call_member *m)
{
	const struct route_status r = route_status(m->subject.device);
	bool taken = takes(call, m);
	char line[300], way[80];

	if (r.session && (!taken || r.guest_has || !m->moved)) {
		member_in_guest(call, m);
		return;
	}
	if (route_member_waits(call, m))
		return;
	member_way(m, way, sizeof(way));
	if (taken)
		route_member_arrive(m, "%s: %s", route_member_name(m), way);
	else if (m->moved)
		route_member_arrive(m, "%s: %s\n%s", route_member_name(m), way,
				    member_line(m, line, sizeof(line)));
	else
		route_member_arrive(m, "%s: already routed to %s\n%s", route_member_name(m), m->to,
				    member_line(m, line, sizeof(line)));
}

static bool member_is_exported(const struct call_member *m)
{
	return m->subject.device && m->vm && route_exported_to(m->subject.device, m->vm);
}

/* Why a name means no device; false where it is simply not plugged in. */
static bool member_why_absent(const struct route_call *call, const struct call_member *m,
			      char *reason, size_t size)
{
	return m->subject.alias[0] &&
	       device_name_why_absent(call->commands->devices, m->subject.alias, reason, size);
}

static void member_absent_for_vm(struct call_member *m, const struct route_call *call)
{
	const char *name = route_member_name(m);
	char reason[200];

	if (member_why_absent(call, m, reason, sizeof(reason)))
		route_member_arrive(
			m, "pending: %s goes to %s once a device is called that; now none is: %s",
			name, m->to, reason);
	else
		route_member_arrive(m, "pending: %s is not plugged in; it goes to %s when it is",
				    name, m->to);
}

static void member_absent_for_host(struct call_member *m, const struct route_call *call)
{
	const char *name = route_member_name(m);
	char reason[200];

	if (m->subject.wish_on[0] &&
	    route_wanted_on(&call->commands->books->now, m->subject.wish_on).by ==
		    WANTED_BY_DEFAULT)
		route_member_arrive(m, "%s: what was said of it is forgotten", name);
	else if (member_why_absent(call, m, reason, sizeof(reason)))
		route_member_arrive(
			m, "%s: stays with the host once a device is called that; now none is: %s",
			name, reason);
	else
		route_member_arrive(m, "%s: not plugged in; it stays with the host when it is",
				    name);
}

/* No step is under way. */
static bool is_at_rest(const struct device *d)
{
	enum route_state state = route_status(d).state;

	return state == ROUTE_HOST || state == ROUTE_HELD;
}

/* Where nobody has said anything of a device that is exported, it is offered to the LAN. */
static bool is_offered(const struct device *d)
{
	struct route_status route = route_status(d);

	return route.state == ROUTE_HELD && route.exported && route.at->is_lan;
}

static void member_check_lan(struct route_call *call, struct call_member *m)
{
	const char *name = route_member_name(m);

	if (is_offered(m->subject.device))
		route_member_arrive(
			m, m->moved ? "%s: %s -> the LAN" : "%s: already offered over the LAN",
			name, m->from);
	else if (call->ask.has_wait && call->ask.wait_seconds <= 0)
		route_member_arrive(m, "pending: %s is on its way to the LAN", name);
}

/* Claimed, and only kept from the host. */
static bool is_kept(const struct device *d)
{
	struct route_status route = route_status(d);

	return route.state == ROUTE_HELD && !route.exported;
}

static void member_check_vm(struct route_call *call, struct call_member *m)
{
	const struct device *d = m->subject.device;
	const char *name = route_member_name(m);
	bool at_rest;

	if (!d) {
		if (!route_member_waits(call, m))
			member_absent_for_vm(m, call);
		return;
	}
	if (member_is_exported(m)) {
		member_exported(call, m);
		return;
	}
	at_rest = is_at_rest(d);
	if (!m->vm && at_rest)
		route_member_arrive(m, "pending: %s goes to %s, which is not configured", name,
				    m->to);
	else if (!route_member_waits(call, m) && !m->vm->connected && at_rest)
		route_member_arrive(m, "pending: %s goes to %s when %s is connected", name, m->to,
				    m->to);
	else if (call->ask.has_wait && !route_member_waits(call, m))
		route_member_arrive(m, "pending: %s is on its way from %s to %s", name, m->from,
				    m->to);
}

static void member_check_host(struct route_call *call, struct call_member *m)
{
	const struct device *d = m->subject.device;
	const char *name = route_member_name(m);

	if (!d) {
		member_absent_for_host(m, call);
	} else if (route_for_lan(d)) {
		member_check_lan(call, m);
	} else if (route_reserved(d) && is_kept(d)) {
		route_member_arrive(m, "%s: kept for the guests; the host's drivers don't have it",
				    name);
	} else if (route_status(d).state == ROUTE_HOST && !d->ours) {
		if (route_reserved(d))
			route_member_arrive(
				m, "pending: %s is reserved, and there is no VM to keep it for",
				name);
		else if (!m->moved)
			route_member_arrive(m, "%s: already at the host", name);
		else if (!strcmp(m->from, "host"))
			route_member_arrive(m, "%s: given back to the host's drivers", name);
		else
			route_member_arrive(m, "%s: %s -> host in %.0f ms", name, m->from,
					    ms_between(call->started_ns, loop_now()));
	} else if (call->ask.has_wait && call->ask.wait_seconds <= 0) {
		route_member_arrive(m, "pending: %s is on its way to the host", name);
	}
}

/* Reserved from now on, or no longer; this command does not change where it is wanted. */
static void member_check_reserved(struct route_call *call, struct call_member *m)
{
	bool reserve = call->ask.verb == ROUTE_RESERVE;
	const struct device *d = m->subject.device;
	const char *name = route_member_name(m);

	if (!d && reserve)
		route_member_arrive(m, "pending: %s is not plugged in; it is reserved when it is",
				    name);
	else if (!d || (!reserve && m->vm))
		route_member_arrive(m, "%s: not reserved any more", name);
	else if (reserve && route_status(d).state == ROUTE_HELD && route_status(d).exported)
		route_member_arrive(m, "%s: reserved; it is claimed for %s", name,
				    is_offered(d) ? "the LAN" : route_status(d).at->name);
	else if (!m->vm || is_at_rest(d))
		member_check_host(call, m);
}

/**
 * route_member_check() - see whether a device has arrived
 * @call:	the command
 * @m:		the member, not arrived and not failed
 */
void route_member_check(struct route_call *call, struct call_member *m)
{
	if (call->ask.verb == ROUTE_RESERVE || call->ask.verb == ROUTE_UNRESERVE)
		member_check_reserved(call, m);
	else if (strcmp(m->to, "host"))
		member_check_vm(call, m);
	else
		member_check_host(call, m);
}

/**
 * route_member_late() - what keeps a device from being where it should be, when the wait is over
 * @call:	the command
 * @m:		the member, not arrived
 * @text:	gets it
 * @size:	room there
 */
void route_member_late(const struct route_call *call, const struct call_member *m, char *text,
		       size_t size)
{
	const struct device *d = m->subject.device;
	const char *name = route_member_name(m);
	char reason[300] = "it is not plugged in";

	if (!d)
		member_why_absent(call, m, reason, sizeof(reason));
	if (member_is_exported(m) && !takes(call, m)) {
		snprintf(text, size, "%s: routed to %s, which has not taken it; %s", name, m->to,
			 member_line(m, reason, sizeof(reason)));
		return;
	}
	if (member_is_exported(m)) {
		snprintf(text, size, "%s: routed to %s, which has not got it yet%s%s", name, m->to,
			 *route_status(d).guest_text ? ": " : "", route_status(d).guest_text);
		return;
	}
	if (d)
		route_shown(d, reason, sizeof(reason));
	snprintf(text, size, "%s: not at %s yet: %s", name, m->to,
		 reason[0] ? reason : "it is on its way");
}

static bool member_is_there(const struct call_member *m)
{
	const struct device *d = m->subject.device;
	struct route_status route;

	if (!d)
		return false;
	route = route_status(d);
	if (!strcmp(m->to, "host") && route_for_lan(d))
		return is_offered(d);
	if (!strcmp(m->to, "host"))
		return route_reserved(d) ? is_kept(d) : route.state == ROUTE_HOST && !d->ours;
	return route.state == ROUTE_HELD && route.at == m->vm && route.exported &&
	       !route.let_go.vm[0];
}

/**
 * route_member_aim() - where a device goes, now that it is written down
 * @call:	the command
 * @m:		the member
 */
void route_member_aim(struct route_call *call, struct call_member *m)
{
	const struct device *d = m->subject.device;
	struct route_want want;

	m->vm = NULL;
	m->to = "host";
	if (d) {
		want = route_wanted(d);
		m->vm = vm_find(call->commands->vms, want.target);
		if (m->vm)
			m->to = m->vm->name;
	} else if (m->subject.wish_on[0]) {
		want = route_wanted_on(&call->commands->books->now, m->subject.wish_on);
		m->vm = vm_find(call->commands->vms, want.target);
		if (m->vm)
			m->to = m->vm->name;
	} else if (call->ask.verb == ROUTE_ATTACH || call->ask.verb == ROUTE_ASSIGN) {
		m->vm = call->ask.vm;
		m->to = m->vm ? m->vm->name : "host";
	} else {
		want = route_wanted_absent(call->commands->routing, m->subject.alias);
		m->vm = vm_find(call->commands->vms, want.target);
		if (m->vm)
			m->to = m->vm->name;
	}
	m->moved = !member_is_there(m);
}

/**
 * route_member_settled() - whether a device is as far as it can come by itself
 * @commands:	the commands
 * @device:	the device
 * @line:	where a person has to make its guest take it: a new line and what to type; else ""
 * @size:	room there
 */
bool route_member_settled(const struct commands *commands, const struct device *device, char *line,
			  size_t size)
{
	const struct route_status route = route_status(device);
	const struct routing *routing = commands->routing;

	*line = 0;
	switch (route.state) {
	case ROUTE_HOST:
		return true;
	case ROUTE_HELD:
		if (is_offered(device))
			return true;
		/*
		 * Its guest does not take it while it sleeps, or if somebody there has let go of
		 * it.
		 */
		if (!route_exported_to(device, route.at) || route.let_go.vm[0] || route.at->asleep)
			return true;
		if (routing->ops->takes(routing->ctx, route.at))
			return route.session && route.guest_has;
		if (!route.session) {
			line[0] = '\n';
			route_import_line(device, route.at, line + 1, size - 1);
		}
		return true;
	default:
		return false;
	}
}
