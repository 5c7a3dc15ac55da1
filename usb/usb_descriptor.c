/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the configurations of a device lie in what Linux hands out; see usb_descriptor.h.
 *
 * Little is a fault here: if Linux has made a device of it, it is one. Descriptors that are cut off
 * or odd inside a configuration end that configuration and nothing else.
 */
#include "usb/usb_descriptor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "usb/usb_configuration.h"
#include "usb/usb_spec.h"

static int _printf_(2, 3) fault(struct usb_descriptor_fault *f, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(f->text, sizeof(f->text), format, args);
	va_end(args);
	return -EBADMSG;
}

static size_t announced_length(const uint8_t *configuration)
{
	struct usb_config_descriptor_spec d;

	memcpy(&d, configuration, sizeof(d));
	return le16_get(d.wTotalLength);
}

/*
 * Where the next configuration begins, in sysfs' form. If this one is whole, it begins where this
 * one says that it ends; if it is cut, at the next configuration descriptor. A device may have such
 * a descriptor inside a configuration, too. So the length that this one says counts if a
 * configuration descriptor is there, and enough of them for the other @more configurations.
 */
static size_t find_next(const uint8_t *p, size_t left, unsigned more)
{
	size_t said = max_t(size_t, announced_length(p), sizeof(struct usb_config_descriptor_spec));
	size_t end = usb_descriptor_walk(p, left), first = left;
	unsigned after = 0;

	for (size_t at = p[0]; at < end; at += p[at]) {
		if (!usb_is_configuration(p + at, left - at))
			continue;
		if (first == left)
			first = at;
		if (at >= said)
			after++;
	}
	return said < left && after >= more && usb_is_configuration(p + said, left - said) ? said
											   : first;
}

static void find_configurations(struct usb_descriptors *d, const uint8_t *p, size_t left,
				enum usb_descriptors_form form)
{
	unsigned n = min_t(unsigned, d->announced, USB_CONFIGURATIONS_MAX);

	while (d->n < n && usb_is_configuration(p, left)) {
		size_t step, len = left;

		if (form == USB_DESCRIPTORS_USBFS)
			step = announced_length(p);
		else
			step = d->n + 1 < n ? find_next(p, left, n - d->n - 1) : left;
		/*
		 * If a configuration says fewer than 9 bytes, Linux reads 9, and usbfs shows only
		 * the fewer: such a configuration has no interfaces, and its number is not shown.
		 */
		if (step < sizeof(struct usb_config_descriptor_spec)) {
			p += step;
			left -= step;
			n--;
			continue;
		}
		if (step < left)
			len = step;
		d->configurations[d->n].bytes = p;
		d->configurations[d->n].len = len;
		d->configurations[d->n].value =
			p[offsetof(struct usb_config_descriptor_spec, bConfigurationValue)];
		d->n++;
		p += len;
		left -= len;
	}
}

/**
 * usb_descriptors_find() - find a device's configurations
 * @ret_descriptors: set on success; borrows @data
 * @data:	what Linux hands out
 * @len:	bytes
 * @form:	in which form
 * @ret_fault:	set on failure, in words
 *
 * Fewer configurations than the device announces are no fault.
 *
 * Return: 0; -EBADMSG where there is no device descriptor.
 */
int usb_descriptors_find(struct usb_descriptors *ret_descriptors, const void *data, size_t len,
			 enum usb_descriptors_form form, struct usb_descriptor_fault *ret_fault)
{
	struct usb_device_descriptor_spec d;

	if (len < sizeof(d))
		return fault(ret_fault, "its device descriptor is cut off after %zu of %zu bytes",
			     len, sizeof(d));
	memcpy(&d, data, sizeof(d));
	/* Linux looks at the type alone (core/message.c: usb_get_descriptor). */
	if (d.bDescriptorType != USB_DT_DEVICE)
		return fault(ret_fault, "byte 1 of its device descriptor is %u instead of %u",
			     d.bDescriptorType, USB_DT_DEVICE);
	*ret_descriptors = (struct usb_descriptors){
		.id_vendor = le16_get(d.idVendor),
		.id_product = le16_get(d.idProduct),
		.bcd_device = le16_get(d.bcdDevice),
		.device_class = d.bDeviceClass,
		.device_subclass = d.bDeviceSubClass,
		.device_protocol = d.bDeviceProtocol,
		.announced = d.bNumConfigurations,
	};
	find_configurations(ret_descriptors, (const uint8_t *)data + sizeof(d), len - sizeof(d),
			    form);
	return 0;
}

/**
 * usb_descriptors_index() - which of its configurations is meant
 * @descriptors: all
 * @configuration: a bConfigurationValue, or USB_NO_CONFIGURATION
 *
 * Where two have one value, Linux takes the first (core/message.c: usb_set_configuration).
 *
 * Return: its place; -ENOENT where there is none.
 */
int usb_descriptors_index(const struct usb_descriptors *descriptors, int configuration)
{
	for (unsigned i = 0; i < descriptors->n; i++) {
		if (descriptors->configurations[i].value == configuration)
			return (int)i;
	}
	return -ENOENT;
}

/* The interfaces of one configuration, with the classes that they have when it is set. */
static int tell_interfaces(const struct usb_descriptors *d, unsigned i,
			   struct usb_device_info *info)
{
	_cleanup_(usb_configuration_freep) struct usb_configuration *c = NULL;
	int r = usb_configuration_read(&c, d->configurations[i].bytes, d->configurations[i].len);

	if (r < 0)
		return r;
	info->configuration_value = c->value;
	info->num_interfaces = (uint8_t)c->n_interfaces;
	for (unsigned k = 0; k < c->n_interfaces; k++) {
		const struct usb_setting *s = usb_configuration_default(c, c->interfaces[k]);

		info->interfaces[k].interface_class = s->interface_class;
		info->interfaces[k].subclass = s->subclass;
		info->interfaces[k].protocol = s->protocol;
	}
	return 0;
}

/**
 * usb_descriptor_read() - what a device's descriptors tell of it
 * @data:	sysfs "descriptors"
 * @len:	bytes
 * @configuration: bConfigurationValue of the active configuration, which may be 0;
 *		USB_NO_CONFIGURATION where none is active: then there are no interfaces
 * @info:	its numbers, classes, configuration and interfaces are set on success; path, busid,
 *		busnum, devnum and speed are the caller's
 * @ret_fault:	set where the descriptors are broken, in words
 *
 * USB 2.0, 9.6, and Linux, drivers/usb/core/config.c. Interfaces are told in the order in which
 * their numbers come, with the classes of alternate setting 0.
 *
 * Return: 0; -EBADMSG where the descriptors are broken; -ENOMEM.
 */
int usb_descriptor_read(const void *data, size_t len, int configuration,
			struct usb_device_info *info, struct usb_descriptor_fault *ret_fault)
{
	struct usb_device_info out = *info;
	struct usb_descriptors d;
	int r = usb_descriptors_find(&d, data, len, USB_DESCRIPTORS_SYSFS, ret_fault);

	if (r < 0)
		return r;
	out.id_vendor = d.id_vendor;
	out.id_product = d.id_product;
	out.bcd_device = d.bcd_device;
	out.device_class = d.device_class;
	out.device_subclass = d.device_subclass;
	out.device_protocol = d.device_protocol;
	out.num_configurations = d.announced;
	out.configuration_value = 0;
	out.num_interfaces = 0;
	memset(out.interfaces, 0, sizeof(out.interfaces));
	if (configuration != USB_NO_CONFIGURATION) {
		r = usb_descriptors_index(&d, configuration);
		if (r < 0)
			return fault(
				ret_fault,
				"configuration %d is active, and none of the %u that its descriptors hold has that number",
				configuration, d.n);
		/* What is beyond could be of any class, and is not to be guessed at. */
		if (r && (unsigned)r + 1 == d.n && len >= USB_DESCRIPTORS_MAX)
			return fault(ret_fault,
				     "configuration %d goes beyond the %u bytes that Linux shows",
				     configuration, USB_DESCRIPTORS_MAX);
		r = tell_interfaces(&d, (unsigned)r, &out);
		if (r == -EBADMSG)
			return fault(ret_fault,
				     "configuration %d is shorter than its own descriptor",
				     configuration);
		if (r < 0)
			return r;
	}
	*info = out;
	return 0;
}
