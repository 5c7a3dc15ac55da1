"""Debian's stock kernel, for the board and the guests. Owns CACHE/kernel.

The build machine's own kernel is of no use: it may lack every module that is needed. Without a word it is the release's own
(Debian 12: 6.1, Debian 13: 6.12). USBROUTED_LAB_KERNEL names another one: a series, which then comes from the release's
backports or from the other release, or a version.
"""

import contextlib
import lzma
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from . import LabError, machine, paths, sources
from .machine import MACHINE

XZ_MAGIC = b"\xfd7zXZ\x00"
SERIES = {"bookworm": "6.1", "trixie": "6.12"}


class Packages:
    """apt: this machine's sources, or others, with lists of the lab's own, so that this machine's stay as they are."""

    def __init__(self, name=None, lines=None):
        self._options = ["-o", "APT::Sandbox::User=root"]
        if machine.FOREIGN:
            # This machine's own lists have nothing for it.
            name, lines = f"{name or 'own'}-{machine.NAME}", lines or sources.lines_for(sources.own_release())
            self._options += ["-o", f"APT::Architecture={machine.NAME}", "-o", f"APT::Architectures={machine.NAME}"]
        if lines:
            folder = paths.cache("kernel", ".apt", name)
            paths.cache("kernel", ".apt", name, "lists", "partial")
            (folder / "sources.list").write_text(lines)
            for key, value in (("Dir::Etc::sourcelist", folder / "sources.list"), ("Dir::Etc::sourceparts", "/dev/null"),
                               ("Dir::State::lists", folder / "lists"), ("Dir::Cache::pkgcache", ""),
                               ("Dir::Cache::srcpkgcache", "")):
                self._options += ["-o", f"{key}={value}"]
            self._run("apt-get", "-q", "update", cwd=folder)

    def _run(self, *words, cwd=None):
        return sources.run(words[0], *self._options, *words[1:], cwd=cwd)

    def newest(self):
        """The version that the kernel's own package depends on."""
        found = re.search(r"^Depends: linux-image-(\S+)",
                          self._run("apt-cache", "show", "--no-all-versions", MACHINE.kernel_package), re.M)
        if not found:
            raise LabError(f"apt knows no {MACHINE.kernel_package} (`apt-get update` brings what a source has)")
        return found.group(1)

    def download(self, package, folder):
        self._run("apt-get", "-q", "download", package, cwd=folder)
        return next(folder.glob("*.deb"))


def elsewhere():
    """Where a series may be that this machine's own sources don't have: (name, sources.list) each, the nearest first."""
    own, other = sources.own_release(), sources.other_release()
    yield f"{own}-backports", sources.lines_for_backports(own)
    yield other, sources.lines_for(other)


def is_of(version, series):
    return version == series or version.startswith(f"{series}.")


class Kernel:
    """One unpacked kernel: .image to boot, .modules with its modules, .version."""

    def __init__(self, version=None):
        wanted = version or os.environ.get("USBROUTED_LAB_KERNEL") or SERIES[sources.own_release()]
        self._packages = None
        self.version = cached(wanted) or self._find(wanted)
        self.folder = paths.cache("kernel") / self.version
        if not (self.folder / "ready").exists():
            self._fetch()
        self.image = self.folder / "vmlinux"
        self.packed = self.folder / "boot" / f"vmlinuz-{self.version}"      # as it is installed
        self.modules = self.folder / "lib" / "modules" / self.version
        self._needs = None

    def _find(self, wanted):
        """The newest version of a series, wherever it is; a whole version is taken as it is."""
        self._packages = Packages()
        if not re.fullmatch(r"\d+\.\d+", wanted):
            return wanted
        seen = [self._packages.newest()]
        places = elsewhere()
        while not is_of(seen[-1], wanted):
            place = next(places, None)
            if not place:
                raise LabError(f"no kernel {wanted}: this machine's sources have {seen[0]}, elsewhere is {', '.join(seen[1:])}")
            try:
                self._packages = Packages(*place)
                seen.append(self._packages.newest())
            except LabError as error:       # a server need not have them all
                print(f"lab: {place[0]}: {error}", flush=True)
        return seen[-1]

    def _fetch(self):
        scratch = paths.cache("kernel", ".unpack")
        shutil.rmtree(scratch)
        scratch.mkdir()
        package = f"linux-image-{self.version}"
        print(f"lab: fetching {package}", flush=True)
        root = scratch / "root"
        subprocess.run(["dpkg", "-x", self._packages.download(package, scratch), root], check=True)
        merged = root / "usr" / "lib" / "modules"       # Debian 13's; depmod looks in /lib
        if merged.is_dir():
            (root / "lib").mkdir(exist_ok=True)
            merged.rename(root / "lib" / "modules")
        unpack_modules(root)
        subprocess.run(["depmod", "-b", root, self.version], check=True)
        unpack_image(root / "boot" / f"vmlinuz-{self.version}", root / "vmlinux")
        (root / "ready").touch()
        shutil.rmtree(self.folder, ignore_errors=True)
        root.rename(self.folder)
        shutil.rmtree(scratch)

    @contextlib.contextmanager
    def tree(self, names):
        """A module tree of these and all they need, for a root whose modprobe and udev are to know aliases and dependencies:
        pairs of a path in that root and a file, which is gone afterwards."""
        with tempfile.TemporaryDirectory(dir=paths.cache("images")) as scratch:
            scratch = pathlib.Path(scratch)
            tree = scratch / "lib" / "modules" / self.version
            tree.mkdir(parents=True)
            for file in self.needed_by(names):
                (tree / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.modules / file, tree / file)
            for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
                shutil.copy(self.modules / name, tree / name)
            subprocess.run(["depmod", "-b", scratch, self.version], check=True)
            yield [(file.relative_to(scratch), file) for file in sorted(tree.rglob("*")) if file.is_file()]

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


def cached(series):
    """A version of the series that is here already, so that a run needs no registry."""
    ready = sorted(paths.cache("kernel").glob("*/ready"), key=lambda file: file.stat().st_mtime)
    return next((file.parent.name for file in reversed(ready)
                 if is_of(file.parent.name, series) and file.parent.name.endswith(f"-{machine.NAME}")), None)


def module_name(file):
    return os.path.basename(file).split(".ko")[0].replace("-", "_")


def unpack_modules(root):
    """Emulated, unpacking costs more than reading; and insmod can't."""
    for file in list(root.rglob("*.ko.xz")):
        file.with_suffix("").write_bytes(lzma.decompress(file.read_bytes()))
        file.unlink()
    packed = [str(file) for file in root.rglob("*.ko.zst")]
    if packed:
        subprocess.run(["xargs", "-0", "zstd", "-q", "-d", "--rm"], input="\0".join(packed), text=True, check=True)


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
