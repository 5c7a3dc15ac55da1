/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which control requests may not go to the device unchanged, and which reply may not go to the
 * guest unchanged. Pure.
 *
 * Passed on raw, they would leave the host's USB stack with a wrong idea of the device: stale
 * endpoints after SET_CONFIGURATION and SET_INTERFACE, a stale data toggle after CLEAR_FEATURE.
 * Linux's own server takes the same ones out (stub_rx.c: tweak_special_requests).
 */
#include "usb/usb_request.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

/* USB 2.0, 9.4, and 11.24.2.13 for the hub's. */
#define ENDPOINT_HALT	   0
#define PORT_RESET	   4
#define HUB_PORT_RECIPIENT 0x23

/* USB 2.0, 9.4.3 and 9.6.3. */
#define GET_DESCRIPTOR	   6
#define STANDARD_IN_MASK   0xe0 /* of bmRequestType: direction and type */
#define DT_CONFIG	   2
#define DT_OTHER_SPEED	   7
#define CONFIG_ATTRIBUTES  7 /* place of bmAttributes */
#define ATTR_REMOTE_WAKEUP 0x20

static const struct {
	uint8_t type, request;
	enum usb_request_kind kind;
} specials[] = {
	{0x00, 0x05, USB_REQUEST_SET_ADDRESS},	       {0x00, 0x09, USB_REQUEST_SET_CONFIGURATION},
	{0x01, 0x0b, USB_REQUEST_SET_INTERFACE},       {0x02, 0x01, USB_REQUEST_CLEAR_HALT},
	{HUB_PORT_RECIPIENT, 0x03, USB_REQUEST_RESET},
};

/**
 * usb_request_read() - what a control request means to the host
 * @setup:	the 8 bytes, as on the bus
 *
 * CLEAR_FEATURE(ENDPOINT_HALT) of endpoint 0 is raw: usbfs knows no endpoint 0 (devio.c:
 * findintfep). Feature requests to a hub's port come from clients that ask for a reset in this way
 * (usbip-win2); any but PORT_RESET is refused, for the device is no hub.
 *
 * Return: the request.
 */
struct usb_request usb_request_read(const uint8_t setup[8])
{
	uint16_t value = (uint16_t)(setup[2] | setup[3] << 8);
	uint16_t index = (uint16_t)(setup[4] | setup[5] << 8);
	struct usb_request r = {.kind = USB_REQUEST_RAW};

	for (size_t i = 0; i < ARRAY_SIZE(specials); i++) {
		if (setup[0] == specials[i].type && setup[1] == specials[i].request)
			r.kind = specials[i].kind;
	}
	switch (r.kind) {
	case USB_REQUEST_SET_CONFIGURATION:
		r.configuration = (uint8_t)value;
		break;
	case USB_REQUEST_SET_INTERFACE:
		r.interface = (uint8_t)index;
		r.alternate = (uint8_t)value;
		break;
	case USB_REQUEST_CLEAR_HALT:
		r.endpoint = (uint8_t)index;
		if (value != ENDPOINT_HALT || (r.endpoint & 0x0f) == 0)
			r.kind = USB_REQUEST_RAW;
		break;
	case USB_REQUEST_RESET:
		if (value != PORT_RESET)
			r.kind = USB_REQUEST_REFUSE;
		break;
	default:
		if ((setup[0] & 0x7f) == HUB_PORT_RECIPIENT)
			r.kind = USB_REQUEST_REFUSE;
	}
	return r;
}

/**
 * usb_request_shorten() - ask for less, if a part of the answer is enough
 * @setup:	a request with more data than can be carried; changed on success
 * @max:	bytes of data that can be
 *
 * Whoever reads a descriptor expects it to be shorter than the buffer, and Linux goes on with the
 * part of a configuration that it got (core/config.c: "descriptor too short").
 *
 * Return: whether it was one of those.
 */
bool usb_request_shorten(uint8_t setup[8], uint16_t max)
{
	if ((setup[0] & STANDARD_IN_MASK) != 0x80 || setup[1] != GET_DESCRIPTOR)
		return false;
	setup[6] = (uint8_t)max;
	setup[7] = (uint8_t)(max >> 8);
	return true;
}

/**
 * usb_request_amend_reply() - take out of a reply what USB/IP can't carry
 * @setup:	the request
 * @data:	what the device replied
 * @len:	bytes of it
 *
 * USB/IP has no message for remote wake-up. A guest that relies on it suspends a keyboard
 * (systemd's rules do that for many) and never hears from it again. So configurations are made to
 * say that they can't wake; QEMU and usbipd-win do the same.
 */
void usb_request_amend_reply(const uint8_t setup[8], uint8_t *data, size_t len)
{
	if (setup[0] == 0x80 && setup[1] == GET_DESCRIPTOR &&
	    (setup[3] == DT_CONFIG || setup[3] == DT_OTHER_SPEED) && len > CONFIG_ATTRIBUTES)
		data[CONFIG_ATTRIBUTES] &= (uint8_t)~ATTR_REMOTE_WAKEUP;
}
