/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session from within: usbip_session.c (its life and its bytes), usbip_session_urb.c (its URBs)
 * and usbip_session_submit.c (those that come) share this. Beside them only the model in tests/unit
 * includes it.
 */
#pragma once

#include "base/list.h"
#include "base/urb_stats.h"
#include "usb/usb_carrier.h"
#include "usbip/usbip_urb_pool.h"
#include "usbip/usbip_codec.h"
#include "usbip/usbip_outbox.h"
#include "usbip/usbip_session.h"

#define INPUT_SIZE (64 * 1024)

/* Bytes of a PDU that follow its header: where they go (NULL: nowhere), and how many still come. */
struct incoming {
	uint8_t *into;
	size_t left;
};

struct usbip_session {
	struct usb_client client;
	struct usb_carrier *carrier; /* NULL once it has forgotten us */
	uint32_t devid;
	char name[64];

	/* Bytes received, not yet looked at. */
	uint8_t input[INPUT_SIZE];
	size_t input_at, input_len;
	/* The URB whose bytes are coming: its data, then its packet descriptors. */
	struct usbip_urb *arriving;
	struct incoming incoming[2];

	struct usbip_urb_pool pool;
	struct usbip_urb_table table; /* all that are out */
	struct list aloft;	      /* the device has them */
	struct list held;	      /* behind @blocking, in order */
	struct list starved; /* before @blocking: the kernel has no memory for them, in order */
	unsigned n_starved;
	unsigned retries, retries_left; /* usbip_session_retry() calls that they wait for */
	struct list answered;		/* in the outbox */
	unsigned n_answered;
	struct usbip_urb *blocking; /* the request that blocks, in none of the lists */
	struct usb_request request;
	struct usbip_outbox out;
	/* Unlinks that have overtaken their submits, and the newest submit's seqnum. */
	struct {
		uint32_t seqnum, victim;
	} early[USBIP_SESSION_MAX_URBS];
	unsigned n_early;
	uint32_t newest;
	bool has_newest;

	struct usbip_session_counters counters;
	struct urb_stats *stats; /* the user's; or NULL */
	char fault[160];
	int broken; /* negative errno: nothing more is read or sent */
	bool closing, freed, releasing;
};

/* usbip_session.c */
int usbip_session_break(struct usbip_session *s, int r, const char *format, ...) _printf_(3, 4);
void usbip_session_finish(struct usbip_session *s);

/* usbip_session_submit.c */
int usbip_session_judge(struct usbip_session *s, struct usbip_urb *urb);
int usbip_session_provide(struct usbip_session *s, struct usbip_urb *urb);
int usbip_session_arrange(struct usbip_session *s, struct usbip_urb *urb);

/* usbip_session_urb.c */
extern const struct usb_client_ops usbip_session_client_ops;
int usbip_session_submit_begin(struct usbip_session *s, const struct usbip_request *request);
void usbip_session_submit_complete(struct usbip_session *s, struct usbip_urb *urb);
void usbip_session_unlink(struct usbip_session *s, const struct usbip_request *request);
void usbip_session_urb_sent(void *ctx, struct usbip_urb *urb);
void usbip_session_drop_all(struct usbip_session *s);
