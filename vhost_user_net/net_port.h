/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One guest's network card: the vhost-user connection, the two rings, the port's rules, its links to
 * other guests' cards, and the answers of its DHCP.
 *
 * A port owns what arrives over the connection (memory map, kick and call descriptors) and its ends
 * of links, never the connection's own socket or the loop: those are its user's, one guest's thread,
 * which calls all functions. Nobody else touches a guest's rings or its memory.
 *
 * There may be two connections, as a guest that moves has two front-ends. The rings of one run at a time. The
 * other one's wait until both of the first have stopped, or it has gone; then the card is the other one's.
 *
 * States: down (no rings, or stopped) -> up (both rings set up, enabled, with a kick) -> down …; a
 * broken ring stays broken until the guest sets the rings up anew.
 *
 * A front-end stops the rings in order when its guest is paused, saved or moved, and also when the guest
 * resets its card or is switched off: which of them can't be told. So the port remembers where the rings
 * stood. If they go on from there, over this connection or another one, the guest's memory is as it was,
 * and it is the *same guest*: nothing has happened to it, but that it may have sent into nowhere. If they
 * begin elsewhere, it is another one, or an older state of the same, and gone() comes first. It comes at
 * once where the rings were not stopped in order: the front-end has died, or a ring is broken.
 *
 * A frame's way out: net_port_transmit() takes bursts from the TX ring. Each frame's headers are
 * copied once, and judged by the port's rules on that copy. The copy is what is passed on: to the
 * DHCP server, to the daemon (ARP, neighbour discovery and echo are answered here), into links. The
 * daemon's frames come by net_port_send(). net_port_arrive() reads the links, and judges what it
 * finds there as if the other guest had written it.
 *
 * Control tells a port of the others (net_peers.h), and whose MAC is whose (net_roster.h).
 *
 * A port of a *further network* ("plain") is the same without the daemon: nothing is answered, any
 * protocol passes, and of what a guest sends only the source MAC is checked. A frame for a MAC that no
 * card of the network has goes to the ports that have others behind them ("any"): the network's uplink,
 * and guests that bridge. The uplink's port has a tap of the host's in place of rings (net_tap.c).
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhost_user_net/net_peers.h"

struct net_frame;
struct net_offload;
struct net_port;

/* The daemon's IPv6 address on the segment; that of IPv4 is configured. */
extern const uint8_t net_daemon_address6[16];

/* What a guest's driver takes of a frame from the daemon. */
#define NET_TAKES_CSUM 1u /* without its checksum */
#define NET_TAKES_TSO4 2u /* longer than a segment, over IPv4 */
#define NET_TAKES_TSO6 4u

struct bell;

struct net_port_config {
	const char *name;	/* for log lines; copied */
	struct in_addr address; /* the guest's, given by DHCP, the only IPv4 source it may use */
	struct in_addr daemon;	/* the daemon's address on the segment */
	unsigned prefix;	/* length of the segment's prefix, bits */
	uint8_t mac[6];		/* its own, as control has it; all zero: none yet */
	bool fixed_mac;		/* it is configured: the guest gets no other */
	bool plain;		/* of a further network */
	bool any_mac;		/* plain: it may send from MACs that are no other card's */
	bool uplink;		/* plain: it has a tap, not a guest */
};

/* What a port asks of its user. @ctx is as given to net_port_new(). */
struct net_port_ops {
	/*
	 * Call net_port_kicked() for @ring (0 RX, 1 TX) at each edge of @fd; -1: no more. The
	 * descriptor stays open until told to stop.
	 */
	void (*watch_kick)(void *ctx, unsigned ring, int fd);
	/* The card went up or down; on up, @takes is what net_port_send() may be given. */
	void (*link)(void *ctx, bool up, unsigned takes);
	/*
	 * The guest that had the card is not there any more: whoever comes next is another one. The card
	 * is down; link() follows if it goes up.
	 */
	void (*gone)(void *ctx);
	/* A frame for the daemon, judged, from net_port_transmit(); not to be looked at afterwards.
	 * It may call net_port_send(). Not of a plain port. */
	void (*daemon)(void *ctx, const struct net_frame *frame);
	/* The guest sends from @mac, which is not its own; net_port_mac_granted() is the answer. */
	void (*mac_wanted)(void *ctx, const uint8_t mac[6]);
	/* A link to another port is wanted; net_port_link() brings it, if it comes. */
	void (*link_wanted)(void *ctx, unsigned number);
	/*
	 * Call net_port_link_ready() for @number at each edge of @fd; -1: no more. The descriptor
	 * stays open until told to stop.
	 */
	void (*watch_link)(void *ctx, unsigned number, int fd);
	/* The guest sends from @mac, which it may not have, and so reaches the daemon only; NULL:
	 * no longer. */
	void (*foreign)(void *ctx, const uint8_t *mac);
	/* The guest has, or no longer has, the daemon's IPv4 address itself. */
	void (*has_daemon)(void *ctx, bool has);
	/* Interrupt the guest soon, before anything is waited for (loop_ring()). NULL: bell_ring(). */
	void (*interrupt)(void *ctx, struct bell *bell);
};

struct net_port_counters {
	uint64_t tx_frames, tx_bytes; /* from the guest */
	uint64_t rx_frames, rx_bytes; /* to the guest */
	uint64_t tx_refused;	      /* by the port's rules */
	uint64_t rx_full;	      /* dropped, the guest had no room */
	uint64_t rx_refused;	      /* from a link, where it says what its guest may not */
	uint64_t tx_full;	      /* dropped, a link had no room */
	uint64_t tx_nowhere;	      /* no such card, or its card is down */
};

/* Connections that a port may have at once. */
#define NET_PORT_CONNECTIONS 2

/* Outcomes of net_port_message(). */
enum { NET_PORT_CLOSED = 1 };
/* Outcomes of net_port_send(). */
enum { NET_PORT_SENT, NET_PORT_FULL };

int net_port_new(struct net_port **ret_port, const struct net_port_config *config,
		 const struct net_port_ops *ops, void *ctx);
struct net_port *net_port_free(struct net_port *port);

int net_port_connect(struct net_port *port, int sock);
int net_port_message(struct net_port *port, unsigned which);
void net_port_disconnect(struct net_port *port, unsigned which);

void net_port_peer_set(struct net_port *port, const struct net_peer *peer);
void net_port_peer_gone(struct net_port *port, unsigned number);
int net_port_link(struct net_port *port, unsigned number, unsigned side, int memory, int wake_mine,
		  int wake_theirs);
void net_port_link_ready(struct net_port *port, unsigned number);
void net_port_mac_granted(struct net_port *port, const uint8_t mac[6], bool granted);
void net_port_tap(struct net_port *port, int tap);
uint64_t net_port_mac(const struct net_port *port);

void net_port_kicked(struct net_port *port, unsigned ring);
bool net_port_transmit(struct net_port *port);
bool net_port_arrive(struct net_port *port);
int net_port_send(struct net_port *port, const struct net_offload *offload,
		  const struct iovec *parts, unsigned n_parts, size_t len);
void net_port_probe(struct net_port *port);
void net_port_flush(struct net_port *port);
bool net_port_signal_due(struct net_port *port);
void net_port_signal(struct net_port *port);
int net_port_check(struct net_port *port);

bool net_port_up(const struct net_port *port);
void net_port_count(const struct net_port *port, struct net_port_counters *ret_counters);
