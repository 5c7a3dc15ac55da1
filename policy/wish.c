/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The list of wishes, and its file form both ways.
 *
 * A change builds the new wish whole before it takes anything away, so that it happens or does not.
 * A file's line that can't be read is counted and left out: one spoilt line must not cost the
 * others.
 */
#include "policy/wish.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/name.h"

#define WISH_LINE_MAX 8192
#define WISH_FIELDS   6

static const char *const kind_names[] = {
	[WISH_SERIAL] = "serial",
	[WISH_PORT_ID] = "port-id",
	[WISH_PORT] = "port",
	[WISH_ALIAS] = "alias",
};

static struct wish *wish_free(struct wish *w)
{
	if (!w)
		return NULL;
	list_remove(&w->link);
	free(w->serial);
	free(w->port);
	free(w->alias);
	free(w);
	return NULL;
}

static void wish_freep(struct wish **w)
{
	*w = wish_free(*w);
}

#define _cleanup_wish_ _cleanup_(wish_freep)

static bool target_valid(const char *target)
{
	return !strcmp(target, "host") || name_valid(target);
}

/* A copy of text that may be NULL. */
static int copy_text(char **ret, const char *text)
{
	char *copy = NULL;

	if (text) {
		copy = strdup(text);
		if (!copy)
			return -ENOMEM;
	}
	*ret = copy;
	return 0;
}

static int wish_new(struct wish **ret_wish, enum wish_kind kind, const char *target,
		    const char *serial, const char *port, const char *alias)
{
	_cleanup_wish_ struct wish *w = NULL;

	if (!target_valid(target))
		return -EINVAL;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	list_init(&w->link);
	w->kind = kind;
	snprintf(w->target, sizeof(w->target), "%s", target);
	if (copy_text(&w->serial, serial) || copy_text(&w->port, port) ||
	    copy_text(&w->alias, alias))
		return -ENOMEM;
	*ret_wish = take_ptr(w);
	return 0;
}

/**
 * wishes_init() - make an empty list
 * @wishes:	the list
 */
void wishes_init(struct wishes *wishes)
{
	list_init(&wishes->all);
	wishes->n = 0;
}

/**
 * wishes_deinit() - free all wishes
 * @wishes:	the list; empty afterwards
 */
void wishes_deinit(struct wishes *wishes)
{
	struct list *l;

	while ((l = list_pop(&wishes->all)))
		wish_free(list_entry(l, struct wish, link));
	wishes->n = 0;
}

static void wishes_add(struct wishes *wishes, struct wish *w)
{
	list_append(&wishes->all, &w->link);
	wishes->n++;
}

static void wishes_remove(struct wishes *wishes, struct wish *w)
{
	wish_free(w);
	wishes->n--;
}

/**
 * wishes_copy() - copy a list, so that a change can be written before it is made
 * @ret_to:	the copy, not initialised before; written only on success
 * @from:	the list
 *
 * Return: 0 or -ENOMEM.
 */
int wishes_copy(struct wishes *ret_to, const struct wishes *from)
{
	_cleanup_(wishes_deinit) struct wishes copy;
	struct list *l;

	wishes_init(&copy);
	list_for_each(it, &from->all) {
		const struct wish *w = list_entry(it, struct wish, link);
		struct wish *c;
		int r = wish_new(&c, w->kind, w->target, w->serial, w->port, w->alias);

		if (r < 0)
			return r;
		c->id_vendor = w->id_vendor;
		c->id_product = w->id_product;
		wishes_add(&copy, c);
	}
	wishes_init(ret_to);
	while ((l = list_pop(&copy.all)))
		wishes_add(ret_to, list_entry(l, struct wish, link));
	return 0;
}

static bool same(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

static bool wish_means(const struct wish *w, const struct device_facts *d, bool pair_is_unique)
{
	bool same_id = w->id_vendor == d->id_vendor && w->id_product == d->id_product;

	switch (w->kind) {
	case WISH_SERIAL:
		return same_id && same(w->serial, d->serial) &&
		       (pair_is_unique || same(w->port, d->stable_port));
	case WISH_PORT_ID:
		return same_id && same(w->port, d->stable_port);
	case WISH_PORT:
		return same(w->port, d->stable_port);
	case WISH_ALIAS:
		return same(w->alias, d->alias);
	}
	return false;
}

/**
 * wish_set() - store where a present device should be, in place of all earlier wishes about it
 * @wishes:		the list; unchanged on error
 * @device:		the device; its stable port is known
 * @by_port:		the person named the port, and nothing else
 * @pair_is_unique:	no other present device has the same id and serial
 * @target:		a VM's name, or "host"
 *
 * Return: 0; -EINVAL where the target is no name or the port is missing; -ENOSPC where there are
 * WISHES_MAX already; -ENOMEM.
 */
int wish_set(struct wishes *wishes, const struct device_facts *device, bool by_port,
	     bool pair_is_unique, const char *target)
{
	enum wish_kind kind = by_port				 ? WISH_PORT
			      : pair_is_unique && device->serial ? WISH_SERIAL
								 : WISH_PORT_ID;
	_cleanup_wish_ struct wish *w = NULL;
	int r;

	if (!device->stable_port || !*device->stable_port)
		return -EINVAL;
	r = wish_new(&w, kind, target, kind == WISH_SERIAL ? device->serial : NULL,
		     device->stable_port, NULL);
	if (r < 0)
		return r;
	if (kind != WISH_PORT) {
		w->id_vendor = device->id_vendor;
		w->id_product = device->id_product;
	}
	if (wishes->n >= WISHES_MAX && !wish_find(wishes, device, pair_is_unique))
		return -ENOSPC;
	list_for_each_safe(it, &wishes->all) {
		struct wish *old = list_entry(it, struct wish, link);

		if (wish_means(old, device, pair_is_unique))
			wishes_remove(wishes, old);
	}
	wishes_add(wishes, take_ptr(w));
	return 0;
}

/**
 * wish_set_alias() - store where a configured device should be that is not plugged in
 * @wishes:	the list; unchanged on error
 * @alias:	the device's name in the configuration
 * @target:	a VM's name, or "host"
 *
 * It takes effect on the device that appears with that alias; wish_find() sees it through the
 * device's alias.
 *
 * Return: 0, -EINVAL, -ENOSPC or -ENOMEM, as wish_set().
 */
int wish_set_alias(struct wishes *wishes, const char *alias, const char *target)
{
	_cleanup_wish_ struct wish *w = NULL;
	struct wish *old = NULL;
	int r;

	if (!name_valid_alias(alias))
		return -EINVAL;
	r = wish_new(&w, WISH_ALIAS, target, NULL, NULL, alias);
	if (r < 0)
		return r;
	list_for_each(it, &wishes->all) {
		struct wish *candidate = list_entry(it, struct wish, link);

		if (candidate->kind == WISH_ALIAS && same(candidate->alias, alias))
			old = candidate;
	}
	if (!old && wishes->n >= WISHES_MAX)
		return -ENOSPC;
	if (old)
		wishes_remove(wishes, old);
	wishes_add(wishes, take_ptr(w));
	return 0;
}

/**
 * wish_forget() - take back all wishes about a present device
 * @wishes:		the list
 * @device:		the device
 * @pair_is_unique:	no other present device has the same id and serial
 */
void wish_forget(struct wishes *wishes, const struct device_facts *device, bool pair_is_unique)
{
	list_for_each_safe(it, &wishes->all) {
		struct wish *w = list_entry(it, struct wish, link);

		if (wish_means(w, device, pair_is_unique))
			wishes_remove(wishes, w);
	}
}

static int restore(struct wishes *wishes, const struct wishes *before,
		   const struct device_facts *device, bool pair_is_unique)
{
	list_for_each(it, &before->all) {
		const struct wish *w = list_entry(it, struct wish, link);
		struct wish *c;
		int r;

		if (!wish_means(w, device, pair_is_unique))
			continue;
		r = wish_new(&c, w->kind, w->target, w->serial, w->port, w->alias);
		if (r < 0)
			return r;
		c->id_vendor = w->id_vendor;
		c->id_product = w->id_product;
		wishes_add(wishes, c);
	}
	return 0;
}

/**
 * wish_restore() - put what was wished for a present device back to what it was
 * @wishes:		the list
 * @before:		an earlier copy of it
 * @device:		the device
 * @pair_is_unique:	no other present device has the same id and serial
 *
 * Return: 0 or -ENOMEM, and then @wishes is to be thrown away.
 */
int wish_restore(struct wishes *wishes, const struct wishes *before,
		 const struct device_facts *device, bool pair_is_unique)
{
	wish_forget(wishes, device, pair_is_unique);
	return restore(wishes, before, device, pair_is_unique);
}

/**
 * wish_find() - the wish that decides about a device
 * @wishes:		the list
 * @device:		the device
 * @pair_is_unique:	no other present device has the same id and serial now
 *
 * Return: the newest wish that means it, owned by the list, or NULL.
 */
const struct wish *wish_find(const struct wishes *wishes, const struct device_facts *device,
			     bool pair_is_unique)
{
	const struct wish *found = NULL;

	list_for_each(it, &wishes->all) {
		const struct wish *w = list_entry(it, struct wish, link);

		if (wish_means(w, device, pair_is_unique))
			found = w;
	}
	return found;
}

/* Could this wish be about a device that @selector describes? Product and class aren't in it. */
static bool wish_may_mean(const struct wish *w, const struct selector *selector, const char *alias)
{
	if (w->kind == WISH_ALIAS)
		return same(w->alias, alias);
	if (!selector->has_id && !selector->serial && !selector->port)
		return false;
	if (selector->has_id && (w->kind == WISH_PORT || w->id_vendor != selector->id_vendor ||
				 w->id_product != selector->id_product))
		return false;
	if (selector->serial && !(w->serial && pattern_matches(selector->serial, w->serial)))
		return false;
	return !selector->port || same(selector->port, w->port);
}

/**
 * wish_find_absent() - what seems to be wished for a configured device that is not plugged in
 * @wishes:	the list
 * @selector:	what the configuration says of the device
 * @alias:	its name there
 *
 * Which wish it really is shows when the device is plugged in; this is for telling people.
 *
 * Return: the newest wish that may mean it, owned by the list, or NULL.
 */
const struct wish *wish_find_absent(const struct wishes *wishes, const struct selector *selector,
				    const char *alias)
{
	const struct wish *found = NULL;

	list_for_each(it, &wishes->all) {
		const struct wish *w = list_entry(it, struct wish, link);

		if (wish_may_mean(w, selector, alias))
			found = w;
	}
	return found;
}

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

/* One line, without its newline, which is cut up. Return: 0, -EINVAL or -ENOMEM. */
static int parse_line(struct wish **ret_wish, char *line)
{
	char *field[WISH_FIELDS] = {0}, *rest = line;
	enum wish_kind kind;
	struct wish *w;
	int r;

	for (unsigned i = 0; i < WISH_FIELDS; i++) {
		field[i] = strsep(&rest, "\t");
		if (!field[i] || !unescape(field[i]))
			return -EINVAL;
	}
	if (rest || strcmp(field[0], "V1") || !kind_parse(&kind, field[2]))
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

		fprintf(f, "V1\t%s\t%s\t", w->target, kind_names[w->kind]);
		if (w->kind == WISH_SERIAL || w->kind == WISH_PORT_ID)
			fprintf(f, "%04x:%04x", w->id_vendor, w->id_product);
		fputc('\t', f);
		put_escaped(f, w->kind == WISH_ALIAS ? w->alias : w->serial);
		fputc('\t', f);
		put_escaped(f, w->port);
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
