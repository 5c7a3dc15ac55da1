/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection that a guest has made to the daemon, as a stream: of a client that asks (client.c), a
 * session (guest_session.c), the guest's agent (agent_relay.c).
 *
 * TCP (vhost_user_net/tcp.h) has the connection, and the stream is its user: guest_net.c passes on
 * what TCP tells. What is sent is given back when the guest has acknowledged it.
 */
#pragma once

#include "base/stream.h"

struct guest_peer;
struct tcp_connection;

void tcp_stream_begin(struct stream *stream, const struct stream_ops *ops,
		      struct tcp_connection *tcp);
void tcp_stream_peer(const struct stream *stream, struct guest_peer *ret_peer);
