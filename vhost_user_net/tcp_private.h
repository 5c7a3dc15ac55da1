/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TCP from within: what the files tcp_*.c share. Nobody else includes it but tests that look in.
 *
 * Names of variables are RFC 9293's (3.3.1): snd_una, rcv_nxt and so on. Times are ns.
 *
 *   tcp.c             the guest's object: frames in, the turn's end, resets for strangers
 *   tcp_table.c       slots, finding a connection, half-open ones, TIME-WAIT records
 *   tcp_connection.c  states: who may go where, opening, closing, the user's calls
 *   tcp_arrive.c      a segment of a known connection, in the order of RFC 9293, 3.10.7.4
 *   tcp_receive.c     the stream from the guest, acknowledgements, the window offered
 *   tcp_hold.c        bytes that came behind a hole
 *   tcp_send.c        the queue to the guest, and what may leave now
 *   tcp_loss.c        acknowledgements of it, round trips, loss, the congestion window
 *   tcp_timer.c       deadlines
 *   tcp_dead.c        connections of a process that has died
 *   tcp_state.c       a connection written down
 *   tcp_segment.c, tcp_isn.c  pure helpers
 */
#pragma once

#include "vhost_user_net/tcp.h"
#include "vhost_user_net/tcp_segment.h"
#include "vhost_user_net/tcp_sequence.h"
#include "vhost_user_net/vu_vring.h"

#define MS 1000000ull

/* RFC 6298, 2; the least is Linux's: the round trip is one guest's scheduling, not a network's. */
#define TCP_RTO_FIRST	  (1000 * MS)
#define TCP_RTO_LEAST	  (200 * MS)
#define TCP_RTO_MOST	  (60000 * MS)
#define TCP_RTO_AFTER_SYN (3000 * MS) /* RFC 6298, 5.7 */
#define TCP_CLOCK	  (1 * MS)    /* G of RFC 6298 */

#define TCP_ACK_LATEST	   (40 * MS)   /* RFC 9293, 3.8.6.3: below 500 ms */
#define TCP_ACK_SEGMENTS   4	       /* at this many an acknowledgement waits for no answer */
#define TCP_WINDOW_LOW	   (32u << 10) /* nor where the guest has less than this left to send */
#define TCP_SYN_RETRIES	   5
#define TCP_DEAF	   3 /* so many SYNs that came again in a row: the guest hears no answer */
#define TCP_ORPHAN_RETRIES 8 /* of what the user has closed */
#define TCP_FIN_WAIT	   (60000 * MS) /* for the FIN of a guest, once the user has closed */
/* RFC 9293, 3.4.2: twice two minutes. A record costs nothing, and a guest's FIN may come again after
 * a minute (TCP_RTO_MOST). */
#define TCP_TIME_WAIT  (240000 * MS)
#define TCP_CHALLENGES 10 /* a connection and second, RFC 5961, 7 */

/* Our own shift: the window in steps of 256 bytes. */
#define TCP_WSCALE 8
static_assert(TCP_WINDOW_MAX <= 0xffffu << TCP_WSCALE, "the largest window can be said");

/* Where a SYN has no MSS option: RFC 9293, 3.7.1. No smaller one than this is believed, so that a
 * guest can't have us make a frame a byte. */
#define TCP_MSS_DEFAULT4 536
#define TCP_MSS_DEFAULT6 1220
#define TCP_MSS_LEAST	 64

/* No congestion window before the first loss: the link's one queue is the guest's ring, and
 * ops->frame() says when that is full. */
#define TCP_CWND_MOST (1u << 28)

enum tcp_state_of {
	TCP_STATE_CLOSED, /* the slot is free */
	TCP_STATE_SYN_RECEIVED,
	TCP_STATE_ESTABLISHED,
	TCP_STATE_FIN_WAIT_1,
	TCP_STATE_FIN_WAIT_2,
	TCP_STATE_CLOSING,
	TCP_STATE_CLOSE_WAIT,
	TCP_STATE_LAST_ACK,
	TCP_STATE_TIME_WAIT, /* never stored: the record takes over */
	TCP_STATES,
};

enum tcp_event {
	TCP_EVENT_CLOSE,     /* the user sends no more: our FIN is queued */
	TCP_EVENT_FIN,	     /* the guest's FIN came */
	TCP_EVENT_FIN_ACKED, /* ours was acknowledged */
	TCP_EVENTS,
};

/* A place in the queue. @buffer NULL: behind all that is there. */
struct tcp_cursor {
	struct stream_buffer *buffer;
	uint32_t at;
};

struct tcp_connection {
	struct tcp *tcp;
	void *user;
	struct list dirty;     /* in tcp->dirty: it may have something to send */
	struct list half_open; /* in tcp->half_open, oldest first */
	enum tcp_state_of state;
	uint8_t next; /* slot of the next in its bucket + 1; 0: none */

	struct tcp_path path;
	struct tcp_head head;

	/* To the guest. The queue holds the bytes from snd_una on; a FIN stands behind the last. */
	struct list queue;
	uint32_t queued;	  /* bytes */
	uint32_t head_gone;	  /* bytes of the first buffer that are acknowledged */
	struct tcp_cursor cursor; /* what stands at snd_nxt */
	uint32_t iss, snd_una, snd_nxt, snd_max; /* snd_max: behind all that was ever sent */
	uint32_t snd_wnd, max_wnd, snd_wl1, snd_wl2;
	uint64_t acked_bytes; /* of the stream, so far */
	uint16_t mss;	      /* of what we send */
	uint8_t snd_wscale;   /* shift of the windows that the guest says */
	bool fin_queued;
	bool orphan; /* the user has closed: no more bytes are handed up */

	/* Loss. */
	uint32_t cwnd, ssthresh, recover;
	unsigned dup_acks;
	bool recovering;	    /* fast recovery, until snd_una is at @recover */
	bool force;		    /* the timer fired: send something whatever the window */
	uint64_t srtt, rttvar, rto; /* srtt 0: none measured */
	unsigned backoff;
	uint32_t timed_seq; /* the segment that is timed ends here */
	uint64_t timed_at;  /* 0: none */

	/* From the guest. */
	uint32_t irs, rcv_nxt;
	uint32_t rcv_final;    /* what is acknowledged: rcv_nxt, unless the user holds it back */
	uint32_t rcv_acked;    /* what was said last */
	uint32_t rcv_adv;      /* the rightmost edge that was ever offered */
	uint32_t rcv_gap;      /* where @gap: up to here the guest has sent bytes in vain */
	uint32_t room;	       /* bytes beyond rcv_nxt that the user takes */
	uint32_t ack_segments; /* since rcv_acked */
	uint64_t taken_bytes;  /* of the stream, so far */
	uint64_t final_bytes;  /* of these, where the user holds acknowledgements back */
	uint8_t rcv_wscale;    /* shift of the windows that we say; 0 without the option */
	bool gap;	       /* the guest sends again what came behind a hole, or was refused */
	bool holds_final, refused, fin_taken;
	bool ack_now; /* at the turn's end */
	unsigned challenges;
	uint64_t challenges_since;

	/* Deadlines; TCP_NEVER: none. */
	uint64_t retransmit_at, ack_at, give_up_at;
};

struct tcp_time_wait {
	struct tcp_path path;
	uint32_t snd_nxt, rcv_nxt;
	uint64_t until; /* 0: free */
};

/* A connection of a process that has died: tcp_dead.c. */
struct tcp_dead {
	struct tcp_path path;
	uint32_t iss;	/* of our SYN */
	unsigned tries; /* SYNs that the guest was sent */
	unsigned backoff;
	uint64_t at;	/* when the next one is due; 0: the record is free */
	uint64_t order; /* the how manieth */
};

/* One run of bytes behind a hole. */
struct tcp_hold {
	struct tcp_connection *owner; /* NULL: none are kept */
	uint8_t *bytes;		      /* TCP_HOLD */
	uint32_t seq, len;
};

#define TCP_BUCKETS 64

struct tcp {
	struct tcp_config cfg;
	const struct tcp_ops *ops;
	void *ctx;
	uint64_t now;	   /* of the call under way */
	uint64_t deadline; /* no connection's is earlier */
	unsigned n_slots;  /* that are not closed */
	uint16_t ports[TCP_PORTS];
	unsigned n_ports;
	bool csum, tso4, tso6;
	uint16_t id;
	struct list dirty, half_open;
	unsigned n_half_open;
	/* SYNs that came again after their answer, since a connection was opened */
	unsigned unheard;
	struct tcp_counters count;
	uint8_t bucket[TCP_BUCKETS]; /* slot + 1 */
	struct tcp_connection slot[TCP_CONNECTIONS];
	struct tcp_time_wait time_wait[TCP_TIME_WAITS];
	unsigned newest_time_wait;
	struct tcp_hold hold;
	uint8_t card[6]; /* the guest's, for frames of no connection */
	bool has_card;
	struct tcp_dead dead[TCP_DEADS];
	unsigned n_dead;
	uint64_t n_ever_dead;
	/* For the length of one call. */
	struct iovec in[VU_SEGMENTS + 1], out[TCP_PARTS + 1];
};

/* tcp_table.c */
bool tcp_same_path(const struct tcp_path *a, const struct tcp_path *b);
struct tcp_connection *tcp_table_find(struct tcp *tcp, const struct tcp_path *path);
struct tcp_connection *tcp_table_take(struct tcp *tcp, const struct tcp_path *path);
void tcp_table_give(struct tcp_connection *c);
void tcp_table_opened(struct tcp_connection *c);
struct tcp_time_wait *tcp_table_waiting(struct tcp *tcp, const struct tcp_path *path);
void tcp_table_wait(const struct tcp_connection *c);

/* tcp_connection.c */
void tcp_connection_init(struct tcp_connection *c, const struct tcp_path *path);
void tcp_connection_syn(struct tcp *tcp, const struct tcp_segment *s);
bool tcp_connection_event(struct tcp_connection *c, enum tcp_event event);
void tcp_connection_end(struct tcp_connection *c, int why, bool tell);
bool tcp_connection_says_fin(const struct tcp_connection *c);

/* tcp_arrive.c */
void tcp_arrive(struct tcp_connection *c, struct tcp_segment *s);

/* tcp_receive.c */
void tcp_receive_again(struct tcp_connection *c);
void tcp_receive_data(struct tcp_connection *c, struct tcp_segment *s);
uint32_t tcp_receive_ack(const struct tcp_connection *c);
uint16_t tcp_receive_window(const struct tcp_connection *c, bool scaled);
void tcp_receive_said(struct tcp_connection *c, uint16_t window, bool scaled);
bool tcp_receive_ack_due(const struct tcp_connection *c);
void tcp_receive_challenge(struct tcp_connection *c);

/* tcp_hold.c */
void tcp_hold_keep(struct tcp_connection *c, const struct tcp_segment *s);
uint32_t tcp_hold_next(struct tcp_connection *c, struct iovec *ret_part);
void tcp_hold_drop(const struct tcp_connection *c);

/* tcp_send.c */
void tcp_send_mark(struct tcp_connection *c);
int tcp_send_segment(struct tcp_connection *c, uint32_t seq, uint8_t flags, struct tcp_cursor *from,
		     uint32_t len);
int tcp_send_ack(struct tcp_connection *c);
int tcp_send_reset(struct tcp_connection *c);
int tcp_send_due(struct tcp_connection *c);
int tcp_send_first(struct tcp_connection *c);
void tcp_send_release(struct tcp_connection *c, uint32_t bytes);
void tcp_send_rewind(struct tcp_connection *c);
int tcp_send_reply(struct tcp *tcp, const struct tcp_path *path, const struct tcp_said *said);

/* tcp_loss.c */
void tcp_loss_init(struct tcp_connection *c);
void tcp_loss_opened(struct tcp_connection *c);
bool tcp_loss_acked(struct tcp_connection *c, const struct tcp_segment *s, uint32_t old_wnd);
void tcp_loss_timeout(struct tcp_connection *c);
void tcp_loss_time(struct tcp_connection *c, uint32_t end);

/* tcp_timer.c */
void tcp_timer_set(struct tcp_connection *c, uint64_t *deadline, uint64_t at);
void tcp_timer_retransmit(struct tcp_connection *c);
uint64_t tcp_timer_first(struct tcp *tcp);
void tcp_timer_run(struct tcp *tcp);

/* tcp_dead.c */
void tcp_dead_run(struct tcp *tcp);
uint64_t tcp_dead_first(const struct tcp *tcp);
void tcp_dead_arrived(struct tcp *tcp, const struct tcp_segment *s);
void tcp_dead_opens(struct tcp *tcp, const struct tcp_path *path, uint32_t *iss);
void tcp_dead_forget(struct tcp *tcp);
