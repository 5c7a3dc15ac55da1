/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands: attach and detach, from the wish that is written down to the answer.
 *
 * A command whose wish was written is answered once: when the device is where it was wished, when
 * the wait is over, when it can't be had (then the wish goes back to what it was: the transaction's
 * rollback), or when a newer command on the same device overtakes it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/guest_side.h"
#include "daemon/route.h"
#include "daemon/route_call.h"
#include "daemon/state_file.h"

#define NS_PER_SECOND 1000000000ull
/* How long a command without a wait of its own may take to have the device exported. */
#define EXPORT_SECONDS 20
/* … and to have the device in a guest that takes it by itself. */
#define GUEST_SECONDS 10

struct route_call {
	struct list link;
	struct daemon *daemon;
	struct route_ask ask;
	char alias[32];	      /* what ask.alias points at */
	char from[32];	      /* where the device was */
	struct wishes before; /* to go back to after a failure */
	uint64_t started_ns;
	bool moved; /* something had to be done at all */
	struct loop_watch deadline;
	route_done done;
	void *ctx;
	struct route_call **handle;
};

static void call_free(struct route_call *call)
{
	wishes_deinit(&call->before);
	free(call);
}

static void call_end(struct route_call *call, enum route_outcome outcome, double ms,
		     const char *format, ...) _printf_(4, 5);

static void call_end(struct route_call *call, enum route_outcome outcome, double ms,
		     const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	list_remove(&call->link);
	loop_cancel(call->daemon->loop, &call->deadline);
	if (call->handle)
		*call->handle = NULL;
	call->done(call->ctx, outcome, call->ask.device, text, ms);
	call_free(call);
}

static const char *call_name(const struct route_call *call)
{
	return call->ask.device ? call->ask.device->tag : call->alias;
}

static const char *call_to(const struct route_call *call)
{
	return call->ask.vm ? call->ask.vm->name : "host";
}

/* ------------------------------------------------------------- wishes, durably */

static int wishes_save(struct daemon *daemon, const struct wishes *wishes)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];
	size_t len;
	int r;

	r = wishes_format(wishes, &text, &len);
	if (r < 0)
		return r;
	daemon_path(path, sizeof(path), daemon->config->runtime_directory, "wishes");
	return state_file_write(path, text, len);
}

/* Make a changed copy of the wishes the wishes, once it is written; it is taken either way. */
static int wishes_commit(struct daemon *daemon, struct wishes *next)
{
	struct wishes copy;
	int r = wishes_save(daemon, next);

	if (r == 0)
		r = wishes_copy(&copy, next);
	if (r == 0) {
		struct list *l;

		wishes_deinit(&daemon->wishes);
		while ((l = list_pop(&copy.all)))
			list_append(&daemon->wishes.all, l);
		daemon->wishes.n = copy.n;
	}
	wishes_deinit(next);
	return r;
}

static int call_wish(struct route_call *call)
{
	const struct route_ask *ask = &call->ask;
	const char *target = ask->vm ? ask->vm->name : "host";
	struct daemon *daemon = call->daemon;
	struct wishes next;
	int r;

	r = wishes_copy(&call->before, &daemon->wishes);
	if (r == 0)
		r = wishes_copy(&next, &daemon->wishes);
	if (r < 0)
		return r;
	if (ask->device) {
		struct device_facts facts = device_facts_of(ask->device);

		r = wish_set(&next, &facts, ask->by_port, device_pair_is_unique(ask->device),
			     target);
	} else {
		r = wish_set_alias(&next, ask->alias, target);
	}
	if (r == 0)
		return wishes_commit(daemon, &next);
	wishes_deinit(&next);
	return r;
}

static void call_roll_back(struct route_call *call)
{
	struct device *d = call->ask.device;
	struct device_facts facts = device_facts_of(d);
	struct wishes next;
	const char *by;
	int r;

	r = wishes_copy(&next, &call->daemon->wishes);
	if (r == 0) {
		r = wish_restore(&next, &call->before, &facts, device_pair_is_unique(d));
		if (r == 0)
			r = wishes_commit(call->daemon, &next);
		else
			wishes_deinit(&next);
	}
	if (r < 0)
		log_err("%s: the old wish can't be written: %s", d->tag, errno_text(r));
	log_notice("%s: wanted at %s again, as before", d->tag, route_wanted(d, &by));
}

/* ------------------------------------------------------------- the answer */

/* The line that makes a guest without an agent take the device. */
static void call_line(const struct route_call *call, char *text, size_t size)
{
	const struct device *d = call->ask.device;
	char address[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &call->daemon->config->address, address, sizeof(address));
	snprintf(text, size, "in %s, type: usbip attach -r %s -b %s", call_to(call), address,
		 d->alias ? d->alias->name : d->busid);
}

static double call_ms(const struct route_call *call)
{
	return (double)(loop_now() - call->started_ns) / 1e6;
}

static void call_check_vm(struct route_call *call)
{
	struct device *d = call->ask.device;
	struct vm *vm = call->ask.vm;
	bool takes = guest_side_takes(vm);
	bool waits = call->ask.has_wait ? call->ask.wait_seconds > 0 : takes;
	char line[160];

	if (!d) {
		if (!waits)
			call_end(call, ROUTE_DONE, -1,
				 "pending: %s is not plugged in; it goes to %s "
				 "when it is",
				 call_name(call), vm->name);
		return;
	}
	if (d->route.state == ROUTE_FAILED) {
		enum route_outcome outcome =
			d->route.failure == -EBUSY ? ROUTE_BUSY : ROUTE_NOT_DONE;
		char reason[200];

		snprintf(reason, sizeof(reason), "%s", d->route.reason);
		call_roll_back(call);
		list_remove(&call->link); /* answered; what follows must not find it */
		route_wish_changed(d);
		call_end(call, outcome, -1, "%s", reason);
		return;
	}
	if (d->route.state == ROUTE_HELD && d->route.at == vm && vm->connected) {
		call_line(call, line, sizeof(line));
		if (waits && takes && !d->route.guest_has)
			return;
		if (d->route.session && call->moved)
			call_end(call, ROUTE_DONE, call_ms(call), "%s: %s -> %s", d->tag,
				 call->from, vm->name);
		else if (d->route.session)
			call_end(call, ROUTE_DONE, -1, "%s: already in %s", d->tag, vm->name);
		else if (!waits && call->moved)
			call_end(call, ROUTE_DONE, -1, "%s: %s -> %s\n%s", d->tag, call->from,
				 vm->name, line);
		else if (!waits)
			call_end(call, ROUTE_DONE, -1, "%s: already routed to %s\n%s", d->tag,
				 vm->name, line);
		return;
	}
	if (!waits && !vm->connected &&
	    (d->route.state == ROUTE_HOST || d->route.state == ROUTE_HELD))
		call_end(call, ROUTE_DONE, -1, "pending: %s goes to %s when %s is connected",
			 d->tag, vm->name, vm->name);
	else if (call->ask.has_wait && !waits)
		call_end(call, ROUTE_DONE, -1, "pending: %s is on its way from %s to %s", d->tag,
			 call->from, vm->name);
}

static void call_check_host(struct route_call *call)
{
	struct device *d = call->ask.device;

	if (!d) {
		call_end(call, ROUTE_DONE, -1,
			 "%s: not plugged in; it stays with the host when it "
			 "is",
			 call_name(call));
	} else if (d->route.state == ROUTE_HOST && !d->route.was_ours) {
		if (call->moved)
			call_end(call, ROUTE_DONE, call_ms(call), "%s: %s -> host", d->tag,
				 call->from);
		else
			call_end(call, ROUTE_DONE, -1, "%s: already at the host", d->tag);
	} else if (d->route.state == ROUTE_FAILED) {
		/* The wish stands: it is tried again. */
		call_end(call, ROUTE_NOT_DONE, -1, "%s", d->route.reason);
	} else if (call->ask.has_wait && call->ask.wait_seconds <= 0) {
		call_end(call, ROUTE_DONE, -1, "pending: %s is on its way to the host", d->tag);
	}
}

static void call_check(struct route_call *call)
{
	if (call->ask.vm)
		call_check_vm(call);
	else
		call_check_host(call);
}

static void call_late(void *ctx, int res _unused_)
{
	struct route_call *call = ctx;
	struct device *d = call->ask.device;
	char reason[200] = "it is not plugged in", line[160];

	if (d && call->ask.vm && d->route.state == ROUTE_HELD && d->route.at == call->ask.vm &&
	    d->route.at->connected) {
		if (d->route.guest_text[0])
			snprintf(line, sizeof(line), "%s", d->route.guest_text);
		else if (guest_side_takes(d->route.at))
			snprintf(line, sizeof(line), "its agent is at it");
		else
			call_line(call, line, sizeof(line));
		call_end(call, ROUTE_PENDING, -1, "%s: routed to %s, which has not taken it; %s",
			 d->tag, call_to(call), line);
		return;
	}
	if (d)
		route_state_name(d, reason, sizeof(reason));
	call_end(call, ROUTE_PENDING, -1, "%s: not at %s yet: %s", call_name(call), call_to(call),
		 reason[0] ? reason : "it is on its way");
}

/* ------------------------------------------------------------- asked */

/* A newer command on the same device takes the older one's place. */
static void calls_supersede(struct daemon *daemon, const struct route_ask *ask)
{
	list_for_each_safe(it, &daemon->calls) {
		struct route_call *call = list_entry(it, struct route_call, link);

		if (ask->device ? call->ask.device == ask->device
				: !call->ask.device && !strcmp(call->alias, ask->alias))
			call_end(call, ROUTE_SUPERSEDED, -1, "a newer command wants %s elsewhere",
				 call_name(call));
	}
}

static bool call_is_there(const struct route_call *call)
{
	const struct device *d = call->ask.device;

	if (!d)
		return false;
	if (!call->ask.vm)
		return d->route.state == ROUTE_HOST && !d->route.was_ours;
	return d->route.state == ROUTE_HELD && d->route.at == call->ask.vm;
}

/**
 * route_command() - wish a device elsewhere, and hear how it went
 * @daemon:	the daemon
 * @ask:	what, where, how long to wait, and who says so
 * @done:	called once with @ctx, perhaps before this returns
 * @ret_call:	set to the waiting command until it ends; stays where it is meanwhile
 */
void route_command(struct daemon *daemon, const struct route_ask *ask, route_done done, void *ctx,
		   struct route_call **ret_call)
{
	const struct config_device *alias =
		ask->device ? ask->device->alias : config_find_device(daemon->config, ask->alias);
	struct route_call *call = NULL;
	char text[200];
	double seconds = ask->has_wait ? ask->wait_seconds : EXPORT_SECONDS;
	int r;

	if (!ask->has_wait && ask->vm && guest_side_takes(ask->vm))
		seconds = GUEST_SECONDS;
	*ret_call = NULL;
	if (ask->vm &&
	    !route_permits(daemon, ask->device, alias, ask->vm->name, text, sizeof(text))) {
		done(ctx, ROUTE_DENIED, ask->device, text, -1);
		return;
	}
	if (ask->vm && ask->device && ask->device->broken[0]) {
		snprintf(text, sizeof(text), "it is broken: %s", ask->device->broken);
		done(ctx, ROUTE_NOT_DONE, ask->device, text, -1);
		return;
	}
	call = calloc(1, sizeof(*call));
	if (!call) {
		done(ctx, ROUTE_NOT_DONE, ask->device, "out of memory", -1);
		return;
	}
	call->daemon = daemon;
	call->ask = *ask;
	if (ask->alias)
		snprintf(call->alias, sizeof(call->alias), "%s", ask->alias);
	call->ask.alias = call->alias;
	call->started_ns = loop_now();
	call->done = done;
	call->ctx = ctx;
	/* Who has it, and be it on its way out of there. */
	snprintf(call->from, sizeof(call->from), "%s",
		 ask->device && ask->device->route.at ? ask->device->route.at->name : "host");
	call->moved = !call_is_there(call);

	wishes_init(&call->before);
	r = call_wish(call);
	if (r < 0) {
		snprintf(text, sizeof(text), "%s/wishes can't be written: %s; nothing was changed",
			 daemon->config->runtime_directory, errno_text(r));
		call_free(call);
		done(ctx, ROUTE_NOT_DONE, ask->device, text, -1);
		return;
	}
	log_notice("%s: wanted at %s, says %s", call_name(call), call_to(call), ask->who);
	calls_supersede(daemon, &call->ask);
	call->handle = ret_call;
	*ret_call = call;
	list_append(&daemon->calls, &call->link);
	loop_watch_time(daemon->loop, &call->deadline, (uint64_t)(seconds * 1e9) + 1, call_late,
			call);
	if (call->ask.device)
		route_wish_changed(call->ask.device); /* checks the call, too */
	else
		call_check(call);
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
	loop_cancel(call->daemon->loop, &call->deadline);
	if (call->handle)
		*call->handle = NULL;
	call_free(call);
}

/* ------------------------------------------------------------- what happens meanwhile */

/* A device's route has moved on. A command's answer may start another round: one at a time. */
void route_calls_check(struct device *device)
{
	list_for_each(it, &device->daemon->calls) {
		struct route_call *call = list_entry(it, struct route_call, link);

		if (call->ask.device == device) {
			call_check(call); /* there is no second one: it was superseded */
			return;
		}
	}
}

/* A device was plugged in that a waiting command may have meant. */
void route_calls_added(struct device *device)
{
	list_for_each(it, &device->daemon->calls) {
		struct route_call *call = list_entry(it, struct route_call, link);

		if (!call->ask.device && device->alias &&
		    !strcmp(device->alias->name, call->alias)) {
			call->ask.device = device;
			return;
		}
	}
}

/* A device is about to be freed. */
void route_calls_removed(struct device *device)
{
	list_for_each_safe(it, &device->daemon->calls) {
		struct route_call *call = list_entry(it, struct route_call, link);

		if (call->ask.device != device)
			continue;
		call->ask.device = NULL;
		call_end(call, ROUTE_UNPLUGGED, -1, "%s was unplugged meanwhile", device->tag);
	}
}

/* The daemon ends. */
void route_calls_end(struct daemon *daemon)
{
	list_for_each_safe(it, &daemon->calls) {
		struct route_call *call = list_entry(it, struct route_call, link);

		call_end(call, ROUTE_NOT_DONE, -1, "the daemon is being stopped; the wish stands");
	}
}
