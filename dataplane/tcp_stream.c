/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest's connection to the daemon, as a stream; see tcp_stream.h. */
#include "dataplane/tcp_stream.h"

#include <string.h>

#include "base/mem.h"
#include "dataplane/guest.h"
#include "vhost_user_net/tcp.h"

static void moved(void *connection, struct stream *stream)
{
	tcp_set_user(connection, stream);
}

static int send_buffer(void *connection, struct stream_buffer *buffer)
{
	return tcp_send(connection, buffer);
}

static void resume(void *connection)
{
	tcp_resume(connection);
}

static void set_room(void *connection, size_t room)
{
	tcp_set_room(connection, (uint32_t)min_t(size_t, room, TCP_WINDOW_MAX));
}

static void probe(void *connection)
{
	tcp_probe(connection);
}

static void shut(void *connection)
{
	tcp_shutdown(connection);
}

static void end(void *connection)
{
	if (tcp_unacknowledged(connection)) {
		tcp_abort(connection);
	} else {
		tcp_set_user(connection, NULL);
		tcp_close(connection);
	}
}

static void drop(void *connection)
{
	tcp_drop(connection);
}

static const struct stream_way way = {
	.moved = moved,
	.send = send_buffer,
	.resume = resume,
	.set_room = set_room,
	.probe = probe,
	.shutdown = shut,
	.end = end,
	.drop = drop,
};

/**
 * tcp_stream_begin() - have a guest's connection
 * @stream:	without one
 * @ops:	who hears of it
 * @tcp:	just accepted
 */
void tcp_stream_begin(struct stream *stream, const struct stream_ops *ops,
		      struct tcp_connection *tcp)
{
	stream_begin(stream, ops, &way, tcp);
}

/**
 * tcp_stream_peer() - whose connection it is
 * @stream:	a guest's connection
 * @ret_peer:	the guest's end
 */
void tcp_stream_peer(const struct stream *stream, struct guest_peer *ret_peer)
{
	struct tcp_peer peer;

	tcp_peer(stream->connection, &peer);
	*ret_peer = (struct guest_peer){.v6 = peer.v6, .port = peer.port};
	memcpy(ret_peer->address, peer.address, sizeof(ret_peer->address));
}
