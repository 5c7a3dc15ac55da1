/* SPDX-License-Identifier: BSD-2-Clause */
/* The switch's table. */
#include "vhost_user_net/net_switch.h"

#include <errno.h>
#include <stdlib.h>

#include "vhost_user_net/vu_memory.h"

/**
 * net_switch_new() - a switch without ports
 * @ret_sw:	the switch
 *
 * Also sees to it that a guest that cuts off its memory doesn't take the process with it: SIGBUS
 * gets a handler.
 *
 * Return: 0 or a negative errno.
 */
int net_switch_new(struct net_switch **ret_sw)
{
	struct net_switch *sw;
	int r = vu_memory_guard();

	if (r < 0)
		return r;
	sw = calloc(1, sizeof(*sw));
	if (!sw)
		return -ENOMEM;
	pthread_mutex_init(&sw->table, NULL);
	for (unsigned i = 0; i < NET_PORTS; i++)
		pthread_mutex_init(&sw->slot[i].lock, NULL);
	*ret_sw = sw;
	return 0;
}

/**
 * net_switch_free() - free a switch
 * @sw:		the switch, without ports, or NULL
 *
 * Return: NULL.
 */
struct net_switch *net_switch_free(struct net_switch *sw)
{
	if (!sw)
		return NULL;
	for (unsigned i = 0; i < NET_PORTS; i++)
		pthread_mutex_destroy(&sw->slot[i].lock);
	pthread_mutex_destroy(&sw->table);
	free(sw);
	return NULL;
}

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
 * net_switch_find() - which port has a card's address
 * @sw:		the switch
 * @mac:	the address as a number
 *
 * Any thread.
 *
 * Return: the port's index, up or not, or -1.
 */
int net_switch_find(const struct net_switch *sw, uint64_t mac)
{
	unsigned n = atomic_load_explicit(&sw->n, memory_order_acquire);

	for (unsigned i = 0; i < n; i++)
		if ((net_switch_key(sw, i) & (NET_KEY_MAC | NET_KEY_KNOWN)) ==
		    (mac | NET_KEY_KNOWN))
			return (int)i;
	return -1;
}

/* With the table's lock held: which other port has the address in @key; -1: none. */
static int other_with(struct net_switch *sw, int index, uint64_t key)
{
	int other = key & NET_KEY_KNOWN ? net_switch_find(sw, key & NET_KEY_MAC) : -1;

	return other == index ? -1 : other;
}

static void set_key(struct net_switch *sw, unsigned index, uint64_t key)
{
	atomic_store_explicit(&sw->slot[index].key, key, memory_order_relaxed);
}

/* With the table's lock held. What a guest took before another VM was configured with it, it loses. */
static int make_room(struct net_switch *sw, uint64_t key)
{
	int other = other_with(sw, -1, key);
	uint64_t theirs;

	if (other < 0)
		return 0;
	theirs = net_switch_key(sw, (unsigned)other);
	if (!(key & NET_KEY_FIXED) || (theirs & NET_KEY_FIXED))
		return -EADDRINUSE;
	set_key(sw, (unsigned)other, theirs & ~(NET_KEY_KNOWN | NET_KEY_MAC));
	return 0;
}

/**
 * net_switch_enter() - take a slot
 * @sw:		the switch
 * @key:	its word
 * @ret_index:	which; its port pointer is still NULL
 *
 * A configured address is taken from a port whose guest just uses it.
 *
 * Return: 0; -ENOSPC; -EADDRINUSE where another port has the address.
 */
int net_switch_enter(struct net_switch *sw, uint64_t key, unsigned *ret_index)
{
	int r = -ENOSPC;

	pthread_mutex_lock(&sw->table);
	for (unsigned i = 0; i < NET_PORTS; i++) {
		if (sw->taken[i])
			continue;
		r = make_room(sw, key);
		if (r < 0)
			break;
		sw->taken[i] = true;
		set_key(sw, i, key);
		if (i >= atomic_load_explicit(&sw->n, memory_order_relaxed))
			atomic_store_explicit(&sw->n, i + 1, memory_order_release);
		*ret_index = i;
		break;
	}
	pthread_mutex_unlock(&sw->table);
	return r;
}

/**
 * net_switch_leave() - give a slot back
 * @sw:		the switch
 * @index:	which; its port pointer is NULL again
 */
void net_switch_leave(struct net_switch *sw, unsigned index)
{
	pthread_mutex_lock(&sw->table);
	set_key(sw, index, 0);
	sw->taken[index] = false;
	pthread_mutex_unlock(&sw->table);
}

/**
 * net_switch_link() - a port's card went up or down; its address stays its own
 * @sw:		the switch
 * @index:	the port's slot
 * @up:		it went up
 */
void net_switch_link(struct net_switch *sw, unsigned index, bool up)
{
	uint64_t key;

	pthread_mutex_lock(&sw->table);
	key = net_switch_key(sw, index) & ~NET_KEY_UP;
	set_key(sw, index, key | (up ? NET_KEY_UP : 0));
	pthread_mutex_unlock(&sw->table);
}

/**
 * net_switch_take() - give a port an address, in place of the one that it had
 * @sw:		the switch
 * @index:	the port's slot
 * @mac:	the address as a number
 *
 * Return: 0; -EADDRINUSE where another port has the address, and nothing has changed.
 */
int net_switch_take(struct net_switch *sw, unsigned index, uint64_t mac)
{
	uint64_t key = NET_KEY_KNOWN | mac;
	int r;

	pthread_mutex_lock(&sw->table);
	r = other_with(sw, (int)index, key) < 0 ? 0 : -EADDRINUSE;
	if (r == 0)
		set_key(sw, index,
			key | (net_switch_key(sw, index) & (NET_KEY_UP | NET_KEY_ISOLATED)));
	pthread_mutex_unlock(&sw->table);
	return r;
}
