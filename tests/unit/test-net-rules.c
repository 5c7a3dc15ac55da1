/* SPDX-License-Identifier: BSD-2-Clause */
/* Each rule with what it lets pass and what it refuses. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vhost_user_net/net_rules.h"

static const struct net_rules rules = {
	.address = {10, 77, 0, 11},
	.daemon = {10, 77, 0, 1},
};

/* Hexadecimal, with shorthands for what repeats. */
#define DAEMON "027573627264 "
#define ALL    "ffffffffffff "
#define OTHER  "02000000000b "
#define ME     "02000000000a "
#define ARP    "0806 0001 0800 06 04 "
#define TO     "020000000bbb 0a4d000c "
#define IP4(len, frag, proto, src) \
	"0800 4500 " len " 0000 " frag " 40 " proto " 0000 " src " 0a4d000c "
#define MINE "0a4d000b"
#define IP6(len, next, src) \
	"86dd 60000000 " len " " next " ff " src "ff020000000000000000000000000001 "
#define LL	      "fe80 000000000000 000000000000000a "
#define LL1	      "fe80 000000000000 0000000000000001 "
#define UDP(src, dst) src " " dst " 0008 0000 "
#define TCP	      "03e8 07d0 00000000 00000000 5010 ffff 0000 0000 "
#define NA(target)    "88 00 0000 60000000 " target

static const struct {
	const char *name, *frame;
	enum net_verdict verdict;
	unsigned fill; /* bytes of zero behind */
} cases[] = {
	{"nothing", "", NET_REFUSE},
	{"short", ALL ME, NET_REFUSE},
	{"no type known", ALL ME "0801", NET_REFUSE, 46},
	{"VLAN", ALL ME "8100 0001 0800", NET_REFUSE, 46},
	{"QinQ", ALL ME "88a8 0001 0800", NET_REFUSE, 46},
	{"length in place of a type", ALL ME "0010", NET_REFUSE, 46},

	{"ARP request", ALL ME ARP "0001" ME MINE TO, NET_PASS},
	{"ARP answer", OTHER ME ARP "0002" ME MINE TO, NET_PASS},
	{"ARP probe", ALL ME ARP "0001" ME "00000000" TO, NET_PASS},
	{"ARP padded", ALL ME ARP "0001" ME MINE TO, NET_PASS, 18},
	{"ARP answer for no address", ALL ME ARP "0002" ME "00000000" TO, NET_REFUSE},
	{"ARP for the daemon", ALL ME ARP "0002" ME "0a4d0001" TO, NET_REFUSE},
	{"ARP request as the daemon", ALL ME ARP "0001" ME "0a4d0001" TO, NET_REFUSE},
	{"ARP for another", ALL ME ARP "0002" ME "0a4d000c" TO, NET_REFUSE},
	{"ARP for another card", ALL ME ARP "0002" OTHER MINE TO, NET_REFUSE},
	{"ARP for the daemon's card", ALL ME ARP "0002" DAEMON MINE TO, NET_REFUSE},
	{"ARP too short", ALL ME ARP "0001" ME MINE "0200", NET_REFUSE},
	{"ARP of IEEE 802", ALL ME "0806 0006 0800 06 04 0001" ME MINE TO, NET_REFUSE},
	{"ARP for IPv6", ALL ME "0806 0001 86dd 06 04 0001" ME MINE TO, NET_REFUSE},
	{"ARP, long address", ALL ME "0806 0001 0800 06 10 0001" ME MINE TO, NET_REFUSE},
	{"ARP, short hardware", ALL ME "0806 0001 0800 05 04 0001" ME MINE TO, NET_REFUSE},
	{"RARP answer", ALL ME ARP "0004" ME MINE TO, NET_REFUSE},

	/* Whose card it is, is the port's to say. */
	{"source: another card", ALL OTHER IP4("001c", "0000", "11", MINE) UDP("03e8", "07d0"),
	 NET_PASS},
	{"source: the daemon's", ALL DAEMON IP4("001c", "0000", "11", MINE) UDP("03e8", "07d0"),
	 NET_REFUSE},
	{"source: zero", ALL "000000000000" IP4("001c", "0000", "11", MINE) UDP("03e8", "07d0"),
	 NET_REFUSE},
	{"source: everyone", ALL ALL IP4("001c", "0000", "11", MINE) UDP("03e8", "07d0"),
	 NET_REFUSE},

	{"UDP", OTHER ME IP4("001c", "0000", "11", MINE) UDP("03e8", "07d0"), NET_PASS},
	{"UDP, do not fragment", OTHER ME IP4("001c", "4000", "11", MINE) UDP("03e8", "07d0"),
	 NET_PASS},
	{"UDP from nowhere", OTHER ME IP4("001c", "0000", "11", "00000000") UDP("03e8", "07d0"),
	 NET_PASS},
	{"UDP as the daemon", OTHER ME IP4("001c", "0000", "11", "0a4d0001") UDP("03e8", "07d0"),
	 NET_REFUSE},
	{"UDP as another", OTHER ME IP4("001c", "0000", "11", "0a4d000c") UDP("03e8", "07d0"),
	 NET_REFUSE},
	{"UDP, header cut", OTHER ME IP4("001b", "0000", "11", MINE) UDP("03e8", "07d0"),
	 NET_REFUSE},
	{"IPv4, longer than the frame",
	 OTHER ME IP4("001d", "0000", "11", MINE) UDP("03e8", "07d0"), NET_REFUSE},
	{"IPv4, padded", OTHER ME IP4("001c", "0000", "11", MINE) UDP("03e8", "07d0"), NET_PASS,
	 18},
	{"IPv4, ports in the padding", OTHER ME IP4("0014", "0000", "11", MINE) UDP("03e8", "07d0"),
	 NET_REFUSE, 18},
	{"IPv4, shorter than its header", OTHER ME IP4("0013", "0000", "01", MINE), NET_REFUSE, 26},
	{"IPv4, version 6", OTHER ME "0800 6500 001c 0000 0000 40 11 0000" MINE TO, NET_REFUSE, 8},
	{"IPv4, header of 16", OTHER ME "0800 4400 001c 0000 0000 40 11 0000" MINE TO, NET_REFUSE,
	 8},
	{"IPv4, options",
	 OTHER ME "0800 4600 0020 0000 0000 40 11 0000" MINE
		  "0a4d000c 01010101" UDP("03e8", "07d0"),
	 NET_PASS},
	{"IPv4, options hide the port",
	 OTHER ME "0800 4600 0020 0000 0000 40 11 0000" MINE
		  "0a4d000c 03e807d0" UDP("0043", "0044"),
	 NET_REFUSE},
	{"ICMP", OTHER ME IP4("001c", "0000", "01", MINE) "0800000000000000", NET_PASS},
	{"TCP", DAEMON ME IP4("0028", "0000", "06", MINE) TCP, NET_PASS},
	{"TCP, header cut", DAEMON ME IP4("0020", "0000", "06", MINE) TCP, NET_REFUSE},

	{"DHCP server", ALL ME IP4("001c", "0000", "11", MINE) UDP("0043", "0044"), NET_REFUSE},
	{"DHCP server to a relay", ALL ME IP4("001c", "0000", "11", MINE) UDP("0043", "0043"),
	 NET_REFUSE},
	{"DHCP client", ALL ME IP4("001c", "0000", "11", "00000000") UDP("0044", "0043"), NET_DHCP},
	{"DHCP client to somebody", OTHER ME IP4("001c", "0000", "11", MINE) UDP("03e8", "0043"),
	 NET_DHCP},
	{"DHCP client of an old address",
	 DAEMON ME IP4("001c", "0000", "11", "0a4d00c8") UDP("0044", "0043"), NET_DHCP},
	{"DHCP in fragments", ALL ME IP4("001c", "2000", "11", "00000000") UDP("0044", "0043"),
	 NET_REFUSE},
	{"DHCP server in fragments", ALL ME IP4("001c", "2000", "11", MINE) UDP("0043", "0044"),
	 NET_REFUSE},

	{"first fragment", OTHER ME IP4("001c", "2000", "11", MINE) UDP("03e8", "07d0"), NET_PASS},
	{"later fragment", OTHER ME IP4("001c", "0001", "11", MINE) "0043004400000000", NET_PASS},
	{"first fragment, tiny", OTHER ME IP4("0018", "2000", "11", MINE) "004303e8", NET_REFUSE,
	 22},
	{"first fragment, tiny, of another protocol",
	 OTHER ME IP4("0018", "2000", "01", MINE) "08000000", NET_REFUSE, 22},
	{"first fragment, tiny TCP", OTHER ME IP4("001c", "2000", "06", MINE) "03e807d000000000",
	 NET_REFUSE, 18},
	{"fragment over a TCP header", OTHER ME IP4("001c", "2001", "06", MINE) "0000000000000000",
	 NET_REFUSE},
	{"later fragment as the daemon", OTHER ME IP4("001c", "0010", "11", "0a4d0001") "00",
	 NET_REFUSE, 7},

	{"IPv6 UDP", ALL ME IP6("0008", "11", LL) UDP("03e8", "07d0"), NET_PASS},
	{"IPv6 from nowhere",
	 ALL ME IP6("0008", "11", "0000000000000000 0000000000000000 ") UDP("03e8", "07d0"),
	 NET_PASS},
	{"IPv6 of the world",
	 ALL ME IP6("0008", "11", "2001000000000000 0000000000000001 ") UDP("03e8", "07d0"),
	 NET_PASS},
	{"IPv6 as the daemon", ALL ME IP6("0008", "11", LL1) UDP("03e8", "07d0"), NET_REFUSE},
	{"IPv6 from many",
	 ALL ME IP6("0008", "11", "ff02000000000000 0000000000000001 ") UDP("03e8", "07d0"),
	 NET_REFUSE},
	{"IPv6, version 4", ALL ME "86dd 40000000 0008 11 ff" LL LL UDP("03e8", "07d0"),
	 NET_REFUSE},
	{"IPv6, longer than the frame", ALL ME IP6("0009", "11", LL) UDP("03e8", "07d0"),
	 NET_REFUSE},
	{"IPv6, jumbo", ALL ME IP6("0000", "00", LL) "1100c20400010000" UDP("0223", "0222"),
	 NET_REFUSE},
	{"IPv6, header cut", ALL ME "86dd 60000000 0008 11 ff" LL "ff02", NET_REFUSE},
	{"IPv6, no next header", ALL ME IP6("0000", "3b", LL), NET_PASS},
	{"IPv6 TCP", ALL ME IP6("0014", "06", LL) TCP, NET_PASS},
	{"IPv6 TCP, header cut", ALL ME IP6("0013", "06", LL) TCP, NET_REFUSE},
	{"DHCPv6 server", ALL ME IP6("0008", "11", LL) UDP("0223", "0222"), NET_REFUSE},
	{"DHCPv6 client", ALL ME IP6("0008", "11", LL) UDP("0222", "0223"), NET_PASS},
	{"DHCPv6 server behind options",
	 ALL ME IP6("0018", "00", LL) "3c00010400000000"
				      "1100010400000000" UDP("0223", "0222"),
	 NET_REFUSE},
	{"IPv6 behind options",
	 ALL ME IP6("0018", "00", LL) "3c00010400000000"
				      "1100010400000000" UDP("03e8", "0222"),
	 NET_PASS},
	{"IPv6, option longer than the packet",
	 ALL ME IP6("0010", "3c", LL) "11010104 00000000" UDP("03e8", "07d0"), NET_REFUSE},
	{"IPv6, options beyond the copy", ALL ME IP6("0200", "3c", LL) "3a30010400000000",
	 NET_REFUSE, 504},
	{"IPv6, nine options",
	 ALL ME IP6("0050", "3c", LL) "3c00010400000000"
				      "3c00010400000000"
				      "3c00010400000000"
				      "3c00010400000000"
				      "3c00010400000000"
				      "3c00010400000000"
				      "3c00010400000000"
				      "3c00010400000000"
				      "1100010400000000" UDP("03e8", "07d0"),
	 NET_REFUSE},
	{"DHCPv6 server behind AH",
	 ALL ME IP6("0018", "33", LL) "1102000000000000 0000000000000000" UDP("0223", "0222"),
	 NET_REFUSE},

	{"router advertisement", ALL ME IP6("0010", "3a", LL) "8600000040000000 0000000000000000",
	 NET_REFUSE},
	{"router advertisement behind an option",
	 ALL ME IP6("0018", "3c", LL) "3a00010400000000"
				      "8600000040000000 0000000000000000",
	 NET_REFUSE},
	{"router solicitation", ALL ME IP6("0008", "3a", LL) "8500000000000000", NET_PASS},
	{"redirect", ALL ME IP6("0028", "3a", LL) "8900000000000000" LL LL, NET_REFUSE},
	{"neighbour advertisement", ALL ME IP6("0018", "3a", LL) NA(LL), NET_PASS},
	{"neighbour advertisement for the daemon", ALL ME IP6("0018", "3a", LL) NA(LL1),
	 NET_REFUSE},
	{"neighbour advertisement, cut", ALL ME IP6("0017", "3a", LL) NA(LL1), NET_REFUSE},
	{"neighbour solicitation for the daemon",
	 ALL ME IP6("0018", "3a", LL) "8700000000000000" LL1, NET_PASS},
	{"neighbour advertisement with its card", ALL ME IP6("0020", "3a", LL) NA(LL) "0201" ME,
	 NET_PASS},
	{"neighbour advertisement with another card",
	 ALL ME IP6("0020", "3a", LL) NA(LL) "0201" OTHER, NET_REFUSE},
	{"neighbour advertisement with the daemon's card",
	 ALL ME IP6("0020", "3a", LL) NA(LL) "0201" DAEMON, NET_REFUSE},
	{"neighbour advertisement with another card behind an option",
	 ALL ME IP6("0028", "3a", LL) NA(LL) "fd01000000000000 0201" OTHER, NET_REFUSE},
	{"neighbour advertisement with a long address of a card",
	 ALL ME IP6("0028", "3a", LL) NA(LL) "0202" ME "0000000000000000", NET_REFUSE},
	{"neighbour advertisement, option of no length",
	 ALL ME IP6("0020", "3a", LL) NA(LL) "0200" ME, NET_REFUSE},
	{"neighbour advertisement, option cut", ALL ME IP6("001f", "3a", LL) NA(LL) "0201" ME,
	 NET_REFUSE},
	{"neighbour advertisement, options beyond the copy",
	 ALL ME IP6("0130", "3a", LL) NA(LL) "fd23", NET_REFUSE, 278},
	{"neighbour solicitation with its card",
	 ALL ME IP6("0020", "3a", LL) "8700000000000000" LL "0101" ME, NET_PASS},
	{"neighbour solicitation with another card",
	 ALL ME IP6("0020", "3a", LL) "8700000000000000" LL "0101" OTHER, NET_REFUSE},
	{"router solicitation with another card",
	 ALL ME IP6("0010", "3a", LL) "8500000000000000 0101" OTHER, NET_REFUSE},
	{"neighbour solicitation as the daemon",
	 ALL ME IP6("0018", "3a", LL1) "8700000000000000" LL, NET_REFUSE},
	{"echo", ALL ME IP6("0008", "3a", LL) "8000000000000000", NET_PASS},
	{"ICMPv6, cut", ALL ME IP6("0007", "3a", LL) "8000000000000000", NET_REFUSE},
	{"ICMPv6 in the first fragment", ALL ME IP6("0020", "2c", LL) "3a00000100000001" NA(LL),
	 NET_REFUSE},
	{"ICMPv6 in the only fragment", ALL ME IP6("0020", "2c", LL) "3a00000000000001" NA(LL),
	 NET_REFUSE},
	{"ICMPv6 in a later fragment",
	 ALL ME IP6("0010", "2c", LL) "3a00040000000001 0000000000000000", NET_REFUSE},
	{"ICMPv6 behind an option in a fragment",
	 ALL ME IP6("0028", "2c", LL) "3c00000100000001"
				      "3a00010400000000" NA(LL),
	 NET_REFUSE},
	{"first fragment ends in an option",
	 ALL ME IP6("0010", "2c", LL) "3c00000100000001"
				      "3a01010400000000",
	 NET_REFUSE},
	{"first fragment ends before the header",
	 ALL ME IP6("0010", "2c", LL) "3c00000100000001"
				      "1100010400000000",
	 NET_REFUSE},
	{"IPv6 first fragment", ALL ME IP6("0010", "2c", LL) "1100000100000001" UDP("03e8", "07d0"),
	 NET_PASS},
	{"IPv6 first fragment, DHCPv6 server",
	 ALL ME IP6("0010", "2c", LL) "1100000100000001" UDP("0223", "0222"), NET_REFUSE},
	{"IPv6 later fragment", ALL ME IP6("0010", "2c", LL) "1100040000000001 0000000000000000",
	 NET_PASS},
	{"IPv6 later fragment over judged headers",
	 ALL ME IP6("0010", "2c", LL) "1100000800000001 0000000000000000", NET_REFUSE},
	{"two fragment headers",
	 ALL ME IP6("0018", "2c", LL) "2c00000100000001"
				      "1100000100000002" UDP("03e8", "07d0"),
	 NET_REFUSE},
};

static size_t from_hex(const char *hex, uint8_t *to)
{
	size_t n = 0;

	for (; *hex; hex++) {
		char digits[3] = {hex[0], hex[0] == ' ' ? '\0' : hex[1]};

		if (*hex == ' ')
			continue;
		to[n++] = (uint8_t)strtoul(digits, NULL, 16);
		hex++;
	}
	return n;
}

static void each_rule_lets_pass_and_refuses(void **state _unused_)
{
	unsigned failed = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t frame[1024] = {0};
		size_t len = from_hex(cases[i].frame, frame) + cases[i].fill;
		size_t head = min_t(size_t, len, NET_RULES_HEAD);
		uint8_t *exact = malloc(head ? head : 1);
		struct net_headers h;
		enum net_verdict v;

		assert_non_null(exact);
		memcpy(exact, frame, head);
		v = net_rules_judge(&rules, exact, head, len, &h);
		if (v != cases[i].verdict || (v == NET_REFUSE) != (h.reason != NULL)) {
			print_error("%s: %d, not %d (%s)\n", cases[i].name, v, cases[i].verdict,
				    h.reason ? h.reason : "-");
			failed++;
		}
		free(exact);
	}
	assert_int_equal(failed, 0);
}

/* Every frame cut at every length: nothing is read beyond the end, nothing passes that did not. */
static void cut_frames_are_never_read_beyond_their_end(void **state _unused_)
{
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t frame[1024] = {0};
		size_t len = from_hex(cases[i].frame, frame);

		for (size_t n = 0; n < len; n++) {
			uint8_t *exact = malloc(n ? n : 1);
			struct net_headers h;

			assert_non_null(exact);
			memcpy(exact, frame, n);
			if (net_rules_judge(&rules, exact, n, n, &h) != NET_REFUSE)
				assert_int_not_equal(cases[i].verdict, NET_REFUSE);
			free(exact);
		}
	}
}

static void what_a_sender_says_is_its_own_is_told(void **state _unused_)
{
	struct net_headers h;
	uint8_t f[128];
	size_t len;

	len = from_hex(ALL ME ARP "0002" ME "0a4d0001" TO, f);
	assert_int_equal(net_rules_judge(&rules, f, len, len, &h), NET_REFUSE);
	assert_true(h.as_daemon && !h.to_daemon);
	len = from_hex(ALL ME ARP "0001" ME MINE "000000000000 0a4d0001", f);
	assert_int_equal(net_rules_judge(&rules, f, len, len, &h), NET_PASS);
	assert_true(!h.as_daemon && h.to_daemon);
	/* Who only looks whether an address is free does not ask for the daemon. */
	len = from_hex(ALL ME ARP "0001" ME "00000000 000000000000 0a4d0001", f);
	assert_int_equal(net_rules_judge(&rules, f, len, len, &h), NET_PASS);
	assert_true(!h.as_daemon && !h.to_daemon);
	len = from_hex(ALL ME IP6("0018", "3a", LL) NA(LL), f);
	assert_int_equal(net_rules_judge(&rules, f, len, len, &h), NET_PASS);
	assert_int_equal(h.source6, 22);
	assert_int_equal(h.target6, 14 + 40 + 8);
	len = from_hex(ALL ME IP6("0018", "3a",
				  "0000000000000000 0000000000000000 ") "8700000000000000" LL,
		       f);
	assert_int_equal(net_rules_judge(&rules, f, len, len, &h), NET_PASS);
	assert_int_equal(h.target6, 14 + 40 + 8);
	/* What others have may be asked for. */
	len = from_hex(ALL ME IP6("0018", "3a", LL) "8700000000000000" LL, f);
	assert_int_equal(net_rules_judge(&rules, f, len, len, &h), NET_PASS);
	assert_int_equal(h.target6, 0);
	assert_int_equal(net_rules_judge(&rules, f, len, NET_FRAME_MAX + 1, &h), NET_REFUSE);
}

static void what_was_found_is_told(void **state _unused_)
{
	struct net_headers h;
	uint8_t f[128];
	size_t len = from_hex(
		ALL ME IP6("0018", "3c", LL) "1101010c000000000000000000000000" UDP("03e8", "07d0"),
		f);

	assert_int_equal(net_rules_judge(&rules, f, len, len + 3, &h), NET_PASS);
	assert_int_equal(h.type, 0x86dd);
	assert_int_equal(h.l3, 14);
	assert_int_equal(h.l4, 14 + 40 + 16);
	assert_int_equal(h.protocol, 17);
	assert_int_equal(h.ip_end, len);
	assert_false(h.fragment);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_rule_lets_pass_and_refuses),
		cmocka_unit_test(cut_frames_are_never_read_beyond_their_end),
		cmocka_unit_test(what_a_sender_says_is_its_own_is_told),
		cmocka_unit_test(what_was_found_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
