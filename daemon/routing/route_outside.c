/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens to devices from outside: devices and VMs come and go, a client imports a device, a
 * guest tells something, control starts and ends. Each is written into the route, and
 * route_reconcile() follows.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "daemon/routing/claims.h"
#include "daemon/devices/port_off.h"
#include "daemon/routing/route.h"
#include "daemon/routing/route_private.h"
#include "daemon/devices/twins.h"
#include "daemon/vms/lan.h"

/**
 * routes_load() - read what was wished, and what was claimed, before this start
 * @routing:	the routing
 *
 * Return: 0, or a negative errno and it was logged.
 */
int routes_load(struct routing *routing)
{
	int r = wish_book_load(routing->books);

	if (r == 0)
		r = device_names_load(routing->devices);
	if (r < 0)
		return r;
	r = ports_off_load(routing->devices);
	if (r < 0)
		return r;
	r = twins_load(routing->devices);
	if (r < 0)
		return r;
	r = claims_load(routing->core->config->runtime_directory, &routing->claimed_before);
	if (r < 0)
		log_err("%s/claimed: %s", routing->core->config->runtime_directory, errno_text(r));
	return r;
}

/**
 * routes_started() - all VMs' processes are known: begin
 * @routing:	the routing, ready
 */
void routes_started(struct routing *routing)
{
	/* What was claimed and is not there any more needs nothing. */
	claims_clear(&routing->claimed_before);
	list_for_each(it, &routing->vms->all)
		routes_take_up(routing, list_entry(it, struct vm, link));
	if (lan_vm(routing->vms))
		routes_take_up(routing, lan_vm(routing->vms));
	/* Those whose VM is gone were closed when its process ended. */
	list_for_each(it, &routing->devices->all) {
		struct route *route = list_entry(it, struct device, link)->route;

		if (!vm_find(routing->vms, route->before.vm) &&
		    !lan_has_process(routing->vms, route->before.vm))
			route->before = (struct route_before){0};
	}
	devices_name_anew(routing->devices);
	routes_review(routing);
}

/**
 * routes_stop() - the daemon ends: no more steps, and nobody waits any longer
 * @routing:	the routing, stopping
 */
void routes_stop(struct routing *routing)
{
	list_for_each(it, &routing->devices->all) {
		struct device *d = list_entry(it, struct device, link);

		loop_cancel(routing->core->loop, &d->route->retry);
		loop_cancel(routing->core->loop, &d->route->lost);
	}
	loop_cancel(routing->core->loop, &routing->devices->names.waits);
}

/**
 * routes_review() - what is said of devices means others by now
 * @routing:	the routing
 */
void routes_review(struct routing *routing)
{
	list_for_each(it, &routing->devices->all)
		device_raise(list_entry(it, struct device, link), EVENT_DEVICE_REVIEW);
}

static void route_raise_exports(struct device *device)
{
	list_for_each(it, &device->route->placements)
		vm_raise(list_entry(it, struct placement, link)->vm, EVENT_EXPORTS_CHANGED);
}

/**
 * route_review() - a device, or what is said of it, is known otherwise than before
 * @device:	the device; whoever wished it somewhere may do so
 */
void route_review(struct device *device)
{
	struct route_want want = route_wanted(device);

	/* It may be called otherwise there. */
	route_raise_exports(device);
	if (strcmp(want.target, device->route->aimed))
		route_wish_changed(device);
	else
		route_reconcile(device);
}

/**
 * route_guest_says() - something in the guest tells how it goes with a device there
 * @device:	the device
 * @vm:		the VM that it is in
 * @has:	its kernel has it
 * @text:	where it hasn't: why, for a person; it goes on trying
 */
void route_guest_says(struct device *device, const struct vm *vm, bool has, const char *text)
{
	struct placement *placement = placement_in(device, vm);

	if (!placement)
		return;
	placement->guest_has = has && placement->session;
	placement->guest_ns = loop_now();
	snprintf(placement->guest_text, sizeof(placement->guest_text), "%s", has ? "" : text);
	device_raise(device, EVENT_ROUTE_MOVED);
}

/**
 * route_guest_lets_go() - somebody in the guest has detached a device
 * @device:	exported to that guest, and kept so
 * @vm:		the VM that it is in
 * @boot:	which boot of the guest that was in
 *
 * Until a command names the device, or it is imported again by hand, it is not told to the guest's
 * agent.
 */
void route_guest_lets_go(struct device *device, const struct vm *vm, const char *boot)
{
	struct route *route = device->route;
	struct placement *placement = placement_in(device, vm);

	if (!placement)
		return;
	snprintf(route->let_go.vm, sizeof(route->let_go.vm), "%s", placement->vm->name);
	snprintf(route->let_go.boot, sizeof(route->let_go.boot), "%s", boot);
	placement->guest_has = false;
	claims_save(device->route->routing);
	device_raise(device, EVENT_ROUTE_MOVED);
}

/**
 * route_give_again() - what was let go of in a guest is given to it again
 * @device:	the device
 */
void route_give_again(struct device *device)
{
	if (!device->route->let_go.vm[0])
		return;
	device->route->let_go = (struct route_let_go){0};
	claims_save(device->route->routing);
	route_raise_exports(device);
}

/**
 * route_prepare() - make a device's route, with the host
 * @routing:	the routing
 * @device:	about to be listed, and to be told by route_added(); route_removed() frees it
 *
 * Return: 0 or -ENOMEM.
 */
int route_prepare(struct routing *routing, struct device *device)
{
	struct route *route = calloc(1, sizeof(*route));

	if (!route)
		return -ENOMEM;
	route->device = device;
	route->routing = routing;
	route->guard = -1;
	list_init(&route->placements);
	route->basis = UINT64_MAX; /* nothing is decided */
	device->route = route;
	return 0;
}

/**
 * route_added() - a device is there
 * @device:	in the list, and called by its name
 */
void route_added(struct device *device)
{
	struct route_want want = route_wanted(device);

	device->ours = claims_take(&device->route->routing->claimed_before, device,
				   &device->route->let_go, &device->route->before);
	port_off_returned(device);
	memcpy(device->route->aimed, want.target, sizeof(want.target));
	device->judge = true;
	device_raise(device, EVENT_DEVICE_REVIEW);
}

/*
 * End the wishes that end with the unplugging. When control ends, nothing was unplugged; and a
 * device that leaves because its port was switched off comes back with another number.
 */
static void route_forget_until_unplug(struct device *device)
{
	bool off = port_off_find(device->devices, device->busid);
	unsigned (*change)(struct wishes *, const struct device_facts *, bool) =
		off ? wish_switched_off : wish_unplugged;
	struct routing *routing = device->route->routing;
	struct device_facts facts = device_facts_of(device);
	struct wish_book next;
	char error[200];

	if (routing->core->stopping || wish_book_copy(&next, &routing->books->now) < 0)
		return;
	if (!change(&next.list[WISHES_COMMANDS], &facts, device_pair_tells(device)))
		wish_book_deinit(&next);
	else if (wish_book_commit(routing->books, &next, error, sizeof(error)) < 0)
		log_err("%s", error);
	else if (!off)
		log_notice("%s: a wish has ended: it was unplugged", device->tag);
}

/* It is in no VM any more. */
static void route_leave_vms(struct route *route)
{
	struct placement *placement;

	while ((placement = placement_first(route->device))) {
		struct vm *vm = placement->vm;

		if (placement->gd && vm->guest) {
			placement_forget(placement);
		} else {
			/*
			 * Control ends, and has left the process, which keeps the device and goes
			 * on.
			 */
			if (placement->gd)
				guest_device_free(placement->gd);
			placement_free(placement);
		}
		vm_maybe_gone(vm);
	}
}

/**
 * route_removed() - a device was unplugged, and is freed right afterwards
 * @device:	no longer in the list; no command waits for it
 */
void route_removed(struct device *device)
{
	struct route *route = device->route;

	loop_cancel(device->devices->core->loop, &route->retry);
	loop_cancel(device->devices->core->loop, &route->lost);
	route->guard = fd_close(route->guard);
	broker_forget(route->routing->broker, &route->req);
	route_forget_until_unplug(device);
	route_leave_vms(route);
	device->route = NULL;
	free(route);
	devices_name_anew(device->devices);
}

/**
 * route_vm_changed() - a VM's card came up or went down
 * @routing:	the routing
 * @vm:		the VM
 */
void route_vm_changed(struct routing *routing, struct vm *vm)
{
	list_for_each(it, &routing->devices->all)
		route_reconcile(list_entry(it, struct device, link));
	vm_raise(vm, EVENT_EXPORTS_CHANGED);
}

/**
 * route_exported_to() - whether a VM may see and import a device now
 * @device:	the device
 * @vm:		the VM
 */
bool route_exported_to(const struct device *device, const struct vm *vm)
{
	const struct placement *placement = placement_in(device, vm);
	struct route_aim aim;

	if (!placement || placement->state != PLACEMENT_HELD ||
	    placement->role != PLACEMENT_GUEST || !vm->connected)
		return false;
	aim = route_aim(device);
	return aim.vm == vm && aim.role == PLACEMENT_GUEST;
}

/**
 * route_import() - give a client the device that it asked for
 * @device:	exported to @vm
 * @vm:		the VM that the client is in
 * @client:	its number there; answered where this succeeds
 *
 * Return: 0, -EBUSY where the VM holds it already, -ENODEV where it is not exported to it.
 */
int route_import(struct device *device, struct vm *vm, uint32_t client)
{
	struct placement *placement = placement_in(device, vm);

	/* Nor while it is not known whether who has wished it there may. */
	if (!route_exported_to(device, vm) || device->judge)
		return -ENODEV;
	if (placement->session || placement->importing)
		return -EBUSY;
	placement->importing = true;
	route_give_again(device);
	guest_import(vm->guest, placement->gd, client);
	return 0;
}
