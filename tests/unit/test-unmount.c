/* SPDX-License-Identifier: BSD-2-Clause */
/* `--unmount`: what is unmounted of a device and in which order, and what stops it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/unmount.h"

#define DISK "devices/usb1/1-1/1-1:1.0/host2/block/sda"

static char folder[64], sysfs[80], mountinfo[80], swaps[80];
static char said[2048];	     /* errors, advice and what went to standard output */
static char undone[2048];    /* what was unmounted, a path a line */
static const char *stubborn; /* a path whose unmounting fails */
static int why;		     /* and how */
static bool udisks_helps;
static int64_t uppermost; /* a mount's number; -1: can't be told */

void ctl_error(const char *kind, const char *format, ...)
{
	size_t n = strlen(said);
	va_list ap;

	n += (size_t)snprintf(said + n, sizeof(said) - n, "error[%s] ", kind);
	va_start(ap, format);
	vsnprintf(said + n, sizeof(said) - n, format, ap);
	va_end(ap);
	strcat(said, "\n");
}

void ctl_try(const char *format, ...)
{
	size_t n = strlen(said);
	va_list ap;

	n += (size_t)snprintf(said + n, sizeof(said) - n, "try ");
	va_start(ap, format);
	vsnprintf(said + n, sizeof(said) - n, format, ap);
	va_end(ap);
	strcat(said, "\n");
}

void ctl_print_clean(const char *text)
{
	strcat(strcat(said, text), "\n");
}

/* Of the daemon nothing is asked here. */
enum status ctl_call(struct ctl *ctl, const struct client_ask *ask,
		     struct client_answer *ret_answer)
{
	return STATUS_NO_DAEMON;
}

const char *ctl_text(const json_t *object, const char *key)
{
	return "";
}

void client_answer_deinit(struct client_answer *answer)
{
}

static int64_t script_mount_at(const char *path)
{
	return uppermost;
}

static int script_umount(const char *path, int flags)
{
	/* Neither by force nor lazily. */
	assert_int_equal(flags & (MNT_FORCE | MNT_DETACH), 0);
	if (stubborn && !strcmp(path, stubborn)) {
		errno = why;
		return -1;
	}
	strcat(strcat(undone, path), "\n");
	return 0;
}

static bool script_udisks(const char *node)
{
	if (udisks_helps)
		strcat(strcat(undone, node), "\n");
	return udisks_helps;
}

static const struct unmount_host host = {
	.sysfs = sysfs,
	.mountinfo = mountinfo,
	.swaps = swaps,
	.mount_at = script_mount_at,
	.umount = script_umount,
	.ask_udisks = script_udisks,
};

static void write_file(const char *path, const char *text)
{
	char full[PATH_MAX];
	FILE *f;

	snprintf(full, sizeof(full), "%s", path);
	for (char *p = full + 1; (p = strchr(p, '/')); p++) {
		*p = 0;
		mkdir(full, 0755);
		*p = '/';
	}
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void in_sysfs(const char *path, const char *text)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s/%s", sysfs, path);
	write_file(full, text);
}

static void link_to(const char *target, const char *path)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s/%s", sysfs, path);
	assert_int_equal(symlink(target, full), 0);
}

static int set_up(void **state)
{
	snprintf(folder, sizeof(folder), "/tmp/test-unmount-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(sysfs, sizeof(sysfs), "%s/sys", folder);
	snprintf(mountinfo, sizeof(mountinfo), "%s/mountinfo", folder);
	snprintf(swaps, sizeof(swaps), "%s/swaps", folder);
	in_sysfs(DISK "/dev", "8:0\n");
	in_sysfs(DISK "/sda1/dev", "8:1\n");
	in_sysfs(DISK "/sda1/partition", "1\n");
	in_sysfs(DISK "/sda2/dev", "8:2\n");
	in_sysfs(DISK "/sda2/partition", "2\n");
	in_sysfs("class/block/.keep", "");
	in_sysfs("bus/usb/devices/.keep", "");
	link_to("../../" DISK, "class/block/sda");
	link_to("../../" DISK "/sda1", "class/block/sda1");
	link_to("../../" DISK "/sda2", "class/block/sda2");
	link_to("../../../devices/usb1/1-1", "bus/usb/devices/1-1");
	write_file(mountinfo, "22 1 254:0 / / rw - ext4 /dev/vda rw\n");
	write_file(swaps, "Filename Type Size Used Priority\n");
	said[0] = undone[0] = 0;
	stubborn = NULL;
	udisks_helps = false;
	uppermost = -1;
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

static void assert_unmounts(enum status status, const char *paths, const char *words)
{
	assert_int_equal(unmount_device_of(&host, "1-1", false), status);
	assert_string_equal(undone, paths);
	assert_string_equal(said, words);
}

static void nothing_mounted_is_done(void **state)
{
	assert_unmounts(STATUS_DONE, "", "");
}

static void the_deepest_goes_first(void **state)
{
	write_file(mountinfo, "22 1 254:0 / / rw - ext4 /dev/vda rw\n"
			      "30 22 8:1 / /mnt rw - ext4 /dev/sda1 rw\n"
			      "31 30 8:2 / /mnt/a\\040b rw - ext4 /dev/sda2 rw\n"
			      "32 22 8:2 / /x rw - ext4 /dev/sda2 rw\n"
			      "33 32 8:1 /sub /x rw - ext4 /dev/sda1 rw\n"
			      "34 22 8:16 / /other rw - ext4 /dev/sdb rw\n");
	assert_unmounts(STATUS_DONE, "/mnt/a b\n/mnt\n/x\n/x\n",
			"sda2: unmounted from /mnt/a b\nsda1: unmounted from /mnt\n"
			"sda1: unmounted from /x\nsda2: unmounted from /x\n");
}

static void quiet_is_quiet(void **state)
{
	write_file(mountinfo, "30 22 8:1 / /mnt rw - ext4 /dev/sda1 rw\n");
	assert_int_equal(unmount_device_of(&host, "1-1", true), STATUS_DONE);
	assert_string_equal(undone, "/mnt\n");
	assert_string_equal(said, "");
}

static void what_is_in_use_stops_it(void **state)
{
	write_file(mountinfo, "30 22 8:1 / /mnt rw - ext4 /dev/sda1 rw\n"
			      "31 30 8:2 / /mnt/b rw - ext4 /dev/sda2 rw\n");
	stubborn = "/mnt/b";
	why = EBUSY;
	assert_unmounts(STATUS_BUSY, "",
			"error[busy] sda2 can't be unmounted from /mnt/b: programs use it\n"
			"try fuser -vm /mnt/b\n");
}

static void without_the_right_udisks_is_asked(void **state)
{
	write_file(mountinfo, "30 22 8:1 / /mnt rw - ext4 /dev/sda1 rw\n");
	stubborn = "/mnt";
	why = EPERM;
	assert_unmounts(STATUS_DENIED, "",
			"error[denied] sda1 can't be unmounted from /mnt: you may not\n"
			"try sudo umount /mnt\n");
	said[0] = 0;
	udisks_helps = true;
	assert_unmounts(STATUS_DONE, "/dev/sda1\n", "sda1: unmounted from /mnt\n");
}

static void what_others_mounted_on_it_stays(void **state)
{
	write_file(mountinfo, "30 22 8:1 / /mnt rw - ext4 /dev/sda1 rw\n"
			      "31 30 0:99 / /mnt rw - tmpfs none rw\n");
	uppermost = 31;
	assert_unmounts(STATUS_BUSY, "",
			"error[busy] sda1 can't be unmounted from /mnt: something else is mounted "
			"on it\ntry findmnt /mnt\n");
	said[0] = 0;
	uppermost = 30;
	assert_unmounts(STATUS_DONE, "/mnt\n", "sda1: unmounted from /mnt\n");
}

static void what_was_unmounted_meanwhile_is_done(void **state)
{
	write_file(mountinfo, "30 22 8:1 / /mnt rw - ext4 /dev/sda1 rw\n");
	stubborn = "/mnt";
	why = EINVAL;
	assert_unmounts(STATUS_DONE, "", "");
}

static void swap_is_told_before_anything_is_unmounted(void **state)
{
	write_file(mountinfo, "30 22 8:1 / /mnt rw - ext4 /dev/sda1 rw\n");
	write_file(swaps, "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n");
	assert_unmounts(STATUS_BUSY, "",
			"error[busy] /dev/sda2 is swap space of the host\n"
			"try sudo swapoff /dev/sda2\n");
}

static void what_is_made_of_a_disk_is_told(void **state)
{
	in_sysfs("devices/virtual/block/dm-0/dev", "254:7\n");
	in_sysfs("devices/virtual/block/dm-0/dm/name", "safe\n");
	link_to("../../devices/virtual/block/dm-0", "class/block/dm-0");
	in_sysfs(DISK "/sda1/holders/dm-0", "");
	write_file(mountinfo, "30 22 254:7 / /mnt rw - ext4 /dev/mapper/safe rw\n");
	assert_int_equal(unmount_device_of(&host, "1-1", false), STATUS_BUSY);
	assert_string_equal(undone, "");
	assert_non_null(strstr(said, "error[busy] sda1 is held by dm-0 (safe), which"));
}

static void a_device_that_is_not_here_is_the_daemon_s_to_tell(void **state)
{
	assert_int_equal(unmount_device_of(&host, "1-2", false), STATUS_DONE);
	assert_int_equal(unmount_device_of(&host, "../..", false), STATUS_FAILED);
	assert_int_equal(unmount_device_of(&host, "", false), STATUS_FAILED);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(nothing_mounted_is_done),
		T(the_deepest_goes_first),
		T(quiet_is_quiet),
		T(what_is_in_use_stops_it),
		T(without_the_right_udisks_is_asked),
		T(what_others_mounted_on_it_stays),
		T(what_was_unmounted_meanwhile_is_done),
		T(swap_is_told_before_anything_is_unmounted),
		T(what_is_made_of_a_disk_is_told),
		T(a_device_that_is_not_here_is_the_daemon_s_to_tell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
