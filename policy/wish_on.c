/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Wishes told apart by what they hang on, in wish_text()'s words: how those are named and taken
 * back whose device is not there.
 */
#include <errno.h>
#include <string.h>

#include "policy/wish_private.h"

bool wish_hangs_on(const struct wish *w, const char *text)
{
	char own[WISH_TEXT_MAX];

	wish_text(w, own, sizeof(own));
	return !strcmp(own, text);
}

/**
 * wish_is_named() - whether a person's words for a device name what a wish hangs on
 * @w:		the wish; never one on a name, which only the name itself means
 * @selector:	what was said; a port in its stable spelling
 *
 * A wish knows neither product nor class, and one on a port knows no more than that.
 */
bool wish_is_named(const struct wish *w, const struct selector *selector)
{
	bool has_id = w->kind == WISH_SERIAL || w->kind == WISH_PORT_ID;

	if (w->kind == WISH_NAME || selector->product || selector->class_ >= 0 ||
	    selector_empty(selector))
		return false;
	if (selector->has_id && !(has_id && w->id_vendor == selector->id_vendor &&
				  w->id_product == selector->id_product))
		return false;
	if (selector->serial &&
	    !(w->kind == WISH_SERIAL && pattern_matches(selector->serial, w->serial)))
		return false;
	return !selector->port ||
	       (w->kind != WISH_SERIAL && wish_same_text(selector->port, w->port));
}

/**
 * wish_find_on() - the wish that hangs on something
 * @wishes:	the list
 * @text:	what, in wish_text()'s words
 *
 * Return: the newest such wish, owned by the list, or NULL.
 */
const struct wish *wish_find_on(const struct wishes *wishes, const char *text)
{
	const struct wish *found = NULL;

	list_for_each(it, &wishes->all) {
		const struct wish *w = list_entry(it, struct wish, link);

		if (wish_hangs_on(w, text))
			found = w;
	}
	return found;
}

/**
 * wish_set_like() - store that what another wish hangs on should be elsewhere
 * @wishes:	the list; unchanged on error
 * @like:	the other wish, in another list
 * @target:	a VM's name, or "host"
 *
 * Return: 0, -EINVAL, -ENOSPC or -ENOMEM, as wish_set().
 */
int wish_set_like(struct wishes *wishes, const struct wish *like, const char *target)
{
	char on[WISH_TEXT_MAX];
	struct wish *w;
	int r;

	wish_text(like, on, sizeof(on));
	if (wishes->n >= WISHES_MAX && !wish_find_on(wishes, on))
		return -ENOSPC;
	r = wish_clone(&w, like, target);
	if (r < 0)
		return r;
	w->until = 0;
	w->until_unplug = false;
	wish_forget_on(wishes, on);
	wishes_add(wishes, w);
	return 0;
}

/**
 * wish_restore_on() - put what hangs on something back to what it was
 * @wishes:	the list
 * @before:	an earlier copy of it
 * @text:	what, in wish_text()'s words
 *
 * Return: 0 or -ENOMEM.
 */
int wish_restore_on(struct wishes *wishes, const struct wishes *before, const char *text)
{
	const struct wish *old = wish_find_on(before, text);
	struct wish *w = NULL;

	if (old && wish_clone(&w, old, old->target) < 0)
		return -ENOMEM;
	wish_forget_on(wishes, text);
	if (w)
		wishes_add(wishes, w);
	return 0;
}
