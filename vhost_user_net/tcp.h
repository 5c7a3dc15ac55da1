/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TCP (RFC 9293) for the connections that one guest makes to the daemon.
 *
 * What it is. One struct tcp a guest. Frames of the guest go in by tcp_input(), frames for the
 * guest come out by ops->frame(). It makes no system call, reads no clock and allocates nothing
 * after tcp_new(): the caller passes the time and is told when to call again. One thread.
 *
 * The turn. The caller gives all frames of a burst to tcp_input(), lets its sessions read and
 * answer, and calls tcp_flush() once. Acknowledgements wait for that, so that they leave with the
 * answers. tcp_deadline() says when tcp_flush() is wanted without any other event.
 *
 * Receiving. ops->receive() is shown the bytes where they lie, in the guest's memory, in order and
 * once each, and says how many it took. Bytes that it did not take are not acknowledged: the window
 * closes until tcp_resume(), and the guest sends them again. There is no receive buffer. That costs
 * a Linux guest a timeout of 200 ms or more: a user that may have to stop takes what it offered by
 * tcp_set_room() first, into a buffer of its own. Bytes behind a hole are copied and kept
 * (tcp_hold.c): the link loses nothing but what the guest itself drops.
 *
 * Sending. tcp_send() queues a reference to the caller's bytes. They are copied once, into the
 * guest's memory, by ops->frame(), and may be read again until ops->release() gives them back:
 * then the guest has acknowledged them, or the connection is over.
 *
 * States of a connection are RFC 9293's, without those of an active open:
 *   half open (SYN-RECEIVED, unknown to the user) -> accept() -> open -> closed() TIME-WAIT is not
 * a connection: it is a record of some bytes in a ring (tcp_table.c). Silence never ends an open
 * connection: the rings say whether a guest is gone (tcp_drop_all()). Only a connection that the
 * user has closed ends after a while.
 *
 * Not offered. SACK: one run is kept here, so that there is one hole, and a lost segment costs a
 * guest one round trip of some 50 us. Timestamps: round trips are timed by one segment at a time,
 * and a sequence number can't wrap within the lifetime of a frame that lies in a ring. Urgent data
 * are ordinary data. IPv4 and IPv6 fragments are dropped.
 *
 * The guest is hostile. What a segment can do is bounded by the tables below; at most one frame is
 * answered to a frame of a stranger, and challenge acknowledgements (RFC 5961) are limited.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/stream.h"

/*
 * The bounds of one guest, all of them. tcp_new() takes this memory at once and no segment makes it
 * more; TCP_MEMORY is asserted in tcp.c. What a user queues is the user's memory.
 */
#define TCP_CONNECTIONS 64  /* half open ones included; the next is refused by a reset */
#define TCP_HALF_OPEN	16  /* of these; the oldest makes room for a newer one */
#define TCP_TIME_WAITS	64  /* records of closed connections; the oldest goes first */
#define TCP_PORTS	4   /* that are listened to */
#define TCP_DEADS	64  /* that are hung up; the oldest makes room for a newer one */
#define TCP_DEAD_TRIES	12  /* how often the guest is told of one: for six minutes */
#define TCP_PARTS	128 /* pieces of one frame to the guest */
#define TCP_MEMORY	(64u << 10)

#define TCP_HOLD \
	(128u << 10) /* bytes behind a hole, beside TCP_MEMORY; touched only after a loss */

#define TCP_QUEUE_MAX  (256u << 20) /* bytes queued on one connection */
#define TCP_WINDOW     (64u << 10)  /* what a guest may send ahead, unless tcp_set_room() says */
#define TCP_WINDOW_MAX (8u << 20)

#define TCP_NEVER UINT64_MAX

struct net_frame;
struct net_offload;
struct tcp;
struct tcp_connection;

struct tcp_config {
	uint8_t mac[6];	     /* ours on the segment */
	uint8_t address4[4]; /* ours */
	uint8_t address6[16];
	uint8_t key[16]; /* random; makes sequence numbers that can't be guessed (RFC 6528) */
};

/* What ops->frame() may answer. */
enum { TCP_FRAME_SENT, TCP_FRAME_FULL };

/*
 * What TCP asks of its user; @ctx is as given to tcp_new(). All of them may call tcp_send(),
 * tcp_shutdown(), tcp_close(), tcp_abort(), tcp_resume(), tcp_set_room() and tcp_set_final().
 */
struct tcp_ops {
	/*
	 * Give a frame to the guest: @n_parts pieces of together @len bytes. @offload is what is
	 * left for the guest to do, never more than tcp_set_offloads() allows.
	 * Return: TCP_FRAME_SENT; TCP_FRAME_FULL where the guest has no room: nothing was given,
	 * and tcp_flush() is to be called when it has.
	 */
	int (*frame)(void *ctx, const struct net_offload *offload, const struct iovec *parts,
		     unsigned n_parts, size_t len);
	/* A connection is open. tcp_abort() refuses it. */
	void (*accept)(void *ctx, struct tcp_connection *c);
	/*
	 * The stream's next @len bytes, at least 1, in shared memory: read each once.
	 * Return: how many were taken. Less than @len: no more comes before tcp_resume().
	 */
	size_t (*receive)(void *ctx, struct tcp_connection *c, const struct iovec *parts,
			  unsigned n_parts, size_t len);
	/* The guest will send no more; all that it sent was taken. Where the user has shut down its
	 * side and all was acknowledged, closed() comes in place of this. */
	void (*ended)(void *ctx, struct tcp_connection *c);
	/* @buffer is the user's again: acknowledged, or the connection is over. */
	void (*release)(void *ctx, struct tcp_connection *c, struct stream_buffer *buffer);
	/*
	 * The connection is over; @c is gone when this returns. @why: 0 both sides closed,
	 * -ECONNRESET the guest reset it, -ETIMEDOUT it was closed here and the guest fell silent.
	 * Not called after tcp_abort(), tcp_drop() and tcp_drop_all().
	 */
	void (*closed)(void *ctx, struct tcp_connection *c, int why);
};

/* How often what happened; for a person and for tests. */
struct tcp_counters {
	uint64_t segments_in, segments_out;
	uint64_t bytes_in, bytes_out;		     /* of the streams, each once */
	uint64_t acks_alone;			     /* sent without data */
	uint64_t malformed, bad_checksum;	     /* dropped */
	uint64_t resets_out, challenges, suppressed; /* suppressed: challenges above the limit */
	uint64_t retransmits, fast_retransmits, timeouts;
	uint64_t out_of_order, duplicates; /* segments */
	uint64_t refused_bytes;		   /* that ops->receive() did not take */
	uint64_t forced_final; /* acknowledged though not named final: tcp_hold_final() */
	uint64_t full;	       /* ops->frame() had no room */
	uint64_t half_open_evicted, no_slot;
	uint64_t hang_ups; /* SYNs of tcp_hang_up() */
};

/* What a user may know of a connection. */
struct tcp_peer {
	bool v6;
	uint8_t address[16]; /* IPv4: the first 4 */
	uint16_t port;	     /* the guest's */
	uint16_t local_port;
};

int tcp_new(struct tcp **ret_tcp, const struct tcp_config *config, const struct tcp_ops *ops,
	    void *ctx);
struct tcp *tcp_free(struct tcp *tcp);
int tcp_listen(struct tcp *tcp, uint16_t port);
void tcp_set_offloads(struct tcp *tcp, bool csum, bool tso4, bool tso6);

void tcp_input(struct tcp *tcp, const struct net_frame *frame, uint64_t now);
bool tcp_flush(struct tcp *tcp, uint64_t now);
uint64_t tcp_deadline(struct tcp *tcp);
void tcp_drop_all(struct tcp *tcp);
void tcp_set_card(struct tcp *tcp, const uint8_t mac[6]);
void tcp_go_on(struct tcp *tcp, uint64_t now);
void tcp_hang_up(struct tcp *tcp, const struct tcp_peer *peer);
void tcp_dead_again(struct tcp *tcp);
bool tcp_deaf(const struct tcp *tcp);
void tcp_count(const struct tcp *tcp, struct tcp_counters *ret_counters);

void tcp_set_user(struct tcp_connection *c, void *user);
void *tcp_user(const struct tcp_connection *c);
void tcp_peer(const struct tcp_connection *c, struct tcp_peer *ret_peer);
int tcp_send(struct tcp_connection *c, struct stream_buffer *buffer);
uint32_t tcp_unacknowledged(const struct tcp_connection *c);
void tcp_probe(struct tcp_connection *c);
void tcp_shutdown(struct tcp_connection *c);
void tcp_close(struct tcp_connection *c);
void tcp_abort(struct tcp_connection *c);
void tcp_drop(struct tcp_connection *c);
void tcp_resume(struct tcp_connection *c);
void tcp_set_room(struct tcp_connection *c, uint32_t room);
void tcp_hold_final(struct tcp_connection *c);
void tcp_set_final(struct tcp_connection *c, uint64_t bytes);
