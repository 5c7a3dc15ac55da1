/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The devices that control has given to a VM's process; see control_line.h.
 *
 * It keeps what was said of a device, and what still has to be said: the next control asks for
 * that.
 */
#include "dataplane/control_line_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"

/* A device that control has given. */
struct held {
	struct list link;
	struct control_line *line;
	uint32_t number; /* control's for it */
	struct guest_device *gd;
	unsigned held;		  /* of enum vm_wire_held: what was said of it, and is owed */
	struct vm_wire_peer peer; /* VM_HELD_SESSION: who has it */
	uint64_t since_ns;
};

static struct held *held_find(struct control_line *c, uint32_t number)
{
	list_for_each(it, &c->devices) {
		struct held *h = list_entry(it, struct held, link);

		if (h->number == number)
			return h;
	}
	return NULL;
}

/* ------------------------------------------------------------- what the guest tells */

/* A control that asks later what there is hears this then. */
static void say(struct held *h, const void *message)
{
	if (h->line->informed)
		control_line_say(h->line, message);
}

static void say_result(struct held *h, uint32_t kind, int r, const char *reason)
{
	struct vm_wire_device_result m = {
		.kind = kind, .device = h->number, .r = r, .closed = kind == VM_SAY_TAKEN};

	if (reason)
		snprintf(m.reason, sizeof(m.reason), "%s", reason);
	say(h, &m);
}

static void held_is(struct held *h, unsigned set, unsigned cleared)
{
	h->held = (h->held & ~cleared) | set;
	h->since_ns = loop_now();
}

static void on_opened(void *ctx, int r, const char *reason)
{
	struct held *h = ctx;

	held_is(h, r == 0 ? VM_HELD_OPENED : VM_HELD_FAILED, 0);
	say_result(h, VM_SAY_OPENED, r, reason);
}

static void on_imported(void *ctx, int r, const struct guest_peer *peer)
{
	struct held *h = ctx;
	struct vm_wire_imported m = {.kind = VM_SAY_IMPORTED, .device = h->number, .r = r};

	held_is(h, r == 0 ? VM_HELD_SESSION : 0, VM_HELD_IMPORTING);
	if (r == 0) {
		h->peer = (struct vm_wire_peer){.v6 = peer->v6, .port = peer->port};
		memcpy(h->peer.address, peer->address, sizeof(h->peer.address));
		m.peer = h->peer;
	}
	say(h, &m);
}

static void on_session_ended(void *ctx, int r, const char *reason)
{
	struct held *h = ctx;

	held_is(h, 0, VM_HELD_SESSION);
	say_result(h, VM_SAY_SESSION_ENDED, r, reason);
}

static void on_was_reset(void *ctx, int r, const char *reason)
{
	struct held *h = ctx;

	held_is(h, 0, VM_HELD_RESETTING);
	say_result(h, VM_SAY_WAS_RESET, r, reason);
}

static void on_gone(void *ctx)
{
	struct held *h = ctx;

	h->held |= VM_HELD_GONE;
	say(h, &(struct vm_wire_device){.kind = VM_SAY_GONE, .device = h->number});
}

static void on_stuck(void *ctx, const char *what)
{
	struct held *h = ctx;

	h->held |= VM_HELD_STUCK;
	say_result(h, VM_SAY_STUCK, -ETIMEDOUT, what);
}

static void held_free(struct held *h)
{
	list_remove(&h->link);
	guest_device_free(h->gd);
	free(h);
}

/* A device leaves a process only closed. */
static void on_taken(void *ctx, bool closed, int r, const char *reason)
{
	struct held *h = ctx;

	assert(closed);
	say_result(h, VM_SAY_TAKEN, r, reason);
	held_free(h);
}

static void on_hotkey(void *ctx, enum hotkey which)
{
	struct held *h = ctx;

	say(h,
	    &(struct vm_wire_hotkey){.kind = VM_SAY_HOTKEY, .device = h->number, .which = which});
}

static void say_hid(struct held *h, const struct hid_found *found)
{
	struct vm_wire_hid m = {.kind = VM_SAY_HID, .device = h->number, .found = *found};

	say(h, &m);
}

static void on_hid(void *ctx, const struct hid_found *found)
{
	say_hid(ctx, found);
}

static const struct guest_device_events device_events = {
	.opened = on_opened,
	.imported = on_imported,
	.session_ended = on_session_ended,
	.was_reset = on_was_reset,
	.gone = on_gone,
	.stuck = on_stuck,
	.taken = on_taken,
	.hotkey = on_hotkey,
	.hid = on_hid,
};

/**
 * control_line_say_held() - tell a new control which devices there are, and how they stand
 * @c:		the line
 */
void control_line_say_held(struct control_line *c)
{
	list_for_each(it, &c->devices) {
		const struct held *h = list_entry(it, struct held, link);
		const struct usb_device_info *info = &h->gd->info;
		struct vm_wire_held_device answer = {
			.kind = VM_SAY_HELD,
			.device = h->number,
			.held = h->held,
			.identity = {.busnum = (uint16_t)info->busnum,
				     .devnum = (uint16_t)info->devnum,
				     .id_vendor = info->id_vendor,
				     .id_product = info->id_product},
			.peer = h->peer,
			.since_ns = h->since_ns,
		};

		memcpy(answer.busid, info->busid, sizeof(answer.busid));
		control_line_say(c, &answer);
	}
	list_for_each(it, &c->devices) {
		struct held *h = list_entry(it, struct held, link);

		if (h->gd->opened)
			say_hid(h, &h->gd->ev_hid.found);
	}
}

/**
 * control_line_time() - have the times of all devices counted, or not, as control wants it
 * @c:		the line
 */
void control_line_time(struct control_line *c)
{
	list_for_each(it, &c->devices)
		list_entry(it, struct held, link)->gd->stats.timed = c->guest->timed;
}

/**
 * control_line_say_stats() - tell control what has gone through each device
 * @c:		the line
 */
void control_line_say_stats(struct control_line *c)
{
	control_line_time(c);
	list_for_each(it, &c->devices) {
		const struct held *h = list_entry(it, struct held, link);
		const struct urb_stats *stats = &h->gd->stats;

		control_line_say(c, &(struct vm_wire_stats){
					    .kind = VM_SAY_STATS,
					    .device = h->number,
					    .urbs = stats->urbs,
					    .errors = stats->errors,
					    .in_bytes = stats->in_bytes,
					    .out_bytes = stats->out_bytes,
					    .answer = stats->answer,
					    .with_device = stats->device,
				    });
	}
}

/**
 * control_line_devices_free() - let go of all devices
 * @c:		the line, done
 */
void control_line_devices_free(struct control_line *c)
{
	while (!list_empty(&c->devices))
		held_free(list_entry(list_first(&c->devices), struct held, link));
}

/* ------------------------------------------------------------- what control asks */

/**
 * control_line_give() - claim a device
 * @c:		the line
 * @m:		the message, in its kind's form
 * @fds:	its descriptors; taken
 *
 * Return: NULL, or what control may not ask.
 */
const char *control_line_give(struct control_line *c, const union vm_wire_message *m, int *fds)
{
	struct held *h;

	if (c->ending || held_find(c, m->give.device)) {
		fd_close(fds[0]);
		return "it gives a device that is here, or when all is over";
	}
	h = calloc(1, sizeof(*h));
	if (h) {
		h->line = c;
		h->number = m->give.device;
		h->gd = guest_device_new(m->give.tag, &m->give.info, fds[0], c->loop,
					 &device_events, h);
	}
	if (!h || !h->gd) {
		free(h);
		fd_close(fds[0]);
		return "no memory for a device";
	}
	list_append(&c->devices, &h->link);
	guest_give(c->guest, h->gd);
	return NULL;
}

/**
 * control_line_take() - end a device's session, and close it
 * @c:		the line
 * @m:		the message, in its kind's form
 * @fds:	its descriptors; taken
 *
 * Return: NULL, or what control may not ask.
 */
const char *control_line_take(struct control_line *c, const union vm_wire_message *m,
			      int *fds _unused_)
{
	struct held *h = held_find(c, m->device.device);

	/* At the end all is taken anyhow. */
	if (c->ending)
		return NULL;
	if (!h || h->held & VM_HELD_TAKING)
		return "it takes a device that is not here";
	h->held |= VM_HELD_TAKING;
	guest_take(c->guest, h->gd, true);
	return NULL;
}

/**
 * control_line_reset() - end a device's session, and reset it
 * @c:		the line
 * @m:		the message, in its kind's form
 * @fds:	its descriptors; taken
 *
 * Return: NULL, or what control may not ask.
 */
const char *control_line_reset(struct control_line *c, const union vm_wire_message *m,
			       int *fds _unused_)
{
	struct held *h = held_find(c, m->device.device);

	if (c->ending)
		return NULL;
	if (!h || h->held & (VM_HELD_TAKING | VM_HELD_RESETTING))
		return "it resets a device that is not here";
	h->held |= VM_HELD_RESETTING;
	guest_reset(c->guest, h->gd);
	return NULL;
}

/**
 * control_line_export() - let the guest see a device, or not
 * @c:		the line
 * @m:		the message, in its kind's form
 * @fds:	its descriptors; taken
 *
 * Return: NULL, or what control may not ask.
 */
const char *control_line_export(struct control_line *c, const union vm_wire_message *m,
				int *fds _unused_)
{
	struct held *h = held_find(c, m->export.device);

	if (c->ending)
		return NULL;
	if (!h || h->held & VM_HELD_TAKING)
		return "it exports a device that is not here";
	guest_export(c->guest, h->gd, m->export.exported);
	return NULL;
}

/**
 * control_line_may() - say who may have a device over the LAN
 * @c:		the line
 * @m:		the message, in its kind's form
 * @fds:	its descriptors; taken
 *
 * Return: NULL, or what control may not ask.
 */
const char *control_line_may(struct control_line *c, const union vm_wire_message *m,
			     int *fds _unused_)
{
	struct held *h = held_find(c, m->lan_may.device);

	if (c->ending)
		return NULL;
	if (!h || h->held & VM_HELD_TAKING)
		return "it says who may have a device that is not here";
	guest_lan_set_may(h->gd, m->lan_may.to, m->lan_may.n);
	return NULL;
}

/**
 * control_line_import() - let a client have a device
 * @c:		the line
 * @m:		the message, in its kind's form
 * @fds:	its descriptors; taken
 *
 * Return: NULL, or what control may not ask.
 */
const char *control_line_import(struct control_line *c, const union vm_wire_message *m,
				int *fds _unused_)
{
	struct held *h = held_find(c, m->client.device);
	uint32_t client = control_line_answered(c, m->client.client);

	if (!client)
		return "it answers a client that has not asked";
	/* Both may have gone: the client is answered all the same. */
	if (!h || h->held & (VM_HELD_IMPORTING | VM_HELD_TAKING)) {
		guest_refuse(c->guest, client, USBIP_ST_NODEV);
		return NULL;
	}
	h->held |= VM_HELD_IMPORTING;
	guest_import(c->guest, h->gd, client);
	return NULL;
}

/**
 * control_line_probe() - does the client that has a device live?
 * @c:		the line
 * @m:		the message, in its kind's form
 * @fds:	its descriptors; taken
 *
 * Return: NULL, or what control may not ask.
 */
const char *control_line_probe(struct control_line *c, const union vm_wire_message *m,
			       int *fds _unused_)
{
	struct held *h = held_find(c, m->client.device);
	uint32_t client = control_line_answered(c, m->client.client);

	if (!client)
		return "it answers a client that has not asked";
	if (h && !(h->held & VM_HELD_TAKING))
		guest_probe(c->guest, h->gd, client);
	else
		guest_refuse(c->guest, client, USBIP_ST_NODEV);
	return NULL;
}
