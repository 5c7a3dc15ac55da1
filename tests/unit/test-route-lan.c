/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices that machines on the LAN may import: which are offered, to whom, and what takes them from there. */
#include "tests/unit/route-fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/devices/host_inputs.h"
#include "policy/usb_class.h"

#define VMS                      \
	"[vm vm1]\n"             \
	"[vm vm2]\n"             \
	"[device keyboard]\n"    \
	"match = id=046d:c31c\n" \
	"[device mouse]\n"       \
	"match = id=046d:c077\n" \
	"[group desk]\n"         \
	"devices = keyboard mouse\n"
#define LAN                                        \
	VMS "[lan-export]\n"                       \
	    "listen = 10.9.0.1:3240 [fd09::1]:9\n" \
	    "[export keyboard]\n"                  \
	    "to = 10.9.0.0/24 fd09::/64\n"

static const struct guest_peer friend = {.address = {10, 9, 0, 7}, .port = 40000};
static const struct guest_peer stranger = {.address = {10, 9, 1, 7}, .port = 40000};

static struct vm *lan_of(struct fixture *f)
{
	return lan_vm(&f->rooms.vms);
}

static int begin_with(void **state, const char *config, const char *rules)
{
	struct fixture *f = start_with(config, rules);

	vm_is(f->vm1, true);
	vm_is(f->vm2, true);
	plug(f, "S1");
	settle(f);
	*state = f;
	return 0;
}

static int begin_lan(void **state)
{
	return begin_with(state, LAN, NULL);
}

static int begin_plain(void **state)
{
	return begin_with(state, VMS, NULL);
}

/* A client asks as its process tells it. */
static void asks_for(struct fixture *f, const struct guest_peer *peer, const char *name)
{
	struct vm *lan = lan_of(f);

	lan->guest->events->lan_asked(lan->guest->ctx, 8, name, peer);
	turn_ends();
}

static void has_it(struct fixture *f, const struct guest_peer *peer)
{
	struct guest_device *gd = thread_of(f->keyboard);
	unsigned n = n_imports;

	asks_for(f, peer, "keyboard");
	assert_int_equal(n_imports, n + 1);
	gd->events->imported(gd->ctx, 0, peer);
	turn_ends();
}

static void assert_offered(struct fixture *f)
{
	assert_ptr_equal(guest_of(f->keyboard), lan_of(f)->guest);
	assert_true(thread_of(f->keyboard)->exported);
	assert_stands(f->keyboard, "host", "host", "exported");
}

/* ------------------------------------------------------------- what is offered */

static void off_without_the_section(void **state)
{
	struct fixture *f = *state;

	assert_null(lan_of(f));
	assert_int_equal(asks_to_listen(), 0);
	assert_stands(f->keyboard, "host", "host", "present");
	assert_int_equal(reload_with(f, VMS "[export keyboard]\nto = 10.9.0.7\n", NULL), 0);
	settle(f);
	assert_null(lan_of(f));
	assert_stands(f->keyboard, "host", "host", "present");
}

static void a_named_device_is_offered(void **state)
{
	struct fixture *f = *state;
	char reason[300];

	assert_offered(f);
	assert_int_equal(thread_of(f->keyboard)->n_to, 2);
	assert_int_equal(thread_of(f->keyboard)->to[0].bits, 24);
	route_shown(f->keyboard, reason, sizeof(reason));
	assert_string_equal(reason, "offered over the LAN to 10.9.0.0/24 fd09::/64");
	/* In no VM's list, and another device in none at all. */
	assert_false(route_exported_to(f->keyboard, f->vm1));
	plug_at(f, "1-4", 0xc077, "S2", 1u << USB_CLASS_HID_MOUSE);
	settle(f);
	assert_stands(list_entry(f->rooms.devices.all.prev, struct device, link), "host", "host",
		      "present");
}

static void a_group_is_offered(void **state)
{
	struct fixture *f = *state;
	struct device *mouse;

	assert_int_equal(reload_with(f,
				     VMS "[lan-export]\nlisten = 10.9.0.1\n"
					 "[export desk]\nto = 10.9.0.9\n"
					 "[export keyboard]\nto = 10.9.0.7\n",
				     NULL),
			 0);
	mouse = plug_at(f, "1-4", 0xc077, "S2", 1u << USB_CLASS_HID_MOUSE);
	settle(f);
	assert_int_equal(thread_of(f->keyboard)->n_to, 2);
	assert_int_equal(thread_of(mouse)->n_to, 1);
	assert_int_equal(thread_of(mouse)->to[0].address[3], 9);
}

static void sockets_come_from_the_broker(void **state)
{
	struct fixture *f = *state;
	char text[300];

	assert_int_equal(asks_to_listen(), 2);
	assert_int_equal(lan_of(f)->guest->n_sockets, 0);
	listens(0, "");
	assert_int_equal(lan_of(f)->guest->n_sockets, 1);
	assert_false(lan_warning(&f->rooms.vms, 0, text, sizeof(text)));
	listens(-EADDRINUSE, "another program listens there");
	assert_true(lan_warning(&f->rooms.vms, 0, text, sizeof(text)));
	assert_non_null(strstr(text, "[fd09::1]:9: another program listens there"));
	assert_false(lan_warning(&f->rooms.vms, 1, text, sizeof(text)));
	/* A reload keeps what stays, and closes what goes. */
	assert_int_equal(reload_with(f,
				     VMS "[lan-export]\nlisten = 10.9.0.1:3240 10.9.0.2\n"
					 "[export keyboard]\nto = 10.9.0.0/24\n",
				     NULL),
			 0);
	assert_int_equal(asks_to_listen(), 1);
	assert_int_equal(lan_of(f)->guest->n_sockets, 1);
	listens(0, "");
	assert_int_equal(lan_of(f)->guest->n_sockets, 2);
	assert_int_equal(reload_with(f,
				     VMS "[lan-export]\nlisten = 10.9.0.2\n"
					 "[export keyboard]\nto = 10.9.0.0/24\n",
				     NULL),
			 0);
	assert_int_equal(lan_of(f)->guest->n_sockets, 1);
	assert_offered(f);
}

/* ------------------------------------------------------------- who may have it */

static void who_may_not_is_told_that_there_is_none(void **state)
{
	struct fixture *f = *state;
	struct guest *lan = lan_of(f)->guest;

	asks_for(f, &stranger, "keyboard");
	assert_int_equal(lan->n_refused, 1);
	asks_for(f, &stranger, f->keyboard->busid);
	assert_int_equal(lan->n_refused, 2);
	asks_for(f, &friend, "mouse");
	assert_int_equal(lan->n_refused, 3);
	has_it(f, &friend);
	assert_int_equal(lan->n_refused, 3);
	assert_stands(f->keyboard, "host", "host", "attached");
	/* And who may is told that it is busy, when the one that has it was asked whether it lives. */
	asks_for(f, &friend, "keyboard");
	assert_int_equal(lan->n_probed, 1);
	asks_for(f, &stranger, "keyboard");
	assert_int_equal(lan->n_refused, 4);
}

static void who_may_no_longer_loses_it(void **state)
{
	struct fixture *f = *state;

	has_it(f, &friend);
	assert_int_equal(reload_with(f,
				     VMS "[lan-export]\nlisten = 10.9.0.1\n"
					 "[export keyboard]\nto = 10.9.0.8\n",
				     NULL),
			 0);
	assert_true(thread_of(f->keyboard)->taking);
	settle(f);
	assert_offered(f);
	assert_false(asks_rebind(f->keyboard));
}

static void who_still_may_keeps_it(void **state)
{
	struct fixture *f = *state;

	has_it(f, &friend);
	assert_int_equal(reload_with(f,
				     VMS "[lan-export]\nlisten = 10.9.0.1\n"
					 "[export keyboard]\nto = 10.9.0.7\n",
				     NULL),
			 0);
	settle(f);
	assert_stands(f->keyboard, "host", "host", "attached");
	assert_int_equal(thread_of(f->keyboard)->n_to, 1);
}

/* ------------------------------------------------------------- what takes it from there */

static void a_guest_gets_what_is_offered(void **state)
{
	struct fixture *f = *state;

	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: the LAN -> vm1");
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	/* What a guest has is not offered. */
	asks_for(f, &friend, "keyboard");
	assert_int_equal(lan_of(f)->guest->n_refused, 1);
}

static void what_a_machine_has_is_busy(void **state)
{
	struct fixture *f = *state;

	has_it(f, &friend);
	say(f, ROUTE_ATTACH, "keyboard", f->vm1);
	assert_answer(f, ROUTE_BUSY, "10.9.0.7 has it, over the LAN");
	settle(f);
	assert_stands(f->keyboard, "host", "host", "attached");
	say(f, ROUTE_ASSIGN, "keyboard", f->vm1);
	assert_answer(f, ROUTE_BUSY, "10.9.0.7 has it, over the LAN");
	say_with(f, (struct route_ask){.verb = ROUTE_ATTACH, .vm = f->vm1, .force = true},
		 "keyboard");
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: the LAN -> vm1");
}

static void detach_gives_it_to_the_host_and_release_offers_it_again(void **state)
{
	struct fixture *f = *state;

	has_it(f, &friend);
	say(f, ROUTE_ATTACH, "keyboard", NULL);
	assert_true(thread_of(f->keyboard)->taking);
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: the LAN -> host");
	assert_stands(f->keyboard, "host", "host", "present");
	say(f, ROUTE_RELEASE, "keyboard", NULL);
	settle(f);
	assert_answer(f, ROUTE_DONE, "keyboard: host -> the LAN");
	assert_offered(f);
}

static void a_rule_goes_before(void **state)
{
	struct fixture *f = *state;

	has_it(f, &friend);
	assert_int_equal(reload_with(f, LAN, "allow id=046d:c31c to vm1 attach=auto\n"), 0);
	settle(f);
	assert_stands(f->keyboard, "vm1", "vm1", "exported");
	assert_int_equal(reload_with(f, LAN, ""), 0);
	settle(f);
	assert_offered(f);
}

static void the_hosts_last_keyboard_is_offered_where_it_is_named(void **state)
{
	struct fixture *f = *state;
	struct guest_device *gd = thread_of(f->keyboard);
	struct device *d;

	unplug(f->keyboard);
	drop(gd);
	f->other_keyboards = 0;
	d = plug(f, "S1");
	settle(f);
	assert_ptr_equal(guest_of(d), lan_of(f)->guest);
}

/* ------------------------------------------------------------- processes come and go */

static void its_process_dies(void **state)
{
	struct fixture *f = *state;
	struct vm *lan = lan_of(f);
	struct guest_device *gd = thread_of(f->keyboard);

	listens(0, "");
	has_it(f, &friend);
	/* As vm_process.c tells it. */
	gd->in = NULL;
	gd->opened = false;
	gd->events->session_ended(gd->ctx, 0, "its VM's process has ended");
	gd->events->taken(gd->ctx, true, 0, "");
	lan->guest->n_sockets = 0;
	lan->guest->process->lost(lan->guest->ctx, "it was killed");
	turn_ends();
	while (!lan->connected)
		assert_true(rooms_turn(&f->rooms, true) >= 0);
	settle(f);
	/* The next one listens at the same sockets. */
	assert_int_equal(lan->guest->n_sockets, 1);
	assert_false(file_says(f, "sessions", "10.9.0.7"));
}

static void the_section_goes_and_comes(void **state)
{
	struct fixture *f = *state;
	struct vm *lan = lan_of(f);

	listens(0, "");
	assert_int_equal(reload_with(f, VMS, NULL), 0);
	assert_null(lan_of(f));
	assert_int_equal(lan->guest->n_sockets, 0);
	settle(f);
	assert_stands(f->keyboard, "host", "host", "present");
	assert_true(lan->guest->told_to_end);
	/* Wanted again before the process has ended. */
	assert_int_equal(reload_with(f, LAN, NULL), 0);
	assert_null(lan_of(f));
	lan->guest->events->ended(lan->guest->ctx);
	turn_ends();
	settle(f);
	assert_non_null(lan_of(f));
	assert_offered(f);
}

static void the_next_daemon_takes_it_up(void **state)
{
	struct fixture *f = *state;

	has_it(f, &friend);
	assert_true(file_says(f, "claimed", "lan.export 7"));
	left_there = true;
	left_held = (struct guest_held){.opened = true, .session = true, .peer = friend};
	begin_anew(f);
	plug(f, "S1");
	started(f);
	assert_stands(f->keyboard, "host", "host", "attached");
	assert_ptr_equal(guest_of(f->keyboard), lan_of(f)->guest);
	left_there = false;
}

#define L(f) cmocka_unit_test_setup_teardown(f, begin_lan, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(off_without_the_section, begin_plain, tear_down),
		L(a_named_device_is_offered),
		L(a_group_is_offered),
		L(sockets_come_from_the_broker),
		L(who_may_not_is_told_that_there_is_none),
		L(who_may_no_longer_loses_it),
		L(who_still_may_keeps_it),
		L(a_guest_gets_what_is_offered),
		L(what_a_machine_has_is_busy),
		L(detach_gives_it_to_the_host_and_release_offers_it_again),
		L(a_rule_goes_before),
		L(the_hosts_last_keyboard_is_offered_where_it_is_named),
		L(its_process_dies),
		L(the_section_goes_and_comes),
		L(the_next_daemon_takes_it_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
