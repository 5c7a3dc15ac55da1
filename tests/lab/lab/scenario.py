"""Scenarios: what they are, and what they share: one boot of the board, its daemon and two guests. Owns the list of them
and, in Lab, that boot.

    @scenario("replug")                     # quick; @scenario("soak", quick=False) runs with --all
    def replug(lab):
        ...

A scenario fails by any exception; check() makes one. It begins with the daemon running, every device with the
host, the keyboard plugged in, vm1 and vm2 up with their addresses; it may leave any mess behind. One with own_board=True
begins with no board, and sets lab.board and lab.daemon itself; its board is put away with it.
"""

import collections
import os
import re
import time

from . import LabError, machine, paths
from .board import Board, Events
from .daemon import ADDRESS, DEFAULT_CONFIG, STATE, Daemon
from .gadget import Gadget, prepare
from .guest import Guest

Scenario = collections.namedtuple("Scenario", "name does quick seconds own_board")
SCENARIOS = []
GUESTS = ("vm1", "vm2")
# Past all waits that a scenario has of its own; for what hangs without one.
SCENARIO_SECONDS = 900
DISK_BYTES = 8 << 20
NETWORK = ("ip -d link; ip -4 addr; ip -6 addr; ip route show table all; ip -6 route show table all; ip rule; "
           "ss -Hlntuw")
KEYS = {"a": 30, "b": 48, "c": 46, "d": 32, "e": 18, "h": 35, "l": 38, "o": 24}
# Not "..MP-BIOS bug: 8254 timer not connected", which a busy machine's emulated clock brings.
BOARD_BROKEN = re.compile(r"Kernel panic|Oops:|(?-i:BUG:)|general protection fault|soft lockup|rcu.*stall|"
                          r"unable to handle", re.I)


class Failed(Exception):
    """What a scenario asserts does not hold."""


def scenario(name, quick=True, seconds=SCENARIO_SECONDS, own_board=False, machines=tuple(machine.MACHINES)):
    """machines: on which kinds of board there is such a scenario."""
    def register(does):
        if machine.NAME in machines:
            SCENARIOS.append(Scenario(name, does, quick, seconds, own_board))
        return does
    return register


def check(holds, why):
    if not holds:
        raise Failed(why)


class Lab:
    """One boot of the board, the daemon on it, and its guests."""

    def __init__(self):
        self.board = None
        self.daemon = None
        self.network_before = None
        self._events = []
        self._jobs = []
        self._gadgets = []
        self._gadgets_ready = False
        self._settings = False
        self.disk = paths.cache() / "scenario-disk.img"

    vm1 = property(lambda self: self.board.guests["vm1"])
    vm2 = property(lambda self: self.board.guests["vm2"])

    def say(self, text):
        print(f"     {text}", flush=True)

    # The boot

    def boot(self):
        if not Daemon.built():
            raise LabError(f"not built: {paths.DAEMON}, {paths.VM_PROCESS} and {paths.CTL} (ninja -C {paths.BUILD.name} programs)")
        self.disk.write_bytes(os.urandom(DISK_BYTES))
        self.board = Board(disk=self.disk)
        self._power_on()
        self._daemon_and_guests()

    def _power_on(self):
        self.board.start()
        self.say(f"board up in {self.board.boot_seconds:.0f} s, logs: {self.board.logs.folder}")
        # Neighbour discovery and the like of the kernel's own must be over.
        self.network_before = self.network()

    def _daemon_and_guests(self):
        self.daemon = Daemon(self.board)
        self.daemon.start()
        for name in GUESTS:
            Guest(self.board, name)
        self.guests_up()

    def reboot(self):
        """The power goes off and comes again, as it is: what is plugged in stays plugged in. The board's root is a
        tmpfs above this machine's file system, so the daemon's state directory, which on a host is on a disk, is
        read over the board's channel before and written back before the daemon starts. All else is new."""
        state = self.board.run(f"tar -C {STATE} -c .", check=True).out
        self.board.stop()
        self._events, self._jobs, self._gadgets, self._gadgets_ready = [], [], [], False
        self._power_on()
        self.board.run(f"mkdir -p {STATE} && tar -C {STATE} -x", stdin=state, check=True)
        self._daemon_and_guests()

    def network(self):
        return self.board.text(NETWORK)

    def down(self):
        if self.board:
            self.board.stop()

    def board_broken(self):
        """Why the board itself can't go on; None where it can, or where none was asked for yet."""
        if not self.board:
            return None
        if not self.board.running():
            return "its QEMU has ended"
        log = self.board.logs.file("board.log")
        found = BOARD_BROKEN.search(log.read_text(errors="replace")) if log.exists() else None
        if found:
            return f"its kernel says `{found.group(0)}`"
        try:
            self.board.run("true", timeout=90)
        except LabError as error:
            return f"it does not answer: {error}"
        return None

    # Between scenarios

    def restore(self):
        """Whatever the last scenario left: daemon running, all devices with the host, guests up."""
        for one in self._events + self._jobs:
            try:
                (one.close if isinstance(one, Events) else one.kill)()
            except LabError:
                pass
        self._events, self._jobs = [], []
        if not self.daemon.running():
            self.daemon.start()
        if self._settings:
            self.settings()
            self._settings = False
        for device in self.daemon.json("list")["devices"]:
            if device["reserved"]:
                self.daemon.ctl(f"reserve port={device['busid']} --off")
            if device["wanted_by"] in ("command", "assignment"):
                self.daemon.ctl(f"unassign port={device['busid']}")
        if not self.board.has("keyboard"):
            self.board.plug("keyboard")
        for name in self.board.plugged():
            if name != "keyboard":
                self.board.unplug(name)
        for gadget in self._gadgets:
            gadget.remove()
        self._gadgets = []
        # A wish outlasts its device, and the next one may have the same name.
        names = " ".join(re.findall(r"^\[device (\S+)\]", self.daemon.config, re.M))
        self.board.run(f"cd {STATE}; for name in {names}; do grep -qsw $name * && {self.daemon.command('unassign $name')}; done")
        self.guests_up()
        self.daemon.wait_device("keyboard", state="present", actual="host")

    def guests_up(self):
        new = [guest for guest in map(self.board.guests.get, GUESTS) if not guest.running()]
        for guest in new:
            guest.start()
        for guest in new:
            guest.wait_up()
            self.say(f"{guest.name} up in {guest.up_seconds:.0f} s")
        for name in GUESTS:
            guest = self.board.guests[name]
            guest.wait_carrier()
            guest.wait_address()

    # What scenarios do again and again

    def events(self, machine):
        events = machine.events()
        self._events.append(events)
        return events

    def settings(self, config=DEFAULT_CONFIG, rules=""):
        """Another configuration and other rules for the running daemon, until the scenario's end."""
        self._settings = True
        result = self.daemon.reload(config, rules)
        check(result.rc == 0, f"reload ended with {result.rc}: {result.err.decode()}")

    def spawn(self, machine, command, stdin=b""):
        """A command in the background, ended with the scenario."""
        job = machine.spawn(command, stdin=stdin)
        self._jobs.append(job)
        return job

    def route(self, device, guest):
        """attach by usbroutectl; returns the line that it tells the user to type in the guest."""
        said = self.daemon.ctl_ok(f"attach {device} {guest.name}")
        found = re.search(r"usbip attach \S.*", said)
        check(found, f"`attach {device} {guest.name}` tells no line to type in the guest: {said!r}")
        return found.group(0).strip()

    def gadget(self, name, functions, *more, **properties):
        """A gadget, plugged in and listed as `gadget`; gone with the scenario."""
        if not self._gadgets_ready:
            prepare(self.board)
            self._gadgets_ready = True
        gadget = Gadget(self.board, name, functions, *more, **properties)
        self._gadgets.append(gadget)
        gadget.plug()
        self.daemon.wait_device("gadget", state="present", actual="host")
        return gadget

    def importing(self, guest, line=f"usbip attach -r {ADDRESS} -b keyboard"):
        """The line typed in the guest; it must work."""
        result = guest.run(line)
        check(result.rc == 0, f"{guest.name}: `{line}` ended with {result.rc}: {(result.err + result.out).decode()}")

    def keyboard_in(self, guest, events=None):
        """Route the keyboard to the guest, import it there, wait until its kernel has it; its events."""
        events = events or self.events(guest)
        self.importing(guest, self.route("keyboard", guest))
        events.wait_keyboard()
        return events

    def key(self, events, key="a"):
        """Press and release a key; it must come as one down and one up, and nothing else of it."""
        code = KEYS[key]
        at = len(events.seen)
        self.board.key(key)
        events.wait(["key", "*", code, 1])
        events.wait(["key", "*", code, 0])
        self.settle(events)
        # 2 is the listening kernel's own repeat, while emulation takes its time between down and up.
        have = [line.split()[2:4] for line in events.seen[at:] if line.startswith("key")]
        have = [one for one in have if one[1] != "2"]
        check(have == [[str(code), "1"], [str(code), "0"]], f"{key} pressed once came as {have}")

    def settled(self, log, last):
        """Wait until a log of this run, which another thread writes, has this last line."""
        for _ in range(100):
            lines = self.board.logs.file(log).read_text(errors="replace").splitlines()
            if lines and lines[-1] == last:
                return
            time.sleep(0.1)
        raise Failed(f"{log} does not end with `{last}`")

    def settle(self, events):
        """What had come to the machine is in events.seen afterwards."""
        events.machine.run("true")
        events.now()

    def no_key(self, events, at):
        """No key event since events.seen had this length."""
        self.settle(events)
        keys = [line for line in events.seen[at:] if line.startswith("key")]
        check(not keys, f"{events.machine.name} has keys that are not for it: {keys}")

    def mark(self):
        """A line in the board's kernel log, for dmesg_since()."""
        mark = f"lab-mark-{time.monotonic_ns()}"
        self.board.run(f"echo {mark} > /dev/kmsg", check=True)
        return mark

    def dmesg_since(self, mark):
        return self.board.text("dmesg").split(mark, 1)[-1]
