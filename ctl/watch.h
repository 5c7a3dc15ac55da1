/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands that go on until the user has enough: `events`, `list --watch`, `top`.
 *
 * SIGINT and SIGTERM end them, and so does a closed pipe. Each of these is an orderly end: the
 * status is 0.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "ctl/ctl.h"

/* What stands on the terminal, or was printed last; {0}: nothing. */
struct watch_drawing {
	bool drawn;
	size_t lines;
};

void watch_draw(const struct ctl *ctl, struct watch_drawing *drawing, char *text);
int watch_stop_signals(void);
enum status watch_end(enum status status);
enum status watch_events(struct ctl *ctl, bool (*each)(void *ctx, const json_t *event),
			 bool (*settled)(void *ctx), void *ctx);
