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

#define FIELDS_MAX 9
#define FIELDS_END 8 /* of a version whose wishes may end by themselves */

static const struct {
	const char *tag;
	unsigned fields;
	bool old;
} versions[] = {{"V1", 6, true}, {"V2", 8, true}, {"V3", 8, false}, {"V4", 9, false}};

static const struct {
	const char *name;
	enum wish_kind kind;
} kinds[] = {
	{"serial", WISH_SERIAL}, {"port-id", WISH_PORT_ID}, {"port", WISH_PORT},
	{"name", WISH_NAME},	 {"alias", WISH_NAME}, /* as older versions called it */
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
bool wish_unescape(char *field)
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
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(name, kinds[i].name)) {
			*ret_kind = kinds[i].kind;
			return true;
		}
	return false;
}

static const char *kind_name(enum wish_kind kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].kind == kind)
			return kinds[i].name;
	return "";
}

/* "unplug", or with its numbers behind it. */
static bool parse_unplug(uint32_t *ret_plugging, const char *text)
{
	unsigned bus, number;
	char rest;

	*ret_plugging = 0;
	if (!strcmp(text, "unplug"))
		return true;
	if (sscanf(text, "unplug:%5u:%5u%c", &bus, &number, &rest) != 2 || bus > UINT16_MAX ||
	    number > UINT16_MAX || text[6 + strspn(text + 6, ":0123456789")])
		return false;
	*ret_plugging = bus << 16 | number;
	return true;
}

/* When it ends, and whether with its device's unplugging; both fields may be empty. */
static bool parse_end(struct wish *end_of, const char *until, const char *unplug)
{
	uint64_t *ret_until = &end_of->until;
	char *end;

	end_of->until_unplug = *unplug;
	if (*unplug && !parse_unplug(&end_of->plugging, unplug))
		return false;
	*ret_until = 0;
	if (!*until)
		return true;
	if (strspn(until, "0123456789") != strlen(until) || strlen(until) > 18)
		return false;
	*ret_until = strtoull(until, &end, 10);
	return *ret_until > 0;
}

/* Cut a line into as many fields as its version has. Return: the version, or -EINVAL. */
static int cut_line(char *field[FIELDS_MAX], char *line)
{
	size_t v = 0;

	field[0] = strsep(&line, "\t");
	while (v < ARRAY_SIZE(versions) && strcmp(field[0], versions[v].tag))
		v++;
	if (v == ARRAY_SIZE(versions))
		return -EINVAL;
	for (unsigned i = 1; i < versions[v].fields; i++) {
		field[i] = strsep(&line, "\t");
		if (!field[i] || !wish_unescape(field[i]))
			return -EINVAL;
	}
	return line ? -EINVAL : (int)v;
}

/* What is given fits the kind, and nothing else is given. */
static bool fields_fit(enum wish_kind kind, char *const field[FIELDS_MAX])
{
	if ((kind == WISH_SERIAL || kind == WISH_PORT_ID) ? !name_is_id(field[3]) : *field[3] != 0)
		return false;
	if ((kind == WISH_SERIAL || kind == WISH_NAME) != (*field[4] != 0))
		return false;
	return kind == WISH_NAME ? !*field[5] && name_valid_alias(field[4]) : *field[5] != 0;
}

/* One line, without its newline, which is cut up. Return: 0, -EINVAL or -ENOMEM. */
static int parse_line(struct wish **ret_wish, char *line)
{
	char none[] = "", *field[FIELDS_MAX] = {[6] = none, [7] = none, [8] = none};
	uint32_t asker[WISH_ASKER_MAX];
	size_t n_asker;
	struct wish end = {0}, *w;
	enum wish_kind kind;
	int v = cut_line(field, line), r;

	if (v < 0 || !kind_parse(&kind, field[2]) || !fields_fit(kind, field) ||
	    !parse_end(&end, field[6], field[7]) || wish_parse_asker(asker, &n_asker, field[8]) < 0)
		return -EINVAL;
	/* An older version wrote V1 where there is no end, and only there. */
	if (versions[v].old &&
	    (versions[v].fields == FIELDS_END) != (end.until || end.until_unplug))
		return -EINVAL;
	r = wish_new(&w, kind, field[1], kind == WISH_SERIAL ? field[4] : NULL,
		     kind == WISH_NAME ? NULL : field[5], kind == WISH_NAME ? field[4] : NULL);
	if (r < 0)
		return r;
	if (*field[3]) {
		w->id_vendor = (uint16_t)strtoul(field[3], NULL, 16);
		w->id_product = (uint16_t)strtoul(field[3] + 5, NULL, 16);
	}
	if (wish_set_asker(w, asker, n_asker) < 0) {
		wish_free(w);
		return -ENOMEM;
	}
	w->until = end.until;
	w->until_unplug = end.until_unplug;
	w->plugging = end.plugging;
	w->old = versions[v].old && (kind == WISH_SERIAL || kind == WISH_PORT_ID);
	*ret_wish = w;
	return 0;
}

int wish_each_line(const char *text, size_t len, int (*take)(void *ctx, char *line), void *ctx,
		   unsigned *ret_bad_lines)
{
	_cleanup_free_ char *line = malloc(WISH_LINE_MAX + 1);
	unsigned bad = 0;

	if (!line)
		return -ENOMEM;
	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;
		int r = -EINVAL;

		if (n && n <= WISH_LINE_MAX && !memchr(text, '\0', n)) {
			memcpy(line, text, n);
			line[n] = '\0';
			r = take(ctx, line);
		}
		if (r == -ENOMEM)
			return r;
		bad += r < 0 && n > 0;
		text += end ? n + 1 : n;
		len -= end ? n + 1 : n;
	}
	*ret_bad_lines = bad;
	return 0;
}

static int add_line(void *ctx, char *line)
{
	struct wishes *wishes = ctx;
	struct wish *w;
	int r = wishes->n < WISHES_MAX ? parse_line(&w, line) : -EINVAL;

	if (r == 0)
		wishes_add(wishes, w);
	return r;
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
	return wish_each_line(text, len, add_line, wishes, ret_bad_lines);
}

void wish_put_escaped(FILE *f, const char *text)
{
	for (; text && *text; text++) {
		if (must_escape(*text))
			fprintf(f, "\\x%02x", (unsigned char)*text);
		else
			fputc(*text, f);
	}
}

static void put_line(FILE *f, const struct wish *w)
{
	bool ends = w->until || w->until_unplug;

	fprintf(f, "%s\t%s\t%s\t",
		w->n_asker ? "V4"
		: !w->old  ? "V3"
		: ends	   ? "V2"
			   : "V1",
		w->target, kind_name(w->kind));
	if (w->kind == WISH_SERIAL || w->kind == WISH_PORT_ID)
		fprintf(f, "%04x:%04x", w->id_vendor, w->id_product);
	fputc('\t', f);
	wish_put_escaped(f, w->kind == WISH_NAME ? w->name : w->serial);
	fputc('\t', f);
	wish_put_escaped(f, w->port);
	if (!w->old || ends)
		fputc('\t', f);
	if (w->until)
		fprintf(f, "%llu", (unsigned long long)w->until);
	if (!w->old || ends)
		fprintf(f, "\t%s", w->until_unplug ? "unplug" : "");
	if (w->until_unplug && w->plugging)
		fprintf(f, ":%u:%u", w->plugging >> 16, w->plugging & UINT16_MAX);
	for (size_t i = 0; i < w->n_asker; i++)
		fprintf(f, "%c%u", i ? ',' : '\t', w->asker[i]);
	fputc('\n', f);
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
	list_for_each(it, &wishes->all)
		put_line(f, list_entry(it, struct wish, link));
	failed = ferror(f) != 0;
	if (fclose(f) || failed) {
		free(text);
		return -ENOMEM;
	}
	*ret_text = text;
	*ret_len = len;
	return 0;
}
