#!/usr/bin/python3
"""`usbroutectl vm agent` with a real qemu-ga, whose guest is a folder: its root has this machine's programs, read-only, and
places of its own for all that is written; it is alone in its namespaces. systemctl there is a script that notes how it is called.
usage: test-vm-agent.py USBROUTED USBROUTECTL MOCK-HOST USBROUTE-AGENT USBROUTED-LIBVIRT|- [TEST…]"""

import base64
import importlib.util
import os
import pathlib
import platform
import shutil
import socket
import subprocess
import sys
import time
import unittest

import proc

AGENT, LIBVIRT = sys.argv[4:6]
sys.argv[4:6] = []
spec = importlib.util.spec_from_file_location("process", pathlib.Path(__file__).with_name("test-control-process.py"))
process = importlib.util.module_from_spec(spec)
spec.loader.exec_module(process)
SECONDS = process.SECONDS
PROGRAM, UNIT = "usr/local/sbin/usbroute-agent", "etc/systemd/system/usbroute-agent.service"
QEMU_GA = shutil.which("qemu-ga", path="/usr/sbin:/usr/bin")
# A root, and a command in it. No modprobe is in there, and no network: what runs there reaches nothing.
ENTER = """\
set -e
root=$1 size=$2
shift 2
cd "$root"
for folder in bin sbin lib lib32 lib64; do
	if [ -L /$folder ]; then cp -P /$folder .; elif [ -d /$folder ]; then mkdir -p $folder; mount --bind -o ro /$folder $folder; fi
done
mkdir -p usr/local usr/sbin programs proc run/fake tmp dev etc/systemd/system
for folder in /usr/*; do
	case ${folder#/usr/} in local | sbin) ;; *) mkdir -p ".$folder"; mount --bind "$folder" ".$folder"; mount -o remount,bind,ro ".$folder" ;; esac
done
mount --bind /usr/sbin programs
mount -o remount,bind,ro programs
for program in /usr/sbin/*; do
	case ${program##*/} in modprobe | usbroute-agent) ;; *) [ -e ".$program" ] || [ -L ".$program" ] || ln -s "/programs/${program##*/}" ".$program" ;; esac
done
[ -z "$size" ] || mount -t tmpfs -o size=$size none usr/local
for node in null zero urandom; do : >dev/$node; mount --bind /dev/$node dev/$node; done
mount -t proc proc proc
exec env -i PATH=/run/fake:/usr/sbin:/usr/bin:/sbin:/bin chroot . "$@"
"""
SYSTEMCTL = """\
#!/bin/sh
echo "$*" >>/run/systemctl.log
[ "$1" != is-active ] || echo active
"""


@unittest.skipUnless(QEMU_GA, "no qemu-ga here: tests/deps installs it")
@unittest.skipIf(os.geteuid(), "a root of its own needs root")
class VmAgent(process.Process):
    def setUp(self):
        super().setUp()
        self.root = self.folder / "root"
        self.root.mkdir()
        self.door = self.root / "run/ga.sock"

    def inside(self, *words, size="", before=()):
        return ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", *before, "sh", "-c", ENTER, "sh", str(self.root), size,
                *words]

    def guest(self, *words, systemd=True, size="", before=()):
        """A guest that runs, with QEMU's guest agent."""
        (self.root / "run/fake").mkdir(parents=True, exist_ok=True)
        if systemd:
            (self.root / "run/systemd/system").mkdir(parents=True, exist_ok=True)
            fake = self.root / "run/fake/systemctl"
            fake.write_text(SYSTEMCTL)
            fake.chmod(0o755)
        log = open(self.folder / "qemu-ga.log", "w+")
        self.addCleanup(log.close)
        self.ga = subprocess.Popen(self.inside("qemu-ga", "-m", "unix-listen", "-p", "/run/ga.sock", "-t", "/run", "-f", "/run/ga.pid",
                                               *words, size=size, before=before), stdout=log, stderr=log)
        self.addCleanup(self.ga.wait, SECONDS)
        self.addCleanup(self.ga.kill)
        end = time.monotonic() + SECONDS
        while not self.door.exists():
            self.assertIsNone(self.ga.poll(), (self.folder / "qemu-ga.log").read_text())
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def vm_agent(self, *words, status=0, file=AGENT):
        words = ["vm", "agent", "vm1", *words, *(["--file", str(file)] if file else [])]
        if not {"--script", "--cloud-init", "--connect"} & set(words):
            words += ["--guest-agent", str(self.door)]
        got, out, err = self.ctl(*words)
        self.assertEqual(got, status, out + err)
        return out if not status else err

    def processes(self):
        """Agents that run in the guest."""
        found = []
        for pid in proc.every():
            try:
                if proc.name(pid) == "usbroute-agent" and os.path.samefile(f"/proc/{pid}/root", self.root):
                    found.append(str(pid))
            except (FileNotFoundError, ProcessLookupError):
                pass
        return found

    def there(self):
        program = self.root / PROGRAM
        self.assertEqual(program.read_bytes(), pathlib.Path(AGENT).read_bytes())
        self.assertEqual(program.stat().st_mode & 0o7777, 0o755)
        self.assertFalse(list(program.parent.glob(".*")))
        self.assertFalse((self.root / "run/usbroute-agent.new").exists())

    def gone(self):
        self.assertFalse((self.root / PROGRAM).exists())
        self.assertFalse((self.root / UNIT).exists())
        self.assertFalse((self.root / "run/usbroute-agent.new").exists())

    def test_a_guest_with_systemd(self):
        self.start()
        self.guest()
        said = self.vm_agent()
        self.there()
        unit = self.root / UNIT
        self.assertIn("\nExecStart=/usr/local/sbin/usbroute-agent --no-modprobe\n", unit.read_text())
        self.assertEqual(unit.stat().st_mode & 0o7777, 0o644)
        calls = ["daemon-reload", "enable usbroute-agent.service", "restart usbroute-agent.service", "is-active usbroute-agent.service"]
        self.assertEqual((self.root / "run/systemctl.log").read_text().splitlines(), calls)
        self.assertIn(f", {platform.machine()}\n", said)
        self.assertIn("written and read back: /usr/local/sbin/usbroute-agent", said)
        self.assertIn("usbroute-agent.service is enabled and runs", said)
        self.assertIn("its card is not connected", said)
        # What it says undoes it, does.
        undo = said.split("to undo it, as root in the guest: ")[1].splitlines()[0]
        subprocess.run(self.inside("sh", "-ec", undo), check=True, timeout=SECONDS)
        self.gone()

    def test_once_more_over_an_older_one(self):
        self.start()
        self.guest()
        self.vm_agent()
        for name in PROGRAM, UNIT:
            (self.root / name).write_text("an older one, and a longer one than that " * 100000)
        self.vm_agent()
        self.there()
        self.assertIn("ExecStart=", (self.root / UNIT).read_text())

    def test_a_guest_without_systemd(self):
        self.start()
        self.guest(systemd=False)
        said = self.vm_agent()
        self.there()
        self.assertFalse((self.root / UNIT).exists())
        self.assertIn("until the guest's next boot", said)
        self.wait(self.processes)
        first = self.processes()
        self.vm_agent()
        self.wait(lambda: len(self.processes()) == 1 and self.processes() != first)

    def test_a_guest_with_the_package(self):
        self.start()
        self.guest()
        program = self.root / "usr/sbin/usbroute-agent"
        program.write_text("#!/bin/sh\necho usbroute-agent 0.0.9\n")
        program.chmod(0o755)
        said = self.vm_agent()
        self.gone()
        self.assertIn("nothing is written", said)
        self.assertIn("restart usbroute-agent.service\n", (self.root / "run/systemctl.log").read_text())
        self.assertIn("to undo it, as root in the guest: systemctl disable --now usbroute-agent\n", said)

    def test_what_somebody_left_unsaid(self):
        """Half a command of whoever was connected before."""
        self.start()
        self.guest()
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(str(self.door))
            other.sendall(b'{"execute":"guest-pi')
        self.vm_agent()
        self.there()

    def test_what_it_may_not_do(self):
        self.start()
        for word in "guest-exec", "guest-file-open":
            with self.subTest(word):
                self.guest("-b", word)
                said = self.vm_agent(status=1)
                self.assertRegex(said, r"^error\[failed\]: vm1: .* has been disabled")
                self.assertIn("block-rpcs", said)
                self.assertIn("usbroutectl vm agent vm1 --script | ssh root@GUEST sh", said)
                self.gone()
                self.ga.kill()
                self.ga.wait(SECONDS)
                self.door.unlink()

    def test_no_room_in_the_guest(self):
        self.start()
        self.guest(size="64k")
        self.assertRegex(self.vm_agent(status=1), r"putting the agent into its place: .*No space left")
        self.gone()

    @unittest.skipUnless(platform.machine() == "x86_64", "setarch has another machine's name there")
    def test_another_machine(self):
        self.start()
        self.guest(before=["setarch", "i686"])
        self.assertIn('no agent is built for "i686"', self.vm_agent(status=1))
        self.gone()

    def test_a_program_of_another_machine(self):
        self.start()
        self.guest()
        other = self.folder / "other"
        data = bytearray(pathlib.Path(AGENT).read_bytes())
        data[18:20] = (8).to_bytes(2, "little")     # EM_MIPS
        for content in data, b"#!/bin/sh\n", b"":
            other.write_bytes(content)
            self.assertIn("it is no program for", self.vm_agent(status=1, file=other))
        self.assertIn("No such file", self.vm_agent(status=1, file=self.folder / "none"))
        self.gone()

    def test_nobody_answers(self):
        self.start()
        self.assertEqual(self.ctl("vm", "agent", "vm9")[0], 3)
        (self.root / "run").mkdir()
        said = self.vm_agent(status=1)
        self.assertIn("QEMU's guest agent does not answer in its guest: No such file", said)
        self.assertIn("apt install qemu-guest-agent", said)
        self.assertIn("usbroutectl vm agent vm1 --script | ssh root@GUEST sh", said)
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(str(self.door))
            silent.listen()
            self.assertIn("no agent runs in the guest, or another program is connected there", self.vm_agent(status=1))

    @unittest.skipIf(LIBVIRT == "-", "built without libvirt")
    def test_by_libvirt(self):
        """Its test driver has no guest agent: what it says comes out here. A domain that answers is the lab's."""
        (self.folder / "domain").write_text("<domain type='test'><name>vm1</name><memory>65536</memory><os><type>hvm</type></os></domain>")
        (self.folder / "node").write_text(f"<node><domain file='{self.folder}/domain'/></node>")
        self.start("[vm vm1]\n[vm vm2]\n")
        os.environ["USBROUTED_LIBVIRT"] = LIBVIRT
        self.addCleanup(os.environ.pop, "USBROUTED_LIBVIRT")
        words = ["--connect", f"test://{self.folder}/node"]
        said = self.vm_agent(*words, status=1)
        self.assertRegex(said, r"^error\[failed\]: vm1: QEMU's guest agent does not answer in its guest: .*not supported")
        self.assertIn("--script | ssh", said)
        got, out, err = self.ctl("vm", "agent", "vm2", *words)
        self.assertEqual((got, out), (3, ""))
        self.assertEqual(err, f'error[not-found]: libvirt at test://{self.folder}/node has no domain "vm2"\n')
        os.environ["USBROUTED_LIBVIRT"] = "/nowhere"
        self.assertIn("usbrouted-libvirt is not installed", self.vm_agent(*words, status=1))

    def test_as_a_script(self):
        self.start()
        script = self.vm_agent("--script")
        for systemd in False, True:
            shutil.rmtree(self.root)
            (self.root / "run/fake").mkdir(parents=True)
            if systemd:
                (self.root / "run/systemd/system").mkdir(parents=True)
                (self.root / "run/fake/systemctl").write_text(SYSTEMCTL)
                (self.root / "run/fake/systemctl").chmod(0o755)
            done = subprocess.run(self.inside("sh"), input=script, capture_output=True, text=True, timeout=SECONDS)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.there()
            self.assertEqual((self.root / UNIT).exists(), systemd)
        self.assertIn("restart usbroute-agent.service\n", (self.root / "run/systemctl.log").read_text())
        # Cut off on its way, it leaves no agent.
        shutil.rmtree(self.root)
        self.root.mkdir()
        done = subprocess.run(self.inside("sh"), input=script[:len(script) // 2], capture_output=True, text=True, timeout=SECONDS)
        self.assertNotEqual(done.returncode, 0)
        self.assertFalse((self.root / PROGRAM).exists())

    def test_as_cloud_init_takes_it(self):
        try:
            import yaml
        except ImportError:
            self.skipTest("no yaml here: tests/deps installs it")
        self.start()
        text = self.vm_agent("--cloud-init")
        self.assertTrue(text.startswith("#cloud-config\n"))
        said = yaml.safe_load(text)
        self.assertEqual(set(said), {"write_files", "runcmd"})
        files = {one["path"]: one for one in said["write_files"]}
        program, unit = files["/" + PROGRAM], files["/" + UNIT]
        self.assertEqual((program["permissions"], program["encoding"], unit["permissions"]), ("0755", "b64", "0644"))
        self.assertEqual(base64.b64decode(program["content"]), pathlib.Path(AGENT).read_bytes())
        self.guest()
        self.vm_agent()
        self.assertEqual(unit["content"], (self.root / UNIT).read_text())
        self.assertEqual(said["runcmd"], [["systemctl", *line.split()] for line in
                                          (self.root / "run/systemctl.log").read_text().splitlines()[:3]])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]])
