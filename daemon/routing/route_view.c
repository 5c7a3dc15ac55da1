/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a device is, in the contract's words; see route.h. Changes nothing. */
#include <stdio.h>
#include <string.h>

#include "daemon/routing/route_private.h"
#include "daemon/vms/vm_process.h"

/**
 * route_status() - where a device is
 * @device:	the device
 */
struct route_status route_status(const struct device *device)
{
	const struct route *route = device->route;
	const struct placement *p = placement_first(device);
	struct route_status status = {
		/* Of what is never routed, as of what is in a port that is switched off. */
		.state = ROUTE_HOST,
		.reason = "",
		.guest_text = "",
		.aimed = "",
	};

	if (!route)
		return status;
	status.state = route_state(route);
	status.failure = route->failure;
	status.reason = route->reason;
	status.aimed = route->aimed;
	status.let_go = route->let_go;
	if (!p)
		return status;
	status.at = p->vm;
	status.exported = p->role == PLACEMENT_GUEST;
	status.importing = p->importing;
	status.session = p->session;
	status.guest_has = p->guest_has;
	status.guest_text = p->guest_text;
	status.held_ns = p->held_ns;
	status.session_ns = p->session_ns;
	status.guest_ns = p->guest_ns;
	return status;
}

/**
 * route_stats() - what has gone through a device since its VM's process was given it
 * @device:	the device
 * @ret_stats:	gets it, as vms_ask_stats() has it told last
 *
 * Return: whether it is known.
 */
bool route_stats(const struct device *device, struct urb_stats *ret_stats)
{
	const struct placement *first = placement_first(device);

	return first && first->gd && guest_device_stats(first->gd, ret_stats);
}

/**
 * route_actual() - where a device is
 * @device:	the device
 *
 * Return: the name of the VM that it is exported to or attached in, else "host": also where it is
 * claimed for a VM that is away, or offered to the LAN, or a machine there has it.
 */
const char *route_actual(const struct device *device)
{
	const struct route_status route = route_status(device);

	return route.state == ROUTE_HELD && route.exported && route.at->connected &&
			       !route.at->is_lan
		       ? route.at->name
		       : "host";
}

/**
 * route_stranger() - whose process keeps a device that it was given by another version of usbrouted
 * @device:	the device
 *
 * Return: the VM; NULL: none.
 */
const struct vm *route_stranger(const struct device *device)
{
	const struct route *route = device->route;

	return route && route->state == ROUTE_HOST && route->before.vm[0]
		       ? vm_stranger(route->routing->vms, route->before.vm)
		       : NULL;
}

/* Why a device that is wanted elsewhere is with the host's drivers. */
static enum device_state host_state(const struct device *device, const struct route_want *want,
				    char *reason, size_t size)
{
	const struct vm *vm = vm_find(device->route->routing->vms, want->target);
	char by[200];

	if (!strcmp(want->target, "host")) {
		/* A rule would have it elsewhere, and something keeps it from that. */
		if (want->rule[0])
			snprintf(reason, size, "%s", want->rule);
		else if (route_reserved(device))
			snprintf(reason, size, "it is reserved, and there is no VM to keep it for");
		if (!device_is_ambiguous(device))
			return DEVICE_PRESENT;
		device_why_ambiguous(device, reason, size);
		return DEVICE_AMBIGUOUS;
	}
	if (!route_permits(device, want->target, by, sizeof(by))) {
		snprintf(reason, size, "%s may not have it: %s", want->target, by);
		return DEVICE_DENIED;
	}
	if (vm && vm->connected)
		snprintf(reason, size,
			 "it is the host's last keyboard, which no rule takes; see --force");
	else
		snprintf(reason, size, vm ? "%s is not connected" : "%s is not configured",
			 want->target);
	return DEVICE_PENDING;
}

/*
 * What its guest's agent has said about why the guest does not have it, if that is as it should be.
 */
static bool guest_reason(const struct device *device, char *reason, size_t size)
{
	const struct route_status route = route_status(device);
	const char *vm = route.at->name;

	if (route.let_go.vm[0])
		snprintf(reason, size,
			 "let go in the guest; `usbroutectl attach %s %s` gives it back",
			 device_alias(device) ? device_alias(device) : device->busid, vm);
	else if (route.at->asleep)
		snprintf(reason, size, "%s is asleep; it takes it back when it is awake", vm);
	return *reason;
}

static enum device_state lan_state(const struct device *device, const struct route_status *route,
				   char *reason, size_t size)
{
	char by[ROUTE_LAN_TEXT];

	if (route_lan_by(device, by)) {
		snprintf(reason, size, "%s has it, over the LAN", by);
		return DEVICE_ATTACHED;
	}
	if (!route->at->connected) {
		snprintf(reason, size, "the LAN export's process is not there yet");
		return DEVICE_CLAIMED;
	}
	route_lan_words(device, reason, size);
	return DEVICE_EXPORTED;
}

/**
 * route_shown() - a device's state, as people see it
 * @device:	the device
 * @reason:	why it is not where it is wanted; "" where it is
 * @size:	room there
 */
enum device_state route_shown(const struct device *device, char *reason, size_t size)
{
	const struct route_status route = route_status(device);
	struct route_want want = route_wanted(device);

	*reason = 0;
	if (device->unpowered) {
		snprintf(reason, size,
			 "its port is switched off; `usbroutectl power` switches it on");
		return DEVICE_OFF;
	}
	if (device->broken[0]) {
		snprintf(reason, size, "%s", device->broken);
		return DEVICE_BROKEN;
	}
	if (route.state == ROUTE_HELD && route.exported && route.at->is_lan)
		return lan_state(device, &route, reason, size);
	if (route.state == ROUTE_HELD && route.exported && !route.session &&
	    guest_reason(device, reason, size))
		return route.at->connected ? DEVICE_EXPORTED : DEVICE_CLAIMED;
	switch (route.state) {
	case ROUTE_HOST:
		if (route_stranger(device)) {
			snprintf(
				reason, size,
				"%s has it from another version of usbrouted, and keeps it until %s is started again",
				device->route->before.vm, device->route->before.vm);
			return DEVICE_CLAIMED;
		}
		return host_state(device, &want, reason, size);
	case ROUTE_OPENING:
	case ROUTE_GIVING:
		snprintf(reason, size, "it is being claimed");
		return DEVICE_PENDING;
	case ROUTE_HELD:
		if (!route.exported) {
			snprintf(reason, size, "it is reserved");
			return DEVICE_CLAIMED;
		}
		/* A guest that is paused, or saved, keeps its session, and may never come back. */
		if (route.session && route.at->connected)
			return DEVICE_ATTACHED;
		if (route.at->connected) {
			snprintf(reason, size, "%s", route.guest_text);
			return DEVICE_EXPORTED;
		}
		snprintf(reason, size, "%s is not connected", route.at->name);
		return DEVICE_CLAIMED;
	case ROUTE_TAKING:
	case ROUTE_REBINDING:
		return DEVICE_DRAINING;
	case ROUTE_RESETTING:
		snprintf(reason, size, "it is being reset");
		return DEVICE_DRAINING;
	case ROUTE_FAILED:
		break;
	}
	snprintf(reason, size, "%s", route.reason);
	return DEVICE_FAILED;
}

/**
 * route_import_line() - the line that makes a guest without an agent take a device
 * @device:	the device
 * @vm:		the VM that it is exported to
 * @text:	gets it
 * @size:	room there
 *
 * Return: @text.
 */
const char *route_import_line(const struct device *device, const struct vm *vm, char *text,
			      size_t size)
{
	const char *alias = device_alias(device);
	char address[128];

	snprintf(text, size, "in %s, type: usbip attach -r %s -b %s", vm->name,
		 vm_daemon_address(vm, address, sizeof(address)), alias ? alias : device->busid);
	return text;
}
