"""How the board's own QEMU runs: by KVM where that really works, else emulated. Owns CACHE/accelerator.json.

A /dev/kvm says little: it may not boot a stock kernel, or may not nest. So try once, and remember.
"""

import functools
import json
import os
import platform
import re
import shutil
import subprocess

from . import LabError, initramfs, machine, paths
from .machine import MACHINE

KVM = ["-accel", "kvm", "-cpu", "host"]
KVM_CPUS = 2
# QEMU 7.2 with two emulated CPUs: the board loses interrupts (it stands still for a minute) or its kernel is corrupted,
# within seconds of running guests; with one, within a few guests; with one and all of QEMU's threads on one
# CPU of the host, 12 of 12 guests came up. The cause is not known. A guess from these symptoms: QEMU's
# emulated SVM (7.2) changes a CPU's interrupt_request at a guest's entry and exit without the lock that others hold.
# QEMU 10.0 (Linux 6.12) with two, on two CPUs of the host: 12 of 12 guests came up on one that had little else to do, and 5 of 5
# boots ran key, disk and guests-reach-each-other at a load of 5 to 7. Once, at a load of 25, the board's kernel stalled (its
# clocks calibrated wrong); USBROUTED_LAB_CPUS=1 is for such a machine.
HOLDS_TWO = (10, 0)
PROBE_SECONDS = 40


@functools.cache
def qemu_version():
    """(major, minor) of this machine's QEMU."""
    return version_in(subprocess.run([MACHINE.qemu, "--version"], capture_output=True, text=True, check=True).stdout)


def version_in(said):
    """(major, minor) in what a QEMU says with --version."""
    return tuple(map(int, re.search(r"version (\d+)\.(\d+)", said).groups()))


def _kvm_boots(kernel):
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    command = ["qemu-system-x86_64", *KVM, "-M", "q35", "-m", "512", "-nodefaults", "-no-reboot",
               "-display", "none", "-serial", "stdio", "-kernel", kernel.image,
               "-initrd", initramfs.board(kernel), "-append", "console=ttyS0 panic=-1 lab.probe"]
    try:
        tried = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                               timeout=PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return b"lab-probe: kvm" in tried.stdout


def uses_kvm(kernel):
    """Whether the board runs by KVM. USBROUTED_LAB_ACCEL=kvm or =tcg decides without a probe."""
    if machine.FOREIGN:
        return False
    chosen = os.environ.get("USBROUTED_LAB_ACCEL")
    if chosen:
        return chosen == "kvm"
    memory = paths.cache() / "accelerator.json"
    here = f"{platform.release()}, {kernel.version}, QEMU {qemu_version()}, {'a' if os.path.exists('/dev/kvm') else 'no'} kvm"
    try:
        remembered = {key: value for key, value in json.loads(memory.read_text()).items() if isinstance(value, bool)}
    except (OSError, ValueError, AttributeError):
        remembered = {}
    if here not in remembered:
        print("lab: trying whether this machine's KVM can run the board", flush=True)
        remembered[here] = _kvm_boots(kernel)
        memory.write_text(json.dumps(remembered))
        print(f"lab: the board will be {'run by KVM' if remembered[here] else 'emulated'}", flush=True)
    return remembered[here]


def _emulated_cpus():
    """How many CPUs an emulated board has: two where QEMU holds that and this process may use as many. USBROUTED_LAB_CPUS: so many."""
    holds = 2 if machine.FOREIGN or qemu_version() >= HOLDS_TWO else 1
    return int(os.environ.get("USBROUTED_LAB_CPUS") or min(holds, len(os.sched_getaffinity(0))))


def cpus():
    """The CPUs of this machine that the board runs on, the last ones that this process may use; no other board may."""
    return sorted(os.sched_getaffinity(0))[-_emulated_cpus():]


def command(kernel):
    """The first words of the board's command: its QEMU, how it runs, how many CPUs it has."""
    if not shutil.which(MACHINE.qemu):
        raise LabError(f"no {MACHINE.qemu} here: `tests/deps{' ' + machine.NAME if machine.FOREIGN else ''}` installs it")
    if uses_kvm(kernel):
        return ["qemu-system-x86_64", *KVM, "-smp", str(KVM_CPUS)]
    number = MACHINE.board_cpus or _emulated_cpus()
    return ["taskset", "-c", ",".join(map(str, cpus())), MACHINE.qemu, *MACHINE.emulated, "-smp", str(number)]
