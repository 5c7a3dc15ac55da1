"""What kind of machine the board and its guests are: this machine's own, or arm64, as the MaaXBoard is. Owns no state.

USBROUTED_LAB_MACHINE=arm64 takes arm64 on a machine of another kind: emulated, with Debian's arm64 programs, kernel and
packages in a root of their own (lab/foreign.py) and a cross build (tests/arm64). The scenarios know nothing of it.
"""

import os
import pathlib
import platform

from . import foreign

AMD64, ARM64 = "amd64", "arm64"
OWN = ARM64 if platform.machine() == "aarch64" else AMD64


class Amd64:
    """An x86 server."""

    kernel_package = "linux-image-amd64"
    compiler = "gcc"
    qemu = "qemu-system-x86_64"
    emulated = ["-accel", "tcg,thread=multi", "-cpu", "max,+svm,+npt"]
    board_machine = "q35,i8042=off"
    board_memory = 3072
    board_cpus = None           # as many as accelerator.py finds to hold
    console = "ttyS0"
    kvm_modules = ["kvm_amd", "kvm_intel"]
    guest_machine = "q35,memory-backend=mem,i8042=off,smbus=off,sata=off,hpet=off"
    # Emulated SVM lets a guest's XSETBV through unseen, so KVM's idea of its XSAVE state is wrong.
    guest_cpu = "host,-xsave"
    root = pathlib.Path("/")    # where its programs and libraries are


class Arm64:
    """As a MaaXBoard: 4 × Cortex-A53, 2 GB, GICv3, its kernel at EL2. Debian's kernel has KVM built in."""

    kernel_package = "linux-image-arm64"
    compiler = "aarch64-linux-gnu-gcc"
    qemu = "qemu-system-aarch64"
    # `max` was three times as slow.
    emulated = ["-accel", "tcg,thread=multi", "-cpu", "cortex-a53"]
    board_machine = "virt,virtualization=on,gic-version=3"
    board_memory = 2048
    board_cpus = 4
    console = "ttyAMA0"
    kvm_modules = []
    guest_machine = "virt,gic-version=host,memory-backend=mem"
    guest_cpu = "host"

    @property
    def root(self):
        return foreign.root(ARM64) if FOREIGN else pathlib.Path("/")


NAME = os.environ.get("USBROUTED_LAB_MACHINE") or OWN
MACHINES = {AMD64: Amd64(), ARM64: Arm64()}
if NAME not in MACHINES:
    raise SystemExit(f"USBROUTED_LAB_MACHINE={NAME}: expected {' or '.join(MACHINES)}")
MACHINE = MACHINES[NAME]
FOREIGN = NAME != OWN
