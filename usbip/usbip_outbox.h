/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session's answers on their way out: whole PDUs in the order in which they were queued.
 *
 * They leave by a socket (usbip_outbox_send()) or by a stream that keeps no copy
 * (usbip_outbox_put()); an outbox's user keeps to one of the two.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/stream.h"
#include "usbip/usbip_codec.h"

struct usbip_urb;

/* Outcomes of usbip_outbox_send(). */
enum { USBIP_OUTBOX_BLOCKED = 1 };

struct usbip_outbox_entry {
	struct list link; /* the outbox's, as are the buffers */
	uint8_t header[USBIP_HEADER_SIZE];
	const void *data, *tail; /* what follows the header: of @urb */
	uint32_t data_len, tail_len;
	struct usbip_urb *urb; /* given back once sent; NULL for RET_UNLINK */
	struct stream_buffer buffers[3];
	unsigned n_out; /* of these: with the stream */
};

struct usbip_outbox {
	struct list entries; /* in order */
	struct list *next;   /* in it: the first that no stream has; @entries itself: none */
	struct list idle;    /* entries for the next answers */
	unsigned count, n_idle;
	size_t head_sent; /* bytes of the first entry that have left by a socket */
	size_t bytes;	  /* all that is queued, and not sent or not given back by the stream */
	void (*sent)(void *ctx, struct usbip_urb *urb);
	void *ctx;
};

typedef int (*usbip_put_fn)(void *ctx, struct stream_buffer *buffer);

void usbip_outbox_init(struct usbip_outbox *out, void (*sent)(void *ctx, struct usbip_urb *urb),
		       void *ctx);
void usbip_outbox_deinit(struct usbip_outbox *out);
int usbip_outbox_add(struct usbip_outbox *out, const struct usbip_outbox_entry *entry);
void usbip_outbox_clear(struct usbip_outbox *out);
int usbip_outbox_send(struct usbip_outbox *out, int sock);
int usbip_outbox_put(struct usbip_outbox *out, usbip_put_fn put, void *ctx);
void usbip_outbox_back(struct usbip_outbox *out, const struct stream_buffer *buffer);
