/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one table of sections and keys. The parser reads by it, keys that are not given get their
 * values from it, messages list sections and keys from it, and a test holds usbrouted.conf(5)
 * against it.
 */
#include "daemon/config/config_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct config_section_keys config_sections[SECTIONS] = {
	[SECTION_DAEMON] = {"daemon",
			    .keys = {{"runtime-directory", config_set_runtime_directory,
				      .example = "/run/usbrouted", .by_default = "/run/usbrouted"},
				     {"state-directory", config_set_state_directory,
				      .example = "/var/lib/usbrouted",
				      .by_default = "/var/lib/usbrouted"},
				     {"socket-group", config_set_socket_group, .example = "kvm",
				      .by_default = "kvm"}}},
	[SECTION_NETWORK] =
		{"network",
		 .keys = {{"address", config_set_network_address, .example = "10.77.0.1/24",
			   .by_default = "10.77.0.1/24"},
			  {"isolate", config_set_isolate, .example = "no", .by_default = "no"},
			  {"talk", config_set_talk, .list = true, .example = "vm1:vm2 vm2:vm3"}}},
	[SECTION_LAN] = {"network", .name = "lan",
			 .keys = {{"uplink", config_set_uplink, .example = "tap:tap-lan",
				   .by_default = "none"}}},
	[SECTION_VM] = {"vm", .name = "vm1",
			.keys = {{"address", config_set_vm_address, .example = "10.77.0.11"},
				 {"mac", config_set_vm_mac, .example = "52:54:00:77:00:0b"},
				 {"domain", config_set_domain, .example = "\"win 10\""},
				 {"trust-mac", config_set_trust_mac, .example = "yes",
				  .by_default = "no"}}},
	[SECTION_DEVICE] = {"device", .name = "keyboard",
			    .keys = {{"match", config_set_match, .list = true,
				      .example = "id=046d:c31c",
				      .required = "what the device is known by"},
				     {"vms", config_set_vms, .list = true, .example = "vm1 vm2"}}},
	[SECTION_GROUP] = {"group", .name = "desk",
			   .keys = {{"devices", config_set_members, .list = true,
				     .example = "keyboard mouse",
				     .required = "who is in the group"}}},
	[SECTION_LAN_EXPORT] = {"lan-export", .keys = {{"listen", config_set_listen, .list = true,
							.example = "192.168.1.10:3240"}}},
	[SECTION_EXPORT] = {"export", .name = "keyboard",
			    .keys = {{"to", config_set_to, .list = true,
				      .example = "192.168.1.0/24", .required = "who may have it"}}},
	[SECTION_HOTKEY] = {"hotkey",
			    .keys = {{"panic", config_set_hotkey_panic,
				      .example = "LeftCtrl+RightCtrl+Esc",
				      .by_default = "LeftCtrl+RightCtrl+Esc"},
				     {"next", config_set_hotkey_next,
				      .example = "LeftCtrl+RightCtrl+Space", .by_default = "no"}}},
};

/**
 * config_key_find() - a key of a section
 * @section:	the section
 * @name:	the key's name
 *
 * Return: its place in the section, or -1.
 */
int config_key_find(enum config_section section, const char *name)
{
	const struct config_key *keys = config_sections[section].keys;

	for (int i = 0; i < CONFIG_KEYS_MAX && keys[i].name; i++)
		if (!strcmp(keys[i].name, name))
			return i;
	return -1;
}

/**
 * config_key_list() - a section's keys, for a message
 * @section:	the section
 * @buf:	room for them
 *
 * Return: @buf, "address, mac, domain".
 */
const char *config_key_list(enum config_section section, char buf[CONFIG_LIST_MAX])
{
	const struct config_key *keys = config_sections[section].keys;
	size_t n = 0;

	buf[0] = '\0';
	for (int i = 0; i < CONFIG_KEYS_MAX && keys[i].name; i++)
		n += (size_t)snprintf(buf + n, CONFIG_LIST_MAX - n, "%s%s", i ? ", " : "",
				      keys[i].name);
	return buf;
}

/**
 * config_section_list() - the sections, for a message
 * @buf:	room for them
 *
 * Return: @buf, "one of [daemon], [network], [vm NAME], …".
 */
const char *config_section_list(char buf[CONFIG_LIST_MAX])
{
	size_t n = (size_t)snprintf(buf, CONFIG_LIST_MAX, "one of");

	for (int s = SECTION_FIRST; s < SECTIONS; s++)
		n += (size_t)snprintf(buf + n, CONFIG_LIST_MAX - n, "%s [%s%s]",
				      s == SECTION_FIRST ? "" : ",", config_sections[s].kind,
				      config_sections[s].name ? " NAME" : "");
	return buf;
}

/**
 * config_set_defaults() - give every key that has one its default
 * @config:	a configuration in which nothing is set yet
 *
 * Return: 0; -ENOMEM; -EINVAL where the table has a default that the key's reader refuses.
 */
int config_set_defaults(struct config *config)
{
	_cleanup_(config_errors_deinit) struct config_errors errors = {0};
	struct config_parser p = {.file = "defaults", .config = config, .errors = &errors};
	_cleanup_free_ struct config_line *line = malloc(sizeof(*line));
	char text[CONFIG_LIST_MAX];
	const char *expected;

	if (!line)
		return -ENOMEM;
	for (int s = SECTION_FIRST; s < SECTIONS; s++)
		for (int i = 0; i < CONFIG_KEYS_MAX; i++) {
			const struct config_key *k = &config_sections[s].keys[i];

			if (!k->by_default)
				continue;
			snprintf(text, sizeof(text), "%s = %s", k->name, k->by_default);
			if (config_line_parse(line, text, strlen(text), &expected))
				return -EINVAL;
			k->set(&p, line);
		}
	return p.r < 0 ? p.r : errors.n ? -EINVAL : 0;
}
