/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices of which the kernel does not tell, because somebody else has their lock. */
#include "tests/device/udev-board.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "daemon/devices/device_registry.h"

/* An attribute whose reader gets nothing until it is let go: a FIFO in its place. Opened for writing,
 * too: umockdev has a lock while something is opened. */
struct held {
	char path[500];
	int fd;
};

static void hold(struct board *b, const char *device, const char *attr, struct held *held)
{
	char *root = umockdev_testbed_get_root_dir(b->bed);

	snprintf(held->path, sizeof(held->path), "%s%s/%s", root, device, attr);
	unlink(held->path);
	assert_int_equal(mkfifo(held->path, 0644), 0);
	held->fd = open(held->path, O_RDWR | O_CLOEXEC);
	assert_true(held->fd >= 0);
	g_free(root);
}

/* Who reads it gets @text, and who comes later, too. */
static void let_go(struct held *held, const char *text)
{
	char other[510];
	FILE *f;

	snprintf(other, sizeof(other), "%s.new", held->path);
	f = fopen(other, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(rename(other, held->path), 0);
	assert_int_equal(write(held->fd, text, strlen(text)), strlen(text));
	close(held->fd);
}

/* Whoever resets a device has its lock, and its strings can't be read: it is told of all the same,
 * nobody can have it, and no other device waits. */
static void a_silent_device_holds_up_no_other(void **state)
{
	static const char *const attrs[] = {"serial", "product", "manufacturer",
					    "bConfigurationValue"};
	struct board *b = *state;
	char *root = add_device(b, NULL, "usb1", "09", "480", "1", NULL, 0);
	char *silent = add_device(b, root, "1-1", "00", "480", "2", keyboard_descriptors,
				  sizeof(keyboard_descriptors));
	char *good = add_device(b, root, "1-2", "00", "480", "3", keyboard_descriptors,
				sizeof(keyboard_descriptors));
	char *late;
	struct device *d;
	struct held held;

	for (size_t i = 0; i < ARRAY_SIZE(attrs); i++) {
		b->added = b->changed = b->removed = 0;
		hold(b, silent, attrs[i], &held);
		board_begin(b);
		turn_until(b, &b->added, 1);
		assert_non_null(by_busid(b, "1-2"));
		assert_null(by_busid(b, "1-1"));
		/* Nor one that comes now, nor its going. */
		late = add_device(b, root, "1-3", "00", "480", "4", keyboard_descriptors,
				  sizeof(keyboard_descriptors));
		umockdev_testbed_uevent(b->bed, late, "add");
		turn_until(b, &b->added, 2);
		assert_non_null(by_busid(b, "1-3"));
		umockdev_testbed_uevent(b->bed, late, "remove");
		turn_until(b, &b->removed, 1);
		umockdev_testbed_remove_device(b->bed, late);
		g_free(late);
		/* In the end it is listed without being known, and is nobody's. */
		board_settle(b);
		d = by_busid(b, "1-1");
		assert_non_null(d);
		assert_true(d->unread);
		assert_non_null(strstr(d->broken, "the kernel does not tell what it is"));
		assert_null(d->serial);
		assert_int_equal(b->changed, 0);
		/* And at last it is what it is. */
		let_go(&held, i == 3 ? "1\n" : "S1\n");
		turn_until(b, &b->changed, 1);
		assert_ptr_equal(by_busid(b, "1-1"), d);
		assert_false(d->unread);
		assert_string_equal(d->broken, "");
		assert_int_equal(d->info.num_interfaces, 1);
		if (i == 0)
			assert_string_equal(d->serial, "S1");
		assert_int_equal(b->removed, 1);
		b->devices.registry = device_registry_free(b->devices.registry);
		events_tell(&b->core.events);
	}
	g_free(root);
	g_free(silent);
	g_free(good);
}

/* One that is known stays as it is while it is silent, and what happens to it keeps its order. */
static void what_happens_to_a_silent_device_keeps_its_order(void **state)
{
	struct board *b = *state;
	char *root = add_device(b, NULL, "usb1", "09", "480", "1", NULL, 0);
	char *path = add_device(b, root, "1-1", "00", "480", "2", keyboard_descriptors,
				sizeof(keyboard_descriptors));
	struct held product, serial;
	struct device *d;

	board_start(b);
	d = only_device(b);
	hold(b, path, "product", &product);
	umockdev_testbed_uevent(b->bed, path, "bind");
	umockdev_testbed_uevent(b->bed, path, "change");
	do
		board_turn(b);
	while (device_registry_settled(b->devices.registry));
	board_settle(b);
	assert_ptr_equal(only_device(b), d);
	assert_string_equal(d->product, "USB Keyboard");
	assert_string_equal(d->broken, "");
	assert_int_equal(b->changed, 0);
	/* Out, and another one in: the one who still reads the first tells nobody of it. */
	umockdev_testbed_set_attribute(b->bed, path, "devnum", "7");
	umockdev_testbed_uevent(b->bed, path, "remove");
	turn_until(b, &b->removed, 1);
	assert_true(list_empty(&b->devices.all));
	/* What the first one's reader has read before: two readers would share the text. */
	hold(b, path, "serial", &serial);
	let_go(&product, "First\n");
	umockdev_testbed_set_attribute(b->bed, path, "product", "Second");
	umockdev_testbed_uevent(b->bed, path, "add");
	do
		board_turn(b);
	while (device_registry_settled(b->devices.registry));
	let_go(&serial, "S2\n");
	turn_until(b, &b->added, 2);
	d = only_device(b);
	assert_int_equal(d->devnum, 7);
	assert_string_equal(d->product, "Second");
	assert_string_equal(d->serial, "S2");
	board_settle(b);
	assert_int_equal(b->added, 2);
	assert_int_equal(b->removed, 1);
	g_free(root);
	g_free(path);
}

/* More than are looked at at once. */
static void many_silent_devices_hold_up_no_other(void **state)
{
	enum { MANY = 40 };
	struct board *b = *state;
	char *root = add_device(b, NULL, "usb1", "09", "480", "1", NULL, 0);
	struct held held[MANY];
	char *devices[MANY], name[16], devnum[8];

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "1-%u", i + 1);
		snprintf(devnum, sizeof(devnum), "%u", i + 2);
		devices[i] = add_device(b, root, name, "00", "480", devnum, keyboard_descriptors,
					sizeof(keyboard_descriptors));
		if (i)
			hold(b, devices[i], "serial", &held[i]);
	}
	board_start(b);
	assert_int_equal(b->added, MANY);
	for (unsigned i = 1; i < MANY; i++)
		let_go(&held[i], "S\n");
	turn_until(b, &b->changed, MANY - 1);
	list_for_each(it, &b->devices.all)
		assert_false(list_entry(it, struct device, link)->unread);
	for (unsigned i = 0; i < MANY; i++)
		g_free(devices[i]);
	g_free(root);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, board_set_up, board_tear_down)
	const struct CMUnitTest tests[] = {
		T(a_silent_device_holds_up_no_other),
		T(what_happens_to_a_silent_device_keeps_its_order),
		T(many_silent_devices_hold_up_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
