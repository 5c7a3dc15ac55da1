/* SPDX-License-Identifier: BSD-2-Clause */
/* What a device's HID interfaces are; see device_hid.h. */
#include "daemon/devices/device_hid.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "daemon/devices/device.h"
#include "usb/hid_found.h"
#include "usb/usb_configuration.h"
#include "usb/usb_descriptor.h"

/* How the HID bus names a device of USB: 0003:046D:C31C.0001. */
#define HID_BUS_USB "0003:"

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

#define _cleanup_dir_ _cleanup_(closedirp)

/* ------------------------------------------------------------- by protocol */

static void read_protocols(struct hid_found *found, const void *descriptors, size_t len,
			   int configuration)
{
	_cleanup_(usb_configuration_freep) struct usb_configuration *c = NULL;
	struct usb_descriptor_fault fault;
	struct usb_descriptors d;
	int i;

	if (configuration == USB_NO_CONFIGURATION ||
	    usb_descriptors_find(&d, descriptors, len, USB_DESCRIPTORS_SYSFS, &fault) < 0)
		return;
	i = usb_descriptors_index(&d, configuration);
	if (i < 0 ||
	    usb_configuration_read(&c, d.configurations[i].bytes, d.configurations[i].len) < 0)
		return;
	for (unsigned k = 0; k < c->n_interfaces; k++) {
		const struct usb_setting *s = usb_configuration_default(c, c->interfaces[k]);

		found->kinds[HID_BY_PROTOCOL][s->interface] |=
			(uint8_t)hid_protocol_kinds(s->interface_class, s->subclass, s->protocol);
	}
}

/* ------------------------------------------------------------- by report descriptor */

/* One interface's folder in sysfs: what the host's HID driver has read of it. */
static void read_interface(struct hid_found *found, const char *folder, uint8_t number)
{
	_cleanup_dir_ DIR *dir = opendir(folder);
	const struct dirent *e;

	while (dir && (e = readdir(dir))) {
		uint8_t data[HID_DESCRIPTOR_MAX];
		char path[PATH_MAX];
		ssize_t n;

		if (strncmp(e->d_name, HID_BUS_USB, strlen(HID_BUS_USB)) != 0 ||
		    snprintf(path, sizeof(path), "%s/%s/report_descriptor", folder, e->d_name) >=
			    (int)sizeof(path))
			continue;
		n = fd_read_file(path, data, sizeof(data));
		if (n > 0)
			found->kinds[HID_BY_REPORTS][number] |=
				(uint8_t)hid_report_kinds(data, (size_t)n);
	}
}

/* The folders of the active configuration's interfaces: BUSID:CONFIGURATION.INTERFACE. */
static void read_interfaces(struct hid_found *found, const struct device *device)
{
	_cleanup_dir_ DIR *dir = opendir(device->syspath);
	size_t len = strlen(device->busid);
	const struct dirent *e;

	while (dir && (e = readdir(dir))) {
		unsigned configuration, interface;
		char path[PATH_MAX];

		if (strncmp(e->d_name, device->busid, len) != 0 ||
		    sscanf(e->d_name + len, ":%u.%u", &configuration, &interface) != 2 ||
		    interface > 255 ||
		    snprintf(path, sizeof(path), "%s/%s", device->syspath, e->d_name) >=
			    (int)sizeof(path))
			continue;
		read_interface(found, path, (uint8_t)interface);
	}
}

/* ------------------------------------------------------------- the answer */

/**
 * device_classes_anew() - the classes that follow from all that is known of a device
 * @device:	the device; its classes are set
 */
void device_classes_anew(struct device *device)
{
	const struct usb_device_info *info = &device->info;
	unsigned kinds = hid_found_kinds(&device->hid);
	usb_class_set classes = 0;

	for (unsigned i = 0; i < info->num_interfaces && i < USB_INTERFACES_MAX; i++)
		classes |= usb_class_of(info->interfaces[i].interface_class,
					info->interfaces[i].subclass, info->interfaces[i].protocol);
	if (!classes)
		classes = usb_class_of(info->device_class, info->device_subclass,
				       info->device_protocol);
	if (kinds)
		classes |= 1u << USB_CLASS_HID;
	if (kinds & HID_KEYBOARD)
		classes |= 1u << USB_CLASS_HID_KEYBOARD;
	if (kinds & HID_POINTER)
		classes |= 1u << USB_CLASS_HID_MOUSE;
	device->classes = classes;
}

/**
 * device_hid_read() - look at a device's descriptors, and at what the host's HID driver has
 * @device:		the device; its @hid gets what is found, and its classes follow
 * @descriptors:	sysfs "descriptors"
 * @len:		bytes
 * @configuration:	the active one, or USB_NO_CONFIGURATION
 */
void device_hid_read(struct device *device, const void *descriptors, size_t len, int configuration)
{
	read_protocols(&device->hid, descriptors, len, configuration);
	read_interfaces(&device->hid, device);
	device_classes_anew(device);
}

/**
 * device_hid_add() - something more is known of a device's HID interfaces
 * @device:	the device, listed; its classes and its section follow
 * @found:	what is known
 *
 * Return: whether it was news.
 */
bool device_hid_add(struct device *device, const struct hid_found *found)
{
	if (!hid_found_join(&device->hid, found))
		return false;
	device_classes_anew(device);
	device_find_section(device);
	return true;
}

/**
 * device_hid_look_again() - the host's HID driver has taken an interface
 * @device:	the device, listed; its classes and its section follow
 *
 * It reads only report descriptors, for which sysfs does not wait for a device: a device may keep a
 * driver waiting that holds its lock.
 *
 * Return: whether there was news.
 */
bool device_hid_look_again(struct device *device)
{
	struct hid_found found = {};

	read_interfaces(&found, device);
	return device_hid_add(device, &found);
}

/**
 * device_class_text() - what a class of a device follows from, if that is not obvious
 * @device:	the device
 * @class_:	one of its classes
 * @text:	such as "from the report descriptor of interface 1"; "" for other classes
 * @size:	room there
 *
 * Return: @text.
 */
char *device_class_text(const struct device *device, enum usb_class class_, char *text, size_t size)
{
	snprintf(text, size, "%s", "");
	if (class_ == USB_CLASS_HID_KEYBOARD)
		hid_found_text(&device->hid, HID_KEYBOARD, text, size);
	else if (class_ == USB_CLASS_HID_MOUSE)
		hid_found_text(&device->hid, HID_POINTER, text, size);
	return text;
}
