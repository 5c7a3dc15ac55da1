"""Debian's stock kernel, for the board and the guests. Owns CACHE/kernel.

The build machine's own kernel is of no use: it may lack every module that is needed. USBROUTED_LAB_KERNEL names
another than the default one: a series (6.12, from Debian's backports, whose dummy_hcd has a finer timer) or a version.
"""

import lzma
import os
import re
import shutil
import subprocess

from . import LabError, paths

XZ_MAGIC = b"\xfd7zXZ\x00"
DEFAULT_SERIES = "6.1"
# Where a series comes from that Debian's release doesn't have; asked with lists of the lab's own, so that this
# machine's package sources stay as they are.
BACKPORTS = ("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
             "http://deb.debian.org/debian bookworm-backports main\n")


class Packages:
    """apt: this machine's sources, or the backports."""

    def __init__(self, backports=False):
        self._options = ["-o", "APT::Sandbox::User=root"]
        if backports:
            folder = paths.cache("kernel", ".apt")
            paths.cache("kernel", ".apt", "lists", "partial")
            (folder / "sources.list").write_text(BACKPORTS)
            for key, value in (("Dir::Etc::sourcelist", folder / "sources.list"), ("Dir::Etc::sourceparts", "/dev/null"),
                               ("Dir::State::lists", folder / "lists"), ("Dir::Cache::pkgcache", ""),
                               ("Dir::Cache::srcpkgcache", "")):
                self._options += ["-o", f"{key}={value}"]
            self._run("apt-get", "-q", "update", cwd=folder)

    def _run(self, *words, cwd=None):
        got = subprocess.run([words[0], *self._options, *words[1:]], cwd=cwd, capture_output=True, text=True)
        if got.returncode:
            raise LabError(f"{' '.join(words)}: {got.stderr.strip()}")
        return got.stdout

    def newest(self):
        """The version that linux-image-amd64 depends on."""
        found = re.search(r"^Depends: linux-image-(\S+)",
                          self._run("apt-cache", "show", "--no-all-versions", "linux-image-amd64"), re.M)
        if not found:
            raise LabError("apt knows no linux-image-amd64: run `apt-get update` first")
        return found.group(1)

    def download(self, package, folder):
        self._run("apt-get", "-q", "download", package, cwd=folder)
        return next(folder.glob("*.deb"))


def is_of(version, series):
    return version == series or version.startswith(f"{series}.")


class Kernel:
    """One unpacked kernel: .image to boot, .modules with its modules, .version."""

    def __init__(self, version=None):
        wanted = version or os.environ.get("USBROUTED_LAB_KERNEL") or DEFAULT_SERIES
        self._packages = None
        self.version = cached(wanted) or self._find(wanted)
        self.folder = paths.cache("kernel") / self.version
        if not (self.folder / "ready").exists():
            self._fetch()
        self.image = self.folder / "vmlinux"
        self.modules = self.folder / "lib" / "modules" / self.version
        self._needs = None

    def _find(self, wanted):
        """The version of the series in Debian's release, or its backports; a whole version is taken as it is."""
        self._packages = Packages()
        if not re.fullmatch(r"\d+\.\d+", wanted):
            return wanted
        newest = self._packages.newest()
        if not is_of(newest, wanted):
            self._packages = Packages(backports=True)
            newest = self._packages.newest()
        if not is_of(newest, wanted):
            raise LabError(f"no kernel {wanted}: Debian's backports have {newest}")
        return newest

    def _fetch(self):
        scratch = paths.cache("kernel", ".unpack")
        shutil.rmtree(scratch)
        scratch.mkdir()
        package = f"linux-image-{self.version}"
        print(f"lab: fetching {package}", flush=True)
        root = scratch / "root"
        subprocess.run(["dpkg", "-x", self._packages.download(package, scratch), root], check=True)
        # Emulated, unpacking costs more than reading; and insmod can't.
        packed = [str(file) for file in root.rglob("*.ko.xz")]
        if packed:
            subprocess.run(["xargs", "-0", "xz", "-d"], input="\0".join(packed), text=True, check=True)
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


def cached(series):
    """A version of the series that is here already, so that a run needs no registry."""
    ready = sorted(paths.cache("kernel").glob("*/ready"), key=lambda file: file.stat().st_mtime)
    return next((file.parent.name for file in reversed(ready) if is_of(file.parent.name, series)), None)


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
