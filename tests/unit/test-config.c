/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration: what each good file gives, and the exact line that each bad one gets. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "daemon/config/config.h"
#include "daemon/config/config_private.h"
#include "base/hotkey.h"

#define SECTION_LIST                                                                           \
	"one of [daemon], [network], [network NAME], [vm NAME], [device NAME], [group NAME], " \
	"[lan-export], [export NAME], [hotkey]"

static const struct {
	const char *text, *errors;
} bad[] = {
	/* The form of a line. */
	{"[daemon\n", "f:1: expected a section's name between [ and ]\n"},
	{"[daemon]x\n", "f:1: expected nothing after ]\n"},
	{"[daemon] x\n", "f:1: expected nothing but a comment after ]\n"},
	{"[daemon]\nsocket-group\n", "f:2: expected `key = value`, a [section] or a # comment\n"},
	{"[daemon]\nsocket-group kvm\n",
	 "f:2: expected `key = value`, a [section] or a # comment\n"},
	{"[daemon]\n= kvm\n", "f:2: expected `key = value`, a [section] or a # comment\n"},
	{"[daemon]\nsocket-group =\n",
	 "f:2: [daemon] socket-group: expected a value, such as socket-group = kvm\n"},
	{"[daemon]\nsocket-group = # none\n",
	 "f:2: [daemon] socket-group: expected a value, such as socket-group = kvm\n"},
	{"[daemon]\nsocket-group = a b\n",
	 "f:2: [daemon] socket-group: expected one word, or \"quotes\" around white space, such as "
	 "socket-group = kvm\n"},
	{"[daemon]\nsocket-group = \"kvm\n",
	 "f:2: [daemon] socket-group: expected a closing \" on the same line\n"},
	{"[daemon]\nsocket-group = \"k\\vm\"\n",
	 "f:2: [daemon] socket-group: expected \\\" or \\\\ for \" and \\ inside quotes\n"},
	{"[daemon]\nsocket-group = kvm \\\n", "f:2: [daemon] socket-group: expected the whole "
					      "value on one line; there are no continuation "
					      "lines\n"},
	{"[daemon]\nsocket-group = k\033vm\n", "f:2: expected text without control characters\n"},
	/* Sections and keys. */
	{"socket-group = kvm\n",
	 "f:1: socket-group: expected a section above it, " SECTION_LIST "\n"},
	{"[deamon]\nsocket-group = kvm\n", "f:1: [deamon]: expected " SECTION_LIST "\n"},
	{"[daemon x]\n", "f:1: [daemon x]: expected " SECTION_LIST "\n"},
	{"[]\n", "f:1: expected " SECTION_LIST "\n"},
	{"[Daemon]\n", "f:1: [Daemon]: expected " SECTION_LIST "\n"},
	{"[daemon]\n\n[daemon]\n",
	 "f:3: [daemon]: expected each section once; line 1 begins it too\n"},
	{"[vm vm1]\n[vm vm1]\n", "f:2: [vm vm1]: expected each VM once; line 1 has it too\n"},
	{"[vm]\n", "f:1: [vm]: expected a name, such as [vm vm1]\n"},
	{"[device]\n", "f:1: [device]: expected a name, such as [device keyboard]\n"},
	{"[vm host]\n",
	 "f:1: [vm host]: expected a VM's name of 1 to 31 of A-Z a-z 0-9 _ -, and none "
	 "of host next prev all none control\n"},
	{"[vm a b]\n",
	 "f:1: [vm a b]: expected a VM's name of 1 to 31 of A-Z a-z 0-9 _ -, and none "
	 "of host next prev all none control\n"},
	{"[device 1-1]\nmatch = id=046d:c31c\n",
	 "f:1: [device 1-1]: expected a device's name of 1 to 31 of A-Z a-z 0-9 _ -, none of host "
	 "next "
	 "prev all none control, and not the form of a port such as 1-1\n"},
	{"[device a]\nmatch = id=046d:c31c\n[device a]\nmatch = id=046d:c31c\n",
	 "f:3: [device a]: expected each device once; line 1 has it too\n"},
	{"[device a]\n",
	 "f:1: [device a] match: expected what the device is known by, such as match = "
	 "id=046d:c31c; found no such line\n"},
	{"[network]\nadress = 10.0.0.1/24\n",
	 "f:2: [network] adress: expected one of the keys address, isolate, talk\n"},
	{"[network]\nisolate = no\n\nisolate = no\n",
	 "f:4: [network] isolate: expected the key once; line 2 has it too\n"},
	{"[lan-export]\n[lan-export]\n",
	 "f:2: [lan-export]: expected each section once; line 1 begins it too\n"},
	{"[lan-export x]\n", "f:1: [lan-export x]: expected " SECTION_LIST "\n"},
	{"[lan-export]\nto = ::1\n", "f:2: [lan-export] to: expected one of the keys listen\n"},
	{"[export]\n", "f:1: [export]: expected a name, such as [export keyboard]\n"},
	{"[export 1-1]\nto = ::1\n",
	 "f:1: [export 1-1]: expected a LAN export's name of 1 to 31 of A-Z a-z 0-9 _ -, none of "
	 "host next prev all none control, and not the form of a port such as 1-1\n"},
	{"[export a]\n", "f:1: [export a] to: expected who may have it, such as to = "
			 "192.168.1.0/24; found no such line\n"},
	{"[export a]\nto = ::1\n[export a]\nto = ::1\n",
	 "f:3: [export a]: expected each LAN export once; line 1 has it too\n"},
	{"[lan-export]\nlisten = 10.0.0.1 10.0.0.1:3240\n",
	 "f:2: [lan-export] listen: expected each address once; found 10.0.0.1:3240 twice\n"},
	{"[lan-export]\nlisten = 1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5 1.1.1.6 1.1.1.7 1.1.1.8 "
	 "1.1.1.9\n",
	 "f:2: [lan-export] listen: expected at most 8 addresses\n"},
	{"[group desk]\n", "f:1: [group desk] devices: expected who is in the group, such as "
			   "devices = keyboard mouse; found no such line\n"},
	{"[group host]\ndevices = a\n",
	 "f:1: [group host]: expected a group's name of 1 to 31 of A-Z a-z 0-9 _ -, none of host "
	 "next prev all none control, and not the form of a port such as 1-1\n"},
	{"[group g]\ndevices = a\n[group g]\ndevices = a\n",
	 "f:3: [group g]: expected each group once; line 1 has it too\n"},
	{"[group g]\ndevices = a b a\n",
	 "f:2: [group g] devices: expected each device once; found a twice\n"},
	{"[group g]\ndevices = a 1-1\n",
	 "f:2: [group g] devices: expected names of devices, such as devices = keyboard mouse; "
	 "found \"1-1\"\n"},
	{"[device a]\nmatch = id=046d:c31c\n[group a]\ndevices = b\n",
	 "f:3: [group a]: expected a name that no device has; line 1 begins [device a]\n"},
	{"[vm vm1]\nmemory = x\n",
	 "f:2: [vm vm1] memory: expected one of the keys address, mac, domain, trust-mac\n"},
	{"[vm vm1]\ndomain = a/b\n", "f:2: [vm vm1] domain: expected the name of a libvirt domain, "
				     "at most 127 bytes without /; found \"a/b\"\n"},
	{"[vm vm1]\ndomain = vm2\n[vm vm2]\n",
	 "f:1: [vm vm1] domain: expected a domain of its own; it is [vm vm2]'s, too\n"},
	{"[vm vm1]\ndomain = x\n[vm vm2]\ndomain = x\n",
	 "f:3: [vm vm2] domain: expected a domain of its own; it is [vm vm1]'s, too\n"},
	/* Values. */
	{"[daemon]\nruntime-directory = run\n",
	 "f:2: [daemon] runtime-directory: expected an absolute path without . and .., such as "
	 "/run/usbrouted; found \"run\"\n"},
	{"[daemon]\nstate-directory = /a/../b\n",
	 "f:2: [daemon] state-directory: expected an absolute path without . and .., such as "
	 "/var/lib/usbrouted; found \"/a/../b\"\n"},
	{"[daemon]\nsocket-group = -x\n",
	 "f:2: [daemon] socket-group: expected the name of a group, such as kvm; found \"-x\"\n"},
	{"[network]\naddress = 10.77.0.1\n",
	 "f:2: [network] address: expected the daemon's IPv4 address in its subnet with a prefix "
	 "length "
	 "from 8 to 30, such as 10.77.0.1/24; found \"10.77.0.1\"\n"},
	{"[network]\nisolate = true\n",
	 "f:2: [network] isolate: expected yes or no; found \"true\"\n"},
	{"[network]\ntalk = a:b a\n[vm a]\n[vm b]\n",
	 "f:2: [network] talk: expected pairs of VMs, such as talk = vm1:vm2 vm2:vm3; found "
	 "\"a\"\n"},
	{"[network]\ntalk = a:a\n[vm a]\n",
	 "f:2: [network] talk: expected pairs of VMs, such as talk = vm1:vm2 vm2:vm3; found "
	 "\"a:a\"\n"},
	{"[network]\ntalk = a:b:c\n[vm a]\n",
	 "f:2: [network] talk: expected pairs of VMs, such as talk = vm1:vm2 vm2:vm3; found "
	 "\"a:b:c\"\n"},
	{"[network host]\n",
	 "f:1: [network host]: expected a network's name of 1 to 31 of A-Z a-z 0-9 _ -, and none "
	 "of host next prev all none control\n"},
	{"[network a]\n[network a]\n",
	 "f:2: [network a]: expected each network once; line 1 has it too\n"},
	{"[network a]\nisolate = yes\n",
	 "f:2: [network a] isolate: expected one of the keys uplink\n"},
	{"[network]\nuplink = none\n",
	 "f:2: [network] uplink: expected one of the keys address, isolate, talk\n"},
	{"[network a]\nuplink = tap0\n",
	 "f:2: [network a] uplink: expected an existing tap of the host, such as tap:tap-lan, or "
	 "none; found \"tap0\"\n"},
	{"[network a]\nuplink = tap:a/b\n",
	 "f:2: [network a] uplink: expected an existing tap of the host, such as tap:tap-lan, or "
	 "none; found \"tap:a/b\"\n"},
	{"[network a]\nuplink = tap:\n",
	 "f:2: [network a] uplink: expected an existing tap of the host, such as tap:tap-lan, or "
	 "none; found \"tap:\"\n"},
	{"[network a]\nuplink = tap:0123456789abcdef\n",
	 "f:2: [network a] uplink: expected an existing tap of the host, such as tap:tap-lan, or "
	 "none; found \"tap:0123456789abcdef\"\n"},
	{"[network a]\nuplink = tap:x\n[network b]\nuplink = tap:x\n",
	 "f:4: [network b] uplink: expected a tap of its own; [network a] has it in line 2\n"},
	{"[vm a]\ntrust-mac = 1\n", "f:2: [vm a] trust-mac: expected yes or no; found \"1\"\n"},
	{"[network]\ntalk = a:b\n[vm a]\n",
	 "f:2: [network] talk: expected names of VMs that have a section; found no [vm b]\n"},
	{"[vm a]\naddress = fe80::2\n",
	 "f:2: [vm a] address: expected an IPv4 address, such as 10.77.0.11; found \"fe80::2\"\n"},
	{"[vm a]\nmac = 53:54:00:77:00:0b\n",
	 "f:2: [vm a] mac: expected the MAC address of one card, such as 52:54:00:77:00:0b; found "
	 "\"53:54:00:77:00:0b\"\n"},
	{"[vm a]\nmac = 02:75:73:62:72:64\n", "f:2: [vm a] mac: expected a MAC address of its own, "
					      "such as 52:54:00:77:00:0b; found that "
					      "of usbrouted's card\n"},
	{"[device a]\nmatch = 046d:c31c\n",
	 "f:2: [device a] match: expected words such as id=046d:c31c serial=… port=… class=… "
	 "product=\"…\"; found \"046d:c31c\"\n"},
	{"[device a]\nmatch = id=46d\n",
	 "f:2: [device a] match: expected id=VVVV:PPPP, four hexadecimal digits each, such as "
	 "id=046d:c31c; found \"id=46d\"\n"},
	{"[device a]\nmatch = id=046d:c31c\nvms = a,b\n",
	 "f:3: [device a] vms: expected names of VMs, such as vms = vm1 vm2; found \"a,b\"\n"},
	{"[vm a]\n[device k]\nmatch = id=046d:c31c\nvms = a a\n",
	 "f:4: [device k] vms: expected each VM once; found a twice\n"},
	{"[daemon]\nsocket-group = "
	 "0123456789012345678901234567890123456789012345678901234567\xc3\xa4"
	 "\xc3\xa4 # 60 bytes of it, and no half character\n",
	 "f:2: [daemon] socket-group: expected the name of a group, such as kvm; found "
	 "\"0123456789012345678901234567890123456789012345678901234567\xc3\xa4…\"\n"},
	{"[hotkey]\nkey = a\n", "f:2: [hotkey] key: expected one of the keys panic, next\n"},
	{"[hotkey x]\n", "f:1: [hotkey x]: expected " SECTION_LIST "\n"},
	{"[hotkey]\npanic = LeftCtrl+Any\n",
	 "f:2: [hotkey] panic: expected names of keys joined by +, such as LeftCtrl+RightCtrl+Esc, "
	 "or no; found \"LeftCtrl+Any\"\n"},
	{"[hotkey]\npanic = LeftCtrl + Esc\n", "f:2: [hotkey] panic: expected one word, or "
					       "\"quotes\" around white space, such as panic = "
					       "LeftCtrl+RightCtrl+Esc\n"},
	{"[hotkey]\nnext = Esc+esc\n",
	 "f:2: [hotkey] next: expected each key once, or no; found \"Esc+esc\"\n"},
	{"[hotkey]\nnext = a+b+c+d+e+f+g+h+i\n",
	 "f:2: [hotkey] next: expected at most 8 keys, or no; found \"a+b+c+d+e+f+g+h+i\"\n"},
	/* Between lines. */
	{"[hotkey]\nnext = Esc+LeftCtrl\n",
	 "f:2: [hotkey] next: expected a chord that neither contains panic's nor is a part of "
	 "it\n"},
	{"[hotkey]\nnext = LeftCtrl+RightCtrl+Space+Esc\n",
	 "f:2: [hotkey] next: expected a chord that neither contains panic's nor is a part of "
	 "it\n"},
	{"[vm a]\naddress = 10.78.0.11\n", "f:2: [vm a] address: expected an address of a guest in "
					   "10.77.0.0/24, the subnet of [network] "
					   "address; found 10.78.0.11\n"},
	{"[vm a]\naddress = 10.77.0.255\n", "f:2: [vm a] address: expected an address of a guest "
					    "in 10.77.0.0/24, the subnet of [network] "
					    "address; found 10.77.0.255\n"},
	{"[vm a]\naddress = 10.77.0.0\n", "f:2: [vm a] address: expected an address of a guest in "
					  "10.77.0.0/24, the subnet of [network] "
					  "address; found 10.77.0.0\n"},
	{"[vm a]\naddress = 10.0.0.5\n[network]\naddress = 10.0.0.5/8\n",
	 "f:2: [vm a] address: expected an address of its own; 10.0.0.5 is the daemon's\n"},
	{"[vm a]\naddress = 10.77.0.11\n[vm b]\naddress = 10.77.0.11\n",
	 "f:4: [vm b] address: expected an address of its own; [vm a] has it in line 2\n"},
	{"[vm a]\nmac = 52:54:00:77:00:0b\n[vm b]\nmac = 52:54:00:77:00:0B\n",
	 "f:4: [vm b] mac: expected a MAC address of its own; [vm a] has it in line 2\n"},
	{"[vm a]\n[vm b]\n[network]\naddress = 10.0.0.1/30\n",
	 "f:4: [network] address: expected a subnet with room for the daemon and 2 VMs; /30 has "
	 "room "
	 "for 1\n"},
	{"[device k]\nmatch = id=046d:c31c\nvms = vm1\n",
	 "f:3: [device k] vms: expected names of VMs that have a section; found no [vm vm1]\n"},
	{"[vm a]\n[daemon]\nruntime-directory = "
	 "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	 "aaaaaaaaaaa"
	 "\n",
	 "f:3: [daemon] runtime-directory: expected a path of at most 99 bytes, so that the names "
	 "of "
	 "the VMs' sockets fit; found 100\n"},
	/* All at once; a wrong network address does not blame the VMs; a refused section is passed
	 * over. */
	{"[network]\naddress = x\n[vm a]\naddress = 10.99.0.1\n[what]\nx = y\n[vm b]\nx = y",
	 "f:2: [network] address: expected the daemon's IPv4 address in its subnet with a prefix "
	 "length "
	 "from 8 to 30, such as 10.77.0.1/24; found \"x\"\n"
	 "f:5: [what]: expected " SECTION_LIST "\n"
	 "f:8: [vm b] x: expected one of the keys address, mac, domain, trust-mac\n"},
	{"[daemon]\n[vm a\naddress = x\nmac = \"\n",
	 "f:2: expected a section's name between [ and ]\n"
	 "f:4: mac: expected a closing \" on the same line\n"},
	{"[daemon]\n[vm a\naddress = x\n", "f:2: expected a section's name between [ and ]\n"},
};

static void test_bad(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(config_errors_deinit) struct config_errors errors = {0};
		struct config *c = NULL;

		assert_int_equal(config_parse(&c, "f", bad[i].text, strlen(bad[i].text), &errors),
				 CONFIG_BAD);
		assert_null(c);
		if (strcmp(errors.text, bad[i].errors))
			fail_msg("%s\nshould get:\n%s\nbut got:\n%s", bad[i].text, bad[i].errors,
				 errors.text);
		assert_int_equal(errors.len, strlen(errors.text));
	}
}

static const char *const bad_addresses[] = {
	"10.77.0.1/7",	"10.77.0.1/31", "10.77.0.1/024",  "10.77.0.1/",
	"10.77.0.1/2x", "10.77.0.0/24", "10.77.0.255/24", "127.0.0.1/8",
	"224.0.0.1/24", "0.0.0.1/8",	"10.77.1/24",	  "010.77.0.1/24",
	"::1/24",	"/24",		"10.77.0.1 /24",  "10.77.0.1/-8",
};
static const char *const bad_macs[] = {
	"00:00:00:00:00:00",	 "ff:ff:ff:ff:ff:ff", "52:54:00:77:00",	   "52:54:00:77:00:0b:0c",
	"52-54-00-77-00-0b",	 "5254:00:77:00:0b:", "52:54:00:77:00:0g", "\"\"",
	"\"52:54:00:77:00: b\"",
};

static const char *const bad_listens[] = {
	"10.0.0.1:0",
	"10.0.0.1:65536",
	"10.0.0.1:",
	"10.0.0.1:+1",
	"10.0.0.1:03240",
	"10.0.0",
	":3240",
	"::1",
	"[::1",
	"[::1]x",
	"[10.0.0.1]",
	"[::1]:",
	"[fe80::1]:3240",
	"224.0.0.1",
	"[ff02::1]:3240",
	"localhost:1",
	"10.0.0.1:3240/24",
};
static const char *const bad_tos[] = {
	"10.0.0.1/24", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1",  "2001:db8::1/32",
	"::/129",      "lan",	      "10.0.0",	   "10.0.0.0/024", "10.0.0.1:3240",
};

static void test_bad_lan_values(void **state)
{
	char text[128];

	for (size_t i = 0; i < ARRAY_SIZE(bad_listens) + ARRAY_SIZE(bad_tos); i++) {
		_cleanup_(config_errors_deinit) struct config_errors errors = {0};
		struct config *c = NULL;

		if (i < ARRAY_SIZE(bad_listens))
			snprintf(text, sizeof(text), "[lan-export]\nlisten = %s\n", bad_listens[i]);
		else
			snprintf(text, sizeof(text), "[export a]\nto = %s\n",
				 bad_tos[i - ARRAY_SIZE(bad_listens)]);
		if (config_parse(&c, "f", text, strlen(text), &errors) != CONFIG_BAD ||
		    errors.n != 1 || !strstr(errors.text, "; found \""))
			fail_msg("%s: %s", text, errors.text);
	}
}

static void test_bad_values(void **state)
{
	char text[128];

	for (size_t i = 0; i < ARRAY_SIZE(bad_addresses) + ARRAY_SIZE(bad_macs); i++) {
		_cleanup_(config_errors_deinit) struct config_errors errors = {0};
		struct config *c = NULL;

		if (i < ARRAY_SIZE(bad_addresses))
			snprintf(text, sizeof(text), "[network]\naddress = %s\n", bad_addresses[i]);
		else
			snprintf(text, sizeof(text), "[vm a]\nmac = %s\n",
				 bad_macs[i - ARRAY_SIZE(bad_addresses)]);
		if (config_parse(&c, "f", text, strlen(text), &errors) != CONFIG_BAD ||
		    errors.n != 1 || strncmp(errors.text, "f:2: [", 6))
			fail_msg("%s: %s", text, errors.text);
	}
}

static struct config *parse(const char *text)
{
	_cleanup_(config_errors_deinit) struct config_errors errors = {0};
	struct config *c = NULL;

	if (config_parse(&c, "f", text, strlen(text), &errors))
		fail_msg("%s\n%s", text, errors.text);
	assert_null(errors.text);
	return c;
}

static void test_defaults(void **state)
{
	struct config *c = parse(" \t\n# x\n; y\n[daemon]\n[network]");

	assert_string_equal(c->runtime_directory, "/run/usbrouted");
	assert_string_equal(c->state_directory, "/var/lib/usbrouted");
	assert_string_equal(c->socket_group, "kvm");
	assert_int_equal(ntohl(c->address.s_addr), 0x0a4d0001);
	assert_int_equal(c->prefix, 24);
	assert_false(c->isolate);
	assert_int_equal(c->n_vms, 0);
	assert_int_equal(c->n_devices, 0);
	assert_memory_equal(c->hotkeys.at[HOTKEY_PANIC].keys, "\xe0\xe4\x29\0\0\0\0", 8);
	assert_int_equal(c->hotkeys.at[HOTKEY_NEXT].keys[0], 0);
	assert_false(c->lan_export);
	config_free(c);
}

static void test_everything(void **state)
{
	struct config *c = parse("[daemon]\r\n"
				 "runtime-directory=/tmp/a#b\r\n"
				 "  state-directory = \"/var/lib/a b\"  ; comment\r\n"
				 "socket-group = libvirt-qemu\t# comment\r\n"
				 "[ network ] # comment\r\n"
				 "address = 192.168.7.9/29\r\n"
				 "isolate = \"yes\"\r\n"
				 "talk = vm1:1-1\r\n"
				 "[vm vm1]\r\n"
				 "address = 192.168.7.10\r\n"
				 "mac = 52:54:00:77:00:0B\r\n"
				 "trust-mac = yes\r\n"
				 "[network lan]\r\n"
				 "uplink = tap:tap-lan\r\n"
				 "[network inner]\r\n"
				 "uplink = none\r\n"
				 "[vm  1-1]\r\n"
				 "domain = \"win 10\"\r\n"
				 "[device keyboard]\r\n"
				 "match = id=046d:C31C product=\"USB \\\"Key\\\\board\\\" #1; *\" "
				 "port=0000:00:14.0/usb2:1.2\r\n"
				 "vms = vm1 1-1\r\n"
				 "[device any]\r\n"
				 "match = \"class=hid.mouse\" serial=a#b;c\r\n"
				 "[group desk]\r\n"
				 "devices = keyboard given-later any\r\n"
				 "[lan-export]\r\n"
				 "listen = 192.168.1.10 0.0.0.0:13240 [2001:db8::1] [::]:1\r\n"
				 "[export desk]\r\n"
				 "to = 192.168.1.0/24 192.168.2.7 2001:db8::/32 ::/0\r\n"
				 "[hotkey]\r\n"
				 "panic = no\r\n"
				 "next = leftmeta+F12+RIGHTALT+0+z+Up+ScrollLock+f1\r\n");
	const struct config_device *d;
	const struct config_export *e;
	const struct config_group *g;
	const struct config_vm *vm;

	assert_string_equal(c->runtime_directory, "/tmp/a#b");
	assert_string_equal(c->state_directory, "/var/lib/a b");
	assert_string_equal(c->socket_group, "libvirt-qemu");
	assert_int_equal(ntohl(c->address.s_addr), 0xc0a80709);
	assert_int_equal(c->prefix, 29);
	assert_true(c->isolate);
	assert_int_equal(c->n_networks, 2);
	assert_string_equal(config_find_network(c, "lan")->tap, "tap-lan");
	assert_string_equal(config_find_network(c, "inner")->tap, "");
	assert_true(config_find_vm(c, "vm1")->trust_mac);
	assert_false(config_find_vm(c, "1-1")->trust_mac);
	assert_int_equal(c->n_talks, 1);
	assert_string_equal(c->talks[0].vms[0], "vm1");
	assert_string_equal(c->talks[0].vms[1], "1-1");
	assert_int_equal(c->n_vms, 2);
	vm = config_find_vm(c, "vm1");
	assert_true(vm->has_address && vm->has_mac);
	assert_int_equal(ntohl(vm->address.s_addr), 0xc0a8070a);
	assert_memory_equal(vm->mac, "\x52\x54\x00\x77\x00\x0b", 6);
	vm = config_find_vm(c, "1-1");
	assert_false(vm->has_address || vm->has_mac);
	assert_string_equal(vm->domain, "win 10");
	assert_null(config_find_vm(c, "vm2"));

	d = config_find_device(c, "keyboard");
	assert_true(d->match.has_id && d->has_vms);
	assert_int_equal(d->match.id_product, 0xc31c);
	assert_string_equal(d->match.product, "USB \"Key\\board\" #1; *");
	assert_string_equal(d->match.port, "0000:00:14.0/usb2:1.2");
	assert_int_equal(d->n_vms, 2);
	assert_string_equal(d->vms[1], "1-1");
	d = config_find_device(c, "any");
	assert_int_equal(d->match.class_, USB_CLASS_HID_MOUSE);
	assert_string_equal(d->match.serial, "a#b;c");
	assert_false(d->has_vms);
	g = config_find_group(c, "desk");
	assert_int_equal(g->n_devices, 3);
	assert_string_equal(g->devices[1], "given-later");
	assert_null(config_find_group(c, "keyboard"));
	assert_true(c->lan_export);
	assert_int_equal(c->n_listens, 4);
	assert_true(!c->listens[0].v6 && c->listens[0].port == 3240);
	assert_memory_equal(c->listens[0].address, "\xc0\xa8\x01\x0a", 4);
	assert_int_equal(c->listens[1].port, 13240);
	assert_true(c->listens[2].v6 && c->listens[2].port == 3240);
	assert_int_equal(c->listens[3].port, 1);
	e = config_find_export(c, "desk");
	assert_int_equal(e->n_to, 4);
	assert_true(!e->to[0].v6 && e->to[0].bits == 24);
	assert_int_equal(e->to[1].bits, 32);
	assert_true(e->to[2].v6 && e->to[2].bits == 32);
	assert_int_equal(e->to[3].bits, 0);
	assert_null(config_find_export(c, "keyboard"));
	assert_int_equal(c->hotkeys.at[HOTKEY_PANIC].keys[0], 0);
	assert_memory_equal(c->hotkeys.at[HOTKEY_NEXT].keys, "\xe3\x45\xe6\x27\x1d\x52\x47\x3a", 8);
	config_free(c);
}

static void test_bounds(void **state)
{
	_cleanup_(config_errors_deinit) struct config_errors line = {0}, many = {0}, file = {0};
	_cleanup_free_ char *text = malloc(CONFIG_FILE_MAX + 1);
	struct config *c = NULL;

	memset(text, '#', CONFIG_FILE_MAX + 1);
	text[TEXT_LINE_MAX] = '\n';
	assert_int_equal(config_parse(&c, "f", text, TEXT_LINE_MAX + 1, &line), 0);
	c = config_free(c);
	assert_int_equal(config_parse(&c, "f", text + 100, 1, &line), 0);
	c = config_free(c);
	/* The end of a line is no part of it, in a file of Windows either. */
	memcpy(text + TEXT_LINE_MAX, "\r\n", 2);
	assert_int_equal(config_parse(&c, "f", text, TEXT_LINE_MAX + 2, &line), 0);
	c = config_free(c);
	memcpy(text + TEXT_LINE_MAX, "##", 2);
	assert_int_equal(config_parse(&c, "f", text, TEXT_LINE_MAX + 1, &line), CONFIG_BAD);
	assert_string_equal(line.text, "f:1: expected a line of at most 4096 bytes\n");
	assert_int_equal(config_parse(&c, "f", text, CONFIG_FILE_MAX + 1, &file), CONFIG_BAD);
	assert_string_equal(file.text, "f: expected a file of at most 1048576 bytes; found more\n");

	for (size_t i = 0; i < CONFIG_FILE_MAX; i += 4)
		memcpy(text + i, "[x]\n", 4);
	assert_int_equal(config_parse(&c, "f", text, CONFIG_FILE_MAX, &many), CONFIG_BAD);
	assert_int_equal(many.n, CONFIG_ERRORS_MAX + 1);
	assert_non_null(strstr(many.text, "\nf: expected fewer errors; the rest is left out\n"));
}

static void test_nul(void **state)
{
	_cleanup_(config_errors_deinit) struct config_errors errors = {0};
	struct config *c = NULL;

	assert_int_equal(config_parse(&c, "f", "[vm a]\n\0\n[vm b]\n", 16, &errors), CONFIG_BAD);
	assert_string_equal(errors.text, "f:2: expected text; found a NUL byte\n");
}

#define NO_UTF8                                                                                  \
	"expected text in UTF-8; found a byte that is none, as a letter of Latin-1 is: convert " \
	"the file, as iconv -f LATIN1 -t UTF-8 does\n"
#define UTF16                                                                                 \
	"f:1: expected text in UTF-8; found UTF-16: convert the file, as iconv -f UTF-16 -t " \
	"UTF-8 does\n"
#define MARK                                                                                       \
	"f:1: expected text in UTF-8 without a byte-order mark; found one before the first line: " \
	"save the file without it, as sed -i '1s/^\\xef\\xbb\\xbf//' does\n"
#define BLANK \
	"expected a blank; found a character that only looks like one, such as a no-break space\n"

static const struct {
	const char *text;
	size_t len; /* 0: as a string */
	const char *errors;
} encodings[] = {
	{"\xef\xbb\xbf[vm vm1]\n", 0, MARK},
	/* What else is wrong is seen, too. */
	{"\xef\xbb\xbf[vm vm1]\r\ncolour = red\r\n", 0,
	 MARK "f:2: [vm vm1] colour: expected one of the keys address, mac, domain, trust-mac\n"},
	{"\xff\xfe[\0v\0m\0", 8, UTF16},
	{"\xfe\xff\0[\0v\0m", 8, UTF16},
	{"[\0v\0m\0 \0a\0]\0\n\0", 14, UTF16},
	{"\0[\0v\0m\0 \0a\0]\0\n", 14, UTF16},
	{"[vm vm1]\n[device k]\nmatch = product=\"Cl\xe9\"\n", 0, "f:3: " NO_UTF8},
	{"[device k]\nmatch = product=\"a\n", 0,
	 "f:2: [device k] match: expected a closing \" on the same line\n"},
	{"[group g]\ndevices =\xc2\xa0k\n[device k]\n", 0,
	 "f:2: [group g] devices: " BLANK
	 "f:3: [device k] match: expected what the device is known by, such as match = "
	 "id=046d:c31c; found no such line\n"},
	{"# Ger\xe4te\n[vm vm1]\n", 0, "f:1: " NO_UTF8},
	{"[vm vm1]\n\xc2\x9b\n", 0, "f:2: expected text without control characters\n"},
	{"[vm vm1]\naddress\xc2\xa0= 10.77.0.11\n", 0, "f:2: " BLANK},
	{"[vm vm1]\naddress =\xc2\xa0"
	 "10.77.0.11\n",
	 0, "f:2: [vm vm1] address: " BLANK},
	{"[vm vm1]\ndomain = \xe2\x80\x9cwin 10\xe2\x80\x9d\n", 0,
	 "f:2: [vm vm1] domain: expected \" around quoted text; found another kind of quotation "
	 "mark\n"},
};

static void test_encodings(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(encodings); i++) {
		_cleanup_(config_errors_deinit) struct config_errors errors = {0};
		size_t len = encodings[i].len ? encodings[i].len : strlen(encodings[i].text);
		struct config *c = NULL;

		assert_int_equal(config_parse(&c, "f", encodings[i].text, len, &errors),
				 CONFIG_BAD);
		assert_string_equal(errors.text, encodings[i].errors);
	}
}

/* What other systems' editors write is read. */
static void test_line_ends_and_letters(void **state)
{
	static const char text[] = "# Ger\xc3\xa4te\r\n[vm vm1]\r\n[device k]\r\nmatch = "
				   "product=\"Cl\xc3\xa9\xc2\xa0\xe2\x80\x9cx\xe2\x80\x9d\"\r\n";
	_cleanup_(config_errors_deinit) struct config_errors errors = {0};
	struct config *c = NULL;

	assert_int_equal(config_parse(&c, "f", text, strlen(text), &errors), 0);
	assert_string_equal(config_find_device(c, "k")->match.product,
			    "Cl\xc3\xa9\xc2\xa0\xe2\x80\x9cx\xe2\x80\x9d");
	config_free(c);
}

/* What is shown of a file can't do anything to a terminal. */
static void test_messages_are_clean(void **state)
{
	static const char text[] = "[daemon]\nsocket-group = \"a\xe2\x80\xae"
				   "b\"\n";
	_cleanup_(config_errors_deinit) struct config_errors errors = {0};
	struct config *c = NULL;

	assert_int_equal(config_parse(&c, "f", text, strlen(text), &errors), CONFIG_BAD);
	assert_string_equal(errors.text,
			    "f:2: [daemon] socket-group: expected the name of a group, "
			    "such as kvm; found \"a?b\"\n");
}

static void test_load(void **state)
{
	_cleanup_(config_errors_deinit) struct config_errors none = {0}, missing = {0}, dir = {0},
							     fifo = {0};
	char path[] = "/tmp/test-config-XXXXXX", file[64];
	struct config *c = NULL;

	assert_non_null(mkdtemp(path));
	snprintf(file, sizeof(file), "%s/f", path);
	assert_int_equal(config_load(&c, file, false, &none), 0);
	assert_int_equal(c->n_vms, 0);
	c = config_free(c);
	assert_int_equal(config_load(&c, file, true, &missing), CONFIG_BAD);
	assert_non_null(strstr(missing.text, "/f: expected a readable file; No such file"));
	assert_int_equal(config_load(&c, path, false, &dir), CONFIG_BAD);
	assert_non_null(strstr(dir.text, ": expected a regular file\n"));
	assert_int_equal(mkfifo(file, 0600), 0);
	assert_int_equal(config_load(&c, file, false, &fifo), CONFIG_BAD);
	assert_non_null(strstr(fifo.text, ": expected a regular file\n"));
	unlink(file);
	rmdir(path);
}

/* What is shipped parses, with and without its comments in front of the defaults. */
static void test_shipped(void **state)
{
	_cleanup_(config_errors_deinit) struct config_errors errors = {0};
	const char *file = getenv("SHIPPED_CONFIG");
	_cleanup_free_ char *text = calloc(1, CONFIG_FILE_MAX), *bare = calloc(1, CONFIG_FILE_MAX);
	struct config *c = NULL;
	FILE *f;

	if (!file)
		skip();
	if (config_load(&c, file, true, &errors))
		fail_msg("%s", errors.text);
	assert_int_equal(c->n_vms, 0);
	c = config_free(c);

	/* "#key = value" and "#[section]" are settings; "# text" is text. */
	f = fopen(file, "re");
	assert_non_null(f);
	assert_true(fread(text, 1, CONFIG_FILE_MAX - 1, f) > 0);
	fclose(f);
	for (const char *p = text; *p;) {
		size_t n = strcspn(p, "\n") + 1;

		if (p[0] == '#' && p[1] != ' ' && p[1] != '\n')
			strncat(bare, p + 1, n - 1);
		else
			strncat(bare, p, n);
		p += n;
	}
	if (config_parse(&c, file, bare, strlen(bare), &errors))
		fail_msg("%s", errors.text);
	assert_true(c->n_vms >= 2);
	assert_true(c->n_devices >= 1);
	config_free(c);
}

static char *read_manual(const char *manual)
{
	char path[512], *text = calloc(1, CONFIG_FILE_MAX);
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", getenv("SHIPPED_MANUALS"), manual);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_true(fread(text, 1, CONFIG_FILE_MAX - 1, f) > 0);
	fclose(f);
	return text;
}

/* What stands in the manual between a heading and the next one. */
static char *manual_section(const char *manual, const struct config_section_keys *s)
{
	char heading[64];
	const char *begin, *end;

	snprintf(heading, sizeof(heading), "\n# [%s%s]\n", s->kind, s->name ? " NAME" : "");
	begin = strstr(manual, heading);
	if (!begin)
		fail_msg("usbrouted.conf.5: it has no section%s", heading);
	begin += strlen(heading);
	end = strstr(begin, "\n# ");
	return strndup(begin, end ? (size_t)(end - begin) : strlen(begin));
}

/* The manual has each key with its default and, below it, "Required." where it is, and no other key. */
static void test_manual(void **state)
{
	_cleanup_free_ char *manual =
		getenv("SHIPPED_MANUALS") ? read_manual("usbrouted.conf.5.scd") : NULL;
	size_t sections = 0;

	if (!manual)
		skip();
	for (int i = SECTION_FIRST; i < SECTIONS; i++) {
		const struct config_section_keys *s = &config_sections[i];
		_cleanup_free_ char *section = manual_section(manual, s);
		size_t keys = 0, in_table = 0;

		for (int k = 0; k < CONFIG_KEYS_MAX && s->keys[k].name; k++, in_table++) {
			const struct config_key *key = &s->keys[k];
			char line[128];
			const char *at, *end;

			snprintf(line, sizeof(line), "\n*%s*%s%s\n", key->name,
				 key->by_default ? " = " : "",
				 key->by_default ? key->by_default : "");
			at = strstr(section, line);
			if (!at)
				fail_msg("usbrouted.conf.5: [%s] has no line%s", s->kind, line);
			end = strstr(at + 1, "\n\n");
			end = end ? end : section + strlen(section) - 1;
			if (key->required && memcmp(end - 9, "Required.", 9) != 0)
				fail_msg("usbrouted.conf.5: [%s] %s is required", s->kind,
					 key->name);
		}
		/* What is told of a key is indented below it. */
		for (const char *at = section; (at = strstr(at, "\n*")); at++)
			keys += !strncmp(at + 1 + strcspn(at + 1, "\n"), "\n\t", 2);
		if (keys != in_table)
			fail_msg("usbrouted.conf.5: [%s] has %zu keys; the table has %zu", s->kind,
				 keys, in_table);
	}
	for (const char *at = manual; (at = strstr(at, "\n# [")); at++)
		sections++;
	assert_int_equal(sections, SECTIONS - SECTION_FIRST);
}

/* The file that is shipped names each default, commented out. */
static void test_shipped_defaults(void **state)
{
	_cleanup_free_ char *text = calloc(1, CONFIG_FILE_MAX);
	const char *file = getenv("SHIPPED_CONFIG");
	FILE *f;

	if (!file)
		skip();
	f = fopen(file, "re");
	assert_non_null(f);
	assert_true(fread(text, 1, CONFIG_FILE_MAX - 1, f) > 0);
	fclose(f);
	for (int i = SECTION_FIRST; i < SECTIONS; i++)
		for (int k = 0; k < CONFIG_KEYS_MAX && config_sections[i].keys[k].name; k++) {
			const struct config_key *key = &config_sections[i].keys[k];
			char line[128];

			snprintf(line, sizeof(line), "\n#%s = %s\n", key->name, key->by_default);
			if (!key->by_default || strstr(text, line))
				continue;
			/* What is off stands there as an example. */
			snprintf(line, sizeof(line), "\n#%s = %s\n", key->name, key->example);
			if (strcmp(key->by_default, "no") != 0 || !strstr(text, line))
				fail_msg("%s: it has no line%s", file, line);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_manual),
		cmocka_unit_test(test_shipped_defaults),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_bad_lan_values),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_encodings),
		cmocka_unit_test(test_line_ends_and_letters),
		cmocka_unit_test(test_messages_are_clean),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_shipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
