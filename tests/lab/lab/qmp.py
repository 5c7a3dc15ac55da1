"""A QEMU's machine monitor. Owns its connection and the events that came over it."""

import json
import threading
import time

from . import LabError, LabTimeout


class Qmp:
    def __init__(self, stream, name):
        self.events = []
        self._name = name
        self._stream = stream
        self._replies = []
        self._news = threading.Condition()
        self._one = threading.Lock()
        self._lost = False
        threading.Thread(target=self._read, name=f"monitor {name}", daemon=True).start()
        self.call("qmp_capabilities")

    def _read(self):
        buffer = b""
        while True:
            try:
                data = self._stream.recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                break
            *lines, buffer = (buffer + data).split(b"\n")
            with self._news:
                for line in lines:
                    message = json.loads(line)
                    if "event" in message:
                        self.events.append(message)
                    elif "return" in message or "error" in message:
                        self._replies.append(message)
                self._news.notify_all()
        with self._news:
            self._lost = True
            self._news.notify_all()

    def call(self, command, timeout=60, **arguments):
        arguments = {key.replace("_", "-"): value for key, value in arguments.items()}
        request = {"execute": command, "arguments": arguments}
        with self._one:
            try:
                self._stream.sendall(json.dumps(request).encode() + b"\n")
            except OSError as error:
                raise LabError(f"{self._name}: QEMU is gone: {error}") from None
            with self._news:
                self._news.wait_for(lambda: self._replies or self._lost, timeout)
                if not self._replies:
                    raise LabTimeout(f"{self._name}: QEMU does not answer {command}")
                reply = self._replies.pop(0)
        if "error" in reply:
            raise LabError(f"{self._name}: {command}: {reply['error']['desc']}")
        return reply["return"]

    def human(self, line):
        """A command of the human monitor; its text."""
        return self.call("human-monitor-command", command_line=line)

    def wait_event(self, name, since=0, timeout=60, **data):
        """Wait for an event with these data fields, from number `since` of .events on."""
        limit = time.monotonic() + timeout

        def matching():
            for event in self.events[since:]:
                fields = event.get("data", {})
                if event["event"] == name and all(fields.get(k) == v for k, v in data.items()):
                    return event
            return None

        with self._news:
            while not (event := matching()):
                left = limit - time.monotonic()
                if left <= 0 or self._lost:
                    raise LabTimeout(f"{self._name}: no event {name} {data} within {timeout} s")
                self._news.wait(left)
            return event
