#!/usr/bin/python3
"""systemd's word on the units that are built: how much of the machine a service could still reach, were it taken over
(0 to 10), and the users that they name are made. usage: test-units.py UNITS SYSUSERS"""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

UNITS, SYSUSERS = map(pathlib.Path, sys.argv[1:3])
# In tenths, as --threshold= takes them.
MOST = {"usbrouted.service": 30, "usbrouted-libvirt.service": 30, "usbroute-agent.service": 30}


class Units(unittest.TestCase):
    def test_exposure(self):
        for name, most in MOST.items():
            if not (UNITS / name).exists():
                continue
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                # It wants programs that are there.
                unit = pathlib.Path(folder) / name
                unit.write_text(re.sub(r"^(Exec\w+=[!+-]?)\S+", r"\1/bin/true", (UNITS / name).read_text(), flags=re.M))
                done = subprocess.run(["systemd-analyze", "security", "--offline=true", f"--threshold={most}",
                                       "--no-pager", unit], capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr)

    @staticmethod
    def calls_in(words):
        """System calls that these words name, which may be systemd's sets of them."""
        calls, left = set(), words.split()
        while left:
            word = left.pop()
            if not word.startswith("@"):
                calls.add(word)
                continue
            said = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", word], capture_output=True, text=True, check=True)
            left += [line.strip() for line in said.stdout.splitlines()[1:] if line.strip() and line.strip()[0] != "#"]
        return calls

    def test_programs_may_confine_themselves(self):
        """They do so after their start, when the unit's filter is there already."""
        for name in ("usbrouted.service", "usbrouted-libvirt.service"):
            if not (UNITS / name).exists():
                continue
            may = set()
            for words in re.findall(r"^SystemCallFilter=(.*)$", (UNITS / name).read_text(), re.M):
                may = may - self.calls_in(words[1:]) if words.startswith("~") else may | self.calls_in(words)
            for call in ("seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "prctl"):
                self.assertIn(call, may, f"{name} takes it from its program")

    def test_users_are_made(self):
        made = {line.split()[1] for line in SYSUSERS.read_text().splitlines() if line.startswith("u ")}
        for path in UNITS.glob("*.service"):
            for user in re.findall(r"^(?:User|Group|SupplementaryGroups)=(.*)$", path.read_text(), re.M):
                self.assertIn(user, made, path)
        # By systemd's own program, into an empty root: a line that it does not take makes no user at all.
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "etc").mkdir()
            done = subprocess.run(["systemd-sysusers", f"--root={folder}", SYSUSERS.resolve()],
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            passwd = (pathlib.Path(folder) / "etc" / "passwd").read_text()
            self.assertLessEqual(made, {line.split(":")[0] for line in passwd.splitlines()})


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
