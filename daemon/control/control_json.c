/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices and VMs as the types of io.usbrouted. */
#include "daemon/control/control_json.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/ip.h"
#include "base/utf8.h"

#include "daemon/commands/device_near.h"
#include "daemon/core/state_file.h"
#include "daemon/devices/device_hid.h"
#include "daemon/guests/guest_side.h"
#include "daemon/vms/network.h"
#include "daemon/routing/policy_subject.h"
#include "daemon/commands/commands.h"
#include "daemon/control/varlink.h"
#include "daemon/guests/virt_link.h"
#include "policy/usb_class.h"

#define GROUPS_SHOWN	 32
#define DEVICE_TEXT_MAX	 256
#define MESSAGE_TEXT_MAX (16 * 1024)

static json_t *safe_text(const char *text, size_t max, bool lines)
{
	_cleanup_free_ char *safe = text ? utf8_safe_copy(text, max, lines) : NULL;
	json_t *s = safe ? json_string(safe) : NULL;

	return s ? s : json_null();
}

/**
 * json_text() - a line of text as JSON
 * @text:	the text, in any encoding; or NULL
 *
 * Return: null, or a string without what is unsafe to show (base/utf8.h), of at most
 * VARLINK_TEXT_MAX bytes of JSON.
 */
json_t *json_text(const char *text)
{
	return safe_text(text, VARLINK_TEXT_MAX, false);
}

/**
 * json_lines() - the same of text that may have several lines
 * @text:	the text, or NULL
 */
json_t *json_lines(const char *text)
{
	return safe_text(text, MESSAGE_TEXT_MAX, true);
}

/* What a device says of itself. */
static json_t *json_device_text(const char *text)
{
	return safe_text(text, DEVICE_TEXT_MAX, false);
}

/**
 * json_ms() - milliseconds, to a tenth: nobody reads more
 * @ms:	how many; less than 0: it is not known
 */
json_t *json_ms(double ms)
{
	return ms < 0 ? json_null() : json_real((double)(int64_t)(ms * 10 + 0.5) / 10);
}

/**
 * json_append_within() - add to a list while there is room
 * @list:	the list
 * @item:	taken; may be NULL, for want of memory
 * @room:	bytes of JSON that are left; less afterwards
 *
 * Return: whether it found room.
 */
bool json_append_within(json_t *list, json_t *item, size_t *room)
{
	size_t size = json_size(item) + 1;

	if (!item || size > *room) {
		json_decref(item);
		return false;
	}
	*room -= size;
	json_array_append_new(list, item);
	return true;
}

/**
 * json_size() - how many bytes JSON takes in a message
 * @json:	the JSON
 */
size_t json_size(const json_t *json)
{
	return json_dumpb(json, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
}

static json_t *json_classes(usb_class_set classes)
{
	json_t *list = json_array();

	for (unsigned c = 0; c < USB_CLASSES; c++)
		if (classes >> c & 1)
			json_array_append_new(list, json_string(usb_class_name((enum usb_class)c)));
	return list;
}

/* What the classes follow from, if that is not obvious. */
static json_t *json_classes_by(const struct device *d)
{
	json_t *list = json_array();
	char by[80], text[128];

	for (unsigned c = 0; c < USB_CLASSES; c++) {
		if (!*device_class_text(d, (enum usb_class)c, by, sizeof(by)))
			continue;
		snprintf(text, sizeof(text), "%s: %s", usb_class_name((enum usb_class)c), by);
		json_array_append_new(list, json_string(text));
	}
	return list;
}

static const char *speed_name(uint32_t speed)
{
	static const char *const names[] = {[1] = "low", [2] = "full", [3] = "high", [5] = "super"};

	return speed < ARRAY_SIZE(names) && names[speed] ? names[speed] : "full";
}

/* The groups that it is in: those of the configuration, then those that rules put it in. */
static json_t *json_groups(const struct device *d)
{
	const char *names[GROUPS_SHOWN];
	json_t *list = json_array();
	struct policy_subject s;
	size_t n;

	policy_subject_of(&s, d);
	for (size_t i = 0; i < s.facts.n_groups; i++)
		json_array_append_new(list, json_string(s.facts.groups[i]));
	n = policy_groups(d->devices->core->policy, &s.facts, names, GROUPS_SHOWN);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(names[i]));
	return list;
}

/* When a command's wish ends by itself. */
static void json_add_end(json_t *device, const struct device *d)
{
	const struct wish *w = route_wish(d, &d->devices->books->now, WISHES_COMMANDS);
	uint64_t now = wish_book_now();

	json_object_set_new(
		device, "seconds_left",
		w && w->until ? json_integer(w->until > now ? (json_int_t)(w->until - now) : 0)
			      : json_null());
	json_object_set_new(device, "until_unplug", json_boolean(w && w->until_unplug));
}

/* What gave it its name, and what the deciding wish hangs on. */
static void json_add_origin(json_t *device, const struct device *d, const struct route_want *want)
{
	char text[48], why[300] = "";

	snprintf(text, sizeof(text), "[device %s]", d->section ? d->section->name : "");
	json_object_set_new(device, "named_by",
			    json_text(device_bears_section(d) ? text
				      : device_alias(d)	      ? "usbroutectl alias"
							      : NULL));
	json_object_set_new(device, "wish_on", json_text(want->wish_on[0] ? want->wish_on : NULL));
	if (device_is_ambiguous(d))
		device_why_ambiguous(d, why, sizeof(why));
	json_object_set_new(device, "unnamed_because", json_text(why[0] ? why : NULL));
}

/* Who may have it over the LAN, where it is offered; and who has it. */
static void json_add_lan(json_t *device, const struct device *d)
{
	struct ip_prefix to[ROUTE_LAN_TO];
	size_t n = route_for_lan(d) ? route_lan_to(d, to) : 0;
	json_t *list = n ? json_array() : json_null();
	char text[IP_TEXT_SIZE], by[ROUTE_LAN_TEXT];

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(ip_prefix_text(&to[i], text)));
	json_object_set_new(device, "lan_to", list);
	json_object_set_new(device, "lan_by", json_text(d->route ? route_lan_by(d, by) : NULL));
}

/**
 * json_device() - a device that is plugged in, as type Device
 * @d:	the device
 */
json_t *json_device(const struct device *d)
{
	struct route_want want = route_wanted(d);
	char id[16], reason[300];
	enum device_state state;
	json_t *device;

	snprintf(id, sizeof(id), "%04x:%04x", d->id_vendor, d->id_product);
	state = route_shown(d, reason, sizeof(reason));
	device = json_pack(
		"{s:o, s:s, s:o, s:s, s:s, s:s, s:o, s:o, s:s, s:o, s:o, s:b, s:s, s:s, s:o, s:s, s:s, s:o}",
		"alias", json_text(device_alias(d)), "id", id, "serial",
		json_device_text(d->serial), "port", d->busid, "stable_port", d->stable_port,
		"busid", d->busid, "manufacturer", json_device_text(d->manufacturer), "product",
		json_device_text(d->product), "speed", speed_name(d->info.speed), "classes",
		json_classes(d->classes), "groups", json_groups(d), "reserved", route_reserved(d),
		"wanted", want.target, "wanted_by", wanted_by_name(want.by), "rule",
		json_text(want.by == WANTED_BY_RULE ? want.rule : NULL), "actual", route_actual(d),
		"state", device_state_name(state), "reason", json_text(reason[0] ? reason : NULL));
	if (device) {
		json_object_set_new(device, "classes_by", json_classes_by(d));
		json_add_end(device, d);
		json_add_origin(device, d, &want);
		json_add_lan(device, d);
	}
	return device;
}

/* A device that is not plugged in, as far as it is known. @id may be "", @alias NULL; @groups is taken. */
static json_t *json_unplugged(const char *alias, const char *id, json_t *groups,
			      const struct route_want *want, const char *reason,
			      const char *wish_on)
{
	return json_pack(
		"{s:o, s:s, s:n, s:s, s:s, s:s, s:n, s:n, s:s, s:[], s:[], s:o, s:b, s:s, s:s, s:n, s:s, s:s, s:o, s:n, s:b, s:n, s:n, s:o, s:n, s:n}",
		"alias", json_text(alias), "id", id, "serial", "port", "", "stable_port", "",
		"busid", "", "manufacturer", "product", "speed", "full", "classes", "classes_by",
		"groups", groups, "reserved", 0, "wanted", want->target, "wanted_by",
		wanted_by_name(want->by), "rule", "actual", "host", "state",
		device_state_name(DEVICE_PENDING), "reason", json_text(reason), "seconds_left",
		"until_unplug", 0, "named_by", "unnamed_because", "wish_on", json_text(wish_on),
		"lan_to", "lan_by");
}

/**
 * json_absent() - a device that is known by its alias and not plugged in, as type Device
 * @rooms:	what methods are about
 * @alias:	the alias
 */
json_t *json_absent(const struct control_rooms *rooms, const char *alias)
{
	const struct config_device *c = config_find_device(rooms->core->config, alias);
	struct route_want want = route_wanted_absent(rooms->routing, alias);
	json_t *groups = json_array();
	struct policy_subject s;
	char id[16] = "", reason[900], near[500];

	policy_subject_absent(&s, rooms->core->config, alias, c);
	for (size_t i = 0; i < s.facts.n_groups; i++)
		json_array_append_new(groups, json_string(s.facts.groups[i]));
	if (c && c->match.has_id)
		snprintf(id, sizeof(id), "%04x:%04x", c->match.id_vendor, c->match.id_product);
	device_near_section(rooms->devices, c, near, sizeof(near));
	device_name_why_absent(rooms->devices, alias, reason, sizeof(reason));
	if (*near)
		snprintf(reason + strlen(reason), sizeof(reason) - strlen(reason), "; %s", near);
	return json_unplugged(alias, id, groups, &want, reason,
			      want.wish_on[0] ? want.wish_on : NULL);
}

/**
 * json_lost() - what something was said of without a name, and that is not plugged in, as type
 * Device
 * @rooms:	what methods are about
 * @wish_on:	what, in wish_text()'s words
 */
json_t *json_lost(const struct control_rooms *rooms, const char *wish_on)
{
	struct route_want want = route_wanted_on(&rooms->books->now, wish_on);

	return json_unplugged(NULL, "", json_array(), &want, "it is not plugged in", wish_on);
}

static json_t *json_count(int n)
{
	return n < 0 ? json_null() : json_integer(n);
}

static const char *mac_text(const uint8_t m[6], char text[18])
{
	snprintf(text, 18, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	return text;
}

/* A process says it, and it may be any number. */
static json_int_t number(uint64_t said)
{
	return (json_int_t)(said & INT64_MAX);
}

/* As type Counters. */
static json_t *counters_of(const struct vm *vm, unsigned port)
{
	struct net_port_counters n;

	net_counts_get(vm->counts, port, &n);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "sent_frames",
			 number(n.tx_frames), "sent_bytes", number(n.tx_bytes), "received_frames",
			 number(n.rx_frames), "received_bytes", number(n.rx_bytes),
			 "dropped_refused", number(n.tx_refused), "dropped_nowhere",
			 number(n.tx_nowhere), "dropped_link_full", number(n.tx_full),
			 "dropped_no_buffers", number(n.rx_full), "dropped_from_others",
			 number(n.rx_refused));
}

/* The place of an uplink's one port: its process writes it where a VM's writes that of its first network. */
#define UPLINK_PORT 1

/**
 * json_networks() - the further networks, as []Network
 * @vms:	the VMs, whose they are
 */
json_t *json_networks(const struct vms *vms)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++) {
		const struct network *n = vms->networks[i];

		if (!n)
			continue;
		json_array_append_new(
			list,
			json_pack("{s:s, s:o, s:b, s:o}", "name", n->name, "uplink",
				  json_text(*n->tap ? n->tap : NULL), "connected", n->has_tap,
				  "counters",
				  n->uplink ? counters_of(n->uplink, UPLINK_PORT) : json_null()));
	}
	return list;
}

/* As []Card; what is wrong with them goes to @warnings. */
static json_t *cards_of(const struct vm *vm, json_t *warnings)
{
	const char *folder = vm->vms->core->config->runtime_directory;
	static const uint8_t none[6];
	json_t *cards = json_array();

	for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++) {
		const struct network *n = vm->vms->networks[i];
		const struct vm_nic *nic = &vm->nics[i];
		char mac[18], socket[PATH_MAX], name[80], warning[512];

		if (!n)
			continue;
		if (vm_nic_warning(vm, n, warning, sizeof(warning)))
			json_array_append_new(warnings, json_text(warning));
		if (!nic->entered)
			continue;
		snprintf(name, sizeof(name), "%.31s.%.31s.sock", vm->name, n->name);
		state_file_path(socket, sizeof(socket), folder, name);
		json_array_append_new(
			cards,
			json_pack("{s:s, s:b, s:o, s:o, s:o}", "network", n->name, "connected",
				  nic->up, "mac",
				  json_text(memcmp(nic->mac, none, 6) ? mac_text(nic->mac, mac)
								      : NULL),
				  "socket", json_text(socket), "counters", counters_of(vm, 1 + i)));
	}
	return cards;
}

/**
 * json_vm() - a VM, as type Vm
 * @rooms:	what methods are about
 * @vm:		the VM
 */
json_t *json_vm(const struct control_rooms *rooms, struct vm *vm)
{
	struct guest_ports ports = guest_side_ports(vm);
	char address[INET_ADDRSTRLEN], mac[18], socket[PATH_MAX], name[64];
	json_t *devices = json_array(), *warnings = json_array(), *cards;
	char warning[512];

	for (unsigned i = 0; vm_card_warning(vm, i, warning, sizeof(warning)); i++)
		json_array_append_new(warnings, json_text(warning));
	list_for_each(it, &rooms->devices->all) {
		const struct device *d = list_entry(it, struct device, link);

		if (route_exported_to(d, vm))
			json_array_append_new(
				devices, json_string(device_alias(d) ? device_alias(d) : d->busid));
	}
	inet_ntop(AF_INET, &vm->address, address, sizeof(address));
	mac_text(vm->has_mac ? vm->mac : vm->fixed_mac, mac);
	cards = cards_of(vm, warnings);
	snprintf(name, sizeof(name), "%s.sock", vm->name);
	state_file_path(socket, sizeof(socket), vm->vms->core->config->runtime_directory, name);
	return json_pack(
		"{s:s, s:b, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o}",
		"name", vm->name, "connected", vm->connected, "address", address, "mac",
		json_text(vm->has_mac || vm->has_fixed_mac ? mac : NULL), "agent",
		json_text(guest_side_version(vm)), "ports_free_high", json_count(ports.high),
		"ports_free_super", json_count(ports.super), "devices", devices, "socket",
		json_text(socket), "domain", json_text(vm->domain), "domain_state",
		json_text(virt_domain_state(vm)), "warnings", warnings, "asleep", (int)vm->asleep,
		"cards", cards, "counters", counters_of(vm, 0));
}
