/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Routes: what fails and what is taken back, who comes and goes, guards and hot keys; with a broker
 * and guests' threads that do what the test says.
 */
#include "daemon/routing/old_sessions.h"
#include "tests/unit/route-fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "daemon/commands/hotkey.h"
#include "policy/usb_class.h"

/* ------------------------------------------------------------- failures */

static void a_move_that_fails_goes_back(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	imports(f->keyboard, f->vm1);
	command(f, f->vm2, -1);
	/* It could not be brought to rest, so it is closed, and can't be had for vm2 either. */
	thread_of(f->keyboard)->events->session_ended(thread_of(f->keyboard)->ctx, 0, "");
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
		rooms_turn(&f->rooms, true);
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
	gd->events->stuck(gd->ctx, "reset");
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

static void told_to_end_it_forgets_what_a_process_goes_on_with(void **state)
{
	struct fixture *f = *state;

	command(f, f->vm1, 60);
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, 0, NULL);
	imports(f->keyboard, f->vm1);
	assert_stands(f->keyboard, "vm1", "vm1", "attached");
	/* As vms_leave() does, and devices are forgotten after it. */
	f->rooms.core.stopping = true;
	thread_of(f->keyboard)->in = NULL;
	f->vm1->guest = guest_free(f->vm1->guest);
	unplug(f->keyboard);
}

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

/* What a killed daemon's processes hold is taken up where it is, whichever comes first. */
static void what_a_process_still_has_is_taken_up(void **state)
{
	struct fixture *f = *state;
	struct device *other;

	in_vm1(f);
	other = plug_at(f, "1-2", 0xc077, "S2", 0);
	say(f, ROUTE_ATTACH, "port=1-2", f->vm2);
	node_opens(other, 0);
	claimed(other, 0, NULL);
	assert_true(file_says(f, "claimed", "vm1 7") && file_says(f, "claimed", "vm2 7"));
	begin_anew(f);
	left_there = true;
	left_held = (struct guest_held){.opened = true, .session = true, .peer.port = 40000};
	/* A report descriptor that only the process has read may be another rule's. */
	left_held.hid.kinds[HID_BY_REPORTS][0] = 1;
	plug(f, "S1");
	other = plug_at(f, "1-2", 0xc077, "S2", 0);
	vm_is(f->vm1, true);
	vm_is(f->vm2, true);
	started(f);
	left_there = false;
	for (unsigned i = 0; i < 2; i++) {
		struct device *d = i ? other : f->keyboard;
		const char *vm = i ? "vm2" : "vm1";

		assert_false(asks_open(d));
		assert_true(route_status(d).session);
		assert_int_equal(placement_first(d)->peer.port, 40000);
		assert_string_equal(route_status(d).at->name, vm);
		assert_stands(d, vm, vm, "attached");
	}
	/* It goes its way as any other. */
	thread_of(f->keyboard)->events->session_ended(thread_of(f->keyboard)->ctx, 0, "");
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	command(f, NULL, -1);
	taken(f->keyboard);
	drivers_probe(f->keyboard, 0);
	assert_stands(f->keyboard, "host", "host", "present");
}

/* Whoever has a connection that has died waits on it for ever, unless the next process says so. */
static void the_next_process_tells_of_a_dead_connection(void **state)
{
	const struct guest_peer peer = {.address = {10, 77, 0, 11}, .port = 40000};
	struct fixture *f = *state;

	in_vm1(f);
	imports(f->keyboard, f->vm1);
	assert_true(file_says(f, "sessions", "vm1 ::ffff:10.77.0.11 40000\n"));
	hung_up.n = 0;
	f->vm1->process.stood_ns = 1;
	f->vm1->guest->events->connection_lost(f->vm1, &peer);
	thread_of(f->keyboard)->events->session_ended(thread_of(f->keyboard)->ctx, 0, "");
	vm_is(f->vm1, false);
	assert_true(file_says(f, "sessions", "vm1 ::ffff:10.77.0.11 40000 dead\n"));
	/* Another VM's guest hears nothing of it. */
	vm_is(f->vm2, false);
	vm_is(f->vm2, true);
	assert_int_equal(hung_up.n, 0);
	f->vm1->process.stood_ns = 2;
	vm_is(f->vm1, true);
	assert_int_equal(hung_up.n, 1);
	assert_int_equal(hung_up.peer.port, 40000);
	assert_ptr_equal(hung_up.vm, f->vm1);
	/* Once is enough for a process. Where that one dies, too, the next one tells. */
	vm_is(f->vm1, false);
	vm_is(f->vm1, true);
	assert_int_equal(hung_up.n, 1);
	vm_is(f->vm1, false);
	f->vm1->process.stood_ns = 3;
	vm_is(f->vm1, true);
	assert_int_equal(hung_up.n, 2);
	/* Where control dies, the next one knows it, whether the process goes on or not. */
	begin_anew(f);
	old_sessions_forget(&f->rooms.routing, f->vm1);
	vm_is(f->vm1, true);
	assert_int_equal(hung_up.n, 3);
	assert_int_equal(hung_up.peer.port, 40000);
}

/* A process that was taken over says what it likes. */
static void so_many_dead_connections_and_no_more(void **state)
{
	struct guest_peer peer = {.v6 = true, .address = {0xfe, 0x80, [15] = 1}, .port = 1};
	struct fixture *f = *state;

	vm_is(f->vm1, false);
	for (unsigned i = 0; i < 2000; i++) {
		peer.port = (uint16_t)(1 + i / 2);
		f->vm1->guest->events->connection_lost(f->vm1, &peer);
	}
	hung_up.n = 0;
	vm_is(f->vm1, true);
	assert_int_equal(hung_up.n, 64);
	assert_int_equal(hung_up.peer.port, 1000);
	assert_true(file_says(f, "sessions", "vm1 fe80::1 1000 dead\n"));
	assert_false(file_says(f, "sessions", "vm1 fe80::1 936 dead\n"));
}

/* A connection of the last run whose process lives is none of these. */
static void a_process_that_goes_on_keeps_its_connections(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	imports(f->keyboard, f->vm1);
	hung_up.n = 0;
	begin_anew(f);
	old_sessions_forget(&f->rooms.routing, f->vm1);
	vm_is(f->vm1, true);
	assert_int_equal(hung_up.n, 0);
}

static void a_process_that_dies_with_control_leaves_them(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	imports(f->keyboard, f->vm1);
	hung_up.n = 0;
	begin_anew(f);
	vm_is(f->vm1, true);
	assert_int_equal(hung_up.n, 1);
	assert_int_equal(hung_up.peer.port, 40000);
}

/* What it says counts only where it is written down, and a device half on its way goes on. */
static void what_a_process_was_about_to_do_goes_on(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	begin_anew(f);
	left_there = true;
	left_held = (struct guest_held){.opened = true, .taking = true};
	plug(f, "S1");
	vm_is(f->vm1, true);
	started(f);
	left_there = false;
	assert_false(asks_open(f->keyboard));
	taken(f->keyboard);
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, 0, NULL);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	/* Unplugged and plugged in, it is another device than the one that was given. */
	begin_anew(f);
	left_there = true;
	f->devnum++;
	plug(f, "S1");
	vm_is(f->vm1, true);
	started(f);
	left_there = false;
	assert_true(asks_open(f->keyboard));
}

static void an_import_of_what_is_held_is_busy_and_of_others_unknown(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	assert_int_equal(route_import(f->keyboard, f->vm2, 8), -ENODEV);
	imports(f->keyboard, f->vm1);
	assert_int_equal(route_import(f->keyboard, f->vm1, 9), -EBUSY);
	command(f, f->vm2, 60);
	assert_int_equal(route_import(f->keyboard, f->vm1, 9), -ENODEV);
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

static void strike(struct fixture *f, enum hotkey which)
{
	thread_of(f->keyboard)->events->hotkey(thread_of(f->keyboard)->ctx, which);
}

static void panic_brings_keyboards_and_mice_to_the_host(void **state)
{
	struct fixture *f = *state;

	struct device *mouse = plug_at(f, "1-7", 0x7777, NULL, 1u << USB_CLASS_HID_MOUSE),
		      *disk = plug_at(f, "1-8", 0x8888, NULL, 1u << USB_CLASS_STORAGE);

	in_vm1(f);
	imports(f->keyboard, f->vm1);
	say(f, ROUTE_ATTACH, "046d:7777", f->vm2);
	say(f, ROUTE_ATTACH, "046d:8888", f->vm2);
	settle(f);
	/* Where it was struck, whatever that calls itself. */
	f->keyboard->classes = 1u << USB_CLASS_VENDOR;
	strike(f, HOTKEY_PANIC);
	assert_stands(mouse, "host", "host", "draining");
	assert_stands(disk, "vm2", "vm2", "exported");
	assert_stands(f->keyboard, "host", "host", "draining");
	assert_true(thread_of(f->keyboard)->close_it);
	assert_false(file_says(f, "wishes", "vm1"));
	taken(f->keyboard);
	drivers_probe(f->keyboard, 0);
	assert_stands(f->keyboard, "host", "host", "present");
	/* Nothing waits for an answer any more. */
	assert_true(list_empty(&f->rooms.commands.calls));
}

static void panic_finds_what_is_wished_into_a_guest_that_is_away(void **state)
{
	struct fixture *f = *state;

	f->keyboard->classes = 1u << USB_CLASS_HID_KEYBOARD;
	vm_is(f->vm2, false);
	command(f, f->vm2, -1);
	hotkey_struck(&f->rooms.commands, f->keyboard, HOTKEY_PANIC);
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
	assert_true(list_empty(&f->rooms.commands.calls));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_move_that_fails_goes_back),
		T(what_fails_without_a_command_is_tried_again),
		T(a_stuck_call_costs_its_device_alone),
		T(unplugged_while_a_command_waits),
		T(told_to_end_it_forgets_what_a_process_goes_on_with),
		T(a_vm_that_goes_away_keeps_its_device_from_the_host),
		T(detach_gives_it_back),
		T(wished_back_while_it_was_handed_over),
		T(after_a_crash_what_was_ours_is_ours_before_its_vm_is_there),
		T(what_a_process_still_has_is_taken_up),
		T(the_next_process_tells_of_a_dead_connection),
		T(so_many_dead_connections_and_no_more),
		T(a_process_that_goes_on_keeps_its_connections),
		T(a_process_that_dies_with_control_leaves_them),
		T(what_a_process_was_about_to_do_goes_on),
		T(an_import_of_what_is_held_is_busy_and_of_others_unknown),
		T(disks_are_guarded_until_the_claim),
		T(a_claim_that_fails_ends_the_guard),
		T(unplugging_ends_the_guard),
		T(panic_brings_keyboards_and_mice_to_the_host),
		T(panic_finds_what_is_wished_into_a_guest_that_is_away),
		T(next_goes_round_the_guests_that_are_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
