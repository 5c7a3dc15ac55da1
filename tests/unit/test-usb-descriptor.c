/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors, good and broken. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "usb/usb_configuration.h"
#include "usb/usb_descriptor.h"

#define DEVICE(configurations) \
	18, 1, 0x00, 0x02, 0, 0, 0, 8, 0x6d, 0x04, 0x1c, 0xc3, 0x02, 0x64, 1, 2, 0, configurations
#define CONFIG(total, interfaces, value) 9, 2, total, 0, interfaces, value, 0, 0xa0, 49
#define INTERFACE(number, alternate, endpoints, class, sub, protocol) \
	9, 4, number, alternate, endpoints, class, sub, protocol, 0
#define HID	    9, 0x21, 0x10, 1, 0, 1, 0x22, 65, 0
#define ENDPOINT(a) 7, 5, a, 3, 8, 0, 10

static const uint8_t keyboard[] = {
	DEVICE(1), CONFIG(59, 2, 1), INTERFACE(0, 0, 1, 3, 1, 1),
	HID,	   ENDPOINT(0x81),   INTERFACE(1, 0, 1, 3, 0, 0),
	HID,	   ENDPOINT(0x82),
};

static int read(const void *data, size_t len, int configuration, struct usb_device_info *info,
		struct usb_descriptor_fault *fault)
{
	memset(info, 0, sizeof(*info));
	memset(fault, 0, sizeof(*fault));
	info->speed = 2;
	return usb_descriptor_read(data, len, configuration, info, fault);
}

static void good(void **state)
{
	struct usb_descriptor_fault fault;
	struct usb_device_info info;

	assert_int_equal(read(keyboard, sizeof(keyboard), 1, &info, &fault), 0);
	assert_int_equal(info.id_vendor, 0x046d);
	assert_int_equal(info.id_product, 0xc31c);
	assert_int_equal(info.bcd_device, 0x6402);
	assert_int_equal(info.configuration_value, 1);
	assert_int_equal(info.num_configurations, 1);
	assert_int_equal(info.num_interfaces, 2);
	assert_int_equal(info.interfaces[0].interface_class, 3);
	assert_int_equal(info.interfaces[0].subclass, 1);
	assert_int_equal(info.interfaces[0].protocol, 1);
	assert_int_equal(info.interfaces[1].protocol, 0);
	assert_int_equal(info.speed, 2);
	/* Without a configuration it has no interfaces. */
	assert_int_equal(read(keyboard, sizeof(keyboard), USB_NO_CONFIGURATION, &info, &fault), 0);
	assert_int_equal(info.num_interfaces, 0);
	assert_int_equal(info.configuration_value, 0);
}

static void second_configuration(void **state)
{
	static const uint8_t two[] = {
		DEVICE(2),
		CONFIG(18, 1, 1),
		INTERFACE(0, 0, 0, 3, 0, 0),
		CONFIG(36, 2, 5),
		INTERFACE(0, 0, 0, 8, 6, 80),
		INTERFACE(3, 0, 0, 2, 2, 1),
		INTERFACE(3, 1, 0, 10, 0, 0),
	};
	struct usb_descriptor_fault fault;
	struct usb_device_info info;

	assert_int_equal(read(two, sizeof(two), 5, &info, &fault), 0);
	assert_int_equal(info.num_interfaces, 2);
	assert_int_equal(info.interfaces[0].interface_class, 8);
	/* Setting 0, and numbers need not be in a row. */
	assert_int_equal(info.interfaces[1].interface_class, 2);
	assert_int_equal(read(two, sizeof(two), 1, &info, &fault), 0);
	assert_int_equal(info.num_interfaces, 1);
	assert_int_equal(read(two, sizeof(two), 2, &info, &fault), -EBADMSG);
	assert_string_equal(fault.text, "configuration 2 is active, and none of the 2 that its "
					"descriptors hold has that number");
}

/* Cut anywhere: what is there counts, and nothing beyond is read. */
static void every_length(void **state)
{
	struct usb_descriptor_fault fault;
	struct usb_device_info info;

	for (size_t n = 0; n < sizeof(keyboard); n++) {
		/* An exact copy, so that a sanitizer sees a byte too many being read. */
		_cleanup_free_ uint8_t *copy = malloc(n ? n : 1);
		bool configured = n >= 18 + 9;

		memcpy(copy, keyboard, n);
		assert_int_equal(read(copy, n, 1, &info, &fault), configured ? 0 : -EBADMSG);
		assert_int_equal(!fault.text[0], configured);
		if (configured)
			assert_int_equal(info.num_interfaces, (n >= 36) + (n >= 61));
		else
			assert_int_equal(info.id_vendor, 0);
	}
}

/* What Linux makes no device of, or of which it can't have told. */
static void broken(void **state)
{
	static const uint8_t none[] = {DEVICE(1)};
	static const uint8_t other[] = {DEVICE(1), INTERFACE(0, 0, 0, 3, 0, 0)};
	/* It says that it is shorter than its descriptor, and another one follows there. */
	static const uint8_t small[] = {DEVICE(2), 20, 2, 12, 0,    0, 1, 0,
					0xa0,	   49, 0, 0,  0,    9, 2, 9,
					0,	   0,  2, 0,  0xa0, 2, 0, CONFIG(9, 0, 3)};
	static const uint8_t type[] = {18, 2, 0, 2, 0, 0, 0, 8, 1, 0, 2, 0, 0, 0, 0, 0, 0, 1};
	static const struct {
		const uint8_t *bytes;
		size_t len;
		const char *text;
	} rows[] = {
		{none, 17, "its device descriptor is cut off after 17 of 18 bytes"},
		{type, sizeof(type), "byte 1 of its device descriptor is 2 instead of 1"},
		{none, sizeof(none),
		 "configuration 1 is active, and none of the 0 that its descriptors hold has that "
		 "number"},
		{small, sizeof(small), "configuration 1 is shorter than its own descriptor"},
		{other, sizeof(other),
		 "configuration 1 is active, and none of the 0 that its descriptors hold has that "
		 "number"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct usb_descriptor_fault fault;
		struct usb_device_info info;

		assert_int_equal(read(rows[i].bytes, rows[i].len, 1, &info, &fault), -EBADMSG);
		assert_string_equal(fault.text, rows[i].text);
	}
}

/* Descriptors that real devices have wrong, and how many interfaces Linux sees. */
static void tolerated(void **state)
{
#define ONE INTERFACE(0, 0, 0, 3, 0, 0)
	static const uint8_t length_17[] = {
		17, 1, 0, 2, 0, 0, 0, 8, 1, 0, 2, 0, 0, 0, 0, 0, 0, 1, CONFIG(18, 1, 1), ONE};
	static const uint8_t fewer[] = {DEVICE(1), CONFIG(18, 9, 1), ONE, 0};
	static const uint8_t more[] = {DEVICE(1), CONFIG(27, 1, 1), ONE,
				       INTERFACE(1, 0, 0, 8, 0, 0)};
	static const uint8_t padded[] = {DEVICE(1), CONFIG(26, 1, 1), INTERFACE(0, 0, 1, 255, 0, 0),
					 ENDPOINT(0x81), 0};
	static const uint8_t zero[] = {DEVICE(1), CONFIG(20, 1, 1), ONE, 0, 4, ONE};
	static const uint8_t beyond[] = {DEVICE(1), CONFIG(28, 1, 1), ONE, 10, 4, 1, 0, 0, 3, 0, 0};
	static const uint8_t small[] = {DEVICE(1), CONFIG(22, 1, 1), 4, 4, 9, 9, ONE};
	static const uint8_t large[] = {DEVICE(1), CONFIG(19, 1, 1), 10, 4, 0, 0, 0, 3, 0, 0, 0, 0};
	static const uint8_t odd[] = {DEVICE(1), CONFIG(19, 1, 1), ONE, 2};
	static const uint8_t short_total[] = {DEVICE(1), CONFIG(0, 1, 1)};
	static const uint8_t long_total[] = {DEVICE(1), CONFIG(200, 1, 1), ONE};
	static const uint8_t missing[] = {DEVICE(3), CONFIG(18, 1, 1), ONE};
	static const uint8_t number[] = {DEVICE(1), CONFIG(18, 1, 1),
					 INTERFACE(200, 0, 0, 3, 0, 0)};
	static const uint8_t twice[] = {DEVICE(1), CONFIG(27, 1, 1), ONE, ONE};
	static const uint8_t garbage[] = {DEVICE(1), CONFIG(23, 1, 1), 5, 0xff, 1, 2, 3, ONE};
	static const uint8_t association[] = {DEVICE(1), CONFIG(26, 1, 1), 8, 11, 0, 1, 3, 0, 0, 0,
					      ONE};
	static const uint8_t long_config[] = {DEVICE(1), 11, 2, 20, 0, 1, 1, 0, 0, 0, 7, 7, ONE};
	static const struct {
		const char *name;
		const uint8_t *bytes;
		size_t len;
		unsigned interfaces;
	} rows[] = {
#define ROW(a, n) {#a, a, sizeof(a), n}
		ROW(length_17, 1),   ROW(fewer, 1),	  ROW(more, 2),	      ROW(padded, 1),
		ROW(zero, 1),	     ROW(beyond, 1),	  ROW(small, 1),      ROW(large, 1),
		ROW(odd, 1),	     ROW(short_total, 0), ROW(long_total, 1), ROW(missing, 1),
		ROW(number, 1),	     ROW(twice, 1),	  ROW(garbage, 1),    ROW(association, 1),
		ROW(long_config, 1),
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct usb_descriptor_fault fault;
		struct usb_device_info info;

		if (read(rows[i].bytes, rows[i].len, 1, &info, &fault) ||
		    info.num_interfaces != rows[i].interfaces)
			fail_msg("%s: %u interfaces, %s", rows[i].name, info.num_interfaces,
				 fault.text);
	}
}

/* Some devices number a configuration 0, and it can be active. */
static void configuration_0(void **state)
{
	static const uint8_t bytes[] = {DEVICE(1), CONFIG(18, 1, 0), ONE};
	struct usb_descriptor_fault fault;
	struct usb_device_info info;

	assert_int_equal(read(bytes, sizeof(bytes), 0, &info, &fault), 0);
	assert_int_equal(info.num_interfaces, 1);
	assert_int_equal(read(bytes, sizeof(bytes), USB_NO_CONFIGURATION, &info, &fault), 0);
	assert_int_equal(info.num_interfaces, 0);
}

/* sysfs cuts the first one, and the second follows at once, wherever the first says it ends. */
static void next_by_walking(void **state)
{
	static const uint8_t cut[] = {
		DEVICE(2),
		CONFIG(200, 1, 1),
		INTERFACE(0, 0, 0, 3, 0, 0),
		CONFIG(27, 2, 2),
		ONE,
		INTERFACE(1, 0, 0, 8, 0, 0),
	};
	/* A configuration descriptor inside of one is not the next, where the first is whole. */
	static const uint8_t inside[] = {
		DEVICE(2),
		CONFIG(36, 1, 1),
		ONE,
		CONFIG(9, 0, 7),
		INTERFACE(1, 0, 0, 3, 0, 0),
		CONFIG(18, 1, 2),
		ONE,
	};
	/* Where there is but one, it is all of it. */
	static const uint8_t alone[] = {
		DEVICE(1), CONFIG(18, 1, 1), ONE, CONFIG(18, 1, 2), INTERFACE(1, 0, 0, 3, 0, 0),
	};
	struct usb_descriptor_fault fault;
	struct usb_device_info info;

	assert_int_equal(read(cut, sizeof(cut), 1, &info, &fault), 0);
	assert_int_equal(info.num_interfaces, 1);
	assert_int_equal(read(cut, sizeof(cut), 2, &info, &fault), 0);
	assert_int_equal(info.num_interfaces, 2);
	assert_int_equal(read(inside, sizeof(inside), 1, &info, &fault), 0);
	assert_int_equal(info.num_interfaces, 2);
	assert_int_equal(read(inside, sizeof(inside), 2, &info, &fault), 0);
	assert_int_equal(read(inside, sizeof(inside), 7, &info, &fault), -EBADMSG);
	assert_int_equal(read(alone, sizeof(alone), 1, &info, &fault), 0);
	assert_int_equal(info.num_interfaces, 2);
}

/* usbfs leaves holes: the second is where the first says that it ends. */
static void next_behind_a_hole(void **state)
{
	uint8_t bytes[18 + 60 + 18 + 30] = {DEVICE(2), CONFIG(60, 1, 1), ONE};
	static const uint8_t second[] = {CONFIG(48, 1, 2), ONE};
	_cleanup_(usb_configuration_freep) struct usb_configuration *c = NULL;
	struct usb_descriptor_fault fault;
	struct usb_descriptors d;

	memcpy(bytes + 18 + 60, second, sizeof(second));
	assert_int_equal(
		usb_descriptors_find(&d, bytes, sizeof(bytes), USB_DESCRIPTORS_USBFS, &fault), 0);
	assert_int_equal(d.n, 2);
	assert_int_equal(d.configurations[1].value, 2);
	assert_int_equal(
		usb_configuration_read(&c, d.configurations[1].bytes, d.configurations[1].len), 0);
	assert_int_equal(c->n_interfaces, 1);
	assert_int_equal(c->used, 18);
}

/* Any one byte changed: read to the end or refused, never beyond. */
static void mutations(void **state)
{
	_cleanup_free_ uint8_t *copy = malloc(sizeof(keyboard));
	struct usb_descriptor_fault fault;
	struct usb_device_info info;

	for (size_t at = 0; at < sizeof(keyboard); at++) {
		for (unsigned v = 0; v < 256; v++) {
			memcpy(copy, keyboard, sizeof(keyboard));
			copy[at] = (uint8_t)v;
			read(copy, sizeof(keyboard), 1, &info, &fault);
			assert_in_range(info.num_interfaces, 0, USB_INTERFACES_MAX);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(second_configuration),
		cmocka_unit_test(every_length),
		cmocka_unit_test(broken),
		cmocka_unit_test(tolerated),
		cmocka_unit_test(configuration_0),
		cmocka_unit_test(next_by_walking),
		cmocka_unit_test(next_behind_a_hole),
		cmocka_unit_test(mutations),
	};

	return cmocka_run_group_tests_name("usb-descriptor", tests, NULL, NULL);
}
