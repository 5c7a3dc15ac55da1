/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client's bytes after the import, and a device that answers as the input says.
 *
 * Input: pieces of a byte that says what happens and, for some, bytes for the client to send:
 * 0x00 … 0xbf, that many bytes follow; 0xc0 … 0xdf, something happens to the oldest or newest URB
 * that the device has, or to the request that runs; 0xe0 … 0xef, the kernel's memory is used up or
 * there again, or what waits for it is tried again; from 0xf0, answers leave.
 *
 * Each input is played twice: over a socket, and by a stream that keeps no copy of answers.
 *
 * Checked beside the sanitizers: the URB table's assertions, and that nothing is left when all is
 * back.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit/script-backend.h"
#include "base/mem.h"
#include "base/stream.h"
#include "usbip/usbip_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct usb_urb *pick(struct script *script, bool newest)
{
	struct list *l = newest ? script->aloft.prev : script->aloft.next;

	return l == &script->aloft ? NULL : list_entry(l, struct usb_urb, device_link);
}

static void happen(struct script *script, uint8_t what)
{
	static struct script_packet packets[USBIP_MAX_ISO_PACKETS];
	struct usb_urb *urb = pick(script, what & 1);

	/* Short ones, failed ones, and ones that claim more than they may. */
	for (uint32_t i = 0; i < USBIP_MAX_ISO_PACKETS; i++)
		packets[i] = (struct script_packet){i * 7 % 50, i % 5 ? 0 : -18};
	if (script->carrier.parked) {
		if (what & 8)
			script_finish(script, what & 2 ? -32 : 0);
		return;
	}
	if (!urb)
		return;
	switch (what >> 1 & 3) {
	case 0:
		if (urb->n_packets) {
			script_complete_packets(script, script_seqnum(urb), packets);
			break;
		}
		script_complete(script, script_seqnum(urb), 0, min_t(uint32_t, urb->length, 100),
				false);
		break;
	case 1:
		script_complete(script, script_seqnum(urb), -32, 0, false);
		break;
	case 2:
		script_complete(script, script_seqnum(urb), -104, 0, true);
		break;
	case 3:
		script_complete(script, script_seqnum(urb), -104, min_t(uint32_t, urb->length, 1),
				true);
		break;
	}
	script_settle(script);
}

static void drain(int sock)
{
	uint8_t buf[65536];

	while (recv(sock, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

/* In a piece of the size that it has, so that a byte beyond it shows. */
static int take(struct usbip_session *session, int sock)
{
	size_t takes = min_t(size_t, usbip_session_takes(session), 65536), taken;
	uint8_t *bytes = malloc(takes ? takes : 1), *exact;
	ssize_t n = takes ? recv(sock, bytes, takes, MSG_DONTWAIT) : 0;
	size_t len = n > 0 ? (size_t)n : 0;
	int r;

	exact = malloc(len ? len : 1);
	memcpy(exact, bytes, len);
	free(bytes);
	r = usbip_session_take(session, &(struct iovec){exact, len}, len, &taken);
	free(exact);
	if (r >= 0 && r != USBIP_SESSION_CLOSED)
		assert(taken == len);
	return r;
}

static int put(void *ctx, struct stream_buffer *buffer)
{
	list_append(ctx, &buffer->link);
	return 0;
}

static void give_back(struct usbip_session *session, struct list *stream)
{
	struct list *l;

	while ((l = list_pop(stream)))
		usbip_session_sent(session, list_entry(l, struct stream_buffer, link));
}

static void play(const uint8_t *data, size_t size, bool by_stream)
{
	struct list stream = LIST_INIT(stream);
	struct usbip_session *session;
	struct script script;
	struct usb_urb *urb;
	int sv[2];

	script_init(&script);
	script.log[sizeof(script.log) - 1] = '\0';
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) < 0)
		return;
	if (usbip_session_new_on(&session, "fuzz", &script.carrier, SCRIPT_DEVID, NULL, 0) < 0)
		abort();
	usbip_session_set_retries(session, 3);
	while (size) {
		uint8_t what = *data++;

		size--;
		if (what < 0xc0) {
			size_t n = min_t(size_t, what, size);

			if (n && send(sv[1], data, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
				break;
			data += n;
			size -= n;
		} else if (what >= 0xf0 && by_stream) {
			if (what & 1)
				give_back(session, &stream);
			usbip_session_answer(session, put, &stream);
		} else if (what >= 0xf0) {
			usbip_session_send(session, sv[0]);
			drain(sv[1]);
		} else if (what >= 0xe0) {
			script.submit_result = what & 1 ? -12 : 0;
			if (what & 2)
				usbip_session_retry(session);
		} else {
			happen(&script, what);
		}
		if ((by_stream ? take(session, sv[0]) : usbip_session_receive(session, sv[0])) < 0)
			break;
	}
	give_back(session, &stream);
	session = usbip_session_free(session);
	if (script.carrier.parked)
		script_finish(&script, 0);
	while ((urb = pick(&script, false)))
		script_complete(&script, script_seqnum(urb), -108, 0, true);
	script_settle(&script);
	assert(!script.carrier.client);
	close(sv[0]);
	close(sv[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	play(data, size, false);
	play(data, size, true);
	return 0;
}
