#!/usr/bin/python3
"""usbroute-agent: devices that come, go and are let go of, daemons that come again, and its words. usage:
test-guest-agent.py USBROUTE-AGENT [FAKE-LOGIND]"""

import os
import select
import socket
import subprocess
import time

from guest_rig import AGENT, FREE, SECONDS, USED, Agent, Line, Test, link, main


class Agents(Test):
    def test_attaches(self):
        line = self.start()
        self.assertEqual(line.free, ["hs=2", "ss=1"])
        line.says("ROUTE 1-1 high 00010009 free keyboard")
        self.assertEqual(line.hears(), "TRYING 1-1")
        sock = self.imported("1-1")
        self.assertEqual(self.guest.asked("attach").split()[0::2], ["0", str(0x10009)])
        # Taken is not there: first it has no address, then no configuration.
        self.assertEqual(line.hears(), "PORTS hs=1 ss=1")
        self.guest.looked()
        line.quiet()
        self.guest.set(0, USED, 0x10009, "3-1")
        self.guest.looked()
        line.quiet()
        self.guest.set(0, USED, 0x10009, "3-1", configured=True)
        self.assertEqual(line.hears(), "HAS 1-1 0")
        # What is said to be over is taken off, file and all.
        line.says("UNROUTE 1-1")
        self.assertEqual(self.guest.asked("detach"), "0")
        self.assertIsNone(self.guest.file(0))
        self.assertEqual(self.agent.stop(), 0)
        sock.close()

    def test_ends_by_itself(self):
        line = self.start()
        _, port = self.attached(line)
        self.guest.set(port, FREE)
        self.guest.news()
        heard = {line.hears() for _ in range(3)}
        self.assertEqual(heard, {"PING", f"GONE 1-1", "PORTS hs=2 ss=1"})
        line.says("PONG")
        self.assertIsNone(self.guest.file(port))
        # And it is tried again, for it is still this guest's.
        self.imported("1-1")
        self.guest.asked("attach")

    def test_super_speed(self):
        line = self.start()
        line.says("ROUTE 2-1 super 00010009 free -")
        self.assertEqual(line.hears(), "TRYING 2-1")
        self.imported("2-1", speed=5)
        self.assertEqual(self.guest.asked("attach").split()[0], "8")

    def test_no_port(self):
        for number in (0, 1):
            self.guest.set(number, USED, 0x70007, f"3-{number + 1}", True)
        line = self.start()
        self.assertEqual(line.free, ["hs=0", "ss=1"])
        line.says("ROUTE 1-1 high 00010009 free -")
        self.assertIn("FAILED 1-1 the guest's vhci-hcd has no free port", line.hears())
        self.guest.set(1, FREE)
        self.guest.news()
        heard = [line.hears(), line.hears()]
        self.assertIn("PORTS hs=1 ss=1", heard)
        line.says("PONG")
        self.imported("1-1")
        self.assertEqual(self.guest.asked("attach").split()[0], "1")

    def test_refused(self):
        line = self.start()
        line.says("ROUTE 1-1 high 00010009 free -")
        self.assertEqual(line.hears(), "TRYING 1-1")
        self.imported("1-1", status=2)
        self.assertEqual(line.hears(), "FAILED 1-1 something else in the guest has it")
        self.imported("1-1")
        self.guest.asked("attach")

    def test_by_hand(self):
        """What was attached by hand is the guest's: found by its file, or by its number where there is none."""
        self.guest.run.mkdir()
        (self.guest.run / "port0").write_text("127.0.0.1 3240 keyboard\n")
        self.guest.set(0, USED, 0x10009, "3-1", True)
        self.guest.set(8, USED, 0x20003, "4-1", True)
        self.agent = Agent(self.guest)
        line = self.greet("ROUTE 1-1 high 00010009 held keyboard", "ROUTE 2-1 super 00020003 held -")
        self.assertEqual({line.hears(), line.hears()}, {"HAS 1-1 0", "HAS 2-1 8"})
        line.quiet()
        self.assertTrue(self.guest.not_asked("attach") and self.guest.not_asked("detach"))

    def test_stale(self):
        """What hangs on this daemon and is not this guest's any more; and of others', nothing is touched."""
        self.guest.run.mkdir()
        (self.guest.run / "port0").write_text("127.0.0.1 3240 1-5\n")
        (self.guest.run / "port1").write_text("192.168.1.5 3240 1-5\n")
        (self.guest.run / "port8").write_text("127.0.0.1 3240 2-7\n")
        self.guest.set(0, USED, 0x10005, "3-1", True)
        self.guest.set(1, USED, 0x10005, "3-2", True)
        line = self.start()
        self.assertEqual(self.guest.asked("detach"), "0")
        self.assertEqual(line.hears(), "PORTS hs=1 ss=1")
        line.quiet()
        self.assertIsNone(self.guest.file(0))
        self.assertIsNone(self.guest.file(8))
        self.assertIsNotNone(self.guest.file(1))
        self.assertTrue(self.guest.not_asked("detach") and self.guest.not_asked("attach"))

    def test_dead_connection(self):
        """The kernel believes in a connection of which the daemon knows nothing."""
        self.guest.run.mkdir()
        (self.guest.run / "port0").write_text("127.0.0.1 3240 1-1\n")
        self.guest.set(0, USED, 0x10009, "3-1", True)
        self.agent = Agent(self.guest)
        line = self.greet("ROUTE 1-1 high 00010009 free -")
        self.assertEqual(self.guest.asked("detach"), "0")
        self.assertIn("TRYING 1-1", (line.hears(), line.hears()))
        self.imported("1-1")
        self.guest.asked("attach")

    def test_daemon_again(self):
        """The connection breaks: what is attached stays, and the next daemon is told of it."""
        line = self.start()
        _, port = self.attached(line)
        line.close()
        line = self.greet("ROUTE 1-1 high 00010009 held keyboard")
        self.assertEqual(line.hears(), f"HAS 1-1 {port}")
        line.quiet()
        self.assertTrue(self.guest.not_asked("detach"))
        line.close()
        # And what the next one does not name is taken off.
        self.greet()
        self.assertEqual(self.guest.asked("detach"), str(port))

    def test_forgotten_connection(self):
        """A link that comes back makes it ask; who does not answer has forgotten it."""
        line = self.start()
        line.quiet()
        self.guest.news()
        self.assertEqual(line.hears(), "PING")
        self.greet().quiet()

    def test_another_device(self):
        """Plugged out and in again at the same port of the host."""
        line = self.start()
        _, port = self.attached(line)
        line.says("ROUTE 1-1 high 0001000a free keyboard")
        self.assertEqual(self.guest.asked("detach"), str(port))
        self.imported("1-1", devid=0x1000a)
        self.guest.asked("attach")

    def test_not_told(self):
        line = self.start()
        line.says("UNROUTE 9-9", "NEWS of later versions")
        line.quiet()
        readable, _, _ = select.select([self.usbip], [], [], 0)
        self.assertFalse(readable)
        self.assertTrue(self.guest.not_asked("attach"))

    def test_hostile_daemon(self):
        """Not the protocol: hung up, and tried again later; the agent lives."""
        self.agent = Agent(self.guest)
        for words in ("GET / HTTP/1.0", "WELCOME 1 vm1", "ROUTE 1-1 high 00010009 free -",
                      "WELCOME 1 vm1 0.1.0\nROUTE ../../x high 00010009 free -", "x" * 600,
                      "WELCOME 1 vm1 0.1.0\nHELLO 1 1 hs=1 ss=1", "REFUSED go away"):
            line = Line(self.door)
            line.hears()
            line.says(words)
            try:
                while line.hears():
                    pass
            except ConnectionError:
                pass
            line.close()
        self.greet().quiet()
        self.assertIn("go away", self.agent.said())

    def test_many_routes(self):
        line = self.start()
        line.says(*(f"ROUTE 1-{i} high {0x10000 + i:08x} held -" for i in range(1, 2000)))
        line.quiet()

    def test_detached_by_hand(self):
        """Let go of, until the daemon names it again."""
        line = self.start(more=" of-later-versions let-go")
        for by_usbip in (True, False):
            _, port = self.attached(line)
            self.guest.type_detach(port, by_usbip)
            self.guest.news()
            heard = {line.hears() for _ in range(3)}
            self.assertEqual(heard, {"LETGO 1-1", "PING", "PORTS hs=2 ss=1"})
            line.says("PONG")
            line.quiet()
            self.no_import()
            self.guest.asked("detach")

    def test_detached_by_hand_while_alone(self):
        """The daemon was away: it is told when it names the device."""
        line = self.start(more=" let-go")
        _, port = self.attached(line)
        line.close()
        self.guest.type_detach(port)
        line = self.greet("ROUTE 1-1 high 00010009 free keyboard", more=" let-go")
        while line.hears() != "LETGO 1-1":
            pass
        self.assertEqual(line.hears(), "PING")
        # Not heard: said again.
        line.close()
        line = self.greet("ROUTE 1-1 high 00010009 free keyboard", more=" let-go")
        self.assertEqual([line.hears(), line.hears()], ["LETGO 1-1", "PING"])
        line.says("PONG")
        line.quiet()
        self.no_import()
        # Heard: what is named now is given.
        line.close()
        line = self.greet("ROUTE 1-1 high 00010009 free keyboard", more=" let-go")
        self.assertEqual(line.hears(), "TRYING 1-1")

    def test_detached_by_hand_under_an_old_daemon(self):
        """It does not understand, and could not give it back: taken back at once."""
        line = self.start()
        _, port = self.attached(line)
        self.guest.type_detach(port)
        self.guest.news()
        heard = {line.hears() for _ in range(3)}
        self.assertEqual(heard, {"GONE 1-1", "PING", "PORTS hs=2 ss=1"})
        self.imported("1-1")

    def test_not_detached_by_hand(self):
        """A device whose port's file is gone, one that goes after this program's own detaching, one beside another's."""
        line = self.start(more=" let-go")
        _, port = self.attached(line)
        (self.guest.run / f"port{port}").unlink()
        self.guest.set(port, FREE)
        self.guest.news()
        heard = {line.hears() for _ in range(3)}
        self.assertEqual(heard, {"GONE 1-1", "PING", "PORTS hs=2 ss=1"})
        line.says("PONG")
        self.imported("1-1")
        port = int(self.guest.asked("attach").split()[0])
        self.guest.set(port, USED, 0x10009, "3-1", configured=True)
        self.assertEqual({line.hears(), line.hears()}, {f"HAS 1-1 {port}", "PORTS hs=1 ss=1"})
        line.says("ROUTE 2-1 high 0002000a free -")
        self.assertEqual(line.hears(), "TRYING 2-1")
        self.imported("2-1", devid=0x2000a)
        other = int(self.guest.asked("attach").split()[0])
        self.guest.set(other, USED, 0x2000a, "3-2", configured=True)
        self.assertEqual({line.hears(), line.hears()}, {f"HAS 2-1 {other}", "PORTS hs=0 ss=1"})
        line.says("UNROUTE 2-1")
        self.guest.asked("detach")
        self.guest.set(port, FREE)
        self.guest.news()
        heard = set()
        while "GONE 1-1" not in heard:
            heard.add(line.hears())
            self.assertNotIn("LETGO 1-1", heard)

    def test_detached_by_hand_where_the_file_came_late(self):
        """Whoever attached it by hand wrote the port's file when it was there already; and the port is free long after
        somebody has detached it."""
        self.guest.set(0, USED, 0x10009, "3-1", True)
        line = self.start(more=" let-go")
        line.says("ROUTE 1-1 high 00010009 held keyboard")
        self.assertEqual(line.hears(), "HAS 1-1 0")
        self.guest.run.mkdir(exist_ok=True)
        (self.guest.run / "port0").write_text("127.0.0.1 3240 1-1\n")
        self.guest.news()
        self.assertEqual(line.hears(), "PING")
        line.says("PONG")
        line.quiet()
        with self.guest.lock:   # the kernel takes its time
            self.guest.type_detach(0)
            os.read(self.guest.ends["detach"], 4096)
        self.guest.news()
        self.assertEqual(line.hears(), "PING")
        line.says("PONG")
        line.quiet()
        time.sleep(2.5)         # longer than a write that names no port counts
        self.guest.set(0, FREE)
        self.guest.news()
        heard = []
        while "PORTS hs=2 ss=1" not in heard:
            heard.append(line.hears())
        self.assertIn("LETGO 1-1", heard)
        line.says("PONG")
        line.quiet()
        self.no_import()

    def test_same_boot(self):
        line = self.start()
        boot = line.boot
        self.assertEqual(self.agent.stop(), 0)
        line.close()
        line = self.start()
        self.assertEqual(line.boot, boot)
        self.assertEqual(self.agent.stop(), 0)
        line.close()
        (self.agent.folder / "boot").unlink()
        self.assertNotEqual(self.start().boot, boot)

    def test_check(self):
        def check(*words):
            done = subprocess.run([AGENT, "--check", "--interface", "lo", "--address", "127.0.0.1", "--sysfs",
                                   self.guest.root, *words], capture_output=True, text=True, timeout=SECONDS)
            return done.returncode, done.stdout

        if os.geteuid() == 0:
            rc, said = check()
            self.assertEqual(rc, 0, said)
            self.assertIn("2 free ports up to high speed", said)
            self.assertIn("usbrouted answers at 127.0.0.1", said)
        rc, said = check("--interface", "none7")
        self.assertEqual((rc, "missing: interface none7" in said), (1, True), said)
        self.door.close()
        rc, said = check()
        self.assertEqual((rc, "missing: usbrouted answers neither" in said), (1, True), said)
        rc, said = check("--sysfs", "/nowhere")
        self.assertEqual((rc, "missing: sysfs is not mounted" in said), (1, True), said)
        (self.guest.vhci / "status").unlink()
        rc, said = check()
        self.assertEqual((rc, "missing: module vhci-hcd" in said), (1, True), said)

    def test_words(self):
        def words(*words):
            done = subprocess.run([AGENT, *words], capture_output=True, text=True, timeout=SECONDS)
            return done.returncode, done.stdout + done.stderr

        self.assertRegex(words("--version")[1], r"^usbroute-agent \d")
        self.assertEqual(words("--help")[0], 0)
        for wrong in (["--nonsense"], ["--address", "x"], ["--interface", ""], ["more"], ["--interface", "x" * 16]):
            self.assertEqual(words(*wrong)[0], 2, wrong)
        # The word itself, also where it is no option.
        self.assertIn('found "more"', words("more")[1])

    def test_ready(self):
        path = os.path.join(self.folder.name, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            notify.settimeout(SECONDS)
            os.environ["NOTIFY_SOCKET"] = path
            try:
                self.start()
            finally:
                del os.environ["NOTIFY_SOCKET"]
            self.assertIn(b"READY=1", notify.recv(4096))


if __name__ == "__main__":
    main()
