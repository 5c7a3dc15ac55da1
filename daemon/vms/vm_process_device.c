/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control's end of the devices in a VM's process; see vm_process.h.
 *
 * A device's state is `given` (the process has it, or will read that it does), and which calls of
 * guest.h were asked and not answered yet.
 */
#include "daemon/vms/vm_process_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "usb/hid_found.h"

/* Numbers are never used twice in the life of a process; several controls may give it devices. */
static uint32_t last_number;

/* ------------------------------------------------------------- words to the process */

static void tell_device(const struct guest_device *gd, uint32_t kind)
{
	vm_process_tell(gd->guest, &(struct vm_wire_device){.kind = kind, .device = gd->number});
}

/* Give it to the process that stands. */
void vm_process_give(struct guest_device *gd)
{
	struct vm_wire_give m = {.kind = VM_ASK_GIVE, .device = gd->number, .info = gd->info};

	memcpy(m.tag, gd->name, sizeof(m.tag));
	vm_line_send(gd->guest->line, &m, &gd->node, 1);
	gd->node = fd_close(gd->node);
	gd->given = true;
}

/* ------------------------------------------------------------- what becomes of a device */

static void device_leaves(struct guest_device *gd)
{
	list_remove(&gd->link);
	gd->guest = NULL;
	gd->given = false;
}

/* The process has it no more, or never had it. */
void vm_process_taken(struct guest_device *gd, int r)
{
	device_leaves(gd);
	if (gd->events)
		gd->events->taken(gd->ctx, true, r, "");
	else
		guest_device_free(gd);
}

static struct guest_peer peer_of(const struct vm_wire_peer *wire)
{
	struct guest_peer peer = {.v6 = wire->v6, .port = wire->port};

	memcpy(peer.address, wire->address, sizeof(peer.address));
	return peer;
}

/* Its guest waits on it for ever, where nobody says that it is over. */
static void connection_lost(const struct guest_device *gd)
{
	const struct guest_peer peer = peer_of(&gd->peer);

	if (gd->guest->events->connection_lost)
		gd->guest->events->connection_lost(gd->guest->ctx, &peer);
}

/* Answer all that was asked and not answered, in the order in which a process would. */
static void device_lost(struct guest_device *gd, const char *why)
{
	if (gd->session || gd->importing) {
		bool session = gd->session;

		gd->session = gd->importing = false;
		if (session)
			connection_lost(gd);
		if (gd->events && session)
			gd->events->session_ended(gd->ctx, 0, why);
		else if (gd->events)
			gd->events->imported(gd->ctx, -EPIPE, NULL);
	}
	if (gd->events && !gd->opened && !gd->failed && !gd->taking)
		gd->events->opened(gd->ctx, -EPIPE, why);
	if (gd->events && gd->resetting) {
		gd->resetting = false;
		gd->events->was_reset(gd->ctx, -EPIPE, why);
	}
	vm_process_taken(gd, 0);
}

/* What a process had is lost with it; what it has not had yet waits for the next one. */
void vm_process_devices_lost(struct guest *guest, const char *why)
{
	struct list had = LIST_INIT(had);
	struct list *l;

	list_for_each_safe(it, &guest->devices) {
		struct guest_device *gd = list_entry(it, struct guest_device, link);

		if (!gd->given)
			continue;
		list_remove(it);
		list_append(&had, it);
	}
	while ((l = list_first(&had)))
		device_lost(list_entry(l, struct guest_device, link), why);
}

/* Those that were forgotten are freed; the others are their owners'. */
void vm_process_devices_free(struct guest *guest)
{
	struct list *l;

	while ((l = list_first(&guest->devices))) {
		struct guest_device *gd = list_entry(l, struct guest_device, link);

		device_leaves(gd);
		if (!gd->events)
			guest_device_free(gd);
	}
}

/* ------------------------------------------------------------- what the process says of them */

static struct guest_device *device_find(struct guest *guest, uint32_t number)
{
	list_for_each(it, &guest->devices) {
		struct guest_device *gd = list_entry(it, struct guest_device, link);

		if (gd->number == number && gd->given)
			return gd;
	}
	return NULL;
}

typedef const char *(*device_fn)(struct guest_device *gd, const union vm_wire_message *m);

static const char *said_opened(struct guest_device *gd, const union vm_wire_message *m)
{
	if (gd->opened || gd->failed)
		return NOT_ASKED;
	gd->opened = m->result.r == 0;
	gd->failed = !gd->opened;
	if (gd->events)
		gd->events->opened(gd->ctx, m->result.r, m->result.reason);
	return NULL;
}

static const char *said_imported(struct guest_device *gd, const union vm_wire_message *m)
{
	struct guest_peer peer = peer_of(&m->imported.peer);

	if (!gd->importing)
		return NOT_ASKED;
	gd->importing = false;
	gd->session = m->imported.r == 0;
	gd->peer = m->imported.peer;
	if (gd->events)
		gd->events->imported(gd->ctx, m->imported.r, &peer);
	return NULL;
}

static const char *said_session_ended(struct guest_device *gd, const union vm_wire_message *m)
{
	if (!gd->session)
		return NOT_ASKED;
	gd->session = false;
	if (gd->events)
		gd->events->session_ended(gd->ctx, m->result.r, m->result.reason);
	return NULL;
}

static const char *said_was_reset(struct guest_device *gd, const union vm_wire_message *m)
{
	if (!gd->resetting || gd->session)
		return NOT_ASKED;
	gd->resetting = false;
	if (gd->events)
		gd->events->was_reset(gd->ctx, m->result.r, m->result.reason);
	return NULL;
}

static const char *said_gone(struct guest_device *gd, const union vm_wire_message *m _unused_)
{
	if (gd->gone)
		return NOT_ASKED;
	gd->gone = true;
	if (gd->events)
		gd->events->gone(gd->ctx);
	return NULL;
}

static const char *said_stuck(struct guest_device *gd, const union vm_wire_message *m)
{
	if (gd->stuck)
		return NOT_ASKED;
	gd->stuck = true;
	if (gd->events)
		gd->events->stuck(gd->ctx, m->result.reason);
	return NULL;
}

static const char *said_taken(struct guest_device *gd, const union vm_wire_message *m)
{
	if ((!gd->taking && !gd->guest->stopping) || gd->session || !m->result.closed)
		return NOT_ASKED;
	/* A client that came too late: its import was overtaken. */
	if (gd->importing) {
		gd->importing = false;
		if (gd->events)
			gd->events->imported(gd->ctx, -ENODEV, NULL);
	}
	vm_process_taken(gd, m->result.r);
	return NULL;
}

static const char *said_hotkey(struct guest_device *gd, const union vm_wire_message *m)
{
	if (!gd->opened)
		return NOT_ASKED;
	if (gd->events)
		gd->events->hotkey(gd->ctx, (enum hotkey)m->hotkey.which);
	return NULL;
}

static const char *said_hid(struct guest_device *gd, const union vm_wire_message *m)
{
	if (gd->left)
		hid_found_join(&gd->hid, &m->hid.found);
	if (gd->events && gd->events->hid)
		gd->events->hid(gd->ctx, &m->hid.found);
	return NULL;
}

static const char *said_stats(struct guest_device *gd, const union vm_wire_message *m)
{
	if (!gd->guest->stats_asked)
		return NOT_ASKED;
	gd->counted = true;
	gd->stats = (struct urb_stats){
		.urbs = m->stats.urbs,
		.errors = m->stats.errors,
		.in_bytes = m->stats.in_bytes,
		.out_bytes = m->stats.out_bytes,
		.answer = m->stats.answer,
		.device = m->stats.with_device,
	};
	return NULL;
}

static const device_fn says[VM_WIRE_KINDS] = {
	[VM_SAY_OPENED] = said_opened,
	[VM_SAY_IMPORTED] = said_imported,
	[VM_SAY_SESSION_ENDED] = said_session_ended,
	[VM_SAY_WAS_RESET] = said_was_reset,
	[VM_SAY_GONE] = said_gone,
	[VM_SAY_STUCK] = said_stuck,
	[VM_SAY_TAKEN] = said_taken,
	[VM_SAY_HOTKEY] = said_hotkey,
	[VM_SAY_HID] = said_hid,
	[VM_SAY_STATS] = said_stats,
};

/* The number of the device is the second word of each. */
static_assert(offsetof(struct vm_wire_device_result, device) == 4 &&
		      offsetof(struct vm_wire_imported, device) == 4 &&
		      offsetof(struct vm_wire_hotkey, device) == 4 &&
		      offsetof(struct vm_wire_hid, device) == 4 &&
		      offsetof(struct vm_wire_stats, device) == 4 &&
		      offsetof(struct vm_wire_device, device) == 4,
	      "the second word");

/**
 * vm_process_device_says() - a process speaks of a device
 * @guest:	whose process it is
 * @m:		what it says, in its kind's form; of any kind
 *
 * Return: NULL, or what it may not say.
 */
const char *vm_process_device_says(struct guest *guest, const union vm_wire_message *m)
{
	struct guest_device *gd;

	if (!says[m->kind])
		return NOT_ASKED;
	gd = device_find(guest, m->device.device);
	return gd ? says[m->kind](gd, m) : NO_DEVICE;
}

/* ------------------------------------------------------------- what the last control has left */

/* Far more than a guest has ports. */
#define HELD_MAX 1024

/**
 * vm_process_held() - a process of the last control tells of a device that it holds
 * @guest:	whose process it is, ASKING
 * @m:		HELD
 *
 * Return: NULL, or what it may not say.
 */
const char *vm_process_held(struct guest *guest, const union vm_wire_message *m)
{
	const struct vm_wire_held_device *held = &m->held;
	struct guest_device *gd;

	if (guest->n_held++ >= HELD_MAX || device_find(guest, held->device))
		return "it holds what it can't";
	gd = calloc(1, sizeof(*gd));
	if (!gd)
		return "no memory for what it holds";
	list_init(&gd->link);
	gd->number = held->device;
	gd->node = -1;
	gd->guest = guest;
	gd->given = gd->left = true;
	gd->opened = held->held & VM_HELD_OPENED;
	gd->failed = held->held & VM_HELD_FAILED;
	gd->importing = held->held & VM_HELD_IMPORTING;
	gd->session = held->held & VM_HELD_SESSION;
	gd->resetting = held->held & VM_HELD_RESETTING;
	gd->taking = held->held & VM_HELD_TAKING;
	gd->gone = held->held & VM_HELD_GONE;
	gd->stuck = held->held & VM_HELD_STUCK;
	gd->identity = held->identity;
	gd->peer = held->peer;
	gd->since_ns = held->since_ns;
	list_append(&guest->devices, &gd->link);
	/* No other device gets its number. A number that no control gave must not use them up. */
	if (gd->number > last_number && gd->number < UINT32_MAX / 2)
		last_number = gd->number;
	return NULL;
}

static bool is_it(const struct vm_wire_identity *id, const struct usb_device_info *info)
{
	return id->busnum == info->busnum && id->devnum == info->devnum &&
	       id->id_vendor == info->id_vendor && id->id_product == info->id_product;
}

/**
 * guest_device_take_up() - take a device up that the last control had given
 * @guest:	the guest, whose process goes on
 * @number:	the device's, as the last control has written it down
 * @name:	for log lines
 * @info:	what USB/IP tells of it
 * @events:	called in the caller's thread with @ctx from here on
 * @ret_held:	gets how it stands there
 *
 * Return: the device; NULL: the process does not hold it, or has lost it.
 */
struct guest_device *guest_device_take_up(struct guest *guest, uint32_t number, const char *name,
					  const struct usb_device_info *info,
					  const struct guest_device_events *events, void *ctx,
					  struct guest_held *ret_held)
{
	struct guest_device *gd = device_find(guest, number);

	if (!gd || !gd->left || gd->stuck || !is_it(&gd->identity, info))
		return NULL;
	gd->left = false;
	snprintf(gd->name, sizeof(gd->name), "%s", name);
	gd->info = *info;
	gd->events = events;
	gd->ctx = ctx;
	*ret_held = (struct guest_held){
		.opened = gd->opened,
		.failed = gd->failed,
		.importing = gd->importing,
		.session = gd->session,
		.resetting = gd->resetting,
		.taking = gd->taking,
		.gone = gd->gone,
		.peer = peer_of(&gd->peer),
		.since_ns = gd->since_ns,
		.hid = gd->hid,
	};
	return gd;
}

/**
 * guest_take_rest() - take away what the last control had given, and nobody has taken up
 * @guest:	the guest
 */
void guest_take_rest(struct guest *guest)
{
	list_for_each(it, &guest->devices) {
		struct guest_device *gd = list_entry(it, struct guest_device, link);

		if (!gd->left)
			continue;
		gd->left = false;
		if (!gd->taking)
			tell_device(gd, VM_ASK_TAKE);
		gd->taking = true;
	}
}

/* ------------------------------------------------------------- guest.h: its devices */

/**
 * guest_device_number() - the number by which a process knows a device
 * @gd:		the device
 */
uint32_t guest_device_number(const struct guest_device *gd)
{
	return gd->number;
}

/**
 * guest_device_stats() - what has gone through a device, as its process told last
 * @gd:		the device
 * @ret_stats:	gets it
 *
 * Return: whether it was told.
 */
bool guest_device_stats(const struct guest_device *gd, struct urb_stats *ret_stats)
{
	*ret_stats = gd->stats;
	return gd->counted;
}

/**
 * guest_device_new() - make a device that may be given to a guest
 * @name:	for log lines
 * @info:	what USB/IP tells of it
 * @fd:		its usbfs node; owned from here on where this succeeds
 * @control:	the caller's loop
 * @events:	called in the caller's thread with @ctx
 *
 * Return: the device, or NULL without memory.
 */
struct guest_device *guest_device_new(const char *name, const struct usb_device_info *info, int fd,
				      struct loop *control _unused_,
				      const struct guest_device_events *events, void *ctx)
{
	struct guest_device *gd = calloc(1, sizeof(*gd));

	if (!gd)
		return NULL;
	list_init(&gd->link);
	gd->number = ++last_number;
	snprintf(gd->name, sizeof(gd->name), "%s", name);
	gd->info = *info;
	gd->node = fd;
	gd->events = events;
	gd->ctx = ctx;
	return gd;
}

/**
 * guest_device_free() - free a device that was taken, or never given
 * @gd:		the device, or NULL
 *
 * Return: NULL.
 */
struct guest_device *guest_device_free(struct guest_device *gd)
{
	if (!gd)
		return NULL;
	fd_close(gd->node);
	free(gd);
	return NULL;
}

/**
 * guest_device_forget() - hear nothing more of a device
 * @gd:		the device; it frees itself once it was taken
 */
void guest_device_forget(struct guest_device *gd)
{
	gd->events = NULL;
	gd->ctx = NULL;
}

/**
 * guest_give() - give a device to a guest
 * @guest:	the guest
 * @gd:		in no guest; "opened" follows
 */
void guest_give(struct guest *guest, struct guest_device *gd)
{
	gd->guest = guest;
	gd->opened = gd->failed = gd->gone = gd->stuck = gd->taking = gd->counted = false;
	list_append(&guest->devices, &gd->link);
	if (guest->state == GUEST_STANDS)
		vm_process_give(gd);
}

/**
 * guest_export() - let a guest see a device, or not
 * @guest:	the guest that has it
 * @gd:		the device
 * @exported:	a list of what there is shows it, while nobody has imported it
 */
void guest_export(struct guest *guest, struct guest_device *gd, bool exported)
{
	if (gd->given)
		vm_process_tell(guest, &(struct vm_wire_export){.kind = VM_ASK_EXPORT,
								.device = gd->number,
								.exported = exported});
}

/**
 * guest_import() - give a client the device that it asked for
 * @guest:	the guest that the client is in
 * @gd:		the device, which this guest has
 * @client:	of "import_asked", which this answers
 *
 * "imported" follows, and after a good one "session_ended".
 */
void guest_import(struct guest *guest, struct guest_device *gd, uint32_t client)
{
	gd->importing = true;
	vm_process_tell(guest, &(struct vm_wire_client){.kind = VM_ASK_IMPORT,
							.device = gd->number,
							.client = client});
}

/**
 * guest_probe() - a client asks for what a connection of its own guest holds: does that one live?
 * @guest:	the guest
 * @gd:		what it asks for, which this guest has
 * @client:	of "import_asked", which this answers; the event comes again, or the client is refused
 */
void guest_probe(struct guest *guest, struct guest_device *gd, uint32_t client)
{
	vm_process_tell(guest, &(struct vm_wire_client){.kind = VM_ASK_PROBE,
							.device = gd->number,
							.client = client});
}

/**
 * guest_reset() - reset a device
 * @guest:	the guest that has it
 * @gd:		the device, opened; its session ends, then "was_reset" follows
 */
void guest_reset(struct guest *guest _unused_, struct guest_device *gd)
{
	gd->resetting = true;
	tell_device(gd, VM_ASK_RESET);
}

static void never_given(void *ctx, int res _unused_)
{
	struct guest *guest = ctx;

	list_for_each_safe(it, &guest->devices) {
		struct guest_device *gd = list_entry(it, struct guest_device, link);

		if (gd->taking && !gd->given)
			vm_process_taken(gd, 0);
	}
}

/**
 * guest_take() - take a device away from a guest
 * @guest:	the guest that has it
 * @gd:		the device; its session ends, then "taken" follows, closed
 * @close_it:	has no effect: a device leaves a process only closed
 */
void guest_take(struct guest *guest, struct guest_device *gd, bool close_it _unused_)
{
	gd->taking = true;
	if (gd->given)
		tell_device(gd, VM_ASK_TAKE);
	else
		loop_watch_time(guest->loop, &guest->taken, 0, never_given, guest);
}
