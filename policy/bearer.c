/* SPDX-License-Identifier: BSD-2-Clause */
/* Who bears a name; bearer.h has the rules. The file form is in bearer_file.c. */
#include "policy/bearer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/bearer_private.h"
#include "policy/serial.h"

/* What a candidate was: new, the one that had the name, or one of the others, by index. */
#define NEW    -1
#define BEARER -2

/* ------------------------------------------------------------- identities */

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void identity_deinit(struct identity *i)
{
	free(i->serial);
	free(i->port);
	*i = (struct identity){0};
}

/* Unchanged where there is no memory. */
int identity_set(struct identity *i, uint16_t id_vendor, uint16_t id_product, const char *serial,
		 const char *port)
{
	struct identity next = {.id_vendor = id_vendor, .id_product = id_product};

	next.serial = serial ? strdup(serial) : NULL;
	next.port = strdup(port);
	if (!next.port || (serial && !next.serial)) {
		identity_deinit(&next);
		return -ENOMEM;
	}
	identity_deinit(i);
	*i = next;
	return 0;
}

static bool identity_is(const struct identity *i, uint16_t id_vendor, uint16_t id_product,
			const char *serial)
{
	return i->port && i->id_vendor == id_vendor && i->id_product == id_product &&
	       same_text(i->serial, serial);
}

/* Id and serial are the device's. */
static bool identity_fits(const struct identity *i, const struct device_facts *d)
{
	return identity_is(i, d->id_vendor, d->id_product, serial_lasting(d));
}

static bool identity_fits_port(const struct identity *i, const struct device_facts *d)
{
	return identity_fits(i, d) && same_text(i->port, d->stable_port);
}

/* Remember what a device is now. Without memory, the next call does it. */
static void identity_follow(struct identity *i, const struct device_facts *d, bool *changed)
{
	if (d->stable_port && !identity_fits_port(i, d) &&
	    identity_set(i, d->id_vendor, d->id_product, serial_lasting(d), d->stable_port) == 0)
		*changed = true;
}

/* ------------------------------------------------------------- the list */

void bearers_init(struct bearers *bearers)
{
	list_init(&bearers->all);
	bearers->n = 0;
}

/**
 * bearers_forget() - forget all about a name
 * @bearers:	the list
 * @bearer:	what is remembered; freed
 */
void bearers_forget(struct bearers *bearers, struct bearer *bearer)
{
	list_remove(&bearer->link);
	bearers->n--;
	identity_deinit(&bearer->given);
	identity_deinit(&bearer->last);
	for (size_t i = 0; i < bearer->n_others; i++)
		identity_deinit(&bearer->others[i]);
	free(bearer);
}

void bearers_deinit(struct bearers *bearers)
{
	while (!list_empty(&bearers->all))
		bearers_forget(bearers, list_entry(bearers->all.next, struct bearer, link));
}

/**
 * bearers_find() - what is remembered of a name
 * @bearers:	the list
 * @name:	the name
 *
 * Return: the bearer, owned by the list; NULL where nothing is.
 */
struct bearer *bearers_find(const struct bearers *bearers, const char *name)
{
	list_for_each(it, &bearers->all) {
		struct bearer *b = list_entry(it, struct bearer, link);

		if (!strcmp(b->name, name))
			return b;
	}
	return NULL;
}

/**
 * bearers_get() - the same; where nothing is remembered of the name, something can be from now on
 * @bearers:	the list
 * @name:	a name of at most 31 bytes
 * @ret_bearer:	the bearer, owned by the list
 *
 * Return: 0, -ENOMEM, or -ENOSPC where BEARERS_MAX names are remembered.
 */
int bearers_get(struct bearers *bearers, const char *name, struct bearer **ret_bearer)
{
	struct bearer *b = bearers_find(bearers, name);

	if (!b && bearers->n >= BEARERS_MAX)
		return -ENOSPC;
	if (!b) {
		b = calloc(1, sizeof(*b));
		if (!b)
			return -ENOMEM;
		snprintf(b->name, sizeof(b->name), "%s", name);
		list_append(&bearers->all, &b->link);
		bearers->n++;
	}
	*ret_bearer = b;
	return 0;
}

/**
 * bearer_give() - the device that a name was given to by command
 * @bearer:	the name; where this is another device than was known, all is forgotten of it
 * @id_vendor:	the device's
 * @id_product:	the device's
 * @serial:	the device's, where it lasts; else NULL
 * @port:	its stable port
 *
 * Return: 0 or -ENOMEM.
 */
int bearer_give(struct bearer *bearer, uint16_t id_vendor, uint16_t id_product, const char *serial,
		const char *port)
{
	if (identity_is(&bearer->given, id_vendor, id_product, serial) &&
	    same_text(bearer->given.port, port))
		return 0;
	while (bearer->n_others)
		identity_deinit(&bearer->others[--bearer->n_others]);
	bearer->gone = 0;
	if (identity_set(&bearer->last, id_vendor, id_product, serial, port) < 0 ||
	    identity_set(&bearer->given, id_vendor, id_product, serial, port) < 0)
		return -ENOMEM;
	return 0;
}

/* ------------------------------------------------------------- who is who */

struct candidates {
	const struct device_facts *facts;
	size_t n;
	int is[BEARER_CANDIDATES_MAX];
};

static const struct identity *identity_of(const struct bearer *b, int which)
{
	return which == BEARER ? &b->last : &b->others[which];
}

static bool is_found(const struct candidates *c, int which)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->is[i] == which)
			return true;
	return false;
}

static void find_in_port(const struct bearer *b, struct candidates *c, int which)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->is[i] == NEW && identity_fits_port(identity_of(b, which), &c->facts[i])) {
			c->is[i] = which;
			return;
		}
}

/* Another device that is missed has the same serial: the serial does not tell them apart. */
static bool is_shared(const struct bearer *b, const struct candidates *c, int which)
{
	const struct identity *own = identity_of(b, which);

	for (int other = BEARER; other < (int)b->n_others; other++) {
		const struct identity *i;

		if (other == NEW || other == which || is_found(c, other))
			continue;
		i = identity_of(b, other);
		if (identity_is(i, own->id_vendor, own->id_product, own->serial))
			return true;
	}
	return false;
}

static void find_by_serial(const struct bearer *b, struct candidates *c, int which)
{
	const struct identity *own = identity_of(b, which);
	size_t at = c->n, n = 0;

	if (!own->serial || is_found(c, which) || is_shared(b, c, which))
		return;
	for (size_t i = 0; i < c->n; i++)
		if (c->is[i] == NEW && identity_fits(own, &c->facts[i])) {
			at = i;
			n++;
		}
	if (n == 1)
		c->is[at] = which;
}

static void recognize(const struct bearer *b, struct candidates *c)
{
	for (size_t i = 0; i < c->n; i++)
		c->is[i] = NEW;
	for (int which = BEARER; which < (int)b->n_others; which++)
		if (which != NEW)
			find_in_port(b, c, which);
	for (int which = BEARER; which < (int)b->n_others; which++)
		if (which != NEW)
			find_by_serial(b, c, which);
}

static void candidates_init(struct candidates *c, const struct device_facts *facts, size_t n)
{
	c->facts = facts;
	c->n = min_t(size_t, n, BEARER_CANDIDATES_MAX);
}

/**
 * bearer_known() - the candidate that is known to have had the name last
 * @bearer:	the name
 * @candidates:	all of them
 * @n:		how many; of more than BEARER_CANDIDATES_MAX, the first ones
 *
 * Return: its index, or -1 where it is not there.
 */
int bearer_known(const struct bearer *bearer, const struct device_facts *candidates, size_t n)
{
	struct candidates c;

	candidates_init(&c, candidates, n);
	recognize(bearer, &c);
	for (size_t i = 0; i < c.n; i++)
		if (c.is[i] == BEARER)
			return (int)i;
	return -1;
}

/* ------------------------------------------------------------- who bears it */

/* Whether a candidate may take over a name that another device had, or nobody. */
static bool may_take(const struct bearer *b, const struct device_facts *d)
{
	if (!b->given.port)
		return !d->alias;
	/* A device with another serial is another device. */
	return !d->alias && same_text(b->given.serial, serial_lasting(d));
}

static int only(const struct bearer *b, const struct candidates *c, bool new_ones)
{
	int found = -1;

	for (size_t i = 0; i < c->n; i++) {
		if (!may_take(b, &c->facts[i]) || (new_ones && c->is[i] != NEW))
			continue;
		if (found >= 0)
			return -1;
		found = (int)i;
	}
	return found;
}

static bool all_others_there(const struct bearer *b, const struct candidates *c)
{
	for (int i = 0; i < (int)b->n_others; i++)
		if (!is_found(c, i))
			return false;
	return true;
}

static int choose(struct bearer *b, const struct candidates *c, uint64_t now, uint64_t wait)
{
	int found = -1;

	for (size_t i = 0; i < c->n; i++)
		if (c->is[i] == BEARER)
			return (int)i;
	if (!b->last.port)
		return c->n == 1 ? 0 : only(b, c, false);
	if (all_others_there(b, c))
		found = only(b, c, true);
	if (found >= 0 || b->given.port)
		return found;
	if (now < b->gone + wait) {
		b->until = c->n ? b->gone + wait : 0;
		return -1;
	}
	found = only(b, c, true);
	return found >= 0 ? found : only(b, c, false);
}

/* ------------------------------------------------------------- what is remembered */

static void other_forget(struct bearer *b, struct candidates *c, size_t which, bool *changed)
{
	identity_deinit(&b->others[which]);
	b->n_others--;
	memmove(&b->others[which], &b->others[which + 1],
		(b->n_others - which) * sizeof(b->others[0]));
	memmove(&b->other_gone[which], &b->other_gone[which + 1],
		(b->n_others - which) * sizeof(b->other_gone[0]));
	memmove(&b->other_came[which], &b->other_came[which + 1],
		(b->n_others - which) * sizeof(b->other_came[0]));
	b->others[b->n_others] = (struct identity){0};
	for (size_t i = 0; i < c->n; i++)
		if (c->is[i] == (int)which)
			c->is[i] = NEW;
		else if (c->is[i] > (int)which)
			c->is[i]--;
	*changed = true;
}

static bool are_alike(const struct identity *a, const struct identity *b)
{
	return identity_is(a, b->id_vendor, b->id_product, b->serial);
}

/*
 * Whether a device that is missed has moved to another port: one like it came a moment ago, beside the
 * bearer. (The kernel may tell of the new port before the old one.)
 */
static bool other_has_moved(struct bearer *b, const struct candidates *c, size_t which,
			    uint64_t now, uint64_t wait)
{
	for (size_t i = 0; i < b->n_others && !b->gone; i++) {
		if (!b->other_came[i] || b->other_came[i] + wait <= now || !is_found(c, (int)i) ||
		    !are_alike(&b->others[i], &b->others[which]))
			continue;
		b->other_came[i] = 0;
		return true;
	}
	return false;
}

/* Stop waiting for those that went long before the bearer. */
static void others_age(struct bearer *b, struct candidates *c, uint64_t now, uint64_t wait,
		       bool *changed)
{
	for (size_t i = b->n_others; i--;) {
		if (is_found(c, (int)i))
			b->other_gone[i] = 0;
		else if (!b->other_gone[i] && other_has_moved(b, c, i, now, wait))
			other_forget(b, c, i, changed);
		else if (!b->other_gone[i])
			b->other_gone[i] = now;
		else if (b->other_gone[i] + wait <= (b->gone ? b->gone : now))
			other_forget(b, c, i, changed);
	}
}

/* Which of the others has come back as this device; BEARER: none. */
static int other_come_back(const struct bearer *b, const struct candidates *c,
			   const struct device_facts *d)
{
	for (int i = 0; i < (int)b->n_others; i++)
		if (b->other_gone[i] && !is_found(c, i) && identity_fits(&b->others[i], d))
			return i;
	return BEARER;
}

/* All that are there beside the bearer. */
static void others_follow(struct bearer *b, struct candidates *c, int bearer, uint64_t now,
			  bool *changed)
{
	for (size_t i = 0; i < c->n; i++) {
		if ((int)i == bearer)
			continue;
		if (c->is[i] == NEW) {
			int back = other_come_back(b, c, &c->facts[i]);

			if (back == BEARER && b->n_others == BEARER_OTHERS_MAX)
				continue;
			if (back == BEARER) {
				back = (int)b->n_others++;
				b->others[back] = (struct identity){0};
				b->other_gone[back] = 0;
			}
			b->other_came[back] = b->other_gone[back] ? 0 : now;
			b->other_gone[back] = 0;
			c->is[i] = back;
		}
		identity_follow(&b->others[c->is[i]], &c->facts[i], changed);
	}
}

/**
 * bearer_find() - which candidate bears a name, and remember it
 * @bearer:	the name; its @until says when to ask again though nothing has changed
 * @candidates:	all of them; the alias of one is the name that it was given by command, or NULL
 * @n:		how many; of more than BEARER_CANDIDATES_MAX, the first ones
 * @now:	the time, in any unit; not 0
 * @wait:	how long the name waits for the one that had it
 * @changed:	set where what the file form tells is different from before
 *
 * Return: the index of the one that bears it; -1: nobody does, and all are ambiguous.
 */
int bearer_find(struct bearer *bearer, const struct device_facts *candidates, size_t n,
		uint64_t now, uint64_t wait, bool *changed)
{
	struct candidates c;
	int found;

	candidates_init(&c, candidates, n);
	recognize(bearer, &c);
	if (is_found(&c, BEARER) || !bearer->last.port)
		bearer->gone = 0;
	else if (!bearer->gone)
		bearer->gone = now;
	others_age(bearer, &c, now, wait, changed);
	bearer->until = 0;
	found = choose(bearer, &c, now, wait);
	if (found < 0)
		return -1;
	if (c.is[found] >= 0)
		other_forget(bearer, &c, (size_t)c.is[found], changed);
	bearer->gone = 0;
	identity_follow(&bearer->last, &c.facts[found], changed);
	others_follow(bearer, &c, found, now, changed);
	return found;
}
