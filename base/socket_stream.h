/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stream socket of the kernel's, as a stream (stream.h). What is sent is given back when the kernel has
 * it. stream_probe() makes a TCP connection that is kept alive (SO_KEEPALIVE) be asked within a second.
 */
#pragma once

#include "base/stream.h"

struct loop;

int socket_stream_begin(struct stream *stream, const struct stream_ops *ops, struct loop *loop,
			int fd);
void socket_stream_look(struct stream *stream);
