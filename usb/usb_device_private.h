/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device from within: usb_device.c (its states), usb_device_call.c (what blocks),
 * usb_interfaces.c (its interfaces) and usb_keyboard.c share this, and nobody else includes it. What it
 * is driven by is usb_backend.h's.
 *
 * While a job is under way (@busy), all but the job's @letter belongs to the worker; otherwise to
 * the user's thread. The hand-over is the user's mailbox.
 */
#pragma once

#include "base/list.h"
#include "usb/hid_found.h"
#include "usb/hid_input.h"
#include "usb/usb_backend.h"
#include "usb/usb_carrier.h"
#include "usb/usb_configuration.h"
#include "usb/usb_descriptor.h"
#include "usb/usb_device.h"
#include "usb/usb_device_carrier.h"

#define MAX_WATCHED 8

enum usb_device_state {
	USB_DEVICE_NEW,
	USB_DEVICE_OPENING,
	USB_DEVICE_READY, /* parked, too; @end_wanted and @close_wanted say what is wanted */
	USB_DEVICE_CLOSING,
	USB_DEVICE_CLOSED,
};

/*
 * On the stack of a function that calls the user back and goes on with the device afterwards: the
 * user may have freed the device from within, or unbound it, so that another thread has it already.
 */
struct usb_device_guard {
	struct usb_device *dev; /* NULL: hands off */
	struct usb_device_guard *outer;
};

enum usb_device_call { USB_CALL_OPEN, USB_CALL_REQUEST, USB_CALL_RESTORE, USB_CALL_CLOSE };

struct usb_device {
	struct usb_carrier carrier;
	char name[64];
	struct usb_backend backend;		   /* whose descriptor is the device's to close */
	const struct usb_backend_ops *const *ways; /* from this one on */
	bool started;				   /* the back-end is, and what it watches counts */

	const struct usb_device_ops *ops;
	void *ops_ctx;
	enum usb_device_state state;
	bool end_wanted, close_wanted; /* once drained */
	bool gone_told;
	bool dirty;			/* not as after a reset any more */
	struct usb_device_guard *guard; /* the innermost */

	/* The blocking call that is under way, and its result. */
	struct usb_job job;
	bool busy;
	enum usb_device_call call;
	struct usb_request request;
	int result;
	char reason[160];

	/* Its descriptors, which never change while the descriptor is open, and what is active. */
	uint8_t *descriptor_bytes;
	struct usb_descriptors descriptors;
	struct usb_configuration *active;	/* NULL: no configuration */
	int configuration, found_configuration; /* bConfigurationValue or USB_NO_CONFIGURATION */
	int expected_configuration; /* as it was listed; as these, -1 where nobody says */
	uint8_t n_claimed, claimed[USB_INTERFACES_MAX]; /* numbers */
	bool never_reset;

	/* Keyboards: what they are watched for, and the configuration whose interfaces are. */
	struct hid_listener keyboard;
	int watched_configuration;
	struct hid_found found; /* in any of its configurations so far */

	struct usb_memory *memory; /* what its URBs are charged to, or NULL */
	unsigned in_flight;

	/* Descriptors that the user watches. */
	struct {
		int fd;
		short events;
	} watched[MAX_WATCHED];
	unsigned n_watched;
};

/* usb_device_call.c: in the worker */
void usb_device_call_run(struct usb_device *dev);
int _printf_(3, 4) usb_device_fail(struct usb_device *dev, int r, const char *format, ...);

/* usb_interfaces.c: in the worker */
int usb_interfaces_open(struct usb_device *dev);
void usb_interfaces_close(struct usb_device *dev);
int usb_interfaces_claim(struct usb_device *dev);
void usb_interfaces_release(struct usb_device *dev);
int usb_interfaces_configure(struct usb_device *dev, int configuration);
int usb_interfaces_set(struct usb_device *dev, uint8_t number, uint8_t alternate);

/* usb_keyboard.c: in the worker */
void usb_keyboard_find(struct usb_device *dev);
