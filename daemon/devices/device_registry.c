/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which USB devices are plugged in; see device_registry.h. What is known of each: device_read.c.
 *
 * A device is known by its sysfs path and its number on the bus: the same path with another number
 * is another device, whatever events were missed in between.
 */
#include "daemon/devices/device_registry.h"

#include <errno.h>
#include <fcntl.h>
#include <libudev.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "daemon/devices/device.h"
#include "daemon/devices/device_hid.h"
#include "daemon/devices/device_look.h"
#include "daemon/devices/device_read.h"
#include "daemon/devices/port_off.h"
#include "policy/usb_class.h"

#define MONITOR_BUFFER	   (4 * 1024 * 1024)
#define USB_CLASS_CODE_HUB 9

struct device_registry {
	struct devices *devices;
	device_prepare prepare; /* NULL: nothing */
	void *ctx;
	struct udev *udev;
	struct udev_hwdb
		*hwdb; /* names of devices that tell none; NULL where there is no such file */
	struct udev_monitor *monitor;
	struct loop_watch watch;
	struct device_looks *looks;
	struct list unlisted; /* of struct device: what is never routed, with why */
};

static void udev_device_unrefp(struct udev_device **d)
{
	if (*d)
		udev_device_unref(*d);
}

#define _cleanup_udev_device_ _cleanup_(udev_device_unrefp)

/* ------------------------------------------------------------- the list */

static struct device *registry_find(struct device_registry *registry, const char *syspath)
{
	list_for_each(it, &registry->devices->all) {
		struct device *d = list_entry(it, struct device, link);

		if (!strcmp(d->syspath, syspath))
			return d;
	}
	return NULL;
}

static void registry_remove(struct device *d)
{
	log_info("%s: unplugged", d->tag);
	device_unlist(d);
}

/* Why a device is never routed, before its descriptors were read; NULL where it may be. */
static const char *never_routed(struct udev_device *u)
{
	if (strstr(udev_device_get_syspath(u), "/vhci_hcd"))
		return "it came here over USB/IP, and what did is never routed";
	if (device_attr_number(u, "bDeviceClass", 16) == USB_CLASS_CODE_HUB)
		return "it is a hub, and hubs are never routed; name a device that is plugged into "
		       "it";
	return NULL;
}

/* And after they were read. The kernel's hub driver takes any interface of this class. */
static const char *never_routed_either(const struct device *d)
{
	return d->classes >> USB_CLASS_HUB & 1
		       ? "one of its interfaces is a hub, and hubs are never routed"
		       : NULL;
}

static bool is_usb_device(struct udev_device *u)
{
	const char *type = udev_device_get_devtype(u);

	return type && !strcmp(type, "usb_device");
}

static void unlisted_forget(struct device_registry *registry, const char *syspath)
{
	list_for_each_safe(it, &registry->unlisted) {
		struct device *d = list_entry(it, struct device, link);

		if (strcmp(d->syspath, syspath) != 0)
			continue;
		list_remove(&d->link);
		device_free(d);
	}
}

/* The kernel has told of a device at last. */
static void take_texts(struct device *device, struct device *told)
{
	free(device->serial);
	free(device->product);
	free(device->manufacturer);
	device->serial = take_ptr(told->serial);
	device->product = take_ptr(told->product);
	device->manufacturer = take_ptr(told->manufacturer);
	device->unread = false;
	log_info("%s: the kernel tells of it now (%04x:%04x \"%s\")", device->tag,
		 device->id_vendor, device->id_product, device->product ? device->product : "");
}

/*
 * Take out of the list what sysfs has no longer. udevd tells of different devices in any order: of a
 * device in its new port before it tells that the old one is empty. The list never has both.
 */
static void registry_sweep(struct device_registry *registry)
{
	list_for_each_safe(it, &registry->devices->all) {
		struct device *d = list_entry(it, struct device, link);

		if (access(d->syspath, F_OK) == 0 || errno != ENOENT)
			continue;
		device_looks_forget(registry->looks, d->syspath);
		registry_remove(d);
	}
}

/* A device is there, or has changed: bring the list to what sysfs says, and a look has found. */
static void registry_told(void *ctx, struct udev_device *u, const struct device_seen *seen)
{
	struct device_registry *registry = ctx;
	struct device *old = registry_find(registry, udev_device_get_syspath(u)), *d;
	const char *why = never_routed(u);
	int r;

	unlisted_forget(registry, udev_device_get_syspath(u));
	r = device_read(&d, registry->devices, registry->hwdb, u, seen);
	if (r < 0) {
		if (r != -ENODEV)
			log_err("%s: %s", udev_device_get_sysname(u), errno_text(r));
		return;
	}
	if (!why) {
		why = never_routed_either(d);
		if (why)
			log_notice("%s: not listed: %s", d->tag, why);
	}
	if (why) {
		d->never_routed = why;
		list_append(&registry->unlisted, &d->link);
		if (old)
			registry_remove(old);
		return;
	}
	if (old && old->devnum == d->devnum && !seen) {
		/* It is known, and nothing else is yet. */
		device_free(d);
		return;
	}
	if (old && old->devnum == d->devnum) {
		/* Another configuration, perhaps, or the kernel has told at last: what is told of
		 * it follows. */
		if (old->unread)
			take_texts(old, d);
		old->info = d->info;
		device_hid_add(old, &d->hid);
		device_classes_anew(old);
		memcpy(old->broken, d->broken, sizeof(old->broken));
		device_free(d);
		device_find_section(old);
		device_known_anew(old);
		return;
	}
	if (old)
		registry_remove(old);
	registry_sweep(registry);
	if (registry->prepare && registry->prepare(registry->ctx, d) < 0) {
		log_err("%s: not listed: no memory for it", d->tag);
		device_free(d);
		return;
	}
	device_list(d);
}

static void registry_settled(void *ctx)
{
	struct device_registry *registry = ctx;

	events_raise_whole(&registry->devices->core->events, EVENT_KNOWN_MORE);
}

static const struct device_looks_ops looks_ops = {registry_told, registry_settled};

static void registry_update(struct device_registry *registry, struct udev_device *u)
{
	if (is_usb_device(u) && device_looks_at(registry->looks, u) < 0)
		log_err("%s: no memory to look at it", udev_device_get_sysname(u));
}

/* All USB devices, hubs among them. */
static int scan(struct device_registry *registry, struct udev_enumerate **ret_found)
{
	struct udev_enumerate *e = udev_enumerate_new(registry->udev);
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

static int registry_enumerate(struct device_registry *registry)
{
	struct udev_enumerate *e;
	struct udev_list_entry *entry;
	int r = scan(registry, &e);

	if (r < 0)
		return r;
	/* What has gone without a word. */
	list_for_each_safe(it, &registry->devices->all) {
		struct device *d = list_entry(it, struct device, link);

		if (access(d->syspath, F_OK) < 0) {
			device_looks_forget(registry->looks, d->syspath);
			registry_remove(d);
		}
	}
	list_for_each_safe(it, &registry->unlisted) {
		struct device *d = list_entry(it, struct device, link);

		if (access(d->syspath, F_OK) < 0) {
			list_remove(&d->link);
			device_free(d);
		}
	}
	for (entry = udev_enumerate_get_list_entry(e); entry;
	     entry = udev_list_entry_get_next(entry)) {
		_cleanup_udev_device_ struct udev_device *u = udev_device_new_from_syspath(
			registry->udev, udev_list_entry_get_name(entry));

		if (u)
			registry_update(registry, u);
	}
	udev_enumerate_unref(e);
	return 0;
}

/* The host's HID driver has an interface, and knows its report descriptor. */
static void registry_hid_event(struct device_registry *registry, struct udev_device *hid)
{
	/* Borrowed from @hid. */
	struct udev_device *u =
		udev_device_get_parent_with_subsystem_devtype(hid, "usb", "usb_device");

	struct device *d = u ? registry_find(registry, udev_device_get_syspath(u)) : NULL;

	if (d && device_hid_look_again(d))
		device_known_anew(d);
}

static void registry_event(struct device_registry *registry, struct udev_device *u)
{
	const char *action = udev_device_get_action(u);
	const char *subsystem = udev_device_get_subsystem(u);
	struct device *d;

	if (subsystem && !strcmp(subsystem, "hid")) {
		if (!action || strcmp(action, "remove") != 0)
			registry_hid_event(registry, u);
		return;
	}
	if (action && !strcmp(action, "remove")) {
		device_looks_forget(registry->looks, udev_device_get_syspath(u));
		unlisted_forget(registry, udev_device_get_syspath(u));
		d = registry_find(registry, udev_device_get_syspath(u));
		if (d)
			registry_remove(d);
		else
			/* A hub, most of the time. */
			port_off_hub_gone(registry->devices, udev_device_get_sysname(u));
		return;
	}
	registry_update(registry, u);
}

static void registry_readable(void *ctx, int res _unused_)
{
	struct device_registry *registry = ctx;

	for (;;) {
		_cleanup_udev_device_ struct udev_device *u = NULL;

		errno = 0;
		u = udev_monitor_receive_device(registry->monitor);
		if (u) {
			registry_event(registry, u);
			continue;
		}
		if (errno == ENOBUFS) {
			log_warning("hotplug events were lost; looking at all devices anew");
			registry_enumerate(registry);
			continue;
		}
		if (errno == EINTR)
			continue;
		return;
	}
}

/**
 * device_registry_new() - listen for hotplug
 * @ret_registry:	the registry
 * @devices:		whose list of devices it keeps
 * @prepare:		called before a device is listed; may be NULL
 * @ctx:		what with
 *
 * Return: 0 or a negative errno.
 */
int device_registry_new(struct device_registry **ret_registry, struct devices *devices,
			device_prepare prepare, void *ctx)
{
	struct device_registry *registry = calloc(1, sizeof(*registry));

	if (!registry)
		return -ENOMEM;
	registry->devices = devices;
	registry->prepare = prepare;
	registry->ctx = ctx;
	list_init(&registry->unlisted);
	registry->udev = udev_new();
	if (!registry->udev)
		goto fail;
	registry->hwdb = udev_hwdb_new(registry->udev);
	registry->monitor = udev_monitor_new_from_netlink(registry->udev, "udev");
	if (!registry->monitor)
		goto fail;
	/* Needs a right that is dropped later; without it events may be lost, which is handled. */
	udev_monitor_set_receive_buffer_size(registry->monitor, MONITOR_BUFFER);
	if (udev_monitor_filter_add_match_subsystem_devtype(registry->monitor, "usb",
							    "usb_device") < 0 ||
	    udev_monitor_filter_add_match_subsystem_devtype(registry->monitor, "hid", NULL) < 0 ||
	    udev_monitor_enable_receiving(registry->monitor) < 0)
		goto fail;
	*ret_registry = registry;
	return 0;
fail:
	device_registry_free(registry);
	return -EIO;
}

/**
 * device_registry_free() - stop listening, and forget all devices, as if they were unplugged
 * @registry:	the registry, or NULL; events_tell() is to follow
 *
 * Return: NULL.
 */
struct device_registry *device_registry_free(struct device_registry *registry)
{
	if (!registry)
		return NULL;
	while (!list_empty(&registry->devices->all))
		device_unlist(list_entry(registry->devices->all.next, struct device, link));
	while (!list_empty(&registry->unlisted))
		device_free(list_entry(list_pop(&registry->unlisted), struct device, link));
	device_looks_free(registry->looks);
	loop_cancel(registry->devices->core->loop, &registry->watch);
	if (registry->monitor)
		udev_monitor_unref(registry->monitor);
	if (registry->hwdb)
		udev_hwdb_unref(registry->hwdb);
	if (registry->udev)
		udev_unref(registry->udev);
	free(registry);
	return NULL;
}

/**
 * device_registry_start() - list what is there, and go on with what comes
 * @registry:	the registry; the daemon's loop must be there
 *
 * What is there now is listed when EVENT_KNOWN_MORE comes, but for devices of which the kernel does
 * not tell within some seconds; these are listed as broken until it does.
 *
 * Return: 0 or a negative errno.
 */
int device_registry_start(struct device_registry *registry)
{
	struct loop *loop = registry->devices->core->loop;
	int r = device_looks_new(&registry->looks, loop, &looks_ops, registry);

	if (r == 0)
		r = loop_watch_fd(loop, &registry->watch, udev_monitor_get_fd(registry->monitor),
				  POLLIN, LOOP_KEEP, registry_readable, registry);
	return r < 0 ? r : registry_enumerate(registry);
}

/**
 * device_registry_settled() - is all listed that was there when the registry was started?
 * @registry:	the registry
 *
 * Return: whether nothing is being read.
 */
bool device_registry_settled(const struct device_registry *registry)
{
	return device_looks_settled(registry->looks);
}

/**
 * device_registry_stable_port() - the stable spelling of a port that may be empty
 * @registry:	the registry
 * @busid:	the port as the kernel calls it, such as 1-1.2
 * @ret_port:	its stable name, to be freed by the caller
 *
 * Return: 0, -ENODEV where there is no such bus, or -ENOMEM.
 */
int device_registry_stable_port(struct device_registry *registry, const char *busid,
				char **ret_port)
{
	_cleanup_udev_device_ struct udev_device *root = NULL;
	char name[32];

	snprintf(name, sizeof(name), "usb%.*s", (int)strcspn(busid, "-"), busid);
	root = udev_device_new_from_subsystem_sysname(registry->udev, "usb", name);
	return root ? device_read_stable_port(root, busid, ret_port) : -ENODEV;
}

/**
 * device_registry_refuses() - whether a word means a device that is there and is never routed
 * @registry:	the registry
 * @text:	an alias or a selector, which means no listed device
 *
 * Hubs, and what came over vhci_hcd, are not listed; who names one is to hear why.
 *
 * Return: why it is never routed, or NULL where the word means no such device either.
 */
const char *device_registry_refuses(struct device_registry *registry, const char *text)
{
	list_for_each(it, &registry->unlisted) {
		struct device *d = list_entry(it, struct device, link);

		if (device_is_meant(d, text))
			return d->never_routed;
	}
	return NULL;
}
