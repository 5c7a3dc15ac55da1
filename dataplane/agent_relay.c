/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The agent's connection, relayed to control; see agent_relay.h.
 *
 *   NONE --connects--> WAITING --control gives a socket--> OPEN --control closes--> ENDING
 *     --the guest has all that was said--> NONE; WAITING, OPEN, ENDING --the guest closes--> NONE
 *
 * To the guest: pieces of what control says are read while there is room for them, so that a guest
 * that does not listen fills control's socket, which sees to that. From the guest: straight into
 * control's socket; what it has no room for the guest sends again.
 */
#include "dataplane/agent_relay.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "dataplane/guest_private.h"
#include "vhost_user_net/tcp.h"

#define PARTS_MAX 64 /* of one sendmsg() */

static void relay_ask(struct guest *guest);

static void relay_free(struct agent_relay *relay)
{
	struct loop *loop = relay->guest->loop;

	loop_cancel(loop, &relay->in);
	loop_cancel(loop, &relay->out);
	relay->sock = fd_close(relay->sock);
	relay->state = RELAY_NONE;
	stream_end(&relay->stream);
}

/* ------------------------------------------------------------- to the guest */

/* Control says no more: the guest still gets what was said. */
static void relay_ending(struct agent_relay *relay)
{
	relay->state = RELAY_ENDING;
	loop_cancel(relay->guest->loop, &relay->out);
	if (relay->n_pieces)
		stream_shutdown(&relay->stream);
	else
		relay_free(relay);
}

static void relay_read(void *ctx, int res _unused_)
{
	struct agent_relay *relay = ctx;

	while (relay->n_pieces < AGENT_RELAY_PIECES) {
		unsigned i = (relay->first + relay->n_pieces) % AGENT_RELAY_PIECES;
		ssize_t n =
			recv(relay->sock, relay->pieces[i].bytes, AGENT_RELAY_PIECE, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			loop_watch_again(relay->guest->loop, &relay->in);
			return;
		}
		if (n <= 0) {
			relay_ending(relay);
			return;
		}
		relay->pieces[i].buffer =
			(struct stream_buffer){.data = relay->pieces[i].bytes, .len = (uint32_t)n};
		if (stream_send(&relay->stream, &relay->pieces[i].buffer) < 0) {
			relay_free(relay);
			return;
		}
		relay->n_pieces++;
	}
}

static void relay_released(struct stream *stream, struct stream_buffer *buffer _unused_)
{
	struct agent_relay *relay = container_of(stream, struct agent_relay, stream);
	bool was_full = relay->n_pieces == AGENT_RELAY_PIECES;

	relay->first = (relay->first + 1) % AGENT_RELAY_PIECES;
	relay->n_pieces--;
	if (!stream_open(stream))
		return;
	if (relay->state == RELAY_OPEN && was_full)
		relay_read(relay, 0);
	else if (relay->state == RELAY_ENDING && !relay->n_pieces)
		relay_free(relay);
}

/* ------------------------------------------------------------- from the guest */

static void relay_writable(void *ctx, int res _unused_)
{
	struct agent_relay *relay = ctx;

	relay->full = false;
	stream_resume(&relay->stream);
}

/* Return: how many were written; where control is there no more, which its end tells: all. */
static size_t relay_write(struct agent_relay *relay, const struct iovec *parts, unsigned n_parts)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)parts,
			     .msg_iovlen = min_t(unsigned, n_parts, PARTS_MAX)};
	ssize_t n;

	do
		n = sendmsg(relay->sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : SIZE_MAX;
	return (size_t)n;
}

static size_t relay_keep_early(struct agent_relay *relay, const struct iovec *parts,
			       unsigned n_parts)
{
	size_t taken = 0;

	for (unsigned i = 0; i < n_parts; i++) {
		size_t n = min_t(size_t, parts[i].iov_len, sizeof(relay->early) - relay->n_early);

		if (n)
			memcpy(relay->early + relay->n_early, parts[i].iov_base, n);
		relay->n_early += n;
		taken += n;
	}
	return taken;
}

static size_t relay_receive(struct stream *stream, const struct iovec *parts, unsigned n_parts,
			    size_t len)
{
	struct agent_relay *relay = container_of(stream, struct agent_relay, stream);
	size_t taken;

	if (relay->state == RELAY_WAITING)
		return relay_keep_early(relay, parts, n_parts);
	if (relay->state != RELAY_OPEN)
		return len;
	taken = min_t(size_t, relay_write(relay, parts, n_parts), len);
	if (taken < len && !relay->full) {
		relay->full = true;
		if (loop_watching(&relay->out))
			loop_watch_again(relay->guest->loop, &relay->out);
		else
			loop_watch_fd(relay->guest->loop, &relay->out, relay->sock, POLLOUT, 0,
				      relay_writable, relay);
	}
	return taken;
}

static void relay_ended(struct stream *stream)
{
	struct agent_relay *relay = container_of(stream, struct agent_relay, stream);

	relay->ended = true;
	/* Control closes its end for that, and that is the end. */
	if (relay->state == RELAY_OPEN)
		shutdown(relay->sock, SHUT_WR);
}

static void relay_closed(struct stream *stream, int why _unused_)
{
	relay_free(container_of(stream, struct agent_relay, stream));
}

static const struct stream_ops relay_stream_ops = {
	.receive = relay_receive,
	.ended = relay_ended,
	.released = relay_released,
	.closed = relay_closed,
};

/* ------------------------------------------------------------- control's socket */

static struct agent_relay *relay_waiting(struct guest *guest)
{
	struct agent_relay *first = NULL;

	for (unsigned i = 0; i < AGENT_RELAYS; i++) {
		struct agent_relay *relay = &guest->relays.at[i];

		if (relay->state == RELAY_WAITING && (!first || relay->number < first->number))
			first = relay;
	}
	return first;
}

static void relay_ask_delivered(struct letter *letter)
{
	struct guest *guest = container_of(letter, struct guest, relays.ask);

	guest->events->agent_asked(guest->ctx);
}

static void relay_ask(struct guest *guest)
{
	if (guest->relays.asked || !relay_waiting(guest))
		return;
	guest->relays.asked = true;
	loop_post(guest->control, &guest->relays.ask, relay_ask_delivered);
}

static void relay_open(struct agent_relay *relay, int sock)
{
	struct iovec early = {relay->early, relay->n_early};

	relay->state = RELAY_OPEN;
	relay->sock = sock;
	/* A fresh socket takes this. */
	if ((early.iov_len && relay_write(relay, &early, 1) < early.iov_len) ||
	    loop_watch_fd(relay->guest->loop, &relay->in, sock, POLLIN, 0, relay_read, relay) < 0) {
		relay_free(relay);
		return;
	}
	if (relay->ended)
		shutdown(sock, SHUT_WR);
	stream_resume(&relay->stream);
}

static void relay_given(struct letter *letter)
{
	struct guest *guest = container_of(letter, struct guest, relays.give);
	struct agent_relay *relay = relay_waiting(guest);
	int sock = guest->relays.given;

	guest->relays.asked = false;
	if (relay && sock >= 0)
		relay_open(relay, sock);
	else if (relay)
		relay_free(relay);
	else
		fd_close(sock);
	relay_ask(guest);
}

/**
 * guest_agent() - give the agent's connection a socket
 * @guest:	the guest, after "agent_asked"
 * @sock:	a stream socket that does not block, the guest's from here on; < 0: the connection is
 *		refused
 *
 * Control's thread; once for each "agent_asked".
 */
void guest_agent(struct guest *guest, int sock)
{
	guest->relays.given = sock;
	loop_post(guest->loop, &guest->relays.give, relay_given);
}

/**
 * agent_relay_accept() - somebody has connected to a guest's agent port
 * @guest:	whose
 * @tcp:	the connection
 */
void agent_relay_accept(struct guest *guest, struct tcp_connection *tcp)
{
	for (unsigned i = 0; i < AGENT_RELAYS; i++) {
		struct agent_relay *relay = &guest->relays.at[i];

		if (relay->state != RELAY_NONE)
			continue;
		*relay = (struct agent_relay){.guest = guest,
					      .state = RELAY_WAITING,
					      .number = guest->relays.n_ever++,
					      .sock = -1};
		stream_begin(&relay->stream, &relay_stream_ops, tcp);
		relay_ask(guest);
		return;
	}
	tcp_abort(tcp);
}

/**
 * agent_relays_end() - the guest's thread ends
 * @guest:	whose
 */
void agent_relays_end(struct guest *guest)
{
	for (unsigned i = 0; i < AGENT_RELAYS; i++)
		if (guest->relays.at[i].state != RELAY_NONE)
			relay_free(&guest->relays.at[i]);
}
