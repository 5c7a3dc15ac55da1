/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configured VMs: their sockets, their start and their end.
 *
 * A VM's way: its socket is made (while the rights for that are there) -> its process is started ->
 * … -> told to end -> ended. vm_address.c has addresses, vm_card.c what is known of a card,
 * vm_net.c how cards are joined, vm_run.c the process, vm_change.c another configuration.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/stranger.h"
#include "base/unix_socket.h"
#include "daemon/core/state_file.h"
#include "daemon/vms/lan.h"
#include "daemon/vms/network.h"
#include "daemon/vms/vm_private.h"

/**
 * vms_init() - no VM yet
 * @vms:	them
 * @core:	what control works with
 * @ops:	what the rooms above keep with them
 * @ctx:	what they are called with
 */
void vms_init(struct vms *vms, struct core *core, const struct vms_ops *ops, void *ctx)
{
	*vms = (struct vms){.core = core, .ops = ops, .ctx = ctx};
	list_init(&vms->all);
	list_init(&vms->leaving);
	list_init(&vms->stats.waits);
	list_init(&vms->gone);
	list_init(&vms->uplinks_ending);
}

struct vm *vm_find(struct vms *vms, const char *name)
{
	list_for_each(it, &vms->all) {
		struct vm *vm = list_entry(it, struct vm, link);

		if (!strcmp(vm->name, name))
			return vm;
	}
	return NULL;
}

/**
 * vm_stranger() - a VM whose process is of a version that we do not speak, and is left alone
 * @vms:	the VMs
 * @name:	its name; it may be leaving the configuration
 *
 * Return: the VM; NULL: there is none, or its process is no stranger.
 */
const struct vm *vm_stranger(const struct vms *vms, const char *name)
{
	const struct list *const lists[] = {&vms->all, &vms->leaving};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		list_for_each(it, lists[i]) {
			const struct vm *vm = list_entry(it, struct vm, link);

			if (vm->process.strange && !strcmp(vm->name, name))
				return vm;
		}
	return NULL;
}

/* ------------------------------------------------------------- sockets */

/**
 * vm_listen() - listen where a VM's QEMU will connect
 * @vms:	the VMs, which knows whose sockets are
 * @file:	the socket's name in the runtime directory
 *
 * Return: the listener; or a negative errno and it was logged.
 */
int vm_listen(const struct vms *vms, const char *file)
{
	const char *folder = vms->core->config->runtime_directory;
	int fd = unix_listen(&(struct unix_place){.folder = folder,
						  .name = file,
						  .type = SOCK_STREAM,
						  .backlog = 4,
						  .mode = 0660,
						  .group = vms->socket_group});

	if (fd < 0)
		log_err("%s/%s: %s", folder, file, errno_text(fd));
	return fd;
}

/**
 * vm_make_socket() - listen where the VM's QEMU will connect for its card on the private segment
 * @vm:		the VM; keeps the descriptor
 *
 * Return: 0, or a negative errno and it was logged.
 */
int vm_make_socket(struct vm *vm)
{
	char file[64];
	int fd;

	snprintf(file, sizeof(file), "%s.sock", vm->name);
	fd = vm_listen(vm->vms, file);
	if (fd < 0)
		return fd;
	vm->socket = fd;
	return 0;
}

/**
 * vm_free() - forget a VM
 * @vm:		without a process, and closed; or NULL
 */
void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	vm_anew_end(vm, -ESHUTDOWN);
	vm_net_leave(vm);
	vm_nics_leave(vm);
	net_counts_close(vm->counts);
	event_source_forget(&vm->events);
	list_remove(&vm->link);
	vm->vms->ops->freed(vm->vms->ctx, vm);
	free(vm->domain);
	free(vm);
}

static void run_stands(struct vm *vm)
{
	vm_net_started(vm);
	vm_counts_stand(vm);
	vm_nics_stand(vm);
}

static void run_lost(struct vm *vm)
{
	vm_net_ended(vm);
	vm_nics_lost(vm);
}

static const struct vm_run_ops vm_run_ops = {
	.stands = run_stands,
	.lost = run_lost,
	.raises = true,
};

/**
 * vm_new() - make a VM as it is configured, in no list and without anything of its own yet
 * @ret_vm:	the VM
 * @vms:	the VMs
 * @c:		its section
 *
 * Return: 0 or -ENOMEM.
 */
int vm_new(struct vm **ret_vm, struct vms *vms, const struct config_vm *c)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return -ENOMEM;
	list_init(&vm->link);
	list_init(&vm->anews);
	vm->domain = c->domain ? strdup(c->domain) : NULL;
	if (c->domain && !vm->domain) {
		free(vm);
		return -ENOMEM;
	}
	vm->vms = vms;
	vm->run = &vm_run_ops;
	memcpy(vm->name, c->name, sizeof(vm->name));
	memcpy(vm->process_name, c->name, sizeof(c->name));
	vm->any_mac = c->trust_mac;
	for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++)
		vm->nics[i].socket = -1;
	vm->has_fixed_address = c->has_address;
	if (c->has_address)
		vm->address = c->address;
	vm->has_fixed_mac = c->has_mac;
	memcpy(vm->fixed_mac, c->mac, sizeof(vm->fixed_mac));
	vm->socket = -1;
	if (vms->ops->made(vms->ctx, vm) < 0) {
		free(vm->domain);
		free(vm);
		return -ENOMEM;
	}
	*ret_vm = vm;
	return 0;
}

/**
 * vms_find_group() - look up the group that the VMs' sockets are given to
 * @vms:	the VMs, which keep it
 */
void vms_find_group(struct vms *vms)
{
	const char *name = vms->core->config->socket_group;
	const struct group *group = getgrnam(name);

	vms->socket_group = group ? group->gr_gid : (gid_t)-1;
	if (!group && vms->core->config->n_vms)
		log_warning(
			"[daemon] socket-group: there is no group \"%s\"; only root can open the VMs' sockets",
			name);
}

/**
 * vms_make_sockets() - make the list of VMs, their addresses and their sockets
 * @vms:	the VMs; the process is in the group that the sockets get
 *
 * Return: 0, or a negative errno and it was logged.
 */
int vms_make_sockets(struct vms *vms)
{
	struct vm_list list = {0};
	int r;

	vm_net_init(vms);
	networks_make(vms);
	list_for_each(it, &vms->core->config->vms) {
		struct vm *vm;

		r = vm_new(&vm, vms, list_entry(it, struct config_vm, link));
		if (r < 0)
			return r;
		list_append(&vms->all, &vm->link);
		list.at[list.n++] = vm;
	}
	r = vm_addresses_assign(vms->core->config, &list);
	if (r < 0)
		return r;
	vm_cards_load(vms);
	list_for_each(it, &vms->all) {
		r = vm_make_socket(list_entry(it, struct vm, link));
		if (r < 0)
			return r;
	}
	return 0;
}

/* ------------------------------------------------------------- processes */

/**
 * vm_close() - let go of what a VM has beside its process
 * @vm:		the VM
 */
void vm_close(struct vm *vm)
{
	struct vms *vms = vm->vms;
	char path[PATH_MAX], name[64];

	vm_run_end(vm);
	/* Another VM may have the name by now, or the process goes on with the socket. */
	if (!vm->leaving && !vm->left) {
		snprintf(name, sizeof(name), "%s.sock", vm->name);
		unlink(state_file_path(path, sizeof(path), vms->core->config->runtime_directory,
				       name));
	}
	vm->socket = stranger_listener_close(vm->socket);
	vm_nics_close(vm);
}

/**
 * vm_silence() - hear nothing from a guest any more, except by its process
 * @vm:		the VM
 * @why:	what its agents are told
 */
void vm_silence(struct vm *vm, const char *why)
{
	vm->vms->ops->silenced(vm->vms->ctx, vm, why);
}

static void vm_link(void *ctx, const struct guest_card *card)
{
	struct vm *vm = ctx;
	bool up = card->up;

	vm_card_changed(vm, card);
	vm_net_up(vm, up);
	if (vm->connected == up || vm->leaving)
		return;
	vm->connected = up;
	log_limited(&vm->limit, LOG_LEVEL_INFO, "%s: its card is %s", vm->name, up ? "up" : "down");
	vm_raise(vm, up ? EVENT_VM_UP : EVENT_VM_DOWN);
}

static void vm_ended(void *ctx)
{
	struct vm *vm = ctx;
	struct vms *vms = vm->vms;

	run_lost(vm);
	vm->guest = guest_free(vm->guest);
	vm_run_ended(vm);
	if (vms->core->stopping) {
		vms->n_ending--;
		events_raise_whole(&vms->core->events, EVENT_VMS_ENDED);
	} else if (vm->leaving) {
		log_info("%s: %s, and its process has ended", vm->name, vm_why_left(vm));
		vm_stranger_ended(vm);
		vm_close(vm);
		vm_leave_list(vm);
	}
}

static void vm_import_asked(void *ctx, uint32_t client, const char *busid)
{
	struct vm *vm = ctx;

	vm->vms->ops->import_asked(vm->vms->ctx, vm, client, busid);
}

static void vm_agent_asked(void *ctx)
{
	struct vm *vm = ctx;

	vm_raise(vm, EVENT_VM_AGENT_ASKED);
}

static void vm_connection_lost(void *ctx, const struct guest_peer *peer)
{
	struct vm *vm = ctx;

	vm->vms->ops->connection_lost(vm->vms->ctx, vm, peer);
}

static const struct guest_events vm_events = {
	.link = vm_link,
	.import_asked = vm_import_asked,
	.agent_asked = vm_agent_asked,
	.connection_lost = vm_connection_lost,
	.ended = vm_ended,
	.mac_wanted = vm_net_mac_wanted,
	.link_wanted = vm_net_link_wanted,
};

/* How many processes have devices. */
static unsigned sharers(const struct vms *vms)
{
	return (unsigned)vms->core->config->n_vms + vms->core->config->lan_export;
}

/**
 * vms_memory_share() - the share of the kernel's memory for URBs that each guest has, and the LAN export
 * @vms:	the VMs
 */
struct usb_memory_share vms_memory_share(const struct vms *vms)
{
	return usb_memory_share(usb_memory_read_limit(), sharers(vms));
}

/**
 * vms_memory_limit() - the kernel's memory for URBs, and how much of it so many VMs want
 * @vms:	the VMs
 * @ret_limit:	MiB; 0: there is no limit
 * @ret_wanted:	MiB, the least
 */
void vms_memory_limit(const struct vms *vms, unsigned *ret_limit, unsigned *ret_wanted)
{
	*ret_limit = usb_memory_read_limit();
	*ret_wanted = usb_memory_wanted_mb(sharers(vms));
}

/**
 * vms_share_memory() - tell all guests their share of the kernel's memory for URBs
 * @vms:	the VMs, as the configuration in force has them
 */
void vms_share_memory(struct vms *vms)
{
	struct usb_memory_share share = vms_memory_share(vms);
	unsigned n = sharers(vms), limit = usb_memory_read_limit();
	struct vm *lan = lan_vm(vms);

	if (limit && limit < usb_memory_wanted_mb(n))
		log_warning(
			"usbfs_memory_mb is %u, which is too little for %u VMs: a guest can take what another's keyboard needs; write %u to /sys/module/usbcore/parameters/usbfs_memory_mb and reload",
			limit, n, usb_memory_wanted_mb(n));
	list_for_each(it, &vms->all) {
		struct vm *vm = list_entry(it, struct vm, link);

		if (vm->guest)
			guest_set_memory(vm->guest, &share);
	}
	if (lan && lan->guest)
		guest_set_memory(lan->guest, &share);
}

/**
 * vm_start() - start a VM's process
 * @vm:		the VM, with its address and socket
 *
 * Return: 0, or a negative errno and it was logged.
 */
int vm_start(struct vm *vm)
{
	struct vms *vms = vm->vms;
	struct guest_config config = {
		.address = vm->address,
		.daemon = vms->core->config->address,
		.prefix = vms->core->config->prefix,
		.hotkeys = vms->core->config->hotkeys,
		.memory = vms_memory_share(vms),
		.listener = vm->socket,
	};
	int r = vm_net_enter(vm);

	if (r < 0)
		return r;
	vm_nics_enter(vm);
	memcpy(config.name, vm->name, sizeof(vm->name));
	memcpy(vm->has_fixed_mac ? config.mac : config.mac_before,
	       net_roster_mac(&vms->roster, vm->number), sizeof(config.mac));
	r = guest_start(&vm->guest, &config, vms->core->loop, &vm_events, vm);
	if (r < 0) {
		log_err("%s: no room for it: %s", vm->name, errno_text(r));
		return r;
	}
	vm->socket = -1; /* the guest's now */
	r = vm_run(vm);
	if (r < 0)
		return r;
	vm->started = true;
	/* Others than before may have what is wished for them. */
	if (vms->core->ready)
		events_raise_whole(&vms->core->events, EVENT_SAID_CHANGED);
	return 0;
}

/**
 * vms_start() - start all VMs' processes
 * @vms:	the VMs; control does not start if one can't
 *
 * Return: 0, or a negative errno and it was logged.
 */
int vms_start(struct vms *vms)
{
	vms_share_memory(vms);
	list_for_each(it, &vms->all) {
		int r = vm_start(list_entry(it, struct vm, link));

		if (r < 0)
			return r;
	}
	network_uplinks_start(vms);
	return lan_start(vms);
}

/**
 * vms_stop() - have all processes end; EVENT_VMS_ENDED follows each
 * @vms:	the VMs
 */
void vms_stop(struct vms *vms)
{
	struct list *const lists[] = {&vms->all, &vms->leaving};

	vms_stats_stop(vms);
	vm_cards_stop(vms);
	network_uplinks_stop(vms);
	lan_stop(vms);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		list_for_each(it, lists[i]) {
			struct vm *vm = list_entry(it, struct vm, link);

			vm_silence(vm, "the daemon ends");
			if (!vm->guest)
				continue;
			vms->n_ending++;
			if (!vm->ending)
				guest_stop(vm->guest);
			vm->ending = true;
		}
}

/**
 * vms_leave() - let go of all processes, which go on without us
 * @vms:	the VMs; control is stopping
 *
 * A process that was told to end already ends by itself, and so does one that does not serve yet.
 */
void vms_leave(struct vms *vms)
{
	vms_stats_stop(vms);
	vm_cards_stop(vms);
	network_uplinks_leave(vms);
	lan_leave(vms);
	list_for_each(it, &vms->all) {
		struct vm *vm = list_entry(it, struct vm, link);

		vm->left = true;
		vm_silence(vm, "the daemon ends");
		if (vm->guest)
			vm->guest = guest_free(vm->guest);
	}
}

/**
 * vms_free() - forget the VMs, whose processes have ended or are left
 * @vms:	the VMs
 */
void vms_free(struct vms *vms)
{
	struct list *const lists[] = {&vms->all, &vms->leaving, &vms->gone};
	struct list *l;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		while ((l = list_pop(lists[i]))) {
			struct vm *vm = list_entry(l, struct vm, link);

			vm_close(vm);
			if (!vm->guest)
				vm_free(vm);
		}
	networks_free(vms);
	lan_free(vms);
}
