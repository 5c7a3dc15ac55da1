/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * USB/IP clients that ask for a device, on their way to control and back; see control_line.h.
 *
 *   asks -> (waits for a control that knows what there is) -> told -> answered
 *             `--late--> refused           ^------ control has gone --'
 *
 * When control goes, no question is lost: the next control is asked again. After a restart of usbrouted
 * it is there in a moment.
 */
#include "dataplane/control_line_private.h"

#include <stdio.h>
#include <string.h>

/* A restart takes less, and nobody who types `usbip attach` waits longer than this. */
#define WAIT_SECONDS 10

static void asked_over(struct control_line *c, struct asked *a)
{
	loop_cancel(c->loop, &a->late);
	a->client = 0;
}

/**
 * control_line_answered() - control has answered about a client
 * @c:		the line
 * @client:	the client's number, as control says it
 *
 * Return: it, or 0 where it was not asked.
 */
uint32_t control_line_answered(struct control_line *c, uint32_t client)
{
	struct asked *a = &c->asked[client % CLIENTS_MAX];

	if (!client || a->client != client || !a->told)
		return 0;
	asked_over(c, a);
	return client;
}

static void asked_late(void *ctx, int res _unused_)
{
	struct asked *a = ctx;
	struct control_line *c = a->of;
	uint32_t client = a->client;

	asked_over(c, a);
	log_info("%s: a USB/IP client was refused: no usbrouted has come to decide in %d s",
		 c->guest->cfg.name, WAIT_SECONDS);
	guest_refuse(c->guest, client, USBIP_ST_NODEV);
}

static void asked_waits(struct control_line *c, struct asked *a)
{
	a->told = false;
	loop_watch_time(c->loop, &a->late, WAIT_SECONDS * 1000000000ull, asked_late, a);
}

static void tell_of_lan(struct control_line *c, struct asked *a)
{
	struct vm_wire_lan_asked m = {.kind = VM_SAY_LAN_ASKED,
				      .client = a->client,
				      .peer = {.v6 = a->peer.v6, .port = a->peer.port}};

	memcpy(m.busid, a->busid, sizeof(m.busid));
	memcpy(m.peer.address, a->peer.address, sizeof(m.peer.address));
	control_line_say(c, &m);
}

static void asked_tell(struct control_line *c, struct asked *a)
{
	struct vm_wire_import_asked m = {.kind = VM_SAY_IMPORT_ASKED, .client = a->client};

	loop_cancel(c->loop, &a->late);
	if (c->guest->cfg.lan) {
		a->told = true;
		tell_of_lan(c, a);
		return;
	}
	memcpy(m.busid, a->busid, sizeof(m.busid));
	a->told = true;
	control_line_say(c, &m);
}

/**
 * control_line_import_asked() - a client asks for a device
 * @ctx:	the line
 * @client:	its number
 * @busid:	what it asks for
 */
void control_line_import_asked(void *ctx, uint32_t client, const char *busid)
{
	struct control_line *c = ctx;
	struct asked *a = &c->asked[client % CLIENTS_MAX];

	loop_cancel(c->loop, &a->late);
	*a = (struct asked){
		.of = c, .client = client, .peer = c->guest->clients[client % CLIENTS_MAX].peer};
	snprintf(a->busid, sizeof(a->busid), "%.*s", (int)sizeof(a->busid) - 1, busid);
	if (c->informed)
		asked_tell(c, a);
	else
		asked_waits(c, a);
}

/**
 * control_line_clients_ask() - control knows what there is: it hears of the clients that wait
 * @c:		the line
 */
void control_line_clients_ask(struct control_line *c)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		if (c->asked[i].client && !c->asked[i].told)
			asked_tell(c, &c->asked[i]);
}

/**
 * control_line_clients_left() - control has gone: the next one is asked the same again
 * @c:		the line
 */
void control_line_clients_left(struct control_line *c)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		if (c->asked[i].client && c->asked[i].told)
			asked_waits(c, &c->asked[i]);
}

/**
 * control_line_clients_free() - wait for nothing any more
 * @c:		the line, done
 */
void control_line_clients_free(struct control_line *c)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		asked_over(c, &c->asked[i]);
}
