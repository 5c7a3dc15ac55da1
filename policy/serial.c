/* SPDX-License-Identifier: BSD-2-Clause */
/* Serial numbers that contain the port; see serial.h. */
#include "policy/serial.h"

#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_word_char(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Whether a word ends before @p; "1-1" does not end within "1-1.2". */
static bool word_ends(const char *p)
{
	return !is_word_char(*p) && !(*p == '.' && is_digit(p[1]));
}

static bool has_word(const char *text, const char *word, size_t len)
{
	for (const char *p = strstr(text, word); p; p = strstr(p + 1, word))
		if ((p == text || !is_word_char(p[-1])) && word_ends(p + len))
			return true;
	return false;
}

/* 0000:00:04.0: a domain, a bus, a slot, a function. */
static size_t pci_address(const char *p)
{
	static const char form[] = "xxxx:xx:xx.7";
	size_t i;

	for (i = 0; form[i]; i++) {
		bool fits = form[i] == 'x'   ? is_hex(p[i])
			    : form[i] == '7' ? p[i] >= '0' && p[i] <= '7'
					     : p[i] == form[i];

		if (!fits)
			return 0;
	}
	return i;
}

static bool has_pci_address(const char *text)
{
	for (const char *p = text; *p; p++) {
		size_t len = p == text || !is_word_char(p[-1]) ? pci_address(p) : 0;

		if (len && !is_word_char(p[len]))
			return true;
	}
	return false;
}

static bool has_controller(const char *serial, const char *stable_port)
{
	const char *slash = stable_port ? strchr(stable_port, '/') : NULL;
	char name[256];
	size_t len = slash ? (size_t)(slash - stable_port) : 0;

	if (!len || len >= sizeof(name))
		return false;
	memcpy(name, stable_port, len);
	name[len] = '\0';
	return has_word(serial, name, len);
}

/* Ends with "-1.2", the ports below the root hub. */
static bool ends_with_ports(const char *serial, const char *stable_port)
{
	const char *ports = stable_port ? strrchr(stable_port, ':') : NULL;
	const char *dash = strrchr(serial, '-');

	return ports && dash && strchr(ports, '.') && !strcmp(dash + 1, ports + 1);
}

/**
 * serial_lasting() - the serial number that a device has in whichever port it is
 * @device:	the device; its serial, busid and stable port
 *
 * Return: the device's serial; NULL where it has none, or one that contains the port.
 */
const char *serial_lasting(const struct device_facts *device)
{
	const char *serial = device->serial;

	if (!serial || !*serial)
		return NULL;
	if ((device->busid && has_word(serial, device->busid, strlen(device->busid))) ||
	    has_controller(serial, device->stable_port) || has_pci_address(serial) ||
	    ends_with_ports(serial, device->stable_port))
		return NULL;
	return serial;
}
