/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The policy: its rules, in the order in which they are tried.
 *
 *	allow|deny MATCHER… [to VMS] [OPTION…]
 *
 * A rule about *placement* says which VMs may have a device; one with user= or group= is about
 * *rights*: which local users may route it where. decision.h says what follows from them.
 *
 * A policy is filled by policy_parse(), a file at a time; where one file was refused, the whole
 * policy is to be dropped. It doesn't change afterwards. Rules are shared between policies and
 * counted, so that one may be tried out with another file in a file's place. Control thread only.
 * Pure: names of users are looked up by the caller (policy_resolve()).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/selector.h"

#define POLICY_FILE_MAX	 (1024 * 1024)
#define POLICY_RULES_MAX 4096

struct policy;

/* Outcome of policy_parse() beside 0: refused, and it was said why. */
enum { POLICY_BAD = 1 };

/* What a rule may be about: each a list of alternatives. */
enum rule_list_kind {
	RULE_ID,      /* "046d:c31c", "046d:*" */
	RULE_SERIAL,  /* pattern */
	RULE_PORT,    /* pattern over either spelling */
	RULE_CLASS,   /* names of classes */
	RULE_PRODUCT, /* pattern */
	RULE_ALIAS,   /* pattern */
	RULE_IN,      /* names of groups of devices */
	RULE_MATCHERS,
	RULE_USER = RULE_MATCHERS, /* names or numbers of local users */
	RULE_GROUP,		   /* of local groups */
	RULE_LISTS
};

enum rule_to { RULE_TO_ALL, RULE_TO_NONE, RULE_TO_LISTED };
enum rule_attach { RULE_ATTACH_UNSAID, RULE_ATTACH_NEVER, RULE_ATTACH_AUTO };

struct rule_list {
	char **items;
	uint32_t *ids; /* RULE_USER, RULE_GROUP: RULE_ID_UNKNOWN where there is none */
	size_t n;
};

#define RULE_ID_UNKNOWN UINT32_MAX

struct rule {
	unsigned refs;
	char *file; /* as given to policy_parse() */
	unsigned line;
	char *text; /* as written, without its comment */
	bool deny;
	bool any_device; /* a lone * */
	struct rule_list lists[RULE_LISTS];
	enum rule_to to;
	struct rule_list vms; /* RULE_TO_LISTED */
	enum rule_attach attach;
	char join[32]; /* a group; "" for none */
};

struct policy {
	struct rule **rules;
	size_t n_rules;
};

/* What the configuration knows. */
struct policy_names {
	void *ctx;
	bool (*is_vm)(void *ctx, const char *name);
	bool (*is_group)(void *ctx, const char *name);
};

/**
 * typedef policy_complain - a line was refused
 * @ctx:	as given
 * @line:	its number, from 1; 0: the file as a whole
 * @text:	why: "expected …"
 */
typedef void (*policy_complain)(void *ctx, unsigned line, const char *text);

/**
 * typedef policy_lookup - the number of a local user or group
 * @ctx:	as given
 * @rule:	the rule that names it
 * @group:	a group; else a user
 * @name:	its name
 *
 * Return: the number, or RULE_ID_UNKNOWN.
 */
typedef uint32_t (*policy_lookup)(void *ctx, const struct rule *rule, bool group, const char *name);

int policy_new(struct policy **ret_policy);
struct policy *policy_free(struct policy *policy);
void policy_freep(struct policy **policy);
int policy_parse(struct policy *policy, const char *file, const void *data, size_t len,
		 const struct policy_names *names, policy_complain complain, void *ctx);
void policy_resolve(struct policy *policy, policy_lookup lookup, void *ctx);
int policy_add_rules(struct policy *policy, const struct policy *from, const char *after,
		     const char *before);

static inline bool rule_about_rights(const struct rule *rule)
{
	return rule->lists[RULE_USER].n || rule->lists[RULE_GROUP].n;
}

/* ------------------------------------------------------------- matching (rule_match.c) */

/* Groups that the rules tried so far have put a device in. */
#define RULE_JOINED_MAX 256

struct rule_joined {
	const char *names[RULE_JOINED_MAX];
	size_t n;
};

const char *rule_key(enum rule_list_kind kind);
bool rule_matches_device(const struct rule *rule, const struct device_facts *facts,
			 const struct rule_joined *joined, char *why, size_t why_size);
bool rule_names_vm(const struct rule *rule, const char *vm);
bool rule_join(struct rule_joined *joined, const char *group);

/* For rule_parse.c. */
void rule_unref(struct rule *rule);
int rule_parse(struct rule **ret_rule, const char *text, size_t len,
	       const struct policy_names *names, char *expected, size_t expected_size);
