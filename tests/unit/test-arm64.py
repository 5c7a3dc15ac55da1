#!/usr/bin/python3
"""On x86-64: that all programs compile for arm64, which many hosts are, and that the sandbox's lists of system calls hold
there, too, where a dozen calls have other names, and that the rings have their barriers. usage: test-arm64.py BUILD"""

import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import unittest

BUILD = pathlib.Path(sys.argv[1]).resolve()
REPO = pathlib.Path(__file__).resolve().parents[2]
HEADERS = pathlib.Path("/usr/aarch64-linux-gnu/include")
CLANG = ["clang", "--target=aarch64-linux-gnu", "-nostdlibinc", f"-isystem{HEADERS}", "-idirafter/usr/include"]

# What libc calls on arm64 in the place of a call that only x86-64 has; none: nobody needs it there.
INSTEAD = {"poll": "ppoll", "time": "clock_gettime", "open": "openat", "stat": "newfstatat", "lstat": "newfstatat",
           "access": "faccessat", "readlink": "readlinkat", "unlink": "unlinkat", "mkdir": "mkdirat", "rename": "renameat",
           "chmod": "fchmodat", "chown": "fchownat", "dup2": "dup3", "fork": "clone", "vfork": "clone", "arch_prctl": None}


def numbers(compiler):
    """System calls by name."""
    done = subprocess.run([*compiler, "-E", "-dM", "-include", "asm/unistd.h", "-x", "c", "/dev/null"], capture_output=True,
                          text=True, check=True)
    defined = dict(re.findall(r"^#define __NR_(\w+) (\S+)$", done.stdout, re.M))
    # Some are defined by another one (__NR3264_lseek).
    other = dict(re.findall(r"^#define (__NR3264_\w+) (\S+)$", done.stdout, re.M))
    return {name: int(other.get(number, number)) for name, number in defined.items() if other.get(number, number).isdigit()}


class Lists(unittest.TestCase):
    """base/sandbox_calls.c as text: its rows, and those that only x86-64 has."""

    @classmethod
    def setUpClass(cls):
        text = (REPO / "base" / "sandbox_calls.c").read_text()
        parts = re.split(r"^(#ifdef __x86_64__|#endif)$", text, flags=re.M)
        cls.common, cls.x86 = [], []
        inside = False
        for part in parts:
            if part.startswith("#"):
                inside = part != "#endif"
                continue
            rows = re.findall(r"^\t\{__NR_(\w+), ([A-Z| ]+)", part, re.M)
            # Those that end a process are on no list.
            rows += [(name, "") for name in re.findall(r"^\t__NR_(\w+),", part, re.M)]
            (cls.x86 if inside else cls.common).extend(rows)
        cls.last = int(re.search(r"^#define LAST_KNOWN (\d+)$", text, re.M)[1])
        cls.arm = numbers(CLANG)

    def test_the_lists_are_seen(self):
        self.assertGreater(len(self.common), 100)
        self.assertIn(("openat", "B | C | S | L"), self.common)
        self.assertIn(("open", "B | C | S | L"), self.x86)
        self.assertEqual(self.arm["ioctl"], 29)

    def test_arm64_has_what_both_have(self):
        self.assertEqual([name for name, _ in self.common if name not in self.arm], [])

    def test_what_arm64_has_is_not_left_out_there(self):
        self.assertEqual([name for name, _ in self.x86 if name in self.arm], [])

    def test_what_is_called_instead_is_on_the_same_lists(self):
        stages = {}
        for name, letters in self.common:
            stages.setdefault(name, set()).update(letters.split(" | "))
        for name, letters in self.x86:
            self.assertIn(name, INSTEAD)
            if letters and INSTEAD[name] and "ALL" not in stages[INSTEAD[name]]:
                self.assertLessEqual(set(letters.split(" | ")), stages[INSTEAD[name]], (name, INSTEAD[name]))

    def test_all_are_known(self):
        for machine in self.arm, numbers(["cc"]):
            self.assertLessEqual(max(machine[name] for name, _ in self.common), self.last)
            self.assertEqual(machine["set_mempolicy_home_node"], self.last)


def compile_commands():
    """One of each file of the programs: it may be in several."""
    commands = [command for command in json.loads((BUILD / "compile_commands.json").read_text())
                if not os.path.relpath(os.path.join(command["directory"], command["file"]), REPO).startswith("tests/")]
    return {os.path.relpath(os.path.join(c["directory"], c["file"]), REPO): c for c in commands}


def compiled(command, *more):
    words = [word for word in shlex.split(command["command"])
             if re.match(r"-[ID]|-std=", word) and not word.startswith("-D_FORTIFY_SOURCE")]
    return subprocess.run([*CLANG, *words, *more, command["file"]], cwd=command["directory"], capture_output=True, text=True)


class Compiled(unittest.TestCase):
    def test_all_programs(self):
        commands = compile_commands().values()
        self.assertGreater(len(commands), 100)

        def compile_one(command):
            return compiled(command, "-fsyntax-only", "-Wall", "-Werror", "-Wno-unused-command-line-argument").stderr

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            errors = "".join(pool.map(compile_one, commands))
        self.assertEqual(errors, "", errors[:4000])


# What must stand between the words that a ring's two sides share, function by function: a word with acquire or release,
# or the full fence (vhost_user_net/shared_word.h).
BARRIERS = {
    "vhost_user_net/vu_vring.c": {
        "vu_vring_available": ["ldarh"], "vu_vring_peek": ["ldarh"], "vu_vring_publish": ["stlrh"],
        "vu_vring_wants_signal": ["dmb\tish"], "vu_vring_awaits_signal": ["dmb\tish"],
        "vu_vring_kicks_on": ["dmb\tish", "ldarh"]},
    "vhost_user_net/net_link.c": {
        "net_link_send": ["ldar"], "net_link_show": ["stlr"], "net_link_wakes": ["dmb\tish"], "net_link_peek": ["ldar"],
        "net_link_take": ["stlr"], "net_link_sleep": ["dmb\tish", "ldar"]},
}


class Barriers(unittest.TestCase):
    def test_each_is_there_and_in_order(self):
        commands = compile_commands()
        for file, functions in BARRIERS.items():
            done = compiled(commands[file], "-O2", "-S", "-o", "-")
            self.assertEqual(done.returncode, 0, done.stderr)
            # Calls of the file's own functions are followed where the compiler did not put them in line.
            bodies = dict(re.findall(r"^(\w+):.*?\n(.*?)^\.Lfunc_end", done.stdout, re.M | re.S))

            def body(name, bodies=bodies):
                return re.sub(r"\tbl\t(\w+)", lambda call: bodies.get(call[1], call[0]), bodies[name])

            for name, wanted in functions.items():
                found = re.findall(r"^\t(dmb\tish(?=$|\s)|ldarh?|stlrh?)(?=\s|$)", body(name), re.M)
                rest = iter(found)
                self.assertTrue(all(one in rest for one in wanted), f"{file}: {name}() has {found}, and needs {wanted}")


if __name__ == "__main__":
    if not (HEADERS / "asm" / "unistd.h").exists():
        print("SKIP: tests/deps installs arm64's headers on an x86-64 machine")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2)
