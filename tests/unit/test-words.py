#!/usr/bin/python3
"""Every option and command that a program's help has is in its manual, and the other way round; the shell's completion of
usbroutectl offers what its help has; wrong words are answered alike by all. Each command's heading
in the manual is its line in the help. usage: test-words.py SOURCE PROGRAM…"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE, PROGRAMS = pathlib.Path(sys.argv[1]), {pathlib.Path(p).name: p for p in sys.argv[2:]}
OPTION = re.compile(r"--[a-z][a-z-]+")
# Of other programs, named on that page.
OTHERS = {"usbrouted": {"--force", "--unmount", "--lan", "--now", "--tcp-port", "--privileged", "--pid", "--backend", "--address"},
          "usbrouted-vm": {"--release"}}
EVERYWHERE = {"--json", "--host", "--socket", "--help", "--version"}


def says(*words, **options):
    return subprocess.run(words, capture_output=True, text=True, check=True, **options).stdout


def ctl_help():
    """Of each command its help."""
    ctl = PROGRAMS["usbroutectl"]
    listed = says(ctl, "--help").split("Commands:")[1].split("Options:")[0]
    return {c: says(ctl, "help", c) for c in re.findall(r"^  ([a-z][a-z-]+)\b", listed, re.M)}


def page(name):
    """A manual's text, without what makes words bold or underlined."""
    (source,) = (SOURCE / "docs" / "man").glob(name + ".[18].scd")
    return re.sub(r"\\(.)|(?<!\w)_|_(?!\w)|\*", r"\1", source.read_text())


def alternatives(usage):
    """vm xml VM | add DOMAIN [--apply]: one heading each."""
    command, _, rest = usage.partition(" ")
    return {f"{command} {one}".strip() for one in re.split(r" \| (?=[a-z])", rest)}


class Words(unittest.TestCase):
    def test_manuals(self):
        for name, program in PROGRAMS.items():
            manual = page(name)
            helped = says(program, "--help")
            if name == "usbroutectl":
                for command, text in ctl_help().items():
                    helped += text
                    headings = re.findall(rf"(?m)^{command}\b.*$", manual.split("# COMMANDS")[1].split("\n# ")[0])
                    usage = text.splitlines()[0].split(" [--socket PATH] ", 1)[1]
                    self.assertEqual(alternatives(usage), set(headings), command)
            self.assertEqual(set(OPTION.findall(manual)) - OTHERS.get(name, set()), set(OPTION.findall(helped)), name)

    def test_wrong_words(self):
        """Every program says what is wrong with an option, and where it is written how to type it: exit status 2."""
        for name, program in PROGRAMS.items():
            if name == "usbrouted-vm":  # its one word is its VM's name
                continue
            helped = says(program, "--help")
            wrong = [(["--no-such-word"], "--no-such-word: there is no such option"), (["-x"], "-x: there is no such option")]
            for option, argument in re.findall(r"(?m)^  (--[a-z-]+)( [A-Z0-9]+)?", helped):
                wrong.append(([option + "x"], f"{option}x: there is no such option; did you mean {option}?"))
                wrong.append(([option], f"{option}: expected ") if argument else
                             ([option + "=3"], f'{option}: expected nothing after it; found "{option}=3"'))
            for words, said in wrong:
                done = subprocess.run([program, *words], capture_output=True, text=True)
                self.assertEqual((done.returncode, done.stdout), (2, ""), (name, words, done.stderr))
                self.assertRegex(done.stderr, rf"^(error\[usage\]|{name}): {re.escape(said)}", (name, words))
                self.assertIn(f"\n  try: {name} --help\n", done.stderr)

    def test_exit_statuses(self):
        """Each status of the help is in the manual's EXIT STATUS, and the other way round."""
        helped = says(PROGRAMS["usbroutectl"], "--help").split("Exit status:")[1]
        manual = page("usbroutectl").split("# EXIT STATUS\n")[1].split("\n# ")[0]
        self.assertEqual(re.findall(r"(?m)^(\d)$", manual), re.findall(r"\b(\d) [a-z]", helped))

    def test_completion(self):
        folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        # What there is is made up; how commands are typed is the program's word.
        program = folder / "usbroutectl"
        program.write_text(f"""#!/bin/sh
case $* in
list | vms) printf 'ALIAS ID PORT\\nkeyboard 1:2 1-1\\n- 1:3 1-2\\n' ;;
*) exec {pathlib.Path(PROGRAMS["usbroutectl"]).resolve()} "$@" ;;
esac
""")
        program.chmod(0o755)
        env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
        text = (SOURCE / "ctl" / "completion" / "usbroutectl.bash.in").read_text()
        text = text.replace("@complete@", str(SOURCE / "ctl" / "completion" / "complete"))
        script = text.replace("complete -F _usbroutectl usbroutectl", ":") + r"""
_init_completion() { words=("${line[@]}"); cword=$((${#line[@]} - 1)); cur=${line[cword]}; prev=${line[cword - 1]}; }
__ltrim_colon_completions() { :; }
_filedir() { COMPREPLY=(FILE); }
line=("$@"); COMPREPLY=(); _usbroutectl; printf '%s\n' "${COMPREPLY[@]}"
"""

        def offered(*line):
            return set(says("bash", "-c", script, "bash", "usbroutectl", *line, env=env).split())

        commands = ctl_help()
        self.assertEqual(offered(""), set(commands))
        self.assertEqual(offered("help", ""), set(commands))
        for command, helped in commands.items():
            usage = helped.splitlines()[0].split(f" {command}", 1)[1]
            self.assertEqual(offered(command, "-") - EVERYWHERE, set(OPTION.findall(usage)), command)
            if usage.startswith(" DEVICE"):
                self.assertEqual(offered(command, ""), {"keyboard", "port=1-2"}, command)
            words = re.match(r" (?:DEVICE )?([a-z|A-Z]+)\b", usage)
            for word in words.group(1).split("|") if words else []:
                if word.islower():
                    place = [command] + (["keyboard"] if usage.startswith(" DEVICE") else [])
                    self.assertIn(word, offered(*place, ""), command)
        self.assertEqual(offered("policy", "test", ""), {"FILE"})
        self.assertIn("keyboard", offered("attach", "keyboard", ""))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
