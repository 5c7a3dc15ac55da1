"""What the packages bring for systemd, on a host with libvirt: in which order services start and stop, the LAN export's socket, and
the agent's script on a machine whose first process is systemd."""

from lab import machine, programs, sources
from lab.installed import VIRTUAL, Installed, boot, files
from lab.scenario import check, scenario

CONFIG = """\
[vm vm1]
[device keyboard]
match = id=0627:0001 product="QEMU USB Keyboard"
"""
EXPORT = """\
[lan-export]
[export keyboard]
to = 127.0.0.1
"""
# One unit that starts them in one go, as boot does, and stops those that say in which order, as shutdown does: libvirtd itself is
# asked by libvirt-guests while that stops.
STARTS, STOPS = ("libvirtd", "libvirt-guests", "usbrouted"), ("libvirt-guests", "usbrouted")
TARGET = """\
cd /etc/systemd/system
printf '[Unit]\\nWants={wants}\\n' >lab-order.target
for unit in {stops}; do mkdir -p $unit.d && printf '[Unit]\\nPartOf=lab-order.target\\n' >$unit.d/lab.conf; done
systemctl daemon-reload
systemctl stop libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket {wants}
systemctl start lab-order.target
"""
TOOLS = "/run/lab/usbip"
USBIP = f"LD_LIBRARY_PATH=$(find {TOOLS} -type d | paste -sd:) {TOOLS}/usr/sbin/usbip"


def _moment(daemon, name, unit):
    return int(daemon.shows(f"{name}TimestampMonotonic", unit))


def _order(lab, daemon):
    """The sockets are there before libvirt starts machines, and machines have ended before devices are taken from them."""
    wants, stops = (" ".join(f"{unit}.service" for unit in units) for units in (STARTS, STOPS))
    lab.board.run(TARGET.format(wants=wants, stops=stops), check=True, timeout=300)
    for unit in STARTS:
        lab.board.wait(f"systemctl is-active -q {unit}", what=f"{unit} started")
    for unit in STARTS[:-1]:
        check(_moment(daemon, "ActiveEnter", "usbrouted") <= _moment(daemon, "InactiveExit", unit), f"{unit} was started before usbrouted was there")
    daemon.systemctl("stop lab-order.target", timeout=300)
    for unit in STOPS:
        lab.board.wait(f"[ $(systemctl show -P ActiveState {unit}) = inactive ]", what=f"{unit} stopped")
    check(_moment(daemon, "InactiveEnter", "libvirt-guests") <= _moment(daemon, "ActiveExit", "usbrouted"),
          "usbrouted was stopped before libvirt-guests had ended")
    daemon.start()
    lab.say("usbrouted starts before libvirt, and stops after it")


def _lan_socket(lab, daemon):
    """A client's connection starts the service, which gets the sockets from systemd."""
    daemon.configure(CONFIG + EXPORT)
    daemon.stop()
    daemon.systemctl("start usbrouted-lan.socket")
    check(not daemon.running(), "the socket has started the service before anybody came")
    lab.board.run(f"mkdir -p {TOOLS} && tar xz -C {TOOLS}", stdin=programs.bundle("usbip"), timeout=180, check=True)
    # What it has to give, it may not have claimed by now.
    lab.board.run(f"{USBIP} list -r 127.0.0.1")
    daemon.wait_ready()
    daemon.wait_device("keyboard", state="exported")
    said = lab.board.text(f"{USBIP} list -r 127.0.0.1")
    check("0627:0001" in said, f"usbip list says {said!r}")
    check(not daemon.json("status")["warnings"], f"status warns of {daemon.json('status')['warnings']}")
    daemon.systemctl("stop usbrouted-lan.socket")
    daemon.configure(CONFIG)
    daemon.systemctl("restart usbrouted")
    daemon.wait_ready()
    daemon.wait_device("keyboard", state="present", actual="host")
    lab.say("usbrouted-lan.socket starts the service, and stock usbip sees the keyboard")


def _agent(lab, daemon):
    """The script for guests without QEMU's guest agent, run where systemd is: the unit runs, and is there at the next boot."""
    script = daemon.ctl_ok("vm agent vm1 --script")
    said = lab.board.run("sh", stdin=script.encode(), timeout=180)
    check(said.rc == 0 and b"usbroute-agent runs" in said.out, f"the script ended with {said.rc}: {said.err.decode()}{said.out.decode()}")
    lab.board.run("systemctl is-enabled -q usbroute-agent && systemctl is-active -q usbroute-agent", check=True)
    lab.board.run("[ \"$(readlink /proc/$(systemctl show -P MainPID usbroute-agent)/exe)\" = /usr/local/sbin/usbroute-agent ]", check=True)
    (undo,) = [line[2:] for line in script.splitlines() if line.startswith("# systemctl")]
    lab.board.run(undo, check=True)
    check(lab.board.run("systemctl cat usbroute-agent || [ -e /usr/local/sbin/usbroute-agent ]").rc == 1, "the agent is left after its undo")
    lab.say("vm agent --script: in, and out again")


@scenario("services-of-a-libvirt-host", quick=False, seconds=3600, own_board=True, machines=(machine.AMD64,))
def services(lab):
    lab.board, debs = boot(sources.own_release(), "virtual", VIRTUAL)
    lab.say(f"board up in {lab.board.boot_seconds:.0f} s under systemd, logs: {lab.board.logs.folder}")
    lab.daemon = daemon = Installed(lab.board)
    daemon.apt(f"install --no-install-recommends {' '.join(map(str, files(debs)))}")
    daemon.configure(CONFIG)
    daemon.wait_ready()
    for step in (_order, _lan_socket, _agent):
        step(lab, daemon)
    check(not daemon.failed_units(), f"units failed: {daemon.failed_units()}")
    lab.daemon = None
