/* SPDX-License-Identifier: BSD-2-Clause */
/* QEMU's guest agent as a way to a guest's inside; see virt_link.h for an entry's states. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "daemon/guests/guests.h"
#include "daemon/routing/route.h"
#include "daemon/guests/virt_private.h"

#define NS_PER_SECOND	1000000000ull
#define RETRY_SECONDS	2
#define RETRY_DOUBLINGS 5 /* up to 64 s */
/* Longer than the helper lets a guest take. */
#define ANSWER_SECONDS 120
/* How long after the guest has said that it has a device its session may become known here. */
#define SESSION_SECONDS 5

enum virt_ask_state { ASK_ASKED, ASK_FAILED, ASK_DONE, ASK_LEAVING };

/* A device that the guest was asked to attach. */
struct virt_ask {
	struct list link;
	struct virt_link *owner;
	struct vm *vm;
	enum virt_ask_state state;
	char busid[VIRT_BUSID_MAX + 1];
	uint32_t devid;
	unsigned id; /* of what was asked last; 0: nothing is open */
	unsigned failures;
	bool had; /* a session was seen */
	struct loop_watch timer;
};

/* ------------------------------------------------------------- what a guest was asked */

static void ask_free(struct virt_ask *ask)
{
	list_remove(&ask->link);
	loop_cancel(ask->owner->guests->core->loop, &ask->timer);
	free(ask);
}

/* Of one VM, or of all. */
void virt_asks_forget(struct virt_link *link, const struct vm *vm)
{
	list_for_each_safe(it, &link->asks) {
		struct virt_ask *ask = list_entry(it, struct virt_ask, link);

		if (!vm || ask->vm == vm)
			ask_free(ask);
	}
}

/**
 * virt_forget() - a VM goes
 * @vm:		the VM
 */
void virt_forget(struct vm *vm)
{
	if (vm->side->guests->virt)
		virt_asks_forget(vm->side->guests->virt, vm);
}

static struct device *exported_device(struct vm *vm, const struct virt_ask *ask)
{
	list_for_each(it, &vm->side->guests->devices->all) {
		struct device *d = list_entry(it, struct device, link);

		if (usbip_devid(&d->info) == ask->devid && !strcmp(d->busid, ask->busid) &&
		    route_exported_to(d, vm))
			return d;
	}
	return NULL;
}

static void ask_late(void *ctx, int res);

static void ask_say(struct virt_ask *ask, enum virt_verb verb)
{
	struct virt_link *link = ask->owner;
	struct virt_line line = {.verb = verb};
	char mac[18];

	link->last_id = link->last_id % VIRT_ID_MAX + 1;
	ask->id = line.id = link->last_id;
	snprintf(line.domain, sizeof(line.domain), "%s", virt_domain_of(ask->vm));
	if (vm_daemon_by_mac(ask->vm, mac))
		snprintf(line.address, sizeof(line.address), "fe80::1@%s", mac);
	else
		inet_ntop(AF_INET, &link->guests->core->config->address, line.address,
			  sizeof(line.address));
	strcpy(line.busid, ask->busid);
	loop_cancel(link->guests->core->loop, &ask->timer);
	loop_watch_time(link->guests->core->loop, &ask->timer, ANSWER_SECONDS * NS_PER_SECOND,
			ask_late, ask);
	virt_say(link, &line);
}

/* ------------------------------------------------------------- a way to a guest's inside */

static struct virt_ask *ask_begin(struct vm *vm, const struct device *d)
{
	struct virt_link *link = vm->side->guests->virt;
	struct virt_ask *ask;

	if (!virt_busid_valid(d->busid))
		return NULL;
	ask = calloc(1, sizeof(*ask));
	if (!ask)
		return NULL;
	ask->owner = link;
	ask->vm = vm;
	ask->devid = usbip_devid(&d->info);
	snprintf(ask->busid, sizeof(ask->busid), "%s", d->busid);
	list_append(&link->asks, &ask->link);
	if (route_is_taken(d))
		ask->state = ASK_DONE; /* somebody in the guest was quicker */
	else
		ask_say(ask, VIRT_ATTACH);
	return ask;
}

/* Found by its port: whatever was there before has to leave first. */
static struct virt_ask *ask_find(const struct vm *vm, const struct device *d)
{
	list_for_each(it, &vm->side->guests->virt->asks) {
		struct virt_ask *ask = list_entry(it, struct virt_ask, link);

		if (ask->vm == vm && !strcmp(ask->busid, d->busid))
			return ask;
	}
	return NULL;
}

/* A device is no longer exported to the VM: if the guest may have it, it has to let go of it. */
static void ask_leave(struct virt_ask *ask)
{
	if (ask->state == ASK_FAILED) {
		ask_free(ask);
	} else if (ask->state != ASK_LEAVING && (ask->state == ASK_DONE || !ask->id)) {
		ask->state = ASK_LEAVING;
		ask_say(ask, VIRT_DETACH);
	}
	/* While it is being attached: when that has ended. */
}

/* Unless somebody was quicker meanwhile, in another way. */
static void ask_again(void *ctx, int res _unused_)
{
	struct virt_ask *ask = ctx;
	const struct device *d = exported_device(ask->vm, ask);
	struct vm *vm = ask->vm;

	if (d && !route_is_taken(d)) {
		ask->state = ASK_ASKED;
		ask_say(ask, VIRT_ATTACH);
		return;
	}
	ask_free(ask);
	guest_side_changed(vm);
}

static void ask_failed(struct virt_ask *ask, const char *text)
{
	struct vm *vm = ask->vm;
	struct device *d = exported_device(vm, ask);
	unsigned doublings = min_t(unsigned, ask->failures, RETRY_DOUBLINGS);

	if (ask->state == ASK_LEAVING || !d) {
		ask_free(ask);
		return;
	}
	log_limited(&vm->limit, LOG_LEVEL_WARNING, "%s: %s: %s", vm->name, d->tag, text);
	ask->state = ASK_FAILED;
	ask->had = false;
	ask->failures++;
	loop_cancel(vm->vms->core->loop, &ask->timer);
	loop_watch_time(vm->vms->core->loop, &ask->timer,
			(RETRY_SECONDS * NS_PER_SECOND) << doublings, ask_again, ask);
	route_guest_says(d, vm, false, text);
}

/* It was attached. Its session becomes known here a little later than there, or has ended since. */
static void ask_check_session(struct virt_ask *ask, struct device *d)
{
	if (route_status(d).session) {
		loop_cancel(d->devices->core->loop, &ask->timer);
		ask->had = true;
		if (!route_status(d).guest_has)
			route_guest_says(d, ask->vm, true, "");
	} else if (ask->had && !route_status(d).importing) {
		/*
		 * The guest has let go of it, or its card was away for a while and it has not heard
		 * that the session is over: what it may have yet has to go before it is asked
		 * again.
		 */
		ask->state = ASK_LEAVING;
		ask_say(ask, VIRT_DETACH);
		route_guest_says(d, ask->vm, false, "the guest has let go of it");
	}
}

static void way_changed(struct vm *vm)
{
	struct virt_link *link = vm->side->guests->virt;

	list_for_each_safe(it, &link->asks) {
		struct virt_ask *ask = list_entry(it, struct virt_ask, link);

		if (ask->vm == vm && !exported_device(vm, ask))
			ask_leave(ask);
	}
	list_for_each(it, &vm->side->guests->devices->all) {
		struct device *d = list_entry(it, struct device, link);
		struct virt_ask *ask;

		if (!route_exported_to(d, vm))
			continue;
		ask = ask_find(vm, d);
		if (!ask)
			ask = ask_begin(vm, d);
		if (ask && ask->state == ASK_DONE)
			ask_check_session(ask, d);
	}
}

static bool way_there(const struct vm *vm)
{
	const struct virt_domain *d = virt_domain_find(vm);

	return d && d->agent && vm->connected;
}

static const char *way_version(const struct vm *vm _unused_)
{
	return "QEMU guest agent";
}

static struct guest_ports way_ports(const struct vm *vm _unused_)
{
	return (struct guest_ports){.high = -1, .super = -1};
}

const struct guest_way virt_way = {
	.there = way_there,
	.changed = way_changed,
	.version = way_version,
	.ports = way_ports,
};

/* ------------------------------------------------------------- how it went in the guest */

static void ask_no_session(void *ctx, int res _unused_)
{
	ask_failed(ctx, "the guest says that it has it, and has not asked for it");
}

static void ask_ended(struct virt_ask *ask, bool done, const char *text)
{
	struct vm *vm = ask->vm;

	loop_cancel(vm->vms->core->loop, &ask->timer);
	ask->id = 0;
	if (!done) {
		ask_failed(ask, text);
	} else if (ask->state == ASK_LEAVING) {
		ask_free(ask);
	} else {
		ask->state = ASK_DONE;
		ask->failures = 0;
		loop_watch_time(vm->vms->core->loop, &ask->timer, SESSION_SECONDS * NS_PER_SECOND,
				ask_no_session, ask);
	}
	/* Whether the guest has it is told once its session is known here, too. */
	guest_side_changed(vm);
}

static void ask_late(void *ctx, int res _unused_)
{
	ask_ended(ctx, false, "usbrouted-libvirt does not answer");
}

void virt_asks_answered(struct virt_link *link, const struct virt_line *line)
{
	list_for_each(it, &link->asks) {
		struct virt_ask *ask = list_entry(it, struct virt_ask, link);

		if (ask->id == line->id) {
			ask_ended(ask, line->verb == VIRT_DONE, line->text);
			return;
		}
	}
}
