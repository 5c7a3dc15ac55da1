"""The board: the emulated KVM host. Owns its QEMU, its agent's channel, its monitor and its USB devices."""

import ctypes
import fcntl
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import threading
import time

from . import LabError, LabTimeout, accelerator, initramfs, paths, ram
from .channel import Channel
from .kernel import Kernel
from .logs import Logs
from .machine import MACHINE
from .qmp import Qmp

LOCK = "/run/lock/usbrouted-lab.cpu{}.lock"     # one board a CPU: two on one would starve each other
BOOT_SECONDS = 240
EVENT_SECONDS = 120
PR_SET_PDEATHSIG = 1
# systemd as the board's init (board-root/init-systemd).
SYSTEMD = " lab.systemd systemd.unit=multi-user.target systemd.getty_auto=no systemd.show_status=no"

# Ports of the board's controller; those past SUPER_PORTS have no SuperSpeed half.
PORTS, SUPER_PORTS = 15, 12
HIGH_SPEED_PORT = PORTS
# USB devices by name: what QEMU is told.
DEVICES = {
    "keyboard": {"driver": "usb-kbd"},
    "mouse": {"driver": "usb-mouse"},
    "tablet": {"driver": "usb-tablet"},
    "hub": {"driver": "usb-hub"},
    "serial": {"driver": "usb-serial", "chardev": "", "always-plugged": True},
    # What it plays is in the run's sound.wav, neither mixed nor resampled.
    "sound": {"driver": "usb-audio", "audiodev": "sound", "buffer": 1 << 20},
    "reader": {"driver": "usb-ccid", "card": {"driver": "ccid-card-passthru", "chardev": ""}},
    # Which folder of this machine it shows: plug("phone", rootdir=PATH).
    "phone": {"driver": "usb-mtp", "desc": "lab phone"},
    # What its other end says it is: lab/redirect.py.
    "made": {"driver": "usb-redir", "chardev": ""},
    "uas": {"driver": "usb-uas", "lun": {"driver": "scsi-hd", "serial": "LAB-UAS-1"}},
    "disk": {"driver": "usb-storage", "drive": "disk", "serial": "LAB-DISK-1", "removable": True},
}


def _die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Board:
    """board = Board(); board.start(); board.run("lsusb"); board.key("a"); board.stop()"""

    def __init__(self, devices=("keyboard",), memory=MACHINE.board_memory, disk=None, root=None, systemd=False, in_memory=False):
        self.logs = Logs()
        self.kernel = Kernel()
        self.name = "board"
        self.guests = {}
        self.boot_seconds = None
        self.started = False            # whether it was powered on at all
        self._devices = list(devices)
        self._plugged = {}              # by name: of which device, with what properties
        self._ports = {}
        self._far_ends = {}
        self._memory = memory
        self._disk = disk
        self._root = root or MACHINE.root  # whose programs the board has: this machine's, or a bare root of a release
        self._systemd = systemd
        self._in_memory = in_memory     # its root is lab/ram.py's: it can sleep
        self._qemu = None
        self._locks = []
        self._channel = None
        self.said = None                # the Job that copies what daemons say
        self._monitor = None

    # Power

    def _take_locks(self):
        for cpu in accelerator.cpus():
            lock = open(LOCK.format(cpu), "a+")
            self._locks.append(lock)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                holder = lock.read().strip() or "somebody"
                self._give_locks_up()
                raise LabError(f"a board is up already ({holder}): one at a time on a CPU. Put it away with "
                               "`tests/lab/board down`, or begin with `taskset -c N`") from None
            lock.truncate(0)
            lock.write(f"process {os.getpid()}, checkout {paths.REPO}\n")
            lock.flush()

    def _give_locks_up(self):
        while self._locks:
            self._locks.pop().close()

    def start(self):
        if os.geteuid() != 0:
            raise LabError("the lab needs root (it shares this machine's file system with the board)")
        self._take_locks()
        began = time.monotonic()
        agent_near, agent_far = socket.socketpair()
        monitor_near, monitor_far = socket.socketpair()
        command = [
            *accelerator.command(self.kernel), "-machine", MACHINE.board_machine, "-m", str(self._memory),
            "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-serial", f"file:{self.logs.file('board.log')}",
            *self._boots(),
            "-append", f"console={MACHINE.console} panic=-1 quiet loglevel=5 mitigations=off nokaslr" + (SYSTEMD if self._systemd else ""),
            "-chardev", f"socket,id=monitor,fd={monitor_far.fileno()}", "-mon", "monitor,mode=control",
            "-chardev", f"socket,id=agent,fd={agent_far.fileno()}", "-device", "virtio-serial-pci",
            "-device", "virtserialport,chardev=agent,name=lab.agent",
            "-device", f"qemu-xhci,id=xhci,p2={PORTS},p3={SUPER_PORTS}",
            "-audiodev", f"wav,id=sound,path={self.logs.file('sound.wav')},out.mixing-engine=off",
        ]
        for tag, path in () if self._in_memory else (("root", self._root), ("repo", paths.REPO), ("cache", paths.CACHE)):
            command += ["-virtfs", f"local,path={path},mount_tag={tag},security_model=none,"
                                   "readonly=on,multidevs=remap"]
        with open(self.logs.file("board-qemu.log"), "wb") as log:
            self._qemu = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, close_fds=True,
                pass_fds=(agent_far.fileno(), monitor_far.fileno()), preexec_fn=_die_with_parent)
        self.started = True
        agent_far.close()
        monitor_far.close()
        self._monitor = Qmp(monitor_near, "board")
        plugged, self._plugged = self._plugged or {name: (None, {}) for name in self._devices}, {}
        for name, (device, properties) in sorted(plugged.items()):
            self.plug(name, device, **properties)
        self._channel = Channel(agent_near, "board")
        self.said = None
        try:
            self._channel.wait_up(BOOT_SECONDS)
        except LabError as error:
            text = f"{error}\n{self.logs.tails()}"
            self.stop()
            raise LabError(text) from None
        self.boot_seconds = time.monotonic() - began

    def _boots(self):
        if not self._in_memory:
            return ["-kernel", self.kernel.image, "-initrd", initramfs.board(self.kernel)]
        # Started by its ELF entry (PVH), as boards are, this kernel faults where it wakes up.
        return ["-kernel", self.kernel.packed, "-initrd", ram.board(self.kernel)]

    def stop(self):
        if self._qemu:
            self._qemu.kill()
            self._qemu.wait()
            self._qemu = None
        self._give_locks_up()

    def running(self):
        return bool(self._qemu and self._qemu.poll() is None)

    def qemu_version(self):
        """(major, minor) of the QEMU that guests run by: the one in the board's root."""
        return accelerator.qemu_version() if self._root == MACHINE.root else accelerator.version_in(
            self.text(f"{MACHINE.qemu} --version"))

    def cpu_seconds(self):
        """How long this machine's CPUs have worked for the board: what others do here doesn't count."""
        tasks = pathlib.Path(f"/proc/{self._qemu.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def sleep(self):
        """To S3, and awake again by the power button's wire: returns when the board's kernel says that it has slept."""
        job = self.spawn("echo mem > /sys/power/state", stdin=b"")
        limit = time.monotonic() + BOOT_SECONDS
        while self._monitor.call("query-status")["status"] != "suspended":
            if not job.running():
                raise LabError(f"the board does not sleep: {job.err.decode(errors='replace')}")
            if time.monotonic() > limit:
                raise LabTimeout(f"the board does not sleep within {BOOT_SECONDS} s\n{self.logs.tails()}")
            time.sleep(0.5)
        self._monitor.call("system_wakeup")
        job.result(BOOT_SECONDS)

    # Commands

    def run(self, command, **how):
        return self._channel.run(command, **how)

    def text(self, command, **how):
        return self._channel.text(command, **how)

    def spawn(self, command, **how):
        return self._channel.spawn(command, **how)

    def write(self, path, data):
        data = data.encode() if isinstance(data, str) else data
        self.run(f"cat > {shlex.quote(path)}", stdin=data, check=True)

    def read(self, path):
        return self.run(f"cat {shlex.quote(path)}", check=True).out

    def wait(self, condition, timeout=EVENT_SECONDS, what=None):
        """Wait until a shell condition holds on the board."""
        wait_in(self._channel, condition, timeout, what)

    def follow(self, command, log):
        """Start a command whose output goes to a log of this run, as it comes. Returns its Job."""
        job = self.spawn(f"exec 2>&1; {command}", stdin=b"")

        def copy():
            while (data := job.recv()) != b"":
                self.logs.append(log, data)

        threading.Thread(target=copy, name=f"log {log}", daemon=True).start()
        return job

    # USB

    def plug(self, name, device=None, **properties):
        """Plug in a device of DEVICES under a name of its own (or that of the device). QEMU's serial numbers contain
        the port, but for serial=; serial="" is none."""
        # Always the same port for the same name, but where it is said (port=) or was moved.
        port = self._ports.get(name) or self._ports.setdefault(name, self.free_port())
        arguments = {**DEVICES[device or name], "id": name, "bus": "xhci.0", "port": str(port), **properties}
        disk, card = arguments.pop("lun", None), arguments.pop("card", None)
        if card:
            card = dict(card, id=f"{name}-card", bus=f"{name}.0")
        for one in (arguments, card or {}):
            if "chardev" in one:
                one["chardev"] = self._socket(name)
        if disk:
            disk = dict(disk, id=f"{name}-lun", bus=f"{name}.0")
        if "drive" in arguments or disk:
            node = f"{name}-image"
            if self._disk is None:
                raise LabError("no image for the disk: Board(disk=PATH)")
            self._monitor.call("blockdev-add", node_name=node, driver="raw", read_only=False,
                               file={"driver": "file", "filename": str(self._disk)})
            (disk or arguments)["drive"] = node
        self._monitor.call("device_add", **arguments)
        if disk:
            # Out while its disk is put in: a kernel looks for disks once.
            attached = {"path": f"/machine/peripheral/{name}", "property": "attached"}
            self._monitor.call("qom-set", value=False, **attached)
            self._monitor.call("device_add", **disk)
            self._monitor.call("qom-set", value=True, **attached)
        if card:
            self._monitor.call("device_add", **card)
        self._plugged[name] = device, properties

    def unplug(self, name):
        """Pull a device out, and wait until it is out."""
        since = len(self._monitor.events)
        self._monitor.call("device_del", id=name)
        self._monitor.wait_event("DEVICE_DELETED", since, EVENT_SECONDS, device=name)
        self._plugged.pop(name, None)
        nodes = self._monitor.call("query-named-block-nodes")
        if any(node.get("node-name") == f"{name}-image" for node in nodes):
            self._monitor.call("blockdev-del", node_name=f"{name}-image")
        far = self._far_ends.pop(name, None)
        if far:
            far.close()
            # A device of usb-redir takes it along.
            if any(one["label"] == f"{name}-port" for one in self._monitor.call("query-chardev")):
                self._monitor.call("chardev-remove", id=f"{name}-port")

    def _socket(self, name):
        """A character device whose other end is far_end(name); its name."""
        address = {"path": f"usbrouted-lab-{os.getpid()}-{name}", "abstract": True}
        self._monitor.call("chardev-add", id=f"{name}-port", backend={"type": "socket", "data": {
            "addr": {"type": "unix", "data": address}, "server": True, "wait": False}})
        far = socket.socket(socket.AF_UNIX)
        far.connect("\0" + address["path"])
        self._far_ends[name] = far
        return f"{name}-port"

    def far_end(self, name):
        """The socket that is the other end of a device with one, as long as it is plugged in."""
        return self._far_ends[name]

    def _key(self, code, down):
        event = {"type": "key", "data": {"down": down, "key": {"type": "qcode", "data": code}}}
        self._monitor.call("input-send-event", events=[event])

    def pointer(self, *moves):
        """What a pointer does: ("rel", "x", 5), ("abs", "y", 1000), ("btn", "left", True); one report each."""
        for kind, what, value in moves:
            data = {"button": what, "down": value} if kind == "btn" else {"axis": what, "value": value}
            self._monitor.call("input-send-event", events=[{"type": kind, "data": data}])

    def hold(self, code):
        self._key(code, True)

    def release(self, code):
        self._key(code, False)

    def key(self, code):
        """Press and release a key, by QEMU's name of it (a, ret, shift)."""
        self.hold(code)
        self.release(code)

    def has(self, name):
        """Whether a device is plugged in under this name."""
        return name in self._plugged

    def port(self, name):
        """The port of the board's controller that a name has."""
        return self._ports[name]

    def free_port(self):
        """A port of the board's controller that no name has, nor had last if there is one."""
        ports = [str(port) for port in range(1, PORTS + 1)]
        had = {str(port) for port in self._ports.values()}
        has = {str(properties.get("port", self._ports[name])) for name, (_, properties) in self._plugged.items()}
        return next(port for port in [p for p in ports if p not in had | has] + [p for p in ports if p not in has])

    def move(self, name, **properties):
        """Pull a device out and plug it into another port, which it keeps: another one than anything has or had."""
        device, old = self._plugged[name]
        self.unplug(name)
        self._ports[name] = self.free_port()
        self.plug(name, device, **{**old, **properties})

    def plugged(self):
        """The names of what is plugged in."""
        return sorted(self._plugged)

    def events(self):
        return Events(self, "/run/lab/evwatch")


class Events:
    """Key events as a machine's kernel reports them. Owns the evwatch that prints them."""

    def __init__(self, machine, program="evwatch"):
        self.machine = machine
        self.seen = []
        self._job = machine.spawn(program)
        self._name = machine.name
        self.wait(["ready"])

    def wait(self, words, timeout=EVENT_SECONDS):
        """The next line with these words first; '*' is any one word. Lines on the way are in .seen."""
        limit = time.monotonic() + timeout
        while True:
            try:
                line = self._job.line(max(0.001, limit - time.monotonic()))
            except LabTimeout:
                raise LabTimeout(f"{self._name}: no `{' '.join(map(str, words))}` within {timeout} s; "
                                 f"seen: {self.seen[-8:]}") from None
            if line is None:
                raise LabError(f"{self._name}: evwatch ended: {self._job.err.decode()}")
            self.seen.append(line)
            have = line.split()
            if len(have) >= len(words) and all(w in ("*", h) for w, h in zip(map(str, words), have)):
                return line

    def wait_keyboard(self):
        """The next input device, ready for keys; its line. While a HID driver's probe runs, the kernel drops
        what the device reports (hid_input_report() takes driver_input_lock by trial only), and the
        input device is there before the probe's end. Asking for a probe waits for the running one."""
        line = self.wait(["device", "*", "add"])
        self.machine.run("for d in /sys/bus/hid/devices/*; do echo ${d##*/} > /sys/bus/hid/drivers_probe; done")
        return line

    def now(self):
        """All lines that have come by now."""
        new = self._job.lines_now()
        self.seen += new
        return new

    def close(self):
        self._job.kill()


def wait_in(channel, condition, timeout, what=None):
    job = channel.spawn(f"until {condition}; do sleep 0.1; done", stdin=b"")
    try:
        job.result(timeout)
    except LabTimeout:
        raise LabTimeout(f"{channel.name}: not within {timeout} s: {what or condition}") from None
