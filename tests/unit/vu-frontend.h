/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small front-end and guest driver in one, for tests: shared memory from a memfd, rings made by
 * hand, a socketpair, and a port of the daemon at its other end. What it has for the daemon goes
 * through a datagram socketpair: one message a frame, with a virtio-net header. Ports are joined by a
 * struct fe_net, which has the real roster; what it tells a port is delivered at once, or by the port's
 * own thread.
 *
 * Rings are split, or packed where that is agreed on. A test's driver has a table of descriptors in both, and posts
 * chains of it by their heads; a packed ring gets a copy of the chain. With FE_PACKED in the environment, rings are
 * packed in all tests of a program.
 *
 * Memory: two regions side by side in the guest's addresses, whose places in the file are
 * exchanged, so that what crosses from one to the other doesn't lie in one piece for the back-end.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "vhost_user_net/net_port.h"
#include "vhost_user_net/net_roster.h"
#include "vhost_user_net/vhost_user_spec.h"
#include "vhost_user_net/virtio_spec.h"

#define FE_HALF	  (2u << 20)
#define FE_SIZE	  (2 * FE_HALF)
#define FE_GPA	  0x40000000ull
#define FE_UVA	  0x7f1200000000ull
#define FE_RINGS  0x0
#define FE_TX_BUF 0x40000u  /* a guest's frames, 128 KiB each */
#define FE_RX_BUF 0x140000u /* its receive buffers; they cross into the second region */

#define FE_FEATURES                                                            \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_INDIRECT_DESC |         \
	 1ull << VIRTIO_F_EVENT_IDX | 1ull << VHOST_USER_F_PROTOCOL_FEATURES | \
	 1ull << VIRTIO_NET_F_MRG_RXBUF | 1ull << VIRTIO_NET_F_CSUM |          \
	 1ull << VIRTIO_NET_F_GUEST_CSUM | 1ull << VIRTIO_NET_F_HOST_TSO4 |    \
	 1ull << VIRTIO_NET_F_HOST_TSO6 | 1ull << VIRTIO_NET_F_GUEST_TSO4 |    \
	 1ull << VIRTIO_NET_F_GUEST_TSO6)

#define FE_RING_MAX    1024u
#define FE_WRAP	       0x8000u /* of a packed ring's position; its index is the rest */
#define FE_BASE_PACKED (FE_WRAP << 16 | FE_WRAP)

struct fe_ring {
	unsigned num;
	uint16_t avail_idx, used_seen, next_desc;
	int kick, call;

	/* Packed: the driver's table, positions, and how many descriptors the chain at an index has. */
	bool packed;
	struct virtq_desc table[FE_RING_MAX];
	uint16_t avail_at, used_at, descs[FE_RING_MAX];
};

/* Control's part. */
struct fe_net {
	struct net_roster roster;
	pthread_mutex_t lock;
	struct fe *fe[NET_PORTS];
	bool isolate; /* the ports that are opened from here on */
	bool threads; /* each port is another thread's, which calls fe_control() */
	bool late;    /* nothing is delivered until fe_control() */
};

struct fe {
	struct net_port *port; /* NULL: in another process, which reads by itself */
	struct fe_net *net;
	struct list told; /* by control, and not delivered yet */
	unsigned number;
	int sock, back_sock; /* the two ends of the connection */
	int which;	     /* of its port's connections */
	int to_daemon[2];    /* datagrams: what the port has for the daemon goes through */
	int memfd;
	uint8_t *mem;
	uint64_t features;
	bool reply_ack;
	struct fe_ring ring[VIRTIO_NET_RINGS];
	unsigned rx_size;

	/* What the port asked for; macs: how often it was granted another one, which is in mac. */
	unsigned ups, downs, gones, macs, takes, macs_wanted, links_wanted;
	uint8_t mac[6];
	unsigned foreigns; /* how often told; whether, and which MAC the guest may not have */
	bool is_foreign, has_daemon;
	uint8_t foreign[6];
	int watched[VIRTIO_NET_RINGS], watched_link[NET_PORTS];
};

void fe_net_init(struct fe_net *net);
void fe_net_deinit(struct fe_net *net);
void fe_control(struct fe *fe);

struct net_port_config fe_config(unsigned n);
void fe_open(struct fe *fe, struct fe_net *net, const struct net_port_config *config);
void fe_open_far(struct fe *fe, int sock);
void fe_connect(struct fe *fe);
void fe_close(struct fe *fe);

void fe_send(struct fe *fe, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
	     const int *fds, unsigned n_fds);
void fe_send_u64(struct fe *fe, uint32_t request, uint64_t x);
void fe_send_state(struct fe *fe, uint32_t request, uint32_t index, uint32_t num);
void fe_send_fd(struct fe *fe, uint32_t request, unsigned index, int fd);
int fe_message(struct fe *fe);
uint64_t fe_reply(struct fe *fe, uint32_t request);

void fe_set_features(struct fe *fe, uint64_t features);
void fe_set_memory(struct fe *fe);
struct vhost_vring_addr fe_ring_at(unsigned ring);
void fe_set_ring(struct fe *fe, unsigned ring, unsigned num, uint32_t base);
void fe_start(struct fe *fe, uint64_t features, unsigned num);
uint32_t fe_stop_ring(struct fe *fe, unsigned ring);
void fe_go_on(struct fe *fe, const uint32_t base[VIRTIO_NET_RINGS]);

uint8_t *fe_at(struct fe *fe, uint64_t gpa);
void fe_put_desc(struct fe *fe, unsigned ring, unsigned i, uint64_t gpa, uint32_t len,
		 unsigned flags, unsigned next);
void fe_post(struct fe *fe, unsigned ring, unsigned head);
struct pvirtq_desc *fe_packed_desc(struct fe *fe, unsigned ring, unsigned index);
void fe_packed_post(struct fe *fe, unsigned ring, const struct pvirtq_desc *descs, unsigned n);
uint16_t fe_used_idx(struct fe *fe, unsigned ring);
uint32_t fe_position(struct fe *fe, unsigned ring);
uint16_t *fe_avail_word(struct fe *fe, unsigned ring, size_t at);
uint16_t *fe_used_word(struct fe *fe, unsigned ring, size_t at);
bool fe_used(struct fe *fe, unsigned ring, uint32_t *ret_head, uint32_t *ret_len);

void fe_tx(struct fe *fe, const struct virtio_net_hdr *hdr, const void *frame, size_t len);
void fe_arrive(struct fe *fe);
void fe_rx_fill(struct fe *fe, unsigned n, unsigned size);
size_t fe_rx(struct fe *fe, struct virtio_net_hdr *ret_hdr, void *frame, size_t size);
int fe_daemon_sends(struct fe *fe, const void *frame, size_t len);
size_t fe_daemon_gets(struct fe *fe, struct virtio_net_hdr *ret_hdr, void *frame, size_t size);

unsigned fe_calls(struct fe *fe, unsigned ring);
unsigned fe_open_fds(void);
