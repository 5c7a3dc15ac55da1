/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another process for a VM, because somebody wants one: the one it has is of an older version after
 * an upgrade, or behaves strangely. It is ended as if it had died by itself (vm_process.c), which
 * costs its guest one reconnection of its card, and its devices come back. Who wants it waits until
 * the next one stands. Control thread only.
 */
#include <errno.h>

#include "daemon/vms/vm_private.h"
#include "daemon/vms/vm_process.h"

/* The old one is killed and waited for, the next one is started; after failures that comes later. */
#define LATE_NS (30 * 1000000000ull)

static void end(struct vm_anew *anew, int r)
{
	vm_anew_forget(anew);
	anew->done(anew->ctx, r);
}

static void is_late(void *ctx, int res _unused_)
{
	end(ctx, -ETIMEDOUT);
}

/**
 * vm_anew() - have a VM's process end, and wait for the next one
 * @vm:		the VM
 * @anew:	with done() and its context: called once, unless vm_anew_forget() comes before; with 0
 *		when the next one stands, -ETIMEDOUT when it does not, -ESHUTDOWN when the VM has left
 *
 * Return: 0, or a negative errno and done() is never called.
 */
int vm_anew(struct vm *vm, struct vm_anew *anew)
{
	int r;

	anew->late = (struct loop_watch){0};
	anew->loop = vm->vms->core->loop;
	r = loop_watch_time(anew->loop, &anew->late, LATE_NS, is_late, anew);
	if (r < 0)
		return r;
	list_append(&vm->anews, &anew->link);
	/* Where it has none, the next one is on its way already. */
	if (vm->guest)
		guest_disconnect(vm->guest, "another one is wanted in its place");
	return 0;
}

/**
 * vm_anew_forget() - wait for it no more
 * @anew:	that waits
 */
void vm_anew_forget(struct vm_anew *anew)
{
	loop_cancel(anew->loop, &anew->late);
	list_remove(&anew->link);
}

/**
 * vm_anew_end() - tell all who wait for a VM's next process
 * @vm:		the VM
 * @r:		0: it stands; -ESHUTDOWN: it won't
 */
void vm_anew_end(struct vm *vm, int r)
{
	list_for_each_safe(it, &vm->anews)
		end(list_entry(it, struct vm_anew, link), r);
}
