"""The tutorial (docs/tutorial.md), word by word: somebody who reads it on a bare Debian, under systemd, and types on the keyboard
wherever it is."""

import functools
import re
import shlex

from lab import LabTimeout, guide, initramfs, machine, sources
from lab.guest import Guest, reconnect
from lab.installed import Installed, boot
from lab.packages import ANSWERS, TUTORIAL
from lab.scenario import check, scenario

# The names of usbrouted.conf(5), and QEMU's.
CODES = {"LeftCtrl": "ctrl", "RightCtrl": "ctrl_r", "Space": "spc", "Esc": "esc"}
WENT = ["host", "vm1", "host", "vm1", "vm2", "vm1", "host", "vm2", "host"]


class _Reader:
    def __init__(self, lab, debs):
        self.lab, self.debs = lab, debs
        self.guests, self.events, self.went, self.answer = {}, {"host": lab.events(lab.board)}, [], ""

    def must(self, block, done):
        self.answer = done.out.decode(errors="replace")
        check(done.rc == 0, f"{TUTORIAL.name}:{block.line}: ended with {done.rc}: {done.err.decode(errors='replace')}{self.answer}")

    def board(self, block):
        self.must(block, self.lab.board.run(f"export DEBIAN_FRONTEND=noninteractive; cd {self.debs}; set -e\n{block.text}", timeout=900))

    def file(self, block):
        self.lab.board.write(block.whom, block.text)

    def starts(self, block):
        kernel, folder = self.lab.board.kernel, f"/srv/{block.whom}"
        self.lab.board.run(f"mkdir -p {folder} && cd {folder} && ln -sf {kernel.image} vmlinuz && "
                           f"ln -sf {initramfs.guest(kernel)} initrd.img && truncate -s 16M disk.img", check=True)
        # What the text says of Debian 13; and the emulated processor wants its own word.
        line = block.text.strip().replace("reconnect=1", reconnect(self.lab.board.qemu_version()))
        line = line.replace("-cpu host", f"-cpu {shlex.quote(machine.MACHINE.guest_cpu)}")
        guest = self.guests[block.whom] = Guest(self.lab.board, block.whom, line=line)
        guest.start()
        guest.wait_up()
        self.lab.say(f"{guest.name}, started by the tutorial's line, up in {guest.up_seconds:.0f} s")
        guest.wait_carrier()
        guest.wait_address()
        self.events[block.whom] = self.lab.events(guest)

    def inside(self, block):
        guest = self.guests[block.whom]
        self.must(block, guest.run(f"set -e\n{block.text}", timeout=180))
        if "usbroute-agent" in block.text:
            self.lab.board.wait(f"usbroutectl --json vms | grep -q '\"name\":\"{block.whom}\"[^}}]*\"agent\":\"'", what=f"{block.whom}'s agent")

    def said(self, block):
        def wild(text):
            return re.sub(r"\b\d+\b", "N", text.strip())
        check(wild(self.answer) == wild(block.text), f"{TUTORIAL.name}:{block.line}: expected {block.text!r}, found {self.answer!r}")

    def keys(self, block):
        for chord in block.text.split():
            at = self.where()
            codes = [CODES[name] for name in chord.split("+")]
            for code in codes:
                self.lab.board.hold(code)
            for code in reversed(codes):
                self.lab.board.release(code)
            self.moved(at)

    def where(self):
        """Where the keyboard has arrived; None while it is on its way."""
        device = self.lab.daemon.find("keyboard")
        if device["wanted"] != device["actual"] or device["state"] not in ("present", "attached"):
            return None
        return device["actual"]

    def moved(self, at):
        self.lab.daemon.wait_device("keyboard", actual=lambda there: there != at, state=("present", "attached"))

    def type(self):
        """A key, wherever the keyboard has come to since the last one."""
        at = self.where()
        if at and (not self.went or at != self.went[-1]):
            if self.went:
                self.events[at].wait_keyboard()
            self.lab.key(self.events[at])
            self.went.append(at)


def _tutorial(lab, release):
    lab.board, debs = boot(release)
    lab.say(f"board up in {lab.board.boot_seconds:.0f} s under systemd, logs: {lab.board.logs.folder}")
    lab.daemon = daemon = Installed(lab.board)
    lab.board.write("/etc/apt/apt.conf.d/81usbrouted", ANSWERS)
    reader = _Reader(lab, debs)
    configured = removed = False
    for block in guide.blocks(TUTORIAL):
        if block.does == "builds":
            continue        # done by boot()
        does = "inside" if block.does == "in" else block.does
        getattr(reader, does)(block)
        configured = configured or "usbroutectl reload" in block.text
        removed = removed or "apt remove" in block.text
        if "systemctl restart" in block.text:
            daemon.wait_device("keyboard", state="attached", actual="vm2", wanted_by="assignment")
        if configured and not removed:
            reader.type()
    check(removed and reader.went == WENT, f"the keyboard was in {reader.went}, expected {WENT}")
    # It is the host's also without usbrouted.
    lab.key(reader.events["host"], "b")
    lab.daemon = None


if not machine.FOREIGN:
    for number, name in sources.RELEASES.items():
        scenario(f"tutorial-debian{number}", quick=False, seconds=3600, own_board=True)(functools.partial(_tutorial, release=name))
