#!/usr/bin/python3
"""The LAN export of the real daemon, as a process of its own: who connects, where it listens, what comes of it when
control, the process and the configuration go and come.
usage: test-lan-process.py USBROUTED USBROUTECTL"""

import contextlib
import importlib.util
import json
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
import unittest

import proc
from guest_rig import own_network

spec = importlib.util.spec_from_file_location(
    "daemon_process", pathlib.Path(__file__).with_name("test-daemon-process.py"))
daemon_process = importlib.util.module_from_spec(spec)
spec.loader.exec_module(daemon_process)
Daemon, DAEMON, SECONDS = (getattr(daemon_process, name) for name in ("Daemon", "DAEMON", "SECONDS"))
CTL = sys.argv[2]
DEVLIST, IMPORT = b"\x01\x11\x80\x05\0\0\0\0", b"\x01\x11\x80\x03\0\0\0\0"
NODEV = 4


def setUpModule():
    """A port that was free stays so."""
    own_network()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def ask(port, request, size, address="127.0.0.1"):
    with socket.create_connection((address, port), timeout=SECONDS) as sock:
        sock.sendall(request)
        got = b""
        while len(got) < size and (more := sock.recv(size - len(got))):
            got += more
        return got


def n_listed(port, address="127.0.0.1"):
    answer = ask(port, DEVLIST, 12, address)
    assert answer[:8] == b"\x01\x11\x00\x05\0\0\0\0", answer
    return struct.unpack(">I", answer[8:])[0]


def status_of_import(port, name):
    answer = ask(port, IMPORT + name.encode().ljust(32, b"\0"), 400)
    assert answer[:4] == b"\x01\x11\x00\x03", answer
    return struct.unpack(">I", answer[4:8])[0]


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS).close()
        return True
    except ConnectionRefusedError:
        return False


def process_of(name):
    for pid in proc.tree(Daemon.running.pid):
        if proc.name(pid) == name:
            return pid
    return None


class LanExport(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(Daemon.end_running)
        self.port = free_port()
        self.daemon = Daemon(folder.name, self.config(f"listen = 127.0.0.1:{self.port}"))
        self.addCleanup(self.end_processes)

    def end_processes(self):
        """What a killed daemon has left."""
        subprocess.run([DAEMON, "--config", self.daemon.config, "--release"], capture_output=True, timeout=SECONDS)

    @staticmethod
    def config(listen):
        return f"[vm vm1]\n[lan-export]\n{listen}\n[export keyboard]\nto = 127.0.0.1\n"

    def ctl(self, *words):
        return subprocess.run([CTL, "--socket", self.daemon.run / "control", *words], capture_output=True, text=True,
                              timeout=SECONDS)

    def warnings(self):
        return json.loads(self.ctl("--json", "status").stdout)["warnings"]

    @contextlib.contextmanager
    def nobody_is_refused(self):
        over, faults = threading.Event(), []

        def connect():
            while not over.is_set():
                try:
                    n_listed(self.port)
                except OSError as error:
                    faults.append(error)
        stranger = threading.Thread(target=connect)
        stranger.start()
        try:
            yield
        finally:
            over.set()
            stranger.join()
        self.assertEqual(faults, [])

    def opened(self):
        """Who connects is answered: the process has its sockets, not control alone."""
        Daemon.until(lambda: is_open(self.port))
        n_listed(self.port)

    def test_it_answers(self):
        self.daemon.start()
        self.opened()
        self.assertEqual(n_listed(self.port), 0)
        self.assertEqual(status_of_import(self.port, "keyboard"), NODEV)
        self.assertEqual(status_of_import(self.port, "x" * 32), NODEV)
        self.assertEqual(self.ctl("vms").stdout.count("lan.export"), 0)
        code, errors = self.daemon.stop()
        self.assertEqual(code, 0)
        self.assertFalse(is_open(self.port))
        self.assertIn('127.0.0.1:', errors)
        self.assertIn('asked for "keyboard", which is not exported to it', errors)

    def test_off_unless_given(self):
        self.daemon.configure("[vm vm1]\n[export keyboard]\nto = 127.0.0.1\n")
        self.daemon.start()
        self.assertIsNone(process_of("vm:lan.export"))
        self.assertFalse(is_open(self.port))
        missing = "[export keyboard]: there is no [lan-export] section, so nothing is exported"
        self.assertEqual(self.warnings(), [missing])
        # By a reload it comes, and goes.
        self.daemon.configure(self.config(f"listen = 127.0.0.1:{self.port}"))
        self.assertEqual(self.ctl("reload").returncode, 0)
        self.opened()
        self.assertEqual(n_listed(self.port), 0)
        self.assertEqual(self.warnings(), [])
        self.daemon.configure("[vm vm1]\n")
        self.assertEqual(self.ctl("reload").returncode, 0)
        Daemon.until(lambda: not is_open(self.port))
        Daemon.until(lambda: not (self.daemon.run / "lan.export.line").exists())
        _, errors = self.daemon.stop()
        self.assertIn(missing, errors)

    def test_it_goes_on_without_control(self):
        with open(self.daemon.folder / "log", "w") as log:
            self.daemon.start(stderr=log)
            self.opened()
            process = process_of("vm:lan.export")
            with self.nobody_is_refused():
                for _ in range(3):
                    self.daemon.stop(signal.SIGTERM)
                    self.assertEqual(n_listed(self.port), 0)
                    self.daemon.start(stderr=log)
                    self.assertEqual(n_listed(self.port), 0)
            os.kill(process, 0)
            # One that dies is followed by another, at the same sockets.
            os.kill(process, signal.SIGKILL)
            Daemon.until(lambda: process_of("vm:lan.export") not in (None, process))
            self.assertEqual(n_listed(self.port), 0)
            self.daemon.stop()
        self.assertNotIn("was refused", (self.daemon.folder / "log").read_text())

    def test_an_address_that_is_taken(self):
        with socket.create_server(("127.0.0.1", self.port)):
            self.daemon.start()
            Daemon.until(lambda: any("another program listens there" in one for one in self.warnings()))
        # It is tried again and again.
        Daemon.until(lambda: not self.warnings())
        self.assertEqual(n_listed(self.port), 0)
        self.daemon.stop()

    def test_sockets_that_systemd_passes(self):
        self.daemon.configure(self.config(""))
        passed = socket.create_server(("127.0.0.1", self.port))
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = self.daemon.folder / "notify"
        notify.bind(str(path))
        path.chmod(0o777)
        notify.settimeout(SECONDS)
        # As systemd does: from descriptor 3 on, with the number of the process.
        script = f'exec 3<&{passed.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" --config "$1"'
        Daemon.running = self.daemon.process = subprocess.Popen(
            ["sh", "-c", script, DAEMON, self.daemon.config], pass_fds=[passed.fileno()], stderr=subprocess.PIPE,
            env={**os.environ, "NOTIFY_SOCKET": str(path)})
        self.daemon.process.args = [DAEMON, "--config", self.daemon.config]     # of what the shell becomes
        while b"READY=1" not in notify.recv(4096):
            pass
        notify.close()
        self.assertEqual(n_listed(self.port), 0)
        passed.close()
        self.assertEqual(n_listed(self.port), 0)
        self.assertEqual(self.warnings(), [])
        code, errors = self.daemon.stop()
        self.assertEqual((code, "is not used" in errors), (0, False))

    def test_silent_ones_are_bounded(self):
        self.daemon.start()
        self.opened()
        kept = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(12)]
        reset = set()

        def enough():
            for sock in select.select(kept, [], [], 0.1)[0]:
                with contextlib.suppress(ConnectionResetError):
                    sock.recv(1)
                reset.add(sock)
                kept.remove(sock)
                sock.close()
            return len(reset) >= 8
        Daemon.until(enough)
        for sock in kept:
            sock.close()
        self.assertEqual(n_listed(self.port), 0)
        _, errors = self.daemon.stop()
        self.assertLessEqual(errors.count("was hung up on"), 6)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
