"""usbroute-agent in the guests: what is routed to one comes by itself, again and again, and nobody types a line."""

import re

from lab.agent import agent_in, agent_of, local_devices, wait_agent
from lab.daemon import ADDRESS
from lab.scenario import KEYS, check, scenario

WAIT = "--wait 60"


def attach(lab, guest, device="keyboard"):
    """attach returns when the guest has the device, and says in how many ms."""
    result = lab.daemon.ctl(f"attach {device} {guest.name} {WAIT}", timeout=120)
    said = (result.out + result.err).decode()
    check(result.rc == 0, f"attach {device} {guest.name}: {result.rc}: {said}\nits agent said:\n"
          + guest.text("cat /tmp/agent.log"))
    check(re.search(r"\d+(\.\d+)? ?ms", said), f"attach does not say how long it took: {said!r}")
    check("usbip attach" not in said, f"attach tells a line to type, where an agent is: {said!r}")
    lab.say(f"{device} to {guest.name}: {said.strip()}")
    return said


@scenario("agent-attach")
def agent_attach(lab):
    agent_in(lab, lab.vm1)
    vm = agent_of(lab, lab.vm1)
    check(re.match(r"\d", vm["agent"]) and vm["ports_free_high"] and vm["ports_free_super"], f"vms: {vm}")
    free = vm["ports_free_high"]
    check(agent_of(lab, lab.vm2)["agent"] is None, "vm2 has an agent")
    events = lab.events(lab.vm1)
    attach(lab, lab.vm1)
    # Not only the connection is there: the kernel has set the configuration by the time attach returns.
    have = local_devices(lab.vm1)
    check(len(have) == 1 and have[0].endswith(" 1"), f"when attach returns, vm1 has {have}")
    check(lab.daemon.find("keyboard")["state"] == "attached", f"keyboard: {lab.daemon.find('keyboard')}")
    events.wait_keyboard()
    lab.key(events)
    vm = agent_of(lab, lab.vm1)
    check(vm["ports_free_high"] == free - 1 and vm["devices"] == ["keyboard"], f"vms with the keyboard: {vm}")
    shown = lab.vm1.text("usbip port 2>&1")
    busid = lab.daemon.find("keyboard")["busid"]
    check(f":3240/{busid}" in shown, f"`usbip port` in vm1 says: {shown}")
    result = lab.daemon.ctl(f"attach keyboard vm1 {WAIT}")
    check(result.rc == 0 and b"already" in result.out + result.err, f"attach once more: {result}")
    lab.daemon.ctl_ok("detach keyboard")
    events.wait(["device", "*", "remove"])
    lab.vm1.wait("! ls /var/run/vhci_hcd/ | grep -q port", what="its file of `usbip port` gone")


@scenario("agent-switch")
def agent_switch(lab):
    agent_in(lab, lab.vm1)
    agent_in(lab, lab.vm2)
    on_board = lab.events(lab.board)
    seen = {guest.name: lab.events(guest) for guest in (lab.vm1, lab.vm2)}
    for guest, other in ((lab.vm1, lab.vm2), (lab.vm2, lab.vm1)) * 2:
        attach(lab, guest)
        seen[guest.name].wait_keyboard()
        lab.settle(seen[other.name])
        at, at_board = len(seen[other.name].seen), len(on_board.seen)
        lab.key(seen[guest.name])
        lab.no_key(seen[other.name], at)
        lab.no_key(on_board, at_board)
    check(not local_devices(lab.vm1), f"vm1 still has {local_devices(lab.vm1)}")


@scenario("agent-replug")
def agent_replug(lab):
    _replug(lab, 2)


@scenario("agent-replug-20-times", quick=False, seconds=1800)
def agent_replug_often(lab):
    _replug(lab, 20)


def _replug(lab, times):
    agent_in(lab, lab.vm1)
    events = lab.events(lab.vm1)
    attach(lab, lab.vm1)
    events.wait_keyboard()
    for _ in range(times):
        lab.board.unplug("keyboard")
        events.wait(["device", "*", "remove"])
        lab.daemon.wait_gone("keyboard")
        lab.board.plug("keyboard")
        events.wait_keyboard()
        lab.key(events)
    lab.vm1.wait("[ $(ls /var/run/vhci_hcd | wc -l) = 1 ]", what="one file of `usbip port`")


@scenario("agent-daemon-restart")
def agent_daemon_restart(lab):
    _daemon_again(lab, lab.daemon.stop, 1)


def _daemon_again(lab, end, times):
    """The daemon ends and comes again under a running guest: the agent brings the device back."""
    agent_in(lab, lab.vm1)
    events = lab.events(lab.vm1)
    attach(lab, lab.vm1)
    events.wait_keyboard()
    lab.key(events)
    for _ in range(times):
        end()
        lab.daemon.start()
        events.wait(["device", "*", "remove"])
        events.wait_keyboard()
        lab.daemon.wait_device("keyboard", state="attached", actual="vm1")
        wait_agent(lab, lab.vm1)
        lab.settle(events)
        lab.key(events, "b")
        check(len(local_devices(lab.vm1)) == 1, f"vm1 has {local_devices(lab.vm1)}")
        lab.vm1.wait("[ $(ls /var/run/vhci_hcd | wc -l) = 1 ]", what="one file of `usbip port`")
    # And the new daemon knows that the guest has it.
    result = lab.daemon.ctl(f"attach keyboard vm1 {WAIT}", timeout=120)
    check(result.rc == 0 and b"already" in result.out + result.err, f"attach once more: {result}")


def _connection(guest):
    """The agent's end of its connection, as the guest's kernel has it: address, port and inode."""
    return guest.text("cat /proc/net/tcp /proc/net/tcp6 | awk '$3 ~ /:0CA9$/ && $4 == \"01\" {print $2, $10}'")


def _keyboard_by_agent(lab):
    """vm1's agent has imported the keyboard, and it works: its events, and the agent's connection."""
    agent_in(lab, lab.vm1)
    events = lab.events(lab.vm1)
    attach(lab, lab.vm1)
    events.wait_keyboard()
    lab.key(events)
    connection = _connection(lab.vm1)
    check(connection and "\n" not in connection, f"the agent's connections: {connection!r}")
    return events, connection


@scenario("agent-without-daemon")
def agent_without_daemon(lab):
    """No daemon is there: the guest's own process goes on, and its agent notices nothing."""
    events, had = _keyboard_by_agent(lab)
    lab.daemon.kill()
    lab.key(events, "b")
    has, said = _connection(lab.vm1), lab.vm1.text("cat /tmp/agent.log")
    check(has == had and "is over" not in said, f"the agent had {had}, has {has} and says: {said}")
    lab.daemon.start()
    wait_agent(lab, lab.vm1)
    lab.daemon.wait_device("keyboard", state="attached", actual="vm1")


@scenario("agent-outlives-daemon")
def agent_outlives_daemon(lab):
    """The daemon is killed, stopped, killed under a key that is held: the agent keeps its connection, the device its port."""
    events, connection = _keyboard_by_agent(lab)
    had, at = (local_devices(lab.vm1), connection), len(events.seen)
    for end, key in ((lab.daemon.kill, "a"), (lab.daemon.leave, "b")):
        end()
        lab.key(events, key)
        _taken_up(lab)
        lab.key(events, key)
    lab.board.hold("a")
    events.wait(["key", "*", KEYS["a"], 1])
    lab.daemon.kill()
    _taken_up(lab)
    lab.board.release("a")
    events.wait(["key", "*", KEYS["a"], 0])
    lab.key(events, "b")
    has = (local_devices(lab.vm1), _connection(lab.vm1))
    check(has == had, f"vm1 had {had}, and has {has}")
    check(not [line for line in events.seen[at:] if line.startswith("device")], f"it was taken off: {events.seen[at:]}")
    said = lab.vm1.text("cat /tmp/agent.log")
    check(said.count("connected to usbrouted") == 1 and "is over" not in said, f"the agent lost its connection: {said}")
    result = lab.daemon.ctl(f"attach keyboard vm1 {WAIT}", timeout=120)
    check(result.rc == 0 and b"already" in result.out + result.err, f"attach once more: {result}")


def _taken_up(lab):
    lab.daemon.start()
    wait_agent(lab, lab.vm1)
    lab.daemon.wait_device("keyboard", state="attached", actual="vm1")


@scenario("agent-vm-process-kill", quick=False)
def agent_vm_process_kill(lab):
    """kill -9 of vm1's process: the agent's connection is dead, and what it has imported, too. All comes back by itself."""
    events, _ = _keyboard_by_agent(lab)
    for _ in range(3):
        process = lab.board.text("pgrep -x vm:vm1")
        lab.board.run(f"kill -9 {process}", check=True)
        events.wait(["device", "*", "remove"])
        events.wait_keyboard()
        lab.daemon.wait_device("keyboard", state="attached", actual="vm1")
        check(lab.board.text("pgrep -x vm:vm1") != process, "it is the same process")
        lab.settle(events)
        lab.key(events, "b")
        check(len(local_devices(lab.vm1)) == 1, f"vm1 has {local_devices(lab.vm1)}")
        lab.vm1.wait("[ $(ls /var/run/vhci_hcd | wc -l) = 1 ]", what="one file of `usbip port`")


@scenario("agent-guest-restart")
def agent_guest_restart(lab):
    _guest_again(lab, 1)


@scenario("agent-guest-restart-5-times", quick=False, seconds=1800)
def agent_guest_restart_often(lab):
    _guest_again(lab, 5)


def _guest_again(lab, times):
    agent_in(lab, lab.vm1)
    attach(lab, lab.vm1)
    for _ in range(times):
        lab.vm1.kill()
        lab.daemon.wait_device("keyboard", wanted="vm1", state=lambda state: state != "attached")
        wait_agent(lab, lab.vm1, there=False)
        lab.guests_up()
        events = lab.events(lab.vm1)
        agent_in(lab, lab.vm1)
        events.wait_keyboard()
        lab.key(events)


@scenario("agent-restart")
def agent_restart(lab):
    """The agent is killed and started again: the device stays where it is, on the port where it was."""
    job = agent_in(lab, lab.vm1)
    events = lab.events(lab.vm1)
    attach(lab, lab.vm1)
    events.wait_keyboard()
    before = local_devices(lab.vm1)
    job.kill()
    wait_agent(lab, lab.vm1, there=False)
    lab.key(events)
    at = len(events.seen)
    agent_in(lab, lab.vm1)
    result = lab.daemon.ctl(f"attach keyboard vm1 {WAIT}", timeout=120)
    check(result.rc == 0 and b"already" in result.out + result.err, f"attach with the new agent: {result}")
    check(local_devices(lab.vm1) == before, f"vm1 had {before}, and has {local_devices(lab.vm1)}")
    lab.key(events, "b")
    check(not [line for line in events.seen[at:] if line.startswith("device")], f"it was taken off: {events.seen[at:]}")


@scenario("agent-by-hand")
def agent_by_hand(lab):
    """Attached by hand before an agent comes: it is recognised, and not fought over."""
    events = lab.keyboard_in(lab.vm1)
    lab.key(events)
    before, at = local_devices(lab.vm1), len(events.seen)
    agent_in(lab, lab.vm1)
    result = lab.daemon.ctl(f"attach keyboard vm1 {WAIT}", timeout=120)
    check(result.rc == 0 and b"already" in result.out + result.err, f"attach of what was attached by hand: {result}")
    check(local_devices(lab.vm1) == before, f"vm1 had {before}, and has {local_devices(lab.vm1)}")
    lab.key(events, "b")
    check(not [line for line in events.seen[at:] if line.startswith("device")], f"it was taken off: {events.seen[at:]}")
    # And from here on it is the agent's to let go of.
    lab.daemon.ctl_ok("detach keyboard")
    events.wait(["device", "*", "remove"])


@scenario("agent-no-address")
def agent_no_address(lab):
    """A guest that never asked for an address: fe80::1 is enough."""
    lab.vm1.run("killall udhcpc; ip -4 addr flush dev eth0")
    try:
        check(not lab.vm1.text("ip -4 addr show dev eth0 | grep inet || true"), "vm1 has an IPv4 address")
        agent_in(lab, lab.vm1)
        events = lab.events(lab.vm1)
        attach(lab, lab.vm1)
        events.wait_keyboard()
        lab.key(events)
        said = lab.vm1.text("cat /tmp/agent.log")
        check("over IPv6" in said, f"the agent says: {said}")
    finally:
        lab.vm1.run("udhcpc -i eth0 -f -t 3 -T 3 -A 3 -s /lab.udhcpc </dev/null >/tmp/udhcpc.log 2>&1 &")


@scenario("agent-no-ipv6")
def agent_no_ipv6(lab):
    """A guest without IPv6: the IPv4 address is enough."""
    lab.vm1.run("echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6", check=True)
    try:
        agent_in(lab, lab.vm1)
        events = lab.events(lab.vm1)
        attach(lab, lab.vm1)
        events.wait_keyboard()
        lab.key(events)
        said = lab.vm1.text("cat /tmp/agent.log")
        check("over IPv4" in said, f"the agent says: {said}")
        shown = lab.vm1.text("usbip port 2>&1")
        check(f"usbip://{ADDRESS}:3240/" in shown, f"`usbip port` in vm1 says: {shown}")
    finally:
        lab.vm1.run("echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6")


@scenario("agent-paused")
def agent_paused(lab):
    """A guest that is stopped for a while hears afterwards what was said meanwhile, over the same connection."""
    agent_in(lab, lab.vm1)
    events = lab.events(lab.vm1)
    _stopped(lab)
    events.wait_keyboard()
    lab.key(events)
    # And stopped with the device: its session goes on with the guest, which sees nothing of it.
    seen = len(events.seen)
    lab.vm1.pause()
    lab.daemon.wait_device("keyboard", state=lambda state: state != "attached")
    lab.vm1.resume()
    lab.daemon.wait_device("keyboard", state="attached", actual="vm1")
    lab.settle(events)
    lab.key(events, "b")
    check(not any(line.startswith("device") for line in events.seen[seen:]), f"vm1 has seen: {events.seen[seen:]}")
    said = lab.vm1.text("cat /tmp/agent.log")
    check(said.count("connected to usbrouted") == 1, f"the agent lost its connection: {said}")


def _stopped(lab):
    lab.vm1.pause()
    try:
        result = lab.daemon.ctl("attach keyboard vm1 --wait 3")
        check(result.rc == 7, f"attach to a guest that is stopped: {result}")
        check(lab.daemon.find("keyboard")["wanted"] == "vm1", "the wish does not stay")
    finally:
        lab.vm1.resume()


@scenario("agent-silent", quick=False)
def agent_silent(lab):
    """Silence is not death: a guest whose QEMU stands still keeps its agent, and hears what was said when it goes on."""
    agent_in(lab, lab.vm1)
    events = lab.events(lab.vm1)
    pid = lab.board.text("pgrep -f 'qemu-system.*lab.name=vm1$|qemu-system.*lab.name=vm1 ' | head -n 1")
    lab.board.run(f"kill -STOP {pid}", check=True)
    try:
        result = lab.daemon.ctl("attach keyboard vm1 --wait 20")
        check(result.rc == 7, f"attach to a guest that stands still: {result}")
        check(agent_of(lab, lab.vm1)["agent"], "silence is taken for the agent's death")
    finally:
        lab.board.run(f"kill -CONT {pid}", check=True)
    events.wait_keyboard()
    lab.daemon.wait_device("keyboard", state="attached", actual="vm1")
    lab.key(events)


@scenario("agent-no-port")
def agent_no_port(lab):
    """All ports taken off the guest: attach says why it is not there, and it comes when there is one."""
    agent_in(lab, lab.vm1)
    lab.vm1.run("rmmod vhci_hcd", check=True)
    result = lab.daemon.ctl("attach keyboard vm1 --wait 5", timeout=60)
    said = (result.out + result.err).decode()
    check(result.rc == 7 and "vhci-hcd" in said, f"attach without vhci-hcd: {result.rc}, {said!r}")
    events = lab.events(lab.vm1)
    lab.vm1.run("modprobe vhci-hcd", check=True)
    events.wait_keyboard()
    lab.daemon.wait_device("keyboard", state="attached", actual="vm1")
    lab.key(events)


@scenario("agent-check")
def agent_check(lab):
    result = lab.vm1.run("usbroute-agent --check")
    said = result.out.decode()
    check(result.rc == 0 and "missing" not in said, f"--check where nothing is missing: {result.rc}\n{said}")
    for part in ("vhci-hcd is there", "free ports up to high speed", "interface eth0", "usbrouted answers at fe80::1%eth0"):
        check(part in said, f"--check does not say `{part}`:\n{said}")
    result = lab.vm1.run("usbroute-agent --check --interface eth7")
    check(result.rc == 1 and b"missing: interface eth7" in result.out, f"--check with a wrong interface: {result}")
    lab.vm1.run("rmmod vhci_hcd", check=True)
    result = lab.vm1.run("usbroute-agent --check")
    check(result.rc == 1 and b"missing: module vhci-hcd" in result.out, f"--check without vhci-hcd: {result}")
    # What runs loads it by itself.
    agent_in(lab, lab.vm1)
    lab.vm1.wait("[ -e /sys/devices/platform/vhci_hcd.0/attach ]", what="vhci-hcd, loaded by the agent")


@scenario("agent-other-guest")
def agent_other_guest(lab):
    """What listens in one guest on the agent's port is not what another guest's agent speaks to."""
    lab.spawn(lab.vm2, "nc -l -p 3241 >/tmp/heard")
    agent_in(lab, lab.vm1)
    result = lab.vm1.run(f"echo HELLO 1 0 hs=1 ss=1 | nc -w 5 {ADDRESS} 3241")
    check(b"WELCOME 1 vm1 " in result.out, f"vm1 speaks to the daemon as vm1: {result}")
    result = lab.vm2.run(f"echo HELLO 1 0 hs=1 ss=1 | nc -w 5 {ADDRESS} 3241")
    check(b"WELCOME 1 vm2 " in result.out, f"vm2 speaks to the daemon as vm2: {result}")
    check(not lab.vm2.text("cat /tmp/heard"), "vm1's agent spoke to vm2")
    # A newer one takes the older one's place, and the agent comes again.
    wait_agent(lab, lab.vm1)
    attach(lab, lab.vm1)
