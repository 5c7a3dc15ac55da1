/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device's descriptors. The first byte is the active configuration; 255 is none. What the two
 * forms tell must stay within the bytes, and the two readers of the first form must agree.
 */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "usb/usb_configuration.h"
#include "usb/usb_descriptor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each descriptor is told as lying within the configuration's readable part. */
static void check_extra(const struct usb_extra *e, const uint8_t *bytes, size_t used)
{
	if (!e->len)
		return;
	assert(e->bytes >= bytes && e->len <= used - (size_t)(e->bytes - bytes));
	assert(usb_descriptor_walk(e->bytes, e->len) == e->len);
	usb_extra_find(e, 0x21, 6);
}

static void check(const uint8_t *bytes, size_t len)
{
	_cleanup_(usb_configuration_freep) struct usb_configuration *c = NULL;
	unsigned endpoints = 0;

	if (usb_configuration_read(&c, bytes, len) < 0)
		return;
	assert(c->used <= len && c->n_interfaces <= USB_INTERFACES_MAX);
	for (unsigned i = 0; i < c->n_settings; i++) {
		const struct usb_setting *s = &c->settings[i];

		assert(s->endpoints == c->endpoints + endpoints);
		assert(s->n_endpoints <= USB_ENDPOINTS_MAX);
		check_extra(&s->extra, bytes, c->used);
		for (unsigned k = 0; k < s->n_endpoints; k++)
			check_extra(&s->endpoints[k].extra, bytes, c->used);
		endpoints += s->n_endpoints;
		assert(usb_configuration_setting(c, s->interface, s->alternate) == s);
	}
	for (unsigned i = 0; i < c->n_interfaces; i++)
		assert(usb_configuration_default(c, c->interfaces[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct usb_descriptor_fault fault = {};
	struct usb_device_info info = {};
	struct usb_descriptors d;
	int r;

	if (!size)
		return 0;
	r = usb_descriptor_read(data + 1, size - 1, data[0] == 255 ? USB_NO_CONFIGURATION : data[0],
				&info, &fault);
	assert(info.num_interfaces <= USB_INTERFACES_MAX);
	assert(r == 0 || fault.text[0]);
	for (int form = USB_DESCRIPTORS_SYSFS; form <= USB_DESCRIPTORS_USBFS; form++) {
		if (usb_descriptors_find(&d, data + 1, size - 1, (enum usb_descriptors_form)form,
					 &fault) < 0)
			continue;
		for (unsigned i = 0; i < d.n; i++)
			check(d.configurations[i].bytes, d.configurations[i].len);
	}
	return 0;
}
