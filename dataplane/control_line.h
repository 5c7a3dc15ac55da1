/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's process' end of the line to control: what control asks becomes calls of guest.h, what the
 * guest tells becomes messages. docs/vm-protocol.md has the messages. One thread.
 *
 * States: greeting (nothing is taken but HELLO) -> idle (HELLO was said; no START yet) -> serving ->
 * ending (END was asked, or there is no guest to be) -> done.
 *
 * A process of the LAN export's gets LAN in place of START, and has clients on the LAN in place of a guest.
 *
 * Control may go at any time. A process that serves goes on, and the next control connects to the
 * listener that START brought. A process that does not serve ends.
 */
#pragma once

#include <stdbool.h>

struct control_line;
struct loop;

int control_line_new(struct control_line **ret_line, struct loop *loop, int sock, bool for_lan);
struct control_line *control_line_free(struct control_line *line);
bool control_line_serve(struct control_line *line, bool *more);
