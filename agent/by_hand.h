/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who detaches in this guest: this program, or somebody by hand.
 *
 * `usbip detach` removes the port's file, then writes the port to vhci-hcd's file `detach` (Linux,
 * tools/usb/usbip/src/usbip_detach.c); others only write. inotify(7) tells of writes to that file,
 * whoever writes. A connection that dies by itself causes none: so a device that leaves its port
 * without such a write was not detached by hand.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct by_hand {
	int fd, watch;		/* of inotify; < 0: none */
	uint64_t unnamed_until; /* somebody wrote, and no port's file was missing */
};

struct agent;

void by_hand_init(struct by_hand *hand);
void by_hand_deinit(struct by_hand *hand);
void by_hand_watch(struct by_hand *hand, const char *vhci_folder);
bool by_hand_news(struct by_hand *hand);
void by_hand_forget(struct by_hand *hand);
