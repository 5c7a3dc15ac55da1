/* SPDX-License-Identifier: BSD-2-Clause */
/* Files that people write; see text_file.h. */
#include "base/text_file.h"

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

/**
 * text_file_begins() - look at a file's first bytes
 * @data:		its bytes
 * @len:		how many
 * @ret_expected:	what is wrong, and what to do
 *
 * Return: TEXT_FILE_GOOD; TEXT_FILE_MARKED where TEXT_FILE_MARK_LEN bytes are in front of a file that
 * can be read for its other mistakes; TEXT_FILE_OTHER where no line of it can be read.
 */
enum text_file text_file_begins(const void *data, size_t len, const char **ret_expected)
{
	const unsigned char *p = data;

	if (len >= 3 && !memcmp(p, "\xef\xbb\xbf", 3)) {
		*ret_expected =
			"text in UTF-8 without a byte-order mark; found one before the first line: save the file without it, as sed -i '1s/^\\xef\\xbb\\xbf//' does";
		return TEXT_FILE_MARKED;
	}
	/* With a mark (FF FE or FE FF), or by the NUL in each of its characters. */
	if (len >= 2 && ((p[0] >= 0xfe && p[1] >= 0xfe) || !p[0] != !p[1])) {
		*ret_expected = "text in UTF-8; found UTF-16: convert the file, as iconv -f UTF-16 "
				"-t UTF-8 does";
		return TEXT_FILE_OTHER;
	}
	return TEXT_FILE_GOOD;
}

/**
 * text_line_fault() - what is in a line that is in no text
 * @line:	the line, without its newline
 * @len:	how many bytes
 *
 * Return: what is wrong, and what to do; NULL where nothing is.
 */
const char *text_line_fault(const char *line, size_t len)
{
	size_t n;
	uint32_t c;

	for (size_t at = 0; at < len; at += n) {
		n = utf8_next(line + at, len - at, &c);
		if (!n)
			return "text in UTF-8; found a byte that is none, as a letter of Latin-1 is: convert the file, as iconv -f LATIN1 -t UTF-8 does";
		if (!c)
			return "text; found a NUL byte";
		if ((c < 0x20 && c != '\t') || (c >= 0x7f && c < 0xa0))
			return "text without control characters";
	}
	return NULL;
}

/**
 * text_lookalike() - whether text begins with a character that looks like another one
 * @text:	a place outside quotes
 * @len:	how many bytes follow
 *
 * Web pages and word processors put such characters in the place of blanks and quotes.
 *
 * Return: what was expected in its place; NULL where it is none of these.
 */
const char *text_lookalike(const char *text, size_t len)
{
	static const char blank[] =
		"a blank; found a character that only looks like one, such as a no-break space";
	static const char quote[] = "\" around quoted text; found another kind of quotation mark";
	static const struct {
		uint32_t first, last;
		const char *expected;
	} looks[] = {
		{0xa0, 0xa0, blank},	 {0x2000, 0x200b, blank}, {0x202f, 0x202f, blank},
		{0x205f, 0x205f, blank}, {0x3000, 0x3000, blank}, {0xfeff, 0xfeff, blank},
		{0x201c, 0x201f, quote},
	};
	uint32_t c;

	if (utf8_next(text, len, &c))
		for (size_t i = 0; i < ARRAY_SIZE(looks); i++)
			if (c >= looks[i].first && c <= looks[i].last)
				return looks[i].expected;
	return NULL;
}
