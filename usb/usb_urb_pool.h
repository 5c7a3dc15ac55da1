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
#include "usb/usb_urb.h"

#define USB_URB_SETUP_SIZE 8	       /* room in front of each buffer */
#define USB_URB_POOL_KEEP  (2u << 20)  /* bytes of idle buffers that are kept */
#define USB_URB_KEEP	   512	       /* idle URBs that are kept */
#define USB_URB_MAX_BYTES  (16u << 20) /* of one buffer */
#define USB_URB_CLASSES	   9

struct usb_urb_pool {
	struct list idle; /* of usb_urb.link */
	unsigned n_idle;
	void *buffers[USB_URB_CLASSES]; /* idle ones, each beginning with a pointer to the next */
	size_t kept;			/* bytes of them */
	unsigned n_live;		/* URBs that are out */
	size_t live_bytes;		/* bytes of their buffers */
};

void usb_urb_pool_init(struct usb_urb_pool *pool);
void usb_urb_pool_deinit(struct usb_urb_pool *pool);
struct usb_urb *usb_urb_pool_take(struct usb_urb_pool *pool);
void usb_urb_pool_give(struct usb_urb_pool *pool, struct usb_urb *urb);
size_t usb_urb_pool_cost(size_t size);
int usb_urb_pool_add_data(struct usb_urb_pool *pool, struct usb_urb *urb, size_t size);
int usb_urb_pool_add_packets(struct usb_urb_pool *pool, struct usb_urb *urb, unsigned n);
void usb_urb_pool_drop_data(struct usb_urb_pool *pool, struct usb_urb *urb);

#define USB_URB_TABLE_SIZE 512

struct usb_urb_table {
	struct usb_urb *buckets[USB_URB_TABLE_SIZE];
};

struct usb_urb *usb_urb_table_find(const struct usb_urb_table *table, uint32_t seqnum);
void usb_urb_table_add(struct usb_urb_table *table, struct usb_urb *urb);
void usb_urb_table_remove(struct usb_urb_table *table, struct usb_urb *urb);
