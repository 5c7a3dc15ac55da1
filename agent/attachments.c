/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The devices that the daemon says are this guest's; see agent.h.
 *
 *   WAITING --due--> CONNECTING -> ASKING -> STARTING --configured--> THERE
 *      ^                 | refused, late        | port is free again    |
 *      '-----------------+----------------------+-----------------------'
 *
 * A device is there when the kernel has set its configuration, not when it has taken the
 * connection. What ends by itself (the kernel frees the port) is tried again, later each time, as
 * long as the daemon says that it is this guest's.
 *
 * Who is behind a port is known from the files of `usbip port`, which this writes as well: so a
 * device that somebody attached by hand, or that an earlier run of this program did, is found and
 * left alone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "agent/attachment.h"

#define IMPORT_NS    (15 * NS_PER_SECOND) /* the daemon asks an old connection whether it lives */
#define ENUMERATE_NS (10 * NS_PER_SECOND)
#define LOOK_NS	     (500 * NS_PER_MS) /* meanwhile, should news of it be lost */
#define RETRY_NS     (500 * NS_PER_MS)
#define RETRY_MAX_NS (30 * NS_PER_SECOND)

/* ------------------------------------------------------------- saying */

/**
 * route_say() - tell the daemon how it goes with a device
 * @agent:	connected, or it is dropped
 * @route:	the device
 * @verb:	a verb of the guest's that has a busid
 */
void route_say(struct agent *agent, const struct route *route, enum agent_verb verb)
{
	struct agent_message m = {.verb = verb, .port = route->port};

	memcpy(m.busid, route->busid, sizeof(m.busid));
	memcpy(m.text, route->said, sizeof(m.text));
	if (agent->state == AGENT_TALKING)
		agent_say(agent, &m);
}

/**
 * route_name() - what a device is called in the log
 * @route:	the device
 */
const char *route_name(const struct route *route)
{
	return route->alias[0] ? route->alias : route->busid;
}

static void again_later(struct route *route)
{
	uint64_t wait = RETRY_NS << min_t(unsigned, route->failures, 8);

	route->sock = fd_close(route->sock);
	route->state = WAITING;
	route->due_ns = agent_now() + min_t(uint64_t, wait, RETRY_MAX_NS);
	route->failures++;
}

/* A reason that stays the same is logged once. */
static void complain(struct agent *agent, struct route *route, const char *text)
{
	if (strcmp(route->said, text)) {
		snprintf(route->said, sizeof(route->said), "%s", text);
		log_warning("%s: %s", route_name(route), text);
		route_say(agent, route, AGENT_FAILED);
	}
}

static void fail(struct agent *agent, struct route *route, const char *text)
{
	complain(agent, route, text);
	again_later(route);
}

/* ------------------------------------------------------------- who is behind a port */

/* The host's name in the file: what a person would have typed after `usbip attach -r`. */
static void host_name(const struct agent *agent, bool v4, char *host, size_t size)
{
	char dotted[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &agent->options.address, dotted, sizeof(dotted));
	if (v4)
		snprintf(host, size, "%s", dotted);
	else
		snprintf(host, size, "fe80::1%%%s", agent->segment.name);
}

static bool is_daemons(const struct agent *agent, const struct vhci_peer *peer)
{
	char v4[64], v6[64];

	host_name(agent, true, v4, sizeof(v4));
	host_name(agent, false, v6, sizeof(v6));
	return peer->port == USBIP_PORT && (!strcmp(peer->host, v4) || !strcmp(peer->host, v6));
}

static bool is_of(const struct route *route, const struct vhci_peer *peer)
{
	return !strcmp(peer->busid, route->busid) ||
	       (route->alias[0] && !strcmp(peer->busid, route->alias));
}

/* Whether this program has put a route's connection on the port. */
static bool is_taken(const struct agent *agent, unsigned number, const struct route *but)
{
	list_for_each(it, &agent->routes) {
		const struct route *route = list_entry(it, struct route, link);

		if (route != but && route->state >= STARTING && route->port == number)
			return true;
	}
	return false;
}

/* The port that has a device already; NULL: none has. */
static const struct vhci_port *port_with(const struct agent *agent, const struct route *route)
{
	const struct vhci_port *likely = NULL;

	for (unsigned i = 0; i < agent->status.n; i++) {
		const struct vhci_port *port = &agent->status.ports[i];
		struct vhci_peer peer;

		if (port->status == VHCI_FREE || is_taken(agent, port->number, route))
			continue;
		if (vhci_peer_read(&agent->vhci, port->number, &peer) < 0) {
			/* Whoever attached it has left no file. */
			if (route->held && port->status == VHCI_USED && port->devid == route->devid)
				likely = port;
		} else if (is_daemons(agent, &peer) && is_of(route, &peer)) {
			return port;
		}
	}
	return likely;
}

/**
 * route_take_off() - take what is on a port off it
 * @agent:	the agent
 * @number:	the port
 */
void route_take_off(struct agent *agent, unsigned number)
{
	routes_hands(agent);
	vhci_peer_remove(&agent->vhci, number);
	/* Where the kernel was faster, there is nothing on the port. */
	vhci_detach(&agent->vhci, number);
	by_hand_forget(&agent->hand);
}

/* ------------------------------------------------------------- on a port */

static void started(struct agent *agent, struct route *route, unsigned number)
{
	struct vhci_peer peer;

	route->state = STARTING;
	route->port = number;
	route->by_hand = route->let_go = false;
	route->filed = vhci_peer_read(&agent->vhci, number, &peer) == 0;
	route->due_ns = agent_now() + LOOK_NS;
	route->complain_ns = agent_now() + ENUMERATE_NS;
	route->sock = fd_close(route->sock);
	routes_look(agent);
}

static void put_on(struct agent *agent, struct route *route, const struct import_reply *reply)
{
	struct vhci_peer peer = {.port = USBIP_PORT};
	char text[AGENT_TEXT_SIZE];
	unsigned number;
	int r;

	/* The kernel reads and writes the socket as it likes; our mode would only disturb it. */
	fcntl(route->sock, F_SETFL, 0);
	r = vhci_attach(&agent->vhci, route->sock, reply->devid, reply->speed, &number);
	if (r < 0) {
		snprintf(text, sizeof(text), "the guest's vhci-hcd does not take it: %s",
			 errno_text(r));
		fail(agent, route, text);
		return;
	}
	host_name(agent, agent->by_v4, peer.host, sizeof(peer.host));
	memcpy(peer.busid, route->busid, sizeof(peer.busid));
	r = vhci_peer_write(&agent->vhci, number, &peer);
	if (r < 0)
		log_warning("%s/port%u: %s; `usbip port` won't know what is there",
			    agent->vhci.files, number, errno_text(r));
	route->devid = reply->devid;
	started(agent, route, number);
}

/* ------------------------------------------------------------- importing */

static void import(struct agent *agent, struct route *route)
{
	bool super = route->speed == AGENT_SPEED_SUPER;
	int r;

	route->needs_port = true;
	if (!agent->status.n) {
		fail(agent, route, "the guest has no vhci-hcd (try there: modprobe vhci-hcd)");
		return;
	}
	if (!vhci_count_free(&agent->status, super)) {
		fail(agent, route,
		     super ? "the guest's vhci-hcd has no free port for SuperSpeed"
			   : "the guest's vhci-hcd has no free port up to high speed");
		return;
	}
	route->needs_port = false;
	if (!route->failures)
		route_say(agent, route, AGENT_TRYING);
	route->got = 0;
	r = agent_connect(agent, agent->by_v4, USBIP_PORT, &route->sock);
	if (r < 0) {
		fail(agent, route, errno_text(r));
		return;
	}
	route->state = CONNECTING;
	route->due_ns = agent_now() + IMPORT_NS;
}

static void asked(struct agent *agent, struct route *route)
{
	uint8_t request[IMPORT_REQUEST_SIZE];
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(route->sock, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	import_request(request, route->busid);
	if (!error && send(route->sock, request, sizeof(request), MSG_NOSIGNAL) != sizeof(request))
		error = EIO;
	if (error)
		fail(agent, route, errno_text(error));
	else
		route->state = ASKING;
}

static void answered(struct agent *agent, struct route *route)
{
	struct import_reply reply;
	int r = IMPORT_MORE;

	while (r == IMPORT_MORE) {
		/* A refusal is shorter, and not one byte of what follows an answer may be read. */
		size_t want =
			route->got < IMPORT_REFUSAL_SIZE ? IMPORT_REFUSAL_SIZE : IMPORT_REPLY_SIZE;
		ssize_t n = recv(route->sock, route->reply + route->got, want - route->got,
				 MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			fail(agent, route, "usbrouted has closed the connection for it");
			return;
		}
		route->got += (size_t)n;
		r = import_parse(route->reply, route->got, route->busid, &reply);
	}
	if (r == 0)
		put_on(agent, route, &reply);
	else if (r == -EBUSY)
		fail(agent, route, "something else in the guest has it");
	else if (r == -ENODEV)
		again_later(route); /* it has moved on; UNROUTE is under way */
	else
		fail(agent, route, "usbrouted does not give it");
}

/* Its time has come. Somebody else may have attached it already. */
static void try_it(struct agent *agent, struct route *route)
{
	const struct vhci_port *port;

	route->due_ns = NEVER;
	if (agent->state != AGENT_TALKING || !route->told || route->let_go ||
	    agent->sleep.state != SLEEP_AWAKE || agent->sleep.waking)
		return;
	port = port_with(agent, route);
	if (port)
		started(agent, route, port->number);
	else if (route->held && !route->failures)
		again_later(route); /* by other hands, just now */
	else
		import(agent, route);
}

/* ------------------------------------------------------------- looking */

static void look_at(struct agent *agent, struct route *route)
{
	const struct vhci_port *port = vhci_find(&agent->status, route->port);
	uint64_t now = agent_now();
	struct vhci_peer peer;

	/* Whoever attached it by hand writes the file after that, perhaps only just now. */
	if (!route->filed && port && port->status != VHCI_FREE)
		route->filed = vhci_peer_read(&agent->vhci, route->port, &peer) == 0;
	if (!port || port->status == VHCI_FREE || port->status == VHCI_BROKEN) {
		bool let_go = route_was_let_go(agent, route, port);

		if (let_go && route_lets_go(agent, route))
			return;
		log_info("%s: port %u has let go of it", route_name(route), route->port);
		vhci_peer_remove(&agent->vhci, route->port);
		if (route->state == THERE) {
			route_say(agent, route, AGENT_GONE);
			route->failures = 0;
		}
		again_later(route);
		/* The daemon names it again, and is told then. */
		if (let_go && agent->state != AGENT_TALKING) {
			route->let_go = true;
			route->due_ns = NEVER;
		}
	} else if (route->state == STARTING && vhci_configured(&agent->vhci, port)) {
		log_notice("%s: there, on port %u as %s", route_name(route), route->port,
			   port->local);
		route->state = THERE;
		route->due_ns = NEVER;
		route->failures = 0;
		route->said[0] = 0;
		route_say(agent, route, AGENT_HAS);
	} else if (route->state == STARTING) {
		route->due_ns = now + LOOK_NS;
		if (route->complain_ns <= now) {
			route->due_ns = NEVER; /* from here on, news of it will do */
			complain(agent, route,
				 port->status == VHCI_USED
					 ? "the guest's kernel has not configured it "
					   "(authorized_default?)"
					 : "the guest's kernel gets no answer from it");
		}
	}
}

/**
 * routes_look() - something may have changed on the ports
 * @agent:	whose ports and routes are looked at; free ports are told where they have changed
 */
void routes_look(struct agent *agent)
{
	struct agent_message m = {.verb = AGENT_PORTS};

	if (vhci_read(&agent->vhci, &agent->status) < 0) {
		agent->status.n = 0;
		vhci_init(&agent->vhci, agent->options.sysfs, agent->options.run);
	}
	routes_hands(agent);
	list_for_each_safe(it, &agent->routes) {
		struct route *route = list_entry(it, struct route, link);

		if (route->state >= STARTING)
			look_at(agent, route);
	}
	m.high = vhci_count_free(&agent->status, false);
	m.super = vhci_count_free(&agent->status, true);
	if (m.high == agent->high && m.super == agent->super)
		return;
	list_for_each(it, &agent->routes) {
		struct route *route = list_entry(it, struct route, link);

		if (route->state == WAITING && route->needs_port &&
		    (m.high > agent->high || m.super > agent->super))
			route->due_ns = agent_now();
	}
	agent->high = m.high;
	agent->super = m.super;
	if (agent->state == AGENT_TALKING)
		agent_say(agent, &m);
}

/* ------------------------------------------------------------- what the daemon tells */

static struct route *find(struct agent *agent, const char *busid)
{
	list_for_each(it, &agent->routes) {
		struct route *route = list_entry(it, struct route, link);

		if (!strcmp(route->busid, busid))
			return route;
	}
	return NULL;
}

/**
 * route_forget() - have nothing more to do with a device
 * @agent:	the agent
 * @route:	the device; freed
 */
void route_forget(struct agent *agent, struct route *route)
{
	fd_close(route->sock);
	list_remove(&route->link);
	agent->n_routes--;
	free(route);
}

static void drop(struct agent *agent, struct route *route)
{
	if (route->state >= STARTING) {
		log_notice("%s: not this guest's any more", route_name(route));
		route_take_off(agent, route->port);
	}
	route_forget(agent, route);
}

static void told(struct agent *agent, const struct agent_message *m)
{
	struct route *route = find(agent, m->busid);
	const struct vhci_port *port;

	/* Plugged out and in again: another device, even if it goes by the same name. */
	if (route && route->devid != m->devid) {
		drop(agent, route);
		route = NULL;
	}
	if (!route && agent->n_routes < AGENT_ROUTES) {
		route = calloc(1, sizeof(*route));
		if (!route)
			return;
		route->sock = -1;
		memcpy(route->busid, m->busid, sizeof(route->busid));
		list_append(&agent->routes, &route->link);
		agent->n_routes++;
	}
	if (!route)
		return;
	memcpy(route->alias, m->name, sizeof(route->alias));
	route->speed = m->speed;
	route->devid = m->devid;
	route->held = m->held;
	route->told = true;
	if (route->let_go && !m->held && route_lets_go(agent, route))
		return;
	route->let_go = false;
	if (route->state >= STARTING && m->held) {
		if (route->state == THERE)
			route_say(agent, route, AGENT_HAS);
		else if (route->said[0])
			route_say(agent, route, AGENT_FAILED);
		return;
	}
	/* An import that is under way goes on, whoever has begun it. */
	if (route->state == CONNECTING || route->state == ASKING) {
		route_say(agent, route, AGENT_TRYING);
		return;
	}
	/* A connection that the daemon does not know is dead, whatever the kernel here believes. */
	port = m->held ? NULL : port_with(agent, route);
	if (port || route->state >= STARTING) {
		unsigned number = port ? port->number : route->port;

		log_info("%s: port %u has a dead connection; taken off", route_name(route), number);
		route_take_off(agent, number);
	}
	route->sock = fd_close(route->sock);
	route->state = WAITING;
	route->failures = 0;
	route->said[0] = 0;
	/* While the guest sleeps it waits for routes_wake(). */
	route->due_ns = agent->sleep.state == SLEEP_AWAKE ? agent_now() : NEVER;
}

/**
 * routes_told() - the daemon says what is this guest's, or is no more
 * @agent:	the agent
 * @message:	ROUTE or UNROUTE
 */
void routes_told(struct agent *agent, const struct agent_message *message)
{
	struct route *route;

	if (vhci_read(&agent->vhci, &agent->status) < 0)
		agent->status.n = 0;
	if (message->verb == AGENT_ROUTE) {
		told(agent, message);
		return;
	}
	route = find(agent, message->busid);
	if (route)
		drop(agent, route);
	routes_look(agent);
}

/* Ports on which something of this daemon's is left over, and files of ports that are free. */
static void clean(struct agent *agent)
{
	for (unsigned i = 0; i < agent->status.n; i++) {
		const struct vhci_port *port = &agent->status.ports[i];
		struct vhci_peer peer;
		bool wanted = false;

		if (vhci_peer_read(&agent->vhci, port->number, &peer) < 0 ||
		    !is_daemons(agent, &peer))
			continue;
		list_for_each(it, &agent->routes)
			wanted = wanted || is_of(list_entry(it, struct route, link), &peer);
		if (port->status == VHCI_FREE) {
			vhci_peer_remove(&agent->vhci, port->number);
		} else if (!wanted) {
			log_notice("port %u has %s, which is not this guest's; taken off",
				   port->number, peer.busid);
			route_take_off(agent, port->number);
		}
	}
}

/**
 * routes_synced() - the daemon has told all that is this guest's
 * @agent:	what else hangs on this daemon is taken off
 */
void routes_synced(struct agent *agent)
{
	list_for_each_safe(it, &agent->routes) {
		struct route *route = list_entry(it, struct route, link);

		if (!route->told)
			drop(agent, route);
	}
	if (vhci_read(&agent->vhci, &agent->status) == 0)
		clean(agent);
	routes_look(agent);
}

/**
 * routes_connection() - the connection to the daemon is there, or has gone
 * @agent:	the agent
 * @up:		it is there, and all will be told anew
 *
 * A device that is attached stays: it has a connection of its own. One that is not waits for the daemon. An
 * import that is under way goes on while the daemon is there.
 */
void routes_connection(struct agent *agent, bool up)
{
	list_for_each(it, &agent->routes) {
		struct route *route = list_entry(it, struct route, link);

		route->told = false;
		if (route->state >= STARTING || (up && route->state != WAITING))
			continue;
		route->sock = fd_close(route->sock);
		route->state = WAITING;
		route->due_ns = NEVER;
	}
}

/* ------------------------------------------------------------- the loop's */

/**
 * routes_due() - when routes_work() has something to do
 * @agent:	the agent
 *
 * Return: as agent_now(), or NEVER.
 */
uint64_t routes_due(const struct agent *agent)
{
	uint64_t due = NEVER;

	list_for_each(it, &agent->routes)
		due = min_t(uint64_t, due, list_entry(it, struct route, link)->due_ns);
	return due;
}

/**
 * routes_polls() - what to wait for
 * @agent:	the agent
 * @polls:	room for AGENT_ROUTES; stays where it is until routes_work()
 *
 * Return: how many.
 */
unsigned routes_polls(struct agent *agent, struct pollfd *polls)
{
	unsigned n = 0;

	list_for_each(it, &agent->routes) {
		struct route *route = list_entry(it, struct route, link);

		route->poll = NULL;
		if (route->state != CONNECTING && route->state != ASKING)
			continue;
		polls[n] = (struct pollfd){
			.fd = route->sock,
			.events = route->state == CONNECTING ? POLLOUT : POLLIN,
		};
		route->poll = &polls[n++];
	}
	return n;
}

static void work(struct agent *agent, struct route *route, bool *look)
{
	bool ready = route->poll && route->poll->fd == route->sock && route->poll->revents;

	if (route->state == CONNECTING && ready)
		asked(agent, route);
	else if (route->state == ASKING && ready)
		answered(agent, route);
	else if (route->due_ns > agent_now())
		return;
	else if (route->state == WAITING)
		try_it(agent, route);
	else if (route->state < STARTING)
		fail(agent, route, "usbrouted does not answer the import");
	else
		*look = true;
}

/**
 * routes_work() - what has come, and what is due
 * @agent:	the agent; no route is freed in here
 */
void routes_work(struct agent *agent)
{
	bool look = false;

	list_for_each(it, &agent->routes)
		work(agent, list_entry(it, struct route, link), &look);
	if (look)
		routes_look(agent);
}

/**
 * routes_free() - forget all; what is attached stays so
 * @agent:	the agent
 */
void routes_free(struct agent *agent)
{
	struct list *l;

	while ((l = list_pop(&agent->routes))) {
		struct route *route = list_entry(l, struct route, link);

		fd_close(route->sock);
		free(route);
	}
	agent->n_routes = 0;
}
