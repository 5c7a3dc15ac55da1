/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device's USB/IP session in a guest's thread: the client's socket from its IMPORT to its end.
 *
 * The socket has one reader and one writer, this thread; control holds a duplicate for shutdown()
 * alone. A session begins where the device is at rest and ends by usb_device_end_session(), after
 * which guest_device.c hears that the device is at rest again.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/fd.h"
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
	if (gd->state != GD_SESSION)
		return;
	log_info("%s: %s: session over (%s)", gd->guest->cfg.name, gd->name, why);
	loop_cancel(gd->guest->loop, &gd->in_watch);
	loop_cancel(gd->guest->loop, &gd->out_watch);
	loop_cancel(gd->guest->loop, &gd->memory_timer);
	shutdown(gd->sock, SHUT_RDWR); /* control's duplicate must not keep it up */
	gd->sock = fd_close(gd->sock);
	gd->readable = gd->blocked = gd->held = gd->in_ended = false;
	gd->state = GD_ENDING;
	gd->had_session = true;
	usbip_session_close(gd->session);
	usb_device_end_session(gd->usb);
}

static void gd_deliver_imported(struct letter *letter)
{
	struct guest_device *gd = container_of(letter, struct guest_device, ev_imported.letter);

	if (gd->events)
		gd->events->imported(gd->ctx, gd->ev_imported.r);
}

/*
 * The end is told once, and perhaps together with the last bytes: a reading that gets these alone
 * is followed by no further event.
 */
static void gd_readable(void *ctx, int res)
{
	struct guest_device *gd = ctx;

	gd->readable = true;
	if (res < 0 || (res & (POLLRDHUP | POLLHUP | POLLERR)))
		gd->in_ended = true;
}

static void gd_writable(void *ctx, int res _unused_)
{
	struct guest_device *gd = ctx;

	gd->blocked = false;
}

/*
 * Small answers at once, and no verdict from silence: a paused guest keeps its devices, so TCP must
 * not give up on it (24 days is what the option can say). That a guest is gone is known otherwise.
 */
static void gd_socket_options(int sock)
{
	int one = 1, patience_ms = INT_MAX;

	setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(sock, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof(patience_ms));
}

static int gd_session_begin(struct guest_device *gd, int sock)
{
	uint8_t reply[USBIP_OP_IMPORT_REPLY_SIZE];
	size_t n;
	int r;

	gd_socket_options(sock);
	r = usbip_session_new(&gd->session, gd->name, gd->usb, usbip_devid(&gd->info), NULL, 0);
	if (r < 0)
		return r;
	gd->sock = sock;
	r = loop_watch_fd(gd->guest->loop, &gd->in_watch, sock, POLLIN | POLLRDHUP, LOOP_KEEP,
			  gd_readable, gd);
	n = usbip_op_import_reply(reply, sizeof(reply), &gd->import_op, &gd->info);
	/* A fresh socket's buffer takes this; where it does not, the client is no client. */
	if (r == 0 && send(sock, reply, n, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)n)
		r = -EPIPE;
	if (r < 0) {
		loop_cancel(gd->guest->loop, &gd->in_watch);
		gd->session = usbip_session_free(gd->session);
		gd->sock = -1;
		return r;
	}
	usbip_session_set_retries(gd->session, MEMORY_RETRIES);
	gd->state = GD_SESSION;
	gd->readable = true;
	gd->blocked = false;
	return 0;
}

static void gd_import_delivered(struct letter *letter)
{
	struct guest_device *gd = container_of(letter, struct guest_device, import);
	int sock = take_fd(&gd->import_sock);
	uint8_t refusal[16];
	size_t n;
	int r = -ENODEV;

	if (gd->state == GD_IDLE && !gd->taking && !gd->gone && gd->guest->link_up &&
	    usb_device_ready(gd->usb))
		r = gd_session_begin(gd, sock);
	if (r < 0) {
		n = usbip_op_refuse(refusal, sizeof(refusal), &gd->import_op, USBIP_ST_NODEV);
		if (send(sock, refusal, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
			/* It has gone already. */
		}
		fd_close(sock);
	} else {
		log_info("%s: %s: imported", gd->guest->cfg.name, gd->name);
	}
	guest_device_event(gd, &gd->ev_imported, gd_deliver_imported, r, NULL);
}

/**
 * guest_import() - hand a client that may import a device to the thread that has the device
 * @guest:	the guest that the client is in
 * @gd:		the device, which this guest has
 * @sock:	the client; the thread's from here on
 * @op:		what it asked, for the reply
 *
 * Control's thread; "imported" follows, and after a good one "session_ended".
 */
void guest_import(struct guest *guest, struct guest_device *gd, int sock, const struct usbip_op *op)
{
	gd->import_sock = sock;
	gd->import_op = *op;
	loop_post(guest->loop, &gd->import, gd_import_delivered);
}

/* Return: whether there is more to read that will not announce itself. */
static bool gd_receive(struct guest_device *gd)
{
	int r = usbip_session_receive(gd->session, gd->sock);

	if (r == 0 && gd->in_ended)
		r = usbip_session_receive(gd->session, gd->sock);
	gd->readable = false;
	gd->held = r == USBIP_SESSION_HELD;
	switch (r) {
	case 0:
	case USBIP_SESSION_HELD: /* "resumed", or room to send, comes first */
		return false;
	case USBIP_SESSION_MORE:
		gd->readable = true;
		return true;
	case USBIP_SESSION_CLOSED:
		guest_session_close(gd, "its connection has closed");
		return false;
	default:
		log_limited(&gd->guest->limit, LOG_LEVEL_WARNING, "%s: %s: its client %s",
			    gd->guest->cfg.name, gd->name, usbip_session_fault(gd->session));
		guest_session_close(gd, "broken");
		return false;
	}
}

static void gd_send(struct guest_device *gd)
{
	int r = usbip_session_send(gd->session, gd->sock);

	if (r == USBIP_SESSION_BLOCKED) {
		gd->blocked = true;
		if (loop_watching(&gd->out_watch))
			loop_watch_again(gd->guest->loop, &gd->out_watch);
		else
			loop_watch_fd(gd->guest->loop, &gd->out_watch, gd->sock, POLLOUT, 0,
				      gd_writable, gd);
	} else if (r < 0) {
		guest_session_close(gd, errno_text(r));
	} else if (gd->held) {
		/* Room again: what was held back for it may be read. */
		gd->readable = true;
	}
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

/**
 * guest_sessions_turn() - one turn's work for all sessions of a guest
 * @guest:	the guest
 * @ret_sent:	whether something was sent
 *
 * Return: whether there is more to do without waiting.
 */
bool guest_sessions_turn(struct guest *guest, bool *ret_sent)
{
	bool more = false;
	uint64_t freed = guest->memory.n_freed;

	list_for_each_safe(it, &guest->devices) {
		struct guest_device *gd = list_entry(it, struct guest_device, link);

		if (gd->state == GD_SESSION && gd->memory_seen != freed &&
		    usbip_session_room(gd->session))
			gd->memory_seen = freed;
		if (gd->state == GD_SESSION && gd->readable)
			more |= gd_receive(gd);
		if (gd->state == GD_SESSION && !gd->blocked &&
		    usbip_session_has_answers(gd->session)) {
			gd_send(gd);
			*ret_sent = true;
			more |= gd->readable;
		}
		if (gd->state == GD_SESSION)
			gd_watch_memory(gd);
	}
	return more;
}

/* The guest has gone, or its rings: whatever it had imported is over. */
void guest_sessions_close(struct guest *guest, const char *why)
{
	list_for_each_safe(it, &guest->devices)
		guest_session_close(list_entry(it, struct guest_device, link), why);
}
