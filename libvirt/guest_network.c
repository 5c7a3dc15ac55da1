/* SPDX-License-Identifier: BSD-2-Clause */
/* guest-network-get-interfaces; see guest_network.h. Source: QEMU Guest Agent Protocol Reference. */
#include "libvirt/guest_network.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Whether a name may stand behind the % of an address, and the whole among a program's words. */
static bool name_is_usable(const char *name)
{
	size_t len = strlen(name);

	if (!len || len > GUEST_INTERFACE_MAX)
		return false;
	for (; *name; name++) {
		if (*name <= ' ' || *name >= 0x7f || *name == '/' || *name == '%')
			return false;
	}
	return true;
}

static bool has_link_local(const json_t *interface)
{
	const json_t *addresses = json_object_get(interface, "ip-addresses");

	for (size_t i = 0; i < json_array_size(addresses); i++) {
		const char *text = json_string_value(
			json_object_get(json_array_get(addresses, i), "ip-address"));

		if (text && !strncasecmp(text, "fe80:", 5))
			return true;
	}
	return false;
}

/**
 * guest_network_find() - the interface that has a MAC address
 * @agent:	the guest's agent
 * @mac:	the MAC address
 * @ret_name:	the interface's name: printable, without space, / and %
 *
 * Of several, such as a bridge and the card in it, the first that has a link-local IPv6 address; the
 * card in a bridge has none.
 *
 * Return: 0, or a negative errno and @agent->error says why.
 */
int guest_network_find(struct guest_agent *agent, const char *mac,
		       char ret_name[GUEST_INTERFACE_MAX + 1])
{
	_cleanup_json_ json_t *all = NULL;
	const char *found = NULL;
	int r = guest_agent_ask(agent,
				json_pack("{s:s}", "execute", "guest-network-get-interfaces"),
				JSON_ARRAY, &all);

	if (r < 0)
		return r;
	for (size_t i = 0; i < json_array_size(all); i++) {
		const json_t *interface = json_array_get(all, i);
		const char *name = json_string_value(json_object_get(interface, "name"));
		const char *its = json_string_value(json_object_get(interface, "hardware-address"));

		if (!name || !its || strcasecmp(its, mac) || !name_is_usable(name))
			continue;
		if (has_link_local(interface)) {
			found = name;
			break;
		}
		if (!found)
			found = name;
	}
	if (!found)
		return guest_agent_fail(
			agent, -ENODEV,
			"the guest has usbrouted's address itself, and its agent knows no interface with the card's MAC %s",
			mac);
	strcpy(ret_name, found);
	return 0;
}
