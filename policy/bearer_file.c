/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file form of bearers, both ways; bearer.h describes it. A line that can't be read is counted
 * and left out.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/bearer_private.h"
#include "policy/name.h"
#include "policy/wish_private.h"

#define FIELDS 6

static int cut_line(char *field[FIELDS], char *line)
{
	for (unsigned i = 0; i < FIELDS; i++) {
		field[i] = strsep(&line, "\t");
		if (!field[i] || !wish_unescape(field[i]))
			return -EINVAL;
	}
	if (line || strcmp(field[0], "B1") || !name_valid_alias(field[1]) ||
	    !name_is_id(field[3]) || !*field[5])
		return -EINVAL;
	return 0;
}

/* Where a line of this role goes; NULL where there is one already, or no room. */
static struct identity *slot_for(struct bearer *b, const char *role)
{
	if (!strcmp(role, "last") && !b->last.port)
		return &b->last;
	if (!strcmp(role, "given") && !b->given.port)
		return &b->given;
	if (!strcmp(role, "other") && b->last.port && b->n_others < BEARER_OTHERS_MAX)
		return &b->others[b->n_others];
	return NULL;
}

/* One line, without its newline, which is cut up. Return: 0, -EINVAL or -ENOMEM. */
static int parse_line(void *ctx, char *line)
{
	struct bearers *bearers = ctx;
	struct bearer *b = NULL;
	struct identity *slot;
	char *field[FIELDS];
	int r = cut_line(field, line);

	if (r < 0)
		return r;
	if (strcmp(field[2], "last") && !bearers_find(bearers, field[1]))
		return -EINVAL;
	r = bearers_get(bearers, field[1], &b);
	if (r < 0)
		return r == -ENOSPC ? -EINVAL : r;
	slot = slot_for(b, field[2]);
	if (!slot)
		return -EINVAL;
	r = identity_set(slot, (uint16_t)strtoul(field[3], NULL, 16),
			 (uint16_t)strtoul(field[3] + 5, NULL, 16), *field[4] ? field[4] : NULL,
			 field[5]);
	if (r == 0 && !strcmp(field[2], "other"))
		b->n_others++;
	return r;
}

/**
 * bearers_parse() - read the file form
 * @bearers:		an empty list, filled in the file's order
 * @text:		the file's bytes
 * @len:		how many
 * @ret_bad_lines:	how many lines could not be read and were left out
 *
 * Return: 0, or -ENOMEM with the list as far as it came.
 */
int bearers_parse(struct bearers *bearers, const char *text, size_t len, unsigned *ret_bad_lines)
{
	return wish_each_line(text, len, parse_line, bearers, ret_bad_lines);
}

static void put_identity(FILE *f, const struct bearer *b, const char *role,
			 const struct identity *i)
{
	if (!i->port)
		return;
	fprintf(f, "B1\t%s\t%s\t%04x:%04x\t", b->name, role, i->id_vendor, i->id_product);
	wish_put_escaped(f, i->serial);
	fputc('\t', f);
	wish_put_escaped(f, i->port);
	fputc('\n', f);
}

/**
 * bearers_format() - write the file form
 * @bearers:	the list
 * @ret_text:	the text, to be freed by the caller; with a NUL after it
 * @ret_len:	its length in bytes
 *
 * Return: 0 or -ENOMEM.
 */
int bearers_format(const struct bearers *bearers, char **ret_text, size_t *ret_len)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	bool failed;

	if (!f)
		return -ENOMEM;
	list_for_each(it, &bearers->all) {
		const struct bearer *b = list_entry(it, struct bearer, link);

		put_identity(f, b, "last", &b->last);
		put_identity(f, b, "given", &b->given);
		for (size_t i = 0; i < b->n_others; i++)
			put_identity(f, b, "other", &b->others[i]);
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
