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
#include "daemon/routing/claims.h"
#include "daemon/control/control_socket.h"
#include "daemon/daemon.h"
#include "daemon/devices/device_registry.h"
#include "daemon/routing/old_sessions.h"
#include "daemon/routing/port_off.h"
#include "daemon/rights.h"
#include "daemon/routing/route.h"
#include "daemon/routing/twins.h"
#include "daemon/guests/virt_link.h"
#include "daemon/vms/vm_left.h"
#include "policy/rule.h"

/* A call in the kernel may take 5 s to give up on a dead device; then some. */
#define STOP_SECONDS 10

/**
 * daemon_path() - a file's path
 * @buf:	where it goes
 * @size:	room there
 * @folder:	the folder
 * @name:	the file in it
 *
 * Return: @buf.
 */
char *daemon_path(char *buf, size_t size, const char *folder, const char *name)
{
	snprintf(buf, size, "%s/%s", folder, name);
	return buf;
}

/* ------------------------------------------------------------- down */

/**
 * daemon_maybe_done() - end the loop once nothing is left to wait for
 * @daemon:	the daemon
 */
void daemon_maybe_done(struct daemon *daemon)
{
	if (daemon->core->stopping && !daemon->vms->n_ending)
		daemon->done = true;
}

static void daemon_stop_late(void *ctx, int res _unused_)
{
	struct daemon *daemon = ctx;

	log_warning("a call is stuck in the kernel; ending without it");
	daemon->done = true;
}

/**
 * daemon_stop() - begin to end
 * @daemon:		the daemon
 * @exit_status:	the process's; the first one counts
 */
void daemon_stop(struct daemon *daemon, int exit_status)
{
	if (daemon->core->stopping)
		return;
	service_notify("STOPPING=1");
	daemon->core->stopping = true;
	daemon->exit_status = exit_status;
	routes_stop(daemon);
	daemon->control = control_socket_free(daemon->control);
	daemon->guests->virt = virt_link_free(daemon->guests->virt);
	/* A next one takes the VMs' processes over, or `usbrouted --release` ends them. */
	if (daemon->ends_all)
		vms_stop(daemon);
	else
		vms_leave(daemon);
	loop_watch_time(daemon->core->loop, &daemon->stop_deadline, STOP_SECONDS * 1000000000ull,
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
	int r = daemon_reload(daemon, &errors);
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

	while (!daemon->core->stopping &&
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

	daemon->core->ready = true;
	list_for_each(it, &daemon->vms->all)
		n++;
	if (!n)
		log_warning("no VM is configured: add a [vm NAME] section");
	r = control_socket_start(daemon->control);
	if (r == 0)
		r = virt_link_start(daemon->guests->virt);
	if (r < 0) {
		log_err("the sockets can't be served: %s", errno_text(r));
		daemon_stop(daemon, 1);
		return;
	}
	routes_started(daemon);
	list_for_each(it, &daemon->vms->all)
		agents_ready(list_entry(it, struct vm, link));
	log_info("ready: %u VMs", n);
	snprintf(state, sizeof(state), "READY=1\nSTATUS=Serving %u VMs", n);
	service_notify(state);
	code_pages_give_back();
}

/* All devices are listed that can be, and all VMs' processes have told what the last control has left. */
static void daemon_maybe_ready(struct daemon *daemon)
{
	if (!daemon->core->stopping && !daemon->core->ready &&
	    device_registry_settled(daemon->devices->registry) && vms_known(daemon) &&
	    vms_left_ended(daemon->vms_left))
		daemon_ready(daemon);
}

/**
 * daemon_vm_goes_on() - a VM's process has outlived the last control, and its connections live
 * @vm:		the VM
 */
void daemon_vm_goes_on(struct vm *vm)
{
	old_sessions_forget(vm);
}

/**
 * daemon_vm_known() - it is known what the last control has left in a VM's process
 * @vm:		the VM
 */
void daemon_vm_known(struct vm *vm)
{
	if (!vm->daemon->core->ready) {
		daemon_maybe_ready(vm->daemon);
		return;
	}
	routes_take_up(vm);
	routes_review(vm->daemon);
}

static void devices_settled(struct daemon *daemon)
{
	daemon_maybe_ready(daemon);
}

static const struct device_registry_ops daemon_registry_ops = {
	.prepare = route_prepare,
	.added = route_added,
	.changed = route_changed,
	.removed = route_removed,
	.hub_removed = port_off_hub_gone,
	.settled = devices_settled,
};

/* One daemon a runtime directory: a second one would take the first one's sockets away. */
static int take_lock(struct daemon *daemon)
{
	const char *folder = daemon->core->config->runtime_directory;
	char path[PATH_MAX];
	int r;

	daemon->lock = open(daemon_path(path, sizeof(path), folder, "lock"),
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
	int r = rights_take_folders(daemon->core->config, user);

	if (r == 0)
		r = device_registry_new(&daemon->devices->registry, daemon, &daemon_registry_ops);
	if (r < 0)
		return r;
	vms_find_group(daemon);
	r = rights_become(user, daemon->vms->socket_group, daemon->core->config_file);
	if (r == 0)
		r = take_lock(daemon);
	if (r == 0)
		r = vms_make_sockets(daemon);
	if (r == 0)
		r = control_socket_new(&daemon->control, daemon);
	if (r == 0)
		r = virt_link_new(&daemon->guests->virt, daemon);
	if (r == 0)
		r = routes_load(daemon);
	if (r < 0)
		return r;
	old_sessions_load(daemon);
	return rights_give_up(daemon->core->config, daemon->core->config_file);
}

static int daemon_begin(struct daemon *daemon)
{
	int r = device_registry_start(daemon->devices->registry);

	if (r == 0)
		r = vms_start(daemon);
	if (r < 0) {
		log_err("starting: %s", errno_text(r));
		return r;
	}
	daemon->vms_left = vms_left_end(daemon, daemon_maybe_ready);
	daemon_maybe_ready(daemon);
	return 0;
}

static void daemon_free(struct daemon *daemon)
{
	daemon->control = control_socket_free(daemon->control);
	daemon->guests->virt = virt_link_free(daemon->guests->virt);
	fd_close(daemon->lock);
	fd_close(daemon->signals);
	if (daemon->devices->registry)
		daemon->devices->registry = device_registry_free(daemon->devices->registry);
	old_sessions_free(daemon);
	daemon->vms_left = vms_left_free(daemon->vms_left);
	vms_free(daemon);
	broker_free(daemon->routing->broker);
	starter_free(daemon->vms->starter);
	ports_off_free(daemon);
	wish_books_deinit(daemon->books);
	bearers_deinit(&daemon->devices->names.bearers);
	claims_clear(&daemon->routing->claimed_before);
	twins_free(daemon);
	loop_free(daemon->core->loop);
	policy_free(daemon->core->policy);
	config_free(daemon->core->config);
}

static int daemon_loop(struct daemon *daemon)
{
	struct loop_watch watch = {0};
	int r = loop_watch_fd(daemon->core->loop, &watch, daemon->signals, POLLIN, LOOP_KEEP,
			      daemon_signal, daemon);

	if (r == 0)
		r = daemon_begin(daemon);
	if (r < 0)
		daemon_stop(daemon, 1);
	while (!daemon->done) {
		r = loop_turn(daemon->core->loop, true);
		if (r < 0) {
			log_err("the control thread's io_uring failed: %s", errno_text(r));
			return 1;
		}
	}
	loop_cancel(daemon->core->loop, &watch);
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
	struct core core = {.config = config,
			    .policy = policy,
			    .config_file = config_file,
			    .started_ns = loop_now()};
	struct wish_books books;
	struct devices devices = {.core = &core, .books = &books};
	struct vms vms = {.core = &core};
	struct routing routing = {.core = &core, .books = &books, .devices = &devices, .vms = &vms};
	struct commands commands = {.core = &core};
	struct guests guests = {.core = &core};
	struct daemon daemon = {.core = &core,
				.books = &books,
				.devices = &devices,
				.vms = &vms,
				.routing = &routing,
				.commands = &commands,
				.guests = &guests,
				.lock = -1,
				.signals = -1};
	_cleanup_close_ int line = broker_line, start_line = starter_line;
	sigset_t set;
	int r, status = 1;

	list_init(&daemon.devices->all);
	list_init(&daemon.vms->all);
	list_init(&daemon.vms->leaving);
	list_init(&daemon.commands->calls);
	list_init(&daemon.commands->port_jobs);
	list_init(&daemon.devices->off);
	list_init(&daemon.routing->claimed_before);
	list_init(&daemon.routing->old_sessions);
	wish_books_init(&books, &core);
	bearers_init(&daemon.devices->names.bearers);
	daemon.devices->names.wait_ns = NAME_WAIT_NS;

	/* Blocked before any thread is there, so that signals come by the descriptor alone. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	daemon.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);

	r = loop_new(&daemon.core->loop);
	if (r < 0) {
		explain_no_loop(r);
		policy_free(policy);
		config_free(config);
		return 1;
	}
	r = broker_new(&daemon.routing->broker, daemon.core->loop, line, daemon_broker_lost,
		       &daemon);
	if (r == 0) {
		line = -1;
		r = starter_new(&daemon.vms->starter, daemon.core->loop, start_line,
				daemon_starter_lost, &daemon);
	}
	if (r == 0) {
		start_line = -1;
		r = daemon_prepare(&daemon, user);
	}
	if (r == 0)
		status = daemon_loop(&daemon);
	/* A thread that is stuck still has all of this, and goes on where its call ends. */
	if (daemon.vms->n_ending)
		_exit(status);
	daemon_free(&daemon);
	return status;
}
