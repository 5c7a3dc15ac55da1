"""The logs of one run of the board. Owns CACHE/runs/DATE-PID."""

import os
import shutil
import time

from . import paths

KEPT_RUNS = 10


class Logs:
    def __init__(self):
        runs = paths.cache("runs")
        for old in sorted(entry for entry in runs.iterdir() if entry.is_dir())[:-KEPT_RUNS]:
            shutil.rmtree(old, ignore_errors=True)
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        while (runs / name).exists():       # the second boot of one run
            name += "+"
        self.folder = runs / name
        self.folder.mkdir()
        last = runs / "last"
        last.unlink(missing_ok=True)
        last.symlink_to(self.folder.name)

    def file(self, name):
        return self.folder / name

    def append(self, name, data):
        with open(self.file(name), "ab") as log:
            log.write(data)

    def tails(self, lines=15):
        """The last lines of each log, as text."""
        text = ""
        for log in sorted(self.folder.glob("*.log")):
            last = log.read_bytes().decode(errors="replace").splitlines()[-lines:]
            if last:
                text += f"--- {log.name}\n" + "".join(f"    {line}\n" for line in last)
        return text
