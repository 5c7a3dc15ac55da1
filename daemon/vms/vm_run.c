/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's process: started, and started again where it has ended. Control thread only.
 *
 *   one of the last control's is there: greeted -> stands -> lost -> asked for -> greeted -> stands -> lost …
 *
 * Each is known by its pidfd: of one that was asked for the starter says it, of the last control's the
 * kernel, as it listens at its socket itself.
 *
 * One that stood for a while is followed by the next at once; one that ends again and again, later and
 * later: after 1, 2, 4 … 64 s. What its guest's card and devices go through is vm_process.c's.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "daemon/vms/vm_private.h"
#include "daemon/vms/vm_process.h"

#define NS_PER_SECOND	1000000000ull
#define STOOD_SECONDS	10
#define AGAIN_MAX_SHIFT 6
/* A process that does not answer is replaced. */
#define ANSWER_SECONDS 10

static void vm_ask_starter(struct vm *vm);

static void vm_again(void *ctx, int res _unused_)
{
	vm_ask_starter(ctx);
}

static void vm_later(struct vm *vm)
{
	unsigned seconds = 0;

	if (vm->process.stood_ns &&
	    loop_now() - vm->process.stood_ns > STOOD_SECONDS * NS_PER_SECOND)
		vm->process.failures = 0;
	if (vm->process.failures)
		seconds = 1u << min_t(unsigned, vm->process.failures - 1, AGAIN_MAX_SHIFT);
	vm->process.failures++;
	vm->process.stood_ns = 0;
	if (seconds)
		log_info("%s: trying again in %u s", vm->name, seconds);
	loop_watch_time(vm->daemon->core->loop, &vm->process.timer, seconds * NS_PER_SECOND,
			vm_again, vm);
}

/* What the last control's process has is known, or that there is none: the start waits for no more. */
static void vm_is_known(struct vm *vm)
{
	if (!vm->process.old)
		return;
	vm->process.old = false;
	daemon_vm_known(vm);
}

static void vm_goes_on(void *ctx)
{
	daemon_vm_goes_on(ctx);
}

static void vm_strange(void *ctx)
{
	struct vm *vm = ctx;

	loop_cancel(vm->daemon->core->loop, &vm->process.timer);
	vm->process.strange = true;
	daemon_vm_goes_on(vm);
	vm_is_known(vm);
}

static void vm_lost(void *ctx, const char *why)
{
	struct vm *vm = ctx;

	loop_cancel(vm->daemon->core->loop, &vm->process.timer);
	if ((vm->process.old || vm->process.strange) && !vm->process.stood_ns) {
		vm->process.strange = false;
		vm_ask_starter(vm);
		vm_is_known(vm);
		return;
	}
	if (vm->process.stood_ns)
		vm_net_ended(vm);
	else
		log_err("%s: its process can't be started: %s", vm->name, why);
	if (!vm->ending && !vm->daemon->core->stopping)
		vm_later(vm);
}

static void vm_stands(void *ctx)
{
	struct vm *vm = ctx;

	loop_cancel(vm->daemon->core->loop, &vm->process.timer);
	vm->process.stood_ns = loop_now();
	vm_net_started(vm);
	vm_is_known(vm);
	/* A list of what the daemon knows not yet would be a short one. */
	if (vm->daemon->core->ready)
		agents_ready(vm);
}

/* It is another user's: that is the starter's to do. */
static void vm_kill(void *ctx, int process)
{
	struct vm *vm = ctx;
	int r;

	loop_cancel(vm->daemon->core->loop, &vm->process.timer);
	r = starter_kill(vm->daemon->vms->starter, vm->name, process);

	if (r < 0)
		log_err("%s: asking to have its process killed: %s", vm->name, errno_text(r));
}

static const struct guest_process_events process_events = {.lost = vm_lost,
							   .kill = vm_kill,
							   .stands = vm_stands,
							   .goes_on = vm_goes_on,
							   .strange = vm_strange};

static void vm_silent(void *ctx, int res _unused_)
{
	struct vm *vm = ctx;

	log_err("%s: its process does not answer", vm->name);
	guest_disconnect(vm->guest, "it does not answer");
}

/* The line is there: a process is at its other end. */
static void vm_line_is(struct vm *vm, int line, int process)
{
	loop_watch_time(vm->daemon->core->loop, &vm->process.timer, ANSWER_SECONDS * NS_PER_SECOND,
			vm_silent, vm);
	guest_connect(vm->guest, line, process, &process_events);
}

static void vm_started(struct starter_request *req, int r, int line, int process, const char *text)
{
	struct vm *vm = container_of(req, struct vm, process.req);

	if (r < 0) {
		log_err("%s: its process can't be started: %s: %s", vm->name, text, errno_text(r));
		vm_later(vm);
		return;
	}
	if (vm->ending || vm->daemon->core->stopping) {
		/* It has nothing yet, and ends with its line. */
		fd_close(line);
		fd_close(process);
	} else {
		vm_line_is(vm, line, process);
	}
}

static void vm_ask_starter(struct vm *vm)
{
	int r = -ESHUTDOWN;

	if (vm->ending || vm->daemon->core->stopping)
		return;
	r = starter_run(vm->daemon->vms->starter, &vm->process.req, vm->name, vm_started);
	if (r < 0) {
		log_err("%s: asking for its process: %s", vm->name, errno_text(r));
		vm_later(vm);
	}
}

/* ------------------------------------------------------------- where the next control finds it */

static int line_address(const struct vm *vm, struct sockaddr_un *address)
{
	const char *folder = vm->daemon->core->config->runtime_directory;

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	return snprintf(address->sun_path, sizeof(address->sun_path), "%s/%s.line", folder,
			vm->name) < (int)sizeof(address->sun_path)
		       ? 0
		       : -ENAMETOOLONG;
}

/* Who listens at the other end, as the kernel has noted it then. Return: a pidfd, or -1. */
static int find_process(int line)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(line, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 || who.pid <= 0)
		return -1;
	return (int)syscall(SYS_pidfd_open, who.pid, 0);
}

/* Return: a line to a process that the last control has left behind, or -1. */
static int find_old(const struct sockaddr_un *address)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		return -1;
	return take_fd(&fd);
}

/* Return: a listener, or a negative errno. */
static int make_next(const struct sockaddr_un *address)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return -errno;
	unlink(address->sun_path);
	/* A socket's file is made with the mode that the socket has. */
	r = fchmod(fd, 0600) < 0 ||
			    bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ||
			    listen(fd, 4) < 0
		    ? -errno
		    : 0;
	return r < 0 ? r : take_fd(&fd);
}

/**
 * vm_run() - have a VM's process started, and again whenever it has ended
 * @vm:		the VM, with its guest
 *
 * Return: 0, or a negative errno and it was logged.
 */
int vm_run(struct vm *vm)
{
	struct sockaddr_un address;
	int old = -1, next = -1, r = line_address(vm, &address);

	if (r == 0) {
		old = find_old(&address);
		next = make_next(&address);
		r = next < 0 ? next : 0;
	}
	if (r < 0) {
		fd_close(old);
		log_err("%s: making %s: %s", vm->name, address.sun_path, errno_text(r));
		return r;
	}
	guest_set_next(vm->guest, next);
	vm->process.old = old >= 0;
	if (old >= 0) {
		log_info("%s: its process of the last run goes on", vm->name);
		vm_line_is(vm, old, find_process(old));
	} else {
		vm_ask_starter(vm);
	}
	return 0;
}

/**
 * vm_run_end() - have nothing started any more
 * @vm:		the VM, which leaves or ends
 */
void vm_run_end(struct vm *vm)
{
	struct sockaddr_un address;

	starter_forget(&vm->process.req);
	loop_cancel(vm->daemon->core->loop, &vm->process.timer);
	/* The name may be another one's by now, or the next control needs it. */
	if (!vm->leaving && !vm->left && line_address(vm, &address) == 0)
		unlink(address.sun_path);
}

/**
 * vms_known() - whether it is known of all VMs what the last control has left in their processes
 * @daemon:	the daemon
 */
bool vms_known(const struct daemon *daemon)
{
	list_for_each(it, &daemon->vms->all)
		if (list_entry(it, struct vm, link)->process.old)
			return false;
	return true;
}
