#!/usr/bin/python3
"""A real tap as the uplink of a further network, in a network namespace: datagrams that a guest sends many in one frame, and
that the host's sockets do, each arrive as they were sent, whatever this kernel does with such a frame (Linux 6.2 and later
takes it from a tap, and puts it there). usage: test-uplink.py USBROUTED USBROUTECTL"""

import importlib.util
import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "lab"))
import raw_frontend  # noqa: E402

spec = importlib.util.spec_from_file_location("daemon_process", HERE / "test-daemon-process.py")
daemon_process = importlib.util.module_from_spec(spec)
spec.loader.exec_module(daemon_process)
Daemon, SECONDS = daemon_process.Daemon, daemon_process.SECONDS

INSIDE = "USBROUTED_TEST_UPLINK"        # this runs in a network namespace of its own
SKIPPED = 77
MAC = "52:54:00:77:00:0d"
HOST, GUEST = "192.0.2.1", "192.0.2.2"
CONFIG = f"[vm vm1]\nmac = {MAC}\n[network lan]\nuplink = tap:uplink\n"
PORT = 5000
DATAGRAM, DATAGRAMS = 100, 15           # of one frame; the last one is shorter
PAYLOAD = bytes(n * 7 & 0xff for n in range(DATAGRAM * DATAGRAMS - 30))
CUT = [PAYLOAD[at:at + DATAGRAM] for at in range(0, len(PAYLOAD), DATAGRAM)]
# virtio 1.3, 5.1.3 and 5.1.6; Linux's udp(7)
CSUM, HOST_USO = 1 << 0, 1 << 56
NEEDS_CSUM, GSO_UDP_L4 = 1, 5
SOL_UDP, UDP_SEGMENT = 17, 103
ETHERNET, IP, UDP = 14, 20, 8
WHOLE = tuple(map(int, re.match(r"(\d+)\.(\d+)", os.uname().release).groups())) >= (6, 2)


def network(*words):
    subprocess.run(["ip", *words], check=True)


def folded(total):
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def added(data):
    return sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))


def pseudo(length):
    return added(socket.inet_aton(GUEST) + socket.inet_aton(HOST)) + socket.IPPROTO_UDP + length


def datagrams(to_mac):
    """One frame of many, and what is said of it: its checksum is the pseudo-header's, and is to be completed."""
    length = UDP + len(PAYLOAD)
    ip = bytearray(struct.pack(">BBHHHBBH4s4s", 0x45, 0, IP + length, 1, 0, 64, socket.IPPROTO_UDP, 0,
                               socket.inet_aton(GUEST), socket.inet_aton(HOST)))
    ip[10:12] = struct.pack(">H", 0xffff ^ folded(added(bytes(ip))))
    udp = struct.pack(">HHHH", PORT, PORT, length, folded(pseudo(length)))
    mac = bytes.fromhex(MAC.replace(":", ""))
    header = struct.pack("<BBHHHHH", NEEDS_CSUM, GSO_UDP_L4, 0, DATAGRAM, ETHERNET + IP, 6, 0)
    return to_mac + mac + b"\x08\x00" + bytes(ip) + udp + PAYLOAD, header


class Card(raw_frontend.Card):
    def features(self, features=raw_frontend.FEATURES):
        self.offered, = struct.unpack("<Q", self.ask(raw_frontend.GET_FEATURES))
        super().features(features | CSUM | HOST_USO)


class Uplink(unittest.TestCase):
    def setUp(self):
        network("link", "set", "lo", "up")
        # No frames of the host's own, such as router solicitations.
        pathlib.Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
        network("tuntap", "add", "uplink", "mode", "tap", "user", "root")
        network("address", "add", f"{HOST}/24", "dev", "uplink")
        network("link", "set", "uplink", "up")
        network("neighbour", "add", GUEST, "lladdr", MAC, "dev", "uplink")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(Daemon.end_running)
        self.daemon = Daemon(folder.name, CONFIG)
        self.daemon.start()
        self.card = Card(str(self.daemon.run / "vm1.lan.sock"))
        self.addCleanup(self.card.close)
        self.host = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.host.close)
        self.host.bind((HOST, PORT))

    def status(self):
        return json.loads(self.daemon.ctl("status")[1])

    def counters(self):
        found = self.status()["networks"][0]["counters"]
        return found["received_frames"], found["sent_frames"]

    def came_to_host(self):
        found = []
        self.host.settimeout(SECONDS)
        while len(found) < len(CUT):
            found.append(self.host.recv(4096))
        return found

    def came_to_guest(self):
        """Payloads of what the guest has been sent."""
        found, end = [], time.monotonic() + SECONDS
        while len(found) < len(CUT) and time.monotonic() < end:
            raw_frontend.Card.wait([self.card], 0.1)
            for frame in self.card.arrived():
                if frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_UDP:
                    continue
                length, = struct.unpack(">H", frame[38:40])
                self.assertEqual(struct.unpack(">H", frame[16:18])[0], IP + length)
                self.assertEqual(len(frame), ETHERNET + IP + length)
                found.append(bytes(frame[ETHERNET + IP + UDP:]))
        return found

    def test_datagrams_in_one_frame(self):
        self.assertTrue(self.card.offered & HOST_USO)
        Daemon.until(lambda: self.status()["networks"][0]["connected"])
        to_mac = bytes.fromhex(pathlib.Path("/sys/class/net/uplink/address").read_text().strip().replace(":", ""))
        frame, header = datagrams(to_mac)
        # Until there is a link between the two, what is sent is lost.
        self.host.settimeout(0.2)
        end = time.monotonic() + SECONDS
        while True:
            self.card.transmit([frame], header)
            try:
                first = self.host.recv(4096)
                break
            except TimeoutError:
                self.assertLess(time.monotonic(), end, "nothing reaches the host")
        rest = [self.host.recv(4096) for _ in CUT[1:]]
        self.assertEqual([first, *rest], CUT)
        for _ in range(3):
            self.card.transmit([frame], header)
            self.assertEqual(self.came_to_host(), CUT)
        self.host.setsockopt(SOL_UDP, UDP_SEGMENT, DATAGRAM)
        self.card.arrived()
        for _ in range(3):
            self.host.sendto(PAYLOAD, (GUEST, PORT))
            self.assertEqual(self.came_to_guest(), CUT)
        # Told now and then. What went over the tap was cut there only where this kernel has no word for it.
        frames = 1 if WHOLE else DATAGRAMS
        print(self.counters(), flush=True)
        Daemon.until(lambda: self.counters() == (4 * frames, 3 * frames))
        status, errors = self.daemon.stop()
        self.assertEqual(status, 0, errors)


if __name__ == "__main__":
    if INSIDE not in os.environ:
        if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
            print("uplink: needs root, and /dev/net/tun")
            sys.exit(SKIPPED)
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv])
    # Which taps there are is read there, and this is another namespace.
    subprocess.run(["mount", "-t", "sysfs", "sysfs", "/sys"], check=True)
    unittest.main(argv=sys.argv[:1], verbosity=2)
