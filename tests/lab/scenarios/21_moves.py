"""A guest that is saved, restored, and moved to another QEMU, with a keyboard and with a disk that is being read."""

from lab.agent import agent_in, wait_agent
from lab.daemon import ADDRESS
from lab.guest import Guest
from lab.scenario import check, scenario
from lab.watched import AGAIN, Watched

SAVED = "/run/lab/vm1.saved"
LINK = "/run/lab/vm1.moves"


def _watched(lab):
    events = lab.keyboard_in(lab.vm1)
    lab.key(events)
    events.close()
    return Watched(lab, lab.vm1, disk=True)


def _second(lab, folder, log):
    """Another QEMU, with vm1's card, that waits for vm1."""
    first = lab.board.guests["vm1"]
    there = Guest(lab.board, "vm1", folder=folder)
    lab.board.guests["vm1"] = first
    try:
        lab.board.run(f"rm -f {LINK}")
        there.start(incoming=f"unix:{LINK}")
        lab.daemon.wait_log("a second virtual machine has connected", log)
        lab.board.wait(f"[ -S {LINK} ]", what="the second QEMU, ready for the guest")
    except Exception:
        there.kill()
        raise
    return there


def _gone_and_back(lab, uri):
    """Its QEMU ends, and another one takes it from there."""
    lab.vm1.stop()
    lab.vm1.start(incoming=uri)
    lab.vm1.wait_up()


@scenario("guest-paused-by-qemu", quick=False)
def paused(lab):
    """`virsh suspend`: QEMU stops the card with its guest; connections go on, and the kernel says nothing."""
    watched = _watched(lab)
    for _ in range(3):
        watched.reads()
        watched.pauses(seconds=2)
    watched.saw_nothing()


@scenario("guest-without-a-link", quick=False)
def without_a_link(lab):
    """QEMU takes its card's link down, as if the cable had been pulled out, and up."""
    watched = _watched(lab)
    for _ in range(2):
        watched.reads()
        for up in False, True:
            lab.vm1.monitor.call("set_link", name="net", up=up)
            lab.vm1.wait(f"[ $(cat /sys/class/net/eth0/carrier) = {int(up)} ]", what=f"a link that is {'up' if up else 'down'}")
            if not up:
                lab.daemon.wait_device("keyboard", state="claimed")
        lab.say(f"its link was taken; without its card for {watched.away()} ms")
        watched.key()
    watched.saw_nothing()


@scenario("guest-saved", quick=False)
def saved(lab):
    """Saved to a file, its QEMU ends, and restored by another one: TCP goes on, and the kernel says nothing."""
    watched = _watched(lab)
    watched.reads()
    lab.vm1.migrate(f"exec:cat > {SAVED}")
    lab.daemon.wait_device("keyboard", state="claimed")
    _gone_and_back(lab, f"exec:cat {SAVED}")
    lab.say(f"saved and restored; without its card for {watched.away()} ms")
    watched.saw_nothing()
    lab.board.run(f"rm {SAVED}")


@scenario("guest-saved-with-packed-rings", quick=False)
def saved_packed(lab):
    """Its card has packed rings, whose position is told in another form; paused, then saved and restored."""
    lab.vm1.stop()
    Guest(lab.board, "vm1", extra=("-global", "virtio-net-pci.packed=on"))
    try:
        lab.guests_up()
        check(lab.vm1.text("cut -c35 /sys/class/net/eth0/device/features") == "1", "vm1's card has no packed rings")
        watched = _watched(lab)
        watched.reads()
        watched.pauses()
        watched.reads()
        lab.vm1.migrate(f"exec:cat > {SAVED}")
        _gone_and_back(lab, f"exec:cat {SAVED}")
        lab.say(f"saved and restored; without its card for {watched.away()} ms")
        watched.saw_nothing()
        lab.board.run(f"rm {SAVED}")
    finally:
        lab.vm1.stop()
        Guest(lab.board, "vm1")


@scenario("guest-moves", quick=False)
def moves(lab):
    """Live migration between two QEMUs on this host, there and back; before that one that comes to nothing."""
    watched = _watched(lab)
    for _ in range(2):
        log = len(lab.daemon.log())
        _second(lab, "vm1-dies", log).kill()
        lab.daemon.wait_log("vm1: its virtual machine has disconnected", log)
    watched.key()
    # Its driver will announce it there: feature 21 is agreed on.
    check(lab.vm1.text("cut -c22 /sys/class/net/eth0/device/features") == "1", "vm1's card has no GUEST_ANNOUNCE")
    here = lab.vm1
    for way in ("there", "back"):
        watched.reads()
        there = _second(lab, f"vm1-{way}", watched.log)
        try:
            watched.key()
            stood = here.migrate(f"unix:{LINK}")
            lab.board.guests["vm1"] = watched.guest = there
            there.wait_up()
            lab.say(f"moved {way}; it stood still for {stood} ms, without its card for {watched.away()} ms")
            watched.key()
        except Exception:
            there.kill()
            raise
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
    lab.daemon.wait_log(AGAIN.format("vm1"), log)
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
