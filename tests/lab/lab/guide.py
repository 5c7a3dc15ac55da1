"""The commands of a guide, taken from its text. Owns no state.

A fenced block says in its first line what it is and who runs it:

    ```sh board             on the board
    ```sh in vm1            in that guest
    ```sh starts vm1        the command line of that guest's QEMU, on the board
    ```ini board FILE       what that file on the board has in it
    ```sh untried           nobody
    ```sh builds            whoever makes the packages (lab/packages.py)
    ```keys                 chords that are struck on the keyboard, a line each
    ```text said            what the block before it has to print; numbers may differ
"""

import collections
import re

from . import LabError

Block = collections.namedtuple("Block", "line does whom text")
KINDS = (r"sh (board)", r"sh in (\w+)", r"sh starts (\w+)", r"ini board (/\S+)", r"sh (untried)", r"sh (builds)", r"(keys)", r"text (said)")
DOES = ("board", "in", "starts", "file", "untried", "builds", "keys", "said")


def blocks(file):
    """Its blocks, in order. Every one must say who runs it."""
    found, head = [], None
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if not line.startswith("```"):
            if head:
                lines.append(line)
        elif head:
            found.append(_block(file, *head, "".join(f"{one}\n" for one in lines)))
            head = None
        else:
            head, lines = (number, line[3:]), []
    if head:
        raise LabError(f"{file}:{head[0]}: a block without an end")
    return found


def _block(file, number, head, text):
    for does, kind in zip(DOES, KINDS):
        if match := re.fullmatch(kind, head):
            return Block(number, does, match[1], text)
    raise LabError(f"{file}:{number}: `{head}` does not say who runs it: {', '.join(KINDS)}")
