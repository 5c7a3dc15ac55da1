"""The kernel's own usbtest driver in the guest, through the route, on a SourceSink gadget. The measure is the board:
what passes there, by the same case, length and scatter-gather entries, must pass routed."""

import collections
import os

from lab import LabError, LabTimeout
from lab.gadget import loopback, source_sink
from lab.scenario import Failed, check, scenario

Case = collections.namedtuple("Case", "test iterations length vary sglen")
OUT_LENGTHS = (1, 511, 512, 513, 4096, 65536, 1 << 20)
IN_LENGTHS = (4096, 65536, 1 << 20)
CONTROL_LENGTHS = (1, 2, 8, 63, 64, 65, 511, 512, 513, 1023, 1024)
SGLENS = (1, 8, 32)
MOST_BYTES = 4 << 20
OUT_TESTS = {"plain": (1, 17, 19), "vary": (3,), "sg": (5,), "sg-vary": (7,)}
IN_TESTS = {"plain": (2, 18, 20), "vary": (4,), "sg": (6,), "sg-vary": (8,)}
SPEEDS = {"full-speed": "12", "high-speed": "480", "super-speed": "5000"}
HURRY = int(os.environ.get("USBROUTED_LAB_HURRY", "1"))      # divides the full matrix's iterations
LIMIT = 120             # for one case; only what hangs reaches it

SLICE = [Case(*numbers) for numbers in (
    (0, 1, 512, 0, 1), (1, 10, 512, 0, 1), (1, 3, 65536, 0, 1), (2, 10, 4096, 0, 1), (3, 10, 1024, 511, 1), (4, 5, 4096, 1024, 1),
    (5, 3, 513, 0, 8), (6, 3, 4096, 0, 8), (7, 3, 4096, 511, 8), (8, 3, 4096, 1024, 8), (9, 2, 512, 0, 1), (10, 3, 512, 0, 4),
    (11, 5, 1024, 0, 1), (11, 5, 65536, 0, 1), (12, 5, 512, 0, 1), (12, 5, 65536, 0, 1), (13, 3, 512, 0, 1),
    (14, 10, 1024, 1, 1), (17, 5, 513, 0, 1), (18, 5, 4096, 0, 1), (19, 5, 513, 0, 1), (20, 5, 4096, 0, 1),
    (21, 10, 1024, 1, 1), (24, 5, 512, 0, 8), (24, 5, 65536, 0, 8), (27, 3, 4096, 0, 8), (28, 3, 4096, 0, 8), (29, 3, 512, 0, 1),
    (1, 2, 1 << 20, 0, 1), (2, 2, 1 << 20, 0, 1), (27, 1, 65536, 0, 32), (28, 1, 65536, 0, 32))]


def _iterations(length):
    return max(2, (200 if length <= 4096 else 20) // HURRY)


def _full():
    yield Case(0, 1, 512, 0, 1)
    for lengths, tests, unit in ((OUT_LENGTHS, OUT_TESTS, 1), (IN_LENGTHS, IN_TESTS, 1024)):
        for length in lengths:
            n = _iterations(length)
            vary = max(unit, length // 3 // unit * unit) if length > unit else 0
            for test in tests["plain"]:
                yield Case(test, n, length, 0, 1)
            if vary:
                for test in tests["vary"]:
                    yield Case(test, n, length, vary, 1)
            for sglen in SGLENS:
                if length * sglen <= MOST_BYTES:
                    yield Case(tests["sg"][0], n, length, 0, sglen)
                    if vary:
                        yield Case(tests["sg-vary"][0], n, length, vary, sglen)
                    if sglen > 1:
                        yield Case(27 if unit == 1 else 28, max(1, n // 10), length, 0, sglen)
    few = max(2, 50 // HURRY)
    yield Case(9, few, 512, 0, 1)
    for sglen in SGLENS:
        yield Case(10, few, 512, 0, sglen)
    for length in CONTROL_LENGTHS:
        for test in (14, 21):
            yield Case(test, _iterations(length), length, 1 if length > 1 else 0, 1)
    for length in (512, 1024, 4096):
        yield Case(13, max(2, 20 // HURRY), length, 0, 1)
        yield Case(29, max(2, 20 // HURRY), length, 0, 1)
    for length in OUT_LENGTHS:
        yield Case(12, max(2, 20 // HURRY), length, 0, 1)
        for sglen in (8, 32):
            if length * sglen <= MOST_BYTES:
                yield Case(24, max(2, 20 // HURRY), length, 0, sglen)
    for length in IN_LENGTHS:
        yield Case(11, max(2, 20 // HURRY), length, 0, 1)


def run_cases(machine, program, serial, cases):
    """[(case, "ok MICROSECONDS" or "error N" or "stuck")]; ends early where one is stuck."""
    text = "".join(" ".join(map(str, case)) + "\n" for case in cases)
    job = machine.spawn(f"exec {program} {serial} {LIMIT}", stdin=text.encode())
    results = []
    while True:
        try:
            line = job.line(LIMIT + 60)
        except LabTimeout:
            line = None
        if line is None or line == "done":
            return results
        words = line.split()
        results.append((Case(*map(int, words[:5])), " ".join(words[5:])))


def usbtest(machine, serial, pattern):
    """usbtest loaded, and on this device."""
    machine.run(f"modprobe usbtest && echo {pattern} > /sys/module/usbtest/parameters/pattern", check=True)
    machine.wait("[ -n \"$(ls /sys/bus/usb/drivers/usbtest | grep :)\" ]", what=f"usbtest on {serial}")


def matrix(lab, cases, speed):
    """All cases in vm1. Their bytes are checked (pattern 1), except that 27 and 28 want zeroes (pattern 0)."""
    queued = [case for case in cases if case.test in (27, 28)]
    _matrix(lab, "zero1", [case for case in cases if case not in queued], speed, 1)
    lab.restore()
    _matrix(lab, "zero0", queued, speed, 0)


def _matrix(lab, name, cases, speed, pattern):
    """Each case that fails in vm1 is tried on the board: what passes there is a failure of the route."""
    gadget = lab.gadget(name, [source_sink(pattern)], [loopback()], vendor=0x0525, product=0xa4a0, speed=speed)
    lab.importing(lab.vm1, lab.route("gadget", lab.vm1))
    usbtest(lab.vm1, gadget.serial, pattern)
    have = lab.vm1.text("cat /sys/bus/usb/devices/[0-9]*-[0-9]/speed")
    check(have == SPEEDS[speed], f"the gadget has the speed {have} in vm1, not {SPEEDS[speed]}")
    results = run_cases(lab.vm1, "usbtest", gadget.serial, cases)
    failed = [(case, what) for case, what in results if not what.startswith("ok")]
    if len(results) < len(cases) or results[-1][1] == "stuck":
        try:
            said = lab.vm1.run("dmesg | tail -n 30; for p in $(pidof usbtest); do cat /proc/$p/stack; done", timeout=20)
            log = said.out.decode(errors="replace")
        except LabError as error:
            log = f"{error}: {lab.vm1.monitor.human('info registers')[:600]}"
        lab.vm1.kill()
        case = cases[min(len([what for _, what in results if what != "stuck"]), len(cases) - 1)]
        raise Failed(f"{case} stands still in vm1 after {len(results)} of {len(cases)}; failed: {failed}\n{log}")
    lab.say(f"{len(cases) - len(failed)} of {len(cases)} cases pass routed, at {speed}, pattern {pattern}")
    if not failed:
        return
    lab.say(lab.vm1.text("dmesg | tail -n 30"))
    lab.daemon.ctl_ok("detach gadget")
    lab.daemon.wait_device("gadget", state="present", actual="host")
    usbtest(lab.board, gadget.serial, pattern)
    there = dict(run_cases(lab.board, "/run/lab/usbtest", gadget.serial, [case for case, _ in failed]))
    lab.board.run("modprobe -r usbtest")
    for case, what in failed:
        lab.say(f"    {case}: {what}; on the board: {there.get(case)}")
    worse = [(case, what) for case, what in failed if there.get(case, "").startswith("ok")]
    check(not worse, f"these pass on the board, and not routed: {worse}")


@scenario("usbtest-slice")
def usbtest_slice(lab):
    matrix(lab, SLICE, "high-speed")


@scenario("usbtest-slice-super", quick=False)
def usbtest_slice_super(lab):
    matrix(lab, SLICE, "super-speed")


@scenario("usbtest-slice-full", quick=False)
def usbtest_slice_full(lab):
    matrix(lab, [case for case in SLICE if case.length <= 4096], "full-speed")


@scenario("usbtest-full", quick=False, seconds=3600)
def usbtest_full(lab):
    matrix(lab, list(_full()), "high-speed")


@scenario("usbtest-full-super", quick=False, seconds=3600)
def usbtest_full_super(lab):
    matrix(lab, list(_full()), "super-speed")
