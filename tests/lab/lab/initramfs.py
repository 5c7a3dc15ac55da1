"""The two initial file systems: the board's and the guests'. Owns CACHE/images."""

import hashlib
import json
import pathlib
import shlex

from . import paths, programs
from .cpio import Cpio
from .machine import MACHINE

BUSYBOX = "bin/busybox"          # in the machine's root
BOARD_FIRST = ["virtio_pci", "9pnet_virtio", "9p", "overlay"]
GUEST_LOAD = ["virtio_pci", "virtio_mmio", "virtio_console", "virtio_net", "vhci-hcd", "evdev", "usbhid",
              "hid-generic", "usb-storage", "uas", "sd_mod"]
# There when asked for: modprobe in the guest finds them.
GUEST_MORE = ["usbtest", "ext4", "crc32c_generic", "vfat", "nls_ascii", "nls_cp437", "cdc_ether", "cdc_ncm",
              "rndis_host", "cdc_acm", "usbmon", "af_packet", "ftdi_sio", "usbserial", "snd-usb-audio",
              "usblp", "xhci_pci", "sch_netem", "usbip-host", "nf_tables", "nft_ct"]


def saved(name, cpio_maker, *inputs):
    """The image for these inputs, made where it is missing."""
    digest = hashlib.sha256()
    for one in (pathlib.Path(__file__), *inputs):
        digest.update(one.read_bytes() if isinstance(one, pathlib.Path) else json.dumps(one).encode())
    image = paths.cache("images") / f"{name}-{digest.hexdigest()[:12]}.cpio"
    if not image.exists():
        for old in paths.cache("images").glob(f"{name}-*.cpio"):
            old.unlink()
        cpio_maker().save(image)
    return image


def _modules(cpio, kernel, files):
    for file in files:
        cpio.file(f"lib/modules/{kernel.version}/{file}", kernel.modules / file)


def _insert_list(kernel, names):
    return "\n".join(f"/lib/modules/{kernel.version}/{file}" for file in kernel.needed_by(names))


def board(kernel):
    folder = paths.LAB / "board-root"
    tools = {name: programs.build(name) for name in programs.all_names()}
    conf = "".join(f"{key}={shlex.quote(str(value))}\n" for key, value in (
        ("LAB_REPO", paths.REPO), ("LAB_CACHE", paths.CACHE), ("LAB_KERNEL", kernel.version)))

    def make():
        cpio = Cpio()
        cpio.file("init", folder / "init")
        cpio.file("init2", folder / "init2")
        cpio.file("init-systemd", folder / "init-systemd")
        cpio.text("lab.conf", conf)
        cpio.text("lab.modules", _insert_list(kernel, BOARD_FIRST))
        cpio.text("lab.kvm", _insert_list(kernel, MACHINE.kvm_modules))
        for name, binary in tools.items():
            cpio.file(name, binary)
        cpio.file("bin/busybox", MACHINE.root / BUSYBOX)
        for applet in ("sh", "mount", "mkdir", "cat", "cp", "rm", "insmod", "switch_root", "poweroff"):
            cpio.link(f"bin/{applet}", "busybox")
        for name in ("dev", "proc", "sys", "tmp", "sbin"):
            cpio.folder(name)
        _modules(cpio, kernel, kernel.needed_by(BOARD_FIRST + MACHINE.kvm_modules))
        return cpio

    return saved(f"board-{kernel.version}", make, folder / "init", folder / "init2", folder / "init-systemd", conf, MACHINE.root / BUSYBOX,
                 *tools.values())


def guest(kernel):
    folder = paths.LAB / "guest-root"
    tools = {name: programs.build(name) for name in programs.all_names()}
    usbip = MACHINE.root / programs.find("usbip").lstrip("/")
    agents = [paths.AGENT] if paths.AGENT.exists() else []

    def make():
        cpio = Cpio()
        cpio.file("init", folder / "init")
        cpio.file("lab.udhcpc", folder / "udhcpc")
        cpio.text("lab.load", " ".join(GUEST_LOAD))
        cpio.file("bin/busybox", MACHINE.root / BUSYBOX)
        cpio.link("bin/sh", "busybox")
        for name, binary in tools.items():
            cpio.file(name if name == "agent" else f"usr/bin/{name}", binary)
        cpio.file("usr/sbin/usbip", usbip)
        for agent in agents:
            cpio.file("usr/sbin/usbroute-agent", agent)
        for library in sorted({one for binary in (usbip, *agents) for one in programs.libraries(binary)}):
            cpio.file(library, MACHINE.root / library.lstrip("/"))
        cpio.file("usr/share/hwdata/usb.ids", MACHINE.root / "usr/share/hwdata/usb.ids")
        for name in ("dev", "proc", "sys", "tmp", "run", "var", "sbin", "usr/sbin", "usr/bin", "etc"):
            cpio.folder(name)
        with kernel.tree(GUEST_LOAD + GUEST_MORE) as files:
            for path, file in files:
                if file.suffix != ".bin":
                    cpio.file(str(path), file)
        return cpio

    return saved(f"guest-{kernel.version}", make, folder / "init", folder / "udhcpc", kernel.version, MACHINE.root / BUSYBOX,
                 usbip, *tools.values(), *agents)
