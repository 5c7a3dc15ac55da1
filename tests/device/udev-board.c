/* SPDX-License-Identifier: BSD-2-Clause */
/* A list of devices on umockdev; see udev-board.h. */
#include "tests/device/udev-board.h"

#include <string.h>

#include "daemon/devices/device_registry.h"
#include "daemon/devices/device_udev.h"

const uint8_t keyboard_descriptors[KEYBOARD_DESCRIPTORS] = {
	18, 1,	  0x00, 0x02, 0, 0, 0,	  8,	0x6d, 0x04, 0x1c, 0xc3, 0, 1, 1, 2,
	0,  1,					    /* device */
	9,  2,	  34,	0,    1, 1, 0,	  0xa0, 49, /* configuration */
	9,  4,	  0,	0,    1, 3, 1,	  1,	0,  /* interface */
	9,  0x21, 0x10, 1,    0, 1, 0x22, 65,	0,    7,    5,	  0x81, 3, 8, 0, 10,
};

static struct board *current;

static void on_added(void *ctx _unused_, void *device)
{
	current->added++;
	device_listed(device);
}

static void on_changed(void *ctx _unused_, void *device _unused_)
{
	current->changed++;
}

static void on_removed(void *ctx _unused_, void *device)
{
	current->removed++;
	device_free(device);
}

static void on_bound(void *ctx _unused_, void *device _unused_)
{
	current->bound++;
}

static const struct event_listener listeners[] = {
	{EVENT_DEVICE_REMOVED, on_removed},
	{EVENT_DEVICE_ADDED, on_added},
	{EVENT_DEVICE_REVIEW, on_changed},
	{EVENT_DEVICE_BOUND, on_bound},
};

void board_turn(struct board *b)
{
	assert_true(loop_turn(b->core.loop, !events_pending(&b->core.events)) >= 0);
	events_tell(&b->core.events);
}

char *add_device(struct board *b, const char *parent, const char *name, const char *class,
		 const char *speed, const char *devnum, const void *descriptors, size_t len)
{
	char *path = umockdev_testbed_add_device(
		b->bed, "usb", name, parent, "idVendor", "046d", "idProduct", "c31c", "busnum", "1",
		"devnum", devnum, "speed", speed, "bDeviceClass", class, "bConfigurationValue", "1",
		"product", "USB Keyboard", NULL, "DEVTYPE", "usb_device", "SUBSYSTEM", "usb", NULL);

	if (descriptors)
		umockdev_testbed_set_attribute_binary(b->bed, path, "descriptors",
						      (guint8 *)descriptors, (int)len);
	return path;
}

int board_set_up(void **state)
{
	static struct board b;

	memset(&b, 0, sizeof(b));
	b.bed = umockdev_testbed_new();
	events_init(&b.core.events, listeners, ARRAY_SIZE(listeners), NULL);
	devices_init(&b.devices, &b.core, &b.books);
	for (unsigned i = 0; i < WISH_LISTS; i++)
		wishes_init(&b.books.now.list[i]);
	assert_int_equal(config_new_default(&b.core.config), 0);
	assert_int_equal(loop_new(&b.core.loop), 0);
	current = &b;
	*state = &b;
	return 0;
}

int board_tear_down(void **state)
{
	struct board *b = *state;

	device_registry_free(b->devices.registry);
	events_tell(&b->core.events);
	loop_free(b->core.loop);
	config_free(b->core.config);
	g_object_unref(b->bed);
	return 0;
}

void board_settle(struct board *b)
{
	while (!device_registry_settled(b->devices.registry))
		board_turn(b);
}

void board_begin(struct board *b)
{
	struct device_source *source;

	assert_int_equal(device_udev_new(&source, &b->devices), 0);
	assert_int_equal(device_registry_new(&b->devices.registry, &b->devices, source, NULL, NULL),
			 0);
	assert_int_equal(device_registry_start(b->devices.registry), 0);
}

void board_start(struct board *b)
{
	board_begin(b);
	board_settle(b);
}

struct device *only_device(struct board *b)
{
	struct list *l = list_first(&b->devices.all);

	assert_non_null(l);
	assert_ptr_equal(l->next, &b->devices.all);
	return list_entry(l, struct device, link);
}

void turn_until(struct board *b, const unsigned *n, unsigned want)
{
	while (*n < want)
		board_turn(b);
}

struct device *by_busid(struct board *b, const char *busid)
{
	list_for_each(it, &b->devices.all) {
		struct device *d = list_entry(it, struct device, link);

		if (!strcmp(d->busid, busid))
			return d;
	}
	return NULL;
}
