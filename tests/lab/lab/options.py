"""A fragment of configs/kernel held against a kernel's configuration. Owns no state.

A fragment's paragraphs have a comment each. "Built in:" begins that of options which must be =y; in another they may be =m.
"arm64:" begins that of options for this machine alone. No comment has the word CONFIG_NAME: merge_config.sh of Linux and of
buildroot look for it by `grep -w`, and take the comment for the option.
"""

import re

OPTION = re.compile(r"^CONFIG_(\w+)=(\S+)$", re.M)


def wrong(fragment, configuration, machine):
    """What in the fragment does not hold in the configuration, a line each; machine is Debian's name of it."""
    has = dict(OPTION.findall(configuration))
    found, seen = [], set()
    for paragraph in re.split(r"\n\s*\n", fragment.strip()):
        lines = paragraph.splitlines()
        comment = " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))
        found += [f"a comment has the word {word}: write it without CONFIG_" for word in re.findall(r"CONFIG_\w+", comment)]
        only = re.match(r"(amd64|arm64): ", comment)
        needed = ["y"] if comment.startswith("Built in: ") else ["y", "m"]
        for line in lines:
            if line.startswith("#"):
                continue
            option = OPTION.fullmatch(line)
            if not option or option[2] != "y":
                found.append(f"`{line}`: expected CONFIG_NAME=y")
            elif option[1] in seen:
                found.append(f"CONFIG_{option[1]} is there twice")
            elif not (only and only[1] != machine) and has.get(option[1]) not in needed:
                found.append(f"CONFIG_{option[1]}: expected {' or '.join(needed)}, found {has.get(option[1], 'nothing')}")
            if option:
                seen.add(option[1])
    return found if seen else ["it has no option"]
