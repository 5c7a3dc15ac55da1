/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a port knows of the other guests' cards, and its links to them.
 *
 * Control tells which others are configured, their MACs and addresses, whether their cards are up,
 * and whether frames may pass at all. While its own card is up, a port asks control for a link to
 * each other card that is up. It does so before the first frame, which would be lost. Control hands
 * each side its end.
 *
 * A MAC is a number here (net_mac_key()), 0 where none is known.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "vhost_user_net/net_link.h"

/* Hard limit of ports that are joined. */
#define NET_PORTS 64

/* Another guest's card, as control tells of it. */
struct net_peer {
	unsigned number;	/* its port's, below NET_PORTS, for as long as it is configured */
	uint8_t mac[6];		/* all zero: not known yet */
	struct in_addr address; /* the only IPv4 source that it may use */
	bool up;		/* its card is up */
	bool isolated;		/* no frames to it or from it */
	bool any; /* of a further network: other MACs than its own are behind it, too */
};

/* One end of a link, with what belongs to it. */
struct net_peer_end {
	struct net_link link;
	int mine, theirs; /* what wakes this side, and the other one; -1: no link */
	bool reported;	  /* a fault of the link was logged */
};

/* Sets of ports, a bit a number. */
struct net_peers {
	uint64_t known;
	uint64_t usable;  /* up, not isolated, and with a link */
	uint64_t asked;	  /* for a link */
	uint64_t ready;	  /* something may have come from them */
	uint64_t touched; /* they were sent something, and have not been shown it all */
	uint64_t mac[NET_PORTS];
	struct net_peer peer[NET_PORTS];
	struct net_peer_end end[NET_PORTS];
};

uint64_t net_mac_key(const uint8_t mac[6]);

void net_peers_init(struct net_peers *peers);
bool net_peers_set(struct net_peers *peers, const struct net_peer *peer);
void net_peers_forget(struct net_peers *peers, unsigned number);
int net_peers_find(const struct net_peers *peers, uint64_t mac);
uint64_t net_peers_want(struct net_peers *peers);
int net_peers_open(struct net_peers *peers, unsigned number, int memory, unsigned side, int mine,
		   int theirs);
void net_peers_close(struct net_peers *peers, unsigned number);
