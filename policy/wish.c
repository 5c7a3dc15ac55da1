/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The list of wishes; its file form is in wish_file.c, who made one in wish_asker.c, how wishes
 * follow their devices in wish_follow.c, end in wish_end.c, what is told of them in wish_say.c.
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

struct wish *wish_free(struct wish *w)
{
	if (!w)
		return NULL;
	list_remove(&w->link);
	free(w->serial);
	free(w->port);
	free(w->name);
	free(w->asker);
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
int wish_copy_text(char **ret, const char *text)
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
	     const char *port, const char *name)
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
	if (wish_copy_text(&w->serial, serial) || wish_copy_text(&w->port, port) ||
	    wish_copy_text(&w->name, name))
		return -ENOMEM;
	*ret_wish = take_ptr(w);
	return 0;
}

int wish_clone(struct wish **ret_wish, const struct wish *w, const char *target)
{
	_cleanup_wish_ struct wish *clone = NULL;
	int r = wish_new(&clone, w->kind, target, w->serial, w->port, w->name);

	if (r == 0)
		r = wish_set_asker(clone, w->asker, w->n_asker);
	if (r < 0)
		return r;
	clone->id_vendor = w->id_vendor;
	clone->id_product = w->id_product;
	clone->until = w->until;
	clone->until_unplug = w->until_unplug;
	clone->plugging = w->plugging;
	clone->old = w->old;
	*ret_wish = take_ptr(clone);
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

void wishes_remove(struct wishes *wishes, struct wish *w)
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
		const struct wish *w = list_entry(it, struct wish, link);
		int r = wish_clone(&c, w, w->target);

		if (r < 0)
			return r;
		wishes_add(&copy, c);
	}
	wishes_init(ret_to);
	while ((l = list_pop(&copy.all)))
		wishes_add(ret_to, list_entry(l, struct wish, link));
	return 0;
}

bool wish_same_text(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

bool wish_means(const struct wish *w, const struct device_facts *d, bool pair_is_unique)
{
	bool same_id = w->id_vendor == d->id_vendor && w->id_product == d->id_product;

	switch (w->kind) {
	case WISH_SERIAL:
		return same_id && wish_same_text(w->serial, d->serial) &&
		       (pair_is_unique || wish_same_text(w->port, d->stable_port));
	case WISH_PORT_ID:
		return same_id && wish_same_text(w->port, d->stable_port);
	case WISH_PORT:
		return wish_same_text(w->port, d->stable_port);
	case WISH_NAME:
		return wish_same_text(w->name, d->alias);
	}
	return false;
}

/* The newest: one that an older version made may have come to hang on the name, too. */
static struct wish *find_name(const struct wishes *wishes, const char *name)
{
	struct wish *found = NULL;

	list_for_each(it, &wishes->all) {
		struct wish *w = list_entry(it, struct wish, link);

		if (w->kind == WISH_NAME && wish_same_text(w->name, name))
			found = w;
	}
	return found;
}

static int new_for_device(struct wish **ret_wish, const struct device_facts *device, bool by_port,
			  bool pair_is_unique, const char *target)
{
	enum wish_kind kind = by_port				 ? WISH_PORT
			      : pair_is_unique && device->serial ? WISH_SERIAL
								 : WISH_PORT_ID;
	int r;

	if (!device->stable_port || !*device->stable_port)
		return -EINVAL;
	r = wish_new(ret_wish, kind, target, kind == WISH_SERIAL ? device->serial : NULL,
		     device->stable_port, NULL);
	if (r == 0)
		(*ret_wish)->plugging = device->plugging;
	if (r == 0 && kind != WISH_PORT) {
		(*ret_wish)->id_vendor = device->id_vendor;
		(*ret_wish)->id_product = device->id_product;
	}
	return r;
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
	_cleanup_wish_ struct wish *w = NULL;
	int r = new_for_device(&w, device, by_port, pair_is_unique, target);

	if (r < 0)
		return r;
	if (wishes->n >= WISHES_MAX && !wish_find(wishes, device, pair_is_unique))
		return -ENOSPC;
	wish_forget(wishes, device, pair_is_unique);
	wishes_add(wishes, take_ptr(w));
	return 0;
}

/**
 * wish_append() - the same, beside all earlier ones
 * @wishes:		as for wish_set()
 * @device:		as for wish_set()
 * @by_port:		as for wish_set()
 * @pair_is_unique:	as for wish_set()
 * @target:		as for wish_set()
 *
 * Return: as wish_set().
 */
int wish_append(struct wishes *wishes, const struct device_facts *device, bool by_port,
		bool pair_is_unique, const char *target)
{
	struct wish *w;
	int r = wishes->n < WISHES_MAX ? 0 : -ENOSPC;

	if (r == 0)
		r = new_for_device(&w, device, by_port, pair_is_unique, target);
	if (r == 0)
		wishes_add(wishes, w);
	return r;
}

/* Take away all that mean a device or hang on a name, either of which may be NULL. */
static void forget_all(struct wishes *wishes, const struct device_facts *device,
		       bool pair_is_unique, const char *name)
{
	list_for_each_safe(it, &wishes->all) {
		struct wish *w = list_entry(it, struct wish, link);

		if ((device && wish_means(w, device, pair_is_unique)) ||
		    (w->kind == WISH_NAME && wish_same_text(w->name, name)))
			wishes_remove(wishes, w);
	}
}

/**
 * wish_set_name() - store where whatever bears a name should be
 * @wishes:		the list; unchanged on error
 * @name:		the name
 * @device:		the device that bears it now, of which all earlier wishes go; NULL: none does
 * @pair_is_unique:	no other present device has the same id and serial
 * @target:		a VM's name, or "host"
 *
 * Return: 0, -EINVAL, -ENOSPC or -ENOMEM, as wish_set().
 */
int wish_set_name(struct wishes *wishes, const char *name, const struct device_facts *device,
		  bool pair_is_unique, const char *target)
{
	_cleanup_wish_ struct wish *w = NULL;
	int r;

	if (!name_valid_alias(name))
		return -EINVAL;
	r = wish_new(&w, WISH_NAME, target, NULL, NULL, name);
	if (r < 0)
		return r;
	if (wishes->n >= WISHES_MAX && !find_name(wishes, name) &&
	    !(device && wish_find(wishes, device, pair_is_unique)))
		return -ENOSPC;
	w->plugging = device ? device->plugging : 0;
	forget_all(wishes, device, pair_is_unique, name);
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
	forget_all(wishes, device, pair_is_unique, NULL);
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
		r = wish_clone(&c, w, w->target);
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

/**
 * wish_forget_name() - take back the wish that hangs on a name
 * @wishes:	the list
 * @name:	the name
 */
void wish_forget_name(struct wishes *wishes, const char *name)
{
	forget_all(wishes, NULL, false, name);
}

/**
 * wish_forget_on() - take back all wishes that hang on something
 * @wishes:	the list
 * @text:	what, in wish_text()'s words
 */
void wish_forget_on(struct wishes *wishes, const char *text)
{
	list_for_each_safe(it, &wishes->all) {
		struct wish *w = list_entry(it, struct wish, link);

		if (wish_hangs_on(w, text))
			wishes_remove(wishes, w);
	}
}

/**
 * wish_restore_name() - put what hangs on a name back to what it was
 * @wishes:	the list
 * @before:	an earlier copy of it
 * @name:	the name
 *
 * Return: 0 or -ENOMEM.
 */
int wish_restore_name(struct wishes *wishes, const struct wishes *before, const char *name)
{
	const struct wish *old = find_name(before, name);
	struct wish *w = NULL;

	if (old && wish_clone(&w, old, old->target) < 0)
		return -ENOMEM;
	wish_forget_name(wishes, name);
	if (w)
		wishes_add(wishes, w);
	return 0;
}

/**
 * wish_find_name() - the wish that hangs on a name
 * @wishes:	the list
 * @name:	the name
 *
 * Return: the wish, owned by the list, or NULL.
 */
const struct wish *wish_find_name(const struct wishes *wishes, const char *name)
{
	return find_name(wishes, name);
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
