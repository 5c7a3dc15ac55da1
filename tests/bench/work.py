"""The work that tests/bench/usb measures, the same on every way: the gadgets, and a row for each thing that is timed.

A machine (the guest, or the board itself) is asked through its agent. Each row's seconds are measured where the
work is done: usbtest by that machine's kernel, reads by the reading program, the key at the gadget's end.
"""

import collections

from lab import LabError, LabTimeout
from lab.gadget import Disk, Gadget, Hid, loopback, prepare, source_sink

# times: what is repeated, by a full run and by a quick one.
Row = collections.namedtuple("Row", "name kind full quick arguments")

LENGTH = 512
QUEUE = 32
ROWS = [
    Row("usbtest 1: bulk out", "usbtest", 200, 5, (1, LENGTH, 0, 1)),
    Row("usbtest 2: bulk in", "usbtest", 200, 5, (2, LENGTH, 0, 1)),
    Row("usbtest 5: scatter-gather out", "usbtest", 50, 2, (5, LENGTH, 0, QUEUE)),
    Row("usbtest 6: scatter-gather in", "usbtest", 50, 2, (6, LENGTH, 0, QUEUE)),
    Row("usbtest 9: chapter 9", "usbtest", 20, 1, (9, LENGTH, 0, 1)),
    Row("usbtest 10: queued control", "usbtest", 20, 1, (10, LENGTH, 0, QUEUE)),
    Row("usbtest 13: halt", "usbtest", 20, 1, (13, LENGTH, 0, 1)),
    Row("usbtest 27: queued bulk out", "usbtest", 50, 2, (27, LENGTH, 0, QUEUE)),
    Row("usbtest 28: queued bulk in", "usbtest", 50, 2, (28, LENGTH, 0, QUEUE)),
    Row("disk: reads of 4 KiB", "disk", 200, 5, (4 << 10,)),
    Row("disk: reads of 1 MiB", "disk", 8, 1, (1 << 20,)),
    Row("key to LED and back", "key", 100, 4, ()),
]
CASE_SECONDS = 120      # only what hangs reaches it
IMAGE = "/tmp/bench-disk"
IMAGE_MIB = 16
SERIALS = {"zero": "LAB-BENCH-ZERO", "disk": "LAB-BENCH-DISK", "keys": "LAB-BENCH-KEYS"}


def plug_in(board):
    """The gadgets, each on a controller of its own: {name: Gadget}."""
    prepare(board)
    board.run(f"head -c {IMAGE_MIB}M /dev/urandom > {IMAGE}", check=True)
    gadgets = {
        # 27 and 28 want zeroes, so all have them.
        "zero": Gadget(board, "zero", [source_sink(0)], [loopback()], vendor=0x0525, product=0xa4a0,
                       serial=SERIALS["zero"], controller=0),
        "disk": Gadget(board, "disk", [Disk(IMAGE)], serial=SERIALS["disk"], controller=1),
        "keys": Gadget(board, "keys", [Hid()], serial=SERIALS["keys"], controller=2),
    }
    for gadget in gadgets.values():
        gadget.plug()
    return gadgets


class Machine:
    """Where the devices are used: the guest, or the board."""

    def __init__(self, machine, programs=""):
        self.machine = machine
        self._programs = programs
        self._node = self._disk = None

    def program(self, words):
        return f"{self._programs}{words}"

    def _unreached(self, serial):
        return f"! grep -q -s -x {serial} /sys/bus/usb/devices/*/serial"

    def ready(self):
        """Wait until the drivers have the three devices."""
        self.machine.run("modprobe usbtest && echo 0 > /sys/module/usbtest/parameters/pattern", check=True)
        self.machine.wait("[ -n \"$(ls /sys/bus/usb/drivers/usbtest | grep :)\" ]", what="usbtest's gadget")
        disk = "/sys/block/sd*"
        self.machine.wait(f"ls -d {disk}", what="the disk")
        self._disk = "/dev/" + self.machine.text(f"basename {disk}")
        self.machine.wait(f"[ -b {self._disk} ] && [ $(cat /sys/block/{self._disk[5:]}/size) -gt 0 ]", what="the disk's size")
        names = "grep -l 'gadget keys' /sys/class/input/event*/device/name"
        self.machine.wait(f"{names} >/dev/null", what="the keyboard")
        self._node = "/dev/input/" + self.machine.text(f"{names} | head -n 1").split("/")[4]
        self.machine.wait(f"[ -c {self._node} ]")
        # Asking for a probe waits for the one that runs, which drops reports.
        self.machine.run("for d in /sys/bus/hid/devices/*; do echo ${d##*/} > /sys/bus/hid/drivers_probe; done")

    def empty(self):
        """Wait until it has none of them."""
        for name, serial in SERIALS.items():
            self.machine.wait(self._unreached(serial), what=f"{name} gone from {self.machine.name}")
        self.machine.wait("! ls -d /sys/block/sd*", what="the disk gone")

    def measure(self, row, quick, gadgets):
        """Seconds of one row."""
        count = row.quick if quick else row.full
        says = {"usbtest": self._usbtest, "disk": self._read, "key": self._key}[row.kind](row, count, gadgets)
        words = says.split()
        if not words or words[-2:-1] != ["ok"]:
            raise LabError(f"{row.name}: {says or 'says nothing'}")
        return int(words[-1]) / 1e6

    def _usbtest(self, row, count, _):
        test, length, vary, sglen = row.arguments
        case = f"{test} {count} {length} {vary} {sglen}\n"
        job = self.machine.spawn(self.program(f"usbtest {SERIALS['zero']} {CASE_SECONDS}"), stdin=case.encode())
        return job.line(CASE_SECONDS + 60) or ""

    def _read(self, row, count, _):
        command = self.program(f"usbbench read {self._disk} {row.arguments[0]} {count}")
        return self.machine.run(command, timeout=CASE_SECONDS).out.decode()

    def _key(self, _, count, gadgets):
        echo = self.machine.spawn("exec " + self.program(f"usbbench echo {self._node}"), stdin=b"")
        try:
            if echo.line() != "ready":
                raise LabError(f"the keyboard {self._node} can't be listened to: {echo.err.decode()}")
            board = gadgets["keys"].board
            return board.run(f"/run/lab/usbbench press /dev/hidg0 {count}", timeout=CASE_SECONDS).out.decode()
        except LabTimeout as error:
            raise LabError(f"key: {error}") from None
        finally:
            echo.kill()
