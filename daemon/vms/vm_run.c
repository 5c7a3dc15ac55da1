/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's process: started, and started again where it has ended. Control thread only.
 *
 *   one of the last control's is there: greeted -> stands -> lost -> asked for -> greeted -> stands -> lost …
 *
 * Each is known by its pidfd. The starter hands it out with a process that it has started; for a
 * process of the last control the kernel tells it, because a process listens at its door itself.
 *
 * If a process stood for a while, the next one follows at once. If it ends again and again, the
 * next one comes later and later: after 1, 2, 4 … 64 s. vm_process.c has what happens to its
 * guest's card and devices.
 */
#include <errno.h>
#include <limits.h>

#include "base/fd.h"
#include "base/log.h"
#include "daemon/vms/lan.h"
#include "daemon/vms/vm_door.h"
#include "daemon/vms/vm_private.h"
#include "daemon/vms/vm_process.h"

#define NS_PER_SECOND	1000000000ull
#define STOOD_SECONDS	10
#define AGAIN_MAX_SHIFT 6
/* A process that does not answer is replaced. */
#define ANSWER_SECONDS 10

static void vm_ask_starter(struct vm *vm);
static void vm_open_door(struct vm *vm);

static void run_raise(struct vm *vm, enum event event)
{
	if (vm->run->raises)
		vm_raise(vm, event);
}

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
		log_info("%s: trying again in %u s", vm->process_name, seconds);
	loop_watch_time(vm->vms->core->loop, &vm->process.timer, seconds * NS_PER_SECOND, vm_again,
			vm);
}

/* What the last control's process has is known, or that there is none: the start waits for no more. */
static void vm_is_known(struct vm *vm)
{
	if (!vm->process.old)
		return;
	vm->process.old = false;
	run_raise(vm, EVENT_VM_KNOWN);
}

static void vm_goes_on(void *ctx)
{
	struct vm *vm = ctx;

	vm_open_door(vm);
	run_raise(vm, EVENT_VM_GOES_ON);
}

static void vm_strange(void *ctx)
{
	struct vm *vm = ctx;

	loop_cancel(vm->vms->core->loop, &vm->process.timer);
	vm->process.strange = true;
	/* Its connections live as long as it does; the next process tells its guest of them. */
	vm_is_known(vm);
}

/**
 * vm_stranger_ended() - a VM's process has ended; was it a stranger, what it had is free by now
 * @vm:		the VM
 */
void vm_stranger_ended(struct vm *vm)
{
	if (!vm->process.strange)
		return;
	vm->process.strange = false;
	run_raise(vm, EVENT_VM_KNOWN);
}

static void vm_lost(void *ctx, const char *why)
{
	struct vm *vm = ctx;

	vm_stats_told(vm);
	loop_cancel(vm->vms->core->loop, &vm->process.timer);
	if ((vm->process.old || vm->process.strange) && !vm->process.stood_ns) {
		vm_stranger_ended(vm);
		vm_ask_starter(vm);
		vm_is_known(vm);
		return;
	}
	if (vm->process.stood_ns)
		vm->run->lost(vm);
	else
		log_err("%s: its process can't be started: %s", vm->process_name, why);
	if (!vm->ending && !vm->vms->core->stopping)
		vm_later(vm);
}

static void vm_stands(void *ctx)
{
	struct vm *vm = ctx;

	loop_cancel(vm->vms->core->loop, &vm->process.timer);
	vm->process.stood_ns = loop_now();
	vm->run->stands(vm);
	vm_is_known(vm);
	run_raise(vm, EVENT_VM_STANDS);
	vm_anew_end(vm, 0);
}

/* It is another user's: that is the starter's to do. */
static void vm_kill(void *ctx, int process)
{
	struct vm *vm = ctx;
	int r;

	loop_cancel(vm->vms->core->loop, &vm->process.timer);
	r = starter_kill(vm->vms->starter, vm->process_name, process);

	if (r < 0)
		log_err("%s: asking to have its process killed: %s", vm->process_name,
			errno_text(r));
}

static void vm_stats(void *ctx)
{
	vm_stats_told(ctx);
}

static const struct guest_process_events process_events = {.lost = vm_lost,
							   .kill = vm_kill,
							   .stands = vm_stands,
							   .goes_on = vm_goes_on,
							   .strange = vm_strange,
							   .nets = &network_events,
							   .stats = vm_stats};

static void vm_silent(void *ctx, int res _unused_)
{
	struct vm *vm = ctx;

	log_err("%s: its process does not answer", vm->process_name);
	guest_disconnect(vm->guest, "it does not answer");
}

/* The line is there: a process is at its other end. */
static void vm_line_is(struct vm *vm, int line, int process)
{
	loop_watch_time(vm->vms->core->loop, &vm->process.timer, ANSWER_SECONDS * NS_PER_SECOND,
			vm_silent, vm);
	guest_connect(vm->guest, line, process, &process_events);
}

static void vm_started(struct starter_request *req, int r, int line, int process, const char *text)
{
	struct vm *vm = container_of(req, struct vm, process.req);

	if (r < 0) {
		log_err("%s: its process can't be started: %s: %s", vm->process_name, text,
			errno_text(r));
		vm_later(vm);
		return;
	}
	if (vm->ending || vm->vms->core->stopping) {
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

	if (vm->ending || vm->vms->core->stopping)
		return;
	vm_open_door(vm);
	r = starter_run(vm->vms->starter, &vm->process.req, vm->process_name, vm_started);
	if (r < 0) {
		log_err("%s: asking for its process: %s", vm->process_name, errno_text(r));
		vm_later(vm);
	}
}

/* ------------------------------------------------------------- where the next control finds it */

/* The process has the new door, or there is none at the old one. */
static void vm_open_door(struct vm *vm)
{
	int r = 0;

	if (vm->process.aside)
		r = vm_door_open(vm->vms->core->config->runtime_directory, vm->process_name);
	vm->process.aside = false;
	if (r < 0)
		log_err("%s: its process would not be found by the next usbrouted: %s",
			vm->process_name, errno_text(r));
}

/**
 * vm_run() - have a VM's process started, and again whenever it has ended
 * @vm:		the VM, with its guest
 *
 * Return: 0, or a negative errno and it was logged.
 */
int vm_run(struct vm *vm)
{
	const char *folder = vm->vms->core->config->runtime_directory;
	int old = vm_door_connect(folder, vm->process_name),
	    next = vm_door_make(folder, vm->process_name);

	if (next < 0) {
		fd_close(old);
		log_err("%s: making a socket for the next usbrouted in %s: %s", vm->process_name,
			folder, errno_text(next));
		return next;
	}
	guest_set_next(vm->guest, next);
	vm->process.aside = true;
	vm->process.old = old >= 0;
	if (old >= 0) {
		log_info("%s: its process of the last run goes on", vm->process_name);
		vm_line_is(vm, old, vm_door_process(old));
	} else {
		vm_ask_starter(vm);
	}
	return 0;
}

/**
 * vm_run_end() - have nothing started any more
 * @vm:		the VM, which leaves or ends; its process may go on, and its door stays
 */
void vm_run_end(struct vm *vm)
{
	starter_forget(&vm->process.req);
	loop_cancel(vm->vms->core->loop, &vm->process.timer);
}

/**
 * vm_run_ended() - a VM's process has ended for good
 * @vm:		the VM, without a guest
 */
void vm_run_ended(struct vm *vm)
{
	vm_door_forget(vm->vms->core->config->runtime_directory, vm->process_name);
}

/**
 * vms_known() - whether it is known of all VMs what the last control has left in their processes
 * @vms:	the VMs
 */
bool vms_known(const struct vms *vms)
{
	list_for_each(it, &vms->all)
		if (list_entry(it, struct vm, link)->process.old)
			return false;
	return lan_known(vms);
}
