/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest does by itself, and what its devices' routes make of it: it lets go of one, it
 * sleeps, it changes its card, it has the daemon's address.
 */
#include "tests/unit/route-fixture.h"

#include <string.h>

#define BOOT	   "0123456789abcdef"
#define LATER_BOOT "fedcba9876543210"

static const char *reason(const struct device *d)
{
	static char text[300];

	route_state_name(d, text, sizeof(text));
	return text;
}

/* In vm1 with a session, and then detached there by somebody. */
static void let_go(struct fixture *f)
{
	in_vm1(f);
	imports(f->keyboard, f->vm1);
	route_guest_lets_go(f->keyboard, BOOT);
	thread_of(f->keyboard)->events->session_ended(f->keyboard, 0, "");
}

static const char let_go_text[] =
	"let go in the guest; `usbroutectl attach keyboard vm1` gives it back";

static void let_go_lasts_until_the_next_command(void **state)
{
	struct fixture *f = *state;

	let_go(f);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	assert_string_equal(reason(f->keyboard), let_go_text);
	/* Not by the card's going, nor by what is said of other devices or of the host's drivers. */
	vm_is(f->vm1, false);
	assert_stands(f->keyboard, "vm1", "host", "claimed");
	vm_is(f->vm1, true);
	assert_string_equal(reason(f->keyboard), let_go_text);
	f->vm1->agents.there = (void *)f;
	command(f, f->vm1, 60);
	assert_int_equal(f->answers, 0);
	assert_string_equal(f->keyboard->route.let_go.vm, "");
	imports(f->keyboard, f->vm1);
	route_guest_says(f->keyboard, true, "");
	assert_answer(f, ROUTE_DONE, "keyboard: given to vm1 again in ");
	f->vm1->agents.there = NULL;
}

static void let_go_ends_by_an_import(void **state)
{
	struct fixture *f = *state;

	let_go(f);
	imports(f->keyboard, f->vm1);
	assert_stands(f->keyboard, "vm1", "vm1", "attached");
	assert_string_equal(f->keyboard->route.let_go.vm, "");
	thread_of(f->keyboard)->events->session_ended(f->keyboard, 0, "");
	assert_string_equal(reason(f->keyboard), "");
}

static void let_go_is_one_guests(void **state)
{
	struct fixture *f = *state;

	let_go(f);
	command(f, f->vm2, -1);
	settle(f);
	assert_stands(f->keyboard, "vm2", "vm2", "exported");
	assert_string_equal(reason(f->keyboard), "");
}

static void let_go_outlives_the_daemon(void **state)
{
	struct fixture *f = *state;

	let_go(f);
	assert_true(file_says(f, "claimed", "vm1 " BOOT));
	begin_anew(f);

	f->keyboard = plug(f, "S1");
	started(f);
	vm_is(f->vm1, true);
	settle(f);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	assert_string_equal(reason(f->keyboard), let_go_text);
	route_give_again(f->keyboard);
	assert_false(file_says(f, "claimed", BOOT));
	assert_string_equal(reason(f->keyboard), "");
}

static void a_guest_that_sleeps_is_said_to(void **state)
{
	struct fixture *f = *state;
	static const char asleep[] = "vm1 is asleep; it takes it back when it is awake";

	in_vm1(f);
	imports(f->keyboard, f->vm1);
	f->vm1->asleep = true;
	assert_stands(f->keyboard, "vm1", "vm1", "attached");
	thread_of(f->keyboard)->events->session_ended(f->keyboard, 0, "");
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	assert_string_equal(reason(f->keyboard), asleep);
	vm_is(f->vm1, false);
	assert_stands(f->keyboard, "vm1", "host", "claimed");
	assert_string_equal(reason(f->keyboard), asleep);
	f->vm1->asleep = false;
	vm_is(f->vm1, true);
	assert_string_equal(reason(f->keyboard), "");
}

/* ------------------------------------------------------------- its card */

static void card_is(struct vm *vm, struct guest_card card)
{
	card.up = true;
	vm->guest->events->link(vm->guest->ctx, &card);
}

static const char *warning(const struct vm *vm, unsigned i)
{
	static char text[512];

	return vm_card_warning(vm, i, text, sizeof(text)) ? text : "";
}

#define MAC1                              \
	{                                 \
		0x52, 0x54, 0, 0x77, 0, 1 \
	}
#define MAC2                              \
	{                                 \
		0x52, 0x54, 0, 0x77, 0, 2 \
	}
#define OTHER                       \
	{                           \
		0x02, 0, 0, 0, 0, 9 \
	}

static void what_is_wrong_with_a_card_is_said(void **state)
{
	struct fixture *f = *state;

	card_is(f->vm1, (struct guest_card){.mac = MAC1});
	assert_string_equal(warning(f->vm1, 0), "");
	card_is(f->vm2, (struct guest_card){.mac = MAC2, .foreign = MAC1});
	assert_non_null(strstr(warning(f->vm2, 0),
			       "vm2: its guest sends from 52:54:00:77:00:01, which is the card of "
			       "vm1: it reaches usbrouted, and no other guest"));
	assert_string_equal(warning(f->vm2, 1), "");
	card_is(f->vm2, (struct guest_card){.mac = MAC2, .foreign = AGENT_DAEMON_MAC});
	assert_non_null(strstr(warning(f->vm2, 0),
			       "vm2: its guest sends from 02:75:73:62:72:64, which is usbrouted's "
			       "own card: nothing that it sends goes anywhere"));
	card_is(f->vm2, (struct guest_card){.mac = MAC2, .has_daemon = true});
	assert_non_null(strstr(warning(f->vm2, 0), "has usbrouted's address 10.77.0.1 itself"));
	card_is(f->vm2, (struct guest_card){.mac = MAC2});
	assert_string_equal(warning(f->vm2, 0), "");
	assert_int_equal(
		reload_with(f, "[vm vm1]\nmac = 52:54:00:77:00:01\n[vm vm2]\n[vm vm3]\n", NULL), 0);
	vm_ends(f, "vm1");
	vms_stand(f);
	f->vm1 = vm_find(&f->daemon, "vm1");
	card_is(f->vm1, (struct guest_card){.mac = MAC1, .foreign = OTHER});
	assert_non_null(
		strstr(warning(f->vm1, 0),
		       "vm1: its guest sends from 02:00:00:00:00:09, and [vm vm1] says "
		       "mac = 52:54:00:77:00:01: it reaches usbrouted, and no other guest"));
}

static void a_mac_outlives_the_daemon(void **state)
{
	struct fixture *f = *state;

	card_is(f->vm1, (struct guest_card){.mac = OTHER});
	begin_anew(f);
	assert_true(f->vm1->has_mac);
	assert_memory_equal(f->vm1->mac, ((uint8_t[])OTHER), 6);
	assert_true(file_says(f, "cards", "vm1 02:00:00:00:00:09\n"));
	started(f);
}

static void the_line_to_type_is_one_that_works(void **state)
{
	struct fixture *f = *state;

	card_is(f->vm1, (struct guest_card){.mac = OTHER});
	command(f, f->vm1, -1);
	settle(f);
	assert_answer(f, ROUTE_DONE, "in vm1, type: usbip attach -r 10.77.0.1 -b keyboard");
	f->answers = 0;
	card_is(f->vm1, (struct guest_card){.mac = OTHER, .has_daemon = true});
	command(f, f->vm1, -1);
	assert_answer(f, ROUTE_DONE,
		      "in vm1, type: usbip attach -r fe80::1%$(grep -l 02:00:00:00:00:09 "
		      "/sys/class/net/*/address | cut -d/ -f5 | head -n 1) -b keyboard");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(let_go_lasts_until_the_next_command),
		T(let_go_ends_by_an_import),
		T(let_go_is_one_guests),
		T(let_go_outlives_the_daemon),
		T(a_guest_that_sleeps_is_said_to),
		T(what_is_wrong_with_a_card_is_said),
		T(a_mac_outlives_the_daemon),
		T(the_line_to_type_is_one_that_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
