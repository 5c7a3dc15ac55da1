/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection's three deadlines: what was sent is not acknowledged, or can't be sent (RFC 6298,
 * and RFC 9293, 3.8.6.1: one timer does for both); an acknowledgement waits for an answer; the
 * guest is given up. Dead connections have deadlines of their own (tcp_dead.c).
 *
 * All of them together have one lower bound, tcp->deadline. Putting a deadline off does not move
 * the bound, so it writes only one word. At a turn's end the bound is computed again: else most
 * deadlines, which each URB puts off, would still wake the thread.
 */
#include <errno.h>

#include "base/mem.h"
#include "vhost_user_net/tcp_private.h"

/**
 * tcp_timer_set() - set a deadline of a connection
 * @c:		the connection
 * @deadline:	which
 * @at:		when, ns; TCP_NEVER: not at all
 */
void tcp_timer_set(struct tcp_connection *c, uint64_t *deadline, uint64_t at)
{
	*deadline = at;
	if (at < c->tcp->deadline)
		c->tcp->deadline = at;
}

/**
 * tcp_timer_retransmit() - set the timer for what is to be acknowledged or waits for a window
 * @c:	the connection
 *
 * RFC 6298, 5: doubled for each time that it fired in vain. From now on.
 */
void tcp_timer_retransmit(struct tcp_connection *c)
{
	uint64_t rto = c->rto;

	for (unsigned i = 0; i < c->backoff && rto < TCP_RTO_MOST; i++)
		rto *= 2;
	tcp_timer_set(c, &c->retransmit_at, c->tcp->now + min_t(uint64_t, rto, TCP_RTO_MOST));
}

static uint64_t earliest(const struct tcp_connection *c)
{
	uint64_t at = min_t(uint64_t, c->retransmit_at, c->ack_at);

	return min_t(uint64_t, at, c->give_up_at);
}

static void run_one(struct tcp_connection *c)
{
	uint64_t now = c->tcp->now;

	if (c->give_up_at <= now) {
		tcp_connection_end(c, -ETIMEDOUT, true);
		return;
	}
	if (c->ack_at <= now) {
		c->ack_at = TCP_NEVER;
		c->ack_now = true;
		tcp_send_mark(c);
	}
	if (c->retransmit_at <= now) {
		c->retransmit_at = TCP_NEVER;
		tcp_loss_timeout(c);
	}
}

/**
 * tcp_go_on() - the guest has stood still, and goes on
 * @tcp:	the guest's
 * @now:	ns
 *
 * What was under way is waited for from now on, and tells nothing about the way there and back.
 */
void tcp_go_on(struct tcp *tcp, uint64_t now)
{
	tcp->now = now;
	tcp->unheard = 0;
	for (unsigned i = 0; i < TCP_CONNECTIONS; i++) {
		struct tcp_connection *c = &tcp->slot[i];

		if (c->state == TCP_STATE_CLOSED)
			continue;
		c->timed_at = 0;
		if (c->retransmit_at != TCP_NEVER)
			tcp_timer_retransmit(c);
	}
}

/**
 * tcp_timer_first() - find which deadline is the first
 * @tcp:	the guest's
 *
 * Return: when, ns; or TCP_NEVER.
 */
uint64_t tcp_timer_first(struct tcp *tcp)
{
	unsigned left = tcp->n_slots;

	tcp->deadline = tcp_dead_first(tcp);
	for (const struct tcp_connection *c = tcp->slot; left > 0; c++) {
		if (c->state == TCP_STATE_CLOSED)
			continue;
		tcp->deadline = min_t(uint64_t, tcp->deadline, earliest(c));
		left--;
	}
	return tcp->deadline;
}

/**
 * tcp_timer_run() - act on the deadlines that have passed
 * @tcp:	the guest's, its time set
 */
void tcp_timer_run(struct tcp *tcp)
{
	if (tcp->deadline > tcp->now)
		return;
	for (unsigned i = 0; i < TCP_CONNECTIONS; i++)
		if (tcp->slot[i].state != TCP_STATE_CLOSED)
			run_one(&tcp->slot[i]);
	tcp_dead_run(tcp);
	tcp_timer_first(tcp);
}
