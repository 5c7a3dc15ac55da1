#!/usr/bin/python3
"""What can't be written to standard output is said, with exit status 1, by every program. usage: test-output.py PROGRAM…"""

import os
import subprocess
import sys

def closed_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def outcome(program, word, way):
    out = {"full": lambda: os.open("/dev/full", os.O_WRONLY), "pipe": closed_pipe}.get(way, lambda: None)()
    done = subprocess.run([program, word], stdout=out, stderr=subprocess.PIPE, text=True, timeout=60, restore_signals=True,
                          preexec_fn=(lambda: os.close(1)) if out is None else None)
    if out is not None:
        os.close(out)
    return done


wrong = 0
for program in sys.argv[1:]:
    for word in ("--version", "--help"):
        for way in ("full", "pipe", "closed"):
            done = outcome(program, word, way)
            if done.returncode != 1 or "standard output can't be written: " not in done.stderr:
                print(f"{program} {word}, {way}: {done.returncode} {done.stderr!r}")
                wrong += 1
sys.exit(wrong != 0)
