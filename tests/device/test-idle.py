#!/usr/bin/python3
"""Nobody wakes up where nothing happens: of each thread of the real daemon's processes, how often it ran between two looks.
Three virtual machines are there with their cards up, two of them have talked with each other, and one sits at a caller's
connection to control. usage: test-idle.py USBROUTED USBROUTECTL"""

import importlib.util
import json
import pathlib
import socket
import sys
import tempfile
import time
import unittest

import proc

spec = importlib.util.spec_from_file_location("negative", pathlib.Path(__file__).with_name("test-negative.py"))
negative = importlib.util.module_from_spec(spec)
spec.loader.exec_module(negative)
Daemon, SECONDS = negative.Daemon, negative.SECONDS
Card = negative.raw_frontend.Card

# A timer that comes again and again is in each of these; one that is due once passes.
LOOK_SECONDS = 5
LOOKS = 12
NETWORK = "[network lan]\nuplink = none\n"


def switches(pids):
    """{thread: how often it has run}"""
    found = {}
    for pid in pids:
        for thread in proc.names(pid, "task"):
            if said := proc.status(pid, "task", thread):
                found[f"{said['Name']} ({thread})"] = sum(int(said[f"{kind}_ctxt_switches"])
                                                          for kind in ("voluntary", "nonvoluntary"))
    return found


class Idle(unittest.TestCase):
    def setUp(self):
        if b"__tsan_init" in pathlib.Path(negative.daemon_process.DAEMON).read_bytes():
            self.skipTest("the thread sanitizer has a thread of its own, which wakes up")
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.addCleanup(Daemon.end_running)
        self.daemon = Daemon(self.folder.name, negative.CONFIG + NETWORK)

    def card(self, name):
        card = Card(str(self.daemon.run / f"{name}.sock"))
        self.addCleanup(card.close)
        return card

    def test_nothing_happens(self):
        self.daemon.start()
        stream = negative.Stream(self.daemon)
        self.assertIsNone(stream.went_on())
        stream.over = True
        stream.join(SECONDS)
        self.assertIsNone(stream.wrong)
        self.card("vm3")
        self.card("vm3.lan")
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(self.daemon.run / "control"))
            caller.sendall(b'{"method":"io.usbrouted.Monitor","more":true}\0')
            self.nobody_wakes_up()
        up = [vm["name"] for vm in json.loads(self.daemon.ctl("vms")[1])["vms"] if vm["connected"]]
        self.assertEqual(up, ["vm1", "vm2", "vm3"])
        for card in stream.cards:
            card.close()
        status, errors = self.daemon.stop()
        self.assertEqual(status, 0, errors)

    def looks(self):
        """Which threads were woken, and how often, a look each."""
        pids = proc.tree(self.daemon.process.pid)
        before = switches(pids)
        for look in range(LOOKS):
            time.sleep(LOOK_SECONDS)
            now = switches(pids)
            woken = {thread: n - before.get(thread, 0) for thread, n in now.items() if n != before.get(thread, 0)}
            print(f"look {1 + look}: {len(now)} threads, in {LOOK_SECONDS} s woken: {woken or 'none'}", flush=True)
            before = now
            yield woken

    def nobody_wakes_up(self):
        for woken in self.looks():
            if not woken:
                return
        self.fail(f"woken though nothing happens: {woken}")

    def test_what_waits_for_its_tap_is_seen(self):
        """An uplink that can't be had is tried again, by control and the broker. The guests' processes sleep."""
        self.daemon.configure(negative.CONFIG + NETWORK.replace("none", "tap:no-such-tap"))
        self.daemon.start()
        self.card("vm3")
        for woken in self.looks():
            if woken and all(thread.startswith(("usbrouted (", "usbrouted-brk (")) for thread in woken):
                break
        else:
            self.fail(f"others are woken: {woken}")
        status, errors = self.daemon.stop()
        self.assertEqual(status, 0, errors)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
