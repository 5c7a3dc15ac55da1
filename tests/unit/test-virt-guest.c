/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usbip in a guest by QEMU's guest agent, against an agent that is scripted: which command lines it
 * is given, and what becomes of its answers, the wicked ones too.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "libvirt/guest_usbip.h"

#define PID	     "{\"return\":{\"pid\":7}}"
#define RUNS	     "{\"return\":{\"exited\":false}}"
#define ENDS(status) "{\"return\":{\"exited\":true,\"exitcode\":" #status "}}"

#define EXEC(path, args)                                                                  \
	"{\"execute\":\"guest-exec\",\"arguments\":{\"path\":\"" path "\",\"arg\":[" args \
	"],\"capture-output\":true}}"
#define LOOK   "{\"execute\":\"guest-exec-status\",\"arguments\":{\"pid\":7}}"
#define ATTACH "\"attach\",\"-r\",\"10.77.0.1\",\"-b\",\"1-1.2\""

/* What is expected next, and what is answered: JSON, or NULL for @r. */
struct step {
	const char *command, *answer;
	int r;
};

struct script {
	struct guest_agent agent;
	const struct step *step;
	unsigned paused;
};

static int script_command(struct guest_agent *agent, const char *command, char **ret_answer)
{
	struct script *s = container_of(agent, struct script, agent);
	const struct step *step = s->step;

	assert_non_null(step->command);
	assert_string_equal(command, step->command);
	if (step[1].command || step->answer != step[1].answer)
		s->step++;
	if (!step->answer) {
		snprintf(agent->error, sizeof(agent->error), "scripted");
		return step->r;
	}
	*ret_answer = strdup(step->answer);
	return 0;
}

static void script_pause(struct guest_agent *agent, unsigned ms)
{
	container_of(agent, struct script, agent)->paused += ms;
}

static struct script script(const struct step *steps)
{
	return (struct script){.agent = {.command = script_command, .pause = script_pause},
			       .step = steps};
}

/* A JSON answer of a program that has ended and written these texts. */
static const char *ended(char *buf, size_t size, int status, const char *out, const char *err)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *texts[] = {out, err};
	size_t n =
		(size_t)snprintf(buf, size, "{\"return\":{\"exited\":true,\"exitcode\":%d", status);

	for (unsigned t = 0; t < 2; t++) {
		const unsigned char *p = (const unsigned char *)texts[t];
		size_t len = strlen(texts[t]);

		n += (size_t)snprintf(buf + n, size - n, ",\"%s-data\":\"", t ? "err" : "out");
		for (size_t i = 0; i < len; i += 3) {
			unsigned b = (unsigned)p[i] << 16 |
				     (i + 1 < len ? (unsigned)p[i + 1] << 8 : 0) |
				     (i + 2 < len ? p[i + 2] : 0);

			for (unsigned k = 0; k < 4; k++)
				buf[n++] = i + k <= len ? digits[b >> (18 - 6 * k) & 63] : '=';
		}
		buf[n++] = '"';
	}
	snprintf(buf + n, size - n, "}}");
	return buf;
}

static void test_attach(void **state)
{
	const struct step steps[] = {
		{EXEC("usbip", ATTACH), PID}, {LOOK, RUNS}, {LOOK, RUNS}, {LOOK, ENDS(0)}, {0}};
	struct script s = script(steps);

	assert_int_equal(guest_usbip_attach(&s.agent, "10.77.0.1", "1-1.2"), 0);
	assert_null(s.step->command);
	assert_true(s.paused > 0);
}

static void test_attach_elsewhere(void **state)
{
	/* The agent's PATH has no sbin. */
	const struct step steps[] = {{EXEC("usbip", ATTACH), NULL, -ENOENT},
				     {EXEC("/usr/sbin/usbip", ATTACH), PID},
				     {LOOK, ENDS(0)},
				     {0}};
	struct script s = script(steps);

	assert_int_equal(guest_usbip_attach(&s.agent, "10.77.0.1", "1-1.2"), 0);
	assert_null(s.step->command);
}

static void test_attach_loads_vhci(void **state)
{
	char failed[1024];
	const struct step steps[] = {
		{EXEC("usbip", ATTACH), PID},
		{LOOK, ended(failed, sizeof(failed), 1, "",
			     "usbip: error: open vhci_driver (is vhci_hcd loaded?)\n")},
		{EXEC("modprobe", "\"vhci-hcd\""), PID},
		{LOOK, ENDS(0)},
		{EXEC("usbip", ATTACH), PID},
		{LOOK, ENDS(0)},
		{0}};
	struct script s = script(steps);

	assert_int_equal(guest_usbip_attach(&s.agent, "10.77.0.1", "1-1.2"), 0);
	assert_null(s.step->command);
}

static void test_attach_fails(void **state)
{
	char failed[1024];
	const struct step steps[] = {
		{EXEC("usbip", ATTACH), PID},
		{LOOK, ended(failed, sizeof(failed), 1, "",
			     "first line\nusbip: error: Device not found\n \n")},
		{0}};
	struct script s = script(steps);

	assert_int_equal(guest_usbip_attach(&s.agent, "10.77.0.1", "1-1.2"), -EREMOTEIO);
	assert_string_equal(s.agent.error,
			    "in the guest, usbip ended with 1: usbip: error: Device not found");
}

#define INTERFACES	"{\"execute\":\"guest-network-get-interfaces\"}"
#define MAC		"52:54:00:77:00:0b"
#define BY_MAC		"fe80::1@" MAC
#define ATTACH_BY(name) "\"attach\",\"-r\",\"fe80::1%" name "\",\"-b\",\"1-1.2\""
#define LOOPBACK	"{\"name\":\"lo\",\"hardware-address\":\"00:00:00:00:00:00\"}"

/* A guest that has the daemon's IPv4 address itself: by the interface that has the card's MAC. */
static void test_attach_by_mac(void **state)
{
	static const struct {
		const char *interfaces, *exec;
	} guests[] = {
		{"[" LOOPBACK ",{\"name\":\"eth0\",\"hardware-address\":\"52:54:00:77:00:0c\"},"
		 "{\"name\":\"enp1s0\",\"hardware-address\":\"" MAC "\"}]",
		 EXEC("usbip", ATTACH_BY("enp1s0"))},
		{"[{\"name\":\"eth0\",\"hardware-address\":\"52:54:00:77:00:0B\"}]",
		 EXEC("usbip", ATTACH_BY("eth0"))},
		/* In a bridge, the address is the bridge's. */
		{"[{\"name\":\"eth0\",\"hardware-address\":\"" MAC "\",\"ip-addresses\":[]},"
		 "{\"name\":\"br0\",\"hardware-address\":\"" MAC "\",\"ip-addresses\":["
		 "{\"ip-address\":\"10.77.0.1\"},{\"ip-address\":\"fe80::5054:ff:fe77:b\"}]}]",
		 EXEC("usbip", ATTACH_BY("br0"))},
		/* Names that are none, and things that are no interfaces, are passed over. */
		{"[7,null,{\"name\":7,\"hardware-address\":\"" MAC "\"},{\"name\":\"eth1\"},"
		 "{\"name\":\"\",\"hardware-address\":\"" MAC "\"},"
		 "{\"name\":\"a b\",\"hardware-address\":\"" MAC "\"},"
		 "{\"name\":\"a/b\",\"hardware-address\":\"" MAC "\"},"
		 "{\"name\":\"a%b\",\"hardware-address\":\"" MAC "\"},"
		 "{\"name\":\"sixteen-bytes-ab\",\"hardware-address\":\"" MAC "\"},"
		 "{\"name\":\"fifteen-bytes-a\",\"hardware-address\":\"" MAC "\","
		 "\"ip-addresses\":[7,{\"ip-address\":7}]}]",
		 EXEC("usbip", ATTACH_BY("fifteen-bytes-a"))},
	};

	for (size_t i = 0; i < ARRAY_SIZE(guests); i++) {
		char answer[1200];
		const struct step steps[] = {
			{INTERFACES, answer}, {guests[i].exec, PID}, {LOOK, ENDS(0)}, {0}};
		struct script s = script(steps);

		snprintf(answer, sizeof(answer), "{\"return\":%s}", guests[i].interfaces);
		assert_int_equal(guest_usbip_attach(&s.agent, BY_MAC, "1-1.2"), 0);
		assert_null(s.step->command);
	}
}

/* And one whose agent does not tell: usbip is not tried. */
static void test_attach_by_no_mac(void **state)
{
	static const struct {
		const char *answer, *error;
		int r;
	} guests[] = {
		{"{\"return\":[]}",
		 "the guest has usbrouted's address itself, and its agent knows no interface with "
		 "the card's MAC " MAC,
		 -ENODEV},
		{"{\"return\":{}}", "the guest's agent answers nonsense", -EPROTO},
		{"x", "the guest's agent answers nonsense", -EPROTO},
		{NULL, "scripted", -EREMOTEIO},
	};

	for (size_t i = 0; i < ARRAY_SIZE(guests); i++) {
		const struct step steps[] = {{INTERFACES, guests[i].answer, -EREMOTEIO}, {0}};
		struct script s = script(steps);

		assert_int_equal(guest_usbip_attach(&s.agent, BY_MAC, "1-1.2"), guests[i].r);
		assert_string_equal(s.agent.error, guests[i].error);
	}
}

static void test_detach(void **state)
{
	static const char ports[] = "Imported USB devices\n====================\n"
				    "Port 00: <Port in Use> at Low Speed(1.5Mbps)\n"
				    "       unknown vendor : unknown product (0627:0001)\n"
				    "       3-1 -> usbip://10.77.0.1:3240/1-1.20\n"
				    "           -> remote bus/dev 001/002\n"
				    "Port 08: <Port in Use> at Low Speed(1.5Mbps)\n"
				    "       unknown vendor : unknown product (0627:0001)\n"
				    "       3-1 -> usbip://fe80::1%eth0:3240/1-1.2\n"
				    "           -> remote bus/dev 001/004\n"
				    "Port 09: <Port in Use> at Low Speed(1.5Mbps)\n"
				    "       unknown vendor : unknown product (0627:0001)\n"
				    "       3-1 -> usbip://10.77.0.1:3240/1-1.2\n"
				    "           -> remote bus/dev 001/003\n";
	char listed[4096];
	const struct step steps[] = {{EXEC("usbip", "\"port\""), PID},
				     {LOOK, ended(listed, sizeof(listed), 0, ports, "")},
				     {EXEC("usbip", "\"detach\",\"-p\",\"8\""), PID},
				     {LOOK, ENDS(0)},
				     {0}};
	const struct step none[] = {{EXEC("usbip", "\"port\""), PID}, {LOOK, listed}, {0}};
	struct script s = script(steps);

	assert_int_equal(guest_usbip_detach(&s.agent, "1-1.2"), 0);
	assert_null(s.step->command);

	/* It has it no more: that is as good. */
	s = script(none);
	assert_int_equal(guest_usbip_detach(&s.agent, "1-1"), 0);
	assert_null(s.step->command);
}

static void test_find_port(void **state)
{
	static const struct {
		const char *out;
		int port;
	} outs[] = {
		{"", -ENOENT},
		{"Port 03: x\n usbip://a:1/b", 3},
		{"Port 03: x\n usbip://a:1/b\n", 3},
		{"Port 03: x\n usbip://a:1/bb\n", -ENOENT},
		{"Port 03: x\n usbip://a:1/x/b\n", -ENOENT},
		{" usbip://a:1/b\nPort 03: x\n", -ENOENT},
		{"Port 128: x\n usbip://a:1/b\n", -ENOENT},
		{"Port -1: x\n usbip://a:1/b\n", -ENOENT},
		{"Port 99999999999999999999: x\n usbip://a:1/b\n", -ENOENT},
		{"Port 03: x\n usbip://\n/b\n", -ENOENT},
	};

	for (size_t i = 0; i < ARRAY_SIZE(outs); i++)
		assert_int_equal(guest_usbip_find_port(outs[i].out, "b"), outs[i].port);
}

static void test_never_ends(void **state)
{
	/* The last step is repeated. */
	const struct step steps[] = {{EXEC("usbip", ATTACH), PID}, {LOOK, RUNS}, {NULL, RUNS}};
	struct script s = script(steps);

	assert_int_equal(guest_usbip_attach(&s.agent, "10.77.0.1", "1-1.2"), -ETIMEDOUT);
	assert_string_equal(s.agent.error, "usbip in the guest has not ended in 15 s");
	assert_in_range(s.paused, 15000, 16000);
}

static void test_wicked(void **state)
{
	static const char *const answers[] = {
		"",
		"x",
		"[]",
		"{}",
		"{\"return\":1}",
		"{\"return\":{}}",
		"{\"return\":{\"pid\":\"7\"}}",
		"{\"return\":{\"pid\":7.5}}",
		"{\"return\":{\"pid\":99999999999999999999}}",
		"{\"error\":{\"desc\":\"no\"}}",
	};
	static const char *const ends[] = {
		"{\"return\":{\"exited\":true}}",
		"{\"return\":{\"exited\":true,\"signal\":9}}",
		"{\"return\":{\"exited\":true,\"exitcode\":\"0\"}}",
		"{\"return\":{\"exited\":true,\"exitcode\":3,\"err-data\":7}}",
		"{\"return\":{\"exited\":true,\"exitcode\":3,\"err-data\":\"!!!!\"}}",
		"{\"return\":{\"exited\":true,\"exitcode\":3,\"err-data\":\"AAAA\"}}",
	};
	_cleanup_free_ char *big = malloc(600000);

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		const struct step steps[] = {{EXEC("usbip", ATTACH), answers[i]}, {0}};
		struct script s = script(steps);

		assert_int_equal(guest_usbip_attach(&s.agent, "10.77.0.1", "1-1.2"), -EPROTO);
		assert_string_equal(s.agent.error, "the guest's agent answers nonsense");
	}
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		const struct step steps[] = {{EXEC("usbip", ATTACH), PID}, {LOOK, ends[i]}, {0}};
		struct script s = script(steps);

		assert_int_equal(guest_usbip_attach(&s.agent, "10.77.0.1", "1-1.2"), -EREMOTEIO);
	}
	/* More than is kept is no error; more than is read is. */
	memset(big, 'A', 600000);
	memcpy(big, "{\"return\":{\"exited\":true,\"exitcode\":0,\"out-data\":\"", 50);
	for (size_t len = 200000; len <= 500000; len += 300000) {
		const struct step steps[] = {{EXEC("usbip", ATTACH), PID}, {LOOK, big}, {0}};
		struct script s = script(steps);

		big[50] = 'A';
		strcpy(big + len, "\"}}");
		assert_int_equal(guest_usbip_attach(&s.agent, "10.77.0.1", "1-1.2"),
				 len == 200000 ? 0 : -EPROTO);
		big[len] = big[len + 1] = big[len + 2] = big[len + 3] = 'A';
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attach),
		cmocka_unit_test(test_attach_elsewhere),
		cmocka_unit_test(test_attach_loads_vhci),
		cmocka_unit_test(test_attach_fails),
		cmocka_unit_test(test_attach_by_mac),
		cmocka_unit_test(test_attach_by_no_mac),
		cmocka_unit_test(test_detach),
		cmocka_unit_test(test_find_port),
		cmocka_unit_test(test_never_ends),
		cmocka_unit_test(test_wicked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
