"""Debian's Chromium without a screen, driven by the DevTools protocol over two pipes: JSON, each message ended by a NUL byte. Owns
the process and a folder for its profile. No driver and no library is needed for it.

    with Browser() as browser:
        page = browser.open("http://…")
        page.wait("document.readyState === 'complete'")
"""

import base64
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import tempfile
import time

SECONDS = 60 * int(os.environ.get("TEST_PATIENCE", "1"))
PROGRAMS = ("chromium-headless-shell", "chromium")
# What DevTools calls keys that are no letters, with their number and the text that they type.
KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), "Escape": (27, ""), " ": (32, " ")}
SHIFT = 8


class BrowserError(AssertionError):
    pass


def program():
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Browser:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="browser-")
        to_read, self.to = os.pipe()
        self.of, of_write = os.pipe()
        self.log = open(pathlib.Path(self.folder) / "log", "wb")
        # It reads descriptor 3 and writes 4. As root it has no sandbox, and it is shown nothing but our own page.
        words = [program(), "--remote-debugging-pipe", f"--user-data-dir={self.folder}/profile", "--headless", "--no-sandbox",
                 "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
                 "--disable-component-update", "--force-color-profile=srgb", "--hide-scrollbars", "about:blank"]
        # What the pipes are called here may be 3 and 4 themselves: both are moved out of the way first.
        self.process = subprocess.Popen(["sh", "-c", f'exec 8<&{to_read} 9>&{of_write}; exec "$@" 3<&8 4>&9 8<&- 9>&-', "sh", *words],
                                        pass_fds=(to_read, of_write), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        env={**os.environ, "HOME": self.folder}, start_new_session=True)
        os.close(to_read)
        os.close(of_write)
        self.data, self.n = b"", 0
        self.events = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        os.close(self.to)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        # Its children are its session's.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.of)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _message(self, deadline):
        while b"\0" not in self.data:
            if not select.select([self.of], [], [], max(0, deadline - time.monotonic()))[0]:
                raise BrowserError(f"the browser does not answer; it said: {self.said()}")
            got = os.read(self.of, 65536)
            if not got:
                raise BrowserError(f"the browser ended; it said: {self.said()}")
            self.data += got
        message, self.data = self.data.split(b"\0", 1)
        return json.loads(message)

    def said(self):
        return (pathlib.Path(self.folder) / "log").read_text(errors="replace")[-2000:]

    def call(self, method, session=None, **parameters):
        """A command of the protocol, and its result; what happens meanwhile is kept in `events`."""
        self.n += 1
        call = {"id": self.n, "method": method, "params": parameters}
        if session:
            call["sessionId"] = session
        data = json.dumps(call).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data):]
        deadline = time.monotonic() + SECONDS
        while True:
            message = self._message(deadline)
            if message.get("id") != self.n:
                self.events.append(message)
                continue
            if "error" in message:
                raise BrowserError(f"{method}: {message['error']}")
            return message["result"]

    def open(self, url, **how):
        return Page(self, url, **how)


class Page:
    """A tab."""

    def __init__(self, browser, url, width=1200, height=900, dark=False):
        self.browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.target = target
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Accessibility"):
            self.call(domain + ".enable")
        self.look(width, height, dark)
        self.call("Page.navigate", url=url)

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def look(self, width, height, dark=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def get(self, expression):
        """The value of an expression of JavaScript, or of what it promises."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise BrowserError(f"{expression}: {details.get('exception', {}).get('description', details['text'])}")
        return result["result"].get("value")

    def wait(self, expression, what=""):
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                value = self.get(expression)
                if value:
                    return value
            except BrowserError as error:
                # Between two documents there is none.
                if time.monotonic() > deadline:
                    raise
                value = error
            if time.monotonic() > deadline:
                raise BrowserError(f"waited in vain for {what or expression}; the last was {value!r}; complaints: {self.complaints()}")
            time.sleep(0.05)

    def press(self, key, times=1, shift=False):
        """A key, as from a keyboard."""
        code, text = KEYS[key]
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                self.call("Input.dispatchKeyEvent", type=kind, key=key, code="Space" if key == " " else key, windowsVirtualKeyCode=code,
                          modifiers=SHIFT if shift else 0, **({"text": text} if text and kind == "keyDown" else {}))

    def type(self, text):
        self.call("Input.insertText", text=text)

    def complaints(self):
        """What the page's code threw, or the browser had to say against it, so far."""
        # An answer brings what came before it.
        self.call("Runtime.evaluate", expression="0")
        found = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            if event["method"] == "Runtime.exceptionThrown":
                details = event["params"]["exceptionDetails"]
                found.append(details.get("exception", {}).get("description", details["text"]))
            if event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                entry = event["params"]["entry"]
                found.append(f"{entry['text']} {entry.get('url', '')}")
        return found

    def forget(self):
        """What it complained of was meant."""
        self.browser.events.clear()

    def nodes(self):
        """The accessibility tree, as a screen reader has it: (role, name, properties) of each node that it is told of."""
        tree = self.call("Accessibility.getFullAXTree")["nodes"]
        return [(n.get("role", {}).get("value"), n.get("name", {}).get("value", ""),
                 {p["name"]: p["value"].get("value") for p in n.get("properties", [])}) for n in tree if not n.get("ignored")]

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png", captureBeyondViewport=False)["data"]))
