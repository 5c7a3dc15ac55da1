"""The daemon's own LAN export: another server imports a device by stock USB/IP, plainly, through ssh and through WireGuard.

The other servers are network namespaces of the board, each with its own stack, behind a bridge that the board has an address on."""

import signal

from lab.daemon import DEFAULT_CONFIG
from lab.scenario import check, scenario

HOST, SERVER, STRANGER = "192.168.60.1", "192.168.60.2", "192.168.60.3"
TUNNEL, TUNNELED = "10.60.0.1", "10.60.0.2"
IN, STRANGE = "ip netns exec server", "ip netns exec stranger"
EXPORT = f"""
[lan-export]
listen = {HOST}:3240
[export keyboard]
to = {SERVER} {TUNNELED} 127.0.0.1
"""
CONFIG = DEFAULT_CONFIG + EXPORT
BRIDGE = f"""
modprobe -a bridge veth vhci-hcd && ip link add br-exp type bridge && ip addr add {HOST}/24 dev br-exp && ip link set br-exp up &&
for one in server:{SERVER} stranger:{STRANGER}; do
name=${{one%%:*}} && ip netns add $name && ip link add x-$name type veth peer name eth0 netns $name &&
ip link set x-$name master br-exp up && ip netns exec $name ip link set lo up &&
ip netns exec $name ip addr add ${{one#*:}}/24 dev eth0 && ip netns exec $name ip link set eth0 up || exit 1; done"""
# A process that is still in a namespace keeps it, and its end of the pair.
AWAY = "ip link del x-server; ip link del x-stranger; ip netns del server; ip netns del stranger; ip link del br-exp; ip link del wg0; true"
# Connections that say nothing, kept open.
SILENT = """
import socket, sys, time
kept = []
for _ in range(40):
    kept.append(socket.create_connection((sys.argv[1], 3240)))
print("connected", flush=True)
time.sleep(600)
"""


class Lan:
    def __init__(self, lab, config=CONFIG):
        self.lab, self.config = lab, config

    def __enter__(self):
        self.lab.board.run(BRIDGE, check=True)
        self.lab.settings(self.config)
        self.lab.daemon.wait_log(rf"LAN export: listening at {HOST}:3240")
        self.lab.daemon.wait_device("keyboard", state="exported", actual="host")
        return self

    def __exit__(self, *_):
        self.lab.board.run("usbip detach -p 0; true")
        self.lab.board.run(AWAY)


def _listed(board, where, address=HOST, options=""):
    return board.run(f"{where} usbip {options} list -r {address}").out.decode()


def _process(board):
    return int(board.text("pgrep -x vm:lan.export"))


def _attach(lab, events, address=HOST, options="", key="a"):
    lab.board.run(f"{IN} usbip {options} attach -r {address} -b keyboard", check=True)
    events.wait_keyboard()
    lab.key(events, key)


@scenario("lan-export")
def lan_export(lab):
    board, daemon = lab.board, lab.daemon
    with Lan(lab):
        events = lab.events(board)
        check("0627:0001" in _listed(board, IN), f"the server sees: {_listed(board, IN)}")
        # Who may not have it sees nothing, and is told that there is none.
        check("0627:0001" not in _listed(board, STRANGE), f"the stranger sees: {_listed(board, STRANGE)}")
        refused = board.run(f"{STRANGE} usbip attach -r {HOST} -b keyboard")
        check(refused.rc != 0 and b"not found" in refused.err, f"the stranger is told: {refused.err}")
        _attach(lab, events)
        shown = daemon.json("show keyboard")["device"]
        check(shown["lan_by"] == SERVER and shown["state"] == "attached" and shown["actual"] == "host", f"show: {shown}")
        check("0627:0001" not in _listed(board, IN), "what the server has is offered to it still")
        # Not silently to a guest.
        busy = daemon.ctl("attach keyboard vm1")
        check(busy.rc == 6 and SERVER.encode() in busy.err, f"attach: {busy.rc} {busy.err}")
        lab.key(events, "b")
        # What the next control finds goes on.
        process = _process(board)
        daemon.leave()
        lab.key(events, "c")
        daemon.start()
        check(_process(board) == process, "the LAN export's process is another one after a restart")
        lab.key(events, "d")
        check(daemon.json("show keyboard")["device"]["lan_by"] == SERVER, "who has it is forgotten by a restart")
        # Machines that say nothing are to nobody's harm.
        lab.spawn(board, f"exec {STRANGE} python3 -c '{SILENT}' {HOST}")
        daemon.wait_log(rf"lan.export: {STRANGER}:\d+ was hung up on")
        lab.key(events, "e")
        check("keyboard" not in _listed(board, IN, options=""), "what the server has is offered")
        # By force it goes to the guest; what a guest has is not offered.
        daemon.ctl_ok("attach --force --no-wait keyboard vm1")
        daemon.wait_log(f"taken from {SERVER}, which had it over the LAN: vm1")
        daemon.wait_device("keyboard", actual="vm1")
        check("0627:0001" not in _listed(board, IN), "what a guest has is offered")
        refused = board.run(f"{IN} usbip attach -r {HOST} -b keyboard")
        check(refused.rc != 0 and b"not found" in refused.err, f"the server is told: {refused.err}")
        # To the host's own drivers, and offered again.
        daemon.ctl_ok("detach keyboard")
        daemon.wait_device("keyboard", state="present")
        daemon.ctl_ok("release keyboard")
        daemon.wait_device("keyboard", state="exported", actual="host")
        board.wait("! usbip port 2>/dev/null | grep -q 0627:0001", what="the old import's end in the server")
        again = lab.events(board)
        _attach(lab, again)
        # A process that dies costs its machines their devices, and nobody else anything.
        board.run(f"kill -{signal.SIGKILL.value} {_process(board)}", check=True)
        board.wait(f"pgrep -x vm:lan.export | grep -qvx {process}", what="another process of the LAN export")
        daemon.wait_device("keyboard", state="exported", actual="host")
        # Off by a reload: no port is open, and the host has its keyboard.
        daemon.reload(DEFAULT_CONFIG)
        daemon.wait_device("keyboard", state="present")
        board.wait("! ss -Hltn 'sport = :3240' | grep -q .", what="the port's end")


@scenario("lan-export-in-ssh", quick=False)
def lan_export_in_ssh(lab):
    """`ssh -L` on the server, as the manual has it: the daemon sees a client of its own host."""
    board = lab.board
    with Lan(lab, DEFAULT_CONFIG + EXPORT.replace(f"listen = {HOST}:3240", f"listen = {HOST}:3240 127.0.0.1:3240")):
        board.run("mkdir -p /run/sshd /run/lab/ssh /root/.ssh && chmod 700 /root /root/.ssh && cd /run/lab/ssh && "
                  "ssh-keygen -q -t ed25519 -N '' -f host && ssh-keygen -q -t ed25519 -N '' -f user && "
                  "cp user.pub authorized && chmod 600 authorized", check=True)
        lab.spawn(board, f"exec /usr/sbin/sshd -D -e -o UsePAM=no -o StrictModes=no -o PermitRootLogin=yes -o HostKey=/run/lab/ssh/host "
                         f"-o AuthorizedKeysFile=/run/lab/ssh/authorized -o ListenAddress={HOST}:2222")
        board.wait(f"ss -Hltn 'sport = :2222' | grep -q .", what="sshd")
        lab.spawn(board, f"exec {IN} ssh -N -p 2222 -i /run/lab/ssh/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
                         f"-L 127.0.0.1:3241:127.0.0.1:3240 root@{HOST}")
        board.wait(f"{IN} ss -Hltn 'sport = :3241' | grep -q .", what="ssh's tunnel")
        check("0627:0001" in _listed(board, IN, "127.0.0.1", "--tcp-port 3241"), "nothing is seen through ssh")
        _attach(lab, lab.events(board), "127.0.0.1", "--tcp-port 3241")
        check(lab.daemon.json("show keyboard")["device"]["lan_by"] == "127.0.0.1", "it is not this host's ssh that has it")


@scenario("lan-export-in-wireguard", quick=False)
def lan_export_in_wireguard(lab):
    """A tunnel between the two: the export listens in it alone."""
    board = lab.board
    with Lan(lab, DEFAULT_CONFIG + EXPORT.replace(f"listen = {HOST}:3240", f"listen = {HOST}:3240 {TUNNEL}:3240")):
        board.run(f"""modprobe wireguard && umask 077 && mkdir -p /run/lab/wg && cd /run/lab/wg &&
for side in host server; do wg genkey >$side.key && wg pubkey <$side.key >$side.pub || exit 1; done &&
ip link add wg0 type wireguard && {IN} ip link add wg0 type wireguard &&
wg set wg0 listen-port 51820 private-key host.key peer $(cat server.pub) allowed-ips {TUNNELED}/32 &&
{IN} wg set wg0 private-key server.key peer $(cat host.pub) allowed-ips {TUNNEL}/32 endpoint {HOST}:51820 &&
ip addr add {TUNNEL}/24 dev wg0 && ip link set wg0 up &&
{IN} ip addr add {TUNNELED}/24 dev wg0 && {IN} ip link set wg0 up""", check=True)
        check("0627:0001" in _listed(board, IN, TUNNEL), "nothing is seen through the tunnel")
        _attach(lab, lab.events(board), TUNNEL)
        check(lab.daemon.json("show keyboard")["device"]["lan_by"] == TUNNELED, "it is not the tunnel's other end that has it")
