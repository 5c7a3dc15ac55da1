/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's end of a guest's segment: TCP, whose connections go to services (guest_service.h).
 *
 * A connection outlives the card's being down, if the same guest goes on afterwards: one that was
 * paused, saved or moved (vhost_user_net/net_port.h). It ends where the guest is gone, or with a process that
 * dies. The guest's kernel may still take it for alive, and would keep a dead device
 * for ever. So such connections are *hung up* when the card is up again: the guest is told that
 * they are dead (vhost_user_net/tcp_dead.c).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"

struct guest;
struct net_frame;
struct stream;
struct tcp;

struct guest_net {
	struct tcp *tcp;
	struct loop_watch timer;
	uint64_t timer_at; /* ns; UINT64_MAX: it is not set */
};

int guest_net_init(struct guest *guest);
void guest_net_deinit(struct guest *guest);
void guest_net_link(struct guest *guest, bool up, unsigned takes);
void guest_net_card(struct guest *guest);
void guest_net_frame(struct guest *guest, const struct net_frame *frame);
bool guest_net_deaf(const struct guest *guest);
void guest_net_flush(struct guest *guest);
void guest_net_cut(struct guest *guest, struct stream *stream);
