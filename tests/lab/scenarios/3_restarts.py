"""What is plugged out, restarted or killed, comes back."""

import hashlib
import os
import random

from lab.agent import local_devices
from lab.daemon import ADDRESS
from lab.scenario import DISK_BYTES, KEYS, check, scenario

LINE = f"usbip attach -r {ADDRESS} -b keyboard"
# What a guest's kernel says of the time that a busy machine took from it; and its vhci-hcd at each 65536th URB.
NOT_OURS = "sed -e '/hrtimer: interrupt took/d' -e '/clocksource: Long readout/d' -e '/seqnum max$/d'"


@scenario("replug")
def replug(lab):
    events = lab.keyboard_in(lab.vm1)
    lab.key(events)
    _replug(lab, events)


def _replug(lab, events):
    on_board = lab.events(lab.board)
    lab.board.unplug("keyboard")
    events.wait(["device", "*", "remove"])
    lab.daemon.wait_gone("keyboard")
    lab.board.plug("keyboard")
    lab.daemon.wait_device("keyboard", wanted="vm1", state="exported")
    lab.importing(lab.vm1, LINE)
    events.wait_keyboard()
    lab.key(events)
    at = len(on_board.seen)
    lab.key(events, "b")
    lab.no_key(on_board, at)


@scenario("replug-5-times", quick=False)
def replug_often(lab):
    events = lab.keyboard_in(lab.vm1)
    for _ in range(5):
        _replug(lab, events)


@scenario("daemon-restart")
def daemon_restart(lab):
    _daemon_again(lab, lab.daemon.stop, 0)


@scenario("daemon-kill")
def daemon_kill(lab):
    _daemon_killed(lab, 1)


@scenario("daemon-kill-5-times", quick=False)
def daemon_kill_often(lab):
    _daemon_killed(lab, 5)


def _daemon_killed(lab, times):
    """The daemon is killed, and told to end, and started under a guest that has the keyboard: the guest sees nothing of it."""
    events = lab.keyboard_in(lab.vm1)
    lab.key(events)
    on_board = lab.events(lab.board)
    at, had, since = len(events.seen), len(on_board.seen), lab.vm1.text("dmesg | wc -l")
    for end in [lab.daemon.kill] * times + [lab.daemon.leave]:
        status = end()
        check(not status, f"told to end, it ended with {status}")
        lab.key(events)
        lab.daemon.start()
        lab.daemon.wait_device("keyboard", wanted="vm1", wanted_by="command", state="attached")
        lab.key(events, "b")
    lab.settle(on_board)
    check(on_board.seen[had:] == [], f"the board's own driver had the keyboard meanwhile: {on_board.seen[had:]}")
    said = lab.vm1.text(f"dmesg | tail -n +$(({since} + 1)) | {NOT_OURS}")
    check(not said, f"vm1's kernel said: {said}")
    check(not [line for line in events.seen[at:] if line.startswith("device")], f"vm1 lost it: {events.seen[at:]}")
    # And what was taken up can be moved as before.
    lab.daemon.ctl_ok("detach keyboard")
    events.wait(["device", "*", "remove"])


def _daemon_again(lab, end, status):
    """The daemon ends and starts under running guests, one of which has the keyboard."""
    events = lab.keyboard_in(lab.vm1)
    lab.key(events)
    on_board = lab.events(lab.board)
    at, mark = len(on_board.seen), lab.mark()
    rc = end()
    check(rc == status, f"the daemon ended with {rc}, not {status}")
    events.wait(["device", "*", "remove"])
    lab.board.key("e")              # typed while nobody has it: for nobody on the board
    lab.settle(on_board)
    lab.daemon.start()
    lab.vm1.wait_ping(ADDRESS)
    lab.vm2.wait_ping(ADDRESS)
    lab.daemon.wait_device("keyboard", wanted="vm1", wanted_by="command", state="exported")
    lab.importing(lab.vm1, LINE)
    events.wait_keyboard()
    # What the keyboard kept while nobody read it comes first.
    lab.settle(events)
    lab.key(events, "b")
    lab.settle(on_board)
    check(on_board.seen[at:] == [], f"the board's own driver had the keyboard meanwhile: {on_board.seen[at:]}")
    bound = [line for line in lab.dmesg_since(mark).splitlines() if "input:" in line or "hid-generic" in line]
    check(not bound, f"the board's own driver had the keyboard meanwhile: {bound}")


ENDS = int(os.environ.get("USBROUTED_LAB_ROUNDS", "20"))
# Written and read back as long as its file is there; what differed, or failed, is said.
VERIFY = """
n=0
while [ -e /tmp/verify ]; do
    dd if=/tmp/block of=/dev/sda bs=64k seek=$((n % 8 * 16)) oflag=direct conv=notrunc 2>/dev/null || echo "write $n failed" >> /tmp/wrong
    have=$(dd if=/dev/sda bs=64k skip=$((n % 8 * 16)) count=16 iflag=direct 2>/dev/null | sha256sum)
    [ "$have" = "$(sha256sum < /tmp/block)" ] || echo "block $n differs" >> /tmp/wrong
    n=$((n + 1)); echo $n > /tmp/rounds
done
"""


@scenario("daemon-ends-unnoticed", quick=False, seconds=3600)
def daemon_ends_unnoticed(lab):
    """Killed and restarted at random moments, while vm2 writes and verifies a disk and a key is held in vm1."""
    dice = random.Random(os.environ.get("USBROUTED_LAB_SEED", "9"))
    events = lab.keyboard_in(lab.vm1)
    lab.key(events)
    lab.board.plug("disk")
    lab.board.wait("[ -b /dev/sda ]", what="the board's own disk")
    lab.daemon.wait_device("disk", state="present", actual="host")
    disks = int(lab.vm2.run("dmesg | grep -c 'Attached SCSI'").out)
    lab.importing(lab.vm2, lab.route("disk", lab.vm2))
    # Its node comes before the kernel's last word of it.
    lab.vm2.wait(f"[ -b /dev/sda ] && [ $(dmesg | grep -c 'Attached SCSI') -gt {disks} ]", what="the disk in vm2")
    since = {guest: guest.text("dmesg | wc -l") for guest in (lab.vm1, lab.vm2)}
    lab.vm2.run("touch /tmp/verify; : > /tmp/wrong; dd if=/dev/urandom of=/tmp/block bs=64k count=16 2>/dev/null; echo 0 > /tmp/rounds", check=True)
    verifying = lab.spawn(lab.vm2, VERIFY)
    was = {name: _stands(lab, name) for name in ("keyboard", "disk")}
    at = len(events.seen)
    for turn in range(ENDS):
        key = "ab"[turn % 2]
        lab.board.hold(key)
        events.wait(["key", "*", KEYS[key], 1])
        lab.vm2.run(f"sleep 0.{dice.randrange(10)}")
        (lab.daemon.kill, lab.daemon.leave)[dice.randrange(2)]()
        lab.vm2.run(f"sleep 0.{dice.randrange(10)}")
        if dice.randrange(2):       # released while nobody is there to decide anything
            lab.board.release(key)
            events.wait(["key", "*", KEYS[key], 0])
            lab.daemon.start()
        else:
            lab.daemon.start()
            lab.board.release(key)
            events.wait(["key", "*", KEYS[key], 0])
        for name, stood in was.items():
            lab.daemon.wait_device(name, state="attached")
            check(_stands(lab, name) == stood, f"{name} stood {stood}, and stands {_stands(lab, name)}")
    rounds = int(lab.vm2.text("cat /tmp/rounds"))
    lab.vm2.wait(f"[ $(cat /tmp/rounds) -gt {rounds} ]", what="the disk written on", timeout=300)
    lab.vm2.run("rm /tmp/verify", check=True)
    verifying.wait(300)
    wrong = lab.vm2.text("cat /tmp/wrong")
    check(not wrong, f"vm2's disk: {wrong}")
    for guest, lines in since.items():
        said = guest.text(f"dmesg | tail -n +$(({lines} + 1)) | {NOT_OURS}")
        check(not said, f"{guest.name}'s kernel said: {said}")
    check(not [line for line in events.seen[at:] if line.startswith("device")], f"vm1 lost it: {events.seen[at:]}")
    # What vm2 reads at the end is what the image has.
    have = lab.vm2.text(f"dd if=/dev/sda bs=64k count={DISK_BYTES >> 16} iflag=direct 2>/dev/null | sha256sum", timeout=600).split()[0]
    check(have == hashlib.sha256(lab.disk.read_bytes()).hexdigest(), "vm2 reads other bytes than the image has")


@scenario("vm-process-kill", quick=False, seconds=1800)
def vm_process_kill(lab):
    """kill -9 of vm1's process: its card and its keyboard come back, and vm2 notices nothing. As long as there is none (what
    would start another one stands still), vm2 writes and verifies its disk, and each of its pings is answered. At last control
    dies with it."""
    events = lab.keyboard_in(lab.vm1)
    lab.key(events)
    lab.board.plug("disk")
    lab.board.wait("[ -b /dev/sda ]", what="the board's own disk")
    lab.daemon.wait_device("disk", state="present", actual="host")
    lab.importing(lab.vm2, lab.route("disk", lab.vm2))
    lab.vm2.wait("[ -b /dev/sda ]", what="the disk in vm2")
    lab.vm2.run("touch /tmp/verify; : > /tmp/wrong; dd if=/dev/urandom of=/tmp/block bs=64k count=16 2>/dev/null; echo 0 > /tmp/rounds", check=True)
    verifying = lab.spawn(lab.vm2, VERIFY)
    lab.vm2.wait("[ $(cat /tmp/rounds) -gt 0 ]", what="the disk written", timeout=300)
    since = lab.vm2.text("dmesg | wc -l")
    other, on_board = lab.board.text("pgrep -x vm:vm2"), lab.events(lab.board)
    at, began = len(on_board.seen), len(lab.daemon.log())
    had, log = lab.vm1.text("dmesg | wc -l"), began
    for _ in range(3):
        process, starter = lab.board.text("pgrep -x vm:vm1"), lab.board.text("pgrep -x usbrouted-start")
        lab.board.run(f"kill -STOP {starter}", check=True)
        try:
            lab.board.run(f"kill -9 {process}", check=True)
            lab.daemon.wait_log("vm1: its process is lost", log)
            rounds = int(lab.vm2.text("cat /tmp/rounds"))
            lab.vm2.wait(f"[ $(cat /tmp/rounds) -gt {rounds + 2} ]", what="the disk written on, without vm1's process", timeout=300)
            pings = lab.vm2.text(f"ping -c 10 {ADDRESS}", timeout=300)
            check("10 packets received" in pings or " 10 received" in pings, f"of 10 pings of vm2: {pings}")
            check(not lab.board.run("pgrep -x vm:vm1").out, "vm1 has a process")
        finally:
            lab.board.run(f"kill -CONT {starter}", check=True)
        _lets_go_and_imports(lab, events, process)
        log = len(lab.daemon.log())
    process = lab.board.text("pgrep -x vm:vm1")
    lab.daemon.kill()
    lab.board.run(f"kill -9 {process}", check=True)
    lab.daemon.start()
    _lets_go_and_imports(lab, events, process)
    lab.vm2.run("rm /tmp/verify", check=True)
    verifying.wait(300)
    wrong, said = lab.vm2.text("cat /tmp/wrong"), lab.vm2.text(f"dmesg | tail -n +$(({since} + 1)) | {NOT_OURS}")
    check(not wrong, f"vm2's disk: {wrong}")
    check(not said, f"vm2's kernel said: {said}")
    said = lab.vm1.text(f"dmesg | tail -n +$(({had} + 1)) | grep -E 'BUG|WARNING|Call Trace|hung task|refused|not found' || :")
    check(not said, f"vm1's kernel complains: {said}")
    check(lab.board.text("pgrep -x vm:vm2") == other, "vm2's process is another one")
    check("disk: session over" not in lab.daemon.log()[began:], "the session of vm2's disk has ended")
    lab.settle(on_board)
    check(on_board.seen[at:] == [], f"the board's own driver had the keyboard meanwhile: {on_board.seen[at:]}")


def _lets_go_and_imports(lab, events, process):
    """vm1's kernel hears from the next process that its connection is dead: its one port is free, and takes the keyboard again."""
    lab.vm1.wait_ping(ADDRESS)
    events.wait(["device", "*", "remove"])
    check(lab.board.text("pgrep -x vm:vm1") != process, "it is the same process")
    lab.daemon.wait_device("keyboard", wanted="vm1", wanted_by="command", state="exported")
    check(local_devices(lab.vm1) == [], f"vm1 still has {local_devices(lab.vm1)}")
    lab.importing(lab.vm1, LINE)
    events.wait_keyboard()
    lab.settle(events)
    lab.key(events, "b")
    check(len(local_devices(lab.vm1)) == 1, f"vm1 has {local_devices(lab.vm1)}")


def _stands(lab, name):
    return {word: lab.daemon.find(name)[word] for word in ("wanted", "wanted_by", "actual", "state")}


@scenario("guest-kill")
def guest_kill(lab):
    events = lab.keyboard_in(lab.vm1)
    lab.key(events)
    since = len(lab.daemon.log())
    lab.vm1.kill()
    lab.daemon.wait_device("keyboard", wanted="vm1", state=lambda state: state != "attached")
    line = lab.daemon.wait_log("session over", since)
    check("timed out" not in line, f"freed by TCP's silence: {line}")
    lab.guests_up()
    lab.daemon.wait_device("keyboard", wanted="vm1", state="exported")
    events = lab.events(lab.vm1)
    lab.importing(lab.vm1, LINE)
    events.wait_keyboard()
    lab.key(events, "b")


@scenario("guest-reboot", quick=False)
def guest_reboot(lab):
    """The guest restarts itself; -no-reboot makes its QEMU end, as a libvirt domain with on_reboot=destroy."""
    lab.keyboard_in(lab.vm1)
    lab.spawn(lab.vm1, "reboot -f")
    lab.daemon.wait_device("keyboard", wanted="vm1", state=lambda state: state != "attached")
    lab.vm1.kill()
    lab.guests_up()
    events = lab.events(lab.vm1)
    lab.importing(lab.vm1, LINE)
    events.wait_keyboard()
    lab.key(events)


@scenario("guest-paused", quick=False)
def guest_paused(lab):
    """Silence is not death: a guest that stands still for a minute keeps its device, and gets its keys after."""
    events = lab.keyboard_in(lab.vm1)
    lab.key(events)
    pid = lab.board.text("pgrep -f 'qemu-system.*lab.name=vm1$|qemu-system.*lab.name=vm1 ' | head -n 1")
    lab.board.run(f"kill -STOP {pid}", check=True)
    try:
        lab.vm2.wait_ping(ADDRESS)
        lab.board.run("sleep 60")
        lab.board.key("c")
        device = lab.daemon.find("keyboard")
        check(device["state"] == "attached" and device["actual"] == "vm1", f"while vm1 stands still: {device}")
    finally:
        lab.board.run(f"kill -CONT {pid}", check=True)
    events.wait(["key", "*", 46, 1])
    events.wait(["key", "*", 46, 0])
    lab.key(events, "b")
