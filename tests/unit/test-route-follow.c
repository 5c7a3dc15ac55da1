/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A name is what people mean: what was said by a name follows the device that bears it, to another
 * port, over restarts, through groups and rules; of twins that a section both matches one bears it.
 */
#include "tests/unit/route-fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/commands/device_name.h"
#include "daemon/commands/hotkey.h"
#include "daemon/devices/port_off.h"
#include "policy/usb_class.h"

#define QEMU_SERIAL_1 "68284-0000:00:14.0-1"
#define QEMU_SERIAL_4 "68284-0000:00:14.0-4"

static const usb_class_set keyboard_classes = 1u << USB_CLASS_HID | 1u << USB_CLASS_HID_KEYBOARD;

static struct device *plug_keyboard(struct fixture *f, const char *busid, const char *serial)
{
	f->devnum++;
	return plug_at(f, busid, 0xc31c, serial, keyboard_classes);
}

/* The usual one, and a group that only rules put a keyboard in. */
static const char with_work[] = "[vm vm1]\n[vm vm2]\n[vm vm3]\n"
				"[device keyboard]\nmatch = id=046d:c31c\n"
				"[device mouse]\nmatch = id=046d:c077\n"
				"[group work]\ndevices = mouse\n";

/* Out, and no thread has it any more. */
static void pull(struct device *d)
{
	struct guest_device *gd = thread_of(d);

	unplug(d);
	if (gd)
		drop(gd);
}

/* From one port to another, where it may have another serial. */
static struct device *move(struct fixture *f, struct device *d, const char *busid,
			   const char *serial)
{
	pull(d);
	d = plug_keyboard(f, busid, serial);
	settle(f);
	return d;
}

/* Until a name waits no longer. */
static void wait_for_names(struct fixture *f)
{
	assert_true(loop_watching(&f->rooms.devices.names.waits));
	while (loop_watching(&f->rooms.devices.names.waits))
		rooms_turn(&f->rooms, true);
	settle(f);
}

/* As on a new host. */
static void forget_bearers(struct fixture *f)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/state/bearers", f->folder);
	assert_int_equal(unlink(path), 0);
	begin_anew(f);
	started(f);
	vm_is(f->vm1, true);
	vm_is(f->vm2, true);
}

static void assert_reason(const struct device *d, const char *state, const char *words)
{
	char reason[300];

	assert_string_equal(device_state_name(route_shown(d, reason, sizeof(reason))), state);
	if (!strstr(reason, words))
		fail_msg("\"%s\" is not in \"%s\"", words, reason);
}

/* ------------------------------------------------------------- one keyboard */

static const struct {
	const char *at_1, *at_4;
} serials[] = {{"S1", "S1"}, {NULL, NULL}, {QEMU_SERIAL_1, QEMU_SERIAL_4}, {"S1", "S2"}};

static void what_is_said_by_name_follows_it_to_another_port(void **state)
{
	struct fixture *f = *state;

	pull(f->keyboard);
	for (size_t i = 0; i < ARRAY_SIZE(serials); i++) {
		struct device *d = plug_keyboard(f, "1-1", serials[i].at_1);

		say(f, ROUTE_ATTACH, "keyboard", f->vm2);
		settle(f);
		d = move(f, d, "1-4", serials[i].at_4);
		assert_by(d, "vm2", "command");
		assert_stands(d, "vm2", "vm2", "exported");
		say(f, ROUTE_ASSIGN, "keyboard", f->vm1);
		settle(f);
		d = move(f, d, "1-1", serials[i].at_1);
		assert_by(d, "vm1", "assignment");
		assert_stands(d, "vm1", "vm1", "exported");
		say(f, ROUTE_ATTACH, "keyboard", NULL);
		settle(f);
		d = move(f, d, "1-4", serials[i].at_4);
		assert_by(d, "host", "command");
		say(f, ROUTE_UNASSIGN, "keyboard", NULL);
		settle(f);
		assert_by(d, "host", "default");
		say(f, ROUTE_RESERVE, "keyboard", NULL);
		settle(f);
		d = move(f, d, "1-1", serials[i].at_1);
		assert_stands(d, "host", "host", "claimed");
		say(f, ROUTE_UNRESERVE, "keyboard", NULL);
		settle(f);
		assert_stands(d, "host", "host", "present");
		pull(d);
	}
}

static void it_follows_over_restarts_and_while_its_vm_is_down(void **state)
{
	struct fixture *f = *state;
	char path[160];

	pull(f->keyboard);
	for (size_t i = 0; i < ARRAY_SIZE(serials); i++) {
		struct device *d = plug_keyboard(f, "1-1", serials[i].at_1);

		say(f, ROUTE_ATTACH, "keyboard", f->vm2);
		settle(f);
		begin_anew(f);
		d = plug_keyboard(f, "1-4", serials[i].at_4);
		started(f);
		vm_is(f->vm1, true);
		assert_by(d, "vm2", "command");
		d = move(f, d, "1-1", serials[i].at_1); /* vm2 is down yet */
		vm_is(f->vm2, true);
		settle(f);
		assert_stands(d, "vm2", "vm2", "exported");
		say(f, ROUTE_ASSIGN, "desk", f->vm1);
		settle(f);
		/* The host's boot: /run is empty. */
		snprintf(path, sizeof(path), "%s/run/wishes", f->folder);
		unlink(path);
		begin_anew(f);
		d = plug_keyboard(f, "1-4", serials[i].at_4);
		started(f);
		vm_is(f->vm1, true);
		vm_is(f->vm2, true);
		settle(f);
		assert_by(d, "vm1", "assignment");
		assert_stands(d, "vm1", "vm1", "exported");
		say(f, ROUTE_UNASSIGN, "desk", NULL);
		settle(f);
		pull(d);
	}
}

static void groups_and_rules_follow_it(void **state)
{
	struct fixture *f = *state;
	struct device *d = move(f, f->keyboard, "1-1", NULL);

	say(f, ROUTE_ATTACH, "desk", f->vm1);
	settle(f);
	d = move(f, d, "1-4", NULL);
	assert_stands(d, "vm1", "vm1", "exported");
	say(f, ROUTE_RELEASE, "desk", NULL);
	settle(f);
	assert_int_equal(reload_with(f, usual_config, "allow alias=keyboard to vm2 attach=auto\n"),
			 0);
	settle(f);
	d = move(f, d, "1-3", NULL);
	assert_stands(d, "vm2", "vm2", "exported");
	assert_int_equal(reload_with(f, with_work,
				     "allow alias=keyboard join=work\ndeny in=work to vm2\n"
				     "allow in=work to vm1 attach=auto\n"),
			 0);
	d = move(f, d, "1-2", NULL);
	assert_stands(d, "vm1", "vm1", "exported");
	say(f, ROUTE_ATTACH, "keyboard", f->vm2);
	assert_answer(f, ROUTE_DENIED, "deny in=work to vm2");
}

static void without_a_name_it_hangs_on_what_it_was_given_by(void **state)
{
	struct fixture *f = *state;
	struct device *d = plug_at(f, "1-2", 0x5555, "T1", 0);

	/* Id and serial: in any port. */
	say(f, ROUTE_ATTACH, "046d:5555", f->vm1);
	settle(f);
	pull(d);
	d = plug_at(f, "1-3", 0x5555, "T1", 0);
	settle(f);
	assert_stands(d, "vm1", "vm1", "exported");
	/* A serial that contains the port is none: id and port. */
	pull(d);
	d = plug_at(f, "1-3", 0x5555, "T-1-3", 0);
	say(f, ROUTE_ATTACH, "serial=T-1-3", f->vm2);
	settle(f);
	assert_true(file_says(f, "wishes", "port-id"));
	pull(d);
	d = plug_at(f, "1-4", 0x5555, "T-1-4", 0);
	settle(f);
	assert_by(d, "host", "default");
	pull(d);
	d = plug_at(f, "1-3", 0x5555, "T-1-3", 0);
	settle(f);
	assert_stands(d, "vm2", "vm2", "exported");
}

/* ------------------------------------------------------------- twins */

static void of_twins_the_one_that_had_it_keeps_it(void **state)
{
	struct fixture *f = *state;
	struct device *first, *second;

	pull(f->keyboard);
	for (size_t i = 0; i < ARRAY_SIZE(serials); i++) {
		first = plug_keyboard(f, "1-1", serials[i].at_1);
		say(f, ROUTE_ASSIGN, "keyboard", f->vm1);
		settle(f);
		second = plug_keyboard(f, "1-2", "SECOND");
		settle(f);
		assert_stands(first, "vm1", "vm1", "exported");
		assert_stands(second, "host", "host", "ambiguous");
		assert_reason(second, "ambiguous", "keyboard is the one in port 1-1");
		assert_reason(second, "ambiguous", "usbroutectl alias port=1-2 NAME");
		assert_null(device_alias(second));
		/* Either of them moves. */
		second = move(f, second, "1-3", "SECOND");
		assert_stands(second, "host", "host", "ambiguous");
		first = move(f, first, "1-4", serials[i].at_4);
		assert_stands(first, "vm1", "vm1", "exported");
		assert_stands(second, "host", "host", "ambiguous");
		/* The daemon, found in the other order. */
		begin_anew(f);
		second = plug_keyboard(f, "1-3", "SECOND");
		first = plug_keyboard(f, "1-4", serials[i].at_4);
		started(f);
		vm_is(f->vm1, true);
		vm_is(f->vm2, true);
		settle(f);
		assert_stands(first, "vm1", "vm1", "exported");
		assert_stands(second, "host", "host", "ambiguous");
		/* Gone for good: the other one is keyboard, and goes where keyboard goes. */
		pull(first);
		settle(f);
		assert_reason(second, "ambiguous", "just gone");
		say(f, ROUTE_ATTACH, "keyboard", f->vm2);
		assert_answer(f, ROUTE_DONE, "pending: keyboard is not plugged in");
		wait_for_names(f);
		assert_stands(second, "vm2", "vm2", "exported");
		first = plug_keyboard(f, "1-4", serials[i].at_4);
		settle(f);
		assert_stands(first, "host", "host", "ambiguous");
		say(f, ROUTE_UNASSIGN, "keyboard", NULL);
		settle(f);
		pull(second);
		pull(first);
		forget_bearers(f);
	}
}

static void of_twins_that_nobody_told_apart_neither_has_it(void **state)
{
	struct fixture *f = *state;
	struct route_subject subjects[ROUTE_SUBJECTS_MAX];
	static const char rule[] = "allow alias=keyboard to vm1 attach=auto\n";
	struct device *first, *second;
	const char *expected;
	size_t n;

	begin_anew(f);
	first = plug_at(f, "1-2", 0xc077, NULL, 0);
	second = plug_at(f, "1-3", 0xc077, NULL, 0);
	started(f);
	assert_int_equal(reload_with(f, usual_config, rule), 0);
	settle(f);
	assert_reason(first, "ambiguous", "none of them was mouse before");
	assert_reason(second, "ambiguous", "none of them was mouse before");
	assert_int_equal(subjects_resolve(&f->rooms.commands, "mouse", subjects, &n, &expected),
			 RESOLVE_AMBIGUOUS);
	/* Named by its port it can be had. */
	vm_is(f->vm1, true);
	say(f, ROUTE_ATTACH, "port=1-3", f->vm1);
	settle(f);
	assert_stands(second, "vm1", "vm1", "exported");
	/* A name of its own tells one of them, and then the other has the section's. */
	assert_int_equal(device_give_name(&the_fixture->rooms.commands, first, false, "left",
					  (char[200]){0}, 200),
			 0);
	assert_stands(first, "host", "host", "present");
	assert_string_equal(device_alias(first), "left");
	assert_string_equal(device_alias(second), "mouse");
}

static void what_forbids_the_name_forbids_the_other_twin_too(void **state)
{
	struct fixture *f = *state;
	struct device *second = plug_keyboard(f, "1-2", NULL);
	static const char with_vms[] = "[vm vm1]\n[vm vm2]\n[vm vm3]\n"
				       "[device keyboard]\nmatch = id=046d:c31c\nvms = vm1\n"
				       "[group desk]\ndevices = keyboard\n";

	assert_int_equal(reload_with(f, usual_config, "deny alias=keyboard to vm1\n"), 0);
	say(f, ROUTE_ATTACH, "port=1-2", f->vm1);
	assert_answer(f, ROUTE_DENIED, "deny alias=keyboard to vm1");
	assert_int_equal(reload_with(f, usual_config, "deny in=desk to vm1\n"), 0);
	say(f, ROUTE_ATTACH, "port=1-2", f->vm1);
	assert_answer(f, ROUTE_DENIED, "deny in=desk to vm1");
	assert_int_equal(
		reload_with(f, with_work, "allow alias=keyboard join=work\ndeny in=work to vm1\n"),
		0);
	say(f, ROUTE_ATTACH, "port=1-2", f->vm1);
	assert_answer(f, ROUTE_DENIED, "deny in=work to vm1");
	assert_int_equal(reload_with(f, usual_config, "allow alias=keyboard to vm1\n"), 0);
	say(f, ROUTE_ATTACH, "port=1-2", f->vm2);
	assert_answer(f, ROUTE_DENIED, "allow alias=keyboard to vm1");
	assert_int_equal(reload_with(f, with_vms, NULL), 0);
	say(f, ROUTE_ATTACH, "port=1-2", f->vm2);
	assert_answer(f, ROUTE_DENIED, "[device keyboard] vms");
	/* And what attracts the name does not attract it. */
	assert_int_equal(reload_with(f, usual_config, "allow in=desk to vm1 attach=auto\n"), 0);
	settle(f);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	assert_stands(second, "host", "host", "ambiguous");
}

static void a_twin_gets_a_name_of_its_own_and_keeps_it(void **state)
{
	struct fixture *f = *state;
	struct device *second = plug_keyboard(f, "1-2", NULL);
	char error[200];

	assert_int_equal(device_give_name(&the_fixture->rooms.commands, second, true, "second",
					  error, sizeof(error)),
			 0);
	say(f, ROUTE_ATTACH, "second", f->vm2);
	settle(f);
	assert_stands(second, "vm2", "vm2", "exported");
	pull(f->keyboard);
	f->keyboard = NULL;
	if (loop_watching(&f->rooms.devices.names.waits))
		wait_for_names(f);
	assert_string_equal(device_alias(second), "second");
	assert_stands(second, "vm2", "vm2", "exported");
	/* What is said by the other name is not about it. */
	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	assert_answer(f, ROUTE_DONE, "pending: keyboard is not plugged in");
	assert_stands(second, "vm2", "vm2", "exported");
}

static void a_port_that_is_switched_off_keeps_the_name(void **state)
{
	struct fixture *f = *state;
	struct device *second = plug_keyboard(f, "1-2", NULL);
	char error[200];

	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	settle(f);
	assert_int_equal(port_off_add(f->keyboard, false, error, sizeof(error)), 0);
	assert_int_equal(port_off_confirm(&f->rooms.devices, "1-1"), 0);
	pull(f->keyboard);
	assert_false(loop_watching(&f->rooms.devices.names.waits));
	assert_reason(second, "ambiguous", "keyboard is the one in port 1-1");
	f->keyboard = plug_keyboard(f, "1-1", "S1");
	settle(f);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	assert_stands(second, "host", "host", "ambiguous");
}

static void twins_with_serials_swap_their_ports(void **state)
{
	struct fixture *f = *state;
	struct device *second = plug_keyboard(f, "1-2", "S2");

	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	settle(f);
	pull(f->keyboard);
	pull(second);
	second = plug_keyboard(f, "1-1", "S2");
	settle(f);
	assert_stands(second, "host", "host", "ambiguous");
	f->keyboard = plug_keyboard(f, "1-2", "S1");
	settle(f);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	assert_stands(second, "host", "host", "ambiguous");
	assert_false(loop_watching(&f->rooms.devices.names.waits));
}

/* ------------------------------------------------------------- names by command */

static void a_name_by_command_follows_a_device_without_a_serial(void **state)
{
	struct fixture *f = *state;
	struct device *d = plug_at(f, "1-2", 0x5555, NULL, 0), *other;
	struct device *left, *right;
	char error[200];

	assert_int_equal(device_give_name(&the_fixture->rooms.commands, d, false, "stick", error,
					  sizeof(error)),
			 0);
	say(f, ROUTE_ASSIGN, "stick", f->vm1);
	settle(f);
	pull(d);
	d = plug_at(f, "1-3", 0x5555, NULL, 0);
	settle(f);
	assert_stands(d, "vm1", "vm1", "exported");
	/* And from there, over a restart; and what is plugged into the old port is another one. */
	other = plug_at(f, "1-2", 0x5555, NULL, 0);
	settle(f);
	assert_stands(other, "host", "host", "present");
	assert_null(device_alias(other));
	begin_anew(f);
	other = plug_at(f, "1-2", 0x5555, NULL, 0);
	d = plug_at(f, "1-3", 0x5555, NULL, 0);
	started(f);
	vm_is(f->vm1, true);
	settle(f);
	assert_stands(d, "vm1", "vm1", "exported");
	/* The other one never becomes stick. */
	pull(d);
	assert_null(device_alias(other));
	assert_int_equal(device_give_name(&the_fixture->rooms.commands, other, false, "other",
					  error, sizeof(error)),
			 0);
	d = plug_at(f, "1-4", 0x5555, NULL, 0);
	settle(f);
	assert_string_equal(device_alias(d), "stick");
	assert_string_equal(device_alias(other), "other");
	/* Both away, and one of them back in a third port: it may be either. */
	pull(d);
	pull(other);
	left = plug_at(f, "1-5", 0x5555, NULL, 0);
	assert_null(device_alias(left));
	right = plug_at(f, "1-4", 0x5555, NULL, 0);
	assert_string_equal(device_alias(right), "stick");
	assert_string_equal(device_alias(left), "other");
	/* A name is taken away from the device that has it, wherever it was given. */
	assert_int_equal(device_give_name(&the_fixture->rooms.commands, left, false, NULL, error,
					  sizeof(error)),
			 0);
	assert_null(device_alias(left));
	say(f, ROUTE_UNDO, NULL, NULL);
	assert_string_equal(device_alias(left), "other");
}

/* ------------------------------------------------------------- the book */

static void a_port_s_wish_is_forgotten_by_detach(void **state)
{
	struct fixture *f = *state;
	static const char rule[] = "allow id=046d:6666 to vm2 attach=auto\n";
	struct device *d = plug_at(f, "1-2", 0x5555, NULL, 0);

	assert_int_equal(reload_with(f, usual_config, rule), 0);
	say(f, ROUTE_ATTACH, "port=1-2", f->vm1);
	settle(f);
	say(f, ROUTE_ATTACH, "port=1-2", NULL);
	settle(f);
	assert_answer(f, ROUTE_DONE, "vm1 -> host");
	assert_false(file_says(f, "wishes", "usb2:2"));
	assert_stands(d, "host", "host", "present");
	pull(d);
	/* The next one there is not held. */
	d = plug_at(f, "1-2", 0x6666, NULL, 0);
	settle(f);
	assert_stands(d, "vm2", "vm2", "exported");
	/* This one is, since a rule would have it elsewhere; the next is not. */
	say(f, ROUTE_ATTACH, "port=1-2", NULL);
	settle(f);
	assert_by(d, "host", "command");
	pull(d);
	d = plug_at(f, "1-2", 0x7777, NULL, 0);
	assert_by(d, "host", "default");
	say(f, ROUTE_UNDO, NULL, NULL);
	pull(d);
	d = plug_at(f, "1-2", 0x6666, NULL, 0);
	settle(f);
	assert_stands(d, "vm2", "vm2", "exported");
}

static void a_section_that_goes_takes_its_name_along_and_brings_it_back(void **state)
{
	struct fixture *f = *state;
	static const char without[] = "[vm vm1]\n[vm vm2]\n[vm vm3]\n";
	static const char renamed[] = "[vm vm1]\n[vm vm2]\n[vm vm3]\n"
				      "[device board]\nmatch = id=046d:c31c\n";
	struct device *second = plug_keyboard(f, "1-2", NULL);

	say(f, ROUTE_ASSIGN, "keyboard", f->vm1);
	settle(f);
	assert_int_equal(reload_with(f, without, NULL), 0);
	settle(f);
	assert_stands(f->keyboard, "host", "host", "present");
	assert_true(file_says(f, "assignments", "keyboard"));
	assert_int_equal(reload_with(f, renamed, NULL), 0);
	settle(f);
	/* Two that match, and none was board before. */
	assert_reason(f->keyboard, "ambiguous", "board");
	assert_int_equal(reload_with(f, usual_config, NULL), 0);
	settle(f);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	assert_stands(second, "host", "host", "ambiguous");
}

static void of_two_sections_the_first_names_it(void **state)
{
	struct fixture *f = *state;
	static const char two[] = "[vm vm1]\n[vm vm2]\n[vm vm3]\n"
				  "[device any]\nmatch = class=hid.keyboard\n"
				  "[device mine]\nmatch = serial=S?\n";
	char why[300];

	assert_int_equal(reload_with(f, two, NULL), 0);
	assert_string_equal(device_alias(f->keyboard), "any");
	device_name_why_absent(&f->rooms.devices, "mine", why, sizeof(why));
	assert_non_null(strstr(why, "[device any] does so before"));
	say(f, ROUTE_ATTACH, "mine", f->vm1);
	assert_answer(f, ROUTE_DONE, "pending: ");
	assert_by(f->keyboard, "host", "default");
}

static void rolled_back_it_is_by_name_as_before(void **state)
{
	struct fixture *f = *state;
	struct device *d;

	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	settle(f);
	say(f, ROUTE_ATTACH, "keyboard", f->vm2);
	taken(f->keyboard);
	claimed(f->keyboard, -EIO, "no");
	settle(f);
	assert_by(f->keyboard, "vm1", "command");
	d = move(f, f->keyboard, "1-3", NULL);
	assert_by(d, "vm1", "command");
	say_with(f, (struct route_ask){.vm = f->vm2, .until_unplug = true}, "keyboard");
	settle(f);
	assert_by(d, "vm2", "command");
	d = move(f, d, "1-4", NULL);
	assert_by(d, "host", "default");
	/* The hot key means the name, too. */
	route_switch_next(&f->rooms.commands, d, "the test");
	settle(f);
	d = move(f, d, "1-2", NULL);
	assert_by(d, "vm1", "command");
	hotkey_struck(&f->rooms.commands, d, HOTKEY_PANIC);
	settle(f);
	assert_stands(d, "host", "host", "present");
	d = move(f, d, "1-1", "S9");
	assert_by(d, "host", "command");
}

/* The daemon starts anew, and finds the keyboard in port 1-1, once more plugged in or not. */
static struct device *found_anew(struct fixture *f, struct device *d, bool replugged)
{
	struct guest_device *gd = thread_of(d);

	f->rooms.core.stopping = true;
	unplug(d);
	if (gd)
		drop(gd);
	begin_anew(f);
	f->devnum += replugged;
	d = plug_at(f, "1-1", 0xc31c, "S1", keyboard_classes);
	started(f);
	vm_is(f->vm1, true);
	vm_is(f->vm2, true);
	settle(f);
	return d;
}

static void an_unplugging_that_nobody_saw_ends_a_wish(void **state)
{
	struct fixture *f = *state;
	struct device *d = f->keyboard;

	for (unsigned named = 0; named < 2; named++) {
		say_with(f, (struct route_ask){.vm = f->vm2, .until_unplug = true},
			 named ? "keyboard" : "port=1-1");
		settle(f);
		assert_by(d, "vm2", "command");
		d = found_anew(f, d, false);
		assert_by(d, "vm2", "command");
		d = found_anew(f, d, true);
		assert_by(d, "host", "default");
	}
	/* Of one that does not end, it is no matter. */
	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	settle(f);
	assert_by(found_anew(f, d, true), "vm1", "command");
}

/* What was to come yet has no number until it comes. */
static void a_wish_for_what_comes_ends_with_its_unplugging(void **state)
{
	struct fixture *f = *state;
	struct device *d;

	pull(f->keyboard);
	say_with(f, (struct route_ask){.vm = f->vm2, .until_unplug = true}, "keyboard");
	d = plug_keyboard(f, "1-1", "S1");
	settle(f);
	assert_by(d, "vm2", "command");
	d = found_anew(f, d, false);
	assert_by(d, "vm2", "command");
	d = found_anew(f, d, true);
	assert_by(d, "host", "default");
}

static void write_old(struct fixture *f, const char *name, const char *text)
{
	char path[160];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void an_older_version_s_wish_hangs_on_the_name_by_now(void **state)
{
	struct fixture *f = *state;
	struct device *d, *mouse;

	pull(f->keyboard);
	begin_anew(f);
	write_old(f, "state/assignments",
		  "V1\tvm1\tport-id\t046d:c31c\t\t0000:00:14.0/usb2:1\n"
		  "V1\tvm2\tserial\t046d:5555\tT1\t0000:00:14.0/usb2:2\n"
		  "V1\tvm2\talias\t\tprivate\t\n");
	write_old(f, "run/wishes",
		  "V2\tvm2\tserial\t046d:c077\tM1\t0000:00:14.0/usb2:3\t\tunplug\n");
	write_old(f, "state/names", "V1\tstick\tport-id\t046d:7777\t\t0000:00:14.0/usb2:4\n");
	begin_anew(f);
	mouse = plug_at(f, "1-3", 0xc077, "M1", 0);
	d = plug_keyboard(f, "1-1", NULL);
	plug_at(f, "1-4", 0x7777, "TWIN", 0);
	started(f);
	vm_is(f->vm1, true);
	vm_is(f->vm2, true);
	settle(f);
	assert_stands(d, "vm1", "vm1", "exported");
	assert_stands(mouse, "vm2", "vm2", "exported");
	assert_true(file_says(f, "assignments", "V3\tvm1\tname\t\tkeyboard"));
	/* Of a device that is not there, as it was. */
	assert_true(file_says(f, "assignments", "V1\tvm2\tserial\t046d:5555\tT1"));
	d = move(f, d, "1-2", NULL);
	assert_stands(d, "vm1", "vm1", "exported");
	pull(mouse);
	assert_false(file_says(f, "wishes", "vm2"));
	assert_by(plug_at(f, "1-6", 0x5555, "T1", 0), "vm2", "assignment");
	assert_by(plug_at(f, "1-7", 0x2222, NULL, 0), "vm2", "assignment");
	say(f, ROUTE_ATTACH, "stick", f->vm1);
	settle(f);
	assert_answer(f, ROUTE_DONE, "stick: host -> vm1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_said_by_name_follows_it_to_another_port),
		T(it_follows_over_restarts_and_while_its_vm_is_down),
		T(groups_and_rules_follow_it),
		T(without_a_name_it_hangs_on_what_it_was_given_by),
		T(of_twins_the_one_that_had_it_keeps_it),
		T(of_twins_that_nobody_told_apart_neither_has_it),
		T(what_forbids_the_name_forbids_the_other_twin_too),
		T(a_twin_gets_a_name_of_its_own_and_keeps_it),
		T(a_port_that_is_switched_off_keeps_the_name),
		T(twins_with_serials_swap_their_ports),
		T(a_name_by_command_follows_a_device_without_a_serial),
		T(a_port_s_wish_is_forgotten_by_detach),
		T(a_section_that_goes_takes_its_name_along_and_brings_it_back),
		T(of_two_sections_the_first_names_it),
		T(rolled_back_it_is_by_name_as_before),
		T(an_unplugging_that_nobody_saw_ends_a_wish),
		T(a_wish_for_what_comes_ends_with_its_unplugging),
		T(an_older_version_s_wish_hangs_on_the_name_by_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
