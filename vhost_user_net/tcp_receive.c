/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stream from the guest: what is taken, what is acknowledged and when, and the window.
 *
 * Invariants: rcv_acked <= rcv_final <= rcv_nxt <= rcv_adv. rcv_final is rcv_nxt unless the user
 * holds acknowledgements back (tcp_hold_final()); only rcv_final is ever told to the guest. rcv_adv
 * never moves back, though the window said may be smaller once the user has refused bytes: what the
 * guest sent within an older window is still looked at (RFC 9293, 3.8.6).
 *
 * An acknowledgement leaves with anything else that is sent. It leaves alone at the turn's end if
 * four segments wait for it, if the guest will soon have used up its window, or if it needs one to
 * go on; else after 40 ms. One acknowledgement a turn would cost the guest one interrupt a request;
 * this way a guest with a congestion window of 10 segments never stalls.
 */
#include <errno.h>

#include "base/mem.h"
#include "vhost_user_net/tcp_private.h"

/* Acknowledgements that make any guest send again at once. */
#define DUPLICATES 4

/* The number that is acknowledged. A FIN is final with the last byte before it. */
uint32_t tcp_receive_ack(const struct tcp_connection *c)
{
	return c->rcv_final;
}

/* The window's right edge. It moves in steps that are worth a segment (RFC 9293, 3.8.6.2.2). */
static uint32_t edge(const struct tcp_connection *c)
{
	uint32_t wanted = c->rcv_nxt + c->room;
	uint32_t step = min_t(uint32_t, c->room / 2, c->path.v6 ? TCP_MSS6 : TCP_MSS4);

	if (c->refused)
		return c->rcv_nxt;
	return (int32_t)(wanted - c->rcv_adv) >= (int32_t)max_t(uint32_t, step, 1) ? wanted
										   : c->rcv_adv;
}

/**
 * tcp_receive_window() - the window to be said
 * @c:		the connection
 * @scaled:	false: on a SYN
 *
 * Return: as on the wire, for a segment that acknowledges tcp_receive_ack().
 */
uint16_t tcp_receive_window(const struct tcp_connection *c, bool scaled)
{
	uint32_t window = edge(c) - c->rcv_final;

	if ((int32_t)window < 0 || c->fin_taken)
		return 0;
	if (scaled)
		window >>= c->rcv_wscale;
	return (uint16_t)min_t(uint32_t, window, 0xffff);
}

/**
 * tcp_receive_said() - a segment left that acknowledges tcp_receive_ack()
 * @c:		the connection
 * @window:	that it said
 * @scaled:	false: on a SYN
 */
void tcp_receive_said(struct tcp_connection *c, uint16_t window, bool scaled)
{
	uint32_t right = c->rcv_final + ((uint32_t)window << (scaled ? c->rcv_wscale : 0));

	if (seq_after(right, c->rcv_adv))
		c->rcv_adv = right;
	c->rcv_acked = c->rcv_final;
	c->ack_segments = 0;
	c->ack_now = false;
	c->ack_at = TCP_NEVER;
}

/* By how much the window could be larger than was said last; negative: smaller. */
static int32_t opened(const struct tcp_connection *c)
{
	return (int32_t)(c->rcv_nxt + c->room - c->rcv_adv);
}

/**
 * tcp_receive_ack_due() - must an acknowledgement leave at the turn's end, answer or not?
 * @c:	the connection
 */
bool tcp_receive_ack_due(const struct tcp_connection *c)
{
	if (c->ack_now)
		return true;
	if (c->rcv_acked == c->rcv_final)
		return false;
	return c->ack_segments >= TCP_ACK_SEGMENTS ||
	       c->rcv_adv - c->rcv_nxt < min_t(uint32_t, c->room / 2, TCP_WINDOW_LOW);
}

/**
 * tcp_receive_challenge() - answer a segment that may be forged (RFC 5961), but not too often
 * @c:	the connection
 */
void tcp_receive_challenge(struct tcp_connection *c)
{
	struct tcp *tcp = c->tcp;

	if (tcp->now - c->challenges_since >= 1000 * MS) {
		c->challenges_since = tcp->now;
		c->challenges = 0;
	}
	if (c->challenges >= TCP_CHALLENGES) {
		tcp->count.suppressed++;
		return;
	}
	c->challenges++;
	tcp->count.challenges++;
	tcp_send_ack(c);
}

/* Move rcv_final to where the user says. The guest's FIN is final with the last byte before it.
 * Return: whether it moved. */
static bool make_final(struct tcp_connection *c)
{
	uint64_t behind = c->taken_bytes > c->final_bytes ? c->taken_bytes - c->final_bytes : 0;
	uint32_t final = c->rcv_nxt;

	if (c->holds_final && behind)
		final = c->rcv_nxt - c->fin_taken - (uint32_t)behind;
	if (!seq_after(final, c->rcv_final))
		return false;
	c->rcv_final = final;
	if (c->fin_taken)
		c->ack_now = true;
	else if (c->ack_at == TCP_NEVER)
		tcp_timer_set(c, &c->ack_at, c->tcp->now + TCP_ACK_LATEST);
	return true;
}

/**
 * tcp_receive_again() - the guest sends bytes that were taken already
 * @c:	the connection
 *
 * They are acknowledged even if they are not final yet: a guest that has lost something sends one
 * segment at a time and waits for each, so the bytes that the user waits for would never come.
 */
void tcp_receive_again(struct tcp_connection *c)
{
	c->tcp->count.duplicates++;
	if (c->holds_final && c->final_bytes < c->taken_bytes) {
		c->tcp->count.forced_final++;
		c->final_bytes = c->taken_bytes;
		make_final(c);
	}
	c->ack_now = true;
	tcp_send_mark(c);
}

/* Bytes up to @end did not count. RFC 5681, 4.2: each segment that comes for them is acknowledged at
 * once, as the guest sends one, or a few, and waits. */
static void in_vain(struct tcp_connection *c, uint32_t end)
{
	if (!c->gap || seq_after(end, c->rcv_gap))
		c->rcv_gap = end;
	c->gap = true;
}

static void progress(struct tcp_connection *c, uint32_t n)
{
	c->rcv_nxt += n;
	c->taken_bytes += n;
	if (seq_after(c->rcv_nxt, c->rcv_adv))
		c->rcv_adv = c->rcv_nxt;
	if (c->gap) {
		c->ack_now = true;
		c->gap = seq_before(c->rcv_nxt, c->rcv_gap);
	}
	make_final(c);
}

static void take_fin(struct tcp_connection *c)
{
	c->rcv_nxt++;
	if (seq_after(c->rcv_nxt, c->rcv_adv))
		c->rcv_adv = c->rcv_nxt;
	c->fin_taken = true;
	make_final(c);
	c->ack_now = true;
	if (tcp_connection_event(c, TCP_EVENT_FIN) && !c->orphan)
		c->tcp->ops->ended(c->tcp->ctx, c);
}

/* Hand the user what is next. Return: whether all of it was taken; false also where the connection
 * is gone. */
static bool hand_up(struct tcp_connection *c, struct tcp_segment *s)
{
	struct tcp *tcp = c->tcp;
	unsigned mss = c->path.v6 ? TCP_MSS6 : TCP_MSS4;
	size_t len = s->len, taken;

	if (c->refused) {
		/* The user said no; it is asked again once it has said tcp_resume(). */
		in_vain(c, s->seq + (uint32_t)len);
		c->ack_now = true;
		tcp->count.refused_bytes += len;
		return false;
	}
	taken = tcp->ops->receive(tcp->ctx, c, s->parts, s->n_parts, len);
	if (c->state == TCP_STATE_CLOSED)
		return false;
	taken = min_t(size_t, taken, len);
	tcp->count.bytes_in += taken;
	c->ack_segments += (uint32_t)((taken + mss - 1) / mss);
	progress(c, (uint32_t)taken);
	if (taken == len)
		return true;
	tcp->count.refused_bytes += len - taken;
	in_vain(c, s->seq + (uint32_t)len);
	c->refused = true;
	c->ack_now = true;
	return false;
}

/* RFC 9293, 3.10.4, and RFC 2525, 2.17: nobody will ever read what has come. */
static void end_unread(struct tcp_connection *c)
{
	tcp_send_reset(c);
	tcp_connection_end(c, -ECONNRESET, true);
}

/* What was kept behind a hole that is filled now. Return: as hand_up(). */
static bool hand_up_held(struct tcp_connection *c)
{
	struct iovec part;
	struct tcp_segment s = {.seq = c->rcv_nxt, .parts = &part, .n_parts = 1};

	s.len = tcp_hold_next(c, &part);
	if (!s.len)
		return true;
	/* The user may have closed when it was shown the bytes before these. */
	if (c->orphan) {
		end_unread(c);
		return false;
	}
	return hand_up(c, &s);
}

/*
 * RFC 5681, 4.2: an acknowledgement at once for each segment, so that the guest counts duplicates.
 * A long frame is many segments; more than four acknowledgements tell it nothing new. (Linux counts
 * three, and not the first one behind data of ours.)
 */
static void out_of_order(struct tcp_connection *c, struct tcp_segment *s)
{
	unsigned mss = c->path.v6 ? TCP_MSS6 : TCP_MSS4;
	size_t n = min_t(size_t, (s->len + mss - 1) / mss, DUPLICATES);

	c->tcp->count.out_of_order++;
	if (s->len > c->rcv_adv - s->seq)
		tcp_segment_cut(s, c->rcv_adv - s->seq);
	in_vain(c, s->seq + (uint32_t)s->len);
	if (!c->orphan && !c->refused && !c->fin_taken)
		tcp_hold_keep(c, s);
	do
		if (tcp_send_ack(c) != TCP_FRAME_SENT)
			return;
	while (n-- > 1);
}

/**
 * tcp_receive_data() - the payload and the FIN of a segment whose other fields were dealt with
 * @c:	the connection; may be gone afterwards
 * @s:	the segment, which begins before the window's right edge; used up
 */
void tcp_receive_data(struct tcp_connection *c, struct tcp_segment *s)
{
	uint32_t old = c->rcv_nxt - s->seq, window;

	if (!s->len && !(s->flags & TCP_FIN))
		return;
	tcp_send_mark(c);
	if (seq_after(s->seq, c->rcv_nxt)) {
		out_of_order(c, s);
		return;
	}
	if (old)
		tcp_receive_again(c);
	if (old > s->len || c->fin_taken) {
		c->ack_now = true;
		return;
	}
	tcp_segment_skip(s, old);
	window = c->rcv_adv - c->rcv_nxt;
	if (s->len > window) {
		tcp_segment_cut(s, window);
		c->ack_now = true;
	}
	if (s->len) {
		if (c->orphan) {
			end_unread(c);
			return;
		}
		if (!hand_up(c, s) || (!(s->flags & TCP_FIN) && !hand_up_held(c)))
			return;
	}
	if (s->flags & TCP_FIN)
		take_fin(c);
}

/**
 * tcp_resume() - the user takes bytes again, after it took less than it was shown
 * @c:	the connection
 *
 * The guest is told of the window. If it sent bytes in vain, three more acknowledgements make it
 * send them at once (RFC 5681, 3.2), and not when its timer fires.
 */
void tcp_resume(struct tcp_connection *c)
{
	if (!c->refused)
		return;
	c->refused = false;
	for (unsigned i = 0; i < DUPLICATES; i++)
		if (tcp_send_ack(c) != TCP_FRAME_SENT)
			break;
}

/**
 * tcp_set_room() - say how many bytes the user takes for certain from now on
 * @c:		the connection
 * @room:	bytes beyond those that it took; the window said is never more, and never taken back
 */
void tcp_set_room(struct tcp_connection *c, uint32_t room)
{
	/* A guest whose window is used up waits only for this. */
	bool shut = c->rcv_adv - c->rcv_nxt < TCP_MSS4;

	c->room = min_t(uint32_t, room, TCP_WINDOW_MAX);
	if (!c->refused && edge(c) != c->rcv_adv && (shut || opened(c) >= (int32_t)(c->room / 2))) {
		c->ack_now = true;
		tcp_send_mark(c);
	}
}

/**
 * tcp_hold_final() - acknowledge from now on only what tcp_set_final() names
 * @c:	the connection
 *
 * The guest keeps what is not acknowledged, and sends it again to whoever takes the connection up,
 * even if this process ended without a word. The guest's send buffer (some MiB) must hold it, so a
 * user must not wait for more than that to come before it names some of it final.
 *
 * It is no guarantee: once the guest sends bytes again that were taken, all that was taken is
 * acknowledged (tcp_receive_again()). The state's taken_bytes, rcv_nxt and rcv_final tell whoever
 * takes the connection up where the guest will go on.
 */
void tcp_hold_final(struct tcp_connection *c)
{
	c->holds_final = true;
	c->final_bytes = c->taken_bytes;
}

/**
 * tcp_set_final() - name what may be acknowledged
 * @c:		the connection, after tcp_hold_final()
 * @bytes:	counted from the stream's first byte on, never less than before; from within
 *		ops->receive() also some of those that it is about to take
 */
void tcp_set_final(struct tcp_connection *c, uint64_t bytes)
{
	if (!c->holds_final || bytes <= c->final_bytes)
		return;
	c->final_bytes = bytes;
	if (make_final(c))
		tcp_send_mark(c);
}
