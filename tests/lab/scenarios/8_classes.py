"""Devices of each class, with the guest's stock drivers. What arrives is compared with what was sent, by bytes."""

import hashlib
import os
import struct

from lab import LabTimeout
from lab.gadget import MOUSE_REPORT, Disk, Function, Hid
from lab.scenario import check, scenario

MEGABYTE = 1 << 20
EV_REL, EV_ABS, EV_LED = 2, 3, 17
EVENT = struct.Struct("<qqHHi")
LED_NUM, LED_CAPS, LED_SCROLL = 0, 1, 2
MOUNT = "mkdir -p /mnt && modprobe -a crc32c_generic ext4 && mount"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def route(lab, device, guest=None):
    guest = guest or lab.vm1
    lab.importing(guest, lab.route(device, guest))


def read_from(job, count, timeout=60):
    """This many bytes of a job's output; fewer where it ends, or nothing comes any more."""
    data = b""
    while len(data) < count:
        try:
            more = job.recv(timeout=timeout)
        except LabTimeout:
            break
        if more == b"":
            break
        data += more
    return data


# Input

def _leds(lab, out_endpoint):
    lab.gadget("keys", [Hid(out_endpoint=out_endpoint)])
    events = lab.events(lab.vm1)
    route(lab, "gadget")
    node = events.wait_keyboard().split()[1]
    reports = lab.spawn(lab.board, "exec cat /dev/hidg0")
    wanted = []
    mask = 0
    for led, on in ((LED_CAPS, 1), (LED_NUM, 1), (LED_CAPS, 0), (LED_SCROLL, 1), (LED_NUM, 0), (LED_SCROLL, 0)):
        event = EVENT.pack(0, 0, EV_LED, led, on)
        lab.vm1.run(f"cat > /dev/input/{node}", stdin=event, check=True)
        mask = mask | 1 << led if on else mask & ~(1 << led)
        wanted.append(mask)
        # Each for itself: a driver may make one report of two changes.
        have = b""
        while not have.endswith(bytes([mask])):
            more = read_from(reports, 1, 60)
            check(more != b"", "hidg0 has ended")
            have += more
    return events


@scenario("keyboard-leds", quick=False)
def keyboard_leds(lab):
    events = _leds(lab, True)
    # Reports as they were written, each once and in order.
    sent = b"".join(bytes([n % 2 * 2, 0, 4 + n % 90, 0, 0, 0, 0, 0]) for n in range(60)) + bytes(8)
    raw = lab.spawn(lab.vm1, "exec cat /dev/hidraw0")
    lab.vm1.wait("ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q hidraw0", what="hidraw0 opened")
    lab.board.run("dd of=/dev/hidg0 bs=8 2>/dev/null", stdin=sent, check=True)
    have = read_from(raw, len(sent))
    check(have == sent, f"reports sent: {sent.hex(' ')}, arrived: {have.hex(' ')}")
    events.wait(["key", "*", 30, 1])


@scenario("keyboard-leds-by-control", quick=False)
def keyboard_leds_by_control(lab):
    _leds(lab, False)


def _pointer(lab, device, moves, kind, wanted):
    """Plug, route, move; the sums (or the last) of each axis, and buttons, in the guest."""
    lab.board.plug(device)
    lab.daemon.wait_device(device, state="present", actual="host")
    events = lab.events(lab.vm1)
    route(lab, device)
    node = events.wait_keyboard().split()[1]
    raw = lab.spawn(lab.vm1, f"exec cat /dev/input/{node}")
    lab.vm1.wait(f"[ $(ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c {node}) -ge 2 ]", what=f"{node} opened")
    lab.board.pointer(*moves)
    lab.board.pointer(("btn", "left", True), ("btn", "left", False))
    events.wait(["key", "*", 0x110, 1])
    events.wait(["key", "*", 0x110, 0])
    have, data = {}, b""
    while have != wanted:
        more = read_from(raw, EVENT.size)
        check(more, f"moved to {have}, not {wanted}")
        data += more
        have = {}
        for at in range(0, len(data) // EVENT.size * EVENT.size, EVENT.size):
            _, _, what, axis, value = EVENT.unpack_from(data, at)
            if what == kind:
                have[axis] = have.get(axis, 0) + value if kind == EV_REL else value
    return have


@scenario("mouse", quick=False)
def mouse(lab):
    moves = [("rel", "x", n) for n in range(1, 21)] + [("rel", "y", -3)] * 10
    _pointer(lab, "mouse", moves, EV_REL, {0: sum(range(1, 21)), 1: -30})


@scenario("tablet", quick=False)
def tablet(lab):
    moves = [("abs", "x", 100), ("abs", "y", 200), ("abs", "x", 30000), ("abs", "y", 12345)]
    _pointer(lab, "tablet", moves, EV_ABS, {0: 30000, 1: 12345})


@scenario("mouse-at-full-speed", quick=False)
def mouse_full(lab):
    lab.gadget("mouse", [Hid(MOUSE_REPORT, 5, 1, 2)], speed="full-speed")
    events = lab.events(lab.vm1)
    route(lab, "gadget")
    node = events.wait_keyboard().split()[1]
    check(lab.vm1.text("cat /sys/bus/usb/devices/[0-9]*-[0-9]/speed") == "12", "not a full-speed device in vm1")
    raw = lab.spawn(lab.vm1, f"exec cat /dev/input/{node}")
    lab.vm1.wait(f"[ $(ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c {node}) -ge 2 ]", what=f"{node} opened")
    moves = [(n - 50, 3 * n - 100) for n in range(100)]
    sent = b"".join(struct.pack("<Bhh", 0, x, y) for x, y in moves) + b"\1\0\0\0\0" + bytes(5)
    lab.board.run("dd of=/dev/hidg0 bs=5 2>/dev/null", stdin=sent, check=True)
    events.wait(["key", "*", 0x110, 0])
    lab.vm1.run("true")
    data = b""
    wanted = [[x for x, _ in moves if x], [y for _, y in moves if y]]
    have = None
    while have != wanted:
        more = read_from(raw, EVENT.size)
        check(more, f"moved to {have}, not {wanted}")
        data += more
        moved = [EVENT.unpack_from(data, at)[2:] for at in range(0, len(data) // EVENT.size * EVENT.size, EVENT.size)]
        have = [[value for what, axis, value in moved if (what, axis) == (EV_REL, n)] for n in (0, 1)]


# Storage

def _files(lab, where):
    return lab.vm1.text(f"cd {where} && sha256sum a b c/d").split()[::2]


def _ext4(lab, device):
    """Files written on the ext4 in vm1, and synced; their checksums. It stays mounted."""
    route(lab, device)
    lab.vm1.wait("[ -b /dev/sda ]", what="the disk in vm1")
    lab.vm1.run(f"{MOUNT} -t ext4 /dev/sda /mnt", check=True)
    lab.vm1.run("cd /mnt && dd if=/dev/urandom of=a bs=64k count=24 2>/dev/null && dd if=/dev/urandom of=b bs=100 count=77 "
                "2>/dev/null && mkdir c && cp a c/d && sync", timeout=300, check=True)
    return _files(lab, "/mnt")


def _checked(lab, block, sums):
    rc, out, _ = lab.board.run(f"e2fsck -f -p {block}")
    check(rc in (0, 1), f"e2fsck on the board ended with {rc}: {out.decode()}")
    have = lab.board.text(f"mkdir -p /tmp/checked && mount -o ro {block} /tmp/checked && cd /tmp/checked && "
                          "sha256sum a b c/d; cd /; umount /tmp/checked").split()[::2]
    check(have == sums, f"files written in vm1 have the checksums {sums} there, and {have} on the board")


@scenario("disk-ext4-unplugged", quick=False)
def disk_ext4(lab):
    lab.board.plug("disk")
    lab.board.wait("[ -b /dev/sda ]")
    lab.board.run("modprobe ext4; mkfs.ext4 -q -F /dev/sda", check=True)
    lab.daemon.wait_device("disk", state="present", actual="host")
    sums = _ext4(lab, "disk")
    lab.board.unplug("disk")
    lab.vm1.wait("[ ! -e /sys/block/sda ]", what="the disk gone from vm1")
    lab.vm1.run("umount -l /mnt")
    lab.daemon.wait_gone("disk")
    lab.daemon.ctl("detach disk")
    lab.board.plug("disk")
    lab.board.wait("[ -b /dev/sda ]", what="the disk on the board again")
    _checked(lab, "/dev/sda", sums)


@scenario("disk-gadget-super", quick=False)
def disk_gadget(lab):
    lab.board.run("modprobe -a ext4 loop; dd if=/dev/zero of=/tmp/stick bs=1M count=16 2>/dev/null; mkfs.ext4 -q -F /tmp/stick",
                  check=True)
    gadget = lab.gadget("stick", [Disk("/tmp/stick")], speed="super-speed", bcd=0x0320)
    sums = _ext4(lab, "gadget")
    check("5000" in lab.vm1.text("cat /sys/bus/usb/devices/*/speed; dmesg | tail -n 20"), "not a SuperSpeed device in vm1")
    # As large as a URB gets.
    lab.vm1.run("echo 1024 > /sys/block/sda/queue/max_sectors_kb", check=False)
    have = lab.vm1.text("dd if=/dev/sda bs=1M iflag=direct 2>/dev/null | sha256sum", timeout=300).split()[0]
    gadget.unplug()
    lab.vm1.wait("[ ! -e /sys/block/sda ]", what="the disk gone from vm1")
    lab.vm1.run("umount -l /mnt")
    wanted = lab.board.text("sha256sum /tmp/stick").split()[0]
    check(have == wanted, f"the whole disk read in vm1: {have}, the image: {wanted}")
    _checked(lab, "/tmp/stick", sums)


@scenario("disk-uas-super", quick=False)
def disk_uas(lab):
    """USB/IP carries no bulk streams, so at SuperSpeed a guest's kernel leaves UAS alone. QEMU's disk has no BOT beside it:
    no disk in the guest, no harm either, and the board has it again."""
    lab.board.plug("uas")
    lab.board.wait("[ -b /dev/sda ]", what="the UAS disk on the board")
    lab.daemon.wait_device("uas", state="present", actual="host")
    route(lab, "uas")
    lab.vm1.wait("ls -d /sys/bus/usb/devices/2-1:1.0", what="the UAS disk enumerated in vm1")
    lab.vm1.wait("dmesg | grep -q 'vhci_hcd.0 does not support streams'", what="vm1's kernel leaving UAS alone")
    check(lab.vm1.run("[ -b /dev/sda ]").rc != 0, "vm1 has a disk by UAS at SuperSpeed, which nobody expected")
    lab.daemon.ctl_ok("detach uas")
    lab.board.wait("[ -b /dev/sda ]", what="the board's own disk again")
    have = lab.board.text("sha256sum /dev/sda", timeout=300).split()[0]
    check(have == sha256(lab.disk.read_bytes()), "what the board reads afterwards is not the image")


def _compare(what, sent, have):
    check(have == sent, f"{what}: {len(sent)} bytes sent, {len(have)} arrived, the same until "
          f"{next((n for n, (a, b) in enumerate(zip(sent, have)) if a != b), min(len(sent), len(have)))}")


# Network, MIDI, a hub

def _network(lab, function, driver):
    lab.gadget("card", [function], device_class=2)
    card = lab.board.text("cat /sys/kernel/config/usb_gadget/card/functions/*/ifname")
    before = set(lab.vm1.text("ls /sys/class/net").split())
    lab.vm1.run(f"modprobe {driver}", check=True)
    route(lab, "gadget")
    lab.vm1.wait(f"[ $(ls /sys/class/net | wc -l) -gt {len(before)} ]", what="the card in vm1")
    name = (set(lab.vm1.text("ls /sys/class/net").split()) - before).pop()
    lab.board.run(f"ip addr add 10.99.0.1/24 dev {card} && ip link set {card} up", check=True)
    lab.vm1.run(f"ip addr add 10.99.0.2/24 dev {name} && ip link set {name} up", check=True)
    lab.vm1.wait_ping("10.99.0.1")
    have = lab.vm1.ping("10.99.0.1", 20)
    check(have == 20, f"{have} of 20 pings answered through the gadget's card")
    check(lab.vm1.run("ping -c 3 -s 8000 10.99.0.1 | grep -q ' 3 packets received'").rc == 0, "large pings are lost")
    for server, client, address in ((lab.board, lab.vm1, "10.99.0.1"), (lab.vm1, lab.board, "10.99.0.2")):
        sent = os.urandom(2 * MEGABYTE)
        # Its stdin stays open: nc ends where either side has no more to say.
        listening = lab.spawn(server, "exec busybox nc -l -p 5001", stdin=None)
        server.wait("busybox netstat -ltn | grep -q :5001", what="nc listens")
        client.spawn(f"exec busybox nc {address} 5001", stdin=sent)
        _compare(f"{client.name} to {server.name} by TCP", sent, read_from(listening, len(sent)))
        listening.kill()


@scenario("network-ncm", quick=False)
def network_ncm(lab):
    _network(lab, Function("ncm"), "cdc_ncm")


@scenario("network-rndis", quick=False)
def network_rndis(lab):
    _network(lab, Function("rndis"), "rndis_host")


MIDI = b"".join(bytes([0x90 | n % 16, n % 128, 1 + n % 127, 0x80 | n % 16, n % 128, 0]) for n in range(200))


@scenario("midi", quick=False)
def midi(lab):
    lab.gadget("midi", [Function("midi")])
    lab.vm1.run("modprobe snd-usb-audio", check=True)
    # The board's own two cards: the gadget's end, and what snd-usb-audio makes until it is routed.
    lab.board.wait("ls /sys/class/sound | grep -q midiC", what="the gadget's end")
    route(lab, "gadget")
    lab.vm1.wait("[ -c /dev/snd/midiC0D0 ]", what="the MIDI port in vm1")
    far = "/dev/snd/" + lab.board.text("for m in /sys/class/sound/midiC*; do readlink -f $m | grep -q -v /usb[0-9] && basename $m; done"
                                       " | head -n 1")
    nodes = ((lab.vm1, "/dev/snd/midiC0D0"), (lab.board, far))
    for (sender, from_node), (receiver, to_node) in (nodes, nodes[::-1]):
        reading = lab.spawn(receiver, f"exec cat {to_node}")
        receiver.wait(f"ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q '{to_node}$'", what=f"{to_node} opened")
        sender.run(f"cat > {from_node}", stdin=MIDI, check=True)
        _compare(f"{sender.name} to {receiver.name}", MIDI, read_from(reading, len(MIDI)))
        reading.kill()


@scenario("behind-a-hub", quick=False)
def behind_hub(lab):
    lab.board.plug("hub")
    port = lab.board.port("hub")
    lab.board.plug("mouse", port=f"{port}.3")
    lab.daemon.wait_device("mouse", state="present", actual="host", busid=lambda busid: busid.endswith(".3"))
    events = lab.events(lab.vm1)
    route(lab, "mouse")
    events.wait_keyboard()
    lab.board.pointer(("btn", "left", True), ("btn", "left", False))
    events.wait(["key", "*", 0x110, 0])
    # The hub itself is nobody's to route, and taking it away takes the mouse.
    lab.board.unplug("mouse")
    events.wait(["device", "*", "remove"])
    lab.daemon.wait_gone("mouse")
