/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's memory for programs' URBs: how much of it one guest may hold. All bounds are here.
 *
 * usbfs counts the bytes of all URBs that programs have submitted and not reaped, over all devices
 * and programs of the host, and refuses one with ENOMEM that would exceed usbfs_memory_mb (16 MiB
 * unless set otherwise). A URB that waits for a device that never answers holds its bytes for ever.
 * So each guest has a share, and an account that all of its devices are charged to:
 *
 *	12/16 of the limit	for all URBs, in equal parts for all guests
 *	 3/16			the reserve: for small URBs alone, in equal parts for all guests
 *	 1/16			for calls of ours that are no guest's, and for other programs
 *
 * A small URB that finds its part of the reserve full is charged like a large one.
 *
 * Only its guest's thread uses an account. Its share may be set from any thread, and may become
 * less than what is charged: then nothing more is charged until enough has come back.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct usb_urb;

#define USB_MEMORY_LIMIT_MB	      16   /* usbfs_memory_mb, where it can't be read */
#define USB_MEMORY_SMALL	      4096 /* bytes of the buffer of a URB that may use the reserve */
#define USB_MEMORY_SIXTEENTHS_LARGE   12
#define USB_MEMORY_SIXTEENTHS_RESERVE 3
/* A guest's part is never less than this: Linux reads 1 MiB from a disk in one URB. So with more
 * than 10 guests and 16 MiB the reserve is no longer safe; see usb_memory_wanted_mb(). */
#define USB_MEMORY_LARGE_LEAST (9u << 17)
#define USB_MEMORY_SMALL_LEAST (128u << 10)

/* Of one guest, in bytes. */
struct usb_memory_share {
	uint64_t large, small;
};

/* An account. {0} has no share yet, and nothing fits. */
struct usb_memory {
	_Atomic uint64_t share_large, share_small;
	uint64_t large, small; /* charged now */
	uint64_t n_freed;      /* how often there has come to be more room */
};

struct usb_memory_share usb_memory_share(unsigned limit_mb, unsigned n_guests);
unsigned usb_memory_wanted_mb(unsigned n_guests);
unsigned usb_memory_read_limit(void);

void usb_memory_set_share(struct usb_memory *memory, const struct usb_memory_share *share);
void usb_memory_room(struct usb_memory *memory);
int usb_memory_charge(struct usb_memory *memory, struct usb_urb *urb);
void usb_memory_release(struct usb_memory *memory, struct usb_urb *urb);
