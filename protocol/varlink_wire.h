/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Varlink's framing, for both ends of the control socket: messages, each with a NUL byte after it,
 * over a buffer that grows up to one message's bound and no further. This file is about bytes only:
 * what is in a message is the caller's, once varlink_nesting_ok() has let it pass.
 *
 *	while (reading) {
 *		varlink_wire_space() → read into it → varlink_wire_filled()
 *		while (varlink_wire_next() == 0)
 *			…
 *	}
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define VARLINK_MESSAGE_MAX (64 * 1024) /* bytes before the NUL */
#define VARLINK_NESTING_MAX 16

/* {0} is an empty one. */
struct varlink_wire {
	char *data;
	size_t size;	/* room in @data */
	size_t start;	/* where the oldest message not yet taken begins */
	size_t end;	/* where the bytes read so far end */
	size_t scanned; /* no NUL between @start and here */
};

/* Outcomes of varlink_wire_next() beside 0. */
enum { VARLINK_WIRE_MORE = 1 };

int varlink_wire_space(struct varlink_wire *wire, char **ret_space, size_t *ret_size);
void varlink_wire_filled(struct varlink_wire *wire, size_t n);
int varlink_wire_next(struct varlink_wire *wire, const char **ret_message, size_t *ret_len);
void varlink_wire_deinit(struct varlink_wire *wire);

bool varlink_nesting_ok(const char *message, size_t len);
