/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks in use, on this machine's kernel: a loop device as the disk, which is free, mounted here,
 * in another mount namespace, or by a partition, or claimed by another program. Where there is no
 * right to make and mount loop devices, the whole of it says so and is skipped (status 77).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/loop.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "daemon/broker/broker.h"
#include "daemon/broker/broker_disk.h"
#include "base/sandbox.h"

#define PARTITION_SECTOR 2048
#define SECTORS		 (16 << 11)
#define SKIPPED		 77

struct rig {
	char folder[32], image[48], mnt[48], loop[32], sysfs[64];
	int fd; /* of the loop device, which ends with its last opener */
	struct broker_disks disks;
	char text[160];
};

/* A loop device over the image; a negative errno where this machine gives none. */
static int loop_up(struct rig *g)
{
	_cleanup_close_ int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	_cleanup_close_ int file = open(g->image, O_RDWR | O_CLOEXEC);
	struct loop_config config = {
		.fd = (uint32_t)file,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_PARTSCAN,
	};

	/* Another program may take the number that was free. */
	for (unsigned i = 0; control >= 0 && file >= 0 && i < 16; i++) {
		int n = ioctl(control, LOOP_CTL_GET_FREE);

		if (n < 0)
			return -errno;
		snprintf(g->loop, sizeof(g->loop), "/dev/loop%d", n);
		snprintf(g->sysfs, sizeof(g->sysfs), "/sys/block/loop%d", n);
		g->fd = open(g->loop, O_RDWR | O_CLOEXEC);
		if (g->fd < 0)
			return -errno;
		if (ioctl(g->fd, LOOP_CONFIGURE, &config) == 0)
			return 0;
		g->fd = fd_close(g->fd);
	}
	return -ENODEV;
}

/* An image with a file system that begins at @first. */
static int image_make(struct rig *g, unsigned first)
{
	_cleanup_close_ int fd = open(g->image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char command[200];

	if (fd < 0 || ftruncate(fd, SECTORS * 512l) < 0)
		return -EIO;
	snprintf(command, sizeof(command), "mke2fs -q -t ext2 -E offset=%u %s %u", first * 512,
		 g->image, (SECTORS - first) / 2);
	return system(command) ? -EIO : 0;
}

/* A partition, made known to the kernel: it need not understand any table of them. */
static int partition_make(struct rig *g)
{
	struct blkpg_partition p = {.start = PARTITION_SECTOR * 512l,
				    .length = (SECTORS - PARTITION_SECTOR) * 512l,
				    .pno = 1};
	struct blkpg_ioctl_arg arg = {.op = BLKPG_ADD_PARTITION, .datalen = sizeof(p), .data = &p};

	return ioctl(g->fd, BLKPG, &arg) < 0 ? -errno : 0;
}

static int rig_up(struct rig *g, unsigned first)
{
	snprintf(g->folder, sizeof(g->folder), "/tmp/test-disk-XXXXXX");
	if (!mkdtemp(g->folder))
		return -errno;
	snprintf(g->image, sizeof(g->image), "%s/image", g->folder);
	snprintf(g->mnt, sizeof(g->mnt), "%s/a b", g->folder);
	g->fd = -1;
	mkdir(g->mnt, 0755);
	return image_make(g, first) ?: loop_up(g);
}

static void rig_down(struct rig *g)
{
	broker_disks_release(&g->disks);
	fd_close(g->fd);
	umount(g->mnt);
	unlink(g->image);
	rmdir(g->mnt);
	rmdir(g->folder);
	free(g);
}

static int set_up(void **state)
{
	*state = calloc(1, sizeof(struct rig));
	return rig_up(*state, 0);
}

static int set_up_partition(void **state)
{
	*state = calloc(1, sizeof(struct rig));
	return rig_up(*state, PARTITION_SECTOR) ?: partition_make(*state);
}

static int tear_down(void **state)
{
	rig_down(*state);
	return 0;
}

static int claim(struct rig *g)
{
	return broker_disks_claim(&g->disks, g->sysfs, g->text, sizeof(g->text));
}

static void assert_in_use(struct rig *g, const char *words)
{
	assert_int_equal(claim(g), -EBUSY);
	assert_int_equal(g->disks.n, 0);
	if (!strstr(g->text, words) || strncmp(g->text, "in use on the host: loop", 24))
		fail_msg("\"%s\" is not in \"%s\"", words, g->text);
}

static void a_free_disk_is_claimed_and_nobody_mounts_it(void **state)
{
	struct rig *g = *state;

	assert_int_equal(claim(g), 0);
	assert_int_equal(g->disks.n, 1);
	assert_int_equal(mount(g->loop, g->mnt, "ext2", MS_RDONLY, NULL), -1);
	assert_int_equal(errno, EBUSY);
	broker_disks_release(&g->disks);
	assert_int_equal(mount(g->loop, g->mnt, "ext2", MS_RDONLY, NULL), 0);
}

static void a_mount_is_named(void **state)
{
	struct rig *g = *state;
	char words[100];

	assert_int_equal(mount(g->loop, g->mnt, "ext2", MS_RDONLY, NULL), 0);
	snprintf(words, sizeof(words), " is mounted at %s", g->mnt);
	assert_in_use(g, words);
	assert_int_equal(umount(g->mnt), 0);
	assert_int_equal(claim(g), 0);
}

static void a_mount_of_a_partition_is_named(void **state)
{
	struct rig *g = *state;
	char partition[48], words[120];

	snprintf(partition, sizeof(partition), "%sp1", g->loop);
	assert_int_equal(mount(partition, g->mnt, "ext2", MS_RDONLY, NULL), 0);
	snprintf(words, sizeof(words), "%s is mounted at %s", partition + 5, g->mnt);
	assert_in_use(g, words);
	assert_int_equal(umount(g->mnt), 0);
	assert_int_equal(claim(g), 0);
	/* And the other way round: the disk's claim is its partitions', too. */
	assert_int_equal(mount(partition, g->mnt, "ext2", MS_RDONLY, NULL), -1);
	assert_int_equal(errno, EBUSY);
}

static void a_mount_in_another_namespace_is_found(void **state)
{
	struct rig *g = *state;
	int told[2], done[2], status;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(told), 0);
	assert_int_equal(pipe(done), 0);
	pid = fork();
	if (pid == 0) {
		close(told[0]);
		close(done[1]);
		if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		    mount(g->loop, g->mnt, "ext2", MS_RDONLY, NULL) || write(told[1], "x", 1) != 1)
			_exit(1);
		_exit(read(done[0], &byte, 1) != 0);
	}
	close(told[1]);
	close(done[0]);
	assert_int_equal(read(told[0], &byte, 1), 1);
	assert_in_use(g, "in another namespace");
	close(done[1]);
	close(told[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void a_claim_by_a_program_is_found(void **state)
{
	struct rig *g = *state;
	int fd = open(g->loop, O_RDONLY | O_EXCL | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_in_use(g, "claimed by a program");
	close(fd);
	assert_int_equal(claim(g), 0);
}

struct keeper {
	struct rig *g;
	int guard;
};

static void *keep(void *arg)
{
	struct keeper *k = arg;

	broker_disks_keep(&k->g->disks, k->guard);
	return NULL;
}

static void a_claim_ends_with_the_guard(void **state)
{
	struct rig *g = *state;
	struct keeper k = {.g = g};
	pthread_t thread;
	int fds[2], fd;

	assert_int_equal(claim(g), 0);
	assert_int_equal(pipe(fds), 0);
	k.guard = fds[0];
	assert_int_equal(pthread_create(&thread, NULL, keep, &k), 0);
	assert_int_equal(open(g->loop, O_RDONLY | O_EXCL | O_CLOEXEC), -1);
	close(fds[1]);
	pthread_join(thread, NULL);
	close(fds[0]);
	assert_int_equal(g->disks.n, 0);
	fd = open(g->loop, O_RDONLY | O_EXCL | O_CLOEXEC);
	assert_true(fd >= 0);
	close(fd);
}

static void a_device_that_has_gone_is_told(void **state)
{
	struct rig *g = *state;

	snprintf(g->sysfs, sizeof(g->sysfs), "/sys/bus/usb/devices/99-1");
	assert_int_equal(claim(g), -ENODEV);
}

/* The broker's rights are enough: all of this runs with no others. */
static void what_the_broker_keeps_is_enough(void **state)
{
	struct rig *g = *state;
	char words[100];
	int status;
	pid_t pid;

	snprintf(words, sizeof(words), " is mounted at %s", g->mnt);
	for (unsigned mounted = 0; mounted < 2; mounted++) {
		if (mounted)
			assert_int_equal(mount(g->loop, g->mnt, "ext2", MS_RDONLY, NULL), 0);
		pid = fork();
		if (pid == 0) {
			if (sandbox_keep_caps(BROKER_CAPS) < 0)
				_exit(2);
			_exit(mounted ? claim(g) != -EBUSY || !strstr(g->text, words)
				      : claim(g) != 0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

/* Why none of this can run here; NULL where it can. */
static const char *why_not(void)
{
	struct rig *g = calloc(1, sizeof(*g));
	const char *why = NULL;

	if (geteuid())
		why = "it needs root";
	else if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		why = "it needs a mount namespace of its own";
	else if (rig_up(g, 0) < 0)
		why = "it needs a loop device";
	else if (mount(g->loop, g->mnt, "ext2", MS_RDONLY, NULL) < 0)
		why = "it needs to mount a loop device";
	rig_down(g);
	return why;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_free_disk_is_claimed_and_nobody_mounts_it),
		T(a_mount_is_named),
		cmocka_unit_test_setup_teardown(a_mount_of_a_partition_is_named, set_up_partition,
						tear_down),
		T(a_mount_in_another_namespace_is_found),
		T(a_claim_by_a_program_is_found),
		T(a_claim_ends_with_the_guard),
		T(a_device_that_has_gone_is_told),
		T(what_the_broker_keeps_is_enough),
	};
	const char *why = why_not();

	if (why) {
		printf("skipped: %s\n", why);
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
