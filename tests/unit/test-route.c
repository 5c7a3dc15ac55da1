/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Routes: each line of the contract's table of `attach`, what fails and what is taken back, with a
 * broker and guests' threads that do what the test says.
 */
#include "tests/unit/route-fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "policy/usb_class.h"

static void command(struct fixture *f, struct vm *vm, double wait)
{
	struct route_ask ask = {
		.vm = vm, .has_wait = wait >= 0, .wait_seconds = max_t(double, wait, 0)};

	say_with(f, ask, "keyboard");
}

/* The keyboard in vm1, exported. */
static void in_vm1(struct fixture *f)
{
	command(f, f->vm1, -1);
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, 0, NULL);
	assert_answer(f, ROUTE_DONE,
		      "keyboard: host -> vm1\nin vm1, type: usbip attach -r "
		      "10.77.0.1 -b keyboard");
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
}

/* ------------------------------------------------------------- the table of attach */

static void attach_exports_and_tells_what_to_type(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	assert_true(file_says(f, "wishes", "vm1"));
	assert_true(file_says(f, "claimed", "1-1 1 2 046d c31c"));
	imports(f->keyboard, f->vm1);
	assert_stands(f->keyboard, "vm1", "vm1", "attached");
}

static void attach_where_it_is_does_nothing(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	command(f, f->vm1, -1);
	assert_answer(f, ROUTE_DONE, "keyboard: already routed to vm1");
	imports(f->keyboard, f->vm1);
	command(f, f->vm1, -1);
	assert_answer(f, ROUTE_DONE, "keyboard: already in vm1");
	assert_false(thread_of(f->keyboard)->taking);
}

static void attach_elsewhere_takes_it_there_and_gives_it_here(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	imports(f->keyboard, f->vm1);
	command(f, f->vm2, -1);
	assert_stands(f->keyboard, "vm2", "host", "draining");
	assert_int_equal(f->answers, 0);
	thread_of(f->keyboard)->events->session_ended(f->keyboard, 0, "");
	taken(f->keyboard); /* handed over claimed: neither opened nor closed anew */
	assert_ptr_equal(thread_of(f->keyboard)->in, f->vm2->guest);
	assert_false(asks_open(f->keyboard));
	claimed(f->keyboard, 0, NULL);
	assert_answer(f, ROUTE_DONE, "keyboard: vm1 -> vm2\nin vm2, type: ");
	assert_stands(f->keyboard, "vm2", "vm2", "exported");
}

static void attach_to_a_vm_that_is_away_is_pending(void **state)
{
	struct fixture *f = *state;

	vm_is(f->vm1, false);
	command(f, f->vm1, -1);
	assert_answer(f, ROUTE_DONE, "pending: keyboard goes to vm1 when vm1 is connected");
	assert_stands(f->keyboard, "vm1", "host", "pending");
	assert_false(asks_open(f->keyboard)); /* it stays with the host meanwhile */
	vm_is(f->vm1, true);
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, 0, NULL);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
}

static void a_wait_ends_when_the_guest_has_it(void **state)
{
	struct fixture *f = *state;

	command(f, f->vm1, 60);
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, 0, NULL);
	assert_int_equal(f->answers, 0);
	imports(f->keyboard, f->vm1);
	assert_answer(f, ROUTE_DONE, "keyboard: host -> vm1");
	assert_true(f->times.total >= 0);
}

static void a_wait_that_is_over_leaves_the_wish(void **state)
{
	struct fixture *f = *state;

	command(f, f->vm1, 0.01);
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, 0, NULL);
	while (!f->answers)
		loop_turn(f->daemon.loop, true);
	assert_answer(f, ROUTE_PENDING, "type: usbip attach");
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
}

static void no_wait_answers_at_once(void **state)
{
	struct fixture *f = *state;

	command(f, f->vm1, 0);
	assert_answer(f, ROUTE_DONE, "pending: keyboard is on its way from host to vm1");
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, 0, NULL);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
}

static void an_alias_that_is_not_plugged_in_is_pending_and_comes(void **state)
{
	struct fixture *f = *state;

	unplug(f->keyboard);
	command(f, f->vm1, -1);
	assert_answer(f, ROUTE_DONE, "pending: keyboard is not plugged in");
	plug(f, "S1");
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, 0, NULL);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
}

static void vms_forbids_and_the_wish_is_not_stored(void **state)
{
	struct fixture *f = *state;
	struct device *d = plug_at(f, "1-2", 0x2222, "P", 0);

	say(f, ROUTE_ATTACH, "private", f->vm2);
	assert_answer(f, ROUTE_DENIED, "[device private] vms");
	assert_stands(d, "host", "host", "present");
	assert_false(asks_open(d));
	assert_false(file_says(f, "wishes", "vm2"));
}

static void claimed_by_another_is_busy_and_all_is_as_before(void **state)
{
	struct fixture *f = *state;

	command(f, f->vm1, -1);
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, -EBUSY, "claimed by another program");
	taken(f->keyboard);
	assert_answer(f, ROUTE_BUSY, "claimed by another program");
	assert_stands(f->keyboard, "host", "host", "draining");
	drivers_probe(f->keyboard, 0); /* what we detached on the way */
	assert_stands(f->keyboard, "host", "host", "present");
	assert_false(file_says(f, "wishes", "vm1"));
	assert_false(file_says(f, "claimed", "1-1"));
}

static void a_newer_command_supersedes(void **state)
{
	struct fixture *f = *state;

	command(f, f->vm1, 60);
	command(f, f->vm2, -1);
	/* Of the older one; the newer one goes on. */
	assert_answer(f, ROUTE_SUPERSEDED, "a newer command");
	node_opens(f->keyboard, 0);
	assert_ptr_equal(guest_of(f->keyboard), f->vm2->guest);
	claimed(f->keyboard, 0, NULL);
	assert_answer(f, ROUTE_DONE, "keyboard: host -> vm2");
	assert_stands(f->keyboard, "vm2", "vm2", "exported");
}

/* ------------------------------------------------------------- failures */

static void a_move_that_fails_goes_back(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	imports(f->keyboard, f->vm1);
	command(f, f->vm2, -1);
	/* It could not be brought to rest, so it is closed, and can't be had for vm2 either. */
	thread_of(f->keyboard)->events->session_ended(f->keyboard, 0, "");
	thread_of(f->keyboard)->opened = false;
	taken(f->keyboard);
	node_opens(f->keyboard, -EIO);
	assert_answer(f, ROUTE_NOT_DONE, "opening its usbfs node");
	assert_stands(f->keyboard, "vm1", "host", "pending");
	assert_true(file_says(f, "wishes", "vm1"));
	node_opens(f->keyboard, 0); /* for vm1, as before */
	assert_ptr_equal(thread_of(f->keyboard)->in, f->vm1->guest);
	claimed(f->keyboard, 0, NULL);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
}

static void what_fails_without_a_command_is_tried_again(void **state)
{
	struct fixture *f = *state;

	vm_is(f->vm1, false);
	command(f, f->vm1, -1);
	f->answers = 0;
	vm_is(f->vm1, true);
	node_opens(f->keyboard, -EIO);
	assert_stands(f->keyboard, "vm1", "host", "failed");
	while (!asks_open(f->keyboard)) /* a second later */
		loop_turn(f->daemon.loop, true);
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, 0, NULL);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
}

static void a_stuck_call_costs_its_device_alone(void **state)
{
	struct fixture *f = *state;
	struct guest_device *gd;

	in_vm1(f);
	gd = thread_of(f->keyboard);
	gd->events->stuck(f->keyboard, "reset");
	assert_stands(f->keyboard, "vm1", "host", "failed");
	assert_null(thread_of(f->keyboard));
	assert_null(gd->events); /* forgotten: it frees itself, should the call ever end */
	assert_true(gd->taking && gd->close_it);
	drop(gd);
}

static void unplugged_while_a_command_waits(void **state)
{
	struct fixture *f = *state;

	command(f, f->vm1, 60);
	node_opens(f->keyboard, 0);
	struct guest_device *gd = thread_of(f->keyboard);
	unplug(f->keyboard);
	assert_answer(f, ROUTE_UNPLUGGED, "unplugged");
	assert_null(gd->events);
	drop(gd);
	/* The wish stays, and holds for the same device in any port. */
	plug(f, "S1");
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, 0, NULL);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
}

/* ------------------------------------------------------------- lives and deaths */

static void a_vm_that_goes_away_keeps_its_device_from_the_host(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	vm_is(f->vm1, false);
	assert_stands(f->keyboard, "vm1", "host", "claimed");
	assert_false(thread_of(f->keyboard)->taking);
	assert_false(asks_rebind(f->keyboard));
	vm_is(f->vm1, true);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
}

static void detach_gives_it_back(void **state)
{
	struct fixture *f = *state;

	command(f, NULL, -1);
	assert_answer(f, ROUTE_DONE, "already at the host"); /* nobody had it */
	in_vm1(f);
	command(f, NULL, -1);
	taken(f->keyboard);
	drivers_probe(f->keyboard, 0);
	assert_answer(f, ROUTE_DONE, "keyboard: vm1 -> host");
	assert_stands(f->keyboard, "host", "host", "present");
	assert_false(file_says(f, "claimed", "1-1"));
}

static void wished_back_while_it_was_handed_over(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	command(f, f->vm2, 60);
	command(f, NULL, -1); /* before the thread has let go */
	f->answers = 0;
	taken(f->keyboard);
	/* Claimed and in no thread: one must have it to close it. */
	assert_ptr_equal(thread_of(f->keyboard)->in, f->vm1->guest);
	assert_true(thread_of(f->keyboard)->taking && thread_of(f->keyboard)->close_it);
	claimed(f->keyboard, 0, NULL);
	taken(f->keyboard);
	drivers_probe(f->keyboard, 0);
	assert_answer(f, ROUTE_DONE, "keyboard: vm1 -> host");
}

static void after_a_crash_what_was_ours_is_ours_before_its_vm_is_there(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	/* The daemon is killed: its files stay, all else goes. */
	begin_anew(f);
	plug(f, "S1");
	/* The same device: it was never unplugged. */
	assert_false(asks_open(f->keyboard));
	started(f);
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, 0, NULL);
	assert_stands(f->keyboard, "vm1", "host", "claimed");
	vm_is(f->vm1, true);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
}

static void an_import_of_what_is_held_is_busy_and_of_others_unknown(void **state)
{
	struct fixture *f = *state;
	struct usbip_op op = {.kind = USBIP_OP_IMPORT};

	in_vm1(f);
	assert_int_equal(route_import(f->keyboard, f->vm2, 0, &op), -ENODEV);
	imports(f->keyboard, f->vm1);
	assert_int_equal(route_import(f->keyboard, f->vm1, 0, &op), -EBUSY);
	command(f, f->vm2, 60);
	assert_int_equal(route_import(f->keyboard, f->vm1, 0, &op), -ENODEV);
}

/* What a guard's other end says: 0 once nobody holds the guard any more. */
static ssize_t guard_says(int end)
{
	char byte;

	return recv(end, &byte, 1, MSG_DONTWAIT);
}

/* The broker opens the keyboard for vm1, with a guard; the guard's other end. */
static int node_opens_guarded(struct fixture *f)
{
	struct broker_request *req;
	int fds[2], pair[2];

	command(f, f->vm1, -1);
	req = open_asked(f->keyboard);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	fds[0] = dup(0);
	fds[1] = pair[0];
	req->done(req, 0, fds, "");
	assert_int_equal(guard_says(pair[1]), -1);
	return pair[1];
}

static void disks_are_guarded_until_the_claim(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int end = node_opens_guarded(f);

	claimed(f->keyboard, 0, NULL);
	assert_int_equal(guard_says(end), 0);
}

static void a_claim_that_fails_ends_the_guard(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int end = node_opens_guarded(f);

	claimed(f->keyboard, -EIO, "claiming");
	assert_int_equal(guard_says(end), 0);
	taken(f->keyboard);
}

static void unplugging_ends_the_guard(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int end = node_opens_guarded(f);
	struct guest_device *gd = thread_of(f->keyboard);

	unplug(f->keyboard);
	assert_int_equal(guard_says(end), 0);
	drop(gd);
}

static void a_disk_in_use_is_busy_in_the_broker_s_words(void **state)
{
	struct fixture *f = *state;
	struct broker_request *req;
	int fds[2] = {-1, -1};

	command(f, f->vm1, -1);
	req = open_asked(f->keyboard);
	req->done(req, -EBUSY, fds, "in use on the host: sda1 is mounted at /mnt");
	assert_answer(f, ROUTE_BUSY, "in use on the host: sda1 is mounted at /mnt");
	assert_null(strstr(f->text, "EBUSY"));
	assert_null(strstr(f->text, "busy"));
	/* Nothing of the host's was touched, so nothing is given back, nor tried again. */
	assert_false(asks_rebind(f->keyboard));
	assert_false(loop_watching(&f->keyboard->route.retry));
	assert_false(file_says(f, "claimed", "1-1"));
	assert_stands(f->keyboard, "host", "host", "present");
}

static void strike(struct fixture *f, enum hotkey which)
{
	thread_of(f->keyboard)->events->hotkey(f->keyboard, which);
}

static void panic_brings_keyboards_and_mice_to_the_host(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	imports(f->keyboard, f->vm1);
	f->keyboard->classes = 1u << USB_CLASS_STORAGE;
	strike(f, HOTKEY_PANIC);
	assert_stands(f->keyboard, "vm1", "vm1", "attached");
	f->keyboard->classes = 1u << USB_CLASS_HID | 1u << USB_CLASS_HID_MOUSE;
	strike(f, HOTKEY_PANIC);
	assert_stands(f->keyboard, "host", "host", "draining");
	assert_true(thread_of(f->keyboard)->close_it);
	assert_false(file_says(f, "wishes", "vm1"));
	taken(f->keyboard);
	drivers_probe(f->keyboard, 0);
	assert_stands(f->keyboard, "host", "host", "present");
	/* Nothing waits for an answer any more. */
	assert_true(list_empty(&f->daemon.calls));
}

static void panic_finds_what_is_wished_into_a_guest_that_is_away(void **state)
{
	struct fixture *f = *state;

	f->keyboard->classes = 1u << USB_CLASS_HID_KEYBOARD;
	vm_is(f->vm2, false);
	command(f, f->vm2, -1);
	hotkey_struck(f->keyboard, HOTKEY_PANIC);
	assert_stands(f->keyboard, "host", "host", "present");
}

static void next_goes_round_the_guests_that_are_there(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	strike(f, HOTKEY_NEXT);
	taken(f->keyboard);
	assert_ptr_equal(thread_of(f->keyboard)->in, f->vm2->guest);
	claimed(f->keyboard, 0, NULL);
	assert_stands(f->keyboard, "vm2", "vm2", "exported");
	strike(f, HOTKEY_NEXT);
	taken(f->keyboard);
	assert_ptr_equal(thread_of(f->keyboard)->in, f->vm1->guest);
	claimed(f->keyboard, 0, NULL);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	vm_is(f->vm2, false);
	strike(f, HOTKEY_NEXT);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	assert_false(thread_of(f->keyboard)->taking);
	assert_true(list_empty(&f->daemon.calls));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(attach_exports_and_tells_what_to_type),
		T(attach_where_it_is_does_nothing),
		T(attach_elsewhere_takes_it_there_and_gives_it_here),
		T(attach_to_a_vm_that_is_away_is_pending),
		T(a_wait_ends_when_the_guest_has_it),
		T(a_wait_that_is_over_leaves_the_wish),
		T(no_wait_answers_at_once),
		T(an_alias_that_is_not_plugged_in_is_pending_and_comes),
		T(vms_forbids_and_the_wish_is_not_stored),
		T(claimed_by_another_is_busy_and_all_is_as_before),
		T(a_newer_command_supersedes),
		T(a_move_that_fails_goes_back),
		T(what_fails_without_a_command_is_tried_again),
		T(a_stuck_call_costs_its_device_alone),
		T(unplugged_while_a_command_waits),
		T(a_vm_that_goes_away_keeps_its_device_from_the_host),
		T(detach_gives_it_back),
		T(wished_back_while_it_was_handed_over),
		T(after_a_crash_what_was_ours_is_ours_before_its_vm_is_there),
		T(an_import_of_what_is_held_is_busy_and_of_others_unknown),
		T(disks_are_guarded_until_the_claim),
		T(a_claim_that_fails_ends_the_guard),
		T(unplugging_ends_the_guard),
		T(a_disk_in_use_is_busy_in_the_broker_s_words),
		T(panic_brings_keyboards_and_mice_to_the_host),
		T(panic_finds_what_is_wished_into_a_guest_that_is_away),
		T(next_goes_round_the_guests_that_are_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
