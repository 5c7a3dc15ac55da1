"""What /proc tells of processes. Any of them may end while it is read: that is an answer, and no mistake."""

import os
import pathlib

PROC = pathlib.Path("/proc")


def text(*words):
    """Of a file: text(PID, "comm"). None: the process, or the thread, has ended."""
    try:
        return PROC.joinpath(*map(str, words)).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None


def status(*words):
    """Of a process, or of a thread: status(PID, "task", TID). Empty: it has ended."""
    lines = (text(*words, "status") or "").splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def names(*words):
    """Of what is in a folder. Empty: the process has ended."""
    try:
        return os.listdir(PROC.joinpath(*map(str, words)))
    except (FileNotFoundError, ProcessLookupError):
        return []


def every():
    """All processes."""
    return [int(name) for name in names() if name.isdigit()]


def name(pid):
    """Of a process. Empty: it has ended."""
    return (text(pid, "comm") or "").removesuffix("\n")


def program(pid):
    """Which file it runs. None: it has ended, or runs none, as the kernel's do."""
    try:
        return os.readlink(PROC / str(pid) / "exe")
    except OSError:
        return None


def children(pid):
    return [int(child) for child in (text(pid, "task", pid, "children") or "").split()]


def tree(pid):
    """It, its children, and theirs."""
    return [pid, *(one for child in children(pid) for one in tree(child))]


def has_ended(pid):
    """Whether or not its parent has asked after it."""
    return status(pid).get("State", "Z").startswith("Z")
