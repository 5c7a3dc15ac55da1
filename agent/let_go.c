/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices that leave their ports on purpose: by somebody's hand (by_hand.h), and for a sleep
 * (sleep.h).
 *
 * The daemon is told of a device that was let go of by hand. When it has heard that, the device is
 * forgotten here, and comes back when the daemon names it again. With a daemon that does not
 * understand LETGO, the device is taken back at once, as always.
 */
#include <errno.h>

#include "base/fd.h"
#include "base/log.h"
#include "agent/attachment.h"

/* If a write names no known port, a port that gets free within this time counts as the one. */
#define UNNAMED_NS (2 * NS_PER_SECOND)

/**
 * attachments_hands() - see whether somebody has detached something
 * @agent:	the agent
 */
void attachments_hands(struct agent *agent)
{
	bool named = false;

	by_hand_watch(&agent->hand, agent->vhci.folder);
	if (!by_hand_news(&agent->hand))
		return;
	list_for_each(it, &agent->attachments) {
		struct attachment *attachment = list_entry(it, struct attachment, link);
		struct vhci_peer peer;

		if (attachment->state < STARTING || !attachment->filed ||
		    vhci_peer_read(&agent->vhci, attachment->port, &peer) != -ENOENT)
			continue;
		attachment->by_hand = named = true;
	}
	if (!named)
		agent->hand.unnamed_until = agent_now() + UNNAMED_NS;
}

/**
 * attachment_was_let_go() - whether a device has left its port by somebody's hand
 * @agent:	the agent
 * @attachment:	the device
 * @port:	its port as it is now, or NULL
 */
bool attachment_was_let_go(struct agent *agent, const struct attachment *attachment,
			   const struct vhci_port *port)
{
	struct vhci_peer peer;

	/* A controller that has gone takes all with it, and a broken port breaks by itself. */
	if (!port || port->status != VHCI_FREE)
		return false;
	if (attachment->by_hand)
		return true;
	/* If writes can't be seen, only the file can tell. */
	if (agent->hand.watch < 0)
		return attachment->filed &&
		       vhci_peer_read(&agent->vhci, attachment->port, &peer) == -ENOENT;
	if (agent->hand.unnamed_until <= agent_now())
		return false;
	agent->hand.unnamed_until = 0;
	return true;
}

/**
 * attachment_lets_go() - tell the daemon that a device was let go of by hand
 * @agent:	the agent
 * @attachment:	the device, on no port
 *
 * Until the daemon has answered what is said after that (attachments_heard()), it may not have heard it.
 *
 * Return: whether that is so; else the daemon would not understand, or is not there at the moment.
 */
bool attachment_lets_go(struct agent *agent, struct attachment *attachment)
{
	struct agent_message ping = {.verb = AGENT_PING};

	if (agent->state != AGENT_TALKING || !agent->daemon_lets_go || !attachment->told)
		return false;
	log_notice("%s: detached by somebody here; it comes back when the host says so",
		   attachment_name(attachment));
	attachment_say(agent, attachment, AGENT_LETGO);
	agent_say(agent, &ping);
	agent->pong_ns = min_t(uint64_t, agent->pong_ns, agent_now() + AGENT_PONG_NS);
	attachment->sock = fd_close(attachment->sock);
	attachment->state = WAITING;
	attachment->due_ns = NEVER;
	attachment->let_go = true;
	return true;
}

/**
 * attachments_heard() - the daemon has heard all that was said
 * @agent:	the agent; what was let go of by hand is the daemon's to name again
 */
void attachments_heard(struct agent *agent)
{
	list_for_each_safe(it, &agent->attachments) {
		struct attachment *attachment = list_entry(it, struct attachment, link);

		if (attachment->let_go && attachment->told)
			attachment_forget(agent, attachment);
	}
}

/* ------------------------------------------------------------- for a sleep */

/**
 * attachments_rest() - let go of all, for a sleep
 * @agent:	the agent; nothing is attached until attachments_wake()
 */
void attachments_rest(struct agent *agent)
{
	list_for_each(it, &agent->attachments) {
		struct attachment *attachment = list_entry(it, struct attachment, link);

		attachment->leaving = attachment->state >= STARTING;
		if (attachment->leaving)
			attachment_take_off(agent, attachment->port);
		attachment->sock = fd_close(attachment->sock);
		attachment->state = WAITING;
		attachment->due_ns = NEVER;
	}
}

/**
 * attachments_resting() - whether all that was let go of has left its port
 * @agent:	the agent
 */
bool attachments_resting(struct agent *agent)
{
	bool resting = true;

	if (vhci_read(&agent->vhci, &agent->status) < 0)
		return true;
	list_for_each(it, &agent->attachments) {
		struct attachment *attachment = list_entry(it, struct attachment, link);
		const struct vhci_port *port = vhci_find(&agent->status, attachment->port);

		attachment->leaving = attachment->leaving && port && port->status != VHCI_FREE;
		resting = resting && !attachment->leaving;
	}
	return resting;
}

/**
 * attachments_in_use() - a port that keeps vhci-hcd from sleeping all the same
 * @agent:	the agent, resting
 *
 * Return: its number, or -1.
 */
int attachments_in_use(const struct agent *agent)
{
	for (unsigned i = 0; i < agent->status.n; i++)
		if (agent->status.ports[i].status != VHCI_FREE)
			return (int)agent->status.ports[i].number;
	return -1;
}

/**
 * attachments_wake() - take back what is this guest's
 * @agent:	the agent, awake
 */
void attachments_wake(struct agent *agent)
{
	list_for_each(it, &agent->attachments) {
		struct attachment *attachment = list_entry(it, struct attachment, link);

		attachment->leaving = false;
		if (attachment->state != WAITING || attachment->let_go)
			continue;
		attachment->failures = 0;
		attachment->held = false;
		attachment->due_ns = agent_now();
	}
}
