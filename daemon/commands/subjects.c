/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Words for several devices; see subjects.h.
 *
 * A group's members are those that the configuration lists, plugged in or not, and those that rules
 * put there.
 */
#include "daemon/commands/subjects.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "daemon/routing/policy_subject.h"
#include "policy/name.h"

#define JOINED_MAX 32

/* Where something may have been said of what is not there. */
static const enum wish_list lost_in[] = {WISHES_COMMANDS, WISHES_ASSIGNMENTS, WISHES_RESERVED};

/**
 * subject_of() - a device that nobody has named
 * @device:	the device
 *
 * What is wished for it hangs on its name, where it bears one.
 */
struct route_subject subject_of(struct device *device)
{
	struct route_subject s = {.device = device};

	if (device_alias(device)) {
		s.by = DEVICE_BY_NAME;
		snprintf(s.alias, sizeof(s.alias), "%s", device_alias(device));
	}
	return s;
}

/**
 * subject_of_lost_name() - a name that wishes are for, and that no device has any more
 * @commands:	the commands
 * @text:	what means no device and no group
 * @subject:	gets it, so that what was said can be taken back
 *
 * Return: whether it is one.
 */
bool subject_of_lost_name(struct commands *commands, const char *text,
			  struct route_subject *subject)
{
	for (size_t i = 0; i < ARRAY_SIZE(lost_in); i++) {
		if (!wish_find_name(&commands->books->now.list[lost_in[i]], text))
			continue;
		*subject = (struct route_subject){.by = DEVICE_BY_NAME};
		snprintf(subject->alias, sizeof(subject->alias), "%s", text);
		wish_text(wish_find_name(&commands->books->now.list[lost_in[i]], text),
			  subject->wish_on, sizeof(subject->wish_on));
		return true;
	}
	return false;
}

static size_t collect_lost(const struct wishes *wishes, const struct selector *selector,
			   struct route_subject subjects[ROUTE_SUBJECTS_MAX], size_t n)
{
	list_for_each(it, &wishes->all) {
		const struct wish *w = list_entry(it, struct wish, link);
		struct route_subject s = {.by = DEVICE_BY_SELECTOR};
		bool known = n == ROUTE_SUBJECTS_MAX || !wish_is_named(w, selector);

		wish_text(w, s.wish_on, sizeof(s.wish_on));
		for (size_t i = 0; !known && i < n; i++)
			known = !strcmp(subjects[i].wish_on, s.wish_on);
		if (!known)
			subjects[n++] = s;
	}
	return n;
}

/**
 * subjects_of_lost_wishes() - wishes without a name, for devices that are not there
 * @commands:	the commands
 * @selector:	what means no present device; a port in its stable spelling
 * @subjects:	get it, so that what was said can be taken back
 *
 * Return: how many; several are one thing only where a port is meant.
 */
size_t subjects_of_lost_wishes(const struct commands *commands, const struct selector *selector,
			       struct route_subject subjects[ROUTE_SUBJECTS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(lost_in); i++)
		n = collect_lost(&commands->books->now.list[lost_in[i]], selector, subjects, n);
	return n;
}

struct collected {
	struct route_subject *subjects;
	size_t n;
};

static void collect(struct collected *c, struct device *device, const char *alias)
{
	struct route_subject *s;

	for (size_t i = 0; i < c->n; i++)
		if (device ? c->subjects[i].device == device
			   : !c->subjects[i].device && !strcmp(c->subjects[i].alias, alias))
			return;
	if (c->n == ROUTE_SUBJECTS_MAX)
		return;
	s = &c->subjects[c->n++];
	if (device) {
		*s = subject_of(device);
		return;
	}
	*s = (struct route_subject){.by = DEVICE_BY_NAME};
	snprintf(s->alias, sizeof(s->alias), "%s", alias);
}

/* The device that bears an alias; where none does, the alias itself. */
static void collect_alias(struct collected *c, struct commands *commands, const char *alias)
{
	list_for_each(it, &commands->devices->all) {
		struct device *d = list_entry(it, struct device, link);

		if (!strcmp(d->alias, alias)) {
			collect(c, d, NULL);
			return;
		}
	}
	collect(c, NULL, alias);
}

/* The groups that rules put a device in; as many as fit. */
static size_t joined(const struct device *device, const char *names[JOINED_MAX])
{
	struct policy_subject s;

	policy_subject_of(&s, device);
	return policy_groups(device->devices->core->policy, &s.facts, names, JOINED_MAX);
}

/**
 * subjects_of_group() - who is in a group
 * @commands:	the commands
 * @name:	the group's name
 * @subjects:	its members
 * @ret_n:	how many
 *
 * Return: 0, or RESOLVE_UNKNOWN where there is no such group, or nobody is in it.
 */
int subjects_of_group(struct commands *commands, const char *name,
		      struct route_subject subjects[ROUTE_SUBJECTS_MAX], size_t *ret_n)
{
	const struct config_group *group = config_find_group(commands->core->config, name);
	struct collected c = {.subjects = subjects};

	for (size_t i = 0; group && i < group->n_devices; i++)
		collect_alias(&c, commands, group->devices[i]);
	list_for_each(it, &commands->devices->all) {
		struct device *d = list_entry(it, struct device, link);
		const char *names[JOINED_MAX];
		size_t n = joined(d, names);

		while (n--)
			if (!strcmp(names[n], name))
				collect(&c, d, NULL);
	}
	*ret_n = c.n;
	return c.n ? 0 : RESOLVE_UNKNOWN;
}

/**
 * subjects_group_of() - the group that a device belongs to
 * @device:	the device
 * @name:	room for it
 *
 * Return: @name, with the first group of the configuration that lists it, else the first that a
 * rule puts it in; NULL where there is none.
 */
const char *subjects_group_of(const struct device *device, char name[32])
{
	const char *names[JOINED_MAX];
	struct policy_subject s;

	policy_subject_of(&s, device);
	if (s.facts.n_groups)
		snprintf(name, 32, "%s", s.facts.groups[0]);
	else if (joined(device, names))
		snprintf(name, 32, "%s", names[0]);
	else
		return NULL;
	return name;
}

/**
 * subjects_resolve() - find the devices that a person means
 * @commands:		whose devices
 * @text:		a group (also as group=NAME), an alias, or a selector of one device
 * @subjects:		those that are meant
 * @ret_n:		how many
 * @ret_expected:	on -EINVAL: what it could have been
 *
 * Return: 0, RESOLVE_UNKNOWN, RESOLVE_AMBIGUOUS, or -EINVAL.
 */
int subjects_resolve(struct commands *commands, const char *text,
		     struct route_subject subjects[ROUTE_SUBJECTS_MAX], size_t *ret_n,
		     const char **ret_expected)
{
	struct route_subject *s = &subjects[0];
	int r;

	*ret_n = 0;
	if (!strncmp(text, "group=", 6))
		return subjects_of_group(commands, text + 6, subjects, ret_n);
	*s = (struct route_subject){0};
	r = device_resolve(commands->devices, text, &s->device, &s->by, ret_expected);
	if (r == RESOLVE_UNKNOWN && name_valid(text))
		return subjects_of_group(commands, text, subjects, ret_n);
	if (r != 0 && r != RESOLVE_ABSENT)
		return r;
	if (r == RESOLVE_ABSENT)
		snprintf(s->alias, sizeof(s->alias), "%s", text);
	else if (device_alias(s->device))
		snprintf(s->alias, sizeof(s->alias), "%s", device_alias(s->device));
	*ret_n = 1;
	return 0;
}
