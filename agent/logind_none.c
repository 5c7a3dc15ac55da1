/* SPDX-License-Identifier: BSD-2-Clause */
/* A build without logind; see logind.h. */
#include "agent/logind.h"

#include "agent/agent.h"

void logind_start(struct agent *agent)
{
}

void logind_stop(struct agent *agent)
{
}

void logind_poll(struct agent *agent, struct pollfd *ret_poll)
{
	*ret_poll = (struct pollfd){.fd = -1};
}

uint64_t logind_due(struct agent *agent)
{
	return NEVER;
}

void logind_work(struct agent *agent)
{
}

void logind_release(struct agent *agent)
{
}

void logind_again(struct agent *agent)
{
}

void logind_look(struct agent *agent)
{
}

bool logind_there(const struct agent *agent)
{
	return false;
}
