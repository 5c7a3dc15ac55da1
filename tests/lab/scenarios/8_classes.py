"""Devices of each class, with the guest's stock drivers. What arrives is compared with what was sent, by bytes."""

import hashlib
import json
import os
import pathlib
import re
import struct
import threading

from lab import LabTimeout, programs
from lab.board import HIGH_SPEED_PORT
from lab.gadget import MOUSE_REPORT, Disk, Function, Hid
from lab.scenario import check, scenario

MEGABYTE = 1 << 20
EV_REL, EV_ABS, EV_LED = 2, 3, 17
EVENT = struct.Struct("<qqHHi")
LED_NUM, LED_CAPS, LED_SCROLL = 0, 1, 2
# The device that was imported; a root hub's interface is 1-0:1.0.
IN_GUEST = "ls /sys/bus/usb/devices | grep -q '^[0-9]*-[1-9].*:'"
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


REPORTS = 1000


@scenario("reports-each-millisecond", quick=False)
def reports_fast(lab):
    """A high-speed keyboard that has a report for every millisecond: each arrives once, and in order."""
    lab.gadget("keys", [Hid()])
    events = lab.events(lab.vm1)
    route(lab, "gadget")
    events.wait_keyboard()
    events.close()
    interval = lab.vm1.text("cat /sys/bus/usb/devices/[0-9]*-[1-9]:1.0/ep_8*/interval")
    check(interval == "1ms", f"the keyboard is asked every {interval}")
    raw = lab.spawn(lab.vm1, "exec cat /dev/hidraw0")
    lab.vm1.wait("ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q hidraw0", what="hidraw0 opened")
    # Six keys' worth of counter, none of it a modifier.
    sent = b"".join(bytes([0, 0, 4 + n % 32, 4 + n // 32 % 32 + 32, 0, 0, 0, 0]) for n in range(REPORTS))
    lab.board.run("dd of=/dev/hidg0 bs=8 2>/dev/null", stdin=sent, check=True, timeout=180)
    _compare("reports", sent, read_from(raw, len(sent)))
    lab.board.run("dd of=/dev/hidg0 bs=8 2>/dev/null", stdin=bytes(8), check=True)
    check(read_from(raw, 8) == bytes(8), "a report came twice")


@scenario("keyboard-at-low-speed", quick=False)
def keyboard_low(lab):
    lab.gadget("keys", [Hid(out_endpoint=False)], speed="low-speed")
    events = lab.events(lab.vm1)
    route(lab, "gadget")
    events.wait_keyboard()
    have = lab.vm1.text("cat /sys/bus/usb/devices/[0-9]*-[0-9]/speed")
    check(have == "1.5", f"the keyboard has {have} Mbit/s in vm1, not 1.5")
    raw = lab.spawn(lab.vm1, "exec cat /dev/hidraw0")
    lab.vm1.wait("ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q hidraw0", what="hidraw0 opened")
    sent = b"".join(bytes([0, 0, 4 + n % 26, 0, 0, 0, 0, 0]) + bytes(8) for n in range(26))
    lab.board.run("dd of=/dev/hidg0 bs=8 2>/dev/null", stdin=sent, check=True)
    _compare("reports", sent, read_from(raw, len(sent)))
    events.wait(["key", "*", 30, 1])


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


@scenario("disk-uas-high", quick=False)
def disk_uas_high(lab):
    """At high speed UAS needs no streams: the guest's own uas drives the disk, several commands at once."""
    lab.board.plug("uas", port=str(HIGH_SPEED_PORT))
    lab.board.wait("[ -b /dev/sda ]", what="the UAS disk on the board")
    lab.daemon.wait_device("uas", state="present", actual="host", speed="high")
    route(lab, "uas")
    lab.vm1.wait("[ -b /dev/sda ]", what="the UAS disk in vm1")
    check(lab.vm1.run("ls /sys/bus/usb/drivers/uas | grep -q :").rc == 0, "vm1's disk is not driven by uas")
    have = lab.vm1.text("sha256sum /dev/sda", timeout=300).split()[0]
    check(have == sha256(lab.disk.read_bytes()), "the disk read in vm1 by UAS is not the image")
    sums = [lab.vm1.spawn(f"dd if=/dev/urandom of=/tmp/w{n} bs=64k count=8 2>/dev/null && "
                          f"dd if=/tmp/w{n} of=/dev/sda bs=64k seek={16 * n} oflag=direct conv=notrunc 2>/dev/null && sha256sum /tmp/w{n}",
                          stdin=b"") for n in range(4)]
    sums = [job.result(300).out.decode().split()[0] for job in sums]
    lab.vm1.run("rm /tmp/w?")
    lab.daemon.ctl_ok("detach uas")
    lab.board.wait("[ -b /dev/sda ]", what="the board's own disk again")
    have = [lab.board.text(f"dd if=/dev/sda bs=64k skip={16 * n} count=8 2>/dev/null | sha256sum").split()[0] for n in range(4)]
    check(have == sums, f"written in vm1 at once: {sums}, the board reads {have}")


def _compare(what, sent, have):
    check(have == sent, f"{what}: {len(sent)} bytes sent, {len(have)} arrived, the same until "
          f"{next((n for n, (a, b) in enumerate(zip(sent, have)) if a != b), min(len(sent), len(have)))}")


# Serial

def _raw(lab, *ends):
    """Terminals (machine, node) held open and made raw, before anything is read or written: two that are not echo each
    other's bytes for ever."""
    for machine, node in ends:
        machine.wait(f"[ -c {node} ]", what=f"{machine.name} has {node}")
        held = lab.spawn(machine, f"exec 3<>{node}; stty raw -echo clocal <&3 && echo raw && exec sleep 100000 2>&1")
        check(held.line() == "raw", f"{node} on {machine.name} cannot be made raw: {held.err.decode()}")


def _opened(lab, machine, node):
    """Its reader besides the one that holds it open; once it has opened the node. Not cat: busybox's splices, and waits for
    the terminal with the lock of its output's pipe held, so that the agent, which reads that pipe, waits too."""
    reading = lab.spawn(machine, f"exec dd if={node} bs=4096 2>/dev/null")
    machine.wait(f"[ $(ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c '{node}$') -ge 2 ]", what=f"{node} opened")
    return reading


def _each_way(lab, one, other, size):
    """Bytes from each terminal to the other, compared."""
    for (sender, from_node), (receiver, to_node) in ((one, other), (other, one)):
        sent = os.urandom(size)
        reading = _opened(lab, receiver, to_node)
        lab.spawn(sender, f"exec cat > {from_node}", stdin=sent)
        _compare(f"{sender.name} to {receiver.name}", sent, read_from(reading, size))
        reading.kill()
        reading.wait()


@scenario("serial-acm", quick=False)
def serial_acm(lab):
    lab.gadget("modem", [Function("acm")], device_class=2)
    lab.vm1.run("modprobe cdc_acm", check=True)
    route(lab, "gadget")
    ends = (lab.vm1, "/dev/ttyACM0"), (lab.board, "/dev/ttyGS0")
    _raw(lab, *ends)
    # A few bytes first: where they fail, a megabyte need not be waited for.
    for size in (1000, MEGABYTE):
        _each_way(lab, *ends, size)


@scenario("serial-ftdi", quick=False)
def serial_ftdi(lab):
    lab.board.plug("serial")
    lab.daemon.wait_device("serial", state="present", actual="host")
    lab.vm1.run("modprobe ftdi_sio", check=True)
    route(lab, "serial")
    _raw(lab, (lab.vm1, "/dev/ttyUSB0"))
    port = lab.board.far_end("serial")
    port.settimeout(120)
    for size in (1000, MEGABYTE):
        sent = os.urandom(size)
        lab.spawn(lab.vm1, "exec cat > /dev/ttyUSB0", stdin=sent)
        have = b""
        while len(have) < len(sent):
            have += port.recv(65536)
        _compare("vm1 to the port", sent, have)
        reading = _opened(lab, lab.vm1, "/dev/ttyUSB0")
        feeding = threading.Thread(target=port.sendall, args=(sent,), daemon=True)
        feeding.start()
        have = read_from(reading, size)
        _compare("the port to vm1", sent, have)
        reading.kill()
        reading.wait()


@scenario("composite", quick=False)
def composite(lab):
    """Keyboard, disk and serial port in one device, all used at once."""
    lab.board.run("dd if=/dev/urandom of=/tmp/stick bs=1M count=8 2>/dev/null", check=True)
    lab.gadget("three", [Hid(), Disk("/tmp/stick"), Function("acm")], device_class=0xef)
    lab.vm1.run("modprobe cdc_acm", check=True)
    events = lab.events(lab.vm1)
    route(lab, "gadget")
    events.wait_keyboard()
    lab.vm1.wait("[ -b /dev/sda ]", what="the disk in vm1")
    ends = (lab.vm1, "/dev/ttyACM0"), (lab.board, "/dev/ttyGS0")
    _raw(lab, *ends)
    # The disk is read again and again as long as the others are used.
    reading = lab.spawn(lab.vm1, "while sha256sum /dev/sda && echo 3 > /proc/sys/vm/drop_caches; do :; done")
    for code, key in ((4, 30), (5, 48), (6, 46)):
        lab.board.run("dd of=/dev/hidg0 bs=8 2>/dev/null", stdin=bytes([0, 0, code, 0, 0, 0, 0, 0]) + bytes(8), check=True)
        events.wait(["key", "*", key, 1])
        events.wait(["key", "*", key, 0])
        _each_way(lab, *ends, 65536)
    wanted = lab.board.text("sha256sum /tmp/stick").split()[0]
    reads = [reading.line(120), *reading.lines_now(), reading.line(120)]
    check(all(line and line.split()[0] == wanted for line in reads), f"the disk's image is {wanted}, vm1 read {reads}")


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
    lab.vm1.install("iperf3")
    lab.spawn(lab.board, "exec iperf3 --server", stdin=None)
    lab.board.wait("busybox netstat -ltn | grep -q :5201", what="iperf3 listens")
    for reverse in ("", "--reverse"):
        said = lab.vm1.run(f"iperf3 --client 10.99.0.1 --json --bytes 4M {reverse}", timeout=180)
        result = json.loads(said.out)
        check(said.rc == 0 and "error" not in result, f"iperf3 {reverse} ended with {said.rc}: {result.get('error')}")
        sent, have = (result["end"][f"sum_{which}"] for which in ("sent", "received"))
        # It ends when the last byte is sent; bytes were compared above.
        check(sent["bytes"] >= 4 * MEGABYTE and have["bytes"] > 0, f"iperf3 {reverse}: {sent['bytes']} bytes sent, {have['bytes']} received")
        lab.say(f"iperf3 {reverse or 'to the board'}: {have['bytes']} bytes, {have['bits_per_second'] / 1e6:.1f} Mbit/s")


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


# Sound

FRAME = struct.Struct("<hh")
WAV_HEADER = 44
RATE = 48000


@scenario("sound", quick=False)
def sound(lab):
    """A known wave, played in vm1, is in the board's wav file: each sample once and in order. The silence that the
    emulation puts between is counted."""
    wave = b"".join(FRAME.pack(1 + n % 32000, -1 - n // 32000) for n in range(3 * RATE))
    lab.board.plug("sound")
    lab.daemon.wait_device("sound", state="present", actual="host")
    lab.vm1.run("modprobe snd-usb-audio", check=True)
    lab.vm1.install("aplay", "/usr/share/alsa")
    route(lab, "sound")
    lab.vm1.wait("[ -c /dev/snd/pcmC0D0p ]", what="the sound card in vm1")
    # Silence behind it, which drives the last of the wave out of the card. A slow board plays at a fraction of the rate, and
    # the kernel gives up (-EIO) where no period ends within 1.1 of the buffer's time (6.1, sound/core/pcm_lib.c,
    # wait_for_avail): so the buffer is long, and its periods are short.
    result = lab.vm1.run(f"aplay -q -D hw:0 -t raw -f S16_LE -c 2 -r {RATE} --buffer-time=4000000 --period-time=100000", stdin=wave + bytes(4 * RATE), timeout=300)
    lab.board.unplug("sound")       # and its file is complete
    frames = lab.board.logs.file("sound.wav").read_bytes()[WAV_HEADER:]
    frames = [frames[at:at + 4] for at in range(0, len(frames) - 3, 4)]
    heard = [frame for frame in frames if frame != bytes(4)]
    sent = [wave[at:at + 4] for at in range(0, len(wave), 4)]
    first, last = (frames.index(heard[0]), len(frames) - frames[::-1].index(heard[-1])) if heard else (0, 0)
    lab.say(f"{len(sent)} samples played, {len(heard)} arrived; {last - first - len(heard)} of silence among them")
    check(result.rc == 0, f"playing in vm1 ended with {result.rc}: {result.err.decode()}")
    same = next((n for n, (a, b) in enumerate(zip(sent, heard)) if a != b), min(len(sent), len(heard)))
    check(heard == sent, f"{len(sent)} samples played, {len(heard)} arrived, the same until {same}: "
          f"sent {[FRAME.unpack(f) for f in sent[same:same + 4]]}, arrived {[FRAME.unpack(f) for f in heard[same:same + 4]]}")


# Smart card

ATR = bytes.fromhex("3b04") + b"LAB1"
VSC_INIT, VSC_ERROR, VSC_READER_ADD, VSC_ATR, VSC_APDU = 1, 2, 3, 5, 7
VSC_VERSION = 2
VSC_UNDEFINED, VSC_READER = 0xffffffff, 0


class Card(threading.Thread):
    """A smart card at the far end of QEMU's reader, which speaks libcacard's protocol of messages: what a command carries
    comes back inverted."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.commands = []
        self.send(VSC_INIT, b"VSCD" + struct.pack(">II", VSC_VERSION, 0), VSC_UNDEFINED)
        self.send(VSC_READER_ADD, b"lab", VSC_UNDEFINED)
        self.send(VSC_ATR, ATR)
        self.start()

    def send(self, kind, data, reader=VSC_READER):
        self.port.sendall(struct.pack(">III", kind, reader, len(data)) + data)

    def take(self, count):
        data = b""
        while len(data) < count:
            more = self.port.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def run(self):
        try:
            while True:
                kind, _, length = struct.unpack(">III", self.take(12))
                data = self.take(length)
                if kind == VSC_APDU:
                    self.commands.append(data)
                    self.send(VSC_APDU, bytes(255 - byte for byte in data[5:5 + data[4]]) + b"\x90\x00")
        except (EOFError, OSError):
            pass


def _answers(said):
    """The data of each answer that opensc-tool prints, 16 bytes a line with their characters behind them."""
    answers = []
    for line in said.splitlines():
        if line.startswith("Sending:"):
            left = len(line.split()) - 1 - 5
        elif line.startswith("Received"):
            check("SW1=0x90, SW2=0x00" in line, f"the card's status is {line}")
            answers.append(b"")
        elif answers and left:
            count = min(left, 16)
            answers[-1] += bytes.fromhex("".join(line.split(" ")[:count]))
            left -= count
    return answers


@scenario("smart-card", quick=False)
def smart_card(lab):
    """A reader with its card, asked by the stock programs."""
    lab.board.plug("reader")
    card = Card(lab.board.far_end("reader"))
    lab.daemon.wait_device("reader", state="present", actual="host")
    lab.vm1.install("pcscd", "/usr/lib/pcsc/drivers", "opensc-tool", "libpcsclite.so.1")
    route(lab, "reader")
    lab.vm1.wait(IN_GUEST, what="the reader in vm1")
    lab.spawn(lab.vm1, "exec pcscd --foreground 2>&1")
    lab.vm1.wait("opensc-tool --list-readers | grep -q 'Yes .*CCID'", what="pcscd having the reader and its card")
    # In one go: pcscd powers a card down some seconds after its last user, and one that comes just then finds none.
    # None longer: QEMU's reader fails on commands of more than 57 bytes, the board's own pcscd no less.
    sent = [os.urandom(length) for length in (1, 2, 13, 14, 15, 16, 17, 31, 52)]
    commands = [bytes([0, 0x10, 0, 0, len(data)]) + data for data in sent]
    words = "".join(f" --send-apdu {command.hex(':')}" for command in commands)
    said = lab.vm1.text(f"opensc-tool --card-driver default --atr {words}", timeout=180)
    check(ATR.hex(":") in said.split(), f"the card's answer to reset is {ATR.hex(':')}, vm1 read {said}")
    have = [command for command in card.commands if command in commands]
    check(have == commands, f"sent {[c.hex() for c in commands]}, the card got {[c.hex() for c in have]}")
    wanted = [bytes(255 - byte for byte in data) for data in sent]
    have = _answers(said)
    check(have == wanted, f"the card answered {[w.hex() for w in wanted]}, vm1 read {[h.hex() for h in have]}")


# Media transfer

@scenario("media-transfer", quick=False)
def media_transfer(lab):
    """A phone's files, listed and fetched by the stock programs."""
    folder = lab.board.logs.folder / "phone"
    folder.mkdir(exist_ok=True)
    # QEMU's phone fails, on the board too, where a large file's last packet would be full: 65536 + 500 with its header.
    files = {f"photo-{n}.jpg": os.urandom(size) for n, size in enumerate((1, 500, 511, 512, 4096, 65536 + 700, MEGABYTE))}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    lab.board.plug("phone", rootdir=str(folder))
    lab.daemon.wait_device("phone", state="present", actual="host")
    gconv = str(pathlib.Path(programs.find("libc.so.6")).resolve().parent / "gconv")
    lab.vm1.install("mtp-files", "mtp-getfile", f"{gconv}/gconv-modules.cache", f"{gconv}/UTF-16.so")
    route(lab, "phone")
    lab.vm1.wait(IN_GUEST, what="the phone in vm1")
    said = lab.vm1.text("mtp-files 2>&1", timeout=180)
    found = dict(re.findall(r"File ID: (\d+)\n +Filename: (\S+)", said))
    check(sorted(found.values()) == sorted(files), f"the phone has {sorted(files)}, vm1 lists {said}")
    for number, name in found.items():
        lab.vm1.run(f"LANG=C.UTF-8 mtp-getfile {number} /tmp/fetched", timeout=180, check=True)
        _compare(name, files[name], lab.vm1.run("cat /tmp/fetched", check=True).out)
    lab.vm1.run("rm /tmp/fetched")
