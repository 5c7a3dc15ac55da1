/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session's answers on their way out; one thread, the session's.
 *
 * A list of entries that stay where they are; entries that have left are kept for the next answers.
 * Data leave straight from the URBs' buffers. A socket gets many answers by one sendmsg(), and goes
 * on from the byte where it stopped, so that PDUs never mix. A stream gets each part of an answer
 * as a buffer of its own, and the answer has left when all of them are back. usbip_session.c bounds
 * how much is queued.
 */
#include "usbip/usbip_outbox.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"

#define MAX_COUNT  16384 /* entries: above what the session's bounds allow */
#define MAX_IDLE   512	 /* entries that are kept */
#define MAX_IOVECS 96	 /* of one sendmsg() */
#define MAX_SENDS  16	 /* of one usbip_outbox_send() */

/**
 * usbip_outbox_init() - an empty outbox
 * @out:	the outbox
 * @sent:	called for each URB whose answer has left whole
 * @ctx:	given to @sent
 */
void usbip_outbox_init(struct usbip_outbox *out, void (*sent)(void *ctx, struct usbip_urb *urb),
		       void *ctx)
{
	*out = (struct usbip_outbox){.sent = sent, .ctx = ctx};
	list_init(&out->entries);
	list_init(&out->idle);
	out->next = &out->entries;
}

static struct usbip_outbox_entry *entry_of(struct list *link)
{
	return list_entry(link, struct usbip_outbox_entry, link);
}

static void free_all(struct list *entries)
{
	struct list *l;

	while ((l = list_pop(entries)))
		free(entry_of(l));
}

/**
 * usbip_outbox_deinit() - free what the outbox has
 * @out:	the outbox; its entries' URBs are the caller's, and no stream has anything of them
 */
void usbip_outbox_deinit(struct usbip_outbox *out)
{
	free_all(&out->entries);
	free_all(&out->idle);
	usbip_outbox_init(out, out->sent, out->ctx);
}

static size_t entry_size(const struct usbip_outbox_entry *e)
{
	return sizeof(e->header) + e->data_len + e->tail_len;
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
	struct usbip_outbox_entry *e;
	struct list *l;

	if (out->count >= MAX_COUNT)
		return -ENOBUFS;
	l = list_pop(&out->idle);
	if (l)
		out->n_idle--;
	e = l ? entry_of(l) : malloc(sizeof(*e));
	if (!e)
		return -ENOMEM;
	*e = *entry;
	e->n_out = 0;
	list_append(&out->entries, &e->link);
	if (out->next == &out->entries)
		out->next = &e->link;
	out->count++;
	out->bytes += entry_size(e);
	return 0;
}

/* Nobody has anything of an entry any more. */
static void put_idle(struct usbip_outbox *out, struct usbip_outbox_entry *e)
{
	assert(!e->n_out);
	if (out->next == &e->link)
		out->next = e->link.next;
	list_remove(&e->link);
	out->count--;
	if (out->n_idle == MAX_IDLE) {
		free(e);
		return;
	}
	list_append(&out->idle, &e->link);
	out->n_idle++;
}

/* The first entry is through. */
static void remove_first(struct usbip_outbox *out)
{
	struct usbip_outbox_entry *e = entry_of(list_first(&out->entries));
	struct usbip_urb *urb = e->urb;

	put_idle(out, e);
	out->head_sent = 0;
	if (urb)
		out->sent(out->ctx, urb);
}

/**
 * usbip_outbox_clear() - forget all that is queued
 * @out:	the outbox; its entries' URBs are the caller's, and no stream has anything of them
 */
void usbip_outbox_clear(struct usbip_outbox *out)
{
	list_for_each_safe(l, &out->entries)
		put_idle(out, entry_of(l));
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

	list_for_each(l, &out->entries) {
		const struct usbip_outbox_entry *e = entry_of(l);

		if (n + 3 > MAX_IOVECS)
			break;
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
	while (sent) {
		size_t rest = entry_size(entry_of(list_first(&out->entries))) - out->head_sent;

		if (sent < rest) {
			out->head_sent += sent;
			return;
		}
		sent -= rest;
		remove_first(out);
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

static int put_part(struct usbip_outbox_entry *e, const void *data, uint32_t len, usbip_put_fn put,
		    void *ctx)
{
	struct stream_buffer *buffer = &e->buffers[e->n_out];
	int r;

	if (!len)
		return 0;
	*buffer = (struct stream_buffer){.data = data, .len = len};
	r = put(ctx, buffer);
	if (r == 0)
		e->n_out++;
	return r;
}

/**
 * usbip_outbox_put() - give a stream all that it does not have yet
 * @out:	the outbox
 * @put:	called with @ctx and a buffer; 0, or a negative errno and the stream can't go on. The
 *		buffers come back by usbip_outbox_back(), not from within @put
 * @ctx:	given to it
 *
 * Return: 0, or what @put returned.
 */
int usbip_outbox_put(struct usbip_outbox *out, usbip_put_fn put, void *ctx)
{
	while (out->next != &out->entries) {
		struct usbip_outbox_entry *e = entry_of(out->next);
		int r = put_part(e, e->header, sizeof(e->header), put, ctx);

		if (r == 0)
			r = put_part(e, e->data, e->data_len, put, ctx);
		if (r == 0)
			r = put_part(e, e->tail, e->tail_len, put, ctx);
		if (r < 0)
			return r;
		out->next = out->next->next;
	}
	return 0;
}

/**
 * usbip_outbox_back() - a stream gives a buffer back
 * @out:	the outbox
 * @buffer:	the first of those that it has
 */
void usbip_outbox_back(struct usbip_outbox *out, const struct stream_buffer *buffer)
{
	struct usbip_outbox_entry *e = entry_of(list_first(&out->entries));

	assert(buffer >= e->buffers && buffer < e->buffers + ARRAY_SIZE(e->buffers));
	out->bytes -= buffer->len;
	if (--e->n_out == 0)
		remove_first(out);
}
