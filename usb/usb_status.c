/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From libusb's words to the Linux errno that a guest's driver expects. Pure.
 *
 * Drivers act on these: usbhid clears a halt on -EPIPE, retries on -EPROTO, stops without a word on
 * -ECONNRESET, -ENOENT and -ESHUTDOWN, and asks again at once on what it doesn't know. So libusb's
 * ERROR, into which it has merged ETIME, EPROTO, EILSEQ, ECOMM, ENOSR and EXDEV, is -EPROTO.
 */
#include "usb/usb_status.h"

#include <errno.h>

/**
 * usb_status_of_transfer() - how a transfer ended
 * @status:	as libusb tells it
 *
 * Return: 0 or a negative errno. For LIBUSB_TRANSFER_CANCELLED it is -ECONNRESET; whoever asked for
 * the cancelling may know a better one.
 */
int usb_status_of_transfer(enum libusb_transfer_status status)
{
	switch (status) {
	case LIBUSB_TRANSFER_COMPLETED:
		return 0;
	case LIBUSB_TRANSFER_STALL:
		return -EPIPE;
	case LIBUSB_TRANSFER_OVERFLOW:
		return -EOVERFLOW;
	case LIBUSB_TRANSFER_TIMED_OUT:
		return -ETIMEDOUT;
	case LIBUSB_TRANSFER_CANCELLED:
		return -ECONNRESET;
	case LIBUSB_TRANSFER_NO_DEVICE:
		return -ESHUTDOWN;
	case LIBUSB_TRANSFER_ERROR:
		break;
	}
	return -EPROTO;
}

/**
 * usb_status_of_packet() - how one isochronous packet ended
 * @status:	as libusb tells it
 *
 * libusb's ERROR is -EXDEV here: Linux sets that before a packet's turn comes, and drivers take it
 * for a missed packet.
 *
 * Return: 0 or a negative errno.
 */
int usb_status_of_packet(enum libusb_transfer_status status)
{
	int r = usb_status_of_transfer(status);

	return r == -EPROTO ? -EXDEV : r;
}

/**
 * usb_status_of_submit() - why a transfer could not be started
 * @error:	libusb's error, negative
 *
 * Return: a negative errno.
 */
int usb_status_of_submit(int error)
{
	switch (error) {
	case LIBUSB_ERROR_NO_DEVICE:
		return -ENODEV;
	case LIBUSB_ERROR_NO_MEM:
		return -ENOMEM;
	case LIBUSB_ERROR_INVALID_PARAM:
		return -EINVAL;
	case LIBUSB_ERROR_NOT_FOUND:
		return -ENOENT;
	case LIBUSB_ERROR_PIPE:
		return -EPIPE;
	case LIBUSB_ERROR_OVERFLOW:
		return -EOVERFLOW;
	case LIBUSB_ERROR_BUSY:
		return -EBUSY;
	case LIBUSB_ERROR_ACCESS:
		return -EACCES;
	case LIBUSB_ERROR_NOT_SUPPORTED:
		return -EOPNOTSUPP;
	default:
		return -EPROTO;
	}
}

/**
 * usb_status_of_call() - how a request that is carried out by a call of usbfs ended
 * @error:	0 or a negative errno
 *
 * The guest believes that it sent a control request, and the only error that a device can answer to
 * one is a stall.
 *
 * Return: 0 or a negative errno.
 */
int usb_status_of_call(int error)
{
	switch (error) {
	case 0:
	case -ENODEV:
	case -ENOMEM:
	case -ETIMEDOUT:
		return error;
	default:
		return -EPIPE;
	}
}
