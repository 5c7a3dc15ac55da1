/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection as its user sees it; see stream.h. */
#include "base/stream.h"

#include <errno.h>

#include "base/mem.h"

/**
 * stream_begin() - have a connection
 * @stream:	without one
 * @ops:	who hears of it
 * @way:	what carries it
 * @connection:	@way's
 */
void stream_begin(struct stream *stream, const struct stream_ops *ops, const struct stream_way *way,
		  void *connection)
{
	*stream = (struct stream){.ops = ops, .way = way, .connection = connection};
	way->moved(connection, stream);
}

/**
 * stream_move() - take a connection over from another user
 * @stream:	without one
 * @ops:	who hears of it from here on
 * @from:	with all that it sent released; without one afterwards
 */
void stream_move(struct stream *stream, const struct stream_ops *ops, struct stream *from)
{
	stream_begin(stream, ops, from->way, from->connection);
	from->connection = NULL;
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
	return stream->connection ? stream->way->send(stream->connection, buffer) : -EPIPE;
}

/**
 * stream_resume() - take bytes again after receive() took less than all
 * @stream:	the connection
 */
void stream_resume(struct stream *stream)
{
	if (stream->connection)
		stream->way->resume(stream->connection);
}

/**
 * stream_set_room() - say how many bytes are taken for certain
 * @stream:	the connection
 * @room:	beyond those that were taken, once receive() has returned. What was said before holds:
 *		it is less only by what was taken since
 */
void stream_set_room(struct stream *stream, size_t room)
{
	if (stream->connection)
		stream->way->set_room(stream->connection, room);
}

/**
 * stream_probe() - ask the other end whether it still knows the connection
 * @stream:	the connection; closed() follows where it doesn't
 */
void stream_probe(struct stream *stream)
{
	if (stream->connection)
		stream->way->probe(stream->connection);
}

/**
 * stream_shutdown() - send no more
 * @stream:	the connection; the other end sees the end behind what was sent
 */
void stream_shutdown(struct stream *stream)
{
	if (stream->connection)
		stream->way->shutdown(stream->connection);
}

/**
 * stream_end() - have done with a connection
 * @stream:	the connection, or none; none afterwards
 *
 * If the other end has all that was sent, it is closed in order. Else it is reset, and released()
 * is called for the rest from within. Its user hears nothing else of it.
 */
void stream_end(struct stream *stream)
{
	void *connection = take_ptr(stream->connection);

	if (connection)
		stream->way->end(connection);
}

/**
 * stream_drop() - forget a connection without telling the other end, if its way can do that
 * @stream:	the connection, or none; none afterwards. released() is called from within
 */
void stream_drop(struct stream *stream)
{
	void *connection = take_ptr(stream->connection);

	if (connection)
		stream->way->drop(connection);
}
