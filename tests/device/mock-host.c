/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A host whose USB devices come and go as standard input says, for programs that are started with
 * $UMOCKDEV_DIR as the first line of standard output names it. A line each, answered by "ok":
 *
 *	add BUSID DEVNUM VENDOR PRODUCT MANUFACTURER NAME SERIAL
 *	remove BUSID
 *
 * VENDOR and PRODUCT are four hexadecimal digits; the last three are text in hexadecimal, so that it
 * may hold anything, or "-". Each device is a keyboard. Run inside umockdev's wrapper.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <umockdev.h>
#include <unistd.h>

static UMockdevTestbed *bed;
static char *root;

static void text_of(const char *hex, char *text, size_t size)
{
	size_t n = 0;
	unsigned byte;

	for (; n + 1 < size && sscanf(hex, "%2x", &byte) == 1; hex += 2)
		text[n++] = (char)byte;
	text[n] = '\0';
}

static void set_text(const char *path, const char *name, const char *hex)
{
	char text[512];

	text_of(hex, text, sizeof(text));
	if (*text)
		umockdev_testbed_set_attribute(bed, path, name, text);
}

static void add(char *const words[8])
{
	unsigned vendor = (unsigned)strtoul(words[3], NULL, 16),
		 product = (unsigned)strtoul(words[4], NULL, 16);
	const uint8_t descriptors[] = {
		18,
		1,
		0x00,
		0x02,
		0,
		0,
		0,
		8,
		(uint8_t)vendor,
		(uint8_t)(vendor >> 8),
		(uint8_t)product,
		(uint8_t)(product >> 8),
		0,
		1,
		1,
		2,
		3,
		1,
		9,
		2,
		34,
		0,
		1,
		1,
		0,
		0xa0,
		49,
		9,
		4,
		0,
		0,
		1,
		3,
		1,
		1,
		0,
		9,
		0x21,
		0x10,
		1,
		0,
		1,
		0x22,
		65,
		0,
		7,
		5,
		0x81,
		3,
		8,
		0,
		10,
	};
	/* umockdev tells of it at once; it has its number, and is a device, once all of it is there. */
	char *path = umockdev_testbed_add_device(
		bed, "usb", words[1], root, "idVendor", words[3], "idProduct", words[4], "busnum",
		"1", "devnum", "0", "speed", "1.5", "bDeviceClass", "00", "bConfigurationValue",
		"1", NULL, "DEVTYPE", "usb_device", "SUBSYSTEM", "usb", NULL);

	set_text(path, "manufacturer", words[5]);
	set_text(path, "product", words[6]);
	set_text(path, "serial", words[7]);
	umockdev_testbed_set_attribute_binary(bed, path, "descriptors", (guint8 *)descriptors,
					      (int)sizeof(descriptors));
	umockdev_testbed_set_attribute(bed, path, "devnum", words[2]);
	umockdev_testbed_uevent(bed, path, "add");
	g_free(path);
}

static void take_away(const char *busid)
{
	char *path = g_strdup_printf("%s/%s", root, busid);

	umockdev_testbed_uevent(bed, path, "remove");
	umockdev_testbed_remove_device(bed, path);
	g_free(path);
}

int main(void)
{
	char line[4096], *pci, *handler;

	bed = umockdev_testbed_new();
	pci = umockdev_testbed_add_device(bed, "pci", "0000:00:14.0", NULL, NULL, NULL);
	root = umockdev_testbed_add_device(bed, "usb", "usb1", pci, "idVendor", "1d6b", "idProduct",
					   "0002", "busnum", "1", "devnum", "1", "speed", "480",
					   "bDeviceClass", "09", NULL, "DEVTYPE", "usb_device",
					   "SUBSYSTEM", "usb", NULL);
	/* What the programs do to their own nodes, such as a tap, is the kernel's to answer. */
	handler = g_build_filename(g_getenv("UMOCKDEV_DIR"), "ioctl", "_default", NULL);
	unlink(handler);
	g_free(handler);
	puts(g_getenv("UMOCKDEV_DIR"));
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		char *words[8] = {0}, *rest = NULL;
		unsigned n = 0;

		for (char *w = strtok_r(line, " \n", &rest); w && n < 8;
		     w = strtok_r(NULL, " \n", &rest))
			words[n++] = w;
		if (n == 8 && !strcmp(words[0], "add"))
			add(words);
		else if (n == 2 && !strcmp(words[0], "remove"))
			take_away(words[1]);
		else
			return 1;
		puts("ok");
		fflush(stdout);
	}
	g_object_unref(bed);
	return 0;
}
