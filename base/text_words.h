/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Words of a line that people write, in the configuration and in rules alike: # and ; start a
 * comment at the start of a line or after white space, outside quotes. Words stand between white
 * space; a part of one may stand in double quotes, in which \" and \\ mean " and \. There are no
 * continuation lines: a backslash at the end is refused, because its writer expected one. A
 * carriage return at the end counts as white space. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define TEXT_LINE_MAX 4096

/* A line while it is read. @out never overtakes @p where it begins in a copy of the line's size, since
 * no part grows. */
struct text_words {
	const char *p, *end;
	char *out;	   /* where the next word goes: TEXT_LINE_MAX + 2 bytes for a whole line */
	const char *whole; /* what a backslash at the end is answered with */
	char or_mark; /* stands in a word for a | outside quotes; 0: | is a letter like others */
	const char *expected; /* what a refused line should have been: follows "expected " */
};

bool text_words_begin(struct text_words *t, const char *text, size_t len, char *out);
bool text_words_more(struct text_words *t);
bool text_words_cut(struct text_words *t);
bool text_words_refuse(struct text_words *t, const char *expected);
bool text_is_blank(char c);
