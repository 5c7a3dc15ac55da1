/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device on a usbfs node that libusb can't take: transfers, too, are usbfs' calls; see usb_backend.h.
 *
 * libusb 1.0.26 to 1.0.28 refuses a device of which one configuration says that it is shorter than
 * its own descriptor (linux_usbfs.c: parse_config_descriptors), though Linux works with it: such a
 * configuration has no interfaces, and the others are whole. Devices of this kind are rare, so this
 * does not do all that libusb does. However long, a URB is one URB of usbfs', which needs its
 * memory in one piece on a host controller without scatter-gather. Isochronous transfers are
 * refused.
 */
#include <errno.h>
#include <linux/usbdevice_fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/mem.h"
#include "usb/usb_backend.h"
#include "usb/usb_usbfs.h"

#define REAPED_MAX 26 /* a turn, as by libusb */

static int fill(const struct usb_urb *urb, struct usbdevfs_urb *u)
{
	*u = (struct usbdevfs_urb){
		.endpoint = urb->endpoint,
		.buffer = urb->data,
		.buffer_length = (int)urb->length,
		.usercontext = (void *)urb,
	};
	switch (urb->type) {
	case USB_CONTROL:
		u->type = USBDEVFS_URB_TYPE_CONTROL;
		u->buffer = urb->data - USB_URB_SETUP_SIZE;
		memcpy(u->buffer, urb->setup, USB_URB_SETUP_SIZE);
		u->buffer_length = USB_URB_SETUP_SIZE + (urb->setup[6] | urb->setup[7] << 8);
		return 0;
	case USB_BULK:
		u->type = USBDEVFS_URB_TYPE_BULK;
		break;
	case USB_INTERRUPT:
		u->type = USBDEVFS_URB_TYPE_INTERRUPT;
		break;
	default:
		return -EOPNOTSUPP;
	}
	if (urb->zero_packet && !(urb->endpoint & 0x80))
		u->flags |= USBDEVFS_URB_ZERO_PACKET;
	return 0;
}

static int failed(struct usb_backend *backend, int error)
{
	if (error == ENODEV)
		backend->gone = true;
	return -error;
}

static int submit(struct usb_backend *backend, struct usb_urb *urb)
{
	int r;

	if (!urb->transfer) {
		urb->transfer = malloc(sizeof(struct usbdevfs_urb));
		urb->transfer_free = free;
	}
	if (!urb->transfer)
		return -ENOMEM;
	r = fill(urb, urb->transfer);
	if (r < 0)
		return r;
	if (ioctl(backend->fd, USBDEVFS_SUBMITURB, urb->transfer) < 0)
		return failed(backend, errno);
	return 0;
}

static void cancel(struct usb_backend *backend, struct usb_urb *urb)
{
	if (ioctl(backend->fd, USBDEVFS_DISCARDURB, urb->transfer) < 0)
		failed(backend, errno);
}

static void done(struct usb_backend *backend, struct usb_urb *urb, int status, int actual)
{
	urb->cancelled = status == -ENOENT || status == -ECONNRESET;
	urb->status = urb->cancelled ? -ECONNRESET : status;
	urb->actual = (uint32_t)max_t(int, actual, 0);
	usb_backend_done(backend, urb);
}

/*
 * If the device is gone, all URBs come back; those that the kernel does not give back get
 * -ESHUTDOWN.
 */
static void reap(struct usb_backend *backend)
{
	for (unsigned i = 0; i < REAPED_MAX; i++) {
		struct usbdevfs_urb *u = NULL;

		if (ioctl(backend->fd, USBDEVFS_REAPURBNDELAY, &u) < 0) {
			if (errno != ENODEV)
				return;
			backend->gone = backend->watches_changed = true;
			list_for_each_safe(l, &backend->aloft)
				done(backend, list_entry(l, struct usb_urb, device_link),
				     -ESHUTDOWN, 0);
			return;
		}
		if (u)
			done(backend, u->usercontext, u->status, u->actual_length);
	}
}

static int watches(struct usb_backend *backend, struct pollfd *fds, unsigned max)
{
	/* The descriptor of a device that is gone is ready for ever. */
	if (backend->gone || !max)
		return 0;
	fds[0] = (struct pollfd){.fd = backend->fd, .events = POLLOUT};
	return 1;
}

static int start(struct usb_backend *backend, const char **ret_reason)
{
	return 0;
}

static void stop(struct usb_backend *backend)
{
}

const struct usb_backend_ops usb_backend_direct = {
	.name = "usbfs",
	USB_USBFS_CALLS,
	.start = start,
	.stop = stop,
	.submit = submit,
	.cancel = cancel,
	.reap = reap,
	.watches = watches,
};
