/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection's life: RFC 9293's states (3.3.2) as a table, opening by a guest's SYN, and closing.
 *
 *   state         | user sends no more | guest's FIN  | our FIN acknowledged
 *   SYN-RECEIVED  | FIN-WAIT-1         | CLOSE-WAIT   | -
 *   ESTABLISHED   | FIN-WAIT-1         | CLOSE-WAIT   | -
 *   FIN-WAIT-1    | -                  | CLOSING      | FIN-WAIT-2
 *   FIN-WAIT-2    | -                  | TIME-WAIT    | -
 *   CLOSING       | -                  | -            | TIME-WAIT
 *   CLOSE-WAIT    | LAST-ACK           | -            | -
 *   LAST-ACK      | -                  | -            | CLOSED
 *
 * An *orphan* is a connection that the user has closed: what is queued is still delivered, what
 * comes is not handed up, and the guest's silence ends it.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "vhost_user_net/tcp_isn.h"
#include "vhost_user_net/tcp_private.h"

/* The state that follows; 0, CLOSED by name, is "none" but for LAST-ACK. */
static const uint8_t table[TCP_STATES][TCP_EVENTS] = {
	[TCP_STATE_SYN_RECEIVED] =
		{[TCP_EVENT_CLOSE] = TCP_STATE_FIN_WAIT_1, [TCP_EVENT_FIN] = TCP_STATE_CLOSE_WAIT},
	[TCP_STATE_ESTABLISHED] =
		{[TCP_EVENT_CLOSE] = TCP_STATE_FIN_WAIT_1, [TCP_EVENT_FIN] = TCP_STATE_CLOSE_WAIT},
	[TCP_STATE_FIN_WAIT_1] =
		{[TCP_EVENT_FIN] = TCP_STATE_CLOSING, [TCP_EVENT_FIN_ACKED] = TCP_STATE_FIN_WAIT_2},
	[TCP_STATE_FIN_WAIT_2] = {[TCP_EVENT_FIN] = TCP_STATE_TIME_WAIT},
	[TCP_STATE_CLOSING] = {[TCP_EVENT_FIN_ACKED] = TCP_STATE_TIME_WAIT},
	[TCP_STATE_CLOSE_WAIT] = {[TCP_EVENT_CLOSE] = TCP_STATE_LAST_ACK},
};

/* Is our FIN still to be sent or acknowledged? */
bool tcp_connection_says_fin(const struct tcp_connection *c)
{
	return c->state == TCP_STATE_FIN_WAIT_1 || c->state == TCP_STATE_CLOSING ||
	       c->state == TCP_STATE_LAST_ACK;
}

/* What a new connection starts with, from a SYN or from a state written down. */
void tcp_connection_init(struct tcp_connection *c, const struct tcp_path *path)
{
	tcp_head_init(&c->head, &c->tcp->cfg, path);
	c->room = TCP_WINDOW;
	c->retransmit_at = c->ack_at = c->give_up_at = TCP_NEVER;
	tcp_loss_init(c);
}

/**
 * tcp_connection_syn() - a guest opens a connection (RFC 9293, 3.10.7.2)
 * @tcp:	the guest's
 * @s:		a SYN to a port that is listened to; not of a connection
 *
 * What else the segment carries is left: the guest sends it again. Without a slot it gets a reset.
 */
void tcp_connection_syn(struct tcp *tcp, const struct tcp_segment *s)
{
	unsigned least = s->path.v6 ? TCP_MSS_DEFAULT6 : TCP_MSS_DEFAULT4;
	struct tcp_connection *c;
	uint32_t iss;

	if (tcp->n_half_open == TCP_HALF_OPEN) {
		c = list_entry(list_first(&tcp->half_open), struct tcp_connection, half_open);
		tcp->count.half_open_evicted++;
		tcp_connection_end(c, -ETIMEDOUT, false);
	}
	c = tcp_table_take(tcp, &s->path);
	if (!c) {
		tcp->count.no_slot++;
		tcp->count.resets_out++;
		tcp_send_reply(tcp, &s->path,
			       &(struct tcp_said){.ack = s->seq + 1,
						  .flags = TCP_RST | TCP_ACK,
						  .wscale = -1,
						  .csum = tcp->csum});
		return;
	}
	c->state = TCP_STATE_SYN_RECEIVED;
	list_append(&tcp->half_open, &c->half_open);
	tcp->n_half_open++;
	iss = tcp_isn(tcp->cfg.key, &s->path, tcp->now);
	tcp_dead_opens(tcp, &s->path, &iss);
	c->iss = c->snd_una = c->snd_nxt = c->snd_max = iss;
	tcp_connection_init(c, &s->path);
	c->irs = s->seq;
	c->rcv_nxt = c->rcv_final = c->rcv_acked = c->rcv_adv = s->seq + 1;
	c->snd_wnd = c->max_wnd = s->window; /* never scaled on a SYN: RFC 7323, 2.2 */
	c->snd_wl1 = s->seq;
	c->mss = s->mss ? s->mss : (uint16_t)least;
	c->mss = (uint16_t)min_t(unsigned, c->mss, s->path.v6 ? TCP_MSS6 : TCP_MSS4);
	c->mss = (uint16_t)max_t(unsigned, c->mss, TCP_MSS_LEAST);
	if (s->wscale >= 0) {
		c->snd_wscale = (uint8_t)s->wscale;
		c->rcv_wscale = TCP_WSCALE;
	}
	c->force = true;
	tcp_send_mark(c);
}

static void release_all(struct tcp_connection *c)
{
	struct list *l;

	while ((l = list_pop(&c->queue)))
		c->tcp->ops->release(c->tcp->ctx, c, list_entry(l, struct stream_buffer, link));
	c->queued = 0;
	c->cursor = (struct tcp_cursor){};
}

/**
 * tcp_connection_end() - a connection is no more
 * @c:		the connection
 * @why:	for the user: 0, or a negative errno
 * @tell:	whether to tell the user, who knows of it
 *
 * Its slot is free afterwards.
 */
void tcp_connection_end(struct tcp_connection *c, int why, bool tell)
{
	/* Whatever the callbacks ask for finds nothing to do. */
	c->state = TCP_STATE_CLOSED;
	c->fin_queued = c->orphan = true;
	c->refused = false;
	tcp_hold_drop(c);
	release_all(c);
	if (tell)
		c->tcp->ops->closed(c->tcp->ctx, c, why);
	tcp_table_give(c);
}

/**
 * tcp_connection_event() - go where the table says
 * @c:		the connection; may be gone afterwards
 * @event:	what happened
 *
 * Return: whether the connection is still there.
 */
bool tcp_connection_event(struct tcp_connection *c, enum tcp_event event)
{
	enum tcp_state_of next = table[c->state][event];

	if (next == TCP_STATE_TIME_WAIT) {
		/* The last acknowledgement leaves before the slot is given. */
		c->rcv_final = c->rcv_nxt;
		if (c->ack_now || c->rcv_acked != c->rcv_final)
			tcp_send_ack(c);
		tcp_table_wait(c);
		tcp_connection_end(c, 0, true);
		return false;
	}
	if (c->state == TCP_STATE_LAST_ACK && event == TCP_EVENT_FIN_ACKED) {
		tcp_connection_end(c, 0, true);
		return false;
	}
	if (next == TCP_STATE_CLOSED)
		return true;
	c->state = next;
	if (next == TCP_STATE_FIN_WAIT_2 && c->orphan)
		tcp_timer_set(c, &c->give_up_at, c->tcp->now + TCP_FIN_WAIT);
	return true;
}

/**
 * tcp_shutdown() - send no more
 * @c:	the connection
 *
 * A FIN follows what is queued. The guest may go on to send.
 */
void tcp_shutdown(struct tcp_connection *c)
{
	if (c->fin_queued)
		return;
	c->fin_queued = true;
	tcp_connection_event(c, TCP_EVENT_CLOSE);
	tcp_send_mark(c);
}

/**
 * tcp_close() - have done with a connection in order
 * @c:	the connection
 *
 * As tcp_shutdown(); from now on nothing is handed up, and bytes that the guest still sends reset
 * the connection. ops->release() and ops->closed() follow, within minutes at the latest.
 */
void tcp_close(struct tcp_connection *c)
{
	if (c->orphan)
		return;
	c->orphan = true;
	c->refused = false;
	c->holds_final = false;
	c->rcv_final = c->rcv_nxt;
	tcp_shutdown(c);
	if (c->state == TCP_STATE_FIN_WAIT_2)
		tcp_timer_set(c, &c->give_up_at, c->tcp->now + TCP_FIN_WAIT);
}

/**
 * tcp_abort() - reset a connection
 * @c:	the connection; gone afterwards, its buffers given back by ops->release()
 */
void tcp_abort(struct tcp_connection *c)
{
	if (c->state == TCP_STATE_CLOSED)
		return;
	tcp_send_reset(c);
	tcp_connection_end(c, -ECONNABORTED, false);
}

/**
 * tcp_drop() - forget a connection without a word to the guest
 * @c:	the connection; gone afterwards, its buffers given back by ops->release()
 *
 * For one that another process has taken up.
 */
void tcp_drop(struct tcp_connection *c)
{
	if (c->state != TCP_STATE_CLOSED)
		tcp_connection_end(c, -ECONNABORTED, false);
}

/**
 * tcp_set_user() - hang something of the user's on a connection
 * @c:		the connection
 * @user:	what
 */
void tcp_set_user(struct tcp_connection *c, void *user)
{
	c->user = user;
}

/**
 * tcp_user() - what tcp_set_user() hung there
 * @c:	the connection
 *
 * Return: it, or NULL.
 */
void *tcp_user(const struct tcp_connection *c)
{
	return c->user;
}

/**
 * tcp_peer() - between whom a connection is
 * @c:		the connection
 * @ret_peer:	the guest's end, and our port
 */
void tcp_peer(const struct tcp_connection *c, struct tcp_peer *ret_peer)
{
	*ret_peer = (struct tcp_peer){
		.v6 = c->path.v6, .port = c->path.peer_port, .local_port = c->path.port};
	memcpy(ret_peer->address, c->path.peer, sizeof(ret_peer->address));
}
