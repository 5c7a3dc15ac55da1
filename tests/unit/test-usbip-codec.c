/* SPDX-License-Identifier: BSD-2-Clause */
/* Every message of USB/IP as bytes, both ways; what a first message or a header may not say. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "usb/usb_request.h"
#include "usb/usb_status.h"
#include "usb/usb_urb.h"
#include "usbip/usbip_codec.h"
#include "usbip/usbip_op.h"

static const uint8_t devlist_request[] = {0x01, 0x11, 0x80, 0x05, 0, 0, 0, 0};
static const uint8_t import_request[40] = {0x01, 0x11, 0x80, 0x03, 0,	0,    0,   0,
					   '1',	 '-',  '1',  '.',  '2', '\0', 'x', 'y'};

static void parse_devlist(void **state)
{
	struct usbip_op op;

	for (size_t n = 0; n < sizeof(devlist_request); n++)
		assert_int_equal(usbip_op_parse(devlist_request, n, &op), USBIP_OP_SHORT);
	assert_int_equal(usbip_op_parse(devlist_request, sizeof(devlist_request), &op), 0);
	assert_int_equal(op.kind, USBIP_OP_DEVLIST);
	assert_int_equal(op.size, 8);
}

static void parse_import(void **state)
{
	uint8_t full[48];
	struct usbip_op op;

	for (size_t n = 0; n < sizeof(import_request); n++)
		assert_int_equal(usbip_op_parse(import_request, n, &op), USBIP_OP_SHORT);
	assert_int_equal(usbip_op_parse(import_request, sizeof(import_request), &op), 0);
	assert_int_equal(op.kind, USBIP_OP_IMPORT);
	assert_int_equal(op.size, 40);
	assert_string_equal(op.busid, "1-1.2");
	/* Not terminated, and a SUBMIT behind it in the same segment. */
	memcpy(full, import_request, 8);
	memset(full + 8, 'a', 40);
	assert_int_equal(usbip_op_parse(full, sizeof(full), &op), 0);
	assert_int_equal(op.size, 40);
	assert_int_equal(strlen(op.busid), 32);
}

static void parse_garbage(void **state)
{
	uint8_t bytes[40];
	struct usbip_op op;

	memcpy(bytes, import_request, sizeof(bytes));
	bytes[1] = 0x06;
	assert_int_equal(usbip_op_parse(bytes, 8, &op), -EPROTONOSUPPORT);
	bytes[1] = 0x11;
	bytes[2] = 0x00;
	assert_int_equal(usbip_op_parse(bytes, 8, &op), -EOPNOTSUPP);
	memcpy(bytes, "GET / HTTP/1.1\r\n", 16);
	assert_int_equal(usbip_op_parse(bytes, 16, &op), -EPROTONOSUPPORT);
}

static void refusals(void **state)
{
	static const uint8_t import_nodev[] = {0x01, 0x11, 0x00, 0x03, 0, 0, 0, 4};
	static const uint8_t import_busy[] = {0x01, 0x11, 0x00, 0x03, 0, 0, 0, 2};
	static const uint8_t list_error[] = {0x01, 0x11, 0x00, 0x05, 0, 0, 0, 5};
	struct usbip_op op = {.kind = USBIP_OP_IMPORT};
	uint8_t buf[64];

	assert_int_equal(usbip_op_refuse(buf, sizeof(buf), &op, USBIP_ST_NODEV), 8);
	assert_memory_equal(buf, import_nodev, 8);
	assert_int_equal(usbip_op_refuse(buf, sizeof(buf), &op, USBIP_ST_DEV_BUSY), 8);
	assert_memory_equal(buf, import_busy, 8);
	op.kind = USBIP_OP_DEVLIST;
	assert_int_equal(usbip_op_refuse(buf, sizeof(buf), &op, USBIP_ST_ERROR), 8);
	assert_memory_equal(buf, list_error, 8);
	assert_int_equal(usbip_op_refuse(buf, 7, &op, USBIP_ST_ERROR), 0);
}

static const struct usb_device_info keyboard = {
	.path = "/sys/devices/pci0000:00/usb1/1-1.2",
	.busid = "1-1.2",
	.busnum = 1,
	.devnum = 7,
	.speed = 2,
	.id_vendor = 0x046d,
	.id_product = 0xc31c,
	.bcd_device = 0x6402,
	.configuration_value = 1,
	.num_configurations = 1,
	.num_interfaces = 2,
	.interfaces = {{3, 1, 1}, {3, 0, 0}},
};
static const uint8_t keyboard_tail[] = {
	0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 2, 0x04, 0x6d, 0xc3, 0x1c, 0x64, 0x02, 0, 0, 0, 1, 1, 2,
};
static const uint8_t keyboard_records[] = {3, 1, 1, 0, 3, 0, 0, 0};

static void import_reply(void **state)
{
	struct usbip_op op = {.kind = USBIP_OP_IMPORT, .busid = "keyboard"};
	uint8_t buf[400], zero[320] = {};
	static const uint8_t head[] = {0x01, 0x11, 0x00, 0x03, 0, 0, 0, 0};

	memset(buf, 0xaa, sizeof(buf));
	assert_int_equal(usbip_op_import_reply(buf, 319, &op, &keyboard), 0);
	assert_int_equal(usbip_op_import_reply(buf, sizeof(buf), &op, &keyboard), 320);
	assert_memory_equal(buf, head, 8);
	assert_string_equal((char *)buf + 8, keyboard.path);
	assert_memory_equal(buf + 8 + strlen(keyboard.path), zero, 256 - strlen(keyboard.path));
	/* The busid that was asked for, not the device's own. */
	assert_memory_equal(buf + 264, "keyboard\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
			    32);
	assert_memory_equal(buf + 296, keyboard_tail, sizeof(keyboard_tail));
	assert_int_equal(buf[320], 0xaa);
	assert_int_equal(usbip_devid(&keyboard), 0x00010007);
}

static void devlist_reply(void **state)
{
	static const uint8_t empty[] = {0x01, 0x11, 0x00, 0x05, 0, 0, 0, 0, 0, 0, 0, 0};
	static const uint8_t head[] = {0x01, 0x11, 0x00, 0x05, 0, 0, 0, 0, 0, 0, 0, 2};
	struct usb_device_info bare = {.busid = "1-2", .busnum = 1, .devnum = 8, .speed = 5};
	const struct usb_device_info *infos[] = {&keyboard, &bare};
	uint8_t buf[700];

	assert_int_equal(usbip_op_devlist_reply(buf, sizeof(buf), NULL, 0), 12);
	assert_memory_equal(buf, empty, 12);
	assert_int_equal(usbip_op_devlist_size(infos, 2), 12 + 312 + 8 + 312);
	assert_int_equal(usbip_op_devlist_reply(buf, 643, infos, 2), 0);
	assert_int_equal(usbip_op_devlist_reply(buf, sizeof(buf), infos, 2), 644);
	assert_memory_equal(buf, head, 12);
	assert_string_equal((char *)buf + 12, keyboard.path);
	assert_string_equal((char *)buf + 12 + 256, "1-1.2");
	assert_memory_equal(buf + 12 + 288, keyboard_tail, sizeof(keyboard_tail));
	assert_memory_equal(buf + 12 + 312, keyboard_records, 8);
	assert_string_equal((char *)buf + 332 + 256, "1-2");
	assert_int_equal(buf[643], 0);
}

/* SUBMIT of a GET_DESCRIPTOR, as Linux 6.1 sends it. */
static const uint8_t submit[48] = {
	0, 0, 0, 1, 0x00, 0x00, 0x0d, 0x05, 0x00, 0x01, 0x00, 0x07, 0,	  0,	0,    1,
	0, 0, 0, 0, 0x00, 0x00, 0x02, 0x00, 0,	  0,	0,    0x12, 0,	  0,	0,    0,
	0, 0, 0, 0, 0,	  0,	0,    0,    0x80, 0x06, 0x00, 0x01, 0x00, 0x00, 0x12, 0x00,
};
static const uint8_t unlink_pdu[48] = {
	0, 0, 0, 2, 0x00, 0x00, 0x0d, 0x06, 0x00, 0x01, 0x00, 0x07,
	0, 0, 0, 0, 0,	  0,	0,    0,    0x00, 0x00, 0x0d, 0x05,
};

static void read_submit(void **state)
{
	static const uint8_t setup[] = {0x80, 6, 0, 1, 0, 0, 0x12, 0};
	struct usbip_request request;
	const char *fault;

	assert_int_equal(usbip_codec_request(submit, &request, &fault), 0);
	assert_int_equal(request.command, USBIP_SUBMIT);
	assert_int_equal(request.seqnum, 0xd05);
	assert_int_equal(request.devid, 0x10007);
	assert_true(request.in);
	assert_int_equal(request.ep, 0);
	assert_int_equal(request.flags, 0x200);
	assert_int_equal(request.length, 18);
	assert_int_equal(request.n_packets, 0);
	assert_memory_equal(request.setup, setup, 8);
}

/* SUBMIT of an interrupt IN, as usbip-win2 sends it: direction in the seqnum, -1 packets. */
static void read_submit_windows(void **state)
{
	static const uint8_t bytes[48] = {
		0, 0, 0, 1, 0x00, 0x00, 0x00, 0x2b, 0x00, 0x01, 0x00, 0x07, 0, 0,
		0, 1, 0, 0, 0,	  1,	0x00, 0x00, 0x00, 0x00, 0,    0,    0, 0x08,
		0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0,	  0,	0,    0x0a,
	};
	struct usbip_request request;
	const char *fault;

	assert_int_equal(usbip_codec_request(bytes, &request, &fault), 0);
	assert_int_equal(request.n_packets, -1);
	assert_int_equal(request.interval, 10);
	assert_int_equal(request.ep, 1);
}

static void read_unlink(void **state)
{
	struct usbip_request request;
	const char *fault;

	assert_int_equal(usbip_codec_request(unlink_pdu, &request, &fault), 0);
	assert_int_equal(request.command, USBIP_UNLINK);
	assert_int_equal(request.seqnum, 0xd06);
	assert_int_equal(request.victim, 0xd05);
}

static void read_faults(void **state)
{
	static const struct {
		size_t at;
		uint8_t byte;
	} faults[] = {
		{3, 0},	    {3, 3},	{3, 4}, {0, 1}, /* command */
		{15, 2},    {12, 0x80},			/* direction */
		{19, 16},   {16, 0xff},			/* endpoint */
		{24, 0x80}, {24, 0x01},			/* length: negative, 16 MiB and some */
	};

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		struct usbip_request request;
		const char *fault = NULL;
		uint8_t bytes[48];

		memcpy(bytes, submit, 48);
		bytes[faults[i].at] = faults[i].byte;
		assert_int_equal(usbip_codec_request(bytes, &request, &fault), -EPROTO);
		assert_non_null(fault);
	}
}

static void write_answers(void **state)
{
	static const uint8_t ret_submit[48] = {
		0,    0,    0,	  3,	0x00, 0x00, 0x0d, 0x05, 0,    0,    0, 0, 0, 0,
		0,    0,    0,	  0,	0,    0,    0xff, 0xff, 0xff, 0xe0, 0, 0, 0, 8,
		0x01, 0x02, 0x03, 0x04, 0xff, 0xff, 0xff, 0xff, 0,    0,    0, 2,
	};
	static const uint8_t ret_unlink[48] = {
		0, 0, 0, 4, 0x00, 0x00, 0x0d, 0x06, 0,	  0,	0,    0,
		0, 0, 0, 0, 0,	  0,	0,    0,    0xff, 0xff, 0xff, 0x98,
	};
	uint8_t buf[48];

	memset(buf, 0xaa, sizeof(buf));
	usbip_codec_ret_submit(buf, &(struct usbip_submit_answer){
					    .seqnum = 0xd05,
					    .status = -EPIPE,
					    .actual_length = 8,
					    .start_frame = 0x01020304,
					    .n_packets = -1,
					    .error_count = 2,
				    });
	assert_memory_equal(buf, ret_submit, 48);
	memset(buf, 0xaa, sizeof(buf));
	usbip_codec_ret_unlink(buf, 0xd06, -ECONNRESET);
	assert_memory_equal(buf, ret_unlink, 48);
}

static void packets(void **state)
{
	static const uint8_t bytes[32] = {
		[19] = 0x10, [22] = 0x01, [23] = 0x02, [27] = 0x33,
		[28] = 0xff, [29] = 0xff, [30] = 0xff, [31] = 0xee,
	};
	struct usb_packet p[2];

	memcpy(p, bytes, sizeof(p));
	usbip_codec_read_packets(p, 2);
	assert_int_equal(p[1].offset, 0x10);
	assert_int_equal(p[1].length, 0x102);
	assert_int_equal(p[1].actual_length, 0x33);
	assert_int_equal(p[1].status, -18);
	usbip_codec_write_packets(p, 2);
	assert_memory_equal(p, bytes, 32);
}

static void special_requests(void **state)
{
	static const struct {
		uint8_t setup[8];
		enum usb_request_kind kind;
	} rows[] = {
		{{0x80, 6, 0, 1, 0, 0, 18, 0}, USB_REQUEST_RAW},
		{{0x00, 5, 9, 0, 0, 0, 0, 0}, USB_REQUEST_SET_ADDRESS},
		{{0x00, 9, 1, 0, 0, 0, 0, 0}, USB_REQUEST_SET_CONFIGURATION},
		{{0x01, 11, 2, 0, 1, 0, 0, 0}, USB_REQUEST_SET_INTERFACE},
		{{0x02, 1, 0, 0, 0x81, 0, 0, 0}, USB_REQUEST_CLEAR_HALT},
		{{0x02, 1, 0, 0, 0x00, 0, 0, 0}, USB_REQUEST_RAW},
		{{0x02, 1, 0, 0, 0x80, 0, 0, 0}, USB_REQUEST_RAW},
		{{0x02, 1, 1, 0, 0x81, 0, 0, 0}, USB_REQUEST_RAW},
		{{0x02, 3, 0, 0, 0x81, 0, 0, 0}, USB_REQUEST_RAW},
		{{0x23, 3, 4, 0, 1, 0, 0, 0}, USB_REQUEST_RESET},
		{{0x23, 3, 8, 0, 1, 0, 0, 0}, USB_REQUEST_REFUSE},
		{{0xa3, 0, 0, 0, 1, 0, 4, 0}, USB_REQUEST_REFUSE},
		{{0x21, 10, 0, 0, 0, 0, 0, 0}, USB_REQUEST_RAW},
		{{0x40, 9, 1, 0, 0, 0, 0, 0}, USB_REQUEST_RAW},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(usb_request_read(rows[i].setup).kind, rows[i].kind);
	assert_int_equal(usb_request_read(rows[2].setup).configuration, 1);
	assert_int_equal(usb_request_read(rows[3].setup).interface, 1);
	assert_int_equal(usb_request_read(rows[3].setup).alternate, 2);
	assert_int_equal(usb_request_read(rows[4].setup).endpoint, 0x81);
}

static void shortened(void **state)
{
	static const struct {
		uint8_t setup[8];
		bool can;
	} rows[] = {
		{{0x80, 6, 0, 2, 0, 0, 0xff, 0xff}, true},
		{{0x81, 6, 0, 0x22, 0, 0, 0xff, 0xff}, true},
		{{0xa1, 6, 0, 2, 0, 0, 0xff, 0xff}, false},
		{{0xc0, 6, 0, 2, 0, 0, 0xff, 0xff}, false},
		{{0x00, 6, 0, 2, 0, 0, 0xff, 0xff}, false},
		{{0x80, 7, 0, 2, 0, 0, 0xff, 0xff}, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t setup[8];

		memcpy(setup, rows[i].setup, 8);
		assert_int_equal(usb_request_shorten(setup, 4096), rows[i].can);
		assert_memory_equal(setup, rows[i].setup, 6);
		assert_int_equal(setup[6] | setup[7] << 8, rows[i].can ? 4096 : 0xffff);
	}
}

static void amended_replies(void **state)
{
	static const uint8_t get_config[] = {0x80, 6, 0, 2, 0, 0, 9, 0};
	static const uint8_t get_device[] = {0x80, 6, 0, 1, 0, 0, 18, 0};
	uint8_t data[9] = {9, 2, 34, 0, 1, 1, 0, 0xa0, 49};

	usb_request_amend_reply(get_device, data, 9);
	usb_request_amend_reply(get_config, data, 7);
	assert_int_equal(data[7], 0xa0);
	usb_request_amend_reply(get_config, data, 8);
	assert_int_equal(data[7], 0x80);
}

static void statuses(void **state)
{
	assert_int_equal(usb_status_of_transfer(LIBUSB_TRANSFER_COMPLETED), 0);
	assert_int_equal(usb_status_of_transfer(LIBUSB_TRANSFER_STALL), -EPIPE);
	assert_int_equal(usb_status_of_transfer(LIBUSB_TRANSFER_ERROR), -EPROTO);
	assert_int_equal(usb_status_of_transfer(LIBUSB_TRANSFER_OVERFLOW), -EOVERFLOW);
	assert_int_equal(usb_status_of_transfer(LIBUSB_TRANSFER_TIMED_OUT), -ETIMEDOUT);
	assert_int_equal(usb_status_of_transfer(LIBUSB_TRANSFER_NO_DEVICE), -ESHUTDOWN);
	assert_int_equal(usb_status_of_packet(LIBUSB_TRANSFER_COMPLETED), 0);
	assert_int_equal(usb_status_of_packet(LIBUSB_TRANSFER_ERROR), -EXDEV);
	assert_int_equal(usb_status_of_packet(LIBUSB_TRANSFER_OVERFLOW), -EOVERFLOW);
	assert_int_equal(usb_status_of_submit(LIBUSB_ERROR_NO_DEVICE), -ENODEV);
	assert_int_equal(usb_status_of_submit(LIBUSB_ERROR_NO_MEM), -ENOMEM);
	assert_int_equal(usb_status_of_submit(LIBUSB_ERROR_NOT_FOUND), -ENOENT);
	assert_int_equal(usb_status_of_submit(LIBUSB_ERROR_IO), -EPROTO);
	assert_int_equal(usb_status_of_call(0), 0);
	assert_int_equal(usb_status_of_call(-EINVAL), -EPIPE);
	assert_int_equal(usb_status_of_call(-ENODEV), -ENODEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_devlist),    cmocka_unit_test(parse_import),
		cmocka_unit_test(parse_garbage),    cmocka_unit_test(refusals),
		cmocka_unit_test(import_reply),	    cmocka_unit_test(devlist_reply),
		cmocka_unit_test(read_submit),	    cmocka_unit_test(read_submit_windows),
		cmocka_unit_test(read_unlink),	    cmocka_unit_test(read_faults),
		cmocka_unit_test(write_answers),    cmocka_unit_test(packets),
		cmocka_unit_test(special_requests), cmocka_unit_test(amended_replies),
		cmocka_unit_test(statuses),	    cmocka_unit_test(shortened),
	};

	return cmocka_run_group_tests_name("usbip-codec", tests, NULL, NULL);
}
