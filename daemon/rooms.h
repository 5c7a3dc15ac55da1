/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rooms of control, put together, and who hears of what. Calls go down from room to room; what happens is told
 * upwards by the tables in rooms.c alone. Made once, by daemon.c, and by tests that need several rooms.
 */
#pragma once

#include "daemon/commands/commands.h"
#include "daemon/core/core.h"
#include "daemon/core/wish_book.h"
#include "daemon/devices/device.h"
#include "daemon/guests/guests.h"
#include "daemon/routing/route.h"
#include "daemon/vms/vm.h"

/* What the owner of the rooms hears. */
struct rooms_ops {
	/* Before control is ready: something more is known of what was there. */
	void (*known)(void *ctx);
	/* At control's end: one more of the VMs' processes has ended. */
	void (*ended)(void *ctx);
	/*
	 * For listeners outside that change nothing; NULL: there are none. A device's event comes
	 * before commands hear of it.
	 */
	void (*moved)(void *ctx, const struct device *device);
	void (*removed)(void *ctx, const struct device *device);
	void (*link)(void *ctx, const struct vm *vm, bool up);
	/* A hot key was struck in vain. */
	void (*refused)(void *ctx, const struct device *device, const char *vm, const char *reason);
};

struct rooms {
	struct core core;
	struct wish_books books;
	struct devices devices;
	struct vms vms;
	struct routing routing;
	struct commands commands;
	struct guests guests;
	const struct rooms_ops *ops;
	void *ctx;
};

void rooms_init(struct rooms *rooms, const struct rooms_ops *ops, void *ctx);
int rooms_turn(struct rooms *rooms, bool wait);
int rooms_device_prepare(void *ctx, struct device *device);
