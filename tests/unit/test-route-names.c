/* SPDX-License-Identifier: BSD-2-Clause */
/* Names that are given by command, and devices that nothing but their ports tells apart. */
#include "tests/unit/route-fixture.h"

#include <string.h>

#include "daemon/commands/device_name.h"

static char error[200];

static int name(struct device *d, const char *text)
{
	return device_give_name(&the_fixture->rooms.commands, d, false, text, error, sizeof(error));
}

static struct device *find(struct fixture *f, const char *text)
{
	struct route_subject subjects[ROUTE_SUBJECTS_MAX];
	const char *expected;
	size_t n;

	assert_int_equal(subjects_resolve(&f->rooms.commands, text, subjects, &n, &expected), 0);
	assert_int_equal(n, 1);
	return subjects[0].device;
}

static void a_name_by_command_survives(void **state)
{
	struct fixture *f = *state;
	struct device *stick = plug_at(f, "1-2", 0x5555, "T1", 0);

	assert_int_equal(name(stick, "stick"), 0);
	assert_ptr_equal(find(f, "stick"), stick);
	assert_string_equal(stick->tag, "stick");
	begin_anew(f);
	plug(f, "S1");
	stick = plug_at(f, "1-3", 0x5555, "T1", 0); /* in another port */
	started(f);
	assert_ptr_equal(find(f, "stick"), stick);
	unplug(stick);
	assert_null(find(f, "stick")); /* known, and not there */
	say(f, ROUTE_ATTACH, "stick", f->vm1);
	assert_answer(f, ROUTE_DONE, "pending: stick is not plugged in");
	stick = plug_at(f, "1-2", 0x5555, "T1", 0);
	assert_by(stick, "vm1", "command");
	assert_int_equal(name(stick, NULL), 0);
	assert_null(device_alias(stick));
}

static void twins_are_told_apart_by_port(void **state)
{
	struct fixture *f = *state;
	struct device *left = plug_at(f, "1-2", 0x5555, NULL, 0);
	struct device *right = plug_at(f, "1-3", 0x5555, NULL, 0);

	assert_int_equal(name(left, "left"), 0);
	assert_int_equal(name(right, "right"), 0);
	assert_ptr_equal(find(f, "left"), left);
	assert_ptr_equal(find(f, "right"), right);
	say(f, ROUTE_ATTACH, "left", f->vm1);
	say(f, ROUTE_ATTACH, "right", f->vm2);
	settle(f);
	assert_stands(left, "vm1", "vm1", "exported");
	assert_stands(right, "vm2", "vm2", "exported");
}

static void two_of_one_serial_are_told_apart_by_port(void **state)
{
	struct fixture *f = *state;
	struct device *left = plug_at(f, "1-2", 0x5555, "SAME", 0);
	struct device *right = plug_at(f, "1-3", 0x5555, "SAME", 0);

	say(f, ROUTE_ATTACH, "port=1-2", f->vm1);
	settle(f);
	assert_stands(left, "vm1", "vm1", "exported");
	assert_stands(right, "host", "host", "present");
	say(f, ROUTE_ASSIGN, "port=0000:00:14.0/usb2:3", f->vm2);
	settle(f);
	assert_stands(left, "vm1", "vm1", "exported");
	assert_stands(right, "vm2", "vm2", "exported");
	assert_int_equal(name(left, "left"), 0);
	assert_ptr_equal(find(f, "left"), left);
	assert_null(device_alias(right));
}

/* Alone it was known by its serial; a twin that comes inherits nothing. */
static void a_twin_inherits_nothing(void **state)
{
	struct fixture *f = *state;
	struct device *first = plug_at(f, "1-2", 0x5555, "SAME", 0), *second;

	say(f, ROUTE_ATTACH, "serial=SAME", f->vm1);
	assert_int_equal(name(first, "first"), 0);
	settle(f);
	second = plug_at(f, "1-3", 0x5555, "SAME", 0);
	settle(f);
	assert_stands(second, "host", "host", "present");
	assert_null(device_alias(second));
	assert_stands(first, "vm1", "vm1", "exported");
	assert_string_equal(device_alias(first), "first");
}

/* Nor when the one that it was said of has gone, and it is the only one of that serial. */
static void a_twin_that_stays_inherits_nothing(void **state)
{
	struct fixture *f = *state;
	struct device *first = plug_at(f, "1-2", 0x5555, "SAME", 0), *second;

	say(f, ROUTE_ASSIGN, "serial=SAME", f->vm1);
	second = plug_at(f, "1-3", 0x5555, "SAME", 0);
	unplug(first);
	assert_by(second, "host", "default");
	say(f, ROUTE_RELEASE, "port=1-3", NULL);
	first = plug_at(f, "1-2", 0x5555, "SAME", 0);
	assert_by(first, "vm1", "assignment");
	assert_by(second, "host", "default");
	/* What is said of it alone is about it. */
	unplug(first);
	say(f, ROUTE_ASSIGN, "serial=SAME", f->vm2);
	assert_by(second, "vm2", "assignment");
	unplug(second);
	second = plug_at(f, "1-4", 0x5555, "SAME", 0);
	assert_by(second, "vm2", "assignment");
}

/* Nor when the daemon was started anew meanwhile; plugged in again, it is known by its serial. */
static void a_twin_that_was_seen_before_inherits_nothing(void **state)
{
	struct fixture *f = *state;
	struct device *first, *second;

	unplug(f->keyboard);
	first = plug_at(f, "1-2", 0x5555, "SAME", 0);
	say(f, ROUTE_ASSIGN, "serial=SAME", f->vm1);
	plug_at(f, "1-3", 0x5555, "SAME", 0);
	unplug(first);
	for (unsigned again = 0; again < 2; again++) {
		begin_anew(f);
		second = plug_at(f, "1-3", 0x5555, "SAME", 0);
		started(f);
		assert_by(second, "host", "default");
	}
	begin_anew(f);
	f->devnum++;
	second = plug_at(f, "1-3", 0x5555, "SAME", 0);
	started(f);
	assert_by(second, "vm1", "assignment");
}

/* A name can be taken away though its device is not there, or is called otherwise. */
static void a_name_is_taken_from_what_is_not_there(void **state)
{
	struct fixture *f = *state;
	struct device *stick = plug_at(f, "1-2", 0x5555, "T1", 0);
	char why[300];

	assert_int_equal(name(f->keyboard, NULL), NAME_TAKEN);
	assert_non_null(strstr(error, "the configuration calls it keyboard"));
	assert_int_equal(name(stick, "stick"), 0);
	assert_int_equal(reload_with(f,
				     "[vm vm1]\n[vm vm2]\n[vm vm3]\n"
				     "[device first]\nmatch = id=046d:5555\n",
				     NULL),
			 0);
	assert_string_equal(device_alias(stick), "first");
	assert_true(device_name_why_absent(&f->rooms.devices, "stick", why, sizeof(why)));
	assert_string_equal(why, "the one in port 1-2, which was given that name, is called first");
	say(f, ROUTE_ATTACH, "stick", f->vm1);
	assert_answer(f, ROUTE_DONE, "pending: stick goes to vm1 once a device is called that");
	assert_int_equal(device_forget_name(&f->rooms.commands, "stick", error, sizeof(error)), 0);
	assert_false(device_name_exists(&f->rooms.devices, "stick"));
	assert_int_equal(device_forget_name(&f->rooms.commands, "first", error, sizeof(error)),
			 NAME_TAKEN);
	say(f, ROUTE_UNDO, NULL, NULL);
	assert_true(device_name_exists(&f->rooms.devices, "stick"));
}

static void names_of_the_configuration_win(void **state)
{
	struct fixture *f = *state;
	struct device *stick = plug_at(f, "1-2", 0x5555, "T1", 0);

	assert_int_equal(name(f->keyboard, "board"), NAME_TAKEN);
	assert_non_null(strstr(error, "the configuration calls it keyboard"));
	assert_int_equal(name(stick, "keyboard"), NAME_TAKEN);
	assert_int_equal(name(stick, "desk"), NAME_TAKEN);
	assert_non_null(strstr(error, "group"));
	assert_null(device_alias(stick));
	assert_string_equal(f->rooms.books.undo_text, "");
	assert_int_equal(name(stick, "stick"), 0);
	/* A configuration that comes later has it for something else. */
	assert_int_equal(reload_with(f, "[vm vm1]\n[device stick]\nmatch = id=0001:0002\n", NULL),
			 0);
	assert_null(device_alias(stick));
	assert_null(find(f, "stick"));
	assert_int_equal(reload_with(f, usual_config, NULL), 0);
	assert_ptr_equal(find(f, "stick"), stick);
}

static void a_name_moves_over_and_what_is_wished_for_it_too(void **state)
{
	struct fixture *f = *state;
	struct device *old = plug_at(f, "1-2", 0x5555, "T1", 0), *new;

	assert_int_equal(name(old, "stick"), 0);
	unplug(old);
	say(f, ROUTE_ATTACH, "stick", f->vm1);
	assert_true(file_says(f, "wishes", "stick"));
	new = plug_at(f, "1-3", 0x6666, "T2", 0);
	settle(f);
	assert_by(new, "host", "default");
	assert_int_equal(name(new, "stick"), 0);
	settle(f);
	assert_stands(new, "vm1", "vm1", "exported");
	old = plug_at(f, "1-2", 0x5555, "T1", 0);
	assert_null(device_alias(old));
	assert_by(old, "host", "default");
	/* Undone it is the old one's again, and so is the wish. */
	say(f, ROUTE_UNDO, NULL, NULL);
	settle(f);
	assert_ptr_equal(find(f, "stick"), old);
	assert_stands(old, "vm1", "vm1", "exported");
	assert_stands(new, "host", "host", "present");
}

static void another_device_in_the_port_inherits_nothing(void **state)
{
	struct fixture *f = *state;
	struct device *d = plug_at(f, "1-2", 0x5555, NULL, 0);
	struct guest_device *gd;

	say(f, ROUTE_ATTACH, "046d:5555", f->vm1);
	unplug(d);
	d = plug_at(f, "1-2", 0x6666, NULL, 0);
	settle(f);
	assert_stands(d, "host", "host", "present");
	/* But from what was said of the port itself. */
	say(f, ROUTE_ATTACH, "port=1-2", f->vm2);
	settle(f);
	gd = thread_of(d);
	unplug(d);
	drop(gd);
	d = plug_at(f, "1-2", 0x7777, NULL, 0);
	settle(f);
	assert_stands(d, "vm2", "vm2", "exported");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_name_by_command_survives),
		T(twins_are_told_apart_by_port),
		T(two_of_one_serial_are_told_apart_by_port),
		T(a_twin_inherits_nothing),
		T(a_twin_that_stays_inherits_nothing),
		T(a_twin_that_was_seen_before_inherits_nothing),
		T(a_name_is_taken_from_what_is_not_there),
		T(names_of_the_configuration_win),
		T(a_name_moves_over_and_what_is_wished_for_it_too),
		T(another_device_in_the_port_inherits_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
