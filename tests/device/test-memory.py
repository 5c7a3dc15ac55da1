#!/usr/bin/python3
"""What memory the real daemon's processes have with two VMs, printed one by one, and that it is no more than it may be.
usage: test-memory.py USBROUTED USBROUTECTL"""

import importlib.util
import os
import pathlib
import re
import sys
import tempfile
import unittest

import proc

spec = importlib.util.spec_from_file_location(
    "daemon_process", pathlib.Path(__file__).with_name("test-daemon-process.py"))
daemon_process = importlib.util.module_from_spec(spec)
spec.loader.exec_module(daemon_process)
Daemon, DAEMON = daemon_process.Daemon, daemon_process.DAEMON

# KiB, of all processes; with a device it may be as much (the lab's scenario "measured").
MOST = 12 * 1024


class Memory(unittest.TestCase):
    def test_two_vms(self):
        if re.search(rb"__asan_init|__tsan_init", pathlib.Path(DAEMON).read_bytes()):
            self.skipTest("built with a sanitizer")
        if os.sysconf("SC_PAGESIZE") != 4096:
            self.skipTest("with other pages it is another sum")
        with tempfile.TemporaryDirectory() as folder:
            self.addCleanup(Daemon.end_running)
            daemon = Daemon(folder, "[vm vm1]\n[vm vm2]\n").start()
            for name in "vm1", "vm2":
                daemon.vm_process(name)
                self.assertTrue(daemon.serves(name))
            self.assertEqual(daemon.ctl("list")[0], 0)
            total = 0
            print()
            for pid in proc.tree(daemon.process.pid):
                said = proc.status(pid)
                if "RssAnon" not in said:
                    continue        # one that did a call for the broker, and has ended since
                name, anon, file = (said[key].split()[0] for key in ("Name", "RssAnon", "RssFile"))
                total += int(anon) + int(file)
                print(f"{name:16} RssAnon {anon:>5} KiB, RssFile {file:>5} KiB")
            print(f"{'all':16} {total / 1024:.1f} MiB")
            self.assertLessEqual(total, MOST)
            self.assertEqual(daemon.stop()[0], 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
