"""Where things are: the checkout, the build, the cache. Owns no state."""

import os
import pathlib

LAB = pathlib.Path(__file__).resolve().parent.parent
REPO = LAB.parent.parent

# The one place that knows where the programs under test are built.
_FOLDER = "build-arm64" if os.environ.get("USBROUTED_LAB_MACHINE") == "arm64" else "build"
BUILD = pathlib.Path(os.environ.get("USBROUTED_BUILD", REPO / _FOLDER)).absolute()


def daemon(build=BUILD):
    return build / "daemon" / "usbrouted"


DAEMON = daemon()
VM_PROCESS = BUILD / "daemon" / "usbrouted-vm"
CTL = BUILD / "ctl" / "usbroutectl"
LIBVIRT = BUILD / "libvirt" / "usbrouted-libvirt"
AGENT = BUILD / "agent" / "usbroute-agent"

# Kernels, images, logs: all can be made again.
CACHE = pathlib.Path(os.environ.get("USBROUTED_LAB_CACHE", REPO / ".lab-cache")).absolute()


def cache(*parts):
    """A folder in the cache, made where it is missing."""
    folder = CACHE.joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    ignore = CACHE / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return folder
