/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's keyboards; see host_inputs.h. */
#include "daemon/host_inputs.h"

#include <errno.h>
#include <libudev.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "daemon/daemon.h"
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

/*
 * What an event node is a keyboard of: the USB device's folder, else the input device's; NULL where
 * it is no keyboard that counts. Borrowed from @event.
 */
static const char *keyboard_of(struct udev_device *event)
{
	struct udev_device *input = udev_device_get_parent(event), *usb;
	const char *path = udev_device_get_syspath(event);

	if (!input || strstr(path, "/devices/virtual/") || strstr(path, "/vhci_hcd") ||
	    !is_keyboard(event, input))
		return NULL;
	usb = udev_device_get_parent_with_subsystem_devtype(event, "usb", "usb_device");
	return udev_device_get_syspath(usb ? usb : input);
}

static bool among(const char *path, const char *const *paths, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(path, paths[i]))
			return true;
	return false;
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

/* How many keyboards there are, those of @leaving aside; @ret_leaving: whether one of these is. */
static int count(const char *const *leaving, size_t n, bool *ret_leaving)
{
	_cleanup_(udev_unrefp) struct udev *udev = udev_new();
	_cleanup_(udev_enumerate_unrefp) struct udev_enumerate *e = NULL;
	char *seen[KEYBOARDS_MAX];
	size_t n_seen = 0;
	int r = -ENOMEM;

	*ret_leaving = false;
	if (udev)
		r = find_events(udev, &e);
	for (struct udev_list_entry *entry = r < 0 ? NULL : udev_enumerate_get_list_entry(e);
	     entry && n_seen < KEYBOARDS_MAX; entry = udev_list_entry_get_next(entry)) {
		_cleanup_(udev_device_unrefp) struct udev_device *event =
			udev_device_new_from_syspath(udev, udev_list_entry_get_name(entry));
		const char *keyboard = event ? keyboard_of(event) : NULL;

		if (!keyboard || among(keyboard, (const char *const *)seen, n_seen))
			continue;
		if (among(keyboard, leaving, n)) {
			*ret_leaving = true;
			continue;
		}
		seen[n_seen] = strdup(keyboard);
		if (!seen[n_seen]) {
			r = -ENOMEM;
			break;
		}
		n_seen++;
	}
	for (size_t i = 0; i < n_seen; i++)
		free(seen[i]);
	return r < 0 ? r : (int)n_seen;
}

/**
 * host_keyboards_left() - how many keyboards the host has when some devices have left it
 * @leaving:	folders of USB devices in sysfs that leave together; may be NULL where @n is 0
 * @n:		how many
 *
 * Return: how many are left, or a negative errno.
 */
int host_keyboards_left(const char *const *leaving, size_t n)
{
	bool one_leaves;

	return count(leaving, n, &one_leaves);
}

/**
 * host_is_last_keyboard() - whether the host can be typed at by one device alone
 * @device:	a device
 *
 * What is of the class hid.keyboard can be, the same answer as for rules and hot keys; so can a HID
 * device of which nothing is known, where a driver of its own makes a keyboard of it.
 *
 * Return: true where it is a keyboard of the host's now and there is no other; also where this
 * can't be found out.
 */
bool host_is_last_keyboard(const struct device *device)
{
	const char *path = device->syspath;
	bool types, leaving;
	int n;

	types = device->classes >> USB_CLASS_HID_KEYBOARD & 1 ||
		(device->classes >> USB_CLASS_HID & 1 &&
		 !(device->classes >> USB_CLASS_HID_MOUSE & 1));
	if (!types)
		return false;
	n = count(&path, 1, &leaving);
	return n < 0 || (n == 0 && leaving);
}
