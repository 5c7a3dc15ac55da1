/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon's end of a guest's usbroute-agent; see agent.h. */
#include "daemon/guests/agent.h"

#include <build_info.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "protocol/agent_line.h"
#include "base/fd.h"
#include "base/log.h"
#include "daemon/guests/guests.h"
#include "daemon/routing/route.h"

#define HELLO_SECONDS 5
/* Connections are taken one by one, so far apart. */
#define ACCEPT_PAUSE_NS (50ull * 1000 * 1000)
#define NO_ROOM_SECONDS 1 /* without a free descriptor */
/* A guest whose ports are all busy says some 100 lines at once, and then nothing for hours. */
#define LINES_AT_ONCE  512
#define LINES_A_SECOND 32
#define NS_PER_SECOND  1000000000ull

/* A device that the agent was told of. */
struct told {
	struct list link;
	char busid[AGENT_NAME_SIZE];
	char name[AGENT_NAME_SIZE]; /* "": it had none */
	uint32_t devid;
};

struct agent {
	struct vm *vm;
	uint32_t number; /* of its connection */
	struct agent_line line;
	struct loop_watch in, out, deadline;
	struct list told;
	unsigned n_told, high, super;
	char version[AGENT_NAME_SIZE];
	char boot[AGENT_BOOT_SIZE]; /* of its guest; "": it does not say */
	bool doubted;		    /* the card was down meanwhile */
	uint64_t lines_ns;	    /* the time up to which its lines are paid for */
};

/* ------------------------------------------------------------- life */

static void agent_free(struct agent *agent)
{
	struct loop *loop = agent->vm->vms->core->loop;
	struct list *l;

	loop_cancel(loop, &agent->in);
	loop_cancel(loop, &agent->out);
	loop_cancel(loop, &agent->deadline);
	while ((l = list_pop(&agent->told)))
		free(list_entry(l, struct told, link));
	agent_line_deinit(&agent->line);
	/* A control that stops leaves it to the next one. */
	if (!agent->vm->vms->core->stopping)
		guest_agent_end(agent->vm->guest, agent->number);
	free(agent);
}

static void agent_close(struct agent *agent, const char *why)
{
	struct vm *vm = agent->vm;

	if (vm->side->agents.there == agent) {
		vm->side->agents.there = NULL;
		vm->asleep = false;
		log_limited(&vm->limit, LOG_LEVEL_INFO, "%s: its agent has gone: %s", vm->name,
			    why);
	} else {
		vm->side->agents.greeting = NULL;
	}
	agent_free(agent);
}

/**
 * agents_close() - a VM goes for good, or the daemon does: it has no agents any more
 * @vm:		the VM
 * @why:	for the log
 */
void agents_close(struct vm *vm, const char *why)
{
	if (vm->side->agents.there)
		agent_close(vm->side->agents.there, why);
	if (vm->side->agents.greeting)
		agent_close(vm->side->agents.greeting, "");
	loop_cancel(vm->vms->core->loop, &vm->side->agents.pause);
	vm->side->agents.waits = vm->side->agents.ready = false;
}

/* ------------------------------------------------------------- saying */

static void agent_writable(void *ctx, int res _unused_)
{
	struct agent *agent = ctx;
	int r = agent_line_flush(&agent->line);

	if (r < 0)
		agent_close(agent, errno_text(r));
	else if (agent_line_pending(&agent->line))
		loop_watch_again(agent->vm->vms->core->loop, &agent->out);
	else
		loop_cancel(agent->vm->vms->core->loop, &agent->out);
}

/* After a failure the line is over, and its end comes by the poll; nothing is freed in here. */
static void agent_say(struct agent *agent, const struct agent_message *message)
{
	if (agent_line_say(&agent->line, message) < 0)
		shutdown(agent->line.sock, SHUT_RDWR);
	else if (agent_line_pending(&agent->line) && !loop_watching(&agent->out) &&
		 loop_watch_fd(agent->vm->vms->core->loop, &agent->out, agent->line.sock, POLLOUT,
			       0, agent_writable, agent) < 0)
		shutdown(agent->line.sock, SHUT_RDWR);
}

static void agent_say_busid(struct agent *agent, enum agent_verb verb, const char *busid)
{
	struct agent_message m = {.verb = verb};

	snprintf(m.busid, sizeof(m.busid), "%s", busid);
	agent_say(agent, &m);
}

/* ------------------------------------------------------------- what is routed to it */

static bool is_sound(const struct device *d)
{
	return strlen(d->busid) < AGENT_NAME_SIZE && agent_speed_name(d->info.speed);
}

static struct device *exported_device(struct vm *vm, const char *busid)
{
	list_for_each(it, &vm->side->guests->devices->all) {
		struct device *d = list_entry(it, struct device, link);

		if (!strcmp(d->busid, busid) && route_exported_to(d, vm))
			return d;
	}
	return NULL;
}

/* Exported to it, and nobody there has let go of it; or somebody has it again, by hand. */
static bool agent_may_have(const struct agent *agent, struct device *d)
{
	const struct route_status route = route_status(d);

	if (!route_exported_to(d, agent->vm))
		return false;
	if (!route.let_go.vm[0] || route.session || route.importing)
		return true;
	if (!strcmp(route.let_go.boot, agent->boot))
		return false;
	/* The guest was started anew since. */
	route_give_again(d);
	return true;
}

static struct told *agent_told(struct agent *agent, const struct device *d)
{
	list_for_each(it, &agent->told) {
		struct told *told = list_entry(it, struct told, link);

		if (told->devid == usbip_devid(&d->info) && !strcmp(told->busid, d->busid))
			return told;
	}
	return NULL;
}

static const char *name_of(const struct device *d)
{
	return device_alias(d) ? device_alias(d) : "";
}

/* An agent that has it already hears only the device's new name by this. */
static void agent_say_route(struct agent *agent, const struct device *d, struct told *told)
{
	struct agent_message m = {
		.verb = AGENT_ROUTE,
		.speed = (enum agent_speed)d->info.speed,
		.devid = usbip_devid(&d->info),
		.held = route_is_taken(d),
	};

	snprintf(told->name, sizeof(told->name), "%s", name_of(d));
	snprintf(m.busid, sizeof(m.busid), "%s", d->busid);
	snprintf(m.name, sizeof(m.name), "%s", name_of(d));
	agent_say(agent, &m);
}

static void agent_tell(struct agent *agent, const struct device *d)
{
	struct told *told;

	if (agent->n_told >= AGENT_ROUTES)
		return;
	told = calloc(1, sizeof(*told));
	if (!told)
		return;
	snprintf(told->busid, sizeof(told->busid), "%s", d->busid);
	told->devid = usbip_devid(&d->info);
	list_append(&agent->told, &told->link);
	agent->n_told++;
	agent_say_route(agent, d, told);
}

/* Say what is different from what it was told; first what has ended. */
static void agent_changed(struct vm *vm)
{
	struct agent *agent = vm->side->agents.there;

	list_for_each_safe(it, &agent->told) {
		struct told *told = list_entry(it, struct told, link);
		struct device *d = exported_device(vm, told->busid);

		if (d && usbip_devid(&d->info) == told->devid)
			continue;
		agent_say_busid(agent, AGENT_UNROUTE, told->busid);
		list_remove(it);
		agent->n_told--;
		free(told);
	}
	list_for_each(it, &vm->side->guests->devices->all) {
		struct device *d = list_entry(it, struct device, link);

		struct told *told = agent_told(agent, d);

		if (!is_sound(d) || !agent_may_have(agent, d))
			continue;
		if (!told)
			agent_tell(agent, d);
		else if (strcmp(told->name, name_of(d)))
			agent_say_route(agent, d, told);
	}
}

/* ------------------------------------------------------------- what it says */

/* All that is routed to its guest, whatever was told before. */
static void agent_list(struct agent *agent)
{
	struct agent_message m = {
		.verb = AGENT_WELCOME, .protocol = AGENT_PROTOCOL, .let_go = true};
	struct list *l;

	while ((l = list_pop(&agent->told)))
		free(list_entry(l, struct told, link));
	agent->n_told = 0;
	snprintf(m.name, sizeof(m.name), "%s", agent->vm->name);
	snprintf(m.version, sizeof(m.version), "%s", USBROUTED_VERSION);
	agent_say(agent, &m);
	agent_changed(agent->vm);
	m.verb = AGENT_SYNCED;
	agent_say(agent, &m);
}

static void agent_greet(struct agent *agent, const struct agent_message *hello)
{
	struct vm *vm = agent->vm;

	loop_cancel(vm->vms->core->loop, &agent->deadline);
	vm->side->agents.greeting = NULL;
	if (vm->side->agents.there)
		agent_close(vm->side->agents.there, "a newer one has come");
	vm->side->agents.there = agent;
	agent->high = hello->high;
	agent->super = hello->super;
	memcpy(agent->version, hello->version, sizeof(agent->version));
	memcpy(agent->boot, hello->boot, sizeof(agent->boot));
	log_limited(&vm->limit, LOG_LEVEL_INFO, "%s: its agent is there, version %s", vm->name,
		    agent->version);
	agent_list(agent);
}

/* Somebody there has detached it: the agent has forgotten it, so it counts as not told. */
static void agent_lets_go(struct agent *agent, struct device *d)
{
	struct told *told = agent_told(agent, d);

	if (!told || route_status(d).importing || !agent->boot[0])
		return;
	list_remove(&told->link);
	agent->n_told--;
	free(told);
	log_limited(&agent->vm->limit, LOG_LEVEL_NOTICE,
		    "%s: let go of in %s by somebody there; it stays routed to %s", d->tag,
		    agent->vm->name, agent->vm->name);
	route_guest_lets_go(d, agent->vm, agent->boot);
}

static void agent_sleeps(struct agent *agent, bool asleep)
{
	if (agent->vm->asleep == asleep)
		return;
	agent->vm->asleep = asleep;
	log_limited(
		&agent->vm->limit, LOG_LEVEL_INFO,
		asleep ? "%s: its guest goes to sleep, and lets go of its devices until it is awake"
		       : "%s: its guest is awake",
		agent->vm->name);
}

/*
 * How the guest fares with a device. What it says of a device that is not routed to it is ignored.
 */
static void agent_reports(struct agent *agent, const struct agent_message *m)
{
	struct device *d = exported_device(agent->vm, m->busid);

	if (!d)
		return;
	switch (m->verb) {
	case AGENT_TRYING:
		route_guest_says(d, agent->vm, false, "");
		break;
	case AGENT_HAS:
		/* Without a session it has something else there. */
		if (route_is_taken(d))
			route_guest_says(d, agent->vm, true, "");
		break;
	case AGENT_LETGO:
		agent_lets_go(agent, d);
		break;
	case AGENT_FAILED:
		log_limited(&agent->vm->limit, LOG_LEVEL_WARNING, "%s: %s: %s", agent->vm->name,
			    d->tag, m->text);
		route_guest_says(d, agent->vm, false, m->text);
		break;
	default:
		route_guest_says(d, agent->vm, false, "the guest's kernel has let go of it");
		break;
	}
}

/* Return: 0, AGENT_LINE_MORE where the connection has been closed for it, or a negative errno. */
static int agent_hears(struct agent *agent, const struct agent_message *m)
{
	struct agent_message pong = {.verb = AGENT_PONG};
	bool greeting = agent->vm->side->agents.there != agent;

	if (greeting && m->verb == AGENT_HELLO && m->protocol != AGENT_PROTOCOL) {
		struct agent_message refused = {.verb = AGENT_REFUSED};

		snprintf(refused.text, sizeof(refused.text),
			 "usbrouted %s speaks protocol %d only; install the same version",
			 USBROUTED_VERSION, AGENT_PROTOCOL);
		log_limited(&agent->vm->limit, LOG_LEVEL_WARNING,
			    "%s: its agent speaks protocol %u, not %d: install the same version",
			    agent->vm->name, m->protocol, AGENT_PROTOCOL);
		agent_say(agent, &refused);
		return -EPROTONOSUPPORT;
	}
	if (greeting && m->verb != AGENT_HELLO)
		return -EPROTO;
	if (agent->doubted && agent->vm->connected) {
		agent->doubted = false;
		agent_list(agent);
	}
	switch (m->verb) {
	case AGENT_HELLO:
		if (!greeting)
			return -EPROTO;
		agent_greet(agent, m);
		return 0;
	case AGENT_PORTS:
		agent->high = m->high;
		agent->super = m->super;
		return 0;
	case AGENT_TRYING:
	case AGENT_HAS:
	case AGENT_FAILED:
	case AGENT_GONE:
	case AGENT_LETGO:
		agent_reports(agent, m);
		return 0;
	case AGENT_SLEEP:
	case AGENT_AWAKE:
		agent_sleeps(agent, m->verb == AGENT_SLEEP);
		return 0;
	case AGENT_PING:
		agent_say(agent, &pong);
		return 0;
	default:
		return 0;
	}
}

/* Each line costs a part of a second, and a bounded number of lines may be said in advance. */
static bool agent_pays(struct agent *agent)
{
	const uint64_t price = NS_PER_SECOND / LINES_A_SECOND;
	uint64_t now = loop_now();

	if (agent->lines_ns < now)
		agent->lines_ns = now;
	agent->lines_ns += price;
	return agent->lines_ns - now <= LINES_AT_ONCE * price;
}

static void agent_readable(void *ctx, int res _unused_)
{
	struct agent *agent = ctx;
	struct agent_message m;
	const char *why = "it does not keep to the protocol";
	struct vm *vm = agent->vm;
	bool was_there;
	int r;

	while ((r = agent_line_next(&agent->line, &m)) == 0) {
		if (!agent_pays(agent)) {
			why = "it says too much";
			r = -EPROTO;
		} else {
			r = agent_hears(agent, &m);
		}
		if (r < 0)
			break;
	}
	if (r == AGENT_LINE_MORE) {
		loop_watch_again(agent->vm->vms->core->loop, &agent->in);
		return;
	}
	if (r == -EPROTO)
		log_limited(&agent->vm->limit, LOG_LEVEL_WARNING, "%s: its agent: %s",
			    agent->vm->name, why);
	else
		why = r == -EPIPE ? "it has closed the connection" : errno_text(r);
	was_there = vm->side->agents.there == agent;
	agent_close(agent, why);
	if (!was_there)
		return;
	/* Whoever waits for its answer waits in vain. */
	list_for_each(it, &vm->side->guests->devices->all) {
		struct device *d = list_entry(it, struct device, link);

		if (route_exported_to(d, vm))
			route_guest_says(d, vm, false, "");
	}
}

/* ------------------------------------------------------------- coming in */

static void agent_late(void *ctx, int res _unused_)
{
	struct agent *agent = ctx;

	log_limited(&agent->vm->limit, LOG_LEVEL_INFO, "%s: an agent said nothing for %d s",
		    agent->vm->name, HELLO_SECONDS);
	agent_close(agent, "");
}

static void agent_greets(struct vm *vm, int sock)
{
	struct loop *loop = vm->vms->core->loop;
	struct agent *agent = calloc(1, sizeof(*agent));

	if (!agent) {
		fd_close(sock);
		guest_agent_end(vm->guest, vm->side->agents.n_ever);
		return;
	}
	agent->vm = vm;
	agent->number = vm->side->agents.n_ever;
	list_init(&agent->told);
	agent_line_init(&agent->line, sock, true);
	if (vm->side->agents.greeting)
		agent_close(vm->side->agents.greeting, "");
	vm->side->agents.greeting = agent;
	if (loop_watch_fd(loop, &agent->in, agent->line.sock, POLLIN, 0, agent_readable, agent) <
		    0 ||
	    loop_watch_time(loop, &agent->deadline, HELLO_SECONDS * NS_PER_SECOND, agent_late,
			    agent) < 0)
		agent_close(agent, "");
}

static void agent_let_in(void *ctx, int res _unused_)
{
	struct vm *vm = ctx;
	uint64_t pause_ns = ACCEPT_PAUSE_NS;
	int pair[2];

	if (!vm->side->agents.waits || !vm->side->agents.ready)
		return;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0) {
		vm->side->agents.waits = false;
		guest_agent(vm->guest, ++vm->side->agents.n_ever, pair[1]);
		agent_greets(vm, pair[0]);
	} else {
		log_limited(&vm->limit, LOG_LEVEL_WARNING, "%s: its agent can't be let in yet: %s",
			    vm->name, errno_text(errno));
		pause_ns = NO_ROOM_SECONDS * NS_PER_SECOND;
	}
	if (loop_watch_time(vm->vms->core->loop, &vm->side->agents.pause, pause_ns, agent_let_in,
			    vm) < 0)
		log_limited(&vm->limit, LOG_LEVEL_WARNING, "%s: no room to watch for agents",
			    vm->name);
}

/**
 * agent_asked() - somebody has connected to a VM's agent port
 * @ctx:	the VM; one is asked for at a time
 */
void agent_asked(void *ctx)
{
	struct vm *vm = ctx;

	/* Its process ends, or the next daemon is asked. */
	if (vm->leaving || vm->vms->core->stopping)
		return;
	vm->side->agents.waits = true;
	if (!loop_watching(&vm->side->agents.pause))
		agent_let_in(vm, 0);
}

/**
 * agents_ready() - what a VM has is known: its agents are let in, and told
 * @vm:		the VM, whose devices are where they will be; called again, it changes nothing
 */
void agents_ready(struct vm *vm)
{
	vm->side->agents.ready = true;
	if (!loop_watching(&vm->side->agents.pause))
		agent_let_in(vm, 0);
}

/**
 * agents_card() - a VM's card is up or down
 * @vm:		the VM
 * @up:		it is up; whoever is behind it now is asked
 */
void agents_card(struct vm *vm, bool up)
{
	struct agent_message ping = {.verb = AGENT_PING};

	if (vm->side->agents.there && up)
		agent_say(vm->side->agents.there, &ping);
	else if (vm->side->agents.there)
		vm->side->agents.there->doubted = true;
	if (vm->side->agents.greeting && !up)
		agent_close(vm->side->agents.greeting, "");
}

/* ------------------------------------------------------------- as a way to a guest's inside */

static bool agent_there(const struct vm *vm)
{
	return vm->side->agents.there && vm->connected && !vm->side->agents.there->doubted;
}

static const char *agent_version(const struct vm *vm)
{
	return vm->side->agents.there->version;
}

static struct guest_ports agent_ports(const struct vm *vm)
{
	const struct agent *agent = vm->side->agents.there;

	return (struct guest_ports){.high = (int)agent->high, .super = (int)agent->super};
}

const struct guest_way agent_way = {
	.there = agent_there,
	.changed = agent_changed,
	.version = agent_version,
	.ports = agent_ports,
};
