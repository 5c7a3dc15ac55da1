/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The agent's connection, relayed to control; see agent_relay.h.
 *
 *   NONE --connects--> WAITING --control gives a socket--> OPEN --the socket ends--> LEFT
 *   OPEN, LEFT --control has gone--> WAITING; NONE, where the agent has not said HELLO
 *   OPEN, LEFT --AGENT_END--> ENDING --the guest has all that was said--> NONE
 *   all but NONE --the guest closes--> NONE
 *
 * To the guest: what control says is read in pieces while there is room for them. If a guest does
 * not listen, control's socket fills, and control deals with that. From the guest: straight into
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

#define CHUNK 512 /* of what a guest says, copied out of its memory */

static void relay_ask(struct guest *guest);

/* Let go of the socket. */
static void relay_unplug(struct agent_relay *relay)
{
	loop_cancel(relay->guest->loop, &relay->in);
	loop_cancel(relay->guest->loop, &relay->out);
	relay->sock = fd_close(relay->sock);
	relay->full = false;
}

static void relay_free(struct agent_relay *relay)
{
	relay_unplug(relay);
	relay->state = RELAY_NONE;
	stream_end(&relay->stream);
}

/* Control has gone: what the next control hears begins with HELLO. */
static void relay_goes_deaf(struct agent_relay *relay)
{
	if (relay->deaf)
		return;
	relay->deaf = true;
	/* If only a part of HELLO was said, the rest may still come. */
	relay->skip = relay->half && relay->hello_whole;
	relay->n_early = relay->n_hello;
	memcpy(relay->early, relay->hello, relay->n_early);
}

/* ------------------------------------------------------------- to the guest */

/* Control says no more: the guest still gets what was said. */
static void relay_ending(struct agent_relay *relay)
{
	relay_unplug(relay);
	relay->state = RELAY_ENDING;
	if (relay->n_pieces)
		stream_shutdown(&relay->stream);
	else
		relay_free(relay);
}

static void relay_sock_ends(struct agent_relay *relay)
{
	if (relay->ends) {
		relay_ending(relay);
		return;
	}
	relay_unplug(relay);
	relay->state = RELAY_LEFT;
	relay_goes_deaf(relay);
	stream_resume(&relay->stream);
}

/* @n bytes have come behind half a line. Return: whether they are lines, as far as can be said. */
static bool relay_send_lines(struct agent_relay *relay, size_t n)
{
	unsigned i = (relay->first + relay->n_pieces) % AGENT_RELAY_PIECES;
	uint8_t *bytes = relay->pieces[i].bytes;
	size_t len = relay->n_tail + n;
	const uint8_t *newline = memrchr(bytes, '\n', len);
	size_t whole = newline ? (size_t)(newline - bytes) + 1 : 0;

	if (len - whole > sizeof(relay->tail))
		return false;
	relay->n_tail = len - whole;
	memcpy(relay->tail, bytes + whole, relay->n_tail);
	if (!whole)
		return true;
	relay->pieces[i].buffer = (struct stream_buffer){.data = bytes, .len = (uint32_t)whole};
	if (stream_send(&relay->stream, &relay->pieces[i].buffer) < 0)
		return false;
	relay->n_pieces++;
	return true;
}

static void relay_read(void *ctx, int res _unused_)
{
	struct agent_relay *relay = ctx;

	while (relay->n_pieces < AGENT_RELAY_PIECES) {
		unsigned i = (relay->first + relay->n_pieces) % AGENT_RELAY_PIECES;
		uint8_t *bytes = relay->pieces[i].bytes;
		ssize_t n;

		memcpy(bytes, relay->tail, relay->n_tail);
		n = recv(relay->sock, bytes + relay->n_tail, AGENT_RELAY_PIECE - relay->n_tail,
			 MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			loop_watch_again(relay->guest->loop, &relay->in);
			return;
		}
		if (n <= 0) {
			relay_sock_ends(relay);
			return;
		}
		if (!relay_send_lines(relay, (size_t)n)) {
			relay_free(relay);
			return;
		}
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

/* Return: how many were written; < 0: control has gone. */
static ssize_t relay_write(struct agent_relay *relay, const uint8_t *bytes, size_t len)
{
	struct iovec part = {(void *)(uintptr_t)bytes, len};
	struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t n;

	do
		n = sendmsg(relay->sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 && errno == EAGAIN ? 0 : n;
}

static void relay_watch_room(struct agent_relay *relay)
{
	struct loop *loop = relay->guest->loop;

	if (relay->full)
		return;
	relay->full = true;
	if (loop_watching(&relay->out))
		loop_watch_again(loop, &relay->out);
	else
		loop_watch_fd(loop, &relay->out, relay->sock, POLLOUT, 0, relay_writable, relay);
}

static size_t relay_keep(struct agent_relay *relay, const uint8_t *bytes, size_t len)
{
	size_t n = min_t(size_t, len, sizeof(relay->early) - relay->n_early);

	memcpy(relay->early + relay->n_early, bytes, n);
	relay->n_early += n;
	return n;
}

/* Return: how many of the bytes were taken. */
static size_t relay_take(struct agent_relay *relay, const uint8_t *bytes, size_t len)
{
	size_t skipped = 0;
	ssize_t n;

	if (relay->state == RELAY_ENDING)
		return len;
	if (relay->state == RELAY_OPEN && !relay->deaf && !relay->skip) {
		n = relay_write(relay, bytes, len);
		if (n >= 0 && (size_t)n < len)
			relay_watch_room(relay);
		if (n >= 0)
			return (size_t)n;
		relay_goes_deaf(relay);
	}
	while (relay->skip && skipped < len)
		relay->skip = bytes[skipped++] != '\n';
	if (relay->state == RELAY_OPEN && !relay->deaf)
		return skipped;
	return skipped + relay_keep(relay, bytes + skipped, len - skipped);
}

/* What was taken is looked at for lines. */
static void relay_note(struct agent_relay *relay, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len && !relay->hello_whole; i++) {
		/* Anything longer is no line, and control ends the connection. */
		if (relay->n_hello == sizeof(relay->hello))
			break;
		relay->hello[relay->n_hello++] = bytes[i];
		relay->hello_whole = bytes[i] == '\n';
	}
	relay->half = bytes[len - 1] != '\n';
}

static size_t relay_receive(struct stream *stream, const struct iovec *parts, unsigned n_parts,
			    size_t len _unused_)
{
	struct agent_relay *relay = container_of(stream, struct agent_relay, stream);
	uint8_t chunk[CHUNK];
	size_t taken = 0;

	for (unsigned i = 0; i < n_parts; i++)
		for (size_t at = 0; at < parts[i].iov_len;) {
			size_t n = min_t(size_t, parts[i].iov_len - at, sizeof(chunk)), got;

			memcpy(chunk, (const uint8_t *)parts[i].iov_base + at, n);
			got = relay_take(relay, chunk, n);
			if (got)
				relay_note(relay, chunk, got);
			taken += got;
			at += got;
			/* Dropped up to a newline: the rest goes on. */
			if (got < n &&
			    (relay->full || !got || relay->deaf || relay->state != RELAY_OPEN))
				return taken;
		}
	return taken;
}

static void relay_ended(struct stream *stream)
{
	struct agent_relay *relay = container_of(stream, struct agent_relay, stream);

	relay->ended = true;
	if (relay->state == RELAY_OPEN && !relay->deaf)
		/* Control closes its end then, and that ends the connection. */
		shutdown(relay->sock, SHUT_WR);
	else if (relay->state != RELAY_ENDING)
		relay_free(relay);
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

/* ------------------------------------------------------------- what control says */

static struct agent_relay *relay_waiting(struct guest *guest)
{
	struct agent_relay *first = NULL;

	for (unsigned i = 0; i < AGENT_RELAYS; i++) {
		struct agent_relay *relay = &guest->relays.at[i];

		if (relay->state == RELAY_WAITING && (!first || relay->order < first->order))
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

static void relay_open(struct agent_relay *relay, uint32_t number, int sock)
{
	size_t n_early = relay->n_early;
	ssize_t n;

	relay->state = RELAY_OPEN;
	relay->number = number;
	relay->sock = sock;
	relay->ends = relay->deaf = false;
	relay->n_tail = relay->n_early = 0;
	n = n_early ? relay_write(relay, relay->early, n_early) : 0;
	if (n < 0)
		relay_goes_deaf(relay);
	/* A fresh socket takes all of it. */
	if ((n >= 0 && (size_t)n < n_early) ||
	    loop_watch_fd(relay->guest->loop, &relay->in, sock, POLLIN, 0, relay_read, relay) < 0) {
		relay_free(relay);
		return;
	}
	stream_resume(&relay->stream);
}

static void relay_given(struct guest *guest, uint32_t number, int sock)
{
	struct agent_relay *relay = relay_waiting(guest);

	guest->relays.asked = false;
	if (relay)
		relay_open(relay, number, sock);
	else
		fd_close(sock);
	relay_ask(guest);
}

/* The socket's end may still come, behind what control said last. */
static void relay_to_end(struct guest *guest, uint32_t number)
{
	for (unsigned i = 0; i < AGENT_RELAYS; i++) {
		struct agent_relay *relay = &guest->relays.at[i];

		if (relay->number != number)
			continue;
		if (relay->state == RELAY_OPEN)
			relay->ends = true;
		else if (relay->state == RELAY_LEFT)
			relay_ending(relay);
	}
}

static void relay_is_left(struct agent_relay *relay)
{
	/* What was said goes on to the guest: some lines, or all of them. */
	if (relay->state == RELAY_OPEN)
		relay_read(relay, 0);
	if (relay->state == RELAY_OPEN && relay->ends) {
		/* All of them: the rest follows as the guest makes room, and then the end. */
		shutdown(relay->sock, SHUT_RD);
		return;
	}
	if (relay->state == RELAY_OPEN)
		relay_sock_ends(relay);
	if (relay->state != RELAY_LEFT)
		return;
	if (!relay->hello_whole || relay->ended) {
		relay_free(relay);
		return;
	}
	relay->state = RELAY_WAITING;
}

static void relays_are_left(struct guest *guest)
{
	for (unsigned i = 0; i < AGENT_RELAYS; i++)
		relay_is_left(&guest->relays.at[i]);
	relay_ask(guest);
}

static void relay_news_delivered(struct letter *letter)
{
	struct guest *guest = container_of(letter, struct guest, relays.news);
	struct agent_relays *relays = &guest->relays;
	struct agent_word words[AGENT_RELAY_WORDS];
	unsigned n;

	atomic_store(&relays->news_posted, false);
	pthread_mutex_lock(&relays->lock);
	n = relays->n_words;
	memcpy(words, relays->words, n * sizeof(words[0]));
	relays->n_words = 0;
	pthread_mutex_unlock(&relays->lock);
	for (unsigned i = 0; i < n; i++)
		if (words[i].kind == AGENT_WORD_GIVE)
			relay_given(guest, words[i].number, words[i].sock);
		else if (words[i].kind == AGENT_WORD_END)
			relay_to_end(guest, words[i].number);
		else
			relays_are_left(guest);
}

/* @spare: this many places are kept for more important words. Return: whether there was room. */
static bool relay_tell(struct guest *guest, const struct agent_word *word, unsigned spare)
{
	struct agent_relays *relays = &guest->relays;
	bool room;

	pthread_mutex_lock(&relays->lock);
	room = relays->n_words + spare < AGENT_RELAY_WORDS;
	if (room)
		relays->words[relays->n_words++] = *word;
	pthread_mutex_unlock(&relays->lock);
	if (!atomic_exchange(&relays->news_posted, true))
		loop_post(guest->loop, &relays->news, relay_news_delivered);
	return room;
}

/**
 * guest_agent() - give the agent's connection a socket
 * @guest:	the guest, after "agent_asked"
 * @number:	the caller's for that connection, until it has gone
 * @sock:	a stream socket that does not block, the guest's from here on
 *
 * Control's thread; once for each "agent_asked".
 */
void guest_agent(struct guest *guest, uint32_t number, int sock)
{
	struct agent_word word = {AGENT_WORD_GIVE, number, sock};

	if (!relay_tell(guest, &word, 1))
		fd_close(sock);
}

/**
 * guest_agent_end() - end an agent's connection
 * @guest:	the guest
 * @number:	of guest_agent(); it may have gone meanwhile
 *
 * The guest still gets what was written into the socket, which is closed. Control's thread.
 */
void guest_agent_end(struct guest *guest, uint32_t number)
{
	struct agent_word word = {AGENT_WORD_END, number, -1};

	/* There is a place for each connection, unless control invents numbers. */
	relay_tell(guest, &word, 2);
}

/**
 * guest_agents_left() - control has gone, and another one may come
 * @guest:	the guest; "agent_asked" comes again for each of its agents
 */
void guest_agents_left(struct guest *guest)
{
	struct agent_word word = {AGENT_WORD_LEFT, 0, -1};

	relay_tell(guest, &word, 0);
}

/* ------------------------------------------------------------- the whole */

/**
 * agent_relays_init() - nobody has connected yet
 * @guest:	the guest, before its thread
 */
void agent_relays_init(struct guest *guest)
{
	pthread_mutex_init(&guest->relays.lock, NULL);
}

/**
 * agent_relays_deinit() - let go of what was said and not heard
 * @guest:	the guest, whose thread has ended
 */
void agent_relays_deinit(struct guest *guest)
{
	for (unsigned i = 0; i < guest->relays.n_words; i++)
		fd_close(guest->relays.words[i].sock);
	pthread_mutex_destroy(&guest->relays.lock);
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
					      .order = guest->relays.n_ever++,
					      .sock = -1};
		tcp_stream_begin(&relay->stream, &relay_stream_ops, tcp);
		relay_ask(guest);
		return;
	}
	tcp_abort(tcp);
}

/**
 * agent_relays_cut() - the guest is gone
 * @guest:	whose; its card is down
 *
 * One that is an older state of the same guest, and believes in its connection, hears that it is dead: its
 * numbers are not ours any more.
 */
void agent_relays_cut(struct guest *guest)
{
	for (unsigned i = 0; i < AGENT_RELAYS; i++) {
		struct agent_relay *relay = &guest->relays.at[i];

		if (relay->state == RELAY_NONE)
			continue;
		guest_net_cut(guest, &relay->stream);
		if (relay->state != RELAY_NONE)
			relay_free(relay);
	}
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
