/* SPDX-License-Identifier: BSD-2-Clause */
/* Further networks as control has them: who has a card where, the uplink's process, a reload. */
#include "tests/unit/route-fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char two_networks[] = "[vm vm1]\n[vm vm2]\ntrust-mac = yes\n"
				   "[network lan]\nuplink = tap:tap0\n[network inner]\n";

static const uint8_t one[6] = {2, 0, 0, 0, 0, 1}, other[6] = {2, 0, 0, 0, 0, 2};

static int begin_two(void **state)
{
	*state = start_with(two_networks, NULL);
	return 0;
}

/* What a process says of a card of its own. */
static void card_is(struct vm *vm, unsigned net, bool up, const uint8_t *mac)
{
	struct guest_card card = {.up = up};

	if (mac)
		memcpy(card.mac, mac, 6);
	vm->guest->process->nets->card(vm->guest->ctx, net, &card);
}

static void wants_mac(struct vm *vm, unsigned net, const uint8_t mac[6])
{
	vm->guest->process->nets->mac_wanted(vm->guest->ctx, net, mac);
}

static void tap_is(const char *network, bool has)
{
	struct guest *uplink = uplink_of(network);

	uplink->process->nets->tap(uplink->ctx, has);
}

static bool file_is(const struct fixture *f, const char *name)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/run/%s", f->folder, name);
	return access(path, F_OK) == 0;
}

static bool warned(struct fixture *f, const char *network, const char *words)
{
	char text[512];

	return network_warning(network_find(&f->rooms.vms, network), text, sizeof(text)) &&
	       strstr(text, words);
}

static void every_vm_has_a_card_on_each(void **state)
{
	struct fixture *f = *state;

	assert_true(f->vm1->guest->nets[0].told && f->vm1->guest->nets[1].told);
	assert_true(f->vm1->guest->nets_told);
	assert_string_equal(f->vm2->guest->nets[1].name, "inner");
	assert_false(f->vm1->guest->nets[0].any_mac);
	assert_true(f->vm2->guest->nets[0].any_mac);
	assert_true(file_is(f, "vm1.lan.sock") && file_is(f, "vm2.inner.sock"));
	assert_non_null(uplink_of("lan"));
	assert_null(uplink_of("inner"));
}

/* Each network has its own ports, its own MACs, its own links. */
static void networks_are_apart(void **state)
{
	struct fixture *f = *state;
	unsigned n1 = f->vm1->nics[0].number, n2 = f->vm2->nics[0].number;
	struct guest *uplink = uplink_of("lan");
	const struct network *lan = network_find(&f->rooms.vms, "lan");

	card_is(f->vm1, 0, true, NULL);
	card_is(f->vm2, 0, true, NULL);
	wants_mac(f->vm1, 0, one);
	assert_memory_equal(f->vm1->guest->nets[0].mac, one, 6);
	assert_memory_equal(f->vm2->guest->nets[0].peers[n1].mac, one, 6);
	/* The same one is free on another network, and taken on this one. */
	wants_mac(f->vm2, 1, one);
	assert_memory_equal(f->vm2->guest->nets[1].mac, one, 6);
	wants_mac(f->vm2, 0, one);
	assert_true(f->vm2->guest->denied);
	f->vm1->guest->process->nets->link_wanted(f->vm1, 0, n2);
	assert_int_equal(f->vm1->guest->nets[0].linked, 1ull << n2);
	assert_int_equal(f->vm2->guest->nets[0].linked, 1ull << n1);
	assert_int_equal(f->vm1->guest->nets[1].linked, 0);
	assert_int_equal(f->vm1->guest->linked, 0);
	/* The uplink, once it has its tap. */
	assert_false(f->vm1->guest->nets[0].peers[lan->uplink_number].up);
	tap_is("lan", true);
	assert_true(f->vm1->guest->nets[0].peers[lan->uplink_number].up);
	assert_true(f->vm1->guest->nets[0].peers[lan->uplink_number].any);
	f->vm1->guest->process->nets->link_wanted(f->vm1, 0, lan->uplink_number);
	assert_int_equal(uplink->nets[0].linked, 1ull << n1);
	/* Numbers that are none. */
	f->vm1->guest->process->nets->link_wanted(f->vm1, 0, 999);
	f->vm1->guest->process->nets->link_wanted(f->vm1, 7, n2);
	wants_mac(f->vm1, 7, other);
	card_is(f->vm1, 7, true, NULL);
}

static void the_uplink_gets_its_tap(void **state)
{
	struct fixture *f = *state;
	struct guest *uplink = uplink_of("lan");

	assert_true(warned(f, "lan", "it is not there yet"));
	assert_false(network_warning(network_find(&f->rooms.vms, "inner"), (char[512]){""}, 512));
	tap_is("lan", false);
	assert_true(asks_tap());
	tap_opens(-ENODEV, "there is no such tap");
	assert_int_equal(uplink->n_taps, 0);
	assert_true(warned(f, "lan", "tap0: there is no such tap"));
	/* Said again, it is asked for again at once. */
	tap_is("lan", false);
	tap_opens(0, "");
	assert_int_equal(uplink->n_taps, 1);
	tap_is("lan", true);
	assert_false(warned(f, "lan", ""));
	assert_false(asks_tap());
	/* Its device is gone. */
	tap_is("lan", false);
	assert_true(warned(f, "lan", "tap0"));
	assert_true(asks_tap());
}

static void a_clash_is_said(void **state)
{
	struct guest_card card = {.up = true};
	struct fixture *f = *state;
	char text[512];

	wants_mac(f->vm1, 0, one);
	memcpy(card.foreign, one, 6);
	f->vm2->guest->process->nets->card(f->vm2, 0, &card);
	assert_true(vm_nic_warning(f->vm2, network_find(&f->rooms.vms, "lan"), text, sizeof(text)));
	assert_non_null(
		strstr(text, "02:00:00:00:00:01 on the network lan, which is the card of vm1"));
	card_is(f->vm2, 0, true, NULL);
	assert_false(
		vm_nic_warning(f->vm2, network_find(&f->rooms.vms, "lan"), text, sizeof(text)));
}

static void a_mac_outlives_the_daemon(void **state)
{
	struct fixture *f = *state;

	wants_mac(f->vm1, 1, one);
	begin_anew(f);
	started(f);
	assert_memory_equal(f->vm1->guest->nets[1].mac, one, 6);
	wants_mac(f->vm2, 1, one);
	assert_true(f->vm2->guest->denied);
}

/* Where control ends alone, guests keep their way out. */
static void control_leaves_all_as_it_is(void **state)
{
	struct fixture *f = *state;
	unsigned number = network_find(&f->rooms.vms, "lan")->uplink_number;

	card_is(f->vm1, 0, true, NULL);
	tap_is("lan", true);
	f->vm1->guest->process->nets->link_wanted(f->vm1, 0, number);
	assert_int_equal(f->vm1->guest->nets[0].linked, 1ull << number);
	network_uplinks_leave(&f->rooms.vms);
	assert_int_equal(f->vm1->guest->nets[0].linked, 1ull << number);
	assert_true(f->vm1->guest->nets[0].peers[number].up);
}

/* A network has left the configuration while there was no daemon. */
static void sockets_that_are_left_go(void **state)
{
	struct fixture *f = *state;
	char path[160];
	FILE *file;

	snprintf(path, sizeof(path), "%s/run/vm1.left.sock", f->folder);
	file = fopen(path, "we");
	assert_non_null(file);
	fclose(file);
	begin_anew(f);
	started(f);
	assert_false(file_is(f, "vm1.left.sock"));
	assert_true(file_is(f, "vm1.lan.sock") && file_is(f, "vm1.sock"));
}

static void a_reload_brings_and_takes_networks(void **state)
{
	struct fixture *f = *state;
	struct guest *before = f->vm1->guest;

	assert_int_equal(reload_with(f,
				     "[vm vm1]\n[vm vm2]\ntrust-mac = yes\n[vm vm3]\n"
				     "[network inner]\n[network third]\n",
				     NULL),
			 0);
	f->vm3 = vm_find(&f->rooms.vms, "vm3");
	assert_ptr_equal(f->vm1->guest, before);
	assert_string_equal(before->nets[0].name, "third");
	assert_string_equal(before->nets[1].name, "inner");
	assert_string_equal(f->vm3->guest->nets[1].name, "inner");
	assert_false(file_is(f, "vm1.lan.sock"));
	assert_true(file_is(f, "vm3.third.sock"));
	assert_true(uplink_of("lan")->told_to_end);
	/* The next one of this name waits for its end. */
	assert_int_equal(reload_with(f, two_networks, NULL), 0);
	assert_true(uplink_of("lan")->told_to_end);
	uplink_of("lan")->events->ended(uplink_of("lan")->ctx);
	assert_non_null(uplink_of("lan"));
	assert_false(uplink_of("lan")->told_to_end);
	assert_true(vm_ends(f, "vm3"));
	assert_false(file_is(f, "vm3.third.sock"));
}

static bool card_warned(struct fixture *f, const char *words)
{
	char text[512];

	return vm_nic_warning(f->vm1, network_find(&f->rooms.vms, "inner"), text, sizeof(text)) &&
	       strstr(text, words);
}

/* Something stands where a card's socket is to be. It is said, until another reload has made the socket. */
static void a_socket_that_cannot_be_made_is_said(void **state)
{
	struct fixture *f = *state;
	char path[160];

	assert_int_equal(reload_with(f, "[vm vm1]\n[vm vm2]\n", NULL), 0);
	snprintf(path, sizeof(path), "%s/run/vm1.inner.sock", f->folder);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(reload_with(f, "[vm vm1]\n[vm vm2]\n[network inner]\n", NULL), 0);
	assert_true(card_warned(f, "vm1: its card on the network inner can't be had: "));
	assert_false(vm_nic_warning(f->vm2, network_find(&f->rooms.vms, "inner"), path, 0));
	assert_false(f->vm1->nics[0].entered);
	snprintf(path, sizeof(path), "%s/run/vm1.inner.sock", f->folder);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(reload_with(f, "[vm vm1]\n[vm vm2]\n[network inner]\n", NULL), 0);
	assert_false(card_warned(f, ""));
	assert_true(f->vm1->nics[0].entered && f->vm1->guest->nets[0].told);
	assert_true(file_is(f, "vm1.inner.sock"));
}

static void a_lost_process_is_told_anew(void **state)
{
	struct fixture *f = *state;
	unsigned n1 = f->vm1->nics[0].number;

	wants_mac(f->vm1, 0, one);
	card_is(f->vm1, 0, true, one);
	assert_true(f->vm1->nics[0].up);
	memset(f->vm1->guest->nets, 0, sizeof(f->vm1->guest->nets));
	f->vm1->guest->process->lost(f->vm1, "the test says so");
	assert_false(f->vm1->nics[0].up);
	assert_false(f->vm2->guest->nets[0].peers[n1].up);
	/* It was there for a moment only: the next one is asked for at once. */
	for (unsigned i = 0; i < 3 && !f->vm1->guest->nets[0].told; i++)
		loop_turn(f->rooms.core.loop, true);
	assert_true(f->vm1->guest->nets[0].told);
	assert_memory_equal(f->vm1->guest->nets[0].mac, one, 6);
	assert_int_equal(f->vm1->nics[0].number, n1);
}

#define N(f) cmocka_unit_test_setup_teardown(f, begin_two, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		N(every_vm_has_a_card_on_each),
		N(networks_are_apart),
		N(the_uplink_gets_its_tap),
		N(a_clash_is_said),
		N(a_mac_outlives_the_daemon),
		N(control_leaves_all_as_it_is),
		N(sockets_that_are_left_go),
		N(a_reload_brings_and_takes_networks),
		N(a_socket_that_cannot_be_made_is_said),
		N(a_lost_process_is_told_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
