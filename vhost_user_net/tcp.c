/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's TCP: its life, frames in, the end of a turn. See tcp.h for what it is.
 */
#include "vhost_user_net/tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vhost_user_net/net_frame.h"
#include "vhost_user_net/tcp_private.h"

static_assert(sizeof(struct tcp) <= TCP_MEMORY, "what a guest's TCP costs is what tcp.h says");

/**
 * tcp_new() - TCP for one guest
 * @ret_tcp:	without a port that is listened to: tcp_listen()
 * @config:	copied
 * @ops:	what it asks of its user; outlives it
 * @ctx:	given to them
 *
 * Return: 0; -ENOMEM.
 */
int tcp_new(struct tcp **ret_tcp, const struct tcp_config *config, const struct tcp_ops *ops,
	    void *ctx)
{
	struct tcp *tcp = calloc(1, sizeof(*tcp));

	if (!tcp)
		return -ENOMEM;
	tcp->hold.bytes = malloc(TCP_HOLD);
	if (!tcp->hold.bytes) {
		free(tcp);
		return -ENOMEM;
	}
	tcp->cfg = *config;
	tcp->ops = ops;
	tcp->ctx = ctx;
	tcp->deadline = TCP_NEVER;
	list_init(&tcp->dirty);
	list_init(&tcp->half_open);
	*ret_tcp = tcp;
	return 0;
}

/**
 * tcp_free() - forget all connections and free
 * @tcp:	the guest's, or NULL
 *
 * Return: NULL.
 */
struct tcp *tcp_free(struct tcp *tcp)
{
	if (!tcp)
		return NULL;
	tcp_drop_all(tcp);
	free(tcp->hold.bytes);
	free(tcp);
	return NULL;
}

/**
 * tcp_listen() - take connections to a port
 * @tcp:	the guest's
 * @port:	which
 *
 * Return: 0; -ENOSPC after TCP_PORTS of them.
 */
int tcp_listen(struct tcp *tcp, uint16_t port)
{
	if (tcp->n_ports == TCP_PORTS)
		return -ENOSPC;
	tcp->ports[tcp->n_ports++] = port;
	return 0;
}

/**
 * tcp_set_offloads() - what the guest's driver does for us (virtio 1.2, 5.1.3)
 * @tcp:	the guest's
 * @csum:	it takes frames whose checksum is not filled in
 * @tso4:	it takes long IPv4 frames; means nothing without @csum
 * @tso6:	it takes long IPv6 frames; means nothing without @csum
 */
void tcp_set_offloads(struct tcp *tcp, bool csum, bool tso4, bool tso6)
{
	tcp->csum = csum;
	tcp->tso4 = csum && tso4;
	tcp->tso6 = csum && tso6;
}

/* RFC 9293, 3.10.7.1 */
static void refuse(struct tcp *tcp, const struct tcp_segment *s)
{
	struct tcp_said said = {.wscale = -1, .csum = tcp->csum};

	if (s->flags & TCP_RST)
		return;
	if (s->flags & TCP_ACK) {
		said.seq = s->ack;
		said.flags = TCP_RST;
	} else {
		said.ack =
			s->seq + (uint32_t)s->len + !!(s->flags & TCP_SYN) + !!(s->flags & TCP_FIN);
		said.flags = TCP_RST | TCP_ACK;
	}
	tcp->count.resets_out++;
	tcp_send_reply(tcp, &s->path, &said);
}

static void strange(struct tcp *tcp, const struct tcp_segment *s)
{
	tcp_dead_arrived(tcp, s);
	refuse(tcp, s);
}

static bool listens(const struct tcp *tcp, uint16_t port)
{
	for (unsigned i = 0; i < tcp->n_ports; i++)
		if (tcp->ports[i] == port)
			return true;
	return false;
}

/* RFC 9293, 3.10.7.2. A SYN with a FIN opens nothing. */
static bool opens(const struct tcp *tcp, const struct tcp_segment *s)
{
	return (s->flags & (TCP_SYN | TCP_ACK | TCP_FIN | TCP_RST)) == TCP_SYN &&
	       listens(tcp, s->path.port);
}

/*
 * TIME-WAIT, RFC 9293, 3.10.7.4, with RFC 1337: a reset does not end it. Return: whether the segment
 * was dealt with.
 *
 * A SYN opens a new connection, whatever its number is. The RFC takes only one beyond all that was ever
 * sent, since an old SYN may come late. Here none can: a guest's ring keeps the order, so that what came
 * before the FIN was read before it. And a good guest's number may seem lower: Linux counts 64 ns (6.1,
 * net/core/secure_seq.c, seq_scale()), so that half of all numbers have passed after 137 s, which is less
 * than TIME-WAIT lasts. A guest that takes the same port again then waited for TIME-WAIT's end.
 */
static bool waits(struct tcp *tcp, const struct tcp_segment *s)
{
	struct tcp_time_wait *w = tcp_table_waiting(tcp, &s->path);
	struct tcp_said said = {.flags = TCP_ACK, .wscale = -1, .csum = tcp->csum};

	if (!w)
		return false;
	if (s->flags & TCP_RST)
		return true;
	if (opens(tcp, s)) {
		w->until = 0;
		return false;
	}
	/* An acknowledgement is never answered by one alone: the two would never end. */
	if (!s->len && !(s->flags & (TCP_SYN | TCP_FIN)))
		return true;
	if (s->flags & TCP_FIN)
		w->until = tcp->now + TCP_TIME_WAIT;
	said.seq = w->snd_nxt;
	said.ack = w->rcv_nxt;
	tcp_send_reply(tcp, &s->path, &said);
	return true;
}

/**
 * tcp_input() - a frame from the guest
 * @tcp:	the guest's
 * @frame:	passed by the rules, headers and offload judged; for our card. Frames that hold no
 *		TCP, or none for our address, are left alone.
 * @now:	ns, on any clock that never goes back
 *
 * The frame is not looked at after this returns. tcp_flush() ends the turn.
 */
void tcp_input(struct tcp *tcp, const struct net_frame *frame, uint64_t now)
{
	struct tcp_connection *c;
	struct tcp_segment s;

	tcp->now = now;
	switch (tcp_segment_parse(&tcp->cfg, frame, tcp->in, ARRAY_SIZE(tcp->in), &s)) {
	case TCP_PARSE_OK:
		break;
	case TCP_PARSE_MALFORMED:
		tcp->count.malformed++;
		return;
	case TCP_PARSE_CHECKSUM:
		tcp->count.bad_checksum++;
		return;
	case TCP_PARSE_OTHER:
	default:
		return;
	}
	tcp->count.segments_in++;
	c = tcp_table_find(tcp, &s.path);
	if (c)
		tcp_arrive(c, &s);
	else if (waits(tcp, &s))
		return;
	else if (opens(tcp, &s))
		tcp_connection_syn(tcp, &s);
	else
		strange(tcp, &s);
}

/**
 * tcp_flush() - end a turn: act on deadlines, send what is due
 * @tcp:	the guest's
 * @now:	ns
 *
 * Return: whether something is left that the guest has no room for: call again when it has.
 */
bool tcp_flush(struct tcp *tcp, uint64_t now)
{
	struct list *l;

	tcp->now = now;
	tcp_timer_run(tcp);
	while ((l = list_pop(&tcp->dirty))) {
		struct tcp_connection *c = list_entry(l, struct tcp_connection, dirty);

		if (tcp_send_due(c) == -ENOBUFS) {
			tcp_send_mark(c);
			return true;
		}
	}
	return false;
}

/**
 * tcp_deadline() - when tcp_flush() is to be called though nothing happens
 * @tcp:	the guest's
 *
 * Return: ns; TCP_NEVER.
 */
uint64_t tcp_deadline(struct tcp *tcp)
{
	return tcp_timer_first(tcp);
}

/**
 * tcp_drop_all() - the guest is gone, or its rings are
 * @tcp:	the guest's
 *
 * All connections are forgotten without a frame; their buffers come by ops->release(). TIME-WAIT
 * too: whatever comes through these rings next is another guest's kernel.
 */
void tcp_drop_all(struct tcp *tcp)
{
	for (unsigned i = 0; i < TCP_CONNECTIONS; i++)
		tcp_drop(&tcp->slot[i]);
	for (unsigned i = 0; i < TCP_TIME_WAITS; i++)
		tcp->time_wait[i].until = 0;
	tcp_dead_forget(tcp);
	tcp->unheard = 0;
	tcp->deadline = TCP_NEVER;
}

/**
 * tcp_deaf() - whether the guest does not hear the answers to its SYNs
 * @tcp:	the guest's
 *
 * Something in the guest drops them, which is a firewall most often: frames to it do not get lost. A SYN
 * also comes again where the guest stood still meanwhile, so one or two say nothing.
 *
 * Return: true until the next connection is opened.
 */
bool tcp_deaf(const struct tcp *tcp)
{
	return tcp->unheard >= TCP_DEAF;
}

/**
 * tcp_count() - what happened so far
 * @tcp:	the guest's
 * @ret_counters: since it was made
 */
void tcp_count(const struct tcp *tcp, struct tcp_counters *ret_counters)
{
	*ret_counters = tcp->count;
}
