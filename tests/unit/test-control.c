/* SPDX-License-Identifier: BSD-2-Clause */
/* The control methods behind framing: what their answers say. */
#include "tests/unit/route-fixture.h"

#include <string.h>

#include "base/mem.h"
#include "tests/unit/control-script.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_dry_run_tells_of_its_devices),
		T(an_answer_comes_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
