"""What a hostile front-end does, by name: GROUPS has a group's cases in the order in which they were told.

A case is told with what it comes to. CLOSED: the daemon closes the connection. KEPT: it goes on. PASSES: all frames that
were posted are taken, and the ring goes on. BROKEN: the card is down until the ring is set up anew. DOWN: until the front-end
connects anew. GONE: the front-end has left by itself."""

import os
import struct
import time

from raw_frontend import GET_BASE, RX, TX, Gone

CLOSED, KEPT, PASSES, BROKEN, DOWN, GONE = "closed", "kept", "passes", "broken", "down", "gone"
GROUPS = {}
SECONDS = 60    # far beyond any patience
HURRY = int(os.environ.get("HOSTILE_HURRY", "1"))


def many(number):
    """How often, where the number is only to be large: less on a machine that is slow."""
    return max(number // HURRY, 1)


class Group:
    def __init__(self, name):
        self.cases = GROUPS.setdefault(name, [])

    def case(self, comes_to):
        """A function is a case."""
        def add(does):
            self.cases.append((does.__name__.replace("_", "-"), comes_to, does))
            return does
        return add

    def table(self, prefix, comes_to, rows, does):
        """A case for each row: its name, and what the function is given."""
        for name, *arguments in rows:
            self.cases.append((f"{prefix}-{name}", comes_to, lambda f, arguments=arguments: does(f, *arguments)))



def taken(f, ring=TX):
    """Wait until the daemon has taken all that was posted."""
    while f.used(ring) != f.avail[ring]:
        f.alive()


def good_frame(f):
    """A frame as any guest's is taken."""
    f.desc(TX, 9, *f.frame(60))
    f.post(TX, 9)
    taken(f)


def heals(f):
    """The rings are set up anew, behind what broke one."""
    for ring in RX, TX:
        f.ask(GET_BASE, struct.pack("<II", ring, 0))
    for ring in RX, TX:
        f.begin_anew(ring)
        f.ring(ring)
    good_frame(f)


def run(f, comes_to, does, connected=None):
    """A case on a connection: what it came to. With connected(), which says whether the card is up, all of that is seen."""
    try:
        does(f)
        if comes_to == GONE:
            return GONE
        f.alive()
        if comes_to == PASSES:
            taken(f)
            good_frame(f)
        elif connected and comes_to in (BROKEN, DOWN):
            end = time.monotonic() + SECONDS
            while connected():
                f.alive()
                if time.monotonic() > end:
                    return KEPT
        if comes_to == BROKEN and connected:
            heals(f)
    except (Gone, BrokenPipeError):
        return CLOSED
    return KEPT if comes_to == CLOSED else comes_to
