/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is a name, a port, an id. The forms exclude one another where a person could type either:
 * an alias never looks like a port, and ':' and '/' are in no name.
 */
#include "policy/name.h"

#include <string.h>

#include "base/mem.h"

static const char *const reserved[] = {"host", "next", "prev", "all", "none", "control"};

/* ctype's follow the locale; a name does not. */
static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_name_char(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       c == '-';
}

/**
 * name_valid() - ask whether something can be the name of a VM, network or group
 * @name:	the text
 *
 * Return: true for 1 to 31 of A-Z a-z 0-9 _ -, but for the words that commands use themselves.
 */
bool name_valid(const char *name)
{
	size_t len = 0;

	for (; name[len]; len++)
		if (len == NAME_MAX_LEN || !is_name_char(name[len]))
			return false;
	if (!len)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (!strcmp(name, reserved[i]))
			return false;
	return true;
}

/**
 * name_valid_alias() - ask whether something can be the name of a device
 * @name:	the text
 *
 * Return: true for a valid name that can't be taken for a port or an id.
 */
bool name_valid_alias(const char *name)
{
	return name_valid(name) && !name_is_busid(name) && !name_is_id(name);
}

/* Skip a decimal number of 1 to 3 digits without a leading zero. */
static const char *skip_number(const char *p)
{
	size_t n = 0;

	if (*p == '0')
		return NULL;
	while (is_digit(p[n]))
		n++;
	return n && n <= 3 ? p + n : NULL;
}

/* Skip a chain of port numbers, "1.2.3", to the text's end; at most six below the root's. */
static bool is_port_chain(const char *p)
{
	for (unsigned tier = 0; tier < 7; tier++) {
		p = skip_number(p);
		if (!p)
			return false;
		if (!*p)
			return true;
		if (*p++ != '.')
			return false;
	}
	return false;
}

/**
 * name_is_busid() - ask whether something is the kernel's name of a port
 * @text:	the text
 *
 * Return: true for the form of "1-1.2": a bus, and ports from the root hub on.
 */
bool name_is_busid(const char *text)
{
	const char *p = skip_number(text);

	return p && *p == '-' && is_port_chain(p + 1);
}

/**
 * name_is_stable_port() - ask whether something is the lasting name of a port
 * @text:	the text
 *
 * Return: true for the form of "0000:00:14.0/usb2:1.2": a controller's sysfs name, the speed of the
 * root hub, and ports from there on.
 */
bool name_is_stable_port(const char *text)
{
	const char *slash = strchr(text, '/');

	if (!slash || slash == text || slash - text > 255)
		return false;
	for (const char *p = text; p < slash; p++)
		if (*p <= ' ' || *p > '~' || *p == '=')
			return false;
	if (strncmp(slash, "/usb2:", 6) && strncmp(slash, "/usb3:", 6))
		return false;
	return is_port_chain(slash + 6);
}

/**
 * name_is_id() - ask whether something is a vendor's and product's number
 * @text:	the text
 *
 * Return: true for the form of "046d:c31c", in either case.
 */
bool name_is_id(const char *text)
{
	for (unsigned i = 0; i < 9; i++)
		if (i == 4 ? text[i] != ':' : !is_hex(text[i]))
			return false;
	return !text[9];
}
