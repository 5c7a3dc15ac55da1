/* SPDX-License-Identifier: BSD-2-Clause */
/* DHCP: each request and its answer, and the checksum that the answers rest on. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vhost_user_net/net_checksum.h"
#include "vhost_user_net/net_dhcp.h"
#include "vhost_user_net/net_rules.h"
#include "vhost_user_net/net_spec.h"

#define OUR	  "\x0a\x4d\x00\x0b"
#define OTHER	  "\x0a\x4d\x00\x0c"
#define DAEMON	  "\x0a\x4d\x00\x01"
#define NONE	  "\0\0\0\0"
#define OPT(...)  (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
#define TYPE(n)	  53, 1, n
#define SERVER(n) 54, 4, 10, 77, 0, n
#define ASK(n)	  50, 4, 10, 77, 0, n

static const struct net_dhcp dhcp = {
	.mac = {2, 0, 0, 0, 0, 10},
	.address = {10, 77, 0, 11},
	.daemon = {10, 77, 0, 1},
	.prefix = 24,
};

static const struct {
	const char *name;
	const uint8_t *options;
	size_t len;
	unsigned answer; /* 0: none */
	const char *ciaddr;
	unsigned flags;
	const char *destination; /* in IP; NULL: everyone, at the Ethernet level too */
} cases[] = {
	{"discover", OPT(TYPE(1), 255), DHCP_OFFER, NONE, 0, OUR},
	{"discover, broadcast", OPT(TYPE(1), 255), DHCP_OFFER, NONE, 0x8000, NULL},
	{"discover, wants another", OPT(TYPE(1), ASK(12), 255), DHCP_OFFER, NONE, 0, OUR},
	{"discover, no end", OPT(TYPE(1)), DHCP_OFFER, NONE, 0, OUR},
	{"discover, padded", OPT(0, 0, 0, TYPE(1), 0, 255, 99), DHCP_OFFER, NONE, 0, OUR},
	{"discover, overload", OPT(52, 1, 3, TYPE(1), 255), DHCP_OFFER, NONE, 0, OUR},
	{"request, selecting", OPT(TYPE(3), SERVER(1), ASK(11), 255), DHCP_ACK, NONE, 0, OUR},
	{"request, another server", OPT(TYPE(3), SERVER(2), ASK(11), 255), 0, NONE, 0, NULL},
	{"request, another address", OPT(TYPE(3), SERVER(1), ASK(12), 255), DHCP_NAK, NONE, 0,
	 NULL},
	{"request, rebooting", OPT(TYPE(3), ASK(11), 255), DHCP_ACK, NONE, 0x8000, NULL},
	{"request, rebooting elsewhere", OPT(TYPE(3), ASK(200), 255), DHCP_NAK, NONE, 0, NULL},
	{"request, renewing", OPT(TYPE(3), 255), DHCP_ACK, OUR, 0, OUR},
	{"request, renewing another", OPT(TYPE(3), 255), DHCP_NAK, OTHER, 0, NULL},
	{"request for nothing", OPT(TYPE(3), 255), DHCP_NAK, NONE, 0, NULL},
	{"inform", OPT(TYPE(8), 255), DHCP_ACK, OUR, 0, OUR},
	{"decline", OPT(TYPE(4), 255), 0, NONE, 0, NULL},
	{"release", OPT(TYPE(7), 255), 0, OUR, 0, NULL},
	{"BOOTP", OPT(255), 0, NONE, 0, NULL},
	{"no options", OPT(0), 0, NONE, 0, NULL},
	{"type behind the end", OPT(255, TYPE(1)), 0, NONE, 0, NULL},
	{"type of two bytes", OPT(53, 2, 1, 1, 255), 0, NONE, 0, NULL},
	{"option beyond the end", OPT(TYPE(1), 12, 200, 1), 0, NONE, 0, NULL},
	{"option without a length", OPT(TYPE(1), 12), 0, NONE, 0, NULL},
	{"type, cut", OPT(53, 1), 0, NONE, 0, NULL},
};

static struct dhcp_message message(void)
{
	struct dhcp_message m = {.op = 1,
				 .htype = 1,
				 .hlen = 6,
				 .xid = be32_of(0x12345678),
				 .cookie = be32_of(DHCP_COOKIE)};

	memcpy(m.chaddr, dhcp.mac, 6);
	return m;
}

static size_t ask(const struct dhcp_message *m, size_t m_len, const uint8_t *options, size_t len,
		  uint8_t *reply)
{
	size_t n = 42 + m_len + len;
	uint8_t *f = calloc(1, n);

	assert_non_null(f);
	memcpy(f + 42, m, m_len);
	memcpy(f + 42 + m_len, options, len);
	n = net_dhcp_answer(&dhcp, f, n, 34, reply);
	free(f);
	return n;
}

static const uint8_t *option(const uint8_t *reply, uint8_t code, uint8_t len)
{
	const uint8_t *p = reply + 42 + 240;

	while (*p != DHCP_END) {
		if (*p == code) {
			assert_int_equal(p[1], len);
			return p + 2;
		}
		p += 2 + p[1];
		assert_true(p < reply + NET_DHCP_REPLY_MAX);
	}
	return NULL;
}

static void each_request_gets_its_answer(void **state _unused_)
{
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t r[NET_DHCP_REPLY_MAX];
		struct dhcp_message m = message();
		const struct dhcp_message *a = (const void *)(r + 42);
		const struct ipv4_header *ip = (const void *)(r + 14);
		size_t n;

		print_message("%s\n", cases[i].name);
		memcpy(m.ciaddr, cases[i].ciaddr, 4);
		m.flags = be16_of((uint16_t)cases[i].flags);
		n = ask(&m, sizeof(m), cases[i].options, cases[i].len, r);
		assert_int_equal(n, cases[i].answer ? NET_DHCP_REPLY_MAX : 0);
		if (!n)
			continue;
		assert_int_equal(*option(r, DHCP_MESSAGE_TYPE, 1), cases[i].answer);
		assert_memory_equal(option(r, DHCP_SERVER_ID, 4), DAEMON, 4);
		assert_int_equal(be32_get(a->xid), 0x12345678);
		assert_memory_equal(a->chaddr, dhcp.mac, 6);
		assert_null(option(r, 3, 4)); /* no router */
		assert_null(option(r, 6, 4)); /* no name server */
		if (cases[i].answer == DHCP_NAK) {
			assert_memory_equal(a->yiaddr, NONE, 4);
			assert_null(option(r, DHCP_LEASE_TIME, 4));
		} else {
			bool inform = cases[i].options[2] == DHCP_INFORM;

			assert_memory_equal(a->yiaddr, inform ? NONE : OUR, 4);
			assert_int_equal(option(r, DHCP_LEASE_TIME, 4) == NULL, inform);
			assert_memory_equal(option(r, DHCP_SUBNET_MASK, 4), "\xff\xff\xff\0", 4);
		}
		assert_memory_equal(r,
				    cases[i].destination
					    ? dhcp.mac
					    : (const uint8_t *)"\xff\xff\xff\xff\xff\xff",
				    6);
		assert_memory_equal(r + 6, net_daemon_mac, 6);
		assert_memory_equal(ip->source, DAEMON, 4);
		assert_memory_equal(
			ip->destination,
			cases[i].destination ? cases[i].destination : "\xff\xff\xff\xff", 4);
		assert_int_equal(net_checksum_fold(net_checksum_add(0, ip, 20)), 0);
		assert_int_equal(net_checksum_fold(net_checksum_add(
					 net_checksum_pseudo4(ip->source, ip->destination, 17, 308),
					 r + 34, 308)),
				 0);
	}
}

static void bad_messages_get_no_answer(void **state _unused_)
{
	static const uint8_t discover[] = {53, 1, 1, 255};
	uint8_t r[NET_DHCP_REPLY_MAX];
	struct dhcp_message m;

	for (size_t n = 0; n < sizeof(m); n++) {
		m = message();
		assert_int_equal(ask(&m, n, discover, 0, r), 0);
	}
#define BAD(change)                                                      \
	do {                                                             \
		m = message();                                           \
		change;                                                  \
		assert_int_equal(ask(&m, sizeof(m), discover, 4, r), 0); \
	} while (0)
	BAD(m.op = 2);
	BAD(m.htype = 6);
	BAD(m.hlen = 16);
	BAD(m.cookie = be32_of(0));
	BAD(m.chaddr[5] = 11);
	BAD(m.giaddr[3] = 1);
	m = message();
	assert_int_equal(ask(&m, sizeof(m), discover, 4, r), NET_DHCP_REPLY_MAX);
}

/* RFC 1071's own example, and every length and alignment against the plain sum. */
static void checksums_add_up(void **state _unused_)
{
	static const uint8_t rfc[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
	uint8_t buf[2100];

	assert_int_equal(net_checksum_fold(net_checksum_add(0, rfc, 8)), (uint16_t)~0xddf2);
	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 251 + (i >> 3));
	memset(buf + 1000, 0xff, 1000);
	for (size_t len = 0; len < 2000; len++) {
		for (size_t at = 0; at < 8; at++) {
			uint32_t plain = 0;

			for (size_t i = 0; i < len; i++)
				plain += i & 1 ? buf[at + i] : (uint32_t)buf[at + i] << 8;
			while (plain >> 16)
				plain = (plain & 0xffff) + (plain >> 16);
			assert_int_equal(net_checksum_fold(net_checksum_add(0, buf + at, len)),
					 (uint16_t)~plain);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_request_gets_its_answer),
		cmocka_unit_test(bad_messages_get_no_answer),
		cmocka_unit_test(checksums_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
