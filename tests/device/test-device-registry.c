/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which devices are listed, and what is known of them: libudev on a sysfs that umockdev pretends,
 * of a PC and of a board whose controller is a platform device.
 */
#include "tests/device/udev-board.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/devices/device_hid.h"
#include "daemon/devices/device_registry.h"
#include "tests/unit/hid-keyboards.h"

static void a_pc_s_port_is_named_by_its_controller(void **state)
{
	struct board *b = *state;
	char *pci = umockdev_testbed_add_device(b->bed, "pci", "0000:00:14.0", NULL, NULL, NULL);
	char *root = add_device(b, pci, "usb1", "09", "480", "1", NULL, 0);
	char *hub = add_device(b, root, "1-1", "09", "480", "2", NULL, 0);
	char *keyboard = add_device(b, hub, "1-1.2", "00", "1.5", "3", keyboard_descriptors,
				    sizeof(keyboard_descriptors));
	struct device *d;

	board_start(b);
	d = only_device(b); /* neither root hub nor hub */
	assert_string_equal(d->busid, "1-1.2");
	assert_string_equal(d->stable_port, "0000:00:14.0/usb2:1.2");
	assert_int_equal(d->id_vendor, 0x046d);
	assert_int_equal(d->info.speed, 1);
	assert_int_equal(d->info.num_interfaces, 1);
	assert_int_equal(d->classes, 1u << USB_CLASS_HID | 1u << USB_CLASS_HID_KEYBOARD);
	assert_string_equal(d->broken, "");
	g_free(pci);
	g_free(root);
	g_free(hub);
	g_free(keyboard);
}

/* @glue: the chip has a node of its own around the controller, as i.MX 8M Plus has. */
static void expect_board_s_port(struct board *b, bool glue)
{
	char *soc = umockdev_testbed_add_device(b->bed, "platform", "soc@0", NULL, NULL, NULL);
	char *around = glue ? umockdev_testbed_add_device(b->bed, "platform", "32f10100.usb", soc,
							  NULL, NULL)
			    : g_strdup(soc);
	char *dwc3 =
		umockdev_testbed_add_device(b->bed, "platform", "38100000.usb", around, NULL, NULL);
	char *xhci = umockdev_testbed_add_device(b->bed, "platform", "xhci-hcd.1.auto", dwc3, NULL,
						 NULL);
	char *root = add_device(b, xhci, "usb2", "09", "5000", "1", NULL, 0);
	char *disk = add_device(b, root, "2-1", "00", "5000", "2", keyboard_descriptors,
				sizeof(keyboard_descriptors));
	struct device *d;

	board_start(b);
	d = only_device(b);
	assert_string_equal(d->stable_port, "38100000.usb/usb3:1");
	assert_int_equal(d->info.speed, 5);
	g_free(soc);
	g_free(around);
	g_free(dwc3);
	g_free(xhci);
	g_free(root);
	g_free(disk);
}

static void a_board_s_port_is_named_by_what_survives(void **state)
{
	expect_board_s_port(*state, false);
}

static void a_node_around_a_controller_changes_no_name(void **state)
{
	expect_board_s_port(*state, true);
}

static void what_comes_over_vhci_is_not_listed(void **state)
{
	struct board *b = *state;
	char *vhci =
		umockdev_testbed_add_device(b->bed, "platform", "vhci_hcd.0", NULL, NULL, NULL);
	char *root = add_device(b, vhci, "usb3", "09", "480", "1", NULL, 0);
	char *keyboard = add_device(b, root, "3-1", "00", "480", "2", keyboard_descriptors,
				    sizeof(keyboard_descriptors));

	board_start(b);
	assert_true(list_empty(&b->devices.all));
	g_free(vhci);
	g_free(root);
	g_free(keyboard);
}

/* Linux uses it up to the byte that is no descriptor. */
static void a_padded_configuration_is_no_fault(void **state)
{
	static const uint8_t padded[] = {
		18, 1, 0, 2,	0,  0, 0, 64, 0x6d, 4, 0x1c, 0xc3, 0, 1, 0, 0, 0,    1, 9, 2, 26, 0,
		1,  1, 0, 0x80, 50, 9, 4, 0,  0,    1, 0xff, 0,	   0, 0, 7, 5, 0x81, 3, 8, 0, 10, 0,
	};
	struct board *b = *state;
	char *root = add_device(b, NULL, "usb1", "09", "480", "1", NULL, 0);
	char *path = add_device(b, root, "1-1", "00", "480", "2", padded, sizeof(padded));
	struct device *d;

	board_start(b);
	d = only_device(b);
	assert_string_equal(d->broken, "");
	assert_int_equal(d->info.num_interfaces, 1);
	assert_int_equal(d->info.interfaces[0].interface_class, 0xff);
	g_free(root);
	g_free(path);
}

/* Nothing of it is configured: no interface, and no fault. */
static void a_device_without_a_configuration_has_no_interfaces(void **state)
{
	struct board *b = *state;
	char *root = add_device(b, NULL, "usb1", "09", "480", "1", NULL, 0);
	char *path = add_device(b, root, "1-1", "00", "480", "2", keyboard_descriptors,
				sizeof(keyboard_descriptors));
	struct device *d;

	umockdev_testbed_set_attribute(b->bed, path, "bConfigurationValue", "");
	board_start(b);
	d = only_device(b);
	assert_string_equal(d->broken, "");
	assert_int_equal(d->info.num_interfaces, 0);
	assert_int_equal(d->info.num_configurations, 1);
	g_free(root);
	g_free(path);
}

static void broken_descriptors_are_told_of_and_nothing_else_suffers(void **state)
{
	struct board *b = *state;
	char *pci = umockdev_testbed_add_device(b->bed, "pci", "0000:00:14.0", NULL, NULL, NULL);
	char *root = add_device(b, pci, "usb1", "09", "480", "1", NULL, 0);
	char *bad, *good;
	unsigned n_broken = 0, n = 0;

	bad = add_device(b, root, "1-1", "00", "480", "2", keyboard_descriptors, 17);
	good = add_device(b, root, "1-2", "00", "480", "3", keyboard_descriptors,
			  sizeof(keyboard_descriptors));
	board_start(b);
	list_for_each(it, &b->devices.all) {
		struct device *d = list_entry(it, struct device, link);

		n++;
		if (d->broken[0]) {
			n_broken++;
			assert_string_equal(d->busid, "1-1");
			assert_string_equal(
				d->broken, "its device descriptor is cut off after 17 of 18 bytes; "
					   "plug it in again, with another cable or into another "
					   "port, and where that does not help report it with "
					   "what `lsusb -v -s 1:2` prints");
		}
	}
	assert_int_equal(n, 2);
	assert_int_equal(n_broken, 1);
	g_free(pci);
	g_free(root);
	g_free(bad);
	g_free(good);
}

static void another_number_in_the_same_port_is_another_device(void **state)
{
	struct board *b = *state;
	char *pci = umockdev_testbed_add_device(b->bed, "pci", "0000:00:14.0", NULL, NULL, NULL);
	char *root = add_device(b, pci, "usb1", "09", "480", "1", NULL, 0);
	char *keyboard = add_device(b, root, "1-1", "00", "480", "2", keyboard_descriptors,
				    sizeof(keyboard_descriptors));

	board_start(b);
	assert_int_equal(b->added, 1);
	umockdev_testbed_uevent(b->bed, keyboard, "bind");
	turn_until(b, &b->changed, 1);
	assert_int_equal(b->added, 1);
	/* Unplugged and plugged in between two looks: no "remove" was seen. */
	umockdev_testbed_set_attribute(b->bed, keyboard, "devnum", "7");
	umockdev_testbed_uevent(b->bed, keyboard, "add");
	turn_until(b, &b->added, 2);
	assert_int_equal(b->removed, 1);
	assert_int_equal(only_device(b)->devnum, 7);
	umockdev_testbed_uevent(b->bed, keyboard, "remove");
	turn_until(b, &b->removed, 2);
	assert_true(list_empty(&b->devices.all));
	g_free(pci);
	g_free(root);
	g_free(keyboard);
}

static void twins_are_told_apart(void **state)
{
	struct board *b = *state;
	char *pci = umockdev_testbed_add_device(b->bed, "pci", "0000:00:14.0", NULL, NULL, NULL);
	char *root = add_device(b, pci, "usb1", "09", "480", "1", NULL, 0);
	char *one = add_device(b, root, "1-1", "00", "480", "2", keyboard_descriptors,
			       sizeof(keyboard_descriptors));
	char *two = add_device(b, root, "1-2", "00", "480", "3", keyboard_descriptors,
			       sizeof(keyboard_descriptors));
	struct device *d = NULL;
	const char *expected;
	enum device_by by;

	board_start(b);
	assert_int_equal(device_resolve(&b->devices, "046d:c31c", &d, &by, &expected),
			 RESOLVE_AMBIGUOUS);
	assert_int_equal(device_resolve(&b->devices, "port=1-2", &d, &by, &expected), 0);
	assert_string_equal(d->busid, "1-2");
	assert_int_equal(by, DEVICE_BY_PORT);
	assert_int_equal(
		device_resolve(&b->devices, "port=0000:00:14.0/usb2:1", &d, &by, &expected), 0);
	assert_string_equal(d->busid, "1-1");
	assert_int_equal(device_resolve(&b->devices, "046d:0000", &d, &by, &expected),
			 RESOLVE_UNKNOWN);
	assert_int_equal(device_resolve(&b->devices, "class=nonsense", &d, &by, &expected),
			 -EINVAL);
	g_free(pci);
	g_free(root);
	g_free(one);
	g_free(two);
}

/* A device that says nothing of itself, as some do. */
static char *add_nameless(struct board *b, const char *parent, const char *name, const char *vendor,
			  const char *product, const char *says)
{
	char *path = umockdev_testbed_add_device(
		b->bed, "usb", name, parent, "idVendor", vendor, "idProduct", product, "busnum",
		"1", "devnum", "9", "speed", "480", "bDeviceClass", "00", "bConfigurationValue",
		"1", NULL, "DEVTYPE", "usb_device", "SUBSYSTEM", "usb", NULL);

	umockdev_testbed_set_attribute_binary(b->bed, path, "descriptors",
					      (guint8 *)keyboard_descriptors,
					      sizeof(keyboard_descriptors));
	if (says) {
		umockdev_testbed_set_property(b->bed, path, "ID_MODEL_FROM_DATABASE", says);
		umockdev_testbed_set_property(b->bed, path, "ID_VENDOR_FROM_DATABASE", "Maker");
	}
	return path;
}

static void what_says_no_name_has_the_database_s(void **state)
{
	struct board *b = *state;
	char *pci = umockdev_testbed_add_device(b->bed, "pci", "0000:00:14.0", NULL, NULL, NULL);
	char *root = add_device(b, pci, "usb1", "09", "480", "1", NULL, 0);
	char *by_udev = add_nameless(b, root, "1-1", "1111", "2222", "From Udev");
	char *by_file = add_nameless(b, root, "1-2", "046d", "c31c", NULL);
	char *by_none = add_nameless(b, root, "1-3", "ffff", "fffe", NULL);
	char *by_itself = add_device(b, root, "1-4", "00", "480", "4", keyboard_descriptors,
				     sizeof(keyboard_descriptors));
	struct device *d = NULL;
	const char *expected;
	enum device_by by;

	umockdev_testbed_set_property(b->bed, by_itself, "ID_MODEL_FROM_DATABASE", "Not This");
	board_start(b);
	assert_int_equal(device_resolve(&b->devices, "port=1-1", &d, &by, &expected), 0);
	assert_string_equal(d->product, "From Udev");
	assert_string_equal(d->manufacturer, "Maker");
	/* Debian's own database, which udev's package brings. */
	assert_int_equal(device_resolve(&b->devices, "port=1-2", &d, &by, &expected), 0);
	assert_non_null(d->product);
	assert_string_equal(d->product, "Keyboard K120");
	assert_string_equal(d->manufacturer, "Logitech, Inc.");
	assert_int_equal(device_resolve(&b->devices, "port=1-3", &d, &by, &expected), 0);
	assert_null(d->product);
	assert_null(d->manufacturer);
	assert_int_equal(device_resolve(&b->devices, "port=1-4", &d, &by, &expected), 0);
	assert_string_equal(d->product, "USB Keyboard");
	/* What is shown can be said. */
	assert_int_equal(device_resolve(&b->devices, "product=*K120", &d, &by, &expected), 0);
	assert_string_equal(d->busid, "1-2");
	g_free(pci);
	g_free(root);
	g_free(by_udev);
	g_free(by_file);
	g_free(by_none);
	g_free(by_itself);
}

static void what_is_never_routed_is_told_why(void **state)
{
	struct board *b = *state;
	uint8_t hub_inside[sizeof(keyboard_descriptors)];
	char *pci = umockdev_testbed_add_device(b->bed, "pci", "0000:00:14.0", NULL, NULL, NULL);
	char *root = add_device(b, pci, "usb1", "09", "480", "1", NULL, 0);
	char *hub = add_device(b, root, "1-1", "09", "480", "2", NULL, 0);
	char *vhci =
		umockdev_testbed_add_device(b->bed, "platform", "vhci_hcd.0", NULL, NULL, NULL);
	char *far = add_device(b, vhci, "3-1", "00", "480", "2", keyboard_descriptors,
			       sizeof(keyboard_descriptors));
	char *composite;
	const char *why;

	memcpy(hub_inside, keyboard_descriptors, sizeof(hub_inside));
	hub_inside[32] = 9; /* bInterfaceClass */
	composite = add_device(b, root, "1-2", "00", "480", "3", hub_inside, sizeof(hub_inside));
	board_start(b);
	assert_true(list_empty(&b->devices.all));
	why = device_registry_refuses(b->devices.registry, "port=1-1");
	assert_non_null(why);
	assert_non_null(strstr(why, "hub"));
	why = device_registry_refuses(b->devices.registry, "class=hub");
	assert_non_null(why);
	why = device_registry_refuses(b->devices.registry, "port=1-2");
	assert_non_null(why);
	assert_non_null(strstr(why, "one of its interfaces is a hub"));
	why = device_registry_refuses(b->devices.registry, "port=3-1");
	assert_non_null(why);
	assert_non_null(strstr(why, "over USB/IP"));
	assert_null(device_registry_refuses(b->devices.registry, "port=1-9"));
	assert_null(device_registry_refuses(b->devices.registry, "nonsense=1"));
	/* By a change of its configuration, too. */
	umockdev_testbed_set_attribute_binary(b->bed, composite, "descriptors",
					      (guint8 *)keyboard_descriptors,
					      sizeof(keyboard_descriptors));
	umockdev_testbed_uevent(b->bed, composite, "bind");
	turn_until(b, &b->added, 1);
	umockdev_testbed_set_attribute_binary(b->bed, composite, "descriptors", hub_inside,
					      sizeof(hub_inside));
	umockdev_testbed_uevent(b->bed, composite, "bind");
	turn_until(b, &b->removed, 1);
	assert_true(list_empty(&b->devices.all));
	g_free(pci);
	g_free(root);
	g_free(hub);
	g_free(vhci);
	g_free(far);
	g_free(composite);
}

/* A host's HID driver that has an interface, as sysfs shows it. */
static char *add_hid(struct board *b, const char *device, const char *interface, const char *name,
		     const uint8_t *reports, size_t len)
{
	char *parent = umockdev_testbed_add_device(b->bed, "usb", interface, device, NULL,
						   "DEVTYPE", "usb_interface", NULL);
	char *path = umockdev_testbed_add_device(b->bed, "hid", name, parent, NULL, NULL);

	umockdev_testbed_set_attribute_binary(b->bed, path, "report_descriptor", (guint8 *)reports,
					      (int)len);
	g_free(parent);
	return path;
}

#define KEYBOARD (1u << USB_CLASS_HID | 1u << USB_CLASS_HID_KEYBOARD)

static void a_keyboard_is_what_its_reports_say(void **state)
{
	uint8_t plain[sizeof(keyboard_descriptors)];
	struct board *b = *state;
	char *root = add_device(b, NULL, "usb1", "09", "480", "1", NULL, 0);
	char *path, *hid;
	struct device *d;
	char text[80];

	memcpy(plain, keyboard_descriptors, sizeof(plain));
	plain[33] = plain[34] = 0; /* no boot protocol */
	path = add_device(b, root, "1-1", "00", "480", "2", plain, sizeof(plain));
	hid = add_hid(b, path, "1-1:1.0", "0003:046D:C31C.0001", nested_keyboard,
		      sizeof(nested_keyboard));
	board_start(b);
	d = only_device(b);
	assert_int_equal(d->classes, KEYBOARD);
	assert_string_equal(device_class_text(d, USB_CLASS_HID_KEYBOARD, text, sizeof(text)),
			    "from the report descriptor of interface 0");
	assert_string_equal(device_class_text(d, USB_CLASS_HID, text, sizeof(text)), "");
	g_free(root);
	g_free(path);
	g_free(hid);
}

/* The host's driver may come after the device's own event; and it may go, which changes nothing. */
static void what_the_host_s_driver_knows_later_is_heard(void **state)
{
	uint8_t plain[sizeof(keyboard_descriptors)];
	struct board *b = *state;
	char *root = add_device(b, NULL, "usb1", "09", "480", "1", NULL, 0);
	char *path, *hid;
	struct device *d;

	memcpy(plain, keyboard_descriptors, sizeof(plain));
	plain[33] = plain[34] = 0;
	path = add_device(b, root, "1-1", "00", "480", "2", plain, sizeof(plain));
	board_start(b);
	d = only_device(b);
	assert_int_equal(d->classes, 1u << USB_CLASS_HID);
	hid = add_hid(b, path, "1-1:1.0", "0003:046D:C31C.0001", tablet, sizeof(tablet));
	umockdev_testbed_uevent(b->bed, hid, "bind");
	turn_until(b, &b->changed, 1);
	assert_int_equal(d->classes, 1u << USB_CLASS_HID | 1u << USB_CLASS_HID_MOUSE);
	umockdev_testbed_set_attribute_binary(b->bed, hid, "report_descriptor", (guint8 *)"", 0);
	umockdev_testbed_uevent(b->bed, path, "bind");
	turn_until(b, &b->changed, 2);
	assert_int_equal(d->classes, 1u << USB_CLASS_HID | 1u << USB_CLASS_HID_MOUSE);
	g_free(root);
	g_free(path);
	g_free(hid);
}

/* usbfs is what binds when we claim it. */
static void a_driver_of_the_host_s_that_binds_is_heard(void **state)
{
	struct board *b = *state;
	char *root = add_device(b, NULL, "usb1", "09", "480", "1", NULL, 0);
	char *path = add_device(b, root, "1-1", "00", "480", "2", keyboard_descriptors,
				sizeof(keyboard_descriptors));
	char *interface = umockdev_testbed_add_device(b->bed, "usb", "1-1:1.0", path, NULL,
						      "DEVTYPE", "usb_interface", NULL);
	char *other;

	board_start(b);
	umockdev_testbed_set_attribute_link(b->bed, interface, "driver", "../usbfs");
	umockdev_testbed_uevent(b->bed, interface, "bind");
	umockdev_testbed_uevent(b->bed, path, "bind");
	turn_until(b, &b->changed, 1);
	assert_int_equal(b->bound, 0);
	other = umockdev_testbed_add_device(b->bed, "usb", "1-1:1.1", path, NULL, "DEVTYPE",
					    "usb_interface", NULL);
	umockdev_testbed_set_attribute_link(b->bed, other, "driver", "../usb-storage");
	umockdev_testbed_uevent(b->bed, other, "bind");
	turn_until(b, &b->bound, 1);
	umockdev_testbed_uevent(b->bed, interface, "unbind");
	umockdev_testbed_uevent(b->bed, path, "bind");
	turn_until(b, &b->changed, 2);
	assert_int_equal(b->bound, 1);
	/* An interface that goes is no device that goes. */
	umockdev_testbed_uevent(b->bed, interface, "remove");
	umockdev_testbed_uevent(b->bed, path, "bind");
	turn_until(b, &b->changed, 3);
	assert_int_equal(b->removed, 0);
	g_free(root);
	g_free(path);
	g_free(interface);
	g_free(other);
}

/* udevd tells of the new port before it tells that the old one is empty; the list never has both. */
static void a_device_that_moves_is_never_there_twice(void **state)
{
	struct board *b = *state;
	char *pci = umockdev_testbed_add_device(b->bed, "pci", "0000:00:14.0", NULL, NULL, NULL);
	char *root = add_device(b, pci, "usb1", "09", "480", "1", NULL, 0);
	char *before = add_device(b, root, "1-1", "00", "480", "2", keyboard_descriptors,
				  sizeof(keyboard_descriptors));
	char *now;

	board_start(b);
	assert_non_null(by_busid(b, "1-1"));
	umockdev_testbed_remove_device(b->bed, before);
	now = add_device(b, root, "1-3", "00", "480", "3", keyboard_descriptors,
			 sizeof(keyboard_descriptors));
	umockdev_testbed_uevent(b->bed, now, "add");
	turn_until(b, &b->added, 2);
	assert_int_equal(b->removed, 1);
	assert_string_equal(only_device(b)->busid, "1-3");
	g_free(now);
	g_free(before);
	g_free(root);
	g_free(pci);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, board_set_up, board_tear_down)
	const struct CMUnitTest tests[] = {
		T(a_pc_s_port_is_named_by_its_controller),
		T(a_board_s_port_is_named_by_what_survives),
		T(a_node_around_a_controller_changes_no_name),
		T(a_device_that_moves_is_never_there_twice),
		T(what_comes_over_vhci_is_not_listed),
		T(broken_descriptors_are_told_of_and_nothing_else_suffers),
		T(a_padded_configuration_is_no_fault),
		T(a_device_without_a_configuration_has_no_interfaces),
		T(another_number_in_the_same_port_is_another_device),
		T(twins_are_told_apart),
		T(what_says_no_name_has_the_database_s),
		T(what_is_never_routed_is_told_why),
		T(a_keyboard_is_what_its_reports_say),
		T(what_the_host_s_driver_knows_later_is_heard),
		T(a_driver_of_the_host_s_that_binds_is_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
