/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What kinds of device there are, for people: the classes of the contract, as a set of bits. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum usb_class {
	USB_CLASS_AUDIO,
	USB_CLASS_COMM,
	USB_CLASS_NETWORK,
	USB_CLASS_HID,
	USB_CLASS_HID_KEYBOARD,
	USB_CLASS_HID_MOUSE,
	USB_CLASS_IMAGE,
	USB_CLASS_PRINTER,
	USB_CLASS_STORAGE,
	USB_CLASS_HUB,
	USB_CLASS_SMARTCARD,
	USB_CLASS_VIDEO,
	USB_CLASS_WIRELESS,
	USB_CLASS_VENDOR,
	USB_CLASSES
};

typedef uint32_t usb_class_set; /* 1 << enum usb_class */

usb_class_set usb_class_of(uint8_t base_class, uint8_t subclass, uint8_t protocol);
const char *usb_class_name(enum usb_class c);
int usb_class_parse(const char *name);
