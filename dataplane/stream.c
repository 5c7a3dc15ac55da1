/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest's connection to the daemon; see stream.h. */
#include "dataplane/stream.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "dataplane/guest.h"
#include "vhost_user_net/tcp.h"

/**
 * stream_begin() - have a connection
 * @stream:	without one
 * @ops:	who hears of it
 * @tcp:	just accepted
 */
void stream_begin(struct stream *stream, const struct stream_ops *ops, struct tcp_connection *tcp)
{
	*stream = (struct stream){.ops = ops, .tcp = tcp};
	tcp_set_user(tcp, stream);
}

/**
 * stream_move() - take a connection over from another user
 * @stream:	without one
 * @ops:	who hears of it from here on
 * @from:	with all that it sent released; without one afterwards
 */
void stream_move(struct stream *stream, const struct stream_ops *ops, struct stream *from)
{
	stream_begin(stream, ops, from->tcp);
	from->tcp = NULL;
}

/**
 * stream_send() - send bytes at the end of the turn
 * @stream:	the connection
 * @buffer:	stays the caller's, as do the bytes, until released()
 *
 * Return: 0, or a negative errno: -EPIPE after stream_shutdown().
 */
int stream_send(struct stream *stream, struct stream_buffer *buffer)
{
	return stream->tcp ? tcp_send(stream->tcp, buffer) : -EPIPE;
}

/**
 * stream_resume() - take bytes again after receive() took less than all
 * @stream:	the connection
 */
void stream_resume(struct stream *stream)
{
	if (stream->tcp)
		tcp_resume(stream->tcp);
}

/**
 * stream_set_room() - say how many bytes are taken for certain
 * @stream:	the connection
 * @room:	beyond those that were taken, once receive() has returned. What was said before holds:
 *		it is less only by what was taken since
 */
void stream_set_room(struct stream *stream, size_t room)
{
	if (stream->tcp)
		tcp_set_room(stream->tcp, (uint32_t)min_t(size_t, room, TCP_WINDOW_MAX));
}

/**
 * stream_probe() - ask the guest whether it still knows the connection
 * @stream:	the connection; closed() follows where it doesn't
 */
void stream_probe(struct stream *stream)
{
	if (stream->tcp)
		tcp_probe(stream->tcp);
}

/**
 * stream_shutdown() - send no more
 * @stream:	the connection; the guest sees the end behind what was sent
 */
void stream_shutdown(struct stream *stream)
{
	if (stream->tcp)
		tcp_shutdown(stream->tcp);
}

/**
 * stream_end() - have done with a connection
 * @stream:	the connection, or none; none afterwards
 *
 * In order where the guest has all that was sent; else by a reset, and released() is called for the
 * rest from within. Nothing else is heard of it.
 */
void stream_end(struct stream *stream)
{
	struct tcp_connection *tcp = stream->tcp;

	stream->tcp = NULL;
	if (!tcp)
		return;
	if (tcp_unacknowledged(tcp)) {
		tcp_abort(tcp);
	} else {
		tcp_set_user(tcp, NULL);
		tcp_close(tcp);
	}
}

/**
 * stream_drop() - forget a connection without a word to the guest
 * @stream:	the connection, or none; none afterwards. released() is called from within
 */
void stream_drop(struct stream *stream)
{
	struct tcp_connection *tcp = take_ptr(stream->tcp);

	if (tcp)
		tcp_drop(tcp);
}

/**
 * stream_peer() - whose connection it is
 * @stream:	the connection
 * @ret_peer:	the guest's end
 */
void stream_peer(const struct stream *stream, struct guest_peer *ret_peer)
{
	struct tcp_peer peer;

	tcp_peer(stream->tcp, &peer);
	*ret_peer = (struct guest_peer){.v6 = peer.v6, .port = peer.port};
	memcpy(ret_peer->address, peer.address, sizeof(ret_peer->address));
}
