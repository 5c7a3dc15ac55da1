"""Debian's stock kernel, for the board and the guests. Owns CACHE/kernel.

The build machine's own kernel is of no use: it may lack every module that is needed.
"""

import lzma
import os
import re
import shutil
import subprocess

from . import LabError, paths

XZ_MAGIC = b"\xfd7zXZ\x00"


def newest():
    """The version that Debian's linux-image-amd64 depends on now."""
    shown = subprocess.run(["apt-cache", "show", "--no-all-versions", "linux-image-amd64"],
                           capture_output=True, text=True).stdout
    found = re.search(r"^Depends: linux-image-(\S+)", shown, re.M)
    if not found:
        raise LabError("apt knows no linux-image-amd64: run `apt-get update` first")
    return found.group(1)


class Kernel:
    """One unpacked kernel: .image to boot, .modules with its modules, .version."""

    def __init__(self, version=None):
        self.version = version or os.environ.get("USBROUTED_LAB_KERNEL") or cached() or newest()
        self.folder = paths.cache("kernel") / self.version
        if not (self.folder / "ready").exists():
            self._fetch()
        self.image = self.folder / "vmlinux"
        self.modules = self.folder / "lib" / "modules" / self.version
        self._needs = None

    def _fetch(self):
        scratch = paths.cache("kernel", ".unpack")
        shutil.rmtree(scratch)
        scratch.mkdir()
        package = f"linux-image-{self.version}"
        print(f"lab: fetching {package}", flush=True)
        got = subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package],
                             cwd=scratch, capture_output=True, text=True)
        if got.returncode:
            raise LabError(f"cannot fetch {package}: {got.stderr.strip()}")
        root = scratch / "root"
        subprocess.run(["dpkg", "-x", next(scratch.glob("*.deb")), root], check=True)
        subprocess.run(["depmod", "-b", root, self.version], check=True)
        unpack_image(root / "boot" / f"vmlinuz-{self.version}", root / "vmlinux")
        (root / "ready").touch()
        shutil.rmtree(self.folder, ignore_errors=True)
        root.rename(self.folder)
        shutil.rmtree(scratch)

    def needed_by(self, names):
        """Paths of modules and all they need, relative to .modules, in the order to insert them."""
        if self._needs is None:
            self._needs = {}
            for line in (self.modules / "modules.dep").read_text().splitlines():
                file, _, needs = line.partition(":")
                self._needs[module_name(file)] = (file, needs.split())
            builtin = (self.modules / "modules.builtin").read_text().split()
            self._builtin = {module_name(file) for file in builtin}
        order = []
        for name in names:
            name = name.replace("-", "_")
            if name in self._builtin:
                continue
            if name not in self._needs:
                raise LabError(f"kernel {self.version} has no module {name}")
            file, needs = self._needs[name]
            for one in [*reversed(needs), file]:
                if one not in order:
                    order.append(one)
        return order


def cached():
    """A version that is here already, so that a run needs no registry."""
    ready = sorted(paths.cache("kernel").glob("*/ready"), key=lambda file: file.stat().st_mtime)
    return ready[-1].parent.name if ready else None


def module_name(file):
    return os.path.basename(file).split(".ko")[0].replace("-", "_")


def unpack_image(bzimage, vmlinux):
    """The plain ELF inside a bzImage: emulated, unpacking xz twice a run costs seconds."""
    data = bzimage.read_bytes()
    at = data.find(XZ_MAGIC)
    while at >= 0:
        try:
            plain = lzma.LZMADecompressor().decompress(data[at:])
        except lzma.LZMAError:
            plain = b""
        if plain.startswith(b"\x7fELF"):
            vmlinux.write_bytes(plain)
            return
        at = data.find(XZ_MAGIC, at + 1)
    shutil.copy(bzimage, vmlinux)
