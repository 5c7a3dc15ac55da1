"""usbrouted as the packages install it, on a board whose first process is systemd: the board, with a bare root of a release, and
the service there. Owns the board's root (CACHE/packages/RELEASE/board)."""

import subprocess
import time

from . import LabError, paths
from .board import EVENT_SECONDS, Board
from .daemon import CONFIG, START_SECONDS, Daemon
from .packages import NAMES, Packages

ETC = "/etc/usbrouted/usbrouted.conf"
# A host with guests, as its administrator has it before usbrouted comes.
HOST = "systemd systemd-sysv dbus udev kmod procps qemu-system-x86 usbutils"
# One whose guests are libvirt's domains, beside that; its root is called "virtual".
VIRTUAL = "libvirt-daemon-system libvirt-clients apparmor"
# One is for guests; and what the page needs is Cockpit, which the board has not.
ON_HOST = [name for name in NAMES if name not in ("usbroute-agent", "usbrouted-cockpit")]
BOOTED_SECONDS = 300


def host(release, name="board", more=""):
    """(root, folder with the packages) of such a host, with these packages more under a name of its own: what ours depend
    on is there, they are not."""
    packages = Packages(release)
    debs = packages.debs()
    needs = [subprocess.run(["dpkg-deb", "-f", deb, "Depends"], capture_output=True, text=True, check=True).stdout
             for deb in files(debs)]
    needs = sorted({one.strip() for line in needs for one in line.split(",") if one.strip() and not one.strip().startswith("usbroute")})
    return packages.root(name, f"{HOST} {more}".strip(), satisfy=", ".join(needs)), debs


def files(folder, names=ON_HOST):
    """The packages of these names in a folder."""
    return [next(folder.glob(f"{name}_*.deb")) for name in names]


def boot(release, name="board", more=""):
    """A board of this release under systemd, booted; (board, folder with the packages). name and more: as host() has them."""
    root, debs = host(release, name, more)
    board = Board(root=root, systemd=True)
    board.start()
    board.follow("exec journalctl -b -f -n all -o short-monotonic", "journal.log")
    # "degraded" is left to who looks at units.
    board.run("systemctl is-system-running --wait", timeout=BOOTED_SECONDS)
    return board, debs


class Installed(Daemon):
    """The same words as Daemon has, said to the service: installed = Installed(board); installed.apt("install", files)"""

    def __init__(self, board):
        super().__init__(board)
        self.config = None

    def apt(self, words, timeout=900):
        """apt-get with these words, as an administrator types it, without a network; its output."""
        return self.board.text(f"cd {paths.CACHE}; DEBIAN_FRONTEND=noninteractive apt-get -q -y "
                               f"-o Dpkg::Use-Pty=0 {words} 2>&1", timeout=timeout)

    def systemctl(self, words, timeout=EVENT_SECONDS):
        return self.board.text(f"systemctl {words}", timeout=timeout)

    def shows(self, name, unit="usbrouted"):
        """A property of a unit."""
        return self.board.text(f"systemctl show -P {name} {unit}")

    def running(self):
        return self.board.run("systemctl is-active -q usbrouted").rc == 0

    def start(self):
        self.systemctl("start usbrouted")
        self.wait_ready()

    def wait_ready(self, timeout=START_SECONDS):
        self.board.wait(self.command("status >/dev/null 2>&1"), timeout, "the service's control socket answers")

    def stop(self, timeout=EVENT_SECONDS):
        self.systemctl("stop usbrouted", timeout)
        return 0

    def configure(self, config):
        """Another configuration, read by the running service."""
        self.config = config
        self.board.write(ETC, config)
        self.systemctl("reload usbrouted")

    def command(self, words):
        return f"usbroutectl {words}"

    def pid(self):
        return int(self.shows("MainPID"))

    def vm_process(self, name):
        """The number of a VM's process."""
        return int(self.board.text(f"pgrep -u usbrouted-vm -x vm:{name}"))

    def log(self):
        return self.board.text("journalctl -b -o cat -u usbrouted -u usbrouted-release -u usbrouted-libvirt --no-pager")

    def failed_units(self):
        return self.board.text("systemctl list-units --failed --plain --no-legend")
