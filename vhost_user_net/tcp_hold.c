/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes that came behind a hole: one run of them a guest, of one connection, copied.
 *
 * Without it one lost frame costs a Linux guest a chain of timers: after a timeout it sends new
 * bytes first (F-RTO, RFC 5682), which would be dropped here, and time out next. On a link that
 * loses nothing it is never used, and its memory never touched.
 *
 * It holds no FIN: that comes again. A segment that does not join the run is dropped.
 */
#include <string.h>

#include "base/mem.h"
#include "vhost_user_net/tcp_private.h"

/**
 * tcp_hold_keep() - keep a segment that came behind a hole, if it joins what is kept
 * @c:	the connection
 * @s:	the segment, behind rcv_nxt
 */
void tcp_hold_keep(struct tcp_connection *c, const struct tcp_segment *s)
{
	struct tcp_hold *h = &c->tcp->hold;
	uint32_t seq = s->seq, skip = 0, len = (uint32_t)s->len;
	uint8_t *to;

	if (h->owner && h->owner != c)
		return;
	if (!h->owner)
		*h = (struct tcp_hold){.owner = c, .bytes = h->bytes, .seq = seq};
	if (seq_before(seq, h->seq) || seq - h->seq > h->len)
		return;
	/* The bytes that are kept stay as they are. */
	skip = h->len - (seq - h->seq);
	if (skip >= len)
		return;
	len = min_t(uint32_t, len, TCP_HOLD - h->len + skip);
	to = h->bytes + h->len;
	for (unsigned i = 0; i < s->n_parts && len; i++) {
		uint32_t n = (uint32_t)s->parts[i].iov_len, from = min_t(uint32_t, skip, n);

		n = min_t(uint32_t, n, len);
		len -= n;
		skip -= from;
		if (from >= n)
			continue;
		memcpy(to, (uint8_t *)s->parts[i].iov_base + from, n - from);
		to += n - from;
	}
	h->len = (uint32_t)(to - h->bytes);
}

/**
 * tcp_hold_next() - what is kept and comes next
 * @c:		the connection
 * @ret_part:	where it lies
 *
 * It is kept no longer; it lies there until something else is kept.
 *
 * Return: bytes; 0: none.
 */
uint32_t tcp_hold_next(struct tcp_connection *c, struct iovec *ret_part)
{
	struct tcp_hold *h = &c->tcp->hold;
	uint32_t skip = c->rcv_nxt - h->seq;

	if (h->owner != c || seq_before(c->rcv_nxt, h->seq))
		return 0;
	h->owner = NULL;
	if (skip >= h->len)
		return 0;
	*ret_part = (struct iovec){h->bytes + skip, h->len - skip};
	return h->len - skip;
}

/**
 * tcp_hold_drop() - forget what is kept of a connection
 * @c:	the connection
 */
void tcp_hold_drop(const struct tcp_connection *c)
{
	if (c->tcp->hold.owner == c)
		c->tcp->hold.owner = NULL;
}
