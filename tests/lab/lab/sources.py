"""Where this machine gets its packages from, and the same place's packages of another Debian release. Owns no state.

The tree names no package server: what apt is configured with here is taken, with the release's name exchanged.
"""

import os
import pathlib
import re
import subprocess

from . import LabError

# Those that are supported, by the names that package sources have.
RELEASES = {"12": "bookworm", "13": "trixie"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# What of a release is taken, where this machine takes it of its own.
SUITES = ("", "-updates", "-security")
# What the other release's apt has to know of how to get there.
WAYS = re.compile(r"^Acquire::(?:https?::|Retries|Check-Valid-Until|Check-Date|AllowInsecureRepositories|ForceIPv[46]).*;$",
                  re.M)


def own_release():
    """The codename of this machine's release."""
    text = pathlib.Path("/etc/os-release").read_text()
    found = re.search(r'^VERSION_CODENAME="?(\w+)', text, re.M)
    if not found or found[1] not in RELEASES.values():
        raise LabError(f"this machine is no Debian {' or '.join(RELEASES)}: {found[1] if found else 'no codename'} in "
                       "/etc/os-release")
    return found[1]


def other_release():
    return next(name for name in RELEASES.values() if name != own_release())


def run(*words, **how):
    """A command's output; an error names it with its last lines."""
    got = subprocess.run(words, capture_output=True, text=True, **how)
    if got.returncode:
        raise LabError(f"{' '.join(map(str, words))}: " + "\n".join((got.stderr or got.stdout).strip().splitlines()[-5:]))
    return got.stdout


def _targets():
    """apt's package lists, a dictionary each."""
    stanzas = run("apt-get", "indextargets", "Created-By: Packages").split("\n\n")
    return [dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line) for stanza in stanzas if stanza.strip()]


def _option(target):
    """What the source's file says of the key that signs it, as an option of sources.list(5); "" for nothing."""
    file = pathlib.Path(target.get("Sourcesentry", "").rsplit(":", 1)[0])
    text = file.read_text() if file.is_file() else ""
    if re.search(r"^[^#\n]*trusted\s*[=:]\s*yes", text, re.M | re.I):
        return "[trusted=yes] "
    key = re.search(r"^[^#\n]*signed-by\s*[=:]\s*(/[^\s\]]+)", text, re.M | re.I)
    if key or os.path.exists(KEYRING):
        return f"[signed-by={key[1] if key else KEYRING}] "
    return ""


def own_suites():
    """What this machine takes of its own release: (option, URI, suffix of the suite) each, the release itself first."""
    own = own_release()
    targets = _targets()
    if not any("Origin" in target for target in targets):
        run("apt-get", "-q", "update")
        targets = _targets()
    found = []
    for target in targets:
        codename = target.get("Codename") or target.get("Release", "")
        suffix = codename.removeprefix(own)
        if (target.get("Origin", "Debian") == "Debian" and target.get("Component") == "main" and codename.startswith(own)
                and suffix in SUITES):
            one = (_option(target), target["Repo-URI"], suffix)
            if one not in found:
                found.append(one)
    found.sort(key=lambda one: SUITES.index(one[2]))
    if not found or found[0][2]:
        raise LabError(f"apt knows no packages of Debian's own {own} here, and apt-get update brings none: look at "
                       "/etc/apt/sources.list and sources.list.d")
    return found


def lines_for(release):
    """A sources.list of another release, at the servers that this machine uses."""
    return "".join(f"deb {option}{uri} {release}{suffix} main\n" for option, uri, suffix in own_suites())


def lines_for_backports(release):
    option, uri, _ = own_suites()[0]
    return f"deb {option}{uri} {release}-backports main\n"


def ways():
    """The lines of apt.conf that say how this machine gets there (proxies and the like)."""
    return "".join(line + "\n" for line in WAYS.findall(run("apt-config", "dump")))
