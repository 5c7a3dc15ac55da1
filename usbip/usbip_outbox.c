/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session's answers on their way out; one thread, the session's.
 *
 * A ring of entries that grows to what is needed and stays. Data leave straight from the URBs'
 * buffers, many answers in one sendmsg(); what the socket didn't take is continued from the byte
 * where it stopped, so that PDUs never mix. Who queues bounds how much is queued: see
 * usbip_session.c.
 */
#include "usbip/usbip_outbox.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"

#define FIRST_SIZE 32
#define MAX_SIZE   16384 /* entries: above what the session's bounds allow */
#define MAX_IOVECS 96	 /* of one sendmsg() */
#define MAX_SENDS  16	 /* of one usbip_outbox_send() */

/**
 * usbip_outbox_init() - an empty outbox
 * @out:	the outbox
 * @sent:	called for each URB whose answer has left whole
 * @ctx:	given to @sent
 */
void usbip_outbox_init(struct usbip_outbox *out, void (*sent)(void *ctx, struct usb_urb *urb),
		       void *ctx)
{
	*out = (struct usbip_outbox){.sent = sent, .ctx = ctx};
}

/**
 * usbip_outbox_deinit() - free what the outbox has
 * @out:	the outbox; its entries' URBs are the caller's
 */
void usbip_outbox_deinit(struct usbip_outbox *out)
{
	free(out->entries);
	*out = (struct usbip_outbox){};
}

static struct usbip_outbox_entry *entry_at(struct usbip_outbox *out, unsigned i)
{
	return &out->entries[(out->head + i) & (out->size - 1)];
}

static size_t entry_size(const struct usbip_outbox_entry *e)
{
	return sizeof(e->header) + e->data_len + e->tail_len;
}

static int grow(struct usbip_outbox *out)
{
	unsigned size = out->size ? out->size * 2 : FIRST_SIZE;
	struct usbip_outbox_entry *entries;

	if (size > MAX_SIZE)
		return -ENOBUFS;
	entries = calloc(size, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	for (unsigned i = 0; i < out->count; i++)
		entries[i] = *entry_at(out, i);
	free(out->entries);
	out->entries = entries;
	out->size = size;
	out->head = 0;
	return 0;
}

/**
 * usbip_outbox_add() - queue one answer
 * @out:	the outbox
 * @entry:	the answer; copied, what it points at stays until the URB is given back
 *
 * Return: 0; -ENOMEM, -ENOBUFS: nothing is queued, and the session can't go on.
 */
int usbip_outbox_add(struct usbip_outbox *out, const struct usbip_outbox_entry *entry)
{
	if (out->count == out->size) {
		int r = grow(out);

		if (r < 0)
			return r;
	}
	*entry_at(out, out->count) = *entry;
	out->count++;
	out->bytes += entry_size(entry);
	return 0;
}

/* The first entry is through. */
static struct usb_urb *remove_first(struct usbip_outbox *out)
{
	struct usb_urb *urb = entry_at(out, 0)->urb;

	out->head = (out->head + 1) & (out->size - 1);
	out->count--;
	out->head_sent = 0;
	return urb;
}

/**
 * usbip_outbox_clear() - forget all that is queued
 * @out:	the outbox; its entries' URBs are the caller's
 */
void usbip_outbox_clear(struct usbip_outbox *out)
{
	out->count = 0;
	out->head_sent = 0;
	out->bytes = 0;
}

/* One part of an entry into @iov, less what has left of it already. Return: iovecs used. */
static unsigned add_part(struct iovec *iov, const void *data, size_t len, size_t *skip)
{
	size_t skipped = min_t(size_t, *skip, len);

	*skip -= skipped;
	if (skipped == len)
		return 0;
	/* sendmsg() doesn't write there. */
	iov->iov_base = (char *)(uintptr_t)data + skipped;
	iov->iov_len = len - skipped;
	return 1;
}

static unsigned gather(struct usbip_outbox *out, struct iovec iov[MAX_IOVECS], size_t *ret_bytes)
{
	size_t skip = out->head_sent, bytes = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < out->count && n + 3 <= MAX_IOVECS; i++) {
		const struct usbip_outbox_entry *e = entry_at(out, i);

		n += add_part(&iov[n], e->header, sizeof(e->header), &skip);
		n += add_part(&iov[n], e->data, e->data_len, &skip);
		n += add_part(&iov[n], e->tail, e->tail_len, &skip);
	}
	for (unsigned i = 0; i < n; i++)
		bytes += iov[i].iov_len;
	*ret_bytes = bytes;
	return n;
}

static void account(struct usbip_outbox *out, size_t sent)
{
	out->bytes -= sent;
	out->total_sent += sent;
	while (sent) {
		size_t rest = entry_size(entry_at(out, 0)) - out->head_sent;
		struct usb_urb *urb;

		if (sent < rest) {
			out->head_sent += sent;
			return;
		}
		sent -= rest;
		urb = remove_first(out);
		if (urb)
			out->sent(out->ctx, urb);
	}
}

/**
 * usbip_outbox_send() - send what is queued
 * @out:	the outbox
 * @sock:	a stream socket; never waited for
 *
 * Return: 0, all has left; USBIP_OUTBOX_BLOCKED, the socket takes no more now, or the bound of one
 * call is reached; a negative errno of sendmsg().
 */
int usbip_outbox_send(struct usbip_outbox *out, int sock)
{
	for (unsigned i = 0; i < MAX_SENDS && out->count; i++) {
		struct iovec iov[MAX_IOVECS];
		struct msghdr msg = {.msg_iov = iov};
		size_t bytes;
		ssize_t n;

		msg.msg_iovlen = gather(out, iov, &bytes);
		n = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return errno == EAGAIN || errno == EWOULDBLOCK ? USBIP_OUTBOX_BLOCKED
								       : -errno;
		}
		account(out, (size_t)n);
		if ((size_t)n < bytes)
			return USBIP_OUTBOX_BLOCKED;
	}
	return out->count ? USBIP_OUTBOX_BLOCKED : 0;
}
