/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program run in a guest by QEMU's guest agent: guest-exec, and guest-exec-status until it has
 * ended. How a command reaches the agent is the caller's: libvirt, or a test's script. The agent is
 * in the guest, so all that it answers is hostile: bounded, and never more than a text for people.
 */
#pragma once

#include <stdbool.h>

#define GUEST_EXEC_ARGS_MAX   8
#define GUEST_EXEC_OUTPUT_MAX 16384 /* bytes kept of stdout, and of stderr */

struct guest_agent {
	/**
	 * @command: send one command and wait for its answer
	 * @agent:	this
	 * @command:	JSON
	 * @ret_answer:	the answer, JSON; to be freed
	 *
	 * Return: 0, or a negative errno and @error says why; -ENOENT: there is no such program in
	 * the guest.
	 */
	int (*command)(struct guest_agent *agent, const char *command, char **ret_answer);
	void (*pause)(struct guest_agent *agent, unsigned ms); /* between two looks */
	char error[256];				       /* why the last call failed */
};

/* How the program ended. */
struct guest_exec {
	int status; /* its exit status; -1: a signal ended it */
	char out[GUEST_EXEC_OUTPUT_MAX + 1], err[GUEST_EXEC_OUTPUT_MAX + 1];
};

int guest_exec(struct guest_agent *agent, const char *const *argv, unsigned timeout_ms,
	       struct guest_exec *ret);
