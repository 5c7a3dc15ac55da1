"""How the board's own QEMU runs: by KVM where that really works, else emulated. Owns CACHE/accelerator.json.

A /dev/kvm says little: it may not boot a stock kernel, or may not nest. So try once, and remember.
"""

import json
import os
import platform
import subprocess

from . import initramfs, paths

KVM = ["-accel", "kvm", "-cpu", "host"]
KVM_CPUS = 2
EMULATED = ["-accel", "tcg,thread=multi", "-cpu", "max,+svm,+npt"]
# With two emulated CPUs the board loses interrupts (it stands still for a minute) or its kernel is corrupted,
# within seconds of running guests; with one, within a few guests; with one and all of QEMU's threads on one
# CPU of the host, 12 of 12 guests came up. The cause is not known. A guess from these symptoms: QEMU's
# emulated SVM (7.2) changes a CPU's interrupt_request at a guest's entry and exit without the lock that others hold.
EMULATED_CPUS = int(os.environ.get("USBROUTED_LAB_CPUS", "1"))     # more: for a measurement that may break
PROBE_SECONDS = 40


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
    chosen = os.environ.get("USBROUTED_LAB_ACCEL")
    if chosen:
        return chosen == "kvm"
    memory = paths.cache() / "accelerator.json"
    here = [platform.release(), kernel.version, os.path.exists("/dev/kvm")]
    try:
        remembered = json.loads(memory.read_text())
    except (OSError, ValueError):
        remembered = {}
    if remembered.get("asked") != here:
        print("lab: trying whether this machine's KVM can run the board", flush=True)
        remembered = {"asked": here, "kvm": _kvm_boots(kernel)}
        memory.write_text(json.dumps(remembered))
        print(f"lab: the board will be {'run by KVM' if remembered['kvm'] else 'emulated'}", flush=True)
    return remembered["kvm"]


def cpu():
    """The CPU of this machine that an emulated board runs on: the last one that this process may use."""
    return max(os.sched_getaffinity(0))


def command(kernel):
    """The first words of the board's command: its QEMU, how it runs, how many CPUs it has."""
    if uses_kvm(kernel):
        return ["qemu-system-x86_64", *KVM, "-smp", str(KVM_CPUS)]
    cpus = sorted(os.sched_getaffinity(0))[-EMULATED_CPUS:]
    return ["taskset", "-c", ",".join(map(str, cpus)), "qemu-system-x86_64", *EMULATED, "-smp", str(EMULATED_CPUS)]
