/* SPDX-License-Identifier: BSD-2-Clause */
/* The control methods behind framing: what their answers say. */
#include "tests/unit/route-fixture.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "daemon/core/state_file.h"
#include "tests/unit/control-script.h"
#include "tests/unit/interface.h"

static struct control_caller root = {.facts = {.has_all_rights = true}};

static json_t *answer_to(const char *method, json_t *parameters)
{
	struct varlink_call call = {.method = (char *)method, .parameters = parameters};

	control_caller_gone(&root);
	control_call(&root, &call);
	json_decref(parameters);
	return json_object_get(root.said, "parameters");
}

static void assert_tells_of(const json_t *answer, const char *alias, const char *message)
{
	const json_t *device = json_object_get(answer, "device");

	assert_string_equal(json_string_value(json_object_get(device, "alias")), alias);
	assert_non_null(strstr(json_string_value(json_object_get(answer, "message")), message));
}

/* The answer comes before the command returns, and tells of devices. */
static void a_dry_run_tells_of_its_devices(void **state)
{
	struct fixture *f = *state;

	assert_tells_of(
		answer_to("io.usbrouted.Attach", json_pack("{s:s, s:s, s:b}", "device", "keyboard",
							   "vm", f->vm1->name, "dry_run", 1)),
		"keyboard", "keyboard");
	/* One that is not there. */
	assert_tells_of(answer_to("io.usbrouted.Detach",
				  json_pack("{s:s, s:b}", "device", "mouse", "dry_run", 1)),
			"mouse", "mouse");
	control_caller_gone(&root);
}

/* The answer comes when the next process stands. */
static void a_vm_gets_another_process(void **state)
{
	struct fixture *f = *state;
	struct vm *vm1 = f->vm1;
	uint64_t stood_ns = vm1->process.stood_ns;
	struct control_caller other = {.facts = {.has_all_rights = true}};
	json_t *parameters = json_pack("{s:s}", "vm", "vm1");

	assert_true(stood_ns > 0);
	assert_null(answer_to("io.usbrouted.RestartVm", json_pack("{s:s}", "vm", "vm1")));
	assert_int_equal(vm1->process.stood_ns, 0);
	/* Two who want it get the same one; one who goes is answered nothing. */
	control_call(&other, &(struct varlink_call){.method = (char *)"io.usbrouted.RestartVm",
						    .parameters = parameters});
	json_decref(parameters);
	assert_false(root.answered);
	control_caller_gone(&other);
	while (!root.answered)
		assert_true(loop_turn(f->rooms.core.loop, true) >= 0);
	turn_ends();
	assert_true(root.answered);
	assert_false(other.answered);
	assert_true(vm1->process.stood_ns > stood_ns);
	assert_non_null(strstr(json_string_value(json_object_get(
				       json_object_get(root.said, "parameters"), "message")),
			       "vm1: it has another process"));
	assert_true(list_empty(&vm1->anews));
	control_caller_gone(&root);
	answer_to("io.usbrouted.RestartVm", json_pack("{s:s}", "vm", "vm9"));
	assert_true(root.answered);
	assert_string_equal(json_string_value(json_object_get(root.said, "error")), "NoSuchVm");
	control_caller_gone(&root);
}

static void an_answer_comes_later(void **state)
{
	struct fixture *f = *state;

	assert_null(answer_to("io.usbrouted.Attach",
			      json_pack("{s:s, s:s}", "device", "keyboard", "vm", f->vm1->name)));
	assert_non_null(root.waits_for);
	settle(f);
	assert_true(root.answered);
	assert_tells_of(json_object_get(root.said, "parameters"), "keyboard",
			"keyboard: host -> vm1");
	control_caller_gone(&root);
}

static void what_is_never_routed_is_told_why(void **state)
{
	const char *error;

	plug_hub(*state, "1-9");
	answer_to("io.usbrouted.Show", json_pack("{s:s}", "device", "1-9"));
	error = json_string_value(json_object_get(root.said, "error"));
	assert_string_equal(error, "Denied");
	error = json_string_value(json_object_get(json_object_get(root.said, "parameters"), "by"));
	assert_string_equal(error, "it is a hub, and hubs are never routed");
	control_caller_gone(&root);
}

/* A method's row as the interface's description has it: "(device: string, vm: ?string)". */
static void row_text(const struct control_method *m, char *text, size_t size)
{
	size_t n = (size_t)snprintf(text, size, "(");

	for (size_t i = 0; i < CONTROL_PARAMETERS_MAX && m->parameters[i].name; i++) {
		const struct control_parameter *p = &m->parameters[i];

		n += (size_t)snprintf(text + n, size - n, "%s%s: %s%s", i ? ", " : "", p->name,
				      p->optional ? "?" : "", control_type_name(p->type));
	}
	snprintf(text + n, size - n, ") -> ");
}

static void the_rows_are_what_the_interface_describes(void **state)
{
	size_t rows = 0, described = 0;
	const char *at = NULL;
	char text[512];

	for (size_t f = 0; control_methods[f]; f++)
		for (const struct control_method *m = control_methods[f]; m->name; m++, rows++) {
			const char *method = interface_method(m->name);

			if (!method)
				fail_msg("io.usbrouted.varlink does not describe %s", m->name);
			row_text(m, text, sizeof(text));
			if (strncmp(method, text, strlen(text)) != 0)
				fail_msg("io.usbrouted.varlink: %s%.*s...; its row is %s%s",
					 m->name, (int)strlen(text), method, m->name, text);
			assert_non_null(m->run);
		}
	while (interface_next("method", &at, text, sizeof(text)))
		described++;
	assert_int_equal(rows, described);
}

static void the_states_are_those_that_the_interface_describes(void **state)
{
	_cleanup_free_ char *text = NULL;
	char list[256] = "  state: (";
	size_t len;

	for (enum device_state s = 0; s < DEVICE_STATES; s++) {
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", s ? ", " : "",
			 device_state_name(s));
		assert_int_equal(device_state_of(device_state_name(s)), s);
	}
	snprintf(list + strlen(list), sizeof(list) - strlen(list), ")");
	assert_int_equal(state_file_read(getenv("SHIPPED_VARLINK"), &text, &len), 0);
	if (!strstr(text, list))
		fail_msg("io.usbrouted.varlink does not have \"%s\"", list);
	assert_int_equal(device_state_of("of a later version"), DEVICE_STATES);
}

/* Whoever adds a method adds its call here: what it answers is held against the description. */
static void every_method_answers_as_it_is_described(void **state)
{
	static const struct {
		const char *method, *parameters;
	} calls[] = {
		{"List", "{}"},
		{"Vms", "{}"},
		{"Show", "{\"device\":\"keyboard\"}"},
		{"Status", "{}"},
		{"Attach", "{\"device\":\"desk\",\"vm\":\"vm1\",\"wait_seconds\":0}"},
		{"Detach", "{\"device\":\"keyboard\",\"for_seconds\":60}"},
		{"Switch", "{\"device\":\"keyboard\",\"to\":\"vm1\",\"force\":true}"},
		{"Assign", "{\"device\":\"keyboard\",\"vm\":\"host\"}"},
		{"Unassign", "{\"device\":\"keyboard\"}"},
		{"Release", "{\"device\":\"keyboard\",\"dry_run\":null}"},
		{"Reserve", "{\"device\":\"keyboard\",\"off\":true}"},
		{"Undo", "{}"},
		{"Reset", "{\"device\":\"keyboard\",\"dry_run\":true}"},
		{"Power", "{\"device\":\"keyboard\",\"how\":\"off\",\"dry_run\":true}"},
		{"SetAlias", "{\"device\":\"1-3\",\"alias\":\"stick\"}"},
		{"Reload", "{}"},
		{"RestartVm", "{\"vm\":\"vm1\"}"},
		{"Why", "{\"device\":\"keyboard\",\"vm\":null}"},
		{"TestPolicy", "{\"text\":\"deny * to vm1\",\"file\":\"a.rules\"}"},
		{"Monitor", "{}"},
		{"Stats", "{\"device\":\"keyboard\"}"},
		{"Doctor", "{\"vm\":\"vm1\"}"},
	};
	struct fixture *f = *state;

	plug_at(f, "1-3", 0x5555, "T1", 0);
	for (size_t file = 0; control_methods[file]; file++)
		for (const struct control_method *m = control_methods[file]; m->name; m++) {
			char method[64];
			size_t i;

			for (i = 0; i < ARRAY_SIZE(calls) && strcmp(calls[i].method, m->name); i++)
				continue;
			if (i == ARRAY_SIZE(calls))
				fail_msg("no call of %s is tried here", m->name);
			snprintf(method, sizeof(method), "io.usbrouted.%s", m->name);
			answer_to(method, json_loads(calls[i].parameters, 0, NULL));
			settle(f);
			while (!root.answered)
				assert_true(loop_turn(f->rooms.core.loop, true) >= 0);
			if (json_object_get(root.said, "error"))
				fail_msg("%s: %s", m->name, json_dumps(root.said, 0));
		}
	control_caller_gone(&root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_method_answers_as_it_is_described),
		T(the_rows_are_what_the_interface_describes),
		T(the_states_are_those_that_the_interface_describes),
		T(a_dry_run_tells_of_its_devices),
		T(a_vm_gets_another_process),
		T(an_answer_comes_later),
		T(what_is_never_routed_is_told_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
