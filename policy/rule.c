/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of rules: filled from files, shared between policies, given back. */
#include "policy/rule.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text_file.h"

/* Room for "expected …; found …". */
#define EXPECTED_MAX 400

/**
 * policy_new() - a policy without rules
 * @ret_policy:	the policy, to be freed with policy_free()
 *
 * Return: 0 or -ENOMEM.
 */
int policy_new(struct policy **ret_policy)
{
	struct policy *policy = calloc(1, sizeof(*policy));

	if (!policy)
		return -ENOMEM;
	*ret_policy = policy;
	return 0;
}

/**
 * policy_free() - free a policy, and the rules that no other one has
 * @policy:	the policy, or NULL
 *
 * Return: NULL.
 */
struct policy *policy_free(struct policy *policy)
{
	if (!policy)
		return NULL;
	for (size_t i = 0; i < policy->n_rules; i++)
		rule_unref(policy->rules[i]);
	free(policy->rules);
	free(policy);
	return NULL;
}

/**
 * policy_freep() - policy_free() as a cleanup
 * @policy:	where the policy is kept
 */
void policy_freep(struct policy **policy)
{
	*policy = policy_free(*policy);
}

/* The caller's reference is taken, also where this fails. */
static int add_rule(struct policy *policy, struct rule *rule)
{
	/* Room doubles: at 0, 1, 2, 4, 8 … rules. */
	if (!(policy->n_rules & (policy->n_rules - 1))) {
		size_t room = policy->n_rules ? policy->n_rules * 2 : 1;
		struct rule **rules = reallocarray(policy->rules, room, sizeof(*rules));

		if (!rules) {
			rule_unref(rule);
			return -ENOMEM;
		}
		policy->rules = rules;
	}
	policy->rules[policy->n_rules++] = rule;
	return 0;
}

static int parse_one_line(struct policy *policy, const char *file, unsigned line, const char *text,
			  size_t len, const struct policy_names *names, policy_complain complain,
			  void *ctx)
{
	char expected[EXPECTED_MAX];
	struct rule *rule;
	int r = rule_parse(&rule, text, len, names, expected, sizeof(expected));

	if (r == POLICY_BAD)
		complain(ctx, line, expected);
	if (r || !rule)
		return r;
	rule->line = line;
	rule->file = strdup(file);
	if (!rule->file) {
		rule_unref(rule);
		return -ENOMEM;
	}
	return add_rule(policy, rule);
}

/**
 * policy_parse() - add the rules of one file
 * @policy:	the policy; to be dropped where this does not return 0
 * @file:	what the file is called where a rule is named
 * @data:	its bytes
 * @len:	how many
 * @names:	which VMs and groups there are
 * @complain:	called for each line that is refused
 * @ctx:	passed to it
 *
 * Every line is read even where an earlier one was refused, so that a person sees all errors at
 * once.
 *
 * Return: 0; POLICY_BAD, and @complain was called at least once; -ENOMEM.
 */
int policy_parse(struct policy *policy, const char *file, const void *data, size_t len,
		 const struct policy_names *names, policy_complain complain, void *ctx)
{
	const char *text = data, *expected;
	int status = 0;

	if (len > POLICY_FILE_MAX) {
		complain(ctx, 0, "expected a file of at most 1 MiB; found more");
		return POLICY_BAD;
	}
	if (text_file_begins(text, len, &expected) != TEXT_FILE_GOOD) {
		char why[EXPECTED_MAX];

		snprintf(why, sizeof(why), "expected %s", expected);
		complain(ctx, 1, why);
		if (text_file_begins(text, len, &expected) == TEXT_FILE_OTHER)
			return POLICY_BAD;
		status = POLICY_BAD;
		text += TEXT_FILE_MARK_LEN;
		len -= TEXT_FILE_MARK_LEN;
	}
	for (unsigned line = 1; len; line++) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;
		int r = parse_one_line(policy, file, line, text, n, names, complain, ctx);

		if (r < 0)
			return r;
		status = r ? r : status;
		if (policy->n_rules > POLICY_RULES_MAX) {
			complain(ctx, line, "expected at most 4096 rules in all files");
			return POLICY_BAD;
		}
		text += end ? n + 1 : n;
		len -= end ? n + 1 : n;
	}
	return status;
}

static void resolve_list(const struct rule *rule, enum rule_list_kind kind, policy_lookup lookup,
			 void *ctx)
{
	const struct rule_list *list = &rule->lists[kind];

	for (size_t i = 0; i < list->n; i++)
		if (list->items[i][0] < '0' || list->items[i][0] > '9')
			list->ids[i] = lookup(ctx, rule, kind == RULE_GROUP, list->items[i]);
}

/**
 * policy_resolve() - look up the local users and groups that rules name
 * @policy:	the policy
 * @lookup:	knows them
 * @ctx:	passed to it
 *
 * Until then, and where @lookup doesn't know one, the name is nobody's. Numbers need no looking up.
 */
void policy_resolve(struct policy *policy, policy_lookup lookup, void *ctx)
{
	for (size_t i = 0; i < policy->n_rules; i++) {
		resolve_list(policy->rules[i], RULE_USER, lookup, ctx);
		resolve_list(policy->rules[i], RULE_GROUP, lookup, ctx);
	}
}

/**
 * policy_add_rules() - add rules that another policy has
 * @policy:	the policy
 * @from:	the other one
 * @after:	only those of files whose names come after this one; NULL: from the first
 * @before:	only those of files whose names come before this one; NULL: to the last
 *
 * Return: 0, -E2BIG where there would be too many, or -ENOMEM.
 */
int policy_add_rules(struct policy *policy, const struct policy *from, const char *after,
		     const char *before)
{
	for (size_t i = 0; i < from->n_rules; i++) {
		struct rule *rule = from->rules[i];
		int r;

		if ((after && strcmp(rule->file, after) <= 0) ||
		    (before && strcmp(rule->file, before) >= 0))
			continue;
		if (policy->n_rules == POLICY_RULES_MAX)
			return -E2BIG;
		rule->refs++;
		r = add_rule(policy, rule);
		if (r < 0)
			return r;
	}
	return 0;
}
