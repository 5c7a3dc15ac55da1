/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `--unmount`: unmount a device's disks before the device is given away.
 *
 * It is done here, with the caller's rights, and never by the daemon: not everybody who may route a
 * device may unmount a disk. Nothing is unmounted by force or lazily: a file system that is
 * in use stays, and so does the device. Mounts in other namespaces are not seen here; the
 * daemon tells of them.
 */
#pragma once

#include <stdint.h>

#include "ctl/ctl.h"

/* Where to look at the host; tests have another one. */
struct unmount_host {
	const char *sysfs, *mountinfo, *swaps;
	int64_t (*mount_at)(const char *path); /* the number of the uppermost mount; -1: unknown */
	int (*umount)(const char *path, int flags); /* umount2(2) */
	bool (*ask_udisks)(const char *node);	    /* false: it is not there, or refused */
};

enum status unmount_first(struct ctl *ctl, const char *device);
enum status unmount_device(const char *busid, bool quiet);
enum status unmount_device_of(const struct unmount_host *host, const char *busid, bool quiet);
