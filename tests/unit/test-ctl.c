/* SPDX-License-Identifier: BSD-2-Clause */
/* usbroutectl's commands: what each asks, prints and exits with. */
#include "tests/unit/ctl-fixture.h"

#include <string.h>
#include <sys/wait.h>

/* What `vm dts` prints: the whole of it, since whoever boots by it depends on each number. */
#define CARD_DTS(vm, socket, mac)                                                                  \
	"// The card of the VM " vm " of usbrouted in a guest without PCI: virtio over MMIO.\n"    \
	"//\n"                                                                                     \
	"// What QEMU is told, beside memory that is shared. The machine is virt (9.2 and later\n" \
	"// want reconnect-ms=1000 in place of reconnect=1):\n"                                    \
	"//\n"                                                                                     \
	"//   -object memory-backend-memfd,id=mem,size=512M,share=on\n"                            \
	"//   -machine memory-backend=mem -global virtio-mmio.force-legacy=false\n"                \
	"//   -chardev socket,id=card,path=" socket ",reconnect=1\n"                               \
	"//   -netdev vhost-user,id=net,chardev=card\n"                                            \
	"//   -device virtio-net-device,netdev=net," mac "bus=virtio-mmio-bus.31\n"                \
	"//\n"                                                                                     \
	"// QEMU gives that machine a device tree which has this node. A tree of your own needs\n" \
	"// it, with the address and the interrupt that your machine has there.\n"                 \
	"/ {\n"                                                                                    \
	"\tvirtio_mmio@a003e00 {\n"                                                                \
	"\t\tcompatible = \"virtio,mmio\";\n"                                                      \
	"\t\treg = <0x0 0x0a003e00 0x0 0x200>;\n"                                                  \
	"\t\tinterrupts = <0 47 1>;\n"                                                             \
	"\t\tdma-coherent;\n"                                                                      \
	"\t};\n"                                                                                   \
	"};\n"                                                                                     \
	"// A kernel without a device tree (x86; CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES=y) takes "     \
	"the\n"                                                                                    \
	"// place as a boot argument. QEMU's machine microvm adds it by itself; its first place "  \
	"is\n"                                                                                     \
	"// virtio-mmio-bus.0:\n"                                                                  \
	"//\n"                                                                                     \
	"//   virtio_mmio.device=512@0xfeb00000:5\n"

/* A card on a further network: at the next place. */
#define NEXT_DTS(network, socket, mac, bus, address, spi, place, argument)                      \
	"// Its card on the network " network ":\n"                                             \
	"//\n"                                                                                  \
	"//   -chardev socket,id=card-" network ",path=" socket ",reconnect=1\n"                \
	"//   -netdev vhost-user,id=net-" network ",chardev=card-" network "\n"                 \
	"//   -device virtio-net-device,netdev=net-" network "," mac "bus=virtio-mmio-bus." bus \
	"\n"                                                                                    \
	"//\n"                                                                                  \
	"/ {\n"                                                                                 \
	"\tvirtio_mmio@" address " {\n"                                                         \
	"\t\tcompatible = \"virtio,mmio\";\n"                                                   \
	"\t\treg = <0x0 0x0" address " 0x0 0x200>;\n"                                           \
	"\t\tinterrupts = <0 " spi " 1>;\n"                                                     \
	"\t\tdma-coherent;\n"                                                                   \
	"\t};\n"                                                                                \
	"};\n"                                                                                  \
	"// On microvm it is virtio-mmio-bus." place ":\n"                                      \
	"//\n"                                                                                  \
	"//   virtio_mmio.device=" argument "\n"

#define ATTACH_K1 CALL("Attach", "{\"device\":\"keyboard\",\"vm\":\"vm1\"}")

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
	{{"status"},
	 CALL("Status", "{}"),
	 "{\"parameters\":{\"version\":\"1.2\",\"uptime_seconds\":1,\"devices\":0,\"vms\":2,"
	 "\"warnings\":[],\"networks\":[{\"name\":\"lan\",\"uplink\":\"tap\\u0007\","
	 "\"connected\":true,\"counters\":{\"sent_frames\":5,\"received_frames\":7,"
	 "\"dropped_refused\":1,\"dropped_nowhere\":2,\"dropped_link_full\":3,"
	 "\"dropped_no_buffers\":4,\"dropped_from_others\":5}},{\"name\":\"b\",\"uplink\":"
	 "\"tap1\",\"connected\":false,\"counters\":{}},{\"name\":\"inner\",\"uplink\":null}]}}",
	 0,
	 "usbrouted 1.2, up 1 s\n"
	 "devices   0\n"
	 "VMs       2\n"
	 "network   lan: uplink tap? up, 5 frames in, 7 out, 15 dropped\n"
	 "network   b: uplink tap1 off, 0 frames in, 0 out, 0 dropped\n"
	 "network   inner: guests only\n"
	 "warnings  none\n",
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
	/* Without PCI. */
	{{"vm", "dts", "vm1"},
	 MORE("Vms"),
	 VMS,
	 0,
	 CARD_DTS("vm1", "/run/usbrouted/vm1.sock", "mac=52:54:00:77:00:0b,"),
	 ""},
	{{"vm", "dts", "vm2"},
	 MORE("Vms"),
	 VMS,
	 0,
	 CARD_DTS("vm2", "/run/usbrouted/vm2.sock", ""),
	 ""},
	{{"vm", "dts", "vm1"},
	 MORE("Vms"),
	 "{\"parameters\":{\"vms\":[{\"name\":\"vm1\",\"socket\":\"/run/a,b/vm1.sock\"}]}}",
	 0,
	 CARD_DTS("vm1", "/run/a,,b/vm1.sock", ""),
	 ""},
	{{"vm", "dts", "vm1"},
	 MORE("Vms"),
	 VM_WITH_CARDS,
	 0,
	 CARD_DTS("vm1", "/run/usbrouted/vm1.sock", "")
		 NEXT_DTS("lan", "/run/usbrouted/vm1.lan.sock", "mac=52:54:00:78:00:0b,", "30",
			  "a003c00", "46", "1", "512@0xfeb00200:6")
			 NEXT_DTS("inner", "/run/usbrouted/vm1.inner.sock", "", "29", "a003a00",
				  "45", "2", "512@0xfeb00400:7"),
	 ""},
	{{"vm", "dts", "vm3"},
	 MORE("Vms"),
	 VMS,
	 3,
	 "",
	 "error[not-found]: no VM \"vm3\" is configured\n  try: usbroutectl vms\n"},
	{{"vm", "dts", "vm1", "--connect", "x"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: vm dts: it does not take --connect\n"},
	{{"--json", "vm", "dts", "vm1"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: vm: it does not take --json"},
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
	{{"vm", "add", "vm1", "--apply"},
	 MORE("Vms"),
	 VM_WITH_CARDS,
	 0,
	 "--add vm1 --socket /run/usbrouted/vm1.sock --apply\n"
	 "--add vm1 --socket /run/usbrouted/vm1.lan.sock --mac 52:54:00:78:00:0b --apply\n"
	 "--add vm1 --socket /run/usbrouted/vm1.inner.sock --apply\n",
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
	{{"vm", "drop", "vm1"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: vm: expected xml, dts, add or agent"},
	{{"vm", "agent", "vm9"},
	 MORE("Vms"),
	 VMS,
	 3,
	 "",
	 "error[not-found]: no VM \"vm9\" is configured\n  try: usbroutectl vms\n"},
	{{"vm", "agent", "vm1", "--apply"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: vm agent: it does not take --apply\n"},
	{{"vm", "xml", "vm1", "--script"},
	 NULL,
	 NULL,
	 2,
	 "",
	 "error[usage]: vm xml: it does not take --script\n"},
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
