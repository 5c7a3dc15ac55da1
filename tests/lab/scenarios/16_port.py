"""Resets by hand, and a port's power."""

import hashlib

from lab.agent import agent_in
from lab.daemon import ADDRESS
from lab.gadget import Hid, source_sink
from lab.scenario import DISK_BYTES, check, scenario

LINE = f"usbip attach -r {ADDRESS} -b"
MOUNT = "/tmp/port mnt"


def asked(lab, words, *statuses, timeout=120):
    """usbroutectl's words on stdout and stderr; its exit status is one of these."""
    rc, out, err = lab.daemon.ctl(words, timeout=timeout)
    said = (out + err).decode()
    check(rc in statuses, f"`usbroutectl {words}` ended with {rc}, not {statuses}: {said}")
    return said


def says(lab, words, status, *texts):
    said = asked(lab, words, status)
    for text in texts:
        check(text in said, f"`usbroutectl {words}` does not say {text!r}: {said!r}")


# Resets

@scenario("reset-keyboard")
def reset_keyboard(lab):
    """With the host, and in a guest that types the line anew: keys come there and nowhere else."""
    on_board = lab.events(lab.board)
    mark = lab.mark()
    says(lab, "reset keyboard", 0, "it is at host")
    check("reset" in lab.dmesg_since(mark), "the board's kernel has reset nothing")
    lab.key(on_board)
    events = lab.keyboard_in(lab.vm1)
    lab.key(events)
    says(lab, "reset keyboard", 0, "it is at vm1", f"{LINE} keyboard")
    events.wait(["device", "*", "remove"])
    keyboard = lab.daemon.wait_device("keyboard", state="exported", actual="vm1")
    check((keyboard["wanted"], keyboard["wanted_by"]) == ("vm1", "command"), f"its wish has gone: {keyboard}")
    lab.importing(lab.vm1, f"{LINE} keyboard")
    events.wait_keyboard()
    at = len(on_board.seen)
    lab.key(events, "b")
    lab.no_key(on_board, at)
    says(lab, "reset no-such", 3, "not-found")


@scenario("reset-disk-in-use")
def reset_disk(lab):
    """While a guest reads it and while it writes: the one under way fails there, and no byte is wrong."""
    lab.board.plug("disk")
    lab.daemon.wait_device("disk", state="present", actual="host")
    lab.importing(lab.vm1, lab.route("disk", lab.vm1))
    lab.vm1.wait("[ -b /dev/sda ]", what="the disk in vm1")
    pattern = bytes(range(256)) * 4096
    # A node of the jobs' own: in the place of one that has gone dd would make a file.
    lab.vm1.run("mknod /tmp/disk b $(sed 's/:/ /' /sys/block/sda/dev)", check=True)
    for job in ("dd if=/tmp/disk of=/dev/null bs=64k iflag=direct",
                "dd if=/tmp/pattern of=/tmp/disk bs=64k seek=16 conv=fsync,notrunc"):
        lab.vm1.run("cat > /tmp/pattern && dd if=/tmp/pattern of=/dev/sda bs=64k conv=fsync,notrunc", stdin=pattern,
                    check=True, timeout=120)
        busy = lab.spawn(lab.vm1, f"echo begun; while {job} 2>/dev/null; do :; done")
        check(busy.line(60).strip() == "begun", "no job in vm1")
        says(lab, "reset disk", 0, "it is at vm1")
        lab.vm1.wait("[ ! -b /dev/sda ]", what="the disk gone from vm1")
        busy.wait(60)
        lab.importing(lab.vm1, f"{LINE} disk")
        lab.vm1.wait("[ -b /dev/sda ]", what="the disk in vm1 again")
    lab.vm1.run("dd if=/tmp/pattern of=/dev/sda bs=64k seek=16 conv=fsync,notrunc", check=True, timeout=120)
    wanted = pattern * 2 + lab.disk.read_bytes()[2 * len(pattern):]
    have = lab.vm1.text(f"dd if=/dev/sda bs=64k count={DISK_BYTES >> 16} iflag=direct 2>/dev/null | sha256sum",
                        timeout=120).split()[0]
    check(have == hashlib.sha256(wanted).hexdigest(), "vm1 reads other bytes than it wrote")
    says(lab, "detach disk", 0)
    lab.daemon.wait_device("disk", state="present", actual="host")
    lab.board.wait("[ -b /dev/sda ]", what="the disk at the board")
    have = lab.board.text(f"dd if=/dev/sda bs=64k count={DISK_BYTES >> 16} 2>/dev/null | sha256sum", timeout=120).split()[0]
    check(have == hashlib.sha256(wanted).hexdigest(), "the board reads other bytes than vm1 wrote")
    # In use on the host.
    lab.board.run(f"mke2fs -q -F -t ext2 /dev/sda && mkdir -p '{MOUNT}' && mount /dev/sda '{MOUNT}'", check=True,
                  timeout=120)
    says(lab, "reset disk", 6, f"sda is mounted at {MOUNT}", "--unmount")
    says(lab, "reset disk --force", 0)
    lab.board.run(f"echo there > '{MOUNT}/file' && sync -f '{MOUNT}'", check=True, timeout=120)
    says(lab, "reset disk --unmount", 0)
    check(MOUNT.split()[-1] not in lab.board.text("cat /proc/self/mountinfo"), "it is mounted still")


@scenario("reset-with-agent")
def reset_agent(lab):
    """The command ends when the guest has it again; at awkward moments it says a word, and nothing is left behind."""
    agent_in(lab, lab.vm1)
    events = lab.events(lab.vm1)
    says(lab, "attach keyboard vm1 --wait 60", 0)
    events.wait_keyboard()
    lab.key(events)
    says(lab, "reset keyboard --wait 60", 0, "it is at vm1")
    events.wait(["device", "*", "remove"])
    check(lab.daemon.find("keyboard")["state"] == "attached", f"after reset: {lab.daemon.find('keyboard')}")
    events.wait_keyboard()
    lab.key(events, "b")
    ctl = lab.daemon.command("")
    both = lab.board.text(f"({ctl} reset keyboard --wait 60 2>&1; echo first $?) & {ctl} reset keyboard --wait 60 2>&1;"
                          " echo second $?; wait", timeout=180)
    ends = {line for line in both.splitlines() if line.startswith(("first", "second"))}
    check(ends & {"first 0", "second 0"}, f"of two resets at once none is done: {both}")
    for step in range(4):
        where = ("vm2", "vm1")[step % 2]
        both = lab.board.text(f"{ctl} attach keyboard {where} --no-wait >/dev/null & "
                              f"{ctl} reset keyboard --no-wait 2>&1; echo status $?; wait", timeout=180)
        check("status 0" in both or "status 6" in both, f"a reset during an attach: {both}")
        lab.daemon.wait_device("keyboard", state=("exported", "attached"), actual=where)
    lab.daemon.wait_device("keyboard", state="attached", actual="vm1")
    lab.vm1.wait("ls /sys/bus/hid/devices/ | grep -q .", what="the keyboard's driver in vm1")
    # Pulled out in the middle.
    both = lab.board.spawn(f"{ctl} reset keyboard --wait 3", stdin=b"")
    lab.board.unplug("keyboard")
    both.wait(120)
    lab.daemon.wait_gone("keyboard")
    lab.board.plug("keyboard")
    lab.daemon.wait_device("keyboard", state="attached", actual="vm1")
    says(lab, "detach keyboard", 0)


@scenario("reset-comes-back-as-another")
def reset_another(lab):
    """Its descriptors change by the reset: the kernel takes it for unplugged, and finds another one."""
    gadget = lab.gadget("keys", [Hid()])
    for place, product in (("host", "0105"), ("vm1", "0106")):
        if place == "vm1":
            lab.importing(lab.vm1, lab.route("gadget", lab.vm1))
            lab.daemon.wait_device("gadget", state="attached")
        lab.board.run(f"echo 0x{product} > {gadget.path}/idProduct", check=True)
        says(lab, "reset gadget", 0, "came back, as if plugged in anew")
        lab.daemon.wait_device("gadget", id=f"1d6b:{product}", state=("present", "exported"))


# Power

def speed(lab, gadget):
    return lab.board.text(f"cat /sys/bus/usb/devices/{gadget.busid}/speed").strip()


def gone(lab, busid):
    lab.board.wait(f"[ ! -e /sys/bus/usb/devices/{busid} ]", what=f"{busid} gone from the board")


@scenario("power-of-a-port")
def power(lab):
    gadget = lab.gadget("keys", [Hid()])
    busid = gadget.busid
    events = lab.events(lab.vm1)
    lab.importing(lab.vm1, lab.route("gadget", lab.vm1))
    events.wait_keyboard()
    says(lab, "power gadget off", 0, f"its port {busid} is switched off")
    events.wait(["device", "*", "remove"])
    gone(lab, busid)
    off = lab.daemon.find("gadget")
    check((off["state"], off["busid"], off["wanted"]) == ("off", busid, "vm1"), f"switched off it is {off}")
    says(lab, "power gadget off", 0, "already")
    says(lab, "reset gadget", 1, "switched off")
    lab.daemon.restart()
    lab.guests_up()
    check(lab.daemon.find("gadget")["state"] == "off", f"after a restart it is {lab.daemon.find('gadget')}")
    says(lab, f"power port={busid} on", 0, "it is at vm1", f"{LINE} gadget")
    lab.daemon.wait_device("gadget", state="exported", actual="vm1")
    says(lab, "power gadget on", 0, "already")
    lab.importing(lab.vm1, f"{LINE} gadget")
    events.wait_keyboard()
    says(lab, "power gadget cycle", 0, "it is at vm1")
    events.wait(["device", "*", "remove"])
    lab.daemon.wait_device("gadget", state="exported", actual="vm1")
    # A daemon that is killed in the dark: the next one switches it on.
    ctl = lab.daemon.command("")
    job = lab.board.spawn(f"{ctl} power gadget cycle", stdin=b"")
    gone(lab, busid)
    lab.daemon.kill()
    job.wait(60)
    lab.daemon.start()
    lab.guests_up()
    lab.daemon.wait_device("gadget", state="exported", actual="vm1")
    # Pulled out while it is off.
    says(lab, "power gadget off", 0)
    lab.board.run(f"echo > {gadget.path}/UDC", check=True)
    says(lab, "power gadget on --wait 2", 0, "nothing has come back")
    lab.daemon.wait_gone("gadget")
    says(lab, "power gadget cycle", 3, "not-found")
    gadget.plug()
    lab.daemon.wait_device("gadget", state="exported", actual="vm1")


@scenario("power-of-a-superspeed-port")
def power_super(lab):
    """Both halves of the connector go off, or it would come up at high speed; and it comes back as it was."""
    gadget = lab.gadget("fast", [source_sink()], speed="super-speed", bcd=0x0300)
    check(speed(lab, gadget) == "5000", f"the gadget has {speed(lab, gadget)} Mbit/s")
    busid = gadget.busid
    says(lab, "power gadget off", 0)
    gone(lab, busid)
    ports = lab.board.text("cat /sys/bus/usb/devices/*-0:1.0/usb*-port*/disable").split()
    check(ports.count("1") == 2, f"switched off are {ports.count('1')} ports, not the two of a connector")
    says(lab, "power gadget on", 0)
    says(lab, "power gadget cycle", 0, "it is at host")
    check(speed(lab, gadget) == "5000", f"back, the gadget has {speed(lab, gadget)} Mbit/s")


@scenario("power-behind-a-hub", quick=False)
def power_hub(lab):
    """Hubs that switch their ports and those that don't; the guards."""
    says(lab, "power keyboard cycle --force", 1, "can't switch the power of a port")
    lab.daemon.wait_device("keyboard", state="present", actual="host")
    lab.board.plug("hub")
    lab.board.plug("switched", "hub", **{"port-power": True})
    lab.board.plug("mouse", port=f"{lab.board.port('hub')}.1")
    lab.board.plug("disk", port=f"{lab.board.port('switched')}.2")
    lab.daemon.wait_device("mouse", state="present", actual="host")
    says(lab, "power mouse off", 1, "can't switch the power of a port")
    disk = lab.daemon.wait_device("disk", state="present", actual="host")
    lab.board.wait("[ -b /dev/sda ]", what="the board's own disk")
    lab.board.run(f"mke2fs -q -F -t ext2 /dev/sda && mkdir -p '{MOUNT}' && mount /dev/sda '{MOUNT}'", check=True,
                  timeout=120)
    says(lab, "power disk cycle", 6, f"sda is mounted at {MOUNT}", "--unmount")
    says(lab, "power disk cycle --unmount", 0, "it is at host")
    lab.daemon.wait_device("disk", state="present", actual="host")
    lab.importing(lab.vm1, lab.route("disk", lab.vm1))
    lab.vm1.wait("[ -b /dev/sda ]", what="the disk in vm1")
    says(lab, "power disk off", 0)
    gone(lab, disk["busid"])
    lab.vm1.wait("[ ! -b /dev/sda ]", what="the disk gone from vm1")
    # Its hub goes, and with it what was off. A hub is pulled out after what is in it: QEMU's has no other way.
    lab.board.unplug("mouse")
    lab.board.unplug("hub")
    lab.board.unplug("disk")
    lab.board.unplug("switched")
    lab.daemon.wait_gone("disk")
    says(lab, "power disk on", 3, "not-found")
    says(lab, "detach disk", 0)
