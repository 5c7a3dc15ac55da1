/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections of a process that has died. The guest may still believe in them: its kernel sends
 * nothing on such a connection, and waits for bytes for ever. So each is *hung up*:
 *
 *   a SYN between the same two ends          a guest that knows nothing of the connection resets it
 *   <- an acknowledgement                    one that believes in it says so, with its numbers
 *   the reset that stands at these numbers   and the connection is over
 *
 * RFC 9293, 3.5.1 and 3.10.7.4; RFC 5961, 4.2. Linux answers one such SYN of a connection in half a
 * second (net/ipv4/tcp_input.c, tcp_oow_rate_limited()). A guest may have no address yet, or no memory
 * for the SYN. So the SYN comes again after 1, 2, 4 … 60 s, TCP_DEAD_TRIES times at the most, until the
 * guest resets the connection or opens it anew. In the ring of a paused guest all these SYNs lie; it
 * answers when it goes on. By then there may be no record; the reset needs none (tcp.c, refuse()).
 *
 * A guest that opens a connection between the same two ends has given up the old one. Its SYN may have
 * crossed ours. Ours then opens the connection, with the number and the options that it had (RFC 9293,
 * 3.5, figure 8).
 *
 * Guests lie: whatever is answered, a record costs TCP_DEAD_TRIES frames at the most. There are
 * TCP_DEADS records.
 */
#include <string.h>

#include "base/mem.h"
#include "vhost_user_net/tcp_isn.h"
#include "vhost_user_net/tcp_private.h"

#define FIRST (1000 * MS)
#define MOST  (60000 * MS)

static void forget(struct tcp *tcp, struct tcp_dead *d)
{
	d->at = 0;
	tcp->n_dead--;
}

static struct tcp_dead *find(struct tcp *tcp, const struct tcp_path *path)
{
	if (!tcp->n_dead)
		return NULL;
	for (unsigned i = 0; i < TCP_DEADS; i++)
		if (tcp->dead[i].at && tcp_same_path(&tcp->dead[i].path, path))
			return &tcp->dead[i];
	return NULL;
}

/* The oldest makes room for a newer one. */
static struct tcp_dead *make_room(struct tcp *tcp)
{
	struct tcp_dead *oldest = &tcp->dead[0];

	for (unsigned i = 0; i < TCP_DEADS; i++) {
		struct tcp_dead *d = &tcp->dead[i];

		if (!d->at)
			return d;
		if (d->order < oldest->order)
			oldest = d;
	}
	forget(tcp, oldest);
	return oldest;
}

/**
 * tcp_hang_up() - tell the guest that a connection is dead, which nobody here knows any more
 * @tcp:	the guest's
 * @peer:	between whom it was
 *
 * tcp_flush() tells it, once the guest's card is known (tcp_set_card()). A connection that is known here
 * by then is left alone.
 */
void tcp_hang_up(struct tcp *tcp, const struct tcp_peer *peer)
{
	struct tcp_path path = {.v6 = peer->v6, .peer_port = peer->port, .port = peer->local_port};
	struct tcp_dead *d;

	memcpy(path.peer, peer->address, peer->v6 ? 16 : 4);
	if (find(tcp, &path))
		return;
	d = make_room(tcp);
	*d = (struct tcp_dead){.path = path, .at = 1, .order = tcp->n_ever_dead++};
	tcp->n_dead++;
	tcp->deadline = 0;
}

/**
 * tcp_set_card() - the card that frames of no connection go to
 * @tcp:	the guest's
 * @mac:	its card's address; all zero: it is not known
 */
void tcp_set_card(struct tcp *tcp, const uint8_t mac[6])
{
	static const uint8_t none[6];

	memcpy(tcp->card, mac, sizeof(tcp->card));
	tcp->has_card = memcmp(mac, none, sizeof(none)) != 0;
	if (tcp->n_dead)
		tcp->deadline = 0;
}

/**
 * tcp_dead_again() - the guest's card is up again: what it has not answered is told anew
 * @tcp:	the guest's
 */
void tcp_dead_again(struct tcp *tcp)
{
	for (unsigned i = 0; i < TCP_DEADS; i++) {
		struct tcp_dead *d = &tcp->dead[i];

		if (d->at)
			*d = (struct tcp_dead){.path = d->path, .at = 1, .order = d->order};
	}
	if (tcp->n_dead)
		tcp->deadline = 0;
}

/* Return: whether there is no more to do about it. */
static bool try(struct tcp *tcp, struct tcp_dead *d)
{
	struct tcp_said said = {
		.flags = TCP_SYN,
		.window = d->path.v6 ? TCP_MSS6 : TCP_MSS4,
		.mss = d->path.v6 ? TCP_MSS6 : TCP_MSS4,
		.wscale = TCP_WSCALE,
		.csum = tcp->csum,
	};

	/* A connection between these two ends is known by now; or all tries are used up. */
	if (tcp_table_find(tcp, &d->path) || d->tries == TCP_DEAD_TRIES)
		return true;
	memcpy(d->path.mac, tcp->card, sizeof(d->path.mac));
	if (!d->tries)
		d->iss = tcp_isn(tcp->cfg.key, &d->path, tcp->now);
	said.seq = d->iss;
	if (tcp_send_reply(tcp, &d->path, &said) == TCP_FRAME_SENT) {
		d->tries++;
		tcp->count.hang_ups++;
	}
	d->at = tcp->now + min_t(uint64_t, FIRST << d->backoff, MOST);
	if (FIRST << d->backoff < MOST)
		d->backoff++;
	return false;
}

/**
 * tcp_dead_run() - say what is due
 * @tcp:	the guest's, its time set
 */
void tcp_dead_run(struct tcp *tcp)
{
	if (!tcp->n_dead || !tcp->has_card)
		return;
	for (unsigned i = 0; i < TCP_DEADS; i++) {
		struct tcp_dead *d = &tcp->dead[i];

		if (d->at && d->at <= tcp->now && try(tcp, d))
			forget(tcp, d);
	}
}

/**
 * tcp_dead_first() - when something is due
 * @tcp:	the guest's
 *
 * Return: ns; TCP_NEVER.
 */
uint64_t tcp_dead_first(const struct tcp *tcp)
{
	uint64_t at = TCP_NEVER;

	if (!tcp->n_dead || !tcp->has_card)
		return at;
	for (unsigned i = 0; i < TCP_DEADS; i++)
		if (tcp->dead[i].at)
			at = min_t(uint64_t, at, tcp->dead[i].at);
	return at;
}

/**
 * tcp_dead_arrived() - a segment came that is of no connection
 * @tcp:	the guest's
 * @s:		the segment
 *
 * A reset says that there is nothing any more. All else is answered as ever, and the next SYN asks
 * whether that was believed.
 */
void tcp_dead_arrived(struct tcp *tcp, const struct tcp_segment *s)
{
	struct tcp_dead *d = find(tcp, &s->path);

	if (d && s->flags & TCP_RST)
		forget(tcp, d);
}

/**
 * tcp_dead_opens() - the guest opens a connection
 * @tcp:	the guest's
 * @path:	between whom
 * @iss:	our first number; where a SYN of ours is under way, changed to the SYN's
 */
void tcp_dead_opens(struct tcp *tcp, const struct tcp_path *path, uint32_t *iss)
{
	struct tcp_dead *d = find(tcp, path);

	if (!d)
		return;
	if (d->tries)
		*iss = d->iss;
	forget(tcp, d);
}

/**
 * tcp_dead_forget() - another guest's kernel is there: it believes in none
 * @tcp:	the guest's
 */
void tcp_dead_forget(struct tcp *tcp)
{
	for (unsigned i = 0; i < TCP_DEADS; i++)
		tcp->dead[i].at = 0;
	tcp->n_dead = 0;
}
