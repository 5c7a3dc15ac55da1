/* SPDX-License-Identifier: BSD-2-Clause */
/* Disks that are being taken from the host; see broker_disk.h. */
#include "daemon/broker/broker_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"

#define SYSFS "/sys"
/* Opening and claiming a device takes no longer, or has failed by then. */
#define KEEP_MS 30000
/* As much as fits an answer, with the words before it. */
#define USE_MAX 120

struct first_use {
	const struct disk_tree *tree;
	char text[USE_MAX];
};

static int take_first(void *ctx, enum disk_use use, const struct disk_node *node, const char *path,
		      uint64_t mount)
{
	struct first_use *first = ctx;

	disk_use_text(first->tree, use, node, path, first->text, sizeof(first->text));
	return 1;
}

/* What a claimed disk is used for, as far as it can be seen from here. */
static void say_use(const struct disk_tree *tree, const struct disk_node *disk, char *text,
		    size_t size)
{
	struct first_use first = {.tree = tree};
	FILE *mountinfo = fopen("/proc/self/mountinfo", "re"), *swaps = fopen("/proc/swaps", "re");

	if (disk_uses(tree, mountinfo, swaps, take_first, &first))
		snprintf(text, size, "in use on the host: %s", first.text);
	else
		snprintf(
			text, size,
			"in use on the host: %s has been claimed by a program, or in another namespace",
			disk->name);
	if (mountinfo)
		fclose(mountinfo);
	if (swaps)
		fclose(swaps);
}

/*
 * Errors of the drive, and not of the claim, which comes first: no medium, gone, broken. Nobody
 * uses such a disk, as long as it stays so; and a guest must be able to have a broken one.
 */
static bool drive_says_no(int error)
{
	return error == ENOMEDIUM || error == EMEDIUMTYPE || error == ENXIO || error == ENODEV ||
	       error == EIO || error == ETIMEDOUT;
}

/* The claim of one disk: its node, -1 where the drive gives none; or a negative errno. */
static int claim_disk(const struct disk_node *disk, int *ret_fd)
{
	/* Not blocking: a drive's tray is not drawn in, and no medium is waited for. */
	int flags = O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;
	_cleanup_close_ int fd = -1;
	struct stat st;
	char path[64];

	*ret_fd = -1;
	snprintf(path, sizeof(path), "/dev/%s", disk->name);
	/* Names of folders are written with "!" in sysfs. */
	for (char *p = path; (p = strchr(p, '!'));)
		*p = '/';
	fd = open(path, flags);
	if (fd < 0)
		return drive_says_no(errno) ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISBLK(st.st_mode) || st.st_rdev != makedev(disk->major, disk->minor))
		return -EINVAL;
	*ret_fd = take_fd(&fd);
	return 0;
}

/**
 * broker_disks_claim() - claim all disks of a device, or say why not
 * @disks:	filled in; n is 0 where there is nothing to claim, or this fails
 * @device:	the device's folder in sysfs, or a link to it
 * @text:	what went wrong, for a person
 * @size:	room there
 *
 * Return: 0, -EBUSY where one is in use (and @text says where), -ENODEV where the device has gone,
 * or another negative errno where it can't be found out.
 */
int broker_disks_claim(struct broker_disks *disks, const char *device, char *text, size_t size)
{
	_cleanup_free_ struct disk_tree *tree = malloc(sizeof(*tree));
	int r = -ENOMEM;

	disks->n = 0;
	snprintf(text, size, "looking for its disks");
	if (tree)
		r = disk_tree_read(tree, SYSFS, device);
	for (unsigned i = 0; r == 0 && i < tree->n; i++) {
		int fd;

		if (tree->nodes[i].on >= 0)
			continue;
		r = claim_disk(&tree->nodes[i], &fd);
		if (fd >= 0)
			disks->fds[disks->n++] = fd;
		if (r == -EBUSY)
			say_use(tree, &tree->nodes[i], text, size);
		else if (r < 0)
			snprintf(text, size, "whether its disk %s is in use can't be seen",
				 tree->nodes[i].name);
	}
	if (r < 0)
		broker_disks_release(disks);
	return r;
}

/**
 * broker_disks_release() - give up the claims
 * @disks:	of broker_disks_claim(); empty afterwards
 */
void broker_disks_release(struct broker_disks *disks)
{
	while (disks->n)
		fd_close(disks->fds[--disks->n]);
}

/**
 * broker_disks_keep() - keep the claims for a while, then give them up
 * @disks:	of broker_disks_claim(); empty afterwards
 * @guard:	our end of a pipe whose other end the daemon has: when that end is closed, or after
 *		KEEP_MS, the claims are given up
 *
 * A claim is an open like others: the drivers can be taken off the device meanwhile.
 */
void broker_disks_keep(struct broker_disks *disks, int guard)
{
	struct pollfd end = {.fd = guard};

	while (poll(&end, 1, KEEP_MS) < 0 && errno == EINTR)
		;
	broker_disks_release(disks);
}
