"""usbrouted on the board. Owns its process there, its configuration file and its log."""

import json
import re
import shlex
import signal
import time

from . import LabError, LabTimeout, paths
from .board import EVENT_SECONDS

CONFIG = "/run/lab/usbrouted.conf"
RULES = "/run/lab/policy.d"         # beside it, which is where the daemon looks
STATE = "/run/lab/state"            # kept over a restart of the daemon, not over one of the board
RUNTIME = "/run/usbrouted"
STDERR = "/run/lab/usbrouted.stderr"
ADDRESS = "10.77.0.1"
PORT = 3240
START_SECONDS = 60

DEFAULT_CONFIG = f"""\
[daemon]
state-directory = {STATE}
[network]
address = {ADDRESS}/24
[vm vm1]
address = 10.77.0.11
[vm vm2]
address = 10.77.0.12
[vm vm3]
address = 10.77.0.13
[device keyboard]
match = id=0627:0001 product="QEMU USB Keyboard"
vms = vm1 vm2 vm3
[device mouse]
match = id=0627:0001 product="QEMU USB Mouse"
[device disk]
match = serial=LAB-DISK-1
[device tablet]
match = id=0627:0001 product="QEMU USB Tablet"
[device uas]
match = id=46f4:0003
[device serial]
match = id=0403:6001
[device sound]
match = id=46f4:0002
[device reader]
match = id=08e6:4433
[device phone]
match = id=46f4:0004
[device gadget]
match = serial=LAB-GADGET-1
[hotkey]
next = LeftCtrl+RightCtrl+Space
"""


class Daemon:
    """daemon = Daemon(board); daemon.start(); daemon.ctl("attach keyboard vm1"); daemon.stop()"""

    def __init__(self, board, config=DEFAULT_CONFIG, wrapper="", build=None):
        self.board = board
        self.build = build or paths.BUILD
        self.config = config
        self.wrapper = wrapper          # words in front of it, as `strace -f -o FILE`
        self._job = None

    @staticmethod
    def built():
        return all(program.exists() for program in (paths.DAEMON, paths.VM_PROCESS, paths.CTL))

    def running(self):
        return bool(self._job and self._job.running())

    def start(self):
        """Start it and wait until its control socket answers."""
        if self.running():
            raise LabError("the daemon runs already")
        self.board.write(CONFIG, self.config)
        self.board.run(f"mkdir -p {STATE}", check=True)
        # Its VMs' processes may outlive it, and the next one takes them up: what they say goes where all is said.
        if not self.board.said or not self.board.said.running():
            self.board.said = self.board.follow(f"touch {STDERR}; exec tail -n +1 -f {STDERR}", "usbrouted.log")
        command = (f"exec 2>>{STDERR}; exec {self.wrapper} {shlex.quote(str(paths.daemon(self.build)))}"
                   f" --config {CONFIG}")
        self._job = self.board.spawn(command, stdin=b"")
        self.wait_ready()

    def wait_ready(self, timeout=START_SECONDS):
        ready = self.board.spawn(f"until {self.command('status')} >/dev/null 2>&1; do sleep 0.1; done", stdin=b"")
        tries = int(timeout)
        for _ in range(tries):
            try:
                ready.wait(1)
                return
            except LabTimeout:
                if not self.running():
                    break
        ready.kill()
        why = f"ended with {self._job.rc}" if not self.running() else f"is not ready in {timeout} s"
        raise LabError(f"the daemon {why}\n{self.board.logs.tails()}")

    def stop(self, timeout=EVENT_SECONDS):
        """SIGINT: its VMs' processes end with it. Wait for its end; returns its exit status."""
        if not self._job:
            return None
        if self.running():
            self._job.kill(signal.SIGINT)
        return self._job.wait(timeout)

    def leave(self, timeout=EVENT_SECONDS):
        """SIGTERM, as `systemctl restart` says it: its VMs' processes go on. Returns its exit status."""
        if self.running():
            self._job.kill(signal.SIGTERM)
        return self._job.wait(timeout)

    def kill(self):
        """kill -9, the broker with it: all of its session. Waits until it is gone."""
        if self._job:
            self._job.kill(signal.SIGKILL)
            self._job.wait()

    def restart(self):
        self.stop()
        self.start()

    def reload(self, config=DEFAULT_CONFIG, rules=""):
        """Another configuration and other rules, which the running daemon reads: Result of `usbroutectl reload`."""
        self.config = config
        self.board.run(f"mkdir -p {RULES} && rm -f {RULES}/*", check=True)
        self.board.write(CONFIG, config)
        if rules:
            self.board.write(f"{RULES}/10-lab.rules", rules)
        return self.ctl("reload")

    # Control

    def command(self, words):
        """The shell command that is usbroutectl with these words."""
        return f"{shlex.quote(str(paths.CTL))} {words}"

    def ctl(self, words, timeout=EVENT_SECONDS):
        """usbroutectl with these words (shell syntax): Result(rc, out, err)."""
        return self.board.run(self.command(words), timeout=timeout)

    def ctl_ok(self, words, timeout=EVENT_SECONDS):
        """The same; it must end with 0. Returns its output as text."""
        rc, out, err = self.ctl(words, timeout)
        if rc:
            raise LabError(f"usbroutectl {words}: {rc}: {(err + out).decode(errors='replace').strip()}")
        return out.decode()

    def json(self, words, timeout=EVENT_SECONDS):
        return json.loads(self.ctl_ok(f"--json {words}", timeout))

    def device(self, name):
        """The Device of the contract, by any name of it."""
        return self.json(f"show {name}")["device"]

    def find(self, name):
        """The Device with this alias, busid or id; None where there is none."""
        for device in self.json("list")["devices"]:
            if name in (device["alias"], device["busid"], device["id"]):
                return device
        return None

    def wait_gone(self, name, timeout=EVENT_SECONDS):
        """Wait until no such device is listed."""
        limit = time.monotonic() + timeout
        while device := self.find(name):
            if time.monotonic() > limit:
                raise LabTimeout(f"{name} is still listed after {timeout} s: {device}")
            time.sleep(0.1)

    def wait_device(self, name, timeout=EVENT_SECONDS, **fields):
        """Wait until the device's fields have these values: state="attached", actual="vm1", or
        state=("exported", "claimed"), or state=lambda s: s != "attached"."""
        def as_wanted(device):
            for key, value in fields.items():
                have = device[key]
                if not (value(have) if callable(value) else
                        have in value if isinstance(value, tuple) else have == value):
                    return False
            return True

        limit = time.monotonic() + timeout
        while True:
            device = self.find(name)
            if device and as_wanted(device):
                return device
            if time.monotonic() > limit:
                raise LabTimeout(f"{name} has not {fields} within {timeout} s; it is {device}")
            time.sleep(0.1)

    def wait_log(self, pattern, since=0, timeout=EVENT_SECONDS):
        """Wait for a line of its log (from this many characters on) in which the pattern is found."""
        limit = time.monotonic() + timeout
        while True:
            for line in self.log()[since:].splitlines():
                if re.search(pattern, line):
                    return line
            if time.monotonic() > limit:
                raise LabTimeout(f"the daemon does not log /{pattern}/ within {timeout} s; it logged:\n"
                                 f"{self.log()[since:]}")
            time.sleep(0.1)

    def pid(self):
        """The daemon proper's process."""
        return int(self.board.text("pgrep -x usbrouted"))

    def processes(self):
        """All processes of it by number: the daemon, what it has forked, the VMs'."""
        return [int(word) for word in self.board.text("pgrep '^(usbrouted|vm:)'").split()]

    def log(self):
        log = self.board.logs.file("usbrouted.log")
        return log.read_text(errors="replace") if log.exists() else ""
