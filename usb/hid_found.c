/* SPDX-License-Identifier: BSD-2-Clause */
/* What the HID interfaces of a device are; see hid_found.h. */
#include "usb/hid_found.h"

#include <stdio.h>

#include "base/mem.h"

#define CLASS_HID     3
#define SUBCLASS_BOOT 1

/* Of a HID descriptor's list: HID 1.11, 6.2.1. */
#define LIST_AT	   6
#define LIST_ENTRY 3
#define DT_REPORT  0x22

/**
 * hid_protocol_kinds() - what an interface is by its protocol
 * @interface_class:	bInterfaceClass
 * @subclass:		bInterfaceSubClass
 * @protocol:		bInterfaceProtocol
 *
 * HID 1.11, 4.2 and 4.3.
 *
 * Return: a set of enum hid_kind.
 */
unsigned hid_protocol_kinds(uint8_t interface_class, uint8_t subclass, uint8_t protocol)
{
	if (interface_class != CLASS_HID || subclass != SUBCLASS_BOOT)
		return 0;
	return protocol == 1 ? HID_KEYBOARD : protocol == 2 ? HID_POINTER : 0;
}

/**
 * hid_found_join() - put together what was found before and now
 * @found:	before; gets what is new
 * @more:	now
 *
 * Return: whether anything is.
 */
bool hid_found_join(struct hid_found *found, const struct hid_found *more)
{
	bool news = false;

	for (unsigned s = 0; s < HID_SOURCES; s++)
		for (unsigned i = 0; i < ARRAY_SIZE(found->kinds[s]); i++) {
			news |= more->kinds[s][i] & ~found->kinds[s][i];
			found->kinds[s][i] |= more->kinds[s][i];
		}
	return news;
}

/**
 * hid_found_kinds() - what the device is
 * @found:	what its interfaces are
 *
 * Return: a set of enum hid_kind.
 */
unsigned hid_found_kinds(const struct hid_found *found)
{
	unsigned kinds = 0;

	for (unsigned s = 0; s < HID_SOURCES; s++)
		for (unsigned i = 0; i < ARRAY_SIZE(found->kinds[s]); i++)
			kinds |= found->kinds[s][i];
	return kinds;
}

/**
 * hid_found_text() - what makes a device a keyboard, or a pointer
 * @found:	what its interfaces are
 * @kind:	which of the two
 * @text:	such as "from the report descriptor of interface 1"; of several interfaces the
 *		first; "" where nothing does
 * @size:	room there
 *
 * Return: @text.
 */
char *hid_found_text(const struct hid_found *found, enum hid_kind kind, char *text, size_t size)
{
	static const char *const sources[HID_SOURCES] = {
		[HID_BY_PROTOCOL] = "protocol",
		[HID_BY_REPORTS] = "report descriptor",
	};

	snprintf(text, size, "%s", "");
	for (unsigned s = 0; s < HID_SOURCES; s++)
		for (unsigned i = 0; i < ARRAY_SIZE(found->kinds[s]); i++) {
			if (!(found->kinds[s][i] & kind))
				continue;
			snprintf(text, size, "from the %s of interface %u", sources[s], i);
			return text;
		}
	return text;
}

/**
 * hid_report_length() - how long a HID descriptor says that the report descriptor is
 * @hid:	the HID descriptor, with as many bytes as it says, at least 9
 *
 * As usbhid_parse() of Linux (drivers/hid/usbhid/hid-core.c, 6.1): of several the last counts.
 *
 * Return: bytes; 0 where it doesn't say, or says more than HID_DESCRIPTOR_MAX.
 */
size_t hid_report_length(const uint8_t *hid)
{
	unsigned n = min_t(unsigned, hid[5], (hid[0] - LIST_AT) / LIST_ENTRY);
	size_t length = 0;

	for (unsigned i = 0; i < n; i++) {
		const uint8_t *entry = hid + LIST_AT + i * LIST_ENTRY;

		if (entry[0] == DT_REPORT)
			length = (size_t)(entry[1] | entry[2] << 8);
	}
	return length <= HID_DESCRIPTOR_MAX ? length : 0;
}
