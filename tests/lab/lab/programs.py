"""The lab's own small C programs, built static. Owns CACHE/programs."""

import hashlib
import subprocess

from . import LabError, paths


def build(name):
    """Path of tests/lab/programs/NAME.c, built; built again only when its source changes."""
    source = paths.LAB / "programs" / f"{name}.c"
    key = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    binary = paths.cache("programs") / f"{name}-{key}"
    if not binary.exists():
        partial = binary.with_suffix(".new")
        built = subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-static",
                                "-o", partial, source], capture_output=True, text=True)
        if built.returncode:
            raise LabError(f"{source.name} does not build:\n{built.stderr}")
        partial.rename(binary)
    return binary


def all_names():
    return sorted(source.stem for source in (paths.LAB / "programs").glob("*.c"))
