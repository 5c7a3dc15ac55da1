/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A TCP segment and the frame around it: reading one that a guest sent, and writing one for it.
 * Pure: knows no connection.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vhost_user_net/net_spec.h"

struct net_frame;
struct net_offload;
struct tcp_config;

/* RFC 9293, 3.1; FIN, PSH and CWR are in net_spec.h. */
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* RFC 9293, 3.2, and RFC 7323, 2.2 */
#define TCP_OPTION_END	  0
#define TCP_OPTION_NOP	  1
#define TCP_OPTION_MSS	  2
#define TCP_OPTION_WSCALE 3

/* RFC 7323, 2.3: larger shifts count as this. */
#define TCP_WSCALE_MAX 14

/* Segments for us fill an Ethernet frame of 1500 bytes, whatever a guest says that it takes. */
#define TCP_MSS4 1460
#define TCP_MSS6 1440

#define TCP_HEAD_MAX (14 + 40 + 20)

/* Between whom: the guest's end and our port; our address follows from v6. */
struct tcp_path {
	bool v6;
	uint8_t mac[6];	  /* the guest's card */
	uint8_t peer[16]; /* the guest's address; IPv4: 4 bytes, the rest 0 */
	uint16_t peer_port, port;
};

/* A segment that came. */
struct tcp_segment {
	struct tcp_path path;
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t window; /* as on the wire */
	uint16_t mss;	 /* option; 0: none */
	int wscale;	 /* option; -1: none */
	/* The payload where it lies; @parts has n_parts entries. */
	struct iovec *parts;
	unsigned n_parts;
	size_t len;
};

/* What all frames of a connection begin with. */
struct tcp_head {
	uint8_t bytes[TCP_HEAD_MAX];
	uint8_t l4;	 /* where TCP's header starts */
	uint8_t len;	 /* with TCP's header */
	uint32_t pseudo; /* sum of the pseudo-header's addresses and protocol */
};

/* Outcomes of tcp_segment_parse(). */
enum tcp_parse {
	TCP_PARSE_OK,
	TCP_PARSE_OTHER,     /* not TCP, or not for us */
	TCP_PARSE_MALFORMED, /* nothing that may be answered */
	TCP_PARSE_CHECKSUM,
};

enum tcp_parse tcp_segment_parse(const struct tcp_config *config, const struct net_frame *frame,
				 struct iovec *parts, unsigned max_parts,
				 struct tcp_segment *ret_segment);
void tcp_segment_skip(struct tcp_segment *segment, size_t n);
void tcp_segment_cut(struct tcp_segment *segment, size_t len);

/* What a frame to the guest says. */
struct tcp_said {
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t window;
	uint16_t mss; /* SYN: the option; 0: none */
	int wscale;   /* SYN: the option; -1: none */
	uint16_t gso; /* payload of one segment; 0: one segment */
	bool csum;    /* the guest fills in the checksum */
	uint16_t id;  /* IPv4's identification */
};

#define TCP_OPTIONS_MAX 8

void tcp_head_init(struct tcp_head *head, const struct tcp_config *config,
		   const struct tcp_path *path);
size_t tcp_head_write(const struct tcp_head *head, const struct tcp_said *said,
		      const struct iovec *parts, unsigned n_parts, size_t len,
		      uint8_t to[TCP_HEAD_MAX + TCP_OPTIONS_MAX], struct net_offload *ret_offload);
