"""Reads tests/arrows and holds a tree's #includes against it. Owns no state beyond one reading."""

import collections
import fnmatch
import os
import pathlib
import re
import subprocess

REPO = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = re.compile(r'^[ \t]*#[ \t]*(?:include|include_next|import)[ \t]+(["<])([^">]+)[">]', re.M)
# Who may include what they like.
FREE = {"tests"}


def read_arrows(file):
    """(sets, rooms, exceptions): names to sets of names; exceptions are pairs."""
    sections = collections.defaultdict(lambda: collections.defaultdict(set))
    exceptions, section = [], None
    for number, line in enumerate(file.read_text().splitlines(), 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        if words[0].startswith("["):
            section = words[0].strip("[]")
        elif section == "exceptions" and len(words) == 2:
            exceptions.append(tuple(words))
        elif section in ("headers", "rooms") and len(words) > 1:
            sections[section][words[0]].update(words[1:])
        else:
            raise SystemExit(f"{file}:{number}: expected a section, NAME NAMES… or FILE HEADER; found {line!r}")
    return sections["headers"], sections["rooms"], exceptions


class Tree:
    """A source tree and its list."""

    def __init__(self, root, arrows=None):
        self.root = pathlib.Path(root)
        self.sets, self.rooms, self.exceptions = read_arrows(arrows or self.root / "tests" / "arrows")

    def files(self):
        """Each C file, as a path relative to the root; what is built or kept aside is in no room."""
        for folder in sorted(self.root.iterdir()):
            if folder.name in self.rooms or folder.name in FREE or folder.name == "daemon":
                for file in sorted(folder.rglob("*.[ch]")):
                    yield file.relative_to(self.root).as_posix()

    def room(self, path):
        """The room of a file, or None where tests/arrows has none for it."""
        folder, *folders, _ = path.split("/")
        if folder == "daemon":
            folder = folders[0] if folders else "top"
        return folder if folder in self.rooms or folder in FREE else None

    def allowed(self, room):
        """The rooms and the patterns of headers that a room may include."""
        rooms, headers = {room}, []
        for name in self.rooms[room]:
            if name in self.sets:
                headers += self.sets[name]
            elif name in self.rooms:
                rooms.add(name)
            else:
                headers.append(name)
        return rooms, headers

    def ours(self, path, name):
        """What `name` in quotes or <> in the file `path` is, where it is ours: relative to the root."""
        for base in ("", os.path.dirname(path)):
            found = os.path.normpath(os.path.join(base, name))
            if (self.root / found).is_file():
                return found
        return None

    def judge(self, path, name):
        """Why the file may not include this; None: it may."""
        room = self.room(path)
        if room in FREE:
            return None
        if ".." in name.split("/"):
            return "goes out of its folder: a header is named as ROOM/NAME.h"
        rooms, headers = self.allowed(room)
        target = self.ours(path, name)
        if target:
            to = self.room(target)
            return None if to in rooms else f"{room} may not know {to}"
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in headers):
            return None
        return f"{room} may not know this library (or tests/arrows has no such system header)"

    def faults(self):
        """All that is wrong, a sentence each."""
        unused = set(self.exceptions)
        for path in self.files():
            if self.room(path) is None:
                yield f"{path}: tests/arrows has no such room: name it in [rooms]"
                continue
            for found in INCLUDE.finditer((self.root / path).read_text()):
                why = self.judge(path, found[2])
                if why and (path, found[2]) in self.exceptions:
                    unused.discard((path, found[2]))
                elif why:
                    line = (self.root / path).read_text().count("\n", 0, found.start()) + 1
                    yield f"{path}:{line}: includes {found[2]}: {why}"
        for path, name in sorted(unused):
            yield f"tests/arrows: the exception `{path} {name}` is needed no more: remove its line"
        yield from self.shadows()

    def shadows(self):
        """Headers of ours that would be found in a system header's place, or be taken for one."""
        folders = system_folders()
        for path in self.files():
            names = {path, os.path.basename(path)} if path.endswith(".h") else ()
            for name in names:
                where = next((folder for folder in folders if (folder / name).is_file()), None)
                if where:
                    yield f"{path}: is named as the system's {where / name}: name it differently"


def system_folders():
    """Where the compiler looks for <…>."""
    said = subprocess.run(["gcc", "-E", "-v", "-x", "c", os.devnull], capture_output=True, text=True, check=True).stderr
    listed = said.split("#include <...> search starts here:", 1)[1].split("End of search list", 1)[0]
    return [pathlib.Path(line.strip()) for line in listed.splitlines() if line.strip()]
