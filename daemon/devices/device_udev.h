/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices by libudev: its enumeration, its monitor, and sysfs, where device_read.c finds what is known
 * of one. Nothing is opened to learn it. What may take a device's lock is read in a thread of its own
 * (device_look.h). Where the monitor has lost events, all is enumerated again and compared.
 */
#pragma once

struct device_source;
struct devices;

int device_udev_new(struct device_source **ret_source, struct devices *devices);
