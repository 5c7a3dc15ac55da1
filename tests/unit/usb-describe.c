/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usb-describe - what usbrouted reads in descriptors, for tests that compare it with what others do
 *
 *	usb-describe <LINES	one line a line: FORM CONFIGURATION HEX
 *	usb-describe sysfs CONFIGURATION FILE
 *	usb-describe usbfs CONFIGURATION FILE
 *
 * FORM is sysfs or usbfs, CONFIGURATION a bConfigurationValue or `none`. What is printed, as one line:
 *
 *	1 = 0.0 ff/00/00 extra 2, 81 2 512 0 extra 0; 1.0 …
 *
 * the configuration's value, then each alternate setting (interface, alternate, class, bytes of
 * other descriptors) with its endpoints (address, attributes, wMaxPacketSize, bInterval, bytes), or
 * `fault: TEXT`.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "usb/usb_configuration.h"
#include "usb/usb_descriptor.h"

static uint8_t bytes[USB_DESCRIPTORS_MAX_USBFS];

static void print_configuration(const struct usb_configuration *c)
{
	printf("%u =", c->value);
	for (unsigned i = 0; i < c->n_settings; i++) {
		const struct usb_setting *s = &c->settings[i];

		printf("%s %u.%u %02x/%02x/%02x extra %zu", i ? ";" : "", s->interface,
		       s->alternate, s->interface_class, s->subclass, s->protocol, s->extra.len);
		for (unsigned k = 0; k < s->n_endpoints; k++) {
			const struct usb_endpoint_descriptor *e = &s->endpoints[k];

			printf(", %02x %u %u %u extra %zu", e->address, e->attributes,
			       e->max_packet, e->interval, e->extra.len);
		}
	}
	putchar('\n');
}

static void describe(const char *form, const char *value, size_t len)
{
	_cleanup_(usb_configuration_freep) struct usb_configuration *c = NULL;
	struct usb_descriptor_fault fault = {};
	struct usb_descriptors d;
	int wanted = strcmp(value, "none") ? atoi(value) : USB_NO_CONFIGURATION, i;
	/* Exactly as long, so that a sanitizer sees a byte too many being read. */
	_cleanup_free_ uint8_t *copy = malloc(len + 1);

	memcpy(copy, bytes, len);
	if (usb_descriptors_find(&d, copy, len,
				 strcmp(form, "usbfs") ? USB_DESCRIPTORS_SYSFS
						       : USB_DESCRIPTORS_USBFS,
				 &fault) < 0) {
		printf("fault: %s\n", fault.text);
		return;
	}
	i = usb_descriptors_index(&d, wanted);
	if (i < 0 ||
	    usb_configuration_read(&c, d.configurations[i].bytes, d.configurations[i].len) < 0)
		printf("none of %u\n", d.n);
	else
		print_configuration(c);
}

static size_t read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	while (fd >= 0 && (n = read(fd, bytes + len, sizeof(bytes) - len)) > 0)
		len += (size_t)n;
	if (fd >= 0)
		close(fd);
	return len;
}

static int digit(char c)
{
	const char *digits = "0123456789abcdef", *at = strchr(digits, c);

	return at && c ? (int)(at - digits) : -1;
}

int main(int argc, char **argv)
{
	_cleanup_free_ char *line = NULL;
	char form[8], value[8];
	size_t room = 0;
	int at;

	if (argc == 4) {
		describe(argv[1], argv[2], read_file(argv[3]));
		return 0;
	}
	while (getline(&line, &room, stdin) > 0) {
		size_t len = 0;

		if (sscanf(line, "%7s %7s %n", form, value, &at) != 2)
			return 2;
		for (const char *p = line + at; len < sizeof(bytes) && digit(p[0]) >= 0; p += 2)
			bytes[len++] = (uint8_t)(digit(p[0]) << 4 | digit(p[1]));
		describe(form, value, len);
	}
	return 0;
}
