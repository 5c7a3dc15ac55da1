/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who hears of what; see rooms.h. What happens is an event. The table of listeners below says who
 * hears of it, and in which order those of one turn are told (core/events.h). Beside it, a room
 * asks upwards if it needs an answer at once, or if the room above keeps something with an object
 * that is made or freed: those calls are the tables of questions.
 */
#include "daemon/rooms.h"

#include "base/mem.h"
#include "daemon/commands/hotkey.h"
#include "daemon/guests/guest_side.h"
#include "daemon/routing/exports.h"
#include "daemon/routing/old_sessions.h"

/* ------------------------------------------------------------- what happens to devices */

static void on_unplugged_command(void *ctx, void *device)
{
	struct rooms *rooms = ctx;

	commands_removed(&rooms->commands, device);
}

static void on_unplugged_told(void *ctx, void *device)
{
	struct rooms *rooms = ctx;

	if (rooms->ops->removed)
		rooms->ops->removed(rooms->ctx, device);
}

static void on_unplugged_route(void *ctx _unused_, void *device)
{
	route_removed(device);
}

static void on_unplugged_last(void *ctx _unused_, void *device)
{
	device_free(device);
}

static void on_plugged_in(void *ctx _unused_, void *device)
{
	device_listed(device);
}

static void on_plugged_in_route(void *ctx _unused_, void *device)
{
	route_added(device);
}

/* A command may have waited for it. */
static void on_review_named(void *ctx, void *device)
{
	struct rooms *rooms = ctx;

	route_calls_named(&rooms->commands, device);
}

/* A wish that its user may not have any more is gone before the route is looked at. */
static void on_review_judge(void *ctx, void *device)
{
	struct rooms *rooms = ctx;

	commands_judge(&rooms->commands, device);
}

static void on_review_route(void *ctx _unused_, void *device)
{
	route_review(device);
}

static void on_bound(void *ctx _unused_, void *device)
{
	route_host_bound(device);
}

static void on_moved_told(void *ctx, void *device)
{
	struct rooms *rooms = ctx;

	if (rooms->ops->moved)
		rooms->ops->moved(rooms->ctx, device);
}

static void on_moved(void *ctx, void *device)
{
	struct rooms *rooms = ctx;

	commands_moved(&rooms->commands, device);
}

static void on_hotkey_next(void *ctx, void *keyboard)
{
	struct rooms *rooms = ctx;

	hotkey_struck(&rooms->commands, keyboard, HOTKEY_NEXT);
}

static void on_hotkey_panic(void *ctx, void *keyboard)
{
	struct rooms *rooms = ctx;

	hotkey_struck(&rooms->commands, keyboard, HOTKEY_PANIC);
}

/* ------------------------------------------------------------- what happens to VMs */

static void on_vm_left(void *ctx, void *vm)
{
	struct rooms *rooms = ctx;

	route_calls_vm_left(&rooms->commands, vm);
}

static void on_vm_goes_on(void *ctx, void *vm)
{
	struct rooms *rooms = ctx;

	old_sessions_forget(&rooms->routing, vm);
}

static void on_vm_known(void *ctx, void *vm)
{
	struct rooms *rooms = ctx;

	if (rooms->core.stopping)
		return;
	if (!rooms->core.ready) {
		events_raise_whole(&rooms->core.events, EVENT_KNOWN_MORE);
		return;
	}
	routes_take_up(&rooms->routing, vm);
	routes_review(&rooms->routing);
}

static void link_told(struct rooms *rooms, const struct vm *vm, bool up)
{
	if (rooms->ops->link)
		rooms->ops->link(rooms->ctx, vm, up);
}

static void on_vm_down(void *ctx, void *vm)
{
	struct rooms *rooms = ctx;

	if (!((struct vm *)vm)->is_lan) {
		link_told(rooms, vm, false);
		agents_card(vm, false);
	}
	route_vm_changed(&rooms->routing, vm);
}

static void on_vm_up(void *ctx, void *of)
{
	struct rooms *rooms = ctx;
	struct vm *vm = of;

	if (!vm->connected || rooms->core.stopping)
		return;
	if (!vm->is_lan) {
		link_told(rooms, vm, true);
		old_sessions_hang_up(&rooms->routing, vm);
		agents_card(vm, true);
	}
	route_vm_changed(&rooms->routing, vm);
}

static void on_vm_stands(void *ctx, void *vm)
{
	struct rooms *rooms = ctx;

	/* Before that not all is known, and the list would be too short. */
	if (rooms->core.ready && !rooms->core.stopping && !((struct vm *)vm)->is_lan)
		agents_ready(vm);
}

static void on_agent_asked(void *ctx _unused_, void *vm)
{
	agent_asked(vm);
}

static void on_exports_changed(void *ctx, void *of)
{
	struct rooms *rooms = ctx;
	struct vm *vm = of;

	if (vm->is_lan)
		exports_tell(&rooms->routing, vm);
	else
		guest_side_tell(vm);
}

static void on_vm_gone(void *ctx _unused_, void *vm)
{
	vm_gone(vm);
}

/* ------------------------------------------------------------- what happens to the whole */

static void on_said_changed(void *ctx, void *none _unused_)
{
	struct rooms *rooms = ctx;

	routes_review(&rooms->routing);
}

static void on_jobs_changed(void *ctx, void *none _unused_)
{
	struct rooms *rooms = ctx;

	port_jobs_check(&rooms->commands);
}

static void on_known_more(void *ctx, void *none _unused_)
{
	struct rooms *rooms = ctx;

	rooms->ops->known(rooms->ctx);
}

static void on_vms_ended(void *ctx, void *none _unused_)
{
	struct rooms *rooms = ctx;

	rooms->ops->ended(rooms->ctx);
}

/*
 * Row by row, so that a device that has taken another one's place is told after that one has gone;
 * wishes that may not stand are found before routes follow; a guest is told what is exported to it
 * when all else is done; and control is ready only when all devices that are there have been heard
 * of.
 */
static const struct event_listener listeners[] = {
	{EVENT_DEVICE_REMOVED, on_unplugged_told},
	{EVENT_DEVICE_REMOVED, on_unplugged_command},
	{EVENT_DEVICE_REMOVED, on_unplugged_route},
	{EVENT_DEVICE_REMOVED, on_unplugged_last},
	{EVENT_DEVICE_ADDED, on_plugged_in},
	{EVENT_DEVICE_ADDED, on_plugged_in_route},
	{EVENT_VM_LEFT, on_vm_left},
	{EVENT_VM_GOES_ON, on_vm_goes_on},
	{EVENT_VM_KNOWN, on_vm_known},
	{EVENT_VM_DOWN, on_vm_down},
	{EVENT_VM_UP, on_vm_up},
	{EVENT_VM_STANDS, on_vm_stands},
	{EVENT_VM_AGENT_ASKED, on_agent_asked},
	{EVENT_HOTKEY_NEXT, on_hotkey_next},
	{EVENT_HOTKEY_PANIC, on_hotkey_panic},
	{EVENT_SAID_CHANGED, on_said_changed},
	{EVENT_DEVICE_REVIEW, on_review_named},
	{EVENT_DEVICE_REVIEW, on_review_judge},
	{EVENT_DEVICE_REVIEW, on_review_route},
	{EVENT_DEVICE_BOUND, on_bound},
	{EVENT_ROUTE_MOVED, on_moved_told},
	{EVENT_ROUTE_MOVED, on_moved},
	{EVENT_JOBS_CHANGED, on_jobs_changed},
	{EVENT_EXPORTS_CHANGED, on_exports_changed},
	{EVENT_VM_GONE, on_vm_gone},
	{EVENT_KNOWN_MORE, on_known_more},
	{EVENT_VMS_ENDED, on_vms_ended},
};

/* ------------------------------------------------------------- what is asked upwards */

static int on_vm_made(void *ctx, struct vm *vm)
{
	struct rooms *rooms = ctx;

	return guest_side_new(&rooms->guests, vm);
}

static void on_vm_freed(void *ctx _unused_, struct vm *vm)
{
	guest_side_free(vm);
}

static void on_vm_silenced(void *ctx _unused_, struct vm *vm, const char *why)
{
	agents_close(vm, why);
	guest_side_stop(vm);
}

static void on_import_asked(void *ctx, struct vm *vm, uint32_t client, const char *busid)
{
	struct rooms *rooms = ctx;

	exports_import_asked(&rooms->routing, vm, client, busid);
}

static void on_lan_asked(void *ctx, struct vm *vm, uint32_t client, const char *busid,
			 const struct guest_peer *peer)
{
	struct rooms *rooms = ctx;

	exports_lan_asked(&rooms->routing, vm, client, busid, peer);
}

static void on_connection_lost(void *ctx, struct vm *vm, const struct guest_peer *peer)
{
	struct rooms *rooms = ctx;

	old_sessions_lost(&rooms->routing, vm, peer);
}

static const struct vms_ops vms_ops = {
	.made = on_vm_made,
	.freed = on_vm_freed,
	.silenced = on_vm_silenced,
	.import_asked = on_import_asked,
	.lan_asked = on_lan_asked,
	.connection_lost = on_connection_lost,
};

static bool guest_takes(void *ctx _unused_, const struct vm *vm)
{
	return guest_side_takes(vm);
}

static void on_hotkey_refused(void *ctx, const struct device *device, const char *vm,
			      const char *reason)
{
	struct rooms *rooms = ctx;

	if (rooms->ops->refused)
		rooms->ops->refused(rooms->ctx, device, vm, reason);
}

static const struct commands_ops commands_ops = {.refused = on_hotkey_refused};

static const struct routing_ops routing_ops = {.takes = guest_takes};

/**
 * rooms_device_prepare() - what the rooms keep with a device, for device_registry_new()
 * @ctx:	the rooms
 * @device:	about to be listed
 *
 * Return: 0 or -ENOMEM.
 */
int rooms_device_prepare(void *ctx, struct device *device)
{
	struct rooms *rooms = ctx;

	return route_prepare(&rooms->routing, device);
}

/* ------------------------------------------------------------- the whole */

/**
 * rooms_init() - the rooms of control, with nothing in them
 * @rooms:	them; stays where it is. @rooms->core is made already, but for its events
 * @ops:	what their owner hears
 * @ctx:	what with
 */
void rooms_init(struct rooms *rooms, const struct rooms_ops *ops, void *ctx)
{
	rooms->ops = ops;
	rooms->ctx = ctx;
	events_init(&rooms->core.events, listeners, ARRAY_SIZE(listeners), rooms);
	wish_books_init(&rooms->books, &rooms->core);
	devices_init(&rooms->devices, &rooms->core, &rooms->books);
	vms_init(&rooms->vms, &rooms->core, &vms_ops, rooms);
	routing_init(&rooms->routing, &rooms->devices, &rooms->vms, &routing_ops, rooms);
	commands_init(&rooms->commands, &rooms->routing, &commands_ops, rooms);
	guests_init(&rooms->guests, &rooms->routing);
}

/**
 * rooms_turn() - a turn of the loop, and then what it has brought about is told
 * @rooms:	them
 * @wait:	wait for something to come, unless something is left to be told; else only look
 *
 * Return: as loop_turn().
 */
int rooms_turn(struct rooms *rooms, bool wait)
{
	int r = loop_turn(rooms->core.loop, wait && !events_pending(&rooms->core.events));

	events_tell(&rooms->core.events);
	return r;
}
