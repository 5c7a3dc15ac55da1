/* SPDX-License-Identifier: BSD-2-Clause */
/* Further networks as a process has them, with a scripted control: an uplink's, and a guest's cards. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "tests/unit/line-rig.h"
#include "vhost_user_net/net_counts.h"
#include "vhost_user_net/net_link.h"
#include "vhost_user_net/net_peers.h"

static const uint8_t one[6] = {2, 0, 0, 0, 0, 1}, other[6] = {2, 0, 0, 0, 0, 2};

static int be_uplink(struct rig *rig, const char *name)
{
	struct vm_wire_uplink m = {.kind = VM_ASK_UPLINK};
	int door = listens(rig, "door");

	snprintf(m.name, sizeof(m.name), "%s", name);
	asks_with(rig, &m, &door, 1);
	close(door);
	return hears(rig, VM_SAY_STARTED).started.r;
}

static int give_tap(struct rig *rig)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
			 0);
	asks_with(rig, &(struct vm_wire_plain){.kind = VM_ASK_TAP}, &pair[0], 1);
	close(pair[0]);
	return pair[1];
}

/* A card of the network, at the other end of a link. Return: what wakes the uplink. */
static int join(struct rig *rig, uint32_t number, const uint8_t mac[6], struct net_link *link)
{
	struct vm_wire_net_port peer = {
		.kind = VM_ASK_NET_PEER, .number = number, .has_mac = 1, .up = 1};
	struct vm_wire_net_link m = {.kind = VM_ASK_NET_LINK, .number = number, .side = 0};
	struct net_link_end ends[2];

	memcpy(peer.mac, mac, 6);
	asks(rig, &peer);
	assert_int_equal(hears(rig, VM_SAY_NET_LINK_WANTED).net_other.number, number);
	assert_int_equal(net_link_make_ends(ends), 0);
	asks_with(rig, &m, (int[]){ends[0].memory, ends[0].mine, ends[0].theirs}, 3);
	assert_int_equal(net_link_open(link, ends[1].memory, 1), 0);
	close(ends[0].memory);
	close(ends[0].mine);
	close(ends[0].theirs);
	close(ends[1].memory);
	close(ends[1].mine);
	return ends[1].theirs;
}

static void frame_from(uint8_t f[60], const uint8_t source[6], const uint8_t to[6])
{
	memset(f, 0x5a, 60);
	memcpy(f, to, 6);
	memcpy(f + 6, source, 6);
	f[12] = 0x88;
	f[13] = 0xb5;
}

static void an_uplink_passes_frames(void **state)
{
	static const uint8_t far[6] = {0x52, 0x54, 0, 9, 9, 9};
	struct virtio_net_hdr none = {0};
	struct rig *rig = begin_line(false);
	struct net_link_frame in;
	struct net_link link;
	uint8_t f[60], got[100];
	struct iovec out[2] = {{&none, sizeof(none)}, {f, sizeof(f)}};
	struct net_port_counters n;
	struct net_counts *counts;
	int tap, wake, memory;

	assert_int_equal(be_uplink(rig, "lan"), 0);
	assert_int_equal(hears(rig, VM_SAY_TAP).has_tap.has, 0);
	tap = give_tap(rig);
	assert_int_equal(hears(rig, VM_SAY_TAP).has_tap.has, 1);
	wake = join(rig, 3, one, &link);
	/* From the host's side to the card. */
	frame_from(f, far, one);
	assert_int_equal(writev(tap, out, 2), sizeof(none) + sizeof(f));
	turns(rig);
	assert_int_equal(net_link_peek(&link, &in), 1);
	assert_int_equal(in.len, sizeof(none) + sizeof(f));
	assert_memory_equal((uint8_t *)in.segs[0].iov_base + sizeof(none), f, sizeof(f));
	net_link_take(&link);
	/* And back; what has another card's address goes nowhere. */
	frame_from(f, other, far);
	assert_int_equal(net_link_send(&link, &none, &out[1], 1, sizeof(f)), 0);
	frame_from(f, one, far);
	assert_int_equal(net_link_send(&link, &none, &out[1], 1, sizeof(f)), 0);
	net_link_show(&link);
	assert_int_equal(write(wake, &(uint64_t){1}, 8), 8);
	turns(rig);
	assert_int_equal(read(tap, got, sizeof(got)), sizeof(none) + sizeof(f));
	assert_memory_equal(got + sizeof(none), f, sizeof(f));
	assert_true(read(tap, got, sizeof(got)) < 0 && errno == EAGAIN);
	/* What went through is there to look at. */
	assert_int_equal(net_counts_make(&counts, &memory), 0);
	asks_with(rig, &(struct vm_wire_plain){.kind = VM_ASK_COUNTS}, &memory, 1);
	close(memory);
	net_counts_get(counts, 1, &n);
	assert_int_equal(n.tx_frames, 1);
	assert_int_equal(n.rx_frames, 1);
	assert_int_equal(n.rx_bytes, sizeof(f));
	assert_int_equal(n.rx_refused, 1);
	net_counts_close(counts);
	/* The next control finds it as it is, and tells of the others anew. */
	next_control(rig);
	assert_int_equal(be_uplink(rig, "inner"), -EEXIST);
	assert_int_equal(be_uplink(rig, "lan"), 0);
	hears_nothing(rig);
	asks(rig, &(struct vm_wire_plain){.kind = VM_ASK_HELD});
	hears(rig, VM_SAY_HELD_ALL);
	assert_int_equal(hears(rig, VM_SAY_TAP).has_tap.has, 1);
	net_link_close(&link);
	close(wake);
	wake = join(rig, 5, one, &link);
	frame_from(f, far, one);
	assert_int_equal(writev(tap, out, 2), sizeof(none) + sizeof(f));
	turns(rig);
	assert_int_equal(net_link_peek(&link, &in), 1);
	net_link_close(&link);
	close(wake);
	close(tap);
	asks(rig, &(struct vm_wire_plain){.kind = VM_ASK_END});
	hears(rig, VM_SAY_ENDED);
	assert_false(rig->serves);
	end_line(rig);
}

static void an_uplink_hears_of_no_guest(void **state)
{
	static const uint32_t kinds[] = {VM_ASK_HOTKEYS,  VM_ASK_MEMORY, VM_ASK_TAKE,
					 VM_ASK_PEER,	  VM_ASK_MAC,	 VM_ASK_NET_GONE,
					 VM_ASK_NETS_TOLD};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct rig *rig = begin_line(false);
		union vm_wire_message m = {.kind = kinds[i]};

		assert_int_equal(be_uplink(rig, "lan"), 0);
		asks(rig, &m);
		line_is_over(rig);
		end_line(rig);
	}
}

static void what_can_not_be_ends_the_line(void **state)
{
	const struct vm_wire_net_port bad_peer = {.kind = VM_ASK_NET_PEER, .number = NET_PORTS};
	const struct vm_wire_net_other bad_gone = {.kind = VM_ASK_NET_PEER_GONE,
						   .number = UINT32_MAX};
	const struct vm_wire_net_link bad_link = {.kind = VM_ASK_NET_LINK, .number = NET_PORTS};
	const struct vm_wire_plain bad_counts = {.kind = VM_ASK_COUNTS};
	const void *const bad[] = {&bad_peer, &bad_gone, &bad_link, &bad_counts};
	static const unsigned n_fds[] = {0, 0, 3, 1};
	int fds[3] = {0, 0, 0};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct rig *rig = begin_line(false);

		assert_int_equal(be_uplink(rig, "lan"), 0);
		asks_with(rig, bad[i], fds, n_fds[i]);
		line_is_over(rig);
		end_line(rig);
	}
}

/* ------------------------------------------------------------- a guest's cards */

static void start(struct rig *rig)
{
	struct vm_wire_start m = {.kind = VM_ASK_START, .name = "vm1", .prefix = 24};
	int fds[2];

	fds[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	fds[1] = listens(rig, "door");
	asks_with(rig, &m, fds, 2);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(hears(rig, VM_SAY_STARTED).started.r, 0);
}

static struct vm_wire_net_card tell_net(struct rig *rig, uint32_t net, const char *name, bool any)
{
	struct vm_wire_net m = {.kind = VM_ASK_NET, .net = net, .any_mac = any};
	struct vm_wire_net_card card;
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(m.name, sizeof(m.name), "%s", name);
	asks_with(rig, &m, &listener, 1);
	close(listener);
	card = hears(rig, VM_SAY_NET_CARD).net_card;
	assert_int_equal(card.net, net);
	return card;
}

static void grant(struct rig *rig, uint32_t net, const uint8_t mac[6])
{
	struct vm_wire_net_mac_answer m = {.kind = VM_ASK_NET_MAC, .net = net, .granted = 1};

	memcpy(m.mac, mac, 6);
	asks(rig, &m);
	assert_memory_equal(hears(rig, VM_SAY_NET_CARD).net_card.mac, mac, 6);
}

static void end_with_guest(struct rig *rig)
{
	asks(rig, &(struct vm_wire_plain){.kind = VM_ASK_END});
	hears(rig, VM_SAY_ENDED);
	end_line(rig);
}

/* Whatever numbers the next control has for the networks, the cards are the same. */
static void cards_are_known_by_their_networks(void **state)
{
	static const uint8_t none[6];
	struct rig *rig = begin_line(false);

	start(rig);
	tell_net(rig, 0, "lan", false);
	tell_net(rig, 1, "inner", false);
	tell_net(rig, 2, "left", false);
	grant(rig, 0, one);
	grant(rig, 1, other);
	next_control(rig);
	start(rig);
	asks(rig, &(struct vm_wire_plain){.kind = VM_ASK_HELD});
	hears(rig, VM_SAY_CARD);
	hears(rig, VM_SAY_HELD_ALL);
	hears_nothing(rig);
	assert_memory_equal(tell_net(rig, 0, "new", false).mac, none, 6);
	assert_memory_equal(tell_net(rig, 1, "lan", false).mac, one, 6);
	/* Of another kind by now: it begins anew. */
	assert_memory_equal(tell_net(rig, 3, "inner", true).mac, none, 6);
	asks(rig, &(struct vm_wire_plain){.kind = VM_ASK_NETS_TOLD});
	hears_nothing(rig);
	/* What is gone can come again. */
	asks(rig, &(struct vm_wire_net_number){.kind = VM_ASK_NET_GONE, .net = 1});
	assert_memory_equal(tell_net(rig, 1, "lan", false).mac, none, 6);
	hears_nothing(rig);
	end_with_guest(rig);
}

static void all_numbers_may_change(void **state)
{
	struct rig *rig = begin_line(false);
	char name[8];

	start(rig);
	for (unsigned i = 0; i < VM_WIRE_NETS; i++) {
		uint8_t mac[6] = {2, 0, 0, 0, 1, (uint8_t)i};

		snprintf(name, sizeof(name), "n%u", i);
		tell_net(rig, i, name, false);
		grant(rig, i, mac);
	}
	next_control(rig);
	start(rig);
	asks(rig, &(struct vm_wire_plain){.kind = VM_ASK_HELD});
	hears(rig, VM_SAY_CARD);
	hears(rig, VM_SAY_HELD_ALL);
	for (unsigned i = 0; i < VM_WIRE_NETS; i++) {
		unsigned was = (i + 3) % VM_WIRE_NETS;

		snprintf(name, sizeof(name), "n%u", was);
		assert_int_equal(tell_net(rig, i, name, false).mac[5], was);
	}
	end_with_guest(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_uplink_passes_frames),
		cmocka_unit_test(an_uplink_hears_of_no_guest),
		cmocka_unit_test(what_can_not_be_ends_the_line),
		cmocka_unit_test(cards_are_known_by_their_networks),
		cmocka_unit_test(all_numbers_may_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
