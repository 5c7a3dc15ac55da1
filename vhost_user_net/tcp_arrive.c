/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A segment of a known connection, step by step as RFC 9293, 3.10.7.4, has it, with RFC 5961's
 * answers to what may be forged: a reset counts only at the very number that is expected, a SYN
 * never, an acknowledgement only of what can be under way. A segment that may be forged is answered
 * by an acknowledgement: a guest that has forgotten the connection then resets it properly.
 *
 * Every step may end the connection; the next one runs only where it did not.
 */
#include <errno.h>
#include <string.h>

#include "vhost_user_net/tcp_private.h"

static bool within(uint32_t seq, uint32_t from, uint32_t len)
{
	return seq - from < len;
}

/*
 * RFC 9293, 3.10.7.4, first step, with the widest window that was ever offered. A segment without
 * bytes may stand at its very edge: that is where a guest is that has used up its window.
 */
static bool acceptable(const struct tcp_connection *c, const struct tcp_segment *s)
{
	uint32_t len = (uint32_t)s->len + !!(s->flags & TCP_FIN);
	uint32_t window = c->rcv_adv - c->rcv_nxt;

	if (len == 0)
		return within(s->seq, c->rcv_nxt, window + 1);
	return within(s->seq, c->rcv_nxt, window) || within(s->seq + len - 1, c->rcv_nxt, window) ||
	       /* it covers the whole window */
	       (window && within(c->rcv_nxt, s->seq, len));
}

/* RFC 5961, 3.2. Where the guest is told of rcv_final only, it may reset there too. */
static void reset_arrived(struct tcp_connection *c, const struct tcp_segment *s)
{
	if (s->seq == c->rcv_nxt || s->seq == c->rcv_final)
		tcp_connection_end(c, -ECONNRESET, c->state != TCP_STATE_SYN_RECEIVED);
	else if (within(s->seq, c->rcv_final, c->rcv_adv - c->rcv_final + 1))
		tcp_receive_challenge(c);
}

/* RFC 5961, 4.2; and a guest that did not get our SYN. */
static void syn_arrived(struct tcp_connection *c, const struct tcp_segment *s)
{
	if (c->state == TCP_STATE_SYN_RECEIVED && s->seq == c->irs) {
		if (c->snd_max != c->iss && c->tcp->unheard < TCP_DEAF)
			c->tcp->unheard++;
		c->timed_at = 0;
		c->ack_now = true;
		tcp_send_mark(c);
		return;
	}
	tcp_receive_challenge(c);
}

/* The third step of a handshake. Return: whether the segment goes on. */
static bool opened(struct tcp_connection *c, const struct tcp_segment *s)
{
	if (s->ack != c->iss + 1 || c->snd_max != s->ack) {
		c->tcp->count.resets_out++;
		tcp_send_reply(c->tcp, &c->path,
			       &(struct tcp_said){.seq = s->ack,
						  .flags = TCP_RST,
						  .wscale = -1,
						  .csum = c->tcp->csum});
		return false;
	}
	c->tcp->unheard = 0;
	tcp_loss_opened(c);
	tcp_table_opened(c);
	c->state = TCP_STATE_ESTABLISHED;
	c->ack_now = false;
	c->snd_wnd = (uint32_t)s->window << c->snd_wscale;
	c->max_wnd = c->snd_wnd;
	c->snd_wl1 = s->seq;
	c->snd_wl2 = s->ack;
	c->tcp->ops->accept(c->tcp->ctx, c);
	return c->state != TCP_STATE_CLOSED;
}

/* RFC 9293, 3.10.7.4: windows of older segments are not taken. Return: the window before. */
static uint32_t take_window(struct tcp_connection *c, const struct tcp_segment *s)
{
	uint32_t old = c->snd_wnd;

	if (seq_before(s->seq, c->snd_wl1) ||
	    (s->seq == c->snd_wl1 && seq_before(s->ack, c->snd_wl2)))
		return old;
	c->snd_wnd = (uint32_t)s->window << c->snd_wscale;
	c->snd_wl1 = s->seq;
	c->snd_wl2 = s->ack;
	if (c->snd_wnd > c->max_wnd)
		c->max_wnd = c->snd_wnd;
	return old;
}

/* Return: whether the segment goes on. */
static bool acknowledged(struct tcp_connection *c, const struct tcp_segment *s)
{
	uint32_t old_wnd;

	/* RFC 5961, 5.2 */
	if (seq_after(s->ack, c->snd_max) || seq_before(s->ack, c->snd_una - c->max_wnd)) {
		tcp_receive_challenge(c);
		return false;
	}
	/* An old one says nothing new, but what comes with it may be. */
	if (seq_before(s->ack, c->snd_una))
		return true;
	old_wnd = take_window(c, s);
	if (tcp_loss_acked(c, s, old_wnd))
		return tcp_connection_event(c, TCP_EVENT_FIN_ACKED);
	return c->state != TCP_STATE_CLOSED;
}

/* The guest may have moved to another card of its own (a bond): answers follow it. */
static void follow_card(struct tcp_connection *c, const struct tcp_segment *s)
{
	if (!memcmp(c->path.mac, s->path.mac, 6))
		return;
	memcpy(c->path.mac, s->path.mac, 6);
	tcp_head_init(&c->head, &c->tcp->cfg, &c->path);
}

/**
 * tcp_arrive() - a segment of a connection
 * @c:	the connection, half open or open; may be gone afterwards
 * @s:	the segment; used up
 */
void tcp_arrive(struct tcp_connection *c, struct tcp_segment *s)
{
	if (s->flags & TCP_RST) {
		reset_arrived(c, s);
		return;
	}
	if (s->flags & TCP_SYN) {
		syn_arrived(c, s);
		return;
	}
	if (!acceptable(c, s)) {
		if (s->len && seq_before(s->seq, c->rcv_nxt))
			tcp_receive_again(c);
		c->ack_now = true;
		tcp_send_mark(c);
		return;
	}
	if (!(s->flags & TCP_ACK))
		return;
	if (c->state == TCP_STATE_SYN_RECEIVED) {
		if (!opened(c, s))
			return;
	} else if (!acknowledged(c, s)) {
		return;
	}
	follow_card(c, s);
	if (c->queued || tcp_connection_says_fin(c))
		tcp_send_mark(c);
	tcp_receive_data(c, s);
}
