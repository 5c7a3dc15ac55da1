#!/usr/bin/python3
"""A hostile virtual machine, on the board: speaks vhost-user to a guest's socket, with hand-made memory and rings.

    hostile_frontend.py SOCKET          all cases; `case NAME closed|kept|… wanted …` each, then `done`
    hostile_frontend.py SOCKET CASE…    these; with --stay, a connection stays until somebody ends the program

Every case is a connection of its own, and says what it came to (hostile_case.py). Who has control's word beside it sees
more (tests/device/test-negative.py). Runs with the standard library alone.
"""

import signal
import socket
import sys

import hostile_messages  # noqa: F401 (brings cases)
import hostile_rings  # noqa: F401
from hostile_case import GROUPS, run
from raw_frontend import Frontend


def one(path, name, wanted, does, stay):
    try:
        f = Frontend(path)
    except OSError as error:
        print(f"case {name} no-connection {error}", flush=True)
        return
    try:
        what = run(f, wanted, does)
    except socket.timeout:
        what = "silent"
    if stay:
        signal.pause()
    f.close()
    print(f"case {name} {what} wanted {wanted}", flush=True)


def main():
    names = sys.argv[2:]
    stay = "--stay" in names
    for cases in GROUPS.values():
        for name, wanted, does in cases:
            if not names or name in names:
                one(sys.argv[1], name, wanted, does, stay)
    print("done", flush=True)


if __name__ == "__main__":
    main()
