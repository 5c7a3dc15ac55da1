/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is kept from the host's drivers, and VMs that come and go with the configuration while they
 * have devices.
 */
#include "tests/unit/route-fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/usb_class.h"

/* ------------------------------------------------------------- reserved */

static void reserved_it_is_taken_when_it_is_announced(void **state)
{
	struct fixture *f = *state;
	struct guest_device *gd;

	say(f, ROUTE_RESERVE, "keyboard", NULL);
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: kept for the guests");
	assert_stands(f->keyboard, "host", "host", "claimed");
	assert_true(file_says(f, "reserved", "host"));
	gd = thread_of(f->keyboard);
	unplug(f->keyboard);
	drop(gd);
	plug(f, "S1");
	assert_true(asks_open(f->keyboard)); /* before anything else is asked */
	settle(f);
	assert_stands(f->keyboard, "host", "host", "claimed");
}

static void also_while_no_vm_is_connected(void **state)
{
	struct fixture *f = *state;

	vm_is(f->vm1, false);
	vm_is(f->vm2, false);
	say(f, ROUTE_ATTACH, "keyboard", f->vm2);
	assert_answer(f, ROUTE_DONE, "pending: keyboard goes to vm2 when vm2 is connected");
	assert_false(asks_open(f->keyboard));
	say(f, ROUTE_RESERVE, "keyboard", NULL);
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: reserved; it is claimed for vm2");
	assert_ptr_equal(guest_of(f->keyboard), f->vm2->guest);
	assert_stands(f->keyboard, "vm2", "host", "claimed");
	vm_is(f->vm2, true);
	assert_stands(f->keyboard, "vm2", "vm2", "exported");
}

static void a_reservation_survives_the_daemon(void **state)
{
	struct fixture *f = *state;

	say(f, ROUTE_RESERVE, "keyboard", NULL);
	settle(f);
	begin_anew(f);
	plug(f, "S1");
	started(f);
	assert_true(asks_open(f->keyboard));
	settle(f);
	assert_stands(f->keyboard, "host", "host", "claimed");
	assert_false(asks_rebind(f->keyboard));
}

static void detach_ends_the_session_and_keeps_it_claimed(void **state)
{
	struct fixture *f = *state;
	struct guest_device *gd;

	say(f, ROUTE_RESERVE, "keyboard", NULL);
	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	settle(f);
	imports(f->keyboard, f->vm1);
	assert_stands(f->keyboard, "vm1", "vm1", "attached");
	gd = thread_of(f->keyboard);
	say(f, ROUTE_ATTACH, "keyboard", NULL);
	assert_true(gd->taking && !gd->close_it);
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: kept for the guests");
	assert_ptr_equal(thread_of(f->keyboard), gd); /* never closed */
	assert_stands(f->keyboard, "host", "host", "claimed");
	assert_false(route_exported_to(f->keyboard, f->vm1));
}

static void unreserve_gives_it_back(void **state)
{
	struct fixture *f = *state;

	say(f, ROUTE_RESERVE, "keyboard", NULL);
	settle(f);
	say(f, ROUTE_UNRESERVE, "keyboard", NULL);
	assert_int_equal(f->answers, 0);
	taken(f->keyboard);
	assert_true(asks_rebind(f->keyboard));
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: given back to the host's drivers");
	assert_stands(f->keyboard, "host", "host", "present");
	assert_false(file_says(f, "reserved", "host"));
	assert_false(file_says(f, "claimed", "1-1"));
}

static void unreserve_leaves_it_where_it_is_wanted(void **state)
{
	struct fixture *f = *state;

	say(f, ROUTE_RESERVE, "keyboard", NULL);
	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	settle(f);
	say(f, ROUTE_UNRESERVE, "keyboard", NULL);
	assert_answer(f, ROUTE_DONE, "keyboard: not reserved any more");
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	say(f, ROUTE_ATTACH, "keyboard", NULL);
	settle(f);
	assert_stands(f->keyboard, "host", "host", "present");
}

static void a_reserved_one_moves_between_vms(void **state)
{
	struct fixture *f = *state;

	say(f, ROUTE_RESERVE, "keyboard", NULL);
	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	settle(f);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	say(f, ROUTE_ATTACH, "keyboard", f->vm2);
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: vm1 -> vm2");
	assert_ptr_equal(guest_of(f->keyboard), f->vm2->guest);
	/* From being kept in one thread to being exported in the same: nothing has to be done. */
	say(f, ROUTE_ATTACH, "keyboard", NULL);
	settle(f);
	say(f, ROUTE_ATTACH, "keyboard", f->vm2);
	assert_answer(f, ROUTE_DONE, "keyboard: host -> vm2");
	assert_stands(f->keyboard, "vm2", "vm2", "exported");
}

static void what_can_t_be_had_is_not_reserved(void **state)
{
	struct fixture *f = *state;

	say(f, ROUTE_RESERVE, "keyboard", NULL);
	node_opens(f->keyboard, -EBUSY);
	assert_answer(f, ROUTE_BUSY, "opening its usbfs node");
	assert_false(file_says(f, "reserved", "host"));
	assert_stands(f->keyboard, "host", "host", "present");
	assert_false(loop_watching(&f->keyboard->route->retry));
}

static void what_its_vm_may_not_have_is_kept_all_the_same(void **state)
{
	struct fixture *f = *state;

	say(f, ROUTE_ASSIGN, "keyboard", f->vm1);
	settle(f);
	assert_int_equal(reload_with(f, usual_config, "deny alias=keyboard to vm1\n"), 0);
	settle(f);
	assert_stands(f->keyboard, "vm1", "host", "denied");
	say(f, ROUTE_RESERVE, "keyboard", NULL);
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: kept for the guests");
	assert_stands(f->keyboard, "vm1", "host", "claimed");
}

static void one_that_is_absent_is_taken_when_it_comes(void **state)
{
	struct fixture *f = *state;
	struct device *d;

	say(f, ROUTE_RESERVE, "private", NULL);
	assert_answer(f, ROUTE_DONE, "pending: private is not plugged in; it is reserved when");
	d = plug_at(f, "1-3", 0x2222, "P", 0);
	settle(f);
	assert_stands(d, "host", "host", "claimed");
}

static void without_any_vm_there_is_nobody_to_keep_it_for(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(reload_with(f, "[device keyboard]\nmatch = id=046d:c31c\n", NULL), 0);
	say(f, ROUTE_RESERVE, "keyboard", NULL);
	assert_answer(f, ROUTE_DONE, "there is no VM to keep it for");
	assert_false(asks_open(f->keyboard));
	assert_stands(f->keyboard, "host", "host", "present");
	/* The first that comes takes it. */
	assert_int_equal(reload_with(f, usual_config, NULL), 0);
	while (vm_ends(f, "vm1") || vm_ends(f, "vm2") || vm_ends(f, "vm3"))
		;
	turn_ends();
	settle(f);
	assert_stands(f->keyboard, "host", "host", "claimed");
}

/* ------------------------------------------------------------- VMs come and go */

static const char without_vm1[] = "[vm vm2]\n[vm vm3]\n"
				  "[device keyboard]\nmatch = id=046d:c31c\n";

static void a_vm_that_leaves_loses_its_devices_and_then_its_thread(void **state)
{
	struct fixture *f = *state;

	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	settle(f);
	imports(f->keyboard, f->vm1);
	assert_int_equal(reload_with(f, without_vm1, NULL), 0);
	assert_null(vm_find(&f->rooms.vms, "vm1"));
	assert_true(thread_of(f->keyboard)->taking);
	assert_false(vm_ends(f, "vm1")); /* not while it has a device */
	settle(f);
	assert_stands(f->keyboard, "vm1", "host", "pending"); /* the wish stands */
	assert_int_equal(threads(), 3);
	assert_true(vm_ends(f, "vm1"));
	assert_int_equal(threads(), 2);
	assert_true(list_empty(&f->rooms.vms.leaving));
}

/* What a reload that can't be carried out whole would have changed. */
static const char other[] = "[vm vm4]\n[vm vm3]\n[vm vm2]\n"
			    "[device board]\nmatch = id=046d:c31c\n";
static const char other_rules[] = "deny id=046d:c31c to vm2\n";

static void assert_all_as_it_was(struct fixture *f)
{
	const char *const names[] = {"vm1", "vm2", "vm3"};
	size_t n = 0;

	list_for_each(it, &f->rooms.vms.all)
		assert_string_equal(list_entry(it, struct vm, link)->name, names[n++]);
	assert_int_equal(n, ARRAY_SIZE(names));
	assert_true(list_empty(&f->rooms.vms.leaving));
	assert_string_equal(device_alias(f->keyboard), "keyboard");
	settle(f);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	assert_false(file_says(f, "addresses", "vm4"));
}

static void a_reload_that_fails_half_way_changes_nothing(void **state)
{
	struct fixture *f = *state;
	char folder[160], aside[160];

	in_vm1(f);
	/* The new VM's address can't be kept. */
	snprintf(folder, sizeof(folder), "%s/state", f->folder);
	snprintf(aside, sizeof(aside), "%s/aside", f->folder);
	assert_int_equal(rename(folder, aside), 0);
	assert_true(reload_with(f, other, other_rules) < 0);
	assert_int_equal(rename(aside, folder), 0);
	assert_all_as_it_was(f);
	/* Its socket can't be made. */
	snprintf(folder, sizeof(folder), "%s/run/vm4.sock", f->folder);
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_true(reload_with(f, other, other_rules) < 0);
	assert_int_equal(rmdir(folder), 0);
	assert_all_as_it_was(f);
	/* And then it all can be had. */
	assert_int_equal(reload_with(f, other, other_rules), 0);
	assert_non_null(vm_find(&f->rooms.vms, "vm4"));
	assert_string_equal(device_alias(f->keyboard), "board");
	assert_true(file_says(f, "addresses", "vm4"));
	settle(f);
	assert_true(vm_ends(f, "vm1"));
}

static void a_device_that_is_unplugged_on_its_way_out_lets_the_vm_end(void **state)
{
	struct fixture *f = *state;
	struct guest_device *gd;

	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	settle(f);
	assert_int_equal(reload_with(f, without_vm1, NULL), 0);
	gd = thread_of(f->keyboard);
	assert_true(gd->taking);
	unplug(f->keyboard);
	drop(gd);
	assert_true(vm_ends(f, "vm1"));
}

static void a_device_that_is_stuck_on_its_way_out_lets_the_vm_end(void **state)
{
	struct fixture *f = *state;
	struct guest_device *gd;

	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	settle(f);
	assert_int_equal(reload_with(f, without_vm1, NULL), 0);
	gd = thread_of(f->keyboard);
	gd->events->stuck(gd->ctx, "release");
	drop(gd);
	assert_true(vm_ends(f, "vm1"));
}

static void a_command_that_waits_for_a_vm_that_leaves_is_answered(void **state)
{
	struct fixture *f = *state;

	say_with(f, (struct route_ask){.vm = f->vm1, .has_wait = true, .wait_seconds = 60},
		 "keyboard");
	settle(f);
	assert_int_equal(f->answers, 0);
	assert_int_equal(reload_with(f, without_vm1, NULL), 0);
	assert_answer(f, ROUTE_NOT_DONE, "vm1: it is out of the configuration; the wish stands");
	assert_true(list_empty(&f->rooms.commands.calls));
	settle(f);
	assert_true(vm_ends(f, "vm1"));
}

static void one_with_another_address_waits_for_the_old_one(void **state)
{
	struct fixture *f = *state;
	static const char moved[] = "[vm vm1]\naddress = 10.77.0.99\n[vm vm2]\n[vm vm3]\n"
				    "[device keyboard]\nmatch = id=046d:c31c\n";
	struct vm *vm2 = f->vm2;

	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	settle(f);
	assert_int_equal(reload_with(f, moved, NULL), 0);
	f->vm1 = vm_find(&f->rooms.vms, "vm1");
	assert_false(f->vm1->started);
	assert_null(f->vm1->guest);
	assert_ptr_equal(vm_find(&f->rooms.vms, "vm2"), vm2); /* notices nothing */
	assert_true(vm2->connected);
	/* Once claimed it is kept from the host's drivers until its VM is back. */
	settle(f);
	assert_false(asks_rebind(f->keyboard));
	assert_true(f->keyboard->ours);
	assert_stands(f->keyboard, "vm1", "host", "pending");
	assert_true(vm_ends(f, "vm1"));
	assert_true(f->vm1->started);
	turn_ends();
	settle(f);
	assert_stands(f->keyboard, "vm1", "host", "claimed");
	vm_is(f->vm1, true);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
}

static void what_waits_for_a_vm_to_come_back_can_be_detached(void **state)
{
	struct fixture *f = *state;
	static const char moved[] = "[vm vm1]\naddress = 10.77.0.99\n"
				    "[device keyboard]\nmatch = id=046d:c31c\n";

	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	settle(f);
	assert_int_equal(reload_with(f, moved, NULL), 0);
	settle(f);
	say(f, ROUTE_ATTACH, "keyboard", NULL);
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard");
	assert_stands(f->keyboard, "host", "host", "present");
}

static void a_reserved_one_goes_on_to_another_vm_s_thread(void **state)
{
	struct fixture *f = *state;
	static const char first_is_new[] = "[vm vm0]\n[vm vm2]\n"
					   "[device keyboard]\nmatch = id=046d:c31c\n";

	say(f, ROUTE_RESERVE, "keyboard", NULL);
	settle(f);
	assert_ptr_equal(guest_of(f->keyboard), f->vm1->guest);
	/* vm1 leaves, and vm0 is the first now. */
	assert_int_equal(reload_with(f, first_is_new, NULL), 0);
	settle(f);
	assert_false(asks_rebind(f->keyboard));
	assert_ptr_equal(guest_of(f->keyboard), f->vm2->guest);
	assert_stands(f->keyboard, "host", "host", "claimed");
	assert_true(vm_ends(f, "vm1"));
}

static void a_refused_reload_changes_nothing(void **state)
{
	struct fixture *f = *state;

	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	settle(f);
	assert_int_equal(reload_with(f, "[vm vm2]\nadress = 10.77.0.1\n", NULL), CONFIG_BAD);
	assert_int_equal(reload_with(f, "[vm vm2]\n[network]\nisolate = yes\n", NULL), CONFIG_BAD);
	assert_int_equal(reload_with(f, without_vm1, "permit all\n"), CONFIG_BAD);
	assert_ptr_equal(vm_find(&f->rooms.vms, "vm1"), f->vm1);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	assert_int_equal(threads(), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(reserved_it_is_taken_when_it_is_announced),
		T(also_while_no_vm_is_connected),
		T(a_reservation_survives_the_daemon),
		T(detach_ends_the_session_and_keeps_it_claimed),
		T(unreserve_gives_it_back),
		T(unreserve_leaves_it_where_it_is_wanted),
		T(a_reserved_one_moves_between_vms),
		T(what_can_t_be_had_is_not_reserved),
		T(what_its_vm_may_not_have_is_kept_all_the_same),
		T(one_that_is_absent_is_taken_when_it_comes),
		T(without_any_vm_there_is_nobody_to_keep_it_for),
		T(a_vm_that_leaves_loses_its_devices_and_then_its_thread),
		T(a_reload_that_fails_half_way_changes_nothing),
		T(a_device_that_is_unplugged_on_its_way_out_lets_the_vm_end),
		T(a_device_that_is_stuck_on_its_way_out_lets_the_vm_end),
		T(a_command_that_waits_for_a_vm_that_leaves_is_answered),
		T(one_with_another_address_waits_for_the_old_one),
		T(what_waits_for_a_vm_to_come_back_can_be_detached),
		T(a_reserved_one_goes_on_to_another_vm_s_thread),
		T(a_refused_reload_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
