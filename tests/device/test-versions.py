#!/usr/bin/python3
"""An upgrade and a downgrade under running VMs: the real programs, and the same linked with other versions of the protocol
(other-version.c): "before" speaks the version before this one, "stranger" none that this one does.
usage: test-versions.py USBROUTED USBROUTECTL USBROUTED-VM BEFORE BEFORE-VM STRANGER STRANGER-VM"""

import importlib.util
import pathlib
import shutil
import signal
import socket
import sys
import tempfile
import unittest

import proc

spec = importlib.util.spec_from_file_location(
    "daemon_process", pathlib.Path(__file__).with_name("test-daemon-process.py"))
daemon_process = importlib.util.module_from_spec(spec)
spec.loader.exec_module(daemon_process)
Daemon = daemon_process.Daemon
PROGRAMS = {"now": (sys.argv[1], sys.argv[3]), "before": sys.argv[4:6], "stranger": sys.argv[6:8]}


class Versions(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.addCleanup(Daemon.end_running)
        for name, programs in PROGRAMS.items():
            folder = pathlib.Path(self.folder.name) / name
            folder.mkdir(mode=0o755)
            for path, what in zip(programs, ("usbrouted", "usbrouted-vm")):
                shutil.copy(path, folder / what)
        self.daemon = Daemon(self.folder.name, "[vm vm1]\n")
        self.log = (pathlib.Path(self.folder.name) / "log").open("w+")
        self.addCleanup(self.log.close)

    def start(self, name):
        daemon_process.DAEMON = pathlib.Path(self.folder.name) / name / "usbrouted"
        self.daemon.start(stderr=self.log)
        self.assertEqual(self.daemon.vms(), ["vm1"])

    def said(self):
        self.log.flush()
        return pathlib.Path(self.log.name).read_text()

    def first(self, name):
        self.start(name)
        process = self.daemon.vm_process("vm1")
        self.daemon.until(lambda: self.daemon.serves("vm1"))
        return process

    def goes_on(self, process):
        self.assertFalse(proc.has_ended(process))
        self.assertTrue(self.daemon.serves("vm1"))
        self.assertFalse(proc.has_ended(process), self.said())
        self.assertNotIn("its process is lost", self.said())

    def test_up_and_down(self):
        for first, others in (("before", ("now", "before", "now")), ("now", ("before", "now", "before"))):
            with self.subTest(first):
                process = self.first(first)
                for other, how in zip(others, (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM)):
                    self.daemon.stop(how)
                    self.start(other)
                    self.goes_on(process)
                self.assertEqual(self.daemon.stop()[0], 0)
                self.daemon.until(lambda pid=process: proc.has_ended(pid))

    def test_no_version_in_common(self):
        process = self.first("now")
        for _ in range(2):
            self.daemon.stop(signal.SIGTERM)
            self.start("stranger")
            self.assertIn("its process is of a version that this usbrouted does not speak", self.said())
            self.assertFalse(proc.has_ended(process))
        # Whoever speaks its version finds it as it was.
        self.daemon.stop(signal.SIGKILL)
        self.start("now")
        self.goes_on(process)
        # Its QEMU connects anew to a stranger.
        self.daemon.stop(signal.SIGTERM)
        self.start("stranger")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as frontend:
            frontend.connect(str(self.daemon.run / "vm1.sock"))
            self.daemon.until(lambda: proc.has_ended(process))
        self.assertNotEqual(self.daemon.vm_process("vm1"), process)
        self.assertTrue(self.daemon.serves("vm1"))
        self.assertEqual(self.daemon.stop()[0], 0)

    def test_another_one_on_command(self):
        """restart-vm replaces a process of this version, of the one before, and one that shares none."""
        for first, now in ("now", "now"), ("before", "now"), ("now", "stranger"):
            with self.subTest((first, now)):
                process = self.first(first)
                if now != first:
                    self.daemon.stop(signal.SIGTERM)
                    self.start(now)
                    self.assertFalse(proc.has_ended(process))
                status, out, err = self.daemon.ctl("restart-vm", "vm1")
                self.assertEqual((status, out), (0, '{"message":"vm1: it has another process; its card and its devices come back"}\n'), err)
                self.assertTrue(proc.has_ended(process))
                self.assertNotEqual(self.daemon.vm_process("vm1"), process)
                self.assertTrue(self.daemon.serves("vm1"))
                self.assertEqual(self.daemon.ctl("restart-vm", "vm9")[0], 3)
                self.assertEqual(self.daemon.stop()[0], 0)

    def test_a_stranger_ends_with_the_daemon_and_with_its_vm(self):
        process = self.first("now")
        self.daemon.stop(signal.SIGTERM)
        self.start("stranger")
        self.assertEqual(self.daemon.stop()[0], 0)
        self.daemon.until(lambda: proc.has_ended(process))
        process = self.first("now")
        self.daemon.stop(signal.SIGTERM)
        self.start("stranger")
        self.daemon.configure("[vm vm2]\n")
        self.assertEqual(self.daemon.ctl("reload")[0], 0)
        self.daemon.until(lambda: proc.has_ended(process))


if __name__ == "__main__":
    sys.argv = sys.argv[:1]
    unittest.main(verbosity=2)
