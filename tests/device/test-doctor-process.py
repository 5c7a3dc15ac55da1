#!/usr/bin/python3
"""`usbroutectl doctor` finds each fault that is planted, by its check's name, and names what mends it; where none is, it
finds none. Real daemons; devices that umockdev pretends; a virtual machine's front-end; libvirt's test driver.
usage: test-doctor-process.py USBROUTED USBROUTECTL MOCK-HOST HOSTILE-FRONTEND USBROUTED-LIBVIRT|- [TEST…]"""

import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__)
FRONTEND, LIBVIRT = sys.argv[4:6]
sys.argv[4:6] = []


def module(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


process = module("process", HERE.with_name("test-control-process.py"))
raw = module("raw_frontend", FRONTEND)
DOMAIN = """<domain type='test'><name>{name}</name><memory>65536</memory><vcpu>1</vcpu><os><type>hvm</type></os>
{more}</domain>"""


class Doctor(process.Process):
    CONFIG = "[vm vm1]\n"

    def start(self, config=CONFIG, group="root"):
        super().start(f"socket-group = {group}\n{config}")

    def doctor(self, *words, status=None, prefix=(), env=None):
        """What is wrong, as {check: found}; nobody's processes but those in there are seen."""
        done = subprocess.run([*(prefix or ["unshare", "--pid", "--fork", "--mount-proc"]), process.CTL, "--json", "--socket",
                               self.control, "doctor", *words], capture_output=True, text=True, timeout=process.SECONDS, env=env)
        checks = json.loads(done.stdout)["checks"]
        found = {c["name"]: c["found"] for c in checks if c["verdict"] != "good"}
        self.assertEqual(done.returncode, (9 if found else 0) if status is None else status, done.stderr)
        for c in checks:
            self.assertEqual(c["verdict"] == "good", c["mend"] is None, c)
        return found

    def sysfs(self, name, text):
        path = pathlib.Path(self.host.folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def device_folder(self, busid):
        (folder,) = pathlib.Path(self.host.folder, "sys/devices").rglob(busid)
        return folder

    def test_where_all_is_well_nothing_is_found(self):
        self.host.add("1-1", serial="1")
        self.start()
        self.assertEqual(self.doctor(), {})
        done = self.ctl("doctor")[1]
        for check in "kernel", "configuration", "socket-group", "usb-memory", "card", "rights":
            self.assertRegex(done, rf"(?m)^{check} +good ")
        self.assertEqual(self.ctl("doctor", "nobody")[0], 3)

    def test_kernel_too_old(self):
        self.PREFIX = ["setarch", "--uname-2.6"]
        self.start()
        self.assertIn("too old", self.doctor()["kernel"])

    def test_no_vm(self):
        self.start("")
        self.assertEqual(set(self.doctor()), {"configuration"})

    def test_no_group(self):
        self.start(group="no-such-group")
        self.assertIn('"no-such-group"', self.doctor()["socket-group"])

    def test_little_memory_for_transfers(self):
        self.sysfs("sys/module/usbcore/parameters/usbfs_memory_mb", "4\n")
        self.start()
        self.assertIn("usbfs_memory_mb is 4", self.doctor()["usb-memory"])

    def test_a_port_that_flaps(self):
        self.start()
        for n in range(4):
            self.assertNotIn("flapping", self.doctor())
            self.host.add("1-1", serial="1")
            self.wait(lambda: self.call("List")[0]["parameters"]["devices"])
            self.remove("1-1")
        self.assertIn("port 1-1: its device was unplugged 4 times", self.doctor()["flapping"])

    def test_a_vm_that_is_off(self):
        self.host.add("1-1", serial="1")
        self.start("[vm vm1]\n[vm vm2]\n")
        self.assertEqual(self.doctor(), {})
        self.assertEqual(self.ctl("attach", "1-1", "vm1", "--no-wait")[0], 0)
        self.assertIn("vm1: its card is not connected", self.doctor()["card"])
        # Who asks about one VM hears of that one.
        self.assertIn("vm2: its card is not connected", self.doctor("vm2")["card"])

    def test_memory_that_is_not_shared(self):
        self.start()
        front = raw.Frontend(str(self.folder / "run" / "vm1.sock"))
        front.features()
        front.alive()
        self.assertIn("memory is not shared", self.doctor()["memory"])
        front.close()
        self.wait(lambda: "memory" not in self.doctor())

    def guest(self, config):
        """A guest whose card is up, with whatever is wrong in it."""
        self.start(config)
        front = raw.Frontend(str(self.folder / "run" / "vm1.sock"))
        self.addCleanup(front.close)
        front.start()
        self.wait(lambda: self.call("Vms")[0]["parameters"]["vms"][0]["connected"])
        return front

    @staticmethod
    def send_a_frame(front):
        mac = bytes.fromhex("52540077000d")
        # Who has 10.77.0.1? as somebody asks who has no address yet.
        arp = bytes.fromhex("0001080006040001") + mac + bytes(4) + bytes(6) + bytes((10, 77, 0, 1))
        frame = bytes(12) + b"\xff" * 6 + mac + b"\x08\x06" + arp + bytes(18)
        front.mem[raw.BUFFERS:raw.BUFFERS + len(frame)] = frame
        front.desc(raw.TX, 0, raw.GPA + raw.BUFFERS, len(frame))
        front.post(raw.TX, 0)

    def test_no_agent(self):
        self.guest("[vm vm1]\n")
        self.assertEqual(set(self.doctor()), {"agent"})

    def test_a_mac_that_is_not_its_own(self):
        front = self.guest("[vm vm1]\nmac = 52:54:00:77:00:01\n")
        self.send_a_frame(front)
        self.wait(lambda: "mac" in self.doctor())
        self.assertIn("52:54:00:77:00:0d", self.doctor()["mac"])

    def test_a_mac_that_is_taken(self):
        front = self.guest("[vm vm1]\n[vm vm2]\nmac = 52:54:00:77:00:0d\n")
        self.send_a_frame(front)
        self.wait(lambda: "mac" in self.doctor())
        self.assertIn("the card of vm2", self.doctor()["mac"])

    def test_a_device_that_goes_nowhere(self):
        self.host.add("1-1", serial="1")
        self.host.add("1-2", serial="2")
        self.start("[vm vm1]\n[device keyboard]\nmatch = id=046d:c31c\n")
        self.wait(lambda: len(self.call("List")[0]["parameters"]["devices"]) == 2)
        self.assertIn("ambiguous", self.doctor()["device"])

    def test_a_device_that_may_be_suspended(self):
        self.host.add("1-1", serial="1")
        (self.device_folder("1-1") / "power").mkdir()
        (self.device_folder("1-1") / "power" / "control").write_text("auto\n")
        self.start()
        self.assertEqual(set(self.doctor()), {"autosuspend"})

    def test_a_slow_hub(self):
        self.host.add("1-1.1", serial="1")
        (self.device_folder("1-1.1").parent / "speed").write_text("12\n")
        self.start()
        self.assertEqual(set(self.doctor()), {"hub"})

    def test_two_daemons(self):
        self.start()
        other = self.folder / "other.conf"
        other.write_text(f"[daemon]\nruntime-directory = {self.folder}/run2\nstate-directory = {self.folder}/state2\n")
        script = ('"$1" --user root --config "$2" & one=$!\n'
                  'until [ -S "$3/run2/control" ]; do sleep 0.05; done\n'
                  '"$4" --json --socket "$3/run2/control" doctor >"$3/with-one"\n'
                  'sed "s/run2/run3/; s/state2/state3/" "$2" >"$2.b"\n'
                  '"$1" --user root --config "$2.b" & two=$!\n'
                  'until [ -S "$3/run3/control" ]; do sleep 0.05; done\n'
                  '"$4" --json --socket "$3/run3/control" doctor >"$3/with-two"\n'
                  'kill -INT $one $two; wait $one; wait $two\n')
        subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", script, "sh", process.DAEMON, other, self.folder,
                        process.CTL], stderr=subprocess.DEVNULL, timeout=process.SECONDS, check=False,
                       env={**os.environ, **process.PRELOAD, "UMOCKDEV_DIR": self.host.folder})
        for name, verdict in ("with-one", "good"), ("with-two", "wrong"):
            checks = {c["name"]: c for c in json.loads((self.folder / name).read_text())["checks"]}
            self.assertEqual(checks["daemons"]["verdict"], verdict, checks["daemons"])
        self.assertIn("2 daemons run", checks["daemons"]["found"])

    def test_a_device_that_a_program_has(self):
        self.host.add("1-1", serial="1")
        self.start("[vm vm1]\n[vm vm2]\n")
        # A /dev in which the node is, and a program that has it open, as one that drives the device by usbfs.
        dev = self.folder / "dev"
        (dev / "bus/usb/001").mkdir(parents=True)
        (dev / "bus/usb/001/002").touch()
        (dev / "shm").mkdir()
        script = ('mount --bind /dev/shm "$1/shm"\n'
                  'for n in null urandom; do : >"$1/$n"; mount --bind /dev/$n "$1/$n"; done\n'
                  'mount --rbind "$1" /dev\n'
                  '"$2" 1000 9</dev/bus/usb/001/002 & held=$!\n'
                  'until [ "$(readlink /proc/$held/exe)" != "$(readlink /proc/$$/exe)" ]; do sleep 0.05; done\n'
                  'shift 2; "$@"; status=$?; kill $held; exit $status\n')
        prefix = ["unshare", "--pid", "--fork", "--mount-proc", "--mount", "sh", "-c", script, "sh", dev]
        env = {**os.environ, **process.PRELOAD, "UMOCKDEV_DIR": self.host.folder}
        # A VM's process has another name than its program, and has it open by right.
        ours = self.folder / "vm:vm1"
        shutil.copy(shutil.which("sleep"), self.folder / "usbrouted-vm")
        ours.symlink_to("usbrouted-vm")
        self.assertNotIn("program", self.doctor(prefix=[*prefix, "sleep"], env=env))
        self.assertEqual(self.ctl("attach", "1-1", "vm1", "--no-wait")[0], 0)
        self.assertNotIn("program", self.doctor(prefix=[*prefix, ours], env=env))
        self.assertRegex(self.doctor(prefix=[*prefix, "sleep"], env=env)["program"], r"another program has it open: sleep \(pid \d+\)")
        self.assertIn("program", self.doctor("vm1", prefix=[*prefix, "sleep"], env=env))
        self.assertNotIn("program", self.doctor("vm2", prefix=[*prefix, "sleep"], env=env))

    def test_a_socket_that_apparmor_denies(self):
        self.start("[vm vm1]\n[vm vm2]\n")
        # A /dev whose log of the kernel is this one.
        dev = self.folder / "dev"
        (dev / "shm").mkdir(parents=True)
        line = ('6,1,2,-;audit: type=1400 audit(1.2:3): apparmor="{}" operation="connect" class="file" profile="libvirt-1" '
                'name="{}" pid=7 comm="qemu-system-x86" requested_mask="wr" denied_mask="wr"\n')
        script = ('mount --bind /dev/shm "$1/shm"\n'
                  'for n in null urandom; do : >"$1/$n"; mount --bind /dev/$n "$1/$n"; done\n'
                  'mount --rbind "$1" /dev\n'
                  'shift; exec "$@"\n')
        prefix = ["unshare", "--pid", "--fork", "--mount-proc", "--mount", "sh", "-c", script, "sh", dev]
        run = self.folder / "run"
        (dev / "kmsg").write_text(line.format("ALLOWED", run / "vm1.sock") + line.format("DENIED", "/etc/passwd"))
        self.assertNotIn("apparmor", self.doctor(prefix=prefix))
        (dev / "kmsg").write_text(line.format("DENIED", run / "vm2.sock"))
        self.assertIn("vm2: AppArmor has kept its virtual machine from", self.doctor(prefix=prefix)["apparmor"])
        self.assertIn("apparmor", self.doctor("vm2", prefix=prefix))
        self.assertNotIn("apparmor", self.doctor("vm1", prefix=prefix))

    @unittest.skipIf(LIBVIRT == "-", "built without libvirt")
    def test_a_domain_without_shared_memory_or_without_the_card(self):
        shared = "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"
        for name, more in ("plain", ""), ("shared", shared):
            (self.folder / name).write_text(DOMAIN.format(name=name, more=more))
        (self.folder / "node").write_text("<node>" + "".join(f"<domain file='{self.folder}/{n}'/>" for n in ("plain", "shared")) +
                                          "</node>")
        self.start('[vm vm1]\ndomain = "plain"\n[vm vm2]\ndomain = "shared"\n')
        env = {**os.environ, "USBROUTED_LIBVIRT": LIBVIRT}
        words = ["--connect", f"test://{self.folder}/node"]
        done = subprocess.run([process.CTL, "--json", "--socket", self.control, "doctor", *words], capture_output=True, text=True,
                              timeout=process.SECONDS, env=env)
        found = [c["found"] for c in json.loads(done.stdout)["checks"] if c["name"] == "domain"]
        self.assertTrue(any("vm1: the memory of its domain" in f for f in found), found)
        self.assertTrue(any("vm1: its domain \"plain\" has no card" in f for f in found), found)
        self.assertFalse(any("vm2: the memory" in f for f in found), found)
        self.assertTrue(any("vm2: its domain \"shared\" has no card" in f for f in found), found)

    def test_no_daemon(self):
        self.start()
        self.stop()
        done = subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", process.CTL, "--socket", self.control, "doctor"],
                              capture_output=True, text=True, timeout=process.SECONDS)
        self.assertEqual(done.returncode, 8)
        self.assertRegex(done.stdout, r"(?m)^daemons +wrong +no daemon runs")
        self.assertIn("error[no-daemon]", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]])
