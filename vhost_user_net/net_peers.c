/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of other guests' cards. */
#include "vhost_user_net/net_peers.h"

#include <errno.h>

#include "base/fd.h"

#define BIT(n) (1ull << (n))

/**
 * net_mac_key() - a card's address as a number
 * @mac:	the address
 */
uint64_t net_mac_key(const uint8_t mac[6])
{
	uint64_t key = 0;

	for (unsigned i = 0; i < 6; i++)
		key = key << 8 | mac[i];
	return key;
}

/**
 * net_peers_init() - know nobody
 * @peers:	the table
 */
void net_peers_init(struct net_peers *peers)
{
	*peers = (struct net_peers){0};
	for (unsigned i = 0; i < NET_PORTS; i++)
		peers->end[i].mine = peers->end[i].theirs = -1;
}

static void follow(struct net_peers *peers, unsigned n)
{
	const struct net_peer *p = &peers->peer[n];
	uint64_t bit = BIT(n);

	peers->usable &= ~bit;
	if (!(peers->known & bit) || !p->up)
		peers->asked &= ~bit;
	else if (!p->isolated && peers->end[n].link.memory)
		peers->usable |= bit;
}

/**
 * net_peers_set() - what is known of one
 * @peers:	the table
 * @peer:	as control tells; copied
 *
 * Return: false where there is no such number.
 */
bool net_peers_set(struct net_peers *peers, const struct net_peer *peer)
{
	unsigned n = peer->number;

	if (n >= NET_PORTS)
		return false;
	peers->peer[n] = *peer;
	peers->mac[n] = net_mac_key(peer->mac);
	peers->known |= BIT(n);
	follow(peers, n);
	return true;
}

/**
 * net_peers_forget() - one is no longer configured, or its process is another one
 * @peers:	the table
 * @number:	whose; the link, too, is closed
 */
void net_peers_forget(struct net_peers *peers, unsigned number)
{
	net_peers_close(peers, number);
	peers->known &= ~BIT(number);
	peers->mac[number] = 0;
	follow(peers, number);
}

/**
 * net_peers_find() - whose a MAC is
 * @peers:	the table
 * @mac:	as a number
 *
 * Return: the number of its port, whose card may be down; -1: none of the others'.
 */
int net_peers_find(const struct net_peers *peers, uint64_t mac)
{
	for (uint64_t left = peers->known; left && mac; left &= left - 1) {
		unsigned n = (unsigned)__builtin_ctzll(left);

		if (peers->mac[n] == mac)
			return (int)n;
	}
	return -1;
}

/**
 * net_peers_want() - which links to ask for, the own card being up
 * @peers:	the table; they count as asked for
 *
 * Return: the set of numbers.
 */
uint64_t net_peers_want(struct net_peers *peers)
{
	uint64_t want = 0;

	for (uint64_t left = peers->known & ~peers->asked; left; left &= left - 1) {
		unsigned n = (unsigned)__builtin_ctzll(left);

		if (peers->peer[n].up && !peers->peer[n].isolated && !peers->end[n].link.memory)
			want |= BIT(n);
	}
	peers->asked |= want;
	return want;
}

/**
 * net_peers_open() - the own end of a link has come
 * @peers:	the table, without a link to that one
 * @number:	whose the other end is, below NET_PORTS
 * @memory:	of net_link_make(); stays the caller's
 * @side:	which of the link's is the own
 * @mine:	what the other side wakes this one by; the table's where this succeeds
 * @theirs:	what this side wakes the other one by; as @mine
 *
 * Return: 0 or a negative errno.
 */
int net_peers_open(struct net_peers *peers, unsigned number, int memory, unsigned side, int mine,
		   int theirs)
{
	struct net_peer_end *end = &peers->end[number];
	int r = net_link_open(&end->link, memory, side);

	if (r < 0)
		return r;
	end->mine = mine;
	end->theirs = theirs;
	peers->ready |= BIT(number);
	follow(peers, number);
	return 0;
}

/**
 * net_peers_close() - close the own end of a link
 * @peers:	the table
 * @number:	whose the other end is; nothing happens where there is none
 */
void net_peers_close(struct net_peers *peers, unsigned number)
{
	struct net_peer_end *end = &peers->end[number];

	net_link_close(&end->link);
	end->mine = fd_close(end->mine);
	end->theirs = fd_close(end->theirs);
	end->reported = false;
	peers->ready &= ~BIT(number);
	peers->touched &= ~BIT(number);
	peers->asked &= ~BIT(number);
	follow(peers, number);
}
