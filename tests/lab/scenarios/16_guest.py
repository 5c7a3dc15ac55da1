"""What a guest does by itself: it sleeps, it detaches a device, it changes its card's address, it has the daemon's."""

import re

from lab import LabTimeout, paths
from lab.agent import agent_in, agent_of, local_devices
from lab.daemon import ADDRESS, DEFAULT_CONFIG
from lab.scenario import check, scenario

HOOK = "/tmp/usbroute-agent-sleep"
GIVES_BACK = "let go in the guest; `usbroutectl attach keyboard vm1` gives it back"


def agent_log(guest):
    return guest.text("cat /tmp/agent.log")


def suspend(guest):
    """Through the kernel's whole way down to its devices and up again, where it stays (pm_test): its exit status."""
    guest.run("echo 1 > /sys/module/suspend/parameters/pm_test_delay; echo devices > /sys/power/pm_test", check=True)
    return guest.run("echo mem > /sys/power/state", timeout=180).rc


def hooks(guest):
    text = (paths.REPO / "configs/sleep/usbroute-agent-sleep").read_bytes()
    guest.run(f"cat > {HOOK} && chmod +x {HOOK}", stdin=text, check=True)


def in_vm1(lab):
    """The keyboard in vm1 by its agent; its events there."""
    agent_in(lab, lab.vm1)
    events = lab.events(lab.vm1)
    lab.daemon.ctl_ok("attach keyboard vm1 --wait 60", timeout=120)
    events.wait_keyboard()
    return events


def back(lab, events):
    events.wait_keyboard()
    lab.daemon.wait_device("keyboard", state="attached", actual="vm1")
    lab.settle(events)
    lab.key(events)


@scenario("guest-sleeps", quick=False)
def guest_sleeps(lab):
    """The kernel refuses to sleep with the keyboard; with the hook it sleeps, and the keyboard is back."""
    events = in_vm1(lab)
    hooks(lab.vm1)
    check(suspend(lab.vm1) != 0, "the guest's kernel sleeps with a device attached: nothing would have to be let go of")
    check("Do not suspend" in lab.vm1.dmesg(), "it is not vhci-hcd that refused")
    # The card may have gone down and up meanwhile, and the keyboard with it.
    lab.vm1.wait_carrier()
    lab.daemon.ctl_ok("attach keyboard vm1 --wait 60", timeout=120)
    lab.settle(events)
    _asleep_and_awake(lab, events)
    for _ in range(2):
        lab.vm1.run(f"{HOOK} pre", check=True)
        rc = suspend(lab.vm1)
        lab.vm1.run(f"{HOOK} post", check=True)
        check(rc == 0, f"the guest can't sleep: {rc}\n{lab.vm1.dmesg()[-3000:]}\n{agent_log(lab.vm1)}")
        events.wait(["device", "*", "remove"])
        back(lab, events)
    check(not agent_of(lab, lab.vm1)["asleep"], "vm1 is said to be asleep yet")
    check(lab.daemon.find("keyboard")["wanted"] == "vm1", "the wish was changed")
    said = agent_log(lab.vm1)
    check("FAILED" not in said and "does not answer" not in said, f"the agent said: {said}")


def _asleep_and_awake(lab, events):
    """What is told while it sleeps; and a sleep that does not come."""
    lab.vm1.run(f"{HOOK} pre", check=True)
    events.wait(["device", "*", "remove"])
    check(not local_devices(lab.vm1), f"let go of, vm1 has {local_devices(lab.vm1)}")
    check(agent_of(lab, lab.vm1)["asleep"], f"vms: {agent_of(lab, lab.vm1)}")
    table = lab.daemon.ctl_ok("vms")
    check(re.search(r"^vm1 .*asleep", table, re.M), f"vms says: {table}")
    device = lab.daemon.wait_device("keyboard", state="exported", actual="vm1", wanted="vm1")
    check(device["reason"] == "vm1 is asleep; it takes it back when it is awake", f"list says: {device}")
    lab.vm1.run(f"{HOOK} post", check=True)
    back(lab, events)


@scenario("guest-sleeps-while-attaching", quick=False)
def guest_sleeps_while_attaching(lab):
    """A command comes while the guest sleeps, and just before: the device comes when it is awake."""
    agent_in(lab, lab.vm1)
    hooks(lab.vm1)
    events = lab.events(lab.vm1)
    lab.vm1.run(f"{HOOK} pre", check=True)
    result = lab.daemon.ctl("attach keyboard vm1 --wait 2", timeout=60)
    check(result.rc == 7, f"attach to a guest that sleeps: {result}")
    check(not local_devices(lab.vm1), f"asleep, vm1 has {local_devices(lab.vm1)}")
    check(suspend(lab.vm1) == 0, "the guest can't sleep")
    lab.vm1.run(f"{HOOK} post", check=True)
    back(lab, events)
    lab.daemon.ctl_ok("detach keyboard")
    events.wait(["device", "*", "remove"])
    lab.daemon.ctl_ok("attach keyboard vm1 --no-wait")
    lab.vm1.run(f"{HOOK} pre", check=True)
    check(suspend(lab.vm1) == 0, f"the guest can't sleep\n{agent_log(lab.vm1)}")
    lab.vm1.run(f"{HOOK} post", check=True)
    back(lab, events)


@scenario("guest-detaches", quick=False)
def guest_detaches(lab):
    """`usbip detach` in a guest with an agent: let go of until the next command, or until the guest is started anew."""
    events = in_vm1(lab)
    for typed in ("usbip detach -p 0", "echo 0 > /sys/devices/platform/vhci_hcd.0/detach"):
        lab.vm1.run(typed, check=True)
        events.wait(["device", "*", "remove"])
        device = lab.daemon.wait_device("keyboard", state="exported", reason=GIVES_BACK)
        check(device["wanted"] == "vm1" and device["actual"] == "vm1", f"list says: {device}")
        check(GIVES_BACK in lab.daemon.ctl_ok("show keyboard"), "show does not say how to get it back")
        check(GIVES_BACK in lab.daemon.ctl_ok("why keyboard"), "why does not say what was decided")
        # News of anything does not bring it back.
        lab.vm1.run("ip link set eth0 down; ip link set eth0 up", check=True)
        _stays_away(lab, lab.vm1)
        said = lab.daemon.ctl_ok("attach keyboard vm1 --wait 60", timeout=120)
        check("keyboard: given to vm1 again in " in said, f"attach says: {said}")
        back(lab, events)
    # By hand again, too; and that is known.
    lab.vm1.run("usbip detach -p 0", check=True)
    events.wait(["device", "*", "remove"])
    lab.daemon.wait_device("keyboard", state="exported", reason=GIVES_BACK)
    lab.importing(lab.vm1)
    back(lab, events)
    check("already" in lab.daemon.ctl_ok("attach keyboard vm1 --wait 60", timeout=120), "it is not known")
    # Over the daemon's restart; and not over the guest's.
    lab.vm1.run("usbip detach -p 0", check=True)
    lab.daemon.wait_device("keyboard", state="exported", reason=GIVES_BACK)
    lab.daemon.restart()
    lab.daemon.wait_device("keyboard", state="exported", reason=GIVES_BACK)
    _stays_away(lab, lab.vm1)
    lab.vm1.kill()
    lab.guests_up()
    events = lab.events(lab.vm1)
    agent_in(lab, lab.vm1)
    back(lab, events)


def _stays_away(lab, guest):
    """The agent has heard all that there is, and imports nothing."""
    guest.wait_carrier()
    for _ in range(50):
        if agent_of(lab, guest)["agent"]:
            break
    device = lab.daemon.find("keyboard")
    check(device["state"] == "exported" and not local_devices(guest), f"it came back: {device}, {local_devices(guest)}")


@scenario("guest-dead-connection", quick=False)
def guest_dead_connection(lab):
    """What ends by itself is taken back: nobody has let go of it."""
    events = in_vm1(lab)
    lab.daemon.stop()
    lab.daemon.start()
    events.wait(["device", "*", "remove"])
    back(lab, events)


def macs(lab, guest):
    return agent_of(lab, guest)["mac"]


def change_mac(guest, mac):
    guest.run(f"ip link set eth0 down; ip link set eth0 address {mac}; ip link set eth0 up; "
              f"ip addr add {guest.address}/24 dev eth0 2>/dev/null; true", check=True)
    guest.wait_ping(ADDRESS)


def _of_guests(lab):
    """The warnings of status that speak of a guest; other scenarios' wishes may be spoken of, too."""
    return [text for text in lab.daemon.json("status")["warnings"] if text.startswith(("vm1:", "vm2:"))]


@scenario("guest-changes-mac", quick=False)
def guest_changes_mac(lab):
    new, old = "02:00:00:00:77:99", lab.vm2.mac
    check(lab.vm2.ping(lab.vm1.address, 2) == 2, "vm2 does not reach vm1")
    change_mac(lab.vm2, new)
    lab.vm2.wait_ping(lab.vm1.address)
    check(macs(lab, lab.vm2) == new, f"vms says that vm2 has {macs(lab, lab.vm2)}")
    check(not _of_guests(lab), f"{lab.daemon.json('status')}")
    # Another one's: it reaches the daemon, nobody else, and that is said.
    change_mac(lab.vm2, lab.vm1.mac)
    _confined(lab)
    # Also while the other one is down.
    lab.vm1.kill()
    while agent_of(lab, lab.vm1)["connected"]:
        pass
    change_mac(lab.vm2, lab.vm1.mac)
    _warned(lab)
    lab.guests_up()
    _confined(lab)
    check(lab.vm1.ping(ADDRESS, 2) == 2, "vm1 has lost the daemon to vm2")
    change_mac(lab.vm2, old)
    lab.vm2.wait_ping(lab.vm1.address)
    check(macs(lab, lab.vm2) == old, f"vms says that vm2 has {macs(lab, lab.vm2)}")
    check(not _of_guests(lab), f"{lab.daemon.json('status')}")


def _warned(lab):
    words = f"vm2: its guest sends from {lab.vm1.mac}, which is the card of vm1"
    for said in (lab.daemon.ctl_ok("vms"), lab.daemon.ctl_ok("status")):
        check(words in said, f"`{words}` is not said: {said}")
    check(agent_of(lab, lab.vm2)["warnings"], f"vms --json: {agent_of(lab, lab.vm2)}")
    log = lab.board.logs.file("usbrouted.log").read_text(errors="replace")
    check(words in log, f"the log does not say `{words}`")


def _confined(lab):
    _warned(lab)
    lab.vm2.run("ip neigh flush dev eth0")
    check(lab.vm2.ping(lab.vm1.address, 2, 3) == 0, "with vm1's address, vm2 reaches vm1")
    check(lab.vm2.ping(ADDRESS, 2) == 2, "with vm1's address, vm2 has lost the daemon")
    lab.importing(lab.vm2, f"usbip list -r {ADDRESS}")


@scenario("guest-with-configured-mac", quick=False)
def guest_with_configured_mac(lab):
    """`mac =` and a guest with another one: it reaches the daemon, and the mistake is told."""
    lab.settings(DEFAULT_CONFIG.replace("[vm vm1]\n", "[vm vm1]\nmac = 52:54:00:77:00:99\n"))
    lab.vm1.wait_ping(ADDRESS)
    said = lab.daemon.ctl_ok("status")
    check(f"vm1: its guest sends from {lab.vm1.mac}, and [vm vm1] says mac = 52:54:00:77:00:99" in said, f"status: {said}")
    check(lab.vm1.ping(lab.vm2.address, 2, 3) == 0, "vm1 reaches vm2 with a card that is not its")


@scenario("guest-has-daemons-address", quick=False)
def guest_has_daemons_address(lab):
    """A stock guest whose own network has 10.77.0.1: the line that attach tells to type works all the same."""
    lab.vm1.run(f"ip addr add {ADDRESS}/32 dev lo", check=True)
    try:
        # The first device that is given to it makes the daemon ask.
        line = lab.route("keyboard", lab.vm1)
        for _ in range(100):
            if agent_of(lab, lab.vm1)["warnings"]:
                break
        else:
            raise LabTimeout("the daemon has not seen that vm1 has its address")
        line = lab.route("keyboard", lab.vm1)
        check(f"-r fe80::1%$(grep -l {lab.vm1.mac} " in line, f"attach says: {line}")
        said = lab.daemon.ctl_ok("status")
        check(f"vm1: its guest has usbrouted's address {ADDRESS} itself" in said, f"status: {said}")
        events = lab.events(lab.vm1)
        lab.importing(lab.vm1, line)
        events.wait_keyboard()
        lab.key(events)
        shown = lab.vm1.text("usbip port 2>&1")
        check("fe80::1%eth0" in shown, f"`usbip port` in vm1 says: {shown}")
        check(not agent_of(lab, lab.vm2)["warnings"], "vm2 is said to have the daemon's address too")
    finally:
        lab.vm1.run(f"ip addr del {ADDRESS}/32 dev lo")
    # A guest that reaches the daemon by the address has it no longer.
    lab.vm1.wait_ping(ADDRESS)
    check(not agent_of(lab, lab.vm1)["warnings"], "vm1 is still said to have the daemon's address")
