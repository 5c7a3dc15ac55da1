/* SPDX-License-Identifier: BSD-2-Clause */
/* The ways to the inside of a guest; see guest_side.h. */
#include "daemon/guests/guest_side.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "daemon/guests/agent.h"
#include "daemon/guests/guests.h"
#include "daemon/routing/exports.h"
#include "daemon/guests/virt_link.h"

/* The best first. */
static const struct guest_way *const ways[] = {
	&agent_way,
	&virt_way,
};

/**
 * guests_init() - no VM yet
 * @guests:	the ways to the guests' insides
 * @routing:	what is routed to them
 */
void guests_init(struct guests *guests, struct routing *routing)
{
	*guests = (struct guests){.core = routing->core,
				  .devices = routing->devices,
				  .vms = routing->vms,
				  .routing = routing};
}

/**
 * guest_side_new() - a VM is there
 * @guests:	the ways to the guests' insides
 * @vm:		the VM; gets its side, which guest_side_free() takes
 *
 * Return: 0 or -ENOMEM.
 */
int guest_side_new(struct guests *guests, struct vm *vm)
{
	vm->side = calloc(1, sizeof(*vm->side));
	if (!vm->side)
		return -ENOMEM;
	vm->side->guests = guests;
	return 0;
}

/**
 * guest_side_free() - a VM is about to be freed
 * @vm:		the VM, silenced
 */
void guest_side_free(struct vm *vm)
{
	if (!vm->side)
		return;
	free(take_ptr(vm->side));
}

static const struct guest_way *way_of(const struct vm *vm)
{
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		if (ways[i]->there(vm))
			return ways[i];
	return NULL;
}

/**
 * guest_side_tell() - tell a VM's process, and what is in its guest, what is exported to it now
 * @vm:		the VM
 */
void guest_side_tell(struct vm *vm)
{
	const struct guest_way *way = way_of(vm);

	exports_tell(vm->side->guests->routing, vm);
	if (way)
		way->changed(vm);
}

/**
 * guest_side_changed() - what is exported to a VM, or a session there, may have changed
 * @vm:		the VM
 */
void guest_side_changed(struct vm *vm)
{
	vm_raise(vm, EVENT_EXPORTS_CHANGED);
}

/**
 * guest_side_stop() - the daemon ends
 * @vm:		the VM
 */
void guest_side_stop(struct vm *vm)
{
	virt_forget(vm);
}

/**
 * guest_side_takes() - whether something in a guest takes what is routed to it
 * @vm:		the VM
 *
 * Return: false where a person has to type a line in the guest.
 */
bool guest_side_takes(const struct vm *vm)
{
	return way_of(vm) != NULL;
}

/**
 * guest_side_version() - the version of what is in a guest
 * @vm:		the VM
 *
 * Return: NULL where nothing is.
 */
const char *guest_side_version(const struct vm *vm)
{
	const struct guest_way *way = way_of(vm);

	return way ? way->version(vm) : NULL;
}

/**
 * guest_side_ports() - how many free ports a guest has for USB devices
 * @vm:		the VM
 */
struct guest_ports guest_side_ports(const struct vm *vm)
{
	const struct guest_way *way = way_of(vm);

	return way ? way->ports(vm) : (struct guest_ports){.high = -1, .super = -1};
}
