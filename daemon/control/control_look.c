/* SPDX-License-Identifier: BSD-2-Clause */
/* The methods that tell of one device, and of the daemon itself. */
#include <build_info.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/control/control_json.h"
#include "daemon/control/control_method.h"
#include "daemon/devices/device_registry.h"
#include "daemon/devices/port_off.h"
#include "daemon/commands/commands.h"
#include "daemon/guests/virt_link.h"
#include "daemon/vms/lan.h"
#include "daemon/vms/network.h"

static void method_show(struct control_caller *caller, const struct varlink_call *call)
{
	const char *text = control_text(call, "device");
	struct device *d = NULL;

	if (control_device_parameter(caller, text, &d))
		control_reply(caller, json_pack("{s:o}", "device",
						d ? json_device(d)
						  : json_absent(control_rooms(caller), text)));
}

struct warnings {
	json_t *list;
	size_t room;
	unsigned left_out;
};

static void warn(struct warnings *warnings, const char *format, ...) _printf_(2, 3);

static void warn(struct warnings *warnings, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (!json_append_within(warnings->list, json_text(text), &warnings->room))
		warnings->left_out++;
}

/* Warn of wishes for names that no device can bear now. */
static void warn_of_lost_names(const struct control_rooms *rooms, struct warnings *warnings)
{
	static const struct {
		enum wish_list list;
		const char *what;
	} lists[] = {{WISHES_COMMANDS, "is wanted at"}, {WISHES_ASSIGNMENTS, "is assigned to"}};

	char why[300];

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		list_for_each(it, &rooms->books->now.list[lists[i].list].all) {
			const struct wish *w = list_entry(it, struct wish, link);

			if (w->kind != WISH_NAME || device_name_is_borne(rooms->devices, w->name) ||
			    !device_name_why_absent(rooms->devices, w->name, why, sizeof(why)))
				continue;
			if (device_name_exists(rooms->devices, w->name))
				warn(warnings, "%s %s %s, but no device is called that: %s",
				     w->name, lists[i].what, w->target, why);
			else
				warn(warnings,
				     "%s %s %s, but no [device] section and no `usbroutectl alias` gives any device that name; usbroutectl unassign %s forgets it",
				     w->name, lists[i].what, w->target, w->name);
		}
}

static void warn_of_networks(const struct control_rooms *rooms, struct warnings *warnings)
{
	char text[512];

	for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++) {
		const struct network *n = rooms->vms->networks[i];

		if (!n)
			continue;
		if (network_warning(n, text, sizeof(text)))
			warn(warnings, "%s", text);
		list_for_each(it, &rooms->vms->all)
			if (vm_nic_warning(list_entry(it, struct vm, link), n, text, sizeof(text)))
				warn(warnings, "%s", text);
	}
}

static bool wants_unknown_vm(const struct control_rooms *rooms, const struct device *d)
{
	struct route_want want = route_wanted(d);

	return strcmp(want.target, "host") && !vm_find(rooms->vms, want.target);
}

static void warn_of_lan_export(const struct control_rooms *rooms, struct warnings *warnings)
{
	char text[512];

	for (unsigned i = 0; lan_warning(rooms->vms, i, text, sizeof(text)); i++)
		warn(warnings, "%s", text);
}

static void method_status(struct control_caller *caller, const struct varlink_call *call)
{
	const struct control_rooms *rooms = control_rooms(caller);
	json_t *networks = json_networks(rooms->vms);
	struct warnings warnings = {.room = JSON_LIST_MAX - json_size(networks)};
	int devices = 0, vms = 0;

	warnings.list = json_array();
	list_for_each(it, &rooms->devices->all) {
		const struct device *d = list_entry(it, struct device, link);
		char reason[256];
		enum device_state state = route_shown(d, reason, sizeof(reason));

		devices++;
		if (device_state_like(state) == DEVICE_IS_WRONG || wants_unknown_vm(rooms, d))
			warn(&warnings, "%s: %s: %s", d->tag, device_state_name(state), reason);
	}
	list_for_each(it, &rooms->vms->all) {
		char text[512];

		vms++;
		for (unsigned i = 0;
		     vm_card_warning(list_entry(it, struct vm, link), i, text, sizeof(text)); i++)
			warn(&warnings, "%s", text);
		if (virt_warning(list_entry(it, struct vm, link), text, sizeof(text)))
			warn(&warnings, "%s", text);
	}
	warn_of_networks(rooms, &warnings);
	warn_of_lan_export(rooms, &warnings);
	warn_of_lost_names(rooms, &warnings);
	if (!vms)
		warn(&warnings,
		     "no VM is configured; add a [vm NAME] section to the configuration");
	if (warnings.left_out)
		json_array_append_new(
			warnings.list,
			json_sprintf("%u more, for which there was no room: see usbroutectl list",
				     warnings.left_out));
	control_reply(caller,
		      json_pack("{s:s, s:I, s:i, s:i, s:o, s:o}", "version", USBROUTED_VERSION,
				"uptime_seconds",
				(json_int_t)((loop_now() - rooms->core->started_ns) / 1000000000u),
				"devices", devices, "vms", vms, "warnings", warnings.list,
				"networks", networks));
}

const struct control_method control_look_methods[] = {
	{"Show", CONTROL_LOOK, method_show, {{"device", CONTROL_TEXT}}},
	{"Status", CONTROL_LOOK, method_status, {}},
	{},
};
