"""What people do with devices, in any order and without waiting: the same words by a seed, and after every few of them
everything is where it was said last, works there, and is nowhere else."""

import hashlib
import os
import random

from lab.agent import agent_in, local_devices
from lab.scenario import KEYS, check, scenario

STEPS = int(os.environ.get("USBROUTED_LAB_ROUNDS", "150"))
SEED = int(os.environ.get("USBROUTED_LAB_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
VMS = ("vm1", "vm2")
LEFT_BUTTON = 0x110


class Wish:
    """What was said of a device, and what it comes to (the contract: "Where a device should be")."""

    def __init__(self):
        self.command = None
        self.assignment = None

    @property
    def wanted(self):
        return self.command or self.assignment or "host"

    @property
    def by(self):
        return "command" if self.command else "assignment" if self.assignment else "default"


class Desk:
    """A keyboard, a mouse and a disk, two guests with their agents, and somebody who uses them at random."""

    def __init__(self, lab, chance):
        self.lab, self.chance = lab, chance
        self.wishes = {name: Wish() for name in ("keyboard", "mouse", "disk")}
        for name in self.wishes:
            if not lab.board.has(name):
                lab.board.plug(name)
            lab.daemon.wait_device(name, state="present", actual="host")
        self.machines = {"host": lab.board, "vm1": lab.vm1, "vm2": lab.vm2}
        self.agents, self.events = {}, {"host": lab.events(lab.board)}
        self.done = []
        for name in VMS:
            self.up(name)

    def up(self, name):
        """A guest that has just come up: its agent, and its events."""
        guest = self.machines[name]
        self.agents[name] = agent_in(self.lab, guest)
        self.events[name] = self.lab.events(guest)

    def ctl(self, words, fine=(0,)):
        result = self.lab.daemon.ctl(f"{words} --no-wait")
        check(result.rc in fine, f"usbroutectl {words}: {result.rc}: {(result.err + result.out).decode()}")

    # What somebody does: each with the device and the guest that chance named

    def attach(self, device, vm):
        self.ctl(f"attach {device} {vm}")
        self.wishes[device].command = vm

    def detach(self, device, _):
        self.lab.daemon.ctl_ok(f"detach {device}")
        self.wishes[device].command = "host"

    def assign(self, device, vm):
        self.ctl(f"assign {device} {vm}")
        self.wishes[device].command, self.wishes[device].assignment = None, vm

    def unassign(self, device, _):
        self.lab.daemon.ctl_ok(f"unassign {device}")
        self.wishes[device].command = self.wishes[device].assignment = None

    def unplug(self, device, _):
        if self.lab.board.has(device):
            self.lab.board.unplug(device)

    def plug(self, device, _):
        if not self.lab.board.has(device):
            self.lab.board.plug(device)

    def another_port(self, device, _):
        if self.lab.board.has(device):
            self.lab.board.move(device)

    def reset(self, device, _):
        """Where it is not there, or somebody else has it in hand, it says so."""
        self.ctl(f"reset {device}", fine=(0, 1, 3, 6))

    def kill_daemon(self, *_):
        self.lab.daemon.kill()
        self.lab.daemon.start()

    def restart_daemon(self, *_):
        self.lab.daemon.leave()
        self.lab.daemon.start()

    def stop_daemon(self, *_):
        self.lab.daemon.restart()

    def kill_process(self, _, vm):
        self.lab.board.run(f"pkill -9 -x vm:{vm}")

    def restart_agent(self, _, vm):
        self.agents[vm].kill()
        self.agents[vm] = self.lab.spawn(self.machines[vm], "exec usbroute-agent --verbose 2>>/tmp/agent.log")

    def pause(self, _, vm):
        self.machines[vm].pause()
        self.machines[vm].resume()

    def card_down(self, _, vm):
        self.machines[vm].run("ip link set eth0 down; ip link set eth0 up", check=True)

    def crash(self, _, vm):
        self.machines[vm].kill()
        self.lab.guests_up()
        self.up(vm)

    # What must hold afterwards

    def holds(self):
        lab = self.lab
        for device in self.wishes:
            self.plug(device, None)
        for device, wish in self.wishes.items():
            lab.daemon.wait_device(device, wanted=wish.wanted, wanted_by=wish.by, actual=wish.wanted,
                                   state="present" if wish.wanted == "host" else "attached")
        for name in VMS:
            have = sum(wish.wanted == name for wish in self.wishes.values())
            guest = self.machines[name]
            guest.wait(f"[ $(cat /sys/bus/usb/devices/[0-9]*-[0-9]/bConfigurationValue 2>/dev/null | grep -c 1) = {have} ]",
                       what=f"{have} USB devices; it has {local_devices(guest)}")
            used = guest.text("awk '$3 == \"006\" || $3 == \"005\"' /sys/devices/platform/vhci_hcd.*/status").splitlines()
            check(len(used) == have, f"{name} is to have {have} devices, and its vhci-hcd says {used}")
        self.works("keyboard", "QEMU USB Keyboard", self.type_key)
        self.works("mouse", "QEMU USB Mouse", self.click)
        where = self.machines[self.wishes["disk"].wanted]
        where.wait("[ -b /dev/sda ]", what="the disk's block device")
        have = where.text("dd if=/dev/sda bs=64k count=4 iflag=direct 2>/dev/null | sha256sum", timeout=300).split()[0]
        check(have == hashlib.sha256(lab.disk.read_bytes()[:4 << 16]).hexdigest(), f"the disk reads otherwise at {self.wishes['disk'].wanted}")

    def works(self, device, name, act):
        """It does what it does where it is, and nothing comes elsewhere."""
        here = self.wishes[device].wanted
        self.machines[here].wait(f"grep -q 'Name=\"QEMU {name}\"' /proc/bus/input/devices", what=f"{device}'s driver")
        self.machines[here].run("for d in /sys/bus/hid/devices/*; do echo ${d##*/} > /sys/bus/hid/drivers_probe; done")
        for events in self.events.values():
            self.lab.settle(events)
        at = {where: len(events.seen) for where, events in self.events.items()}
        act(self.events[here])
        for where, events in self.events.items():
            if where != here:
                self.lab.no_key(events, at[where])

    def type_key(self, events):
        self.lab.key(events, self.chance.choice(sorted(KEYS)))

    def click(self, events):
        self.lab.board.pointer(("btn", "left", True), ("btn", "left", False))
        for value in (1, 0):
            events.wait(["key", "*", LEFT_BUTTON, value])


# How often each is done, of a hundred or so.
HABITS = [(Desk.attach, 22), (Desk.detach, 8), (Desk.assign, 6), (Desk.unassign, 3), (Desk.unplug, 10), (Desk.plug, 10),
          (Desk.another_port, 10), (Desk.reset, 6), (Desk.kill_daemon, 4), (Desk.restart_daemon, 4), (Desk.stop_daemon, 2),
          (Desk.kill_process, 4), (Desk.restart_agent, 4), (Desk.pause, 3), (Desk.card_down, 2), (Desk.crash, 2)]


@scenario("habits-in-any-order", quick=False, seconds=3 * 3600)
def in_any_order(lab):
    lab.say(f"seed {SEED}, {STEPS} steps")
    chance = random.Random(SEED)
    desk = Desk(lab, chance)
    does, weights = zip(*HABITS)
    try:
        while len(desk.done) < STEPS:
            for _ in range(chance.choice((1, 1, 2, 3, 5))):
                what, device, vm = chance.choices(does, weights)[0], chance.choice(sorted(desk.wishes)), chance.choice(VMS)
                desk.done.append(f"{what.__name__} {device} {vm}")
                what(desk, device, vm)
            desk.holds()
    except Exception:
        lab.say(f"after {len(desk.done)} steps, the last of them: {'; '.join(desk.done[-8:])}")
        raise
    lab.say(f"{len(desk.done)} steps")
