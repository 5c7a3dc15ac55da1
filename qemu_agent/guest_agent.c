/* SPDX-License-Identifier: BSD-2-Clause */
/* One command to QEMU's guest agent; see guest_agent.h. Source: QEMU Guest Agent Protocol Reference.
 */
#include "qemu_agent/guest_agent.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX (256 * 1024)

void guest_agent_json_freep(json_t **json)
{
	json_decref(*json);
}

/**
 * guest_agent_fail() - say why a call fails
 * @agent:	whose error is set
 * @r:		a negative errno
 * @format:	the reason, for a person
 *
 * Return: @r.
 */
int guest_agent_fail(struct guest_agent *agent, int r, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(agent->error, sizeof(agent->error), format, ap);
	va_end(ap);
	return r;
}

/**
 * guest_agent_ask() - send a command and take its answer
 * @agent:	the way to the guest's agent
 * @command:	taken; NULL where there was no memory for it
 * @type:	what the agent has to return
 * @ret:	what it returned; a reference of the caller's
 *
 * Return: 0, or a negative errno and @agent->error says why.
 */
int guest_agent_ask(struct guest_agent *agent, json_t *command, json_type type, json_t **ret)
{
	_cleanup_json_ json_t *owned _unused_ = command, *answer = NULL;
	_cleanup_free_ char *text = command ? json_dumps(command, JSON_COMPACT) : NULL;
	_cleanup_free_ char *reply = NULL;
	json_t *value;
	int r;

	if (!text)
		return guest_agent_fail(agent, -ENOMEM, "no memory");
	r = agent->command(agent, text, &reply);
	if (r < 0)
		return r;
	if (strlen(reply) > ANSWER_MAX)
		return guest_agent_fail(agent, -EPROTO, "the guest's agent answers too much");
	answer = json_loads(reply, 0, NULL);
	value = json_object_get(answer, "return");
	if (!value || json_typeof(value) != type)
		return guest_agent_fail(agent, -EPROTO, "the guest's agent answers nonsense");
	*ret = json_incref(value);
	return 0;
}
