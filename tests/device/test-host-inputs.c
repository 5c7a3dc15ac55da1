/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's keyboards: which count, and when one is the last; on a sysfs that umockdev pretends.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <umockdev.h>

#include "daemon/daemon.h"
#include "daemon/host_inputs.h"
#include "policy/usb_class.h"

#define ALL_KEYS  "1000000000007 ff9f207ac14057ff febeffdfffefffff fffffffffffffffe"
#define POWER_KEY "10000000000000 0"

struct board {
	UMockdevTestbed *bed;
	unsigned n;	 /* input devices so far */
	char *usb1;	 /* a root hub */
	char *paths[32]; /* to be freed */
	unsigned n_paths;
};

static char *kept(struct board *b, char *path)
{
	assert_non_null(path);
	assert_true(b->n_paths < ARRAY_SIZE(b->paths));
	b->paths[b->n_paths++] = path;
	return path;
}

static int set_up(void **state)
{
	struct board *b = calloc(1, sizeof(*b));
	char *pci;

	b->bed = umockdev_testbed_new();
	pci = kept(b, umockdev_testbed_add_device(b->bed, "pci", "0000:00:14.0", NULL, NULL, NULL));
	b->usb1 = kept(b, umockdev_testbed_add_device(b->bed, "usb", "usb1", pci, NULL, "DEVTYPE",
						      "usb_device", NULL));
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct board *b = *state;

	for (unsigned i = 0; i < b->n_paths; i++)
		g_free(b->paths[i]);
	g_object_unref(b->bed);
	free(b);
	return 0;
}

static char *usb_device(struct board *b, const char *name)
{
	return kept(b, umockdev_testbed_add_device(b->bed, "usb", name, b->usb1, NULL, "DEVTYPE",
						   "usb_device", NULL));
}

static char *interface(struct board *b, const char *device, const char *name)
{
	return kept(b, umockdev_testbed_add_device(b->bed, "usb", name, device, NULL, "DEVTYPE",
						   "usb_interface", NULL));
}

/* An input device with its event node; @says is udev's property, NULL where udev has not seen it.
 */
static char *input(struct board *b, const char *parent, const char *keys, const char *says)
{
	char name[16], *device, *event;

	snprintf(name, sizeof(name), "input%u", b->n);
	device = kept(b, umockdev_testbed_add_device(b->bed, "input", name, parent,
						     "capabilities/key", keys, NULL, NULL));
	snprintf(name, sizeof(name), "event%u", b->n++);
	event = kept(b, umockdev_testbed_add_device(b->bed, "input", name, device, NULL, NULL));
	if (says)
		umockdev_testbed_set_property(b->bed, event, "ID_INPUT_KEYBOARD", says);
	return device;
}

static struct device usb_of(char *path, usb_class_set classes)
{
	return (struct device){.syspath = path, .classes = classes};
}

#define KEYBOARD (1u << USB_CLASS_HID | 1u << USB_CLASS_HID_KEYBOARD)
#define MOUSE	 (1u << USB_CLASS_HID | 1u << USB_CLASS_HID_MOUSE)
#define HID	 (1u << USB_CLASS_HID)

static void the_only_one_is_the_last(void **state)
{
	struct board *b = *state;
	char *path = usb_device(b, "1-1");
	struct device keyboard = usb_of(path, KEYBOARD);
	const char *leaving[] = {path};

	/* Claimed, or in a guest: it has no node. */
	assert_false(host_is_last_keyboard(&keyboard));
	assert_int_equal(host_keyboards_left(NULL, 0), 0);
	input(b, interface(b, path, "1-1:1.0"), ALL_KEYS, "1");
	assert_true(host_is_last_keyboard(&keyboard));
	assert_int_equal(host_keyboards_left(NULL, 0), 1);
	assert_int_equal(host_keyboards_left(leaving, 1), 0);
}

static void a_second_one_sets_the_first_free(void **state)
{
	struct board *b = *state;
	char *one = usb_device(b, "1-1"), *two = usb_device(b, "1-2");
	struct device keyboard = usb_of(one, KEYBOARD);
	const char *leaving[] = {one, two};

	input(b, interface(b, one, "1-1:1.0"), ALL_KEYS, "1");
	input(b, interface(b, two, "1-2:1.0"), ALL_KEYS, "1");
	assert_false(host_is_last_keyboard(&keyboard));
	assert_int_equal(host_keyboards_left(leaving, 1), 1);
	/* But not both at once. */
	assert_int_equal(host_keyboards_left(leaving, 2), 0);
}

static void several_nodes_of_one_device_are_one_keyboard(void **state)
{
	struct board *b = *state;
	char *path = usb_device(b, "1-1");
	struct device keyboard = usb_of(path, KEYBOARD);

	input(b, interface(b, path, "1-1:1.0"), ALL_KEYS, "1");
	input(b, interface(b, path, "1-1:1.1"), ALL_KEYS, "1");
	assert_int_equal(host_keyboards_left(NULL, 0), 1);
	assert_true(host_is_last_keyboard(&keyboard));
}

static void a_keyboard_that_is_not_usb_counts(void **state)
{
	struct board *b = *state;
	char *path = usb_device(b, "1-1");
	struct device keyboard = usb_of(path, KEYBOARD);
	char *i8042 =
		kept(b, umockdev_testbed_add_device(b->bed, "platform", "i8042", NULL, NULL, NULL));
	char *serio =
		kept(b, umockdev_testbed_add_device(b->bed, "serio", "serio0", i8042, NULL, NULL));

	input(b, interface(b, path, "1-1:1.0"), ALL_KEYS, "1");
	input(b, serio, ALL_KEYS, "1");
	assert_false(host_is_last_keyboard(&keyboard));
	assert_int_equal(host_keyboards_left(NULL, 0), 2);
}

static void what_is_no_keyboard_for_the_host_does_not_count(void **state)
{
	struct board *b = *state;
	char *path = usb_device(b, "1-1");
	struct device keyboard = usb_of(path, KEYBOARD);
	char *button = kept(b, umockdev_testbed_add_device(b->bed, "platform", "LNXPWRBN:00", NULL,
							   NULL, NULL));
	char *virtual = kept(
		b, umockdev_testbed_add_device(b->bed, "misc", "virtual", NULL, NULL, NULL));
	char *vhci = kept(
		b, umockdev_testbed_add_device(b->bed, "platform", "vhci_hcd.0", NULL, NULL, NULL));
	char *far = kept(b, umockdev_testbed_add_device(b->bed, "usb", "3-1", vhci, NULL, "DEVTYPE",
							"usb_device", NULL));

	assert_string_equal(virtual, "/sys/devices/virtual");
	input(b, interface(b, path, "1-1:1.0"), ALL_KEYS, "1");
	input(b, button, POWER_KEY, NULL);
	input(b, button, ALL_KEYS, "0"); /* udev, or a rule of its, knows better */
	input(b, virtual, ALL_KEYS, "1");
	input(b, interface(b, far, "3-1:1.0"), ALL_KEYS, "1");
	assert_int_equal(host_keyboards_left(NULL, 0), 1);
	assert_true(host_is_last_keyboard(&keyboard));
}

static void what_udev_has_not_seen_is_told_by_its_keys(void **state)
{
	struct board *b = *state;
	char *path = usb_device(b, "1-1");

	input(b, interface(b, path, "1-1:1.0"), ALL_KEYS, NULL);
	assert_int_equal(host_keyboards_left(NULL, 0), 1);
	path = usb_device(b, "1-2");
	/* The low word stands alone, and one of the keys is missing. */
	input(b, interface(b, path, "1-2:1.0"), "fffffffffffffffe", NULL);
	assert_int_equal(host_keyboards_left(NULL, 0), 2);
	path = usb_device(b, "1-3");
	input(b, interface(b, path, "1-3:1.0"), "fffffffffffffffe fffffffffffffffa", NULL);
	assert_int_equal(host_keyboards_left(NULL, 0), 2);
}

static void a_mouse_with_keys_is_no_last_keyboard(void **state)
{
	struct board *b = *state;
	char *path = usb_device(b, "1-1");
	struct device mouse = usb_of(path, MOUSE), both = usb_of(path, MOUSE | KEYBOARD),
		      other = usb_of(path, HID), disk = usb_of(path, 1u << USB_CLASS_STORAGE);

	input(b, interface(b, path, "1-1:1.1"), ALL_KEYS, "1");
	assert_false(host_is_last_keyboard(&mouse));
	assert_true(host_is_last_keyboard(&both));
	assert_true(host_is_last_keyboard(&other)); /* nobody knows what its reports say */
	assert_false(host_is_last_keyboard(&disk));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(the_only_one_is_the_last),
		T(a_second_one_sets_the_first_free),
		T(several_nodes_of_one_device_are_one_keyboard),
		T(a_keyboard_that_is_not_usb_counts),
		T(what_is_no_keyboard_for_the_host_does_not_count),
		T(what_udev_has_not_seen_is_told_by_its_keys),
		T(a_mouse_with_keys_is_no_last_keyboard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
