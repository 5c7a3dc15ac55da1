/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Errors about a parameter that means nothing, or too much: what would have been right, and what
 * comes near. Lists here are short, because a person reads them.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "daemon/control/control_json.h"
#include "daemon/control/control_method.h"
#include "daemon/commands/device_near.h"
#include "daemon/devices/device_registry.h"
#include "daemon/devices/port_off.h"
#include "daemon/commands/subjects.h"
#include "daemon/commands/commands.h"

#define CANDIDATES_MAX 32

void control_invalid(struct control_caller *caller, const char *parameter)
{
	control_error(caller, "InvalidParameter",
		      json_pack("{s:o}", "parameter", json_text(parameter)));
}

/* @expected: follows the word "expected". */
void control_invalid_because(struct control_caller *caller, const char *parameter,
			     const char *expected)
{
	control_error(
		caller, "InvalidParameter",
		json_pack("{s:s, s:o}", "parameter", parameter, "expected", json_text(expected)));
}

static json_t *json_near(const struct control_rooms *rooms, const char *text)
{
	struct device_near near[DEVICE_NEAR_MAX];
	json_t *list = json_array();
	size_t n = device_near(rooms->commands, text, near);

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list,
				      json_pack("{s:o, s:o, s:b}", "word", json_text(near[i].word),
						"what", json_text(near[i].what), "vm", near[i].vm));
	return list;
}

/* A group is several devices, where one is asked for. False where it is none. */
static bool is_group(struct control_caller *caller, const char *text)
{
	struct route_subject members[ROUTE_SUBJECTS_MAX];
	const char *name = strncmp(text, "group=", 6) ? text : text + 6;
	json_t *candidates;
	size_t n;

	if (subjects_of_group(control_rooms(caller)->commands, name, members, &n) != 0)
		return false;
	candidates = json_array();
	for (size_t i = 0; i < n && i < CANDIDATES_MAX; i++) {
		const struct device *d = members[i].device;
		char line[64];

		if (d && !device_alias(d))
			snprintf(line, sizeof(line), "port=%s", d->busid);
		else
			snprintf(line, sizeof(line), "%s", d ? d->alias : members[i].alias);
		json_array_append_new(candidates, json_text(line));
	}
	control_error(caller, "Ambiguous",
		      json_pack("{s:o, s:I}", "candidates", candidates, "left_out",
				(json_int_t)(n - json_array_size(candidates))));
	return true;
}

/* @expected: what selector_parse_word() expected. */
void control_invalid_device(struct control_caller *caller, const char *text, const char *expected)
{
	if (!strncmp(text, "group=", 6)) {
		control_no_device(caller, text);
		return;
	}
	/* A selector's reader knows of no names. */
	if (!strchr(text, '='))
		expected =
			"an alias, a group, an id such as 046d:c31c, or one of serial= port= class= product=";
	control_error(caller, "InvalidParameter",
		      json_pack("{s:s, s:o, s:o}", "parameter", "device", "expected",
				json_text(expected), "near",
				json_near(control_rooms(caller), text)));
}

void control_no_device(struct control_caller *caller, const char *text)
{
	const char *why = device_registry_refuses(control_rooms(caller)->devices->registry, text);
	struct device *off = NULL;
	int r;

	if (is_group(caller, text))
		return;
	r = port_off_resolve(control_rooms(caller)->devices, text, &off);
	if (r == RESOLVE_AMBIGUOUS) {
		control_ambiguous(caller, text);
		return;
	}
	/* It is there, and not listed: a hub, or a device that itself came over USB/IP. */
	if (why)
		control_error(caller, "Denied", json_pack("{s:s}", "by", why));
	else
		control_error(caller, "NoSuchDevice",
			      json_pack("{s:o, s:o, s:o}", "device", json_text(text), "near",
					json_near(control_rooms(caller), text), "port_off",
					json_text(off ? off->busid : NULL)));
}

void control_no_vm(struct control_caller *caller, const char *name)
{
	const char *near = vm_near(control_rooms(caller)->vms, name);

	control_error(caller, "NoSuchVm",
		      json_pack("{s:o, s:o}", "vm", json_text(name), "near", json_text(near)));
}

/* Add one of those that are meant, or count it if there is no room. */
static void add_candidate(json_t *candidates, const struct device *d, json_int_t *left_out)
{
	char what[DEVICE_WORDS_MAX], line[DEVICE_WORDS_MAX + 64];

	if (json_array_size(candidates) == CANDIDATES_MAX) {
		++*left_out;
		return;
	}
	snprintf(line, sizeof(line), "port=%s  %s%s", d->busid, device_words(d, what, sizeof(what)),
		 d->unpowered ? "  (its port is off)" : "");
	json_array_append_new(candidates, json_text(line));
}

void control_ambiguous(struct control_caller *caller, const char *text)
{
	json_t *candidates = json_array();
	json_int_t left_out = 0;

	list_for_each(it, &control_rooms(caller)->devices->all) {
		const struct device *d = list_entry(it, struct device, link);

		if (device_is_meant(d, text))
			add_candidate(candidates, d, &left_out);
	}
	list_for_each(it, &control_rooms(caller)->devices->off) {
		const struct port_off *off = list_entry(it, struct port_off, device.link);

		if (port_off_shown(off) && device_is_meant(&off->device, text))
			add_candidate(candidates, &off->device, &left_out);
	}
	control_error(caller, "Ambiguous",
		      json_pack("{s:o, s:I}", "candidates", candidates, "left_out", left_out));
}

static const struct wish *wish_on(const struct control_rooms *rooms, const char *text)
{
	const struct wish *w = NULL;

	for (size_t i = 0; !w && i < WISH_LISTS; i++)
		w = wish_find_on(&rooms->books->now.list[i], text);
	return w;
}

/* Something was said of several devices, none of which is there. */
void control_ambiguous_wishes(struct control_caller *caller, const struct route_subject *subjects,
			      size_t n)
{
	json_t *candidates = json_array();
	size_t told = min_t(size_t, n, CANDIDATES_MAX);

	for (size_t i = 0; i < told; i++) {
		const struct wish *w = wish_on(control_rooms(caller), subjects[i].wish_on);

		if (w)
			json_array_append_new(candidates,
					      json_sprintf("%s=%s  %04x:%04x, not plugged in",
							   w->serial ? "serial" : "port",
							   w->serial ? w->serial : w->port,
							   w->id_vendor, w->id_product));
	}
	control_error(caller, "Ambiguous",
		      json_pack("{s:o, s:I}", "candidates", candidates, "left_out",
				(json_int_t)(n - told)));
}

/*
 * The device that a parameter means, plugged in or in a port that is switched off; NULL for one
 * that is known by its name and not plugged in.
 * False, and answered, where there is none.
 */
bool control_device_parameter(struct control_caller *caller, const char *text,
			      struct device **ret_device)
{
	const char *expected = NULL;
	enum device_by by;
	int r = device_resolve(control_rooms(caller)->devices, text, ret_device, &by, &expected);

	if (r == 0 || port_off_resolve(control_rooms(caller)->devices, text, ret_device) == 0)
		return true;
	*ret_device = NULL;
	if (r == RESOLVE_ABSENT)
		return true;
	if (r == RESOLVE_AMBIGUOUS)
		control_ambiguous(caller, text);
	else if (r < 0)
		control_invalid_device(caller, text, expected);
	else
		control_no_device(caller, text);
	return false;
}
