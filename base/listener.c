/* SPDX-License-Identifier: BSD-2-Clause */
/* A listening socket in a loop; see listener.h. */
#include "base/listener.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#define PAUSE_NS 200000000ull

/**
 * listener_start() - call a function when somebody has connected
 * @listener:	zeroed, or stopped
 * @loop:	the caller's
 * @fd:		a listening socket that does not block
 * @fn:		is to call listener_accept() once
 * @ctx:	given to @fn
 *
 * Return: 0 or a negative errno.
 */
int listener_start(struct listener *listener, struct loop *loop, int fd, loop_fn fn, void *ctx)
{
	listener->loop = loop;
	listener->fd = fd;
	listener->fn = fn;
	listener->ctx = ctx;
	return loop_watch_fd(loop, &listener->watch, fd, POLLIN, 0, fn, ctx);
}

static void listener_resume(void *ctx, int res _unused_)
{
	struct listener *listener = ctx;

	if (listener_start(listener, listener->loop, listener->fd, listener->fn, listener->ctx) < 0)
		loop_watch_time(listener->loop, &listener->watch, PAUSE_NS, listener_resume,
				listener);
}

static void listener_pause(struct listener *listener)
{
	loop_cancel(listener->loop, &listener->watch);
	if (loop_watch_time(listener->loop, &listener->watch, PAUSE_NS, listener_resume, listener) <
	    0)
		listener_resume(listener, 0);
}

/**
 * listener_accept() - take the connection that has come, and go on listening
 * @listener:	whose function was called
 * @who:	whose it is, for the log
 *
 * Return: the connection, which does not block; -1 where there is none, or none can be had now.
 */
int listener_accept(struct listener *listener, const char *who)
{
	int sock = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	/* Any other error is the connection's own: it has gone. */
	if (sock < 0 &&
	    (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
		log_limited(&listener->limit, LOG_LEVEL_WARNING, "%s: a connection has to wait: %s",
			    who, errno_text(errno));
		listener_pause(listener);
	} else if (loop_watch_again(listener->loop, &listener->watch) < 0) {
		listener_pause(listener);
	}
	return sock;
}

/**
 * listener_stop() - listen no more
 * @listener:	started, stopped, or zeroed
 */
void listener_stop(struct listener *listener)
{
	if (listener->loop)
		loop_cancel(listener->loop, &listener->watch);
}
