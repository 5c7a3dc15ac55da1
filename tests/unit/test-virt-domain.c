/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Domains: their XML with shared memory and the card put in, odd and hostile XML, and what
 * libvirt's own test driver says of domains that start, stop and vanish. $USBROUTED_LIBVIRT is the
 * program.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "protocol/virt_snippet.h"
#include "libvirt/domain_xml.h"
#include "libvirt/domains.h"
#include "libvirt/virt_event.h"

#define SOCKET "/run/usbrouted/vm1.sock"

static const struct domain_card card = {.socket = SOCKET};

/* Edit, and what was made is complete. */
static struct domain_edit edited(const char *xml, const struct domain_card *c)
{
	struct domain_edit edit, again;

	assert_int_equal(domain_xml_edit(&edit, xml, c), 0);
	assert_int_equal(domain_xml_edit(&again, edit.xml, c), DOMAIN_XML_COMPLETE);
	assert_string_equal(again.diff, "");
	domain_edit_deinit(&again);
	return edit;
}

static void test_bare(void **state)
{
	struct domain_edit edit =
		edited("<domain type='kvm'><name>a</name><memory>1</memory>"
		       "<currentMemory>1</currentMemory><vcpu>1</vcpu>"
		       "<devices><interface type='user'/><disk/></devices></domain>",
		       &card);

	assert_true(edit.memory && edit.added && !edit.mended);
	assert_non_null(strstr(edit.xml, "</currentMemory><memoryBacking>"));
	/* Behind the other card. */
	assert_non_null(
		strstr(edit.xml, "<interface type=\"user\"/><interface type=\"vhostuser\">"));
	assert_null(strstr(edit.card, "<mac "));
	assert_string_equal(edit.diff,
			    "+ <memoryBacking>\n"
			    "+   <source type=\"memfd\"/>\n"
			    "+   <access mode=\"shared\"/>\n"
			    "+ </memoryBacking>\n"
			    "+ <interface type=\"vhostuser\">\n"
			    "+   <source type=\"unix\" path=\"" SOCKET "\" mode=\"client\">\n"
			    "+     <reconnect enabled=\"yes\" timeout=\"1\"/>\n"
			    "+   </source>\n"
			    "+   <model type=\"virtio\"/>\n"
			    "+   <rom enabled=\"no\"/>\n"
			    "+ </interface>\n");
	domain_edit_deinit(&edit);

	edit = edited("<domain/>", &card);
	assert_true(edit.memory && edit.added);
	domain_edit_deinit(&edit);
}

/* The domain of the guide for a MaaXBoard ($GUIDE_DOMAIN) lacks nothing. */
static void test_guide(void **state)
{
	static const struct domain_card vm1 = {.socket = SOCKET, .mac = "52:54:00:77:00:0b"};
	struct domain_edit edit;
	char xml[8192] = "";
	FILE *f = fopen(getenv("GUIDE_DOMAIN"), "re");

	assert_non_null(f);
	assert_in_range(fread(xml, 1, sizeof(xml) - 1, f), 1, sizeof(xml) - 2);
	fclose(f);
	assert_int_equal(domain_xml_edit(&edit, xml, &vm1), DOMAIN_XML_COMPLETE);
	assert_string_equal(edit.diff, "");
	domain_edit_deinit(&edit);
}

static void test_memory(void **state)
{
	static const struct {
		const char *xml;
		bool shared;
	} domains[] = {
		{"<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>",
		 true},
		{"<memoryBacking><source type='file'/><access mode='shared'/></memoryBacking>",
		 false},
		{"<memoryBacking><hugepages/><source type='file'/><access "
		 "mode='shared'/></memoryBacking>",
		 true},
		{"<memoryBacking><hugepages/><access mode='shared'/></memoryBacking>", true},
		{"<memoryBacking><hugepages/></memoryBacking>", false},
		{"<memoryBacking/>", false},
		{"<memoryBacking><access mode='shared'/></memoryBacking>", false},
		{"<memoryBacking><source type='anonymous'/><access mode='shared'/></memoryBacking>",
		 false},
		{"<memoryBacking><source type='memfd'/><access mode='private'/></memoryBacking>",
		 false},
		{"<memoryBacking><locked/><source type='memfd'/></memoryBacking>", false},
		{"<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"
		 "<cpu><numa><cell id='0' memAccess='shared'/><cell id='1'/></numa></cpu>",
		 true},
		{"<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"
		 "<cpu><numa><cell id='0'/><cell id='1' memAccess='private'/></numa></cpu>",
		 false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(domains); i++) {
		struct domain_edit edit;
		char xml[1024];

		snprintf(xml, sizeof(xml), "<domain>%s</domain>", domains[i].xml);
		edit = edited(xml, &card);
		if (edit.memory == domains[i].shared)
			fail_msg("%s", domains[i].xml);
		assert_int_equal(strstr(edit.xml, "<hugepages") != NULL,
				 strstr(xml, "<hugepages") != NULL);
		assert_int_equal(strstr(edit.xml, "<locked") != NULL,
				 strstr(xml, "<locked") != NULL);
		domain_edit_deinit(&edit);
	}
}

static void test_card(void **state)
{
	static const struct domain_card with_mac = {.socket = SOCKET, .mac = "52:54:00:77:00:0b"};
	static const char *const odd[] = {
		"<interface type='vhostuser'><source type='unix' path='" SOCKET "' mode='server'/>"
		"<model type='virtio'/></interface>",
		"<interface type='vhostuser'><source type='unix' path='" SOCKET "' mode='client'/>"
		"<model type='virtio'/></interface>",
		"<interface type='vhostuser'><source type='unix' path='" SOCKET "' mode='client'>"
		"<reconnect enabled='no'/></source><model type='virtio'/></interface>",
		"<interface type='vhostuser'><source type='unix' path='" SOCKET "' mode='client'>"
		"<reconnect enabled='yes' timeout='9'/></source><model type='e1000'/></interface>",
	};
	struct domain_edit edit;
	char xml[1024];

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		snprintf(xml, sizeof(xml), "<domain><devices>%s</devices></domain>", odd[i]);
		edit = edited(xml, &card);
		assert_true(edit.mended && !edit.added);
		assert_null(strstr(strstr(edit.xml, "vhostuser") + 1, "vhostuser"));
		domain_edit_deinit(&edit);
	}
	/* Another VM's card is another card, and a card is what says it is one. */
	edit = edited("<domain><devices><interface type='vhostuser'><source path='/x/vm1.sock'/>"
		      "</interface><interface type='bridge'><source path='" SOCKET "'/></interface>"
		      "<interface type='vhostuser'/></devices></domain>",
		      &card);
	assert_true(edit.added);
	domain_edit_deinit(&edit);
	edit = edited("<domain><devices><interface type='vhostuser' path='" SOCKET
		      "'/></devices></domain>",
		      &card);
	assert_true(edit.added);
	domain_edit_deinit(&edit);

	/* A MAC of the configuration's wins, whatever letters it is written in. */
	edit = edited("<domain><devices/></domain>", &with_mac);
	assert_non_null(strstr(edit.card, "52:54:00:77:00:0b"));
	domain_edit_deinit(&edit);
	edit = edited(
		"<domain><devices><interface type='vhostuser'><mac address='52:54:00:77:00:0B'/>"
		"<source type='unix' path='" SOCKET "' mode='client'><reconnect enabled='yes'/>"
		"</source><model type='virtio-transitional'/></interface></devices></domain>",
		&with_mac);
	assert_true(edit.memory && !edit.added && !edit.mended);
	domain_edit_deinit(&edit);
}

static void test_keeps_what_is_not_ours(void **state)
{
	struct domain_edit edit = edited(
		"<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
		"<name>win 10 &amp; more</name><metadata><x:y xmlns:x='urn:x'>z</x:y></metadata>"
		"<!-- mine --><qemu:commandline><qemu:arg value='-x'/></qemu:commandline></domain>",
		&(struct domain_card){.socket = "/run/a'b&<c>\"/vm1.sock"});

	assert_non_null(strstr(edit.xml, "<name>win 10 &amp; more</name>"));
	assert_non_null(strstr(edit.xml, "<x:y xmlns:x=\"urn:x\">z</x:y>"));
	assert_non_null(strstr(edit.xml, "<!-- mine -->"));
	assert_non_null(strstr(edit.xml, "<qemu:commandline><qemu:arg value=\"-x\"/>"));
	domain_edit_deinit(&edit);
}

static void test_hostile(void **state)
{
	static const char *const bad[] = {
		"",
		"x",
		"<domain>",
		"<domains/>",
		"<domain/><domain/>",
		"<domain>&none;</domain>",
		"<!DOCTYPE domain [<!ENTITY a 'b'>]><domain>&a;</domain>",
		"<!DOCTYPE domain SYSTEM 'file:///etc/passwd'><domain/>",
		"<domain><devices></domain></devices>",
		"<domain a='1' a='2'/>",
	};
	_cleanup_free_ char *big = malloc(DOMAIN_XML_MAX + 32);
	struct domain_edit edit;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (domain_xml_edit(&edit, bad[i], &card) != -EBADMSG)
			fail_msg("taken: %s", bad[i]);
		assert_false(domain_xml_agent(bad[i]));
	}
	memset(big, ' ', DOMAIN_XML_MAX + 31);
	memcpy(big, "<domain>", 8);
	strcpy(big + DOMAIN_XML_MAX, "</domain>");
	assert_int_equal(domain_xml_edit(&edit, big, &card), -EBADMSG);
}

static void test_agent_channel(void **state)
{
	static const char shape[] =
		"<domain><devices><channel/><channel type='unix'><target "
		"type='virtio' name='%s' state='%s'/></channel></devices></domain>";
	static const struct {
		const char *name, *state;
		bool there;
	} channels[] = {{"org.qemu.guest_agent.0", "connected", true},
			{"org.qemu.guest_agent.0", "disconnected", false},
			{"com.redhat.spice.0", "connected", false}};

	for (size_t i = 0; i < ARRAY_SIZE(channels); i++) {
		char xml[512];

		snprintf(xml, sizeof(xml), shape, channels[i].name, channels[i].state);
		assert_int_equal(domain_xml_agent(xml), channels[i].there);
	}
}

/* ------------------------------------------------------------- libvirt's test driver */

static char told[4096];

static void tell(void *ctx, const struct virt_line *line)
{
	char buf[VIRT_LINE_MAX];
	int len = virt_line_format(buf, line);

	assert_true(len > 0);
	assert_true(strlen(told) + (size_t)len < sizeof(told));
	strncat(told, buf, (size_t)len);
}

static int on_lifecycle(virConnectPtr conn, virDomainPtr domain, int event, int detail, void *ctx)
{
	domains_lifecycle(ctx, virDomainGetName(domain), event, detail);
	return 0;
}

static void no_print(void *ctx, virErrorPtr error)
{
}

/* Events until the lines that were told are these. */
static void wait_told(const char *want)
{
	for (unsigned i = 0; i < 100 && strcmp(told, want); i++)
		assert_int_equal(virEventRunDefaultImpl(), 0);
	assert_string_equal(told, want);
	told[0] = '\0';
}

static void never(int timer, void *ctx)
{
}

static void test_lifecycle(void **state)
{
	struct domains domains;
	virConnectPtr conn;
	virDomainPtr test, other;
	int now, reason;

	virSetErrorFunc(NULL, no_print);
	assert_int_equal(virEventRegisterDefaultImpl(), 0);
	/* So that a loop with nothing to do goes round. */
	assert_true(virEventAddTimeout(10, never, NULL, NULL) >= 0);
	conn = virConnectOpen("test:///default");
	assert_non_null(conn);
	domains_init(&domains, tell, NULL);
	assert_true(virConnectDomainEventRegisterAny(conn, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
						     VIRT_EVENT_CALLBACK(on_lifecycle), &domains,
						     NULL) >= 0);
	test = virDomainLookupByName(conn, "test");
	assert_non_null(test);
	assert_int_equal(virDomainGetState(test, &now, &reason, 0), 0);
	domains_set_state(&domains, "test", domains_state_of(now, reason));
	wait_told("DOMAIN test running\n");

	assert_int_equal(virDomainSuspend(test), 0);
	wait_told("DOMAIN test paused\n");
	assert_int_equal(virDomainResume(test), 0);
	wait_told("DOMAIN test running\n");
	domains_set_agent(&domains, "test", true);
	wait_told("AGENT test yes\n");
	assert_int_equal(virDomainDestroy(test), 0);
	wait_told("AGENT test no\nDOMAIN test shutoff\n");

	other = virDomainDefineXML(conn,
				   "<domain type='test'><name>win 10</name><memory>8192</memory>"
				   "<os><type>hvm</type></os></domain>");
	assert_non_null(other);
	wait_told("DOMAIN win%2010 shutoff\n");
	assert_int_equal(virDomainCreate(other), 0);
	wait_told("DOMAIN win%2010 running\n");
	/* It runs on without a definition, and only then is it gone. */
	assert_int_equal(virDomainUndefine(other), 0);
	domains_tell_all(&domains);
	wait_told("DOMAIN test shutoff\nDOMAIN win%2010 running\n");
	assert_int_equal(virDomainUndefine(test), 0);
	wait_told("DOMAIN test gone\n");
	domains_clear(&domains);
	virDomainFree(test);
	virDomainFree(other);
	virConnectClose(conn);
}

/* What the test driver has no way to do. */
static void test_events(void **state)
{
	struct domains domains;

	domains_init(&domains, tell, NULL);
	domains_lifecycle(&domains, "a", VIR_DOMAIN_EVENT_DEFINED, VIR_DOMAIN_EVENT_DEFINED_ADDED);
	/* libvirt tells of the agent before it tells of the start. */
	domains_set_agent(&domains, "a", true);
	domains_lifecycle(&domains, "a", VIR_DOMAIN_EVENT_STARTED, 0);
	domains_lifecycle(&domains, "a", VIR_DOMAIN_EVENT_DEFINED,
			  VIR_DOMAIN_EVENT_DEFINED_UPDATED);
	wait_told("DOMAIN a shutoff\nDOMAIN a running\nAGENT a yes\n");
	domains_lifecycle(&domains, "a", VIR_DOMAIN_EVENT_SHUTDOWN, 0);
	domains_lifecycle(&domains, "a", VIR_DOMAIN_EVENT_CRASHED, 0);
	domains_lifecycle(&domains, "a", VIR_DOMAIN_EVENT_STOPPED,
			  VIR_DOMAIN_EVENT_STOPPED_CRASHED);
	wait_told("AGENT a no\nDOMAIN a crashed\n");
	domains_lifecycle(&domains, "a", VIR_DOMAIN_EVENT_UNDEFINED,
			  VIR_DOMAIN_EVENT_UNDEFINED_RENAMED);
	domains_lifecycle(&domains, "b", VIR_DOMAIN_EVENT_DEFINED,
			  VIR_DOMAIN_EVENT_DEFINED_RENAMED);
	wait_told("DOMAIN a gone\nDOMAIN b shutoff\n");
	domains_lifecycle(&domains, "b", VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_FAILED);
	wait_told("DOMAIN b crashed\n");
	/* Names that can't be spoken of are left out; a bound holds. */
	domains_lifecycle(&domains, "a\tb", VIR_DOMAIN_EVENT_STARTED, 0);
	domains_set_agent(&domains, "never heard of", false);
	wait_told("");
	for (unsigned i = 0; i < DOMAINS_MAX + 10; i++) {
		char name[16];

		snprintf(name, sizeof(name), "d%u", i);
		domains_lifecycle(&domains, name, VIR_DOMAIN_EVENT_STARTED, 0);
		told[0] = '\0';
	}
	assert_int_equal(domains.n, DOMAINS_MAX);
	domains_clear(&domains);
	assert_int_equal(domains_state_of(VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_CRASHED),
			 VIRT_CRASHED);
	assert_int_equal(domains_state_of(VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SHUTDOWN),
			 VIRT_SHUTOFF);
	assert_int_equal(domains_state_of(VIR_DOMAIN_PMSUSPENDED, 0), VIRT_PAUSED);
}

/* A domain with both parts goes through libvirt, and comes out complete. */
static void test_define(void **state)
{
	virConnectPtr conn = virConnectOpen("test:///default");
	virDomainPtr domain = virDomainLookupByName(conn, "test"), defined;
	struct domain_edit edit;
	char *xml;

	assert_non_null(domain);
	xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);
	assert_int_equal(domain_xml_edit(&edit, xml, &card), 0);
	defined = virDomainDefineXML(conn, edit.xml);
	assert_non_null(defined);
	domain_edit_deinit(&edit);
	free(xml);
	xml = virDomainGetXMLDesc(defined, VIR_DOMAIN_XML_INACTIVE);
	assert_int_equal(domain_xml_edit(&edit, xml, &card), DOMAIN_XML_COMPLETE);
	/* libvirt has given the card an address of its own. */
	assert_non_null(strstr(edit.card, "<mac address="));
	domain_edit_deinit(&edit);
	free(xml);
	virDomainFree(defined);
	virDomainFree(domain);
	virConnectClose(conn);
}

/* ------------------------------------------------------------- the program */

static pid_t start(int *ret_out, const char *const *args)
{
	const char *argv[16] = {"usbrouted-libvirt"};
	int fds[2];
	pid_t pid;

	for (unsigned i = 0; args[i]; i++)
		argv[i + 1] = args[i];
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		dup2(fds[1], STDOUT_FILENO);
		if (!ret_out)
			dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		execv(getenv("USBROUTED_LIBVIRT"), (char **)argv);
		_exit(99);
	}
	close(fds[1]);
	if (ret_out)
		*ret_out = fds[0];
	else
		close(fds[0]);
	return pid;
}

static void test_add_words(void **state)
{
	static const struct {
		const char *args[10];
		int status;
		const char *out;
	} runs[] = {
		{{"--version"}, 0, "usbrouted-libvirt "},
		{{"--help"}, 0, "usage: usbrouted-libvirt"},
		{{"--nix"}, 2, ""},
		{{"--add"}, 2, ""},
		{{"x"}, 2, ""},
		{{"--apply"}, 2, ""},
		{{"--add", "test"}, 2, ""},
		{{"--add", "test", "--socket", "vm1.sock"}, 2, ""},
		{{"--connect", "test:///default", "--add", "nix", "--socket", SOCKET}, 3, ""},
		{{"--connect", "nix:///", "--add", "test", "--socket", SOCKET}, 1, ""},
		{{"--connect", "test:///default", "--add", "test", "--socket", SOCKET},
		 0,
		 "test: to be changed in its configuration:\n+ <memoryBacking>\n"},
		{{"--connect", "test:///default", "--add", "test", "--socket", SOCKET, "--apply"},
		 0,
		 "test: changed in its configuration:\n+ <memoryBacking>\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
		char text[8192];
		size_t len = 0;
		ssize_t n;
		int out, status;
		pid_t pid = start(&out, runs[i].args);

		while ((n = read(out, text + len, sizeof(text) - 1 - len)) > 0)
			len += (size_t)n;
		text[len] = '\0';
		close(out);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != runs[i].status ||
		    strncmp(text, runs[i].out, strlen(runs[i].out)) || (!*runs[i].out && len))
			fail_msg("run %zu: status %#x\n%s", i, status, text);
	}
}

static void expect(int sock, struct virt_reader *reader, const char *want)
{
	struct virt_line line;
	char buf[VIRT_LINE_MAX];
	size_t room;
	int r;

	while ((r = virt_reader_next(reader, &line)) == VIRT_READER_MORE) {
		char *space = virt_reader_space(reader, &room);
		ssize_t n = recv(sock, space, room, 0);

		assert_true(n > 0);
		virt_reader_filled(reader, (size_t)n);
	}
	assert_int_equal(r, 0);
	r = virt_line_format(buf, &line);
	assert_true(r > 0);
	buf[r - 1] = '\0';
	assert_string_equal(buf, want);
}

static void say(int sock, const char *text)
{
	assert_int_equal(send(sock, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* The helper and a daemon that goes away and comes back. */
static void test_helper(void **state)
{
	char folder[] = "/tmp/test-virt-XXXXXX";
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = 30};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), sock;
	struct virt_reader reader = {0};
	pid_t pid;

	assert_non_null(mkdtemp(folder));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/libvirt", folder);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	pid = start(NULL, (const char *[]){"--connect", "test:///default", "--daemon",
					   address.sun_path, NULL});
	sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(sock >= 0);
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	say(sock, "STATE\n");
	expect(sock, &reader, "LIBVIRT yes");
	expect(sock, &reader, "DOMAIN test running");
	/* A domain that there is not, and one whose driver has no agents. */
	say(sock, "ATTACH 5 nix 10.77.0.1 1-1\nATTACH 6 test 10.77.0.1 1-1\n");
	expect(sock, &reader, "FAILED 5 Domain%20not%20found");
	expect(sock, &reader,
	       "FAILED 6 "
	       "this%20function%20is%20not%20supported%20by%20the%20connection%20driver:%20"
	       "virDomainQemuAgentCommand");

	/* What a daemon does not say ends the connection, and it comes back. */
	say(sock, "DONE 1\n");
	close(sock);
	sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(sock >= 0);
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	reader = (struct virt_reader){0};
	say(sock, "STATE\nSTATE\n");
	for (unsigned i = 0; i < 2; i++) {
		expect(sock, &reader, "LIBVIRT yes");
		expect(sock, &reader, "DOMAIN test running");
	}
	kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(sock);
	close(listener);
	unlink(address.sun_path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bare),
		cmocka_unit_test(test_guide),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_card),
		cmocka_unit_test(test_keeps_what_is_not_ours),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_agent_channel),
		/* The driver's default domain is one for the whole process. */
		cmocka_unit_test(test_define),
		cmocka_unit_test(test_lifecycle),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_add_words),
		cmocka_unit_test(test_helper),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
