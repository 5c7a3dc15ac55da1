/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another configuration's VMs: which come, which leave, which stay and notice nothing.
 *
 * One that leaves is out of the list and unknown by name at once, and its devices go where they are
 * wanted then; its thread ends when it has none any more. Until then it is in daemon->leaving, and
 * one of the same name or address that comes waits for it. Control thread only.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "daemon/route.h"
#include "daemon/vm_private.h"

static bool vm_is_as_configured(const struct vm *vm, const struct config_vm *c)
{
	if (vm->has_fixed_address != c->has_address || vm->has_fixed_mac != c->has_mac)
		return false;
	if (!vm->domain != !c->domain || (c->domain && strcmp(vm->domain, c->domain)))
		return false;
	if (c->has_address && vm->address.s_addr != c->address.s_addr)
		return false;
	return !c->has_mac || !memcmp(vm->fixed_mac, c->mac, sizeof(c->mac));
}

/**
 * vm_maybe_gone() - end the thread of a VM that left the configuration, once it has no device
 * @vm:		the VM, or NULL
 */
void vm_maybe_gone(struct vm *vm)
{
	if (!vm || !vm->leaving || vm->ending || !vm->guest)
		return;
	list_for_each(it, &vm->daemon->devices) {
		if (list_entry(it, struct device, link)->route.at == vm)
			return;
	}
	vm->ending = true;
	guest_stop(vm->guest);
}

/* Its devices go where they are wanted now; its socket's name is free at once. */
static void vm_leave(struct vm *vm)
{
	struct daemon *daemon = vm->daemon;

	log_notice("%s: out of the configuration", vm->name);
	list_remove(&vm->link);
	vm_silence(vm, "its VM is out of the configuration");
	route_calls_vm_left(vm);
	vm->connected = false;
	/* A port that the broker is making comes to nobody, and is closed there. */
	if (!vm->guest) {
		vm_close(vm);
		if (vm->started)
			daemon->vms_starting--;
		vm_free(vm);
		return;
	}
	vm_close(vm);
	vm->leaving = true;
	list_append(&daemon->leaving, &vm->link);
}

static bool vm_must_wait(const struct vm *vm)
{
	list_for_each(it, &vm->daemon->leaving) {
		const struct vm *old = list_entry(it, struct vm, link);

		if (!strcmp(old->name, vm->name) || old->address.s_addr == vm->address.s_addr)
			return true;
	}
	return false;
}

/**
 * vms_start_waiting() - start the VMs that wait for one that has gone by now
 * @daemon:	the daemon
 */
void vms_start_waiting(struct daemon *daemon)
{
	list_for_each(it, &daemon->vms) {
		struct vm *vm = list_entry(it, struct vm, link);

		if (vm->started || vm_must_wait(vm))
			continue;
		if (vm->socket < 0 && vm_make_socket(vm, daemon->socket_group) < 0)
			continue;
		vm_start(vm);
	}
}

static struct vm *take_as_configured(struct daemon *daemon, const struct config_vm *c)
{
	struct vm *vm = vm_find(daemon, c->name);

	if (!vm || !vm_is_as_configured(vm, c))
		return NULL;
	list_remove(&vm->link);
	return vm;
}

/**
 * vms_change() - bring the VMs to what the configuration says by now
 * @daemon:	the daemon, with its new configuration
 * @errors:	what could not be done of it
 *
 * Those that stay as they are notice nothing. One with another address, MAC or domain leaves and
 * comes again. Return: 0 or -ENOMEM.
 */
int vms_change(struct daemon *daemon, struct config_errors *errors)
{
	struct list next;
	struct list *l;
	int r = 0;

	list_init(&next);
	list_for_each(it, &daemon->config->vms) {
		const struct config_vm *c = list_entry(it, struct config_vm, link);
		struct vm *vm = take_as_configured(daemon, c);

		if (!vm)
			r = vm_new(&vm, daemon, c);
		if (r < 0)
			break;
		list_append(&next, &vm->link);
	}
	/* What is left has no place in the new one. */
	while (r == 0 && (l = list_first(&daemon->vms)))
		vm_leave(list_entry(l, struct vm, link));
	while ((l = list_pop(&next)))
		list_append(&daemon->vms, l);
	if (r == 0)
		r = vm_addresses_assign(daemon);
	if (r < 0) {
		config_errors_add(errors, "the VMs can't be changed: %s", errno_text(r));
		return r;
	}
	vms_start_waiting(daemon);
	list_for_each_safe(it, &daemon->leaving)
		vm_maybe_gone(list_entry(it, struct vm, link));
	return 0;
}
