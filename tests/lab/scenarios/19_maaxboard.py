"""What is said for the MaaXBoard, held against the board that runs here."""

from lab import machine, options, paths
from lab.scenario import check, scenario

FRAGMENTS = ("board.config", "guest.config")


@scenario("kernel-options")
def kernel_options(lab):
    """The kernel that board and guests run has what configs/kernel asks for. On amd64 its arm64 part is left out."""
    kernel = lab.board.kernel
    has = (kernel.folder / "boot" / f"config-{kernel.version}").read_text()
    for name in FRAGMENTS:
        text = (paths.REPO / "configs" / "kernel" / name).read_text()
        found = options.wrong(text, has, machine.NAME)
        check(not found, f"configs/kernel/{name} and Debian's {kernel.version}: " + "; ".join(found))
        # What it would not find, it would not hold.
        for right, mistake, said in (("CONFIG_USB=", "CONFIG_USV=", "CONFIG_USV: expected y or m, found nothing"),
                                     ("CONFIG_UNIX=", "CONFIG_USB_STORAGE_SDDR09=", "CONFIG_USB_STORAGE_SDDR09: expected y, found m"),
                                     ("CONFIG_NET=", "CONFIG_NET =", "`CONFIG_NET =y`: expected CONFIG_NAME=y")):
            check(right in text, f"{name} has no {right}")
            found = options.wrong(text.replace(right, mistake, 1), has, machine.NAME)
            check(found == [said], f"{name} with {mistake} in the place of {right}: {found}, not {said!r}")
