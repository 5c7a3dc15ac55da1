/* SPDX-License-Identifier: BSD-2-Clause */
/* The front-ends of a card; see front_ends.h. */
#include "dataplane/front_ends.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/stranger.h"
#include "dataplane/usher_say.h"

#define THIRD_WAITS_NS 1000000000ull
#define THIRDS_AT_ONCE 16

static void accept_one(void *ctx, int res);

/**
 * front_ends_init() - begin with nobody connected, and nowhere to connect
 * @f:		the front-ends
 * @name:	whose they are, for log lines; outlives them
 * @loop:	the thread's
 * @port:	the card's
 */
void front_ends_init(struct front_ends *f, const char *name, struct loop *loop,
		     struct net_port *port)
{
	*f = (struct front_ends){.name = name, .loop = loop, .port = port, .listener = -1};
	for (unsigned i = 0; i < ARRAY_SIZE(f->at); i++) {
		f->at[i].of = f;
		f->at[i].sock = f->at[i].usher.line = f->at[i].usher.report = -1;
	}
}

static void open_door(struct front_ends *f)
{
	loop_cancel(f->loop, &f->third);
	if (listener_start(&f->door, f->loop, f->listener, accept_one, f) < 0)
		log_err("%s: its socket can't be listened at any more: restart its VM's process (usbroutectl restart-vm)",
			f->name);
}

static void disconnect(struct front_end *end)
{
	struct front_ends *f = end->of;

	if (end->sock < 0)
		return;
	loop_cancel(f->loop, &end->watch);
	end->sock = -1;
	net_port_disconnect(f->port, (unsigned)(end - f->at));
	usher_close(&end->usher);
	log_limited(&f->limit, LOG_LEVEL_INFO, "%s: its virtual machine has disconnected", f->name);
	if (loop_watching(&f->third))
		open_door(f);
}

static void message(void *ctx, int res _unused_)
{
	struct front_end *end = ctx;
	struct front_ends *f = end->of;

	if (net_port_message(f->port, (unsigned)(end - f->at)) == 0)
		return;
	usher_tell_end(&end->usher, &f->refusals, f->name);
	disconnect(end);
}

/* Return: 0 or a negative errno, and the usher is closed. */
static int connect_to_port(struct front_ends *f, struct usher *usher)
{
	int which = net_port_connect(f->port, usher->line), r;
	struct front_end *end;

	if (which < 0) {
		usher_close(usher);
		return which;
	}
	end = &f->at[which];
	end->usher = *usher;
	end->sock = usher->line;
	r = loop_watch_fd(f->loop, &end->watch, end->sock, POLLIN, LOOP_KEEP, message, end);
	if (r < 0)
		disconnect(end);
	return r;
}

static bool has_all(const struct front_ends *f)
{
	for (unsigned i = 0; i < ARRAY_SIZE(f->at); i++)
		if (f->at[i].sock < 0)
			return false;
	return true;
}

static pid_t pid_of(int sock)
{
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);

	getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	return peer.pid;
}

/* None of the two has left. */
static void turn_away(void *ctx, int res _unused_)
{
	struct front_ends *f = ctx;

	for (unsigned i = 0; i < THIRDS_AT_ONCE; i++) {
		int sock = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (sock < 0)
			break;
		log_limited(
			&f->refusals, LOG_LEVEL_WARNING,
			"%s: a third virtual machine has connected (pid %d), and was closed; two have the card, as while one moves: end one of them",
			f->name, (int)pid_of(sock));
		stranger_close(sock);
	}
	open_door(f);
}

static void accept_one(void *ctx, int res _unused_)
{
	struct front_ends *f = ctx;
	struct usher usher;
	bool second = front_ends_any(f);
	int sock, r;
	pid_t pid;

	if (has_all(f)) {
		listener_stop(&f->door);
		r = loop_watch_time(f->loop, &f->third, THIRD_WAITS_NS, turn_away, f);
		if (r < 0)
			turn_away(f, 0);
		return;
	}
	sock = listener_accept(&f->door, f->name);
	if (sock < 0)
		return;
	pid = pid_of(sock);
	r = usher_start(&usher, sock, f->name);
	if (r == 0)
		r = connect_to_port(f, &usher);
	if (r < 0) {
		log_err("%s: its card can't be connected: %s", f->name, errno_text(r));
		return;
	}
	log_limited(
		&f->limit, LOG_LEVEL_INFO,
		second ? "%s: a second virtual machine has connected (pid %d); it has the card when the first has stopped"
		       : "%s: a virtual machine has connected (pid %d)",
		f->name, (int)pid);
}

/**
 * front_ends_listen() - have them connect at a socket
 * @f:		the front-ends; who is connected stays so
 * @listener:	theirs where this succeeds; -1: none. The one before is closed
 *
 * Return: 0 or a negative errno.
 */
int front_ends_listen(struct front_ends *f, int listener)
{
	int r = 0;

	front_ends_shut(f);
	if (listener >= 0)
		r = listener_start(&f->door, f->loop, listener, accept_one, f);
	if (r == 0)
		f->listener = listener;
	return r;
}

/**
 * front_ends_shut() - let nobody connect any more
 * @f:	the front-ends; their listener is closed
 */
void front_ends_shut(struct front_ends *f)
{
	listener_stop(&f->door);
	loop_cancel(f->loop, &f->third);
	stranger_listener_close(f->listener);
	f->listener = -1;
}

/**
 * front_ends_close() - end all connections
 * @f:	the front-ends
 */
void front_ends_close(struct front_ends *f)
{
	for (unsigned i = 0; i < ARRAY_SIZE(f->at); i++)
		disconnect(&f->at[i]);
}

/**
 * front_ends_any() - is anybody connected?
 * @f:	the front-ends
 */
bool front_ends_any(const struct front_ends *f)
{
	for (unsigned i = 0; i < ARRAY_SIZE(f->at); i++)
		if (f->at[i].sock >= 0)
			return true;
	return false;
}
