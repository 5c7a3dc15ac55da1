"""The ways from a USB device into the guest that tests/bench/usb compares. A way takes the gadgets to where they are
used, and back to the board's own drivers.

One guest has all that any way needs (two network cards, a USB controller), so that only the way differs.
"""

import re

from lab import LabError, paths
from lab.daemon import ADDRESS, STATE, Daemon
from lab.guest import Guest

import work

TAP = "bench0"
HOST = "10.88.0.1"
GUEST = "10.88.0.2"
CARD_MAC = "52:54:00:88:00:02"
CONFIG = f"""\
[daemon]
state-directory = {STATE}
[network]
address = {ADDRESS}/24
[vm vm1]
address = 10.77.0.11
""" + "".join(f"[device {name}]\nmatch = serial={serial}\nvms = vm1\n" for name, serial in work.SERIALS.items())
# The guest's second card, on the kernel's vhost, and a controller for QEMU's own pass-through.
GUEST_EXTRA = ("-netdev", f"tap,id=kernel,ifname={TAP},script=no,downscript=no,vhost=on",
               "-device", f"virtio-net-pci,netdev=kernel,mac={CARD_MAC},romfile=",
               "-device", "qemu-xhci,id=xhci")


class Bench:
    """One boot: the board, its gadgets, a daemon, one guest."""

    def __init__(self, board):
        self.board = board
        self.gadgets = {}
        self.guest = None
        self.daemon = None
        self.in_guest = self.on_board = None

    def set_up(self):
        board = self.board
        board.run(f"modprobe -a vhost_net usbip_host && ip tuntap add {TAP} mode tap vnet_hdr && "
                  f"ip addr add {HOST}/24 dev {TAP} && ip link set {TAP} up", check=True)
        self.use_build(paths.BUILD)
        self.guest = Guest(board, "vm1", extra=GUEST_EXTRA)
        self.guest.start()
        self.guest.wait_up()
        self.guest.wait_carrier()
        self.guest.wait_address()
        card = self.guest.text(f"grep -l {CARD_MAC} /sys/class/net/*/address").split("/")[4]
        self.guest.run(f"ip addr add {GUEST}/24 dev {card} && ip link set {card} up && modprobe xhci_pci", check=True)
        self.guest.wait_ping(HOST)
        usbipd = board.follow("exec usbipd", "usbipd.log")
        board.wait("ss -Hltn | grep -q :3240", what="usbipd listens")
        if not usbipd.running():
            raise LabError("usbipd has ended")
        self.in_guest = work.Machine(self.guest)
        self.on_board = work.Machine(board, "/run/lab/")
        self.gadgets = work.plug_in(board)

    def use_build(self, build):
        """The daemon of this build; where another one's runs, it takes over."""
        if self.daemon and self.daemon.build == build:
            return
        if self.daemon:
            self.daemon.stop()
        self.daemon = Daemon(self.board, CONFIG, build=build)
        self.daemon.start()
        if self.guest:
            self.guest.wait_ping(ADDRESS)


def attach(bench, line, device):
    """The line typed in the guest. usbip can't be asked for a next one while the kernel is still at this one: it looks up
    all that is attached, and ends with `open vhci_driver` where that has no device yet."""
    bench.guest.run(line, check=True)
    serial = bench.gadgets[device].serial
    bench.guest.wait(f"grep -q -s -x {serial} /sys/bus/usb/devices/*/serial", what=f"{device} in the guest")


class Routed:
    """(1) usbrouted; several builds of it may be compared."""

    def __init__(self, name="usbrouted", build=None):
        self.name = name
        self.build = build or paths.BUILD

    def take(self, bench):
        bench.use_build(self.build)
        for device in bench.gadgets:
            said = bench.daemon.ctl_ok(f"attach {device} {bench.guest.name}")
            line = re.search(r"usbip attach \S.*", said)
            if not line:
                raise LabError(f"`attach {device}` tells no line to type in the guest: {said!r}")
            attach(bench, line.group(0), device)
        return bench.in_guest

    def give_back(self, bench):
        for device in bench.gadgets:
            bench.daemon.ctl_ok(f"detach {device}")
        bench.in_guest.empty()
        for device in bench.gadgets:
            bench.daemon.wait_device(device, state="present", actual="host")


class PassThrough:
    """(2) QEMU's usb-host, on a controller in the guest."""

    name = "QEMU usb-host"

    def take(self, bench):
        for device, gadget in bench.gadgets.items():
            where = f"/sys/bus/usb/devices/{gadget.busid}"
            bus, number = bench.board.text(f"cat {where}/busnum {where}/devnum").split()
            bench.guest.monitor.call("device_add", driver="usb-host", id=f"bench-{device}", bus="xhci.0",
                                     hostbus=int(bus), hostaddr=int(number))
        return bench.in_guest

    def give_back(self, bench):
        for device in bench.gadgets:
            since = len(bench.guest.monitor.events)
            bench.guest.monitor.call("device_del", id=f"bench-{device}")
            bench.guest.monitor.wait_event("DEVICE_DELETED", since, device=f"bench-{device}")
        bench.in_guest.empty()


class KernelUsbip:
    """(3) the kernel's usbip-host on the board, over vhost-net and a tap."""

    name = "kernel usbip"

    def take(self, bench):
        for gadget in bench.gadgets.values():
            bench.board.run(f"usbip bind -b {gadget.busid}", check=True)
        for device, gadget in bench.gadgets.items():
            attach(bench, f"usbip attach -r {HOST} -b {gadget.busid}", device)
        return bench.in_guest

    def give_back(self, bench):
        # Columns of status: hub port state speed device socket busid; 6 is "used".
        ports = bench.guest.text("awk '$3 == \"006\" {print $2}' /sys/devices/platform/vhci_hcd.0/status").split()
        for port in ports:
            bench.guest.run(f"usbip detach -p {int(port)}", check=True)
        bench.in_guest.empty()
        for gadget in bench.gadgets.values():
            bench.board.run(f"usbip unbind -b {gadget.busid}", check=True)


class Board:
    """(4) the board itself: no guest."""

    name = "board"

    def take(self, bench):
        return bench.on_board

    def give_back(self, bench):
        bench.board.run("modprobe -r usbtest", check=True)
