"""Further networks: a guest reaches another machine by its second card, over a tap that the board bridges; and what the seed
of all this was for: a keyboard that a guest owns gets to another server by stock USB/IP.

The other server is a network namespace of the board with its own stack, behind a bridge, as on a host."""

import re
import signal

from lab.daemon import DEFAULT_CONFIG
from lab.guest import SOCKETS, Guest, reconnect
from lab.scenario import check, scenario

SERVER, SERVER6 = "192.168.50.1", "fd50::1"
VM1 = "10.77.0.11"      # on the private segment
TALK = DEFAULT_CONFIG.replace("[network]\n", "[network]\nisolate = yes\ntalk = vm1:vm2\n")
CONFIG = DEFAULT_CONFIG + "[network lan]\nuplink = tap:tap-lan\n"
BYTES = 4 << 20
MSS = 1448
IN = "ip netns exec server"

BRIDGE = f"""
modprobe -a bridge veth &&
ip link add br-lan type bridge && ip netns add server &&
ip link add lan0 type veth peer name eth0 netns server && ip link set lan0 master br-lan up &&
ip tuntap add dev tap-lan mode tap user root && ip link set tap-lan master br-lan up && ip link set br-lan up &&
{IN} ip link set lo up && {IN} ip addr add {SERVER}/24 dev eth0 && {IN} ip addr add {SERVER6}/64 dev eth0 nodad &&
{IN} ip link set eth0 up"""
DHCP = (f"exec {IN} dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --user=root --leasefile-ro --interface=eth0 "
        f"--dhcp-range=192.168.50.50,192.168.50.99 --enable-ra --dhcp-range=fd50::,ra-only --log-facility=-")
AWAY = "ip netns del server; ip link del tap-lan; ip link del br-lan"


class Lan:
    """The board with another server beside it, and vm1 with a card there."""

    def __init__(self, lab, more=()):
        self.lab = lab
        self.more = more

    def __enter__(self):
        lab, board = self.lab, self.lab.board
        board.run(BRIDGE, check=True)
        lab.spawn(board, DHCP)
        board.wait(f"{IN} ss -Hlun | grep -q :67", what="the network's DHCP server")
        lab.settings(CONFIG)
        lab.vm1.stop()
        card = ("-chardev", f"socket,id=lan,path={SOCKETS}/vm1.lan.sock,{reconnect(board.qemu_version())}",
                "-netdev", "vhost-user,id=lan,chardev=lan",
                "-device", "virtio-net-pci,netdev=lan,mac=52:54:00:78:00:0b,romfile=")
        Guest(board, "vm1", extra=(*card, *self.more))
        lab.guests_up()
        return self

    def __exit__(self, *_):
        self.lab.vm1.stop()
        Guest(self.lab.board, "vm1")
        self.lab.board.run(AWAY)

    def address(self):
        """By the network's own DHCP server."""
        vm1 = self.lab.vm1
        vm1.run("ip link set eth1 up", check=True)
        vm1.run("udhcpc -i eth1 -q -n -t 20 -T 3 -s /lab.udhcpc", timeout=180, check=True)
        shown = vm1.text("ip -4 addr show dev eth1")
        found = re.search(r"inet (192\.168\.50\.\d+)/24", shown)
        check(found, f"vm1 got no address of the network: {shown}")
        return found.group(1)


def _cross(lab, what, source, server, target, url, counter):
    """A few MB by TCP: the same bytes, and in fewer frames than segments."""
    source("dd if=/dev/urandom of=/tmp/sent bs=65536 count=%d 2>/dev/null" % (BYTES >> 16))
    wanted = source("sha256sum /tmp/sent").split()[0]
    before = int(target(counter))
    source(f"busybox httpd -p {server}:5000 -h /tmp")
    target(f"busybox wget -q -O /tmp/got http://{url}:5000/sent")
    source('kill $(pgrep -f "[h]ttpd -p"); rm /tmp/sent')
    have = target("sha256sum /tmp/got; rm /tmp/got").split()[0]
    check(have == wanted, f"{what}: other bytes came than were sent")
    came = int(target(counter)) - before
    lab.say(f"{what}: {BYTES} bytes in {came} frames ({BYTES // MSS} segments of {MSS} bytes)")
    check(came < BYTES // MSS, f"{what}: {came} frames for {BYTES // MSS} segments: they do not cross whole")


def _uplink(board):
    return int(board.text("pgrep -x vm:lan.uplink"))


@scenario("guest-on-a-lan")
def guest_on_a_lan(lab):
    board = lab.board
    with Lan(lab) as lan:
        address = lan.address()
        vm1 = lab.vm1
        check(vm1.ping(SERVER, 3) == 3, "the server does not answer vm1")
        board.run(f"{IN} busybox ping -c 3 -W 10 {address}", check=True, timeout=60)
        # By router advertisement, with an address that it made itself.
        vm1.wait("ip -6 addr show dev eth1 scope global | grep -q 'inet6 fd50:'", what="an address by router advertisement")
        vm1.wait_ping(SERVER6)
        _cross(lab, "vm1 to the server", lambda c: vm1.text(c, timeout=180), address,
               lambda c: board.text(f"{IN} sh -c '{c}'", timeout=180), address,
               "cat /sys/class/net/eth0/statistics/rx_packets")
        _cross(lab, "the server to vm1", lambda c: board.text(f"{IN} sh -c '{c}'", timeout=180), SERVER,
               lambda c: vm1.text(c, timeout=180), SERVER, "cat /sys/class/net/eth1/statistics/rx_packets")
        # Apart from the private segment, and vm2 without a card there is told of as it is.
        vms = {vm["name"]: vm for vm in lab.daemon.json("vms")["vms"]}
        check([card["connected"] for card in vms["vm1"]["cards"]] == [True], f"vm1: {vms['vm1']}")
        check(vms["vm1"]["cards"][0]["mac"] == "52:54:00:78:00:0b", f"vm1: {vms['vm1']}")
        check([card["connected"] for card in vms["vm2"]["cards"]] == [False], f"vm2: {vms['vm2']}")
        # What the next control finds goes on; what dies comes back.
        process = _uplink(board)
        lab.daemon.leave()
        check(vm1.ping(SERVER, 3) == 3, "without usbrouted the server does not answer vm1")
        lab.daemon.start()
        check(_uplink(board) == process, "the uplink's process is another one after a restart")
        check(vm1.ping(SERVER, 3) == 3, "after a restart the server does not answer vm1")
        board.run(f"kill -{signal.SIGKILL.value} {process}", check=True)
        board.wait(f"pgrep -x vm:lan.uplink | grep -qvx {process}", what="another process of the uplink")
        vm1.wait_ping(SERVER)
        # Its tap goes and comes.
        board.run("ip link del tap-lan", check=True)
        lab.daemon.wait_log("network lan: its uplink tap-lan can't be had: there is no such tap")
        check("tap-lan: there is no such tap" in lab.daemon.ctl_ok("status"), lab.daemon.ctl_ok("status"))
        board.run("ip tuntap add dev tap-lan mode tap user root && ip link set tap-lan master br-lan up", check=True)
        vm1.wait_ping(SERVER)


# A guest that owns the keyboard: QEMU's usb-host gives it to it.
OWNS_KEYBOARD = ("-device", "qemu-xhci,id=usb", "-device", "usb-host,bus=usb.0,vendorid=0x0627,productid=0x0001")


def _serves(guest):
    """The guest serves its keyboard by stock usbipd. Return: the keyboard's busid there."""
    guest.install("usbipd", "usbip")
    guest.run("modprobe -a xhci_pci usbip-host", check=True)
    guest.wait("usbip list -l | grep -q '0627:0001'", what="the keyboard in the guest that owns it")
    busid = re.search(r"busid (\S+) \(0627:0001\)", guest.text("usbip list -l")).group(1)
    guest.run(f"usbip bind -b {busid}", check=True)
    guest.run("usbipd -D", check=True)
    return busid


@scenario("guest-serves-another-guest", quick=False)
def guest_serves_another_guest(lab):
    """vm1 owns the keyboard, and vm2 is the client, over the private segment: the two are a pair that may talk."""
    lab.vm1.stop()
    lab.daemon.stop()
    lab.daemon.config = TALK
    lab.daemon.start()
    Guest(lab.board, "vm1", extra=OWNS_KEYBOARD)
    try:
        lab.guests_up()
        busid, vm2 = _serves(lab.vm1), lab.vm2
        vm2.run("modprobe vhci-hcd", check=True)
        vm2.wait_ping(VM1)
        listed = vm2.text(f"usbip list -r {VM1}")
        check("0627:0001" in listed, f"vm2 sees at vm1: {listed}")
        events = lab.events(vm2)
        vm2.run(f"usbip attach -r {VM1} -b {busid}", check=True)
        events.wait_keyboard()
        lab.key(events)
        vm2.run("usbip detach -p 0", check=True)
        events.wait(["device", "*", "remove"])
    finally:
        lab.daemon.stop()
        lab.daemon.config = DEFAULT_CONFIG
        lab.daemon.start()
        lab.vm1.stop()
        Guest(lab.board, "vm1")


@scenario("guest-serves-its-keyboard")
def guest_serves_its_keyboard(lab):
    """vm1 owns the keyboard by QEMU's usb-host, and stock usbipd serves it to the other server."""
    board = lab.board
    with Lan(lab, OWNS_KEYBOARD) as lan:
        address = lan.address()
        busid = _serves(lab.vm1)
        board.run("modprobe vhci-hcd", check=True)
        listed = board.text(f"{IN} usbip list -r {address}")
        check("0627:0001" in listed, f"the other server sees: {listed}")
        events = lab.events(board)
        board.run(f"{IN} usbip attach -r {address} -b {busid}", check=True)
        try:
            events.wait_keyboard()
            lab.key(events)
        finally:
            board.run("usbip detach -p 0")
