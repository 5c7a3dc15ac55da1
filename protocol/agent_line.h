/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One end of the connection between daemon and agent: a non-blocking socket, lines coming in, lines
 * waiting to go out. Both are bounded: a peer that sends a line without end, or does not read what
 * it is told, is cut off. Who owns the end waits for the socket by its own means.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "protocol/agent_wire.h"

/* The most that is said at a time: ROUTE for every device, and some more. */
#define AGENT_LINE_OUT ((AGENT_ROUTES + 16) * 128)

struct agent_line {
	int sock;	 /* owned; -1: none */
	bool from_guest; /* what comes in was said by a guest */
	bool over;	 /* the peer has closed, or was cut off */
	char in[AGENT_LINE_MAX];
	size_t in_start, in_len;
	char out[AGENT_LINE_OUT];
	size_t out_start, out_len;
};

/* Outcomes of agent_line_next() beside 0. */
enum { AGENT_LINE_MORE = 1 };

void agent_line_init(struct agent_line *line, int sock, bool from_guest);
void agent_line_deinit(struct agent_line *line);
int agent_line_next(struct agent_line *line, struct agent_message *ret);
int agent_line_say(struct agent_line *line, const struct agent_message *message);
int agent_line_flush(struct agent_line *line);
static inline bool agent_line_pending(const struct agent_line *line)
{
	return line->out_len != 0;
}
