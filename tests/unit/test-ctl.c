/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program usbroutectl against a scripted daemon: what it asks, what it prints where, and its
 * exit status. $USBROUTECTL names the program.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

#define DEVICE                                                                                \
	"{\"alias\":\"keyboard\",\"id\":\"046d:c31c\",\"serial\":null,\"port\":\"1-1.2\","    \
	"\"stable_port\":\"0000:00:14.0/usb2:1.2\",\"busid\":\"1-1.2\",\"manufacturer\":"     \
	"\"Logitech\",\"product\":\"Logitech K\\u001b[2J\",\"speed\":\"low\",\"classes\":"    \
	"[\"hid\",\"hid.keyboard\"],\"wanted\":\"vm1\",\"wanted_by\":\"command\",\"actual\":" \
	"\"host\",\"state\":\"pending\",\"reason\":\"vm1 is not connected\"}"
#define STICK                                                                                      \
	"{\"alias\":null,\"id\":\"0951:1666\",\"serial\":\"E0D5\",\"port\":\"2-2\","               \
	"\"stable_port\":\"0000:00:14.0/usb3:2\",\"busid\":\"2-2\",\"manufacturer\":\"Kingston\"," \
	"\"product\":null,\"speed\":\"super\",\"classes\":[\"storage\"],\"wanted\":\"host\","      \
	"\"wanted_by\":\"default\",\"actual\":\"host\",\"state\":\"present\",\"reason\":null}"
#define VMS                                                                                        \
	"{\"parameters\":{\"vms\":[{\"name\":\"vm1\",\"mac\":\"52:54:00:77:00:0b\",\"domain\":"    \
	"null,"                                                                                    \
	"\"socket\":\"/run/usbrouted/vm1.sock\"},{\"name\":\"vm2\",\"mac\":null,\"domain\":\"win " \
	"10\","                                                                                    \
	"\"socket\":\"/run/usbrouted/vm2.sock\"}]}}"
#define ERROR(name, parameters) \
	"{\"error\":\"io.usbrouted." name "\",\"parameters\":" parameters "}"
#define CALL(method, parameters) \
	"{\"method\":\"io.usbrouted." method "\",\"parameters\":" parameters "}"
#define MORE(method) "{\"method\":\"io.usbrouted." method "\",\"parameters\":{},\"more\":true}"
#define ATTACH_K1    CALL("Attach", "{\"device\":\"keyboard\",\"vm\":\"vm1\"}")

static char directory[] = "/tmp/test-ctl-XXXXXX", socket_path[64], helper_path[64];
static int listener = -1;
static char snippet[4096]; /* configs/libvirt/vm1.xml */

static const struct {
	const char *args[8];
	const char *call;  /* NULL: it does not even connect */
	const char *reply; /* NULL: the connection is closed */
	int status;
	const char *out, *err; /* err: how it begins */
} runs[] = {
	{{"list"},
	 MORE("List"),
	 "{\"parameters\":{\"devices\":[" DEVICE "," STICK "]}}",
	 0,
	 "ALIAS     ID         PORT   DEVICE              SPEED  WANT  NOW   STATE\n"
	 "keyboard  046d:c31c  1-1.2  Logitech K?[2J      low    vm1   host  pending: vm1 is not "
	 "connected\n"
	 "-         0951:1666  2-2    Kingston (storage)  super  -     host  present\n",
	 ""},
	{{"list"},
	 MORE("List"),
	 "{\"parameters\":{\"devices\":[]}}",
	 0,
	 "ALIAS  ID  PORT  DEVICE  SPEED  WANT  NOW  STATE\n",
	 ""},
	/* A device a reply; {END} stands for the NUL between replies. */
	{{"list"},
	 MORE("List"),
	 "{\"parameters\":{\"devices\":[" DEVICE "]},\"continues\":true}{END}{\"parameters\":{"
	 "\"devices\":[" STICK "]}}",
	 0,
	 "ALIAS     ID         PORT   DEVICE              SPEED  WANT  NOW   STATE\n"
	 "keyboard  046d:c31c  1-1.2  Logitech K?[2J      low    vm1   host  pending: vm1 is not "
	 "connected\n"
	 "-         0951:1666  2-2    Kingston (storage)  super  -     host  present\n",
	 ""},
	{{"--json", "list"},
	 MORE("List"),
	 "{\"parameters\":{\"devices\":[1]},\"continues\":true}{END}{\"parameters\":{\"devices\":["
	 "2],\"new\":3},\"continues\":true}{END}{\"parameters\":{\"devices\":[]}}",
	 0,
	 "{\"devices\":[1,2],\"new\":3}\n",
	 ""},
	/* It goes wrong half-way. */
	{{"--json", "list"},
	 MORE("List"),
	 "{\"parameters\":{\"devices\":[1]},\"continues\":true}{END}" ERROR(
		 "Failed", "{\"reason\":\"no memory\"}"),
	 1,
	 "",
	 "error[failed]: no memory\n"},
	{{"--json", "list"},
	 MORE("List"),
	 "{\"parameters\":{\"devices\":[1]},\"continues\":true}",
	 1,
	 "",
	 "error[failed]: usbrouted closed the connection"},
	{{"list"},
	 MORE("List"),
	 "{\"parameters\":{\"devices\":[]},\"continues\":1}",
	 1,
	 "",
	 "error[failed]: what answers at "},
	/* Nobody asked for more. */
	{{"status"},
	 CALL("Status", "{}"),
	 "{\"parameters\":{},\"continues\":true}",
	 1,
	 "",
	 "error[failed]: what answers at "},
	{{"--json", "list"},
	 MORE("List"),
	 "{\"parameters\":{\"devices\":[],\"new\":1.5,\"a\":\"\xc3\xa4\"}}",
	 0,
	 "{\"devices\":[],\"new\":1.5,\"a\":\"\xc3\xa4\"}\n",
	 ""},
	{{"show", "port=1-3"},
	 CALL("Show", "{\"device\":\"port=1-3\"}"),
	 "{\"parameters\":{\"device\":{\"alias\":null,\"id\":\"1234:5678\",\"classes\":[\"hid\","
	 "\"hid.keyboard\"],"
	 "\"classes_by\":[\"hid.keyboard: from the report descriptor of interface "
	 "1\"],\"wanted\":\"host\","
	 "\"wanted_by\":\"default\",\"actual\":\"host\",\"state\":\"present\"}}}",
	 0,
	 "alias       -\n"
	 "id          1234:5678\n"
	 "classes     hid hid.keyboard\n"
	 "classes by  hid.keyboard: from the report descriptor of interface 1\n"
	 "wanted      host (default)\n"
	 "now         host\n"
	 "state       present\n",
	 ""},
	{{"show", "port=2-2"},
	 CALL("Show", "{\"device\":\"port=2-2\"}"),
	 "{\"parameters\":{\"device\":" STICK "}}",
	 0,
	 "alias         -\n"
	 "id            0951:1666\n"
	 "serial        E0D5\n"
	 "manufacturer  Kingston\n"
	 "classes       storage\n"
	 "speed         super\n"
	 "port          2-2\n"
	 "stable port   0000:00:14.0/usb3:2\n"
	 "busid         2-2\n"
	 "wanted        host (default)\n"
	 "now           host\n"
	 "state         present\n",
	 ""},
	{{"vms"},
	 MORE("Vms"),
	 "{\"parameters\":{\"vms\":[{\"name\":\"vm1\",\"connected\":true,\"address\":\"10.77.0."
	 "11\","
	 "\"mac\":\"52:54:00:77:00:0b\",\"agent\":null,\"devices\":[\"keyboard\",\"1-1.4\"]},"
	 "{\"name\":\"vm2\",\"connected\":false,\"address\":\"10.77.0.12\",\"mac\":null,\"agent\":"
	 "null,\"devices\":[]}]}}",
	 0,
	 "VM   LINK  AGENT  ADDRESS     MAC                DEVICES\n"
	 "vm1  up    -      10.77.0.11  52:54:00:77:00:0b  keyboard 1-1.4\n"
	 "vm2  off   -      10.77.0.12  -                  -\n",
	 ""},
	{{"status"},
	 CALL("Status", "{}"),
	 "{\"parameters\":{\"version\":\"1.2\",\"uptime_seconds\":7300,\"devices\":5,\"vms\":2,"
	 "\"warnings\":[\"one\\u0007\",\"two\"]}}",
	 0,
	 "usbrouted 1.2, up 2 h 1 min\n"
	 "devices   5\n"
	 "VMs       2\n"
	 "warning   one?\n"
	 "warning   two\n",
	 ""},
	{{"attach", "keyboard", "vm1"},
	 ATTACH_K1,
	 "{\"parameters\":{\"device\":" DEVICE
	 ",\"message\":\"keyboard: host -> vm1\\nIn vm1, type: "
	 "usbip attach -r 10.77.0.1 -b keyboard\",\"milliseconds\":null}}",
	 0,
	 "keyboard: host -> vm1\nIn vm1, type: usbip attach -r 10.77.0.1 -b keyboard\n",
	 ""},
	{{"attach", "keyboard", "vm1", "--wait", "2.5"},
	 CALL("Attach", "{\"device\":\"keyboard\",\"vm\":\"vm1\",\"wait_seconds\":2.5}"),
	 ERROR("Pending", "{\"reason\":\"vm1 is not connected\"}"),
	 7,
	 "",
	 "error[pending]: keyboard: vm1 is not connected\n  The wish stays."},
	{{"attach", "--no-wait", "keyboard", "vm1"},
	 CALL("Attach", "{\"device\":\"keyboard\",\"vm\":\"vm1\",\"wait_seconds\":0.0}"),
	 "{\"parameters\":{\"device\":" DEVICE ",\"message\":\"pending: vm1 is not connected\"}}",
	 0,
	 "pending: vm1 is not connected\n",
	 ""},
	{{"detach", "046d:c31c"},
	 CALL("Detach", "{\"device\":\"046d:c31c\"}"),
	 "{\"parameters\":{\"device\":" STICK ",\"message\":\"stick: vm1 -> host in 30 ms\"}}",
	 0,
	 "stick: vm1 -> host in 30 ms\n",
	 ""},
	{{"attach", "desk", "vm1", "--for", "10m", "--force"},
	 CALL("Attach",
	      "{\"device\":\"desk\",\"vm\":\"vm1\",\"for_seconds\":600.0,\"force\":true}"),
	 ERROR("Busy", "{\"reason\":\"it is claimed by another program\"}"),
	 6,
	 "",
	 "error[busy]: desk: it is claimed by another program\n"},
	{{"attach", "keyboard", "vm1"},
	 ATTACH_K1,
	 ERROR("Busy", "{\"reason\":\"it is the host's last keyboard\"}"),
	 6,
	 "",
	 "error[busy]: keyboard: it is the host's last keyboard\n"
	 "  try: usbroutectl attach keyboard vm1 --force\n"},
	{{"detach", "keyboard", "--until-unplug", "--dry-run"},
	 CALL("Detach", "{\"device\":\"keyboard\",\"until_unplug\":true,\"dry_run\":true}"),
	 "{\"parameters\":{\"message\":\"keyboard: would go vm1 -> host\"}}",
	 0,
	 "keyboard: would go vm1 -> host\n",
	 ""},
	{{"switch", "desk", "next", "--no-wait"},
	 CALL("Switch", "{\"device\":\"desk\",\"to\":\"next\",\"wait_seconds\":0.0}"),
	 "{\"parameters\":{\"message\":\"keyboard: vm1 -> vm2\\nmouse: vm1 -> vm2\"}}",
	 0,
	 "keyboard: vm1 -> vm2\nmouse: vm1 -> vm2\n",
	 ""},
	{{"assign", "keyboard", "vm1"},
	 CALL("Assign", "{\"device\":\"keyboard\",\"vm\":\"vm1\"}"),
	 "{\"parameters\":{\"message\":\"pending: keyboard goes to vm1 when vm1 is connected\"}}",
	 0,
	 "pending: keyboard goes to vm1 when vm1 is connected\n",
	 ""},
	{{"unassign", "keyboard"},
	 CALL("Unassign", "{\"device\":\"keyboard\"}"),
	 "{\"parameters\":{\"message\":\"keyboard: vm1 -> host in 9 ms\"}}",
	 0,
	 "keyboard: vm1 -> host in 9 ms\n",
	 ""},
	{{"release", "keyboard"},
	 CALL("Release", "{\"device\":\"keyboard\"}"),
	 ERROR("Denied", "{\"by\":\"10-usb.rules:3\"}"),
	 5,
	 "",
	 "error[denied]: keyboard: 10-usb.rules:3\n"},
	{{"reserve", "keyboard", "--off"},
	 CALL("Reserve", "{\"device\":\"keyboard\",\"off\":true}"),
	 "{\"parameters\":{\"message\":\"keyboard: already at the host\"}}",
	 0,
	 "keyboard: already at the host\n",
	 ""},
	{{"undo"},
	 CALL("Undo", "{}"),
	 ERROR("Failed", "{\"reason\":\"nothing was changed since the start\"}"),
	 1,
	 "",
	 "error[failed]: nothing was changed since the start\n"},
	{{"reset", "keyboard", "--force", "--wait", "20"},
	 CALL("Reset", "{\"device\":\"keyboard\",\"wait_seconds\":20.0,\"force\":true}"),
	 "{\"parameters\":{\"device\":null,\"message\":\"keyboard: reset; it is at vm1\"}}",
	 0,
	 "keyboard: reset; it is at vm1\n",
	 ""},
	{{"reset", "disk"},
	 CALL("Reset", "{\"device\":\"disk\"}"),
	 ERROR("Busy", "{\"reason\":\"in use on the host: sda is mounted at /mnt\"}"),
	 6,
	 "",
	 "error[busy]: disk: in use on the host: sda is mounted at /mnt\n"
	 "  try: usbroutectl reset disk --unmount\n"},
	{{"power", "keyboard", "cycle", "--dry-run"},
	 CALL("Power", "{\"device\":\"keyboard\",\"how\":\"cycle\",\"dry_run\":true}"),
	 "{\"parameters\":{\"device\":null,\"message\":\"keyboard: its port would be switched\"}}",
	 0,
	 "keyboard: its port would be switched\n",
	 ""},
	{{"power", "keyboard", "off"},
	 CALL("Power", "{\"device\":\"keyboard\",\"how\":\"off\"}"),
	 ERROR("Busy", "{\"reason\":\"it is the host's last keyboard\"}"),
	 6,
	 "",
	 "error[busy]: keyboard: it is the host's last keyboard\n"
	 "  try: usbroutectl power keyboard off --force\n"},
	{{"power", "keyboard", "on"},
	 CALL("Power", "{\"device\":\"keyboard\",\"how\":\"on\"}"),
	 ERROR("Denied", "{\"by\":\"your user\"}"),
	 5,
	 "",
	 "error[denied]: keyboard: your user\n"},
	{{"power", "keyboard", "sideways"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: power: expected off, on or cycle after the device; found \"sideways\"\n"
	 "  try: usbroutectl power --help\n"},
	{{"alias", "port=1-1", "stick"},
	 CALL("SetAlias", "{\"device\":\"port=1-1\",\"alias\":\"stick\"}"),
	 "{\"parameters\":{\"device\":" STICK "}}",
	 0,
	 "port=1-1: stick from now on\n",
	 ""},
	{{"alias", "port=1-1", "none"},
	 CALL("SetAlias", "{\"device\":\"port=1-1\",\"alias\":null}"),
	 ERROR("Denied", "{\"by\":\"your user\"}"),
	 5,
	 "",
	 "error[denied]: port=1-1: your user\n"},
	{{"reload"},
	 CALL("Reload", "{}"),
	 "{\"parameters\":{}}",
	 0,
	 "The configuration was read anew.\n",
	 ""},
	{{"attach", "k", "v", "--for", "10x"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: --for: expected how"},
	{{"attach", "k", "v", "--for", "0"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: --for: expected how"},
	{{"attach", "k", "v", "--for"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: --for: expected how long"},
	{{"release", "k", "--for", "1m"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: release: it does not take --for"},
	{{"version"},
	 "{\"method\":\"org.varlink.service.GetInfo\",\"parameters\":{}}",
	 "{\"parameters\":{\"version\":\"9.9\"}}",
	 0,
	 "usbroutectl VERSION\nusbrouted   9.9\n",
	 ""},
	/* libvirt. */
	{{"vm", "xml", "vm1"}, MORE("Vms"), VMS, 0, snippet, ""},
	{{"vm", "xml", "vm3"},
	 MORE("Vms"),
	 VMS,
	 3,
	 "",
	 "error[not-found]: no VM \"vm3\" is configured\n  try: usbroutectl vms\n"},
	{{"vm", "add", "vm1"},
	 MORE("Vms"),
	 VMS,
	 0,
	 "--add vm1 --socket /run/usbrouted/vm1.sock --mac 52:54:00:77:00:0b\n",
	 ""},
	{{"vm", "add", "--apply", "win 10", "--connect", "test:///default"},
	 MORE("Vms"),
	 VMS,
	 0,
	 "--add win 10 --socket /run/usbrouted/vm2.sock --connect test:///default --apply\n",
	 ""},
	/* Its name is the domain's only where it gives none. */
	{{"vm", "add", "vm2"},
	 MORE("Vms"),
	 VMS,
	 3,
	 "",
	 "error[not-found]: the domain \"vm2\" is no VM of the configuration\n  Add to "},
	{{"vm", "add", "a \"b\""},
	 MORE("Vms"),
	 VMS,
	 3,
	 "",
	 "error[not-found]: the domain \"a \"b\"\" is no VM of the configuration\n"},
	{{"vm", "drop", "vm1"}, NULL, NULL, 2, "", "error[usage]: vm: expected xml or add"},
	{{"vm", "xml"}, NULL, NULL, 2, "", "error[usage]: vm: expected"},
	{{"vm", "xml", "vm1", "--apply"}, NULL, NULL, 2, "", "error[usage]: vm xml: it does not"},
	{{"list", "--apply"}, NULL, NULL, 2, "", "error[usage]: list: it does not take --apply"},
	/* Errors of the daemon. */
	{{"show", "nix"},
	 CALL("Show", "{\"device\":\"nix\"}"),
	 ERROR("NoSuchDevice", "{\"device\":\"nix\"}"),
	 3,
	 "",
	 "error[not-found]: no device \"nix\" is plugged in\n  try: usbroutectl list\n"},
	{{"detach", "nix"},
	 CALL("Detach", "{\"device\":\"nix\"}"),
	 ERROR("NoSuchDevice", "{\"device\":\"nix\"}"),
	 3,
	 "",
	 "error[not-found]: no device \"nix\" is plugged in, and none is configured by that name\n"
	 "  try: usbroutectl list\n"},
	/* Before anything is asked for, the device is looked for. */
	{{"attach", "nix", "vm1", "--unmount"},
	 CALL("Show", "{\"device\":\"nix\"}"),
	 ERROR("NoSuchDevice", "{\"device\":\"nix\"}"),
	 3,
	 "",
	 "error[not-found]: no device \"nix\" is plugged in, and none is configured by that name\n"
	 "  try: usbroutectl list\n"},
	{{"show", "nix", "--unmount"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: show: it does not take --unmount\n"},
	{{"attach", "stick", "vm1"},
	 CALL("Attach", "{\"device\":\"stick\",\"vm\":\"vm1\"}"),
	 ERROR("Busy", "{\"reason\":\"in use on the host: sda1 is mounted at /mnt\"}"),
	 6,
	 "",
	 "error[busy]: stick: in use on the host: sda1 is mounted at /mnt\n"
	 "  try: usbroutectl attach stick vm1 --unmount\n"},
	{{"--json", "attach", "keyboard", "vm1"},
	 ATTACH_K1,
	 ERROR("NoSuchVm", "{\"vm\":\"vm1\"}"),
	 3,
	 "",
	 "error[not-found]: no VM \"vm1\" is configured\n  try: usbroutectl vms\n"},
	{{"attach", "keyboard", "vm1"},
	 ATTACH_K1,
	 ERROR("Ambiguous", "{\"candidates\":[\"port=1-1.2 mouse\",\"port=1-3 \\u001b\"]}"),
	 4,
	 "",
	 "error[ambiguous]: 2 devices match keyboard:\n  port=1-1.2 mouse\n  port=1-3 ?\n"
	 "  try: usbroutectl attach port=1-1.2 vm1\n"},
	{{"attach", "keyboard", "vm1"},
	 ATTACH_K1,
	 ERROR("Denied", "{\"by\":\"[device keyboard] vms\"}"),
	 5,
	 "",
	 "error[denied]: keyboard may not go to vm1: [device keyboard] vms\n"},
	{{"attach", "keyboard", "vm1"},
	 ATTACH_K1,
	 ERROR("Busy", "{\"reason\":\"keyboard: claimed by qemu\"}"),
	 6,
	 "",
	 "error[busy]: keyboard: claimed by qemu\n"},
	{{"attach", "keyboard", "vm1"},
	 ATTACH_K1,
	 ERROR("Superseded", "{}"),
	 1,
	 "",
	 "error[superseded]: keyboard: a newer command about it came while this one waited\n"},
	{{"attach", "keyboard", "vm1"},
	 ATTACH_K1,
	 ERROR("Failed", "{\"reason\":\"it is broken\"}"),
	 1,
	 "",
	 "error[failed]: keyboard: it is broken\n"},
	{{"show", "class=x"},
	 CALL("Show", "{\"device\":\"class=x\"}"),
	 "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":"
	 "\"device\"}}",
	 2,
	 "",
	 "error[usage]: DEVICE: expected an alias"},
	{{"status"},
	 CALL("Status", "{}"),
	 "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{}}",
	 1,
	 "",
	 "error[failed]: the daemon at "},
	/* No daemon, or one that is none. */
	{{"list"}, MORE("List"), NULL, 1, "", "error[failed]: usbrouted closed the connection"},
	{{"list"}, MORE("List"), "hello", 1, "", "error[failed]: what answers at "},
	{{"list"}, MORE("List"), "{\"parameters\":[]}", 1, "", "error[failed]: what answers at "},
	{{"--socket", "/nonexistent/control", "list"},
	 NULL,
	 NULL,
	 8,
	 "",
	 "error[no-daemon]: usbrouted does not answer at /nonexistent/control: No such file or "
	 "directory\n  try: systemctl start usbrouted\n"},
	/* Words. */
	{{NULL}, NULL, NULL, 2, "", "error[usage]: expected a command: list show"},
	{{"atach"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: \"atach\": there is no such command; did you mean attach?\n"},
	{{"attach", "keyboard"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: attach: expected DEVICE VM after it\n  try: usbroutectl attach --help\n"},
	{{"list", "all"}, NULL, NULL, 2, "", "error[usage]: list: expected nothing more after it"},
	{{"list", "--wait", "1"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: list: it does not take --wait\n"},
	{{"attach", "a", "b", "--wait", "1", "--no-wait"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: --wait and"},
	{{"attach", "a", "b", "--wait", "inf"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: --wait: expected"},
	{{"attach", "a", "b", "--wait", "-1"}, NULL, NULL, 2, "", "error[usage]: --wait: expected"},
	{{"attach", "a", "b", "--wait"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: --wait: expected seconds"},
	{{"--what", "list"}, NULL, NULL, 2, "", "error[usage]: --what: there is no such option\n"},
	{{"--version"}, NULL, NULL, 0, "usbroutectl VERSION\n", ""},
	/* What was perhaps meant. */
	{{"lsit"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: \"lsit\": there is no such command; did you mean list?\n"},
	{{"help", "atach"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: \"atach\": there is no such command; did you mean attach?\n"},
	{{"list", "--jsn"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: --jsn: there is no such option; did you mean --json?\n"},
	{{"list", "-json"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: -json: there is no such option; did you mean --json?\n"},
	{{"alias", "k", "-x"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: -x: there is no such option\n  a word that begins with - and is no option "
	 "comes after --"},
	{{"list", "--json=1"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: --json: expected nothing after it; found \"--json=1\"\n"},
	{{"show", "--", "-x"},
	 CALL("Show", "{\"device\":\"-x\"}"),
	 ERROR("NoSuchDevice", "{\"device\":\"-x\",\"near\":[]}"),
	 3,
	 "",
	 "error[not-found]: no device \"-x\" is plugged in\n  try: usbroutectl list\n"},
	{{"attach", "serial=e0d5", "vm1"},
	 CALL("Attach", "{\"device\":\"serial=e0d5\",\"vm\":\"vm1\"}"),
	 ERROR("NoSuchDevice", "{\"device\":\"serial=e0d5\",\"near\":[{\"word\":\"serial=E0 D5\","
			       "\"what\":\"0951:1666  Stick\",\"vm\":false}]}"),
	 3,
	 "",
	 "error[not-found]: no device \"serial=e0d5\" is plugged in, and none is configured by "
	 "that name\n"
	 "  near: serial=E0 D5  (0951:1666  Stick)\n"
	 "  try: usbroutectl attach 'serial=E0 D5' vm1\n"},
	{{"attach", "vm1", "keyboard"},
	 CALL("Attach", "{\"device\":\"vm1\",\"vm\":\"keyboard\"}"),
	 ERROR("NoSuchDevice",
	       "{\"device\":\"vm1\",\"near\":[{\"word\":\"vm1\",\"what\":\"a VM; the device "
	       "comes first\",\"vm\":true}]}"),
	 3,
	 "",
	 "error[not-found]: no device \"vm1\" is plugged in, and none is configured by that name\n"
	 "  near: vm1  (a VM; the device comes first)\n"
	 "  try: usbroutectl attach keyboard vm1\n"},
	{{"attach", "keyboard", "host"},
	 CALL("Attach", "{\"device\":\"keyboard\",\"vm\":\"host\"}"),
	 ERROR("NoSuchVm", "{\"vm\":\"host\",\"near\":null}"),
	 3,
	 "",
	 "error[not-found]: the host is no VM: `detach` gives a device back to it, `assign DEVICE "
	 "host` "
	 "for good\n  try: usbroutectl detach keyboard\n"},
	{{"attach", "keyboard", "next"},
	 CALL("Attach", "{\"device\":\"keyboard\",\"vm\":\"next\"}"),
	 ERROR("NoSuchVm", "{\"vm\":\"next\",\"near\":null}"),
	 3,
	 "",
	 "error[not-found]: \"next\" is no VM: `switch` takes a device to it\n"
	 "  try: usbroutectl switch keyboard next\n"},
	{{"attach", "keyboard", "VM1"},
	 CALL("Attach", "{\"device\":\"keyboard\",\"vm\":\"VM1\"}"),
	 ERROR("NoSuchVm", "{\"vm\":\"VM1\",\"near\":\"vm1\"}"),
	 3,
	 "",
	 "error[not-found]: no VM \"VM1\" is configured; did you mean vm1?\n"
	 "  try: usbroutectl attach keyboard vm1\n"},
	{{"show", "class=camera"},
	 CALL("Show", "{\"device\":\"class=camera\"}"),
	 "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":"
	 "\"device\",\"expected\":\"class= with one of audio comm\",\"near\":[]}}",
	 2,
	 "",
	 "error[usage]: DEVICE: expected class= with one of audio comm; found \"class=camera\"\n"
	 "  try: usbroutectl show --help\n"},
	{{"alias", "k", "a b"},
	 CALL("SetAlias", "{\"device\":\"k\",\"alias\":\"a b\"}"),
	 "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":"
	 "\"alias\",\"expected\":\"a name of 1 to 31\"}}",
	 2,
	 "",
	 "error[usage]: NAME: expected a name of 1 to 31; found \"a b\"\n"},
	/* A word that can't be sent is blamed itself. */
	{{"alias", "k", "a\xff"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: NAME|none: expected text in UTF-8; found \"a?\"\n"},
	{{"attach", "\xe4", "vm1"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: DEVICE: expected text in UTF-8; found \"?\"\n"},
	{{"why", "k", "\xe4"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: VM: expected text in UTF-8; found \"?\"\n"},
	{{"help", "list", "it", "all"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: help: expected nothing more after \"it\"; found \"all\""},
	/* Words of later issues. */
	{{"adopt", "a", "b"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: \"adopt\": there is no such command"},
	{{"attach", "a", "b", "--fast"}, NULL, NULL, 2, "", "error[usage]: --fast: there is no"},
};

/* Start the program with its output in pipes. */
static pid_t start(const char *const *args, int *ret_out, int *ret_err)
{
	const char *argv[12] = {"usbroutectl", "--socket", socket_path};
	int out[2], err[2];
	pid_t pid;

	for (unsigned i = 0; args[i]; i++)
		argv[i + 3] = args[i];
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		dup2(out[1], STDOUT_FILENO);
		dup2(err[1], STDERR_FILENO);
		execv(getenv("USBROUTECTL"), (char **)argv);
		_exit(99);
	}
	close(out[1]);
	close(err[1]);
	*ret_out = out[0];
	*ret_err = err[0];
	return pid;
}

static int caller = -1;

/* Be the daemon for one call: up to the call, and from there on. */
static void serve_begin(const char *call)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};
	char text[4096];
	size_t len = 0;

	assert_int_equal(poll(&p, 1, 10000), 1);
	caller = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(caller >= 0);
	do {
		ssize_t n = recv(caller, text + len, sizeof(text) - len, 0);

		assert_true(n > 0);
		len += (size_t)n;
	} while (text[len - 1]);
	assert_string_equal(text, call);
}

static void serve_end(const char *reply)
{
	while (reply) {
		const char *end = strstr(reply, "{END}");
		size_t n = end ? (size_t)(end - reply) : strlen(reply);

		assert_int_equal(send(caller, reply, n, MSG_NOSIGNAL), n);
		assert_int_equal(send(caller, "", 1, MSG_NOSIGNAL), 1);
		reply = end ? end + strlen("{END}") : NULL;
	}
	caller = fd_close(caller);
}

static void serve(const char *call, const char *reply)
{
	serve_begin(call);
	serve_end(reply);
}

static void read_all(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(fd);
}

/* The version stands for itself. */
static void hide_version(char *text)
{
	char *v = strstr(text, "usbroutectl ");
	size_t n;

	if (!v || v != text)
		return;
	v += strlen("usbroutectl ");
	n = strcspn(v, "\n");
	if (n >= strlen("VERSION"))
		return;
	memmove(v + strlen("VERSION"), v + n, strlen(v + n) + 1);
	memcpy(v, "VERSION", strlen("VERSION"));
}

static void test_runs(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
		char out[8192], err[8192];
		int out_fd, err_fd, status;
		pid_t pid = start(runs[i].args, &out_fd, &err_fd);

		if (runs[i].call)
			serve(runs[i].call, runs[i].reply);
		read_all(out_fd, out, sizeof(out));
		read_all(err_fd, err, sizeof(err));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		hide_version(out);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != runs[i].status ||
		    strcmp(out, runs[i].out) || strncmp(err, runs[i].err, strlen(runs[i].err)) ||
		    (!*runs[i].err && *err))
			fail_msg("run %zu, %s %s: status %#x\n%s---\n%s", i,
				 runs[i].args[0] ? runs[i].args[0] : "",
				 runs[i].args[0] && runs[i].args[1] ? runs[i].args[1] : "", status,
				 out, err);
	}
}

static void test_every_command_has_help(void **state)
{
	static const char *const names[] = {
		"list",	   "show",   "vms",	"status", "attach", "detach",	"vm",
		"why",	   "policy", "version", "switch", "assign", "unassign", "release",
		"reserve", "undo",   "alias",	"reload", "reset",  "power",	"help"};
	char out[8192], err[8192], line[64];
	int out_fd, err_fd, status;

	for (size_t i = 0; i <= ARRAY_SIZE(names); i++) {
		const char *args[] = {i < ARRAY_SIZE(names) ? names[i] : "--help", "--help", NULL};
		pid_t pid = start(args, &out_fd, &err_fd);

		read_all(out_fd, out, sizeof(out));
		read_all(err_fd, err, sizeof(err));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_string_equal(err, "");
		if (i < ARRAY_SIZE(names)) {
			snprintf(line, sizeof(line),
				 "usage: usbroutectl [--json] [--socket PATH] %s", names[i]);
			assert_memory_equal(out, line, strlen(line));
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(line, sizeof(line), "\n  %s ", names[i]);
		assert_non_null(strstr(out, line));
	}
}

/* The same text by the command and by the option. */
static void test_help_is_a_command(void **state)
{
	static const struct {
		const char *command[4], *option[4];
	} same[] = {
		{{"help"}, {"--help"}},
		{{"help"}, {"-h"}},
		{{"help", "attach"}, {"attach", "--help"}},
		{{"help", "attach"}, {"attach", "-h"}},
		{{"help", "policy", "test"}, {"policy", "test", "--help"}},
		{{"help", "help"}, {"help", "--help"}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		char out[2][8192], err[8192];

		for (unsigned k = 0; k < 2; k++) {
			int out_fd, err_fd, status;
			pid_t pid = start(k ? same[i].option : same[i].command, &out_fd, &err_fd);

			read_all(out_fd, out[k], sizeof(out[k]));
			read_all(err_fd, err, sizeof(err));
			assert_int_equal(waitpid(pid, &status, 0), pid);
			assert_int_equal(status, 0);
			assert_string_equal(err, "");
		}
		assert_string_equal(out[0], out[1]);
		assert_true(strlen(out[0]) > 0);
	}
}

/* What can't be written is said, whatever was printed. */
static void test_output_that_fails(void **state)
{
	static const struct {
		const char *args[4], *call, *reply;
	} prints[] = {
		{{"--help"}, NULL, NULL},
		{{"--version"}, NULL, NULL},
		{{"help", "list"}, NULL, NULL},
		{{"list", "--help"}, NULL, NULL},
		{{"list"}, MORE("List"), "{\"parameters\":{\"devices\":[" STICK "]}}"},
		{{"--json", "list"}, MORE("List"), "{\"parameters\":{\"devices\":[" STICK "]}}"},
		{{"show", "x"},
		 CALL("Show", "{\"device\":\"x\"}"),
		 "{\"parameters\":{\"device\":" STICK "}}"},
		{{"vms"}, MORE("Vms"), VMS},
		{{"status"}, CALL("Status", "{}"), "{\"parameters\":{}}"},
		{{"detach", "x"},
		 CALL("Detach", "{\"device\":\"x\"}"),
		 "{\"parameters\":{\"message\":\"done\"}}"},
		{{"reload"}, CALL("Reload", "{}"), "{\"parameters\":{}}"},
		{{"vm", "xml", "vm1"}, MORE("Vms"), VMS},
		{{"version"},
		 "{\"method\":\"org.varlink.service.GetInfo\",\"parameters\":{}}",
		 "{\"parameters\":{\"version\":\"9\"}}"},
	};
	enum { FULL, CLOSED_PIPE, CLOSED, WAYS };

	for (size_t i = 0; i < ARRAY_SIZE(prints) * WAYS; i++) {
		const char *const *args = prints[i / WAYS].args;
		const char *argv[12] = {"usbroutectl", "--socket", socket_path};
		int err[2], pipe_out[2], status;
		char text[8192];
		pid_t pid;

		for (unsigned k = 0; args[k]; k++)
			argv[k + 3] = args[k];
		assert_int_equal(pipe2(err, O_CLOEXEC), 0);
		assert_int_equal(pipe2(pipe_out, O_CLOEXEC), 0);
		close(pipe_out[0]);
		pid = fork();
		assert_true(pid >= 0);
		if (!pid) {
			signal(SIGPIPE, SIG_DFL);
			dup2(err[1], STDERR_FILENO);
			if (i % WAYS == FULL)
				dup2(open("/dev/full", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
			else if (i % WAYS == CLOSED_PIPE)
				dup2(pipe_out[1], STDOUT_FILENO);
			else
				close(STDOUT_FILENO);
			execv(getenv("USBROUTECTL"), (char **)argv);
			_exit(99);
		}
		close(err[1]);
		close(pipe_out[1]);
		if (prints[i / WAYS].call)
			serve(prints[i / WAYS].call, prints[i / WAYS].reply);
		read_all(err[0], text, sizeof(text));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 1 ||
		    strncmp(text, "error[failed]: standard output can't be written: ", 49))
			fail_msg("%s, way %zu: status %#x\n%s", args[0], i % WAYS, status, text);
	}
}

/* What a terminal of @columns shows of a run, with CR LF as LF. */
static int run_on_terminal(unsigned short columns, const char *const *args, const char *call,
			   const char *reply, bool late, char *text, size_t size)
{
	struct winsize ws = {.ws_row = 24, .ws_col = columns};
	const char *argv[12] = {"usbroutectl", "--socket", socket_path};
	int terminal, slave, status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	for (unsigned i = 0; args[i]; i++)
		argv[i + 3] = args[i];
	/*
	 * No controlling terminal: the end of a session's leader hangs it up, and that throws away
	 * what was written last and has not been read yet.
	 */
	assert_int_equal(openpty(&terminal, &slave, NULL, NULL, &ws), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		for (int fd = 0; fd < 3; fd++)
			dup2(slave, fd);
		close(slave);
		close(terminal);
		setenv("TERM", "xterm", 1);
		execv(getenv("USBROUTECTL"), (char **)argv);
		_exit(99);
	}
	close(slave);
	if (late) {
		char first = 0;

		/* The reply comes only once there is progress to be seen. */
		serve_begin(call);
		assert_int_equal(read(terminal, &first, 1), 1);
		text[len++] = first;
		serve_end(reply);
	} else {
		serve(call, reply);
	}
	while ((n = read(terminal, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	for (char *p = text; (p = strstr(p, "\r\n"));)
		memmove(p, p + 1, strlen(p));
	close(terminal);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void test_terminal(void **state)
{
	static const char *const list[] = {"list", NULL}, *const json[] = {"--json", "list", NULL};
	static const char reply[] = "{\"parameters\":{\"devices\":[" STICK "," DEVICE "]}}";
	char text[8192];

	unsetenv("NO_COLOR");
	assert_int_equal(run_on_terminal(80, list, MORE("List"), reply, false, text, sizeof(text)),
			 0);
	assert_non_null(strstr(text, "\033[33mpending: vm1 is"));
	assert_non_null(strstr(text, "…\033[0m\n"));
	assert_non_null(strstr(text, "\n2 devices, 0 attached, 1 not where wanted."));
	assert_null(strstr(text, "\033[2J"));

	setenv("NO_COLOR", "1", 1);
	assert_int_equal(run_on_terminal(80, list, MORE("List"), reply, false, text, sizeof(text)),
			 0);
	assert_null(strchr(text, '\033'));

	/* JSON for a person to read: nothing that the terminal would obey. */
	assert_int_equal(run_on_terminal(80, json, MORE("List"),
					 "{\"parameters\":{\"devices\":[],\"a\":\"\xc2\x9b\"}}",
					 false, text, sizeof(text)),
			 0);
	assert_string_equal(text, "{\"devices\":[],\"a\":\"\\u009B\"}\n");
}

static void test_progress(void **state)
{
	static const char *const attach[] = {"attach", "keyboard", "vm1", "--wait", "60", NULL};
	const char *call =
		CALL("Attach", "{\"device\":\"keyboard\",\"vm\":\"vm1\",\"wait_seconds\":60.0}");
	char text[8192];

	assert_int_equal(run_on_terminal(80, attach, call,
					 ERROR("Pending", "{\"reason\":\"not yet\"}"), true, text,
					 sizeof(text)),
			 7);
	assert_non_null(strstr(text, "\r\033[Kkeyboard: waiting for vm1 … "));
	assert_non_null(strstr(text, "\r\033[Kerror[pending]: keyboard: not yet\n"));
}

static bool read_snippet(void)
{
	int fd = open(getenv("SHIPPED_SNIPPET"), O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, snippet, sizeof(snippet) - 1);

	fd_close(fd);
	return n > 0;
}

/* In usbrouted-libvirt's place: says how it was called. */
static bool make_helper(void)
{
	static const char script[] = "#!/bin/sh\necho \"$*\"\n";
	int fd;

	snprintf(helper_path, sizeof(helper_path), "%s/helper", directory);
	fd = open(helper_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	if (fd < 0 || write(fd, script, strlen(script)) != (ssize_t)strlen(script))
		return false;
	close(fd);
	return setenv("USBROUTED_LIBVIRT", helper_path, 1) == 0;
}

static int setup(void **state)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	signal(SIGPIPE, SIG_IGN);
	if (!getenv("USBROUTECTL") || !mkdtemp(directory) || !read_snippet() || !make_helper())
		return -1;
	snprintf(socket_path, sizeof(socket_path), "%s/control", directory);
	strcpy(sa.sun_path, socket_path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return bind(listener, (struct sockaddr *)&sa, sizeof(sa)) || listen(listener, 4);
}

static int teardown(void **state)
{
	listener = fd_close(listener);
	unlink(socket_path);
	unlink(helper_path);
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_every_command_has_help),
		cmocka_unit_test(test_help_is_a_command),
		cmocka_unit_test(test_output_that_fails),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_progress),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
