#!/usr/bin/python3
"""The real daemon as a process with devices that umockdev pretends: what the control socket and usbroutectl tell of
many of them, of hostile ones and of near misses, and callers who don't read.
usage: test-control-process.py USBROUTED USBROUTECTL MOCK-HOST [TEST…]"""

import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

DAEMON, CTL, HOST = sys.argv[1:4]
SECONDS = 60
MESSAGE_MAX = 64 * 1024
PRELOAD = {"LD_PRELOAD": "libumockdev-preload.so.0"}
# Thousands of small files, and those that the daemon writes with fsync, take a disk seconds.
FOLDER = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()
HOSTILE = "\x01\x1b[2J\n\x7f\u0085\u009b\u202e\u2066\u200f\u061c"


def text(words):
    return words.encode().hex() or "-"


class Host:
    """The machine's USB devices."""

    def __init__(self):
        self.process = subprocess.Popen([HOST], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **PRELOAD, "TMPDIR": FOLDER})
        self.folder = self.process.stdout.readline().strip()
        self.devnum = 1

    def _do(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        assert self.process.stdout.readline() == "ok\n"

    def add(self, busid, id="046d:c31c", maker="", name="", serial=""):
        self.devnum += 1
        self._do("add", busid, self.devnum, *id.split(":"), text(maker), text(name), text(serial))

    def remove(self, busid):
        self._do("remove", busid)

    def add_many(self, n=200):
        for i in range(n):
            self.add(f"1-{i // 10 + 1}.{i % 10 + 1}", maker="A maker's name", name="A device of a hundred " * 5,
                     serial=f"{i:0100}")

    def end(self):
        # It would take its folder away by itself, but slowly.
        self.process.kill()
        self.process.communicate()
        shutil.rmtree(self.folder)


class Sips:
    """Takes some of an answer now and then: the daemon drops who takes nothing for ten seconds, and what a test does
    meanwhile takes a busy machine longer."""
    PAUSE, BYTES = 2, 256 * 1024

    def __init__(self, s):
        self.socket, self.data, self.over = s, b"", threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.over.wait(self.PAUSE):
            most = len(self.data) + self.BYTES
            while len(self.data) < most and select.select([self.socket], [], [], 0)[0]:
                got = self.socket.recv(65536)
                if not got:
                    return
                self.data += got

    def stop(self):
        """What it has taken. It takes no more."""
        self.over.set()
        self.thread.join()
        return self.data


class Process(unittest.TestCase):
    """The daemon on a host, and what talks to it."""
    CONFIG = "[vm vm1]\n[vm vm2]\n"
    PREFIX = []  # what the daemon is started by
    ENVIRONMENT = {}

    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=FOLDER)
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.get_host()
        self.config = self.folder / "usbrouted.conf"
        self.control = self.folder / "run" / "control"

    def get_host(self):
        self.host = Host()
        self.addCleanup(self.host.end)

    def start(self, config=CONFIG):
        self.config.write_text(f"[daemon]\nruntime-directory = {self.folder}/run\n"
                               f"state-directory = {self.folder}/state\n{config}")
        self.log = open(self.folder / "log", "w+b")
        self.addCleanup(self.log.close)
        path = self.folder / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(path))
            self.daemon = subprocess.Popen(
                [*self.PREFIX, DAEMON, "--user", "root", "--config", self.config], stderr=self.log,
                env={**os.environ, **PRELOAD, **self.ENVIRONMENT, "UMOCKDEV_DIR": self.host.folder,
                     "NOTIFY_SOCKET": str(path)})
            self.addCleanup(self.stop)
            notify.settimeout(0.1)
            deadline = time.monotonic() + SECONDS
            while True:
                self.assertIsNone(self.daemon.poll(), self.logged())
                self.assertLess(time.monotonic(), deadline, self.logged())
                try:
                    if b"READY=1" in notify.recv(4096):
                        break
                except TimeoutError:
                    pass

    def stop(self):
        if self.daemon.poll() is None:
            self.daemon.send_signal(signal.SIGINT)
        self.assertEqual(self.daemon.wait(SECONDS), 0, self.logged())

    def logged(self):
        return (self.folder / "log").read_bytes()

    def ctl(self, *words):
        done = subprocess.run([CTL, "--socket", self.control, *words], capture_output=True, timeout=SECONDS)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        self.addCleanup(s.close)
        s.settimeout(SECONDS)
        s.connect(str(self.control))
        return s

    @staticmethod
    def ask(s, method, more=False, **parameters):
        call = {"method": "io.usbrouted." + method, "parameters": parameters}
        s.sendall(json.dumps({**call, "more": True} if more else call).encode() + b"\0")

    def sips(self, s):
        sips = Sips(s)
        self.addCleanup(sips.stop)
        return sips

    def replies(self, s, data=b""):
        """What comes for one call: the replies, each within its bound. @data: what has been read of it."""
        found = []
        while True:
            while b"\0" not in data:
                got = s.recv(65536)
                self.assertTrue(got, "the connection ended")
                data += got
            message, data = data.split(b"\0", 1)
            self.assertLessEqual(len(message), MESSAGE_MAX)
            found.append((json.loads(message), message))
            if not found[-1][0].get("continues"):
                self.assertEqual(data, b"")
                return found

    def call(self, method, more=False, **parameters):
        s = self.connect()
        self.ask(s, method, more, **parameters)
        found = [reply for reply, _ in self.replies(s)]
        s.close()
        return found

    def connections(self):
        """How many the daemon holds on the control socket: its ends bear the socket's name."""
        lines = [line.split() for line in pathlib.Path("/proc/net/unix").read_text().splitlines()]
        return sum(line[-1] == str(self.control) and line[5] != "01" for line in lines)

    def remove(self, busid):
        """And see it gone: umockdev aborts where the daemon has more than ten events to read."""
        self.host.remove(busid)
        self.wait(lambda: busid not in [d["busid"] for r in self.call("List", more=True) for d in r["parameters"]["devices"]])

    def wait(self, done):
        deadline = time.monotonic() + SECONDS
        while not done():
            self.assertLess(time.monotonic(), deadline, self.logged())
            time.sleep(0.05)


class ManyDevices(Process):
    """Two hundred devices, which no test changes."""

    @classmethod
    def setUpClass(cls):
        cls.all = Host()
        cls.addClassCleanup(cls.all.end)
        cls.all.add_many()

    def get_host(self):
        self.host = self.all


class Many(ManyDevices):
    def test_two_hundred_devices_are_listed(self):
        self.start()
        replies = self.call("List", more=True)
        self.assertEqual(len(replies), 200)
        self.assertTrue(all(r["continues"] is True for r in replies[:-1]))
        self.assertNotIn("continues", replies[-1])
        self.assertEqual([len(r["parameters"]["devices"]) for r in replies], [1] * 200)
        serials = sorted(int(r["parameters"]["devices"][0]["serial"]) for r in replies)
        self.assertEqual(serials, list(range(200)))
        # In one reply they have no room, and it is said what to do.
        (reply,) = self.call("List")
        self.assertEqual(reply["error"], "io.usbrouted.Failed")
        self.assertIn("200 devices", reply["parameters"]["reason"])
        self.assertIn('"more": true', reply["parameters"]["reason"])
        status, out, errors = self.ctl("list")
        self.assertEqual((status, errors), (0, ""))
        self.assertEqual(len(out.splitlines()), 201)
        status, out, _ = self.ctl("--json", "list")
        self.assertEqual(status, 0)
        self.assertEqual(list(json.loads(out)), ["devices"])
        self.assertEqual(len(json.loads(out)["devices"]), 200)
        # All of them are meant.
        status, _, errors = self.ctl("show", "class=hid")
        self.assertEqual(status, 4)
        self.assertIn("200 devices match class=hid", errors)
        self.assertIn("168 more", errors)

    def test_a_caller_who_leaves_in_the_middle_costs_nothing(self):
        self.start()
        stays = self.connect()
        self.ask(stays, "List", more=True)
        self.assertEqual(len(self.replies(stays)), 200)
        self.assertEqual(self.connections(), 1)
        stays.close()
        for i in range(40):
            s = self.connect()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            self.ask(s, "List", more=True)
            if i % 2:
                s.recv(100)
            s.close()
        self.assertEqual(len(self.call("List", more=True)), 200)
        self.wait(lambda: self.connections() == 0)


class Silent(ManyDevices):
    """By itself, since the daemon's patience is what it takes."""
    # AddressSanitizer keeps what was freed, and that would be counted as the daemon's.
    ENVIRONMENT = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}

    def resident(self):
        pages = int(pathlib.Path(f"/proc/{self.daemon.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE")

    def test_a_caller_who_does_not_read_is_not_waited_for(self):
        self.start()
        self.assertEqual(len(self.call("List", more=True)), 200)
        before = self.resident()
        silent = [self.connect() for _ in range(8)]
        for s in silent:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            for _ in range(20):
                self.ask(s, "List", more=True)
        sips = self.sips(silent[0])
        # Others are served meanwhile, and what is kept for those is one reply each: all are more than 20 MiB.
        for _ in range(6):
            self.assertEqual(len(self.call("List", more=True)), 200)
        self.assertLess(self.resident() - before, 4 * 1024 * 1024)
        # One of them reads all: nothing was lost.
        data = sips.stop()
        while data.count(b"\0") < 250:
            got = silent[0].recv(65536)
            self.assertTrue(got)
            data += got
        whole = [json.loads(m) for m in data.split(b"\0")[:200]]
        self.assertEqual([bool(r.get("continues")) for r in whole], [True] * 199 + [False])
        silent[0].close()
        # Those who read nothing are dropped in the end.
        for s in silent[1:]:
            hung_up = select.poll()
            hung_up.register(s, 0)
            self.assertTrue(hung_up.poll(SECONDS * 1000))
        self.wait(lambda: self.connections() == 0)


class Control(Process):
    def test_few_devices_come_in_one_reply_too(self):
        self.host.add("1-1", serial="1")
        self.start()
        (reply,) = self.call("List")
        self.assertEqual([d["busid"] for d in reply["parameters"]["devices"]], ["1-1"])
        self.assertEqual(self.call("List", more=True), [reply])

    def test_no_device_is_an_empty_list(self):
        self.start()
        self.assertEqual(self.call("List", more=True), [{"parameters": {"devices": []}}])
        self.assertEqual(self.call("List"), [{"parameters": {"devices": []}}])
        self.assertEqual(self.ctl("--json", "list")[1], '{"devices":[]}\n')

    def test_vms_one_a_reply(self):
        self.start("".join(f"[vm v{i}]\n" for i in range(60)))
        replies = self.call("Vms", more=True)
        self.assertEqual([r["parameters"]["vms"][0]["name"] for r in replies], [f"v{i}" for i in range(60)])
        self.assertEqual(len(json.loads(self.ctl("--json", "vms")[1])["vms"]), 60)
        self.assertEqual(len(self.call("Vms")[0]["parameters"]["vms"]), 60)

    def test_hostile_strings_reach_nobody(self):
        for i in range(26):
            self.host.add(f"1-{i + 1}", maker="\x01" * 126, name=HOSTILE * 4, serial=f"{i}" + "\x02" * 120)
        self.start()
        (reply,) = self.call("List")
        self.assertEqual(len(reply["parameters"]["devices"]), 26)
        self.assertEqual(len(self.call("List", more=True)), 26)
        for words in (["list"], ["show", "1-1"], ["--json", "list"], ["show", "class=hid"], ["why", "1-1"],
                      ["show", "serial=3*9"]):
            _, out, errors = self.ctl(*words)
            for c in "\x01\x02\x1b\x7f\u0085\u009b\u202e\u2066\u200f\u061c":
                self.assertNotIn(c, out + errors, words)
                self.assertNotIn(f"\\u{ord(c):04x}", (out + errors).lower(), words)
        self.assertTrue(self.logged())
        log = self.logged().decode()
        for c in HOSTILE.replace("\n", ""):
            if not c.isprintable():
                self.assertNotIn(c, log)

    def test_devices_that_come_and_go_meanwhile(self):
        self.host.add_many()
        self.start()
        s = self.connect()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        self.ask(s, "List", more=True)
        first = s.recv(1, socket.MSG_PEEK)
        self.assertTrue(first)
        sips = self.sips(s)
        # The socket took a part of them; of the others some go, and new ones come.
        for i in range(100, 200, 4):
            self.remove(f"1-{i // 10 + 1}.{i % 10 + 1}")
        for i in range(1, 6):
            self.host.add(f"1-30.{i}", serial="new")
        self.wait(lambda: len(self.call("List", more=True)) == 180)
        found = [r["parameters"]["devices"] for r, _ in self.replies(s, sips.stop())]
        busids = [d["busid"] for devices in found for d in devices]
        self.assertEqual(len(set(busids)), len(busids))
        self.assertNotIn("new", [d["serial"] for devices in found for d in devices])
        stayed = {f"1-{i // 10 + 1}.{i % 10 + 1}" for i in range(200) if i < 100 or i % 4}
        self.assertLessEqual(stayed, set(busids))

    def test_all_go_meanwhile(self):
        self.host.add_many(120)
        self.start()
        s = self.connect()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        for _ in range(20):
            self.ask(s, "List", more=True)
        s.recv(1, socket.MSG_PEEK)
        sips = self.sips(s)
        for i in range(120):
            self.remove(f"1-{i // 10 + 1}.{i % 10 + 1}")
        self.wait(lambda: self.call("List") == [{"parameters": {"devices": []}}])
        data = sips.stop()
        while sum(not json.loads(m).get("continues") for m in data.split(b"\0")[:-1]) < 20:
            got = s.recv(65536)
            self.assertTrue(got, self.logged())
            data += got
        self.assertTrue(data.endswith(b"\0"))

    WORDS = ("[vm vm1]\n[vm vm2]\n[device keyboard]\nmatch = id=046d:c31c serial=ABC\n[device mouse]\n"
             "match = id=046d:c077\n[group desk]\ndevices = keyboard mouse\n")

    def test_near_misses(self):
        self.host.add("1-1", "046d:c31c", "Logitech", "USB Keyboard", "abc")
        self.host.add("1-2", "0951:1666", "Kingston", "Data Traveler", "E0D55EA573DCF450")
        self.start(self.WORDS)
        for word, near in (("serial=e0d55ea573dcf450", "serial=E0D55EA573DCF450"), ("serial=E0D55", "serial=E0D55EA573DCF450"),
                           ("E0D55EA573DCF450", "serial=E0D55EA573DCF450"), ("product=traveler", "port=1-2"),
                           ("Traveler", "port=1-2"), ("kingston", "port=1-2"), ("product=data*", "port=1-2"),
                           ("0951:1667", "0951:1666"), ("0951:1665", "0951:1666"), ("1-3", "port=1-2"),
                           ("Keyboard", "keyboard"), ("keybaord", "keyboard"), ("dsk", "desk"),
                           ("001/003", "port=1-2"), ("001:003", "port=1-2"), ("1:3", "port=1-2"),
                           ("/dev/bus/usb/001/003", "port=1-2"), ("/sys/bus/usb/devices/1-2", "port=1-2"),
                           ("0000:00:14.0/usb3:2", "port=0000:00:14.0/usb2:2")):
            status, out, errors = self.ctl("detach", word)
            self.assertIn(status, (2, 3), word)
            self.assertEqual(out, "")
            self.assertIn(f"near: {near}  (", errors, word)
        # The command with the right word is printed, and works.
        _, _, errors = self.ctl("attach", "serial=e0d55ea573dcf450", "vm1", "--no-wait")
        self.assertIn("try: usbroutectl attach serial=E0D55EA573DCF450 vm1\n", errors)
        self.assertEqual(self.ctl("attach", "serial=E0D55EA573DCF450", "vm1", "--no-wait")[0], 0)
        # What is nowhere near is not guessed.
        status, _, errors = self.ctl("show", "printer")
        self.assertEqual((status, "near:" in errors), (3, False))
        # What the configuration knows, and what nearly is it.
        status, out, _ = self.ctl("show", "keyboard")
        self.assertEqual(status, 0)
        self.assertIn('it is not plugged in; port=1-1 comes near, but its serial is "abc", in other case', out)
        self.assertIn("reason", self.ctl("show", "mouse")[1])
        self.assertNotIn("near", self.ctl("show", "mouse")[1])

    def test_words_that_are_mistyped(self):
        self.host.add("1-1", "046d:c31c", "Logitech", "USB Keyboard", "ABC")
        self.start(self.WORDS)
        for words, status, said in (
                (["attach", "keyboard", "host"], 3, "usbroutectl detach keyboard"),
                (["attach", "vm1", "keyboard"], 3, "usbroutectl attach keyboard vm1"),
                (["attach", "keyboard", "next"], 3, "usbroutectl switch keyboard next"),
                (["attach", "keyboard", "Vm1"], 3, "did you mean vm1?"),
                (["switch", "keyboard", "vm01"], 3, "did you mean vm1?"),
                (["assign", "keyboard", "VM2"], 3, "did you mean vm2?"),
                (["attach", "class=camera", "vm1"], 2, "audio comm network hid hid.keyboard hid.mouse image printer"),
                (["show", "class=camera"], 2, "smartcard video wireless vendor; found \"class=camera\""),
                (["show", "class=keyboard"], 2, "near: class=hid.keyboard  (a class)"),
                (["show", "class=HID"], 2, "near: class=hid  (a class)"),
                (["show", "alias=Keyboard"], 2, "near: keyboard  ("),
                (["show", "a b"], 2, "expected an alias, a group, an id such as 046d:c31c"),
                (["attach", "usb", "keyboard", "vm1"], 2, "stand in quotes"),
                (["why", "keyboard", "host"], 3, "the host is no VM: it may always"),
                (["show", "colour=red"], 2, "one of id= serial= port= class= product="),
                (["alias", "1-1", "a b"], 2, "NAME: expected a name of 1 to 31 of A-Z a-z 0-9 _ -"),
                (["alias", "1-1", ""], 2, "NAME: expected a name of 1 to 31"),
                (["alias", "1-1", "host"], 2, "none of host next prev all none control"),
                (["alias", "1-1", "2-1"], 2, "not the form of a port"),
                (["alias", "1-1", b"a\xff"], 2, "NAME|none: expected text in UTF-8"),
                (["alias", "class=x", "a"], 2, "DEVICE: expected class="),
                (["show", ""], 2, "DEVICE: expected"),
                (["show", "0x046d:0xc31c"], 2, "046d:c31c"),
                (["show", "46d:c31c"], 2, "046d:c31c"),
                (["why", "keyboard", "vm"], 3, "did you mean vm1?")):
            found, _, errors = self.ctl(*words)
            self.assertEqual(found, status, (words, errors))
            self.assertIn(said, errors, words)
        # All spellings of an id, and of a port.
        for word in ("046D:C31C", "046d:C31C", "id=046D:c31c", "1-1", "port=1-1", "0000:00:14.0/usb2:1",
                     "port=0000:00:14.0/usb2:1", "serial=A*", "product=USB ?eyboard", "keyboard"):
            self.assertEqual(self.ctl("show", word)[0], 0, word)

    def test_one_reply_that_would_be_too_long_leaves_something_out(self):
        for i in range(120):
            self.host.add(f"1-{i + 1}", maker='"' * 126, name="\\" * 126, serial=f"{i:03}" + '"' * 120)
        self.start("[vm vm1]\n" + "".join(f"[device d{i}]\nmatch = port=1-{i + 1}\n" for i in range(64)) +
                   "[group all-of-it]\ndevices = " + " ".join(f"d{i}" for i in range(64)) + "\n")
        (reply,) = self.call("Attach", device="all-of-it", vm="vm1", wait_seconds=0, force=True)
        self.assertNotIn("error", reply)
        parameters = reply["parameters"]
        self.assertEqual(len(parameters["devices"]) + parameters["devices_left_out"], 64)
        self.assertGreater(parameters["devices_left_out"], 0)
        self.assertEqual(parameters["device"], parameters["devices"][0])
        self.assertIn("reason", self.call("List")[0]["parameters"])
        self.assertEqual(len(self.call("List", more=True)), 120)

    def hold(self, busid, attribute):
        """Have the reader of an attribute wait, as for the lock of a device that is being reset. Returns what lets go."""
        (path,) = pathlib.Path(self.host.folder, "sys/devices").rglob(f"{busid}/{attribute}")
        text = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        # Opened for writing, too: umockdev has a lock while something is opened.
        pipe = os.open(path, os.O_RDWR | os.O_CLOEXEC)

        def let_go():
            other = path.with_name("other")
            other.write_bytes(text)
            other.rename(path)
            os.write(pipe, text)
            os.close(pipe)

        return let_go

    def states(self):
        (reply,) = self.call("List")
        return {d["busid"]: (d["state"], d["serial"]) for d in reply["parameters"]["devices"]}

    def until_states(self, **wanted):
        deadline = time.monotonic() + SECONDS
        while (states := self.states()) != {"1-" + port[1:]: state for port, state in wanted.items()}:
            self.assertLess(time.monotonic(), deadline, states)
            time.sleep(0.05)

    def test_a_device_that_is_not_told_of_holds_up_nobody(self):
        for port in range(1, 3):
            self.host.add(f"1-{port}", serial=f"S{port}")
        let_go = self.hold("1-1", "serial")
        # Known or not, the kernel answers nobody while it is reset.
        self.start()
        self.until_states(p1=("broken", None), p2=("present", "S2"))
        self.assertEqual(self.ctl("status")[0], 0)
        status, _, errors = self.ctl("attach", "port=1-1", "vm1", "--force", "--no-wait")
        self.assertEqual(status, 1)
        self.assertIn("the kernel does not tell what it is", errors)
        self.host.add("1-3", serial="S3")
        self.until_states(p1=("broken", None), p2=("present", "S2"), p3=("present", "S3"))
        self.host.remove("1-2")
        self.until_states(p1=("broken", None), p3=("present", "S3"))
        let_go()
        self.until_states(p1=("present", "S1"), p3=("present", "S3"))

    def test_what_is_sent_back_has_a_bound(self):
        self.start()
        for method, parameters in (("Show", {"device": "x\x01" * 5000}), ("Attach", {"device": "a", "vm": "\x01" * 9000}),
                                   ("List", {"\x01" * 9000: 1}), ("Why", {"device": "d", "vm": "\x01" * 9000}),
                                   ("SetAlias", {"device": "\x01" * 9000, "alias": "a"})):
            (reply,) = self.call(method, **parameters)
            self.assertIn("error", reply)
            self.assertLess(len(json.dumps(reply)), 10000)
        s = self.connect()
        call = {"method": "org.varlink.service.GetInterfaceDescription", "parameters": {"interface": "\x01" * 9000}}
        s.sendall(json.dumps(call).encode() + b"\0")
        ((reply, _),) = self.replies(s)
        self.assertEqual(reply["error"], "org.varlink.service.InterfaceNotFound")


    def answers(self, data, n=1, parts=None):
        """What comes for bytes: n messages, or what came until the connection ended."""
        s = self.connect()
        for part in parts or [data]:
            s.sendall(part)
        got = b""
        while got.count(b"\0") < n:
            more = s.recv(65536)
            if not more:
                break
            got += more
        s.close()
        return [json.loads(m) for m in got.split(b"\0")[:-1]]

    @staticmethod
    def message(method, **rest):
        return json.dumps({"method": method if "." in method else "io.usbrouted." + method, **rest}).encode() + b"\0"

    def test_what_is_no_call_costs_its_connection_alone(self):
        self.start()
        show = b'{"method":"io.usbrouted.Show","parameters":{"device":%s}}\0'
        attach = b'{"method":"io.usbrouted.Attach","parameters":{"device":"a","vm":"vm1","wait_seconds":%s}}\0'
        sitting = self.connect()
        for data in (b"\0", b"{}\0", b"[]\0", b"null\0", b"x\0", b'{"method":1}\0', b'\xef\xbb\xbf{"method":"a.B"}\0',
                     b'{"method":"io.usbrouted.List","method":"io.usbrouted.Vms"}\0',
                     b'{"method":"io.usbrouted.Show","parameters":{"device":"a","device":"b"}}\0',
                     show % rb'"\ud800"', show % rb'"a\u0000b"', show % b'"\xff"', show % b'"\xed\xa0\x80"', show % b'"\n"',
                     show % (b"[" * 15 + b"]" * 15), b"[" * 60000 + b"\0", attach % (b"9" * 30), attach % b"1e400", attach % b"NaN",
                     attach % b"01", self.message("List", upgrade=True), self.message("List", more=1),
                     self.message("List", parameters=[]), self.message("x" * 256), show % (b'"' + b"x" * 65536 + b'"'),
                     b'{"method":"io.usbrouted.Status"} x\0', b"\xff" * 65538):
            self.assertEqual(self.answers(data), [], data[:80])
        ((reply, _),) = (self.ask(sitting, "Status"), self.replies(sitting))[1]
        self.assertEqual(reply["parameters"]["devices"], 0)
        self.assertIn(b"dropped; what it sent is no call", self.logged())
        sitting.close()
        self.wait(lambda: self.connections() == 0)

    def test_sloppy_calls_are_answered(self):
        self.host.add("1-1", serial="1")
        self.start()
        status = self.message("Status")
        (plain,) = self.answers(status)
        for data, n in ((b' \r\n{"method" : "io.usbrouted.Status"}\r\n\0', 1),
                        (self.message("Status", more=None, oneway=None, upgrade=None, parameters=None), 1),
                        (self.message("Status", more=True, upgrade=False, whatever={"a": [1.5]}), 1)):
            self.assertEqual(self.answers(data, n)[0]["parameters"]["devices"], 1, data)
        # In pieces, many at once, and with nothing sent any more.
        self.assertEqual(len(self.answers(None, parts=[status[i:i + 1] for i in range(len(status))])), 1)
        self.assertEqual(len(self.answers(status * 2000, 2000)), 2000)
        s = self.connect()
        s.sendall(self.message("List", more=True) * 3)
        s.shutdown(socket.SHUT_WR)
        got = b""
        while more := s.recv(65536):
            got += more
        self.assertEqual(got.count(b"\0"), 3)
        # Nothing comes for a call with oneway, whatever else it says and however it ends.
        for method, rest in (("List", {}), ("List", {"more": True}), ("Vms", {"more": True}), ("Nothing", {}),
                             ("Show", {"parameters": {"device": "x"}}), ("org.varlink.service.GetInfo", {}),
                             ("org.varlink.service.Nothing", {}), ("a.b.C", {}),
                             ("Attach", {"parameters": {"device": "1-1", "vm": "vm1", "wait_seconds": 0}})):
            found = self.answers(self.message(method, oneway=True, **rest) + status)
            self.assertEqual([list(r) for r in found], [list(plain)], method)
        # The longest call that there may be.
        room = MESSAGE_MAX - len(self.message("Show", parameters={"device": ""})) + 1
        (reply,) = self.answers(self.message("Show", parameters={"device": "x" * room}))
        self.assertEqual(reply["parameters"]["parameter"], "device")
        for method in ("io.usbrouted.", "io.usbrouted.list", "org.varlink.service.Nothing", "io.usbrouted." + "x" * 242):
            (reply,) = self.answers(self.message(method))
            self.assertEqual(reply, {"error": "org.varlink.service.MethodNotFound", "parameters": {"method": method}})
        for method, interface in (("a.b.C", "a.b"), (".", ""), ("io.usbrouted.List.", "io.usbrouted.List")):
            (reply,) = self.answers(self.message(method))
            self.assertEqual(reply, {"error": "org.varlink.service.InterfaceNotFound",
                                     "parameters": {"interface": interface}})

    def test_every_method_takes_more_and_no_other_parameter(self):
        self.start("[vm vm1]\n")
        text = self.call_service("GetInterfaceDescription", interface="io.usbrouted")["description"]
        methods = [line.split()[1].split("(")[0] for line in text.splitlines() if line.startswith("method ")]
        self.assertIn("Power", methods)
        for method in methods:
            (reply,) = self.answers(self.message(method, more=True))
            # Events have no end.
            self.assertEqual(reply.get("continues", False), method == "Monitor", method)
            self.assertNotIn("NotFound", reply.get("error", ""), method)
            for parameters in ({"\u0001": 1}, {"other": None}):
                (reply,) = self.answers(self.message(method, more=True, parameters=parameters))
                self.assertEqual(reply["error"], "org.varlink.service.InvalidParameter", method)
                self.assertIn(reply["parameters"]["parameter"], ("?", "other"), method)

    def call_service(self, method, **parameters):
        (reply,) = self.answers(self.message("org.varlink.service." + method, parameters=parameters))
        return reply["parameters"]

    def test_five_hundred_devices_of_every_string(self):
        odd = ["\x01", "\x7f", "\ufffd", "\u202e", "\u2066", '"', "\\", "é", "日", "%", "\U0001f600", "\x80"]
        for i in range(500):
            maker, name, serial = (odd[(i + k) % len(odd)] * 126 for k in range(3))
            self.host.add(f"1-{i // 25 + 1}.{i % 25 + 1}", maker=maker, name=name, serial=f"{i}{serial}")
        self.start()
        replies = self.call("List", more=True)
        self.assertEqual(len({r["parameters"]["devices"][0]["busid"] for r in replies}), 500)
        # Of each, what it says of itself and what is around it have their bounds.
        self.assertLess(max(len(json.dumps(r, ensure_ascii=False).encode()) for r in replies), 4096)
        for words in (["list"], ["--json", "list"], ["show", "1-1.2"], ["why", "1-1.4"], ["status"]):
            status, out, errors = self.ctl(*words)
            self.assertEqual((status, errors), (0, ""), words)
            self.assertFalse([c for c in out if not c.isprintable() and c != "\n"], words)
        status, _, errors = self.ctl("attach", "class=hid", "vm1")
        self.assertEqual(status, 4)
        self.assertLess(len(errors), 65536)

    def test_what_is_in_a_port_that_is_off(self):
        run = self.folder / "run"
        run.mkdir()
        lines = (("1-3", "0951:1666", "ABC"), ("1-4", "046d:c077", ""), ("1-5", "046d:c077", ""))
        (run / "unpowered").write_text("".join(
            f"{busid}\t\t0000:00:14.0/usb2:{busid[2:]}\t{id}\t0\t3\t0\t{serial}\tM\tP\n" for busid, id, serial in lines))
        self.start(self.WORDS)
        for words in (["attach", "0951:1666", "vm1"], ["detach", "serial=ABC"], ["assign", "1-3", "vm1"],
                      ["switch", "port=1-3", "vm2"], ["reserve", "0951:1666"], ["alias", "1-3", "stick"]):
            status, out, errors = self.ctl(*words)
            self.assertEqual((status, out), (3, ""), words)
            self.assertIn(f"{words[1]}: it is in port 1-3, which is switched off", errors)
            self.assertIn(f"try: usbroutectl power {words[1]} on\n", errors)
        self.assertIn("state         off", self.ctl("show", "1-3")[1])
        # Two of them are as many as two that are plugged in.
        for words in (["attach", "046d:c077", "vm1"], ["power", "046d:c077", "on"], ["alias", "046d:c077", "x"]):
            status, _, errors = self.ctl(*words)
            self.assertEqual(status, 4, words)
            self.assertIn("2 devices match 046d:c077:\n  port=1-4  ", errors)
            self.assertIn("(its port is off)", errors)

    @unittest.skipIf(os.geteuid(), "another user's calls take root")
    def test_who_may_not_is_told_the_whole_command(self):
        self.host.add("1-1", "046d:c31c", "Logitech", "USB Keyboard", "ABC")
        self.start(self.WORDS)
        self.folder.chmod(0o755)
        for words in (["attach", "keyboard", "vm1"], ["power", "keyboard", "off"], ["undo"], ["alias", "1-1", "x"],
                      ["policy", "test", "/dev/null"]):
            done = subprocess.run([CTL, "--socket", self.control, *words], capture_output=True, text=True,
                                  timeout=SECONDS, user=65534, group=65534, extra_groups=[])
            self.assertEqual(done.returncode, 5, words)
            self.assertIn(f"try: sudo usbroutectl {' '.join(words)}\n", done.stderr)

    def test_a_group_where_one_device_is_expected(self):
        self.host.add("1-1", "046d:c31c", "Logitech", "USB Keyboard", "ABC")
        self.start(self.WORDS + "[group one]\ndevices = mouse\n")
        for words in (["show"], ["why"], ["reset"], ["power", "off"], ["alias", "x"]):
            for group in ("desk", "group=desk"):
                status, _, errors = self.ctl(words[0], group, *words[1:])
                self.assertEqual(status, 4, words)
                self.assertIn(f"2 devices match {group}:\n  keyboard\n  mouse\n", errors)
                self.assertIn(f"try: {' '.join(['usbroutectl', words[0], 'keyboard'] + words[1:])}\n", errors)
        self.assertIn("one is a group, and one device is expected:\n  mouse\n", self.ctl("show", "one")[2])
        status, _, errors = self.ctl("attach", "group=none-such", "vm1")
        self.assertEqual(status, 3)
        self.assertIn('no group "none-such" is configured', errors)

    def test_no_command_is_told_to_be_typed_again_as_it_is(self):
        self.host.add("1-1", "046d:c31c", "Logitech", "USB Keyboard", "ABC")
        self.start(self.WORDS)
        for words, said in ((["reset", "mouse"], "mouse is: the configuration's name of a device"),
                            (["power", "mouse", "on"], "mouse is: the configuration's name"),
                            (["alias", "mouse", "m"], "mouse is: the configuration's name"),
                            (["show", "class=hub"], "class=hub is: a class"), (["detach", "vm1"], "near: vm1  (a VM;"),
                            (["show", "vm1"], "near: vm1  (a VM;"), (["attach", "vm1", "vm1"], "near: vm1  (a VM;")):
            status, _, errors = self.ctl(*words)
            self.assertEqual(status, 3, words)
            self.assertIn(said, errors)
            self.assertNotIn(f"try: usbroutectl {' '.join(words)}\n", errors)
        for words in (["show", "x" * 70000], ["attach", "1-1", "x" * 5000], ["policy", "test", "/" * 5000]):
            status, _, errors = self.ctl(*words)
            self.assertEqual(status, 2)
            self.assertIn("expected at most 4096 bytes; found", errors)
            self.assertLess(len(errors), 200)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=2)
