/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device's USB/IP session in a guest's thread: the client's connection from its IMPORT to its end.
 *
 * A session acts on bytes within TCP's receive(), frame by frame. It gives TCP its answers once a
 * turn, and their buffers come back when the guest has them. While it may not act on what comes, it
 * keeps it: as much as TCP was told that there is room for.
 *
 * A session begins where the device is at rest and ends by usb_device_end_session(), after which
 * guest_device.c hears that the device is at rest again. Its connection ends before it: TCP has
 * references to its URBs.
 */
#include <errno.h>

#include "base/log.h"
#include "dataplane/guest_private.h"

/* How often, and at what distance, a URB that found no memory in the kernel is tried again. */
#define MEMORY_RETRIES	1000
#define MEMORY_RETRY_NS 5000000ull

/**
 * guest_session_close() - end a device's session, where it has one
 * @gd:		the device; it is brought to rest next
 * @why:	for the log
 */
void guest_session_close(struct guest_device *gd, const char *why)
{
	struct guest *guest = gd->guest;

	if (gd->state != GD_SESSION)
		return;
	log_info("%s: %s: session over (%s)", guest->cfg.name, gd->name, why);
	gd->state = GD_ENDING;
	gd->had_session = true;
	loop_cancel(guest->loop, &gd->memory_timer);
	if (guest->link_up)
		stream_end(&gd->stream);
	else
		guest_net_cut(guest, &gd->stream);
	gd->held = gd->resumed = false;
	usbip_session_close(gd->session);
	usb_device_end_session(gd->usb);
}

/* ------------------------------------------------------------- what comes */

/* Return: how many bytes were taken. */
static size_t gd_take_bytes(struct guest_device *gd, const struct iovec *parts, size_t len)
{
	size_t taken = 0;
	int r = usbip_session_take(gd->session, parts, len, &taken);

	gd->held = r == USBIP_SESSION_HELD;
	if (r < 0) {
		log_limited(&gd->limit, LOG_LEVEL_WARNING, "%s: %s: its client %s",
			    gd->guest->cfg.name, gd->name, usbip_session_fault(gd->session));
		guest_session_close(gd, "broken");
		return len;
	}
	/* Acting on the bytes may have ended it. */
	if (gd->state == GD_SESSION)
		stream_set_room(&gd->stream, usbip_session_takes(gd->session));
	return taken;
}

static size_t gd_receive(struct stream *stream, const struct iovec *parts,
			 unsigned n_parts _unused_, size_t len)
{
	struct guest_device *gd = container_of(stream, struct guest_device, stream);

	return gd->state == GD_SESSION ? gd_take_bytes(gd, parts, len) : len;
}

static void gd_ended(struct stream *stream)
{
	guest_session_close(container_of(stream, struct guest_device, stream),
			    "its connection has closed");
}

static void gd_released(struct stream *stream, struct stream_buffer *buffer)
{
	struct guest_device *gd = container_of(stream, struct guest_device, stream);

	if (buffer == &gd->reply_buffer)
		return;
	usbip_session_sent(gd->session, buffer);
	/* There is room again: what was held back may be acted on. */
	gd->resumed = gd->resumed || gd->held;
}

static void gd_closed(struct stream *stream, int why)
{
	guest_session_close(container_of(stream, struct guest_device, stream),
			    why == -ECONNRESET ? "its connection was reset"
					       : "its connection has closed");
}

static const struct stream_ops gd_stream_ops = {
	.receive = gd_receive,
	.ended = gd_ended,
	.released = gd_released,
	.closed = gd_closed,
};

/* ------------------------------------------------------------- its beginning */

static void gd_deliver_imported(struct letter *letter)
{
	struct guest_device *gd = container_of(letter, struct guest_device, ev_imported.letter);

	if (gd->events)
		gd->events->imported(gd->ctx, gd->ev_imported.r, &gd->ev_peer);
}

/*
 * Control hears it before the guest has its answer: should this process be killed in between, control knows by
 * which connection the guest waits, and ends it. A letter to the own loop would come a turn later.
 */
static void gd_say_imported(struct guest_device *gd, int r)
{
	gd->ev_imported.r = r;
	if (gd->control == gd->guest->loop)
		gd_deliver_imported(&gd->ev_imported.letter);
	else
		guest_device_event(gd, &gd->ev_imported, gd_deliver_imported, r, NULL);
}

static int gd_session_begin(struct guest_device *gd, struct client *client)
{
	size_t n = usbip_op_import_reply(gd->import_reply, sizeof(gd->import_reply), &client->op,
					 &gd->info);
	int r = usbip_session_new(&gd->session, gd->name, gd->usb, usbip_devid(&gd->info), NULL, 0);

	if (r < 0)
		return r;
	usbip_session_set_retries(gd->session, MEMORY_RETRIES);
	gd->stats.timed = gd->guest->timed;
	usbip_session_set_stats(gd->session, &gd->stats);
	stream_move(&gd->stream, &gd_stream_ops, &client->stream);
	gd->ev_peer = client->peer;
	if (client->probes)
		log_info("%s: %s: the old connection was dead", gd->guest->cfg.name, gd->name);
	client_imported(client);
	gd->state = GD_SESSION;
	gd->held = gd->resumed = false;
	gd->reply_buffer = (struct stream_buffer){.data = gd->import_reply, .len = (uint32_t)n};
	gd_say_imported(gd, 0);
	stream_send(&gd->stream, &gd->reply_buffer);
	stream_set_room(&gd->stream, usbip_session_takes(gd->session));
	/* Take the bytes that came behind the request. */
	stream_resume(&gd->stream);
	return 0;
}

static void gd_import_delivered(struct letter *letter)
{
	struct guest_device *gd = container_of(letter, struct guest_device, import);
	struct client *client = client_find(gd->guest, gd->import_client);
	int r = client && !client->ended ? -ENODEV : -ECONNRESET;

	if (r == -ENODEV && gd->state == GD_IDLE && !gd->taking && !gd->gone &&
	    gd->guest->link_up && usb_device_ready(gd->usb))
		r = gd_session_begin(gd, client);
	if (r == 0) {
		log_info("%s: %s: imported", gd->guest->cfg.name, gd->name);
		return;
	}
	if (client)
		client_refuse(client, USBIP_ST_NODEV);
	gd_say_imported(gd, r);
}

/**
 * guest_import() - give a client the device that it asked for
 * @guest:	the guest that the client is in
 * @gd:		the device, which this guest has
 * @client:	of "import_asked", which this answers
 *
 * Control's thread; "imported" follows, and after a good one "session_ended". Not again before
 * "imported".
 */
void guest_import(struct guest *guest, struct guest_device *gd, uint32_t client)
{
	gd->import_client = client;
	loop_post(guest->loop, &gd->import, gd_import_delivered);
}

/* ------------------------------------------------------------- a turn */

static int gd_put(void *ctx, struct stream_buffer *buffer)
{
	struct guest_device *gd = ctx;

	return stream_send(&gd->stream, buffer);
}

static void gd_memory_again(void *ctx, int res _unused_)
{
	struct guest_device *gd = ctx;

	usbip_session_retry(gd->session);
}

/* usbfs's memory is shared by all devices: a URB that finds none waits in its place. */
static void gd_watch_memory(struct guest_device *gd)
{
	if (!usbip_session_starved(gd->session) || loop_watching(&gd->memory_timer))
		return;
	if (loop_watch_time(gd->guest->loop, &gd->memory_timer, MEMORY_RETRY_NS, gd_memory_again,
			    gd) < 0)
		guest_session_close(gd, "no room to watch it");
}

static void gd_turn(struct guest_device *gd, uint64_t freed)
{
	if (gd->memory_seen != freed && usbip_session_room(gd->session))
		gd->memory_seen = freed;
	if (gd->resumed) {
		gd->resumed = false;
		gd_take_bytes(gd, NULL, 0);
	}
	if (gd->state == GD_SESSION && usbip_session_has_unsent(gd->session) &&
	    usbip_session_answer(gd->session, gd_put, gd) < 0)
		guest_session_close(gd, usbip_session_fault(gd->session));
	if (gd->state == GD_SESSION)
		gd_watch_memory(gd);
}

/**
 * guest_sessions_turn() - one turn's work for all sessions of a guest
 * @guest:	the guest
 */
void guest_sessions_turn(struct guest *guest)
{
	uint64_t freed = guest->memory.n_freed;

	list_for_each_safe(it, &guest->devices) {
		struct guest_device *gd = list_entry(it, struct guest_device, link);

		if (gd->state == GD_SESSION)
			gd_turn(gd, freed);
	}
}

/* The guest has gone, or its rings: whatever it had imported is over. */
void guest_sessions_close(struct guest *guest, const char *why)
{
	list_for_each_safe(it, &guest->devices)
		guest_session_close(list_entry(it, struct guest_device, link), why);
}
