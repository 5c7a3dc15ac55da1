#!/usr/bin/python3
"""Hostile front-ends at the real daemon, a group of cases at a time, each case by name, while two other guests lose no
frame: a numbered stream each way between two well-behaved cards, and every number arrives once, in order.
usage: test-negative.py USBROUTED USBROUTECTL [GROUP…]"""

import importlib.util
import json
import os
import pathlib
import socket
import struct
import sys
import tempfile
import threading
import time
import unittest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "lab"))
import hostile_case  # noqa: E402
import hostile_messages  # noqa: E402,F401 (brings cases)
import hostile_rings  # noqa: E402
import raw_frontend  # noqa: E402

spec = importlib.util.spec_from_file_location("daemon_process", HERE / "test-daemon-process.py")
daemon_process = importlib.util.module_from_spec(spec)
spec.loader.exec_module(daemon_process)
Daemon, SECONDS = daemon_process.Daemon, daemon_process.SECONDS

CONFIG = "".join(f"[vm vm{n}]\naddress = 10.77.0.{10 + n}\nmac = 52:54:00:77:00:0{10 + n:x}\n" for n in range(1, 6))
HOSTILE = "vm3"
BURST = 16      # frames under way each way: far fewer than either ring takes
MORE_FDS = 24   # that one connection may have a process hold
TAG = b"stream"


def mac(vm):
    return bytes.fromhex(f"52540077000{10 + vm:x}")


def frame(sender, receiver, number):
    """IPv4 of a protocol for trials (RFC 3692), with a number."""
    payload = TAG + struct.pack(">Q", number)
    ip = struct.pack(">BBHHHBBH4B4B", 0x45, 0, 20 + len(payload), 0, 0, 64, 253, 0, 10, 77, 0, 10 + sender, 10, 77, 0,
                     10 + receiver)
    return mac(receiver) + mac(sender) + b"\x08\x00" + ip + payload


class Stream(threading.Thread):
    """Numbers between vm1 and vm2, both ways. Beside them, frames to the hostile guest, which it may take or not."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.cards = [raw_frontend.Card(str(daemon.run / f"vm{n}.sock")) for n in (1, 2)]
        self.sent, self.came = [0, 0], [0, 0]
        self.to_hostile = []
        self.over = False
        self.wrong = None
        self.find_each_other()
        self.start()

    def find_each_other(self):
        """What is sent before there is a link may be lost; numbers begin behind that."""
        end, heard = time.monotonic() + SECONDS, [False, False]
        while not all(heard):
            for n, card in enumerate(self.cards):
                card.transmit([frame(1 + n, 2 - n, 0)])
            raw_frontend.Card.wait(self.cards, 0.1)
            for n, card in enumerate(self.cards):
                heard[n] = any(TAG in one for one in card.arrived()) or heard[n]
            if time.monotonic() > end:
                raise TimeoutError("the two guests do not find each other")
        self.send([frame(1, 2, 1)], [frame(2, 1, 1)])
        while not all(self.hears(n, 1) for n in (0, 1)):
            raw_frontend.Card.wait(self.cards, SECONDS)

    def send(self, *frames):
        for card, some in zip(self.cards, frames):
            while card.room() < len(some):
                card.alive()
            card.transmit(some)

    def hears(self, n, number):
        """Whether the first number has come that is none of the calls before."""
        for one in self.cards[n].arrived():
            if TAG in one and struct.unpack(">Q", one[40:48])[0] == number:
                self.came[n] = self.sent[n] = 2
        return self.came[n] == 2

    def run(self):
        try:
            while not self.over:
                self.round()
                time.sleep(0.001)
        except Exception as error:      # told by went_on()
            self.wrong = f"{type(error).__name__}: {error}"

    def round(self):
        for n, card in enumerate(self.cards):
            some = [frame(1 + n, 2 - n, number) for number in range(self.sent[n], self.sent[n] + BURST)]
            self.send(*([[], []][:n] + [some + [frame(1 + n, vm, 0) for vm in self.to_hostile]]))
            self.sent[n] += BURST
        while self.came[0] != self.sent[1] or self.came[1] != self.sent[0]:
            if not raw_frontend.Card.wait(self.cards, SECONDS):
                raise AssertionError(f"of {self.sent} frames each way {self.came[::-1]} have come, and no more come")
            for n in (0, 1):
                self.take(n)

    def take(self, n):
        for one in self.cards[n].arrived():
            if one[6:12] != mac(2 - n):
                continue
            if one != frame(2 - n, 1 + n, self.came[n]):
                raise AssertionError(f"vm{1 + n} got {one.hex()} in place of number {self.came[n]}")
            self.came[n] += 1

    def went_on(self):
        """Wait until both ways have had more numbers than now. Return: what is wrong, or None."""
        at = list(self.came)
        while not self.wrong and any(now <= then for now, then in zip(self.came, at)):
            time.sleep(0.001)
        return self.wrong

    def end(self):
        self.over = True
        self.join(2 * SECONDS)
        for card in self.cards:
            card.close()


class Watched(raw_frontend.Frontend):
    """A hostile front-end, beside control's word of its card."""

    def __init__(self, test, vm):
        super().__init__(str(test.daemon.run / f"{vm}.sock"))
        self.test, self.vm = test, vm

    def connected(self):
        return self.test.vm(self.vm)["connected"]

    def stands(self):
        super().stands()
        while not self.connected():
            self.alive()


class Negative(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.addCleanup(Daemon.end_running)
        self.daemon = Daemon(self.folder.name, CONFIG)
        self.lock = threading.Lock()

    def begin(self):
        self.daemon.start()
        self.control = socket.socket(socket.AF_UNIX)
        self.control.settimeout(SECONDS)
        self.control.connect(str(self.daemon.run / "control"))
        self.addCleanup(self.control.close)
        self.pids = {f"vm{n}": self.daemon.vm_process(f"vm{n}") for n in range(1, 6)}
        self.stream = Stream(self.daemon)
        self.addCleanup(self.stream.end)

    def vm(self, name):
        """As `vms` shows it."""
        with self.lock:
            self.control.sendall(b'{"method":"io.usbrouted.Vms"}\0')
            said = b""
            while not said.endswith(b"\0"):
                said += self.control.recv(65536)
        return next(vm for vm in json.loads(said[:-1])["parameters"]["vms"] if vm["name"] == name)

    def fds(self, vm):
        return len(os.listdir(f"/proc/{self.pids[vm]}/fd"))

    def one(self, vm, name, comes_to, does):
        """A case: it comes to what it should, costs no descriptor, and the two others go on."""
        before = self.idle_fds[vm]
        f = Watched(self, vm)
        try:
            what = hostile_case.run(f, comes_to, does, f.connected)
            held = self.fds(vm)
        finally:
            f.close()
        self.assertEqual(what, comes_to, name)
        self.assertLessEqual(held, before + MORE_FDS, f"{name}: descriptors of the process of {vm}")
        self.until(lambda: self.fds(vm) == before, f"{name}: the process of {vm} has {before} descriptors again")
        self.assertIsNone(self.stream.went_on(), name)

    def cases(self, vm, groups, say=True):
        for group in groups:
            for name, comes_to, does in hostile_case.GROUPS[group]:
                self.one(vm, name, comes_to, does)
                if say:
                    print(f"{group}: {name}: {comes_to}; {sum(self.stream.came)} numbers came", flush=True)

    def ends(self):
        self.stream.over = True
        self.stream.join(2 * SECONDS)
        self.assertIsNone(self.stream.wrong)
        self.assertEqual(self.stream.came[::-1], self.stream.sent)
        self.assertEqual({vm: self.daemon.vm_process(vm) for vm in self.pids}, self.pids, "a process is another one")
        for n in 1, 2:
            counters = self.vm(f"vm{n}")["counters"]
            self.assertEqual((counters["dropped_no_buffers"], counters["dropped_from_others"]), (0, 0), counters)
        status, errors = self.daemon.stop()
        self.assertEqual(status, 0, errors)

    def until(self, what, name):
        end = time.monotonic() + SECONDS
        while not what():
            self.assertLess(time.monotonic(), end, f"waited in vain: {name}")
            self.assertIsNone(self.stream.went_on(), name)

    def idle(self, *vms):
        """Each pair gets its link, which stays. What a process has then is what it has again behind each case."""
        numbers = [int(vm[2:]) for vm in vms]
        self.stream.to_hostile = numbers
        to_all = [b"\xff" * 6 + mac(n) + hostile_rings.udp()[12:] for n in numbers]
        cards = [raw_frontend.Card(str(self.daemon.run / f"{vm}.sock")) for vm in vms]
        heard = [set() for _ in vms]

        def all_heard():
            for n, card in enumerate(cards):
                card.transmit([to_all[n]])
                heard[n] |= {one[6:12] for one in card.arrived()}
            return all(some >= {mac(other) for other in (1, 2, *numbers) if other != n} for some, n in zip(heard, numbers))

        self.until(all_heard, "each hears each of the others")
        for card in cards:
            card.close()
        self.until(lambda: not any(self.vm(vm)["connected"] for vm in vms), "all have gone")
        self.idle_fds = {vm: self.fds(vm) for vm in vms}

    def group(self, name):
        self.begin()
        self.idle(HOSTILE)
        self.cases(HOSTILE, [name])
        self.ends()

    def test_isolation_three_at_once(self):
        """Three hostile guests, each with another part of the cases."""
        self.begin()
        parts = {"vm3": ["headers", "memory"], "vm4": ["descriptors", "vrings"], "vm5": ["rings", "offloads"]}
        self.idle(*parts)
        wrong = []

        def part(vm, groups):
            try:
                self.cases(vm, groups, say=False)
            except Exception as error:
                wrong.append(f"{vm}: {error}")

        threads = [threading.Thread(target=part, args=item) for item in parts.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.ends()

    def test_isolation_flood(self):
        """To all and to both, as fast as it goes, by one that may not talk to them."""
        self.daemon.configure(f"[network]\nisolate = yes\ntalk = vm1:vm2\n{CONFIG}")
        self.begin()
        flood = raw_frontend.Card(str(self.daemon.run / f"{HOSTILE}.sock"))
        to_all = hostile_rings.udp()
        for number in range(2000):
            one = [to_all, frame(3, 1, number), frame(3, 2, number)][number % 3]
            flood.transmit([one] * flood.room())
            hostile_case.taken(flood)
        self.assertIsNone(self.stream.went_on())
        flood.close()
        self.ends()


def add_groups():
    for name in hostile_case.GROUPS:
        setattr(Negative, f"test_{name}", lambda self, name=name: self.group(name))


if __name__ == "__main__":
    add_groups()
    # A group's tests: its cases; of isolation there are several.
    words = [word for name in sys.argv[3:] for word in ("-k", f"test_{name}")]
    unittest.main(argv=sys.argv[:1] + words, verbosity=2)
