/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is known of a VM's card: the address (MAC) that its guest took, if the configuration gives
 * none, kept in the state directory, so that it stays the VM's over a restart; and what is wrong
 * with the guest's network that its user should know. Control thread only.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "protocol/agent_wire.h"
#include "base/log.h"
#include "daemon/core/state_file.h"
#include "daemon/vms/network.h"
#include "daemon/vms/vm_private.h"

/* A guest may take one address after the other: they are written down together. */
#define SAVE_NS (5ull * 1000000000)

static const uint8_t none[6], own_card[6] = AGENT_DAEMON_MAC;

static const char *mac_text(const uint8_t mac[6], char text[18])
{
	snprintf(text, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		 mac[5]);
	return text;
}

static const uint8_t *vm_mac(const struct vm *vm)
{
	if (vm->has_fixed_mac)
		return vm->fixed_mac;
	return vm->has_mac ? vm->mac : none;
}

/* Find the other VM that has a MAC. */
static const struct vm *other_with_mac(const struct vm *but, const uint8_t mac[6])
{
	list_for_each(it, &but->vms->all) {
		const struct vm *vm = list_entry(it, struct vm, link);

		if (vm != but && !memcmp(vm_mac(vm), mac, 6))
			return vm;
	}
	return NULL;
}

/* ------------------------------------------------------------- over a restart */

static void cards_path(const struct vms *vms, char path[PATH_MAX])
{
	state_file_path(path, PATH_MAX, vms->core->config->state_directory, "cards");
}

/**
 * vm_cards_load() - read which addresses the guests had taken
 * @vms:	the VMs. A line that says nothing is passed over
 */
void vm_cards_load(struct vms *vms)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX], *save = NULL;
	size_t len;

	cards_path(vms, path);
	if (state_file_read(path, &text, &len) < 0)
		return;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		uint8_t m[6];
		char name[72];
		struct vm *vm;

		if (sscanf(line, "%71s %2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", name, m, m + 1, m + 2,
			   m + 3, m + 4, m + 5) != 7 ||
		    (m[0] & 1) || !memcmp(m, none, 6))
			continue;
		if (vm_nic_loaded(vms, name, m))
			continue;
		vm = vm_find(vms, name);
		if (!vm || vm->has_fixed_mac || vm->has_mac || other_with_mac(vm, m))
			continue;
		memcpy(vm->mac, m, 6);
		vm->has_mac = true;
	}
}

static void cards_print(FILE *f, const void *ctx)
{
	const struct vms *vms = ctx;
	char mac[18];

	list_for_each(it, &vms->all) {
		const struct vm *vm = list_entry(it, struct vm, link);

		if (!vm->has_fixed_mac && vm->has_mac)
			fprintf(f, "%s %s\n", vm->name, mac_text(vm->mac, mac));
		for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++)
			if (vms->networks[i] && memcmp(vm->nics[i].mac, none, 6))
				fprintf(f, "%s.%s %s\n", vm->name, vms->networks[i]->name,
					mac_text(vm->nics[i].mac, mac));
	}
}

static void cards_save(void *ctx, int res _unused_)
{
	struct vms *vms = ctx;
	char path[PATH_MAX];
	int r;

	loop_cancel(vms->core->loop, &vms->cards_save);
	cards_path(vms, path);
	r = state_file_print(path, cards_print, vms);
	if (r < 0)
		log_err("%s: %s; after a restart any guest may take these addresses", path,
			errno_text(r));
}

/**
 * vm_cards_stop() - the daemon ends: write down what was not yet
 * @vms:	the VMs
 */
void vm_cards_stop(struct vms *vms)
{
	if (loop_watching(&vms->cards_save))
		cards_save(vms, 0);
}

/**
 * vm_cards_save_soon() - what is known of cards has changed
 * @vms:	the VMs
 */
void vm_cards_save_soon(struct vms *vms)
{
	if (!loop_watching(&vms->cards_save))
		loop_watch_time(vms->core->loop, &vms->cards_save, SAVE_NS, cards_save, vms);
}

/* ------------------------------------------------------------- now */

/**
 * vm_card_has_mac() - a VM's card has an address, or no longer has one
 * @vm:		the VM; where its address is configured, nothing changes
 * @mac:	the address; all zero: none
 */
void vm_card_has_mac(struct vm *vm, const uint8_t mac[6])
{
	bool has = memcmp(mac, none, 6) != 0;
	char text[18], before[18];

	if (vm->has_fixed_mac || (has == vm->has_mac && (!has || !memcmp(vm->mac, mac, 6))))
		return;
	if (vm->has_mac && has)
		log_limited(&vm->limit, LOG_LEVEL_INFO, "%s: its card has %s now, and had %s",
			    vm->name, mac_text(mac, text), mac_text(vm->mac, before));
	memcpy(vm->mac, mac, 6);
	vm->has_mac = has;
	vm_cards_save_soon(vm->vms);
}

/**
 * vm_card_changed() - a VM's card has gone up or down, or its guest has changed something
 * @vm:		the VM
 * @card:	as it is now
 */
void vm_card_changed(struct vm *vm, const struct guest_card *card)
{
	bool had_daemon = vm->has_daemon, was_deaf = vm->deaf;
	char text[512];

	memcpy(vm->card_mac, card->mac, 6);
	memcpy(vm->foreign, card->foreign, 6);
	vm->has_foreign = memcmp(card->foreign, none, 6) != 0;
	vm->has_daemon = card->has_daemon;
	/* A fault that comes and goes is logged once. */
	if (vm->has_foreign && memcmp(vm->told_foreign, vm->foreign, 6) &&
	    vm_card_warning(vm, 0, text, sizeof(text))) {
		memcpy(vm->told_foreign, vm->foreign, 6);
		log_limited(&vm->card_limit, LOG_LEVEL_WARNING, "%s", text);
	}
	if (vm->has_daemon && !had_daemon &&
	    vm_card_warning(vm, vm->has_foreign, text, sizeof(text)))
		log_limited(&vm->card_limit, LOG_LEVEL_WARNING, "%s", text);
	vm->deaf = card->deaf;
	if (vm->deaf && !was_deaf)
		log_limited(
			&vm->card_limit, LOG_LEVEL_WARNING,
			"%s: its guest asks for connections, and does not hear the answers: a firewall there drops them; usbroutectl doctor %s says more",
			vm->name, vm->name);
}

static void foreign_text(const struct vm *vm, char *text, size_t size)
{
	const struct vm *owner = other_with_mac(vm, vm->foreign);
	char mac[18], own[18];

	mac_text(vm->foreign, mac);
	if (!memcmp(vm->foreign, own_card, 6))
		snprintf(
			text, size,
			"%s: its guest sends from %s, which is usbrouted's own card: nothing that it sends goes anywhere; give its card another address",
			vm->name, mac);
	else if (owner)
		snprintf(
			text, size,
			"%s: its guest sends from %s, which is the card of %s: it reaches usbrouted, and no other guest; give one of the two cards another address",
			vm->name, mac, owner->name);
	else if (vm->has_fixed_mac)
		snprintf(
			text, size,
			"%s: its guest sends from %s, and [vm %s] says mac = %s: it reaches usbrouted, and no other guest; change the one or the other, or take mac out of the configuration",
			vm->name, mac, vm->name, mac_text(vm->fixed_mac, own));
	else
		snprintf(
			text, size,
			"%s: its guest sends from %s, which is another card's: it reaches usbrouted, and no other guest; give its card another address",
			vm->name, mac);
}

/**
 * vm_card_warning() - what is wrong with a guest's network
 * @vm:		the VM
 * @i:		which of them, from 0
 * @text:	for a person, with what to do
 * @size:	room there
 *
 * Return: whether there are so many.
 */
bool vm_card_warning(const struct vm *vm, unsigned i, char *text, size_t size)
{
	char address[INET_ADDRSTRLEN];

	if (vm->has_foreign && i-- == 0) {
		foreign_text(vm, text, size);
		return true;
	}
	if (!vm->has_daemon || i)
		return false;
	inet_ntop(AF_INET, &vm->vms->core->config->address, address, sizeof(address));
	snprintf(
		text, size,
		"%s: its guest has usbrouted's address %s itself, and does not reach usbrouted by it; fe80::1 leads there, or give [network] address another one and restart usbrouted",
		vm->name, address);
	return true;
}

/**
 * vm_daemon_by_mac() - whether a guest reaches the daemon by fe80::1 alone
 * @vm:		the VM
 * @mac:	where so, the MAC of the interface that leads there, in lower case; room for 18 bytes
 *
 * Return: whether the guest has the daemon's IPv4 address itself.
 */
bool vm_daemon_by_mac(const struct vm *vm, char mac[18])
{
	if (vm->has_daemon)
		mac_text(vm->has_foreign ? vm->foreign : vm_mac(vm), mac);
	return vm->has_daemon;
}

/**
 * vm_daemon_address() - where a stock `usbip` in a guest reaches the daemon, as typed into a shell
 * @vm:		the VM
 * @text:	room for it
 * @size:	how much; 128 is always enough
 *
 * Return: @text.
 */
const char *vm_daemon_address(const struct vm *vm, char *text, size_t size)
{
	char mac[18];

	if (!vm_daemon_by_mac(vm, mac)) {
		if (size >= INET_ADDRSTRLEN)
			inet_ntop(AF_INET, &vm->vms->core->config->address, text, (socklen_t)size);
		return text;
	}
	/* A link-local address wants the interface's name, which only the guest knows. */
	snprintf(text, size,
		 "fe80::1%%$(grep -l %s /sys/class/net/*/address | cut -d/ -f5 | head -n 1)", mac);
	return text;
}
