"""A Debian root of another architecture, which runs nothing of it while it is made. Owns CACHE/ARCHITECTURE.

It is the board's root, and what a cross build finds headers and libraries in. Packages are unpacked, not set up, so a
few files that their scripts would make are made here.
"""

import fcntl
import json
import pathlib
import re
import shutil
import subprocess

from . import LabError, paths, sources

# To build; to run the programs; the board's system; what guests take from it.
PACKAGES = """
libc6-dev linux-libc-dev liburing-dev libusb-1.0-0-dev libudev-dev libsystemd-dev libjansson-dev libcmocka-dev
libumockdev-dev libvirt-dev libxml2-dev libgcc-s1 libgcc-12-dev|libgcc-14-dev
libusb-1.0-0 libudev1 liburing2 libjansson4 libsystemd0
base-files base-passwd libc-bin bash dash coreutils mawk sed grep findutils util-linux mount kmod udev usbutils hostname tar gzip
hwdata usb.ids qemu-system-arm iproute2 procps strace ethtool e2fsprogs python3 iperf3 alsa-utils
device-tree-compiler systemd-standalone-sysusers dnsmasq-base
usbip busybox-static
""".split()
# Unit tests that are linked with liburing and never ask it for anything. What does ask needs a kernel of that architecture:
# emulation of programs has no io_uring.
NO_IO_URING = set("""
replay-control replay-hid-session replay-state-files replay-usbip-session replay-vm-process test-hid-session test-stranger
test-usb-backend test-usb-memory test-usbip-client test-usbip-model test-usbip-packets test-usbip-session turns
""".split())
GROUPS = ("kvm", "render", "sgx")       # udev's rules name them


def root(architecture):
    """The root's folder; made where it is missing."""
    folder = paths.cache(architecture) / "root"
    with open(paths.cache(architecture) / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ready = folder / "etc" / "usbrouted-ready"      # made of which packages
        if not ready.exists() or ready.read_text().split() != PACKAGES:
            _make(folder, architecture)
            ready.write_text("\n".join(PACKAGES) + "\n")
    return folder


def _make(folder, architecture):
    if not shutil.which("mmdebstrap"):
        raise LabError("no mmdebstrap here: `tests/deps arm64` installs it")
    release = sources.own_release()
    print(f"lab: unpacking Debian {release} for {architecture} in {folder}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    log = paths.cache(architecture) / "mmdebstrap.log"
    conf = paths.cache(architecture) / "apt.conf"
    conf.write_text(sources.ways())
    with open(log, "wb") as out:
        made = subprocess.run(
            ["mmdebstrap", f"--architectures={architecture}", "--variant=extract", "--mode=root",
             f"--aptopt={conf}", "--include=" + ",".join(_there_is(PACKAGES, release)), release, str(folder), "-"],
            input=sources.lines_for(release).encode(), stdout=out, stderr=out)
    if made.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
        raise LabError(f"Debian {release} for {architecture} can't be had: mmdebstrap ended with {made.returncode}:\n{tail}")
    _set_up(folder)


def _there_is(packages, release):
    """`a|b`: a in Debian 12, b in 13."""
    at = list(sources.RELEASES.values()).index(release)
    return [names[min(at, len(names) - 1)] for names in (package.split("|") for package in packages)]


def _set_up(folder):
    etc, masters = folder / "etc", folder / "usr" / "share" / "base-passwd"
    shutil.copy(masters / "passwd.master", etc / "passwd")
    groups = (masters / "group.master").read_text()
    groups += "".join(f"{name}:x:{900 + at}:\n" for at, name in enumerate(GROUPS))
    (etc / "group").write_text(groups)
    awk = folder / "usr" / "bin" / "awk"
    if not awk.exists():
        awk.symlink_to("mawk")


def libraries(binary, folder):
    """What the loader of that root loads for a program, itself with it, as paths in the root."""
    places = [place for place in ("lib", "usr/lib") for place in
              [*sorted((folder / place).glob("*-linux-gnu*")), folder / place] if place.is_dir()]
    found, todo = {}, [binary]
    while todo:
        shown = subprocess.run(["readelf", "-dlW", todo.pop()], capture_output=True, text=True, check=True).stdout
        for name in [*re.findall(r"\(NEEDED\).*\[(\S+)\]", shown),
                     *re.findall(r"program interpreter: (\S+)\]", shown)]:
            if name in found:
                continue
            where = [folder / name.lstrip("/")] if "/" in name else [place / name for place in places]
            file = next((file for file in where if file.exists()), None)
            if not file:
                raise LabError(f"{binary}: its library {name} is not in {folder}")
            found[name] = "/" + str(file.relative_to(folder))
            todo.append(file)
    return sorted(found.values())


def is_arm64(file):
    """Whether it is a program or a library for arm64 (ELF's e_machine)."""
    try:
        with open(file, "rb") as opened:
            head = opened.read(20)
    except OSError:
        return False
    return head[:4] == b"\x7fELF" and int.from_bytes(head[18:20], "little") == 183


def needs_io_uring(program):
    """Whether a program of the build asks for io_uring."""
    if pathlib.Path(program).name in NO_IO_URING:
        return False
    shown = subprocess.run(["readelf", "-d", program], capture_output=True, text=True, check=True).stdout
    return bool(re.search(r"\(NEEDED\).*\[liburing\.", shown))


def unit_tests(build):
    """(test as meson introspects it, why emulation of programs can't run it or None) of a build for arm64. Scripts are not
    among them: they are the same on every machine."""
    told = subprocess.run(["meson", "introspect", "--tests", build], capture_output=True, check=True).stdout
    for one in json.loads(told):
        program, *words = one["cmd"]
        if not any(suite.endswith("unit") for suite in one["suite"]) or not is_arm64(build / program):
            continue
        others = [pathlib.Path(word).name for word in [*words, *one["env"].values()] if is_arm64(build / word)]
        yield one, f"starts {', '.join(others)}" if others else "needs io_uring" if needs_io_uring(build / program) else None


def find(name, folder):
    """Where a library or a program of that root is, as a path in it; None: it isn't there."""
    places = ["usr/sbin", "sbin", "usr/bin", "bin"]
    if ".so" in name:
        places = [str(place.relative_to(folder)) for top in ("lib", "usr/lib")
                  for place in sorted((folder / top).glob("*-linux-gnu*"))]
    return next((f"/{place}/{name}" for place in places if pathlib.Path(folder, place, name).exists()), None)
