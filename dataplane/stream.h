/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection that a guest has made to the daemon, as its user here sees it: a client that asks
 * (client.c), a session (guest_session.c), the guest's agent (agent_relay.c).
 *
 * Embedded in its user, zeroed while there is none. It is TCP's own (vhost_user_net/tcp.h), which
 * keeps no copy: bytes that come are shown where they lie, and what is sent stays the user's until
 * released() gives it back. One thread, the guest's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/stream.h"

struct guest_peer;
struct iovec;
struct stream;
struct tcp_connection;

/* What its user hears. All of them may call everything here. */
struct stream_ops {
	/*
	 * The next @len bytes, at least 1, in memory that may change: read each once.
	 * Return: how many were taken. Less than @len: no more comes before stream_resume(), and
	 * the guest has to send the rest again, which may take it 200 ms.
	 */
	size_t (*receive)(struct stream *stream, const struct iovec *parts, unsigned n_parts,
			  size_t len);
	/* The guest will send no more. */
	void (*ended)(struct stream *stream);
	/* The first of the buffers that were sent is the user's again. */
	void (*released)(struct stream *stream, struct stream_buffer *buffer);
	/* It is over; @why: 0, or a negative errno. Not after stream_end() and stream_drop(). */
	void (*closed)(struct stream *stream, int why);
};

struct stream {
	const struct stream_ops *ops;
	struct tcp_connection *tcp; /* NULL: there is none */
};

static inline bool stream_open(const struct stream *stream)
{
	return stream->tcp != NULL;
}

void stream_begin(struct stream *stream, const struct stream_ops *ops, struct tcp_connection *tcp);
void stream_move(struct stream *stream, const struct stream_ops *ops, struct stream *from);
int stream_send(struct stream *stream, struct stream_buffer *buffer);
void stream_resume(struct stream *stream);
void stream_set_room(struct stream *stream, size_t room);
void stream_probe(struct stream *stream);
void stream_shutdown(struct stream *stream);
void stream_end(struct stream *stream);
void stream_drop(struct stream *stream);
void stream_peer(const struct stream *stream, struct guest_peer *ret_peer);
