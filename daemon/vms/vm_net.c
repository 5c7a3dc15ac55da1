/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The private segment as control sees it: which VM's card has which number and MAC, and links
 * between guests (vhost_user_net/net_roster.h has the rules). No frame comes this way. Control
 * thread only.
 *
 * A VM is entered when its process is made, and leaves when it is freed: until then nobody else
 * gets its MAC. What processes ask for is hostile.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "daemon/vms/vm_private.h"

/* NULL: its process has ended, and control ends, too. */
static struct guest *guest_at(struct vms *vms, unsigned number)
{
	return vms->ports[number] ? vms->ports[number]->guest : NULL;
}

static void vm_net_peer(void *ctx, unsigned to, const struct net_peer *peer)
{
	struct guest *guest = guest_at(ctx, to);

	if (guest)
		guest_peer_set(guest, peer);
}

static void vm_net_gone(void *ctx, unsigned to, unsigned number)
{
	struct guest *guest = guest_at(ctx, to);

	if (guest)
		guest_peer_gone(guest, number);
}

static void vm_net_mac(void *ctx, unsigned to, const uint8_t mac[6], bool granted)
{
	struct vms *vms = ctx;
	struct vm *vm = vms->ports[to];

	vm_card_has_mac(vm, net_roster_mac(&vms->roster, to));
	if (vm->guest)
		guest_mac_granted(vm->guest, mac, granted);
}

/* Each side has descriptors of its own, which it closes. */
static int vm_net_link(void *ctx, unsigned low, unsigned high)
{
	struct vms *vms = ctx;
	struct net_link_end ends[2];
	int r = net_link_make_ends(ends);

	if (r < 0) {
		log_err("%s and %s: no link between them: %s; the two guests do not reach each other",
			vms->ports[low]->name, vms->ports[high]->name, errno_text(r));
		return r;
	}
	guest_link(guest_at(vms, low), high, 0, ends[0].memory, ends[0].mine, ends[0].theirs);
	guest_link(guest_at(vms, high), low, 1, ends[1].memory, ends[1].mine, ends[1].theirs);
	return 0;
}

static const struct net_roster_ops vm_net_ops = {
	.peer = vm_net_peer,
	.gone = vm_net_gone,
	.mac = vm_net_mac,
	.link = vm_net_link,
};

/**
 * vm_net_init() - a segment without cards
 * @vms:	the VMs
 */
void vm_net_init(struct vms *vms)
{
	net_roster_init(&vms->roster, &vm_net_ops, vms);
}

static void talk(struct vm *vm)
{
	struct vms *vms = vm->vms;

	for (unsigned i = 0; i < NET_PORTS; i++) {
		const struct vm *other = vms->ports[i];

		if (other && other != vm)
			net_roster_talk(
				&vms->roster, vm->number, i,
				!vm->leaving && !other->leaving &&
					config_may_talk(vms->core->config, vm->name, other->name));
	}
}

/**
 * vms_net_talk() - have those pairs of guests reach each other that the configuration names
 * @vms:	the VMs, with the configuration that holds
 */
void vms_net_talk(struct vms *vms)
{
	for (unsigned i = 0; i < NET_PORTS; i++)
		if (vms->ports[i])
			talk(vms->ports[i]);
}

/**
 * vm_net_enter() - give a VM's card a number; nobody else gets its MAC from here on
 * @vm:		the VM, with its address, and the MAC that its guest had before
 *
 * Return: 0, or a negative errno and it was logged.
 */
int vm_net_enter(struct vm *vm)
{
	struct vms *vms = vm->vms;
	struct net_roster_entry entry = {
		.address = vm->address,
		.fixed = vm->has_fixed_mac,
		.isolate = vms->core->config->isolate,
	};
	int r;

	if (vm->has_fixed_mac)
		memcpy(entry.mac, vm->fixed_mac, sizeof(entry.mac));
	else if (vm->has_mac)
		memcpy(entry.mac, vm->mac, sizeof(entry.mac));
	r = net_roster_enter(&vms->roster, &entry, &vm->number);
	if (r < 0) {
		log_err("%s: its card can't be joined to the others: %s", vm->name, errno_text(r));
		return r;
	}
	vm->entered = true;
	vms->ports[vm->number] = vm;
	if (!vm->has_fixed_mac)
		vm_card_has_mac(vm, net_roster_mac(&vms->roster, vm->number));
	talk(vm);
	return 0;
}

/**
 * vm_net_leave() - forget a VM's card
 * @vm:		the VM, whose process has ended, if it had one
 */
void vm_net_leave(struct vm *vm)
{
	struct vms *vms = vm->vms;

	if (!vm->entered)
		return;
	vm->entered = false;
	vms->ports[vm->number] = NULL;
	net_roster_leave(&vms->roster, vm->number);
}

/**
 * vm_net_started() - a VM's process can be told of the others
 * @vm:		the VM. A process that has served before may have told of its card already
 */
void vm_net_started(struct vm *vm)
{
	static const uint8_t none[6];
	struct net_roster *roster = &vm->vms->roster;

	net_roster_started(roster, vm->number);
	/* The last control may have ended before it had written down what it granted. */
	if (memcmp(vm->card_mac, none, 6) &&
	    memcmp(vm->card_mac, net_roster_mac(roster, vm->number), 6))
		net_roster_mac_wanted(roster, vm->number, vm->card_mac);
	net_roster_up(roster, vm->number, vm->connected);
}

/**
 * vm_net_ended() - a VM's process has ended; its number and MAC stay its own
 * @vm:		the VM
 */
void vm_net_ended(struct vm *vm)
{
	net_roster_ended(&vm->vms->roster, vm->number);
}

/**
 * vm_net_up() - a VM's card went up or down
 * @vm:		the VM
 * @up:		it went up
 */
void vm_net_up(struct vm *vm, bool up)
{
	net_roster_up(&vm->vms->roster, vm->number, up);
}

/**
 * vm_net_mac_wanted() - a VM's guest sends from a MAC that is not its own
 * @ctx:	the VM
 * @mac:	the MAC
 */
void vm_net_mac_wanted(void *ctx, const uint8_t mac[6])
{
	struct vm *vm = ctx;

	net_roster_mac_wanted(&vm->vms->roster, vm->number, mac);
}

/**
 * vm_net_link_wanted() - a VM's card wants a link to another
 * @ctx:	the VM
 * @number:	the other's, unchecked
 */
void vm_net_link_wanted(void *ctx, unsigned number)
{
	struct vm *vm = ctx;

	net_roster_link_wanted(&vm->vms->roster, vm->number, number);
}
