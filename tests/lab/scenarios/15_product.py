"""Routing as people use it: each line of what attach may answer, groups, names, rules, reservations, undo, and the
times that it takes. vm1 has no agent here unless a scenario starts one."""

import json

from lab import LabTimeout
from lab.agent import agent_in, local_devices
from lab.daemon import ADDRESS, DEFAULT_CONFIG, RULES
from lab.scenario import check, scenario

WAIT = "--wait 60"
LINE = f"usbip attach -r {ADDRESS} -b"
VMS = "vms = vm1 vm2 vm3\n"             # of [device keyboard]; what it has to say for the last keyboard
GROUPS = "[group desk]\ndevices = keyboard mouse\n[group work]\ndevices = keyboard mouse disk\n"
# Takes an interface as another program does.
CLAIM = """
import fcntl, os, struct, sys, time
f = os.open(sys.argv[1], os.O_RDWR)
fcntl.ioctl(f, 2 << 30 | 264 << 16 | ord("U") << 8 | 27, struct.pack("II256s", 0, 0, b""))
print("claimed", flush=True)
time.sleep(100000)
"""


def ends(lab, words, status, *texts, run=None, timeout=120):
    """usbroutectl with these words ends with this status and says these texts; all that it says."""
    rc, out, err = run(words) if run else lab.daemon.ctl(words, timeout=timeout)
    said = (out + err).decode()
    check(rc == status, f"`usbroutectl {words}` ended with {rc}, not {status}: {said}")
    check(not status or err.startswith(b"error[") and not out, f"`usbroutectl {words}` fails with: {said}")
    for text in texts:
        check(text in said, f"`usbroutectl {words}` does not say {text!r}: {said}")
    return said


def plug(lab, name, device=None, alias=None, **properties):
    lab.board.plug(name, device, **properties)
    return lab.daemon.wait_device(alias or name, state="present", actual="host")


def wanted(lab, device, vm="host", by=None):
    have = lab.daemon.find(device)
    check(have["wanted"] == vm and (by is None or have["wanted_by"] == by),
          f"{device} is wanted at {have['wanted']} by {have['wanted_by']}, not at {vm}{f' by {by}' if by else ''}")
    return have


def at_host(lab, *devices):
    for device in devices:
        lab.daemon.wait_device(device, wanted="host", actual="host", state="present")


@scenario("attach-table", seconds=1200)
def attach_table(lab):
    """Every line of the contract's table; a disk that is mounted has scenarios of its own."""
    ctl = lab.daemon
    keyboard = ctl.find("keyboard")["busid"]

    # No agent: the line to type, and with --wait the wait for it.
    ends(lab, "attach keyboard vm1", 0, "keyboard: host -> vm1", f"in vm1, type: {LINE} keyboard")
    ends(lab, "attach keyboard vm1 --wait 1", 7, "error[pending]", f"{LINE} keyboard", "The wish stays")
    wanted(lab, "keyboard", "vm1", "command")
    waiting = lab.spawn(lab.board, ctl.command(f"attach keyboard vm1 {WAIT}"))
    lab.importing(lab.vm1)
    result = waiting.result(90)
    check(result.rc == 0, f"attach {WAIT} of what is imported meanwhile: {result}")
    # It is there already.
    ends(lab, "attach keyboard vm1", 0, "keyboard: already in vm1")
    # Another guest has it.
    ends(lab, "attach keyboard vm2", 0, "keyboard: vm1 -> vm2", "in vm2, type:")
    ctl.wait_device("keyboard", wanted="vm2", state="exported")

    # The VM is not connected.
    ends(lab, "attach keyboard vm3", 0, "pending: keyboard goes to vm3 when vm3 is connected")
    ends(lab, "attach keyboard vm3 --wait 1", 7, "error[pending]", "vm3")
    wanted(lab, "keyboard", "vm3", "command")
    # Overtaken by a newer command.
    waiting = lab.spawn(lab.board, ctl.command("attach keyboard vm3 --wait 300"))
    try:
        waiting.wait(1)
    except LabTimeout:
        pass
    ends(lab, "attach keyboard vm2", 0)
    rc, out, err = waiting.result(60)
    check(rc == 1 and b"error[superseded]" in err, f"a command that was overtaken: {rc}, {err}")
    ends(lab, "detach keyboard", 0, "keyboard: vm2 -> host")
    ends(lab, "detach keyboard", 0, "already at the host")
    at_host(lab, "keyboard")
    # Not plugged in.
    ends(lab, "attach tablet vm1", 0, "pending: tablet is not plugged in; it goes to vm1 when it is")
    ends(lab, "attach tablet vm1 --wait 1", 7, "error[pending]", "not plugged in")
    ends(lab, "release tablet", 0)

    # Unknown, ambiguous.
    ends(lab, "attach keyboard vm9", 3, "error[not-found]", "vm9")
    ends(lab, "attach trackball vm1", 3, "error[not-found]", "trackball")
    mouse = plug(lab, "mouse")["busid"]
    ends(lab, "attach 0627:0001 vm1", 4, "error[ambiguous]", f"port={keyboard}", f"port={mouse}")

    # Claimed by another program.
    node = lab.board.text(f"printf /dev/bus/usb/%03d/%03d $(cat /sys/bus/usb/devices/{mouse}/busnum "
                          f"/sys/bus/usb/devices/{mouse}/devnum)")
    lab.board.write("/run/lab/claim.py", CLAIM)
    claimer = lab.spawn(lab.board, f"exec python3 /run/lab/claim.py {node}")
    check(claimer.line() == "claimed", "the other program could not claim the mouse")
    ends(lab, "attach mouse vm1", 6, "error[busy]", "another program")
    wanted(lab, "mouse")
    claimer.kill()
    claimer.wait()

    # Forbidden: by vms, by a rule, by the caller's rights.
    lab.settings(DEFAULT_CONFIG.replace(VMS, "vms = vm1 vm3\n"), "deny class=hid.mouse to vm2\n")
    ends(lab, "attach keyboard vm2", 5, "error[denied]", "[device keyboard] vms")
    ends(lab, "attach mouse vm2", 5, "error[denied]", "10-lab.rules:1: deny class=hid.mouse to vm2")
    nobody = lab.board.run(f"setpriv --reuid 65534 --regid 65534 --clear-groups {ctl.command('attach keyboard vm1')}")
    check(nobody.rc == 5 and b"error[denied]" in nobody.err and b"your user" in nobody.err, f"as nobody: {nobody}")
    wanted(lab, "keyboard")
    wanted(lab, "mouse")
    # The host's last keyboard, which no section gives to that VM by name.
    lab.settings(DEFAULT_CONFIG.replace(VMS, ""))
    ends(lab, "attach keyboard vm1", 6, "error[busy]", "last keyboard", "--force")
    wanted(lab, "keyboard")

    # The guest has an agent: the command waits until its kernel has it.
    lab.settings()
    agent_in(lab, lab.vm2)
    ends(lab, f"attach keyboard vm2 {WAIT}", 0, "keyboard: host -> vm2 in ", " ms (daemon ", "import ", "guest ")
    check(len(local_devices(lab.vm2)) == 1, "attach has returned, and vm2 does not have the keyboard")
    ends(lab, "detach keyboard", 0)
    lab.vm2.run("rmmod vhci_hcd", check=True)
    ends(lab, "attach keyboard vm2 --wait 3", 7, "error[pending]", "vhci", "The wish stays")
    wanted(lab, "keyboard", "vm2", "command")
    lab.vm2.run("modprobe vhci-hcd", check=True)
    ctl.wait_device("keyboard", state="attached", actual="vm2")


USERS = {"alice": "--reuid 2001 --regid 2001 --clear-groups",
         "bob": "--reuid 2002 --regid 2002 --groups 2100",
         "carol": "--reuid 2003 --regid 2003 --clear-groups"}
USER_RULES = """\
# Placement.
deny alias=keyboard to vm2

# Rights.
allow alias=keyboard to vm1,vm2 user=alice
deny alias=keyboard to vm3 user=alice
allow class=hid.mouse to vm2 group=lab-desk
"""


@scenario("two-users", quick=False)
def two_users(lab):
    """Alice may have the keyboard in vm1; Bob, by a group of his, the mouse in vm2; Carol may look."""
    lab.board.run("grep -q ^alice: /etc/passwd || { for n in 1:alice 2:bob 3:carol; do "
                  "echo ${n#*:}:x:200${n%:*}:200${n%:*}::/:/bin/sh >> /etc/passwd; "
                  "echo ${n#*:}:x:200${n%:*}: >> /etc/group; done; echo lab-desk:x:2100:bob >> /etc/group; }",
                  check=True)
    plug(lab, "mouse")
    lab.settings(rules=USER_RULES)

    def user(name):
        return lambda words: lab.board.run(f"setpriv {USERS[name]} {lab.daemon.command(words)}")

    def may(name, words):
        ends(lab, words, 0, run=user(name))

    def may_not(name, words, *texts):
        before = lab.daemon.json("list")["devices"]
        ends(lab, words, 5, "error[denied]", *texts, run=user(name))
        after = lab.daemon.json("list")["devices"]
        check(before == after, f"{name}'s `{words}` is refused, and has changed: {before}, {after}")

    for name in USERS:
        may(name, "list")
        may(name, "why keyboard vm1")
    said = ends(lab, "why keyboard vm1", 0, run=user("alice"))
    check("may route it to vm1" in said and "10-lab.rules:5" in said, f"why, asked by alice: {said}")
    said = ends(lab, "why keyboard vm1", 0, run=user("bob"))
    check("may not route it to vm1" in said, f"why, asked by bob: {said}")

    for name in ("bob", "carol"):
        may_not(name, "attach keyboard vm1", "your user", "no rule allows it")
    may_not("carol", "attach mouse vm2", "your user")
    may_not("alice", "attach mouse vm2", "your user")
    may_not("alice", "attach keyboard vm3", "10-lab.rules:6: deny alias=keyboard to vm3 user=alice")
    # She may, the VM may not.
    may_not("alice", "attach keyboard vm2", "10-lab.rules:2: deny alias=keyboard to vm2")
    since = len(lab.daemon.log())
    may("alice", "attach keyboard vm1")
    lab.daemon.wait_log(r"keyboard: wanted at vm1, says uid 2001", since)
    events = lab.events(lab.vm1)
    lab.importing(lab.vm1)
    events.wait_keyboard()
    lab.key(events)
    may_not("bob", "attach mouse vm1", "your user")
    since = len(lab.daemon.log())
    may("bob", "attach mouse vm2")
    lab.daemon.wait_log(r"mouse: wanted at vm2, says uid 2002", since)
    # What another may, nobody may take away.
    may_not("bob", "detach keyboard", "your user")
    may_not("alice", "detach mouse", "your user")
    may_not("alice", "switch mouse vm1", "your user")
    # For good, for all and of the daemon itself: not by rules.
    for words in ("assign keyboard vm1", "unassign keyboard", "reserve keyboard", "undo", "reload", "alias mouse rat"):
        may_not("alice", words, "your user")
    may("alice", "detach keyboard")
    may("bob", "release mouse")
    at_host(lab, "keyboard", "mouse")


@scenario("group-switch", seconds=1200)
def group_switch(lab):
    plug(lab, "mouse")
    lab.settings(DEFAULT_CONFIG + GROUPS)
    on_board = lab.events(lab.board)
    seen = {}
    for guest in (lab.vm1, lab.vm2):
        agent_in(lab, guest)
        seen[guest.name] = lab.events(guest)

    # From the host to the ring's first, and round it; vm3 is not connected, and none of it.
    for to, name in (("next", "vm1"), ("next", "vm2"), ("next", "vm1"), ("prev", "vm2"), ("vm1", "vm1")):
        ends(lab, f"switch desk {to} {WAIT}", 0, f"-> {name}")
        for device in ("keyboard", "mouse"):
            lab.daemon.wait_device(device, wanted=name, wanted_by="command", actual=name, state="attached")
            seen[name].wait_keyboard()
        other = seen["vm2" if name == "vm1" else "vm1"]
        lab.settle(seen[name])
        lab.settle(other)
        at, at_board = len(other.seen), len(on_board.seen)
        lab.key(seen[name])
        lab.no_key(other, at)
        lab.no_key(on_board, at_board)
    ends(lab, "switch desk host", 0, "keyboard: vm1 -> host", "mouse: vm1 -> host")
    at_host(lab, "keyboard", "mouse")
    on_board.wait_keyboard()
    on_board.wait_keyboard()
    lab.settle(on_board)
    lab.key(on_board)

    # All or nothing: the disk that is in the other group is in use on the host.
    plug(lab, "disk")
    lab.board.wait("[ -b /dev/sda ]", what="the board's own disk")
    holder = lab.spawn(lab.board, "exec python3 -c 'import os, time; os.open(\"/dev/sda\", os.O_RDONLY | os.O_EXCL); "
                                  "print(\"held\", flush=True); time.sleep(100000)'")
    check(holder.line() == "held", "the disk can't be held")
    ends(lab, "attach desk vm2 --no-wait", 0)
    for device in ("keyboard", "mouse"):
        lab.daemon.wait_device(device, state="attached", actual="vm2")
    ends(lab, f"switch work vm1 {WAIT}", 6, "error[busy]", "disk", "in use on the host")
    for device in ("keyboard", "mouse"):
        lab.daemon.wait_device(device, wanted="vm2", actual="vm2", state="attached")
    at_host(lab, "disk")
    holder.kill()
    holder.wait()
    ends(lab, f"switch work vm1 {WAIT}", 0, "keyboard: vm2 -> vm1", "mouse: vm2 -> vm1", "disk: host -> vm1")
    check(len(local_devices(lab.vm1)) == 3, f"vm1 has {local_devices(lab.vm1)}")
    # Forbidden for one: for all.
    lab.settings(DEFAULT_CONFIG + GROUPS, "deny class=storage to vm2\n")
    ends(lab, "attach work vm2", 5, "error[denied]", "10-lab.rules:1: deny class=storage to vm2")
    for device in ("keyboard", "mouse", "disk"):
        lab.daemon.wait_device(device, wanted="vm1", actual="vm1", state="attached")


def twins(lab):
    """Two mice that only their ports tell apart."""
    ports = []
    for name in ("left", "right"):
        before = {device["busid"] for device in lab.daemon.json("list")["devices"]}
        lab.board.plug(name, "mouse", serial="TWIN")
        new = lab.board.port(name)
        for _ in range(600):
            found = [device for device in lab.daemon.json("list")["devices"] if device["busid"] not in before]
            if found and found[0]["state"] == "present":
                break
        check(len(found) == 1, f"the mouse in port {new} is listed as {found}")
        ports.append(found[0])
    return ports


@scenario("names", quick=False)
def names(lab):
    """Twins, told apart by their ports in both spellings, and by names that commands give them."""
    ctl = lab.daemon
    section = '[device mouse]\nmatch = id=0627:0001 product="QEMU USB Mouse"\n'
    lab.settings(DEFAULT_CONFIG.replace(section, ""))
    left, right = twins(lab)
    check((left["id"], left["serial"]) == (right["id"], right["serial"]), f"these are no twins: {left}, {right}")
    ends(lab, "attach serial=TWIN vm1", 4, f"port={left['busid']}", f"port={right['busid']}")
    ends(lab, f"attach port={left['busid']} vm1", 0)
    ends(lab, f"attach port={right['stable_port']} vm2", 0)
    for device, vm in ((left, "vm1"), (right, "vm2")):
        ctl.wait_device(device["busid"], wanted=vm, actual=vm, state="exported")
        for spelling in (device["busid"], device["stable_port"]):
            check(ctl.device(f"port={spelling}")["busid"] == device["busid"], f"port={spelling} is another device")
    ends(lab, f"unassign port={left['stable_port']}", 0)
    ends(lab, f"unassign port={right['busid']}", 0)
    at_host(lab, left["busid"], right["busid"])

    ends(lab, f"alias port={left['busid']} left", 0)
    ends(lab, f"alias port={right['stable_port']} right", 0)
    try:
        ends(lab, "alias port=" + left["busid"] + " keyboard", 1, "error[failed]", "[device keyboard]")
        for guest in (lab.vm1, lab.vm2):
            agent_in(lab, guest)
        ends(lab, f"attach left vm1 {WAIT}", 0, "left: host -> vm1")
        ends(lab, f"attach right vm2 {WAIT}", 0, "right: host -> vm2")
        ctl.stop()
        ctl.start()
        for name, device, vm, guest in (("left", left, "vm1", lab.vm1), ("right", right, "vm2", lab.vm2)):
            found = ctl.wait_device(name, wanted=vm, actual=vm, state="attached")
            check(found["busid"] == device["busid"], f"{name} is in {found['busid']}, not in {device['busid']}")
            # Attached is told at the import; its kernel follows.
            guest.wait(f"usbip port 2>&1 | grep -q '/{device['busid']}$'", what=f"{device['busid']} in {vm}")
        # Plugged out and in, in the other order.
        for name in ("left", "right"):
            lab.board.unplug(name)
            ctl.wait_gone(name)
        for name in ("right", "left"):
            lab.board.plug(name, "mouse", serial="TWIN")
        for name, device, vm in (("left", left, "vm1"), ("right", right, "vm2")):
            found = ctl.wait_device(name, wanted=vm, actual=vm, state="attached")
            check(found["busid"] == device["busid"], f"{name} is in {found['busid']}, not in {device['busid']}")
        # A name goes over to another, or ends.
        ends(lab, "alias left right", 0)
        check(ctl.device("right")["busid"] == left["busid"], "the name did not go over")
        ends(lab, "show left", 3, "error[not-found]")
        ends(lab, "alias right none", 0)
        ends(lab, "show right", 3, "error[not-found]")
    finally:
        for device in (left, right):
            ctl.ctl(f"alias port={device['busid']} none")


AUTO = """\
deny class=storage
allow product="QEMU USB Tablet" to vm1 attach=auto
allow class=hid.mouse to vm2,vm1 attach=never
"""


@scenario("policy-auto", quick=False)
def policy_auto(lab):
    ctl = lab.daemon
    lab.settings(rules=AUTO)
    agent_in(lab, lab.vm1)
    lab.board.plug("tablet")
    by = 'policy.d/10-lab.rules:2: allow product="QEMU USB Tablet" to vm1 attach=auto'
    tablet = ctl.wait_device("tablet", wanted="vm1", wanted_by="rule", actual="vm1", state="attached")
    check(tablet["rule"] == by, f"the tablet is in vm1 by {tablet['rule']}")
    said = ends(lab, "why tablet", 0, "vm1, by rule")
    for line in ("  10-lab.rules:1 deny class=storage  — no match: ", "> 10-lab.rules:2 allow product=",
                 "decides about attaching", "  10-lab.rules:3 allow class=hid.mouse"):
        check(line in said, f"why does not say {line!r}: {said}")
    plug(lab, "mouse")
    wanted(lab, "mouse", "host", "default")

    plug(lab, "disk")
    for words in ("attach disk vm1", "assign disk vm2"):
        ends(lab, words, 5, "error[denied]", "10-lab.rules:1: deny class=storage")
    said = ends(lab, "why disk vm1", 0, "denied: ", "> 10-lab.rules:1 deny class=storage")
    wanted(lab, "disk", "host", "default")

    # A command beats the rule; released, the rule decides again.
    ends(lab, "attach tablet vm2", 5, "10-lab.rules:2")
    ends(lab, "detach tablet", 0, "tablet: vm1 -> host")
    wanted(lab, "tablet", "host", "command")
    ends(lab, "release tablet", 0)
    ctl.wait_device("tablet", wanted="vm1", wanted_by="rule", actual="vm1", state="attached")

    # Whole or not at all: one wrong line, and nothing of the file holds.
    pid = ctl.pid()
    result = ctl.reload(rules="deny class=hid\nallow class=mouse to vm1\nallow * to vm9\n")
    said = result.err.decode()
    check(result.rc == 1 and f"{RULES}/10-lab.rules:2: expected" in said and ":3: " in said and ":1: " not in said,
          f"reload of wrong rules: {result.rc}, {said}")
    ctl.wait_device("tablet", wanted="vm1", wanted_by="rule", actual="vm1", state="attached")
    ends(lab, "why tablet", 0, "> 10-lab.rules:2 allow product=")
    result = ctl.reload(DEFAULT_CONFIG + "[vm vm4]\n[vm vm4]\n")
    check(result.rc == 1 and b"[vm vm4]" in result.err, f"reload of a wrong configuration: {result}")
    check(ctl.wait_device("tablet", wanted="vm1", state="attached") and len(ctl.json("vms")["vms"]) == 3,
          "a configuration that is wrong holds in part")
    # What other rules would do, without any effect.
    lab.board.write("/run/lab/20-trial.rules", "deny class=hid to vm1\n")
    ends(lab, "policy test /run/lab/20-trial.rules", 0, "-vm1")
    wanted(lab, "tablet", "vm1", "rule")
    # What is present goes where new rules want it.
    lab.settings(rules='allow product="QEMU USB Mouse" to vm1 attach=auto\n')
    ctl.wait_device("mouse", wanted="vm1", wanted_by="rule", actual="vm1", state="attached")
    ctl.wait_device("tablet", wanted="host", actual="host", state="present")
    check(ctl.pid() == pid, "the daemon is another process")


@scenario("reserve-undo-for", quick=False)
def reserve_undo_for(lab):
    ctl = lab.daemon
    drivers = "ls /sys/bus/usb/drivers/usbhid/ | grep -q '^{}:'"
    mouse = plug(lab, "mouse")["busid"]
    lab.board.wait(drivers.format(mouse), what="the board's driver at the mouse")

    ends(lab, "reserve mouse", 0, "kept for the guests")
    lab.board.wait("! " + drivers.format(mouse), what="the mouse taken from the board's driver")
    device = ctl.find("mouse")
    check(device["reserved"] and device["wanted"] == "host" and device["state"] == "claimed", f"reserved: {device}")
    ctl.stop()
    ctl.start()
    ctl.wait_device("mouse", wanted="host", reserved=True, state="claimed")
    lab.board.unplug("mouse")
    ctl.wait_gone("mouse")
    lab.board.plug("mouse")
    ctl.wait_device("mouse", wanted="host", reserved=True, state="claimed")
    lab.board.wait("! " + drivers.format(mouse), what="the mouse taken from the board's driver")
    # A guest may have it, and its end is not the host's.
    ends(lab, "attach mouse vm1", 0)
    ctl.wait_device("mouse", wanted="vm1", state="exported")
    ends(lab, "detach mouse", 0)
    ctl.wait_device("mouse", wanted="host", actual="host", state="claimed")
    check(lab.board.run(drivers.format(mouse)).rc, "the board's driver has a mouse that is reserved")
    ends(lab, "reserve mouse --off", 0)
    ctl.wait_device("mouse", wanted="host", reserved=False, state="present")
    lab.board.wait(drivers.format(mouse), what="the board's driver at the mouse again")

    # Undo, and undone again.
    ends(lab, "unassign mouse", 0)
    ends(lab, "attach mouse vm1", 0)
    ctl.wait_device("mouse", wanted="vm1", state="exported")
    ends(lab, "undo", 0, "vm1 -> host")
    ctl.wait_device("mouse", wanted="host", wanted_by="default", state="present")
    ends(lab, "undo", 0, "host -> vm1")
    ctl.wait_device("mouse", wanted="vm1", wanted_by="command", state="exported")
    ends(lab, "assign mouse vm2", 0, "vm1 -> vm2")
    ends(lab, "undo", 0, "vm2 -> vm1")
    ctl.wait_device("mouse", wanted="vm1", wanted_by="command", state="exported")
    ends(lab, "release mouse", 0)
    ctl.wait_device("mouse", wanted="host", wanted_by="default", state="present")

    # For a while, counted over the daemon's restart; and until it is plugged out.
    ends(lab, "assign mouse vm2", 0)
    ends(lab, "attach mouse vm1 --for 60s", 0)
    left = ctl.find("mouse")["seconds_left"]
    check(left is not None and left <= 61, f"of 60 seconds are left: {left}")
    ends(lab, "attach mouse vm1 --for 5s", 0)
    ctl.stop()
    ctl.start()
    ctl.wait_device("mouse", wanted="vm2", wanted_by="assignment", actual="vm2", state="exported")
    ends(lab, "attach mouse vm1 --until-unplug", 0)
    device = ctl.wait_device("mouse", wanted="vm1", wanted_by="command", state="exported")
    check(device["until_unplug"], f"until it is plugged out: {device}")
    lab.board.unplug("mouse")
    ctl.wait_gone("mouse")
    lab.board.plug("mouse")
    ctl.wait_device("mouse", wanted="vm2", wanted_by="assignment", actual="vm2", state="exported")
    ends(lab, "attach mouse vm1 --for 5", 0)
    ends(lab, "attach mouse vm1 --for never", 2, "error[usage]")


@scenario("times-of-attach", quick=False)
def times_of_attach(lab):
    """Printed, for a person to judge: of attach and of switch, and what the daemon, the import and the guest took."""
    plug(lab, "mouse")
    lab.settings(DEFAULT_CONFIG + GROUPS)
    for guest in (lab.vm1, lab.vm2):
        agent_in(lab, guest)
    parts = ("milliseconds", "daemon_ms", "import_ms", "guest_ms")

    def told(words, devices):
        reply = json.loads(ends(lab, f"--json {words} {WAIT}", 0))
        have = [reply[part] for part in parts]
        check(all(isinstance(ms, (int, float)) and ms >= 0 for ms in have), f"`{words}` took {have}")
        check(len(reply["devices"]) == devices, f"`{words}` was about {reply['devices']}")
        total, daemon, wire, guest = have
        lab.say(f"{words:22} {total:6.0f} ms: daemon {daemon:.0f}, import {wire:.0f}, guest {guest:.0f}")

    for _ in range(3):
        told("attach keyboard vm1", 1)
        lab.daemon.ctl_ok("detach keyboard")
        lab.daemon.wait_device("keyboard", state="present", actual="host")
        lab.vm1.wait("[ -z \"$(ls -d /sys/bus/usb/devices/[0-9]*-[0-9] 2>/dev/null)\" ]", what="the keyboard gone")
    for _ in range(3):
        told("switch desk vm1", 2)
        told("switch desk next", 2)
