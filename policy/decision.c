/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decisions; see decision.h. Each is one pass over the rules in their order, in which a group that
 * a rule puts the device in counts for the rules after it.
 */
#include "policy/decision.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* One pass: which of the rules match the device. */
struct pass {
	const struct policy *policy;
	const struct device_facts *facts;
	struct rule_joined joined;
	size_t next;
};

/* The next rule, and whether it matches the device; NULL at the end. */
static const struct rule *pass_next(struct pass *pass, bool *ret_matches, char *why,
				    size_t why_size)
{
	const struct rule *rule;

	if (!pass->policy || pass->next == pass->policy->n_rules)
		return NULL;
	rule = pass->policy->rules[pass->next++];
	*ret_matches = rule_matches_device(rule, pass->facts, &pass->joined, why, why_size);
	if (*ret_matches)
		rule_join(&pass->joined, rule->join);
	return rule;
}

/* The next rule that matches the device and is about rights, or is not; NULL at the end. */
static const struct rule *pass_next_match(struct pass *pass, bool rights)
{
	const struct rule *rule;
	bool matches;

	while ((rule = pass_next(pass, &matches, NULL, 0)))
		if (matches && rule_about_rights(rule) == rights)
			return rule;
	return NULL;
}

static void pass_begin(struct pass *pass, const struct policy *policy,
		       const struct device_facts *facts)
{
	pass->policy = policy;
	pass->facts = facts;
	pass->joined.n = 0;
	pass->next = 0;
}

static bool section_names_vm(const struct policy_section *section, const char *vm)
{
	for (size_t i = 0; i < section->n_vms; i++)
		if (!strcmp(section->vms[i], vm))
			return true;
	return false;
}

static struct policy_decision place(const struct policy *policy, const struct device_facts *facts,
				    const struct policy_section *section, const char *vm)
{
	struct policy_decision decision = {.yes = true, .decider = POLICY_BY_DEFAULT};
	const struct rule *rule, *allow = NULL;
	struct pass pass;

	if (!strcmp(vm, "host"))
		return decision;
	pass_begin(&pass, policy, facts);
	while ((rule = pass_next_match(&pass, false))) {
		if (!rule->deny)
			allow = allow ? allow : rule;
		else if (rule_names_vm(rule, vm))
			return (struct policy_decision){false, POLICY_BY_RULE, rule};
	}
	if (section)
		return (struct policy_decision){section_names_vm(section, vm), POLICY_BY_SECTION,
						NULL};
	if (allow)
		return (struct policy_decision){rule_names_vm(allow, vm), POLICY_BY_RULE, allow};
	return decision;
}

/**
 * policy_place() - whether a VM may have a device
 * @policy:	the policy; NULL: one without rules
 * @facts:	the device
 * @section:	its [device] section, where that has `vms`; else NULL
 * @vm:		the VM's name; "host" may have every device
 *
 * A device that a section matches, and whose name another device bears, must be allowed as itself and by
 * that name.
 *
 * Return: the decision.
 */
struct policy_decision policy_place(const struct policy *policy, const struct device_facts *facts,
				    const struct policy_section *section, const char *vm)
{
	struct policy_decision decision = place(policy, facts, section, vm);

	if (decision.yes && facts->also) {
		struct policy_decision also = place(policy, facts->also, section, vm);

		if (!also.yes)
			return also;
	}
	return decision;
}

static bool caller_is(const struct rule *rule, const struct policy_caller *caller, char *why,
		      size_t why_size)
{
	const struct rule_list *users = &rule->lists[RULE_USER], *groups = &rule->lists[RULE_GROUP];
	bool is_user = !users->n, is_member = !groups->n;

	for (size_t i = 0; i < users->n; i++)
		is_user = is_user ||
			  (users->ids[i] != RULE_ID_UNKNOWN && users->ids[i] == caller->uid);
	for (size_t i = 0; i < groups->n; i++)
		for (size_t k = 0; k < caller->n_gids; k++)
			is_member = is_member || (groups->ids[i] != RULE_ID_UNKNOWN &&
						  groups->ids[i] == caller->gids[k]);
	if (!is_user && why)
		snprintf(why, why_size, "your uid is %u", caller->uid);
	else if (!is_member && why)
		snprintf(why, why_size, "you are in no such group");
	return is_user && is_member;
}

static const struct rule *denies_caller(const struct policy *policy,
					const struct policy_caller *caller,
					const struct device_facts *facts, const char *vm)
{
	const struct rule *rule;
	struct pass pass;

	pass_begin(&pass, policy, facts);
	while ((rule = pass_next_match(&pass, true)))
		if (rule->deny && rule_names_vm(rule, vm) && caller_is(rule, caller, NULL, 0))
			return rule;
	return NULL;
}

/**
 * policy_route() - whether somebody may route a device to a VM
 * @policy:	the policy; NULL: one without rules
 * @caller:	who
 * @facts:	the device
 * @vm:		the VM's name
 *
 * This is about the caller's rights alone; whether the VM may have the device is policy_place()'s.
 *
 * Return: the decision.
 */
struct policy_decision policy_route(const struct policy *policy, const struct policy_caller *caller,
				    const struct device_facts *facts, const char *vm)
{
	const struct rule *rule, *allow = NULL;
	struct pass pass;

	if (caller->has_all_rights)
		return (struct policy_decision){true, POLICY_BY_CALLER, NULL};
	if (facts->also) {
		const struct rule *denies = denies_caller(policy, caller, facts->also, vm);

		if (denies)
			return (struct policy_decision){false, POLICY_BY_RULE, denies};
	}
	pass_begin(&pass, policy, facts);
	while ((rule = pass_next_match(&pass, true))) {
		if (!rule_names_vm(rule, vm) || !caller_is(rule, caller, NULL, 0))
			continue;
		if (rule->deny)
			return (struct policy_decision){false, POLICY_BY_RULE, rule};
		allow = allow ? allow : rule;
	}
	if (allow)
		return (struct policy_decision){true, POLICY_BY_RULE, allow};
	return (struct policy_decision){false, POLICY_BY_DEFAULT, NULL};
}

/**
 * policy_attach() - the rule that says whether a device is attached by itself
 * @policy:	the policy; NULL: one without rules
 * @facts:	the device
 *
 * Return: the first allow with attach= that matches, owned by the policy; NULL: none does.
 */
const struct rule *policy_attach(const struct policy *policy, const struct device_facts *facts)
{
	const struct rule *rule;
	struct pass pass;

	pass_begin(&pass, policy, facts);
	while ((rule = pass_next_match(&pass, false)))
		if (rule->attach != RULE_ATTACH_UNSAID)
			return rule;
	return NULL;
}

/**
 * policy_groups() - the groups that rules put a device in
 * @policy:	the policy; NULL: one without rules
 * @facts:	the device, with the groups that the configuration puts it in
 * @names:	the names of the others, owned by the policy
 * @max:	room there
 *
 * Return: how many there are in @names.
 */
size_t policy_groups(const struct policy *policy, const struct device_facts *facts,
		     const char **names, size_t max)
{
	struct pass pass;
	size_t n = 0;

	pass_begin(&pass, policy, facts);
	while (pass_next_match(&pass, false))
		;
	for (size_t i = 0; i < pass.joined.n && n < max; i++) {
		bool has = false;

		for (size_t k = 0; k < facts->n_groups; k++)
			has = has || !strcmp(facts->groups[k], pass.joined.names[i]);
		if (!has)
			names[n++] = pass.joined.names[i];
	}
	return n;
}

/* ------------------------------------------------------------- for people */

/**
 * policy_rule_text() - name a rule: "policy.d/10-usb.rules:3: deny class=hub"
 * @rule:	the rule
 * @by:		where it goes; a long rule is cut
 * @by_size:	room there
 *
 * Return: @by.
 */
char *policy_rule_text(const struct rule *rule, char *by, size_t by_size)
{
	int n = snprintf(by, by_size, "%s:%u: %s", rule->file, rule->line, rule->text);

	if (n < 0 || (size_t)n < by_size || by_size < sizeof("…"))
		return by;
	/* Not in the middle of a UTF-8 character. */
	by_size -= sizeof("…");
	while (by_size && ((unsigned char)by[by_size] & 0xc0) == 0x80)
		by_size--;
	strcpy(by + by_size, "…");
	return by;
}

/**
 * policy_decision_text() - what has made a decision
 * @decision:	the decision
 * @section:	the section that it was made with
 * @by:		where it goes
 * @by_size:	room there
 *
 * Return: @by.
 */
char *policy_decision_text(const struct policy_decision *decision,
			   const struct policy_section *section, char *by, size_t by_size)
{
	switch (decision->decider) {
	case POLICY_BY_DEFAULT:
		snprintf(by, by_size, "%s",
			 decision->yes ? "no rule says otherwise" : "no rule allows it");
		break;
	case POLICY_BY_SECTION:
		snprintf(by, by_size, "[device %s] vms", section->name);
		break;
	case POLICY_BY_RULE:
		policy_rule_text(decision->rule, by, by_size);
		break;
	case POLICY_BY_CALLER:
		snprintf(by, by_size, "root and the group \"usbrouted\" may route everything");
		break;
	}
	return by;
}

/**
 * policy_permits() - whether a VM may have a device, and by what
 * @policy:	the policy; NULL: one without rules
 * @facts:	the device
 * @section:	its [device] section, where that has `vms`; else NULL
 * @vm:		the VM's name
 * @by:		what decided; may be NULL
 * @by_size:	room there, such as POLICY_BY_MAX
 */
bool policy_permits(const struct policy *policy, const struct device_facts *facts,
		    const struct policy_section *section, const char *vm, char *by, size_t by_size)
{
	struct policy_decision decision = policy_place(policy, facts, section, vm);

	if (by)
		policy_decision_text(&decision, section, by, by_size);
	return decision.yes;
}

/**
 * policy_auto() - whether a rule wants a device in a VM by itself
 * @policy:	the policy; NULL: one without rules
 * @facts:	the device
 * @section:	its [device] section, where that has `vms`; else NULL
 * @vm:		the VM's name; also where a rule wants it there and it may not go there; else ""
 * @by:		the rule that wants it, or what forbids what a rule wants, or the rule that says
 *		never; else "". May be NULL
 * @by_size:	room there, such as POLICY_BY_MAX
 *
 * Return: whether it is wanted in @vm.
 */
bool policy_auto(const struct policy *policy, const struct device_facts *facts,
		 const struct policy_section *section, char vm[32], char *by, size_t by_size)
{
	const struct rule *rule = policy_attach(policy, facts);

	vm[0] = '\0';
	if (by)
		snprintf(by, by_size, "%s", "");
	if (!rule)
		return false;
	if (by)
		policy_rule_text(rule, by, by_size);
	if (rule->attach != RULE_ATTACH_AUTO)
		return false;
	snprintf(vm, 32, "%s", rule->vms.items[0]);
	if (policy_permits(policy, facts, section, vm, NULL, 0))
		return true;
	policy_permits(policy, facts, section, vm, by, by_size);
	return false;
}

/**
 * policy_right() - whether somebody may route a device to a VM, and by what
 * @policy:	the policy; NULL: one without rules
 * @caller:	who
 * @facts:	the device
 * @vm:		the VM's name
 * @by:		what decided; may be NULL
 * @by_size:	room there, such as POLICY_BY_MAX
 */
bool policy_right(const struct policy *policy, const struct policy_caller *caller,
		  const struct device_facts *facts, const char *vm, char *by, size_t by_size)
{
	struct policy_decision decision = policy_route(policy, caller, facts, vm);

	if (by)
		policy_decision_text(&decision, NULL, by, by_size);
	return decision.yes;
}

/* Which VMs a rule names, in a word or a few. */
static void say_vms(const struct rule *rule, const char *before, char *why, size_t size)
{
	size_t len = strlen(before);

	snprintf(why, size, "%s%s", before, rule->to == RULE_TO_NONE ? "no VM" : "");
	for (size_t i = 0; i < rule->vms.n && len < size; i++) {
		int n = snprintf(why + len, size - len, "%s%s", i ? "," : "", rule->vms.items[i]);

		len += n < 0 ? size : (size_t)n;
	}
}

/* The device matches; go on with who asks, and for which VM. */
static void step_finish(struct policy_step *step, const struct policy_caller *caller,
			const char *vm)
{
	const struct rule *rule = step->rule;

	if (rule_about_rights(rule) && !caller_is(rule, caller, step->why, sizeof(step->why))) {
		step->matched = false;
	} else if (vm && !rule_names_vm(rule, vm)) {
		/* The first allow decides for every VM: no for those that it leaves out. */
		step->matched = !rule->deny && !rule_about_rights(rule);
		say_vms(rule, step->matched ? "it is to " : "it is about ", step->why,
			sizeof(step->why));
	}
}

static bool rule_restricts(const struct rule *rule)
{
	return rule->deny || !rule_about_rights(rule);
}

/**
 * policy_explain() - try every rule, and tell how it went
 * @policy:	the policy; NULL: one without rules
 * @facts:	the device
 * @caller:	who asks; NULL: rules about rights are passed over
 * @vm:		the VM's name; NULL: whatever VM
 * @fn:		called for each rule
 * @ctx:	passed to it
 *
 * Which one decides is policy_place()'s, policy_route()'s and policy_attach()'s to say.
 */
void policy_explain(const struct policy *policy, const struct device_facts *facts,
		    const struct policy_caller *caller, const char *vm, policy_step_fn fn,
		    void *ctx)
{
	struct policy_step step;
	struct pass pass, also;

	pass_begin(&pass, policy, facts);
	pass_begin(&also, policy, facts->also);
	for (;;) {
		bool as_also = false;

		step.why[0] = '\0';
		step.rule = pass_next(&pass, &step.matched, step.why, sizeof(step.why));
		if (!step.rule)
			return;
		if (facts->also)
			pass_next(&also, &as_also, NULL, 0);
		/* The rule restricts the name, and is not about the device itself. */
		if (!step.matched && as_also && rule_restricts(step.rule)) {
			step.matched = true;
			snprintf(step.why, sizeof(step.why), "[device %s] matches it",
				 facts->also->alias);
		}
		if (!caller && rule_about_rights(step.rule))
			continue;
		if (step.matched)
			step_finish(&step, caller, vm);
		fn(ctx, &step);
	}
}
