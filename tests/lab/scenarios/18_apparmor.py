"""Virtual machines that libvirt confines by AppArmor, as Debian does by default: what it permits QEMU is enough for the cards,
plugged in before and while the machine runs."""

import functools
import re

from lab import machine, sources
from lab.installed import VIRTUAL, Installed, boot, files
from lab.libvirt import Services
from lab.scenario import check, scenario

CONFIG = """\
[vm vm1]
[vm vm2]
[device keyboard]
match = id=0627:0001 product="QEMU USB Keyboard"
vms = vm1 vm2
"""
PROFILES = "/etc/apparmor.d/libvirt/libvirt-*.files"


def _denied(lab):
    """What AppArmor has kept anybody from in the folder of the cards' sockets."""
    return lab.board.run("journalctl -q -b -k -o cat --no-pager | grep DENIED | grep usbrouted").out.decode()


def _confined(lab, domain):
    label = lab.board.text(f"cat /proc/{domain.pid()}/attr/current")
    check(label.startswith("libvirt-") and label.endswith("(enforce)"), f"{domain.name}'s QEMU runs under {label!r}")


def _permitted(lab, domain):
    """Libvirt's profile of a domain names its card's socket. Not every kernel asks AppArmor when a program connects to one: Debian 12's
    let a machine connect against a line that denied it."""
    lines = lab.board.run(f"grep -h usbrouted {PROFILES}").out.decode()
    # "rwk" where libvirt 9 has named it while the machine ran: a lock, too.
    permits = re.findall(rf'^ *"/run/usbrouted/{domain.name}\.sock" ([a-z]+),$', lines, re.M)
    check(any({"r", "w"} <= set(one) for one in permits), f"{domain.name}'s profile permits {lines!r}")


def _keyboard(lab, daemon, virt, domain):
    virt.wait_vm(domain.name, connected=True, agent="QEMU guest agent")
    events = lab.events(domain)
    daemon.ctl_ok(f"attach keyboard {domain.name} --wait 60", timeout=120)
    events.wait_keyboard()
    lab.key(events)


def _apparmor(lab, release):
    lab.board, debs = boot(release, "virtual", VIRTUAL)
    check(lab.board.text("cat /sys/module/apparmor/parameters/enabled") == "Y", "the board's kernel has no AppArmor")
    lab.daemon = daemon = Installed(lab.board)
    daemon.apt(f"install --no-install-recommends {' '.join(map(str, files(debs)))}")
    daemon.configure(CONFIG)
    daemon.wait_ready()
    virt = Services(lab)
    virt.start()
    one, two = virt.domain("vm1"), virt.domain("vm2")
    one.define(one.with_snippet(daemon.ctl_ok("vm xml vm1")))
    one.start()
    _confined(lab, one)
    _permitted(lab, one)
    _keyboard(lab, daemon, virt, one)
    check(not _denied(lab), f"AppArmor denied: {_denied(lab)}")
    lab.say("a card that the machine starts with")
    # Its memory is shared, which a running machine can't be given; its card comes later.
    two.define(two.xml.replace("  <vcpu>", "  <memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>\n  <vcpu>"))
    two.start()
    daemon.ctl_ok("vm add vm2 --apply")
    two.wait("[ -e /sys/class/net/eth0 ]", what="the card")
    two.wait("ip link set eth0 up && [ \"$(cat /sys/class/net/eth0/carrier)\" = 1 ]", what="the card's carrier")
    two.run("udhcpc -i eth0 -q -s /lab.udhcpc")
    _confined(lab, two)
    _permitted(lab, two)
    _keyboard(lab, daemon, virt, two)
    check(not _denied(lab), f"AppArmor denied: {_denied(lab)}")
    lab.say("a card that is plugged in while the machine runs")
    check(not daemon.failed_units(), f"units failed: {daemon.failed_units()}")
    lab.daemon = None


if not machine.FOREIGN:
    for number, name in sources.RELEASES.items():
        scenario(f"libvirt-apparmor-debian{number}", quick=False, seconds=3600, own_board=True)(
            functools.partial(_apparmor, release=name))
