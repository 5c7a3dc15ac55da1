/* SPDX-License-Identifier: BSD-2-Clause */
/* Why a device has no name, and why a name has no device, for people. Changes nothing. */
#include <stdio.h>
#include <string.h>

#include "daemon/devices/device.h"

static const struct device *bearer_of(const struct devices *devices, const char *name)
{
	list_for_each(it, &devices->all) {
		const struct device *d = list_entry(it, struct device, link);

		if (!strcmp(d->alias, name))
			return d;
	}
	list_for_each(it, &devices->off) {
		const struct device *d = list_entry(it, struct device, link);

		if (!strcmp(d->alias, name))
			return d;
	}
	return NULL;
}

/* How many match that have no other name. */
static size_t matched_by(const struct devices *devices, const struct config_device *section)
{
	size_t n = 0;

	list_for_each(it, &devices->all) {
		const struct device *d = list_entry(it, struct device, link);

		n += d->section == section && !d->alias[0];
	}
	return n;
}

/**
 * device_is_ambiguous() - whether a section matches a device, and another one bears its name
 * @device:	the device
 */
bool device_is_ambiguous(const struct device *device)
{
	return device->section && !device_alias(device) && device->devices->core->ready;
}

/**
 * device_why_ambiguous() - why a device is not called as its section says, and what to do
 * @device:	an ambiguous device
 * @text:	gets it
 * @size:	room there
 */
void device_why_ambiguous(const struct device *device, char *text, size_t size)
{
	const char *name = device->section->name;
	const struct device *other = bearer_of(device->devices, name);
	const struct bearer *b = bearers_find(&device->devices->names.bearers, name);

	if (other)
		snprintf(
			text, size,
			"[device %s] matches it, but %s is the one in port %s; make match narrower (serial=, port=), or: usbroutectl alias port=%s NAME",
			name, name, other->busid, device->busid);
	else if (b && b->until && matched_by(device->devices, device->section) == 1)
		snprintf(
			text, size,
			"[device %s] matches it, but %s was another one, which has just gone; it becomes %s if that one does not come back",
			name, name, name);
	else
		snprintf(
			text, size,
			"[device %s] matches several devices, and none of them was %s before; make match narrower (serial=, port=), or: usbroutectl alias port=%s NAME",
			name, name, device->busid);
}

/**
 * device_name_is_borne() - whether a device that is there is called by a name
 * @devices:	the devices
 * @name:	the name
 */
bool device_name_is_borne(const struct devices *devices, const char *name)
{
	return bearer_of(devices, name) != NULL;
}

/**
 * device_name_exists() - whether a section or a command gives a name to any device, there or not
 * @devices:	the devices
 * @name:	the name
 */
bool device_name_exists(const struct devices *devices, const char *name)
{
	return config_find_device(devices->core->config, name) ||
	       wish_find_target(&devices->books->now.list[WISHES_NAMES], name);
}

/* The present device that a command gave the name to, and that bears another name. */
static const struct device *given_to(const struct devices *devices, const char *name)
{
	const struct wish *w = wish_find_target(&devices->books->now.list[WISHES_NAMES], name);

	list_for_each(it, &devices->all) {
		const struct device *d = list_entry(it, struct device, link);

		if (w && d->alias[0] && !strcmp(d->stable_port, w->port) &&
		    (w->kind == WISH_PORT ||
		     (d->id_vendor == w->id_vendor && d->id_product == w->id_product)))
			return d;
	}
	return NULL;
}

/* A device that the section matches, but that an earlier section took. */
static const struct device *taken_before(const struct devices *devices,
					 const struct config_device *section)
{
	list_for_each(it, &devices->all) {
		const struct device *d = list_entry(it, struct device, link);
		struct device_facts facts = device_facts_of(d);

		if (d->section != section && selector_matches(&section->match, &facts))
			return d;
	}
	return NULL;
}

/**
 * device_name_why_absent() - why no present device bears a name
 * @devices:	the devices
 * @name:	a name that nobody bears
 * @text:	gets it
 * @size:	room there
 *
 * Return: whether it is anything else than that its device is not plugged in.
 */
bool device_name_why_absent(const struct devices *devices, const char *name, char *text,
			    size_t size)
{
	const struct config_device *section = config_find_device(devices->core->config, name);
	const struct bearer *b = bearers_find(&devices->names.bearers, name);
	size_t n = section ? matched_by(devices, section) : 0;
	const struct device *d = section ? taken_before(devices, section) : given_to(devices, name);
	bool waits = n && b && b->until;

	if (!device_name_exists(devices, name))
		snprintf(text, size,
			 "no [device %s] is configured, and no device was given that name", name);
	else if (waits)
		snprintf(text, size, "%s was another device, which has just gone", name);
	else if (n > 1)
		snprintf(
			text, size,
			"[device %s] matches %zu devices, and none of them was %s before; make match narrower (serial=, port=)",
			name, n, name);
	else if (d && section)
		snprintf(text, size,
			 "[device %s] matches the one in port %s, but [device %s] does so before",
			 name, d->busid, d->section->name);
	else if (d)
		snprintf(text, size, "the one in port %s, which was given that name, is called %s",
			 d->busid, d->alias);
	else
		snprintf(text, size, "it is not plugged in");
	return !waits && (n > 1 || d || !device_name_exists(devices, name));
}
