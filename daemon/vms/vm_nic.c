/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's cards on further networks; see network.h. What a VM's process says of them is hostile.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/stranger.h"
#include "daemon/core/state_file.h"
#include "daemon/vms/network.h"
#include "daemon/vms/vm_private.h"
#include "daemon/vms/vm_process.h"

static const uint8_t none[6];

/* ------------------------------------------------------------- one card */

static const char *file_name(const struct network *n, const struct vm *vm, char text[80])
{
	snprintf(text, 80, "%.31s.%.31s.sock", vm->name, n->name);
	return text;
}

/**
 * vm_nic_enter() - a VM has a card on a network: its socket, its place
 * @n:		the network
 * @vm:		the VM
 *
 * Return: 0, or a negative errno and it was logged; the VM goes on without.
 */
int vm_nic_enter(struct network *n, struct vm *vm)
{
	struct vm_nic *nic = &vm->nics[n->net];
	struct net_roster_entry entry = {.any = vm->any_mac};
	char file[80];
	int r = 0;

	if (nic->socket < 0)
		nic->socket = vm_listen(n->vms, file_name(n, vm, file));
	if (nic->socket < 0) {
		nic->missing = nic->socket;
		return nic->socket;
	}
	memcpy(entry.mac, nic->mac, sizeof(entry.mac));
	r = net_roster_enter(&n->roster, &entry, &nic->number);
	if (r < 0) {
		log_err("%s: its card can't be joined to the network %s: %s", vm->name, n->name,
			errno_text(r));
		nic->missing = r;
		return r;
	}
	nic->entered = true;
	nic->missing = 0;
	n->ports[nic->number] = vm;
	memcpy(nic->mac, net_roster_mac(&n->roster, nic->number), sizeof(nic->mac));
	return 0;
}

/**
 * vm_nic_stand() - a VM's process stands: it is told of its card on a network
 * @n:		the network
 * @vm:		the VM
 */
void vm_nic_stand(struct network *n, struct vm *vm)
{
	struct vm_nic *nic = &vm->nics[n->net];
	struct guest_net card = {.name = n->name, .any_mac = vm->any_mac};

	if (!nic->entered || !guest_knows_nets(vm->guest))
		return;
	memcpy(card.mac, nic->mac, sizeof(card.mac));
	guest_net(vm->guest, n->net, &card, nic->socket);
	nic->up = false;
	net_roster_started(&n->roster, nic->number);
}

static void nic_close(struct network *n, struct vm *vm)
{
	char path[PATH_MAX], file[80];
	struct vm_nic *nic = &vm->nics[n->net];

	if (nic->socket < 0)
		return;
	/* Another VM may have the name by now, or the process goes on with the socket. */
	if (!vm->leaving && !vm->left)
		unlink(state_file_path(path, sizeof(path), n->vms->core->config->runtime_directory,
				       file_name(n, vm, file)));
	nic->socket = stranger_listener_close(nic->socket);
}

/**
 * vm_nic_leave() - a VM has no card on a network any more
 * @n:		the network
 * @vm:		the VM
 */
void vm_nic_leave(struct network *n, struct vm *vm)
{
	struct vm_nic *nic = &vm->nics[n->net];

	nic_close(n, vm);
	if (nic->entered) {
		if (vm->guest && !vm->left)
			guest_net_gone(vm->guest, n->net);
		n->ports[nic->number] = NULL;
		net_roster_leave(&n->roster, nic->number);
	}
	*nic = (struct vm_nic){.socket = -1};
}

/**
 * vm_nic_has_mac() - a card's MAC has changed
 * @n:		its network, whose roster has it
 * @vm:		its VM
 */
void vm_nic_has_mac(struct network *n, struct vm *vm)
{
	struct vm_nic *nic = &vm->nics[n->net];

	memcpy(nic->mac, net_roster_mac(&n->roster, nic->number), sizeof(nic->mac));
	vm_cards_save_soon(vm->vms);
}

/**
 * vm_nic_is() - a VM's process tells how its card on a network is
 * @n:		the network
 * @vm:		the VM
 * @card:	as it is now
 */
void vm_nic_is(struct network *n, struct vm *vm, const struct guest_card *card)
{
	struct vm_nic *nic = &vm->nics[n->net];
	bool other = memcmp(nic->foreign, card->foreign, sizeof(nic->foreign)) != 0;
	char text[512];

	/* The last control may have ended before it had written down what it granted. */
	if (memcmp(card->mac, none, 6) && memcmp(card->mac, nic->mac, 6))
		net_roster_mac_wanted(&n->roster, nic->number, card->mac);
	memcpy(nic->foreign, card->foreign, sizeof(nic->foreign));
	/* A fault that comes and goes is logged once. */
	if (other && memcmp(nic->told_foreign, nic->foreign, 6) &&
	    vm_nic_warning(vm, n, text, sizeof(text))) {
		memcpy(nic->told_foreign, nic->foreign, 6);
		log_limited(&vm->card_limit, LOG_LEVEL_WARNING, "%s", text);
	}
	net_roster_up(&n->roster, nic->number, card->up);
	if (nic->up == card->up)
		return;
	nic->up = card->up;
	log_limited(&vm->limit, LOG_LEVEL_INFO, "%s: its card on the network %s is %s", vm->name,
		    n->name, card->up ? "up" : "down");
}

/**
 * vm_nic_warning() - what is wrong with a VM's card on a network
 * @vm:		the VM
 * @n:		the network
 * @text:	for a person, with what to do
 * @size:	room there
 *
 * Return: whether there is anything.
 */
bool vm_nic_warning(const struct vm *vm, const struct network *n, char *text, size_t size)
{
	const struct vm_nic *nic = &vm->nics[n->net];
	const uint8_t *m = nic->foreign;
	const char *owner = "";

	if (nic->missing) {
		snprintf(
			text, size,
			"%s: its card on the network %s can't be had: %s; usbroutectl reload tries it again",
			vm->name, n->name, errno_text(nic->missing));
		return true;
	}
	if (!nic->entered || !memcmp(m, none, 6))
		return false;
	for (unsigned i = 0; i < NET_PORTS; i++)
		if (n->ports[i] && n->ports[i] != vm && !n->ports[i]->uplink_of &&
		    !memcmp(net_roster_mac(&n->roster, i), m, 6))
			owner = n->ports[i]->name;
	snprintf(
		text, size,
		"%s: its guest sends from %02x:%02x:%02x:%02x:%02x:%02x on the network %s, which is %s%s: these frames go nowhere; give one of the two another address%s",
		vm->name, m[0], m[1], m[2], m[3], m[4], m[5], n->name,
		*owner ? "the card of " : "not its card's", owner,
		vm->any_mac ? "" : ", or say trust-mac = yes where this guest bridges");
	return true;
}

/* ------------------------------------------------------------- all of a VM */

/**
 * vm_nics_enter() - a VM begins: it has a card on each network
 * @vm:		the VM; where one can't be had, that was logged
 */
void vm_nics_enter(struct vm *vm)
{
	for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++)
		if (vm->vms->networks[i] && !vm->nics[i].entered)
			vm_nic_enter(vm->vms->networks[i], vm);
}

/**
 * vm_nics_leave() - a VM is freed
 * @vm:		the VM
 */
void vm_nics_leave(struct vm *vm)
{
	for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++)
		if (vm->vms->networks[i])
			vm_nic_leave(vm->vms->networks[i], vm);
}

/**
 * vm_nics_close() - let go of the sockets of a VM's cards
 * @vm:		the VM
 */
void vm_nics_close(struct vm *vm)
{
	for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++)
		if (vm->vms->networks[i])
			nic_close(vm->vms->networks[i], vm);
}

/**
 * vm_nics_stand() - a VM's process stands: it is told of all networks
 * @vm:		the VM
 */
void vm_nics_stand(struct vm *vm)
{
	bool any = false;

	for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++) {
		if (!vm->vms->networks[i])
			continue;
		any = true;
		vm_nic_stand(vm->vms->networks[i], vm);
	}
	if (any && !guest_knows_nets(vm->guest))
		log_warning(
			"%s: its process is of an older version, and has no cards on further networks until its virtual machine is started again",
			vm->name);
	guest_nets_told(vm->guest);
}

/**
 * vm_counts_stand() - a process stands: it is given where to write down what goes through its ports
 * @vm:		whose; numbers of the process before are forgotten
 */
void vm_counts_stand(struct vm *vm)
{
	int memory = -1, r;

	vm->counts = net_counts_close(vm->counts);
	r = net_counts_make(&vm->counts, &memory);
	if (r < 0)
		log_warning("%s: what goes through its cards is not counted: %s", vm->process_name,
			    errno_text(r));
	else
		guest_counts(vm->guest, memory);
}

/**
 * vm_nics_lost() - a VM's process has ended
 * @vm:		the VM; its cards' numbers and MACs stay its own
 */
void vm_nics_lost(struct vm *vm)
{
	for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++) {
		struct network *n = vm->vms->networks[i];

		vm->nics[i].up = false;
		memset(vm->nics[i].foreign, 0, sizeof(vm->nics[i].foreign));
		if (n && vm->nics[i].entered)
			net_roster_ended(&n->roster, vm->nics[i].number);
	}
}

/**
 * vm_nic_loaded() - which MAC a VM's card on a network had, as it was written down
 * @vms:	the VMs and their networks
 * @name:	"VM.NETWORK"
 * @mac:	the MAC
 *
 * Return: whether there is such a card.
 */
bool vm_nic_loaded(struct vms *vms, const char *name, const uint8_t mac[6])
{
	size_t n = strcspn(name, ".");
	struct network *network;
	char text[32];
	struct vm *vm;

	if (!name[n] || n >= sizeof(text))
		return false;
	memcpy(text, name, n);
	text[n] = 0;
	vm = vm_find(vms, text);
	network = network_find(vms, name + n + 1);
	if (!vm || !network)
		return false;
	memcpy(vm->nics[network->net].mac, mac, 6);
	return true;
}
