/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Further networks, as control speaks of them to a VM's process or to an uplink's; see vm_process.h.
 *
 * A process that does not stand yet is told nothing: when it stands, it is told of all. One of an
 * older version knows no further networks, and is told nothing either.
 */
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "daemon/vms/vm_process_private.h"

static bool hears(const struct guest *guest)
{
	return guest->state == GUEST_STANDS && guest_knows_nets(guest);
}

/**
 * guest_knows_nets() - whether a guest's process is of a version that has further networks
 * @guest:	the guest, whose process stands
 */
bool guest_knows_nets(const struct guest *guest)
{
	return guest->version >= vm_wire_since(VM_ASK_NET);
}

/**
 * guest_net() - have a guest's process have a card on a further network, or go on having it
 * @guest:	the guest
 * @net:	what the network is called from here on
 * @card:	the card
 * @listener:	of its socket; stays the caller's
 */
void guest_net(struct guest *guest, unsigned net, const struct guest_net *card, int listener)
{
	struct vm_wire_net m = {.kind = VM_ASK_NET, .net = net, .any_mac = card->any_mac};

	snprintf(m.name, sizeof(m.name), "%s", card->name);
	memcpy(m.mac, card->mac, sizeof(m.mac));
	if (hears(guest))
		vm_line_send(guest->line, &m, &listener, 1);
}

/**
 * guest_net_gone() - have a guest's process close its card on a network
 * @guest:	the guest
 * @net:	the network
 */
void guest_net_gone(struct guest *guest, unsigned net)
{
	if (hears(guest))
		vm_process_tell(guest,
				&(struct vm_wire_net_number){.kind = VM_ASK_NET_GONE, .net = net});
}

/**
 * guest_nets_told() - these were all networks: what a guest's process has of others is closed
 * @guest:	the guest
 */
void guest_nets_told(struct guest *guest)
{
	if (hears(guest))
		vm_process_tell(guest, &(struct vm_wire_plain){.kind = VM_ASK_NETS_TOLD});
}

/**
 * guest_net_peer() - tell a guest of another port of a network; as guest_peer_set()
 */
void guest_net_peer(struct guest *guest, unsigned net, const struct net_peer *peer)
{
	struct vm_wire_net_port m = {.kind = VM_ASK_NET_PEER,
				     .net = net,
				     .number = peer->number,
				     .has_mac = net_mac_key(peer->mac) != 0,
				     .any = peer->any,
				     .up = peer->up};

	memcpy(m.mac, peer->mac, sizeof(m.mac));
	if (hears(guest))
		vm_process_tell(guest, &m);
}

/**
 * guest_net_peer_gone() - tell a guest to forget another port of a network; as guest_peer_gone()
 */
void guest_net_peer_gone(struct guest *guest, unsigned net, unsigned number)
{
	struct vm_wire_net_other m = {.kind = VM_ASK_NET_PEER_GONE, .net = net, .number = number};

	if (hears(guest))
		vm_process_tell(guest, &m);
}

/**
 * guest_net_link() - hand a guest its end of a link on a network; as guest_link()
 */
void guest_net_link(struct guest *guest, unsigned net, unsigned number, unsigned side, int memfd,
		    int wake_mine, int wake_theirs)
{
	struct vm_wire_net_link m = {
		.kind = VM_ASK_NET_LINK, .net = net, .number = number, .side = side};
	int fds[] = {memfd, wake_mine, wake_theirs};

	if (hears(guest))
		vm_line_send(guest->line, &m, fds, 3);
	for (unsigned i = 0; i < 3; i++)
		fd_close(fds[i]);
}

/**
 * guest_net_mac() - tell a guest whose a MAC is on a network; as guest_mac_granted()
 */
void guest_net_mac(struct guest *guest, unsigned net, const uint8_t mac[6], bool granted)
{
	struct vm_wire_net_mac_answer m = {.kind = VM_ASK_NET_MAC, .net = net, .granted = granted};

	memcpy(m.mac, mac, sizeof(m.mac));
	if (hears(guest))
		vm_process_tell(guest, &m);
}

/**
 * guest_tap() - give an uplink its tap
 * @guest:	the uplink's process
 * @tap:	of broker_tap(); the process's from here on
 */
void guest_tap(struct guest *guest, int tap)
{
	if (hears(guest))
		vm_line_send(guest->line, &(struct vm_wire_plain){.kind = VM_ASK_TAP}, &tap, 1);
	fd_close(tap);
}

/**
 * guest_counts() - have a process write down what goes through its ports
 * @guest:	the guest, or an uplink
 * @memory:	of net_counts_make(); the process's from here on
 */
void guest_counts(struct guest *guest, int memory)
{
	if (hears(guest))
		vm_line_send(guest->line, &(struct vm_wire_plain){.kind = VM_ASK_COUNTS}, &memory,
			     1);
	fd_close(memory);
}

/* ------------------------------------------------------------- what the process says */

static void said_card(struct guest *guest, const union vm_wire_message *m)
{
	struct guest_card card = {.up = m->net_card.up};

	memcpy(card.mac, m->net_card.mac, sizeof(card.mac));
	memcpy(card.foreign, m->net_card.foreign, sizeof(card.foreign));
	guest->process->nets->card(guest->ctx, m->net_card.net, &card);
}

static void said_mac_wanted(struct guest *guest, const union vm_wire_message *m)
{
	guest->process->nets->mac_wanted(guest->ctx, m->net_mac.net, m->net_mac.mac);
}

static void said_link_wanted(struct guest *guest, const union vm_wire_message *m)
{
	guest->process->nets->link_wanted(guest->ctx, m->net_other.net, m->net_other.number);
}

static void said_tap(struct guest *guest, const union vm_wire_message *m)
{
	guest->process->nets->tap(guest->ctx, m->has_tap.has);
}

static const struct {
	void (*fn)(struct guest *guest, const union vm_wire_message *m);
	uint32_t kind;
	bool uplinks; /* an uplink alone says it */
	bool both;    /* an uplink, too */
} says[] = {
	{said_card, VM_SAY_NET_CARD},
	{said_mac_wanted, VM_SAY_NET_MAC_WANTED},
	{said_link_wanted, VM_SAY_NET_LINK_WANTED, .both = true},
	{said_tap, VM_SAY_TAP, .uplinks = true},
};

/**
 * vm_process_net_says() - a process has said something, of a further network maybe
 * @guest:	the guest
 * @m:		what it has said
 * @ret_known:	whether it was that
 *
 * Return: NULL, or what is wrong with it.
 */
const char *vm_process_net_says(struct guest *guest, const union vm_wire_message *m,
				bool *ret_known)
{
	*ret_known = true;
	for (size_t i = 0; i < ARRAY_SIZE(says); i++) {
		if (says[i].kind != m->kind)
			continue;
		if (!guest->process->nets || guest->state != GUEST_STANDS || guest->cfg.lan ||
		    (!says[i].both && says[i].uplinks != guest->cfg.uplink))
			return NOT_ASKED;
		says[i].fn(guest, m);
		return NULL;
	}
	*ret_known = false;
	/* An uplink has nothing else to tell of. */
	return NULL;
}
