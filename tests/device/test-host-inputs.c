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

#include "daemon/devices/device.h"
#include "daemon/devices/host_inputs.h"
#include "policy/usb_class.h"
#include "usb/hid_found.h"

#define ALL_KEYS  "1000000000007 ff9f207ac14057ff febeffdfffefffff fffffffffffffffe"
#define POWER_KEY "10000000000000 0"
/* NumLock, and a keypad's digits and signs. */
#define KEYPAD_KEYS "1000100000000 3fe2000000000"

struct board {
	UMockdevTestbed *bed;
	unsigned n;	 /* input devices so far */
	char *usb1;	 /* a root hub */
	char *paths[32]; /* to be freed */
	unsigned n_paths;
	struct devices all_devices;
	struct device devices[4]; /* that are listed */
	unsigned n_devices;
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

	list_init(&b->all_devices.all);
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

#define KEYBOARD (1u << USB_CLASS_HID | 1u << USB_CLASS_HID_KEYBOARD)
#define MOUSE	 (1u << USB_CLASS_HID | 1u << USB_CLASS_HID_MOUSE)
#define HID	 (1u << USB_CLASS_HID)

/* One that is listed; where it is a keyboard, its interface 0 is. */
static struct device *list(struct board *b, char *path, usb_class_set classes)
{
	struct device *d = &b->devices[b->n_devices++];

	assert_true(b->n_devices <= ARRAY_SIZE(b->devices));
	*d = (struct device){.syspath = path, .classes = classes, .devices = &b->all_devices};
	if (classes >> USB_CLASS_HID_KEYBOARD & 1)
		d->hid.kinds[HID_BY_REPORTS][0] = HID_KEYBOARD;
	list_append(&b->all_devices.all, &d->link);
	return d;
}

static bool loses(const struct board *b, const char *one, const char *two)
{
	const char *leaving[] = {one, two};

	return host_loses_keyboard(&b->all_devices, leaving, 0, two ? 2 : 1);
}

static void the_only_one_is_the_last(void **state)
{
	struct board *b = *state;
	char *path = usb_device(b, "1-1");
	struct device *keyboard = list(b, path, KEYBOARD);

	/* Claimed, or in a guest: it has no node. */
	assert_false(host_is_last_keyboard(keyboard));
	input(b, interface(b, path, "1-1:1.0"), ALL_KEYS, "1");
	assert_true(host_is_last_keyboard(keyboard));
	assert_true(loses(b, path, NULL));
	/* Claimed a moment ago, and its node has not gone yet. */
	keyboard->ours = true;
	assert_false(host_is_last_keyboard(keyboard));
}

static void a_second_one_sets_the_first_free(void **state)
{
	struct board *b = *state;
	char *one = usb_device(b, "1-1"), *two = usb_device(b, "1-2");
	struct device *keyboard = list(b, one, KEYBOARD), *second = list(b, two, KEYBOARD);
	const char *leaving[] = {one, two};

	input(b, interface(b, one, "1-1:1.0"), ALL_KEYS, "1");
	input(b, interface(b, two, "1-2:1.0"), ALL_KEYS, "1");
	assert_false(host_is_last_keyboard(keyboard));
	/* But not both at once, nor one after the other. */
	assert_true(loses(b, one, two));
	assert_true(host_loses_keyboard(&b->all_devices, leaving, 1, 2));
	/* Both leave anyhow. */
	assert_false(host_loses_keyboard(&b->all_devices, leaving, 2, 2));
	second->ours = true;
	assert_true(host_is_last_keyboard(keyboard));
}

static void several_nodes_of_one_device_are_one_keyboard(void **state)
{
	struct board *b = *state;
	char *path = usb_device(b, "1-1");
	struct device *keyboard = list(b, path, KEYBOARD);

	input(b, interface(b, path, "1-1:1.0"), ALL_KEYS, "1");
	input(b, interface(b, path, "1-1:1.1"), ALL_KEYS, "1");
	assert_true(host_is_last_keyboard(keyboard));
}

static void a_keyboard_that_is_not_usb_counts(void **state)
{
	struct board *b = *state;
	char *path = usb_device(b, "1-1");
	struct device *keyboard = list(b, path, KEYBOARD);
	char *i8042 =
		kept(b, umockdev_testbed_add_device(b->bed, "platform", "i8042", NULL, NULL, NULL));
	char *serio =
		kept(b, umockdev_testbed_add_device(b->bed, "serio", "serio0", i8042, NULL, NULL));

	input(b, interface(b, path, "1-1:1.0"), ALL_KEYS, "1");
	input(b, serio, ALL_KEYS, "1");
	assert_false(host_is_last_keyboard(keyboard));
}

/* The adapter is no keyboard by its descriptors, and takes one away all the same. */
static void a_keyboard_behind_an_adapter_counts(void **state)
{
	struct board *b = *state;
	char *path = usb_device(b, "1-1"), *adapter = usb_device(b, "1-2");
	struct device *keyboard = list(b, path, KEYBOARD),
		      *bluetooth = list(b, adapter, 1u << USB_CLASS_WIRELESS);
	char *far;

	input(b, interface(b, path, "1-1:1.0"), ALL_KEYS, "1");
	assert_true(host_is_last_keyboard(keyboard));
	far = input(b, interface(b, adapter, "1-2:1.0"), ALL_KEYS, "1");
	/* By USB itself it would have to be one by its class. */
	assert_true(host_is_last_keyboard(keyboard));
	umockdev_testbed_set_attribute(b->bed, far, "id/bustype", "0005");
	assert_false(host_is_last_keyboard(keyboard));
	assert_false(host_is_last_keyboard(bluetooth));
	keyboard->ours = true;
	assert_true(host_is_last_keyboard(bluetooth));
}

static void what_is_no_keyboard_for_the_host_does_not_count(void **state)
{
	struct board *b = *state;
	char *path = usb_device(b, "1-1");
	struct device *keyboard = list(b, path, KEYBOARD);
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
	assert_true(host_is_last_keyboard(keyboard));
}

static void what_udev_has_not_seen_is_told_by_its_keys(void **state)
{
	struct board *b = *state;
	char *one = usb_device(b, "1-1"), *two = usb_device(b, "1-2"), *three;

	input(b, interface(b, one, "1-1:1.0"), ALL_KEYS, NULL);
	assert_true(loses(b, one, NULL));
	/* The low word stands alone, and one of the keys is missing. */
	input(b, interface(b, two, "1-2:1.0"), "fffffffffffffffe", NULL);
	assert_false(loses(b, one, NULL));
	three = usb_device(b, "1-3");
	input(b, interface(b, three, "1-3:1.0"), "fffffffffffffffe fffffffffffffffa", NULL);
	assert_true(loses(b, one, two));
}

/* What a device is, is one answer: udev's word does not make a mouse a keyboard that is left. */
static void a_mouse_with_keys_is_no_keyboard(void **state)
{
	struct board *b = *state;
	char *one = usb_device(b, "1-1"), *two = usb_device(b, "1-2");
	struct device *keyboard = list(b, one, KEYBOARD), *mouse = list(b, two, MOUSE);

	input(b, interface(b, one, "1-1:1.0"), ALL_KEYS, "1");
	input(b, interface(b, two, "1-2:1.1"), ALL_KEYS, "1");
	assert_true(host_is_last_keyboard(keyboard));
	assert_false(host_is_last_keyboard(mouse));
	mouse->classes = 1u << USB_CLASS_STORAGE;
	assert_true(host_is_last_keyboard(keyboard));
	assert_false(host_is_last_keyboard(mouse));
	mouse->classes = MOUSE | KEYBOARD;
	assert_false(host_is_last_keyboard(keyboard));
	/* Nobody knows what its reports say, or its descriptors: the host's driver does. */
	mouse->classes = HID;
	assert_false(host_is_last_keyboard(keyboard));
	mouse->classes = 0;
	snprintf(mouse->broken, sizeof(mouse->broken), "cut off");
	assert_false(host_is_last_keyboard(keyboard));
	keyboard->ours = true;
	assert_true(host_is_last_keyboard(mouse));
}

/* It is of the class, and no command can be typed on it. */
static void a_keypad_is_guarded_and_replaces_no_keyboard(void **state)
{
	struct board *b = *state;
	char *one = usb_device(b, "1-1"), *two = usb_device(b, "1-2");
	struct device *keypad = list(b, one, KEYBOARD), *keyboard;

	input(b, interface(b, one, "1-1:1.1"), KEYPAD_KEYS, NULL);
	/* Another interface's: a driver has the pad's own no more. */
	assert_false(host_is_last_keyboard(keypad));
	input(b, interface(b, one, "1-1:1.0"), KEYPAD_KEYS, "0");
	assert_true(host_is_last_keyboard(keypad));
	keyboard = list(b, two, KEYBOARD);
	input(b, interface(b, two, "1-2:1.0"), ALL_KEYS, "1");
	assert_false(host_is_last_keyboard(keypad));
	assert_true(host_is_last_keyboard(keyboard));
	keyboard->ours = true;
	assert_true(host_is_last_keyboard(keypad));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(the_only_one_is_the_last),
		T(a_second_one_sets_the_first_free),
		T(several_nodes_of_one_device_are_one_keyboard),
		T(a_keyboard_that_is_not_usb_counts),
		T(a_keyboard_behind_an_adapter_counts),
		T(what_is_no_keyboard_for_the_host_does_not_count),
		T(what_udev_has_not_seen_is_told_by_its_keys),
		T(a_mouse_with_keys_is_no_keyboard),
		T(a_keypad_is_guarded_and_replaces_no_keyboard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
