/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where each device should be, where it is, and the steps in between; see route.h. What sets them
 * going is in route_outside.c, commands are in route_call.c, words for people in route_view.c.
 *
 *             open            give            opened
 *   HOST ----------> OPENING ------> GIVING ----------> HELD <----------------.
 *    ^                  | failed        | failed          | take              | give
 *    | rebound          v               v                 v        handed over|
 *   REBINDING <----- (closed) <------ TAKING <------------+-------------------'
 *                       |                     (failed: gone, stuck, not at rest)
 *                       v
 *                    FAILED --later, or wished elsewhere--> OPENING, REBINDING
 *
 * A reset leads from HELD, HOST and FAILED back there: route_reset.c.
 */
#include "daemon/routing/route_private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "daemon/routing/claims.h"
#include "daemon/devices/device_hid.h"
#include "daemon/routing/old_sessions.h"
#include "daemon/vms/vm_process.h"

#define NS_PER_SECOND	  1000000000ull
#define RETRY_MAX_SECONDS 60
/* How often to check whether the host has another keyboard. */
#define SPARED_SECONDS 10

/**
 * route_state() - how far a device is
 * @route:	its route; where it is in several VMs, the one that has had it for longest says it
 */
enum route_state route_state(const struct route *route)
{
	static const enum route_state states[] = {
		[PLACEMENT_GIVING] = ROUTE_GIVING,
		[PLACEMENT_HELD] = ROUTE_HELD,
		[PLACEMENT_TAKING] = ROUTE_TAKING,
		[PLACEMENT_RESETTING] = ROUTE_RESETTING,
	};
	const struct placement *first = placement_first(route->device);

	static_assert(ARRAY_SIZE(states) == PLACEMENT_RESETTING + 1, "each has one");
	return first ? states[first->state] : route->state;
}

/**
 * routing_init() - no route yet
 * @routing:	it
 * @devices:	the devices, with what was said of them
 * @vms:	the VMs
 * @ops:	what the rooms above know
 * @ctx:	what they are asked with
 */
void routing_init(struct routing *routing, struct devices *devices, struct vms *vms,
		  const struct routing_ops *ops, void *ctx)
{
	*routing = (struct routing){.core = devices->core,
				    .books = devices->books,
				    .devices = devices,
				    .vms = vms,
				    .ops = ops,
				    .ctx = ctx};
	list_init(&routing->claimed_before);
	list_init(&routing->old_sessions);
}

/* ------------------------------------------------------------- failures */

/* What failed is tried again now. */
void route_try_again(struct device *device)
{
	loop_cancel(device->devices->core->loop, &device->route->retry);
	if (device->route->state == ROUTE_FAILED) {
		log_info("%s: trying again", device->tag);
		device->route->state = ROUTE_HOST;
	}
	route_reconcile(device);
}

static void route_retry(void *ctx, int res _unused_)
{
	route_try_again(ctx);
}

static void route_fail(struct device *device, int r, const char *reason)
{
	struct route *route = device->route;
	unsigned seconds = 1u << min_t(unsigned, route->failures, 6);

	route->guard = fd_close(route->guard);
	loop_cancel(device->devices->core->loop, &route->retry);
	route->state = list_empty(&route->placements) ? ROUTE_FAILED : ROUTE_HELD;
	route->failure = r;
	route->failures++;
	if (reason != route->reason)
		snprintf(route->reason, sizeof(route->reason), "%s",
			 reason && *reason ? reason : errno_text(r));
	seconds = min_t(unsigned, seconds, RETRY_MAX_SECONDS);
	/* If it was unplugged, the hotplug event tells that in a moment. */
	if (r != -ENODEV)
		log_warning("%s: %s", device->tag, route->reason);
	claims_save(device->route->routing);
	/* A listener may have wished it there, and take that back: then nothing is tried again. */
	device_raise(device, EVENT_ROUTE_MOVED);
	loop_watch_time(device->devices->core->loop, &route->retry, seconds * NS_PER_SECOND,
			route_retry, device);
}

/* ------------------------------------------------------------- what the guest's thread tells */

static void route_opened(void *ctx, int r, const char *reason)
{
	struct placement *placement = ctx;
	struct device *device = placement->device;
	struct route *route = device->route;

	route->guard = fd_close(route->guard);
	if (placement->state != PLACEMENT_GIVING)
		return; /* given only to be closed */
	if (r < 0) {
		route->failure = r;
		snprintf(route->reason, sizeof(route->reason), "%s", reason);
		placement_take(placement, true);
		return;
	}
	placement->state = PLACEMENT_HELD;
	route->failures = 0;
	route->failure = 0;
	route->reason[0] = 0;
	placement_held(placement);
	log_info("%s: claimed for %s", device->tag,
		 placement->role == PLACEMENT_KEPT ? "whoever gets it next"
		 : placement->vm->is_lan	   ? "the LAN"
						   : placement->vm->name);
	route_reconcile(device);
}

static void route_imported(void *ctx, int r, const struct guest_peer *peer)
{
	struct placement *placement = ctx;

	placement->importing = false;
	placement->session = r == 0;
	placement->session_ns = loop_now();
	if (r == 0) {
		placement->peer = *peer;
		old_sessions_save(placement->device->route->routing);
	}
	if (r == 0 && placement->vm->is_lan) {
		char by[ROUTE_LAN_TEXT];

		log_notice("%s: %s has it, over the LAN", placement->device->tag,
			   route_lan_by(placement->device, by));
	}
	route_reconcile(placement->device);
}

static void route_session_ended(void *ctx, int r, const char *reason)
{
	struct placement *placement = ctx;
	struct device *device = placement->device;
	struct route *route = device->route;

	placement->session = placement->guest_has = false;
	old_sessions_save(route->routing);
	if (r < 0 && placement->state == PLACEMENT_HELD) {
		route->failure = r;
		snprintf(route->reason, sizeof(route->reason), "%s", reason);
		placement_take(placement, true);
		return;
	}
	route_reconcile(device);
}

static void route_gone(void *ctx)
{
	struct placement *placement = ctx;
	struct route *route = placement->device->route;

	if (placement->state == PLACEMENT_HELD) {
		route->failure = -ENODEV;
		snprintf(route->reason, sizeof(route->reason), "the device is gone");
		placement_take(placement, true);
	}
}

static void route_stuck(void *ctx, const char *what)
{
	struct placement *placement = ctx;
	struct device *device = placement->device;
	struct vm *from = placement->vm;
	char text[160];

	/* It frees itself, should the call ever end; we go on as if it were not there. */
	placement_forget(placement);
	snprintf(text, sizeof(text), "stuck in the kernel (%s)", what);
	device->route->failures = 6;
	route_fail(device, -ETIMEDOUT, text);
	vm_maybe_gone(from);
}

/* Its process gets what was made for it. */
static void route_give(struct placement *placement)
{
	struct route *route = placement->device->route;

	route->state = ROUTE_HELD;
	placement->state = PLACEMENT_GIVING;
	placement->told_exported = false;
	placement->device->ours = true;
	route->before = (struct route_before){0};
	/* This comes before the process has it: the next control must know by which number. */
	claims_save(route->routing);
	guest_give(placement->vm->guest, placement->gd);
}

/* Claimed and at rest. No process has it, and one must, even if only to close it. */
static void route_hand_over(struct placement *placement)
{
	struct device *device = placement->device;
	struct route_aim aim = route_aim(device);

	if (aim.vm && (aim.vm == placement->vm || !placement_in(device, aim.vm))) {
		placement_move(placement, aim.vm, aim.role);
		route_give(placement);
	} else {
		guest_give(placement->vm->guest, placement->gd);
		guest_take(placement->vm->guest, placement->gd, true);
	}
}

static void route_taken(void *ctx, bool closed, int r, const char *reason _unused_)
{
	struct placement *placement = ctx;
	struct device *device = placement->device;
	struct route *route = device->route;
	struct vm *from = placement->vm;

	if (device->devices->core->stopping) {
		if (closed)
			placement->gd = guest_device_free(placement->gd);
		return;
	}
	if (!closed) {
		route_hand_over(placement);
		vm_maybe_gone(from);
		return;
	}
	guest_device_free(placement->gd);
	placement_free(placement);
	vm_maybe_gone(from);
	if (r < 0 && !route->failure) {
		route->failure = r;
		snprintf(route->reason, sizeof(route->reason), "%s", errno_text(r));
	}
	if (route->failure) {
		route_fail(device, route->failure, route->reason);
		return;
	}
	if (list_empty(&route->placements))
		route->state = ROUTE_HOST;
	route_reconcile(device);
}

static void route_hotkey(void *ctx, enum hotkey which)
{
	struct placement *placement = ctx;

	device_raise(placement->device,
		     which == HOTKEY_PANIC ? EVENT_HOTKEY_PANIC : EVENT_HOTKEY_NEXT);
}

/* What a claim shows of the device may forbid what it was claimed for. */
static void route_hid(void *ctx, const struct hid_found *found)
{
	struct device *device = ((struct placement *)ctx)->device;

	if (device_hid_add(device, found))
		device_known_anew(device);
}

static const struct guest_device_events route_events = {
	.opened = route_opened,
	.imported = route_imported,
	.session_ended = route_session_ended,
	.gone = route_gone,
	.stuck = route_stuck,
	.taken = route_taken,
	.hotkey = route_hotkey,
	.was_reset = route_was_reset,
	.hid = route_hid,
};

/* ------------------------------------------------------------- steps */

/**
 * route_identity() - what the broker is told of a device
 * @device:	the device
 */
struct broker_device route_identity(const struct device *device)
{
	struct broker_device d = {
		.busnum = device->busnum,
		.devnum = device->devnum,
		.id_vendor = device->id_vendor,
		.id_product = device->id_product,
	};

	snprintf(d.busid, sizeof(d.busid), "%s", device->busid);
	return d;
}

static void route_node_opened(struct broker_request *req, int r, int fds[2], const char *text)
{
	struct device *device = container_of(req, struct route, req)->device;
	struct route *route = device->route;
	struct route_aim aim = route_aim(device);
	char reason[200];

	if (r == 0 && aim.vm && !device->devices->core->stopping) {
		struct placement *placement = placement_new(device, aim.vm, aim.role);

		if (placement)
			placement->gd = guest_device_new(device->tag, &device->info, fds[0],
							 device->devices->core->loop, &route_events,
							 placement);
		if (placement && placement->gd) {
			route->guard = fds[1];
			route_give(placement);
			return;
		}
		if (placement)
			placement_free(placement);
		r = -ENOMEM;
		text = "no memory for it";
	}
	fd_close(fds[0]);
	fd_close(fds[1]);
	if (r < 0) {
		/* If the host uses it, the broker's text says it all. */
		snprintf(reason, sizeof(reason), "%s%s%s", text, r == -EBUSY ? "" : ": ",
			 r == -EBUSY ? "" : errno_text(r));
		route_fail(device, r, reason);
		return;
	}
	/* Wished back meanwhile: nothing of the host's was touched. */
	route->state = ROUTE_HOST;
	claims_save(device->route->routing);
	route_reconcile(device);
}

static void route_open(struct device *device)
{
	struct broker_device identity = route_identity(device);
	int r;

	device->route->state = ROUTE_OPENING;
	device->route->failure = 0;
	/*
	 * This comes before the host's driver is taken off it: the next control must know after a
	 * crash.
	 */
	r = claims_save(device->route->routing);
	if (r == 0)
		r = broker_open(device->route->routing->broker, &device->route->req, &identity,
				route_node_opened);
	if (r < 0)
		route_fail(device, r, "asking the broker for it");
}

static void route_rebound(struct broker_request *req, int r, int fds[2] _unused_, const char *text)
{
	struct device *device = container_of(req, struct route, req)->device;
	char reason[160];

	if (r < 0) {
		snprintf(reason, sizeof(reason), "giving it back to the host: %s: %s", text,
			 errno_text(r));
		route_fail(device, r, reason);
		return;
	}
	device->route->state = ROUTE_HOST;
	device->ours = false;
	device->route->failures = 0;
	device->route->reason[0] = 0;
	claims_save(device->route->routing);
	log_info("%s: given back to the host's drivers", device->tag);
	route_reconcile(device);
}

static void route_rebind(struct device *device)
{
	struct broker_device identity = route_identity(device);
	int r;

	device->route->state = ROUTE_REBINDING;
	r = broker_rebind(device->route->routing->broker, &device->route->req, &identity,
			  route_rebound);
	if (r < 0)
		route_fail(device, r, "asking the broker for its drivers");
}

/* Another keyboard's input node comes after its device's event, and nothing tells of it here. */
static void route_look_again(struct device *device)
{
	if (!loop_watching(&device->route->retry))
		loop_watch_time(device->devices->core->loop, &device->route->retry,
				SPARED_SECONDS * NS_PER_SECOND, route_retry, device);
}

/* The device is in no VM: if it should and may be in one, it is opened. */
static void route_leave_host(struct device *device, const struct route_aim *aim)
{
	/* Until that process has ended, nobody else could claim it. */
	if (route_stranger(device))
		return;
	/*
	 * A device stays with the host until its VM is there for the first time: else nobody could
	 * type the command that starts it. Once claimed it stays so while the VM is away: else what
	 * is typed meanwhile would go to the host's console. A reserved device is never the host's.
	 */
	if (aim->vm && (aim->role == PLACEMENT_KEPT || aim->vm->connected || device->ours ||
			route_reserved(device)))
		route_open(device);
	else if (!aim->vm && !aim->coming && device->ours)
		route_rebind(device);
	else if (aim->spared)
		route_look_again(device);
}

/* One of the VMs that it is in: it stays there in the role that it should have, or leaves. */
static void route_step(struct placement *placement, const struct route_aim *aim)
{
	bool stays = aim->vm == placement->vm;

	vm_raise(placement->vm, EVENT_EXPORTS_CHANGED);
	if (placement->state != PLACEMENT_HELD)
		return;
	if (stays && placement->vm->is_lan && placement->session &&
	    !route_lan_may(placement->device, &placement->peer)) {
		route_lan_leaves(placement, aim);
		placement_take(placement, true);
		return;
	}
	if (!stays && placement->vm->is_lan)
		route_lan_leaves(placement, aim);
	if (!stays || (placement->role == PLACEMENT_GUEST && aim->role == PLACEMENT_KEPT)) {
		/* Handed over claimed, where another VM gets it. */
		placement_take(placement,
			       !aim->vm || (!stays && placement_in(placement->device, aim->vm)));
	} else if (placement->role != aim->role) {
		placement->role = aim->role;
		placement_held(placement);
	}
}

/**
 * route_reconcile() - take the next step from actual to wanted, and tell who waits for it
 * @device:	the device; each VM that it is in has a step of its own
 */
void route_reconcile(struct device *device)
{
	struct route *route = device->route;
	struct route_aim aim;

	if (!device->devices->core->ready || device->devices->core->stopping)
		return;
	aim = route_aim(device);
	if (route->state == ROUTE_HOST)
		route_leave_host(device, &aim);
	list_for_each(it, &route->placements)
		route_step(list_entry(it, struct placement, link), &aim);
	device_raise(device, EVENT_ROUTE_MOVED);
}

/**
 * route_wish_changed() - a command has wished a device elsewhere
 * @device:	the device; what failed before is tried at once
 */
void route_wish_changed(struct device *device)
{
	struct route_want want = route_wanted(device);

	memcpy(device->route->aimed, want.target, sizeof(want.target));
	device->route->failures = 0;
	device->route->failure = 0;
	if (device->route->state == ROUTE_FAILED) {
		loop_cancel(device->devices->core->loop, &device->route->retry);
		device->route->state = ROUTE_HOST;
	}
	route_reconcile(device);
}

/* ------------------------------------------------------------- what the last control has left */

static enum placement_state state_of(const struct guest_held *held)
{
	if (held->taking)
		return PLACEMENT_TAKING;
	if (held->resetting)
		return PLACEMENT_RESETTING;
	return held->opened || held->failed ? PLACEMENT_HELD : PLACEMENT_GIVING;
}

/*
 * The guest may have taken its process over: that the process holds the device counts only if we
 * have written down that it was given it. What it says of the session concerns only that guest.
 */
static void route_take_up(struct device *device, struct vm *vm)
{
	struct route *route = device->route;
	struct route_aim aim = route_aim(device);
	struct placement *placement = placement_new(device, vm, PLACEMENT_KEPT);
	struct guest_held held;

	if (!placement)
		return;
	placement->gd = guest_device_take_up(vm->guest, route->before.number, device->tag,
					     &device->info, &route_events, placement, &held);
	route->before = (struct route_before){0};
	if (!placement->gd) {
		placement_free(placement);
		return;
	}
	route->state = ROUTE_HELD;
	device->ours = true;
	placement->state = state_of(&held);
	placement->importing = held.importing;
	placement->session = held.session;
	placement->peer = held.peer;
	placement->held_ns = placement->session_ns = held.since_ns;
	if ((aim.vm == vm && aim.role == PLACEMENT_GUEST) || held.session || held.importing)
		placement->role = PLACEMENT_GUEST;
	log_info("%s: still with %s%s", device->tag, vm->name,
		 held.session ? ", which has it" : "");
	if (held.failed || held.gone) {
		route->failure = held.gone ? -ENODEV : -EIO;
		snprintf(route->reason, sizeof(route->reason), "%s",
			 held.gone ? "the device is gone" : "it could not be claimed");
		if (placement->state == PLACEMENT_HELD)
			placement_take(placement, true);
	}
	/*
	 * The caller looks at all devices again: one that is not taken up yet must not be opened.
	 */
	device_hid_add(device, &held.hid);
	device->judge = true;
}

/**
 * routes_take_up() - a VM's process is known: its devices are where the last control had them
 * @routing:	the routing
 * @vm:		the VM; what its process holds beside that is taken from it
 *
 * routes_review() is to follow.
 */
void routes_take_up(struct routing *routing, struct vm *vm)
{
	/* Of a stranger's devices only what was written down is known. */
	if (vm->process.strange)
		return;
	list_for_each(it, &routing->devices->all) {
		struct device *d = list_entry(it, struct device, link);

		if (strcmp(d->route->before.vm, vm->name) || d->route->state != ROUTE_HOST)
			continue;
		if (vm->guest)
			route_take_up(d, vm);
		else
			d->route->before = (struct route_before){0};
	}
	if (vm->guest)
		guest_take_rest(vm->guest);
	claims_save(routing);
	old_sessions_save(routing);
}
