/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Standard descriptors as USB 2.0, 9.6 lays them out, with its names. For the readers of
 * descriptors alone.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endian_types.h"

#define USB_DT_DEVICE	 1
#define USB_DT_CONFIG	 2
#define USB_DT_INTERFACE 4
#define USB_DT_ENDPOINT	 5

#define USB_SPEC_CONTROL 0 /* bmAttributes, bits 0 and 1 */

struct usb_descriptor_header {
	uint8_t bLength;
	uint8_t bDescriptorType;
};
static_assert(sizeof(struct usb_descriptor_header) == 2, "header");

struct usb_device_descriptor_spec {
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
static_assert(sizeof(struct usb_device_descriptor_spec) == 18, "device descriptor");

struct usb_config_descriptor_spec {
	uint8_t bLength;
	uint8_t bDescriptorType;
	le16 wTotalLength;
	uint8_t bNumInterfaces;
	uint8_t bConfigurationValue;
	uint8_t iConfiguration;
	uint8_t bmAttributes;
	uint8_t bMaxPower;
};
static_assert(sizeof(struct usb_config_descriptor_spec) == 9, "configuration descriptor");

struct usb_interface_descriptor_spec {
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
static_assert(sizeof(struct usb_interface_descriptor_spec) == 9, "interface descriptor");

/* An audio device's is longer, and counts all the same. */
struct usb_endpoint_descriptor_spec {
	uint8_t bLength;
	uint8_t bDescriptorType;
	uint8_t bEndpointAddress;
	uint8_t bmAttributes;
	le16 wMaxPacketSize;
	uint8_t bInterval;
};
static_assert(sizeof(struct usb_endpoint_descriptor_spec) == 7, "endpoint descriptor");

/* Does a configuration begin here? */
static inline bool usb_is_configuration(const uint8_t *p, size_t left)
{
	return left >= sizeof(struct usb_config_descriptor_spec) && p[1] == USB_DT_CONFIG &&
	       p[0] >= sizeof(struct usb_config_descriptor_spec) && p[0] <= left;
}
