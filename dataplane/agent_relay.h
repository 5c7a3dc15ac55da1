/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The connection of a guest's usbroute-agent, relayed byte for byte to control: what it says is
 * control's to read (daemon/agent.c), from a socket that control made for it.
 *
 * A connection waits until control has given it a socket, one after the other: control says how fast
 * agents come in. It outlives a card that goes down: the guest may only have been stopped for a while.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "base/mailbox.h"
#include "dataplane/stream.h"

#define AGENT_RELAYS	   8 /* connections at a time; the next is refused */
#define AGENT_RELAY_EARLY  1024
#define AGENT_RELAY_PIECES 8
#define AGENT_RELAY_PIECE  1024

struct guest;
struct tcp_connection;

enum agent_relay_state { RELAY_NONE, RELAY_WAITING, RELAY_OPEN, RELAY_ENDING };

struct agent_relay {
	struct guest *guest;
	enum agent_relay_state state;
	uint64_t number; /* the how manieth */
	struct stream stream;
	int sock;
	struct loop_watch in, out;
	bool full;			  /* control does not read, and the guest has to wait */
	bool ended;			  /* the guest will send no more */
	uint8_t early[AGENT_RELAY_EARLY]; /* what came while it was waiting */
	size_t n_early;
	/* On their way to the guest: a ring. */
	struct {
		struct stream_buffer buffer;
		uint8_t bytes[AGENT_RELAY_PIECE];
	} pieces[AGENT_RELAY_PIECES];
	unsigned first, n_pieces;
};

struct agent_relays {
	struct agent_relay at[AGENT_RELAYS];
	uint64_t n_ever;
	bool asked; /* control is to give a socket */
	struct letter ask, give;
	int given; /* control's, until it is delivered */
};

void agent_relay_accept(struct guest *guest, struct tcp_connection *tcp);
void agent_relays_end(struct guest *guest);
