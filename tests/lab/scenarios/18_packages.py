"""The packages on a host of either release, under systemd: installed, used, restarted, upgraded and removed while a key is held."""

import functools
import pathlib
import re

from lab import machine, paths, sources
from lab.agent import wait_agent
from lab.daemon import ADDRESS
from lab.guest import Guest
from lab.installed import ETC, Installed, boot, files
from lab.packages import NEXT, Packages
from lab.scenario import KEYS, check, scenario

LINE = "usbip attach -r 10.77.0.1 -b keyboard"
CONFIG = """\
[vm vm1]
address = 10.77.0.11
[vm vm2]
address = 10.77.0.12
[device keyboard]
match = id=0627:0001 product="QEMU USB Keyboard"
vms = vm1 vm2
"""
# What `systemd-analyze security` may say at most, in tenths.
MOST_EXPOSED = 30
# A build's folder as the lab knows it, of what is installed.
INSTALLED = pathlib.Path("/run/lab/installed")
NODE = "/dev/bus/usb/$(cat {0}/busnum | xargs printf %03d)/$(cat {0}/devnum | xargs printf %03d)"
KEYBOARD = "$(dirname $(grep -l 'QEMU USB Keyboard' /sys/bus/usb/devices/*/product | head -n 1))"


def _packages(lab, release):
    lab.board, debs = boot(release)
    lab.say(f"board up in {lab.board.boot_seconds:.0f} s under systemd, logs: {lab.board.logs.folder}")
    lab.daemon = daemon = Installed(lab.board)
    check(not daemon.failed_units(), f"before anything is installed, units failed: {daemon.failed_units()}")
    _installed(lab, daemon, debs)
    _confined(lab, daemon)
    events = _main_job(lab, daemon)
    _unnoticed(lab, daemon, events, "systemctl restart", lambda: daemon.systemctl("restart usbrouted"))
    _unnoticed(lab, daemon, events, "an upgrade", lambda: _upgraded(daemon, debs))
    _stopped(lab, daemon, events)
    _agent_of_the_package(lab, daemon, events)
    _removed(lab, daemon, events)
    lab.daemon = None


def _node(lab):
    """Owner, group, mode and access list of the keyboard's node."""
    return lab.board.text(f"stat -c '%U %G %a' {NODE.format(KEYBOARD)}")


def _installed(lab, daemon, debs):
    """One command installs it, and it runs; what it changes at a device is a tag and its sleep."""
    before = _node(lab)
    lab.board.run(f"echo auto > {KEYBOARD}/power/control", check=True)
    daemon.apt(f"install --no-install-recommends {' '.join(map(str, files(debs)))}")
    daemon.wait_ready()
    for unit in ("usbrouted", "usbrouted-libvirt"):
        check(lab.board.run(f"systemctl is-enabled -q {unit} && systemctl is-active -q {unit}").rc == 0,
              f"{unit} is not running, or not at boot: {lab.board.run(f'systemctl status {unit}').out.decode()}")
    lab.board.wait(f"udevadm info {KEYBOARD} | grep -q '^E: .*TAGS=.*:usbrouted:'", what="the rule's tag at a device that was plugged in")
    lab.board.wait(f"[ $(cat {KEYBOARD}/power/control) = on ]", what="the keyboard kept awake")
    check(_node(lab) == before, f"its node was {before}, and is {_node(lab)}")
    # The package's own test of its service.
    lab.board.write("/run/lab/service", (paths.REPO / "debian" / "tests" / "service").read_bytes())
    tested = lab.board.run("sh /run/lab/service 2>&1", timeout=600)
    check(tested.rc == 0, f"debian/tests/service ended with {tested.rc}: {tested.out.decode(errors='replace')}")
    check(not daemon.failed_units(), f"units failed: {daemon.failed_units()}")


def _confined(lab, daemon):
    said = lab.board.run(f"systemd-analyze security --no-pager --threshold={MOST_EXPOSED} usbrouted.service", timeout=300)
    text = said.out.decode(errors="replace")
    level = re.search(r"Overall exposure level for usbrouted.service: (\S+)", text)
    check(said.rc == 0 and level, f"systemd-analyze security: {said.rc}\n{text}\n{said.err.decode(errors='replace')}")
    lab.say(f"systemd-analyze security usbrouted: {level[1]}")


def _main_job(lab, daemon):
    """Two guests get their cards, and a key arrives in one, then in the other."""
    daemon.configure(CONFIG)
    for name in ("vm1", "vm2"):
        Guest(lab.board, name).start()
    for guest in (lab.vm1, lab.vm2):
        guest.wait_up()
        lab.say(f"{guest.name} up in {guest.up_seconds:.0f} s")
        guest.wait_carrier()
        guest.wait_address()
    events = lab.keyboard_in(lab.vm2)
    lab.key(events)
    events = lab.keyboard_in(lab.vm1)
    lab.key(events)
    return events


def _unnoticed(lab, daemon, events, name, does):
    """Done while a key is held: it stays held, its release comes, and the guest's kernel says nothing."""
    since, at, process, control = lab.vm1.text("dmesg | wc -l"), len(events.seen), daemon.vm_process("vm1"), daemon.pid()
    lab.board.hold("a")
    events.wait(["key", "*", KEYS["a"], 1])
    does()
    daemon.wait_ready()
    daemon.wait_device("keyboard", state="attached", actual="vm1", wanted_by="command")
    lab.settle(events)
    released = [line for line in events.seen[at:] if line.split()[0] == "key" and line.split()[3] == "0"]
    check(not released, f"{name}: the key that is held was released in vm1: {events.seen[at:]}")
    lab.board.release("a")
    events.wait(["key", "*", KEYS["a"], 0])
    lab.key(events, "b")
    check(daemon.pid() != control, f"{name}: usbrouted is the same process as before")
    check(daemon.vm_process("vm1") == process, f"{name}: vm1's process is another one")
    check(not [line for line in events.seen[at:] if line.startswith("device")], f"{name}: vm1 lost the keyboard: {events.seen[at:]}")
    said = lab.vm1.text(f"dmesg | tail -n +$(({since} + 1))")
    check(not said, f"{name}: vm1's kernel said: {said}")
    check(not daemon.failed_units(), f"{name}: units failed: {daemon.failed_units()}")


def _upgraded(daemon, debs):
    version = daemon.board.text("dpkg-query -W -f '${Version}' usbrouted")
    daemon.apt(f"install --no-install-recommends {' '.join(map(str, files(debs / 'next')))}")
    now = daemon.board.text("dpkg-query -W -f '${Version}' usbrouted")
    check(now == version + NEXT, f"upgraded from {version} to {now}")
    check(daemon.board.text(f"cat {ETC}") == CONFIG.strip(), "the upgrade changed the configuration")


def _ours(lab):
    """Processes of ours on the board."""
    return lab.board.run("ps -eo user:16,pid,comm | grep -E ' (usbrouted|vm:)'").out.decode()


def _at_home(lab, daemon, events, does):
    """Afterwards the host has the keyboard, vm1 has none, and no process of ours is left."""
    on_board = lab.events(lab.board)
    at = len(events.seen)
    does()
    if not any(line.startswith("device") and line.endswith("remove") for line in events.seen[at:]):
        events.wait(["device", "*", "remove"])
    on_board.wait_keyboard()
    lab.key(on_board, "c")
    check(not _ours(lab), f"left are {_ours(lab)}")
    check(not daemon.failed_units(), f"units failed: {daemon.failed_units()}")
    on_board.close()


def _stopped(lab, daemon, events):
    """A real stop gives all back; the next start finds what was wished."""
    _at_home(lab, daemon, events, daemon.stop)
    for unit in ("usbrouted", "usbrouted-release", "usbrouted-libvirt"):
        lab.board.wait(f"[ $(systemctl show -P ActiveState {unit}) = inactive ]", what=f"{unit} stopped")
    daemon.start()
    lab.vm1.wait_carrier()
    daemon.wait_device("keyboard", wanted="vm1", wanted_by="command", state="exported")
    lab.importing(lab.vm1, LINE)
    events.wait_keyboard()
    lab.key(events)


def _agent_of_the_package(lab, daemon, events):
    """The static agent, as it lies on the host, runs in a guest that has no library of the host's: nothing is typed there."""
    daemon.ctl_ok("detach keyboard")
    events.wait(["device", "*", "remove"])
    agent = lab.board.run("cat /usr/lib/*/usbrouted/usbroute-agent-static", check=True).out
    lab.vm1.run("cat > /run/agent && chmod 755 /run/agent", stdin=agent, check=True)
    lab.spawn(lab.vm1, "exec /run/agent --verbose 2>/tmp/agent.log")
    wait_agent(lab, lab.vm1)
    daemon.ctl_ok("attach keyboard vm1")
    events.wait_keyboard()
    lab.key(events, "d")


def _removed(lab, daemon, events):
    """Removed under a guest that has the keyboard: the host has it back. What the user wrote stays until a purge."""
    _at_home(lab, daemon, events, lambda: daemon.apt("remove usbrouted"))
    check(lab.board.run("[ ! -e /usr/sbin/usbrouted ] && [ ! -e /usr/sbin/usbrouted-libvirt ]").rc == 0, "programs are left after remove")
    check(lab.board.text(f"cat {ETC}") == CONFIG.strip(), "remove took the configuration")
    lab.board.run("[ -d /var/lib/usbrouted ]", check=True)
    daemon.apt("purge usbrouted usbrouted-libvirt")
    left = lab.board.run(f"ls -d {ETC} /var/lib/usbrouted /run/usbrouted").out.decode()
    check(not left, f"left after purge: {left}")
    check(not daemon.failed_units(), f"units failed: {daemon.failed_units()}")


@scenario("packages-arm64", quick=False, seconds=3600, machines=[machine.ARM64])
def packages_arm64(lab):
    """The packages for arm64, put in by dpkg on this board, which has no systemd: users, programs, and the main job by them."""
    folder = Packages(sources.own_release()).cross(machine.ARM64)
    debs = files(folder, ["usbrouted", "usbrouted-libvirt", "usbroute-agent-static"])
    lab.say("packages: " + " ".join(sorted(deb.name for deb in folder.glob("*.deb"))))
    lab.daemon.stop()
    # What they depend on is unpacked on this board, and dpkg has not heard of it. Two programs that it asks for are not.
    lab.board.run(f"dpkg --force-depends,bad-path -i {' '.join(map(str, debs))}", check=True, timeout=600)
    own, lab.daemon.build = lab.daemon.build, INSTALLED
    try:
        for word in ("usbrouted --version", "usbroutectl --version", "usbrouted --check"):
            lab.say(f"{word}: {lab.board.text(word)}")
        users = lab.board.text("grep -E '^usbrouted(-vm)?:' /etc/passwd").splitlines()
        check(len(users) == 2, f"the users are {users}")
        lab.board.run(f"mkdir -p {INSTALLED}/daemon && ln -sf /usr/sbin/usbrouted {INSTALLED}/daemon/", check=True)
        lab.daemon.start()
        programs = {lab.board.text(f"readlink /proc/{pid}/exe") for pid in lab.daemon.processes()}
        check({"/usr/sbin/usbrouted", "/usr/sbin/usbrouted-vm"} <= programs <= {"/usr/sbin/usbrouted", "/usr/sbin/usbrouted-vm", "/usr/sbin/usbrouted-libvirt"},
              f"what runs is {sorted(programs)}")
        for guest in (lab.vm1, lab.vm2):
            guest.wait_ping(ADDRESS)
            lab.key(lab.keyboard_in(guest))
        lab.daemon.ctl_ok("detach keyboard")
    finally:
        lab.daemon.stop()
        lab.daemon.build = own
        lab.board.run("dpkg --force-depends,bad-path --purge usbrouted usbrouted-libvirt usbroute-agent-static", check=True, timeout=600)
        lab.daemon.start()
    check(lab.board.run("[ ! -e /usr/sbin/usbrouted ] && [ ! -e /usr/sbin/usbrouted-vm ]").rc == 0, "programs are left after the purge")


# They are this machine's own.
if not machine.FOREIGN:
    for number, name in sources.RELEASES.items():
        scenario(f"packages-debian{number}", quick=False, seconds=3600, own_board=True)(functools.partial(_packages, release=name))
