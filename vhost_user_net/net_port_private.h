/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A port from the inside, for net_port.c (life, notifications), net_front.c (connections), net_transmit.c (frames
 * from the guest), net_daemon.c (those for the daemon), net_receive.c (frames into the guest), net_arrive.c
 * (frames out of links) and net_card.c (whose MAC is whose). All of it is one thread's.
 */
#pragma once

#include "base/bell.h"
#include "base/log.h"
#include "vhost_user_net/net_dhcp.h"
#include "vhost_user_net/net_frame.h"
#include "vhost_user_net/net_port.h"
#include "vhost_user_net/net_rules.h"
#include "vhost_user_net/vu_device.h"

/* What a driver, or a tap, may ask to be done with a frame, if all is agreed on. */
#define NET_OFFLOADS                                                      \
	(1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_HOST_TSO4 |     \
	 1ull << VIRTIO_NET_F_HOST_TSO6 | 1ull << VIRTIO_NET_F_HOST_ECN | \
	 1ull << VIRTIO_NET_F_HOST_USO)

/* Frames a call of net_port_transmit() or net_port_arrive(). */
#define NET_BURST 64

/* Buffers that one frame may take: 64 KiB in the 1.5 KiB that drivers post at least are 45. */
#define NET_MERGE_MAX 64

/* One connection's. */
struct net_front {
	struct net_port *port;
	bool made; /* dev was initialised */
	struct vu_device dev;
};

/*
 * Whether a tap takes long frames of UDP: the kernel's version says it, and the first frame tells. One
 * that was taken has told for good: what is refused after it is that frame, and no other guest's.
 */
enum net_tap_uso { NET_TAP_USO_UNTRIED, NET_TAP_USO_TAKEN, NET_TAP_USO_REFUSED };

struct net_port {
	char name[64];
	const struct net_port_ops *ops;
	void *ctx;

	struct net_front front[NET_PORT_CONNECTIONS];
	struct vu_device *dev; /* of the connection whose rings may run; always made */
	bool up;
	unsigned takes;			 /* what link() was told, while up */
	bool reported[VIRTIO_NET_RINGS]; /* the ring's fault was logged */
	bool told_unusable;
	bool left; /* a guest has left its rings in order: at */
	uint16_t left_at[VIRTIO_NET_RINGS];
	struct log_limit limit;	     /* of what its front-end sends */
	struct log_limit ring_limit; /* of what the guest's driver does */
	struct log_limit link_limit; /* of links, which the other guest may break, too */

	struct net_peers peers;
	struct bell waker;  /* wakes other sides of links, whatever those do to their eventfds */
	unsigned waker_at;  /* whose it is attached to; NET_PORTS: nobody's */
	unsigned next_peer; /* whose link is read first, the next time */
	bool rx_waits;	    /* for the guest to post buffers; links are left alone meanwhile */

	bool plain, any_mac, uplink;
	int tap; /* net_tap.c; -1: none */
	enum net_tap_uso tap_uso;

	struct net_rules rules;
	/* net_card.c; MACs as numbers, 0: none. */
	bool fixed_mac;
	uint64_t own;
	uint64_t wanted;    /* control was asked for it, and has not answered */
	uint64_t denied;    /* control has denied it, as the others stand now */
	uint64_t asks_from; /* questions are put off until this lies a while back; ns, monotonic */
	uint64_t floods_from; /* net_transmit.c: as asks_from, of frames to all */
	uint64_t asked_at;    /* when the last question was put */
	uint64_t foreign;     /* what the guest sends from and may not have */
	unsigned own_again;   /* frames from its own since */
	bool has_daemon;      /* the guest has the daemon's IPv4 address itself */
	struct net_dhcp dhcp;
	struct net_port_counters count;

	struct net_frame frame; /* the one on its way */
	bool flat_is_frame;
	unsigned n_segments; /* that it was cut into */
	uint8_t *flat;	     /* NET_FRAME_MAX and a header */

	struct iovec tx_segs[VU_SEGMENTS];
	struct iovec out_segs[1 + VU_SEGMENTS];
	struct iovec rx_segs[VU_SEGMENTS];
	struct vu_chain rx_chains[NET_MERGE_MAX];
};

static inline bool net_port_has(const struct net_port *port, unsigned feature)
{
	return vu_device_has(port->dev, feature);
}

int net_fronts_init(struct net_port *port);
void net_fronts_deinit(struct net_port *port);

void net_port_follow(struct net_port *port);
void net_port_guest_gone(struct net_port *port);
void net_port_set_up(struct net_port *port, bool up);
void net_port_link_broken(struct net_port *port, unsigned number);
bool net_port_rx_shown(struct net_port *port);
void net_port_wake(struct net_port *port, unsigned number);

const uint8_t *net_port_flat(struct net_port *port);
unsigned net_port_parts(struct net_port *port, struct iovec *parts);
void net_daemon_frame(struct net_port *port);
void net_port_announce(struct net_port *port, const uint8_t mac[6]);
void net_port_one_frame(struct net_port *port, size_t len, unsigned n_segs);
void net_port_show_links(struct net_port *port);

bool net_tap_transmit(struct net_port *port);
bool net_tap_takes(const struct net_port *port, const struct net_offload *offload);
int net_tap_place(struct net_port *port, const struct net_offload *offload,
		  const struct iovec *parts, unsigned n_parts, size_t len);

bool net_card_confines(struct net_port *port);
void net_card_hears(struct net_port *port);

/* In place of another port's number. */
#define NET_CARD_OWN NET_PORTS
bool net_card_is_anothers(const struct net_port *port, unsigned number, const uint8_t address[16]);
bool net_card_mac_is_anothers(const struct net_port *port, unsigned number, const uint8_t mac[6]);

/* Outcomes of net_port_place(), beside 0. */
enum { NET_PLACE_FULL = 1, NET_PLACE_DOWN, NET_PLACE_CUT };

int net_port_place(struct net_port *port, const struct net_offload *offload,
		   const struct iovec *parts, unsigned n_parts, size_t len);
int net_port_give(struct net_port *port, const struct net_offload *offload,
		  const struct iovec *parts, unsigned n_parts, size_t len);
