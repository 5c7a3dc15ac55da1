/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which control requests may not go to the device unchanged, because the host's USB stack has to
 * know of them. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum usb_request_kind {
	USB_REQUEST_RAW,	       /* to the device as it is */
	USB_REQUEST_SET_ADDRESS,       /* answered here: the address is the host's */
	USB_REQUEST_REFUSE,	       /* to a hub that isn't there */
	USB_REQUEST_SET_CONFIGURATION, /* the rest: a call of libusb, which blocks */
	USB_REQUEST_SET_INTERFACE,
	USB_REQUEST_CLEAR_HALT,
	USB_REQUEST_RESET,
};

struct usb_request {
	enum usb_request_kind kind;
	uint8_t configuration; /* SET_CONFIGURATION: 0 is none */
	uint8_t interface, alternate;
	uint8_t endpoint; /* CLEAR_HALT: address with direction bit */
};

struct usb_request usb_request_read(const uint8_t setup[8]);
bool usb_request_shorten(uint8_t setup[8], uint16_t max);
void usb_request_amend_reply(const uint8_t setup[8], uint8_t *data, size_t len);

static inline int usb_request_blocks(enum usb_request_kind kind)
{
	return kind >= USB_REQUEST_SET_CONFIGURATION;
}
