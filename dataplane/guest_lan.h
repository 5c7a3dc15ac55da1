/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The LAN export's side of its process: sockets of the kernel's in place of a card. What goes over them
 * is the same as with a guest: clients (client.h), devices and sessions.
 *
 * It makes no socket: it is handed those that listen. Whoever connects is known by its address alone. A
 * peer is an IPv4 address, or an IPv6 network of 64 bits, of which one machine has all addresses.
 *
 * Bounds, of connections that have not imported anything: 32 in all, 4 a peer, and 8 of peers for whom
 * nothing is exported. One more is reset at once, so that nobody waits in a queue behind others. A
 * connection that has imported a device has that device, and counts no more.
 *
 * A peer that is silent for 10 s is probed by the kernel, and given up after 30 s without an answer:
 * unlike a guest's, its end is seen by nothing else.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct guest;
struct guest_device;
struct guest_peer;
struct ip_prefix;

int guest_lan_init(struct guest *guest);
void guest_lan_deinit(struct guest *guest);
void guest_lan_listen(struct guest *guest, int sock);
void guest_lan_deaf(struct guest *guest, unsigned n_kept);
void guest_lan_close(struct guest *guest);
void guest_lan_set_may(struct guest_device *gd, const struct ip_prefix *to, size_t n);
bool guest_lan_may(const struct guest_device *gd, const struct guest_peer *peer);
