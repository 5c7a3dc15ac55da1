/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The methods that list all devices, and all VMs: in one reply, or, for a call with `more`, each in
 * a reply of its own.
 *
 * A list with `more` has what was there when it was called. A device that has gone before its turn
 * is left out, and one that comes meanwhile is not in it, so that the list always ends. Each is
 * told as it is at its turn. Meanwhile only two numbers are kept for devices, and the names of VMs.
 */
#include <stdio.h>
#include <string.h>

#include "daemon/control/control_json.h"
#include "daemon/control/control_method.h"
#include "daemon/devices/port_off.h"

struct listing {
	const struct control_rooms *rooms;
	uint64_t next, last; /* numbers of devices */
	char (*vms)[32];
	size_t n_vms, i;
};

static void listing_free(void *ctx)
{
	struct listing *l = ctx;

	free(l->vms);
	free(l);
}

/* ------------------------------------------------------------- a reply at a time */

static const struct device *earlier(const struct listing *l, const struct device *first,
				    const struct device *d)
{
	bool due = d->number >= l->next && d->number <= l->last;

	return due && (!first || d->number < first->number) ? d : first;
}

/* The first device whose turn has not come yet, plugged in or in a port that is switched off. */
static const struct device *next_device(const struct listing *l)
{
	const struct device *first = NULL;

	list_for_each(it, &l->rooms->devices->all)
		first = earlier(l, first, list_entry(it, struct device, link));
	list_for_each(it, &l->rooms->devices->off) {
		const struct port_off *off = list_entry(it, struct port_off, device.link);

		if (port_off_shown(off))
			first = earlier(l, first, &off->device);
	}
	return first;
}

static json_t *devices_next(void *ctx, bool *ret_last)
{
	struct listing *l = ctx;
	const struct device *d = next_device(l);

	if (d)
		l->next = d->number + 1;
	*ret_last = !next_device(l);
	return d ? json_pack("{s:[o]}", "devices", json_device(d)) : json_pack("{s:[]}", "devices");
}

static struct vm *next_vm(struct listing *l)
{
	struct vm *vm = NULL;

	while (!vm && l->i < l->n_vms) {
		vm = vm_find(l->rooms->vms, l->vms[l->i]);
		l->i += !vm;
	}
	return vm;
}

static json_t *vms_next(void *ctx, bool *ret_last)
{
	struct listing *l = ctx;
	struct vm *vm = next_vm(l);

	l->i += vm != NULL;
	*ret_last = !next_vm(l);
	return vm ? json_pack("{s:[o]}", "vms", json_vm(l->rooms, vm)) : json_pack("{s:[]}", "vms");
}

static const struct control_series all_devices = {.next = devices_next, .free = listing_free};
static const struct control_series all_vms = {.next = vms_next, .free = listing_free};

static struct listing *listing_new(const struct control_rooms *rooms)
{
	struct listing *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->rooms = rooms;
	l->next = 1;
	l->last = rooms->devices->n_seen;
	list_for_each(it, &rooms->vms->all)
		l->n_vms++;
	l->vms = calloc(l->n_vms + 1, sizeof(*l->vms));
	if (!l->vms) {
		listing_free(l);
		return NULL;
	}
	list_for_each(it, &rooms->vms->all)
		memcpy(l->vms[l->i++], list_entry(it, struct vm, link)->name, sizeof(*l->vms));
	l->i = 0;
	return l;
}

static void answer_with_more(struct control_caller *caller, const struct control_series *series)
{
	struct listing *l = listing_new(control_rooms(caller));

	if (l)
		control_reply_series(caller, series, l);
	else
		control_error(caller, "Failed", json_pack("{s:s}", "reason", "out of memory"));
}

/* ------------------------------------------------------------- all in one */

/* @list is taken. */
static void answer_at_once(struct control_caller *caller, const char *key, const char *what,
			   json_t *list)
{
	json_t *reply = json_pack("{s:o}", key, list);
	char reason[200];

	if (json_size(reply) <= JSON_LIST_MAX) {
		control_reply(caller, reply);
		return;
	}
	snprintf(
		reason, sizeof(reason),
		"%zu %s do not fit in one message of 64 KiB: call with \"more\": true, and each comes in a reply of its own",
		json_array_size(list), what);
	json_decref(reply);
	control_error(caller, "Failed", json_pack("{s:s}", "reason", reason));
}

static void method_list(struct control_caller *caller, const struct varlink_call *call)
{
	json_t *devices;

	if (call->more) {
		answer_with_more(caller, &all_devices);
		return;
	}
	devices = json_array();
	list_for_each(it, &control_rooms(caller)->devices->all)
		json_array_append_new(devices, json_device(list_entry(it, struct device, link)));
	list_for_each(it, &control_rooms(caller)->devices->off) {
		const struct port_off *off = list_entry(it, struct port_off, device.link);

		if (port_off_shown(off))
			json_array_append_new(devices, json_device(&off->device));
	}
	answer_at_once(caller, "devices", "devices", devices);
}

static void method_vms(struct control_caller *caller, const struct varlink_call *call)
{
	json_t *vms;

	if (call->more) {
		answer_with_more(caller, &all_vms);
		return;
	}
	vms = json_array();
	list_for_each(it, &control_rooms(caller)->vms->all)
		json_array_append_new(
			vms, json_vm(control_rooms(caller), list_entry(it, struct vm, link)));
	answer_at_once(caller, "vms", "VMs", vms);
}

const struct control_method control_list_methods[] = {
	{"List", CONTROL_LOOK, method_list, {}},
	{"Vms", CONTROL_LOOK, method_vms, {}},
	{},
};
