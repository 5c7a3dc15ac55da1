"""A guest: a virtual machine nested in the board. Owns its QEMU on the board, its agent's channel
and its monitor. The agent needs no network, so a guest can be asked while its card is dead."""

import shlex
import time

from . import LabError, LabTimeout, accelerator, initramfs, programs
from .board import EVENT_SECONDS, Events, wait_in
from .channel import Channel
from .machine import MACHINE
from .qmp import Qmp

UP_SECONDS = 300
MIGRATE_SECONDS = 300
MEMORY = 192
CARD_BUS, LAB_BUS = 31, 30      # places for virtio over MMIO in QEMU's arm64 machine
MODERN = ["-global", "virtio-mmio.force-legacy=false"]      # QEMU's own choice is virtio 0.9
SOCKETS = "/run/usbrouted"


def reconnect(version=None):
    """How QEMU is told to come back to the card's socket each second (qemu.org, about/deprecated: since 9.2)."""
    return "reconnect=1" if (version or accelerator.qemu_version()) < (9, 2) else "reconnect-ms=1000"


class Guest:
    """vm1 = Guest(board, "vm1"); vm1.start(); vm1.wait_up(); vm1.text("uname -a")

    mmio=True: its card and the lab's own devices are virtio over MMIO, for which amd64's machine has no places.
    line="qemu-system-…": somebody else's command line, to which nothing is added but the lab's agent and monitor.
    folder="vm1-there": another machine for the guest, beside the one that it is in; from then on it is board.guests[name]."""

    def __init__(self, board, name, card=True, extra=(), mmio=False, line=None, folder=None):
        self.board = board
        self.name = name
        self.card = card
        self.up_seconds = None
        self._extra = list(extra)
        self._mmio = mmio
        self._line = line
        self._where = folder or name
        self._folder = f"/run/lab/{self._where}"
        self._qemu = None
        self._channel = None
        self._monitor = None
        self._installed = set()
        self._incoming = None
        self._starts = 0
        board.guests[name] = self

    @property
    def number(self):
        return int("".join(filter(str.isdigit, self.name)) or 0)

    @property
    def mac(self):
        return f"52:54:00:77:00:{10 + self.number:02x}"

    @property
    def address(self):
        return f"10.77.0.{10 + self.number}"

    def _command(self, incoming=None):
        if self._line:
            return f"{self._line} {shlex.join(self._lab_words())}"
        kernel = self.board.kernel
        words = [
            MACHINE.qemu, "-accel", "kvm", "-cpu", MACHINE.guest_cpu, "-m", f"{MEMORY}",
            "-object", f"memory-backend-memfd,id=mem,size={MEMORY}M,share=on",
            "-machine", MACHINE.guest_machine,
            "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-kernel", str(kernel.image), "-initrd", str(initramfs.guest(kernel)),
            "-append", f"console={MACHINE.console} panic=-1 quiet loglevel=4 mitigations=off nokaslr preempt=full lab.name={self.name}",
            "-serial", "stdio",
        ]
        if self._mmio:
            words += MODERN
        words += self._lab_words()
        if self.card:
            words += [
                "-chardev", f"socket,id=card,path={SOCKETS}/{self.name}.sock,{reconnect(self.board.qemu_version())}",
                "-netdev", "vhost-user,id=net,chardev=card",
                "-device", (f"virtio-net-device,netdev=net,mac={self.mac},bus=virtio-mmio-bus.{CARD_BUS}" if self._mmio else
                            f"virtio-net-pci,netdev=net,mac={self.mac},romfile="),
            ]
        if incoming:
            words += ["-incoming", incoming]
        return shlex.join(words + self._extra)

    def _lab_words(self):
        return [
            "-qmp", f"unix:{self._folder}/monitor,server=on,wait=off",
            "-chardev", f"socket,id=agent,path={self._folder}/agent,server=on,wait=off",
            "-device", f"virtio-serial-device,bus=virtio-mmio-bus.{LAB_BUS}" if self._mmio else "virtio-serial-pci",
            "-device", "virtserialport,chardev=agent,name=lab.agent",
        ]

    # Power

    def start(self, incoming=None):
        """Start its QEMU; wait_up() waits for the guest. With a card its socket must be there, else
        QEMU waits for it before it does anything. incoming: where the guest's memory comes from (QEMU's -incoming)."""
        if self._qemu and self._qemu.running():
            raise LabError(f"{self.name} runs already")
        self._began = time.monotonic()
        self.board.run(f"rm -rf {self._folder}; mkdir -p {self._folder}", check=True)
        self._incoming = incoming
        self._qemu = self.board.follow(f"exec {self._command(incoming)}", f"{self._where}.log")
        self._starts += 1
        self._channel = Channel(self.board.spawn(f"exec /run/lab/agent relay {self._folder}/agent"),
                                self.name, 1 + (100000 * self._starts if incoming else 0))
        self._monitor = None
        self._installed = set()

    def wait_up(self, timeout=UP_SECONDS):
        limit = time.monotonic() + timeout
        while True:
            try:
                if self._incoming:
                    self._channel.ping()
                self._channel.wait_up(1)
                break
            except LabTimeout:
                if not self._qemu.running():
                    raise LabError(f"{self.name}: its QEMU ended with {self._qemu.rc}\n"
                                   f"{self.board.logs.tails()}") from None
                if time.monotonic() > limit:
                    raise LabTimeout(f"{self.name} is not up within {timeout} s\n"
                                     f"{self.board.logs.tails()}") from None
        self.up_seconds = time.monotonic() - self._began

    def running(self):
        return bool(self._qemu and self._qemu.running())

    def kill(self):
        """kill -9 of its QEMU, as a crash; waits until the process is gone."""
        if self._qemu:
            self._qemu.kill()
            self._qemu.wait()

    def stop(self):
        """Power it off from outside in order: QEMU closes its sockets itself."""
        if self.running():
            try:
                self.monitor.call("quit")
            except LabError:
                pass
            self._qemu.wait()

    @property
    def monitor(self):
        if not self._monitor:
            relay = self.board.spawn(f"exec /run/lab/agent relay {self._folder}/monitor")
            self._monitor = Qmp(relay, self.name)
        return self._monitor

    def signal(self, number):
        """A signal to its QEMU: SIGSTOP holds all of the machine, devices too."""
        self._qemu.kill(number)

    def migrate(self, uri, timeout=MIGRATE_SECONDS):
        """Its memory goes to `uri`, and it stands still where that has succeeded; how long it has stood still by
        then, as QEMU says, ms. What its machine writes at the end may be more than what emulation moves in time."""
        self.monitor.call("migrate-set-parameters", downtime_limit=60000, max_bandwidth=1 << 30)
        self.monitor.call("migrate", uri=uri)
        limit = time.monotonic() + timeout
        while True:
            said = self.monitor.call("query-migrate")
            if said.get("status") == "completed":
                return said["downtime"]
            if said.get("status") in ("failed", "cancelled") or time.monotonic() > limit:
                raise LabError(f"{self.name}: its migration to {uri}: {said}")
            time.sleep(0.2)

    def pause(self):
        self.monitor.call("stop")

    def resume(self):
        self.monitor.call("cont")

    # Commands

    def run(self, command, **how):
        return self._channel.run(command, **how)

    def text(self, command, **how):
        return self._channel.text(command, **how)

    def spawn(self, command, **how):
        return self._channel.spawn(command, **how)

    def wait(self, condition, timeout=EVENT_SECONDS, what=None):
        """Wait until a shell condition holds in the guest."""
        wait_in(self._channel, condition, timeout, what)

    def install(self, *names):
        """Programs, files and folders of this machine's, as programs.bundle() takes them; until the guest's end."""
        if not set(names) <= self._installed:
            self.run("tar xz -C /", stdin=programs.bundle(*names), timeout=180, check=True)
            self._installed |= set(names)

    def events(self):
        return Events(self)

    def dmesg(self):
        return self.text("dmesg")

    # Network

    def wait_carrier(self, up=True, timeout=EVENT_SECONDS):
        self.wait(f'[ "$(cat /sys/class/net/eth0/carrier 2>/dev/null)" = {int(up)} ]', timeout,
                  f"carrier of its card {'up' if up else 'down'}")

    def wait_address(self, timeout=EVENT_SECONDS):
        """Wait until its DHCP client has given its card an address; returns it."""
        self.wait("ip -4 addr show dev eth0 | grep -q 'inet '", timeout, "an address by DHCP")
        return self.text("ip -4 addr show dev eth0 | sed -n 's/.*inet \\([^/ ]*\\).*/\\1/p'").split()[0]

    def ping(self, address, count=1, limit=10):
        """How many of `count` pings were answered."""
        out = self.run(f"ping -c {count} -W {limit} {address}", timeout=60 + count * limit).out
        for line in out.decode().splitlines():
            if "packets received" in line:
                return int(line.split(",")[1].split()[0])
        return 0

    def wait_ping(self, address, timeout=EVENT_SECONDS):
        self.wait(f"ping -c 1 -W 2 {address} >/dev/null", timeout, f"an answer from {address}")
