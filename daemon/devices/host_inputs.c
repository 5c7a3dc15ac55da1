/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's keyboards; see host_inputs.h. */
#include "daemon/devices/host_inputs.h"

#include <errno.h>
#include <libudev.h>
#include <linux/input.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "daemon/devices/device.h"
#include "policy/usb_class.h"

#define KEYBOARDS_MAX 256

static void udev_unrefp(struct udev **udev)
{
	if (*udev)
		udev_unref(*udev);
}

static void udev_device_unrefp(struct udev_device **d)
{
	if (*d)
		udev_device_unref(*d);
}

static void udev_enumerate_unrefp(struct udev_enumerate **e)
{
	if (*e)
		udev_enumerate_unref(*e);
}

/*
 * Whether keys 1 to 31 are all there, Escape to S: what udev's input_id calls a keyboard. The words
 * of the map stand highest first.
 */
static bool map_is_keyboard(const char *map)
{
	const char *last = map ? strrchr(map, ' ') : NULL;
	unsigned long long low = map ? strtoull(last ? last + 1 : map, NULL, 16) : 0;

	return (low & 0xfffffffeull) == 0xfffffffeull;
}

static bool is_keyboard(struct udev_device *event, struct udev_device *input)
{
	const char *says = udev_device_get_property_value(event, "ID_INPUT_KEYBOARD");

	if (says || udev_device_get_is_initialized(event))
		return says && !strcmp(says, "1");
	return map_is_keyboard(udev_device_get_sysattr_value(input, "capabilities/key"));
}

/* How well the host can be typed at by something; ordered. */
enum typing { TYPES_NOT, TYPES_KEYS, TYPES_COMMANDS };

struct keyboard {
	char *path; /* of the USB device, else of the input device */
	enum typing typing;
};

struct keyboards {
	size_t n;
	struct keyboard at[KEYBOARDS_MAX];
};

static void keyboards_deinit(struct keyboards *keyboards)
{
	for (size_t i = 0; i < keyboards->n; i++)
		free(keyboards->at[i].path);
}

static const struct device *listed(const struct devices *devices, const char *path)
{
	list_for_each(it, &devices->all) {
		const struct device *d = list_entry(it, struct device, link);

		if (!strcmp(d->syspath, path))
			return d;
	}
	return NULL;
}

/*
 * Whether an input device is what its USB device says. A keyboard behind a Bluetooth adapter is
 * not: the adapter knows nothing of it.
 */
static bool tells_by_usb(struct udev_device *input)
{
	const char *bus = udev_device_get_sysattr_value(input, "id/bustype");

	return !bus || strtoul(bus, NULL, 16) == BUS_USB;
}

/* Whether an event node belongs to an interface that is a keyboard. */
static bool of_keyboard_interface(const struct device *device, struct udev_device *event)
{
	struct udev_device *u =
		udev_device_get_parent_with_subsystem_devtype(event, "usb", "usb_interface");
	const char *numbers = u ? strrchr(udev_device_get_sysname(u), ':') : NULL;
	unsigned configuration, number, kinds = 0;

	if (!numbers || sscanf(numbers, ":%u.%u", &configuration, &number) != 2 ||
	    number >= ARRAY_SIZE(device->hid.kinds[0]))
		return false;
	for (unsigned s = 0; s < HID_SOURCES; s++)
		kinds |= device->hid.kinds[s][number];
	return kinds & HID_KEYBOARD;
}

static bool is_of(const struct device *device, enum usb_class class_)
{
	return device->classes >> class_ & 1;
}

static enum typing typing_of(const struct devices *devices, struct udev_device *event,
			     struct udev_device *input, const char *usb)
{
	const struct device *d = usb ? listed(devices, usb) : NULL;
	enum typing by_udev = is_keyboard(event, input) ? TYPES_COMMANDS : TYPES_NOT;

	if (d && d->ours)
		return TYPES_NOT;
	if (!d || d->broken[0] || !tells_by_usb(input))
		return by_udev;
	if (is_of(d, USB_CLASS_HID_KEYBOARD))
		return by_udev == TYPES_NOT && of_keyboard_interface(d, event) ? TYPES_KEYS
									       : by_udev;
	return is_of(d, USB_CLASS_HID) && !is_of(d, USB_CLASS_HID_MOUSE) ? by_udev : TYPES_NOT;
}

/* Event nodes of one USB device are one keyboard. */
static int add_keyboard(struct keyboards *k, const char *path, enum typing typing)
{
	size_t i;

	for (i = 0; i < k->n && strcmp(k->at[i].path, path) != 0; i++)
		;
	if (i == KEYBOARDS_MAX)
		return 0;
	if (i == k->n) {
		k->at[i] = (struct keyboard){.path = strdup(path)};
		if (!k->at[i].path)
			return -ENOMEM;
		k->n++;
	}
	k->at[i].typing = max_t(enum typing, k->at[i].typing, typing);
	return 0;
}

static int add_event(struct keyboards *k, const struct devices *devices, struct udev_device *event)
{
	/* Both borrowed from @event. */
	struct udev_device *input = udev_device_get_parent(event);
	struct udev_device *usb =
		udev_device_get_parent_with_subsystem_devtype(event, "usb", "usb_device");
	const char *path = udev_device_get_syspath(event);
	enum typing typing;

	if (!input || strstr(path, "/devices/virtual/") || strstr(path, "/vhci_hcd"))
		return 0;
	typing = typing_of(devices, event, input, usb ? udev_device_get_syspath(usb) : NULL);
	if (typing == TYPES_NOT)
		return 0;
	return add_keyboard(k, udev_device_get_syspath(usb ? usb : input), typing);
}

static int find_events(struct udev *udev, struct udev_enumerate **ret_found)
{
	_cleanup_(udev_enumerate_unrefp) struct udev_enumerate *e = udev_enumerate_new(udev);
	int r;

	if (!e)
		return -ENOMEM;
	udev_enumerate_add_match_subsystem(e, "input");
	udev_enumerate_add_match_sysname(e, "event*");
	r = udev_enumerate_scan_devices(e);
	if (r < 0)
		return r;
	*ret_found = take_ptr(e);
	return 0;
}

static int find_keyboards(struct keyboards *k, const struct devices *devices)
{
	_cleanup_(udev_unrefp) struct udev *udev = udev_new();
	_cleanup_(udev_enumerate_unrefp) struct udev_enumerate *e = NULL;
	int r = udev ? find_events(udev, &e) : -ENOMEM;

	for (struct udev_list_entry *entry = r < 0 ? NULL : udev_enumerate_get_list_entry(e);
	     entry && r >= 0; entry = udev_list_entry_get_next(entry)) {
		_cleanup_(udev_device_unrefp) struct udev_device *event =
			udev_device_new_from_syspath(udev, udev_list_entry_get_name(entry));

		if (event)
			r = add_event(k, devices, event);
	}
	return r < 0 ? r : 0;
}

/* How many are left that type at least so well, when some devices have gone. */
static size_t left(const struct keyboards *k, enum typing typing, const char *const *gone, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < k->n; i++) {
		bool here = k->at[i].typing >= typing;

		for (size_t g = 0; g < n && here; g++)
			here = strcmp(k->at[i].path, gone[g]) != 0;
		count += here;
	}
	return count;
}

/**
 * host_loses_keyboard() - whether some devices take the host's last keyboard with them
 * @devices:	whose list of devices says what they are
 * @leaving:	folders of USB devices in sysfs
 * @n_before:	so many of them, the first ones, leave anyhow
 * @n:		how many there are with those that leave together now
 *
 * Return: true where the host can be typed at without the former, and not without all; or can be
 * given commands without the former, and not without all. Also where this can't be found out.
 */
bool host_loses_keyboard(const struct devices *devices, const char *const *leaving, size_t n_before,
			 size_t n)
{
	_cleanup_(keyboards_deinit) struct keyboards k = {};

	if (find_keyboards(&k, devices) < 0)
		return true;
	for (enum typing t = TYPES_KEYS; t <= TYPES_COMMANDS; t++)
		if (left(&k, t, leaving, n_before) > 0 && left(&k, t, leaving, n) == 0)
			return true;
	return false;
}

/**
 * host_is_last_keyboard() - whether the host can be typed at by one device alone
 * @device:	a device
 *
 * Return: as host_loses_keyboard().
 */
bool host_is_last_keyboard(const struct device *device)
{
	const char *path = device->syspath;

	return host_loses_keyboard(device->devices, &path, 0, 1);
}
