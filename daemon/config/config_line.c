/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The form of a line: `[section]`, `key = value`, or only a comment. base/text_words.h cuts its
 * words.
 */
#include "daemon/config/config_line.h"

#include <stdbool.h>
#include <string.h>

#include "base/text_file.h"
#include "base/text_words.h"

static bool scan_section(struct text_words *s, struct config_line *line)
{
	const char *close = memchr(s->p, ']', (size_t)(s->end - s->p));
	char *to = s->out;

	line->kind = CONFIG_LINE_SECTION;
	if (!close)
		return text_words_refuse(s, "a section's name between [ and ]");
	for (s->p++; s->p < close; s->p++) {
		/* One blank between words, none around them: "[ vm  a ]" is "[vm a]". */
		if (!text_is_blank(*s->p))
			*to++ = *s->p;
		else if (to > s->out && to[-1] != ' ')
			*to++ = ' ';
	}
	if (to > s->out && to[-1] == ' ')
		to--;
	*to = '\0';
	line->section = s->out;
	s->p = close + 1;
	if (s->p < s->end && !text_is_blank(*s->p))
		return text_words_refuse(s, "nothing after ]");
	return text_words_more(s) ? text_words_refuse(s, "nothing but a comment after ]") : true;
}

static bool scan_key(struct text_words *s, struct config_line *line)
{
	const char *start = s->p;
	size_t len;

	while (s->p < s->end && *s->p != '=' && !text_is_blank(*s->p)) {
		const char *expected = text_lookalike(s->p, (size_t)(s->end - s->p));

		if (expected)
			return text_words_refuse(s, expected);
		s->p++;
	}
	len = (size_t)(s->p - start);
	text_words_more(s);
	if (!len || s->p == s->end || *s->p != '=')
		return text_words_refuse(s, "`key = value`, a [section] or a # comment");
	memcpy(s->out, start, len);
	s->out[len] = '\0';
	line->key = s->out;
	s->out += len + 1;

	/* What directly follows = is part of the value, even a #. */
	s->p++;
	line->words = s->out;
	for (bool first = true;; first = false) {
		const char *before = s->p;
		bool more = text_words_more(s);

		if (!more && (s->p == s->end || !first || s->p > before))
			break;
		if (!text_words_cut(s))
			return false;
		line->n_words++;
	}
	line->kind = CONFIG_LINE_KEY;
	return true;
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
	struct text_words s = {
		.whole = "the whole value on one line; there are no continuation lines",
	};
	bool good = text_words_begin(&s, text, len, line->buf);

	line->kind = CONFIG_LINE_EMPTY;
	line->section = line->key = line->words = NULL;
	line->n_words = 0;

	if (good && text_words_more(&s))
		good = *s.p == '[' ? scan_section(&s, line) : scan_key(&s, line);
	if (good)
		return 0;
	*ret_expected = s.expected;
	return CONFIG_LINE_BAD;
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
