/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One URB: what a client asked, where it stands, how it ended. Its buffers and the table by seqnum
 * are in usb_urb_pool.h, its life in usb_urb.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

enum usb_transfer_type {
	USB_CONTROL,
	USB_ISOCHRONOUS,
	USB_BULK,
	USB_INTERRUPT,
};

/* Where a URB stands. */
enum usb_urb_state {
	USB_URB_NOWHERE,  /* what a forbidden step leads to */
	USB_URB_IDLE,	  /* in the pool */
	USB_URB_ARRIVING, /* its header is read; payload is under way, or it is being judged */
	USB_URB_HELD,	  /* waits behind a request that blocks, or for the kernel's memory */
	USB_URB_WAITING,  /* is that request: others have to come back first */
	USB_URB_RUNNING,  /* is that request: a worker calls the kernel */
	USB_URB_FLYING,	  /* the device has it */
	USB_URB_REVOKED, /* the device has it, cancelled because a blocking request would kill it */
	USB_URB_UNLINKED,  /* the device has it, cancelled by the client, whom we owe an answer */
	USB_URB_FORSAKEN,  /* the same, and a second unlink was answered: no RET_SUBMIT any more */
	USB_URB_ABANDONED, /* the device or a worker has it; nobody waits: session closed */
	USB_URB_ANSWERED,  /* its RET_SUBMIT is queued or on its way */
	USB_URB_STATES
};

/* What happens to a URB. */
enum usb_urb_event {
	USB_URB_ARRIVE,	   /* taken from the pool for a header that came */
	USB_URB_HOLD,	   /* something blocks, or the kernel has no memory for it now */
	USB_URB_BLOCK,	   /* it is a request that blocks */
	USB_URB_RUN,	   /* … and all that it waited for is back */
	USB_URB_SUBMIT,	   /* the device took it */
	USB_URB_ANSWER,	   /* there is an answer that didn't come from a transfer */
	USB_URB_BACK,	   /* the device gives it back: done, failed, or cancelled with some data */
	USB_URB_BACK_VOID, /* the device gives it back cancelled, and nothing was transferred */
	USB_URB_REVOKE,	   /* a blocking request would kill it */
	USB_URB_UNLINK,	   /* the client wants it back */
	USB_URB_SENT,	   /* the last byte of its RET_SUBMIT is with the kernel */
	USB_URB_CLOSE,	   /* the session closes */
	USB_URB_EVENTS
};

/* What has to be done with a step, in this order. */
enum {
	USB_URB_DO_CANCEL = 1,	       /* ask the device to cancel it */
	USB_URB_DO_RET_SUBMIT = 2,     /* queue RET_SUBMIT */
	USB_URB_DO_UNLINK_RESET = 4,   /* queue RET_UNLINK(-ECONNRESET) for the unlink of before */
	USB_URB_DO_UNLINK_ZERO = 8,    /* queue RET_UNLINK(0) for the unlink of before */
	USB_URB_DO_REFUSE_UNLINK = 16, /* queue RET_UNLINK(0) for the unlink of just now */
	USB_URB_DO_FREE = 32,	       /* give it back to the pool */
};

struct usb_urb_step {
	uint8_t next; /* enum usb_urb_state */
	uint8_t todo;
};

/* One packet of an isochronous URB. */
struct usb_packet {
	uint32_t offset; /* in the buffer of whoever asked; to the device it is nothing */
	uint32_t length, actual_length;
	int32_t status; /* 0 or a negative errno */
};

struct usb_urb {
	struct list link;	 /* of the session: in flight, held, or in the pool */
	struct list device_link; /* of the device while it has the URB */
	struct usb_urb *next_by_seqnum;
	bool starved;	      /* HELD: for want of memory */
	bool waits_for_share; /* … and its guest's own URBs have to come back first */
	enum usb_urb_state state;

	/* as asked */
	uint32_t seqnum;
	uint32_t unlink_seqnum; /* UNLINKED: of the unlink that is to be answered */
	uint32_t length;	/* bytes of the buffer as the client sees it */
	int32_t start_frame, n_packets;
	uint8_t setup[8];
	uint8_t ep;
	bool in;	  /* the wire's direction: which message carries the data */
	bool zero_packet; /* end with an empty packet where the length is a multiple */

	/* as judged */
	uint8_t endpoint;  /* address with direction bit; 0 for control */
	uint8_t interface; /* whose endpoint it is */
	enum usb_transfer_type type;
	unsigned n_descriptors;	 /* of @packets; 0 unless isochronous */
	uint32_t packets_length; /* … and the sum of their lengths: bytes on the bus */
	int refusal;		 /* negative errno: answered with it once all bytes are here */

	/* as it ended, set by the device; of an isochronous URB it sets each packet's
	 * actual_length and status instead of @actual and @error_count */
	int status; /* 0 or a negative errno */
	bool cancelled;
	uint32_t actual;
	int32_t error_count;

	/* Memory: @data has room for a setup packet in front of it. Isochronous packets lie in
	 * @data back to back while the device has it. */
	uint8_t *data;
	struct usb_packet *packets;
	unsigned data_class, packets_class;

	/* The device's own part; the transfer is kept while the URB is in the pool. */
	void *device;
	bool cancel_later; /* asked while parked */
	bool charged_small;
	uint64_t charged; /* bytes; see usb_memory.h */
	void *transfer;
	unsigned transfer_packets; /* that it has room for */
	void (*transfer_free)(void *transfer);
};

struct usb_urb_step usb_urb_look_up(enum usb_urb_state state, enum usb_urb_event event);
unsigned usb_urb_advance(struct usb_urb *urb, enum usb_urb_event event);
const char *usb_urb_state_name(enum usb_urb_state state);
void usb_urb_fail_packets(struct usb_urb *urb);

/* Has the device got it? */
static inline bool usb_urb_aloft(const struct usb_urb *urb)
{
	return urb->state >= USB_URB_FLYING && urb->state <= USB_URB_ABANDONED;
}
