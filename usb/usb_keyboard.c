/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds a device's keyboards, for usb/hid_input.h, and what its interfaces are
 * (usb/hid_found.h). Run by a worker, beside the other calls that block, with the interfaces
 * claimed.
 *
 * The report descriptors are asked of the device here and not taken from what the guest reads: a
 * guest may never ask, and the device may tell it another. They are read as Linux reads them
 * (usbhid_parse() and hid_get_class_descriptor() in drivers/hid/usbhid/hid-core.c, 6.1). What can't
 * be had is no error; the device works for its guest all the same.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "usb/usb_device_private.h"

#define CLASS_HID     3
#define DT_HID	      0x21
#define DT_HID_LENGTH 9 /* bytes, at least */
#define INTERRUPT     3

/* Of one try; Linux makes four. All of a device's together stay well within the time that the
 * whole call has. */
#define TIMEOUT_MS    1000
#define TRIES	      4
#define ALL_TRIES_SEC 10

static int64_t now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/*
 * If it comes short, the missing bytes are zero. Return: whether it came at all. HID 1.11, 7.1.1. /
 */
static bool read_descriptor(struct usb_device *dev, uint8_t interface, void *data, size_t len,
			    int64_t until)
{
	uint8_t setup[8] = {
		0x81, 6, 0, 0x22, interface, 0, (uint8_t)len, (uint8_t)(len >> 8),
	};
	int n = -1;

	memset(data, 0, len);
	for (unsigned i = 0; i < TRIES && n < (int)len && now_seconds() < until; i++)
		n = dev->backend.ops->control(&dev->backend, setup, data, TIMEOUT_MS);
	return n >= 0;
}

/* Without an endpoint that interrupts, Linux has no driver for it, and no report ever comes. */
static bool sends_reports(const struct usb_setting *s)
{
	for (unsigned i = 0; i < s->n_endpoints; i++)
		if ((s->endpoints[i].attributes & 3) == INTERRUPT && s->endpoints[i].address & 0x80)
			return true;
	return false;
}

static void add(struct usb_device *dev, const struct usb_setting *s, uint8_t *data, int64_t until)
{
	const uint8_t *hid = usb_setting_find(s, DT_HID, DT_HID_LENGTH);
	size_t len = hid && sends_reports(s) ? hid_report_length(hid) : 0;
	unsigned by_protocol = hid_protocol_kinds(s->interface_class, s->subclass, s->protocol);
	enum hid_boot boot = by_protocol & HID_KEYBOARD	 ? HID_BOOT_KEYBOARD
			     : by_protocol & HID_POINTER ? HID_BOOT_MOUSE
							 : HID_BOOT_NONE;
	bool known = len && read_descriptor(dev, s->interface, data, len, until);

	dev->found.kinds[HID_BY_PROTOCOL][s->interface] |= (uint8_t)by_protocol;
	if (known)
		dev->found.kinds[HID_BY_REPORTS][s->interface] |=
			(uint8_t)hid_report_kinds(data, len);
	if (dev->carrier.input)
		hid_input_add(dev->carrier.input, s->interface, boot, known ? data : NULL, len);
}

/**
 * usb_keyboard_find() - watch the keyboards of the active configuration
 * @dev:	the device, its interfaces claimed; what they are is added to its @found
 */
void usb_keyboard_find(struct usb_device *dev)
{
	const struct usb_configuration *c = dev->active;
	int64_t until = now_seconds() + ALL_TRIES_SEC;
	_cleanup_free_ uint8_t *data = NULL;

	if (dev->watched_configuration == dev->configuration)
		return;
	dev->watched_configuration = dev->configuration;
	if (dev->carrier.input)
		hid_input_clear(dev->carrier.input);
	for (unsigned i = 0; c && i < c->n_interfaces; i++) {
		const struct usb_setting *s = usb_configuration_default(c, c->interfaces[i]);

		if (s->interface_class != CLASS_HID)
			continue;
		if (!data)
			data = malloc(HID_DESCRIPTOR_MAX);
		if (!data)
			break;
		if (!dev->carrier.input)
			hid_input_new(&dev->carrier.input, &dev->keyboard);
		add(dev, s, data, until);
	}
	/* A mouse alone need not be looked at. */
	if (dev->carrier.input && hid_input_empty(dev->carrier.input))
		dev->carrier.input = hid_input_free(dev->carrier.input);
}
