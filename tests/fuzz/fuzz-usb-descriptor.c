/* SPDX-License-Identifier: BSD-2-Clause */
/* A device's descriptors; the first byte is the active configuration. */
#include <assert.h>

#include "usbip/usb_descriptor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct usb_descriptor_fault fault = {};
	struct usbip_device_info info = {};
	int r;

	if (!size)
		return 0;
	r = usb_descriptor_read(data + 1, size - 1, data[0], &info, &fault);
	assert(info.num_interfaces <= USBIP_MAX_INTERFACES);
	assert(r == 0 || fault.text[0]);
	return 0;
}
