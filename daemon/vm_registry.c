/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configured VMs: their sockets, ports and threads.
 *
 * A VM's way: its socket is made (while the rights for that are there) -> the broker makes its port
 * -> its thread is started -> … -> its thread is stopped -> ended. Addresses that the configuration
 * doesn't give are handed out once and kept in the state directory, so that no later insertion
 * renumbers anybody.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "daemon/guest_side.h"
#include "daemon/old_sessions.h"
#include "daemon/route.h"
#include "daemon/state_file.h"
#include "daemon/usbip_client.h"

/* The first address that is handed out: after the daemon's .1, room is left for fixed ones. */
#define FIRST_HOST 11

struct vm *vm_find(struct daemon *daemon, const char *name)
{
	list_for_each(it, &daemon->vms) {
		struct vm *vm = list_entry(it, struct vm, link);

		if (!strcmp(vm->name, name))
			return vm;
	}
	return NULL;
}

/* ------------------------------------------------------------- addresses */

static bool address_taken(struct daemon *daemon, struct in_addr address)
{
	if (address.s_addr == daemon->config->address.s_addr)
		return true;
	list_for_each(it, &daemon->vms) {
		if (list_entry(it, struct vm, link)->address.s_addr == address.s_addr)
			return true;
	}
	return false;
}

/* Host part of the segment: 0 and the highest are no host's. */
static bool address_fits(const struct config *config, struct in_addr address)
{
	uint32_t mask = config->prefix ? ~0u << (32 - config->prefix) : 0;
	uint32_t a = ntohl(address.s_addr), net = ntohl(config->address.s_addr) & mask;

	return (a & mask) == net && a != net && a != (net | ~mask);
}

/* What was handed out before, where it still fits and nobody was given it since. */
static void addresses_load(struct daemon *daemon, const char *path)
{
	_cleanup_free_ char *text = NULL;
	char *save = NULL;
	size_t len;

	if (state_file_read(path, &text, &len) < 0)
		return;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char name[32], dotted[16];
		struct in_addr address;
		struct vm *vm;

		if (sscanf(line, "%31s %15s", name, dotted) != 2 ||
		    inet_pton(AF_INET, dotted, &address) != 1)
			continue;
		vm = vm_find(daemon, name);
		if (vm && !vm->address.s_addr && address_fits(daemon->config, address) &&
		    !address_taken(daemon, address))
			vm->address = address;
	}
}

static int address_next(struct daemon *daemon, struct in_addr *ret_address)
{
	const struct config *config = daemon->config;
	uint32_t mask = config->prefix ? ~0u << (32 - config->prefix) : 0;
	uint32_t net = ntohl(config->address.s_addr) & mask, size = ~mask;

	for (uint32_t i = 0; i < size; i++) {
		uint32_t host = (FIRST_HOST + i) % size;
		struct in_addr address = {.s_addr = htonl(net | host)};

		if (address_fits(config, address) && !address_taken(daemon, address)) {
			*ret_address = address;
			return 0;
		}
	}
	return -ENOSPC;
}

static int addresses_save(struct daemon *daemon, const char *path)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return -ENOMEM;
	list_for_each(it, &daemon->vms) {
		struct vm *vm = list_entry(it, struct vm, link);
		char dotted[INET_ADDRSTRLEN];

		if (!vm->config->has_address)
			fprintf(f, "%s %s\n", vm->name,
				inet_ntop(AF_INET, &vm->address, dotted, sizeof(dotted)));
	}
	if (fclose(f) != 0)
		return -ENOMEM;
	return state_file_write(path, text, len);
}

static int addresses_assign(struct daemon *daemon)
{
	char path[PATH_MAX];
	bool given = false;
	int r;

	daemon_path(path, sizeof(path), daemon->config->state_directory, "addresses");
	addresses_load(daemon, path);
	list_for_each(it, &daemon->vms) {
		struct vm *vm = list_entry(it, struct vm, link);

		if (vm->address.s_addr)
			continue;
		r = address_next(daemon, &vm->address);
		if (r < 0) {
			log_err("%s: no address is free in [network] address; widen its prefix",
				vm->name);
			return r;
		}
		given = true;
	}
	if (!given)
		return 0;
	r = addresses_save(daemon, path);
	if (r < 0)
		log_err("%s: %s; give each [vm] an address, or make the folder writable", path,
			errno_text(r));
	return r;
}

/* ------------------------------------------------------------- sockets */

static int vm_make_socket(struct vm *vm, gid_t group)
{
	const char *folder = vm->daemon->config->runtime_directory;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;
	int r;

	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s.sock", folder, vm->name) >=
	    (int)sizeof(address.sun_path)) {
		log_err("%s: [daemon] runtime-directory: expected a shorter path", vm->name);
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
	if (group != (gid_t)-1 && chown(address.sun_path, (uid_t)-1, group) < 0)
		log_warning("%s: can't be given to the socket group: %s", address.sun_path,
			    errno_text(errno));
	if (chmod(address.sun_path, 0660) < 0 || listen(fd, 4) < 0)
		goto fail;
	vm->socket = take_fd(&fd);
	return 0;
fail:
	r = -errno;
	log_err("%s: %s", address.sun_path, errno_text(r));
	return r;
}

/**
 * vms_make_sockets() - make the list of VMs, their addresses and their sockets
 * @daemon:	the daemon; still with the right to give files to a group
 *
 * Return: 0, or a negative errno and it was logged.
 */
int vms_make_sockets(struct daemon *daemon)
{
	const char *group_name = daemon->config->socket_group;
	struct group *group = getgrnam(group_name);
	int r;

	if (!group && daemon->config->n_vms)
		log_warning("[daemon] socket-group: there is no group \"%s\"; only root can open "
			    "the VMs' sockets",
			    group_name);
	list_for_each(it, &daemon->config->vms) {
		struct config_vm *c = list_entry(it, struct config_vm, link);
		struct vm *vm = calloc(1, sizeof(*vm));

		if (!vm)
			return -ENOMEM;
		vm->daemon = daemon;
		vm->config = c;
		memcpy(vm->name, c->name, sizeof(vm->name));
		if (c->has_address)
			vm->address = c->address;
		vm->socket = vm->listener = vm->agent_listener = -1;
		list_init(&vm->clients);
		list_append(&daemon->vms, &vm->link);
	}
	r = addresses_assign(daemon);
	if (r < 0)
		return r;
	list_for_each(it, &daemon->vms) {
		r = vm_make_socket(list_entry(it, struct vm, link),
				   group ? group->gr_gid : (gid_t)-1);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ------------------------------------------------------------- threads */

static void vm_link(void *ctx, bool up, const uint8_t mac[6])
{
	static const uint8_t none[6];
	struct vm *vm = ctx;

	if (memcmp(mac, none, 6)) {
		memcpy(vm->mac, mac, 6);
		vm->has_mac = true;
	}
	if (vm->connected == up)
		return;
	vm->connected = up;
	log_limited(&vm->limit, LOG_LEVEL_INFO, "%s: its card is %s", vm->name, up ? "up" : "down");
	if (up) {
		old_sessions_hang_up(vm);
	} else {
		usbip_clients_close(vm);
		agents_close(vm, "its card is down");
	}
	route_vm_changed(vm);
}

static void vm_ended(void *ctx)
{
	struct vm *vm = ctx;

	vm->guest = guest_free(vm->guest);
	vm->daemon->vms_ending--;
	daemon_maybe_done(vm->daemon);
}

static const struct guest_events vm_events = {.link = vm_link, .ended = vm_ended};

static void vm_port_made(struct broker_request *req, int r, int *fds, const char *text)
{
	struct vm *vm = container_of(req, struct vm, req);
	struct daemon *daemon = vm->daemon;
	struct guest_config config = {
		.address = vm->address,
		.daemon = daemon->config->address,
		.prefix = daemon->config->prefix,
		.isolate = daemon->config->isolate,
		.hotkeys = daemon->config->hotkeys,
		.sw = daemon->sw,
		.listener = vm->socket,
		.tap = fds[0],
	};

	memcpy(config.name, vm->name, sizeof(config.name));
	if (vm->config->has_mac)
		memcpy(config.mac, vm->config->mac, sizeof(config.mac));
	vm->listener = fds[1];
	vm->agent_listener = fds[2];
	if (r < 0) {
		log_err("%s: %s: %s", vm->name, text, errno_text(r));
		daemon_stop(daemon, 1);
		return;
	}
	r = guest_start(&vm->guest, &config, daemon->loop, &vm_events, vm);
	if (r == 0)
		vm->socket = -1; /* the guest's now */
	else
		close(fds[0]);
	if (r == 0)
		r = loop_watch_fd(daemon->loop, &vm->listener_watch, vm->listener, POLLIN, 0,
				  usbip_client_accept, vm);
	if (r == 0)
		r = loop_watch_fd(daemon->loop, &vm->agent_watch, vm->agent_listener, POLLIN, 0,
				  agent_accept, vm);
	if (r < 0) {
		log_err("%s: its thread can't be started: %s", vm->name, errno_text(r));
		daemon_stop(daemon, 1);
		return;
	}
	daemon_vm_started(daemon);
}

/**
 * vms_start() - ask for all ports; each VM's thread starts with its answer
 * @daemon:	the daemon
 *
 * Return: 0, or a negative errno and it was logged.
 */
int vms_start(struct daemon *daemon)
{
	unsigned n = 0;

	list_for_each(it, &daemon->vms) {
		struct vm *vm = list_entry(it, struct vm, link);
		struct broker_port port = {.daemon = daemon->config->address, .guest = vm->address};
		int r;

		snprintf(vm->tap, sizeof(vm->tap), "vm%u", n++);
		memcpy(port.tap, vm->tap, sizeof(port.tap));
		r = broker_port_add(daemon->broker, &vm->req, &port, vm_port_made);
		if (r < 0) {
			log_err("%s: asking the broker: %s", vm->name, errno_text(r));
			return r;
		}
		daemon->vms_starting++;
	}
	return 0;
}

/**
 * vms_stop() - have all threads end; daemon_maybe_done() hears of each
 * @daemon:	the daemon
 */
void vms_stop(struct daemon *daemon)
{
	list_for_each(it, &daemon->vms) {
		struct vm *vm = list_entry(it, struct vm, link);

		loop_cancel(daemon->loop, &vm->listener_watch);
		loop_cancel(daemon->loop, &vm->agent_watch);
		loop_cancel(daemon->loop, &vm->agent_pause);
		agents_close(vm, "the daemon ends");
		guest_side_stop(vm);
		usbip_clients_close(vm);
		if (vm->guest) {
			daemon->vms_ending++;
			guest_stop(vm->guest);
		}
	}
}

/**
 * vms_free() - forget the VMs, whose threads have ended (or are stuck, and the process ends)
 * @daemon:	the daemon
 */
void vms_free(struct daemon *daemon)
{
	struct list *l;

	while ((l = list_pop(&daemon->vms))) {
		struct vm *vm = list_entry(l, struct vm, link);
		char path[PATH_MAX], name[48];

		broker_forget(daemon->broker, &vm->req);
		snprintf(name, sizeof(name), "%s.sock", vm->name);
		unlink(daemon_path(path, sizeof(path), daemon->config->runtime_directory, name));
		fd_close(vm->socket);
		fd_close(vm->listener);
		fd_close(vm->agent_listener);
		if (!vm->guest)
			free(vm);
	}
}
