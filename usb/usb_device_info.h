/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is told of a device before it is opened: where it is, what it is, its interfaces. Plain, with
 * numbers in host order.
 */
#pragma once

#include <stdint.h>

#include "usb/usb_configuration.h"

#define USB_BUSID_SIZE 32 /* "1-1.4", with its end */

struct usb_device_info {
	char path[256], busid[USB_BUSID_SIZE]; /* terminated */
	uint32_t busnum, devnum;	       /* 1 to 255 each: USB/IP's stock tool keeps 8 bits */
	uint32_t speed; /* enum usb_device_speed of Linux: 1 low … 5 super */
	uint16_t id_vendor, id_product, bcd_device;
	uint8_t device_class, device_subclass, device_protocol;
	uint8_t configuration_value, num_configurations, num_interfaces;
	struct {
		uint8_t interface_class, subclass, protocol;
	} interfaces[USB_INTERFACES_MAX];
};
