/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which USB devices are plugged in; see device_registry.h.
 *
 * A device is known by its sysfs path and its number on the bus: the same path with another number
 * is another device, whatever events were missed in between.
 */
#include "daemon/devices/device_registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/devices/device.h"
#include "daemon/devices/device_hid.h"
#include "daemon/devices/device_source.h"
#include "daemon/devices/host_driver.h"
#include "daemon/devices/port_off.h"
#include "policy/usb_class.h"

struct device_registry {
	struct devices *devices;
	struct device_source *source;
	device_prepare prepare; /* NULL: nothing */
	void *ctx;
	struct list unlisted; /* of struct device: what is never routed, with why */
};

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
	port_flaps_note(&d->devices->flaps, d->busid);
	device_unlist(d);
}

/* Why a device is never routed, by its descriptors. The kernel's hub driver takes any interface of this class. */
static const char *never_routed_by(const struct device *d)
{
	return d->classes >> USB_CLASS_HUB & 1
		       ? "one of its interfaces is a hub, and hubs are never routed"
		       : NULL;
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

/**
 * device_registry_sweep() - take out of the list what its source has no longer
 * @registry:	the registry
 *
 * udevd tells of different devices in any order: of a device in its new port before it tells that the
 * old one is empty. The list never has both.
 */
void device_registry_sweep(struct device_registry *registry)
{
	struct device_source *source = registry->source;

	list_for_each_safe(it, &registry->devices->all) {
		struct device *d = list_entry(it, struct device, link);

		if (source->ops->has(source, d))
			continue;
		if (source->ops->forget)
			source->ops->forget(source, d);
		registry_remove(d);
	}
	list_for_each_safe(it, &registry->unlisted) {
		struct device *d = list_entry(it, struct device, link);

		if (source->ops->has(source, d))
			continue;
		list_remove(&d->link);
		device_free(d);
	}
}

/* It stays in its list, and has another configuration, or is told of at last. */
static void take_news(struct device_registry *registry, struct device *device, struct device *told)
{
	if (device->unread)
		take_texts(device, told);
	device->info = told->info;
	device_hid_add(device, &told->hid);
	device_classes_anew(device);
	memcpy(device->broken, told->broken, sizeof(device->broken));
	device_find_section(device);
	device_known_anew(device);
}

static void list_it(struct device_registry *registry, struct device *d)
{
	device_registry_sweep(registry);
	if (registry->prepare && registry->prepare(registry->ctx, d) < 0) {
		log_err("%s: not listed: no memory for it", d->tag);
		device_free(d);
		return;
	}
	device_list(d);
}

/**
 * device_registry_told() - a device is there, or has changed
 * @registry:	the registry
 * @d:		what its source knows of it now; the registry's from here on. Where @d->never_routed
 *		says why, it is not listed
 */
void device_registry_told(struct device_registry *registry, struct device *d)
{
	struct device *old = registry_find(registry, d->syspath);

	unlisted_forget(registry, d->syspath);
	if (!d->never_routed) {
		d->never_routed = never_routed_by(d);
		if (d->never_routed)
			log_notice("%s: not listed: %s", d->tag, d->never_routed);
	}
	if (d->never_routed) {
		list_append(&registry->unlisted, &d->link);
		if (old)
			registry_remove(old);
		return;
	}
	if (old && old->devnum == d->devnum) {
		/* Else it is known, and nothing else is yet. */
		if (!d->unread)
			take_news(registry, old, d);
		device_free(d);
		return;
	}
	if (old)
		registry_remove(old);
	list_it(registry, d);
}

/**
 * device_registry_look_again() - the host's HID driver has an interface of a device
 * @registry:	the registry
 * @syspath:	the device's
 */
void device_registry_look_again(struct device_registry *registry, const char *syspath)
{
	struct device *d = registry_find(registry, syspath);

	if (d && device_hid_look_again(d))
		device_known_anew(d);
}

/**
 * device_registry_bound() - a driver has taken an interface of a device
 * @registry:	the registry
 * @syspath:	the device's
 */
void device_registry_bound(struct device_registry *registry, const char *syspath)
{
	struct device *d = registry_find(registry, syspath);

	if (d && device_host_driver(d).name[0])
		device_raise(d, EVENT_DEVICE_BOUND);
}

/**
 * device_registry_gone() - something was unplugged, a device of the list or not
 * @registry:	the registry
 * @syspath:	its path in sysfs
 * @busid:	its port
 */
void device_registry_gone(struct device_registry *registry, const char *syspath, const char *busid)
{
	struct device *d = registry_find(registry, syspath);

	unlisted_forget(registry, syspath);
	if (d)
		registry_remove(d);
	else
		/* A hub, most of the time. */
		port_off_hub_gone(registry->devices, busid);
}

/**
 * device_registry_has_settled() - all is told that was there at the start
 * @registry:	the registry
 */
void device_registry_has_settled(struct device_registry *registry)
{
	events_raise_whole(&registry->devices->core->events, EVENT_KNOWN_MORE);
}

/**
 * device_registry_new() - a list of devices, empty yet
 * @ret_registry:	the registry
 * @devices:		whose list of devices it keeps
 * @source:		where they come from; the registry's where this succeeds
 * @prepare:		called before a device is listed; may be NULL
 * @ctx:		what with
 *
 * Return: 0 or a negative errno.
 */
int device_registry_new(struct device_registry **ret_registry, struct devices *devices,
			struct device_source *source, device_prepare prepare, void *ctx)
{
	struct device_registry *registry = calloc(1, sizeof(*registry));

	if (!registry)
		return -ENOMEM;
	registry->devices = devices;
	registry->source = source;
	registry->prepare = prepare;
	registry->ctx = ctx;
	list_init(&registry->unlisted);
	*ret_registry = registry;
	return 0;
}

/**
 * device_registry_free() - forget all devices, as if they were unplugged, and where they come from
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
	registry->source->ops->free(registry->source);
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
	return registry->source->ops->start(registry->source, registry);
}

/**
 * device_registry_settled() - is all listed that was there when the registry was started?
 * @registry:	the registry
 *
 * Return: whether nothing is being read.
 */
bool device_registry_settled(const struct device_registry *registry)
{
	return registry->source->ops->settled(registry->source);
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
	return registry->source->ops->stable_port(registry->source, busid, ret_port);
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
