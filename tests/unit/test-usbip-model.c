/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every order in which things can happen to a few URBs, tried on the real session.
 *
 * A world is a session, a scripted device and a client that keeps vhci's books (vhci_rx.c). From
 * each state each step that is possible is taken, until no new state is found; a state is reached
 * by playing its steps anew. Steps: the next SUBMIT, an UNLINK (before its SUBMIT too, and a second
 * one), the device gives a URB back (with data, without, cancelled, cancelled after some data), a
 * batch of these ends, the blocking request ends, memory goes and comes, a retry, the device goes,
 * the client takes all answers or a few bytes.
 *
 * In each step: no answer to what was given back or wasn't asked; RET_UNLINK(0) after RET_SUBMIT;
 * the device is asked in each endpoint's order, and nothing overtakes a blocking request; what the
 * device has is a URB that flies; what waits, waits for something that will come. From each state,
 * to an end: all is answered once and the pool is empty; or the session is freed, or the device
 * lost, and nothing is left.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "base/mem.h"
#include "script-backend.h"
#include "usbip/usbip_session_private.h"

#define MAX_URBS  3
#define MAX_STEPS 64
#define RETRIES	  2

enum step {
	SUBMIT,
	SETTLE,
	FINISH,
	GONE,
	MEMORY,
	RETRY,
	SEND_ALL,
	SEND_SOME,
	UNLINK, /* from here on, one for each URB */
	DONE = UNLINK + MAX_URBS,
	EMPTY = DONE + MAX_URBS,
	CANCELLED = EMPTY + MAX_URBS,
	CANCELLED_LATE = CANCELLED + MAX_URBS,
	STEPS = CANCELLED_LATE + MAX_URBS,
};

/* What the client knows of one URB. */
struct book {
	unsigned unlinks, unlinks_answered; /* the latter a bit each */
	unsigned ret_submits, resets;
};

struct plan {
	const char *kinds; /* one letter a URB */
	unsigned unlinks;  /* of each */
	bool memory, gone, some;
};

static struct {
	const struct plan *plan;
	unsigned n_urbs;
	struct script script;
	struct usbip_session *session;
	struct book books[MAX_URBS];
	unsigned n_sent, n_memory;
	uint32_t newest[32]; /* seqnum that the device was given last, by endpoint */
	bool unsettled, gone, closed;
	/* the wire */
	uint8_t in[1024], out[1024];
	size_t in_at, in_len, out_len, room;
	/* how it got here */
	uint8_t steps[MAX_STEPS];
	unsigned n_steps;
} w;

static struct {
	uint64_t *seen; /* hashes of states, open addressing, 0 is free */
	size_t size, states, steps, ends;
} found;

static uint32_t seqnum_of(unsigned i)
{
	return 1 + 2 * i;
}

static unsigned urb_of(uint32_t seqnum)
{
	return (seqnum - 1) / 2;
}

static void describe(char *text, size_t size)
{
	static const char *const names[] = {"submit", "settle", "finish", "gone",
					    "memory", "retry",	"send",	  "send-some"};
	static const char *const of_urb[] = {"unlink", "done", "empty", "cancelled",
					     "cancelled-late"};
	size_t used = (size_t)snprintf(text, size, "%s:", w.plan->kinds);

	for (unsigned i = 0; i < w.n_steps && used < size; i++) {
		unsigned s = w.steps[i];

		if (s < UNLINK)
			used += (size_t)snprintf(text + used, size - used, " %s", names[s]);
		else
			used += (size_t)snprintf(text + used, size - used, " %s%u",
						 of_urb[(s - UNLINK) / MAX_URBS],
						 (s - UNLINK) % MAX_URBS);
	}
}

#define promise(condition)                                     \
	do {                                                   \
		if (!(condition)) {                            \
			char text_[2048];                      \
			describe(text_, sizeof(text_));        \
			fail_msg("%s: %s", #condition, text_); \
		}                                              \
	} while (0)

/* ------------------------------------------------------------- the wire, instead of a socket */

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	size_t got = 0;

	for (size_t i = 0; i < msg->msg_iovlen; i++) {
		size_t n = min_t(size_t, msg->msg_iov[i].iov_len, w.in_len - w.in_at);

		memcpy(msg->msg_iov[i].iov_base, w.in + w.in_at, n);
		w.in_at += n;
		got += n;
	}
	if (got)
		return (ssize_t)got;
	errno = EAGAIN;
	return -1;
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	size_t sent = 0;

	promise(!w.closed);
	for (size_t i = 0; i < msg->msg_iovlen; i++) {
		size_t n = min_t(size_t, msg->msg_iov[i].iov_len, w.room);

		memcpy(w.out + w.out_len, msg->msg_iov[i].iov_base, n);
		w.out_len += n;
		w.room -= n;
		sent += n;
	}
	if (sent)
		return (ssize_t)sent;
	errno = EAGAIN;
	return -1;
}

static void put(const void *data, size_t len)
{
	memcpy(w.in + w.in_len, data, len);
	w.in_len += len;
}

/* As vhci: find the URB, give it back once. */
static void hear_ret_submit(uint32_t seqnum)
{
	struct book *b = &w.books[urb_of(seqnum)];

	promise(urb_of(seqnum) < w.n_sent);
	promise(b->ret_submits == 0);
	promise(b->unlinks_answered == 0);
	b->ret_submits++;
}

static void hear_ret_unlink(uint32_t seqnum, int status)
{
	unsigned i = (seqnum - 100) / 10, bit = 1u << seqnum % 10;
	struct book *b = &w.books[i];

	promise(i < w.n_urbs && !(b->unlinks_answered & bit));
	promise(status == 0 || status == -ECONNRESET);
	if (status == -ECONNRESET) {
		promise(b->resets == 0 && b->ret_submits == 0);
		b->resets++;
	} else if (b->unlinks == 1) {
		promise(b->ret_submits == 1);
	}
	b->unlinks_answered |= bit;
}

static void hear(void)
{
	size_t at = 0;

	while (w.out_len - at >= 48) {
		const uint8_t *p = w.out + at;
		size_t len = 48;

		if (pdu_u32(p) == 3)
			len += pdu_u32(p + 24) + pdu_u32(p + 32) * 16;
		if (w.out_len - at < len)
			break;
		if (pdu_u32(p) == 3)
			hear_ret_submit(pdu_u32(p + 4));
		else
			hear_ret_unlink(pdu_u32(p + 4), (int)pdu_u32(p + 20));
		at += len;
	}
	w.out_len -= at;
	memmove(w.out, w.out + at, w.out_len);
}

/* ------------------------------------------------------------- the device */

static const struct usb_carrier_ops *script_ops;

static int watched_submit(struct usb_carrier *carrier, struct usb_urb *urb)
{
	int r = script_ops->submit(carrier, urb);

	if (r < 0)
		return r;
	promise(!w.closed);
	promise(w.newest[usb_endpoint_slot(urb->endpoint)] < script_seqnum(urb));
	w.newest[usb_endpoint_slot(urb->endpoint)] = script_seqnum(urb);
	for (unsigned i = 0; i < urb_of(script_seqnum(urb)); i++) {
		const struct usbip_urb *other =
			usbip_urb_table_find(&w.session->table, seqnum_of(i));

		promise(!other || !strchr("IC", w.plan->kinds[i]) ||
			other->state == USBIP_URB_ANSWERED);
	}
	return 0;
}

static void watched_cancel(struct usb_carrier *carrier, struct usb_urb *urb)
{
	promise(!urb->cancel_later);
	script_ops->cancel(carrier, urb);
	urb->cancel_later = true;
}

static int watched_start(struct usb_carrier *carrier, const struct usb_request *request)
{
	list_for_each(l, &w.script.aloft) {
		const struct usbip_urb *urb = list_entry(l, struct usbip_urb, usb.device_link);

		promise(urb->ep && !usb_request_touches(request, &urb->usb));
	}
	/* Nor do such wait for memory that came before it. */
	list_for_each(l, &w.session->starved) {
		const struct usbip_urb *urb = list_entry(l, struct usbip_urb, link);

		promise(urb->ep && !usb_request_touches(request, &urb->usb));
	}
	return script_ops->start(carrier, request);
}

static const struct usb_carrier_ops watched_ops = {
	.submit = watched_submit,
	.cancel = watched_cancel,
	.start = watched_start,
};

static void give_back(unsigned i, uint32_t actual, bool cancelled)
{
	int status = cancelled ? -ECONNRESET : w.gone ? -ESHUTDOWN : 0;

	script_complete(&w.script, seqnum_of(i), status, actual, cancelled);
	w.unsettled = true;
}

static void settle(void)
{
	w.unsettled = false;
	script_settle(&w.script);
}

/* ------------------------------------------------------------- a world */

static void begin_world(const struct plan *plan)
{
	memset(&w, 0, sizeof(w));
	w.plan = plan;
	w.n_urbs = (unsigned)strlen(plan->kinds);
	script_init(&w.script);
	script_ops = w.script.carrier.ops;
	w.script.carrier.ops = &watched_ops;
	assert_int_equal(
		usbip_session_new_on(&w.session, "model", &w.script.carrier, SCRIPT_DEVID, NULL, 0),
		0);
	usbip_session_set_retries(w.session, plan->memory ? RETRIES : 0);
}

static void receive(void)
{
	promise(usbip_session_receive(w.session, 0) >= 0);
	if (w.in_at == w.in_len)
		w.in_at = w.in_len = 0;
}

static void send_answers(size_t room)
{
	w.room = room;
	promise(usbip_session_send(w.session, 0) >= 0);
	hear();
	/* What was held back for want of room. */
	if (!w.unsettled)
		receive();
}

static void ask(void)
{
	static const struct {
		char kind;
		struct pdu_submit pdu;
	} kinds[] = {
		{'b', {.in = true, .ep = 2, .length = 8}},
		{'i', {.in = true, .ep = 1, .length = 8}},
		{'e', {.in = true, .length = 8, .setup = {0x80, 6, 0, 1, 0, 0, 8, 0}}},
		{'s', {.in = true, .ep = 3, .length = 8, .n_packets = 1}},
		{'I', {.setup = {1, 11, 1, 0, 1}}},
		{'C', {.setup = {0, 9, 1}}},
	};
	unsigned i = w.n_sent++;

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		struct pdu_submit pdu = kinds[k].pdu;
		uint8_t buf[64];

		if (kinds[k].kind != w.plan->kinds[i])
			continue;
		pdu.seqnum = seqnum_of(i);
		put(buf, pdu_submit(buf, &pdu));
		if (pdu.n_packets)
			put(buf, pdu_packet(buf, 0, 8));
	}
	receive();
}

static void ask_back(unsigned i)
{
	uint8_t buf[48];

	put(buf, pdu_unlink(buf, 100 + 10 * i + w.books[i].unlinks++, seqnum_of(i)));
	receive();
}

static void set_memory(void)
{
	w.n_memory++;
	w.script.submit_result = w.script.submit_result ? 0 : -ENOMEM;
}

static void unplug(void)
{
	w.gone = true;
	w.script.submit_result = w.script.start_result = -ENODEV;
}

static bool is_waited_for(const struct usbip_urb *urb)
{
	return urb->ep == 0 || usb_request_touches(&w.session->request, &urb->usb);
}

/* What waits, waits for something that is on its way. */
static void look_at_waiting(unsigned step)
{
	const struct usbip_session *s = w.session;
	unsigned waited_for = 0;

	if (w.unsettled)
		return;
	if ((step == RETRY || step == SETTLE) && w.script.submit_result == 0)
		promise(s->n_starved == 0);
	if (!s->blocking || s->blocking->state != USBIP_URB_WAITING) {
		promise(s->blocking || list_empty(&s->held));
		return;
	}
	list_for_each(l, &w.script.aloft) {
		const struct usbip_urb *urb = list_entry(l, struct usbip_urb, usb.device_link);

		if (!is_waited_for(urb))
			continue;
		promise(urb->ep == 0 || urb->usb.cancel_later);
		waited_for++;
	}
	list_for_each(l, &s->starved)
		waited_for += is_waited_for(list_entry(l, struct usbip_urb, link));
	promise(waited_for > 0);
}

static void take_step(unsigned step)
{
	unsigned i = step < UNLINK ? 0 : (step - UNLINK) % MAX_URBS;

	w.steps[w.n_steps++] = (uint8_t)step;
	found.steps++;
	switch (step < UNLINK ? step : step - i) {
	case SUBMIT:
		ask();
		break;
	case SETTLE:
		settle();
		receive();
		break;
	case FINISH:
		script_finish(&w.script, 0);
		receive();
		break;
	case GONE:
		unplug();
		break;
	case MEMORY:
		set_memory();
		break;
	case RETRY:
		usbip_session_retry(w.session);
		break;
	case SEND_ALL:
		send_answers(sizeof(w.out));
		break;
	case SEND_SOME:
		send_answers(50);
		break;
	case UNLINK:
		ask_back(i);
		break;
	case DONE:
		give_back(i, w.gone ? 0 : 4, false);
		break;
	case EMPTY:
		give_back(i, 0, false);
		break;
	case CANCELLED:
		give_back(i, 0, true);
		break;
	case CANCELLED_LATE:
		give_back(i, 2, true);
		break;
	}
	w.script.log[0] = '\0';
	list_for_each(l, &w.script.aloft)
		promise(usbip_urb_aloft(list_entry(l, struct usbip_urb, usb.device_link)));
	look_at_waiting(step);
}

static bool possible(unsigned step)
{
	unsigned i = step < UNLINK ? 0 : (step - UNLINK) % MAX_URBS;
	struct usb_urb *urb = script_find(&w.script, seqnum_of(i));
	bool parked = w.script.carrier.parked;

	switch (step < UNLINK ? step : step - i) {
	case SUBMIT:
		return !w.unsettled && !parked && w.n_sent < w.n_urbs;
	case SETTLE:
		return w.unsettled;
	case FINISH:
		return parked;
	case GONE:
		return w.plan->gone && !w.unsettled && !w.gone;
	case MEMORY:
		return w.plan->memory && !w.unsettled && !w.gone && w.n_memory < 2;
	case RETRY:
		return !w.unsettled && !parked && usbip_session_starved(w.session);
	case SEND_ALL:
		return !w.unsettled && w.session->out.count;
	case SEND_SOME:
		return w.plan->some && !w.unsettled && w.session->out.count &&
		       !w.session->out.head_sent;
	case UNLINK:
		return !w.unsettled && !parked && i < w.n_urbs && w.n_sent &&
		       w.books[i].unlinks < w.plan->unlinks;
	case DONE:
		return i < w.n_sent && urb && !parked;
	case EMPTY:
		return i < w.n_sent && urb && !parked && !w.gone;
	case CANCELLED:
		return i < w.n_sent && urb && !parked && urb->cancel_later;
	default:
		return i < w.n_sent && urb && !parked && !w.gone && urb->cancel_later;
	}
}

/* ------------------------------------------------------------- ends */

static void all_back(void)
{
	if (w.script.carrier.parked)
		script_finish(&w.script, 0);
	for (unsigned i = 0; i < w.n_urbs; i++) {
		struct usb_urb *urb = script_find(&w.script, seqnum_of(i));

		if (urb)
			give_back(i, 0, urb->cancel_later);
	}
	settle();
}

static void end_quietly(void)
{
	if (w.script.submit_result == -ENOMEM)
		w.script.submit_result = 0;
	for (unsigned round = 0; round < 4 * MAX_URBS; round++) {
		all_back();
		receive();
		usbip_session_retry(w.session);
		if (w.n_sent < w.n_urbs && !w.script.carrier.parked)
			ask();
		send_answers(sizeof(w.out));
	}
	for (unsigned i = 0; i < w.n_urbs; i++) {
		const struct book *b = &w.books[i];

		promise(b->ret_submits + b->resets == 1);
		promise(b->unlinks_answered == (1u << b->unlinks) - 1);
	}
	promise(w.session->pool.n_live == 0 && w.session->pool.live_bytes == 0);
	promise(w.session->out.count == 0 && w.session->n_starved == 0);
}

static void end_world(bool quietly)
{
	found.ends++;
	if (quietly)
		end_quietly();
	w.closed = true;
	if (w.gone && !quietly) {
		usbip_session_close(w.session);
		all_back();
		/* As a device that closes: its client forgets it first. */
		w.script.carrier.client->ops->lost(w.script.carrier.client);
		w.script.carrier.client = NULL;
		w.session = usbip_session_free(w.session);
		return;
	}
	w.session = usbip_session_free(w.session);
	if (w.script.carrier.client)
		all_back();
	promise(!w.script.carrier.client && w.script.n_aloft == 0);
}

/* ------------------------------------------------------------- states */

struct key {
	uint8_t bytes[256];
	size_t len;
};

static void note(struct key *key, size_t value)
{
	key->bytes[key->len++] = (uint8_t)value;
}

static void note_list(struct key *key, const struct list *urbs)
{
	list_for_each(l, urbs)
		note(key, list_entry(l, struct usbip_urb, link)->seqnum);
	note(key, 0xff);
}

/* All that the future depends on. */
static uint64_t state_hash(void)
{
	const struct usbip_session *s = w.session;
	struct key key = {};
	uint64_t hash = 14695981039346656037u;

	note(&key, w.n_sent | w.n_memory << 2 | (unsigned)w.unsettled << 5 | (unsigned)w.gone << 6 |
			   (unsigned)w.script.carrier.parked << 7);
	note(&key, w.script.submit_result);
	note(&key, s->n_starved ? s->retries_left : 0);
	note(&key, s->blocking ? s->blocking->seqnum : 0);
	for (unsigned i = 0; i < w.n_urbs; i++) {
		const struct book *b = &w.books[i];
		const struct usbip_urb *urb = usbip_urb_table_find(&s->table, seqnum_of(i));

		note(&key,
		     b->unlinks | b->unlinks_answered << 2 | b->ret_submits << 4 | b->resets << 5);
		note(&key, urb ? (unsigned)urb->state | (unsigned)urb->usb.cancel_later << 7 : 0);
		note(&key, urb ? urb->unlink_seqnum : 0);
	}
	for (unsigned i = 0; i < s->n_early; i++)
		note(&key, s->early[i].seqnum);
	note(&key, 0xff);
	note_list(&key, &s->held);
	note_list(&key, &s->starved);
	list_for_each(l, &s->out.entries) {
		const struct usbip_outbox_entry *e = list_entry(l, struct usbip_outbox_entry, link);

		note(&key, e->header[3]);
		note(&key, e->header[7]);
		note(&key, e->header[23]);
		note(&key, e->data_len);
	}
	note(&key, s->out.head_sent);
	for (size_t i = 0; i < key.len; i++)
		hash = (hash ^ key.bytes[i]) * 1099511628211u;
	return hash | 1;
}

/* Return: whether it is new. */
static bool note_state(uint64_t hash)
{
	size_t at = (hash >> 20) & (found.size - 1);

	while (found.seen[at]) {
		if (found.seen[at] == hash)
			return false;
		at = (at + 1) & (found.size - 1);
	}
	found.seen[at] = hash;
	found.states++;
	assert_true(found.states < found.size / 2);
	return true;
}

static void play(const struct plan *plan, const uint8_t *steps, unsigned n)
{
	begin_world(plan);
	for (unsigned i = 0; i < n; i++)
		take_step(steps[i]);
}

/* All that can follow on the world as it is, which ends. */
static void explore(const struct plan *plan)
{
	uint8_t steps[MAX_STEPS];
	bool can[STEPS], fresh = true;
	unsigned n = w.n_steps;

	memcpy(steps, w.steps, n);
	assert_true(n < MAX_STEPS - 1);
	for (unsigned step = 0; step < STEPS; step++)
		can[step] = possible(step);
	for (unsigned step = 0; step < STEPS; step++) {
		if (!can[step])
			continue;
		if (!fresh)
			play(plan, steps, n);
		fresh = false;
		take_step(step);
		if (note_state(state_hash()))
			explore(plan);
		else
			end_world(false);
	}
	for (unsigned quietly = 0; quietly < 2; quietly++) {
		if (!fresh)
			play(plan, steps, n);
		fresh = false;
		/* A batch has to end first. */
		if (w.unsettled)
			settle();
		end_world(quietly);
	}
}

static void explore_all(const struct plan *plans, size_t n)
{
	memset(&found, 0, sizeof(found));
	found.size = 1 << 22;
	found.seen = calloc(found.size, sizeof(*found.seen));
	assert_non_null(found.seen);
	for (size_t i = 0; i < n; i++) {
		size_t states = found.states, steps = found.steps, ends = found.ends;

		memset(found.seen, 0, found.size * sizeof(*found.seen));
		begin_world(&plans[i]);
		explore(&plans[i]);
		print_message("  %-4s %zu states, %zu paths, %zu steps\n", plans[i].kinds,
			      found.states - states, found.ends - ends, found.steps - steps);
	}
	print_message("%zu states, %zu paths, %zu steps\n", found.states, found.ends, found.steps);
	free(found.seen);
}

/*
 * Two URBs, and all that can happen. Kinds that are alike to the session stand once. Not under
 * TSan: one thread has no races, and worlds are slow to make there.
 */
#ifndef __SANITIZE_THREAD__
static void two(void **state)
{
	static const struct plan plans[] = {
		{"bb", 2, true, true, true}, {"bI", 2, true, true, true},
		{"Ib", 2, true, true, true}, {"es", 1, true, true, true},
		{"ss", 1, true, true, true}, {"sC", 1, true, true, true},
		{"iI", 1, true, true, true}, {"eI", 2, true, true, true},
		{"bC", 1, true, true, true}, {"Is", 1, true, true, true},
		{"II", 2, true, true, true}, {"IC", 1, true, true, true},
		{"CI", 1, true, true, true},
	};

	explore_all(plans, ARRAY_SIZE(plans));
}
#endif

/* Three, each unlinked once at most. */
static void three(void **state)
{
	static const struct plan plans[] = {
		{"bbb", 1, false, false, false}, {"bIb", 1, false, true, false},
		{"ebI", 1, true, false, false},	 {"sCb", 1, false, false, true},
		{"eIe", 1, true, false, false},	 {"bbI", 1, false, false, false},
		{"IbI", 1, true, false, false},
	};

	explore_all(plans, ARRAY_SIZE(plans));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifndef __SANITIZE_THREAD__
		cmocka_unit_test(two),
#endif
		cmocka_unit_test(three),
	};

	return cmocka_run_group_tests_name("usbip-model", tests, NULL, NULL);
}
