/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usbroutectl's words about the policy against a scripted daemon: what they ask, what they print
 * where, and their exit status. $USBROUTECTL names the program.
 */
#include "tests/unit/ctl-fixture.h"

#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEYBOARD                                                                                \
	"{\"alias\":\"keyboard\",\"id\":\"046d:c31c\",\"port\":\"1-1.2\",\"wanted\":\"vm2\","   \
	"\"classes_by\":[\"hid.keyboard: from the report descriptor of interface 1\"],"         \
	"\"named_by\":\"[device keyboard]\",\"wish_on\":null,"                                  \
	"\"wanted_by\":\"rule\",\"actual\":\"host\",\"state\":\"pending\",\"reason\":\"vm2 is " \
	"not "                                                                                  \
	"connected\"}"
/* One that was assigned by its name, and that nobody has told anything else. */
#define ASSIGNED                                                                                   \
	"{\"parameters\":{\"device\":{\"alias\":\"stick\",\"id\":\"0951:1666\",\"port\":\"1-2\","  \
	"\"named_by\":\"usbroutectl alias\",\"wish_on\":\"the name stick\",\"wanted\":\"vm2\","    \
	"\"wanted_by\":\"assignment\",\"actual\":\"vm2\",\"state\":\"attached\",\"reason\":null}," \
	"\"verdicts\":[" VERDICT_VM2 "],\"attach\":null,\"attach_by\":null,\"rules\":[],"          \
	"\"rules_left_out\":0}}"
#define VERDICT_VM2                                                                           \
	"{\"vm\":\"vm2\",\"allowed\":true,\"by\":\"policy.d/20-lab.rules:1: allow in=lab to " \
	"vm2\","                                                                              \
	"\"may_route\":false,\"may_route_by\":\"no rule allows it\"}"
#define VERDICT_VM1                                                                              \
	"{\"vm\":\"vm1\",\"allowed\":false,\"by\":\"[device keyboard] vms\",\"may_route\":true," \
	"\"may_route_by\":\"policy.d/30-u.rules:1: allow * user=alice\"}"
#define RULES                                                                                     \
	"[{\"file\":\"policy.d/10-usb.rules\",\"line\":3,\"text\":\"deny class=hub\",\"about\":"  \
	"\"placement\",\"matched\":false,\"why\":\"class is hid.keyboard\",\"decides\":[],"       \
	"\"attaches\":false},"                                                                    \
	"{\"file\":\"policy.d/20-lab.rules\",\"line\":1,\"text\":\"allow in=lab to vm2\\u001b[2J" \
	"\",\"about\":\"placement\",\"matched\":true,\"why\":null,\"decides\":[\"vm2\"],"         \
	"\"attaches\":true}]"
#define WHY(verdicts, rules, left_out)                                                             \
	"{\"parameters\":{\"device\":" KEYBOARD ",\"verdicts\":[" verdicts "],\"attach\":\"vm2\"," \
	"\"attach_by\":\"policy.d/20-lab.rules:1: allow in=lab to vm2\",\"rules\":" rules          \
	",\"rules_left_out\":" left_out "}}"
#define WHY_HEAD                                                            \
	"device  keyboard  046d:c31c  port=1-1.2\n"                         \
	"class   hid.keyboard: from the report descriptor of interface 1\n" \
	"name    keyboard, by [device keyboard]\n"                          \
	"wanted  vm2, by rule\n"                                            \
	"now     host, pending: vm2 is not connected\n"
#define WHY_VM2	   "vm2     may have it: policy.d/20-lab.rules:1: allow in=lab to vm2\n"
#define WHY_ATTACH "attach  to vm2: policy.d/20-lab.rules:1: allow in=lab to vm2\n"

#define TESTED                                                                                  \
	"{\"parameters\":{\"errors\":[],\"file\":\"policy.d/"                                   \
	"a.rules\",\"replaces\":true,\"rules\":"                                                \
	"7,\"devices\":[{\"alias\":\"keyboard\",\"id\":\"046d:c31c\",\"port\":\"1-1.2\","       \
	"\"rulings\":[{\"allowed\":true,\"by\":\"policy.d/a.rules:1: allow * to vm1,vm2\","     \
	"\"vms\":[\"vm1\",\"vm2\"]},{\"allowed\":false,\"by\":\"policy.d/z.rules:9: deny *\","  \
	"\"vms\":[\"vm3\"]}],\"attach\":\"vm1\",\"attach_by\":\"x\",\"attach_now\":null,"       \
	"\"gains\":[\"vm1\",\"vm2\"],\"loses\":[\"vm3\"]},"                                     \
	"{\"alias\":null,\"id\":\"0951:1666\",\"port\":\"2-2\",\"rulings\":[{\"allowed\":true," \
	"\"by\":\"no rule says otherwise\",\"vms\":[\"vm1\"]}],\"attach\":null,\"attach_by\":"  \
	"null,\"attach_now\":null,\"gains\":[],\"loses\":[]}],\"devices_left_out\":0}}"
#define TEST_A "{\"text\":\"allow * to vm1,vm2\\n\",\"file\":\"a.rules\"}"

static char folder[] = "/tmp/test-ctl-policy-XXXXXX";

static const struct ctl_run runs[] = {
	{{"why", "keyboard"},
	 CALL("Why", "{\"device\":\"keyboard\"}"),
	 WHY(VERDICT_VM2, RULES, "0"),
	 0,
	 WHY_HEAD WHY_VM2 WHY_ATTACH
	 "you     may not route it to vm2: no rule allows it\n"
	 "\n"
	 "Rules, in the order in which they were tried:\n"
	 "  10-usb.rules:3 deny class=hub  — no match: class is hid.keyboard\n"
	 "> 20-lab.rules:1 allow in=lab to vm2?[2J  — match; decides; decides about attaching\n",
	 ""},
	{{"why", "stick"},
	 CALL("Why", "{\"device\":\"stick\"}"),
	 ASSIGNED,
	 0,
	 "device  stick  0951:1666  port=1-2\n"
	 "name    stick, by usbroutectl alias\n"
	 "wanted  vm2, by assignment, which hangs on the name stick\n"
	 "now     vm2, attached\n" WHY_VM2
	 "you     may not route it to vm2: no rule allows it\n\nThe policy has no rules.\n",
	 ""},
	{{"why", "keyboard", "vm2"},
	 CALL("Why", "{\"device\":\"keyboard\",\"vm\":\"vm2\"}"),
	 WHY(VERDICT_VM2, "[]", "0"),
	 0,
	 WHY_HEAD WHY_VM2 WHY_ATTACH
	 "you     may not route it to vm2: no rule allows it\n\nThe policy has no rules.\n",
	 ""},
	{{"why", "keyboard"},
	 CALL("Why", "{\"device\":\"keyboard\"}"),
	 WHY(VERDICT_VM1 "," VERDICT_VM2, RULES, "5"),
	 0,
	 WHY_HEAD "vm1     denied: [device keyboard] vms\n" WHY_VM2 WHY_ATTACH
		  "you     may route it to vm1\n"
		  "\n"
		  "Rules, in the order in which they were tried:\n"
		  "  10-usb.rules:3 deny class=hub  — no match: class is hid.keyboard\n"
		  "> 20-lab.rules:1 allow in=lab to vm2?[2J  — match; decides for vm2; decides "
		  "about attaching\n"
		  "  (5 more, for which there was no room)\n",
	 ""},
	{{"--json", "why", "keyboard"},
	 CALL("Why", "{\"device\":\"keyboard\"}"),
	 "{\"parameters\":{\"device\":{},\"new\":1}}",
	 0,
	 "{\"device\":{},\"new\":1}\n",
	 ""},
	{{"why", "keyboard", "vm9"},
	 CALL("Why", "{\"device\":\"keyboard\",\"vm\":\"vm9\"}"),
	 ERROR("NoSuchVm", "{\"vm\":\"vm9\"}"),
	 3,
	 "",
	 "error[not-found]: no VM \"vm9\" is configured\n"},
	{{"why"}, NULL, NULL, 2, "", "error[usage]: why: expected DEVICE after it\n"},
	{{"why", "a", "b", "c"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: why: expected nothing more after \"b\""},
	{{"why", "a", "--devices", "set.json"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: why: it does not take --devices\n"},

	{{"policy", "test", "a.rules"},
	 CALL("TestPolicy", TEST_A),
	 TESTED,
	 0,
	 "DEVICE     PORT   VMS      ATTACH  CHANGE                              BY\n"
	 "keyboard   1-1.2  vm1 vm2  vm1     +vm1 +vm2 -vm3 attach: none -> vm1  a.rules:1: allow "
	 "* to vm1,vm2\n"
	 "                  not vm3                                              z.rules:9: deny "
	 "*\n"
	 "0951:1666  2-2    vm1      -       -                                   no rule says "
	 "otherwise\n",
	 ""},
	{{"policy", "test", "a.rules", "--devices", "set.json"},
	 CALL("TestPolicy",
	      "{\"text\":\"allow * to vm1,vm2\\n\",\"file\":\"a.rules\",\"devices\":[{\"id\":"
	      "\"046d:c31c\"}]}"),
	 "{\"parameters\":{\"errors\":[],\"devices\":[],\"devices_left_out\":2}}",
	 0,
	 "DEVICE  PORT  VMS  ATTACH  CHANGE  BY\n"
	 "(2 more devices, for which there was no room)\n",
	 ""},
	{{"policy", "test", "a.rules"},
	 CALL("TestPolicy", TEST_A),
	 "{\"parameters\":{\"errors\":[\"a.rules:1: expected \\u001b\",\"a.rules:2: expected x\"],"
	 "\"devices\":[]}}",
	 1,
	 "",
	 "a.rules:1: expected ?\na.rules:2: expected x\n"},
	{{"--json", "policy", "test", "a.rules"},
	 CALL("TestPolicy", TEST_A),
	 "{\"parameters\":{\"errors\":[\"x\"]}}",
	 1,
	 "{\"errors\":[\"x\"]}\n",
	 ""},
	{{"policy", "test", "a.rules"},
	 CALL("TestPolicy", TEST_A),
	 ERROR("Denied", "{\"by\":\"your user: only root may test\"}"),
	 5,
	 "",
	 "error[denied]: your user: only root may test\n"},
	{{"policy", "test", "a.rules", "--devices", "set.json"},
	 CALL("TestPolicy",
	      "{\"text\":\"allow * to vm1,vm2\\n\",\"file\":\"a.rules\",\"devices\":[{\"id\":"
	      "\"046d:c31c\"}]}"),
	 "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":"
	 "\"devices\"}}",
	 2,
	 "",
	 "error[usage]: set.json: expected what `usbroutectl --json list` prints\n"},
	{{"policy", "test", "other"},
	 CALL("TestPolicy", "{\"text\":\"\",\"file\":\"other\"}"),
	 "{\"parameters\":{\"errors\":[],\"devices\":[],\"devices_left_out\":0}}",
	 0,
	 "DEVICE  PORT  VMS  ATTACH  CHANGE  BY\n",
	 "other: of policy.d only files whose names end in .rules are read\n"},
	{{"policy", "test", "nowhere.rules"},
	 NULL,
	 NULL,
	 1,
	 "",
	 "error[failed]: nowhere.rules: No such file or directory\n"},
	{{"policy", "test", "."}, NULL, NULL, 1, "", "error[failed]: .: Is a directory\n"},
	{{"policy", "test", "nul.rules"},
	 NULL,
	 NULL,
	 1,
	 "",
	 "error[failed]: nul.rules:2: expected text; found a NUL byte\n"},
	{{"policy", "test", "latin1.rules"},
	 NULL,
	 NULL,
	 1,
	 "",
	 "error[failed]: latin1.rules:2: expected text in UTF-8; found a byte that is none, as"},
	{{"policy", "test", "utf16.rules"},
	 NULL,
	 NULL,
	 1,
	 "",
	 "error[failed]: utf16.rules:1: expected text in UTF-8; found UTF-16: convert"},
	{{"policy", "test", "big.rules"},
	 NULL,
	 NULL,
	 1,
	 "",
	 "error[failed]: big.rules: expected at most 48 KiB\n"},
	{{"policy", "test", "quotes.rules"},
	 NULL,
	 NULL,
	 1,
	 "",
	 "error[failed]: quotes.rules and its quotes: expected at most 64 KiB in all\n"},
	{{"policy", "test", "a.rules", "--devices", "a.rules"},
	 NULL,
	 NULL,
	 1,
	 "",
	 "error[failed]: a.rules: line 1: "},
	{{"policy", "test", "a.rules", "--devices", "none.json"},
	 NULL,
	 NULL,
	 1,
	 "",
	 "error[failed]: none.json: expected what `usbroutectl --json list` prints\n"},
	{{"policy", "test"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: policy: expected test FILE after it"},
	{{"policy", "show", "a.rules"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: policy: expected test FILE after it; found \"show\"\n"},
	{{"policy", "test", "a.rules", "b.rules"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: policy: expected nothing more after \"a.rules\""},
};

static void test_runs(void **state)
{
	run_each(runs, ARRAY_SIZE(runs));
}

static void run_in_terminal(const char *const *args, const char *call, const char *reply,
			    char *text, size_t size)
{
	struct winsize ws = {.ws_row = 25, .ws_col = 70};
	int terminal, status;
	pid_t pid = forkpty(&terminal, NULL, NULL, &ws);

	assert_true(pid >= 0);
	if (!pid) {
		setenv("TERM", "xterm", 1);
		unsetenv("NO_COLOR");
		run_program(args);
	}
	serve(call, reply);
	read_all(terminal, text, size);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Colours, and a line about the file, are a terminal's alone; a rule is never cut. */
static void test_terminal(void **state)
{
	char text[8192];

	run_in_terminal((const char *const[]){"why", "keyboard", NULL},
			CALL("Why", "{\"device\":\"keyboard\"}"),
			WHY(VERDICT_VM1 "," VERDICT_VM2, RULES, "0"), text, sizeof(text));
	assert_non_null(strstr(text, "\033[31mdenied: [device keyboard] vms\033[0m"));
	assert_non_null(strstr(text, "\033[32mmay have it: policy.d/20-lab.rules:1: allow in=lab "
				     "to vm2\033[0m"));
	assert_non_null(strstr(text, "\033[1m> 20-lab.rules:1 allow in=lab to vm2?[2J  — match; "
				     "decides for vm2; decides about attaching\033[0m"));
	assert_non_null(strstr(text, "\n  10-usb.rules:3 deny class=hub  — no match"));
	run_in_terminal((const char *const[]){"policy", "test", "a.rules", NULL},
			CALL("TestPolicy", TEST_A), TESTED, text, sizeof(text));
	assert_non_null(strstr(text, "\033[32mvm1 vm2\033[0m"));
	assert_non_null(strstr(text, "\033[31mnot vm3\033[0m"));
	assert_non_null(
		strstr(text, "7 rules in all, with this file in the place of policy.d/a.rules."));
}

/* ------------------------------------------------------------- a folder with files */

static void put(const char *name, const void *data, size_t len)
{
	FILE *f = fopen(name, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static int make_files(void **state)
{
	static const char rules[] = "allow * to vm1,vm2\n", set[] = "{\"devices\":[{\"id\":"
								    "\"046d:c31c\"}]}\n";
	static char big[48 * 1024 + 1];

	if (!getenv("USBROUTECTL") || !mkdtemp(folder) || chdir(folder))
		return -1;
	put("a.rules", rules, strlen(rules));
	put("other", "", 0);
	put("nul.rules", "# one\nallow *\0", 14);
	put("latin1.rules", "# one\n# \xe4\n", 10);
	put("utf16.rules",
	    "\xff\xfe"
	    "a\0",
	    4);
	memset(big, '"', sizeof(big));
	put("quotes.rules", big, sizeof(big) - 1);
	put("big.rules", big, sizeof(big));
	put("set.json", set, strlen(set));
	put("none.json", "[]", 2);
	return daemon_begin(folder);
}

static int remove_files(void **state)
{
	char command[64];

	daemon_end();
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return chdir("/") || system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_terminal),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
