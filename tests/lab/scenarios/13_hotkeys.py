"""Chords on a keyboard that a guest has, struck for real: the board's QEMU presses the keys."""

from lab.guest import Guest
from lab.scenario import check, scenario

CTRL, CTRL_R, ESC, SPACE = 29, 97, 1, 57


def _strike(lab, key):
    for code in ("ctrl", "ctrl_r", key):
        lab.board.hold(code)
    for code in (key, "ctrl", "ctrl_r"):
        lab.board.release(code)


def _codes(events, at, value):
    lines = [line.split() for line in events.seen[at:] if line.startswith("key")]
    return [int(line[2]) for line in lines if int(line[3]) == value]


def _saw_no_chord(lab, events, at):
    """Of a chord, a machine that had the keyboard has seen the first two keys alone, or not even these."""
    lab.settle(events)
    down = _codes(events, at, 1)
    check(down in ([], [CTRL], [CTRL, CTRL_R]), f"{events.machine.name} saw {down} go down")


@scenario("hotkeys-three-guests", quick=False, seconds=1800)
def hotkeys_three_guests(lab):
    vm3 = Guest(lab.board, "vm3")
    try:
        vm3.start()
        vm3.wait_up()
        vm3.wait_carrier()
        vm3.wait_address()
        lab.say(f"vm3 up in {vm3.up_seconds:.0f} s")
        _in_turn(lab, (lab.vm1, lab.vm2, vm3))
    finally:
        vm3.kill()
        del lab.board.guests["vm3"]


def _in_turn(lab, guests):
    on_board = lab.events(lab.board)
    events = {guest.name: lab.events(guest) for guest in guests}
    every = [on_board, *events.values()]
    lab.keyboard_in(guests[0], events["vm1"])
    on_board.wait(["device", "*", "remove"])
    lab.key(events["vm1"])

    # A mouse, which has no keys, is somewhere else meanwhile.
    lab.board.plug("mouse")
    lab.daemon.wait_device("mouse", state="present")
    on_board.wait(["device", "*", "add"])
    lab.importing(guests[1], lab.route("mouse", guests[1]))
    on_board.wait(["device", "*", "remove"])
    events["vm2"].wait(["device", "*", "add"])
    lab.daemon.wait_device("mouse", state="attached", actual="vm2")

    for here, there in zip(guests, guests[1:] + guests[:1]):
        since = [len(one.seen) for one in every]
        _strike(lab, "spc")
        events[here.name].wait(["device", "*", "remove"])
        lab.daemon.wait_log(r"hot key next on keyboard")
        lab.daemon.wait_device("keyboard", wanted=there.name, actual=there.name, state="exported")
        lab.importing(there)
        events[there.name].wait_keyboard()
        lab.daemon.wait_device("keyboard", state="attached", actual=there.name)
        for one, at in zip(every, since):
            if one is events[here.name]:
                _saw_no_chord(lab, one, at)
            else:
                lab.no_key(one, at)
        # Once and no more: it is still there, and its next key is the guest's.
        since = [len(one.seen) for one in every]
        lab.key(events[there.name], "b")
        for one, at in zip(every, since):
            if one is not events[there.name]:
                lab.no_key(one, at)

    # All home, from vm1: what the board gets next is a key, and nothing of the chord.
    at, at_board = len(events["vm1"].seen), len(on_board.seen)
    _strike(lab, "esc")
    events["vm1"].wait(["device", "*", "remove"])
    lab.daemon.wait_log(r"hot key panic on keyboard")
    for device in ("keyboard", "mouse"):
        lab.daemon.wait_device(device, wanted="host", actual="host", state="present")
    on_board.wait(["device", "*", "add"])
    on_board.wait_keyboard()
    _saw_no_chord(lab, events["vm1"], at)
    lab.settle(on_board)
    check(not set(_codes(on_board, at_board, 1)) - {CTRL, CTRL_R},
          f"the board saw {_codes(on_board, at_board, 1)} of the chord go down")
    lab.key(on_board, "c")
    log = lab.daemon.log()
    check("hot key on keyboard" in log, "who moved the devices is not in the log")
