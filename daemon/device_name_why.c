/* SPDX-License-Identifier: BSD-2-Clause */
/* Why a device has no name, and why a name has no device, for people. Changes nothing. */
#include <stdio.h>
#include <string.h>

#include "daemon/route.h"

static const struct device *bearer_of(const struct daemon *daemon, const char *name)
{
	list_for_each(it, &daemon->devices) {
		const struct device *d = list_entry(it, struct device, link);

		if (!strcmp(d->alias, name))
			return d;
	}
	list_for_each(it, &daemon->ports_off) {
		const struct device *d = list_entry(it, struct device, link);

		if (!strcmp(d->alias, name))
			return d;
	}
	return NULL;
}

/**
 * device_is_ambiguous() - whether a section matches a device, and another one bears its name
 * @device:	the device
 */
bool device_is_ambiguous(const struct device *device)
{
	return device->section && !device_alias(device) && device->daemon->ready;
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
	const struct device *other = bearer_of(device->daemon, name);
	const struct bearer *b = bearers_find(&device->daemon->names.bearers, name);

	if (other)
		snprintf(text, size,
			 "[device %s] matches it, but %s is the one in port %s; make match "
			 "narrower (serial=, port=), or: usbroutectl alias port=%s NAME",
			 name, name, other->busid, device->busid);
	else if (b && b->until)
		snprintf(text, size,
			 "[device %s] matches it, but %s was another one, which has just gone; it "
			 "becomes %s if that one does not come back",
			 name, name, name);
	else
		snprintf(text, size,
			 "[device %s] matches several devices, and none of them was %s before; "
			 "make match narrower (serial=, port=), or: usbroutectl alias port=%s NAME",
			 name, name, device->busid);
}

/**
 * device_name_exists() - whether a section or a command gives a name to any device, there or not
 * @daemon:	the daemon
 * @name:	the name
 */
bool device_name_exists(const struct daemon *daemon, const char *name)
{
	return config_find_device(daemon->config, name) ||
	       wish_find_target(&daemon->book.list[WISHES_NAMES], name);
}

/**
 * device_name_why_absent() - why no present device bears a name
 * @daemon:	the daemon
 * @name:	a name that nobody bears
 * @text:	gets it
 * @size:	room there
 */
void device_name_why_absent(const struct daemon *daemon, const char *name, char *text, size_t size)
{
	const struct config_device *section = config_find_device(daemon->config, name);
	size_t n = 0;

	if (!device_name_exists(daemon, name)) {
		snprintf(text, size,
			 "no [device %s] is configured, and no device was given that name", name);
		return;
	}
	list_for_each(it, &daemon->devices) {
		const struct device *d = list_entry(it, struct device, link);
		struct device_facts facts = device_facts_of(d);

		n += section && d->section == section;
		if (!section || d->section == section || !selector_matches(&section->match, &facts))
			continue;
		snprintf(text, size,
			 "[device %s] matches the one in port %s, but [device %s] does so before",
			 name, d->busid, d->section->name);
		return;
	}
	if (n > 1)
		snprintf(text, size,
			 "[device %s] matches %zu devices, and none of them was %s before; make "
			 "match narrower (serial=, port=)",
			 name, n, name);
	else if (n)
		snprintf(text, size, "%s was another device, which has just gone", name);
	else
		snprintf(text, size, "it is not plugged in");
}
