/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session's life and its bytes, both ways. usbip_session_urb.c has its URBs.
 *
 * A session hangs on a socket (usbip_session_receive(), usbip_session_send()), or on a stream whose
 * bytes are shown to it where they lie (usbip_session_take()) and which keeps no copy of answers
 * (usbip_session_answer()); its user keeps to one of the two.
 *
 * In, from a socket: headers and small payloads pass the input buffer. The rest of a large payload
 * is received straight into the URB's buffer, and by the same call what follows it into the input
 * buffer. From a stream: a header is copied, a payload goes straight into the URB's buffer; the
 * input buffer takes the rest of a frame only while the session may not act on it. Out: see
 * usbip_outbox.c.
 *
 * There are bounds for URBs without an answer and their bytes (beyond these a SUBMIT is read whole
 * and answered -ENOMEM), and for answers that the client doesn't read (beyond these nothing is read
 * from it). If a client breaks the protocol, the session is broken: its fault says why in words,
 * and the user closes it.
 *
 * One thread. A session that is freed while the device has URBs of it stays until the last of them
 * is back.
 */
#include "usbip/usbip_session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "usb/usb_device.h"
#include "usb/usb_device_carrier.h"
#include "usbip/usbip_session_private.h"

/* Of one usbip_session_receive(). */
#define MAX_PDUS     128
#define MAX_RECEIVED (2u << 20)

/* Unsent answers above which nothing is read. */
#define MAX_UNSENT	 512
#define MAX_UNSENT_BYTES (8u << 20)

/**
 * usbip_session_new_on() - begin a session on any carrier
 * @ret_session: the session
 * @name:	for log lines
 * @carrier:	the device, or a test's script; has no other client, and outlives its own lost()
 * @devid:	what each request has to name, from the import's answer
 * @early:	bytes that came after the IMPORT request, already read
 * @early_len:	how many, at most 64 KiB
 *
 * The user calls usbip_session_receive() once then, for the early bytes.
 *
 * Return: 0; -EBUSY where the carrier has a client; -EINVAL; -ENOMEM.
 */
int usbip_session_new_on(struct usbip_session **ret_session, const char *name,
			 struct usb_carrier *carrier, uint32_t devid, const void *early,
			 size_t early_len)
{
	struct usbip_session *s;

	if (carrier->client)
		return -EBUSY;
	if (early_len > sizeof(s->input))
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->client.ops = &usbip_session_client_ops;
	s->carrier = carrier;
	s->devid = devid;
	snprintf(s->name, sizeof(s->name), "%s", name);
	if (early_len)
		memcpy(s->input, early, early_len);
	s->input_len = early_len;
	usbip_urb_pool_init(&s->pool);
	list_init(&s->aloft);
	list_init(&s->held);
	list_init(&s->starved);
	list_init(&s->answered);
	usbip_outbox_init(&s->out, usbip_session_urb_sent, s);
	carrier->client = &s->client;
	*ret_session = s;
	return 0;
}

/**
 * usbip_session_new() - begin a session on a claimed device
 * @ret_session: the session
 * @name:	for log lines
 * @dev:	the device, ready, without a session
 * @devid:	what each request has to name, from the import's answer
 * @early:	bytes that came after the IMPORT request, already read
 * @early_len:	how many, at most 64 KiB
 *
 * The user calls usbip_session_receive() once then, for the early bytes.
 *
 * Return: 0; -EBUSY where the device has a session or is not ready; -EINVAL; -ENOMEM.
 */
int usbip_session_new(struct usbip_session **ret_session, const char *name, struct usb_device *dev,
		      uint32_t devid, const void *early, size_t early_len)
{
	if (!usb_device_ready(dev))
		return -EBUSY;
	return usbip_session_new_on(ret_session, name, usb_device_carrier(dev), devid, early,
				    early_len);
}

/* The last step of a session that was freed: nobody has anything of it any more. */
void usbip_session_finish(struct usbip_session *s)
{
	if (!s->freed || s->pool.n_live)
		return;
	if (s->carrier)
		s->carrier->client = NULL;
	usbip_outbox_deinit(&s->out);
	usbip_urb_pool_deinit(&s->pool);
	free(s);
}

/**
 * usbip_session_free() - have done with a session
 * @session:	the session, or NULL
 *
 * Closes it where that has not been done. Memory that the device still has is freed when the device
 * gives it back; the user need not wait.
 *
 * Return: NULL.
 */
struct usbip_session *usbip_session_free(struct usbip_session *session)
{
	if (!session)
		return NULL;
	usbip_session_close(session);
	session->freed = true;
	usbip_session_finish(session);
	return NULL;
}

/**
 * usbip_session_close() - end a session
 * @session:	the session
 *
 * All that the device has of it is cancelled; unsent answers are dropped. Nothing is read or sent
 * from now on: the socket may be closed. May be called again.
 */
void usbip_session_close(struct usbip_session *session)
{
	if (session->closing)
		return;
	session->closing = true;
	usbip_session_drop_all(session);
}

/* Note why the session can't go on; the first reason stays. */
int usbip_session_break(struct usbip_session *s, int r, const char *format, ...)
{
	va_list args;

	if (s->broken)
		return s->broken;
	s->broken = r;
	va_start(args, format);
	vsnprintf(s->fault, sizeof(s->fault), format, args);
	va_end(args);
	return r;
}

/**
 * usbip_session_fault() - why receiving or sending failed
 * @session:	the session
 *
 * Return: a text for a log line, to follow the client's name: "sent an unknown command"; "" where
 * nothing is wrong. Valid as long as the session.
 */
const char *usbip_session_fault(const struct usbip_session *session)
{
	return session->fault;
}

/* Move buffered bytes to where the arriving URB wants them. Return: whether it has them all. */
static bool fill_arriving(struct usbip_session *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->incoming); i++) {
		struct incoming *in = &s->incoming[i];
		size_t n = min_t(size_t, in->left, s->input_len);

		if (in->into && n) {
			memcpy(in->into, s->input + s->input_at, n);
			in->into += n;
		}
		s->input_at += n;
		s->input_len -= n;
		in->left -= n;
		if (in->left)
			return false;
	}
	return true;
}

/* Act on what is buffered. Return: 1, went on; 0, more bytes are needed; negative, broken. */
static int parse(struct usbip_session *s)
{
	struct usbip_request request;
	const char *fault;
	int r;

	if (s->arriving) {
		if (!fill_arriving(s))
			return 0;
		usbip_session_submit_complete(s, take_ptr(s->arriving));
		return s->broken ? s->broken : 1;
	}
	if (s->input_len < USBIP_HEADER_SIZE)
		return 0;
	r = usbip_codec_request(s->input + s->input_at, &request, &fault);
	if (r < 0)
		return usbip_session_break(s, r, "sent %s", fault);
	s->input_at += USBIP_HEADER_SIZE;
	s->input_len -= USBIP_HEADER_SIZE;
	if (request.devid != s->devid)
		return usbip_session_break(s, -EPROTO, "named device %#x, which it doesn't have",
					   request.devid);
	if (request.command == USBIP_UNLINK) {
		usbip_session_unlink(s, &request);
		return s->broken ? s->broken : 1;
	}
	r = usbip_session_submit_begin(s, &request);
	return r < 0 ? r : 1;
}

/* One call for more bytes. Return: how many; 0 at the end; -EAGAIN; another negative errno.
 * @ret_drained: less came than there was room for. */
static ssize_t receive_some(struct usbip_session *s, int sock, bool *ret_drained)
{
	struct iovec iov[2];
	struct msghdr msg = {.msg_iov = iov};
	struct incoming *direct = NULL;
	size_t wanted = 0;
	ssize_t n;

	if (s->input_len == 0)
		s->input_at = 0;
	if (s->input_at) {
		memmove(s->input, s->input + s->input_at, s->input_len);
		s->input_at = 0;
	}
	if (s->arriving && s->input_len == 0) {
		direct = &s->incoming[s->incoming[0].left ? 0 : 1];
		if (!direct->into)
			direct = NULL;
	}
	if (direct)
		iov[msg.msg_iovlen++] = (struct iovec){direct->into, direct->left};
	iov[msg.msg_iovlen++] =
		(struct iovec){s->input + s->input_len, sizeof(s->input) - s->input_len};
	for (size_t i = 0; i < msg.msg_iovlen; i++)
		wanted += iov[i].iov_len;
	do
		n = recvmsg(sock, &msg, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	*ret_drained = (size_t)n < wanted;
	if (direct) {
		size_t taken = min_t(size_t, (size_t)n, direct->left);

		direct->into += taken;
		direct->left -= taken;
		s->input_len += (size_t)n - taken;
	} else {
		s->input_len += (size_t)n;
	}
	return n;
}

static bool must_wait(const struct usbip_session *s)
{
	return s->carrier->parked || s->out.count >= MAX_UNSENT || s->out.bytes >= MAX_UNSENT_BYTES;
}

/**
 * usbip_session_receive() - read from the client and act on it
 * @session:	the session
 * @sock:	its stream socket; never waited for
 *
 * A socket that gave less than there was room for is empty, and isn't asked again: what comes next
 * makes it readable anew. The end may have come with what was read: a caller that was told of the
 * end calls again. (What follows urgent data may be missed; no client of USB/IP sends that.)
 *
 * Return: 0, all that there was has been read; USBIP_SESSION_MORE, USBIP_SESSION_HELD,
 * USBIP_SESSION_CLOSED (the client closed or reset the connection, or the session is closed here);
 * a negative errno where the session is broken: usbip_session_fault() says why.
 */
int usbip_session_receive(struct usbip_session *session, int sock)
{
	struct usbip_session *s = session;
	bool drained = false;
	size_t received = 0;
	unsigned pdus = 0;

	if (s->broken)
		return s->broken;
	while (!s->closing) {
		ssize_t n;
		int r;

		if (must_wait(s))
			return USBIP_SESSION_HELD;
		r = parse(s);
		if (r < 0)
			return r;
		if (r > 0) {
			if (++pdus >= MAX_PDUS)
				return USBIP_SESSION_MORE;
			continue;
		}
		if (drained)
			return 0;
		if (received >= MAX_RECEIVED)
			return USBIP_SESSION_MORE;
		n = receive_some(s, sock, &drained);
		if (n == -EAGAIN || n == -EWOULDBLOCK)
			return 0;
		if (n == 0 || n == -ECONNRESET || n == -EPIPE)
			return USBIP_SESSION_CLOSED;
		if (n < 0)
			return usbip_session_break(s, (int)n, "can't be read from: %s",
						   strerror((int)-n));
		received += (size_t)n;
	}
	return USBIP_SESSION_CLOSED;
}

/* What a stream shows: pieces in memory that its writer may change, so each byte is read once. */
struct shown {
	const struct iovec *parts;
	size_t at, left; /* of *parts; of all */
};

/* The next bytes, at most @len. @to NULL: passed over. Return: how many. */
static size_t read_shown(struct shown *shown, uint8_t *to, size_t len)
{
	size_t done = 0;

	while (done < len && shown->left) {
		size_t n = min_t(size_t, len - done, shown->parts->iov_len - shown->at);

		if (to && n)
			memcpy(to + done, (const uint8_t *)shown->parts->iov_base + shown->at, n);
		done += n;
		shown->left -= n;
		shown->at += n;
		if (shown->at == shown->parts->iov_len) {
			shown->parts++;
			shown->at = 0;
		}
	}
	return done;
}

/* Payload of the arriving URB, with nothing before it in the input buffer. */
static void read_payload(struct usbip_session *s, struct shown *shown)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->incoming); i++) {
		struct incoming *in = &s->incoming[i];
		size_t n = read_shown(shown, in->into, in->left);

		if (in->into)
			in->into += n;
		in->left -= n;
	}
}

/* At most @len bytes more into the input buffer. */
static void read_input(struct usbip_session *s, struct shown *shown, size_t len)
{
	if (s->input_len == 0)
		s->input_at = 0;
	if (s->input_at && s->input_at + s->input_len + len > sizeof(s->input)) {
		memmove(s->input, s->input + s->input_at, s->input_len);
		s->input_at = 0;
	}
	len = min_t(size_t, len, sizeof(s->input) - s->input_at - s->input_len);
	s->input_len += read_shown(shown, s->input + s->input_at + s->input_len, len);
}

/**
 * usbip_session_take() - act on bytes that a stream shows
 * @session:	the session
 * @parts:	the stream's next bytes, in memory that may change; each is read once
 * @len:	how many they are; 0: act on what was kept
 * @ret_taken:	how many were taken: all of them where @len is at most usbip_session_takes()
 *
 * Return: 0; USBIP_SESSION_HELD: what was taken is kept, and this is to be called, also without
 * bytes, once the cause is over; USBIP_SESSION_CLOSED: closed here; a negative errno where the
 * session is broken: usbip_session_fault() says why.
 */
int usbip_session_take(struct usbip_session *session, const struct iovec *parts, size_t len,
		       size_t *ret_taken)
{
	struct shown shown = {.parts = parts, .left = len};
	struct usbip_session *s = session;
	int r = s->broken;

	while (r == 0 && !s->closing) {
		if (s->arriving && !s->input_len)
			read_payload(s, &shown);
		if (must_wait(s)) {
			read_input(s, &shown, shown.left);
			r = USBIP_SESSION_HELD;
			break;
		}
		r = parse(s);
		if (r > 0) {
			r = 0;
			continue;
		}
		if (r < 0 || !shown.left)
			break;
		if (!s->arriving)
			read_input(s, &shown, USBIP_HEADER_SIZE - s->input_len);
	}
	*ret_taken = len - shown.left;
	return s->closing ? USBIP_SESSION_CLOSED : r;
}

/**
 * usbip_session_takes() - how many bytes usbip_session_take() takes for certain
 * @session:	the session
 *
 * Return: bytes. What was said once holds: less only by what was taken since.
 */
size_t usbip_session_takes(const struct usbip_session *session)
{
	const struct usbip_session *s = session;
	size_t room = sizeof(s->input) - s->input_len;

	if (s->arriving && !s->input_len)
		room += s->incoming[0].left + s->incoming[1].left;
	return room;
}

/**
 * usbip_session_answer() - give a stream the answers that there are
 * @session:	the session
 * @put:	called with @ctx and a buffer of them; 0, or a negative errno. Not from within @put,
 *		but in this order, each comes back by usbip_session_sent()
 * @ctx:	given to it
 *
 * A stream that still has some must give them back before the session is closed.
 *
 * Return: 0; a negative errno where the session is broken.
 */
int usbip_session_answer(struct usbip_session *session,
			 int (*put)(void *ctx, struct stream_buffer *buffer), void *ctx)
{
	int r;

	if (session->broken)
		return session->broken;
	if (session->closing)
		return 0;
	r = usbip_outbox_put(&session->out, put, ctx);
	if (r < 0)
		return usbip_session_break(session, r, "can't be sent to: %s", strerror(-r));
	return 0;
}

/**
 * usbip_session_sent() - a stream gives a buffer of an answer back
 * @session:	the session; it may read again then, if it was held
 * @buffer:	of usbip_session_answer()
 */
void usbip_session_sent(struct usbip_session *session, const struct stream_buffer *buffer)
{
	usbip_outbox_back(&session->out, buffer);
}

/**
 * usbip_session_has_unsent() - are there answers that usbip_session_answer() would give?
 * @session:	the session
 *
 * Return: whether.
 */
bool usbip_session_has_unsent(const struct usbip_session *session)
{
	return !session->closing && session->out.next != &session->out.entries;
}

/**
 * usbip_session_has_answers() - is there something to send?
 * @session:	the session
 *
 * Return: whether.
 */
bool usbip_session_has_answers(const struct usbip_session *session)
{
	return !session->closing && session->out.count > 0;
}

/**
 * usbip_session_send() - send the answers that there are, those of one turn by one call
 * @session:	the session
 * @sock:	its stream socket; never waited for
 *
 * Return: 0, all has left; USBIP_SESSION_BLOCKED; a negative errno where the session is broken.
 */
int usbip_session_send(struct usbip_session *session, int sock)
{
	int r;

	if (session->broken)
		return session->broken;
	if (session->closing)
		return 0;
	r = usbip_outbox_send(&session->out, sock);
	if (r < 0)
		return usbip_session_break(session, r, "can't be sent to: %s", strerror(-r));
	return r == USBIP_OUTBOX_BLOCKED ? USBIP_SESSION_BLOCKED : 0;
}

/**
 * usbip_session_set_stats() - say where a session counts what goes through it
 * @session:	the session
 * @stats:	outlives the session; its `timed` may change at any time
 */
void usbip_session_set_stats(struct usbip_session *session, struct urb_stats *stats)
{
	session->stats = stats;
}

/**
 * usbip_session_count() - what a session has done so far
 * @session:	the session
 * @ret_counters: the numbers
 */
void usbip_session_count(const struct usbip_session *session,
			 struct usbip_session_counters *ret_counters)
{
	*ret_counters = session->counters;
	ret_counters->in_flight = session->pool.n_live - session->n_answered;
}
