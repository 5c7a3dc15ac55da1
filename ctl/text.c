/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * UTF-8 in, UTF-8 out, whatever the caller's locale is: the widths of characters come from C.UTF-8,
 * which the C library always has.
 */
#include "ctl/text.h"

#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "base/utf8.h"

/* Next character of @p; 0 at the end. @ret_len is the bytes it takes; a stray byte is -1 and one.
 */
static int32_t next_char(const char *p, size_t *ret_len)
{
	uint32_t c = 0;

	*ret_len = 0;
	if (!*p)
		return 0;
	*ret_len = utf8_next(p, strnlen(p, 4), &c);
	if (*ret_len)
		return (int32_t)c;
	*ret_len = 1;
	return -1;
}

/**
 * text_init() - make widths known; call once, before any other function here
 */
void text_init(void)
{
	setlocale(LC_CTYPE, "C.UTF-8");
}

/**
 * text_clean() - copy text, without what a terminal would obey
 * @text:	any bytes up to a NUL
 * @lines:	newlines may stay
 *
 * Return: the copy, to be freed by the caller, or NULL for want of memory.
 */
char *text_clean(const char *text, bool lines)
{
	char *copy = malloc(strlen(text) + 1), *to = copy;
	size_t n;

	if (!copy)
		return NULL;
	for (int32_t c; (c = next_char(text, &n)); text += n) {
		bool stays = lines && c == '\n';

		if (c < 0 || (!stays && (wcwidth((wchar_t)c) < 0 || utf8_unsafe((uint32_t)c)))) {
			*to++ = '?';
		} else {
			memcpy(to, text, n);
			to += n;
		}
	}
	*to = '\0';
	return copy;
}

/**
 * text_width() - how many columns of a terminal text takes
 * @text:	clean text of one line
 */
size_t text_width(const char *text)
{
	size_t width = 0, n;

	for (int32_t c; (c = next_char(text, &n)); text += n) {
		int w = c < 0 ? 1 : wcwidth((wchar_t)c);

		width += w > 0 ? (size_t)w : 0;
	}
	return width;
}

/**
 * text_fit() - how much of text fits
 * @text:	clean text of one line
 * @width:	how many columns there are
 *
 * Return: bytes, up to a boundary between characters.
 */
size_t text_fit(const char *text, size_t width)
{
	const char *p = text;
	size_t n;

	for (int32_t c; (c = next_char(p, &n)); p += n) {
		int w = c < 0 ? 1 : wcwidth((wchar_t)c);

		if (w > 0 && (size_t)w > width)
			break;
		width -= w > 0 ? (size_t)w : 0;
	}
	return (size_t)(p - text);
}
