/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The roster: which ports there are, whose MAC is whose, and which pairs have a link. Control's; it
 * moves no frame.
 *
 * A port is entered when its VM is configured, and keeps its number, its MAC and its address until
 * it leaves, also while its process or its card is down. A configured MAC is its port's whatever
 * others have; else a port has the one that its guest asked for last, if no other port has it.
 * Every port is told of all others. Two isolated ports may reach each other all the same, where
 * net_roster_talk() says so.
 *
 * A port is *there* while it has a process (or thread) that can be told. A link is made when one of
 * the two asks for it, both are there and up, and they are not isolated from each other.
 *
 * What ports say is hostile: numbers are checked, and a port speaks only of itself.
 */
#pragma once

#include "vhost_user_net/net_peers.h"

struct net_roster_ops {
	/* Tell port @to of another. */
	void (*peer)(void *ctx, unsigned to, const struct net_peer *peer);
	/* Tell port @to to forget another, and to close its link. */
	void (*gone)(void *ctx, unsigned to, unsigned number);
	/* Tell port @to that @mac is its own, or is not (any more). */
	void (*mac)(void *ctx, unsigned to, const uint8_t mac[6], bool granted);
	/* Make a link, and hand port @low its side 0, port @high its side 1. < 0: there is none. */
	int (*link)(void *ctx, unsigned low, unsigned high);
};

struct net_roster_port {
	bool entered, there, fixed, isolate;
	uint64_t talk; /* a bit a number: whom it reaches though it is isolated */
	struct net_peer peer;
	uint64_t links; /* a bit a number */
};

struct net_roster {
	const struct net_roster_ops *ops;
	void *ctx;
	struct net_roster_port port[NET_PORTS];
};

/* A port that is to be entered. */
struct net_roster_entry {
	struct in_addr address;
	uint8_t mac[6]; /* all zero: none yet */
	bool fixed;	/* the MAC is configured, not what its guest had last */
	bool isolate;	/* no frames to other guests */
	bool any;	/* of a further network: others are behind it */
};

void net_roster_init(struct net_roster *roster, const struct net_roster_ops *ops, void *ctx);
int net_roster_enter(struct net_roster *roster, const struct net_roster_entry *entry,
		     unsigned *ret_number);
void net_roster_leave(struct net_roster *roster, unsigned number);
void net_roster_talk(struct net_roster *roster, unsigned a, unsigned b, bool may);

void net_roster_started(struct net_roster *roster, unsigned number);
void net_roster_ended(struct net_roster *roster, unsigned number);
void net_roster_up(struct net_roster *roster, unsigned number, bool up);
void net_roster_mac_wanted(struct net_roster *roster, unsigned number, const uint8_t mac[6]);
void net_roster_link_wanted(struct net_roster *roster, unsigned number, unsigned other);

static inline const uint8_t *net_roster_mac(const struct net_roster *roster, unsigned number)
{
	return roster->port[number].peer.mac;
}
