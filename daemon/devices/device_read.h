/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One device as sysfs, udev and its own descriptors tell of it, for device_udev.c. The device
 * itself says all of it: texts are bounded, and descriptors that lie make it broken.
 */
#pragma once

struct devices;
struct device;
struct device_seen;
struct udev_device;
struct udev_hwdb;

int device_read(struct device **ret_device, struct devices *devices, struct udev_hwdb *hwdb,
		struct udev_device *u, const struct device_seen *seen);
int device_read_stable_port(struct udev_device *u, const char *busid, char **ret_port);
unsigned long device_attr_number(struct udev_device *u, const char *name, int base);
