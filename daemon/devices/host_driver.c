/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's drivers of a device; see host_driver.h. */
#include "daemon/devices/host_driver.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "daemon/devices/device.h"

static void dir_closep(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* The driver that has an interface, which is a folder of this name in the device's: "" for none. */
static void driver_of(const char *syspath, const char *interface, struct host_driver *driver)
{
	char path[PATH_MAX], to[PATH_MAX];
	const char *name;
	ssize_t n;

	driver->name[0] = 0;
	if (snprintf(path, sizeof(path), "%s/%s/driver", syspath, interface) >= (int)sizeof(path))
		return;
	n = readlink(path, to, sizeof(to) - 1);
	if (n < 0)
		return;
	to[n] = 0;
	name = strrchr(to, '/');
	snprintf(driver->name, sizeof(driver->name), "%.63s", name ? name + 1 : to);
}

/**
 * device_host_driver() - a driver of the host's that has an interface of a device now
 * @device:	the device
 *
 * usbfs is what has those that a program has claimed, us among them.
 *
 * Return: the first one that is found.
 */
struct host_driver device_host_driver(const struct device *device)
{
	_cleanup_(dir_closep) DIR *dir = opendir(device->syspath);
	struct host_driver driver = {};
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		/* Interfaces are BUSID:CONFIGURATION.NUMBER; its own folders have no colon. */
		if (!strchr(entry->d_name, ':'))
			continue;
		driver_of(device->syspath, entry->d_name, &driver);
		if (driver.name[0] && strcmp(driver.name, "usbfs") != 0)
			return driver;
	}
	return (struct host_driver){};
}
