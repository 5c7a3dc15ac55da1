/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where devices come from. A source finds what is plugged in, and makes a struct device of each with
 * what is known of it; the list of devices (device_registry.h) asks it by this table.
 *
 *   device_udev.c	libudev's enumeration and its monitor, and sysfs
 *   a test's		a script (tests/unit/route-fixture.c)
 *
 * A source tells the list by device_registry_told(), device_registry_gone() and so on, from start() on.
 * It is the list's from device_registry_new() on. Control thread only.
 */
#pragma once

#include <stdbool.h>

struct device;
struct device_registry;
struct device_source;

struct device_source_ops {
	/* Tell @registry what is there, and go on with what comes. 0 or a negative errno. */
	int (*start)(struct device_source *source, struct device_registry *registry);
	/* All is told that was there at the start. */
	bool (*settled)(const struct device_source *source);
	/* Is it still plugged in? Asked of a device in the list of which nothing was told. */
	bool (*has)(const struct device_source *source, const struct device *device);
	/* The list has found by has() that it is gone: nothing more is to be told of it. NULL: nothing
	 * would be. */
	void (*forget)(struct device_source *source, const struct device *device);
	/* The stable name of a port that may be empty; as device_registry_stable_port(). */
	int (*stable_port)(struct device_source *source, const char *busid, char **ret_port);
	void (*free)(struct device_source *source);
};

/* The beginning of each source. */
struct device_source {
	const struct device_source_ops *ops;
};
