/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The closer's lines, for stranger.c and usher.c. It is started by strangers_start() (stranger.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum closer_line {
	CLOSER_CLOSE, /* a socket to be closed, and a pipe that ends when its sender has closed it */
	CLOSER_USHER, /* a name; a stranger's socket, the ends of a line and a report */
	CLOSER_LINES
};

bool closer_runs(void);
int closer_send(enum closer_line line, const void *data, size_t len, const int *fds,
		unsigned n_fds);
