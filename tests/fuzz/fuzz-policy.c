/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any file is either rules or at least one error, and never both. What was read as a rule is read
 * as the same from its own text; and whatever the rules are, decisions agree with their reasons.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/decision.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool any_name(void *ctx _unused_, const char *name)
{
	return name[0] != 'x';
}

static void count(void *ctx, unsigned line _unused_, const char *text)
{
	if (strncmp(text, "expected ", 9))
		abort();
	++*(unsigned *)ctx;
}

static uint32_t look_up(void *ctx _unused_, const struct rule *rule _unused_, bool group,
			const char *name)
{
	return name[0] == 'a' ? 1000u + group : RULE_ID_UNKNOWN;
}

static const struct policy_names names = {.is_vm = any_name, .is_group = any_name};

/* One step for each rule; of those that decide it is said that they match. */
struct reasons {
	const struct policy *policy;
	const struct rule *decided[3];
	size_t n;
};

static void check_step(void *ctx, const struct policy_step *step)
{
	struct reasons *reasons = ctx;

	if (step->rule != reasons->policy->rules[reasons->n++] ||
	    strlen(step->why) >= sizeof(step->why) || (!step->matched && !*step->why))
		abort();
	for (size_t i = 0; i < ARRAY_SIZE(reasons->decided); i++)
		if (reasons->decided[i] == step->rule && !step->matched)
			abort();
}

static void check_texts(const struct policy *policy)
{
	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct rule *rule = policy->rules[i];
		_cleanup_(policy_freep) struct policy *again = NULL;
		unsigned n_errors = 0;
		char by[POLICY_BY_MAX];

		if (policy_new(&again) ||
		    policy_parse(again, "f", rule->text, strlen(rule->text), &names, count,
				 &n_errors) ||
		    n_errors || again->n_rules != 1 || strcmp(again->rules[0]->text, rule->text) ||
		    again->rules[0]->deny != rule->deny || again->rules[0]->to != rule->to ||
		    strlen(policy_rule_text(rule, by, sizeof(by))) >= sizeof(by))
			abort();
	}
}

static void check_decisions(const struct policy *policy)
{
	static const uint32_t gids[] = {1001};
	const struct policy_caller caller = {.uid = 1000, .gids = gids, .n_gids = 1};
	const char *const groups[] = {"desk"};
	const struct device_facts facts = {
		.id_vendor = 0x046d,
		.id_product = 0xc31c,
		.serial = "E0D5",
		.busid = "1-1.2",
		.stable_port = "0000:00:14.0/usb2:1.2",
		.alias = "keyboard",
		.classes = 1 << USB_CLASS_HID | 1 << USB_CLASS_HID_KEYBOARD,
		.groups = groups,
		.n_groups = 1,
	};
	struct policy_decision place = policy_place(policy, &facts, NULL, "vm1"),
			       route = policy_route(policy, &caller, &facts, "vm1");
	struct reasons reasons = {.policy = policy, .decided = {place.rule, route.rule}};
	const char *joined[RULE_JOINED_MAX];
	char vm[32], by[POLICY_BY_MAX];

	policy_explain(policy, &facts, &caller, "vm1", check_step, &reasons);
	if (reasons.n != policy->n_rules ||
	    policy_groups(policy, &facts, joined, RULE_JOINED_MAX) > RULE_JOINED_MAX)
		abort();
	if (policy_auto(policy, &facts, NULL, vm, by, sizeof(by)) &&
	    !policy_permits(policy, &facts, NULL, vm, NULL, 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(policy_freep) struct policy *policy = NULL;
	unsigned n_errors = 0;
	int r;

	if (policy_new(&policy))
		abort();
	r = policy_parse(policy, "f", data, size, &names, count, &n_errors);
	if (r < 0 || (r == 0) != (n_errors == 0))
		abort();
	if (r)
		return 0;
	policy_resolve(policy, look_up, NULL);
	check_texts(policy);
	check_decisions(policy);
	return 0;
}
