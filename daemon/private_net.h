/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The private network namespace: one tap a guest, each with the daemon's address, one route and two
 * listening sockets: for USB/IP and for the guest's agent. The broker's; joined to nothing,
 * forwarding nothing.
 *
 * Which listener a connection arrived at says which guest it is: the listener is bound to the tap
 * (SO_BINDTODEVICE), and so is every connection that it accepts.
 */
#pragma once

#include <stddef.h>

struct broker_call;
struct broker_port;

int private_net_enter(char *text, size_t size);
int private_net_port(const struct broker_port *port, int *ret_fds, char *text, size_t size);
int private_net_hang_up(const struct broker_call *call);
