/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transfers of a device that libusb can't take: by usbfs' calls themselves. In the user's thread,
 * never while the device is parked.
 *
 * libusb 1.0.26 to 1.0.28 refuses a device of which one configuration says that it is shorter than
 * its own descriptor (linux_usbfs.c: parse_config_descriptors), though Linux works with it: such a
 * configuration has no interfaces, and the others are whole. Devices of this kind are rare, so what
 * libusb does for the rest isn't done twice: a URB is one of usbfs', however long, which on a host
 * controller without scatter-gather needs as much memory in one piece; isochronous transfers are
 * refused.
 */
#include <errno.h>
#include <linux/usbdevice_fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/mem.h"
#include "usb/usb_device_private.h"

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

static int failed(struct usb_device *dev, int error)
{
	if (error == ENODEV)
		dev->gone = true;
	return -error;
}

/**
 * usb_direct_submit() - give a URB to the kernel
 * @dev:	the device, open without libusb and not parked
 * @urb:	the URB, with a buffer
 *
 * Return: 0: it will be in the device's list of done ones; a negative errno.
 */
int usb_direct_submit(struct usb_device *dev, struct usb_urb *urb)
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
	urb->device = dev;
	urb->cancel_later = false;
	if (ioctl(dev->fd, USBDEVFS_SUBMITURB, urb->transfer) < 0)
		return failed(dev, errno);
	list_append(&dev->aloft, &urb->device_link);
	dev->in_flight++;
	return 0;
}

/**
 * usb_direct_cancel() - ask the kernel for a URB back
 * @dev:	the device, not parked
 * @urb:	the URB, submitted; where it is done already, its true result comes
 */
void usb_direct_cancel(struct usb_device *dev, struct usb_urb *urb)
{
	urb->cancel_later = false;
	if (ioctl(dev->fd, USBDEVFS_DISCARDURB, urb->transfer) < 0)
		failed(dev, errno);
}

static void done(struct usb_device *dev, struct usb_urb *urb, int status, int actual)
{
	urb->cancelled = status == -ENOENT || status == -ECONNRESET;
	urb->status = urb->cancelled ? -ECONNRESET : status;
	urb->actual = (uint32_t)max_t(int, actual, 0);
	list_remove(&urb->device_link);
	list_append(&dev->done, &urb->device_link);
}

/**
 * usb_direct_reap() - take back what the kernel is done with
 * @dev:	the device, not parked
 *
 * Of a device that is gone all come back, with -ESHUTDOWN where the kernel says no more of them.
 */
void usb_direct_reap(struct usb_device *dev)
{
	for (unsigned i = 0; i < REAPED_MAX; i++) {
		struct usbdevfs_urb *u = NULL;

		if (ioctl(dev->fd, USBDEVFS_REAPURBNDELAY, &u) < 0) {
			if (errno != ENODEV)
				return;
			dev->gone = dev->fds_changed = true;
			list_for_each_safe(l, &dev->aloft)
				done(dev, list_entry(l, struct usb_urb, device_link), -ESHUTDOWN,
				     0);
			return;
		}
		if (u)
			done(dev, u->usercontext, u->status, u->actual_length);
	}
}
