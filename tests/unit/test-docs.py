#!/usr/bin/python3
"""The documents hold together: a link leads somewhere, every page is in the package, every block of a guide says who runs it, and
what is typed there is a command that there is. usage: test-docs.py SOURCE USBROUTECTL"""

import os
import pathlib
import re
import subprocess
import sys
import unittest

# From where meson runs it, the program's path is a relative one.
SOURCE, CTL = pathlib.Path(sys.argv[1]), os.path.abspath(sys.argv[2])
sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "tests" / "lab"))
from lab import LabError, guide  # noqa: E402

PAGES = sorted([SOURCE / "README.md", *(SOURCE / "docs").rglob("*.md"), *(SOURCE / "configs").rglob("*.md"),
                *(SOURCE / "tests").rglob("*.md")])
GUIDES = [SOURCE / "docs" / "tutorial.md", SOURCE / "configs" / "maaxboard" / "README.md"]


def links(text):
    """Where a page's links lead, but for those to other machines and within the page. Blocks have none."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    return [found for found in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:|#", found)]


class Docs(unittest.TestCase):
    def test_a_link_leads_somewhere(self):
        self.assertGreater(len(PAGES), 10)
        for page in PAGES:
            for link in links(page.read_text()):
                with self.subTest(page=page.name, link=link):
                    self.assertTrue((page.parent / link.split("#")[0]).exists())

    def test_every_page_is_in_the_package(self):
        packed = [SOURCE / line for line in (SOURCE / "debian" / "usbrouted-doc.docs").read_text().split()]
        for path in packed:
            self.assertTrue(path.exists(), path)
        for page in (SOURCE / "docs").rglob("*.md"):
            self.assertTrue(any(path in (page, *page.parents) for path in packed), page)

    def test_a_guide_says_who_runs_what(self):
        for page in GUIDES:
            does = {block.does for block in guide.blocks(page)}
            self.assertLessEqual({"board", "in", "starts", "file"}, does, page)

    def test_a_block_that_says_nothing_is_found(self):
        class Text:
            def __init__(self, text):
                self.text = text

            def read_text(self):
                return self.text
        for text in "```\nls\n```\n", "```sh\nls\n```\n", "```sh board\nls\n", "```sh in\nls\n```\n":
            self.assertRaises(LabError, guide.blocks, Text(text))

    def test_a_command_in_a_guide_is_one(self):
        said = subprocess.run([CTL, "--help"], capture_output=True, text=True, check=True).stdout
        known = {line.split()[0] for line in said.split("Commands:")[1].split("Options:")[0].splitlines() if line.split()}
        found = set()
        for page in PAGES:
            for block in re.findall(r"^```[^\n]*\n(.*?)^```", page.read_text(), flags=re.S | re.M):
                for line in re.findall(r"^(?:# |sudo )?usbroutectl ([a-z][a-z-]*)", block, flags=re.M):
                    found.add(line)
                    self.assertIn(line, known, page)
        self.assertLessEqual({"attach", "detach", "assign", "list"}, found)


if __name__ == "__main__":
    os.chdir(SOURCE)
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
