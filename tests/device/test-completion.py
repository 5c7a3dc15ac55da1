#!/usr/bin/python3
"""What zsh and fish, the real ones, put after usbroutectl: what its help has, and the devices and VMs of a running daemon.
usage: test-completion.py USBROUTED USBROUTECTL MOCK-HOST SOURCE BUILD"""

import importlib.util
import os
import pathlib
import pty
import re
import shutil
import subprocess
import sys
import time
import unittest

SOURCE, BUILD = map(pathlib.Path, sys.argv[4:6])
sys.argv[4:6] = []
spec = importlib.util.spec_from_file_location("process", pathlib.Path(__file__).with_name("test-control-process.py"))
process = importlib.util.module_from_spec(spec)
spec.loader.exec_module(process)
SECONDS = process.SECONDS
# Types a line, asks for what completes it, and shows what then stands there.
ZSH = """\
fpath=({folder} $fpath)
autoload -Uz compinit && compinit -u -D
show() {{ print -r -- "$BUFFER" >>{folder}/lines; zle kill-buffer }}
zle -N show
bindkey '^T' show
bindkey '^I' complete-word
unsetopt beep list_beep auto_menu
LISTMAX=0
print ready >>{folder}/lines
"""


class Shells(process.Process):
    CONFIG = "[vm vm1]\n[vm win-10]\n[device keyboard]\nmatch = id=046d:c31c\n"

    def setUp(self):
        super().setUp()
        self.host.add("1-1", "046d:c31c", "Logitech", "USB Keyboard", "ABC")
        self.host.add("1-2", "0781:5567", "SanDisk", "Cruzer: blue", "DEF")
        self.start(self.CONFIG)
        # As installed, but for where.
        self.shells = self.folder / "shells"
        self.shells.mkdir()
        for name in ("usbroutectl.fish", "_usbroutectl"):
            text, found = re.subn(r"\S+/usbrouted/complete", str(SOURCE / "ctl" / "completion" / "complete"), (BUILD / "ctl" / name).read_text())
            self.assertEqual(found, 1, name)
            (self.shells / name).write_text(text)
        self.env = {**os.environ, "PATH": f"{pathlib.Path(process.CTL).resolve().parent}:{os.environ['PATH']}", "HOME": str(self.shells),
                    "LC_ALL": "C.UTF-8", "TERM": "dumb"}
        self.env.pop("LD_PRELOAD", None)

    def commands(self):
        helped = subprocess.run([process.CTL, "--help"], capture_output=True, text=True, check=True).stdout
        return set(re.findall(r"^  ([a-z][a-z-]+)\b", helped.split("Commands:")[1].split("Options:")[0], re.M))

    @unittest.skipUnless(shutil.which("fish"), "no fish here")
    def test_fish(self):
        def offered(line):
            done = subprocess.run(["fish", "--no-config", "-c", f"source {self.shells}/usbroutectl.fish; complete -C '{line}'"],
                                  capture_output=True, text=True, env=self.env, timeout=SECONDS)
            self.assertEqual(done.stderr, "", line)
            return {one.split("\t")[0] for one in done.stdout.splitlines()}

        socket = f"usbroutectl --socket {self.control} "
        self.assertEqual(offered("usbroutectl "), self.commands())
        self.assertEqual(offered("usbroutectl at"), {"attach"})
        self.assertEqual(offered(socket + "attach "), {"keyboard", "port=1-2"})
        self.assertEqual(offered(socket + "attach --wait 3 keyboard "), {"vm1", "win-10"})
        self.assertEqual(offered(socket + "switch keyboard "), {"vm1", "win-10", "next", "prev", "host"})
        self.assertEqual(offered(socket + "detach keyboard "), set())
        self.assertLessEqual({"--for", "--dry-run", "--until-unplug"}, offered(socket + "detach --"))
        self.assertNotIn("--unmount", offered(socket + "detach --"))
        self.assertEqual(offered("usbroutectl vm "), {"xml", "dts", "add", "agent"})
        (self.shells / "a.rules").touch()
        self.assertIn(f"{self.shells}/a.rules", offered(f"usbroutectl policy test {self.shells}/a"))
        # No daemon: nothing is offered, and nothing is said.
        self.assertEqual(offered(f"usbroutectl --socket {self.shells}/none attach "), set())

    @unittest.skipUnless(shutil.which("zsh"), "no zsh here")
    def test_zsh(self):
        lines, setup = self.shells / "lines", self.shells / ".zshrc"
        setup.write_text(ZSH.format(folder=self.shells))
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.shells)
            os.execvpe("zsh", ["zsh", "--no-globalrcs", "-i"], {**self.env, "ZDOTDIR": str(self.shells)})
        self.addCleanup(os.waitpid, pid, 0)
        self.addCleanup(os.kill, pid, 9)
        os.set_blocking(terminal, False)
        said = b""

        def shown(n):
            """The nth line that the shell showed."""
            nonlocal said
            deadline = time.monotonic() + SECONDS
            while True:
                try:
                    said += os.read(terminal, 65536)
                except BlockingIOError:
                    pass
                have = lines.read_text().splitlines() if lines.exists() else []
                if len(have) > n:
                    return have[n]
                self.assertLess(time.monotonic(), deadline, said)
                time.sleep(0.02)

        self.assertEqual(shown(0), "ready")
        n = 0
        socket = f"usbroutectl --socket {self.control} "
        for typed, completed in (("usbroutectl at", "usbroutectl attach "),
                                 ("usbroutectl ve", "usbroutectl version "),
                                 (socket + "attach k", socket + "attach keyboard "),
                                 (socket + "attach p", socket + "attach port=1-2 "),
                                 (socket + "attach --wait 3 keyboard w", socket + "attach --wait 3 keyboard win-10 "),
                                 (socket + "switch keyboard n", socket + "switch keyboard next "),
                                 (socket + "attach --unt", socket + "attach --until-unplug "),
                                 (socket + "detach --unm", socket + "detach --unm"),
                                 ("usbroutectl vm x", "usbroutectl vm xml "),
                                 ("usbroutectl policy test ./.zs", "usbroutectl policy test ./.zshrc "),
                                 (f"usbroutectl --socket {self.shells}/none attach k", f"usbroutectl --socket {self.shells}/none attach k")):
            n += 1
            os.write(terminal, typed.encode() + b"\t\x14")
            self.assertEqual(shown(n).rstrip(), completed.rstrip(), said)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=2)
