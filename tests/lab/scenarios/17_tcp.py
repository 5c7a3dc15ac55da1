"""The guest's TCP, whose other end is the daemon's own: whatever a guest's card does not do, or loses, no byte is wrong."""

import hashlib

from lab.daemon import ADDRESS
from lab.scenario import DISK_BYTES, check, scenario

BLOCK = 256 << 10
SYSCTL = "/proc/sys/net/ipv4"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def disk_works(lab, guest):
    """Read whole and written to through the guest, with the same bytes in its image; then it goes."""
    block = bytes(range(256)) * (BLOCK >> 8)
    guest.wait("[ -b /dev/sda ]", what=f"the disk in {guest.name}")
    have = guest.text(f"dd if=/dev/sda bs=64k count={DISK_BYTES >> 16} iflag=direct 2>/dev/null | sha256sum",
                      timeout=600).split()[0]
    check(have == sha256(lab.disk.read_bytes()), f"{guest.name} reads other bytes than the image has")
    guest.run("dd of=/dev/sda bs=64k seek=16 oflag=direct conv=notrunc 2>/dev/null", stdin=block, timeout=600, check=True)
    check(lab.disk.read_bytes()[1 << 20:][:BLOCK] == block, f"what {guest.name} wrote is not in the image")
    lab.daemon.ctl_ok("detach disk")
    guest.wait("[ ! -e /sys/block/sda ]", what=f"the disk gone from {guest.name}")
    lab.board.wait("[ -b /dev/sda ]", what="the board's own disk again")


def disk_plugged(lab):
    lab.board.plug("disk")
    lab.board.wait("[ -b /dev/sda ]", what="the board's own disk")
    lab.daemon.wait_device("disk", state="present", actual="host")


def disk_through(lab, guest, line=None):
    lab.importing(guest, line or lab.route("disk", guest))
    disk_works(lab, guest)


@scenario("guest-without-offloads", quick=False)
def without_offloads(lab):
    """The guest cuts its own segments and fills in their checksums."""
    lab.vm1.install("ethtool")
    disk_plugged(lab)
    lab.vm1.run("ethtool -K eth0 tx off sg off tso off gso off gro off", check=True)
    try:
        shown = lab.vm1.text("ethtool -k eth0")
        check("tcp-segmentation-offload: off" in shown and "tx-checksumming: off" in shown, f"its card: {shown}")
        disk_through(lab, lab.vm1)
        lab.key(lab.keyboard_in(lab.vm1))
    finally:
        lab.vm1.run("ethtool -K eth0 tx on sg on tso on gso on gro on")


@scenario("guest-loses-frames", quick=False, seconds=1800)
def loses_frames(lab):
    """What the guest sends is lost, repeated and overtaken on its way to the card."""
    lab.vm1.install("tc")
    disk_plugged(lab)
    lab.vm1.run("modprobe sch_netem && /usr/sbin/tc qdisc add dev eth0 root netem delay 1ms 1ms loss 2% duplicate 2% reorder 10%",
                check=True)
    try:
        disk_through(lab, lab.vm1)
        lost = lab.vm1.text("/usr/sbin/tc -s qdisc show dev eth0")
        check("dropped 0," not in lost, f"nothing was lost: {lost}")
        lab.say(lost.split("Sent", 1)[1].splitlines()[0].strip())
    finally:
        lab.vm1.run("/usr/sbin/tc qdisc del dev eth0 root")


@scenario("guest-with-small-windows", quick=False, seconds=1800)
def small_windows(lab):
    """A guest that takes some KiB at a time: each answer waits for its window."""
    names = ("tcp_rmem", "tcp_wmem")
    before = {name: lab.vm1.text(f"cat {SYSCTL}/{name}").strip() for name in names}
    disk_plugged(lab)
    lab.vm1.run("".join(f"echo 4096 8192 12288 > {SYSCTL}/{name};" for name in names), check=True)
    try:
        disk_through(lab, lab.vm1)
    finally:
        lab.vm1.run("".join(f"echo {value} > {SYSCTL}/{name};" for name, value in before.items()))


@scenario("guest-over-ipv6-alone", quick=False)
def ipv6_alone(lab):
    """By the stock client, in a guest without an IPv4 address."""
    disk_plugged(lab)
    lab.route("disk", lab.vm1)
    lab.vm1.run("killall udhcpc; ip -4 addr flush dev eth0")
    try:
        listed = lab.vm1.text("usbip list -r fe80::1%eth0 2>&1")
        check("46f4:0001" in listed, f"it lists: {listed}")
        disk_through(lab, lab.vm1, "usbip attach -r fe80::1%eth0 -b disk")
    finally:
        lab.vm1.run("udhcpc -i eth0 -f -t 3 -T 3 -A 3 -s /lab.udhcpc </dev/null >/tmp/udhcpc.log 2>&1 &")


@scenario("disk-comes-and-goes-30", quick=False, seconds=3600)
def comes_and_goes(lab):
    """Attached, read, and taken away, again and again: each time it goes, and its guest closes in order."""
    disk_plugged(lab)
    for round_ in range(30):
        line = lab.route("disk", lab.vm1)
        lab.importing(lab.vm1, line)
        lab.vm1.wait("[ -b /dev/sda ]", what=f"the disk in vm1, round {round_}")
        lab.vm1.run("dd if=/dev/sda of=/dev/null bs=64k count=16 iflag=direct 2>/dev/null", check=True)
        # By turns at rest and at work.
        if round_ % 2:
            lab.spawn(lab.vm1, "dd if=/dev/sda of=/dev/null bs=64k iflag=direct 2>/dev/null")
        lab.daemon.ctl_ok("detach disk")
        lab.vm1.wait("[ ! -e /sys/block/sda ]", what=f"the disk gone from vm1, round {round_}")
        lab.board.wait("[ -b /dev/sda ]", what="the board's own disk again")
    shown = lab.vm1.text("usbip port 2>&1 || true")
    check(ADDRESS not in shown, f"vm1 has a device yet: {shown}")
