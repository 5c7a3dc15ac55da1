/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The form of a line, as in the configuration: # and ; start a comment at the start of a line or
 * after white space, outside quotes. A part of a word may stand in double quotes, in which \" and
 * \\ mean " and \, and | has no meaning of its own. There are no continuation lines. A carriage
 * return at the end counts as white space.
 */
#include "policy/rule_line.h"

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

static int bad(struct scan *s, const char *expected)
{
	s->expected = expected;
	return RULE_LINE_BAD;
}

static int cut_quoted(struct scan *s)
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

static int cut_word(struct scan *s)
{
	while (s->p < s->end && !is_space(*s->p)) {
		if (*s->p == '"') {
			int r = cut_quoted(s);

			if (r)
				return r;
		} else {
			const char *expected = text_lookalike(s->p, (size_t)(s->end - s->p));

			if (expected)
				return bad(s, expected);
			if (*s->p == '\\' && s->p + 1 == s->end)
				return bad(s, "the whole rule on one line; there are no "
					      "continuation lines");
			*s->out++ = *s->p == '|' ? RULE_OR : *s->p;
			s->p++;
		}
	}
	*s->out++ = '\0';
	return 0;
}

/**
 * rule_line_cut() - cut a line into words
 * @line:		the words; none where the line has nothing but a comment
 * @text:		the line, without its newline
 * @len:		its length in bytes
 * @ret_expected:	where the line is refused, static text that follows "expected "
 *
 * Return: 0 or RULE_LINE_BAD.
 */
int rule_line_cut(struct rule_line *line, const char *text, size_t len, const char **ret_expected)
{
	struct scan s = {.p = text, .end = text + len, .out = line->buf};
	const char *fault;

	line->words = line->buf;
	line->n_words = 0;
	line->text = text;
	line->text_len = 0;
	if (len && s.end[-1] == '\r')
		s.end--;
	if (s.end - s.p > RULE_LINE_MAX) {
		*ret_expected = "a line of at most 4096 bytes";
		return RULE_LINE_BAD;
	}
	fault = text_line_fault(s.p, (size_t)(s.end - s.p));
	if (fault) {
		*ret_expected = fault;
		return RULE_LINE_BAD;
	}

	for (;;) {
		while (s.p < s.end && is_space(*s.p))
			s.p++;
		if (s.p == s.end || *s.p == '#' || *s.p == ';')
			return 0;
		if (!line->n_words)
			line->text = s.p;
		if (cut_word(&s)) {
			*ret_expected = s.expected;
			return RULE_LINE_BAD;
		}
		line->n_words++;
		line->text_len = (size_t)(s.p - line->text);
	}
}

/**
 * rule_line_next_word() - to the word after this one
 * @word:	a word that is not the last
 *
 * Return: the next word.
 */
const char *rule_line_next_word(const char *word)
{
	return word + strlen(word) + 1;
}
