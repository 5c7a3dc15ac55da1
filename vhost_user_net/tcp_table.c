/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's connections: slots that are there from the start, found by their path; which of them
 * are half open; and the records of TIME-WAIT.
 *
 * A flood of SYNs costs half-open slots, of which there are few and of which the oldest goes: a
 * guest's own handshake takes one round trip, a flood's never ends. Nothing else is touched by it.
 */
#include <string.h>

#include "vhost_user_net/tcp_private.h"

/**
 * tcp_same_path() - whether two paths are one
 * @a:	the one
 * @b:	the other
 *
 * The card's address is not part of it: a bond of the guest may change cards.
 */
bool tcp_same_path(const struct tcp_path *a, const struct tcp_path *b)
{
	return a->peer_port == b->peer_port && a->port == b->port && a->v6 == b->v6 &&
	       !memcmp(a->peer, b->peer, sizeof(a->peer));
}

static uint8_t *bucket_of(struct tcp *tcp, const struct tcp_path *path)
{
	return &tcp->bucket[(path->peer_port ^ path->port) % TCP_BUCKETS];
}

static uint8_t slot_number(const struct tcp_connection *c)
{
	return (uint8_t)(c - c->tcp->slot + 1);
}
static_assert(TCP_CONNECTIONS < 255, "a slot's number fits a byte");

/**
 * tcp_table_find() - the connection of a path
 * @tcp:	the guest's
 * @path:	between whom
 *
 * Return: the connection, half open or open; or NULL.
 */
struct tcp_connection *tcp_table_find(struct tcp *tcp, const struct tcp_path *path)
{
	for (unsigned i = *bucket_of(tcp, path); i; i = tcp->slot[i - 1].next)
		if (tcp_same_path(&tcp->slot[i - 1].path, path))
			return &tcp->slot[i - 1];
	return NULL;
}

/**
 * tcp_table_take() - a free slot, entered under a path
 * @tcp:	the guest's
 * @path:	between whom; not in the table
 *
 * Return: the slot, all zero but for its place in the table; NULL where none is free.
 */
struct tcp_connection *tcp_table_take(struct tcp *tcp, const struct tcp_path *path)
{
	uint8_t *bucket = bucket_of(tcp, path);

	for (unsigned i = 0; i < TCP_CONNECTIONS; i++) {
		struct tcp_connection *c = &tcp->slot[i];

		if (c->state != TCP_STATE_CLOSED)
			continue;
		*c = (struct tcp_connection){.tcp = tcp, .path = *path, .next = *bucket};
		*bucket = slot_number(c);
		tcp->n_slots++;
		list_init(&c->dirty);
		list_init(&c->half_open);
		list_init(&c->queue);
		return c;
	}
	return NULL;
}

/**
 * tcp_table_give() - free a slot
 * @c:	the connection; its buffers have been given back
 */
void tcp_table_give(struct tcp_connection *c)
{
	uint8_t *at = bucket_of(c->tcp, &c->path);

	while (*at != slot_number(c))
		at = &c->tcp->slot[*at - 1].next;
	*at = c->next;
	tcp_table_opened(c);
	list_remove(&c->dirty);
	c->state = TCP_STATE_CLOSED;
	c->tcp->n_slots--;
}

/**
 * tcp_table_opened() - a connection is half open no more
 * @c:	the connection
 */
void tcp_table_opened(struct tcp_connection *c)
{
	if (list_empty(&c->half_open))
		return;
	list_remove(&c->half_open);
	c->tcp->n_half_open--;
}

/**
 * tcp_table_wait() - leave a record of a connection that we closed first
 * @c:	the connection, whose slot is given next
 */
void tcp_table_wait(const struct tcp_connection *c)
{
	struct tcp *tcp = c->tcp;

	tcp->newest_time_wait = (tcp->newest_time_wait + 1) % TCP_TIME_WAITS;
	tcp->time_wait[tcp->newest_time_wait] = (struct tcp_time_wait){
		.path = c->path,
		.snd_nxt = c->snd_max,
		.rcv_nxt = c->rcv_nxt,
		.until = tcp->now + TCP_TIME_WAIT,
	};
}

/**
 * tcp_table_waiting() - the TIME-WAIT record of a path
 * @tcp:	the guest's
 * @path:	between whom
 *
 * Return: the record, or NULL.
 */
struct tcp_time_wait *tcp_table_waiting(struct tcp *tcp, const struct tcp_path *path)
{
	for (unsigned i = 0; i < TCP_TIME_WAITS; i++) {
		struct tcp_time_wait *w = &tcp->time_wait[i];

		if (w->until > tcp->now && tcp_same_path(&w->path, path))
			return w;
	}
	return NULL;
}
