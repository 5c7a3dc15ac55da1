/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One guest's network card: the vhost-user connection, the two rings, the port's rules, its place
 * in the switch, and the answers of its DHCP.
 *
 * A port owns what arrives over the connection (memory map, kick and call descriptors), never the
 * connection's own socket or the loop: those are its user's, one guest's thread. All
 * functions are called by that thread, unless said. What other guests' threads do to a port is to
 * place frames into its RX ring, under its lock; the memory map, too, changes only under that lock.
 *
 * States: down (no rings, or stopped) -> up (both rings set up, enabled, with a kick) -> down …; a
 * broken ring stays broken until the guest sets the rings up anew.
 *
 * A frame's way out: net_port_transmit() takes bursts from the TX ring; each frame's headers are
 * copied once, judged by the port's rules on that copy, and the copy is what is passed on: to the
 * DHCP, to the daemon (ARP, neighbour discovery and echo are answered here), to other ports' RX
 * rings. The daemon's frames come by net_port_send().
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Hard limit of ports in one switch. */
#define NET_PORTS 64

struct iovec;
struct net_frame;
struct net_offload;
struct net_switch;
struct net_port;

/* The daemon's IPv6 address on the segment; that of IPv4 is configured. */
extern const uint8_t net_daemon_address6[16];

/* What a guest's driver takes of a frame from the daemon. */
#define NET_TAKES_CSUM 1u /* without its checksum */
#define NET_TAKES_TSO4 2u /* longer than a segment, over IPv4 */
#define NET_TAKES_TSO6 4u

struct net_port_config {
	const char *name;	/* for log lines; copied */
	struct in_addr address; /* the guest's, given by DHCP, the only IPv4 source it may use */
	struct in_addr daemon;	/* the daemon's address on the segment */
	unsigned prefix;	/* length of the segment's prefix, bits */
	uint8_t mac[6];		/* all zero: what the guest takes, while nobody else has it */
	uint8_t mac_before[6];	/* then: what it had last, until it takes another; all zero: none */
	bool isolate;		/* no frames to or from other guests */
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
	/* A frame for the daemon, judged, from net_port_transmit(); not to be looked at afterwards.
	 * It may call net_port_send(). */
	void (*daemon)(void *ctx, const struct net_frame *frame);
	/* The card's address is known now (the guest has taken it, or as configured at link-up). */
	void (*mac)(void *ctx, const uint8_t mac[6]);
	/* The guest sends from @mac, which it may not have, and so reaches the daemon only; NULL:
	 * no longer. */
	void (*foreign)(void *ctx, const uint8_t *mac);
	/* The guest has, or no longer has, the daemon's IPv4 address itself. */
	void (*has_daemon)(void *ctx, bool has);
	/* Any thread: another guest's thread found this port's RX ring broken. Have the port's own
	 * thread call net_port_check(). */
	void (*poke)(void *ctx);
};

struct net_port_counters {
	uint64_t tx_frames, tx_bytes; /* from the guest */
	uint64_t rx_frames, rx_bytes; /* to the guest */
	uint64_t tx_refused;	      /* by the port's rules */
	uint64_t rx_full;	      /* dropped, the guest had no room */
	uint64_t tx_nowhere;	      /* no such card, or its card is down */
};

/* Outcomes of net_port_message(). */
enum { NET_PORT_CLOSED = 1 };
/* Outcomes of net_port_send(). */
enum { NET_PORT_SENT, NET_PORT_FULL };

int net_switch_new(struct net_switch **ret_sw);
struct net_switch *net_switch_free(struct net_switch *sw);

int net_port_new(struct net_port **ret_port, struct net_switch *sw,
		 const struct net_port_config *config, const struct net_port_ops *ops, void *ctx);
struct net_port *net_port_free(struct net_port *port);

int net_port_connect(struct net_port *port, int sock);
int net_port_message(struct net_port *port);
void net_port_disconnect(struct net_port *port);

void net_port_kicked(struct net_port *port, unsigned ring);
bool net_port_transmit(struct net_port *port);
int net_port_send(struct net_port *port, const struct net_offload *offload,
		  const struct iovec *parts, unsigned n_parts, size_t len);
void net_port_probe(struct net_port *port);
void net_port_flush(struct net_port *port);
bool net_port_signal_due(const struct net_port *port);
void net_port_signal(struct net_port *port);
int net_port_check(struct net_port *port);

bool net_port_up(const struct net_port *port);
void net_port_count(const struct net_port *port, struct net_port_counters *ret_counters);
