/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What went through the ports of one process, for control to look at: a memory of fixed size that control
 * makes, the process writes and control reads. Nobody is asked, and nobody wakes up for it.
 *
 * Control believes none of the numbers. Each is read as a whole; those of a port need not belong together.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "vhost_user_net/net_port.h"

/* Ports that a process may have: on the private segment, and on further networks. */
#define NET_COUNTS_PORTS 9
/* Numbers of a port: those of struct net_port_counters, in their order. */
#define NET_COUNTS 9

struct net_counts {
	_Atomic uint64_t at[NET_COUNTS_PORTS][NET_COUNTS];
};

int net_counts_make(struct net_counts **ret_counts, int *ret_fd);
int net_counts_open(struct net_counts **ret_counts, int fd);
struct net_counts *net_counts_close(struct net_counts *counts);
void net_counts_put(struct net_counts *counts, unsigned port,
		    const struct net_port_counters *numbers);
void net_counts_get(const struct net_counts *counts, unsigned port,
		    struct net_port_counters *ret_numbers);
