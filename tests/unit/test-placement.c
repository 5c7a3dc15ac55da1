/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device in two VMs, in each for something else: each has its own session and its own way, and the route takes a step
 * with each.
 */
#include "tests/unit/route-fixture.h"

#include <errno.h>
#include <unistd.h>

#include "daemon/routing/placement.h"

/* The keyboard in vm1, whose guest may have it; and in vm2, claimed and only kept from the host. */
static struct placement *in_both(struct fixture *f)
{
	const struct placement *first;
	struct placement *second;

	in_vm1(f);
	first = placement_first(f->keyboard);
	second = placement_new(f->keyboard, f->vm2, PLACEMENT_KEPT);
	assert_non_null(second);
	second->gd = guest_device_new("keyboard", &f->keyboard->info, dup(0), f->rooms.core.loop,
				      first->gd->events, second);
	guest_give(f->vm2->guest, second->gd);
	second->state = PLACEMENT_HELD;
	second->gd->opened = true;
	vm_raise(f->vm2, EVENT_EXPORTS_CHANGED);
	turn_ends();
	return second;
}

/* Its thread has let go of it. */
static void leaves(struct placement *placement)
{
	struct guest_device *gd = placement->gd;

	assert_true(gd->taking && gd->close_it);
	gd->taking = gd->opened = false;
	gd->in = NULL;
	gd->events->taken(placement, true, 0, "");
	turn_ends();
}

static void each_has_it_for_its_own(void **state)
{
	struct fixture *f = *state;
	struct placement *second = in_both(f);

	assert_int_equal(f->vm1->n_devices, 1);
	assert_int_equal(f->vm2->n_devices, 1);
	assert_ptr_equal(placement_in(f->keyboard, f->vm2), second);
	assert_null(placement_in(f->keyboard, f->vm3));
	/* Only one of the guests may import it. */
	assert_true(route_exported_to(f->keyboard, f->vm1));
	assert_false(route_exported_to(f->keyboard, f->vm2));
	assert_true(thread_of(f->keyboard)->exported);
	assert_false(second->gd->exported);
	assert_int_equal(route_import(f->keyboard, f->vm2, 9), -ENODEV);
	/* What one guest says is not said of the other. */
	route_guest_says(f->keyboard, f->vm2, false, "no free port");
	assert_string_equal(second->guest_text, "no free port");
	assert_string_equal(placement_first(f->keyboard)->guest_text, "");
	imports(f->keyboard, f->vm1);
	assert_false(second->session);
	assert_stands(f->keyboard, "vm1", "vm1", "attached");
}

static void the_one_that_is_not_wanted_leaves(void **state)
{
	struct fixture *f = *state;
	struct placement *second = in_both(f);

	imports(f->keyboard, f->vm1);
	assert_false(thread_of(f->keyboard)->taking);
	leaves(second);
	assert_int_equal(f->vm2->n_devices, 0);
	assert_null(placement_in(f->keyboard, f->vm2));
	/* The other one has noticed nothing. */
	assert_false(thread_of(f->keyboard)->taking);
	assert_stands(f->keyboard, "vm1", "vm1", "attached");
	assert_false(asks_open(f->keyboard) || asks_rebind(f->keyboard));
}

/* It is there already, and gets another role; the one before closes it, as there is nobody to hand it over to. */
static void one_takes_over_what_the_other_has(void **state)
{
	struct fixture *f = *state;
	struct placement *second = in_both(f), *first = placement_first(f->keyboard);

	second->gd->taking = second->gd->close_it = false;
	second->state = PLACEMENT_HELD;
	command(f, f->vm2, -1);
	assert_int_equal(second->role, PLACEMENT_GUEST);
	assert_true(route_exported_to(f->keyboard, f->vm2));
	assert_true(second->gd->exported);
	assert_false(route_exported_to(f->keyboard, f->vm1));
	leaves(first);
	assert_ptr_equal(placement_first(f->keyboard), second);
	assert_stands(f->keyboard, "vm2", "vm2", "exported");
	assert_false(asks_open(f->keyboard));
	assert_answer(f, ROUTE_DONE, "keyboard: vm1 -> vm2");
}

static void unplugged_it_leaves_both(void **state)
{
	struct fixture *f = *state;
	struct guest_device *first, *second = in_both(f)->gd;

	first = thread_of(f->keyboard);
	unplug(f->keyboard);
	assert_true(first->taking && second->taking);
	assert_null(first->events);
	assert_null(second->events);
	assert_int_equal(f->vm1->n_devices + f->vm2->n_devices, 0);
	drop(first);
	drop(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_has_it_for_its_own),
		T(the_one_that_is_not_wanted_leaves),
		T(one_takes_over_what_the_other_has),
		T(unplugged_it_leaves_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
