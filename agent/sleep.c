/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's sleep; see sleep.h. */
#include "agent/sleep.h"

#include <time.h>

#include "base/log.h"
#include "agent/agent.h"

/* logind waits for 5 s (InhibitDelayMaxSec= in logind.conf), and others need some of that. */
#define LET_GO_NS (3 * NS_PER_SECOND)
#define LOOK_NS	  (20 * NS_PER_MS)
/* The kernel gives user space 20 s to freeze. */
#define NOBODY_NS (60 * NS_PER_SECOND)

/* Time that this machine has slept away since its boot. */
static uint64_t slept(void)
{
	struct timespec all, awake;

	clock_gettime(CLOCK_MONOTONIC, &awake);
	clock_gettime(CLOCK_BOOTTIME, &all);
	return (uint64_t)(all.tv_sec - awake.tv_sec) * NS_PER_SECOND +
	       (uint64_t)(all.tv_nsec - awake.tv_nsec);
}

static void say(struct agent *agent, enum agent_verb verb)
{
	struct agent_message m = {.verb = verb};

	if (agent->state == AGENT_TALKING)
		agent_say(agent, &m);
}

static void sleep_look(struct agent *agent)
{
	struct sleep *sleep = &agent->sleep;
	int port;

	if (!attachments_resting(agent) && sleep->limit_ns > agent_now()) {
		sleep->due_ns = agent_now() + LOOK_NS;
		return;
	}
	port = attachments_in_use(agent);
	if (port >= 0)
		log_warning(
			"port %d of vhci-hcd is in use, by what usbrouted does not know; the kernel refuses to sleep until `usbip detach -p %d`",
			port, port);
	sleep->state = SLEEP_ASLEEP;
	sleep->due_ns = agent_now() + NOBODY_NS;
	logind_release(agent);
	control_done(agent);
}

/**
 * sleep_begin() - the guest is about to sleep
 * @agent:	the agent; when all is let go of, logind and the callers of --let-go hear of it
 */
void sleep_begin(struct agent *agent)
{
	struct sleep *sleep = &agent->sleep;

	if (sleep->state == SLEEP_ASLEEP) {
		logind_release(agent);
		control_done(agent);
	}
	if (sleep->state != SLEEP_AWAKE)
		return;
	log_notice("going to sleep: letting go of all devices");
	sleep->state = SLEEP_LETTING_GO;
	sleep->limit_ns = agent_now() + LET_GO_NS;
	sleep->slept_ns = slept();
	sleep->waking = false;
	say(agent, AGENT_SLEEP);
	attachments_rest(agent);
	sleep_look(agent);
}

/**
 * sleep_end() - the guest is awake, or does not sleep after all
 * @agent:	the agent
 *
 * The daemon may have forgotten the connection meanwhile, or tell all anew; so it is heard first.
 */
void sleep_end(struct agent *agent)
{
	struct sleep *sleep = &agent->sleep;

	if (sleep->state == SLEEP_AWAKE)
		return;
	log_notice("awake: taking back what is this guest's");
	sleep->state = SLEEP_AWAKE;
	sleep->by_logind = false;
	sleep->due_ns = NEVER;
	sleep->waking = true;
	control_done(agent);
	logind_again(agent);
	say(agent, AGENT_AWAKE);
	agent_doubt(agent);
}

/**
 * sleep_answered() - the daemon has been heard since the guest is awake
 * @agent:	the agent
 */
void sleep_answered(struct agent *agent)
{
	if (!agent->sleep.waking)
		return;
	agent->sleep.waking = false;
	attachments_wake(agent);
}

/**
 * sleep_say_again() - tell a daemon that may not have heard it that the guest sleeps
 * @agent:	the agent
 */
void sleep_say_again(struct agent *agent)
{
	if (agent->sleep.state != SLEEP_AWAKE)
		say(agent, AGENT_SLEEP);
}

/* Somebody is there who says when it ends. */
static bool is_watched(struct agent *agent)
{
	return agent->sleep.by_logind && logind_there(agent);
}

/**
 * sleep_clock() - the clock has jumped, as it does after a sleep
 * @agent:	the agent
 */
void sleep_clock(struct agent *agent)
{
	/* The two clocks are not read at the same moment: less than this was no sleep. */
	if (agent->sleep.state == SLEEP_ASLEEP && !is_watched(agent) &&
	    slept() > agent->sleep.slept_ns + NS_PER_MS * 10)
		sleep_end(agent);
}

/**
 * sleep_work() - what is due
 * @agent:	the agent
 */
void sleep_work(struct agent *agent)
{
	if (agent->sleep.due_ns > agent_now())
		return;
	if (agent->sleep.state == SLEEP_LETTING_GO)
		sleep_look(agent);
	else if (is_watched(agent))
		agent->sleep.due_ns = agent_now() + NOBODY_NS;
	else
		sleep_end(agent);
}
