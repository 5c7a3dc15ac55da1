/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another configuration's VMs: which come, which leave, which stay and notice nothing.
 *
 * One that leaves is out of the list and unknown by name at once, and its devices go where they are
 * wanted then. Its process ends when it has no device any more. Until then it is in vms->leaving,
 * and a new VM of the same name or address waits for it. Control thread only.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "daemon/vms/lan.h"
#include "daemon/vms/network.h"
#include "daemon/vms/vm_private.h"

static bool vm_is_as_configured(const struct vm *vm, const struct config_vm *c)
{
	if (vm->has_fixed_address != c->has_address || vm->has_fixed_mac != c->has_mac)
		return false;
	if (vm->any_mac != c->trust_mac)
		return false;
	if (!vm->domain != !c->domain || (c->domain && strcmp(vm->domain, c->domain)))
		return false;
	if (c->has_address && vm->address.s_addr != c->address.s_addr)
		return false;
	return !c->has_mac || !memcmp(vm->fixed_mac, c->mac, sizeof(c->mac));
}

/**
 * vm_maybe_gone() - end the process of a VM that left the configuration, once it has no device
 * @vm:		the VM, or NULL
 */
void vm_maybe_gone(struct vm *vm)
{
	if (!vm || !vm->leaving || vm->ending || !vm->guest || vm->n_devices)
		return;
	vm->ending = true;
	guest_stop(vm->guest);
}

/**
 * vm_leave_list() - a VM that has left has no process any more
 * @vm:		the VM, closed; freed by vm_gone(), when all have heard of it
 */
void vm_leave_list(struct vm *vm)
{
	list_remove(&vm->link);
	list_append(&vm->vms->gone, &vm->link);
	vm_raise(vm, EVENT_VM_GONE);
}

/**
 * vm_gone() - all have heard that a VM has gone
 * @vm:		the VM, freed
 */
void vm_gone(struct vm *vm)
{
	struct vms *vms = vm->vms;

	vm_free(vm);
	/* One of the same name or address may have waited for it. */
	if (!vms->core->stopping)
		vms_start_waiting(vms);
}

/**
 * vm_why_left() - why a VM leaves
 * @vm:		the VM
 *
 * Return: for a person, behind the VM's name.
 */
const char *vm_why_left(const struct vm *vm)
{
	return vm->replaced ? "its section of the configuration has changed"
			    : "it is out of the configuration";
}

/* Its devices go where they are wanted now; the name of its socket is free at once. */
static void vm_leave(struct vm *vm)
{
	struct vms *vms = vm->vms;

	log_notice("%s: %s%s", vm->name, vm_why_left(vm),
		   vm->replaced ? ": it begins anew, and its devices come back to it" : "");
	list_remove(&vm->link);
	vm_silence(vm, vm_why_left(vm));
	vm_raise(vm, EVENT_VM_LEFT);
	vm->connected = false;
	vm_close(vm);
	if (!vm->guest) {
		vm_leave_list(vm);
		return;
	}
	vm->leaving = true;
	list_append(&vms->leaving, &vm->link);
}

static bool vm_must_wait(const struct vm *vm)
{
	list_for_each(it, &vm->vms->leaving) {
		const struct vm *old = list_entry(it, struct vm, link);

		if (!strcmp(old->name, vm->name) || old->address.s_addr == vm->address.s_addr ||
		    (old->has_fixed_mac && vm->has_fixed_mac &&
		     !memcmp(old->fixed_mac, vm->fixed_mac, sizeof(vm->fixed_mac))))
			return true;
	}
	return false;
}

/**
 * vms_start_waiting() - start the VMs that wait for one that has gone by now
 * @vms:	the VMs
 */
void vms_start_waiting(struct vms *vms)
{
	list_for_each(it, &vms->all) {
		struct vm *vm = list_entry(it, struct vm, link);

		if (vm->started || vm_must_wait(vm))
			continue;
		if (vm->socket < 0 && vm_make_socket(vm) < 0)
			continue;
		vm_start(vm);
	}
}

/* A VM of this name is there, or is leaving: the socket's path is free only when that has gone. */
static bool name_is_in_use(struct vms *vms, const char *name)
{
	list_for_each(it, &vms->leaving) {
		if (!strcmp(list_entry(it, struct vm, link)->name, name))
			return true;
	}
	return vm_find(vms, name);
}

/* Make the VM as it is to be: the one that is there, or a new one, in no list. */
static int prepare_one(struct vms *vms, const struct config_vm *c, struct vm **ret_vm)
{
	struct vm *vm = vm_find(vms, c->name);

	if (vm && vm_is_as_configured(vm, c)) {
		*ret_vm = vm;
		return 0;
	}
	return vm_new(ret_vm, vms, c);
}

static bool is_new(const struct vm *vm)
{
	return list_empty(&vm->link);
}

static int make_new_sockets(struct vms *vms, const struct vm_list *next)
{
	for (size_t i = 0; i < next->n; i++) {
		struct vm *vm = next->at[i];
		int r = 0;

		if (is_new(vm) && !name_is_in_use(vms, vm->name))
			r = vm_make_socket(vm);
		if (r < 0)
			return r;
	}
	return 0;
}

static void forget_new(const struct vm_list *next)
{
	for (size_t i = 0; i < next->n; i++) {
		struct vm *vm = next->at[i];

		if (!is_new(vm))
			continue;
		/* Else the path is another one's. */
		if (vm->socket >= 0)
			vm_close(vm);
		vm_free(vm);
	}
}

/**
 * vms_prepare() - make all that another configuration's VMs need, and change nothing yet
 * @vms:	the VMs, as the configuration in force has them
 * @config:	the other one
 * @ret_next:	its VMs, for vms_change(); those that stay as they are among them
 * @errors:	what can't be had
 *
 * Return: 0, or a negative errno and all is as it was.
 */
int vms_prepare(struct vms *vms, const struct config *config, struct vm_list *ret_next,
		struct config_errors *errors)
{
	struct vm_list next = {0};
	int r = 0;

	list_for_each(it, &config->vms) {
		r = prepare_one(vms, list_entry(it, struct config_vm, link), &next.at[next.n]);
		if (r < 0)
			break;
		next.n++;
	}
	if (r == 0)
		r = make_new_sockets(vms, &next);
	/* This comes last, because it goes to the disk. */
	if (r == 0)
		r = vm_addresses_assign(config, &next);
	if (r < 0) {
		forget_new(&next);
		config_errors_add(errors, "the VMs can't be changed: %s", errno_text(r));
		return r;
	}
	*ret_next = next;
	return 0;
}

static bool has_name(const struct vm_list *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (!strcmp(list->at[i]->name, name))
			return true;
	return false;
}

/**
 * vms_change() - bring the VMs to what the configuration says by now
 * @vms:	the VMs; the new configuration is in force
 * @next:	of vms_prepare(), for it
 *
 * Those that stay as they are notice nothing. One with another address, MAC, trust-mac or domain leaves and
 * comes again.
 */
void vms_change(struct vms *vms, const struct vm_list *next)
{
	struct list stay = LIST_INIT(stay);
	struct list *l;

	for (size_t i = 0; i < next->n; i++) {
		list_remove(&next->at[i]->link);
		list_append(&stay, &next->at[i]->link);
	}
	/* The VMs that are left are not in the new configuration, or otherwise. */
	while ((l = list_first(&vms->all))) {
		struct vm *vm = list_entry(l, struct vm, link);

		vm->replaced = has_name(next, vm->name);
		vm_leave(vm);
	}
	while ((l = list_pop(&stay)))
		list_append(&vms->all, l);
	vms_share_memory(vms);
	vms_net_talk(vms);
	networks_change(vms);
	lan_change(vms);
	vms_start_waiting(vms);
	list_for_each_safe(it, &vms->leaving)
		vm_maybe_gone(list_entry(it, struct vm, link));
}
