/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One URB of a session: what its client asked, where it stands, which answer is owed. The device's
 * part of it is a struct usb_urb (usb/usb_urb.h). usbip_urb_pool.h has its buffers and the table by
 * seqnum, usbip_urb.c its life.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "usb/usb_urb.h"

/* Where a URB stands. */
enum usbip_urb_state {
	USBIP_URB_NOWHERE,  /* what a forbidden step leads to */
	USBIP_URB_IDLE,	    /* in the pool */
	USBIP_URB_ARRIVING, /* its header is read; payload is under way, or it is being judged */
	USBIP_URB_HELD,	    /* waits behind a request that blocks, or for the kernel's memory */
	USBIP_URB_WAITING,  /* is that request: others have to come back first */
	USBIP_URB_RUNNING,  /* is that request: a worker calls the kernel */
	USBIP_URB_FLYING,   /* the device has it */
	USBIP_URB_REVOKED, /* the device has it, cancelled because a blocking request would kill it */
	USBIP_URB_UNLINKED, /* the device has it, cancelled by the client, whom we owe an answer */
	USBIP_URB_FORSAKEN, /* the same, and a second unlink was answered: no RET_SUBMIT any more */
	USBIP_URB_ABANDONED, /* the device or a worker has it; nobody waits: session closed */
	USBIP_URB_ANSWERED,  /* its RET_SUBMIT is queued or on its way */
	USBIP_URB_STATES
};

/* What happens to a URB. */
enum usbip_urb_event {
	USBIP_URB_ARRIVE, /* taken from the pool for a header that came */
	USBIP_URB_HOLD,	  /* something blocks, or the kernel has no memory for it now */
	USBIP_URB_BLOCK,  /* it is a request that blocks */
	USBIP_URB_RUN,	  /* … and all that it waited for is back */
	USBIP_URB_SUBMIT, /* the device took it */
	USBIP_URB_ANSWER, /* there is an answer that didn't come from a transfer */
	USBIP_URB_BACK,	  /* the device gives it back: done, failed, or cancelled with some data */
	USBIP_URB_BACK_VOID, /* the device gives it back cancelled, and nothing was transferred */
	USBIP_URB_REVOKE,    /* a blocking request would kill it */
	USBIP_URB_UNLINK,    /* the client wants it back */
	USBIP_URB_SENT,	     /* the last byte of its RET_SUBMIT is with the kernel */
	USBIP_URB_CLOSE,     /* the session closes */
	USBIP_URB_EVENTS
};

/* What has to be done with a step, in this order. */
enum {
	USBIP_URB_DO_CANCEL = 1,       /* ask the device to cancel it */
	USBIP_URB_DO_RET_SUBMIT = 2,   /* queue RET_SUBMIT */
	USBIP_URB_DO_UNLINK_RESET = 4, /* queue RET_UNLINK(-ECONNRESET) for the unlink of before */
	USBIP_URB_DO_UNLINK_ZERO = 8,  /* queue RET_UNLINK(0) for the unlink of before */
	USBIP_URB_DO_REFUSE_UNLINK = 16, /* queue RET_UNLINK(0) for the unlink of just now */
	USBIP_URB_DO_FREE = 32,		 /* give it back to the pool */
};

struct usbip_urb_step {
	uint8_t next; /* enum usbip_urb_state */
	uint8_t todo;
};

struct usbip_urb {
	struct usb_urb usb;
	struct list link; /* of the session: in flight, held, or in the pool */
	struct usbip_urb *next_by_seqnum;
	bool starved;	      /* HELD: for want of memory */
	bool waits_for_share; /* … and its guest's own URBs have to come back first */
	enum usbip_urb_state state;

	/* as asked */
	uint32_t seqnum;
	uint32_t unlink_seqnum; /* UNLINKED: of the unlink that is to be answered */
	int32_t start_frame;
	int32_t n_packets; /* as the client says it, whatever the endpoint is; goes back as it came */
	uint8_t ep;

	uint64_t asked_ns, submitted_ns; /* CLOCK_MONOTONIC, where it is timed; else 0 */

	int refusal;	     /* negative errno: answered with it once all bytes are here */
	int32_t error_count; /* packets that failed */

	unsigned data_class, packets_class; /* which buffers usb.data and usb.packets are */
};

struct usbip_urb_step usbip_urb_look_up(enum usbip_urb_state state, enum usbip_urb_event event);
unsigned usbip_urb_advance(struct usbip_urb *urb, enum usbip_urb_event event);
const char *usbip_urb_state_name(enum usbip_urb_state state);

/* Has the device got it? */
static inline bool usbip_urb_aloft(const struct usbip_urb *urb)
{
	return urb->state >= USBIP_URB_FLYING && urb->state <= USBIP_URB_ABANDONED;
}
