/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The owner of everything: brings it up in order, runs the control thread's loop, takes it down.
 *
 * Up: folders -> another user -> sockets and files -> rights dropped (rights.h) -> the broker's
 * line, devices listed -> the VMs' processes started or taken up -> ready: control socket served,
 * devices moved. Down: no more steps -> the VMs' processes are left as they are -> control ends.
 * With SIGINT they end first, and close sessions and devices. Nothing is given back to the host,
 * and no call that is stuck in the kernel is waited for.
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
#include "daemon/control/control_socket.h"
#include "daemon/control/monitor.h"
#include "daemon/core/state_file.h"
#include "daemon/daemon.h"
#include "daemon/devices/device_registry.h"
#include "daemon/devices/device_udev.h"
#include "daemon/devices/port_off.h"
#include "daemon/devices/twins.h"
#include "daemon/guests/guest_side.h"
#include "daemon/guests/virt_link.h"
#include "daemon/rights.h"
#include "daemon/rooms.h"
#include "daemon/routing/claims.h"
#include "daemon/routing/old_sessions.h"
#include "daemon/routing/route.h"
#include "daemon/vms/vm_left.h"
#include "policy/rule.h"

/* A call in the kernel may take 5 s to give up on a dead device; this leaves time for more. */
#define STOP_SECONDS 10

/* The rooms, and what is nobody else's. */
struct daemon {
	struct rooms rooms;
	struct control_rooms control_rooms;
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
	if (daemon->rooms.core.stopping && !daemon->rooms.vms.n_ending)
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
	if (daemon->rooms.core.stopping)
		return;
	service_notify("STOPPING=1");
	daemon->rooms.core.stopping = true;
	daemon->exit_status = exit_status;
	routes_stop(&daemon->rooms.routing);
	commands_stop(&daemon->rooms.commands);
	daemon->control = control_socket_free(daemon->control);
	daemon->rooms.guests.virt = virt_link_free(daemon->rooms.guests.virt);
	/* The next control takes the VMs' processes up, or `usbrouted --release` ends them. */
	if (daemon->ends_all)
		vms_stop(&daemon->rooms.vms);
	else
		vms_leave(&daemon->rooms.vms);
	loop_watch_time(daemon->rooms.core.loop, &daemon->stop_deadline,
			STOP_SECONDS * 1000000000ull, daemon_stop_late, daemon);
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

/* SIGHUP: errors go only to the log. */
static void daemon_hang_up(struct daemon *daemon)
{
	struct config_errors errors = {0};
	int r = commands_reload(&daemon->rooms.commands, &errors);
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

	while (!daemon->rooms.core.stopping &&
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

	daemon->rooms.core.ready = true;
	list_for_each(it, &daemon->rooms.vms.all)
		n++;
	if (!n)
		log_warning("no VM is configured: add a [vm NAME] section");
	r = control_socket_start(daemon->control);
	if (r == 0)
		r = virt_link_start(daemon->rooms.guests.virt);
	if (r < 0) {
		log_err("the sockets can't be served: %s", errno_text(r));
		daemon_stop(daemon, 1);
		return;
	}
	routes_started(&daemon->rooms.routing);
	commands_started(&daemon->rooms.commands);
	list_for_each(it, &daemon->rooms.vms.all)
		agents_ready(list_entry(it, struct vm, link));
	log_info("ready: %u VMs", n);
	snprintf(state, sizeof(state), "READY=1\nSTATUS=Serving %u VMs", n);
	service_notify(state);
	code_pages_give_back();
}

/*
 * Control is ready once all devices are listed that can be, and all VMs' processes have told what
 * the last control has left.
 */
static void daemon_maybe_ready(struct daemon *daemon)
{
	if (!daemon->rooms.core.stopping && !daemon->rooms.core.ready &&
	    device_registry_settled(daemon->rooms.devices.registry) &&
	    vms_known(&daemon->rooms.vms) && vms_left_ended(daemon->vms_left))
		daemon_ready(daemon);
}

static void rooms_known(void *ctx)
{
	daemon_maybe_ready(ctx);
}

/* Whether that was all is asked when all that has happened up to now is told. */
static void daemon_knows_more(void *ctx)
{
	struct daemon *daemon = ctx;

	events_raise_whole(&daemon->rooms.core.events, EVENT_KNOWN_MORE);
}

static void rooms_ended(void *ctx)
{
	daemon_maybe_done(ctx);
}

static void rooms_moved(void *ctx, const struct device *device)
{
	struct daemon *daemon = ctx;

	monitor_moved(daemon->control_rooms.monitor, device);
}

static void rooms_removed(void *ctx, const struct device *device)
{
	struct daemon *daemon = ctx;

	monitor_removed(daemon->control_rooms.monitor, device);
}

static void rooms_link(void *ctx, const struct vm *vm, bool up)
{
	struct daemon *daemon = ctx;

	monitor_vm_link(daemon->control_rooms.monitor, vm, up);
}

static void rooms_refused(void *ctx, const struct device *device, const char *vm,
			  const char *reason)
{
	struct daemon *daemon = ctx;

	monitor_refused(daemon->control_rooms.monitor, device, NULL, vm, reason);
}

static const struct rooms_ops rooms_ops = {
	.known = rooms_known,
	.ended = rooms_ended,
	.moved = rooms_moved,
	.removed = rooms_removed,
	.link = rooms_link,
	.refused = rooms_refused,
};

static void daemon_init(struct daemon *daemon)
{
	rooms_init(&daemon->rooms, &rooms_ops, daemon);
	daemon->control_rooms = (struct control_rooms){
		.core = &daemon->rooms.core,
		.books = &daemon->rooms.books,
		.devices = &daemon->rooms.devices,
		.vms = &daemon->rooms.vms,
		.routing = &daemon->rooms.routing,
		.commands = &daemon->rooms.commands,
	};
}

/* One daemon a runtime directory: a second one would take the first one's sockets away. */
static int take_lock(struct daemon *daemon)
{
	const char *folder = daemon->rooms.core.config->runtime_directory;
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
	struct device_source *source;
	int r = rights_take_folders(daemon->rooms.core.config, user);

	if (r == 0)
		r = device_udev_new(&source, &daemon->rooms.devices);
	if (r == 0)
		r = device_registry_new(&daemon->rooms.devices.registry, &daemon->rooms.devices,
					source, rooms_device_prepare, &daemon->rooms);
	if (r < 0)
		return r;
	vms_find_group(&daemon->rooms.vms);
	r = rights_become(user, daemon->rooms.vms.socket_group, daemon->rooms.core.config_file);
	if (r == 0)
		r = take_lock(daemon);
	if (r == 0)
		r = vms_make_sockets(&daemon->rooms.vms);
	if (r == 0) {
		daemon->control_rooms.monitor = monitor_new(&daemon->rooms.devices);
		r = daemon->control_rooms.monitor ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = control_socket_new(&daemon->control, &daemon->control_rooms);
	if (r == 0)
		r = virt_link_new(&daemon->rooms.guests.virt, &daemon->rooms.guests);
	if (r == 0)
		r = routes_load(&daemon->rooms.routing);
	if (r < 0)
		return r;
	old_sessions_load(&daemon->rooms.routing);
	return rights_give_up(daemon->rooms.core.config, daemon->rooms.core.config_file);
}

static int daemon_begin(struct daemon *daemon)
{
	int r = device_registry_start(daemon->rooms.devices.registry);

	if (r == 0)
		r = vms_start(&daemon->rooms.vms);
	if (r < 0) {
		log_err("starting: %s", errno_text(r));
		return r;
	}
	daemon->vms_left = vms_left_end(&daemon->rooms.vms, daemon_knows_more, daemon);
	daemon_knows_more(daemon);
	return 0;
}

static void daemon_free(struct daemon *daemon)
{
	daemon->control = control_socket_free(daemon->control);
	daemon->control_rooms.monitor = monitor_free(daemon->control_rooms.monitor);
	daemon->rooms.guests.virt = virt_link_free(daemon->rooms.guests.virt);
	fd_close(daemon->lock);
	fd_close(daemon->signals);
	daemon->rooms.devices.registry = device_registry_free(daemon->rooms.devices.registry);
	events_tell(&daemon->rooms.core.events);
	old_sessions_free(&daemon->rooms.routing);
	daemon->vms_left = vms_left_free(daemon->vms_left);
	vms_free(&daemon->rooms.vms);
	broker_free(daemon->rooms.routing.broker);
	starter_free(daemon->rooms.vms.starter);
	ports_off_free(&daemon->rooms.devices);
	wish_books_deinit(&daemon->rooms.books);
	bearers_deinit(&daemon->rooms.devices.names.bearers);
	claims_clear(&daemon->rooms.routing.claimed_before);
	twins_free(&daemon->rooms.devices);
	loop_free(daemon->rooms.core.loop);
	policy_free(daemon->rooms.core.policy);
	config_free(daemon->rooms.core.config);
}

static int daemon_loop(struct daemon *daemon)
{
	struct loop_watch watch = {0};
	int r = loop_watch_fd(daemon->rooms.core.loop, &watch, daemon->signals, POLLIN, LOOP_KEEP,
			      daemon_signal, daemon);

	if (r == 0)
		r = daemon_begin(daemon);
	if (r < 0)
		daemon_stop(daemon, 1);
	while (!daemon->done) {
		r = rooms_turn(&daemon->rooms, true);
		if (r < 0) {
			log_err("the control thread's io_uring failed: %s", errno_text(r));
			return 1;
		}
	}
	loop_cancel(daemon->rooms.core.loop, &watch);
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
 * @passed:		sockets for the LAN export; taken
 *
 * Return: the process's exit status.
 */
int daemon_run(struct config *config, struct policy *policy, const char *config_file,
	       int broker_line, int starter_line, const struct sandbox_user *user,
	       const struct daemon_passed *passed)
{
	struct daemon daemon = {.lock = -1, .signals = -1};
	_cleanup_close_ int line = broker_line, start_line = starter_line;
	sigset_t set;
	int r, status = 1;

	daemon.rooms.core = (struct core){.config = config,
					  .policy = policy,
					  .config_file = config_file,
					  .runtime_directory = config->runtime_directory,
					  .state_directory = config->state_directory,
					  .started_ns = loop_now()};
	daemon_init(&daemon);
	memcpy(daemon.rooms.vms.passed, passed->fds, sizeof(passed->fds));
	daemon.rooms.vms.n_passed = passed->n;
	/* Blocked before any thread is there, so that signals come by the descriptor alone. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	daemon.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);

	r = loop_new(&daemon.rooms.core.loop);
	if (r < 0) {
		explain_no_loop(r);
		policy_free(policy);
		config_free(config);
		return 1;
	}
	r = broker_new(&daemon.rooms.routing.broker, daemon.rooms.core.loop, line,
		       daemon_broker_lost, &daemon);
	if (r == 0) {
		line = -1;
		daemon.rooms.vms.broker = daemon.rooms.routing.broker;
		r = starter_new(&daemon.rooms.vms.starter, daemon.rooms.core.loop, start_line,
				daemon_starter_lost, &daemon);
	}
	if (r == 0) {
		start_line = -1;
		r = daemon_prepare(&daemon, user);
	}
	if (r == 0)
		status = daemon_loop(&daemon);
	/* A process that has not ended may still speak to us; leave all as it is. */
	if (daemon.rooms.vms.n_ending)
		_exit(status);
	daemon_free(&daemon);
	return status;
}
