"""What is plugged out, restarted or killed, comes back."""

from lab.daemon import ADDRESS
from lab.scenario import check, scenario

LINE = f"usbip attach -r {ADDRESS} -b keyboard"


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
    """The daemon is killed and started under a guest that has the keyboard: the guest sees nothing of it."""
    events = lab.keyboard_in(lab.vm1)
    lab.key(events)
    on_board = lab.events(lab.board)
    at, had, since = len(events.seen), len(on_board.seen), lab.vm1.text("dmesg | wc -l")
    for _ in range(times):
        lab.daemon.kill()
        lab.key(events)
        lab.daemon.start()
        lab.daemon.wait_device("keyboard", wanted="vm1", wanted_by="command", state="attached")
        lab.key(events, "b")
    lab.settle(on_board)
    check(on_board.seen[had:] == [], f"the board's own driver had the keyboard meanwhile: {on_board.seen[had:]}")
    said = lab.vm1.text(f"dmesg | tail -n +$(({since} + 1))")
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
