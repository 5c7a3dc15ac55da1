/* SPDX-License-Identifier: BSD-2-Clause */
/* Shares and accounts of the kernel's memory for URBs; see usb_memory.h. */
#include "usb/usb_memory.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "usb/usb_urb.h"

#define LIMIT_FILE "/sys/module/usbcore/parameters/usbfs_memory_mb"

/* For more packets than this libusb makes several URBs (linux_usbfs.c). */
#define PACKETS_PER_PART 128
/*
 * … and, on old kernels, for more bytes than this. A kernel that takes the URB whole has a struct
 * scatterlist for as many bytes (devio.c: USB_SG_SIZE).
 */
#define BYTES_PER_PART 16384
/* What the kernel charges beside a buffer's bytes: a struct async, a struct urb, a struct
 * scatterlist. Less than 400 bytes in Linux 6.1 and 6.12 (devio.c: proc_do_submiturb). */
#define PART_COST 512

static uint64_t cost_of(const struct usb_urb *urb)
{
	uint64_t bytes = urb->type == USB_ISOCHRONOUS ? urb->packets_length : urb->length;
	uint64_t parts = urb->type == USB_ISOCHRONOUS
				 ? (urb->n_packets + PACKETS_PER_PART - 1u) / PACKETS_PER_PART
				 : (bytes + BYTES_PER_PART - 1u) / BYTES_PER_PART;

	return bytes + max_t(uint64_t, parts, 1) * PART_COST;
}

/**
 * usb_memory_share() - what one guest may hold
 * @limit_mb:	the kernel's limit in MiB (usbfs_memory_mb); 0: it has none
 * @n_guests:	how many guests there are
 *
 * Return: the share of each.
 */
struct usb_memory_share usb_memory_share(unsigned limit_mb, unsigned n_guests)
{
	uint64_t sixteenth = ((uint64_t)limit_mb << 20) / 16;
	unsigned n = max_t(unsigned, n_guests, 1);

	if (!limit_mb)
		return (struct usb_memory_share){.large = UINT64_MAX, .small = UINT64_MAX};
	return (struct usb_memory_share){
		.large = max_t(uint64_t, sixteenth * USB_MEMORY_SIXTEENTHS_LARGE / n,
			       USB_MEMORY_LARGE_LEAST),
		.small = max_t(uint64_t, sixteenth * USB_MEMORY_SIXTEENTHS_RESERVE / n,
			       USB_MEMORY_SMALL_LEAST),
	};
}

/**
 * usb_memory_wanted_mb() - the least limit with which no guest can take the reserve
 * @n_guests:	how many guests there are
 *
 * Return: MiB.
 */
unsigned usb_memory_wanted_mb(unsigned n_guests)
{
	unsigned mb = USB_MEMORY_LIMIT_MB;

	while (((uint64_t)mb << 20) / 16 * USB_MEMORY_SIXTEENTHS_LARGE /
		       max_t(unsigned, n_guests, 1) <
	       USB_MEMORY_LARGE_LEAST)
		mb++;
	return mb;
}

/**
 * usb_memory_read_limit() - the kernel's limit
 *
 * Return: MiB, 0 where it has none; the kernel's default where it can't be read.
 */
unsigned usb_memory_read_limit(void)
{
	FILE *f = fopen(LIMIT_FILE, "re");
	unsigned mb;

	if (!f)
		return USB_MEMORY_LIMIT_MB;
	if (fscanf(f, "%u", &mb) != 1)
		mb = USB_MEMORY_LIMIT_MB;
	fclose(f);
	return mb;
}

/**
 * usb_memory_set_share() - say how much a guest may hold
 * @memory:	its account; from any thread, and its own calls usb_memory_room() afterwards
 * @share:	copied
 */
void usb_memory_set_share(struct usb_memory *memory, const struct usb_memory_share *share)
{
	atomic_store(&memory->share_large, share->large);
	atomic_store(&memory->share_small, share->small);
}

/**
 * usb_memory_room() - there may be more room
 * @memory:	the account
 */
void usb_memory_room(struct usb_memory *memory)
{
	memory->n_freed++;
}

static bool fits(uint64_t used, uint64_t cost, uint64_t share)
{
	return used <= share && cost <= share - used;
}

/**
 * usb_memory_charge() - charge a URB before the kernel gets it
 * @memory:	the account
 * @urb:	the URB, as judged; remembers what it was charged
 *
 * Return: 0; -EAGAIN: others of this account have to come back first; -ENOMEM: it is more than the
 * whole share.
 */
int usb_memory_charge(struct usb_memory *memory, struct usb_urb *urb)
{
	uint64_t large = atomic_load(&memory->share_large);
	uint64_t small = atomic_load(&memory->share_small);
	uint64_t cost = cost_of(urb);

	urb->charged_small = urb->length <= USB_MEMORY_SMALL && fits(memory->small, cost, small);
	if (urb->charged_small)
		memory->small += cost;
	else if (fits(memory->large, cost, large))
		memory->large += cost;
	else
		return cost <= large ? -EAGAIN : -ENOMEM;
	urb->charged = cost;
	return 0;
}

/**
 * usb_memory_release() - the kernel has given a URB back, or has not taken it
 * @memory:	the account
 * @urb:	the URB, charged to it
 */
void usb_memory_release(struct usb_memory *memory, struct usb_urb *urb)
{
	if (urb->charged_small)
		memory->small -= urb->charged;
	else
		memory->large -= urb->charged;
	urb->charged = 0;
	usb_memory_room(memory);
}
