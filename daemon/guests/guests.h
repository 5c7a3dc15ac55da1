/* SPDX-License-Identifier: BSD-2-Clause */
/* The ways to the guests' insides: what of them is kept for all VMs, and for each. Control thread only. */
#pragma once

#include "base/loop.h"
#include "daemon/guests/agent.h"
#include "daemon/routing/route.h"

struct guests {
	struct core *core;
	struct devices *devices;
	struct vms *vms;
	struct routing *routing;
	struct virt_link *virt; /* usbrouted-libvirt's socket */
};

/* Of one VM. */
struct guest_side {
	struct guests *guests;
	struct agents agents;
};

void guests_init(struct guests *guests, struct routing *routing);
int guest_side_new(struct guests *guests, struct vm *vm);
void guest_side_free(struct vm *vm);
