"""The lab: an emulated KVM host ("the board") with real Linux USB, and guests on it.

Start at board.py (the board), guest.py (a guest), daemon.py (usbrouted on the board).
"""


class LabError(Exception):
    """Something in the lab is not as it must be; the text says what and what to do."""


class LabTimeout(LabError):
    """An awaited event did not come within its limit."""
