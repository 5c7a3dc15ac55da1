#!/usr/bin/python3
"""usbroutectl and the interface's description, configs/io.usbrouted.varlink: each command, with all of its options, calls a
method that is described, with parameters that are; every method and every parameter has a command that calls it; every
error has an exit status and words of its own; and replies are understood, with all that may be left out left out.

The daemon is made up from the description. That it is the real one's, too, is what the test `control` holds.
usage: test-interface.py SOURCE USBROUTECTL"""

import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

SOURCE, CTL = pathlib.Path(sys.argv[1]), sys.argv[2]
TEXT = re.sub(r"(?m)^#.*$", "", (SOURCE / "configs" / "io.usbrouted.varlink").read_text())
SAMPLES = {"bool": True, "int": 1, "float": 1.5, "string": "text"}
ARGUMENTS = {"S": "3", "TIME": "10m", "SET": "set.json", "URI": "qemu:///system", "PATH": "/nowhere"}
# What each word of the help is typed as.
WORDS = {"DEVICE": "keyboard", "VM": "vm1", "NAME": "stick", "FILE": "a.rules", "DOMAIN": "vm1", "COMMAND": "list"}
EXITS = {"NoSuchDevice": 3, "NoSuchVm": 3, "Ambiguous": 4, "Denied": 5, "Busy": 6, "Pending": 7, "Superseded": 1, "Failed": 1}


class Interface:
    """The description, read: types and errors by name, methods as (parameters, reply)."""

    def __init__(self, text):
        self.tokens = re.findall(r"\[\]|->|[?(),:]|[\w.]+", text)
        self.types, self.errors, self.methods = {}, {}, {}
        self.take("interface")
        self.name = self.take()
        while self.tokens:
            kind, name = self.take(), self.take()
            fields = self.read_type()
            if kind == "method":
                self.take("->")
                self.methods[name] = fields, self.read_type()
            else:
                {"type": self.types, "error": self.errors}[kind][name] = fields

    def take(self, expected=None):
        token = self.tokens.pop(0)
        assert expected in (None, token), (expected, token, self.tokens[:8])
        return token

    def read_type(self):
        token = self.take()
        if token in ("?", "[]"):
            return token, self.read_type()
        if token != "(":
            return "name", token
        names, fields = [], {}
        while self.tokens[0] != ")":
            name = self.take()
            names.append(name)
            if self.tokens[0] == ":":
                self.take()
                fields[name] = self.read_type()
            if self.tokens[0] == ",":
                self.take()
        self.take(")")
        return ("enum", names) if names and not fields else ("struct", fields)

    def sample(self, of, full):
        """Something of a type; full: with all that may be left out."""
        kind, what = of
        if kind == "?":
            return self.sample(what, full) if full else None
        if kind == "[]":
            return [self.sample(what, full)] if full else []
        if kind == "enum":
            return what[0]
        if kind == "struct":
            return {name: self.sample(field, full) for name, field in what.items()}
        return SAMPLES[what] if what in SAMPLES else self.sample(self.types[what], full)

    def fits(self, of, value):
        kind, what = of
        if kind == "?":
            return value is None or self.fits(what, value)
        if kind == "[]":
            return isinstance(value, list) and all(self.fits(what, one) for one in value)
        if kind == "enum":
            return value in what
        if kind == "struct":
            return isinstance(value, dict) and set(value) <= set(what) and all(
                self.fits(field, value.get(name)) for name, field in what.items())
        if what == "bool" or isinstance(value, bool):
            return what == "bool" and isinstance(value, bool)
        if what in SAMPLES:
            return isinstance(value, (float, int)) if what == "float" else isinstance(value, type(SAMPLES[what]))
        return self.fits(self.types[what], value)


INTERFACE = Interface(TEXT)


class Daemon:
    """Answers each call of one run of usbroutectl by what answer() gives for it."""

    def __init__(self, folder, answer):
        self.path, self.calls, self.answer = folder / "control", [], answer
        self.path.unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            with connection:
                data = b""
                while chunk := connection.recv(65536):
                    data += chunk
                    while b"\0" in data:
                        message, data = data.split(b"\0", 1)
                        call = json.loads(message)
                        self.calls.append(call)
                        connection.sendall(json.dumps(self.answer(call)).encode() + b"\0")

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def method_of(call):
    return call["method"].rpartition(".")[2]


def reply(full):
    def answer(call):
        if call["method"].startswith("org.varlink"):
            return {"parameters": {"version": "1"}}
        return {"parameters": INTERFACE.sample(INTERFACE.methods[method_of(call)][1], full)}
    return answer


def typed(word):
    """A word of the help as somebody types it: the first of several."""
    first = word.strip("[]").split("|")[0]
    return WORDS.get(first, first)


def lines():
    """Each command line that the help shows, without and with each of its options."""
    listed = subprocess.run([CTL, "--help"], capture_output=True, text=True, check=True).stdout
    for command in re.findall(r"^  ([a-z][a-z-]+)\b", listed.split("Commands:")[1].split("Options:")[0], re.M):
        usage = subprocess.run([CTL, "help", command], capture_output=True, text=True, check=True).stdout
        usage = usage.splitlines()[0].split(f" {command}", 1)[1]
        # "xml VM | add DOMAIN [--apply]": ways of their own.
        for way in re.split(r" \| (?=[a-z])", usage):
            words = re.sub(r"\[(--[^]]*)\]", "", way).split()
            plain = [command] + [typed(w) for w in words if not w.startswith("[")]
            yield command, plain
            yield command, [command] + [typed(w) for w in words]
            for i, word in enumerate(words):
                for one in word.strip("[]").split("|") if "|" in word else []:
                    yield command, plain[:i + 1] + [typed(one)] + plain[i + 2:]
            for option in re.findall(r"--[a-z-]+(?: [A-Z]+)?", way):
                name, _, argument = option.partition(" ")
                yield command, plain + [name] + ([ARGUMENTS[argument]] if argument else [])


class Client(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "a.rules").write_text("allow * to vm1\n")
        (self.folder / "set.json").write_text(json.dumps({"devices": [INTERFACE.sample(("name", "Device"), True)]}))

    def run_ctl(self, answer, words):
        daemon = Daemon(self.folder, answer)
        done = subprocess.run([pathlib.Path(CTL).resolve(), "--socket", daemon.path, *words], cwd=self.folder, timeout=60,
                              capture_output=True, text=True, env={"USBROUTED_LIBVIRT": "/bin/true", "PATH": "/usr/bin:/bin"})
        daemon.close()
        return done, daemon.calls

    def test_calls(self):
        called = {name: set() for name in INTERFACE.methods}
        for command, words in lines():
            done, calls = self.run_ctl(reply(True), words)
            self.assertNotIn("not of this usbroutectl's version", done.stderr, words)
            # What the replies say is made up, so that a device or a disk may be missing; but the words were understood.
            self.assertIn(done.returncode, (0, 1, 3, 9), (words, done.stderr))
            for call in calls:
                if call["method"].startswith("org.varlink"):
                    continue
                name = method_of(call)
                self.assertEqual(call["method"], f"{INTERFACE.name}.{name}", words)
                self.assertIn(name, INTERFACE.methods, words)
                self.assertTrue(INTERFACE.fits(INTERFACE.methods[name][0], call["parameters"]), (words, call))
                called[name] |= {"()"} | set(call["parameters"])
        for name, (parameters, _) in INTERFACE.methods.items():
            self.assertEqual(called[name] - {"()"}, set(parameters[1]), f"{name}: parameters that commands set")
            self.assertIn("()", called[name], f"{name}: no command calls it")

    def test_replies_with_little_in_them(self):
        for command, words in lines():
            for output in [], ["--json"]:
                done, _ = self.run_ctl(reply(False), output + words)
                self.assertGreaterEqual(done.returncode, 0, (words, done.stderr))

    def test_doctor_tells_of_memory_that_is_nearly_taken(self):
        for charged, found in (1000, False), (3 << 18, True):
            def answer(call, charged=charged):
                if method_of(call) != "Stats":
                    return reply(False)(call)
                memory = [{"vm": "vm1", "charged": charged, "share": 1 << 20}]
                return {"parameters": {"stats": [], "stats_left_out": 0, "class_bounds_us": [], "memory": memory}}
            done, _ = self.run_ctl(answer, ["--json", "doctor"])
            checks = [c for c in json.loads(done.stdout)["checks"] if c["name"] == "urb-memory"]
            self.assertEqual([c["about"] for c in checks], ["vm1"] if found else [], done.stdout)

    def test_another_machine(self):
        """--host: the words arrive there as they were typed, through the shell there, and the exit status comes back."""
        (self.folder / "usbroutectl").symlink_to(pathlib.Path(CTL).resolve())
        ssh = self.folder / "ssh"
        ssh.write_text(f'''#!/bin/sh
printf '%s\\n' "$@" >{self.folder}/typed
while [ "$1" != -- ]; do shift; done
case $2 in gone) exit 255 ;; bare) exit 127 ;; esac
shift 2
PATH={self.folder}:$PATH exec sh -c "$*"
''')
        ssh.chmod(0o755)

        def run(answer, *words):
            daemon = Daemon(self.folder, answer)
            done = subprocess.run([pathlib.Path(CTL).resolve(), *(str(daemon.path) if w is None else w for w in words)], timeout=60,
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  env={"PATH": f"{self.folder}:/usr/bin:/bin"})
            daemon.close()
            return done, daemon.calls

        device = "it's $HOME; \"two\" `words` * \\"
        for host in ["--host", "desk"], ["--host=root@desk"]:
            done, calls = run(reply(True), "show", *host, "--socket", None, device)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual([c["parameters"] for c in calls], [{"device": device}])
            typed = (self.folder / "typed").read_text().splitlines()
            self.assertEqual(typed[:6], ["-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "--", host[-1].removeprefix("--host=")])
        # Behind -- a word is a word.
        done, calls = run(reply(True), "--host", "desk", "--socket", None, "show", "--", "--host")
        self.assertEqual([c["parameters"] for c in calls], [{"device": "--host"}])
        for name, status in EXITS.items():
            error = {"error": f"{INTERFACE.name}.{name}", "parameters": INTERFACE.sample(INTERFACE.errors[name], True)}
            done, _ = run(lambda call, error=error: error, "--host", "desk", "--socket", None, "attach", "keyboard", "vm1")
            self.assertEqual(done.returncode, status, (name, done.stderr))
        for host, status, said in (("gone", 8, "error[no-daemon]: gone: ssh could not reach it"), ("bare", 1, "bare: there is no usbroutectl"),
                                   ("-oProxyCommand=x", 2, "--host: expected a machine's name"), ("", 2, "--host: expected")):
            done, calls = run(reply(True), "--host", host, "list")
            self.assertEqual((done.returncode, calls), (status, []), done.stderr)
            self.assertIn(said, done.stderr)

    def test_prometheus_reads_it(self):
        """By the parser of Prometheus' own client, of Debian's Python: names that have to be escaped, and whole histograms."""
        bounds = [1, 2, 3, 4, 5, 6, 7, 8]
        times = {"count": 6, "sum_us": 21, "p50_us": 3, "p99_us": 8, "most_us": 7, "classes": [1, 0, 2, 0, 0, 0, 0, 3]}
        nasty = 'a"b\\c\nd'
        stats = {**INTERFACE.sample(("name", "Stats"), True), "urbs": 7, "errors": 1, "answer": times, "device": times}
        names = [name for name in INTERFACE.sample(("name", "Counters"), True)]
        counters = {name: number for number, name in enumerate(names)}
        answers = {"stats": [{**stats, "alias": nasty}, {**stats, "alias": None, "port": "1-2", "device": {**times, "count": 0, "classes": []}}],
                   "stats_left_out": 0, "class_bounds_us": bounds, "memory": [{"vm": "vm1", "charged": 4096, "share": 1 << 20}],
                   "networks": [{"name": "lan", "uplink": "tap0", "connected": True, "counters": counters},
                                {"name": "inner", "uplink": None, "connected": False, "counters": None}]}
        done, _ = self.run_ctl(lambda call: {"parameters": answers}, ["stats", "--prometheus"])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        script = ("import json, sys\nfrom prometheus_client.parser import text_string_to_metric_families as read\n"
                  "print(json.dumps([[f.name, f.type, [[s.name, s.labels, s.value] for s in f.samples]] for f in read(sys.stdin.read())]))")
        read = subprocess.run(["/usr/bin/python3", "-c", script], input=done.stdout, capture_output=True, text=True, timeout=60)
        self.assertEqual(read.returncode, 0, read.stderr)
        families = {name: (kind, samples) for name, kind, samples in json.loads(read.stdout)}
        kind, samples = families["usbrouted_device_urbs"]
        self.assertEqual(kind, "counter")
        self.assertEqual([(labels["device"], value) for _, labels, value in samples], [(nasty, 7), ("1-2", 7)])
        kind, samples = families["usbrouted_device_answer_seconds"]
        self.assertEqual(kind, "histogram")
        first = [(name.rpartition("_")[2], labels.get("le"), value) for name, labels, value in samples if labels["device"] == nasty]
        self.assertEqual(first, [("bucket", "0.000004", 3), ("bucket", "0.000008", 6), ("bucket", "+Inf", 6), ("sum", None, 0.000021),
                                 ("count", None, 6)])
        self.assertEqual(families["usbrouted_vm_usb_memory_bytes"][1], [["usbrouted_vm_usb_memory_bytes", {"vm": "vm1"}, 4096]])
        self.assertEqual(families["usbrouted_network_uplink_up"][1], [["usbrouted_network_uplink_up", {"network": "lan"}, 1]])
        for family, label, keys in (("frames", "direction", {"in": "sent_frames", "out": "received_frames"}),
                                    ("bytes", "direction", {"in": "sent_bytes", "out": "received_bytes"}),
                                    ("dropped", "reason", {name[8:]: name for name in names if name.startswith("dropped_")})):
            kind, samples = families[f"usbrouted_network_uplink_{family}"]
            self.assertEqual(kind, "counter")
            self.assertEqual({labels[label]: (labels["network"], value) for _, labels, value in samples},
                             {word: ("lan", counters[key]) for word, key in keys.items()})

    def test_errors(self):
        self.assertEqual(set(EXITS), set(INTERFACE.errors))
        for name, status in EXITS.items():
            for full in False, True:
                error = {"error": f"{INTERFACE.name}.{name}", "parameters": INTERFACE.sample(INTERFACE.errors[name], full)}
                done, _ = self.run_ctl(lambda call, error=error: error, ["attach", "keyboard", "vm1"])
                self.assertEqual(done.returncode, status, (name, done.stderr))
                self.assertRegex(done.stderr, r"^error\[[a-z-]+\]: \S", name)
                self.assertNotIn("not of this usbroutectl's version", done.stderr, name)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
