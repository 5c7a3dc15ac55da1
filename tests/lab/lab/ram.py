"""A root of the board's that is all in its memory: for what the build machine's file system over 9p does not outlive, such as
the board's sleep (9pnet_virtio can't be suspended: every mount is dead after it). Owns the image's list of contents."""

import pathlib
import shutil
import subprocess

from . import initramfs, paths, programs
from .cpio import Cpio
from .machine import MACHINE

MODULES = ["virtio_pci", "virtio_console", "xhci_pci", "usbhid", "hid-generic", "evdev", "usb-storage", "uas", "sd_mod", "tun", "configfs",
           *MACHINE.kvm_modules]
# What busybox is not enough for.
PROGRAMS = [MACHINE.qemu, "udevadm", "kmod", "strace"]
FILES = ["/lib/udev", "/usr/share/seabios/bios-256k.bin", "/usr/share/qemu/kvmvapic.bin", "/usr/share/qemu/linuxboot_dma.bin",
         "/usr/share/qemu/pvh.bin", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf"]
APPLETS = subprocess.run(["busybox", "--list"], capture_output=True, text=True).stdout.split() if shutil.which("busybox") else []
TOP = "ram"


def _inside(path):
    return f"{TOP}/{str(path).lstrip('/')}"


def _program(cpio, path):
    for one in sorted({str(path), *programs.libraries(path)}):
        cpio.file(_inside(one), one)


def _modules(cpio, kernel):
    with kernel.tree(MODULES) as files:
        for path, file in files:
            cpio.file(_inside(path), file)


def board(kernel):
    """The board's first file system with that root in it: a file for QEMU."""
    cpio = Cpio()
    cpio.file(_inside("/bin/busybox"), MACHINE.root / initramfs.BUSYBOX)
    have = {pathlib.Path(programs.find(name)).name for name in PROGRAMS}
    for applet in APPLETS:
        if applet not in have | {"busybox", "modprobe"}:
            cpio.link(_inside(f"/bin/{applet}"), "busybox")
    for name in PROGRAMS:
        _program(cpio, programs.find(name))
    for name in ("modprobe", "insmod", "lsmod"):
        cpio.link(_inside(f"/sbin/{name}"), programs.find("kmod"))
    cpio.link(_inside("/lib/systemd/systemd-udevd"), programs.find("udevadm"))
    for path in (paths.DAEMON, paths.VM_PROCESS, paths.CTL):
        _program(cpio, path)
    for name in FILES:
        path = pathlib.Path(name)
        for one in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if one.is_file() and one.name != "hwdb.bin":
                cpio.file(_inside(one), one)
    cpio.file(_inside(kernel.image), kernel.image)
    guest = initramfs.guest(kernel)
    cpio.file(_inside(guest), guest)
    _modules(cpio, kernel)
    for name in ("dev", "proc", "sys", "tmp", "run", "sbin", "root", "etc", "var/lib"):
        cpio.folder(f"{TOP}/{name}")
    image = paths.cache("images") / "ram.cpio"
    cpio.save(image)
    with open(image, "ab") as more:
        more.write(initramfs.board(kernel).read_bytes())
    return image
