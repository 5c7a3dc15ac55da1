/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session's URBs: taken from the stream, judged (usbip_session_submit.c), held, given to the device,
 * answered.
 *
 * usbip_urb.c's table says what may happen to a URB and what has to be done then; this file does
 * it.
 *
 * Requests that block (usb_request.c) go one at a time. When one comes, all later submits are held
 * in order. It waits until endpoint 0's earlier URBs are back, and those that the kernel would kill
 * on its behalf: these are cancelled and answered -ESHUTDOWN, as Linux does when an endpoint is
 * disabled under its driver (core/hcd.c: usb_hcd_flush_endpoint). Unlinks are served meanwhile, of
 * held URBs too. Then the carrier parks.
 *
 * An unlink may overtake its submit: Linux's vhci_tx sends all unlinks that are queued before it
 * looks for submits again (vhci_tx.c; seen with usbtest 11). If it were answered 0, the URB would
 * count as given back, and the RET_SUBMIT that follows would cost the client its device. Seqnums of
 * a connection's submits go up, so a victim above the newest one is still to come: its unlink waits
 * for it, and takes it. As many unlinks may wait as a client may have URBs; with one more the
 * session is broken.
 *
 * URBs that the kernel has no memory for are *starved*. They are tried again whenever a URB of the
 * session comes back, and whenever the user says so, because another session or program may hold
 * the memory. Those of one endpoint keep their order; other endpoints go on. A request that blocks
 * waits for the starved ones of endpoint 0, and those that it would kill are answered as if it had
 * killed them.
 *
 * Isochronous packets: see usbip_iso.c. Their errors are the packets' own and the URB's status is
 * 0: audio and video drivers end the stream on some errnos, on others they ask again at once
 * (sound/usb/endpoint.c, uvc_video.c).
 */
#include "usbip/usbip_session_private.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/loop.h"
#include "base/mem.h"
#include "usb/hid_input.h"
#include "usbip/usbip_iso.h"

static void queue(struct usbip_session *s, const struct usbip_outbox_entry *entry)
{
	int r = usbip_outbox_add(&s->out, entry);

	if (r < 0)
		usbip_session_break(s, r, "can't be answered: no memory");
}

static void queue_ret_unlink(struct usbip_session *s, uint32_t seqnum, int status)
{
	struct usbip_outbox_entry entry = {};

	usbip_codec_ret_unlink(entry.header, seqnum, status);
	queue(s, &entry);
}

/* A URB has its answer: @moved bytes, and who looks wants to know how long it took. */
static void count(struct urb_stats *stats, const struct usbip_urb *urb, uint32_t moved)
{
	stats->urbs++;
	stats->errors += urb->usb.status < 0 && urb->usb.status != -ECONNRESET;
	*(urb->usb.in ? &stats->in_bytes : &stats->out_bytes) += moved;
	if (urb->asked_ns && stats->timed)
		latency_add(&stats->answer, loop_now() - urb->asked_ns);
}

static void queue_ret_submit(struct usbip_session *s, struct usbip_urb *urb)
{
	struct usbip_outbox_entry entry = {.urb = urb};
	struct usbip_submit_answer answer = {
		.seqnum = urb->seqnum,
		.status = urb->usb.status,
		.actual_length = min_t(uint32_t, urb->usb.actual, urb->usb.length),
		.start_frame = urb->start_frame,
		.n_packets = urb->n_packets,
		.error_count = urb->error_count,
	};

	usbip_codec_ret_submit(entry.header, &answer);
	if (urb->usb.in && answer.actual_length) {
		entry.data = urb->usb.data;
		entry.data_len = answer.actual_length;
		s->counters.in_bytes += answer.actual_length;
	} else if (!urb->usb.in) {
		s->counters.out_bytes += answer.actual_length;
	}
	if (s->stats)
		count(s->stats, urb, answer.actual_length);
	if (urb->usb.n_packets) {
		usbip_codec_write_packets(urb->usb.packets, urb->usb.n_packets);
		entry.tail = urb->usb.packets;
		entry.tail_len = urb->usb.n_packets * USBIP_ISO_PACKET_SIZE;
	}
	list_append(&s->answered, &urb->link);
	s->n_answered++;
	queue(s, &entry);
}

static void release(struct usbip_session *s, struct usbip_urb *urb)
{
	list_remove(&urb->link);
	usbip_urb_table_remove(&s->table, urb);
	usbip_urb_pool_give(&s->pool, urb);
}

/* Take the step and do what it entails. @urb may be gone afterwards. */
static void advance(struct usbip_session *s, struct usbip_urb *urb, enum usbip_urb_event event)
{
	unsigned todo = usbip_urb_advance(urb, event);

	if (todo & USBIP_URB_DO_CANCEL)
		s->carrier->ops->cancel(s->carrier, &urb->usb);
	if (todo & USBIP_URB_DO_RET_SUBMIT)
		queue_ret_submit(s, urb);
	if (todo & USBIP_URB_DO_UNLINK_RESET)
		queue_ret_unlink(s, urb->unlink_seqnum, -ECONNRESET);
	if (todo & USBIP_URB_DO_UNLINK_ZERO)
		queue_ret_unlink(s, urb->unlink_seqnum, 0);
	if (todo & USBIP_URB_DO_FREE)
		release(s, urb);
}

/* Answer a URB without the device. */
static void answer(struct usbip_session *s, struct usbip_urb *urb, int status)
{
	urb->usb.status = status;
	urb->usb.actual = 0;
	usb_urb_fail_packets(&urb->usb);
	urb->error_count = (int32_t)urb->usb.n_packets;
	advance(s, urb, USBIP_URB_ANSWER);
}

/* Does the blocking request have to wait for this URB? */
static bool is_waited_for(const struct usbip_session *s, const struct usbip_urb *urb)
{
	return urb->ep == 0 || usb_request_touches(&s->request, &urb->usb);
}

/* Has all that the blocking request waits for come back? Then start it. */
static void try_blocking(struct usbip_session *s)
{
	int r;

	if (!s->blocking || s->blocking->state != USBIP_URB_WAITING)
		return;
	list_for_each(l, &s->aloft) {
		if (is_waited_for(s, list_entry(l, struct usbip_urb, link)))
			return;
	}
	list_for_each(l, &s->starved) {
		if (is_waited_for(s, list_entry(l, struct usbip_urb, link)))
			return;
	}
	advance(s, s->blocking, USBIP_URB_RUN);
	r = s->carrier->ops->start(s->carrier, &s->request);
	if (r < 0)
		s->client.ops->request_done(&s->client, r);
}

/* The starved URB of the same endpoint, which has to go first. */
static const struct usbip_urb *find_starved(const struct usbip_session *s, uint8_t endpoint)
{
	list_for_each(l, &s->starved) {
		const struct usbip_urb *urb = list_entry(l, struct usbip_urb, link);

		if (urb->usb.endpoint == endpoint)
			return urb;
	}
	return NULL;
}

static bool waits_for_kernel(const struct usbip_session *s)
{
	list_for_each(l, &s->starved) {
		if (!list_entry(l, struct usbip_urb, link)->waits_for_share)
			return true;
	}
	return false;
}

static void starve(struct usbip_session *s, struct usbip_urb *urb, bool for_share)
{
	if (!waits_for_kernel(s))
		s->retries_left = s->retries;
	list_remove(&urb->link);
	list_append(&s->starved, &urb->link);
	s->n_starved++;
	urb->starved = true;
	urb->waits_for_share = for_share;
	if (urb->state == USBIP_URB_ARRIVING)
		advance(s, urb, USBIP_URB_HOLD);
}

static void unstarve(struct usbip_session *s, struct usbip_urb *urb)
{
	list_remove(&urb->link);
	s->n_starved--;
	urb->starved = false;
}

static void block(struct usbip_session *s, struct usbip_urb *urb, const struct usb_request *request)
{
	list_remove(&urb->link);
	advance(s, urb, USBIP_URB_BLOCK);
	s->blocking = urb;
	s->request = *request;
	list_for_each_safe(l, &s->aloft) {
		struct usbip_urb *other = list_entry(l, struct usbip_urb, link);

		if (other->ep && other->state == USBIP_URB_FLYING &&
		    usb_request_touches(request, &other->usb))
			advance(s, other, USBIP_URB_REVOKE);
	}
	list_for_each_safe(l, &s->starved) {
		struct usbip_urb *other = list_entry(l, struct usbip_urb, link);

		if (other->ep && usb_request_touches(request, &other->usb)) {
			unstarve(s, other);
			answer(s, other, -ESHUTDOWN);
		}
	}
	try_blocking(s);
}

static void submit(struct usbip_session *s, struct usbip_urb *urb)
{
	const struct usbip_urb *first = find_starved(s, urb->usb.endpoint);
	int r;

	if (first)
		r = first->waits_for_share ? -EAGAIN : -ENOMEM;
	else
		r = s->carrier->ops->submit(s->carrier, &urb->usb);
	if (r == -EAGAIN || (r == -ENOMEM && s->retries)) {
		starve(s, urb, r == -EAGAIN);
		return;
	}
	if (r < 0) {
		list_remove(&urb->link);
		answer(s, urb, r);
		return;
	}
	if (urb->asked_ns)
		urb->submitted_ns = loop_now();
	list_remove(&urb->link);
	list_append(&s->aloft, &urb->link);
	advance(s, urb, USBIP_URB_SUBMIT);
}

/* All of a URB is here and nothing is before it. */
static void begin(struct usbip_session *s, struct usbip_urb *urb)
{
	struct usb_request request;

	if (urb->ep) {
		const struct usb_endpoint *endpoint =
			usb_carrier_endpoint(s->carrier, urb->usb.endpoint);

		/* A request that blocked may have changed the endpoints since the header came. */
		if (!endpoint || (usb_endpoint_type(endpoint) == USB_ISOCHRONOUS) !=
					 (urb->usb.type == USB_ISOCHRONOUS)) {
			answer(s, urb, -ENOENT);
			return;
		}
		urb->usb.type = usb_endpoint_type(endpoint);
		urb->usb.interface = endpoint->interface;
		submit(s, urb);
		return;
	}
	request = usb_request_read(urb->usb.setup);
	switch (request.kind) {
	case USB_REQUEST_RAW:
		submit(s, urb);
		break;
	case USB_REQUEST_SET_ADDRESS:
		answer(s, urb, 0);
		break;
	case USB_REQUEST_REFUSE:
		answer(s, urb, -EPIPE);
		break;
	default:
		block(s, urb, &request);
	}
}

/* Try what is starved again. */
static void feed(struct usbip_session *s)
{
	unsigned n = s->n_starved, retries_left = s->retries_left;
	struct list waiting, *l;

	list_init(&waiting);
	while ((l = list_pop(&s->starved)))
		list_append(&waiting, l);
	while ((l = list_pop(&waiting))) {
		struct usbip_urb *urb = list_entry(l, struct usbip_urb, link);

		unstarve(s, urb);
		begin(s, urb);
	}
	s->retries_left = retries_left;
	if (s->n_starved < n)
		s->retries_left = s->retries;
}

/* Go on with what was held, until something blocks again. */
static void release_held(struct usbip_session *s)
{
	struct list *l;

	if (s->releasing)
		return;
	s->releasing = true;
	while (!s->closing && !s->blocking && (l = list_pop(&s->held)))
		begin(s, list_entry(l, struct usbip_urb, link));
	s->releasing = false;
}

static bool is_after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static void forget_early(struct usbip_session *s, unsigned i)
{
	s->early[i] = s->early[--s->n_early];
}

/* A submit comes: waiting unlinks of smaller seqnums are of URBs that never were. */
static void note_submit(struct usbip_session *s, uint32_t seqnum)
{
	for (unsigned i = s->n_early; i-- > 0;) {
		if (!is_after(seqnum, s->early[i].victim))
			continue;
		queue_ret_unlink(s, s->early[i].seqnum, 0);
		forget_early(s, i);
	}
	if (!s->has_newest || is_after(seqnum, s->newest))
		s->newest = seqnum;
	s->has_newest = true;
}

/* Was it unlinked before it came? Then it has gone. */
static bool taken_early(struct usbip_session *s, struct usbip_urb *urb)
{
	uint32_t seqnum = urb->seqnum;
	bool taken = false;

	for (unsigned i = s->n_early; i-- > 0;) {
		uint32_t unlink = s->early[i].seqnum;

		if (s->early[i].victim != seqnum)
			continue;
		forget_early(s, i);
		if (taken) {
			queue_ret_unlink(s, unlink, 0);
			continue;
		}
		urb->unlink_seqnum = unlink;
		advance(s, urb, USBIP_URB_UNLINK);
		taken = true;
	}
	return taken;
}

/**
 * usbip_session_submit_begin() - a SUBMIT's header has come
 * @s:		the session
 * @request:	what it asks
 *
 * Return: 0: the session's arriving URB says what follows; a negative errno: broken.
 */
int usbip_session_submit_begin(struct usbip_session *s, const struct usbip_request *request)
{
	struct usbip_urb *urb;
	int r;

	if (usbip_urb_table_find(&s->table, request->seqnum))
		return usbip_session_break(s, -EPROTO, "used seqnum %u twice", request->seqnum);
	urb = usbip_urb_pool_take(&s->pool);
	if (!urb)
		return usbip_session_break(s, -ENOMEM, "can't be served: no memory");
	s->arriving = urb;
	s->counters.submits++;
	note_submit(s, request->seqnum);
	urb->seqnum = request->seqnum;
	urb->usb.length = request->length;
	urb->start_frame = request->start_frame;
	urb->n_packets = request->n_packets;
	memcpy(urb->usb.setup, request->setup, sizeof(urb->usb.setup));
	urb->ep = request->ep;
	urb->usb.in = request->in;
	urb->usb.zero_packet = !request->in && request->flags & USBIP_URB_ZERO_PACKET;
	usbip_urb_table_add(&s->table, urb);
	r = usbip_session_judge(s, urb);
	if (r == 0)
		r = usbip_session_provide(s, urb);
	s->incoming[0] = (struct incoming){urb->usb.data, urb->usb.in ? 0 : urb->usb.length};
	s->incoming[1] = (struct incoming){(uint8_t *)urb->usb.packets,
					   urb->usb.n_packets * USBIP_ISO_PACKET_SIZE};
	return r;
}

/**
 * usbip_session_submit_complete() - all bytes of a SUBMIT have come
 * @s:		the session
 * @urb:	the URB
 */
void usbip_session_submit_complete(struct usbip_session *s, struct usbip_urb *urb)
{
	urb->asked_ns = s->stats && s->stats->timed ? loop_now() : 0;
	if (taken_early(s, urb))
		return;
	usbip_codec_read_packets(urb->usb.packets, urb->usb.n_packets);
	if (urb->usb.n_packets && !urb->refusal)
		urb->refusal = usbip_session_arrange(s, urb);
	if (urb->refusal) {
		usbip_urb_pool_drop_data(&s->pool, urb);
		answer(s, urb, urb->refusal);
	} else if (s->blocking || !list_empty(&s->held)) {
		list_append(&s->held, &urb->link);
		advance(s, urb, USBIP_URB_HOLD);
	} else {
		begin(s, urb);
	}
}

/**
 * usbip_session_unlink() - the client wants a URB back
 * @s:		the session
 * @request:	the UNLINK
 */
void usbip_session_unlink(struct usbip_session *s, const struct usbip_request *request)
{
	struct usbip_urb *urb = usbip_urb_table_find(&s->table, request->victim);
	bool was_blocking = urb && urb == s->blocking;

	s->counters.unlinks++;
	if (!urb && s->has_newest && is_after(request->victim, s->newest)) {
		/* If they were answered now, each would be answered again with its submit. */
		if (s->n_early == ARRAY_SIZE(s->early)) {
			usbip_session_break(s, -EPROTO,
					    "unlinked more than %zu URBs before they came",
					    ARRAY_SIZE(s->early));
			return;
		}
		s->early[s->n_early].seqnum = request->seqnum;
		s->early[s->n_early].victim = request->victim;
		s->n_early++;
		return;
	}
	if (!urb) {
		queue_ret_unlink(s, request->seqnum, 0);
		return;
	}
	if (usbip_urb_look_up(urb->state, USBIP_URB_UNLINK).todo & USBIP_URB_DO_REFUSE_UNLINK)
		queue_ret_unlink(s, request->seqnum, 0);
	else
		urb->unlink_seqnum = request->seqnum;
	if (urb->starved)
		unstarve(s, urb);
	advance(s, urb, USBIP_URB_UNLINK);
	if (was_blocking) {
		s->blocking = NULL;
		release_held(s);
	}
	/* It may have waited for a starved one. */
	try_blocking(s);
}

/**
 * usbip_session_set_retries() - let URBs wait for the kernel's memory
 * @session:	the session
 * @retries:	how often usbip_session_retry() may find no room for any of them until they are
 *		answered -ENOMEM; 0, as at first: at once
 *
 * The user promises to call usbip_session_retry() every now and then, some milliseconds apart,
 * while usbip_session_starved() says so. Else they might wait for ever: others may hold all memory,
 * and the session's own URBs in flight may wait for an idle keyboard.
 */
void usbip_session_set_retries(struct usbip_session *session, unsigned retries)
{
	session->retries = retries;
}

/**
 * usbip_session_starved() - do URBs wait for the kernel's memory?
 * @session:	the session
 *
 * Return: whether. Changes in usbip_session_receive(), usbip_session_retry() and the device's
 * events.
 */
bool usbip_session_starved(const struct usbip_session *session)
{
	return !session->closing && session->n_starved > 0 && waits_for_kernel(session);
}

/**
 * usbip_session_room() - try URBs again that wait for their guest's share of the kernel's memory
 * @session:	the session; may have answers afterwards
 *
 * To be called when a URB of another device of the guest has come back, or the share has grown.
 * They wait as long as it takes, because the guest itself holds what they wait for.
 *
 * Return: whether it could be tried now; else again, when the device is no longer parked.
 */
bool usbip_session_room(struct usbip_session *session)
{
	if (session->closing || !session->n_starved)
		return true;
	if (session->carrier->parked)
		return false;
	feed(session);
	try_blocking(session);
	return true;
}

/* The kernel has had no room for a long time: other programs may hold it, and for ever. */
static void give_up(struct usbip_session *s)
{
	list_for_each_safe(l, &s->starved) {
		struct usbip_urb *urb = list_entry(l, struct usbip_urb, link);

		if (urb->waits_for_share)
			continue;
		unstarve(s, urb);
		answer(s, urb, -ENOMEM);
	}
}

/**
 * usbip_session_retry() - try URBs again that wait for the kernel's memory
 * @session:	the session; may have answers afterwards
 */
void usbip_session_retry(struct usbip_session *session)
{
	struct usbip_session *s = session;

	if (!usbip_session_starved(s) || s->carrier->parked)
		return;
	if (s->retries_left) {
		s->retries_left--;
		feed(s);
	}
	if (!s->retries_left)
		give_up(s);
	try_blocking(s);
}

/**
 * usbip_session_urb_sent() - a RET_SUBMIT has left
 * @ctx:	the session
 * @urb:	its URB
 */
void usbip_session_urb_sent(void *ctx, struct usbip_urb *urb)
{
	struct usbip_session *s = ctx;

	s->n_answered--;
	advance(s, urb, USBIP_URB_SENT);
}

static void close_list(struct usbip_session *s, struct list *urbs)
{
	list_for_each_safe(l, urbs)
		advance(s, list_entry(l, struct usbip_urb, link), USBIP_URB_CLOSE);
}

/**
 * usbip_session_drop_all() - nobody waits for anything any more
 * @s:		the session, closing
 */
void usbip_session_drop_all(struct usbip_session *s)
{
	struct usbip_urb *blocking = s->blocking;

	usbip_outbox_clear(&s->out);
	close_list(s, &s->answered);
	s->n_answered = 0;
	close_list(s, &s->held);
	close_list(s, &s->starved);
	s->n_starved = 0;
	if (s->arriving)
		advance(s, take_ptr(s->arriving), USBIP_URB_CLOSE);
	if (blocking && blocking->state == USBIP_URB_WAITING)
		s->blocking = NULL;
	if (blocking)
		advance(s, blocking, USBIP_URB_CLOSE);
	close_list(s, &s->aloft);
}

/* A device with keyboards has carried out a URB. */
static void watch_input(struct hid_input *input, const struct usb_urb *urb)
{
	if (urb->type == USB_INTERRUPT && urb->in)
		hid_input_report(input, urb->interface, urb->data,
				 min_t(uint32_t, urb->actual, urb->length));
	else if (urb->type == USB_CONTROL && urb->status == 0)
		hid_input_control(input, urb->setup);
}

/* … or a request that blocked. */
static void watch_request(struct hid_input *input, const struct usb_request *request)
{
	if (request->kind == USB_REQUEST_SET_INTERFACE)
		hid_input_set_alternate(input, request->interface, request->alternate);
	else if (request->kind != USB_REQUEST_CLEAR_HALT)
		hid_input_reset(input);
}

/* A URB is back. */
static void on_completed(struct usb_client *client, struct usb_urb *done)
{
	struct usbip_urb *urb = container_of(done, struct usbip_urb, usb);
	struct usbip_session *s = container_of(client, struct usbip_session, client);
	bool nothing;

	list_remove(&urb->link);
	if (urb->asked_ns && s->stats->timed)
		latency_add(&s->stats->device, loop_now() - urb->submitted_ns);
	if (urb->usb.n_packets)
		urb->usb.actual =
			usbip_iso_finish(urb->usb.packets, urb->usb.n_packets,
					 urb->usb.in ? urb->usb.data : NULL, &urb->error_count);
	nothing = urb->usb.cancelled && urb->usb.actual == 0;
	if (urb->usb.cancelled) {
		/* The one who cancelled it decides how its end is called. */
		if (urb->state == USBIP_URB_UNLINKED)
			urb->usb.status = -ECONNRESET;
		else if (urb->state == USBIP_URB_REVOKED)
			urb->usb.status = -ESHUTDOWN;
		else
			urb->usb.status = -EPROTO;
	}
	if (urb->usb.type == USB_CONTROL && urb->usb.in)
		usb_request_amend_reply(urb->usb.setup, urb->usb.data,
					min_t(uint32_t, urb->usb.actual, urb->usb.length));
	if (s->carrier->input)
		watch_input(s->carrier->input, done);
	advance(s, urb, nothing ? USBIP_URB_BACK_VOID : USBIP_URB_BACK);
}

static void on_settled(struct usb_client *client)
{
	struct usbip_session *s = container_of(client, struct usbip_session, client);

	if (!s->closing)
		feed(s);
	try_blocking(s);
	usbip_session_finish(s);
}

static void on_request_done(struct usb_client *client, int r)
{
	struct usbip_session *s = container_of(client, struct usbip_session, client);

	if (s->carrier->input && r == 0)
		watch_request(s->carrier->input, &s->request);
	answer(s, take_ptr(s->blocking), r);
	if (!s->closing)
		feed(s);
	release_held(s);
	usbip_session_finish(s);
}

static void on_lost(struct usb_client *client)
{
	struct usbip_session *s = container_of(client, struct usbip_session, client);

	usbip_session_close(s);
	/* The idle URBs' transfers are the carrier's kind. */
	usbip_urb_pool_deinit(&s->pool);
	s->carrier = NULL;
}

const struct usb_client_ops usbip_session_client_ops = {
	.completed = on_completed,
	.settled = on_settled,
	.request_done = on_request_done,
	.lost = on_lost,
};
