"""A board that stays up between commands, for developers. Owns the board, its guests, its daemon, and the
socket CACHE/board.sock that `tests/lab/board` speaks to.

A connection carries one request, a line of JSON with "op", and gets lines of JSON back: {"out": base64},
{"err": base64}, and at the end {"rc": N} or {"error": text}.
"""

import base64
import json
import os
import pathlib
import shlex
import socket
import sys
import threading
import traceback

from . import LabError, LabTimeout, paths
from .board import Board
from .daemon import Daemon
from .guest import Guest

SOCKET = paths.CACHE / "board.sock"


class Server:
    def __init__(self, guests, devices, card, disk, wrapper):
        self.board = Board(devices=devices, disk=disk)
        self.daemon = Daemon(self.board, wrapper=wrapper)
        self.card = card if card is not None else Daemon.built()
        self.names = [f"vm{number + 1}" for number in range(guests)]
        self._down = threading.Event()

    def start(self):
        self.board.start()
        print(f"board up in {self.board.boot_seconds:.0f} s, logs: {self.board.logs.folder}", flush=True)
        for name in self.names:
            Guest(self.board, name, card=self.card)
        if self.card:
            if Daemon.built():
                try:
                    self.daemon.start()
                    print("usbrouted is ready", flush=True)
                except LabError as error:
                    print(f"usbrouted does not start (mend it, then `daemon start`): {error}", flush=True)
            if not self.daemon.running():
                print("guests not started, for their cards need the daemon (or use --no-card)", flush=True)
                return
        elif self.names:
            print("guests get no card (no usbrouted built yet, or --no-card)", flush=True)
        for name in self.names:
            self.board.guests[name].start()
        for name in self.names:
            self.board.guests[name].wait_up()
            print(f"{name} up in {self.board.guests[name].up_seconds:.0f} s", flush=True)

    def serve(self, listening):
        def accept():
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        while not self._down.wait(1):
            if not self.board.running():
                break
        self.board.stop()

    def _one(self, connection):
        stream = connection.makefile("rwb")

        def say(**message):
            stream.write(json.dumps(message).encode() + b"\n")
            stream.flush()

        try:
            request = json.loads(stream.readline())
            self._do(request, say, connection)
        except (LabError, KeyError, ValueError) as error:
            say(error=f"{type(error).__name__}: {error}" if not isinstance(error, LabError) else str(error))
        except BrokenPipeError:
            pass
        except Exception:       # a mistake in the lab: show it where it is seen
            say(error=traceback.format_exc())
        finally:
            try:
                stream.close()
            except BrokenPipeError:
                pass            # the asker went away, as by Ctrl-C
            connection.close()

    def _do(self, request, say, connection):
        operation = request["op"]
        if operation == "exec":
            self._exec(request, say, connection)
            return
        rc = 0
        if operation == "key":
            getattr(self.board, request.get("how", "key"))(request["code"])
        elif operation == "plug":
            self.board.plug(request["name"], request.get("device"))
        elif operation == "unplug":
            self.board.unplug(request["name"])
        elif operation == "daemon":
            getattr(self.daemon, request["what"])()
        elif operation == "vm":
            self._vm(request["name"], request["what"], request.get("card"))
        elif operation == "down":
            self.board.stop()       # before the answer, so that the next `up` finds the lock free
        else:
            raise LabError(f"no operation {operation}")
        say(rc=rc)
        if operation == "down":
            self._down.set()

    def _vm(self, name, what, card):
        guest = self.board.guests.get(name)
        if what == "start" and not (guest and guest.running()):
            guest = Guest(self.board, name, card=self.daemon.running() if card is None else card)
            guest.start()
            guest.wait_up()
        elif guest is None:
            raise LabError(f"no guest {name}")
        elif what == "restart":
            guest.kill()
            self._vm(name, "start", card)
        else:
            getattr(guest, what)()

    def _exec(self, request, say, connection):
        target = request["target"]
        machine = self.board if target == "board" else self.board.guests.get(target)
        if machine is None:
            raise LabError(f"no guest {target}")
        if machine is not self.board and not machine.running():
            raise LabError(f"{target} is not running: `vm {target} start`")
        job = machine.spawn(request["command"])
        job.sendall(base64.b64decode(request.get("stdin", "")))
        job.close_stdin()
        # The caller's end (Ctrl-C) ends the command.
        gone = threading.Event()

        def watch():
            while not gone.is_set() and connection.recv(1) != b"":
                pass
            if job.running():
                job.kill()

        threading.Thread(target=watch, daemon=True).start()
        try:
            while (data := job.recv(timeout=request.get("timeout"))) != b"":
                say(out=base64.b64encode(data).decode())
        except LabTimeout:
            job.kill()
        rc = job.wait()
        if job.err:
            say(err=base64.b64encode(job.err).decode())
        say(rc=rc)
        gone.set()


def ask(request, out=None, err=None):
    """Ask the server; returns the exit status."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(SOCKET))
    except OSError:
        raise LabError("no board is up here: `tests/lab/board up`") from None
    stream = connection.makefile("rwb")
    stream.write(json.dumps(request).encode() + b"\n")
    stream.flush()
    for line in stream:
        message = json.loads(line)
        for name, sink in (("out", out or sys.stdout.buffer), ("err", err or sys.stderr.buffer)):
            if name in message:
                sink.write(base64.b64decode(message[name]))
                sink.flush()
        if "error" in message:
            raise LabError(message["error"])
        if "rc" in message:
            return message["rc"]
    raise LabError("the board went away")


def main(arguments):
    """The server process: says how it gets on on stdout, then `ready`, and serves."""
    options = json.loads(arguments[0])
    disk = paths.cache() / "disk.img"
    if not disk.exists():
        disk.write_bytes(os.urandom(8 << 20))
    server = None
    try:
        server = Server(options["guests"], options["devices"], options["card"], disk,
                        options.get("wrapper", ""))
        server.start()
    except LabError as error:
        print(f"error: {error}", flush=True)
        if server:
            server.board.stop()
        return 1
    pathlib.Path(SOCKET).unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(SOCKET))
    listening.listen(16)
    print("ready", flush=True)
    log = os.open(server.board.logs.file("server.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        server.serve(listening)
    finally:
        pathlib.Path(SOCKET).unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
