#!/usr/bin/python3
"""What strangers may do to the real daemon's sockets, and that nobody else waits for it: descriptors whose close
blocks, callers who only work, sit or shout, a stderr that nobody reads.
usage: test-strangers.py USBROUTED USBROUTECTL MUTE-FUSE"""

import array
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
import unittest

import proc

spec = importlib.util.spec_from_file_location(
    "daemon_process", pathlib.Path(__file__).with_name("test-daemon-process.py"))
daemon_process = importlib.util.module_from_spec(spec)
spec.loader.exec_module(daemon_process)
Daemon, SECONDS = daemon_process.Daemon, daemon_process.SECONDS
spec = importlib.util.spec_from_file_location(
    "raw_frontend", pathlib.Path(__file__).parent.parent / "lab" / "raw_frontend.py")
raw = importlib.util.module_from_spec(spec)
spec.loader.exec_module(raw)

LINGER_SECONDS = 1000   # far beyond any patience here: a close that waits is seen, not timed
LIST = b'{"method":"io.usbrouted.List"}\0'


@contextlib.contextmanager
def standing(sock):
    """Who listens at the other end stands still meanwhile; one that does already goes on doing so."""
    pid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]

    def state():
        return proc.status(pid).get("State", "X")[0]

    if state() in "TtXZ":
        yield
        return
    os.kill(pid, signal.SIGSTOP)
    while state() not in "TtXZ":
        pass
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class Blocker:
    """A descriptor whose last close blocks: a TCP socket with SO_LINGER and bytes that nobody reads."""

    def __init__(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.sock = socket.create_connection(listener.getsockname())
            self.far, _ = listener.accept()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LINGER_SECONDS))
        self.sock.setblocking(False)
        try:
            while True:
                self.sock.send(bytes(65536))
        except BlockingIOError:
            pass

    def give(self, to, data):
        """Send it with data, and keep none. From Linux 6.16 on the daemon's sockets refuse it."""
        # Were the reader done with its copy before, to close this one would block us.
        with standing(to):
            try:
                to.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [self.sock.fileno()]))])
            except (PermissionError, BrokenPipeError):
                # It is the last one still.
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.sock.close()

    def end(self):
        self.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.far.close()


class MuteFile:
    """A file that nobody can close before end(): who serves it does not answer, and nothing ends that wait."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.givers = []
        self.server = subprocess.Popen([MUTE, self.folder.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.there = self.server.stdout.readline() == b"ready\n"

    def give(self, give):
        """Call it with the descriptor, in a process that can wait for its end."""
        pid = os.fork()
        if pid == 0:
            self.server.stdin.close()
            try:
                give(os.open(f"{self.folder.name}/file", os.O_RDWR))
            finally:
                os._exit(0)
        self.givers.append(pid)

    def end(self):
        self.server.communicate()
        for pid in self.givers:
            os.waitpid(pid, 0)
        self.folder.cleanup()


class Strangers(unittest.TestCase):
    config = "[vm vm1]\n[device keyboard]\nmatch = id=046d:c31c\n"

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.addCleanup(Daemon.end_running)
        os.chmod(self.folder.name, 0o755)
        self.daemon = Daemon(self.folder.name, self.config)

    def connect(self, name="control", uid=0):
        """A connection, of another user where that is said: the kernel tells the daemon who it was."""
        sock = socket.socket(socket.AF_UNIX)
        os.seteuid(uid)
        try:
            sock.connect(str(self.daemon.run / name))
        finally:
            os.seteuid(0)
        sock.settimeout(SECONDS)
        self.addCleanup(sock.close)
        return sock

    def blocker(self):
        one = Blocker()
        self.addCleanup(one.end)
        return one

    def answers(self):
        status, out, errors = self.daemon.ctl("status")
        self.assertEqual(status, 0, errors)
        return json.loads(out)

    def stops(self):
        status, errors = self.daemon.stop()
        self.assertEqual(status, 0, errors)
        return errors

    def test_descriptor_beside_a_call(self):
        self.daemon.start()
        for data in LIST, b"{", b"\0", LIST + LIST:
            sock = self.connect()
            self.blocker().give(sock, data)
            self.answers()
        self.stops()

    def test_descriptor_behind_a_call(self):
        self.daemon.start()
        sock = self.connect()
        sock.send(LIST[:10])
        self.blocker().give(sock, LIST[10:])
        self.answers()
        self.stops()

    def test_descriptor_left_unread(self):
        """Its sender goes, or is sent away, before it was read."""
        self.daemon.start()
        for garbage in b"\0", b"no json\0", LIST:
            sock = self.connect()
            sock.sendall(garbage)
            self.blocker().give(sock, LIST)
            sock.close()
            self.answers()
        self.stops()

    def test_descriptor_of_one_too_many(self):
        self.daemon.start()
        kept = [self.connect() for _ in range(80)]
        for sock in kept[-20:]:
            self.blocker().give(sock, LIST)
        for sock in kept[:40]:
            sock.close()
        self.answers()
        self.stops()

    def test_descriptor_when_it_ends(self):
        self.daemon.start()
        sock = self.connect()
        self.daemon.process.send_signal(signal.SIGSTOP)
        self.blocker().give(sock, LIST)
        late = self.connect()
        self.blocker().give(late, LIST)
        self.daemon.process.send_signal(signal.SIGCONT)
        self.stops()

    def test_descriptor_to_the_helpers_socket(self):
        self.daemon.start()
        for data in b"state\n", b"no such word\n":
            sock = self.connect("libvirt")
            self.blocker().give(sock, data)
            self.answers()
            second = self.connect("libvirt")
            self.blocker().give(second, data)
            self.answers()
        self.stops()

    def test_users_who_work(self):
        """Who calls without an end takes turns with the others, however many connections it has."""
        rules = self.daemon.folder / "policy.d"
        rules.mkdir()
        (rules / "10-many.rules").write_text("".join(f"allow id=1234:{n:04x} to vm1\n" for n in range(4000)))
        self.daemon.start()
        self.daemon.process.send_signal(signal.SIGSTOP)
        callers, calls = [self.connect(uid=1000) for _ in range(16)], 200
        for sock in callers:
            sock.sendall(b'{"method":"io.usbrouted.Why","parameters":{"device":"keyboard"}}\0' * calls)
        root, asked = self.connect(), 50
        root.sendall(b'{"method":"io.usbrouted.Status"}\0' * asked)
        self.daemon.process.send_signal(signal.SIGCONT)
        while asked:
            asked -= root.recv(65536).count(b"\0")
        self.daemon.process.send_signal(signal.SIGSTOP)
        answers = 0
        for sock in callers:
            sock.setblocking(False)
            try:
                while data := sock.recv(1 << 20):
                    answers += data.count(b"\0")
            except BlockingIOError:
                pass
        # In turn it is one for each of root's; what was said before the stop counts, too. A connection in turn: 800.
        self.assertLess(answers, 300)
        self.daemon.process.send_signal(signal.SIGCONT)
        self.stops()

    def test_users_who_sit(self):
        """Idle connections keep neither root nor another user out."""
        self.daemon.start()
        for uid in range(1000, 1005):
            for _ in range(20):
                self.connect(uid=uid)
        for uid in 2000, 2001, 0:
            sock = self.connect(uid=uid)
            sock.sendall(b'{"method":"io.usbrouted.Status"}\0')
            self.assertIn(b"uptime_seconds", sock.recv(65536))
        self.stops()

    def test_users_who_shout(self):
        """What is denied is logged a few times, and not each time."""
        self.daemon.start()
        for _ in range(300):
            sock = self.connect(uid=1000)
            sock.sendall(b'{"method":"io.usbrouted.Detach","parameters":{"device":"keyboard"}}\0'
                         b'{"method":"io.usbrouted.Reload"}\0')
            self.assertTrue(sock.recv(65536))
            sock.close()
        said = self.stops().count("may not")
        self.assertGreater(said, 0)
        self.assertLess(said, 30)

    def test_stderr_that_nobody_reads(self):
        """The daemon goes on, and says how many lines were lost once somebody reads."""
        for near, far in (os.pipe()[::-1], [end.detach() for end in socket.socketpair()]):
            # What goes into a pipe is full when a page of it is; a socket is as large as it says.
            daemon = self.daemon
            with open(near, "wb", 0) as stderr:
                daemon.start(stderr=stderr)
            for number in range(3000):
                sock = self.connect()
                sock.sendall(b'{"method":"io.usbrouted.Reload"}\0')
                sock.recv(65536)
                sock.close()
            self.answers()
            with open(far, "rb", 0) as reader:
                os.set_blocking(far, False)
                while reader.read(65536):
                    pass
                self.assertEqual(daemon.ctl("reload")[0], 0)
                said = reader.read(65536).decode()
                self.assertRegex(said, r"\d+ lines before this one are lost")
                self.assertEqual(daemon.stop()[0], 0)

    # What a virtual machine's front-end hands over

    def frontend(self, vm="vm1"):
        one = raw.Frontend(str(self.daemon.run / f"{vm}.sock"))
        self.addCleanup(one.sock.close)
        return one

    def given_away(self, frontend, request, fd):
        """A message with a descriptor that does not belong there ends the connection."""
        payload = struct.pack("<Q", 1)
        if request == raw.SET_MEM_TABLE:
            payload = struct.pack("<IIQQQQ", 1, 0, raw.GPA, 4096, raw.UVA, 0)
        try:
            frontend.send(request, payload, [fd])
        except raw.Gone:
            pass

    def ends(self, frontend):
        try:
            while frontend.sock.recv(4096):
                pass
        except ConnectionError:
            pass

    REQUESTS = raw.SET_KICK, raw.SET_CALL, 14, raw.SET_MEM_TABLE, raw.GET_FEATURES

    def test_front_end_hands_over_what_is_none(self):
        """A socket that lingers, a full pipe, a device, a file on a disk: the connection ends, nobody waits."""
        self.daemon.configure(self.config + "[vm vm2]\n")
        self.daemon.start()
        neighbour = self.frontend("vm2")
        neighbour.start()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            makers = (lambda: self.lingering(listener.getsockname()), self.full_pipe, self.plain_file,
                      lambda: os.open("/dev/null", os.O_RDWR))
            for request in self.REQUESTS:
                for make in makers:
                    frontend = self.frontend()
                    frontend.start()
                    # Another process has it, and ends: what is under way is the last one then, not ours.
                    pid = os.fork()
                    if pid == 0:
                        try:
                            self.given_away(frontend, request, make())
                        finally:
                            os._exit(0)
                    os.waitpid(pid, 0)
                    self.ends(frontend)
                    self.assertTrue(neighbour.alive())
        self.answers()
        frontend = self.frontend()
        frontend.start()
        self.assertTrue(frontend.alive())
        self.assertIn("vm1: connection closed: its virtual machine handed over a descriptor that is neither "
                      "an eventfd nor memory", self.stops())

    def lingering(self, address):
        sock = socket.create_connection(address)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LINGER_SECONDS))
        sock.setblocking(False)
        try:
            while True:
                sock.send(bytes(65536))
        except BlockingIOError:
            pass
        return sock.detach()

    def full_pipe(self):
        _, write = os.pipe()
        os.set_blocking(write, False)
        try:
            while True:
                os.write(write, bytes(4096))
        except BlockingIOError:
            pass
        os.set_blocking(write, True)
        return write

    def plain_file(self):
        file, name = tempfile.mkstemp(dir="/var/tmp")
        os.unlink(name)
        return file

    def test_front_end_hands_over_what_nobody_can_close(self):
        """With a file that is never closed the daemon goes on, reloads, stops, and is killed."""
        mute = MuteFile()
        self.addCleanup(mute.end)
        if not mute.there:
            self.skipTest("no FUSE can be mounted here")
        for end in signal.SIGINT, signal.SIGKILL:
            self.daemon.configure(self.config + "[vm vm2]\n")
            self.daemon.start()
            for request in self.REQUESTS:
                frontend = self.frontend()
                frontend.start()
                mute.give(lambda fd, frontend=frontend, request=request: self.given_away(frontend, request, fd))
                self.ends(frontend)
                self.answers()
            other = self.frontend("vm2")
            other.start()
            self.assertTrue(other.alive())
            self.daemon.configure(self.config)
            status, _, errors = self.daemon.ctl("reload")
            self.assertEqual(status, 0, errors)
            status, errors = self.daemon.stop(end)
            self.assertEqual(status, 0 if end == signal.SIGINT else -end, errors)

    def test_front_end_sends_memory_that_nobody_has_touched(self):
        """It is charged to the daemon: as much as the guest's memory, and no more, until the guest goes."""
        self.daemon.start()
        size, frontend = 16 << 20, self.frontend()
        os.ftruncate(frontend.memfd, size)
        frontend.features()
        frontend.memory(((raw.GPA, size, raw.UVA, 0),))
        frontend.ring(raw.RX)
        frontend.ring(raw.TX)
        first = raw.SIZE // 4096
        for number, page in enumerate(range(first, size // 4096), 1):
            frontend.desc(raw.TX, number % 128, raw.GPA + page * 4096, 60)
            frontend.post(raw.TX, number % 128)
            while frontend.used(raw.TX) != number:
                self.assertTrue(frontend.alive())
        # Older kernels count a page a little later.
        self.assertGreater(self.shared_memory(), size // 2)
        self.assertLessEqual(self.shared_memory(), size)
        frontend.sock.close()
        self.frontend().alive()     # it is served when the other one has gone
        self.assertLess(self.shared_memory(), raw.SIZE)
        self.stops()

    def shared_memory(self):
        """Of the daemon and all processes that it has started, in bytes."""
        parents, shared = {}, {}
        for pid in proc.every():
            if said := proc.status(pid):
                parents[pid], shared[pid] = int(said["PPid"]), int(said.get("RssShmem", "0 kB").split()[0]) << 10

        def ours(pid):
            while pid and pid != self.daemon.process.pid:
                pid = parents.get(pid)
            return pid is not None and pid != 0
        return sum(size for pid, size in shared.items() if ours(pid))

    def test_front_end_with_full_counters(self):
        """Its call is an eventfd at its maximum that makes a writer wait: its neighbour's broadcasts do not, nor who comes next."""
        self.daemon.configure(self.config + "[vm vm2]\n")
        self.daemon.start()
        frontend, neighbour = self.frontend(), self.frontend("vm2")
        frontend.start()
        for fd in frontend.fds[0::2]:  # call, kick; call, kick
            try:
                os.eventfd_read(fd)
            except BlockingIOError:
                pass
            os.eventfd_write(fd, 2 ** 64 - 2)
            os.set_blocking(fd, True)
        neighbour.start()
        for one in neighbour, frontend:
            for number in range(1, 100):
                one.desc(raw.TX, 0, *one.frame())
                one.post(raw.TX, 0)
                while one.used(raw.TX) != number:
                    self.assertTrue(one.alive())
        # The counters stay full. The next one there is interrupted all the same.
        frontend.sock.close()
        after = self.frontend()
        after.start()
        after.desc(raw.TX, 0, *after.frame())
        after.post(raw.TX, 0)
        told = select.select([after.fds[2]], [], [], SECONDS)[0]
        self.assertTrue(told)
        self.answers()
        self.stops()


if __name__ == "__main__":
    MUTE = sys.argv[3]
    sys.argv = sys.argv[:1] + sys.argv[4:]
    unittest.main(verbosity=2)
