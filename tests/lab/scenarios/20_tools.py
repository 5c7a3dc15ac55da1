"""What tells of the daemon's work: events, top and stats, doctor, with real devices and real guests."""

import json
import re

from lab.agent import agent_in, wait_agent
from lab.scenario import check, scenario

# What a guest's administrator has written. The first and the last keep usbrouted out. The second is Debian's own example
# (/usr/share/doc/nftables/examples/workstation.nft): it lets in what the guest has asked for.
DROPS_IMPORTS = "table inet f { chain o { type filter hook output priority 0; tcp dport 3240 drop; }; }"
WORKSTATION = """table inet f { chain i { type filter hook input priority 0; iif lo accept; ct state established,related accept;
    icmpv6 type { nd-neighbor-solicit, nd-router-advert, nd-neighbor-advert } accept; counter drop; }; }"""
DROPS_ANSWERS = "table inet f { chain i { type filter hook input priority 0; policy drop; iif lo accept; }; }"


def told(lab, until, what):
    """The events so far, as soon as @until holds of their kinds."""
    for _ in range(600):
        events = [json.loads(line) for line in lab.board.text("cat /tmp/events").splitlines() if line.endswith("}")]
        if until([e["event"] for e in events]):
            return events
    check(False, f"{what}: {events}")


def doctor(lab, words=""):
    """What is to be mended, by check and what it is about."""
    result = lab.daemon.ctl(f"--json doctor {words}")
    found = {(c["name"], c["about"]): c for c in json.loads(result.out)["checks"] if c["verdict"] != "good"}
    check(result.rc == (9 if found else 0), f"doctor: {result.rc}: {found}")
    return found


@scenario("events-and-stats")
def events_and_stats(lab):
    lab.spawn(lab.board, lab.daemon.command("--json events") + " >/tmp/events")
    told(lab, lambda kinds: kinds == ["listening"], "it listens")
    found = doctor(lab)
    check({("agent", "vm1"), ("agent", "vm2")} <= set(found), f"doctor without agents: {found}")
    agent_in(lab, lab.vm1)
    check(("agent", "vm1") not in doctor(lab, "vm1"), "doctor finds no agent in vm1, where one is")
    check(lab.daemon.json("stats")["stats"] == [], "stats of what no VM has")
    events = lab.events(lab.vm1)
    lab.daemon.ctl_ok("attach keyboard vm1 --wait 60")
    events.wait_keyboard()
    seen = told(lab, lambda kinds: "ready" in kinds, "the guest has it")
    kinds = [e["event"] for e in seen]
    check(kinds == ["listening", "wanted", "routed", "attached", "ready"], f"events of an attach: {kinds}")
    ready = seen[-1]
    check((ready["alias"], ready["vm"]) == ("keyboard", "vm1"), f"ready: {ready}")
    check(all(ready[part] is not None and 0 <= ready[part] <= ready["milliseconds"]
              for part in ("daemon_ms", "import_ms", "guest_ms")), f"times: {ready}")

    (before,) = lab.daemon.json("stats keyboard")["stats"]
    check(before["urbs"] > 0 and before["in_bytes"] > 0, f"stats: {before}")
    lab.key(events)
    (after,) = lab.daemon.json("stats keyboard")["stats"]
    # A press and a release, each a report of a URB; polls go on after them.
    check(after["urbs"] >= before["urbs"] + 2 and after["in_bytes"] > before["in_bytes"], f"after a key: {before} {after}")
    check(after["answer"]["count"] >= 1 and after["device"]["count"] >= 1, f"times after a key: {after}")
    check(sum(after["answer"]["classes"]) == after["answer"]["count"], f"histogram: {after}")
    check(0 < after["device"]["p50_us"] <= after["device"]["p99_us"] <= after["device"]["most_us"], f"times: {after}")
    text = lab.daemon.ctl_ok("stats --prometheus")
    check(re.search(r'usbrouted_device_urbs_total\{device="keyboard",[^}]*vm="vm1"\} [1-9]', text), text)
    table = lab.daemon.ctl_ok("top")
    check(re.search(r"keyboard +vm1 +\d+ ", table), f"top: {table}")

    lab.daemon.ctl_ok("detach keyboard")
    seen = told(lab, lambda kinds: kinds.count("routed") == 2, "it goes home")
    kinds = [e["event"] for e in seen[5:]]
    check(set(kinds) == {"wanted", "detached", "routed"} and seen[5]["wanted_by"] == "command", f"events of a detach: {seen[5:]}")
    lab.vm2.stop()
    told(lab, lambda kinds: kinds[-1] == "vm_down", "vm2 is off")
    check(("card", "vm2") in doctor(lab, "vm2"), "doctor says nothing of a VM that is off")
    lab.vm2.start()
    told(lab, lambda kinds: "vm_up" in kinds, "vm2 is on")
    lab.vm2.wait_up()


@scenario("doctor-program")
def doctor_program(lab):
    """A program of the host's that drives the device by usbfs is named."""
    lab.daemon.ctl_ok("attach keyboard vm1 --no-wait")
    lab.daemon.wait_device("keyboard", state="exported")
    check(not any(name == "program" for name, _ in doctor(lab)), "a program is found where there is none")
    busid = lab.daemon.find("keyboard")["busid"]
    lab.spawn(lab.board, f"d=/sys/bus/usb/devices/{busid}; exec sleep 1000 9<>$(printf /dev/bus/usb/%03d/%03d $(cat $d/busnum $d/devnum))")
    for _ in range(100):
        found = [c for (name, _), c in doctor(lab).items() if name == "program"]
        if found:
            break
    check(len(found) == 1 and re.search(r"sleep \(pid \d+\)", found[0]["found"]), f"doctor: {found}")


def _firewall(lab, rules=""):
    """These rules, and no others, in vm1."""
    lab.vm1.run("nft -f -", stdin=f"flush ruleset\n{rules}\n".encode(), check=True)


def _found(lab, name, words):
    """Wait until doctor finds that of vm1; it must say these words, and how to mend it."""
    for _ in range(300):
        one = doctor(lab, "vm1").get((name, "vm1"), {"found": "nothing"})
        if words in one["found"]:
            break
    check(words in one["found"], f"doctor says of {name}: {one}")
    check("firewall" in one["mend"] and "3240 and 3241 of 10.77.0.1" in one["mend"], f"doctor does not say what mends {name}: {one}")
    lab.say(f"{name}: {one['found']}")


def _nothing_found(lab):
    """The keyboard comes to vm1 by its agent, and doctor has nothing to say of that."""
    lab.daemon.wait_device("keyboard", timeout=180, state="attached", actual="vm1")
    found = [name for name, about in doctor(lab, "vm1") if about == "vm1"]
    check(not found, f"doctor finds {found} where nothing is wrong")


@scenario("doctor-firewall", quick=False, seconds=1800, machines=("amd64",))
def doctor_firewall(lab):
    """A guest's own firewall: what it drops is found by doctor, where that can be seen from here, and what it lets through is not."""
    lab.vm1.install("nft")
    lab.vm1.run("modprobe -a nf_tables nft_ct", check=True)
    events = lab.events(lab.vm1)
    _firewall(lab, DROPS_IMPORTS)
    job = agent_in(lab, lab.vm1)
    said = lab.vm1.run("usbroute-agent --check").out.decode()
    check(re.search("missing: usbrouted does not answer at .*TCP 3240 .*firewall", said), f"--check says: {said}")
    lab.daemon.ctl_ok("attach keyboard vm1 --no-wait")
    _found(lab, "import", "it is offered to vm1, which can't get it")
    _firewall(lab)
    events.wait_keyboard()
    _nothing_found(lab)

    # One that is in nobody's way: it comes after the agent's connection, of which it learns by what the agent sends. Also when the
    # process dies that the guest has its device from.
    lab.daemon.ctl_ok("detach keyboard")
    events.wait(["device", "*", "remove"])
    _firewall(lab, WORKSTATION)
    lab.daemon.ctl_ok("attach keyboard vm1 --no-wait")
    events.wait(["device", "*", "add"], timeout=300)
    _nothing_found(lab)
    lab.board.run("kill -9 $(pgrep -x vm:vm1)", check=True)
    events.wait(["device", "*", "remove"])
    events.wait_keyboard()
    _nothing_found(lab)
    lab.key(events)
    lab.daemon.ctl_ok("detach keyboard")
    events.wait(["device", "*", "remove"])

    # The agent is connected, and hears nothing any more.
    _firewall(lab, DROPS_ANSWERS)
    lab.daemon.ctl_ok("attach keyboard vm1 --no-wait")
    _found(lab, "import", "neither got it nor said why")
    _firewall(lab)
    events.wait_keyboard()
    _nothing_found(lab)

    # It comes after the rules.
    job.kill()
    wait_agent(lab, lab.vm1, there=False)
    lab.daemon.ctl_ok("detach keyboard")
    _firewall(lab, DROPS_ANSWERS)
    lab.spawn(lab.vm1, "exec usbroute-agent --verbose 2>/tmp/agent.log")
    _found(lab, "firewall", "does not hear the answers")
    _found(lab, "agent", "or none gets through")
    _firewall(lab)
    wait_agent(lab, lab.vm1)
    lab.daemon.ctl_ok("attach keyboard vm1 --wait 60", timeout=120)
    _nothing_found(lab)
    check(re.search("vm1: its guest asks for connections, and does not hear the answers", lab.daemon.log()), "the daemon's log says nothing of it")
