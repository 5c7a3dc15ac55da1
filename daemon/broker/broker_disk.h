/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device's disks, kept from being used by the host while the device is being taken from it.
 *
 * An exclusive open of a block device is a claim, and the kernel gives one at a time: file systems,
 * swap, LVM and RAID claim what they use, in whatever namespace they are. So the open tells whether
 * a disk is in use, and as long as it lasts nobody can begin to use it.
 *
 * It is enough to open whole disks. A claim of a partition marks the whole disk as one of which a
 * partition is claimed, so that the disk can't be claimed; and of a claimed disk no partition can
 * be (Linux, block/bdev.c: bd_may_claim(), bd_finish_claiming()). The open needs the right to open
 * the node and no other.
 *
 * It does not find a program that reads or writes a disk without claiming it, as `dd` does, or a
 * disk that appears between this and the claim of the device, as a stick's does a second after it
 * was plugged in.
 */
#pragma once

#include <stddef.h>

#include "base/disk.h"

struct broker_disks {
	int fds[DISKS_MAX];
	unsigned n;
};

int broker_disks_claim(struct broker_disks *disks, const char *device, char *text, size_t size);
void broker_disks_release(struct broker_disks *disks);
void broker_disks_keep(struct broker_disks *disks, int guard);
