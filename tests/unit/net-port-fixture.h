/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Three guests' cards with links between them, their drivers' sides, frames of theirs, and what a driver
 * is asserted to have.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/mem.h"
#include "vhost_user_net/net_checksum.h"
#include "vhost_user_net/net_rules.h"
#include "vhost_user_net/net_frame.h"
#include "vhost_user_net/net_spec.h"
#include "vhost_user_net/vu_memory.h"
#include "vu-frontend.h"

extern const uint8_t everyone[6];
extern struct fe_net net;
extern struct fe a, b, c;
extern uint8_t buf[70000];
extern struct virtio_net_hdr hdr;
extern const struct virtio_net_hdr tso4;

void of_split_rings(void);
int set_up(void **state _unused_);
int tear_down(void **state _unused_);
size_t udp_frame(uint8_t *f, unsigned from, const uint8_t dst[6], size_t payload);
size_t tcp_frame(uint8_t *f, unsigned from, const uint8_t dst[6], size_t payload);
size_t long_udp_frame(uint8_t *f, unsigned from, const uint8_t dst[6], size_t payload, bool ipv6);
struct virtio_net_hdr uso_of(bool ipv6);
void assert_checksums(const uint8_t *f, size_t len);
void assert_datagram(const uint8_t *got, size_t len, const uint8_t *f, size_t f_len, bool ipv6,
		     unsigned i);
const uint8_t *mac_of(unsigned n);
void start(struct fe *fe, uint64_t features);
void send_frame(struct fe *fe, const struct virtio_net_hdr *h, const void *f, size_t len);
struct net_port_counters counters(struct fe *fe);
void assert_received(struct fe *fe, const void *f, size_t len);
void assert_nothing(struct fe *fe);
size_t frame_from(uint8_t *f, unsigned from, const uint8_t mac[6], const uint8_t dst[6]);
void assert_confined(struct fe *fe, const uint8_t mac[6], unsigned from);
