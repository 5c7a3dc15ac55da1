/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection over which a stranger hands over descriptors that we use: a virtual machine's memory, the
 * eventfds of its card.
 *
 * Once a descriptor is in a process' table, that process has to close it, and may have to wait: a
 * file of FUSE is flushed at each close, for as long as its server likes, and nothing ends that
 * wait, not even SIGKILL. Only a process that has a descriptor can ask what it is. So an *usher*, a
 * child of the closer (stranger.h), takes it in our place. The usher has the stranger's socket, and
 * passes bytes on both ways. It also passes on descriptors that are eventfds or memory (a memfd, a
 * file on tmpfs or hugetlbfs): having, asking and closing these never waits. At any other
 * descriptor it ends the connection, and only the usher waits for the close.
 *
 * States: standing (bytes come and go over the line) -> ended: the line is at its end, and usher_end()
 * says why. An usher that can't end counts against its name's USHERS_A_NAME.
 */
#pragma once

#include <stdbool.h>

#define USHER_NAME    32
#define USHERS_A_NAME 8

struct usher {
	int line;   /* in place of the stranger's socket; -1: none */
	int report; /* why it ended; -1: there is no usher, the line is the socket itself */
};

/* Why a line has ended. */
enum usher_end {
	USHER_LEFT, /* the stranger has closed it, or we have */
	USHER_UNFIT,
	USHER_TOO_MANY,
	USHER_BUSY, /* USHERS_A_NAME earlier ones have not ended */
	USHER_FAILED,
};

int usher_start(struct usher *usher, int sock, const char *name);
enum usher_end usher_end(const struct usher *usher);
void usher_close(struct usher *usher);

_Noreturn void usher_main(int sock, int line, int report, bool busy);
