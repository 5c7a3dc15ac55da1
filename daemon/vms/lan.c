/* SPDX-License-Identifier: BSD-2-Clause */
/* The LAN export; see lan.h. Control thread only. */
#include "daemon/vms/lan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "daemon/broker/broker.h"
#include "daemon/vms/vm_private.h"
#include "daemon/vms/vm_process.h"

#define AGAIN_SECONDS 3

/* An address of the configuration. */
struct lan_listener {
	struct lan *lan; /* NULL: there is none */
	struct ip_endpoint at;
	struct broker_request asked;
	struct loop_watch again;
	bool waits; /* for the broker's answer */
	int fd;	    /* -1: not had yet */
	char why[200];
};

struct lan {
	struct vm vm;
	struct lan_listener at[CONFIG_LISTENS_MAX];
	bool told; /* its process has all sockets that there are, and no others */
	struct log_limit limit;
};

static void ask_for(struct lan_listener *l);
static void tell_when_had(struct lan *lan);

/* ------------------------------------------------------------- sockets */

static void ask_again(void *ctx, int res _unused_)
{
	ask_for(ctx);
}

static void ask_later(struct lan_listener *l, int r, const char *text)
{
	char why[sizeof(l->why)], at[IP_TEXT_SIZE];

	snprintf(why, sizeof(why), "%s: %s", text, errno_text(r));
	/* The same reason is logged once, though it is tried again and again. */
	if (strcmp(why, l->why))
		log_limited(&l->lan->limit, LOG_LEVEL_WARNING,
			    "[lan-export] listen: %s can't be had: %s; it is tried again",
			    ip_endpoint_text(&l->at, at), why);
	memcpy(l->why, why, sizeof(l->why));
	loop_watch_time(l->lan->vm.vms->core->loop, &l->again, AGAIN_SECONDS * 1000000000ull,
			ask_again, l);
}

static void listens(struct broker_request *req, int r, int *fds, const char *text)
{
	struct lan_listener *l = container_of(req, struct lan_listener, asked);
	char at[IP_TEXT_SIZE];

	l->waits = false;
	if (r < 0) {
		ask_later(l, r, text);
		tell_when_had(l->lan);
		return;
	}
	l->fd = fds[0];
	l->why[0] = 0;
	log_info("LAN export: listening at %s", ip_endpoint_text(&l->at, at));
	if (l->lan->told)
		guest_listen(l->lan->vm.guest, l->fd);
	tell_when_had(l->lan);
}

static void ask_for(struct lan_listener *l)
{
	struct vms *vms = l->lan->vm.vms;
	int r;

	loop_cancel(vms->core->loop, &l->again);
	r = broker_listen(vms->broker, &l->asked, &l->at, listens);
	l->waits = r == 0;
	if (r < 0)
		ask_later(l, r, "asking the broker for it");
}

static void forget(struct lan_listener *l)
{
	if (!l->lan)
		return;
	loop_cancel(l->lan->vm.vms->core->loop, &l->again);
	broker_forget(l->lan->vm.vms->broker, &l->asked);
	l->fd = fd_close(l->fd);
	l->lan = NULL;
}

/* The process listens where it should, then nowhere else: in between this control may be killed. */
static void tell_all(struct lan *lan)
{
	struct vms *vms = lan->vm.vms;
	unsigned n = 0;

	lan->told = true;
	if (!vms->core->config->n_listens)
		for (; n < vms->n_passed; n++)
			guest_listen(lan->vm.guest, vms->passed[n]);
	for (unsigned i = 0; i < CONFIG_LISTENS_MAX; i++)
		if (lan->at[i].lan && lan->at[i].fd >= 0) {
			guest_listen(lan->vm.guest, lan->at[i].fd);
			n++;
		}
	guest_deaf(lan->vm.guest, n);
}

/*
 * A process that has outlived the last control still listens at the sockets of that one. It goes on so until the broker
 * has answered for each address: nobody is refused meanwhile.
 */
static void tell_when_had(struct lan *lan)
{
	bool waits = false;

	for (unsigned i = 0; i < CONFIG_LISTENS_MAX; i++)
		waits |= lan->at[i].lan && lan->at[i].waits;
	if (lan->vm.connected && !lan->told && !waits)
		tell_all(lan);
}

static bool is_configured(const struct config *config, const struct ip_endpoint *at)
{
	for (size_t i = 0; i < config->n_listens; i++)
		if (ip_endpoint_same(&config->listens[i], at))
			return true;
	return false;
}

static bool has(const struct lan *lan, const struct ip_endpoint *at)
{
	for (unsigned i = 0; i < CONFIG_LISTENS_MAX; i++)
		if (lan->at[i].lan && ip_endpoint_same(&lan->at[i].at, at))
			return true;
	return false;
}

static struct lan_listener *free_one(struct lan *lan)
{
	for (unsigned i = 0; i < CONFIG_LISTENS_MAX; i++)
		if (!lan->at[i].lan)
			return &lan->at[i];
	return NULL;
}

/* What is in the configuration no more is closed; what is new in it is asked for. */
static void set_listeners(struct lan *lan)
{
	const struct config *config = lan->vm.vms->core->config;

	for (unsigned i = 0; i < CONFIG_LISTENS_MAX; i++)
		if (lan->at[i].lan && !is_configured(config, &lan->at[i].at))
			forget(&lan->at[i]);
	if (lan->told)
		tell_all(lan);
	for (size_t i = 0; i < config->n_listens; i++) {
		struct lan_listener *l = has(lan, &config->listens[i]) ? NULL : free_one(lan);

		if (!l)
			continue;
		*l = (struct lan_listener){.lan = lan, .at = config->listens[i], .fd = -1};
		ask_for(l);
	}
}

/* ------------------------------------------------------------- its process */

static void process_stands(struct vm *vm)
{
	struct lan *lan = container_of(vm, struct lan, vm);

	vm->connected = true;
	if (vm->process.old)
		tell_when_had(lan);
	else
		tell_all(lan);
	vm_raise(vm, EVENT_VM_UP);
}

static void process_lost(struct vm *vm)
{
	if (!vm->connected)
		return;
	vm->connected = false;
	container_of(vm, struct lan, vm)->told = false;
	vm_raise(vm, EVENT_VM_DOWN);
}

static const struct vm_run_ops run_ops = {
	.stands = process_stands,
	.lost = process_lost,
	.raises = true,
};

static void free_it(struct vms *vms)
{
	struct lan *lan = take_ptr(vms->lan);

	for (unsigned i = 0; i < CONFIG_LISTENS_MAX; i++)
		forget(&lan->at[i]);
	event_source_forget(&lan->vm.events);
	vm_run_end(&lan->vm);
	guest_free(lan->vm.guest);
	free(lan);
}

static void on_ended(void *ctx)
{
	struct vm *vm = ctx;
	struct vms *vms = vm->vms;
	bool stopping = vms->core->stopping;

	process_lost(vm);
	vm->guest = guest_free(vm->guest);
	vm_run_ended(vm);
	if (stopping) {
		vms->n_ending--;
		events_raise_whole(&vms->core->events, EVENT_VMS_ENDED);
		return;
	}
	log_notice("LAN export: out of the configuration, and gone");
	free_it(vms);
	lan_change(vms);
}

static void on_asked(void *ctx, uint32_t client, const char *busid, const struct guest_peer *peer)
{
	struct vm *vm = ctx;

	vm->vms->ops->lan_asked(vm->vms->ctx, vm, client, busid, peer);
}

static void on_link(void *ctx _unused_, const struct guest_card *card _unused_)
{
}

/* All other events are a guest's. A process that tells of one is given up as lost. */
static const struct guest_events events = {
	.link = on_link,
	.lan_asked = on_asked,
	.ended = on_ended,
};

/* ------------------------------------------------------------- come and go */

/* An export without the section is a mistake, or switched off. */
static bool lacks_section(const struct vms *vms, char *text, size_t size)
{
	const struct config *config = vms->core->config;

	if (!config->n_exports || config->lan_export)
		return false;
	snprintf(text, size,
		 "[export %s]: there is no [lan-export] section, so nothing is exported",
		 list_entry(config->exports.next, struct config_export, link)->name);
	return true;
}

static bool sockets_are_unused(const struct vms *vms, char *text, size_t size)
{
	if (!vms->n_passed || vms->core->config->lan_export)
		return false;
	snprintf(
		text, size,
		"systemd has passed sockets to listen at; without a [lan-export] section nobody takes connections there");
	return true;
}

static bool lacks_sockets(const struct vms *vms, char *text, size_t size)
{
	const struct config *config = vms->core->config;

	if (!config->lan_export || config->n_listens || vms->n_passed)
		return false;
	snprintf(
		text, size,
		"[lan-export]: there is no `listen`, and systemd has passed no socket, so nobody can connect; try: systemctl enable --now usbrouted-lan.socket, before usbrouted is started");
	return true;
}

static bool (*const lacks[])(const struct vms *vms, char *text, size_t size) = {
	lacks_section,
	sockets_are_unused,
	lacks_sockets,
};

static void say_what_is_missing(const struct vms *vms)
{
	char text[300];

	for (unsigned i = 0; i < ARRAY_SIZE(lacks); i++)
		if (lacks[i](vms, text, sizeof(text)))
			log_warning("%s", text);
}

/**
 * lan_start() - have the LAN export's process started, where one is configured
 * @vms:	the VMs
 *
 * Return: 0, or a negative errno and it was logged.
 */
int lan_start(struct vms *vms)
{
	struct guest_config config = {
		.name = STARTER_LAN,
		.lan = true,
		.listener = -1,
		.hotkeys = vms->core->config->hotkeys,
		.memory = vms_memory_share(vms),
	};
	struct lan *lan;
	struct vm *vm;
	int r;

	say_what_is_missing(vms);
	if (!vms->core->config->lan_export || vms->lan)
		return 0;
	lan = calloc(1, sizeof(*lan));
	if (!lan) {
		log_err("LAN export: no memory for it");
		return -ENOMEM;
	}
	vm = &lan->vm;
	list_init(&vm->link);
	list_init(&vm->anews);
	vm->vms = vms;
	vm->is_lan = true;
	vm->run = &run_ops;
	vm->socket = -1;
	memcpy(vm->name, STARTER_LAN, sizeof(STARTER_LAN));
	memcpy(vm->process_name, STARTER_LAN, sizeof(STARTER_LAN));
	vms->lan = lan;
	r = guest_start(&vm->guest, &config, vms->core->loop, &events, vm);
	if (r == 0)
		r = vm_run(vm);
	if (r < 0) {
		log_err("LAN export: its process can't be started: %s", errno_text(r));
		free_it(vms);
		return r;
	}
	vm->started = true;
	set_listeners(lan);
	return 0;
}

/**
 * lan_change() - bring the LAN export to what the configuration says by now
 * @vms:	the VMs; routes_review() is to follow
 */
void lan_change(struct vms *vms)
{
	struct lan *lan = vms->lan;

	if (!lan) {
		lan_start(vms);
		return;
	}
	/* It comes back when the process that ends has ended. */
	if (lan->vm.leaving)
		return;
	guest_set_hotkeys(lan->vm.guest, &vms->core->config->hotkeys);
	set_listeners(lan);
	if (vms->core->config->lan_export) {
		say_what_is_missing(vms);
		return;
	}
	log_notice("LAN export: out of the configuration");
	guest_deaf(lan->vm.guest, 0);
	lan->vm.leaving = true;
	vm_maybe_gone(&lan->vm);
}

/**
 * lan_stop() - have its process end; EVENT_VMS_ENDED tells of it
 * @vms:	the VMs; control is stopping
 */
void lan_stop(struct vms *vms)
{
	struct vm *vm = vms->lan ? &vms->lan->vm : NULL;

	if (!vm || !vm->guest)
		return;
	vms->n_ending++;
	if (!vm->ending)
		guest_stop(vm->guest);
	vm->ending = true;
}

/**
 * lan_leave() - let go of its process, which goes on without this control
 * @vms:	the VMs; control is stopping
 */
void lan_leave(struct vms *vms)
{
	if (!vms->lan)
		return;
	vms->lan->vm.left = true;
	vms->lan->vm.guest = guest_free(vms->lan->vm.guest);
}

/**
 * lan_free() - forget it, and the sockets that systemd has passed
 * @vms:	the VMs; its process has ended, or goes on
 */
void lan_free(struct vms *vms)
{
	if (vms->lan)
		free_it(vms);
	for (size_t i = 0; i < vms->n_passed; i++)
		fd_close(vms->passed[i]);
	vms->n_passed = 0;
}

/* ------------------------------------------------------------- what others ask */

/**
 * lan_vm() - where devices are placed that are exported to the LAN
 * @vms:	the VMs
 *
 * Return: it; NULL: there is none, or it is on its way out.
 */
struct vm *lan_vm(const struct vms *vms)
{
	return vms->lan && !vms->lan->vm.leaving ? &vms->lan->vm : NULL;
}

/**
 * lan_has_process() - whether a door's name is that of the LAN export's process
 * @vms:	the VMs
 * @name:	as of vm_door_is()
 */
bool lan_has_process(const struct vms *vms, const char *name)
{
	return vms->lan && !strcmp(vms->lan->vm.process_name, name);
}

/**
 * lan_known() - whether it is known what the last control has left in its process
 * @vms:	the VMs
 */
bool lan_known(const struct vms *vms)
{
	return !vms->lan || !vms->lan->vm.process.old;
}

/**
 * lan_warning() - what is wrong with it
 * @vms:	the VMs
 * @i:		which of the warnings, from 0 on
 * @text:	for a person
 * @size:	room there
 *
 * Return: whether there is such a one.
 */
bool lan_warning(const struct vms *vms, unsigned i, char *text, size_t size)
{
	const struct lan *lan = vms->lan;
	char at[IP_TEXT_SIZE];

	for (unsigned k = 0; k < ARRAY_SIZE(lacks); k++)
		if (lacks[k](vms, text, size) && !i--)
			return true;
	for (unsigned k = 0; lan && k < CONFIG_LISTENS_MAX; k++) {
		const struct lan_listener *l = &lan->at[k];

		if (!l->lan || l->fd >= 0 || !l->why[0] || i--)
			continue;
		snprintf(text, size, "[lan-export] listen: nobody can connect to %s: %s",
			 ip_endpoint_text(&l->at, at), l->why);
		return true;
	}
	return false;
}
