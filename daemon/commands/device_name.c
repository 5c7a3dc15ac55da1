/* SPDX-License-Identifier: BSD-2-Clause */
/* Names by command; see device_name.h. How a device gets to be called: device_names.h. */
#include "daemon/commands/device_name.h"

#include <stdio.h>

#include "base/log.h"
#include "daemon/commands/commands.h"
#include "policy/serial.h"

/* Why a device can't be given a name; false where it can. */
static bool name_is_taken(const struct device *d, const char *name, char *error, size_t size)
{
	const struct config *config = d->devices->core->config;

	if (device_bears_section(d))
		snprintf(error, size, "the configuration calls it %s: [device %s]",
			 d->section->name, d->section->name);
	else if (config_find_device(config, name))
		snprintf(error, size, "%s is a name in the configuration: [device %s]", name, name);
	else if (config_find_group(config, name))
		snprintf(error, size, "%s is the name of a group in the configuration", name);
	else
		return false;
	return true;
}

/**
 * device_give_name() - call a device by a name from now on, whoever had it before
 * @commands:	the commands
 * @device:	the device
 * @by_port:	whatever is plugged into its port is meant
 * @name:	a valid alias; NULL: it has none any more
 * @error:	where it can't be done: why, for a person
 * @size:	room there
 *
 * Wishes for that name then mean this device, and are followed at once.
 *
 * Return: 0 once it is on the disk, NAME_TAKEN, or a negative errno; but for 0 nothing has changed.
 */
int device_give_name(struct commands *commands, struct device *device, bool by_port,
		     const char *name, char *error, size_t size)
{
	struct device_facts facts = device_facts_of(device);
	struct wishes *names;
	struct wish_book next;
	char what[120];
	int r;

	if (name && name_is_taken(device, name, error, size))
		return NAME_TAKEN;
	if (!name && device_bears_section(device)) {
		snprintf(
			error, size,
			"the configuration calls it %s, and no command takes that name away: [device %s]",
			facts.alias, facts.alias);
		return NAME_TAKEN;
	}
	snprintf(error, size, "out of memory");
	r = wish_book_copy(&next, &commands->books->now);
	if (r < 0)
		return r;
	names = &next.list[WISHES_NAMES];
	/* The name that it has; it may have been given to the device in another port. */
	if (facts.alias)
		wish_forget_target(names, facts.alias);
	if (name) {
		/* Only one device has a name: take it from the one that had it. */
		wish_forget_target(names, name);
		r = wish_append(names, &facts, by_port, serial_lasting(&facts) != NULL, name);
	}
	if (r < 0) {
		snprintf(error, size, "%s", errno_text(r));
		wish_book_deinit(&next);
		return r;
	}
	snprintf(what, sizeof(what), "alias %s %s", device->tag, name ? name : "none");
	r = wish_book_change(commands->books, &next, what, error, size);
	if (r < 0)
		return r;
	devices_name_anew(commands->devices);
	routes_review(commands->routing);
	return 0;
}

/**
 * device_forget_name() - take away a name that a command gave to a device that is not there
 * @commands:	the commands
 * @name:	the name
 * @error:	where it can't be done: why, for a person
 * @size:	room there
 *
 * Return: as device_give_name().
 */
int device_forget_name(struct commands *commands, const char *name, char *error, size_t size)
{
	struct wish_book next;
	char what[120];
	int r;

	if (!wish_find_target(&commands->books->now.list[WISHES_NAMES], name)) {
		snprintf(
			error, size,
			"the configuration has that name, and no command takes it away: [device %s]",
			name);
		return NAME_TAKEN;
	}
	snprintf(error, size, "out of memory");
	r = wish_book_copy(&next, &commands->books->now);
	if (r < 0)
		return r;
	wish_forget_target(&next.list[WISHES_NAMES], name);
	snprintf(what, sizeof(what), "alias %s none", name);
	r = wish_book_change(commands->books, &next, what, error, size);
	if (r < 0)
		return r;
	devices_name_anew(commands->devices);
	routes_review(commands->routing);
	return 0;
}
