/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looks at devices: what sysfs tells of a device that may take its lock, read in a thread of its own.
 *
 * The kernel takes a device's lock to tell its serial, product, manufacturer and
 * bConfigurationValue (Linux 6.1, 6.12: core/sysfs.c, usb_string_attr and usb_actconfig_show; before
 * 6.1.15 its descriptors, too), and whoever resets the device, or waits for a hub's port, holds that
 * lock for seconds. Control never reads these itself.
 *
 * A look: WAITING -> RUNNING -> told, and over
 *                       | deadline
 *                       v
 *                      LATE -> told again, and over
 *
 * There is one look a device. If something happens to the device meanwhile, the look begins again
 * when its thread is back, so that a device's events keep their order. LOOKS_MAX run at once, not
 * counting late ones: a silent device holds up no other. A look at an unplugged device is
 * forgotten, and its thread, which may never come back, frees it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct device_looks;
struct loop;
struct udev_device;

struct device_seen {
	char *serial, *product, *manufacturer; /* NULL: none */
	int configuration;		       /* or USB_NO_CONFIGURATION */
	uint8_t *descriptors;		       /* NULL: they can't be read */
	size_t n_descriptors;
	int error;   /* why not: an errno */
	long devnum; /* of the device all this is of; -1: it is another one by now */
};

/* Called in the looks' thread, never from within device_looks_at(). */
struct device_looks_ops {
	/* @seen: NULL where the deadline has passed; they come later then, if ever. */
	void (*told)(void *ctx, struct udev_device *u, const struct device_seen *seen);
	/* No look is waiting or running; told whenever it becomes so. */
	void (*settled)(void *ctx);
};

int device_looks_new(struct device_looks **ret_looks, struct loop *loop,
		     const struct device_looks_ops *ops, void *ctx);
struct device_looks *device_looks_free(struct device_looks *looks);
int device_looks_at(struct device_looks *looks, struct udev_device *u);
void device_looks_forget(struct device_looks *looks, const char *syspath);
bool device_looks_settled(const struct device_looks *looks);
