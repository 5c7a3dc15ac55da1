/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which USB devices are plugged in: libudev's enumeration and its monitor, as struct device.
 *
 * Hubs (whose removal would take other devices along), and devices that themselves come over
 * vhci_hcd (a loop), are never listed and so never routed; device_registry_refuses() tells who
 * names one. All that is known of a device comes from sysfs, and from udev's hardware database
 * where the device does not say its name; nothing is opened to learn it. What may take a device's lock
 * is read elsewhere (device_look.h). Where the monitor lost
 * events, all is enumerated again and compared.
 */
#pragma once

#include <stdbool.h>

struct devices;
struct device;
struct device_registry;

/**
 * typedef device_prepare - make what the rooms above keep with a device
 * @ctx:	as given
 * @device:	about to be listed; it raises EVENT_DEVICE_ADDED, and EVENT_DEVICE_REMOVED at its end
 *
 * Return: 0, or a negative errno: it can't be listed.
 */
typedef int (*device_prepare)(void *ctx, struct device *device);

int device_registry_new(struct device_registry **ret_registry, struct devices *devices,
			device_prepare prepare, void *ctx);
struct device_registry *device_registry_free(struct device_registry *registry);
int device_registry_start(struct device_registry *registry);
bool device_registry_settled(const struct device_registry *registry);
int device_registry_stable_port(struct device_registry *registry, const char *busid,
				char **ret_port);
const char *device_registry_refuses(struct device_registry *registry, const char *text);
