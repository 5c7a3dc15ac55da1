/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The owner of everything: brings it up in order, runs the control thread's loop, takes it down.
 *
 * Up: folders -> another user -> sockets and files -> rights dropped (rights.h) -> the broker's
 * line, devices listed -> threads started -> ready: control socket served, devices
 * moved. Down: no more steps -> the VMs' processes are left as they are -> the process ends. By
 * SIGINT they end first, and close sessions and devices; nothing is given back to the host, and no call
 * is waited for that is stuck in the kernel.
 */
#include <build_info.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/code_pages.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/service.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/hotkey.h"
#include "daemon/control/control_socket.h"
#include "daemon/core/core.h"
#include "daemon/core/state_file.h"
#include "daemon/daemon.h"
#include "daemon/devices/device.h"
#include "daemon/devices/device_registry.h"
#include "daemon/devices/port_off.h"
#include "daemon/devices/twins.h"
#include "daemon/guests/guest_side.h"
#include "daemon/guests/guests.h"
#include "daemon/guests/virt_link.h"
#include "daemon/rights.h"
#include "daemon/routing/claims.h"
#include "daemon/routing/exports.h"
#include "daemon/routing/old_sessions.h"
#include "daemon/routing/route.h"
#include "daemon/vms/vm.h"
#include "daemon/vms/vm_left.h"
#include "policy/rule.h"

/* A call in the kernel may take 5 s to give up on a dead device; then some. */
#define STOP_SECONDS 10

/* The rooms, and what is nobody else's. */
struct daemon {
	struct core core;
	struct wish_books books;
	struct devices devices;
	struct vms vms;
	struct routing routing;
	struct commands commands;
	struct guests guests;
	struct control_rooms rooms;
	struct control_socket *control;
	struct vms_left *vms_left; /* processes whose VMs are in no configuration any more */
	int lock;		   /* of the runtime directory */
	int signals;		   /* a signalfd */
	bool done;
	bool ends_all; /* stopping: the VMs' processes end, too */
	int exit_status;
	struct loop_watch stop_deadline;
};

/* ------------------------------------------------------------- down */

/* End the loop once nothing is left to wait for. */
static void daemon_maybe_done(struct daemon *daemon)
{
	if (daemon->core.stopping && !daemon->vms.n_ending)
		daemon->done = true;
}

static void daemon_stop_late(void *ctx, int res _unused_)
{
	struct daemon *daemon = ctx;

	log_warning("a call is stuck in the kernel; ending without it");
	daemon->done = true;
}

/* Begin to end; of @exit_status the first one counts. */
static void daemon_stop(struct daemon *daemon, int exit_status)
{
	if (daemon->core.stopping)
		return;
	service_notify("STOPPING=1");
	daemon->core.stopping = true;
	daemon->exit_status = exit_status;
	routes_stop(&daemon->routing);
	commands_stop(&daemon->commands);
	daemon->control = control_socket_free(daemon->control);
	daemon->guests.virt = virt_link_free(daemon->guests.virt);
	/* A next one takes the VMs' processes over, or `usbrouted --release` ends them. */
	if (daemon->ends_all)
		vms_stop(&daemon->vms);
	else
		vms_leave(&daemon->vms);
	loop_watch_time(daemon->core.loop, &daemon->stop_deadline, STOP_SECONDS * 1000000000ull,
			daemon_stop_late, daemon);
	daemon_maybe_done(daemon);
}

static void daemon_starter_lost(void *ctx)
{
	struct daemon *daemon = ctx;

	log_err("the starter of the VMs' processes has died; nothing can go on without it");
	daemon_stop(daemon, 1);
}

static void daemon_broker_lost(void *ctx)
{
	struct daemon *daemon = ctx;

	log_err("the broker has died; nothing can go on without it");
	daemon_stop(daemon, 1);
}

/* SIGHUP: nobody hears of errors but the log. */
static void daemon_hang_up(struct daemon *daemon)
{
	struct config_errors errors = {0};
	int r = commands_reload(&daemon->commands, &errors);
	char *save = NULL;

	for (char *line = errors.text ? strtok_r(errors.text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save))
		log_err("%s", line);
	if (r)
		log_err("the configuration was not read anew: %s",
			r < 0 ? errno_text(r) : "it has errors; all stays as it was");
	config_errors_deinit(&errors);
}

static void daemon_signal(void *ctx, int res _unused_)
{
	struct daemon *daemon = ctx;
	struct signalfd_siginfo info;

	while (!daemon->core.stopping &&
	       read(daemon->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP) {
			daemon_hang_up(daemon);
			continue;
		}
		daemon->ends_all = info.ssi_signo == SIGINT;
		log_info(daemon->ends_all ? "asked to stop, and to end the VMs' processes"
					  : "asked to stop; the VMs' processes go on");
		daemon_stop(daemon, 0);
	}
}

/* ------------------------------------------------------------- up */

static void daemon_ready(struct daemon *daemon)
{
	char state[64];
	unsigned n = 0;
	int r;

	daemon->core.ready = true;
	list_for_each(it, &daemon->vms.all)
		n++;
	if (!n)
		log_warning("no VM is configured: add a [vm NAME] section");
	r = control_socket_start(daemon->control);
	if (r == 0)
		r = virt_link_start(daemon->guests.virt);
	if (r < 0) {
		log_err("the sockets can't be served: %s", errno_text(r));
		daemon_stop(daemon, 1);
		return;
	}
	routes_started(&daemon->routing);
	commands_started(&daemon->commands);
	list_for_each(it, &daemon->vms.all)
		agents_ready(list_entry(it, struct vm, link));
	log_info("ready: %u VMs", n);
	snprintf(state, sizeof(state), "READY=1\nSTATUS=Serving %u VMs", n);
	service_notify(state);
	code_pages_give_back();
}

/* All devices are listed that can be, and all VMs' processes have told what the last control has left. */
static void daemon_maybe_ready(struct daemon *daemon)
{
	if (!daemon->core.stopping && !daemon->core.ready &&
	    device_registry_settled(daemon->devices.registry) && vms_known(&daemon->vms) &&
	    vms_left_ended(daemon->vms_left))
		daemon_ready(daemon);
}

/* ------------------------------------------------------------- who hears of what */

/*
 * Calls go down from room to room, and what happens is told upwards by these tables alone.
 */

static int on_device_prepare(void *ctx, struct device *device)
{
	struct daemon *daemon = ctx;

	return route_prepare(&daemon->routing, device);
}

static void on_hub_removed(void *ctx, const char *sysname)
{
	struct daemon *daemon = ctx;

	port_off_hub_gone(&daemon->devices, sysname);
}

static void on_left_ended(void *ctx)
{
	daemon_maybe_ready(ctx);
}

static void on_devices_settled(void *ctx)
{
	daemon_maybe_ready(ctx);
}

static const struct device_registry_ops registry_ops = {
	.prepare = on_device_prepare,
	.added = route_added,
	.changed = route_changed,
	.removed = route_removed,
	.hub_removed = on_hub_removed,
	.settled = on_devices_settled,
};

/* What is said of devices means others by now. */
static void on_wanted_elsewhere(void *ctx)
{
	struct daemon *daemon = ctx;

	routes_review(&daemon->routing);
}

static int on_vm_made(void *ctx, struct vm *vm)
{
	struct daemon *daemon = ctx;

	return guest_side_new(&daemon->guests, vm);
}

static void on_vm_freed(void *ctx _unused_, struct vm *vm)
{
	guest_side_free(vm);
}

static void on_vm_link(void *ctx, struct vm *vm, bool up)
{
	struct daemon *daemon = ctx;

	if (up)
		old_sessions_hang_up(&daemon->routing, vm);
	agents_card(vm, up);
	route_vm_changed(&daemon->routing, vm);
}

static void on_import_asked(void *ctx, struct vm *vm, uint32_t client, const char *busid)
{
	struct daemon *daemon = ctx;

	exports_import_asked(&daemon->routing, vm, client, busid);
}

static void on_agent_asked(void *ctx _unused_, struct vm *vm)
{
	agent_asked(vm);
}

static void on_vm_stands(void *ctx, struct vm *vm)
{
	struct daemon *daemon = ctx;

	/* A list of what is not known yet would be a short one. */
	if (daemon->core.ready)
		agents_ready(vm);
}

static void on_vm_goes_on(void *ctx, struct vm *vm)
{
	struct daemon *daemon = ctx;

	old_sessions_forget(&daemon->routing, vm);
}

static void on_vm_known(void *ctx, struct vm *vm)
{
	struct daemon *daemon = ctx;

	if (!daemon->core.ready) {
		daemon_maybe_ready(daemon);
		return;
	}
	routes_take_up(&daemon->routing, vm);
	routes_review(&daemon->routing);
}

static void on_vm_silenced(void *ctx _unused_, struct vm *vm, const char *why)
{
	agents_close(vm, why);
	guest_side_stop(vm);
}

static void on_vm_left(void *ctx, struct vm *vm)
{
	struct daemon *daemon = ctx;

	route_calls_vm_left(&daemon->commands, vm);
}

static void on_vm_ended(void *ctx)
{
	daemon_maybe_done(ctx);
}

static const struct vms_ops vms_ops = {
	.made = on_vm_made,
	.freed = on_vm_freed,
	.link = on_vm_link,
	.import_asked = on_import_asked,
	.agent_asked = on_agent_asked,
	.stands = on_vm_stands,
	.goes_on = on_vm_goes_on,
	.known = on_vm_known,
	.have_started = on_wanted_elsewhere,
	.silenced = on_vm_silenced,
	.left = on_vm_left,
	.ended = on_vm_ended,
};

static void on_exports_changed(void *ctx _unused_, struct vm *vm)
{
	guest_side_changed(vm);
}

static void on_moved(void *ctx, struct device *device)
{
	struct daemon *daemon = ctx;

	commands_moved(&daemon->commands, device);
}

static void on_named(void *ctx, struct device *device)
{
	struct daemon *daemon = ctx;

	route_calls_named(&daemon->commands, device);
}

static void on_judge(void *ctx, struct device *device)
{
	struct daemon *daemon = ctx;

	commands_judge(&daemon->commands, device);
}

static void on_removed(void *ctx, struct device *device)
{
	struct daemon *daemon = ctx;

	commands_removed(&daemon->commands, device);
}

static void on_hotkey(void *ctx, struct device *keyboard, enum hotkey which)
{
	struct daemon *daemon = ctx;

	hotkey_struck(&daemon->commands, keyboard, which);
}

static bool guest_takes(void *ctx _unused_, const struct vm *vm)
{
	return guest_side_takes(vm);
}

static const struct routing_ops routing_ops = {
	.exports_changed = on_exports_changed,
	.moved = on_moved,
	.named = on_named,
	.judge = on_judge,
	.removed = on_removed,
	.hotkey = on_hotkey,
	.takes = guest_takes,
};

static void daemon_init(struct daemon *daemon)
{
	wish_books_init(&daemon->books, &daemon->core);
	daemon->books.ended = on_wanted_elsewhere;
	daemon->books.ctx = daemon;
	devices_init(&daemon->devices, &daemon->core, &daemon->books);
	daemon->devices.named = on_wanted_elsewhere;
	daemon->devices.ctx = daemon;
	vms_init(&daemon->vms, &daemon->core, &vms_ops, daemon);
	routing_init(&daemon->routing, &daemon->devices, &daemon->vms, &routing_ops, daemon);
	commands_init(&daemon->commands, &daemon->routing);
	guests_init(&daemon->guests, &daemon->routing);
	daemon->rooms = (struct control_rooms){
		.core = &daemon->core,
		.books = &daemon->books,
		.devices = &daemon->devices,
		.vms = &daemon->vms,
		.routing = &daemon->routing,
		.commands = &daemon->commands,
	};
}

/* ------------------------------------------------------------- up */

/* One daemon a runtime directory: a second one would take the first one's sockets away. */
static int take_lock(struct daemon *daemon)
{
	const char *folder = daemon->core.config->runtime_directory;
	char path[PATH_MAX];
	int r;

	daemon->lock = open(state_file_path(path, sizeof(path), folder, "lock"),
			    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (daemon->lock >= 0 && flock(daemon->lock, LOCK_EX | LOCK_NB) == 0)
		return 0;
	r = -errno;
	if (r == -EWOULDBLOCK)
		log_err("another usbrouted is running on %s; try: systemctl restart usbrouted",
			folder);
	else
		log_err("%s: %s", path, errno_text(r));
	return r;
}

/* Folders as root, files and sockets as the user; what needs rights that are dropped at the end. */
static int daemon_prepare(struct daemon *daemon, const struct sandbox_user *user)
{
	int r = rights_take_folders(daemon->core.config, user);

	if (r == 0)
		r = device_registry_new(&daemon->devices.registry, &daemon->devices, &registry_ops,
					daemon);
	if (r < 0)
		return r;
	vms_find_group(&daemon->vms);
	r = rights_become(user, daemon->vms.socket_group, daemon->core.config_file);
	if (r == 0)
		r = take_lock(daemon);
	if (r == 0)
		r = vms_make_sockets(&daemon->vms);
	if (r == 0)
		r = control_socket_new(&daemon->control, &daemon->rooms);
	if (r == 0)
		r = virt_link_new(&daemon->guests.virt, &daemon->guests);
	if (r == 0)
		r = routes_load(&daemon->routing);
	if (r < 0)
		return r;
	old_sessions_load(&daemon->routing);
	return rights_give_up(daemon->core.config, daemon->core.config_file);
}

static int daemon_begin(struct daemon *daemon)
{
	int r = device_registry_start(daemon->devices.registry);

	if (r == 0)
		r = vms_start(&daemon->vms);
	if (r < 0) {
		log_err("starting: %s", errno_text(r));
		return r;
	}
	daemon->vms_left = vms_left_end(&daemon->vms, on_left_ended, daemon);
	daemon_maybe_ready(daemon);
	return 0;
}

static void daemon_free(struct daemon *daemon)
{
	daemon->control = control_socket_free(daemon->control);
	daemon->guests.virt = virt_link_free(daemon->guests.virt);
	fd_close(daemon->lock);
	fd_close(daemon->signals);
	if (daemon->devices.registry)
		daemon->devices.registry = device_registry_free(daemon->devices.registry);
	old_sessions_free(&daemon->routing);
	daemon->vms_left = vms_left_free(daemon->vms_left);
	vms_free(&daemon->vms);
	broker_free(daemon->routing.broker);
	starter_free(daemon->vms.starter);
	ports_off_free(&daemon->devices);
	wish_books_deinit(&daemon->books);
	bearers_deinit(&daemon->devices.names.bearers);
	claims_clear(&daemon->routing.claimed_before);
	twins_free(&daemon->devices);
	loop_free(daemon->core.loop);
	policy_free(daemon->core.policy);
	config_free(daemon->core.config);
}

static int daemon_loop(struct daemon *daemon)
{
	struct loop_watch watch = {0};
	int r = loop_watch_fd(daemon->core.loop, &watch, daemon->signals, POLLIN, LOOP_KEEP,
			      daemon_signal, daemon);

	if (r == 0)
		r = daemon_begin(daemon);
	if (r < 0)
		daemon_stop(daemon, 1);
	while (!daemon->done) {
		r = loop_turn(daemon->core.loop, true);
		if (r < 0) {
			log_err("the control thread's io_uring failed: %s", errno_text(r));
			return 1;
		}
	}
	loop_cancel(daemon->core.loop, &watch);
	return daemon->exit_status;
}

static void explain_no_loop(int r)
{
	if (r == -EINVAL)
		log_err("io_uring of this kernel is too old: Linux 6.1 is the least");
	else if (r == -EPERM || r == -ENOSYS || r == -EACCES)
		log_err("io_uring is switched off (%s): see sysctl kernel.io_uring_disabled",
			errno_text(r));
	else
		log_err("io_uring: %s", errno_text(r));
}

/**
 * daemon_run() - be the daemon until it is asked to stop
 * @config:		taken
 * @policy:		taken
 * @config_file:	where both came from; NULL: the usual place
 * @broker_line:	of broker_start(); taken
 * @starter_line:	of starter_start(); taken
 * @user:		whose the process becomes, where it is root's
 *
 * Return: the process's exit status.
 */
int daemon_run(struct config *config, struct policy *policy, const char *config_file,
	       int broker_line, int starter_line, const struct sandbox_user *user)
{
	struct daemon daemon = {.lock = -1, .signals = -1};
	_cleanup_close_ int line = broker_line, start_line = starter_line;
	sigset_t set;
	int r, status = 1;

	daemon_init(&daemon);
	daemon.core = (struct core){.config = config,
				    .policy = policy,
				    .config_file = config_file,
				    .runtime_directory = config->runtime_directory,
				    .state_directory = config->state_directory,
				    .started_ns = loop_now()};
	/* Blocked before any thread is there, so that signals come by the descriptor alone. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	daemon.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);

	r = loop_new(&daemon.core.loop);
	if (r < 0) {
		explain_no_loop(r);
		policy_free(policy);
		config_free(config);
		return 1;
	}
	r = broker_new(&daemon.routing.broker, daemon.core.loop, line, daemon_broker_lost, &daemon);
	if (r == 0) {
		line = -1;
		daemon.vms.broker = daemon.routing.broker;
		r = starter_new(&daemon.vms.starter, daemon.core.loop, start_line,
				daemon_starter_lost, &daemon);
	}
	if (r == 0) {
		start_line = -1;
		r = daemon_prepare(&daemon, user);
	}
	if (r == 0)
		status = daemon_loop(&daemon);
	/* A thread that is stuck still has all of this, and goes on where its call ends. */
	if (daemon.vms.n_ending)
		_exit(status);
	daemon_free(&daemon);
	return status;
}
