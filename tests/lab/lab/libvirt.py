"""libvirtd on the board, and usbrouted-libvirt beside it. Owns both processes, and the domains that scenarios define.

A Domain is a guest that libvirt starts. It is spoken to as any guest is (the lab's agent, on a channel of its own);
QEMU's guest agent runs in it, too, for libvirt.
"""

import pathlib
import re
import shlex
import shutil
import signal
import time

from . import LabError, LabTimeout, initramfs, paths, programs
from .board import EVENT_SECONDS, Events, wait_in
from .channel import Channel
from .cpio import Cpio
from .guest import MEMORY, UP_SECONDS

FOLDER = "/run/virt"
USER = "libvirt-qemu"
# The first connection asks every QEMU on the board what it can do.
LIBVIRTD_SECONDS = 240
GROUP = "kvm"

SETUP = f"""
grep -q ^{USER}: /etc/passwd || echo '{USER}:x:64055:'$(getent group {GROUP} | cut -d: -f3)'::/var/lib/libvirt:/usr/sbin/nologin' >> /etc/passwd
grep -q ^{USER}: /etc/group || echo '{USER}:x:64055:' >> /etc/group
mkdir -p /etc/libvirt /run/libvirt {FOLDER}
printf 'user = "{USER}"\\ngroup = "{GROUP}"\\nsecurity_driver = "none"\\nstdio_handler = "file"\\n' > /etc/libvirt/qemu.conf
rm -rf /etc/libvirt/qemu/networks/autostart /etc/libvirt/nwfilter/*
chown root:{GROUP} /dev/kvm && chmod 660 /dev/kvm
"""

# What a person has who knows nothing of usbrouted yet.
XML = """\
<domain type='kvm'>
  <name>{domain}</name>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{folder}/vmlinuz</kernel>
    <initrd>{folder}/initrd</initrd>
    <cmdline>console=ttyS0 panic=-1 quiet loglevel=4 mitigations=off nokaslr preempt=full lab.name={name}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='host-passthrough' check='none'><feature policy='disable' name='xsave'/></cpu>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>destroy</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    <controller type='pci' model='pcie-root'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
    <serial type='file'><source path='{folder}/{name}.log'/><target port='0'/></serial>
    <channel type='unix'>
      <source mode='bind' path='{folder}/{name}.agent'/><target type='virtio' name='lab.agent'/>
    </channel>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <memballoon model='none'/>
  </devices>
</domain>
"""

MORE = """\
#!/bin/sh
for port in /sys/class/virtio-ports/*; do
	[ "$(cat "$port/name")" = org.qemu.guest_agent.0 ] &&
		exec qemu-ga -m virtio-serial -p "/dev/${port##*/}" -t /run
done
"""


def image(kernel):
    """The guests' initial file system with QEMU's guest agent: two archives, one behind the other."""
    agent = shutil.which("qemu-ga", path="/usr/sbin:/usr/bin")
    if not agent:
        raise LabError("no qemu-ga here: tests/deps installs it")

    def make():
        cpio = Cpio()
        cpio.text("lab.more", MORE, 0o755)
        cpio.file("usr/sbin/qemu-ga", agent)
        for library in programs.libraries(agent):
            cpio.file(library, library)
        return cpio

    more = initramfs.saved("guest-agent", make, MORE, pathlib.Path(agent))
    return initramfs.guest(kernel), more


class Libvirt:
    """virt = Libvirt(lab); virt.start(); domain = virt.domain("vm1"); …; virt.stop()"""

    def __init__(self, lab):
        self.board = lab.board
        self.daemon = lab.daemon
        self.domains = []
        self._libvirtd = None
        self._helper = None

    @staticmethod
    def built():
        return paths.LIBVIRT.exists()

    # Processes

    def start(self):
        self.board.run(SETUP, check=True)
        self.copy_images()
        self.start_libvirtd()
        self.start_helper()

    def copy_images(self):
        """libvirt gives kernel and initrd to its user: copies of the board's own."""
        base, more = image(self.board.kernel)
        self.board.run(f"mkdir -p {FOLDER}; [ -e {FOLDER}/initrd ] || {{ cp {self.board.kernel.image} {FOLDER}/vmlinuz && "
                       f"cat {base} {more} > {FOLDER}/initrd; }}", check=True)

    def start_libvirtd(self):
        self._libvirtd = self.board.follow("exec libvirtd", "libvirtd.log")
        self.board.wait("virsh -q -c qemu:///system list >/dev/null 2>&1", LIBVIRTD_SECONDS, "an answer of libvirtd")

    def kill_libvirtd(self):
        self._libvirtd.kill(signal.SIGKILL)
        self._libvirtd.wait()

    def start_helper(self):
        command = f"exec {shlex.quote(str(paths.LIBVIRT))}"
        self._helper = self.board.follow(command, "usbrouted-libvirt.log")

    def stop_helper(self):
        self._helper.kill(signal.SIGTERM)
        self._helper.wait()

    def stop(self):
        """Everything gone, whatever state it is in."""
        for domain in self.domains:
            self.board.run(f"virsh -q destroy {domain.quoted}; virsh -q undefine {domain.quoted}")
        for job in (self._helper, self._libvirtd):
            if job and job.running():
                job.kill(signal.SIGKILL)
                job.wait()

    # What is known

    def virsh(self, words, **how):
        return self.board.text(f"virsh -q -c qemu:///system {words}", **how)

    def ctl(self, words, timeout=120):
        """usbroutectl with the helper that was built; its output."""
        helper = shlex.quote(str(paths.LIBVIRT))
        rc, out, err = self.board.run(f"USBROUTED_LIBVIRT={helper} {self.daemon.command(words)}", timeout=timeout)
        if rc:
            raise LabError(f"usbroutectl {words}: {rc}: {(err + out).decode(errors='replace').strip()}")
        return out.decode()

    def vm(self, name):
        for vm in self.daemon.json("vms")["vms"]:
            if vm["name"] == name:
                return vm
        raise LabError(f"no VM {name}")

    def wait_vm(self, name, timeout=EVENT_SECONDS, **fields):
        limit = time.monotonic() + timeout
        while True:
            vm = self.vm(name)
            if all(vm[key] == value for key, value in fields.items()):
                return vm
            if time.monotonic() > limit:
                raise LabTimeout(f"{name} has not {fields} within {timeout} s; it is {vm}")
            time.sleep(0.2)

    def domain(self, name, domain=None):
        made = Domain(self, name, domain or name)
        self.domains.append(made)
        return made


class Services(Libvirt):
    """The same as Debian's packages bring them: units of systemd's, and AppArmor. The daemon is an Installed."""

    def start(self):
        self.copy_images()
        self.board.run("systemctl start libvirtd", check=True)
        self.board.wait("virsh -q -c qemu:///system list >/dev/null 2>&1", LIBVIRTD_SECONDS, "an answer of libvirtd")

    def ctl(self, words):
        return self.daemon.ctl_ok(words)


class Domain:
    """A libvirt domain that is a guest of the lab."""

    def __init__(self, virt, name, domain):
        self.virt = virt
        self.board = virt.board
        self.name = name            # the VM's
        self.quoted = shlex.quote(domain)
        self.xml = XML.format(domain=domain, name=name, folder=FOLDER, memory=MEMORY)
        self._channel = None
        self._starts = 0

    def with_snippet(self, snippet):
        """Its XML with what `usbroutectl vm xml` prints, put where that says."""
        parts = re.sub(r"<!--.*?-->", "", snippet, flags=re.S).split("\n\n")
        memory, card = [part for part in parts if part.strip()]
        xml = self.xml.replace("  <vcpu>", memory + "  <vcpu>")
        return xml.replace("  </devices>", card + "  </devices>")

    def define(self, xml=None):
        self.board.write(f"{FOLDER}/{self.name}.xml", xml or self.xml)
        self.virt.virsh(f"define {FOLDER}/{self.name}.xml")

    def start(self, timeout=UP_SECONDS, words=None):
        """words: what virsh is told, where it was saved and goes on where it was."""
        self.virt.virsh(words or f"start {self.quoted}", timeout=timeout)
        self._starts += 1
        self._channel = Channel(self.board.spawn(f"exec /run/lab/agent relay {FOLDER}/{self.name}.agent"), self.name,
                                1 + 100000 * self._starts if words else 1)
        if words:
            self._channel.ping()
        try:
            self._channel.wait_up(timeout)
        except LabTimeout:
            log = self.board.run(f"cat {FOLDER}/{self.name}.log").out.decode(errors="replace")
            raise LabTimeout(f"{self.name} is not up within {timeout} s; its console:\n{log}") from None

    def pid(self):
        return int(self.board.text(f"cat /run/libvirt/qemu/{self.quoted}.pid"))

    def run(self, command, **how):
        return self._channel.run(command, **how)

    def text(self, command, **how):
        return self._channel.text(command, **how)

    def spawn(self, command, **how):
        return self._channel.spawn(command, **how)

    def wait(self, condition, timeout=EVENT_SECONDS, what=None):
        wait_in(self._channel, condition, timeout, what)

    def events(self):
        return Events(self)
