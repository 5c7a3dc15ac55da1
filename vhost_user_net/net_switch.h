/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The switch: a table of slots, one a port. Each slot has the lock of its port's RX ring, and one
 * atomic word that says who is there, so that finding a destination takes no lock.
 *
 * Locks: a thread holds at most one slot's lock, so there is no order to keep. The table's own lock
 * is for adding, removing and learning; nothing else is taken while it is held. A slot's lock lives
 * as long as the switch: a sender that comes late finds the slot empty.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "vhost_user_net/net_port.h"

/* A slot's word: the card's address in the low 48 bits, and: */
#define NET_KEY_MAC	 0xffffffffffffull
#define NET_KEY_KNOWN	 (1ull << 48) /* the address counts */
#define NET_KEY_UP	 (1ull << 49)
#define NET_KEY_ISOLATED (1ull << 50)
#define NET_KEY_FIXED	 (1ull << 51) /* the address is configured, not taken by the guest */

struct net_slot {
	pthread_mutex_t lock;
	struct net_port *port; /* under the lock */
	_Atomic(uint64_t) key; /* written under the table's lock */
};

struct net_switch {
	pthread_mutex_t table;
	bool taken[NET_PORTS]; /* under the table's lock */
	atomic_uint n;	       /* slots ever taken are below this */
	struct net_slot slot[NET_PORTS];
};

uint64_t net_mac_key(const uint8_t mac[6]);
int net_switch_enter(struct net_switch *sw, uint64_t key, unsigned *ret_index);
void net_switch_leave(struct net_switch *sw, unsigned index);
void net_switch_link(struct net_switch *sw, unsigned index, bool up);
int net_switch_take(struct net_switch *sw, unsigned index, uint64_t mac);
int net_switch_find(const struct net_switch *sw, uint64_t mac);

static inline uint64_t net_switch_key(const struct net_switch *sw, unsigned index)
{
	return atomic_load_explicit(&sw->slot[index].key, memory_order_relaxed);
}
