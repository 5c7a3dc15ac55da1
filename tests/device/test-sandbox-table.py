#!/usr/bin/python3
"""What each process of the real daemon is, and what it can and can't do: each try is a system call that is made inside it
while it serves (inside.c). The two tables that come of it are printed, and are those of docs/security.md.
usage: test-sandbox-table.py USBROUTED USBROUTECTL INSIDE SECURITY_MD [USBROUTED-LIBVIRT]"""

import ctypes
import errno
import importlib.util
import os
import pathlib
import pwd
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import proc

spec = importlib.util.spec_from_file_location(
    "daemon_process", pathlib.Path(__file__).with_name("test-daemon-process.py"))
daemon_process = importlib.util.module_from_spec(spec)
spec.loader.exec_module(daemon_process)
Daemon, DAEMON, SECONDS = (getattr(daemon_process, name) for name in ("Daemon", "DAEMON", "SECONDS"))
INSIDE, PAGE = sys.argv[3], pathlib.Path(sys.argv[4])
LIBVIRT = sys.argv[5:6]
# Not the VMs' processes' user where there is none of theirs (65534).
USER = pwd.getpwnam("daemon")

PROCESSES = ["broker", "starter", "closer", "control", "VM", "VM's closer", "usher", "LAN"] + ["libvirt"] * len(LIBVIRT)
# A VM's closer is in the same stage as control's.
TRIED = [kind for kind in PROCESSES if kind != "VM's closer"]
LAN = "[lan-export]\nlisten = 127.77.0.1:3240\n"
VMS = 24    # one is ended by each try that ends it
CAPS = {1: "DAC_OVERRIDE", 6: "SETGID", 7: "SETUID"}
NEEDED = sum(1 << cap for cap in (*CAPS, 19, 21))       # SYS_PTRACE, to be inside; SYS_ADMIN, to enclose
MIB = 1 << 20

AT_FDCWD, O_WRONLY, O_RDWR, O_CREAT, O_PLAIN = -100, 1, 2, 0o100, 0o2004000     # close-on-exec, not waiting
# What is tried, the call, and an error that only one who may call it gets.
TRIES = [
    ("read /etc/passwd", (257, AT_FDCWD, "@/etc/passwd", O_PLAIN), None),
    ("read /etc/shadow", (257, AT_FDCWD, "@/etc/shadow", O_PLAIN), None),
    ("make a file in control's folder", (257, AT_FDCWD, "@{own}", O_PLAIN | O_WRONLY | O_CREAT, 0o600), None),
    ("make a file where anybody may", (257, AT_FDCWD, "@{elsewhere}", O_PLAIN | O_WRONLY | O_CREAT, 0o600), None),
    ("open a device node", (257, AT_FDCWD, "@/dev/null", O_PLAIN | O_RDWR), None),
    ("make a file in /dev", (257, AT_FDCWD, "@/dev/intruder", O_PLAIN | O_WRONLY | O_CREAT, 0o600), None),
    ("make a TCP socket", (41, 10, 1, 0), None),
    ("make a packet socket", (41, 17, 3, 0), None),
    ("make a netlink socket", (41, 16, 3, 0), None),
    ("make a Unix socket", (41, 1, 1, 0), None),
    ("connect", (42, -1, 0, 0), "EBADF"),
    ("bind an address", (49, -1, 0, 0), "EBADF"),
    ("make a ring", (425, 8, "#120"), None),
    ("have a driver do something", (16, 2, 0x5412, "@x"), "ENOTTY"),            # TIOCSTI: type at a terminal
    ("have usbfs do a transfer", (16, 2, 0x8038550a, "#64"), "ENOTTY"),         # USBDEVFS_SUBMITURB
    ("map code", (9, 0, 4096, 7, 0x22, -1, 0), None),
    ("make memory code", (10, 0, 0, 4), None),
    ("make a child process", (56, signal.SIGCHLD, 0, 0, 0, 0), None),
    ("run a program by its path", (59, "@/bin/true", 0, 0), None),
    ("run a program by a descriptor", (322, -1, "@", 0, 0, 0x1000), "EBADF"),
    ("let its memory be read", (157, 4, 1, 0, 0, 0), None),                     # PR_SET_DUMPABLE
    ("raise its limit of memory", (302, 0, 2, "@" + "x" * 16, 0), None),        # RLIMIT_DATA, to 2^63 or so
    ("limit another process", (302, "{neighbour}", 7, 0, 0), None),
    ("trace a neighbour", (101, 16, "{neighbour}", 0, 0), None),
    ("read a neighbour's memory", (310, "{neighbour}", 0, 0, 0, 0, 0), None),
    ("take a neighbour's descriptor", (438, -1, 0, 0), None),
    ("signal another process", (62, 1, 0), None),
    ("signal another's thread", (234, 1, 1, 0), None),
    ("become root", (117, 0, 0, 0), None),
    ("set capabilities", (126, 0, 0), "EFAULT"),
    ("make a process namespace", (272, 0x20000000), None),
    ("enter a namespace", (308, -1, 0), None),
    ("mount", (165, "@none", "@/mnt", "@tmpfs", 0, 0), None),
    ("change its root", (161, "@/"), None),
    ("load a module", (175, 0, 0, "@"), None),
    ("load a BPF program", (321, -1, 0, 0), None),
    ("measure with perf", (298, 0, 0, -1, -1, 0), None),
    ("use the kernel's keys", (250, 0, 0, 0), None),
    ("make a call newer than Linux 6.1", (453, 0, 0, 0, 0), None),
]
RING_TRY = "open a file by its ring"
# What Landlock alone refuses, in which processes.
BY_LANDLOCK = {"broker", "control", "libvirt"}
FILES = {"read /etc/shadow", "make a file where anybody may", "open a device node", "make a file in /dev", "read /etc/passwd",
         "make a file in control's folder"}
# What takes a user namespace, which nobody gets in a chroot.
ENCLOSED = {"namespaces of its own", "its root"}


def has_filters():
    return not re.search(rb"__asan_init|__tsan_init", pathlib.Path(DAEMON).read_bytes())


def libc(*call):
    return ctypes.CDLL(None, use_errno=True).syscall(*call)


def has_landlock():
    return libc(444, None, 0, 1) > 0


def can_enclose():
    return subprocess.run(["unshare", "-U", "true"], capture_output=True).returncode == 0


class Inside:
    """A process that is made to do things."""

    def __init__(self, pid):
        self.pid = pid
        self.process = subprocess.Popen([INSIDE, str(pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        # Until then it goes on with its own work, and with its ring.
        line = self.process.stdout.readline().strip()
        assert line == "stopped", f"inside {pid}: it said {line!r}"

    def call(self, *words):
        """What it returned; None: it has ended."""
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline().strip()
        assert line, f"inside {self.pid} {words}: it said nothing"
        return None if line == "ends" else int(line)

    def close(self):
        self.process.communicate(timeout=SECONDS)

    def ring_opens_file(self):
        """By its first ring's memory, as its liburing would. It is of no use to it any more afterwards."""
        fd = next(int(fd) for fd in sorted(os.listdir(f"/proc/{self.pid}/fd"), key=int)
                  if os.readlink(f"/proc/{self.pid}/fd/{fd}") == "anon_inode:[io_uring]")
        found = {offset: int(start, 16) for start, offset in re.findall(
            r"^(\w+)-\w+ \S+ (\w+) \S+ \S+ +anon_inode:\[io_uring\]", pathlib.Path(f"/proc/{self.pid}/maps").read_text(), re.M)}
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as memory:
            def word(at, value=None):
                memory.seek(at)
                if value is None:
                    return struct.unpack("<I", memory.read(4))[0]
                return memory.write(struct.pack("<I", value))

            rings, sqes = found["00000000"], found["10000000"]
            params = self.params(1, 2)
            sq, cq = (struct.unpack_from("<10I", params, at) for at in (40, 80))
            # How large it is says where its array begins.
            params = self.params(word(rings + sq[3]), word(rings + cq[3]))
            sq, cq = (struct.unpack_from("<10I", params, at) for at in (40, 80))
            tail, mask = word(rings + sq[1]), word(rings + sq[2])
            memory.seek(sqes + (tail & mask) * 64)
            memory.write(struct.pack("<BBHiQQIIQ", 18, 0, 0, AT_FDCWD, 0, self.path(), 0, 0, 0x494e) + bytes(24))
            word(rings + sq[6] + (tail & mask) * 4, tail & mask)
            word(rings + sq[1], tail + 1)
            taken = self.call(426, fd, 1, 0, 0, 0, 0)
            if taken is None or taken < 0:
                return taken
            assert taken == 1, f"{taken} entries were handed in"
            at = (word(rings + cq[1]) - 1) & word(rings + cq[2])
            memory.seek(rings + cq[5] + at * 16)
            what, result = struct.unpack("<Qi", memory.read(12))
            assert what == 0x494e, f"the ring did not refuse it at once: the last completion is {what:#x}'s"
            return result

    @staticmethod
    def params(entries, completions):
        """As the kernel tells them of a ring of this size."""
        params = ctypes.create_string_buffer(struct.pack("<III", 0, completions, 1 << 3) + bytes(108), 120)
        fd = libc(425, entries, params)
        assert fd >= 0, os.strerror(ctypes.get_errno())
        os.close(fd)
        return params.raw

    def path(self):
        """The address of some text in it: of its own name, before its environment."""
        return int(pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(") ", 1)[1].split()[45])


class Table(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        if not has_filters():
            self.skipTest("built with a sanitizer, which makes calls of its own")
        if os.uname().machine != "x86_64":
            self.skipTest("inside.c is x86-64's")
        if int(proc.status("self")["CapEff"], 16) & NEEDED != NEEDED:
            self.skipTest("root here has not all capabilities")
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.addCleanup(Daemon.end_running)
        self.addCleanup(lambda: pathlib.Path("/dev/intruder").unlink(missing_ok=True))
        self.daemon = Daemon(self.folder.name, "[vm v0]\n" + LAN)
        self.daemon.words = ["--user", "daemon"]
        elsewhere = pathlib.Path(self.folder.name) / "elsewhere"
        elsewhere.mkdir()
        elsewhere.chmod(0o777)
        self.words = {"elsewhere": elsewhere / "file", "own": self.daemon.run / "own.sock"}
        self.vm, self.frontend, self.libvirt = 0, socket.socket(socket.AF_UNIX), None
        self.addCleanup(self.end_libvirt)
        self.addCleanup(lambda: self.frontend.close())

    # --------------------------------------------------------- which they are

    def child(self, parent, name, filters):
        """One that serves: shut in, and waiting."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for pid in proc.children(parent):
                said = proc.status(pid)
                if said and said["Name"] == name and said["Seccomp_filters"] == str(filters) and said["State"].startswith("S"):
                    return pid
            time.sleep(0.02)
        self.fail(f"{name} is not there, shut in by {filters} filters")

    def find(self, kind):
        if kind == "libvirt":
            return self.find_libvirt()
        control = self.daemon.process.pid
        if kind == "control":
            return control
        if kind in ("broker", "starter", "closer"):
            return self.child(control, {"broker": "usbrouted-brk", "starter": "usbrouted-start", "closer": "usbrouted-close"}[kind],
                              1)
        if kind == "LAN":
            return self.child(self.child(control, "usbrouted-start", 1), "vm:lan.export", 3)
        vm = self.child(self.child(control, "usbrouted-start", 1), f"vm:v{self.vm}", 3)
        if kind == "VM":
            return vm
        closer = self.child(vm, "usbrouted-close", 2)
        if kind == "VM's closer":
            return closer
        # One is served at a time.
        self.frontend.close()
        Daemon.until(lambda: not proc.children(closer))
        self.frontend = socket.socket(socket.AF_UNIX)
        self.frontend.settimeout(SECONDS)
        self.frontend.connect(str(self.daemon.run / f"v{self.vm}.sock"))
        # It has begun when it passes something on.
        self.frontend.sendall(struct.pack("<III", 1, 1, 0))
        self.assertEqual(len(self.frontend.recv(20)), 20)
        return self.child(closer, "usbrouted-usher", 2)

    def find_libvirt(self):
        """As its unit starts it: root's, without a capability."""
        if not self.libvirt:
            self.libvirt = subprocess.Popen(["setpriv", "--bounding-set=-all", "--inh-caps=-all", *LIBVIRT,
                                             "--daemon", self.daemon.run / "libvirt"], stderr=subprocess.DEVNULL)
        return self.child(os.getpid(), "usbrouted-libvi", 1)

    def end_libvirt(self):
        if self.libvirt:
            self.libvirt.kill()
            self.libvirt.wait(SECONDS)
            self.libvirt = None

    def another(self, kind):
        """After one that has ended."""
        if kind == "libvirt":
            self.end_libvirt()
            return
        if kind in ("VM", "usher"):
            self.vm += kind == "VM"
            return
        Daemon.end_running()
        self.daemon.process.stderr.close()
        self.daemon.start()

    # --------------------------------------------------------- what they are

    def whose(self, said):
        uid = said["Uid"].split()
        self.assertEqual(len(set(uid)), 1, said["Name"])
        return {"0": "root", str(USER.pw_uid): "usbrouted"}.get(uid[0], "usbrouted-vm")

    @staticmethod
    def held(mask):
        mask = int(mask, 16)
        return " ".join(CAPS.get(cap, str(cap)) for cap in range(64) if mask >> cap & 1) or "-"

    def state(self, pid):
        said = proc.status(pid)
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        least = {name: re.search(rf"^{name} +(\S+) +(\S+)", limits, re.M)[2]
                 for name in ("Max core file size", "Max open files", "Max data size")}
        own = [name for name in ("user", "mnt", "net", "ipc", "uts", "pid")
               if os.readlink(f"/proc/{pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}")]
        self.assertEqual(said["CapEff"], said["CapPrm"])
        self.assertEqual(int(said["CapInh"], 16) | int(said["CapAmb"], 16), 0, said["Name"])
        limited = least["Max core file size"] == "0" and int(least["Max data size"]) == 256 * MIB \
            if least["Max data size"].isdigit() else False
        return {
            "its user": self.whose(said),
            "capabilities": self.held(said["CapPrm"]),
            "that a program could have": self.held(said["CapBnd"]),
            "gains rights by a program": "no" if said["NoNewPrivs"] == "1" else "yes",
            "lists of system calls": said["Seccomp_filters"] if said["Seccomp"] == "2" else "-",
            "namespaces of its own": " ".join(own) or "-",
            "its root": "the host's" if os.listdir(f"/proc/{pid}/root") else "empty",
            # Its files in /proc are root's then, whosever it is.
            "is read by its user": "no" if os.stat(f"/proc/{pid}/environ").st_uid == 0 and
            (said["Uid"].split()[0] != "0" or not self.dumpable(pid)) else "yes",
            "core, memory, descriptors": f"0, 256 MiB, {least['Max open files']}" if limited else "the unit's",
            "threads at rest": self.at_rest(pid),
        }

    def at_rest(self, pid):
        """Its threads, once those have ended that a single request has: the LAN export's listener is one of the broker's."""
        end = time.monotonic() + SECONDS
        while (threads := proc.status(pid)["Threads"]) != "1" and time.monotonic() < end:
            time.sleep(0.05)
        return threads

    def dumpable(self, pid):
        """Of a process of root's the owner does not tell; what another of root's without a right may read does."""
        script = f"import os, sys; os.readlink('/proc/{pid}/exe')"
        done = subprocess.run(["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", script],
                              capture_output=True)
        return done.returncode == 0

    # --------------------------------------------------------- what they can do

    def outcome(self, r, allowed):
        if r is None:
            return "ends"
        name = errno.errorcode[-r] if -4096 < r < 0 else None
        return "may" if name in (None, allowed) else name

    def try_all(self, kind):
        found = {}
        inside = None
        for name, words, allowed in TRIES:
            if not inside:
                pid = self.find(kind)
                neighbour = self.daemon.process.pid if kind != "control" else self.find("broker")
                inside = Inside(pid)
            words = [word.format(neighbour=neighbour, **self.words) if isinstance(word, str) else word for word in words]
            r = inside.call(*words)
            found[name] = self.outcome(r, allowed)
            if r is None:
                inside.close()
                inside = None
                self.another(kind)
            elif name == "let its memory be read" and r == 0:
                inside.call(157, 4, 0, 0, 0, 0)
            elif r > 2 and words[0] in (257, 41, 425):
                inside.call(3, r)
        inside.close() if inside else None
        if kind in ("control", "VM", "usher", "LAN"):
            inside = Inside(self.find(kind))
            found[RING_TRY] = self.outcome(inside.ring_opens_file(), None)
            # It waits for what its ring will not tell any more.
            if found[RING_TRY] != "ends":
                os.kill(inside.pid, signal.SIGKILL)
            inside.process.kill()
            inside.close()
            self.another(kind)
        else:
            found[RING_TRY] = "none"
        return found

    # --------------------------------------------------------- the tables

    def compare(self, first, found, skip):
        """Of the page's table whose head begins with this."""
        rows = re.search(rf"^\| {re.escape(first)} \|(?:.*\n)+?(?=\n)", PAGE.read_text(), re.M)
        said = {}
        for line in rows[0].splitlines() if rows else []:
            name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
            if name not in (first, "---"):
                said[name] = dict(zip(found, cells))
        names = list(found["broker"])
        table = {name: {kind: of[name] for kind, of in found.items()} for name in names}
        print(f"\n| {first} | {' | '.join(found)} |\n|{'---|' * (len(found) + 1)}")
        for name, cells in table.items():
            print(f"| {name} | {' | '.join(cells.values())} |")
        for name, cells in table.items():
            for kind, cell in cells.items():
                if not skip(name, kind):
                    self.assertEqual((name, kind, said.get(name, {}).get(kind)), (name, kind, cell), "docs/security.md")
        self.assertEqual(list(said), names, "docs/security.md")

    def test_what_they_are(self):
        self.daemon.start()
        found = {kind: self.state(self.find(kind)) for kind in PROCESSES}
        whole = can_enclose()
        self.compare("what it is", found, lambda name, kind: name in ENCLOSED and not whole)

    def test_what_they_can_do(self):
        self.daemon.start()
        found = {kind: self.try_all(kind) for kind in (*TRIED[:4], "LAN")}
        Daemon.end_running()
        self.daemon.process.stderr.close()
        self.daemon.configure("".join(f"[vm v{i}]\n" for i in range(VMS)))
        self.daemon.start()
        found |= {kind: self.try_all(kind) for kind in TRIED[4:] if kind != "LAN"}
        found = {kind: found[kind] for kind in TRIED}
        without = not has_landlock()
        self.compare("tries to", found, lambda name, kind: without and kind in BY_LANDLOCK and name in FILES)

    def test_without_its_user(self):
        """Started by hand where there is no such user, control is root, and may do no more for that."""
        try:
            pwd.getpwnam("usbrouted")
            self.skipTest("this machine has the user")
        except KeyError:
            pass
        self.daemon.words = []
        self.daemon.start()
        said = proc.status(self.daemon.process.pid)
        self.assertEqual(said["Uid"].split(), ["0"] * 4)
        self.assertEqual((said["CapEff"], said["CapPrm"], said["CapBnd"]), ("0" * 16,) * 3)
        tries = {name: (words, allowed) for name, words, allowed in TRIES}
        inside = Inside(self.daemon.process.pid)
        for name, expected in (("make a file where anybody may", "EACCES"), ("make a TCP socket", "EPERM")):
            if expected != "EACCES" or has_landlock():
                words, allowed = tries[name]
                r = inside.call(*(word.format(**self.words) if isinstance(word, str) else word for word in words))
                self.assertEqual(self.outcome(r, allowed), expected, name)
        inside.close()
        code, errors = self.daemon.stop()
        self.assertEqual(code, 0)
        self.assertIn('there is no user "usbrouted": running as root, without capabilities; try: systemd-sysusers', errors)
        # What the filter refuses is said.
        self.assertRegex(errors, r"system call 41 was refused")


if __name__ == "__main__":
    sys.argv = sys.argv[:1] + sys.argv[6:]
    unittest.main(verbosity=2)
