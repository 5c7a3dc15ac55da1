/* SPDX-License-Identifier: BSD-2-Clause */
/* One device among the present ones: its facts, its names, and which one a person means. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/devices/device.h"
#include "daemon/devices/twins.h"
#include "policy/name.h"
#include "policy/serial.h"

/**
 * devices_init() - no device yet
 * @devices:	them
 * @core:	what control works with
 * @books:	what was said of devices
 */
void devices_init(struct devices *devices, struct core *core, struct wish_books *books)
{
	*devices = (struct devices){.core = core, .books = books};
	list_init(&devices->all);
	list_init(&devices->gone);
	list_init(&devices->off);
	bearers_init(&devices->names.bearers);
	devices->names.wait_ns = NAME_WAIT_NS;
}

/**
 * device_new() - a device of which nothing is known yet
 * @devices:	where it will be listed
 *
 * Return: the device, in no list, freed with device_free(); NULL: no memory.
 */
struct device *device_new(struct devices *devices)
{
	struct device *device = calloc(1, sizeof(*device));

	if (!device)
		return NULL;
	list_init(&device->link);
	device->devices = devices;
	return device;
}

/**
 * device_free() - forget a device
 * @device:	in no list, but perhaps in devices->gone; or NULL
 *
 * Return: NULL.
 */
struct device *device_free(struct device *device)
{
	if (!device)
		return NULL;
	event_source_forget(&device->events);
	list_remove(&device->link);
	free(device->syspath);
	free(device->busid);
	free(device->stable_port);
	free(device->serial);
	free(device->manufacturer);
	free(device->product);
	free(device);
	return NULL;
}

/* For _cleanup_(). */
void device_freep(struct device **device)
{
	*device = device_free(*device);
}

/**
 * device_list() - a device is plugged in
 * @device:	in no list yet
 */
void device_list(struct device *device)
{
	device->number = ++device->devices->n_seen;
	list_append(&device->devices->all, &device->link);
	/* Others may have a twin now. */
	core_basis_changed(device->devices->core);
	device_raise(device, EVENT_DEVICE_ADDED);
}

/**
 * device_listed() - a device has been listed: find out what it is called, and say so
 * @device:	the device; what was unplugged before has been forgotten
 */
void device_listed(struct device *device)
{
	core_basis_changed(device->devices->core);
	device->had_twin = twins_had(device->devices, device);
	devices_name_anew(device->devices);
	if (device->broken[0])
		log_warning("%s: %s: broken: %s", device->tag, device->busid, device->broken);
	else
		log_info("%s: plugged in (%04x:%04x \"%s\", port %s)", device->tag,
			 device->id_vendor, device->id_product,
			 device->product ? device->product : "", device->stable_port);
}

/**
 * device_unlist() - a device was unplugged
 * @device:	in the list; whoever hears of it last frees it
 */
void device_unlist(struct device *device)
{
	list_remove(&device->link);
	list_append(&device->devices->gone, &device->link);
	core_basis_changed(device->devices->core);
	device_raise(device, EVENT_DEVICE_REMOVED);
}

/**
 * device_known_anew() - what is known of a device has changed
 * @device:	in the list
 *
 * It may have another name, be in other groups and under other rules now.
 */
void device_known_anew(struct device *device)
{
	core_basis_changed(device->devices->core);
	devices_name_anew(device->devices);
	device->judge = true;
	device_raise(device, EVENT_DEVICE_REVIEW);
}

/**
 * device_facts_of() - a device as selectors and wishes see it
 * @device:	the device; the facts borrow its strings
 */
struct device_facts device_facts_of(const struct device *device)
{
	return (struct device_facts){
		.id_vendor = device->id_vendor,
		.id_product = device->id_product,
		.serial = device->serial,
		.product = device->product,
		.busid = device->busid,
		.stable_port = device->stable_port,
		.alias = device_alias(device),
		.classes = device->classes,
		.plugging = (uint32_t)device->busnum << 16 | device->devnum,
	};
}

static bool is_twin(const struct device *d, const struct device *other)
{
	return other != d && other->id_vendor == d->id_vendor &&
	       other->id_product == d->id_product && other->serial && d->serial &&
	       !strcmp(other->serial, d->serial);
}

/**
 * device_has_twin() - whether another one of the same id and serial is there
 * @device:	the device
 */
bool device_has_twin(const struct device *device)
{
	list_for_each(it, &device->devices->all) {
		if (is_twin(device, list_entry(it, struct device, link)))
			return true;
	}
	return false;
}

/**
 * device_pair_is_unique() - whether id and serial tell a device from all others that are present
 * @device:	the device
 *
 * A serial that contains the port tells it from none.
 */
bool device_pair_is_unique(const struct device *device)
{
	struct device_facts facts = device_facts_of(device);

	return serial_lasting(&facts) && !device_has_twin(device);
}

/**
 * device_pair_tells() - whether a wish for this id and serial means this device
 * @device:	the device
 *
 * If a twin was there beside it, the twin may have been meant, even if it has gone: then the port
 * has to be the same, too.
 */
bool device_pair_tells(const struct device *device)
{
	return !device->had_twin && device_pair_is_unique(device);
}

/**
 * device_alias() - what people call a device
 * @device:	the device
 *
 * Return: the name that it bears, its section's or the one that it was given by command; else NULL.
 */
const char *device_alias(const struct device *device)
{
	return device->alias[0] ? device->alias : NULL;
}

/**
 * device_bears_section() - whether a device is the one that its section names
 * @device:	the device
 *
 * A section may match several devices, of which one bears its name.
 */
bool device_bears_section(const struct device *device)
{
	return device->section && !strcmp(device->section->name, device->alias);
}

/**
 * device_find_section() - find out which section of the configuration matches a device
 * @device:	the device; its section and tag are set. What it is called, device_names.h decides
 *
 * Of several, it is the first in the file.
 */
void device_find_section(struct device *device)
{
	struct device_facts facts = device_facts_of(device);

	core_basis_changed(device->devices->core);
	device->section = NULL;
	list_for_each(it, &device->devices->core->config->devices) {
		const struct config_device *c = list_entry(it, struct config_device, link);

		if (selector_matches(&c->match, &facts)) {
			device->section = c;
			break;
		}
	}
	if (device_alias(device))
		snprintf(device->tag, sizeof(device->tag), "%s", device_alias(device));
	else
		snprintf(device->tag, sizeof(device->tag), "%04x:%04x at %s", device->id_vendor,
			 device->id_product, device->busid);
}

static bool is_borne(const struct devices *devices, const char *name)
{
	list_for_each(it, &devices->all) {
		if (!strcmp(list_entry(it, struct device, link)->alias, name))
			return true;
	}
	return false;
}

/* Whether a word is a name for a device, plugged in or not. */
static bool is_alias(const struct devices *devices, const char *text)
{
	return config_find_device(devices->core->config, text) ||
	       wish_find_target(&devices->books->now.list[WISHES_NAMES], text);
}

/**
 * device_is_meant() - whether a person's word for a device means this one
 * @device:	the device
 * @text:	an alias or a selector
 *
 * A section's name that no device bears means all that the section matches and that have no other.
 */
bool device_is_meant(const struct device *device, const char *text)
{
	struct device_facts facts = device_facts_of(device);
	struct selector s = SELECTOR_INIT;
	const char *expected;
	bool meant = false;

	if (device_alias(device) && !strcmp(device_alias(device), text))
		return true;
	if (device->section && !strcmp(device->section->name, text))
		return !device_alias(device) && !is_borne(device->devices, text);
	if (is_alias(device->devices, text))
		return false;
	if (selector_parse_word(&s, text, &expected) == 0)
		meant = selector_matches(&s, &facts);
	selector_deinit(&s);
	return meant;
}

/**
 * device_resolve() - find the one device that a person means
 * @devices:		whose devices
 * @text:		an alias or a selector
 * @ret_device:		the device, where there is just one
 * @ret_by:		how it was named
 * @ret_expected:	where @text is neither: what it could have been
 *
 * Return: 0, RESOLVE_UNKNOWN, RESOLVE_AMBIGUOUS, RESOLVE_ABSENT, or -EINVAL.
 */
int device_resolve(struct devices *devices, const char *text, struct device **ret_device,
		   enum device_by *ret_by, const char **ret_expected)
{
	bool named = is_alias(devices, text);
	struct selector s = SELECTOR_INIT;
	struct device *found = NULL;
	int r = 0;

	*ret_by = named ? DEVICE_BY_NAME : DEVICE_BY_SELECTOR;
	if (!named) {
		r = selector_parse_word(&s, text, ret_expected);
		if (r == 0 && s.port)
			*ret_by = DEVICE_BY_PORT;
		selector_deinit(&s);
		/* A bare name that is no alias: such a device is simply not known. */
		if (r < 0)
			return name_valid(text) ? RESOLVE_UNKNOWN : -EINVAL;
	}
	list_for_each(it, &devices->all) {
		struct device *d = list_entry(it, struct device, link);

		if (!device_is_meant(d, text))
			continue;
		if (found)
			return RESOLVE_AMBIGUOUS;
		found = d;
	}
	/* The one device that a name may mean, though it does not bear it. */
	if (found && named && !device_alias(found))
		found = NULL;
	if (!found)
		return named ? RESOLVE_ABSENT : RESOLVE_UNKNOWN;
	*ret_device = found;
	return 0;
}
