"""The Debian packages of this checkout, built in a bare root of a release. Owns CACHE/packages/RELEASE:

    bare    debootstrap's root, as it came; never changed
    build   that, with what building needs
    debs    the packages, and in debs/next the same ones with a higher version, to upgrade to
    NAME    roots that are made of bare for others (root())

What is built is known by its source's bytes, and built again when one differs.
"""

import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

from . import LabError, bare, guide, paths, sources

NAMES = ("usbrouted", "usbrouted-libvirt", "usbrouted-cockpit", "usbroute-agent", "usbroute-agent-static", "usbrouted-doc")
# Those that are the same file for every architecture.
INDEPENDENT = {"usbrouted-cockpit", "usbrouted-doc"}
SOURCE = "/src/usbrouted"
APT = "apt-get -q -y --no-install-recommends -o Dpkg::Use-Pty=0"
BUILDERS = "build-essential lintian fakeroot"
TUTORIAL = paths.REPO / "docs" / "tutorial.md"
# What a person answers to apt.
ANSWERS = 'APT::Get::Assume-Yes "true";\nAPT::Install-Recommends "false";\n'
# What the next version is called: one that any version of this checkout sorts before.
NEXT = "+next"


def source_files():
    """What the package is built of: what git keeps, as it stands in the checkout, but for the tests' programs."""
    said = sources.run("git", "-C", str(paths.REPO), "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = sorted(name for name in said.split("\0") if name and not name.startswith(("tests/", ".")))
    return [name for name in names if (paths.REPO / name).is_file()]


class Packages:
    """packages = Packages("bookworm"); packages.debs()"""

    def __init__(self, release):
        if os.geteuid() != 0:
            raise LabError("packages are built in a root of their own, which needs root")
        self.release = release
        self.folder = paths.cache("packages", release)
        self._lock = open(self.folder / "lock", "w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def run(self, root, words, log=None, timeout=3600):
        """A command in a root, its output to a file (added to it) or returned; it must succeed."""
        words = ["sh", "-ec", words] if isinstance(words, str) else words
        argv, environment = bare.command(root, words)
        environment["DEBIAN_FRONTEND"] = "noninteractive"
        where = log or self.folder / "last.log"
        with open(where, "ab" if log else "wb") as out:
            done = subprocess.run(argv, cwd="/", env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=timeout)
        text = pathlib.Path(where).read_text(errors="replace")
        if done.returncode:
            tail = "\n".join(text.splitlines()[-25:])
            raise LabError(f"Debian {self.release}: `{' '.join(words)[:200]}` ended with {done.returncode}:\n{tail}")
        return text

    def root(self, name, packages="", satisfy="", fresh=False):
        """A root of this name: bare, with these packages more, and with what these dependencies name; made where it is missing,
        and anew where it must be fresh."""
        plain = bare.make(self.folder / "bare", self.release)
        root, ready, holds = self.folder / name, self.folder / f"{name}.ready", f"{packages}; {satisfy}"
        if not fresh and ready.exists() and ready.read_text() == holds:
            return root
        ready.unlink(missing_ok=True)
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(["cp", "-a", "--reflink=auto", plain, root], check=True)
        if packages:
            self.run(root, f"apt-get -q update; {APT} install {packages}" + (f"; {APT} satisfy '{satisfy}'" if satisfy else ""), log=self.folder / f"{name}.log")
        ready.write_text(holds)
        return root

    def debs(self):
        """The folder with the packages of the checkout as it is; built where they are not."""
        digest = self._digest()
        folder = self.folder / "debs"
        stamp = folder / "source"
        if stamp.exists() and stamp.read_text() == digest:
            return folder
        root = self.root("build", BUILDERS)
        self._build(root, source_files(), folder)
        self._next(root, folder)
        stamp.write_text(digest)
        return folder

    def cross(self, architecture):
        """The packages of another architecture, built by this one's compiler, with lintian; the folder with them."""
        digest, folder = self._digest(), self.folder / f"debs-{architecture}"
        stamp = folder / "source"
        if stamp.exists() and stamp.read_text() == digest:
            return folder
        root = self.root(f"cross-{architecture}", f"{BUILDERS} crossbuild-essential-{architecture}")
        log = self.folder / f"cross-{architecture}.log"
        log.unlink(missing_ok=True)
        self._source(root, source_files())
        self.run(root, f"dpkg --add-architecture {architecture}; apt-get -q update; cd {SOURCE}; {APT} build-dep -a {architecture} ./", log)
        self.run(root, f"cd {SOURCE}; DEB_BUILD_OPTIONS=noautodbgsym nice -n 19 dpkg-buildpackage -a{architecture} -us -uc -B", log)
        self.run(root, f"cd /src; lintian --allow-root --fail-on error,warning --info *_{architecture}.changes", log)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for deb in (root / "src").glob(f"*_{architecture}.deb"):
            shutil.copy(deb, folder)
        stamp.write_text(digest)
        return folder

    @staticmethod
    def _digest():
        """Of all that the packages are made of."""
        digest = hashlib.sha256()
        for name in source_files():
            digest.update(name.encode() + b"\0" + (paths.REPO / name).read_bytes())
        return digest.hexdigest()

    @staticmethod
    def _source(root, names):
        """The source, in a root."""
        inside = root / SOURCE.lstrip("/")
        shutil.rmtree(inside.parent, ignore_errors=True)
        inside.mkdir(parents=True)
        for name in names:
            (inside / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(paths.REPO / name, inside / name)
        # tests/meson.build is read, and asks for nothing where there are to be no tests.
        (inside / "tests").mkdir(exist_ok=True)
        shutil.copy(paths.REPO / "tests" / "meson.build", inside / "tests" / "meson.build")

    def _build(self, root, names, folder):
        log = self.folder / "build.log"
        log.unlink(missing_ok=True)
        print(f"packages: building them on Debian {self.release}, log: {log}", flush=True)
        self._source(root, names)
        (root / "etc" / "apt" / "apt.conf.d" / "81usbrouted").write_text(ANSWERS)
        # By the tutorial's own words.
        (block,) = [block for block in guide.blocks(TUTORIAL) if block.does == "builds"]
        self.run(root, f"apt-get -q update; export DEB_BUILD_OPTIONS=noautodbgsym; cd {SOURCE}; {block.text}", log)
        # An error or a warning that no override explains ends it.
        self.run(root, "cd /src; lintian --allow-root --fail-on error,warning --info *.changes", log)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for deb in (root / "src").glob("*.deb"):
            shutil.copy(deb, folder)
        have = sorted(deb.name.split("_")[0] for deb in folder.glob("*.deb"))
        if have != sorted(NAMES):
            raise LabError(f"built are {', '.join(have)}; expected {', '.join(sorted(NAMES))}")

    def _next(self, root, folder):
        """The same packages as a later version."""
        self.run(root, f"""mkdir /src/next; cd /src
            for deb in *.deb; do
                rm -rf tree; dpkg-deb -R "$deb" tree
                sed -i -e 's/^\\(Version: .*\\)$/\\1{NEXT}/' -e '/^Depends:/s/\\(usbrouted (= [^)]*\\))/\\1{NEXT})/' tree/DEBIAN/control
                dpkg-deb --root-owner-group -b tree next
            done""")
        shutil.rmtree(folder / "next", ignore_errors=True)
        shutil.copytree(root / "src" / "next", folder / "next")

    def version(self):
        return re.search(r"\((\S+)\)", (paths.REPO / "debian" / "changelog").read_text())[1]
