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

/* With the table's lock held: is the address in @key another port's? */
static bool clashes(struct net_switch *sw, int index, uint64_t key)
{
	int other;

	if (!(key & NET_KEY_KNOWN))
		return false;
	other = net_switch_find(sw, key & NET_KEY_MAC);
	return other >= 0 && other != index;
}

/**
 * net_switch_enter() - take a slot
 * @sw:		the switch
 * @key:	its word
 * @ret_index:	which; its port pointer is still NULL
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
		r = clashes(sw, -1, key) ? -EADDRINUSE : 0;
		if (r < 0)
			break;
		sw->taken[i] = true;
		atomic_store_explicit(&sw->slot[i].key, key, memory_order_relaxed);
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
	atomic_store_explicit(&sw->slot[index].key, 0, memory_order_relaxed);
	sw->taken[index] = false;
	pthread_mutex_unlock(&sw->table);
}

/**
 * net_switch_change() - change a slot's word
 * @sw:		the switch
 * @index:	which
 * @key:	the new word
 *
 * Return: 0; -EADDRINUSE where another port has the address, and nothing has changed.
 */
int net_switch_change(struct net_switch *sw, unsigned index, uint64_t key)
{
	int r;

	pthread_mutex_lock(&sw->table);
	r = clashes(sw, (int)index, key) ? -EADDRINUSE : 0;
	if (r == 0)
		atomic_store_explicit(&sw->slot[index].key, key, memory_order_relaxed);
	pthread_mutex_unlock(&sw->table);
	return r;
}
