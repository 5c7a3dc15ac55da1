/* SPDX-License-Identifier: BSD-2-Clause */
/* Base64; see base64.h. */
#include "qemu_agent/base64.h"

#include <stdint.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/**
 * base64_encode() - bytes as text
 * @data:	the bytes
 * @len:	how many
 * @text:	gets BASE64_LEN(@len) characters and a NUL
 */
void base64_encode(const void *data, size_t len, char *text)
{
	const uint8_t *p = data;

	for (size_t at = 0; at < len; at += 3) {
		size_t n = len - at < 3 ? len - at : 3;
		uint32_t bits = (uint32_t)p[at] << 16 | (n > 1 ? (uint32_t)p[at + 1] << 8 : 0) |
				(n > 2 ? p[at + 2] : 0);

		for (unsigned i = 0; i < 4; i++)
			*text++ = i <= n ? digits[bits >> (18 - 6 * i) & 0x3f] : '=';
	}
	*text = '\0';
}

static int value_of(char c)
{
	const char *p = c ? strchr(digits, c) : NULL;

	return p ? (int)(p - digits) : -1;
}

/**
 * base64_decode() - text as bytes
 * @text:	up to a NUL, or to a character that is none of base64's
 * @data:	gets the bytes
 * @size:	how many there is room for; what is more is left out
 *
 * Return: how many bytes.
 */
size_t base64_decode(const char *text, void *data, size_t size)
{
	uint8_t *p = data;
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;
	int v;

	for (; n < size && (v = value_of(*text)) >= 0; text++) {
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		p[n++] = (uint8_t)(bits >> have);
	}
	return n;
}
