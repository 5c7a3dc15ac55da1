/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A link: how the frames of two guests' cards cross from one process to the other.
 *
 * Control makes it: one memory file of fixed size, which nobody can cut off any more, and two
 * eventfds, one that wakes each side. Each side maps the memory. In it lies a ring of bytes each
 * way; a ring has one writer and one reader, and a word for each of them that only it writes: how
 * far it is, in bytes, modulo 2^32. A frame is a record: its length, its virtio-net header, its
 * bytes, and nothing up to the next multiple of NET_LINK_ALIGN.
 *
 * Neither side trusts the other, which may write anything anywhere at any time. Each keeps its own
 * position in memory of its own, and reads the other's word once. An impossible value breaks the
 * link (`fault`): it carries nothing from then on, and nothing else happens. The reader judges what
 * a frame says, on a copy of its own.
 *
 * Nobody waits: if there is no room, the writer drops the frame. A reader that has read everything
 * says that it sleeps; the writer wakes it once.
 *
 * A struct net_link is one side's, and used by one thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vhost_user_net/virtio_spec.h"

/* Bytes that a ring holds; a power of two. */
#define NET_LINK_RING (1u << 20)

#define NET_LINK_ALIGN 16u

/* One way's words. */
struct net_link_way {
	_Alignas(64) _Atomic uint32_t tail; /* the writer's: all before it is written */
	_Alignas(64) _Atomic uint32_t head; /* the reader's: all before it is read */
	_Atomic uint32_t asleep; /* the reader's: another number for each sleep; 0: awake */
};

/* What both sides map. Side 0 writes way 0, and side 1 way 1. */
struct net_link_memory {
	struct net_link_way way[2];
	_Alignas(4096) uint8_t bytes[2][NET_LINK_RING];
};

struct net_link_record {
	uint32_t len; /* of the frame, without the header */
	struct virtio_net_hdr hdr;
};
static_assert(sizeof(struct net_link_record) == NET_LINK_ALIGN, "a record's head never wraps");

struct net_link {
	struct net_link_memory *memory; /* NULL: no link */
	struct net_link_way *out, *in;
	uint8_t *out_bytes;
	const uint8_t *in_bytes;
	const char *fault; /* what the other side did that can't be; a literal */

	uint32_t tail;	    /* written up to here … */
	uint32_t shown;	    /* … and the other side knows up to here */
	uint32_t head_seen; /* the other side's, as last read */
	uint32_t woken;	    /* the sleep that it was woken from last */
	bool looked;	    /* whether it sleeps was looked at since something was shown */

	uint32_t head;	    /* read up to here */
	uint32_t tail_seen; /* the other side's, as last read */
	uint32_t peeked;    /* bytes of the record that was peeked at */
	uint32_t sleeps;
	bool asleep;
};

/* A frame that has come: virtio-net header, then its bytes, in shared memory. */
struct net_link_frame {
	size_t len; /* both together */
	struct iovec segs[2];
	unsigned n_segs;
};

/* Outcomes of net_link_send(), beside 0. */
enum { NET_LINK_FULL = 1 };

/* What one side is made of. */
struct net_link_end {
	int memory;
	int mine, theirs; /* what wakes this side, and the other */
};

int net_link_make(int *ret_memory, int ret_wake[2]);
int net_link_make_ends(struct net_link_end ret_ends[2]);

int net_link_open(struct net_link *link, int memory, unsigned side);
void net_link_on(struct net_link *link, struct net_link_memory *memory, unsigned side);
void net_link_close(struct net_link *link);

int net_link_send(struct net_link *link, const struct virtio_net_hdr *hdr,
		  const struct iovec *parts, unsigned n_parts, size_t len);
void net_link_show(struct net_link *link);
bool net_link_wakes(struct net_link *link);

int net_link_peek(struct net_link *link, struct net_link_frame *ret_frame);
void net_link_take(struct net_link *link);
bool net_link_sleep(struct net_link *link);
void net_link_skip(struct net_link *link);
