/* SPDX-License-Identifier: BSD-2-Clause */
/* Who hears of what; see rooms.h. */
#include "daemon/rooms.h"

#include "daemon/commands/hotkey.h"
#include "daemon/devices/device_registry.h"
#include "daemon/devices/port_off.h"
#include "daemon/guests/guest_side.h"
#include "daemon/routing/exports.h"
#include "daemon/routing/old_sessions.h"

static int on_device_prepare(void *ctx, struct device *device)
{
	struct rooms *rooms = ctx;

	return route_prepare(&rooms->routing, device);
}

static void on_hub_removed(void *ctx, const char *sysname)
{
	struct rooms *rooms = ctx;

	port_off_hub_gone(&rooms->devices, sysname);
}

static void on_devices_settled(void *ctx)
{
	struct rooms *rooms = ctx;

	rooms->ops->known(rooms->ctx);
}

const struct device_registry_ops rooms_registry_ops = {
	.prepare = on_device_prepare,
	.added = route_added,
	.changed = route_changed,
	.removed = route_removed,
	.hub_removed = on_hub_removed,
	.settled = on_devices_settled,
};

/* What is said of devices means others by now. */
static void on_wanted_elsewhere(void *ctx)
{
	struct rooms *rooms = ctx;

	routes_review(&rooms->routing);
}

static int on_vm_made(void *ctx, struct vm *vm)
{
	struct rooms *rooms = ctx;

	return guest_side_new(&rooms->guests, vm);
}

static void on_vm_freed(void *ctx _unused_, struct vm *vm)
{
	guest_side_free(vm);
}

static void on_vm_link(void *ctx, struct vm *vm, bool up)
{
	struct rooms *rooms = ctx;

	if (up)
		old_sessions_hang_up(&rooms->routing, vm);
	agents_card(vm, up);
	route_vm_changed(&rooms->routing, vm);
}

static void on_import_asked(void *ctx, struct vm *vm, uint32_t client, const char *busid)
{
	struct rooms *rooms = ctx;

	exports_import_asked(&rooms->routing, vm, client, busid);
}

static void on_agent_asked(void *ctx _unused_, struct vm *vm)
{
	agent_asked(vm);
}

static void on_vm_stands(void *ctx, struct vm *vm)
{
	struct rooms *rooms = ctx;

	/* A list of what is not known yet would be a short one. */
	if (rooms->core.ready)
		agents_ready(vm);
}

static void on_vm_goes_on(void *ctx, struct vm *vm)
{
	struct rooms *rooms = ctx;

	old_sessions_forget(&rooms->routing, vm);
}

static void on_vm_known(void *ctx, struct vm *vm)
{
	struct rooms *rooms = ctx;

	if (!rooms->core.ready) {
		rooms->ops->known(rooms->ctx);
		return;
	}
	routes_take_up(&rooms->routing, vm);
	routes_review(&rooms->routing);
}

static void on_vm_silenced(void *ctx _unused_, struct vm *vm, const char *why)
{
	agents_close(vm, why);
	guest_side_stop(vm);
}

static void on_vm_left(void *ctx, struct vm *vm)
{
	struct rooms *rooms = ctx;

	route_calls_vm_left(&rooms->commands, vm);
}

static void on_vm_ended(void *ctx)
{
	struct rooms *rooms = ctx;

	rooms->ops->ended(rooms->ctx);
}

static const struct vms_ops vms_ops = {
	.made = on_vm_made,
	.freed = on_vm_freed,
	.link = on_vm_link,
	.import_asked = on_import_asked,
	.agent_asked = on_agent_asked,
	.stands = on_vm_stands,
	.goes_on = on_vm_goes_on,
	.known = on_vm_known,
	.have_started = on_wanted_elsewhere,
	.silenced = on_vm_silenced,
	.left = on_vm_left,
	.ended = on_vm_ended,
};

static void on_exports_changed(void *ctx _unused_, struct vm *vm)
{
	guest_side_changed(vm);
}

static void on_moved(void *ctx, struct device *device)
{
	struct rooms *rooms = ctx;

	commands_moved(&rooms->commands, device);
}

static void on_named(void *ctx, struct device *device)
{
	struct rooms *rooms = ctx;

	route_calls_named(&rooms->commands, device);
}

static void on_judge(void *ctx, struct device *device)
{
	struct rooms *rooms = ctx;

	commands_judge(&rooms->commands, device);
}

static void on_removed(void *ctx, struct device *device)
{
	struct rooms *rooms = ctx;

	commands_removed(&rooms->commands, device);
}

static void on_hotkey(void *ctx, struct device *keyboard, enum hotkey which)
{
	struct rooms *rooms = ctx;

	hotkey_struck(&rooms->commands, keyboard, which);
}

static bool guest_takes(void *ctx _unused_, const struct vm *vm)
{
	return guest_side_takes(vm);
}

static const struct routing_ops routing_ops = {
	.exports_changed = on_exports_changed,
	.moved = on_moved,
	.named = on_named,
	.judge = on_judge,
	.removed = on_removed,
	.hotkey = on_hotkey,
	.takes = guest_takes,
};

/**
 * rooms_init() - the rooms of control, with nothing in them
 * @rooms:	them; @rooms->core is made already
 * @ops:	what their owner hears
 * @ctx:	what with
 */
void rooms_init(struct rooms *rooms, const struct rooms_ops *ops, void *ctx)
{
	rooms->ops = ops;
	rooms->ctx = ctx;
	wish_books_init(&rooms->books, &rooms->core);
	rooms->books.ended = on_wanted_elsewhere;
	rooms->books.ctx = rooms;
	devices_init(&rooms->devices, &rooms->core, &rooms->books);
	rooms->devices.named = on_wanted_elsewhere;
	rooms->devices.ctx = rooms;
	vms_init(&rooms->vms, &rooms->core, &vms_ops, rooms);
	routing_init(&rooms->routing, &rooms->devices, &rooms->vms, &routing_ops, rooms);
	commands_init(&rooms->commands, &rooms->routing);
	guests_init(&rooms->guests, &rooms->routing);
}
