/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The line to control, as a VM's process has it: what control asks becomes calls of guest.h, what the
 * guest tells becomes messages. One thread's; docs/vm-protocol.md has the messages.
 *
 * States: greeting (nothing is taken but HELLO) -> idle (HELLO was said; no START yet) -> serving ->
 * ending (END was asked, or there is no guest to be) -> done.
 *
 * Control may go at any time. A process that serves goes on, and the next control connects to the
 * listener that START brought; one that doesn't ends.
 */
#pragma once

#include <stdbool.h>

struct control_line;
struct loop;

int control_line_new(struct control_line **ret_line, struct loop *loop, int sock);
struct control_line *control_line_free(struct control_line *line);
bool control_line_serve(struct control_line *line, bool *more);
