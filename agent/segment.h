/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of the guest's interfaces is on the private segment: the one that the user names, or the
 * one at whose other end fe80::1, or the daemon's IPv4 address, has the daemon's own MAC. Nothing
 * is sent to any other, except an empty datagram to fe80::1 on each Ethernet, which makes the
 * kernel ask who that is. Also news from the kernel: links and USB devices that come and go. These
 * are only hints to look again; what they say is not trusted.
 */
#pragma once

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>

struct segment {
	const char *wanted;    /* the interface that the user names, or NULL */
	struct in_addr daemon; /* the daemon's IPv4 address */
	int index;	       /* of the interface, once it is found; 0: none */
	char name[IF_NAMESIZE];
	bool up;   /* it has a carrier */
	int links; /* news of links */
};

/* Outcomes of segment_find() beside 0. */
enum {
	SEGMENT_NONE = 1, /* there is none with a carrier: wait for news */
	SEGMENT_ASKED,	  /* neighbours were asked who they are: look again soon */
};

int segment_init(struct segment *segment, const char *wanted, struct in_addr daemon);
void segment_deinit(struct segment *segment);
int segment_find(struct segment *segment);
bool segment_news(struct segment *segment);
void segment_addresses(const struct segment *segment, struct sockaddr_in6 *ret_v6,
		       struct sockaddr_in *ret_v4);

int uevent_open(int *ret_fd);
bool uevent_news(int fd);
