#!/usr/bin/python3
"""The policy of the real daemon as a process: rules that stop the start, what it says of them, and how
much. usage: test-policy-process.py USBROUTED USBROUTECTL"""

import importlib.util
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import unittest

spec = importlib.util.spec_from_file_location(
    "daemon_process", pathlib.Path(__file__).with_name("test-daemon-process.py"))
daemon_process = importlib.util.module_from_spec(spec)
spec.loader.exec_module(daemon_process)
Daemon, DAEMON, CTL = daemon_process.Daemon, daemon_process.DAEMON, daemon_process.CTL

CONFIG = """
[vm vm1]
[vm vm2]
[vm vm3]
[device keyboard]
match = id=046d:c31c class=hid.keyboard
[device private]
match = id=1111:2222
vms = vm1
[group desk]
devices = keyboard
"""


def device(alias, id, port, *classes):
    return {"alias": alias, "id": id, "serial": None, "port": port, "stable_port": f"0000:00:14.0/usb2:{port[2:]}",
            "busid": port, "manufacturer": None, "product": None, "speed": "low", "classes": classes,
            "wanted": "host", "wanted_by": "default", "actual": "host", "state": "present", "reason": None}


SET = {"devices": [device("keyboard", "046d:c31c", "1-1.2", "hid", "hid.keyboard"),
                   device(None, "0951:1666", "1-3", "storage"),
                   device(None, "1111:2222", "1-4", "vendor")]}


class Policy(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        os.chmod(self.folder.name, 0o755)  # for those who are not root
        self.daemon = Daemon(self.folder.name, CONFIG)
        self.rules = self.daemon.folder / "policy.d"
        self.rules.mkdir()

    def start(self):
        self.daemon.start()
        self.addCleanup(lambda: self.assertEqual(self.daemon.stop()[0], 0))

    def put(self, name, *lines):
        path = self.rules / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    def why(self, *words):
        status, out, errors = self.daemon.ctl("why", *words)
        self.assertEqual(status, 0, errors)
        return json.loads(out)

    def try_out(self, text, name="20-lab.rules", devices=SET, expect=0):
        path = self.daemon.folder / name
        path.write_text(text)
        words = ["policy", "test", path]
        if devices is not None:
            record = self.daemon.folder / "set.json"
            record.write_text(json.dumps(devices))
            words += ["--devices", record]
        status, out, errors = self.daemon.ctl(*words)
        self.assertEqual(status, expect, errors)
        return json.loads(out) if out else errors

    def test_bad_rules_start_nothing(self):
        self.put("10-a.rules", "allow * to vm1", "allow * to vm9")
        self.put("20-b.rules", "grant *", "allow in=nowhere")
        for words in [], ["--check"]:
            done = subprocess.run([DAEMON, *self.daemon.words, "--config", self.daemon.config, *words], capture_output=True,
                                  text=True, timeout=daemon_process.SECONDS)
            self.assertEqual(done.returncode, 1)
            lines = done.stderr.splitlines()
            self.assertEqual([line.split(": ")[0].rpartition("/")[2] for line in lines],
                             ["10-a.rules:2", "20-b.rules:1", "20-b.rules:2"])
        self.assertFalse(self.daemon.run.exists())

    def test_check_of_good_rules(self):
        self.put("10-a.rules", "allow * to vm1 user=root")
        done = subprocess.run([DAEMON, "--config", self.daemon.config, "--check"], capture_output=True,
                              text=True, timeout=daemon_process.SECONDS)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_why(self):
        self.put("10-usb.rules", "# never", "deny class=hub", "deny in=desk to vm3")
        self.put("20-lab.rules", "allow class=hid to vm2,vm3 attach=auto", "allow *")
        self.start()
        reply = self.why("keyboard")
        self.assertEqual([(v["vm"], v["allowed"], v["by"]) for v in reply["verdicts"]], [
            ("vm1", False, "policy.d/20-lab.rules:1: allow class=hid to vm2,vm3 attach=auto"),
            ("vm2", True, "policy.d/20-lab.rules:1: allow class=hid to vm2,vm3 attach=auto"),
            ("vm3", False, "policy.d/10-usb.rules:3: deny in=desk to vm3")])
        self.assertEqual(reply["attach"], "vm2")
        self.assertEqual([(r["line"], r["matched"], r["why"], r["decides"], r["attaches"])
                          for r in reply["rules"]],
                         [(2, False, "class is hid.keyboard", [], False), (3, True, None, ["vm3"], False),
                          (1, True, None, ["vm1", "vm2"], True), (2, True, None, [], False)])
        reply = self.why("private", "vm2")
        self.assertEqual([(v["vm"], v["allowed"], v["by"]) for v in reply["verdicts"]],
                         [("vm2", False, "[device private] vms")])
        self.assertEqual(self.try_out("allow class=hid to vm3 attach=auto\n")["devices"][0]["attach_by"],
                         "policy.d/20-lab.rules:1: allow class=hid to vm3 attach=auto, but vm3 may not have "
                         "it: policy.d/10-usb.rules:3: deny in=desk to vm3")
        self.assertEqual(self.daemon.ctl("why", "nix")[0], 3)
        self.assertEqual(self.daemon.ctl("why", "keyboard", "vm9")[0], 3)

    def test_a_rule_denies_a_command(self):
        self.put("10-usb.rules", "deny alias=keyboard to vm1")
        self.start()
        status, _, errors = self.daemon.ctl("attach", "keyboard", "vm1")
        self.assertEqual(status, 5)
        self.assertIn("policy.d/10-usb.rules:1: deny alias=keyboard to vm1", errors)
        self.assertEqual(self.daemon.ctl("attach", "--no-wait", "keyboard", "vm2")[0], 0)
        self.assertEqual([v["vm"] for v in self.why("keyboard")["verdicts"]], ["vm2"])

    @unittest.skipIf(os.getuid(), "needs root, to be somebody else")
    def test_who_asks(self):
        self.put("10-usb.rules", "allow * to vm1 user=65534", "allow * to vm2 group=4321",
                 "deny * to vm3 user=65534")
        self.start()
        for groups, may in (([], ["vm1"]), ([4321], ["vm1", "vm2"]),
                            ([*range(5000, 6000), 4321], ["vm1", "vm2"])):
            done = subprocess.run([CTL, "--json", "--socket", self.daemon.run / "control", "why", "keyboard"],
                                  capture_output=True, text=True, user=65534, group=65534,
                                  extra_groups=groups, timeout=daemon_process.SECONDS)
            self.assertEqual([v["vm"] for v in json.loads(done.stdout)["verdicts"] if v["may_route"]], may)
        done = subprocess.run([CTL, "--socket", self.daemon.run / "control", "policy", "test",
                               self.rules / "10-usb.rules"], capture_output=True, text=True, user=65534,
                              group=65534, extra_groups=[], timeout=daemon_process.SECONDS)
        self.assertEqual(done.returncode, 5)
        self.assertTrue(all(v["may_route"] for v in self.why("keyboard")["verdicts"]))

    def test_a_file_tried_out(self):
        self.put("10-usb.rules", "deny class=storage to vm3")
        self.put("20-lab.rules", "allow class=hid to vm1 attach=auto")
        self.put("30-rest.rules", "allow * to vm1,vm3")
        self.start()
        reply = self.try_out("allow in=desk to vm2 attach=auto\n")
        self.assertEqual((reply["file"], reply["replaces"], reply["rules"]),
                         ("policy.d/20-lab.rules", True, 3))
        keyboard, stick, private = reply["devices"]
        self.assertEqual((keyboard["attach"], keyboard["attach_now"], keyboard["gains"], keyboard["loses"]),
                         ("vm2", "vm1", ["vm2"], ["vm1"]))
        self.assertEqual([(r["allowed"], r["vms"]) for r in keyboard["rulings"]],
                         [(False, ["vm1", "vm3"]), (True, ["vm2"])])
        self.assertEqual([(r["allowed"], r["by"], r["vms"]) for r in stick["rulings"]], [
            (True, "policy.d/30-rest.rules:1: allow * to vm1,vm3", ["vm1"]),
            (False, "policy.d/30-rest.rules:1: allow * to vm1,vm3", ["vm2"]),
            (False, "policy.d/10-usb.rules:1: deny class=storage to vm3", ["vm3"])])
        self.assertEqual((stick["gains"], stick["loses"]), ([], []))
        # Recorded without its name, which it has by what it is.
        self.assertEqual((private["alias"], private["rulings"][0]["by"]), ("private", "[device private] vms"))
        # Another name: besides those, and before them.
        reply = self.try_out("deny *\n", "00-first.rules")
        self.assertEqual((reply["replaces"], reply["rules"]), (False, 4))
        # Nothing of it is in force.
        self.assertEqual(self.why("keyboard")["attach"], "vm1")
        self.assertIsInstance(self.try_out("allow *\n", devices=None)["devices"], list)

    def test_a_bad_file_tried_out(self):
        self.start()
        reply = self.try_out("allow *\ngrant *\nallow * to vm9\n", expect=1)
        self.assertEqual([e.rpartition("/")[2].split(": ")[0] for e in reply["errors"]],
                         ["20-lab.rules:2", "20-lab.rules:3"])
        self.assertEqual(reply["devices"], [])
        for bad in {"id": "x"}, 1, {"id": "046d:c31c", "port": "1-1"}:
            self.assertIn("error[usage]", self.try_out("allow *\n", devices={"devices": [bad]}, expect=2))

    def reload(self):
        """The error's parameters, or None."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(daemon_process.SECONDS)
            control.connect(str(self.daemon.run / "control"))
            control.sendall(b'{"method":"io.usbrouted.Reload"}\0')
            reply = b""
            while not reply.endswith(b"\0"):
                reply += control.recv(4096)
        reply = json.loads(reply[:-1])
        return reply["parameters"] if "error" in reply else None

    def test_read_anew(self):
        def said():
            return [v["by"] for v in self.why("keyboard")["verdicts"]]

        self.put("10-a.rules", "allow * to vm1")
        self.start()
        before = said()
        self.put("10-a.rules", "deny *")
        self.put("20-b.rules", "allow * to vm9")
        self.assertIn("20-b.rules:1: expected", json.dumps(self.reload()))
        self.assertEqual(said(), before)
        (self.rules / "20-b.rules").unlink()
        self.assertIsNone(self.reload())
        self.assertEqual(said(), ["policy.d/10-a.rules:1: deny *"] * 3)

    def test_answers_are_bounded(self):
        # More rules, and longer ones, than an answer has room for; the last one decides.
        self.put("10-many.rules", *(f'deny serial=none{i} product="{"x" * 200}"' for i in range(4000)))
        self.put("20-last.rules", "allow class=hid to vm2 attach=auto")
        self.start()
        reply = self.why("keyboard")
        self.assertEqual(len(reply["rules"]) + reply["rules_left_out"], 4001)
        self.assertGreater(reply["rules_left_out"], 3000)
        self.assertGreater(len(reply["rules"]), 100)
        self.assertEqual(reply["rules"][-1]["decides"], ["vm1", "vm2", "vm3"])
        many = [device(None, f"046d:{i:04x}", "1-1", "hid") for i in range(100)]
        reply = self.try_out('deny serial="' + "x" * 200 + '"\nallow * to vm1\n', devices={"devices": many})
        self.assertEqual(len(reply["devices"]) + reply["devices_left_out"], 100)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
