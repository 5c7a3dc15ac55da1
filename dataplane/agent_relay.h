/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The connection of a guest's usbroute-agent, relayed to control. Control reads what the agent says
 * (daemon/guests/agent.c) from a socket that it has made for it.
 *
 * A connection waits until control has given it a socket, one after the other: so control says how
 * fast agents come in. It outlives a card that goes down, because the guest may only have been
 * stopped for a while.
 *
 * It outlives control, too: only AGENT_END ends it. If control's socket closes because control has
 * died, the connection waits for the next control. The socket of that one begins with the line that
 * the agent began with, its HELLO. A relay only knows that both sides say lines: a line that was
 * half said to the dead control is dropped up to its newline, and no half line reaches the guest.
 * While there is no control, the relay keeps what the agent says as far as there is room; the rest
 * stays in the guest, by TCP's window.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol/agent_wire.h"
#include "base/loop.h"
#include "base/mailbox.h"
#include "dataplane/tcp_stream.h"

#define AGENT_RELAYS	   8 /* connections at a time; the next is refused */
#define AGENT_RELAY_EARLY  (AGENT_LINE_MAX + 1024)
#define AGENT_RELAY_PIECES 8
#define AGENT_RELAY_PIECE  1024
#define AGENT_RELAY_WORDS  (2 * AGENT_RELAYS + 2)

struct guest;
struct tcp_connection;

enum agent_relay_state {
	RELAY_NONE,
	RELAY_WAITING, /* for control's socket */
	RELAY_OPEN,
	RELAY_LEFT,   /* the socket has ended, and control has not said why */
	RELAY_ENDING, /* the guest is to have the rest of what was said */
};

struct agent_relay {
	struct guest *guest;
	enum agent_relay_state state;
	uint64_t order;	 /* counts connections: the oldest has the smallest */
	uint32_t number; /* control's, with a socket */
	struct stream stream;
	int sock;
	struct loop_watch in, out;
	bool ends;  /* AGENT_END was said: where the socket ends, so does the connection */
	bool deaf;  /* control has gone, and hears nothing any more */
	bool full;  /* control does not read, and the guest has to wait */
	bool ended; /* the guest will send no more */

	/* From the guest. */
	uint8_t hello[AGENT_LINE_MAX]; /* its first line, as far as it was said */
	size_t n_hello;
	bool hello_whole;
	bool half;			  /* the last line that it has said has no end yet */
	bool skip;			  /* … and is dropped up to there */
	uint8_t early[AGENT_RELAY_EARLY]; /* what the next socket begins with */
	size_t n_early;

	/* To the guest: half a line, and a ring of pieces, which are whole lines. */
	uint8_t tail[AGENT_LINE_MAX];
	size_t n_tail;
	struct {
		struct stream_buffer buffer;
		uint8_t bytes[AGENT_RELAY_PIECE];
	} pieces[AGENT_RELAY_PIECES];
	unsigned first, n_pieces;
};

enum agent_word_kind {
	AGENT_WORD_GIVE, /* a socket */
	AGENT_WORD_END,	 /* of a connection */
	AGENT_WORD_LEFT, /* control has gone */
};

/* What control has said of agents, and the thread has not heard. */
struct agent_word {
	enum agent_word_kind kind;
	uint32_t number;
	int sock;
};

struct agent_relays {
	struct agent_relay at[AGENT_RELAYS];
	uint64_t n_ever;
	bool asked; /* control is to give a socket */
	struct letter ask, news;
	atomic_bool news_posted;

	pthread_mutex_t lock; /* of what follows, for as long as it is copied */
	struct agent_word words[AGENT_RELAY_WORDS];
	unsigned n_words;
};

void agent_relays_init(struct guest *guest);
void agent_relays_deinit(struct guest *guest);
void agent_relay_accept(struct guest *guest, struct tcp_connection *tcp);
void agent_relays_cut(struct guest *guest);
void agent_relays_end(struct guest *guest);
