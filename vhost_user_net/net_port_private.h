/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A port from the inside, for net_port.c (life, connection, notifications), net_transmit.c (frames
 * from the guest), net_daemon.c (those for the daemon), net_receive.c (frames into the guest) and net_card.c (whose MAC is whose).
 *
 * "Held": the slot's lock of some port is taken by this thread, see net_port_hold(). Fields marked
 * [lock] are changed, and by other threads also read, with the port's own slot held. All others are
 * the own thread's.
 */
#pragma once

#include "base/log.h"
#include "vhost_user_net/net_dhcp.h"
#include "vhost_user_net/net_frame.h"
#include "vhost_user_net/net_port.h"
#include "vhost_user_net/net_rules.h"
#include "vhost_user_net/net_switch.h"
#include "vhost_user_net/vu_device.h"

/* Frames a call of net_port_transmit(). */
#define NET_BURST 64

/* Buffers that one frame may take: 64 KiB in the 1.5 KiB that drivers post at least are 45. */
#define NET_MERGE_MAX 64

struct net_port {
	struct net_switch *sw;
	unsigned index; /* of its slot */
	char name[64];
	bool fixed_mac, isolate;
	uint8_t fixed[6]; /* the configured MAC */
	const struct net_port_ops *ops;
	void *ctx;

	struct vu_device dev;		 /* [lock]: memory and RX ring */
	bool up;			 /* [lock] */
	unsigned takes;			 /* what link() was told, while up */
	bool reported[VIRTIO_NET_RINGS]; /* the ring's fault was logged */
	bool told_unusable;
	struct log_limit limit;

	struct net_rules rules;
	uint64_t foreign; /* net_card.c: the MAC that the guest sends from and may not have, or 0 */
	unsigned own_again; /* frames from its own since */
	bool has_daemon;    /* the guest has the daemon's IPv4 address itself */
	struct net_dhcp dhcp;
	struct net_port_counters count; /* rx_*: [lock] */

	int held;	  /* the slot that this thread holds, or -1 */
	uint64_t touched; /* ports whose RX ring may have to be signalled by us */

	struct net_frame frame; /* the one on its way */
	bool flat_is_frame, flat_is_filled;
	uint8_t *flat; /* NET_FRAME_MAX and a header */

	struct iovec tx_segs[VU_SEGMENTS];
	struct iovec out_segs[1 + VU_SEGMENTS];
	struct iovec rx_segs[VU_SEGMENTS];
	struct vu_chain rx_chains[NET_MERGE_MAX];
};

struct net_port *net_port_hold(struct net_port *port, unsigned index);
void net_port_let_go(struct net_port *port);

bool net_card_confines(struct net_port *port);
void net_card_hears(struct net_port *port);
const uint8_t *net_port_flat(struct net_port *port);
void net_daemon_frame(struct net_port *port);

/* Outcomes of net_port_place(), beside 0. */
enum { NET_PLACE_FULL = 1, NET_PLACE_DOWN };

int net_port_place(struct net_port *port, struct net_port *to, const struct net_offload *offload,
		   const struct iovec *parts, unsigned n_parts, size_t len);
