/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whose process a device should be in now: where it is wanted (route_want.c), as far as policy, the
 * host's last keyboard and the VMs allow it. Changes nothing.
 */
#include <string.h>

#include "daemon/devices/host_inputs.h"
#include "daemon/routing/route_private.h"
#include "daemon/vms/lan.h"

/**
 * route_leaving() - the devices that the host is just losing, though it may still seem to have them
 * @routing:	the routing
 * @paths:	gets their folders in sysfs
 *
 * Return: how many.
 */
size_t route_leaving(const struct routing *routing, const char *paths[ROUTE_SUBJECTS_MAX])
{
	size_t n = 0;

	list_for_each(it, &routing->devices->all) {
		const struct device *d = list_entry(it, struct device, link);

		if ((route_state(d->route) == ROUTE_OPENING ||
		     route_state(d->route) == ROUTE_GIVING) &&
		    n < ROUTE_SUBJECTS_MAX)
			paths[n++] = d->syspath;
	}
	return n;
}

static bool is_last_keyboard(const struct device *device)
{
	const char *leaving[ROUTE_SUBJECTS_MAX + 1];
	size_t n = route_leaving(device->route->routing, leaving);

	leaving[n] = device->syspath;
	return host_loses_keyboard(device->devices, leaving, n, n + 1);
}

/*
 * A rule takes the host's last keyboard only where the configuration itself names the VM: nobody is there to say that it
 * should not have been.
 */
static bool spares(const struct device *device, const struct route_want *want)
{
	return want->by == WANTED_BY_RULE && device->route->state == ROUTE_HOST && !device->ours &&
	       !route_consents(device, want->target) && is_last_keyboard(device);
}

/*
 * A device that is kept from the host's drivers has to be in some process: in the one that has it,
 * else in the first VM's.
 */
static void aim_at_keeper(const struct device *device, struct route_aim *aim)
{
	const struct placement *first = placement_first(device);

	aim->role = PLACEMENT_KEPT;
	if (first && !first->vm->leaving && !first->vm->is_lan && first->vm->guest) {
		aim->vm = first->vm;
		return;
	}
	list_for_each(it, &device->route->routing->vms->all) {
		aim->vm = list_entry(it, struct vm, link);
		if (aim->vm->guest)
			return;
		aim->vm = NULL;
		aim->coming = true;
	}
}

/**
 * route_aim() - whose process should have a device
 * @device:	the device
 */
struct route_aim route_aim(const struct device *device)
{
	const struct route_decision *decision = route_decision(device);
	struct route_aim aim = {0};

	/* What the kernel does not tell of yet stays where it is. */
	aim.coming = device->unread;
	if (device->broken[0])
		return aim;
	aim.spared = spares(device, &decision->want);
	if (!aim.spared && decision->may)
		aim.vm = vm_find(device->route->routing->vms, decision->want.target);
	/* One that is just coming into the configuration. */
	if (aim.vm && !aim.vm->guest) {
		aim.vm = NULL;
		aim.coming = true;
	}
	if (!aim.vm && decision->lan) {
		aim.vm = lan_vm(device->route->routing->vms);
		aim.coming = aim.coming || (aim.vm && !aim.vm->guest);
		if (aim.vm && !aim.vm->guest)
			aim.vm = NULL;
	}
	if (!aim.vm && decision->reserved)
		aim_at_keeper(device, &aim);
	return aim;
}
