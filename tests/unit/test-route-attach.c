/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The contract's table of `attach`, each line of it by name. What a caller's rights forbid is
 * tested with the policy, and what each outcome's exit status is with usbroutectl.
 */
#include "tests/unit/route-fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/routing/claims.h"

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
	thread_of(f->keyboard)->events->session_ended(thread_of(f->keyboard)->ctx, 0, "");
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
		rooms_turn(&f->rooms, true);
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

/* It stays 0: the wish is there, and all goes on when its VM is. */
static void attach_with_a_wait_to_a_vm_that_is_away_is_not_within_it(void **state)
{
	struct fixture *f = *state;

	vm_is(f->vm1, false);
	command(f, f->vm1, 0.01);
	assert_int_equal(f->answers, 0);
	while (!f->answers)
		rooms_turn(&f->rooms, true);
	assert_answer(f, ROUTE_PENDING, "keyboard: not at vm1 yet: vm1 is not connected");
	assert_by(f->keyboard, "vm1", "command");
	vm_is(f->vm1, true);
	settle(f);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
}

static void attach_with_a_wait_of_what_is_not_plugged_in_is_not_within_it(void **state)
{
	struct fixture *f = *state;

	unplug(f->keyboard);
	command(f, f->vm1, 0.01);
	while (!f->answers)
		rooms_turn(&f->rooms, true);
	assert_answer(f, ROUTE_PENDING, "keyboard: not at vm1 yet: it is not plugged in");
	assert_by(plug(f, "S1"), "vm1", "command");
}

static void has_agent(struct vm *vm)
{
	the_fixture->takes = vm;
}

static void a_guest_with_an_agent_is_waited_for_and_the_time_is_told(void **state)
{
	struct fixture *f = *state;

	has_agent(f->vm1);
	command(f, f->vm1, -1);
	settle(f);
	imports(f->keyboard, f->vm1);
	assert_int_equal(f->answers, 0); /* its kernel has not enumerated it yet */
	route_guest_says(f->keyboard, f->vm1, true, "");
	assert_answer(f, ROUTE_DONE, "keyboard: host -> vm1 in ");
	assert_non_null(strstr(f->text, " ms (daemon "));
	assert_true(f->times.total >= f->times.guest);
	assert_true(f->times.wire > 0 && f->times.guest > 0);
	/* It is there: nothing to do, and no time to tell. */
	command(f, f->vm1, -1);
	assert_answer(f, ROUTE_DONE, "keyboard: already in vm1");
}

static void an_agent_that_does_not_get_it_within_the_wait_leaves_the_wish(void **state)
{
	struct fixture *f = *state;

	has_agent(f->vm1);
	command(f, f->vm1, 0.01);
	settle(f);
	route_guest_says(f->keyboard, f->vm1, false, "no free port");
	while (!f->answers)
		rooms_turn(&f->rooms, true);
	assert_answer(f, ROUTE_PENDING,
		      "keyboard: routed to vm1, which has not got it yet: no free port");
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
}

static int resolve(struct fixture *f, const char *text)
{
	struct route_subject subjects[ROUTE_SUBJECTS_MAX];
	const char *expected;
	size_t n;

	return subjects_resolve(&f->rooms.commands, text, subjects, &n, &expected);
}

static void a_vm_or_device_that_is_not_known_is_unknown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(resolve(f, "trackball"), RESOLVE_UNKNOWN);
	assert_int_equal(resolve(f, "1234:5678"), RESOLVE_UNKNOWN);
	assert_int_equal(resolve(f, "group=trackballs"), RESOLVE_UNKNOWN);
	assert_int_equal(resolve(f, "class=elephant"), -EINVAL);
	assert_null(vm_find(&f->rooms.vms, "vm9"));
}

static void several_that_match_are_ambiguous(void **state)
{
	struct fixture *f = *state;
	struct device *twin = plug_at(f, "1-2", 0xc31c, "S2", 0);

	assert_int_equal(resolve(f, "046d:c31c"), RESOLVE_AMBIGUOUS);
	/* The one that had the name keeps it. */
	assert_int_equal(resolve(f, "keyboard"), 0);
	assert_stands(twin, "host", "host", "ambiguous");
	assert_int_equal(resolve(f, "serial=S2"), 0);
	assert_int_equal(resolve(f, "port=1-2"), 0);
	assert_by(twin, "host", "default");
}

static void a_rule_forbids_and_the_wish_is_not_stored(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(reload_with(f, usual_config, "deny alias=keyboard to vm1\n"), 0);
	command(f, f->vm1, -1);
	assert_answer(f, ROUTE_DENIED, "test.rules:1");
	assert_false(file_says(f, "wishes", "vm1"));
	/* And of what is not plugged in. */
	unplug(f->keyboard);
	command(f, f->vm1, -1);
	assert_answer(f, ROUTE_DENIED, "test.rules:1");
	command(f, f->vm2, -1);
	assert_answer(f, ROUTE_DONE, "pending: keyboard is not plugged in");
}

/* The last VM's socket can't be made: neither VMs nor names nor rules are others. */
static void a_reload_that_fails_half_way_changes_nothing(void **state)
{
	struct fixture *f = *state;
	char path[200];

	snprintf(path, sizeof(path), "%s/run/vm9.sock", f->folder);
	assert_return_code(mkdir(path, 0700), errno);
	assert_true(reload_with(f, "[vm vm1]\n[vm vm8]\n[vm vm9]\n", "deny * to vm1\n") < 0);
	assert_return_code(rmdir(path), errno);
	snprintf(path, sizeof(path), "%s/run/vm8.sock", f->folder);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_null(vm_find(&f->rooms.vms, "vm8"));
	assert_ptr_equal(vm_find(&f->rooms.vms, "vm2"), f->vm2);
	in_vm1(f);
}

static void the_host_s_last_keyboard_is_busy(void **state)
{
	struct fixture *f = *state;

	f->other_keyboards = 0;
	command(f, f->vm1, -1);
	assert_answer(f, ROUTE_BUSY, "the host's last keyboard");
	assert_false(file_says(f, "wishes", "vm1"));
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
	assert_false(loop_watching(&f->keyboard->route->retry));
	assert_false(file_says(f, "claimed", "1-1"));
	assert_stands(f->keyboard, "host", "host", "present");
}

/* Its process can't be asked for it: whoever wants it waits until that has ended. */
static void what_a_process_of_another_version_has_it_keeps(void **state)
{
	struct fixture *f = *state;
	struct device *d = f->keyboard;

	f->vm1->process.strange = true;
	d->ours = true;
	d->route->before = (struct route_before){.vm = "vm1", .number = 7};
	routes_take_up(&f->rooms.routing, f->vm1);
	routes_review(&f->rooms.routing);
	assert_stands(d, "host", "host", "claimed");
	assert_false(asks_rebind(d));
	command(f, f->vm2, 0);
	assert_false(asks_open(d));
	assert_stands(d, "vm2", "host", "claimed");
	assert_int_equal(claims_save(&f->rooms.routing), 0);
	assert_true(file_says(f, "claimed", "vm1 7"));
	/* It has ended. */
	f->vm1->process.strange = false;
	routes_take_up(&f->rooms.routing, f->vm1);
	routes_review(&f->rooms.routing);
	assert_true(asks_open(d));
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
		T(attach_with_a_wait_to_a_vm_that_is_away_is_not_within_it),
		T(attach_with_a_wait_of_what_is_not_plugged_in_is_not_within_it),
		T(a_guest_with_an_agent_is_waited_for_and_the_time_is_told),
		T(an_agent_that_does_not_get_it_within_the_wait_leaves_the_wish),
		T(a_vm_or_device_that_is_not_known_is_unknown),
		T(several_that_match_are_ambiguous),
		T(a_rule_forbids_and_the_wish_is_not_stored),
		T(a_reload_that_fails_half_way_changes_nothing),
		T(the_host_s_last_keyboard_is_busy),
		T(a_disk_in_use_is_busy_in_the_broker_s_words),
		T(what_a_process_of_another_version_has_it_keeps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
