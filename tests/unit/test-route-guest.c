/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest does by itself, and what its devices' routes make of it: it lets go of one, it
 * sleeps, it changes its card, it has the daemon's address.
 */
#include "tests/unit/route-fixture.h"

#include <stdio.h>
#include <string.h>

#define BOOT	   "0123456789abcdef"
#define LATER_BOOT "fedcba9876543210"

static const char *reason(const struct device *d)
{
	static char text[300];

	route_shown(d, text, sizeof(text));
	return text;
}

/* In vm1 with a session, and then detached there by somebody. */
static void let_go(struct fixture *f)
{
	in_vm1(f);
	imports(f->keyboard, f->vm1);
	route_guest_lets_go(f->keyboard, f->vm1, BOOT);
	thread_of(f->keyboard)->events->session_ended(thread_of(f->keyboard)->ctx, 0, "");
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
	f->takes = f->vm1;
	command(f, f->vm1, 60);
	assert_int_equal(f->answers, 0);
	assert_string_equal(f->keyboard->route->let_go.vm, "");
	imports(f->keyboard, f->vm1);
	route_guest_says(f->keyboard, f->vm1, true, "");
	assert_answer(f, ROUTE_DONE, "keyboard: given to vm1 again in ");
	f->takes = NULL;
}

static void let_go_ends_by_an_import(void **state)
{
	struct fixture *f = *state;

	let_go(f);
	imports(f->keyboard, f->vm1);
	assert_stands(f->keyboard, "vm1", "vm1", "attached");
	assert_string_equal(f->keyboard->route->let_go.vm, "");
	thread_of(f->keyboard)->events->session_ended(thread_of(f->keyboard)->ctx, 0, "");
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
	thread_of(f->keyboard)->events->session_ended(thread_of(f->keyboard)->ctx, 0, "");
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

/* Its guest sends from a MAC. */
static void sends_from(struct vm *vm, const uint8_t mac[6])
{
	vm->guest->events->mac_wanted(vm->guest->ctx, mac);
}

static const char *warning(const struct vm *vm, unsigned i)
{
	static char text[512];

	return vm_card_warning(vm, i, text, sizeof(text)) ? text : "";
}

static const uint8_t mac1[6] = {0x52, 0x54, 0, 0x77, 0, 1}, mac2[6] = {0x52, 0x54, 0, 0x77, 0, 2},
		     other[6] = {0x02, 0, 0, 0, 0, 9}, none[6];

#define MAC1                              \
	{                                 \
		0x52, 0x54, 0, 0x77, 0, 1 \
	}
#define OTHER                       \
	{                           \
		0x02, 0, 0, 0, 0, 9 \
	}

static void what_is_wrong_with_a_card_is_said(void **state)
{
	struct fixture *f = *state;

	sends_from(f->vm1, mac1);
	card_is(f->vm1, (struct guest_card){0});
	assert_string_equal(warning(f->vm1, 0), "");
	sends_from(f->vm2, mac2);
	card_is(f->vm2, (struct guest_card){.foreign = MAC1});
	assert_non_null(strstr(warning(f->vm2, 0),
			       "vm2: its guest sends from 52:54:00:77:00:01, which is the card of "
			       "vm1: it reaches usbrouted, and no other guest"));
	assert_string_equal(warning(f->vm2, 1), "");
	card_is(f->vm2, (struct guest_card){.foreign = AGENT_DAEMON_MAC});
	assert_non_null(strstr(warning(f->vm2, 0),
			       "vm2: its guest sends from 02:75:73:62:72:64, which is usbrouted's "
			       "own card: nothing that it sends goes anywhere"));
	card_is(f->vm2, (struct guest_card){.has_daemon = true});
	assert_non_null(strstr(warning(f->vm2, 0), "has usbrouted's address 10.77.0.1 itself"));
	card_is(f->vm2, (struct guest_card){0});
	assert_string_equal(warning(f->vm2, 0), "");
	assert_int_equal(
		reload_with(f, "[vm vm1]\nmac = 52:54:00:77:00:01\n[vm vm2]\n[vm vm3]\n", NULL), 0);
	vm_ends(f, "vm1");
	turn_ends();
	f->vm1 = vm_find(&f->rooms.vms, "vm1");
	card_is(f->vm1, (struct guest_card){.foreign = OTHER});
	assert_non_null(
		strstr(warning(f->vm1, 0),
		       "vm1: its guest sends from 02:00:00:00:00:09, and [vm vm1] says "
		       "mac = 52:54:00:77:00:01: it reaches usbrouted, and no other guest"));
}

static void a_mac_outlives_the_daemon(void **state)
{
	struct fixture *f = *state;

	sends_from(f->vm1, other);
	begin_anew(f);
	assert_true(f->vm1->has_mac);
	assert_memory_equal(f->vm1->mac, other, 6);
	assert_true(file_says(f, "cards", "vm1 02:00:00:00:00:09\n"));
	started(f);
}

static bool has_mac(const struct vm *vm, const uint8_t mac[6])
{
	return !memcmp(vm->guest->mac, mac, 6) && vm->has_mac == (memcmp(mac, none, 6) != 0) &&
	       (!vm->has_mac || !memcmp(vm->mac, mac, 6));
}

/* What control tells its guest's thread of another VM's card. */
static const struct net_peer *sees(const struct vm *vm, const struct vm *other_vm)
{
	assert_true(vm->guest->known >> other_vm->number & 1);
	return &vm->guest->peers[other_vm->number];
}

/* Its own, while its card is down, until it takes another one; a configured one comes before. */
static void a_mac_is_its_vms(void **state)
{
	struct fixture *f = *state;

	assert_true(has_mac(f->vm2, mac2));
	sends_from(f->vm1, other);
	assert_true(has_mac(f->vm1, other));
	assert_memory_equal(sees(f->vm2, f->vm1)->mac, other, 6);
	vm_is(f->vm1, false);
	sends_from(f->vm2, other);
	assert_true(f->vm2->guest->denied && has_mac(f->vm2, mac2));
	/* What no card may have. */
	sends_from(f->vm2, (const uint8_t[6])AGENT_DAEMON_MAC);
	assert_true(f->vm2->guest->denied);
	sends_from(f->vm2, (const uint8_t[6]){1, 2, 3, 4, 5, 6});
	assert_true(f->vm2->guest->denied && has_mac(f->vm2, mac2));
	sends_from(f->vm1, mac1);
	assert_true(has_mac(f->vm1, mac1));
	sends_from(f->vm2, other);
	assert_true(has_mac(f->vm2, other));
	assert_int_equal(
		reload_with(f, "[vm vm1]\n[vm vm2]\n[vm vm3]\n[vm vm4]\nmac = 02:00:00:00:00:09\n",
			    NULL),
		0);
	assert_true(has_mac(f->vm2, none));
	assert_memory_equal(vm_find(&f->rooms.vms, "vm4")->guest->mac, other, 6);
	assert_memory_equal(sees(f->vm2, vm_find(&f->rooms.vms, "vm4"))->mac, other, 6);
	sends_from(f->vm2, other);
	assert_true(f->vm2->guest->denied && has_mac(f->vm2, none));
	sends_from(vm_find(&f->rooms.vms, "vm4"), mac2);
	assert_true(vm_find(&f->rooms.vms, "vm4")->guest->denied);
}

static void wants_link(struct vm *vm, unsigned number)
{
	vm->guest->events->link_wanted(vm->guest->ctx, number);
}

static void guests_get_links_to_each_other(void **state)
{
	struct fixture *f = *state;
	struct net_link *l;
	struct net_link_frame in;
	static uint8_t frame[60];
	struct iovec part = {frame, sizeof(frame)};

	assert_true(sees(f->vm1, f->vm2)->up);
	assert_false(sees(f->vm1, f->vm3)->up);
	assert_memory_equal(&sees(f->vm1, f->vm3)->address, &f->vm3->address, 4);
	/* One that is down, itself, and none. */
	wants_link(f->vm1, f->vm3->number);
	wants_link(f->vm1, f->vm1->number);
	wants_link(f->vm1, 63);
	wants_link(f->vm1, 64);
	wants_link(f->vm1, ~0u);
	assert_int_equal(f->vm1->guest->linked, 0);
	wants_link(f->vm1, f->vm2->number);
	assert_int_equal(f->vm1->guest->linked, 1ull << f->vm2->number);
	assert_int_equal(f->vm2->guest->linked, 1ull << f->vm1->number);
	/* The same memory, the two sides of it; asked for again, it is there already. */
	l = &f->vm1->guest->links[f->vm2->number];
	assert_int_equal(net_link_send(l, &(struct virtio_net_hdr){0}, &part, 1, sizeof(frame)), 0);
	net_link_show(l);
	wants_link(f->vm2, f->vm1->number);
	assert_int_equal(net_link_peek(&f->vm2->guest->links[f->vm1->number], &in), 1);
	/* One that leaves takes it along. */
	assert_int_equal(reload_with(f, "[vm vm1]\n[vm vm3]\n", NULL), 0);
	vm_ends(f, "vm2");
	assert_int_equal(f->vm1->guest->linked, 0);
	assert_int_equal(f->vm1->guest->known, 1ull << f->vm3->number);
}

static int set_up_isolated(void **state)
{
	struct fixture *f = start_with("[network]\nisolate = yes\n[vm vm1]\n[vm vm2]\n", NULL);

	vm_is(f->vm1, true);
	vm_is(f->vm2, true);
	*state = f;
	return 0;
}

static void isolated_guests_get_none(void **state)
{
	struct fixture *f = *state;

	assert_true(sees(f->vm1, f->vm2)->isolated);
	wants_link(f->vm1, f->vm2->number);
	assert_int_equal(f->vm1->guest->linked, 0);
}

static void isolated_guests_get_one_where_they_may_talk(void **state)
{
	static const char vms[] = "[vm vm1]\n[vm vm2]\n[vm vm3]\n";
	struct fixture *f = *state;
	char text[200];

	snprintf(text, sizeof(text), "[network]\nisolate = yes\ntalk = vm2:vm1\n%s", vms);
	assert_int_equal(reload_with(f, text, NULL), 0);
	f->vm3 = vm_find(&f->rooms.vms, "vm3");
	vm_is(f->vm3, true);
	assert_false(sees(f->vm1, f->vm2)->isolated);
	assert_false(sees(f->vm2, f->vm1)->isolated);
	assert_true(sees(f->vm1, f->vm3)->isolated);
	wants_link(f->vm1, f->vm3->number);
	assert_int_equal(f->vm1->guest->linked, 0);
	wants_link(f->vm1, f->vm2->number);
	assert_int_equal(f->vm1->guest->linked, 1ull << f->vm2->number);
	snprintf(text, sizeof(text), "[network]\nisolate = yes\ntalk = vm2:vm3\n%s", vms);
	assert_int_equal(reload_with(f, text, NULL), 0);
	assert_true(sees(f->vm1, f->vm2)->isolated);
	assert_false(sees(f->vm3, f->vm2)->isolated);
}

static void the_line_to_type_is_one_that_works(void **state)
{
	struct fixture *f = *state;

	sends_from(f->vm1, other);
	command(f, f->vm1, -1);
	settle(f);
	assert_answer(f, ROUTE_DONE, "in vm1, type: usbip attach -r 10.77.0.1 -b keyboard");
	f->answers = 0;
	card_is(f->vm1, (struct guest_card){.has_daemon = true});
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
		T(a_mac_is_its_vms),
		T(guests_get_links_to_each_other),
		cmocka_unit_test_setup_teardown(isolated_guests_get_none, set_up_isolated,
						tear_down),
		cmocka_unit_test_setup_teardown(isolated_guests_get_one_where_they_may_talk,
						set_up_isolated, tear_down),
		T(the_line_to_type_is_one_that_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
