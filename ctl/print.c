/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every command prints with: JSON for programs, clean text for people.
 */
#include "ctl/ctl.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/text.h"

/**
 * ctl_print_json() - print a reply's parameters on one line, unchanged
 * @parameters:	an object
 *
 * On a terminal, characters beyond ASCII are escaped, because a terminal obeys some of them.
 *
 * Return: STATUS_DONE or STATUS_FAILED.
 */
enum status ctl_print_json(const json_t *parameters)
{
	size_t flags = JSON_COMPACT | (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0);

	if (json_dumpf(parameters, stdout, flags) < 0) {
		/* output_end() tells what could not be written. */
		if (!ferror(stdout))
			ctl_error("failed", "no memory");
		return STATUS_FAILED;
	}
	putchar('\n');
	return STATUS_DONE;
}

/**
 * ctl_print_clean() - print lines that the daemon wrote
 * @text:	the lines; a newline is put at the end
 */
void ctl_print_clean(const char *text)
{
	_cleanup_free_ char *clean = text_clean(text, true);

	if (clean)
		puts(clean);
}

/**
 * ctl_text() - a string of a reply
 * @object:	an object
 * @key:	its name
 *
 * Return: the string, owned by the object; empty where there is none.
 */
const char *ctl_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/**
 * ctl_words() - join the strings of a list
 * @array:	the list
 * @separator:	what to put between them
 * @buf:	where to; cut where it is too short
 * @size:	room there, at least 1
 */
void ctl_words(const json_t *array, const char *separator, char *buf, size_t size)
{
	const json_t *word;
	size_t i, len = 0;

	buf[0] = '\0';
	json_array_foreach(array, i, word) {
		const char *text = json_string_value(word);
		int n = snprintf(buf + len, size - len, "%s%s", len ? separator : "",
				 text ? text : "?");

		if (n < 0 || (size_t)n >= size - len)
			return;
		len += (size_t)n;
	}
}
