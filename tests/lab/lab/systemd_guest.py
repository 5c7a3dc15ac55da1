"""A guest whose system is a bare Debian under systemd, with QEMU's guest agent, as a cloud image has it; without usbip and without
anything of usbrouted's. Owns the disk with its root (CACHE/images), which nobody writes to."""

import hashlib
import subprocess

from . import initramfs, paths, programs, sources
from .cpio import Cpio
from .guest import Guest
from .machine import MACHINE
from .packages import Packages

FOLDER = "/run/lab/systemd"
AGENT = f"{FOLDER}/guest-agent"         # the socket of QEMU's guest agent
INSTALLED = "systemd systemd-sysv dbus udev kmod iproute2 procps qemu-guest-agent"
FIRST = ["virtio_pci", "virtio_blk", "ext4", "crc32c_generic", "overlay"]
LATER = ["virtio_console", "virtio_net", "af_packet", "vhci-hcd", "evdev", "usbhid", "hid-generic", "autofs4"]
# What takes emulated time, and is not of this.
MASKED = """getty@.service serial-getty@.service systemd-remount-fs.service systemd-firstboot.service systemd-hwdb-update.service
systemd-journal-flush.service systemd-pstore.service systemd-random-seed.service systemd-timesyncd.service ldconfig.service
systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-networkd-wait-online.service
apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer systemd-tmpfiles-clean.timer""".split()
UNIT = """\
[Unit]
Description=The lab's agent
After=systemd-modules-load.service systemd-udevd.service
[Service]
Type=exec
ExecStart=/bin/sh /opt/lab-serve
Environment=LC_ALL=C.UTF-8 HOME=/root PATH=/opt:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""
SERVE = """\
while :; do
	for port in /sys/class/virtio-ports/*; do
		[ "$(cat "$port/name" 2>/dev/null)" = lab.agent ] && [ -e "/dev/${port##*/}" ] && exec /opt/lab-agent serve "/dev/${port##*/}"
	done
	sleep 0.2
done
"""
FILES = {
    "opt/lab-serve": SERVE,
    "etc/systemd/system/lab.service": UNIT,
    "etc/modules-load.d/lab.conf": "virtio_console\n",
    "etc/systemd/journald.conf.d/lab.conf": "[Journal]\nStorage=volatile\n",
    "etc/systemd/network/10-card.network": "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\n",
    "etc/fstab": "",
    "etc/hostname": "guest\n",
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
}
# eth0 stays eth0, as in the lab's other guests.
LINKS = {f"etc/systemd/system/{name}": "/dev/null" for name in MASKED} | {
    "etc/systemd/network/99-default.link": "/dev/null",
    "etc/systemd/system/multi-user.target.wants/lab.service": "../lab.service",
    "etc/systemd/system/multi-user.target.wants/systemd-networkd.service": "/lib/systemd/system/systemd-networkd.service",
    "opt/evwatch": "lab-evwatch",
}


def _disk(kernel):
    """The disk with the root, made where it is missing."""
    what = repr((INSTALLED, FIRST, LATER, FILES, LINKS, kernel.version)).encode()
    disk = paths.cache("images") / f"systemd-{sources.own_release()}-{hashlib.sha256(what).hexdigest()[:12]}.ext4"
    if disk.exists():
        return disk
    for old in disk.parent.glob(f"systemd-{sources.own_release()}-*.ext4"):
        old.unlink()
    root = Packages(sources.own_release()).root("systemd-guest", INSTALLED)
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).unlink(missing_ok=True)
        (root / name).write_text(text)
    for name, target in LINKS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).unlink(missing_ok=True)
        (root / name).symlink_to(target)
    with kernel.tree(FIRST + LATER) as files:
        for path, file in files:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", file, root / path], check=True)
    partial = disk.with_suffix(".new")
    partial.unlink(missing_ok=True)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", root, partial, "1G"], check=True, stdout=subprocess.DEVNULL)
    partial.rename(disk)
    return disk


def _initrd(kernel):
    init = paths.LAB / "guest-root" / "init-systemd"
    tools = {name: programs.build(name) for name in ("agent", "evwatch")}
    files = kernel.needed_by(FIRST)

    def make():
        cpio = Cpio()
        cpio.file("init", init)
        cpio.file("bin/busybox", MACHINE.root / initramfs.BUSYBOX)
        for applet in ("sh", "mount", "mkdir", "cat", "cp", "insmod", "switch_root"):
            cpio.link(f"bin/{applet}", "busybox")
        for name, binary in tools.items():
            cpio.file(name, binary)
        cpio.text("lab.modules", "\n".join(f"/modules/{number}.ko" for number in range(len(files))))
        for number, file in enumerate(files):
            cpio.file(f"modules/{number}.ko", kernel.modules / file)
        for name in ("dev", "proc", "sys"):
            cpio.folder(name)
        return cpio

    return initramfs.saved(f"systemd-guest-{kernel.version}", make, init, kernel.version, MACHINE.root / initramfs.BUSYBOX, *tools.values())


def systemd_guest(board, name):
    """The guest, not started; what it writes stays until the board's end."""
    board.run(f"mkdir -p {FOLDER} && rm -f {FOLDER}/written && truncate -s 256M {FOLDER}/written && mke2fs -q -t ext4 {FOLDER}/written", check=True)
    return Guest(board, name, extra=[
        "-initrd", str(_initrd(board.kernel)),
        "-drive", f"file={_disk(board.kernel)},if=virtio,format=raw,readonly=on",
        "-drive", f"file={FOLDER}/written,if=virtio,format=raw",
        "-chardev", f"socket,id=guest-agent,path={AGENT},server=on,wait=off",
        "-device", "virtserialport,chardev=guest-agent,name=org.qemu.guest_agent.0"])
