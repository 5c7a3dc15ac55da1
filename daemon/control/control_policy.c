/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The methods that explain the policy: Why, and TestPolicy, which tries a file out without any
 * effect. Both change nothing.
 *
 * Answers are bounded: they leave out what matters least, and say how much that was.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "daemon/control/control_json.h"
#include "daemon/control/control_method.h"
#include "daemon/config/policy_files.h"
#include "daemon/routing/policy_subject.h"
#include "policy/name.h"

/* Of a rule's text, in answers. */
#define TEXT_MAX 300
/* Of an answer, with room for what is around it. */
#define ANSWER_MAX    JSON_LIST_MAX
#define TEST_TEXT_MAX (48 * 1024)
#define FILE_NAME_MAX 255

/* A rule's text, cut where it is long, but not within a UTF-8 character. */
static json_t *json_rule_text(const char *text)
{
	char buf[TEXT_MAX + sizeof("…")];
	size_t n = utf8_cut(text, TEXT_MAX);

	memcpy(buf, text, n);
	strcpy(buf + n, text[n] ? "…" : "");
	return json_text(buf);
}

/* Which rule attaches a device by itself; null: none says anything. */
static json_t *json_attach_by(const struct policy *policy, const struct policy_subject *s)
{
	const struct rule *rule = policy_attach(policy, &s->facts);
	char vm[32], by[POLICY_BY_MAX], text[2 * POLICY_BY_MAX + 64], wants[POLICY_BY_MAX];

	if (!rule)
		return json_null();
	if (policy_auto(policy, &s->facts, s->section, vm, by, sizeof(by)) || !*vm)
		return json_text(by);
	snprintf(text, sizeof(text), "%s, but %s may not have it: %s",
		 policy_rule_text(rule, wants, sizeof(wants)), vm, by);
	return json_text(text);
}

/* ------------------------------------------------------------- Why */

/* One question: a device, and the VMs that it is asked about. */
struct why {
	const struct policy *policy;
	const struct policy_caller *caller;
	struct policy_subject subject;
	const struct rule *attach;
	const char *vms[CONFIG_VMS_MAX];
	struct policy_decision place[CONFIG_VMS_MAX], route[CONFIG_VMS_MAX];
	size_t n_vms;
	json_t *rules;
	size_t room, matched_size;
	int left_out;
};

static bool why_decides(const struct why *why, const struct rule *rule)
{
	for (size_t i = 0; i < why->n_vms; i++)
		if (why->place[i].rule == rule || why->route[i].rule == rule)
			return true;
	return rule == why->attach;
}

static json_t *why_rule(const struct why *why, const struct policy_step *step)
{
	json_t *decides = json_array();

	for (size_t i = 0; i < why->n_vms; i++)
		if (why->place[i].rule == step->rule || why->route[i].rule == step->rule)
			json_array_append_new(decides, json_text(why->vms[i]));
	return json_pack("{s:o, s:i, s:o, s:s, s:b, s:o, s:o, s:b}", "file",
			 json_text(step->rule->file), "line", (int)step->rule->line, "text",
			 json_rule_text(step->rule->text), "about",
			 rule_about_rights(step->rule) ? "rights" : "placement", "matched",
			 step->matched, "why", json_text(*step->why ? step->why : NULL), "decides",
			 decides, "attaches", step->rule == why->attach);
}

/* Steps that matched or decided must have room, whatever the others need. */
static void why_measure(void *ctx, const struct policy_step *step)
{
	struct why *why = ctx;

	if (step->matched || why_decides(why, step->rule)) {
		json_t *rule = why_rule(why, step);

		why->matched_size += json_size(rule) + 1;
		json_decref(rule);
	}
}

static void why_add(void *ctx, const struct policy_step *step)
{
	struct why *why = ctx;
	bool matters = step->matched || why_decides(why, step->rule);
	size_t reserved = matters ? 0 : why->matched_size, size;
	json_t *rule = why_rule(why, step);

	size = json_size(rule) + 1;
	if (matters)
		why->matched_size -= size;
	if (!rule || reserved > why->room || size > why->room - reserved) {
		why->left_out++;
		json_decref(rule);
		return;
	}
	why->room -= size;
	json_array_append_new(why->rules, rule);
}

static json_t *why_verdicts(const struct why *why)
{
	json_t *verdicts = json_array();
	/* If many are asked about, each has less room. */
	size_t size = why->n_vms > 8 ? POLICY_BY_MAX / 2 : POLICY_BY_MAX;

	for (size_t i = 0; i < why->n_vms; i++) {
		char place[POLICY_BY_MAX], route[POLICY_BY_MAX];

		policy_decision_text(&why->place[i], why->subject.section, place, size);
		policy_decision_text(&why->route[i], NULL, route, size);
		json_array_append_new(verdicts, json_pack("{s:o, s:b, s:o, s:b, s:o}", "vm",
							  json_text(why->vms[i]), "allowed",
							  why->place[i].yes, "by", json_text(place),
							  "may_route", why->route[i].yes,
							  "may_route_by", json_text(route)));
	}
	return verdicts;
}

static void why_ask_about(struct why *why, const char *vm)
{
	size_t i = why->n_vms++;

	why->vms[i] = vm;
	why->place[i] = policy_place(why->policy, &why->subject.facts, why->subject.section, vm);
	why->route[i] = policy_route(why->policy, why->caller, &why->subject.facts, vm);
}

static json_t *why_answer(struct why *why, json_t *device)
{
	char vm[32];
	bool wanted =
		policy_auto(why->policy, &why->subject.facts, why->subject.section, vm, NULL, 0);
	const char *only = why->n_vms == 1 ? why->vms[0] : NULL;
	json_t *answer = json_pack("{s:o, s:o, s:o, s:o}", "device", device, "verdicts",
				   why_verdicts(why), "attach", json_text(wanted ? vm : NULL),
				   "attach_by", json_attach_by(why->policy, &why->subject));
	size_t used = json_size(answer);

	why->rules = json_array();
	why->room = used < ANSWER_MAX ? ANSWER_MAX - used : 0;
	policy_explain(why->policy, &why->subject.facts, why->caller, only, why_measure, why);
	policy_explain(why->policy, &why->subject.facts, why->caller, only, why_add, why);
	json_object_set_new(answer, "rules", why->rules);
	json_object_set_new(answer, "rules_left_out", json_integer(why->left_out));
	return answer;
}

/* Where a device should be and is, and what the policy says of it. */
static void method_why(struct control_caller *caller, const struct varlink_call *call)
{
	const struct control_rooms *rooms = control_rooms(caller);
	const char *text = control_text(call, "device"), *wanted = control_text(call, "vm");
	struct why why = {.policy = rooms->core->policy, .caller = control_caller_facts(caller)};
	struct device *d = NULL;
	json_t *device;

	if (wanted && !vm_find(rooms->vms, wanted)) {
		control_no_vm(caller, wanted);
		return;
	}
	if (!control_device_parameter(caller, text, &d))
		return;
	if (d)
		policy_subject_of(&why.subject, d);
	else
		policy_subject_absent(&why.subject, rooms->core->config, text,
				      config_find_device(rooms->core->config, text));
	why.attach = policy_attach(why.policy, &why.subject.facts);
	device = d ? json_device(d) : json_absent(rooms, text);
	if (!wanted)
		wanted = json_string_value(json_object_get(device, "wanted"));
	if (wanted && vm_find(rooms->vms, wanted))
		why_ask_about(&why, wanted);
	else
		list_for_each(it, &rooms->core->config->vms)
			why_ask_about(&why, list_entry(it, struct config_vm, link)->name);
	control_reply(caller, why_answer(&why, device));
}

/* ------------------------------------------------------------- TestPolicy */

/* The policy in force, and the one that would be. */
struct test {
	const struct control_rooms *rooms;
	struct policy *policy;
	json_t *devices;
	size_t room;
	int left_out;
};

/* VMs about which the same was decided by the same. */
static json_t *test_ruling(json_t *rulings, bool allowed, const char *by)
{
	json_t *ruling;
	size_t i;

	json_array_foreach(rulings, i, ruling) {
		const char *other = json_string_value(json_object_get(ruling, "by"));

		if (json_is_true(json_object_get(ruling, "allowed")) == allowed && other &&
		    !strcmp(other, by))
			return json_object_get(ruling, "vms");
	}
	ruling = json_pack("{s:b, s:o, s:[]}", "allowed", allowed, "by", json_text(by), "vms");
	json_array_append_new(rulings, ruling);
	return json_object_get(ruling, "vms");
}

static json_t *test_device(const struct test *test, const struct policy_subject *s)
{
	json_t *rulings = json_array(), *gains = json_array(), *loses = json_array();
	char id[16], then[32], now[32], by[POLICY_BY_MAX];
	bool attaches, attached;

	snprintf(id, sizeof(id), "%04x:%04x", s->facts.id_vendor, s->facts.id_product);
	list_for_each(it, &test->rooms->core->config->vms) {
		const char *vm = list_entry(it, struct config_vm, link)->name;
		bool may = policy_permits(test->policy, &s->facts, s->section, vm, by, sizeof(by));

		json_array_append_new(test_ruling(rulings, may, by), json_text(vm));
		if (may !=
		    policy_permits(test->rooms->core->policy, &s->facts, s->section, vm, NULL, 0))
			json_array_append_new(may ? gains : loses, json_text(vm));
	}
	attached = policy_auto(test->rooms->core->policy, &s->facts, s->section, now, NULL, 0);
	attaches = policy_auto(test->policy, &s->facts, s->section, then, NULL, 0);
	return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "alias",
			 json_text(s->facts.alias), "id", id, "port", json_text(s->facts.busid),
			 "rulings", rulings, "attach", json_text(attaches ? then : NULL),
			 "attach_by", json_attach_by(test->policy, s), "attach_now",
			 json_text(attached ? now : NULL), "gains", gains, "loses", loses);
}

static void test_add(struct test *test, const struct policy_subject *subject)
{
	json_t *device = test_device(test, subject);
	size_t size = json_size(device) + 1;

	if (!device || size > test->room) {
		test->left_out++;
		json_decref(device);
		return;
	}
	test->room -= size;
	json_array_append_new(test->devices, device);
}

static void test_present(struct test *test)
{
	list_for_each(it, &test->rooms->devices->all) {
		struct policy_subject subject;

		policy_subject_of(&subject, list_entry(it, struct device, link));
		test_add(test, &subject);
	}
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* A device as List and Show tell of it. */
static bool test_recorded_device(struct test *test, const json_t *json)
{
	const struct config *config = test->rooms->core->config;
	const char *id = text_of(json, "id");
	struct device_facts facts = {
		.serial = text_of(json, "serial"),
		.product = text_of(json, "product"),
		.busid = text_of(json, "port"),
		.stable_port = text_of(json, "stable_port"),
		.alias = text_of(json, "alias"),
	};
	const struct config_device *section = NULL;
	struct policy_subject subject;
	const json_t *class;
	size_t i;

	if (!id || !name_is_id(id) || !facts.busid || !facts.stable_port)
		return false;
	facts.id_vendor = (uint16_t)strtoul(id, NULL, 16);
	facts.id_product = (uint16_t)strtoul(id + 5, NULL, 16);
	json_array_foreach(json_object_get(json, "classes"), i, class) {
		const char *name = json_string_value(class);
		int c = name ? usb_class_parse(name) : -1;

		/* No rule matches a class that is not known here. */
		if (c >= 0)
			facts.classes |= (usb_class_set)1 << c;
	}
	/* As for a present one: a section's name before another one. */
	list_for_each(it, &config->devices) {
		section = list_entry(it, struct config_device, link);
		if (selector_matches(&section->match, &facts)) {
			facts.alias = section->name;
			break;
		}
		section = NULL;
	}
	policy_subject_init(&subject, config, &facts, section);
	test_add(test, &subject);
	return true;
}

static bool test_recorded(struct test *test, const json_t *devices)
{
	const json_t *device;
	size_t i;

	json_array_foreach(devices, i, device)
		if (!test_recorded_device(test, device))
			return false;
	return true;
}

/* All files in force, with this one in its place among them. */
static int test_put_file(struct test *test, const struct policy *file, const char *name)
{
	int r = policy_new(&test->policy);

	if (r == 0)
		r = policy_add_rules(test->policy, test->rooms->core->policy, NULL, name);
	if (r == 0)
		r = policy_add_rules(test->policy, file, NULL, NULL);
	if (r == 0)
		r = policy_add_rules(test->policy, test->rooms->core->policy, name, NULL);
	return r;
}

static json_t *json_errors(const struct config_errors *errors)
{
	json_t *lines = json_array();
	const char *p = errors->text;

	while (p && *p) {
		size_t n = strcspn(p, "\n");
		_cleanup_free_ char *line = strndup(p, n);

		json_array_append_new(lines, json_text(line));
		p += n + !!p[n];
	}
	return lines;
}

static void test_answer(struct control_caller *caller, struct test *test, const char *name,
			const json_t *devices)
{
	const struct policy *now = test->rooms->core->policy;
	bool replaces = false;

	for (size_t i = 0; i < now->n_rules; i++)
		replaces = replaces || !strcmp(now->rules[i]->file, name);
	test->devices = json_array();
	test->room = ANSWER_MAX;
	if (!devices) {
		test_present(test);
	} else if (!test_recorded(test, devices)) {
		json_decref(test->devices);
		control_invalid(caller, "devices");
		return;
	}
	control_reply(caller, json_pack("{s:[], s:o, s:b, s:i, s:o, s:i}", "errors", "file",
					json_text(name), "replaces", replaces, "rules",
					(int)test->policy->n_rules, "devices", test->devices,
					"devices_left_out", test->left_out));
}

static void test_file(struct control_caller *caller, const char *text, const char *path,
		      const json_t *devices)
{
	struct test test = {.rooms = control_rooms(caller)};
	_cleanup_(policy_freep) struct policy *file = NULL;
	struct config_errors errors = {0};
	const char *slash = strrchr(path, '/');
	char name[sizeof(POLICY_FOLDER) + FILE_NAME_MAX + 1];
	int r = policy_new(&file);

	snprintf(name, sizeof(name), "%s/%s", POLICY_FOLDER, slash ? slash + 1 : path);
	if (r == 0)
		r = policy_files_parse(file, name, path, text, strlen(text),
				       test.rooms->core->config, &errors);
	if (r == 0)
		r = test_put_file(&test, file, name);
	if (r == 0)
		test_answer(caller, &test, name, devices);
	else if (r == CONFIG_BAD)
		control_reply(caller,
			      json_pack("{s:o, s:o, s:b, s:i, s:[], s:i}", "errors",
					json_errors(&errors), "file", json_text(name), "replaces",
					false, "rules", 0, "devices", "devices_left_out", 0));
	else
		control_error(caller, "Failed",
			      json_pack("{s:s}", "reason",
					r == -E2BIG ? "there would be more than 4096 rules"
						    : "out of memory"));
	policy_free(test.policy);
	config_errors_deinit(&errors);
}

/* What a policy file would do. It takes control's time, so not everybody may ask. */
static void method_test_policy(struct control_caller *caller, const struct varlink_call *call)
{
	const json_t *devices = json_object_get(call->parameters, "devices");
	const char *text = control_text(call, "text"), *file = control_text(call, "file");

	if (strlen(text) > TEST_TEXT_MAX)
		control_invalid(caller, "text");
	else if (!*file || strlen(file) > FILE_NAME_MAX || file[strlen(file) - 1] == '/')
		control_invalid(caller, "file");
	else
		test_file(caller, text, file, json_is_array(devices) ? devices : NULL);
}

const struct control_method control_policy_methods[] = {
	{"Why", CONTROL_LOOK, method_why, {{"device", CONTROL_TEXT}, {"vm", CONTROL_TEXT, true}}},
	{"TestPolicy",
	 CONTROL_ALL,
	 method_test_policy,
	 {{"text", CONTROL_TEXT}, {"file", CONTROL_TEXT}, {"devices", CONTROL_DEVICES, true}}},
	{},
};
