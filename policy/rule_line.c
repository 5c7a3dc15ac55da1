/* SPDX-License-Identifier: BSD-2-Clause */
/* A line of a policy file; its form is base/text_words.h's, with | between alternatives. */
#include "policy/rule_line.h"

#include <string.h>

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
	struct text_words t = {
		.whole = "the whole rule on one line; there are no continuation lines",
		.or_mark = RULE_OR,
	};
	bool good = text_words_begin(&t, text, len, line->buf);

	line->words = line->buf;
	line->n_words = 0;
	line->text = text;
	line->text_len = 0;
	while (good && text_words_more(&t)) {
		if (!line->n_words)
			line->text = t.p;
		good = text_words_cut(&t);
		line->n_words += good;
		if (good)
			line->text_len = (size_t)(t.p - line->text);
	}
	if (good)
		return 0;
	*ret_expected = t.expected;
	return RULE_LINE_BAD;
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
