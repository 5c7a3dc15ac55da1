/* SPDX-License-Identifier: BSD-2-Clause */
/* Control's end of a VM's process: its devices, its card, its end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/vm-process-rig.h"

static void test_a_devices_way(void **state)
{
	struct rig *rig = rig_begun();
	struct dev d;
	struct vm_wire_give give = device_opened(rig, &d);
	struct vm_wire_hid hid = {.kind = VM_SAY_HID, .device = give.device};
	struct vm_wire_hotkey key = {
		.kind = VM_SAY_HOTKEY, .device = give.device, .which = HOTKEY_NEXT};

	assert_string_equal(give.tag, "keyboard");
	assert_string_equal(give.info.busid, "1-1");
	says(rig, &hid);
	client_imports(rig, &d);
	says_of(rig, &give, VM_SAY_IMPORTED, 0);
	says(rig, &key);
	says_of(rig, &give, VM_SAY_SESSION_ENDED, 0);
	client_imports(rig, &d);
	says_of(rig, &give, VM_SAY_IMPORTED, 0);
	guest_reset(rig->guest, d.gd);
	assert_int_equal(hears(rig, VM_ASK_RESET).device.device, give.device);
	says_of(rig, &give, VM_SAY_SESSION_ENDED, 0);
	says_of(rig, &give, VM_SAY_WAS_RESET, 0);
	says_of(rig, &give, VM_SAY_GONE, 0);
	guest_take(rig->guest, d.gd, false);
	assert_int_equal(hears(rig, VM_ASK_TAKE).device.device, give.device);
	says_of(rig, &give, VM_SAY_TAKEN, 0);
	assert_string_equal(d.said,
			    "opened hid imported next ended imported ended reset gone taken");
	assert_int_equal(rig->n_lost, 0);
	rig_free(rig);
}

static void test_the_card(void **state)
{
	struct rig *rig = rig_begun();

	says(rig, &(struct vm_wire_card){.kind = VM_SAY_CARD, .up = 1});
	assert_true(rig->up);
	dies(rig);
	assert_false(rig->up);
	assert_int_equal(rig->links, 2);
	rig_free(rig);
}

/* What is given while there is no process waits for it. */
static void test_given_before_it_stands(void **state)
{
	struct rig *rig = rig_new();
	struct dev d, unwanted;
	struct vm_wire_give give;

	device_made(rig, &unwanted);
	device_made(rig, &d);
	guest_take(rig->guest, unwanted.gd, true);
	begins(rig);
	assert_string_equal(unwanted.said, "taken");
	give = hears(rig, VM_ASK_GIVE).give;
	says_of(rig, &give, VM_SAY_OPENED, 0);
	assert_string_equal(d.said, "opened");
	hears_nothing(rig);
	says_of(rig, &give, VM_SAY_TAKEN, 0); /* not asked for */
	assert_int_equal(rig->n_lost, 1);
	assert_string_equal(d.said, "opened taken");
	rig_free(rig);
}

/* Whatever was under way, each device comes back, and what was waited for has ended. */
static void test_a_process_dies(void **state)
{
	struct rig *rig = rig_begun();
	struct dev opening, idle, importing, session, resetting, taking, forgotten, next;
	struct vm_wire_give give;

	device_given(rig, &opening);
	device_opened(rig, &idle);
	device_opened(rig, &importing);
	client_imports(rig, &importing);
	give = device_opened(rig, &session);
	client_imports(rig, &session);
	says_of(rig, &give, VM_SAY_IMPORTED, 0);
	device_opened(rig, &resetting);
	guest_reset(rig->guest, resetting.gd);
	hears(rig, VM_ASK_RESET);
	device_opened(rig, &taking);
	guest_take(rig->guest, taking.gd, true);
	hears(rig, VM_ASK_TAKE);
	device_opened(rig, &forgotten);
	guest_take(rig->guest, forgotten.gd, true);
	guest_device_forget(forgotten.gd);

	dies(rig);
	assert_int_equal(rig->n_lost, 1);
	assert_string_equal(opening.said, "opened taken");
	assert_string_equal(idle.said, "opened taken");
	assert_string_equal(importing.said, "opened imported taken");
	assert_string_equal(session.said, "opened imported ended taken");
	assert_string_equal(resetting.said, "opened reset taken");
	assert_string_equal(taking.said, "opened taken");
	assert_string_equal(forgotten.said, "opened");

	/* The next process begins from the start, and gets what is given by then. */
	device_made(rig, &next);
	connects(rig);
	begins(rig);
	give = hears(rig, VM_ASK_GIVE).give;
	says_of(rig, &give, VM_SAY_OPENED, -EIO);
	guest_take(rig->guest, next.gd, true);
	says_of(rig, &give, VM_SAY_TAKEN, 0);
	assert_string_equal(next.said, "opened taken");
	assert_int_equal(rig->n_lost, 1);
	rig_free(rig);
}

static void imported_from(struct rig *rig, const struct vm_wire_give *give, uint16_t port)
{
	says(rig, &(struct vm_wire_imported){
			  .kind = VM_SAY_IMPORTED, .device = give->device, .peer.port = port});
}

/* Sessions that were, when it died, and no others; also of a device that nobody here has any more. */
static void test_connections_die_with_it(void **state)
{
	struct rig *rig = rig_begun();
	struct dev first, ended, importing, forgotten;
	struct vm_wire_give give = device_opened(rig, &ended);

	client_imports(rig, &ended);
	imported_from(rig, &give, 40001);
	says_of(rig, &give, VM_SAY_SESSION_ENDED, 0);
	device_opened(rig, &importing);
	client_imports(rig, &importing);
	give = device_opened(rig, &first);
	client_imports(rig, &first);
	imported_from(rig, &give, 40002);
	give = device_opened(rig, &forgotten);
	client_imports(rig, &forgotten);
	imported_from(rig, &give, 40003);
	guest_take(rig->guest, forgotten.gd, true);
	guest_device_forget(forgotten.gd);
	assert_int_equal(rig->n_connections_lost, 0);
	dies(rig);
	assert_int_equal(rig->n_connections_lost, 2);
	assert_int_equal(rig->connection_lost, 40003);
	rig_free(rig);
}

static void test_an_end(void **state)
{
	struct rig *rig = rig_begun();
	struct dev d;
	struct vm_wire_give give = device_opened(rig, &d);

	guest_stop(rig->guest);
	hears(rig, VM_ASK_END);
	says_of(rig, &give, VM_SAY_TAKEN, 0);
	assert_string_equal(d.said, "opened taken");
	says(rig, &(struct vm_wire_plain){.kind = VM_SAY_ENDED});
	assert_int_equal(rig->n_ended, 0);
	dies(rig);
	assert_int_equal(rig->n_ended, 1);
	assert_int_equal(rig->n_lost, 0);
	rig_free(rig);
}

/* Without a process, there is nothing to wait for. */
static void test_an_end_without_a_process(void **state)
{
	struct rig *rig = rig_begun();
	struct dev d;

	dies(rig);
	device_made(rig, &d);
	guest_stop(rig->guest);
	turns(rig);
	assert_int_equal(rig->n_ended, 1);
	assert_string_equal(d.said, "taken");
	rig_free(rig);
	/* It greets when it is no longer needed, and begins nothing: nobody would end it. */
	rig = rig_new();
	guest_stop(rig->guest);
	hears(rig, VM_ASK_HELLO);
	hears(rig, VM_ASK_END);
	says(rig, &(struct vm_wire_hello){.kind = VM_SAY_HELLO,
					  .version = VM_WIRE_VERSION,
					  .least = VM_WIRE_LEAST});
	hears_nothing(rig);
	dies(rig);
	assert_int_equal(rig->n_ended, 1);
	rig_free(rig);
	/* It dies on its way out. */
	rig = rig_begun();
	guest_stop(rig->guest);
	dies(rig);
	assert_int_equal(rig->n_ended, 1);
	assert_int_equal(rig->n_lost, 0);
	rig_free(rig);
}

/* Its connection has a number of control's, and is ended by it. */
static void test_an_agent(void **state)
{
	const struct vm_wire_plain asked = {.kind = VM_SAY_AGENT_ASKED};
	struct rig *rig = rig_begun();
	int pair[2];
	char byte;

	says(rig, &asked);
	assert_int_equal(rig->n_agents, 1);
	guest_agent(rig->guest, 5, eventfd(0, EFD_CLOEXEC));
	assert_int_equal(hears(rig, VM_ASK_AGENT).number.number, 5);
	guest_agent_end(rig->guest, 5);
	assert_int_equal(hears(rig, VM_ASK_AGENT_END).number.number, 5);
	says(rig, &asked);
	dies(rig);
	/* What the process that has gone was owed, the next one does not get. */
	connects(rig);
	begins(rig);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	guest_agent(rig->guest, 6, pair[1]);
	assert_int_equal(recv(pair[0], &byte, 1, 0), 0);
	close(pair[0]);
	hears_nothing(rig);
	says(rig, &asked);
	says(rig, &asked);
	assert_int_equal(rig->n_lost, 2);
	assert_string_equal(rig->why, "it asks for its agent twice");
	guest_agent_end(rig->guest, 6);
	rig_free(rig);
}

/* What has gone through a device is told when it is asked, and once. */
static void test_stats(void **state)
{
	struct vm_wire_stats stats = {.kind = VM_SAY_STATS, .urbs = 3, .in_bytes = 40};
	const struct vm_wire_stats_all all = {
		.kind = VM_SAY_STATS_ALL, .memory = 4096, .memory_share = 8192};
	struct rig *rig = rig_begun();
	struct urb_stats told;
	struct dev d;

	stats.device = device_opened(rig, &d).device;
	assert_false(guest_device_stats(d.gd, &told));
	assert_true(guest_ask_stats(rig->guest, true));
	assert_int_equal(hears(rig, VM_ASK_STATS).ask_stats.timed, 1);
	assert_false(guest_ask_stats(rig->guest, true));
	says(rig, &stats);
	says(rig, &all);
	assert_true(guest_device_stats(d.gd, &told));
	assert_int_equal(told.urbs, 3);
	assert_int_equal(told.in_bytes, 40);
	assert_int_equal(guest_memory(rig->guest).charged, 4096);
	assert_int_equal(guest_memory(rig->guest).share, 8192);
	/* One that dies owes nothing any more. */
	assert_true(guest_ask_stats(rig->guest, false));
	assert_int_equal(hears(rig, VM_ASK_STATS).ask_stats.timed, 0);
	dies(rig);
	assert_false(guest_ask_stats(rig->guest, true));
	connects(rig);
	begins(rig);
	assert_true(guest_ask_stats(rig->guest, true));
	hears(rig, VM_ASK_STATS);
	says(rig, &all);
	assert_int_equal(rig->n_lost, 1);
	/* One that tells what nobody has asked has lost its line. */
	says(rig, &all);
	assert_int_equal(rig->n_lost, 2);
	rig_free(rig);
}

/* One that says what answers nothing has lost its line, and what it had. */
static void test_taken_over(void **state)
{
	static const uint32_t unasked[] = {VM_SAY_OPENED, VM_SAY_IMPORTED, VM_SAY_SESSION_ENDED,
					   VM_SAY_WAS_RESET, VM_SAY_TAKEN};

	for (size_t i = 0; i < ARRAY_SIZE(unasked) + 5; i++) {
		struct rig *rig = rig_begun();
		struct dev d;
		struct vm_wire_give give = device_opened(rig, &d), other = {.device = 12345};

		if (i < ARRAY_SIZE(unasked)) {
			says_of(rig, &give, unasked[i], 0);
		} else if (i == ARRAY_SIZE(unasked)) {
			says_of(rig, &other, VM_SAY_GONE, 0);
		} else if (i == ARRAY_SIZE(unasked) + 1) {
			says_of(rig, &give, VM_SAY_GONE, 0);
			says_of(rig, &give, VM_SAY_GONE, 0);
		} else if (i == ARRAY_SIZE(unasked) + 2) {
			says(rig, &(struct vm_wire_started){.kind = VM_SAY_STARTED});
		} else if (i == ARRAY_SIZE(unasked) + 3) {
			says(rig, &(struct vm_wire_plain){.kind = VM_SAY_ENDED});
		} else {
			says_of(rig, &give, VM_SAY_STUCK, -ETIMEDOUT);
			says_of(rig, &give, VM_SAY_STUCK, -ETIMEDOUT);
		}
		assert_int_equal(rig->n_lost, 1);
		hears_end(rig);
		assert_null(d.gd);
		rig_free(rig);
	}
}

/* Whatever the line's end was: nothing comes back, and none follows, before the process has ended. */
static void test_a_process_that_goes_on_is_killed(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		struct rig *rig = rig_new();
		struct vm_wire_give give;
		struct dev d;

		dies(rig);
		connects_as(rig, goes_on_for_ever(rig));
		begins(rig);
		give = device_opened(rig, &d);
		if (i == 0)
			says_of(rig, &give, VM_SAY_TAKEN, 0);
		else if (i == 1)
			dies(rig);
		else
			guest_disconnect(rig->guest, "a test");
		assert_int_equal(rig->n_kills, 1);
		assert_int_equal(rig->n_lost, 1); /* the one before */
		assert_string_equal(d.said, "opened");
		/* What is said to it meanwhile is answered as by one that has died. */
		guest_reset(rig->guest, d.gd);
		guest_take(rig->guest, d.gd, true);
		turns(rig);
		assert_string_equal(d.said, "opened");
		is_killed(rig);
		assert_int_equal(rig->n_lost, 2);
		assert_string_equal(d.said, "opened reset taken");
		connects(rig);
		begins(rig);
		assert_int_equal(rig->n_stands, 2);
		rig_free(rig);
	}
}

/* What ends by itself is killed by nobody; and the end is waited for when nothing follows. */
static void test_a_process_that_ends(void **state)
{
	struct rig *rig = rig_new();
	struct dev d;

	dies(rig);
	connects_as(rig, goes_on_for_ever(rig));
	begins(rig);
	is_killed(rig);
	dies(rig);
	assert_int_equal(rig->n_kills, 0);
	assert_int_equal(rig->n_lost, 2);
	connects_as(rig, goes_on_for_ever(rig));
	begins(rig);
	device_opened(rig, &d);
	guest_stop(rig->guest);
	dies(rig);
	assert_int_equal(rig->n_kills, 1);
	assert_int_equal(rig->n_ended, 0);
	is_killed(rig);
	assert_int_equal(rig->n_ended, 1);
	assert_string_equal(d.said, "opened taken");
	rig_free(rig);
}

static void test_no_common_version(void **state)
{
	struct rig *rig = rig_new();
	struct vm_wire_hello hello = {
		.kind = VM_SAY_HELLO, .version = VM_WIRE_VERSION + 2, .least = VM_WIRE_VERSION + 1};

	says(rig, &hello);
	assert_int_equal(rig->n_lost, 1);
	assert_string_equal(rig->why, "it speaks no version that usbrouted does");
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_devices_way),
		cmocka_unit_test(test_the_card),
		cmocka_unit_test(test_given_before_it_stands),
		cmocka_unit_test(test_a_process_dies),
		cmocka_unit_test(test_connections_die_with_it),
		cmocka_unit_test(test_an_end),
		cmocka_unit_test(test_an_end_without_a_process),
		cmocka_unit_test(test_an_agent),
		cmocka_unit_test(test_stats),
		cmocka_unit_test(test_taken_over),
		cmocka_unit_test(test_a_process_that_goes_on_is_killed),
		cmocka_unit_test(test_a_process_that_ends),
		cmocka_unit_test(test_no_common_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
