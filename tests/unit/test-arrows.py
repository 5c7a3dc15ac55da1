#!/usr/bin/python3
"""Holds each #include in the tree against tests/arrows: room to room, a room's libraries, and no header of ours with
the name of a system header. Needs no build."""

import pathlib
import tempfile
import unittest

from arrows import REPO, Tree


class Arrows(unittest.TestCase):
    def test_no_include_breaks_the_list(self):
        faults = list(Tree(REPO).faults())
        self.assertFalse(faults, "\n" + "\n".join(faults))

    def test_there_are_no_exceptions(self):
        self.assertEqual(Tree(REPO).exceptions, [])

    def test_the_tree_is_seen(self):
        files = list(Tree(REPO).files())
        self.assertGreater(len(files), 100)
        for file in ("base/fd.c", "daemon/main.c", "policy/name.h", "tests/unit/test-wish.c"):
            self.assertIn(file, files)


class Refused(unittest.TestCase):
    """A small tree that holds, and what each of these does to it."""

    FILES = {
        "base/fd.h": "#include <unistd.h>\n",
        "policy/name.c": '#include "policy/name.h"\n#include <string.h>\n#include "base/fd.h"\n',
        "policy/name.h": "#include <stddef.h>\n",
        "usb/usb_urb.h": "#include <libusb.h>\n",
        "daemon/routing/claims.c": '#include "daemon/core/state_file.h"\n',
        "daemon/core/state_file.h": '#include "daemon/routing/claims.h"\n',
        "daemon/routing/claims.h": "",
        "tests/unit/test-name.c": '#include "usb/usb_urb.h"\n#include <cmocka.h>\n',
    }
    LIST = "[exceptions]\ndaemon/core/state_file.h daemon/routing/claims.h\n"

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        for path, text in self.FILES.items():
            self.put(path, text)
        shipped = (REPO / "tests" / "arrows").read_text()
        self.put("tests/arrows", shipped + self.LIST)

    def put(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def faults(self, path=None, text=""):
        if path:
            self.put(path, text)
        return list(Tree(self.root).faults())

    def refuses(self, fault, path, text=""):
        self.assertEqual(self.faults(path, text), [fault])

    def test_nothing(self):
        self.assertEqual(self.faults(), [])

    def test_a_room_that_it_may_not_know(self):
        self.refuses("policy/name.h:2: includes usb/usb_urb.h: policy may not know usb",
                     "policy/name.h", '#include <stddef.h>\n#include "usb/usb_urb.h"\n')

    def test_the_same_in_brackets_and_with_spaces(self):
        self.refuses("policy/name.h:1: includes usb/usb_urb.h: policy may not know usb",
                     "policy/name.h", " #  include <usb/usb_urb.h>\n")

    def test_a_way_round_by_dots(self):
        self.refuses("policy/name.h:1: includes ../usb/usb_urb.h: goes out of its folder: a header is named as "
                     "ROOM/NAME.h", "policy/name.h", '#include "../usb/usb_urb.h"\n')

    def test_upwards(self):
        self.refuses("base/fd.h:1: includes policy/name.h: base may not know policy", "base/fd.h",
                     '#include "policy/name.h"\n')

    def test_upwards_within_the_daemon(self):
        self.refuses("daemon/core/wish_book.c:1: includes daemon/routing/claims.h: core may not know routing",
                     "daemon/core/wish_book.c", '#include "daemon/routing/claims.h"\n')

    def test_a_library(self):
        self.refuses("policy/name.h:1: includes libusb.h: policy may not know this library (or tests/arrows has no "
                     "such system header)", "policy/name.h", "#include <libusb.h>\n")

    def test_the_system_in_a_pure_room(self):
        self.refuses("policy/name.h:1: includes unistd.h: policy may not know this library (or tests/arrows has no "
                     "such system header)", "policy/name.h", "#include <unistd.h>\n")

    def test_a_file_without_a_room(self):
        self.refuses("daemon/rest/new.c: tests/arrows has no such room: name it in [rooms]", "daemon/rest/new.c")

    def test_an_exception_that_is_needed_no_more(self):
        self.refuses("tests/arrows: the exception `daemon/core/state_file.h daemon/routing/claims.h` is needed no more: "
                     "remove its line", "daemon/core/state_file.h")

    def test_a_system_headers_name(self):
        faults = self.faults("base/endian.h")
        self.assertEqual(len(faults), 1)
        self.assertRegex(faults[0], r"^base/endian\.h: is named as the system's /\S*/endian\.h: name it differently$")


if __name__ == "__main__":
    unittest.main()
