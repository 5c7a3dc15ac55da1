/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The list of wishes; its file form is in wish_file.c.
 *
 * A change builds the new wish whole before it takes anything away, so that it happens or does not.
 */
#include "policy/wish.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/name.h"
#include "policy/wish_private.h"

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

int wish_new(struct wish **ret_wish, enum wish_kind kind, const char *target, const char *serial,
	     const char *port, const char *alias)
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

static int wish_clone(struct wish **ret_wish, const struct wish *w)
{
	int r = wish_new(ret_wish, w->kind, w->target, w->serial, w->port, w->alias);

	if (r < 0)
		return r;
	(*ret_wish)->id_vendor = w->id_vendor;
	(*ret_wish)->id_product = w->id_product;
	(*ret_wish)->until = w->until;
	(*ret_wish)->until_unplug = w->until_unplug;
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

void wishes_add(struct wishes *wishes, struct wish *w)
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
		struct wish *c;
		int r = wish_clone(&c, list_entry(it, struct wish, link));

		if (r < 0)
			return r;
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
 * wishes_limit_last() - give the wish that was set last an end
 * @wishes:		the list, not empty
 * @until:		the second at which it ends; 0: at none
 * @until_unplug:	it ends when its device is unplugged
 */
void wishes_limit_last(struct wishes *wishes, uint64_t until, bool until_unplug)
{
	struct wish *w = list_entry(wishes->all.prev, struct wish, link);

	w->until = until;
	w->until_unplug = until_unplug;
}

/**
 * wishes_expire() - take back the wishes whose time is over
 * @wishes:	the list
 * @now:	the second that it is
 *
 * Return: how many.
 */
unsigned wishes_expire(struct wishes *wishes, uint64_t now)
{
	unsigned n = 0;

	list_for_each_safe(it, &wishes->all) {
		struct wish *w = list_entry(it, struct wish, link);

		if (!w->until || w->until > now)
			continue;
		wishes_remove(wishes, w);
		n++;
	}
	return n;
}

/**
 * wishes_next_end() - when the next wish ends by itself
 * @wishes:	the list
 *
 * Return: the second; 0 where none does.
 */
uint64_t wishes_next_end(const struct wishes *wishes)
{
	uint64_t next = 0;

	list_for_each(it, &wishes->all) {
		const struct wish *w = list_entry(it, struct wish, link);

		if (w->until && (!next || w->until < next))
			next = w->until;
	}
	return next;
}

/**
 * wish_unplugged() - take back the wishes that end with a device's unplugging
 * @wishes:		the list
 * @device:		the device
 * @pair_is_unique:	no other present device has the same id and serial
 *
 * Return: how many.
 */
unsigned wish_unplugged(struct wishes *wishes, const struct device_facts *device,
			bool pair_is_unique)
{
	unsigned n = 0;

	list_for_each_safe(it, &wishes->all) {
		struct wish *w = list_entry(it, struct wish, link);

		if (!w->until_unplug || !wish_means(w, device, pair_is_unique))
			continue;
		wishes_remove(wishes, w);
		n++;
	}
	return n;
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
		r = wish_clone(&c, w);
		if (r < 0)
			return r;
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

static struct wish *find_alias(const struct wishes *wishes, const char *alias)
{
	list_for_each(it, &wishes->all) {
		struct wish *w = list_entry(it, struct wish, link);

		if (w->kind == WISH_ALIAS && same(w->alias, alias))
			return w;
	}
	return NULL;
}

/**
 * wish_forget_alias() - take back the wish that hangs on an alias
 * @wishes:	the list
 * @alias:	the alias
 */
void wish_forget_alias(struct wishes *wishes, const char *alias)
{
	struct wish *w = find_alias(wishes, alias);

	if (w)
		wishes_remove(wishes, w);
}

/**
 * wish_restore_alias() - put what hangs on an alias back to what it was
 * @wishes:	the list
 * @before:	an earlier copy of it
 * @alias:	the alias
 *
 * Return: 0 or -ENOMEM.
 */
int wish_restore_alias(struct wishes *wishes, const struct wishes *before, const char *alias)
{
	const struct wish *old = find_alias(before, alias);
	struct wish *w = NULL;

	if (old && wish_clone(&w, old) < 0)
		return -ENOMEM;
	wish_forget_alias(wishes, alias);
	if (w)
		wishes_add(wishes, w);
	return 0;
}

/**
 * wish_find_target() - the first wish with a target
 * @wishes:	the list
 * @target:	the target
 *
 * Return: the wish, owned by the list, or NULL.
 */
const struct wish *wish_find_target(const struct wishes *wishes, const char *target)
{
	list_for_each(it, &wishes->all) {
		const struct wish *w = list_entry(it, struct wish, link);

		if (!strcmp(w->target, target))
			return w;
	}
	return NULL;
}

/**
 * wish_forget_target() - take back all wishes with a target
 * @wishes:	the list
 * @target:	the target
 */
void wish_forget_target(struct wishes *wishes, const char *target)
{
	list_for_each_safe(it, &wishes->all) {
		struct wish *w = list_entry(it, struct wish, link);

		if (!strcmp(w->target, target))
			wishes_remove(wishes, w);
	}
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
