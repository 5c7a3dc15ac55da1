"""What the guide for the MaaXBoard (configs/maaxboard) and its files say, held against the board that runs here."""

import re
import shlex
import time

from lab import foreign, guide, initramfs, machine, options, paths
from lab.daemon import STATE
from lab.guest import CARD_BUS, LAB_BUS, MEMORY, Guest
from lab.scenario import check, scenario

FRAGMENTS = ("board.config", "guest.config")
GUIDE = paths.REPO / "configs" / "maaxboard" / "README.md"


@scenario("kernel-options")
def kernel_options(lab):
    """The kernel that board and guests run has what configs/kernel asks for. On amd64 its arm64 part is left out."""
    kernel = lab.board.kernel
    has = (kernel.folder / "boot" / f"config-{kernel.version}").read_text()
    for name in FRAGMENTS:
        text = (paths.REPO / "configs" / "kernel" / name).read_text()
        found = options.wrong(text, has, machine.NAME)
        check(not found, f"configs/kernel/{name} and Debian's {kernel.version}: " + "; ".join(found))
        # What it would not find, it would not hold.
        for right, mistake, said in (("CONFIG_USB=", "CONFIG_USV=", "CONFIG_USV: expected y or m, found nothing"),
                                     ("CONFIG_UNIX=", "CONFIG_USB_STORAGE_SDDR09=", "CONFIG_USB_STORAGE_SDDR09: expected y, found m"),
                                     ("CONFIG_NET=", "CONFIG_NET =", "`CONFIG_NET =y`: expected CONFIG_NAME=y"),
                                     ("# What ", "# CONFIG_NET: what ", "a comment has the word CONFIG_NET: write it without CONFIG_")):
            check(right in text, f"{name} has no {right}")
            found = options.wrong(text.replace(right, mistake, 1), has, machine.NAME)
            check(found == [said], f"{name} with {mistake} in the place of {right}: {found}, not {said!r}")


def _at_hand(lab):
    """What a guide expects to be installed on the board."""
    lab.board.run(f"mkdir -p /usr/local/bin /etc/usbrouted && ln -sf {paths.DAEMON} {paths.CTL} /usr/local/bin/", check=True)


def _guest_files(lab, name):
    """A kernel, an initial file system and a disk where the guide has them."""
    kernel = lab.board.kernel
    lab.board.run(f"mkdir -p /srv/{name} && cd /srv/{name} && ln -sf {kernel.image} Image && "
                  f"ln -sf {initramfs.guest(kernel)} initrd && truncate -s 16M disk.img", check=True)


class _Reader:
    """Somebody who does what the guide says, line by line, and types on the keyboard wherever it is."""

    def __init__(self, lab):
        self.lab = lab
        self.guests, self.events, self.typed = {}, {}, ["host"]

    def board(self, block):
        done = self.lab.board.run(f"set -e\n{block.text}", timeout=180)
        self.must(block, done)

    def must(self, block, done):
        check(done.rc == 0, f"{GUIDE.name}:{block.line}: ended with {done.rc}: {(done.err + done.out).decode(errors='replace')}")

    def file(self, block):
        self.lab.board.write(block.whom, block.text)
        # The lab's daemon reads another file, and keeps its state elsewhere.
        self.lab.settings(f"[daemon]\nstate-directory = {STATE}\n{block.text}")

    def starts(self, block):
        _guest_files(self.lab, block.whom)
        guest = self.guests[block.whom] = Guest(self.lab.board, block.whom, line=block.text.strip())
        guest.start()
        guest.wait_up()
        self.lab.say(f"{guest.name}, started by the guide's line, up in {guest.up_seconds:.0f} s")
        guest.wait_carrier()
        guest.wait_address()
        self.events[block.whom] = self.lab.events(guest)

    def type(self):
        """A key, if the keyboard is in another machine than before."""
        device = self.lab.daemon.find("keyboard")
        if device["state"] == "attached" and device["actual"] != self.typed[-1]:
            self.events[device["actual"]].wait_keyboard()
            self.lab.key(self.events[device["actual"]])
            self.typed.append(device["actual"])


@scenario("unit-tests", quick=False, seconds=7200, machines=[machine.ARM64])
def unit_tests(lab):
    """The build's unit tests that emulation of programs alone can't run: those that need io_uring, or start other programs of
    the build; and four threads on four cores."""
    tried, wrong, elsewhere = 0, [], []
    for one, why in foreign.unit_tests(paths.BUILD):
        if not why and one["name"] != "ring-threads":
            elsewhere.append(one["name"])
            continue
        env = [f"{name}={value}" for name, value in one["env"].items()]
        began = time.monotonic()
        done = lab.board.run("cd /tmp && " + shlex.join(["env", *env, *one["cmd"]]) + " 2>&1", timeout=1800)
        tried += 1
        lab.say(f"{'FAIL' if done.rc else 'ok'} unit {one['name']} ({time.monotonic() - began:.0f} s)")
        if done.rc:
            wrong.append(one["name"])
            lab.say(f"{one['name']} ended with {done.rc}:\n" + done.out.decode(errors="replace")[-3000:])
    lab.say(f"{tried} unit tests, {len(wrong)} wrong; by emulation of programs (tests/arm64 test): {' '.join(elsewhere)}")
    check(tried > 40, f"only {tried} tests were found")
    check(not wrong, f"unit tests failed: {wrong}")


@scenario("guide-maaxboard", quick=False, machines=[machine.ARM64])
def guide_maaxboard(lab):
    """The guide's commands, as far as this board can run them, with its own two command lines for guests."""
    old = lab.vm1, lab.vm2
    for guest in old:
        guest.stop()
    _at_hand(lab)
    reader = _Reader(lab)
    try:
        for block in guide.blocks(GUIDE):
            if block.does == "in":
                reader.must(block, reader.guests[block.whom].run(f"set -e\n{block.text}", timeout=180))
            elif block.does != "untried":
                getattr(reader, block.does)(block)
            reader.type()
        check(reader.typed == ["host", "vm1", "vm2"], f"the keyboard was in {reader.typed}")
        lab.daemon.wait_device("keyboard", state="present", actual="host")
    finally:
        for guest in reader.guests.values():
            guest.stop()
        for guest in old:
            lab.board.guests[guest.name] = guest


@scenario("card-over-mmio", quick=False, machines=[machine.ARM64])
def card_over_mmio(lab):
    """The main job over virtio's other transport."""
    _main_job(lab, Guest(lab.board, "vm3", mmio=True))


# The lab's agent is at the place before the card's.
AGENT = f"""\
/ {{
	virtio_mmio@{0x0a000000 + LAB_BUS * 0x200:x} {{
		compatible = "virtio,mmio";
		reg = <0x0 {0x0a000000 + LAB_BUS * 0x200:#x} 0x0 0x200>;
		interrupts = <0 {16 + LAB_BUS} 1>;
		dma-coherent;
	}};
}};
"""
# QEMU's tree without PCI and without any place for MMIO, then those two.
TREE = f"""\
set -e
cd /run/lab
qemu-system-aarch64 -accel kvm -cpu host -machine virt,gic-version=host,dumpdtb=virt.dtb -m {MEMORY} -nodefaults -display none
for node in $(fdtget -l virt.dtb /); do
	case $node in virtio_mmio@* | pcie@*) fdtput -r virt.dtb /$node ;; esac
done
{{ dtc -q -I dtb -O dts virt.dtb; cat card.dts agent.dts; }} | dtc -q -I dts -O dtb -o guest.dtb
"""


@scenario("card-by-dts", quick=False, machines=[machine.ARM64])
def card_by_dts(lab):
    """The same in a guest without PCI, by a device tree that has the node which `usbroutectl vm dts` prints, and no other."""
    said = lab.daemon.ctl_ok("vm dts vm3")
    check(f"bus=virtio-mmio-bus.{CARD_BUS}\n" in said, f"vm dts names another place: {said}")
    lab.board.write("/run/lab/card.dts", said)
    lab.board.write("/run/lab/agent.dts", AGENT)
    lab.board.run(TREE, check=True, timeout=180)
    vm3 = Guest(lab.board, "vm3", mmio=True, extra=["-dtb", "/run/lab/guest.dtb"])
    card = _main_job(lab, vm3, lambda: check(not vm3.text("ls /sys/bus/pci/devices 2>/dev/null || true"), "vm3 has PCI devices"))
    node = re.search(r"virtio_mmio@(\w+) ", said)[1]
    check(f"/{node}.virtio_mmio/" in card, f"the node is at {node}, the card at {card}")


def _main_job(lab, vm3, also=lambda: None):
    """Its card is not of PCI; a key arrives, also after the daemon was restarted. Where its card is."""
    vm3.start()
    try:
        vm3.wait_up()
        lab.say(f"vm3 up in {vm3.up_seconds:.0f} s")
        vm3.wait_carrier()
        vm3.wait_address()
        card = vm3.text("readlink -f /sys/class/net/eth0/device")
        check("/pci" not in card, f"the card is {card}")
        also()
        events = lab.keyboard_in(vm3)
        lab.key(events)
        lab.daemon.leave()
        lab.daemon.start()
        lab.key(events, "b")
        lab.daemon.ctl_ok("detach keyboard")
        events.wait(["device", "*", "remove"])
        return card
    finally:
        vm3.stop()
        del lab.board.guests["vm3"]
