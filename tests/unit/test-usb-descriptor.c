/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors, good and broken. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "usbip/usb_descriptor.h"

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

static int read(const void *data, size_t len, uint8_t configuration, struct usbip_device_info *info,
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
	struct usbip_device_info info;

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
	assert_int_equal(read(keyboard, sizeof(keyboard), 0, &info, &fault), 0);
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
	struct usbip_device_info info;

	assert_int_equal(read(two, sizeof(two), 5, &info, &fault), 0);
	assert_int_equal(info.num_interfaces, 2);
	assert_int_equal(info.interfaces[0].interface_class, 8);
	/* The first setting, and numbers need not be in a row. */
	assert_int_equal(info.interfaces[1].interface_class, 2);
	assert_int_equal(read(two, sizeof(two), 1, &info, &fault), 0);
	assert_int_equal(info.num_interfaces, 1);
	assert_int_equal(read(two, sizeof(two), 2, &info, &fault), -EBADMSG);
	assert_string_equal(fault.text, "its configuration is 2, and it has none of that number");
}

static void every_length(void **state)
{
	struct usb_descriptor_fault fault;
	struct usbip_device_info info;

	for (size_t n = 0; n < sizeof(keyboard); n++) {
		/* An exact copy, so that a sanitizer sees a byte too many being read. */
		_cleanup_free_ uint8_t *copy = malloc(n ? n : 1);

		memcpy(copy, keyboard, n);
		assert_int_equal(read(copy, n, 1, &info, &fault), -EBADMSG);
		assert_true(fault.text[0]);
		assert_int_equal(info.id_vendor, 0);
	}
}

static void broken(void **state)
{
	static const uint8_t zero[] = {DEVICE(1), CONFIG(18, 1, 1), 0, 4, 0, 0, 0, 3, 0, 0, 0};
	static const uint8_t one[] = {DEVICE(1), CONFIG(18, 1, 1), 1, 4, 0, 0, 0, 3, 0, 0, 0};
	static const uint8_t beyond[] = {DEVICE(1), CONFIG(18, 1, 1), 10, 4, 0, 0, 0, 3, 0, 0, 0};
	static const uint8_t small[] = {DEVICE(1), CONFIG(13, 1, 1), 4, 4, 0, 0};
	static const uint8_t endpoint[] = {DEVICE(1), CONFIG(14, 1, 1), 5, 5, 0x81, 3, 8};
	static const uint8_t odd[] = {DEVICE(1), CONFIG(10, 0, 1), 2};
	static const uint8_t total[] = {DEVICE(1), CONFIG(8, 0, 1)};
	static const uint8_t total_zero[] = {DEVICE(1), CONFIG(0, 0, 1)};
	static const uint8_t too_long[] = {DEVICE(1), CONFIG(200, 0, 1)};
	static const uint8_t missing[] = {DEVICE(3), CONFIG(9, 0, 1)};
	static const uint8_t other[] = {DEVICE(1), INTERFACE(0, 0, 0, 3, 0, 0)};
	static const uint8_t number[] = {DEVICE(1), CONFIG(18, 1, 1), INTERFACE(32, 0, 0, 3, 0, 0)};
	static const uint8_t device[] = {17, 1, 0, 2, 0, 0, 0, 8, 1, 0, 2, 0, 0, 0, 0, 0, 0, 1};
	static const struct {
		const uint8_t *bytes;
		size_t len;
		const char *text;
	} rows[] = {
#define ROW(a, text) {a, sizeof(a), text}
		ROW(zero, "configuration 1: descriptor at byte 9 is 0 bytes long"),
		ROW(one, "configuration 1: descriptor at byte 9 is 1 bytes long"),
		ROW(beyond, "configuration 1: descriptor at byte 9 goes beyond the end"),
		ROW(small, "configuration 1: interface descriptor at byte 9 is 4 bytes long"),
		ROW(endpoint, "configuration 1: endpoint descriptor at byte 9 is 5 bytes long"),
		ROW(odd, "configuration 1: one byte is left over at byte 9"),
		ROW(total, "configuration 1 says that it is 8 bytes long"),
		ROW(total_zero, "configuration 1 says that it is 0 bytes long"),
		ROW(too_long, "configuration 1 says 200 bytes, there are 9"),
		ROW(missing, "3 configurations are announced, 1 are there"),
		ROW(other, "where configuration number 1 is due, there is none"),
		ROW(number, "configuration 1: interface number 32 at byte 9 is above 31"),
		ROW(device, "the device descriptor has length 17 and type 1"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct usb_descriptor_fault fault;
		struct usbip_device_info info;

		assert_int_equal(read(rows[i].bytes, rows[i].len, 1, &info, &fault), -EBADMSG);
		assert_string_equal(fault.text, rows[i].text);
	}
}

/* Announced and found numbers of interfaces differ: those that are there count. */
static void tolerated(void **state)
{
	static const uint8_t fewer[] = {DEVICE(1), CONFIG(18, 9, 1), INTERFACE(0, 0, 0, 3, 0, 0),
					0};
	static const uint8_t more[] = {DEVICE(1), CONFIG(27, 1, 1), INTERFACE(0, 0, 0, 3, 0, 0),
				       INTERFACE(1, 0, 0, 8, 0, 0)};
	struct usb_descriptor_fault fault;
	struct usbip_device_info info;

	assert_int_equal(read(fewer, sizeof(fewer), 1, &info, &fault), 0);
	assert_int_equal(info.num_interfaces, 1);
	assert_int_equal(read(more, sizeof(more), 1, &info, &fault), 0);
	assert_int_equal(info.num_interfaces, 2);
}

/* Any one byte changed: read to the end or refused, never beyond. */
static void mutations(void **state)
{
	_cleanup_free_ uint8_t *copy = malloc(sizeof(keyboard));
	struct usb_descriptor_fault fault;
	struct usbip_device_info info;

	for (size_t at = 0; at < sizeof(keyboard); at++) {
		for (unsigned v = 0; v < 256; v++) {
			memcpy(copy, keyboard, sizeof(keyboard));
			copy[at] = (uint8_t)v;
			read(copy, sizeof(keyboard), 1, &info, &fault);
			assert_in_range(info.num_interfaces, 0, USBIP_MAX_INTERFACES);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),		cmocka_unit_test(second_configuration),
		cmocka_unit_test(every_length), cmocka_unit_test(broken),
		cmocka_unit_test(tolerated),	cmocka_unit_test(mutations),
	};

	return cmocka_run_group_tests_name("usb-descriptor", tests, NULL, NULL);
}
