#!/usr/bin/python3
"""Events of the real daemon with devices that umockdev pretends: what listeners get, one that does not read, and how
`events` and `list --watch` begin and end.
usage: test-events-process.py USBROUTED USBROUTECTL MOCK-HOST [TEST…]"""

import fcntl
import importlib.util
import json
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import unittest

SECONDS = 60
PATIENCE = 10  # the daemon's, in seconds
spec = importlib.util.spec_from_file_location("process", pathlib.Path(__file__).with_name("test-control-process.py"))
process = importlib.util.module_from_spec(spec)
spec.loader.exec_module(process)


class Listener:
    """A connection that has called Monitor, and what came."""

    def __init__(self, test):
        self.test, self.socket, self.data = test, test.connect(), b""
        test.ask(self.socket, "Monitor", more=True)

    def next(self):
        while b"\0" not in self.data:
            got = self.socket.recv(65536)
            self.test.assertTrue(got, "the connection ended")
            self.data += got
        message, self.data = self.data.split(b"\0", 1)
        reply = json.loads(message)
        self.test.assertTrue(reply["continues"])
        return reply["parameters"]

    def kinds(self, n):
        return [(e["event"], e["alias"], e["vm"]) for e in (self.next() for _ in range(n))]


class Events(process.Process):
    CONFIG = "[vm vm1]\n[vm vm2]\n[device keyboard]\nmatch = id=046d:c31c\nvms = vm1\n"

    def begin(self):
        self.start(self.CONFIG)

    def run_ctl(self, *words, **options):
        p = subprocess.Popen([process.CTL, "--socket", self.control, *words], **options)
        self.addCleanup(lambda: p.poll() is None and (p.kill(), p.wait()))
        return p

    def test_what_happens_is_told_in_order(self):
        self.begin()
        listener = Listener(self)
        self.assertEqual(listener.kinds(1), [("listening", None, None)])
        self.host.add("1-1", serial="ABC")
        self.assertEqual(listener.kinds(1), [("plugged", "keyboard", None)])
        self.assertEqual(self.ctl("attach", "keyboard", "vm1", "--no-wait")[0], 0)
        self.assertEqual(self.ctl("attach", "keyboard", "vm2", "--no-wait")[0], 5)
        self.assertEqual(self.ctl("detach", "keyboard")[0], 0)
        self.remove("1-1")
        self.assertEqual(listener.kinds(4), [("wanted", "keyboard", "vm1"), ("refused", "keyboard", "vm2"),
                                             ("wanted", "keyboard", "host"), ("unplugged", "keyboard", None)])

    def test_everybody_may_listen(self):
        self.begin()
        self.folder.chmod(0o755)
        p = subprocess.Popen(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", process.CTL, "--json", "--socket",
                              self.control, "events"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: p.poll() is None and p.kill())
        self.assertEqual(json.loads(p.stdout.readline())["event"], "listening")
        p.terminate()
        self.assertEqual(p.wait(SECONDS), 0)
        p.stdout.close()

    def test_who_does_not_read_is_dropped_and_others_are_served(self):
        self.host.add("1-1", serial="ABC")
        self.begin()
        silent = self.connect()
        self.ask(silent, "Monitor", more=True)
        # A real program that is stopped: what it prints and what it is sent, nobody takes.
        stopped = self.run_ctl("--json", "events", stdout=subprocess.PIPE, text=True)
        self.assertEqual(json.loads(stopped.stdout.readline())["event"], "listening")
        self.wait(lambda: self.connections() == 2)
        stopped.send_signal(signal.SIGSTOP)
        reads = Listener(self)
        self.assertEqual(reads.kinds(1), [("listening", None, None)])
        hung_up = select.poll()
        hung_up.register(silent, 0)
        n, s = 0, self.connect()
        # Both are dropped by what they leave unread, before a buffer grows.
        began = time.monotonic()
        while self.connections() > 2:
            self.assertLess(n, 5000)
            for vm in "vm1", None:
                self.ask(s, "Attach" if vm else "Detach", device="keyboard", **({"vm": vm, "wait_seconds": 0} if vm else {}))
                self.assertNotIn("error", self.replies(s)[0][0])
                self.assertEqual(reads.kinds(1), [("wanted", "keyboard", vm or "host")])
                n += 1
        self.assertTrue(hung_up.poll(SECONDS * 1000))
        why = [b"it does not read the events that it has asked for"]
        # A machine that takes so long for that many events is overtaken by the daemon's patience with any answer.
        if time.monotonic() - began > PATIENCE:
            why.append(b"it has read nothing of an answer for 10 s")
        self.assertTrue(any(words in self.logged() for words in why), self.logged())
        stopped.send_signal(signal.SIGCONT)
        stopped.stdout.close()
        self.assertEqual(self.ctl("status")[0], 0)

    def test_a_listener_gives_its_place_up(self):
        """Listeners who only wait keep no other user out."""
        self.begin()
        self.folder.chmod(0o755)
        script = ("import json,socket,sys,os\nkept=[]\n"
                  "for i in range(int(sys.argv[2])):\n s=socket.socket(socket.AF_UNIX);s.connect(sys.argv[1])\n"
                  " s.sendall(json.dumps({'method':'io.usbrouted.Monitor','more':True}).encode()+b'\\0');kept.append(s)\n"
                  " s.recv(1)\nprint('ready',flush=True)\nsys.stdin.read()\n")
        for uid, n in (40001, 16), (40002, 16), (40003, 16), (40004, 16), (40005, 1):
            p = subprocess.Popen(["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", sys.executable, "-c", script,
                                  self.control, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.addCleanup(p.wait)
            self.addCleanup(p.stdin.close)
            self.addCleanup(p.stdout.close)
            self.assertEqual(p.stdout.readline(), "ready\n")
        # One of the 64 went, and the newcomer is served.
        self.wait(lambda: self.connections() == 64)

    def test_events_in_words_and_their_end(self):
        self.host.add("1-1", serial="ABC")
        self.begin()
        for end in signal.SIGINT, signal.SIGTERM:
            p = self.run_ctl("events", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            # In words it does not say when it has begun to listen.
            deadline = time.monotonic() + SECONDS
            while not select.select([p.stdout], [], [], 0.2)[0]:
                self.assertLess(time.monotonic(), deadline, self.logged())
                self.assertEqual(self.ctl("attach", "keyboard", "vm1", "--no-wait")[0], 0)
                self.assertEqual(self.ctl("detach", "keyboard")[0], 0)
            p.send_signal(end)
            out, errors = p.communicate(timeout=SECONDS)
            self.assertEqual((p.returncode, errors), (0, ""))
            self.assertTrue(out)
            for line in out.splitlines():
                self.assertRegex(line, r"^\d\d:\d\d:\d\d  wanted     keyboard  at (vm1|host), by command$")
        # `events | head`: it ends when nobody reads any more, though nothing happens, and says nothing.
        p = self.run_ctl("--json", "events", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(json.loads(p.stdout.readline())["event"], "listening")
        p.stdout.close()
        self.assertEqual(p.wait(SECONDS), 0)
        self.assertEqual(p.stderr.read(), "")
        p.stderr.close()
        # The daemon's end is none of these.
        p = self.run_ctl("events", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.wait(lambda: self.connections() == 1)
        self.stop()
        self.assertEqual((p.wait(SECONDS), p.stdout.read()), (1, ""))
        self.assertIn("closed the connection", p.stderr.read())
        p.stdout.close()
        p.stderr.close()

    def test_list_watch_draws_in_place_on_a_terminal(self):
        self.host.add("1-1", serial="ABC")
        self.begin()
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 100, 0, 0))
        p = self.run_ctl("list", "--watch", stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"})
        os.close(slave)
        self.addCleanup(os.close, master)
        screen = b""

        def until(words):
            nonlocal screen
            deadline = time.monotonic() + SECONDS
            while not re.search(words, screen):
                self.assertLess(time.monotonic(), deadline, screen)
                if select.select([master], [], [], 1)[0]:
                    screen += os.read(master, 65536)
            found, screen = screen, b""
            return found

        first = until(rb"1 device, 0 attached, 0 not where wanted")
        self.assertNotIn(b"\x1b[3A", first)
        self.assertEqual(self.ctl("attach", "keyboard", "vm1", "--no-wait")[0], 0)
        second = until(rb"1 device, 0 attached, 1 not where wanted")
        # Three lines stand there: the head, the device, the sum.
        self.assertIn(b"\x1b[3A\r\x1b[J", second)
        # More than the terminal has room for is cut: what was drawn over can always be drawn over.
        for i in range(2, 20):
            self.host.add(f"1-{i}", "1234:5678", serial=f"{i}")
            self.wait(lambda: len(self.call("List")[0]["parameters"]["devices"]) == i)
        until(rb"\x1b\[11A\r\x1b\[J")
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(SECONDS), 0)

    def test_list_watch_in_a_pipe_draws_nothing(self):
        self.host.add("1-1", serial="ABC")
        self.begin()
        p = self.run_ctl("list", "--watch", stdout=subprocess.PIPE, text=True)
        lines = [p.stdout.readline() for _ in range(2)]
        self.assertTrue(lines[0].startswith("ALIAS "))
        self.assertEqual(self.ctl("attach", "keyboard", "vm1", "--no-wait")[0], 0)
        lines += [p.stdout.readline() for _ in range(3)]
        self.assertEqual(lines[2], "\n")
        self.assertIn("pending", lines[4])
        self.assertNotIn("\x1b", "".join(lines))
        p.stdout.close()
        self.assertEqual(p.wait(SECONDS), 0)
        p = self.run_ctl("--json", "list", "--watch", stdout=subprocess.PIPE, text=True)
        self.assertEqual(len(json.loads(p.stdout.readline())["devices"]), 1)
        p.terminate()
        self.assertEqual(p.wait(SECONDS), 0)
        p.stdout.close()


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]])
