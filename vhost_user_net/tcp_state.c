/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing a connection down, and taking one up. What is read is checked as hostile bytes are: the
 * process that wrote it may have been taken over by its guest. A state that passes can do no more
 * than its guest could by segments.
 *
 * What is learnt anew: round trips, the congestion window, deadlines. An acknowledgement leaves at
 * once, and what was under way is sent again after a second if it is not acknowledged.
 */
#include "vhost_user_net/tcp_state.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "vhost_user_net/tcp_private.h"

/* Which states may be written down, and what each implies. */
static const struct {
	bool open, fin_queued, fin_acked, fin_taken;
} implied[TCP_STATES] = {
	[TCP_STATE_ESTABLISHED] = {true, false, false, false},
	[TCP_STATE_FIN_WAIT_1] = {true, true, false, false},
	[TCP_STATE_FIN_WAIT_2] = {true, true, true, false},
	[TCP_STATE_CLOSING] = {true, true, false, true},
	[TCP_STATE_CLOSE_WAIT] = {true, false, false, true},
	[TCP_STATE_LAST_ACK] = {true, true, false, true},
};

/**
 * tcp_export() - write a connection down
 * @c:		the connection, which stays as it is; tcp_drop() once another has taken it up
 * @ret_state:	written whole, its reserved bytes too
 *
 * Return: 0; -EAGAIN where it is half open or over.
 */
int tcp_export(const struct tcp_connection *c, struct tcp_state *ret_state)
{
	if (!implied[c->state].open)
		return -EAGAIN;
	*ret_state = (struct tcp_state){
		.version = TCP_STATE_VERSION,
		.size = sizeof(*ret_state),
		.acked_bytes = c->acked_bytes,
		.taken_bytes = c->taken_bytes,
		.queued = c->queued,
		.snd_una = c->snd_una,
		.snd_max = c->snd_max,
		.snd_wnd = c->snd_wnd,
		.max_wnd = c->max_wnd,
		.snd_wl1 = c->snd_wl1,
		.snd_wl2 = c->snd_wl2,
		.rcv_nxt = c->rcv_nxt,
		.rcv_final = c->rcv_final,
		.rcv_adv = c->rcv_adv,
		.room = c->room,
		.peer_port = c->path.peer_port,
		.port = c->path.port,
		.mss = c->mss,
		.v6 = c->path.v6,
		.state = (uint8_t)c->state,
		.snd_wscale = c->snd_wscale,
		.rcv_wscale = c->rcv_wscale,
		.orphan = c->orphan,
		.holds_final = c->holds_final,
		.refused = c->refused,
	};
	memcpy(ret_state->peer, c->path.peer, sizeof(ret_state->peer));
	memcpy(ret_state->mac, c->path.mac, sizeof(ret_state->mac));
	return 0;
}

/**
 * tcp_state_forget_unfinal() - go back to what was acknowledged
 * @state:	of a connection whose user held acknowledgements back
 *
 * For who takes it up without what was taken and not named final: the guest sends that again.
 */
void tcp_state_forget_unfinal(struct tcp_state *state)
{
	uint32_t n = state->rcv_nxt - state->rcv_final;

	if (state->state < TCP_STATES && implied[state->state].fin_taken && n) {
		/* Of these the last is the FIN, which comes again as well. */
		n--;
		if (state->state == TCP_STATE_CLOSE_WAIT)
			state->state = TCP_STATE_ESTABLISHED;
		else
			state->state = TCP_STATE_FIN_WAIT_1;
	}
	state->taken_bytes -= n;
	state->rcv_nxt = state->rcv_final;
}

static bool is_flag(uint8_t x)
{
	return x <= 1;
}

static bool sane_path(const struct tcp_state *s)
{
	static const uint8_t none[12];

	if (!is_flag(s->v6) || !s->port || (s->mac[0] & 1))
		return false;
	return s->v6 || !memcmp(s->peer + 4, none, sizeof(none));
}

static bool sane_sending(const struct tcp_state *s)
{
	bool fin = implied[s->state].fin_queued && !implied[s->state].fin_acked;

	if (s->queued > TCP_QUEUE_MAX || s->snd_max - s->snd_una > s->queued + fin)
		return false;
	if (implied[s->state].fin_acked && s->queued)
		return false;
	return s->mss >= TCP_MSS_LEAST && s->mss <= TCP_MSS4 &&
	       s->snd_wnd <= 0xffffu << TCP_WSCALE_MAX && s->max_wnd <= 0xffffu << TCP_WSCALE_MAX &&
	       s->snd_wnd <= s->max_wnd;
}

static bool sane_receiving(const struct tcp_state *s)
{
	uint32_t unfinal = s->rcv_nxt - s->rcv_final;

	return unfinal <= 2 * TCP_WINDOW_MAX &&
	       unfinal <= s->taken_bytes + implied[s->state].fin_taken &&
	       (s->holds_final || !unfinal) && s->rcv_adv - s->rcv_nxt <= TCP_WINDOW_MAX &&
	       s->room <= TCP_WINDOW_MAX;
}

static bool sane(const struct tcp_state *s)
{
	if (s->version != TCP_STATE_VERSION || s->size != sizeof(*s) || s->state >= TCP_STATES ||
	    !implied[s->state].open)
		return false;
	if (!is_flag(s->orphan) || !is_flag(s->holds_final) || !is_flag(s->refused) ||
	    s->snd_wscale > TCP_WSCALE_MAX || (s->rcv_wscale && s->rcv_wscale != TCP_WSCALE))
		return false;
	if (s->orphan && !implied[s->state].fin_queued)
		return false;
	return sane_path(s) && sane_sending(s) && sane_receiving(s);
}

static bool same_length(struct stream_buffer *const *buffers, unsigned n, uint32_t queued)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++) {
		if (!buffers[i]->len)
			return false;
		sum += buffers[i]->len;
	}
	return sum == queued;
}

static void fill(struct tcp_connection *c, const struct tcp_state *s)
{
	c->state = s->state;
	c->iss = s->snd_una - 1;
	c->snd_una = s->snd_una;
	c->snd_nxt = c->snd_max = s->snd_max;
	c->snd_wnd = s->snd_wnd;
	c->max_wnd = s->max_wnd;
	c->snd_wl1 = s->snd_wl1;
	c->snd_wl2 = s->snd_wl2;
	c->acked_bytes = s->acked_bytes;
	c->taken_bytes = s->taken_bytes;
	c->mss = s->mss;
	c->snd_wscale = s->snd_wscale;
	c->rcv_wscale = s->rcv_wscale;
	c->fin_queued = implied[s->state].fin_queued;
	c->fin_taken = implied[s->state].fin_taken;
	c->orphan = s->orphan;
	c->irs = s->rcv_nxt - 1;
	c->rcv_nxt = s->rcv_nxt;
	c->rcv_final = c->rcv_acked = s->rcv_final;
	c->rcv_adv = s->rcv_adv;
	c->room = s->room;
	c->holds_final = s->holds_final;
	c->final_bytes = s->taken_bytes;
	if (s->rcv_nxt != s->rcv_final)
		c->final_bytes -= s->rcv_nxt - s->rcv_final - c->fin_taken;
	c->refused = s->refused;
}

/* Put the cursor behind what was sent. */
static void seek(struct tcp_connection *c)
{
	uint32_t sent = min_t(uint32_t, c->snd_max - c->snd_una, c->queued);

	c->cursor = (struct tcp_cursor){};
	list_for_each(it, &c->queue) {
		struct stream_buffer *b = list_entry(it, struct stream_buffer, link);

		if (sent < b->len) {
			c->cursor = (struct tcp_cursor){.buffer = b, .at = sent};
			return;
		}
		sent -= b->len;
	}
}

/**
 * tcp_import() - take a connection up
 * @tcp:	the guest's, not within one of its callbacks
 * @state:	from tcp_export(), of whoever wrote it
 * @buffers:	what the guest has not acknowledged, state->queued bytes; as by tcp_send()
 * @n_buffers:	how many
 * @user:	as by tcp_set_user()
 * @now:	ns
 * @ret_c:	the connection
 *
 * ops->accept() is not called.
 *
 * Return: 0; -EINVAL where the state is none, or the buffers are not what it says; -EEXIST where
 * there is a connection between these two; -ENOSPC. Then the buffers are still the caller's.
 */
int tcp_import(struct tcp *tcp, const struct tcp_state *state, struct stream_buffer *const *buffers,
	       unsigned n_buffers, void *user, uint64_t now, struct tcp_connection **ret_c)
{
	struct tcp_connection *c;
	struct tcp_path path;

	if (!sane(state) || !same_length(buffers, n_buffers, state->queued))
		return -EINVAL;
	tcp->now = now;
	path = (struct tcp_path){
		.v6 = state->v6, .peer_port = state->peer_port, .port = state->port};
	memcpy(path.peer, state->peer, sizeof(path.peer));
	memcpy(path.mac, state->mac, sizeof(path.mac));
	if (tcp_table_find(tcp, &path))
		return -EEXIST;
	c = tcp_table_take(tcp, &path);
	if (!c)
		return -ENOSPC;
	tcp_connection_init(c, &path);
	fill(c, state);
	c->user = user;
	for (unsigned i = 0; i < n_buffers; i++)
		list_append(&c->queue, &buffers[i]->link);
	c->queued = state->queued;
	seek(c);
	tcp_loss_init(c);
	if (c->snd_una != c->snd_max)
		tcp_timer_retransmit(c);
	if (c->orphan && c->state == TCP_STATE_FIN_WAIT_2)
		tcp_timer_set(c, &c->give_up_at, now + TCP_FIN_WAIT);
	c->ack_now = true;
	tcp_send_mark(c);
	*ret_c = c;
	return 0;
}
