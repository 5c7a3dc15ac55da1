/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The policy: what follows from rules, in what order, and why. The last test compares every decision with
 * a slow and plain one.
 */
#include "tests/unit/policy-fixture.h"

#include <stdio.h>
#include <string.h>

static const struct policy_section vm1_only = {
	.name = "keyboard", .vms = (const char[][32]){"vm1"}, .n_vms = 1};

/* ------------------------------------------------------------- placement */

static const struct {
	const char *name, *rules;
	bool section;	     /* [device keyboard] vms = vm1 */
	const char *vms;     /* who may have the keyboard */
	const char *vm, *by; /* by what for this one */
} placements[] = {
	{"nothing", "", false, "vm1 vm2 vm3", "vm1", "no rule says otherwise"},
	{"the section alone", "", true, "vm1", "vm2", "[device keyboard] vms"},
	{"a deny", "deny class=hid\n", false, "", "vm1", "p:1: deny class=hid"},
	{"a deny to one", "deny class=hid to vm2\n", false, "vm1 vm3", "vm2",
	 "p:1: deny class=hid to vm2"},
	{"a deny of others", "deny class=storage\n", false, "vm1 vm2 vm3", "vm1",
	 "no rule says otherwise"},
	{"an allow", "allow class=hid to vm2\n", false, "vm2", "vm2",
	 "p:1: allow class=hid to vm2"},
	{"an allow, the others", "allow class=hid to vm2\n", false, "vm2", "vm1",
	 "p:1: allow class=hid to vm2"},
	{"none", "allow class=hid to none\n", false, "", "vm1", "p:1: allow class=hid to none"},
	{"all", "allow class=hid\nallow * to none\n", false, "vm1 vm2 vm3", "vm1",
	 "p:1: allow class=hid"},
	{"the first allow", "allow class=hid to vm2\nallow * to vm1\n", false, "vm2", "vm1",
	 "p:1: allow class=hid to vm2"},
	{"the first that matches", "allow class=hub to vm2\nallow * to vm1,vm3\n", false, "vm1 vm3",
	 "vm3", "p:2: allow * to vm1,vm3"},
	{"deny over allow", "deny class=hid to vm2\nallow * to vm1,vm2\n", false, "vm1", "vm2",
	 "p:1: deny class=hid to vm2"},
	{"deny over an earlier allow", "allow * to vm1,vm2\ndeny class=hid to vm2\n", false, "vm1",
	 "vm2", "p:2: deny class=hid to vm2"},
	{"deny over the section", "deny class=hid\n", true, "", "vm1", "p:1: deny class=hid"},
	{"the section over allow", "allow * to vm2\n", true, "vm1", "vm2", "[device keyboard] vms"},
	{"the section over none", "allow * to none\n", true, "vm1", "vm1", "[device keyboard] vms"},
	{"rights are no placement", "deny * user=alice\nallow * to vm2 user=alice\n", false,
	 "vm1 vm2 vm3", "vm1", "no rule says otherwise"},
	{"a group by configuration", "allow in=desk to vm3\n", false, "vm3", "vm3",
	 "p:1: allow in=desk to vm3"},
	{"a group by an earlier rule", "allow class=hid to vm1 join=lab\ndeny in=lab to vm1\n",
	 false, "", "vm1", "p:2: deny in=lab to vm1"},
	{"not by a later rule", "deny in=lab to vm1\nallow class=hid to vm1 join=lab\n", false,
	 "vm1", "vm1", "p:2: allow class=hid to vm1 join=lab"},
};

static void test_placement(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(placements); i++) {
		struct policy *policy = policy_of(placements[i].rules);
		const struct policy_section *section = placements[i].section ? &vm1_only : NULL;
		char vms[32] = "", by[POLICY_BY_MAX];

		for (char n = '1'; n <= '3'; n++) {
			char vm[] = {'v', 'm', n, '\0'};

			if (policy_permits(policy, &keyboard, section, vm, NULL, 0))
				sprintf(vms + strlen(vms), "%s%s", *vms ? " " : "", vm);
		}
		policy_permits(policy, &keyboard, section, placements[i].vm, by, sizeof(by));
		if (strcmp(vms, placements[i].vms) || strcmp(by, placements[i].by))
			fail_msg("%s: %s, by %s", placements[i].name, vms, by);
		assert_true(policy_permits(policy, &keyboard, section, "host", NULL, 0));
		policy_free(policy);
	}
}

static void test_without_policy(void **state)
{
	const char *joined[4];
	char vm[32];

	assert_true(policy_permits(NULL, &keyboard, NULL, "vm1", NULL, 0));
	assert_false(policy_permits(NULL, &keyboard, &vm1_only, "vm2", NULL, 0));
	assert_false(policy_auto(NULL, &keyboard, NULL, vm, NULL, 0));
	assert_int_equal(policy_groups(NULL, &keyboard, joined, 4), 0);
}

/* ------------------------------------------------------------- attaching */

static const struct {
	const char *name, *rules;
	bool section, wanted;
	const char *vm, *by;
} attachings[] = {
	{"nothing", "", false, false, "", ""},
	{"unsaid", "allow * to vm1\n", false, false, "", ""},
	{"auto", "allow class=hid to vm2,vm1 attach=auto\n", false, true, "vm2",
	 "p:1: allow class=hid to vm2,vm1 attach=auto"},
	{"unsaid goes on", "allow * to vm1,vm2\nallow class=hid to vm2 attach=auto\n", false, true,
	 "vm2", "p:2: allow class=hid to vm2 attach=auto"},
	{"never ends it", "allow class=hid attach=never\nallow * to vm1 attach=auto\n", false,
	 false, "", "p:1: allow class=hid attach=never"},
	{"of others", "allow class=storage to vm1 attach=auto\n", false, false, "", ""},
	{"denied", "allow * to vm1 attach=auto\ndeny class=hid\n", false, false, "vm1",
	 "p:2: deny class=hid"},
	{"not by an earlier allow", "allow class=hid to vm2\nallow * to vm1 attach=auto\n", false,
	 false, "vm1", "p:1: allow class=hid to vm2"},
	{"not by the section", "allow * to vm2 attach=auto\n", true, false, "vm2",
	 "[device keyboard] vms"},
	{"by both", "allow * to vm1 attach=auto\n", true, true, "vm1",
	 "p:1: allow * to vm1 attach=auto"},
};

static void test_attaching(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(attachings); i++) {
		struct policy *policy = policy_of(attachings[i].rules);
		char vm[32], by[POLICY_BY_MAX];
		bool wanted =
			policy_auto(policy, &keyboard, attachings[i].section ? &vm1_only : NULL, vm,
				    by, sizeof(by));

		if (wanted != attachings[i].wanted || strcmp(vm, attachings[i].vm) ||
		    strcmp(by, attachings[i].by))
			fail_msg("%s: %d %s, by %s", attachings[i].name, wanted, vm, by);
		policy_free(policy);
	}
}

/* ------------------------------------------------------------- rights */

static const uint32_t alices_groups[] = {100, 50};

static const struct policy_caller root = {.has_all_rights = true};

static const struct policy_caller alice = {.uid = 1000, .gids = alices_groups, .n_gids = 2};

static const struct policy_caller bob = {.uid = 1001, .gids = alices_groups, .n_gids = 1};

static const struct policy_caller nobody = {.uid = RULE_ID_UNKNOWN};

static const struct {
	const char *name, *rules;
	const struct policy_caller *caller;
	const char *vm;
	bool may;
	const char *by;
} rights[] = {
	{"root", "deny * user=0\n", &root, "vm1", true,
	 "root and the group \"usbrouted\" may route everything"},
	{"nothing", "", &alice, "vm1", false, "no rule allows it"},
	{"placement gives no right", "allow *\n", &alice, "vm1", false, "no rule allows it"},
	{"by name", "allow * user=alice\n", &alice, "vm1", true, "p:1: allow * user=alice"},
	{"by number", "allow * user=1000\n", &alice, "vm1", true, "p:1: allow * user=1000"},
	{"another", "allow * user=alice\n", &bob, "vm1", false, "no rule allows it"},
	{"of several", "allow * user=alice|bob\n", &bob, "vm1", true,
	 "p:1: allow * user=alice|bob"},
	{"by group", "allow * group=usb\n", &alice, "vm1", true, "p:1: allow * group=usb"},
	{"by primary group", "allow * group=100\n", &bob, "vm1", true, "p:1: allow * group=100"},
	{"in no group", "allow * group=usb\n", &bob, "vm1", false, "no rule allows it"},
	{"both", "allow * user=alice|bob group=usb\n", &alice, "vm1", true,
	 "p:1: allow * user=alice|bob group=usb"},
	{"both, one missing", "allow * user=alice|bob group=usb\n", &bob, "vm1", false,
	 "no rule allows it"},
	{"another VM", "allow * to vm2 user=alice\n", &alice, "vm1", false, "no rule allows it"},
	{"another device", "allow class=storage user=alice\n", &alice, "vm1", false,
	 "no rule allows it"},
	{"some rule, not the first", "allow * to vm2 user=alice\nallow * to vm1 group=usb\n",
	 &alice, "vm1", true, "p:2: allow * to vm1 group=usb"},
	{"deny", "allow * user=alice\ndeny class=hid to vm1 user=alice\n", &alice, "vm1", false,
	 "p:2: deny class=hid to vm1 user=alice"},
	{"deny elsewhere", "allow * user=alice\ndeny class=hid to vm1 user=alice\n", &alice, "vm2",
	 true, "p:1: allow * user=alice"},
	{"deny of another", "deny * user=bob\nallow * group=usb\n", &alice, "vm1", true,
	 "p:2: allow * group=usb"},
	{"placement's deny is not about rights", "deny *\nallow * user=alice\n", &alice, "vm1",
	 true, "p:2: allow * user=alice"},
	{"an unknown name is nobody's", "allow * user=carol\nallow * group=none-such\n", &nobody,
	 "vm1", false, "no rule allows it"},
};

static void test_rights(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rights); i++) {
		struct policy *policy = policy_of(rights[i].rules);
		char by[POLICY_BY_MAX];
		bool may = policy_right(policy, rights[i].caller, &keyboard, rights[i].vm, by,
					sizeof(by));

		if (may != rights[i].may || strcmp(by, rights[i].by))
			fail_msg("%s: %d, by %s", rights[i].name, may, by);
		policy_free(policy);
	}
}

/* ------------------------------------------------------------- whose name another one bears */

/* A twin of the keyboard: its section matches it, and the name is the keyboard's. */
static const struct {
	const char *rules;
	const struct policy_section *section;
	bool placed, attached, may_route; /* at vm1; the right is alice's */
} twins[] = {
	{"", NULL, true, false, false},
	{"deny alias=keyboard\n", NULL, false, false, false},
	{"deny in=desk to vm1\n", NULL, false, false, false},
	{"allow alias=key* join=lab\ndeny in=lab\n", NULL, false, false, false},
	{"allow alias=keyboard to vm2\n", NULL, false, false, false},
	{"allow alias=keyboard to vm1 attach=auto\n", NULL, true, false, false},
	{"allow in=desk to vm1 attach=auto\n", NULL, true, false, false},
	{"allow id=046d:* to vm1 attach=auto\n", NULL, true, true, false},
	{"allow id=046d:* to vm1 attach=auto\ndeny alias=keyboard\n", NULL, false, false, false},
	{"", &vm1_only, true, false, false},
	{"allow alias=keyboard user=alice\n", NULL, true, false, false},
	{"allow * user=alice\n", NULL, true, false, true},
	{"allow * user=alice\ndeny alias=keyboard user=alice\n", NULL, true, false, false},
	{"allow * user=alice\ndeny in=desk to vm2 user=alice\n", NULL, true, false, true},
};

static void test_what_restricts_a_name_restricts_its_twin(void **state)
{
	struct device_facts twin = keyboard;

	twin.alias = NULL;
	twin.n_groups = 0;
	twin.also = &keyboard;
	for (size_t i = 0; i < ARRAY_SIZE(twins); i++) {
		struct policy *policy = policy_of(twins[i].rules);
		char vm[32];

		if (policy_permits(policy, &twin, twins[i].section, "vm1", NULL, 0) !=
			    twins[i].placed ||
		    policy_auto(policy, &twin, twins[i].section, vm, NULL, 0) !=
			    twins[i].attached ||
		    policy_right(policy, &alice, &twin, "vm1", NULL, 0) != twins[i].may_route)
			fail_msg("%s", twins[i].rules);
		assert_true(policy_permits(policy, &twin, twins[i].section, "host", NULL, 0));
		policy_free(policy);
	}
}

/* ------------------------------------------------------------- groups */

static void test_groups(void **state)
{
	struct policy *policy = policy_of("allow class=hid join=lab\n"
					  "allow class=storage join=more\n"
					  "allow in=lab join=desk\n" /* is there already */
					  "allow in=lab join=lab\n"
					  "allow in=more join=more\n"
					  "allow alias=key* join=more\n");
	const char *joined[4];

	assert_int_equal(policy_groups(policy, &keyboard, joined, 4), 2);
	assert_string_equal(joined[0], "lab");
	assert_string_equal(joined[1], "more");
	assert_int_equal(policy_groups(policy, &keyboard, joined, 1), 1);
	assert_int_equal(policy_groups(policy, &stick, joined, 4), 1);
	assert_string_equal(joined[0], "more");
	policy_free(policy);
}

/* ------------------------------------------------------------- why */

static void tell(void *ctx, const struct policy_step *step)
{
	char *text = ctx;

	sprintf(text + strlen(text), "%u %s%s%s\n", step->rule->line,
		step->matched ? "match" : "no match", *step->why ? ": " : "", step->why);
}

static void test_explain(void **state)
{
	struct policy *policy = policy_of("deny class=hub\n"
					  "deny class=hid to vm2,vm3\n"
					  "deny serial=x\n"
					  "allow class=hid product=x\n"
					  "allow id=0951:*\n"
					  "allow port=2-*\n"
					  "allow alias=mouse\n"
					  "allow in=lab\n"
					  "allow class=hid to none\n"
					  "allow class=hid to vm2,vm3\n"
					  "allow * join=lab\n"
					  "allow in=more\n"
					  "allow * to vm1 user=bob\n"
					  "allow * to vm1 user=alice group=4\n"
					  "deny * to vm2 user=alice\n"
					  "allow * to vm1 user=alice\n"
					  "allow class=hid.mouse user=alice\n");
	char text[4096] = "";

	policy_explain(policy, &keyboard, &alice, "vm1", tell, text);
	assert_string_equal(text, "1 no match: class is hid.keyboard\n"
				  "2 no match: it is about vm2,vm3\n"
				  "3 no match: it has no serial\n"
				  "4 no match: product is \"USB Keyboard\"\n"
				  "5 no match: id is 046d:c31c\n"
				  "6 no match: port is 1-1.2, 0000:00:14.0/usb2:1.2\n"
				  "7 no match: alias is \"keyboard\"\n"
				  "8 no match: it is in desk\n"
				  "9 match: it is to no VM\n"
				  "10 match: it is to vm2,vm3\n"
				  "11 match\n"
				  "12 no match: it is in desk lab\n"
				  "13 no match: your uid is 1000\n"
				  "14 no match: you are in no such group\n"
				  "15 no match: it is about vm2\n"
				  "16 match\n"
				  "17 no match: class is hid.keyboard\n");
	text[0] = '\0';
	policy_explain(policy, &stick, NULL, NULL, tell, text);
	assert_string_equal(text, "1 no match: class is storage\n"
				  "2 no match: class is storage\n"
				  "3 no match: serial is \"E0D55EA5\"\n"
				  "4 no match: class is storage\n"
				  "5 match\n"
				  "6 match\n"
				  "7 no match: it has no alias\n"
				  "8 no match: it is in no group\n"
				  "9 no match: class is storage\n"
				  "10 no match: class is storage\n"
				  "11 match\n"
				  "12 no match: it is in lab\n");
	policy_free(policy);
}

static void test_long_texts_are_cut(void **state)
{
	char text[1200], by[32], why[] = "p:1: deny product=\xc3\xa4\xc3\xa4\xc3\xa4…";
	struct policy *policy;

	strcpy(text, "deny product=");
	for (unsigned i = 0; i < 500; i++)
		strcat(text, "\xc3\xa4");
	policy = policy_of(text);
	/* Never in the middle of a character, however long it may be. */
	for (size_t size = 22; size <= sizeof(by); size++) {
		policy_rule_text(policy->rules[0], by, size);
		assert_true(strlen(by) < size);
		assert_non_null(strstr(by, "…"));
		assert_int_equal((strlen(by) - strlen("p:1: deny product=…")) % 2, 0);
	}
	policy_rule_text(policy->rules[0], by, sizeof(why) + 1);
	assert_string_equal(by, why);
	policy_free(policy);
}

/* ------------------------------------------------------------- a file in a file's place */

static void test_shared_rules(void **state)
{
	struct policy *old, *new = policy_of_bytes("b", "deny *\n", 7), *both;
	struct refused refused = {0};
	char by[POLICY_BY_MAX];

	assert_int_equal(policy_new(&old), 0);
	assert_int_equal(policy_parse(old, "a", "# x\nallow * to vm1\n", 19, &names, refuse, NULL),
			 0);
	assert_int_equal(
		policy_parse(old, "b", "allow * to vm2\nallow *", 22, &names, refuse, &refused), 0);
	assert_int_equal(policy_parse(old, "c", "allow * to vm3", 14, &names, refuse, &refused), 0);
	assert_int_equal(policy_new(&both), 0);
	assert_int_equal(policy_add_rules(both, old, NULL, "b"), 0);
	assert_int_equal(policy_add_rules(both, new, NULL, NULL), 0);
	assert_int_equal(policy_add_rules(both, old, "b", NULL), 0);
	policy_free(old);
	policy_free(new);
	assert_int_equal(both->n_rules, 3);
	assert_string_equal(policy_rule_text(both->rules[0], by, sizeof(by)),
			    "a:2: allow * to vm1");
	assert_string_equal(policy_rule_text(both->rules[1], by, sizeof(by)), "b:1: deny *");
	assert_string_equal(policy_rule_text(both->rules[2], by, sizeof(by)),
			    "c:1: allow * to vm3");
	policy_free(both);
}

/* ------------------------------------------------------------- against a plain reference */

struct plain {
	bool deny, hid, rights; /* hid: only those; else every device */
	unsigned to;		/* a bit a VM */
	enum rule_attach attach;
};

static void plain_text(const struct plain *p, char *text)
{
	sprintf(text, "%s %s", p->deny ? "deny" : "allow", p->hid ? "class=hid" : "*");
	if (p->to == 7)
		strcat(text, " to all");
	else if (!p->to)
		strcat(text, " to none");
	for (unsigned vm = 0; p->to && p->to != 7 && vm < 3; vm++)
		if (p->to >> vm & 1)
			sprintf(text + strlen(text), "%svm%u",
				p->to & ((1u << vm) - 1) ? "," : " to ", vm + 1);
	if (p->rights)
		strcat(text, " user=alice");
	if (p->attach)
		strcat(text, p->attach == RULE_ATTACH_AUTO ? " attach=auto" : " attach=never");
	strcat(text, "\n");
}

static bool plain_place(const struct plain *p, unsigned n, bool hid, bool section, unsigned vm)
{
	for (unsigned i = 0; i < n; i++)
		if (!p[i].rights && p[i].deny && (hid || !p[i].hid) && p[i].to >> vm & 1)
			return false;
	if (section)
		return vm == 0;
	for (unsigned i = 0; i < n; i++)
		if (!p[i].rights && !p[i].deny && (hid || !p[i].hid))
			return p[i].to >> vm & 1;
	return true;
}

static bool plain_route(const struct plain *p, unsigned n, bool hid, unsigned vm)
{
	bool may = false;

	for (unsigned i = 0; i < n; i++)
		if (p[i].rights && (hid || !p[i].hid) && p[i].to >> vm & 1) {
			if (p[i].deny)
				return false;
			may = true;
		}
	return may;
}

static int plain_auto(const struct plain *p, unsigned n, bool hid, bool section)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned vm = p[i].to & 1 ? 0 : p[i].to & 2 ? 1 : 2;

		if (p[i].attach && (hid || !p[i].hid))
			return p[i].attach == RULE_ATTACH_AUTO &&
					       plain_place(p, n, hid, section, vm)
				       ? (int)vm
				       : -1;
	}
	return -1;
}

static struct plain plain_any(unsigned *seed)
{
	struct plain p;

	*seed = *seed * 1103515245 + 12345;
	p.deny = *seed >> 16 & 1;
	p.hid = *seed >> 17 & 1;
	p.rights = (*seed >> 18 & 3) == 0;
	p.to = *seed >> 20 & 7;
	p.attach = p.deny || p.rights ? RULE_ATTACH_UNSAID : (enum rule_attach)((*seed >> 23) % 3);
	if (!p.to && (p.deny || p.rights))
		p.to = 7;
	if (p.attach == RULE_ATTACH_AUTO && (!p.to || p.to == 7))
		p.to = 2;
	return p;
}

static void compare(const char *text, const struct plain *p, unsigned n)
{
	static const char *const vms[] = {"vm1", "vm2", "vm3"};
	struct policy *policy = policy_of(text);

	for (unsigned which = 0; which < 4; which++) {
		bool hid = which & 1, section = which & 2;
		const struct device_facts *facts = hid ? &keyboard : &stick;
		const struct policy_section *s = section ? &vm1_only : NULL;
		int wanted = plain_auto(p, n, hid, section);
		char vm[32];

		for (unsigned i = 0; i < 3; i++)
			if (policy_permits(policy, facts, s, vms[i], NULL, 0) !=
				    plain_place(p, n, hid, section, i) ||
			    policy_right(policy, &alice, facts, vms[i], NULL, 0) !=
				    plain_route(p, n, hid, i))
				fail_msg("%s, %d, %d:\n%s", vms[i], hid, section, text);
		if (policy_auto(policy, facts, s, vm, NULL, 0) != (wanted >= 0) ||
		    (wanted >= 0 && strcmp(vm, vms[wanted])))
			fail_msg("attach, %d, %d: %s, %d\n%s", hid, section, vm, wanted, text);
	}
	policy_free(policy);
}

static void test_reference(void **state)
{
	unsigned seed = 1;

	for (unsigned round = 0; round < 5000; round++) {
		struct plain p[6];
		unsigned n = round % 7;
		char text[600] = "";

		for (unsigned i = 0; i < n; i++) {
			p[i] = plain_any(&seed);
			plain_text(&p[i], text + strlen(text));
		}
		compare(text, p, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_placement),
		cmocka_unit_test(test_without_policy),
		cmocka_unit_test(test_attaching),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_what_restricts_a_name_restricts_its_twin),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_long_texts_are_cut),
		cmocka_unit_test(test_shared_rules),
		cmocka_unit_test(test_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
