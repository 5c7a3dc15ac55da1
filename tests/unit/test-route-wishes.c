/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is said of devices: which word counts, how long, what survives, what undo brings back, and
 * names that hang on devices.
 */
#include "tests/unit/route-fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "policy/usb_class.h"

static const usb_class_set mouse_classes = 1u << USB_CLASS_HID | 1u << USB_CLASS_HID_MOUSE;

/* ------------------------------------------------------------- which counts */

static void a_command_beats_an_assignment_beats_a_rule(void **state)
{
	struct fixture *f = *state;

	assert_by(f->keyboard, "host", "default");
	assert_int_equal(
		reload_with(f, usual_config, "allow alias=keyboard to vm3,vm1 attach=auto\n"), 0);
	assert_by(f->keyboard, "vm3", "rule");
	say(f, ROUTE_ASSIGN, "keyboard", f->vm1);
	settle(f);
	assert_by(f->keyboard, "vm1", "assignment");
	assert_int_equal(reload_with(f, usual_config, NULL), 0);
	say(f, ROUTE_ATTACH, "keyboard", f->vm2);
	settle(f);
	assert_by(f->keyboard, "vm2", "command");
	assert_stands(f->keyboard, "vm2", "vm2", "exported");
	say(f, ROUTE_RELEASE, "keyboard", NULL);
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: vm2 -> vm1");
	assert_by(f->keyboard, "vm1", "assignment");
	say(f, ROUTE_UNASSIGN, "keyboard", NULL);
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: vm1 -> host");
	assert_by(f->keyboard, "host", "default");
	assert_stands(f->keyboard, "host", "host", "present");
}

static void assign_forgets_a_command_s_wish(void **state)
{
	struct fixture *f = *state;

	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	settle(f);
	say(f, ROUTE_ASSIGN, "keyboard", f->vm2);
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: vm1 -> vm2");
	assert_by(f->keyboard, "vm2", "assignment");
	assert_false(file_says(f, "wishes", "vm1"));
	assert_true(file_says(f, "assignments", "vm2"));
}

static void unassign_forgets_both(void **state)
{
	struct fixture *f = *state;

	say(f, ROUTE_ASSIGN, "keyboard", f->vm1);
	say(f, ROUTE_ATTACH, "keyboard", f->vm2);
	settle(f);
	say(f, ROUTE_UNASSIGN, "keyboard", NULL);
	settle(f);
	assert_by(f->keyboard, "host", "default");
	assert_false(file_says(f, "wishes", "vm2"));
	assert_false(file_says(f, "assignments", "vm1"));
}

static void detach_is_a_command_and_beats_an_assignment(void **state)
{
	struct fixture *f = *state;

	say(f, ROUTE_ASSIGN, "keyboard", f->vm1);
	settle(f);
	say(f, ROUTE_ATTACH, "keyboard", NULL);
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: vm1 -> host");
	assert_by(f->keyboard, "host", "command");
	/* Also when it is plugged in again. */
	unplug(f->keyboard);
	plug(f, "S1");
	settle(f);
	assert_stands(f->keyboard, "host", "host", "present");
}

static void assigned_to_the_host_no_rule_takes_it(void **state)
{
	struct fixture *f = *state;

	say(f, ROUTE_ASSIGN, "keyboard", NULL);
	assert_answer(f, ROUTE_DONE, "already at the host");
	assert_int_equal(reload_with(f, usual_config, "allow alias=keyboard to vm1 attach=auto\n"),
			 0);
	assert_by(f->keyboard, "host", "assignment");
	settle(f);
	assert_stands(f->keyboard, "host", "host", "present");
}

static void a_rule_attaches_by_itself_what_is_plugged_in(void **state)
{
	struct fixture *f = *state;
	struct device *mouse;

	assert_int_equal(reload_with(f, usual_config, "allow class=hid.mouse to vm2 attach=auto\n"),
			 0);
	mouse = plug_at(f, "1-2", 0xc077, "M1", mouse_classes);
	settle(f);
	assert_by(mouse, "vm2", "rule");
	assert_stands(mouse, "vm2", "vm2", "exported");
	/* And gives it back when the rule has gone. */
	assert_int_equal(reload_with(f, usual_config, NULL), 0);
	settle(f);
	assert_stands(mouse, "host", "host", "present");
}

/* ------------------------------------------------------------- what survives */

static void wishes_of_all_kinds_survive_the_daemon(void **state)
{
	struct fixture *f = *state;
	struct device *mouse = plug_at(f, "1-2", 0xc077, NULL, mouse_classes);

	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	say(f, ROUTE_ASSIGN, "mouse", f->vm2);
	say(f, ROUTE_ATTACH, "private", f->vm1); /* not plugged in */
	assert_answer(f, ROUTE_DONE, "pending: private is not plugged in");
	settle(f);
	assert_stands(mouse, "vm2", "vm2", "exported");
	begin_anew(f);
	plug(f, "S1");
	mouse = plug_at(f, "1-2", 0xc077, NULL, mouse_classes);
	started(f);
	assert_by(f->keyboard, "vm1", "command");
	assert_by(mouse, "vm2", "assignment");
	assert_by(plug_at(f, "1-3", 0x2222, "P", 0), "vm1", "command");
}

static void the_host_s_reboot_leaves_the_assignment_alone(void **state)
{
	struct fixture *f = *state;
	char path[160];

	say(f, ROUTE_ASSIGN, "keyboard", f->vm1);
	say(f, ROUTE_ATTACH, "keyboard", f->vm2);
	settle(f);
	assert_by(f->keyboard, "vm2", "command");
	/* /run is empty after a boot. */
	snprintf(path, sizeof(path), "%s/run/wishes", f->folder);
	assert_int_equal(unlink(path), 0);
	begin_anew(f);
	plug(f, "S1");
	started(f);
	assert_by(f->keyboard, "vm1", "assignment");
}

static void what_can_t_be_written_changes_nothing(void **state)
{
	struct fixture *f = *state;
	char folder[160], aside[160];

	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	settle(f);
	assert_true(file_says(f, "wishes", "vm1"));
	/* To assign changes two files; of these the second can't be written. */
	snprintf(folder, sizeof(folder), "%s/state", f->folder);
	snprintf(aside, sizeof(aside), "%s/aside", f->folder);
	assert_int_equal(rename(folder, aside), 0);
	say(f, ROUTE_ASSIGN, "keyboard", f->vm2);
	assert_answer(f, ROUTE_NOT_DONE, "state/assignments can't be written: ");
	assert_int_equal(rename(aside, folder), 0);
	assert_by(f->keyboard, "vm1", "command");
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	assert_true(file_says(f, "wishes", "vm1"));
	assert_false(file_says(f, "assignments", "vm2"));
}

/* ------------------------------------------------------------- undo */

static void undo_brings_back_and_undone_twice_is_done_again(void **state)
{
	struct fixture *f = *state;

	say(f, ROUTE_UNDO, NULL, NULL);
	assert_answer(f, ROUTE_NOT_DONE, "nothing was changed since the start");
	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	settle(f);
	say(f, ROUTE_ATTACH, "keyboard", f->vm2);
	settle(f);
	say(f, ROUTE_UNDO, NULL, NULL);
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: vm2 -> vm1");
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	assert_true(file_says(f, "wishes", "vm1"));
	say(f, ROUTE_UNDO, NULL, NULL);
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: vm1 -> vm2");
	assert_stands(f->keyboard, "vm2", "vm2", "exported");
	assert_true(file_says(f, "wishes", "vm2"));
}

static void undo_of_a_group_moves_all_of_it(void **state)
{
	struct fixture *f = *state;
	struct device *mouse = plug_at(f, "1-2", 0xc077, "M1", mouse_classes);

	say(f, ROUTE_ATTACH, "desk", f->vm1);
	settle(f);
	assert_stands(mouse, "vm1", "vm1", "exported");
	say(f, ROUTE_UNDO, NULL, NULL);
	settle(f);
	assert_int_equal(f->n_subjects, 2);
	assert_answer(f, ROUTE_DONE, "vm1 -> host");
	assert_stands(f->keyboard, "host", "host", "present");
	assert_stands(mouse, "host", "host", "present");
}

static void undo_of_what_is_not_plugged_in_says_what(void **state)
{
	struct fixture *f = *state;

	say(f, ROUTE_ATTACH, "private", f->vm1);
	say(f, ROUTE_UNDO, NULL, NULL);
	assert_answer(f, ROUTE_DONE, "attach private vm1");
	assert_false(file_says(f, "wishes", "private"));
}

static void undo_of_a_reservation_gives_it_back(void **state)
{
	struct fixture *f = *state;

	say(f, ROUTE_RESERVE, "keyboard", NULL);
	settle(f);
	assert_stands(f->keyboard, "host", "host", "claimed");
	say(f, ROUTE_UNDO, NULL, NULL);
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard");
	assert_stands(f->keyboard, "host", "host", "present");
	assert_false(file_says(f, "reserved", "host"));
}

static void a_command_that_changed_nothing_is_not_the_last_change(void **state)
{
	struct fixture *f = *state;
	struct device *mouse = plug_at(f, "1-2", 0xc077, "M1", mouse_classes);

	say(f, ROUTE_ATTACH, "mouse", f->vm1);
	settle(f);
	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	node_opens(f->keyboard, -EIO);
	assert_answer(f, ROUTE_NOT_DONE, "opening its usbfs node");
	say(f, ROUTE_UNDO, NULL, NULL);
	settle(f);
	assert_answer(f, ROUTE_DONE, "mouse: vm1 -> host");
	assert_stands(mouse, "host", "host", "present");
}

/* ------------------------------------------------------------- wishes that end */

static void a_wish_with_an_end_ends(void **state)
{
	struct fixture *f = *state;
	struct route_ask ask = {.vm = f->vm2, .for_seconds = 1};

	say(f, ROUTE_ASSIGN, "keyboard", f->vm1);
	settle(f);
	say_with(f, ask, "keyboard");
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: vm1 -> vm2");
	assert_by(f->keyboard, "vm2", "command");
	while (!thread_of(f->keyboard)->taking)
		rooms_turn(&f->rooms, true);
	settle(f);
	assert_by(f->keyboard, "vm1", "assignment");
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	assert_false(file_says(f, "wishes", "vm2"));
}

static void an_end_holds_after_a_restart(void **state)
{
	struct fixture *f = *state;
	struct route_ask ask = {.vm = f->vm1, .for_seconds = 1};

	say_with(f, ask, "keyboard");
	settle(f);
	begin_anew(f);
	plug(f, "S1");
	started(f);
	settle(f);
	while (!strcmp(route_wanted(f->keyboard).target, "vm1"))
		rooms_turn(&f->rooms, true);
	settle(f);
	assert_stands(f->keyboard, "host", "host", "present");
}

static void a_newer_command_has_no_end_of_the_older(void **state)
{
	struct fixture *f = *state;
	struct route_ask ask = {.vm = f->vm1, .for_seconds = 1};

	say_with(f, ask, "keyboard");
	settle(f);
	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	assert_int_equal(wishes_next_end(&f->rooms.books.now.list[WISHES_COMMANDS]), 0);
	assert_false(loop_watching(&f->rooms.books.end));
}

static void ring(void *ctx, int res _unused_)
{
	*(bool *)ctx = true;
}

/* A file may say any end. In nanoseconds this one would be about now. */
static void an_end_that_no_clock_reaches(void **state)
{
	static const char line[] = "V3\tvm1\tname\t\tkeyboard\t\t18446744074\t\n";
	struct fixture *f = *state;
	struct loop_watch bell = {0};
	bool rang = false;
	unsigned turns = 0;
	char path[160];
	FILE *file;

	snprintf(path, sizeof(path), "%s/run/wishes", f->folder);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(line, file) >= 0 && fclose(file) == 0);
	begin_anew(f);
	plug(f, "S1");
	started(f);
	settle(f);
	assert_by(f->keyboard, "vm1", "command");
	/* It wakes nobody meanwhile. */
	loop_watch_time(f->rooms.core.loop, &bell, 50 * 1000 * 1000, ring, &rang);
	while (!rang) {
		rooms_turn(&f->rooms, true);
		turns++;
	}
	assert_true(turns < 20);
}

static void until_unplugged(void **state)
{
	struct fixture *f = *state;
	struct route_ask ask = {.vm = f->vm1, .until_unplug = true};
	struct guest_device *gd;

	say_with(f, ask, "keyboard");
	settle(f);
	/* The daemon's end is no unplugging. */
	begin_anew(f);
	plug(f, "S1");
	started(f);
	settle(f);
	assert_by(f->keyboard, "vm1", "command");
	gd = thread_of(f->keyboard);
	unplug(f->keyboard);
	drop(gd);
	plug(f, "S1");
	settle(f);
	assert_by(f->keyboard, "host", "default");
	assert_stands(f->keyboard, "host", "host", "present");
	assert_false(file_says(f, "wishes", "vm1"));
}

static void dry_run_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct route_ask ask = {.vm = f->vm1, .dry_run = true};

	say_with(f, ask, "keyboard");
	assert_answer(f, ROUTE_DONE, "keyboard: would go host -> vm1");
	say_with(f, ask, "desk");
	assert_answer(f, ROUTE_DONE, "mouse: would go host -> vm1");
	ask.verb = ROUTE_RESERVE;
	say_with(f, ask, "keyboard");
	assert_answer(f, ROUTE_DONE, "keyboard: ");
	ask = (struct route_ask){.vm = f->vm2, .dry_run = true};
	say_with(f, ask, "private");
	assert_answer(f, ROUTE_DENIED, "[device private] vms");
	assert_false(asks_open(f->keyboard));
	assert_false(file_says(f, "wishes", "vm1"));
	assert_false(file_says(f, "reserved", "host"));
	assert_string_equal(f->rooms.books.undo_text, "");
	assert_by(f->keyboard, "host", "default");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_command_beats_an_assignment_beats_a_rule),
		T(assign_forgets_a_command_s_wish),
		T(unassign_forgets_both),
		T(detach_is_a_command_and_beats_an_assignment),
		T(assigned_to_the_host_no_rule_takes_it),
		T(a_rule_attaches_by_itself_what_is_plugged_in),
		T(wishes_of_all_kinds_survive_the_daemon),
		T(the_host_s_reboot_leaves_the_assignment_alone),
		T(what_can_t_be_written_changes_nothing),
		T(undo_brings_back_and_undone_twice_is_done_again),
		T(undo_of_a_group_moves_all_of_it),
		T(undo_of_what_is_not_plugged_in_says_what),
		T(undo_of_a_reservation_gives_it_back),
		T(a_command_that_changed_nothing_is_not_the_last_change),
		T(a_wish_with_an_end_ends),
		T(an_end_holds_after_a_restart),
		T(a_newer_command_has_no_end_of_the_older),
		T(an_end_that_no_clock_reaches),
		T(until_unplugged),
		T(dry_run_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
