"""usbroute-agent as a process, in a network namespace of its own: a test is the daemon on 127.0.0.1, and a folder plays
the guest's sysfs. The words of each test's command: USBROUTE-AGENT [FAKE-LOGIND]"""

import ctypes
import os
import pathlib
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
        # The look that found it may have more to say: fewer ports are free.
        line.says("PING")
        while (heard := line.hears()) != "PONG":
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

    def again(self, line, *routes):
        """A new list on the same connection: of the same daemon, or of the next one."""
        line.says("WELCOME 1 vm1 0.1.0 let-go", *routes, "SYNCED")


def main():
    own_network()
    unittest.main(argv=sys.argv[:1], verbosity=2)
