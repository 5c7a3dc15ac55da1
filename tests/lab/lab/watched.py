"""What a guest sees of its devices while it goes from one QEMU to another. Owns nothing: what watches runs in the guest and
writes into files there, since the lab's own channel to it ends with each QEMU."""

import hashlib
import re

from .scenario import KEYS, check

# What an earlier one left in this guest is ended first.
BEGIN = """[ ! -e /tmp/watched ] || { touch /tmp/watched/enough; kill $(cat /tmp/watched/evwatch); }
rm -rf /tmp/watched; mkdir /tmp/watched"""
READ = """cd /tmp/watched; (while [ -d . -a ! -e enough ]; do
    dd if=/dev/sda bs=16k iflag=direct 2>/dev/null | sha256sum >> sums || break
done; echo end >> sums) < /dev/null > /dev/null 2>&1 &"""
KEYS_SEEN = "evwatch < /dev/null > /tmp/watched/keys 2>&1 & echo $! > /tmp/watched/evwatch"
AGAIN = r"{}: its guest goes on where it was, after (\d+) ms"


class Watched:
    """A guest that has the keyboard, and what it has seen of it since; also of a disk that it reads."""

    def __init__(self, lab, guest, disk=False):
        self.lab = lab
        self.guest = guest
        self.disk = disk
        guest.run(BEGIN, check=True)
        if disk:
            lab.board.plug("disk")
            lab.board.wait("[ -b /dev/sda ]", what="the board's own disk")
            lab.daemon.wait_device("disk", state="present", actual="host")
            lab.importing(guest, lab.route("disk", guest))
            guest.wait("[ -b /dev/sda ]", what="the disk in the guest")
            guest.wait("[ $(dmesg | grep -c 'Attached SCSI') -ge $(dmesg | grep -c Direct-Access) ]",
                       what="the last word of the disk's driver")
            guest.run(READ, check=True)
        guest.run(KEYS_SEEN, check=True)
        self.guest.wait("grep -q ready /tmp/watched/keys", what="evwatch in the guest")
        self.keys = 0
        self.since = self.guest.text("dmesg | wc -l")
        self.log = len(lab.daemon.log())

    def key(self, key="b"):
        code = KEYS[key]
        self.lab.board.key(key)
        self.keys += 1
        self.guest.wait(f"[ $(grep -c '^key [^ ]* {code} 0' /tmp/watched/keys) -ge {self.keys} ]", what=f"key {key}")
        have = self.guest.text(f"grep -c '^key [^ ]* {code} 1' /tmp/watched/keys")
        check(int(have) == self.keys, f"{key} came {have} times, not {self.keys}")

    def pauses(self, seconds=0):
        """QEMU stops the card with its guest, and goes on."""
        self.guest.pause()
        self.lab.daemon.wait_device("keyboard", state="claimed")
        self.lab.board.run(f"sleep {seconds}")
        self.guest.resume()
        self.lab.say(f"paused; without its card for {self.away()} ms")
        self.key()

    def sums(self):
        return int(self.guest.text("cat /tmp/watched/sums 2>/dev/null | wc -l"))

    def reads(self, more=1):
        """The disk is being read, and some more of it has been."""
        had = self.sums()
        self.guest.wait(f"[ $(cat /tmp/watched/sums | wc -l) -ge {had + more} ]", what="the disk read on")

    def away(self):
        """How long the card was away by the daemon's log, ms; the log is looked at from there on."""
        again = AGAIN.format(self.guest.name)
        found = re.search(again, self.lab.daemon.wait_log(again, self.log))
        self.log = len(self.lab.daemon.log())
        return int(found.group(1))

    def saw_nothing(self):
        """Devices that never went, a kernel that said nothing, and bytes of the disk that are right."""
        lab = self.lab
        lab.daemon.wait_device("keyboard", state="attached", actual=self.guest.name)
        self.key()
        # Before that it names those that are there.
        seen = self.guest.text("awk '/^ready/ { there = 1 } there && /^device/' /tmp/watched/keys")
        check(not seen, f"{self.guest.name} saw devices come and go: {seen}")
        said = self.guest.text(f"dmesg | tail -n +$(({self.since} + 1)) | sed -e '/hrtimer: interrupt took/d' "
                            "-e '/clocksource: /d' -e '/seqnum max$/d' -e '/link becomes ready$/d'")
        check(not said, f"{self.guest.name}'s kernel said: {said}")
        if not self.disk:
            return
        lab.daemon.wait_device("disk", state="attached", actual=self.guest.name)
        self.reads()
        self.guest.run("touch /tmp/watched/enough", check=True)
        self.guest.wait("grep -q end /tmp/watched/sums", timeout=240, what="the last read's end")
        wanted = hashlib.sha256(lab.disk.read_bytes()).hexdigest()
        wrong = self.guest.text(f"grep -v -e {wanted} -e end /tmp/watched/sums || true")
        check(not wrong, f"{self.guest.name} read other bytes: {wrong}")
