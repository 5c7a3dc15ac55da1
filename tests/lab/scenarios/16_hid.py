"""A keyboard is what its reports say: report descriptors read as the board's kernel reads them, and keyboards without a boot
protocol treated as keyboards."""

from lab import paths
from lab.gadget import Hid
from lab.scenario import KEYS, check, scenario

HIDPAIR = paths.BUILD / "tests" / "uhid" / "hidpair"
DESCRIPTORS = paths.REPO / "tests" / "uhid" / "descriptors"


def _pair(lab, seed, mutants, timeout):
    # Drivers that other scenarios have had loaded want some of the devices, and treat them in ways of their own.
    special = "/sys/module/hid/parameters/ignore_special_drivers"
    lab.board.run(f"modprobe uhid && modprobe hid-generic && echo 1 > {special}", check=True)
    # Nobody needs to hear of the devices.
    lab.board.run("udevadm control --stop-exec-queue", check=True)
    try:
        result = lab.board.run(f"{HIDPAIR} {seed} {mutants} {DESCRIPTORS}", timeout=timeout)
    finally:
        # A new udevd knows nothing of what waits in the old one's queue: after a long run that is ten thousand events and more,
        # and the next scenario's devices would wait behind them.
        lab.board.run(f"echo 0 > {special}; udevadm control --exit && /lib/systemd/systemd-udevd --daemon && udevadm settle",
                      check=True, timeout=600)
    lines = result.out.decode().splitlines()
    for line in lines[:40]:
        lab.say(line)
    check(result.rc == 0, f"hidpair ended with {result.rc}: {result.err.decode()}")


@scenario("hid-as-linux")
def as_linux(lab):
    """The recorded descriptors as they are; the long run has mutants of them."""
    _pair(lab, 1, 0, 600)


@scenario("hid-as-linux-long", quick=False, seconds=3600)
def as_linux_long(lab):
    _pair(lab, 2, 10, 3000)


# Left Ctrl, right Ctrl, Esc, as a boot keyboard's report has them; and none.
CHORD = [bytes([1, 0, 0, 0, 0, 0, 0, 0]), bytes([0x11, 0, 0, 0, 0, 0, 0, 0]), bytes([0x11, 0, 0x29, 0, 0, 0, 0, 0]), bytes(8)]
PRESS_A = [bytes([0, 0, 4, 0, 0, 0, 0, 0]), bytes(8)]


def _type(lab, reports):
    lab.board.run("dd of=/dev/hidg0 bs=8 2>/dev/null", stdin=b"".join(reports), check=True, timeout=180)


def _plain_keyboard(lab):
    """A keyboard whose interface is 03/00/00."""
    return lab.gadget("typist", [Hid(subclass=0, protocol=0)])


def _classes(lab, device, *wanted):
    have = lab.daemon.json(f"show {device}")["device"]["classes"]
    check(have == list(wanted), f"{device} has the classes {have}")


def _says(lab, words, text):
    said = lab.daemon.ctl_ok(words)
    check(text in said, f"`usbroutectl {words}` does not say {text!r}: {said}")


@scenario("hid-without-boot-protocol")
def without_boot_protocol(lab):
    """Panic brings home the keyboard that it is struck on, and a tablet, of which no interface says what it is."""
    on_board, events = lab.events(lab.board), lab.events(lab.vm1)
    keyboard = _plain_keyboard(lab)
    _classes(lab, "gadget", "hid", "hid.keyboard")
    _says(lab, "show gadget", "hid.keyboard: from the report descriptor of interface 0")
    _says(lab, "why gadget", "hid.keyboard: from the report descriptor of interface 0")
    lab.board.plug("tablet")
    lab.daemon.wait_device("tablet", state="present", actual="host")
    for device in ("gadget", "tablet"):
        lab.importing(lab.vm1, lab.route(device, lab.vm1))
        lab.daemon.wait_device(device, state="attached", actual="vm1")
        events.wait_keyboard()
    _classes(lab, "tablet", "hid", "hid.mouse")
    _type(lab, PRESS_A)
    events.wait(["key", "*", KEYS["a"], 1])
    # What a claimed device is, is found again by a daemon that has never seen it with the host.
    lab.daemon.restart()
    lab.daemon.wait_device("gadget", state="exported", actual="vm1")
    lab.importing(lab.vm1, lab.route("gadget", lab.vm1))
    lab.daemon.wait_device("gadget", state="attached", actual="vm1")
    _classes(lab, "gadget", "hid", "hid.keyboard")
    events.wait_keyboard()
    _type(lab, CHORD)
    lab.daemon.wait_log(r"hot key panic on gadget")
    for device in ("gadget", "tablet"):
        lab.daemon.wait_device(device, wanted="host", actual="host", state="present")
    lab.board.wait(f"ls -d /sys/bus/usb/devices/{keyboard.busid}:*/0003:*/input/input*", what="the board to have the keyboard")
    # As Events.wait_keyboard(): asking for a probe waits for the running one.
    lab.board.run("for d in /sys/bus/hid/devices/*; do echo ${d##*/} > /sys/bus/hid/drivers_probe; done")
    lab.settle(on_board)
    _type(lab, PRESS_A)
    on_board.wait(["key", "*", KEYS["a"], 1])


@scenario("hid-denied")
def denied(lab):
    """A rule about keyboards holds for one that only shows what it is when it is claimed."""
    lab.settings(rules="deny class=hid.keyboard to vm1\n")
    keyboard = _plain_keyboard(lab)
    rc, out, err = lab.daemon.ctl("attach gadget vm1")
    check(rc == 5 and b"deny class=hid.keyboard" in err, f"attach ended with {rc}: {out + err}")
    keyboard.unplug()
    # No driver of the host has it: nobody knows what it is.
    lab.board.run("echo 0 > /sys/bus/usb/drivers_autoprobe", check=True)
    try:
        keyboard.plug()
        lab.board.run(f"echo {keyboard.busid} > /sys/bus/usb/drivers/usb/bind", check=True)
        lab.daemon.wait_device("gadget", state="present", actual="host", classes=["hid"])
    finally:
        lab.board.run("echo 1 > /sys/bus/usb/drivers_autoprobe", check=True)
    rc, out, err = lab.daemon.ctl("attach gadget vm1")
    check(rc == 5 and b"deny class=hid.keyboard" in err, f"attach ended with {rc}: {out + err}")
    lab.daemon.wait_device("gadget", state="present", actual="host", wanted="host")
    _classes(lab, "gadget", "hid", "hid.keyboard")
    listed = lab.vm1.text("usbip list -r 10.77.0.1 2>&1 || true")
    check("gadget" not in listed and keyboard.busid not in listed, f"vm1 is shown it: {listed}")
    lab.importing(lab.vm2, lab.route("gadget", lab.vm2))
    lab.daemon.wait_device("gadget", state="attached", actual="vm2")
