/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One line of a policy file, cut into words: what is a comment, a quote, an alternative. It knows
 * only the form; rule_parse.c knows the words. Pure.
 */
#pragma once

#include <stddef.h>

#include "base/text_words.h"

/* Stands in a word where the line has a | outside quotes; no line can hold it itself. */
#define RULE_OR '\1'

/* Strings point into @buf. */
struct rule_line {
	const char *words; /* unquoted, a NUL after each */
	size_t n_words;
	const char *text; /* the line as written, without comment and blanks around it */
	size_t text_len;
	char buf[TEXT_LINE_MAX + 2];
};

enum { RULE_LINE_BAD = 1 };

int rule_line_cut(struct rule_line *line, const char *text, size_t len, const char **ret_expected);
const char *rule_line_next_word(const char *word);
