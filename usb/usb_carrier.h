/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who carries out a session's URBs. A carrier lies between a session and the device behind it, so that
 * either can be tested without the other. Both belong to the same thread.
 *
 * A carrier is usb_device.c's, or a script in a test. Its client is the session: one at a time.
 * While a carrier is parked (between start() and request_done()), submit() isn't called; cancel()
 * may be, and is carried out afterwards.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "usb/usb_request.h"
#include "usb/usb_urb.h"

struct hid_input;
struct usb_carrier;
struct usb_client;

/* One endpoint of the active alternate settings. */
struct usb_endpoint {
	bool exists;
	uint8_t interface, attributes; /* bmAttributes */
	uint16_t max_packet;	       /* wMaxPacketSize */
};

static inline enum usb_transfer_type usb_endpoint_type(const struct usb_endpoint *endpoint)
{
	return (enum usb_transfer_type)(endpoint->attributes & 3);
}

/* By address: usb_endpoint_slot(). Endpoint 0 is not in here. */
struct usb_endpoints {
	struct usb_endpoint at[32];
};

static inline unsigned usb_endpoint_slot(uint8_t address)
{
	return (address & 0x0fu) | (address & 0x80u) >> 3;
}

struct usb_carrier_ops {
	/* Start a transfer. 0: completed() comes later, never from within. Else a negative errno,
	 * and it isn't started; -ENOMEM may be another when something has come back, and -EAGAIN
	 * will be, when enough of the same guest's has. */
	int (*submit)(struct usb_carrier *carrier, struct usb_urb *urb);
	/* End a started transfer soon; completed() comes all the same. */
	void (*cancel)(struct usb_carrier *carrier, struct usb_urb *urb);
	/* Begin a request that blocks. 0: parked, request_done() comes, perhaps from within. Else
	 * a negative errno, and it isn't begun. */
	int (*start)(struct usb_carrier *carrier, const struct usb_request *request);
};

struct usb_client_ops {
	/* A URB is back: its status and cancelled are set, and what has moved: actual, or each
	 * isochronous packet's actual_length and status. */
	void (*completed)(struct usb_client *client, struct usb_urb *urb);
	/* A batch of completions has been told. */
	void (*settled)(struct usb_client *client);
	/* The request that blocked has ended: 0 or a negative errno. The park is over. */
	void (*request_done)(struct usb_client *client, int r);
	/* The carrier has nothing of the client's any more, and forgets it. */
	void (*lost)(struct usb_client *client);
};

struct usb_client {
	const struct usb_client_ops *ops;
};

struct usb_carrier {
	const struct usb_carrier_ops *ops;
	struct usb_client *client;	/* or NULL */
	struct usb_endpoints endpoints; /* of what is active now */
	struct hid_input *input;	/* of its keyboards, or NULL */
	bool parked;
};

const struct usb_endpoint *usb_carrier_endpoint(const struct usb_carrier *carrier, uint8_t address);
void usb_endpoints_clear_interface(struct usb_endpoints *endpoints, uint8_t interface);
bool usb_request_touches(const struct usb_request *request, const struct usb_urb *urb);
