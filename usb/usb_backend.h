/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a device is driven by: the calls that a descriptor of it allows.
 *
 *   usb_libusb.c	a usbfs node: transfers by libusb, the rest by usbfs' own calls
 *   usb_direct.c	a usbfs node that libusb can't take: all by usbfs' calls
 *   a test's		a device that is a script (tests/unit/script-node.h)
 *
 * A back-end decides nothing: usb_device.c decides what is claimed, what is drained, and in which
 * order. It belongs to its device, and nobody else knows it. A device gets its back-end when it is
 * opened: the first in usb_device_use()'s table that takes the descriptor, or the next one if that
 * can't start.
 *
 * A worker makes the calls that may block, one at a time, and no other call is made meanwhile. All
 * others are made in the thread of the device's user.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "usb/usb_urb.h"

struct usb_backend;

/* Outcomes of start(). */
enum {
	USB_BACKEND_NEXT = 1, /* this one can't carry the device, the next one may */
};

struct usb_backend_ops {
	const char *name; /* for people */
	/* Is it for such a descriptor? NULL: for any. */
	bool (*takes)(int fd);

	/*
	 * These may block. They return 0, or a negative errno: -ENODEV: the device is gone;
	 * -EINVAL: it has no such interface. These may be called at any time:
	 */
	/* Read on in the descriptors as usbfs shows them (usb_descriptor.h), as pread() does. */
	ssize_t (*read)(struct usb_backend *backend, void *to, size_t len, off_t at);
	/* A control request to the device itself. Return: bytes. */
	int (*control)(struct usb_backend *backend, const uint8_t setup[8], void *data,
		       unsigned timeout_ms);
	/* Take an interface from the host's driver / give it up, the driver does not come back. */
	int (*claim)(struct usb_backend *backend, uint8_t interface);
	void (*release)(struct usb_backend *backend, uint8_t interface);
	/* These while nothing is claimed: */
	int (*set_configuration)(struct usb_backend *backend, int value);
	int (*reset)(struct usb_backend *backend);
	/* These about claimed interfaces: */
	int (*set_interface)(struct usb_backend *backend, uint8_t interface, uint8_t alternate);
	int (*clear_halt)(struct usb_backend *backend, uint8_t endpoint);
	/* Make ready for transfers. 0; USB_BACKEND_NEXT; a negative errno with @ret_reason. */
	int (*start)(struct usb_backend *backend, const char **ret_reason);
	/* After start(), with no URB under way. */
	void (*stop)(struct usb_backend *backend);

	/* These don't block; between start() and stop(). */
	/* Start a transfer, or say why not by a negative errno. */
	int (*submit)(struct usb_backend *backend, struct usb_urb *urb);
	/* End a transfer soon. If it has ended already, its true result comes. */
	void (*cancel)(struct usb_backend *backend, struct usb_urb *urb);
	/* Hand back by usb_backend_done() what has ended; not all of it, if it is much. */
	void (*reap)(struct usb_backend *backend);
	/*
	 * Which descriptors become ready when reap() has something to do. Return: how many; a
	 * negative errno: as before.
	 */
	int (*watches)(struct usb_backend *backend, struct pollfd *fds, unsigned max);
};

struct usb_backend {
	const struct usb_backend_ops *ops;
	int fd;	   /* the device's */
	void *own; /* of the back-end, from start() to stop() */
	/* Of usb_urb.device_link: */
	struct list aloft; /* the back-end has them */
	struct list done;  /* ended, and the session doesn't know yet */
	bool gone;	   /* it was unplugged */
	bool watches_changed;
};

extern const struct usb_backend_ops usb_backend_libusb, usb_backend_direct;

/* A URB has ended; its results are set. */
static inline void usb_backend_done(struct usb_backend *backend, struct usb_urb *urb)
{
	list_remove(&urb->device_link);
	list_append(&backend->done, &urb->device_link);
}
