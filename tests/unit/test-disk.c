/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks and their uses: a sysfs of files and links as the kernel lays it out, and the lines of
 * mountinfo and swaps with all that is odd in them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/mem.h"

#define STICK "devices/pci0000:00/usb1/1-1/1-1:1.0/host2/target2:0:0/2:0:0:0/block/sda"
#define OTHER "devices/pci0000:00/usb1/1-10/1-10:1.0/host3/target3:0:0/3:0:0:0/block/sdb"

struct board {
	char sysfs[64], device[128];
	struct disk_tree tree;
	char said[2048];
};

static void make(const char *sysfs, const char *path, const char *text)
{
	char full[PATH_MAX];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", sysfs, path);
	for (char *p = full + 1; (p = strchr(p, '/')); p++) {
		*p = 0;
		mkdir(full, 0755);
		*p = '/';
	}
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* A block device: its folder, its number, and the link that names it. */
static void block(const char *sysfs, const char *folder, const char *dev, const char *partition)
{
	char path[PATH_MAX], target[PATH_MAX];

	snprintf(path, sizeof(path), "%s/dev", folder);
	make(sysfs, path, dev);
	if (partition) {
		snprintf(path, sizeof(path), "%s/partition", folder);
		make(sysfs, path, partition);
	}
	make(sysfs, "class/block/.keep", "");
	snprintf(target, sizeof(target), "../../%s", folder);
	snprintf(path, sizeof(path), "%s/class/block%s", sysfs, strrchr(folder, '/'));
	assert_int_equal(symlink(target, path), 0);
}

static void hold(const char *sysfs, const char *folder, const char *holder)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/holders/%s", folder, holder);
	make(sysfs, path, ""); /* a link to the holder, of which only the name is read */
}

static int set_up(void **state)
{
	struct board *b = calloc(1, sizeof(*b));
	const char *s = b->sysfs;

	snprintf(b->sysfs, sizeof(b->sysfs), "/tmp/test-disk-XXXXXX");
	assert_non_null(mkdtemp(b->sysfs));
	block(s, STICK, "8:0\n", NULL);
	block(s, STICK "/sda1", "8:1\n", "1\n");
	block(s, STICK "/sda2", "8:2\n", "2\n");
	block(s, OTHER, "8:16\n", NULL);
	block(s, OTHER "/sdb1", "8:17\n", "1\n");
	block(s, "devices/virtual/block/dm-0", "254:0\n", NULL);
	block(s, "devices/virtual/block/dm-1", "254:1\n", NULL);
	make(s, "devices/virtual/block/dm-0/dm/name", "luks-12 34\n");
	make(s, "devices/virtual/block/dm-1/dm/name", "vg-root\n");
	snprintf(b->device, sizeof(b->device), "%s/devices/pci0000:00/usb1/1-1", s);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct board *b = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", b->sysfs);
	assert_int_equal(system(command), 0);
	free(b);
	return 0;
}

static int say(void *ctx, enum disk_use use, const struct disk_node *node, const char *path,
	       uint64_t mount)
{
	struct board *b = ctx;
	size_t n = strlen(b->said);

	disk_use_text(&b->tree, use, node, path, b->said + n, sizeof(b->said) - n - 1);
	strcat(b->said, "\n");
	return 0;
}

static FILE *file_of(const char *text)
{
	return text ? fmemopen((void *)text, strlen(text), "r") : NULL;
}

static void assert_uses(struct board *b, const char *mountinfo, const char *swaps, const char *said)
{
	FILE *m = file_of(mountinfo), *s = file_of(swaps);

	b->said[0] = 0;
	assert_int_equal(disk_tree_read(&b->tree, b->sysfs, b->device), 0);
	assert_int_equal(disk_uses(&b->tree, m, s, say, b), 0);
	assert_string_equal(b->said, said);
	if (m)
		fclose(m);
	if (s)
		fclose(s);
}

static const struct disk_node *named(const struct disk_tree *tree, const char *name)
{
	for (unsigned i = 0; i < tree->n; i++)
		if (!strcmp(tree->nodes[i].name, name))
			return &tree->nodes[i];
	fail_msg("%s is not in the tree", name);
	return NULL;
}

static void a_device_s_disks_are_its_own(void **state)
{
	struct board *b = *state;

	assert_int_equal(disk_tree_read(&b->tree, b->sysfs, b->device), 0);
	/* Not those of 1-10, whose name begins with this one's. */
	assert_int_equal(b->tree.n, 3);
	assert_int_equal(named(&b->tree, "sda")->on, -1);
	assert_int_equal(named(&b->tree, "sda2")->on, 0);
	assert_int_equal(named(&b->tree, "sda2")->major, 8);
	assert_int_equal(named(&b->tree, "sda2")->minor, 2);
	snprintf(b->device, sizeof(b->device), "%s/devices/pci0000:00/usb1/1-2", b->sysfs);
	assert_int_equal(disk_tree_read(&b->tree, b->sysfs, b->device), -ENODEV);
}

static void a_device_without_disks_has_none(void **state)
{
	struct board *b = *state;

	make(b->sysfs, "devices/pci0000:00/usb1/1-2/product", "Keyboard");
	snprintf(b->device, sizeof(b->device), "%s/devices/pci0000:00/usb1/1-2", b->sysfs);
	assert_int_equal(disk_tree_read(&b->tree, b->sysfs, b->device), 0);
	assert_int_equal(b->tree.n, 0);
	assert_uses(b, "36 35 8:1 / /mnt rw - ext4 /dev/sda1 rw\n", NULL, "");
}

static void what_is_made_of_a_disk_is_found(void **state)
{
	struct board *b = *state;

	hold(b->sysfs, STICK "/sda2", "dm-0");
	hold(b->sysfs, "devices/virtual/block/dm-0", "dm-1");
	assert_uses(b, NULL, NULL,
		    "sda2 is held by dm-0 (luks-12 34)\ndm-0 is held by dm-1 (vg-root)\n");
	assert_uses(b, "36 35 254:1 / /mnt rw - ext4 /dev/mapper/vg-root rw\n", NULL,
		    "dm-1 (vg-root) on sda2 is mounted at /mnt\n"
		    "sda2 is held by dm-0 (luks-12 34)\ndm-0 is held by dm-1 (vg-root)\n");
}

static void holders_in_a_ring_come_to_an_end(void **state)
{
	struct board *b = *state;

	hold(b->sysfs, STICK, "dm-0");
	hold(b->sysfs, "devices/virtual/block/dm-0", "dm-1");
	hold(b->sysfs, "devices/virtual/block/dm-1", "dm-0");
	assert_int_equal(disk_tree_read(&b->tree, b->sysfs, b->device), 0);
	assert_int_equal(b->tree.n, 5);
}

static void more_disks_than_there_is_room_for_are_refused(void **state)
{
	struct board *b = *state;

	for (unsigned i = 0; i < DISKS_MAX; i++) {
		char folder[200], dev[16];

		snprintf(
			folder, sizeof(folder),
			"devices/pci0000:00/usb1/1-1/1-1:1.0/host2/target2:0:0/2:0:0:1/block/sdc%c",
			(char)('a' + i));
		snprintf(dev, sizeof(dev), "8:%u\n", 100 + i);
		block(b->sysfs, folder, dev, NULL);
	}
	assert_int_equal(disk_tree_read(&b->tree, b->sysfs, b->device), -E2BIG);
}

static void mounts_are_found_by_number_whatever_their_path(void **state)
{
	struct board *b = *state;

	assert_uses(b,
		    "22 1 0:21 / /sys rw,nosuid - sysfs sysfs rw\n"
		    "36 35 8:1 /sub /mnt/a\\040b\\134c rw,noatime master:1 shared:7 - ext4 "
		    "/dev/sda1 rw,errors=continue\n"
		    "37 35 8:17 / /other rw - ext4 /dev/sdb1 rw\n"
		    "38 35 8:2 / /x\\012y rw - vfat /dev/root rw\n",
		    NULL,
		    "sda1 is mounted at /mnt/a b\\c\n"
		    "sda2 is mounted at /x?y\n");
}

static void mounts_without_a_disk_s_number_are_found_by_their_source(void **state)
{
	struct board *b = *state;

	hold(b->sysfs, STICK "/sda1", "dm-0");
	assert_uses(b,
		    "40 35 0:50 / /btrfs rw - btrfs /dev/sda2 rw\n"
		    "41 35 0:51 / /crypt rw - btrfs /dev/mapper/luks-12\\04034 rw\n"
		    "42 35 0:52 / /not rw - nfs sda2 rw\n"
		    "43 35 8:16 / /nor-this rw - ext4 /dev/sda2 rw\n",
		    NULL,
		    "sda2 is mounted at /btrfs\n"
		    "dm-0 (luks-12 34) on sda1 is mounted at /crypt\n"
		    "sda1 is held by dm-0 (luks-12 34)\n");
}

static void lines_that_are_none_are_left_out(void **state)
{
	struct board *b = *state;

	assert_uses(b,
		    "\n36\n36 35\n36 35 8:1\n36 35 8:1 / /mnt rw\n36 35 8:1 / /mnt rw -\n"
		    "36 35 8:1 / /mnt rw - ext4\n36 35 8 / /mnt rw - ext4 /dev/sda1 rw\n"
		    "36 35 8:1 / /in\\04 rw - ext4 /dev/sda1 rw", /* no newline at the end */
		    "Filename Type Size Used Priority\n\n", "sda1 is mounted at /in\\04\n");
}

static void swap_is_found(void **state)
{
	struct board *b = *state;

	assert_uses(b, NULL,
		    "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
		    "/dev/sda2                               partition\t1048572\t\t0\t\t-2\n"
		    "/dev/sdb1                               partition\t1048572\t\t0\t\t-3\n"
		    "/mnt/a\\040file                         file\t\t1024\t\t0\t\t-4\n",
		    "sda2 is swap space\n");
}

static int stop(void *ctx, enum disk_use use, const struct disk_node *node, const char *path,
		uint64_t mount)
{
	return -EBUSY;
}

static void the_first_use_may_be_enough(void **state)
{
	struct board *b = *state;
	FILE *m = file_of("36 35 8:1 / /mnt rw - ext4 /dev/sda1 rw\n");

	assert_int_equal(disk_tree_read(&b->tree, b->sysfs, b->device), 0);
	assert_int_equal(disk_uses(&b->tree, m, NULL, stop, NULL), -EBUSY);
	fclose(m);
}

static void a_long_path_is_cut_between_characters(void **state)
{
	struct board *b = *state;
	char text[26];

	assert_int_equal(disk_tree_read(&b->tree, b->sysfs, b->device), 0);
	disk_use_text(&b->tree, DISK_MOUNTED, named(&b->tree, "sda1"), "/\303\244\303\244\303\244",
		      text, sizeof(text));
	assert_string_equal(text, "sda1 is mounted at /\303\244\303\244");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_device_s_disks_are_its_own),
		T(a_device_without_disks_has_none),
		T(what_is_made_of_a_disk_is_found),
		T(holders_in_a_ring_come_to_an_end),
		T(more_disks_than_there_is_room_for_are_refused),
		T(mounts_are_found_by_number_whatever_their_path),
		T(mounts_without_a_disk_s_number_are_found_by_their_source),
		T(lines_that_are_none_are_left_out),
		T(swap_is_found),
		T(the_first_use_may_be_enough),
		T(a_long_path_is_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
