/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A URB as a libusb transfer. In the user's thread, never while the device is parked.
 *
 * Timeouts are 0: a guest unlinks what it tires of. SHORT_NOT_OK isn't passed on: the guest's own
 * USB stack turns a short success into its error, and libusb would only tell of an ERROR.
 *
 * A transfer stays with its URB while that lies in the pool, with room for as many packets as it
 * ever had. libusb itself allocates what the kernel is given at each submit.
 *
 * A callback runs under libusb's locks, where opening and closing handles would deadlock: it only
 * notes the result and puts the URB into the device's list of done ones.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "usb/usb_device_private.h"
#include "usb/usb_status.h"

static_assert(sizeof(struct libusb_control_setup) == USB_URB_SETUP_SIZE, "setup packet");

/* Of one usbfs URB; libusb makes several of more (linux_usbfs.c: MAX_ISO_PACKETS_PER_URB). */
#define PACKETS_PER_PART 128

static void transfer_free(void *transfer)
{
	libusb_free_transfer(transfer);
}

/*
 * What became of each packet. libusb tells of packets that were cancelled as done with 0 bytes. It
 * files the results of several parts in the order in which they come back, which is the order of
 * the packets unless some were cancelled: those come back last part first, and whose is whose can't
 * be told any more.
 */
static void take_packets(struct usb_urb *urb, const struct libusb_transfer *t)
{
	if (urb->n_packets > PACKETS_PER_PART && t->status != LIBUSB_TRANSFER_COMPLETED) {
		usb_urb_fail_packets(urb);
		return;
	}
	for (unsigned i = 0; i < urb->n_packets; i++) {
		const struct libusb_iso_packet_descriptor *d = &t->iso_packet_desc[i];
		struct usb_packet *p = &urb->packets[i];

		p->actual_length = d->actual_length;
		p->status = usb_status_of_packet(d->status);
		if (urb->cancelled && p->status == 0 && p->actual_length == 0)
			p->status = -EXDEV;
	}
}

static void LIBUSB_CALL on_done(struct libusb_transfer *transfer)
{
	struct usb_urb *urb = transfer->user_data;
	struct usb_device *dev = urb->device;

	urb->status = usb_status_of_transfer(transfer->status);
	urb->cancelled = transfer->status == LIBUSB_TRANSFER_CANCELLED;
	urb->actual = (uint32_t)max_t(int, transfer->actual_length, 0);
	if (urb->type == USB_ISOCHRONOUS) {
		take_packets(urb, transfer);
		/* Packets have errors, their URB has none; drivers end a stream at one. */
		if (transfer->status == LIBUSB_TRANSFER_ERROR)
			urb->status = 0;
	}
	if (transfer->status == LIBUSB_TRANSFER_NO_DEVICE)
		dev->gone = true;
	list_remove(&urb->device_link);
	list_append(&dev->done, &urb->device_link);
}

static void fill_packets(struct usb_urb *urb, struct libusb_transfer *t)
{
	t->type = LIBUSB_TRANSFER_TYPE_ISOCHRONOUS;
	t->length = (int)urb->packets_length;
	t->num_iso_packets = (int)urb->n_packets;
	for (unsigned i = 0; i < urb->n_packets; i++) {
		/* The status of what libusb never gets back. */
		t->iso_packet_desc[i] = (struct libusb_iso_packet_descriptor){
			.length = urb->packets[i].length,
			.status = LIBUSB_TRANSFER_ERROR,
		};
	}
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
	if (urb->type == USB_ISOCHRONOUS) {
		fill_packets(urb, t);
		return;
	}
	t->type =
		urb->type == USB_BULK ? LIBUSB_TRANSFER_TYPE_BULK : LIBUSB_TRANSFER_TYPE_INTERRUPT;
	if (urb->zero_packet)
		t->flags |= LIBUSB_TRANSFER_ADD_ZERO_PACKET;
}

/* A transfer with room for the URB's packets. */
static int provide(struct usb_urb *urb)
{
	unsigned n = 8;

	if (urb->transfer && urb->transfer_packets >= urb->n_packets)
		return 0;
	while (n < urb->n_packets)
		n *= 2;
	if (urb->transfer)
		libusb_free_transfer(urb->transfer);
	urb->transfer_packets = urb->n_packets ? n : 0;
	urb->transfer = libusb_alloc_transfer((int)urb->transfer_packets);
	if (!urb->transfer)
		return -ENOMEM;
	urb->transfer_free = transfer_free;
	return 0;
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

	if (dev->direct)
		return usb_direct_submit(dev, urb);
	r = provide(urb);
	if (r < 0)
		return r;
	fill(dev, urb, urb->transfer);
	urb->device = dev;
	urb->cancel_later = false;
	errno = 0;
	r = libusb_submit_transfer(urb->transfer);
	if (r == LIBUSB_ERROR_NO_DEVICE)
		dev->gone = true;
	/* libusb calls it ERROR_IO, but leaves errno as it was (linux_usbfs.c). */
	if (r == LIBUSB_ERROR_IO && errno == ENOMEM)
		return -ENOMEM;
	/* A packet that is too large for the endpoint or for usbfs. */
	if (r == LIBUSB_ERROR_INVALID_PARAM && urb->type == USB_ISOCHRONOUS)
		return -EMSGSIZE;
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
	if (dev->direct) {
		usb_direct_cancel(dev, urb);
		return;
	}
	urb->cancel_later = false;
	if (libusb_cancel_transfer(urb->transfer) == LIBUSB_ERROR_NO_DEVICE)
		dev->gone = true;
}
