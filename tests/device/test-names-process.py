#!/usr/bin/python3
"""The real daemon and usbroutectl, with keyboards that umockdev pretends: which of them is called keyboard as they come,
go and change ports, over restarts. Inside umockdev-wrapper. usage: test-names-process.py USBROUTED USBROUTECTL [TEST…]"""

import ctypes
import json
import pathlib
import signal
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
umockdev.umockdev_testbed_get_root_dir.argtypes = [ctypes.c_void_p]
umockdev.umockdev_testbed_get_root_dir.restype = ctypes.c_char_p
BED = umockdev.umockdev_testbed_new()
# What the daemon does to its own nodes, such as a tap, is the kernel's to answer.
pathlib.Path(umockdev.umockdev_testbed_get_root_dir(BED).decode(), "ioctl", "_default").unlink(missing_ok=True)


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
        self.daemon.send_signal(signal.SIGINT)
        self.daemon.wait(SECONDS)

    def start(self):
        self.daemon = subprocess.Popen([DAEMON, "--user", "root", "--config", self.folder / "conf"], stderr=subprocess.DEVNULL)
        self.wait(lambda: self.ctl("status").returncode == 0, "the daemon answers")

    def restart(self, meanwhile=lambda: None):
        self.daemon.send_signal(signal.SIGINT)
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

    def configure(self, text, reload=True):
        kept = (self.folder / "conf").read_text().partition("[device")[0].partition("[vm")[0]
        (self.folder / "conf").write_text(kept + text)
        if reload:
            self.assertEqual(self.ctl("reload").returncode, 0)

    def say(self, *words):
        """What usbroutectl tells a person."""
        done = subprocess.run([CTL, "--socket", self.folder / "run" / "control", *words],
                              capture_output=True, text=True, timeout=SECONDS)
        return done.returncode, done.stdout + done.stderr

    def gone(self, port):
        self.pull(port)
        self.wait(lambda: port not in self.devices(), "it has gone")

    def wishes(self):
        return "".join(path.read_text() for path in (self.folder / "run" / "wishes", self.folder / "state" / "assignments")
                       if path.exists())

    def test_what_was_said_of_what_is_not_there_is_taken_back(self):
        self.configure("[vm vm1]\n[vm vm2]\n")
        # Whatever is in the port; this device in this port; this device.
        for serial, named, word, back in ((None, "port=1-1", "port=1-1", "port=1-1"),
                                          (None, "port=1-1", "port=1-1", "port=0000:00:14.0/usb2:1"),
                                          (None, "046d:c31c", "port=1-1", "port=1-1"),
                                          (None, "046d:c31c", "046d:c31c", "046d:c31c"),
                                          ("S1", "046d:c31c", "serial=S1", "046d:c31c")):
            for verb in ("detach", "release", "unassign"):
                self.plug("1", serial)
                self.wait(lambda: "1" in self.devices(), "it is there")
                self.assertEqual(self.ctl("attach", named, "vm1").returncode, 0)
                self.gone("1")
                self.assertIn("vm1", self.wishes())
                self.assertEqual(self.ctl("attach", word, "vm2").returncode, 3)
                self.assertEqual(self.ctl(verb, "--dry-run", back).returncode, 0)
                self.assertIn("vm1", self.wishes())
                status, text = self.say(verb, word)
                self.assertEqual(status, 0, text)
                self.assertIn("forgotten", text)
                self.assertEqual(self.wishes(), "")
                self.assertEqual(self.ctl(verb, word).returncode, 3)
                self.plug("1", serial)
                self.wait(lambda: "1" in self.devices(), "it is there")
                self.assertEqual(self.devices()["1"]["wanted"], "host")
                self.gone("1")
        # Back from another word; and undone.
        self.plug("1")
        self.wait(lambda: "1" in self.devices(), "it is there")
        self.assertEqual(self.ctl("assign", "port=1-1", "vm2").returncode, 0)
        self.gone("1")
        self.assertEqual(self.ctl("detach", "port=0000:00:14.0/usb2:1").returncode, 0)
        self.plug("1")
        self.wait(lambda: "1" in self.devices() and self.devices()["1"]["wanted_by"] == "command", "it stays here")
        self.gone("1")
        self.assertEqual(self.ctl("undo").returncode, 0)
        self.plug("1")
        self.wait(lambda: "1" in self.devices() and self.devices()["1"]["wanted"] == "vm2", "undone")
        self.gone("1")
        self.assertEqual(self.ctl("unassign", "port=1-1").returncode, 0)
        # Two are two, and listed so that each can be named.
        for serial in ("S1", "S2"):
            self.plug("2", serial)
            self.wait(lambda: "2" in self.devices(), "it is there")
            self.assertEqual(self.ctl("attach", f"serial={serial}", "vm1").returncode, 0)
            self.gone("2")
        status, text = self.say("release", "046d:c31c")
        self.assertEqual(status, 4)
        self.assertIn("serial=S1", text)
        self.assertIn("try: usbroutectl release serial=S1", text)
        self.assertEqual(self.ctl("release", "serial=S1").returncode, 0)
        self.assertEqual(self.ctl("release", "046d:c31c").returncode, 0)
        self.assertEqual(self.wishes(), "")

    def test_a_name_is_taken_from_what_is_not_there(self):
        self.configure("[vm vm1]\n")
        for word in ("port=1-1", "046d:c31c"):
            for back in ("mine", "port=1-1"):
                self.plug("1")
                self.wait(lambda: "1" in self.devices(), "it is there")
                self.assertEqual(self.ctl("alias", word, "mine").returncode, 0)
                self.gone("1")
                self.assertEqual(self.say("alias", back, "none"), (0, f"{back}: has no name any more\n"))
                self.assertEqual(self.ctl("show", "mine").returncode, 3)
                self.assertEqual((self.folder / "state" / "names").read_text(), "")
        self.configure('[vm vm1]\n[device keyboard]\nmatch = product="USB Key*"\n')
        for plugged in (False, True):
            if plugged:
                self.plug("1")
                self.wait(lambda: "1" in self.devices(), "it is there")
            status, text = self.say("alias", "keyboard", "none")
            self.assertEqual(status, 1)
            self.assertIn("[device keyboard]", text)

    def test_a_name_that_no_device_can_bear_is_told(self):
        self.configure('[vm vm1]\n[device first]\nmatch = product="USB Key*"\n[device second]\n'
                       "match = class=hid.keyboard\n[group desk]\ndevices = second first\n")
        self.plug("1")
        self.wait(lambda: "1" in self.devices(), "it is there")
        why = "[device second] matches the one in port 1-1, but [device first] does so before"
        status, text = self.say("attach", "desk", "vm1")
        self.assertEqual(status, 0)
        self.assertIn(f"second goes to vm1 once a device is called that; now none is: {why}", text)
        for words in (("status",), ("show", "second"), ("why", "second")):
            self.assertIn(why, self.say(*words)[1], words)
        # A section that goes leaves what was said of its name, and it can be taken back.
        self.configure("[vm vm1]\n")
        self.assertIn("first is wanted at vm1", self.say("status")[1])
        self.assertEqual(self.ctl("detach", "first").returncode, 0)
        self.assertEqual(self.ctl("release", "second").returncode, 0)
        self.assertEqual(self.wishes(), "")
        self.assertIn("warnings  none", self.say("status")[1])

    def test_a_name_that_several_could_bear_is_taken_back(self):
        self.configure('[vm vm1]\n[device keyboard]\nmatch = product="USB Key*"\n')
        for said, back in (("assign", "unassign"), ("attach", "release"), ("attach", "detach")):
            self.plug("1")
            self.stands("1", wanted_by="default")
            self.assertEqual(self.ctl(said, "keyboard", "vm1").returncode, 0)
            self.plug("2")
            self.wait(lambda: {one["state"] for one in self.devices().values()} == {"pending", "ambiguous"}, "one is")
            self.gone("1")
            self.gone("2")
            self.plug("3")
            self.plug("4")
            self.wait(lambda: {one["state"] for one in self.devices().values()} == {"ambiguous"}
                      and len(self.devices()) == 2, "nobody is meant")
            self.assertEqual(self.ctl("attach", "keyboard", "vm1").returncode, 4)
            self.assertIn("keyboard", self.wishes())
            status, text = self.say(back, "keyboard")
            self.assertEqual(status, 0, text)
            self.assertNotIn("vm1", self.wishes(), (back, text))
            self.gone("3")
            self.gone("4")
            self.restart(lambda: (self.folder / "state" / "bearers").unlink())

    def test_a_twin_that_a_rule_means_by_what_it_is(self):
        rules = self.folder / "policy.d"
        rules.mkdir()
        (rules / "10.rules").write_text("allow alias=keyboard to vm1 attach=auto\n")
        self.configure('[vm vm1]\n[device keyboard]\nmatch = product="USB Key*"\n')
        self.plug("1")
        self.stands_wanted({"1": ("keyboard", "vm1", "pending")})
        self.plug("2")
        self.stands_wanted({"1": ("keyboard", "vm1", "pending"), "2": (None, "host", "ambiguous")})
        (rules / "10.rules").write_text("allow class=hid.keyboard to vm1 attach=auto\n")
        self.assertEqual(self.ctl("reload").returncode, 0)
        self.stands_wanted({"1": ("keyboard", "vm1", "pending"), "2": (None, "vm1", "pending")})
        self.assertIn("name    none: [device keyboard] matches it, but keyboard is the one in port 1-1",
                      self.say("why", "port=1-2")[1])

    def stands_wanted(self, expected):
        self.wait(lambda: {port: (d["alias"], d["wanted"], d["state"]) for port, d in self.devices().items()} == expected,
                  f"{expected}; they are {self.devices()}")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
