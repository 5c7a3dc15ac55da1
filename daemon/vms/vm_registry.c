/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configured VMs: their sockets, ports and threads.
 *
 * A VM's way: its socket is made (while the rights for that are there) -> its thread is started -> … ->
 * its thread is stopped -> ended. Addresses are vm_address.c's, what is known of its card is vm_card.c's,
 * how cards are joined is vm_net.c's, another configuration is vm_change.c's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/stranger.h"
#include "daemon/core/state_file.h"
#include "daemon/vms/network.h"
#include "daemon/vms/vm_private.h"

/**
 * vms_init() - no VM yet
 * @vms:	them
 * @core:	what control works with
 * @ops:	who hears of them
 * @ctx:	what is told with it
 */
void vms_init(struct vms *vms, struct core *core, const struct vms_ops *ops, void *ctx)
{
	*vms = (struct vms){.core = core, .ops = ops, .ctx = ctx};
	list_init(&vms->all);
	list_init(&vms->leaving);
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
 * @vms:	the daemon, which knows whose sockets are
 * @file:	the socket's name in the runtime directory
 *
 * Return: the listener; or a negative errno and it was logged.
 */
int vm_listen(const struct vms *vms, const char *file)
{
	const char *folder = vms->core->config->runtime_directory;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;
	int r;

	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", folder, file) >=
	    (int)sizeof(address.sun_path)) {
		log_err("%s: [daemon] runtime-directory: expected a shorter path", file);
		return -ENAMETOOLONG;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(address.sun_path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		goto fail;
	/* Closed to all until it has its group; bind() leaves what the umask allows. */
	if (chmod(address.sun_path, 0600) < 0)
		goto fail;
	if (vms->socket_group != (gid_t)-1 &&
	    chown(address.sun_path, (uid_t)-1, vms->socket_group) < 0)
		log_warning("%s: can't be given to the socket group: %s", address.sun_path,
			    errno_text(errno));
	if (chmod(address.sun_path, 0660) < 0 || listen(fd, 4) < 0)
		goto fail;
	return take_fd(&fd);
fail:
	r = -errno;
	log_err("%s: %s", address.sun_path, errno_text(r));
	return r;
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
 * @vm:		without a thread, and closed; or NULL
 */
void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	vm_net_leave(vm);
	vm_nics_leave(vm);
	net_counts_close(vm->counts);
	list_remove(&vm->link);
	vm->vms->ops->freed(vm->vms->ctx, vm);
	free(vm->domain);
	free(vm);
}

static void run_known(struct vm *vm)
{
	vm->vms->ops->known(vm->vms->ctx, vm);
}

static void run_goes_on(struct vm *vm)
{
	vm->vms->ops->goes_on(vm->vms->ctx, vm);
}

static void run_stands(struct vm *vm)
{
	vm_net_started(vm);
	vm_counts_stand(vm);
	vm_nics_stand(vm);
}

static void run_ready(struct vm *vm)
{
	vm->vms->ops->stands(vm->vms->ctx, vm);
}

static void run_lost(struct vm *vm)
{
	vm_net_ended(vm);
	vm_nics_lost(vm);
}

static const struct vm_run_ops vm_run_ops = {
	.known = run_known,
	.goes_on = run_goes_on,
	.stands = run_stands,
	.ready = run_ready,
	.lost = run_lost,
};

/**
 * vm_new() - make a VM as it is configured, in no list and without anything of its own yet
 * @ret_vm:	the VM
 * @vms:	the daemon
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
 * @vms:	the daemon; remembers it
 */
void vms_find_group(struct vms *vms)
{
	const char *name = vms->core->config->socket_group;
	const struct group *group = getgrnam(name);

	vms->socket_group = group ? group->gr_gid : (gid_t)-1;
	if (!group && vms->core->config->n_vms)
		log_warning("[daemon] socket-group: there is no group \"%s\"; only root can open "
			    "the VMs' sockets",
			    name);
}

/**
 * vms_make_sockets() - make the list of VMs, their addresses and their sockets
 * @vms:	the daemon; in the group that they are given to
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

/* ------------------------------------------------------------- threads */

/**
 * vm_close() - let go of what a VM has beside its thread
 * @vm:		the VM
 */
void vm_close(struct vm *vm)
{
	struct vms *vms = vm->vms;
	char path[PATH_MAX], name[64];

	vm_run_end(vm);
	/* The name may be another one's by now, or the process goes on with the socket. */
	if (!vm->leaving && !vm->left) {
		snprintf(name, sizeof(name), "%s.sock", vm->name);
		unlink(state_file_path(path, sizeof(path), vms->core->config->runtime_directory,
				       name));
	}
	vm->socket = stranger_listener_close(vm->socket);
	vm_nics_close(vm);
}

/**
 * vm_silence() - hear nothing from a guest any more, but by its thread
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
	vm->vms->ops->link(vm->vms->ctx, vm, up);
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
		vms->ops->ended(vms->ctx);
	} else if (vm->leaving) {
		log_info("%s: out of the configuration, and gone", vm->name);
		vm_stranger_ended(vm);
		vm_close(vm);
		vm_free(vm);
		/* One of the same name or address may have waited for it. */
		vms_start_waiting(vms);
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

	vm->vms->ops->agent_asked(vm->vms->ctx, vm);
}

static const struct guest_events vm_events = {
	.link = vm_link,
	.import_asked = vm_import_asked,
	.agent_asked = vm_agent_asked,
	.ended = vm_ended,
	.mac_wanted = vm_net_mac_wanted,
	.link_wanted = vm_net_link_wanted,
};

/* Each guest's share of the kernel's memory for URBs. */
static struct usb_memory_share vms_memory_share(const struct vms *vms)
{
	return usb_memory_share(usb_memory_read_limit(), (unsigned)vms->core->config->n_vms);
}

/**
 * vms_share_memory() - tell all guests their share of the kernel's memory for URBs
 * @vms:	the daemon, with the configuration that holds
 */
void vms_share_memory(struct vms *vms)
{
	struct usb_memory_share share = vms_memory_share(vms);
	unsigned n = (unsigned)vms->core->config->n_vms, limit = usb_memory_read_limit();

	if (limit && limit < usb_memory_wanted_mb(n))
		log_warning("usbfs_memory_mb is %u, which is too little for %u VMs: a guest can "
			    "take what another's keyboard needs; write %u to "
			    "/sys/module/usbcore/parameters/usbfs_memory_mb and reload",
			    limit, n, usb_memory_wanted_mb(n));
	list_for_each(it, &vms->all) {
		struct vm *vm = list_entry(it, struct vm, link);

		if (vm->guest)
			guest_set_memory(vm->guest, &share);
	}
}

static void vms_have_started(void *ctx, int res _unused_)
{
	struct vms *vms = ctx;

	vms->ops->have_started(vms->ctx);
}

/**
 * vm_start() - start a VM's thread
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
	/* Not from within whatever starts it. */
	if (vms->core->ready && !loop_watching(&vms->have_started))
		loop_watch_time(vms->core->loop, &vms->have_started, 1, vms_have_started, vms);
	return 0;
}

/**
 * vms_start() - start all VMs' threads
 * @vms:	the daemon, which does not start where one can't be
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
	return 0;
}

/**
 * vms_stop() - have all threads end; ops->ended() hears of each
 * @vms:	the daemon
 */
void vms_stop(struct vms *vms)
{
	struct list *const lists[] = {&vms->all, &vms->leaving};

	loop_cancel(vms->core->loop, &vms->have_started);
	vm_cards_stop(vms);
	network_uplinks_stop(vms);
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
 * vms_leave() - let go of all processes, which go on without this control
 * @vms:	the daemon, stopping
 *
 * One that was told to end already ends by itself, and so does one that has not begun.
 */
void vms_leave(struct vms *vms)
{
	vm_cards_stop(vms);
	network_uplinks_leave(vms);
	list_for_each(it, &vms->all) {
		struct vm *vm = list_entry(it, struct vm, link);

		vm->left = true;
		vm_silence(vm, "the daemon ends");
		if (vm->guest)
			vm->guest = guest_free(vm->guest);
	}
}

/**
 * vms_free() - forget the VMs, whose threads have ended (or are stuck, and the process ends)
 * @vms:	the daemon
 */
void vms_free(struct vms *vms)
{
	struct list *const lists[] = {&vms->all, &vms->leaving};
	struct list *l;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		while ((l = list_pop(lists[i]))) {
			struct vm *vm = list_entry(l, struct vm, link);

			vm_close(vm);
			if (!vm->guest)
				vm_free(vm);
		}
	networks_free(vms);
}
