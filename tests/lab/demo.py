"""The part of tests/demo that runs on the board."""

import os
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from lab import LabError  # noqa: E402
from lab.board import Board  # noqa: E402
from lab.daemon import Daemon  # noqa: E402
from lab.guest import Guest  # noqa: E402
from lab.scenario import KEYS  # noqa: E402

BEGAN = float(os.environ.get("USBROUTED_DEMO_BEGAN") or time.time())
COLOUR = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
WORDS = {"vm1": "hello", "vm2": "abc"}
NAMES = {code: name for name, code in KEYS.items()}
TYPING_SECONDS = 0.04


def paint(text, code):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def step(text):
    print(f"{time.time() - BEGAN:4.0f} s  {text}", flush=True)


def typed(prompt, line):
    """A line as it is typed at somebody's prompt."""
    print(f"        {paint(prompt, '1;36')} ", end="", flush=True)
    for letter in line:
        print(letter, end="", flush=True)
        time.sleep(TYPING_SECONDS if COLOUR else 0)
    print(flush=True)


def said(text):
    for line in text.strip().splitlines():
        print(f"        {paint(line, '2')}", flush=True)


def host(daemon, words):
    typed("board #", f"usbroutectl {words}")
    text = daemon.ctl_ok(words)
    said(text)
    return text


def key_shown(guest, events, letter):
    """One key pressed on the board; its events in the guest, printed."""
    code = KEYS[letter]
    for value, what in ((1, "down"), (0, "up")):
        line = events.wait(["key", "*", code, value])
        device, seconds = line.split()[1], line.split()[4]
        print(f"        {guest.name}: [{seconds}] {device}: {paint(NAMES[code], '1;32')} "
              f"(KEY_{letter.upper()}, {code}) {what}", flush=True)


def route(board, daemon, guest, events, gone=None):
    text = host(daemon, f"attach keyboard {guest.name}")
    line = re.search(r"usbip attach \S.*", text).group(0).strip()
    if gone:
        gone.wait(["device", "*", "remove"])
        said("vm1's keyboard has gone")
    typed(f"{guest.name} #", line)
    guest.text(line)
    name = events.wait_keyboard().split(" ", 3)[3]
    said(f"{guest.name}'s kernel has a new input device: {name}")
    step(f"{' '.join(WORDS[guest.name])}, typed on the board's keyboard")
    for letter in WORDS[guest.name]:
        board.key(letter)
        key_shown(guest, events, letter)


def show():
    step("booting the board: an emulated KVM host with a USB keyboard")
    with Board(devices=["keyboard"]) as board:
        step(f"the board is up ({board.boot_seconds:.0f} s)")
        daemon = Daemon(board)
        daemon.start()
        step("usbrouted is ready; starting two guests, each with its card")
        guests = [Guest(board, "vm1"), Guest(board, "vm2")]
        for guest in guests:
            guest.start()
        for guest in guests:
            guest.wait_up()
            step(f"{guest.name} is up, and has {guest.wait_address()} by DHCP")
        vm1, vm2 = guests
        in_vm1, in_vm2 = vm1.events(), vm2.events()
        host(daemon, "list")
        step("the keyboard goes to vm1")
        route(board, daemon, vm1, in_vm1)
        step("the keyboard goes to vm2")
        at = len(in_vm1.seen)
        route(board, daemon, vm2, in_vm2, gone=in_vm1)
        vm1.run("true")
        in_vm1.now()
        strays = [line for line in in_vm1.seen[at:] if line.startswith("key")]
        if strays:
            raise LabError(f"vm1 got keys after the keyboard had left it: {strays}")
        host(daemon, "list")


def main():
    try:
        show()
    except LabError as error:
        print(error)
        print(paint("demo: FAILED, see above", "1;31"))
        return 1
    except KeyboardInterrupt:
        print("demo: ended by you, before its end")
        return 130
    step("all off")
    print(paint(f"demo: shown: {' '.join(WORDS['vm1'])} arrived in vm1, then {' '.join(WORDS['vm2'])} in vm2 and "
                "nothing in vm1, through usbrouted", "1;32"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
