/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One configuration as Linux takes it; see usb_configuration.h.
 *
 * The measure is drivers/usb/core/config.c of Linux 6.1 and 6.12 (usb_parse_configuration,
 * usb_parse_interface, usb_parse_endpoint). What Linux accepts is accepted here, and what it leaves
 * out is left out, because the kernel that serves the transfers knows no more:
 *
 *  - descriptors count up to the first one that is shorter than its header or longer than what is
 *    left;
 *  - an interface is what its descriptors say, whatever the configuration announces. The first 32
 *    numbers count, whichever they are, and of a setting that is told twice the first;
 *  - of a setting's endpoints as many count as it announces. One whose address another interface or
 *    the same setting has is left out, and so is endpoint 0.
 *
 * Not followed are the kernel's lists of single devices that need other rules (core/quirks.c). Linux
 * 6.12 takes endpoint addresses with bits 4 to 6 set; usbfs can't name such an endpoint
 * (core/devio.c: findintfep), so they are left out as in 6.1.
 */
#include "usb/usb_configuration.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "usb/usb_spec.h"

/*
 * The run of whole descriptors at the start of some bytes ends at the first one that can't be read.
 */
static const uint8_t *next_descriptor(const uint8_t **p, const uint8_t *end)
{
	const uint8_t *d = *p;
	size_t left = (size_t)(end - d);

	if (left < sizeof(struct usb_descriptor_header) ||
	    d[0] < sizeof(struct usb_descriptor_header) || d[0] > left)
		return NULL;
	*p += d[0];
	return d;
}

/**
 * usb_descriptor_walk() - how far can descriptors be read?
 * @data:	descriptors, one after the other
 * @len:	bytes
 *
 * Return: bytes before the first descriptor that is too short for its header or does not end within
 * @len; @len where there is none.
 */
size_t usb_descriptor_walk(const void *data, size_t len)
{
	const uint8_t *start = data, *p = start;

	while (next_descriptor(&p, start + len))
		;
	return (size_t)(p - start);
}

/* Who has an endpoint address. */
struct address {
	const struct usb_setting *setting; /* the last one that has it; NULL for nobody */
	bool control, control_anywhere;	   /* there; in any setting of its interface */
};

struct reader {
	struct usb_configuration *c;
	struct usb_setting *setting;		  /* being read, or NULL: left out */
	struct usb_endpoint_descriptor *endpoint; /* being read, or NULL */
	struct usb_extra *extra;		  /* who gets what comes, or NULL: nobody */
	unsigned n_endpoints;
	unsigned announced;			/* endpoints of @setting */
	uint8_t n_settings[USB_INTERFACES_MAX]; /* so far */
	uint8_t alternates[USB_INTERFACES_MAX][256 / 8];
	struct address addresses[32];
};

static bool set_bit(uint8_t *bits, uint8_t number)
{
	uint8_t bit = (uint8_t)(1u << (number & 7));
	bool before = bits[number >> 3] & bit;

	bits[number >> 3] |= bit;
	return before;
}

/* The interface's place; a new number gets one while there are free ones. */
static bool place_of(struct usb_configuration *c, uint8_t number, unsigned *ret_place)
{
	unsigned i;

	for (i = 0; i < c->n_interfaces && c->interfaces[i] != number; i++)
		;
	if (i == USB_INTERFACES_MAX)
		return false;
	if (i == c->n_interfaces)
		c->interfaces[c->n_interfaces++] = number;
	*ret_place = i;
	return true;
}

static void read_interface(struct reader *r, const uint8_t *bytes)
{
	struct usb_interface_descriptor_spec d;
	unsigned place;

	r->setting = NULL;
	r->endpoint = NULL;
	r->extra = NULL;
	if (bytes[0] < sizeof(d))
		return;
	memcpy(&d, bytes, sizeof(d));
	if (!place_of(r->c, d.bInterfaceNumber, &place) ||
	    r->n_settings[place] == USB_SETTINGS_MAX ||
	    set_bit(r->alternates[place], d.bAlternateSetting))
		return;
	r->n_settings[place]++;
	r->announced = min_t(unsigned, d.bNumEndpoints, USB_ENDPOINTS_MAX);
	r->setting = &r->c->settings[r->c->n_settings++];
	*r->setting = (struct usb_setting){
		.interface = d.bInterfaceNumber,
		.alternate = d.bAlternateSetting,
		.interface_class = d.bInterfaceClass,
		.subclass = d.bInterfaceSubClass,
		.protocol = d.bInterfaceProtocol,
		.extra.bytes = bytes + bytes[0],
		.endpoints = &r->c->endpoints[r->n_endpoints],
	};
	r->extra = &r->setting->extra;
}

/* Would a new endpoint get in the way of one that has this address? */
static bool collides(const struct address *a, const struct usb_setting *setting, bool same_address,
		     bool control)
{
	if (!a->setting)
		return false;
	if (a->setting == setting)
		return same_address || control || a->control;
	/* Settings of one interface are never active together. */
	if (a->setting->interface == setting->interface)
		return false;
	return same_address || control || a->control_anywhere;
}

static bool take_address(struct reader *r, uint8_t address, bool control)
{
	unsigned slot = (address & 0x0fu) | (address & 0x80u) >> 3;
	struct address *a = &r->addresses[slot];

	if (collides(a, r->setting, true, control) ||
	    collides(&r->addresses[slot ^ 0x10], r->setting, false, control))
		return false;
	a->setting = r->setting;
	a->control = control;
	a->control_anywhere = a->control_anywhere || control;
	return true;
}

static void read_endpoint(struct reader *r, const uint8_t *bytes)
{
	struct usb_endpoint_descriptor_spec d;

	r->endpoint = NULL;
	r->extra = NULL;
	if (!r->setting || bytes[0] < sizeof(d))
		return;
	memcpy(&d, bytes, sizeof(d));
	if ((d.bEndpointAddress & 0x70) || !(d.bEndpointAddress & 0x0f) ||
	    r->setting->n_endpoints >= r->announced ||
	    !take_address(r, d.bEndpointAddress, (d.bmAttributes & 3) == USB_SPEC_CONTROL))
		return;
	r->setting->n_endpoints++;
	r->endpoint = &r->c->endpoints[r->n_endpoints++];
	*r->endpoint = (struct usb_endpoint_descriptor){
		.address = d.bEndpointAddress,
		.attributes = d.bmAttributes,
		.interval = d.bInterval,
		.max_packet = le16_get(d.wMaxPacketSize),
		.extra.bytes = bytes + bytes[0],
	};
	r->extra = &r->endpoint->extra;
}

/* Room for all that may come: as many as there are descriptors of a kind. */
static int make_room(struct usb_configuration *c, const uint8_t *start, const uint8_t *end)
{
	size_t settings = 0, endpoints = 0;

	for (const uint8_t *p = start, *d; (d = next_descriptor(&p, end));) {
		settings += d[1] == USB_DT_INTERFACE;
		endpoints += d[1] == USB_DT_ENDPOINT;
	}
	c->settings = calloc(settings + 1, sizeof(c->settings[0]));
	c->endpoints = calloc(endpoints + 1, sizeof(c->endpoints[0]));
	return c->settings && c->endpoints ? 0 : -ENOMEM;
}

/**
 * usb_configuration_free() - free a configuration
 * @configuration: the configuration, or NULL
 *
 * Return: NULL.
 */
struct usb_configuration *usb_configuration_free(struct usb_configuration *configuration)
{
	if (!configuration)
		return NULL;
	free(configuration->settings);
	free(configuration->endpoints);
	free(configuration);
	return NULL;
}

void usb_configuration_freep(struct usb_configuration **configuration)
{
	*configuration = usb_configuration_free(*configuration);
}

/**
 * usb_configuration_read() - read a configuration
 * @ret_configuration: what it holds, freed with usb_configuration_free()
 * @data:	the configuration descriptor and what belongs to it; borrowed
 * @len:	bytes; what the configuration says of its own length does not count
 *
 * USB 2.0, 9.6; Linux, drivers/usb/core/config.c.
 *
 * Return: 0; -EBADMSG where it does not begin with a configuration descriptor; -ENOMEM.
 */
int usb_configuration_read(struct usb_configuration **ret_configuration, const void *data,
			   size_t len)
{
	_cleanup_(usb_configuration_freep) struct usb_configuration *c = calloc(1, sizeof(*c));
	const uint8_t *start = data, *p = start, *d = start, *end = start + len;
	_cleanup_free_ struct reader *r = calloc(1, sizeof(*r));

	if (!c || !r)
		return -ENOMEM;
	if (!usb_is_configuration(data, len))
		return -EBADMSG;
	c->value = d[offsetof(struct usb_config_descriptor_spec, bConfigurationValue)];
	if (make_room(c, start, end) < 0)
		return -ENOMEM;
	r->c = c;
	next_descriptor(&p, end);
	while ((d = next_descriptor(&p, end))) {
		if (d[1] == USB_DT_INTERFACE)
			read_interface(r, d);
		else if (d[1] == USB_DT_ENDPOINT)
			read_endpoint(r, d);
		else if (r->extra)
			r->extra->len += d[0];
	}
	c->used = (size_t)(p - start);
	*ret_configuration = take_ptr(c);
	return 0;
}

/**
 * usb_configuration_setting() - one alternate setting
 * @configuration: the configuration
 * @interface:	bInterfaceNumber
 * @alternate:	bAlternateSetting
 *
 * Return: the setting, as long as the configuration; NULL where there is none.
 */
const struct usb_setting *usb_configuration_setting(const struct usb_configuration *configuration,
						    uint8_t interface, uint8_t alternate)
{
	for (unsigned i = 0; i < configuration->n_settings; i++) {
		const struct usb_setting *s = &configuration->settings[i];

		if (s->interface == interface && s->alternate == alternate)
			return s;
	}
	return NULL;
}

/**
 * usb_configuration_default() - the setting that an interface has when it is configured
 * @configuration: the configuration
 * @interface:	bInterfaceNumber
 *
 * Alternate setting 0, or the first one where there is no such (core/message.c:
 * usb_set_configuration).
 *
 * Return: the setting, as long as the configuration; NULL where there is no such interface.
 */
const struct usb_setting *usb_configuration_default(const struct usb_configuration *configuration,
						    uint8_t interface)
{
	const struct usb_setting *s = usb_configuration_setting(configuration, interface, 0);

	for (unsigned i = 0; !s && i < configuration->n_settings; i++) {
		if (configuration->settings[i].interface == interface)
			s = &configuration->settings[i];
	}
	return s;
}

/**
 * usb_extra_find() - the first descriptor of a type
 * @extra:	where to look
 * @type:	bDescriptorType
 * @min:	bytes that it has to have; shorter ones are passed over
 *
 * Return: the descriptor, of which byte 0 is its length; NULL where there is none.
 */
const uint8_t *usb_extra_find(const struct usb_extra *extra, uint8_t type, size_t min)
{
	const uint8_t *p = extra->bytes, *d;

	while (extra->len && (d = next_descriptor(&p, extra->bytes + extra->len))) {
		if (d[1] == type && d[0] >= min)
			return d;
	}
	return NULL;
}

/**
 * usb_setting_find() - a class descriptor of an interface, wherever it stands
 * @setting:	the setting
 * @type:	bDescriptorType
 * @min:	bytes that it has to have
 *
 * It belongs before the endpoints, and some devices have it behind one.
 *
 * Return: as usb_extra_find().
 */
const uint8_t *usb_setting_find(const struct usb_setting *setting, uint8_t type, size_t min)
{
	const uint8_t *d = usb_extra_find(&setting->extra, type, min);

	for (unsigned i = 0; !d && i < setting->n_endpoints; i++)
		d = usb_extra_find(&setting->endpoints[i].extra, type, min);
	return d;
}
