/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What follows from the policy: which VM may have a device, where a rule wants it, who may route
 * it, and why. Pure; takes plain facts.
 *
 * Placement, may a VM have a device:
 *	1. a `deny` that matches the device and names the VM: no, whatever else says so;
 *	2. a [device] section's `vms`: that decides;
 *	3. the first `allow` that matches the device: the VM is in its `to`, or not;
 *	4. nothing says anything: yes.
 * Attaching: the first `allow` that matches the device and has attach=; auto wants the device at
 * the first VM of its `to`, where placement permits that.
 * Rights: a caller who has all rights may; else one for whom no `deny` with user= or group=
 * matches, and some `allow` with them does.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/rule.h"

/* Room for a "by": a rule's file, line and the beginning of its text. */
#define POLICY_BY_MAX 256

/* A [device] section that has `vms`. */
struct policy_section {
	const char *name; /* the alias */
	const char (*vms)[32];
	size_t n_vms;
};

/* Who asks. */
struct policy_caller {
	bool has_all_rights; /* root, the group "usbrouted" */
	uint32_t uid;
	const uint32_t *gids; /* the primary group and all others */
	size_t n_gids;
};

enum policy_decider {
	POLICY_BY_DEFAULT, /* nothing says anything */
	POLICY_BY_SECTION, /* [device] vms */
	POLICY_BY_RULE,
	POLICY_BY_CALLER, /* who has all rights */
};

struct policy_decision {
	bool yes;
	enum policy_decider decider;
	const struct rule *rule; /* POLICY_BY_RULE */
};

struct policy_decision policy_place(const struct policy *policy, const struct device_facts *facts,
				    const struct policy_section *section, const char *vm);
struct policy_decision policy_route(const struct policy *policy, const struct policy_caller *caller,
				    const struct device_facts *facts, const char *vm);
const struct rule *policy_attach(const struct policy *policy, const struct device_facts *facts);
char *policy_decision_text(const struct policy_decision *decision,
			   const struct policy_section *section, char *by, size_t by_size);
char *policy_rule_text(const struct rule *rule, char *by, size_t by_size);

bool policy_permits(const struct policy *policy, const struct device_facts *facts,
		    const struct policy_section *section, const char *vm, char *by, size_t by_size);
bool policy_auto(const struct policy *policy, const struct device_facts *facts,
		 const struct policy_section *section, char vm[32], char *by, size_t by_size);
bool policy_right(const struct policy *policy, const struct policy_caller *caller,
		  const struct device_facts *facts, const char *vm, char *by, size_t by_size);
size_t policy_groups(const struct policy *policy, const struct device_facts *facts,
		     const char **names, size_t max);

/* One rule, as it was tried. */
struct policy_step {
	const struct rule *rule;
	bool matched;
	char why[160]; /* where it did not: which word failed, and on what */
};

/**
 * typedef policy_step_fn - a rule was tried
 * @ctx:	as given
 * @step:	the rule and how it went; for the length of the call
 */
typedef void (*policy_step_fn)(void *ctx, const struct policy_step *step);

void policy_explain(const struct policy *policy, const struct device_facts *facts,
		    const struct policy_caller *caller, const char *vm, policy_step_fn fn,
		    void *ctx);
