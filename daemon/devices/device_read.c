/* SPDX-License-Identifier: BSD-2-Clause */
/* What is known of a device, read from sysfs, udev's database and its descriptors; see
 * device_read.h. */
#include "daemon/devices/device_read.h"

#include <errno.h>
#include <libudev.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "daemon/devices/device.h"
#include "daemon/devices/device_hid.h"
#include "daemon/devices/device_look.h"
#include "usb/usb_descriptor.h"
#include "usb/usb_model.h"

#define TEXT_MAX 126 /* bytes; as many UTF-16 units fit a string descriptor */

/**
 * device_attr_number() - a number that sysfs says of a device
 * @u:		the device
 * @name:	the attribute
 * @base:	how it is written there
 *
 * Return: the number; 0 where there is none.
 */
unsigned long device_attr_number(struct udev_device *u, const char *name, int base)
{
	const char *s = udev_device_get_sysattr_value(u, name);

	return s ? strtoul(s, NULL, base) : 0;
}

/* What a device says of itself, as far as TEXT_MAX: lists of devices must fit a message. */
static int keep_text(const char *s, char **ret_text)
{
	if (!s || !*s)
		return 0;
	*ret_text = strndup(s, utf8_cut(s, TEXT_MAX));
	return *ret_text ? 0 : -ENOMEM;
}

/*
 * What the hardware database calls a device that does not tell its name. udev's own properties have
 * it if udevd has seen the device; the file always has it.
 */
static int name_from_database(struct udev_hwdb *hwdb, struct udev_device *u, const char *modalias,
			      const char *key, char **ret_text)
{
	const char *s = udev_device_get_property_value(u, key);
	struct udev_list_entry *entry;

	if ((!s || !*s) && hwdb) {
		entry = udev_hwdb_get_properties_list_entry(hwdb, modalias, 0);
		entry = udev_list_entry_get_by_name(entry, key);
		s = entry ? udev_list_entry_get_value(entry) : NULL;
	}
	if (!s || !*s)
		return 0;
	*ret_text = strndup(s, utf8_cut(s, TEXT_MAX));
	return *ret_text ? 0 : -ENOMEM;
}

/* For people, and for selectors, which match what people see. No wish hangs on them. */
static int set_names(struct udev_hwdb *hwdb, struct device *d, struct udev_device *u,
		     const struct device_seen *seen)
{
	char modalias[32];
	int r;

	snprintf(modalias, sizeof(modalias), "usb:v%04Xp%04X", d->id_vendor, d->id_product);
	r = keep_text(seen->product, &d->product);
	if (r == 0 && !d->product)
		r = name_from_database(hwdb, u, modalias, "ID_MODEL_FROM_DATABASE", &d->product);
	if (r == 0)
		r = keep_text(seen->manufacturer, &d->manufacturer);
	if (r == 0 && !d->manufacturer)
		r = name_from_database(hwdb, u, modalias, "ID_VENDOR_FROM_DATABASE",
				       &d->manufacturer);
	return r;
}

/**
 * device_read_stable_port() - the stable spelling of a port
 * @u:		the device in it, or its root hub
 * @busid:	the port as the kernel calls it
 * @ret_port:	its stable name, to be freed by the caller
 *
 * That is the last name above the root hub that survives a reboot, the root hub's speed, and the
 * way from there. A platform device that the kernel numbered by itself ("xhci-hcd.1.auto") doesn't
 * survive; its parent, named by its address, does.
 *
 * Return: 0 or -ENOMEM.
 */
int device_read_stable_port(struct udev_device *u, const char *busid, char **ret_port)
{
	struct udev_device *root = u, *up;
	const char *controller, *way = strchr(busid, '-');
	unsigned long speed;

	for (;;) {
		up = udev_device_get_parent_with_subsystem_devtype(root, "usb", "usb_device");
		if (!up)
			break;
		root = up;
	}
	speed = device_attr_number(root, "speed", 10);
	for (up = udev_device_get_parent(root); up; up = udev_device_get_parent(up)) {
		size_t n;

		controller = udev_device_get_sysname(up);
		n = strlen(controller);
		if (n < 5 || strcmp(controller + n - 5, ".auto"))
			break;
	}
	controller = up ? udev_device_get_sysname(up) : "unknown";
	if (asprintf(ret_port, "%s/usb%d:%s", controller, speed >= 5000 ? 3 : 2,
		     way ? way + 1 : "0") < 0) {
		*ret_port = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* USB/IP's number (Linux's enum usb_device_speed); above SuperSpeed clients know no more. */
static uint32_t wire_speed(unsigned long megabits, const char *text)
{
	if (text && !strcmp(text, "1.5"))
		return 1;
	if (megabits >= 5000)
		return 5;
	if (megabits >= 480)
		return 3;
	return 2;
}

/* What is wrong with a device's descriptors is the device's, its cable's or its port's. */
static void say_broken(struct device *d, const char *why)
{
	snprintf(
		d->broken, sizeof(d->broken),
		"%s; plug it in again, with another cable or into another port, and where that does not help report it with what `lsusb -v -s %u:%u` prints",
		why, d->busnum, d->devnum);
}

static int read_descriptors(struct device *d, const struct device_seen *seen)
{
	struct usb_descriptor_fault fault = {0};
	int r;

	if (!seen->descriptors) {
		snprintf(fault.text, sizeof(fault.text), "its descriptors can't be read: %s",
			 errno_text(seen->error));
		say_broken(d, fault.text);
		return 0;
	}
	r = usb_descriptor_read(seen->descriptors, seen->n_descriptors, seen->configuration,
				&d->info, &fault);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		say_broken(d, fault.text);
	device_hid_read(d, seen->descriptors, seen->n_descriptors, seen->configuration);
	return 0;
}

/* Nothing is known of it that policy could judge, so nobody gets it until it answers. */
static void say_unread(struct device *d)
{
	d->unread = true;
	snprintf(
		d->broken, sizeof(d->broken),
		"the kernel does not tell what it is: another program, or the kernel itself, has it in its hands, a reset for example; it is used as soon as that has ended, and where it does not end, plug it in again");
}

/**
 * device_read() - make a device of what sysfs, udev and its descriptors say
 * @ret_device:	the device, in no list; freed with device_free()
 * @devices:	whose device; its configuration names it
 * @hwdb:	names for what tells none, or NULL
 * @u:		the device in sysfs
 * @seen:	what a look has found, or NULL: not yet, and the device is @unread
 *
 * Descriptors that can't be trusted make the device broken, and have no other effect.
 *
 * Return: 0, -ENODEV where it is on its way out, or -ENOMEM.
 */
int device_read(struct device **ret_device, struct devices *devices, struct udev_hwdb *hwdb,
		struct udev_device *u, const struct device_seen *seen)
{
	static const struct device_seen none = {.configuration = USB_NO_CONFIGURATION};
	_cleanup_(device_freep) struct device *d = device_new(devices);
	const char *syspath = udev_device_get_syspath(u);
	const char *speed = udev_device_get_sysattr_value(u, "speed");
	const char *busid = udev_device_get_sysname(u);

	if (!d)
		return -ENOMEM;
	d->syspath = strdup(syspath);
	d->busid = strdup(busid);
	if (!d->syspath || !d->busid || device_read_stable_port(u, busid, &d->stable_port) ||
	    keep_text(seen ? seen->serial : NULL, &d->serial))
		return -ENOMEM;
	d->id_vendor = (uint16_t)device_attr_number(u, "idVendor", 16);
	d->id_product = (uint16_t)device_attr_number(u, "idProduct", 16);
	if (set_names(hwdb, d, u, seen ? seen : &none) < 0)
		return -ENOMEM;
	d->busnum = (uint16_t)device_attr_number(u, "busnum", 10);
	d->devnum = (uint16_t)device_attr_number(u, "devnum", 10);
	if (!d->busnum || !d->devnum)
		return -ENODEV; /* it is on its way out */
	/* Another one in that port, whose own event comes. */
	if (seen && seen->devnum != d->devnum)
		return -ENODEV;
	if (!seen)
		say_unread(d);
	else if (read_descriptors(d, seen) < 0)
		return -ENOMEM;
	snprintf(d->info.path, sizeof(d->info.path), "%.255s", syspath);
	snprintf(d->info.busid, sizeof(d->info.busid), "%.31s", busid);
	/* The stock tool keeps 8 bits of each; on the wire they only have to be consistent. */
	d->info.busnum = (d->busnum - 1u) % 255 + 1;
	d->info.devnum = (d->devnum - 1u) % 255 + 1;
	d->info.speed = wire_speed(speed ? strtoul(speed, NULL, 10) : 0, speed);
	device_find_section(d);
	*ret_device = take_ptr(d);
	return 0;
}

/**
 * device_stands_reset() - whether a device may be reset
 * @device:	the device
 *
 * Return: false where its model is known to be of no use afterwards.
 */
bool device_stands_reset(const struct device *device)
{
	return usb_model_stands_reset(device->id_vendor, device->id_product);
}
