/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection written down, for another process of the same machine to take up.
 *
 * A struct of fixed size without pointers and without holes: it may be sent, stored and compared as
 * bytes, in the machine's byte order. It holds no byte of the streams: those that the guest has not
 * acknowledged are the user's to hand over (@queued of them, from @acked_bytes of the stream on).
 * A half-open connection is not written down: the guest's SYN comes again.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

#include "vhost_user_net/tcp.h"

/* Raised with every change of the struct; a reader takes its own version alone. */
#define TCP_STATE_VERSION 1

struct tcp_state {
	uint32_t version, size;
	uint64_t acked_bytes; /* of the stream to the guest: acknowledged */
	uint64_t taken_bytes; /* of the stream from the guest: taken */
	uint32_t queued;      /* bytes that were queued and not acknowledged, sent or not */
	uint32_t snd_una, snd_max, snd_wnd, max_wnd, snd_wl1, snd_wl2;
	uint32_t rcv_nxt, rcv_final, rcv_adv, room;
	uint16_t peer_port, port, mss;
	uint8_t peer[16], mac[6];
	uint8_t v6, state, snd_wscale, rcv_wscale;
	uint8_t orphan, holds_final, refused, reserved;
	uint8_t reserved2[4];
};
static_assert(sizeof(struct tcp_state) == 8 + 16 + 44 + 6 + 22 + 8 + 4 + 4, "it has no holes");

int tcp_export(const struct tcp_connection *c, struct tcp_state *ret_state);
void tcp_state_forget_unfinal(struct tcp_state *state);
int tcp_import(struct tcp *tcp, const struct tcp_state *state, struct stream_buffer *const *buffers,
	       unsigned n_buffers, void *user, uint64_t now, struct tcp_connection **ret_c);
