/* SPDX-License-Identifier: BSD-2-Clause */
/* `usbroutectl vm …`: what it prints for whoever sets a VM up. */
#include "tests/unit/ctl-fixture.h"

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

static const struct ctl_run runs[] = {
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
};

static void test_runs(void **state)
{
	run_each(runs, ARRAY_SIZE(runs));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
