#!/usr/bin/python3
"""Whose each process of the real daemon is, and whose its files; what it can do is test-sandbox-table.py's.
usage: test-sandbox.py USBROUTED USBROUTECTL"""

import importlib.util
import os
import pathlib
import pwd
import re
import sys
import tempfile
import time
import unittest

import proc

spec = importlib.util.spec_from_file_location(
    "daemon_process", pathlib.Path(__file__).with_name("test-daemon-process.py"))
daemon_process = importlib.util.module_from_spec(spec)
spec.loader.exec_module(daemon_process)
Daemon, DAEMON, SECONDS = daemon_process.Daemon, sys.argv[1], daemon_process.SECONDS
NOBODY = pwd.getpwnam("nobody")


def has_filters():
    """A build with ASan or TSan makes calls of its own, and has no allowlist."""
    return not re.search(rb"__asan_init|__tsan_init", pathlib.Path(DAEMON).read_bytes())


class Sandbox(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.addCleanup(Daemon.end_running)
        self.daemon = Daemon(self.folder.name, "[vm vm1]\n[vm vm2]\n")
        # Writable for all: not the modes are what keeps an intruder out.
        elsewhere = pathlib.Path(self.folder.name) / "elsewhere"
        elsewhere.mkdir()
        elsewhere.chmod(0o777)
        self.elsewhere = elsewhere / "file"

    def child(self, name):
        """A process that control has forked, once it has its name and is as shut in as it will be."""
        pid = self.daemon.process.pid
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            for child in proc.children(pid):
                said = proc.status(child)
                if said and said["Name"] == name and (said["Seccomp"] == "2" or not has_filters()):
                    return child
            time.sleep(0.05)
        self.fail(f"no {name} that has shut itself in")

    def processes(self):
        return {"control": self.daemon.process.pid, "broker": self.child("usbrouted-brk"), "closer": self.child("usbrouted-close")}

    def test_whose_they_are(self):
        self.daemon.start()
        for name, pid in self.processes().items():
            uid = 0 if name == "broker" else NOBODY.pw_uid
            for thread in proc.names(pid, "task"):
                said = proc.status(pid, "task", thread)
                if not said and thread != str(pid):
                    continue    # one that did a call for the broker, and has ended since
                self.assertEqual(said["Uid"].split(), [str(uid)] * 4, name)
                self.assertEqual(said["Gid"].split(), [str(0 if uid == 0 else NOBODY.pw_gid)] * 4, name)
                kept = "0" * 16 if name != "broker" else "%016x" % (1 << 1)
                for kind in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
                    # What root may not do here it may not do there.
                    mine = int(proc.status("self")["CapPrm"], 16)
                    most = int(kept, 16) & mine if kind in ("CapPrm", "CapEff") else int(kept, 16)
                    self.assertEqual(int(said[kind], 16) & ~most, 0, (name, kind))
                self.assertEqual(said["NoNewPrivs"], "1", name)
                if has_filters():
                    self.assertEqual(said["Seccomp"], "2", name)
            # Nobody but root reads its memory: its files in /proc are root's.
            self.assertEqual(os.stat(f"/proc/{pid}/environ").st_uid, 0, name)
        self.assertEqual(self.daemon.stop()[0], 0)

    def test_a_vms_process(self):
        """It is nobody of ours, has nothing of root's, and no file."""
        self.daemon.start()
        starter = self.child("usbrouted-start")

        def serving():
            """Those that have shut themselves in: with the starter's filter, the one they start with, and their own."""
            return [said for said in map(proc.status, proc.children(starter))
                    if said and said["Name"].startswith("vm:") and (said["Seccomp_filters"] == "3" or not has_filters())]

        until = time.monotonic() + SECONDS
        while len(serving()) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        self.assertEqual(len(serving()), 2)
        if has_filters():
            self.assertEqual(proc.status(starter)["Seccomp_filters"], "1")
        for said in serving():
            self.assertNotIn(said["Uid"].split()[0], ("0", str(os.getuid())))
            self.assertEqual(len(set(said["Uid"].split())), 1)
            for kind in "CapInh", "CapPrm", "CapEff", "CapAmb":
                self.assertEqual(said[kind], "0" * 16, kind)
            self.assertEqual(said["NoNewPrivs"], "1")
        self.assertEqual(self.daemon.stop()[0], 0)

    def test_its_files_are_its_own(self):
        """Made by root before, by an older version, or through links: what is ours is given, and nothing else."""
        run, state = self.daemon.run, self.daemon.folder / "state"
        run.mkdir()
        state.mkdir()
        (state / "assignments").write_text("")
        (run / "lock").write_text("")
        (run / "sessions").symlink_to("/etc/passwd")
        self.elsewhere.write_text("")
        os.link(self.elsewhere, state / "cards")
        self.daemon.start()
        for path in run, state, state / "assignments", run / "lock", run / "control", run / "vm1.sock":
            self.assertEqual(os.stat(path).st_uid, NOBODY.pw_uid, path)
        for path in pathlib.Path("/etc/passwd"), self.elsewhere:
            self.assertEqual(os.stat(path).st_uid, 0, path)
        self.assertEqual(self.daemon.stop()[0], 0)

    def test_a_folder_of_others_is_not_given(self):
        (self.daemon.folder / "state").mkdir()
        (self.daemon.folder / "state" / "letters").write_text("")
        code, errors = self.daemon.fails()
        self.assertEqual(code, 1)
        self.assertIn('expected a folder of usbrouted\'s own; it has "letters" in it', errors)
        self.assertEqual(os.stat(self.daemon.folder / "state").st_uid, 0)

    def test_without_a_named_user(self):
        self.daemon.words = ["--user", "no-such-user"]
        code, errors = self.daemon.fails()
        self.assertEqual(code, 1)
        self.assertIn('there is no user "no-such-user"', errors)
        self.assertFalse(self.daemon.run.exists())

    def test_a_reload_that_could_not_read_is_told(self):
        self.daemon.config.chmod(0o600)
        self.daemon.start()
        self.assertEqual(self.daemon.ctl("reload")[0], 1)
        code, errors = self.daemon.stop()
        self.assertEqual(code, 0)
        self.assertIn("a reload can't read it", errors)


if __name__ == "__main__":
    sys.argv = sys.argv[:1] + sys.argv[3:]
    unittest.main(verbosity=2)
