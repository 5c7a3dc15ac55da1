/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors of a device as Linux keeps them: the device descriptor, then each configuration.
 * Hostile bytes, read without I/O. What a configuration holds is read by usb_configuration.h.
 *
 * Linux hands them out in two forms, which differ where a configuration is shorter than it says:
 *
 *  - sysfs (core/sysfs.c: read_descriptors): of each configuration the part that can be read, one
 *    right after the other. Where the next one begins has to be found by walking.
 *  - usbfs (core/devio.c: usbdev_read): each configuration takes as many bytes as it says. What
 *    can't be read of it is a hole: read() counts those bytes and doesn't write them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "usb/usb_device_info.h"

/* What sysfs shows at most: a device descriptor and 65535 bytes. */
#define USB_DESCRIPTORS_MAX (18 + 65535)
/* What usbfs shows at most: as many configurations as Linux reads (core/config.c: USB_MAXCONFIG),
 * each as long as can be said. */
#define USB_CONFIGURATIONS_MAX	  8
#define USB_DESCRIPTORS_MAX_USBFS (18 + USB_CONFIGURATIONS_MAX * 65535)

#define USB_NO_CONFIGURATION (-1)

enum usb_descriptors_form {
	USB_DESCRIPTORS_SYSFS,
	USB_DESCRIPTORS_USBFS, /* holes must be zero: have the buffer so before it is read into */
};

/* Where the configurations lie. They borrow the bytes that were read. */
struct usb_descriptors {
	uint16_t id_vendor, id_product, bcd_device;
	uint8_t device_class, device_subclass, device_protocol;
	uint8_t announced; /* bNumConfigurations */
	unsigned n;	   /* found, in their order */
	struct {
		const uint8_t *bytes; /* a configuration descriptor at least */
		size_t len;	      /* may end with a hole */
		uint8_t value;	      /* bConfigurationValue */
	} configurations[USB_CONFIGURATIONS_MAX];
};

/* What a broken device is told to its owner by. */
struct usb_descriptor_fault {
	char text[160];
};

int usb_descriptors_find(struct usb_descriptors *ret_descriptors, const void *data, size_t len,
			 enum usb_descriptors_form form, struct usb_descriptor_fault *ret_fault);
int usb_descriptors_index(const struct usb_descriptors *descriptors, int configuration);

int usb_descriptor_read(const void *data, size_t len, int configuration,
			struct usb_device_info *info, struct usb_descriptor_fault *ret_fault);
