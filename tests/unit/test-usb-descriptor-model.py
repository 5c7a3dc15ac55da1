#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Our reader of descriptors against a model of Linux's (tests/lab/lab/descriptors.py): each device of a list, and many
more with some bytes changed. What Linux accepts must be read, and as Linux reads it, from sysfs and from usbfs.

    test-usb-descriptor-model.py USB-DESCRIBE [COUNT [SEED]]
"""

import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lab"))
from lab.descriptor_shapes import shapes  # noqa: E402
from lab.descriptors import Linux, mutations, odd, recorded  # noqa: E402

COUNT, SEED = 20000, 8


def ambiguous(name, linux):
    """Where the bytes alone don't tell how they are divided: several configurations, and one that isn't as long as it says. None
    of those that were written by hand."""
    return "#" in name and len(linux.configurations) > 1 and linux.sysfs != linux.usbfs


def hidden(linux, form, answer):
    """usbfs shows nothing of a configuration that says it is shorter than its own descriptor, and Linux sees no interfaces
    in it."""
    return form == "usbfs" and linux.hidden and answer.startswith("none of")


def main():
    program = sys.argv[1]
    count, seed = (int(word) for word in (sys.argv[2:4] + [COUNT, SEED][len(sys.argv) - 2:]))
    blobs = recorded() + odd() + shapes() + list(mutations(count, seed))
    questions, wanted, refused, unclear = [], [], 0, 0
    for blob in blobs:
        linux = Linux(blob)
        if linux.refused:
            refused += 1
            continue
        for value in {value for value, _ in linux.configurations}:
            for form, raw in (("sysfs", linux.sysfs), ("usbfs", linux.usbfs)):
                questions.append(f"{form} {value} {raw.hex()}\n")
                wanted.append((blob.name, form, value, linux.said(value), linux))
    answers = subprocess.run([program], input="".join(questions), capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(answers) == len(wanted), f"{len(answers)} answers to {len(wanted)} questions"
    wrong = []
    for answer, (name, form, value, said, linux) in zip(answers, wanted):
        if answer == said or (said == f"{value} =" and hidden(linux, form, answer)):
            continue
        if ambiguous(name, linux):
            unclear += 1
        else:
            wrong.append(f"{name}, configuration {value} in {form}\n    Linux: {said}\n    ours:  {answer}")
    print(f"{len(blobs)} devices, seed {seed}: Linux refuses {refused}; {len(wanted)} configurations read, {len(wrong)} otherwise than by "
          f"Linux, {unclear} that can't be told apart by their bytes")
    for text in wrong[:10]:
        print(text)
    sys.exit(1 if wrong else 0)


main()
