"""What is assigned comes back, whatever was pulled out, restarted, killed or without power meanwhile: the keyboard in
vm1 and the mouse in vm2, each taken by usbroute-agent, and what they send comes there and nowhere else."""

import os

from lab.agent import agent_in, local_devices
from lab.scenario import check, scenario

ROUNDS = int(os.environ.get("USBROUTED_LAB_ROUNDS", "20"))
PLACES = {"keyboard": "vm1", "mouse": "vm2"}
LEFT_BUTTON = 0x110


class Desk:
    """A keyboard assigned to vm1 and a mouse to vm2, both there."""

    def __init__(self, lab):
        self.lab = lab
        self.events = {}
        lab.board.plug("mouse")
        lab.daemon.wait_device("mouse", state="present", actual="host")
        self.on_board = lab.events(lab.board)
        for name in PLACES.values():
            self.guest_up(name)
        for device, guest in PLACES.items():
            lab.daemon.ctl_ok(f"assign {device} {guest} --wait 60", timeout=120)
        self.back()

    def guest_up(self, name):
        """A guest that has just come up: listened to, with its agent."""
        guest = self.lab.board.guests[name]
        self.events[name] = self.lab.events(guest)
        agent_in(self.lab, guest)

    def back(self, went=(), came=tuple(PLACES.values())):
        """All is where it was assigned to, and works: after an event of its going in these guests, and one of its
        coming in those."""
        lab = self.lab
        for name in came:
            if name in went:
                self.events[name].wait(["device", "*", "remove"])
            self.events[name].wait_keyboard()
        for device, name in PLACES.items():
            lab.daemon.wait_device(device, wanted=name, wanted_by="assignment", actual=name, state="attached")
            have = local_devices(lab.board.guests[name])
            check(len(have) == 1, f"{name} has the USB devices {have}")
        for events in self.events.values():
            lab.settle(events)
        at = len(self.on_board.seen)
        at_vm2 = len(self.events["vm2"].seen)
        lab.key(self.events["vm1"])
        lab.no_key(self.events["vm2"], at_vm2)
        at_vm1 = len(self.events["vm1"].seen)
        lab.board.pointer(("btn", "left", True), ("btn", "left", False))
        for value in (1, 0):
            self.events["vm2"].wait(["key", "*", LEFT_BUTTON, value])
        lab.no_key(self.events["vm1"], at_vm1)
        lab.no_key(self.on_board, at)


def replug(lab, times):
    desk = Desk(lab)
    for _ in range(times):
        for device, name in PLACES.items():
            lab.board.unplug(device)
            desk.events[name].wait(["device", "*", "remove"])
            lab.daemon.wait_gone(device)
        for device in PLACES:
            lab.board.plug(device)
        desk.back()


@scenario("assigned-after-replug", quick=False)
def after_replug(lab):
    replug(lab, 1)


@scenario("assigned-after-replug-20", quick=False, seconds=3600)
def after_replug_often(lab):
    replug(lab, ROUNDS)


@scenario("assigned-after-guest-restart-5", quick=False, seconds=3600)
def after_guest_restart(lab):
    desk = Desk(lab)
    for number in range(max(1, ROUNDS // 4)):
        # In turn: powered off from outside, and crashed.
        (lab.vm1.kill if number % 2 else lab.vm1.stop)()
        lab.daemon.wait_device("keyboard", wanted="vm1", state=lambda state: state != "attached")
        lab.guests_up()
        desk.guest_up("vm1")
        desk.back(came=["vm1"])


def daemon_again(lab, end, times, noticed):
    desk = Desk(lab)
    for _ in range(times):
        at = {name: len(events.seen) for name, events in desk.events.items()}
        end()
        lab.daemon.start()
        if noticed:
            desk.back(went=PLACES.values())
            continue
        desk.back(came=())
        for name, events in desk.events.items():
            news = [line for line in events.seen[at[name]:] if line.startswith("device")]
            check(not news, f"{name} has noticed it: {news}")


@scenario("assigned-after-daemon-restart-10", quick=False, seconds=3600)
def after_daemon_restart(lab):
    """The VMs' processes end with it."""
    daemon_again(lab, lab.daemon.stop, max(1, ROUNDS // 2), noticed=True)


@scenario("assigned-after-daemon-kill-10", quick=False, seconds=3600)
def after_daemon_kill(lab):
    """The next one takes up what is there."""
    daemon_again(lab, lab.daemon.kill, max(1, ROUNDS // 2), noticed=False)


@scenario("assigned-after-board-reboot", quick=False, seconds=1800)
def after_board_reboot(lab):
    """A wish of attach's, which ends with the host's boot, beside the assignments, which don't."""
    desk = Desk(lab)
    lab.board.plug("disk")
    lab.daemon.wait_device("disk", state="present", actual="host")
    lab.daemon.ctl_ok("attach disk vm2 --no-wait")
    lab.reboot()
    desk.events, desk.on_board = {}, lab.events(lab.board)
    for name in PLACES.values():
        desk.guest_up(name)
    desk.back()
    lab.daemon.wait_device("disk", wanted="host", wanted_by="default", actual="host", state="present")
