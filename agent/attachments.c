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
 * attachment_say() - tell the daemon how it goes with a device
 * @agent:	connected, or it is dropped
 * @attachment:	the device
 * @verb:	a verb of the guest's that has a busid
 */
void attachment_say(struct agent *agent, const struct attachment *attachment, enum agent_verb verb)
{
	struct agent_message m = {.verb = verb, .port = attachment->port};

	memcpy(m.busid, attachment->busid, sizeof(m.busid));
	memcpy(m.text, attachment->said, sizeof(m.text));
	if (agent->state == AGENT_TALKING)
		agent_say(agent, &m);
}

/**
 * attachment_name() - what a device is called in the log
 * @attachment:	the device
 */
const char *attachment_name(const struct attachment *attachment)
{
	return attachment->alias[0] ? attachment->alias : attachment->busid;
}

static void again_later(struct attachment *attachment)
{
	uint64_t wait = RETRY_NS << min_t(unsigned, attachment->failures, 8);

	attachment->sock = fd_close(attachment->sock);
	attachment->state = WAITING;
	attachment->due_ns = agent_now() + min_t(uint64_t, wait, RETRY_MAX_NS);
	attachment->failures++;
}

/* A reason that stays the same is logged once. */
static void complain(struct agent *agent, struct attachment *attachment, const char *text)
{
	if (strcmp(attachment->said, text)) {
		snprintf(attachment->said, sizeof(attachment->said), "%s", text);
		log_warning("%s: %s", attachment_name(attachment), text);
		attachment_say(agent, attachment, AGENT_FAILED);
	}
}

static void fail(struct agent *agent, struct attachment *attachment, const char *text)
{
	complain(agent, attachment, text);
	again_later(attachment);
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

static bool is_of(const struct attachment *attachment, const struct vhci_peer *peer)
{
	return !strcmp(peer->busid, attachment->busid) ||
	       (attachment->alias[0] && !strcmp(peer->busid, attachment->alias));
}

/* Whether this program has put an attachment's connection on the port. */
static bool is_taken(const struct agent *agent, unsigned number, const struct attachment *but)
{
	list_for_each(it, &agent->attachments) {
		const struct attachment *attachment = list_entry(it, struct attachment, link);

		if (attachment != but && attachment->state >= STARTING &&
		    attachment->port == number)
			return true;
	}
	return false;
}

/* The port that has a device already; NULL: none has. */
static const struct vhci_port *port_with(const struct agent *agent,
					 const struct attachment *attachment)
{
	const struct vhci_port *likely = NULL;

	for (unsigned i = 0; i < agent->status.n; i++) {
		const struct vhci_port *port = &agent->status.ports[i];
		struct vhci_peer peer;

		if (port->status == VHCI_FREE || is_taken(agent, port->number, attachment))
			continue;
		if (vhci_peer_read(&agent->vhci, port->number, &peer) < 0) {
			/* Whoever attached it has left no file. */
			if (attachment->held && port->status == VHCI_USED &&
			    port->devid == attachment->devid)
				likely = port;
		} else if (is_daemons(agent, &peer) && is_of(attachment, &peer)) {
			return port;
		}
	}
	return likely;
}

/**
 * attachment_take_off() - take what is on a port off it
 * @agent:	the agent
 * @number:	the port
 */
void attachment_take_off(struct agent *agent, unsigned number)
{
	attachments_hands(agent);
	vhci_peer_remove(&agent->vhci, number);
	/* Where the kernel was faster, there is nothing on the port. */
	vhci_detach(&agent->vhci, number);
	by_hand_forget(&agent->hand);
}

/* ------------------------------------------------------------- on a port */

static void started(struct agent *agent, struct attachment *attachment, unsigned number)
{
	struct vhci_peer peer;

	attachment->state = STARTING;
	attachment->port = number;
	attachment->by_hand = attachment->let_go = false;
	attachment->filed = vhci_peer_read(&agent->vhci, number, &peer) == 0;
	attachment->due_ns = agent_now() + LOOK_NS;
	attachment->complain_ns = agent_now() + ENUMERATE_NS;
	attachment->sock = fd_close(attachment->sock);
	attachments_look(agent);
}

static void put_on(struct agent *agent, struct attachment *attachment,
		   const struct import_reply *reply)
{
	struct vhci_peer peer = {.port = USBIP_PORT};
	char text[AGENT_TEXT_SIZE];
	unsigned number;
	int r;

	/* The kernel reads and writes the socket as it likes; our mode would only disturb it. */
	fcntl(attachment->sock, F_SETFL, 0);
	r = vhci_attach(&agent->vhci, attachment->sock, reply->devid, reply->speed, &number);
	if (r < 0) {
		snprintf(text, sizeof(text), "the guest's vhci-hcd does not take it: %s",
			 errno_text(r));
		fail(agent, attachment, text);
		return;
	}
	host_name(agent, agent->by_v4, peer.host, sizeof(peer.host));
	memcpy(peer.busid, attachment->busid, sizeof(peer.busid));
	r = vhci_peer_write(&agent->vhci, number, &peer);
	if (r < 0)
		log_warning("%s/port%u: %s; `usbip port` won't know what is there",
			    agent->vhci.files, number, errno_text(r));
	attachment->devid = reply->devid;
	started(agent, attachment, number);
}

/* ------------------------------------------------------------- importing */

static void import(struct agent *agent, struct attachment *attachment)
{
	bool super = attachment->speed == AGENT_SPEED_SUPER;
	int r;

	attachment->needs_port = true;
	if (!agent->status.n) {
		fail(agent, attachment, "the guest has no vhci-hcd (try there: modprobe vhci-hcd)");
		return;
	}
	if (!vhci_count_free(&agent->status, super)) {
		fail(agent, attachment,
		     super ? "the guest's vhci-hcd has no free port for SuperSpeed"
			   : "the guest's vhci-hcd has no free port up to high speed");
		return;
	}
	attachment->needs_port = false;
	if (!attachment->failures)
		attachment_say(agent, attachment, AGENT_TRYING);
	attachment->got = 0;
	r = agent_connect(agent, agent->by_v4, USBIP_PORT, &attachment->sock);
	if (r < 0) {
		fail(agent, attachment, errno_text(r));
		return;
	}
	attachment->state = CONNECTING;
	attachment->due_ns = agent_now() + IMPORT_NS;
}

static void asked(struct agent *agent, struct attachment *attachment)
{
	uint8_t request[IMPORT_REQUEST_SIZE];
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(attachment->sock, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	import_request(request, attachment->busid);
	if (!error &&
	    send(attachment->sock, request, sizeof(request), MSG_NOSIGNAL) != sizeof(request))
		error = EIO;
	if (error)
		fail(agent, attachment, errno_text(error));
	else
		attachment->state = ASKING;
}

static void answered(struct agent *agent, struct attachment *attachment)
{
	struct import_reply reply;
	int r = IMPORT_MORE;

	while (r == IMPORT_MORE) {
		/* A refusal is shorter, and not one byte of what follows an answer may be read. */
		size_t want = attachment->got < IMPORT_REFUSAL_SIZE ? IMPORT_REFUSAL_SIZE
								    : IMPORT_REPLY_SIZE;
		ssize_t n = recv(attachment->sock, attachment->reply + attachment->got,
				 want - attachment->got, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			fail(agent, attachment, "usbrouted has closed the connection for it");
			return;
		}
		attachment->got += (size_t)n;
		r = import_parse(attachment->reply, attachment->got, attachment->busid, &reply);
	}
	if (r == 0)
		put_on(agent, attachment, &reply);
	else if (r == -EBUSY)
		fail(agent, attachment, "something else in the guest has it");
	else if (r == -ENODEV)
		again_later(attachment); /* it has moved on; UNROUTE is under way */
	else
		fail(agent, attachment, "usbrouted does not give it");
}

/* Its time has come. Somebody else may have attached it already. */
static void try_it(struct agent *agent, struct attachment *attachment)
{
	const struct vhci_port *port;

	attachment->due_ns = NEVER;
	if (agent->state != AGENT_TALKING || !attachment->told || attachment->let_go ||
	    agent->sleep.state != SLEEP_AWAKE || agent->sleep.waking)
		return;
	port = port_with(agent, attachment);
	if (port)
		started(agent, attachment, port->number);
	else if (attachment->held && !attachment->failures)
		again_later(attachment); /* by other hands, just now */
	else
		import(agent, attachment);
}

/* ------------------------------------------------------------- looking */

static void look_at(struct agent *agent, struct attachment *attachment)
{
	const struct vhci_port *port = vhci_find(&agent->status, attachment->port);
	uint64_t now = agent_now();
	struct vhci_peer peer;

	/* Whoever attached it by hand writes the file after that, perhaps only just now. */
	if (!attachment->filed && port && port->status != VHCI_FREE)
		attachment->filed = vhci_peer_read(&agent->vhci, attachment->port, &peer) == 0;
	if (!port || port->status == VHCI_FREE || port->status == VHCI_BROKEN) {
		bool let_go = attachment_was_let_go(agent, attachment, port);

		if (let_go && attachment_lets_go(agent, attachment))
			return;
		log_info("%s: port %u has let go of it", attachment_name(attachment),
			 attachment->port);
		vhci_peer_remove(&agent->vhci, attachment->port);
		if (attachment->state == THERE) {
			attachment_say(agent, attachment, AGENT_GONE);
			attachment->failures = 0;
		}
		again_later(attachment);
		/* The daemon names it again, and is told then. */
		if (let_go && agent->state != AGENT_TALKING) {
			attachment->let_go = true;
			attachment->due_ns = NEVER;
		}
	} else if (attachment->state == STARTING && vhci_configured(&agent->vhci, port)) {
		log_notice("%s: there, on port %u as %s", attachment_name(attachment),
			   attachment->port, port->local);
		attachment->state = THERE;
		attachment->due_ns = NEVER;
		attachment->failures = 0;
		attachment->said[0] = 0;
		attachment_say(agent, attachment, AGENT_HAS);
	} else if (attachment->state == STARTING) {
		attachment->due_ns = now + LOOK_NS;
		if (attachment->complain_ns <= now) {
			attachment->due_ns = NEVER; /* from here on, news of it will do */
			complain(
				agent, attachment,
				port->status == VHCI_USED
					? "the guest's kernel has not configured it (authorized_default?)"
					: "the guest's kernel gets no answer from it");
		}
	}
}

/**
 * attachments_look() - something may have changed on the ports
 * @agent:	whose ports and attachments are looked at; free ports are told where they have changed
 */
void attachments_look(struct agent *agent)
{
	struct agent_message m = {.verb = AGENT_PORTS};

	if (vhci_read(&agent->vhci, &agent->status) < 0) {
		agent->status.n = 0;
		vhci_init(&agent->vhci, agent->options.sysfs, agent->options.run);
	}
	attachments_hands(agent);
	list_for_each_safe(it, &agent->attachments) {
		struct attachment *attachment = list_entry(it, struct attachment, link);

		if (attachment->state >= STARTING)
			look_at(agent, attachment);
	}
	m.high = vhci_count_free(&agent->status, false);
	m.super = vhci_count_free(&agent->status, true);
	if (m.high == agent->high && m.super == agent->super)
		return;
	list_for_each(it, &agent->attachments) {
		struct attachment *attachment = list_entry(it, struct attachment, link);

		if (attachment->state == WAITING && attachment->needs_port &&
		    (m.high > agent->high || m.super > agent->super))
			attachment->due_ns = agent_now();
	}
	agent->high = m.high;
	agent->super = m.super;
	if (agent->state == AGENT_TALKING)
		agent_say(agent, &m);
}

/* ------------------------------------------------------------- what the daemon tells */

static struct attachment *find(struct agent *agent, const char *busid)
{
	list_for_each(it, &agent->attachments) {
		struct attachment *attachment = list_entry(it, struct attachment, link);

		if (!strcmp(attachment->busid, busid))
			return attachment;
	}
	return NULL;
}

/**
 * attachment_forget() - have nothing more to do with a device
 * @agent:	the agent
 * @attachment:	the device; freed
 */
void attachment_forget(struct agent *agent, struct attachment *attachment)
{
	fd_close(attachment->sock);
	list_remove(&attachment->link);
	agent->n_attachments--;
	free(attachment);
}

static void drop(struct agent *agent, struct attachment *attachment)
{
	if (attachment->state >= STARTING) {
		log_notice("%s: not this guest's any more", attachment_name(attachment));
		attachment_take_off(agent, attachment->port);
	}
	attachment_forget(agent, attachment);
}

static void told(struct agent *agent, const struct agent_message *m)
{
	struct attachment *attachment = find(agent, m->busid);
	const struct vhci_port *port;

	/* Plugged out and in again: another device, even if it goes by the same name. */
	if (attachment && attachment->devid != m->devid) {
		drop(agent, attachment);
		attachment = NULL;
	}
	if (!attachment && agent->n_attachments < AGENT_ROUTES) {
		attachment = calloc(1, sizeof(*attachment));
		if (!attachment)
			return;
		attachment->sock = -1;
		memcpy(attachment->busid, m->busid, sizeof(attachment->busid));
		list_append(&agent->attachments, &attachment->link);
		agent->n_attachments++;
	}
	if (!attachment)
		return;
	memcpy(attachment->alias, m->name, sizeof(attachment->alias));
	attachment->speed = m->speed;
	attachment->devid = m->devid;
	attachment->held = m->held;
	attachment->told = true;
	if (attachment->let_go && !m->held && attachment_lets_go(agent, attachment))
		return;
	attachment->let_go = false;
	if (attachment->state >= STARTING && m->held) {
		if (attachment->state == THERE)
			attachment_say(agent, attachment, AGENT_HAS);
		else if (attachment->said[0])
			attachment_say(agent, attachment, AGENT_FAILED);
		return;
	}
	/* An import that is under way goes on, whoever has begun it. */
	if (attachment->state == CONNECTING || attachment->state == ASKING) {
		attachment_say(agent, attachment, AGENT_TRYING);
		return;
	}
	/* A connection that the daemon does not know is dead, whatever the kernel here believes. */
	port = m->held ? NULL : port_with(agent, attachment);
	if (port || attachment->state >= STARTING) {
		unsigned number = port ? port->number : attachment->port;

		log_info("%s: port %u has a dead connection; taken off",
			 attachment_name(attachment), number);
		attachment_take_off(agent, number);
	}
	attachment->sock = fd_close(attachment->sock);
	attachment->state = WAITING;
	attachment->failures = 0;
	attachment->said[0] = 0;
	/* While the guest sleeps it waits for attachments_wake(). */
	attachment->due_ns = agent->sleep.state == SLEEP_AWAKE ? agent_now() : NEVER;
}

/**
 * attachments_told() - the daemon says what is this guest's, or is no more
 * @agent:	the agent
 * @message:	ROUTE or UNROUTE
 */
void attachments_told(struct agent *agent, const struct agent_message *message)
{
	struct attachment *attachment;

	if (vhci_read(&agent->vhci, &agent->status) < 0)
		agent->status.n = 0;
	if (message->verb == AGENT_ROUTE) {
		told(agent, message);
		return;
	}
	attachment = find(agent, message->busid);
	if (attachment)
		drop(agent, attachment);
	attachments_look(agent);
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
		list_for_each(it, &agent->attachments)
			wanted = wanted || is_of(list_entry(it, struct attachment, link), &peer);
		if (port->status == VHCI_FREE) {
			vhci_peer_remove(&agent->vhci, port->number);
		} else if (!wanted) {
			log_notice("port %u has %s, which is not this guest's; taken off",
				   port->number, peer.busid);
			attachment_take_off(agent, port->number);
		}
	}
}

/**
 * attachments_synced() - the daemon has told all that is this guest's
 * @agent:	what else hangs on this daemon is taken off
 */
void attachments_synced(struct agent *agent)
{
	list_for_each_safe(it, &agent->attachments) {
		struct attachment *attachment = list_entry(it, struct attachment, link);

		if (!attachment->told)
			drop(agent, attachment);
	}
	if (vhci_read(&agent->vhci, &agent->status) == 0)
		clean(agent);
	attachments_look(agent);
}

/**
 * attachments_connection() - the connection to the daemon is there, or has gone
 * @agent:	the agent
 * @up:		it is there, and all will be told anew
 *
 * A device that is attached stays: it has a connection of its own. One that is not waits for the daemon. An
 * import that is under way goes on while the daemon is there.
 */
void attachments_connection(struct agent *agent, bool up)
{
	list_for_each(it, &agent->attachments) {
		struct attachment *attachment = list_entry(it, struct attachment, link);

		attachment->told = false;
		if (attachment->state >= STARTING || (up && attachment->state != WAITING))
			continue;
		attachment->sock = fd_close(attachment->sock);
		attachment->state = WAITING;
		attachment->due_ns = NEVER;
	}
}

/* ------------------------------------------------------------- the loop's */

/**
 * attachments_due() - when attachments_work() has something to do
 * @agent:	the agent
 *
 * Return: as agent_now(), or NEVER.
 */
uint64_t attachments_due(const struct agent *agent)
{
	uint64_t due = NEVER;

	list_for_each(it, &agent->attachments)
		due = min_t(uint64_t, due, list_entry(it, struct attachment, link)->due_ns);
	return due;
}

/**
 * attachments_polls() - what to wait for
 * @agent:	the agent
 * @polls:	room for AGENT_ROUTES; stays where it is until attachments_work()
 *
 * Return: how many.
 */
unsigned attachments_polls(struct agent *agent, struct pollfd *polls)
{
	unsigned n = 0;

	list_for_each(it, &agent->attachments) {
		struct attachment *attachment = list_entry(it, struct attachment, link);

		attachment->poll = NULL;
		if (attachment->state != CONNECTING && attachment->state != ASKING)
			continue;
		polls[n] = (struct pollfd){
			.fd = attachment->sock,
			.events = attachment->state == CONNECTING ? POLLOUT : POLLIN,
		};
		attachment->poll = &polls[n++];
	}
	return n;
}

static void work(struct agent *agent, struct attachment *attachment, bool *look)
{
	bool ready = attachment->poll && attachment->poll->fd == attachment->sock &&
		     attachment->poll->revents;

	if (attachment->state == CONNECTING && ready)
		asked(agent, attachment);
	else if (attachment->state == ASKING && ready)
		answered(agent, attachment);
	else if (attachment->due_ns > agent_now())
		return;
	else if (attachment->state == WAITING)
		try_it(agent, attachment);
	else if (attachment->state < STARTING)
		fail(agent, attachment, "usbrouted does not answer the import");
	else
		*look = true;
}

/**
 * attachments_work() - what has come, and what is due
 * @agent:	the agent; no attachment is freed in here
 */
void attachments_work(struct agent *agent)
{
	bool look = false;

	list_for_each(it, &agent->attachments)
		work(agent, list_entry(it, struct attachment, link), &look);
	if (look)
		attachments_look(agent);
}

/**
 * attachments_free() - forget all; what is attached stays so
 * @agent:	the agent
 */
void attachments_free(struct agent *agent)
{
	struct list *l;

	while ((l = list_pop(&agent->attachments))) {
		struct attachment *attachment = list_entry(l, struct attachment, link);

		fd_close(attachment->sock);
		free(attachment);
	}
	agent->n_attachments = 0;
}
