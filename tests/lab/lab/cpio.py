"""Writes an initramfs ("newc" cpio) without needing to own its files. Owns the archive it builds."""

import os
import stat


class Cpio:
    def __init__(self):
        self._parts = []
        self._have = set()
        self._inode = 0

    def _entry(self, name, mode, data=b""):
        self._inode += 1
        encoded = name.encode() + b"\0"
        fields = [self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0]
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        self._parts += [head, b"\0" * (-len(head) % 4), data, b"\0" * (-len(data) % 4)]

    def folder(self, name):
        name = name.strip("/")
        if name and name not in self._have:
            self.folder(os.path.dirname(name))
            self._have.add(name)
            self._entry(name, stat.S_IFDIR | 0o755)

    def text(self, name, data, mode=0o644):
        """A file with these bytes (or this text)."""
        name = name.strip("/")
        if name in self._have:
            return
        self.folder(os.path.dirname(name))
        self._have.add(name)
        self._entry(name, stat.S_IFREG | mode, data.encode() if isinstance(data, str) else data)

    def file(self, name, source):
        """A copy of a file outside, with its rights."""
        with open(source, "rb") as opened:
            self.text(name, opened.read(), stat.S_IMODE(os.stat(source).st_mode))

    def link(self, name, target):
        name = name.strip("/")
        self.folder(os.path.dirname(name))
        self._have.add(name)
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def save(self, path):
        self._entry("TRAILER!!!", 0)
        partial = path.with_suffix(".new")
        partial.write_bytes(b"".join(self._parts))
        partial.rename(path)
