/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One line of the configuration, cut into its parts: comments, quotes, words. It knows only the
 * form; config_keys.c has the sections and keys. Pure.
 */
#pragma once

#include <stddef.h>

#include "base/text_words.h"

enum config_line_kind { CONFIG_LINE_EMPTY, CONFIG_LINE_SECTION, CONFIG_LINE_KEY };

/* Strings point into @buf. */
struct config_line {
	enum config_line_kind kind; /* also on error, as far as it was known */
	const char *section;	    /* SECTION: all between the brackets, as written */
	const char *key;	    /* KEY; also on error, where the line got that far */
	const char *words;	    /* KEY: the value's words, unquoted, a NUL after each */
	size_t n_words;
	char buf[TEXT_LINE_MAX + 2];
};

enum { CONFIG_LINE_BAD = 1 };

int config_line_parse(struct config_line *line, const char *text, size_t len,
		      const char **ret_expected);
const char *config_line_next_word(const char *word);
