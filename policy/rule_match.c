/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether a rule is about a device and a VM, and by which of its words it is not. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "policy/rule.h"
#include "policy/usb_class.h"

static bool any_pattern(const struct rule_list *list, const char *text)
{
	for (size_t i = 0; text && i < list->n; i++)
		if (pattern_matches(list->items[i], text))
			return true;
	return false;
}

/* ------------------------------------------------------------- what a device is, for each key */

static bool match_id(const struct rule_list *list, const struct device_facts *facts,
		     const struct rule_joined *joined)
{
	char id[16];

	snprintf(id, sizeof(id), "%04x:%04x", facts->id_vendor, facts->id_product);
	return any_pattern(list, id);
}

static bool match_serial(const struct rule_list *list, const struct device_facts *facts,
			 const struct rule_joined *joined)
{
	return any_pattern(list, facts->serial);
}

static bool match_port(const struct rule_list *list, const struct device_facts *facts,
		       const struct rule_joined *joined)
{
	return any_pattern(list, facts->busid) || any_pattern(list, facts->stable_port);
}

static bool match_class(const struct rule_list *list, const struct device_facts *facts,
			const struct rule_joined *joined)
{
	for (size_t i = 0; i < list->n; i++)
		if (facts->classes >> usb_class_parse(list->items[i]) & 1)
			return true;
	return false;
}

static bool match_product(const struct rule_list *list, const struct device_facts *facts,
			  const struct rule_joined *joined)
{
	return any_pattern(list, facts->product);
}

static bool match_alias(const struct rule_list *list, const struct device_facts *facts,
			const struct rule_joined *joined)
{
	return any_pattern(list, facts->alias);
}

static bool has_name(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

static bool match_in(const struct rule_list *list, const struct device_facts *facts,
		     const struct rule_joined *joined)
{
	for (size_t i = 0; i < list->n; i++)
		if (has_name(facts->groups, facts->n_groups, list->items[i]) ||
		    (joined && has_name(joined->names, joined->n, list->items[i])))
			return true;
	return false;
}

/* ------------------------------------------------------------- the same in words */

static void say_text(const char *key, const char *text, char *why, size_t size)
{
	if (text)
		snprintf(why, size, "%s is \"%.80s\"", key, text);
	else
		snprintf(why, size, "it has no %s", key);
}

static void say_id(const struct device_facts *facts, const struct rule_joined *joined, char *why,
		   size_t size)
{
	snprintf(why, size, "id is %04x:%04x", facts->id_vendor, facts->id_product);
}

static void say_serial(const struct device_facts *facts, const struct rule_joined *joined,
		       char *why, size_t size)
{
	say_text("serial", facts->serial, why, size);
}

static void say_port(const struct device_facts *facts, const struct rule_joined *joined, char *why,
		     size_t size)
{
	snprintf(why, size, "port is %.60s, %.60s", facts->busid ? facts->busid : "unknown",
		 facts->stable_port ? facts->stable_port : "unknown");
}

/* Add a word to a list of them; a list that is too long is cut. */
static size_t add_word(char *why, size_t size, size_t len, const char *before, const char *word)
{
	int n = snprintf(why + len, size - len, "%s%s", before, word);

	return n < 0 || (size_t)n >= size - len ? size - 1 : len + (size_t)n;
}

static void say_class(const struct device_facts *facts, const struct rule_joined *joined, char *why,
		      size_t size)
{
	usb_class_set classes = facts->classes;
	size_t len;

	/* "hid" says less than "hid.keyboard". */
	if (classes & (1 << USB_CLASS_HID_KEYBOARD | 1 << USB_CLASS_HID_MOUSE))
		classes &= ~(usb_class_set)(1 << USB_CLASS_HID);
	len = add_word(why, size, 0, "class is", classes ? "" : " unknown");
	for (unsigned c = 0; c < USB_CLASSES; c++)
		if (classes >> c & 1)
			len = add_word(why, size, len, " ", usb_class_name((enum usb_class)c));
}

static void say_product(const struct device_facts *facts, const struct rule_joined *joined,
			char *why, size_t size)
{
	say_text("product", facts->product, why, size);
}

static void say_alias(const struct device_facts *facts, const struct rule_joined *joined, char *why,
		      size_t size)
{
	say_text("alias", facts->alias, why, size);
}

static void say_in(const struct device_facts *facts, const struct rule_joined *joined, char *why,
		   size_t size)
{
	size_t n = facts->n_groups + (joined ? joined->n : 0);
	size_t len = add_word(why, size, 0, n ? "it is in" : "it is in no group", "");

	for (size_t i = 0; i < facts->n_groups; i++)
		len = add_word(why, size, len, " ", facts->groups[i]);
	for (size_t i = 0; joined && i < joined->n; i++)
		len = add_word(why, size, len, " ", joined->names[i]);
}

static const struct {
	bool (*match)(const struct rule_list *list, const struct device_facts *facts,
		      const struct rule_joined *joined);
	void (*say)(const struct device_facts *facts, const struct rule_joined *joined, char *why,
		    size_t size);
} matchers[RULE_MATCHERS] = {
	[RULE_ID] = {match_id, say_id},
	[RULE_SERIAL] = {match_serial, say_serial},
	[RULE_PORT] = {match_port, say_port},
	[RULE_CLASS] = {match_class, say_class},
	[RULE_PRODUCT] = {match_product, say_product},
	[RULE_ALIAS] = {match_alias, say_alias},
	[RULE_IN] = {match_in, say_in},
};

/**
 * rule_matches_device() - whether all that a rule says of a device holds
 * @rule:	the rule
 * @facts:	the device
 * @joined:	the groups that earlier rules have put it in, or NULL
 * @why:	where it does not: what the device is instead; may be NULL
 * @why_size:	room there
 */
bool rule_matches_device(const struct rule *rule, const struct device_facts *facts,
			 const struct rule_joined *joined, char *why, size_t why_size)
{
	if (rule->any_device)
		return true;
	for (unsigned kind = 0; kind < RULE_MATCHERS; kind++) {
		if (!rule->lists[kind].n || matchers[kind].match(&rule->lists[kind], facts, joined))
			continue;
		if (why)
			matchers[kind].say(facts, joined, why, why_size);
		return false;
	}
	return true;
}

/**
 * rule_names_vm() - whether a VM is in what a rule says after "to"
 * @rule:	the rule
 * @vm:		the VM's name
 */
bool rule_names_vm(const struct rule *rule, const char *vm)
{
	if (rule->to != RULE_TO_LISTED)
		return rule->to == RULE_TO_ALL;
	return has_name((const char *const *)rule->vms.items, rule->vms.n, vm);
}

/**
 * rule_join() - put a device into a group, for the rules that follow
 * @joined:	the groups so far
 * @group:	the group's name, which must stay; "" for none
 *
 * Return: whether it is a new one.
 */
bool rule_join(struct rule_joined *joined, const char *group)
{
	if (!*group || joined->n == RULE_JOINED_MAX || has_name(joined->names, joined->n, group))
		return false;
	joined->names[joined->n++] = group;
	return true;
}
