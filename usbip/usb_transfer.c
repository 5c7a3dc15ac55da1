/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A URB as a libusb transfer. In the user's thread, never while the device is parked.
 *
 * Timeouts are 0: a guest unlinks what it tires of. SHORT_NOT_OK isn't passed on: the guest's own
 * USB stack turns a short success into its error, and libusb would only tell of an ERROR.
 *
 * A callback runs under libusb's locks, where opening and closing handles would deadlock: it only
 * notes the result and puts the URB into the device's list of done ones.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "usbip/usb_device_private.h"
#include "usbip/usb_status.h"
#include "usbip/usb_urb_pool.h"

static_assert(sizeof(struct libusb_control_setup) == USB_URB_SETUP_SIZE, "setup packet");

static void transfer_free(void *transfer)
{
	libusb_free_transfer(transfer);
}

static void LIBUSB_CALL on_done(struct libusb_transfer *transfer)
{
	struct usb_urb *urb = transfer->user_data;
	struct usb_device *dev = urb->device;

	urb->status = usb_status_of_transfer(transfer->status);
	urb->cancelled = transfer->status == LIBUSB_TRANSFER_CANCELLED;
	urb->actual = (uint32_t)max_t(int, transfer->actual_length, 0);
	urb->error_count = 0;
	if (transfer->status == LIBUSB_TRANSFER_NO_DEVICE)
		dev->gone = true;
	list_remove(&urb->device_link);
	list_append(&dev->done, &urb->device_link);
}

static void fill(struct usb_device *dev, struct usb_urb *urb, struct libusb_transfer *t)
{
	t->dev_handle = dev->handle;
	t->user_data = urb;
	t->callback = on_done;
	t->timeout = 0;
	t->flags = 0;
	t->num_iso_packets = 0;
	t->endpoint = urb->endpoint;
	t->buffer = urb->data;
	t->length = (int)urb->length;
	if (urb->type == USB_CONTROL) {
		/* wLength may be less than the client's buffer; the session has seen that it isn't
		 * more. */
		t->buffer = urb->data - USB_URB_SETUP_SIZE;
		memcpy(t->buffer, urb->setup, USB_URB_SETUP_SIZE);
		t->length = USB_URB_SETUP_SIZE + (urb->setup[6] | urb->setup[7] << 8);
		t->type = LIBUSB_TRANSFER_TYPE_CONTROL;
		return;
	}
	t->type =
		urb->type == USB_BULK ? LIBUSB_TRANSFER_TYPE_BULK : LIBUSB_TRANSFER_TYPE_INTERRUPT;
	if (urb->zero_packet)
		t->flags |= LIBUSB_TRANSFER_ADD_ZERO_PACKET;
}

/**
 * usb_transfer_submit() - give a URB to the kernel
 * @dev:	the device, open and not parked
 * @urb:	the URB, with a buffer
 *
 * Return: 0: it will be in the device's list of done ones; a negative errno.
 */
int usb_transfer_submit(struct usb_device *dev, struct usb_urb *urb)
{
	int r;

	if (urb->type == USB_ISOCHRONOUS)
		return -EOPNOTSUPP;
	if (!urb->transfer) {
		urb->transfer = libusb_alloc_transfer(0);
		if (!urb->transfer)
			return -ENOMEM;
		urb->transfer_free = transfer_free;
	}
	fill(dev, urb, urb->transfer);
	urb->device = dev;
	urb->cancel_later = false;
	r = libusb_submit_transfer(urb->transfer);
	if (r == LIBUSB_ERROR_NO_DEVICE)
		dev->gone = true;
	if (r < 0)
		return usb_status_of_submit(r);
	list_append(&dev->aloft, &urb->device_link);
	dev->in_flight++;
	return 0;
}

/**
 * usb_transfer_cancel() - ask the kernel for a URB back
 * @dev:	the device, not parked
 * @urb:	the URB, submitted; where it is done already, its true result comes
 */
void usb_transfer_cancel(struct usb_device *dev, struct usb_urb *urb)
{
	urb->cancel_later = false;
	if (libusb_cancel_transfer(urb->transfer) == LIBUSB_ERROR_NO_DEVICE)
		dev->gone = true;
}
