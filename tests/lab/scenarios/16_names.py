"""A name is what people mean: what was said by a name follows the device that bears it, to whichever port, whatever its
serial number does there. No scenario here hangs on which port or serial the emulation gives."""

from lab.daemon import DEFAULT_CONFIG
from lab.scenario import check, scenario

# None at all; the emulation's own, which contains the port; one that lasts.
SERIALS = {"no serial": {"serial": ""}, "a serial with the port": {}, "a serial": {"serial": "LAB-KEYS-1"}}
GROUP = "[group desk]\ndevices = keyboard mouse\n"
AUTO = "allow alias=keyboard to vm2 attach=auto\n"
# Where another device could have it, the name waits so long for the one that had it.
TAKEN_OVER_SECONDS = 90


def replace(lab, serial):
    """The keyboard with another serial number in a port of its own; it is listed, and its port."""
    if lab.board.has("keyboard"):
        lab.board.unplug("keyboard")
    lab.daemon.wait_gone("keyboard")
    lab.board.plug("keyboard", **serial)
    return lab.daemon.wait_device("keyboard", state="present", actual="host")["busid"]


def moved(lab, **fields):
    """The keyboard in another port; where it stands then."""
    before = lab.daemon.find("keyboard")["busid"]
    lab.board.move("keyboard")
    return lab.daemon.wait_device("keyboard", busid=lambda busid: busid != before, **fields)


def usual_keyboard(lab):
    """As the next scenario expects it."""
    lab.daemon.ctl("unassign keyboard")
    lab.board.unplug("keyboard")
    lab.board.plug("keyboard")


def in_each_way(lab, name, serial):
    """By a command, an assignment, a group and a rule, each time in another port."""
    ctl = lab.daemon
    replace(lab, serial)
    have = ctl.find("keyboard")
    check(bool(have["serial"]) == (serial != {"serial": ""}), f"{name}: the serial is {have['serial']!r}")
    ctl.ctl_ok("attach keyboard vm2")
    ctl.wait_device("keyboard", actual="vm2", state="exported")
    after = moved(lab, wanted="vm2", wanted_by="command", actual="vm2", state="exported")
    check(after["wish_on"] == "the name keyboard", f"{name}: the wish hangs on {after['wish_on']!r}")
    ctl.ctl_ok("assign keyboard vm1")
    moved(lab, wanted="vm1", wanted_by="assignment", actual="vm1", state="exported")
    ctl.ctl_ok("unassign keyboard")
    ctl.ctl_ok("attach desk vm1")
    moved(lab, wanted="vm1", wanted_by="command", actual="vm1", state="exported")
    ctl.ctl_ok("release desk")
    lab.settings(DEFAULT_CONFIG + GROUP, AUTO)
    moved(lab, wanted="vm2", wanted_by="rule", actual="vm2", state="exported")
    lab.settings(DEFAULT_CONFIG + GROUP)
    ctl.wait_device("keyboard", wanted="host", actual="host", state="present")


@scenario("moved-by-name", seconds=900)
def moved_by_name(lab):
    """The one that people have: a keyboard without a serial number, plugged into another port."""
    try:
        lab.settings(DEFAULT_CONFIG + GROUP)
        in_each_way(lab, "no serial", SERIALS["no serial"])
    finally:
        usual_keyboard(lab)


@scenario("moved-by-name-with-serials", quick=False, seconds=1800)
def moved_with_serials(lab):
    try:
        lab.settings(DEFAULT_CONFIG + GROUP)
        for name, serial in SERIALS.items():
            in_each_way(lab, name, serial)
        # Another keyboard of the same kind in its place, with another serial, in another port.
        lab.daemon.ctl_ok("assign keyboard vm1")
        lab.board.move("keyboard", serial="LAB-KEYS-2")
        lab.daemon.wait_device("keyboard", serial="LAB-KEYS-2", wanted="vm1", actual="vm1", state="exported")
    finally:
        usual_keyboard(lab)


@scenario("moved-while-off", quick=False, seconds=1800)
def moved_while_off(lab):
    """While the daemon is stopped; while the host has no power, when the guests are down too; and a reservation."""
    ctl = lab.daemon
    try:
        for name in ("no serial", "a serial with the port"):
            replace(lab, SERIALS[name])
            ctl.ctl_ok("reserve keyboard")
            ctl.ctl_ok("assign keyboard vm1")
            before = ctl.wait_device("keyboard", actual="vm1", state="exported")["busid"]
            ctl.stop()
            lab.board.move("keyboard")
            ctl.start()
            after = ctl.wait_device("keyboard", wanted="vm1", actual="vm1", state="exported", reserved=True)
            check(after["busid"] != before, f"{name}: the keyboard is still in {before}")
            lab.board.move("keyboard")
            lab.reboot()
            ctl = lab.daemon
            ctl.wait_device("keyboard", wanted="vm1", wanted_by="assignment", actual="vm1", state="exported",
                            reserved=True)
            ctl.ctl_ok("reserve keyboard --off")
            ctl.ctl_ok("unassign keyboard")
            ctl.wait_device("keyboard", wanted="host", actual="host", state="present")
    finally:
        lab.daemon.ctl("reserve keyboard --off")
        usual_keyboard(lab)


def _in_port(lab, busid):
    return next((one for one in lab.daemon.json("list")["devices"] if one["busid"] == busid), None)


def twin(lab, before, **serial):
    """A second keyboard; where it is listed."""
    lab.board.plug("second", "keyboard", **serial)
    return ambiguous(lab, before)["busid"]


def ambiguous(lab, before):
    """The keyboard that does not bear the name, and is in none of these ports."""
    device = None
    for _ in range(600):
        found = [one for one in lab.daemon.json("list")["devices"]
                 if one["id"] == "0627:0001" and one["busid"] not in before]
        device = found[0] if found else None
        if device and device["state"] == "ambiguous":
            break
    check(device and device["state"] == "ambiguous" and device["alias"] is None and device["actual"] == "host",
          f"the second keyboard is {device}")
    return device


def twins_of(lab, serials):
    ctl = lab.daemon
    first = replace(lab, serials[0])
    ctl.ctl_ok("assign keyboard vm1")
    ctl.wait_device("keyboard", actual="vm1", state="exported")
    second = twin(lab, {first}, **serials[1])
    reason = _in_port(lab, second)["reason"]
    check(f"port {first}" in reason and f"alias port={second}" in reason, f"why it is ambiguous: {reason}")
    said = ctl.ctl_ok("status")
    check(second in said and "ambiguous" in said, f"status does not warn of it: {said}")
    # What is said by the name, or by rules about it, reaches the one that has it.
    lab.settings(DEFAULT_CONFIG, "deny alias=keyboard to vm2\n")
    for words in (f"attach port={second} vm2", "attach keyboard vm2"):
        rc, out, err = ctl.ctl(words)
        check(rc == 5 and b"deny alias=keyboard" in err, f"`{words}`: {rc}, {(out + err).decode()}")
    lab.settings(DEFAULT_CONFIG)
    # Each of them moves.
    lab.board.move("second")
    second = ambiguous(lab, {first, second})["busid"]
    check(ctl.find("keyboard")["busid"] == first, "the name went to the other one")
    first = moved(lab, wanted="vm1", actual="vm1", state="exported")["busid"]
    check(_in_port(lab, second)["state"] == "ambiguous", "the other one is not ambiguous any more")
    # Over the daemon's and the host's restart.
    for again in (ctl.restart, lab.reboot):
        again()
        ctl = lab.daemon
        have = ctl.wait_device("keyboard", wanted="vm1", actual="vm1", state="exported")
        if again == lab.reboot:
            # A controller numbers its buses anew at each boot.
            check(have["stable_port"].rpartition(":")[2] == first.partition("-")[2],
                  f"the keyboard was in {first}, and is in {have['stable_port']}")
        else:
            check(have["busid"] == first, f"the keyboard was in {first}, and is in {have['busid']}")
    first = have["busid"]
    second = ambiguous(lab, {first})["busid"]
    # The one that had it goes for good: the other one is the keyboard, and stays it.
    lab.board.unplug("keyboard")
    ctl.wait_device("keyboard", timeout=TAKEN_OVER_SECONDS, busid=second, wanted="vm1", actual="vm1",
                    state="exported")
    lab.board.plug("keyboard", **serials[0])
    ambiguous(lab, {second})
    ctl.ctl_ok("unassign keyboard")
    ctl.wait_device("keyboard", busid=second, wanted="host", actual="host", state="present")
    lab.board.unplug("second")
    lab.board.unplug("keyboard")
    ctl.wait_gone("keyboard")


@scenario("twins-by-name", quick=False, seconds=3600)
def twins_by_name(lab):
    try:
        twins_of(lab, [{"serial": ""}, {"serial": ""}])
        twins_of(lab, [{"serial": "LAB-KEYS-1"}, {"serial": "LAB-KEYS-2"}])
    finally:
        lab.daemon.ctl("unassign keyboard")
        if lab.board.has("keyboard"):
            lab.board.unplug("keyboard")
        lab.board.plug("keyboard")


@scenario("moved-by-a-name-given", quick=False, seconds=900)
def moved_by_given_name(lab):
    """A mouse without a serial number that no section names, but `usbroutectl alias`."""
    ctl = lab.daemon
    section = '[device mouse]\nmatch = id=0627:0001 product="QEMU USB Mouse"\n'
    lab.settings(DEFAULT_CONFIG.replace(section, ""))
    before = {one["busid"] for one in ctl.json("list")["devices"]}
    lab.board.plug("mouse", serial="")
    found = []
    for _ in range(600):
        found = [one for one in ctl.json("list")["devices"] if one["busid"] not in before]
        if found and found[0]["state"] == "present":
            break
    check(len(found) == 1, f"the mouse is listed as {found}")
    ctl.ctl_ok("alias 'product=QEMU USB Mouse' pointer")
    try:
        ctl.ctl_ok("assign pointer vm1")
        at = ctl.wait_device("pointer", actual="vm1", state="exported")["busid"]
        lab.board.move("mouse")
        now = ctl.wait_device("pointer", wanted="vm1", actual="vm1", state="exported",
                              busid=lambda busid: busid != at)["busid"]
        ctl.stop()
        lab.board.move("mouse")
        ctl.start()
        ctl.wait_device("pointer", wanted="vm1", actual="vm1", state="exported", busid=lambda busid: busid != now)
    finally:
        ctl.ctl("unassign pointer")
        ctl.ctl("alias pointer none")
