/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A placement is a device in a VM: the VM's process has it, or is to have it. A route has one
 * placement for each VM that its device is in.
 *
 *            give             opened                   reset
 *   (made) ------> GIVING ------------> HELD <----------------> RESETTING
 *                     | failed            | take                    | failed
 *                     '-------------> TAKING <----------------------'
 *                                         | taken: closed, and freed; or handed over to another VM: GIVING
 *
 * Invariants: the VM counts the placement (vm->n_devices) as long as it exists. A VM has at most one
 * of a device. Today a device is in one VM at a time: route_aim() names one. Only routing knows
 * placements; others learn of a device's first one by route_status().
 */
#pragma once

#include "daemon/routing/route.h"
#include "dataplane/guest.h"

/* What the VM has it for. */
enum placement_role {
	PLACEMENT_GUEST, /* the VM may import it */
	PLACEMENT_KEPT,	 /* it is only kept from the host's drivers, and in no guest */
};

enum placement_state { PLACEMENT_GIVING, PLACEMENT_HELD, PLACEMENT_TAKING, PLACEMENT_RESETTING };

struct placement {
	struct list link; /* of route->placements */
	struct device *device;
	struct vm *vm;
	enum placement_role role;
	enum placement_state state;
	struct guest_device *gd;
	bool told_exported;	 /* HELD: what its process was told */
	bool importing, session; /* handed to the process with a client; the client has it */
	bool guest_has;		 /* and its kernel has set the device's configuration */
	char guest_text[120];	 /* else, why it has not, where it says so */
	struct guest_peer peer;	 /* session: the client's connection */
	uint64_t held_ns, session_ns, guest_ns; /* since when: held, in a session, guest_has */
};

struct placement *placement_new(struct device *device, struct vm *vm, enum placement_role role);
struct placement *placement_free(struct placement *placement);
void placement_move(struct placement *placement, struct vm *vm, enum placement_role role);
struct placement *placement_first(const struct device *device);
struct placement *placement_in(const struct device *device, const struct vm *vm);
void placement_held(struct placement *placement);
void placement_take(struct placement *placement, bool close_it);
void placement_forget(struct placement *placement);
