/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection's first message from anybody. */
#include <assert.h>
#include <string.h>

#include "usbip/usbip_op.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct usbip_op op;

	if (usbip_op_parse(data, size, &op) == 0) {
		struct usb_device_info info = {.num_interfaces = USB_INTERFACES_MAX};
		uint8_t buf[USBIP_OP_IMPORT_REPLY_SIZE];

		assert(op.size <= size);
		assert(strnlen(op.busid, sizeof(op.busid)) <= USBIP_BUSID_SIZE);
		assert(usbip_op_import_reply(buf, sizeof(buf), &op, &info) == sizeof(buf));
		assert(usbip_op_refuse(buf, sizeof(buf), &op, USBIP_ST_NODEV) == 8);
	}
	return 0;
}
