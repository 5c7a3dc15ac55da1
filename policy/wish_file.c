/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file form of wishes, both ways; wish.h describes it.
 *
 * A line that can't be read is counted and left out: one spoilt line must not cost the others.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/name.h"
#include "policy/wish_private.h"

#define WISH_LINE_MAX 8192
#define WISH_FIELDS   6
#define WISH_FIELDS_2 8

static const char *const kind_names[] = {
	[WISH_SERIAL] = "serial",
	[WISH_PORT_ID] = "port-id",
	[WISH_PORT] = "port",
	[WISH_ALIAS] = "alias",
};

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool must_escape(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f || c == '\\';
}

/* Undo the escapes in place; false where one is none, or a byte should have been escaped. */
static bool unescape(char *field)
{
	char *to = field;

	for (const char *p = field; *p; p++) {
		int high, low;

		if (*p != '\\') {
			if (must_escape(*p))
				return false;
			*to++ = *p;
			continue;
		}
		if (p[1] != 'x')
			return false;
		high = hex_value(p[2]);
		low = high < 0 ? -1 : hex_value(p[3]);
		if (low < 0 || (!high && !low))
			return false;
		*to++ = (char)(high << 4 | low);
		p += 3;
	}
	*to = '\0';
	return true;
}

static bool kind_parse(enum wish_kind *ret_kind, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kind_names); i++)
		if (!strcmp(name, kind_names[i])) {
			*ret_kind = (enum wish_kind)i;
			return true;
		}
	return false;
}

/* The two last fields of a V2 line. */
static bool parse_end(uint64_t *ret_until, bool *ret_unplug, const char *until, const char *unplug)
{
	char *end;

	*ret_unplug = !strcmp(unplug, "unplug");
	if (*unplug && !*ret_unplug)
		return false;
	*ret_until = 0;
	if (!*until)
		return *ret_unplug;
	if (strspn(until, "0123456789") != strlen(until) || strlen(until) > 18)
		return false;
	*ret_until = strtoull(until, &end, 10);
	return *ret_until > 0;
}

/* One line, without its newline, which is cut up. Return: 0, -EINVAL or -ENOMEM. */
static int parse_line(struct wish **ret_wish, char *line)
{
	char *field[WISH_FIELDS_2] = {0}, *rest = line;
	unsigned n = strncmp(line, "V2", 2) ? WISH_FIELDS : WISH_FIELDS_2;
	bool until_unplug = false;
	uint64_t until = 0;
	enum wish_kind kind;
	struct wish *w;
	int r;

	for (unsigned i = 0; i < n; i++) {
		field[i] = strsep(&rest, "\t");
		if (!field[i] || !unescape(field[i]))
			return -EINVAL;
	}
	if (rest || strcmp(field[0], n == WISH_FIELDS ? "V1" : "V2") ||
	    !kind_parse(&kind, field[2]))
		return -EINVAL;
	if (n == WISH_FIELDS_2 && !parse_end(&until, &until_unplug, field[6], field[7]))
		return -EINVAL;
	if ((kind == WISH_SERIAL || kind == WISH_PORT_ID) ? !name_is_id(field[3]) : *field[3] != 0)
		return -EINVAL;
	if ((kind == WISH_SERIAL || kind == WISH_ALIAS) != (*field[4] != 0))
		return -EINVAL;
	if (kind == WISH_ALIAS ? *field[5] || !name_valid_alias(field[4]) : !*field[5])
		return -EINVAL;

	r = wish_new(&w, kind, field[1], kind == WISH_SERIAL ? field[4] : NULL,
		     kind == WISH_ALIAS ? NULL : field[5], kind == WISH_ALIAS ? field[4] : NULL);
	if (r < 0)
		return r;
	if (*field[3]) {
		w->id_vendor = (uint16_t)strtoul(field[3], NULL, 16);
		w->id_product = (uint16_t)strtoul(field[3] + 5, NULL, 16);
	}
	w->until = until;
	w->until_unplug = until_unplug;
	*ret_wish = w;
	return 0;
}

/**
 * wishes_parse() - read the file form
 * @wishes:		an empty list, filled in the file's order
 * @text:		the file's bytes
 * @len:		how many
 * @ret_bad_lines:	how many lines could not be read and were left out
 *
 * Return: 0, or -ENOMEM with the list as far as it came.
 */
int wishes_parse(struct wishes *wishes, const char *text, size_t len, unsigned *ret_bad_lines)
{
	_cleanup_free_ char *line = malloc(WISH_LINE_MAX + 1);
	unsigned bad = 0;

	if (!line)
		return -ENOMEM;
	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;
		struct wish *w;
		int r = -EINVAL;

		if (n && n <= WISH_LINE_MAX && !memchr(text, '\0', n) && wishes->n < WISHES_MAX) {
			memcpy(line, text, n);
			line[n] = '\0';
			r = parse_line(&w, line);
		}
		if (r == -ENOMEM)
			return r;
		if (r < 0)
			bad += n > 0;
		else
			wishes_add(wishes, w);
		text += end ? n + 1 : n;
		len -= end ? n + 1 : n;
	}
	*ret_bad_lines = bad;
	return 0;
}

static void put_escaped(FILE *f, const char *text)
{
	for (; text && *text; text++) {
		if (must_escape(*text))
			fprintf(f, "\\x%02x", (unsigned char)*text);
		else
			fputc(*text, f);
	}
}

/**
 * wishes_format() - write the file form
 * @wishes:	the list
 * @ret_text:	the text, to be freed by the caller; with a NUL after it
 * @ret_len:	its length in bytes
 *
 * Return: 0 or -ENOMEM.
 */
int wishes_format(const struct wishes *wishes, char **ret_text, size_t *ret_len)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	bool failed;

	if (!f)
		return -ENOMEM;
	list_for_each(it, &wishes->all) {
		const struct wish *w = list_entry(it, struct wish, link);

		bool ends = w->until || w->until_unplug;

		fprintf(f, "%s\t%s\t%s\t", ends ? "V2" : "V1", w->target, kind_names[w->kind]);
		if (w->kind == WISH_SERIAL || w->kind == WISH_PORT_ID)
			fprintf(f, "%04x:%04x", w->id_vendor, w->id_product);
		fputc('\t', f);
		put_escaped(f, w->kind == WISH_ALIAS ? w->alias : w->serial);
		fputc('\t', f);
		put_escaped(f, w->port);
		if (w->until)
			fprintf(f, "\t%llu\t", (unsigned long long)w->until);
		else if (ends)
			fputs("\t\t", f);
		if (w->until_unplug)
			fputs("unplug", f);
		fputc('\n', f);
	}
	failed = ferror(f) != 0;
	if (fclose(f) || failed) {
		free(text);
		return -ENOMEM;
	}
	*ret_text = text;
	*ret_len = len;
	return 0;
}
