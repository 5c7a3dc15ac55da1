/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection as its user sees it: bytes that come, bytes that are sent, its end. What carries them is a
 * table (struct stream_way):
 *
 *   dataplane/tcp_stream.c	TCP of a guest, which ends in its process
 *   base/socket_stream.c	a stream socket of the kernel's
 *
 * It is embedded in its user, and zeroed while there is no connection. Bytes that come are shown
 * where they lie. No copy is kept of what is sent: the sender keeps the buffer, and what it points
 * at, unchanged until it is given back. Then the other end has the bytes (for a socket: the
 * kernel), or the stream is over. Buffers come back in the order in which they were sent. One
 * thread, its user's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

struct iovec;
struct stream;

struct stream_buffer {
	struct list link; /* the stream's */
	const void *data;
	uint32_t len; /* at least 1 */
};

/* What its user hears. All of them may call everything here. */
struct stream_ops {
	/*
	 * The next @len bytes, at least 1, in memory that may change: read each once.
	 * Return: how many were taken. Less than @len: no more comes before stream_resume(); a
	 * guest has to send the rest again, which may take it 200 ms.
	 */
	size_t (*receive)(struct stream *stream, const struct iovec *parts, unsigned n_parts,
			  size_t len);
	/* The other end will send no more. */
	void (*ended)(struct stream *stream);
	/* The first of the buffers that were sent is the user's again. Not from within
	 * stream_send(). */
	void (*released)(struct stream *stream, struct stream_buffer *buffer);
	/* It is over; @why: 0, or a negative errno. Not after stream_end() and stream_drop(). */
	void (*closed)(struct stream *stream, int why);
};

/* What carries it; the functions below say what each has to do. @connection is there. */
struct stream_way {
	/* The stream is another one now: hear its user. */
	void (*moved)(void *connection, struct stream *stream);
	int (*send)(void *connection, struct stream_buffer *buffer);
	void (*resume)(void *connection);
	void (*set_room)(void *connection, size_t room);
	void (*probe)(void *connection);
	void (*shutdown)(void *connection);
	void (*end)(void *connection);
	void (*drop)(void *connection);
};

struct stream {
	const struct stream_ops *ops;
	const struct stream_way *way;
	void *connection; /* NULL: there is none */
};

static inline bool stream_open(const struct stream *stream)
{
	return stream->connection != NULL;
}

void stream_begin(struct stream *stream, const struct stream_ops *ops, const struct stream_way *way,
		  void *connection);
void stream_move(struct stream *stream, const struct stream_ops *ops, struct stream *from);
int stream_send(struct stream *stream, struct stream_buffer *buffer);
void stream_resume(struct stream *stream);
void stream_set_room(struct stream *stream, size_t room);
void stream_probe(struct stream *stream);
void stream_shutdown(struct stream *stream);
void stream_end(struct stream *stream);
void stream_drop(struct stream *stream);
