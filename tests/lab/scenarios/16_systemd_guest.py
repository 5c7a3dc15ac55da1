"""`usbroutectl vm agent VM` at a guest that runs Debian under systemd and has QEMU's guest agent, as a cloud image has it: the agent is
put in, is there at the next boot, and what it says takes it out again."""

import hashlib
import re

from lab import paths, systemd_guest
from lab.agent import agent_of
from lab.guest import Guest
from lab.scenario import check, scenario

PROGRAM, UNIT = "/usr/local/sbin/usbroute-agent", "/etc/systemd/system/usbroute-agent.service"


def _up(lab, guest):
    guest.start()
    guest.wait_up()
    lab.say(f"{guest.name} up in {guest.up_seconds:.0f} s under systemd")
    guest.wait_carrier()
    guest.wait_address()


def _put_in(lab, guest):
    """What it says it did is what is in the guest; returns the line that undoes it."""
    guest.wait("systemctl is-active -q qemu-guest-agent", what="QEMU's guest agent")
    said = lab.daemon.ctl_ok(f"vm agent vm1 --guest-agent {systemd_guest.AGENT} --file {paths.AGENT}", timeout=600)
    lab.say(said.strip().replace("\n", "\n     "))
    lines = said.splitlines()
    check(re.fullmatch(r"vm1: Debian GNU/Linux .*, x86_64", lines[0]), f"vm agent says of the guest: {lines[0]!r}")
    check(f"written and read back: {PROGRAM} (usbroute-agent " in lines[1] and lines[1].endswith(UNIT), f"vm agent says what it wrote: {lines[1]!r}")
    check("vm1: usbroute-agent.service is enabled and runs" in lines, f"vm agent says: {said!r}")
    check(lines[-1] == "vm1: usbrouted hears it", f"vm agent ends with {lines[-1]!r}")
    have = guest.text(f"sha256sum {PROGRAM}").split()[0]
    check(have == hashlib.sha256(paths.AGENT.read_bytes()).hexdigest(), "the agent in the guest is another one")
    guest.run("systemctl is-enabled -q usbroute-agent && systemctl is-active -q usbroute-agent", check=True)
    guest.run(f"[ \"$(readlink /proc/$(systemctl show -P MainPID usbroute-agent)/exe)\" = {PROGRAM} ]", check=True)
    guest.run("[ ! -e /run/usbroute-agent.new ]", check=True)
    return said.split("vm1: to undo it, as root in the guest: ")[1].splitlines()[0]


@scenario("agent-into-a-systemd-guest", quick=False, seconds=2400, machines=("amd64",))
def agent_into_a_systemd_guest(lab):
    lab.vm1.kill()
    guest = systemd_guest.systemd_guest(lab.board, "vm1")
    try:
        _up(lab, guest)
        check(guest.run(f"command -v usbip usbroute-agent || [ -e {UNIT} ]").rc != 0, "usbip or an agent is in the guest")
        undo = _put_in(lab, guest)
        events = lab.events(guest)
        reply = lab.daemon.json("attach keyboard vm1 --wait 60", timeout=90)
        check("usbip attach" not in reply["message"], f"attach says what to type: {reply}")
        events.wait_keyboard()
        lab.key(events)
        lab.say(f"the keyboard came in {reply['milliseconds']} ms")

        # Once more: a newer one takes the place of an older one, and takes nothing from the guest.
        at = len(events.seen)
        check(_put_in(lab, guest) == undo, "the second time it is undone in another way")
        lab.key(events, "b")
        check(not [line for line in events.seen[at:] if line.startswith("device")], f"the keyboard was away: {events.seen[at:]}")

        # The guest starts anew: its unit is there, and so is its keyboard.
        guest.run("sync", check=True)
        guest.kill()
        lab.daemon.wait_device("keyboard", wanted="vm1", state=lambda state: state != "attached")
        _up(lab, guest)
        events = lab.events(guest)
        lab.daemon.wait_device("keyboard", state="attached", actual="vm1", timeout=180)
        # It came before the watching began, or comes now.
        if not any(line.startswith("device") for line in events.seen):
            events.wait_keyboard()
        lab.key(events)
        lab.daemon.ctl_ok("detach keyboard")
        events.wait(["device", "*", "remove"])

        # Taken out by the line that it said.
        guest.run(undo, check=True)
        for _ in range(600):
            if not agent_of(lab, guest)["agent"]:
                break
        check(not agent_of(lab, guest)["agent"], "usbrouted still hears an agent after the undo")
        left = guest.run(f"ls -d {PROGRAM} {UNIT} /etc/systemd/system/*/usbroute-agent.service; systemctl cat usbroute-agent").out.decode()
        check(not left, f"left in the guest after the undo: {left}")
        check(not guest.text("systemctl list-units --failed --plain --no-legend"), "units of the guest failed")
    finally:
        guest.kill()
        Guest(lab.board, "vm1")
        lab.board.run(f"rm -rf {systemd_guest.FOLDER}")
