"""Which CPUs a bench of frames takes: the load has one, and whatever moves the frames has the other ones."""

import os
import pathlib

GENERATOR_CPU = 1


def others():
    cpus = set(range(os.cpu_count()))
    return cpus - {GENERATOR_CPU} if len(cpus) > 1 else cpus


def boost(pid="self"):
    """Before other work of this machine: niceness does nothing between sessions that have autogroups of their own."""
    try:
        pathlib.Path(f"/proc/{pid}/autogroup").write_text("-15")
    except OSError as error:
        raise SystemExit(f"--boost: {error}")
