/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules as text: what a line says, and what is wrong with one. */
#include "tests/unit/policy-fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------- lines */

/* One matcher, and which of the two devices it matches. */
static const struct {
	const char *words;
	bool keyboard, stick;
} matchers[] = {
	{"*", true, true},
	{"id=046d:c31c", true, false},
	{"id=046D:C31C", true, false},
	{"id=046d:*", true, false},
	{"id=0951:1666|046d:*", true, true},
	{"id=0951:*", false, true},
	{"serial=E0D55EA5", false, true},
	{"serial=e0d55ea5", false, false},
	{"serial=*", false, true}, /* no serial is not an empty serial */
	{"serial=x|E0D*", false, true},
	{"port=1-1.2", true, false},
	{"port=0000:00:14.0/usb3:2", false, true},
	{"port=1-1.*", true, false},
	{"port=*/usb2:*|2-2", true, true},
	{"port=1-1", false, false},
	{"class=hid", true, false},
	{"class=hid.keyboard", true, false},
	{"class=hub|storage", false, true},
	{"class=hid.mouse|storage|hid.keyboard", true, true},
	{"product=\"USB Keyboard\"", true, false},
	{"product=USB?Key*", true, false},
	{"product=\"Data|Traveler\"", false, true}, /* | in quotes is itself */
	{"product=Data|Traveler", false, false},
	{"product=x\"|\"y|\"USB Keyboard\"", true, false},
	{"alias=keyboard", true, false},
	{"alias=key*", true, false},
	{"alias=*", true, false},
	{"in=desk", true, false},
	{"in=lab|desk", true, false},
	{"in=lab", false, false},
	{"class=hid id=046d:c31c", true, false},
	{"class=hid id=046d:c31d", false, false},
	{"class=storage|hid product=*", true, true},
	{"class=hid   # class=storage", true, false},
	{"class=hid\t; comment", true, false},
	{"product=a#b", false, false},
};

static void test_matchers(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(matchers); i++) {
		char text[200];
		struct policy *policy;

		snprintf(text, sizeof(text), "\n  deny %s\r\n", matchers[i].words);
		policy = policy_of(text);
		assert_int_equal(policy->n_rules, 1);
		assert_int_equal(policy->rules[0]->line, 2);
		if (policy_permits(policy, &keyboard, NULL, "vm1", NULL, 0) ==
			    matchers[i].keyboard ||
		    policy_permits(policy, &stick, NULL, "vm1", NULL, 0) == matchers[i].stick)
			fail_msg("%s: matches wrongly", matchers[i].words);
		policy_free(policy);
	}
}

/* A line that is refused, and how that begins or what is in it. */
static const struct {
	const char *line, *expected;
} bad[] = {
	{"grant *", "expected allow or deny at the start of a rule; found \"grant\""},
	{"Allow *", "expected allow or deny"},
	{"allow", "expected words that match the device"},
	{"allow to vm1", "expected words that match the device"},
	{"allow user=alice", "expected words that match the device"},
	{"allow * class=hid", "expected * alone"},
	{"allow class=hid *", "expected * alone"},
	{"allow * *", "expected * alone"},
	{"allow what=x", "expected one of id= serial="},
	{"allow hid", "expected one of id= serial="},
	{"allow =x", "expected one of id= serial="},
	{"allow class", "expected one of id= serial="},
	{"allow class=", "expected class= with some of audio"},
	{"allow class=keyboard", "expected class= with some of audio"},
	{"allow class=hid*", "expected class= with some of audio"},
	{"allow class=hid|", "expected a value on both sides of |; found \"class=hid|\""},
	{"allow class=|hid", "expected a value on both sides of |"},
	{"allow class=hid||hub", "expected a value on both sides of |"},
	{"allow class=hid class=hub", "expected each word once"},
	{"allow id=46d:c31c", "expected id=VVVV:PPPP"},
	{"allow id=046d:c31?", "expected id=VVVV:PPPP"},
	{"allow id=*:*", "expected id=VVVV:PPPP"},
	{"allow id=046d", "expected id=VVVV:PPPP"},
	{"allow id=\"\"", "expected id=VVVV:PPPP"},
	{"allow serial=", "expected a serial number"},
	{"allow product=\"\"", "expected a product's name"},
	{"allow port=usb1/1.2", "expected port=BUS-PORT"},
	{"allow alias=host", "expected alias= with"},
	{"allow alias=1-1", "expected alias= with"},
	{"allow in=nowhere", "expected in= with a group that has a section [group NAME]"},
	{"allow in=d*", "expected in= with a group"},
	{"allow * to", "expected all, none, or names of VMs after to"},
	{"allow * to host", "expected names of VMs after to; the host may have every device"},
	{"allow * to vm1,host", "expected names of VMs after to; the host"},
	{"allow * to vm9", "expected all, none, or names of VMs that have a section"},
	{"allow * to vm*", "expected all, none, or names of VMs that have a section"},
	{"allow * to vm1,,vm2", "expected names of VMs separated by commas without"},
	{"allow * to vm1, vm2", "expected names of VMs separated by commas without"},
	{"allow * to vm1,vm1", "expected each VM once"},
	{"allow * to vm1|vm2", "expected all, none, or names of VMs that"},
	{"allow * to vm1,all", "expected all or none alone"},
	{"allow * to \"\"", "expected names of VMs separated"},
	{"allow * to vm1 vm2", "expected one of id= serial="},
	{"allow * to vm1 to vm2", "expected to once"},
	{"allow * to vm1 class=hid", "expected words that match the device before to"},
	{"allow class=hid join=desk to vm1", "expected to before options"},
	{"allow class=hid attach=never id=1:2", "expected words that match the device before"},
	{"deny * to none", "expected VMs or all after to"},
	{"allow * to none user=alice", "expected VMs or all after to"},
	{"allow * attach=auto", "expected the name of a VM after to, for attach=auto"},
	{"allow * to all attach=auto", "expected the name of a VM after to, for"},
	{"allow * to none attach=auto", "expected the name of a VM after to, for"},
	{"allow * attach=ask", "expected attach=auto or attach=never; found \"attach=ask\""},
	{"allow * to vm1 attach=auto attach=auto", "expected each word once"},
	{"deny * attach=never", "expected attach= and join= in an allow only"},
	{"deny * join=desk", "expected attach= and join= in an allow only"},
	{"allow * join=nowhere", "expected join= with a group that has"},
	{"allow * join=desk|lab", "expected join= with a group that has"},
	{"allow * join=desk join=lab", "expected each word once"},
	{"allow * join=desk user=alice", "expected a rule of its own for attach= and join="},
	{"allow * to vm1 attach=auto group=usb", "expected a rule of its own for attach="},
	{"allow * user=", "expected user= with"},
	{"allow * user=al*", "expected user= with"},
	{"allow * user=-alice", "expected user= with"},
	{"allow * user=4294967295", "expected user= with"},
	{"allow * user=99999999999", "expected user= with"},
	{"allow * user=12x", "expected user= with"},
	{"allow * user=alice|", "expected a value on both"},
	{"allow * group=a:b", "expected group= with"},
	{"allow * user=a user=b", "expected each word once"},
	{"allow product=\"a", "expected a closing \""},
	{"allow product=\"\\a\"", "expected \\\" or \\\\ for"},
	{"allow * \\", "expected the whole rule on one line"},
	{"allow * \x1b[2J", "expected text without control characters"},
	{"allow product=a\001b", "expected text without control characters"},
	{"[vm vm1]", "expected allow or deny"},
};

static void test_bad(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(policy_freep) struct policy *policy = NULL;
		struct refused refused = {0};
		char text[300];

		snprintf(text, sizeof(text), "# one\nallow *\n%s\nallow *\n", bad[i].line);
		assert_int_equal(policy_new(&policy), 0);
		if (policy_parse(policy, "p", text, strlen(text), &names, refuse, &refused) !=
		    POLICY_BAD)
			fail_msg("%s: it was taken", bad[i].line);
		assert_int_equal(refused.n, 1);
		assert_int_equal(refused.line, 3);
		if (strncmp(refused.text, bad[i].expected, strlen(bad[i].expected)))
			fail_msg("%s: %s", bad[i].line, refused.text);
	}
}

static void test_several_errors(void **state)
{
	static const char text[] = "grant *\nallow *\ndeny\n\nallow * to vm9";
	_cleanup_(policy_freep) struct policy *policy = NULL;
	struct refused refused = {0};

	assert_int_equal(policy_new(&policy), 0);
	assert_int_equal(
		policy_parse(policy, "p", text, sizeof(text) - 1, &names, refuse, &refused),
		POLICY_BAD);
	assert_int_equal(refused.n, 3);
	assert_int_equal(refused.line, 5);
}

static void expect_bytes(const void *data, size_t len, int status, unsigned line,
			 const char *expected)
{
	_cleanup_(policy_freep) struct policy *policy = NULL;
	struct refused refused = {0};

	assert_int_equal(policy_new(&policy), 0);
	assert_int_equal(policy_parse(policy, "p", data, len, &names, refuse, &refused), status);
	assert_int_equal(refused.n, status != 0);
	assert_int_equal(refused.line, line);
	if (status && !strstr(refused.text, expected))
		fail_msg("%s", refused.text);
}

static void test_hostile_files(void **state)
{
	size_t size = POLICY_FILE_MAX + 1;
	_cleanup_free_ char *data = malloc(size);
	size_t len = 0;

	assert_non_null(data);
	expect_bytes("", 0, 0, 0, "");
	expect_bytes("allow *\n\0", 9, POLICY_BAD, 2, "found a NUL byte");
	expect_bytes("allow serial=\0x", 15, POLICY_BAD, 1, "found a NUL byte");
	expect_bytes("\xef\xbb\xbf"
		     "allow *\n",
		     11, POLICY_BAD, 1, "without a byte-order mark; found one");
	expect_bytes("\xff\xfe"
		     "a\0l\0",
		     6, POLICY_BAD, 1, "found UTF-16: convert");
	expect_bytes("a\0l\0l\0o\0w\0\n\0", 12, POLICY_BAD, 1, "found UTF-16: convert");
	expect_bytes("allow *\r\ndeny product=\xe9\r\n", 25, POLICY_BAD, 2,
		     "text in UTF-8; found a byte");
	expect_bytes("allow *\r\ndeny product=\xc3\xa9\r\n", 26, 0, 0, "");
	expect_bytes("allow\xc2\xa0* # copied\n", 18, POLICY_BAD, 1, "such as a no-break space");

	/* A file and a line that are just short enough, and those that are not. */
	memset(data, '\n', size);
	expect_bytes(data, size - 1, 0, 0, "");
	expect_bytes(data, size, POLICY_BAD, 0, "a file of at most 1 MiB");
	memcpy(data, "allow serial=", 13);
	memset(data + 13, 'x', 4096 - 13);
	expect_bytes(data, 4097, 0, 0, "");
	memcpy(data + 4096, "\r\n", 2);
	expect_bytes(data, 4098, 0, 0, "");
	data[4097] = '\n';
	data[4096] = 'x';
	expect_bytes(data, 4098, POLICY_BAD, 1, "a line of at most 4096 bytes");
	/* As many alternatives as a line holds. */
	for (size_t i = 13; i < 4095; i += 2)
		memcpy(data + i, "x|", 2);
	data[4095] = 'x';
	data[4096] = '\n';
	expect_bytes(data, 4097, 0, 0, "");
	data[4095] = '\n';
	expect_bytes(data, 4096, POLICY_BAD, 1, "on both sides of |");

	for (unsigned i = 0; i < POLICY_RULES_MAX; i++, len += 7)
		memcpy(data + len, "deny *\n", 7);
	expect_bytes(data, len, 0, 0, "");
	memcpy(data + len, "deny *\n", 7);
	expect_bytes(data, len + 7, POLICY_BAD, POLICY_RULES_MAX + 1, "at most 4096 rules");
	/* Every byte, alone and within a rule. */
	for (unsigned c = 0; c < 256; c++) {
		_cleanup_(policy_freep) struct policy *policy = NULL;
		struct refused refused = {0};
		char text[] = "allow ?=x to x";
		char b = (char)c;

		for (char *p = text; *p; p++)
			if (*p == '?' || *p == 'x')
				*p = b;
		assert_int_equal(policy_new(&policy), 0);
		policy_parse(policy, "p", &b, 1, &names, refuse, &refused);
		policy_parse(policy, "p", text, sizeof(text) - 1, &names, refuse, &refused);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matchers),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_several_errors),
		cmocka_unit_test(test_hostile_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
