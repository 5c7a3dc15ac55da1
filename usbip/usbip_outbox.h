/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session's answers on their way out: whole PDUs in the order in which they were queued.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "usbip/usbip_codec.h"

struct usb_urb;

/* Outcomes of usbip_outbox_send(). */
enum { USBIP_OUTBOX_BLOCKED = 1 };

struct usbip_outbox_entry {
	uint8_t header[USBIP_HEADER_SIZE];
	const void *data, *tail; /* what follows the header: of @urb */
	uint32_t data_len, tail_len;
	struct usb_urb *urb; /* given back once sent; NULL for RET_UNLINK */
};

struct usbip_outbox {
	struct usbip_outbox_entry *entries; /* ring */
	unsigned size, head, count;	    /* size is a power of two */
	size_t head_sent;		    /* bytes of the first entry that have left */
	size_t bytes;			    /* all that is queued and not sent */
	uint64_t total_sent;
	void (*sent)(void *ctx, struct usb_urb *urb);
	void *ctx;
};

void usbip_outbox_init(struct usbip_outbox *out, void (*sent)(void *ctx, struct usb_urb *urb),
		       void *ctx);
void usbip_outbox_deinit(struct usbip_outbox *out);
int usbip_outbox_add(struct usbip_outbox *out, const struct usbip_outbox_entry *entry);
void usbip_outbox_clear(struct usbip_outbox *out);
int usbip_outbox_send(struct usbip_outbox *out, int sock);
