"""How the board's own QEMU runs: by KVM where that really works, else emulated. Owns CACHE/accelerator.json.

A /dev/kvm says little: it may not boot a stock kernel, or may not nest. So try once, and remember.
"""

import json
import os
import platform
import subprocess

from . import initramfs, paths

KVM = ["-accel", "kvm", "-cpu", "host"]
EMULATED = ["-accel", "tcg,thread=multi", "-cpu", "max,+svm,+npt"]
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


def options(kernel):
    """QEMU's words for this machine. USBROUTED_LAB_ACCEL=kvm or =tcg decides without a probe."""
    chosen = os.environ.get("USBROUTED_LAB_ACCEL")
    if chosen:
        return KVM if chosen == "kvm" else EMULATED
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
    return KVM if remembered["kvm"] else EMULATED
