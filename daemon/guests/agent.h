/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's end of a guest's usbroute-agent: who has connected, what it was told, what it says.
 * Its connection ends in its VM's process, which relays it to a socket that is made here.
 *
 * A connection is greeting (it has 5 s to say HELLO; a newer one takes the place of an older one)
 * -> the VM's agent (a newer one takes its place, too: the older one may be half dead) -> gone. A
 * silent agent is not a dead one: a paused guest keeps its agent, and hears what is new when it
 * goes on.
 *
 * A card that goes down may be a guest that has ended, or one that was only stopped for a while
 * (QEMU stops its rings then). So its agent is *doubted*, as if it were not there; when the card is
 * up again it is asked. The guest that was stopped answers, and is told all anew, for its sessions
 * have ended meanwhile; another one's kernel answers with a reset.
 *
 * A guest that sleeps lets go of its devices before, and takes them back after: meanwhile its agent
 * is *asleep*, and nothing is wrong. What somebody in the guest detaches (LETGO) is kept for the
 * guest and not told to its agent, until a command names the device.
 *
 * A connection outlives this process: only what is ended by word (guest_agent_end()) ends. The agent of
 * a daemon that is stopped or killed comes to the next one, says HELLO again there, and is told all that
 * is routed to it. That list must be whole, or it would let go of what is missing: so agents are let in
 * when it is known what their VM has (agents_ready()).
 *
 * Hostile bytes cost only this connection. Lines have a rate, and so have connections. Control
 * thread only.
 */
#pragma once

#include <stdbool.h>

#include "protocol/agent_wire.h"
#include "base/loop.h"
#include "daemon/guests/guest_side.h"

struct vm;

/* What a VM's struct keeps of it. */
struct agent;
struct agents {
	struct agent *greeting, *there;
	struct loop_watch pause; /* between two that come in */
	bool waits;		 /* one has come, and is let in when that is over */
	bool ready;		 /* what the VM has is known */
	uint32_t n_ever;	 /* the last one's number */
};

void agent_asked(void *ctx);
void agents_ready(struct vm *vm);
void agents_card(struct vm *vm, bool up);
void agents_close(struct vm *vm, const char *why);

extern const struct guest_way agent_way;
