"""Bare roots of Debian (debootstrap, minbase), of either release: made from this machine's own package sources, and entered
with mounts that go with the command. Owns the folders that it is asked for."""

import os
import pathlib
import shutil
import subprocess

from . import LabError, sources

READY = "etc/usbrouted-ready"
# What the command finds of this machine's: devices, processes, and the folders that it is given, each at its own path.
ENTER = """\
set -e
root=$1 folders=$2
shift 2
# A mount point of its own, so that programs may make namespaces in there.
mount --rbind "$root" "$root"
for folder in /proc /sys /dev $folders; do
	mkdir -p "$root$folder"
	mount --rbind "$folder" "$root$folder"
done
here=$PWD
cd "$root"
[ -d "$root$here" ] || here=/
exec chroot "$root" /usr/bin/env -C "$here" "$@"
"""


def make(root, release):
    """A bare root of the release in this folder, made where it is missing."""
    if (root / READY).exists():
        return root
    if not shutil.which("debootstrap"):
        raise LabError("no debootstrap here: tests/deps installs it")
    option, uri, _ = sources.own_suites()[0]
    ways = sources.ways()
    print(f"release: making a bare {release} from this machine's package source, in {root}", flush=True)
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    words = ["debootstrap", "--variant=minbase"]
    if "signed-by=" in option:
        words.append(f"--keyring={option.split('=', 1)[1].strip('] ')}")
    if "trusted=yes" in option:
        words.append("--no-check-gpg")
    if uri.startswith("https:"):
        words.append("--include=ca-certificates")
    with open(f"{root}.log", "wb") as log:
        made = subprocess.run([*words, release, root, uri], stdout=log, stderr=subprocess.STDOUT,
                              env={**os.environ, **_proxy(ways)})
    if made.returncode:
        tail = "\n".join(pathlib.Path(log.name).read_text(errors="replace").splitlines()[-5:])
        raise LabError(f"Debian {release} can't be had from {uri}: debootstrap ended with {made.returncode}:\n{tail}")
    (root / "etc" / "apt" / "sources.list").write_text(sources.lines_for(release))
    (root / "etc" / "apt" / "apt.conf.d" / "80usbrouted").write_text(ways)
    key = pathlib.Path(words[2].split("=", 1)[1]) if "signed-by=" in option else None
    if key and not (root / key.relative_to("/")).exists():
        (root / key.relative_to("/")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(key, root / key.relative_to("/"))
    # Nothing is started in there, whatever a package says.
    policy = root / "usr" / "sbin" / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    (root / READY).touch()
    return root


def _proxy(ways):
    """debootstrap doesn't ask apt: what apt says of proxies, as wget takes it."""
    found = {}
    for line in ways.splitlines():
        for scheme in ("http", "https"):
            if line.startswith(f"Acquire::{scheme}::Proxy "):
                found[f"{scheme}_proxy"] = line.split('"')[1]
    return found


def command(root, words, folders=()):
    """(argv, environment) of a command in the root; these folders of this machine's are there, too."""
    for name in ("resolv.conf", "hosts"):
        if os.path.exists(f"/etc/{name}"):
            shutil.copy(f"/etc/{name}", root / "etc" / name)
    # So that it is named in a shell's error, and perl asks for no locale that is not there.
    environment = {**os.environ, "HOME": "/root", "LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    return (["unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, "sh", str(root),
             " ".join(map(str, folders)), *words], environment)
