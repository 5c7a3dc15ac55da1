/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session's URBs and their memory; one thread, the session's.
 *
 * Buffers come in classes of size (512 bytes, then times four up to 16 MiB), so that a guest with
 * similar requests finds a fitting one each time, and no URB costs an allocation in steady state.
 * There is a bound for idle buffers; above it they go back to the heap. A URB keeps its transfer,
 * which is at most 12 KiB large, for 1024 isochronous packets. A pool belongs to one session, so a
 * buffer never carries one client's bytes to another.
 *
 * The memory is the heap's, and not libusb_dev_mem_alloc()'s, which saves the kernel's copy. That
 * was tried in the lab with usbtest 1 and 2 through the route, in three alternating rounds. IN:
 * 0.99 (64 KiB), 1.04 (256 KiB), 1.01 (1 MiB) of the heap's CPU time, OUT: 1.03, 0.94, 0.89; the
 * copies are a small part of what a megabyte costs. And such memory has to be in one piece, counts
 * against usbfs_memory_mb for as long as the buffer is kept, and is uncached if USB isn't coherent
 * with the CPUs (devio.c: usbdev_mmap takes usb_alloc_coherent's), so that each byte of an IN would
 * be slow to send on.
 */
#include "usbip/usbip_urb_pool.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* In front of a buffer's bytes; the setup packet of a control transfer is its end. */
#define HEADROOM 64
static_assert(HEADROOM >= USB_URB_SETUP_SIZE, "room for the setup packet");
static_assert(HEADROOM % alignof(struct usb_packet) == 0, "packets are aligned");

static const size_t class_size[USBIP_URB_CLASSES] = {
	512, 2048, 8192, 32768, 131072, 512 << 10, 1088 << 10, 4 << 20, USBIP_URB_MAX_BYTES,
};

static unsigned class_of(size_t size)
{
	unsigned c = 0;

	while (c < USBIP_URB_CLASSES - 1 && class_size[c] < size)
		c++;
	return c;
}

/**
 * usbip_urb_pool_init() - an empty pool
 * @pool:	the pool
 */
void usbip_urb_pool_init(struct usbip_urb_pool *pool)
{
	memset(pool, 0, sizeof(*pool));
	list_init(&pool->idle);
}

static void urb_free(struct usbip_urb *urb)
{
	usb_urb_drop_transfer(&urb->usb);
	free(urb);
}

/**
 * usbip_urb_pool_deinit() - free all that lies idle
 * @pool:	the pool; no URB is out
 */
void usbip_urb_pool_deinit(struct usbip_urb_pool *pool)
{
	struct list *l;

	assert(pool->n_live == 0);
	while ((l = list_pop(&pool->idle)))
		urb_free(list_entry(l, struct usbip_urb, link));
	for (unsigned c = 0; c < USBIP_URB_CLASSES; c++) {
		while (pool->buffers[c]) {
			void *raw = pool->buffers[c];

			memcpy(&pool->buffers[c], raw, sizeof(void *));
			free(raw);
		}
	}
	pool->kept = 0;
}

/* NULL where there is no memory. */
static uint8_t *buffer_take(struct usbip_urb_pool *pool, unsigned c)
{
	uint8_t *raw = pool->buffers[c];

	if (raw) {
		memcpy(&pool->buffers[c], raw, sizeof(void *));
		pool->kept -= class_size[c];
	} else {
		raw = malloc(HEADROOM + class_size[c]);
		if (!raw)
			return NULL;
	}
	pool->live_bytes += class_size[c];
	return raw + HEADROOM;
}

static void buffer_give(struct usbip_urb_pool *pool, uint8_t *data, unsigned c)
{
	void *raw = data - HEADROOM;

	pool->live_bytes -= class_size[c];
	if (class_size[c] > USBIP_URB_POOL_KEEP - min_t(size_t, pool->kept, USBIP_URB_POOL_KEEP)) {
		free(raw);
		return;
	}
	memcpy(raw, &pool->buffers[c], sizeof(void *));
	pool->buffers[c] = raw;
	pool->kept += class_size[c];
}

/**
 * usbip_urb_pool_take() - a URB for a header that came
 * @pool:	the pool
 *
 * Return: the URB, ARRIVING, all fields zero but its transfer; without buffers. NULL without
 * memory.
 */
struct usbip_urb *usbip_urb_pool_take(struct usbip_urb_pool *pool)
{
	struct list *l = list_pop(&pool->idle);
	struct usbip_urb *urb;

	if (l) {
		urb = list_entry(l, struct usbip_urb, link);
		pool->n_idle--;
		*urb = (struct usbip_urb){.usb = usb_urb_anew(&urb->usb)};
	} else {
		urb = calloc(1, sizeof(*urb));
		if (!urb)
			return NULL;
	}
	list_init(&urb->link);
	list_init(&urb->usb.device_link);
	urb->state = USBIP_URB_IDLE;
	usbip_urb_advance(urb, USBIP_URB_ARRIVE);
	pool->n_live++;
	return urb;
}

/**
 * usbip_urb_pool_give() - take a URB back
 * @pool:	the pool it is from
 * @urb:	the URB, IDLE, in no list and no table
 */
void usbip_urb_pool_give(struct usbip_urb_pool *pool, struct usbip_urb *urb)
{
	assert(urb->state == USBIP_URB_IDLE);
	usbip_urb_pool_drop_data(pool, urb);
	if (urb->usb.packets)
		buffer_give(pool, (uint8_t *)urb->usb.packets, urb->packets_class);
	urb->usb.packets = NULL;
	pool->n_live--;
	if (pool->n_idle >= USBIP_URB_KEEP) {
		urb_free(urb);
		return;
	}
	/* The last one used is the next one taken: its memory is still in the cache. */
	list_append(pool->idle.next, &urb->link);
	pool->n_idle++;
}

/**
 * usbip_urb_pool_cost() - what a buffer counts for
 * @size:	bytes wanted, at most USBIP_URB_MAX_BYTES
 *
 * Return: bytes that are charged.
 */
size_t usbip_urb_pool_cost(size_t size)
{
	return class_size[class_of(size)];
}

/**
 * usbip_urb_pool_add_data() - give a URB a buffer for its data
 * @pool:	the pool it is from
 * @urb:	the URB, without one
 * @size:	bytes, at most USBIP_URB_MAX_BYTES; 0 is fine: control requests need the room in front
 *
 * Return: 0; -ENOMEM.
 */
int usbip_urb_pool_add_data(struct usbip_urb_pool *pool, struct usbip_urb *urb, size_t size)
{
	assert(size <= USBIP_URB_MAX_BYTES && !urb->usb.data);
	urb->data_class = class_of(size);
	urb->usb.data = buffer_take(pool, urb->data_class);
	return urb->usb.data ? 0 : -ENOMEM;
}

/**
 * usbip_urb_pool_add_packets() - give a URB room for its packets
 * @pool:	the pool it is from
 * @urb:	the URB, without that
 * @n:		how many
 *
 * Return: 0; -ENOMEM.
 */
int usbip_urb_pool_add_packets(struct usbip_urb_pool *pool, struct usbip_urb *urb, unsigned n)
{
	size_t size = n * sizeof(*urb->usb.packets);

	assert(size <= USBIP_URB_MAX_BYTES && !urb->usb.packets);
	urb->packets_class = class_of(size);
	/* HEADROOM keeps what malloc() aligned. */
	urb->usb.packets = (void *)buffer_take(pool, urb->packets_class);
	return urb->usb.packets ? 0 : -ENOMEM;
}

/**
 * usbip_urb_pool_drop_data() - take a URB's data buffer back, the URB stays
 * @pool:	the pool it is from
 * @urb:	the URB
 */
void usbip_urb_pool_drop_data(struct usbip_urb_pool *pool, struct usbip_urb *urb)
{
	if (urb->usb.data)
		buffer_give(pool, urb->usb.data, urb->data_class);
	urb->usb.data = NULL;
}

/* Linux counts seqnums up, Windows keeps the direction in the lowest bit: spread both. */
static unsigned bucket_of(uint32_t seqnum)
{
	return (seqnum * 2654435761u) >> 16 & (USBIP_URB_TABLE_SIZE - 1);
}

/**
 * usbip_urb_table_find() - the URB of a seqnum
 * @table:	the table
 * @seqnum:	as the client chose it
 *
 * Return: the URB, or NULL.
 */
struct usbip_urb *usbip_urb_table_find(const struct usbip_urb_table *table, uint32_t seqnum)
{
	struct usbip_urb *urb = table->buckets[bucket_of(seqnum)];

	while (urb && urb->seqnum != seqnum)
		urb = urb->next_by_seqnum;
	return urb;
}

/**
 * usbip_urb_table_add() - put a URB in
 * @table:	the table
 * @urb:	the URB, whose seqnum isn't there
 */
void usbip_urb_table_add(struct usbip_urb_table *table, struct usbip_urb *urb)
{
	struct usbip_urb **bucket = &table->buckets[bucket_of(urb->seqnum)];

	urb->next_by_seqnum = *bucket;
	*bucket = urb;
}

/**
 * usbip_urb_table_remove() - take a URB out
 * @table:	the table
 * @urb:	the URB; it need not be in
 */
void usbip_urb_table_remove(struct usbip_urb_table *table, struct usbip_urb *urb)
{
	struct usbip_urb **p = &table->buckets[bucket_of(urb->seqnum)];

	while (*p && *p != urb)
		p = &(*p)->next_by_seqnum;
	if (*p)
		*p = urb->next_by_seqnum;
	urb->next_by_seqnum = NULL;
}
