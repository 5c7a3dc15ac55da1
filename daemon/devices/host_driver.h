/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a driver of the host's has an interface of a device, by the links in sysfs. Reading a link
 * takes no lock of the device's. No state.
 */
#pragma once

struct device;

struct host_driver {
	char name[64]; /* ""; the host has none */
};

struct host_driver device_host_driver(const struct device *device);
