"""Hostile guests: what they send costs them, and nobody else."""

import re
import signal

from lab import paths
from lab.daemon import ADDRESS, PORT, RUNTIME
from lab.scenario import check, scenario

# Bytes for port 3240, by printf.
GARBAGE = {
    "noise": "head -c 65536 /dev/urandom",
    "zeros": "head -c 48 /dev/zero",
    "half an import": r"printf '\001\021\200\003\000\000\000\000keyb'",
    "a byte": r"printf '\001'",
    "an unterminated busid": r"printf '\001\021\200\003\000\000\000\000AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'",
    "a busid with a path": r"printf '\001\021\200\003\000\000\000\000../../../dev/mem\000AAAAAAAAAAAAAAA'",
    "a submit without an import": r"printf '\000\000\000\001\000\000\000\001\000\000\000\000\000\000\000\000%048d' 0",
    "another version": r"printf '\377\377\200\005\000\000\000\000'",
}


class Bystander:
    """vm1, with the keyboard and a ping that runs all the time: what others do must not cost it anything."""

    def __init__(self, lab):
        self.lab = lab
        self.events = lab.keyboard_in(lab.vm1)
        lab.vm1.wait_ping(ADDRESS)
        self.ping = lab.spawn(lab.vm1, f"ping {ADDRESS}")
        self.pid = lab.daemon.pid()
        self.fds = self.count_fds()

    def count_fds(self):
        return int(self.lab.board.text(f"ls /proc/{self.pid}/fd | wc -l"))

    def check(self):
        """Key and ping go on, in the same process, which holds nothing more than before."""
        lab = self.lab
        lab.key(self.events)
        check(lab.daemon.pid() == self.pid, "the daemon is another process")
        self.ping.kill(signal.SIGINT)
        said = self.ping.result(60).out.decode()
        sent, came = map(int, re.search(r"(\d+) packets transmitted, (\d+) packets received", said).groups())
        check(came > 0 and sent - came <= 1, f"vm1's ping lost {sent - came} of {sent}")
        lab.say(f"meanwhile vm1's ping: {came} of {sent} answered (the last may be on its way)")
        limit = 100
        while (now := self.count_fds()) != self.fds and limit:
            limit -= 1
        check(now == self.fds, f"the daemon had {self.fds} descriptors, and has {now}")


@scenario("hostile-guest-on-port-3240")
def hostile_port(lab):
    bystander = Bystander(lab)
    since = len(lab.daemon.log())
    for what, command in GARBAGE.items():
        # Half-open: what is sent has ended, the answer is awaited.
        result = lab.vm2.run(f"{{ {command}; sleep 1; }} | nc -w 5 {ADDRESS} {PORT} | wc -c", timeout=60)
        check(result.rc == 0, f"{what}: {result}")
        check(int(result.out) in (0, 8), f"{what}: {int(result.out)} bytes were answered")
    lab.daemon.wait_log(r"vm2: .*something else than a request", since)
    lab.daemon.wait_log(r"vm2: asked for .*not routed", since)
    silent = lab.spawn(lab.vm2, f"for i in $(seq 20); do sleep 300 | nc {ADDRESS} {PORT} & done; wait")
    lab.vm2.wait("pidof nc >/dev/null", what="silent connections")
    lab.vm2.wait("! pidof nc >/dev/null", what="all silent connections ended by the daemon")
    silent.kill()
    lab.vm2.run("killall sleep nc")
    lab.vm2.wait(f"usbip list -r {ADDRESS} 2>&1 | grep -q -i 'no exportable'", what="vm2 is served again")
    bystander.check()


@scenario("hostile-guest-card")
def hostile_card(lab):
    bystander = Bystander(lab)
    program = f"exec python3 {paths.LAB}/hostile_frontend.py {RUNTIME}/vm3.sock"
    # What is blamed is logged; later lines of the same guest are limited.
    for name, line in (("broken-loop", r"vm3: the guest's TX ring is broken: "),
                       ("place-used-outside", r"vm3: the guest's card can't be used: "),
                       ("header-of-noise", r"vm3: connection closed: vhost-user message "),
                       ("call-is-a-full-pipe", r"vm3: connection closed: its virtual machine handed over a descriptor that is "
                                               r"neither an eventfd nor memory")):
        since = len(lab.daemon.log())
        # Who leaves at once may have gone before anybody looks into its rings.
        job = lab.board.spawn(f"{program} --stay {name}", stdin=b"")
        lab.daemon.wait_log(line, since)
        job.kill()
        job.wait()
    # tests/device/test-negative.py takes its time.
    program = lab.board.follow(f"export HOSTILE_HURRY=50; {program}", "hostile-frontend.log")
    program.wait(240)
    lab.settled("hostile-frontend.log", "done")
    said = lab.board.logs.file("hostile-frontend.log").read_text().splitlines()
    check(said[-1] == "done", f"the front-end ended early: {said[-3:]}")
    results = {words[1]: (words[2], words[-1]) for words in (line.split() for line in said if line.startswith("case "))}
    odd = {name: both for name, both in results.items() if both[0] != both[1]}
    check(not odd, f"came to something else than what was wanted: {odd}")
    lab.say(f"{len(results)} cases: {sum(what == 'closed' for what, _ in results.values())} closed")
    check(lab.vm2.ping(ADDRESS, 3) == 3, "vm2 has lost the daemon")
    bystander.check()


@scenario("strangers-at-the-control-socket")
def strangers(lab):
    """The test of the device level, on the board's kernel, which takes descriptors that newer ones refuse."""
    lab.board.run("ip link set lo up; modprobe fuse || true", check=True)
    lab.board.run("ulimit -n 4096; python3 -W ignore "
                  f"{paths.REPO}/tests/device/test-strangers.py {paths.DAEMON} {paths.CTL} "
                  f"{paths.BUILD}/tests/unit/mute-fuse -k descriptor -k front_end >/run/lab/strangers 2>&1 || "
                  "{ tail -n 30 /run/lab/strangers >&2; exit 1; }", timeout=200, check=True)
