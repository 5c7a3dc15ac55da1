#!/usr/bin/python3
"""The real daemon and usbroutectl, with keyboards that umockdev pretends: which of them is called keyboard as they come,
go and change ports, over restarts. Inside umockdev-wrapper. usage: test-names-process.py USBROUTED USBROUTECTL [TEST…]"""

import ctypes
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

DAEMON, CTL = sys.argv[1:3]
SECONDS = 60
ROOT = "/devices/pci0000:00/0000:00:14.0/usb1"
# A boot keyboard's device and configuration descriptors.
DESCRIPTORS = bytes([
    18, 1, 0, 2, 0, 0, 0, 8, 0x6d, 4, 0x1c, 0xc3, 0, 1, 1, 2, 0, 1,
    9, 2, 34, 0, 1, 1, 0, 0xa0, 49, 9, 4, 0, 0, 1, 3, 1, 1, 0,
    9, 0x21, 0x10, 1, 0, 1, 0x22, 65, 0, 7, 5, 0x81, 3, 8, 0, 10])

umockdev = ctypes.CDLL("libumockdev.so.0")
umockdev.umockdev_testbed_new.restype = ctypes.c_void_p
umockdev.umockdev_testbed_add_from_string.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
umockdev.umockdev_testbed_uevent.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
umockdev.umockdev_testbed_remove_device.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
BED = umockdev.umockdev_testbed_new()


def add(text):
    if not umockdev.umockdev_testbed_add_from_string(BED, text.encode(), None):
        raise RuntimeError(f"umockdev refuses {text}")


class Names(unittest.TestCase):
    number = 1

    @classmethod
    def setUpClass(cls):
        add("P: /devices/pci0000:00/0000:00:14.0\nE: SUBSYSTEM=pci\n\n")
        add(f"P: {ROOT}\nE: SUBSYSTEM=usb\nE: DEVTYPE=usb_device\nA: bDeviceClass=09\nA: busnum=1\nA: devnum=1\n"
            "A: speed=480\nA: idVendor=1d6b\nA: idProduct=0002\n\n")

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "conf").write_text(
            f"[daemon]\nruntime-directory = {self.folder}/run\nstate-directory = {self.folder}/state\n"
            '[device keyboard]\nmatch = product="USB Key*"\n')
        self.ports = set()
        self.daemon = None
        self.start()

    def tearDown(self):
        for port in list(self.ports):
            self.pull(port)
        self.daemon.kill()
        self.daemon.wait()

    def start(self):
        self.daemon = subprocess.Popen([DAEMON, "--config", self.folder / "conf"], stderr=subprocess.DEVNULL)
        self.wait(lambda: self.ctl("status").returncode == 0, "the daemon answers")

    def restart(self, meanwhile=lambda: None):
        self.daemon.terminate()
        self.assertEqual(self.daemon.wait(SECONDS), 0)
        meanwhile()
        self.start()

    def ctl(self, *words):
        return subprocess.run([CTL, "--json", "--socket", self.folder / "run" / "control", *words],
                              capture_output=True, text=True, timeout=SECONDS)

    def plug(self, port, serial=None):
        Names.number += 1
        add(f"P: {ROOT}/1-{port}\nE: SUBSYSTEM=usb\nE: DEVTYPE=usb_device\nA: bDeviceClass=00\nA: busnum=1\n"
            f"A: devnum={Names.number}\nA: speed=12\nA: idVendor=046d\nA: idProduct=c31c\nA: product=USB Keyboard\n"
            f"A: bConfigurationValue=1\n{f'A: serial={serial}' if serial else 'A: removable=removable'}\n"
            f"H: descriptors={DESCRIPTORS.hex().upper()}\n\n")
        umockdev.umockdev_testbed_uevent(BED, f"/sys{ROOT}/1-{port}".encode(), b"add")
        self.ports.add(port)

    def pull(self, port):
        umockdev.umockdev_testbed_uevent(BED, f"/sys{ROOT}/1-{port}".encode(), b"remove")
        umockdev.umockdev_testbed_remove_device(BED, f"/sys{ROOT}/1-{port}".encode())
        self.ports.discard(port)

    def wait(self, condition, what):
        limit = time.monotonic() + SECONDS
        while not condition():
            self.assertLess(time.monotonic(), limit, what)
            time.sleep(0.05)

    def devices(self):
        return {one["port"].partition("-")[2]: one for one in json.loads(self.ctl("list").stdout)["devices"]}

    def stands(self, keyboard, *ambiguous, wanted_by="assignment"):
        """The one in this port is called keyboard, those in these are ambiguous, and there are no others."""
        def as_said():
            devices = self.devices()
            return (set(devices) == {keyboard, *ambiguous}
                    and (devices[keyboard]["alias"], devices[keyboard]["state"],
                         devices[keyboard]["wanted_by"]) == ("keyboard", "present", wanted_by)
                    and all((devices[port]["alias"], devices[port]["state"], devices[port]["wanted_by"]) ==
                            (None, "ambiguous", "default") for port in ambiguous))

        self.wait(as_said, f"keyboard in {keyboard}, not in {ambiguous}; they are {self.devices()}")

    def follows(self, first, second):
        self.plug("1", first.format("1"))
        self.stands("1", wanted_by="default")
        self.assertEqual(self.ctl("assign", "keyboard", "host").returncode, 0)
        self.assertEqual(self.devices()["1"]["wish_on"], "the name keyboard")
        self.pull("1")
        self.plug("4", first.format("4"))
        self.stands("4")
        self.plug("2", second)
        self.stands("4", "2")
        self.assertIn("port 1-4", self.devices()["2"]["reason"])
        self.assertIn("ambiguous", self.ctl("status").stdout)
        self.pull("4")
        self.wait(lambda: set(self.devices()) == {"2"}, "it has gone")
        self.plug("3", first.format("3"))
        self.stands("3", "2")
        self.pull("2")
        self.wait(lambda: set(self.devices()) == {"3"}, "the other has gone")
        self.plug("1", second)
        self.stands("3", "1")
        self.restart()
        self.stands("3", "1")

        def move():
            self.pull("3")
            self.plug("5", first.format("5"))

        self.restart(move)
        self.stands("5", "1")
        # After a while the one that is left has it, and keeps it.
        self.pull("5")
        self.stands("1")
        self.plug("5", first.format("5"))
        self.stands("1", "5")
        self.assertEqual(self.ctl("unassign", "keyboard").returncode, 0)
        self.pull("1")
        self.pull("5")
        self.wait(lambda: not self.devices(), "all have gone")

    def test_without_a_serial(self):
        self.follows("", "")

    def test_serial_with_the_port_in_it(self):
        self.follows("68284-0000:00:14.0-{}", "")

    def test_two_serials(self):
        self.follows("A", "B")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
