/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control's end of the line to the broker or the starter: requests go out with a number, and
 * answers come back with it, in any order.
 *
 * It is a SOCK_SEQPACKET pair, with one struct a packet. A request begins with its number; all
 * answers have one form. A request is embedded in the asker's object and waits in a list; nobody
 * waits in a call. If nobody waits for an answer any more, it is dropped, and what came with it is
 * closed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/loop.h"

#define HELPER_FDS 2 /* that an answer may bring */

struct helper_answer {
	uint32_t id;
	int32_t r;
	char text[160]; /* what went wrong, for a person */
};

struct helper_request {
	struct list link;
	uint32_t id;
	/* fds: HELPER_FDS of them, the callee's; -1: there is none. text: "" on success. */
	void (*answered)(struct helper_request *req, int r, int *fds, const char *text);
};

struct helper_line {
	struct loop *loop;
	struct loop_watch watch;
	int fd;
	uint32_t last_id;
	struct list waiting; /* of struct helper_request */
	void (*lost)(void *ctx);
	void *ctx;
};

int helper_line_init(struct helper_line *line, struct loop *loop, int fd, void (*lost)(void *ctx),
		     void *ctx);
void helper_line_deinit(struct helper_line *line);
uint32_t helper_line_number(struct helper_line *line);
int helper_line_ask(struct helper_line *line, struct helper_request *req, const void *ask,
		    size_t len);
void helper_request_forget(struct helper_request *req);
