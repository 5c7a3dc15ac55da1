/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the guest's acknowledgements say about what was sent: round trips (RFC 6298), loss seen by
 * three duplicates (RFC 5681, 3.2, with RFC 6582's partial acknowledgements) or by the timer, and
 * the congestion window.
 *
 * Loss is rare: the link loses nothing; a guest drops for want of memory or by its firewall. So the
 * congestion window has no bound before the first loss. From then on it is RFC 5681's.
 */
#include <errno.h>

#include "base/mem.h"
#include "vhost_user_net/tcp_private.h"

/**
 * tcp_loss_init() - nothing is known of the way yet
 * @c:	the connection
 */
void tcp_loss_init(struct tcp_connection *c)
{
	c->cwnd = c->ssthresh = TCP_CWND_MOST;
	c->rto = TCP_RTO_FIRST;
	c->recover = c->snd_una - 1;
}

/**
 * tcp_loss_time() - time a segment that left just now, unless one is timed already
 * @c:		the connection
 * @end:	its end; sent for the first time (Karn's rule)
 */
void tcp_loss_time(struct tcp_connection *c, uint32_t end)
{
	if (c->timed_at)
		return;
	c->timed_at = c->tcp->now;
	c->timed_seq = end;
}

/* RFC 6298, 2.2 and 2.3 */
static void measured(struct tcp_connection *c, uint64_t r)
{
	if (!c->srtt) {
		c->srtt = max_t(uint64_t, r, 1);
		c->rttvar = r / 2;
	} else {
		uint64_t d = c->srtt > r ? c->srtt - r : r - c->srtt;

		c->rttvar += d / 4 - c->rttvar / 4;
		c->srtt = max_t(uint64_t, c->srtt + r / 8 - c->srtt / 8, 1);
	}
	c->rto = c->srtt + max_t(uint64_t, TCP_CLOCK, 4 * c->rttvar);
	c->rto = max_t(uint64_t, c->rto, TCP_RTO_LEAST);
	c->rto = min_t(uint64_t, c->rto, TCP_RTO_MOST);
}

static uint32_t half_in_flight(const struct tcp_connection *c)
{
	return max_t(uint32_t, (c->snd_max - c->snd_una) / 2, 2u * c->mss);
}

/* RFC 5681, 3.1. One acknowledgement may stand for many segments, as in RFC 3465. */
static void grow(struct tcp_connection *c, uint32_t bytes)
{
	uint64_t more = bytes;

	if (c->cwnd >= TCP_CWND_MOST)
		return;
	if (c->cwnd >= c->ssthresh)
		more = max_t(uint64_t, (uint64_t)c->mss * bytes / c->cwnd, 1);
	c->cwnd = (uint32_t)min_t(uint64_t, c->cwnd + more, TCP_CWND_MOST);
}

/* RFC 5681, 3.2. Once for each loss (RFC 6582, 3.2, step 2): duplicates of what was sent twice after
 * a timeout are no news. */
static void duplicate(struct tcp_connection *c)
{
	c->dup_acks++;
	if (c->recovering) {
		c->cwnd = min_t(uint32_t, c->cwnd + c->mss, TCP_CWND_MOST);
		tcp_send_mark(c);
		return;
	}
	if (c->dup_acks != 3 || !seq_after(c->snd_una, c->recover))
		return;
	c->ssthresh = half_in_flight(c);
	c->recover = c->snd_max - 1;
	c->recovering = true;
	c->timed_at = 0;
	c->cwnd = c->ssthresh + 3u * c->mss;
	c->tcp->count.fast_retransmits++;
	if (tcp_send_first(c) < 0)
		c->force = true;
	tcp_timer_retransmit(c);
	tcp_send_mark(c);
}

/* An acknowledgement of new data during fast recovery: RFC 6582, 3.2, step 3. */
static void recovering(struct tcp_connection *c, uint32_t bytes)
{
	if (seq_after(c->snd_una, c->recover)) {
		c->recovering = false;
		c->cwnd = max_t(uint32_t, c->ssthresh, c->mss);
		return;
	}
	c->cwnd -= min_t(uint32_t, c->cwnd, bytes);
	c->cwnd += bytes >= c->mss ? c->mss : 0;
	c->cwnd = max_t(uint32_t, c->cwnd, c->mss);
	tcp_send_first(c);
}

/**
 * tcp_loss_opened() - the guest acknowledged our SYN
 * @c:	the connection
 */
void tcp_loss_opened(struct tcp_connection *c)
{
	if (c->timed_at)
		measured(c, c->tcp->now - c->timed_at);
	else
		c->rto = TCP_RTO_AFTER_SYN;
	c->timed_at = 0;
	c->backoff = 0;
	c->force = false;
	c->retransmit_at = TCP_NEVER;
	c->snd_una = c->snd_nxt = c->iss + 1;
	c->recover = c->iss;
}

/* An acknowledgement of nothing new. */
static void nothing_new(struct tcp_connection *c, const struct tcp_segment *s, uint32_t old_wnd)
{
	if (old_wnd == 0 && c->snd_wnd) {
		/* The window has opened. The probe was not taken, and nothing needs to wait. */
		c->backoff = 0;
		c->retransmit_at = TCP_NEVER;
		tcp_send_rewind(c);
	} else if (c->snd_max != c->snd_una && !s->len && !(s->flags & TCP_FIN) &&
		   old_wnd == c->snd_wnd && c->snd_wnd) {
		duplicate(c);
	}
}

/**
 * tcp_loss_acked() - learn from an acknowledgement
 * @c:		the connection, synchronised; may be gone afterwards
 * @s:		the segment; its acknowledgement lies in snd_una … snd_max
 * @old_wnd:	the guest's window before this segment, bytes
 *
 * Return: whether our FIN is acknowledged by it.
 */
bool tcp_loss_acked(struct tcp_connection *c, const struct tcp_segment *s, uint32_t old_wnd)
{
	uint32_t bytes = s->ack - c->snd_una;
	bool fin = bytes > c->queued;

	if (!bytes) {
		nothing_new(c, s, old_wnd);
		return false;
	}
	bytes -= fin;
	if (c->timed_at && !seq_before(s->ack, c->timed_seq)) {
		measured(c, c->tcp->now - c->timed_at);
		c->timed_at = 0;
	}
	c->snd_una = s->ack;
	c->dup_acks = 0;
	c->backoff = 0;
	c->force = false;
	c->retransmit_at = TCP_NEVER;
	tcp_send_release(c, bytes);
	if (c->state == TCP_STATE_CLOSED)
		return false;
	if (c->snd_una != c->snd_max)
		tcp_timer_retransmit(c);
	if (c->recovering)
		recovering(c, bytes);
	else
		grow(c, bytes);
	return fin;
}

/**
 * tcp_loss_timeout() - nothing came for as long as could be
 * @c:	the connection; may be gone afterwards
 *
 * RFC 6298, 5.4 to 5.6, and RFC 5681, 3.1: from what is acknowledged on, all is sent again, one
 * segment first. Where the guest's window is closed this is the probe for it (RFC 9293, 3.8.6.1),
 * and says nothing about loss.
 */
void tcp_loss_timeout(struct tcp_connection *c)
{
	struct tcp *tcp = c->tcp;

	if (c->state == TCP_STATE_SYN_RECEIVED) {
		if (c->backoff >= TCP_SYN_RETRIES) {
			tcp_connection_end(c, -ETIMEDOUT, false);
			return;
		}
		c->rto = TCP_RTO_FIRST;
	} else {
		if (c->orphan && c->backoff >= TCP_ORPHAN_RETRIES) {
			tcp_send_reset(c);
			tcp_connection_end(c, -ETIMEDOUT, true);
			return;
		}
		if (c->snd_wnd && c->snd_max != c->snd_una) {
			if (!c->backoff)
				c->ssthresh = half_in_flight(c);
			c->cwnd = c->mss;
			c->recover = c->snd_max - 1;
			c->recovering = false;
		}
		c->dup_acks = 0;
		tcp_send_rewind(c);
	}
	tcp->count.timeouts++;
	c->timed_at = 0;
	c->force = true;
	if (c->backoff < 16)
		c->backoff++;
	tcp_timer_retransmit(c);
	tcp_send_mark(c);
}
