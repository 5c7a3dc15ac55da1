/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands about several devices, all or none of them; the ring of VMs; and what keeps the host's
 * last keyboard at the host.
 */
#include "tests/unit/route-fixture.h"

#include <errno.h>
#include <string.h>

#include "policy/usb_class.h"

static const usb_class_set mouse_classes = 1u << USB_CLASS_HID | 1u << USB_CLASS_HID_MOUSE;
static const usb_class_set keyboard_classes = 1u << USB_CLASS_HID | 1u << USB_CLASS_HID_KEYBOARD;

static struct device *plug_mouse(struct fixture *f)
{
	return plug_at(f, "1-2", 0xc077, "M1", mouse_classes);
}

/* ------------------------------------------------------------- all or none */

static void a_group_goes_together(void **state)
{
	struct fixture *f = *state;
	struct device *mouse = plug_mouse(f);

	say(f, ROUTE_ATTACH, "desk", f->vm1);
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, 0, NULL);
	assert_int_equal(f->answers, 0); /* not before all are there */
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: host -> vm1\n");
	assert_non_null(strstr(f->text, "mouse: host -> vm1\n"));
	assert_int_equal(f->n_subjects, 2);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	assert_stands(mouse, "vm1", "vm1", "exported");
}

static void one_that_can_t_be_had_and_all_go_back(void **state)
{
	struct fixture *f = *state;
	struct device *mouse = plug_mouse(f);

	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	settle(f);
	say(f, ROUTE_ATTACH, "desk", f->vm2);
	taken(f->keyboard);
	claimed(f->keyboard, 0, NULL);
	assert_stands(f->keyboard, "vm2", "vm2", "exported");
	node_opens(mouse, -EIO);
	assert_answer(f, ROUTE_NOT_DONE, "mouse: opening its usbfs node: ");
	settle(f);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	assert_stands(mouse, "host", "host", "present");
	assert_true(file_says(f, "wishes", "vm1"));
	assert_false(file_says(f, "wishes", "vm2"));
	assert_false(loop_watching(&mouse->route->retry));
}

static void one_in_use_makes_the_whole_group_busy(void **state)
{
	struct fixture *f = *state;
	struct device *mouse = plug_mouse(f);

	say(f, ROUTE_ASSIGN, "desk", f->vm2);
	node_opens(mouse, 0);
	claimed(mouse, -EBUSY, "claimed by another program");
	taken(mouse);
	assert_answer(f, ROUTE_BUSY, "mouse: claimed by another program");
	settle(f);
	assert_stands(f->keyboard, "host", "host", "present");
	assert_stands(mouse, "host", "host", "present");
	assert_false(file_says(f, "assignments", "vm2"));
}

static void one_that_is_forbidden_and_none_is_touched(void **state)
{
	struct fixture *f = *state;

	say(f, ROUTE_ATTACH, "secret", f->vm2);
	assert_answer(f, ROUTE_DENIED, "[device private] vms");
	assert_false(asks_open(f->keyboard));
	assert_false(file_says(f, "wishes", "vm2"));
}

static void a_member_that_is_absent_comes_later(void **state)
{
	struct fixture *f = *state;
	struct device *mouse;

	say(f, ROUTE_ATTACH, "desk", f->vm1);
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: host -> vm1\n");
	assert_non_null(strstr(f->text, "pending: mouse is not plugged in; it goes to vm1"));
	mouse = plug_mouse(f);
	settle(f);
	assert_stands(mouse, "vm1", "vm1", "exported");
}

static void an_absent_member_goes_back_with_the_rest(void **state)
{
	struct fixture *f = *state;

	say(f, ROUTE_ATTACH, "desk", f->vm1);
	node_opens(f->keyboard, -EIO);
	assert_answer(f, ROUTE_NOT_DONE, "keyboard: opening");
	assert_false(file_says(f, "wishes", "vm1"));
	assert_by(plug_mouse(f), "host", "default");
}

static void a_member_that_comes_while_the_command_waits_is_waited_for(void **state)
{
	struct fixture *f = *state;
	struct route_ask ask = {.vm = f->vm1, .has_wait = true, .wait_seconds = 60};
	struct device *mouse;

	say_with(f, ask, "desk");
	settle(f);
	imports(f->keyboard, f->vm1);
	assert_int_equal(f->answers, 0);
	mouse = plug_mouse(f);
	settle(f);
	imports(mouse, f->vm1);
	assert_answer(f, ROUTE_DONE, "mouse: host -> vm1 in ");
}

static void a_member_that_goes_meanwhile_holds_up_nobody(void **state)
{
	struct fixture *f = *state;
	struct device *mouse = plug_mouse(f);

	say(f, ROUTE_ATTACH, "desk", f->vm1);
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, 0, NULL);
	unplug(mouse);
	assert_answer(f, ROUTE_DONE, "mouse: unplugged meanwhile");
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
}

static void a_newer_command_about_a_member_supersedes(void **state)
{
	struct fixture *f = *state;
	struct device *mouse = plug_mouse(f);

	say_with(f, (struct route_ask){.vm = f->vm1, .has_wait = true, .wait_seconds = 60}, "desk");
	say(f, ROUTE_ATTACH, "mouse", f->vm2);
	assert_answer(f, ROUTE_SUPERSEDED, "a newer command wants mouse elsewhere");
	settle(f);
	assert_answer(f, ROUTE_DONE, "mouse: host -> vm2");
	/* What else the older one wished stands. */
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	assert_stands(mouse, "vm2", "vm2", "exported");
}

/* ------------------------------------------------------------- the ring */

static struct vm *beside(struct fixture *f, const char *what, bool backwards)
{
	struct route_subject subjects[ROUTE_SUBJECTS_MAX];
	const char *expected;
	size_t n;

	assert_int_equal(subjects_resolve(&f->rooms.commands, what, subjects, &n, &expected), 0);
	return route_next_vm(&f->rooms.commands, subjects, n, backwards);
}

static void from_the_host_it_is_the_first_or_last_that_is_connected(void **state)
{
	struct fixture *f = *state;

	assert_ptr_equal(beside(f, "keyboard", false), f->vm1);
	assert_ptr_equal(beside(f, "keyboard", true), f->vm2); /* vm3 is not connected */
	vm_is(f->vm1, false);
	assert_ptr_equal(beside(f, "keyboard", false), f->vm2);
	vm_is(f->vm2, false);
	assert_null(beside(f, "keyboard", false));
	assert_null(beside(f, "keyboard", true));
}

static void round_and_back(void **state)
{
	struct fixture *f = *state;

	vm_is(f->vm3, true);
	say(f, ROUTE_ATTACH, "keyboard", f->vm2);
	settle(f);
	assert_ptr_equal(beside(f, "keyboard", false), f->vm3);
	assert_ptr_equal(beside(f, "keyboard", true), f->vm1);
	say(f, ROUTE_ATTACH, "keyboard", f->vm3);
	settle(f);
	assert_ptr_equal(beside(f, "keyboard", false), f->vm1);
	vm_is(f->vm1, false);
	assert_ptr_equal(beside(f, "keyboard", false), f->vm2);
	say(f, ROUTE_ATTACH, "keyboard", f->vm2);
	settle(f);
	assert_ptr_equal(beside(f, "keyboard", true), f->vm3);
	/* Its own VM is away: the ring goes on from there. */
	vm_is(f->vm2, false);
	assert_ptr_equal(beside(f, "keyboard", false), f->vm3);
	assert_ptr_equal(beside(f, "keyboard", true), f->vm3);
}

static void a_ring_of_one_leads_to_itself(void **state)
{
	struct fixture *f = *state;

	vm_is(f->vm2, false);
	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	settle(f);
	assert_ptr_equal(beside(f, "keyboard", false), f->vm1);
	assert_ptr_equal(beside(f, "keyboard", true), f->vm1);
	say(f, ROUTE_ATTACH, "keyboard", beside(f, "keyboard", false));
	assert_answer(f, ROUTE_DONE, "keyboard: already routed to vm1");
	vm_is(f->vm1, false);
	assert_null(beside(f, "keyboard", false));
}

static void a_vm_that_may_not_have_a_member_is_passed_over(void **state)
{
	struct fixture *f = *state;

	vm_is(f->vm3, true);
	/* Of "secret", private may be at vm1 only, and is not even plugged in. */
	assert_ptr_equal(beside(f, "secret", false), f->vm1);
	assert_ptr_equal(beside(f, "secret", true), f->vm1);
	say(f, ROUTE_ATTACH, "secret", f->vm1);
	settle(f);
	assert_ptr_equal(beside(f, "secret", false), f->vm1);
	vm_is(f->vm1, false);
	assert_null(beside(f, "secret", false));
	/* Rules are asked, too. */
	assert_int_equal(reload_with(f, usual_config, "allow alias=keyboard to vm3\n"), 0);
	assert_ptr_equal(beside(f, "keyboard", false), f->vm3);
	assert_ptr_equal(beside(f, "keyboard", true), f->vm3);
}

/* ------------------------------------------------------------- the host's last keyboard */

static void a_command_does_not_take_it(void **state)
{
	struct fixture *f = *state;

	f->other_keyboards = 0;
	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	assert_answer(f, ROUTE_BUSY, "the host's last keyboard");
	assert_false(asks_open(f->keyboard));
	assert_false(file_says(f, "wishes", "vm1"));
	say_with(f, (struct route_ask){.vm = f->vm1, .force = true}, "keyboard");
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: host -> vm1");
	/* It is the host's no longer; from guest to guest nothing is guarded. */
	say(f, ROUTE_ATTACH, "keyboard", f->vm2);
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: vm1 -> vm2");
}

static void what_is_no_keyboard_goes(void **state)
{
	struct fixture *f = *state;

	f->other_keyboards = 0;
	plug_mouse(f);
	say(f, ROUTE_ATTACH, "mouse", f->vm1);
	settle(f);
	assert_answer(f, ROUTE_DONE, "mouse: host -> vm1");
	/* A host without any keyboard has none to lose. */
	unplug(f->keyboard);
	f->keyboard = NULL;
	say(f, ROUTE_ATTACH, "mouse", f->vm2);
	settle(f);
	assert_answer(f, ROUTE_DONE, "mouse: vm1 -> vm2");
}

static void vms_that_names_the_guest_and_assign_are_consent(void **state)
{
	struct fixture *f = *state;
	static const char named[] = "[vm vm1]\n[vm vm2]\n[vm vm3]\n"
				    "[device keyboard]\nmatch = id=046d:c31c\nvms = vm1 vm2\n";

	f->other_keyboards = 0;
	say(f, ROUTE_ASSIGN, "keyboard", f->vm2);
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: host -> vm2");
	say(f, ROUTE_UNASSIGN, "keyboard", NULL);
	settle(f);
	assert_stands(f->keyboard, "host", "host", "present");
	assert_int_equal(reload_with(f, named, NULL), 0);
	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: host -> vm1");
}

static void a_group_does_not_take_all_at_once(void **state)
{
	struct fixture *f = *state;
	static const char two[] = "[vm vm1]\n[vm vm2]\n[vm vm3]\n"
				  "[device keyboard]\nmatch = id=046d:c31c\nvms = vm1\n"
				  "[device second]\nmatch = id=046d:c31d\n"
				  "[group both]\ndevices = keyboard second\n";
	struct device *second;

	f->other_keyboards = 0;
	assert_int_equal(reload_with(f, two, NULL), 0);
	second = plug_at(f, "1-4", 0xc31d, "K2", keyboard_classes);
	/* One of them is the VM's by name; the other one would be the last that is left. */
	say(f, ROUTE_ATTACH, "both", f->vm1);
	assert_answer(f, ROUTE_BUSY, "the host's last keyboard");
	assert_false(asks_open(f->keyboard));
	f->other_keyboards = 1;
	say(f, ROUTE_ATTACH, "both", f->vm1);
	settle(f);
	assert_stands(second, "vm1", "vm1", "exported");
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
}

static void a_rule_spares_it_and_looks_again(void **state)
{
	struct fixture *f = *state;
	char reason[200];

	f->other_keyboards = 0;
	assert_int_equal(reload_with(f, usual_config, "allow alias=keyboard to vm1 attach=auto\n"),
			 0);
	settle(f);
	assert_by(f->keyboard, "vm1", "rule");
	assert_stands(f->keyboard, "vm1", "host", "pending");
	route_shown(f->keyboard, reason, sizeof(reason));
	assert_non_null(strstr(reason, "last keyboard"));
	/* Another one is there by now; of its input node nobody tells. */
	assert_true(loop_watching(&f->keyboard->route->retry));
	f->other_keyboards = 1;
	route_vm_changed(&f->rooms.routing, f->vm2);
	settle(f);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
}

static void a_step_looks_at_the_hosts_keyboards_once(void **state)
{
	struct fixture *f = *state;

	f->other_keyboards = 0;
	assert_int_equal(reload_with(f, usual_config, "allow alias=keyboard to vm1 attach=auto\n"),
			 0);
	settle(f);
	assert_stands(f->keyboard, "vm1", "host", "pending");
	n_keyboard_looks = 0;
	route_vm_changed(&f->rooms.routing, f->vm2);
	assert_int_equal(n_keyboard_looks, 1);
}

static void a_rule_does_not_take_two_at_once_either(void **state)
{
	struct fixture *f = *state;
	struct device *second;

	f->other_keyboards = 0;
	vm_is(f->vm1, false);
	assert_int_equal(
		reload_with(f, usual_config, "allow class=hid.keyboard to vm1 attach=auto\n"), 0);
	second = plug_at(f, "1-4", 0xc31d, "K2", keyboard_classes);
	vm_is(f->vm1, true);
	/* The first is on its way, and the host seems to have it still. */
	assert_true(asks_open(f->keyboard));
	assert_false(asks_open(second));
	say(f, ROUTE_ATTACH, "serial=K2", f->vm2);
	assert_answer(f, ROUTE_DENIED, "test.rules:1");
	say(f, ROUTE_ATTACH, "serial=K2", f->vm1);
	assert_answer(f, ROUTE_BUSY, "the host's last keyboard");
	settle(f);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	assert_stands(second, "vm1", "host", "pending");
}

static void a_spared_one_that_is_unplugged_is_not_looked_at(void **state)
{
	struct fixture *f = *state;

	f->other_keyboards = 0;
	assert_int_equal(reload_with(f, usual_config, "allow alias=keyboard to vm1 attach=auto\n"),
			 0);
	unplug(f->keyboard);
	f->keyboard = NULL;
	rooms_turn(&f->rooms, false);
}

static void a_spared_one_goes_by_command_and_by_rule_with_vms(void **state)
{
	struct fixture *f = *state;
	static const char named[] = "[vm vm1]\n[vm vm2]\n[vm vm3]\n"
				    "[device keyboard]\nmatch = id=046d:c31c\nvms = vm1 vm2\n";

	f->other_keyboards = 0;
	assert_int_equal(reload_with(f, usual_config, "allow alias=keyboard to vm1 attach=auto\n"),
			 0);
	settle(f);
	say_with(f, (struct route_ask){.vm = f->vm2, .force = true}, "keyboard");
	assert_answer(f, ROUTE_DENIED, "test.rules:1"); /* the rule says to vm1 */
	say_with(f, (struct route_ask){.vm = f->vm1, .force = true}, "keyboard");
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: host -> vm1");
	say(f, ROUTE_ATTACH, "keyboard", NULL);
	settle(f);
	assert_stands(f->keyboard, "host", "host", "present");
	say(f, ROUTE_RELEASE, "keyboard", NULL);
	assert_stands(f->keyboard, "vm1", "host", "pending"); /* spared again */
	assert_int_equal(reload_with(f, named, "allow alias=keyboard to vm1 attach=auto\n"), 0);
	settle(f);
	assert_by(f->keyboard, "vm1", "rule");
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_group_goes_together),
		T(one_that_can_t_be_had_and_all_go_back),
		T(one_in_use_makes_the_whole_group_busy),
		T(one_that_is_forbidden_and_none_is_touched),
		T(a_member_that_is_absent_comes_later),
		T(an_absent_member_goes_back_with_the_rest),
		T(a_member_that_comes_while_the_command_waits_is_waited_for),
		T(a_member_that_goes_meanwhile_holds_up_nobody),
		T(a_newer_command_about_a_member_supersedes),
		T(from_the_host_it_is_the_first_or_last_that_is_connected),
		T(round_and_back),
		T(a_ring_of_one_leads_to_itself),
		T(a_vm_that_may_not_have_a_member_is_passed_over),
		T(a_command_does_not_take_it),
		T(what_is_no_keyboard_goes),
		T(vms_that_names_the_guest_and_assign_are_consent),
		T(a_group_does_not_take_all_at_once),
		T(a_rule_spares_it_and_looks_again),
		T(a_step_looks_at_the_hosts_keyboards_once),
		T(a_rule_does_not_take_two_at_once_either),
		T(a_spared_one_that_is_unplugged_is_not_looked_at),
		T(a_spared_one_goes_by_command_and_by_rule_with_vms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
