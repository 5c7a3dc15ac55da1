/* SPDX-License-Identifier: BSD-2-Clause */
/* Clients on the LAN; see guest_lan.h. */
#include "dataplane/guest_lan.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/ip.h"
#include "base/listener.h"
#include "base/log.h"
#include "base/mem.h"
#include "dataplane/guest_private.h"

#define LISTENERS 16
#define A_PEER	  4
#define STRANGERS 8
/* As many as the kernel lets wait at a socket; see broker_listen.c. */
#define BACKLOG 64

#define IDLE_SECONDS  10
#define AGAIN_SECONDS 5
#define DEAD_MS	      30000

struct lan_listener {
	struct guest *guest;
	struct listener listener;
	int fd;		 /* -1: free */
	uint64_t number; /* how many were given until then */
};

struct guest_lan {
	struct lan_listener at[LISTENERS];
	uint64_t n_given;
	struct log_limit limit; /* of connections that were hung up on */
};

/**
 * guest_lan_init() - begin; nothing is listened at yet
 * @guest:	the LAN export's
 *
 * Return: 0 or -ENOMEM.
 */
int guest_lan_init(struct guest *guest)
{
	guest->lan = calloc(1, sizeof(*guest->lan));
	if (!guest->lan)
		return -ENOMEM;
	for (unsigned i = 0; i < LISTENERS; i++)
		guest->lan->at[i] = (struct lan_listener){.guest = guest, .fd = -1};
	return 0;
}

/**
 * guest_lan_deinit() - end
 * @guest:	without clients
 */
void guest_lan_deinit(struct guest *guest)
{
	if (!guest->lan)
		return;
	guest_lan_close(guest);
	free(take_ptr(guest->lan));
}

/* ------------------------------------------------------------- who may have what */

/**
 * guest_lan_may() - whether a peer may see and have a device
 * @gd:		the device
 * @peer:	whose connection it is
 */
bool guest_lan_may(const struct guest_device *gd, const struct guest_peer *peer)
{
	for (size_t i = 0; i < gd->n_to; i++)
		if (ip_prefix_has(&gd->to[i], peer->v6, peer->address))
			return true;
	return false;
}

/**
 * guest_lan_set_may() - say who may see and have a device
 * @gd:		a device of the LAN export's; its thread; who has it already keeps it
 * @to:		copied
 * @n:		how many; 0: nobody
 */
void guest_lan_set_may(struct guest_device *gd, const struct ip_prefix *to, size_t n)
{
	free(take_ptr(gd->to));
	gd->n_to = 0;
	gd->to = calloc(n + 1, sizeof(*gd->to));
	if (!gd->to)
		return;
	memcpy(gd->to, to, n * sizeof(*to));
	gd->n_to = n;
}

static bool may_anything(const struct guest *guest, const struct guest_peer *peer)
{
	list_for_each(it, &guest->devices)
		if (guest_lan_may(list_entry(it, struct guest_device, link), peer))
			return true;
	return false;
}

/* ------------------------------------------------------------- who connects */

static bool same_machine(const struct guest_peer *a, const struct guest_peer *b)
{
	return a->v6 == b->v6 && !memcmp(a->address, b->address, a->v6 ? 8 : 4);
}

/* Return: NULL, or why it is hung up on. */
static const char *why_not(const struct guest *guest, const struct guest_peer *peer)
{
	bool knows = may_anything(guest, peer);
	unsigned of_peer = 0, strangers = 0;

	for (unsigned i = 0; i < LAN_CLIENTS; i++) {
		const struct client *c = &guest->clients[i];

		if (c->state == CLIENT_NONE)
			continue;
		of_peer += same_machine(&c->peer, peer);
		strangers += !may_anything(guest, &c->peer);
	}
	if (of_peer >= A_PEER)
		return "it has 4 connections without a device already";
	return !knows && strangers >= STRANGERS
		       ? "8 connections of machines to which nothing is exported are enough"
		       : NULL;
}

static void set_number(int sock, int level, int option, int value)
{
	/* What can't be had is only slower, or is seen to be dead later. */
	setsockopt(sock, level, option, &value, sizeof(value));
}

static void set_up(int sock)
{
	set_number(sock, IPPROTO_TCP, TCP_NODELAY, 1);
	set_number(sock, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_number(sock, IPPROTO_TCP, TCP_KEEPIDLE, IDLE_SECONDS);
	set_number(sock, IPPROTO_TCP, TCP_KEEPINTVL, AGAIN_SECONDS);
	set_number(sock, IPPROTO_TCP, TCP_USER_TIMEOUT, DEAD_MS);
}

static void hang_up(struct guest *guest, int sock, const struct ip_endpoint *who, const char *why)
{
	struct linger reset = {.l_onoff = 1};
	char text[IP_TEXT_SIZE];

	log_limited(&guest->lan->limit, LOG_LEVEL_WARNING, "%s: %s was hung up on: %s",
		    guest->cfg.name, ip_endpoint_text(who, text), why);
	setsockopt(sock, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	fd_close(sock);
}

static void has_connected(struct guest *guest, int sock)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	struct ip_endpoint who = {0};
	struct guest_peer peer = {0};
	const char *why;
	int r;

	if (getpeername(sock, (struct sockaddr *)&address, &len) < 0 ||
	    ip_endpoint_from(&address, &who) < 0) {
		/* It has gone already. */
		fd_close(sock);
		return;
	}
	peer = (struct guest_peer){.v6 = who.v6, .port = who.port};
	memcpy(peer.address, who.address, sizeof(peer.address));
	/* Others may have left before: the loop may tell of that later than of who came. */
	clients_look(guest);
	why = why_not(guest, &peer);
	if (!why) {
		set_up(sock);
		r = client_accept_socket(guest, sock, &peer);
		if (r < 0)
			why = r == -EBUSY ? "32 connections without a device are enough"
					  : errno_text(r);
	}
	if (why)
		hang_up(guest, sock, &who, why);
}

static void on_connected(void *ctx, int res _unused_)
{
	struct lan_listener *l = ctx;
	int sock = listener_accept(&l->listener, l->guest->cfg.name);

	if (sock >= 0)
		has_connected(l->guest, sock);
}

/* Who waits at a socket that is closed would be reset. */
static void take_who_waits(struct lan_listener *l)
{
	for (unsigned i = 0; i < BACKLOG; i++) {
		int sock = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (sock < 0)
			return;
		has_connected(l->guest, sock);
	}
}

/* ------------------------------------------------------------- where */

static void close_listener(struct lan_listener *l)
{
	listener_stop(&l->listener);
	l->fd = fd_close(l->fd);
}

/* A free one; else the oldest, which is free then. */
static struct lan_listener *room(struct guest_lan *lan)
{
	struct lan_listener *oldest = &lan->at[0];

	for (unsigned i = 0; i < LISTENERS; i++) {
		if (lan->at[i].fd < 0)
			return &lan->at[i];
		if (lan->at[i].number < oldest->number)
			oldest = &lan->at[i];
	}
	take_who_waits(oldest);
	close_listener(oldest);
	return oldest;
}

/**
 * guest_lan_listen() - take connections at one more socket
 * @guest:	the LAN export's; its thread
 * @sock:	listens, and does not block; the guest's from here on
 */
void guest_lan_listen(struct guest *guest, int sock)
{
	struct lan_listener *l = room(guest->lan);

	if (listener_start(&l->listener, guest->loop, sock, on_connected, l) < 0) {
		log_err("%s: no room to listen at one more socket", guest->cfg.name);
		fd_close(sock);
		return;
	}
	l->fd = sock;
	l->number = ++guest->lan->n_given;
}

/**
 * guest_lan_deaf() - take who waits at sockets, and close these
 * @guest:	the LAN export's; its thread. Connections that there are stay
 * @n_kept:	so many sockets that were given last stay
 */
void guest_lan_deaf(struct guest *guest, unsigned n_kept)
{
	for (unsigned i = 0; i < LISTENERS; i++) {
		struct lan_listener *l = &guest->lan->at[i];

		if (l->fd < 0 || guest->lan->n_given - l->number < n_kept)
			continue;
		take_who_waits(l);
		close_listener(l);
	}
}

/**
 * guest_lan_close() - take no more connections
 * @guest:	the LAN export's; its thread. Those that there are stay
 */
void guest_lan_close(struct guest *guest)
{
	for (unsigned i = 0; i < LISTENERS; i++)
		if (guest->lan->at[i].fd >= 0)
			close_listener(&guest->lan->at[i]);
}
