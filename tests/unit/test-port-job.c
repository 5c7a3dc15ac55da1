/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Resets and ports' power by command: with a broker and guests' threads that do what the test says.
 */
#include "tests/unit/route-fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/commands/port_job.h"
#include "daemon/devices/port_off.h"
#include "policy/usb_class.h"

static struct port_job *job;

static void on_job_done(void *ctx, enum route_outcome outcome, const char *text,
			const struct device *device _unused_)
{
	struct fixture *f = ctx;

	f->answers++;
	f->outcome = outcome;
	snprintf(f->text, sizeof(f->text), "%s", text);
}

static void port_with(struct fixture *f, struct port_ask ask, struct device *d)
{
	ask.device = d;
	snprintf(ask.who, sizeof(ask.who), "the test");
	f->answers = 0;
	port_command(&f->rooms.commands, &ask, on_job_done, f, &job);
}

static void port(struct fixture *f, enum port_verb verb, struct device *d)
{
	port_with(f, (struct port_ask){.verb = verb}, d);
}

static void answered(struct fixture *f, enum route_outcome outcome, const char *text)
{
	turn_ends();
	assert_answer(f, outcome, text);
	assert_null(job);
}

static void wait_answer(struct fixture *f)
{
	while (!f->answers)
		rooms_turn(&f->rooms, true);
}

static void goes(struct fixture *f, struct device *d)
{
	unplug(d);
	f->devnum++;
}

static struct device *unpowered(struct fixture *f, const char *words)
{
	struct device *d = NULL;

	assert_int_equal(port_off_resolve(&f->rooms.devices, words, &d), 0);
	return d;
}

/* ------------------------------------------------------------- reset */

static void a_reset_in_a_guest_ends_the_session_and_the_device_is_exported_anew(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	imports(f->keyboard, f->vm1);
	assert_stands(f->keyboard, "vm1", "vm1", "attached");
	port(f, PORT_RESET, f->keyboard);
	assert_true(told_to_reset(f->keyboard));
	assert_stands(f->keyboard, "vm1", "host", "draining");
	assert_false(route_exported_to(f->keyboard, f->vm1));
	turn_ends();
	assert_int_equal(f->answers, 0);
	was_reset(f->keyboard, 0, "");
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	answered(f, ROUTE_DONE,
		 "keyboard: reset; it is at vm1\nin vm1, type: usbip attach -r 10.77.0.1 -b "
		 "keyboard");
	imports(f->keyboard, f->vm1);
	assert_stands(f->keyboard, "vm1", "vm1", "attached");
}

static void a_reset_waits_until_the_guest_has_it_again(void **state)
{
	struct fixture *f = *state;

	f->takes = f->vm1;
	command(f, f->vm1, 0);
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, 0, NULL);
	imports(f->keyboard, f->vm1);
	route_guest_says(f->keyboard, f->vm1, true, "");
	port(f, PORT_RESET, f->keyboard);
	was_reset(f->keyboard, 0, "");
	turn_ends();
	assert_int_equal(f->answers, 0);
	imports(f->keyboard, f->vm1);
	turn_ends();
	assert_int_equal(f->answers, 0);
	route_guest_says(f->keyboard, f->vm1, true, "");
	answered(f, ROUTE_DONE, "keyboard: reset; it is at vm1");

	port_with(f, (struct port_ask){.verb = PORT_RESET, .has_wait = true, .wait_seconds = 0.01},
		  f->keyboard);
	was_reset(f->keyboard, 0, "");
	wait_answer(f);
	answered(f, ROUTE_PENDING, "it was reset; within 0.01 s");
	f->takes = NULL;
}

static void a_reset_of_what_no_session_has_leaves_it_as_it_was(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	vm_is(f->vm1, false);
	port(f, PORT_RESET, f->keyboard);
	was_reset(f->keyboard, 0, "");
	answered(f, ROUTE_DONE, "keyboard: reset; it is at host");
	assert_stands(f->keyboard, "vm1", "host", "claimed");
}

static void a_reset_of_the_hosts_device_is_the_brokers(void **state)
{
	struct fixture *f = *state;

	port(f, PORT_RESET, f->keyboard);
	assert_true(asks_reset(f->keyboard));
	assert_false(was_forced);
	/* A command meanwhile waits for its end. */
	broker_resets(f->keyboard, 0, "");
	answered(f, ROUTE_DONE, "keyboard: reset; it is at host");
	assert_stands(f->keyboard, "host", "host", "present");

	port(f, PORT_RESET, f->keyboard);
	broker_resets(f->keyboard, -EBUSY, "in use on the host: sda is mounted at /mnt");
	answered(f, ROUTE_BUSY, "in use on the host: sda is mounted at /mnt");
	port_with(f, (struct port_ask){.verb = PORT_RESET, .force = true}, f->keyboard);
	assert_true(was_forced);
	broker_resets(f->keyboard, -EIO, "resetting it");
	answered(f, ROUTE_NOT_DONE, "resetting it: Input/output error");
	assert_stands(f->keyboard, "host", "host", "present");
}

static void an_attach_during_a_reset_comes_after_it(void **state)
{
	struct fixture *f = *state;

	port(f, PORT_RESET, f->keyboard);
	command(f, f->vm1, -1);
	assert_false(asks_open(f->keyboard));
	assert_int_equal(f->answers, 0);
	broker_resets(f->keyboard, 0, "");
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, 0, NULL);
	turn_ends();
	assert_int_equal(f->answers, 2); /* the reset's, and the attach's */
	assert_stands(f->keyboard, "vm1", "vm1", "exported");

	/* And a detach while its thread resets it. */
	port(f, PORT_RESET, f->keyboard);
	command(f, NULL, -1);
	assert_false(thread_of(f->keyboard)->taking);
	was_reset(f->keyboard, 0, "");
	settle(f);
	turn_ends();
	assert_stands(f->keyboard, "host", "host", "present");
	assert_int_equal(f->answers, 2);
}

static void a_reset_on_the_way_or_twice_is_refused(void **state)
{
	struct fixture *f = *state;

	command(f, f->vm1, -1);
	port(f, PORT_RESET, f->keyboard); /* the broker opens it */
	answered(f, ROUTE_BUSY, "it is being claimed just now");
	node_opens(f->keyboard, 0);
	port(f, PORT_RESET, f->keyboard);
	answered(f, ROUTE_BUSY, "it is being claimed just now");
	claimed(f->keyboard, 0, NULL);
	port(f, PORT_RESET, f->keyboard);
	{
		struct port_job *first = job;

		port(f, PORT_RESET, f->keyboard);
		assert_answer(f, ROUTE_BUSY, "it is being reset already");
		job = first;
	}
	was_reset(f->keyboard, 0, "");
	answered(f, ROUTE_DONE, "reset");
	command(f, NULL, -1);
	port(f, PORT_RESET, f->keyboard);
	answered(f, ROUTE_BUSY, "it is on its way back just now");
	settle(f);
}

static void a_reset_that_fails_costs_the_device_alone(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	imports(f->keyboard, f->vm1);
	port(f, PORT_RESET, f->keyboard);
	was_reset(f->keyboard, -EIO, "it can't be reset: I/O error");
	answered(f, ROUTE_NOT_DONE, "it can't be reset: I/O error");
	taken(f->keyboard);
	assert_stands(f->keyboard, "vm1", "host", "failed");
	/* It is what one presses when a device has failed. */
	port(f, PORT_RESET, f->keyboard);
	broker_resets(f->keyboard, 0, "");
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, 0, NULL);
	answered(f, ROUTE_DONE, "keyboard: reset; it is at vm1");
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
}

static void what_comes_back_as_another_is_plugged_in_anew(void **state)
{
	struct fixture *f = *state;

	in_vm1(f);
	port(f, PORT_RESET, f->keyboard);
	was_reset(f->keyboard, -ENODEV, "it didn't come back from a reset");
	taken(f->keyboard);
	turn_ends();
	assert_int_equal(f->answers, 0);
	goes(f, f->keyboard);
	plug_at(f, "1-1", 0xc077, NULL, 1u << USB_CLASS_HID | 1u << USB_CLASS_HID_MOUSE);
	answered(f, ROUTE_DONE,
		 "keyboard: reset; mouse came back, as if plugged in anew: it is at "
		 "host");

	/* The kernel tells before the broker does. */
	plug_at(f, "1-2", 0x1234, NULL, 0);
	port(f, PORT_RESET, list_entry(f->rooms.devices.all.prev, struct device, link));
	goes(f, list_entry(f->rooms.devices.all.prev, struct device, link));
	turn_ends();
	assert_int_equal(f->answers, 0);
	plug_at(f, "1-2", 0x1235, NULL, 0);
	answered(f, ROUTE_DONE, "046d:1235 at 1-2 came back");
}

/* The kernel may enumerate it twice, and what it was at first fails as it is opened. */
static void what_comes_back_twice_is_waited_for(void **state)
{
	struct fixture *f = *state;
	struct guest_device *gd;

	in_vm1(f);
	port(f, PORT_RESET, f->keyboard);
	was_reset(f->keyboard, -ENODEV, "it didn't come back from a reset");
	taken(f->keyboard);
	goes(f, f->keyboard);
	plug(f, NULL);
	turn_ends();
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, -ENODEV, "it was unplugged meanwhile");
	taken(f->keyboard);
	turn_ends();
	assert_int_equal(f->answers, 0);
	goes(f, f->keyboard);
	turn_ends();
	assert_int_equal(f->answers, 0);
	plug(f, NULL);
	turn_ends();
	node_opens(f->keyboard, 0);
	gd = thread_of(f->keyboard);
	goes(f, f->keyboard); /* and without a word of whoever opened it */
	drop(gd);
	turn_ends();
	assert_int_equal(f->answers, 0);
	plug(f, NULL);
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, 0, NULL);
	answered(f, ROUTE_DONE,
		 "keyboard: reset; keyboard came back, as if plugged in anew: it is at vm1");
}

static void what_comes_back_and_stays_away_then(void **state)
{
	struct fixture *f = *state;
	struct guest_device *gd;

	in_vm1(f);
	port_with(f, (struct port_ask){.verb = PORT_RESET, .has_wait = true, .wait_seconds = 0.05},
		  f->keyboard);
	was_reset(f->keyboard, -ENODEV, "it didn't come back from a reset");
	taken(f->keyboard);
	goes(f, f->keyboard);
	plug(f, NULL);
	turn_ends();
	node_opens(f->keyboard, 0);
	gd = thread_of(f->keyboard);
	goes(f, f->keyboard);
	drop(gd);
	wait_answer(f);
	answered(f, ROUTE_NOT_DONE, "it did not come back from the reset within 0.05 s");
}

static void pulled_out_in_the_middle_of_a_reset(void **state)
{
	struct fixture *f = *state;
	struct guest_device *gd;

	in_vm1(f);
	gd = thread_of(f->keyboard);
	port_with(f, (struct port_ask){.verb = PORT_RESET, .has_wait = true, .wait_seconds = 0.01},
		  f->keyboard);
	goes(f, f->keyboard);
	wait_answer(f);
	answered(f, ROUTE_NOT_DONE, "it did not come back from the reset within 0.01 s");
	drop(gd);

	/* Whoever does not wait is not told that it stays away. */
	plug_at(f, "1-2", 0x1234, NULL, 0);
	port_with(f, (struct port_ask){.verb = PORT_RESET, .has_wait = true},
		  list_entry(f->rooms.devices.all.prev, struct device, link));
	goes(f, list_entry(f->rooms.devices.all.prev, struct device, link));
	wait_answer(f);
	answered(f, ROUTE_DONE, "046d:1234 at 1-2: reset; it has left port 1-2");
}

static void a_stuck_reset_ends_its_command(void **state)
{
	struct fixture *f = *state;
	struct guest_device *gd;

	in_vm1(f);
	gd = thread_of(f->keyboard);
	port(f, PORT_RESET, f->keyboard);
	gd->events->stuck(gd->ctx, "reset");
	answered(f, ROUTE_NOT_DONE, "stuck in the kernel (reset)");
	assert_true(gd->taking);
	drop(gd);
}

static void what_stands_no_reset_is_not_reset(void **state)
{
	struct fixture *f = *state;
	struct device *d = plug_at(f, "1-3", 0x0bad, NULL, 0);

	port(f, PORT_RESET, d);
	answered(f, ROUTE_NOT_DONE, "not to stand a reset");
	assert_false(asks_reset(d));
}

static void a_reset_goes_on_without_its_caller(void **state)
{
	struct fixture *f = *state;

	port(f, PORT_RESET, f->keyboard);
	port_job_forget(job);
	assert_null(job);
	broker_resets(f->keyboard, 0, "");
	turn_ends();
	assert_int_equal(f->answers, 0);
	assert_true(list_empty(&f->rooms.commands.port_jobs));
}

/* ------------------------------------------------------------- power */

/* A wish until its device is unplugged goes on, though it comes back with another number. */
static void a_port_that_was_off_was_not_unplugged(void **state)
{
	struct fixture *f = *state;
	struct guest_device *gd;

	say_with(f, (struct route_ask){.vm = f->vm2, .until_unplug = true}, "keyboard");
	settle(f);
	assert_by(f->keyboard, "vm2", "command");
	gd = thread_of(f->keyboard);
	port(f, PORT_OFF, f->keyboard);
	power_switched(false, 0, "");
	turn_ends();
	goes(f, f->keyboard);
	drop(gd);
	answered(f, ROUTE_DONE, "is switched off");
	port(f, PORT_ON, unpowered(f, "keyboard"));
	power_switched(true, 0, "");
	turn_ends();
	plug(f, "S1");
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, 0, NULL);
	assert_by(f->keyboard, "vm2", "command");
}

static void a_port_that_is_off_keeps_its_device_in_mind(void **state)
{
	struct fixture *f = *state;
	struct device *d;

	in_vm1(f);
	port(f, PORT_OFF, f->keyboard);
	assert_true(file_says(f, "unpowered", "1-1")); /* before it is done */
	assert_int_equal(port_off_resolve(&f->rooms.devices, "keyboard", &d), RESOLVE_UNKNOWN);
	power_switched(false, 0, "");
	turn_ends();
	assert_int_equal(f->answers, 0); /* it is listed yet */
	{
		struct guest_device *gd = thread_of(f->keyboard);

		goes(f, f->keyboard);
		drop(gd);
	}
	answered(f, ROUTE_DONE, "keyboard: its port 1-1 is switched off");
	d = unpowered(f, "keyboard");
	assert_stands(d, "vm1", "host", "off");
	assert_ptr_equal(unpowered(f, "port=1-1"), d);
	assert_ptr_equal(unpowered(f, "serial=S1"), d);
	port(f, PORT_OFF, d);
	answered(f, ROUTE_DONE, "switched off already");
	port(f, PORT_RESET, d);
	answered(f, ROUTE_NOT_DONE, "its port is switched off");

	port(f, PORT_ON, d);
	assert_true(asks_power(true));
	power_switched(true, 0, "");
	turn_ends();
	assert_int_equal(f->answers, 0);
	plug(f, "S1");
	node_opens(f->keyboard, 0);
	claimed(f->keyboard, 0, NULL);
	answered(f, ROUTE_DONE, "keyboard: its port 1-1 is on again; it is at vm1\nin vm1, type:");
	assert_true(list_empty(&f->rooms.devices.off));
	assert_false(file_says(f, "unpowered", "1-1"));
	port(f, PORT_ON, f->keyboard);
	answered(f, ROUTE_DONE, "its port 1-1 is on already");
	assert_false(asks_power(true));
}

/* The keyboard's port is off. */
static void switch_off(struct fixture *f)
{
	port(f, PORT_OFF, f->keyboard);
	power_switched(false, 0, "");
	goes(f, f->keyboard);
	answered(f, ROUTE_DONE, "switched off");
}

static void a_restart_of_the_daemon_knows_what_is_off(void **state)
{
	struct fixture *f = *state;

	command(f, f->vm2, 0);
	settle(f);
	{
		struct guest_device *gd = thread_of(f->keyboard);

		port(f, PORT_OFF, f->keyboard);
		power_switched(false, 0, "");
		goes(f, f->keyboard);
		drop(gd);
		turn_ends();
	}
	begin_anew(f);
	started(f);
	assert_stands(unpowered(f, "keyboard"), "vm2", "host", "off");
	port(f, PORT_ON, unpowered(f, "046d:c31c"));
	power_switched(true, 0, "");
	plug(f, "S1");
	assert_true(list_empty(&f->rooms.devices.off));
	/* Where something is in the port, it is on. */
	port_job_forget(job);
	switch_off(f);
	begin_anew(f);
	plug(f, "S1");
	started(f);
	assert_true(list_empty(&f->rooms.devices.off));
}

static void a_cycle_brings_it_back_to_where_it_was_wanted(void **state)
{
	struct fixture *f = *state;
	struct guest_device *gd;

	in_vm1(f);
	gd = thread_of(f->keyboard);
	port(f, PORT_CYCLE, f->keyboard);
	{
		struct port_job *first = job;

		port(f, PORT_ON, f->keyboard);
		assert_answer(f, ROUTE_BUSY, "it is being switched already");
		job = first;
	}
	power_switched(false, 0, "");
	goes(f, f->keyboard);
	drop(gd);
	while (!asks_power(true))
		rooms_turn(&f->rooms, true);
	assert_int_equal(f->answers, 0);
	power_switched(true, 0, "");
	plug(f, "S1");
	settle(f);
	answered(f, ROUTE_DONE, "keyboard: its port 1-1 is on again; it is at vm1");
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
}

static void a_cycle_that_the_daemons_end_cuts_is_ended_by_the_next(void **state)
{
	struct fixture *f = *state;

	port(f, PORT_CYCLE, f->keyboard);
	power_switched(false, 0, "");
	goes(f, f->keyboard);
	turn_ends();
	begin_anew(f);
	assert_answer(f, ROUTE_NOT_DONE, "the daemon is being stopped");
	assert_false(asks_power(true));
	started(f);
	power_switched(true, 0, "");
	assert_true(list_empty(&f->rooms.devices.off));
	plug(f, "S1");
	turn_ends();
	assert_true(list_empty(&f->rooms.commands.port_jobs));
}

static void a_port_that_cannot_be_switched_is_as_before(void **state)
{
	struct fixture *f = *state;

	port(f, PORT_OFF, f->keyboard);
	power_switched(false, -EOPNOTSUPP, "its hub (usb1) can't switch the power of a port");
	answered(f, ROUTE_NOT_DONE, "its hub (usb1) can't switch the power of a port");
	assert_true(list_empty(&f->rooms.devices.off));
	assert_false(file_says(f, "unpowered", "1-1"));
	port(f, PORT_CYCLE, f->keyboard);
	power_switched(false, -EBUSY, "in use on the host: sda is mounted at /mnt");
	answered(f, ROUTE_BUSY, "sda is mounted at /mnt");
	assert_stands(f->keyboard, "host", "host", "present");
}

static void the_hosts_last_keyboard_stays_on(void **state)
{
	struct fixture *f = *state;

	f->other_keyboards = 0;
	port(f, PORT_CYCLE, f->keyboard);
	answered(f, ROUTE_BUSY, "it is the host's last keyboard");
	port_with(f, (struct port_ask){.verb = PORT_OFF, .force = true}, f->keyboard);
	assert_true(asks_power(false));
	assert_true(was_forced);
	power_switched(false, -EIO, "switching it");
	answered(f, ROUTE_NOT_DONE, "switching it: Input/output error");
	/* One that the host doesn't have is no loss to it. */
	say_with(f, (struct route_ask){.vm = f->vm1, .force = true}, "keyboard");
	settle(f);
	f->answers = 0;
	port(f, PORT_OFF, f->keyboard);
	assert_true(asks_power(false));
	power_switched(false, -EIO, "switching it");
	answered(f, ROUTE_NOT_DONE, "switching it");
}

static void a_wish_until_the_unplugging_outlives_a_cycle(void **state)
{
	struct fixture *f = *state;

	say_with(f, (struct route_ask){.vm = f->vm1, .until_unplug = true}, "keyboard");
	settle(f);
	port(f, PORT_OFF, f->keyboard);
	power_switched(false, 0, "");
	{
		struct guest_device *gd = thread_of(f->keyboard);

		goes(f, f->keyboard);
		drop(gd);
	}
	turn_ends();
	port(f, PORT_ON, unpowered(f, "keyboard"));
	power_switched(true, 0, "");
	plug(f, "S1");
	settle(f);
	turn_ends();
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
}

static void a_hub_that_goes_takes_what_is_off_along(void **state)
{
	struct fixture *f = *state;

	switch_off(f);
	port_off_hub_gone(&f->rooms.devices, "1-1");
	port_off_hub_gone(&f->rooms.devices, "usb11");
	unpowered(f, "keyboard");
	port_off_hub_gone(&f->rooms.devices, "usb1");
	assert_true(list_empty(&f->rooms.devices.off));
	f->keyboard = plug_at(f, "2-1.12", 0xc31c, "S1", 0);
	switch_off(f);
	port_off_hub_gone(&f->rooms.devices, "2-1.1");
	port_off_hub_gone(&f->rooms.devices, "2");
	unpowered(f, "keyboard");
	port_off_hub_gone(&f->rooms.devices, "2-1");
	assert_true(list_empty(&f->rooms.devices.off));
	/* What was said of it meanwhile is not lost. */
	plug(f, "S1");
	switch_off(f);
	port(f, PORT_ON, unpowered(f, "keyboard"));
	power_switched(true, -ENODEV, "there is no such port any more; its hub has gone");
	answered(f, ROUTE_NOT_DONE, "its hub has gone");
	assert_true(list_empty(&f->rooms.devices.off));
}

static void nothing_comes_back(void **state)
{
	struct fixture *f = *state;

	switch_off(f);
	port_with(f, (struct port_ask){.verb = PORT_ON, .has_wait = true, .wait_seconds = 0.01},
		  unpowered(f, "keyboard"));
	power_switched(true, 0, "");
	wait_answer(f);
	answered(f, ROUTE_DONE, "its port 1-1 is on; nothing has come back there yet");
	plug(f, "S1");
	port_with(f, (struct port_ask){.verb = PORT_CYCLE, .has_wait = true, .wait_seconds = 0.01},
		  f->keyboard);
	power_switched(false, 0, "");
	goes(f, f->keyboard);
	while (!asks_power(true))
		rooms_turn(&f->rooms, true);
	power_switched(true, 0, "");
	wait_answer(f);
	answered(f, ROUTE_PENDING, "nothing has come back there within 0.01 s");
}

static void only_said(void **state)
{
	struct fixture *f = *state;

	port_with(f, (struct port_ask){.verb = PORT_RESET, .dry_run = true}, f->keyboard);
	answered(f, ROUTE_DONE, "keyboard: would be reset");
	assert_false(asks_reset(f->keyboard));
	port_with(f, (struct port_ask){.verb = PORT_CYCLE, .dry_run = true}, f->keyboard);
	answered(f, ROUTE_DONE, "keyboard: its port would be switched off and on");
	assert_false(asks_power(false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_reset_in_a_guest_ends_the_session_and_the_device_is_exported_anew),
		T(a_reset_waits_until_the_guest_has_it_again),
		T(a_reset_of_what_no_session_has_leaves_it_as_it_was),
		T(a_reset_of_the_hosts_device_is_the_brokers),
		T(an_attach_during_a_reset_comes_after_it),
		T(a_reset_on_the_way_or_twice_is_refused),
		T(a_reset_that_fails_costs_the_device_alone),
		T(what_comes_back_as_another_is_plugged_in_anew),
		T(what_comes_back_twice_is_waited_for),
		T(what_comes_back_and_stays_away_then),
		T(pulled_out_in_the_middle_of_a_reset),
		T(a_stuck_reset_ends_its_command),
		T(what_stands_no_reset_is_not_reset),
		T(a_reset_goes_on_without_its_caller),
		T(a_port_that_is_off_keeps_its_device_in_mind),
		T(a_port_that_was_off_was_not_unplugged),
		T(a_restart_of_the_daemon_knows_what_is_off),
		T(a_cycle_brings_it_back_to_where_it_was_wanted),
		T(a_cycle_that_the_daemons_end_cuts_is_ended_by_the_next),
		T(a_port_that_cannot_be_switched_is_as_before),
		T(the_hosts_last_keyboard_stays_on),
		T(a_wish_until_the_unplugging_outlives_a_cycle),
		T(a_hub_that_goes_takes_what_is_off_along),
		T(nothing_comes_back),
		T(only_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
