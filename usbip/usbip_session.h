/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One client's connection after a successful IMPORT: URBs in, answers out.
 *
 * A session owns its URBs, their buffers and the bytes not yet parsed or sent. Its user owns the
 * socket or stream, and calls everything here from one thread. Exactly one answer gives back each
 * URB: RET_SUBMIT, or RET_UNLINK with -ECONNRESET. A RET_SUBMIT goes before the RET_UNLINK(0) of an
 * unlink that came too late. Answers leave in the order in which they were made.
 *
 * States: running; quiescing (a request that blocks waits for ep0's earlier ones, or for URBs that
 * it would kill: later submits are held in order, unlinks are served at once); parked (it runs:
 * nothing is read); closing (URBs being cancelled, nothing is read or sent).
 *
 * The kernel's memory for USB requests of programs (usbfs_memory_mb: 16 MiB) is shared by all
 * devices of all programs. If it has no room for a URB, the URB waits in order until one comes
 * back; the user has to help: see usbip_session_set_retries(). If the guest's own share has no room
 * for it (usb_memory.h), it waits until another URB of that guest comes back: see
 * usbip_session_room().
 *
 * In steady state no URB costs an allocation.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct stream_buffer;
struct urb_stats;
struct usb_carrier;
struct usb_device;
struct usbip_session;

#define USBIP_SESSION_MAX_URBS	1024	    /* that a client has and that aren't answered */
#define USBIP_SESSION_MAX_BYTES (64u << 20) /* of their buffers */

/* Outcomes of usbip_session_receive() and usbip_session_take(). */
enum {
	USBIP_SESSION_MORE = 1, /* its bound of work is reached: call again next turn */
	USBIP_SESSION_HELD,   /* reads again after ops->resumed() of the device, or after sending */
	USBIP_SESSION_CLOSED, /* the client has closed */
};
/* Outcomes of usbip_session_send(). */
enum {
	USBIP_SESSION_BLOCKED = 1, /* call again when the socket takes more */
};

struct usbip_session_counters {
	uint64_t submits, unlinks;
	uint64_t in_bytes, out_bytes; /* of data: from the device, to the device */
	unsigned in_flight;	      /* asked and without an answer */
};

int usbip_session_new(struct usbip_session **ret_session, const char *name, struct usb_device *dev,
		      uint32_t devid, const void *early, size_t early_len);
int usbip_session_new_on(struct usbip_session **ret_session, const char *name,
			 struct usb_carrier *carrier, uint32_t devid, const void *early,
			 size_t early_len);
struct usbip_session *usbip_session_free(struct usbip_session *session);

int usbip_session_receive(struct usbip_session *session, int sock);
bool usbip_session_has_answers(const struct usbip_session *session);
int usbip_session_send(struct usbip_session *session, int sock);
int usbip_session_take(struct usbip_session *session, const struct iovec *parts, size_t len,
		       size_t *ret_taken);
size_t usbip_session_takes(const struct usbip_session *session);
bool usbip_session_has_unsent(const struct usbip_session *session);
int usbip_session_answer(struct usbip_session *session,
			 int (*put)(void *ctx, struct stream_buffer *buffer), void *ctx);
void usbip_session_sent(struct usbip_session *session, const struct stream_buffer *buffer);
void usbip_session_close(struct usbip_session *session);
void usbip_session_set_retries(struct usbip_session *session, unsigned retries);
bool usbip_session_starved(const struct usbip_session *session);
void usbip_session_retry(struct usbip_session *session);
bool usbip_session_room(struct usbip_session *session);
const char *usbip_session_fault(const struct usbip_session *session);
void usbip_session_set_stats(struct usbip_session *session, struct urb_stats *stats);
void usbip_session_count(const struct usbip_session *session,
			 struct usbip_session_counters *ret_counters);
