"""The main job, and what a person sees of it."""

import hashlib
import json

from lab import LabTimeout
from lab.daemon import ADDRESS
from lab.scenario import DISK_BYTES, check, scenario

FIELDS = {"alias", "id", "serial", "port", "stable_port", "busid", "manufacturer", "product", "speed", "classes",
          "wanted", "wanted_by", "actual", "state", "reason"}
NOWHERE = "--socket /run/lab/no-such-socket"


@scenario("host-network-untouched")
def host_network_untouched(lab):
    lab.vm1.wait_ping(ADDRESS)
    now = lab.network()
    check(now == lab.network_before, f"the board's network before the daemon:\n{lab.network_before}\nand now:\n{now}")


@scenario("key-in-vm1-then-vm2")
def key_in_vm1_then_vm2(lab):
    board = lab.events(lab.board)
    in_vm1, in_vm2 = lab.events(lab.vm1), lab.events(lab.vm2)
    lab.key(board)

    line = lab.route("keyboard", lab.vm1)
    check(line == f"usbip attach -r {ADDRESS} -b keyboard", f"the line to type is `{line}`")
    board.wait(["device", "*", "remove"])
    lab.importing(lab.vm1, line)
    in_vm1.wait_keyboard()
    lab.daemon.wait_device("keyboard", state="attached", actual="vm1", wanted="vm1")
    at_board, at_vm2 = len(board.seen), len(in_vm2.seen)
    lab.key(in_vm1)
    lab.no_key(board, at_board)
    lab.no_key(in_vm2, at_vm2)

    line = lab.route("keyboard", lab.vm2)
    in_vm1.wait(["device", "*", "remove"])
    lab.importing(lab.vm2, line)
    in_vm2.wait_keyboard()
    lab.daemon.wait_device("keyboard", state="attached", actual="vm2", wanted="vm2")
    at_vm1 = len(in_vm1.seen)
    lab.key(in_vm2, "b")
    lab.no_key(in_vm1, at_vm1)
    lab.settle(board)
    check(not [line for line in board.seen[at_board:] if "add" in line],
          f"the board's own driver had the keyboard meanwhile: {board.seen[at_board:]}")

    lab.daemon.ctl_ok("detach keyboard")
    in_vm2.wait(["device", "*", "remove"])
    board.wait_keyboard()
    lab.daemon.wait_device("keyboard", state="present", actual="host", wanted="host")
    at_vm1, at_vm2 = len(in_vm1.seen), len(in_vm2.seen)
    lab.key(board, "c")
    lab.no_key(in_vm1, at_vm1)
    lab.no_key(in_vm2, at_vm2)


def _refused(lab, words, status, kind):
    rc, out, err = lab.daemon.ctl(words)
    err = err.decode()
    check(rc == status, f"`usbroutectl {words}` ended with {rc}, not {status}: {err}")
    check(kind is None or err.startswith(f"error[{kind}"), f"`usbroutectl {words}` says {err!r}")
    check(not out, f"`usbroutectl {words}` fails, and has output: {out!r}")


@scenario("listing")
def listing(lab):
    daemon = lab.daemon
    keyboard = daemon.find("keyboard")
    check(FIELDS <= set(keyboard), f"list: fields missing: {FIELDS - set(keyboard)}")
    expected = {"id": "0627:0001", "busid": keyboard["port"], "wanted": "host", "actual": "host", "state": "present"}
    have = {name: keyboard[name] for name in expected}
    check(have == expected, f"list: keyboard is {have}, not {expected}")
    check("hid.keyboard" in keyboard["classes"], f"list: classes {keyboard['classes']}")
    check(keyboard["stable_port"] != keyboard["port"] and "/usb" in keyboard["stable_port"],
          f"list: stable_port {keyboard['stable_port']}")
    busid = lab.board.text("grep -l 'QEMU USB Keyboard' /sys/bus/usb/devices/*/product").split("/")[-2]
    check(keyboard["busid"] == busid, f"list: busid {keyboard['busid']}, the kernel says {busid}")
    for name in ("keyboard", f"port={busid}", f"port={keyboard['stable_port']}", "class=hid.keyboard"):
        check(daemon.device(name) == keyboard, f"show {name} differs from list")

    vms = {vm["name"]: vm for vm in daemon.json("vms")["vms"]}
    check(sorted(vms) == ["vm1", "vm2", "vm3"], f"vms: {sorted(vms)}")
    for guest in (lab.vm1, lab.vm2):
        vm = vms[guest.name]
        have = (vm["connected"], vm["address"], (vm["mac"] or "").lower())
        check(have == (True, guest.address, guest.mac), f"vms: {guest.name} is {vm}")
    check(vms["vm3"]["connected"] is False and vms["vm3"]["devices"] == [], f"vms: vm3 is {vms['vm3']}")
    status = daemon.json("status")
    check(status["vms"] == 3 and status["devices"] == len(daemon.json("list")["devices"]), f"status: {status}")
    check(isinstance(status["uptime_seconds"], int) and isinstance(status["warnings"], list), f"status: {status}")

    for words, text in (("list", "QEMU USB Keyboard"), ("show keyboard", keyboard["stable_port"]),
                        ("vms", "10.77.0.12"), ("status", status["version"]), ("version", status["version"])):
        said = daemon.ctl_ok(words)
        check(text in said, f"`usbroutectl {words}` does not say {text}: {said}")

    _refused(lab, "attach keyboard vm9", 3, "not-found")
    _refused(lab, "show trackball", 3, "not-found")
    _refused(lab, "nonsense", 2, None)
    _refused(lab, "attach keyboard", 2, None)
    _refused(lab, f"{NOWHERE} list", 8, "no-daemon")
    lab.board.plug("second", "keyboard")
    try:
        lab.board.wait("[ $(grep -l 'QEMU USB Keyboard' /sys/bus/usb/devices/*/product | wc -l) = 2 ]")
        limit = 50
        while len(daemon.json("list")["devices"]) < 2 and limit:
            limit -= 1
        _refused(lab, "show class=hid.keyboard", 4, "ambiguous")
        _refused(lab, "attach class=hid.keyboard vm1", 4, "ambiguous")
    finally:
        lab.board.unplug("second")


@scenario("import-refused")
def import_refused(lab):
    in_vm1 = lab.keyboard_in(lab.vm1)
    busid = lab.daemon.find("keyboard")["busid"]
    shown = lab.vm2.run(f"usbip list -r {ADDRESS}")
    check(busid not in (shown.out + shown.err).decode(), f"vm2 is shown vm1's device: {shown}")
    for name in (busid, "keyboard"):
        result = lab.vm2.run(f"usbip attach -r {ADDRESS} -b {name}")
        check(result.rc != 0, f"vm2 may import {name}, which is vm1's")
    check(not lab.vm2.text("ls /sys/bus/usb/devices | grep -v -e usb -e '-0:' || true"), "vm2 has a USB device")
    lab.key(in_vm1)
    # And not yet imported by vm1, it is shown to vm1 alone.
    lab.route("keyboard", lab.vm2)
    shown = lab.vm2.text(f"usbip list -r {ADDRESS}")
    check(busid in shown, f"vm2 is not shown its device: {shown}")
    shown = lab.vm1.run(f"usbip list -r {ADDRESS}")
    check(busid not in (shown.out + shown.err).decode(), f"vm1 is shown vm2's device: {shown}")


@scenario("disk-checksum")
def disk_checksum(lab):
    wanted = hashlib.sha256(lab.disk.read_bytes()).hexdigest()
    lab.board.plug("disk")
    lab.board.wait("[ -b /dev/sda ]", what="the board's own disk")
    lab.daemon.wait_device("disk", state="present", actual="host")
    line = lab.route("disk", lab.vm1)
    lab.board.wait("[ ! -e /sys/block/sda ]", what="the board's own disk gone")
    lab.importing(lab.vm1, line)
    lab.vm1.wait("[ -b /dev/sda ]", what="the disk in vm1")
    size = int(lab.vm1.text("cat /sys/block/sda/size")) * 512
    check(size == DISK_BYTES, f"vm1's disk has {size} bytes, not {DISK_BYTES}")
    have = lab.vm1.text("sha256sum /dev/sda", timeout=300).split()[0]
    check(have == wanted, f"what vm1 reads has the checksum {have}, the image {wanted}")
    # Written through the route, it is in the image.
    block = b"written in vm1\n" * 4096
    lab.vm1.run("dd of=/dev/sda bs=4096 seek=16 conv=notrunc,fsync 2>/dev/null", stdin=block, check=True)
    at = 16 * 4096
    check(lab.disk.read_bytes()[at:at + len(block)] == block, "what vm1 wrote is not in the image")
    wanted = hashlib.sha256(lab.disk.read_bytes()).hexdigest()
    lab.daemon.ctl_ok("detach disk")
    lab.board.wait("[ -b /dev/sda ]", what="the board's own disk again")
    have = lab.board.text("sha256sum /dev/sda", timeout=300).split()[0]
    check(have == wanted, f"what the board reads afterwards has the checksum {have}, the image {wanted}")


@scenario("wishes")
def wishes(lab):
    daemon = lab.daemon
    result = daemon.ctl("attach keyboard vm3")
    check(result.rc == 0 and b"pending:" in result.out + result.err, f"attach to a VM that is off: {result}")
    daemon.wait_device("keyboard", wanted="vm3", wanted_by="command", actual="host")
    result = daemon.ctl("attach keyboard vm3 --wait 1")
    check(result.rc == 7, f"attach with --wait to a VM that is off: {result}")
    # Overtaken by a newer command.
    waiting = lab.spawn(lab.board, daemon.command("attach keyboard vm3 --wait 120"))
    try:
        waiting.wait(1)
    except LabTimeout:
        pass
    lab.route("keyboard", lab.vm2)
    result = waiting.result(60)
    said = (result.out + result.err).decode()
    check(result.rc == 1 and "superseded" in said, f"a command that was overtaken: {result.rc}, {said!r}")
    daemon.wait_device("keyboard", wanted="vm2", state="exported")
    # A configured device that is not plugged in.
    result = daemon.ctl("attach disk vm1")
    check(result.rc == 0 and b"pending:" in result.out + result.err, f"attach of a disk that is not here: {result}")
    # All of it outlives the daemon.
    rc = daemon.stop()
    check(rc == 0, f"the daemon ended with {rc}")
    daemon.start()
    daemon.wait_device("keyboard", wanted="vm2", wanted_by="command", state="exported")
    lab.board.plug("disk")
    daemon.wait_device("disk", wanted="vm1", state="exported")
    said = json.dumps(daemon.json("vms"))
    lab.vm1.wait_ping(ADDRESS)
    check("vm1" in said, said)
    lab.importing(lab.vm1, f"usbip attach -r {ADDRESS} -b disk")
    lab.vm1.wait("[ -b /dev/sda ]", what="the disk in vm1")
