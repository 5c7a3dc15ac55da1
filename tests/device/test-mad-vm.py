#!/usr/bin/python3
"""VMs' processes that were taken over, or are broken: the real daemon with another program in the place of usbrouted-vm
(mad-vm.c), which never ends by itself. usage: test-mad-vm.py USBROUTED USBROUTECTL MAD-VM"""

import importlib.util
import os
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
Daemon, SECONDS = daemon_process.Daemon, daemon_process.SECONDS
USBROUTED, MAD = sys.argv[1], sys.argv[3]


def processes(folder):
    """All that run the program in this folder."""
    return [pid for pid in proc.every() if proc.program(pid) == f"{folder}/usbrouted-vm"]


def has_begun(pid):
    return proc.name(pid).startswith("vm:")


class Mad(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.addCleanup(self.end)

    def processes(self):
        return processes(self.folder.name)

    def end(self):
        if Daemon.running:
            Daemon.running.kill()
            Daemon.running.wait(SECONDS)
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        Daemon.end_running()

    def start(self, name):
        self.daemon = Daemon(self.folder.name, f"[vm {name}]\n")
        daemon_process.DAEMON = shutil.copy(USBROUTED, self.folder.name)
        shutil.copy(MAD, pathlib.Path(self.folder.name) / "usbrouted-vm")
        self.daemon.start()

    def next(self, before=None, begun=True):
        """Another process of this VM than the one before; never are there two at once."""
        there = []

        def another():
            there[:] = self.processes()
            self.assertLessEqual(len(there), 1, f"processes of one VM: {there}")
            return there and there != [before] and (not begun or has_begun(there[0]))

        self.daemon.until(another)
        return there[0]

    def goes_mad(self, name):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as frontend:
            frontend.connect(str(self.daemon.run / f"{name}.sock"))

    def goes_on_and_is_killed(self, name):
        self.start(name)
        first = self.next()
        self.goes_mad(name)
        second = self.next(first)
        # One that the last control has left behind, too: nobody has told its number.
        self.daemon.stop(signal.SIGKILL)
        self.assertEqual(self.processes(), [second])
        self.daemon.start()
        self.assertEqual(self.processes(), [second])
        self.goes_mad(name)
        self.next(second)

    def test_one_that_says_nonsense_is_killed(self):
        self.goes_on_and_is_killed("nonsense")

    def test_one_that_closes_its_line_is_killed(self):
        self.goes_on_and_is_killed("leaver")

    def test_one_that_says_nothing_is_killed(self):
        self.start("mute")
        self.next(self.next(begun=False), begun=False)

    def test_one_that_does_not_end_is_killed(self):
        """As its VM leaves the configuration."""
        self.start("undying")
        first = self.next()
        self.daemon.configure("[vm other]\n")
        self.assertEqual(self.daemon.ctl("reload")[0], 0)
        self.daemon.until(lambda: first not in self.processes())

    def test_one_that_does_not_end_though_its_vm_left_the_configuration(self):
        self.start("undying")
        first = self.next()
        self.daemon.stop(signal.SIGKILL)
        self.daemon.configure("")
        self.daemon.start()
        self.assertEqual(self.processes(), [])
        self.assertNotEqual(first, 0)


if __name__ == "__main__":
    sys.argv = sys.argv[:1] + sys.argv[4:]
    unittest.main(verbosity=2)
