/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The commands: the one table of how each is typed, what its help says, and which function carries
 * it out. The help and the shells' completion come from it; the tests `words` and `interface` hold
 * usbroutectl(1) and the interface's description against it.
 *
 * A command that asks for a change, and prints what the daemon says of it, needs no more than its
 * row: ctl_change() calls the method with the words as parameters.
 */
#include <string.h>

#include "base/near.h"
#include "ctl/ctl.h"

#define DEVICE_HELP                                                                      \
	"DEVICE is an alias, a group, an id such as 046d:c31c, or one of serial=TEXT,\n" \
	"port=PORT, class=CLASS, product=TEXT, group=GROUP. In TEXT, * stands for any\n" \
	"text and ? for one character.\n"
#define WAIT_HELP                                                                                  \
	"  --wait S        wait up to S seconds until the guest has it; exit 7 where it has not\n" \
	"  --no-wait       do not wait\n"
#define TRY_HELP "  --dry-run       only say what would be done\n"
#define FORCE_HELP                                                                             \
	"  --force         also the host's last keyboard, and what a machine on the LAN has\n" \
	"  --unmount       first unmount the device's disks, with your rights, never by "      \
	"force\n" TRY_HELP

const struct command ctl_commands[] = {
	{"list", "[--watch]", 0, COMMAND_WATCHES,
	 "list the devices: which are wanted where, and where they are",
	 "WANT is where a device should be, NOW where it is, STATE how far it has come.\n"
	 "\n"
	 "  --watch         again whenever something has changed; on a terminal in the same place\n",
	 ctl_list},
	{"show", "DEVICE", 1, COMMAND_PRESENT, "show all about one device", DEVICE_HELP, ctl_show},
	{"vms", "", 0, 0, "list the VMs and the devices that they have",
	 "LINK is up while the VM's card is connected to the daemon.\n", ctl_vms},
	{"events", "", 0, 0, "tell what happens to devices and VMs, as it happens",
	 "A line for each event, until it is interrupted. With --json each is a reply of Monitor;\n"
	 "the first one, \"listening\", says that nothing is missed from now on.\n",
	 ctl_events},
	{"doctor", "[VM] [--connect URI]", 0, COMMAND_CONNECTS,
	 "look for what goes wrong in practice, and say what mends it",
	 "The host, the devices, and all VMs, or VM alone. Exit status 9 where something is to be\n"
	 "mended, 0 where all is well. What you may not see yourself is left out: root sees most.\n"
	 "\n"
	 "  --connect URI  libvirt's connection (qemu:///system)\n",
	 ctl_doctor, 1},
	{"top", "[DEVICE]", 0, COMMAND_PRESENT, "show what goes through devices, every second",
	 "URBs and bytes a second; how long half of the URBs and 99 of 100 took at most, and the\n"
	 "longest since times are counted: from a URB's arrival to its answer, and of that with the\n"
	 "device. On a terminal until it is interrupted, elsewhere of one second. Only for root and\n"
	 "the group \"usbrouted\".\n",
	 ctl_top, 1},
	{"stats", "[DEVICE] [--prometheus]", 0, COMMAND_PRESENT | COMMAND_EXPORTS,
	 "show what has gone through devices since their VMs got them",
	 "Columns as of top, and --json has histograms. Times are counted while somebody asks, and\n"
	 "until 5 minutes later. Only for root and the group \"usbrouted\".\n"
	 "\n"
	 "  --prometheus   in Prometheus' text format, as the node exporter's textfile collector takes\n"
	 "                 it\n",
	 ctl_stats, 1},
	{"status", "", 0, 0, "show how the daemon is, and what should be mended", "", ctl_status},
	{"attach",
	 "DEVICE VM [--wait S | --no-wait] [--for TIME] [--until-unplug] [--force] [--unmount] [--dry-run]",
	 2, COMMAND_WAITS | COMMAND_UNMOUNTS | COMMAND_ENDS | COMMAND_FORCES | COMMAND_TRIES,
	 "give a device to a VM, now and until the next attach or detach",
	 DEVICE_HELP
	 "\n"
	 "The wish stays when the device is plugged out, the VM is off, or the daemon\n"
	 "restarts; it is forgotten when the host reboots. Where a line has to be typed in\n"
	 "the guest, it is printed.\n"
	 "\n" WAIT_HELP
	 "  --for TIME      for that long, such as 90s, 10m, 8h, 2d; then what was before decides\n"
	 "  --until-unplug  until the device is plugged out\n" FORCE_HELP,
	 ctl_change, .method = "Attach", .parameters = {"device", "vm"}},
	{"detach", "DEVICE [--for TIME] [--until-unplug] [--dry-run]", 1,
	 COMMAND_ENDS | COMMAND_TRIES, "give a device back to the host", DEVICE_HELP "\n" TRY_HELP,
	 ctl_change, .method = "Detach", .parameters = {"device"}},
	{"switch",
	 "DEVICE next|prev|VM|host [--wait S | --no-wait] [--force] [--unmount] [--dry-run]", 2,
	 COMMAND_WAITS | COMMAND_FORCES | COMMAND_UNMOUNTS | COMMAND_TRIES,
	 "take a device or a group to another VM",
	 DEVICE_HELP
	 "\n"
	 "next and prev go round the VMs that are connected and may have all of it, in the\n"
	 "order of the configuration. All go, or none.\n"
	 "\n" WAIT_HELP FORCE_HELP,
	 ctl_change, .method = "Switch", .parameters = {"device", "to"}},
	{"assign", "DEVICE VM|host [--wait S | --no-wait] [--unmount] [--dry-run]", 2,
	 COMMAND_WAITS | COMMAND_UNMOUNTS | COMMAND_TRIES,
	 "give a device to a VM, now and for good",
	 DEVICE_HELP
	 "\n"
	 "An assignment survives plugging, the VM's, the daemon's and the host's restart.\n"
	 "attach and detach come before it until the host reboots, or until release.\n"
	 "\n" WAIT_HELP
	 "  --unmount       first unmount the device's disks, with your rights, never by force\n" TRY_HELP,
	 ctl_change, .method = "Assign", .parameters = {"device", "vm"}},
	{"unassign", "DEVICE [--dry-run]", 1, COMMAND_TRIES,
	 "take an assignment back: rules decide, else the host has it", DEVICE_HELP, ctl_change,
	 .method = "Unassign", .parameters = {"device"}},
	{"release", "DEVICE [--dry-run]", 1, COMMAND_TRIES,
	 "forget what attach or detach said: assignment and rules decide", DEVICE_HELP, ctl_change,
	 .method = "Release", .parameters = {"device"}},
	{"reserve", "DEVICE [--off] [--dry-run]", 1, COMMAND_OFF | COMMAND_TRIES,
	 "keep a device from the host's drivers, also while no VM has it",
	 DEVICE_HELP
	 "\n"
	 "It is taken as soon as udev announces it, for good; usbrouted(8) says what the host\n"
	 "may have seen of it before.\n"
	 "\n"
	 "  --off           give it to the host's drivers again\n" TRY_HELP,
	 ctl_change, .method = "Reserve", .parameters = {"device"}},
	{"undo", "", 0, 0, "take back the last change that a command made",
	 "Undone twice it is done again. A restart of the daemon forgets it.\n", ctl_change,
	 .method = "Undo"},
	{"reset", "DEVICE [--wait S | --no-wait] [--force] [--unmount] [--dry-run]", 1,
	 COMMAND_PORT | COMMAND_PRESENT | COMMAND_WAITS | COMMAND_FORCES | COMMAND_UNMOUNTS |
		 COMMAND_TRIES,
	 "reset a device where it is, as when it hangs",
	 DEVICE_HELP
	 "\n"
	 "To the guest that has it, it is plugged out and in: it is imported anew. Wishes stay.\n"
	 "\n"
	 "  --wait S        wait up to S seconds until the guest has it again; exit 7 where it\n"
	 "                  has not\n"
	 "  --no-wait       wait for the reset only\n"
	 "  --force         also a device whose disk the host uses\n"
	 "  --unmount       first unmount the device's disks, with your rights, never by force\n" TRY_HELP,
	 ctl_change, .method = "Reset", .parameters = {"device"}},
	{"power", "DEVICE off|on|cycle [--wait S | --no-wait] [--force] [--unmount] [--dry-run]", 2,
	 COMMAND_PORT | COMMAND_PRESENT | COMMAND_WAITS | COMMAND_FORCES | COMMAND_UNMOUNTS |
		 COMMAND_TRIES,
	 "switch the power of a device's port",
	 DEVICE_HELP
	 "\n"
	 "Only where its hub switches that port alone; exit 1 where it does not. A device whose\n"
	 "port is off is unplugged, and listed as off; its wishes stay. cycle is off and on again.\n"
	 "\n"
	 "  --wait S        on, cycle: wait up to S seconds until it is back where it is wanted;\n"
	 "                  exit 7 where it is not\n"
	 "  --no-wait       on, cycle: wait until the port is on, and no longer\n"
	 "  --force         also the host's last keyboard, and a device whose disk the host uses\n"
	 "  --unmount       first unmount the device's disks, with your rights, never by force\n" TRY_HELP,
	 ctl_power, .method = "Power", .parameters = {"device", "how"}},
	{"alias", "DEVICE NAME|none", 2, COMMAND_PRESENT, "give a device a name, for good",
	 DEVICE_HELP "\nA device with a section in the configuration has its name from there.\n",
	 ctl_alias},
	{"reload", "", 0, 0, "have the daemon read its configuration and rules anew",
	 "It takes them whole, or not at all and says what is wrong.\n", ctl_reload},
	{"restart-vm", "VM", 1, 0, "end a VM's own process, and have another one in its place",
	 "The virtual machine goes on: its card reconnects once, and its devices come back. It is\n"
	 "for a process of an older version after an upgrade, or one that does not work any more.\n",
	 ctl_change, .method = "RestartVm", .parameters = {"vm"}},
	{"why", "DEVICE [VM]", 1, 0, "say why a device is where it is, and which VMs may have it",
	 DEVICE_HELP "\n"
		     "Without VM: about the one where it is wanted, else about all. A > marks the\n"
		     "rules that decided; see usbrouted-policy(5).\n",
	 ctl_why, 1},
	{"policy", "test FILE [--devices SET]", 2, COMMAND_TESTS,
	 "say what a file of rules would do, were it in policy.d",
	 "FILE is put among the rules in force by its name, in the place of the one that has\n"
	 "the same name. Nothing changes.\n"
	 "\n"
	 "  --devices SET  try it with the devices in SET, which `usbroutectl --json list`\n"
	 "                 has printed, in place of those that are present\n",
	 ctl_policy},
	{"vm",
	 "xml VM | dts VM | add DOMAIN [--apply] [--connect URI] | agent VM [--connect URI] [--guest-agent PATH] [--file PATH] [--script] [--cloud-init]",
	 2, COMMAND_APPLIES | COMMAND_INSTALLS, "make a virtual machine a VM that can have devices",
	 "vm xml VM prints what a libvirt domain needs, to be put into it by `virsh edit`. vm dts\n"
	 "VM prints what a guest without PCI needs: a node of a device tree, and what QEMU is\n"
	 "told. vm add DOMAIN says what the domain lacks; with --apply it puts it in, and plugs\n"
	 "the card in where the domain runs and its memory is shared. DOMAIN's VM is the one in\n"
	 "the configuration that has its name, or names it by `domain =`.\n"
	 "\n"
	 "vm agent VM puts usbroute-agent into VM's guest, which runs, by QEMU's guest agent. It says\n"
	 "what it did, and how to undo it. A guest without QEMU's guest agent takes what --script or\n"
	 "--cloud-init prints.\n"
	 "\n"
	 "  --apply             do it\n"
	 "  --connect URI       libvirt's connection (qemu:///system)\n"
	 "  --guest-agent PATH  without libvirt: the socket that QEMU was given for its guest agent\n"
	 "  --file PATH         another usbroute-agent than the package usbroute-agent-static has\n"
	 "  --script            print a script that does it in the guest where root runs it\n"
	 "  --cloud-init        print it as user data of cloud-init, for a new guest\n",
	 ctl_vm},
	{"help", "[COMMAND]", 0, 0, "say how commands are typed, or about one: what it does", "",
	 ctl_help, 2},
	{"version", "", 0, 0, "print the versions of usbroutectl and of the daemon", "",
	 ctl_version},
	{},
};

/**
 * command_find() - a command by its name
 * @name:	the name
 *
 * Return: the command, or NULL.
 */
const struct command *command_find(const char *name)
{
	for (const struct command *c = ctl_commands; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

/**
 * command_near() - the command whose name comes nearest to what was typed
 * @typed:	the word
 *
 * Return: its name, or NULL where none comes near.
 */
const char *command_near(const char *typed)
{
	const char *names[ARRAY_SIZE(ctl_commands)];
	size_t n = 0;

	for (const struct command *c = ctl_commands; c->name; c++)
		names[n++] = c->name;
	return near_best(typed, names, n);
}
