/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stream to the guest: the queue of the user's buffers, and what of it may leave now.
 *
 * The queue holds the bytes from snd_una on; the cursor is the place of snd_nxt in it. Invariants:
 * snd_una <= snd_nxt <= snd_max <= snd_una + queued + (1 where a FIN is queued). Retransmission
 * moves snd_nxt back (tcp_send_rewind()) and the same code sends again.
 *
 * Whole segments leave at once, the last short one too (no Nagle: RFC 9293, 3.7.4, lets the user
 * turn it off, and every answer is complete). A short one that only the window cuts waits for a
 * better window (RFC 9293, 3.8.6.2.1).
 */
#include <errno.h>

#include "base/mem.h"
#include "vhost_user_net/net_frame.h"
#include "vhost_user_net/tcp_private.h"

/* IPv4's total length counts both headers. */
#define GSO_MOST (65535 - 20 - 20)

/**
 * tcp_send_mark() - have the connection looked at at the turn's end
 * @c:	the connection
 */
void tcp_send_mark(struct tcp_connection *c)
{
	if (list_empty(&c->dirty))
		list_append(&c->tcp->dirty, &c->dirty);
}

static int give(struct tcp *tcp, const struct net_offload *offload, unsigned n_parts, size_t len)
{
	int r = tcp->ops->frame(tcp->ctx, offload, tcp->out, n_parts, len);

	if (r == TCP_FRAME_SENT)
		tcp->count.segments_out++;
	else
		tcp->count.full++;
	return r;
}

static struct stream_buffer *buffer_after(const struct tcp_connection *c,
					  const struct stream_buffer *b)
{
	return b->link.next == &c->queue ? NULL
					 : list_entry(b->link.next, struct stream_buffer, link);
}

static struct tcp_cursor queue_begin(struct tcp_connection *c)
{
	struct list *first = list_first(&c->queue);

	return (struct tcp_cursor){
		.buffer = first ? list_entry(first, struct stream_buffer, link) : NULL,
		.at = c->head_gone,
	};
}

/*
 * Up to @len bytes from @from on, into tcp->out behind its first entry; @from moves past them.
 * Return: how many pieces. @ret_len: how many bytes, less than @len where the pieces are many.
 */
static unsigned gather(struct tcp_connection *c, struct tcp_cursor *from, uint32_t len,
		       uint32_t *ret_len)
{
	struct iovec *out = c->tcp->out;
	unsigned n = 1;

	*ret_len = 0;
	while (len && from->buffer && n < ARRAY_SIZE(c->tcp->out)) {
		uint32_t here = min_t(uint32_t, len, from->buffer->len - from->at);

		out[n++] =
			(struct iovec){(uint8_t *)(uintptr_t)from->buffer->data + from->at, here};
		from->at += here;
		len -= here;
		*ret_len += here;
		if (from->at == from->buffer->len)
			*from = (struct tcp_cursor){buffer_after(c, from->buffer), 0};
	}
	return n;
}

static bool takes_gso(const struct tcp_connection *c)
{
	const struct tcp *tcp = c->tcp;

	return tcp->csum && (c->path.v6 ? tcp->tso6 : tcp->tso4);
}

/* The most bytes of one frame. */
static uint32_t frame_most(const struct tcp_connection *c)
{
	return takes_gso(c) ? max_t(uint32_t, GSO_MOST / c->mss, 1) * c->mss : c->mss;
}

/**
 * tcp_send_segment() - send one frame
 * @c:		the connection
 * @seq:	its sequence number
 * @flags:	beside ACK, which is always said
 * @from:	where its bytes are; moved past them where it was sent; NULL: none
 * @len:	how many, at most frame_most()
 *
 * Where the bytes lie in too many pieces fewer are sent, and flags that belong to the last are not.
 *
 * Return: bytes sent; -ENOBUFS where the guest has no room.
 */
int tcp_send_segment(struct tcp_connection *c, uint32_t seq, uint8_t flags, struct tcp_cursor *from,
		     uint32_t len)
{
	struct tcp *tcp = c->tcp;
	uint8_t head[TCP_HEAD_MAX + TCP_OPTIONS_MAX];
	struct tcp_cursor at = from ? *from : (struct tcp_cursor){};
	bool scaled = !(flags & TCP_SYN);
	struct tcp_said said = {.seq = seq,
				.ack = tcp_receive_ack(c),
				.window = tcp_receive_window(c, scaled),
				.wscale = -1,
				.csum = tcp->csum,
				.id = tcp->id++};
	struct net_offload offload;
	uint32_t got = 0;
	unsigned n = 1;

	if (len)
		n = gather(c, &at, len, &got);
	if (got < len)
		flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	said.flags = flags | TCP_ACK;
	if (!scaled) {
		said.mss = c->path.v6 ? TCP_MSS6 : TCP_MSS4;
		said.wscale = c->rcv_wscale ? c->rcv_wscale : -1;
	}
	if (got > c->mss)
		said.gso = c->mss;
	tcp->out[0] = (struct iovec){
		head, tcp_head_write(&c->head, &said, tcp->out + 1, n - 1, got, head, &offload)};
	if (give(tcp, &offload, n, tcp->out[0].iov_len + got) != TCP_FRAME_SENT)
		return -ENOBUFS;
	if (from)
		*from = at;
	tcp_receive_said(c, said.window, scaled);
	return (int)got;
}

/* The sequence number of what carries no data (RFC 9293, 3.10.7.4: SND.NXT). Where we went back to
 * send again, what was sent already counts. */
static uint32_t ack_seq(const struct tcp_connection *c)
{
	return c->snd_max;
}

/**
 * tcp_send_ack() - send an acknowledgement now, alone
 * @c:	the connection
 *
 * Return: TCP_FRAME_SENT or TCP_FRAME_FULL; then it is due at the next turn's end.
 */
int tcp_send_ack(struct tcp_connection *c)
{
	int r = tcp_send_segment(c, ack_seq(c), 0, NULL, 0);

	if (r < 0) {
		c->ack_now = true;
		tcp_send_mark(c);
		return TCP_FRAME_FULL;
	}
	c->tcp->count.acks_alone++;
	return TCP_FRAME_SENT;
}

/**
 * tcp_probe() - ask the guest whether it still knows the connection
 * @c:	the connection
 *
 * By a segment that it has had (RFC 9293, 3.8.4). A guest that knows the connection acknowledges it,
 * and nothing follows; another answers with a reset, and closed() tells. The answer may be lost.
 */
void tcp_probe(struct tcp_connection *c)
{
	if (c->state != TCP_STATE_CLOSED)
		tcp_send_segment(c, c->snd_una - 1, 0, NULL, 0);
}

/**
 * tcp_send_reset() - tell the guest that the connection is no more
 * @c:	the connection
 *
 * Not said again where the guest has no room: its next segment is answered by a reset.
 *
 * Return: TCP_FRAME_SENT or TCP_FRAME_FULL.
 */
int tcp_send_reset(struct tcp_connection *c)
{
	c->tcp->count.resets_out++;
	return tcp_send_segment(c, ack_seq(c), TCP_RST, NULL, 0) < 0 ? TCP_FRAME_FULL
								     : TCP_FRAME_SENT;
}

/**
 * tcp_send_reply() - a segment without a connection: a reset, or TIME-WAIT's acknowledgement
 * @tcp:	the guest's
 * @path:	whom it answers
 * @said:	what it says
 *
 * Return: TCP_FRAME_SENT or TCP_FRAME_FULL.
 */
int tcp_send_reply(struct tcp *tcp, const struct tcp_path *path, const struct tcp_said *said)
{
	uint8_t bytes[TCP_HEAD_MAX + TCP_OPTIONS_MAX];
	struct net_offload offload;
	struct tcp_head head;

	tcp_head_init(&head, &tcp->cfg, path);
	tcp->out[0] =
		(struct iovec){bytes, tcp_head_write(&head, said, NULL, 0, 0, bytes, &offload)};
	return give(tcp, &offload, 1, tcp->out[0].iov_len);
}

/* Is a short segment worth it? @avail: what is queued; @usable: what the windows leave. */
static bool worth_sending(const struct tcp_connection *c, uint32_t avail, uint32_t usable)
{
	if (usable >= avail || usable >= c->mss || c->force)
		return true;
	return usable && usable >= c->max_wnd / 2;
}

/* How much of the queue the next frame takes. @ret_fin: and the FIN. */
static uint32_t next_length(const struct tcp_connection *c, bool *ret_fin)
{
	uint32_t gone = c->snd_nxt - c->snd_una, most = frame_most(c);
	uint32_t window = min_t(uint32_t, c->snd_wnd, c->cwnd), usable, len;
	uint32_t avail = gone < c->queued ? c->queued - gone : 0;

	usable = window > gone ? window - gone : 0;
	*ret_fin = false;
	/* RFC 9293, 3.8.6.1: at least one byte, so that the guest says its window. */
	if (c->force && !usable)
		usable = 1;
	if (avail && !worth_sending(c, avail, usable))
		return 0;
	len = min_t(uint32_t, avail, usable);
	len = min_t(uint32_t, len, most);
	/* Cut by a window, not by the end: whole segments only, if there are any. */
	if (len < avail && len > c->mss)
		len -= len % c->mss;
	/* A FIN takes no window that we wait for. */
	*ret_fin = tcp_connection_says_fin(c) && len == avail && gone <= c->queued;
	return len;
}

static int send_next(struct tcp_connection *c, uint32_t len, bool fin)
{
	bool last = c->snd_nxt - c->snd_una + len == c->queued;
	uint8_t flags = (uint8_t)((fin ? TCP_FIN : 0) | (len && last ? TCP_PSH : 0));
	bool again = seq_before(c->snd_nxt, c->snd_max);
	int r = tcp_send_segment(c, c->snd_nxt, flags, &c->cursor, len);

	if (r < 0)
		return r;
	if (again)
		c->tcp->count.retransmits++;
	c->force = false;
	c->snd_nxt += (uint32_t)r + (fin && (uint32_t)r == len);
	if (seq_after(c->snd_nxt, c->snd_max)) {
		if (!again)
			tcp_loss_time(c, c->snd_nxt);
		c->tcp->count.bytes_out += (uint32_t)r;
		c->snd_max = c->snd_nxt;
	}
	if (c->retransmit_at == TCP_NEVER)
		tcp_timer_retransmit(c);
	return 0;
}

/**
 * tcp_send_first() - send the first segment that is not acknowledged again
 * @c:	the connection
 *
 * RFC 5681, 3.2. Does not touch snd_nxt.
 *
 * Return: 0; -ENOBUFS.
 */
int tcp_send_first(struct tcp_connection *c)
{
	struct tcp_cursor from = queue_begin(c);
	uint32_t out = c->snd_max - c->snd_una;
	uint32_t len = min_t(uint32_t, c->queued, out);
	bool fin;
	int r;

	len = min_t(uint32_t, len, c->mss);
	fin = tcp_connection_says_fin(c) && len == c->queued && out > len;
	r = tcp_send_segment(c, c->snd_una, fin ? TCP_FIN : 0, &from, len);
	if (r < 0)
		return r;
	c->tcp->count.retransmits++;
	return 0;
}

static int send_syn(struct tcp_connection *c)
{
	int r = tcp_send_segment(c, c->iss, TCP_SYN, NULL, 0);

	if (r < 0)
		return r;
	c->force = false;
	if (c->snd_max == c->iss + 1 && c->backoff)
		c->tcp->count.retransmits++;
	if (!c->backoff)
		tcp_loss_time(c, c->iss + 1);
	c->snd_max = c->snd_nxt = c->iss + 1;
	tcp_timer_retransmit(c);
	return 0;
}

/**
 * tcp_send_due() - send what may leave, and an acknowledgement where one is due
 * @c:	the connection
 *
 * Return: 0; -ENOBUFS where the guest has no room for all of it: to be called again when it has.
 */
int tcp_send_due(struct tcp_connection *c)
{
	bool fin;
	uint32_t len;

	if (c->state == TCP_STATE_SYN_RECEIVED)
		return c->ack_now || c->force ? send_syn(c) : 0;
	while ((len = next_length(c, &fin)) || fin)
		if (send_next(c, len, fin) < 0)
			return -ENOBUFS;
	if (tcp_receive_ack_due(c) && tcp_send_ack(c) != TCP_FRAME_SENT)
		return -ENOBUFS;
	/* The same timer probes for a window. */
	if (c->retransmit_at == TCP_NEVER && c->snd_nxt - c->snd_una < c->queued)
		tcp_timer_retransmit(c);
	return 0;
}

/**
 * tcp_send_rewind() - begin again behind what is acknowledged
 * @c:	the connection
 */
void tcp_send_rewind(struct tcp_connection *c)
{
	c->snd_nxt = c->snd_una;
	c->cursor = queue_begin(c);
}

/**
 * tcp_send_release() - give back what is acknowledged
 * @c:		the connection, its snd_una already moved; may be gone afterwards
 * @bytes:	of the stream, at most what is queued
 */
void tcp_send_release(struct tcp_connection *c, uint32_t bytes)
{
	struct tcp *tcp = c->tcp;

	c->queued -= bytes;
	c->acked_bytes += bytes;
	bytes += c->head_gone;
	c->head_gone = 0;
	while (bytes) {
		struct stream_buffer *b =
			list_entry(list_first(&c->queue), struct stream_buffer, link);

		if (bytes < b->len) {
			c->head_gone = bytes;
			break;
		}
		bytes -= b->len;
		list_remove(&b->link);
		/* The guest had bytes that we had begun to send again. */
		if (c->cursor.buffer == b)
			c->cursor = queue_begin(c);
		tcp->ops->release(tcp->ctx, c, b);
		if (c->state == TCP_STATE_CLOSED)
			return;
	}
	if (seq_before(c->snd_nxt, c->snd_una))
		tcp_send_rewind(c);
}

/**
 * tcp_send() - queue bytes for the guest
 * @c:		the connection
 * @buffer:	what and how much; stays the caller's, as do the bytes, until ops->release()
 *
 * They leave at the turn's end, by tcp_flush().
 *
 * Return: 0; -EINVAL for no bytes; -EPIPE after tcp_shutdown() or tcp_close(); -ENOBUFS above
 * TCP_QUEUE_MAX.
 */
int tcp_send(struct tcp_connection *c, struct stream_buffer *buffer)
{
	if (!buffer->len)
		return -EINVAL;
	if (c->fin_queued || c->state == TCP_STATE_CLOSED)
		return -EPIPE;
	if (buffer->len > TCP_QUEUE_MAX - c->queued)
		return -ENOBUFS;
	list_append(&c->queue, &buffer->link);
	c->queued += buffer->len;
	if (!c->cursor.buffer)
		c->cursor = (struct tcp_cursor){.buffer = buffer};
	tcp_send_mark(c);
	return 0;
}

/**
 * tcp_unacknowledged() - how much of what was queued the guest has not acknowledged
 * @c:	the connection
 *
 * Return: bytes, sent or not.
 */
uint32_t tcp_unacknowledged(const struct tcp_connection *c)
{
	return c->queued;
}
