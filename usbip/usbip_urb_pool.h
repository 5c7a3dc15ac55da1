/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session's URBs and their memory, kept for the next ones; and the table that finds a URB by its
 * seqnum.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "usbip/usbip_urb.h"

#define USBIP_URB_POOL_KEEP (2u << 20)	/* bytes of idle buffers that are kept */
#define USBIP_URB_KEEP	    512		/* idle URBs that are kept */
#define USBIP_URB_MAX_BYTES (16u << 20) /* of one buffer */
#define USBIP_URB_CLASSES   9

struct usbip_urb_pool {
	struct list idle; /* of usbip_urb.link */
	unsigned n_idle;
	void *buffers[USBIP_URB_CLASSES]; /* idle ones, each beginning with a pointer to the next */
	size_t kept;			  /* bytes of them */
	unsigned n_live;		  /* URBs that are out */
	size_t live_bytes;		  /* bytes of their buffers */
};

void usbip_urb_pool_init(struct usbip_urb_pool *pool);
void usbip_urb_pool_deinit(struct usbip_urb_pool *pool);
struct usbip_urb *usbip_urb_pool_take(struct usbip_urb_pool *pool);
void usbip_urb_pool_give(struct usbip_urb_pool *pool, struct usbip_urb *urb);
size_t usbip_urb_pool_cost(size_t size);
int usbip_urb_pool_add_data(struct usbip_urb_pool *pool, struct usbip_urb *urb, size_t size);
int usbip_urb_pool_add_packets(struct usbip_urb_pool *pool, struct usbip_urb *urb, unsigned n);
void usbip_urb_pool_drop_data(struct usbip_urb_pool *pool, struct usbip_urb *urb);

#define USBIP_URB_TABLE_SIZE 512

struct usbip_urb_table {
	struct usbip_urb *buckets[USBIP_URB_TABLE_SIZE];
};

struct usbip_urb *usbip_urb_table_find(const struct usbip_urb_table *table, uint32_t seqnum);
void usbip_urb_table_add(struct usbip_urb_table *table, struct usbip_urb *urb);
void usbip_urb_table_remove(struct usbip_urb_table *table, struct usbip_urb *urb);
