/* SPDX-License-Identifier: BSD-2-Clause */
/* A device in a VM; see placement.h. What sets it going is in route.c. */
#include "daemon/routing/placement.h"

#include <string.h>

#include "base/mem.h"
#include "daemon/routing/route_private.h"

/**
 * placement_new() - a device is to be in a VM
 * @device:	the device
 * @vm:		the VM; it is in none of the device's other placements
 * @role:	what for
 *
 * Return: the placement, in its route's list, GIVING and without a guest_device; NULL: no memory.
 */
struct placement *placement_new(struct device *device, struct vm *vm, enum placement_role role)
{
	struct placement *placement = calloc(1, sizeof(*placement));

	if (!placement)
		return NULL;
	placement->device = device;
	placement->vm = vm;
	placement->role = role;
	vm->n_devices++;
	list_append(&device->route->placements, &placement->link);
	return placement;
}

/**
 * placement_free() - a device is not in a VM any more
 * @placement:	the placement; its guest_device is somebody else's, or there is none. The caller
 *		calls vm_maybe_gone() for its VM next
 *
 * Return: NULL.
 */
struct placement *placement_free(struct placement *placement)
{
	placement->vm->n_devices--;
	list_remove(&placement->link);
	free(placement);
	return NULL;
}

/**
 * placement_move() - another VM gets a device, which stays claimed
 * @placement:	the placement, of which no process has anything
 * @vm:		the VM
 * @role:	what for
 */
void placement_move(struct placement *placement, struct vm *vm, enum placement_role role)
{
	placement->vm->n_devices--;
	placement->vm = vm;
	placement->role = role;
	vm->n_devices++;
}

/**
 * placement_first() - the VM that has had a device for longest
 * @device:	the device
 *
 * Return: its placement there; NULL: it is in none.
 */
struct placement *placement_first(const struct device *device)
{
	struct list *l = device->route ? list_first(&device->route->placements) : NULL;

	return l ? list_entry(l, struct placement, link) : NULL;
}

/**
 * placement_in() - a device in a certain VM
 * @device:	the device
 * @vm:		the VM
 *
 * Return: its placement there; NULL: it is not there.
 */
struct placement *placement_in(const struct device *device, const struct vm *vm)
{
	list_for_each(it, &device->route->placements) {
		struct placement *p = list_entry(it, struct placement, link);

		if (p->vm == vm)
			return p;
	}
	return NULL;
}

/**
 * placement_held() - exported from now on: nothing of what the last guest said counts
 * @placement:	the placement
 */
void placement_held(struct placement *placement)
{
	struct route *route = placement->device->route;

	placement->held_ns = loop_now();
	placement->guest_has = false;
	placement->guest_text[0] = 0;
	if (strcmp(route->let_go.vm, placement->vm->name))
		route->let_go = (struct route_let_go){0};
}

/**
 * placement_take() - have a VM's process hand a device back
 * @placement:	HELD, GIVING or RESETTING; a failure of it was written down before
 * @close_it:	close it, else hand it over claimed where that is possible
 */
void placement_take(struct placement *placement, bool close_it)
{
	placement->state = PLACEMENT_TAKING;
	vm_raise(placement->vm, EVENT_EXPORTS_CHANGED);
	guest_take(placement->vm->guest, placement->gd, close_it);
}

/**
 * placement_forget() - let go of what a VM's process has of a device
 * @placement:	the placement; the process is told to give the device up, and what it has frees
 *		itself
 */
void placement_forget(struct placement *placement)
{
	vm_raise(placement->vm, EVENT_EXPORTS_CHANGED);
	if (placement->state != PLACEMENT_TAKING)
		guest_take(placement->vm->guest, placement->gd, true);
	guest_device_forget(placement->gd);
	placement_free(placement);
}
