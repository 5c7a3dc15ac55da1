"""What happens to a device while it is used: pulled out, taken away, reset, driven by another driver, again and again."""

import hashlib
import os
import signal
import time

from lab import LabError
from lab.daemon import ADDRESS
from lab.gadget import Disk, loopback, source_sink
from lab.scenario import check, scenario

ROUNDS = int(os.environ.get("USBROUTED_LAB_ROUNDS", "200"))
WARM = 20
SLACK_KIB = 64
PAUSE_SECONDS = 20
DEVICE = "$(ls -d /sys/bus/usb/devices/[0-9]*-[0-9] | head -n 1)"
NODE = f"/dev/bus/usb/$(printf %03d/%03d $(cat {DEVICE}/busnum) $(cat {DEVICE}/devnum))"


def disk_in(lab, guest):
    lab.board.plug("disk")
    lab.board.wait("[ -b /dev/sda ]", what="the board's own disk")
    lab.daemon.wait_device("disk", state="present", actual="host")
    lab.importing(guest, lab.route("disk", guest))
    guest.wait("[ -b /dev/sda ]", what="the disk in the guest")


def busy(guest, field, more=16):
    """Wait until so many more requests have been served: 1 is reads, 5 writes."""
    served = f"$(awk '{{print ${field}}}' /sys/block/sda/stat)"
    before = int(guest.text(f"echo {served}"))
    guest.wait(f"[ {served} -gt {before + more} ]", what="requests served by the disk")


@scenario("unplug-while-read", quick=False)
def unplug_read(lab):
    """Pulled out with URBs in flight: the reader gets an error, the device goes, and comes again."""
    lab.board.run("dd if=/dev/urandom of=/tmp/stick bs=1M count=16 2>/dev/null", check=True)
    gadget = lab.gadget("stick", [Disk("/tmp/stick")])
    for number in range(3):
        if number == 0:
            lab.importing(lab.vm1, lab.route("gadget", lab.vm1))
        else:
            lab.importing(lab.vm1, f"usbip attach -r {ADDRESS} -b gadget")
        lab.vm1.wait("[ -b /dev/sda ]", what="the disk in vm1")
        reading = lab.spawn(lab.vm1, "while dd if=/dev/sda of=/dev/null bs=64k iflag=direct; do :; done")
        busy(lab.vm1, 1)
        gadget.unplug()
        reading.wait(60)
        lab.vm1.wait("[ ! -e /sys/block/sda ]", what="the disk gone from vm1")
        lab.daemon.wait_gone("gadget")
        gadget.plug()
        lab.daemon.wait_device("gadget", wanted="vm1", state="exported")
    lab.importing(lab.vm1, f"usbip attach -r {ADDRESS} -b gadget")
    lab.vm1.wait("[ -b /dev/sda ]", what="the disk in vm1 again")
    have = lab.vm1.text("sha256sum /dev/sda", timeout=300).split()[0]
    check(have == lab.board.text("sha256sum /tmp/stick").split()[0], "the disk read in vm1 is not the image")


@scenario("detach-while-written", quick=False)
def detach_write(lab):
    """Taken away during a write: the writer gets an error, the board has its disk, what was synced is there."""
    disk_in(lab, lab.vm1)
    lab.vm1.run("dd if=/dev/urandom of=/tmp/w bs=64k count=16 2>/dev/null; dd if=/tmp/w of=/dev/sda bs=64k conv=fsync 2>/dev/null",
                timeout=300, check=True)
    wanted = lab.vm1.text("sha256sum /tmp/w").split()[0]
    writing = lab.spawn(lab.vm1, "while dd if=/tmp/w of=/dev/sda bs=64k seek=32 oflag=direct conv=notrunc; do :; done")
    busy(lab.vm1, 5)
    lab.daemon.ctl_ok("detach disk")
    writing.wait(60)
    lab.vm1.wait("[ ! -e /sys/block/sda ]", what="the disk gone from vm1")
    lab.vm1.run("rm /tmp/w")
    lab.board.wait("[ -b /dev/sda ]", what="the board's own disk again")
    lab.daemon.wait_device("disk", state="present", actual="host")
    have = lab.board.text("head -c 1048576 /dev/sda | sha256sum", timeout=120).split()[0]
    check(have == wanted, f"what vm1 had synced: {wanted}, the board reads {have}")


@scenario("pause-while-read", quick=False)
def pause_read(lab):
    """The guest's QEMU stopped in the middle of a read: silence is not death, and the read goes on."""
    disk_in(lab, lab.vm1)
    reading = lab.spawn(lab.vm1, "exec dd if=/dev/sda bs=16k iflag=direct 2>/dev/null", stdin=b"")
    data = reading.recv(timeout=60)
    lab.vm1.signal(signal.SIGSTOP)
    try:
        time.sleep(PAUSE_SECONDS)
        device = lab.daemon.find("disk")
        check(device["state"] == "attached" and device["actual"] == "vm1", f"while vm1 stands still it is {device}")
    finally:
        lab.vm1.signal(signal.SIGCONT)
    while more := reading.recv(timeout=120):
        data += more
    check(reading.wait(60) == 0, f"dd in vm1 ended with {reading.rc}")
    check(data == lab.disk.read_bytes(), f"of the image's bytes vm1 read {len(data)}, not the same")


@scenario("guest-driver-rebind", quick=False)
def rebind(lab):
    events = lab.keyboard_in(lab.vm1)
    lab.key(events)
    name = lab.vm1.text("ls /sys/bus/usb/drivers/usbhid | grep :")
    for _ in range(5):
        lab.vm1.run(f"echo {name} > /sys/bus/usb/drivers/usbhid/unbind", check=True)
        events.wait(["device", "*", "remove"])
        lab.vm1.run(f"echo {name} > /sys/bus/usb/drivers/usbhid/bind", check=True)
        events.wait_keyboard()
        lab.key(events)
    # And the whole device, by usbcore.
    device = name.split(":")[0]
    lab.vm1.run(f"echo {device} > /sys/bus/usb/drivers/usb/unbind", check=True)
    events.wait(["device", "*", "remove"])
    lab.vm1.run(f"echo {device} > /sys/bus/usb/drivers/usb/bind", check=True)
    events.wait_keyboard()
    lab.key(events, "b")


@scenario("guest-usb-reset", quick=False)
def usb_reset(lab):
    """A reset from user space, of a keyboard at rest and of a disk that is being read."""
    events = lab.keyboard_in(lab.vm1)
    lab.key(events)
    for _ in range(3):
        at = len(events.seen)
        lab.vm1.run(f"usbreset {NODE}", check=True)
        lab.settle(events)
        if any(line.startswith("device") and line.endswith("remove") for line in events.seen[at:]):
            events.wait_keyboard()
        lab.key(events)
    lab.daemon.ctl_ok("detach keyboard")
    lab.daemon.wait_device("keyboard", state="present", actual="host")
    lab.vm1.wait("[ -z \"$(ls -d /sys/bus/usb/devices/[0-9]*-[0-9] 2>/dev/null)\" ]", what="the keyboard gone")
    disk_in(lab, lab.vm1)
    reading = lab.spawn(lab.vm1, "exec sha256sum /dev/sda")
    for _ in range(3):
        lab.vm1.run(f"usbreset {NODE}", check=True)
    result = reading.result(300)
    check(result.rc == 0, f"reading the disk over resets ended with {result.rc}: {result.err.decode()}")
    wanted = hashlib.sha256(lab.disk.read_bytes()).hexdigest()
    check(result.out.split()[0].decode() == wanted, "the disk read over resets is not the image")


@scenario("guest-sets-configuration", quick=False)
def set_configuration(lab):
    """Two configurations, chosen in the guest, back and forth, with transfers in each."""
    gadget = lab.gadget("zero", [source_sink(0)], [loopback()], vendor=0x0525, product=0xa4a0)
    lab.importing(lab.vm1, lab.route("gadget", lab.vm1))
    lab.vm1.run("modprobe usbtest && echo 0 > /sys/module/usbtest/parameters/pattern", check=True)
    for number in (2, 1, 2, 2, 1, 0, 1):
        lab.vm1.run(f"echo {number} > {DEVICE}/bConfigurationValue", check=True)
        have = lab.vm1.text(f"cat {DEVICE}/bConfigurationValue")
        check(have == ("" if number == 0 else str(number)), f"configuration {number} was set, {have!r} is")
        if number == 0:
            continue
        lab.vm1.wait("ls /sys/bus/usb/drivers/usbtest | grep -q :", what="usbtest on the new interface")
        # Loopback gives back what was written, zeroes here.
        cases = "9 2 512 0 1\n1 4 512 0 1\n" + ("2 4 512 0 1\n" if number == 1 else "")
        said = lab.vm1.run(f"usbtest {gadget.serial}", stdin=cases.encode()).out.decode().splitlines()
        check(said[-1] == "done" and all(" ok " in line for line in said[:-1]) and len(said) > 2,
              f"in configuration {number}: {said}")
    device = lab.daemon.find("gadget")
    check(device["state"] == "attached" and device["actual"] == "vm1", f"afterwards it is {device}")
    lab.daemon.ctl_ok("detach gadget")
    lab.daemon.wait_device("gadget", state="present", actual="host")
    have = lab.board.text(f"cat /sys/bus/usb/devices/{gadget.busid}/bConfigurationValue")
    check(have == "1", f"back at the host it has the configuration {have}, not the one it had")


# Again and again

def _holds(lab):
    """What the daemon's processes hold: descriptors, threads, private memory in KiB."""
    totals = [0, 0, 0]
    for pid in lab.daemon.processes():
        fds, status = lab.board.text(f"ls /proc/{pid}/fd | wc -l; cat /proc/{pid}/status").split("\n", 1)
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        totals[0] += int(fds)
        totals[1] += int(fields["Threads"])
        totals[2] += int(fields["RssAnon"].split()[0])
    return totals


def _rounds(lab, one_round):
    """Rounds until warm, then ROUNDS more, after which the daemon holds no more than before."""
    for _ in range(WARM):
        one_round()
    before = _holds(lab)
    middle = None
    for number in range(ROUNDS):
        one_round()
        if number == ROUNDS // 2:
            middle = _holds(lab)
    for _ in range(50):         # what closes in the background may take a moment
        after = _holds(lab)
        if after[:2] == before[:2]:
            break
    lab.say(f"descriptors, threads, private KiB after {WARM} rounds: {before}, in the middle: {middle}, "
            f"after {ROUNDS} more: {after}")
    check(after[:2] == before[:2], f"the daemon had {before[:2]} descriptors and threads, and has {after[:2]}")
    check(after[2] <= before[2] + SLACK_KIB, f"the daemon's private memory went from {before[2]} to {after[2]} KiB")


@scenario("rounds-of-attach", quick=False, seconds=3600)
def rounds_attach(lab):
    def one_round():
        lab.importing(lab.vm1, lab.route("keyboard", lab.vm1))
        lab.daemon.wait_device("keyboard", state="attached", actual="vm1")
        lab.daemon.ctl_ok("detach keyboard")
        lab.daemon.wait_device("keyboard", state="present", actual="host")
        lab.vm1.wait("[ -z \"$(ls -d /sys/bus/usb/devices/[0-9]*-[0-9] 2>/dev/null)\" ]", what="the keyboard gone")

    _rounds(lab, one_round)
    events = lab.events(lab.board)
    lab.key(events)


@scenario("rounds-of-plug", quick=False, seconds=3600)
def rounds_plug(lab):
    line = lab.route("keyboard", lab.vm1)

    def one_round():
        lab.daemon.wait_device("keyboard", state="exported")
        lab.importing(lab.vm1, line)
        lab.daemon.wait_device("keyboard", state="attached", actual="vm1")
        lab.board.unplug("keyboard")
        lab.daemon.wait_gone("keyboard")
        lab.vm1.wait("[ -z \"$(ls -d /sys/bus/usb/devices/[0-9]*-[0-9] 2>/dev/null)\" ]", what="the keyboard gone")
        lab.board.plug("keyboard")
        # Claimed: what is counted after a round must not depend on how far the daemon has come.
        lab.daemon.wait_device("keyboard", state="exported")

    _rounds(lab, one_round)


MANY = int(os.environ.get("USBROUTED_LAB_ROUNDS", "500"))
MIB = 1 << 20


def _work_with(lab, guest, number, keys):
    """Bytes of the disk, another place each round, and a key."""
    image, at = lab.disk.read_bytes(), number % (lab.disk.stat().st_size // MIB)
    have = guest.text(f"dd if=/dev/sda bs=1M skip={at} count=1 iflag=direct 2>/dev/null | sha256sum", timeout=300).split()[0]
    check(have == hashlib.sha256(image[at * MIB:(at + 1) * MIB]).hexdigest(), f"round {number}: MiB {at} of the disk is not the image's")
    lab.key(keys, "abcdeho"[number % 7])


def _gone(lab, guest, number):
    """The guest has neither any more; where the disk stays, what its kernel says is what is looked for."""
    try:
        guest.wait("[ ! -e /sys/block/sda ] && [ -z \"$(ls -d /sys/bus/usb/devices/[0-9]*-[0-9] 2>/dev/null)\" ]",
                   what="disk and keyboard gone")
    except LabError as error:
        tasks = guest.run("echo w > /proc/sysrq-trigger; cat /sys/devices/platform/vhci_hcd.*/status; dmesg | tail -n 60").out
        raise LabError(f"round {number}: {error}\n{tasks.decode()}") from None


@scenario("attach-work-detach-500", quick=False, seconds=4 * 3600)
def attach_work_detach(lab):
    """A disk and a keyboard, attached, used and taken away, by usbroutectl and each fourth time by the guest itself first;
    one guest after the other. A guest once kept its disk though both sides had closed in order."""
    lab.board.plug("disk")
    lab.board.wait("[ -b /dev/sda ]", what="the board's own disk")
    lab.daemon.wait_device("disk", state="present", actual="host")
    events = {guest.name: lab.events(guest) for guest in (lab.vm1, lab.vm2)}
    for number in range(MANY):
        guest = (lab.vm1, lab.vm2)[number // 8 % 2]
        lab.importing(guest, lab.route("disk", guest))
        guest.wait("[ -b /dev/sda ]", what="the disk in the guest")
        lab.keyboard_in(guest, events[guest.name])
        _work_with(lab, guest, number, events[guest.name])
        if number % 4 == 3:
            for port in guest.text("awk '$3 == \"006\" {print $2}' /sys/devices/platform/vhci_hcd.*/status").split():
                guest.run(f"usbip detach -p {int(port)}", check=True)
            _gone(lab, guest, number)
        for device in ("disk", "keyboard"):
            lab.daemon.ctl_ok(f"detach {device}")
        _gone(lab, guest, number)
        for device in ("disk", "keyboard"):
            lab.daemon.wait_device(device, state="present", actual="host")
        lab.board.wait("[ -b /dev/sda ]", what="the board's own disk again")
        if number % 50 == 49:
            lab.say(f"{number + 1} rounds")
