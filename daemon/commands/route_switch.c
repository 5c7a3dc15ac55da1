/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The next VM: where `switch DEVICE next` and the hot key take devices.
 *
 * The ring has the VMs in the configuration's order that are connected and may have all of the
 * devices. The host is not in it: it has a word of its own.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/hotkey.h"
#include "daemon/commands/subjects.h"

/*
 * For lines about switches that change nothing: a keyboard may lie, and strike a thousand times a
 * second.
 */
static struct log_limit limit;

/* The VM that devices are at, or else on their way to: the first one's that has any. */
static struct vm *ring_begin(struct commands *commands, const struct route_subject *subjects,
			     size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct vm *vm = NULL;

		if (subjects[i].device)
			vm = vm_find(commands->vms, route_wanted(subjects[i].device).target);
		if (vm)
			return vm;
	}
	return NULL;
}

static bool ring_has(struct commands *commands, const struct vm *vm,
		     const struct route_subject *subjects, size_t n)
{
	if (!vm->connected)
		return false;
	for (size_t i = 0; i < n; i++) {
		const struct route_subject *s = &subjects[i];

		if (s->device
			    ? !route_permits(s->device, vm->name, NULL, 0)
			    : !route_permits_absent(commands->routing, s->alias, vm->name, NULL, 0))
			return false;
	}
	return true;
}

/**
 * route_next_vm() - the VM that comes after the one that devices are in
 * @commands:	the commands
 * @subjects:	the devices
 * @n:		how many
 * @backwards:	the one before instead
 *
 * Return: the VM, which may be the one that they are in; NULL where no VM that is connected may
 * have them all. From the host it is the ring's first, or last.
 */
struct vm *route_next_vm(struct commands *commands, const struct route_subject *subjects, size_t n,
			 bool backwards)
{
	struct vm *begin = ring_begin(commands, subjects, n);
	struct list *it = begin ? &begin->link : &commands->vms->all;

	do {
		it = backwards ? it->prev : it->next;
		if (it == &commands->vms->all)
			it = backwards ? it->prev : it->next;
		if (it == &commands->vms->all)
			return NULL; /* there are none */
		if (ring_has(commands, list_entry(it, struct vm, link), subjects, n))
			return list_entry(it, struct vm, link);
		/* Go round once: from a VM back to it, from the host to the other end. */
	} while (begin ? it != &begin->link
		       : it != (backwards ? commands->vms->all.next : commands->vms->all.prev));
	return NULL;
}

static void switched(void *ctx, const struct route_result *result)
{
	if (result->outcome == ROUTE_DONE)
		return;
	log_limited(&limit, LOG_LEVEL_WARNING, "the hot key's switch did not come off: %s",
		    result->text);
	hotkey_refused(ctx, result, NULL);
}

/**
 * route_switch_next() - take a device, and what is in a group with it, to the next VM
 * @commands:	the commands
 * @device:	the device
 * @who:	who says so, for the log
 */
void route_switch_next(struct commands *commands, struct device *device, const char *who)
{
	static const char nowhere[] = "no VM is connected that may have it next";
	struct route_subject subjects[ROUTE_SUBJECTS_MAX] = {subject_of(device)};
	struct route_ask ask = {.verb = ROUTE_ATTACH, .subjects = subjects, .n_subjects = 1};
	char group[32];

	if (subjects_group_of(device, group))
		subjects_of_group(commands, group, subjects, &ask.n_subjects);
	ask.vm = route_next_vm(commands, subjects, ask.n_subjects, false);
	if (!ask.vm) {
		log_limited(&limit, LOG_LEVEL_NOTICE, "%s: %s", device->tag, nowhere);
		commands->ops->refused(commands->ops_ctx, device, NULL, nowhere);
		return;
	}
	/* The person who asks has the device in hand. */
	ask.force = true;
	snprintf(ask.who, sizeof(ask.who), "%s", who);
	route_command(commands, &ask, switched, commands, NULL);
}
