/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages about a configuration: their form, their bound, and how text of a file stands in one.
 */
#include "daemon/config/config_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/**
 * config_found() - make text from the file fit for a message
 * @buf:	room for it
 * @text:	the text
 *
 * Return: @buf: short, and without anything that a terminal would obey.
 */
const char *config_found(char buf[CONFIG_FOUND_MAX + 4], const char *text)
{
	size_t n = utf8_cut(text, CONFIG_FOUND_MAX);

	memcpy(buf, text, n);
	strcpy(buf + n, text[n] ? "…" : "");
	utf8_make_safe(buf, false);
	return buf;
}

static void errors_add(struct config_errors *errors, const char *one)
{
	size_t n = strlen(one);
	char *text;

	errors->n++;
	text = realloc(errors->text, errors->len + n + 2);
	if (!text)
		return;
	memcpy(text + errors->len, one, n);
	memcpy(text + errors->len + n, "\n", 2);
	errors->text = text;
	errors->len += n + 1;
}

/**
 * config_errors_add() - add one message
 * @errors:	the messages
 * @format:	as of printf(3), without a newline
 */
void config_errors_add(struct config_errors *errors, const char *format, ...)
{
	_cleanup_free_ char *one = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&one, format, ap) < 0)
		one = NULL;
	va_end(ap);
	/* Paths and values are the file's. */
	if (one)
		utf8_make_safe(one, false);
	errors_add(errors, one ? one : "expected more memory");
}

/**
 * config_complain_at() - add "FILE:LINE: [section] key: expected …"
 * @p:		the parser
 * @line:	the line's number, from 1
 * @section:	the section without its brackets, or NULL
 * @key:	the key, or NULL
 * @format:	what follows "expected ", as of printf(3)
 *
 * After CONFIG_ERRORS_MAX messages one more says so, and the rest is dropped.
 */
void config_complain_at(struct config_parser *p, unsigned line, const char *section,
			const char *key, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	char found_key[CONFIG_FOUND_MAX + 4];
	va_list ap;

	if (p->errors->n > CONFIG_ERRORS_MAX)
		return;
	if (p->errors->n == CONFIG_ERRORS_MAX) {
		config_errors_add(p->errors, "%s: expected fewer errors; the rest is left out",
				  p->file);
		return;
	}
	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	config_errors_add(p->errors, "%s:%u: %s%s%s%s%s%sexpected %s", p->file, line,
			  section ? "[" : "", section ? section : "", section ? "]" : "",
			  section && key ? " " : "", key ? config_found(found_key, key) : "",
			  section || key ? ": " : "", text ? text : "less, for want of memory");
}
