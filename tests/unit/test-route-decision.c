/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a device should be is decided once, when what it hangs on has changed, and what was decided is passed on: how often
 * the policy is asked. It counts at the linker's joint, whoever asks.
 */
#include "tests/unit/route-fixture.h"

#include <errno.h>

#include "daemon/broker/broker.h"
#include "policy/decision.h"
#include "policy/usb_class.h"

bool __real_policy_permits(const struct policy *policy, const struct device_facts *facts,
			   const struct policy_section *section, const char *vm, char *by,
			   size_t by_size);
bool __wrap_policy_permits(const struct policy *policy, const struct device_facts *facts,
			   const struct policy_section *section, const char *vm, char *by,
			   size_t by_size);
bool __real_policy_auto(const struct policy *policy, const struct device_facts *facts,
			const struct policy_section *section, char vm[32], char *by,
			size_t by_size);
bool __wrap_policy_auto(const struct policy *policy, const struct device_facts *facts,
			const struct policy_section *section, char vm[32], char *by,
			size_t by_size);

static unsigned asked;

bool __wrap_policy_permits(const struct policy *policy, const struct device_facts *facts,
			   const struct policy_section *section, const char *vm, char *by,
			   size_t by_size)
{
	asked++;
	return __real_policy_permits(policy, facts, section, vm, by, by_size);
}

bool __wrap_policy_auto(const struct policy *policy, const struct device_facts *facts,
			const struct policy_section *section, char vm[32], char *by, size_t by_size)
{
	asked++;
	return __real_policy_auto(policy, facts, section, vm, by, by_size);
}

#define KEYBOARD (1u << USB_CLASS_HID | 1u << USB_CLASS_HID_KEYBOARD)

static const char rules[] = "allow id=046d:7777 to vm1 attach=auto\ndeny id=046d:8888 to vm1\n";

static int set_up_rules(void **state)
{
	struct fixture *f = start_with(usual_config, rules);

	vm_is(f->vm1, true);
	vm_is(f->vm2, true);
	plug(f, "S1");
	*state = f;
	asked = 0;
	return 0;
}

/* From the command until the guest has it, and whoever looks at it meanwhile. */
static void an_attach_asks_once_a_device(void **state)
{
	struct fixture *f = *state;
	struct device *mouse;

	mouse = plug_at(f, "1-2", 0xc077, "M", 1u << USB_CLASS_HID);
	asked = 0;
	say_with(f, (struct route_ask){.vm = f->vm1, .has_wait = true, .wait_seconds = 10}, "desk");
	assert_int_equal(asked, 2);
	settle(f);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	assert_true(thread_of(f->keyboard)->exported);
	imports(f->keyboard, f->vm1);
	imports(mouse, f->vm1);
	assert_stands(mouse, "vm1", "vm1", "attached");
	assert_int_equal(asked, 2);
	assert_int_equal(f->answers, 1);
}

static void a_move_asks_once(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	imports(f->keyboard, f->vm1);
	asked = 0;
	command(f, f->vm2, -1);
	settle(f);
	assert_stands(f->keyboard, "vm2", "vm2", "exported");
	assert_int_equal(asked, 1);
}

/* Whoever has one that was said nothing of is not asked about. */
static void a_plug_asks_once_and_of_that_device_alone(void **state)
{
	struct fixture *f = *state;
	struct device *d;

	d = plug_at(f, "1-3", 0x5555, "P", 0);
	assert_int_equal(asked, 1);
	assert_stands(d, "host", "host", "present");
	assert_int_equal(asked, 1);
}

static void a_plug_that_a_rule_follows_asks_once(void **state)
{
	struct fixture *f = *state;
	struct device *d;

	d = plug_at(f, "1-3", 0x7777, "R", 0);
	settle(f);
	assert_stands(d, "vm1", "vm1", "exported");
	assert_int_equal(asked, 1);
}

static void what_is_refused_was_asked_once(void **state)
{
	struct fixture *f = *state;

	plug_at(f, "1-3", 0x8888, "D", 0);
	asked = 0;
	say(f, ROUTE_ATTACH, "1-3", f->vm1);
	assert_answer(f, ROUTE_DENIED, "deny id=046d:8888 to vm1");
	assert_int_equal(asked, 1);
}

/* What was decided does not outlive what it was decided by. */
static void what_it_hangs_on_has_changed(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	asked = 0;
	assert_int_equal(reload_with(f, usual_config, "deny id=046d:c31c to vm1\n"), 0);
	assert_int_equal(asked, 1);
	settle(f);
	assert_stands(f->keyboard, "vm1", "host", "denied");
	assert_int_equal(asked, 1);
	assert_int_equal(reload_with(f, usual_config, NULL), 0);
	settle(f);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	assert_int_equal(asked, 2);
}

/* Whoever waits is answered when the turn ends, and not from within what has happened. */
static void an_answer_comes_at_the_turn_s_end(void **state)
{
	struct fixture *f = *state;
	int fds[BROKER_FDS] = {-1, -1};
	struct broker_request *req;

	command(f, f->vm1, -1);
	req = open_asked(f->keyboard);
	req->done(req, -EIO, fds, "opening its usbfs node");
	assert_int_equal(f->answers, 0);
	assert_true(events_pending(&f->rooms.core.events));
	assert_answer(f, ROUTE_NOT_DONE, "opening its usbfs node");
	assert_stands(f->keyboard, "host", "host", "present");
}

int main(void)
{
#define R(t) cmocka_unit_test_setup_teardown(t, set_up_rules, tear_down)
	const struct CMUnitTest tests[] = {
		R(an_attach_asks_once_a_device),
		R(a_move_asks_once),
		R(a_plug_asks_once_and_of_that_device_alone),
		R(a_plug_that_a_rule_follows_asks_once),
		R(what_is_refused_was_asked_once),
		R(what_it_hangs_on_has_changed),
		R(an_answer_comes_at_the_turn_s_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
