"""Mistakes in the configuration are told with file, line, section and key, and nothing is touched."""

from lab import paths
from lab.scenario import check, scenario

FILE = "/run/lab/mistakes.conf"
MISTAKES = (
    ("[vm vm1]\naddress = 10.77.0.300\n", ":2: [vm vm1] address: expected"),
    ("[vm vm1]\ncolour = red\n", ":2: [vm vm1] colour"),
    ("[network]\nisolate = maybe\n", ":2: [network] isolate: expected"),
    ("[vm vm1]\n[vm vm1]\n", ":2: "),
    ("[vm host]\n", ":1: "),
    ("[device x]\nmatch = id=zzzz\n", ":2: [device x] match: expected"),
)


@scenario("config-mistakes", quick=False)
def config_mistakes(lab):
    pid = lab.daemon.pid()
    for text, where in MISTAKES:
        lab.board.write(FILE, text)
        rc, _, err = lab.board.run(f"{paths.DAEMON} --check --config {FILE}")
        said = err.decode()
        check(rc == 1 and f"{FILE}{where}" in said, f"{text!r}: {rc}, {said!r}")
    rc, _, err = lab.board.run(f"{paths.DAEMON} --check --config /run/lab/none.conf")
    check(rc == 1 and b"none.conf" in err, f"a file that is missing: {rc}, {err}")
    check(lab.daemon.pid() == pid, "the daemon is another process")
