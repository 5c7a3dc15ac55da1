/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages between control and a VM's process: what is one, and what is none. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/vm_wire.h"

/* How many descriptors each kind has: written down once more, so that a change is noticed. */
static unsigned fds_of(uint32_t kind)
{
	switch (kind) {
	case VM_ASK_GIVE:
	case VM_ASK_AGENT:
	case VM_ASK_UPLINK:
	case VM_ASK_TAP:
	case VM_ASK_COUNTS:
	case VM_ASK_NET:
	case VM_ASK_LAN:
	case VM_ASK_LAN_LISTEN:
		return 1;
	case VM_ASK_START:
		return 2;
	case VM_ASK_LINK:
	case VM_ASK_NET_LINK:
		return 3;
	default:
		return 0;
	}
}

static enum vm_wire_side side_of(uint32_t kind)
{
	return kind < VM_SAY_HELLO ? VM_WIRE_CONTROL : VM_WIRE_VM;
}

static enum vm_wire_side other(enum vm_wire_side side)
{
	return side == VM_WIRE_CONTROL ? VM_WIRE_VM : VM_WIRE_CONTROL;
}

static union vm_wire_message sound(uint32_t kind)
{
	union vm_wire_message m;

	memset(&m, 0, sizeof(m));
	m.kind = kind;
	if (kind == VM_ASK_REFUSE)
		m.refuse.status = USBIP_ST_NODEV;
	return m;
}

static int check(const union vm_wire_message *m, size_t len, unsigned n_fds, enum vm_wire_side from)
{
	const char *fault;
	int r = vm_wire_check(m, len, n_fds, from, &fault);

	assert_true(r == 0 || r == VM_WIRE_UNKNOWN || (r == -EBADMSG && fault));
	return r;
}

static int check_sound(const union vm_wire_message *m)
{
	return check(m, vm_wire_size(m->kind), fds_of(m->kind), side_of(m->kind));
}

static bool is_kind(uint32_t kind)
{
	return (kind >= VM_ASK_HELLO && kind <= VM_ASK_LAN_MAY) ||
	       (kind >= VM_SAY_HELLO && kind < VM_WIRE_KINDS);
}

static void test_each_kind(void **state)
{
	for (uint32_t kind = 0; kind < VM_WIRE_KINDS + 10; kind++) {
		union vm_wire_message m = sound(kind);
		size_t size = vm_wire_size(kind);

		assert_int_equal(size > 0, is_kind(kind));
		if (!is_kind(kind)) {
			assert_int_equal(check(&m, sizeof(m), 0, VM_WIRE_VM), VM_WIRE_UNKNOWN);
			assert_string_equal(vm_wire_name(kind), "?");
			continue;
		}
		assert_true(size <= sizeof(m));
		assert_int_equal(check_sound(&m), 0);
		/* The other side does not say this. */
		assert_int_equal(check(&m, size, fds_of(kind), other(side_of(kind))),
				 VM_WIRE_UNKNOWN);
		for (size_t len = 0; len <= sizeof(m); len++)
			if (len != size)
				assert_int_equal(check(&m, len, fds_of(kind), side_of(kind)),
						 -EBADMSG);
		for (unsigned n = 0; n < 6; n++)
			if (n != fds_of(kind))
				assert_int_equal(check(&m, size, n, side_of(kind)), -EBADMSG);
	}
}

/* A text that fills its room has no end. */
#define TEXT_OF(sort, member)                                \
	do {                                                 \
		union vm_wire_message m = sound(sort);       \
		memset(m.member, 'a', sizeof(m.member));     \
		assert_int_equal(check_sound(&m), -EBADMSG); \
		m.member[sizeof(m.member) - 1] = 0;          \
		assert_int_equal(check_sound(&m), 0);        \
	} while (0)

static void test_texts_end(void **state)
{
	TEXT_OF(VM_ASK_START, start.name);
	TEXT_OF(VM_ASK_UPLINK, uplink.name);
	TEXT_OF(VM_ASK_NET, net.name);
	TEXT_OF(VM_ASK_GIVE, give.tag);
	TEXT_OF(VM_ASK_GIVE, give.info.path);
	TEXT_OF(VM_ASK_GIVE, give.info.busid);
	TEXT_OF(VM_SAY_HELD, held.busid);
	TEXT_OF(VM_SAY_OPENED, result.reason);
	TEXT_OF(VM_SAY_SESSION_ENDED, result.reason);
	TEXT_OF(VM_SAY_WAS_RESET, result.reason);
	TEXT_OF(VM_SAY_STUCK, result.reason);
	TEXT_OF(VM_SAY_TAKEN, result.reason);
	TEXT_OF(VM_SAY_IMPORT_ASKED, import_asked.busid);
}

/* The last value that there is, and the one after it. */
#define CHOICE_OF(sort, member, last)                        \
	do {                                                 \
		union vm_wire_message c = sound(sort);       \
		c.member = (last);                           \
		assert_int_equal(check_sound(&c), 0);        \
		c.member = (last) + 1;                       \
		assert_int_equal(check_sound(&c), -EBADMSG); \
		c.member = (__typeof__(c.member))-1;         \
		assert_int_equal(check_sound(&c), -EBADMSG); \
	} while (0)

static void test_choices_are_known(void **state)
{
	union vm_wire_message m = sound(VM_ASK_REFUSE);

	CHOICE_OF(VM_ASK_START, start.prefix, 32);
	CHOICE_OF(VM_ASK_GIVE, give.info.num_interfaces, USB_INTERFACES_MAX);
	CHOICE_OF(VM_ASK_EXPORT, export.exported, 1);
	CHOICE_OF(VM_ASK_REFUSE, refuse.status, USBIP_ST_ERROR);
	CHOICE_OF(VM_ASK_HANG_UP, hang_up.peer.v6, 1);
	CHOICE_OF(VM_ASK_PEER, port.has_mac, 1);
	CHOICE_OF(VM_ASK_PEER, port.isolated, 1);
	CHOICE_OF(VM_ASK_PEER, port.up, 1);
	CHOICE_OF(VM_ASK_LINK, link.side, 1);
	CHOICE_OF(VM_ASK_MAC, mac_answer.granted, 1);
	CHOICE_OF(VM_SAY_HELLO, hello.serves, 1);
	CHOICE_OF(VM_SAY_CARD, card.up, 1);
	CHOICE_OF(VM_SAY_CARD, card.has_daemon, 1);
	CHOICE_OF(VM_SAY_CARD, card.deaf, 1);
	CHOICE_OF(VM_SAY_HELD, held.held, VM_HELD_SETS - 1);
	CHOICE_OF(VM_SAY_HELD, held.peer.v6, 1);
	CHOICE_OF(VM_SAY_TAKEN, result.closed, 1);
	CHOICE_OF(VM_SAY_IMPORTED, imported.peer.v6, 1);
	CHOICE_OF(VM_SAY_HOTKEY, hotkey.which, 1);
	CHOICE_OF(VM_ASK_NET, net.net, VM_WIRE_NETS - 1);
	CHOICE_OF(VM_ASK_NET, net.any_mac, 1);
	CHOICE_OF(VM_ASK_NET_GONE, net_number.net, VM_WIRE_NETS - 1);
	CHOICE_OF(VM_ASK_NET_PEER, net_port.net, VM_WIRE_NETS - 1);
	CHOICE_OF(VM_ASK_NET_PEER, net_port.any, 1);
	CHOICE_OF(VM_ASK_NET_PEER, net_port.has_mac, 1);
	CHOICE_OF(VM_ASK_NET_PEER, net_port.up, 1);
	CHOICE_OF(VM_ASK_NET_PEER_GONE, net_other.net, VM_WIRE_NETS - 1);
	CHOICE_OF(VM_ASK_NET_LINK, net_link.net, VM_WIRE_NETS - 1);
	CHOICE_OF(VM_ASK_NET_LINK, net_link.side, 1);
	CHOICE_OF(VM_ASK_NET_MAC, net_mac_answer.net, VM_WIRE_NETS - 1);
	CHOICE_OF(VM_ASK_NET_MAC, net_mac_answer.granted, 1);
	CHOICE_OF(VM_SAY_NET_CARD, net_card.net, VM_WIRE_NETS - 1);
	CHOICE_OF(VM_SAY_NET_CARD, net_card.up, 1);
	CHOICE_OF(VM_SAY_NET_LINK_WANTED, net_other.net, VM_WIRE_NETS - 1);
	CHOICE_OF(VM_SAY_NET_MAC_WANTED, net_mac.net, VM_WIRE_NETS - 1);
	CHOICE_OF(VM_SAY_TAP, has_tap.has, 1);
	/* A refusal that is none. */
	m.refuse.status = USBIP_ST_OK;
	assert_int_equal(check_sound(&m), -EBADMSG);
}

static void test_errors_are_negative(void **state)
{
	static const uint32_t kinds[] = {VM_SAY_OPENED, VM_SAY_SESSION_ENDED, VM_SAY_WAS_RESET,
					 VM_SAY_STUCK, VM_SAY_TAKEN};
	union vm_wire_message m;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		m = sound(kinds[i]);
		m.result.r = -ENODEV;
		assert_int_equal(check_sound(&m), 0);
		m.result.r = 1;
		assert_int_equal(check_sound(&m), -EBADMSG);
	}
	m = sound(VM_SAY_IMPORTED);
	m.imported.r = 1;
	assert_int_equal(check_sound(&m), -EBADMSG);
	m = sound(VM_SAY_STARTED);
	m.started.r = 1;
	assert_int_equal(check_sound(&m), -EBADMSG);
}

static int agree(uint32_t version, uint32_t least)
{
	struct vm_wire_hello hello = {.version = version, .least = least};

	return vm_wire_agree(&hello);
}

static void test_versions(void **state)
{
	assert_int_equal(agree(VM_WIRE_VERSION, VM_WIRE_LEAST), VM_WIRE_VERSION);
	/* A later one that still understands ours, and one that doesn't. */
	assert_int_equal(agree(VM_WIRE_VERSION + 7, VM_WIRE_VERSION), VM_WIRE_VERSION);
	assert_int_equal(agree(VM_WIRE_VERSION + 7, VM_WIRE_VERSION + 1), -EPROTO);
	assert_int_equal(agree(UINT32_MAX, 0), VM_WIRE_VERSION);
	assert_int_equal(agree(VM_WIRE_LEAST - 1, 0), -EPROTO);
	assert_int_equal(agree(VM_WIRE_VERSION, VM_WIRE_VERSION + 1), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_kind),
		cmocka_unit_test(test_texts_end),
		cmocka_unit_test(test_choices_are_known),
		cmocka_unit_test(test_errors_are_negative),
		cmocka_unit_test(test_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
