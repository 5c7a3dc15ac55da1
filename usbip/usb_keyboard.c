/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds a device's keyboards, for usbip/hid_input.h. Run by a worker, beside the other calls that
 * block, with the interfaces claimed.
 *
 * The report descriptors are asked of the device here and not taken from what the guest reads: a
 * guest may never ask, and the device may tell it another. What can't be had is no error; the
 * device works for its guest all the same.
 */
#include <linux/usbdevice_fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/mem.h"
#include "usbip/hid_report.h"
#include "usbip/usb_device_private.h"

#define CLASS_HID     3
#define SUBCLASS_BOOT 1

/* Of one interface. A device that answers none of HID_INTERFACES_MAX stays well within the time
 * that the whole call has. */
#define TIMEOUT_MS 1000

/* HID 1.11, 7.1.1. */
static size_t read_descriptor(struct usb_device *dev, uint8_t interface, void *data, size_t len)
{
	struct usbdevfs_ctrltransfer transfer = {
		.bRequestType = 0x81,
		.bRequest = 6,
		.wValue = 0x2200,
		.wIndex = interface,
		.wLength = (uint16_t)len,
		.timeout = TIMEOUT_MS,
		.data = data,
	};
	int n = ioctl(dev->fd, USBDEVFS_CONTROL, &transfer);

	return n < 0 ? 0 : min_t(size_t, (size_t)n, len);
}

static void add(struct usb_device *dev, const struct usb_setting *s, uint8_t *data)
{
	size_t want = hid_report_descriptor_length(s->extra.bytes, s->extra.len), got = 0;
	enum hid_boot boot = HID_BOOT_NONE;

	if (s->subclass == SUBCLASS_BOOT && s->protocol <= HID_BOOT_MOUSE)
		boot = (enum hid_boot)s->protocol;
	if (want)
		got = read_descriptor(dev, s->interface, data, want);
	/* One that is cut off may lack the very field that would tell. */
	hid_input_add(dev->backend.input, s->interface, boot, want && got == want ? data : NULL,
		      got);
}

/**
 * usb_keyboard_find() - watch the keyboards of the active configuration
 * @dev:	the device, its interfaces claimed
 */
void usb_keyboard_find(struct usb_device *dev)
{
	_cleanup_free_ uint8_t *data = NULL;
	const struct usb_configuration *c = dev->active;
	unsigned n = 0;

	if (dev->watched_configuration == dev->configuration)
		return;
	dev->watched_configuration = dev->configuration;
	if (dev->backend.input)
		hid_input_clear(dev->backend.input);
	for (unsigned i = 0; c && i < c->n_interfaces && n < HID_INTERFACES_MAX; i++) {
		const struct usb_setting *s = usb_configuration_default(c, c->interfaces[i]);

		if (s->interface_class != CLASS_HID)
			continue;
		if (!data)
			data = malloc(HID_DESCRIPTOR_MAX);
		if (!data ||
		    (!dev->backend.input && hid_input_new(&dev->backend.input, &dev->keyboard) < 0))
			break;
		add(dev, s, data);
		n++;
	}
	/* A mouse alone need not be looked at. */
	if (dev->backend.input && hid_input_empty(dev->backend.input))
		dev->backend.input = hid_input_free(dev->backend.input);
}
