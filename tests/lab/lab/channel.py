"""The near end of an agent's channel (programs/agent.c). Owns the jobs started through it.

A channel runs over anything with recv(size) and sendall(bytes): a socket, or a Job whose program
relays another channel, which is how a guest on the board is spoken to.
"""

import collections
import itertools
import queue
import signal
import threading
import time

from . import LabError, LabTimeout

Result = collections.namedtuple("Result", "rc out err")


class Job:
    """A command running at the far end."""

    def __init__(self, channel, number, command):
        self.command = command
        self.rc = None
        self._channel = channel
        self._number = number
        self._out = queue.Queue()       # chunks; b"" is the end
        self._err = bytearray()
        self._line = b""
        self._ended = threading.Event()

    def _take(self, kind, data):
        if kind == "out":
            self._out.put(data)
        elif kind == "err":
            self._err += data
        else:
            self.rc = int(data)
            self._out.put(b"")
            self._ended.set()

    # As a stream

    def recv(self, _size=0, timeout=None):
        """The next bytes of its output; b"" at the end."""
        try:
            data = self._out.get(timeout=timeout)
        except queue.Empty:
            raise LabTimeout(f"no output within {timeout} s from: {self.command}") from None
        if data == b"":
            self._out.put(b"")
        return data

    def sendall(self, data):
        for at in range(0, len(data), 65536):
            self._channel._send("in", self._number, data[at:at + 65536])

    def close_stdin(self):
        self._channel._send("eof", self._number)

    # As lines

    def line(self, timeout=60):
        """The next line without its end; None at the end of the output."""
        limit = time.monotonic() + timeout
        while b"\n" not in self._line:
            data = self.recv(timeout=max(0, limit - time.monotonic()))
            if data == b"":
                rest, self._line = self._line, b""
                return rest.decode(errors="replace") if rest else None
            self._line += data
        line, _, self._line = self._line.partition(b"\n")
        return line.decode(errors="replace")

    def lines_now(self):
        """All whole lines that have come so far."""
        lines = []
        try:
            while (line := self.line(timeout=0.001)) is not None:
                lines.append(line)
        except LabTimeout:
            pass
        return lines

    # As a process

    @property
    def err(self):
        return bytes(self._err)

    def running(self):
        return self.rc is None

    def kill(self, number=signal.SIGKILL):
        self._channel._send("kill", self._number, str(int(number)).encode())

    def wait(self, timeout=60):
        if not self._ended.wait(timeout):
            raise LabTimeout(f"did not end within {timeout} s: {self.command}")
        return self.rc

    def result(self, timeout=60):
        """Wait for its end and all of its output; past the limit it is killed."""
        try:
            self.wait(timeout)
        except LabTimeout:
            self.kill()
            self._ended.wait(30)
            raise
        out = self._line
        while (data := self.recv()) != b"":
            out += data
        return Result(self.rc, out, self.err)


class Channel:
    """Speaks to one agent."""

    def __init__(self, stream, name, first=1):
        """first: the number of its first job; another one where jobs of an earlier channel may still run."""
        self.name = name
        self.up = threading.Event()
        self.lost = False
        self._stream = stream
        self._numbers = itertools.count(first)
        self._jobs = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._read, name=f"channel {name}", daemon=True).start()

    def _send(self, kind, number, data=b""):
        if self.lost:
            raise LabError(f"{self.name} is gone")
        with self._lock:
            try:
                self._stream.sendall(b"%s %d %d\n%s" % (kind.encode(), number, len(data), data))
            except OSError as error:
                raise LabError(f"{self.name} is gone: {error}") from None

    def _read(self):
        buffer = bytearray()
        while True:
            try:
                data = self._stream.recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                break
            buffer += data
            while True:
                head, found, _ = bytes(buffer[:64]).partition(b"\n")
                if not found:
                    break
                fields = head.split()
                if len(fields) != 3 or not fields[2].isdigit():
                    del buffer[:len(head) + 1]
                    continue
                size = len(head) + 1 + int(fields[2])
                if len(buffer) < size:
                    break
                self._handle(fields[0].decode(), int(fields[1]), bytes(buffer[len(head) + 1:size]))
                del buffer[:size]
        self.lost = True
        for job in list(self._jobs.values()):
            job._err += f"{self.name} is gone\n".encode()
            job._take("exit", b"-1")
        self._jobs.clear()

    def _handle(self, kind, number, data):
        if kind in ("hello", "pong"):
            self.up.set()
            return
        job = self._jobs.get(number)
        if job:
            job._take(kind, data)
            if kind == "exit":
                del self._jobs[number]

    def ping(self):
        """An agent that was there before this channel says its first word."""
        self._send("ping", 0)

    def wait_up(self, timeout):
        """Wait for the agent's first word."""
        limit = time.monotonic() + timeout
        while not self.up.wait(0.5):
            if self.lost:
                raise LabError(f"{self.name} is gone")
            if time.monotonic() > limit:
                raise LabTimeout(f"{self.name} is not up within {timeout} s")

    def spawn(self, command, stdin=None):
        """Start a shell command. stdin: bytes, or None to leave it open for Job.sendall()."""
        number = next(self._numbers)
        job = Job(self, number, command)
        self._jobs[number] = job
        self._send("run", number, command.encode())
        if stdin is not None:
            job.sendall(stdin)
            job.close_stdin()
        return job

    def run(self, command, timeout=240, stdin=b"", check=False):
        """Run a shell command to its end: Result(rc, out, err), both in bytes."""
        result = self.spawn(command, stdin).result(timeout)
        if check and result.rc:
            raise LabError(f"{self.name}: `{command}` ended with {result.rc}: "
                           f"{(result.err or result.out).decode(errors='replace').strip()}")
        return result

    def text(self, command, timeout=240):
        """Its output as text; it must succeed."""
        return self.run(command, timeout, check=True).out.decode(errors="replace").strip()
