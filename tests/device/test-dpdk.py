#!/usr/bin/python3
"""DPDK's virtio-user, in each of its variants, at the real daemon: two ports on a further network send numbered frames to
each other, and each frame comes once, in order and unchanged. Which features were agreed on is read off the connection.
usage: test-dpdk.py USBROUTED USBROUTECTL SWITCH-LOAD"""

import array
import importlib.util
import itertools
import os
import pathlib
import select
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

HERE = pathlib.Path(__file__).parent
spec = importlib.util.spec_from_file_location("daemon_process", HERE / "test-daemon-process.py")
daemon_process = importlib.util.module_from_spec(spec)
spec.loader.exec_module(daemon_process)
Daemon, SECONDS = daemon_process.Daemon, daemon_process.SECONDS

LOAD = sys.argv[3]
EAL = ["--no-huge", "--no-shconf", "--no-pci", "--no-telemetry", "-m", "512", "--file-prefix=test-dpdk", "--log-level=1",
       "--lcores", f"0@{max(os.sched_getaffinity(0))}"]
CONFIG = "[network lan]\nuplink = none\n[vm vm1]\n[vm vm2]\n"
GET_FEATURES, SET_FEATURES = 1, 2
BITS = {"mrg_rxbuf": 15, "in_order": 35, "packed_vq": 34}
FDS = 8


class Between(threading.Thread):
    """Passes on what a front-end and the daemon say to each other, and reads the features."""

    def __init__(self, path, daemon_path):
        super().__init__(daemon=True)
        self.daemon_path = daemon_path
        self.offered = self.agreed = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)
        self.start()

    def run(self):
        front, _ = self.listener.accept()
        with front, self.listener, socket.socket(socket.AF_UNIX) as back:
            back.connect(self.daemon_path)
            other = {front: back, back: front}
            said = {front: b"", back: b""}
            while True:
                for one in select.select([front, back], [], [])[0]:
                    try:
                        data, fds, _, _ = socket.recv_fds(one, 4096, FDS)
                        if not data:
                            return
                        other[one].sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
                    except ConnectionError:
                        return
                    for fd in fds:
                        os.close(fd)
                    said[one] = self.read(said[one] + data, one is front)

    def read(self, said, is_front):
        while len(said) >= 12 and len(said) >= 12 + struct.unpack("<I", said[8:12])[0]:
            request, _, size = struct.unpack("<III", said[:12])
            if size == 8 and request == (SET_FEATURES if is_front else GET_FEATURES):
                features, = struct.unpack("<Q", said[12:20])
                if is_front:
                    self.agreed = features
                else:
                    self.offered = features
            said = said[12 + size:]
        return said


class Dpdk(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(Daemon.end_running)
        self.daemon = Daemon(folder.name, CONFIG).start()
        self.paths = [f"{folder.name}/{n}.sock" for n in (1, 2)]
        self.between = [Between(path, str(self.daemon.run / f"vm{n}.lan.sock")) for n, path in enumerate(self.paths, 1)]

    def load(self, words, length, window):
        ports = [f"--vdev=net_virtio_user{n},path={path},mac=02:00:00:00:00:{1 + n:02x},queue_size=256{words}"
                 for n, path in enumerate(self.paths)]
        return subprocess.run([LOAD, *EAL, *ports, "--", str(length), str(window), "1", "check"], capture_output=True,
                              text=True, timeout=3 * SECONDS)

    def passes(self, wanted, length=1514, window=32, words=""):
        done = self.load("".join(f",{name}={on}" for name, on in wanted.items()) + words, length, window)
        self.assertEqual(done.returncode, 0, done.stderr)
        begun, numbers = done.stdout.split("\n")[:2]
        self.assertEqual(begun, "begun")
        self.assertGreater(float(numbers.split()[0]), 0)
        for between in self.between:
            for name, on in wanted.items():
                bit = 1 << BITS[name]
                self.assertEqual(bool(between.agreed & bit), bool(on and between.offered & bit), name)
        agreed = [name for name, bit in BITS.items() if self.between[0].agreed >> bit & 1]
        print(f"{numbers.split()[0]} frames of {length} bytes a second, none lost or changed; agreed on: {agreed}", flush=True)
        status, errors = self.daemon.stop()
        self.assertEqual(status, 0, errors)
        self.assertNotIn("broken", errors)
        self.assertNotIn("vhost-user message", errors)

    def test_long_frames_in_split_rings(self):
        self.passes({"packed_vq": 0}, length=64000, window=4)

    def test_long_frames_in_packed_rings(self):
        self.passes({"packed_vq": 1}, length=64000, window=4)

    def test_a_packed_ring_of_another_size(self):
        self.passes({"packed_vq": 1}, words=",queue_size=1024")

    def test_more_queues_than_there_are(self):
        """virtio-user 22.11 sets up as many as it is told to, whatever it is answered: the daemon says so, and goes on."""
        done = self.load(",queues=2", 1514, 32)
        self.assertNotEqual(done.returncode, 0)
        self.assertTrue(self.daemon.serves("vm1"))
        status, errors = self.daemon.stop()
        self.assertEqual(status, 0, errors)
        self.assertIn("no such ring", errors)


def add_variants():
    for packed, merged, in_order in itertools.product((0, 1), repeat=3):
        wanted = {"packed_vq": packed, "mrg_rxbuf": merged, "in_order": in_order}
        for length in 64, 1514:
            name = "_".join(f"{name}_{on}" for name, on in wanted.items())
            setattr(Dpdk, f"test_{name}_of_{length}", lambda self, wanted=wanted, length=length: self.passes(wanted, length))


if __name__ == "__main__":
    add_variants()
    unittest.main(argv=sys.argv[:1], verbosity=2)
