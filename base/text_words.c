/* SPDX-License-Identifier: BSD-2-Clause */
/* Words of a line; see text_words.h. */
#include "base/text_words.h"

#include "base/text_file.h"

/**
 * text_is_blank() - whether a character stands between words
 * @c:	the character
 */
bool text_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/**
 * text_words_refuse() - say what a line should have been
 * @t:		the line
 * @expected:	static text that follows "expected "
 *
 * Return: false.
 */
bool text_words_refuse(struct text_words *t, const char *expected)
{
	t->expected = expected;
	return false;
}

/**
 * text_words_begin() - begin a line
 * @t:		the line; @whole and @or_mark are set by the caller
 * @text:	its bytes, without the newline
 * @len:	how many
 * @out:	room for its words, TEXT_LINE_MAX + 2 bytes
 *
 * Return: whether it can be read; else @t->expected says why not.
 */
bool text_words_begin(struct text_words *t, const char *text, size_t len, char *out)
{
	const char *fault;

	t->p = text;
	t->end = text + len;
	t->out = out;
	t->expected = NULL;
	if (len && t->end[-1] == '\r')
		t->end--;
	if (t->end - t->p > TEXT_LINE_MAX)
		return text_words_refuse(t, "a line of at most 4096 bytes");
	fault = text_line_fault(t->p, (size_t)(t->end - t->p));
	return fault ? text_words_refuse(t, fault) : true;
}

/**
 * text_words_more() - go over white space
 * @t:	the line, between words
 *
 * Return: whether something follows that is no comment.
 */
bool text_words_more(struct text_words *t)
{
	while (t->p < t->end && text_is_blank(*t->p))
		t->p++;
	return t->p < t->end && *t->p != '#' && *t->p != ';';
}

static bool cut_quoted(struct text_words *t)
{
	for (t->p++; t->p < t->end && *t->p != '"'; t->p++) {
		if (*t->p == '\\') {
			t->p++;
			if (t->p == t->end || (*t->p != '"' && *t->p != '\\'))
				return text_words_refuse(
					t, "\\\" or \\\\ for \" and \\ inside quotes");
		}
		*t->out++ = *t->p;
	}
	if (t->p == t->end)
		return text_words_refuse(t, "a closing \" on the same line");
	t->p++;
	return true;
}

/**
 * text_words_cut() - cut a word off: unquoted, with a NUL behind it, to where @t->out was
 * @t:	the line, at a word's first character
 *
 * Return: whether it is one; else @t->expected says why not.
 */
bool text_words_cut(struct text_words *t)
{
	while (t->p < t->end && !text_is_blank(*t->p)) {
		const char *expected;

		if (*t->p == '"') {
			if (!cut_quoted(t))
				return false;
			continue;
		}
		expected = text_lookalike(t->p, (size_t)(t->end - t->p));
		if (expected)
			return text_words_refuse(t, expected);
		if (*t->p == '\\' && t->p + 1 == t->end)
			return text_words_refuse(t, t->whole);
		*t->out++ = *t->p == '|' && t->or_mark ? t->or_mark : *t->p;
		t->p++;
	}
	*t->out++ = '\0';
	return true;
}
