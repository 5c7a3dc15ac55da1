/* SPDX-License-Identifier: BSD-2-Clause */
/* Stats: what the daemon tells of what has gone through devices, and who may know. */
#include "tests/unit/route-fixture.h"

#include <string.h>

#include "base/mem.h"
#include "base/urb_stats.h"
#include "tests/unit/control-script.h"

static struct control_caller root = {.facts = {.has_all_rights = true}}, user;

static const json_t *ask(struct fixture *f, struct control_caller *caller, const char *device)
{
	json_t *parameters = json_pack("{s:s*}", "device", device);
	struct varlink_call call = {.method = (char *)"io.usbrouted.Stats",
				    .parameters = parameters};

	control_caller_gone(caller);
	control_call(caller, &call);
	json_decref(parameters);
	while (!caller->answered)
		assert_true(loop_turn(f->rooms.core.loop, true) >= 0);
	return json_object_get(caller->said, "parameters");
}

static json_int_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void numbers_of_a_device(void **state)
{
	struct fixture *f = *state;
	const json_t *stats, *reply, *answer;

	/* Nobody but a VM's process counts. */
	assert_int_equal(json_array_size(json_object_get(ask(f, &root, NULL), "stats")), 0);
	in_vm1(f);
	script_stats = (struct urb_stats){.urbs = 7, .errors = 2, .in_bytes = 300, .out_bytes = 5};
	for (unsigned i = 0; i < 7; i++)
		latency_add(&script_stats.answer, i * 1000);
	reply = ask(f, &root, "keyboard");
	stats = json_array_get(json_object_get(reply, "stats"), 0);
	assert_string_equal(json_string_value(json_object_get(stats, "alias")), "keyboard");
	assert_string_equal(json_string_value(json_object_get(stats, "vm")), "vm1");
	assert_int_equal(number(stats, "urbs"), 7);
	assert_int_equal(number(stats, "errors"), 2);
	assert_int_equal(number(stats, "in_bytes"), 300);
	assert_int_equal(number(stats, "out_bytes"), 5);
	answer = json_object_get(stats, "answer");
	assert_int_equal(number(answer, "count"), 7);
	assert_int_equal(number(answer, "most_us"), 6);
	assert_int_equal(number(answer, "sum_us"), 21);
	/* A class ends where there is nothing behind it. */
	assert_int_equal(json_array_size(json_object_get(answer, "classes")), 7);
	assert_int_equal(json_array_size(json_object_get(reply, "class_bounds_us")),
			 LATENCY_CLASSES);
	assert_int_equal(number(json_object_get(stats, "device"), "count"), 0);
	assert_int_equal(json_array_size(json_object_get(reply, "memory")), 3);
	control_caller_gone(&root);
}

/* When a keyboard has something to say is when somebody types. */
static void not_everybody_may_know(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	ask(f, &user, NULL);
	assert_string_equal(json_string_value(json_object_get(user.said, "error")), "Denied");
	control_caller_gone(&user);
}

static void who_goes_before_the_answer_costs_nothing(void **state)
{
	struct fixture *f = *state;
	json_t *parameters = json_object();
	struct varlink_call call = {.method = (char *)"io.usbrouted.Stats",
				    .parameters = parameters};

	control_call(&root, &call);
	assert_non_null(root.waits_for);
	control_caller_gone(&root);
	json_decref(parameters);
	assert_int_equal(json_array_size(json_object_get(ask(f, &root, NULL), "stats")), 0);
	control_caller_gone(&root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(numbers_of_a_device),
		T(not_everybody_may_know),
		T(who_goes_before_the_answer_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
