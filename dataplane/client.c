/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * USB/IP clients that have not imported anything; see client.h.
 *
 *   NONE --connects--> ASKING --DEVLIST--> ANSWERED --taken, late, gone--> NONE
 *     ASKING --late, gone--> NONE; --IMPORT--> ASKED --imported--> NONE (a session has it)
 *     ASKED --refused--> ANSWERED; --to be probed--> PROBING --again--> ASKED
 *     ASKED --gone--> ASKED_GONE --imported, refused, to be probed--> NONE; PROBING --gone--> NONE
 *
 * Control answers each question once. Until it has, the slot is not used for another client: its
 * letters are under way.
 */
#include "dataplane/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/socket_stream.h"
#include "dataplane/guest_lan.h"
#include "dataplane/guest_private.h"
#include "vhost_user_net/tcp.h"

#define NS_PER_SECOND  1000000000ull
#define CLIENT_SECONDS 5
#define PROBE_STEP_NS  100000000ull
#define PROBE_STEPS    40 /* until a device counts as held: a probe may get lost */
#define PROBE_AGAIN    10 /* it is sent again after so many steps */

static void client_free(struct client *c)
{
	loop_cancel(c->guest->loop, &c->timer);
	stream_end(&c->stream);
	free(c->list);
	c->list = NULL;
	c->state = c->state == CLIENT_ASKED ? CLIENT_ASKED_GONE : CLIENT_NONE;
}

/**
 * client_find() - the client that control means
 * @guest:	whose
 * @id:		of "import_asked"
 *
 * Return: one that waits for an answer; NULL where it has gone, and its slot is free now.
 */
struct client *client_find(struct guest *guest, uint32_t id)
{
	struct client *c = &guest->clients[id % CLIENTS_MAX];

	if (c->id != id)
		return NULL;
	if (c->state == CLIENT_ASKED_GONE)
		c->state = CLIENT_NONE;
	return c->state == CLIENT_ASKED ? c : NULL;
}

/* ------------------------------------------------------------- answers */

static void client_late(void *ctx, int res _unused_)
{
	struct client *c = ctx;

	if (c->state == CLIENT_ASKING)
		log_limited(&c->guest->client_limit, LOG_LEVEL_INFO,
			    "%s: a USB/IP client said nothing for %d s", c->guest->cfg.name,
			    CLIENT_SECONDS);
	client_free(c);
}

static void client_answer(struct client *c, const void *answer, size_t len)
{
	c->state = CLIENT_ANSWERED;
	c->answer = (struct stream_buffer){.data = answer, .len = (uint32_t)len};
	loop_cancel(c->guest->loop, &c->timer);
	if (!len || stream_send(&c->stream, &c->answer) < 0 ||
	    loop_watch_time(c->guest->loop, &c->timer, CLIENT_SECONDS * NS_PER_SECOND, client_late,
			    c) < 0) {
		client_free(c);
		return;
	}
	stream_shutdown(&c->stream);
}

/**
 * client_refuse() - tell a client that it does not get a device
 * @client:	waits for an answer
 * @status:	why
 */
void client_refuse(struct client *client, enum usbip_op_status status)
{
	client_answer(
		client, client->refusal,
		usbip_op_refuse(client->refusal, sizeof(client->refusal), &client->op, status));
}

/**
 * client_imported() - a session has a client's connection
 * @client:	without one now
 */
void client_imported(struct client *client)
{
	client->state = CLIENT_NONE;
	client_free(client);
}

static void client_list(struct client *c)
{
	_cleanup_free_ const struct usb_device_info **infos = NULL;
	size_t n = 0, max = 0, len = 0;

	list_for_each(it, &c->guest->devices)
		max++;
	infos = calloc(max + 1, sizeof(*infos));
	if (infos) {
		list_for_each(it, &c->guest->devices) {
			struct guest_device *gd = list_entry(it, struct guest_device, link);

			if (gd->exported && gd->state == GD_IDLE && !gd->taking && !gd->gone &&
			    (!c->guest->cfg.lan || guest_lan_may(gd, &c->peer)))
				infos[n++] = &gd->info;
		}
		len = usbip_op_devlist_size(infos, n);
		c->list = malloc(len);
	}
	if (!c->list) {
		client_free(c);
		return;
	}
	client_answer(c, c->list, usbip_op_devlist_reply(c->list, len, infos, n));
}

/* ------------------------------------------------------------- control has to say */

static void client_asked_delivered(struct letter *letter)
{
	struct client *c = container_of(letter, struct client, asked);
	struct guest *guest = c->guest;

	/* Its thread touches neither before it has the answer. */
	guest->events->import_asked(guest->ctx, c->id, c->op.busid);
}

static void client_ask(void *ctx, int res _unused_)
{
	struct client *c = ctx;

	c->state = CLIENT_ASKED;
	loop_post(c->guest->control, &c->asked, client_asked_delivered);
}

static void client_refuse_delivered(struct letter *letter)
{
	struct client *told = container_of(letter, struct client, told);
	struct client *c = client_find(told->guest, told->id);

	if (c)
		client_refuse(c, c->status);
}

/**
 * guest_refuse() - tell a client that it does not get what it asked for
 * @guest:	the guest
 * @client:	of "import_asked", which this answers
 * @status:	why
 *
 * Control's thread.
 */
void guest_refuse(struct guest *guest, uint32_t client, enum usbip_op_status status)
{
	struct client *c = &guest->clients[client % CLIENTS_MAX];

	c->status = status;
	loop_post(guest->loop, &c->told, client_refuse_delivered);
}

/*
 * The guest is alive, because it is asking. So its kernel answers the old connection's probe at
 * once: by an acknowledgement, or, if it was restarted and does not know the connection, by a
 * reset.
 */
static void client_probe_delivered(struct letter *letter)
{
	struct client *told = container_of(letter, struct client, told);
	struct client *c = client_find(told->guest, told->id);

	if (!c)
		return;
	if (c->probes == PROBE_STEPS) {
		client_refuse(c, USBIP_ST_DEV_BUSY);
		return;
	}
	if (c->probes % PROBE_AGAIN == 0 && c->holding->state == GD_SESSION)
		stream_probe(&c->holding->stream);
	c->probes++;
	c->state = CLIENT_PROBING;
	if (loop_watch_time(c->guest->loop, &c->timer, PROBE_STEP_NS, client_ask, c) < 0)
		client_refuse(c, USBIP_ST_DEV_BUSY);
}

/**
 * guest_probe() - a client asks for what a connection of its own guest holds: does that one live?
 * @guest:	the guest
 * @gd:		what it asks for, which this guest has
 * @client:	of "import_asked", which this answers; the event comes again, or the client is refused
 *		as busy after some seconds
 *
 * Control's thread.
 */
void guest_probe(struct guest *guest, struct guest_device *gd, uint32_t client)
{
	struct client *c = &guest->clients[client % CLIENTS_MAX];

	c->holding = gd;
	loop_post(guest->loop, &c->told, client_probe_delivered);
}

/* ------------------------------------------------------------- asking */

/* Up to @want bytes of the request. Return: how many. */
static size_t client_read(struct client *c, const struct iovec *parts, unsigned n_parts, size_t at)
{
	size_t done = 0;

	for (unsigned i = 0; i < n_parts && c->got < c->want; i++) {
		size_t skip = min_t(size_t, at, parts[i].iov_len);
		size_t n = min_t(size_t, parts[i].iov_len - skip, c->want - c->got);

		at -= skip;
		if (n)
			memcpy(c->request + c->got, (const uint8_t *)parts[i].iov_base + skip, n);
		c->got += n;
		done += n;
	}
	return done;
}

/* Return: 0 where the request is not whole yet. */
static int client_parse(struct client *c)
{
	int r = usbip_op_parse(c->request, c->got, &c->op);

	if (r == USBIP_OP_SHORT && c->got < sizeof(c->request)) {
		/* The first 8 bytes tell the kind; only an IMPORT has more, to its end. */
		if (c->got >= 8)
			c->want = sizeof(c->request);
		return 0;
	}
	if (r != 0) {
		log_limited(&c->guest->client_limit, LOG_LEVEL_INFO,
			    "%s: a USB/IP client sent something else than a request",
			    c->guest->cfg.name);
		client_free(c);
		return 1;
	}
	loop_cancel(c->guest->loop, &c->timer);
	if (c->op.kind == USBIP_OP_DEVLIST)
		client_list(c);
	else
		client_ask(c, 0);
	return 1;
}

/* Bytes behind an IMPORT wait for the session; bytes behind a DEVLIST are dropped. */
static size_t client_receive(struct stream *stream, const struct iovec *parts, unsigned n_parts,
			     size_t len)
{
	struct client *c = container_of(stream, struct client, stream);
	size_t taken = 0, n;

	while (c->state == CLIENT_ASKING && (n = client_read(c, parts, n_parts, taken))) {
		taken += n;
		if (c->got == c->want && client_parse(c))
			break;
	}
	return c->state == CLIENT_ASKING || c->state == CLIENT_ASKED ? taken : len;
}

/* It may wait for its answer all the same. */
static void client_ended(struct stream *stream)
{
	struct client *c = container_of(stream, struct client, stream);

	c->ended = true;
	if (c->state == CLIENT_ASKING)
		client_free(c);
}

static void client_released(struct stream *stream, struct stream_buffer *buffer _unused_)
{
	struct client *c = container_of(stream, struct client, stream);

	if (c->state == CLIENT_ANSWERED && stream_open(&c->stream))
		client_free(c);
}

static void client_closed(struct stream *stream, int why _unused_)
{
	client_free(container_of(stream, struct client, stream));
}

static const struct stream_ops client_stream_ops = {
	.receive = client_receive,
	.ended = client_ended,
	.released = client_released,
	.closed = client_closed,
};

static unsigned clients_of(const struct guest *guest)
{
	return guest->cfg.lan ? LAN_CLIENTS : GUEST_CLIENTS;
}

static struct client *client_slot(struct guest *guest)
{
	for (unsigned i = 0; i < clients_of(guest); i++) {
		struct client *c = &guest->clients[i];

		if (c->state != CLIENT_NONE)
			continue;
		/* A slot's numbers: its index, and a higher number each time. */
		*c = (struct client){.guest = guest,
				     .id = c->guest ? c->id + CLIENTS_MAX : CLIENTS_MAX + i,
				     .want = 8};
		return c;
	}
	return NULL;
}

static int client_begin(struct client *c)
{
	c->state = CLIENT_ASKING;
	return loop_watch_time(c->guest->loop, &c->timer, CLIENT_SECONDS * NS_PER_SECOND,
			       client_late, c);
}

/**
 * client_accept() - somebody has connected to a guest's USB/IP port
 * @guest:	whose
 * @tcp:	the connection
 */
void client_accept(struct guest *guest, struct tcp_connection *tcp)
{
	struct client *c = client_slot(guest);

	if (!c) {
		log_limited(&guest->client_limit, LOG_LEVEL_WARNING,
			    "%s: %d USB/IP clients at a time are enough; one more was hung up on",
			    guest->cfg.name, GUEST_CLIENTS);
		tcp_abort(tcp);
		return;
	}
	tcp_stream_begin(&c->stream, &client_stream_ops, tcp);
	tcp_stream_peer(&c->stream, &c->peer);
	if (client_begin(c) < 0)
		client_free(c);
}

/**
 * client_accept_socket() - somebody has connected to a socket of the kernel's
 * @guest:	the LAN export's
 * @sock:	connected, does not block; the client's where this succeeds
 * @peer:	its other end
 *
 * Return: 0; -EBUSY: there are as many clients as there may be; or another negative errno.
 */
int client_accept_socket(struct guest *guest, int sock, const struct guest_peer *peer)
{
	struct client *c = client_slot(guest);
	int r;

	if (!c)
		return -EBUSY;
	c->peer = *peer;
	r = socket_stream_begin(&c->stream, &client_stream_ops, guest->loop, sock);
	if (r == 0 && client_begin(c) < 0)
		client_free(c);
	return r;
}

/**
 * clients_look() - whoever has closed his connection is a client no more
 * @guest:	the LAN export's
 */
void clients_look(struct guest *guest)
{
	for (unsigned i = 0; i < clients_of(guest); i++) {
		struct client *c = &guest->clients[i];

		if (c->state == CLIENT_ASKING || c->state == CLIENT_ANSWERED)
			socket_stream_look(&c->stream);
	}
}

/**
 * clients_end() - end the connections of a guest's clients
 * @guest:	whose
 */
void clients_end(struct guest *guest)
{
	for (unsigned i = 0; i < clients_of(guest); i++) {
		struct client *c = &guest->clients[i];

		if (c->state == CLIENT_NONE || c->state == CLIENT_ASKED_GONE)
			continue;
		if (!guest->link_up)
			guest_net_cut(guest, &c->stream);
		if (c->state != CLIENT_NONE)
			client_free(c);
	}
}
