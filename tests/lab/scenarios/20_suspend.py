"""The host sleeps (S3) with devices in guests, and wakes: every device is where it was, and none has come to the host's own
drivers for good."""

import hashlib
import re

from lab.agent import agent_in
from lab.board import Board
from lab.daemon import ADDRESS, Daemon
from lab.guest import Guest
from lab.scenario import DISK_BYTES, GUESTS, check, scenario

DRIVERS = "for one in $(dirname $(grep -l '{}' /sys/bus/usb/devices/*/product))/*:*; do basename $(readlink $one/driver); done"


def _asleep(lab):
    since = lab.mark()
    lab.board.sleep()
    said = lab.dmesg_since(since)
    check("PM: suspend exit" in said, f"the board has not slept: {said}")
    check(re.search(r"xHC error in resume|root hub lost power", said), f"the devices have not lost their power: {said}")
    lab.say("the board has slept")


def _sum(guest):
    """Of the disk, read from the device: what the kernel has cached says nothing."""
    guest.wait("dd if=/dev/sda of=/dev/null count=1 2>/dev/null", what="the disk")
    return guest.text("echo 3 >/proc/sys/vm/drop_caches; sha256sum </dev/sda", timeout=300).split()[0]


def _imports(daemon, name):
    return len(re.findall(rf": {name}: imported$", daemon.log(), re.M))


@scenario("host-suspends", quick=False, seconds=1800, own_board=True, machines=("amd64",))
def host_suspends(lab):
    contents = bytes(range(256)) * (DISK_BYTES // 256)
    lab.disk.write_bytes(contents)
    whole = hashlib.sha256(contents).hexdigest()
    lab.board = board = Board(devices=["keyboard", "tablet", "disk"], disk=lab.disk, in_memory=True)
    board.start()
    lab.say(f"board up in {board.boot_seconds:.0f} s, all in its memory, logs: {board.logs.folder}")
    lab.daemon = daemon = Daemon(board)
    daemon.start()
    for name in GUESTS:
        Guest(board, name)
    lab.guests_up()
    for guest in (lab.vm1, lab.vm2):
        agent_in(lab, guest)
    events, on_board = lab.events(lab.vm1), lab.events(board)
    daemon.ctl_ok("attach keyboard vm1 --wait 60")
    daemon.ctl_ok("attach disk vm2 --wait 60")
    events.wait_keyboard()
    lab.key(events)
    check(_sum(lab.vm2) == whole, "the disk's contents differ before the board sleeps")
    check(daemon.device("tablet")["actual"] == "host", "the tablet is not with the host")
    at, before = len(on_board.seen), len(events.seen)
    # The keyboard's URB is in flight as always; nobody asks the disk for anything.
    _asleep(lab)

    # A reset in the sleep ends their sessions: the guests have imported them anew.
    if not any(line.startswith("device") and line.endswith("remove") for line in events.seen[before:]):
        events.wait(["device", "*", "remove"])
    events.wait_keyboard()
    daemon.wait_log("disk: the host's driver usb-storage has taken it")
    daemon.wait_log("^disk: reset$")
    for name, vm, product in (("keyboard", "vm1", "QEMU USB Keyboard"), ("disk", "vm2", "QEMU USB HARDDRIVE")):
        daemon.wait_device(name, state="attached", actual=vm, wanted=vm, wanted_by="command")
        drivers = board.text(DRIVERS.format(product)).split()
        check(set(drivers) == {"usbfs"}, f"{name} is with {drivers} on the board")
    daemon.wait_device("tablet", state="present", actual="host")
    check(set(board.text(DRIVERS.format("QEMU USB Tablet")).split()) == {"usbhid"}, "the tablet is not with the host's driver")
    lab.key(events, "b")
    lab.no_key(on_board, at)
    check(_sum(lab.vm2) == whole, "the disk's contents differ after the board has slept")
    # Once each: nothing was taken back twice.
    for name in ("keyboard", "disk"):
        check(_imports(daemon, name) == 2, f"{name} was imported {_imports(daemon, name)} times")
    for guest in (lab.vm1, lab.vm2):
        guest.wait_ping(ADDRESS)
