/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices by libudev; see device_udev.h. */
#include "daemon/devices/device_udev.h"

#include <errno.h>
#include <libudev.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/devices/device.h"
#include "daemon/devices/device_look.h"
#include "daemon/devices/device_read.h"
#include "daemon/devices/device_registry.h"
#include "daemon/devices/device_source.h"

#define MONITOR_BUFFER	   (4 * 1024 * 1024)
#define USB_CLASS_CODE_HUB 9

struct device_udev {
	struct device_source source;
	struct devices *devices;
	struct device_registry *registry; /* from start() on */
	struct udev *udev;
	struct udev_hwdb *hwdb; /* names of devices that tell none; NULL: there is no such file */
	struct udev_monitor *monitor;
	struct loop_watch watch;
	struct device_looks *looks;
};

static void udev_device_unrefp(struct udev_device **d)
{
	if (*d)
		udev_device_unref(*d);
}

#define _cleanup_udev_device_ _cleanup_(udev_device_unrefp)

static struct device_udev *udev_of(const struct device_source *source)
{
	return container_of(source, struct device_udev, source);
}

/* Why a device is never routed, before its descriptors are read; NULL where it may be. */
static const char *never_routed(struct udev_device *u)
{
	if (strstr(udev_device_get_syspath(u), "/vhci_hcd"))
		return "it came here over USB/IP, and what did is never routed";
	if (device_attr_number(u, "bDeviceClass", 16) == USB_CLASS_CODE_HUB)
		return "it is a hub, and hubs are never routed; name a device that is plugged into it";
	return NULL;
}

static bool is_usb_device(struct udev_device *u)
{
	const char *type = udev_device_get_devtype(u);

	return type && !strcmp(type, "usb_device");
}

/* ------------------------------------------------------------- what a look has found */

/* @seen: NULL where nothing is known yet. */
static void look_told(void *ctx, struct udev_device *u, const struct device_seen *seen)
{
	struct device_udev *udev = ctx;
	struct device *d;
	int r = device_read(&d, udev->devices, udev->hwdb, u, seen);

	if (r < 0) {
		if (r != -ENODEV)
			log_err("%s: %s", udev_device_get_sysname(u), errno_text(r));
		return;
	}
	d->never_routed = never_routed(u);
	device_registry_told(udev->registry, d);
}

static void looks_settled(void *ctx)
{
	struct device_udev *udev = ctx;

	device_registry_has_settled(udev->registry);
}

static const struct device_looks_ops looks_ops = {look_told, looks_settled};

static void look_at(struct device_udev *udev, struct udev_device *u)
{
	if (is_usb_device(u) && device_looks_at(udev->looks, u) < 0)
		log_err("%s: no memory to look at it", udev_device_get_sysname(u));
}

/* ------------------------------------------------------------- what is there */

/* All USB devices, hubs among them. */
static int scan(struct device_udev *udev, struct udev_enumerate **ret_found)
{
	struct udev_enumerate *e = udev_enumerate_new(udev->udev);
	int r;

	if (!e)
		return -ENOMEM;
	udev_enumerate_add_match_subsystem(e, "usb");
	udev_enumerate_add_match_property(e, "DEVTYPE", "usb_device");
	r = udev_enumerate_scan_devices(e);
	if (r < 0)
		udev_enumerate_unref(e);
	else
		*ret_found = e;
	return r < 0 ? r : 0;
}

static int enumerate(struct device_udev *udev)
{
	struct udev_enumerate *e;
	struct udev_list_entry *entry;
	int r = scan(udev, &e);

	if (r < 0)
		return r;
	/* What has gone without a word. */
	device_registry_sweep(udev->registry);
	for (entry = udev_enumerate_get_list_entry(e); entry;
	     entry = udev_list_entry_get_next(entry)) {
		_cleanup_udev_device_ struct udev_device *u =
			udev_device_new_from_syspath(udev->udev, udev_list_entry_get_name(entry));

		if (u)
			look_at(udev, u);
	}
	udev_enumerate_unref(e);
	return 0;
}

/* ------------------------------------------------------------- what comes */

/* The host's HID driver has an interface, and knows its report descriptor. */
static void hid_event(struct device_udev *udev, struct udev_device *hid)
{
	/* Borrowed from @hid. */
	struct udev_device *u =
		udev_device_get_parent_with_subsystem_devtype(hid, "usb", "usb_device");

	if (u)
		device_registry_look_again(udev->registry, udev_device_get_syspath(u));
}

/* A driver has an interface: it may be us. */
static void interface_event(struct device_udev *udev, struct udev_device *interface,
			    const char *action)
{
	/* Borrowed from @interface. */
	struct udev_device *u =
		udev_device_get_parent_with_subsystem_devtype(interface, "usb", "usb_device");

	if (u && action && !strcmp(action, "bind"))
		device_registry_bound(udev->registry, udev_device_get_syspath(u));
}

static bool is_interface(struct udev_device *u)
{
	const char *type = udev_device_get_devtype(u);

	return type && !strcmp(type, "usb_interface");
}

static void event(struct device_udev *udev, struct udev_device *u)
{
	const char *action = udev_device_get_action(u);
	const char *subsystem = udev_device_get_subsystem(u);
	bool removed = action && !strcmp(action, "remove");

	if (is_interface(u)) {
		interface_event(udev, u, action);
		return;
	}
	if (subsystem && !strcmp(subsystem, "hid")) {
		if (!removed)
			hid_event(udev, u);
		return;
	}
	if (!removed) {
		look_at(udev, u);
		return;
	}
	device_looks_forget(udev->looks, udev_device_get_syspath(u));
	device_registry_gone(udev->registry, udev_device_get_syspath(u),
			     udev_device_get_sysname(u));
}

static void monitor_readable(void *ctx, int res _unused_)
{
	struct device_udev *udev = ctx;

	for (;;) {
		_cleanup_udev_device_ struct udev_device *u = NULL;

		errno = 0;
		u = udev_monitor_receive_device(udev->monitor);
		if (u) {
			event(udev, u);
			continue;
		}
		if (errno == ENOBUFS) {
			log_warning("hotplug events were lost; looking at all devices anew");
			enumerate(udev);
			continue;
		}
		if (errno == EINTR)
			continue;
		return;
	}
}

/* ------------------------------------------------------------- as a source */

static int udev_start(struct device_source *source, struct device_registry *registry)
{
	struct device_udev *udev = udev_of(source);
	struct loop *loop = udev->devices->core->loop;
	int r = device_looks_new(&udev->looks, loop, &looks_ops, udev);

	udev->registry = registry;
	if (r == 0)
		r = loop_watch_fd(loop, &udev->watch, udev_monitor_get_fd(udev->monitor), POLLIN,
				  LOOP_KEEP, monitor_readable, udev);
	return r < 0 ? r : enumerate(udev);
}

static bool udev_settled(const struct device_source *source)
{
	return device_looks_settled(udev_of(source)->looks);
}

static bool udev_has(const struct device_source *source _unused_, const struct device *device)
{
	return access(device->syspath, F_OK) == 0 || errno != ENOENT;
}

static void udev_forget(struct device_source *source, const struct device *device)
{
	device_looks_forget(udev_of(source)->looks, device->syspath);
}

static int udev_stable_port(struct device_source *source, const char *busid, char **ret_port)
{
	_cleanup_udev_device_ struct udev_device *root = NULL;
	char name[32];

	snprintf(name, sizeof(name), "usb%.*s", (int)strcspn(busid, "-"), busid);
	root = udev_device_new_from_subsystem_sysname(udev_of(source)->udev, "usb", name);
	return root ? device_read_stable_port(root, busid, ret_port) : -ENODEV;
}

static void udev_free(struct device_source *source)
{
	struct device_udev *udev = udev_of(source);

	device_looks_free(udev->looks);
	loop_cancel(udev->devices->core->loop, &udev->watch);
	if (udev->monitor)
		udev_monitor_unref(udev->monitor);
	if (udev->hwdb)
		udev_hwdb_unref(udev->hwdb);
	if (udev->udev)
		udev_unref(udev->udev);
	free(udev);
}

static const struct device_source_ops udev_ops = {
	.start = udev_start,
	.settled = udev_settled,
	.has = udev_has,
	.forget = udev_forget,
	.stable_port = udev_stable_port,
	.free = udev_free,
};

/**
 * device_udev_new() - listen for hotplug
 * @ret_source:	the source; nothing is told before it is started
 * @devices:	whose devices they are
 *
 * It needs a right that is dropped later for a large buffer; without it events may be lost, and then
 * all devices are looked at again.
 *
 * Return: 0 or a negative errno.
 */
int device_udev_new(struct device_source **ret_source, struct devices *devices)
{
	struct device_udev *udev = calloc(1, sizeof(*udev));

	if (!udev)
		return -ENOMEM;
	udev->source.ops = &udev_ops;
	udev->devices = devices;
	udev->udev = udev_new();
	if (!udev->udev)
		goto fail;
	udev->hwdb = udev_hwdb_new(udev->udev);
	udev->monitor = udev_monitor_new_from_netlink(udev->udev, "udev");
	if (!udev->monitor)
		goto fail;
	udev_monitor_set_receive_buffer_size(udev->monitor, MONITOR_BUFFER);
	if (udev_monitor_filter_add_match_subsystem_devtype(udev->monitor, "usb", "usb_device") <
		    0 ||
	    udev_monitor_filter_add_match_subsystem_devtype(udev->monitor, "usb", "usb_interface") <
		    0 ||
	    udev_monitor_filter_add_match_subsystem_devtype(udev->monitor, "hid", NULL) < 0 ||
	    udev_monitor_enable_receiving(udev->monitor) < 0)
		goto fail;
	*ret_source = &udev->source;
	return 0;
fail:
	udev_free(&udev->source);
	return -EIO;
}
