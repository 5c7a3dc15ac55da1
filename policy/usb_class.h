/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What kinds of device there are, for people: the classes of the contract, as a set of bits. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * The one list of classes. A class's name is read by usb_class_parse(), and listed by
 * USB_CLASS_NAMES; a test holds the manuals against it.
 */
#define USB_CLASS_LIST(X)               \
	X(AUDIO, "audio")               \
	X(COMM, "comm")                 \
	X(NETWORK, "network")           \
	X(HID, "hid")                   \
	X(HID_KEYBOARD, "hid.keyboard") \
	X(HID_MOUSE, "hid.mouse")       \
	X(IMAGE, "image")               \
	X(PRINTER, "printer")           \
	X(STORAGE, "storage")           \
	X(HUB, "hub")                   \
	X(SMARTCARD, "smartcard")       \
	X(VIDEO, "video")               \
	X(WIRELESS, "wireless")         \
	X(VENDOR, "vendor")

#define USB_CLASS_MEMBER(member, name) USB_CLASS_##member,
#define USB_CLASS_WORD(member, name)   " " name

/* " audio comm …", a blank before each. */
#define USB_CLASS_NAMES USB_CLASS_LIST(USB_CLASS_WORD)

enum usb_class { USB_CLASS_LIST(USB_CLASS_MEMBER) USB_CLASSES };

typedef uint32_t usb_class_set; /* 1 << enum usb_class */

usb_class_set usb_class_of(uint8_t base_class, uint8_t subclass, uint8_t protocol);
const char *usb_class_name(enum usb_class c);
int usb_class_parse(const char *name);
