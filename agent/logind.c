/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * logind by sd-bus, out of a libsystemd that is opened when it is there; see logind.h.
 *
 *   no bus --due--> bus open, matches and Inhibit() asked for --answered--> inhibitor held
 *     ^                   | bus lost                                   | released for a sleep
 *     '---- later, some ' times '<-------------------------------------'  (and taken again after)
 */
#include "agent/logind.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <systemd/sd-bus.h>
#include <time.h>

#include "base/fd.h"
#include "base/log.h"
#include "agent/agent.h"

#define LIBRARY	  "libsystemd.so.0"
#define SERVICE	  "org.freedesktop.login1"
#define OBJECT	  "/org/freedesktop/login1"
#define INTERFACE "org.freedesktop.login1.Manager"
#define COMES                                                                           \
	"type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus'," \
	"member='NameOwnerChanged',arg0='" SERVICE "'"

/* The bus is looked for after 1, 2, 4 … s, so many times; then when there is other news. */
#define TRIES 7

struct logind {
	void *library;
	sd_bus *bus;
	int inhibitor; /* -1: none */
	unsigned failures;
	uint64_t due_ns; /* to look for the bus; NEVER */
	bool told;	 /* that logind does not let us */

	/* Of the library. */
	__typeof__(sd_bus_open_system) *open_system;
	__typeof__(sd_bus_close_unref) *close_unref;
	__typeof__(sd_bus_get_fd) *get_fd;
	__typeof__(sd_bus_get_events) *get_events;
	__typeof__(sd_bus_get_timeout) *get_timeout;
	__typeof__(sd_bus_process) *process;
	__typeof__(sd_bus_match_signal_async) *match_signal;
	__typeof__(sd_bus_add_match_async) *add_match;
	__typeof__(sd_bus_call_method_async) *call_method;
	__typeof__(sd_bus_message_read) *read;
	__typeof__(sd_bus_message_get_error) *get_error;
};

static bool logind_load(struct logind *l)
{
	const struct {
		const char *name;
		void **at;
	} symbols[] = {
		{"sd_bus_open_system", (void **)&l->open_system},
		{"sd_bus_close_unref", (void **)&l->close_unref},
		{"sd_bus_get_fd", (void **)&l->get_fd},
		{"sd_bus_get_events", (void **)&l->get_events},
		{"sd_bus_get_timeout", (void **)&l->get_timeout},
		{"sd_bus_process", (void **)&l->process},
		{"sd_bus_match_signal_async", (void **)&l->match_signal},
		{"sd_bus_add_match_async", (void **)&l->add_match},
		{"sd_bus_call_method_async", (void **)&l->call_method},
		{"sd_bus_message_read", (void **)&l->read},
		{"sd_bus_message_get_error", (void **)&l->get_error},
	};

	l->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	for (size_t i = 0; l->library && i < ARRAY_SIZE(symbols); i++) {
		*symbols[i].at = dlsym(l->library, symbols[i].name);
		if (*symbols[i].at)
			continue;
		dlclose(l->library);
		l->library = NULL;
	}
	return l->library;
}

/* ------------------------------------------------------------- what logind says */

static int on_inhibited(sd_bus_message *m, void *ctx, sd_bus_error *error _unused_)
{
	struct agent *agent = ctx;
	struct logind *l = agent->logind;
	const sd_bus_error *refused = l->get_error(m);
	int fd, r;

	if (refused) {
		if (!l->told)
			log_warning(
				"logind does not wait for this program before a sleep: %s; see --let-go",
				refused->message ?: refused->name);
		l->told = true;
		return 0;
	}
	r = l->read(m, "h", &fd);
	if (r < 0)
		return 0;
	l->told = false;
	fd_close(l->inhibitor);
	l->inhibitor = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	/* It came too late: the sleep has begun. */
	if (agent->sleep.state == SLEEP_ASLEEP)
		logind_release(agent);
	return 0;
}

static int on_sleep(sd_bus_message *m, void *ctx, sd_bus_error *error _unused_)
{
	struct agent *agent = ctx;
	int begins;

	if (agent->logind->read(m, "b", &begins) < 0)
		return 0;
	agent->sleep.by_logind = begins;
	if (begins)
		sleep_begin(agent);
	else
		sleep_end(agent);
	return 0;
}

/* logind has ended, or has come; what it knew of us may be gone. */
static int on_owner(sd_bus_message *m, void *ctx, sd_bus_error *error _unused_)
{
	struct agent *agent = ctx;
	const char *name, *before, *now;

	if (agent->logind->read(m, "sss", &name, &before, &now) < 0)
		return 0;
	agent->sleep.by_logind = false;
	if (*now)
		logind_again(agent);
	return 0;
}

/* ------------------------------------------------------------- the bus */

static void logind_later(struct logind *l)
{
	if (l->bus)
		l->close_unref(l->bus);
	l->bus = NULL;
	l->inhibitor = fd_close(l->inhibitor);
	l->due_ns = l->failures < TRIES ? agent_now() + (NS_PER_SECOND << l->failures) : NEVER;
	l->failures++;
}

static void logind_connect(struct agent *agent)
{
	struct logind *l = agent->logind;
	int r;

	l->due_ns = NEVER;
	r = l->open_system(&l->bus);
	if (r < 0)
		l->bus = NULL;
	if (r >= 0)
		r = l->match_signal(l->bus, NULL, SERVICE, OBJECT, INTERFACE, "PrepareForSleep",
				    on_sleep, NULL, agent);
	if (r >= 0)
		r = l->add_match(l->bus, NULL, COMES, on_owner, NULL, agent);
	if (r < 0) {
		log_debug("D-Bus: %s; without logind", errno_text(r));
		logind_later(l);
		return;
	}
	logind_again(agent);
}

/**
 * logind_start() - look for logind
 * @agent:	gets it, where this program can speak to one
 */
void logind_start(struct agent *agent)
{
	struct logind *l = calloc(1, sizeof(*l));

	if (!l)
		return;
	l->inhibitor = -1;
	if (!logind_load(l)) {
		log_debug("no %s: without logind", LIBRARY);
		free(l);
		return;
	}
	agent->logind = l;
	logind_connect(agent);
}

/**
 * logind_stop() - end
 * @agent:	the agent
 */
void logind_stop(struct agent *agent)
{
	struct logind *l = agent->logind;

	if (!l)
		return;
	if (l->bus)
		l->close_unref(l->bus);
	fd_close(l->inhibitor);
	dlclose(l->library);
	free(l);
	agent->logind = NULL;
}

/**
 * logind_poll() - what to wait for
 * @agent:	the agent
 * @ret_poll:	filled in
 */
void logind_poll(struct agent *agent, struct pollfd *ret_poll)
{
	struct logind *l = agent->logind;
	int events;

	*ret_poll = (struct pollfd){.fd = -1};
	if (!l || !l->bus)
		return;
	events = l->get_events(l->bus);
	*ret_poll =
		(struct pollfd){.fd = l->get_fd(l->bus), .events = (short)max_t(int, events, 0)};
}

/**
 * logind_due() - when logind_work() has something to do, beside what comes
 * @agent:	the agent
 *
 * Return: as agent_now(), or NEVER.
 */
uint64_t logind_due(struct agent *agent)
{
	struct logind *l = agent->logind;
	uint64_t us, now;
	struct timespec ts;

	if (!l)
		return NEVER;
	if (!l->bus || l->get_timeout(l->bus, &us) < 0 || us == UINT64_MAX)
		return l->due_ns;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
	return agent_now() + (us > now ? (us - now) * 1000 : 0);
}

/**
 * logind_work() - what has come, and what is due
 * @agent:	the agent
 */
void logind_work(struct agent *agent)
{
	struct logind *l = agent->logind;
	int r = 1;

	if (!l)
		return;
	if (!l->bus) {
		if (l->due_ns <= agent_now())
			logind_connect(agent);
		return;
	}
	while (r > 0)
		r = l->process(l->bus, NULL);
	if (r < 0) {
		log_info("D-Bus: %s; looking for it again", errno_text(r));
		l->failures = 0;
		logind_later(l);
	}
}

/**
 * logind_release() - the system may sleep
 * @agent:	the agent
 */
void logind_release(struct agent *agent)
{
	if (agent->logind)
		agent->logind->inhibitor = fd_close(agent->logind->inhibitor);
}

/**
 * logind_again() - have logind wait for this program before the next sleep
 * @agent:	the agent, awake; nothing is done where there is no logind
 */
void logind_again(struct agent *agent)
{
	struct logind *l = agent->logind;
	int r;

	if (!l || !l->bus)
		return;
	r = l->call_method(l->bus, NULL, SERVICE, OBJECT, INTERFACE, "Inhibit", on_inhibited, agent,
			   "ssss", "sleep", "usbroute-agent",
			   "takes its USB devices off vhci-hcd, which refuses to sleep with them",
			   "delay");
	if (r < 0)
		log_debug("logind: %s", errno_text(r));
}

/**
 * logind_look() - there is other news: the bus may be there by now
 * @agent:	the agent
 */
void logind_look(struct agent *agent)
{
	struct logind *l = agent->logind;

	if (l && !l->bus && l->due_ns == NEVER)
		l->due_ns = agent_now();
}

/**
 * logind_there() - whether there is a bus by which logind can be heard
 * @agent:	the agent
 */
bool logind_there(const struct agent *agent)
{
	return agent->logind && agent->logind->bus;
}
