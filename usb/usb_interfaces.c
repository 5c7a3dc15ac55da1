/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device's descriptors, its interfaces and which settings they have. In a worker, beside the
 * other calls that block.
 *
 * The interfaces to claim and the endpoints to submit to are read from the usbfs node, which shows
 * what the kernel has made of the device. libusb's own reading of a configuration isn't used:
 * libusb gives up the whole configuration at the first descriptor that is cut off, at an interface
 * of more than 128 settings, and at the hole that usbfs leaves if a device has sent less than it
 * announced (libusb 1.0.26 to 1.0.28, descriptor.c: parse_configuration).
 *
 * usbfs claims no interface above 63 (core/devio.c: claimintf). Such a one loses the host's driver
 * like the others; its endpoints don't exist for a client.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "usb/usb_device_private.h"

#define USBFS_INTERFACES 64 /* numbers below it can be claimed: bits of a long */

#define TIMEOUT_MS 1000

/* All that the node tells, holes as zeros. */
static int read_node(struct usb_device *dev, size_t *ret_len)
{
	size_t len = 0, room = 4096;
	ssize_t n = 1;

	while (n > 0 && len < USB_DESCRIPTORS_MAX_USBFS) {
		uint8_t *bytes = realloc(dev->descriptor_bytes, room);

		if (!bytes)
			return -ENOMEM;
		dev->descriptor_bytes = bytes;
		memset(bytes + len, 0, room - len);
		n = dev->backend.ops->read(&dev->backend, bytes + len, room - len, (off_t)len);
		if (n < 0 && n != -EINTR)
			return (int)n;
		len += (size_t)max_t(ssize_t, n, 0);
		if (len == room)
			room = min_t(size_t, 2 * room, USB_DESCRIPTORS_MAX_USBFS);
		if (n < 0)
			n = 1;
	}
	*ret_len = len;
	return 0;
}

/*
 * Which configuration the device has. The device itself is asked, because usbfs doesn't tell, and
 * sysfs' answer of when it was listed may be out of date. If it answers with a configuration that
 * it doesn't have, or not at all, the one that it was listed with counts; without that, the first.
 * usbfs shows nothing of a configuration that says it is shorter than its own descriptor: that one
 * has no interfaces.
 */
static int ask_configuration(struct usb_device *dev)
{
	/* USB 2.0, 9.4.2. */
	static const uint8_t get_configuration[8] = {0x80, 8, [6] = 1};
	uint8_t value = 0;
	int n = dev->backend.ops->control(&dev->backend, get_configuration, &value, TIMEOUT_MS);
	bool answered = n == sizeof(value);

	if (answered && usb_descriptors_index(&dev->descriptors, value) >= 0)
		return value;
	if (answered && value && dev->descriptors.n < dev->descriptors.announced)
		return value;
	if ((answered && !value) || !dev->descriptors.n || !dev->expected_configuration)
		return usb_descriptors_index(&dev->descriptors, 0) < 0 ? USB_NO_CONFIGURATION : 0;
	if (usb_descriptors_index(&dev->descriptors, dev->expected_configuration) >= 0)
		return dev->expected_configuration;
	return dev->descriptors.configurations[0].value;
}

/* Take another configuration for the active one. */
static int choose(struct usb_device *dev, int configuration)
{
	int i = usb_descriptors_index(&dev->descriptors, configuration);

	dev->active = usb_configuration_free(dev->active);
	dev->configuration = configuration;
	if (i < 0)
		return 0;
	return usb_configuration_read(&dev->active, dev->descriptors.configurations[i].bytes,
				      dev->descriptors.configurations[i].len);
}

/**
 * usb_interfaces_open() - read a device's descriptors
 * @dev:	the device, its node open; its reason is set on failure
 *
 * Return: 0; a negative errno.
 */
int usb_interfaces_open(struct usb_device *dev)
{
	struct usb_descriptor_fault fault;
	size_t len = 0;
	int r = read_node(dev, &len);

	if (r == -ENODEV)
		return usb_device_fail(dev, r, "it was unplugged meanwhile");
	if (r < 0)
		return usb_device_fail(dev, r, "its descriptors can't be read: %s", errno_text(-r));
	r = usb_descriptors_find(&dev->descriptors, dev->descriptor_bytes, len,
				 USB_DESCRIPTORS_USBFS, &fault);
	if (r < 0)
		return usb_device_fail(dev, -EIO, "%s", fault.text);
	dev->found_configuration = ask_configuration(dev);
	r = choose(dev, dev->found_configuration);
	if (r < 0)
		return usb_device_fail(dev, r, "there is no memory for its descriptors");
	return 0;
}

/**
 * usb_interfaces_close() - forget what usb_interfaces_open() has read
 * @dev:	the device
 */
void usb_interfaces_close(struct usb_device *dev)
{
	dev->active = usb_configuration_free(dev->active);
	dev->descriptors = (struct usb_descriptors){};
	free(take_ptr(dev->descriptor_bytes));
	dev->n_claimed = 0;
	memset(&dev->carrier.endpoints, 0, sizeof(dev->carrier.endpoints));
}

static void add_endpoints(struct usb_device *dev, const struct usb_setting *setting)
{
	for (unsigned i = 0; setting && i < setting->n_endpoints; i++) {
		const struct usb_endpoint_descriptor *e = &setting->endpoints[i];

		dev->carrier.endpoints.at[usb_endpoint_slot(e->address)] = (struct usb_endpoint){
			.exists = true,
			.interface = setting->interface,
			.attributes = e->attributes,
			.max_packet = e->max_packet,
		};
	}
}

/**
 * usb_interfaces_claim() - have all interfaces of the active configuration
 * @dev:	the device, none of its interfaces claimed; its reason is set on failure
 *
 * The host's drivers lose them. All have alternate setting 0 then. An interface that the kernel
 * hasn't, or that usbfs can't claim, is left out: the others work without it.
 *
 * Return: 0; a negative errno.
 */
int usb_interfaces_claim(struct usb_device *dev)
{
	const struct usb_configuration *c = dev->active;
	bool missing = false;

	memset(&dev->carrier.endpoints, 0, sizeof(dev->carrier.endpoints));
	dev->n_claimed = 0;
	for (unsigned i = 0; c && i < c->n_interfaces; i++) {
		uint8_t number = c->interfaces[i];
		int r = dev->backend.ops->claim(&dev->backend, number);

		if (r == -EINVAL) {
			missing = missing || number < USBFS_INTERFACES;
			continue;
		}
		if (r == -EBUSY)
			return usb_device_fail(
				dev, r, "its interface %u is claimed by another program", number);
		if (r == -ENODEV)
			return usb_device_fail(dev, r, "it was unplugged meanwhile");
		if (r < 0)
			return usb_device_fail(dev, r, "its interface %u can't be claimed: %s",
					       number, errno_text(-r));
		dev->claimed[dev->n_claimed++] = number;
		add_endpoints(dev, usb_configuration_default(c, number));
	}
	/* Set by somebody else meanwhile, or not authorized. */
	if (missing && !dev->n_claimed)
		return usb_device_fail(dev, -EIO,
				       "the host has no interface of its configuration %d",
				       dev->configuration);
	return 0;
}

/**
 * usb_interfaces_release() - give all interfaces up
 * @dev:	the device
 *
 * The host's drivers don't come back by this.
 */
void usb_interfaces_release(struct usb_device *dev)
{
	for (unsigned i = 0; i < dev->n_claimed; i++)
		dev->backend.ops->release(&dev->backend, dev->claimed[i]);
	dev->n_claimed = 0;
}

/**
 * usb_interfaces_configure() - set a configuration, the same one too
 * @dev:	the device, none of its interfaces claimed
 * @configuration: a bConfigurationValue, or USB_NO_CONFIGURATION
 *
 * Return: 0; a negative errno, and the configuration is as before.
 */
int usb_interfaces_configure(struct usb_device *dev, int configuration)
{
	int value = configuration, r;

	/* Of SET_CONFIGURATION, 0 means none; some devices have one of that number all the same.
	 * -1 is none for usbfs, too (core/message.c: usb_set_configuration). */
	if (!value && usb_descriptors_index(&dev->descriptors, 0) < 0)
		value = USB_NO_CONFIGURATION;
	r = dev->backend.ops->set_configuration(&dev->backend, value);
	return r < 0 ? r : choose(dev, value);
}

/**
 * usb_interfaces_set() - give an interface another alternate setting
 * @dev:	the device, its interfaces claimed
 * @number:	bInterfaceNumber
 * @alternate:	bAlternateSetting
 *
 * Return: 0; a negative errno.
 */
int usb_interfaces_set(struct usb_device *dev, uint8_t number, uint8_t alternate)
{
	int r;

	if (!dev->active)
		return -EINVAL;
	r = dev->backend.ops->set_interface(&dev->backend, number, alternate);
	if (r < 0)
		return r;
	usb_endpoints_clear_interface(&dev->carrier.endpoints, number);
	add_endpoints(dev, usb_configuration_setting(dev->active, number, alternate));
	return 0;
}
