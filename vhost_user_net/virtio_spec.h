/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtio 1.2, as far as a network card needs it, and UDP segmentation, which 1.3 has added. Names are the specification's:
 * sections 2.7 (split virtqueues), 2.8 (packed virtqueues), 5.1 (network device), 6 (reserved feature bits).
 */
#pragma once

#include <assert.h>
#include <stddef.h>

#include "base/endian_types.h"

/* 2.7.5 */
#define VIRTQ_DESC_F_NEXT     1u
#define VIRTQ_DESC_F_WRITE    2u
#define VIRTQ_DESC_F_INDIRECT 4u

struct virtq_desc {
	le64 addr;
	le32 len;
	le16 flags;
	le16 next;
};
static_assert(sizeof(struct virtq_desc) == 16, "2.7.5");
static_assert(offsetof(struct virtq_desc, next) == 14, "2.7.5");

/* 2.7.6, followed by le16 ring[num], and le16 used_event with VIRTIO_F_RING_EVENT_IDX */
#define VIRTQ_AVAIL_F_NO_INTERRUPT 1u
#define VIRTQ_AVAIL_FLAGS	   0
#define VIRTQ_AVAIL_IDX		   2
#define VIRTQ_AVAIL_RING	   4

/* 2.7.8, followed by struct virtq_used_elem ring[num], and le16 avail_event */
#define VIRTQ_USED_F_NO_NOTIFY 1u
#define VIRTQ_USED_FLAGS       0
#define VIRTQ_USED_IDX	       2
#define VIRTQ_USED_RING	       4

struct virtq_used_elem {
	le32 id;
	le32 len;
};
static_assert(sizeof(struct virtq_used_elem) == 8, "2.7.8");

#define VIRTQ_DESC_ALIGN  16
#define VIRTQ_AVAIL_ALIGN 2
#define VIRTQ_USED_ALIGN  4

/* 2.8.1, 2.8.13: flags have VIRTQ_DESC_F_ of above, and these two */
#define PVIRTQ_DESC_F_AVAIL (1u << 7)
#define PVIRTQ_DESC_F_USED  (1u << 15)

struct pvirtq_desc {
	le64 addr;
	le32 len;
	le16 id;
	le16 flags;
};
static_assert(sizeof(struct pvirtq_desc) == 16, "2.8.13");
static_assert(offsetof(struct pvirtq_desc, flags) == 14, "2.8.13");

/* 2.8.14, one 32-bit word: a descriptor's position, its wrap counter, and in the upper half what is wanted */
#define PVIRTQ_EVENT_ALIGN   4
#define PVIRTQ_EVENT_WRAP    (1u << 15)
#define PVIRTQ_EVENT_FLAGS   16
#define PVIRTQ_EVENT_ENABLE  0u
#define PVIRTQ_EVENT_DISABLE 1u
#define PVIRTQ_EVENT_DESC    2u

/* Feature bits, by number: 5.1.3 and 6 */
#define VIRTIO_NET_F_CSUM	    0
#define VIRTIO_NET_F_GUEST_CSUM	    1
#define VIRTIO_NET_F_MTU	    3
#define VIRTIO_NET_F_GUEST_TSO4	    7
#define VIRTIO_NET_F_GUEST_TSO6	    8
#define VIRTIO_NET_F_GUEST_ECN	    9
#define VIRTIO_NET_F_HOST_TSO4	    11
#define VIRTIO_NET_F_HOST_TSO6	    12
#define VIRTIO_NET_F_HOST_ECN	    13
#define VIRTIO_NET_F_MRG_RXBUF	    15
#define VIRTIO_NET_F_GUEST_ANNOUNCE 21
#define VIRTIO_F_INDIRECT_DESC	    28
#define VIRTIO_F_EVENT_IDX	    29
#define VIRTIO_F_VERSION_1	    32
#define VIRTIO_F_RING_PACKED	    34
#define VIRTIO_F_IN_ORDER	    35
#define VIRTIO_NET_F_GUEST_USO4	    54
#define VIRTIO_NET_F_GUEST_USO6	    55
#define VIRTIO_NET_F_HOST_USO	    56

/* 5.1.6 */
#define VIRTIO_NET_HDR_F_NEEDS_CSUM 1u
#define VIRTIO_NET_HDR_F_DATA_VALID 2u
#define VIRTIO_NET_HDR_GSO_NONE	    0u
#define VIRTIO_NET_HDR_GSO_TCPV4    1u
#define VIRTIO_NET_HDR_GSO_TCPV6    4u
#define VIRTIO_NET_HDR_GSO_UDP_L4   5u
#define VIRTIO_NET_HDR_GSO_ECN	    0x80u

struct virtio_net_hdr {
	uint8_t flags;
	uint8_t gso_type;
	le16 hdr_len;
	le16 gso_size;
	le16 csum_start;
	le16 csum_offset;
	le16 num_buffers;
};
static_assert(sizeof(struct virtio_net_hdr) == 12, "5.1.6");

/* The rings of one queue pair, 5.1.2 */
enum { VIRTIO_NET_RX, VIRTIO_NET_TX, VIRTIO_NET_RINGS };
