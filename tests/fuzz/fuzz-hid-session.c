/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chords within a session: two keyboards of one device, whose descriptors and reports are the
 * input's, asked and answered by USB/IP, with control requests that change what their reports mean
 * (protocols, settings, resets) at any time.
 *
 * Each request is answered once, by as many bytes as the device gave; a report that is changed says
 * nothing that it did not say before.
 *
 * Input: two descriptors, each behind a byte of its length / 4; then steps.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit/script-backend.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "tests/fuzz/promise.h"
#include "usb/hid_input.h"

#define INTERFACES 2
#define STEPS	   200
#define REPORT_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct script script;
	struct usbip_session *session;
	struct hid_listener listener;
	int server, client;
	uint32_t seqnum, asked, answered;
	unsigned struck;
	bool over; /* nothing more is read */
};

static void on_struck(struct hid_listener *listener, unsigned chord)
{
	struct world *w = container_of(listener, struct world, listener);

	promise(chord < 2);
	w->struck++;
}

/* All that has come to the client. Return: the last answer's data, or NULL. */
static const uint8_t *hear(struct world *w, uint32_t *ret_seqnum, uint32_t *ret_len)
{
	static uint8_t buf[65536];
	const uint8_t *found = NULL;
	ssize_t n, at = 0;

	if (usbip_session_send(w->session, w->server) < 0)
		w->over = true;
	n = recv(w->client, buf, sizeof(buf), MSG_DONTWAIT);
	while (n > 0 && at < n) {
		const uint8_t *p = buf + at;
		bool submit = pdu_u32(p) == 3;
		/* Data come with what was read, and that has an even number here. */
		uint32_t len = submit && !(pdu_u32(p + 4) & 1) ? pdu_u32(p + 24) : 0;

		promise(n - at >= 48 && (submit || pdu_u32(p) == 4) && n - at - 48 >= (ssize_t)len);
		if (submit) {
			w->answered++;
			found = p + 48;
			*ret_seqnum = pdu_u32(p + 4);
			*ret_len = len;
		}
		at += 48 + len;
	}
	return found;
}

static void receive(struct world *w)
{
	if (!w->over && usbip_session_receive(w->session, w->server) < 0)
		w->over = true;
}

static void ask(struct world *w, const struct pdu_submit *s)
{
	uint8_t pdu[48];
	size_t n = pdu_submit(pdu, s);

	if (w->over || send(w->client, pdu, n, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)n)
		return;
	w->asked++;
	receive(w);
}

/* Keyboards say nothing that is not in the report: bits may only go. Arrays' fields may move. */
static void report(struct world *w, const uint8_t *bytes, uint32_t len, uint8_t ep)
{
	uint32_t seqnum, got;
	const uint8_t *answer;
	unsigned before = w->struck;

	w->seqnum += 2;
	ask(w,
	    &(struct pdu_submit){.seqnum = w->seqnum, .in = true, .ep = ep, .length = REPORT_MAX});
	if (!script_complete_with(&w->script, w->seqnum, bytes, len))
		return;
	script_settle(&w->script);
	promise(w->struck - before <= 1);
	answer = hear(w, &seqnum, &got);
	promise(w->over || (answer && seqnum == w->seqnum && got == len));
}

/* A control request without data, by an odd number. */
static void control(struct world *w, uint8_t what, struct cursor *c)
{
	static const uint8_t setups[][8] = {
		{0x21, 0x0b, 0, 0, 0, 0}, /* SET_PROTOCOL(boot), of either */
		{0x21, 0x0b, 0, 0, 1, 0},    {0x21, 0x0b, 1, 0, 0, 0}, /* and back */
		{0x21, 0x0b, 1, 0, 1, 0},    {0x21, 0x0a, 0, 0, 0, 0}, /* SET_IDLE */
		{0x01, 0x0b, 0, 0, 0, 0},			       /* SET_INTERFACE */
		{0x01, 0x0b, 1, 0, 1, 0},    {0x00, 0x09, 1, 0, 0, 0}, /* SET_CONFIGURATION */
		{0x00, 0x09, 0, 0, 0, 0},    {0x23, 0x03, 4, 0, 1, 0}, /* the port's reset */
		{0x02, 0x01, 0, 0, 0x81, 0},			       /* CLEAR_HALT */
	};
	struct pdu_submit s = {.seqnum = w->seqnum + 1};
	const uint8_t *raw = what & 0x80 ? cursor_take(c, 6) : NULL;
	uint32_t seqnum, len;

	w->seqnum += 2;
	if (raw)
		memcpy(s.setup, raw, 6);
	else
		memcpy(s.setup, setups[(what & 0x0f) % ARRAY_SIZE(setups)], 8);
	s.setup[0] &= 0x7f;
	ask(w, &s);
	if (w->script.carrier.parked)
		script_finish(&w->script, what & 0x40 ? -32 : 0);
	else if (script_complete(&w->script, s.seqnum, what & 0x40 ? -32 : 0, 0, false))
		script_settle(&w->script);
	receive(w);
	hear(w, &seqnum, &len);
}

static void begin(struct world *w, struct cursor *c)
{
	int pair[2];

	script_init(&w->script);
	/* Nobody reads it, and it is long. */
	w->script.log[sizeof(w->script.log) - 1] = '\0';
	w->listener.struck = on_struck;
	w->listener.chords.at[0] = (struct hid_chord){{0xe0, 0xe4, 0x29}};
	w->listener.chords.at[1] = (struct hid_chord){{0x04}};
	w->script.carrier.endpoints.at[usb_endpoint_slot(0x82)] = (struct usb_endpoint){
		.exists = true, .interface = 1, .attributes = USB_INTERRUPT, .max_packet = 64};
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 ||
	    hid_input_new(&w->script.carrier.input, &w->listener) < 0 ||
	    usbip_session_new_on(&w->session, "fuzz", &w->script.carrier, SCRIPT_DEVID, NULL, 0) <
		    0)
		abort();
	w->server = pair[0];
	w->client = pair[1];
	for (uint8_t i = 0; i < INTERFACES; i++) {
		const uint8_t *n = cursor_take(c, 1);
		size_t len = n ? min_t(size_t, (*n & 0x3fu) * 4u, c->left) : 0;

		if (n)
			hid_input_add(w->script.carrier.input, i, (enum hid_boot)(*n >> 6) % 3,
				      cursor_take(c, len), len);
	}
}

static void end(struct world *w)
{
	w->session = usbip_session_free(w->session);
	if (w->script.carrier.parked)
		script_finish(&w->script, 0);
	while (w->script.aloft.next != &w->script.aloft)
		script_complete(&w->script,
				script_seqnum(list_entry(w->script.aloft.next, struct usb_urb,
							 device_link)),
				-108, 0, true);
	script_settle(&w->script);
	promise(!w->script.carrier.client);
	w->script.carrier.input = hid_input_free(w->script.carrier.input);
	close(w->server);
	close(w->client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	static struct world w;
	const uint8_t *step;

	memset(&w, 0, sizeof(w));
	begin(&w, &c);
	for (unsigned n = 0; n < STEPS && !w.over && (step = cursor_take(&c, 1)); n++) {
		size_t len = min_t(size_t, *step & 0x1f, c.left);

		if (*step & 0x80) {
			const uint8_t *what = cursor_take(&c, 1);

			control(&w, what ? *what : 0, &c);
			continue;
		}
		report(&w, cursor_take(&c, len), (uint32_t)len, *step & 0x40 ? 2 : 1);
	}
	promise(w.over || w.asked == w.answered);
	end(&w);
	return 0;
}
