/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One configuration of a device: its interfaces, their alternate settings, the endpoints of each,
 * and the descriptors in between, as Linux takes them. Hostile bytes, read without I/O.
 *
 * Everything about a device is decided from this: which interfaces are claimed, which endpoints
 * there are, where the HID descriptor stands. The bytes are borrowed from the caller and must
 * outlive the configuration.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Linux's bounds: USB_MAXINTERFACES in include/linux/usb.h, USB_MAXALTSETTING in core/config.c,
 * USB_MAXENDPOINTS in include/linux/usb.h. What is beyond them does not exist. */
#define USB_INTERFACES_MAX 32
#define USB_SETTINGS_MAX   128 /* of one interface */
#define USB_ENDPOINTS_MAX  30  /* of one setting */

/* A run of whole descriptors. Each is at least 2 bytes long and ends within the run. */
struct usb_extra {
	const uint8_t *bytes;
	size_t len;
};

struct usb_endpoint_descriptor {
	uint8_t address; /* with direction bit */
	uint8_t attributes, interval;
	uint16_t max_packet;	/* wMaxPacketSize, as the device says it */
	struct usb_extra extra; /* what follows, up to the next endpoint or interface */
};

/* One alternate setting of an interface. */
struct usb_setting {
	uint8_t interface, alternate; /* bInterfaceNumber, bAlternateSetting */
	uint8_t interface_class, subclass, protocol;
	struct usb_extra extra; /* between the interface and its first endpoint */
	unsigned n_endpoints;
	const struct usb_endpoint_descriptor *endpoints;
};

struct usb_configuration {
	uint8_t value; /* bConfigurationValue */
	size_t used;   /* bytes before the first descriptor that can't be read */
	unsigned n_interfaces;
	uint8_t interfaces[USB_INTERFACES_MAX]; /* their numbers, in the order of appearance */
	unsigned n_settings;
	struct usb_setting *settings; /* in the order of appearance, those of an interface need not
				       * follow each other */
	struct usb_endpoint_descriptor *endpoints; /* of all settings, one after the other */
};

int usb_configuration_read(struct usb_configuration **ret_configuration, const void *data,
			   size_t len);
struct usb_configuration *usb_configuration_free(struct usb_configuration *configuration);
void usb_configuration_freep(struct usb_configuration **configuration);

const struct usb_setting *usb_configuration_setting(const struct usb_configuration *configuration,
						    uint8_t interface, uint8_t alternate);
const struct usb_setting *usb_configuration_default(const struct usb_configuration *configuration,
						    uint8_t interface);
const uint8_t *usb_extra_find(const struct usb_extra *extra, uint8_t type, size_t min);
const uint8_t *usb_setting_find(const struct usb_setting *setting, uint8_t type, size_t min);

size_t usb_descriptor_walk(const void *data, size_t len);
