/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What answers on TCP in a guest's process, on the guest's segment: a table, a service a row. Another
 * service is another row, and what it keeps of its connections stands in struct guest.
 *
 * What needs no connection is vhost_user_net/'s: ARP, neighbour discovery and echo (net_daemon.c), DHCP
 * (net_dhcp.c).
 *
 * The guest's thread only.
 */
#pragma once

struct guest;
struct tcp;
struct tcp_connection;

int guest_services_listen(struct tcp *tcp);
void guest_services_accept(struct guest *guest, struct tcp_connection *c);
void guest_services_gone(struct guest *guest);
void guest_services_stop(struct guest *guest);
