/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a device is wanted, what says so, and whether it may be there. What holds of a present device is decided once
 * after each change of what it hangs on (core->basis), and kept in its route; else nothing is changed here.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/ip.h"
#include "base/mem.h"
#include "daemon/routing/policy_subject.h"
#include "daemon/routing/route_private.h"

/* What people said, the first that exists decides. */
static const struct {
	enum wish_list list;
	enum wanted_by by;
} kinds[] = {{WISHES_COMMANDS, WANTED_BY_COMMAND}, {WISHES_ASSIGNMENTS, WANTED_BY_ASSIGNMENT}};

/**
 * wanted_by_name() - what says where a device should be, as the contract names it
 * @by:		what
 */
const char *wanted_by_name(enum wanted_by by)
{
	static const char *const names[] = {
		[WANTED_BY_COMMAND] = "command",
		[WANTED_BY_ASSIGNMENT] = "assignment",
		[WANTED_BY_RULE] = "rule",
		[WANTED_BY_DEFAULT] = "default",
	};

	static_assert(ARRAY_SIZE(names) == WANTED_BY_DEFAULT + 1, "each has a name");
	return names[by];
}

/**
 * route_wish() - what was said of a device in one of the lists
 * @device:	the device
 * @book:	the wishes
 * @list:	which of them
 *
 * Return: the wish that decides, owned by the book, or NULL.
 */
const struct wish *route_wish(const struct device *device, const struct wish_book *book,
			      enum wish_list list)
{
	struct device_facts facts = device_facts_of(device);

	return wish_find(&book->list[list], &facts, device_pair_tells(device));
}

static bool asks_policy(const struct device *device, const char *vm, char *by, size_t size)
{
	struct policy_subject s;

	policy_subject_of(&s, device);
	return policy_permits(device->devices->core->policy, &s.facts, s.section, vm, by, size);
}

/* What a rule says, where no wish does. */
static void decide_by_rule(struct route_decision *decision, const struct device *device)
{
	struct route_want *want = &decision->want;
	struct policy_subject s;

	policy_subject_of(&s, device);
	if (policy_auto(device->devices->core->policy, &s.facts, s.section, want->target,
			want->rule, sizeof(want->rule))) {
		want->by = WANTED_BY_RULE;
		memcpy(decision->by, want->rule, sizeof(decision->by));
		return;
	}
	/* A rule that says never is not told. */
	if (!want->target[0])
		want->rule[0] = 0;
	strcpy(want->target, "host");
}

/**
 * route_decide() - where a device should be, and whether it may be there, were these the wishes
 * @device:	the device
 * @book:	the wishes
 *
 * A command's wish decides, else an assignment, else the first rule with attach=auto, else it
 * should be with the host, where every device may be. The policy is asked once at most.
 */
struct route_decision route_decide(const struct device *device, const struct wish_book *book)
{
	struct route_decision decision = {.want = {.by = WANTED_BY_DEFAULT, .target = "host"},
					  .may = true};
	struct route_want *want = &decision.want;

	decision.reserved = route_wish(device, book, WISHES_RESERVED) != NULL;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct wish *w = route_wish(device, book, kinds[i].list);

		if (!w)
			continue;
		want->by = kinds[i].by;
		memcpy(want->target, w->target, sizeof(want->target));
		wish_text(w, want->wish_on, sizeof(want->wish_on));
		if (strcmp(want->target, "host"))
			decision.may =
				asks_policy(device, want->target, decision.by, sizeof(decision.by));
		return decision;
	}
	decide_by_rule(&decision, device);
	if (want->by == WANTED_BY_DEFAULT) {
		struct ip_prefix to[ROUTE_LAN_TO];

		decision.lan = route_lan_to(device, to) > 0;
	}
	return decision;
}

/**
 * route_decided() - what was decided of a device holds from now on
 * @device:	the device
 * @decision:	of route_decide(), with all that it hangs on as it is now
 */
void route_decided(struct device *device, const struct route_decision *decision)
{
	device->route->decision = *decision;
	device->route->basis = device->devices->core->basis;
}

/**
 * route_decision() - where a device should be, and whether it may be there
 * @device:	the device, which has a route
 *
 * Return: the decision, good until something changes that it hangs on.
 */
const struct route_decision *route_decision(const struct device *device)
{
	struct route *route = device->route;

	if (route->basis != device->devices->core->basis) {
		route->decision = route_decide(device, &device->devices->books->now);
		route->basis = device->devices->core->basis;
	}
	return &route->decision;
}

/**
 * route_reserved() - whether a device is kept from the host's drivers
 * @device:	the device
 */
bool route_reserved(const struct device *device)
{
	if (device->route)
		return route_decision(device)->reserved;
	return route_wish(device, &device->devices->books->now, WISHES_RESERVED) != NULL;
}

/**
 * route_permits() - whether a VM may have a device
 * @device:	the device
 * @vm:		the VM's name
 * @by:		what decides: a rule with file and line, or "[device NAME] vms"; may be NULL
 * @size:	room there
 */
bool route_permits(const struct device *device, const char *vm, char *by, size_t size)
{
	const struct route_decision *decision = device->route ? route_decision(device) : NULL;

	if (!decision || strcmp(decision->want.target, vm) || !strcmp(vm, "host"))
		return asks_policy(device, vm, by, size);
	if (by)
		snprintf(by, size, "%s", decision->by);
	return decision->may;
}

/**
 * route_permits_absent() - the same of a device that is known by its alias, and not plugged in
 * @routing:	the routing
 * @alias:	its name
 * @vm:		the VM's name
 * @by:		what decides; may be NULL
 * @size:	room there
 *
 * What it is in truth is asked again once it is there.
 */
bool route_permits_absent(const struct routing *routing, const char *alias, const char *vm,
			  char *by, size_t size)
{
	struct policy_subject s;

	policy_subject_absent(&s, routing->core->config, alias,
			      config_find_device(routing->core->config, alias));
	return policy_permits(routing->core->policy, &s.facts, s.section, vm, by, size);
}

/**
 * route_asker_may() - whether who has wished a device at a VM by a command still may
 * @device:	the device, as far as it is known by now
 * @by:		where not: what decides, for a person
 * @size:	room there
 *
 * Only wishes whose user had the right from a rule are asked about: who may do all still may.
 * Bringing a device back to the host harms nobody.
 */
bool route_asker_may(const struct device *device, char *by, size_t size)
{
	const struct wish *w = route_wish(device, &device->devices->books->now, WISHES_COMMANDS);
	struct policy_caller caller = {};
	struct policy_subject s;

	if (!w || !w->n_asker || !strcmp(w->target, "host"))
		return true;
	caller.uid = w->asker[0];
	caller.gids = w->asker + 1;
	caller.n_gids = w->n_asker - 1;
	policy_subject_of(&s, device);
	return policy_right(device->devices->core->policy, &caller, &s.facts, w->target, by, size);
}

/**
 * route_consents() - whether the configuration itself gives a device to a VM by name
 * @device:	the device
 * @vm:		the VM's name
 */
bool route_consents(const struct device *device, const char *vm)
{
	const struct config_device *c = device->section;

	for (size_t i = 0; c && device_bears_section(device) && c->has_vms && i < c->n_vms; i++)
		if (!strcmp(c->vms[i], vm))
			return true;
	return false;
}

/**
 * route_wanted() - where a device should be, whether it can be there or not
 * @device:	the device
 */
struct route_want route_wanted(const struct device *device)
{
	if (device->route)
		return route_decision(device)->want;
	return route_decide(device, &device->devices->books->now).want;
}

/**
 * route_wanted_on() - where what a wish hangs on should be, and nothing that is plugged in
 * @book:	the wishes
 * @wish_on:	what, in wish_text()'s words
 */
struct route_want route_wanted_on(const struct wish_book *book, const char *wish_on)
{
	struct route_want want = {.by = WANTED_BY_DEFAULT, .target = "host"};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct wish *w = wish_find_on(&book->list[kinds[i].list], wish_on);

		if (!w)
			continue;
		want.by = kinds[i].by;
		memcpy(want.target, w->target, sizeof(want.target));
		wish_text(w, want.wish_on, sizeof(want.wish_on));
		break;
	}
	return want;
}

/**
 * route_wanted_absent() - the same of a device that is known by its alias, and not plugged in
 * @routing:	the routing
 * @alias:	its name
 *
 * The device shows which wish it really is when it is plugged in, and rules are asked then: this is
 * only for people.
 */
struct route_want route_wanted_absent(const struct routing *routing, const char *alias)
{
	static const struct selector none = SELECTOR_INIT;
	const struct config_device *c = config_find_device(routing->core->config, alias);
	struct route_want want = {.by = WANTED_BY_DEFAULT, .target = "host"};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct wish *w = wish_find_absent(&routing->books->now.list[kinds[i].list],
							c ? &c->match : &none, alias);

		if (!w)
			continue;
		want.by = kinds[i].by;
		memcpy(want.target, w->target, sizeof(want.target));
		wish_text(w, want.wish_on, sizeof(want.wish_on));
		break;
	}
	return want;
}
