"""Programs for the machines: the lab's own small C programs, built static, and this machine's with their libraries, for
guests. Owns CACHE/programs."""

import functools
import hashlib
import io
import pathlib
import re
import shutil
import subprocess
import tarfile

from . import LabError, foreign, machine, paths
from .machine import MACHINE

PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


def build(name):
    """Path of tests/lab/programs/NAME.c, built; built again only when its source or a header beside it changes."""
    source = paths.LAB / "programs" / f"{name}.c"
    read = (source, *sorted(source.parent.glob("*.h")))
    key = hashlib.sha256(b"".join(file.read_bytes() for file in read)).hexdigest()[:12]
    binary = paths.cache("programs") / f"{name}-{machine.NAME}-{key}"
    if not binary.exists():
        partial = binary.with_suffix(".new")
        built = subprocess.run([MACHINE.compiler, "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-static",
                                "-o", partial, source], capture_output=True, text=True)
        if built.returncode:
            raise LabError(f"{source.name} does not build:\n{built.stderr}")
        partial.rename(binary)
    return binary


def all_names():
    return sorted(source.stem for source in (paths.LAB / "programs").glob("*.c"))


def libraries(binary):
    """What the loader loads for it, itself with it."""
    if machine.FOREIGN:
        return foreign.libraries(binary, MACHINE.root)
    shown = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    return sorted(set(re.findall(r"(/\S+) \(0x", shown)))


def find(name):
    """Where something of the machine is: a path, a library that a program loads by itself, a program."""
    if "/" in name:
        return name
    if machine.FOREIGN:
        return foreign.find(name, MACHINE.root)
    if ".so" in name:
        known = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
        return next(iter(re.findall(rf"^\s{re.escape(name)} .* => (/\S+)$", known, re.M)), None)
    return shutil.which(name, path=PATH)


@functools.cache
def bundle(*names):
    """A tar of programs and libraries (by name) and files and folders (by path) of this machine, with the libraries of what
    needs some."""
    wanted = []
    # libgcc is what pthread_exit() loads.
    for name in (*names, "libgcc_s.so.1"):
        path = find(name)
        path = MACHINE.root / path.lstrip("/") if path else None
        if not path or not path.exists():
            raise LabError(f"{name} is not installed (tests/deps)")
        wanted += [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]
    needed = set()
    for path in wanted:
        if path.read_bytes()[:4] == b"\x7fELF":
            needed.update(MACHINE.root / one.lstrip("/") for one in libraries(path))
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz", compresslevel=1, dereference=True) as tar:
        for path in sorted({*wanted, *needed}):
            tar.add(path, arcname=str(path.relative_to(MACHINE.root)))
    return data.getvalue()
