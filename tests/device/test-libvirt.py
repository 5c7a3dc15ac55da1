#!/usr/bin/python3
"""usbrouted-libvirt beside a real libvirtd: it is shut in, and does all that it is there for; what libvirt's library asks the kernel
for is what it may ask for. Domains that run, and QEMU's guest agent in them, are the lab's (libvirt-domains).
usage: test-libvirt.py USBROUTED-LIBVIRT"""

import ctypes
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HELPER = sys.argv[1]
SECONDS = 60
CLONE_NEWNS = 0x20000
# What libvirtd writes: it gets folders of its own.
FOLDERS = ("/etc/libvirt", "/run", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt")
# The driver within libvirtd that needs no QEMU; it has a domain "test", which runs.
URI = "test+unix:///default"
DOMAIN = """<domain type='test'><name>{}</name><memory>8192</memory><os><type>hvm</type></os></domain>"""


def has_filters():
    return not re.search(rb"__asan_init|__tsan_init", pathlib.Path(HELPER).read_bytes())


def own_folders():
    """Whether what libvirtd writes comes into folders that nobody else sees."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNS):
        return False
    if subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True).returncode:
        return False
    for folder in FOLDERS:
        if pathlib.Path(folder).exists() and \
                subprocess.run(["mount", "-t", "tmpfs", "none", folder], capture_output=True).returncode:
            return False
    # Its own user is not there where only its driver was installed.
    for name, words in (("passwd", "x:64055:64055::/:/bin/false"), ("group", "x:64055:")):
        text = pathlib.Path(f"/etc/{name}").read_text()
        if "\nlibvirt-qemu:" not in text:
            own = pathlib.Path(f"/run/{name}")
            own.write_text(f"{text}libvirt-qemu:{words}\n")
            subprocess.run(["mount", "--bind", own, f"/etc/{name}"], check=True)
    return True


class Daemon:
    """What the helper takes for usbrouted."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.listener.settimeout(SECONDS)
        self.line, self.rest, self.said = None, b"", []

    def accept(self):
        self.line, _ = self.listener.accept()
        self.line.settimeout(SECONDS)
        self.rest, self.said = b"", []

    def say(self, text):
        self.line.sendall(text.encode() + b"\n")

    def until(self, pattern):
        """The first line like this that was not asked for yet."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for i, line in enumerate(self.said):
                if re.fullmatch(pattern, line):
                    del self.said[:i + 1]
                    return line
            more = self.line.recv(4096)
            if not more:
                raise EOFError(f"the helper has gone; it said {self.said}")
            *lines, self.rest = (self.rest + more).split(b"\n")
            self.said += [one.decode() for one in lines]
        raise TimeoutError(f"no {pattern!r}; it said {self.said}")

    def close(self):
        self.listener.close()
        if self.line:
            self.line.close()


class Libvirt(unittest.TestCase):
    def setUp(self):
        if not shutil.which("libvirtd"):
            self.skipTest("no libvirtd here: tests/deps installs it")
        if os.geteuid() or not own_folders():
            self.skipTest("root here can't have folders of its own")
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)
        self.log = (self.path / "helper.log").open("w+")
        self.addCleanup(self.log.close)
        self.daemon = Daemon(self.path / "libvirt")
        self.addCleanup(self.daemon.close)
        self.libvirtd = self.helper = None
        self.addCleanup(self.end)

    def end(self):
        for process in (self.helper, self.libvirtd):
            if process and process.poll() is None:
                process.kill()
                process.wait(SECONDS)

    def start_libvirtd(self):
        with (self.path / "libvirtd.log").open("w") as log:
            self.libvirtd = subprocess.Popen(["libvirtd"], stdout=log, stderr=log)
        end = time.monotonic() + SECONDS
        while self.virsh("list").returncode:
            if time.monotonic() > end or self.libvirtd.poll() is not None:
                self.fail("libvirtd does not answer: " + (self.path / "libvirtd.log").read_text())

    def start_helper(self, *before):
        self.helper = subprocess.Popen([*before, HELPER, "--connect", URI, "--daemon", self.path / "libvirt"], stderr=self.log)
        self.daemon.accept()
        self.daemon.say("STATE")

    @staticmethod
    def virsh(*words):
        return subprocess.run(["virsh", "-q", "-c", URI, *words], capture_output=True, text=True)

    def said(self):
        self.log.flush()
        return pathlib.Path(self.log.name).read_text()

    def lives(self):
        daemon = self.daemon
        daemon.until("LIBVIRT yes")
        daemon.until("DOMAIN test running")
        xml = self.path / "domain.xml"
        xml.write_text(DOMAIN.format("vm1"))
        for words, state in ((("define", str(xml)), "shutoff"), (("start", "vm1"), "running"), (("suspend", "vm1"), "paused"),
                             (("resume", "vm1"), "running"), (("destroy", "vm1"), "shutoff"), (("undefine", "vm1"), "gone")):
            done = self.virsh(*words)
            self.assertEqual(done.returncode, 0, done.stderr)
            daemon.until(f"DOMAIN vm1 {state}")
        # A thread of its own each, which asks the domain's agent.
        for number in range(1, 6):
            daemon.say(f"ATTACH {number} test 10.77.0.1 1-1")
        for _ in range(5):
            daemon.until("FAILED [1-5] .+")
        daemon.say("DETACH 9 no%20such%20domain 1-1")
        daemon.until("FAILED 9 .+")
        daemon.say("STATE")
        daemon.until("LIBVIRT yes")
        daemon.until("DOMAIN test running")

    def test_all_that_it_does(self):
        self.start_libvirtd()
        self.start_helper()
        self.lives()
        # libvirtd goes and comes, the daemon does.
        self.libvirtd.kill()
        self.libvirtd.wait(SECONDS)
        self.daemon.until("LIBVIRT no")
        self.start_libvirtd()
        self.lives()
        self.daemon.line.close()
        self.daemon.accept()
        self.daemon.say("STATE")
        self.daemon.until("LIBVIRT yes")
        self.assertIsNone(self.helper.poll())
        self.assertNotIn("was refused", self.said())
        self.shut_in()

    def shut_in(self):
        status = pathlib.Path(f"/proc/{self.helper.pid}/status").read_text()
        if has_filters():
            self.assertRegex(status, r"\nSeccomp:\s2\n")
        self.assertRegex(status, r"\nNoNewPrivs:\s1\n")

    def test_without_libvirt_it_waits(self):
        self.start_helper()
        self.daemon.until("LIBVIRT no")
        self.daemon.say("ATTACH 1 vm1 10.77.0.1 1-1")
        self.daemon.until("FAILED 1 .+")
        self.shut_in()
        self.start_libvirtd()
        self.lives()
        self.assertNotIn("was refused", self.said())


if __name__ == "__main__":
    sys.argv = sys.argv[:1]
    unittest.main(verbosity=2)
