/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program run in a guest by QEMU's guest agent: guest-exec, and guest-exec-status until it has
 * ended. Its answer is used only as text for people.
 */
#pragma once

#include "qemu_agent/guest_agent.h"

#define GUEST_EXEC_ARGS_MAX   8
#define GUEST_EXEC_OUTPUT_MAX 16384 /* bytes kept of stdout, and of stderr */

/* How the program ended. */
struct guest_exec {
	int status; /* its exit status; -1: a signal ended it */
	char out[GUEST_EXEC_OUTPUT_MAX + 1], err[GUEST_EXEC_OUTPUT_MAX + 1];
};

int guest_exec(struct guest_agent *agent, const char *const *argv, unsigned timeout_ms,
	       struct guest_exec *ret);
const char *guest_exec_last_line(char *text);
