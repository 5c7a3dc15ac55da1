#!/usr/bin/python3
"""The page in Cockpit, in Debian's Chromium, by Debian's cockpit-ws and cockpit-bridge, with the real daemon and devices that
umockdev pretends. Screenshots are kept in FOLDER.
usage: test-cockpit-page.py USBROUTED USBROUTECTL MOCK-HOST PAGE-SOURCE FOLDER [TEST…]"""

import importlib.util
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import unittest

import browser

sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("process", pathlib.Path(__file__).with_name("test-control-process.py"))
process = importlib.util.module_from_spec(spec)
spec.loader.exec_module(process)
spec = importlib.util.spec_from_file_location("frontend", pathlib.Path(__file__).parent.with_name("lab") / "raw_frontend.py")
frontend = importlib.util.module_from_spec(spec)
spec.loader.exec_module(frontend)

SOURCE, PICTURES = map(pathlib.Path, sys.argv[4:6])
HERE = pathlib.Path(__file__).parent
WS = "/usr/lib/cockpit/cockpit-ws"
NOBODY = 65534
CONFIG = "[vm vm1]\n[vm vm2]\n[device keyboard]\nmatch = id=046d:c31c\nvms = vm1\n"
# Names that would be markup, that turn the text around, that have no end, and no place to break.
MARKUP = "<img src=x onerror=document.title='owned'>"
TURNED = "abc\u202edrowssap\u2066"
LONG = "W" * 126

# What the tests ask the page.
ROWS = "[...document.querySelectorAll('#devices > tr:not(.panel):not([hidden])')]"
ROW = ROWS + ".find(r => r.querySelector('.name').textContent === {0!r})"
TONE = ROW + "?.querySelector('.tone').textContent"
WANTED = ROW + "?.cells[2].textContent"
PANEL = ROW + ".nextElementSibling"
CHOICE = "[..." + PANEL + ".querySelectorAll('.choices button')].find(b => b.dataset.vm === {1!r})"
OUTCOME = PANEL + ".querySelector('.outcome').textContent"
TEXT = "document.body.innerText"
FOCUSED = "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent || document.activeElement.id"


def setUpModule():
    global chromium
    PICTURES.mkdir(parents=True, exist_ok=True)
    chromium = browser.Browser()
    unittest.addModuleCleanup(chromium.close)


class Cockpit(process.Process):
    """A Cockpit of its own, whose user needs no login, as the tests' user or another one."""

    def cockpit(self, uid=0):
        home = self.folder / f"home-{uid}"
        page = home / "data" / "cockpit" / "usbrouted"
        shutil.copytree(SOURCE, page, ignore=shutil.ignore_patterns("meson.build"))
        shutil.copytree(HERE / "cockpit-unit", page.with_name("usbrouted-unit"))
        (home / "etc" / "cockpit").mkdir(parents=True)
        # As an administrator says where the socket is, who has moved it.
        (home / "etc" / "cockpit" / "usbrouted.override.json").write_text(json.dumps({"config": {"socket": str(self.control)}}))
        self.folder.chmod(0o755)
        for path in (home, *home.rglob("*")):
            os.chown(path, uid, uid)
        listener = socket.create_server(("127.0.0.1", 0))
        words = [WS, "--no-tls", "--local-session=cockpit-bridge"]
        if uid:
            words = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *words]
        # The socket that it serves is handed to it, as systemd does (sd_listen_fds(3)).
        log = open(self.folder / f"cockpit-{uid}.log", "wb")
        p = subprocess.Popen(["sh", "-c", f'exec 3<&{listener.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"', "sh", *words],
                             pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                             cwd=home, env={"PATH": os.environ["PATH"], "HOME": str(home), "XDG_DATA_DIRS": f"{home}/data:/usr/share",
                                            "XDG_CONFIG_DIRS": f"{home}/etc", "XDG_RUNTIME_DIR": str(home), "LANG": "C.UTF-8"})
        log.close()

        def end():
            p.terminate()
            p.wait(process.SECONDS)
        self.addCleanup(end)
        port = listener.getsockname()[1]
        listener.close()
        return f"http://127.0.0.1:{port}/cockpit/@localhost/usbrouted"

    def open(self, url=None, **how):
        page = chromium.open((url or self.cockpit()) + "/index.html", **how)
        self.addCleanup(page.close)
        self.addCleanup(lambda: self.assertEqual(page.complaints(), []))
        return page

    def picture(self, page, name):
        page.screenshot(PICTURES / f"{name}.png")

    def tab_to(self, page, label, most=40):
        for _ in range(most):
            page.press("Tab")
            if page.get(FOCUSED) == label:
                return
        self.fail(f"the Tab key does not come to {label!r}; it is at {page.get(FOCUSED)!r}")

    def open_panel(self, page, name):
        page.wait(f"!!({ROW.format(name)})")
        page.get(ROW.format(name) + ".querySelector('button').click()")
        page.wait(PANEL.format(name) + ".querySelectorAll('dt').length > 3", "why")


class Unit(Cockpit):
    def test_units(self):
        """The page's own logic, in the browser: tests/device/cockpit-unit."""
        page = self.open(self.cockpit() + "-unit")
        said = page.wait("window.finished && document.body.innerText")
        print(said)
        self.assertRegex(said.splitlines()[-1], r"^[1-9]\d* passed, 0 failed$")


class Page(Cockpit):
    def test_devices_and_vms_and_a_choice_by_the_keyboard(self):
        self.host.add("1-1", "046d:c31c", "Logitech", "USB Keyboard", "ABC")
        self.host.add("1-2", "0951:1666", "Kingston", "Data Traveler", "E0D")
        self.start(CONFIG)
        page = self.open()
        page.wait("document.getElementById('summary').textContent === '2 devices, 0 with a VM.'")
        self.assertEqual(page.get(ROWS + ".map(r => r.querySelector('.name').textContent)"), ["keyboard", "Kingston Data Traveler"])
        self.assertEqual(page.get("[...document.querySelectorAll('#vms strong')].map(v => v.textContent)"), ["vm1", "vm2"])
        self.picture(page, "devices")
        # What happens elsewhere is seen here.
        self.host.add("1-3", "1234:5678", "Acme", "Mouse", "1")
        page.wait(TONE.format("Acme Mouse") + " === 'with this host'")
        self.remove("1-3")
        page.wait(f"!({ROW.format('Acme Mouse')})")
        self.assertEqual(self.ctl("attach", "serial=E0D", "vm2", "--no-wait")[0], 0)
        page.wait(TONE.format("Kingston Data Traveler") + " === 'waiting for vm2'")
        self.assertIn("vm2 is not connected", page.get(ROW.format("Kingston Data Traveler") + ".innerText"))
        self.assertEqual(self.ctl("undo")[0], 0)
        page.wait(TONE.format("Kingston Data Traveler") + " === 'with this host'")
        # By the keyboard alone: opened, chosen, undone, closed.
        page.get("document.getElementById('undo').focus()")
        self.tab_to(page, "Change where keyboard, port 1-1, should be")
        page.press("Enter")
        page.wait(PANEL.format("keyboard") + ".querySelectorAll('dt').length > 3", "why")
        page.press("Tab", 2)
        self.assertEqual(page.get("document.activeElement.dataset.vm"), "vm1")
        page.press(" ")
        page.wait(OUTCOME.format("keyboard") + " === 'pending: keyboard goes to vm1 when vm1 is connected'")
        page.wait(TONE.format("keyboard") + " === 'waiting for vm1'")
        page.wait(CHOICE.format("keyboard", "vm1") + ".getAttribute('aria-pressed') === 'true'")
        self.assertEqual(page.get("document.activeElement.dataset.vm"), "vm1")
        self.assertIn("(off)", page.get(CHOICE.format("keyboard", "vm1") + ".textContent"))
        page.wait(f"/should be\\s+in vm1: a command says so, and it hangs on the name keyboard/.test({PANEL.format('keyboard')}.innerText)",
                  "the new reason")
        self.picture(page, "chosen")
        page.press("Escape")
        self.assertEqual(page.get(FOCUSED), "Change where keyboard, port 1-1, should be")
        self.assertTrue(page.get(PANEL.format("keyboard") + ".hidden"))
        page.get("document.getElementById('undo').focus()")
        page.press("Enter")
        page.wait(WANTED.format("keyboard") + " === 'this host'")
        page.wait("document.getElementById('outcome').textContent !== ''")
        # A wish of the page hangs on the device, not on the port that it is in.
        self.open_panel(page, "Kingston Data Traveler")
        page.get(CHOICE.format("Kingston Data Traveler", "vm2") + ".click()")
        page.wait(TONE.format("Kingston Data Traveler") + " === 'waiting for vm2'")
        (reply,) = self.call("Show", device="port=1-2")
        self.assertIn("serial", reply["parameters"]["device"]["wish_on"])
        # And what happened can be read.
        page.get("document.querySelector('details').open = true")
        page.wait(f"/Kingston Data Traveler: should be in vm2/.test({TEXT})")
        self.assertIn("Acme Mouse: unplugged", page.get(TEXT))

    def test_why_and_refusals(self):
        self.host.add("1-1", "046d:c31c", "Logitech", "USB Keyboard", "ABC")
        self.start(CONFIG)
        page = self.open()
        self.open_panel(page, "keyboard")
        page.wait(f"/not allowed: \\[device keyboard\\] vms/.test({CHOICE.format('keyboard', 'vm2')}.textContent)")
        page.get(CHOICE.format("keyboard", "vm2") + ".click()")
        page.wait(OUTCOME.format("keyboard") + " === 'Not allowed: [device keyboard] vms.'")
        self.assertEqual(page.get(WANTED.format("keyboard")), "this host")
        self.picture(page, "refused")
        # It is unplugged while its row is open: the focus goes to the search, the choice to nobody else.
        page.get(CHOICE.format("keyboard", "vm1") + ".focus()")
        self.remove("1-1")
        page.wait("document.getElementById('summary').textContent === 'No USB device is plugged in.'")
        self.assertEqual(page.get("document.activeElement.id"), "search")

    def test_an_attach_that_fails_in_a_vm_that_is_up(self):
        self.host.add("1-1", "046d:c31c", "Logitech", "USB Keyboard", "ABC")
        self.start(CONFIG)
        page = self.open()
        self.open_panel(page, "keyboard")
        vm = "document.querySelector('#vms li').innerText"
        self.assertIn("vm1 off", page.get(vm))
        front = frontend.Frontend(str(self.control.parent / "vm1.sock"))
        front.start()
        page.wait(f"/vm1 ✓? ?running/.test({vm})")
        # The machine has no such device: it can't be opened.
        page.get(CHOICE.format("keyboard", "vm1") + ".click()")
        page.wait(f"/^It did not work: /.test({OUTCOME.format('keyboard')})")
        self.picture(page, "failed")
        self.assertEqual(page.get(WANTED.format("keyboard")), "this host")
        front.close()
        page.wait(f"/vm1 off/.test({vm})")

    def test_a_user_without_rights(self):
        self.host.add("1-1", "046d:c31c", "Logitech", "USB Keyboard", "ABC")
        self.start(CONFIG)
        url = self.cockpit(NOBODY)
        page = self.open(url)
        self.open_panel(page, "keyboard")
        page.wait(f"/you may not: /.test({CHOICE.format('keyboard', 'vm1')}.textContent)")
        page.get(CHOICE.format("keyboard", "vm1") + ".click()")
        page.wait(f"/^Not allowed: .*usbrouted/.test({OUTCOME.format('keyboard')})")
        self.picture(page, "no-rights")
        page.get("document.getElementById('undo').click()")
        page.wait("/^Not allowed: /.test(document.getElementById('outcome').textContent)")
        # A folder that others may not enter.
        self.control.parent.chmod(0o700)
        locked = self.open(url)
        locked.wait(f"/You have no access to usbrouted/.test({TEXT})")
        self.picture(locked, "no-access")

    def test_the_daemon_is_not_running_and_comes_back(self):
        self.host.add("1-1", "046d:c31c", "Logitech", "USB Keyboard", "ABC")
        self.control.parent.mkdir()
        page = self.open()
        page.wait(f"/usbrouted is not running/.test({TEXT})")
        self.picture(page, "not-running")
        self.start(CONFIG)
        (self.folder / "notify").unlink()
        page.wait("document.getElementById('problem').hidden")
        self.open_panel(page, "keyboard")
        page.get(CHOICE.format("keyboard", "vm1") + ".focus()")
        self.stop()
        page.wait(f"/usbrouted is not running|usbrouted does not answer/.test({TEXT})")
        # What is known stays, and a command says what became of it.
        page.get(CHOICE.format("keyboard", "vm1") + ".click()")
        page.wait(f"/^The connection to usbrouted ended/.test({OUTCOME.format('keyboard')})")
        self.picture(page, "gone")
        self.start(CONFIG)
        page.wait("document.getElementById('problem').hidden")
        self.assertEqual(page.get("document.activeElement.dataset.vm"), "vm1")

    def test_what_answers_is_not_the_daemon(self):
        """A program that talks otherwise, and one that never ends a message, are told of, and cost nothing more."""
        self.control.parent.mkdir()
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(str(self.control))
            s.listen()
            s.settimeout(process.SECONDS)
            page = self.open()
            with s.accept()[0] as client:
                client.sendall(b"HTTP/1.1 400 Bad Request\0")
                page.wait(f"/What answers is not usbrouted/.test({TEXT})")
            with s.accept()[0] as client:
                client.settimeout(process.SECONDS)
                try:
                    while True:
                        client.sendall(b"x" * 65536)
                except OSError:
                    pass    # the page has hung up
            with s.accept()[0] as client:
                client.recv(4096)
                client.sendall(b'{"error":"org.varlink.service.MethodNotFound","parameters":{"method":"io.usbrouted.Monitor"}}\0')
                page.wait(f"/usbrouted is too old for this page/.test({TEXT})")

    def test_names_that_strangers_chose(self):
        self.host.add("1-1", "1111:0001", MARKUP, MARKUP, MARKUP)
        self.host.add("1-2", "1111:0002", TURNED, TURNED, TURNED)
        self.host.add("1-3", "1111:0003", LONG, LONG, LONG)
        self.host.add("1-4", "1111:0004", "&lt;b&gt;", "${alert(1)}", "'\"><script>document.title='owned'</script>")
        self.start("[vm vm1]\n")
        page = self.open()
        page.wait("document.getElementById('summary').textContent === '4 devices, 0 with a VM.'")
        self.assertIn(MARKUP, page.get(TEXT))
        self.assertIn("&lt;b&gt; ${alert(1)}", page.get(TEXT))
        for name in page.get(ROWS + ".map(r => r.querySelector('.name').textContent)"):
            self.open_panel(page, name)
        page.get(f"for (const b of document.querySelectorAll('.choices button[data-vm=vm1]')) b.click()")
        page.wait(ROWS + ".every(r => r.querySelector('.tone').textContent === 'waiting for vm1')")
        page.get("document.querySelector('details').open = true")
        self.assertEqual(page.get("document.querySelectorAll('#page img, #page script, #page b').length"), 0)
        self.assertEqual(page.get("document.title"), "USB devices")
        for c in "\u202e\u2066":
            self.assertNotIn(c, page.get("document.documentElement.outerHTML"))
        self.assertLessEqual(page.get("document.documentElement.scrollWidth"), 1200)
        self.picture(page, "strangers")
        page.look(360, 740)
        self.assertLessEqual(page.get("document.documentElement.scrollWidth"), 360)
        self.picture(page, "strangers-narrow")
        self.assertEqual(page.complaints(), [])
        # Nothing can be put in as markup: the browser itself refuses it.
        self.assertEqual(page.get("(() => { try { document.body.innerHTML = '<b>x</b>'; } catch (e) { return e.name; } return 'taken'; })()"), "TypeError")
        self.assertRegex(page.complaints().pop(), "TrustedHTML")
        page.forget()

    def test_what_a_screen_reader_is_told(self):
        self.host.add("1-1", "046d:c31c", "Logitech", "USB Keyboard", "ABC")
        self.host.add("1-2", "046d:c31d", "Logitech", "USB Keyboard", "")
        self.start(CONFIG)
        page = self.open()
        self.open_panel(page, "keyboard")
        nodes = page.nodes()
        acted = [(role, name) for role, name, _ in nodes if role in ("button", "searchbox", "combobox", "link", "textbox")]
        self.assertTrue(all(name.strip() for _, name in acted), acted)
        self.assertEqual(len(set(acted)), len(acted), f"two of these have the same name: {acted}")
        self.assertIn(("button", "Change where keyboard, port 1-1, should be"), acted)
        self.assertIn(("searchbox", "Find"), acted)
        roles = [role for role, _, _ in nodes]
        for role in ("main", "heading", "table", "columnheader", "status", "group"):
            self.assertIn(role, roles)
        self.assertIn(("table", "Devices"), [(role, name) for role, name, _ in nodes])
        opened = [p for role, name, p in nodes if name == "Change where keyboard, port 1-1, should be" and "expanded" in p]
        self.assertEqual([p["expanded"] for p in opened], [True])
        # Narrow, the rows are cards to the eye, and a table all the same.
        page.look(360, 740)
        narrow = [role for role, _, _ in page.nodes()]
        self.assertEqual(narrow.count("row"), roles.count("row"))
        self.assertEqual(narrow.count("columnheader"), 4)

    def test_dark_and_narrow(self):
        self.host.add("1-1", "046d:c31c", "Logitech", "USB Keyboard", "ABC")
        self.start(CONFIG)
        page = self.open(dark=True)
        self.open_panel(page, "keyboard")
        color = "getComputedStyle(document.body).backgroundColor"
        self.assertEqual(page.get(color), "rgb(21, 21, 21)")
        self.picture(page, "dark")
        # The user's own choice in Cockpit wins over the system's.
        page.get("localStorage.setItem('shell:style', 'light'); window.dispatchEvent(new CustomEvent('cockpit-style', {detail: {style: 'light'}}))")
        self.assertEqual(page.get(color), "rgb(240, 240, 240)")
        page.get("localStorage.clear()")
        page.look(360, 740)
        self.picture(page, "narrow")
        self.assertLessEqual(page.get("document.documentElement.scrollWidth"), 360)
        self.assertTrue(page.get("[...document.querySelectorAll('button, input, select')].filter(b => b.offsetParent)"
                                 ".every(b => b.getBoundingClientRect().right <= 360)"))


class Many(process.ManyDevices, Cockpit):
    def test_two_hundred_devices(self):
        self.start("".join(f"[vm vm{i}]\n" for i in range(1, 13)))
        page = self.open()
        page.wait(ROWS + ".length === 200")
        self.picture(page, "many")
        # Found by words that are typed, and moved, among all of them.
        page.get("document.getElementById('search').focus()")
        page.type("1-7.3")
        page.wait(ROWS + ".length === 1")
        self.assertEqual(page.get("document.getElementById('found').textContent"), "1 of 200")
        line = ROWS + "[0]"
        page.get(f"window.line = {line}; line.querySelector('button').focus()")
        page.press("Enter")
        page.wait("line.nextElementSibling.querySelectorAll('.choices button').length === 13")
        page.wait("line.nextElementSibling.querySelectorAll('dt').length > 3")
        page.press("Tab", 3)
        self.assertEqual(page.get("document.activeElement.dataset.vm"), "vm2")
        page.press("Enter")
        page.wait("line.querySelector('.tone').textContent === 'waiting for vm2'")
        # Others change meanwhile: this row is the same one, and has the focus still.
        self.assertEqual(self.ctl("attach", "port=1-1.1", "vm1", "--no-wait")[0], 0)
        page.wait("/2 not where they should be/.test(document.getElementById('summary').textContent)")
        self.assertTrue(page.get(f"line === {line} && document.activeElement.dataset.vm === 'vm2'"))
        page.get("document.getElementById('search').value = ''; document.getElementById('search').dispatchEvent(new Event('input'))")
        page.wait(ROWS + ".length === 200")
        page.get("document.getElementById('which').value = 'misplaced'; document.getElementById('which').dispatchEvent(new Event('change'))")
        page.wait(ROWS + ".length === 2")
        self.picture(page, "many-misplaced")


if __name__ == "__main__":
    if not (browser.program() and os.path.exists(WS)):
        sys.exit(f"not on this machine: {' or '.join(browser.PROGRAMS)}, or {WS}: sudo tests/deps installs them")
    unittest.main(argv=[sys.argv[0], *sys.argv[6:]], verbosity=2)
