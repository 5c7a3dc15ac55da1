#!/usr/bin/python3
"""What each process of the real daemon can't do, tried from inside it (intruder.c is preloaded), and whose it is.
docs/security.md has the table that this holds. usage: test-sandbox.py USBROUTED USBROUTECTL INTRUDER"""

import ctypes
import importlib.util
import os
import pathlib
import pwd
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

spec = importlib.util.spec_from_file_location(
    "daemon_process", pathlib.Path(__file__).with_name("test-daemon-process.py"))
daemon_process = importlib.util.module_from_spec(spec)
spec.loader.exec_module(daemon_process)
Daemon, DAEMON, SECONDS = daemon_process.Daemon, sys.argv[1], daemon_process.SECONDS
INTRUDER = sys.argv[3]
NOBODY = pwd.getpwnam("nobody")
CREATE_RULESET, VERSION = 444, 1
# Which part of the sandbox refuses what is refused with this.
FILES, CALLS = "EACCES", "EPERM"

# What is tried in a process, and what comes of it.
REFUSED = {
    "control": {"read-passwd": "done", "write-own": "done", "read-shadow": FILES, "write-elsewhere": FILES,
                "open-device": FILES, "write-sysfs": FILES, "network": CALLS, "packets": CALLS, "netlink": CALLS,
                "ring": CALLS, "new-code": CALLS, "be-dumped": CALLS, "type-at-terminal": CALLS,
                "signal-others": CALLS},
    "broker": {"open-device": "done", "read-passwd": FILES, "read-shadow": FILES, "write-elsewhere": FILES,
               "make-device": FILES, "network": CALLS, "packets": CALLS, "netlink": CALLS, "ring": CALLS, "new-code": CALLS,
               "be-dumped": CALLS, "signal-others": CALLS},
    "closer": {"fork": "done"},
}
FATAL = {
    "control": ["run-program", "fork", "become-root", "trace", "namespace", "mount", "load-module", "kill-others"],
    "broker": ["run-program", "fork", "become-root", "trace", "namespace", "mount", "load-module", "kill-others"],
    "closer": ["read-passwd", "write-own", "network", "new-code", "run-program", "become-root", "namespace"],
}


def status(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def has_landlock():
    return ctypes.CDLL(None).syscall(CREATE_RULESET, None, 0, VERSION) > 0


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
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            for child in children.read_text().split():
                said = status(child)
                if said["Name"] == name and (said["Seccomp"] == "2" or not has_filters()):
                    return int(child)
            time.sleep(0.05)
        self.fail(f"no {name} that has shut itself in")

    def processes(self):
        return {"control": self.daemon.process.pid, "broker": self.child("usbrouted-brk"), "closer": self.child("usbrouted-close")}

    def test_whose_they_are(self):
        self.daemon.start()
        for name, pid in self.processes().items():
            uid = 0 if name == "broker" else NOBODY.pw_uid
            for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
                said = status(f"{pid}/task/{thread.name}")
                self.assertEqual(said["Uid"].split(), [str(uid)] * 4, name)
                self.assertEqual(said["Gid"].split(), [str(0 if uid == 0 else NOBODY.pw_gid)] * 4, name)
                kept = "0" * 16 if name != "broker" else "%016x" % (1 << 1)
                for kind in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
                    # What root may not do here it may not do there.
                    mine = int(status("self")["CapPrm"], 16)
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
            every = pathlib.Path(f"/proc/{starter}/task/{starter}/children").read_text().split()
            return [said for said in map(status, every)
                    if said["Name"].startswith("vm:") and (said["Seccomp_filters"] == "3" or not has_filters())]

        until = time.monotonic() + SECONDS
        while len(serving()) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        self.assertEqual(len(serving()), 2)
        if has_filters():
            self.assertEqual(status(starter)["Seccomp_filters"], "1")
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

    def test_without_its_user(self):
        """It is root, and may do no more for that."""
        try:
            pwd.getpwnam("usbrouted")
            self.skipTest("this machine has the user")
        except KeyError:
            pass
        self.daemon.words = []
        if has_filters():
            self.start("control", "write-elsewhere", "network")
        else:
            self.daemon.start()     # a sanitizer's library wants to be the first that is preloaded
        said = status(self.daemon.process.pid)
        self.assertEqual(said["Uid"].split(), ["0"] * 4)
        self.assertEqual((said["CapEff"], said["CapPrm"], said["CapBnd"]), ("0" * 16,) * 3)
        code, errors = self.daemon.stop()
        self.assertEqual(code, 0)
        self.assertIn('there is no user "usbrouted": running as root, without capabilities; try: systemd-sysusers', errors)
        if has_filters():
            self.assertIn("intruder: control: network: EPERM", errors)
        if has_filters() and has_landlock():
            self.assertIn("intruder: control: write-elsewhere: EACCES", errors)

    def test_a_reload_that_could_not_read_is_told(self):
        self.daemon.config.chmod(0o600)
        self.daemon.start()
        self.assertEqual(self.daemon.ctl("reload")[0], 1)
        code, errors = self.daemon.stop()
        self.assertEqual(code, 0)
        self.assertIn("a reload can't read it", errors)

    def start(self, process, *tries):
        for name, value in (("LD_PRELOAD", INTRUDER), ("INTRUDER_TRIES", " ".join((process, *tries))),
                            ("INTRUDER_FILE", str(self.elsewhere)), ("INTRUDER_OWN", str(self.daemon.run / "own.sock"))):
            os.environ[name] = value
        try:
            self.daemon.start()
        finally:
            for name in "LD_PRELOAD", "INTRUDER_TRIES", "INTRUDER_FILE", "INTRUDER_OWN":
                del os.environ[name]

    def test_refused(self):
        if not has_filters():
            self.skipTest("built with a sanitizer")
        for process, expected in REFUSED.items():
            with self.subTest(process):
                if not has_landlock():
                    expected = {name: what for name, what in expected.items() if what != FILES}
                self.start(process, *expected)
                # The broker and the closer have tried by the time that a command was answered by control; all is read.
                self.assertEqual(self.daemon.ctl("status")[0], 0)
                code, said = self.daemon.stop()
                self.assertEqual(code, 0, said)
                found = dict(re.findall(rf"intruder: {process}: (\S+): (\S+)", said))
                self.assertEqual(found, expected)
                refused = list(expected.values()).count(CALLS)
                # Five at once are told.
                self.assertEqual(len(re.findall(r"system call \d+ was refused", said)), min(refused, 5), said)

    def test_fatal(self):
        if not has_filters():
            self.skipTest("built with a sanitizer")
        for process, tries in FATAL.items():
            for one in tries:
                with self.subTest(process=process, tries=one):
                    self.fatal(process, one)

    def fatal(self, process, one):
        """The process ends: control by a signal, and with the broker control ends, too; the closer is not waited for."""
        if process == "closer":
            self.start(process, one)
            self.assertEqual(self.daemon.ctl("status")[0], 0)
            code, said = self.daemon.stop()
            self.assertEqual(code, 0, said)
        else:
            env = {**os.environ, "LD_PRELOAD": INTRUDER, "INTRUDER_TRIES": f"{process} {one}",
                   "NOTIFY_SOCKET": "/none"}     # that it would say READY is when control serves
            done = subprocess.run([DAEMON, *Daemon.words, "--config", self.daemon.config], env=env, capture_output=True,
                                  text=True, timeout=SECONDS)
            said = done.stderr
            self.assertEqual(done.returncode, -signal.SIGSYS if process == "control" else 1, said)
            if process == "broker":
                self.assertRegex(said, "the broker has died|Broken pipe")
        self.assertNotIn("intruder:", said)


if __name__ == "__main__":
    sys.argv = sys.argv[:1] + sys.argv[4:]
    unittest.main(verbosity=2)
