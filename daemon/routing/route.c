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
/* How often it is looked whether the host has another keyboard by now. */
#define SPARED_SECONDS 10

/**
 * route_at() - a VM's thread has a device from now on, or is to have it
 * @route:	the device's
 * @vm:		the VM; NULL: none has. vm_maybe_gone() of the last one is to follow
 */
void route_at(struct route *route, struct vm *vm)
{
	if (route->at)
		route->at->n_devices--;
	route->at = vm;
	if (vm)
		vm->n_devices++;
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

static void route_retry(void *ctx, int res _unused_)
{
	struct device *device = ctx;

	if (device->route->state == ROUTE_FAILED) {
		log_info("%s: trying again", device->tag);
		device->route->state = ROUTE_HOST;
	}
	route_reconcile(device);
}

static void route_fail(struct device *device, int r, const char *reason)
{
	struct route *route = device->route;
	unsigned seconds = 1u << min_t(unsigned, route->failures, 6);

	route->guard = fd_close(route->guard);
	loop_cancel(device->devices->core->loop, &route->retry);
	route->state = ROUTE_FAILED;
	route_at(route, NULL);
	route->failure = r;
	route->failures++;
	if (reason != route->reason)
		snprintf(route->reason, sizeof(route->reason), "%s",
			 reason && *reason ? reason : errno_text(r));
	seconds = min_t(unsigned, seconds, RETRY_MAX_SECONDS);
	/* Of what was unplugged the hotplug event tells, in a moment. */
	if (r != -ENODEV)
		log_warning("%s: %s", device->tag, route->reason);
	claims_save(device->route->routing);
	/* Who hears of it may have wished it there, and take that back: then nothing is tried again. */
	device_raise(device, EVENT_ROUTE_MOVED);
	loop_watch_time(device->devices->core->loop, &route->retry, seconds * NS_PER_SECOND,
			route_retry, device);
}

/* ------------------------------------------------------------- what the guest's thread tells */

/**
 * route_held() - exported from now on: nothing of what the last guest said counts
 * @device:	the device
 */
void route_held(struct device *device)
{
	device->route->held_ns = loop_now();
	device->route->guest_has = false;
	device->route->guest_text[0] = 0;
	if (strcmp(device->route->let_go.vm, device->route->at->name))
		device->route->let_go = (struct route_let_go){0};
}

static void route_opened(void *ctx, int r, const char *reason)
{
	struct device *device = ctx;
	struct route *route = device->route;

	route->guard = fd_close(route->guard);
	if (route->state != ROUTE_GIVING)
		return; /* given only to be closed */
	if (r < 0) {
		route->failure = r;
		snprintf(route->reason, sizeof(route->reason), "%s", reason);
		route_take(device, true);
		return;
	}
	route->state = ROUTE_HELD;
	route->failures = 0;
	route->failure = 0;
	route->reason[0] = 0;
	route_held(device);
	log_info("%s: claimed for %s", device->tag,
		 route->exported ? route->at->name : "whoever gets it next");
	route_reconcile(device);
}

static void route_imported(void *ctx, int r, const struct guest_peer *peer)
{
	struct device *device = ctx;

	device->route->importing = false;
	device->route->session = r == 0;
	device->route->session_ns = loop_now();
	if (r == 0) {
		device->route->peer = *peer;
		old_sessions_save(device->route->routing);
	}
	route_reconcile(device);
}

static void route_session_ended(void *ctx, int r, const char *reason)
{
	struct device *device = ctx;
	struct route *route = device->route;

	route->session = route->guest_has = false;
	old_sessions_save(device->route->routing);
	if (r < 0 && route->state == ROUTE_HELD) {
		route->failure = r;
		snprintf(route->reason, sizeof(route->reason), "%s", reason);
		route_take(device, true);
		return;
	}
	route_reconcile(device);
}

static void route_gone(void *ctx)
{
	struct device *device = ctx;
	struct route *route = device->route;

	if (route->state == ROUTE_HELD) {
		route->failure = -ENODEV;
		snprintf(route->reason, sizeof(route->reason), "the device is gone");
		route_take(device, true);
	}
}

/**
 * route_let_go() - have nothing more to do with what a guest's thread has of a device
 * @device:	told to be taken; it frees itself
 */
void route_let_go(struct device *device)
{
	struct route *route = device->route;

	guest_device_forget(route->gd);
	route->gd = NULL;
	route->importing = route->session = route->guest_has = false;
}

static void route_stuck(void *ctx, const char *what)
{
	struct device *device = ctx;
	struct route *route = device->route;
	struct vm *from = route->at;
	char text[160];

	vm_raise(from, EVENT_EXPORTS_CHANGED);

	/* It frees itself, should the call ever end; we go on as if it were not there. */
	if (route->state != ROUTE_TAKING)
		guest_take(route->at->guest, route->gd, true);
	route_let_go(device);
	snprintf(text, sizeof(text), "stuck in the kernel (%s)", what);
	route->failures = 6;
	route_fail(device, -ETIMEDOUT, text);
	vm_maybe_gone(from);
}

static void route_give(struct device *device, struct route_aim aim)
{
	struct route *route = device->route;

	route->state = ROUTE_GIVING;
	route_at(route, aim.vm);
	route->exported = aim.exported;
	route->told_exported = false;
	device->ours = true;
	route->before = (struct route_before){0};
	/* Before the process has it: whoever comes after us must know by which number. */
	claims_save(device->route->routing);
	guest_give(aim.vm->guest, route->gd);
}

static void route_taken(void *ctx, bool closed, int r, const char *reason _unused_)
{
	struct device *device = ctx;
	struct route *route = device->route;
	struct vm *from = route->at;
	struct route_aim aim;

	if (device->devices->core->stopping) {
		if (closed)
			route->gd = guest_device_free(route->gd);
		return;
	}
	aim = route_aim(device);
	if (!closed) {
		/* Claimed and at rest. No thread has it, and one must, even if only to close it. */
		if (aim.vm) {
			route_give(device, aim);
		} else {
			guest_give(route->at->guest, route->gd);
			guest_take(route->at->guest, route->gd, true);
		}
		vm_maybe_gone(from);
		return;
	}
	route->gd = guest_device_free(route->gd);
	route_at(route, NULL);
	vm_maybe_gone(from);
	if (r < 0 && !route->failure) {
		route->failure = r;
		snprintf(route->reason, sizeof(route->reason), "%s", errno_text(r));
	}
	if (route->failure) {
		route_fail(device, route->failure, route->reason);
		return;
	}
	route->state = ROUTE_HOST;
	route_reconcile(device);
}

static void route_hotkey(void *ctx, enum hotkey which)
{
	device_raise(ctx, which == HOTKEY_PANIC ? EVENT_HOTKEY_PANIC : EVENT_HOTKEY_NEXT);
}

/* What only shows when a device is claimed may forbid what it was claimed for. */
static void route_hid(void *ctx, const struct hid_found *found)
{
	struct device *device = ctx;

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
		route->gd = guest_device_new(device->tag, &device->info, fds[0],
					     device->devices->core->loop, &route_events, device);
		if (route->gd) {
			route->guard = fds[1];
			route_give(device, aim);
			return;
		}
		r = -ENOMEM;
		text = "no memory for it";
	}
	fd_close(fds[0]);
	fd_close(fds[1]);
	if (r < 0) {
		/* Of what is in use on the host the broker's words say it all. */
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
	/* Before the host's driver is taken off it: whoever comes after a crash must know. */
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

/**
 * route_take() - have a guest's thread hand a device back
 * @device:	HELD, GIVING or RESETTING; a failure of it was written down before
 * @close_it:	close it, else hand it over claimed where that is possible
 */
void route_take(struct device *device, bool close_it)
{
	struct route *route = device->route;

	route->state = ROUTE_TAKING;
	vm_raise(route->at, EVENT_EXPORTS_CHANGED);
	guest_take(route->at->guest, route->gd, close_it);
}

/* Another keyboard's input node comes after the device's event, and with no event of its own here.
 */
static void route_look_again(struct device *device)
{
	if (!loop_watching(&device->route->retry))
		loop_watch_time(device->devices->core->loop, &device->route->retry,
				SPARED_SECONDS * NS_PER_SECOND, route_retry, device);
}

/**
 * route_reconcile() - take the one next step from actual to wanted, and tell who waits for it
 * @device:	the device
 */
void route_reconcile(struct device *device)
{
	struct route *route = device->route;
	struct route_aim aim;

	if (!device->devices->core->ready || device->devices->core->stopping)
		return;
	aim = route_aim(device);
	switch (route->state) {
	case ROUTE_HOST:
		/* Until that process has ended, nobody else could claim it. */
		if (route_stranger(device))
			break;
		/*
		 * A device stays with the host until its VM is there for the first time, or nobody
		 * could type the command that starts it; once claimed it stays so while the VM is
		 * away, or what is typed meanwhile would go to the host's console. What is reserved
		 * is never the host's.
		 */
		if (aim.vm &&
		    (!aim.exported || aim.vm->connected || device->ours || route_reserved(device)))
			route_open(device);
		else if (!aim.vm && !aim.coming && device->ours)
			route_rebind(device);
		else if (aim.spared)
			route_look_again(device);
		break;
	case ROUTE_HELD:
		if (aim.vm != route->at || (route->exported && !aim.exported)) {
			route_take(device, !aim.vm);
		} else if (aim.exported && !route->exported) {
			route->exported = true;
			route_held(device);
		}
		break;
	case ROUTE_OPENING:
	case ROUTE_GIVING:
	case ROUTE_TAKING:
	case ROUTE_REBINDING:
	case ROUTE_RESETTING:
	case ROUTE_FAILED:
		break;
	}
	if (route->at)
		vm_raise(route->at, EVENT_EXPORTS_CHANGED);
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

static enum route_state state_of(const struct guest_held *held)
{
	if (held->taking)
		return ROUTE_TAKING;
	if (held->resetting)
		return ROUTE_RESETTING;
	return held->opened || held->failed ? ROUTE_HELD : ROUTE_GIVING;
}

/*
 * Its process may have been taken over by its guest: that it holds the device counts only where we
 * have written down that it was given it. What it says of the session concerns that guest alone.
 */
static void route_take_up(struct device *device, struct vm *vm)
{
	struct route *route = device->route;
	struct guest_held held;
	struct route_aim aim;

	route->gd = guest_device_take_up(vm->guest, route->before.number, device->tag,
					 &device->info, &route_events, device, &held);
	route->before = (struct route_before){0};
	if (!route->gd)
		return;
	route_at(route, vm);
	device->ours = true;
	route->importing = held.importing;
	route->session = held.session;
	route->peer = held.peer;
	route->held_ns = route->session_ns = held.since_ns;
	aim = route_aim(device);
	route->exported = (aim.vm == vm && aim.exported) || held.session || held.importing;
	route->state = state_of(&held);
	log_info("%s: still with %s%s", device->tag, vm->name,
		 held.session ? ", which has it" : "");
	if (held.failed || held.gone) {
		route->failure = held.gone ? -ENODEV : -EIO;
		snprintf(route->reason, sizeof(route->reason), "%s",
			 held.gone ? "the device is gone" : "it could not be claimed");
		if (route->state == ROUTE_HELD)
			route_take(device, true);
	}
	/* Whoever calls looks at all anew: another device that is not taken up yet must not be opened. */
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
	/* Of what a stranger has nobody can say more than what was written down. */
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
