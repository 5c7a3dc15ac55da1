#!/usr/bin/python3
"""usbroute-agent when its guest sleeps, by its hook and by logind, and under a daemon that says its list anew. usage:
test-guest-sleep.py USBROUTE-AGENT [FAKE-LOGIND]"""

import pathlib
import resource
import select
import socket
import time
import unittest

from guest_rig import FAKE_LOGIND, SECONDS, USED, Bus, Logind, Test, main, wait


class Sleep(Test):
    def test_hook(self):
        """Without logind whoever puts the system to sleep says so; twice, and a sleep that does not come."""
        line = self.start(more=" let-go")
        _, port = self.attached(line)
        for _ in range(2):
            asked = self.agent.ask("--let-go")
            self.let_go_of(line, port)
            self.assertEqual(asked.wait(SECONDS), 0)
            self.assertEqual(self.agent.ask("--let-go").wait(SECONDS), 0)
            # What is said meanwhile waits.
            line.says("ROUTE 2-1 high 0002000a free -", "UNROUTE 2-1", "PING")
            while line.hears() != "PONG":
                pass
            self.no_import()
            self.assertEqual(self.agent.ask("--take-back").wait(SECONDS), 0)
            _, port = self.taken_back(line)
            self.assertEqual(self.agent.ask("--take-back").wait(SECONDS), 0)
            line.quiet()

    def test_hook_while_attaching(self):
        line = self.start(more=" let-go")
        line.says("ROUTE 1-1 high 00010009 free keyboard")
        self.assertEqual(line.hears(), "TRYING 1-1")
        sock, _ = self.usbip.accept()
        sock.settimeout(SECONDS)
        sock.recv(40, socket.MSG_WAITALL)
        self.assertEqual(self.agent.ask("--let-go").wait(SECONDS), 0)
        self.assertEqual(line.hears(), "SLEEP")
        self.assertEqual(sock.recv(1), b"")
        self.assertTrue(self.guest.not_asked("attach"))
        self.assertEqual(self.agent.ask("--take-back").wait(SECONDS), 0)
        self.taken_back(line)

    def test_hook_and_another_daemon(self):
        """The daemon was restarted while the guest slept."""
        line = self.start(more=" let-go")
        _, port = self.attached(line)
        asked = self.agent.ask("--let-go")
        self.let_go_of(line, port)
        self.assertEqual(asked.wait(SECONDS), 0)
        line.close()
        line = self.greet("ROUTE 1-1 high 00010009 free keyboard", more=" let-go")
        self.assertEqual(line.hears(), "SLEEP")
        line.quiet()
        self.no_import()
        self.assertEqual(self.agent.ask("--take-back").wait(SECONDS), 0)
        self.taken_back(line)

    def test_new_list(self):
        """What the next daemon can't know is said again, and nothing is let go of before its list is whole."""
        line = self.start(more=" let-go")
        _, port = self.attached(line)
        line.says("WELCOME 1 vm1 0.1.0 let-go")
        self.assertEqual(line.hears(), "PORTS hs=1 ss=1")
        line.quiet()
        self.assertTrue(self.guest.not_asked("detach"))
        line.says("ROUTE 1-1 high 00010009 held keyboard", "SYNCED")
        self.assertEqual(line.hears(), f"HAS 1-1 {port}")
        line.quiet()
        self.assertTrue(self.guest.not_asked("detach") and self.guest.not_asked("attach"))
        # What is not in it is let go of then.
        self.again(line)
        self.assertEqual(self.guest.asked("detach"), str(port))

    def test_new_list_while_attaching(self):
        """The import that is under way is the one that counts."""
        line = self.start(more=" let-go")
        line.says("ROUTE 1-1 high 00010009 free keyboard")
        self.assertEqual(line.hears(), "TRYING 1-1")
        wait(lambda: select.select([self.usbip], [], [], 0)[0], "an import")
        for held in ("free", "held"):
            self.again(line, f"ROUTE 1-1 high 00010009 {held} keyboard")
            self.assertEqual([line.hears(), line.hears()], ["PORTS hs=2 ss=1", "TRYING 1-1"])
            line.quiet()
        self.imported("1-1")
        port = int(self.guest.asked("attach").split()[0])
        self.assertEqual(line.hears(), "PORTS hs=1 ss=1")
        self.no_import()
        # Taken, and not yet there.
        self.again(line, "ROUTE 1-1 high 00010009 held keyboard")
        self.assertEqual(line.hears(), "PORTS hs=1 ss=1")
        line.quiet()
        heard = line.hears()
        self.assertIn("FAILED 1-1 the guest's kernel gets no answer from it", heard)
        self.again(line, "ROUTE 1-1 high 00010009 held keyboard")
        self.assertEqual([line.hears(), line.hears()], ["PORTS hs=1 ss=1", heard])
        self.guest.set(port, USED, 0x10009, "3-1", configured=True)
        self.guest.news()
        self.assertEqual({line.hears(), line.hears()}, {f"HAS 1-1 {port}", "PING"})
        self.assertTrue(self.guest.not_asked("detach"))

    def test_new_list_and_what_was_not_heard(self):
        """A question, and that a device was let go of by hand."""
        line = self.start(more=" let-go")
        _, port = self.attached(line)
        self.guest.type_detach(port)
        self.guest.news()
        heard = {line.hears() for _ in range(3)}
        self.assertEqual(heard, {"LETGO 1-1", "PING", "PORTS hs=2 ss=1"})
        self.again(line, "ROUTE 1-1 high 00010009 free keyboard")
        self.assertEqual([line.hears() for _ in range(4)], ["PORTS hs=2 ss=1", "PING", "LETGO 1-1", "PING"])
        line.says("PONG", "PONG")
        line.quiet()
        self.no_import()
        # Heard: what is named now is given.
        self.again(line, "ROUTE 1-1 high 00010009 free keyboard")
        self.assertEqual([line.hears(), line.hears()], ["PORTS hs=2 ss=1", "TRYING 1-1"])

    def test_new_list_in_a_sleep(self):
        line = self.start(more=" let-go")
        _, port = self.attached(line)
        asked = self.agent.ask("--let-go")
        self.let_go_of(line, port)
        self.assertEqual(asked.wait(SECONDS), 0)
        self.again(line, "ROUTE 1-1 high 00010009 free keyboard")
        line.says("PING")
        heard = []
        while not heard or heard[-1] != "PONG":
            heard.append(line.hears())
        # Perhaps with its own news of the port that is free.
        self.assertEqual(heard.count("SLEEP"), 1)
        self.assertIn("PORTS", heard[0])
        self.no_import()
        self.assertEqual(self.agent.ask("--take-back").wait(SECONDS), 0)
        self.taken_back(line)

    def test_hook_without_a_descriptor(self):
        """Who asks waits, and the agent does nothing meanwhile."""
        line = self.start()
        line.quiet()
        pid = self.agent.process.pid
        fds, stat = pathlib.Path(f"/proc/{pid}/fd"), pathlib.Path(f"/proc/{pid}/stat")
        open_ones = len(list(fds.iterdir()))
        silent = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(4)]
        for sock in silent:
            sock.connect(str(self.agent.folder / "control"))
        wait(lambda: len(list(fds.iterdir())) == open_ones + 4, "four that say nothing")
        full = max(int(fd.name) for fd in fds.iterdir()) + 1
        self.assertEqual(full, open_ones + 4)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (full, full))

        def ticks():
            return sum(map(int, stat.read_text().split()[13:15]))

        asked, before = self.agent.ask("--let-go"), ticks()
        time.sleep(1.5)
        # Of 150; one that asks again and again takes what it can get.
        self.assertLess(ticks() - before, 20)
        self.assertIsNone(asked.poll())
        for sock in silent:
            sock.close()
        self.assertEqual(asked.wait(SECONDS), 0)
        self.assertEqual(line.hears(), "SLEEP")

    def test_hook_without_an_agent(self):
        line = self.start()
        self.agent.stop()
        line.close()
        asked = self.agent.ask("--let-go")
        self.assertIn("no usbroute-agent runs here", asked.communicate(timeout=SECONDS)[1])
        self.assertEqual(asked.returncode, 1)

    @unittest.skipUnless(FAKE_LOGIND, "built without logind")
    def test_logind(self):
        """Lets go when logind says so, lets it go on then, and takes back; several times."""
        bus = Bus(self.folder.name)
        logind = Logind(bus)
        try:
            line = self.start(bus, more=" let-go")
            self.assertEqual(logind.tells(), "inhibit sleep usbroute-agent delay")
            _, port = self.attached(line)
            for _ in range(3):
                logind.says(True)
                self.let_go_of(line, port)
                self.assertEqual(logind.tells(), "released")
                self.no_import()
                logind.says(False)
                _, port = self.taken_back(line)
                self.assertEqual(logind.tells(), "inhibit sleep usbroute-agent delay")
            # With nothing to let go of.
            line.says("UNROUTE 1-1")
            self.guest.asked("detach")
            logind.says(True)
            self.assertEqual(logind.tells(), "released")
        finally:
            logind.stop()
            bus.stop()

    @unittest.skipUnless(FAKE_LOGIND, "built without logind")
    def test_logind_later(self):
        """logind ends and comes again, the bus does; or both come later than the agent."""
        bus = Bus(self.folder.name)
        bus.stop()
        line = self.start(bus)
        bus.start()
        logind = Logind(bus)
        try:
            # It looks for the bus again, as soon as there is news of anything, and after a while.
            self.assertEqual(logind.tells(), "inhibit sleep usbroute-agent delay")
            logind.stop()
            logind = Logind(bus)
            self.assertEqual(logind.tells(), "inhibit sleep usbroute-agent delay")
            bus.stop()
            bus.start()
            logind.stop()
            logind = Logind(bus)
            self.assertEqual(logind.tells(), "inhibit sleep usbroute-agent delay")
            line.quiet()
        finally:
            logind.stop()
            bus.stop()


if __name__ == "__main__":
    main()
