#!/usr/bin/python3
"""The real daemon as a process, on this machine's kernel and without any device: starting, stopping,
being killed, being refused. usage: test-daemon-process.py USBROUTED USBROUTECTL"""

import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import proc
from guest_rig import own_network

DAEMON, CTL = sys.argv[1:3]
SECONDS = 60


class Daemon:
    running = None
    words = ["--user", "nobody"]    # the user of an installed daemon need not be there

    def __init__(self, folder, config):
        self.folder = pathlib.Path(folder)
        os.chmod(folder, 0o755)
        self.run = self.folder / "run"
        self.config = self.folder / "usbrouted.conf"
        self.configure(config)

    def configure(self, config):
        self.config.write_text(f"[daemon]\nruntime-directory = {self.run}\n"
                               f"state-directory = {self.folder}/state\n{config}")

    def start(self, stderr=subprocess.PIPE):
        """Start it and wait until it says READY, as systemd would."""
        path = self.folder / "notify"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(path))
            path.chmod(0o777)       # as systemd's
            notify.settimeout(SECONDS)
            self.process = Daemon.running = subprocess.Popen([DAEMON, *self.words, "--config", self.config],
                                            stderr=stderr,
                                            env={**os.environ, "NOTIFY_SOCKET": str(path)})
            while b"READY=1" not in notify.recv(4096):
                pass
        return self

    def stop(self, number=signal.SIGINT):
        """By SIGINT with all of its processes."""
        self.process.send_signal(number)
        if number != signal.SIGINT:
            # The VMs' processes live on, and have its stderr, too.
            return self.process.wait(SECONDS), ""
        _, errors = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, errors.decode() if errors else ""

    def fails(self):
        """Start it where it can't run: its exit status and its words."""
        done = subprocess.run([DAEMON, *self.words, "--config", self.config], capture_output=True, text=True,
                              timeout=SECONDS)
        return done.returncode, done.stderr

    @staticmethod
    def end_running():
        """Whatever is still there of a test's daemon: it would hold this program's stderr."""
        if Daemon.running:
            Daemon.running.kill()
            Daemon.running.wait(SECONDS)
            subprocess.run([*Daemon.running.args, "--release"], capture_output=True, timeout=SECONDS)
            Daemon.running = None

    def release(self):
        """End what a daemon that was killed has left behind."""
        return subprocess.run([DAEMON, "--config", self.config, "--release"], capture_output=True, text=True, timeout=SECONDS)

    @staticmethod
    def until(what):
        end = time.monotonic() + SECONDS
        while True:
            try:
                if what():
                    return
            except (StopIteration, FileNotFoundError):
                pass
            if time.monotonic() > end:
                raise TimeoutError
            time.sleep(0.05)

    def vm_process(self, name):
        """The process of one VM."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for pid in proc.tree(self.process.pid):
                if proc.name(pid) == f"vm:{name}":
                    return pid
            time.sleep(0.05)
        raise TimeoutError

    def serves(self, name):
        """Whether a VM's process answers at its socket (GET_FEATURES) and has begun."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as frontend:
            frontend.settimeout(SECONDS)
            frontend.connect(str(self.run / f"{name}.sock"))
            frontend.sendall(struct.pack("<III", 1, 1, 0))
            return len(frontend.recv(20)) == 20

    def vms(self):
        return [vm["name"] for vm in json.loads(self.ctl("vms")[1])["vms"]]

    def ctl(self, *words):
        done = subprocess.run([CTL, "--json", "--socket", self.run / "control", *words],
                              capture_output=True, text=True, timeout=SECONDS)
        return done.returncode, done.stdout, done.stderr


def network():
    """All that a daemon could change of it. Only a namespace of the test's own changes by nobody else."""
    return [subprocess.run(words, capture_output=True, text=True).stdout
            for words in (["ip", "-d", "link"], ["ip", "route"], ["ip", "-6", "route"],
                          ["ss", "-Hlntuw"])]


def setUpModule():
    own_network()


class Process(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        # A test that failed half-way leaves none behind.
        self.addCleanup(Daemon.end_running)
        self.daemon = Daemon(self.folder.name, "[vm vm1]\n[vm vm2]\naddress = 10.77.0.99\n")

    def test_serves_and_stops(self):
        before = network()
        daemon = self.daemon.start()
        try:
            self.assertEqual(network(), before)
            for name, mode in ("vm1.sock", 0o660), ("vm2.sock", 0o660), ("vm1.line", 0o600), ("control", 0o666):
                found = (daemon.run / name).stat().st_mode
                self.assertTrue(stat.S_ISSOCK(found))
                self.assertEqual(stat.S_IMODE(found), mode, name)
            status, out, _ = daemon.ctl("vms")
            self.assertEqual(status, 0)
            self.assertEqual([(vm["name"], vm["address"], vm["connected"])
                              for vm in json.loads(out)["vms"]],
                             [("vm1", "10.77.0.11", False), ("vm2", "10.77.0.99", False)])
            said = proc.status(daemon.process.pid)
            self.assertEqual((said["CapEff"], said["NoNewPrivs"]), ("0" * 16, "1"))
        finally:
            status, errors = daemon.stop()
        self.assertEqual(status, 0, errors)
        self.assertFalse((daemon.run / "control").exists())
        self.assertFalse((daemon.run / "vm1.sock").exists())

    def test_without_descriptors_connections_wait(self):
        """At the control socket and the helper's: said in the log, and taken when there is room again."""
        self.daemon.words = ["--user", "root"]      # whose limits the test may set
        daemon = self.daemon.start()
        pid, said = daemon.process.pid, []
        late = threading.Timer(SECONDS, daemon.process.kill)     # who says nothing is read no longer
        late.start()
        self.addCleanup(late.cancel)
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        # What it has it keeps, and it gets no more, whatever it has closed meanwhile.
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, hard))
        waiting = []
        for name in "control", "libvirt":
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.addCleanup(client.close)
            client.settimeout(SECONDS)
            client.connect(str(daemon.run / name))
            waiting.append(client)
        for line in daemon.process.stderr:
            if b"a connection has to wait" in line:
                said.append(line.split(b":")[0].split(b">")[-1])
            if len(set(said)) == len(waiting):
                break
        self.assertEqual(set(said), {b"control", b"usbrouted-libvirt"})
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        waiting[0].sendall(b'{"method":"io.usbrouted.Vms"}\0')
        self.assertIn(b"vm1", waiting[0].recv(65536))
        self.assertEqual(daemon.stop()[0], 0)

    def test_sighup_with_errors_changes_nothing(self):
        daemon = self.daemon.start()
        daemon.configure("[vm vm1]\n[what]\n")
        daemon.process.send_signal(signal.SIGHUP)
        self.assertEqual(daemon.vms(), ["vm1", "vm2"])
        status, errors = daemon.stop()
        self.assertEqual(status, 0)
        self.assertIn("[what]: expected", errors)
        self.assertIn("all stays as it was", errors)

    def test_reload_adds_and_removes(self):
        daemon = self.daemon.start()
        before = (daemon.run / "vm1.sock").stat().st_ino
        daemon.configure("[vm vm3]\n[vm vm1]\n[device keyboard]\nmatch = id=046d:c31c\nvms = vm3\n")
        status, _, errors = daemon.ctl("reload")
        self.assertEqual(status, 0, errors)
        self.assertEqual(daemon.vms(), ["vm3", "vm1"])
        self.assertEqual((daemon.run / "vm1.sock").stat().st_ino, before)   # it noticed nothing
        self.assertFalse((daemon.run / "vm2.sock").exists())
        self.assertEqual(stat.S_IMODE((daemon.run / "vm3.sock").stat().st_mode), 0o660)
        self.assertEqual(daemon.ctl("attach", "keyboard", "vm1")[0], 5)
        self.assertEqual(daemon.ctl("attach", "keyboard", "vm3")[0], 0)
        # Gone and come again, with another address: the same name at once.
        daemon.configure("[vm vm1]\naddress = 10.77.0.50\n")
        self.assertEqual(daemon.ctl("reload")[0], 0)
        self.assertEqual(daemon.vms(), ["vm1"])
        # When the process of the one that went has ended.
        daemon.until((daemon.run / "vm1.sock").exists)
        status, errors = daemon.stop()
        self.assertEqual(status, 0, errors)
        self.assertFalse((daemon.run / "vm1.sock").exists())

    def test_reload_says_what_becomes_of_whom(self):
        """A VM with another MAC and a network with another uplink begin anew; only what is left out is out."""
        daemon = self.daemon
        mac = "mac = 52:54:00:77:00:0{}\n"
        daemon.configure(f"[vm vm1]\n{mac.format(1)}[vm vm2]\n[vm vm3]\n[network lan]\n[network inner]\n")
        daemon.start()
        daemon.configure(f"[vm vm1]\n{mac.format(2)}[vm vm2]\n[network lan]\nuplink = tap:no-such-tap\n")
        self.assertEqual(daemon.ctl("reload")[0], 0)
        daemon.until(lambda: daemon.serves("vm1"))
        daemon.until(lambda: not (daemon.run / "vm3.sock").exists())
        status = json.loads(daemon.ctl("status")[1])
        self.assertEqual([(n["name"], n["uplink"], n["connected"]) for n in status["networks"]], [("lan", "no-such-tap", False)])
        self.assertEqual(status["networks"][0]["counters"]["sent_frames"], 0)
        _, errors = daemon.stop()
        said = errors.splitlines()
        self.assertIn("vm1: its section of the configuration has changed: it begins anew, and its devices come back to it", said)
        self.assertIn("network lan: its uplink is another one: its cards begin anew", said)
        self.assertEqual([line for line in said if "out of the configuration" in line and "ended" not in line],
                         ["vm3: it is out of the configuration", "network inner: it is out of the configuration"])

    def test_reload_is_whole_or_not_at_all(self):
        daemon = self.daemon.start()
        rules = daemon.folder / "policy.d"
        rules.mkdir()
        for config, rule, why in (
                ("[vm vm9]\n[network]\naddress = 10.78.0.1/24\n", "", "needs a restart"),
                ("[vm vm9]\n", "allow colour=red\n", "10.rules:1"),
                ("[vm vm9]\ncolour = red\n", "", "colour: expected")):
            daemon.configure(config)
            (rules / "10.rules").write_text(rule)
            status, _, errors = daemon.ctl("reload")
            self.assertEqual(status, 1)
            self.assertIn(why, errors)
            self.assertEqual(daemon.vms(), ["vm1", "vm2"])
        self.assertEqual(daemon.stop()[0], 0)

    def test_assignments_survive_all(self):
        daemon = self.daemon
        daemon.configure("[vm vm1]\n[vm vm2]\n[device keyboard]\nmatch = id=046d:c31c\n"
                         "[device mouse]\nmatch = id=046d:c077\n[group desk]\ndevices = keyboard mouse\n")
        daemon.start()

        def wanted(device):
            shown = json.loads(daemon.ctl("show", device)[1])["device"]
            return shown["wanted"], shown["wanted_by"]

        self.assertEqual(daemon.ctl("assign", "desk", "vm1")[0], 0)
        self.assertEqual(daemon.ctl("attach", "mouse", "vm2")[0], 0)
        self.assertEqual(daemon.stop()[0], 0)
        (daemon.run / "wishes").unlink()        # as after a reboot of the host
        daemon.start()
        self.assertEqual([wanted(d) for d in ("keyboard", "mouse")], [("vm1", "assignment")] * 2)
        self.assertEqual(daemon.ctl("attach", "desk", "vm2")[0], 0)
        self.assertEqual(wanted("mouse"), ("vm2", "command"))
        self.assertEqual(daemon.ctl("release", "mouse")[0], 0)
        self.assertEqual(wanted("mouse"), ("vm1", "assignment"))
        self.assertEqual(daemon.ctl("undo")[0], 0)
        self.assertEqual(wanted("mouse"), ("vm2", "command"))
        self.assertEqual(daemon.ctl("unassign", "desk")[0], 0)
        self.assertEqual([wanted(d) for d in ("keyboard", "mouse")], [("host", "default")] * 2)
        self.assertEqual(daemon.ctl("undo")[0], 0)
        self.assertEqual(daemon.ctl("undo")[0], 0)
        self.assertEqual(wanted("keyboard"), ("host", "default"))
        # A file that can't be written: none of it has happened.
        (daemon.folder / "state" / "assignments.new").mkdir()
        status, _, errors = daemon.ctl("assign", "keyboard", "vm1")
        self.assertEqual(status, 1)
        self.assertIn("nothing was changed", errors)
        self.assertEqual(wanted("keyboard"), ("host", "default"))
        self.assertEqual(daemon.ctl("attach", "keyboard", "vm1", "--for", "1s")[0], 0)
        self.assertEqual(daemon.ctl("attach", "nothing", "vm1")[0], 3)
        deadline = time.monotonic() + SECONDS
        while wanted("keyboard")[0] != "host" and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertEqual(wanted("keyboard"), ("host", "default"))
        self.assertEqual(daemon.stop()[0], 0)

    def test_no_second_one_on_the_same_folder(self):
        daemon = self.daemon.start()
        try:
            status, errors = daemon.fails()
            self.assertEqual(status, 1)
            self.assertIn("another usbrouted is running", errors)
            self.assertEqual(daemon.ctl("status")[0], 0)  # the first one has lost nothing
        finally:
            self.assertEqual(daemon.stop()[0], 0)

    def test_killed_and_started_again(self):
        daemon = self.daemon.start()
        left = daemon.vm_process("vm1")
        daemon.until(lambda: daemon.serves("vm1"))      # it has had its START
        self.assertEqual(daemon.stop(signal.SIGKILL)[0], -signal.SIGKILL)
        self.assertTrue(pathlib.Path(f"/proc/{left}").exists())
        daemon.start()
        try:
            self.assertEqual(daemon.ctl("status")[0], 0)
            self.assertTrue(pathlib.Path(f"/proc/{left}").exists())
        finally:
            daemon.stop(signal.SIGINT)
        daemon.until(lambda: not pathlib.Path(f"/proc/{left}").exists())

    def test_killed_before_it_has_said_a_word(self):
        """A daemon that dies while it takes a process up: the next one finds that process all the same."""
        daemon = self.daemon.start()
        left = daemon.vm_process("vm1")
        daemon.until(lambda: daemon.serves("vm1"))
        daemon.stop(signal.SIGKILL)
        os.kill(left, signal.SIGSTOP)       # it hears nothing meanwhile
        for _ in range(3):
            with subprocess.Popen([DAEMON, *daemon.words, "--config", daemon.config], stderr=subprocess.PIPE) as starting:
                for line in starting.stderr:
                    if b"vm1: its process of the last run goes on" in line:
                        break
                starting.kill()
        os.kill(left, signal.SIGCONT)
        daemon.start()
        try:
            self.assertEqual(daemon.vms(), ["vm1", "vm2"])
            self.assertTrue(daemon.serves("vm1"))
            self.assertTrue(pathlib.Path(f"/proc/{left}").exists())
            self.assertFalse((daemon.run / "vm1.line.new").exists())
        finally:
            status, errors = daemon.stop()
        self.assertIn("vm1: its process of the last run goes on", errors)
        self.assertNotIn("vm1: its process is lost", errors)

    def test_a_vm_that_left_the_configuration_meanwhile(self):
        daemon = self.daemon.start()
        stays, leaves = (daemon.vm_process(name) for name in ("vm1", "vm2"))
        daemon.until(lambda: all(daemon.serves(name) for name in ("vm1", "vm2")))
        daemon.stop(signal.SIGTERM)
        daemon.configure("[vm vm1]\n")
        daemon.start()          # which waits for that
        self.assertTrue(proc.has_ended(leaves))
        self.assertTrue(pathlib.Path(f"/proc/{stays}").exists())
        self.assertEqual(sorted(path.name for path in daemon.run.glob("vm*")), ["vm1.line", "vm1.sock"])
        status, errors = daemon.stop()
        self.assertEqual(status, 0)
        self.assertIn("vm2: its process of the last run has ended", errors)
        self.assertEqual(list(daemon.run.glob("vm*")), [])

    def test_release_ends_what_is_left(self):
        daemon = self.daemon.start()
        left = [daemon.vm_process(name) for name in ("vm1", "vm2")]
        self.assertIn("usbrouted is running", daemon.release().stderr)
        daemon.stop(signal.SIGKILL)
        done = daemon.release()
        self.assertEqual(done.returncode, 0, done.stderr)
        daemon.until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in left))
        self.assertFalse((daemon.run / "vm1.sock").exists())
        self.assertEqual(daemon.release().returncode, 0)

    def test_sigterm_leaves_the_vms_processes(self):
        daemon = self.daemon.start()
        left = [daemon.vm_process(name) for name in ("vm1", "vm2")]
        daemon.until(lambda: all(daemon.serves(name) for name in ("vm1", "vm2")))
        self.assertEqual(daemon.stop(signal.SIGTERM)[0], 0)
        self.assertFalse((daemon.run / "control").exists())
        # They serve: who connects as QEMU does is answered, and so is the next control.
        for name in "vm1", "vm2":
            self.assertTrue(daemon.serves(name), name)
        self.assertTrue(all(pathlib.Path(f"/proc/{pid}").exists() for pid in left))
        daemon.start()
        self.assertEqual(daemon.ctl("status")[0], 0)
        self.assertEqual(daemon.stop()[0], 0)
        daemon.until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in left))

    def test_release_kills_what_does_not_end_and_nobody_else(self):
        daemon = self.daemon.start()
        left = [daemon.vm_process(name) for name in ("vm1", "vm2")]
        daemon.until(lambda: all(daemon.serves(name) for name in ("vm1", "vm2")))
        daemon.stop(signal.SIGTERM)
        os.kill(left[0], signal.SIGSTOP)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
            stranger.bind(str(daemon.run / "vm7.line"))     # this program, which never answers
            stranger.listen()
            done = daemon.release()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("vm1: its process does not end when it is told to, and is killed", done.stderr)
        self.assertIn("vm7: what listens at its process's socket does not end", done.stderr)
        self.assertNotIn("vm2:", done.stderr)
        daemon.until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in left))

    def test_a_killed_vm_process_is_followed_by_another(self):
        daemon = self.daemon.start()
        try:
            first, other = daemon.vm_process("vm1"), daemon.vm_process("vm2")
            os.kill(first, signal.SIGKILL)
            daemon.until(lambda: daemon.vm_process("vm1") != first)
            self.assertEqual(daemon.vm_process("vm2"), other)
        finally:
            status, errors = daemon.stop()
        self.assertEqual(status, 0)
        self.assertRegex(errors, "vm1: its process (is lost|can't be started)")
        self.assertNotIn("vm2: its process is lost", errors)

    def test_a_vm_whose_name_looks_like_an_option(self):
        daemon = Daemon(self.folder.name, "[vm -x]\n[vm --help]\n").start()
        try:
            for name in "-x", "--help":
                daemon.vm_process(name)
                self.assertTrue(daemon.serves(name))
        finally:
            self.assertEqual(daemon.stop()[0], 0)

    def test_addresses_are_kept(self):
        daemon = self.daemon.start()
        self.assertEqual(daemon.stop()[0], 0)
        # A VM put in front takes no other one's address.
        again = Daemon(self.folder.name, "[vm vm0]\n[vm vm1]\n").start()
        try:
            vms = json.loads(again.ctl("vms")[1])["vms"]
            self.assertEqual({vm["name"]: vm["address"] for vm in vms},
                             {"vm0": "10.77.0.12", "vm1": "10.77.0.11"})
        finally:
            self.assertEqual(again.stop()[0], 0)

    def test_wishes_are_kept_and_a_spoilt_file_costs_a_line(self):
        daemon = Daemon(self.folder.name, "[vm vm1]\n[device keyboard]\nmatch = id=046d:c31c\n").start()
        status, out, _ = daemon.ctl("attach", "keyboard", "vm1")
        self.assertEqual(status, 0)
        self.assertTrue(json.loads(out)["message"].startswith("pending: "))
        self.assertEqual(daemon.stop()[0], 0)
        with open(daemon.run / "wishes", "a") as file:
            file.write("V1\tnonsense\n")
        daemon.start()
        try:
            shown = json.loads(daemon.ctl("show", "keyboard")[1])["device"]
            self.assertEqual((shown["wanted"], shown["state"]), ("vm1", "pending"))
        finally:
            status, errors = daemon.stop()
        self.assertEqual(status, 0)
        self.assertIn("1 lines say nothing", errors)

    def test_a_wish_that_cannot_be_written_changes_nothing(self):
        daemon = Daemon(self.folder.name, "[vm vm1]\n[device keyboard]\nmatch = id=046d:c31c\n").start()
        try:
            (daemon.run / "wishes.new").mkdir()  # in the way of the file that is written aside
            status, _, errors = daemon.ctl("attach", "keyboard", "vm1")
            self.assertEqual(status, 1)
            self.assertIn("nothing was changed", errors)
            shown = json.loads(daemon.ctl("show", "keyboard")[1])["device"]
            self.assertEqual(shown["wanted"], "host")
        finally:
            self.assertEqual(daemon.stop()[0], 0)

    def test_output_that_fails_is_said(self):
        with open("/dev/full", "w") as full:
            for words in (["--version"], ["--help"]):
                done = subprocess.run([DAEMON, *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=SECONDS)
                self.assertEqual(done.returncode, 1, words)
                self.assertIn("standard output can't be written: No space left on device", done.stderr)
            done = subprocess.run([DAEMON, "--check", "--config", self.daemon.config], stdout=full, timeout=SECONDS)
            self.assertEqual(done.returncode, 0)    # it has nothing to say

    def test_files_that_are_no_utf8_are_refused_with_their_line(self):
        config, rules = self.daemon.config, self.daemon.folder / "policy.d"
        good = config.read_bytes()
        rules.mkdir()
        for path, data, said in (
                (config, b"\xef\xbb\xbf" + good, "usbrouted.conf:1: expected text in UTF-8 without a byte-order mark"),
                (config, good.decode().encode("utf-16"), "usbrouted.conf:1: expected text in UTF-8; found UTF-16"),
                (config, good + b"[device k]\nmatch = product=\"Cl\xe9\"\n",
                 "usbrouted.conf:8: expected text in UTF-8; found a byte"),
                (rules / "1.rules", b"\xef\xbb\xbfallow *\n", "1.rules:1: expected text in UTF-8 without"),
                (rules / "1.rules", b"allow *\r\ndeny product=Cl\xe9\r\n", "1.rules:2: expected text in UTF-8; found a byte"),
                (rules / "1.rules", "allow *\n".encode("utf-16"), "1.rules:1: expected text in UTF-8; found UTF-16")):
            config.write_bytes(good)
            path.write_bytes(data)
            done = subprocess.run([DAEMON, "--check", "--config", config], capture_output=True, timeout=SECONDS)
            self.assertEqual(done.returncode, 1, said)
            self.assertIn(said, done.stderr.decode())
        # As an editor of another system ends lines.
        (rules / "1.rules").write_bytes(b"allow *\r\n")
        config.write_bytes(good.replace(b"\n", b"\r\n"))
        done = subprocess.run([DAEMON, "--check", "--config", config], capture_output=True, timeout=SECONDS)
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_bad_configuration_starts_nothing(self):
        status, errors = Daemon(self.folder.name, "[vm vm1]\ncolour = red\n").fails()
        self.assertEqual(status, 1)
        self.assertIn("usbrouted.conf:5: [vm vm1] colour: expected", errors)
        self.assertFalse((self.daemon.run / "control").exists())

    def test_without_the_program_of_the_vms_it_does_not_start(self):
        folder = self.daemon.folder / "half"
        folder.mkdir()
        alone = pathlib.Path(shutil.copy(DAEMON, folder))
        program = folder / "usbrouted-vm"

        def fails():
            done = subprocess.run([alone, *Daemon.words, "--config", self.daemon.config], capture_output=True,
                                  text=True, timeout=SECONDS)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertFalse((self.daemon.run / "control").exists())
            return done.stderr

        self.assertIn(f"{program}, the program of each VM's process, can't be run: No such file or directory; "
                      "install usbrouted whole", fails())
        shutil.copy(pathlib.Path(DAEMON).parent / "usbrouted-vm", program)
        program.chmod(0o644)
        self.assertIn(f"{program}, the program of each VM's process, can't be run: Permission denied", fails())
        program.unlink()
        program.mkdir()
        self.assertIn(f"{program}, the program of each VM's process, can't be run: Permission denied", fails())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
