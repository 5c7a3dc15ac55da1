/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The form of a line: `[section]`, `key = value`, or nothing but a comment.
 *
 * # and ; start a comment at the start of a line or after white space, outside quotes. Words of a
 * value are split at white space; a part of a word may stand in double quotes, in which \" and \\
 * mean " and \. There are no continuation lines: a backslash at the end is refused, because whoever
 * wrote it expected one. A carriage return at the end counts as white space.
 */
#include "daemon/config/config_line.h"

#include <stdbool.h>
#include <string.h>

#include "base/text_file.h"

/* A line while it is read; @out never overtakes @p, since no part grows. */
struct scan {
	const char *p, *end;
	char *out;
	const char *expected;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static void skip_space(struct scan *s)
{
	while (s->p < s->end && is_space(*s->p))
		s->p++;
}

static bool at_comment(const struct scan *s)
{
	return s->p < s->end && (*s->p == '#' || *s->p == ';');
}

static int bad(struct scan *s, const char *expected)
{
	s->expected = expected;
	return CONFIG_LINE_BAD;
}

static int scan_section(struct scan *s, struct config_line *line)
{
	const char *close = memchr(s->p, ']', (size_t)(s->end - s->p));
	char *to = s->out;

	line->kind = CONFIG_LINE_SECTION;
	if (!close)
		return bad(s, "a section's name between [ and ]");
	for (s->p++; s->p < close; s->p++) {
		/* One blank between words, none around them: "[ vm  a ]" is "[vm a]". */
		if (!is_space(*s->p))
			*to++ = *s->p;
		else if (to > s->out && to[-1] != ' ')
			*to++ = ' ';
	}
	if (to > s->out && to[-1] == ' ')
		to--;
	*to = '\0';
	line->section = s->out;
	s->p = close + 1;
	if (s->p < s->end && !is_space(*s->p))
		return bad(s, "nothing after ]");
	skip_space(s);
	if (s->p < s->end && !at_comment(s))
		return bad(s, "nothing but a comment after ]");
	return 0;
}

static int scan_quoted(struct scan *s)
{
	for (s->p++; s->p < s->end && *s->p != '"'; s->p++) {
		if (*s->p == '\\') {
			s->p++;
			if (s->p == s->end || (*s->p != '"' && *s->p != '\\'))
				return bad(s, "\\\" or \\\\ for \" and \\ inside quotes");
		}
		*s->out++ = *s->p;
	}
	if (s->p == s->end)
		return bad(s, "a closing \" on the same line");
	s->p++;
	return 0;
}

static int scan_word(struct scan *s)
{
	while (s->p < s->end && !is_space(*s->p)) {
		if (*s->p == '"') {
			int r = scan_quoted(s);

			if (r)
				return r;
		} else {
			const char *expected = text_lookalike(s->p, (size_t)(s->end - s->p));

			if (expected)
				return bad(s, expected);
			if (*s->p == '\\' && s->p + 1 == s->end)
				return bad(s, "the whole value on one line; there are no "
					      "continuation lines");
			*s->out++ = *s->p++;
		}
	}
	*s->out++ = '\0';
	return 0;
}

static int scan_key(struct scan *s, struct config_line *line)
{
	const char *start = s->p;
	size_t len;

	while (s->p < s->end && *s->p != '=' && !is_space(*s->p)) {
		const char *expected = text_lookalike(s->p, (size_t)(s->end - s->p));

		if (expected)
			return bad(s, expected);
		s->p++;
	}
	len = (size_t)(s->p - start);
	skip_space(s);
	if (!len || s->p == s->end || *s->p != '=')
		return bad(s, "`key = value`, a [section] or a # comment");
	memcpy(s->out, start, len);
	s->out[len] = '\0';
	line->key = s->out;
	s->out += len + 1;

	/* What follows = directly is part of the value, even a #. */
	s->p++;
	line->words = s->out;
	for (bool first = true;; first = false) {
		const char *before = s->p;
		int r;

		skip_space(s);
		if (s->p == s->end || (at_comment(s) && (!first || s->p > before)))
			break;
		r = scan_word(s);
		if (r)
			return r;
		line->n_words++;
	}
	line->kind = CONFIG_LINE_KEY;
	return 0;
}

/**
 * config_line_parse() - cut a line into its parts
 * @line:		the parts
 * @text:		the line, without its newline
 * @len:		its length in bytes
 * @ret_expected:	where the line is refused, static text that follows "expected "
 *
 * Return: 0 or CONFIG_LINE_BAD.
 */
int config_line_parse(struct config_line *line, const char *text, size_t len,
		      const char **ret_expected)
{
	struct scan s = {.p = text, .end = text + len, .out = line->buf};
	const char *fault;
	int r;

	line->kind = CONFIG_LINE_EMPTY;
	line->section = line->key = line->words = NULL;
	line->n_words = 0;

	if (s.end > s.p && s.end[-1] == '\r')
		s.end--;
	if (s.end - s.p > CONFIG_LINE_MAX) {
		*ret_expected = "a line of at most 4096 bytes";
		return CONFIG_LINE_BAD;
	}
	fault = text_line_fault(s.p, (size_t)(s.end - s.p));
	if (fault) {
		*ret_expected = fault;
		return CONFIG_LINE_BAD;
	}

	skip_space(&s);
	if (s.p == s.end || at_comment(&s))
		return 0;
	r = *s.p == '[' ? scan_section(&s, line) : scan_key(&s, line);
	if (r)
		*ret_expected = s.expected;
	return r;
}

/**
 * config_line_next_word() - to the word after this one
 * @word:	a word of config_line.words that is not the last
 *
 * Return: the next word.
 */
const char *config_line_next_word(const char *word)
{
	return word + strlen(word) + 1;
}
