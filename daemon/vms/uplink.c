/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The process of a network's uplink; see network.h. It is started, started again and taken up as a VM's
 * process is (vm_run.c). Its name is NETWORK.uplink. It has a port of the network, and no guest.
 *
 * When its network leaves the configuration, the process ends in vms->uplinks_ending. A new one of the
 * same name waits for that, as it would find the old one's door.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "daemon/vms/network.h"
#include "daemon/vms/vm_private.h"
#include "daemon/vms/vm_process.h"

#define TAP_AGAIN_SECONDS 3

static void ask_for_tap(struct network *n);

/* ------------------------------------------------------------- its tap */

static void tap_again(void *ctx, int res _unused_)
{
	ask_for_tap(ctx);
}

static void tap_later(struct network *n, int r, const char *text)
{
	char why[sizeof(n->no_tap)];

	snprintf(why, sizeof(why), "%s: %s", text, errno_text(r));
	/* The same reason is logged once, though it is tried again and again. */
	if (strcmp(why, n->no_tap) != 0)
		log_limited(
			&n->limit, LOG_LEVEL_WARNING,
			"network %s: its uplink %s can't be had: %s; its guests reach each other only, until it can",
			n->name, n->tap, why);
	memcpy(n->no_tap, why, sizeof(n->no_tap));
	loop_watch_time(n->vms->core->loop, &n->tap_again, TAP_AGAIN_SECONDS * 1000000000ull,
			tap_again, n);
}

static void tap_opened(struct broker_request *req, int r, int *fds, const char *text)
{
	struct network *n = container_of(req, struct network, tap_asked);

	if (r < 0)
		tap_later(n, r, text);
	else
		/* If the process has gone meanwhile, the next one asks anew. */
		guest_tap(n->uplink->guest, fds[0]);
}

static void ask_for_tap(struct network *n)
{
	int r;

	loop_cancel(n->vms->core->loop, &n->tap_again);
	broker_forget(n->vms->broker, &n->tap_asked);
	r = broker_tap(n->vms->broker, &n->tap_asked, n->tap, tap_opened);
	if (r < 0)
		tap_later(n, r, "asking the broker for it");
}

/**
 * network_uplink_tap() - an uplink's process says whether it has its tap
 * @n:		the network
 * @has:	it does
 */
void network_uplink_tap(struct network *n, bool has)
{
	net_roster_up(&n->roster, n->uplink_number, has);
	if (has)
		log_info("network %s: its uplink %s is there", n->name, n->tap);
	else if (n->has_tap)
		log_warning("network %s: its uplink %s is gone; its guests reach each other only",
			    n->name, n->tap);
	n->has_tap = has;
	if (has)
		n->no_tap[0] = 0;
	else
		ask_for_tap(n);
}

/**
 * network_warning() - what is wrong with a network
 * @n:		the network
 * @text:	for a person
 * @size:	room there
 *
 * Return: whether there is anything.
 */
bool network_warning(const struct network *n, char *text, size_t size)
{
	if (!*n->tap || n->has_tap)
		return false;
	snprintf(text, size,
		 "network %s: it has no uplink, and its guests reach each other only: %s: %s",
		 n->name, n->tap, *n->no_tap ? n->no_tap : "it is not there yet");
	return true;
}

/* ------------------------------------------------------------- its process */

static void process_stands(struct vm *vm)
{
	struct network *n = vm->uplink_of;

	if (!n)
		return;
	vm_counts_stand(vm);
	net_roster_started(&n->roster, n->uplink_number);
}

static void forget_tap(struct network *n)
{
	loop_cancel(n->vms->core->loop, &n->tap_again);
	broker_forget(n->vms->broker, &n->tap_asked);
}

static void process_lost(struct vm *vm)
{
	struct network *n = vm->uplink_of;

	if (!n)
		return;
	n->has_tap = false;
	forget_tap(n);
	net_roster_ended(&n->roster, n->uplink_number);
}

static const struct vm_run_ops run_ops = {.stands = process_stands, .lost = process_lost};

static void uplink_free(struct vm *vm)
{
	list_remove(&vm->link);
	vm_run_end(vm);
	guest_free(vm->guest);
	net_counts_close(vm->counts);
	free(vm);
}

static void uplink_ended(void *ctx)
{
	struct vm *vm = ctx;
	struct vms *vms = vm->vms;
	bool stopping = vms->core->stopping;

	vm->guest = guest_free(vm->guest);
	vm_run_ended(vm);
	if (stopping) {
		vms->n_ending--;
		events_raise_whole(&vms->core->events, EVENT_VMS_ENDED);
		return;
	}
	uplink_free(vm);
	network_uplinks_start(vms);
}

static void no_link(void *ctx _unused_, const struct guest_card *card _unused_)
{
}

/* All other events are a guest's. An uplink's process that tells of one is given up as lost. */
static const struct guest_events events = {.link = no_link, .ended = uplink_ended};

static bool one_is_ending(const struct vms *vms, const char *name)
{
	list_for_each(it, &vms->uplinks_ending)
		if (!strcmp(list_entry(it, struct vm, link)->process_name, name))
			return true;
	return false;
}

static int uplink_enter(struct network *n, struct vm *vm)
{
	struct net_roster_entry entry = {.any = true};
	int r = net_roster_enter(&n->roster, &entry, &n->uplink_number);

	if (r < 0)
		return r;
	n->uplink = n->ports[n->uplink_number] = vm;
	return 0;
}

/**
 * network_uplink_start() - have the process of a network's uplink started
 * @n:		the network; nothing happens where it has none, or its process has to wait
 */
void network_uplink_start(struct network *n)
{
	struct vms *vms = n->vms;
	struct guest_config config = {.uplink = true, .listener = -1};
	struct vm *vm;
	int r;

	snprintf(config.name, sizeof(config.name), "%s.uplink", n->name);
	if (!*n->tap || n->uplink || one_is_ending(vms, config.name))
		return;
	vm = calloc(1, sizeof(*vm));
	r = vm ? 0 : -ENOMEM;
	if (r == 0) {
		list_init(&vm->link);
		list_init(&vm->anews);
		vm->vms = vms;
		vm->uplink_of = n;
		vm->run = &run_ops;
		vm->socket = -1;
		memcpy(vm->name, n->name, sizeof(vm->name));
		memcpy(vm->process_name, config.name, sizeof(vm->process_name));
		r = guest_start(&vm->guest, &config, vms->core->loop, &events, vm);
	}
	if (r == 0)
		r = uplink_enter(n, vm);
	if (r == 0)
		r = vm_run(vm);
	if (r < 0)
		log_err("network %s: its uplink can't be started: %s", n->name, errno_text(r));
	if (r < 0 && !n->uplink && vm) {
		guest_free(vm->guest);
		free(vm);
	}
}

/**
 * network_uplink_end() - have the process of an uplink end
 * @n:		the network, which is about to be freed
 */
void network_uplink_end(struct network *n)
{
	struct vm *vm = n->uplink;

	if (!vm)
		return;
	process_lost(vm);
	n->uplink = n->ports[n->uplink_number] = NULL;
	net_roster_leave(&n->roster, n->uplink_number);
	vm->uplink_of = NULL;
	vm->leaving = vm->ending = true;
	vm_run_end(vm);
	list_append(&n->vms->uplinks_ending, &vm->link);
	guest_stop(vm->guest);
}

/* ------------------------------------------------------------- all of them */

/**
 * network_uplinks_start() - start those that are not started yet
 * @vms:	the VMs
 */
void network_uplinks_start(struct vms *vms)
{
	for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++)
		if (vms->networks[i])
			network_uplink_start(vms->networks[i]);
}

/**
 * network_uplinks_stop() - have all of them end; EVENT_VMS_ENDED tells of each
 * @vms:	the VMs; control is stopping
 */
void network_uplinks_stop(struct vms *vms)
{
	for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++) {
		struct network *n = vms->networks[i];

		if (!n || !n->uplink || !n->uplink->guest)
			continue;
		process_lost(n->uplink);
		n->uplink->ending = true;
		vms->n_ending++;
		guest_stop(n->uplink->guest);
	}
	list_for_each(it, &vms->uplinks_ending)
		vms->n_ending++;
}

/**
 * network_uplinks_leave() - let go of their processes, which go on without this control
 * @vms:	the VMs; control is stopping
 */
void network_uplinks_leave(struct vms *vms)
{
	for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++) {
		struct network *n = vms->networks[i];

		if (!n || !n->uplink)
			continue;
		/* Nobody is told anything: all goes on as it is. */
		forget_tap(n);
		n->uplink->left = true;
		n->uplink->guest = guest_free(n->uplink->guest);
	}
}

/**
 * network_uplinks_free() - forget them
 * @vms:	the VMs; their processes have ended, or go on
 */
void network_uplinks_free(struct vms *vms)
{
	struct list *l;

	for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++) {
		struct network *n = vms->networks[i];

		if (!n || !n->uplink)
			continue;
		process_lost(n->uplink);
		uplink_free(n->uplink);
		n->uplink = NULL;
	}
	while ((l = list_pop(&vms->uplinks_ending)))
		uplink_free(list_entry(l, struct vm, link));
}
