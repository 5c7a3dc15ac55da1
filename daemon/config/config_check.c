/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What must hold between the lines of a configuration: addresses in the subnet and each given once,
 * names that exist, sockets whose paths fit.
 */
#include "daemon/config/config_private.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/hotkey.h"

static void check_vm_address(struct config_parser *p, const struct config_vm *vm)
{
	uint32_t mask = config_network_mask(p->config->prefix), a = ntohl(vm->address.s_addr),
		 own = ntohl(p->config->address.s_addr);
	char section[40], text[INET_ADDRSTRLEN], subnet[INET_ADDRSTRLEN];
	struct in_addr net = {.s_addr = htonl(own & mask)};

	inet_ntop(AF_INET, &vm->address, text, sizeof(text));
	inet_ntop(AF_INET, &net, subnet, sizeof(subnet));
	snprintf(section, sizeof(section), "vm %s", vm->name);
	if (a == own)
		config_complain_at(p, vm->address_line, section, "address",
				   "an address of its own; %s is the daemon's", text);
	else if ((a & mask) != (own & mask) || !(a & ~mask) || (a & ~mask) == ~mask)
		config_complain_at(
			p, vm->address_line, section, "address",
			"an address of a guest in %s/%u, the subnet of [network] address; found %s",
			subnet, p->config->prefix, text);
}

static void check_vm_twice(struct config_parser *p, const struct config_vm *vm,
			   const struct config_vm *other)
{
	char section[40];

	snprintf(section, sizeof(section), "vm %s", vm->name);
	if (vm->has_address && other->has_address && vm->address.s_addr == other->address.s_addr)
		config_complain_at(p, vm->address_line, section, "address",
				   "an address of its own; [vm %s] has it in line %u", other->name,
				   other->address_line);
	if (vm->has_mac && other->has_mac && !memcmp(vm->mac, other->mac, sizeof(vm->mac)))
		config_complain_at(p, vm->mac_line, section, "mac",
				   "a MAC address of its own; [vm %s] has it in line %u",
				   other->name, other->mac_line);
}

static void check_vms(struct config_parser *p)
{
	const struct config *c = p->config;
	size_t room = (size_t)~config_network_mask(c->prefix) -
		      2; /* besides network, broadcast, daemon */

	list_for_each(it, &c->vms) {
		const struct config_vm *vm = list_entry(it, struct config_vm, link);

		if (vm->has_address && !p->address_refused)
			check_vm_address(p, vm);
		for (struct list *o = c->vms.next; o != it; o = o->next)
			check_vm_twice(p, vm, list_entry(o, struct config_vm, link));
	}
	if (!p->address_refused && c->n_vms > room)
		config_complain_at(
			p, p->address_line, "network", "address",
			"a subnet with room for the daemon and %zu VMs; /%u has room for %zu",
			c->n_vms, c->prefix, room);
}

static void check_talks(struct config_parser *p)
{
	for (size_t i = 0; i < p->config->n_talks; i++)
		for (unsigned k = 0; k < 2; k++) {
			const char *name = p->config->talks[i].vms[k];

			if (!config_find_vm(p->config, name))
				config_complain_at(
					p, p->talk_line, "network", "talk",
					"names of VMs that have a section; found no [vm %s]", name);
		}
}

/* A tap has one user. */
static void check_networks(struct config_parser *p)
{
	list_for_each(it, &p->config->networks) {
		const struct config_network *n = list_entry(it, struct config_network, link);

		for (struct list *o = p->config->networks.next; *n->tap && o != it; o = o->next) {
			const struct config_network *other =
				list_entry(o, struct config_network, link);
			char section[48];

			if (strcmp(n->tap, other->tap) != 0)
				continue;
			snprintf(section, sizeof(section), "network %s", n->name);
			config_complain_at(p, n->uplink_line, section, "uplink",
					   "a tap of its own; [network %s] has it in line %u",
					   other->name, other->uplink_line);
		}
	}
}

static void check_devices(struct config_parser *p)
{
	list_for_each(it, &p->config->devices) {
		const struct config_device *d = list_entry(it, struct config_device, link);
		char section[48];

		snprintf(section, sizeof(section), "device %s", d->name);
		for (size_t i = 0; i < d->n_vms; i++)
			if (!config_find_vm(p->config, d->vms[i]))
				config_complain_at(
					p, d->vms_line, section, "vms",
					"names of VMs that have a section; found no [vm %s]",
					d->vms[i]);
	}
}

/* A name on a command line is one thing. Members may also be named by `usbroutectl alias`. */
static void check_groups(struct config_parser *p)
{
	list_for_each(it, &p->config->groups) {
		const struct config_group *g = list_entry(it, struct config_group, link);
		const struct config_device *d = config_find_device(p->config, g->name);
		char section[48];

		snprintf(section, sizeof(section), "group %s", g->name);
		if (d)
			config_complain_at(p, g->line, section, NULL,
					   "a name that no device has; line %u begins [device %s]",
					   d->line, d->name);
	}
}

static void check_domains(struct config_parser *p)
{
	list_for_each(it, &p->config->vms) {
		const struct config_vm *vm = list_entry(it, struct config_vm, link);

		for (struct list *o = p->config->vms.next; vm->domain && o != &p->config->vms;
		     o = o->next) {
			const struct config_vm *other = list_entry(o, struct config_vm, link);
			char section[40];

			if (other == vm ||
			    strcmp(vm->domain, other->domain ? other->domain : other->name))
				continue;
			/* If two say the same, the error is the later one's. */
			if (other->domain && other->line > vm->line)
				continue;
			snprintf(section, sizeof(section), "vm %s", vm->name);
			config_complain_at(p, vm->line, section, "domain",
					   "a domain of its own; it is [vm %s]'s, too",
					   other->name);
		}
	}
}

/* Each guest's socket lies in the runtime directory, and a socket's path has little room. */
static void check_runtime_directory(struct config_parser *p)
{
	size_t room = sizeof(((struct sockaddr_un *)0)->sun_path) - 1, longest = strlen("control");
	size_t network = 0;

	list_for_each(it, &p->config->networks) {
		size_t n = strlen(list_entry(it, struct config_network, link)->name) + strlen(".");

		network = n > network ? n : network;
	}
	list_for_each(it, &p->config->vms) {
		size_t n = strlen(list_entry(it, struct config_vm, link)->name) + network +
			   strlen(".sock");

		longest = n > longest ? n : longest;
	}
	if (p->runtime_line && strlen(p->config->runtime_directory) + 1 + longest > room)
		config_complain_at(
			p, p->runtime_line, "daemon", "runtime-directory",
			"a path of at most %zu bytes, so that the names of the VMs' sockets fit; found %zu",
			room - 1 - longest, strlen(p->config->runtime_directory));
}

/* If one chord contains another, the larger one could never be struck. */
static void check_hotkeys(struct config_parser *p)
{
	const struct hid_chord *panic = &p->config->hotkeys.at[HOTKEY_PANIC],
			       *next = &p->config->hotkeys.at[HOTKEY_NEXT];

	if (hid_chord_contains(panic, next) || hid_chord_contains(next, panic))
		config_complain_at(p, p->hotkey_lines[HOTKEY_NEXT], "hotkey", "next",
				   "a chord that neither contains panic's nor is a part of it");
}

/**
 * config_check() - check what no line can tell alone
 * @p:	the parser, after the last line
 */
void config_check(struct config_parser *p)
{
	check_runtime_directory(p);
	check_vms(p);
	check_talks(p);
	check_networks(p);
	check_devices(p);
	check_groups(p);
	check_domains(p);
	check_hotkeys(p);
}
