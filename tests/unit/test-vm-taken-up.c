/* SPDX-License-Identifier: BSD-2-Clause */
/* Control's end of a VM's process that the last control has left. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/vm-process-rig.h"

static void goes_on(struct rig *rig, uint32_t version, uint32_t least)
{
	hears(rig, VM_ASK_HELLO);
	says(rig, &(struct vm_wire_hello){
			  .kind = VM_SAY_HELLO, .version = version, .least = least, .serves = 1});
}

static void holds(struct rig *rig, uint32_t number, unsigned held)
{
	struct vm_wire_held_device m = {.kind = VM_SAY_HELD,
					.device = number,
					.held = held,
					.identity = {.busnum = 1, .devnum = 2},
					.peer = {.port = 40000},
					.since_ns = 77};

	says(rig, &m);
}

static struct guest_device *take_up(struct rig *rig, struct dev *d, uint32_t number,
				    unsigned devnum, struct guest_held *held)
{
	struct usb_device_info info = {.busid = "1-1", .busnum = 1, .devnum = devnum};

	memset(d, 0, sizeof(*d));
	d->gd = guest_device_take_up(rig->guest, number, "keyboard", &info, &device_events, d,
				     held);
	return d->gd;
}

static void test_a_process_of_the_last_control_is_taken_up(void **state)
{
	struct rig *rig = rig_new();
	struct guest_held held;
	struct dev d, other;
	struct vm_wire_give give;

	goes_on(rig, VM_WIRE_VERSION, VM_WIRE_LEAST);
	hears(rig, VM_ASK_START);
	says(rig, &(struct vm_wire_started){.kind = VM_SAY_STARTED});
	hears(rig, VM_ASK_HELD);
	assert_int_equal(rig->n_stands, 0);
	says(rig, &(struct vm_wire_card){.kind = VM_SAY_CARD, .up = 1});
	assert_true(rig->up);
	holds(rig, 5, VM_HELD_OPENED | VM_HELD_SESSION);
	holds(rig, 6, VM_HELD_OPENED);
	holds(rig, 9, 0);
	says(rig, &(struct vm_wire_hid){.kind = VM_SAY_HID, .device = 5, .found.kinds[0][1] = 1});
	says(rig, &(struct vm_wire_plain){.kind = VM_SAY_HELD_ALL});
	assert_int_equal(rig->n_stands, 1);

	/* Another device than the one that was given is not it. */
	assert_null(take_up(rig, &d, 5, 3, &held));
	assert_null(take_up(rig, &d, 7, 2, &held));
	assert_non_null(take_up(rig, &d, 5, 2, &held));
	assert_true(held.opened && held.session && !held.taking);
	assert_int_equal(held.peer.port, 40000);
	assert_int_equal(held.since_ns, 77);
	assert_int_equal(held.hid.kinds[0][1], 1);
	assert_null(take_up(rig, &other, 5, 2, &held));

	/* Nobody's is taken; it is not heard any more. */
	guest_take_rest(rig->guest);
	assert_int_equal(hears(rig, VM_ASK_TAKE).device.device, 6);
	assert_int_equal(hears(rig, VM_ASK_TAKE).device.device, 9);
	hears_nothing(rig);
	says(rig, &(struct vm_wire_device_result){.kind = VM_SAY_TAKEN, .device = 6, .closed = 1});

	/* What was taken up goes its way; a new one has a number of its own. */
	says(rig, &(struct vm_wire_device_result){.kind = VM_SAY_SESSION_ENDED, .device = 5});
	assert_string_equal(d.said, "ended");
	give = device_given(rig, &other);
	assert_true(give.device > 9);
	says_of(rig, &give, VM_SAY_OPENED, 0);
	assert_int_equal(rig->n_lost, 0);

	/* With its process all is lost. */
	dies(rig);
	assert_string_equal(d.said, "ended taken");
	rig_free(rig);
}

static void test_a_process_that_serves_otherwise_ends(void **state)
{
	struct rig *rig = rig_new();

	goes_on(rig, VM_WIRE_VERSION, VM_WIRE_LEAST);
	hears(rig, VM_ASK_START);
	says(rig, &(struct vm_wire_started){.kind = VM_SAY_STARTED, .r = -EEXIST});
	hears(rig, VM_ASK_END);
	dies(rig);
	assert_int_equal(rig->n_lost, 1);
	connects(rig);
	begins(rig);
	assert_int_equal(rig->n_stands, 1);
	rig_free(rig);
}

/* The version that both speak. */
static void test_a_process_of_the_next_version_is_taken_up(void **state)
{
	struct rig *rig = rig_new();

	goes_on(rig, VM_WIRE_VERSION + 1, VM_WIRE_VERSION);
	hears(rig, VM_ASK_START);
	says(rig, &(struct vm_wire_started){.kind = VM_SAY_STARTED});
	hears(rig, VM_ASK_HELD);
	says(rig, &(struct vm_wire_plain){.kind = VM_SAY_HELD_ALL});
	assert_int_equal(rig->n_stands, 1);
	rig_free(rig);
}

/* Nothing is said to it before its QEMU connects anew (here: the listener is readable). */
static void test_a_strange_process_is_left_alone_until_its_vm_starts(void **state)
{
	struct rig *rig = rig_new();
	uint64_t one = 1;

	goes_on(rig, VM_WIRE_VERSION + 1, VM_WIRE_VERSION + 1);
	hears_nothing(rig);
	says(rig, &(struct vm_wire_card){.kind = VM_SAY_CARD, .up = 1});
	assert_int_equal(rig->n_lost + rig->n_stands, 0);
	assert_int_equal(write(rig->listener, &one, sizeof(one)), sizeof(one));
	hears(rig, VM_ASK_END);
	dies(rig);
	assert_int_equal(rig->n_lost, 1);
	rig_free(rig);
}

static void test_what_it_holds_is_told_once_and_when_asked(void **state)
{
	struct rig *rig = rig_begun();

	holds(rig, 1, VM_HELD_OPENED);
	hears_end(rig);
	rig_free(rig);
	rig = rig_new();
	goes_on(rig, VM_WIRE_VERSION, VM_WIRE_LEAST);
	hears(rig, VM_ASK_START);
	says(rig, &(struct vm_wire_started){.kind = VM_SAY_STARTED});
	holds(rig, 1, VM_HELD_OPENED);
	holds(rig, 1, VM_HELD_OPENED);
	assert_int_equal(rig->n_lost, 1);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_process_of_the_last_control_is_taken_up),
		cmocka_unit_test(test_a_process_that_serves_otherwise_ends),
		cmocka_unit_test(test_a_process_of_the_next_version_is_taken_up),
		cmocka_unit_test(test_a_strange_process_is_left_alone_until_its_vm_starts),
		cmocka_unit_test(test_what_it_holds_is_told_once_and_when_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
