#!/usr/bin/python3
"""test-room-includes.py BUILD: that a room's compiler finds the headers of the rooms that it may know (tests/arrows), and no
others; and libusb's in its one room. For each room one of its own compiler commands is run on a file that includes one
header, once a room."""

import json
import pathlib
import shlex
import subprocess
import sys
import tempfile
import unittest

from arrows import REPO, Tree

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
COMMANDS = json.loads((BUILD / "compile_commands.json").read_text())
TREE = Tree(REPO)
OF_DAEMON = [room for room in TREE.rooms if (REPO / "daemon" / room).is_dir()]
ROOMS = [room for room in TREE.rooms if (REPO / room).is_dir()] + OF_DAEMON + ["top"]


def folder_of(room):
    return REPO / "daemon" / room if room in OF_DAEMON else REPO / ("daemon" if room == "top" else room)


def allowed(room):
    return TREE.allowed(room)[0]


def reached(room):
    """What a room's headers bring along: the rooms that it may know, those that they may know, and so on."""
    found, left = set(), {room}
    while left:
        one = left.pop()
        found.add(one)
        left |= allowed(one) - found
    return found


def command_of(room):
    """A command that compiles one of the room's files, as words; None where this build has none (libvirt)."""
    for entry in COMMANDS:
        file = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
        # rooms.c, which puts the others together, knows nothing of the control socket.
        if room == "top" and file.name != "main.c":
            continue
        # The room's own target, not a test that compiles its file.
        if file.parent == folder_of(room) and entry["output"].startswith(
                folder_of(room).relative_to(REPO).parts[0] + "/"):
            return shlex.split(entry["command"]), entry
    return None


def header_of(room):
    return next(file.relative_to(REPO).as_posix() for file in sorted(folder_of(room).glob("*.h")))


class RoomIncludes(unittest.TestCase):
    def finds(self, room, header):
        words, entry = command_of(room)
        output = words.index("-o")
        words = [word for at, word in enumerate(words) if at not in (output, output + 1) and word != entry["file"]]
        words = [word for word in words if word not in ("-MD", "-MMD", "-c")]
        for option in ("-MQ", "-MF"):
            if option in words:
                at = words.index(option)
                del words[at:at + 2]
        with tempfile.NamedTemporaryFile("w", suffix=".c") as source:
            source.write(f'#include "{header}"\n')
            source.flush()
            done = subprocess.run([*words, "-E", "-o", "/dev/null", source.name], cwd=entry["directory"],
                                  capture_output=True, text=True, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"})
        if done.returncode:
            self.assertIn(header, done.stderr)
            self.assertRegex(done.stderr, "No such file|file not found")
        return done.returncode == 0

    def test_each_room(self):
        tried = 0
        for room in ROOMS:
            if room == "libvirt" and not command_of(room):
                continue        # the build is without it
            self.assertIsNotNone(command_of(room), f"{room}: no file of it in compile_commands.json")
            with self.subTest(room=room, includes="libusb"):
                self.assertEqual(self.finds(room, "libusb.h"), room == "usb")
            for other in ROOMS:
                with self.subTest(room=room, includes=other):
                    found = self.finds(room, header_of(other))
                    if other in allowed(room):
                        self.assertTrue(found)
                    elif room not in OF_DAEMON + ["top"] or other not in reached(room):
                        self.assertFalse(found)
                    tried += 1
        self.assertGreater(tried, 40)


if __name__ == "__main__":
    unittest.main()
