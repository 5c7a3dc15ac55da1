/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors of a device as the kernel hands them out, read as hostile bytes. Pure.
 *
 * What is wrong in a way that makes the rest unreadable is a fault, told in words with the place.
 * What real devices get wrong and live with is not: configurations whose number of interfaces isn't
 * the one they announce (those found are what counts, as in the kernel's core/config.c), trailing
 * bytes, unknown descriptors.
 */
#include "usbip/usb_descriptor.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "base/endian_types.h"
#include "base/mem.h"

/* USB 2.0, 9.6. */
#define USB_DT_DEVICE	 1
#define USB_DT_CONFIG	 2
#define USB_DT_INTERFACE 4
#define USB_DT_ENDPOINT	 5

struct usb_descriptor_header {
	uint8_t bLength;
	uint8_t bDescriptorType;
};
static_assert(sizeof(struct usb_descriptor_header) == 2, "header");

struct usb_device_descriptor {
	uint8_t bLength;
	uint8_t bDescriptorType;
	le16 bcdUSB;
	uint8_t bDeviceClass;
	uint8_t bDeviceSubClass;
	uint8_t bDeviceProtocol;
	uint8_t bMaxPacketSize0;
	le16 idVendor;
	le16 idProduct;
	le16 bcdDevice;
	uint8_t iManufacturer;
	uint8_t iProduct;
	uint8_t iSerialNumber;
	uint8_t bNumConfigurations;
};
static_assert(sizeof(struct usb_device_descriptor) == 18, "device descriptor");

struct usb_config_descriptor {
	uint8_t bLength;
	uint8_t bDescriptorType;
	le16 wTotalLength;
	uint8_t bNumInterfaces;
	uint8_t bConfigurationValue;
	uint8_t iConfiguration;
	uint8_t bmAttributes;
	uint8_t bMaxPower;
};
static_assert(sizeof(struct usb_config_descriptor) == 9, "configuration descriptor");

struct usb_interface_descriptor {
	uint8_t bLength;
	uint8_t bDescriptorType;
	uint8_t bInterfaceNumber;
	uint8_t bAlternateSetting;
	uint8_t bNumEndpoints;
	uint8_t bInterfaceClass;
	uint8_t bInterfaceSubClass;
	uint8_t bInterfaceProtocol;
	uint8_t iInterface;
};
static_assert(sizeof(struct usb_interface_descriptor) == 9, "interface descriptor");

#define ENDPOINT_LENGTH 7

static int _printf_(2, 3) fault(struct usb_descriptor_fault *f, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(f->text, sizeof(f->text), format, args);
	va_end(args);
	return -EBADMSG;
}

/* Which interface numbers a configuration has shown so far. */
struct seen {
	uint8_t numbers[256 / 8];
};

static bool see(struct seen *seen, uint8_t number)
{
	uint8_t bit = (uint8_t)(1u << (number & 7));
	bool before = seen->numbers[number >> 3] & bit;

	seen->numbers[number >> 3] |= bit;
	return before;
}

/* One interface descriptor; the first of a number is what the list of devices tells. */
static int read_interface(const void *bytes, unsigned value, size_t at, struct seen *seen,
			  struct usbip_device_info *info, struct usb_descriptor_fault *f)
{
	struct usb_interface_descriptor d;

	memcpy(&d, bytes, sizeof(d));
	if (see(seen, d.bInterfaceNumber))
		return 0;
	if (d.bInterfaceNumber >= USBIP_MAX_INTERFACES)
		return fault(f, "configuration %u: interface number %u at byte %zu is above %u",
			     value, d.bInterfaceNumber, at, USBIP_MAX_INTERFACES - 1);
	/* Numbers below the bound, each once: there is room. */
	info->interfaces[info->num_interfaces].interface_class = d.bInterfaceClass;
	info->interfaces[info->num_interfaces].subclass = d.bInterfaceSubClass;
	info->interfaces[info->num_interfaces].protocol = d.bInterfaceProtocol;
	info->num_interfaces++;
	return 0;
}

static const struct {
	uint8_t type, min;
	const char *name;
} known[] = {
	{USB_DT_CONFIG, sizeof(struct usb_config_descriptor), "configuration"},
	{USB_DT_INTERFACE, sizeof(struct usb_interface_descriptor), "interface"},
	{USB_DT_ENDPOINT, ENDPOINT_LENGTH, "endpoint"},
};

/* All of one configuration; its interfaces go to @info. */
static int read_configuration(struct cursor c, unsigned value, struct usbip_device_info *info,
			      struct usb_descriptor_fault *f)
{
	struct seen seen = {};
	size_t total = c.left;

	info->num_interfaces = 0;
	while (c.left) {
		const struct usb_descriptor_header *h = cursor_peek(&c, sizeof(*h));
		size_t at = total - c.left;
		int r;

		if (!h)
			return fault(f, "configuration %u: one byte is left over at byte %zu",
				     value, at);
		if (h->bLength < sizeof(*h))
			return fault(f, "configuration %u: descriptor at byte %zu is %u bytes long",
				     value, at, h->bLength);
		if (h->bLength > c.left)
			return fault(f,
				     "configuration %u: descriptor at byte %zu goes beyond the end",
				     value, at);
		for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
			if (h->bDescriptorType == known[i].type && h->bLength < known[i].min)
				return fault(f,
					     "configuration %u: %s descriptor at byte %zu is %u "
					     "bytes long",
					     value, known[i].name, at, h->bLength);
		}
		if (h->bDescriptorType == USB_DT_INTERFACE) {
			r = read_interface(h, value, at, &seen, info, f);
			if (r < 0)
				return r;
		}
		cursor_take(&c, h->bLength);
	}
	return 0;
}

/* The configurations, one after the other. */
static int read_configurations(struct cursor c, unsigned count, uint8_t wanted,
			       struct usbip_device_info *info, struct usb_descriptor_fault *f)
{
	struct usbip_device_info scratch = {};
	bool found = false;

	for (unsigned i = 0; i < count; i++) {
		struct usb_config_descriptor d;
		const void *p = cursor_peek(&c, sizeof(d));
		size_t length;
		int r;

		if (!p)
			return fault(f, "%u configurations are announced, %u are there", count, i);
		memcpy(&d, p, sizeof(d));
		if (d.bDescriptorType != USB_DT_CONFIG || d.bLength < sizeof(d))
			return fault(f, "where configuration number %u is due, there is none",
				     i + 1);
		length = le16_get(d.wTotalLength);
		if (length < d.bLength)
			return fault(f, "configuration %u says that it is %zu bytes long",
				     d.bConfigurationValue, length);
		p = cursor_take(&c, length);
		if (!p)
			return fault(f, "configuration %u says %zu bytes, there are %zu",
				     d.bConfigurationValue, length, c.left);
		r = read_configuration(cursor_of(p, length), d.bConfigurationValue, &scratch, f);
		if (r < 0)
			return r;
		if (d.bConfigurationValue != wanted || !wanted || found)
			continue;
		found = true;
		info->configuration_value = wanted;
		info->num_interfaces = scratch.num_interfaces;
		memcpy(info->interfaces, scratch.interfaces, sizeof(info->interfaces));
	}
	if (wanted && !found)
		return fault(f, "its configuration is %u, and it has none of that number", wanted);
	return 0;
}

/**
 * usb_descriptor_read() - a device's descriptors, as USB/IP tells of them
 * @data:	sysfs "descriptors": the device descriptor, then each configuration whole
 * @len:	bytes
 * @configuration: bConfigurationValue of the active one, 0 for none (which has no interfaces)
 * @info:	its numbers, classes, configuration and interfaces are set on success; path, busid,
 *		busnum, devnum and speed are the caller's
 * @ret_fault:	set on failure, in words
 *
 * USB 2.0, 9.6. Interfaces are told in the order in which they come, with the classes of the
 *setting that comes first.
 *
 * Return: 0; -EBADMSG where the descriptors are broken.
 */
int usb_descriptor_read(const void *data, size_t len, uint8_t configuration,
			struct usbip_device_info *info, struct usb_descriptor_fault *ret_fault)
{
	struct cursor c = cursor_of(data, min_t(size_t, len, USB_DESCRIPTORS_MAX));
	const void *p = cursor_take(&c, sizeof(struct usb_device_descriptor));
	struct usb_device_descriptor d;
	struct usbip_device_info out;
	int r;

	if (!p)
		return fault(ret_fault, "the device descriptor is cut off after %zu bytes", len);
	memcpy(&d, p, sizeof(d));
	if (d.bLength != sizeof(d) || d.bDescriptorType != USB_DT_DEVICE)
		return fault(ret_fault, "the device descriptor has length %u and type %u",
			     d.bLength, d.bDescriptorType);
	out = *info;
	out.id_vendor = le16_get(d.idVendor);
	out.id_product = le16_get(d.idProduct);
	out.bcd_device = le16_get(d.bcdDevice);
	out.device_class = d.bDeviceClass;
	out.device_subclass = d.bDeviceSubClass;
	out.device_protocol = d.bDeviceProtocol;
	out.num_configurations = d.bNumConfigurations;
	out.configuration_value = 0;
	out.num_interfaces = 0;
	memset(out.interfaces, 0, sizeof(out.interfaces));
	r = read_configurations(c, d.bNumConfigurations, configuration, &out, ret_fault);
	if (r < 0)
		return r;
	*info = out;
	return 0;
}
