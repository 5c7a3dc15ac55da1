/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The endpoints that a device has now, and which URBs a blocking request affects. Pure.
 */
#include "usb/usb_carrier.h"

#include "base/mem.h"

/**
 * usb_carrier_endpoint() - an endpoint of the active alternate settings
 * @carrier:	the carrier
 * @address:	its address with direction bit, not endpoint 0
 *
 * Return: the endpoint, valid until something blocks; NULL where there is none.
 */
const struct usb_endpoint *usb_carrier_endpoint(const struct usb_carrier *carrier, uint8_t address)
{
	const struct usb_endpoint *e = &carrier->endpoints.at[usb_endpoint_slot(address)];

	return e->exists ? e : NULL;
}

/**
 * usb_endpoints_clear_interface() - forget an interface's endpoints
 * @endpoints:	all
 * @interface:	its bInterfaceNumber
 */
void usb_endpoints_clear_interface(struct usb_endpoints *endpoints, uint8_t interface)
{
	for (size_t i = 0; i < ARRAY_SIZE(endpoints->at); i++) {
		if (endpoints->at[i].exists && endpoints->at[i].interface == interface)
			endpoints->at[i] = (struct usb_endpoint){};
	}
}

/**
 * usb_request_touches() - would the kernel kill this URB on behalf of this request?
 * @request:	one that blocks
 * @urb:	one that the device has, not endpoint 0's
 *
 * usbfs kills the URBs of what it resets or sets anew, and libusb then tells of them as done with 0
 * bytes (devio.c: destroy_async_on_interface): they have to be cancelled before.
 *
 * Return: whether.
 */
bool usb_request_touches(const struct usb_request *request, const struct usb_urb *urb)
{
	switch (request->kind) {
	case USB_REQUEST_SET_CONFIGURATION:
	case USB_REQUEST_RESET:
		return true;
	case USB_REQUEST_SET_INTERFACE:
		return urb->interface == request->interface;
	default:
		return false;
	}
}
