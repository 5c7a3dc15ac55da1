/* SPDX-License-Identifier: BSD-2-Clause */
/* UTF-8, and text that is safe to show; see utf8.h. */
#include "base/utf8.h"

#include <string.h>

#include "base/mem.h"

#define ELLIPSIS "…"

/**
 * utf8_next() - the character that text begins with
 * @text:	the bytes
 * @len:	how many
 * @ret_c:	its code point
 *
 * Overlong forms, surrogates and what is beyond U+10FFFF are no characters (RFC 3629, section 3).
 *
 * Return: how many bytes it takes, 1 to 4; 0 where the bytes begin with no whole character.
 */
size_t utf8_next(const char *text, size_t len, uint32_t *ret_c)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *p = (const unsigned char *)text;
	size_t n;
	uint32_t c;

	if (!len)
		return 0;
	if (p[0] < 0x80) {
		*ret_c = p[0];
		return 1;
	}
	n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || len < n)
		return 0;
	c = p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[n] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
		return 0;
	*ret_c = c;
	return n;
}

/**
 * utf8_valid_len() - how much of some bytes is UTF-8
 * @text:	the bytes
 * @len:	how many
 *
 * Return: how many bytes come before the first that is none; @len where all are.
 */
size_t utf8_valid_len(const char *text, size_t len)
{
	size_t at = 0, n;
	uint32_t c;

	for (; at < len; at += n) {
		n = utf8_next(text + at, len - at, &c);
		if (!n)
			break;
	}
	return at;
}

/**
 * utf8_cut() - where to cut text that is too long
 * @text:	the text
 * @max:	how many bytes there is room for
 *
 * Return: at most @max, and not within a character. Of bytes that are no text it cuts anywhere.
 */
size_t utf8_cut(const char *text, size_t max)
{
	size_t n = strnlen(text, max);

	/* A character has at most three bytes behind its first. */
	for (size_t back = 0; text[n] && back < 4 && back <= n; back++)
		if (((unsigned char)text[n - back] & 0xc0) != 0x80)
			return n - back;
	return n;
}

/**
 * utf8_unsafe() - whether a character is not to be shown
 * @c:		its code point
 *
 * Return: true for control characters (U+0000 to U+001F, U+007F to U+009F), for marks of direction
 * and for other characters of format that are not seen (Unicode's category Cf, of which those with
 * a width are left out, and the separators of lines and paragraphs).
 */
bool utf8_unsafe(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} unsafe[] = {
		{0x00, 0x1f},	  {0x7f, 0x9f},	    {0xad, 0xad},	{0x61c, 0x61c},
		{0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e},	{0x2060, 0x206f},
		{0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe0fff},
	};

	for (size_t i = 0; i < ARRAY_SIZE(unsafe); i++)
		if (c >= unsafe[i].first && c <= unsafe[i].last)
			return true;
	return false;
}

/**
 * utf8_make_safe() - replace what is not to be shown
 * @text:	the text; it does not get longer
 * @lines:	newlines may stay
 */
void utf8_make_safe(char *text, bool lines)
{
	size_t len = strlen(text), n;
	char *to = text;

	for (const char *p = text, *end = text + len; p < end; p += n ? n : 1) {
		uint32_t c = 0;

		n = utf8_next(p, (size_t)(end - p), &c);
		if (!n || (utf8_unsafe(c) && !(lines && c == '\n'))) {
			*to++ = '?';
		} else {
			memmove(to, p, n);
			to += n;
		}
	}
	*to = '\0';
}

/* How many bytes a safe character takes in JSON (RFC 8259, section 7). */
static size_t json_len(const char *p, size_t n)
{
	return n == 1 && (*p == '"' || *p == '\\' || *p == '\n') ? 2 : n;
}

/**
 * utf8_safe_copy() - a copy of text that is safe to show and has a bound as JSON
 * @text:	the text
 * @json_max:	how many bytes it may take as a string of JSON, without the quotes around it; at
 *		least 8
 * @lines:	newlines may stay
 *
 * Text that is longer is cut, and ends in "…".
 *
 * Return: the copy, to be freed by the caller, or NULL for want of memory.
 */
char *utf8_safe_copy(const char *text, size_t json_max, bool lines)
{
	size_t room = json_max - strlen(ELLIPSIS), used = 0, n;
	/* Four bytes may become one "?", and no fewer: what is beyond this is cut in any case. */
	size_t len = utf8_cut(text, 4 * (json_max + 1));
	char *copy = malloc(len + sizeof(ELLIPSIS)), *cut = copy;
	uint32_t c;

	if (!copy)
		return NULL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	utf8_make_safe(copy, lines);
	for (char *p = copy, *end = copy + strlen(copy); p < end; p += n) {
		n = utf8_next(p, (size_t)(end - p), &c);
		used += json_len(p, n);
		if (used <= room)
			cut = p + n;
		if (used > json_max) {
			memcpy(cut, ELLIPSIS, sizeof(ELLIPSIS));
			break;
		}
	}
	return copy;
}
