/* SPDX-License-Identifier: BSD-2-Clause */
/* Unmounting a device's disks; see unmount.h. */
#include "ctl/unmount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/log.h"

#define MOUNTS_MAX 1024

struct mounted {
	char *path;
	const struct disk_node *node;
	uint64_t mount;
	unsigned at; /* in the list that was read: later ones may lie on earlier ones */
};

struct found {
	const struct disk_tree *tree;
	struct mounted *mounts;
	unsigned n;
	char swap[64];	/* the node of swap space */
	char held[200]; /* what is made of a disk, in words */
};

static void found_deinit(struct found *f)
{
	for (unsigned i = 0; i < f->n; i++)
		free(f->mounts[i].path);
	free(f->mounts);
}

/* ------------------------------------------------------------- looking */

static int note_use(void *ctx, enum disk_use use, const struct disk_node *node, const char *path,
		    uint64_t mount)
{
	struct found *f = ctx;
	struct mounted *more;

	if (use == DISK_SWAP) {
		snprintf(f->swap, sizeof(f->swap), "/dev/%s", node->name);
		return 0;
	}
	if (use == DISK_HELD) {
		if (!f->held[0])
			disk_use_text(f->tree, use, node, path, f->held, sizeof(f->held));
		return 0;
	}
	if (f->n == MOUNTS_MAX)
		return -E2BIG;
	more = realloc(f->mounts, (f->n + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	f->mounts = more;
	more[f->n] =
		(struct mounted){.path = strdup(path), .node = node, .mount = mount, .at = f->n};
	if (!more[f->n].path)
		return -ENOMEM;
	f->n++;
	return 0;
}

/* The deepest first; of two in one place, the one that lies on the other. */
static int by_depth(const void *a, const void *b)
{
	const struct mounted *x = a, *y = b;
	size_t m = strlen(x->path), n = strlen(y->path);

	if (m != n)
		return m > n ? -1 : 1;
	return x->at > y->at ? -1 : 1;
}

static int look(const struct unmount_host *host, const struct disk_tree *tree, struct found *f)
{
	FILE *mountinfo = fopen(host->mountinfo, "re"), *swaps = fopen(host->swaps, "re");
	int r = mountinfo ? 0 : -errno;

	*f = (struct found){.tree = tree};
	if (r == 0)
		r = disk_uses(tree, mountinfo, swaps, note_use, f);
	if (mountinfo)
		fclose(mountinfo);
	if (swaps)
		fclose(swaps);
	if (f->n)
		qsort(f->mounts, f->n, sizeof(*f->mounts), by_depth);
	return r;
}

/* ------------------------------------------------------------- unmounting */

extern char **environ;

static int64_t mount_at(const char *path)
{
	struct statx at;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_MNT_ID, &at) < 0 ||
	    !(at.stx_mask & STATX_MNT_ID))
		return -1;
	return (int64_t)at.stx_mnt_id;
}

/* Without a shell, and without questions: the device's user may be a script. */
static bool ask_udisks(const char *node)
{
	char *const words[] = {
		(char *)"udisksctl", (char *)"unmount", (char *)"--no-user-interaction",
		(char *)"-b",	     (char *)node,	NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int r, status = 0;
	sigset_t pipe;
	pid_t pid;

	if (posix_spawn_file_actions_init(&actions))
		return false;
	if (posix_spawnattr_init(&attr)) {
		posix_spawn_file_actions_destroy(&actions);
		return false;
	}
	/* A pipe that ends is ignored here (output_init()), and need not be there. */
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	posix_spawnattr_setsigdefault(&attr, &pipe);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
	r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	/* Standard output is the reply's alone. */
	if (!r)
		r = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY,
						     0);
	if (!r)
		r = posix_spawnp(&pid, words[0], &actions, &attr, words, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	if (r)
		return false;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static enum status unmount_one(const struct unmount_host *host, const struct mounted *m, bool quiet)
{
	char node[64], said[PATH_MAX + 64];

	int64_t there = host->mount_at(m->path);

	/* umount(2) takes the uppermost mount at a path, whoever made it. */
	if (there >= 0 && (uint64_t)there != m->mount) {
		ctl_error("busy", "%s can't be unmounted from %s: something else is mounted on it",
			  m->node->name, m->path);
		ctl_try("findmnt %s", m->path);
		return STATUS_BUSY;
	}
	snprintf(node, sizeof(node), "/dev/%s", m->node->name);
	if (host->umount(m->path, UMOUNT_NOFOLLOW) < 0) {
		switch (errno) {
		case EINVAL:
		case ENOENT:
			return STATUS_DONE; /* somebody was faster */
		case EBUSY:
			ctl_error("busy", "%s can't be unmounted from %s: programs use it",
				  m->node->name, m->path);
			ctl_try("fuser -vm %s", m->path);
			return STATUS_BUSY;
		case EPERM:
		case EACCES:
			if (host->ask_udisks(node))
				break;
			ctl_error("denied", "%s can't be unmounted from %s: you may not",
				  m->node->name, m->path);
			ctl_try("sudo umount %s", m->path);
			return STATUS_DENIED;
		default:
			ctl_error("failed", "%s can't be unmounted from %s: %s", m->node->name,
				  m->path, errno_text(errno));
			return STATUS_FAILED;
		}
	}
	if (!quiet) {
		snprintf(said, sizeof(said), "%s: unmounted from %s", m->node->name, m->path);
		ctl_print_clean(said);
	}
	return STATUS_DONE;
}

/* Uses that unmounting does not end are told before anything is unmounted. */
static enum status refuse(const struct found *f)
{
	if (f->swap[0]) {
		ctl_error("busy", "%s is swap space of the host", f->swap);
		ctl_try("sudo swapoff %s", f->swap);
		return STATUS_BUSY;
	}
	if (f->held[0]) {
		ctl_error(
			"busy",
			"%s, which unmounting does not change; close that first (by cryptsetup close, vgchange -an or mdadm --stop)",
			f->held);
		return STATUS_BUSY;
	}
	return STATUS_DONE;
}

static bool busid_sound(const char *busid)
{
	return *busid && strspn(busid, "0123456789-.") == strlen(busid) && strlen(busid) < 32 &&
	       *busid != '.';
}

/**
 * unmount_device_of() - unmount a device's disks, on a host that is given
 * @host:	where to look, and how to unmount
 * @busid:	the kernel's name of the device's port
 * @quiet:	say nothing on standard output
 *
 * Return: STATUS_DONE where nothing of it is mounted any more that can be seen from here, or
 * nothing was; else the exit status, and it has been said why.
 */
enum status unmount_device_of(const struct unmount_host *host, const char *busid, bool quiet)
{
	_cleanup_(found_deinit) struct found f = {0};
	enum status status;
	struct disk_tree tree;
	char path[PATH_MAX];
	int r = -EINVAL;

	snprintf(path, sizeof(path), "%s/bus/usb/devices/%s", host->sysfs, busid);
	if (busid_sound(busid))
		r = disk_tree_read(&tree, host->sysfs, path);
	if (r == -ENODEV)
		return STATUS_DONE; /* unplugged, or on another machine: the daemon tells */
	if (r == 0)
		r = look(host, &tree, &f);
	if (r < 0) {
		ctl_error("failed", "what is mounted of the device at %s can't be found out: %s",
			  busid, errno_text(r));
		return STATUS_FAILED;
	}
	status = refuse(&f);
	for (unsigned i = 0; !status && i < f.n; i++)
		status = unmount_one(host, &f.mounts[i], quiet);
	return status;
}

/**
 * unmount_device() - unmount a device's disks on this host
 * @busid:	the kernel's name of the device's port, as the daemon's Show tells
 * @quiet:	say nothing on standard output
 *
 * Return: as unmount_device_of().
 */
enum status unmount_device(const char *busid, bool quiet)
{
	static const struct unmount_host host = {
		.sysfs = "/sys",
		.mountinfo = "/proc/self/mountinfo",
		.swaps = "/proc/swaps",
		.mount_at = mount_at,
		.umount = umount2,
		.ask_udisks = ask_udisks,
	};

	return unmount_device_of(&host, busid, quiet);
}

/**
 * unmount_first() - what `--unmount` does before a command about a device is sent
 * @ctl:	the run
 * @device:	the device, in the caller's words
 *
 * Return: STATUS_DONE, also where it is not plugged in; else the exit status, and it has been said
 * why.
 */
enum status unmount_first(struct ctl *ctl, const char *device)
{
	_cleanup_(client_answer_deinit) struct client_answer answer;
	enum status status =
		ctl_call(ctl,
			 &(struct client_ask){.method = "io.usbrouted.Show",
					      .parameters = json_pack("{s:s}", "device", device)},
			 &answer);
	const char *busid;

	if (status)
		return status;
	busid = ctl_text(json_object_get(answer.parameters, "device"), "busid");
	return *busid ? unmount_device(busid, ctl->json) : STATUS_DONE;
}
