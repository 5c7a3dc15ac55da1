/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses as people write them: what each text is, and which network has which address. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/ip.h"
#include "base/mem.h"

static const struct {
	const char *prefix, *address;
	bool has;
} nets[] = {
	{"192.168.1.0/24", "192.168.1.0", true},
	{"192.168.1.0/24", "192.168.1.255", true},
	{"192.168.1.0/24", "192.168.2.1", false},
	{"192.168.1.128/25", "192.168.1.127", false},
	{"192.168.1.128/25", "192.168.1.128", true},
	{"192.168.1.7", "192.168.1.7", true},
	{"192.168.1.7", "192.168.1.6", false},
	{"0.0.0.0/0", "255.255.255.255", true},
	{"0.0.0.0/0", "::1", false},
	{"::/0", "10.0.0.1", false},
	{"::/0", "::ffff:10.0.0.1", false},
	{"10.0.0.0/8", "::ffff:10.1.2.3", true},
	{"2001:db8::/33", "2001:db8:7fff::1", true},
	{"2001:db8::/33", "2001:db8:8000::1", false},
	{"2001:db8::1", "2001:db8::1", true},
	{"2001:db8::1", "2001:db8::2", false},
	{"fe80::/10", "febf::1", true},
	{"fe80::/10", "fec0::1", false},
};

/* As the kernel gives a peer. */
static struct ip_endpoint peer_of(const char *text)
{
	struct sockaddr_storage address = {0};
	struct ip_endpoint peer;

	if (strchr(text, ':')) {
		address.ss_family = AF_INET6;
		inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&address)->sin6_addr);
	} else {
		address.ss_family = AF_INET;
		inet_pton(AF_INET, text, &((struct sockaddr_in *)&address)->sin_addr);
	}
	assert_int_equal(ip_endpoint_from(&address, &peer), 0);
	return peer;
}

static void test_networks(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(nets); i++) {
		struct ip_endpoint peer = peer_of(nets[i].address);
		struct ip_prefix prefix;
		char text[IP_TEXT_SIZE];

		assert_int_equal(ip_prefix_parse(nets[i].prefix, &prefix), 0);
		assert_string_equal(ip_prefix_text(&prefix, text), nets[i].prefix);
		if (ip_prefix_has(&prefix, peer.v6, peer.address) != nets[i].has)
			fail_msg("%s in %s", nets[i].address, nets[i].prefix);
	}
}

/* What came over a line may have any number of bits. */
static void test_too_many_bits(void **state)
{
	struct ip_prefix prefix = {.bits = 255, .address = {10, 0, 0, 1}};
	struct ip_endpoint peer = peer_of("10.0.0.1");

	assert_true(ip_prefix_has(&prefix, peer.v6, peer.address));
	prefix.v6 = 1;
	assert_false(ip_prefix_has(&prefix, true, (const uint8_t[16]){10, 0, 0, 2}));
}

static void test_endpoints(void **state)
{
	static const char *const texts[] = {"192.168.1.10:3240", "0.0.0.0:1", "[::]:65535",
					    "[2001:db8::1]:3240"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct ip_endpoint at, back;
		struct sockaddr_storage address;
		char text[IP_TEXT_SIZE];

		assert_int_equal(ip_endpoint_parse(texts[i], 9, &at), 0);
		assert_string_equal(ip_endpoint_text(&at, text), texts[i]);
		assert_int_equal(ip_endpoint_to(&at, &address),
				 at.v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
		if (ip_endpoint_from(&address, &back) < 0 || !ip_endpoint_same(&at, &back))
			fail_msg("%s", texts[i]);
	}
}

static void test_port_left_out(void **state)
{
	struct ip_endpoint at;

	assert_int_equal(ip_endpoint_parse("10.0.0.1", 9, &at), 0);
	assert_int_equal(at.port, 9);
	assert_int_equal(ip_endpoint_parse("[::1]", 9, &at), 0);
	assert_true(at.v6 && at.port == 9);
}

static void test_other_families(void **state)
{
	struct sockaddr_storage address = {.ss_family = AF_UNIX};
	struct ip_endpoint at;

	assert_int_equal(ip_endpoint_from(&address, &at), -EAFNOSUPPORT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_networks),       cmocka_unit_test(test_too_many_bits),
		cmocka_unit_test(test_endpoints),      cmocka_unit_test(test_port_left_out),
		cmocka_unit_test(test_other_families),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
