/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stream socket of the kernel's; see socket_stream.h.
 *
 * Owns the socket. Bytes are read into @kept, no more than the user has room for, and shown from
 * there. What the user did not take stays there, and nothing is read meanwhile. @sent are the
 * buffers that the kernel has not taken whole; they leave when the socket takes more, in the next
 * turn at the earliest, so that nothing is given back from within stream_send().
 *
 * The user may end the stream from within its callbacks: @user is NULL then, and the caller of the
 * callback frees the rest.
 */
#include "base/socket_stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/fd.h"
#include "base/loop.h"
#include "base/mem.h"

#define KEPT	   (64u * 1024)
#define MAX_IOVECS 64 /* of one sendmsg() */

struct socket_stream {
	struct loop *loop;
	struct stream *user; /* NULL: ended */
	int fd;
	struct loop_watch in, out;
	unsigned depth; /* calls of the user's that are under way */

	struct list sent; /* of stream_buffer.link */
	size_t head_sent; /* bytes of the first that have left */
	bool shut, shut_told;

	size_t room, at, len; /* of @kept: where the bytes are that were not taken */
	bool room_said, held, over;
	uint8_t kept[KEPT];
};

static void arm(struct socket_stream *s);

static void enter(struct socket_stream *s)
{
	s->depth++;
}

/* Return: whether it is still there. */
static bool leave(struct socket_stream *s)
{
	if (--s->depth || s->user)
		return s->user;
	free(s);
	return false;
}

/* The socket goes, and what was to be sent. */
static void end(void *connection)
{
	struct linger reset = {.l_onoff = 1};
	struct socket_stream *s = connection;
	struct stream *user = take_ptr(s->user);
	struct list *l;

	enter(s);
	loop_cancel(s->loop, &s->in);
	loop_cancel(s->loop, &s->out);
	if (!list_empty(&s->sent))
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	s->fd = fd_close(s->fd);
	while ((l = list_pop(&s->sent)))
		user->ops->released(user, list_entry(l, struct stream_buffer, link));
	leave(s);
}

/* It has failed, or the other end has closed both ways. */
static void fail(struct socket_stream *s, int why)
{
	struct stream *user = s->user;

	user->connection = NULL;
	end(s);
	user->ops->closed(user, why);
}

/* ------------------------------------------------------------- in */

/* Show what is kept. */
static void show(struct socket_stream *s)
{
	struct iovec part = {s->kept + s->at, s->len};
	size_t taken = s->user->ops->receive(s->user, &part, 1, s->len);

	s->at += taken;
	s->len -= taken;
	s->room -= min_t(size_t, s->room, taken);
	s->held = s->len > 0;
}

static void on_readable(void *ctx, int res)
{
	struct socket_stream *s = ctx;
	size_t room = s->room_said ? min_t(size_t, s->room, KEPT) : KEPT;
	ssize_t n;

	if (s->len || !room)
		return;
	enter(s);
	n = recv(s->fd, s->kept, room, MSG_DONTWAIT);
	if (n > 0) {
		s->at = 0;
		s->len = (size_t)n;
		show(s);
	} else if (n == 0) {
		s->over = true;
		s->user->ops->ended(s->user);
	} else if (errno != EAGAIN && errno != EINTR) {
		fail(s, -errno);
	}
	if (leave(s))
		arm(s);
}

/* ------------------------------------------------------------- out */

static unsigned gather(const struct socket_stream *s, struct iovec iov[MAX_IOVECS])
{
	size_t skip = s->head_sent;
	unsigned n = 0;

	list_for_each(l, &s->sent) {
		const struct stream_buffer *b = list_entry(l, struct stream_buffer, link);

		if (n == MAX_IOVECS)
			break;
		/* sendmsg() doesn't write there. */
		iov[n++] = (struct iovec){(char *)(uintptr_t)b->data + skip, b->len - skip};
		skip = 0;
	}
	return n;
}

/* So many bytes have left: buffers that have left whole are the user's again. */
static void give_back(struct socket_stream *s, size_t n)
{
	s->head_sent += n;
	while (s->user && !list_empty(&s->sent)) {
		struct stream_buffer *b =
			list_entry(list_first(&s->sent), struct stream_buffer, link);

		if (s->head_sent < b->len)
			return;
		s->head_sent -= b->len;
		list_remove(&b->link);
		s->user->ops->released(s->user, b);
	}
}

static void flush(struct socket_stream *s)
{
	struct iovec iov[MAX_IOVECS];
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = gather(s, iov)};
	ssize_t n = sendmsg(s->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n >= 0)
		give_back(s, (size_t)n);
	else if (errno != EAGAIN && errno != EINTR)
		fail(s, -errno);
}

static void on_writable(void *ctx, int res)
{
	struct socket_stream *s = ctx;

	enter(s);
	if (!list_empty(&s->sent))
		flush(s);
	if (s->user && s->shut && !s->shut_told && list_empty(&s->sent)) {
		s->shut_told = true;
		shutdown(s->fd, SHUT_WR);
	}
	if (s->user && s->len && !s->held)
		show(s);
	if (leave(s))
		arm(s);
}

static int watch(struct socket_stream *s, struct loop_watch *w, uint32_t events, loop_fn fn)
{
	if (loop_watching(w))
		return loop_watch_again(s->loop, w);
	return loop_watch_fd(s->loop, w, s->fd, events, 0, fn, s);
}

/* Wait for what there is to wait for. */
static void arm(struct socket_stream *s)
{
	bool reads = !s->over && !s->len && (!s->room_said || s->room);
	bool acts = !list_empty(&s->sent) || (s->shut && !s->shut_told) || (s->len && !s->held);
	int r = 0;

	if (reads)
		r = watch(s, &s->in, POLLIN, on_readable);
	if (r == 0 && acts)
		r = watch(s, &s->out, POLLOUT, on_writable);
	if (r < 0)
		fail(s, r);
}

/* ------------------------------------------------------------- the stream's way */

static void moved(void *connection, struct stream *stream)
{
	((struct socket_stream *)connection)->user = stream;
}

static int send_buffer(void *connection, struct stream_buffer *buffer)
{
	struct socket_stream *s = connection;

	if (s->shut)
		return -EPIPE;
	list_append(&s->sent, &buffer->link);
	arm(s);
	return 0;
}

static void resume(void *connection)
{
	struct socket_stream *s = connection;

	s->held = false;
	arm(s);
}

static void set_room(void *connection, size_t room)
{
	struct socket_stream *s = connection;

	s->room_said = true;
	s->room = room;
	if (!s->depth)
		arm(s);
}

/* The kernel asks within a second, and has a reset for an answer where the other end was started anew. */
static void probe(void *connection)
{
	struct socket_stream *s = connection;
	int second = 1;

	setsockopt(s->fd, IPPROTO_TCP, TCP_KEEPIDLE, &second, sizeof(second));
	setsockopt(s->fd, IPPROTO_TCP, TCP_KEEPINTVL, &second, sizeof(second));
}

static void shut(void *connection)
{
	struct socket_stream *s = connection;

	s->shut = true;
	arm(s);
}

static const struct stream_way way = {
	.moved = moved,
	.send = send_buffer,
	.resume = resume,
	.set_room = set_room,
	.probe = probe,
	.shutdown = shut,
	.end = end,
	.drop = end,
};

/**
 * socket_stream_begin() - have a socket as a stream
 * @stream:	without a connection
 * @ops:	who hears of it
 * @loop:	of its thread
 * @fd:		a connected stream socket; owned from here on where this succeeds
 *
 * Return: 0; -ENOMEM, or why it can't be watched.
 */
int socket_stream_begin(struct stream *stream, const struct stream_ops *ops, struct loop *loop,
			int fd)
{
	struct socket_stream *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->fd = fd;
	list_init(&s->sent);
	r = loop_watch_fd(loop, &s->in, fd, POLLIN, 0, on_readable, s);
	if (r < 0) {
		free(s);
		return r;
	}
	stream_begin(stream, ops, &way, s);
	return 0;
}

/**
 * socket_stream_look() - what has come is shown at once, and an end told
 * @stream:	of socket_stream_begin(), open; afterwards it may have ended
 *
 * For who must know before the loop's word comes: it says of two sockets in no order (loop.h).
 */
void socket_stream_look(struct stream *stream)
{
	struct socket_stream *s = stream->connection;

	if (!s->over)
		on_readable(s, POLLIN);
}
