/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices of which only shows when they are claimed, or later, that they are keyboards: what was
 * decided of them is decided again.
 */
#include "tests/unit/route-fixture.h"

#include <stdio.h>
#include <string.h>

#include "daemon/devices/device_hid.h"
#include "policy/decision.h"
#include "policy/usb_class.h"
#include "usb/hid_found.h"

#define DENY "deny class=hid.keyboard to vm1\n"

/* 03/00/00, and no driver of the host has read its report descriptor. */
static struct device *plug_unknown(struct fixture *f)
{
	struct device *d = plug_at(f, "1-5", 0x5555, NULL, 1u << USB_CLASS_HID);

	d->info.num_interfaces = 1;
	d->info.interfaces[0].interface_class = 3;
	return d;
}

static struct hid_found keyboard_on(uint8_t interface)
{
	struct hid_found found = {};

	found.kinds[HID_BY_REPORTS][interface] = HID_KEYBOARD;
	return found;
}

/* A guest's thread tells, as when it has claimed a device. */
static void shows_keyboard(struct device *d)
{
	const struct hid_found found = keyboard_on(1);

	thread_of(d)->events->hid(thread_of(d)->ctx, &found);
	turn_ends();
}

static void goes_home(struct device *d)
{
	assert_true(thread_of(d)->taking && thread_of(d)->close_it);
	taken(d);
	drivers_probe(d, 0);
	assert_stands(d, "host", "host", "present");
	assert_false(asks_open(d));
}

static void begin_with(struct fixture *f, const char *rules)
{
	assert_int_equal(reload_with(f, usual_config, rules), 0);
}

static void a_denied_keyboard_does_not_reach_the_guest(void **state)
{
	struct fixture *f = *state;
	struct device *d;

	begin_with(f, DENY);
	d = plug_unknown(f);
	say(f, ROUTE_ATTACH, "046d:5555", f->vm1);
	node_opens(d, 0);
	shows_keyboard(d);
	assert_int_equal(f->answers, 1);
	assert_answer(f, ROUTE_DENIED, "policy.d/test.rules:1: deny class=hid.keyboard");
	assert_false(file_says(f, "wishes", "vm1"));
	claimed(d, 0, NULL);
	assert_false(route_exported_to(d, f->vm1));
	goes_home(d);
	/* It is known now. */
	say(f, ROUTE_ATTACH, "046d:5555", f->vm1);
	assert_answer(f, ROUTE_DENIED, "policy.d/test.rules:1: deny class=hid.keyboard");
	say(f, ROUTE_ATTACH, "046d:5555", f->vm2);
	settle(f);
	assert_stands(d, "vm2", "vm2", "exported");
}

static void one_that_is_denied_and_all_of_a_group_go_back(void **state)
{
	struct fixture *f = *state;
	struct device *mouse;

	begin_with(f, "deny class=hid.keyboard product=none to vm1\ndeny class=hid.mouse to vm1\n");
	mouse = plug_at(f, "1-2", 0xc077, "M1", 1u << USB_CLASS_HID);
	say(f, ROUTE_ATTACH, "desk", f->vm1);
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, 0, NULL);
	node_opens(mouse, 0);
	{
		struct hid_found found = {};

		found.kinds[HID_BY_REPORTS][0] = HID_POINTER;
		thread_of(mouse)->events->hid(thread_of(mouse)->ctx, &found);
	}
	assert_answer(f, ROUTE_DENIED, "policy.d/test.rules:2: deny class=hid.mouse");
	claimed(mouse, 0, NULL);
	settle(f);
	assert_stands(f->keyboard, "host", "host", "present");
	assert_stands(mouse, "host", "host", "present");
}

static void what_a_rule_brought_goes_back_and_stays(void **state)
{
	struct fixture *f = *state;
	struct device *d;

	begin_with(f, DENY "allow class=hid id=046d:5555 to vm1 attach=auto\n");
	d = plug_unknown(f);
	node_opens(d, 0);
	shows_keyboard(d);
	claimed(d, 0, NULL);
	goes_home(d);
	/* The host's driver has it, and tells no more than is known. */
	device_known_anew(d);
	assert_false(asks_open(d));
}

/* Its guest has set another configuration. */
static void it_leaves_a_guest_that_has_it(void **state)
{
	struct fixture *f = *state;
	struct device *d;

	begin_with(f, DENY);
	d = plug_unknown(f);
	say(f, ROUTE_ATTACH, "046d:5555", f->vm1);
	settle(f);
	imports(d, f->vm1);
	assert_stands(d, "vm1", "vm1", "attached");
	shows_keyboard(d);
	assert_true(thread_of(d)->taking);
	assert_false(route_exported_to(d, f->vm1));
	thread_of(d)->events->session_ended(thread_of(d)->ctx, 0, "");
	taken(d);
	drivers_probe(d, 0);
	assert_stands(d, "vm1", "host", "denied");
}

/* The host's driver comes after the device's own event. */
static void a_rule_finds_it_when_it_shows(void **state)
{
	struct fixture *f = *state;
	const struct hid_found found = keyboard_on(0);
	struct device *d;

	begin_with(f, "allow class=hid.keyboard id=046d:5555 to vm2 attach=auto join=desk\n");
	d = plug_unknown(f);
	assert_false(asks_open(d));
	assert_true(device_hid_add(d, &found));
	assert_false(device_hid_add(d, &found));
	device_known_anew(d);
	settle(f);
	assert_stands(d, "vm2", "vm2", "exported");
}

/* The host's last keyboard is not taken by a rule, however late it shows that it is one. */
static void a_rule_spares_it(void **state)
{
	struct fixture *f = *state;
	const struct hid_found found = keyboard_on(0);
	struct device *d;

	f->other_keyboards = 0;
	begin_with(f, "allow class=hid.keyboard id=046d:5555 to vm2 attach=auto\n");
	say(f, ROUTE_ASSIGN, "keyboard", f->vm1);
	settle(f);
	d = plug_unknown(f);
	device_hid_add(d, &found);
	device_known_anew(d);
	assert_false(asks_open(d));
	say(f, ROUTE_ATTACH, "046d:5555", f->vm2);
	assert_answer(f, ROUTE_BUSY, "it is the host's last keyboard");
}

/* A section that matches by class names it when it shows. */
static void it_has_the_name_that_it_should(void **state)
{
	struct fixture *f = *state;
	const struct hid_found found = keyboard_on(0);
	struct device *d;

	assert_int_equal(reload_with(f,
				     "[vm vm1]\n[vm vm2]\n[vm vm3]\n"
				     "[device typist]\nmatch = class=hid.keyboard id=046d:5555\n",
				     NULL),
			 0);
	d = plug_unknown(f);
	assert_null(device_alias(d));
	assert_true(device_hid_add(d, &found));
	device_known_anew(d);
	assert_string_equal(device_alias(d), "typist");
}

static void in_vm1_it_is(struct fixture *f, struct device *d, const char *name)
{
	say(f, ROUTE_ATTACH, name, f->vm1);
	settle(f);
	imports(d, f->vm1);
	f->answers = 0;
}

/* The chord was struck on what is no keyboard by its protocol: it comes home, and so does a tablet
 * that is one by its reports; a device of which nobody knows anything stays. */
static void panic_brings_home_what_it_was_struck_on(void **state)
{
	struct fixture *f = *state;
	struct device *keyboard = plug_unknown(f), *other, *tablet;
	struct hid_found points = {};

	other = plug_at(f, "1-6", 0x6666, NULL, 1u << USB_CLASS_HID);
	tablet = plug_at(f, "1-7", 0x7777, NULL, 1u << USB_CLASS_HID);
	in_vm1_it_is(f, keyboard, "046d:5555");
	in_vm1_it_is(f, other, "046d:6666");
	in_vm1_it_is(f, tablet, "046d:7777");
	points.kinds[HID_BY_REPORTS][0] = HID_POINTER;
	thread_of(tablet)->events->hid(thread_of(tablet)->ctx, &points);
	thread_of(keyboard)->events->hotkey(thread_of(keyboard)->ctx, HOTKEY_PANIC);
	settle(f);
	assert_stands(keyboard, "host", "host", "present");
	assert_stands(tablet, "host", "host", "present");
	assert_stands(other, "vm1", "vm1", "attached");
}

/* Once it shows what it is, panic on another keyboard brings it home. */
static void panic_brings_home_what_shows_to_be_one(void **state)
{
	struct fixture *f = *state;
	struct device *d = plug_unknown(f);

	in_vm1_it_is(f, d, "046d:5555");
	in_vm1_it_is(f, f->keyboard, "keyboard");
	shows_keyboard(d);
	thread_of(f->keyboard)->events->hotkey(thread_of(f->keyboard)->ctx, HOTKEY_PANIC);
	settle(f);
	assert_stands(d, "host", "host", "present");
	assert_stands(f->keyboard, "host", "host", "present");
}

/* However many keyboards there are beside it. */
static void panic_brings_home_the_one_in_hand(void **state)
{
	struct fixture *f = *state;
	struct device *d;

	for (unsigned i = 0; i < ROUTE_SUBJECTS_MAX; i++) {
		char busid[16], id[16];

		snprintf(busid, sizeof(busid), "2-%u", i + 1);
		snprintf(id, sizeof(id), "046d:%04x", 0x7000 + i);
		plug_at(f, busid, (uint16_t)(0x7000 + i), NULL,
			1u << USB_CLASS_HID | 1u << USB_CLASS_HID_KEYBOARD);
		say(f, ROUTE_ASSIGN, id, f->vm3);
		f->answers = 0;
	}
	d = plug_unknown(f);
	in_vm1_it_is(f, d, "046d:5555");
	thread_of(d)->events->hotkey(thread_of(d)->ctx, HOTKEY_PANIC);
	settle(f);
	assert_stands(d, "host", "host", "present");
}

#define RIGHTS                                       \
	"allow class=storage to vm1,vm2 user=1000\n" \
	"deny class=hid.keyboard user=1000\n"

/* A stick, and of which nobody knows yet what its HID interface is. */
static struct device *plug_stick(struct fixture *f)
{
	struct device *d = plug_unknown(f);

	d->info.num_interfaces = 2;
	d->info.interfaces[1].interface_class = 8;
	device_classes_anew(d);
	return d;
}

static void alice_says(struct fixture *f, const char *what, struct vm *vm, bool waits)
{
	const struct policy_caller alice = {.uid = 1000};

	say_with(f,
		 (struct route_ask){
			 .verb = ROUTE_ATTACH, .vm = vm, .has_wait = !waits, .caller = &alice},
		 what);
}

/* A right by class is as much as the device is of the class, and nothing that is denied. */
static void a_user_gets_no_keyboard_by_a_right_to_sticks(void **state)
{
	struct fixture *f = *state;
	struct device *d;

	begin_with(f, RIGHTS);
	d = plug_stick(f);
	alice_says(f, "046d:5555", f->vm1, true);
	assert_true(file_says(f, "wishes", "V4\tvm1"));
	node_opens(d, 0);
	shows_keyboard(d);
	assert_answer(f, ROUTE_DENIED,
		      "your user: policy.d/test.rules:2: deny class=hid.keyboard user=1000");
	assert_false(file_says(f, "wishes", "vm1"));
	claimed(d, 0, NULL);
	goes_home(d);
	/* Who may do all has it there. */
	say(f, ROUTE_ATTACH, "046d:5555", f->vm1);
	settle(f);
	assert_stands(d, "vm1", "vm1", "exported");
	assert_false(file_says(f, "wishes", "V4"));
}

/* Nobody waits for the answer any more, and the guest has it. */
static void what_a_user_was_answered_is_taken_back(void **state)
{
	struct fixture *f = *state;
	struct device *d;

	begin_with(f, RIGHTS);
	d = plug_stick(f);
	alice_says(f, "046d:5555", f->vm1, true);
	settle(f);
	imports(d, f->vm1);
	assert_stands(d, "vm1", "vm1", "attached");
	shows_keyboard(d);
	assert_true(thread_of(d)->taking);
	assert_false(route_exported_to(d, f->vm1));
	taken(d);
	drivers_probe(d, 0);
	assert_stands(d, "host", "host", "present");
	assert_false(file_says(f, "wishes", "vm1"));
}

/* Who was there before gets it back: that wish is somebody else's. */
static void what_was_wished_before_holds_again(void **state)
{
	struct fixture *f = *state;
	struct device *d;

	begin_with(f, RIGHTS);
	d = plug_stick(f);
	vm_is(f->vm2, false);
	say(f, ROUTE_ASSIGN, "046d:5555", f->vm2);
	alice_says(f, "046d:5555", f->vm1, true);
	node_opens(d, 0);
	shows_keyboard(d);
	claimed(d, 0, NULL);
	assert_by(d, "vm2", "assignment");
}

/* A restart does not make a wish anybody's, and a name no other device's. */
static void a_wish_stays_who_said_it(void **state)
{
	struct fixture *f = *state;
	struct device *d;

	begin_with(f, "allow id=046d:c077 to vm1 user=1000\ndeny class=hid.keyboard user=1000\n");
	alice_says(f, "mouse", f->vm1, false);
	assert_true(file_says(f, "wishes", "V4\tvm1\tname\t\tmouse\t\t\t\t1000\n"));
	begin_anew(f);
	d = plug_at(f, "1-2", 0xc077, "M1", 1u << USB_CLASS_HID);
	started(f);
	assert_by(d, "vm1", "command");
	unplug(d);
	assert_true(file_says(f, "wishes", "V4\tvm1"));
	d = plug_at(f, "1-2", 0xc077, "M2", 1u << USB_CLASS_HID | 1u << USB_CLASS_HID_KEYBOARD);
	assert_stands(d, "host", "host", "present");
	assert_false(file_says(f, "wishes", "vm1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_denied_keyboard_does_not_reach_the_guest),
		T(one_that_is_denied_and_all_of_a_group_go_back),
		T(what_a_rule_brought_goes_back_and_stays),
		T(it_leaves_a_guest_that_has_it),
		T(a_rule_finds_it_when_it_shows),
		T(a_rule_spares_it),
		T(it_has_the_name_that_it_should),
		T(panic_brings_home_what_it_was_struck_on),
		T(panic_brings_home_what_shows_to_be_one),
		T(panic_brings_home_the_one_in_hand),
		T(a_user_gets_no_keyboard_by_a_right_to_sticks),
		T(what_a_user_was_answered_is_taken_back),
		T(what_was_wished_before_holds_again),
		T(a_wish_stays_who_said_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
