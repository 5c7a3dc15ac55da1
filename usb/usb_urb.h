/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One URB as a device carries it out: what is to be done, and how it ended. Its owner, a session,
 * knows who asked for it, by which number, and what the answer is (usbip/usbip_urb.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

#define USB_URB_SETUP_SIZE 8 /* room in front of each buffer */

enum usb_transfer_type {
	USB_CONTROL,
	USB_ISOCHRONOUS,
	USB_BULK,
	USB_INTERRUPT,
};

/* One packet of an isochronous URB. */
struct usb_packet {
	uint32_t offset; /* in the buffer of whoever asked; to the device it is nothing */
	uint32_t length, actual_length;
	int32_t status; /* 0 or a negative errno */
};

struct usb_urb {
	/* What is asked. */
	enum usb_transfer_type type;
	uint8_t endpoint;  /* address with direction bit; 0 for control */
	uint8_t interface; /* whose endpoint it is */
	bool in;	   /* data come from the device */
	bool zero_packet;  /* end with an empty packet where the length is a multiple */
	uint8_t setup[8];  /* control: as on the bus */
	uint32_t length;   /* bytes of @data */

	/* Its owner's memory: @data has room for a setup packet in front of it, and isochronous
	 * packets lie in it back to back. */
	uint8_t *data;
	struct usb_packet *packets;
	unsigned n_packets;	 /* 0 unless isochronous */
	uint32_t packets_length; /* sum of their lengths: bytes on the bus */

	/* How it ended, set by the device; of an isochronous URB it sets each packet's
	 * actual_length and status instead of @actual. */
	int status; /* 0 or a negative errno */
	bool cancelled;
	uint32_t actual;

	/* The device's own part; the transfer is kept for the next URB in the same place. */
	struct list device_link; /* while the device has it */
	void *device;
	bool cancel_later; /* asked while parked */
	bool charged_small;
	uint64_t charged; /* bytes; see usb_memory.h */
	void *transfer;
	unsigned transfer_packets; /* that it has room for */
	void (*transfer_free)(void *transfer);
};

void usb_urb_fail_packets(struct usb_urb *urb);
void usb_urb_drop_transfer(struct usb_urb *urb);

/* A URB in the place of one that has ended: nothing is asked yet, and the transfer is kept. */
static inline struct usb_urb usb_urb_anew(const struct usb_urb *old)
{
	return (struct usb_urb){
		.transfer = old->transfer,
		.transfer_packets = old->transfer_packets,
		.transfer_free = old->transfer_free,
	};
}
