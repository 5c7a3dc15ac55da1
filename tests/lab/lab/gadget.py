"""USB gadgets on the board: devices whose other end is the test's. Owns their configfs trees and dummy_hcd.

    gadget = Gadget(board, "keys", [Hid()], speed="high-speed")
    gadget.plug(); gadget.busid; gadget.unplug()

dummy_hcd has no isochronous transfers and a timer of 1 ms; what a gadget's function makes on the board (/dev/hidg0,
/dev/ttyGS0, a network card) is the far end.
"""

import shlex

from .board import EVENT_SECONDS

ROOT = "/sys/kernel/config/usb_gadget"
CONTROLLERS = 4
# The board is a KVM host: these are for the guests' devices, and would be loaded by udev.
KEPT_OFF = ("usbtest",)
SERIAL = "LAB-GADGET-1"

# usbhid's boot keyboard: eight bytes in, one byte of LEDs out.
KEYBOARD_REPORT = bytes.fromhex(
    "05010906a101050719e029e71500250175019508810295017508810395057501050819012905910295017503910395067508150025650507"
    "190029658100c0")
# A mouse: three buttons, relative X and Y of 16 bits.
MOUSE_REPORT = bytes.fromhex(
    "05010902a1010901a1000509190129031500250195037501810295017505810305010930093116018026ff7f751095028106c0c0")


def _set(path, values):
    return [f"printf %s {shlex.quote(str(value))} > {path}/{name}" for name, value in values.items()]


class Function:
    """One function of a gadget: .kind as configfs calls it, what is written into its folder."""

    def __init__(self, kind, **values):
        self.kind = kind
        self.values = values

    def commands(self, path):
        return _set(path, self.values)

    def teardown(self):
        """What else goes, after the gadget is pulled out and before its folders."""
        return []


class Hid(Function):
    def __init__(self, report=KEYBOARD_REPORT, length=8, subclass=1, protocol=1, out_endpoint=True):
        super().__init__("hid", subclass=subclass, protocol=protocol, report_length=length,
                         no_out_endpoint=int(not out_endpoint))
        self.report = report

    def commands(self, path):
        octal = "".join(f"\\{byte:03o}" for byte in self.report)
        return [*super().commands(path), f"printf '{octal}' > {path}/report_desc"]


class Disk(Function):
    def __init__(self, file, removable=True, stall=True):
        super().__init__("mass_storage", stall=int(stall))
        self.file, self.removable = file, removable

    def commands(self, path):
        return [*super().commands(path),
                *_set(f"{path}/lun.0", {"removable": int(self.removable), "file": self.file})]


class Awkward(Function):
    """programs/awkward.c behind FunctionFS: does what programs/usbstatus.c tells it, in the guest or on the board."""

    MOUNT = "/run/lab/awkward.mount"

    def __init__(self):
        super().__init__("ffs")

    def commands(self, path):
        instance = path.rpartition(".")[2]
        return [f"mkdir -p {self.MOUNT}", f"mount -t functionfs {instance} {self.MOUNT}",
                f"(setsid /run/lab/awkward {self.MOUNT} </dev/null >{self.MOUNT}.log 2>&1 &)",
                f"until grep -q ready {self.MOUNT}.log; do sleep 0.1; done"]

    def teardown(self):
        return [f"umount {self.MOUNT}"]


def source_sink(pattern=1):
    return Function("SourceSink", pattern=pattern)


def loopback():
    return Function("Loopback")


def prepare(board):
    """Controllers for gadgets, and the drivers that the board must not have."""
    lines = "".join(f"blacklist {module}\n" for module in KEPT_OFF)
    board.write("/etc/modprobe.d/lab-gadgets.conf", lines)
    board.run(f"modprobe libcomposite && modprobe dummy_hcd is_super_speed=1 num={CONTROLLERS}", check=True)


class Gadget:
    """One device. configurations: lists of functions, the first being the one that the board chooses."""

    def __init__(self, board, name, functions, *more_configurations, speed="high-speed", vendor=0x1d6b,
                 product=0x0104, serial=SERIAL, controller=0, bcd=None, device_class=0):
        self.board = board
        self.name = name
        self.serial = serial
        self.configurations = [functions, *more_configurations]
        self.speed = speed
        self.udc = f"dummy_udc.{controller}"
        self.path = f"{ROOT}/{name}"
        self.device = {"idVendor": vendor, "idProduct": product, "bcdUSB": bcd or 0x0200,
                       "bDeviceClass": device_class, "max_speed": speed}
        self.made = False

    def _links(self):
        number = 0
        for n, functions in enumerate(self.configurations, 1):
            for function in functions:
                yield n, function, f"{function.kind}.lab{number}"
                number += 1

    def make(self):
        p = self.path
        commands = ["set -e", "[ -d /sys/module/dummy_hcd ]", f"mkdir {p}", f"mkdir {p}/strings/0x409"]
        commands += _set(p, self.device)
        commands += _set(f"{p}/strings/0x409", {"serialnumber": self.serial, "manufacturer": "lab",
                                                "product": f"gadget {self.name}"})
        for n in range(1, len(self.configurations) + 1):
            commands += [f"mkdir {p}/configs/c.{n}", f"mkdir {p}/configs/c.{n}/strings/0x409"]
        for n, function, instance in self._links():
            commands += [f"mkdir {p}/functions/{instance}", *function.commands(f"{p}/functions/{instance}"),
                         f"ln -s {p}/functions/{instance} {p}/configs/c.{n}/"]
        self.made = True
        self.board.run("\n".join(commands), check=True)

    def plug(self):
        """Make it where it is not yet, plug it in, and wait until the board has enumerated it."""
        if not self.made:
            self.make()
        self.board.run(f"echo {self.udc} > {self.path}/UDC", check=True)
        self.wait_board()

    def wait_board(self):
        self.board.wait(f"grep -q -s -x {self.serial} /sys/bus/usb/devices/*/serial", EVENT_SECONDS,
                        f"gadget {self.name} enumerated on the board")

    def unplug(self):
        """Pull it out; its tree stays."""
        self.board.run(f"echo > {self.path}/UDC", check=True)
        self.board.wait(f"! grep -q -s -x {self.serial} /sys/bus/usb/devices/*/serial", EVENT_SECONDS,
                        f"gadget {self.name} gone from the board")

    @property
    def busid(self):
        return self.board.text(f"grep -l -s -x {self.serial} /sys/bus/usb/devices/*/serial").split("/")[-2]

    def remove(self):
        """All of it, whatever state it is in."""
        p = self.path
        # A program that is a function ends first: where it is still there, Debian's 6.1.176 waits for good in the next line.
        commands = ["while pkill -x awkward; do sleep 0.1; done", f"echo > {p}/UDC"]
        commands += [command for _, function, _ in self._links() for command in function.teardown()]
        commands += [f"rm {p}/configs/c.{n}/{instance}" for n, _, instance in self._links()]
        for n in range(1, len(self.configurations) + 1):
            commands += [f"rmdir {p}/configs/c.{n}/strings/0x409", f"rmdir {p}/configs/c.{n}"]
        commands += [f"rmdir {p}/functions/{instance}" for _, _, instance in self._links()]
        commands += [f"rmdir {p}/strings/0x409", f"rmdir {p}"]
        self.board.run("; ".join(commands))
        self.made = False
