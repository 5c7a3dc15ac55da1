/* SPDX-License-Identifier: BSD-2-Clause */
/* Wishes in words, for people. */
#include <stdio.h>

#include "policy/wish_private.h"

/**
 * wish_text() - what a wish hangs on, for a person
 * @w:		the wish
 * @text:	gets it
 * @size:	room there
 */
void wish_text(const struct wish *w, char *text, size_t size)
{
	switch (w->kind) {
	case WISH_NAME:
		snprintf(text, size, "the name %s", w->name);
		break;
	case WISH_SERIAL:
		snprintf(text, size, "%04x:%04x with serial %.120s", w->id_vendor, w->id_product,
			 w->serial);
		break;
	case WISH_PORT_ID:
		snprintf(text, size, "%04x:%04x in port %.120s", w->id_vendor, w->id_product,
			 w->port);
		break;
	case WISH_PORT:
		snprintf(text, size, "port %.120s", w->port);
		break;
	}
}

/* Could this wish be about a device that @selector describes? Product and class aren't in it. */
static bool wish_may_mean(const struct wish *w, const struct selector *selector, const char *alias)
{
	if (w->kind == WISH_NAME)
		return wish_same_text(w->name, alias);
	if (!selector->has_id && !selector->serial && !selector->port)
		return false;
	if (selector->has_id && (w->kind == WISH_PORT || w->id_vendor != selector->id_vendor ||
				 w->id_product != selector->id_product))
		return false;
	if (selector->serial && !(w->serial && pattern_matches(selector->serial, w->serial)))
		return false;
	return !selector->port || wish_same_text(selector->port, w->port);
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
