/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What has gone through the devices of all VMs: asked of their processes in rounds, one at a time.
 * A caller that asks during a round hears of its end. A process that does not answer in time holds
 * up nobody, and is asked again once it has.
 *
 * The processes count times while somebody looks: from the first round until nobody has asked for
 * UNTIMED_NS.
 */
#include <errno.h>

#include "daemon/vms/vm_private.h"
#include "daemon/vms/vm_process.h"

/* A process that has not answered by then counts with its last numbers. */
#define ROUND_NS 1000000000ull
#define UNTIMED_NS \
	(300 * 1000000000ull) /* longer than a collector of metrics waits between two looks */

static bool any_due(const struct vms *vms)
{
	list_for_each(it, &vms->all)
		if (list_entry(it, struct vm, link)->stats_due)
			return true;
	return false;
}

static void round_ends(struct vms *vms)
{
	struct list done = LIST_INIT(done);
	struct list *l;

	loop_cancel(vms->core->loop, &vms->stats.late);
	list_for_each(it, &vms->all)
		list_entry(it, struct vm, link)->stats_due = false;
	/* Who is told may ask again, and that is another round. */
	while ((l = list_pop(&vms->stats.waits)))
		list_append(&done, l);
	while ((l = list_pop(&done))) {
		struct vms_stats_wait *wait = list_entry(l, struct vms_stats_wait, link);

		wait->done(wait->ctx);
	}
}

static void round_is_late(void *ctx, int res _unused_)
{
	round_ends(ctx);
}

static void nobody_looks(void *ctx, int res _unused_)
{
	struct vms *vms = ctx;

	list_for_each(it, &vms->all) {
		struct vm *vm = list_entry(it, struct vm, link);

		if (vm->guest)
			guest_ask_stats(vm->guest, false);
	}
}

/**
 * vms_ask_stats() - have all processes tell what has gone through their devices
 * @vms:	the VMs
 * @wait:	done() is called on a later turn of the loop, when they have told or the time is over;
 *		list_remove() takes that back
 *
 * Return: 0 or a negative errno.
 */
int vms_ask_stats(struct vms *vms, struct vms_stats_wait *wait)
{
	struct loop *loop = vms->core->loop;
	int r = loop_watch_time(loop, &vms->stats.untimed, UNTIMED_NS, nobody_looks, vms);

	if (r == 0 && !loop_watching(&vms->stats.late)) {
		list_for_each(it, &vms->all) {
			struct vm *vm = list_entry(it, struct vm, link);

			vm->stats_due = vm->guest && guest_ask_stats(vm->guest, true);
		}
		r = loop_watch_time(loop, &vms->stats.late, any_due(vms) ? ROUND_NS : 0,
				    round_is_late, vms);
	}
	if (r < 0)
		return r;
	list_append(&vms->stats.waits, &wait->link);
	return 0;
}

/**
 * vm_stats_told() - a VM's process has told all, or can't any more
 * @vm:		the VM
 */
void vm_stats_told(struct vm *vm)
{
	struct vms *vms = vm->vms;

	if (!vm->stats_due)
		return;
	vm->stats_due = false;
	if (!any_due(vms))
		round_ends(vms);
}

/**
 * vms_stats_stop() - ask nobody any more
 * @vms:	the VMs; nobody waits
 */
void vms_stats_stop(struct vms *vms)
{
	loop_cancel(vms->core->loop, &vms->stats.late);
	loop_cancel(vms->core->loop, &vms->stats.untimed);
}
