/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors of a device as the kernel hands them out (sysfs "descriptors": the device descriptor,
 * then each configuration whole), read as hostile bytes. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "usbip/usbip_op.h"

#define USB_DESCRIPTORS_MAX (64 * 1024) /* bytes that are looked at at all */

/* What a broken device is told to its owner by. */
struct usb_descriptor_fault {
	char text[128]; /* "configuration 1: interface descriptor at byte 9 is 4 bytes long" */
};

int usb_descriptor_read(const void *data, size_t len, uint8_t configuration,
			struct usbip_device_info *info, struct usb_descriptor_fault *ret_fault);
