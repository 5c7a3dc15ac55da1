/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A port of a further network: a card of the guest's beside the one that leads to the daemon, or the
 * network's uplink, whose process has no guest.
 *
 * It owns the vhost-user connection and its listener, or the tap; the rings, and its ends of links. The
 * daemon answers nothing here, and no connection ends here.
 *
 *   card:    made -> lan_port_listen() -> QEMU connects -> up -> … -> down -> …
 *   uplink:  made -> lan_port_tap() -> up -> (the tap's device is gone) -> down -> …
 *
 * All functions and events are of the process's one thread. An event may be called within any function,
 * and calls none of these itself.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "vhost_user_net/net_port.h"

struct lan_port;

struct lan_port_config {
	const char *name; /* for log lines; copied */
	uint8_t mac[6];	  /* that its guest has taken before; all zero: none */
	bool any_mac;	  /* others are behind it */
	bool uplink;
};

/* A port as it is now. Addresses of zeros: none. */
struct lan_port_state {
	bool up;
	uint8_t mac[6];	    /* its own */
	uint8_t foreign[6]; /* what its guest sends from, and may not have */
};

struct lan_port_events {
	void (*changed)(void *ctx, const struct lan_port_state *state);
	/* lan_port_mac_granted() is the answer. */
	void (*mac_wanted)(void *ctx, const uint8_t mac[6]);
	/* lan_port_link() brings it, if it may have one. */
	void (*link_wanted)(void *ctx, unsigned number);
};

int lan_port_new(struct lan_port **ret_port, struct loop *loop,
		 const struct lan_port_config *config, const struct lan_port_events *events,
		 void *ctx);
struct lan_port *lan_port_free(struct lan_port *port);

void lan_port_listen(struct lan_port *port, int listener);
int lan_port_tap(struct lan_port *port, int tap);
void lan_port_peer_set(struct lan_port *port, const struct net_peer *peer);
void lan_port_peer_gone(struct lan_port *port, unsigned number);
void lan_port_link(struct lan_port *port, unsigned number, unsigned side, int memory, int wake_mine,
		   int wake_theirs);
void lan_port_mac_granted(struct lan_port *port, const uint8_t mac[6], bool granted);
void lan_port_state(const struct lan_port *port, struct lan_port_state *ret_state);
void lan_port_count(const struct lan_port *port, struct net_port_counters *ret_counters);

bool lan_port_turn(struct lan_port *port);
