/* SPDX-License-Identifier: BSD-2-Clause */
/* One device among the present ones: its facts, its names, and which one a person means. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/daemon.h"
#include "policy/name.h"

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
	};
}

/**
 * device_pair_is_unique() - whether id and serial tell a device from all others that are present
 * @device:	the device
 */
bool device_pair_is_unique(const struct device *device)
{
	if (!device->serial)
		return false;
	list_for_each(it, &device->daemon->devices) {
		const struct device *d = list_entry(it, struct device, link);

		if (d != device && d->id_vendor == device->id_vendor &&
		    d->id_product == device->id_product && d->serial &&
		    !strcmp(d->serial, device->serial))
			return false;
	}
	return true;
}

/**
 * device_alias() - what people call a device
 * @device:	the device
 *
 * Return: its section's name, else the name that it was given by command, else NULL.
 */
const char *device_alias(const struct device *device)
{
	if (device->section)
		return device->section->name;
	return device->given[0] ? device->given : NULL;
}

static const struct config_device *section_for(const struct device *device)
{
	struct device_facts facts = device_facts_of(device);

	list_for_each(it, &device->daemon->config->devices) {
		const struct config_device *c = list_entry(it, struct config_device, link);

		if (selector_matches(&c->match, &facts))
			return c;
	}
	return NULL;
}

/**
 * device_name_anew() - find out what a device is called
 * @device:	the device; its section, given name and tag are set
 *
 * A name that the configuration has for something by now is not given to anything else.
 */
void device_name_anew(struct device *device)
{
	const struct config *config = device->daemon->config;
	struct device_facts facts;
	const struct wish *name;

	device->section = section_for(device);
	device->given[0] = 0;
	facts = device_facts_of(device);
	name = wish_find(&device->daemon->book.list[WISHES_NAMES], &facts,
			 device_pair_is_unique(device));
	if (name && !config_find_device(config, name->target) &&
	    !config_find_group(config, name->target))
		memcpy(device->given, name->target, sizeof(device->given));
	if (device_alias(device))
		snprintf(device->tag, sizeof(device->tag), "%s", device_alias(device));
	else
		snprintf(device->tag, sizeof(device->tag), "%04x:%04x at %s", device->id_vendor,
			 device->id_product, device->busid);
}

/**
 * devices_name_anew() - what devices are called has changed
 * @daemon:	the daemon
 */
void devices_name_anew(struct daemon *daemon)
{
	list_for_each(it, &daemon->devices)
		device_name_anew(list_entry(it, struct device, link));
	list_for_each(it, &daemon->ports_off)
		device_name_anew(list_entry(it, struct device, link));
}

/* Whether a word is a name for a device, plugged in or not. */
static bool is_alias(const struct daemon *daemon, const char *text)
{
	return config_find_device(daemon->config, text) ||
	       wish_find_target(&daemon->book.list[WISHES_NAMES], text);
}

/**
 * device_is_meant() - whether a person's word for a device means this one
 * @device:	the device
 * @text:	an alias or a selector
 */
bool device_is_meant(const struct device *device, const char *text)
{
	struct device_facts facts = device_facts_of(device);
	struct selector s = SELECTOR_INIT;
	const char *expected;
	bool meant = false;

	if (device_alias(device) && !strcmp(device_alias(device), text))
		return true;
	if (is_alias(device->daemon, text))
		return false;
	if (selector_parse_word(&s, text, &expected) == 0)
		meant = selector_matches(&s, &facts);
	selector_deinit(&s);
	return meant;
}

/**
 * device_resolve() - find the one device that a person means
 * @daemon:		whose devices
 * @text:		an alias or a selector
 * @ret_device:		the device, where there is just one
 * @ret_by_port:	whether it was named by its port
 * @ret_expected:	where @text is neither: what it could have been
 *
 * Return: 0, RESOLVE_UNKNOWN, RESOLVE_AMBIGUOUS, RESOLVE_ABSENT, or -EINVAL.
 */
int device_resolve(struct daemon *daemon, const char *text, struct device **ret_device,
		   bool *ret_by_port, const char **ret_expected)
{
	bool named = is_alias(daemon, text);
	struct selector s = SELECTOR_INIT;
	struct device *found = NULL;
	int r = 0;

	*ret_by_port = false;
	if (!named) {
		r = selector_parse_word(&s, text, ret_expected);
		if (r == 0)
			*ret_by_port = s.port != NULL;
		selector_deinit(&s);
		/* A bare name that is no alias: such a device is simply not known. */
		if (r < 0)
			return name_valid(text) ? RESOLVE_UNKNOWN : -EINVAL;
	}
	list_for_each(it, &daemon->devices) {
		struct device *d = list_entry(it, struct device, link);

		if (!device_is_meant(d, text))
			continue;
		if (found)
			return RESOLVE_AMBIGUOUS;
		found = d;
	}
	if (!found)
		return named ? RESOLVE_ABSENT : RESOLVE_UNKNOWN;
	*ret_device = found;
	return 0;
}
