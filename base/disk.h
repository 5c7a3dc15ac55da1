/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks of a USB device, and what the host uses them for: what sysfs, /proc/self/mountinfo and
 * /proc/swaps say. Nothing is opened but these files, and nothing is changed.
 *
 * It says where a disk is used, for people and for unmounting. It can't say that a disk is not
 * used: another namespace's mounts are not seen here. An exclusive open can say that
 * (daemon/broker/broker_disk.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define DISKS_MAX      16  /* whole disks of one device: slots of a card reader */
#define DISK_NODES_MAX 128 /* these, their partitions, and what is made of them */

/* A block device that is a disk, a partition, or made of one (LVM, LUKS, RAID). */
struct disk_node {
	char name[32];	/* the kernel's: "sda", "sda1", "dm-0" */
	char label[64]; /* the device mapper's name, "" where it has none */
	unsigned major, minor;
	int on;	     /* index of what it lies on; -1: a whole disk of the device */
	bool holder; /* made of what it lies on, and no partition of it */
};

struct disk_tree {
	struct disk_node nodes[DISK_NODES_MAX]; /* each after what it lies on */
	unsigned n;
};

enum disk_use { DISK_MOUNTED = 1, DISK_SWAP, DISK_HELD };

/**
 * typedef disk_use_fn - a use was found
 * @ctx:	as given
 * @use:	what for
 * @node:	what is used
 * @path:	DISK_MOUNTED: where; else ""
 * @mount:	DISK_MOUNTED: the mount's number (statx(2): stx_mnt_id), which tells it from one
 *		that lies on it; else 0
 *
 * Return: 0 to go on, else what disk_uses() is to return.
 */
typedef int (*disk_use_fn)(void *ctx, enum disk_use use, const struct disk_node *node,
			   const char *path, uint64_t mount);

int disk_tree_read(struct disk_tree *tree, const char *sysfs, const char *device);
int disk_uses(const struct disk_tree *tree, FILE *mountinfo, FILE *swaps, disk_use_fn fn,
	      void *ctx);
void disk_use_text(const struct disk_tree *tree, enum disk_use use, const struct disk_node *node,
		   const char *path, char *text, size_t size);
