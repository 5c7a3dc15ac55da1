/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Class codes (usb.org, "Defined Class Codes") to the words that people use.
 *
 * An interface has the class of its base code and, besides, each finer one that its subclass and
 * protocol name: a boot keyboard is hid and hid.keyboard, an ECM card is comm and network. So a
 * rule for the coarse word covers all of it. CDC data interfaces (0a) are the other half of a comm
 * interface and add nothing.
 */
#include "policy/usb_class.h"

#include <string.h>

#include "base/mem.h"

#define ANY (-1)

static const struct {
	uint8_t base;
	int16_t subclass, protocol;
	enum usb_class class_;
} codes[] = {
	{0x01, ANY, ANY, USB_CLASS_AUDIO},	 {0x02, ANY, ANY, USB_CLASS_COMM},
	{0x02, 0x06, ANY, USB_CLASS_NETWORK},  /* CDC ECM */
	{0x02, 0x0c, ANY, USB_CLASS_NETWORK},  /* CDC EEM */
	{0x02, 0x0d, ANY, USB_CLASS_NETWORK},  /* CDC NCM */
	{0x02, 0x02, 0xff, USB_CLASS_NETWORK}, /* RNDIS, as ACM with a vendor's protocol */
	{0xe0, 0x01, 0x03, USB_CLASS_NETWORK}, /* RNDIS, wireless */
	{0xef, 0x04, 0x01, USB_CLASS_NETWORK}, /* RNDIS, miscellaneous, over Ethernet */
	{0x03, ANY, ANY, USB_CLASS_HID},	 {0x03, 0x01, 0x01, USB_CLASS_HID_KEYBOARD},
	{0x03, 0x01, 0x02, USB_CLASS_HID_MOUSE}, {0x06, ANY, ANY, USB_CLASS_IMAGE},
	{0x07, ANY, ANY, USB_CLASS_PRINTER},	 {0x08, ANY, ANY, USB_CLASS_STORAGE},
	{0x09, ANY, ANY, USB_CLASS_HUB},	 {0x0b, ANY, ANY, USB_CLASS_SMARTCARD},
	{0x0e, ANY, ANY, USB_CLASS_VIDEO},	 {0xe0, ANY, ANY, USB_CLASS_WIRELESS},
	{0xff, ANY, ANY, USB_CLASS_VENDOR},
};

#define NAME(member, name) [USB_CLASS_##member] = name,

static const char *const names[] = {USB_CLASS_LIST(NAME)};

/**
 * usb_class_of() - the classes that one interface, or a device descriptor, stands for
 * @base_class:	bInterfaceClass or bDeviceClass
 * @subclass:	its subclass
 * @protocol:	its protocol
 *
 * Return: a set, empty where the code is none of the known ones.
 */
usb_class_set usb_class_of(uint8_t base_class, uint8_t subclass, uint8_t protocol)
{
	usb_class_set set = 0;

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (codes[i].base == base_class &&
		    (codes[i].subclass == ANY || codes[i].subclass == subclass) &&
		    (codes[i].protocol == ANY || codes[i].protocol == protocol))
			set |= (usb_class_set)1 << codes[i].class_;
	return set;
}

/**
 * usb_class_name() - a class's name
 * @c:	one class, below USB_CLASSES
 *
 * Return: static text.
 */
const char *usb_class_name(enum usb_class c)
{
	return (unsigned)c < USB_CLASSES ? names[c] : "unknown";
}

/**
 * usb_class_parse() - the class with a name
 * @name:	such as "hid.keyboard"
 *
 * Return: an enum usb_class, or -1 where there is none.
 */
int usb_class_parse(const char *name)
{
	for (int i = 0; i < USB_CLASSES; i++)
		if (!strcmp(name, names[i]))
			return i;
	return -1;
}
