/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices that machines elsewhere may import: which ones, who may, who has one; see daemon/vms/lan.h.
 *
 * A device is for the LAN while an [export NAME] section names it, by its alias or by a group that it is
 * in, and nobody has said where it should be: no command, no assignment, no rule. It is placed in the LAN
 * export's process then, as a guest's is in its VM's.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/ip.h"
#include "base/log.h"
#include "daemon/routing/policy_subject.h"
#include "daemon/routing/route_private.h"
#include "daemon/vms/lan.h"

static_assert(CONFIG_EXPORT_TO_MAX <= ROUTE_LAN_TO, "there is room for a section's");

/* The names that a section may call it by: its alias, and its groups. Return: how many. */
static size_t names_of(const struct device *device, const struct policy_subject *s,
		       const char *names[2 * CONFIG_GROUPS_MAX + 1])
{
	const char *alias = device_alias(device);
	size_t n = 0;

	if (alias)
		names[n++] = alias;
	for (size_t i = 0; i < s->facts.n_groups; i++)
		names[n++] = s->facts.groups[i];
	return n + policy_groups(device->devices->core->policy, &s->facts, names + n,
				 CONFIG_GROUPS_MAX);
}

/**
 * route_lan_to() - who may have a device over the LAN, where it is offered
 * @device:	the device
 * @to:		gets networks; of more than there is room for the rest is left out
 *
 * Return: how many; 0: nobody.
 */
size_t route_lan_to(const struct device *device, struct ip_prefix to[ROUTE_LAN_TO])
{
	const struct config *config = device->devices->core->config;
	const char *names[2 * CONFIG_GROUPS_MAX + 1];
	struct policy_subject s;
	size_t n = 0, n_names;

	if (!config->lan_export || !config->n_exports)
		return 0;
	policy_subject_of(&s, device);
	n_names = names_of(device, &s, names);
	for (size_t i = 0; i < n_names; i++) {
		const struct config_export *e = config_find_export(config, names[i]);

		for (size_t k = 0; e && k < e->n_to && n < ROUTE_LAN_TO; k++)
			to[n++] = e->to[k];
	}
	return n;
}

/**
 * route_lan_may() - whether a machine may have a device, where it is offered
 * @device:	the device
 * @peer:	the machine
 */
bool route_lan_may(const struct device *device, const struct guest_peer *peer)
{
	struct ip_prefix to[ROUTE_LAN_TO];
	size_t n = route_lan_to(device, to);

	for (size_t i = 0; i < n; i++)
		if (ip_prefix_has(&to[i], peer->v6, peer->address))
			return true;
	return false;
}

/**
 * route_for_lan() - whether a device is to be offered to the LAN
 * @device:	the device
 */
bool route_for_lan(const struct device *device)
{
	return device->route && route_decision(device)->lan && lan_vm(device->route->routing->vms);
}

/**
 * route_lan_by() - the machine that has a device over the LAN
 * @device:	the device
 * @text:	gets its address
 *
 * Return: @text; NULL: none has it.
 */
const char *route_lan_by(const struct device *device, char text[ROUTE_LAN_TEXT])
{
	const struct placement *p = placement_first(device);

	if (!p || !p->vm->is_lan || !p->session)
		return NULL;
	inet_ntop(p->peer.v6 ? AF_INET6 : AF_INET, p->peer.address, text, ROUTE_LAN_TEXT);
	return text;
}

/**
 * route_lan_words() - to whom a device is offered
 * @device:	the device
 * @text:	gets "offered to 192.168.1.0/24 192.168.2.7"
 * @size:	room there
 */
void route_lan_words(const struct device *device, char *text, size_t size)
{
	struct ip_prefix to[ROUTE_LAN_TO];
	size_t n = route_lan_to(device, to), len;
	char one[IP_TEXT_SIZE];

	snprintf(text, size, "offered over the LAN to");
	for (size_t i = 0; i < n; i++) {
		len = strlen(text);
		snprintf(text + len, size - len, " %s", ip_prefix_text(&to[i], one));
	}
}

/**
 * route_lan_leaves() - a device is about to be taken from a machine, by whatever: that is told
 * @placement:	in the LAN export
 * @aim:	where it goes
 */
void route_lan_leaves(const struct placement *placement, const struct route_aim *aim)
{
	char by[ROUTE_LAN_TEXT];

	if (route_lan_by(placement->device, by))
		log_notice("%s: taken from %s, which had it over the LAN: %s",
			   placement->device->tag, by,
			   aim->vm && !aim->vm->is_lan ? aim->vm->name
			   : aim->vm		       ? "it may not have it any more"
						       : "it goes to the host");
}
