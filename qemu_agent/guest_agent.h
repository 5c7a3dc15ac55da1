/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QEMU's guest agent: one command, one answer. The caller says how a command reaches the agent: by
 * libvirt, or in a test by a script. The agent is in the guest, so all its answers are hostile:
 * bounded, and of the expected type or refused.
 */
#pragma once

#include <jansson.h>

#include "base/mem.h"

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

int guest_agent_ask(struct guest_agent *agent, json_t *command, json_type type, json_t **ret);
int guest_agent_fail(struct guest_agent *agent, int r, const char *format, ...) _printf_(3, 4);
void guest_agent_json_freep(json_t **json);

#define _cleanup_json_ _cleanup_(guest_agent_json_freep)
