#!/usr/bin/python3
"""usbroute-agent as a process, in a network namespace of its own: this test is the daemon on 127.0.0.1, and a folder plays
the guest's sysfs. usage: test-guest-agent.py USBROUTE-AGENT [FAKE-LOGIND]"""

import ctypes
import os
import pathlib
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

AGENT = sys.argv[1]
FAKE_LOGIND = sys.argv[2] if len(sys.argv) > 2 else None
BOOT = r"boot=[0-9a-f]{16}$"
SECONDS = int(os.environ.get("SECONDS_MAX", "60"))
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
FREE, STARTING, USED = 4, 5, 6


def own_network():
    """A namespace in which ports 3240 and 3241 of the loopback are this test's."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET | (CLONE_NEWUSER if os.geteuid() else 0)):
        raise OSError(ctypes.get_errno(), "unshare: needs root, or unprivileged user namespaces")
    link(True)


def link(up):
    """`ip link set lo up` or down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        import fcntl
        fcntl.ioctl(sock, 0x8914, struct.pack("16sh14x", b"lo", 0x41 if up else 0))


def wait(condition, what):
    limit = time.monotonic() + SECONDS
    while not (value := condition()):
        if time.monotonic() > limit:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.02)
    return value


class Guest:
    """A guest's sysfs in a folder: two ports up to high speed, one of SuperSpeed. Its files are FIFOs, so that reading
    `status` after a write to `attach` shows what was written, as the kernel's do."""

    def __init__(self, folder):
        self.root = pathlib.Path(folder)
        self.vhci = self.root / "devices/platform/vhci_hcd.0"
        self.run = self.root / "run"
        self.devices = self.root / "bus/usb/devices"
        for hub in ("usb1", "usb2"):
            (self.vhci / hub).mkdir(parents=True)
        self.devices.mkdir(parents=True)
        self.ports = {0: (FREE, 0, ""), 1: (FREE, 0, ""), 8: (FREE, 0, "")}
        self.writes = {"attach": [], "detach": []}
        self.lock = threading.Lock()
        self.ends = {}
        self.reads = 0
        for name in self.writes:
            os.mkfifo(self.vhci / name)
            self.ends[name] = os.open(self.vhci / name, os.O_RDWR | os.O_NONBLOCK)
        os.mkfifo(self.vhci / "status")
        self.over = False
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        """Each open of `status` gets a text of its own, and the next one another FIFO."""
        while not self.over:
            try:
                end = os.open(self.vhci / "status", os.O_WRONLY)
            except FileNotFoundError:
                return      # the test has taken it away
            self.written()
            os.mkfifo(self.vhci / "new")
            (self.vhci / "new").rename(self.vhci / "status")
            try:
                os.write(end, self.status().encode())
            except BrokenPipeError:
                pass
            os.close(end)
            self.reads += 1

    def written(self):
        with self.lock:
            for name, end in self.ends.items():
                try:
                    text = os.read(end, 4096).decode()
                except BlockingIOError:
                    continue
                number = int(text.split()[0])
                self.ports[number] = (FREE, 0, "") if name == "detach" else (STARTING, 0, "")
                self.writes[name].append(text)

    def status(self):
        text = "hub port sta spd dev      sockfd local_busid\n"
        for number, (status, devid, local) in self.ports.items():
            text += (f"{'ss' if number >= 8 else 'hs'}  {number:04} {status:03} 003 {devid:08x} 000007 "
                     f"{local or '0-0'}\n")
        return text

    def close(self):
        self.over = True
        if (self.vhci / "status").exists():
            os.close(os.open(self.vhci / "status", os.O_RDONLY | os.O_NONBLOCK))
            self.thread.join(SECONDS)
        for end in self.ends.values():
            os.close(end)

    def set(self, number, status, devid=0, local="", configured=False):
        if local:
            (self.devices / local).mkdir(exist_ok=True)
            (self.devices / local / "bConfigurationValue").write_text("1\n" if configured else "")
        self.ports[number] = (status, devid, local)

    def news(self):
        """Make the agent look: uevents don't reach a namespace like this, links do."""
        link(False)
        link(True)

    def looked(self):
        """Wait until the agent has looked at what is there now, and has had the time to say so."""
        before = self.reads
        wait(lambda: self.reads > before + 1, "a look at the ports")

    def asked(self, name):
        """What was written to `attach` or `detach`."""
        def text():
            self.written()
            return self.writes[name]
        return wait(text, f"a write to {name}").pop(0)

    def not_asked(self, name):
        self.written()
        return not self.writes[name]

    def type_detach(self, number, by_usbip=True):
        """As `usbip detach` does, or whoever writes to the kernel's file."""
        if by_usbip:
            (self.run / f"port{number}").unlink()
        end = os.open(self.vhci / "detach", os.O_WRONLY)
        os.write(end, str(number).encode())
        os.close(end)

    def file(self, number):
        path = self.run / f"port{number}"
        return path.read_text() if path.exists() else None


class Agent:
    def __init__(self, guest, *words, bus="unix:path=/nowhere"):
        self.log = tempfile.TemporaryFile("w+")
        self.folder = guest.root / "own"
        self.process = subprocess.Popen([AGENT, "--interface", "lo", "--address", "127.0.0.1", "--sysfs", guest.root,
                                         "--run", guest.run, "--folder", self.folder, "--no-modprobe", "--verbose",
                                         *words], stderr=self.log, env=dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=bus))

    def ask(self, word):
        """`usbroute-agent --let-go` or --take-back: the process."""
        return subprocess.Popen([AGENT, word, "--folder", self.folder], stderr=subprocess.PIPE, text=True)

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


class Line:
    """The daemon's end of the agent's connection."""

    def __init__(self, listener):
        self.sock, _ = listener.accept()
        self.sock.settimeout(SECONDS)
        self.file = self.sock.makefile("rw", newline="\n")

    def hears(self):
        return self.file.readline().rstrip("\n")

    def says(self, *lines):
        self.file.write("".join(line + "\n" for line in lines))
        self.file.flush()

    def quiet(self):
        """Nothing has come, and what was said was worked off."""
        self.says("PING")
        line = self.hears()
        assert line == "PONG", f"{line!r}, not quiet"

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.file.close()
        self.sock.close()


class Bus:
    """A D-Bus of the test's own."""

    def __init__(self, folder):
        self.address = f"unix:path={folder}/dbus"
        self.start()

    def start(self):
        self.process = subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1",
                                         f"--address={self.address}"], stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def stop(self):
        self.process.kill()
        self.process.communicate()
        pathlib.Path(self.address.split("=")[1]).unlink(missing_ok=True)


class Logind:
    def __init__(self, bus):
        self.process = subprocess.Popen([FAKE_LOGIND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
                                        env=dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=bus.address))
        assert self.tells() == "ready"

    def tells(self):
        return self.process.stdout.readline().rstrip("\n")

    def says(self, sleep):
        self.process.stdin.write(f"{int(sleep)}\n")

    def stop(self):
        self.process.kill()
        self.process.communicate()


def listen(port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen()
    sock.settimeout(SECONDS)
    return sock


class Test(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.guest = Guest(self.folder.name)
        self.door, self.usbip = listen(3241), listen(3240)
        self.agent = None

    def tearDown(self):
        if self.agent and self.agent.process.poll() is None:
            self.agent.stop(signal.SIGKILL)
        self.door.close()
        self.usbip.close()
        self.guest.close()
        self.folder.cleanup()

    def start(self, bus=None, **how):
        self.agent = Agent(self.guest, **({"bus": bus.address} if bus else {}))
        return self.greet(**how)

    def no_import(self):
        readable, _, _ = select.select([self.usbip], [], [], 0)
        self.assertFalse(readable, "the agent imports")

    def let_go_of(self, line, port, free=2):
        """All is let go of for a sleep."""
        self.assertEqual(line.hears(), "SLEEP")
        self.assertEqual(self.guest.asked("detach"), str(port))
        self.assertIsNone(self.guest.file(port))

    def taken_back(self, line, busid="1-1"):
        """Once the daemon has been heard."""
        self.assertEqual([line.hears(), line.hears()], ["AWAKE", "PING"])
        self.no_import()
        line.says("PONG")
        heard = line.hears()
        if heard.startswith("PORTS"):
            heard = line.hears()
        self.assertEqual(heard, f"TRYING {busid}")
        sock = self.imported(busid)
        port = int(self.guest.asked("attach").split()[0])
        self.guest.set(port, USED, 0x10009, "3-1", configured=True)
        while not (heard := line.hears()).startswith("HAS"):
            self.assertTrue(heard.startswith("PORTS"), heard)
        return sock, port

    def greet(self, *routes, more=""):
        line = Line(self.door)
        hello = line.hears().split()
        self.assertEqual(hello[:2], ["HELLO", "1"])
        self.assertRegex(hello[-1], BOOT)
        line.free, line.boot = hello[3:5], hello[5]
        line.says(f"WELCOME 1 vm1 0.1.0{more}", *routes, "SYNCED")
        return line

    def imported(self, busid, devid=0x10009, speed=3, status=0):
        """Answer one import; the daemon's end of the connection, which the agent must not read from."""
        sock, _ = self.usbip.accept()
        sock.settimeout(SECONDS)
        asked = sock.recv(40, socket.MSG_WAITALL)
        self.assertEqual(asked, struct.pack(">HHI32s", 0x111, 0x8003, 0, busid.encode()))
        head = struct.pack(">HHI", 0x111, 3, status)
        if status:
            sock.sendall(head)
            sock.close()
            return None
        sock.sendall(head + struct.pack(">256s32sIII12x", b"/sys/x", busid.encode(), devid >> 16, devid & 0xffff, speed)
                     + b"the kernel's")
        return sock

    def attached(self, line, busid="1-1", alias="keyboard"):
        """Route a device, and have it attached and configured."""
        line.says(f"ROUTE {busid} high 00010009 free {alias}")
        self.assertEqual(line.hears(), f"TRYING {busid}")
        sock = self.imported(busid)
        port, _, devid, speed = map(int, self.guest.asked("attach").split())
        self.assertEqual((devid, speed), (0x10009, 3))
        self.guest.set(port, USED, 0x10009, "3-1", configured=True)
        said = {line.hears(), line.hears()}
        self.assertEqual(said, {f"HAS {busid} {port}", "PORTS hs=1 ss=1"})
        line.quiet()
        self.assertEqual(self.guest.file(port), f"127.0.0.1 3240 {busid}\n")
        return sock, port

    def test_attaches(self):
        line = self.start()
        self.assertEqual(line.free, ["hs=2", "ss=1"])
        line.says("ROUTE 1-1 high 00010009 free keyboard")
        self.assertEqual(line.hears(), "TRYING 1-1")
        sock = self.imported("1-1")
        self.assertEqual(self.guest.asked("attach").split()[0::2], ["0", str(0x10009)])
        # Taken is not there: first it has no address, then no configuration.
        self.assertEqual(line.hears(), "PORTS hs=1 ss=1")
        self.guest.looked()
        line.quiet()
        self.guest.set(0, USED, 0x10009, "3-1")
        self.guest.looked()
        line.quiet()
        self.guest.set(0, USED, 0x10009, "3-1", configured=True)
        self.assertEqual(line.hears(), "HAS 1-1 0")
        # What is said to be over is taken off, file and all.
        line.says("UNROUTE 1-1")
        self.assertEqual(self.guest.asked("detach"), "0")
        self.assertIsNone(self.guest.file(0))
        self.assertEqual(self.agent.stop(), 0)
        sock.close()

    def test_ends_by_itself(self):
        line = self.start()
        _, port = self.attached(line)
        self.guest.set(port, FREE)
        self.guest.news()
        heard = {line.hears() for _ in range(3)}
        self.assertEqual(heard, {"PING", f"GONE 1-1", "PORTS hs=2 ss=1"})
        line.says("PONG")
        self.assertIsNone(self.guest.file(port))
        # And it is tried again, for it is still this guest's.
        self.imported("1-1")
        self.guest.asked("attach")

    def test_super_speed(self):
        line = self.start()
        line.says("ROUTE 2-1 super 00010009 free -")
        self.assertEqual(line.hears(), "TRYING 2-1")
        self.imported("2-1", speed=5)
        self.assertEqual(self.guest.asked("attach").split()[0], "8")

    def test_no_port(self):
        for number in (0, 1):
            self.guest.set(number, USED, 0x70007, f"3-{number + 1}", True)
        line = self.start()
        self.assertEqual(line.free, ["hs=0", "ss=1"])
        line.says("ROUTE 1-1 high 00010009 free -")
        self.assertIn("FAILED 1-1 the guest's vhci-hcd has no free port", line.hears())
        self.guest.set(1, FREE)
        self.guest.news()
        heard = [line.hears(), line.hears()]
        self.assertIn("PORTS hs=1 ss=1", heard)
        line.says("PONG")
        self.imported("1-1")
        self.assertEqual(self.guest.asked("attach").split()[0], "1")

    def test_refused(self):
        line = self.start()
        line.says("ROUTE 1-1 high 00010009 free -")
        self.assertEqual(line.hears(), "TRYING 1-1")
        self.imported("1-1", status=2)
        self.assertEqual(line.hears(), "FAILED 1-1 something else in the guest has it")
        self.imported("1-1")
        self.guest.asked("attach")

    def test_by_hand(self):
        """What was attached by hand is the guest's: found by its file, or by its number where there is none."""
        self.guest.run.mkdir()
        (self.guest.run / "port0").write_text("127.0.0.1 3240 keyboard\n")
        self.guest.set(0, USED, 0x10009, "3-1", True)
        self.guest.set(8, USED, 0x20003, "4-1", True)
        self.agent = Agent(self.guest)
        line = self.greet("ROUTE 1-1 high 00010009 held keyboard", "ROUTE 2-1 super 00020003 held -")
        self.assertEqual({line.hears(), line.hears()}, {"HAS 1-1 0", "HAS 2-1 8"})
        line.quiet()
        self.assertTrue(self.guest.not_asked("attach") and self.guest.not_asked("detach"))

    def test_stale(self):
        """What hangs on this daemon and is not this guest's any more; and of others', nothing is touched."""
        self.guest.run.mkdir()
        (self.guest.run / "port0").write_text("127.0.0.1 3240 1-5\n")
        (self.guest.run / "port1").write_text("192.168.1.5 3240 1-5\n")
        (self.guest.run / "port8").write_text("127.0.0.1 3240 2-7\n")
        self.guest.set(0, USED, 0x10005, "3-1", True)
        self.guest.set(1, USED, 0x10005, "3-2", True)
        line = self.start()
        self.assertEqual(self.guest.asked("detach"), "0")
        self.assertEqual(line.hears(), "PORTS hs=1 ss=1")
        line.quiet()
        self.assertIsNone(self.guest.file(0))
        self.assertIsNone(self.guest.file(8))
        self.assertIsNotNone(self.guest.file(1))
        self.assertTrue(self.guest.not_asked("detach") and self.guest.not_asked("attach"))

    def test_dead_connection(self):
        """The kernel believes in a connection of which the daemon knows nothing."""
        self.guest.run.mkdir()
        (self.guest.run / "port0").write_text("127.0.0.1 3240 1-1\n")
        self.guest.set(0, USED, 0x10009, "3-1", True)
        self.agent = Agent(self.guest)
        line = self.greet("ROUTE 1-1 high 00010009 free -")
        self.assertEqual(self.guest.asked("detach"), "0")
        self.assertIn("TRYING 1-1", (line.hears(), line.hears()))
        self.imported("1-1")
        self.guest.asked("attach")

    def test_daemon_again(self):
        """The connection breaks: what is attached stays, and the next daemon is told of it."""
        line = self.start()
        _, port = self.attached(line)
        line.close()
        line = self.greet("ROUTE 1-1 high 00010009 held keyboard")
        self.assertEqual(line.hears(), f"HAS 1-1 {port}")
        line.quiet()
        self.assertTrue(self.guest.not_asked("detach"))
        line.close()
        # And what the next one does not name is taken off.
        self.greet()
        self.assertEqual(self.guest.asked("detach"), str(port))

    def test_forgotten_connection(self):
        """A link that comes back makes it ask; who does not answer has forgotten it."""
        line = self.start()
        line.quiet()
        self.guest.news()
        self.assertEqual(line.hears(), "PING")
        self.greet().quiet()

    def test_another_device(self):
        """Plugged out and in again at the same port of the host."""
        line = self.start()
        _, port = self.attached(line)
        line.says("ROUTE 1-1 high 0001000a free keyboard")
        self.assertEqual(self.guest.asked("detach"), str(port))
        self.imported("1-1", devid=0x1000a)
        self.guest.asked("attach")

    def test_not_told(self):
        line = self.start()
        line.says("UNROUTE 9-9", "NEWS of later versions")
        line.quiet()
        readable, _, _ = select.select([self.usbip], [], [], 0)
        self.assertFalse(readable)
        self.assertTrue(self.guest.not_asked("attach"))

    def test_hostile_daemon(self):
        """Not the protocol: hung up, and tried again later; the agent lives."""
        self.agent = Agent(self.guest)
        for words in ("GET / HTTP/1.0", "WELCOME 1 vm1", "ROUTE 1-1 high 00010009 free -",
                      "WELCOME 1 vm1 0.1.0\nROUTE ../../x high 00010009 free -", "x" * 600,
                      "WELCOME 1 vm1 0.1.0\nHELLO 1 1 hs=1 ss=1", "REFUSED go away"):
            line = Line(self.door)
            line.hears()
            line.says(words)
            try:
                while line.hears():
                    pass
            except ConnectionError:
                pass
            line.close()
        self.greet().quiet()
        self.assertIn("go away", self.agent.said())

    def test_many_routes(self):
        line = self.start()
        line.says(*(f"ROUTE 1-{i} high {0x10000 + i:08x} held -" for i in range(1, 2000)))
        line.quiet()

    def test_detached_by_hand(self):
        """Let go of, until the daemon names it again."""
        line = self.start(more=" of-later-versions let-go")
        for by_usbip in (True, False):
            _, port = self.attached(line)
            self.guest.type_detach(port, by_usbip)
            self.guest.news()
            heard = {line.hears() for _ in range(3)}
            self.assertEqual(heard, {"LETGO 1-1", "PING", "PORTS hs=2 ss=1"})
            line.says("PONG")
            line.quiet()
            self.no_import()
            self.guest.asked("detach")

    def test_detached_by_hand_while_alone(self):
        """The daemon was away: it is told when it names the device."""
        line = self.start(more=" let-go")
        _, port = self.attached(line)
        line.close()
        self.guest.type_detach(port)
        line = self.greet("ROUTE 1-1 high 00010009 free keyboard", more=" let-go")
        while line.hears() != "LETGO 1-1":
            pass
        self.assertEqual(line.hears(), "PING")
        # Not heard: said again.
        line.close()
        line = self.greet("ROUTE 1-1 high 00010009 free keyboard", more=" let-go")
        self.assertEqual([line.hears(), line.hears()], ["LETGO 1-1", "PING"])
        line.says("PONG")
        line.quiet()
        self.no_import()
        # Heard: what is named now is given.
        line.close()
        line = self.greet("ROUTE 1-1 high 00010009 free keyboard", more=" let-go")
        self.assertEqual(line.hears(), "TRYING 1-1")

    def test_detached_by_hand_under_an_old_daemon(self):
        """It does not understand, and could not give it back: taken back at once."""
        line = self.start()
        _, port = self.attached(line)
        self.guest.type_detach(port)
        self.guest.news()
        heard = {line.hears() for _ in range(3)}
        self.assertEqual(heard, {"GONE 1-1", "PING", "PORTS hs=2 ss=1"})
        self.imported("1-1")

    def test_not_detached_by_hand(self):
        """A device whose port's file is gone, one that goes after this program's own detaching, one beside another's."""
        line = self.start(more=" let-go")
        _, port = self.attached(line)
        (self.guest.run / f"port{port}").unlink()
        self.guest.set(port, FREE)
        self.guest.news()
        heard = {line.hears() for _ in range(3)}
        self.assertEqual(heard, {"GONE 1-1", "PING", "PORTS hs=2 ss=1"})
        line.says("PONG")
        self.imported("1-1")
        port = int(self.guest.asked("attach").split()[0])
        self.guest.set(port, USED, 0x10009, "3-1", configured=True)
        self.assertEqual({line.hears(), line.hears()}, {f"HAS 1-1 {port}", "PORTS hs=1 ss=1"})
        line.says("ROUTE 2-1 high 0002000a free -")
        self.assertEqual(line.hears(), "TRYING 2-1")
        self.imported("2-1", devid=0x2000a)
        other = int(self.guest.asked("attach").split()[0])
        self.guest.set(other, USED, 0x2000a, "3-2", configured=True)
        self.assertEqual({line.hears(), line.hears()}, {f"HAS 2-1 {other}", "PORTS hs=0 ss=1"})
        line.says("UNROUTE 2-1")
        self.guest.asked("detach")
        self.guest.set(port, FREE)
        self.guest.news()
        heard = set()
        while "GONE 1-1" not in heard:
            heard.add(line.hears())
            self.assertNotIn("LETGO 1-1", heard)

    def test_detached_by_hand_where_the_file_came_late(self):
        """Whoever attached it by hand wrote the port's file when it was there already; and the port is free long after
        somebody has detached it."""
        self.guest.set(0, USED, 0x10009, "3-1", True)
        line = self.start(more=" let-go")
        line.says("ROUTE 1-1 high 00010009 held keyboard")
        self.assertEqual(line.hears(), "HAS 1-1 0")
        self.guest.run.mkdir(exist_ok=True)
        (self.guest.run / "port0").write_text("127.0.0.1 3240 1-1\n")
        self.guest.news()
        self.assertEqual(line.hears(), "PING")
        line.says("PONG")
        line.quiet()
        with self.guest.lock:   # the kernel takes its time
            self.guest.type_detach(0)
            os.read(self.guest.ends["detach"], 4096)
        self.guest.news()
        self.assertEqual(line.hears(), "PING")
        line.says("PONG")
        line.quiet()
        time.sleep(2.5)         # longer than a write that names no port counts
        self.guest.set(0, FREE)
        self.guest.news()
        heard = []
        while "PORTS hs=2 ss=1" not in heard:
            heard.append(line.hears())
        self.assertIn("LETGO 1-1", heard)
        line.says("PONG")
        line.quiet()
        self.no_import()

    def test_same_boot(self):
        line = self.start()
        boot = line.boot
        self.assertEqual(self.agent.stop(), 0)
        line.close()
        line = self.start()
        self.assertEqual(line.boot, boot)
        self.assertEqual(self.agent.stop(), 0)
        line.close()
        (self.agent.folder / "boot").unlink()
        self.assertNotEqual(self.start().boot, boot)

    def test_hook(self):
        """Without logind whoever puts the system to sleep says so; twice, and a sleep that does not come."""
        line = self.start(more=" let-go")
        _, port = self.attached(line)
        for _ in range(2):
            asked = self.agent.ask("--let-go")
            self.let_go_of(line, port)
            self.assertEqual(asked.wait(SECONDS), 0)
            self.assertEqual(self.agent.ask("--let-go").wait(SECONDS), 0)
            # What is said meanwhile waits.
            line.says("ROUTE 2-1 high 0002000a free -", "UNROUTE 2-1", "PING")
            while line.hears() != "PONG":
                pass
            self.no_import()
            self.assertEqual(self.agent.ask("--take-back").wait(SECONDS), 0)
            _, port = self.taken_back(line)
            self.assertEqual(self.agent.ask("--take-back").wait(SECONDS), 0)
            line.quiet()

    def test_hook_while_attaching(self):
        line = self.start(more=" let-go")
        line.says("ROUTE 1-1 high 00010009 free keyboard")
        self.assertEqual(line.hears(), "TRYING 1-1")
        sock, _ = self.usbip.accept()
        sock.settimeout(SECONDS)
        sock.recv(40, socket.MSG_WAITALL)
        self.assertEqual(self.agent.ask("--let-go").wait(SECONDS), 0)
        self.assertEqual(line.hears(), "SLEEP")
        self.assertEqual(sock.recv(1), b"")
        self.assertTrue(self.guest.not_asked("attach"))
        self.assertEqual(self.agent.ask("--take-back").wait(SECONDS), 0)
        self.taken_back(line)

    def test_hook_and_another_daemon(self):
        """The daemon was restarted while the guest slept."""
        line = self.start(more=" let-go")
        _, port = self.attached(line)
        asked = self.agent.ask("--let-go")
        self.let_go_of(line, port)
        self.assertEqual(asked.wait(SECONDS), 0)
        line.close()
        line = self.greet("ROUTE 1-1 high 00010009 free keyboard", more=" let-go")
        self.assertEqual(line.hears(), "SLEEP")
        line.quiet()
        self.no_import()
        self.assertEqual(self.agent.ask("--take-back").wait(SECONDS), 0)
        self.taken_back(line)

    def again(self, line, *routes):
        """A new list on the same connection: of the same daemon, or of the next one."""
        line.says("WELCOME 1 vm1 0.1.0 let-go", *routes, "SYNCED")

    def test_new_list(self):
        """What the next daemon can't know is said again, and nothing is let go of before its list is whole."""
        line = self.start(more=" let-go")
        _, port = self.attached(line)
        line.says("WELCOME 1 vm1 0.1.0 let-go")
        self.assertEqual(line.hears(), "PORTS hs=1 ss=1")
        line.quiet()
        self.assertTrue(self.guest.not_asked("detach"))
        line.says("ROUTE 1-1 high 00010009 held keyboard", "SYNCED")
        self.assertEqual(line.hears(), f"HAS 1-1 {port}")
        line.quiet()
        self.assertTrue(self.guest.not_asked("detach") and self.guest.not_asked("attach"))
        # What is not in it is let go of then.
        self.again(line)
        self.assertEqual(self.guest.asked("detach"), str(port))

    def test_new_list_while_attaching(self):
        """The import that is under way is the one that counts."""
        line = self.start(more=" let-go")
        line.says("ROUTE 1-1 high 00010009 free keyboard")
        self.assertEqual(line.hears(), "TRYING 1-1")
        wait(lambda: select.select([self.usbip], [], [], 0)[0], "an import")
        for held in ("free", "held"):
            self.again(line, f"ROUTE 1-1 high 00010009 {held} keyboard")
            self.assertEqual([line.hears(), line.hears()], ["PORTS hs=2 ss=1", "TRYING 1-1"])
            line.quiet()
        self.imported("1-1")
        port = int(self.guest.asked("attach").split()[0])
        self.assertEqual(line.hears(), "PORTS hs=1 ss=1")
        self.no_import()
        # Taken, and not yet there.
        self.again(line, "ROUTE 1-1 high 00010009 held keyboard")
        self.assertEqual(line.hears(), "PORTS hs=1 ss=1")
        line.quiet()
        heard = line.hears()
        self.assertIn("FAILED 1-1 the guest's kernel gets no answer from it", heard)
        self.again(line, "ROUTE 1-1 high 00010009 held keyboard")
        self.assertEqual([line.hears(), line.hears()], ["PORTS hs=1 ss=1", heard])
        self.guest.set(port, USED, 0x10009, "3-1", configured=True)
        self.guest.news()
        self.assertEqual({line.hears(), line.hears()}, {f"HAS 1-1 {port}", "PING"})
        self.assertTrue(self.guest.not_asked("detach"))

    def test_new_list_and_what_was_not_heard(self):
        """A question, and that a device was let go of by hand."""
        line = self.start(more=" let-go")
        _, port = self.attached(line)
        self.guest.type_detach(port)
        self.guest.news()
        heard = {line.hears() for _ in range(3)}
        self.assertEqual(heard, {"LETGO 1-1", "PING", "PORTS hs=2 ss=1"})
        self.again(line, "ROUTE 1-1 high 00010009 free keyboard")
        self.assertEqual([line.hears() for _ in range(4)], ["PORTS hs=2 ss=1", "PING", "LETGO 1-1", "PING"])
        line.says("PONG", "PONG")
        line.quiet()
        self.no_import()
        # Heard: what is named now is given.
        self.again(line, "ROUTE 1-1 high 00010009 free keyboard")
        self.assertEqual([line.hears(), line.hears()], ["PORTS hs=2 ss=1", "TRYING 1-1"])

    def test_new_list_in_a_sleep(self):
        line = self.start(more=" let-go")
        _, port = self.attached(line)
        asked = self.agent.ask("--let-go")
        self.let_go_of(line, port)
        self.assertEqual(asked.wait(SECONDS), 0)
        self.again(line, "ROUTE 1-1 high 00010009 free keyboard")
        line.says("PING")
        heard = []
        while not heard or heard[-1] != "PONG":
            heard.append(line.hears())
        # Perhaps with its own news of the port that is free.
        self.assertEqual(heard.count("SLEEP"), 1)
        self.assertIn("PORTS", heard[0])
        self.no_import()
        self.assertEqual(self.agent.ask("--take-back").wait(SECONDS), 0)
        self.taken_back(line)

    def test_hook_without_a_descriptor(self):
        """Who asks waits, and the agent does nothing meanwhile."""
        line = self.start()
        line.quiet()
        pid = self.agent.process.pid
        fds, stat = pathlib.Path(f"/proc/{pid}/fd"), pathlib.Path(f"/proc/{pid}/stat")
        open_ones = len(list(fds.iterdir()))
        silent = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(4)]
        for sock in silent:
            sock.connect(str(self.agent.folder / "control"))
        wait(lambda: len(list(fds.iterdir())) == open_ones + 4, "four that say nothing")
        full = max(int(fd.name) for fd in fds.iterdir()) + 1
        self.assertEqual(full, open_ones + 4)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (full, full))

        def ticks():
            return sum(map(int, stat.read_text().split()[13:15]))

        asked, before = self.agent.ask("--let-go"), ticks()
        time.sleep(1.5)
        # Of 150; one that asks again and again takes what it can get.
        self.assertLess(ticks() - before, 20)
        self.assertIsNone(asked.poll())
        for sock in silent:
            sock.close()
        self.assertEqual(asked.wait(SECONDS), 0)
        self.assertEqual(line.hears(), "SLEEP")

    def test_hook_without_an_agent(self):
        line = self.start()
        self.agent.stop()
        line.close()
        asked = self.agent.ask("--let-go")
        self.assertIn("no usbroute-agent runs here", asked.communicate(timeout=SECONDS)[1])
        self.assertEqual(asked.returncode, 1)

    @unittest.skipUnless(FAKE_LOGIND, "built without logind")
    def test_logind(self):
        """Lets go when logind says so, lets it go on then, and takes back; several times."""
        bus = Bus(self.folder.name)
        logind = Logind(bus)
        try:
            line = self.start(bus, more=" let-go")
            self.assertEqual(logind.tells(), "inhibit sleep usbroute-agent delay")
            _, port = self.attached(line)
            for _ in range(3):
                logind.says(True)
                self.let_go_of(line, port)
                self.assertEqual(logind.tells(), "released")
                self.no_import()
                logind.says(False)
                _, port = self.taken_back(line)
                self.assertEqual(logind.tells(), "inhibit sleep usbroute-agent delay")
            # With nothing to let go of.
            line.says("UNROUTE 1-1")
            self.guest.asked("detach")
            logind.says(True)
            self.assertEqual(logind.tells(), "released")
        finally:
            logind.stop()
            bus.stop()

    @unittest.skipUnless(FAKE_LOGIND, "built without logind")
    def test_logind_later(self):
        """logind ends and comes again, the bus does; or both come later than the agent."""
        bus = Bus(self.folder.name)
        bus.stop()
        line = self.start(bus)
        bus.start()
        logind = Logind(bus)
        try:
            # It looks for the bus again, as soon as there is news of anything, and after a while.
            self.assertEqual(logind.tells(), "inhibit sleep usbroute-agent delay")
            logind.stop()
            logind = Logind(bus)
            self.assertEqual(logind.tells(), "inhibit sleep usbroute-agent delay")
            bus.stop()
            bus.start()
            logind.stop()
            logind = Logind(bus)
            self.assertEqual(logind.tells(), "inhibit sleep usbroute-agent delay")
            line.quiet()
        finally:
            logind.stop()
            bus.stop()

    def test_check(self):
        def check(*words):
            done = subprocess.run([AGENT, "--check", "--interface", "lo", "--address", "127.0.0.1", "--sysfs",
                                   self.guest.root, *words], capture_output=True, text=True, timeout=SECONDS)
            return done.returncode, done.stdout

        if os.geteuid() == 0:
            rc, said = check()
            self.assertEqual(rc, 0, said)
            self.assertIn("2 free ports up to high speed", said)
            self.assertIn("usbrouted answers at 127.0.0.1", said)
        rc, said = check("--interface", "none7")
        self.assertEqual((rc, "missing: interface none7" in said), (1, True), said)
        self.door.close()
        rc, said = check()
        self.assertEqual((rc, "missing: usbrouted answers neither" in said), (1, True), said)
        rc, said = check("--sysfs", "/nowhere")
        self.assertEqual((rc, "missing: sysfs is not mounted" in said), (1, True), said)
        (self.guest.vhci / "status").unlink()
        rc, said = check()
        self.assertEqual((rc, "missing: module vhci-hcd" in said), (1, True), said)

    def test_words(self):
        def words(*words):
            done = subprocess.run([AGENT, *words], capture_output=True, text=True, timeout=SECONDS)
            return done.returncode, done.stdout + done.stderr

        self.assertRegex(words("--version")[1], r"^usbroute-agent \d")
        self.assertEqual(words("--help")[0], 0)
        for wrong in (["--nonsense"], ["--address", "x"], ["--interface", ""], ["more"], ["--interface", "x" * 16]):
            self.assertEqual(words(*wrong)[0], 2, wrong)
        # The word itself, also where it is no option.
        self.assertIn('found "more"', words("more")[1])

    def test_ready(self):
        path = os.path.join(self.folder.name, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            notify.settimeout(SECONDS)
            os.environ["NOTIFY_SOCKET"] = path
            try:
                self.start()
            finally:
                del os.environ["NOTIFY_SOCKET"]
            self.assertIn(b"READY=1", notify.recv(4096))


if __name__ == "__main__":
    own_network()
    unittest.main(argv=sys.argv[:1], verbosity=2)
