"""A guest that is saved, restored, and moved to another QEMU, with a keyboard and with a disk that is being read.

What watches in the guest writes into files there: the lab's own channel to it ends with each QEMU."""

import hashlib
import re

from lab.agent import agent_in, wait_agent
from lab.daemon import ADDRESS
from lab.guest import Guest
from lab.scenario import KEYS, check, scenario

SAVED = "/run/lab/vm1.saved"
LINK = "unix:/run/lab/vm1.moves"
READ = """(while [ ! -e /tmp/enough ]; do
    dd if=/dev/sda bs=16k iflag=direct 2>/dev/null | sha256sum >> /tmp/sums || break
done; echo end >> /tmp/sums) < /dev/null > /dev/null 2>&1 &"""
AGAIN = r"vm1: its guest goes on where it was, after (\d+) ms"


class Watched:
    """vm1 with the keyboard and the disk, and what it has seen of them since."""

    def __init__(self, lab, disk=True):
        self.lab = lab
        events = lab.keyboard_in(lab.vm1)
        lab.key(events)
        events.close()
        self.disk = disk
        if disk:
            lab.board.plug("disk")
            lab.board.wait("[ -b /dev/sda ]", what="the board's own disk")
            lab.daemon.wait_device("disk", state="present", actual="host")
            lab.importing(lab.vm1, lab.route("disk", lab.vm1))
            lab.vm1.wait("[ -b /dev/sda ]", what="the disk in the guest")
            lab.vm1.run(READ, check=True)
        lab.vm1.run("evwatch < /dev/null > /tmp/keys 2>&1 &", check=True)
        lab.vm1.wait("grep -q ready /tmp/keys", what="evwatch in the guest")
        self.keys = 0
        self.since = lab.vm1.text("dmesg | wc -l")
        self.log = len(lab.daemon.log())

    def key(self, key="b"):
        code = KEYS[key]
        self.lab.board.key(key)
        self.keys += 1
        self.lab.vm1.wait(f"[ $(grep -c '^key [^ ]* {code} 0' /tmp/keys) -ge {self.keys} ]", what=f"key {key}")
        have = self.lab.vm1.text(f"grep -c '^key [^ ]* {code} 1' /tmp/keys")
        check(int(have) == self.keys, f"{key} came {have} times, not {self.keys}")

    def sums(self):
        return int(self.lab.vm1.text("cat /tmp/sums 2>/dev/null | wc -l"))

    def reads(self, more=1):
        """The disk is being read, and some more of it has been."""
        had = self.sums()
        self.lab.vm1.wait(f"[ $(cat /tmp/sums | wc -l) -ge {had + more} ]", what="the disk read on")

    def away(self):
        """How long the card was away by the daemon's log, ms; the log is looked at from there on."""
        found = re.search(AGAIN, self.lab.daemon.wait_log(AGAIN, self.log))
        self.log = len(self.lab.daemon.log())
        return int(found.group(1))

    def saw_nothing(self):
        """Devices that never went, a kernel that said nothing, and bytes of the disk that are right."""
        lab = self.lab
        lab.daemon.wait_device("keyboard", state="attached", actual="vm1")
        self.key()
        seen = lab.vm1.text("grep '^device' /tmp/keys || true")
        check(not seen, f"vm1 saw devices come and go: {seen}")
        said = lab.vm1.text(f"dmesg | tail -n +$(({self.since} + 1)) | sed -e '/hrtimer: interrupt took/d' "
                            "-e '/clocksource: /d' -e '/seqnum max$/d'")
        check(not said, f"vm1's kernel said: {said}")
        if not self.disk:
            return
        lab.daemon.wait_device("disk", state="attached", actual="vm1")
        self.reads()
        lab.vm1.run("touch /tmp/enough", check=True)
        lab.vm1.wait("grep -q end /tmp/sums", timeout=240, what="the last read's end")
        wanted = hashlib.sha256(lab.disk.read_bytes()).hexdigest()
        wrong = lab.vm1.text(f"grep -v -e {wanted} -e end /tmp/sums || true")
        check(not wrong, f"vm1 read other bytes: {wrong}")


def _gone_and_back(lab, uri):
    """Its QEMU ends, and another one takes it from there."""
    lab.vm1.stop()
    lab.vm1.start(incoming=uri)
    lab.vm1.wait_up()


@scenario("guest-paused-by-qemu", quick=False)
def paused(lab):
    """`virsh suspend`: QEMU stops the card with its guest; connections go on, and the kernel says nothing."""
    watched = Watched(lab)
    for _ in range(3):
        watched.reads()
        lab.vm1.pause()
        lab.daemon.wait_device("keyboard", state="claimed")
        lab.board.run("sleep 2")
        lab.vm1.resume()
        lab.say(f"paused; without its card for {watched.away()} ms")
        watched.key()
    watched.saw_nothing()


@scenario("guest-saved", quick=False)
def saved(lab):
    """Saved to a file, its QEMU ends, and restored by another one: TCP goes on, and the kernel says nothing."""
    watched = Watched(lab)
    watched.reads()
    lab.vm1.migrate(f"exec:cat > {SAVED}")
    lab.daemon.wait_device("keyboard", state="claimed")
    _gone_and_back(lab, f"exec:cat {SAVED}")
    lab.say(f"saved and restored; without its card for {watched.away()} ms")
    watched.saw_nothing()
    lab.board.run(f"rm {SAVED}")


@scenario("guest-moves", quick=False)
def moves(lab):
    """Live migration between two QEMUs on this host, there and back."""
    watched = Watched(lab)
    here = lab.vm1
    for way in ("there", "back"):
        there = Guest(lab.board, "vm1", folder=f"vm1-{way}")
        try:
            lab.board.guests["vm1"] = here
            watched.reads()
            there.start(incoming=LINK)
            lab.daemon.wait_log("a second virtual machine has connected", watched.log)
            watched.key()
            stood = here.migrate(LINK)
            lab.board.guests["vm1"] = there
            there.wait_up()
            lab.say(f"moved {way}; it stood still for {stood} ms, without its card for {watched.away()} ms")
            watched.key()
        finally:
            here.kill()
        here = there
    watched.saw_nothing()
    lab.vm2.wait_ping(ADDRESS)


@scenario("guest-goes-back", quick=False)
def goes_back(lab):
    """A snapshot with memory. The guest that goes on keeps its keyboard; the one that goes back to it loses its session
    in order, and its agent imports the keyboard again."""
    agent_in(lab, lab.vm1)
    events = lab.events(lab.vm1)
    lab.daemon.ctl_ok("attach keyboard vm1 --wait 60", timeout=90)
    events.wait_keyboard()
    lab.key(events)
    at, log = len(events.seen), len(lab.daemon.log())
    lab.vm1.migrate(f"exec:cat > {SAVED}")
    lab.vm1.resume()
    lab.daemon.wait_log(AGAIN, log)
    lab.daemon.wait_device("keyboard", state="attached", actual="vm1")
    lab.key(events, "b")
    check(not [line for line in events.seen[at:] if line.startswith("device")], f"vm1 lost it: {events.seen[at:]}")
    events.close()

    log = len(lab.daemon.log())
    _gone_and_back(lab, f"exec:cat {SAVED}")
    lab.daemon.wait_log("keyboard: session over .the guest has gone", log)
    lab.daemon.wait_device("keyboard", state="attached", actual="vm1")
    wait_agent(lab, lab.vm1)
    events = lab.events(lab.vm1)
    events.machine.wait("ls /sys/bus/hid/devices | grep -q .", what="its keyboard")
    lab.key(events)
    lab.board.run(f"rm {SAVED}")
